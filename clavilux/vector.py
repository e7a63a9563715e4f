"""Draw the picture of some controls as vector graphics (SVG, PDF), for plotters, cutters and prints of any size.

The areas of each colour lie on top of the areas of all darker colours, and continue below the areas of lighter colours,
so that no gaps show. Brush strokes are curves with a width, cut off at the borders of the areas of their colour. Grain,
bristles, and light and shade within areas are left out, because they have no outline.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape, unescape

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import lab_to_srgb, write_hex
from clavilux.constants import SLOTS
from clavilux.errors import PictureError
from clavilux.painter.composition import compose
from clavilux.painter.controls import Controls
from clavilux.painter.ground import ground_slots
from clavilux.painter.raster import Float32, smooth, widen
from clavilux.painter.strokes import Strokes
from clavilux.painter.surfaces import SURFACES, UPPER_OPACITY, BrushDrawing, Flat, Gouache, Layers
from clavilux.system.extras import require
from clavilux.version import __version__

Points = NDArray[np.float64]

_MM_PER_INCH, _POINTS_PER_INCH = 25.4, 72.0
_PEN_MM = 0.4  # width of the lines for a plotter
_RECORD_BYTES = 262_144  # the record is searched in so many bytes from the beginning of a file
_SVG_RECORD = re.compile(r'<metadata id="clavilux">(.*?)</metadata>', re.DOTALL)
_SVG_DESCRIPTION = re.compile(rb"<desc[^>]*>(.*?)</desc>", re.DOTALL)
_PDF_DESCRIPTION = re.compile(rb"/Subject <FEFF((?:[0-9A-F]{4})*)>")
_PDF_RECORD = re.compile(r"^%clavilux (.*)$", re.MULTILINE)


class Shape(NamedTuple):
    """A filled area or a line.

    A path is an array of points (x, y) in pixels from the upper left corner: a closed polygon, which is a hole if it
    lies inside another one, or the three points of a quadratic Bezier curve.
    """

    paths: list[Points]
    colour: str  # such as "#e63946"
    width: float = 0.0  # width of a line in pixels; 0 for a filled area
    opacity: float = 1.0  # from 0 to 1
    is_closed: bool = True  # True if the paths are polygons, False if they are curves


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
        Draw only lines, for a plotter: the borders of areas, and the centre line of each stroke.
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
    pen = _PEN_MM / _MM_PER_INCH * dpi if plot else 0.0
    colours = [_hex(colour) for colour in surface.palette]
    composition = surface.composition
    kept = np.ones(SLOTS, bool)
    if transparent and not (plot or isinstance(surface, BrushDrawing)):
        kept = ~ground_slots(composition)
    where = kept[composition.slots]
    drawing = Drawing(width, height)
    if isinstance(surface, BrushDrawing):
        page = [np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)]
        drawing.layers["paper"] = [] if plot or transparent else [Shape(page, _hex(surface.bare))]
    else:
        drawing.layers["areas"] = _stack(composition.slots, colours, drawing, pen, kept=kept, where=where)
    if isinstance(surface, Layers):
        drawing.layers["upper areas"] = _stack(
            surface.upper.slots, colours, drawing, pen, opacity=UPPER_OPACITY, where=where
        )
    if isinstance(surface, Flat) and surface.line is not None and not plot:
        drawing.layers["lines"] = [Shape(_contours(surface.line, 0.0, drawing), _hex(surface.ink))]
    if isinstance(surface, Gouache):
        for slot in np.flatnonzero(kept).tolist():
            name, inside = f"strokes {slot + 1}", composition.slots == slot
            if shapes := _curves(surface.strokes.of_slots(np.arange(SLOTS) == slot), drawing, pen):
                drawing.layers[name] = shapes
                if not pen:
                    drawing.clips[name] = _contours(smooth(smooth(inside.astype(np.float32))), 0.5, drawing)
    return drawing


def _stack(
    slots: NDArray[np.uint8],
    colours: list[str],
    drawing: Drawing,
    pen: float,
    *,
    opacity: float = 1.0,
    kept: NDArray[np.bool_] | None = None,
    where: NDArray[np.bool_],
) -> list[Shape]:
    """Return a shape for each palette slot (colour) in a raster (h, w) of slots.

    The shape covers the areas of its slot and of all lighter slots or, if ``opacity`` is below 1, of its slot only. If
    ``pen``, a line width in pixels, is above 0, shapes are lines along the borders of areas. ``kept`` (8,) bool is True
    for slots that are drawn (None: all), ``where`` (h, w) bool for cells that shapes may cover.
    """
    shapes = []
    kept = np.ones(SLOTS, bool) if kept is None else kept
    away = ~widen(~kept[slots], 3)  # from the ground; beside it, darker shapes would show at the edges of lighter ones
    for slot in np.flatnonzero(kept).tolist():
        mask = ((slots == slot) | (slots > slot) & away & (opacity == 1)) & where
        if not mask.any() or (pen and mask.all()):
            continue
        paths = _contours(smooth(smooth(mask.astype(np.float32))), 0.5, drawing)
        shapes.append(Shape(paths, colours[slot], pen, opacity))
    return shapes


def _contours(values: Float32, level: float, drawing: Drawing) -> list[Points]:
    """Return polygons around the parts of a raster (h, w) that are above a level, and around the holes in them."""
    from contourpy import FillType, contour_generator

    h, w = values.shape
    padded = np.pad(values, 1, mode="edge")
    generator = contour_generator(np.arange(-1, w + 1), np.arange(-1, h + 1), padded, fill_type=FillType.OuterOffset)
    found = []
    for points, offsets in zip(*generator.filled(level, np.inf), strict=True):
        places = (np.clip(points, -0.5, (w - 0.5, h - 0.5)) + 0.5) * (drawing.width / w, drawing.height / h)
        found += [places[a : b - 1] for a, b in pairwise(offsets.tolist())]  # the last point repeats the first
    return found


def _curves(strokes: Strokes, drawing: Drawing, pen: float) -> list[Shape]:
    """Return strokes as quadratic Bezier curves; if ``pen`` is above 0, it is their line width in pixels."""
    short = min(drawing.width, drawing.height)
    x, y, cos, sin, half_width, half_length, curve = strokes.shape.T.astype(np.float64)
    along, ahead = np.stack([cos, sin], axis=1), half_length[:, None]
    across = np.stack([-sin, cos], axis=1) * (0.5 * curve * half_length**2)[:, None]
    middle = np.stack([x, y], axis=1)
    points = np.stack([middle - along * ahead + across, middle - across, middle + along * ahead + across], axis=1)
    points = points * short + np.array([drawing.width, drawing.height]) / 2
    colours = write_hex(lab_to_srgb(strokes.paint[:, :3]))
    return [
        Shape([curve], colour, pen or 2 * float(half) * short, 1.0 if pen else float(opacity), False)
        for curve, colour, half, opacity in zip(points, colours, half_width, strokes.paint[:, 5], strict=True)
    ]


def _title(record: dict[str, Any]) -> str:
    """Return the name of the song, or of the controls, in the record of a picture; only printable characters."""
    name = str(record.get("song", record).get("name", "")) or "picture"
    return "".join(character if character.isprintable() else "\ufffd" for character in name)


def _hex(lab: Float32) -> str:
    return write_hex(lab_to_srgb(np.asarray(lab, np.float32)[None]))[0]


def write_svg(drawing: Drawing, *, dpi: float, description: str, record: dict[str, Any]) -> bytes:
    """Return a drawing as an SVG 1.1 file, with its size in mm and a named group for each layer.

    Screen readers call the picture by the name of the song and its description.
    """
    w, h = drawing.width, drawing.height
    size = " ".join(f'{name}="{side / dpi * _MM_PER_INCH:.3f}mm"' for name, side in (("width", w), ("height", h)))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {w} {h}" role="img" xml:lang="en" '
        'aria-labelledby="clavilux-title clavilux-desc">',
        f'<title id="clavilux-title">{escape(_title(record))}</title>',
        f'<desc id="clavilux-desc">{escape(description)}</desc>',
        f"<!-- Clavilux {__version__} -->",
        f'<metadata id="clavilux">{escape(json.dumps(record))}</metadata>',
    ]
    for name_of, shapes in drawing.layers.items():
        name = name_of.replace(" ", "-")
        clip = ""
        if name_of in drawing.clips:
            path = _svg_points(drawing.clips[name_of], is_closed=True)
            parts.append(f'<clipPath id="clip-{name}"><path clip-rule="evenodd" d="{path}"/></clipPath>')
            clip = f' clip-path="url(#clip-{name})"'
        parts.append(f'<g id="{name}" fill-rule="evenodd"{clip}>')
        parts += [_svg_path(shape) for shape in shapes]
        parts.append("</g>")
    return "\n".join([*parts, "</svg>\n"]).encode()


def _svg_points(paths: list[Points], *, is_closed: bool) -> str:
    parts = []
    for path in paths:
        points = [f"{x:.5g} {y:.5g}" for x, y in path.tolist()]
        parts.append(f"M{'L'.join(points)}Z" if is_closed else f"M{points[0]}Q{points[1]} {points[2]}")
    return "".join(parts)


def _svg_path(shape: Shape) -> str:
    opacity = f' opacity="{shape.opacity:.3g}"' if shape.opacity < 1 else ""
    paint = f'fill="{shape.colour}"'
    if shape.width:
        paint = f'fill="none" stroke="{shape.colour}" stroke-width="{shape.width:.5g}"'
    return f'<path {paint}{opacity} d="{_svg_points(shape.paths, is_closed=shape.is_closed)}"/>'


def write_pdf(drawing: Drawing, *, dpi: float, description: str, record: dict[str, Any]) -> bytes:
    """Return a drawing as a PDF 1.5 file of one page, with an optional content group for each layer."""
    w, h = drawing.width, drawing.height
    scale = _POINTS_PER_INCH / dpi
    opacities = sorted({shape.opacity for shapes in drawing.layers.values() for shape in shapes})
    # The drawing is a tagged figure with an alternative text, for screen readers (ISO 32000-1, 14.8 and 14.9).
    content = ["/Figure <</MCID 0>> BDC", f"{scale:.6f} 0 0 {-scale:.6f} 0 {h * scale:.4f} cm"]
    for number, (name, shapes) in enumerate(drawing.layers.items()):
        content.append(f"/OC /L{number} BDC")
        if name in drawing.clips:
            content.append(f"q {_pdf_points(drawing.clips[name], is_closed=True)} W* n")
        for shape in shapes:
            content.append(f"/G{opacities.index(shape.opacity)} gs {_pdf_path(shape)}")
        content += ["Q", "EMC"] if name in drawing.clips else ["EMC"]
    content.append("EMC")
    stream = zlib.compress("\n".join(content).encode())
    groups = [f"{6 + n} 0 R" for n in range(len(drawing.layers))]  # object 6 is the first layer
    order = " ".join(groups)
    names = " ".join(f"/L{n} {group}" for n, group in enumerate(groups))
    tree, figure = 6 + len(groups), 7 + len(groups)
    states = " ".join(f"/G{n} <</ca {value:.3g} /CA {value:.3g}>>" for n, value in enumerate(opacities))
    objects = [
        "<</Type /Catalog /Pages 2 0 R /Lang (en) /ViewerPreferences <</DisplayDocTitle true>> "
        f"/MarkInfo <</Marked true>> /StructTreeRoot {tree} 0 R "
        f"/OCProperties <</OCGs [{order}] /D <</Order [{order}]>>>>>>".encode(),
        b"<</Type /Pages /Kids [3 0 R] /Count 1>>",
        f"<</Type /Page /Parent 2 0 R /MediaBox [0 0 {w * scale:.4f} {h * scale:.4f}] /Contents 4 0 R /StructParents 0 "
        f"/Resources <</ExtGState <<{states}>> /Properties <<{names}>>>>>>".encode(),
        f"<</Length {len(stream)} /Filter /FlateDecode>>\nstream\n".encode() + stream + b"\nendstream",
        f"<</Title {_pdf_text(_title(record))} /Subject {_pdf_text(description)} "
        f"/Creator (Clavilux {__version__})>>".encode(),
        *(f"<</Type /OCG /Name {_pdf_text(name)}>>".encode() for name in drawing.layers),
        f"<</Type /StructTreeRoot /K {figure} 0 R /ParentTree <</Nums [0 [{figure} 0 R]]>>>>".encode(),
        f"<</Type /StructElem /S /Figure /P {tree} 0 R /Pg 3 0 R /K 0 /Alt {_pdf_text(description)}>>".encode(),
    ]
    out = bytearray(b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n%clavilux " + json.dumps(record).encode() + b"\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    trailer = f"trailer\n<</Size {len(objects) + 1} /Root 1 0 R /Info 5 0 R>>\nstartxref\n{len(out)}\n%%EOF\n"
    return bytes(out) + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}".encode()


def _pdf_path(shape: Shape) -> str:
    colour = " ".join(f"{int(shape.colour[k : k + 2], 16) / 255:.4g}" for k in (1, 3, 5))
    paint = f"{colour} RG {shape.width:.5g} w" if shape.width else f"{colour} rg"
    return f"{paint} {_pdf_points(shape.paths, is_closed=shape.is_closed)} {'S' if shape.width else 'f*'}"


def _pdf_points(paths: list[Points], *, is_closed: bool) -> str:
    parts = []
    for path in paths:
        if is_closed:
            points = [f"{x:.5g} {y:.5g}" for x, y in path.tolist()]
            parts.append(f"{points[0]} m {' l '.join(points[1:])} l h")
        else:
            a, b, c = path
            cubic = [*(a + 2 / 3 * (b - a)), *(c + 2 / 3 * (b - c)), *c]
            parts.append(f"{a[0]:.5g} {a[1]:.5g} m {' '.join(f'{v:.5g}' for v in cubic)} c")
    return " ".join(parts)


def _pdf_text(text: str) -> str:
    return f"<FEFF{text.encode('utf-16-be').hex().upper()}>"


def find_record(path: Path) -> str | None:
    """Return the JSON text of the record in an SVG or PDF file, or None if the file has none.

    Raises
    ------
    PictureError
        If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_RECORD_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise PictureError(f"{path}: cannot be read ({error.strerror or error})") from error
    if path.suffix.lower() == ".svg":
        found = _SVG_RECORD.search(text)
        return unescape(found[1]) if found else None
    found = _PDF_RECORD.search(text)
    return found[1] if found else None


def find_description(path: Path) -> str:
    """Return the description in an SVG or PDF file that this module wrote, or "" if the file has none."""
    content = path.read_bytes()
    if path.suffix.lower() == ".svg":
        found = _SVG_DESCRIPTION.search(content[:_RECORD_BYTES])
        return unescape(found[1].decode("utf-8", "replace")) if found else ""
    found = _PDF_DESCRIPTION.search(content)
    return bytes.fromhex(found[1].decode()).decode("utf-16-be", "replace") if found else ""


def has_end(path: Path) -> bool:
    """Return whether an SVG or PDF file that this module wrote has its last line, so that it was not cut off."""
    with path.open("rb") as file:
        file.seek(-min(16, file.seek(0, os.SEEK_END)), os.SEEK_END)
        return file.read().rstrip().endswith((b"</svg>", b"%%EOF"))
