"""The composition of a picture: areas of colour, a focus, and the direction of the brush.

controls, seed, aspect ratio -> **here** -> Composition -> strokes or areas -> picture

Real pictures have a few large shapes, some of middle size and some small ones near a focus. The composition therefore
has marks of three sizes. Large marks of the first kind cover the picture; they follow the plan closely where little
happens, and chaos takes over towards the focus. The areas at the focus are filled with smaller marks of the second
kind, in a few colours of the plan, so that a pattern has the shape of an area and does not lie on it.

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
    Mask,
    UInt8,
    absorb_small,
    blur,
    enlarge,
    find_areas,
    find_distances,
    find_edges,
    read_at,
)

SIDE = 512  # cells along the short side
REACH = 0.12  # short sides: largest distance to a border that is measured

_CALM_BLUR = 2.5  # cells: standard deviation of the blur of the plan far from the focus
_CALM = 0.10  # chaos of large marks far from the focus
_LARGE_CHAOS, _MIDDLE_CHAOS, _SMALL_CHAOS = 0.75, 0.8, 1.0  # largest chaos of each layer
_BRUSHED = ("gouache", "impasto", "drawing")  # surfaces whose strokes are smaller near borders and at the focus
_BRUSH_SCALE = 0.7  # of the number of large marks for them
_CALM_SCALE, _BUSY_FROM = 0.5, 0.5  # on others, large marks are larger where the rank of the focus is below the second
_MIDDLE_MARKS = 2.4, 22.0  # least ratio of middle to large marks, and most marks along the short side
_SMALL_RATIO, _SMALL_MARKS = 2.0, 30.0
_DETAIL_SHARE = 0.04, 0.24  # share of the picture that is filled with patterns: the first plus detail * second
_PATTERN_AREA = 0.004, 0.14  # share of the picture of an area that may have a pattern
_PATTERN_STEP = 2  # least difference of slots between the two main colours of a pattern
_LEAST_CHAOS = 0.15  # below, no layer but that of large marks
_ECHOES = 2  # most small areas in which the accent comes back
_ECHO_AREA = 0.0006, 0.012  # share of the picture of such an area
_ECHO_CONTRAST = 12.0  # L*: least difference of the area's colour from the accent
_ECHO_APART = 0.2  # short sides: least distance from where the accent is
_SMALLEST_AREA = 0.011**2  # of a square short side: smaller areas go to their neighbours
_LEAST_LOG = -3.0  # logarithm of the probability that a colour of a pattern has at least
_ROUNDS = 14  # of the search for biases that keep the shares of the plan
_FOCUS = 0.25, 5.0, 0.22  # weight of a slow field; penalty per short side beyond this distance from the centre
_TURNS = 0.382  # golden section: directions of neighbouring slots differ

# Small cells side by side read as confetti, and textures of veins as noise, so that kinds are replaced by a plainer one
# of similar character where they are large, and where they are small; not if there is one kind only, as users may ask.
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
        Palette slot of each cell; areas too small to be seen are left out.
    focus : (h, w) float32
        Rank of each cell from 0, calm, to 1, the middle of the focus.
    palette : (8, 3) float32
        CIELAB. The palette of the controls, with the range of lightness and the accent of `compose_palette` unless
        `exact_palette` is true, then shifted by `lightness`, `saturation` and `warmth`.
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

        Near a border of an area, it is along the border. Elsewhere, it is the angle of the controls, turned by a
        different amount for each slot and by a smooth random field. Directions are equal up to half a turn.
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
        palette, accent = compose_palette(controls.palette, share, at_focus)
        slots = _echo(slots, accent, palette)
    palette = shift_colours(palette, controls.lightness, controls.saturation, controls.warmth)
    return Composition(controls, seed, slots, draft.focus, palette)


def _echo(slots: UInt8, accent: int, palette: Float32) -> UInt8:
    """Return slots in which the accent comes back in small areas far from where it is."""
    area = find_areas(slots).ravel()
    size = np.bincount(area)
    fit = np.flatnonzero((size > _ECHO_AREA[0] * area.size) & (size < _ECHO_AREA[1] * area.size))
    fit = fit[np.abs(palette[slots.ravel()[fit], 0] - palette[accent, 0]) > _ECHO_CONTRAST]
    slots = slots.copy()
    for _ in range(_ECHOES):
        there = np.argwhere(slots == accent)
        if not fit.size or not len(there):
            break
        places = np.stack(np.divmod(fit, slots.shape[1]), axis=1)
        apart = np.linalg.norm(places[:, None] - there[None, :: max(1, len(there) // 200)], axis=2).min(axis=1)
        best = apart.argmax()
        if apart[best] < _ECHO_APART * SIDE:
            break
        slots.ravel()[area == fit[best]] = accent
        fit = np.delete(fit, best)
    return slots


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
        chaos = (min(_CALM, controls.chaos), min(_LARGE_CHAOS, controls.chaos))
        kind = _LARGE_KINDS.get(first, first) if controls.second_kind else first
        everywhere, brushed = np.arange(focus.size), controls.surface in _BRUSHED
        scale = _BRUSH_SCALE if brushed else _CALM_SCALE
        slots, _ = self._mark(kind, scale * large, chaos, everywhere, self.seed, keep_shares=True)
        if not brushed:
            busy = np.flatnonzero(focus > _BUSY_FROM - 0.25)
            marked, at_focus = self._mark(kind, large, chaos, busy, self.seed, keep_shares=True)
            inside = at_focus > _BUSY_FROM  # as a rule a mark is whole or absent, so that the border follows the marks
            slots[busy[inside]] = marked[inside]
        slots = slots.reshape(self.h, self.w)
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
                    marked, _ = self._mark(kind, frequency, (most, most), cells, self.seed + 1, allowed=allowed)
                    slots.ravel()[cells] = marked
        return slots

    def _choose_areas(self, slots: UInt8) -> tuple[Index, Mask, Mask]:
        """Return the areas that are filled with a pattern, those nearest to the focus.

        Returns
        -------
        number : (h * w,)
            Number of the area of each cell, -1 for the others.
        slots_of : (n, 8) bool
            The three slots of the pattern of each area.
        small_of : (n,) bool
            Whether the marks of its pattern are small.
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
        """Return the rank of each cell, high where the plan is undecided and far from the edge of the picture."""
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

    def _mark(
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
        """Return the slots that marks of a kind give some cells, and the focus at the centres of their marks.

        `chaos` is that far from the focus and that at the focus. With `keep_shares`, biases keep each slot's share of
        the plan, whatever chaos is. `allowed` (8, n) are the slots that each cell may have.
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
            scores += _biases(scores[:, ::7], np.exp(self.controls.plan).mean(axis=(1, 2)))[:, None]
        return scores.argmax(axis=0).astype(np.uint8), at_focus

    def _plan_places(self, x: Float32, y: Float32) -> tuple[Float32, Float32]:
        """Return places as shares of the width and the height, as the plan is read."""
        short = min(self.h, self.w)
        return x * np.float32(short / self.w), y * np.float32(short / self.h)


def _biases(scores: Float32, shares: Float32) -> Float32:
    """Return biases (SLOTS,) with which each slot has the highest score (SLOTS, n) at about its share of the cells."""
    bias = np.zeros(SLOTS, np.float32)
    for _ in range(_ROUNDS):
        reached = np.bincount((scores + bias[:, None]).argmax(axis=0), minlength=SLOTS) / scores.shape[1]
        bias += np.float32(0.25) * np.clip(np.log((shares + 0.004) / (reached + 0.004)), -1.5, 1.5).astype(np.float32)
    return bias


assert PLAN_SIDE == 32, "the blur of the focus is in cells of the plan"
