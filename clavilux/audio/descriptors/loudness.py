"""Measure the loudness of a song, and find the frames that are not pauses."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from clavilux.audio import Float32

Float64 = NDArray[np.float64]

SOUNDING_DB = 40.0  # frames more than this below the 95th percentile of the song are pauses
SILENT_POWER = 1e-14  # mean square of a frame; in every song, frames with this or less are pauses
SILENT_LUFS = -70.0  # absolute gate of ITU-R BS.1770, and the loudness of a silent song


def find_sounding(power: Float32) -> NDArray[np.bool_]:
    """Return a mask (T,) of the frames that are not pauses, from the mean squares (T,) of the frames.

    A pause is a frame whose level is more than `SOUNDING_DB` below the 95th percentile of all frames of the song, or
    whose mean square is at most `SILENT_POWER`.
    """
    loud = float(np.percentile(power, 95))
    return np.asarray(power > max(loud * 10 ** (-SOUNDING_DB / 10), SILENT_POWER))


def measure_loudness(k_power: Float32) -> float:
    """Return the integrated loudness in LUFS, from the K-weighted mean squares (T,) of the frames.

    As in ITU-R BS.1770, the integrated loudness is the level of the mean power of blocks of 0.4 s, which begin every
    0.1 s. First, blocks of at most -70 LUFS are left out; then, blocks more than 10 LU below the mean of the remaining
    blocks. If no block is above -70 LUFS, the result is -70.

    The standard adds the powers of the channels. Here the channels are mixed to mono before the measurement, so the
    result for stereo with two equal channels is 3 LU lower.
    """
    blocks = _block_loudness(k_power, 17, 4)
    blocks = blocks[blocks > SILENT_LUFS]
    if not blocks.size:
        return SILENT_LUFS
    return _mean_level(blocks[blocks > _mean_level(blocks) - 10])


def measure_loudness_range(k_power: Float32) -> float:
    """Return the loudness range in LU, from the K-weighted mean squares (T,) of the frames.

    As in EBU Tech 3342, the range is the difference between the 10th and the 95th percentile of the levels of blocks of
    3 s, which begin every second. Blocks more than 20 LU below the mean are left out. The absolute gate of the standard
    is not used, so that the range does not depend on the level.
    """
    blocks = _block_loudness(k_power, 129, 43)
    blocks = blocks[blocks > 10 * math.log10(SILENT_POWER)]
    if not blocks.size:
        return 0.0
    blocks = blocks[blocks > _mean_level(blocks) - 20]
    return float(np.percentile(blocks, 95) - np.percentile(blocks, 10))


def _block_loudness(k_power: Float32, length: int, hop: int) -> Float64:
    """Return the loudness in LUFS of blocks of `length` frames, one every `hop` frames; a shorter song is one block."""
    length = min(length, k_power.size)
    total = np.cumsum(k_power, dtype=np.float64)
    mean_square = (total[length - 1 :] - np.concatenate([[0.0], total[:-length]]))[::hop] / length
    return np.asarray(-0.691 + 10 * np.log10(np.maximum(mean_square, 1e-20)))


def _mean_level(db: Float64) -> float:
    return float(10 * np.log10((10 ** (db / 10)).mean()))
