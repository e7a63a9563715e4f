"""Find near duplicates across sources, such as a picture that was saved twice or a recording in two formats.

Of each set of duplicates, the first in the given order stays. Recoloured pictures, different pictures of a series,
remixes and other takes do not count as duplicates.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from clavilux.corpus.pictures import PictureMeasure
from clavilux.corpus.recordings import RecordingMeasure

# Checked by eye: all pairs of 5 300 pictures within both limits (11 pairs) are one picture saved twice. Above 8 bits,
# different pictures match; above 9 in colour, recoloured versions of a wallpaper match. Two scans of one painting can
# differ by 20 in colour: they are kept, in the same split, because they have the same painter.
MAX_HASH_BITS = 8  # of 64
MAX_COLOUR_DISTANCE = 8.0  # CIE 1976 between mean colours of a quadrant, largest of the four
# Measured: 36 recordings encoded again as MP3 at 64 kbit/s and Opus at 48 kbit/s correlate with the originals at 0.99
# or more. Of the pairs of 1 048 recordings, two mixes of one piece reach 0.89, all others stay below 0.79.
MAX_LENGTH_RATIO = 1.03
MAX_LENGTH_S = 1.0  # allowed difference of two copies, in addition to the ratio
MIN_PRINT_CORRELATION = 0.95


def find_duplicate_pictures(measures: Sequence[PictureMeasure]) -> dict[int, int]:
    """Return the near duplicates among pictures: index of each duplicate -> index of the earlier picture that stays.

    A picture that stays is never a duplicate itself.
    """
    hashes = np.array([m.phash for m in measures], dtype=np.uint64)
    colours = np.array([m.colours for m in measures], dtype=np.float64).reshape(-1, 4, 3)

    def find_copies(earlier: NDArray[np.intp], i: int) -> NDArray[np.intp]:
        near = earlier[np.bitwise_count(hashes[earlier] ^ hashes[i]) <= MAX_HASH_BITS]
        close: NDArray[np.bool_] = np.linalg.norm(colours[near] - colours[i], axis=2).max(axis=1) <= MAX_COLOUR_DISTANCE
        return np.asarray(near[close])

    return _find_duplicates(len(measures), find_copies)


def find_duplicate_recordings(measures: Sequence[RecordingMeasure]) -> dict[int, int]:
    """Return the near duplicates among recordings: index of each duplicate -> index of the earlier one that stays.

    A recording that stays is never a duplicate itself.
    """
    seconds = np.array([m.seconds for m in measures])
    prints = np.array([_normalise(m.print) for m in measures], dtype=np.float32)

    def find_copies(earlier: NDArray[np.intp], i: int) -> NDArray[np.intp]:
        longer, shorter = np.maximum(seconds[earlier], seconds[i]), np.minimum(seconds[earlier], seconds[i])
        near = earlier[longer <= shorter * MAX_LENGTH_RATIO + MAX_LENGTH_S]
        close: NDArray[np.bool_] = prints[near] @ prints[i] >= MIN_PRINT_CORRELATION
        return np.asarray(near[close])

    return _find_duplicates(len(measures), find_copies)


def _find_duplicates(n: int, find_copies: Callable[[NDArray[np.intp], int], NDArray[np.intp]]) -> dict[int, int]:
    """Compare each index with the earlier ones that stay; the first copy that is found is the one that stays."""
    duplicates: dict[int, int] = {}
    stays = np.ones(n, dtype=bool)
    for i in range(1, n):
        copies = find_copies(np.flatnonzero(stays[:i]), i)
        if len(copies):
            duplicates[i] = int(copies[0])
            stays[i] = False
    return duplicates


def _normalise(fingerprint: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a fingerprint as a vector of length 1, or of zeros for a tone that never changes."""
    length = float(np.linalg.norm(fingerprint))
    return fingerprint.ravel() / length if length > 0 else fingerprint.ravel()
