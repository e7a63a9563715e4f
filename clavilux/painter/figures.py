"""Figures: large deliberate shapes that hold a composition together, such as discs, faces or guitars.

palette slots of the large marks, focus, controls -> **here** -> `Figures`: palette slots with figures, cells of figures

Abstract painters set a few clear shapes against loose areas: a large shape, a smaller shape elsewhere that echoes it,
and small accents. A hint of a subject, such as an instrument or a landscape, gives the brushwork a reason; viewers
prefer it to bars and planes (docs/measures.md). The main figure is near the focus, and the first kind of marks
determines its name. A second, smaller figure, called the answer, is elsewhere, and the second kind of marks determines
its name. Most shapes exchange the palette slots beneath them, dark for light, so that they look translucent.

The higher the control `shapes`, the more is drawn. In a calm picture, the main figure is large, and there is no answer.
In a busy picture, it is smaller, there is an answer, and a wide arc may cross the picture.

The sizes, rotations and variants of the shapes in a figure are computed from smooth functions of the plan (the
probability of each colour in each cell of a grid). Songs with similar plans therefore have similar figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from clavilux.constants import LAYOUT
from clavilux.painter.controls import Controls
from clavilux.painter.marks import MARKS
from clavilux.painter.plan import choose_by_plan
from clavilux.painter.raster import Float32, Mask, UInt8
from clavilux.painter.shapes import Canvas, Figures, Frame, both, together, without

# Size of the main figure in short sides: the first number divided by the number of large shapes, but at least the
# second and at most the third.
_SIZE = 1.1, 0.22, 0.37
_ANSWER = 0.42  # size of the answer, as a share of that of the main figure
# Distance between the main figure and the answer, in short sides: the first number times the size of the main figure,
# plus the second.
_APART = 1.6, 0.2
_CENTRED = 0.65  # distance of the main figure from the centre of the picture, as a share of that of the focus
_FURTHEST = 0.4  # short sides: largest distance of an answer from the centre, in each direction
_WIDE_ARCS = 0.4  # share of the busier pictures that have a wide arc across the whole picture
_ACROSS = 0.6  # share of a side that the wide arc must span to go across the picture
_OFF_CENTRE = 0.15  # of a side: smallest distance of the arc from the middle to be mentioned
_AROUND = 2.6  # radians: range of the direction from the main figure to the answer, about that through the centre
_ANSWER_FROM = 1 / 6  # how busy a picture must be, from 0 to 1, to have an answer
_N_CHOICES = 48
# Radians: range of the rotation of figures that would not be recognised lying down; the others lie in any direction.
_TILTS = {
    "guitar": 1.4, "boat": 0.3, "moon": 0.3, "mountains": 0.3, "face": 0.5, "eye": 1.0, "lute": 1.4,
}  # fmt: skip


def add_figures(slots: UInt8, x: Float32, y: Float32, focus: Float32, controls: Controls, seed: int) -> Figures:
    """Draw the figures that the controls ask for on a copy of the areas.

    Parameters
    ----------
    slots : (h, w) uint8
        Palette slot of each cell.
    x, y : (h, w) float32
        Position of each cell, in short sides from the centre of the picture.
    focus : (h, w) float32
        Nearness of each cell to the focus, as a rank from 0 to 1.
    controls : Controls
    seed : int
        Random seed.
    """
    canvas = Canvas(slots, x, y)
    if controls.figure != "none":  # "auto" or a name
        _draw(canvas, focus, controls, iter(choose_by_plan(controls.plan, seed, "figure", _N_CHOICES)))
    return canvas.result()


def _draw(canvas: Canvas, focus: Float32, controls: Controls, choose: Iterator[float]) -> None:
    """Draw the main figure; in busier pictures, also the answer, and in some a wide arc across the picture."""
    weight = np.clip(focus - np.float32(0.8), 0, 1).astype(np.float64)
    centre = _CENTRED * np.array([(weight * canvas.x).sum(), (weight * canvas.y).sum()]) / weight.sum()
    main, *answers = figure_names(controls)
    turn = next(choose)
    if main in _TILTS:
        angle = _TILTS[main] * (turn - 0.5)
    else:
        angle = 0.3 * (turn - 0.5) - math.tau * controls.angle if MARKS[controls.kind].uses_angle else math.tau * turn
    size = float(np.clip(_SIZE[0] / controls.shapes, *_SIZE[1:]))
    away = math.atan2(-centre[1], -centre[0]) + _AROUND * (next(choose) - 0.5)
    reach = _APART[0] * size + _APART[1]
    there = np.clip(centre + reach * np.array([math.cos(away), math.sin(away)]), -_FURTHEST, _FURTHEST)
    which, crossing = next(choose), Frame(there, math.pi * next(choose), 1.0)
    if which < _WIDE_ARCS and _busy(controls) > 0.5:
        canvas.exchange(crossing.ring(0, 0.5, 0.42, 0.42 + 0.1 * which), 3, _describe_arc)
    FIGURES[main](canvas, Frame(centre, angle, size), choose)
    for answer in answers:
        draw, _ = ANSWERS[answer]
        draw(canvas, Frame(there, angle + math.pi * (0.3 + 0.4 * next(choose)), _ANSWER * size), choose)


def _describe_arc(cells: Mask) -> str:
    """Return words for the wide arc and its place, from the cells (h, w) that it changed."""
    rows, columns = cells.any(axis=1), cells.any(axis=0)
    if max(rows.mean(), columns.mean()) >= _ACROSS:
        return "a wide arc across the picture"
    down, right = (float(np.flatnonzero(seen).mean()) / seen.size - 0.5 for seen in (rows, columns))
    above, beside = name_side(down, _OFF_CENTRE, "top", "bottom"), name_side(right, _OFF_CENTRE, "left", "right")
    return f"a part of a wide arc at the {' '.join(filter(None, (above, beside))) or 'middle'}"


def name_side(offset: float, least: float, before: str, after: str) -> str:
    """Return the word for the side of the middle on which an offset lies, or "" if it is smaller than ``least``."""
    return "" if abs(offset) < least else before if offset < 0 else after


def figure_names(controls: Controls) -> tuple[str, ...]:
    """Return the names of the main figure and, if there is one, the answer; () for the figure name "none"."""
    if controls.figure == "none":
        return ()
    kinds = (controls.kind, controls.second_kind or controls.kind)[: 1 + (_busy(controls) > _ANSWER_FROM)]
    return tuple(MARKS[kind].figure if controls.figure == "auto" else controls.figure for kind in kinds)


def _busy(controls: Controls) -> float:
    """Return how much is drawn, from 0 to 1: the control `shapes` on a logarithmic scale."""
    low, high = LAYOUT["shapes"]
    return math.log(controls.shapes / low) / math.log(high / low)


_Draw = Callable[[Canvas, Frame, Iterator[float]], None]


def _disc(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    canvas.exchange(f.disc(0, 0, 1))
    turn = math.tau * next(choose)
    u, v = 0.45 * math.cos(turn), 0.45 * math.sin(turn)
    if next(choose) < 0.5:
        canvas.oppose(f.disc(u, v, 0.35 + 0.2 * next(choose)))
        canvas.accent(f.ring(0, 0, 1.2, 1.38, turn + 2, 1.6 + 2 * next(choose)), "an arc around it")
    else:
        canvas.exchange(f.disc(2.4 * u, 2.4 * v, 0.55 + 0.2 * next(choose)), 3)
        if next(choose) < 0.5:
            arc = f.ring(2.4 * u, 2.4 * v, 0.95, 1.15, turn + 1.6, 2.0 + next(choose))
            canvas.contrast(arc, next(choose), "an arc beside it")
        canvas.accent(f.half(-u, -v, 0.3, turn))


def _ray(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    start, step = math.tau * next(choose), 0.5 + 0.3 * next(choose)
    for k in range(4):
        half, turn, length = 0.16 + 0.14 * next(choose), start + step * k, 1.6 + 1.2 * next(choose)
        ends = [(length * math.cos(turn + side * half), length * math.sin(turn + side * half)) for side in (-1, 1)]
        wedge = f.polygon((0, 0), *ends)
        if k % 2:
            canvas.contrast(wedge, next(choose))
        else:
            canvas.exchange(wedge)
    canvas.oppose(f.half(0, 0, 0.75, start + 1.5 * step + math.pi))
    canvas.accent(f.half(0, 0, 0.4, start + 1.5 * step))


def _pebble(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    turn = math.tau * next(choose)
    canvas.exchange(f.pebble(0, 0, 1.0, 0.28, turn))
    canvas.contrast(f.pebble(0.5, 0.3, 0.45, 0.22, 2 * turn), next(choose))
    if next(choose) < 0.6:
        canvas.oppose(f.ribbon(-0.2, 0.45, 1.3, turn, (0.05, 0.16)))
        canvas.oppose(f.pebble(-1.25, -0.9, 0.3, 0.2, turn + 1))
    else:
        canvas.exchange(f.pebble(-0.9, 0.5, 0.75, 0.2, turn + 2), 3)
    canvas.accent(f.pebble(-0.35, -0.3, 0.2, 0.2, turn + 2))


def _crescent(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    turn, shift = math.tau * next(choose), 0.35 + 0.25 * next(choose)
    u, v = shift * math.cos(turn), shift * math.sin(turn)
    inner = f.disc(u, v, 0.95)
    canvas.exchange(without(f.disc(0, 0, 1.2), inner))
    canvas.exchange(f.disc(1.1 * u, 1.1 * v, 0.6 + 0.15 * next(choose)), 3)
    if next(choose) < 0.6:
        thin = without(f.disc(-0.6 * u, -0.6 * v, 1.75), f.disc(0.4 * u, 0.4 * v, 1.7))
        canvas.contrast(thin, next(choose), "a thin crescent around it")
    canvas.contrast(f.half(2.2 * u, 2.2 * v, 0.35, turn), next(choose))
    canvas.accent(f.disc(-1.9 * u, -1.9 * v, 0.2))


def _hill(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    shift = 0.8 * next(choose) - 0.4
    canvas.exchange(f.half(0, 0.35, 1.35, -math.pi / 2))
    canvas.exchange(f.half(shift, 0.35, 0.8 + 0.2 * next(choose), -math.pi / 2), 3)
    canvas.contrast(f.half(-1.6 * shift, 0.45, 0.6, math.pi / 2), next(choose))
    canvas.accent(f.disc(1.3 * (1 if shift < 0 else -1), -0.75, 0.26))


def _guitar(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    # Taken apart as in a cubist still life: half of the body lies on another plane.
    waist, turn = 0.5 + 0.12 * next(choose), 0.16 * next(choose) - 0.08
    canvas.exchange(together(f.disc(0, 0.75, 0.88), f.disc(0, -0.42, 0.62), f.bar(0, 0.2, waist, 0.5)))
    canvas.oppose(f.bar(0, -1.1, 1.25, 0.11, turn - math.pi / 2, 0.1))
    canvas.exchange(f.polygon((0.05, 2.0), (0.05 + turn, -1.3), (1.1, -1.3), (0.95, 1.6)), 3)
    if next(choose) < 0.5:
        canvas.contrast(f.ring(0, 0.75, 1.05, 1.2, next(choose), 2.2), next(choose), "an arc beside it")
    else:
        canvas.contrast(f.bar(-1.05, 0.6, 1.5, 0.2, 0.2 * next(choose) - math.pi / 2), next(choose))
    canvas.contrast(f.disc(0, 0.15, 0.26), next(choose))
    canvas.accent(f.bar(0, 0.95, 0.42, 0.07))


def _boat(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    high, belly = 1.5 + 0.5 * next(choose), 0.4 + 0.5 * next(choose)
    canvas.exchange(f.polygon((-3, 0.95), (3, 0.8), (3, 2.2), (-3, 2.2)), 3)  # the water
    canvas.oppose(without(f.polygon((0.06, 0.7), (0.06, -high), (1.5, 0.7)), f.disc(1.9 + belly, -high, 1.1 + belly)))
    canvas.contrast(f.polygon((-0.06, 0.7), (-0.06, -0.75 * high), (-1.0 - 0.3 * belly, 0.7)), next(choose))
    canvas.exchange(f.half(0.1, 0.78, 1.05, math.pi / 2))
    canvas.contrast(f.polygon((0.1, 1.3), (1.1, 1.3), (0.3, 2.0)), next(choose))
    canvas.accent(f.disc(-1.5, -1.1, 0.3), "a disc beside it")


def _moon(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    line, side = 0.55, 0.5 * next(choose) - 0.25
    canvas.exchange(f.bar(0, line + 2, 6, 2))
    canvas.oppose(f.disc(side, -0.55, 0.85))
    canvas.exchange(f.disc(side + 0.5 - next(choose), -0.3, 0.6), 3)
    spread, deep = 0.35 + 0.3 * next(choose), line + 0.8 + 0.6 * next(choose)
    canvas.exchange(f.polygon((side - 0.6, line), (side + 0.6, line), (side + spread, deep), (side - spread, deep)), 3)
    away = -1.0 if side > 0 else 1.0
    canvas.exchange(f.half(1.4 * away, line, 1.0, -math.pi / 2))
    canvas.accent(f.bar(1.2 * away, line + 0.12, 0.7, 0.07))


def _mountains(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    u, high, low = 0.5 * next(choose) - 0.25, 1.2 + 0.5 * next(choose), 0.7 + 0.4 * next(choose)
    canvas.oppose(f.disc(-1.1 if u > 0 else 1.1, -0.95, 0.42), "a disc above them")
    canvas.exchange(f.polygon((u - 1.7, 0.7), (u, -high), (u + 1.5, 0.7)))
    canvas.contrast(f.polygon((u, -high), (u + 1.5, 0.7), (u + 0.35, 0.7), (u + 0.15, -0.3)), next(choose))
    canvas.exchange(f.polygon((-2.6, 0.7), (-1.2, -low), (0.2, 0.7)), 3)
    canvas.exchange(f.bar(0, 2.7, 6, 2), 3)
    canvas.contrast(f.polygon((u - 1.2, 0.82), (u + 1.1, 0.82), (u, 0.82 + 0.6 * high)), next(choose))
    canvas.accent(f.polygon((1.0, 0.7), (1.5, -0.1), (2.0, 0.7)))


def _horn(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    bend, wide = 0.5 + 0.3 * next(choose), 0.95 + 0.25 * next(choose)
    canvas.exchange(f.polygon((-1.5, -0.1), (0.75, -wide), (0.75, wide), (-1.5, 0.1)))
    canvas.oppose(f.ring(-1.5, bend, bend - 0.12, bend + 0.12, math.pi / 2, math.pi))
    canvas.exchange(f.disc(0.75, 0, wide), 3)
    canvas.contrast(f.disc(0.8, 0, 0.62 * wide), next(choose))
    canvas.oppose(f.disc(0.85, 0, 0.3 * wide))
    canvas.contrast(f.bar(-0.75, 2 * bend, 0.8, 0.12), next(choose))
    canvas.accent(f.ring(0.75, 0, 1.15 * wide, 1.3 * wide, -1.1 - next(choose), 1.6), "an arc around it")


def _face(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    side, turned, long = _side(choose), next(choose), 0.25 * next(choose)
    canvas.exchange(f.half(0.2 * side, 2.5 + long, 1.5, -math.pi / 2))  # shoulders
    canvas.contrast(f.bar(0.05 * side, 1.3 + long, 0.45, 0.27, math.pi / 2), next(choose))
    _head(canvas, f, side, long, choose) if turned < 0.5 else _profile(canvas, f, side, long, choose)


def _head(canvas: Canvas, f: Frame, side: int, long: float, choose: Iterator[float]) -> None:
    # One half is turned to the side, as in cubist portraits: the nose and the half mouth are a profile.
    jaw = f.polygon((-0.83, -0.2), (0.83, -0.2), (0.28, 1.1 + long), (-0.28, 1.1 + long))
    head, cover = together(f.disc(0, -0.35, 0.85), jaw), next(choose)
    if cover < 0.7:  # hair
        canvas.contrast(f.disc(0.1 * side, -0.5, 1.12), next(choose))
    elif cover < 0.92:  # long hair
        canvas.exchange(together(f.disc(-0.2 * side, -0.55, 1.0), f.bar(-0.75 * side, 0.5, 1.05, 0.42, math.pi / 2)), 3)
    canvas.exchange(head)
    canvas.exchange(both(head, f.box(0.05 * side, -2, 2 * side, 2)), 3)
    if cover >= 0.92:  # a hat
        canvas.oppose(together(f.half(0, -0.75, 0.85, -math.pi / 2), f.bar(0, -0.78, 1.25, 0.09)))
    canvas.oppose(f.polygon((0.05 * side, -0.5), (0.05 * side, 0.35), (-(0.22 + 0.14 * next(choose)) * side, 0.35)))
    _open_eye(canvas, f, -0.45 * side, next(choose))
    canvas.oppose(f.half(0.42 * side, -0.35, 0.22, -math.pi / 2 if next(choose) < 0.5 else math.pi / 2))
    canvas.accent(f.half(0.02 * side, 0.62 + 0.5 * long, 0.25, math.pi / 2))


def _profile(canvas: Canvas, f: Frame, side: int, long: float, choose: Iterator[float]) -> None:
    def at(u: float, v: float) -> tuple[float, float]:
        return u * side, v + (long if v > 0.5 else 0)

    canvas.contrast(f.half(-0.15 * side, -0.45, 1.1, math.pi if side > 0 else 0), next(choose))  # hair
    face = f.polygon(at(-0.3, -0.2), at(0.66, -0.2), at(0.6, 0.95), at(0.35, 1.15), at(-0.1, 1.05))
    nose = f.polygon(at(0.6, -0.45), at(1.02 + 0.2 * next(choose), 0.3), at(0.6, 0.36))
    head = together(f.disc(0, -0.35, 0.85), face, nose, f.disc(0.6 * side, 0.58 + 0.5 * long, 0.17))
    canvas.exchange(head)
    canvas.exchange(both(head, f.polygon(at(-0.05, -2), at(2, -2), at(2, 2), at(0.2, 2))), 3)
    _open_eye(canvas, f, 0.36 * side, next(choose))
    canvas.oppose(f.polygon(at(-0.2, 0.05), at(-0.45, 0.2), at(-0.2, 0.45)))  # ear
    if next(choose) < 0.3:
        canvas.oppose(together(f.half(0, -0.7, 0.9, -math.pi / 2), f.bar(0.45 * side, -0.72, 0.95, 0.09)))  # cap
    canvas.accent(f.bar(0.62 * side, 0.58 + 0.5 * long, 0.2, 0.06))


def _open_eye(canvas: Canvas, f: Frame, u: float, choice: float) -> None:
    canvas.contrast(both(f.disc(u, -0.18, 0.33), f.disc(u, -0.52, 0.33)), choice)
    canvas.oppose(f.disc(u, -0.35, 0.1))


def _eye(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    wide = 0.9 + 0.3 * next(choose)
    canvas.exchange(both(f.disc(0, wide + 0.1, 1.95), f.disc(0, -wide - 0.1, 1.95)), 3)
    canvas.contrast(both(f.disc(0, wide, 1.55), f.disc(0, -wide, 1.55)), next(choose))
    canvas.exchange(f.disc(0, 0, 0.62))
    canvas.oppose(f.disc(0, 0, 0.3))
    canvas.contrast(f.ring(0, 0.5, 1.75, 1.92, 1.15 * math.pi, 0.7 * math.pi), next(choose), "an arc above it")
    canvas.exchange(f.half(0, 0, 0.62, math.tau * next(choose)), 3)
    canvas.accent(f.disc(0.14, -0.14, 0.13))


def _shell(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    # Half discs in turn above and below the axis; each begins where the one before ends, and is smaller.
    side, start, end = _side(choose), -1.45, 1.2
    for k in range(6):
        half = f.half(side * (start + end) / 2, 0, abs(end - start) / 2, math.pi / 2 if k % 2 else -math.pi / 2)
        if k in (2, 5):
            canvas.contrast(half, next(choose))
        elif k == 4:
            canvas.oppose(half)
        else:
            canvas.exchange(half, 3 if k % 2 else 4)
        start, end = end, end - 0.72 * (end - start)
    canvas.oppose(f.ring(0, 0.9, 1.9, 2.05, 0.2 * math.pi, 0.5 * math.pi + next(choose)), "an arc beside it")
    canvas.accent(f.disc(side * (start + end) / 2, 0, 0.12))


def _lute(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    turn = 0.2 * next(choose) - 0.1
    canvas.exchange(f.polygon((-2.8, 1.0), (2.8, 0.75), (2.8, 2.4), (-2.8, 2.4)), 3)  # the table
    body = together(f.disc(0, 0.6, 0.92), f.polygon((-0.88, 0.32), (0.88, 0.32), (0.14, -1.0), (-0.14, -1.0)))
    canvas.exchange(body)
    canvas.exchange(both(body, f.polygon((0.05, 2), (turn, -2), (2, -2), (2, 2))), 3)
    canvas.oppose(f.bar(0, -1.15, 0.75, 0.12, math.pi / 2))
    canvas.contrast(f.bar(0.33, -2.05, 0.5, 0.12, 0.5), next(choose))
    canvas.contrast(f.disc(0, 0.4, 0.32), next(choose))
    canvas.oppose(f.ring(0, 0.4, 0.15, 0.22))
    canvas.contrast(f.ring(0, 0.6, 1.08, 1.22, 2 * next(choose), 2.0), next(choose), "an arc beside it")
    canvas.accent(f.bar(0, 1.05, 0.42, 0.07))


def _side(choose: Iterator[float]) -> int:
    """Return on which side of a figure an asymmetric part lies: -1 or 1."""
    return 1 if next(choose) < 0.5 else -1


def _answer_disc(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    turn = math.tau * next(choose)
    canvas.exchange(f.disc(0, 0, 1))
    canvas.oppose(f.half(0, 0, 1, turn))


def _answer_arch(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    canvas.exchange(f.ring(0, 0, 0.75, 1.2, 0, math.pi))
    canvas.contrast(f.half(0, 0, 0.5, math.pi / 2), next(choose))


def _answer_pebble(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    canvas.exchange(f.pebble(0, 0, 1.0, 0.25, math.tau * next(choose)))


def _answer_triangles(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    canvas.exchange(f.polygon((-1.0, 0.6), (0.9, 0.6), (0.2, -1.0)))
    canvas.contrast(f.polygon((-0.2, 0.6), (1.3, 0.6), (0.8, -0.4)), next(choose))


FIGURES: dict[str, _Draw] = {
    "disc": _disc, "crescent": _crescent, "hill": _hill, "pebble": _pebble, "ray": _ray, "guitar": _guitar,
    "boat": _boat, "moon": _moon, "mountains": _mountains, "horn": _horn, "face": _face, "eye": _eye,
    "shell": _shell, "lute": _lute,
}  # fmt: skip
FIGURE_WORDS = {
    "disc": "a large disc", "crescent": "a large crescent around a disc", "hill": "a large half disc",
    "pebble": "a large smooth pebble", "ray": "a fan of rays", "guitar": "a shape like a guitar",
    "boat": "a shape like a sailing boat", "moon": "a disc above a horizon", "mountains": "triangles like mountains",
    "horn": "a shape like a horn", "face": "a shape like a face", "eye": "a shape like an eye",
    "shell": "a shape like a spiral shell", "lute": "a shape like a lute",
}  # fmt: skip
# Of each figure, how it is drawn as an answer, and words for that.
ANSWERS: dict[str, tuple[_Draw, str]] = {
    **dict.fromkeys(("disc", "crescent", "guitar", "horn", "face", "eye", "lute"), (_answer_disc, "a small disc")),
    **dict.fromkeys(("hill", "moon"), (_answer_arch, "a small arch")),
    **dict.fromkeys(("ray", "boat", "mountains"), (_answer_triangles, "small triangles")),
    **dict.fromkeys(("pebble", "shell"), (_answer_pebble, "a small pebble")),
}
