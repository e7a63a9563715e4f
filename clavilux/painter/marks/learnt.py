"""Marks that were learnt: small fields with the textures of art, uniform, that wrap around.

fields.npz (made by `research/code/learn_fields.py`) -> **here** -> one field for all slots, stacked from dark to light

A field holds ranks. They are read as normal numbers, twice: as they lie, and elsewhere and upside down. A slow field
says where which of the two is seen, and mixes them between: a mixture of normal numbers whose squared weights sum to 1
is normal again (Heitz and Neyret 2018). So the marks stay uniform, and no period is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from statistics import NormalDist

import numpy as np

from clavilux.painter.marks.chance import Float32
from clavilux.painter.marks.place import Marks, Place, normal_to_uniform
from clavilux.painter.marks.trace import one_step

FAMILIES = ("cubist", "machine", "leaded", "pebbles", "planes", "impasto")
VARIANTS = 3  # fields of a family; a picture has one of them
SIDE = 192  # numbers along each side of a field

_MARKS = 8.0  # along a side of a field
_FINE = 3  # numbers to each of a field after splines have gone through them; between these it is straight
_STEPS = 4_096  # of the normal distribution; between them it is straight
_PATCH = 4.0  # marks across a patch of one of the two copies
_STEEP = 1.5  # of the passage from one copy to the other


def draw_family(family: str) -> Callable[[Place], Marks]:
    """The kind of marks that a family is."""

    def draw(place: Place) -> Marks:
        which, *shifts = place.draw("learnt", 5)
        table = _table(family, int(which * VARIANTS))
        s, t = place.s * np.float32(1 / _MARKS), place.t * np.float32(1 / _MARKS)
        down, right, up, left = (np.float32(shift) for shift in shifts)
        upright = read_field(s + right, t + down, table)
        turned = read_field(left - s, up - t, table)
        patch = np.float32(1 / _PATCH)
        share = place.waves(place.s * patch, place.t * patch, "copies", n=6) * np.float32(_STEEP) + np.float32(0.5)
        share = np.clip(share, np.float32(0), np.float32(1))
        rest = np.float32(1) - share
        mixed = (upright * share + turned * rest) / np.sqrt(share * share + rest * rest)
        return Marks(normal_to_uniform(mixed)[None])

    return draw


@one_step
def read_field(s: Float32, t: Float32, table: Float32) -> Float32:
    """A field (side + 1, side + 1) whose last row and column repeat the first, at places counted in whole fields."""
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
def _table(family: str, variant: int) -> Float32:
    """Normal numbers of a field, finer by Catmull-Rom splines (1974), (577, 577)."""
    values = _normal_numbers(256)[_ranks()[family][variant]]
    for _ in range(2):  # along rows, then along columns
        values = _refine_rows(values).T
    order = values.argsort(axis=None, kind="stable")
    normal = np.empty(values.size, np.float32)
    normal[order] = np.interp(np.linspace(0, _STEPS - 1, values.size), np.arange(_STEPS), _normal_numbers(_STEPS))
    table = np.pad(normal.reshape(values.shape), (0, 1), mode="wrap")
    table.flags.writeable = False
    return table


def _normal_numbers(n: int) -> Float32:
    """The middles of n equal shares of the normal distribution, in rising order."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((i + 0.5) / n) for i in range(n)], np.float32)


def _refine_rows(values: Float32) -> Float32:
    """(n, m) -> (n, _FINE * m), around the edge."""
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
def _ranks() -> dict[str, np.ndarray]:
    """All fields, (VARIANTS, SIDE, SIDE) uint8 by family."""
    with files("clavilux.painter.marks").joinpath("fields.npz").open("rb") as file, np.load(file) as content:
        return {family: content[family] for family in FAMILIES}
