"""Compiled outlines: distance to the nearest border of slots, and the line drawn there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clavilux.painter.compiled.arithmetic import encode_srgb
from clavilux.painter.compiled.jit import Float32, UInt8, compiled

Int32 = NDArray[np.int32]


@compiled
def draw_lines(
    block: UInt8, slots: UInt8, top: int, reach: int, half_width: Float32, to_light: Float32, light: Float32
) -> None:
    """Draw lines along the borders of slots on rows of a picture, in place: `clavilux.painter.outline`.

    Parameters
    ----------
    block : (h, W, 3) uint8
        Rows of the picture.
    slots : (H, w) uint8
        Slots of the whole picture, at one or more places per pixel each way.
    top : int
        Row of `slots` at which the block begins.
    reach : int
        Largest distance of a line from its border, in places.
    half_width : (n, w) float32
        Half of the width of the lines, in places, for the rows of slots of the block.
    to_light : (256,) float32
        Linear light of each 8-bit value.
    light : (3,) float32
        Linear light of the lines.
    """
    n, width = half_width.shape
    first, last = max(0, top - reach), min(len(slots), top + n + reach)
    far = np.int32(reach + 1)
    along = np.empty((last - first, width), np.int32)  # distance to the nearest border in the same column
    for row in range(first, last):
        _mark_borders(slots, row, far, along[row - first])
    for row in range(1, last - first):
        _relax(along[row], along[row - 1])
    for row in range(last - first - 2, -1, -1):
        _relax(along[row], along[row + 1])
    places = n // len(block)
    nearest, padded = np.empty(width, np.int32), np.empty(width + 2 * reach, np.int32)
    padded[:] = far * far
    cover = np.empty(width // places, np.float32)
    share = np.float32(1 / (places * places))
    for line in range(len(block)):
        cover[:] = 0
        drawn = False
        for row in range(line * places, (line + 1) * places):
            squares = padded[reach : reach + width]
            near = along[top - first + row]
            for x in range(width):
                squares[x] = near[x] * near[x]
            nearest[:] = squares
            for step in range(1, reach + 1):
                square, left, right = np.int32(step * step), padded[reach - step :], padded[reach + step :]
                for x in range(width):
                    nearest[x] = min(nearest[x], min(left[x], right[x]) + square)
            half = half_width[row]
            for x in range(width):
                covered = min(max(half[x] - np.sqrt(np.float32(nearest[x])), np.float32(0)), np.float32(1))
                if covered > 0:
                    cover[x // places] += covered
                    drawn = True
        if not drawn:
            continue
        for x in range(cover.size):
            if cover[x] > 0:
                for channel in range(3):
                    here = to_light[block[line, x, channel]]
                    here += (light[channel] - here) * (cover[x] * share)
                    block[line, x, channel] = np.uint8(np.rint(encode_srgb(here)))


@compiled
def _mark_borders(slots: UInt8, row: int, far: np.int32, out: Int32) -> None:
    """Write 0 where a slot differs from one of its 4 neighbours, and `far` elsewhere."""
    here = slots[row]
    above, below = slots[max(0, row - 1)], slots[min(len(slots) - 1, row + 1)]
    for x in range(here.size):
        out[x] = 0 if (here[x] != above[x]) | (here[x] != below[x]) else far
    for x in range(here.size - 1):
        out[x] = 0 if here[x] != here[x + 1] else out[x]
    for x in range(1, here.size):
        out[x] = 0 if here[x] != here[x - 1] else out[x]


@compiled
def _relax(row: Int32, beside: Int32) -> None:
    """Lower distances to at most one more than those of an adjacent row."""
    for x in range(row.size):
        row[x] = min(row[x], beside[x] + np.int32(1))
