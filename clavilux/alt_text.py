"""Describe a picture in words, for people who cannot see it.

pixels and controls -> **here** -> the description inside a picture file, and beside it
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import lab_to_srgb, srgb_to_lab
from clavilux.painter.controls import Controls
from clavilux.painter.marks import MARKS
from clavilux.painter.palette import shift_colours
from clavilux.painter.surfaces import SURFACES

Float32 = NDArray[np.float32]

_STEP_PX, _MOST_SAMPLES = 8, 128  # every eighth row and column, and at most this many of each
_LEAST_SHARE = 0.02  # of the picture, for a colour to be named
_LAYOUT_L = 6.0  # difference of L* between two parts of a picture that is named
_CONTRASTS = ((10.0, "low contrast"), (22.0, "medium contrast"), (math.inf, "high contrast"))  # deviation of L*
_SYMMETRIC = 0.75  # correlation with the mirror image from which a picture is called symmetric
_GREYS = ((12.0, "black"), (40.0, "dark grey"), (70.0, "grey"), (92.0, "light grey"), (math.inf, "white"))
_HUES = (  # upper limit in degrees; the hues of sRGB are red 40, yellow 103, green 136, cyan 196, blue 306, magenta 328
    (12.0, "pink"),
    (50.0, "red"),
    (82.0, "orange"),
    (112.0, "yellow"),
    (170.0, "green"),
    (230.0, "turquoise"),
    (307.0, "blue"),
    (322.0, "violet"),
    (345.0, "magenta"),
    (math.inf, "pink"),
)


def describe_picture(pixels: NDArray[np.uint8], controls: Controls | None) -> str:
    """Return a description of two sentences: first colours and marks, then layout, contrast and symmetry.

    At most three colours are named, each of at least 2 % of the picture, the one with the largest area first.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        sRGB.
    controls : Controls or None
        What was painted; None for a picture that was decoded as pixels, of which only the mean colour is named.
    """
    sample = sample_pixels(pixels)
    lightness = srgb_to_lab(sample)[..., 0]
    looks = "; ".join([*_describe_layout(lightness), _describe_contrast(lightness), *_describe_symmetry(lightness)])
    first = _describe_colours_and_marks(sample, controls)
    return f"{first} {looks[0].upper()}{looks[1:]}."


def sample_pixels(pixels: NDArray[np.uint8]) -> Float32:
    """Return a sample of the pixels of a picture (H, W, 3) uint8: (h, w, 3) float32 in [0, 1], same colour space.

    Every eighth row and column is used, or fewer, so that h and w are at most 128.
    """
    down, across = (max(_STEP_PX, -(-side // _MOST_SAMPLES)) for side in pixels.shape[:2])
    return pixels[down // 2 :: down, across // 2 :: across].astype(np.float32) / np.float32(255)


def measure_shares(sample: Float32, palette: Float32) -> NDArray[np.float64]:
    """Return, for each palette colour (n, 3), the fraction of samples (h, w, 3) that are nearest to it: (n,), sum 1.

    Distances are Euclidean, in the colour space of both arguments.
    """
    nearest = ((sample.reshape(-1, 1, 3) - palette) ** 2).sum(axis=2).argmin(axis=1)
    return np.asarray(np.bincount(nearest, minlength=len(palette)) / nearest.size, np.float64)


def _describe_colours_and_marks(sample: Float32, controls: Controls | None) -> str:
    palette = sample.mean(axis=(0, 1))[None] if controls is None else _shifted_palette(controls)
    shares = measure_shares(sample, palette)
    seen = [k for k in np.argsort(-shares, kind="stable") if shares[k] >= _LEAST_SHARE]
    colours = list(dict.fromkeys(name_colour(palette[k]) for k in seen))[:3]
    colour_text = colours[0] if len(colours) == 1 else f"{', '.join(colours[:-1])} and {colours[-1]}"
    if controls is None:
        return f"Blurred abstract picture, {colour_text} on average."
    marks = " and ".join(dict.fromkeys(MARKS[k].description for k in (controls.kind, controls.second_kind) if k))
    return f"Abstract picture, {SURFACES[controls.surface].words}, in {colour_text}: {marks}."


def _shifted_palette(controls: Controls) -> Float32:
    """Return the palette as lighter, warmer and so on as the controls say, (8, 3) sRGB."""
    if not (controls.lightness or controls.saturation or controls.warmth):
        return controls.palette
    lab = srgb_to_lab(controls.palette)
    return lab_to_srgb(shift_colours(lab, controls.lightness, controls.saturation, controls.warmth))


def _describe_layout(lightness: Float32) -> list[str]:
    """Return where the picture is light, from the L* (h, w) of its thirds; an even picture says so."""
    rows, columns = (np.array_split(lightness, 3, axis=axis) for axis in (0, 1))
    top, bottom, left, right = (float(part.mean()) for part in (rows[0], rows[2], columns[0], columns[2]))
    places = []
    if abs(top - bottom) >= _LAYOUT_L:
        places.append("at the top" if top > bottom else "at the bottom")
    if abs(left - right) >= _LAYOUT_L:
        places.append("on the left" if left > right else "on the right")
    if places:
        return [f"lighter {' and '.join(places)}"]
    height, width = lightness.shape
    middle = lightness[height // 4 : height - height // 4, width // 4 : width - width // 4]
    rim = (float(lightness.sum()) - float(middle.sum())) / max(1, lightness.size - middle.size)
    if abs(float(middle.mean()) - rim) >= _LAYOUT_L:
        return [f"{'lighter' if float(middle.mean()) > rim else 'darker'} in the middle"]
    return ["evenly filled"]


def _describe_contrast(lightness: Float32) -> str:
    return next(words for limit, words in _CONTRASTS if float(lightness.std()) < limit)


def _describe_symmetry(lightness: Float32) -> list[str]:
    """Return which halves are nearly mirror images, from the correlation of the L* (h, w) with its mirror image."""
    apart = lightness - lightness.mean()
    power = float((apart * apart).sum()) + 1e-9
    halves = ((apart[:, ::-1], "left and right"), (apart[::-1], "upper and lower"))
    return [
        f"{names} half nearly mirror each other"
        for image, names in halves
        if float((apart * image).sum()) / power >= _SYMMETRIC
    ]


def name_colour(rgb: Float32) -> str:
    """Return the English name of an sRGB colour (3,) in [0, 1], by its lightness, chroma and hue in CIELAB.

    Examples
    --------
    >>> name_colour(np.asarray([0.1, 0.2, 0.6], np.float32))
    'dark blue'
    """
    lightness, a, b = (float(value) for value in srgb_to_lab(rgb))
    chroma, hue = math.hypot(a, b), math.degrees(math.atan2(b, a)) % 360
    if chroma < 10:  # perceived as grey
        return next(name for limit, name in _GREYS if lightness < limit)
    name = next(name for limit, name in _HUES if hue < limit)
    if name in ("orange", "yellow"):
        if lightness < 60:
            name = "brown" if name == "orange" else "olive"
        elif chroma < 35:
            name = "beige"
    tone = "dark " if lightness < 30 else "light " if lightness > 80 and name != "yellow" else ""
    return tone + name
