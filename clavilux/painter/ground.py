"""Pictures without their ground: colours with alpha, for compositing.

surface -> `cut_out` -> rows of pixels in CIELAB with alpha

In a drawing, the ground is the bare paper, and alpha is the opacity of the paint on it. On all other surfaces, the
ground consists of all areas of one colour (`ground_slots`), and alpha follows the borders of these areas, even where
strokes cross them. The strokes of the ground are not painted, and the other areas are extended a little into the
ground, so that pixels at the border contain nothing of the ground's colour.
"""

from __future__ import annotations

import copy
import dataclasses

import numpy as np

from clavilux.constants import SLOTS
from clavilux.painter.areas import Areas, View
from clavilux.painter.composition import SIDE, Composition
from clavilux.painter.raster import Float32, Index, Mask, blur
from clavilux.painter.surfaces import LOST_BLUR, BrushDrawing, Flat, Gouache, Print, Surface

_REACH = 12  # cells: how far areas continue below the ground; no blur reaches farther
_LEAST = np.float32(1e-4)  # alpha below which a pixel has no colour of its own


def ground_slots(composition: Composition) -> Mask:
    """Return a mask (8,) of the palette slots of the ground, whose colour is the commonest along the picture's edge.

    The ground has several slots if the palette contains this colour several times.
    """
    slots, palette = composition.slots, composition.palette
    rim = np.concatenate([slots[0], slots[-1], slots[1:-1, 0], slots[1:-1, -1]])
    same = (palette[:, None] == palette).all(axis=2)
    return np.asarray(same[(same @ np.bincount(rim, minlength=SLOTS)).argmax()])


def cut_out(surface: Surface) -> _Drawing | _WithAreas:
    """Return a surface without its ground.

    Its method `paint` returns rows of the picture, (n, width, 4): CIELAB, and alpha from 0 to 1. Colours are not
    multiplied by alpha. This may change ``surface``, so ``surface`` should not be painted afterwards.
    """
    if isinstance(surface, BrushDrawing):
        return _Drawing(surface)
    assert isinstance(surface, Gouache | Flat | Print), "surfaces other than drawings have areas"
    return _WithAreas(surface)


def average(rows: Float32, times: int) -> Float32:
    """Shrink rows from `paint` of `cut_out`: return the mean of each square of ``times`` by ``times`` pixels.

    ``rows`` is (times * n, times * width, 4), the result (n, width, 4). Colours are weighted by alpha.
    """
    n, width = len(rows) // times, rows.shape[1] // times
    weight = rows[..., 3:] + _LEAST
    rows = np.concatenate([rows[..., :3] * weight, weight], axis=-1)
    mean = rows.reshape(n, times, width, times, 4).mean(axis=(1, 3))
    mean[..., :3] /= mean[..., 3:]
    mean[..., 3] -= _LEAST
    return np.asarray(mean)


class _Drawing:
    """A drawing without its paper. It is painted on black and on white paper; the difference gives alpha."""

    def __init__(self, surface: BrushDrawing) -> None:
        self.surface = surface
        self.on_black, self.on_white = copy.copy(surface), copy.copy(surface)
        self.on_black.bare, self.on_white.bare = (np.array([lightness, 0, 0], np.float32) for lightness in (0, 100))

    def paint(self, view: View) -> Float32:
        lab, white = self.on_black.colours(view), self.on_white.colours(view)
        alpha = np.clip(1 - (white[..., :1] - lab[..., :1]) * np.float32(0.01), 0, 1)
        lab = np.where(alpha > _LEAST, lab / np.maximum(alpha, _LEAST), self.surface.bare)
        return np.concatenate([self.surface.add_grain(lab, view), alpha], axis=-1)


class _WithAreas:
    """A surface without the areas of the ground and without the strokes on them."""

    def __init__(self, surface: Gouache | Flat | Print) -> None:
        composition = surface.composition
        is_ground = ground_slots(composition)
        self.kept = (~is_ground).astype(np.float32)
        self.surface, self.areas = surface, surface.areas
        kept = ~is_ground[composition.slots]
        nearest = _nearest(kept)
        slots = composition.slots.ravel()[nearest]
        surface.areas = Areas(dataclasses.replace(composition, slots=slots), self.areas.shift)
        if isinstance(surface, Gouache):
            surface.strokes = surface.strokes.of_slots(~is_ground)
        elif isinstance(surface, Print):
            surface.fade = surface.fade.ravel()[nearest]
            surface.tint = surface.tint.reshape(-1, 3)[nearest]
        else:
            surface.change = surface.change.reshape(-1, 3)[nearest]
            surface.soft = blur(surface.palette[slots] + surface.change, LOST_BLUR * SIDE)
            self.soft_alpha = blur(kept.astype(np.float32), LOST_BLUR * SIDE)

    def paint(self, view: View) -> Float32:
        lab = self.surface.paint(view)
        slot, second, share = self.areas.read(view)
        alpha = self.kept[slot] + share * (self.kept[second] - self.kept[slot])
        if isinstance(self.surface, Flat):
            alpha += view.enlarge(self.surface.lost) * (view.enlarge(self.soft_alpha) - alpha)
            line = self.surface.read_line(view)
            if line is not None:  # where a line lies on the ground, only its ink is opaque
                whole = line + (1 - line) * alpha
                other = np.where(
                    whole > _LEAST, (whole - line) / np.maximum(whole, _LEAST), 1
                )  # share of other colours
                more = np.where(line < 1, 1 - other / np.maximum(1 - line, _LEAST), np.float32(0))
                lab += more[..., None] * (self.surface.ink - lab)
                alpha = whole
        return np.concatenate([lab, np.clip(alpha, 0, 1)[..., None]], axis=-1)


def _nearest(kept: Mask) -> Index:
    """Return for each cell of a mask (h, w) the flat index of a nearest kept (True) cell, (h, w).

    A kept cell gets its own index, and so does a cell more than `_REACH` steps along rows and columns from all of them.
    """
    itself = np.arange(kept.size).reshape(kept.shape)
    nearest = np.where(kept, itself, -1)
    for _ in range(_REACH):
        padded = np.pad(nearest, 1, constant_values=-1)
        around = np.maximum.reduce([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]])
        nearest = np.where(nearest < 0, around, nearest)
    return np.where(nearest < 0, itself, nearest)
