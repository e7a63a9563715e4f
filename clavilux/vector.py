"""Draw the picture of some controls as vector graphics (SVG, PDF), for plotters, cutters and prints of any size.

The areas of each colour lie on top of the areas of all darker colours, and continue a little below the areas of lighter
colours beside them, so that no gaps show. Brush strokes are curves with a width, cut off at the borders of the areas of
their colour. Grain, bristles, and gradual changes of colour, light and shade within areas are left out, because they
have no outline.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import lab_to_srgb, write_hex
from clavilux.constants import MM_PER_INCH, SLOTS
from clavilux.painter.composition import compose
from clavilux.painter.controls import Controls
from clavilux.painter.ground import ground_slots
from clavilux.painter.raster import Float32, smooth, widen
from clavilux.painter.strokes import Strokes
from clavilux.painter.surfaces import SURFACES, UPPER_OPACITY, BrushDrawing, Flat, Gouache, Layers, Surface
from clavilux.system.extras import require

Points = NDArray[np.float64]
Form = Literal["polygon", "line", "curve"]

_PEN_MM = 0.4  # width of the lines for a plotter
_STRIP = 3  # cells that an area continues below a lighter one; the contours of both deviate by less from the border
_SAMPLES = 65  # number of points of a stroke that crosses the edge of the page, of which a plotter draws those on it


class Shape(NamedTuple):
    """A filled area or a line.

    A path is an array of points (x, y) in pixels from the upper left corner: a closed polygon, which is a hole if it
    lies inside another one, a line from point to point, or the three points of a quadratic Bezier curve.
    """

    paths: list[Points]
    colour: str  # such as "#e63946"
    width: float = 0.0  # width of a line in pixels; 0 for a filled area
    opacity: float = 1.0  # from 0 to 1
    form: Form = "polygon"  # of all paths


@dataclass(frozen=True)
class Drawing:
    """A picture of ``width`` x ``height`` pixels as named layers of shapes, the lowest layer first.

    A layer that has polygons in ``clips`` is visible only inside these polygons.
    """

    width: int
    height: int
    layers: dict[str, list[Shape]] = field(default_factory=dict)
    clips: dict[str, list[Points]] = field(default_factory=dict)


def draw_vector(
    controls: Controls,
    width: int,
    height: int,
    *,
    seed: int,
    plot: bool = False,
    dpi: float,
    transparent: bool = False,
) -> Drawing:
    """Return the picture of controls as layers of shapes.

    Parameters
    ----------
    controls : Controls
    width, height : int
        Size of the picture in pixels.
    seed : int
        Random seed; with the same seed, `clavilux.painter.paint.paint` paints the same composition.
    plot : bool
        Draw only lines, for a plotter: the borders of areas, and the centre line of each stroke, with one layer for
        each colour of pen.
    dpi : float
        Pixels per inch. A plot has lines of 0.4 mm at this resolution.
    transparent : bool
        Leave out the ground. On the surface "drawing", the ground is the paper; on all other surfaces, it is the areas
        and strokes of the colours from `ground_slots`. A plot has no ground, so this option does not change it.

    Raises
    ------
    MissingExtraError
        If contourpy, which is in the extra ``vector``, is not installed.
    """
    require("contourpy", "vector")  # before any work
    surface = SURFACES[controls.surface](compose(controls, aspect=width / height, seed=seed))
    colours = [_hex(colour) for colour in surface.palette]
    composition = surface.composition
    kept = np.ones(SLOTS, bool)
    if transparent and not (plot or isinstance(surface, BrushDrawing)):
        kept = ~ground_slots(composition)
    where = kept[composition.slots]
    drawing = Drawing(width, height)
    if plot:
        _plot(drawing, surface, colours, _PEN_MM / MM_PER_INCH * dpi)
        return drawing
    if isinstance(surface, BrushDrawing):
        page = [np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)]
        drawing.layers["paper"] = [] if transparent else [Shape(page, _hex(surface.bare))]
    else:
        drawing.layers["areas"] = _stack(composition.slots, colours, drawing, kept=kept, where=where)
    if isinstance(surface, Layers):
        drawing.layers["upper areas"] = _stack(
            surface.upper.slots, colours, drawing, opacity=UPPER_OPACITY, where=where & ~composition.figures.cells
        )
    if isinstance(surface, Flat) and surface.line is not None:
        drawing.layers["lines"] = [Shape(_contours(surface.line, 0.0, drawing), _hex(surface.ink))]
    if isinstance(surface, Gouache):
        for slot in np.flatnonzero(kept).tolist():
            shapes = _curves(surface.strokes.of_slots(np.arange(SLOTS) == slot), drawing)
            clip = _outlines(composition.slots == slot, drawing)
            if shapes and clip:
                name = f"strokes {slot + 1}"
                drawing.layers[name], drawing.clips[name] = shapes, clip
    return drawing


def _plot(drawing: Drawing, surface: Surface, colours: list[str], width: float) -> None:
    """Add a layer for each pen, the colour of a palette slot, with lines of this width in pixels.

    A pen draws the centre lines of the strokes of its slot and, except in brush drawings, the borders between the
    areas of its slot and those of lighter slots. So each border is drawn once, in a colour that shows on white paper.
    """
    pen_of = np.array([colours.index(colour) for colour in colours], np.uint8)  # slots of one colour share a pen
    rasters = [] if isinstance(surface, BrushDrawing) else [surface.composition.slots]
    rasters += [surface.upper.slots] if isinstance(surface, Layers) else []
    borders = [_borders(pen_of[slots], drawing) for slots in rasters]
    for slot, colour in enumerate(colours):
        shapes = [Shape([line], colour, width, form="line") for lines in borders for line in lines[slot]]
        if isinstance(surface, Gouache):
            strokes = _curves(surface.strokes.of_slots(pen_of == slot), drawing)
            parts = [part for stroke in strokes for part in _cut_at_page(stroke, drawing)]
            shapes += [part._replace(colour=colour, width=width, opacity=1.0) for part in parts]
        if shapes:
            drawing.layers[f"pen {slot + 1}"] = shapes


def _borders(slots: NDArray[np.uint8], drawing: Drawing) -> list[list[Points]]:
    """Return for each slot of a raster (h, w) the lines between its areas and those of lighter slots."""
    from contourpy import contour_generator

    drawn: set[bytes] = set()  # segments of darker slots, which have the same points where they are the same border
    found: list[list[Points]] = [[] for _ in range(SLOTS)]
    for slot in range(SLOTS - 1):
        values = np.pad(_soften(slots > slot), 1, mode="edge")
        new = set()
        for line in cast("list[Points]", contour_generator(z=values).lines(0.5)):
            middles = np.round(256 * (line[:-1] + line[1:])).astype(np.int32)
            keys = [middle.tobytes() for middle in middles]
            new.update(keys)
            fresh = np.array([key not in drawn for key in keys])
            starts = np.flatnonzero(fresh & ~np.concatenate([[False], fresh[:-1]]))
            ends = np.flatnonzero(fresh & ~np.concatenate([fresh[1:], [False]]))
            places = _to_pixels(line - 1, slots.shape, drawing)
            found[slot] += [places[start : end + 2] for start, end in zip(starts, ends, strict=True)]
        drawn |= new
    return found


def _stack(
    slots: NDArray[np.uint8],
    colours: list[str],
    drawing: Drawing,
    *,
    opacity: float = 1.0,
    kept: NDArray[np.bool_] | None = None,
    where: NDArray[np.bool_],
) -> list[Shape]:
    """Return a shape for each palette slot (colour) in a raster (h, w) of slots.

    The shape covers the areas of its slot and, unless ``opacity`` is below 1, a strip of lighter areas beside them.
    ``kept`` (8,) bool is True for slots that are drawn (None: all), ``where`` (h, w) bool for cells that shapes may
    cover.
    """
    shapes = []
    kept = np.ones(SLOTS, bool) if kept is None else kept
    # Away from the ground, because beside it, darker shapes would show at the edges of lighter ones.
    away = ~widen(~kept[slots], _STRIP)
    for slot in np.flatnonzero(kept).tolist():
        own = slots == slot
        mask = (own | widen(own, _STRIP) & (slots > slot) & away & (opacity == 1)) & where
        if not mask.any():
            continue
        shapes.append(Shape(_outlines(mask, drawing), colours[slot], opacity=opacity))
    return shapes


def _outlines(mask: NDArray[np.bool_], drawing: Drawing) -> list[Points]:
    """Return polygons around the cells of a raster (h, w) that are True, and around the holes in them."""
    return _contours(_soften(mask), 0.5, drawing)


def _soften(mask: NDArray[np.bool_]) -> Float32:
    """Return the fraction of True cells around each cell of a raster (h, w), so that contours have no steps."""
    return smooth(smooth(mask.astype(np.float32)))


def _to_pixels(cells: Points, shape: tuple[int, ...], drawing: Drawing) -> Points:
    """Return points (n, 2), given in cells from the centre of the first cell of a raster (h, w), in pixels."""
    h, w = shape
    return np.asarray((np.clip(cells, -0.5, (w - 0.5, h - 0.5)) + 0.5) * (drawing.width / w, drawing.height / h))


def _contours(values: Float32, level: float, drawing: Drawing) -> list[Points]:
    """Return polygons around the parts of a raster (h, w) that are above a level, and around the holes in them."""
    from contourpy import FillType, contour_generator

    h, w = values.shape
    padded = np.pad(values, 1, mode="edge")
    generator = contour_generator(np.arange(-1, w + 1), np.arange(-1, h + 1), padded, fill_type=FillType.OuterOffset)
    found = []
    for points, offsets in zip(*generator.filled(level, np.inf), strict=True):
        places = _to_pixels(points, values.shape, drawing)
        found += [places[a : b - 1] for a, b in pairwise(offsets.tolist())]  # the last point repeats the first
    return found


def _curves(strokes: Strokes, drawing: Drawing) -> list[Shape]:
    """Return strokes as quadratic Bezier curves."""
    short = min(drawing.width, drawing.height)
    x, y, cos, sin, half_width, half_length, curve = strokes.shape.T.astype(np.float64)
    along, ahead = np.stack([cos, sin], axis=1), half_length[:, None]
    across = np.stack([-sin, cos], axis=1) * (0.5 * curve * half_length**2)[:, None]
    middle = np.stack([x, y], axis=1)
    points = np.stack([middle - along * ahead + across, middle - across, middle + along * ahead + across], axis=1)
    points = points * short + np.array([drawing.width, drawing.height]) / 2
    colours = write_hex(lab_to_srgb(strokes.paint[:, :3]))
    return [
        Shape([curve], colour, 2 * float(half) * short, float(opacity), "curve")
        for curve, colour, half, opacity in zip(points, colours, half_width, strokes.paint[:, 5], strict=True)
    ]


def _cut_at_page(stroke: Shape, drawing: Drawing) -> list[Shape]:
    """Return a stroke if it is on the page, otherwise lines along its parts that are on the page, if there are any."""
    first, control, last = stroke.paths[0]
    t = np.linspace(0, 1, _SAMPLES)[:, None]
    points = (1 - t) ** 2 * first + 2 * t * (1 - t) * control + t**2 * last
    on_page = ((points >= 0) & (points <= (drawing.width, drawing.height))).all(axis=1)
    if on_page.all():
        return [stroke]
    ends = np.flatnonzero(np.diff(np.concatenate([[False], on_page, [False]]).astype(np.int8)))
    parts = [points[start:end] for start, end in zip(ends[::2], ends[1::2], strict=True) if end - start > 1]
    return [stroke._replace(paths=[part], form="line") for part in parts]


def _hex(lab: Float32) -> str:
    return write_hex(lab_to_srgb(np.asarray(lab, np.float32)[None]))[0]
