"""Figures: large deliberate shapes that hold a composition together, such as faces, hands or boats.

palette slots of the large marks, focus, controls -> **here** -> `Figures`: palette slots with figures, cells of figures

Abstract painters set a few clear shapes against loose areas: a large shape, a smaller shape elsewhere that echoes it,
and small accents. A hint of a subject, such as a head or a landscape, gives the brushwork a reason; viewers prefer it
to discs and bars (docs/measures.md). The main figure is near the focus, and the first kind of marks determines its
name. A second, smaller figure, called the answer, is elsewhere, and the second kind of marks determines it. Most shapes
exchange the palette slots beneath them, dark for light, so that they look translucent.

The higher the control `shapes`, the more is drawn. In a calm picture, the main figure is large, and there is no answer.
In a busy picture, it is smaller, there is an answer, and a wide arc may cross the picture.

The sizes, rotations and variants of the shapes in a figure are computed from smooth functions of the plan (the
probability of each colour in each cell of a grid). Songs with similar plans therefore have similar figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from clavilux.constants import LAYOUT
from clavilux.painter.controls import Controls
from clavilux.painter.figures import heads, people, things
from clavilux.painter.marks import MARKS
from clavilux.painter.plan import choose_by_plan
from clavilux.painter.raster import Float32, Mask, UInt8
from clavilux.painter.shapes import Canvas, Figures, Frame

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
    if (tilt := FIGURES[main].tilt) is not None:
        angle = tilt * (turn - 0.5)
    else:
        angle = 0.3 * (turn - 0.5) - math.tau * controls.angle if MARKS[controls.kind].uses_angle else math.tau * turn
    size = float(np.clip(_SIZE[0] / controls.shapes, *_SIZE[1:]))
    away = math.atan2(-centre[1], -centre[0]) + _AROUND * (next(choose) - 0.5)
    reach = _APART[0] * size + _APART[1]
    there = np.clip(centre + reach * np.array([math.cos(away), math.sin(away)]), -_FURTHEST, _FURTHEST)
    which, crossing = next(choose), Frame(there, math.pi * next(choose), 1.0)
    if which < _WIDE_ARCS and _busy(controls) > 0.5:
        canvas.exchange(crossing.ring(0, 0.5, 0.42, 0.42 + 0.1 * which), 3, _describe_arc)
    before, canvas.drawn = canvas.drawn, np.zeros_like(canvas.drawn)
    FIGURES[main].draw(canvas, Frame(centre, angle, size), choose)
    canvas.main, canvas.drawn = canvas.drawn, before | canvas.drawn
    for answer in answers:
        FIGURES[answer].answer.draw(
            canvas, Frame(there, angle + math.pi * (0.3 + 0.4 * next(choose)), _ANSWER * size), choose
        )


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


Draw = Callable[[Canvas, Frame, Iterator[float]], None]


def _disc(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    turn = math.tau * next(choose)
    canvas.exchange(f.disc(0, 0, 1))
    canvas.oppose(f.half(0, 0, 1, turn))


def _arch(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    canvas.exchange(f.ring(0, 0, 0.75, 1.2, 0, math.pi))
    canvas.contrast(f.half(0, 0, 0.5, math.pi / 2), next(choose))


def _pebble(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    canvas.exchange(f.pebble(0, 0, 1.0, 0.25, math.tau * next(choose)))


def _triangles(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    canvas.exchange(f.polygon((-1.0, 0.6), (0.9, 0.6), (0.2, -1.0)))
    canvas.contrast(f.polygon((-0.2, 0.6), (1.3, 0.6), (0.8, -0.4)), next(choose))


@dataclass(frozen=True)
class Answer:
    """A smaller figure: how it is drawn, and words for it in descriptions."""

    draw: Draw
    words: str


_DISC, _ARCH = Answer(_disc, "a small disc"), Answer(_arch, "a small arch")
_PEBBLE, _TRIANGLES = Answer(_pebble, "a small oval"), Answer(_triangles, "two small triangles")


@dataclass(frozen=True)
class Figure:
    """A main figure.

    Attributes
    ----------
    draw : callable
        Function that draws the figure on a canvas, in a frame, with random numbers from 0 to 1.
    words : str
        Words for descriptions of pictures.
    tilt : float or None
        Range of its rotation, in radians; None for figures that lie in any direction.
    answer : Answer
        The answer if the second kind of marks has this figure.
    """

    draw: Draw
    words: str
    tilt: float | None
    answer: Answer


FIGURES: dict[str, Figure] = {
    "face": Figure(heads.draw_face, "a shape like a face", 0.5, _DISC),
    "couple": Figure(heads.draw_couple, "two shapes like faces", 0.3, _DISC),
    "trio": Figure(heads.draw_trio, "three shapes like faces", 0.3, _ARCH),
    "mask": Figure(heads.draw_mask, "a shape like a mask", 0.5, _TRIANGLES),
    "veil": Figure(heads.draw_veil, "a shape like a veiled face", 0.3, _ARCH),
    "king": Figure(heads.draw_king, "a shape like a head with a crown", 0.3, _TRIANGLES),
    "helmet": Figure(heads.draw_helmet, "a shape like a helmet with a crest", 0.3, _ARCH),
    "pharaoh": Figure(heads.draw_pharaoh, "a shape like a head in a striped cloth", 0.3, _TRIANGLES),
    "statue": Figure(heads.draw_statue, "a shape like a head of stone", 0.3, _PEBBLE),
    "skull": Figure(heads.draw_skull, "a shape like a skull", 0.4, _PEBBLE),
    "angel": Figure(people.draw_angel, "a shape like an angel", 0.3, _ARCH),
    "hand": Figure(people.draw_hand, "a shape like an open hand with an eye", 0.5, _PEBBLE),
    "hands": Figure(people.draw_hands, "two shapes like hands that reach for each other", 0.5, _DISC),
    "eye": Figure(people.draw_eye, "a shape like an eye", 1.0, _DISC),
    "sun": Figure(people.draw_sun, "a shape like a sun with a face", 1.0, _TRIANGLES),
    "hill": Figure(things.draw_hill, "half discs on a line, like hills", None, _ARCH),
    "boat": Figure(things.draw_boat, "a shape like a sailing boat", 0.3, _TRIANGLES),
    "guitar": Figure(things.draw_guitar, "a shape like a guitar", 1.4, _DISC),
    "shell": Figure(things.draw_shell, "a shape like a spiral shell", None, _PEBBLE),
}
