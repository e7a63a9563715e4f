"""Interpolation of the plan, the probabilities of the palette slots over the picture.

plan (8, 32, 32) -> `refine_plan` -> grid (8, 257 * 257) -> `read_plan` -> log-probabilities at positions
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import PLAN_SIDE, SLOTS

Float32 = NDArray[np.float32]

_FINE = 8  # grid points per cell of the plan; linear interpolation between them is not visible
_N = PLAN_SIDE * _FINE


def refine_plan(plan: Float32) -> Float32:
    """Return the plan, interpolated with Catmull-Rom splines (1974) to a grid of 257 x 257 points.

    The outer points of the grid are on the edges of the picture. The splines pass through the values at the centres of
    the cells.

    Parameters
    ----------
    plan : (SLOTS, 32, 32) float32
        Log-probabilities.

    Returns
    -------
    (SLOTS, 257 * 257) float32
        Unnormalised log-probabilities: at each point, a common constant may be added to all slots.
    """
    # The splines overshoot near a steep border, which only makes a probable slot more probable, because the values are
    # logits. B-splines do not overshoot, but smooth away single cells.
    at = np.arange(_N + 1) / _FINE - 0.5  # in cells, from the centre of the first one
    base = np.floor(at).astype(np.intp)
    f = (at - base).astype(np.float32)
    taps = [
        (np.clip(base + step, 0, PLAN_SIDE - 1), weight)
        for step, weight in (
            (-1, (-f + 2 * f**2 - f**3) / 2),
            (0, (2 - 5 * f**2 + 3 * f**3) / 2),
            (1, (f + 4 * f**2 - 3 * f**3) / 2),
            (2, (f**3 - f**2) / 2),
        )
    ]
    # Sums of four terms, not matrix products: the last bit of those depends on the threads of the BLAS library.
    fine = np.zeros((SLOTS, at.size, at.size), np.float32)
    part = np.empty((at.size, at.size), np.float32)
    for slot in range(SLOTS):
        columns = np.zeros((PLAN_SIDE, at.size), np.float32)
        for cells, weight in taps:
            columns += plan[slot].take(cells, axis=1) * weight
        for cells, weight in taps:
            np.multiply(columns.take(cells, axis=0), weight[:, None], out=part)
            fine[slot] += part
    return fine.reshape(SLOTS, -1)


def read_plan(fine: Float32, x: Float32, y: Float32) -> Float32:
    """Return the refined plan at n positions, by bilinear interpolation.

    Parameters
    ----------
    fine : (SLOTS, 257 * 257) float32
        From `refine_plan`.
    x, y : (n,) float32
        Positions relative to the centre of the picture, in units of its width and of its height, y downwards.

    Returns
    -------
    (SLOTS, n) float32
        Unnormalised log-probabilities.
    """
    column = np.clip((x + np.float32(0.5)) * _N, 0, np.float32(_N - 0.01))
    row = np.clip((y + np.float32(0.5)) * _N, 0, np.float32(_N - 0.01))
    whole_column, whole_row = np.floor(column), np.floor(row)
    right, down = column - whole_column, row - whole_row
    at = (whole_row * (_N + 1) + whole_column).astype(np.intp)
    corners = (at, at + 1, at + (_N + 1), at + (_N + 2))
    read = np.empty((SLOTS, x.size), np.float32)
    for plane, out in zip(fine, read, strict=True):
        a, b, c, d = (plane.take(corner) for corner in corners)
        b -= a
        b *= right
        b += a
        d -= c
        d *= right
        d += c
        d -= b
        d *= down
        np.add(b, d, out=out)
    return read
