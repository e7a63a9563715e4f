"""Convert CIELAB to 8-bit sRGB with random rounding, so that gradual changes of colour show no steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import lab_to_srgb
from clavilux.painter.marks.hashing import Float32, cell_hash, rehash, unit


def dither_lab(lab: Float32, top: int, seed: int) -> NDArray[np.uint8]:
    """Return rows of a picture, converted from CIELAB to 8-bit sRGB with random rounding.

    Parameters
    ----------
    lab : (n, width, 3) float32
    top : int
        Index of the first of these rows in the picture. Position and seed determine the rounding.
    seed : int
        Random seed.

    Returns
    -------
    (n, width, 3) uint8
    """
    n, width = lab.shape[:2]
    row, column = np.repeat(np.arange(top, top + n), width), np.tile(np.arange(width), n)
    h = cell_hash(column.astype(np.float32), row.astype(np.float32), seed, "dither")
    steps = lab_to_srgb(lab) * np.float32(255.003)  # a little more than 255, so that white stays white
    for c in range(3):
        steps[..., c] += unit(h if c == 0 else rehash(h, c)).reshape(n, width)
    return np.asarray(np.minimum(steps, 255), np.uint8)
