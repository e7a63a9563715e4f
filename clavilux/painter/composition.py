"""The composition of a picture: areas of colour, a focus, and the direction of the brush.

controls, seed, aspect ratio -> **here** -> Composition -> strokes or areas -> picture

Real pictures have a few large shapes, some of middle size and some small ones near a focus. The composition therefore
has three layers of marks. Large marks of the first kind cover the picture; they follow the plan closely where little
happens, and chaos takes over towards the focus. Smaller marks of the second kind are used above a quantile of the
focus, and still smaller ones in its middle. A mark is whole or absent, so the border between layers follows the marks.

A composition is a raster of `SIDE` cells along the short side, the same for every size of the picture. What is painted
of it (strokes, crisp borders) is a function of place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clavilux.colour import srgb_to_lab
from clavilux.constants import PLAN_SIDE, SLOTS
from clavilux.painter.controls import Controls
from clavilux.painter.marks import mark_field
from clavilux.painter.marks.place import sum_waves
from clavilux.painter.palette import compose_palette, shift_colours
from clavilux.painter.plan import read_plan, refine_plan
from clavilux.painter.raster import (
    Float32,
    Index,
    UInt8,
    absorb_small,
    blur,
    enlarge,
    find_distances,
    find_edges,
)

SIDE = 512  # cells along the short side
REACH = 0.12  # short sides: largest distance to a border that is measured

_CALM_BLUR = 2.5  # cells: standard deviation of the blur of the plan far from the focus
_CALM = 0.10  # chaos of large marks far from the focus
_LARGE_CHAOS, _MIDDLE_CHAOS, _SMALL_CHAOS = 0.75, 0.8, 1.0  # largest chaos of each layer
_MIDDLE_MARKS = 2.4, 22.0  # least ratio of middle to large marks, and most marks along the short side
_SMALL_RATIO, _SMALL_MARKS = 2.6, 40.0
_DETAIL_FROM = 0.95, 0.33  # quantile of the focus above which middle marks are used: the first minus detail * second
_SMALL_FROM = 0.965
_LEAST_CHAOS = 0.15  # below, no layer but that of large marks
_SMALLEST_AREA = 0.011**2  # of a square short side: smaller areas go to their neighbours
_ROUNDS = 14  # of the search for biases that keep the shares of the plan
_TURNS = 0.382  # golden section: directions of neighbouring slots differ

# Small cells side by side read as confetti, and textures of veins as noise, so that kinds are replaced by a plainer one
# of similar character where they are large, and where they are small.
_LARGE_KINDS = {
    "scribble": "blobs", "splatter": "blobs", "glass": "facets", "hexagons": "facets", "triangles": "shards",
    "marble": "strokes", "hatching": "stripes",
}  # fmt: skip
_SMALL_KINDS = {
    "scribble": "strokes", "marble": "strokes", "facets": "strokes", "blobs": "dabs", "glass": "shards",
    "hexagons": "dots", "triangles": "shards", "tiles": "mosaic",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Composition:
    """The composition of a picture on a raster of h x w cells.

    Attributes
    ----------
    controls : Controls
    seed : int
    slots : (h, w) uint8
        Palette slot of each cell; areas too small to be seen are left out.
    focus : (h, w) float32
        Rank of each cell from 0, calm, to 1, the middle of the focus.
    palette : (8, 3) float32
        CIELAB, with the range of lightness and the accent of `compose_palette` unless the controls forbid it, and
        shifted as they say.
    """

    controls: Controls
    seed: int
    slots: UInt8
    focus: Float32
    palette: Float32

    @property
    def height(self) -> int:
        """Return the number of rows."""
        return int(self.slots.shape[0])

    @property
    def width(self) -> int:
        """Return the number of columns."""
        return int(self.slots.shape[1])

    @cached_property
    def distance(self) -> Float32:
        """Return the distance to the nearest border of an area, (h, w), in short sides, up to `REACH`."""
        return find_distances(find_edges(self.slots), int(REACH * SIDE)) / np.float32(SIDE)

    @cached_property
    def direction(self) -> Float32:
        """Return the direction of the brush, (h, w), in radians from the x axis towards the y axis.

        Along a border near it; elsewhere by the angle of the controls, turned for each slot and bent slowly.
        """
        step = 4
        slots = self.slots[::step, ::step]
        lightness = blur(self.palette[slots, 0], 2.2)
        down, right = np.gradient(lightness)
        tensor = blur(np.stack([right * right, down * down, right * down], axis=-1), 0.03 * SIDE / step)
        energy = tensor[..., 0] + tensor[..., 1] + np.float32(1e-3)
        far = find_distances(find_edges(slots), int(0.1 * SIDE / step)) * np.float32(step / SIDE)
        along = np.exp(-far / np.float32(0.04))
        turned = (np.arange(SLOTS) * _TURNS % 1 - 0.5) * 1.1 - math.tau * self.controls.angle
        free = turned.astype(np.float32)[slots] + np.float32(0.3) * slow_field(self, 2.2, "bend", step=step)
        double = np.stack(
            [
                np.cos(2 * free) * (1 - along) - along * (tensor[..., 0] - tensor[..., 1]) / energy,
                np.sin(2 * free) * (1 - along) - along * 2 * tensor[..., 2] / energy,
            ],
            axis=-1,
        )
        double = enlarge(blur(double.astype(np.float32), 0.008 * SIDE / step), self.height, self.width)
        return np.asarray(0.5 * np.arctan2(double[..., 1], double[..., 0]), np.float32)


def slow_field(composition: Composition, cycles: float, name: str, *, step: int = 1) -> Float32:
    """Return a smooth random field with mean 0 and deviation 1 on every `step`-th cell of a composition.

    It is computed on a coarser grid if its waves, about ``cycles / 2`` per short side, are long.
    """
    h, w = -(-composition.height // step), -(-composition.width // step)
    coarse = max(1, min(8, int(SIDE / step / (16 * cycles))))
    x, y = place_grid(-(-h // coarse), -(-w // coarse))
    field = sum_waves(x * np.float32(cycles), y * np.float32(cycles), composition.seed, name, n=8)
    return enlarge(field.reshape(-(-h // coarse), -(-w // coarse)), h, w)


def place_grid(h: int, w: int) -> tuple[Float32, Float32]:
    """Return the places of h x w cells that cover a picture, (h * w,) each, in short sides from its centre."""
    short = min(h, w)
    x = ((np.arange(w) + 0.5 - w / 2) / short).astype(np.float32)
    y = ((np.arange(h) + 0.5 - h / 2) / short).astype(np.float32)
    return np.tile(x, h), np.repeat(y, w)


def compose(controls: Controls, *, aspect: float, seed: int) -> Composition:
    """Return the composition for controls and a seed.

    Parameters
    ----------
    controls : Controls
    aspect : float
        Width over height of the picture.
    seed : int
        Random seed of the marks.
    """
    h, w = (SIDE, round(SIDE * aspect)) if aspect >= 1 else (round(SIDE / aspect), SIDE)
    draft = _Draft(controls, h, w, seed)
    slots = absorb_small(draft.layers(), _SMALLEST_AREA * SIDE**2)
    share = np.bincount(slots.ravel(), minlength=SLOTS) / slots.size
    at_focus = np.bincount(slots.ravel(), draft.focus.ravel() > 0.6, SLOTS) / np.maximum(share * slots.size, 1)
    if controls.exact_palette:
        palette = srgb_to_lab(controls.palette)
    else:
        palette = compose_palette(controls.palette, share, at_focus)
    palette = shift_colours(palette, controls.lightness, controls.saturation, controls.warmth)
    return Composition(controls, seed, slots, draft.focus, palette)


class _Draft:
    """The layers of marks of a composition with h x w cells."""

    def __init__(self, controls: Controls, h: int, w: int, seed: int) -> None:
        self.controls, self.h, self.w, self.seed = controls, h, w, seed
        self.x, self.y = place_grid(h, w)
        self.plan = refine_plan(controls.plan)
        calm = np.stack([blur(p, _CALM_BLUR) for p in np.exp(controls.plan)])
        self.calm_plan = refine_plan(np.log(np.maximum(calm, 1e-6)))
        self.focus = self._find_focus()

    def layers(self) -> UInt8:
        """Return the slots of all layers, (h, w)."""
        controls, focus = self.controls, self.focus.ravel()
        large = controls.shapes
        middle = min(max(1.1 * controls.frequency, _MIDDLE_MARKS[0] * large), _MIDDLE_MARKS[1])
        small = min(_SMALL_RATIO * middle, _SMALL_MARKS)
        first, second = controls.kind, controls.second_kind or controls.kind
        near = np.clip((focus - np.float32(0.25)) / np.float32(0.6), 0, 1)
        chaos = _CALM + (min(_LARGE_CHAOS, controls.chaos) - _CALM) * near if controls.chaos > _CALM else 0 * near
        everywhere = np.arange(focus.size)
        slots = self._mark(_LARGE_KINDS.get(first, first), large, chaos, everywhere, self.seed, keep_shares=True)[0]
        if controls.chaos > _LEAST_CHAOS:
            kind = _SMALL_KINDS.get(second, second)
            detail_from = _DETAIL_FROM[0] - _DETAIL_FROM[1] * controls.detail
            for frequency, most, start in (
                (middle, min(_MIDDLE_CHAOS, controls.chaos), detail_from),
                (small, min(_SMALL_CHAOS, controls.chaos + 0.2), max(_SMALL_FROM, detail_from)),
            ):
                cells = np.flatnonzero(focus > start - 0.2)
                marked, centre = self._mark(kind, frequency, np.full_like(focus, most), cells, self.seed + 1)
                inside = focus[centre] > start
                slots[cells[inside]] = marked[inside]
        return slots.reshape(self.h, self.w)

    def _find_focus(self) -> Float32:
        """Return the rank of each cell, high where the plan is undecided and far from the edge of the picture."""
        plan = self.controls.plan
        undecided = blur(np.asarray(-(np.exp(plan) * plan).sum(axis=0), np.float32), 2.5)
        undecided = (undecided - undecided.mean()) / (undecided.std() + np.float32(1e-6))
        step = 4
        h, w = -(-self.h // step), -(-self.w // step)
        x, y = place_grid(h, w)
        slow = sum_waves(x * np.float32(1.6), y * np.float32(1.6), self.seed, "focus", n=8)
        edge = np.hypot(x * np.float32(h / max(h, w)), y * np.float32(w / max(h, w)))
        wanted = np.float32(0.8) * enlarge(undecided, h, w).ravel() + np.float32(0.6) * slow
        wanted -= np.float32(3.6) * np.clip(edge - np.float32(0.32), 0, 1)
        rank = np.interp(wanted, np.sort(wanted), np.linspace(0, 1, wanted.size)).astype(np.float32)
        return enlarge(rank.reshape(h, w), self.h, self.w)

    def _mark(
        self, kind: str, frequency: float, chaos: Float32, cells: Index, seed: int, *, keep_shares: bool = False
    ) -> tuple[UInt8, Index]:
        """Return the slots that marks of a kind give some cells, and the cells at the centres of their marks.

        With `keep_shares`, biases keep each slot's share of the plan, whatever chaos is.
        """
        field = mark_field(
            kind, self.x[cells], self.y[cells], frequency=frequency, angle=self.controls.angle, seed=seed
        )
        short = min(self.h, self.w)
        row = np.clip(np.rint(field.y * short + (self.h - 1) / 2), 0, self.h - 1).astype(np.intp)
        column = np.clip(np.rint(field.x * short + (self.w - 1) / 2), 0, self.w - 1).astype(np.intp)
        centre = row * self.w + column
        x, y = field.x * np.float32(short / self.w), field.y * np.float32(short / self.h)
        log_p = read_plan(self.plan, x, y)
        weight = chaos[centre].astype(np.float32)
        if keep_shares:
            near = np.clip((self.focus.ravel()[centre] - np.float32(0.2)) / np.float32(0.5), 0, 1)
            calm = read_plan(self.calm_plan, x, y)
            log_p = calm + near * (log_p - calm)
        if len(field.u) == 1:  # one field for all slots, which are stacked from dark to light
            p = np.exp((log_p - log_p.max(axis=0)) / np.maximum(weight, np.float32(0.05)))
            p /= p.sum(axis=0)
            return (field.u > np.cumsum(p, axis=0)[:-1]).sum(axis=0).astype(np.uint8), centre
        scores = log_p - weight * np.log(-np.log(field.u))  # Gumbel noise
        if keep_shares:
            scores += _biases(scores[:, ::7], np.exp(self.controls.plan).mean(axis=(1, 2)))[:, None]
        return scores.argmax(axis=0).astype(np.uint8), centre


def _biases(scores: Float32, shares: Float32) -> Float32:
    """Return biases (SLOTS,) with which each slot has the highest score (SLOTS, n) at about its share of the cells."""
    bias = np.zeros(SLOTS, np.float32)
    for _ in range(_ROUNDS):
        reached = np.bincount((scores + bias[:, None]).argmax(axis=0), minlength=SLOTS) / scores.shape[1]
        bias += np.float32(0.25) * np.clip(np.log((shares + 0.004) / (reached + 0.004)), -1.5, 1.5).astype(np.float32)
    return bias


assert PLAN_SIDE == 32, "the blur of the focus is in cells of the plan"
