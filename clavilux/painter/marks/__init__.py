"""Handwritings of the painter: mark fields, uniform on (0, 1), as functions of place.

    place, frequency, angle, seed -> **here** -> u (one field a slot, or one for all), where the plan is read -> painter

A new kind is one function in the module of its family and one line in `MARKS`. The order of `MARKS` is the order of the
classes that the networks learn: add at the end, never move.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clavilux.painter.marks import cells, dots, grids, learnt, lines, rings, throws, waves
from clavilux.painter.marks.chance import Float32
from clavilux.painter.marks.place import Marks, Place
from clavilux.painter.marks.place import waves as smooth_field

# How far the hand bends what it draws: deviation of the displacement, in short sides; waves of about one cycle a side.
_RULED = 0.0  # the point of the kind is that it is ruled
_STEADY = 0.012  # lattices: straight enough to be one, not by machine
_LOOSE = 0.02
_FLOWING = 0.05  # the marks flow with the bend, the plan stays
_STREAMING = 0.1

# A piece reads the plan at its middle, so that it has one colour, as far as that moves the reading by no more than
# about this many short sides (one and a half cells of the plan); larger pieces show the plan as cut glass does.
_REACH = 1.5 / 32


@dataclass(frozen=True)
class Kind:
    """One handwriting.

    Attributes
    ----------
    draw : callable
        Place -> Marks.
    description : str
        What it looks like, in a few words.
    bend : float
        How far the hand bends it, in short sides.
    angle_period : float or None
        Turns after which the marks look as before; None where no direction is seen.
    shades : bool
        Whether one field serves all slots, which are stacked from dark to light; else each slot bids with its own.
    """

    draw: Callable[[Place], Marks]
    description: str
    bend: float
    angle_period: float | None = None
    shades: bool = False

    @property
    def family(self) -> str:
        """Module that the kind lives in."""
        return self.draw.__module__.rpartition(".")[2]

    @property
    def uses_angle(self) -> bool:
        """Whether a painting shows the angle."""
        return self.angle_period is not None


MARKS: dict[str, Kind] = {
    "blobs": Kind(waves.blobs, "soft round shapes", _LOOSE),
    "strokes": Kind(waves.strokes, "long strokes along a bending flow", _STREAMING, 0.5),
    "marble": Kind(waves.marble, "folded veins from dark to light", _FLOWING, 0.5, shades=True),
    "scribble": Kind(waves.scribble, "thin wandering lines on calm grounds", _LOOSE),
    "facets": Kind(cells.facets, "cut paper with straight edges", _LOOSE),
    "dabs": Kind(cells.dabs, "short dabs over each other along a bending flow", _STREAMING, 0.5),
    "glass": Kind(cells.glass, "panes and the leads between them", _LOOSE),
    "tiles": Kind(grids.tiles, "uneven squares in rows", _STEADY, 0.5),
    "triangles": Kind(grids.triangles, "equilateral triangles", _STEADY, 1 / 6),
    "hexagons": Kind(grids.hexagons, "honeycomb", _STEADY, 1 / 6),
    "weave": Kind(grids.weave, "ribbons over and under each other", _STEADY, 0.25),
    "truchet": Kind(grids.truchet, "winding ribbons of quarter arcs", _STEADY, 0.25),
    "mosaic": Kind(grids.mosaic, "rectangles cut again and again", _RULED, 0.25),
    "stripes": Kind(lines.stripes, "straight stripes of many widths", _RULED, 0.5),
    "bands": Kind(lines.bands, "wavy bands shaded like hills behind hills", _LOOSE, 0.5, shades=True),
    "hatching": Kind(lines.hatching, "engraver's lines in patches of three directions", _STEADY, 0.5, shades=True),
    "shards": Kind(lines.shards, "polygons between lines across the whole picture", _RULED, 0.5),
    "rings": Kind(rings.rings, "rings of many widths around one centre", _STEADY),
    "arcs": Kind(rings.arcs, "wheels of rings in counterchanged quarters", _RULED),
    "spirals": Kind(rings.spirals, "arms of a spiral, cut into lengths", _STEADY),
    "rays": Kind(rings.rays, "rays from one centre, broken", _RULED),
    "dots": Kind(dots.dots, "discs of many sizes in a lattice", _LOOSE, 1 / 6),
    "targets": Kind(dots.targets, "circles in circles in squares", _STEADY, 0.25),
    "scales": Kind(dots.scales, "overlapping scales with rims", _STEADY, 0.5),
    "splatter": Kind(throws.splatter, "splashes of all sizes", _LOOSE),
    "drips": Kind(throws.drips, "runs of paint with round ends", _STEADY, 0.5),
    "cubist": Kind(
        learnt.draw_family("cubist"), "broken planes with the strokes of a brush in them", _LOOSE, 0.5, shades=True
    ),
    "machine": Kind(
        learnt.draw_family("machine"), "bold tubes, plates and letters, modelled", _LOOSE, 0.5, shades=True
    ),
    "leaded": Kind(learnt.draw_family("leaded"), "shapes with dark lines around them", _LOOSE, 0.5, shades=True),
    "pebbles": Kind(learnt.draw_family("pebbles"), "rounded shapes, light on one side", _LOOSE, 0.5, shades=True),
    "planes": Kind(learnt.draw_family("planes"), "large curved planes", _LOOSE, 0.5, shades=True),
    "impasto": Kind(learnt.draw_family("impasto"), "thick short paint, torn and scraped", _LOOSE, 0.5, shades=True),
}
KINDS: tuple[str, ...] = tuple(MARKS)


@dataclass(frozen=True)
class Field:
    """Mark field at n places.

    Attributes
    ----------
    u : (SLOTS, n) or (1, n) float32
        Uniform on (0, 1), see `place.Marks`.
    x, y : (n,) float32
        Where the plan is to be read, in short sides from the middle of the picture.
    """

    u: Float32
    x: Float32
    y: Float32


def mark_field(
    kind: str, x: Float32, y: Float32, *, frequency: float, angle: float, seed: int, hold: float = 1.0
) -> Field:
    """Draw the marks of a kind at places.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    x, y : (n,) float32
        Places from the middle of the picture, short side = 1, y downwards.
    frequency : float
        Marks along the short side.
    angle : float
        Direction of the marks in turns, counter-clockwise; without effect where ``MARKS[kind].uses_angle`` is false.
    seed : int
        What chance hangs on.
    hold : float
        0 to 1: how much a piece reads the plan at its middle.

    Returns
    -------
    Field
    """
    made = MARKS[kind]
    bent_x, bent_y = x, y
    if made.bend:
        bend = np.float32(made.bend)
        bent_x = smooth_field(x * 2, y * 2, seed, "bend x", n=4) * bend + x
        bent_y = smooth_field(x * 2, y * 2, seed, "bend y", n=4) * bend + y
    radians = math.tau * angle if made.uses_angle else 0.0
    cos, sin = np.float32(frequency * math.cos(radians)), np.float32(frequency * math.sin(radians))
    marks = made.draw(Place(bent_x * cos - bent_y * sin, bent_x * sin + bent_y * cos, frequency, seed))
    if marks.to_s is None or marks.to_t is None:
        return Field(marks.u, x, y)
    pull = hold * min(1.0, 2 * _REACH * frequency) / frequency**2
    cos, sin = cos * np.float32(pull), sin * np.float32(pull)
    if made.bend <= _LOOSE:  # pieces are whole in bent places only; a wide bend would carry the plan away
        x, y = bent_x, bent_y
    return Field(marks.u, x + marks.to_s * cos + marks.to_t * sin, y + marks.to_t * cos - marks.to_s * sin)
