"""Marks of liquid paint: splatter, drips."""

from __future__ import annotations

import numpy as np

from clavilux.painter.marks.hashing import choose, happens, rehash, unit
from clavilux.painter.marks.place import Marks, Place, overlay, slot_draws, slow_fields


def splatter(place: Place) -> Marks:
    """Return the marks of splatter: round splashes with ragged edges, small ones over large ones.

    The splashes have four ranges of sizes, and lie on a smooth background.
    """
    h = np.zeros_like(place.s, np.uint32)
    for octave, size in enumerate((3.6, 1.7, 0.8, 0.4)):
        s, t = place.s / np.float32(size), place.t / np.float32(size)
        ragged = np.float32(0.06) * place.smooth_field(s * 4, t * 4, f"edge {octave}", n=5)
        for dj in (0, 1):
            for di in (0, 1):
                i, j = np.floor(s - np.float32(0.5)) + np.float32(di), np.floor(t - np.float32(0.5)) + np.float32(dj)
                one = place.hash(i, j, f"splash {octave}")
                ds = s - i - np.float32(0.25) - np.float32(0.5) * unit(rehash(one, 1))
                dt = t - j - np.float32(0.25) - np.float32(0.5) * unit(rehash(one, 2))
                r = np.float32(0.1) + np.float32(0.32) * unit(rehash(one, 3)) ** 2 + ragged
                h = choose((ds * ds + dt * dt < r * np.abs(r)) & happens(one, 5, 0.42), rehash(one, 4), h)
    return Marks(overlay(h > 0, slot_draws(h), slow_fields(place, "ground", 6.0)))


def drips(place: Place) -> Marks:
    """Return the marks of drips: rows of bars with round ends and random lengths and widths, on a smooth background."""
    j = np.floor(place.t)
    across = place.t - j - np.float32(0.5)
    length = np.float32(4.0)
    v = place.s / length + unit(place.hash(j, 0, "shift")) * 7
    near = np.floor(v + np.float32(0.5))
    border = near + (unit(place.hash(near, j, "end")) - np.float32(0.5)) * np.float32(0.8)
    past_end = np.maximum(np.float32(0.5) - np.abs(v - border) * length, 0)
    width = np.float32(0.30) + np.float32(0.18) * unit(place.hash(j, 1, "width"))
    run = across * across + past_end * past_end < width * width
    h = place.hash(near - (v < border), j, "run")
    return Marks(overlay(run, slot_draws(h), slow_fields(place, "ground", 6.0)))
