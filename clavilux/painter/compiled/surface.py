"""Compiled loops over rows of pixels: steps of colour, and the noise of the surface.

The formulas are those of `clavilux.painter.paint` and `clavilux.painter.surface`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from clavilux.painter.compiled.arithmetic import ease, exp, mix, plane_wave, unit
from clavilux.painter.compiled.jit import Float32, UInt8, UInt32, compiled


@compiled
def find_steps(picture: UInt8, top: int, bottom: int, largest: np.uint8, differs: NDArray[np.bool_]) -> None:
    """Mark pixels of rows [top, bottom) that differ from one of 4 neighbours by more than `largest` in a channel."""
    height, width = picture.shape[:2]
    apart = np.zeros(3 * width, np.uint8)
    for row in range(max(0, top - 1), bottom):
        here = picture[row].reshape(-1)
        if row < height - 1:
            below = picture[row + 1].reshape(-1)
            for x in range(3 * width):
                apart[x] = max(here[x], below[x]) - min(here[x], below[x]) > largest
            if row >= top:
                _or_channels(apart, differs[row])
            if row + 1 < bottom:
                _or_channels(apart, differs[row + 1])
        if row >= top:
            beside = here[3:]
            for x in range(3 * width - 3):
                apart[x] = max(here[x], beside[x]) - min(here[x], beside[x]) > largest
            _or_channels(apart, differs[row, : width - 1])
            _or_channels(apart, differs[row, 1:])


@compiled
def _or_channels(apart: UInt8, differs: NDArray[np.bool_]) -> None:
    """Set `differs` where any of the three channels is set."""
    for x in range(differs.size):
        differs[x] |= (apart[3 * x] | apart[3 * x + 1] | apart[3 * x + 2]) != 0


@compiled
def add_value_noise(
    noise: Float32,
    i: UInt32,
    columns: NDArray[np.intp],
    right: Float32,
    j: UInt32,
    rows: NDArray[np.intp],
    down: Float32,
    scale: np.float32,
) -> None:
    """Add value noise to rows of pixels: `clavilux.painter.surface.ValueNoise`.

    Parameters
    ----------
    noise : (n, width) float32
        Changed in place.
    i, j : (n_columns,), (n_rows,) uint32
        Parts of the hashes of the columns and rows of the lattice.
    columns, rows : (width,), (n,) int
        Index of the lattice column to the left of each pixel and of the lattice row above it.
    right, down : (width,), (n,) float32
        Weight of the next column and row.
    scale : float32
        Factor of noise that is uniform on (-0.5, 0.5).
    """
    line = np.empty(i.size, np.float32)
    for row in range(len(noise)):
        above, below, f = j[rows[row]], j[rows[row] + 1], down[row]
        for c in range(i.size):
            a = (unit(mix(np.uint32(i[c] + above))) - np.float32(0.5)) * scale
            b = (unit(mix(np.uint32(i[c] + below))) - np.float32(0.5)) * scale
            line[c] = a + (b - a) * f
        out = noise[row]
        for x in range(out.size):
            c = columns[x]
            out[x] += (line[c + 1] - line[c]) * right[x] + line[c]


@compiled
def add_bristles(
    noise: Float32,
    x: Float32,
    y: Float32,
    cos: np.float32,
    sin: np.float32,
    flow: Float32,
    bend: np.float32,
    thickness: Float32,
    scales: Float32,
    table: Float32,
) -> None:
    """Add bristles to rows of pixels: `clavilux.painter.surface.Bristles`.

    Parameters
    ----------
    noise : (n, width) float32
        Changed in place.
    x, y : (width,), (n,) float32
        Places in short sides from the centre.
    cos, sin : float32
        Of the angle of the strokes.
    flow, thickness : (n_waves, 3) float32
        Plane waves, in turns.
    bend : float32
        Displacement by the flow, in short sides.
    scales : (n_scales, 3) float32
        Cells along the stroke, cells across it, and weight.
    table : (side, side) float32
        Random values of the cells; the side is a power of 2.
    """
    side = len(table)
    cells, last = table.reshape(-1), np.uint32(side - 1)
    s, t, wave, total = np.empty_like(x), np.empty_like(x), np.empty_like(x), np.empty_like(x)
    for row in range(y.size):
        for i in range(x.size):
            s[i] = x[i] * cos - y[row] * sin
            t[i] = x[i] * sin + y[row] * cos
        _sum_waves(flow, s, t, wave)
        for i in range(x.size):
            t[i] += wave[i] * bend
            total[i] = np.float32(0)
        for scale in range(len(scales)):
            along, across, weight = scales[scale]
            shift_s, shift_t = np.uint32(131 * scale), np.uint32(57 * scale)
            for i in range(x.size):
                u, v = s[i] * along, t[i] * across
                column, line = np.floor(u), np.floor(v)
                right, down = ease(u - column), ease(v - line)
                left = np.uint32(np.int32(column)) + shift_s
                above = np.uint32(np.int32(line)) + shift_t
                left, next_ = left & last, (left + np.uint32(1)) & last
                above, below = (above & last) * np.uint32(side), ((above + np.uint32(1)) & last) * np.uint32(side)
                a, b, c, d = cells[above + left], cells[above + next_], cells[below + left], cells[below + next_]
                a += (b - a) * right
                c += (d - c) * right
                total[i] += weight * (a + (c - a) * down)
        for i in range(x.size):
            s[i], t[i] = x[i] * np.float32(2), y[row] * np.float32(2)
        _sum_waves(thickness, s, t, wave)
        for i in range(x.size):
            noise[row, i] += total[i] * exp(np.float32(0.2) * wave[i])


@compiled
def _sum_waves(waves: Float32, s: Float32, t: Float32, out: Float32) -> None:
    """Write the sum of plane waves: `clavilux.painter.marks.place.sum_waves`."""
    out[:] = 0
    for wave in range(len(waves)):
        a, b, c = waves[wave]
        for i in range(out.size):
            out[i] += plane_wave(s[i], t[i], a, b, c)
    out *= np.float32(math.sqrt(2.0 / len(waves)))


@compiled
def add_noise(block: UInt8, noise: Float32, tints: Float32) -> None:
    """Add noise (n, width) and, unless empty, tints (3, n, width) to the colours of rows (n, width, 3), in place."""
    for row in range(len(block)):
        for x in range(block.shape[1]):
            for channel in range(3):
                toned = np.float32(block[row, x, channel]) + noise[row, x]
                if len(tints):
                    toned += tints[channel, row, x]
                block[row, x, channel] = np.uint8(min(max(np.rint(toned), np.float32(0)), np.float32(255)))
