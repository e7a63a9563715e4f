"""The two folders that a training learns from: feature files and pictures.

`datasets/audio_features/` holds `.npy` files, each one window (20, 216) or many (n, 20, 216): what `clavilux features`
writes. `datasets/abstract_art/` holds pictures of any size and mode. Both are split by track and by source picture; a
`corpus.csv` that `clavilux corpus build` wrote beside them says how, else a hash of the file's name does: about one
file in eight is for validation, and at least three.
"""

from __future__ import annotations

import csv
import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from clavilux.constants import ENCODER_SIDE_PX, MFCC_ROWS, WINDOW_FRAMES
from clavilux.errors import CorpusError, PictureError
from clavilux.images import middle_square, read_picture, resize

TRAINING, VALIDATION, HELD_OUT = "training", "validation", "held-out"
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
_VALIDATION_SHARE = 0.12
_FEWEST_FOR_VALIDATION = 3  # two songs have one distance, and a correlation over one number is none


@dataclass(frozen=True)
class Entry:
    """One file of a folder: its path, its name relative to the folder, its split and its role."""

    path: Path
    name: str
    split: str
    role: str


class AudioFeatureDataset(Dataset[Tensor]):
    """Windows of features, (20, 216) float32 each, of the tracks of one split.

    Files stay on disk and are mapped into memory, so that a folder may be larger than the memory.

    Parameters
    ----------
    folder : Path
        Folder tree of `.npy` files.
    split : str
        "training", "validation" or "held-out".
    skip : callable
        Takes one line for each file that cannot be used.

    Raises
    ------
    CorpusError
        The folder is missing, or nothing in it can be used.
    """

    def __init__(self, folder: Path, split: str = TRAINING, *, skip: Callable[[str], None] = warnings.warn) -> None:
        self.entries: list[Entry] = []
        self.arrays: list[NDArray[np.float32]] = []
        counts: list[int] = []
        for entry in list_entries(folder, frozenset({".npy"})):
            if entry.split != split:
                continue
            try:
                array = np.load(entry.path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                skip(f"{entry.path}: skipped, not a .npy file that can be read ({error})")
                continue
            if array.shape[-2:] != (MFCC_ROWS, WINDOW_FRAMES) or array.ndim not in (2, 3) or array.dtype != np.float32:
                skip(
                    f"{entry.path}: skipped, {array.dtype} of shape {array.shape}; features are float32 "
                    f"({MFCC_ROWS}, {WINDOW_FRAMES}) or (windows, {MFCC_ROWS}, {WINDOW_FRAMES})"
                )
                continue
            if array.size == 0:
                skip(f"{entry.path}: skipped, it holds no window")
                continue
            self.entries.append(entry)
            self.arrays.append(array.reshape(-1, MFCC_ROWS, WINDOW_FRAMES))
            counts.append(len(self.arrays[-1]))
        if not self.entries:
            raise CorpusError(
                f"{folder} has no {split} features; fill it with `clavilux features AUDIO_DIR -o {folder}`"
            )
        self._ends = np.cumsum(counts)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Tensor:
        track = int(np.searchsorted(self._ends, index, side="right"))
        first = int(self._ends[track - 1]) if track else 0
        return torch.from_numpy(np.array(self.arrays[track][index - first]))

    def clips(self, per_track: int) -> Tensor:
        """Indices of at most so many windows of each track, evenly spread over it: (n,)."""
        starts = self._ends - np.array([len(a) for a in self.arrays])
        found = [
            start + np.unique(np.linspace(0, len(a) - 1, per_track + 2).round().astype(int)[1:-1])
            for start, a in zip(starts, self.arrays, strict=True)
        ]
        return torch.from_numpy(np.concatenate(found))

    def track_weights(self) -> Tensor:
        """Weight of each window that gives a long track no more than the square root of its length: (n,)."""
        weights = [torch.full((len(a),), len(a) ** -0.5) for a in self.arrays]
        return torch.cat(weights)


class ImageDataset(Dataset[Tensor]):
    """Pictures of one split as (3, side, side) float32 in [0, 1]: the middle square, area-averaged.

    Parameters
    ----------
    folder : Path
        Folder tree of PNG, JPEG or WebP of any size and mode. Broken files are named and skipped when they are met.
    split : str
        "training", "validation" or "held-out".
    side : int
        Pixels.

    Raises
    ------
    CorpusError
        The folder is missing, or has no picture of this split that can be read.
    """

    def __init__(
        self,
        folder: Path,
        split: str = TRAINING,
        *,
        side: int = ENCODER_SIDE_PX,
        skip: Callable[[str], None] = warnings.warn,
    ) -> None:
        self.side = side
        self.entries: list[Entry] = []
        self.pictures: list[NDArray[np.uint8]] = []
        for entry in list_entries(folder, PICTURE_SUFFIXES):
            if entry.split != split:
                continue
            try:
                rgb = read_picture(entry.path)
            except PictureError as error:
                skip(f"{error}; skipped")
                continue
            self.entries.append(entry)
            self.pictures.append(resize(middle_square(rgb), side))
        if not self.entries:
            raise CorpusError(f"{folder} has no {split} pictures; put PNG, JPEG or WebP files into it")

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Tensor:
        return to_tensor(self.pictures[index])


def list_entries(folder: Path, suffixes: frozenset[str]) -> list[Entry]:
    """All files with one of these suffixes, sorted by name, with their split and role."""
    if not folder.is_dir():
        raise CorpusError(f"{folder} is no folder")
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in suffixes and path.is_file()]
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    table = _read_table(folder)
    if table is None:
        return [Entry(named[name], name, split, "abstract") for name, split in _split_by_hash(list(named)).items()]
    return [Entry(path, name, *table[_key(name)]) for name, path in named.items() if _key(name) in table]


def to_tensor(rgb: NDArray[np.uint8]) -> Tensor:
    """(H, W, 3) uint8 -> (3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))).float() / 255.0


def _read_table(folder: Path) -> dict[str, tuple[str, str]] | None:
    """File without suffix -> (split, role), from `corpus.csv`; None where there is none."""
    path = folder / "corpus.csv"
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8") as file:
        return {_key(row["file"]): (row["split"], row["role"]) for row in csv.DictReader(file)}


def _key(name: str) -> str:
    """Name without suffix and without the folder `files/` of a built corpus, so that features find their recording."""
    stem = name.rsplit(".", 1)[0] if "." in name.rsplit("/", 1)[-1] else name
    return stem.removeprefix("files/")


def _split_by_hash(names: list[str]) -> dict[str, str]:
    """A stable split for folders without a table: in all but very small folders a file stays on its side."""
    place = {name: int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32 for name in names}
    # A small folder may have no file below the share by bad luck; the nearest ones stand in.
    fewest = min(_FEWEST_FOR_VALIDATION, len(names) // 4)
    stand_ins = set(sorted(names, key=place.__getitem__)[:fewest])
    return {n: VALIDATION if place[n] < _VALIDATION_SHARE or n in stand_ins else TRAINING for n in names}
