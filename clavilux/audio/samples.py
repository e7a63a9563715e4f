"""Read sound from an array in memory: array -> **samples** -> mono blocks, as from `clavilux.audio.decode`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.decode import BLOCK_SAMPLES, AudioStream, Float32
from clavilux.audio.mix import FrameFormat
from clavilux.audio.open_audio import SOURCE_RATES_HZ
from clavilux.constants import MAX_AUDIO_S
from clavilux.errors import AudioError
from clavilux.system.arguments import Number, real_number, show

MAX_CHANNELS = 64
INTEGERS = ("uint8", "int8", "int16", "int32")  # full scale is that of the type
NAME = "array"  # of a song that has no file


class SampleStream(AudioStream):
    """Blocks of mono sound of an array, mixed and resampled like a file.

    Parameters
    ----------
    samples : (channels, n) array
        From `check_samples`.
    sample_rate_hz : int
        Sample rate of the array in Hz.
    max_s : float
        Use at most this many seconds.
    """

    def __init__(self, samples: NDArray[Any], sample_rate_hz: int, *, max_s: float = MAX_AUDIO_S) -> None:
        super().__init__(b"", NAME, max_s=max_s)
        self._samples = samples
        self._layout = FrameFormat(sample_rate_hz, str(samples.dtype), True, len(samples))

    def _decoded(self) -> Iterator[tuple[int, Float32]]:
        for start in range(0, self._samples.shape[1], BLOCK_SAMPLES):
            block = self._mixer.mix_down(self._samples[:, start : start + BLOCK_SAMPLES], self._layout)
            yield self._layout.sample_rate, block
        self._warn(0.0, 0.0, 0.0)


def check_samples(y: Any, sr: Number | None) -> tuple[NDArray[Any], int]:
    """Return samples as an array (channels, n), and their sample rate in Hz, after checks of both.

    Floats of 16 bits become float32; other types are kept.

    Parameters
    ----------
    y : (n,) or (channels, n) array
        Floats with full scale 1, or integers of 8, 16 or 32 bits.
    sr : int
        Sample rate in Hz.

    Raises
    ------
    AudioError
        If the array has another type or shape, more than `MAX_CHANNELS` channels, no samples or values that are not
        finite, or the sample rate is missing, out of range or not a whole number.
    """
    low, high = SOURCE_RATES_HZ
    if sr is None:
        raise AudioError("an array has no sample rate; give it in Hz, for example sr=44100")
    rate = real_number("sr", sr, low, high, fault=AudioError)
    if not rate.is_integer():
        raise AudioError(f"sr is {show(sr)}; it must be a whole number of Hz")
    samples = np.asarray(y)
    if samples.ndim not in (1, 2) or samples.size == 0:
        raise AudioError(f"y is {show(samples)}; it must have the shape (n,) or (channels, n), and not be empty")
    samples = np.atleast_2d(samples)
    if len(samples) > MAX_CHANNELS:
        hint = "give y.T" if samples.shape[1] <= MAX_CHANNELS else f"at most {MAX_CHANNELS} are mixed"
        raise AudioError(f"y has shape {samples.shape}, which is (channels, n) with {len(samples)} channels; {hint}")
    if samples.dtype.kind == "f":
        n_bad = int(np.count_nonzero(~np.isfinite(samples)))
        if n_bad:
            raise AudioError(
                f"y has {n_bad} values that are not finite (NaN or infinite); np.nan_to_num(y, posinf=0, neginf=0) "
                "makes them silent"
            )
        return samples.astype(np.float32 if samples.dtype.itemsize < 4 else samples.dtype, copy=False), int(rate)
    if samples.dtype.name not in INTEGERS:
        raise AudioError(
            f"y has the type {samples.dtype}, whose full scale is not defined; give floats with full scale 1, or one "
            f"of {', '.join(INTEGERS)}"
        )
    return samples, int(rate)
