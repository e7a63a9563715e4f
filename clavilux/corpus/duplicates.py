"""Near duplicates across sources: the same picture saved again, the same recording in another format.

Of each set of duplicates the first in the given order stays. Recolourings, rescalings of a family of works, remixes and
other takes are no duplicates.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clavilux.corpus.pictures import PictureMeasure
from clavilux.corpus.recordings import RecordingMeasure

# Looked at: all pairs of 5 300 pictures within these two bounds (11) are one picture saved twice. Beyond 8 bits unlike
# pictures begin; beyond 9 in colour, recolourings of a wallpaper. Two scans of one painting can differ by 20 in colour:
# they stay, on the same side of the split, as they have the same painter.
MAX_HASH_BITS = 8  # of 64
MAX_COLOUR_DISTANCE = 8.0  # CIE 1976 between mean colours of a quadrant, largest of the four
# Measured: 36 recordings coded again as MP3 at 64 kbit/s and Opus at 48 kbit/s correlate with themselves at 0.99 and
# more; of the pairs of 1 048 recordings, two mixes of one piece reach 0.89, all others stay below 0.79.
MAX_LENGTH_RATIO = 1.03
MAX_LENGTH_S = 1.0  # that two copies may differ in, beside the ratio
MIN_PRINT_CORRELATION = 0.95


def find_duplicate_pictures(measures: Sequence[PictureMeasure]) -> dict[int, int]:
    """Which pictures repeat an earlier one.

    Returns
    -------
    dict of int to int
        Index of the duplicate to the index of the picture that stays, which is never a duplicate itself.
    """
    hashes = np.array([m.phash for m in measures], dtype=np.uint64)
    colours = np.array([m.colours for m in measures], dtype=np.float64).reshape(-1, 4, 3)
    duplicates: dict[int, int] = {}
    stays = np.ones(len(measures), dtype=bool)
    for i in range(1, len(measures)):
        near = np.flatnonzero(stays[:i] & (np.bitwise_count(hashes[:i] ^ hashes[i]) <= MAX_HASH_BITS))
        like = near[np.linalg.norm(colours[near] - colours[i], axis=2).max(axis=1) <= MAX_COLOUR_DISTANCE]
        if len(like):
            duplicates[i] = int(like[0])
            stays[i] = False
    return duplicates


def find_duplicate_recordings(measures: Sequence[RecordingMeasure]) -> dict[int, int]:
    """Which recordings repeat an earlier one; the same contract as for pictures."""
    seconds = np.array([m.seconds for m in measures])
    prints = np.array([_unit_print(m.print) for m in measures], dtype=np.float32)
    duplicates: dict[int, int] = {}
    stays = np.ones(len(measures), dtype=bool)
    for i in range(1, len(measures)):
        longer, shorter = np.maximum(seconds[:i], seconds[i]), np.minimum(seconds[:i], seconds[i])
        near = np.flatnonzero(stays[:i] & (longer <= shorter * MAX_LENGTH_RATIO + MAX_LENGTH_S))
        like = near[prints[near] @ prints[i] >= MIN_PRINT_CORRELATION]
        if len(like):
            duplicates[i] = int(like[0])
            stays[i] = False
    return duplicates


def _unit_print(sound_print: NDArray[np.float32]) -> NDArray[np.float32]:
    """A fingerprint as a vector of length 1, or of length 0 for a tone that never changes."""
    length = float(np.linalg.norm(sound_print))
    return sound_print.ravel() / length if length > 0 else sound_print.ravel()
