"""The calibration of arousal and valence finds what is planted, never judges an artist it learnt from, and joins
tables."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from clavilux.audio.descriptors.mood import MOOD
from clavilux.errors import CorpusError
from clavilux.training.calibrate_mood import (
    AXES,
    FEELINGS,
    FOLDS,
    INPUTS,
    agreement,
    correlations,
    fit_ridge,
    folds_of,
    labels_of,
    predict_held_out,
    read_labelled,
)

GENRES = ("classical", "rock", "electronic", "pop")


def write_table(path: Path, columns: list[str], rows: list[list[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Two hundred songs whose listeners feel power where flux is high, and sadness where it is low."""
    rng = np.random.default_rng(0)
    songs, votes, artists = [], [], []
    for g, genre in enumerate(GENRES):
        for number in range(1, 51):
            values = {name: rng.standard_normal() for name in INPUTS}
            path = f"emotifymusic/{genre}/{number}.mp3"
            songs.append([path, *values.values(), -14.0])
            artists.append([f"files/{path}", f"{genre} {number % 7}" if number % 2 else ""])
            for _ in range(20):
                strong = values["flux"] + rng.standard_normal() > 0
                felt = "power" if strong else "sadness"
                votes.append([100 * g + number, genre, *(int(name == felt) for name in FEELINGS)])
    songs.insert(0, ["some/other/classical/1.mp3", *[0.0] * (len(INPUTS) + 1)])
    descriptors = write_table(tmp_path / "descriptors.csv", ["file", *INPUTS, "loudness"], songs)
    corpus = write_table(tmp_path / "corpus.csv", ["file", "artist"], artists)
    spaced = [f" {name}" for name in ("genre", *FEELINGS)]  # as Emotify has them
    labels = write_table(tmp_path / "data.csv", ["track id", *spaced], votes)
    return descriptors, labels, corpus


def test_what_listeners_feel_is_found_again(tables: tuple[Path, Path, Path]) -> None:
    data = read_labelled(*tables)
    assert len(data.votes) == 200 and data.votes[0].shape == (20, len(FEELINGS))
    assert data.groups[0] == "classical 1" and data.groups[1] == "emotifymusic/classical/2.mp3"
    inputs = np.stack([data.inputs[name] for name in INPUTS], axis=1)
    labels = labels_of(data.votes, "arousal")
    over_all, within = correlations(predict_held_out(inputs, labels, data.groups), labels, data.genres)
    assert over_all > 0.9 and within > 0.9
    weights = dict(zip(INPUTS, fit_ridge(inputs, labels), strict=True))
    assert max(weights, key=lambda name: abs(weights[name])) == "flux"
    assert weights["flux"] > 5 * max(abs(value) for name, value in weights.items() if name != "flux")
    assert agreement(data.votes, "arousal", np.random.default_rng(0), times=5) > 0.9


def test_labels_without_a_reason_are_not_predicted() -> None:
    rng = np.random.default_rng(1)
    inputs, labels = rng.standard_normal((400, 12)), rng.standard_normal(400)
    predicted = predict_held_out(inputs, labels, [str(i) for i in range(400)])
    assert abs(np.corrcoef(predicted, labels)[0, 1]) < 0.15


def test_an_artist_is_in_one_fold_and_folds_are_even() -> None:
    rng = np.random.default_rng(2)
    groups = [f"artist {i}" for i in rng.zipf(1.8, 300) % 80]
    folds = folds_of(groups, FOLDS)
    for artist in set(groups):
        assert len({fold for fold, group in zip(folds, groups, strict=True) if group == artist}) == 1
    assert set(folds) == set(range(FOLDS))


def test_a_song_known_by_its_artist_is_no_held_out_song() -> None:
    # The inputs tell the artist, the artist the label: only folds that part artists from themselves see through it.
    rng = np.random.default_rng(3)
    artists = np.repeat(np.arange(40), 10)
    inputs = rng.standard_normal((40, 30))[artists] + 0.05 * rng.standard_normal((400, 30))
    labels = rng.standard_normal(40)[artists]
    apart = predict_held_out(inputs, labels, [str(a) for a in artists])
    mixed = predict_held_out(inputs, labels, [str(i) for i in range(400)])
    assert np.corrcoef(mixed, labels)[0, 1] > 0.6 > 0.4 > np.corrcoef(apart, labels)[0, 1]


def test_too_few_songs_and_missing_tables_are_refused(tables: tuple[Path, Path, Path], tmp_path: Path) -> None:
    descriptors, labels, _ = tables
    with pytest.raises(CorpusError, match="cannot be read"):
        read_labelled(descriptors, tmp_path / "missing.csv", None)
    descriptors.write_text("\n".join(descriptors.read_text().splitlines()[:50]))
    with pytest.raises(CorpusError, match="has 48 songs with labels"):
        read_labelled(descriptors, labels, None)


def test_the_command_prints_constants_that_python_reads(tables: tuple[Path, Path, Path]) -> None:
    descriptors, labels, corpus = map(str, tables)
    command = [sys.executable, "-m", "clavilux.training.calibrate_mood", descriptors, labels, "--corpus", corpus]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    constants: dict[str, dict[str, object]] = {}
    exec(done.stdout[done.stdout.index("MOOD: ") :], constants)
    assert set(constants["MOOD"]) == set(INPUTS)


def test_the_shipped_weights_are_of_the_same_descriptors() -> None:
    assert tuple(MOOD) == INPUTS
    assert all(set(weights) <= set(FEELINGS) for weights in AXES.values())
