"""Figures of things and landscapes.

random numbers from the plan -> **here** -> shapes on a `Canvas`
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from clavilux.painter.shapes import Canvas, Frame, side, together, without


def draw_guitar(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    """Draw a guitar, taken apart as in a cubist still life: half of its body lies on another plane."""
    waist, turn = 0.5 + 0.12 * next(choose), 0.16 * next(choose) - 0.08
    canvas.exchange(together(f.disc(0, 0.75, 0.88), f.disc(0, -0.42, 0.62), f.bar(0, 0.2, waist, 0.5)))
    canvas.oppose(f.bar(0, -1.1, 1.25, 0.11, turn - math.pi / 2, 0.1))
    canvas.exchange(f.polygon((0.05, 2.0), (0.05 + turn, -1.3), (1.1, -1.3), (0.95, 1.6)), 3)
    if next(choose) < 0.5:
        canvas.contrast(f.ring(0, 0.75, 1.05, 1.2, next(choose), 2.2), next(choose), "an arc beside it")
    else:
        canvas.contrast(f.bar(-1.05, 0.6, 1.5, 0.2, 0.2 * next(choose) - math.pi / 2), next(choose))
    canvas.contrast(f.disc(0, 0.15, 0.26), next(choose))
    canvas.accent(f.bar(0, 0.95, 0.42, 0.07))


def draw_boat(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    """Draw a sailing boat on water."""
    high, belly = 1.5 + 0.5 * next(choose), 0.4 + 0.5 * next(choose)
    canvas.exchange(f.polygon((-3, 0.95), (3, 0.8), (3, 2.2), (-3, 2.2)), 3)  # the water
    canvas.oppose(without(f.polygon((0.06, 0.7), (0.06, -high), (1.5, 0.7)), f.disc(1.9 + belly, -high, 1.1 + belly)))
    canvas.contrast(f.polygon((-0.06, 0.7), (-0.06, -0.75 * high), (-1.0 - 0.3 * belly, 0.7)), next(choose))
    canvas.exchange(f.half(0.1, 0.78, 1.05, math.pi / 2))
    canvas.contrast(f.polygon((0.1, 1.3), (1.1, 1.3), (0.3, 2.0)), next(choose))
    canvas.accent(f.disc(-1.5, -1.1, 0.3), "a disc beside it")


def draw_hill(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    """Draw half discs on a line, like hills or a low sun."""
    shift = 0.8 * next(choose) - 0.4
    canvas.exchange(f.half(0, 0.35, 1.35, -math.pi / 2))
    canvas.exchange(f.half(shift, 0.35, 0.8 + 0.2 * next(choose), -math.pi / 2), 3)
    canvas.contrast(f.half(-1.6 * shift, 0.45, 0.6, math.pi / 2), next(choose))
    canvas.accent(f.disc(1.3 * (1 if shift < 0 else -1), -0.75, 0.26))


def draw_shell(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    """Draw half discs that become smaller, in turn above and below a line."""
    where, start, end = side(choose), -1.45, 1.2
    for k in range(6):
        half = f.half(where * (start + end) / 2, 0, abs(end - start) / 2, math.pi / 2 if k % 2 else -math.pi / 2)
        if k in (2, 5):
            canvas.contrast(half, next(choose))
        elif k == 4:
            canvas.oppose(half)
        else:
            canvas.exchange(half, 3 if k % 2 else 4)
        start, end = end, end - 0.72 * (end - start)
    canvas.oppose(f.ring(0, 0.9, 1.9, 2.05, 0.2 * math.pi, 0.5 * math.pi + next(choose)), "an arc beside it")
    canvas.accent(f.disc(where * (start + end) / 2, 0, 0.12))
