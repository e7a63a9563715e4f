"""Frames of any number of channels become mono sound, and what is odd about a whole song is found: decode <-> **here**.

An ordinary song is mixed to the plain mean of its channels in one pass. Beside it a `Survey` counts a few numbers. If
they show at the end that the plain mean was wrong (channels that cancel each other, a constant offset, samples scaled
as integers), `Survey.mend` returns another `Mix`, and the file is read once more. The decision is made over the whole
song: it cannot change midway.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av import AudioFrame

Float32 = NDArray[np.float32]

AUDIBLE_DB = -60.0  # RMS level of a window in dB of full scale; below it is noise of the room or of the tape
AUDIBLE_POWER = 10 ** (AUDIBLE_DB / 10)
LOUDEST_SAMPLE = 1e5  # of full scale; what lies beyond is garbage
# Two channels of equal level whose sum has this share of their powers correlate with -0.9. Released stereo lies between
# -0.3 and 1; 1 is uncorrelated.
CANCELLED_SHARE = 0.1
# An offset of a thousandth of full scale moves the MFCC of the example pieces by 0.1 to 0.9 where their spread is 11 to
# 17 (by 3.8 of 19 where there is digital silence). Encoders and converters leave less than a ten-thousandth.
OFFSET_MIN = 1e-3
OFFSET_MIN_S = 0.004  # over the seconds of the sound: the mean of a tone of 40 Hz, peak 0.5, that breaks off
OFFSET_SPREADS = (
    3.0  # times the deviation of the means of blocks; deep notes have a mean for a moment (1.9 in `examples`)
)
CONSTANT_SHARE = 0.01  # of the power; with less beside the constant part, nothing but that part could be heard
SILENT_SHARE = 0.01  # of the power of the loudest channel
INTEGER_BITS = (7, 15, 23, 31)  # floats that were converted from integers and not scaled
LOUD_FLOAT = 8.0  # 18 dB above full scale; no mix in floating point is that loud for long
LOUD_SHARE = 0.1  # of the samples that are not zero
BEYOND_SHARE = 0.001  # of the samples; so many may lie beyond the full scale that is chosen
SURVEY_STEP = 7  # every seventh sample is looked at; a prime, so that no common period is met

_DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}


class Kind(NamedTuple):
    """What frames have in common that are mixed at once."""

    rate: int
    sample_format: str
    is_planar: bool
    n_channels: int


@dataclass(frozen=True)
class Mix:
    """How the channels of a song become one.

    Attributes
    ----------
    weights : dict of int to (c,) float64
        Factors of the channels, by number of channels; their plain mean where it is missing.
    offset : float
        Taken off every sample of the mix, in full scale.
    full_scale : float
        Value of a sample of floats at full scale.
    """

    weights: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    offset: float = 0.0
    full_scale: float = 1.0


def kind_of(frame: AudioFrame) -> Kind:
    """Return rate, sample format and number of channels of a frame."""
    return Kind(frame.sample_rate, frame.format.name, frame.format.is_planar, frame.layout.nb_channels)


def read_samples(frame: AudioFrame, kind: Kind) -> NDArray[Any]:
    """Return the samples of a frame as FFmpeg keeps them: (channels, n) if planar, else (1, n * channels).

    `AudioFrame.planes` and `to_ndarray` of PyAV look for a null pointer behind the last plane. From 8 planes on there
    is none, and the process dies. Here each plane is asked for by its number.

    Raises
    ------
    ValueError
        The format has no type of NumPy, or a plane is shorter than the frame says.
    """
    from av.audio.plane import AudioPlane

    dtype = _DTYPES.get(kind.sample_format.removesuffix("p"))
    if dtype is None:
        raise ValueError(f"samples of format {kind.sample_format} cannot be read")
    n_planes, width = (kind.n_channels, 1) if kind.is_planar else (1, kind.n_channels)
    count = frame.samples * width
    planes: list[Any] = [AudioPlane(frame, i) for i in range(n_planes)]  # buffers, which their type does not say
    return np.stack([np.frombuffer(plane, dtype, count) for plane in planes])


def loudest_power(samples: NDArray[Any], kind: Kind) -> float:
    """Return the mean square of the loudest channel of samples as `read_samples` gives them, full scale 1."""
    if not kind.is_planar:
        samples = samples.reshape(-1, kind.n_channels).T
    if samples.size == 0:
        return 0.0
    scaled = samples.astype(np.float64) / _integer_scale(samples) - (1 if samples.dtype.kind == "u" else 0)
    with np.errstate(all="ignore"):
        return float(np.nan_to_num(np.square(scaled).mean(axis=1), posinf=0.0).max())


def _integer_scale(samples: NDArray[Any]) -> float:
    """Return the value of a sample at full scale by its type; 1 for floats."""
    return 1.0 if samples.dtype.kind == "f" else 2.0 ** (8 * samples.itemsize - 1)


class Survey:
    """Numbers of one pass over a song, from which `mend` finds what is odd about it.

    Attributes
    ----------
    n_broken : int
        Samples that are no numbers or far beyond full scale, and were silenced.
    """

    def __init__(self, mix: Mix) -> None:
        self.mix = mix
        self.n_broken = 0
        self._n_values = self._n_broken_values = 0
        self._seconds = 0.0
        self._block_sums = np.zeros(4)  # samples, their sum, that of the squares of block means, that of their squares
        self._moments: dict[int, list[Any]] = {}  # number of channels -> samples, sums, products
        self._n_loud = np.zeros(2 + len(INTEGER_BITS), np.int64)  # not zero; beyond each full scale

    def mix_down(self, samples: NDArray[Any], kind: Kind) -> Float32:
        """Return the mono sound (n,), full scale 1, of samples as `read_samples` gives them."""
        with np.errstate(over="ignore", invalid="ignore"):  # what is no number is counted and silenced
            return self._mix_down(samples, kind)

    def _mix_down(self, samples: NDArray[Any], kind: Kind) -> Float32:
        if not kind.is_planar:
            samples = samples.reshape(-1, kind.n_channels).T
        is_float = samples.dtype.kind == "f"
        if is_float:
            self._count_loud(samples)
        mono = self._mean(samples, kind)
        if is_float:
            broken = ~(np.abs(mono) <= LOUDEST_SAMPLE)  # NaN compares false
            if broken.any():
                bad = ~(np.abs(samples) <= LOUDEST_SAMPLE * self.mix.full_scale)
                self.n_broken += int(bad.any(axis=0).sum())
                self._n_broken_values += int(bad.sum())
                samples = np.where(bad, 0, samples)
                mono = self._mean(samples, kind)
        mono = np.asarray(mono, np.float32)
        if self.mix.offset:
            mono = mono - np.float32(self.mix.offset)
        self._count(samples, mono, kind)
        return mono

    def _mean(self, samples: NDArray[Any], kind: Kind) -> NDArray[Any]:
        """Return the mix of the channels, full scale 1, in the precision that the samples need."""
        letter = samples.dtype.kind
        weights = self.mix.weights.get(len(samples))
        if weights is not None:
            centred = samples.astype(np.float64) - (128 if letter == "u" else 0)
            mono = weights @ centred
            return np.asarray(mono / self._full_scale(samples))
        # One channel goes through untouched; the sum is in float64 only where integers of 32 bits and more need it.
        mono = samples[0] if len(samples) == 1 else samples.mean(axis=0, dtype=np.float64 if letter in "iu" else None)
        if letter == "u":  # 8-bit sound is unsigned, 128 is silence
            return np.asarray((mono.astype(np.float32) - 128) / 128)
        full_scale = self._full_scale(samples)
        return mono if full_scale == 1 else np.asarray(mono / full_scale)

    def _full_scale(self, samples: NDArray[Any]) -> float:
        return self.mix.full_scale if samples.dtype.kind == "f" else _integer_scale(samples)

    def _count_loud(self, samples: NDArray[Any]) -> None:
        """Count samples beyond the full scales of integers, where there are any."""
        level = np.abs(samples[:, ::SURVEY_STEP])
        self._n_loud[0] += np.count_nonzero(level)
        if level.size and not level.max() <= LOUD_FLOAT:  # NaN compares false
            limits = (LOUD_FLOAT, *(2.0**bits for bits in INTEGER_BITS))
            self._n_loud[1:] += [np.count_nonzero(level > limit) for limit in limits]

    def _count(self, samples: NDArray[Any], mono: Float32, kind: Kind) -> None:
        self._n_values += samples.size
        self._seconds += mono.size / kind.rate
        total = float(mono.sum())
        self._block_sums += [mono.size, total, total * total / max(1, mono.size), float(np.dot(mono, mono))]
        if len(samples) == 1:
            return
        part = samples[:, ::SURVEY_STEP].astype(np.float32, order="C") / np.float32(self._full_scale(samples))
        if samples.dtype.kind == "u":
            part -= 1
        moments = self._moments.setdefault(len(samples), [0, 0.0, 0.0])
        moments[0] += part.shape[1]
        moments[1] = moments[1] + part.sum(axis=1).astype(np.float64)
        moments[2] = moments[2] + (part @ part.T).astype(np.float64)

    @property
    def broken_share(self) -> float:
        """Share of all samples of all channels that are no numbers or far beyond full scale."""
        return self._n_broken_values / max(1, self._n_values)

    def mend(self, *, is_silent: bool) -> tuple[Mix, str] | None:
        """Return a better mix and a warning that says what was wrong, or None if the mix was right.

        Parameters
        ----------
        is_silent : bool
            Whether nothing in the song is audible as it was mixed.
        """
        return self._mend_scale() or self._mend_weights(is_silent) or self._mend_offset()

    def is_scaled_as_integers(self) -> bool:
        """Return whether the song is of floats on the scale of integers, which `mend` will bring to full scale 1."""
        return self._mend_scale() is not None

    def _mend_scale(self) -> tuple[Mix, str] | None:
        nonzero, loud, *beyond = (int(n) for n in self._n_loud)
        if self.mix.full_scale != 1 or loud <= LOUD_SHARE * nonzero:
            return None
        bits = next((bits for bits, n in zip(INTEGER_BITS, beyond, strict=True) if n <= BEYOND_SHARE * nonzero), None)
        if bits is None:
            return None
        said = f"its samples lie far beyond full scale: they are taken as integers of {bits + 1} bits and scaled"
        return dataclasses.replace(self.mix, full_scale=2.0**bits), said

    def _mend_weights(self, is_silent: bool) -> tuple[Mix, str] | None:
        weights = {}
        said = ""
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
                said = "its channels cancel each other in the mix: they are mixed with the polarity of some reversed"
            elif is_silent:
                heard = powers >= SILENT_SHARE * powers.max()
                weights[n_channels] = heard / heard.sum()
                said = "most of its channels are silent: the others alone are mixed"
        return (dataclasses.replace(self.mix, weights=self.mix.weights | weights), said) if weights else None

    def _mend_offset(self) -> tuple[Mix, str] | None:
        n, total, squares, power = self._block_sums / max(1.0, self._block_sums[0])
        deviation = np.sqrt(max(0.0, squares - total**2))
        least = max(OFFSET_MIN + OFFSET_MIN_S / max(self._seconds, 1e-3), OFFSET_SPREADS * deviation)
        is_constant = power - total**2 < CONSTANT_SHARE * power and power > CONSTANT_SHARE * AUDIBLE_POWER
        if self.mix.offset or n == 0 or (abs(total) <= least and not is_constant):
            return None
        said = f"it has a constant offset of {total:.2g} of full scale (DC), which is taken off"
        return dataclasses.replace(self.mix, offset=float(total)), said


def _polarities(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 or -1 for each channel so that none cancels those before it: the power of the sum is at least theirs."""
    signs = np.ones(len(covariance))
    for i in range(1, len(covariance)):
        if signs[:i] @ covariance[i, :i] < 0:
            signs[i] = -1
    return signs
