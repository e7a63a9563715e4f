"""Vector pictures, for plotters, cutters and prints of any size: controls -> shapes -> SVG or PDF.

The areas of the composition are stacked, each on those of all darker slots, so that no seam shows. Strokes of the brush
are curves with a width. What has no outline is left out: grain, bristles, and light and shade within areas.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, unescape

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import lab_to_srgb, to_bytes
from clavilux.constants import SLOTS
from clavilux.errors import PictureError
from clavilux.painter.composition import compose
from clavilux.painter.controls import Controls
from clavilux.painter.raster import Float32, smooth
from clavilux.painter.strokes import Strokes
from clavilux.painter.surfaces import SURFACES, UPPER_OPACITY, BrushDrawing, Flat, Gouache, Layers
from clavilux.version import __version__

Points = NDArray[np.float64]

_MM_PER_INCH, _POINTS_PER_INCH = 25.4, 72.0
_PEN_MM = 0.4  # width of the lines for a plotter
_RECORD_BYTES = 262_144  # of the beginning of a file, in which the record is looked for
_SVG_RECORD = re.compile(r'<metadata id="clavilux">(.*?)</metadata>', re.DOTALL)
_PDF_RECORD = re.compile(r"^%clavilux (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Shape:
    """A filled area or a line.

    Attributes
    ----------
    paths : list of (n, 2) float64
        Closed polygons of an area, of which the inner ones are holes, or three points of a quadratic Bezier curve.
        Coordinates x and y are in pixels from the upper left.
    colour : str
        Such as "#e63946".
    width : float
        Of a line in pixels; 0 for an area.
    opacity : float
        From 0 to 1.
    is_closed : bool
        Whether the paths are polygons, not curves.
    """

    paths: list[Points]
    colour: str
    width: float = 0.0
    opacity: float = 1.0
    is_closed: bool = True


@dataclass(frozen=True)
class Drawing:
    """Layers of shapes, the lowest first; `width` and `height` are in pixels."""

    width: int
    height: int
    layers: dict[str, list[Shape]] = field(default_factory=dict)


def draw_vector(controls: Controls, width: int, height: int, *, seed: int, plot: bool = False, dpi: float) -> Drawing:
    """Return the shapes of a picture.

    Parameters
    ----------
    controls : Controls
    width, height : int
        Pixels.
    seed : int
        Random seed, as of `clavilux.painter.paint.paint`.
    plot : bool
        Lines only, for a plotter: the borders of areas, and the centre line of each stroke.
    dpi : float
        Pixels per inch, for the width of the pen.

    Raises
    ------
    ModuleNotFoundError
        Without contourpy, of the extra `vector`.
    """
    surface = SURFACES[controls.surface](compose(controls, aspect=width / height, seed=seed))
    composition = surface.composition
    pen = _PEN_MM / _MM_PER_INCH * dpi if plot else 0.0
    colours = [_hex(colour) for colour in surface.palette]
    drawing = Drawing(width, height)
    if isinstance(surface, BrushDrawing):
        page = [np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)]
        drawing.layers["paper"] = [] if plot else [Shape(page, _hex(surface.ground[0, 0]))]
    else:
        drawing.layers["areas"] = _stack(composition.slots, colours, drawing, pen)
    if isinstance(surface, Layers):
        upper = _stack(surface.upper.slots, colours, drawing, pen, opacity=UPPER_OPACITY)
        drawing.layers["upper areas"] = upper
    if isinstance(surface, Flat) and surface.line is not None and not plot:
        drawing.layers["lines"] = [Shape(_contours(surface.line, 0.0, drawing), _hex(surface.ink))]
    if isinstance(surface, Gouache | BrushDrawing):
        drawing.layers["strokes"] = _curves(surface.strokes, drawing, pen)
    return drawing


def _stack(
    slots: NDArray[np.uint8], colours: list[str], drawing: Drawing, pen: float, *, opacity: float = 1.0
) -> list[Shape]:
    """Return the areas of all slots from each on; with `opacity`, only its own areas; with a pen, their borders."""
    shapes = []
    for slot in range(SLOTS):
        mask = slots == slot if opacity < 1 else slots >= slot
        if not mask.any() or (pen and mask.all()):
            continue
        paths = _contours(smooth(smooth(mask.astype(np.float32))), 0.5, drawing)
        shapes.append(Shape(paths, colours[slot], pen, opacity))
    return shapes


def _contours(values: Float32, level: float, drawing: Drawing) -> list[Points]:
    """Return the polygons around the cells of a raster (h, w) above a level, holes included."""
    from contourpy import FillType, contour_generator

    h, w = values.shape
    padded = np.pad(values, 1, mode="edge")
    generator = contour_generator(np.arange(-1, w + 1), np.arange(-1, h + 1), padded, fill_type=FillType.OuterOffset)
    found = []
    for points, offsets in zip(*generator.filled(level, np.inf), strict=True):
        places = (np.clip(points, -0.5, (w - 0.5, h - 0.5)) + 0.5) * (drawing.width / w, drawing.height / h)
        found += [places[a : b - 1] for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]
    return found


def _curves(strokes: Strokes, drawing: Drawing, pen: float) -> list[Shape]:
    """Return strokes as curves: each is a parabola, which a quadratic Bezier curve is as well."""
    short = min(drawing.width, drawing.height)
    x, y, cos, sin, half_width, half_length, curve = strokes.shape.T.astype(np.float64)
    along, ahead = np.stack([cos, sin], axis=1), half_length[:, None]
    across = np.stack([-sin, cos], axis=1) * (0.5 * curve * half_length**2)[:, None]
    middle = np.stack([x, y], axis=1)
    points = np.stack([middle - along * ahead + across, middle - across, middle + along * ahead + across], axis=1)
    points = points * short + np.array([drawing.width, drawing.height]) / 2
    colours = to_bytes(lab_to_srgb(strokes.paint[:, :3]))
    return [
        Shape([curve], "#" + bytes(colour).hex(), pen or 2 * float(half) * short, 1.0 if pen else float(opacity), False)
        for curve, colour, half, opacity in zip(points, colours, half_width, strokes.paint[:, 5], strict=True)
    ]


def _hex(lab: Float32) -> str:
    return "#" + bytes(to_bytes(lab_to_srgb(np.asarray(lab, np.float32)[None]))[0]).hex()


def write_svg(drawing: Drawing, *, dpi: float, description: str, record: dict[str, Any]) -> bytes:
    """Return a drawing as SVG 1.1, with a size in millimetres and a group with a name for each layer."""
    w, h = drawing.width, drawing.height
    size = " ".join(f'{name}="{side / dpi * _MM_PER_INCH:.3f}mm"' for name, side in (("width", w), ("height", h)))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {w} {h}" role="img">',
        f"<title>Clavilux {__version__}</title><desc>{escape(description)}</desc>",
        f'<metadata id="clavilux">{escape(json.dumps(record))}</metadata>',
    ]
    for name, shapes in drawing.layers.items():
        parts.append(f'<g id="{name.replace(" ", "-")}" fill-rule="evenodd">')
        parts += [_svg_path(shape) for shape in shapes]
        parts.append("</g>")
    return "\n".join([*parts, "</svg>\n"]).encode()


def _svg_path(shape: Shape) -> str:
    opacity = f' opacity="{shape.opacity:.3g}"' if shape.opacity < 1 else ""
    paint = f'fill="{shape.colour}"'
    if shape.width:
        paint = f'fill="none" stroke="{shape.colour}" stroke-width="{shape.width:.5g}"'
    return f'<path {paint}{opacity} d="{_path_data(shape)}"/>'


def _path_data(shape: Shape) -> str:
    parts = []
    for path in shape.paths:
        points = [f"{x:.5g} {y:.5g}" for x, y in path.tolist()]
        parts.append(f"M{'L'.join(points)}Z" if shape.is_closed else f"M{points[0]}Q{points[1]} {points[2]}")
    return "".join(parts)


def write_pdf(drawing: Drawing, *, dpi: float, description: str, record: dict[str, Any]) -> bytes:
    """Return a drawing as PDF 1.5: one page of its size, and an optional content group for each layer."""
    w, h = drawing.width, drawing.height
    scale = _POINTS_PER_INCH / dpi
    opacities = sorted({shape.opacity for shapes in drawing.layers.values() for shape in shapes})
    content = [f"{scale:.6f} 0 0 {-scale:.6f} 0 {h * scale:.4f} cm"]
    for number, shapes in enumerate(drawing.layers.values()):
        content.append(f"/OC /L{number} BDC")
        for shape in shapes:
            content.append(f"/G{opacities.index(shape.opacity)} gs {_pdf_path(shape)}")
        content.append("EMC")
    stream = zlib.compress("\n".join(content).encode())
    layers = range(len(drawing.layers))
    first = 6  # number of the object of the first layer
    groups = " ".join(f"{first + n} 0 R" for n in layers)
    states = " ".join(f"/G{n} <</ca {value:.3g} /CA {value:.3g}>>" for n, value in enumerate(opacities))
    names = " ".join(f"/L{n} {first + n} 0 R" for n in layers)
    objects = [
        f"<</Type /Catalog /Pages 2 0 R /OCProperties <</OCGs [{groups}] /D <</Order [{groups}]>>>>>>".encode(),
        b"<</Type /Pages /Kids [3 0 R] /Count 1>>",
        f"<</Type /Page /Parent 2 0 R /MediaBox [0 0 {w * scale:.4f} {h * scale:.4f}] /Contents 4 0 R "
        f"/Resources <</ExtGState <<{states}>> /Properties <<{names}>>>>>>".encode(),
        f"<</Length {len(stream)} /Filter /FlateDecode>>\nstream\n".encode() + stream + b"\nendstream",
        f"<</Creator (Clavilux {__version__}) /Subject {_pdf_text(description)}>>".encode(),
        *(f"<</Type /OCG /Name {_pdf_text(name)}>>".encode() for name in drawing.layers),
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
    parts = [f"{colour} RG {shape.width:.5g} w" if shape.width else f"{colour} rg"]
    for path in shape.paths:
        if shape.is_closed:
            points = [f"{x:.5g} {y:.5g}" for x, y in path.tolist()]
            parts.append(f"{points[0]} m {' l '.join(points[1:])} l h")
        else:
            a, b, c = path
            cubic = [*(a + 2 / 3 * (b - a)), *(c + 2 / 3 * (b - c)), *c]
            parts.append(f"{a[0]:.5g} {a[1]:.5g} m {' '.join(f'{v:.5g}' for v in cubic)} c")
    return " ".join([*parts, "S" if shape.width else "f*"])


def _pdf_text(text: str) -> str:
    return f"<FEFF{text.encode('utf-16-be').hex().upper()}>"


def read_vector_record(path: Path) -> dict[str, Any]:
    """Return the record in an SVG or PDF file.

    Raises
    ------
    PictureError
        If the file cannot be read, or its record is missing or damaged.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_RECORD_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise PictureError(f"{path}: cannot be read ({error.strerror or error})") from error
    is_svg = path.suffix.lower() == ".svg"
    found = (_SVG_RECORD if is_svg else _PDF_RECORD).search(text)
    if found is None:
        raise PictureError(f"{path}: carries no record of Clavilux; it was not painted by it, or was saved anew")
    try:
        record: Any = json.loads(unescape(found[1]) if is_svg else found[1])
    except (ValueError, RecursionError) as error:
        raise PictureError(f"{path}: carries a damaged record: {error}") from error
    if not isinstance(record, dict) or "clavilux" not in record:
        raise PictureError(f"{path}: carries data that are not a record of Clavilux")
    return record
