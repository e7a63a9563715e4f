"""Feature files as songs: windows that were measured earlier are painted without their sound.

.npy of windows -> **here** -> Song without descriptors -> engine

A feature file holds MFCC alone. Tempo, key and the other descriptors cannot be read off it, so the engine puts the
means of the training corpus in their place, and the song carries a warning that says so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.decode import check_file
from clavilux.audio.song import Song, hash_file
from clavilux.constants import MFCC_ROWS, WINDOW_FRAMES, WINDOW_S
from clavilux.errors import AudioError
from clavilux.system.files import check_shortage, list_folder

Float32 = NDArray[np.float32]

CLIP_SUFFIX = ".npy"
NO_DESCRIPTORS = (
    "a feature file tells no tempo, key or loudness: the picture takes the means of the training songs for them"
)


def read_clips(path: Path) -> Float32:
    """Return the windows of a feature file, (n, 20, 216) float32, mapped from the disk and not yet read.

    Raises
    ------
    AudioError
        If the file cannot be read, is no ``.npy``, or holds something else than one or more windows.
    """
    check_file(path)
    try:
        array = np.lib.format.open_memmap(path, mode="r")  # unlike np.load it takes no pickle and no archive
    except OSError as error:
        check_shortage(error)
        raise AudioError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, OverflowError, SyntaxError, TokenError) as error:  # NumPy reads the header as Python source
        raise AudioError(f"{path}: is no feature file ({error})") from error
    if array.shape[-2:] != (MFCC_ROWS, WINDOW_FRAMES) or array.ndim not in (2, 3):
        raise AudioError(
            f"{path}: has shape {array.shape}; a feature file has ({MFCC_ROWS}, {WINDOW_FRAMES}) or "
            f"(n, {MFCC_ROWS}, {WINDOW_FRAMES})"
        )
    if array.size == 0 or array.dtype.kind != "f":
        raise AudioError(f"{path}: holds {len(array)} windows of type {array.dtype}; it needs one or more, of floats")
    return array.reshape(-1, MFCC_ROWS, WINDOW_FRAMES)


def song_of_clips(path: Path, clip: int | None = None) -> Song:
    """Return a feature file as a song.

    Parameters
    ----------
    path : Path
    clip : int, optional
        The window to take alone, from 0; all of them together if left out.

    Raises
    ------
    AudioError
        If it is no feature file, has no such window, or holds numbers that are not finite.
    """
    windows = read_clips(path)
    if clip is not None:
        if not 0 <= clip < len(windows):
            raise AudioError(f"{path}: has no clip {clip}; it has 0 to {len(windows) - 1}")
        windows = windows[clip : clip + 1]
    windows = np.array(windows, np.float32)
    if not np.isfinite(windows).all():
        raise AudioError(f"{path}: holds numbers that are not finite; measure it again with `clavilux features`")
    return Song(
        path=path,
        name=path.stem if clip is None else f"{path.stem}, clip {clip}",
        sha256=hash_file(path),
        duration_s=len(windows) * WINDOW_S,
        windows=windows,
        window_db=np.full(len(windows), np.nan, np.float32),
        audible=np.ones(len(windows), bool),
        is_silent=False,
        descriptors={},
        warnings=(NO_DESCRIPTORS,),
    )


def pick_clips(
    folder: Path, count: int, rng: np.random.Generator, *, skip: Callable[[str], None]
) -> list[tuple[Path, int]]:
    """Pick clips at random from all feature files of a folder tree, each window with the same chance and none twice.

    Parameters
    ----------
    folder : Path
    count : int
        How many, 1 or more.
    rng : numpy Generator
    skip : callable
        Takes one line for each file that is no feature file or cannot be read; the others are picked from.

    Returns
    -------
    list of (Path, int)
        File and number of the window in it.

    Raises
    ------
    AudioError
        If there are fewer clips than asked for.
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
    places = np.searchsorted(ends, picked, side="right")
    firsts = ends - lengths
    return [(files[place], int(number - firsts[place])) for place, number in zip(places, picked, strict=True)]
