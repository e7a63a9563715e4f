"""Painting of controls as an sRGB picture of any size.

controls, seed -> composition (`clavilux.painter.composition`) -> surface (`clavilux.painter.surfaces`) -> pixels

A picture is a function of place. Places are measured from the centre of the picture in short sides; the plan covers the
whole picture at any aspect ratio. The size only decides at which places the function is evaluated, block by block.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import DEFAULT_SIZE_PX, SIZE_RANGE_PX
from clavilux.errors import PictureError
from clavilux.painter.areas import View
from clavilux.painter.compiled import compiled_painter
from clavilux.painter.composition import Composition, compose
from clavilux.painter.controls import Controls
from clavilux.painter.dither import dither_lab
from clavilux.painter.surfaces import SURFACES
from clavilux.system.arguments import MAX_SEED, MAX_THREADS, Number, check_aspect, show, whole_number
from clavilux.system.threads import run_each

UInt8 = NDArray[np.uint8]

_BLOCK = 1_048_576  # pixels of a block: bounds the memory, and is large enough that few strokes cross two blocks
_LEAST_PX = 256  # shorter sides are painted at a multiple and averaged


def paint(
    controls: Controls,
    *,
    width: Number = DEFAULT_SIZE_PX,
    height: Number = DEFAULT_SIZE_PX,
    seed: Number = 0,
    threads: Number = 1,
) -> UInt8:
    """Return the picture that controls describe, at any size.

    Parameters
    ----------
    controls : Controls
        What to paint.
    width, height : int
        Pixels, each in `SIZE_RANGE_PX`. The same controls and seed give the same picture at every size.
    seed : int
        Random seed of the marks, 0 or more. The same controls, seed and size give the same bytes.
    threads : int
        Number of threads; it does not change the bytes.

    Returns
    -------
    (height, width, 3) uint8
        sRGB.

    Raises
    ------
    PictureError
        If an argument has the wrong type or is out of range.

    Examples
    --------
    >>> picture = paint(Controls.from_json(text), width=3000, height=4000, seed=7)  # doctest: +SKIP
    """
    width, height, seed = _check(controls, width, height, seed)
    threads = whole_number("threads", threads, 1, MAX_THREADS)
    surface = SURFACES[controls.surface](compose(controls, aspect=width / height, seed=seed))
    times = math.ceil(_LEAST_PX / min(width, height))
    fast = compiled_painter(times * times * width * height)
    picture = np.empty((height, width, 3), np.uint8)
    rows = max(1, min(-(-height // threads), _BLOCK // (width * times * times)))

    def fill(top: int) -> None:
        bottom = min(top + rows, height)
        lab = surface.paint(View(times * top, times * bottom, times * width, times * height, fast))
        if times > 1:
            lab = lab.reshape(bottom - top, times, width, times, 3).mean(axis=(1, 3))
        picture[top:bottom] = dither_lab(lab, top, seed)

    run_each(fill, range(0, height, rows), threads)
    return picture


def composition_of(
    controls: Controls, *, width: Number = DEFAULT_SIZE_PX, height: Number = DEFAULT_SIZE_PX, seed: Number = 0
) -> Composition:
    """Return the composition that `paint` paints; the parameters and errors are those of `paint`."""
    width, height, seed = _check(controls, width, height, seed)
    return compose(controls, aspect=width / height, seed=seed)


def _check(controls: Controls, width: Number, height: Number, seed: Number) -> tuple[int, int, int]:
    """Return width, height and seed as int, or raise a `PictureError`."""
    if not isinstance(controls, Controls):
        raise PictureError(f"controls are {show(controls)}; make them with Clavilux.controls or Controls.from_json")
    width, height = (whole_number(name, n, *SIZE_RANGE_PX) for name, n in (("width", width), ("height", height)))
    check_aspect(width, height)
    return width, height, whole_number("seed", seed, 0, 2 * MAX_SEED)  # the seed of a variation is the sum of two
