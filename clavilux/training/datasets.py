"""Read the training data: a folder of feature files and a folder of pictures.

Feature files are `.npy` files from `clavilux features`, each with one window (20, 216) or several (n, 20, 216) of a
track. Pictures have any size and mode. The table `corpus.csv`, which `clavilux corpus build` writes, assigns each file
to a split. Without this table, a hash of the file name decides, and about one file in eight is for validation.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from clavilux.audio.clips import CLIP_SUFFIX, read_clips
from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.audio.feature_table import HALVES, TABLE
from clavilux.constants import MFCC_ROWS, WINDOW_FRAMES
from clavilux.corpus.match import match_features, match_names
from clavilux.corpus.table import TABLE_NAME, read_rows
from clavilux.errors import AudioError, CorpusError, TrainingError
from clavilux.images import PICTURE_SUFFIXES, UNSUPPORTED_PICTURE_SUFFIXES
from clavilux.system.files import check_shortage, first_names, is_text, list_folder, normalise_name
from clavilux.system.tables import Row, read_number, read_table

TRAINING, VALIDATION = "training", "validation"
FEATURE_SUFFIXES = frozenset({CLIP_SUFFIX})
_VALIDATION_SHARE = 0.12
_FEWEST_FOR_VALIDATION = 3  # a correlation of distances needs three songs
logger = logging.getLogger("clavilux")

Report = Callable[[str], None]
_WINDOW_BYTES = 4 * MFCC_ROWS * WINDOW_FRAMES


@dataclass(frozen=True)
class Entry:
    """A file of training data, with its split and its role (what kind of picture or recording it is)."""

    path: Path
    name: str  # path relative to the folder, from `normalise_name`
    split: str  # "training", "validation" or "held-out"
    role: str  # as in `clavilux.corpus.table.CorpusRow`
    row: Row | None = None  # row of the file in `corpus.csv`; None if the folder has no such table


@dataclass(frozen=True)
class FeatureFile:
    """A feature file on disk: windows of 5 s, each 20 MFCC x 216 frames, float32. It is opened for each read."""

    path: Path
    n_windows: int
    offset: int  # bytes before the first window

    @classmethod
    def open(cls, path: Path) -> FeatureFile:
        """Return the feature file with this path.

        Raises
        ------
        AudioError
            If it is not a feature file with float32 values.
        """
        array = read_clips(path)
        if array.dtype != np.float32 or not array.flags.c_contiguous or not isinstance(array, np.memmap):
            raise AudioError(
                f"{path}: contains {array.dtype}; training needs float32, as written by `clavilux features`"
            )
        return cls(path, len(array), array.offset)

    def windows(self) -> NDArray[np.float32]:
        """Return all windows (n, 20, 216), memory-mapped.

        Raises
        ------
        TrainingError
            If the file has changed since it was opened.
        """
        with self._refuse_changes():
            return np.memmap(self.path, np.float32, "r", self.offset, (self.n_windows, MFCC_ROWS, WINDOW_FRAMES))

    def window(self, number: int) -> NDArray[np.float32]:
        """Return the window (20, 216) with this number, in a third of the time that a memory map takes.

        Raises
        ------
        TrainingError
            If the file has changed since it was opened.
        """
        offset = self.offset + number * _WINDOW_BYTES
        with self._refuse_changes():
            values = np.fromfile(self.path, np.float32, MFCC_ROWS * WINDOW_FRAMES, offset=offset)
            return values.reshape(MFCC_ROWS, WINDOW_FRAMES)

    @contextmanager
    def _refuse_changes(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            if isinstance(error, OSError):
                check_shortage(error)
            raise TrainingError(
                f"{self.path}: has changed since the training began ({error}); start it again"
            ) from error


class AudioFeatureDataset(Dataset[Tensor]):
    """All windows of the tracks of one split, (20, 216) float32 each.

    Files stay on disk, so a folder may be larger than the memory.

    ``split`` is "training", "validation" or "held-out". ``report`` is called with a line about each file that cannot
    be used, and is passed on to `list_entries`.

    Raises
    ------
    CorpusError
        If the folder is missing or has no usable file of the split.
    """

    def __init__(self, folder: Path, split: str = TRAINING, report: Report = logger.warning) -> None:
        self.entries: list[Entry] = []
        self.files: list[FeatureFile] = []
        for entry in list_entries(folder, FEATURE_SUFFIXES, report=report):
            if entry.split != split:
                continue
            try:
                self.files.append(FeatureFile.open(entry.path))
            except AudioError as error:
                report(f"{error}; skipped")
            else:
                self.entries.append(entry)
        if not self.entries:
            raise CorpusError(
                f"{folder} has no {split} features; fill it with `clavilux features AUDIO_DIR -o {folder}`"
            )
        self._ends = np.cumsum([file.n_windows for file in self.files])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Tensor:
        if not 0 <= index < len(self):
            raise IndexError(index)
        track = int(np.searchsorted(self._ends, index, side="right"))
        first = int(self._ends[track]) - self.files[track].n_windows
        return torch.from_numpy(self.files[track].window(index - first))

    def digest(self) -> str:
        """Return a hash of one window of each track, so that a resumed run can check that its data are unchanged."""
        digest = hashlib.sha256()
        for index in self.clips(1):
            digest.update(self[int(index)].numpy().tobytes())
        return digest.hexdigest()

    def clips(self, per_track: int) -> Tensor:
        """Return the indices (n,) of at most `per_track` windows of each track, evenly spaced in the track."""
        clips = [
            end
            - file.n_windows
            + np.unique(np.linspace(0, file.n_windows - 1, per_track + 2).round().astype(int)[1:-1])
            for end, file in zip(self._ends, self.files, strict=True)
        ]
        return torch.from_numpy(np.concatenate(clips))

    def track_weights(self) -> Tensor:
        """Return sampling weights (n,) of windows; those of a track with k windows sum to the square root of k."""
        return torch.cat([torch.full((file.n_windows,), file.n_windows**-0.5) for file in self.files])


def list_entries(folder: Path, suffixes: frozenset[str], *, report: Report = logger.warning) -> list[Entry]:
    """Return the training files of a folder, sorted by name, each with its split and role.

    If the folder has a table `corpus.csv`, only files with a row in this table are returned. The row of a picture has
    the name of its file. The row of a feature file has the name of the recording from which it was made;
    `descriptors.csv` says which recording this is. Without `descriptors.csv`, a feature file belongs to the recording
    with a matching name.

    ``suffixes`` is `FEATURE_SUFFIXES` or `PICTURE_SUFFIXES`. ``report`` receives lines about ignored files, files
    without a row, and rows without a file.

    Raises
    ------
    CorpusError
        If ``folder`` is not a folder, a table is invalid, a feature file could belong to several rows, or the names of
        two files differ only in ways that other systems ignore (see `normalise_name`).
    """
    if not os.path.isdir(folder):  # Path.is_dir raises if the name is too long
        raise CorpusError(f"{folder} is not a folder")
    unsupported = UNSUPPORTED_PICTURE_SUFFIXES if suffixes <= PICTURE_SUFFIXES else frozenset()
    listing = list_folder(folder, suffixes, unsupported=unsupported)
    for line in (*listing.hints(), *listing.faults()):
        report(line)
    named: dict[str, Path] = {}
    for path in listing.files:
        name = normalise_name(path.relative_to(folder).as_posix())
        if not is_text(name):
            report(f"{str(path)!a}: ignored, because its name is not UTF-8; rename it")
        elif name in named:
            raise CorpusError(
                f"{path} and {named[name]} have the same name, {name}, on other systems; rename one of them"
            )
        else:
            named[name] = path
    table = folder / TABLE_NAME
    if not os.path.lexists(table):
        return [Entry(named[name], name, split, "abstract") for name, split in _split_by_hash(list(named)).items()]
    rows = {normalise_name(row["file"]): row for row in read_rows(table, required=("split", "role"))}
    row_of = _match_features(folder, list(named), rows) if suffixes <= FEATURE_SUFFIXES else match_names(named, rows)
    for what, names in (
        (f"left out, because they have no row in {TABLE_NAME}", [name for name in named if name not in row_of]),
        (f"missing, though they have a row in {TABLE_NAME}", sorted(rows.keys() - set(row_of.values()))),
    ):
        if names:
            report(f"{folder}: {what}: {first_names(names)} ({len(names)} in all)")
    return [
        Entry(path, name, rows[row_of[name]]["split"], rows[row_of[name]]["role"], rows[row_of[name]])
        for name, path in named.items()
        if name in row_of
    ]


def read_descriptors(folder: Path) -> dict[str, Row]:
    """Return the rows of the `descriptors.csv` of a folder: normalised name of the feature file -> row.

    Raises
    ------
    CorpusError
        If the table is missing or unreadable, or has two rows for one feature file or one recording.
    """
    path = folder / TABLE
    if not os.path.lexists(path):
        raise CorpusError(
            f"{path} is missing; `clavilux features MUSIC -o {folder}` writes it beside the features, from the sound"
        )
    by_name: dict[str, Row] = {}
    files: set[str] = set()
    for row in read_table(path, CorpusError, required=("file", "npy"))[1]:
        file, npy = (normalise_name(row[column]) for column in ("file", "npy"))
        if npy in by_name or file in files:
            raise CorpusError(f"{row.where}: {file} or {npy} already has a row; run `clavilux features` again")
        by_name[npy] = row
        files.add(file)
    return by_name


def descriptors_of(entry: Entry, rows: dict[str, Row], folder: Path) -> list[list[float]]:
    """Return three lists of descriptors: of a whole song, of its first half and of its second half.

    `rows` is from `read_descriptors`, and `folder` is for error messages.

    Raises
    ------
    CorpusError
        If `rows` has no row for the song, a column is missing, or a value is not a finite number.
    """
    row = rows.get(entry.name)
    if row is None:
        raise CorpusError(f"{folder / TABLE} has no line for {entry.name}; run `clavilux features` again")
    for column in (*DESCRIPTORS, *HALVES[0], *HALVES[1]):
        if column not in row:
            raise CorpusError(f"{folder / TABLE} has no column {column}; run `clavilux features` again")
    return [[read_number(row, column, CorpusError) for column in columns] for columns in (DESCRIPTORS, *HALVES)]


def describe_folder(folder: Path) -> dict[str, Any]:
    """Return a description of a folder of training data for `bundle.json`, as JSON values.

    If the folder has a `corpus.csv`, the description has the hash of this table, the number of files for each role and
    split, and the sources with their licences. For other folders, it has the number of pictures and feature files only.

    Raises
    ------
    CorpusError
        If the table lacks a column that the description needs, or a row for training or validation has another tier
        than "free", so that its licence does not allow training.
    """
    path = folder / TABLE_NAME
    if not os.path.lexists(path):
        return {"files": len(list_folder(folder, PICTURE_SUFFIXES | FEATURE_SUFFIXES).files)}
    rows = read_rows(path, required=("split", "role", "source", "tier", "licence"))
    rows = [row for row in rows if row["split"] in (TRAINING, VALIDATION)]
    for row in rows:
        if row["tier"] != "free":
            raise CorpusError(
                f"{row.where}: tier is {row['tier']!r} in a row for {row['split']}, but bundles may only learn from "
                "free files; change its split to held-out"
            )
    return {
        "table_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "counts": dict(Counter(f"{row['role']}, {row['split']}" for row in rows)),
        "sources": {
            source: {"files": n, "licence": next(row["licence"] for row in rows if row["source"] == source)}
            for source, n in sorted(Counter(row["source"] for row in rows).items())
        },
    }


def _match_features(folder: Path, names: list[str], rows: dict[str, Row]) -> dict[str, str]:
    """Match feature files with rows of `corpus.csv`; return name of the feature file -> file name in its row."""
    if not os.path.lexists(folder / TABLE):
        found, ambiguous = match_features(names, rows)
        for name, candidates in ambiguous.items():
            raise CorpusError(
                f"{folder / name}: may be of {' or of '.join(candidates)} in {TABLE_NAME}; put the {TABLE} of "
                "the same run of `clavilux features` beside it"
            )
        return found
    recordings = {name: normalise_name(row["file"]) for name, row in read_descriptors(folder).items()}
    found = match_names(names, rows)  # a table may list feature files directly
    left = {recordings[name]: name for name in names if name in recordings and name not in found}
    matched = match_names(left, rows.keys() - set(found.values()))
    return found | {left[recording]: row for recording, row in matched.items()}


def _split_by_hash(names: list[str]) -> dict[str, str]:
    """Return the split of each file, chosen by a hash of its name: name -> split.

    In a small folder, the files with the smallest hashes are for validation, so that there are enough of them.
    """
    place = {name: int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32 for name in names}
    # In a small folder, it can happen that too few hashes are below the share. The smallest ones are used then.
    fewest = min(_FEWEST_FOR_VALIDATION, len(names) // 4)
    stand_ins = set(sorted(names, key=place.__getitem__)[:fewest])
    return {n: VALIDATION if place[n] < _VALIDATION_SHARE or n in stand_ins else TRAINING for n in names}
