"""Read feature files as songs: .npy file -> **clips** -> `Song` -> engine.

A feature file has the MFCC of windows, without the sound. A clip is one of these windows. Tempo, key and the other
descriptors cannot be computed from them. They are read from the `descriptors.csv` that ``clavilux features`` wrote
beside it. Without it, the engine uses the means of the training corpus, and the song has a warning.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.mfcc import read_settings
from clavilux.audio.open_audio import check_file
from clavilux.audio.song import Song, hash_file
from clavilux.constants import MFCC_ROWS, WINDOW_FRAMES, WINDOW_S
from clavilux.errors import AudioError
from clavilux.system.files import check_shortage, list_folder

# Patterns of the fields in the header of a .npy file; in Python 2, NumPy wrote lengths as 3L.
_HEADER = {
    "descr": "'[<>|=][a-zA-Z]\\d*'",
    "fortran_order": "True|False",
    "shape": r"\((?:\d{1,15}L?, ?)*(?:\d{1,15}L?)?\)",
}

CLIP_SUFFIX = ".npy"
LARGEST_MFCC = 1e5  # 128 mel bands of 300 dB give 3400; `LOUDEST_SAMPLE` in `clavilux.audio.mix` gives far less
MAX_HEADER_BYTES = 10_000  # the limit of NumPy
NO_DESCRIPTORS = "a feature file has no tempo, key or loudness: the means of the training songs are used instead"


def read_clips(path: Path) -> NDArray[np.floating]:
    """Return the windows of a feature file, (n, 20, 216), memory-mapped.

    The values are floats of 16, 32 or 64 bits, in either byte order, in C or Fortran order. An array (20, 216) in the
    file is one window.

    Raises
    ------
    AudioError
        If the file cannot be read, is not a ``.npy`` file, or does not hold windows.
    """
    check_file(path)
    try:
        with path.open("rb") as file:
            start = file.read(12)
            n_bytes = 2 if start[6:7] == b"\1" else 4
            offset = 8 + n_bytes + int.from_bytes(start[8 : 8 + n_bytes], "little")
            file.seek(8 + n_bytes)
            header = file.read(min(offset, MAX_HEADER_BYTES)).decode("latin-1")[: offset - 8 - n_bytes]
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        check_shortage(error)
        raise AudioError(f"{path}: cannot be read ({error.strerror or error})") from error
    found = {name: re.search(rf"'{name}': *({form})[,}} ]", header) for name, form in _HEADER.items()}
    descr, in_columns, shape_text = (match[1].strip("'") if match else "" for match in found.values())
    is_whole = start[:6] == b"\x93NUMPY" and start[6:7] in (b"\1", b"\2", b"\3") and header.strip()[-1:] == "}"
    if not (is_whole and descr and in_columns and shape_text):
        raise AudioError(
            f"{path}: is not a feature file: it has no header of a .npy file; make it again with `clavilux features`"
        )
    shape = tuple(int(n) for n in re.findall(r"\d+", shape_text))
    if descr[1] != "f" or descr[2:] not in ("2", "4", "8"):
        raise AudioError(f"{path}: has values of type {descr}; a feature file has floats of 16, 32 or 64 bits")
    if shape[-2:] != (MFCC_ROWS, WINDOW_FRAMES) or len(shape) not in (2, 3) or 0 in shape:
        raise AudioError(
            f"{path}: has shape {shape}; a feature file has ({MFCC_ROWS}, {WINDOW_FRAMES}) or "
            f"(n, {MFCC_ROWS}, {WINDOW_FRAMES}), with n of 1 or more"
        )
    dtype = np.dtype(descr)
    missing = offset + math.prod(shape) * dtype.itemsize - size
    if missing > 0:
        raise AudioError(f"{path}: is cut off: {missing} bytes are missing; make it again with `clavilux features`")
    order: Literal["F", "C"] = "F" if in_columns == "True" else "C"
    try:
        array = np.memmap(path, dtype, mode="r", offset=offset, shape=shape, order=order)
    except (OSError, ValueError) as error:  # the file has become shorter
        raise AudioError(f"{path}: cannot be read ({error})") from error
    return array.reshape(-1, MFCC_ROWS, WINDOW_FRAMES) if array.ndim == 2 else array


def song_of_clips(path: Path, clip: int | None = None) -> Song:
    """Return the song of a feature file, with its descriptors from `descriptors.csv`.

    Parameters
    ----------
    path : Path
    clip : int, optional
        Use only this window, counted from 0; by default, use all.

    Raises
    ------
    AudioError
        If the file is not a feature file, has no window of this number, or has values that are not finite or beyond
        `LARGEST_MFCC`.
    """
    windows = read_clips(path)
    if clip is not None:
        if not 0 <= clip < len(windows):
            raise AudioError(f"{path}: has no clip {clip}; it has 0 to {len(windows) - 1}")
        windows = windows[clip : clip + 1]
    with np.errstate(over="ignore"):  # large float64 values become infinite
        windows = np.array(windows, np.float32, order="C")
    if not (np.abs(windows) <= LARGEST_MFCC).all():  # NaN compares false
        raise AudioError(
            f"{path}: holds numbers that are not finite or beyond {LARGEST_MFCC:g}, too large for MFCC; make it again "
            "with `clavilux features`"
        )
    from clavilux.audio.clip_descriptors import find_descriptors  # tables are read for feature files alone

    settings = read_settings(path)
    descriptors, seconds, fault = find_descriptors(path, settings)
    return Song(
        path=path,
        name=path.stem if clip is None else f"{path.stem}, clip {clip}",
        sha256=hash_file(path),
        duration_s=seconds if seconds and clip is None else len(windows) * WINDOW_S,
        windows=windows,
        window_db=np.full(len(windows), np.nan, np.float32),
        audible=np.ones(len(windows), bool),
        is_silent=False,
        descriptors=descriptors or {},
        warnings=() if descriptors else (NO_DESCRIPTORS, fault) if fault else (NO_DESCRIPTORS,),
        settings=settings,
    )


def pick_clips(
    folder: Path, count: int, rng: np.random.Generator, *, skip: Callable[[str], None]
) -> list[tuple[Path, int]]:
    """Return clips from all feature files of a folder tree, drawn uniformly at random without replacement.

    Parameters
    ----------
    folder : Path
    count : int
        Number of clips, at least 1.
    rng : numpy Generator
    skip : callable
        Called with a message for each file that is not a feature file or cannot be read.

    Returns
    -------
    list of (Path, int)
        File and index of the window in it.

    Raises
    ------
    AudioError
        If there are fewer than ``count`` clips.
    """
    files: list[Path] = []
    lengths: list[int] = []
    listing = list_folder(folder, frozenset({CLIP_SUFFIX}))
    for line in listing.faults():
        skip(line)
    for file in listing.files:
        try:
            lengths.append(len(read_clips(file)))
        except AudioError as error:
            skip(str(error))
        else:
            files.append(file)
    total = sum(lengths)
    if total < count:
        raise AudioError(f"{folder}: has {total} clips in {len(files)} feature files (.npy); {count} were asked for")
    ends = np.cumsum(lengths)
    picked = rng.choice(total, size=count, replace=False)
    indices = np.searchsorted(ends, picked, side="right")
    firsts = ends - lengths
    return [(files[i], int(clip - firsts[i])) for i, clip in zip(indices, picked, strict=True)]
