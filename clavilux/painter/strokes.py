"""Brush strokes: where they lie, which colour they carry, and how they are painted.

Composition, `Brush` -> place_strokes -> Strokes -> **paint_strokes** -> CIELAB of rows of pixels

A stroke is a curved band with a beginning and an end. It takes its colour from the area under its middle and follows
the direction of the composition, so that borders of areas are made of strokes. Its bristles end unevenly, run dry
towards its end, and leave ridges that are lit from the upper left. Strokes are laid over each other in a random order
(painter's algorithm; Haeberli 1990, Hertzmann 1998). Each is a formula of place, so that it is sharp at any size.
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
from clavilux.painter.raster import Float32, UInt8

BRISTLES = 30  # of a stroke, each way across
_ANGLE = 0.25  # radians: largest random turn is half of it
_QUIET = 0.4  # relief and differences between strokes far from the focus, as a share; at the focus 1 more
_SIZES = (0.6, 0.8)  # width and length are the brush's times the first plus up to the second
_MOST_BEND = 0.9  # curvature times length
_SATURATION = 0.25  # random change of chroma between strokes
_LEAN, _LEANING = 0.3, 0.25  # share of a neighbouring colour in a stroke, and share of strokes that have any
_TUFTED = 0.7  # 0: the length of each bristle is independent; 1: only that of tufts
RAGGED = 0.30  # of the length: uneven ends
LIGHT = (-0.7, -0.7)  # direction of the light, x and y
SLOPE = 2.2  # of the ridges at the sides
GROOVES = 1.2  # of the ridges between bristles
BRISTLE_L = 3.0  # L*: difference between bristles
END_L = 0.225  # L* per relief: paint that is left at the end


@dataclass(frozen=True)
class Brush:
    """A layer of strokes made with one brush; lengths in short sides.

    Attributes
    ----------
    name : str
        Layers of different names have independent strokes.
    width, length : float
        Mean size of a stroke; single strokes have about 0.6 to 1.4 times this.
    spacing : float
        Distance between strokes; the smaller, the more of them lie over each other.
    near, far : float
        Strokes lie where the distance to the nearest border is between these.
    focus : float
        Strokes lie where the focus of the composition is at least this.
    share : float
        Share of the strokes that are painted.
    jitter : float
        L*: strokes are at most this much lighter or darker than their area.
    dry : float
        How early bristles run dry: 0 never, 1 in the second half.
    relief : float
        L*: light and shade of ridges.
    opacity : float
        Of the paint where a stroke is neither dry nor at its edge, 0 to 1.
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
    paint : (n, 6) float32
        L*, a*, b*, dryness, relief, opacity. Dryness and relief are `dry` and `relief` of the `Brush`, multiplied by
        twice the texture of the controls; the factor of the dryness is at most 1.5.
    bristles : (n, 2, BRISTLES) float32
        Length and load (amount of paint) of each bristle, without a unit: in (0, 1) at the default texture, in
        (-0.5, 1.5) at the largest, because the spread is proportional to the texture. Lengths of neighbouring bristles
        are similar (tufts).
    slot : (n,) uint8
        Palette slot of the area under the middle of each stroke.
    """

    shape: Float32
    paint: Float32
    bristles: Float32
    slot: UInt8

    def __add__(self, other: Strokes) -> Strokes:
        """Return both, `other` on top."""
        names = (field.name for field in dataclasses.fields(self))
        return Strokes(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in names))


@dataclass(frozen=True)
class Edges:
    """Borders of areas that strokes do not cross, for rows of a picture.

    Attributes
    ----------
    slot, second : (n, width) uint8
        Palette slot of each pixel, and a second one.
    share : (n, width) float32
        Share of the pixel that the second slot covers, 0 to 1/2.
    hard : (n, width) float32
        How much of a stroke is held back where the area has another slot: 0 nothing, 1 all.
    """

    slot: UInt8
    second: UInt8
    share: Float32
    hard: Float32


def place_strokes(
    composition: Composition, brush: Brush, modelling: Float32, *, slots: NDArray[np.bool_] | None = None
) -> Strokes:
    """Return the strokes of a brush.

    Parameters
    ----------
    composition : Composition
    brush : Brush
    modelling : (h, w, 3) float32
        Change of colour within areas, in CIELAB, on the raster of the composition.
    slots : (8,) bool, optional
        Slots that are painted; the default is all.
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
    if slots is not None:
        kept &= slots[slot]
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
    colour[:, 1:] *= (1 + _SATURATION * (u[9] - 0.5))[:, None]
    leaning = np.where(u[10] < _LEANING, _LEAN * u[10] / _LEANING, 0)[:, None]
    colour += leaning * (palette[nearest_lightness(palette)[slot, 1]] - colour)
    paint = np.empty((len(colour), 6))
    paint[:, :3], paint[:, 3:] = colour, (brush.dry, brush.relief, brush.opacity)
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
    """Return the lengths of bristles (n, BRISTLES), made more alike for neighbours, so that ends look torn, not cut."""
    padded = np.pad(length, ((0, 0), (2, 2)), mode="edge")
    mean = sum(padded[:, k : k + BRISTLES] for k in range(5)) / np.float32(5)
    even = np.clip(np.float32(0.5) + np.float32(2) * (mean - np.float32(0.5)), 0, 1)
    return np.asarray(np.float32(_TUFTED) * even + np.float32(1 - _TUFTED) * length, np.float32)


def nearest_lightness(palette: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return, for each slot, all slots in the order of their difference of lightness from it, (8, 8).

    The first one is the slot itself, unless a slot with a lower number is as light.
    """
    return np.asarray(np.argsort(np.abs(palette[:, None, 0] - palette[None, :, 0]), axis=1, kind="stable"))


def paint_strokes(
    rows: Float32, top: int, height: int, strokes: Strokes, fast: ModuleType | None, edges: Edges | None = None
) -> None:
    """Paint strokes on rows of a picture, in place.

    Parameters
    ----------
    rows : (n, width, 3) float32
        CIELAB.
    top : int
        Row of the picture at which the rows begin.
    height : int
        Rows of the whole picture.
    strokes : Strokes
    fast : module or None
        The compiled painter; None for NumPy.
    edges : Edges, optional
        By default strokes cross all borders.
    """
    n, width = rows.shape[:2]
    short = min(width, height)
    boxes = _boxes(strokes.shape, width, height)
    first, last = np.maximum(boxes[:, 2], top) - top, np.minimum(boxes[:, 3], top + n) - top
    seen = np.flatnonzero((first < last) & (boxes[:, 0] < boxes[:, 1]))
    if fast is not None:
        none = np.zeros((0, 0), np.uint8)
        held = (none, none, *2 * [none.astype(np.float32)]) if edges is None else dataclasses.astuple(edges)
        fast.paint_strokes(
            rows, top, height, boxes, seen, strokes.shape, strokes.paint, strokes.bristles, strokes.slot, *held
        )
        return
    pixel = np.float32(1 / short)
    x = ((np.arange(width) + 0.5 - width / 2) / short).astype(np.float32)
    y = ((np.arange(top, top + n) + 0.5 - height / 2) / short).astype(np.float32)
    for i in seen:
        left, right = boxes[i, :2]
        box = (slice(first[i], last[i]), slice(left, right))
        kept = 1 - _held_back(edges, box, strokes.slot[i]) if edges is not None else None
        _paint_stroke(
            rows[box], kept, x[left:right], y[first[i] : last[i], None], pixel,
            strokes.shape[i], strokes.paint[i], strokes.bristles[i],
        )  # fmt: skip


def _held_back(edges: Edges, box: tuple[slice, slice], slot: int) -> Float32:
    """Return how much of a stroke is held back at the pixels of a box, 0 to 1."""
    share = edges.share[box]
    covered = (edges.slot[box] == slot) * (np.float32(1) - share) + (edges.second[box] == slot) * share
    return np.asarray(edges.hard[box] * (np.float32(1) - covered))


def _boxes(shape: Float32, width: int, height: int) -> NDArray[np.int64]:
    """Return first and end of the columns, first and end of the rows of the box around each stroke, (n, 4)."""
    short = min(width, height)
    x, y, cos, sin, half_width, half_length, curve = shape.T.astype(np.float64)
    deep = half_width + np.abs(curve) * half_length**2 / 2
    reach = np.abs(cos) * half_length + np.abs(sin) * deep, np.abs(sin) * half_length + np.abs(cos) * deep
    edges = []
    for middle, half, size in ((x, reach[0], width), (y, reach[1], height)):
        edges += [np.floor((middle - half) * short + size / 2), np.ceil((middle + half) * short + size / 2) + 1]
    limits = np.array([width, width, height, height])
    return np.asarray(np.clip(np.stack(edges, axis=1), 0, limits), np.int64)


def _paint_stroke(
    part: Float32,
    kept: Float32 | None,
    x: Float32,
    y: Float32,
    pixel: np.float32,
    shape: Float32,
    paint: Float32,
    bristles: Float32,
) -> None:
    """Paint one stroke on the pixels (h, w, 3) at places x (w,) and y (h, 1), with the share `kept` (h, w) of it."""
    middle_x, middle_y, cos, sin, half_width, half_length, curve = shape
    dry, relief, opacity = paint[3:]
    dx, dy = x - middle_x, y - middle_y
    along = dx * cos + dy * sin
    across = dy * cos - dx * sin
    across -= np.float32(0.5) * curve * along * along
    u, v = across * (1 / half_width), along * (1 / half_length)
    inside = (np.abs(u) < 1) & (np.abs(v) < 1)
    if not inside.any():
        return
    r, c = np.nonzero(inside)
    u, v = u[r, c], v[r, c]
    at = (u + np.float32(1)) * np.float32(0.5 * (BRISTLES - 1.01))
    low = at.astype(np.intp)
    share = at - low
    length, load = bristles
    step = length[low + 1] - length[low]
    reach = length[low] + step * share
    filled = load[low] + (load[low + 1] - load[low]) * share
    end = np.float32(1) - np.float32(RAGGED) * reach * min(np.float32(1), 4 * half_width / half_length)
    cover = _ramp((np.float32(1) - np.float32(0.06) * filled - np.abs(u)) * (half_width / (np.float32(1.2) * pixel)))
    cover *= _ramp((end - np.abs(v)) * (half_length / (np.float32(1.5) * pixel)))
    used = np.float32(0.5) * (v + np.float32(1))
    thin = np.float32(1.7) * dry * used * used - np.float32(0.55) + np.float32(0.9) * (filled - np.float32(0.5))
    alpha = opacity * cover * (np.float32(1) - np.float32(0.85) * _ramp(thin * np.float32(2.2)))
    if kept is not None:
        alpha *= kept[r, c]
    slope = np.float32(SLOPE) * u * np.abs(u) ** 3 + np.float32(GROOVES) * step
    lit = slope * (sin * np.float32(LIGHT[0]) - cos * np.float32(LIGHT[1]))
    tone = paint[0] + relief * lit + np.float32(BRISTLE_L) * (reach - np.float32(0.5))
    tone += np.float32(END_L) * relief * np.clip((v - np.float32(0.72)) * np.float32(1 / 0.28), 0, 1)
    here = part[r, c]
    here[:, 0] += alpha * (tone - here[:, 0])
    here[:, 1] += alpha * (paint[1] - here[:, 1])
    here[:, 2] += alpha * (paint[2] - here[:, 2])
    part[r, c] = here


def _ramp(v: Float32) -> Float32:
    """Return the smoothstep polynomial of v, clipped to [0, 1]."""
    v = np.clip(v, 0, 1)
    return np.asarray(v * v * (np.float32(3) - np.float32(2) * v))
