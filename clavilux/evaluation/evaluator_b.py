"""Space B: how a picture looks in numbers that no training loss has used.

picture (H, W, 3) -> **here** -> (84,) float32, to be standardised on real training art by `EvaluatorBSpace`

Five blocks: colour (moments and quantiles in CIELAB), layout (means of 3 x 3 fields), texture (energies of log-Gabor
filters of 4 scales and 6 directions), edges (histogram of their directions), spectrum (slope and level). Each block
weighs the same in a distance, however many numbers it has.

The features in `clavilux.measures.image_features`, which the mapping does use, are other numbers of the same pixels;
the second space, A, is a network's that knows neither.
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
_SCALES = (48.0, 24.0, 12.0, 6.0)  # cycles along the side at the centre of a filter
_DIRECTIONS = 6
_EDGE_BINS = 8
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_GRAIN = 2.0  # L*: white noise of this deviation is added to every energy, because nobody sees less and JPEG leaves it
BLOCKS: dict[str, int] = {"colour": 23, "layout": 27, "texture": 24, "edges": 8, "spectrum": 2}


def measure_evaluator_b(rgb: NDArray[np.uint8]) -> Float32:
    """All numbers of one picture of at least 128 x 128 pixels, in the order of `BLOCKS`, unscaled."""
    lab = srgb_to_lab(average_down(rgb, SIDE) / 255.0).astype(np.float64)
    parts = [_colour(lab), _layout(lab), *_texture_and_spectrum(lab[..., 0]), _edges(lab)]
    colour, layout, texture, spectrum, edges = parts
    return np.concatenate([colour, layout, texture, edges, spectrum]).astype(np.float32)


@dataclass(frozen=True)
class EvaluatorBSpace:
    """The space: centre and spread of real training art, and the weight of each number.

    Build it once with `Looks.of(training art)`, then `place` pictures in it; Euclidean distances there are the
    distances of space B.
    """

    mean: Float32
    scale: Float32

    @classmethod
    def of(cls, measured: Sequence[Float32] | Float32) -> EvaluatorBSpace:
        """Space of the art with these measured looks, (n, 84)."""
        values = np.asarray(measured, np.float32)
        deviation = np.maximum(values.std(axis=0), 1e-3)
        weights = np.concatenate([np.full(n, n**-0.5) for n in BLOCKS.values()])
        return cls(values.mean(axis=0), np.asarray(weights / deviation, np.float32))

    def place(self, measured: Sequence[Float32] | Float32) -> Float32:
        """Measured looks (n, 84) -> points (n, 84)."""
        return np.asarray((np.asarray(measured, np.float32) - self.mean) * self.scale, np.float32)


def _colour(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    flat = lab.reshape(-1, 3)
    chroma = np.sqrt(flat[:, 1] ** 2 + flat[:, 2] ** 2)
    quantiles = np.quantile(flat, _QUANTILES, axis=0).T.ravel()
    return np.concatenate([flat.mean(0), flat.std(0), quantiles, [chroma.mean(), chroma.std()]])


def _layout(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    edges = np.linspace(0, SIDE, 4).astype(int)
    fields = [
        lab[a:b, c:d].mean(axis=(0, 1)) for a, b in itertools.pairwise(edges) for c, d in itertools.pairwise(edges)
    ]
    return np.concatenate(fields)


def _texture_and_spectrum(lightness: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    window, filters, log_frequency, band = _frequency_plane()
    power = np.abs(np.fft.fft2((lightness - lightness.mean()) * window)).ravel() ** 2
    power += _GRAIN**2 * (window**2).sum()
    texture = np.log(filters @ power)
    # Least squares of log power against log frequency over the rings of the band.
    log_power = np.log(power[band])
    slope, level = np.polyfit(log_frequency[band], log_power, 1)
    return texture, np.array([slope, level])


@lru_cache(maxsize=1)
def _frequency_plane() -> tuple[NDArray[np.float64], ...]:
    """Hann window, log-Gabor filters (24, 128 * 128), log frequency of each place, and the places that count."""
    fy, fx = np.meshgrid(np.fft.fftfreq(SIDE) * SIDE, np.fft.fftfreq(SIDE) * SIDE, indexing="ij")
    frequency = np.maximum(np.sqrt(fx**2 + fy**2), 1e-6)
    angle = np.arctan2(fy, fx)
    filters = []
    for centre in _SCALES:
        radial = np.exp(-0.5 * (np.log(frequency / centre) / 0.45) ** 2)
        for k in range(_DIRECTIONS):
            # Directions are modulo half a turn.
            off = np.abs((angle - np.pi * k / _DIRECTIONS + np.pi / 2) % np.pi - np.pi / 2)
            filters.append((radial * np.exp(-0.5 * (off / (np.pi / _DIRECTIONS / 1.5)) ** 2)).ravel())
    window = np.hanning(SIDE)[:, None] * np.hanning(SIDE)[None]
    flat = frequency.ravel()
    band = (flat >= 2.0) & (flat <= SIDE / 2)
    return window, np.array(filters) ** 2 / SIDE**2, np.log(flat), band


def _edges(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    gy, gx = np.gradient(lab[..., 0])
    strength = np.sqrt(gx**2 + gy**2)
    bins = np.floor((np.arctan2(gy, gx) % np.pi) / np.pi * _EDGE_BINS).astype(int) % _EDGE_BINS
    histogram = np.bincount(bins.ravel(), strength.ravel(), _EDGE_BINS)
    return np.asarray(histogram / (histogram.sum() + _GRAIN * SIDE**2 / 10))
