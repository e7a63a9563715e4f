"""Loudness of a song, and which of its frames are not pauses."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

SOUNDING_DB = 40.0  # frames further below the 95th percentile of the song are pauses
SILENT_POWER = 1e-14  # mean square of a frame; frames at or below it are silent in any song
SILENT_LUFS = -70.0  # absolute gate of ITU-R BS.1770


def find_sounding(power: Float32) -> NDArray[np.bool_]:
    """Return a mask (T,) that is True for frames that are not pauses, from the mean squares of the frames (T,).

    A pause is a frame more than `SOUNDING_DB` below the 95th percentile of the song, or of at most `SILENT_POWER`.
    """
    loud = float(np.percentile(power, 95))
    return np.asarray(power > max(loud * 10 ** (-SOUNDING_DB / 10), SILENT_POWER))


def measure_loudness(k_power: Float32) -> float:
    """Return the integrated loudness in LUFS from the K-weighted mean squares of the frames (T,).

    ITU-R BS.1770: blocks of 0.4 s every 0.1 s, gated at -70 LUFS and at 10 LU below their mean. BS.1770 adds the powers
    of the channels. Here the channels are mixed to mono first, so stereo with two equal channels is 3 LU lower. If no
    block is above -70 LUFS, the result is -70.
    """
    blocks = _block_loudness(k_power, 17, 4)
    blocks = blocks[blocks > SILENT_LUFS]
    if not blocks.size:
        return SILENT_LUFS
    return _mean_level(blocks[blocks > _mean_level(blocks) - 10])


def measure_loudness_range(k_power: Float32) -> float:
    """Return the loudness range in LU from the K-weighted mean squares of the frames (T,).

    EBU Tech 3342: 10th to 95th percentile of blocks of 3 s every second, gated at 20 LU below their mean. Without the
    absolute gate of the standard, the range does not depend on the level.
    """
    blocks = _block_loudness(k_power, 129, 43)
    blocks = blocks[blocks > 10 * math.log10(SILENT_POWER)]
    if not blocks.size:
        return 0.0
    blocks = blocks[blocks > _mean_level(blocks) - 20]
    return float(np.percentile(blocks, 95) - np.percentile(blocks, 10))


def _block_loudness(k_power: Float32, length: int, hop: int) -> Float64:
    """Return the loudness of blocks of `length` frames every `hop`, in LUFS; a shorter song is one block."""
    length = min(length, k_power.size)
    total = np.cumsum(k_power, dtype=np.float64)
    mean_square = (total[length - 1 :] - np.concatenate([[0.0], total[:-length]]))[::hop] / length
    return np.asarray(-0.691 + 10 * np.log10(np.maximum(mean_square, 1e-20)))


def _mean_level(db: Float64) -> float:
    return float(10 * np.log10((10 ** (db / 10)).mean()))
