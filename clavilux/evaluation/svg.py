"""Plots for the HTML report, as SVG text. Sizes are in CSS pixels; titles and labels are escaped."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.floating]

_WIDTH = 860  # width of bar charts and maps
_SCATTER_PX = 280  # side of a scatter plot
_PICTURE_PX = 34  # side of a picture on a map
# The page overrides the colours for a dark background.
BLUE, ORANGE = "var(--blue, #2563a8)", "var(--orange, #c2571a)"
GREY, INK, LINE = "var(--grey, #b9bcc2)", "var(--ink, #33363b)", "var(--line, #e4e5e8)"
_SMALL = f'font-size="11" style="fill: {INK}" font-family="system-ui, sans-serif"'


def data_uri(rgb: NDArray[np.uint8], quality: int = 85) -> str:
    """Return a data URI with a JPEG of a picture (H, W, 3) uint8 sRGB."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def scatter(x: Floats, y: Floats, *, title: str, x_label: str, y_label: str) -> str:
    """Return a square scatter plot of the ranks of two arrays (n,)."""
    left, top, inner, inset = 26, 24, _SCATTER_PX - 44, 5
    across = left + inset + (inner - 2 * inset) * _ranks(x)
    down = top + inset + (inner - 2 * inset) * (1 - _ranks(y))
    dots = "".join(
        f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.2" style="fill: {BLUE}" fill-opacity="0.55"/>'
        for a, b in zip(across, down, strict=True)
    )
    return _frame(
        _SCATTER_PX,
        _SCATTER_PX,
        f"{_box(left, top, inner, inner)}"
        f'<line x1="{left}" y1="{top + inner}" x2="{left + inner}" y2="{top}" style="stroke: {LINE}"/>{dots}'
        f'<text x="{left}" y="15" {_SMALL} font-weight="600">{html.escape(title)}</text>'
        f"{_labels(left, top, inner, inner, x_label, y_label)}",
        title,
    )


def bars(
    values: Floats,
    marks: Floats | None = None,
    *,
    title: str,
    value_name: str,
    mark_name: str = "",
    x_label: str,
) -> str:
    """Return a bar chart of `values` (n,) with a legend; `marks` (n,), if given, are short lines across the bars."""
    width, height, left, top, bottom = _WIDTH, 210, 44, 10, 54
    inner = height - top - bottom
    reach = max(float(values.max()), 0.0 if marks is None else float(marks.max()), 1e-9)
    step = (width - left) / len(values)
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = top + inner * (1 - share)
        parts.append(f'<line x1="{left}" x2="{width}" y1="{y:.1f}" y2="{y:.1f}" style="stroke: {LINE}"/>')
        parts.append(f'<text x="{left - 5}" y="{y + 4:.1f}" text-anchor="end" {_SMALL}>{share * reach:.2g}</text>')
    for i, value in enumerate(values):
        x, tall = left + i * step, inner * value / reach
        parts.append(
            f'<rect x="{x + 1:.1f}" y="{top + inner - tall:.1f}" width="{max(step - 2, 1):.1f}" height="{tall:.1f}" '
            f'style="fill: {BLUE}"/>'
        )
    for i, mark in enumerate([] if marks is None else marks):
        x, y = left + i * step, top + inner * (1 - mark / reach)
        parts.append(f'<line x1="{x:.1f}" x2="{x + step:.1f}" y1="{y:.1f}" y2="{y:.1f}" {_STROKE}/>')
    parts.append(f'<text x="{width}" y="{top + inner + 16}" text-anchor="end" {_SMALL}>{html.escape(x_label)}</text>')
    y = height - 14
    parts.append(f'<rect x="{left}" y="{y - 9}" width="10" height="10" style="fill: {BLUE}"/>')
    parts.append(f'<text x="{left + 15}" y="{y}" {_SMALL}>{html.escape(value_name)}</text>')
    if marks is not None:
        parts.append(f'<line x1="{left + 260}" x2="{left + 274}" y1="{y - 4}" y2="{y - 4}" {_STROKE}/>')
        parts.append(f'<text x="{left + 280}" y="{y}" {_SMALL}>{html.escape(mark_name)}</text>')
    return _frame(width, height, "".join(parts), title)


def picture_map(
    ground: Floats,
    places: Floats,
    pictures: Sequence[NDArray[np.uint8]],
    *,
    title: str,
    x_label: str,
    y_label: str,
    ground_name: str,
    place_name: str,
) -> str:
    """Return a scatter plot of points: `ground` (m, 2) as grey dots, and `places` (n, 2) as pictures.

    If there are fewer pictures than places, the last places have no picture and become blue dots.
    """
    left, top, bottom, edge = 26, 6, 42, _PICTURE_PX // 2 + 4
    width, height = _WIDTH, round(_WIDTH * 0.72)
    inner = np.array([width - left - 1, height - top - bottom])
    both = np.concatenate([ground, places])
    low, high = both.min(axis=0), both.max(axis=0)
    grey, blue = (
        np.array([left, top]) + edge + (inner - 2 * edge) * (points - low) / np.maximum(high - low, 1e-9)
        for points in (ground, places)
    )
    dots = "".join(_dot(x, y, GREY) for x, y in grey) + "".join(_dot(x, y, BLUE) for x, y in blue[len(pictures) :])
    for (x, y), picture in zip(blue, pictures, strict=False):
        dots += (
            f'<image x="{x - _PICTURE_PX / 2:.1f}" y="{y - _PICTURE_PX / 2:.1f}" width="{_PICTURE_PX}" '
            f'height="{_PICTURE_PX}" href="{data_uri(picture, 70)}"/>'
        )
    y = height - 6
    key = f'{_dot(left + 5, y - 4, GREY)}<text x="{left + 14}" y="{y}" {_SMALL}>{html.escape(ground_name)}</text>'
    key += f'{_dot(left + 205, y - 4, BLUE)}<text x="{left + 214}" y="{y}" {_SMALL}>{html.escape(place_name)}</text>'
    frame = _box(left, top, int(inner[0]), int(inner[1]))
    labels = _labels(left, top, int(inner[0]), int(inner[1]), x_label, y_label)
    return _frame(width, height, f"{frame}{labels}{dots}{key}", title)


_STROKE = f'style="stroke: {ORANGE}" stroke-width="2"'


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" style="fill: {colour}"/>'


def _box(left: int, top: int, wide: int, tall: int) -> str:
    return f'<rect x="{left}" y="{top}" width="{wide}" height="{tall}" fill="none" style="stroke: {GREY}"/>'


def _labels(left: int, top: int, wide: int, tall: int, x_label: str, y_label: str) -> str:
    """Return the labels of the axes, below and to the left of a box."""
    return (
        f'<text x="{left + wide / 2}" y="{top + tall + 14}" text-anchor="middle" {_SMALL}>{html.escape(x_label)}</text>'
        f'<text transform="translate(14 {top + tall / 2}) rotate(-90)" text-anchor="middle" {_SMALL}>'
        f"{html.escape(y_label)}</text>"
    )


def _frame(width: float, height: float, content: str, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{html.escape(title)}">{content}</svg>'
    )


def _ranks(values: Floats) -> NDArray[np.float64]:
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return np.asarray(order / max(len(values) - 1, 1))
