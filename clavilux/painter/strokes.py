"""Brush strokes: their positions and colours, and how they are painted.

Composition, `Brush` -> place_strokes -> Strokes -> **paint_strokes** -> CIELAB of rows of pixels

A stroke is a curved band with a beginning and an end. It takes its colour from the area under its middle and follows
the brush direction of the composition; the sides of strokes form the borders of areas. The bristles of a stroke end
unevenly, run dry towards the end of the stroke, and leave ridges that are lit from the upper left. Strokes are painted
over each other in a random order (painter's algorithm; Haeberli 1990, Hertzmann 1998). Each stroke is a function of the
position, so that it is sharp at any size.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from clavilux.painter.composition import SIDE, Composition
from clavilux.painter.marks.hashing import draws, key, mix, unit
from clavilux.painter.raster import Float32, Index, UInt8

BRISTLES = 30  # number of bristles across a stroke
_ANGLE = 0.25  # radians: strokes are turned at random by at most half of this
_QUIET = 0.4  # factor of relief and lightness differences far from the focus; in the middle of the focus, it is 1 more
_SIZES = (0.6, 0.8)  # size of a stroke over that of its brush: the first number, plus a random part of the second
_MOST_BEND = 0.9  # largest curvature times length
_SATURATION = 0.25  # the chroma of a stroke is changed by a random share, at most half of this
# Unless the palette is exact, some strokes are mixed with the palette colour of nearest lightness: the largest share of
# this colour in a stroke, and the share of the strokes that are mixed.
_LEAN, _LEANING = 0.3, 0.25
_TUFTED = 0.7  # 0: the length of each bristle is independent; 1: neighbouring bristles have similar lengths
RAGGED = 0.30  # bristles end within this share of half the length of a stroke, at both ends
LIGHT = (-0.7, -0.7)  # direction of the light, x and y
SLOPE = 2.2  # slope of the ridges at the sides of a stroke
GROOVES = 1.2  # slope of the ridges between bristles
BRISTLE_L = 3.0  # L*: largest difference between bristles
COVERED = 0.001  # a pixel of which strokes leave no more than this bare counts as covered
END_L = 0.225  # L* per unit of relief: how much lighter the paint at the end of a stroke is


@dataclass(frozen=True)
class Brush:
    """A layer of strokes made with one brush; lengths are in short sides of the picture.

    Attributes
    ----------
    name : str
        Layers with different names have independent strokes.
    width, length : float
        Mean width and mean length of the strokes; each stroke has 0.6 to 1.4 times these.
    spacing : float
        Distance between strokes. The smaller it is, the more strokes lie over each other.
    near, far : float
        Strokes lie only where the distance to the nearest border of an area is at least `near` and less than `far`.
    focus : float
        Strokes lie only where the rank of the focus (0 is calm, 1 is the middle of the focus) is at least this number.
    share : float
        Fraction of the strokes, chosen at random, that are painted.
    jitter : float
        Approximate largest random change of the lightness of a stroke, in L*.
    dry : float
        How early bristles run dry: 0 is never, 1 is in the second half of the stroke.
    relief : float
        Strength of the light and shade on ridges, in L*.
    opacity : float
        Opacity of the paint, 0 to 1; it is lower where a stroke is dry, and at the edge of a stroke.
    """

    name: str
    width: float
    length: float
    spacing: float
    near: float = 0.0
    far: float = 1.0
    focus: float = 0.0
    share: float = 1.0
    jitter: float = 3.0
    dry: float = 0.7
    relief: float = 2.0
    opacity: float = 1.0


@dataclass(frozen=True)
class Strokes:
    """n strokes in the order in which they are painted.

    Attributes
    ----------
    shape : (n, 7) float32
        x and y of the middle from the centre of the picture (y down), cosine and sine of the direction, half of the
        width, half of the length, curvature. Lengths are in short sides, the curvature in radians per short side.
    paint : (n, 7) float32
        L*, a*, b*, dryness, relief, opacity, and the fraction of the stroke that is held back (left out) where it lies
        on an area with another slot: 1 for strokes of figures, otherwise 0. Dryness is `dry` of the `Brush` times twice
        the texture of the controls; this factor is at most 1.5. Relief is `relief` of the `Brush` times twice the
        texture; it is larger near the focus.
    bristles : (n, 2, BRISTLES) float32
        Length and load (amount of paint) of each bristle, without units. Their spread around 0.5 is proportional to the
        texture: they are in (0, 1) at the default texture, and in (-0.5, 1.5) at the largest texture. Neighbouring
        bristles have similar lengths (tufts).
    slot : (n,) uint8
        Palette slot of the area under the middle of each stroke.
    """

    shape: Float32
    paint: Float32
    bristles: Float32
    slot: UInt8

    def __add__(self, other: Strokes) -> Strokes:
        """Return the strokes of both objects, with those of `other` on top."""
        names = (field.name for field in dataclasses.fields(self))
        return Strokes(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in names))

    def of_slots(self, slots: NDArray[np.bool_]) -> Strokes:
        """Return the strokes whose palette slot is True in `slots`, (8,) bool."""
        seen = slots[self.slot]
        return Strokes(*(getattr(self, field.name)[seen] for field in dataclasses.fields(self)))


@dataclass(frozen=True)
class Edges:
    """The borders of areas in rows of a picture, and how strongly they hold strokes back.

    Attributes
    ----------
    slot, second : (n, width) uint8
        Palette slot that covers most of each pixel, and the second slot that covers the rest if a border crosses the
        pixel.
    share : (n, width) float32
        Fraction of the pixel that the second slot covers, 0 to 1/2.
    hard : (n, width) float32
        Fraction of a stroke that is held back (left out) where it lies on an area with another slot. If the fraction in
        `Strokes.paint` is larger, it is used instead.
    """

    slot: UInt8
    second: UInt8
    share: Float32
    hard: Float32


def place_strokes(composition: Composition, brush: Brush, modelling: Float32) -> Strokes:
    """Return the strokes of a brush.

    Parameters
    ----------
    composition : Composition
    brush : Brush
    modelling : (h, w, 3) float32
        Change of colour within areas, in CIELAB, on the raster of the composition.
    """
    h, w, seed = composition.height, composition.width, composition.seed
    columns, rows = math.ceil(w / SIDE / brush.spacing) + 2, math.ceil(h / SIDE / brush.spacing) + 2
    n = columns * rows
    u = draws(seed, brush.name, 11 * n).reshape(11, n)
    x = (np.tile(np.arange(columns), rows) - 0.5 + u[0]) * brush.spacing - w / SIDE / 2
    y = (np.repeat(np.arange(rows), columns) - 0.5 + u[1]) * brush.spacing - h / SIDE / 2

    def cell(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.intp]:
        row = np.clip(y * SIDE + h / 2, 0, h - 1).astype(np.intp)
        return row * w + np.clip(x * SIDE + w / 2, 0, w - 1).astype(np.intp)

    at = cell(x, y)
    distance, slot = composition.distance.ravel()[at], composition.slots.ravel()[at]
    kept = (distance >= brush.near) & (distance < brush.far) & (composition.focus.ravel()[at] >= brush.focus)
    kept &= u[7] < brush.share
    order = np.flatnonzero(kept)
    order = order[np.argsort(u[5, order], kind="stable")]
    x, y, at, slot, u = x[order], y[order], at[order], slot[order], u[:, order]

    direction = composition.direction.ravel()
    angle = direction[at] + _ANGLE * (u[2] - 0.5)
    width, length = (size * (_SIZES[0] + _SIZES[1] * u[row]) for size, row in ((brush.width, 3), (brush.length, 4)))
    ahead, across = 0.5 * length * np.cos(angle), 0.5 * length * np.sin(angle)
    turn = direction[cell(x + ahead, y + across)] - direction[cell(x - ahead, y - across)]
    turn = (turn + math.pi / 2) % math.pi - math.pi / 2  # directions are equal up to half a turn
    curve = np.clip(turn, -_MOST_BEND, _MOST_BEND) / length
    angle = angle + np.where(u[6] < 0.5, math.pi, 0.0)
    shape = np.stack([x, y, np.cos(angle), np.sin(angle), width / 2, length / 2, curve], axis=1)

    palette = composition.palette.astype(np.float64)
    colour = palette[slot] + modelling.reshape(-1, 3)[at]
    busy = composition.focus.ravel()[at].astype(np.float64)
    colour[:, 0] += brush.jitter * min(1.0, 2 * composition.controls.texture) * (2 * u[8] - 1) * (_QUIET + busy)
    if not composition.controls.exact_palette:
        colour[:, 1:] *= (1 + _SATURATION * (u[9] - 0.5))[:, None]
        leaning = np.where(u[10] < _LEANING, _LEAN * u[10] / _LEANING, 0)[:, None]
        colour += leaning * (palette[nearest_lightness(palette)[slot, 1]] - colour)
    paint = np.empty((len(colour), 7))
    paint[:, :3], paint[:, 3:6] = colour, (brush.dry, brush.relief, brush.opacity)
    paint[:, 6] = composition.figures.cells.ravel()[at]
    texture = 2 * composition.controls.texture
    paint[:, 3:5] *= min(texture, 1.5), texture
    paint[:, 4] *= _QUIET + busy
    first = order.astype(np.uint32) * np.uint32(2 * BRISTLES) + np.uint32(key(seed, f"{brush.name} bristles"))
    bristles = unit(mix(np.add.outer(first, np.arange(2 * BRISTLES, dtype=np.uint32))))
    bristles[:, :BRISTLES] = _tufts(bristles[:, :BRISTLES])
    if texture != 1:
        bristles = np.float32(0.5) + np.float32(texture) * (bristles - np.float32(0.5))
    return Strokes(
        shape.astype(np.float32), paint.astype(np.float32), bristles.reshape(-1, 2, BRISTLES), slot.astype(np.uint8)
    )


def _tufts(length: Float32) -> Float32:
    """Return lengths of bristles (n, BRISTLES), made similar among neighbours, so that strokes have torn ends."""
    padded = np.pad(length, ((0, 0), (2, 2)), mode="edge")
    mean = sum(padded[:, k : k + BRISTLES] for k in range(5)) / np.float32(5)
    even = np.clip(np.float32(0.5) + np.float32(2) * (mean - np.float32(0.5)), 0, 1)
    return np.asarray(np.float32(_TUFTED) * even + np.float32(1 - _TUFTED) * length, np.float32)


def nearest_lightness(palette: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return for each palette slot a row with the indices of all slots, the most similar lightness first, (8, 8).

    The first index in a row is the slot itself, unless a slot with a lower index has the same lightness.
    """
    return np.asarray(np.argsort(np.abs(palette[:, None, 0] - palette[None, :, 0]), axis=1, kind="stable"))


def paint_strokes(
    rows: Float32, top: int, height: int, strokes: Strokes, fast: ModuleType | None, edges: Edges | None = None
) -> None:
    """Paint strokes on rows of a picture, in place.

    They are laid from the uppermost to the lowest, each beneath those laid so far ("under" of Porter and Duff 1984).

    Parameters
    ----------
    rows : (n, width, 3) float32
        CIELAB.
    top : int
        Index of the first of these rows in the picture.
    height : int
        Number of rows of the whole picture.
    strokes : Strokes
    fast : module or None
        The compiled painter; None for NumPy.
    edges : Edges, optional
        Borders that hold strokes back; by default, strokes cross all borders.
    """
    n, width = rows.shape[:2]
    boxes = _boxes(strokes.shape, width, height)
    first, last = np.maximum(boxes[:, 2], top) - top, np.minimum(boxes[:, 3], top + n) - top
    seen = np.flatnonzero((first < last) & (boxes[:, 0] < boxes[:, 1]))
    if fast is not None:
        none, empty = np.zeros((0, 0), np.uint8), np.zeros((0, 0), np.float32)
        held = (edges.slot, edges.second, edges.share, edges.hard) if edges is not None else (none, none, empty, empty)
        fast.paint_strokes(
            rows, top, height, boxes, seen, strokes.shape, strokes.paint, strokes.bristles, strokes.slot, *held
        )
        return
    pixels = _Pixels(rows, top, height, edges)
    for i in seen[::-1]:
        inside = pixels.under(strokes.shape[i], first[i], last[i])
        if inside is not None:
            pixels.lay(*inside, strokes.slot[i], strokes.shape[i], strokes.paint[i], strokes.bristles[i])
    rows *= pixels.bare.reshape(n, width, 1)
    rows += pixels.paint.reshape(rows.shape)


def _boxes(shape: Float32, width: int, height: int) -> NDArray[np.int64]:
    """Return the box around each stroke, (n, 4): first column, end column, first row, end row; ends are exclusive."""
    short = min(width, height)
    x, y, cos, sin, half_width, half_length, curve = shape.T.astype(np.float64)
    deep = half_width + np.abs(curve) * half_length**2 / 2
    reach = np.abs(cos) * half_length + np.abs(sin) * deep, np.abs(sin) * half_length + np.abs(cos) * deep
    edges = []
    for middle, half, size in ((x, reach[0], width), (y, reach[1], height)):
        edges += [np.floor((middle - half) * short + size / 2), np.ceil((middle + half) * short + size / 2) + 1]
    limits = np.array([width, width, height, height])
    return np.asarray(np.clip(np.stack(edges, axis=1), 0, limits), np.int64)


class _Pixels:
    """Pixels of some rows of a picture, on which strokes are laid from the uppermost to the lowest.

    A pixel that strokes have covered is not computed again, which most of the pixels under a stroke are.

    Attributes
    ----------
    bare : (n * width,) float32
        Share of each pixel that the strokes laid so far leave bare.
    paint : (n * width, 3) float32
        CIELAB of the strokes laid so far, multiplied by what each covers.
    """

    def __init__(self, rows: Float32, top: int, height: int, edges: Edges | None) -> None:
        n, self.width = rows.shape[:2]
        self.short = min(self.width, height)
        self.x = ((np.arange(self.width) + 0.5 - self.width / 2) / self.short).astype(np.float32)
        self.y = ((np.arange(top, top + n) + 0.5 - height / 2) / self.short).astype(np.float32)
        self.edges = edges
        self.bare, self.paint = np.ones(n * self.width, np.float32), np.zeros((n * self.width, 3), np.float32)

    def under(self, shape: Float32, first: int, last: int) -> tuple[Index, Float32, Float32] | None:
        """Return which pixels of the rows from `first` to `last` are under a stroke and not covered; None if none are.

        Returns
        -------
        index : (k,)
            Indices of the pixels.
        u, v : (k,) float32
            Their places across and along the stroke, from -1 to 1.
        """
        middle_x, middle_y, cos, sin, half_width, half_length, curve = shape
        # In each row, the columns are inside the straight band that contains the bent stroke.
        dy = self.y[first:last].astype(np.float64) - middle_y
        bend = 0.5 * curve * half_length * half_length
        with np.errstate(divide="ignore", invalid="ignore"):
            along = np.stack([(side * half_length - dy * sin) / cos for side in (-1, 1)])
            across = np.stack(
                [(dy * cos - side) / sin for side in (min(bend, 0) - half_width, max(bend, 0) + half_width)]
            )
        low = np.fmax(along.min(axis=0), across.min(axis=0)) + middle_x
        high = np.fmin(along.max(axis=0), across.max(axis=0)) + middle_x
        left, right = (np.clip(ends * self.short + self.width / 2, 0, self.width) for ends in (low, high))
        start = left.astype(np.intp)
        count = np.maximum(np.ceil(right).astype(np.intp) - start, 0)
        row = np.repeat(np.arange(first, last), count)
        column = np.arange(row.size) + np.repeat(start - (count.cumsum() - count), count)
        index = row * self.width + column
        open_ = np.flatnonzero(self.bare[index] > COVERED)
        row, column = row[open_], column[open_]
        dx, dy = self.x[column] - middle_x, self.y[row] - middle_y
        along = dx * cos + dy * sin
        across = dy * cos - dx * sin - np.float32(0.5) * curve * along * along
        u, v = across * (1 / half_width), along * (1 / half_length)
        inside = np.flatnonzero((np.abs(u) < 1) & (np.abs(v) < 1))
        return (index[open_[inside]], u[inside], v[inside]) if inside.size else None

    def lay(
        self, index: Index, u: Float32, v: Float32, slot: int, shape: Float32, paint: Float32, bristles: Float32
    ) -> None:
        """Lay a stroke beneath those laid so far, on the pixels that `under` has returned."""
        cos, sin, half_width, half_length = shape[2:6]
        dry, relief, opacity = paint[3:6]
        at = (u + np.float32(1)) * np.float32(0.5 * (BRISTLES - 1.01))
        low = at.astype(np.intp)
        share = at - low
        length, load = bristles
        step = length[low + 1] - length[low]
        reach = length[low] + step * share
        filled = load[low] + (load[low + 1] - load[low]) * share
        end = np.float32(1) - np.float32(RAGGED) * reach * min(np.float32(1), 4 * half_width / half_length)
        cover = _ramp((1 - np.float32(0.06) * filled - np.abs(u)) * (half_width * np.float32(self.short / 1.2)))
        cover *= _ramp((end - np.abs(v)) * (half_length * np.float32(self.short / 1.5)))
        used = np.float32(0.5) * (v + np.float32(1))
        thin = np.float32(1.7) * dry * used * used - np.float32(0.55) + np.float32(0.9) * (filled - np.float32(0.5))
        alpha = opacity * cover * (np.float32(1) - np.float32(0.85) * _ramp(thin * np.float32(2.2)))
        if self.edges is not None:
            alpha *= 1 - self._held_back(self.edges, index, slot, paint[6])
        slope = np.float32(SLOPE) * u * np.abs(u) ** 3 + np.float32(GROOVES) * step
        lit = slope * (sin * np.float32(LIGHT[0]) - cos * np.float32(LIGHT[1]))
        tone = paint[0] + relief * lit + np.float32(BRISTLE_L) * (reach - np.float32(0.5))
        tone += np.float32(END_L) * relief * np.clip((v - np.float32(0.72)) * np.float32(1 / 0.28), 0, 1)
        bare = self.bare[index]
        seen = bare * alpha
        self.bare[index] = bare - seen
        for channel, value in enumerate((tone, paint[1], paint[2])):
            self.paint[index, channel] += seen * value

    def _held_back(self, edges: Edges, index: Index, slot: int, least: np.float32) -> Float32:
        """Return how much of a stroke is held back (left out) at each of some pixels, 0 to 1."""
        share = edges.share.ravel()[index]
        first, second = edges.slot.ravel()[index] == slot, edges.second.ravel()[index] == slot
        return np.asarray(
            np.maximum(edges.hard.ravel()[index], least)
            * (np.float32(1) - first * (np.float32(1) - share) - second * share)
        )


def _ramp(v: Float32) -> Float32:
    """Return the smoothstep polynomial of v, which is first clipped to [0, 1]."""
    v = np.clip(v, 0, 1)
    return np.asarray(v * v * (np.float32(3) - np.float32(2) * v))
