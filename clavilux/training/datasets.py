"""The two folders of training data: feature files and pictures.

`datasets/audio_features/` has `.npy` files from `clavilux features`, each with one window (20, 216) or several
(n, 20, 216). `datasets/abstract_art/` has pictures of any size and mode. Both are split by track and by source picture:
by the `corpus.csv` that `clavilux corpus build` writes, or else by a hash of the file name, which puts about one file
in eight, and at least three, into the validation split.
"""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
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
    """A file of training data."""

    path: Path
    name: str  # relative to the folder, normalised
    split: str  # training, validation or held-out
    role: str  # as in `clavilux.corpus.table.CorpusRow`


class FeatureFiles:
    """Feature files on disk, a sequence of arrays (n, 20, 216) float32; a file is opened only while it is read."""

    def __init__(self) -> None:
        self.lengths: list[int] = []  # windows
        self._paths: list[Path] = []
        self._offsets: list[int] = []  # bytes

    def add(self, path: Path) -> None:
        """Add a file.

        Raises
        ------
        AudioError
            If the file is not a feature file with float32 values.
        """
        array = read_clips(path)
        if array.dtype != np.float32 or not array.flags.c_contiguous or not isinstance(array, np.memmap):
            raise AudioError(
                f"{path}: contains {array.dtype}; training needs float32, as written by `clavilux features`"
            )
        self.lengths.append(len(array))
        self._paths.append(path)
        self._offsets.append(array.offset)

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        """Return all windows (n, 20, 216) float32 of a file, memory-mapped.

        Raises
        ------
        TrainingError
            If the file has changed since it was added.
        """
        shape = (self.lengths[index], MFCC_ROWS, WINDOW_FRAMES)
        try:
            return np.memmap(self._paths[index], np.float32, "r", self._offsets[index], shape)
        except (OSError, ValueError) as error:
            raise self._changed(index, error) from error

    def window(self, index: int, number: int) -> NDArray[np.float32]:
        """Return the window ``number`` of the file ``index``, (20, 216) float32.

        Raises
        ------
        TrainingError
            If the file has changed since it was added.
        """
        # Read directly, because a memory map takes three times as long.
        offset = self._offsets[index] + number * _WINDOW_BYTES
        try:
            values = np.fromfile(self._paths[index], np.float32, MFCC_ROWS * WINDOW_FRAMES, offset=offset)
            return values.reshape(MFCC_ROWS, WINDOW_FRAMES)
        except (OSError, ValueError) as error:
            raise self._changed(index, error) from error

    def _changed(self, index: int, error: OSError | ValueError) -> TrainingError:
        if isinstance(error, OSError):
            check_shortage(error)
        return TrainingError(f"{self._paths[index]}: has changed since the training began ({error}); start it again")


class AudioFeatureDataset(Dataset[Tensor]):
    """Windows of features, (20, 216) float32 each, of the tracks of one split.

    Files stay on disk, so a folder may be larger than the memory.

    Parameters
    ----------
    folder : Path
        Folder tree of `.npy` files.
    split : str
        "training", "validation" or "held-out".
    skip : callable
        Receives one line for each file that cannot be used.
    report : callable
        As in `list_entries`.

    Raises
    ------
    CorpusError
        If the folder is missing or has no usable file of the split.
    """

    def __init__(
        self,
        folder: Path,
        split: str = TRAINING,
        *,
        skip: Report = warnings.warn,
        report: Report = logger.warning,
    ) -> None:
        self.entries: list[Entry] = []
        self.arrays = FeatureFiles()
        for entry in list_entries(folder, FEATURE_SUFFIXES, report=report):
            if entry.split != split:
                continue
            try:
                self.arrays.add(entry.path)
            except AudioError as error:
                skip(f"{error}; skipped")
            else:
                self.entries.append(entry)
        if not self.entries:
            raise CorpusError(
                f"{folder} has no {split} features; fill it with `clavilux features AUDIO_DIR -o {folder}`"
            )
        self._ends = np.cumsum(self.arrays.lengths)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Tensor:
        if not 0 <= index < len(self):
            raise IndexError(index)
        track = int(np.searchsorted(self._ends, index, side="right"))
        first = int(self._ends[track - 1]) if track else 0
        return torch.from_numpy(self.arrays.window(track, index - first))

    def clips(self, per_track: int) -> Tensor:
        """Return the indices (n,) of at most `per_track` windows of each track, evenly spaced in the track."""
        starts = self._ends - np.array(self.arrays.lengths)
        clips = [
            start + np.unique(np.linspace(0, length - 1, per_track + 2).round().astype(int)[1:-1])
            for start, length in zip(starts, self.arrays.lengths, strict=True)
        ]
        return torch.from_numpy(np.concatenate(clips))

    def track_weights(self) -> Tensor:
        """Return sampling weights (n,) of windows: a track is drawn in proportion to the square root of its length."""
        return torch.cat([torch.full((length,), length**-0.5) for length in self.arrays.lengths])


def list_entries(folder: Path, suffixes: frozenset[str], *, report: Report = logger.warning) -> list[Entry]:
    """Return all files with one of these extensions, sorted by name, with their split and role.

    If the folder has a `corpus.csv`, only files with a row in it are returned. The row of a picture names the picture
    file. The row of a feature file names the recording; `descriptors.csv` says which feature file belongs to it, or
    else the names are compared.

    Parameters
    ----------
    folder : Path
    suffixes : frozenset of str
        `FEATURE_SUFFIXES` or `PICTURE_SUFFIXES`.
    report : callable
        Receives one line for each kind of ignored file, for files without a row and for rows without a file.

    Raises
    ------
    CorpusError
        If ``folder`` is not a folder, one of the tables is invalid, or the row of a file is ambiguous.
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
    rows = _read_splits(folder)
    if rows is None:
        return [Entry(named[name], name, split, "abstract") for name, split in _split_by_hash(list(named)).items()]
    row_of = _match_features(folder, list(named), rows) if suffixes <= FEATURE_SUFFIXES else match_names(named, rows)
    for what, names in (
        (f"left out, because they have no row in {TABLE_NAME}", [name for name in named if name not in row_of]),
        (f"missing, though they have a row in {TABLE_NAME}", sorted(rows.keys() - set(row_of.values()))),
    ):
        if names:
            report(f"{folder}: {what}: {first_names(names)} ({len(names)} in all)")
    return [
        Entry(path, name, rows[row_of[name]]["split"], rows[row_of[name]]["role"])
        for name, path in named.items()
        if name in row_of
    ]


def read_descriptors(folder: Path) -> dict[str, Row]:
    """Return the rows of `descriptors.csv` by the normalised name of the feature file.

    Raises
    ------
    CorpusError
        If the table is missing or unreadable, or has two rows for one feature file.
    """
    path = folder / TABLE
    if not os.path.lexists(path):
        raise CorpusError(f"{path} is missing; `clavilux features` writes it beside the features")
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
    """Return the descriptors of a song, of its first half and of its second half, as lists of shape (3, descriptors).

    Raises
    ------
    CorpusError
        If the rows (from `read_descriptors`) lack the song or a descriptor, or a value is not a finite number.
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

    With a `corpus.csv`, it has the hash of this table, the number of files by role and split, and the sources with
    their licences. Otherwise it has the number of files.

    Raises
    ------
    CorpusError
        If the table lacks a column, or a training or validation row is not free.
    """
    path = folder / TABLE_NAME
    if not os.path.lexists(path):
        return {"files": len(list_folder(folder, None).files)}
    rows = read_rows(path, required=("split", "role", "source", "tier", "licence"))
    rows = [row for row in rows if row["split"] in (TRAINING, VALIDATION)]
    closed = [row for row in rows if row["tier"] != "free"]
    if closed:
        raise CorpusError(
            f"{closed[0].where}: tier is {closed[0]['tier']!r} in a row for {closed[0]['split']}, but bundles may "
            "only learn from free files; change its split to held-out"
        )
    return {
        "table_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "counts": dict(Counter(f"{row['role']}, {row['split']}" for row in rows)),
        "sources": {
            source: {"files": n, "licence": next(row["licence"] for row in rows if row["source"] == source)}
            for source, n in sorted(Counter(row["source"] for row in rows).items())
        },
    }


def _read_splits(folder: Path) -> dict[str, Row] | None:
    """Return the rows of `corpus.csv` by normalised name; None if there is no table."""
    path = folder / TABLE_NAME
    if not os.path.lexists(path):
        return None
    return {normalise_name(row["file"]): row for row in read_rows(path, required=("split", "role"))}


def _match_features(folder: Path, names: list[str], rows: dict[str, Row]) -> dict[str, str]:
    """Return the name of the row of `corpus.csv` for each feature file that has one."""
    if not os.path.lexists(folder / TABLE):
        found, several = match_features(names, rows)
        for name, candidates in several.items():
            raise CorpusError(
                f"{folder / name}: may be of {' or of '.join(candidates)} in {TABLE_NAME}; put the {TABLE} beside it "
                "that `clavilux features` wrote with it"
            )
        return found
    recordings = {name: normalise_name(row["file"]) for name, row in read_descriptors(folder).items()}
    found = match_names(names, rows)  # a table may list feature files directly
    left = {recordings[name]: name for name in names if name in recordings and name not in found}
    matched = match_names(left, rows.keys() - set(found.values()))
    return found | {left[recording]: row for recording, row in matched.items()}


def _split_by_hash(names: list[str]) -> dict[str, str]:
    """Return a split by a hash of the file name. Adding files changes it only in small folders."""
    place = {name: int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32 for name in names}
    # In a small folder, no hash may be below the share; the smallest ones are used then.
    fewest = min(_FEWEST_FOR_VALIDATION, len(names) // 4)
    stand_ins = set(sorted(names, key=place.__getitem__)[:fewest])
    return {n: VALIDATION if place[n] < _VALIDATION_SHARE or n in stand_ins else TRAINING for n in names}
