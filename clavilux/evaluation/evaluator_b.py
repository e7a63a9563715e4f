"""Evaluator B: 84 handcrafted picture features, which no training loss uses.

The features are in five blocks: colour (moments and quantiles in CIELAB), layout (means of 3 x 3 tiles), texture
(energies of log-Gabor filters, 4 scales x 6 directions), edges (histogram of edge directions) and spectrum (slope and
intercept of a line fitted to the log-log spectrum). The mapping network is trained with other features, which are
computed from the same pixels (`clavilux.measures.image_features`).
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import srgb_to_lab
from clavilux.measures.image_features import average_down

Float32 = NDArray[np.float32]

SIDE = 128  # pixels; pictures are averaged down to this size before anything is measured
_SCALES = (48.0, 24.0, 12.0, 6.0)  # centre frequencies of the filters, in cycles per side
_DIRECTIONS = 6
_EDGE_BINS = 8
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# The energy of white noise with this standard deviation of L* is added to all energies: weaker detail is invisible, and
# JPEG adds as much.
_NOISE = 2.0
BLOCKS = {"colour": 23, "layout": 27, "texture": 24, "edges": 8, "spectrum": 2}  # block -> number of features


def measure_evaluator_b(rgb: NDArray[np.uint8]) -> Float32:
    """Return the unscaled features (84,) float32 of a picture, in the order of `BLOCKS`.

    The picture is (H, W, 3) uint8 sRGB with sides of at least 128 pixels.
    """
    lab = srgb_to_lab(average_down(rgb, SIDE) / 255.0).astype(np.float64)
    texture, spectrum = _texture_and_spectrum(lab[..., 0])
    return np.concatenate([_colour(lab), _layout(lab), texture, _edges(lab), spectrum]).astype(np.float32)


def _colour(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return means, standard deviations and quantiles of L*, a*, b*, then mean and standard deviation of chroma."""
    flat = lab.reshape(-1, 3)
    chroma = np.sqrt(flat[:, 1] ** 2 + flat[:, 2] ** 2)
    quantiles = np.quantile(flat, _QUANTILES, axis=0).T.ravel()
    return np.concatenate([flat.mean(0), flat.std(0), quantiles, [chroma.mean(), chroma.std()]])


def _layout(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of L*, a*, b* over 3 x 3 tiles."""
    edges = np.linspace(0, SIDE, 4).astype(int)
    return np.concatenate(
        [lab[a:b, c:d].mean(axis=(0, 1)) for a, b in itertools.pairwise(edges) for c, d in itertools.pairwise(edges)]
    )


def _texture_and_spectrum(lightness: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return log energies (24,) of the filters, and slope and intercept (2,) of a line fit to the log-log spectrum."""
    window, filters, log_frequency, band = _frequency_plane()
    power = np.abs(np.fft.fft2((lightness - lightness.mean()) * window)).ravel() ** 2
    power += _NOISE**2 * (window**2).sum()
    texture = np.log(filters @ power)
    slope, level = np.polyfit(log_frequency[band], np.log(power[band]), 1)
    return texture, np.array([slope, level])


@lru_cache(maxsize=1)
def _frequency_plane() -> tuple[NDArray[np.float64], ...]:
    """Return Hann window, log-Gabor filters (24, 128 * 128), log frequencies, and a mask of the fitted frequencies."""
    fy, fx = np.meshgrid(np.fft.fftfreq(SIDE) * SIDE, np.fft.fftfreq(SIDE) * SIDE, indexing="ij")
    frequency = np.maximum(np.sqrt(fx**2 + fy**2), 1e-6)
    angle = np.arctan2(fy, fx)
    filters = []
    for centre in _SCALES:
        radial = np.exp(-0.5 * (np.log(frequency / centre) / 0.45) ** 2)
        for k in range(_DIRECTIONS):
            # Directions that differ by half a turn are the same.
            off = np.abs((angle - np.pi * k / _DIRECTIONS + np.pi / 2) % np.pi - np.pi / 2)
            filters.append((radial * np.exp(-0.5 * (off / (np.pi / _DIRECTIONS / 1.5)) ** 2)).ravel())
    window = np.hanning(SIDE)[:, None] * np.hanning(SIDE)[None]
    flat = frequency.ravel()
    band = (flat >= 2.0) & (flat <= SIDE / 2)
    return window, np.array(filters) ** 2 / SIDE**2, np.log(flat), band


def _edges(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the histogram of edge directions, weighted by edge strength."""
    gy, gx = np.gradient(lab[..., 0])
    strength = np.sqrt(gx**2 + gy**2)
    bins = np.floor((np.arctan2(gy, gx) % np.pi) / np.pi * _EDGE_BINS).astype(int) % _EDGE_BINS
    histogram = np.bincount(bins.ravel(), strength.ravel(), _EDGE_BINS)
    return np.asarray(histogram / (histogram.sum() + _NOISE * SIDE**2 / 10))
