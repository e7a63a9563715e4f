"""Surfaces: the techniques in which a composition is painted, such as gouache or collage.

Composition -> `SURFACES` -> tables and strokes, made once -> rows of pixels in CIELAB

The surfaces "gouache", "impasto", "drawing" and "collage" are made of strokes; in "collage", strokes hardly cross
borders of areas. The surfaces "flat", "print" and "layers" are areas with crisp borders, without strokes. Each surface
is a function of the position.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod

import numpy as np

from clavilux.constants import SLOTS, WIDEST_OUTLINE
from clavilux.painter.areas import Areas, View, colour_areas, drift_colours, model_areas
from clavilux.painter.composition import SIDE, Composition, compose, slow_field
from clavilux.painter.marks.hashing import draws
from clavilux.painter.palette import shift_lightness
from clavilux.painter.raster import Float32, UInt8, blur, smooth
from clavilux.painter.strokes import Brush, Edges, Strokes, paint_strokes, place_strokes

_GRAIN = ((640, 2.2), (2560, 2.2))  # two grains: number of cells along the short side, and range in L*
_LINE_WIDTH = 0.0045  # short sides: half of the width of a line where it is widest, at an outline of 1
_STEEP = 3.0  # how steeply hard borders turn into soft ones; where a border is half hard, strokes fade like smears
UPPER_OPACITY = 0.42  # opacity of the second layer of the surface "layers"
_PAPER_L = 91.0  # L*: least lightness of paper
LOST_BLUR = 0.006  # short sides: standard deviation of the blur of borders
_FAINT = 0.7  # factor of the drift of colours on surfaces without strokes
_DARK_L = 40.0  # L*: if the mean of a picture, before `lightness` shifts it, is below this, the paper is dark


class Surface(ABC):
    """A composition in one technique, ready to be painted at any size.

    Parameters
    ----------
    composition : Composition

    Attributes
    ----------
    words : str
        The technique in a few words.
    has_lines : bool
        Whether the control `outline` has an effect.
    texture : float
        Strength of the grain, from 0 (no grain) to 2; 1 is the default.
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
        """Compute tables and strokes, which `colours` uses for every view; the constructor calls this method."""

    @abstractmethod
    def colours(self, view: View) -> Float32:
        """Return rows of the picture without grain, (n, width, 3) in CIELAB."""

    def paint(self, view: View) -> Float32:
        """Return rows of the picture with grain, (n, width, 3) in CIELAB."""
        return self.add_grain(self.colours(view), view)

    def add_grain(self, lab: Float32, view: View) -> Float32:
        """Add grain to rows of the picture in place, and return them."""
        for cells, amount in _GRAIN if self.texture else ():
            # A pixel that covers many cells shows their mean, which deviates less.
            lab[..., 0] += np.float32(self.texture * amount * min(1.0, view.short / cells)) * view.grain(
                cells, self.composition.seed, "paper"
            )
        return lab

    def slow(self, cycles: float, name: str) -> Float32:
        """Return a smooth random field (h, w) on the raster, with mean 0 and standard deviation 1.

        Its waves have about ``cycles / 2`` cycles per short side. Different names give independent fields.
        """
        return slow_field(self.composition, cycles, name)

    def paper(self) -> Float32:
        """Return the colour of the paper, (3,) in CIELAB: the lightest one, paler unless `exact_palette` is true."""
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

    def inside_figures(self) -> Float32:
        """Return how much of each cell of the raster is covered by figures, such as a disc: (h, w), from 0 to 1."""
        return smooth(self.composition.figures.cells.astype(np.float32))

    def lost_edges(self) -> Float32:
        """Return how much borders are blurred at each place, (h, w), 0 to 1; it rises with the control `softness`."""
        more = np.float32(2.4 * self.composition.controls.softness - 1.8)
        return np.asarray(np.clip((self.slow(2.0, "lost") + more) * np.float32(1.5), 0, 1))


class Gouache(Surface):
    """Opaque strokes that follow the shapes: broad in calm areas, small near borders and at the focus."""

    words = "brush strokes in gouache"

    # Of the broad brush: width in short sides, length / width, spacing / width, dryness, relief. Last: mean hardness of
    # borders, before random changes.
    wide, ratio, spacing, dry, relief, crisp = 0.2, 3.4, 0.5, 0.7, 2.0, 2.7

    def prepare(self) -> None:
        """Place the strokes of four brushes."""
        modelling = model_areas(self.composition, 15 * self.depth()) + drift_colours(self.composition)
        wide, long, dry = self.wide, self.wide * self.ratio, self.dry
        relief = self.relief * (0.2 + self.strength())
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
        self.areas = Areas(self.composition, still)
        hard = np.clip(np.float32(self.crisp) + np.float32(_STEEP) * self.slow(2.5, "hard"), 0, 1)
        self.hard = np.maximum(hard, np.clip(4 * self.inside_figures(), 0, 1))

    def colours(self, view: View) -> Float32:
        """Return areas of flat colour with strokes on them."""
        return self.brush(view, self.areas.read(view))

    def ground(self) -> Float32:
        """Return the colour that shows between the strokes of each palette slot, (8, 3) in CIELAB."""
        under = self.palette if self.composition.controls.exact_palette else np.roll(self.palette, -1, axis=0)
        return np.asarray(0.65 * self.palette + 0.35 * under, np.float32)

    def brush(self, view: View, read: tuple[UInt8, UInt8, Float32]) -> Float32:
        """Return areas of flat colour with strokes on them; `read` is the result of `Areas.read` for the view."""
        lab = colour_areas(read, self.ground())
        paint_strokes(lab, view.top, view.height, self.strokes, view.fast, Edges(*read, view.enlarge(self.hard)))
        return lab


class Impasto(Gouache):
    """Thick paint laid on with a knife: short wide strokes with ridges."""

    words = "thick paint laid on with a knife"

    wide, ratio, spacing, dry, relief, crisp = 0.16, 3.4, 0.5, 0.45, 5.0, 2.5


class BrushDrawing(Gouache):
    """Ink and colour on paper: dry brush strokes and bare paper."""

    words = "a brush drawing on paper"

    wide, ratio, spacing, dry, relief, crisp = 0.14, 3.0, 0.45, 1.0, 1.5, 2.7
    least_bare = 0.06  # the lightest slots, on dark paper the darkest, are not drawn: as many as cover this share

    def prepare(self) -> None:
        """Choose the paper, and leave out the strokes on slots that stay bare."""
        super().prepare()
        composition, paper, nearest = self.composition, self.paper(), -1
        exact = composition.controls.exact_palette
        share = np.bincount(composition.slots.ravel(), minlength=SLOTS) / composition.slots.size
        if share @ composition.plain_l < _DARK_L and not exact:
            paper, nearest = self.palette[0] + np.float32(0.25) * (self.palette[share.argmax()] - self.palette[0]), 0
        apart = np.abs(self.palette[:, 0] - self.palette[nearest, 0])
        order = apart.argsort(kind="stable")
        drawn = apart >= 1
        if not exact:
            drawn[order[: 1 + np.searchsorted(share[order].cumsum(), self.least_bare)]] = False
        self.strokes, self.bare = self.strokes.of_slots(drawn), paper

    def ground(self) -> Float32:
        """Return the colour of the paper for each palette slot, (8, 3) in CIELAB."""
        return np.broadcast_to(self.bare, (SLOTS, 3)).astype(np.float32)


class Flat(Surface):
    """Opaque areas without strokes, whose colours drift; a few borders are blurred.

    The control `outline` draws lines of uneven width along borders.
    """

    words = "flat colours"
    has_lines = True

    modelling, wobble = 0.0, 0.4  # L*: change within areas; cells: standard deviation of the unevenness of borders

    def prepare(self) -> None:
        """Compute the areas, the change of colour within them, the blurred colours, and the lines."""
        composition, controls = self.composition, self.composition.controls
        shift = [np.float32(self.wobble) * self.slow(20, f"wobble {axis}") for axis in range(2)]
        self.areas = Areas(composition, np.stack(shift, axis=-1))
        self.change = np.zeros((*composition.slots.shape, 3), np.float32)
        if self.modelling:
            self.change = model_areas(composition, self.modelling * self.depth())
        self.change += np.float32(_FAINT * min(1.0, self.texture)) * drift_colours(composition)
        self.lost = self.lost_edges()
        self.soft = blur(self.palette[composition.slots] + self.change, LOST_BLUR * SIDE)
        swell = np.clip(np.float32(0.35) + np.float32(0.6) * self.slow(4, "line"), -0.2, 1.2)
        width = _LINE_WIDTH * min(abs(controls.outline), WIDEST_OUTLINE)
        has_line = self.has_lines and width > 0.0008
        self.line = np.float32(width) * swell - smooth(composition.distance) if has_line else None
        lightness = self.palette[:, 0]
        self.ink = self.palette[lightness.argmin() if controls.outline < 0 else lightness.argmax()]

    def colours(self, view: View) -> Float32:
        """Return the colours of the areas, with some borders blurred and lines drawn on top."""
        lab = colour_areas(self.areas.read(view), self.palette) + view.enlarge(self.change)
        lost = view.enlarge(self.lost)[..., None]
        lab += lost * (view.enlarge(self.soft) - lab)
        line = self.read_line(view)
        if line is not None:
            lab += line[..., None] * (self.ink - lab)
        return lab

    def read_line(self, view: View) -> Float32 | None:
        """Return the fraction of each pixel that lines cover, (n, width); None if there are no lines."""
        if self.line is None:
            return None
        return np.asarray(np.clip(view.enlarge(self.line) * np.float32(view.short) + np.float32(0.5), 0, 1))


class Layers(Flat):
    """Areas under a second, translucent layer of areas; the second layer leaves out figures."""

    words = "translucent layers of colour"
    has_lines = False

    modelling = 8.0

    def prepare(self) -> None:
        """Compose the second layer with larger shapes and another seed."""
        super().prepare()
        composition = self.composition
        controls = dataclasses.replace(
            composition.controls, shapes=max(1.6, 0.7 * composition.controls.shapes), detail=0.0, figure="none"
        )
        upper = compose(controls, aspect=composition.width / composition.height, seed=composition.seed + 9)
        self.upper = Areas(upper, self.areas.shift)
        self.free = 1 - self.inside_figures()  # figures keep their contrast

    def colours(self, view: View) -> Float32:
        """Return the colours of the areas, darkened or tinted by the second layer where it differs in lightness."""
        lab = super().colours(view)
        over = colour_areas(self.upper.read(view), self.palette)
        differs = np.clip(np.abs(over[..., 0] - lab[..., 0]) - 5, 0, 1)[..., None]
        over[..., 0] = np.minimum(over[..., 0], lab[..., 0] + 6)
        lab += np.float32(UPPER_OPACITY) * differs * view.enlarge(self.free)[..., None] * (over - lab)
        return lab


class Print(Surface):
    """Areas of flat ink, shaded on one side by grain, like a risograph print."""

    words = "a grainy print"

    def prepare(self) -> None:
        """Compute the areas, the drift of the inks and the density of the grain."""
        shift = [np.float32(0.4) * self.slow(20, f"wobble {axis}") for axis in range(2)]
        self.areas = Areas(self.composition, np.stack(shift, axis=-1))
        shade = -model_areas(self.composition, 1.0)[..., 0]
        self.tint = np.float32(_FAINT) * drift_colours(self.composition)
        self.fade = np.clip(np.float32(self.depth()) * shade, 0, 0.32) * np.float32(min(1.5, self.texture))
        colours = self.palette
        apart = np.abs(colours[:, None, 0] - colours[None, :, 0])
        apart += 0.5 * np.hypot(*(colours[:, None, c] - colours[None, :, c] for c in (1, 2)))
        self.near = colours[apart.argsort(axis=1)[:, 1]]

    def colours(self, view: View) -> Float32:
        """Return the colours of the areas, each with grain in the palette colour that is most similar to its own."""
        read = self.areas.read(view)
        lab = colour_areas(read, self.palette) + view.enlarge(self.tint)
        grain = view.grain(900, self.composition.seed, "ink") * np.float32(1.6) + np.float32(0.5)
        speck = np.clip((view.enlarge(self.fade) - grain) * np.float32(max(2.0, view.short / 500)) + 0.5, 0, 1)
        speck *= np.float32(0.6) * (view.enlarge(self.fade) > 0)
        lab += speck[..., None] * (self.near[read[0]] - lab)
        return lab


class Collage(Gouache):
    """Sheets of paper, painted in gouache, cut out and laid over each other; each casts a narrow shadow."""

    words = "a collage of painted papers"

    wide, ratio, spacing, dry, relief, crisp = 0.09, 3.2, 0.5, 0.5, 2.0, 4.0

    def prepare(self) -> None:
        """Place the strokes, and draw a random height for each palette slot: higher papers lie over lower ones."""
        super().prepare()
        self.height = draws(self.composition.seed, "height", SLOTS)

    def colours(self, view: View) -> Float32:
        """Return the sheets of paper with their shadows."""
        read = self.areas.read(view)
        lab, slot = self.brush(view, read), read[0]
        for step in (0.0015, 0.003):
            over = self.areas.read(view, (-step * SIDE, -step * SIDE))[0]
            lab[..., 0] -= np.float32(3.5) * (self.height[over] > self.height[slot])
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
