"""Outlines: lines along the borders of shapes.

slots of all pixels, picture, width and colour -> **here** -> the picture with lines where two slots meet

The distance of a pixel to the nearest border gives the share of the pixel that the line covers, so that no samples are
needed. A slow noise changes the width along the line, down to zero.
"""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import from_light, to_light
from clavilux.painter.borders import find_borders
from clavilux.painter.controls import Controls
from clavilux.painter.marks.hashing import Float32
from clavilux.painter.surface import ValueNoise
from clavilux.system.threads import run_each

UInt8 = NDArray[np.uint8]

LINE_TO_MARK = 0.3  # widest outline, as a share of the length of a mark: wider ones would cover small marks
_SWELL_CELLS = 7  # cells of the noise of the width along the short side
_SWELL = 0.45  # standard deviation of the width, as a share of it
_WIDEST = 2.2  # limit of the width, as a multiple of the mean
_BLOCK = 131_072  # pixels of a block; it needs the slots around it as far as lines reach
_TO_LIGHT = to_light(np.arange(256) / 255)


def outline_width(controls: Controls) -> float:
    """Return the mean width of the outlines, as a share of the short side; 0 without outlines."""
    return min(abs(controls.outline) / 100, LINE_TO_MARK / controls.frequency)


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
        Slots at the centre of each pixel, or at twice as many places each way.
    width : float
        Mean width of the lines, in short sides.
    colour : (3,) uint8
        sRGB of the lines.
    seed : int
        Random seed of the noise of the width.
    fast : module or None
        The compiled painter; None for NumPy.
    threads : int
        Number of blocks that are processed at the same time.
    """
    n_rows, n_columns = slots.shape
    places = n_rows // len(picture)  # per pixel, each way
    half = 0.5 * width * min(n_rows, n_columns)  # half of the width, in places
    reach = math.ceil(half * _WIDEST)
    rows = places * max(2 * reach, _BLOCK // n_columns, 1)
    swelling = ValueNoise(n_columns, n_rows, _SWELL_CELLS, seed, _SWELL, fast, "swell")
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
        first = max(0, above - 1)
        borders = find_borders(slots[first : top + rows + reach + 1])
        borders = borders[above - first :][: min(top + rows + reach, n_rows) - above]
        covered -= find_distances(borders, reach)[top - above :][: len(covered)]
        np.clip(covered, 0, 1, out=covered)
        if places > 1:
            covered = covered.reshape(len(block), places, -1, places).mean(axis=(1, 3))
        flat, cover = block.reshape(-1, 3), covered.ravel()
        lined = np.flatnonzero(cover)
        mixed = _TO_LIGHT[flat[lined]]
        mixed += (light - mixed) * cover[lined, None]
        flat[lined] = np.rint(255 * from_light(mixed))

    run_each(draw, range(0, n_rows, rows), threads)


def find_distances(borders: NDArray[np.bool_], reach: int) -> Float32:
    """Return the distance of each pixel to the nearest border, in pixels.

    Squared distances are minimised along columns, then along rows (Felzenszwalb and Huttenlocher 2012); along rows, all
    steps up to `reach` are tried.

    Parameters
    ----------
    borders : (h, w) bool
    reach : int
        Distances up to this one are exact; all others are larger than it.

    Returns
    -------
    (h, w) float32
    """
    far = reach + 1
    assert far**2 + reach**2 < 2**16, "squared distances must fit into 16 bits"
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
