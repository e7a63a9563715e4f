"""The palette of a composition: a full range of lightness, and one accent.

palette of the controls, area of each palette slot -> **here** -> colours in CIELAB, shifted as the controls say

In real abstract art, the darkest and the lightest colour of a picture differ by 60 or more in L*. Most pictures have a
dominant colour, a second one, and a saturated one in small areas. Therefore a palette with a smaller range of lightness
is widened, and one palette slot that covers little of the picture gets a saturated colour, the accent. Viewers prefer
colours that are clearly dark or clearly light (research/diary/figures.md), so the others move away from the middle.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import lab_to_srgb, srgb_to_lab, to_bytes
from clavilux.constants import SLOTS
from clavilux.errors import PictureError
from clavilux.painter.raster import Float32, UInt8, find_areas
from clavilux.system.arguments import show

_MEAN = 30.0, 84.0  # least and largest mean lightness of a picture, in L*
_DEVIATION = 26.0  # least standard deviation of lightness over the picture, in L*
_WIDEST = 2.6  # largest factor by which this deviation is widened
_RANGE = 60.0  # least difference between the lightest and the darkest slot, in L*
_PARTED = 0.6  # power that moves lightness away from the middle; 1 leaves it, 0 leaves only two values
_LEAST_SIDE = 0.35  # of the range of lightness: the middle is at least this far from the darkest and the lightest slot
_DARKEST, _LIGHTEST = 6.0, 97.0  # L*: limits of a widened palette
_ACCENT_AREA = (0.002, 0.12)  # least and largest share of the picture that an accent may cover
_ACCENT_CHROMA = 36.0, 64.0  # least chroma of an accent: mean chroma plus the first number, at most the second
_ACCENT_LIGHTNESS = (38.0, 78.0)  # L*: least and largest
# CIELAB of pigments that painters use for accents. If no colour of the palette gives a hue, the accent is one of them.
_PIGMENTS = (
    (46, 60, 38), (56, 58, 54), (68, 34, 66), (80, 8, 72), (60, -34, 20), (52, -22, -16), (45, 2, -44), (36, 24, -52),
    (44, 44, -12),
)  # fmt: skip
_ECHOES = 2  # largest number of small areas in which the accent comes back
_ECHO_AREA = 0.0006, 0.012  # least and largest share of the picture that such an area covers
_ECHO_CONTRAST = 12.0  # L*: least difference between the colour of such an area and the accent
_ECHO_APART = 0.2  # short sides: least distance of such an area from areas of the accent
_COLOURFUL = 30.0  # least chroma at which a colour of the palette may give the accent its hue
_ONE_HUE = 0.93  # a palette has only one hue if its mean (a*, b*) is longer than this share of its mean chroma
_CLEAR, _TINTED = 20.0, 4.0  # chroma from which a slot has a clear hue, and chroma from which it has a hue at all
_DIFFERENT = 0.7  # radians: a slot that is farther than this from the mean hue has a hue of its own
_OPPOSITE = 2.5  # radians between the mean hue and a nearly complementary hue
_DIMMED = 0.25  # share of the lightness that white loses at a shift of lightness of -1
WARM = (14.0, 24.0)  # a* and b* that are added at a warmth of 1: towards orange
_FAIR_SHARE = 0.4  # least area of a placed colour, as a share of its area if all colours had equal areas
_ROUNDS = 12  # of the bisection for the largest chroma inside the gamut
_INSIDE = 0.5  # a colour is inside the gamut if clipping moves it by less than this distance in CIELAB


def compose_palette(
    palette: Float32, share: NDArray[np.floating], at_focus: NDArray[np.floating]
) -> tuple[Float32, int]:
    """Widen the range of lightness of a palette, and give it an accent: a strong colour that covers a small area.

    Returns the colours, (8, 3) in CIELAB inside the gamut of sRGB, and the palette slot of the accent, 0 to 7.

    Parameters
    ----------
    palette : (8, 3) float32
        sRGB in [0, 1], dark to light.
    share : (8,)
        Fraction of the picture that each palette slot covers.
    at_focus : (8,)
        Fraction of the area of each slot that lies near the focus. Slots with large fractions are preferred as accent.
    """
    lab = srgb_to_lab(palette).astype(np.float64)
    weight = np.maximum(share, 1e-4)
    areas = weight / weight.sum()
    lab[:, 0] = _part(_widen(lab[:, 0], areas), areas)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    small = [k for k in range(SLOTS) if _ACCENT_AREA[0] < share[k] < _ACCENT_AREA[1]] or [int(share.argmin())]
    accent = max(small, key=lambda k: chroma[k] + 40 * at_focus[k])
    mean = math.atan2(weight @ lab[:, 2], weight @ lab[:, 1])
    pull = np.hypot(weight @ lab[:, 1], weight @ lab[:, 2]) / max(float(weight @ chroma), 1e-6)
    of = accent if chroma[accent] >= _CLEAR else int(chroma.argmax())
    hue = math.atan2(lab[of, 2], lab[of, 1])
    colour = lab[accent].copy()
    if chroma.max() < _COLOURFUL or pull > _ONE_HUE:
        # The hue that differs most from the mean if a slot has one of its own, otherwise a nearly complementary hue.
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


def echo_accent(slots: UInt8, accent: int, palette: Float32) -> UInt8:
    """Return the palette slots, with the accent in up to `_ECHOES` small areas far from where it already is.

    Parameters
    ----------
    slots : (h, w) uint8
        Palette slot of each cell.
    accent : int
        Palette slot of the accent.
    palette : (8, 3) float32
        CIELAB.
    """
    area = find_areas(slots).ravel()
    size = np.bincount(area)
    fit = np.flatnonzero((size > _ECHO_AREA[0] * area.size) & (size < _ECHO_AREA[1] * area.size))
    fit = fit[np.abs(palette[slots.ravel()[fit], 0] - palette[accent, 0]) > _ECHO_CONTRAST]
    slots = slots.copy()
    for _ in range(_ECHOES):
        there = np.argwhere(slots == accent)
        if not fit.size or not len(there):
            break
        places = np.stack(np.divmod(fit, slots.shape[1]), axis=1)
        apart = np.linalg.norm(places[:, None] - there[None, :: max(1, len(there) // 200)], axis=2).min(axis=1)
        best = apart.argmax()
        if apart[best] < _ECHO_APART * min(slots.shape):
            break
        slots.ravel()[area == fit[best]] = accent
        fit = np.delete(fit, best)
    return slots


def place_colours(colours: Float32, palette: Float32, share: NDArray[np.floating]) -> Float32:
    """Return a palette (8, 3), sRGB, that consists of only 2 to 8 given colours, sorted from dark to light.

    Each colour fills one or more neighbouring palette slots. In these slots, the palette of the song has a similar
    lightness, if the lightness of both palettes is scaled to the range from 0 to 1. If the areas of the slots allow
    it, each of n colours covers at least 0.4 / n of the picture.

    Parameters
    ----------
    colours : (n, 3) float32
        sRGB, in any order.
    palette : (8, 3) float32
        sRGB of the palette of the song, dark to light.
    share : (8,)
        Fraction of the picture that each slot covers.
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
    """Return values of lightness, scaled linearly so that the darkest becomes 0 and the lightest becomes 1."""
    return np.asarray((lightness - lightness.min()) / max(float(np.ptp(lightness)), 1e-6), np.float32)


def shift_colours(lab: Float32, lightness: float, saturation: float, warmth: float) -> Float32:
    """Return colours (n, 3) in CIELAB with changed lightness, saturation and warmth, inside the gamut of sRGB.

    If all three changes are 0, the given colours are returned.

    Parameters
    ----------
    lab : (n, 3) float32
    lightness : float
        From -1 (darker) to 1 (lighter). At -1, L* = 50 becomes 19, and white becomes 75. At 1, L* = 50 becomes 81, and
        black becomes 25.
    saturation : float
        From -1 (grey) to 1 (twice the chroma).
    warmth : float
        From -1 (towards blue) to 1 (towards orange).
    """
    if not (lightness or saturation or warmth):
        return lab
    shifted = lab.astype(np.float64)
    shifted[:, 0] = shift_lightness(shifted[:, 0], lightness)
    shifted[:, 1:] *= 1 + saturation
    shifted[:, 1:] += warmth * np.array(WARM)
    return _into_gamut(shifted)


def shift_lightness(values: NDArray[np.float64], shift: float) -> NDArray[np.float64]:
    """Return darker values of L* (0 to 100) for a shift from -1 to 0, lighter ones for a shift from 0 to 1.

    A shift of s changes the distance from white in the same way as a shift of -s changes the distance from black.
    """
    share = np.clip(values, 0, 100) / 100
    toned = (1 - share if shift > 0 else share) ** 2 ** abs(shift) * (1 - _DIMMED * abs(shift))
    return np.asarray(100 * (1 - toned if shift > 0 else toned))


def _into_gamut(lab: NDArray[np.float64]) -> Float32:
    """Return CIELAB colours, their chroma lowered as far as the gamut of sRGB requires; lightness and hue are kept."""
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
    """Return L* values, shifted to a moderate mean, and stretched to a large enough standard deviation and range.

    ``weight`` is the weight of each value in the mean and the standard deviation; the sum of the weights is 1.
    """
    mean = float(weight @ lightness)
    lightness = lightness + np.clip(mean, *_MEAN) - mean
    mean = float(np.clip(mean, *_MEAN))
    deviation = math.sqrt(weight @ (lightness - mean) ** 2)
    wide = mean + (lightness - mean) * np.clip(_DEVIATION / max(deviation, 1), 1, _WIDEST)
    low, span = wide.min(), np.ptp(wide)
    if span < _RANGE:
        wide = (wide - low) / (span + 1e-6) * _RANGE + np.clip(mean - _RANGE / 2, 8, 36)
    # If one side of the mean exceeds its limit, that side is scaled back towards the mean.
    above, below = max(1.0, (wide.max() - mean) / (_LIGHTEST - mean)), max(1.0, (mean - wide.min()) / (mean - _DARKEST))
    return np.asarray(mean + (wide - mean) / np.where(wide > mean, above, below))


def _part(lightness: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return L* values, moved away from their weighted mean, so that colours are clearly dark or clearly light.

    The darkest and the lightest value stay. The sum of the weights is 1.
    """
    low, span = lightness.min(), max(float(np.ptp(lightness)), 1e-6)
    middle = low + float(np.clip((weight @ lightness - low) / span, _LEAST_SIDE, 1 - _LEAST_SIDE)) * span
    side = np.where(lightness > middle, low + span - middle, low - middle)
    return np.asarray(middle + side * ((lightness - middle) / side) ** _PARTED)


def write_colours(palette: Any) -> Any:
    """Return a palette of sRGB numbers as a tuple of text such as "#1a2b3c"; text in it is not changed.

    Parameters
    ----------
    palette : array (n, 3) or sequence
        Each colour is text, or three whole numbers from 0 to 255, or three floats from 0 to 1, or a colour of
        `Picture.colours`. A value of another type is returned as it is.

    Raises
    ------
    PictureError
        If a colour is neither text nor such numbers.

    Examples
    --------
    >>> write_colours([(255, 0, 0), (1.0, 1.0, 1.0), "#1a2b3c"])
    ('#ff0000', '#ffffff', '#1a2b3c')
    """
    if not (isinstance(palette, list | tuple) or (isinstance(palette, np.ndarray) and palette.ndim)):
        return palette
    return tuple(colour if isinstance(colour, str) else _write_colour(colour) for colour in palette)


def _write_colour(colour: Any) -> str:
    if isinstance(code := getattr(colour, "hex", None), str):  # a `MainColour`
        return code
    try:
        rgb = np.asarray(colour)
    except ValueError:  # lists of different lengths
        rgb = np.asarray(None)
    largest = {"i": 255, "u": 255, "f": 1}.get(rgb.dtype.kind)
    if largest is None or rgb.shape != (3,) or not (rgb.min() >= 0 and rgb.max() <= largest):
        raise PictureError(
            f"palette has the colour {show(colour)}; a colour is written as #1a2b3c, or given as three whole numbers "
            "from 0 to 255, or three floats from 0 to 1"
        )
    return "#" + bytes(to_bytes(rgb) if largest == 1 else rgb.astype(np.uint8)).hex()
