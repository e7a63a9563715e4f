"""Soft marks from smooth random fields: blobs, strokes, marble, scribble.

Blobs and strokes have one field for each palette slot. Marble has one field for all slots. Scribble draws lines
where fields are zero.
"""

from __future__ import annotations

import numpy as np

from clavilux.painter.marks.hashing import Float32
from clavilux.painter.marks.place import (
    Marks,
    Place,
    normal_to_uniform,
    overlay,
    slot_fields,
    slow_fields,
    triangle_wave,
)


def blobs(place: Place) -> Marks:
    """Return the marks of blobs: soft round shapes of one colour, from a smooth random field for each palette slot."""
    return Marks(slot_fields(place, place.s, place.t, "slot"))


def strokes(place: Place) -> Marks:
    """Return the marks of strokes: parallel soft shapes, about six times as long as wide."""
    return Marks(slot_fields(place, place.s * np.float32(0.2), place.t * np.float32(1.2), "slot"))


def marble(place: Place) -> Marks:
    """Return the marks of marble: folded veins that turn gradually from dark to light and back.

    The veins follow the contour lines of one smooth random field, whose coordinates are distorted by two other fields
    (Perlin 1985).
    """
    s, t = place.s * np.float32(0.35), place.t * np.float32(0.55)
    fold_s = place.smooth_field(s, t, "fold s", n=6) * np.float32(0.45)
    fold_t = place.smooth_field(s, t, "fold t", n=6) * np.float32(0.45)
    height = normal_to_uniform(place.smooth_field(s + fold_s, t + fold_t, "veins"))
    return Marks(triangle_wave(2.0 * height)[None])  # two cycles give more veins


def scribble(place: Place) -> Marks:
    """Return the marks of scribble: three layers of thin winding lines of constant width, on a smooth background."""
    u = slow_fields(place, "ground", 5.0)
    scale = np.float32(0.42)
    s, t = place.s * scale, place.t * scale
    for layer in range(3):
        distance = _distance_to_zero(place, s, t, f"line {layer}") / scale
        u = overlay(distance < np.float32(0.07), slow_fields(place, f"ink {layer}", 9.0), u)
    return Marks(u)


def _distance_to_zero(place: Place, s: Float32, t: Float32, name: str) -> Float32:
    """Return the approximate distance (n,) to where a smooth field is zero: |field| / |gradient|.

    The gradient is computed by finite differences.
    """
    step = np.float32(0.02)
    w = place.smooth_field(s, t, name, n=7)
    slope_s = place.smooth_field(s + step, t, name, n=7) - w
    slope_t = place.smooth_field(s, t + step, name, n=7) - w
    slope = np.sqrt(slope_s * slope_s + slope_t * slope_t + np.float32(1e-9))
    np.abs(w, out=w)
    w *= step
    w /= slope
    return w
