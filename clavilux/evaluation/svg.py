"""Plots as SVG, a function each: a page with them needs no library and no network.

Data in, text out. Positions are in px of the plot; text is escaped.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.floating]

BLUE, ORANGE, GREY, INK = "#2563a8", "#c2571a", "#b9bcc2", "#33363b"
_SMALL = f'font-size="11" fill="{INK}" font-family="system-ui, sans-serif"'


def data_uri(rgb: NDArray[np.uint8], quality: int = 85) -> str:
    """A picture (H, W, 3) as a JPEG inside an address."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def scatter(x: Floats, y: Floats, *, title: str, x_label: str, y_label: str, side: int = 200) -> str:
    """Points of two measures, each ranked, because the correlations beside it are of ranks."""
    left, top, inner = 26, 24, side - 44
    across = left + inner * _ranks(x)
    down = top + inner * (1 - _ranks(y))
    dots = "".join(
        f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.2" fill="{BLUE}" fill-opacity="0.55"/>'
        for a, b in zip(across, down, strict=True)
    )
    return _frame(
        side,
        side,
        f'<rect x="{left}" y="{top}" width="{inner}" height="{inner}" fill="none" stroke="{GREY}"/>{dots}'
        f'<text x="{left}" y="15" {_SMALL} font-weight="600">{html.escape(title)}</text>'
        f'<text x="{left + inner / 2}" y="{side - 6}" text-anchor="middle" {_SMALL}>{html.escape(x_label)}</text>'
        f'<text transform="translate(14 {top + inner / 2}) rotate(-90)" text-anchor="middle" {_SMALL}>'
        f"{html.escape(y_label)}</text>",
        title,
    )


def bars(values: Floats, marks: Floats, *, title: str, value_name: str, mark_name: str, width: int = 860) -> str:
    """Bars from 0, and on each a short line for a second figure; a key below."""
    height, left, top, bottom = 200, 44, 10, 44
    inner = height - top - bottom
    reach = max(float(values.max()), float(marks.max()), 1e-9)
    step = (width - left) / len(values)
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = top + inner * (1 - share)
        parts.append(f'<line x1="{left}" x2="{width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e4e5e8"/>')
        parts.append(f'<text x="{left - 5}" y="{y + 4:.1f}" text-anchor="end" {_SMALL}>{share * reach:.2g}</text>')
    for i, (value, mark) in enumerate(zip(values, marks, strict=True)):
        x, tall = left + i * step, inner * value / reach
        parts.append(
            f'<rect x="{x + 1:.1f}" y="{top + inner - tall:.1f}" width="{max(step - 2, 1):.1f}" height="{tall:.1f}" '
            f'fill="{BLUE}"/>'
        )
        y = top + inner * (1 - mark / reach)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x + step:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{ORANGE}" stroke-width="2"/>'
        )
    y = height - 16
    parts.append(
        f'<rect x="{left}" y="{y - 9}" width="10" height="10" fill="{BLUE}"/><text x="{left + 15}" y="{y}" {_SMALL}>'
        f"{html.escape(value_name)}</text>"
        f'<line x1="{left + 260}" x2="{left + 274}" y1="{y - 4}" y2="{y - 4}" stroke="{ORANGE}" stroke-width="2"/>'
        f'<text x="{left + 280}" y="{y}" {_SMALL}>{html.escape(mark_name)}</text>'
    )
    return _frame(width, height, "".join(parts), title)


def picture_map(
    ground: Floats,
    places: Floats,
    pictures: Sequence[NDArray[np.uint8]],
    *,
    title: str,
    picture_px: int,
    width: int = 860,
) -> str:
    """Grey dots (m, 2), dots (n, 2), and small pictures on the first of these, as many as there are pictures."""
    height, edge = round(width * 0.72), picture_px
    both = np.concatenate([ground, places])
    low, high = both.min(axis=0), both.max(axis=0)
    scaled = [(points - low) / np.maximum(high - low, 1e-9) for points in (ground, places)]
    reach = np.array([width - 2 * edge, height - 2 * edge])
    grey, blue = (edge + points * reach for points in scaled)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{GREY}"/>' for x, y in grey)
    dots += "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{BLUE}"/>' for x, y in blue[len(pictures) :])
    for (x, y), picture in zip(blue, pictures, strict=False):
        dots += (
            f'<image x="{x - edge / 2:.1f}" y="{y - edge / 2:.1f}" width="{edge}" height="{edge}" '
            f'href="{data_uri(picture, 70)}"/>'
        )
    return _frame(width, height, dots, title)


def _frame(width: float, height: float, content: str, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{html.escape(title)}">{content}</svg>'
    )


def _ranks(values: Floats) -> NDArray[np.float64]:
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return np.asarray(order / max(len(values) - 1, 1))
