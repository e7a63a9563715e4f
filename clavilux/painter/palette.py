"""The palette of a composition: a full range of lightness, and one accent.

palette of the controls, share of each slot -> **here** -> colours in CIELAB, shifted as the controls say

Palettes of real abstract art differ in lightness by 60 and more within a picture, and most have a dominant colour, a
second one and a small saturated one. A palette that has less is widened, and one slot that is small becomes the accent.
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import lab_to_srgb, srgb_to_lab
from clavilux.constants import SLOTS
from clavilux.painter.raster import Float32

_MEAN = 30.0, 84.0  # least and largest mean lightness of a picture, in L*
_DEVIATION = 26.0  # least standard deviation of lightness over the picture, in L*
_WIDEST = 2.6  # largest factor by which it is widened
_RANGE = 60.0  # least difference between the lightest and the darkest slot, in L*
_DARKEST, _LIGHTEST = 6.0, 97.0
_ACCENT_AREA = (0.002, 0.12)  # share of the picture that an accent may cover
_ACCENT_CHROMA = 36.0, 64.0  # an accent has this much more chroma than the picture, up to the second
_ACCENT_LIGHTNESS = (38.0, 78.0)
_PIGMENTS = (  # CIELAB of pigments that painters use for accents; an accent that the palette lacks is one of them
    (46, 60, 38), (56, 58, 54), (68, 34, 66), (80, 8, 72), (60, -34, 20), (52, -22, -16), (45, 2, -44), (36, 24, -52),
    (44, 44, -12),
)  # fmt: skip
_COLOURFUL = 30.0  # chroma from which a palette has a hue for its accent; otherwise the accent is nearly complementary
_ONE_HUE = 0.93  # length of the mean chroma vector over the mean chroma, from which a palette has one hue only
_CLEAR, _TINTED = 20.0, 4.0  # chroma from which a slot has a clear hue, and from which it has any
_DIFFERENT = 0.7  # radians from the mean hue from which a slot has a hue of its own
_OPPOSITE = 2.5  # radians from the mean hue
_DIMMED = 0.25  # share of the lightness that white loses at lightness -1
_WARM = (14.0, 24.0)  # a* and b* that are added at warmth 1: towards orange
_FAIR_SHARE = 0.4  # of an equal share: least area of each colour that is placed
_ROUNDS = 12  # of the bisection for the largest chroma inside the gamut
_INSIDE = 0.5  # CIELAB distance of a colour to its clipped one up to which it is inside


def compose_palette(
    palette: Float32, share: NDArray[np.floating], at_focus: NDArray[np.floating]
) -> tuple[Float32, int]:
    """Return the colours of a picture, (8, 3) in CIELAB inside the gamut of sRGB, and the slot of the accent.

    Parameters
    ----------
    palette : (8, 3) float32
        sRGB, dark to light.
    share : (8,)
        Share of the picture that each slot covers.
    at_focus : (8,)
        Share of each slot that lies near the focus; the accent prefers it.
    """
    lab = srgb_to_lab(palette).astype(np.float64)
    weight = np.maximum(share, 1e-4)
    lab[:, 0] = _widen(lab[:, 0], weight / weight.sum())
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    small = [k for k in range(SLOTS) if _ACCENT_AREA[0] < share[k] < _ACCENT_AREA[1]] or [int(share.argmin())]
    accent = max(small, key=lambda k: chroma[k] + 40 * at_focus[k])
    mean = math.atan2(weight @ lab[:, 2], weight @ lab[:, 1])
    pull = np.hypot(weight @ lab[:, 1], weight @ lab[:, 2]) / max(float(weight @ chroma), 1e-6)
    of = accent if chroma[accent] >= _CLEAR else int(chroma.argmax())
    hue = math.atan2(lab[of, 2], lab[of, 1])
    colour = lab[accent].copy()
    if chroma.max() < _COLOURFUL or pull > _ONE_HUE:
        # The colour that differs most from the rest if there is one, otherwise nearly the complement, on either side.
        turns = (np.arctan2(lab[:, 2], lab[:, 1]) - mean + math.pi) % math.tau - math.pi
        far = int(np.where(chroma >= _TINTED, np.abs(turns), 0).argmax())
        turn = turns[far] if abs(turns[far]) > _DIFFERENT else _OPPOSITE * (-1) ** accent
        pigments = np.array(_PIGMENTS, np.float64)
        off = (np.arctan2(pigments[:, 2], pigments[:, 1]) - mean - turn + math.pi) % math.tau - math.pi
        colour = pigments[np.abs(off).argmin()]
        hue = math.atan2(colour[2], colour[1])
    strength = min(max(float(chroma[accent]), weight @ chroma + _ACCENT_CHROMA[0]), _ACCENT_CHROMA[1])
    lab[accent, 1:] = max(strength, float(chroma[accent])) * np.array([math.cos(hue), math.sin(hue)])
    lab[accent, 0] = np.clip(colour[0], *_ACCENT_LIGHTNESS)
    return srgb_to_lab(lab_to_srgb(lab.astype(np.float32))), accent


def place_colours(colours: Float32, palette: Float32, share: NDArray[np.floating]) -> Float32:
    """Return 2 to 8 colours, repeated for the eight slots from dark to light, (8, 3) sRGB.

    Each colour covers neighbouring slots, so that it lies where the palette of the song is about as dark or light, and
    no colour covers much less than the others if the areas of the slots allow it.

    Parameters
    ----------
    colours : (n, 3) float32
        sRGB, in any order.
    palette : (8, 3) float32
        sRGB of the song, dark to light.
    share : (8,)
        Share of the picture that each slot covers.
    """
    lightness = srgb_to_lab(colours)[:, 0]
    order = np.argsort(lightness, kind="stable")
    wanted, given = _ranks(lightness[order]), _ranks(srgb_to_lab(palette)[:, 0])
    cuts = [(0, *inner) for inner in combinations(range(1, SLOTS), len(colours) - 1)]
    areas = np.stack([np.add.reduceat(share, cut) for cut in cuts])
    least = areas.min(axis=1)
    fair = least >= min(_FAIR_SHARE / len(colours), float(least.max()))
    owners = np.stack([np.searchsorted(cut, np.arange(SLOTS), side="right") - 1 for cut in cuts])
    cost = (share * (wanted[owners] - given) ** 2).sum(axis=1)
    return np.asarray(colours[order][owners[np.where(fair, cost, np.inf).argmin()]], np.float32)


def _ranks(lightness: Float32) -> Float32:
    """Return lightness, scaled from 0 for the darkest to 1 for the lightest."""
    return np.asarray((lightness - lightness.min()) / max(float(np.ptp(lightness)), 1e-6), np.float32)


def shift_colours(lab: Float32, lightness: float, saturation: float, warmth: float) -> Float32:
    """Return colours (n, 3) in CIELAB, shifted and inside the gamut of sRGB; where all shifts are 0, unchanged.

    Parameters
    ----------
    lab : (n, 3) float32
    lightness : float
        From -1 to 1; L* = 50 becomes 19 to 81, and the lightest colours get darker too.
    saturation : float
        From -1, grey, to 1, twice the chroma.
    warmth : float
        From -1, towards blue, to 1, towards orange.
    """
    if not (lightness or saturation or warmth):
        return lab
    shifted = lab.astype(np.float64)
    shifted[:, 0] = shift_lightness(shifted[:, 0], lightness)
    shifted[:, 1:] *= 1 + saturation
    shifted[:, 1:] += warmth * np.array(_WARM)
    return _into_gamut(shifted)


def shift_lightness(values: NDArray[np.float64], shift: float) -> NDArray[np.float64]:
    """Return values of L* from 0 to 100, darker for a shift from -1 to 0; up to 1 they are lighter in the same way."""
    share = np.clip(values, 0, 100) / 100
    toned = (1 - share if shift > 0 else share) ** 2 ** abs(shift) * (1 - _DIMMED * abs(shift))
    return np.asarray(100 * (1 - toned if shift > 0 else toned))


def _into_gamut(lab: NDArray[np.float64]) -> Float32:
    """Return colours with the largest chroma, up to their own, that sRGB has at their lightness and hue."""
    low, high = np.zeros(len(lab)), np.ones(len(lab))
    share = high
    for _ in range(_ROUNDS):
        scaled = lab * np.stack([np.ones(len(lab)), share, share], axis=1)
        clipped = srgb_to_lab(lab_to_srgb(scaled.astype(np.float32)))
        is_inside = np.linalg.norm(clipped - scaled, axis=1) < _INSIDE
        low, high = np.where(is_inside, share, low), np.where(is_inside, high, share)
        share = np.where(low == 1, 1, (low + high) / 2)
    lab[:, 1:] *= low[:, None]
    return srgb_to_lab(lab_to_srgb(lab.astype(np.float32)))


def _widen(lightness: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return lightness, stretched around its mean to the least deviation and range."""
    mean = float(weight @ lightness)
    lightness = lightness + np.clip(mean, *_MEAN) - mean
    mean = float(np.clip(mean, *_MEAN))
    deviation = math.sqrt(weight @ (lightness - mean) ** 2)
    wide = mean + (lightness - mean) * np.clip(_DEVIATION / max(deviation, 1), 1, _WIDEST)
    low, span = wide.min(), np.ptp(wide)
    if span < _RANGE:
        wide = (wide - low) / (span + 1e-6) * _RANGE + np.clip(mean - _RANGE / 2, 8, 36)
    # What lies beyond the darkest or the lightest value is brought back on its own side, so that the mean stays.
    above, below = max(1.0, (wide.max() - mean) / (_LIGHTEST - mean)), max(1.0, (mean - wide.min()) / (mean - _DARKEST))
    return np.asarray(mean + (wide - mean) / np.where(wide > mean, above, below))
