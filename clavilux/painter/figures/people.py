"""Figures of people and parts of them: an angel, hands, an eye; a sun with a face.

random numbers from the plan -> **here** -> shapes on a `Canvas`
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from clavilux.painter.figures.parts import divide, front_nose, oval
from clavilux.painter.shapes import Canvas, Frame, Shape, both, side, together

# Fingers of a reaching hand: direction across the hand, and length.
_FINGERS = (-0.45, 0.75), (-0.15, 1.0), (0.15, 0.95), (0.45, 0.8)


def draw_angel(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    """Draw a figure with a halo between two wings."""
    where = side(choose)
    canvas.exchange(f.disc(0, -0.9, 0.95), 3)
    for k in (-1, 1):
        wing = both(f.disc(0.75 * k, 0.35, 1.55), f.disc(1.75 * k, -0.1, 1.35))
        canvas.exchange(wing, 4 if k > 0 else 3)
        canvas.contrast(both(wing, f.disc(1.5 * k, -0.5, 0.95)), next(choose))
    robe = f.polygon((-0.35, -0.3), (0.35, -0.3), (1.0, 2.3), (-1.0, 2.3))
    canvas.oppose(robe)
    divide(canvas, f, robe, 0, where)
    head = oval(f, 0, -0.95, 0.5, -0.1, 0.15)
    canvas.contrast(f.disc(0, -1.05, 0.66), next(choose))
    canvas.exchange(head)
    divide(canvas, f, head, 0.02, where)
    canvas.oppose(front_nose(f, 0.02, -1.0, -0.55, 0.19, where))
    for u in (-0.25, 0.25):
        canvas.oppose(f.half(u, -0.9, 0.13, math.pi / 2))
    canvas.exchange(f.ring(0, -1.0, 0.8, 0.9))
    canvas.accent(f.half(0, -0.4, 0.11, math.pi / 2))


def draw_hand(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    """Draw an open hand with an eye in its palm."""
    where, spread, long = side(choose), 0.7 + 0.9 * next(choose), 0.85 + 0.25 * next(choose)
    canvas.exchange(f.disc(0.5 * next(choose) * where, -0.6, 1.2 + 0.3 * next(choose)), 3)
    canvas.contrast(f.polygon((-0.42, 1.1), (0.42, 1.1), (0.6, 2.6), (-0.6, 2.6)), next(choose))  # wrist
    fingers = [(-0.5, -0.18, -0.95), (-0.17, -0.06, -1.2), (0.17, 0.06, -1.15), (0.5, 0.17, -0.85)]
    ends = [(u * where, 0.1, (u + spread * bend) * where, long * high, 0.15) for u, bend, high in fingers]
    ends.append((-0.45 * where, 0.75, -1.15 * where, 0.05, 0.17))  # thumb
    palm = together(f.disc(0, 0.55, 0.68), f.box(-0.66, 0.0, 0.66, 0.6))
    hand = together(palm, *(f.line(*end) for end in ends), *(f.disc(*end[2:]) for end in ends))
    canvas.oppose(hand)
    canvas.exchange(both(hand, f.polygon((0, -3), (2 * where, -3), (2 * where, 3), (0.1 * where, 3))), 3)
    canvas.exchange(f.lens(0, 0.5, 0.46, 0.25))
    canvas.oppose(f.disc(0, 0.5, 0.2))
    canvas.accent(f.disc(0.04, 0.46, 0.09))


def draw_hands(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    """Draw two hands that reach for each other, past a disc."""
    where = side(choose)
    canvas.exchange(f.disc(0, -0.1, 1.35), 3)
    canvas.contrast(f.disc(0, -0.1, 0.8), next(choose))
    canvas.oppose(hand := _reaching_hand(f, -0.7, 0.1 * where - 0.45, 1))
    canvas.exchange(both(hand, f.box(-4, 0.1 * where - 0.4, 2, 2)), 3)
    canvas.exchange(hand := _reaching_hand(f, 0.7, 0.1 * where + 0.45, -1))
    canvas.exchange(both(hand, f.box(-2, 0.1 * where + 0.5, 4, 3)), 3)
    canvas.accent(f.disc(0, -0.05, 0.2))


def _reaching_hand(f: Frame, u: float, v: float, to: int) -> Shape:
    """Return a hand at (u, v) with its forearm; it points along the axis (`to` 1) or against it (-1)."""
    root = u - 0.3 * to
    fingers = [(root, v + 0.6 * a, root + long * to, v + 0.9 * a, 0.1) for a, long in _FINGERS]
    fingers.append((root, v - 0.3, u + 0.2 * to, v - 0.75, 0.11))  # thumb
    arm = f.polygon(
        (u - 0.4 * to, v - 0.36), (u - 0.4 * to, v + 0.36), (u - 2.2 * to, v + 0.6), (u - 2.2 * to, v - 0.5)
    )
    ends = [f.disc(*finger[2:]) for finger in fingers]
    return together(f.disc(u - 0.35 * to, v, 0.42), arm, *(f.line(*finger) for finger in fingers), *ends)


def draw_eye(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    """Draw one large eye."""
    wide = 0.9 + 0.3 * next(choose)
    canvas.exchange(both(f.disc(0, wide + 0.1, 1.95), f.disc(0, -wide - 0.1, 1.95)), 3)
    canvas.contrast(both(f.disc(0, wide, 1.55), f.disc(0, -wide, 1.55)), next(choose))
    canvas.exchange(f.disc(0, 0, 0.62))
    canvas.oppose(f.disc(0, 0, 0.3))
    canvas.contrast(f.ring(0, 0.5, 1.75, 1.92, 1.15 * math.pi, 0.7 * math.pi), next(choose), "an arc above it")
    canvas.exchange(f.half(0, 0, 0.62, math.tau * next(choose)), 3)
    canvas.accent(f.disc(0.14, -0.14, 0.13))


def draw_sun(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    """Draw a sun with a face."""
    where, turn = side(choose), next(choose)
    for k in range(9):
        ray, half, tip = turn + k * math.tau / 9, 0.26, 1.75 if k % 2 else 1.45
        ends = [(0.95 * math.cos(ray + shift), 0.95 * math.sin(ray + shift)) for shift in (-half, half)]
        canvas.exchange(f.polygon(*ends, (tip * math.cos(ray), tip * math.sin(ray))), 4 if k % 2 else 3)
    face = f.disc(0, 0, 0.98)
    canvas.oppose(face)
    divide(canvas, f, face, 0, where)
    canvas.contrast(front_nose(f, 0.03, -0.55, 0.3, 0.33, where), next(choose))
    canvas.contrast(f.lens(-0.42 * where, -0.25, 0.33, 0.2), next(choose))
    canvas.exchange(f.disc(-0.42 * where, -0.25, 0.12))
    canvas.contrast(f.half(0.42 * where, -0.25, 0.22, math.pi / 2), next(choose))
    canvas.accent(f.half(0, 0.5, 0.25, math.pi / 2))
