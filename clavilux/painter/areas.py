"""Read the raster of a composition at the pixels of a picture of any size.

Composition, rows of pixels (`View`) -> **here** -> palette slots, their fractions and array values for each pixel

Borders between areas of colour are crisp at any size, and other arrays (h, w) of the composition are interpolated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from clavilux.painter.composition import SIDE, Composition, slow_field
from clavilux.painter.marks.hashing import COLUMN, ROW, key, mix, unit, whole_bits
from clavilux.painter.marks.place import sum_waves
from clavilux.painter.plan import choose_by_plan
from clavilux.painter.raster import Float32, UInt8, enlarge, find_areas, find_edges, read_at, smooth, widen
from clavilux.painter.strokes import nearest_lightness

# Across a straight border, the difference between the smoothed shares of the two slots changes by this much per cell.
_STEEPNESS = 0.75
_IN_FIGURES = 0.3  # factor of the change of colour within figures, which have nearly one colour
# Drift of colour across the picture: standard deviation of L*, a* and b*, and twice the waves per short side. Pale
# areas would look iridescent, so their drift falls between the two lightnesses (L*) to the least factor.
_DRIFT = (8.0, 2.5), (9.0, 2.0), (12.5, 2.0)
_DRIFT_PLACES = 3.0  # short sides: range of the part of the slow fields that a picture shows
_PALE, _LEAST_DRIFT = (63.0, 98.0), 0.2
_MODEL_CYCLES = 7.0  # twice the waves per short side of the fields that choose how areas are shaded
_SLOT_STEP = 2.3  # shift of these fields for each palette slot, so that an area inside another one is shaded otherwise
_LEAST_AREA = 0.05**2  # in square short sides: the colour does not change within smaller areas


@dataclass(frozen=True)
class View:
    """The n rows from `top` to `bottom` - 1 of a picture of width x height pixels."""

    top: int
    bottom: int
    width: int
    height: int
    fast: ModuleType | None = None  # the compiled painter; None for NumPy

    @property
    def short(self) -> int:
        """Return the short side of the picture in pixels."""
        return min(self.width, self.height)

    def enlarge(self, table: Float32) -> Float32:
        """Return an array (h, w) or (h, w, k), interpolated at each pixel: (n, width) or (n, width, k)."""
        return enlarge(table, self.height, self.width, top=self.top, bottom=self.bottom)

    def grain(self, cells: int, seed: int, name: str) -> Float32:
        """Return value noise (n, width), in (-0.5, 0.5), with `cells` noise cells along the short side.

        If the noise cells are smaller than a pixel, each pixel has the value of one noise cell inside it. `name` and
        `seed` choose the noise.
        """
        x = (np.arange(self.width) + 0.5 - self.width / 2) / self.short * cells
        y = (np.arange(self.top, self.bottom) + 0.5 - self.height / 2) / self.short * cells
        if cells >= self.short:
            i, j = (np.floor(v).astype(np.float32) for v in (x, y))
        else:
            i, j = (np.arange(math.floor(v[0]), math.floor(v[-1]) + 2, dtype=np.float32) for v in (x, y))
        hashed = whole_bits(i) * ROW + whole_bits(j)[:, None] * COLUMN + np.uint32(key(seed, name))
        values = unit(mix(hashed)) - np.float32(0.5)
        if cells >= self.short:
            return values

        def between(values: Float32, at: NDArray[np.floating], first: np.float32) -> Float32:
            whole = np.floor(at - first).astype(np.intp)
            share = (at - first - whole).astype(np.float32)[:, None]
            return np.asarray(values[whole] * (1 - share) + values[whole + 1] * share, np.float32)

        return np.asarray(between(between(values, y, j[0]).T, x, i[0]).T)


class Areas:
    """The areas of a composition, with crisp borders at any size of the picture.

    Parameters
    ----------
    composition : Composition
    shift : (h, w, 2) float32
        Offset in rows and columns of the raster; the raster is read at the shifted positions, which makes borders
        uneven.
    """

    def __init__(self, composition: Composition, shift: Float32) -> None:
        self.slots, self.shift = composition.slots, shift
        self._smooth = smooth(smooth(composition.shares()))
        self._near_edge = widen(find_edges(self.slots), 2).ravel()

    def places(self, view: View) -> tuple[Float32, Float32]:
        """Return the position in the raster at which each pixel is read: its row and its column, (n, width) each."""
        h, w = self.slots.shape
        row = ((np.arange(view.top, view.bottom) + 0.5) / view.height * h - 0.5).astype(np.float32)
        column = ((np.arange(view.width) + 0.5) / view.width * w - 0.5).astype(np.float32)
        shift = view.enlarge(self.shift)
        return shift[..., 0] + row[:, None], shift[..., 1] + column

    def read(self, view: View, offset: tuple[float, float] = (0.0, 0.0)) -> tuple[UInt8, UInt8, Float32]:
        """Return for each pixel a palette slot, a second slot, and the fraction that the second covers, 0 to 1/2.

        Each result is (n, width). Away from borders, both slots are the same and the fraction is 0.

        `offset`, in rows and columns of the raster, is added to the positions that are read.
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
    """Return the colour of each pixel, (n, width, 3); `read` is the result of `Areas.read`.

    The colours are in the colour space of ``palette`` (8, 3).
    """
    slot, second, share = read
    colour = palette[slot]
    edge = share > 0
    colour[edge] += share[edge, None] * (palette[second[edge]] - colour[edge])
    return colour


def model_areas(composition: Composition, amount: float) -> Float32:
    """Return gradual changes of colour within large areas, (h, w, 3): numbers to add to CIELAB; 0 in small areas.

    The lightness rises by about `amount` (L*) from one end of a large area to the other. The direction comes from
    smooth fields, read at the middle of the area, so that a cell more or less seldom changes it. Unless the control
    `exact_palette` is true, the colour also changes towards a palette colour of similar lightness.
    """
    slots = composition.slots[::2, ::2]
    area, palette = find_areas(slots), composition.palette
    n_cells = np.bincount(area.ravel(), minlength=area.size)
    large = np.flatnonzero(n_cells > _LEAST_AREA * (SIDE / 2) ** 2)
    number = np.full(area.size, -1)
    number[large] = np.arange(len(large))
    number = number[area]
    inside = number >= 0
    change = np.zeros((*slots.shape, 3), np.float32)
    of = number[inside]
    places = np.nonzero(inside)
    slot = slots.ravel()[large]
    middle = [_MODEL_CYCLES * np.bincount(of, at) / n_cells[large] / (SIDE / 2) + _SLOT_STEP * slot for at in places]
    y, x = (at.astype(np.float32) for at in middle)
    down, right, size, which = (sum_waves(x, y, composition.seed, f"model {k}", n=8) for k in range(4))
    length = np.hypot(down, right) + np.float32(1e-6)
    ramp = np.zeros(of.size, np.float32)
    for at, part in zip(places, (down / length, right / length), strict=True):
        low, high = np.full(len(large), area.size), np.zeros(len(large))
        np.minimum.at(low, of, at)
        np.maximum.at(high, of, at)
        ramp += part[of] * ((at - low[of]) / (high - low + 1)[of] - 0.5).astype(np.float32)
    towards = palette[nearest_lightness(palette)[slot, 1 + (which > 0)]] - palette[slot]
    if composition.controls.exact_palette:
        towards[:] = 0  # mixtures of palette colours are not in the palette
    change[inside] = np.float32(0.55) * np.clip(ramp + np.float32(0.1), 0, 0.6)[:, None] * towards[of]
    change[inside, 0] += ramp * (np.float32(amount) * (np.float32(0.8) + np.float32(0.3) * np.clip(size, -1, 1)))[of]
    change[composition.figures.cells[::2, ::2]] *= np.float32(_IN_FIGURES)
    return enlarge(change, composition.height, composition.width)


def drift_colours(composition: Composition) -> Float32:
    """Return slow changes of colour across the whole picture, (h, w, 3): numbers to add to CIELAB.

    A painter mixes a colour anew for each passage, so that it is warmer here and cooler there. The changes are smaller
    in pale areas. Where they are is read from the plan, so that they are alike for similar songs. If the control
    `exact_palette` is true, there are none.
    """
    change = np.zeros((*composition.slots.shape, 3), np.float32)
    if composition.controls.exact_palette:
        return change
    places = _DRIFT_PLACES * (choose_by_plan(composition.controls.plan, composition.seed, "drift", 6) - 0.5)
    for channel, (deviation, cycles) in enumerate(_DRIFT):
        offset = float(places[2 * channel]), float(places[2 * channel + 1])
        field = slow_field(composition, cycles, f"drift {channel}", offset=offset)
        change[..., channel] = np.float32(deviation) * field
    fade = np.interp(composition.palette[:, 0], _PALE, (1.0, _LEAST_DRIFT)).astype(np.float32)
    change *= fade[composition.slots][..., None]
    change[..., 1:] *= np.float32(min(1.0, 1 + composition.controls.saturation))  # a grey picture stays grey
    return change
