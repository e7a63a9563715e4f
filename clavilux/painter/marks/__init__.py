"""Kinds of marks (the shapes that fill a picture): random fields on (0, 1), as functions of the position.

positions, frequency, angle, seed -> **here** -> mark field u, positions at which the plan is read -> painter

The mark field and the plan (the probability of each colour in each cell of a grid) determine the colour at a position.

To add a kind, write a function in the module of its family and add a line to `MARKS`. The order of `MARKS` is the order
of the classes in trained networks: add at the end, never reorder.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clavilux.painter.marks import cells, dots, grids, lines, rings, throws, waves
from clavilux.painter.marks.hashing import Float32
from clavilux.painter.marks.place import Marks, Place, sum_waves

# Bend: standard deviation of a smooth displacement of the marks, in short sides, with about one cycle per side.
_RULED = 0.0  # for kinds whose lines have to stay straight
_STEADY = 0.012  # for lattices: nearly straight, but not mechanical
_LOOSE = 0.02
_FLOWING = 0.05  # from this bend on, marks are moved, but not the places at which the plan is read
_STREAMING = 0.1

# Marks consist of pieces. For each place in a piece, the plan is read at the centre of the piece, so that the piece has
# one colour. But the plan is read at most about `_REACH` short sides (1.5 cells of the plan) away from the place. In
# larger pieces, this is only part of the way to the centre, so that a piece shows several colours of the plan.
_REACH = 1.5 / 32


@dataclass(frozen=True)
class Kind:
    """A kind of marks.

    Attributes
    ----------
    draw : callable
        Function from a `Place` to `Marks`.
    description : str
        What the marks look like, in a few words.
    figure : str
        Name of the figure (large clear shapes) that belongs to these marks, a key of
        `clavilux.painter.figures.FIGURES`.
    bend : float
        Standard deviation of the smooth random displacement of the marks, as a fraction of the short side of the
        picture.
    uses_angle : bool
        Whether these marks have a direction, so that the angle changes the picture.
    """

    draw: Callable[[Place], Marks]
    description: str
    figure: str
    bend: float
    uses_angle: bool = False


MARKS: dict[str, Kind] = {
    "blobs": Kind(waves.blobs, "soft round shapes", "hand", _LOOSE),
    "strokes": Kind(waves.strokes, "long strokes along a bending flow", "mask", _STREAMING, True),
    "marble": Kind(waves.marble, "folded veins from dark to light", "veil", _FLOWING, True),
    "scribble": Kind(waves.scribble, "thin winding lines on soft backgrounds", "guitar", _LOOSE),
    "facets": Kind(cells.facets, "cut paper with straight edges", "statue", _LOOSE),
    "dabs": Kind(cells.dabs, "short dabs over each other along a bending flow", "eye", _STREAMING, True),
    "glass": Kind(cells.glass, "panes and the leads between them", "skull", _LOOSE),
    "tiles": Kind(grids.tiles, "uneven squares in rows", "face", _STEADY, True),
    "triangles": Kind(grids.triangles, "equilateral triangles", "king", _STEADY, True),
    "hexagons": Kind(grids.hexagons, "honeycomb", "boat", _STEADY, True),
    "weave": Kind(grids.weave, "ribbons over and under each other", "king", _STEADY, True),
    "truchet": Kind(grids.truchet, "winding ribbons of quarter arcs", "couple", _STEADY, True),
    "mosaic": Kind(grids.mosaic, "rectangles cut again and again", "face", _RULED, True),
    "stripes": Kind(lines.stripes, "straight stripes of many widths", "angel", _RULED, True),
    "bands": Kind(lines.bands, "wavy bands shaded like rows of hills", "helmet", _LOOSE, True),
    "hatching": Kind(lines.hatching, "engraver's lines in patches of three directions", "hands", _STEADY, True),
    "shards": Kind(lines.shards, "polygons between lines across the whole picture", "hill", _RULED, True),
    "rings": Kind(rings.rings, "rings of many widths around one centre", "veil", _STEADY),
    "arcs": Kind(rings.arcs, "rings around many centres, in shifted quarters", "hand", _RULED),
    "spirals": Kind(rings.spirals, "arms of a spiral, cut into lengths", "trio", _STEADY),
    "rays": Kind(rings.rays, "broken rays from one centre", "sun", _RULED),
    "dots": Kind(dots.dots, "discs of many sizes in a lattice", "shell", _LOOSE, True),
    "targets": Kind(dots.targets, "concentric circles in squares", "couple", _STEADY, True),
    "scales": Kind(dots.scales, "overlapping scales with rims", "pharaoh", _STEADY, True),
    "splatter": Kind(throws.splatter, "splashes of all sizes", "angel", _LOOSE),
    "drips": Kind(throws.drips, "drips of paint with round ends", "eye", _STEADY, True),
}
KINDS: tuple[str, ...] = tuple(MARKS)


@dataclass(frozen=True)
class Field:
    """The mark field at n positions, and where the plan is read.

    Attributes
    ----------
    u : (SLOTS, n) or (1, n) float32
        The mark field, uniform on (0, 1); see `place.Marks`.
    x, y : (n,) float32
        Positions at which the plan is read, in short sides from the centre of the picture, y downwards.
    """

    u: Float32
    x: Float32
    y: Float32


def mark_field(kind: str, x: Float32, y: Float32, *, frequency: float, angle: float, seed: int) -> Field:
    """Return the mark field of a kind at n positions.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    x, y : (n,) float32
        Positions in short sides from the centre of the picture, y downwards.
    frequency : float
        Number of marks along the short side.
    angle : float
        Direction of the marks in turns, counter-clockwise; no effect if ``MARKS[kind].uses_angle`` is False.
    seed : int
        Random seed.

    Returns
    -------
    Field
    """
    definition = MARKS[kind]
    bent_x, bent_y = x, y
    if definition.bend:
        bend = np.float32(definition.bend)
        bent_x = sum_waves(x * 2, y * 2, seed, "bend x", n=4) * bend + x
        bent_y = sum_waves(x * 2, y * 2, seed, "bend y", n=4) * bend + y
    radians = math.tau * angle if definition.uses_angle else 0.0
    cos, sin = np.float32(frequency * math.cos(radians)), np.float32(frequency * math.sin(radians))
    marks = definition.draw(Place(bent_x * cos - bent_y * sin, bent_x * sin + bent_y * cos, frequency, seed))
    if marks.to_s is None or marks.to_t is None:
        return Field(marks.u, x, y)
    pull = min(1.0, 2 * _REACH * frequency) / frequency**2
    cos, sin = cos * np.float32(pull), sin * np.float32(pull)
    if definition.bend <= _LOOSE:  # so that pieces have one colour; a large bend would distort the plan
        x, y = bent_x, bent_y
    return Field(marks.u, x + marks.to_s * cos + marks.to_t * sin, y + marks.to_t * cos - marks.to_s * sin)
