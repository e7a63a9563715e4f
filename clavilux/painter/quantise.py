"""The palette of a real picture: its main colours, from dark to light.

pixels -> k-means in CIELAB -> palette, palette slot of each pixel
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import srgb_to_lab
from clavilux.constants import SLOTS

Float32 = NDArray[np.float32]

_SAMPLE = 4096  # number of pixels from which the means are computed
_ROUNDS = 8


def quantise(rgb: NDArray[np.uint8], rng: np.random.Generator) -> tuple[Float32, NDArray[np.int64]]:
    """Return the palette of a picture, eight colours, and the palette slot of each pixel: the index of its colour.

    The method is k-means in CIELAB with k-means++ initialisation (Arthur & Vassilvitskii 2007), which also finds rare
    colours. The colour of a slot is the median of its pixels.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
        sRGB.
    rng : numpy Generator
        Random generator that chooses a sample of pixels and initialises k-means.

    Returns
    -------
    palette : (8, 3) float32
        sRGB in [0, 1], dark to light.
    slot : (H * W,) int
        Index of the palette colour of each pixel, 0 to 7, in row-major order.
    """
    flat = rgb.reshape(-1, 3)
    lab = srgb_to_lab(flat / np.float32(255))
    centres = _kmeans(lab[rng.permutation(len(lab))[:_SAMPLE]], rng)
    centres = centres[np.argsort(centres[:, 0])]
    slot = nearest_of(lab, centres)
    palette: Float32 = np.empty((SLOTS, 3), np.float32)
    for k in range(SLOTS):
        pixels = flat[slot == k]
        palette[k] = np.median(pixels, axis=0) if len(pixels) else flat[((lab - centres[k]) ** 2).sum(1).argmin()]
    return np.asarray(palette / 255, np.float32), slot


def nearest_of(points: Float32, centres: Float32) -> NDArray[np.int64]:
    """Return the indices (n,) of the centres (k, D) that are nearest to points (n, D)."""
    return np.asarray(((centres**2).sum(1)[None] - 2 * points @ centres.T).argmin(1))


def _kmeans(points: Float32, rng: np.random.Generator) -> Float32:
    centres = [points[rng.integers(len(points))]]
    distance = ((points - centres[0]) ** 2).sum(1)
    for _ in range(SLOTS - 1):
        total = distance.sum()
        centres.append(points[rng.choice(len(points), p=distance / total)] if total > 1e-6 else points[0])
        distance = np.minimum(distance, ((points - centres[-1]) ** 2).sum(1))
    means = np.stack(centres)
    for _ in range(_ROUNDS):
        owner = nearest_of(points, means)
        counts = np.bincount(owner, minlength=SLOTS)
        sums = np.stack([np.bincount(owner, points[:, c], SLOTS) for c in range(3)], axis=1)
        means = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], means).astype(np.float32)
    return means
