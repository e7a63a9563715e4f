"""Marks from Voronoi cells of random points: facets, glass, dabs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from clavilux.painter.marks.hashing import COLUMN, ROW, Float32, Uint32, key, mix, rehash, whole_bits
from clavilux.painter.marks.place import Marks, Place, on_ground, pieces, slow_fields

# Each point is anywhere in the central part, with this side, of its square: no lattice is visible, no points are equal.
_JITTER = 0.8
_MARGIN = np.float32((1.0 - _JITTER) / 2.0)
_STEP = np.float32(_JITTER / 65536.0)
_LOW = np.uint32(0xFFFF)

_DAB_S, _DAB_T = np.float32(0.5), np.float32(1.1)  # dabs per mark, along and across


def nearest_points(place: Place, s: Float32, t: Float32, name: str) -> tuple[Uint32, Float32, Float32]:
    """Return the hash (n,) and the coordinates (n,), (n,) of the random point nearest to each position (s, t).

    There is one random point in each unit square (cellular noise, Worley 1996). ``name`` chooses the set of points.
    """
    # The nine squares around a position are searched. Non-negative floats have the same order as their bits, so an
    # integer minimum finds the nearest point, with the number of its square in the lowest four bits.
    i0, j0 = np.floor(s), np.floor(t)
    nearest = np.full_like(s, 0x7F000000, np.uint32)
    for number, h, to_s, to_t in _points_around(place, s, t, i0, j0, name):
        del h
        to_s *= to_s
        to_t *= to_t
        to_s += to_t
        squared = to_s.view(np.uint32)
        squared &= np.uint32(0xFFFFFFF0)
        squared |= np.uint32(number)
        np.minimum(nearest, squared, out=nearest)
    return _unpack(place, nearest, i0, j0, name)


def distance_to_border(place: Place, s: Float32, t: Float32, mid_s: Float32, mid_t: Float32, name: str) -> Float32:
    """Return the distance (n,) of each position (s, t) to the border of its Voronoi cell.

    (mid_s, mid_t) is the random point of the cell, from `nearest_points` with the same ``name``.
    """
    near_s, near_t = mid_s - s, mid_t - t
    nearest = np.full_like(s, 9.0)
    for _, _, to_s, to_t in _points_around(place, s, t, np.floor(s), np.floor(t), name):
        # A border is where two points are equally far; the large number excludes the cell's own point.
        apart_s, apart_t = to_s - near_s, to_t - near_t
        apart = apart_s * apart_s + apart_t * apart_t
        along = (to_s + near_s) * apart_s + (to_t + near_t) * apart_t
        along *= np.float32(0.5) / np.sqrt(apart + np.float32(1e-12))
        along += (apart < np.float32(1e-6)) * np.float32(9.0)
        np.minimum(nearest, along, out=nearest)
    return nearest


def _points_around(
    place: Place, s: Float32, t: Float32, i0: Float32, j0: Float32, name: str
) -> Iterator[tuple[int, Uint32, Float32, Float32]]:
    """Yield for each of nine squares: its number, its hash (n,), and the offset (n,), (n,) from (s, t) to its point.

    The nine squares are the square (i0, j0), which contains (s, t), and its eight neighbours. Each square contains one
    random point.
    """
    columns = [whole_bits(i0 + np.float32(di)) * ROW for di in (-1, 0, 1)]
    ds0, dt0 = i0 - s, j0 - t
    for dj in (-1, 0, 1):
        row = whole_bits(j0 + np.float32(dj)) * COLUMN
        row += np.uint32(key(place.seed, name))
        for di in (-1, 0, 1):
            h = mix(columns[di + 1] + row)
            to_s, to_t = _point(h)
            to_s += ds0
            to_s += np.float32(di)
            to_t += dt0
            to_t += np.float32(dj)
            yield (dj + 1) * 3 + di + 1, h, to_s, to_t


def _point(h: Uint32) -> tuple[Float32, Float32]:
    """Return the position (n,), (n,), on (0, 1), of the random point in a square, from the hash (n,) of the square."""
    p, q = (h >> np.uint32(16)).astype(np.float32), (h & _LOW).astype(np.float32)
    p *= _STEP
    p += _MARGIN
    q *= _STEP
    q += _MARGIN
    return p, q


def _unpack(place: Place, packed: Uint32, i0: Float32, j0: Float32, name: str) -> tuple[Uint32, Float32, Float32]:
    """Return the hash (n,) and the position (n,), (n,) of the random point in one of the nine squares.

    The lowest four bits of `packed` (n,) are the number of the square, as in `_points_around`.
    """
    number = (packed & np.uint32(15)).astype(np.float32)
    dj = np.floor(number * np.float32(1 / 3 + 1e-4))
    i, j = i0 + number - 3 * dj - 1, j0 + dj - 1
    h = place.hash(i, j, name)
    p, q = _point(h)
    return h, i + p, j + q


def facets(place: Place) -> Marks:
    """Return the marks of facets: Voronoi cells of random points; half of the cells get the colour of their cluster."""
    return pieces(place, *nearest_points(place, place.s, place.t, "facets"), cluster_share=0.5)


def glass(place: Place) -> Marks:
    """Return the marks of stained glass: Voronoi cells with lines of constant width between them.

    The colour of the lines varies slowly over the picture.
    """
    h, s, t = nearest_points(place, place.s, place.t, "glass")
    border = distance_to_border(place, place.s, place.t, s, t, "glass")
    return on_ground(
        border > np.float32(0.06), pieces(place, h, s, t, cluster_share=0.5), slow_fields(place, "lead", 8.0)
    )


def dabs(place: Place) -> Marks:
    """Return the marks of dabs: parallel bars with round ends, three times as long as wide, on a smooth background.

    The bars overlap in a random order.
    """
    s, t = place.s * _DAB_S, place.t * _DAB_T
    i0, j0 = np.floor(s), np.floor(t)
    top = np.zeros_like(s, np.uint32)  # the dab with the largest hash covers the others
    for number, h, to_s, to_t in _points_around(place, s, t, i0, j0, "dabs"):
        to_s *= np.float32(1.35)
        to_s *= to_s
        to_s *= to_s  # a superellipse, of degree 4 along and 2 across: a bar with round ends
        to_t *= np.float32(1.55)
        to_t *= to_t
        to_s += to_t
        h &= np.uint32(0xFFFFFFF0)
        h |= np.uint32(number)
        h *= to_s < np.float32(0.45)
        np.maximum(top, h, out=top)
    h, mid_s, mid_t = _unpack(place, top, i0, j0, "dabs")
    marks = pieces(place, rehash(h, 9), mid_s / _DAB_S, mid_t / _DAB_T, cluster_share=0.4, cluster_size=5.0)
    return on_ground(top > 0, marks, slow_fields(place, "ground", 5.0))
