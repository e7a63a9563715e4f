"""Reading the raster of a composition at any size: crisp borders, smooth tables, grain.

Composition, rows of pixels (`View`) -> **here** -> slots with the share of a second one at borders, values of tables
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import SLOTS
from clavilux.painter.composition import SIDE, Composition
from clavilux.painter.marks.hashing import COLUMN, ROW, key, mix, unit, whole_bits
from clavilux.painter.raster import Float32, UInt8, enlarge, find_areas, find_edges, read_at, smooth, widen
from clavilux.painter.strokes import nearest_lightness

_STEEPNESS = 0.75  # change of the difference of two smoothed slots per cell, across a straight border
_LEAST_AREA = 0.05**2  # of a square short side: smaller areas are not modelled


@dataclass(frozen=True)
class View:
    """The n rows from `top` to `bottom` - 1 of a picture of width x height pixels, and the compiled painter or None."""

    top: int
    bottom: int
    width: int
    height: int
    fast: ModuleType | None = None

    @property
    def short(self) -> int:
        """Return the short side of the picture in pixels."""
        return min(self.width, self.height)

    def enlarge(self, table: Float32) -> Float32:
        """Return a table of a composition at each pixel, (n, width) or (n, width, k)."""
        return enlarge(table, self.height, self.width, top=self.top, bottom=self.bottom)

    def grain(self, cells: int, seed: int, name: str) -> Float32:
        """Return value noise on (-0.5, 0.5), (n, width), with this many cells along the short side.

        A pixel that is larger than a cell shows one of its cells.
        """
        x = (np.arange(self.width) + 0.5 - self.width / 2) / self.short * cells
        y = (np.arange(self.top, self.bottom) + 0.5 - self.height / 2) / self.short * cells
        if cells >= self.short:
            i, j = (np.floor(v).astype(np.float32) for v in (x, y))
            return unit(
                mix(whole_bits(i) * ROW + whole_bits(j)[:, None] * COLUMN + np.uint32(key(seed, name)))
            ) - np.float32(0.5)
        i, j = (np.arange(math.floor(v[0]), math.floor(v[-1]) + 2, dtype=np.float32) for v in (x, y))
        hashed = whole_bits(i) * ROW + whole_bits(j)[:, None] * COLUMN + np.uint32(key(seed, name))
        values = unit(mix(hashed)) - np.float32(0.5)

        def between(values: Float32, at: NDArray[np.floating], first: np.float32) -> Float32:
            whole = np.floor(at - first).astype(np.intp)
            share = (at - first - whole).astype(np.float32)[:, None]
            return np.asarray(values[whole] * (1 - share) + values[whole + 1] * share, np.float32)

        return np.asarray(between(between(values, y, j[0]).T, x, i[0]).T)


class Areas:
    """The areas of a raster of slots, with crisp borders at any size.

    Parameters
    ----------
    slots : (h, w) uint8
        Palette slot of each cell.
    shift : (h, w, 2) float32
        Offset at which each place reads the raster, in rows and columns; it makes borders uneven.
    """

    def __init__(self, slots: UInt8, shift: Float32) -> None:
        self.slots, self.shift = slots, shift
        self._smooth = smooth(smooth((slots[..., None] == np.arange(SLOTS)).astype(np.float32)))
        self._near_edge = widen(find_edges(slots), 2).ravel()

    def places(self, view: View) -> tuple[Float32, Float32]:
        """Return the row and the column of the raster that each pixel reads, (n, width) each."""
        h, w = self.slots.shape
        row = ((np.arange(view.top, view.bottom) + 0.5) / view.height * h - 0.5).astype(np.float32)
        column = ((np.arange(view.width) + 0.5) / view.width * w - 0.5).astype(np.float32)
        shift = view.enlarge(self.shift)
        return shift[..., 0] + row[:, None], shift[..., 1] + column

    def read(self, view: View, offset: tuple[float, float] = (0.0, 0.0)) -> tuple[UInt8, UInt8, Float32]:
        """Return the slot of each pixel, a second slot, and the share of the pixel that the second covers, 0 to 1/2.

        Each result is (n, width). Away from borders, both slots are the same and the share is 0.

        `offset` is added to the places, in cells.
        """
        h, w = self.slots.shape
        row, column = (place + np.float32(add) for place, add in zip(self.places(view), offset, strict=True))
        row, column = np.clip(row, 0, h - 1.001).ravel(), np.clip(column, 0, w - 1.001).ravel()
        at = row.astype(np.intp) * w + column.astype(np.intp)
        slot = self.slots.ravel()[at]
        second, share = slot.copy(), np.zeros(slot.shape, np.float32)
        edge = np.flatnonzero(self._near_edge[at])
        scores = read_at(self._smooth, row[edge], column[edge])
        best = scores.argmax(axis=1)
        count = np.arange(len(best))
        lead = scores[count, best]
        scores[count, best] = -1
        other = scores.argmax(axis=1)
        lead -= scores[count, other]
        slot[edge], second[edge] = best, other
        share[edge] = np.clip(0.5 - lead * np.float32(view.short / (_STEEPNESS * SIDE)), 0, 0.5)
        shape = (view.bottom - view.top, view.width)
        return slot.reshape(shape), second.reshape(shape), share.reshape(shape)


def colour_areas(read: tuple[UInt8, UInt8, Float32], palette: Float32) -> Float32:
    """Return the colour of each pixel, (n, width, 3), for the slots and shares `read` by `Areas.read`.

    The colour space is that of ``palette`` (8, 3).
    """
    slot, second, share = read
    colour = palette[slot]
    edge = share > 0
    colour[edge] += share[edge, None] * (palette[second[edge]] - colour[edge])
    return colour


def model_areas(composition: Composition, amount: float) -> Float32:
    """Return a change of colour within each large area, (h, w, 3) in CIELAB.

    Along a random direction, an area turns from dark to light by about `amount` (L*), and towards a colour of similar
    lightness.
    """
    slots = composition.slots[::2, ::2]
    area, palette = find_areas(slots), composition.palette
    large = np.flatnonzero(np.bincount(area.ravel(), minlength=area.size) > _LEAST_AREA * (SIDE / 2) ** 2)
    number = np.full(area.size, -1)
    number[large] = np.arange(len(large))
    number = number[area]
    inside = number >= 0
    change = np.zeros((*slots.shape, 3), np.float32)
    of = number[inside]
    hashes = large.astype(np.uint32)
    turn, size, which = (unit(mix(hashes + np.uint32(key(composition.seed, f"model {k}")))) for k in range(3))
    ramp = np.zeros(of.size, np.float32)
    for at, part in zip(np.nonzero(inside), (np.sin(math.tau * turn), np.cos(math.tau * turn)), strict=True):
        low, high = np.full(len(large), area.size), np.zeros(len(large))
        np.minimum.at(low, of, at)
        np.maximum.at(high, of, at)
        ramp += part[of] * ((at - low[of]) / (high - low + 1)[of] - 0.5).astype(np.float32)
    slot = slots.ravel()[large]
    towards = palette[nearest_lightness(palette)[slot, 1 + (which > 0.5)]] - palette[slot]
    if composition.controls.exact_palette:
        towards[:] = 0  # colours between two of the palette are not of it
    change[inside] = np.float32(0.55) * np.clip(ramp + np.float32(0.1), 0, 0.6)[:, None] * towards[of]
    change[inside, 0] += ramp * (np.float32(amount) * (np.float32(0.4) + np.float32(0.8) * size))[of]
    return enlarge(change, composition.height, composition.width)
