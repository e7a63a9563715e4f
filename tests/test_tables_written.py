"""Tables that are written: no spreadsheet finds a formula in them, and they are read back as they were."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from conftest import chord, write_wave

from clavilux.audio.feature_files import write_features
from clavilux.corpus.table import CorpusRow, load_table, write_table
from clavilux.errors import CorpusError
from clavilux.system.tables import escape_cell, read_table, table_text, unescape_cell

FORMULAS = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    '=HYPERLINK("http://x")',
    "\uff1d1+1",
    "'=1",
    "''@x",
    "-1_0",
]
HARMLESS = ["a.mp3", "'Heroes'.mp3", "", "-12.5", "+3", "1e-7", "-inf", "a=b", "'", "''", "it's", "空.wav"]


@pytest.mark.parametrize("value", FORMULAS)
def test_a_formula_becomes_text_and_comes_back(value: str) -> None:
    assert escape_cell(value) == f"'{value}"
    assert unescape_cell(escape_cell(value)) == value


@pytest.mark.parametrize("value", HARMLESS)
def test_everything_else_stays(value: str) -> None:
    assert escape_cell(value) == value == unescape_cell(value)


def test_a_table_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    values = [*FORMULAS, *HARMLESS]
    path = tmp_path / "table.csv"
    path.write_text(table_text(["name", "number"], [(value, -number) for number, value in enumerate(values)]), "utf-8")
    with path.open(encoding="utf-8", newline="") as file:
        assert not any(row["name"][:1] in tuple("=@\uff1d") for row in csv.DictReader(file))
    _, rows = read_table(path, CorpusError)
    assert [row["name"] for row in rows] == values
    assert [row["number"] for row in rows] == [str(-number) for number in range(len(values))]


def test_names_of_songs_are_no_formulas_in_the_table_of_features(tmp_path: Path) -> None:
    music, out = tmp_path / "music", tmp_path / "out"
    names = ["=1+1.wav", "-a.wav", "@b.wav", "'=c.wav"]
    music.mkdir()
    for name in names:
        write_wave(music / name, chord(220.0, 5.0))
    assert write_features(music, out, jobs=1).measured == len(names)
    with (out / "descriptors.csv").open(encoding="utf-8", newline="") as file:
        cells = [row["file"] for row in csv.DictReader(file)]
    assert sorted(cells) == sorted(f"'{name}" for name in names)
    assert write_features(music, out, jobs=1).kept == len(names)
    assert all(np.load(path).shape[1:] == (20, 216) for path in out.glob("*.npy"))


def test_the_table_of_a_corpus_too(tmp_path: Path) -> None:
    row = CorpusRow(
        file="files/a/=1.png", source="a", path="=1.png", artist="@x", role="abstract", genre="-y", tier="free",
        licence="+z", sha256="0", width=1, height=1, seconds=0.0, split="training",
    )  # fmt: skip
    write_table(tmp_path, [row])
    assert ",=" not in (tmp_path / "corpus.csv").read_text()
    assert load_table(tmp_path) == [row]
