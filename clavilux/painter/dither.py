"""Dithering: rounding colours to 8 bits up or down at random, so that slow gradients show no bands.

soft colours in [0, 1] -> **here** -> bytes

Noise that is uniform over one 8-bit step makes the expected value of the rounded number equal to the number (Roberts
1962). The grain of paper cannot replace it, because it is added to colours that are already rounded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clavilux.painter.marks.hashing import Float32, cell_hash, rehash, unit


def dither(rgb: Float32, pixels: NDArray[np.intp], *, width: int, seed: int) -> NDArray[np.uint8]:
    """Round sRGB colours to 8 bits with random thresholds.

    Parameters
    ----------
    rgb : (n, 3) float32
        In [0, 1].
    pixels : (n,) int
        Positions: row times width plus column. Position and seed determine the thresholds.
    width : int
        Pixels of a row of the picture.
    seed : int
        Random seed.

    Returns
    -------
    (n, 3) uint8
    """
    row, column = np.divmod(pixels, width)
    h = cell_hash(column.astype(np.float32), row.astype(np.float32), seed, "dither")
    steps = rgb * np.float32(255.0)
    for c in range(3):
        steps[:, c] += unit(h if c == 0 else rehash(h, c))
    np.floor(steps, out=steps)
    return np.clip(steps, 0, 255, out=steps).astype(np.uint8)
