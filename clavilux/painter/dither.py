"""Colours rounded to 8 bits up or down by chance, so that slow gradients keep their slope.

soft colours in [0, 1] -> **here** -> bytes

Noise that is even over one step makes the expected value of a rounded number the number itself (Roberts 1962). The
grain of the paper cannot do it: it is laid on colours that are rounded already, hides their stairs and leaves them
there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clavilux.painter.marks.chance import Float32, cell_hash, rehash, unit


def dither(rgb: Float32, pixels: NDArray[np.intp], *, width: int, seed: int) -> NDArray[np.uint8]:
    """Round sRGB colours.

    Parameters
    ----------
    rgb : (n, 3) float32
        In [0, 1].
    pixels : (n,) int
        Where they are: row times width plus column. The same pixel of the same picture is rounded the same way.
    width : int
        Of the picture, in pixels.
    seed : int
        What chance hangs on.

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
