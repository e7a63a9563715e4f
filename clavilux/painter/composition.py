"""The composition of a picture: areas of colour, a focus, and the direction of the brush.

controls, seed, aspect ratio -> **here** -> Composition -> strokes or areas -> picture

Real pictures have a few large shapes, some of middle size and some small ones near a focus. The composition therefore
has marks (shapes of one colour) of three sizes. Large marks of the first kind cover the picture and form its areas. Far
from the focus, their colours follow the plan (the probability of each colour in each cell of a grid) closely; towards
the focus, their colours become more random. The areas at the focus are filled with a pattern of smaller marks of the
second kind, in a few colours of the plan. A pattern does not cross the border of its area.

A composition is a raster of `SIDE` cells along the short side, the same for every size of the picture. Strokes and
crisp borders are computed from the raster when the picture is painted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import srgb_to_lab
from clavilux.constants import PLAN_SIDE, SLOTS
from clavilux.painter.controls import Controls
from clavilux.painter.figures import add_figures
from clavilux.painter.marks import mark_field
from clavilux.painter.marks.place import sum_waves
from clavilux.painter.palette import compose_palette, echo_accent, shift_colours
from clavilux.painter.plan import blur_plan, find_biases, read_plan, refine_plan
from clavilux.painter.raster import (
    Float32,
    Index,
    Mask,
    UInt8,
    absorb_small,
    blur,
    enlarge,
    find_areas,
    find_distances,
    find_edges,
    read_at,
    widen,
)
from clavilux.painter.shapes import Figures

Float64 = NDArray[np.float64]

SIDE = 512  # cells along the short side
REACH = 0.12  # short sides: largest distance to a border that is measured

_CALM_BLUR = 2.5  # cells: standard deviation of the blur of the plan far from the focus
_CALM = 0.10  # chaos of large marks far from the focus
_LARGE_CHAOS, _MIDDLE_CHAOS, _SMALL_CHAOS = 0.75, 0.8, 1.0  # largest chaos of each layer
_BRUSHED = ("gouache", "impasto", "drawing")  # surfaces whose strokes are smaller near borders and at the focus
_BRUSH_SCALE = 0.7  # factor of the number of large marks along the short side on these surfaces
# On other surfaces, it is the factor where the rank of the focus is below `_BUSY_FROM`.
_CALM_SCALE, _BUSY_FROM = 0.5, 0.5
_MIDDLE_MARKS = 2.4, 22.0  # along the short side: at least this many times the large marks, and at most so many marks
_SMALL_RATIO, _SMALL_MARKS = 2.0, 30.0  # so many times the middle marks, but at most so many marks
_DETAIL_SHARE = 0.04, 0.24  # share of the picture that patterns fill: the first number plus detail times the second
_PATTERN_AREA = 0.004, 0.14  # an area may have a pattern if its share of the picture is between these
_PATTERN_STEP = 2  # least difference of slots between the two main colours of a pattern
_LEAST_CHAOS = 0.15  # with less chaos, there are only large marks
_SMALLEST_AREA = 0.018**2  # in square short sides: smaller areas get the slots around them
_LEAST_LOG = -3.0  # least logarithm of the probability of a colour in a pattern
# Of the focus: weight of a slow field, penalty per short side, and the distance from the centre where this begins.
_FOCUS = 0.25, 5.0, 0.22
_TURNS = 0.382  # golden section: directions of neighbouring slots differ

# Some kinds look like confetti or noise as large marks, and others as small marks. There, a plainer kind of similar
# character replaces them. If a picture has only one kind, which users can ask for, that kind is not replaced.
_LARGE_KINDS = {
    "scribble": "blobs", "splatter": "blobs", "glass": "shards", "hexagons": "shards", "triangles": "shards",
    "marble": "strokes", "hatching": "stripes", "scales": "arcs", "weave": "bands",
}  # fmt: skip
_SMALL_KINDS = {
    "scribble": "strokes", "marble": "strokes", "facets": "strokes", "blobs": "dabs", "glass": "shards",
    "hexagons": "dabs", "triangles": "shards", "tiles": "mosaic", "dots": "dabs",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Composition:
    """The composition of a picture on a raster of h x w cells.

    Attributes
    ----------
    controls : Controls
    seed : int
    slots : (h, w) uint8
        Palette slot (index of a colour of the palette) of each cell. Areas that are too small to be seen have the slots
        around them.
    focus : (h, w) float32
        Nearness of each cell to the focus, as a rank from 0 (calm) to 1 (middle of the focus).
    figures : Figures
        Large deliberate shapes, with crisp borders. `figures.slots` has no patterns, and areas too small to be seen
        are still in it.
    palette : (8, 3) float32
        Colours to paint with, CIELAB: the palette of the controls after `compose_palette`, which is omitted if the
        control `exact_palette` is true, and after the shifts by the controls `lightness`, `saturation` and `warmth`.
    plain_l : (8,) float32
        L* of the palette before these shifts.
    """

    controls: Controls
    seed: int
    slots: UInt8
    focus: Float32
    figures: Figures
    palette: Float32
    plain_l: Float32

    @property
    def height(self) -> int:
        """Return the number of rows."""
        return int(self.slots.shape[0])

    @property
    def width(self) -> int:
        """Return the number of columns."""
        return int(self.slots.shape[1])

    def shares(self) -> Float32:
        """Return the fraction of each cell that each palette slot covers, (h, w, 8).

        Several slots can cover a cell at the border of a figure; one slot covers any other cell.
        """
        shares = np.asarray(self.slots[..., None] == np.arange(SLOTS), np.float32)
        same = ~widen(self.slots != self.figures.slots, 1)  # neither a pattern nor an absorbed area
        kept = same.ravel()[self.figures.edge]
        shares.reshape(-1, SLOTS)[self.figures.edge[kept]] = self.figures.shares[kept]
        return shares

    @cached_property
    def distance(self) -> Float32:
        """Return the distance to the nearest border of an area, (h, w), in short sides, up to `REACH`."""
        return find_distances(find_edges(self.slots), int(REACH * SIDE)) / np.float32(SIDE)

    @cached_property
    def direction(self) -> Float32:
        """Return the direction of the brush, (h, w), in radians from the x axis towards the y axis.

        Near a border of an area, the direction follows the border. Elsewhere, it is the angle of the controls, plus an
        amount that differs between palette slots, plus a smooth random field. A direction is only defined up to half a
        turn.
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


def slow_field(
    composition: Composition, cycles: float, name: str, *, step: int = 1, offset: tuple[float, float] = (0.0, 0.0)
) -> Float32:
    """Return a smooth random field of mean 0 and standard deviation 1 at every `step`-th row and column of the cells.

    The field has about ``cycles / 2`` waves per short side. If waves are long, it is computed on a coarser grid and
    interpolated. `name` chooses the field. `offset` is added to x and y, in short sides.
    """
    h, w = -(-composition.height // step), -(-composition.width // step)
    coarse = max(1, min(8, int(SIDE / step / (16 * cycles))))
    x, y = place_grid(-(-h // coarse), -(-w // coarse))
    x, y = (np.float32(cycles) * (place + np.float32(add)) for place, add in zip((x, y), offset, strict=True))
    field = sum_waves(x, y, composition.seed, name, n=8)
    return enlarge(field.reshape(-(-h // coarse), -(-w // coarse)), h, w)


def place_grid(h: int, w: int) -> tuple[Float32, Float32]:
    """Return x and y, (h * w,) each, of the h x w cells of a picture, in short sides from its centre, y downwards."""
    short = min(h, w)
    x = ((np.arange(w) + 0.5 - w / 2) / short).astype(np.float32)
    y = ((np.arange(h) + 0.5 - h / 2) / short).astype(np.float32)
    return np.tile(x, h), np.repeat(y, w)


@lru_cache(maxsize=2)  # a picture is composed for its pixels, and again for its description
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
    draft, slots, figures = _draw_slots(controls, h, w, seed)
    if controls.exact_palette:
        palette = srgb_to_lab(controls.palette)
    else:
        # The colours depend on the areas of the square picture, so that the accent is the same at every aspect.
        square = (draft, slots) if h == w else _draw_slots(controls, SIDE, SIDE, seed)[:2]
        palette, accent = compose_palette(controls.palette, *_measure_slots(*square))
        slots = echo_accent(slots, accent, palette)
    shifted = shift_colours(palette, controls.lightness, controls.saturation, controls.warmth)
    return Composition(controls, seed, slots, draft.focus, figures, shifted, palette[:, 0])


def _draw_slots(controls: Controls, h: int, w: int, seed: int) -> tuple[_Draft, UInt8, Figures]:
    """Return the draft of a composition, its palette slots (h, w) without tiny areas, and its figures."""
    draft = _Draft(controls, h, w, seed)
    slots, figures = draft.layers()
    return draft, absorb_small(slots, _SMALLEST_AREA * SIDE**2), figures


def _measure_slots(draft: _Draft, slots: UInt8) -> tuple[Float64, Float64]:
    """Return the fraction of the picture that each palette slot covers, and how much of each is at the focus."""
    share = np.bincount(slots.ravel(), minlength=SLOTS) / slots.size
    return share, np.bincount(slots.ravel(), draft.focus.ravel() > 0.6, SLOTS) / np.maximum(share * slots.size, 1)


def mark_everywhere(controls: Controls, *, side: int, seed: int) -> UInt8:
    """Return the palette slots (side, side) of a picture that marks of the first kind cover, without large shapes."""
    draft = _Draft(controls, side, side, seed)
    slots, _ = draft.mark(controls.kind, controls.frequency, (controls.chaos,) * 2, np.arange(side * side), seed)
    return slots.reshape(side, side)


class _Draft:
    """Draws a composition of h x w cells: marks of three sizes, and figures."""

    def __init__(self, controls: Controls, h: int, w: int, seed: int) -> None:
        self.controls, self.h, self.w, self.seed = controls, h, w, seed
        self.x, self.y = place_grid(h, w)
        self.plan = refine_plan(controls.plan)
        self.calm_plan = refine_plan(blur_plan(controls.plan, _CALM_BLUR))
        self.focus = self._find_focus()

    def layers(self) -> tuple[UInt8, Figures]:
        """Return the palette slot of each cell after all layers are drawn, (h, w), and the figures."""
        controls, focus = self.controls, self.focus.ravel()
        large = controls.shapes
        middle = min(max(1.1 * controls.frequency, _MIDDLE_MARKS[0] * large), _MIDDLE_MARKS[1])
        small = min(_SMALL_RATIO * middle, _SMALL_MARKS)
        first, second = controls.kind, controls.second_kind or controls.kind
        chaos = (min(_CALM, controls.chaos), min(_LARGE_CHAOS, controls.chaos))
        kind = _LARGE_KINDS.get(first, first) if controls.second_kind else first
        everywhere, brushed = np.arange(focus.size), controls.surface in _BRUSHED
        scale = _BRUSH_SCALE if brushed else _CALM_SCALE
        slots, _ = self.mark(kind, scale * large, chaos, everywhere, self.seed, keep_shares=True)
        if not brushed:
            busy = np.flatnonzero(focus > _BUSY_FROM - 0.25)
            marked, at_focus = self.mark(kind, large, chaos, busy, self.seed, keep_shares=True)
            inside = at_focus > _BUSY_FROM  # as a rule a mark is whole or absent, so that the border follows the marks
            slots[busy[inside]] = marked[inside]
        slots = slots.reshape(self.h, self.w)
        x, y = (place.reshape(self.h, self.w) for place in (self.x, self.y))
        figures = add_figures(slots, x, y, self.focus, controls, self.seed)
        if controls.chaos > _LEAST_CHAOS:
            kind = _SMALL_KINDS.get(second, second) if controls.second_kind else first
            number, slots_of, small_of = self._choose_areas(slots)
            filled = np.flatnonzero(number >= 0)
            for frequency, most, is_small in (
                (middle, min(_MIDDLE_CHAOS, controls.chaos), False),
                (small, min(_SMALL_CHAOS, controls.chaos + 0.2), True),
            ):
                cells = filled[small_of[number[filled]] == is_small]
                if cells.size:
                    allowed = slots_of[number[cells]].T
                    marked, _ = self.mark(kind, frequency, (most, most), cells, self.seed + 1, allowed=allowed)
                    slots.ravel()[cells] = marked
        return np.where(figures.cells, figures.slots, slots), figures

    def _choose_areas(self, slots: UInt8) -> tuple[Index, Mask, Mask]:
        """Choose the n areas that are filled with a pattern: those nearest to the focus.

        Returns
        -------
        number : (h * w,)
            Number of the chosen area to which each cell belongs; -1 for cells in no chosen area.
        slots_of : (n, 8) bool
            For each chosen area, True for the palette slots that its pattern may have.
        small_of : (n,) bool
            For each chosen area, True if its pattern has small marks, False if it has marks of middle size.
        """
        area = find_areas(slots).ravel()
        size = np.bincount(area) / area.size
        focus = np.bincount(area, self.focus.ravel()) / np.maximum(size * area.size, 1)
        fit = np.flatnonzero((size > _PATTERN_AREA[0]) & (size < _PATTERN_AREA[1]))
        fit = fit[np.argsort(-focus[fit], kind="stable")]
        wanted = _DETAIL_SHARE[0] + _DETAIL_SHARE[1] * self.controls.detail
        chosen = fit[np.cumsum(size[fit]) - size[fit] < wanted]
        index = np.full(size.size, -1)
        index[chosen] = np.arange(chosen.size)
        number = index[area]
        slots_of = np.zeros((chosen.size, SLOTS), bool)
        for k in range(chosen.size):
            inside = np.flatnonzero(number == k)[::5]
            own = slots.ravel()[inside[0]]
            places = self._plan_places(self.x[inside], self.y[inside])
            log_p = read_plan(self.plan, *places)
            p = np.exp(log_p - log_p.max(axis=0))
            weight = (p / p.sum(axis=0)).mean(axis=1)
            far = np.abs(np.arange(SLOTS) - own) >= _PATTERN_STEP
            second = np.where(far, weight, -1).argmax()
            weight[[own, second]] = -1
            slots_of[k, [own, second, weight.argmax()]] = True
        return number, slots_of, size[chosen] < (np.median(size[chosen]) if chosen.size else 0)

    def _find_focus(self) -> Float32:
        """Return the focus (h, w): a rank, high where the plan is undecided, and low near the edges of the picture."""
        plan = self.controls.plan
        undecided = blur(np.asarray(-(np.exp(plan) * plan).sum(axis=0), np.float32), 2.5)
        undecided = (undecided - undecided.mean()) / (undecided.std() + np.float32(1e-6))
        step = 4
        h, w = -(-self.h // step), -(-self.w // step)
        x, y = place_grid(h, w)
        slow = sum_waves(x * np.float32(1.6), y * np.float32(1.6), self.seed, "focus", n=8)
        edge = np.hypot(x * np.float32(h / max(h, w)), y * np.float32(w / max(h, w)))
        wanted = np.float32(0.8) * enlarge(undecided, h, w).ravel() + np.float32(_FOCUS[0]) * slow
        wanted -= np.float32(_FOCUS[1]) * np.clip(edge - np.float32(_FOCUS[2]), 0, 1)
        rank = np.interp(wanted, np.sort(wanted), np.linspace(0, 1, wanted.size)).astype(np.float32)
        return enlarge(rank.reshape(h, w), self.h, self.w)

    def mark(
        self,
        kind: str,
        frequency: float,
        chaos: tuple[float, float],
        cells: Index,
        seed: int,
        *,
        keep_shares: bool = False,
        allowed: Mask | None = None,
    ) -> tuple[UInt8, Float32]:
        """Draw marks of a kind on n cells.

        Parameters
        ----------
        kind, frequency, seed
            As in `mark_field`.
        chaos : (float, float)
            How far the marks deviate from the plan: far from the focus, and at the focus.
        cells : (n,)
            Flat indices of the cells.
        keep_shares : bool
            Whether each palette slot covers about the same fraction of the picture as in the plan.
        allowed : (8, n) bool, optional
            The palette slots that each cell may have; by default, all.

        Returns
        -------
        slots : (n,) uint8
            Palette slot of each cell.
        at_focus : (n,) float32
            The focus where the plan was read for each cell, usually at the centre of its mark.
        """
        field = mark_field(
            kind, self.x[cells], self.y[cells], frequency=frequency, angle=self.controls.angle, seed=seed
        )
        places = self._plan_places(field.x, field.y)
        at_focus = read_at(self.focus, (places[1] + 0.5) * self.h - 0.5, (places[0] + 0.5) * self.w - 0.5)
        weight = chaos[0] + (chaos[1] - chaos[0]) * np.clip((at_focus - np.float32(0.25)) / np.float32(0.6), 0, 1)
        log_p = read_plan(self.plan, *places)
        if keep_shares:
            near = np.clip((at_focus - np.float32(0.2)) / np.float32(0.5), 0, 1)
            calm = read_plan(self.calm_plan, *places)
            log_p = calm + near * (log_p - calm)
        if allowed is not None:
            log_p = np.where(allowed, np.maximum(log_p, _LEAST_LOG), -np.inf)
        if len(field.u) == 1:  # one field for all slots, which are stacked from dark to light
            p = np.exp((log_p - log_p.max(axis=0)) / np.maximum(weight, np.float32(0.05)))
            p /= p.sum(axis=0)
            return (field.u > np.cumsum(p, axis=0)[:-1]).sum(axis=0).astype(np.uint8), at_focus
        scores = log_p - weight * np.log(-np.log(field.u))  # Gumbel noise
        if keep_shares:
            scores += find_biases(scores[:, ::7], np.exp(self.controls.plan).mean(axis=(1, 2)))[:, None]
        return scores.argmax(axis=0).astype(np.uint8), at_focus

    def _plan_places(self, x: Float32, y: Float32) -> tuple[Float32, Float32]:
        """Return positions for `read_plan`, converted from short sides to widths (x) and heights (y) of the picture."""
        short = min(self.h, self.w)
        return x * np.float32(short / self.w), y * np.float32(short / self.h)


assert PLAN_SIDE == 32, "the blur of the focus is in cells of the plan"
