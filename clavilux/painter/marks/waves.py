"""Soft marks: every slot has its own smooth field (blobs, strokes), all share one (marble), or lines follow where such
fields are zero (scribble)."""

from __future__ import annotations

import numpy as np

from clavilux.painter.marks.chance import Float32
from clavilux.painter.marks.place import Marks, Place, calm, lay_over, normal_to_uniform, slot_fields, triangle_wave


def blobs(place: Place) -> Marks:
    """Soft round shapes."""
    return Marks(slot_fields(place, place.s, place.t, "slot"))


def strokes(place: Place) -> Marks:
    """Long strokes of a loaded brush: smooth fields, six times as long as wide."""
    return Marks(slot_fields(place, place.s * np.float32(0.2), place.t * np.float32(1.2), "slot"))


def marble(place: Place) -> Marks:
    """Veins from dark to light: one smooth field over a place that two others have folded (Perlin 1985)."""
    s, t = place.s * np.float32(0.35), place.t * np.float32(0.55)
    fold_s = place.waves(s, t, "fold s", n=6) * np.float32(0.45)
    fold_t = place.waves(s, t, "fold t", n=6) * np.float32(0.45)
    height = normal_to_uniform(place.waves(s + fold_s, t + fold_t, "veins"))
    return Marks(triangle_wave(2.0 * height)[None])  # twice up and down: as many veins, half as steep


def scribble(place: Place) -> Marks:
    """Thin lines of one width that wander over calm grounds, in three layers."""
    u = calm(place, "ground", 5.0)
    scale = np.float32(0.42)
    s, t = place.s * scale, place.t * scale
    for layer in range(3):
        distance = _distance_to_zero(place, s, t, f"line {layer}") / scale
        u = lay_over(distance < np.float32(0.07), calm(place, f"ink {layer}", 9.0), u)
    return Marks(u)


def _distance_to_zero(place: Place, s: Float32, t: Float32, name: str) -> Float32:
    """About how far the zero line of a smooth field is: value over slope, by differences."""
    step = np.float32(0.02)
    w = place.waves(s, t, name, n=7)
    slope_s = place.waves(s + step, t, name, n=7) - w
    slope_t = place.waves(s, t + step, name, n=7) - w
    slope = np.sqrt(slope_s * slope_s + slope_t * slope_t + np.float32(1e-9))
    np.abs(w, out=w)
    w *= step
    w /= slope
    return w
