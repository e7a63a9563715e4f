"""Paint controls as an sRGB picture of any size.

controls, seed -> composition (`clavilux.painter.composition`) -> surface (`clavilux.painter.surfaces`) -> pixels

A picture is a function of the position, which is relative to the centre of the picture, in units of its short side. The
plan (the probabilities of the palette slots) covers the whole picture at any aspect ratio. The size only determines the
positions at which the function is evaluated. Blocks of rows are painted one by one, or in several threads.
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
from clavilux.painter.ground import average, cut_out
from clavilux.painter.surfaces import SURFACES
from clavilux.system.arguments import MAX_SEED, MAX_THREADS, Number, check_aspect, show, whole_number
from clavilux.system.threads import run_each

UInt8 = NDArray[np.uint8]

_BLOCK = 1_048_576  # pixels of a block: few enough to bound the memory, and enough that few strokes lie in two blocks
_LEAST_PX = 256  # pictures with a shorter short side are painted at a multiple of their size, and averaged down


def paint(
    controls: Controls,
    *,
    width: Number = DEFAULT_SIZE_PX,
    height: Number = DEFAULT_SIZE_PX,
    seed: Number = 0,
    threads: Number = 1,
    transparent: bool = False,
) -> UInt8:
    """Return the picture that controls describe, at any size.

    Parameters
    ----------
    controls : Controls
        Palette, plan, kinds of marks and so on.
    width, height : int
        Size in pixels, both in `SIZE_RANGE_PX`. The same controls and seed give the same picture at every size.
    seed : int
        Random seed of the marks, 0 or more. The same controls, seed and size give the same bytes.
    threads : int
        Number of threads; it does not change the bytes.
    transparent : bool
        Whether to leave out the ground (the background; see `clavilux.painter.ground`).

    Returns
    -------
    (height, width, 3) uint8
        sRGB. If `transparent` is true, (height, width, 4): sRGB and alpha; colours are not multiplied by alpha.

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
    cut = cut_out(surface) if transparent else None
    times = math.ceil(_LEAST_PX / min(width, height))
    fast = compiled_painter(times * times * width * height)
    picture = np.empty((height, width, 4 if transparent else 3), np.uint8)
    rows = max(1, min(-(-height // threads), _BLOCK // (width * times * times)))

    def fill(top: int) -> None:
        bottom = min(top + rows, height)
        view = View(times * top, times * bottom, times * width, times * height, fast)
        if cut is not None:
            rows_with_alpha = average(cut.paint(view), times) if times > 1 else cut.paint(view)
            picture[top:bottom, :, :3] = dither_lab(rows_with_alpha[..., :3], top, seed)
            picture[top:bottom, :, 3] = np.rint(255 * rows_with_alpha[..., 3])
            return
        lab = surface.paint(view)
        if times > 1:
            lab = lab.reshape(bottom - top, times, width, times, 3).mean(axis=(1, 3))
        picture[top:bottom] = dither_lab(lab, top, seed)

    run_each(fill, range(0, height, rows), threads)
    return picture


def composition_of(
    controls: Controls, *, width: Number = DEFAULT_SIZE_PX, height: Number = DEFAULT_SIZE_PX, seed: Number = 0
) -> Composition:
    """Return the composition that `paint` paints; parameters and errors are the same as in `paint`."""
    width, height, seed = _check(controls, width, height, seed)
    return compose(controls, aspect=width / height, seed=seed)


def _check(controls: Controls, width: Number, height: Number, seed: Number) -> tuple[int, int, int]:
    """Return width, height and seed as int, or raise a `PictureError`."""
    if not isinstance(controls, Controls):
        raise PictureError(f"controls are {show(controls)}; make them with Clavilux.controls or Controls.from_json")
    width, height = (whole_number(name, n, *SIZE_RANGE_PX) for name, n in (("width", width), ("height", height)))
    check_aspect(width, height)
    return width, height, whole_number("seed", seed, 0, 2 * MAX_SEED)  # the seed of a variation is the sum of two
