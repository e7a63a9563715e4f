"""Blocks of sound become numbers: audio -> **here** -> descriptors and z_audio.

One pass, three views of the same sound:

* *windows* of 5 s, one after the other, each with its MFCC: what the networks hear;
* *frames* of 2 048 samples every 512 (23 ms) over the whole song: chroma, onset strength and the spectrum's shape;
* *long frames* of 8 192 samples every 4 096 (186 ms): the strongest spectral peaks, with the 2.7 Hz resolution that
  telling semitones of a bass apart needs.

MFCC, chroma and onset strength equal those of librosa 0.11: the MFCC of a window equals
`librosa.feature.mfcc(y=window, sr=22050)`, chroma and onset strength equal `librosa.feature.chroma_stft(...,
tuning=0.0)` and `librosa.onset.onset_strength` of the whole song, with the defaults elsewhere. A window does not
start on a frame of the song (5 s are 215.3 hops), so windows have a Fourier transform of their own.

The result does not depend on how the sound is cut into blocks. All is float32, in chunks; an hour takes 210 MB in all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from clavilux.constants import (
    FFT_SAMPLES,
    HOP_SAMPLES,
    MEL_BANDS,
    MFCC_ROWS,
    SAMPLE_RATE,
    WINDOW_SAMPLES,
)

Float32 = NDArray[np.float32]

FEATURES_VERSION = 1  # raised whenever the same sound gives other numbers

LONG_FFT_SAMPLES = 8_192  # 2.7 Hz between bins
LONG_HOP_SAMPLES = 4_096  # 5.4 long frames a second
PEAKS = 24  # strongest spectral peaks kept of a long frame
PEAK_BAND_HZ = (50.0, 5_000.0)  # the fundamentals of music and their first partials
PEAK_RANGE_DB = 50.0  # a peak further below the strongest one of its frame is left out
TAIL_S = 1.0  # a rest after the last whole window gets a window of its own if it is this long
FLATNESS_BAND_HZ = (100.0, 8_000.0)  # below is rumble, above lossy codecs cut
SILENCE_DB = -120.0  # what a window of zeros is given instead of minus infinity

_CHUNK_FRAMES = 256
_POWER_FLOOR = 1e-10  # librosa's amin
_RANGE_DB = 80.0  # librosa's top_db


@dataclass(frozen=True, eq=False)
class Features:
    """What one pass over a song measures; N windows, T frames, L long frames. All float32.

    Attributes
    ----------
    n_samples : int
        Length of the song at 22 050 Hz.
    mfcc : (N, 20, 216)
        MFCC of each window. Windows follow one another; a rest of 1 s or more gets a last window that ends on the last
        sample; a song shorter than a window is filled up with zeros. N is at least 1.
    window_db : (N,)
        RMS level of each window in dB of full scale, -120 for digital silence.
    onset : (T,)
        Onset strength: mean rise of the mel bands in dB since the frame before.
    chroma : (12, T)
        Energy of the pitch classes C, C#, ..., B; the strongest of a frame is 1, all are 0 in silence.
    power, k_power : (T,)
        Mean square of the frame (Hann-weighted), plain and K-weighted (ITU-R BS.1770); 0.5 for a sine of full scale.
    centroid_hz, bandwidth_hz : (T,)
        Mean and standard deviation of frequency, weighted by spectral magnitude, in Hz; 0 in silence.
    flatness_db : (T,)
        Geometric over arithmetic mean of the power spectrum from 100 Hz to 8 kHz in dB, at most 0.
    flux : (T,)
        Distance between the magnitude spectra of this frame and the one before, each scaled to length 1; 0 to sqrt 2.
    peak_hz, peak_amplitude : (L, 24)
        Frequency in Hz and linear amplitude of the strongest spectral peaks of each long frame; amplitude 0 where a
        frame has fewer.
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
        """Length of the song in seconds."""
        return self.n_samples / SAMPLE_RATE


def measure_features(blocks: Iterable[Float32]) -> Features:
    """Features of a song in one pass over its sound.

    Parameters
    ----------
    blocks : iterable of (n,) float32
        Mono sound at 22 050 Hz in any cut, full scale 1, finite; at least one sample in all.

    Returns
    -------
    Features
        See there.

    Examples
    --------
    >>> features = measure_features([np.zeros(30_000, np.float32)])
    >>> features.mfcc.shape, features.onset.shape
    ((1, 20, 216), (59,))
    """
    windows, frames, peaks = _Windows(), _Frames(), _Peaks()
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
    assert n_samples > 0, "read_blocks never ends without a sample"
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
    """The first and the second half of a song's windows and frames; a single one belongs to both."""
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


def mfcc(window: Float32) -> Float32:
    """MFCC of one window as librosa's defaults compute them.

    Parameters
    ----------
    window : (n,) float32
        Mono sound at 22 050 Hz.

    Returns
    -------
    (20, 1 + n // 512) float32
        Davis & Mermelstein 1980, on 128 Slaney mel bands in dB, the lowest 80 dB below the loudest of the window.
    """
    half = FFT_SAMPLES // 2
    padded = np.pad(window, half)
    power = _power_spectra(sliding_window_view(padded, FFT_SAMPLES)[::HOP_SAMPLES])
    bands_db = _decibel(power @ _mel_filters())
    np.maximum(bands_db, bands_db.max() - _RANGE_DB, out=bands_db)
    # 128 values near -90 are summed: in float32 that alone costs a thousandth.
    return np.ascontiguousarray((bands_db.astype(np.float64) @ _cosines()).T, np.float32)


class _Framer:
    """Cuts blocks into frames centred on every `hop`-th sample, `chunk` at a time; zeros lie outside the song."""

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
    """MFCC and level of consecutive windows of 5 s."""

    def __init__(self) -> None:
        self.mfcc: list[Float32] = []
        self.level_db: list[float] = []
        self._rest = np.zeros(0, np.float32)  # sound after the last whole window
        self._last = np.zeros(0, np.float32)  # the last whole window

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
        self.mfcc.append(mfcc(window))
        mean_square = float(np.dot(sound, sound)) / sound.size
        self.level_db.append(max(SILENCE_DB, 10 * np.log10(mean_square + 1e-30)))


class _Frames:
    """Shape of the spectrum of each frame; lists of chunks in the order of time."""

    def __init__(self) -> None:
        self.chroma: list[Float32] = []
        self.power: list[Float32] = []
        self.k_power: list[Float32] = []
        self.centroid_hz: list[Float32] = []
        self.bandwidth_hz: list[Float32] = []
        self.flatness_db: list[Float32] = []
        self.flux: list[Float32] = []
        self._mel_db: list[Float32] = []
        self._before: Float32 | None = None  # spectrum of the frame before the chunk, of length 1

    def push(self, frames: Float32) -> None:
        power = _power_spectra(frames)
        self._mel_db.append(_decibel(power @ _mel_filters()))
        self.chroma.append(_scale_to_peak(power @ _chroma_filters()).T)
        sums = power @ _power_sums()
        self.power.append(sums[:, 0].copy())
        self.k_power.append(sums[:, 1].copy())
        self.flatness_db.append(_flatness_db(power))
        self._push_magnitudes(np.sqrt(power), sums[:, 2])

    def _push_magnitudes(self, magnitude: Float32, energy: Float32) -> None:
        total, first, second = (magnitude @ _moments()).T
        scale = 1 / np.maximum(total, np.finfo(np.float32).tiny)
        centroid_khz = first * scale
        variance = second * scale - centroid_khz * centroid_khz
        self.centroid_hz.append(centroid_khz * np.float32(1e3))
        self.bandwidth_hz.append(np.sqrt(np.maximum(variance, 0)) * np.float32(1e3))

        magnitude *= (1 / np.sqrt(np.maximum(energy, np.finfo(np.float32).tiny)))[:, None]
        before = magnitude[:1] if self._before is None else self._before
        # |a - b|^2 of unit vectors; the first frame has no frame before it and no flux. Silence has length 0, not 1.
        difference = np.diff(magnitude, axis=0, prepend=before)
        self.flux.append(np.sqrt(np.einsum("tf,tf->t", difference, difference)))
        self._before = magnitude[-1:].copy()

    def onset(self) -> Float32:
        """Mean over bands of the rise in dB, with librosa's floor, lag of one frame and delay of half a frame."""
        floor = max(float(chunk.max()) for chunk in self._mel_db) - _RANGE_DB
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
    """Strongest spectral peaks of each long frame; lists of chunks in the order of time."""

    def __init__(self) -> None:
        self.hz: list[Float32] = []
        self.amplitude: list[Float32] = []

    def push(self, frames: Float32) -> None:
        spacing_hz = SAMPLE_RATE / LONG_FFT_SAMPLES
        first, last = (round(edge / spacing_hz) for edge in PEAK_BAND_HZ)
        window = _hann(LONG_FFT_SAMPLES)
        spectrum = np.fft.rfft(frames * window, axis=1)[:, first - 1 : last + 2]
        magnitude = np.abs(spectrum) * np.float32(2 / window.sum())
        centre = magnitude[:, 1:-1]
        audible = np.maximum(centre.max(axis=1, keepdims=True) * np.float32(10 ** (-PEAK_RANGE_DB / 20)), 1e-9)
        is_peak = (centre > magnitude[:, :-2]) & (centre >= magnitude[:, 2:]) & (centre > audible)
        height = np.where(is_peak, centre, np.float32(0))
        place = np.argpartition(height, -PEAKS, axis=1)[:, -PEAKS:]
        place.sort(axis=1)  # from low to high; argpartition promises no order

        # Parabola through the logarithms of a bin and its neighbours (Smith & Serra 1987).
        rows = np.arange(len(height))[:, None]
        low, mid, high = (np.log(magnitude[rows, place + shift] + np.float32(1e-12)) for shift in (0, 1, 2))
        curvature = low - 2 * mid + high
        offset = np.where(curvature < 0, 0.5 * (low - high) / np.minimum(curvature, -1e-12), 0).clip(-0.5, 0.5)
        present = height[rows, place] > 0
        amplitude = np.where(present, np.exp(mid - 0.25 * (low - high) * offset), 0)
        self.hz.append(((place + first + offset) * spacing_hz).astype(np.float32))
        self.amplitude.append(amplitude.astype(np.float32))


def _power_spectra(frames: Float32) -> Float32:
    """|rfft|^2 of Hann-windowed frames: (T, 2048) -> (T, 1025)."""
    spectrum = np.fft.rfft(frames * _hann(FFT_SAMPLES), axis=1)
    real, imaginary = spectrum.real, spectrum.imag
    return np.asarray(real * real + imaginary * imaginary)


def _decibel(power: Float32) -> Float32:
    return np.asarray(np.float32(10) * np.log10(np.maximum(power, np.float32(_POWER_FLOOR))))


def _scale_to_peak(rows: Float32) -> Float32:
    """Each row divided by its largest value; rows of zeros stay."""
    peak = rows.max(axis=1, keepdims=True)
    return np.asarray(rows / np.where(peak < np.finfo(np.float32).tiny, np.float32(1), peak))


def _flatness_db(power: Float32) -> Float32:
    low, high = (round(edge * FFT_SAMPLES / SAMPLE_RATE) for edge in FLATNESS_BAND_HZ)
    band = power[:, low:high]
    # A floor 80 dB below the strongest bin of the frame: what a lossy codec has emptied counts the same at any level.
    floor = band.max(axis=1, keepdims=True) * np.float32(10 ** (-_RANGE_DB / 10))
    band = np.maximum(band, np.maximum(floor, np.finfo(np.float32).tiny))
    return np.asarray(np.float32(10) * (np.log10(band).mean(axis=1) - np.log10(band.mean(axis=1))))


@lru_cache(maxsize=2)
def _hann(n: int) -> Float32:
    """Periodic Hann window."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n), np.float32)


def _bin_hz() -> NDArray[np.float64]:
    return np.asarray(np.arange(1 + FFT_SAMPLES // 2) * (SAMPLE_RATE / FFT_SAMPLES), np.float64)


@lru_cache(maxsize=1)
def _mel_filters() -> Float32:
    """(1025, 128) triangles on Slaney's mel scale (Auditory Toolbox 1998), each of area 1 in Hz; linear below 1 kHz."""
    linear, knee_hz, step = 200 / 3, 1_000.0, np.log(6.4) / 27
    top_mel = knee_hz / linear + np.log(SAMPLE_RATE / 2 / knee_hz) / step
    mel = np.linspace(0, top_mel, MEL_BANDS + 2)
    edge_hz = np.where(mel < knee_hz / linear, mel * linear, knee_hz * np.exp(step * (mel - knee_hz / linear)))
    low, mid, high = edge_hz[:-2], edge_hz[1:-1], edge_hz[2:]
    hz = _bin_hz()[:, None]
    triangles = np.minimum((hz - low) / (mid - low), (high - hz) / (high - mid))
    return np.asarray(np.maximum(triangles, 0) * 2 / (high - low), np.float32)


@lru_cache(maxsize=1)
def _cosines() -> NDArray[np.float64]:
    """(128, 20) the first rows of the orthonormal discrete cosine transform II."""
    places = np.pi / MEL_BANDS * (np.arange(MEL_BANDS) + 0.5)
    basis = np.sqrt(2 / MEL_BANDS) * np.cos(places[:, None] * np.arange(MFCC_ROWS))
    basis[:, 0] *= np.sqrt(0.5)
    return np.asarray(basis)


@lru_cache(maxsize=1)
def _chroma_filters() -> Float32:
    """(1025, 12) Gaussian bumps of a semitone on the pitch classes from C, tuned to A = 440 Hz (Ellis 2007).

    Bins are weighted by a Gaussian with a deviation of two octaves around 880 Hz.
    """
    hz = np.arange(FFT_SAMPLES) * (SAMPLE_RATE / FFT_SAMPLES)  # the formula runs over both halves of the spectrum
    semitone = 12 * np.log2(hz[1:] / (440 / 16))
    semitone = np.concatenate([[semitone[0] - 18], semitone])  # bin 0 has no pitch: an octave and a half below bin 1
    width = np.concatenate([np.maximum(np.diff(semitone), 1), [1]])
    distance = np.remainder(semitone[:, None] - np.arange(12) + 6, 12) - 6
    bumps = np.exp(-0.5 * (2 * distance / width[:, None]) ** 2)
    bumps /= np.sqrt((bumps**2).sum(axis=1, keepdims=True))
    bumps *= np.exp(-0.5 * ((semitone / 12 - 5) / 2) ** 2)[:, None]
    from_c = np.roll(bumps, -3, axis=1)  # the formula starts at A
    return np.asarray(from_c[: 1 + FFT_SAMPLES // 2], np.float32)


@lru_cache(maxsize=1)
def _power_sums() -> Float32:
    """(1025, 3) weights that sum a power spectrum to mean square, K-weighted mean square, and squared length."""
    window = _hann(FFT_SAMPLES).astype(np.float64)
    both_sides = np.full(1 + FFT_SAMPLES // 2, 2.0)
    both_sides[[0, -1]] = 1
    mean_square = both_sides / (FFT_SAMPLES * (window**2).sum())  # Parseval
    weights = [mean_square, mean_square * k_weighting(_bin_hz()), np.ones_like(mean_square)]
    return np.asarray(np.stack(weights, axis=1), np.float32)


@lru_cache(maxsize=1)
def _moments() -> Float32:
    """(1025, 3) powers 0, 1, 2 of frequency in kHz: float32 keeps its digits there."""
    return np.asarray((_bin_hz() / 1e3)[:, None] ** np.arange(3), np.float32)


def k_weighting(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Power response of the K-weighting of ITU-R BS.1770-5, annex 1, tables 1 and 2, at frequencies in Hz up to 24 kHz.

    The two published filters (a shelf for the head, a high-pass) are given for 48 kHz; their response is read there.
    """
    z = np.exp(-2j * np.pi * hz / 48_000)
    shelf = (1.53512485958697 - 2.69169618940638 * z + 1.19839281085285 * z**2) / (
        1 - 1.69065929318241 * z + 0.73248077421585 * z**2
    )
    high_pass = (1 - 2 * z + z**2) / (1 - 1.99004745483398 * z + 0.99007225036621 * z**2)
    return np.asarray(np.abs(shelf * high_pass) ** 2)
