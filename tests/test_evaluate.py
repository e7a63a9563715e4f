"""`clavilux evaluate` on two small folders."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner
from fake_bundle import write_fake_bundle
from PIL import Image
from sounds import cadence, clicks, write_sound

from clavilux.cli import cli
from clavilux.constants import SAMPLE_RATE
from clavilux.errors import CorpusError
from clavilux.evaluation import controlled_pairs, inception
from clavilux.evaluation import evaluate as evaluation
from clavilux.evaluation.goals import CEILING, MEASURES
from clavilux.evaluation.material import find_material

pytestmark = pytest.mark.slow  # one evaluation, of which all tests read the result

NAMES = {3: "rock & roll"}  # of songs, to test escaping


class _TagChecker(HTMLParser):
    """Keeps the stack of open tags and fails at an end tag that does not match."""

    VOID = frozenset({"meta", "img"})

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    for genre in ("slow", "fast"):
        (folder / "songs" / genre).mkdir(parents=True)
    (folder / "art").mkdir()
    for index in range(13):
        sound = np.resize(cadence(("major", "minor")[index % 2], times=1, transposed=3 * index - 18), 7 * SAMPLE_RATE)
        sound = 0.1 * (1 + index % 5) * (sound + 0.1 * index * clicks(60 + 12 * index, 7.0))
        write_sound(folder / "songs" / ("slow", "fast")[index // 7] / f"{NAMES.get(index, index)}.wav", sound)
    (folder / "songs" / "broken.mp3").write_text("no sound")
    for index in range(28):
        rng = np.random.default_rng(index)
        rgb = rng.integers(0, 255, (8, 8, 3), np.uint8).repeat(20, axis=0).repeat(20, axis=1)
        Image.fromarray(rgb).save(folder / "art" / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def report(folders, fake_bundle, tmp_path_factory):
    """Output of the command, its JSON and its HTML, with a second bundle and few pairs and copies."""
    other = write_fake_bundle(tmp_path_factory.mktemp("bundles") / "other", seed=5)
    command = ["evaluate", "--music", str(folders / "songs"), "--art", str(folders / "art"), "--jobs", "1"]
    command += ["--bundle", str(fake_bundle), "--beside", str(other), "-o", str(folders / "report.html")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(controlled_pairs, "VOICES", {"pulse": controlled_pairs.VOICES["pulse"]})
        patch.setattr(controlled_pairs, "PAIR_S", 6.0)
        patch.setattr(controlled_pairs, "TUNES", 1)
        patch.setattr(inception, "WEIGHTS", folders / "absent.safetensors")
        for name, few in (("N_COPIED", 2), ("N_WITH_VARIATIONS", 3), ("N_SHARP", 2)):
            patch.setattr(evaluation, name, few)
        result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output, json.loads((folders / "report.json").read_text()), (folders / "report.html").read_text()


def test_the_table_has_all_columns(report):
    output, found, _ = report
    assert list(found["columns"]) == [
        "songs", "songs, other", CEILING, "decoder", "linear map", "retrieval", "random latents", "shuffled songs",
        "mean song",
    ]  # fmt: skip
    assert found["counts"]["songs measured"] == 13
    assert found["counts"]["pictures per side"] == 13
    assert "| diversity, A |" in output


def test_only_measures_without_data_are_missing(report):
    """The pictures are small, the bundle states no KL divergence, and its painter covers none of the art."""
    _, found, _ = report
    missing = {measure.key for measure in MEASURES} - set(found["columns"]["songs"])
    measured = found["columns"]["decoder"]
    keys = [f"{name}_{e}" for name in ("coverage", "recall") for e in "AB"]
    unreached = {f"used_{key}" for key in keys if measured[key] == 0}
    assert found["columns"]["decoder"]["coverage_A"] == 0
    of_c = {measure.key for measure in MEASURES if measure.key.endswith("_C")}
    assert missing == {"sharpness", "kl_nats"} | unreached | of_c
    assert any("evaluator C (InceptionV3) is absent" in remark for remark in found["remarks"])
    assert any("sharpness" in remark for remark in found["remarks"])
    assert any("too few for the goals" in remark for remark in found["remarks"])


def test_every_figure_is_a_finite_number(report):
    _, found, _ = report
    figures = [value for column in found["columns"].values() for value in column.values()]
    assert np.isfinite(figures).all()
    assert len(figures) > 300


def test_a_collapse_lowers_diversity_and_recall(report):
    columns = report[1]["columns"]
    for name in ("A", "B"):
        assert columns["mean song"][f"diversity_{name}"] < 0.01
        assert columns["mean song"][f"recall_{name}"] == 0
        assert columns[CEILING][f"diversity_{name}"] == pytest.approx(1, abs=0.3)


def test_shuffled_songs_score_lower_on_song_measures(report):
    columns = report[1]["columns"]
    assert columns["shuffled songs"]["same_song_auc_B"] < columns["songs"]["same_song_auc_B"]
    assert "diversity_B" not in columns["shuffled songs"]  # the pictures are the same


def test_the_second_bundle_has_its_own_figures(report):
    columns = report[1]["columns"]
    assert columns["songs"]["geometry_code_B"] != columns["songs, other"]["geometry_code_B"]


def test_an_unreadable_song_is_reported_and_left_out(report):
    output, found, _ = report
    assert "broken.mp3" in output
    assert "; skipped" in output
    assert len(found["left_out"]) == 1


def test_the_page_is_self_contained_with_pictures_and_plots(report):
    _, found, page = report
    assert not re.search(r"""(src|href)=["'](?!data:)|@import|url\(|<script""", page)
    assert page.count("data:image/jpeg;base64,") > 20
    assert page.count("<svg") == 6 + 1 + 2  # correspondences, map, KL divergence and variance of latents
    assert page.count("<figcaption title=") == 13  # one per song of the sheet
    assert len(found["kl_of_latents"]) == 64
    assert '<td class="met">' in page
    assert '<td class="missed">' in page
    assert all(f">{column}</th>" in page for column in found["columns"])


def test_the_page_is_well_formed_and_escapes_names(report):
    """The names of the songs are those of their files; one has an ampersand."""
    page = report[2]
    checker = _TagChecker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    assert "rock &amp; roll" in page
    assert "rock & roll" not in page


def test_too_few_pictures_raise_an_error(folders, fake_bundle):
    material = find_material(folders / "songs", folders / "art", songs=2, pictures=20)
    with pytest.raises(CorpusError, match="at least 12 of each"):
        evaluation.evaluate(str(fake_bundle), material, seed=0, max_s=10.0, jobs=1, log=lambda line: None)


def test_the_output_must_be_html_or_json(folders, fake_bundle):
    command = ["evaluate", "--music", str(folders / "songs"), "--art", str(folders / "art"), "-o", "report.pdf"]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 2
    assert "report.pdf does not end in .html or .json" in result.output
