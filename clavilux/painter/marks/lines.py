"""Marks of long lines: stripes, bands, hatching, shards."""

from __future__ import annotations

import math

import numpy as np

from clavilux.painter.marks.cells import nearest_points
from clavilux.painter.marks.grids import uneven
from clavilux.painter.marks.hashing import mix, rehash, unit
from clavilux.painter.marks.place import Marks, Place, pieces, sawtooth, slot_draws, triangle_wave


def stripes(place: Place) -> Marks:
    """Return the marks of stripes: parallel straight stripes of random width."""
    strip, middle = uneven(place.t * np.float32(1.5), place, 0, "stripes", 0.95)
    return Marks(slot_draws(place.hash(strip, 0, "stripe")), np.zeros_like(middle), middle / np.float32(1.5) - place.t)


def bands(place: Place) -> Marks:
    """Return the marks of bands: parallel wavy bands, each a gradient from dark to light across the band."""
    s, t = place.s, place.t
    v = t * np.float32(0.7)
    v += np.float32(0.5) * place.smooth_field(s * np.float32(0.28), t * np.float32(0.12), "hills")
    v += np.float32(0.06) * place.smooth_field(s * np.float32(0.8), t * np.float32(0.3), "ridges", n=6)
    return Marks(sawtooth(v)[None])


def hatching(place: Place) -> Marks:
    """Return the marks of hatching: patches of parallel lines in three directions; wider lines make a darker tone."""
    patch, _, _ = nearest_points(place, place.s / np.float32(7), place.t / np.float32(7), "patches")
    turn = (np.floor(3 * unit(rehash(patch, 1))) - 1) * np.float32(math.tau / 9)
    v = place.t * np.cos(turn) + place.s * np.sin(turn)
    v += np.float32(0.05) * place.smooth_field(place.s * np.float32(0.5), place.t * np.float32(0.5), "hand", n=6)
    return Marks(triangle_wave(v + unit(patch))[None])


# Directions of the lines of shards, in turns from the angle of the marks, and mean distances of these lines in marks.
_RULED = ((0.0, 1.6), (0.19, 2.1), (0.29, 2.9), (0.41, 3.7), (0.07, 5.3))


def shards(place: Place) -> Marks:
    """Return the marks of shards: polygons between straight lines that cross the whole picture in five directions."""
    h = np.zeros_like(place.s, np.uint32)
    middles = []
    shifts = place.draw("ruled", 2 * len(_RULED))
    for n, (turn, apart) in enumerate(_RULED):
        a = math.tau * (turn + 0.05 * (shifts[2 * n] - 0.5))
        across = (math.sin(a), math.cos(a))
        v = place.s * np.float32(across[0] / apart) + place.t * np.float32(across[1] / apart)
        strip, middle = uneven(v + np.float32(shifts[2 * n + 1]), place, n, "lines", 0.95)
        h ^= place.hash(strip, n, "strip")
        middles.append((across, (middle - np.float32(shifts[2 * n + 1])) * np.float32(apart)))
    # A piece reads the plan where the centre lines of its strips in the two densest directions cross.
    ((a, b), first), ((c, d), second) = middles[:2]
    determinant = a * d - b * c
    mid_s = first * np.float32(d / determinant) - second * np.float32(b / determinant)
    mid_t = second * np.float32(a / determinant) - first * np.float32(c / determinant)
    return pieces(place, mix(h), mid_s, mid_t, cluster_share=0.35, cluster_size=5.0)
