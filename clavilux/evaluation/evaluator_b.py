"""Evaluator B: 84 handcrafted features of a picture that no training loss uses.

Five blocks: colour (moments and quantiles in CIELAB), layout (means of 3 x 3 tiles), texture (energies of log-Gabor
filters, 4 scales x 6 directions), edges (histogram of their directions), spectrum (slope and level). Each block weighs
the same in a distance, whatever its length. The mapping is trained with other features of the same pixels
(`clavilux.measures.image_features`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import srgb_to_lab
from clavilux.measures.image_features import average_down

Float32 = NDArray[np.float32]

SIDE = 128  # pictures are averaged down to this before anything is measured
_SCALES = (48.0, 24.0, 12.0, 6.0)  # centre frequencies of the filters, in cycles per side
_DIRECTIONS = 6
_EDGE_BINS = 8
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# L*, standard deviation of white noise whose energy is added to all energies: less is invisible, and JPEG adds as much.
_GRAIN = 2.0
BLOCKS: dict[str, int] = {"colour": 23, "layout": 27, "texture": 24, "edges": 8, "spectrum": 2}


def measure_evaluator_b(rgb: NDArray[np.uint8]) -> Float32:
    """Return the unscaled features (84,) float32 of a picture, in the order of `BLOCKS`.

    The picture is (H, W, 3) uint8 sRGB with sides of at least 128 pixels.
    """
    lab = srgb_to_lab(average_down(rgb, SIDE) / 255.0).astype(np.float64)
    texture, spectrum = _texture_and_spectrum(lab[..., 0])
    return np.concatenate([_colour(lab), _layout(lab), texture, _edges(lab), spectrum]).astype(np.float32)


@dataclass(frozen=True)
class EvaluatorBSpace:
    """The standardised feature space of evaluator B, in which distances are Euclidean.

    Attributes
    ----------
    mean : (84,) float32
        Mean of each feature over real training art.
    scale : (84,) float32
        1 / (standard deviation over that art * sqrt(number of features in the block)), so that blocks count equally.
    """

    mean: Float32
    scale: Float32

    @classmethod
    def of(cls, measured: Sequence[Float32] | Float32) -> EvaluatorBSpace:
        """Return the space that is standardised on pictures with these unscaled features (n, 84)."""
        values = np.asarray(measured, np.float32)
        deviation = np.maximum(values.std(axis=0), 1e-3)
        weights = np.concatenate([np.full(n, n**-0.5) for n in BLOCKS.values()])
        return cls(values.mean(axis=0), np.asarray(weights / deviation, np.float32))

    def place(self, measured: Sequence[Float32] | Float32) -> Float32:
        """Return points (n, 84) for unscaled features (n, 84)."""
        return np.asarray((np.asarray(measured, np.float32) - self.mean) * self.scale, np.float32)


def _colour(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return means, deviations and quantiles of L*, a*, b*, and mean and deviation of chroma."""
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
    """Return log energies of the filters (24,), and slope and level of a line through the log-log power spectrum."""
    window, filters, log_frequency, band = _frequency_plane()
    power = np.abs(np.fft.fft2((lightness - lightness.mean()) * window)).ravel() ** 2
    power += _GRAIN**2 * (window**2).sum()
    texture = np.log(filters @ power)
    slope, level = np.polyfit(log_frequency[band], np.log(power[band]), 1)
    return texture, np.array([slope, level])


@lru_cache(maxsize=1)
def _frequency_plane() -> tuple[NDArray[np.float64], ...]:
    """Return Hann window, log-Gabor filters (24, 128 * 128), log frequencies, and the mask of those that are used."""
    fy, fx = np.meshgrid(np.fft.fftfreq(SIDE) * SIDE, np.fft.fftfreq(SIDE) * SIDE, indexing="ij")
    frequency = np.maximum(np.sqrt(fx**2 + fy**2), 1e-6)
    angle = np.arctan2(fy, fx)
    filters = []
    for centre in _SCALES:
        radial = np.exp(-0.5 * (np.log(frequency / centre) / 0.45) ** 2)
        for k in range(_DIRECTIONS):
            # Directions are equal modulo half a turn.
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
    return np.asarray(histogram / (histogram.sum() + _GRAIN * SIDE**2 / 10))
