"""The surface of a picture: noise of paint and paper, as a function of place.

sRGB picture, controls (glaze, brush, angle), seed -> **here** -> the picture with changes of tone and the grain of
paper
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from clavilux.painter.controls import Controls
from clavilux.painter.marks.hashing import COLUMN, ROW, Float32, draws, key, mix, unit, whole_bits
from clavilux.painter.marks.place import plane_waves, sum_waves
from clavilux.system.threads import run_each

UInt8 = NDArray[np.uint8]

_BLOCK = 65_536  # pixels of a block
_GRAIN_CELLS = (640, 2560)  # cells of the paper along the short side: for screens of 1024 pixels, and for print
_GRAIN = 1.2  # standard deviation of each grain, in 8-bit steps: too little to show as dots
_STEPS_PER_LIGHTNESS = 2.55  # 8-bit steps of grey per L*, nearly the same everywhere
_GLAZE_CELLS = (4, 9)  # cells along the short side
_GLAZE_COMMON = 0.85  # share of glaze that all channels have in common; the rest changes the tint
_BRISTLES = (44.0, 96.0, 220.0)  # cells across the strokes along the short side
_BRISTLE_LENGTH = 6.0  # length of a cell of bristles along the stroke, in widths of the cell
_BRISTLE_TABLE = 512  # period of the bristles, in cells: more than two short sides even for the finest
_FLOW = 0.06  # standard deviation of the bend of bristles, in short sides
_EASED_DEVIATION = 0.2144  # standard deviation of value noise whose lattice values are uniform on (-0.5, 0.5)


def add_surface(picture: UInt8, controls: Controls, seed: int, fast: ModuleType | None, threads: int) -> None:
    """Add glaze, brush and the grain of paper to a picture, in place.

    Parameters
    ----------
    picture : (H, W, 3) uint8
        sRGB.
    controls : Controls
        Gives glaze, brush and the angle of the bristles.
    seed : int
        Random seed of the noise.
    fast : module or None
        The compiled painter; None for NumPy.
    threads : int
        Number of blocks that are processed at the same time.
    """
    height, width = picture.shape[:2]
    rows = max(1, _BLOCK // width)
    steps = _STEPS_PER_LIGHTNESS
    common = _GLAZE_COMMON * controls.glaze * steps / len(_GLAZE_CELLS) ** 0.5
    own = (1 - _GLAZE_COMMON**2) ** 0.5 * controls.glaze * steps / len(_GLAZE_CELLS) ** 0.5
    glazes = _GLAZE_CELLS if controls.glaze else ()
    tones: list[ValueNoise | Bristles] = [
        ValueNoise(width, height, cells, seed, _GRAIN, fast) for cells in _GRAIN_CELLS
    ]
    tones += [ValueNoise(width, height, cells, seed, common, fast) for cells in glazes]
    if controls.brush:
        tones.append(Bristles(width, height, controls.angle, controls.brush * steps, seed, fast))
    tints = [[ValueNoise(width, height, cells, seed, own, fast, f"tint {c}") for cells in glazes] for c in range(3)]

    def fill(top: int) -> None:
        block = picture[top : top + rows]
        tone = _sum(tones, top, block.shape)
        tint = np.array([_sum(noises, top, block.shape) for noises in tints if noises], np.float32)
        if fast is not None:
            fast.add_noise(block, tone, tint.reshape(-1, *tone.shape))
            return
        toned = block + tone[:, :, None]
        for c, change in enumerate(tint):
            toned[:, :, c] += change
        np.rint(toned, out=toned)
        np.clip(toned, 0, 255, out=toned)
        block[...] = toned

    run_each(fill, range(0, height, rows), threads)


def _sum(noises: Sequence[ValueNoise | Bristles], top: int, shape: tuple[int, ...]) -> Float32:
    """Return the sum of noises on the rows of a block, (n, width)."""
    total = np.zeros(shape[:2], np.float32)
    for noise in noises:
        noise.add_to(total, top)
    return total


class Bristles:
    """Noise like the bristles of a brush: value noise of three scales, stretched along a bending flow.

    A slow field varies its strength. `deviation` is its standard deviation in 8-bit steps, `angle` its direction in
    turns.
    """

    def __init__(
        self, width: int, height: int, angle: float, deviation: float, seed: int, fast: ModuleType | None
    ) -> None:
        self.width, self.height, self.short, self.seed = width, height, min(width, height), seed
        self._turn = math.tau * angle
        # A pixel that covers many cells shows their mean, which deviates less.
        self._scales = [
            (np.float32(cells), np.float32(deviation * min(1.0, self.short / cells))) for cells in _BRISTLES
        ]
        side = _BRISTLE_TABLE
        table = draws(seed, "bristles", side * side).astype(np.float32) - np.float32(0.5)
        self._fast = fast
        self._table = table * np.float32(1 / (_EASED_DEVIATION * len(_BRISTLES) ** 0.5))

    def add_to(self, total: Float32, top: int) -> None:
        """Add the noise of the rows that begin at `top` to an array (n, width), in place."""
        n = len(total)
        x = ((np.arange(self.width) + 0.5 - self.width / 2) / self.short).astype(np.float32)
        y = ((np.arange(top, top + n) + 0.5 - self.height / 2) / self.short).astype(np.float32)
        if self._fast is not None:
            self._fast.add_bristles(
                total,
                x,
                y,
                *(np.float32(f(self._turn)) for f in (math.cos, math.sin)),
                self._fast.in_turns(np.array(plane_waves(self.seed, "flow", 4))),
                np.float32(_FLOW),
                self._fast.in_turns(np.array(plane_waves(self.seed, "thickness", 4))),
                np.array([(c / np.float32(_BRISTLE_LENGTH), c, weight) for c, weight in self._scales], np.float32),
                self._table.reshape(_BRISTLE_TABLE, _BRISTLE_TABLE),
            )
            return
        x, y = np.tile(x, n), np.repeat(y, self.width)
        # One slow field bends the flow, another varies the strength.
        cos, sin = np.float32(math.cos(self._turn)), np.float32(math.sin(self._turn))
        s, t = x * cos - y * sin, x * sin + y * cos
        t += sum_waves(s, t, self.seed, "flow", n=4) * np.float32(_FLOW)
        thickness = np.exp(np.float32(0.2) * sum_waves(x * 2, y * 2, self.seed, "thickness", n=4))
        noise = np.zeros_like(x)
        for shift, (cells, weight) in enumerate(self._scales):
            noise += weight * self._read(s * (cells / np.float32(_BRISTLE_LENGTH)), t * cells, shift)
        noise *= thickness
        total += noise.reshape(n, self.width)

    def _read(self, s: Float32, t: Float32, shift: int) -> Float32:
        """Return value noise at (s, t), in cells of the periodic table; `shift` tells scales apart."""
        side = _BRISTLE_TABLE
        i, j = np.floor(s), np.floor(t)
        right, down = _ease(s - i), _ease(t - j)
        column = i.astype(np.int32) + np.int32(131 * shift)
        row = j.astype(np.int32) + np.int32(57 * shift)
        left, next_ = column & (side - 1), (column + 1) & (side - 1)
        above, below = (row & (side - 1)) * side, ((row + 1) & (side - 1)) * side
        a, b = self._table.take(above + left), self._table.take(above + next_)
        c, d = self._table.take(below + left), self._table.take(below + next_)
        a += (b - a) * right
        c += (d - c) * right
        a += (c - a) * down
        return np.asarray(a, np.float32)


class ValueNoise:
    """Value noise: random values on a lattice, smoothly interpolated.

    Parameters
    ----------
    width, height : int
        Pixels of the picture.
    cells : int
        Cells of the lattice along the short side.
    seed : int
        Random seed.
    deviation : float
        Standard deviation, where a pixel is smaller than a cell.
    fast : module or None
        The compiled painter; None for NumPy.
    name : str
        Noises with different names are independent.
    """

    def __init__(
        self,
        width: int,
        height: int,
        cells: int,
        seed: int,
        deviation: float,
        fast: ModuleType | None,
        name: str = "paper",
    ) -> None:
        self._fast = fast
        short = min(width, height)
        x = (np.arange(width) + 0.5 - width / 2) / short * cells
        y = (np.arange(height) + 0.5 - height / 2) / short * cells
        left, above = np.floor(x).astype(np.float32), np.floor(y).astype(np.float32)
        self._right, self._down = _ease((x - left).astype(np.float32)), _ease((y - above).astype(np.float32))
        i, j = np.union1d(left, left + 1), np.union1d(above, above + 1)  # the lattice lines next to pixels
        self._columns, self._rows = np.searchsorted(i, left), np.searchsorted(j, above)
        self._i = whole_bits(i) * ROW + np.uint32(key(seed, f"{name} {cells}"))  # the two terms of `cell_hash`
        self._j = whole_bits(j) * COLUMN
        # A pixel that covers many cells shows their mean, whose deviation falls with the square root of their number.
        self._scale = np.float32(deviation / _EASED_DEVIATION * min(1.0, short / cells))

    def add_to(self, total: Float32, top: int) -> None:
        """Add the noise of the rows that begin at `top` to an array (n, width), in place."""
        at, down = self._rows[top : top + len(total)], self._down[top : top + len(total)]
        if self._fast is not None:
            self._fast.add_value_noise(total, self._i, self._columns, self._right, self._j, at, down, self._scale)
            return
        first = at[0]
        values = unit(mix(self._i + self._j[first : at[-1] + 2, None]))
        values -= np.float32(0.5)
        values *= self._scale
        above, below = values[at - first], values[at - first + 1]
        lines = above + (below - above) * down[:, None]
        left, noise = lines.take(self._columns, axis=1), lines.take(self._columns + 1, axis=1)
        noise -= left
        noise *= self._right
        noise += left
        total += noise


def _ease(f: Float32) -> Float32:
    """Return the smoothstep polynomial: 0 to 1 with zero slope at both ends."""
    eased: Float32 = f * f * (3 - 2 * f)
    return eased
