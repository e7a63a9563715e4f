"""Mix the channels of a song down to mono, and detect songs for which the mean of the channels is wrong.

A `Mixer` mixes a song to the mean of its channels in one pass, and collects statistics. The statistics may show that
the mean was wrong: the channels cancel each other, some channels are silent, the sound has a constant offset, or floats
have the range of integers (such as +-32768 instead of +-1). `Mixer.find_correction` then returns another `Mix`, and
`clavilux.audio.decode` reads the file again. One mix is used for the whole song.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clavilux.audio import Float32

if TYPE_CHECKING:
    from av import AudioFrame

AUDIBLE_DB = -60.0  # RMS level in dBFS; a window below this level has only the noise of a room or a tape
AUDIBLE_POWER = 10 ** (AUDIBLE_DB / 10)
LOUDEST_SAMPLE = 1e5  # in units of full scale; larger samples are invalid
# Channels cancel each other if the power of their sum, divided by the sum of their powers, is below this ratio. The
# ratio is 1 for uncorrelated channels, and 0.1 for two channels of equal level with a correlation of -0.9. In released
# stereo recordings the correlation is between -0.3 and 1.
CANCELLED_SHARE = 0.1
OFFSET_REMOVED = "it has a constant offset (DC)"
"""First words of the warning about an offset, which needs no action of the user."""

# The mean of the samples (in units of full scale) is an offset if it is above `OFFSET_MIN` + `OFFSET_MIN_S` / duration,
# and above `OFFSET_DEVIATIONS` times the standard deviation of the means of blocks. An offset of 0.001 changes the MFCC
# of the example pieces by 0.1 to 0.9; the standard deviation of these MFCC is 11 to 17. With digital silence, the
# change is 3.8 and the standard deviation 19. Encoders and converters leave offsets below 0.0001.
OFFSET_MIN = 1e-3
OFFSET_MIN_S = 0.004  # mean of a 40 Hz tone of 1 s and peak 0.5 that ends in the middle of a period
OFFSET_DEVIATIONS = 3.0  # low notes also give blocks a mean; that of `examples/foundry.ogg` is 1.9 deviations
CONSTANT_SHARE = 0.01  # a signal is constant if its variance, divided by its power, is below this
SILENT_SHARE = 0.01  # a channel is silent if its power, divided by the power of the loudest channel, is below this
INTEGER_BITS = (7, 15, 23, 31)  # bits, without the sign bit, of integers that floats may hold without scaling
LOUD_FLOAT = 8.0  # 18 dB above full scale; no floating-point mix is this loud for long
LOUD_SHARE = 0.1  # floats have the range of integers if a larger share of the nonzero samples is above `LOUD_FLOAT`
BEYOND_SHARE = 0.001  # at most this share of the nonzero samples may be above the integer full scale that is chosen
STATISTICS_STEP = 7  # statistics of channels use every seventh sample; a prime number avoids periods of the signal

_DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}


class FrameFormat(NamedTuple):
    """Sample rate, sample format and layout of a decoded frame.

    Consecutive frames of the same format are mixed in one call.
    """

    sample_rate: int  # Hz
    sample_format: str  # FFmpeg's name of the sample format, such as s16p
    is_planar: bool  # whether each channel has a separate array; otherwise the channels are interleaved
    n_channels: int


@dataclass(frozen=True)
class Mix:
    """How the channels of a song are mixed to mono."""

    # Number of channels c -> factors (c,) of the channels. A number of channels without an entry is mixed to the mean.
    weights: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    offset: float = 0.0  # subtracted from every sample of the mix, in units of full scale
    full_scale: float = 1.0  # value of a floating-point sample at full scale


def frame_format(frame: AudioFrame) -> FrameFormat:
    """Return the format of a decoded frame of PyAV."""
    return FrameFormat(frame.sample_rate, frame.format.name, frame.format.is_planar, frame.layout.nb_channels)


def read_samples(frame: AudioFrame, layout: FrameFormat) -> NDArray[Any]:
    """Return the samples of a frame as FFmpeg stores them: (channels, n) if planar, else (1, n * channels).

    The array has the dtype of the frame; integers are not scaled.

    Raises
    ------
    ValueError
        If the sample format has no NumPy type, or a plane is shorter than the frame.
    """
    # `AudioFrame.planes` and `to_ndarray` of PyAV search for a null pointer after the last plane. With 8 or more planes
    # there is none, and the process crashes. So planes are accessed by their index.
    from av.audio.plane import AudioPlane

    dtype = _DTYPES.get(layout.sample_format.removesuffix("p"))
    if dtype is None:
        raise ValueError(f"samples of format {layout.sample_format} cannot be read")
    n_planes, width = (layout.n_channels, 1) if layout.is_planar else (1, layout.n_channels)
    count = frame.samples * width
    planes: list[Any] = [AudioPlane(frame, i) for i in range(n_planes)]  # buffers, but not typed as such
    return np.stack([np.frombuffer(plane, dtype, count) for plane in planes])


def loudest_channel_power(samples: NDArray[Any], layout: FrameFormat) -> float:
    """Return the mean square of the loudest channel, 1 for a channel whose samples are all at full scale.

    ``samples`` and ``layout`` are what `read_samples` yields.
    """
    if not layout.is_planar:
        samples = samples.reshape(-1, layout.n_channels).T
    if samples.size == 0:
        return 0.0
    scaled = samples.astype(np.float64) / _integer_scale(samples) - (1 if samples.dtype.kind == "u" else 0)
    with np.errstate(all="ignore"):
        return float(np.nan_to_num(np.square(scaled).mean(axis=1), posinf=0.0).max())


def _integer_scale(samples: NDArray[Any]) -> float:
    """Return the full-scale value of samples of an integer type, such as 32768 for int16; 1 for floats."""
    return 1.0 if samples.dtype.kind == "f" else 2.0 ** (8 * samples.itemsize - 1)


class Mixer:
    """Mixes a song to mono, and collects statistics with which `find_correction` detects a wrong mix.

    Attributes
    ----------
    mix : Mix
        How the channels are mixed.
    n_invalid : int
        Number of mono samples for which at least one channel had an invalid value: not a number, or far above full
        scale. Invalid values are set to 0 before mixing.
    """

    def __init__(self, mix: Mix) -> None:
        self.mix = mix
        self.n_invalid = 0
        self._n_values = self._n_invalid_values = 0
        self._seconds = 0.0
        # Number of samples, sum, sum of squared block means (weighted by the lengths of blocks), sum of squares.
        self._block_sums = np.zeros(4)
        # Number of channels -> number of samples, sums of the channels, sums of the products of channels.
        self._moments: dict[int, list[Any]] = {}
        # Number of nonzero samples, of those above `LOUD_FLOAT`, and of those above each full scale of `INTEGER_BITS`.
        self._n_loud = np.zeros(2 + len(INTEGER_BITS), np.int64)

    def mix_down(self, samples: NDArray[Any], layout: FrameFormat) -> Float32:
        """Mix samples from `read_samples` to mono sound (n,) float32 with full scale 1, and update the statistics."""
        if not layout.is_planar:
            samples = samples.reshape(-1, layout.n_channels).T
        with np.errstate(over="ignore", invalid="ignore"):  # invalid samples are counted and set to 0
            mono = self._mean(samples)
            if samples.dtype.kind == "f":
                self._count_loud(samples)
                if not (np.abs(mono) <= LOUDEST_SAMPLE).all():  # NaN compares false
                    invalid = ~(np.abs(samples) <= LOUDEST_SAMPLE * self.mix.full_scale)
                    self.n_invalid += int(invalid.any(axis=0).sum())
                    self._n_invalid_values += int(invalid.sum())
                    samples = np.where(invalid, 0, samples)
                    mono = self._mean(samples)
            mono = np.asarray(mono, np.float32)
            if self.mix.offset:
                mono = mono - np.float32(self.mix.offset)
            self._count(samples, mono, layout.sample_rate)
        return mono

    def _mean(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Return the mono mix (n,) of samples (channels, n); full scale is 1, and the offset is not subtracted yet."""
        letter = samples.dtype.kind
        weights = self.mix.weights.get(len(samples))
        if weights is not None:
            mono = weights @ (samples.astype(np.float64) - (128 if letter == "u" else 0))
            return np.asarray(mono / self._full_scale(samples))
        # Sums of 32-bit integers need float64; floats keep their precision.
        mono = samples[0] if len(samples) == 1 else samples.mean(axis=0, dtype=np.float64 if letter in "iu" else None)
        if letter == "u":  # 8-bit sound is unsigned, 128 is silence
            return np.asarray((mono.astype(np.float32) - 128) / 128)
        full_scale = self._full_scale(samples)
        return mono if full_scale == 1 else np.asarray(mono / full_scale)

    def _full_scale(self, samples: NDArray[Any]) -> float:
        return self.mix.full_scale if samples.dtype.kind == "f" else _integer_scale(samples)

    def _count_loud(self, samples: NDArray[Any]) -> None:
        """Count the samples that are nonzero, above `LOUD_FLOAT`, and above the full scale of each of `INTEGER_BITS`.

        The samples are floats, and their absolute values are compared.
        """
        level = np.abs(samples[:, ::STATISTICS_STEP])
        self._n_loud[0] += np.count_nonzero(level)
        if level.size and not level.max() <= LOUD_FLOAT:  # NaN compares false
            limits = (LOUD_FLOAT, *(2.0**bits for bits in INTEGER_BITS))
            self._n_loud[1:] += [np.count_nonzero(level > limit) for limit in limits]

    def _count(self, samples: NDArray[Any], mono: Float32, sample_rate_hz: int) -> None:
        """Add a block to the statistics of the mix and of the channels."""
        self._n_values += samples.size
        self._seconds += mono.size / sample_rate_hz
        total = float(mono.sum())
        self._block_sums += [mono.size, total, total * total / max(1, mono.size), float(np.dot(mono, mono))]
        if len(samples) == 1:
            return
        part = samples[:, ::STATISTICS_STEP].astype(np.float32, order="C") / np.float32(self._full_scale(samples))
        if samples.dtype.kind == "u":
            part -= 1
        moments = self._moments.setdefault(len(samples), [0, 0.0, 0.0])
        moments[0] += part.shape[1]
        moments[1] = moments[1] + part.sum(axis=1).astype(np.float64)
        moments[2] = moments[2] + (part @ part.T).astype(np.float64)

    @property
    def invalid_share(self) -> float:
        """Fraction of the samples of all channels that are invalid: not a number, or far above full scale."""
        return self._n_invalid_values / max(1, self._n_values)

    def find_correction(self, *, is_silent: bool) -> tuple[Mix, str] | None:
        """Return a corrected mix and a warning for the user, or None if the mix was right.

        ``is_silent`` says whether all windows of the mix are inaudible.
        """
        return self._correct_scale() or self._correct_weights(is_silent) or self._correct_offset()

    def is_scaled_as_integers(self) -> bool:
        """Return whether the samples are floats in the range of integers, such as +-32768 instead of +-1."""
        return self._correct_scale() is not None

    def _correct_scale(self) -> tuple[Mix, str] | None:
        nonzero, loud, *beyond = (int(n) for n in self._n_loud)
        if self.mix.full_scale != 1 or loud <= LOUD_SHARE * nonzero:
            return None
        bits = next((bits for bits, n in zip(INTEGER_BITS, beyond, strict=True) if n <= BEYOND_SHARE * nonzero), None)
        if bits is None:
            return None
        warning = f"its samples are far above full scale: they are read as integers of {bits + 1} bits and scaled"
        return dataclasses.replace(self.mix, full_scale=2.0**bits), warning

    def _correct_weights(self, is_silent: bool) -> tuple[Mix, str] | None:
        weights = {}
        warning = ""
        for n_channels, (n, sums, products) in self._moments.items():
            if n_channels in self.mix.weights or n == 0:
                continue
            means = sums / n
            covariance = products / n - np.outer(means, means)
            powers = covariance.diagonal()
            if powers.max() < AUDIBLE_POWER:
                continue
            if covariance.sum() < CANCELLED_SHARE * powers.sum():
                weights[n_channels] = _polarities(covariance) / n_channels
                warning = "its channels cancel each other: some are inverted before they are mixed"
            elif is_silent:
                audible = powers >= SILENT_SHARE * powers.max()
                weights[n_channels] = audible / audible.sum()
                warning = "most of its channels are silent: only the others are mixed"
        return (dataclasses.replace(self.mix, weights=self.mix.weights | weights), warning) if weights else None

    def _correct_offset(self) -> tuple[Mix, str] | None:
        n, total, squares, power = self._block_sums / max(1.0, self._block_sums[0])
        deviation = np.sqrt(max(0.0, squares - total**2))
        least = max(OFFSET_MIN + OFFSET_MIN_S / max(self._seconds, 1e-3), OFFSET_DEVIATIONS * deviation)
        is_constant = power - total**2 < CONSTANT_SHARE * power and power > CONSTANT_SHARE * AUDIBLE_POWER
        if self.mix.offset or n == 0 or (abs(total) <= least and not is_constant):
            return None
        warning = f"{OFFSET_REMOVED} of {total:.2g} of full scale, which was left out of the measurement"
        return dataclasses.replace(self.mix, offset=float(total)), warning


def _polarities(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 or -1 for each channel, so that no channel cancels the sum of the channels before it."""
    signs = np.ones(len(covariance))
    for i in range(1, len(covariance)):
        if signs[:i] @ covariance[i, :i] < 0:
            signs[i] = -1
    return signs
