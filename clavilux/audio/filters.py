"""Constant arrays of the spectral analysis: windows, filter banks and weights.

The arrays are cached, so callers must not change them. Frames have 2048 samples, so spectra have 1025 bins.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from clavilux.audio import Float32
from clavilux.constants import FFT_SAMPLES, MEL_BANDS, MFCC_ROWS, SAMPLE_RATE


@lru_cache(maxsize=2)
def hann(n: int) -> Float32:
    """Return the periodic Hann window (n,) of ``n`` samples."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n), np.float32)


def bin_hz() -> NDArray[np.float64]:
    """Return the frequencies (1025,) in Hz of the bins of a spectrum."""
    return np.asarray(np.arange(1 + FFT_SAMPLES // 2) * (SAMPLE_RATE / FFT_SAMPLES), np.float64)


@lru_cache(maxsize=4)
def mel_filters(fmax_hz: float = SAMPLE_RATE / 2) -> Float32:
    """Return the mel filter bank (1025, 128): the transpose of `librosa.filters.mel`.

    The filters are triangles between 0 Hz and ``fmax_hz`` (1000 or more). They are spaced on Slaney's mel scale
    (Auditory Toolbox 1998), which is linear below 1 kHz. The integral of each filter over the frequency in Hz is 1.
    """
    linear, knee_hz, step = 200 / 3, 1_000.0, np.log(6.4) / 27
    top_mel = knee_hz / linear + np.log(fmax_hz / knee_hz) / step
    mel = np.linspace(0, top_mel, MEL_BANDS + 2)
    edge_hz = np.where(mel < knee_hz / linear, mel * linear, knee_hz * np.exp(step * (mel - knee_hz / linear)))
    low, mid, high = edge_hz[:-2], edge_hz[1:-1], edge_hz[2:]
    hz = bin_hz()[:, None]
    triangles = np.minimum((hz - low) / (mid - low), (high - hz) / (high - mid))
    return np.asarray(np.maximum(triangles, 0) * 2 / (high - low), np.float32)


@lru_cache(maxsize=1)
def dct_basis() -> NDArray[np.float64]:
    """Return the first 20 basis vectors of the orthonormal DCT-II over 128 bands, as columns (128, 20)."""
    phase = np.pi / MEL_BANDS * (np.arange(MEL_BANDS) + 0.5)
    basis = np.sqrt(2 / MEL_BANDS) * np.cos(phase[:, None] * np.arange(MFCC_ROWS))
    basis[:, 0] *= np.sqrt(0.5)
    return np.asarray(basis)


@lru_cache(maxsize=1)
def power_sums() -> Float32:
    """Return a matrix (1025, 3) that maps the power spectrum of a frame to three sums.

    The sums are the mean square of the samples, the K-weighted mean square of the samples, and the squared norm of the
    magnitude spectrum. The power spectrum comes from `clavilux.audio.mfcc.power_spectra`. Both mean squares are
    weighted by the squared Hann window.
    """
    window = hann(FFT_SAMPLES).astype(np.float64)
    both_sides = np.full(1 + FFT_SAMPLES // 2, 2.0)
    both_sides[[0, -1]] = 1
    mean_square = both_sides / (FFT_SAMPLES * (window**2).sum())  # Parseval
    weights = [mean_square, mean_square * k_weighting(bin_hz()), np.ones_like(mean_square)]
    return np.asarray(np.stack(weights, axis=1), np.float32)


@lru_cache(maxsize=1)
def frequency_moments() -> Float32:
    """Return a matrix (1025, 3) that maps a spectrum to its sums weighted by 1, f and f^2, for frequencies f in kHz."""
    # In Hz, float32 would lose precision.
    return np.asarray((bin_hz() / 1e3)[:, None] ** np.arange(3), np.float32)


def k_weighting(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the factors (n,) by which K-weighting multiplies power at frequencies (n,) in Hz, up to 24 kHz.

    K-weighting is a shelving filter and a high-pass filter (ITU-R BS.1770-5, annex 1, tables 1 and 2). The standard
    defines them at a sample rate of 48 kHz, and the response is evaluated at that rate.
    """
    z = np.exp(-2j * np.pi * hz / 48_000)
    shelf = (1.53512485958697 - 2.69169618940638 * z + 1.19839281085285 * z**2) / (
        1 - 1.69065929318241 * z + 0.73248077421585 * z**2
    )
    high_pass = (1 - 2 * z + z**2) / (1 - 1.99004745483398 * z + 0.99007225036621 * z**2)
    return np.asarray(np.abs(shelf * high_pass) ** 2)
