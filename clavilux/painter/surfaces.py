"""Surfaces: what a composition is painted with, from gouache to layers.

Composition -> `SURFACES` -> tables and strokes, made once -> rows of pixels in CIELAB

Gouache, impasto and brush drawing are made of strokes. Collage, flat colour, print and layers are areas with crisp
borders whose colour changes. Each is a function of place.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod

import numpy as np

from clavilux.constants import SLOTS, WIDEST_OUTLINE
from clavilux.painter.areas import Areas, View, colour_areas, model_areas
from clavilux.painter.composition import SIDE, Composition, compose, slow_field
from clavilux.painter.marks.hashing import draws
from clavilux.painter.palette import shift_lightness
from clavilux.painter.raster import Float32, blur, smooth
from clavilux.painter.strokes import Brush, Edges, Strokes, paint_strokes, place_strokes

_GRAIN = ((640, 2.2), (2560, 2.2))  # cells of the paper along the short side, and L* from dark to light
_LINE_WIDTH = 0.0045  # short sides: widest half of a line at an outline of 1
UPPER_OPACITY = 0.42  # of the second layer of translucent layers
_PAPER_L = 91.0  # least lightness of paper
_DARK_L = 40.0  # mean lightness of a picture below which a drawing is on dark paper


class Surface(ABC):
    """A composition, ready to be painted at any size.

    Parameters
    ----------
    composition : Composition

    Attributes
    ----------
    words : str
        What the picture is, in a few words.
    has_lines : bool
        Whether the control `outline` has an effect.
    texture : float
        Factor of the grain: 0 is none, 1 the default, 2 the largest.
    """

    words: str
    has_lines = False

    def __init__(self, composition: Composition) -> None:
        self.composition = composition
        self.palette = composition.palette
        self.texture = 2 * composition.controls.texture
        self.prepare()

    @abstractmethod
    def prepare(self) -> None:
        """Compute what `colours` reads for every view, such as tables and strokes; the constructor calls it."""

    @abstractmethod
    def colours(self, view: View) -> Float32:
        """Return rows of the picture without grain, (n, width, 3) in CIELAB."""

    def paint(self, view: View) -> Float32:
        """Return rows of the picture, (n, width, 3) in CIELAB."""
        lab = self.colours(view)
        for cells, amount in _GRAIN if self.texture else ():
            # A pixel that covers many cells shows their mean, which deviates less.
            lab[..., 0] += np.float32(self.texture * amount * min(1.0, view.short / cells)) * view.grain(
                cells, self.composition.seed, "paper"
            )
        return lab

    def slow(self, cycles: float, name: str) -> Float32:
        """Return a smooth random field (h, w) on the raster, with mean 0 and deviation 1, from `slow_field`."""
        return slow_field(self.composition, cycles, name)

    def paper(self) -> Float32:
        """Return the colour of the paper, (3,) in CIELAB: the lightest of the palette, paler unless it is exact."""
        lightest, controls = self.palette[-1], self.composition.controls
        if controls.exact_palette:
            return np.asarray(lightest)
        least = float(shift_lightness(np.array(_PAPER_L), controls.lightness))
        return np.array([max(float(lightest[0]), least), *(0.5 * lightest[1:])], np.float32)

    def strength(self) -> float:
        """Return how strongly the brush shows, 0.5 to 1; it rises with the control `brush`."""
        return min(1.0, 0.5 + 0.15 * self.composition.controls.brush)

    def depth(self) -> float:
        """Return the factor of the light and shade within areas, from 0.7 to 1.5; it rises with the control `glaze`."""
        return 0.7 + 0.8 * min(1.0, self.composition.controls.glaze / 8)

    def lost_edges(self) -> Float32:
        """Return how far borders are blurred, (h, w), 0 to 1: some are lost, others are not; more with softness."""
        more = np.float32(2.4 * self.composition.controls.softness - 1.8)
        return np.asarray(np.clip((self.slow(2.0, "lost") + more) * np.float32(1.5), 0, 1))


class Gouache(Surface):
    """Opaque strokes that follow the shapes, broad in calm areas and small near borders and in the focus."""

    words = "brush strokes in gouache"

    wide, ratio, spacing, dry, relief, crisp = 0.13, 2.8, 0.5, 0.7, 4.0, 0.5

    def prepare(self) -> None:
        """Place the strokes of four brushes."""
        modelling = model_areas(self.composition, 15 * self.depth())
        wide, long, dry = self.wide, self.wide * self.ratio, self.dry
        relief = self.relief * (0.6 + 0.6 * self.strength())
        brushes = (
            Brush("broad", wide, long, wide * self.spacing, near=0.35 * wide, dry=dry, relief=relief),
            Brush("middle", 0.42 * wide, 0.5 * long, 0.28 * wide, 0.008, 0.5 * wide, dry=0.9 * dry, relief=relief),
            Brush(
                "fine", 0.2 * wide, 0.28 * long, 0.15 * wide, 0.003, 0.2 * wide, 0.5, jitter=3.5, dry=0.6, relief=relief
            ),
            Brush(
                "stray", 0.16 * wide, 0.33 * long, 0.5 * wide, focus=0.7, share=0.35, jitter=10, dry=0.8, relief=relief
            ),
        )
        strokes = [place_strokes(self.composition, brush, modelling) for brush in brushes]
        self.strokes: Strokes = sum(strokes[1:], strokes[0])
        still = np.zeros((*self.composition.slots.shape, 2), np.float32)
        self.areas = Areas(self.composition.slots, still)
        self.hard = np.clip(np.float32(self.crisp) + np.float32(0.9) * self.slow(2.5, "hard"), 0, 1)
        under = np.roll(self.palette, -1, axis=0)  # another colour shows between strokes
        self.ground = (0.65 * self.palette + 0.35 * under).astype(np.float32)

    def colours(self, view: View) -> Float32:
        """Return the ground with strokes on it."""
        read = self.areas.read(view)
        lab = colour_areas(read, self.ground)
        paint_strokes(lab, view.top, view.height, self.strokes, view.fast, Edges(*read, view.enlarge(self.hard)))
        return lab


class Impasto(Gouache):
    """Thick paint laid on with a knife: short wide strokes with ridges."""

    words = "thick paint laid on with a knife"

    wide, ratio, spacing, dry, relief, crisp = 0.1, 2.0, 0.5, 0.45, 6.5, 0.3


class BrushDrawing(Surface):
    """Ink and colour on paper: dry gestures of a brush, and much paper."""

    words = "a brush drawing on paper"

    wide = 0.14  # width of the brush in short sides
    apart = 20.0  # L*: least difference from the paper of what is drawn

    def prepare(self) -> None:
        """Place the strokes of two brushes on all areas that differ enough in lightness from the paper."""
        composition, wide, paper = self.composition, self.wide, self.paper()
        modelling = model_areas(composition, 15 * self.depth())
        share = np.bincount(composition.slots.ravel(), minlength=SLOTS) / composition.slots.size
        if share @ self.palette[:, 0] < _DARK_L and not composition.controls.exact_palette:
            paper = self.palette[0] + np.float32(0.25) * (self.palette[share.argmax()] - self.palette[0])
        drawn = np.abs(self.palette[:, 0] - paper[0]) >= (1 if composition.controls.exact_palette else self.apart)
        self.ground = np.broadcast_to(paper, (*composition.slots.shape, 3)).astype(np.float32)
        brushes = (
            Brush("broad", wide, 3.0 * wide, 0.45 * wide, 0.2 * wide, share=0.85, jitter=4, dry=1.0, relief=1.5,
                  opacity=0.95),
            Brush("middle", 0.35 * wide, 1.4 * wide, 0.25 * wide, 0.008, 0.35 * wide, share=0.85, dry=0.8, relief=1.5,
                  opacity=0.97),
        )  # fmt: skip
        strokes = [place_strokes(composition, brush, modelling, slots=drawn) for brush in brushes]
        self.strokes = strokes[0] + strokes[1]

    def colours(self, view: View) -> Float32:
        """Return the paper with strokes on it."""
        lab = view.enlarge(self.ground)
        paint_strokes(lab, view.top, view.height, self.strokes, view.fast)
        return lab


class Flat(Surface):
    """Opaque areas of one colour each; a few borders are blurred.

    The control `outline` draws lines of uneven width along borders.
    """

    words = "flat colours"
    has_lines = True

    modelling, wobble = 0.0, 0.4

    def prepare(self) -> None:
        """Make the areas, their modelling and the blurred colours."""
        composition, controls = self.composition, self.composition.controls
        shift = [np.float32(self.wobble) * self.slow(20, f"wobble {axis}") for axis in range(2)]
        self.areas = Areas(composition.slots, np.stack(shift, axis=-1))
        self.change = np.zeros((*composition.slots.shape, 3), np.float32)
        if self.modelling:
            self.change = model_areas(composition, self.modelling * self.depth())
        self.lost = self.lost_edges()
        self.soft = blur(self.palette[composition.slots] + self.change, 0.006 * SIDE)
        swell = np.clip(np.float32(0.35) + np.float32(0.6) * self.slow(4, "line"), -0.2, 1.2)
        width = _LINE_WIDTH * min(abs(controls.outline), WIDEST_OUTLINE)
        has_line = self.has_lines and width > 0.0008
        self.line = np.float32(width) * swell - smooth(composition.distance) if has_line else None
        lightness = self.palette[:, 0]
        self.ink = self.palette[lightness.argmin() if controls.outline < 0 else lightness.argmax()]

    def colours(self, view: View) -> Float32:
        """Return the areas, blurred where edges are lost, with lines."""
        lab = colour_areas(self.areas.read(view), self.palette) + view.enlarge(self.change)
        lost = view.enlarge(self.lost)[..., None]
        lab += lost * (view.enlarge(self.soft) - lab)
        if self.line is not None:
            cover = np.clip(view.enlarge(self.line) * np.float32(view.short) + np.float32(0.5), 0, 1)[..., None]
            lab += cover * (self.ink - lab)
        return lab


class Layers(Flat):
    """Areas with a second, translucent layer of areas over them."""

    words = "translucent layers of colour"
    has_lines = False

    modelling = 8.0

    def prepare(self) -> None:
        """Compose the second layer with larger shapes and another seed."""
        super().prepare()
        composition = self.composition
        controls = dataclasses.replace(
            composition.controls, shapes=max(1.6, 0.7 * composition.controls.shapes), detail=0.0
        )
        upper = compose(controls, aspect=composition.width / composition.height, seed=composition.seed + 9)
        self.upper = Areas(upper.slots, self.areas.shift)

    def colours(self, view: View) -> Float32:
        """Return the areas, darkened or tinted where the second layer lies over another colour."""
        lab = super().colours(view)
        over = colour_areas(self.upper.read(view), self.palette)
        differs = np.clip(np.abs(over[..., 0] - lab[..., 0]) - 5, 0, 1)[..., None]
        over[..., 0] = np.minimum(over[..., 0], lab[..., 0] + 6)
        lab += np.float32(UPPER_OPACITY) * differs * (over - lab)
        return lab


class Print(Surface):
    """Flat inks with grain, like a risograph."""

    words = "a grainy print"

    def prepare(self) -> None:
        """Make the areas and the density of the grain."""
        shift = [np.float32(0.4) * self.slow(20, f"wobble {axis}") for axis in range(2)]
        self.areas = Areas(self.composition.slots, np.stack(shift, axis=-1))
        turned = self.slow(1.5, "fade") + np.float32(0.6) * self.slow(1.1, "fade 2") * (
            self.composition.slots % 3 - 1.0
        )
        self.fade = np.clip(np.float32(0.5) * (turned.astype(np.float32) - np.float32(0.9)), 0, 0.45)
        self.fade *= np.float32(min(1.5, self.texture))
        colours = self.palette
        apart = np.abs(colours[:, None, 0] - colours[None, :, 0])
        apart += 0.5 * np.hypot(*(colours[:, None, c] - colours[None, :, c] for c in (1, 2)))
        self.near = colours[apart.argsort(axis=1)[:, 1]]

    def colours(self, view: View) -> Float32:
        """Return the areas with grain of a near colour."""
        read = self.areas.read(view)
        lab = colour_areas(read, self.palette)
        grain = view.grain(900, self.composition.seed, "ink") * np.float32(1.6) + np.float32(0.5)
        speck = np.clip((view.enlarge(self.fade) - grain) * np.float32(max(2.0, view.short / 500)) + 0.5, 0, 1)
        speck *= np.float32(0.6) * (view.enlarge(self.fade) > 0)
        lab += speck[..., None] * (self.near[read[0]] - lab)
        return lab


class Collage(Surface):
    """Cut papers laid over each other, each with a tone and a narrow shadow."""

    words = "a paper collage"

    def prepare(self) -> None:
        """Make the areas and the tone of the papers."""
        cut = np.stack([np.float32(0.5) * self.slow(20, f"cut {axis}") for axis in range(2)], axis=-1)
        self.areas = Areas(self.composition.slots, cut)
        self.height = draws(self.composition.seed, "height", SLOTS)  # which paper lies over which
        self.change = model_areas(self.composition, 6 * self.depth())
        mottle = np.float32(0.8 * self.texture) * self.slow(14, "mottle")
        self.change[..., 0] += np.float32(0.9) * self.slow(1.5, "tone") + mottle

    def colours(self, view: View) -> Float32:
        """Return the papers with their shadows."""
        read = self.areas.read(view)
        lab = colour_areas(read, self.palette) + view.enlarge(self.change)
        for step in (0.002, 0.004):
            over = self.areas.read(view, (-step * SIDE, -step * SIDE))[0]
            lab[..., 0] -= np.float32(3.5) * (self.height[over] > self.height[read[0]])
        return lab


SURFACES: dict[str, type[Surface]] = {
    "gouache": Gouache,
    "impasto": Impasto,
    "drawing": BrushDrawing,
    "collage": Collage,
    "flat": Flat,
    "print": Print,
    "layers": Layers,
}
