r"""Interpolation of the plan: the probability of each palette slot at each position in the picture.

plan (8, 32, 32) -> `refine_plan` -> grid (8, 257 * 257) -> `read_plan` -> log-probabilities at positions
                \\-> `choose_by_plan` -> numbers from 0 to 1, for choices that similar songs make alike
scores of palette slots -> `find_biases` -> biases that give each slot its share of the picture
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import PLAN_SIDE, SLOTS
from clavilux.painter.marks.hashing import draws
from clavilux.painter.raster import blur

Float32 = NDArray[np.float32]

_FINE = 8  # grid points per cell of the plan; linear interpolation between them is not visible
_N = PLAN_SIDE * _FINE
_ROUNDS = 14  # of the search for biases
_FREEDOM = 0.4  # radians by which a choice changes per standard deviation of a property of the plan


def refine_plan(plan: Float32) -> Float32:
    """Return the plan, interpolated with Catmull-Rom splines to a grid of 257 x 257 points.

    The outermost points of the grid are on the edges of the picture. The values of the plan are at the centres of its
    cells, and the splines pass through them (Catmull and Rom 1974).

    Parameters
    ----------
    plan : (SLOTS, 32, 32) float32
        Log-probabilities.

    Returns
    -------
    (SLOTS, 257 * 257) float32
        Unnormalised log-probabilities: at each point, they are correct except for a constant that is the same for all
        palette slots.
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
    # Sums of four terms: the last bit of matrix products would depend on the number of threads of the BLAS library.
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


def blur_plan(plan: Float32, sigma: float) -> Float32:
    """Return a plan (SLOTS, 32, 32) whose probabilities are blurred; ``sigma`` is in cells, see `raster.blur`."""
    return np.log(np.maximum(np.stack([blur(p, sigma) for p in np.exp(plan)]), np.float32(1e-6)))


def read_plan(fine: Float32, x: Float32, y: Float32) -> Float32:
    """Return the refined plan at n positions, by bilinear interpolation.

    Parameters
    ----------
    fine : (SLOTS, 257 * 257) float32
        From `refine_plan`.
    x, y : (n,) float32
        Positions relative to the centre of the picture: x in units of its width, y, downwards, in units of its height.

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


def find_biases(scores: Float32, shares: Float32) -> Float32:
    """Return biases (SLOTS,) to add to the scores (SLOTS, n) of n cells, so that slots win in the fractions ``shares``.

    A palette slot wins in a cell if its score is the highest. ``shares`` (SLOTS,) are fractions of the n cells, and are
    reached approximately.
    """
    bias = np.zeros(SLOTS, np.float32)
    for _ in range(_ROUNDS):
        reached = np.bincount((scores + bias[:, None]).argmax(axis=0), minlength=SLOTS) / scores.shape[1]
        bias += np.float32(0.25) * np.clip(np.log((shares + 0.004) / (reached + 0.004)), -1.5, 1.5).astype(np.float32)
    return bias


def choose_by_plan(plan: Float32, seed: int, name: str, n: int) -> NDArray[np.float64]:
    """Return n numbers in [0, 1], (n,): smooth functions of the plan, which the seed and the name determine.

    They do not depend on the other controls, so what is chosen by them stays the same if a user asks for other colours.

    Parameters
    ----------
    plan : (SLOTS, 32, 32) float32
        Log-probabilities.
    """
    p = np.exp(plan.astype(np.float64))
    along = (np.arange(PLAN_SIDE) / (PLAN_SIDE - 1) - 0.5) * 40
    properties = np.concatenate(
        [
            (p.mean(axis=(1, 2)) - 1 / SLOTS) / 0.06,
            (p.mean(axis=1) * along).mean(axis=1),
            (p.mean(axis=2) * along).mean(axis=1),
        ]
    )
    weights = draws(seed, f"{name} weights", n * properties.size).reshape(n, -1) - 0.5
    turns = (weights * (math.sqrt(12) * _FREEDOM * properties)).sum(axis=1)
    return np.asarray(0.5 + 0.5 * np.sin(math.tau * draws(seed, f"{name}s", n) + turns))
