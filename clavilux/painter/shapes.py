"""The shapes that figures consist of, and how shapes change the palette slots of the cells that they cover.

`Frame` -> shapes (functions of the position) -> **`Canvas`** -> palette slots, and parts of cells at borders
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import SLOTS
from clavilux.painter.raster import Float32, Index, Mask, UInt8, find_edges

_EXCHANGE = 4  # number that a shape adds to the slots that it exchanges
_PART_TO_SEE = 0.01  # fraction of the picture that a shape must cover to be mentioned
_PARTS = 3  # number of sample places along each side of a cell at the border of a shape


Shape = Callable[[Float32, Float32], Mask]  # returns which of the places (x, y) are inside the shape
Words = str | Callable[[Mask], str]


def without(first: Shape, second: Shape) -> Shape:
    """Return the shape of all places that are in the first shape and not in the second."""
    return lambda x, y: first(x, y) & ~second(x, y)


def together(*shapes: Shape) -> Shape:
    """Return the shape of all places that are in at least one of the shapes."""
    return lambda x, y: np.any([shape(x, y) for shape in shapes], axis=0)


def both(first: Shape, second: Shape) -> Shape:
    """Return the shape of all places that are in both shapes."""
    return lambda x, y: first(x, y) & second(x, y)


def side(choose: Iterator[float]) -> int:
    """Return on which side of a figure an asymmetric part lies: -1 or 1."""
    return 1 if next(choose) < 0.5 else -1


@dataclass(frozen=True)
class Frame:
    """Coordinates of a figure, relative to its centre and in units of its size: u along its axis, v across it.

    The methods return shapes with the centre (u, v). Lengths are in units of the size of the figure, angles in radians
    from its axis.
    """

    centre: NDArray[np.float64]
    angle: float  # from the x axis towards the y axis
    size: float

    def _shape(self, u: float, v: float, inside: Shape) -> Shape:
        """Return the shape that the function ``inside`` describes in coordinates relative to the centre (u, v)."""
        cos, sin = np.float32(math.cos(self.angle) / self.size), np.float32(math.sin(self.angle) / self.size)

        def at(x: Float32, y: Float32) -> Mask:
            x, y = x - np.float32(self.centre[0]), y - np.float32(self.centre[1])
            return inside(x * cos + y * sin - np.float32(u), y * cos - x * sin - np.float32(v))

        return at

    def disc(self, u: float, v: float, radius: float) -> Shape:
        """Return a disc."""
        return self._shape(u, v, lambda a, b: a * a + b * b < radius * radius)

    def half(self, u: float, v: float, radius: float, turn: float) -> Shape:
        """Return the half of a disc on the side to which the angle `turn` points; (u, v) is the centre of the disc."""
        cos, sin = np.float32(math.cos(turn)), np.float32(math.sin(turn))
        return self._shape(u, v, lambda a, b: (a * a + b * b < radius * radius) & (a * cos + b * sin > 0))

    def ring(self, u: float, v: float, inner: float, outer: float, start: float = 0.0, span: float = math.tau) -> Shape:
        """Return a ring between two radii, or its part that begins at the angle `start` and covers the angle `span`."""

        def inside(a: Float32, b: Float32) -> Mask:
            square = a * a + b * b
            turn = (np.arctan2(b, a) - np.float32(start)) % np.float32(math.tau)
            return (square < outer * outer) & (square >= inner * inner) & (turn < span)

        return self._shape(u, v, inside)

    def bar(self, u: float, v: float, length: float, width: float, turn: float = 0.0, taper: float = 0.0) -> Shape:
        """Return a bar in the direction `turn`; `length` and `width` are half of its length and half of its mean width.

        At the end to which `turn` points, the bar is wider than in the middle by the fraction `taper`; at the other
        end, it is narrower by the same fraction.
        """
        cos, sin = np.float32(math.cos(turn)), np.float32(math.sin(turn))

        def inside(a: Float32, b: Float32) -> Mask:
            along, across = a * cos + b * sin, b * cos - a * sin
            wide = np.float32(width) * (1 + np.float32(taper / length) * along)
            return (np.abs(along) < length) & (np.abs(across) < wide)

        return self._shape(u, v, inside)

    def line(self, u0: float, v0: float, u1: float, v1: float, width: float) -> Shape:
        """Return a bar from (u0, v0) to (u1, v1); `width` is half of its width."""
        turn = math.atan2(v1 - v0, u1 - u0)
        return self.bar((u0 + u1) / 2, (v0 + v1) / 2, math.hypot(u1 - u0, v1 - v0) / 2, width, turn)

    def lens(self, u: float, v: float, length: float, height: float) -> Shape:
        """Return the intersection of two discs, like an open eye; `length` and `height` are half of its sizes."""
        radius = (length * length + height * height) / (2 * height)
        away = radius - height
        return both(self.disc(u, v - away, radius), self.disc(u, v + away, radius))

    def polygon(self, *corners: tuple[float, float]) -> Shape:
        """Return a convex polygon with these corners (u, v), clockwise or counter-clockwise."""
        ahead = (*corners[1:], corners[0])
        area = sum(p[0] * q[1] - q[0] * p[1] for p, q in zip(corners, ahead, strict=True))

        def inside(a: Float32, b: Float32) -> Mask:
            mask = np.ones(a.shape, bool)
            for (u0, v0), (u1, v1) in zip(corners, ahead, strict=True):
                du, dv = np.float32(math.copysign(1, area) * (u1 - u0)), np.float32(math.copysign(1, area) * (v1 - v0))
                mask &= du * (b - np.float32(v0)) >= dv * (a - np.float32(u0))
            return mask

        return self._shape(0, 0, inside)

    def box(self, u0: float, v0: float, u1: float, v1: float) -> Shape:
        """Return the rectangle, parallel to the axes, that has two opposite corners (u0, v0) and (u1, v1)."""
        return self.polygon((u0, v0), (u1, v0), (u1, v1), (u0, v1))

    def pebble(self, u: float, v: float, radius: float, bulge: float, turn: float) -> Shape:
        """Return a rounded shape: a disc whose radius varies by about the fraction `bulge`, with the phase `turn`."""

        def inside(a: Float32, b: Float32) -> Mask:
            at = np.arctan2(b, a)
            edge = np.cos(2 * at + np.float32(turn)) + np.float32(0.6) * np.cos(3 * at + np.float32(2.3 * turn + 1))
            return np.asarray(np.hypot(a, b) < radius * (1 + np.float32(bulge) * edge))

        return self._shape(u, v, inside)


class Canvas:
    """A raster of palette slots on which shapes are drawn; x and y are the coordinates of each cell."""

    def __init__(self, slots: UInt8, x: Float32, y: Float32) -> None:
        self.ground, self.slots, self.x, self.y = slots, slots.copy(), x, y
        self.drawn, self.edge = np.zeros(slots.shape, bool), np.zeros(slots.shape, bool)
        self.main = np.zeros(slots.shape, bool)  # the part of `drawn` that belongs to the main figure
        self.steps: list[tuple[Shape, int, bool]] = []
        self.also: list[str] = []  # words for large shapes that the name of a figure does not tell
        self.rare = int(np.bincount(slots.ravel(), minlength=SLOTS).argsort(kind="stable")[1])  # as a rule the accent

    def exchange(self, shape: Shape, by: int = _EXCHANGE, words: Words = "") -> None:
        """Add a number to the slots in a shape, modulo 8; the default, 4, exchanges the dark and the light slots.

        ``words`` say what the shape is if a description of the picture should mention it. If they depend on what is
        seen of the shape, they are a function of the cells (h, w) that it changes. Other methods take only text.
        """
        self._add(shape, lambda mean: by, is_move=True, words=words)

    def contrast(self, shape: Shape, choice: float, words: str = "") -> None:
        """Fill a shape with a slot that differs by 3 or more from the mean slot in the shape.

        `choice` selects one of these slots, from the darkest (0) to the lightest (1).
        """

        def choose(mean: float) -> int:
            different = [slot for slot in range(SLOTS) if abs(slot - mean) >= 3]
            return different[min(int(choice * len(different)), len(different) - 1)]

        self._add(shape, choose, words=words)

    def oppose(self, shape: Shape, words: str = "") -> None:
        """Fill a shape with the lightest slot if the mean slot in the shape is dark, otherwise with the darkest."""
        self._add(shape, lambda mean: SLOTS - 1 if mean < (SLOTS - 1) / 2 else 0, words=words)

    def accent(self, shape: Shape, words: str = "") -> None:
        """Fill a shape with a slot that is rare in the picture."""
        self._add(shape, lambda mean: self.rare, words=words)

    def _add(
        self,
        shape: Shape,
        choose: Callable[[float], int],
        *,
        is_move: bool = False,
        words: Words = "",
    ) -> None:
        if not (cells := shape(self.x, self.y)).any():
            return
        step = shape, choose(float(self.slots[cells].mean())), is_move
        self.steps.append(step)
        before = self.slots.copy() if words else None
        _fill(self.slots, cells, *step[1:])
        if before is not None and (changed := self.slots != before).mean() >= _PART_TO_SEE:
            self.also.append(words if isinstance(words, str) else words(changed))
        self.drawn |= cells
        self.edge |= find_edges(cells.view(np.uint8))

    def result(self) -> Figures:
        """Return the figures; each cell at a border is sampled at `_PARTS` x `_PARTS` places to find its slots."""
        edge = np.flatnonzero(self.edge)
        cell = np.float32(self.x[0, 1] - self.x[0, 0])
        offsets = (np.arange(_PARTS, dtype=np.float32) + np.float32(0.5)) / np.float32(_PARTS) - np.float32(0.5)
        across, down = (cell * part for part in (np.tile(offsets, _PARTS), np.repeat(offsets, _PARTS)))
        x, y = self.x.ravel()[edge, None] + across, self.y.ravel()[edge, None] + down
        slots = np.repeat(self.ground.ravel()[edge, None], _PARTS * _PARTS, axis=1)
        for shape, number, is_move in self.steps:
            _fill(slots, shape(x, y), number, is_move)
        shares = np.stack([(slots == slot).mean(axis=1) for slot in range(SLOTS)], axis=1).astype(np.float32)
        return Figures(self.slots, self.drawn, self.main, edge, shares, tuple(self.also))


def _fill(slots: UInt8, cells: Mask, number: int, is_move: bool) -> None:
    """Set the slots of `cells` to a number, or, with `is_move`, add the number to these slots, modulo 8."""
    slots[cells] = (slots[cells] + np.uint8(number)) % np.uint8(SLOTS) if is_move else number


@dataclass(frozen=True)
class Figures:
    """A raster of palette slots on which figures have been drawn.

    Attributes
    ----------
    slots : (h, w) uint8
        Palette slot of each cell after the figures have been drawn.
    cells : (h, w) bool
        Cells that belong to a figure.
    main : (h, w) bool
        Cells that belong to the main figure.
    edge : (n,) intp
        Flat indices of the cells at the borders of the shapes.
    shares : (n, 8) float32
        For each cell of `edge`, the fraction of the cell that each slot covers.
    also : tuple of str
        Words for large shapes, such as arcs, that the names of the figures do not tell.
    """

    slots: UInt8
    cells: Mask
    main: Mask
    edge: Index
    shares: Float32
    also: tuple[str, ...]
