"""Outlines: lines along the borders of shapes, as a pen or a brush draws them.

    slots of all pixels, picture, width and colour -> **here** -> the picture with lines where two slots meet

A pixel's distance to the nearest border says how much of it the line covers, so that its edges need no samples. The
line swells and thins on its way, and is gone where it is thinnest.
"""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import from_light, to_light
from clavilux.painter.marks.chance import Float32
from clavilux.painter.surface import Paper
from clavilux.system.threads import run_each

UInt8 = NDArray[np.uint8]

_SWELL_CELLS = 7  # cells of the swelling along the short side
_SWELL = 0.45  # deviation of the width, of itself
_WIDEST = 2.2  # of the width
_BLOCK = 131_072  # pixels at a time; a block looks as far as lines reach beyond its rows
_TO_LIGHT = to_light(np.arange(256) / 255)


def add_outlines(
    picture: UInt8,
    slots: UInt8,
    *,
    width: float,
    colour: UInt8,
    seed: int,
    fast: ModuleType | None = None,
    threads: int = 1,
) -> None:
    """Draw lines along the borders of slots, in place.

    Parameters
    ----------
    picture : (H, W, 3) uint8
        sRGB.
    slots : (H, W) or (2 H, 2 W) uint8
        Slots at the middle of each pixel, or at twice as many places each way.
    width : float
        Of the lines, in short sides.
    colour : (3,) uint8
        sRGB.
    seed : int
        What chance hangs on.
    fast : module or None
        What computes noise; None for NumPy.
    threads : int
        How many blocks at a time.
    """
    n_rows, n_columns = slots.shape
    places = n_rows // len(picture)  # of a pixel, each way
    half = 0.5 * width * min(n_rows, n_columns)  # in places
    reach = math.ceil(half * _WIDEST)
    rows = places * max(2 * reach, _BLOCK // n_columns, 1)
    swelling = Paper(n_columns, n_rows, _SWELL_CELLS, seed, _SWELL, fast, "swell")
    light = _TO_LIGHT[colour]

    def draw(top: int) -> None:
        block = picture[top // places : (top + rows) // places]
        covered = np.ones((min(rows, n_rows - top), n_columns), np.float32)
        swelling.add_to(covered, top)
        np.clip(covered, 0.0, _WIDEST, out=covered)
        covered *= np.float32(half)
        if fast is not None:
            fast.draw_lines(block, slots, top, reach, covered, _TO_LIGHT, light)
            return
        above = max(0, top - reach)
        seen = find_borders(slots[max(0, above - 1) : top + rows + reach + 1])
        seen = seen[above - max(0, above - 1) :][: min(top + rows + reach, n_rows) - above]
        covered -= _distance(seen, reach)[top - above :][: len(covered)]
        np.clip(covered, 0, 1, out=covered)
        if places > 1:
            covered = covered.reshape(len(block), places, -1, places).mean(axis=(1, 3))
        flat, cover = block.reshape(-1, 3), covered.ravel()
        lined = np.flatnonzero(cover)
        mixed = _TO_LIGHT[flat[lined]]
        mixed += (light - mixed) * cover[lined, None]
        flat[lined] = np.rint(255 * from_light(mixed))

    run_each(draw, range(0, n_rows, rows), threads)


def find_borders(slots: UInt8) -> NDArray[np.bool_]:
    """Pixels whose slot differs from that to the left, right, above or below."""
    borders = np.zeros(slots.shape, bool)
    across, down = slots[:, 1:] != slots[:, :-1], slots[1:] != slots[:-1]
    borders[:, 1:] |= across
    borders[:, :-1] |= across
    borders[1:] |= down
    borders[:-1] |= down
    return borders


def _distance(borders: NDArray[np.bool_], reach: int) -> Float32:
    """Distance in pixels to the nearest that is set, (h, w), exact up to `reach` and more than it beyond.

    First along columns, then along rows, as squares can be (Felzenszwalb & Huttenlocher 2012); along rows each step
    within reach is tried.
    """
    far = reach + 1
    assert far**2 + reach**2 < 2**16, "squares are held in 16 bits"
    along = np.where(borders, 0, far).astype(np.uint16)
    for row in range(1, len(along)):
        np.minimum(along[row], along[row - 1] + 1, out=along[row])
    for row in range(len(along) - 2, -1, -1):
        np.minimum(along[row], along[row + 1] + 1, out=along[row])
    np.minimum(along, far, out=along)
    along *= along
    nearest = along.copy()
    for step in range(1, reach + 1):
        square = np.uint16(step * step)
        np.minimum(nearest[:, step:], along[:, :-step] + square, out=nearest[:, step:])
        np.minimum(nearest[:, :-step], along[:, step:] + square, out=nearest[:, :-step])
    return np.sqrt(nearest, dtype=np.float32)
