"""Parts of faces.

frames -> **here** -> figures of heads and people

Faces are divided: one half of a face exchanges its colours, so that its edge reads as a profile within the front view,
as in cubist portraits.
"""

from __future__ import annotations

from clavilux.painter.shapes import Canvas, Frame, Shape, both, together


def oval(f: Frame, u: float, v: float, radius: float, chin: float, width: float) -> Shape:
    """Return the outline of a head: a disc, and below it a jaw that ends at `chin`, where its half width is `width`."""
    wide = 0.97 * radius
    return together(f.disc(u, v, radius), f.polygon((u - wide, v), (u + wide, v), (u + width, chin), (u - width, chin)))


def divide(canvas: Canvas, f: Frame, shape: Shape, u: float, where: int) -> None:
    """Exchange the colours of the part of a shape that lies beyond `u` on one side."""
    canvas.exchange(both(shape, f.box(u * where, -4, 4 * where, 4)), 3)


def front_nose(f: Frame, u: float, top: float, bottom: float, width: float, where: int) -> Shape:
    """Return a triangular nose beside the line `u` that divides a face."""
    return f.polygon((u * where, top), (u * where, bottom), ((u - width) * where, bottom))


def open_eye(canvas: Canvas, f: Frame, u: float, v: float, size: float, choice: float) -> None:
    """Draw an eye with its pupil."""
    canvas.contrast(f.lens(u, v, 0.28 * size, 0.16 * size), choice)
    canvas.oppose(f.disc(u, v, 0.1 * size))
