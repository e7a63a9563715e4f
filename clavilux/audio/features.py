"""Compute the features of a song in one pass: decode -> **features** -> descriptors and audio embedding.

The sound is analysed at three time scales:

* *windows* of 5 s without overlap: the MFCC that the networks use as input;
* *frames* of 2048 samples, one every 512 samples (23 ms): onset strength and the shape of the spectrum;
* *long frames* of 8192 samples, one every 4096 samples (186 ms): the strongest spectral peaks. The spectra of long
  frames have bins of 2.7 Hz, which separate the semitones of a bass.

MFCC and onset strength equal those of librosa 0.11: `librosa.feature.mfcc` of each window, with the arguments that
`clavilux.audio.mfcc.mfcc` states, and `librosa.onset.onset_strength` of the whole song with
`S=power_to_db(melspectrogram(fmax=7_000), amin=1e-30, top_db=40)`. A window is 215.3 hops long, so the frames
of most windows do not coincide with frames of the song. The spectra of windows are therefore computed separately.

The result does not depend on how the sound is divided into blocks. Frames are measured in chunks to save memory: an
hour of sound needs 210 MB.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from clavilux.audio import Float32
from clavilux.audio.filters import frequency_moments, hann, mel_filters, power_sums
from clavilux.audio.mfcc import LIBROSA, FeatureSettings, decibel, mfcc, power_spectra
from clavilux.audio.mix import AUDIBLE_DB
from clavilux.constants import FFT_SAMPLES, HOP_SAMPLES, SAMPLE_RATE, WINDOW_SAMPLES

FEATURES_VERSION = 2  # increase when the same sound gives different numbers

LONG_FFT_SAMPLES = 8_192  # bins of 2.7 Hz
LONG_HOP_SAMPLES = 4_096  # 5.4 long frames a second
PEAKS = 24  # strongest spectral peaks of a long frame
PEAK_BAND_HZ = (50.0, 5_000.0)  # the fundamentals of music and their first partials
PEAK_RANGE_DB = 50.0  # peaks more than this below the strongest peak of their frame are ignored
TAIL_S = 1.0  # shorter sound after the last complete window gets no window
FLATNESS_BAND_HZ = (100.0, 8_000.0)  # below this band is rumble; above it, lossy codecs remove sound
# Highest frequency and dynamic range of the onset strength. With librosa's 11 kHz and 80 dB, gaps that a lossy codec
# leaves in the spectrum count as onsets, and the tempo of a compressed song may jump by an octave.
ONSET_FMAX_HZ = 7_000.0
ONSET_RANGE_DB = 40.0  # mel bands more than this below the maximum of the song are raised to that limit
SILENCE_DB = -120.0  # level of a window of zeros, instead of minus infinity

_CHUNK_FRAMES = 256  # number of frames that are measured at a time
_LEAST_POWER = 1e-30  # floor of the mel bands before they are converted to dB; far below the quietest recording
_FLATNESS_RANGE_DB = 80.0  # bins more than this below the maximum of their frame are raised to that limit
_TINY = np.finfo(np.float32).tiny


@dataclass(frozen=True, eq=False)
class Features:
    """Features of a song with N windows, T frames and L long frames; all arrays are float32.

    Attributes
    ----------
    n_samples : int
        Length of the song at 22 050 Hz.
    mfcc : (N, 20, 216)
        MFCC of each window (`clavilux.audio.mfcc.mfcc`), N >= 1. If 1 s or more remains after the last complete window,
        there is one more window, which ends on the last sample. A song shorter than a window is padded with zeros.
    window_db : (N,)
        RMS level of each window in dBFS; -120 for digital silence.
    onset : (T,)
        Onset strength: increase of each mel band in dB since the previous frame, averaged over the mel bands. A
        decrease counts as 0.
    power : (T,)
        Mean square of the samples of each frame, weighted by the squared Hann window; 0.5 for a full-scale sine.
    k_power : (T,)
        Like `power`, but with K-weighting (ITU-R BS.1770).
    centroid_hz, bandwidth_hz : (T,)
        Mean and standard deviation of the frequency in Hz, weighted by spectral magnitude; 0 in silence.
    flatness_db : (T,)
        Spectral flatness: ratio of the geometric to the arithmetic mean of the power spectrum from 100 Hz to 8 kHz, in
        dB; at most 0.
    flux : (T,)
        Euclidean distance between the magnitude spectra of a frame and of the previous frame, each scaled to norm 1;
        from 0 to sqrt(2).
    peak_hz, peak_amplitude : (L, 24)
        Frequency in Hz and linear amplitude of the 24 strongest spectral peaks of each long frame, sorted by frequency.
        A long frame with fewer peaks is filled with peaks of amplitude 0.
    """

    n_samples: int
    mfcc: Float32
    window_db: Float32
    onset: Float32
    power: Float32
    k_power: Float32
    centroid_hz: Float32
    bandwidth_hz: Float32
    flatness_db: Float32
    flux: Float32
    peak_hz: Float32
    peak_amplitude: Float32

    @property
    def duration_s(self) -> float:
        """Duration of the song in seconds."""
        return self.n_samples / SAMPLE_RATE

    @property
    def audible_mfcc(self) -> Float32:
        """MFCC of the windows that are not silent; of all windows if all are silent."""
        audible = self.window_db >= AUDIBLE_DB
        return self.mfcc[audible] if audible.any() else self.mfcc


def measure_features(blocks: Iterable[Float32], settings: FeatureSettings = LIBROSA) -> Features:
    """Return the features of a song, computed in one pass over its sound.

    Parameters
    ----------
    blocks : iterable of (n,) float32
        Consecutive blocks of mono sound at 22 050 Hz, full scale 1, finite; at least one sample in total.
    settings : FeatureSettings
        Settings of the MFCC. The other features do not depend on them.

    Returns
    -------
    Features

    Examples
    --------
    >>> features = measure_features([np.zeros(30_000, np.float32)])
    >>> features.mfcc.shape, features.onset.shape
    ((1, 20, 216), (59,))
    """
    windows, frames = _Windows(settings), _Frames()
    short = _Framer(FFT_SAMPLES, HOP_SAMPLES, _CHUNK_FRAMES, frames.measure)
    long = _Framer(LONG_FFT_SAMPLES, LONG_HOP_SAMPLES, _CHUNK_FRAMES // 8, _measure_peaks)
    n_samples = 0
    for block in blocks:
        n_samples += block.size
        for part in (windows, short, long):
            part.push(block)
    assert n_samples > 0, "read_blocks yields at least one sample"
    for part in (windows, short, long):
        part.finish()
    return Features(
        n_samples=n_samples,
        mfcc=np.stack(windows.mfcc),
        window_db=np.array(windows.level_db, np.float32),
        onset=frames.onset(),
        **short.features(),
        **long.features(),
    )


def halve(features: Features) -> tuple[Features, Features]:
    """Return the features of the first and of the second half of a song.

    Each array is split in the middle. If an array has only one window or frame, both halves contain it.
    """
    first, second = {}, {}
    for name, values in vars(features).items():
        if name != "n_samples":
            middle = len(values) // 2
            first[name], second[name] = values[: max(middle, 1)], values[middle:]
    n_samples = features.n_samples // 2
    return (
        dataclasses.replace(features, n_samples=n_samples, **first),
        dataclasses.replace(features, n_samples=n_samples, **second),
    )


class _Framer:
    """Divides a song into frames centred on every `hop`-th sample, and measures `chunk` frames at a time."""

    def __init__(self, n_fft: int, hop: int, chunk: int, measure: Callable[[Float32], dict[str, Float32]]) -> None:
        self._n_fft, self._hop, self._chunk, self._measure = n_fft, hop, chunk, measure
        self._rest = np.zeros(n_fft // 2, np.float32)  # zeros before the song, as in librosa
        self._measured: list[dict[str, Float32]] = []

    def push(self, block: Float32) -> None:
        self._rest = np.concatenate([self._rest, block])
        needed = self._n_fft + (self._chunk - 1) * self._hop
        while self._rest.size >= needed:
            self._measure_frames(self._rest[:needed])
            self._rest = self._rest[self._chunk * self._hop :]

    def finish(self) -> None:
        self.push(np.zeros(self._n_fft // 2, np.float32))
        if self._rest.size >= self._n_fft:
            self._measure_frames(self._rest)

    def _measure_frames(self, samples: Float32) -> None:
        self._measured.append(self._measure(sliding_window_view(samples, self._n_fft)[:: self._hop]))

    def features(self) -> dict[str, Float32]:
        return {name: np.concatenate([chunk[name] for chunk in self._measured]) for name in self._measured[0]}


class _Windows:
    """Measures MFCC and levels of consecutive windows of 5 s."""

    def __init__(self, settings: FeatureSettings) -> None:
        self._settings = settings
        self.mfcc: list[Float32] = []
        self.level_db: list[float] = []
        self._rest = np.zeros(0, np.float32)  # sound after the last complete window
        self._last = np.zeros(0, np.float32)  # the last complete window

    def push(self, block: Float32) -> None:
        self._rest = np.concatenate([self._rest, block])
        while self._rest.size >= WINDOW_SAMPLES:
            self._last, self._rest = self._rest[:WINDOW_SAMPLES], self._rest[WINDOW_SAMPLES:]
            self._measure(self._last, self._last)

    def finish(self) -> None:
        if not self.mfcc:
            self._measure(np.pad(self._rest, (0, WINDOW_SAMPLES - self._rest.size)), self._rest)
        elif self._rest.size >= TAIL_S * SAMPLE_RATE:
            window = np.concatenate([self._last, self._rest])[-WINDOW_SAMPLES:]
            self._measure(window, window)

    def _measure(self, window: Float32, sound: Float32) -> None:
        self.mfcc.append(mfcc(window, self._settings))
        mean_square = float(np.dot(sound, sound)) / sound.size
        self.level_db.append(max(SILENCE_DB, 10 * np.log10(mean_square + 1e-30)))


class _Frames:
    """Measures the frames of 2048 samples, in consecutive chunks."""

    def __init__(self) -> None:
        self._mel_db: list[Float32] = []  # of each chunk
        self._before: Float32 | None = None  # magnitude spectrum of the frame before the chunk, scaled to norm 1

    def measure(self, frames: Float32) -> dict[str, Float32]:
        power = power_spectra(frames)
        self._mel_db.append(decibel(power @ mel_filters(ONSET_FMAX_HZ), _LEAST_POWER))
        mean_square, k_mean_square, squared_norm = (power @ power_sums()).T

        magnitude = np.sqrt(power)
        total, first, second = (magnitude @ frequency_moments()).T
        scale = 1 / np.maximum(total, _TINY)
        centroid_khz = first * scale
        variance = second * scale - centroid_khz * centroid_khz

        magnitude *= (1 / np.sqrt(np.maximum(squared_norm, _TINY)))[:, None]
        # The first frame of the song has no predecessor, and a flux of 0.
        before = magnitude[:1] if self._before is None else self._before
        difference = np.diff(magnitude, axis=0, prepend=before)
        self._before = magnitude[-1:].copy()
        return {
            "power": mean_square,
            "k_power": k_mean_square,
            "centroid_hz": centroid_khz * np.float32(1e3),
            "bandwidth_hz": np.sqrt(np.maximum(variance, 0)) * np.float32(1e3),
            "flatness_db": _flatness_db(power),
            "flux": np.sqrt(np.einsum("tf,tf->t", difference, difference)),
        }

    def onset(self) -> Float32:
        """Return the onset strength (T,); as in librosa, it is delayed by half the length of a frame."""
        floor = max(float(chunk.max()) for chunk in self._mel_db) - ONSET_RANGE_DB
        rises: list[Float32] = []
        before = np.maximum(self._mel_db[0][:1], floor)
        for chunk in self._mel_db:
            bands = np.maximum(chunk, floor)
            rises.append(np.maximum(np.diff(bands, axis=0, prepend=before), 0).mean(axis=1))
            before = bands[-1:]
        rise = np.concatenate(rises)
        delay = FFT_SAMPLES // (2 * HOP_SAMPLES)
        return np.concatenate([np.zeros(delay, np.float32), rise])[: rise.size]


def _measure_peaks(frames: Float32) -> dict[str, Float32]:
    """Return the strongest spectral peaks of long frames (L, 8192).

    The result has the fields `peak_hz` and `peak_amplitude` of `Features`, both (L, 24).
    """
    spacing_hz = SAMPLE_RATE / LONG_FFT_SAMPLES
    first, last = (round(edge / spacing_hz) for edge in PEAK_BAND_HZ)
    window = hann(LONG_FFT_SAMPLES)
    spectrum = np.fft.rfft(frames * window, axis=1)[:, first - 1 : last + 2]
    magnitude = np.abs(spectrum) * np.float32(2 / window.sum())
    centre = magnitude[:, 1:-1]
    audible = np.maximum(centre.max(axis=1, keepdims=True) * np.float32(10 ** (-PEAK_RANGE_DB / 20)), 1e-9)
    is_peak = (centre > magnitude[:, :-2]) & (centre >= magnitude[:, 2:]) & (centre > audible)
    height = np.where(is_peak, centre, np.float32(0))
    bins = np.argpartition(height, -PEAKS, axis=1)[:, -PEAKS:]
    bins.sort(axis=1)  # by frequency; argpartition does not guarantee an order

    # A parabola through the logarithms of a bin and its two neighbours gives the peak (Smith & Serra 1987).
    rows = np.arange(len(height))[:, None]
    low, mid, high = (np.log(magnitude[rows, bins + shift] + np.float32(1e-12)) for shift in (0, 1, 2))
    curvature = low - 2 * mid + high
    offset = np.where(curvature < 0, 0.5 * (low - high) / np.minimum(curvature, -1e-12), 0).clip(-0.5, 0.5)
    present = height[rows, bins] > 0
    amplitude = np.where(present, np.exp(mid - 0.25 * (low - high) * offset), 0)
    return {
        "peak_hz": ((bins + first + offset) * spacing_hz).astype(np.float32),
        "peak_amplitude": amplitude.astype(np.float32),
    }


def _flatness_db(power: Float32) -> Float32:
    low, high = (round(edge * FFT_SAMPLES / SAMPLE_RATE) for edge in FLATNESS_BAND_HZ)
    band = power[:, low:high]
    # A lossy codec sets bins to zero. The floor is relative to the frame, so that they count the same at any level.
    floor = band.max(axis=1, keepdims=True) * np.float32(10 ** (-_FLATNESS_RANGE_DB / 10))
    band = np.maximum(band, np.maximum(floor, _TINY))
    return np.asarray(np.float32(10) * (np.log10(band).mean(axis=1) - np.log10(band.mean(axis=1))))
