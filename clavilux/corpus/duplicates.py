"""Find near duplicates across sources, such as a picture that was saved twice or a recording in two formats.

Of each set of duplicates, the first in the given order stays. Recoloured pictures, different pictures of a series,
remixes and other takes are not duplicates.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from clavilux.corpus.pictures import PictureMeasure
from clavilux.corpus.recordings import RecordingMeasure

# Of all pairs of 5 300 pictures, 11 are within both limits. Each pair was looked at: it is one picture that was saved
# twice. With a limit above 8 bits, different pictures match. With a limit above 9 for the colour distance, recoloured
# versions of a wallpaper match. Two scans of one painting can differ by 20 in colour. Then both scans are kept, in the
# same split, because the painter is the same.
MAX_HASH_BITS = 8  # largest number of different bits, of 64
MAX_COLOUR_DISTANCE = 8.0  # CIE 1976 distance between the mean colours of a quadrant, for each of the four
# 36 recordings that were encoded again as MP3 at 64 kbit/s and Opus at 48 kbit/s correlate with the originals at 0.99
# or more. Of all pairs of 1 048 recordings, two mixes of one piece reach 0.89, and all others are below 0.79.
MAX_DURATION_RATIO = 1.03  # longer divided by shorter recording, for two copies
MAX_DURATION_DIFFERENCE_S = 1.0  # allowed in addition to the ratio
MIN_PRINT_CORRELATION = 0.95


def find_duplicate_pictures(measures: Sequence[PictureMeasure]) -> dict[int, int]:
    """Return a dict from the index of each near duplicate to the index of the earlier picture that stays."""
    hashes = np.array([m.phash for m in measures], dtype=np.uint64)
    colours = np.array([m.colours for m in measures], dtype=np.float64).reshape(-1, 4, 3)

    def find_copies(earlier: NDArray[np.intp], i: int) -> NDArray[np.intp]:
        near = earlier[np.bitwise_count(hashes[earlier] ^ hashes[i]) <= MAX_HASH_BITS]
        close: NDArray[np.bool_] = np.linalg.norm(colours[near] - colours[i], axis=2).max(axis=1) <= MAX_COLOUR_DISTANCE
        return np.asarray(near[close])

    return _find_duplicates(len(measures), find_copies)


def find_duplicate_recordings(measures: Sequence[RecordingMeasure]) -> dict[int, int]:
    """Return a dict from the index of each near duplicate to the index of the earlier recording that stays."""
    seconds = np.array([m.seconds for m in measures])
    prints = np.array([_normalise(m.print) for m in measures], dtype=np.float32)

    def find_copies(earlier: NDArray[np.intp], i: int) -> NDArray[np.intp]:
        longer, shorter = np.maximum(seconds[earlier], seconds[i]), np.minimum(seconds[earlier], seconds[i])
        near = earlier[longer <= shorter * MAX_DURATION_RATIO + MAX_DURATION_DIFFERENCE_S]
        close: NDArray[np.bool_] = prints[near] @ prints[i] >= MIN_PRINT_CORRELATION
        return np.asarray(near[close])

    return _find_duplicates(len(measures), find_copies)


def _find_duplicates(n: int, find_copies: Callable[[NDArray[np.intp], int], NDArray[np.intp]]) -> dict[int, int]:
    """Return a dict from the index of each duplicate among n files to the index of the earlier file that stays.

    ``find_copies(earlier, i)`` gets the indices of the earlier files that stay, and returns the indices of those files
    that are near duplicates of file i.
    """
    duplicates: dict[int, int] = {}
    stays = np.ones(n, dtype=bool)
    for i in range(1, n):
        copies = find_copies(np.flatnonzero(stays[:i]), i)
        if len(copies):
            duplicates[i] = int(copies[0])
            stays[i] = False
    return duplicates


def _normalise(fingerprint: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a fingerprint, flattened and scaled to length 1; the fingerprint of a constant tone stays zero."""
    length = float(np.linalg.norm(fingerprint))
    return fingerprint.ravel() / length if length > 0 else fingerprint.ravel()
