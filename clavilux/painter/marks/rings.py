"""Marks around centres: rings, arcs, spirals, rays."""

from __future__ import annotations

import math

import numpy as np

from clavilux.painter.marks.cells import nearest_points
from clavilux.painter.marks.grids import uneven
from clavilux.painter.marks.hashing import Float32, rehash, unit
from clavilux.painter.marks.place import Marks, Place, odd, slot_draws


def turns(t: Float32, s: Float32) -> Float32:
    """Return arctan2(t, s) in turns, (n,) in [-0.5, 0.5], with an error below 2e-6."""
    # NumPy's arctan2 is slow without AVX-512. The polynomial is 4.4.49 of Abramowitz and Stegun, truncated at degree 9.
    a, b = np.abs(s), np.abs(t)
    r = np.minimum(a, b)
    r /= np.maximum(a, b) + np.float32(1e-12)
    q = r * r
    angle = q * np.float32(0.0208351)
    for c in (-0.0851330, 0.1801410, -0.3302995):
        angle += np.float32(c)
        angle *= q
    angle += np.float32(0.9998660)
    angle *= r
    angle *= np.float32(1 / math.tau)
    angle += (b > a) * (np.float32(0.25) - 2 * angle)
    angle += (s < 0) * (np.float32(0.5) - 2 * angle)
    angle *= (t >= 0) * np.float32(2.0) - np.float32(1.0)
    return angle


def _from_centre(place: Place, reach: float) -> tuple[Float32, Float32]:
    """Return the coordinates s and t, (n,) each, relative to a random centre, in marks.

    In each coordinate, this centre is at most `reach` short sides away from the centre of the picture.
    """
    u = place.draw("centre", 2)
    return (
        place.s - np.float32(reach * (2 * u[0] - 1) * place.frequency),
        place.t - np.float32(reach * (2 * u[1] - 1) * place.frequency),
    )


def rings(place: Place) -> Marks:
    """Return the marks of rings: concentric rings of random width around one random centre."""
    s, t = _from_centre(place, 0.4)
    r = np.sqrt(s * s + t * t)
    ring, middle = uneven(r * np.float32(1.3), place, 0, "rings", 0.9)
    out = middle / (np.float32(1.3) * r + np.float32(1e-6)) - 1  # relative distance to the middle of the ring
    return Marks(slot_draws(place.hash(ring, 0, "ring")), s * out, t * out)


def arcs(place: Place) -> Marks:
    """Return the marks of arcs: Voronoi cells about 5 marks wide, each with concentric rings cut into quarters.

    The colours of every second quarter are shifted by one ring.
    """
    wheel, mid_s, mid_t = nearest_points(place, place.s / np.float32(5), place.t / np.float32(5), "wheels")
    s, t = place.s - np.float32(5) * mid_s, place.t - np.float32(5) * mid_t
    r = np.sqrt(s * s + t * t)
    start, inner = unit(wheel), unit(rehash(wheel, 3))
    quarter = np.floor(4 * (turns(t, s) + start))
    ring = np.floor(r * np.float32(1.1) + inner)
    colour = ring + odd(quarter)  # odd quarters have the colours of even ones, one ring further in
    h = rehash(wheel ^ place.hash(colour, 0, "arc"), 1)
    middle = (quarter + np.float32(0.5)) * np.float32(math.tau / 4) - start * np.float32(math.tau)
    mid_r = (ring + np.float32(0.5) - inner) * np.float32(1 / 1.1)
    return Marks(slot_draws(h), mid_r * np.cos(middle) - s, mid_r * np.sin(middle) - t)


def spirals(place: Place) -> Marks:
    """Return the marks of spirals: arms of a logarithmic spiral around a random centre, cut crosswise into pieces."""
    s, t = _from_centre(place, 0.3)
    log_r = np.float32(0.5) * np.log(s * s + t * t + np.float32(1e-4))
    arms = max(3, round(0.9 * place.frequency))
    winding = np.float32(arms * (0.55 if place.draw("hand", 1)[0] < 0.5 else -0.55) / math.log(4.0))
    v = np.float32(arms) * turns(t, s) + winding * log_r
    arm = np.floor(v)
    arm -= np.float32(arms) * np.floor(arm / np.float32(arms))  # arm n of a full turn is arm 0
    length = np.floor(np.float32(1.7) * log_r + unit(place.hash(arm, 1, "cut")))
    return Marks(slot_draws(place.hash(arm, length, "arm")))


def rays(place: Place) -> Marks:
    """Return the marks of rays: equal sectors around a random centre, each cut at random distances from the centre."""
    s, t = _from_centre(place, 0.35)
    n = np.float32(max(8, 2 * round(place.frequency)))
    start = np.float32(place.draw("start", 1)[0])  # of the first sector, so that no border is horizontal
    ray = np.floor(turns(t, s) * n - start)
    ray -= n * np.floor(ray / n)  # the sector that angles of half a turn cut has one number
    r = np.sqrt(s * s + t * t)
    part = np.floor(r * np.float32(4.0 / place.frequency) + unit(place.hash(ray, 1, "break")))
    middle = (ray + np.float32(0.5) + start) * (np.float32(math.tau) / n)
    return Marks(slot_draws(place.hash(ray, part, "ray")), r * np.cos(middle) - s, r * np.sin(middle) - t)
