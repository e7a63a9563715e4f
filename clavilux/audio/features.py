"""Compute the features of a song in one pass: decode -> **features** -> descriptors and audio embedding.

The sound is analysed at three time scales:

* *windows* of 5 s without overlap: the MFCC that the networks use as input;
* *frames* of 2048 samples every 512 (23 ms): chroma, onset strength and the shape of the spectrum;
* *long frames* of 8192 samples every 4096 (186 ms): the strongest spectral peaks. Bins of 2.7 Hz separate the
  semitones of a bass.

MFCC, chroma and onset strength equal those of librosa 0.11: `librosa.feature.mfcc` of each window with the arguments of
`FeatureSettings`, and of the whole song `librosa.feature.chroma_stft(tuning=0.0)` and `librosa.onset.onset_strength`
with `S=power_to_db(melspectrogram(fmax=7_000), amin=1e-30, top_db=40)`.
Windows do not start on a frame of the song (5 s are 215.3 hops), so their spectra are computed separately.

The result does not depend on how the sound is divided into blocks. Chunks limit the memory: 210 MB for an hour.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from clavilux.audio.filters import chroma_filters, frequency_moments, hann, mel_filters, power_sums
from clavilux.audio.mfcc import LIBROSA, FeatureSettings, decibel, mfcc, power_spectra
from clavilux.constants import FFT_SAMPLES, HOP_SAMPLES, SAMPLE_RATE, WINDOW_SAMPLES

Float32 = NDArray[np.float32]

FEATURES_VERSION = 2  # increase when the same sound gives different numbers

LONG_FFT_SAMPLES = 8_192  # bins of 2.7 Hz
LONG_HOP_SAMPLES = 4_096  # 5.4 long frames a second
PEAKS = 24  # strongest spectral peaks of a long frame
PEAK_BAND_HZ = (50.0, 5_000.0)  # the fundamentals of music and their first partials
PEAK_RANGE_DB = 50.0  # peaks further below the strongest one of their frame are ignored
TAIL_S = 1.0  # an incomplete last window is used from this length on
FLATNESS_BAND_HZ = (100.0, 8_000.0)  # below is rumble; above, lossy codecs remove sound
# Bands of the onset strength. With librosa's 11 kHz and 80 dB, the gaps that a codec leaves count as onsets, and the
# tempo of a compressed song may jump by an octave.
ONSET_FMAX_HZ = 7_000.0
ONSET_RANGE_DB = 40.0  # below the maximum of the song
SILENCE_DB = -120.0  # level of a window of zeros, instead of minus infinity

_CHUNK_FRAMES = 256
_LEAST_POWER = 1e-30  # of the onset strength, far below its range at any level
_RANGE_DB = 80.0  # of the flatness, below the maximum of a frame


@dataclass(frozen=True, eq=False)
class Features:
    """Features of a song with N windows, T frames and L long frames; all arrays are float32.

    Attributes
    ----------
    n_samples : int
        Length of the song at 22 050 Hz.
    mfcc : (N, 20, 216)
        MFCC of each window (`clavilux.audio.mfcc.mfcc`), N >= 1. If 1 s or more remains after the last complete window,
        one more window ends on the last sample. A song shorter than a window is padded with zeros.
    window_db : (N,)
        RMS level of each window in dBFS; -120 for digital silence.
    onset : (T,)
        Onset strength: mean increase of the mel bands in dB since the previous frame.
    chroma : (12, T)
        Energy of the pitch classes C, C#, ..., B, scaled to a maximum of 1 in each frame; 0 in silence.
    power, k_power : (T,)
        Mean square of the frame, weighted by the squared Hann window, without and with K-weighting (ITU-R BS.1770);
        `power` is 0.5 for a full-scale sine.
    centroid_hz, bandwidth_hz : (T,)
        Mean and standard deviation of frequency, weighted by spectral magnitude, in Hz; 0 in silence.
    flatness_db : (T,)
        Spectral flatness from 100 Hz to 8 kHz: geometric over arithmetic mean of the power spectrum, in dB, at most 0.
    flux : (T,)
        Distance between the magnitude spectra of this and the previous frame, each scaled to norm 1; 0 to sqrt(2).
    peak_hz, peak_amplitude : (L, 24)
        Frequency in Hz and linear amplitude of the strongest spectral peaks of each long frame, from low to high. The
        amplitude is 0 where a frame has fewer peaks.
    """

    n_samples: int
    mfcc: Float32
    window_db: Float32
    onset: Float32
    chroma: Float32
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
    windows, frames, peaks = _Windows(settings), _Frames(), _Peaks()
    short = _Framer(FFT_SAMPLES, HOP_SAMPLES, _CHUNK_FRAMES)
    long = _Framer(LONG_FFT_SAMPLES, LONG_HOP_SAMPLES, _CHUNK_FRAMES // 8)
    n_samples = 0
    for block in blocks:
        n_samples += block.size
        windows.push(block)
        for chunk in short.push(block):
            frames.push(chunk)
        for chunk in long.push(block):
            peaks.push(chunk)
    assert n_samples > 0, "read_blocks yields at least one sample"
    windows.finish()
    for chunk in short.finish():
        frames.push(chunk)
    for chunk in long.finish():
        peaks.push(chunk)
    return Features(
        n_samples=n_samples,
        mfcc=np.stack(windows.mfcc),
        window_db=np.array(windows.level_db, np.float32),
        onset=frames.onset(),
        chroma=np.concatenate(frames.chroma, axis=1),
        power=np.concatenate(frames.power),
        k_power=np.concatenate(frames.k_power),
        centroid_hz=np.concatenate(frames.centroid_hz),
        bandwidth_hz=np.concatenate(frames.bandwidth_hz),
        flatness_db=np.concatenate(frames.flatness_db),
        flux=np.concatenate(frames.flux),
        peak_hz=np.concatenate(peaks.hz),
        peak_amplitude=np.concatenate(peaks.amplitude),
    )


def halve(features: Features) -> tuple[Features, Features]:
    """Return the features of the first and of the second half of a song.

    Arrays are split at half of their windows or frames. An array with one window or frame is in both halves.
    """
    halves = []
    for half in range(2):
        parts = {}
        for field in dataclasses.fields(features):
            if field.name == "n_samples":
                continue
            values = np.moveaxis(getattr(features, field.name), -1 if field.name == "chroma" else 0, 0)
            middle = len(values) // 2
            part = (values[: max(middle, 1)], values[middle:])[half]
            parts[field.name] = np.moveaxis(part, 0, -1) if field.name == "chroma" else part
        halves.append(dataclasses.replace(features, n_samples=features.n_samples // 2, **parts))
    return halves[0], halves[1]


class _Framer:
    """Divides blocks into frames centred on every `hop`-th sample, `chunk` at a time, with zeros around the song."""

    def __init__(self, n_fft: int, hop: int, chunk: int) -> None:
        self._n_fft, self._hop, self._chunk = n_fft, hop, chunk
        self._rest = np.zeros(n_fft // 2, np.float32)

    def push(self, block: Float32) -> Iterator[Float32]:
        self._rest = np.concatenate([self._rest, block])
        needed = self._n_fft + (self._chunk - 1) * self._hop
        while self._rest.size >= needed:
            yield self._frames(self._rest[:needed])
            self._rest = self._rest[self._chunk * self._hop :]

    def finish(self) -> Iterator[Float32]:
        yield from self.push(np.zeros(self._n_fft // 2, np.float32))
        if self._rest.size >= self._n_fft:
            yield self._frames(self._rest)

    def _frames(self, samples: Float32) -> Float32:
        return sliding_window_view(samples, self._n_fft)[:: self._hop]


class _Windows:
    """MFCC and levels of consecutive windows of 5 s."""

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
    """Features of the short frames, as lists of chunks in order of time."""

    def __init__(self) -> None:
        self.chroma: list[Float32] = []
        self.power: list[Float32] = []
        self.k_power: list[Float32] = []
        self.centroid_hz: list[Float32] = []
        self.bandwidth_hz: list[Float32] = []
        self.flatness_db: list[Float32] = []
        self.flux: list[Float32] = []
        self._mel_db: list[Float32] = []
        self._before: Float32 | None = None  # magnitudes of the frame before the chunk, norm 1

    def push(self, frames: Float32) -> None:
        power = power_spectra(frames)
        self._mel_db.append(decibel(power @ mel_filters(ONSET_FMAX_HZ), _LEAST_POWER))
        self.chroma.append(_scale_to_peak(power @ chroma_filters()).T)
        sums = power @ power_sums()
        self.power.append(sums[:, 0].copy())
        self.k_power.append(sums[:, 1].copy())
        self.flatness_db.append(_flatness_db(power))
        self._push_magnitudes(np.sqrt(power), sums[:, 2])

    def _push_magnitudes(self, magnitude: Float32, energy: Float32) -> None:
        total, first, second = (magnitude @ frequency_moments()).T
        scale = 1 / np.maximum(total, np.finfo(np.float32).tiny)
        centroid_khz = first * scale
        variance = second * scale - centroid_khz * centroid_khz
        self.centroid_hz.append(centroid_khz * np.float32(1e3))
        self.bandwidth_hz.append(np.sqrt(np.maximum(variance, 0)) * np.float32(1e3))

        magnitude *= (1 / np.sqrt(np.maximum(energy, np.finfo(np.float32).tiny)))[:, None]
        before = magnitude[:1] if self._before is None else self._before
        # |a - b|^2 of unit vectors; silence has norm 0, not 1. The first frame has no predecessor and no flux.
        difference = np.diff(magnitude, axis=0, prepend=before)
        self.flux.append(np.sqrt(np.einsum("tf,tf->t", difference, difference)))
        self._before = magnitude[-1:].copy()

    def onset(self) -> Float32:
        """Return the onset strength (T,) with librosa's lag of one frame and delay of half a frame."""
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


class _Peaks:
    """Strongest spectral peaks of each long frame, as lists of chunks in order of time."""

    def __init__(self) -> None:
        self.hz: list[Float32] = []
        self.amplitude: list[Float32] = []

    def push(self, frames: Float32) -> None:
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
        bins.sort(axis=1)  # from low to high; argpartition does not guarantee an order

        # Parabolic interpolation of the logarithms of a bin and its neighbours (Smith & Serra 1987).
        rows = np.arange(len(height))[:, None]
        low, mid, high = (np.log(magnitude[rows, bins + shift] + np.float32(1e-12)) for shift in (0, 1, 2))
        curvature = low - 2 * mid + high
        offset = np.where(curvature < 0, 0.5 * (low - high) / np.minimum(curvature, -1e-12), 0).clip(-0.5, 0.5)
        present = height[rows, bins] > 0
        amplitude = np.where(present, np.exp(mid - 0.25 * (low - high) * offset), 0)
        self.hz.append(((bins + first + offset) * spacing_hz).astype(np.float32))
        self.amplitude.append(amplitude.astype(np.float32))


def _scale_to_peak(rows: Float32) -> Float32:
    """Return rows divided by their largest values; rows of zeros are unchanged."""
    peak = rows.max(axis=1, keepdims=True)
    return np.asarray(rows / np.where(peak < np.finfo(np.float32).tiny, np.float32(1), peak))


def _flatness_db(power: Float32) -> Float32:
    low, high = (round(edge * FFT_SAMPLES / SAMPLE_RATE) for edge in FLATNESS_BAND_HZ)
    band = power[:, low:high]
    # The floor is relative to the frame, so that bins that a lossy codec has set to zero count the same at any level.
    floor = band.max(axis=1, keepdims=True) * np.float32(10 ** (-_RANGE_DB / 10))
    band = np.maximum(band, np.maximum(floor, np.finfo(np.float32).tiny))
    return np.asarray(np.float32(10) * (np.log10(band).mean(axis=1) - np.log10(band.mean(axis=1))))
