"""Painting of controls as an sRGB picture of any size.

    colour(x) = palette[argmax_k  log p_k(x) + chaos * G_k(x)],      G_k(x) = -log(-log u_k(x))

p_k(x) is the probability that the plan gives slot k at the place x. u_k is a mark field, uniform on (0, 1). At chaos 1
this is the Gumbel-max trick (perturb-and-MAP, Papandreou and Yuille 2011): slot k covers the area p_k, whatever the
marks look like. At other values slot k covers softmax(log p / chaos)_k. Kinds that shade have one field for all slots,
which are stacked from dark to light: slot k covers the places where u lies within the k-th share of the same softmax.

- *Two kinds of marks*: a slow random field, uniform and independent of the marks, decides which of two kinds draws at a
  place. The shares of the plan are kept, and a picture changes from one kind to another by area.
- *Softness*: the softmax of the scores instead of their argmax, mixed in linear light. Colours mix where scores are
close.
- *Outlines*: lines of the darkest or the lightest colour where two slots meet, see `clavilux.painter.outline`.
- *Symmetry*: in some regions a place is replaced by its mirror image, horizontally, vertically or both, so that shapes
and
  marks repeat. The regions grow with the control, from none of the picture to all of it.
- *Surface*: slow changes of tone within a colour (glaze), bristles along the angle (brush) and the grain of paper, see
  `clavilux.painter.surface`.

A picture is a function of place. Places are measured from the centre of the picture in short sides; the plan covers the
whole picture at any aspect ratio. The size only decides at which places the function is evaluated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import to_bytes
from clavilux.constants import DEFAULT_SIZE_PX, SIZE_RANGE_PX
from clavilux.errors import PictureError
from clavilux.painter.borders import find_steps
from clavilux.painter.canvas import Canvas
from clavilux.painter.compiled import compiled_painter
from clavilux.painter.controls import Controls
from clavilux.painter.outline import add_outlines, outline_width
from clavilux.painter.surface import add_surface
from clavilux.system.arguments import MAX_SEED, MAX_THREADS, Number, show, whole_number

UInt8 = NDArray[np.uint8]

_EDGE_SAMPLES = 3  # samples of a pixel each way where colours meet
_FINE_MARKS_PX = 10.0  # smaller marks can fall between pixel centres, so that every pixel needs `_EDGE_SAMPLES`
_SINGLE_FROM_PX = 2_048  # short side from which one sample per pixel locates outlines well enough


def paint(
    controls: Controls,
    *,
    width: Number = DEFAULT_SIZE_PX,
    height: Number = DEFAULT_SIZE_PX,
    seed: Number = 0,
    supersample: Number | None = None,
    threads: Number = 1,
) -> UInt8:
    """Paint a picture.

    Parameters
    ----------
    controls : Controls
        What to paint.
    width, height : int
        Pixels, each in `SIZE_RANGE_PX`. The same controls and seed give the same picture at every size.
    seed : int
        Random seed of the marks, 0 or more. The same controls, seed and size give the same bytes.
    supersample : int, optional
        Samples per pixel each way, 1 to 8, averaged in linear light. The default is 1, and 3 x 3 where neighbouring
        pixels differ or marks are smaller than ten pixels.
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
    supersample = None if supersample is None else whole_number("supersample", supersample, 1, 8)
    fast = compiled_painter(width * height)
    canvas = Canvas(controls, width, height, seed, fast, threads)
    picture = np.empty((height, width, 3), np.uint8)
    line = outline_width(controls)
    slots: UInt8 | None = None
    if supersample is None and canvas.short >= _FINE_MARKS_PX * controls.frequency:
        slots = np.empty((height, width), np.uint8) if line else None
        canvas.mix(picture, None, 1, slots)
        canvas.mix(picture, np.flatnonzero(find_steps(picture, fast, threads)), _EDGE_SAMPLES)
    else:
        canvas.mix(picture, None, supersample or _EDGE_SAMPLES)
    if line:
        if canvas.short < _SINGLE_FROM_PX:
            fine = Canvas(controls, 2 * width, 2 * height, seed, fast, threads)
            slots = fine.slots() if slots is None else fine.refine_slots(slots)
        elif slots is None:
            slots = canvas.slots()
        colour = to_bytes(controls.palette[0 if controls.outline < 0 else -1])
        add_outlines(picture, slots, width=line, colour=colour, seed=seed, fast=fast, threads=threads)
    add_surface(picture, controls, seed, fast, threads)
    return picture


def paint_slots(
    controls: Controls, *, width: Number = DEFAULT_SIZE_PX, height: Number = DEFAULT_SIZE_PX, seed: Number = 0
) -> UInt8:
    """Return the palette slot at the centre of each pixel.

    The parameters and errors are those of `paint`.

    Returns
    -------
    (height, width) uint8
        Slots, 0 to ``SLOTS - 1``.
    """
    width, height, seed = _check(controls, width, height, seed)
    return Canvas(controls, width, height, seed, compiled_painter(width * height)).slots()


def _check(controls: Controls, width: Number, height: Number, seed: Number) -> tuple[int, int, int]:
    """Return width, height and seed as int, or raise a `PictureError`."""
    if not isinstance(controls, Controls):
        raise PictureError(f"controls are {show(controls)}; make them with Clavilux.controls or Controls.from_json")
    return (
        whole_number("width", width, *SIZE_RANGE_PX),
        whole_number("height", height, *SIZE_RANGE_PX),
        whole_number("seed", seed, 0, 2 * MAX_SEED),  # the seed of a variation is the sum of two
    )
