"""The page of `clavilux explain`, and the timeline in it."""

from __future__ import annotations

import base64
import io
import re
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import sounds
from click.testing import CliRunner, Result
from conftest import write_wave
from PIL import Image

from clavilux.audio.descriptors import DESCRIPTORS, describe
from clavilux.audio.features import measure_features
from clavilux.audio.timeline import MOST_PARTS, Part, measure_parts, split_blocks
from clavilux.bundle import open_bundle
from clavilux.cli import cli
from clavilux.picture_file import read_description
from clavilux.song_page import _curves
from clavilux.system.extras import install_command
from clavilux.words import measured_links

pytest.importorskip("jinja2", reason="needs the extra card")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="clavilux")


# The timeline --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "sizes"),
    [(100, [100]), (40, [40]), (149, [149]), (150, [100, 50]), (320, [100, 100, 120]), (200, [100, 100])],
)
def test_blocks_are_split_into_parts_and_a_short_rest_is_added(n: int, sizes: list[int]) -> None:
    sound = np.arange(n, dtype=np.float32)
    for block in (1, 7, 64, 1000):
        blocks = [sound[k : k + block] for k in range(0, n, block)]
        parts = list(split_blocks(blocks, 100))
        assert [part.size for part in parts] == sizes
        np.testing.assert_array_equal(np.concatenate(parts), sound)


def test_each_part_has_its_own_descriptors() -> None:
    low, high = sounds.sine(220.0, 10.0), sounds.sine(1760.0, 10.0, peak=0.05)
    song = write_wave(Path("song.wav"), np.concatenate([low, high]))
    parts = measure_parts(song, 20.0)
    assert [part.start_s for part in parts] == [0.0, 10.0]
    assert parts[1].descriptors["register"] - parts[0].descriptors["register"] == pytest.approx(36, abs=0.5)
    assert parts[0].descriptors["loudness"] > parts[1].descriptors["loudness"] + 10
    expected = describe(measure_features([np.round(low * 32_767).astype(np.float32) / np.float32(32_768)]))
    assert parts[0].descriptors["register"] == pytest.approx(expected["register"], abs=0.01)


def test_a_long_song_has_a_limited_number_of_parts() -> None:
    song = write_wave(Path("song.wav"), np.tile(sounds.song(20.0), 24))
    assert MOST_PARTS - 1 <= len(measure_parts(song, 480.0)) <= MOST_PARTS + 1


def test_channels_that_cancel_are_corrected_in_parts_too() -> None:
    sound = 0.5 * sounds.song(12.0)
    song = sounds.write_float_wave(Path("song.wav"), np.stack([sound, -sound]), 22_050)
    (part,) = measure_parts(song, 12.0)
    assert part.descriptors["loudness"] > -40


# The page ------------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Elements that are open at the end, images, and what refers to other files."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.references: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "polyline"):
            self.open.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


def test_only_a_page_of_ours_is_replaced() -> None:
    song = write_wave(Path("song.wav"), sounds.song(6.0))
    Path("page.html").write_text("<p>mine")
    refused = run("explain", song, "-o", "page.html")
    assert refused.exit_code == 1 and "page.html: exists already and is no page of Clavilux" in refused.stderr
    assert Path("page.html").read_text() == "<p>mine"
    for _ in range(2):
        assert run("explain", song, "-o", "card.html").exit_code == 0


@pytest.mark.parametrize(
    ("option", "answer"),
    [
        ("--json", "clavilux paint SONG --json"),
        ("-q", "Give --no-progress"),
        ("--text", "Without -o"),
        ("--mood", "paint"),
    ],
)
def test_options_of_other_commands_are_answered(option: str, answer: str) -> None:
    done = run("explain", "song.wav", option)
    assert done.exit_code == 2 and f"No such option: {option}. " in done.stderr and answer in done.stderr


def test_a_page_has_everything_and_needs_no_network() -> None:
    song = write_wave(Path("<song>.wav"), np.concatenate([sounds.song(12.0), 0.3 * sounds.song(12.0, seed=3)]))
    done = run("explain", song, "-o", "card.html", "--seed", 5)
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    assert done.stdout == "<song>.wav -> card.html\n"
    text = Path("card.html").read_text("utf-8")
    page = Page(text)
    assert page.open == [] and "<song>" not in text and "&lt;song&gt;" in text
    assert "http" not in text and all(reference.startswith("data:") for reference in page.references)
    (picture,) = page.images
    with Image.open(io.BytesIO(base64.b64decode((picture["src"] or "").partition(",")[2]))) as image:
        assert image.size == (768, 768)
    assert (picture["alt"] or "").startswith("Abstract picture, ")
    row = r'<th scope="row">([a-z ]+)</th><td><span [^>]*></span> (#[0-9a-f]{6})</td><td>([\d.]+) %</td>'
    named = re.findall(row, text)
    assert len(named) == len({name for name, *_ in named}) and 80 < sum(float(share) for *_, share in named) < 100.5
    assert f", in {named[0][0]}" in (picture["alt"] or "")
    shares = re.findall(r"<td>([\d.]+) %</td>", text)
    n_accents = text.count('<th scope="row">accent: ')
    assert n_accents == (" accent: " in (picture["alt"] or "")), "the page has the accent that the description names"
    assert len(shares) == len(named) + n_accents + 6, (
        "of pairs that are further apart than three songs and three pictures"
    )
    assert len(re.findall(r"<polyline points=", text)) == 5
    card = open_bundle("default").card
    assert len(measured_links(card)) == 6
    for link in measured_links(card):
        assert f'<th scope="row">{link.sound}</th><td>{link.picture}</td>' in text
        assert f"{link.strength:.2f}, {link.words}</td>" in text
    for words in ("beats a minute", "% of songs", "Seed 5", "Bundle default", "not used for"):
        assert words in " ".join(text.split()), words


def test_a_page_shows_the_variation_that_was_chosen() -> None:
    song = write_wave(Path("song.wav"), sounds.song(6.0))
    painted = run("paint", song, "--count", 2, "--size", "384x192", "--warmth", 1)
    assert painted.exit_code == 0, painted.output
    done = run("explain", "song-2.png", song, "-o", "card.html")
    assert (done.exit_code, done.stdout) == (0, "song-2.png -> card.html\n"), done.output
    (picture,) = Page(Path("card.html").read_text("utf-8")).images
    with Image.open(io.BytesIO(base64.b64decode((picture["src"] or "").partition(",")[2]))) as image:
        assert image.size == (768, 384)
    assert picture["alt"] == read_description(Path("song-2.png"))
    caption = "with seed 0, variation 1 and the bundle default. Steered: warmth 1.0.</figcaption>"
    assert caption in Path("card.html").read_text("utf-8")
    assert "measured:\n0:06; compared" in run("explain", "song-2.png", song).stdout
    other = write_wave(Path("other.wav"), sounds.song(6.0, seed=3))
    assert "is not the song of the picture" in run("explain", "song-2.png", other, "-o", "card.html").stderr
    run("controls", song, "-o", "c.json")
    run("paint", "c.json", "--size", 64)
    assert "so it has no song" in run("explain", "c.png", song).stderr


def test_without_o_the_words_are_printed() -> None:
    song = write_wave(Path("song.wav"), sounds.song(6.0))
    done = run("explain", song)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("measured:\n0:06; compared") and "The networks map the sound" in done.stdout
    assert not Path("song.png").exists()


def test_a_page_is_told_to_a_screen_reader() -> None:
    song = write_wave(Path("song.wav"), np.concatenate([sounds.song(12.0), 0.3 * sounds.song(12.0, seed=3)]))
    run("explain", song, "-o", "card.html")
    text = Path("card.html").read_text("utf-8")
    assert text.count("<main>") == text.count("</main>") == 1
    assert " title=" not in text and "<td></td>" not in text and DESCRIPTORS["register"].about in unescape(text)
    assert text.count("<caption>") == text.count("<table>") and not re.search(r"<th(?! scope)", text)
    assert all(re.match(r'(<th scope="col">|<th scope="row">)', row) for row in re.findall(r"<tr[^>]*>(.*)", text))
    alt = re.search(r'alt="([^"]*)"', text)
    assert alt and text.count(alt[1]) == 1, "not again below the picture"
    assert re.search(r"loudness: starts at -\S+ LUFS, ends at -\S+ LUFS; lowest -\S+ LUFS, highest -\S+ LUFS<", text)


def test_a_curve_that_stays_the_same_is_told_once() -> None:
    parts = [Part(10.0 * k, {"arousal": value}) for k, value in enumerate((-2.0, -1.8, -1.9))]
    (curve,) = _curves(parts)
    assert curve["words"] == "very low throughout"
    (curve,) = _curves([*parts, Part(30.0, {"arousal": 2.0})])
    assert curve["words"] == "starts at very low, ends at very high; lowest very low, highest very high"


def test_a_silent_song_and_a_bundle_without_figures(fake_bundle: Path) -> None:
    song = write_wave(Path("song.wav"), np.zeros(22_050 * 6, np.float32))
    done = run("explain", song, "-o", "card.html", "--bundle", fake_bundle)
    assert done.exit_code == 0 and "it is silent" in done.stderr
    text = " ".join(Path("card.html").read_text("utf-8").split())
    assert "silent throughout" in text and "The bundle fake gives no measured correspondences" in text
    assert "% of songs" not in text and "How does the song develop" not in text


def test_a_bundle_of_pixels_has_a_page_without_palette() -> None:
    song = write_wave(Path("song.wav"), sounds.song(6.0))
    assert run("explain", song, "-o", "card.html", "--bundle", "classic").exit_code == 0
    assert "Which colours?" not in Path("card.html").read_text("utf-8")


def test_a_feature_file_has_no_timeline() -> None:
    np.save("song.npy", np.random.default_rng(0).normal(0, 20, (3, 20, 216)).astype(np.float32))
    with Path("song.npy").open("ab") as file:
        file.write(open_bundle("default").feature_settings.mark())
    assert run("explain", "song.npy", "-o", "card.html").exit_code == 0
    assert "How does the song develop" not in Path("card.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["song.wav", "-o", "card.pdf"], 2, "card.pdf does not end in .html"),
        (["missing.wav", "-o", "card.html"], 1, "missing.wav: cannot be opened"),
        (["song.wav", "-o", "song.wav/card.html"], 1, "card.html: cannot be written"),
    ],
)
def test_faults(fake_bundle: Path, arguments: list[str], code: int, reason: str) -> None:
    write_wave(Path("song.wav"), sounds.song(6.0))
    done = run("explain", *arguments, "--bundle", fake_bundle)
    assert done.exit_code == code and reason in " ".join(done.stderr.split())


def test_the_extra_is_named_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    done = run("explain", "missing.wav", "-o", "card.html")
    assert done.stderr == f"clavilux: this needs jinja2, which is not installed: {install_command('card')}\n"
