"""Round marks on lattices: dots, targets, scales."""

from __future__ import annotations

import numpy as np

from clavilux.painter.marks.grids import nearest_hexagon
from clavilux.painter.marks.hashing import choose, rehash, unit
from clavilux.painter.marks.place import (
    Marks,
    Place,
    cluster,
    odd,
    on_ground,
    pieces,
    slot_draws,
    slow_fields,
    with_clusters,
)


def dots(place: Place) -> Marks:
    """Return the marks of dots: discs of random radius in a hexagonal lattice, on a smooth background."""
    h, s, t = nearest_hexagon(place)
    radius = np.float32(0.12) + np.float32(0.38) * unit(rehash(h, 2))
    on_disc = (place.s - s) ** 2 + (place.t - t) ** 2 < radius * radius
    return on_ground(on_disc, pieces(place, h, s, t, cluster_share=0.5), slow_fields(place, "ground", 5.0))


def targets(place: Place) -> Marks:
    """Return the marks of targets: a lattice of squares, each two marks wide and filled with concentric rings.

    Each ring has its own random colour. The corners of a square, outside its rings, often have the same colour as the
    corners of neighbouring squares.
    """
    i, j = np.floor(place.s * np.float32(0.5)), np.floor(place.t * np.float32(0.5))
    mid_s, mid_t = 2 * i + 1, 2 * j + 1
    to_s, to_t = mid_s - place.s, mid_t - place.t
    r = np.sqrt(to_s * to_s + to_t * to_t)
    h = place.hash(i, j, "targets")
    radius = np.float32(0.8) + np.float32(0.16) * unit(rehash(h, 3))
    ring = np.floor(r * (np.float32(2.0) + np.float32(2.0) * unit(rehash(h, 1))) + unit(rehash(h, 2)))
    circle = rehash(h ^ place.hash(ring, 0, "ring"), 5)
    corner = with_clusters(place, h, mid_s, mid_t, 0.7, 6.0)
    return Marks(slot_draws(choose(r < radius, circle, corner)), to_s, to_t)


def scales(place: Place) -> Marks:
    """Return the marks of scales: rows of overlapping ellipses, like roof tiles, each with two concentric rims.

    The body of a scale has the colour of its cluster in 40 % of the scales, and a colour of its own in the others. The
    rims of neighbouring scales usually have the same colour.
    """
    s, t = place.s * np.float32(0.75), place.t * np.float32(1.5)
    row = np.floor(t)
    h = np.zeros_like(s, np.uint32)
    to_s, to_t, radius = np.zeros_like(s), np.zeros_like(s), np.zeros_like(s)
    for dj in (2, 1, 0, -1):  # later rows cover earlier ones
        j = row + np.float32(dj)
        shift = odd(j) * np.float32(0.5)
        i = np.floor(s - shift)
        ds = i + shift + np.float32(0.5) - s
        dt = (j - t) * np.float32(0.5)
        r = np.sqrt(ds * ds + dt * dt)
        covers = r < np.float32(0.5)
        h = choose(covers, place.hash(i, j, "scales"), h)
        for value, new in ((to_s, ds), (to_t, dt), (radius, r)):
            new -= value
            new *= covers
            value += new
    to_s /= np.float32(0.75)
    to_t /= np.float32(0.75)
    mid_s, mid_t = place.s + to_s, place.t + to_t
    rim = (radius > np.float32(0.41)) | ((radius > np.float32(0.2)) & (radius < np.float32(0.28)))
    body = with_clusters(place, h, mid_s, mid_t, 0.4, 5.0)
    return Marks(slot_draws(choose(rim, cluster(place, mid_s, mid_t, "rim", 8.0), body)), to_s, to_t)
