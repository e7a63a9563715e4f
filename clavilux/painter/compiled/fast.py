"""The compiled painter: brush strokes with Numba.

Nothing imports this module except `clavilux.painter.compiled`, which decides whether to use it. The formula is the
same as in `clavilux.painter.strokes`, which documents it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clavilux.painter.compiled.jit import Float32, UInt8, compiled
from clavilux.painter.strokes import BRISTLE_L, BRISTLES, COVERED, END_L, GROOVES, LIGHT, RAGGED, SLOPE

_SCALE = np.float32(0.5 * (BRISTLES - 1.01))
_RAGGED, _SLOPE, _GROOVES, _END_L, _COVERED = (np.float32(v) for v in (RAGGED, SLOPE, GROOVES, END_L, COVERED))
_LIGHT_X, _LIGHT_Y, _TONE = (np.float32(v) for v in (*LIGHT, BRISTLE_L))
_ONE, _HALF, _TWO, _THREE = (np.float32(v) for v in (1, 0.5, 2, 3))


@compiled
def _ramp(v: np.float32) -> np.float32:
    v = min(max(v, np.float32(0)), _ONE)
    return v * v * (_THREE - _TWO * v)


@compiled
def paint_strokes(
    rows: Float32,
    top: int,
    height: int,
    boxes: NDArray[np.int64],
    seen: NDArray[np.intp],
    shape: Float32,
    paint: Float32,
    bristles: Float32,
    slots: UInt8,
    first: UInt8,
    second: UInt8,
    share_of_second: Float32,
    hard: Float32,
) -> None:
    """Paint the strokes with the indices `seen` on rows of a picture, in place.

    `rows`, `top` and `height` are as in `clavilux.painter.strokes.paint_strokes`. Each row of `boxes` (n, 4) is the
    bounding box of a stroke in pixels: first column, end column, first row, end row; the ends are exclusive. `shape`,
    `paint`, `bristles` and `slots` are the four fields of `Strokes`. `first`, `second`, `share_of_second` and `hard`
    are the four fields of `Edges`, or empty arrays.
    """
    n, width = rows.shape[:2]
    short = min(width, height)
    bare, laid = np.ones((n, width), np.float32), np.zeros((n, width, 3), np.float32)
    for k in range(seen.size - 1, -1, -1):
        i = seen[k]
        middle_x, middle_y, cos, sin, half_width, half_length, curve = shape[i]
        dry, relief, opacity = paint[i, 3], paint[i, 4], paint[i, 5]
        across_scale, along_scale = _ONE / half_width, _ONE / half_length
        edge = half_width * np.float32(short / 1.2)
        tip = half_length * np.float32(short / 1.5)
        ragged = _RAGGED * min(_ONE, np.float32(4) * half_width / half_length)
        light = sin * _LIGHT_X - cos * _LIGHT_Y
        length, load = bristles[i, 0], bristles[i, 1]
        for r in range(max(0, boxes[i, 2] - top), min(n, boxes[i, 3] - top)):
            dy = np.float32((top + r + 0.5 - height / 2) / short) - middle_y
            for c in range(boxes[i, 0], boxes[i, 1]):
                if bare[r, c] <= _COVERED:
                    continue
                dx = np.float32((c + 0.5 - width / 2) / short) - middle_x
                along = dx * cos + dy * sin
                v = along * along_scale
                u = (dy * cos - dx * sin - _HALF * curve * along * along) * across_scale
                if abs(u) >= 1 or abs(v) >= 1:
                    continue
                at = (u + _ONE) * _SCALE
                low = int(at)
                share = at - np.float32(low)
                step = length[low + 1] - length[low]
                reach = length[low] + step * share
                filled = load[low] + (load[low + 1] - load[low]) * share
                cover = _ramp((_ONE - np.float32(0.06) * filled - abs(u)) * edge)
                cover *= _ramp((_ONE - ragged * reach - abs(v)) * tip)
                used = _HALF * (v + _ONE)
                thin = np.float32(1.7) * dry * used * used - np.float32(0.55) + np.float32(0.9) * (filled - _HALF)
                alpha = opacity * cover * (_ONE - np.float32(0.85) * _ramp(thin * np.float32(2.2)))
                if hard.size:
                    part = share_of_second[r, c]
                    covered = np.float32(0)
                    if first[r, c] == slots[i]:
                        covered += _ONE - part
                    if second[r, c] == slots[i]:
                        covered += part
                    alpha *= _ONE - max(hard[r, c], paint[i, 6]) * (_ONE - covered)
                slope = _SLOPE * u * abs(u) * abs(u) * abs(u) + _GROOVES * step
                tone = paint[i, 0] + relief * slope * light + _TONE * (reach - _HALF)
                tone += _END_L * relief * min(max((v - np.float32(0.72)) * np.float32(1 / 0.28), np.float32(0)), _ONE)
                visible = bare[r, c] * alpha
                bare[r, c] -= visible
                laid[r, c, 0] += visible * tone
                laid[r, c, 1] += visible * paint[i, 1]
                laid[r, c, 2] += visible * paint[i, 2]
    for r in range(n):
        for c in range(width):
            for channel in range(3):
                rows[r, c, channel] = rows[r, c, channel] * bare[r, c] + laid[r, c, channel]
