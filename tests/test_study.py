"""The listening study: trials, the page and its script, and what result files say."""

import base64
import json
import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import chord, write_wave
from PIL import Image

from clavilux.cli import cli
from clavilux.errors import StudyError
from clavilux.measures.intervals import bootstrap_mean, half_sample_errors, wilson
from clavilux.study import pieces
from clavilux.study.key import scramble, unscramble
from clavilux.study.make import FORMAT, VERSION
from clavilux.study.read import read_visit
from clavilux.study.trials import COMPARISONS, MATCHES, draw_comparisons, draw_matches

N_SONGS = 11  # one of them is damaged


@pytest.fixture(scope="module")
def page(tmp_path_factory, fake_bundle):
    """Folder of a page of ten songs."""
    folder = tmp_path_factory.mktemp("study")
    songs = folder / "songs"
    songs.mkdir()
    for index in range(N_SONGS - 1):
        write_wave(songs / f"title-{index}.wav", (0.2 + 0.07 * index) * chord(110.0 * 1.2**index, 4.0))
    (songs / "broken.mp3").write_text("no sound")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PICTURE_PX", 96)
        command = ["study", "make", str(songs), "-o", str(folder / "page"), "--bundle", str(fake_bundle), "--jobs", "1"]
        result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 1  # one song is damaged
    assert result.output.count("broken.mp3") == 1
    assert "40 questions about 10 songs" in result.output
    return folder / "page"


def data_of(page):
    text = (page / "index.html").read_text("utf-8")
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.S)[1])


def write_result(page, folder, choose, **changes):
    """A result as the script of the page writes it; `choose` takes the right answer and returns the given one."""
    data = data_of(page)
    right = unscramble(data["key"], data["study"])
    result = {key: data[key] for key in ("format", "version", "study", "made", "key")}
    result |= {"visitor": "0123456789", "name": "", "began": "", "ended": ""}
    result["answers"] = [
        {"trial": trial, "answer": choose(int(trial), answer), "seconds": 3.0} for trial, answer in right.items()
    ]
    result |= changes
    file = folder / f"{result['visitor']}.json"
    file.write_text(json.dumps(result))
    return file


def other(answer):
    return {"left": "right", "right": "left", "same": "different", "different": "same"}[answer]


def read(*files):
    return CliRunner().invoke(cli, ["study", "read", *map(str, files)], catch_exceptions=False)


# Trials -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_songs", [10, 12, 29, 30])
@pytest.mark.parametrize("seed", [0, 1])
def test_matches_are_balanced(n_songs, seed):
    trials = draw_matches(n_songs, np.random.default_rng(seed))
    assert len(trials) == MATCHES
    assert Counter(trial.answer for trial in trials) == {"left": MATCHES // 2, "right": MATCHES // 2}
    pairs = [frozenset((trial.left, trial.right)) for trial in trials]
    assert len(set(pairs)) == MATCHES
    assert all(len(pair) == 2 for pair in pairs)
    right = Counter(trial.song for trial in trials)
    wrong = Counter({trial.left, trial.right}.difference({trial.song}).pop() for trial in trials)
    for counts in (right, wrong):
        assert set(counts) == set(range(n_songs))
        assert max(counts.values()) - min(counts.values()) <= 1


def test_comparisons_are_balanced_and_show_each_half_once():
    trials = draw_comparisons(np.random.default_rng(0))
    assert Counter(trial.answer for trial in trials) == {"same": COMPARISONS // 2, "different": COMPARISONS // 2}
    halves = [half for trial in trials for half in (trial.left, trial.right)]
    assert sorted(halves) == [(song, half) for song in range(COMPARISONS) for half in (0, 1)]
    assert all((trial.left[0] == trial.right[0]) == (trial.answer == "same") for trial in trials)
    assert Counter(trial.left[1] for trial in trials)[0] == COMPARISONS // 2


def test_the_seed_draws_the_trials():
    first, again, second = (draw_matches(12, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first == again != second


# The page -----------------------------------------------------------------------------------------------------------


def test_the_page_refers_to_nothing_outside_and_names_no_song(page):
    text = (page / "index.html").read_text("utf-8")
    assert "http" not in text
    assert "//" not in re.sub(r'"key": "[^"]+"', "", text)  # the key is Base64, which may contain it
    assert not re.search(r"title-\d|broken|\.wav", text)
    assert not re.search(r'"(answer|song)":', re.search(r'<script id="data".*?</script>', text, re.S)[0])


def test_the_page_uses_exactly_the_files_beside_it(page):
    used = {file for trial in data_of(page)["trials"] for file in [*trial["pictures"], trial.get("sound")] if file}
    assert used == {f"media/{file.name}" for file in (page / "media").iterdir()}
    assert len(used) == 10 + 10 + 20
    assert all(re.fullmatch(r"media/[0-9a-f]{16}\.(jpg|mp3)", file) for file in used)


def test_pictures_and_sounds_carry_no_names(page):
    for file in (page / "media").iterdir():
        assert b"title" not in file.read_bytes()
        if file.suffix == ".jpg":
            with Image.open(file) as image:
                assert not image.getexif()
                assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_the_right_picture_is_that_of_the_song_that_is_heard(page):
    """Each song has one picture and one sound, so the right pairs of all trials form ten of them."""
    data = data_of(page)
    right = unscramble(data["key"], data["study"])
    own = {
        (trial["sound"], trial["pictures"][("left", "right").index(right[trial["id"]])])
        for trial in data["trials"]
        if trial["part"] == "match"
    }
    assert len(own) == 10
    assert len({sound for sound, _ in own}) == len({picture for _, picture in own}) == 10


class _Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_the_page_is_accessible(page):
    checker = _Elements()
    checker.feed((page / "index.html").read_text("utf-8"))
    elements = checker.found
    assert ("html", {"lang": "en"}) in elements
    alts = {attributes["alt"] for tag, attributes in elements if tag == "img"}
    assert alts == {"Picture on the left", "Picture on the right"}
    assert all("aria-label" in attributes for tag, attributes in elements if tag == "audio")
    assert sum(tag == "legend" for tag, _ in elements) == sum(tag == "fieldset" for tag, _ in elements) == 2
    assert any(attributes.get("role") == "alert" for _, attributes in elements)


def test_an_excerpt_is_the_middle_at_a_common_level():
    rate = 8_000
    sound = np.concatenate([np.zeros(30 * rate), chord(440, 20)[: 20 * rate], np.zeros(30 * rate)]).astype(np.float32)
    loud, quiet = (pieces.cut_excerpt(gain * sound, rate) for gain in (1.0, 0.01))
    assert len(loud) == pieces.EXCERPT_S * rate
    assert loud.std() > 0.01
    np.testing.assert_allclose(loud, quiet, atol=1e-4)
    assert loud[0] == loud[-1] == 0


def test_a_study_is_not_written_over_anything(page, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    result = CliRunner().invoke(cli, ["study", "make", str(page), "-o", str(tmp_path)])
    assert result.exit_code == 1
    assert "not empty" in str(result.exception) + result.output


def test_too_few_songs_are_a_fault(tmp_path, fake_bundle):
    write_wave(tmp_path / "one.wav", chord(220, 3))
    command = ["study", "make", str(tmp_path), "-o", str(tmp_path / "page"), "--bundle", str(fake_bundle)]
    result = CliRunner().invoke(cli, [*command, "--jobs", "1"])
    assert result.exit_code == 1
    assert "too few songs for a study: 1; give a folder with 10 or more" in result.output
    assert not (tmp_path / "page").exists()


# The script ---------------------------------------------------------------------------------------------------------

DRIVER = """
const fs = require("fs");
const [file, plan] = [process.argv[2], JSON.parse(process.argv[3])];
const html = fs.readFileSync(file, "utf8");
const elements = {}, log = [];
const element = (id) => { if (!html.includes(`id="${id}"`)) throw new Error(id); return elements[id] ??= {
  id, hidden: false, value: "", checked: false, textContent: "", on: {},
  addEventListener(name, call) { this.on[name] = call; }, focus() { log.push(id); }, pause() {},
  played: { length: 0, start: () => 0, end: () => 9 }, duration: 20 }; };
element("data").textContent = /<script id="data"[^>]*>([^]*?)<\\/script>/.exec(html)[1];
globalThis.document = { getElementById: element };
globalThis.window = { addEventListener() {} };
globalThis.Blob = class { constructor(parts) { this.parts = parts; } };
URL.createObjectURL = (blob) => blob.parts.join("");
new Function(/<script>([^]*?)<\\/script>/.exec(html)[1])();
const submit = () => element("form").on.submit({ preventDefault() {} });
element("name").value = " Ada ";
element("begin").on.click();
const messages = [];
for (const choice of plan) {
  if (!element("interlude").hidden) element("resume").on.click();
  if (messages.length === 0) { submit(); messages.push(element("message").textContent); }
  element("sound").played.length = 1;
  if (messages.length === 1) { submit(); messages.push(element("message").textContent); }
  element(choice).checked = true;
  submit();
}
console.log(JSON.stringify({ messages, log, end: !element("end").hidden, saved: element("save").href,
  name: element("save").download, shown: element("text").value }));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="runs the script of the page with Node.js")
def test_the_script_asks_all_questions_and_saves_the_answers(page, tmp_path):
    data = data_of(page)
    right = unscramble(data["key"], data["study"])
    plan = [right[trial["id"]] if i % 2 else other(right[trial["id"]]) for i, trial in enumerate(data["trials"])]
    (tmp_path / "driver.js").write_text(DRIVER)
    command = ["node", str(tmp_path / "driver.js"), str(page / "index.html"), json.dumps(plan)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["end"]
    assert found["messages"] == ["Please play the music for at least 5 seconds.", "Please choose left or right."]
    assert found["log"].count("heading") == 40
    assert found["log"].count("interlude-heading") == found["log"].count("end-heading") == 1
    assert found["saved"] == found["shown"]
    (tmp_path / "result.json").write_text(found["saved"])
    visit = read_visit(tmp_path / "result.json")
    assert visit.name == "Ada"
    assert [sum(answers) for answers in visit.is_right.values()] == [15, 5]
    assert re.fullmatch(rf"study-{data['study']}-[0-9a-f]{{10}}\.json", found["name"])


# Results ------------------------------------------------------------------------------------------------------------


def test_a_perfect_visitor_has_the_interval_of_30_of_30_and_10_of_10(page, tmp_path):
    result = read(write_result(page, tmp_path, lambda trial, answer: answer))
    assert result.exit_code == 0
    assert "| 0123456789 | which picture | 30 of 30 | 1.00 | 0.89 to 1.00 |" in result.output
    assert "| all 1 | same song or not | 10 of 10 | 1.00 | 0.72 to 1.00 |" in result.output


def test_a_guessing_visitor_has_an_interval_around_a_half(page, tmp_path):
    half = write_result(page, tmp_path, lambda trial, answer: answer if trial % 2 else other(answer), name="Ada")
    result = read(half)
    assert "| Ada | which picture | 15 of 30 | 0.50 | 0.33 to 0.67 |" in result.output
    assert "| Ada | same song or not | 5 of 10 | 0.50 | 0.24 to 0.76 |" in result.output


def test_visitors_are_pooled(page, tmp_path):
    always_left = write_result(
        page, tmp_path, lambda trial, answer: "left" if trial <= MATCHES else "same", visitor="left"
    )
    perfect = write_result(page, tmp_path, lambda trial, answer: answer, visitor="perfect")
    result = read(always_left, perfect)
    assert "| left | which picture | 15 of 30 |" in result.output  # sides are balanced
    assert "| left | same song or not | 5 of 10 |" in result.output
    assert "| all 2 | which picture | 45 of 60 | 0.75 | 0.63 to 0.84 |" in result.output
    assert "over visitors" not in result.output


def test_visitors_of_one_name_are_told_apart(page, tmp_path):
    files = [write_result(page, tmp_path, lambda _, answer: answer, name="Ada", visitor=id_) for id_ in ("one", "two")]
    files.append(write_result(page, tmp_path, lambda _, answer: answer, name="Bo", visitor="three"))
    rows = [line.split("|")[1].strip() for line in read(*files).output.splitlines() if "| which picture |" in line]
    assert rows == ["Ada one", "Ada two", "Bo", "all 3"]


def test_five_visitors_have_an_interval_over_visitors(page, tmp_path):
    files = [
        write_result(
            page, tmp_path, lambda trial, answer, k=k: answer if trial % 5 > k else other(answer), visitor=f"v{k}"
        )
        for k in range(5)
    ]
    output = read(*files).output
    pooled = next(line for line in output.splitlines() if line.startswith("| all 5 | which picture |"))
    low, high = map(float, re.search(r"over visitors ([\d.]+) to ([\d.]+)", pooled).groups())
    assert low < 0.4 < high  # shares of 0.8, 0.6, 0.4, 0.2, 0
    assert high - low > 0.3  # the visitors differ more than 150 independent answers would


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[: len(text) // 2], "is not JSON"),
        (lambda text: "[]", "is not a result of a study"),
        (lambda text: text.replace('"version": 1', '"version": 7'), "has version 7"),
        (lambda text: text.replace('"key": "', '"key": "A', 1), "its key is damaged"),
        (lambda text: text.replace('"trial": "7"', '"trial": "8"'), "answered twice"),
        (lambda text: text.replace('"trial": "7"', '"trial": "77"'), "answers question '77', which the study does not"),
        (lambda text: re.sub(r'\{[^{}]*"trial": "7"[^{}]*\}, ', "", text), "has no answer to 1 of 40 questions"),
        (lambda text: text.replace('"key": ', '"lock": ', 1), "it has no key"),
        (lambda text: re.sub(r'("trial": "7", "answer": )"\w+"', r'\1"up"', text), "is 'up'; it must be left or right"),
        (lambda text: text.replace('"visitor": "0123456789"', '"visitor": 3'), "visitor is 3"),
        (lambda text: re.sub(r'"answers": \[.*\]', '"answers": 3', text), "its answers are damaged"),
    ],
)
def test_a_damaged_result_gives_one_line_and_the_others_are_read(page, tmp_path, damage, said):
    good = write_result(page, tmp_path, lambda trial, answer: answer, visitor="good")
    bad = write_result(page, tmp_path, lambda trial, answer: answer)
    text = bad.read_text()
    assert damage(text) != text
    bad.write_text(damage(text))
    result = read(bad, good)
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert str(bad) in lines[0]
    assert said in lines[0]
    assert "| good | which picture | 30 of 30 |" in result.output


def test_a_result_is_counted_once(page, tmp_path):
    file = write_result(page, tmp_path, lambda trial, answer: answer)
    copy = tmp_path / "copy.json"
    shutil.copy(file, copy)
    result = read(file, copy, tmp_path / "missing.json")
    assert result.exit_code == 1
    assert "read already" in result.stderr
    assert "missing.json: cannot be read" in result.stderr
    assert "| all 1 | which picture | 30 of 30 |" in result.output


def test_a_key_cannot_be_read_at_a_glance_and_is_checked():
    answers = {"1": "left", "2": "same"}
    key = scramble(answers, "abc")
    assert unscramble(key, "abc") == answers
    assert b"left" not in base64.b64decode(key)
    with pytest.raises(StudyError, match="damaged"):
        unscramble(key, "abd")
    for forged in ([1, 2], "left", {"first": "left"}):
        with pytest.raises(StudyError, match="damaged"):
            unscramble(scramble(forged, "abc"), "abc")


def test_a_forged_key_with_an_unknown_answer_is_refused(tmp_path):
    key = scramble({"1": "above"}, "abc")
    answers = [{"trial": "1", "answer": "left"}]
    fields = {"study": "abc", "visitor": "v", "name": "", "key": key, "answers": answers}
    (tmp_path / "forged.json").write_text(json.dumps({"format": FORMAT, "version": VERSION, **fields}))
    with pytest.raises(StudyError, match=r"forged\.json: its key is damaged"):
        read_visit(tmp_path / "forged.json")


# Intervals ----------------------------------------------------------------------------------------------------------


def test_wilson_agrees_with_published_intervals():
    """Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for (k, n), expected in {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }.items():
        assert wilson(k, n) == pytest.approx(expected, abs=5e-5)
    assert wilson(0, 0) == (0, 1)
    with pytest.raises(ValueError, match="no share"):
        wilson(3, 2)


def test_the_interval_of_a_mean_holds_the_true_mean_in_about_95_of_100_samples():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        low, high = bootstrap_mean(rng.standard_normal(40), rng=rng, rounds=300)
        held += low < 0 < high
    assert 0.88 <= held / 200 <= 0.99


def test_the_error_of_a_mean_by_half_samples_is_the_standard_error():
    rng = np.random.default_rng(0)
    values = rng.standard_normal(200)
    errors = half_sample_errors(lambda index: {"mean": float(values[index].mean())}, 200, rng=rng, rounds=400)
    assert errors["mean"] == pytest.approx(values.std() / np.sqrt(200), rel=0.1)
