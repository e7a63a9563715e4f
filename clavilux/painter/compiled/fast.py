"""The compiled painter: the functions that `clavilux.painter` calls when Numba is available.

Nothing imports this module except `clavilux.painter.compiled`, which decides whether to use it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clavilux.painter.compiled.jit import Float32, UInt8
from clavilux.painter.compiled.lines import draw_lines
from clavilux.painter.compiled.mixing import Scene, paint_pixels
from clavilux.painter.compiled.programs import in_turns, load_program
from clavilux.painter.compiled.surface import add_bristles, add_noise, add_value_noise, find_steps
from clavilux.painter.marks.trace import Program

__all__ = ["Canvas", "add_bristles", "add_noise", "add_value_noise", "draw_lines", "find_steps", "in_turns"]


class Canvas:
    """Paint the pixels of one picture with compiled code. The parameters are the fields of `mixing.Scene`."""

    def __init__(
        self,
        *,
        width: int,
        height: int,
        plan: Float32,
        light: Float32,
        colours: UInt8,
        dither_key: int,
        chaos: float,
        stack_chaos: float,
        soft_scores: float,
        soft_height: float,
        region: Program | None,
        kinds: Sequence[Program],
    ) -> None:
        programs = [load_program(kind) for kind in kinds]
        self._scene = Scene(
            width=width,
            height=height,
            plan=np.ascontiguousarray(plan.T).reshape(-1),
            plan_side=math.isqrt(plan.shape[1]) - 1,
            light=light,
            colours=colours,
            dither_key=np.uint32(dither_key),
            chaos=np.float32(chaos),
            stack_chaos=np.float32(stack_chaos),
            soft=soft_scores > 0,
            soft_scores=np.float32(soft_scores),
            soft_height=np.float32(soft_height),
            region=programs[0] if region is None else load_program(region),
            kinds=(programs[0], programs[-1]),
            n_kinds=len(programs),
        )

    def mix(self, picture: UInt8, pixels: NDArray[np.intp], samples: int, slots: UInt8 | None) -> None:
        """Paint pixels as the mean of samples x samples places; with one sample, `slots` may receive the slots."""
        flat = picture.reshape(-1, 3)
        paint_pixels(self._scene, pixels, samples, flat, picture.reshape(-1)[:0] if slots is None else slots)

    def find_slots(self, pixels: NDArray[np.intp], slots: UInt8) -> None:
        """Write the slot at the centre of each pixel."""
        paint_pixels(self._scene, pixels, 1, np.empty((0, 3), np.uint8), slots)
