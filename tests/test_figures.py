"""What stands beside a figure: its interval over songs, its ceiling, the group of songs, and the number of looks."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from clavilux.cli import cli
from clavilux.errors import OutputError
from clavilux.evaluation import report
from clavilux.evaluation.columns import (
    Reference,
    measure_ceilings,
    measure_changes,
    measure_column,
    measure_distribution,
    with_intervals,
)
from clavilux.evaluation.controlled_pairs import EXPECTED, draw_tune, play_pairs
from clavilux.evaluation.evaluators import Spaces
from clavilux.evaluation.goals import CEILING, MEASURES
from clavilux.evaluation.looks import HEADER, add_look, count_looks
from clavilux.evaluation.material import find_material
from clavilux.evaluation.painting import MeasuredPictures
from clavilux.evaluation.synth import melody
from clavilux.measures.crossmodal import CORRESPONDENCES
from clavilux.measures.image_features import IMAGE_FEATURES

N = 40  # songs


def pictures_of(places, *, noise=0.0, seed=0, moved=None):
    """Pictures whose features are a linear image of places (n, 6), with normal noise of this standard deviation."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(9)
    features = {}
    for evaluator, size in (("A", 20), ("B", 84)):
        values = places @ fixed.standard_normal((places.shape[1], size))
        features[evaluator] = np.asarray(values + noise * rng.standard_normal(values.shape), np.float32)
    image_features = {name: rng.standard_normal(len(places)).astype(np.float32) for name in IMAGE_FEATURES}
    tone = rng.standard_normal((len(places), 2)).astype(np.float32)
    thumbnails = np.zeros((len(places), 96, 96, 3), np.uint8)
    degraded = None if moved is None else {name: values + np.float32(moved) for name, values in features.items()}
    return MeasuredPictures(features, image_features, tone, thumbnails, degraded)


@pytest.fixture
def songs():
    return np.random.default_rng(1).standard_normal((N, 6))


@pytest.fixture
def reference(songs):
    rng = np.random.default_rng(2)
    art = pictures_of(rng.standard_normal((N, 6)), noise=0.3, seed=3)
    spaces = Spaces.of(art.features)
    placed = (songs, np.stack([songs, songs], axis=1))
    return Reference(
        spaces=spaces,
        art=spaces.place(art.features),
        training=spaces.place(art.features),
        tone=art.tone,
        n=N,
        embeddings={"code": placed, "musicnn": placed},
        scores=rng.standard_normal((N, len(CORRESPONDENCES))),
        genres=["a", "b"] * (N // 2),
        rng=rng,
    )


def test_each_figure_over_songs_has_an_interval_around_it(songs, reference):
    halves = pictures_of(songs, noise=0.3, seed=4), pictures_of(songs, noise=0.3, seed=5)
    found = measure_column(pictures_of(songs, noise=0.3), halves, reference, least=12)
    for key in ("diversity_A", "geometry_code_B", "same_song_auc_A", "nearest_musicnn_A", "same_genre_B", "recall_B"):
        assert found[f"{key}_low"] <= found[key] <= found[f"{key}_high"], key
    assert found["geometry_code_A_high"] - found["geometry_code_A_low"] < 0.5
    assert found["same_song_auc_A_high"] <= 1
    assert "kid_A" in found
    assert "kid_A_low" not in found  # it has no spread over songs
    assert not [key for key in found if key.endswith("_p_low")]


def test_spread_of_lightness_and_chroma_is_relative_to_real_art(songs, reference):
    whole = pictures_of(songs)
    real = replace(reference, tone=whole.tone * np.float32([2.0, 0.5]) + 7)
    found = measure_distribution(whole, real)
    assert (found["lightness_spread"], found["chroma_spread"]) == pytest.approx((0.5, 2.0))


def test_a_row_of_the_report_has_value_interval_ceiling_and_share(songs, reference):
    halves = pictures_of(songs, noise=0.3, seed=4), pictures_of(songs, noise=0.3, seed=5)
    whole = pictures_of(songs, noise=0.3)
    figures = measure_column(whole, halves, reference, least=12)
    figures |= measure_ceilings(whole, pictures_of(songs, noise=0.3, seed=6), reference)
    result = SimpleNamespace(table={"songs": figures, CEILING: {"diversity_A": 0.8}})
    rows = {measure.key: report._row(result, measure) for measure in MEASURES}
    geometry, diversity = rows["geometry_code_A"], rows["diversity_A"]
    assert geometry["interval"] == f"{figures['geometry_code_A_low']:.2f} to {figures['geometry_code_A_high']:.2f}"
    assert float(geometry["ratio"]) == pytest.approx(float(geometry["value"]) / float(geometry["ceiling"]), abs=0.02)
    assert diversity["ceiling"] == "0.80"
    assert float(diversity["ratio"]) == pytest.approx(figures["diversity_A"] / 0.8, abs=0.01)
    assert rows["distance_A"]["value"] == f"{figures['distance_A']:.2f}"
    assert not rows["diversity_C"]  # the evaluator is absent


def test_few_songs_have_no_interval(songs, reference):
    halves = pictures_of(songs, seed=4), pictures_of(songs, seed=5)
    found = measure_column(pictures_of(songs), halves, reference, least=N // 2 + 1)
    assert not [key for key in found if key.endswith(("_low", "_high"))]


def test_an_interval_of_a_mean_holds_the_truth():
    held = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal(60)
        found = with_intervals(
            {"mean": float(x.mean())}, lambda i, x=x: {"mean": float(x[i].mean())}, 60, least=12, rng=rng
        )
        held += found["mean_low"] < 0 < found["mean_high"]
    assert held >= 26


def test_the_ceiling_of_geometry_comes_from_painting_again(songs, reference):
    same = measure_ceilings(pictures_of(songs), pictures_of(songs), reference)
    assert same["reliability_A"] == pytest.approx(1)
    assert same["geometry_code_A_ceiling"] == pytest.approx(1)
    assert same["nearest_musicnn_B_ceiling"] == 1
    noisy = measure_ceilings(pictures_of(songs, noise=5, seed=1), pictures_of(songs, noise=5, seed=2), reference)
    assert noisy["reliability_A"] < 0.5
    assert noisy["geometry_code_A_ceiling"] == pytest.approx(np.sqrt(noisy["reliability_A"]))


def test_steadiness_is_in_units_of_a_degraded_copy(songs, reference):
    whole = pictures_of(songs, moved=1.0)
    few = np.arange(8)
    flac = whole.take(few)
    half_as_far = MeasuredPictures(
        {name: values + np.float32(0.5) for name, values in flac.features.items()},
        flac.image_features,
        flac.tone,
        flac.thumbnails,
    )
    varied = whole.take(np.repeat(few, 2))
    found = measure_changes(whole, (flac, half_as_far), varied, 1, reference)
    for evaluator in "AB":
        assert found[f"steadiness_{evaluator}"] == pytest.approx(0.5, rel=1e-3)
        assert found[f"steadiness_moved_{evaluator}"] == 0
        assert found[f"steadiness_{evaluator}_low"] == pytest.approx(0.5, rel=1e-3)
        assert 0 < found[f"codec_distance_{evaluator}"] < 1


def test_songs_of_a_corpus_are_labelled_or_of_a_tier(tmp_path):
    header = "file,source,path,artist,role,genre,tier,licence,sha256,width,height,seconds,split\n"
    for name, rows in {
        "music": [("a", "music", "free"), ("b", "labelled", "research"), ("c", "music", "research")],
        "art": [("d", "abstract", "free")],
    }.items():
        (tmp_path / name).mkdir()
        lines = [f"{file},s,{file},x,{role},g,{tier},l,00,1,1,1.0,held-out\n" for file, role, tier in rows]
        (tmp_path / name / "corpus.csv").write_text(header + "".join(lines))
    material = find_material(tmp_path / "music", tmp_path / "art", songs=9, pictures=9, report=lambda line: None)
    assert {song.name: song.group for song in material.songs} == {"a": "free", "b": "labelled", "c": "research"}
    assert material.has_held_out_songs
    assert material.has_held_out_art


# Tunes --------------------------------------------------------------------------------------------------------------


def test_drawn_tunes_are_four_bars_of_c_major_and_differ():
    tunes = [draw_tune(np.random.default_rng(seed)) for seed in range(20)]
    assert len({tune.melody for tune in tunes}) == 20
    for tune in tunes:
        notes = melody(tune.melody)
        assert len(tune.chords) == 4
        assert max(note.start + note.length for note in notes) == 16
        assert all(round(note.pitch) % 12 in {0, 2, 4, 5, 7, 9, 11} for note in notes)
        assert any(
            note.pitch % 12 in (4, 9) for chord in tune.chords for note in melody(f"{chord.replace(' ', '+')}:1")
        )


def test_pairs_of_two_tunes_sound_different():
    one, other = (play_pairs(draw_tune(np.random.default_rng(seed)), "pulse") for seed in (0, 1))
    assert [pair.axis for pair in one] == [pair.axis for pair in other] == list(EXPECTED)
    assert all(np.abs(a.high - b.high).max() > 1e-3 for a, b in zip(one, other, strict=True))
    assert all(np.abs(pair.high - pair.low).max() > 1e-3 for pair in one)


# Looks --------------------------------------------------------------------------------------------------------------


def test_looks_add_up(tmp_path):
    file = tmp_path / "looks.tsv"
    assert count_looks(file) == 0
    file.write_text(f"{HEADER}\n14\t2026-11\tearlier\t200\tfrom notes\n")
    assert add_look(file, date="2026-12-01", bundle="mine\tabc", songs=200, note="a") == 15
    assert add_look(file, date="2026-12-02", bundle="mine", songs=100, note="b") == 16
    assert file.read_text().splitlines() == [
        HEADER,
        "14\t2026-11\tearlier\t200\tfrom notes",
        "1\t2026-12-01\tmine abc\t200\ta",
        "1\t2026-12-02\tmine\t100\tb",
    ]


def test_another_file_is_not_taken_for_one_of_looks(tmp_path):
    file = tmp_path / "song.tsv"
    file.write_text("a\tb\n1\t2\n")
    with pytest.raises(OutputError, match="no file of looks"):
        count_looks(file)
    command = ["evaluate", "--music", str(tmp_path), "--art", str(tmp_path), "--looks", str(file)]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 1
    assert "no file of looks" in result.output
    assert file.read_text() == "a\tb\n1\t2\n"
