"""Learnt marks: small periodic fields with textures of art.

fields.npz (made by `research/code/learn_fields.py`) -> **here** -> one field for all slots, stacked from dark to light

A field holds ranks, which are converted to normal numbers. A picture reads it twice: upright, and rotated by half a
turn and shifted. A slow random field decides which of the two copies a place shows, and mixes them in between. A
mixture of normal numbers whose squared weights sum to 1 is normal (Heitz and Neyret 2018), so the marks stay uniform,
and no period is visible.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from statistics import NormalDist

import numpy as np

from clavilux.painter.marks.hashing import Float32
from clavilux.painter.marks.place import Marks, Place, normal_to_uniform
from clavilux.painter.marks.trace import one_step

FAMILIES = ("cubist", "machine", "leaded", "pebbles", "planes", "impasto")
VARIANTS = 3  # fields of a family; a picture uses one of them
SIDE = 192  # samples along each side of a field

_MARKS = 8.0  # marks along a side of a field
_FINE = 3  # samples of the refined table per sample of a field; linear in between
_STEPS = 4_096  # quantiles of the normal distribution; linear in between
_PATCH = 4.0  # marks across a patch of one of the two copies
_STEEP = 1.5  # slope of the transition between the copies


def draw_family(family: str) -> Callable[[Place], Marks]:
    """Return the drawing function of a family of fields."""

    def draw(place: Place) -> Marks:
        which, *shifts = place.draw("learnt", 5)
        table = load_table(family, int(which * VARIANTS))
        s, t = place.s * np.float32(1 / _MARKS), place.t * np.float32(1 / _MARKS)
        down, right, up, left = (np.float32(shift) for shift in shifts)
        upright = read_field(s + right, t + down, table)
        turned = read_field(left - s, up - t, table)
        patch = np.float32(1 / _PATCH)
        copies = place.smooth_field(place.s * patch, place.t * patch, "copies", n=6)
        share = np.clip(copies * np.float32(_STEEP) + np.float32(0.5), np.float32(0), np.float32(1))
        rest = np.float32(1) - share
        mixed = (upright * share + turned * rest) / np.sqrt(share * share + rest * rest)
        return Marks(normal_to_uniform(mixed)[None])

    return draw


@one_step
def read_field(s: Float32, t: Float32, table: Float32) -> Float32:
    """Interpolate a periodic field linearly.

    The table is (side + 1, side + 1): its last row and column repeat the first. (s, t) are in periods.
    """
    side = len(table) - 1
    column, row = (s - np.floor(s)) * np.float32(side), (t - np.floor(t)) * np.float32(side)
    whole_column = np.minimum(np.floor(column), np.float32(side - 1))
    whole_row = np.minimum(np.floor(row), np.float32(side - 1))
    right, down = column - whole_column, row - whole_row
    at = (whole_row * np.float32(side + 1) + whole_column).astype(np.intp)
    flat = table.reshape(-1)
    a, b = flat.take(at), flat.take(at + 1)
    c, d = flat.take(at + (side + 1)), flat.take(at + (side + 2))
    upper = a + (b - a) * right
    lower = c + (d - c) * right
    return np.asarray(upper + (lower - upper) * down, np.float32)


@lru_cache(maxsize=len(FAMILIES) * VARIANTS)
def load_table(family: str, variant: int) -> Float32:
    """Return a field as normal numbers, refined with Catmull-Rom splines (1974), (577, 577)."""
    values = _normal_numbers(256)[load_ranks()[family][variant]]
    for _ in range(2):  # along rows, then along columns
        values = _refine_rows(values).T
    order = values.argsort(axis=None, kind="stable")
    normal = np.empty(values.size, np.float32)
    normal[order] = np.interp(np.linspace(0, _STEPS - 1, values.size), np.arange(_STEPS), _normal_numbers(_STEPS))
    table = np.pad(normal.reshape(values.shape), (0, 1), mode="wrap")
    table.flags.writeable = False
    return table


def _normal_numbers(n: int) -> Float32:
    """Return n quantiles of the normal distribution, the medians of n equal parts, in rising order."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((i + 0.5) / n) for i in range(n)], np.float32)


def _refine_rows(values: Float32) -> Float32:
    """Interpolate periodic rows with Catmull-Rom splines: (n, m) -> (n, _FINE * m)."""
    before, after, beyond = (np.roll(values, shift, axis=1) for shift in (1, -1, -2))
    parts = []
    for step in range(_FINE):
        f = step / _FINE
        parts.append(
            np.float32((-f + 2 * f**2 - f**3) / 2) * before
            + np.float32((2 - 5 * f**2 + 3 * f**3) / 2) * values
            + np.float32((f + 4 * f**2 - 3 * f**3) / 2) * after
            + np.float32((f**3 - f**2) / 2) * beyond
        )
    return np.stack(parts, axis=2).reshape(len(values), -1)


@lru_cache(maxsize=1)
def load_ranks() -> dict[str, np.ndarray]:
    """Return the ranks of all fields by family, each (VARIANTS, SIDE, SIDE) uint8."""
    with files("clavilux.painter.marks").joinpath("fields.npz").open("rb") as file, np.load(file) as content:
        return {family: content[family] for family in FAMILIES}
