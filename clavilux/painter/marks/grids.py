"""Marks from tilings of the plane: tiles, triangles, hexagons, weave, truchet, mosaic."""

from __future__ import annotations

import math

import numpy as np

from clavilux.painter.marks.hashing import Float32, Uint32, choose, happens, rehash, unit
from clavilux.painter.marks.place import Marks, Place, odd, on_ground, overlay, pieces, slot_draws, slow_fields

# Side and height of equilateral triangles, two of which form a rhombus of area 1, in marks.
_SIDE = math.sqrt(2.0 / math.sqrt(3.0))
_ROW_HEIGHT = 1.0 / _SIDE


def uneven(v: Float32, place: Place, other: Float32 | int, name: str, amount: float) -> tuple[Float32, Float32]:
    """Return the number (n,) of the strip that contains each coordinate v (n,), and the strip's nominal centre (n,).

    The axis of v is divided into strips of random width, 1 on average. The border between strips k - 1 and k is at most
    `amount` / 2 away from k; `amount` is below 1. The nominal centre of strip k is k + 1/2. Different values of
    ``other`` or ``name`` give independent borders.
    """
    near = np.floor(v + np.float32(0.5))
    h = place.hash(near, other, name)
    below = v < near + (unit(h) - np.float32(0.5)) * np.float32(amount)
    strip = near - below
    return strip, strip + np.float32(0.5)


def tiles(place: Place) -> Marks:
    """Return the marks of tiles: rows of random height, cut into rectangles of random width."""
    j, mid_t = uneven(place.t, place, 0, "rows", 0.5)
    i, mid_s = uneven(place.s, place, j, "columns", 0.6)
    return pieces(place, place.hash(i, j, "tiles"), mid_s, mid_t, cluster_share=0.45)


def triangles(place: Place) -> Marks:
    """Return the marks of triangles: equilateral triangles of area 1/2, in square marks."""
    q = place.t * np.float32(1.0 / _ROW_HEIGHT)
    p = place.s * np.float32(1.0 / _SIDE) - q * np.float32(0.5)
    i, j = np.floor(p), np.floor(q)
    upper = (p - i) + (q - j) > 1
    h = place.hash(i, j, "triangles")
    h = choose(upper, rehash(h, 1), h)
    third = upper * np.float32(1 / 3) + np.float32(1 / 3)
    mid_q = j + third
    mid_p = i + third + mid_q * np.float32(0.5)
    return pieces(
        place, h, mid_p * np.float32(_SIDE), mid_q * np.float32(_ROW_HEIGHT), cluster_share=0.5, cluster_size=3.5
    )


def nearest_hexagon(place: Place) -> tuple[Uint32, Float32, Float32]:
    """Return the hash (n,) and the centre (n,), (n,) of the hexagon that contains each position.

    The hexagons are regular and have area 1, in square marks.
    """
    side, row = np.float32(_SIDE), np.float32(2.0 * _ROW_HEIGHT)
    s, t = place.s / side, place.t / row
    i, j = np.floor(s + np.float32(0.5)), np.floor(t + np.float32(0.5))
    k, m = np.floor(s) + np.float32(0.5), np.floor(t) + np.float32(0.5)
    second = (s - k) ** 2 + 3 * (t - m) ** 2 < (s - i) ** 2 + 3 * (t - j) ** 2
    i += second * (k - i)
    j += second * (m - j)
    return place.hash(2 * i, 2 * j, "hexagons"), i * side, j * row


def hexagons(place: Place) -> Marks:
    """Return the marks of hexagons: a honeycomb of regular hexagons of area 1, in square marks."""
    return pieces(place, *nearest_hexagon(place), cluster_share=0.55)


def weave(place: Place) -> Marks:
    """Return the marks of a weave: ribbons in two directions, alternately over and under, on a smooth background."""
    i, j = np.floor(place.s), np.floor(place.t)
    mid_s, mid_t = i + np.float32(0.5), j + np.float32(0.5)
    # Each ribbon changes its colour about every nine marks, at a random place.
    down = place.hash(i, np.floor(place.t / 9 + unit(place.hash(i, 0, "cut"))), "down")
    along = place.hash(np.floor(place.s / 9 + unit(place.hash(j, 1, "cut"))), j, "along")
    on_down = np.abs(place.s - mid_s) < np.float32(0.41)
    on_along = np.abs(place.t - mid_t) < np.float32(0.41)
    down_is_over = odd(i + j) > 0
    shows_down = on_down & (down_is_over | ~on_along)
    ribbons = slot_draws(choose(shows_down, down, along))
    marks = Marks(ribbons, mid_s - place.s, mid_t - place.t)
    return on_ground(on_down | on_along, marks, slow_fields(place, "ground", 6.0))


def truchet(place: Place) -> Marks:
    """Return the marks of Truchet tiles: two quarter arcs in each square (Smith 1987).

    Each square is rotated at random. The arcs join into winding ribbons. The ribbons lie on a smooth background.
    """
    i, j = np.floor(place.s), np.floor(place.t)
    p, q = place.s - i, place.t - j
    turned = place.hash(i, j, "turned") < np.uint32(0x80000000)
    p += turned * (1 - 2 * p)
    p2, q2 = p * p, q * q
    r = np.sqrt(np.minimum(p2 + q2, p2 + q2 + 2 * (1 - p - q)))  # from the nearer of two opposite corners
    ribbon = np.abs(r - np.float32(0.5)) < np.float32(0.2)
    return Marks(overlay(ribbon, slow_fields(place, "ribbon", 3.0), slow_fields(place, "ground", 4.0)))


def mosaic(place: Place) -> Marks:
    """Return the marks of a mosaic: squares, each 7 marks wide, are cut at random into rectangles of many sizes."""
    size = np.float32(7.0)
    s, t = place.s / size, place.t / size
    i, j = np.floor(s), np.floor(t)
    h = place.hash(i, j, "mosaic")
    p, q = s - i, t - j  # position in the piece, from 0 to 1
    width, height = np.ones_like(p), np.ones_like(p)  # of the piece, in `size`
    cuts = np.ones_like(p, bool)
    for level in range(7):
        cuts = cuts & ~happens(h, 13, 0.0 if level < 2 else 0.24)
        at = np.float32(0.28) + np.float32(0.44) * unit(rehash(h, 11))
        across = width * (np.float32(0.7) + np.float32(0.6) * unit(rehash(h, 12))) > height  # mostly the longer side
        cut_s, cut_t = (cuts & across).astype(np.float32), (cuts & ~across).astype(np.float32)
        far_s, far_t = (p > at) * cut_s, (q > at) * cut_t
        share_s = 1 + cut_s * (at - 1) + far_s * (1 - 2 * at)
        share_t = 1 + cut_t * (at - 1) + far_t * (1 - 2 * at)
        p = (p - far_s * at) / share_s
        q = (q - far_t * at) / share_t
        width, height = width * share_s, height * share_t
        half = choose(far_s + far_t > 0, rehash(h, 15), rehash(h, 14))
        h = choose(cuts, half, h)
    mid_s = place.s + (np.float32(0.5) - p) * width * size
    mid_t = place.t + (np.float32(0.5) - q) * height * size
    return pieces(place, h, mid_s, mid_t, cluster_share=0.3)
