"""Read feature files as songs: .npy file -> **clips** -> `Song` -> engine.

A feature file has the MFCC of the windows of a song, but not its sound. Each of these windows is also called a clip.
Tempo, key and the other descriptors cannot be computed from MFCC, so this module reads them from the table
`descriptors.csv` that ``clavilux features`` wrote. If the table has no row for the file, `clavilux.engine` uses the
mean descriptors of the training songs instead, and `Song.warnings` says so.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.audio.feature_table import TABLE, version_of
from clavilux.audio.mfcc import FeatureSettings, read_settings
from clavilux.audio.open_audio import check_file
from clavilux.audio.song import Song, hash_file
from clavilux.constants import MFCC_ROWS, WINDOW_FRAMES, WINDOW_S
from clavilux.errors import AudioError
from clavilux.system.arguments import counted
from clavilux.system.files import check_shortage, list_folder
from clavilux.system.tables import read_number, read_table

# Patterns of the fields in the header of a .npy file. In Python 2, NumPy wrote lengths such as 3L.
_HEADER = {
    "descr": "'[<>|=][a-zA-Z]\\d*'",
    "fortran_order": "True|False",
    "shape": r"\((?:\d{1,15}L?, ?)*(?:\d{1,15}L?)?\)",
}

CLIP_SUFFIX = ".npy"
LARGEST_MFCC = 1e5  # larger absolute values are refused; even 128 mel bands of 300 dB give only 3400
MAX_HEADER_BYTES = 10_000  # NumPy has the same limit
NO_DESCRIPTORS = (
    "has no row in a descriptors.csv beside it: the means of the training songs stand for pace, brightness and all "
    "other descriptors, so that the picture is not that of its song"
)

_LEVELS = 16  # folders above a feature file in which its table is searched


def read_clips(path: Path) -> NDArray[np.floating]:
    """Return the windows (n, 20, 216) of a feature file, memory-mapped.

    The file may have floats of 16, 32 or 64 bits, in either byte order, in C or Fortran order. An array of shape
    (20, 216) is one window.

    Raises
    ------
    AudioError
        If the file cannot be read, is not a ``.npy`` file, or has an array of another shape or type.
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
    """Return the song of a feature file, with the descriptors of the whole song from `descriptors.csv` beside it.

    Parameters
    ----------
    path : Path
        A feature file.
    clip : int, optional
        Use only this window, counted from 0; by default, all windows.

    Raises
    ------
    AudioError
        If the file is not a feature file, has no window with the index ``clip``, or has a NaN or an absolute value
        above `LARGEST_MFCC`.
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
    settings = read_settings(path)
    descriptors, seconds, fault = _find_descriptors(path, settings)
    return Song(
        path=path,
        name=path.stem if clip is None else f"{path.stem}, clip {clip}",
        sha256=hash_file(path),
        duration_s=seconds if seconds and clip is None else len(windows) * WINDOW_S,
        windows=windows,
        window_db=np.full(len(windows), np.nan, np.float32),
        audible=np.ones(len(windows), bool),
        is_silent=False,
        descriptors=descriptors,
        warnings=() if descriptors else (NO_DESCRIPTORS, fault) if fault else (NO_DESCRIPTORS,),
        settings=settings,
    )


def _find_descriptors(path: Path, settings: FeatureSettings) -> tuple[dict[str, float], float, str]:
    """Return the descriptors and the duration in seconds of the song of a feature file, and a message.

    Both come from the nearest `descriptors.csv` with a row for the file, in its folder or above it. If there is no row,
    the result is ({}, 0.0, ""). If the row is outdated or incomplete, the descriptors are empty, and the message says
    why; otherwise the message is empty.
    """
    absolute = Path(os.path.abspath(path))
    for folder in absolute.parents[:_LEVELS]:
        table = folder / TABLE
        try:
            status = os.stat(table)
            rows = _read_rows(table, status.st_mtime_ns, status.st_size)
        except (OSError, AudioError):  # there is no table, or it is not a table of features
            continue
        found = rows.get(absolute.relative_to(folder).as_posix())
        if found is None:
            continue
        version, seconds, numbers = found
        again = "run `clavilux features` again for the bundle that you paint with"
        if version != version_of(settings):
            return {}, seconds, f"its row of {TABLE} is of another version; {again}"
        if len(numbers) < len(DESCRIPTORS):
            return {}, seconds, f"its row of {TABLE} is incomplete; {again}"
        return numbers, seconds, ""
    return {}, 0.0, ""


@lru_cache(maxsize=4)
def _read_rows(table: Path, mtime_ns: int, size: int) -> dict[str, tuple[str, float, dict[str, float]]]:
    """Return the rows of a table: name of the feature file -> version, duration in seconds, descriptors.

    ``mtime_ns`` and ``size`` are the modification time and the size of the table. They are part of the cache key, so
    that a changed table is read again.
    """
    columns, rows = read_table(table, AudioError, skip=lambda line: None)
    if not {"npy", "version", "seconds"} <= set(columns):
        return {}
    found = {}
    for row in rows:
        numbers: dict[str, float] = {}
        for name in ("seconds", *DESCRIPTORS):
            with suppress(KeyError, AudioError):  # a missing column, or not a number
                numbers[name] = read_number(row, name, AudioError)
        found[row["npy"]] = (row["version"], numbers.pop("seconds", 0.0), numbers)
    return found


def pick_clips(
    folder: Path, count: int, rng: np.random.Generator, *, skip: Callable[[str], None]
) -> list[tuple[Path, int]]:
    """Return ``count`` random clips (windows) from the feature files of a folder tree.

    They are drawn uniformly and without replacement from all clips of all files.

    Parameters
    ----------
    folder : Path
        Folder tree with feature files.
    count : int
        Number of clips, at least 1.
    rng : numpy Generator
        Source of the random numbers.
    skip : callable
        Called with a message for each file that is not a feature file or cannot be read.

    Returns
    -------
    list of (Path, int)
        The feature file of each clip, and the index of its window.

    Raises
    ------
    AudioError
        If there are fewer than ``count`` clips.
    """
    lengths: dict[Path, int] = {}
    listing = list_folder(folder, frozenset({CLIP_SUFFIX}))
    for line in listing.faults():
        skip(line)
    for file in listing.files:
        try:
            lengths[file] = len(read_clips(file))
        except AudioError as error:
            skip(str(error))
    clips = [(file, i) for file, length in lengths.items() for i in range(length)]
    if not lengths:
        raise AudioError(
            f"{folder}: has no feature files (.npy), from which clips are taken; make them from songs with `clavilux "
            "features SONGS -o DIR`, and give DIR"
        )
    if len(clips) < count:
        raise AudioError(
            f"{folder}: has {counted(len(clips), 'clip')} in {counted(len(lengths), 'feature file')} (.npy); {count} "
            "were asked for: ask for fewer, or give a folder with more"
        )
    return [clips[i] for i in rng.choice(len(clips), size=count, replace=False)]
