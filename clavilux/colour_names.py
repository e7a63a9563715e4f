"""English names of colours: the name of a colour, and the colour that a name means.

CIELAB colours -> **here** -> names in descriptions; names and hex codes that users give -> **here** -> sRGB colours
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from difflib import get_close_matches
from functools import cache

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import read_hex, srgb_to_lab, write_hex

Float32 = NDArray[np.float32]

# Each table has pairs of a limit and the words for values below it: `_GREYS` for L*, `_HUES` for the hue in degrees.
_GREYS = ((12.0, "black"), (40.0, "dark grey"), (70.0, "grey"), (92.0, "light grey"), (math.inf, "white"))
_HUES = (  # pure colours of sRGB: red 40, yellow 103, green 136, cyan 196, blue 306, magenta 328
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
_VIOLET_FROM = 297.0  # degrees: smallest hue of light and medium colours that are called violet
_BROWN_BELOW, _BROWN_CHROMA = 45.0, 60.0  # an orange as light and as strong as these is not brown
_PURE = {words for _, words in _HUES} - {"pink"}  # names that sound vivid; pink does not
_GREYISH = 22.0  # chroma below which they are qualified
_ALIKE = 0.75  # least likeness of two words, from 0 to 1, to be a slip of the keyboard


def name_colour(rgb: Float32) -> str:
    """Return an English name for an sRGB colour (3,) in [0, 1], from its lightness, chroma and hue in CIELAB.

    Examples
    --------
    >>> name_colour(np.asarray([0.1, 0.2, 0.6], np.float32))
    'dark blue'
    """
    lab = srgb_to_lab(np.asarray(rgb, np.float32)[None])
    return qualify_name(str(name_colours(lab)[0]), lab[0])


def qualify_name(name: str, lab: Float32) -> str:
    """Return the name of a colour with "greyish" in it if the CIELAB colour (3,) is one of low chroma."""
    *tone, hue = name.split()
    if hue not in _PURE or np.hypot(lab[1], lab[2]) >= _GREYISH:
        return name
    return " ".join((*tone, "greyish", hue))


def name_colours(lab: Float32) -> NDArray[np.str_]:
    """Return the names of CIELAB colours (n, 3)."""
    lightness, chroma = lab[:, 0], np.hypot(lab[:, 1], lab[:, 2])
    hue = np.degrees(np.arctan2(lab[:, 2], lab[:, 1])) % 360
    names = _look_up(_HUES, hue).astype("U16")
    is_orange, is_yellow = names == "orange", names == "yellow"
    names[(is_orange | is_yellow) & (lightness >= 60) & (chroma < 35)] = "beige"
    names[is_orange & (lightness < 60) & ((lightness < _BROWN_BELOW) | (chroma < _BROWN_CHROMA))] = "brown"
    # Only dark colours of these hues look blue, such as the pure blue of sRGB.
    names[(names == "blue") & (hue >= _VIOLET_FROM) & (lightness >= 40)] = "violet"
    names[(names == "pink") & (lightness < 50) & (chroma < 32)] = "mauve"
    is_red = names == "red"
    names[is_red & (lightness >= 55) & (chroma < 32)] = "pink"
    is_brown = is_red & ((lightness < 45) | (lightness < 55) & (chroma >= _GREYISH)) & (chroma < 35) & (hue >= 25)
    names[is_brown] = "brown"
    names[is_yellow & (lightness < 60)] = "olive"
    tones = np.where(lightness < 30, "dark ", np.where((lightness > 80) & (names != "yellow"), "light ", ""))
    grey = (chroma < 10) | ((chroma < 20) & (lightness < 12)) | ((chroma < 14) & (lightness > 93))
    return np.where(grey, _look_up(_GREYS, lightness), np.char.add(tones, names))


def _look_up(table: tuple[tuple[float, str], ...], values: Float32) -> NDArray[np.str_]:
    """Return for each value (n,) the words of the first pair in a table whose limit is above the value."""
    return np.array([words for _, words in table])[np.searchsorted([limit for limit, _ in table], values, side="right")]


def parse_colour(text: object) -> str | None:
    """Return a colour as "#1a2b3c" for text such as "1a2b3c", "#1ab", "red" or "light blue"; None for anything else.

    The names are those of CSS and those that `name_colour` gives, in any case, with or without spaces, with "gray" as
    well as "grey". If CSS means a colour that `name_colour` calls something else, such as for "brown", a typical
    colour of this name is returned. Colours with transparency are not accepted.

    Examples
    --------
    >>> parse_colour("#1AB"), parse_colour("red"), parse_colour("reddish")
    ('#11aabb', '#ff0000', None)
    >>> parse_colour("greyish green")
    '#708070'
    """
    if not isinstance(text, str):
        return None
    word = re.sub("^(?=[0-9a-f]{6}$)", "#", text.strip().lower())
    joined = "".join(word.split()).replace("gray", "grey")
    if not joined.isalpha():
        return _parse_css(word)
    css = _parse_css(joined)
    name, typical = _typical_colours().get(joined, ("", ""))
    return css if css and name in ("", name_colour(read_hex([css])[0])) else typical or None


def close_colour_name(text: object) -> str | None:
    """Return the name of a colour that is spelled nearly like a text, or None; all names suit `parse_colour`."""
    from PIL import ImageColor

    names = {name: name for name in ImageColor.colormap}
    names |= {word: name for word, (name, _) in _typical_colours().items()}
    word = "".join(str(text).lower().split()).replace("gray", "grey")
    near = get_close_matches(word, names, 1, _ALIKE)
    return names[near[0]] if near else None


def _parse_css(word: str) -> str | None:
    from PIL import ImageColor  # Pillow is imported only when it is needed

    with suppress(ValueError):
        rgb = ImageColor.getrgb(word)
        if len(rgb) == 3 and max(rgb) <= 255:
            return "#" + bytes(rgb).hex()
    return None


@cache
def _typical_colours() -> dict[str, tuple[str, str]]:
    """Return for each name that `name_colour` gives, without spaces, the name and the most typical of its colours.

    This is the colour nearest to the mean of all colours with this name.
    """
    steps = np.linspace(0, 1, 17, dtype=np.float32)
    rgb = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    lab = srgb_to_lab(rgb)
    names = np.array([qualify_name(name, colour) for name, colour in zip(name_colours(lab), lab, strict=True)])
    typical = {}
    for name in np.unique(names):
        own = names == name
        nearest = np.linalg.norm(lab[own] - lab[own].mean(axis=0), axis=1).argmin()
        typical[name.replace(" ", "")] = str(name), write_hex(rgb[own][nearest][None])[0]
    return typical
