"""Figures of heads: faces, masks, crowned, veiled and helmeted heads.

random numbers from the plan -> **here** -> shapes on a `Canvas`
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from clavilux.painter.figures.parts import divide, front_nose, open_eye, oval
from clavilux.painter.shapes import Canvas, Frame, both, side, together, without


def draw_face(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    """Draw a head in front view or in profile, with hair, long hair or a hat."""
    where, turned, long = side(choose), next(choose), 0.25 * next(choose)
    canvas.exchange(f.half(0.2 * where, 2.5 + long, 1.5, -math.pi / 2))  # shoulders
    canvas.contrast(f.bar(0.05 * where, 1.3 + long, 0.45, 0.27, math.pi / 2), next(choose))
    _head(canvas, f, where, long, choose) if turned < 0.5 else _profile(canvas, f, where, long, choose)


def _head(canvas: Canvas, f: Frame, where: int, long: float, choose: Iterator[float]) -> None:
    cover = next(choose)
    if cover < 0.7:  # hair
        canvas.contrast(f.disc(0.1 * where, -0.5, 1.12), next(choose))
    elif cover < 0.92:  # long hair
        hair = together(f.disc(-0.2 * where, -0.55, 1.0), f.bar(-0.75 * where, 0.5, 1.05, 0.42, math.pi / 2))
        canvas.exchange(hair, 3)
    head = oval(f, 0, -0.35, 0.85, 1.1 + long, 0.28)
    canvas.exchange(head)
    divide(canvas, f, head, 0.05, where)
    if cover >= 0.92:  # a hat
        canvas.oppose(together(f.half(0, -0.75, 0.85, -math.pi / 2), f.bar(0, -0.78, 1.25, 0.09)))
    canvas.oppose(front_nose(f, 0.05, -0.5, 0.35, 0.27 + 0.14 * next(choose), where))
    open_eye(canvas, f, -0.45 * where, -0.35, 1, next(choose))
    canvas.oppose(f.half(0.42 * where, -0.35, 0.22, -math.pi / 2 if next(choose) < 0.5 else math.pi / 2))
    canvas.accent(f.half(0.02 * where, 0.62 + 0.5 * long, 0.25, math.pi / 2))


def _profile(canvas: Canvas, f: Frame, where: int, long: float, choose: Iterator[float]) -> None:
    def at(u: float, v: float) -> tuple[float, float]:
        return u * where, v + (long if v > 0.5 else 0)

    canvas.contrast(f.half(-0.15 * where, -0.45, 1.1, math.pi if where > 0 else 0), next(choose))  # hair
    face = f.polygon(at(-0.3, -0.2), at(0.66, -0.2), at(0.6, 0.95), at(0.35, 1.15), at(-0.1, 1.05))
    nose = f.polygon(at(0.6, -0.45), at(1.02 + 0.2 * next(choose), 0.3), at(0.6, 0.36))
    head = together(f.disc(0, -0.35, 0.85), face, nose, f.disc(0.6 * where, 0.58 + 0.5 * long, 0.17))
    canvas.exchange(head)
    canvas.exchange(both(head, f.polygon(at(-0.05, -2), at(2, -2), at(2, 2), at(0.2, 2))), 3)
    open_eye(canvas, f, 0.36 * where, -0.35, 1, next(choose))
    canvas.oppose(f.polygon(at(-0.2, 0.05), at(-0.45, 0.2), at(-0.2, 0.45)))  # ear
    if next(choose) < 0.3:
        canvas.oppose(together(f.half(0, -0.7, 0.9, -math.pi / 2), f.bar(0.45 * where, -0.72, 0.95, 0.09)))  # cap
    canvas.accent(f.bar(0.62 * where, 0.58 + 0.5 * long, 0.2, 0.06))


def draw_couple(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    """Draw two heads in profile that face each other."""
    where = side(choose)
    canvas.exchange(f.half(0, 2.6, 1.9, -math.pi / 2), 3)
    _turned_head(canvas, f, -0.95, -0.25, 1, 4, choose)
    _turned_head(canvas, f, 0.95, 0.2 * next(choose), -1, 3, choose)
    if next(choose) < 0.3:
        canvas.exchange(f.bar(0, 0, 3, 0.06, math.pi / 2))
    else:
        canvas.exchange(f.disc(0, -1.35, 0.38))
    canvas.accent(f.disc(0.1 * where, 1.05, 0.2))


def _turned_head(canvas: Canvas, f: Frame, u: float, v: float, faces: int, by: int, choose: Iterator[float]) -> None:
    def at(along: float, across: float) -> tuple[float, float]:
        return u + faces * along, v + across

    canvas.contrast(f.disc(u - 0.2 * faces, v - 0.35, 0.88), next(choose))  # hair
    jaw = f.polygon(at(-0.3, -0.1), at(0.62, -0.1), at(0.55, 0.75), at(0.3, 0.95), at(-0.2, 0.9))
    nose, lips = f.polygon(at(0.55, -0.35), at(0.92, 0.28), at(0.55, 0.32)), f.disc(*at(0.58, 0.5), 0.13)
    canvas.exchange(together(f.disc(*at(0.05, -0.2), 0.68), jaw, nose, lips), by)
    canvas.oppose(f.lens(*at(0.38, -0.18), 0.24, 0.14))
    canvas.exchange(f.polygon(at(-0.35, 0.9), at(0.35, 0.9), at(0.7, 2.2), at(-1.1, 2.2)), by)  # shoulder


def draw_mask(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    """Draw a long mask with slits for eyes, and scars on one cheek."""
    where, chin = side(choose), 1.35 + 0.3 * next(choose)
    canvas.exchange(f.polygon((-1.9 * where, -1.9), (0.3 * where, -1.9), (0.9 * where, 2), (-0.8 * where, 2)), 3)
    head = oval(f, 0, -0.55, 0.85, chin, 0.3)
    canvas.oppose(head)
    divide(canvas, f, head, 0, where)
    canvas.contrast(both(head, f.box(-1, -1.5, 1, -0.85)), next(choose))  # forehead
    brow = f.bar(0, -0.57, 0.82, 0.08)
    canvas.exchange(together(f.bar(0, 0.05, 0.62, 0.13, math.pi / 2, 0.4), brow))
    for u in (-0.42, 0.42):
        canvas.contrast(f.lens(u, -0.27, 0.3, 0.16), next(choose))
        canvas.oppose(f.bar(u, -0.27, 0.16, 0.045))
    scars, mouth, crest = next(choose), next(choose), next(choose)
    for v in (0.2, 0.45):
        if scars < 0.5:
            canvas.exchange(f.bar(-0.5 * where, v, 0.2, 0.05, 0.4 * where))
        else:
            canvas.exchange(together(*(f.disc(k * (0.62 - 0.4 * v), v, 0.08) for k in (-1, 1))))
    if mouth < 0.5:
        canvas.oppose(f.disc(0, 0.98, 0.2))
        canvas.accent(f.disc(0, 0.98, 0.11))
    else:
        canvas.oppose(f.lens(0, 0.98, 0.34, 0.15))
        canvas.accent(f.bar(0, 0.98, 0.24, 0.04))
    if crest < 0.5:
        plume = f.polygon((-0.75, -1.35), (0.75, -1.35), (1.1 * where, -2.1), (-0.1 * where, -1.75))
    else:
        plume = together(*(f.polygon((0.25 * k, -1.3), (0.8 * k, -1.0), (1.15 * k, -2.1)) for k in (-1, 1)))  # horns
    canvas.contrast(plume, next(choose))


def draw_veil(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    """Draw a lowered face in a veil, with a halo."""
    where = side(choose)
    u = 0.12 * where
    canvas.exchange(f.half(0, 2.5, 1.9, -math.pi / 2), 3)
    veil = together(f.disc(0, -0.5, 1.15), f.polygon((-1.12, -0.5), (1.12, -0.5), (1.6, 2.3), (-1.6, 2.3)))
    canvas.exchange(veil)
    fold = f.polygon((0.6 * where, -2), (2 * where, -2), (2 * where, 2.5), (0.25 * where, 2.5))
    canvas.contrast(both(veil, fold), next(choose))
    canvas.contrast(f.bar(u, 0.95, 0.45, 0.24, math.pi / 2), next(choose))  # neck
    face = oval(f, u, -0.45, 0.62, 0.7, 0.2)
    canvas.oppose(face)
    divide(canvas, f, face, 0.15, where)
    canvas.contrast(front_nose(f, 0.15, -0.5, 0.15, 0.23, where), next(choose))
    for shift in (-0.3, 0.3):
        canvas.contrast(f.half(u + shift, -0.35, 0.17, math.pi / 2), next(choose))
    canvas.exchange(f.ring(0, -0.7, 1.45, 1.6), words="a ring around it")
    canvas.accent(f.half(u, 0.35, 0.16, math.pi / 2))


def draw_king(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    """Draw a bearded head with a crown."""
    where = side(choose)
    canvas.exchange(f.half(0, 2.6, 1.8, -math.pi / 2), 3)
    canvas.contrast(together(f.disc(0, -0.2, 1.0), f.bar(0, 0.6, 0.9, 0.95, math.pi / 2)), next(choose))  # hair
    head = oval(f, 0, -0.25, 0.75, 1.0, 0.35)
    canvas.exchange(head)
    divide(canvas, f, head, 0.03, where)
    canvas.oppose(together(f.polygon((-0.6, 0.45), (0.6, 0.45), (0.0, 1.9)), f.half(0, 0.45, 0.6, math.pi / 2)))
    points = [f.polygon((u - 0.3, -1.0), (u + 0.3, -1.0), (1.15 * u, -1.75)) for u in (-0.57, 0, 0.57)]
    canvas.contrast(together(f.box(-0.85, -1.05, 0.85, -0.7), *points), next(choose))
    for u in (-0.66, 0, 0.66):
        canvas.oppose(f.disc(u, -1.75, 0.12))
    canvas.oppose(front_nose(f, 0.03, -0.45, 0.28, 0.31, where))
    for u in (-0.38, 0.38):
        open_eye(canvas, f, u, -0.3, 0.8, next(choose))
    canvas.accent(f.half(0, 0.6, 0.2, math.pi / 2))


def draw_helmet(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    """Draw a helmet with a crest, from the side."""
    where = side(choose)

    def at(u: float, v: float) -> tuple[float, float]:
        return u * where, v

    canvas.contrast(without(f.disc(*at(-0.1, -0.45), 1.6), f.disc(*at(0.05, -0.25), 1.2)), next(choose))  # crest
    canvas.exchange(f.half(-0.1 * where, 2.6, 1.6, -math.pi / 2), 3)
    cheeks = f.polygon(at(-1.02, -0.3), at(0.95, -0.3), at(0.8, 1.3), at(0.45, 1.45), at(-0.3, 0.95), at(-1.15, 1.15))
    helmet = together(f.disc(0, -0.3, 1.02), cheeks)
    canvas.oppose(helmet)
    divide(canvas, f, helmet, -0.05, -where)
    canvas.exchange(together(f.lens(*at(0.48, -0.12), 0.42, 0.18), f.bar(*at(0.62, 0.6), 0.75, 0.09, math.pi / 2)))
    canvas.contrast(f.disc(*at(0.46, -0.12), 0.12), next(choose))
    canvas.contrast(f.ring(0, -0.3, 0.75, 0.87, 1.05 * math.pi, 0.6 * math.pi), next(choose))
    canvas.contrast(f.polygon(at(-0.35, 1.0), at(0.4, 1.2), at(0.3, 2.2), at(-0.8, 2.2)), next(choose))  # neck
    canvas.accent(f.disc(*at(-0.45, 0.25), 0.16))


def draw_pharaoh(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    """Draw a head in a striped cloth."""
    where = side(choose)
    canvas.exchange(f.half(0, 3.0, 2.1, -math.pi / 2), 3)
    sides = f.polygon((-0.95, -0.55), (0.95, -0.55), (1.35, 1.1), (-1.35, 1.1))
    cloth = together(f.disc(0, -0.55, 0.95), sides, f.box(-1.05, 0.9, -0.5, 2.0), f.box(0.5, 0.9, 1.05, 2.0))
    canvas.exchange(cloth)
    for k in range(6):
        canvas.exchange(both(cloth, f.bar(0, 0.55 * k - 1.2, 2, 0.1)), 3)
    face = oval(f, 0, -0.35, 0.66, 0.85, 0.3)
    canvas.oppose(face)
    divide(canvas, f, face, 0.03, where)
    canvas.exchange(front_nose(f, 0.03, -0.35, 0.25, 0.25, where))
    eyes = next(choose)
    for k in (-1, 1):
        canvas.contrast(f.lens(0.33 * k, -0.25, 0.27, 0.14), eyes)
        canvas.oppose(f.disc(0.33 * k, -0.25, 0.08))
        canvas.exchange(f.line(0.45 * k, -0.25, 0.62 * k, -0.2, 0.03))
    canvas.contrast(f.polygon((-0.14, 0.85), (0.14, 0.85), (0.2, 1.5), (-0.2, 1.5)), next(choose))  # beard
    canvas.oppose(f.polygon((-0.13, -0.9), (0.13, -0.9), (0.2, -1.5), (-0.2, -1.5)))
    canvas.accent(f.half(0, 0.5, 0.2, math.pi / 2))


def draw_trio(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    """Draw three heads side by side, the middle one in front."""
    where = side(choose)
    for k, (u, v, r) in enumerate(
        ((-1.05 * where, -0.2, 0.62), (1.0 * where, 0.05, 0.66), (-0.05 * where, -0.05, 0.8))
    ):
        if k == 2:
            canvas.contrast(f.disc(u + 0.1 * where, v - 0.15 * r, 1.28 * r), next(choose))  # hair
        canvas.exchange(f.half(u, v + 3 * r, 1.5 * r, -math.pi / 2), 3 if k == 1 else 4)  # shoulders
        head = oval(f, u, v - 0.3 * r, r, v + 1.5 * r, 0.3 * r)
        canvas.oppose(head) if k == 2 else canvas.exchange(head)
        divide(canvas, f, head, u * where + 0.03, where)
        canvas.exchange(front_nose(f, u * where + 0.03, v - 0.4 * r, v + 0.4 * r, 0.3 * r, where))
        for beside in (u - 0.47 * r, u + 0.47 * r):
            if k == 1:
                canvas.contrast(f.half(beside, v - 0.3 * r, 0.22 * r, math.pi / 2), next(choose))
            else:
                canvas.contrast(f.lens(beside, v - 0.3 * r, 0.36 * r, 0.18 * r), next(choose))
                canvas.exchange(f.disc(beside, v - 0.3 * r, 0.1 * r))
    canvas.accent(f.half(-0.05 * where, 0.55, 0.2, math.pi / 2))


def draw_statue(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    """Draw a long head of stone on the ground."""
    where = side(choose)

    def at(u: float, v: float) -> tuple[float, float]:
        return u * where, v

    canvas.exchange(f.disc(*at(-1.1, -1.1), 0.55), 3)
    canvas.exchange(f.polygon((-3, 1.45), (3, 1.25), (3, 3), (-3, 3)), 3)  # the ground
    left = at(0.55, 1.65), at(-0.55, 1.65), at(-0.75, 0.8), at(-0.75, -0.9)
    head = f.polygon(at(-0.6, -1.6), at(0.5, -1.6), at(0.7, -0.7), at(0.75, 1.2), *left)
    canvas.oppose(head)
    divide(canvas, f, head, 0.02, where)
    canvas.exchange(f.polygon((-0.72, -0.75), (0.72, -0.75), (0.66, -0.42), (-0.66, -0.42)))  # brows
    canvas.contrast(f.polygon(at(-0.12, -0.6), at(0.12, -0.6), at(0.28, 0.55), at(-0.28, 0.55)), next(choose))  # nose
    for u in (-0.4, 0.4):
        canvas.contrast(f.half(u, -0.4, 0.2, math.pi / 2), next(choose))
    canvas.exchange(f.bar(0, 0.98, 0.36, 0.09))
    canvas.oppose(f.bar(-0.85 * where, 0, 0.55, 0.1, math.pi / 2))  # ear
    canvas.accent(f.disc(*at(1.35, 0.9), 0.2))


def draw_skull(canvas: Canvas, f: Frame, choose: Iterator[float]) -> None:
    """Draw a skull, as in a still life."""
    where = side(choose)
    canvas.exchange(f.disc(0.15 * where, -0.25, 1.55), 3)
    cheeks = f.polygon((-0.98, -0.2), (0.98, -0.2), (0.7, 0.55), (-0.7, 0.55))
    jaw = f.polygon((-0.62, 0.4), (0.62, 0.4), (0.52, 1.3), (-0.52, 1.3))
    head = together(f.disc(0, -0.45, 1.05), cheeks, jaw)
    canvas.oppose(head)
    divide(canvas, f, head, 0.03, where)
    for k in (-1, 1):
        canvas.exchange(f.pebble(0.43 * k, -0.2, 0.34, 0.12, k))
    canvas.exchange(f.polygon((-0.17, 0.5), (0.17, 0.5), (0, 0.12)))
    canvas.exchange(f.bar(0, 0.92, 0.5, 0.035))
    for k in range(-2, 3):
        canvas.exchange(f.bar(0.2 * k, 0.92, 0.24, 0.028, math.pi / 2))
    canvas.contrast(f.disc(0.43 * where, -0.2, 0.13), next(choose))
    canvas.contrast(f.ring(0, -0.45, 1.2, 1.32, 1.1 * math.pi + next(choose), 0.7 * math.pi), next(choose))
    canvas.accent(f.disc(-0.43 * where, -0.2, 0.13))
