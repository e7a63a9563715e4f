"""Write a drawing as an SVG or PDF file with its record and its description, and read both back."""

from __future__ import annotations

import json
import os
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, unescape

from clavilux.constants import MM_PER_INCH
from clavilux.errors import PictureError
from clavilux.version import __version__

if TYPE_CHECKING:  # reading a file does not need the painter
    from clavilux.vector import Drawing, Form, Points, Shape

_POINTS_PER_INCH = 72.0
_RECORD_BYTES = 262_144  # the record is searched in so many bytes from the beginning of a file
_SVG_RECORD = re.compile(r'<metadata id="clavilux">(.*?)</metadata>', re.DOTALL)
_SVG_DESCRIPTION = re.compile(rb"<desc[^>]*>(.*?)</desc>", re.DOTALL)
_PDF_DESCRIPTION = re.compile(rb"/Subject <FEFF((?:[0-9A-F]{4})*)>")
_PDF_RECORD = re.compile(r"^%clavilux (.*)$", re.MULTILINE)


def _title(record: dict[str, Any]) -> str:
    """Return the name of the song, or of the controls, in the record of a picture; only printable characters."""
    name = str(record.get("song", record).get("name", "")) or "picture"
    return "".join(character if character.isprintable() else "\ufffd" for character in name)


def write_svg(drawing: Drawing, *, dpi: float, description: str, record: dict[str, Any]) -> bytes:
    """Return a drawing as an SVG 1.1 file, with its size in mm and a named group for each layer.

    Screen readers call the picture by the name of the song and its description.
    """
    w, h = drawing.width, drawing.height
    size = " ".join(f'{name}="{side / dpi * MM_PER_INCH:.3f}mm"' for name, side in (("width", w), ("height", h)))
    # Several pictures may be in one web page, so their names must differ.
    title, desc = (f"clavilux-{name}-{zlib.crc32(json.dumps(record).encode()):08x}" for name in ("title", "desc"))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {w} {h}" role="img" xml:lang="en" '
        f'aria-labelledby="{title} {desc}">',
        f'<title id="{title}">{escape(_title(record))}</title>',
        f'<desc id="{desc}">{escape(description)}</desc>',
        f"<!-- Clavilux {__version__} -->",
        f'<metadata id="clavilux">{escape(json.dumps(record))}</metadata>',
    ]
    for name_of, shapes in drawing.layers.items():
        name = name_of.replace(" ", "-")
        clip = ""
        if name_of in drawing.clips:
            path = _svg_points(drawing.clips[name_of], "polygon")
            parts.append(f'<clipPath id="clip-{name}"><path clip-rule="evenodd" d="{path}"/></clipPath>')
            clip = f' clip-path="url(#clip-{name})"'
        parts.append(f'<g id="{name}" fill-rule="evenodd"{clip}>')
        parts += [_svg_path(shape) for shape in shapes]
        parts.append("</g>")
    return "\n".join([*parts, "</svg>\n"]).encode()


def _svg_points(paths: list[Points], form: Form) -> str:
    parts = []
    for path in paths:
        points = [f"{x:.5g} {y:.5g}" for x, y in path.tolist()]
        if form == "curve":
            parts.append(f"M{points[0]}Q{points[1]} {points[2]}")
        else:
            parts.append(f"M{'L'.join(points)}{'Z' * (form == 'polygon')}")
    return "".join(parts)


def _svg_path(shape: Shape) -> str:
    opacity = f' opacity="{shape.opacity:.3g}"' if shape.opacity < 1 else ""
    paint = f'fill="{shape.colour}"'
    if shape.width:
        paint = f'fill="none" stroke="{shape.colour}" stroke-width="{shape.width:.5g}"'
    return f'<path {paint}{opacity} d="{_svg_points(shape.paths, shape.form)}"/>'


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
            content.append(f"q {_pdf_points(drawing.clips[name], 'polygon')} W* n")
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
    return f"{paint} {_pdf_points(shape.paths, shape.form)} {'S' if shape.width else 'f*'}"


def _pdf_points(paths: list[Points], form: Form) -> str:
    parts = []
    for path in paths:
        if form != "curve":
            points = [f"{x:.5g} {y:.5g}" for x, y in path.tolist()]
            parts.append(f"{points[0]} m {' l '.join(points[1:])} l{' h' * (form == 'polygon')}")
        else:
            a, b, c = path
            cubic = [*(a + 2 / 3 * (b - a)), *(c + 2 / 3 * (b - c)), *c]
            parts.append(f"{a[0]:.5g} {a[1]:.5g} m {' '.join(f'{v:.5g}' for v in cubic)} c")
    return " ".join(parts)


def _pdf_text(text: str) -> str:
    return f"<FEFF{text.encode('utf-16-be').hex().upper()}>"


def _read(path: Path, n_bytes: int = -1) -> bytes:
    """Return the content of a file, or its first ``n_bytes`` bytes; raise a `PictureError` if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(n_bytes)
    except OSError as error:
        raise PictureError(f"{path}: cannot be read ({error.strerror or error})") from error


def find_record(path: Path) -> str | None:
    """Return the JSON text of the record in an SVG or PDF file, or None if the file has none.

    Raises
    ------
    PictureError
        If the file cannot be read.
    """
    text = _read(path, _RECORD_BYTES).decode("utf-8", "replace")
    if path.suffix.lower() == ".svg":
        found = _SVG_RECORD.search(text)
        return unescape(found[1]) if found else None
    found = _PDF_RECORD.search(text)
    return found[1] if found else None


def find_description(path: Path) -> str:
    """Return the description in an SVG or PDF file that this module wrote, or "" if the file has none.

    Raises
    ------
    PictureError
        If the file cannot be read.
    """
    content = _read(path)
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
