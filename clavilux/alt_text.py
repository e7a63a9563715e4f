"""Describe a picture in words, for people who cannot see it.

The description is stored inside each picture file, and in a text file beside it if the user asks for one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import read_hex, srgb_to_lab, write_hex
from clavilux.colour_names import name_colour, name_colours, qualify_name
from clavilux.painter.controls import Controls
from clavilux.painter.figures import FIGURES, figure_names, name_side
from clavilux.painter.palette import WARM
from clavilux.painter.raster import find_areas
from clavilux.painter.surfaces import SURFACES

if TYPE_CHECKING:
    from clavilux.painter.composition import Composition

Float32 = NDArray[np.float32]
UInt8 = NDArray[np.uint8]

_CELLS = 4096  # number of cells that a picture is averaged to, so that its size does not change the words
_MOST_NAMED = 3  # largest number of colours in a description
_MIN_SHARE = 0.02  # fraction of the picture that a colour must cover to be named
_LEAST_GAIN = 0.4  # of a named colour: smallest share times distance in CIELAB from those that are named before it
_SAME = 3.0  # CIELAB distance below which two colours with different names are one colour
_ACCENT_SHARES = 0.003, 0.1  # smallest and largest fraction of the picture that an accent covers
_ACCENT_CHROMA = 40.0  # smallest chroma of an accent
_ACCENT_LOUDER = 15.0  # smallest difference of its chroma from the mean chroma of the picture
_ACCENT_APART = 35.0  # smallest distance in CIELAB of an accent from every colour that is named before it
_MIN_DIFFERENCE_L = 6.0  # smallest difference in mean L* between two parts of a picture to be mentioned
_OPAQUE = 128  # smallest alpha of what is described in a transparent picture
_OFF_CENTRE = 0.1  # of a side: smallest distance of a figure from the middle of the picture to be mentioned
_ACROSS_PICTURE = 0.7  # of a side: smallest length of nine tenths of a figure that has no place along this side
_ACROSS = 0.15  # smallest distance in sRGB of the cells on both sides of a mixture
_MIXED = 0.1  # fraction of this distance: how far a mixture is from both at least, and from the line between them
_BORDER = 15.0  # distance in CIELAB of neighbouring cells between which there is a border
# Each table has pairs of a limit and the words for values below it. `_CONTRASTS` is about the standard deviation of L*,
# `_TONES` about its mean, `_COLOURS` about the mean chroma, and `_BUSYNESS` about the share of neighbouring cells with
# a border between them, times the number of areas, which agrees better with how busy a picture looks than each of them
# (research/diary/figures.md). The limits of the last two are about thirds of pictures of 150 training songs. What is in
# the middle is not mentioned for colours only.
_CONTRASTS = ((17.0, "low contrast"), (24.5, "medium contrast"), (math.inf, "high contrast"))
_TONES = ((41.0, "dark overall"), (55.0, "of medium lightness"), (math.inf, "light overall"))
_COLOURS = ((18.5, "muted colours"), (30.0, ""), (math.inf, "vivid colours"))
_BUSYNESS = ((5.7, "calm"), (11.7, "neither calm nor busy"), (math.inf, "busy"))
_LEAST_AREA = 16  # cells of the composition that an area has at least to be counted


class MainColour(NamedTuple):
    """A main colour of a picture."""

    name: str  # from `name_colour`
    hex: str  # sRGB, such as "#1a2b3c"
    share: float  # fraction of the picture, 0 to 1


class Look(NamedTuple):
    """Measures of a whole picture, from `measure_look`, with which two pictures can be compared without seeing them."""

    lightness: float  # mean L*, 0 (black) to 100 (white)
    contrast: float  # standard deviation of L*
    chroma: float  # mean chroma of CIELAB, 0 (grey) to about 100
    warmth: float  # mean of a* and b* along `WARM`: above 0 towards orange, below 0 towards blue
    borders: float  # share of neighbouring cells with a border between them, 0 to 1
    areas: int | None  # number of areas of one colour that can be seen; None for pictures without controls


@dataclass(frozen=True, eq=False)
class Cells:
    """The means of the cells of a picture, about `_CELLS`, from which it is described; see `average_cells`."""

    rgb: Float32  # (h, w, 3) sRGB in [0, 1]
    opaque: NDArray[np.bool_]  # (h, w)
    has_ground: bool  # False if the ground is transparent

    @cached_property
    def lab(self) -> Float32:
        """The cells in CIELAB, (h, w, 3)."""
        return srgb_to_lab(self.rgb)

    @cached_property
    def plain(self) -> NDArray[np.bool_]:
        """Which cells (h, w) are opaque and not a mixture, at a border, of the cells on both sides of them."""
        mixed = np.zeros(self.opaque.shape, bool)
        for axis in (0, 1):
            rgb, here = np.moveaxis(self.rgb, axis, 0), np.moveaxis(mixed, axis, 0)
            before, cell, after = rgb[:-2], rgb[1:-1], rgb[2:]
            across, first = after - before, cell - before
            length = np.maximum((across**2).sum(axis=2), 1e-9)
            part = (first * across).sum(axis=2) / length
            off = np.linalg.norm(first - part[..., None] * across, axis=2)
            is_between = (length > _ACROSS**2) & (part > _MIXED) & (part < 1 - _MIXED)
            here[1:-1] |= is_between & (off < _MIXED * np.sqrt(length))
        plain = self.opaque & ~mixed
        return plain if plain.any() else self.opaque


def average_cells(pixels: UInt8, alpha: UInt8 | None = None) -> Cells:
    """Return the cells of a picture (H, W, 3) sRGB, with its alpha (H, W) if the ground is transparent.

    If no cell is opaque, all count as opaque. The time grows with the number of pixels.
    """
    rgb = _average(pixels)
    opaque = np.ones(rgb.shape[:2], bool) if alpha is None else _average(alpha) >= _OPAQUE / 255
    return Cells(rgb, opaque if opaque.any() else ~opaque, alpha is None)


def describe_picture(cells: Cells, controls: Controls | None, *, size: tuple[int, int], seed: int = 0) -> str:
    """Return a description of two sentences: about colours and figures, and about light, contrast and busyness.

    At most three colours that are large or differ much are named, in descending order of area, and an accent. The size
    of a picture changes the order only if the areas of two colours differ by less than about 0.5 % of the picture.

    Parameters
    ----------
    cells : Cells
        The picture, from `average_cells`. If its ground is transparent, only what is opaque is described.
    controls : Controls or None
        The controls that the picture was painted from. None if the decoder of the bundle gives pixels instead of
        controls; then the first sentence names only the mean colour.
    size : (int, int)
        Width and height in pixels.
    seed : int
        Random seed that the controls were painted with.
    """
    tone, look = _describe_look(measure_look(cells, controls, size=size, seed=seed))
    light = ", ".join(filter(None, (tone, _describe_layout(cells.lab[..., 0]) if cells.has_ground else "")))
    second = "; ".join(filter(None, (light, look, "" if cells.has_ground else "the ground is transparent")))
    second = f"{second[0].upper()}{second[1:]}."
    if controls is None:
        return f"Blurred abstract picture, {name_colour(cells.rgb[cells.opaque].mean(axis=0))} on average. {second}"
    main = main_colours(cells)
    names = [colour.name for colour in _distinct(main)]
    colours = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    if accent := accent_colour(cells, main):
        colours += f" with {_article(f'stronger {accent.name}' if accent.name in names else accent.name)} accent"
    figures = _describe_figures(controls, size, seed)
    return f"Abstract picture, {SURFACES[controls.surface].words}, in {colours}: {figures}. {second}"


def main_colours(cells: Cells) -> list[MainColour]:
    """Return the main colours of a picture that have different names, in descending order of area.

    Each covers at least 2 % of the picture; one or more are returned. A colour that is between two names is counted
    with the more frequent one.
    """
    rgb = cells.rgb[cells.plain]
    names = name_colours(cells.lab[cells.plain])
    found, counts = np.unique(names, return_counts=True)
    merged: list[MainColour] = []
    for k in np.argsort(-counts, kind="stable").tolist():
        colour = MainColour(str(found[k]), _hex(rgb[names == found[k]]), float(counts[k] / names.size))
        near = [i for i, other in enumerate(merged) if np.linalg.norm(_lab_of(colour) - _lab_of(other)) < _SAME]
        if near:
            merged[near[0]] = merged[near[0]]._replace(share=merged[near[0]].share + colour.share)
        else:
            merged.append(colour)
    merged = [colour._replace(name=qualify_name(colour.name, _lab_of(colour))) for colour in merged]
    merged.sort(key=lambda colour: -colour.share)
    return [colour for colour in merged if colour.share >= _MIN_SHARE] or merged[:1]


def _distinct(main: list[MainColour]) -> list[MainColour]:
    """Return the colours that a description names, in descending order of area.

    They are the largest, and then those whose share of the picture times their distance in CIELAB from the colours that
    are named already is largest, so that neither a large colour nor a very different one is left out.
    """
    named = main[:1]
    while len(named) < min(_MOST_NAMED, len(main)):
        gains = [c.share * min(float(np.linalg.norm(_lab_of(c) - _lab_of(other))) for other in named) for c in main]
        if max(gains) < _LEAST_GAIN:
            break
        named.append(main[int(np.argmax(gains))])
    return sorted(named, key=main.index)


def accent_colour(cells: Cells, main: list[MainColour]) -> MainColour | None:
    """Return the small, saturated colour that stands out from the colours that a description names, or None.

    ``main`` are the colours from `main_colours`.
    """
    rgb, lab = cells.rgb[cells.plain], cells.lab[cells.plain]
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    apart = np.min([np.linalg.norm(lab - _lab_of(colour), axis=1) for colour in _distinct(main)], axis=0)
    is_loud = (chroma >= max(_ACCENT_CHROMA, float(chroma.mean()) + _ACCENT_LOUDER)) & (apart >= _ACCENT_APART)
    if not _ACCENT_SHARES[0] <= is_loud.mean() <= _ACCENT_SHARES[1]:
        return None
    names, index = np.unique(name_colours(lab[is_loud]), return_inverse=True)
    loudest = int(np.bincount(index, apart[is_loud] * chroma[is_loud]).argmax())
    return MainColour(
        str(names[loudest]), _hex(rgb[is_loud][index == loudest]), float((index == loudest).sum() / len(rgb))
    )


def _hex(rgb: Float32) -> str:
    """Return the median of sRGB colours (n, 3), such as "#1a2b3c"."""
    return write_hex(np.median(rgb, axis=0)[None])[0]


def _lab_of(colour: MainColour) -> Float32:
    return np.asarray(srgb_to_lab(read_hex([colour.hex]))[0])


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _average(pixels: NDArray[np.uint8]) -> Float32:
    """Return the means of about `_CELLS` square cells of a picture (H, W, ...), float32 in [0, 1].

    The number of cells in each row and column depends only on the aspect ratio, unless a picture has fewer pixels.
    """
    scale = math.sqrt(_CELLS / (pixels.shape[0] * pixels.shape[1]))
    counts = []
    total = pixels
    for axis, side in enumerate(pixels.shape[:2]):
        n = min(side, max(1, round(scale * side)))
        starts = np.arange(n) * side // n
        total = np.add.reduceat(total, starts, axis=axis, dtype=np.uint32)
        counts.append(np.diff(starts, append=side))
    area = np.multiply.outer(*counts).reshape(total.shape[:2] + (1,) * (total.ndim - 2))
    return np.asarray(total / (255 * area), np.float32)


def _composition(controls: Controls, size: tuple[int, int], seed: int) -> Composition:
    from clavilux.painter.paint import composition_of

    return composition_of(controls, width=size[0], height=size[1], seed=seed)


def _describe_figures(controls: Controls, size: tuple[int, int], seed: int) -> str:
    """Return words for the main figure and its place, for large arcs, and for the second figure, if there is one."""
    names = figure_names(controls)
    if not names:
        return "no large figure"
    figures = _composition(controls, size, seed).figures
    parts = [f"{FIGURES[names[0]].words} {_name_place(figures.main)}", *figures.also]
    parts += [FIGURES[name].answer.words for name in names[1:]]
    return f"{', '.join(parts[:-1])}, and {parts[-1]}" if len(parts) > 1 else parts[0]


def _name_place(figure: NDArray[np.bool_]) -> str:
    """Return words for the place of a figure in a picture, from its cells (h, w), such as "left of the middle"."""
    sides, is_long = [], []
    for axis, words in ((1, ("above", "below")), (0, ("left of", "right of"))):
        share = figure.sum(axis=axis) / max(1, int(figure.sum()))
        first, middle, last = np.searchsorted(np.cumsum(share), (0.05, 0.5, 0.95)) / share.size - 0.5
        is_long.append(bool(last - first >= _ACROSS_PICTURE))
        sides.append("" if is_long[-1] else name_side(middle, _OFF_CENTRE, *words))
    if all(is_long):
        return "filling the picture"
    if any(sides):
        return f"{' and '.join(filter(None, sides))} the middle"
    return "from side to side" if is_long[1] else "from top to bottom" if is_long[0] else "in the middle"


def _describe_look(look: Look) -> tuple[str, str]:
    """Return words for the lightness of a picture, "" if it is medium, and for its contrast, colours and busyness."""
    measured = [(_TONES, look.lightness), (_CONTRASTS, look.contrast), (_COLOURS, look.chroma)]
    if look.areas is not None:
        measured.append((_BUSYNESS, look.borders * look.areas))
    tone, *others = (next(words for limit, words in table if value < limit) for table, value in measured)
    return tone, ", ".join(filter(None, others))


def measure_look(cells: Cells, controls: Controls | None, *, size: tuple[int, int], seed: int = 0) -> Look:
    """Return the measures of the opaque part of a picture; the parameters are those of `describe_picture`."""
    lab, opaque = cells.lab, cells.opaque
    both = opaque[1:] & opaque[:-1], opaque[:, 1:] & opaque[:, :-1]
    steps = [np.linalg.norm(np.diff(lab, axis=axis), axis=2)[both[axis]] for axis in (0, 1)]
    borders = np.concatenate([*steps, [0.0]]) > _BORDER
    seen = lab[opaque]
    chroma = np.hypot(seen[:, 1], seen[:, 2])
    areas = None
    if controls is not None:
        slots = _composition(controls, size, seed).slots
        areas = int((np.bincount(find_areas(slots).ravel()) >= _LEAST_AREA).sum())
    light, contrast = float(seen[:, 0].mean()), float(seen[:, 0].std())
    warmth = float(seen[:, 1:].mean(axis=0) @ WARM / np.linalg.norm(WARM))
    return Look(light, contrast, float(chroma.mean()), warmth, float(borders.mean()), areas)


def _describe_layout(lightness: Float32) -> str:
    """Return words that say where a picture is lighter or darker, such as "lighter at the top", from its L* (h, w).

    The top third is compared with the bottom third, and the left third with the right third, unless the third between
    them is the lightest by far. If both pairs differ little, the middle is compared with the rim.
    """
    places = []
    for axis, words in enumerate((("at the top", "at the bottom"), ("on the left", "on the right"))):
        first, between, last = (float(part.mean()) for part in np.array_split(lightness, 3, axis=axis))
        if between < max(first, last) + _MIN_DIFFERENCE_L / 2:
            places.append(name_side(last - first, _MIN_DIFFERENCE_L, *words))
    if any(places):
        return f"lighter {' and '.join(filter(None, places))}"
    height, width = lightness.shape
    middle = lightness[height // 4 : height - height // 4, width // 4 : width - width // 4]
    rim = (float(lightness.sum()) - float(middle.sum())) / max(1, lightness.size - middle.size)
    difference = float(middle.mean()) - rim
    if abs(difference) < _MIN_DIFFERENCE_L:
        return "evenly filled"
    return f"{'lighter' if difference > 0 else 'darker'} in the middle"
