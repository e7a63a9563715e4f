"""The painter, compiled: what the extra `fast` (Numba) adds. Only `clavilux.painter.compiled` imports it.

mark fields as programs (`painter.marks.trace`), plan, colours -> **here** -> sRGB of pixels, and the noise of surfaces

The arithmetic is that of the painter in NumPy, operation by operation, with no sum fused or reordered: all but sine,
logarithm and exponential have the same bits. Those are polynomials of Cephes (Moshier 1992), within 2e-7 of theirs.
Compiled code is kept on disk, beside this file or in the user's cache, so that only the first picture waits for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numba.extending
import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from clavilux.constants import SLOTS
from clavilux.painter.marks.chance import COLUMN, ROW
from clavilux.painter.marks.trace import Op, Program

Float32 = NDArray[np.float32]
UInt8 = NDArray[np.uint8]
Number = Any  # one number in compiled code: Numba finds its type
F = TypeVar("F", bound=Callable[..., Any])

_intrinsic = cast(Callable[[Callable[..., Any]], Callable[..., Any]], numba.extending.intrinsic)

if len(Op) != 49:  # compiled code on disk is renewed when this file changes, not when `Op` does
    raise AssertionError("the steps of programs have changed: adapt `_run`, and the number above")
_BLOCK = 1024  # places at a time: a row of numbers has 4 kB, and the rows of a program stay in the cache
_B = np.uint64(_BLOCK)  # unsigned, as are the counters: Numba then need not ask whether an index counts from the end


def _compiled(function: F) -> F:
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def _fused(function: F) -> F:
    """A function of one number in which products may be added without being rounded first."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})(function))


class Marks(NamedTuple):
    """A kind, as compiled code takes it; see `Program`."""

    steps: NDArray[np.uint32]
    waves: Float32
    tables: Float32  # (n, (side + 1)^2)
    table_side: np.uint32
    rows: int
    outputs: NDArray[np.uint64]


class Scene(NamedTuple):
    """What a canvas is painted from, see `clavilux.painter.paint`; regions and kinds as programs."""

    width: int
    height: int
    plan: Float32  # (points * SLOTS,), the slots of a point side by side
    plan_side: int  # points of the plan along a side, less one
    light: Float32  # (SLOTS, 3) linear light
    colours: UInt8  # (SLOTS, 3) sRGB
    dither_key: np.uint32  # of `clavilux.painter.dither`
    chaos: np.float32
    stack_chaos: np.float32  # the same, kept off 0
    soft: bool
    soft_bids: np.float32  # bids over which colours pass into each other
    soft_height: np.float32  # the same for kinds that shade, of the whole height
    region: Marks
    kinds: tuple[Marks, Marks]  # the second draws where the region says so
    n_kinds: int


class PlanScratch(NamedTuple):
    """Rows for `_read_plan`: where in the plan a place lies, how far from there, and what is read, (n, SLOTS)."""

    at: NDArray[np.uint32]
    right: Float32
    down: Float32
    read: Float32


class Canvas:
    """Paints pixels by compiled code; parameters as in `Scene`."""

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
        soft_bids: float,
        soft_height: float,
        region: Program | None,
        kinds: Sequence[Program],
    ) -> None:
        marks = [_to_marks(kind) for kind in kinds]
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
            soft=soft_bids > 0,
            soft_bids=np.float32(soft_bids),
            soft_height=np.float32(soft_height),
            region=marks[0] if region is None else _to_marks(region),
            kinds=(marks[0], marks[-1]),
            n_kinds=len(marks),
        )

    def mix(self, picture: UInt8, pixels: NDArray[np.intp], samples: int, slots: UInt8 | None) -> None:
        """Paint pixels as the mean of samples x samples places in linear light; of one sample, slots can be had too."""
        flat = picture.reshape(-1, 3)
        _paint_pixels(self._scene, pixels, samples, flat, picture.reshape(-1)[:0] if slots is None else slots)

    def find_slots(self, pixels: NDArray[np.intp], slots: UInt8) -> None:
        """Write the slot at the middle of each pixel."""
        _paint_pixels(self._scene, pixels, 1, np.empty((0, 3), np.uint8), slots)


def in_turns(waves: Float32) -> Float32:
    """Frequencies and phases in turns in place of radians."""
    return (waves / math.tau).astype(np.float32)


def _to_marks(program: Program) -> Marks:
    side = len(program.tables[0]) - 1 if program.tables else 0
    tables = np.array(program.tables, np.float32).reshape(len(program.tables), (side + 1) ** 2)
    outputs = np.array(program.outputs, np.uint64)
    return Marks(program.steps, in_turns(program.waves), tables, np.uint32(side), program.rows, outputs)


# Functions of one number; loops over them run on whole vectors ------------------------------------------------------


@_intrinsic
def _as(context: Any, number: Any, kind: Any) -> Any:
    """The bits of a number as another type of as many bits; Numba's own ``view`` takes whole numbers alone."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return kind.instance_type(number, kind), build


@_fused
def _sin_turns(v: Number) -> Number:
    """Sine of so many turns."""
    r = v - np.rint(v)
    q = r * r
    p = np.float32(12.232246398925781)
    p = p * q + np.float32(-38.122798919677734)
    p = p * q + np.float32(67.04385375976562)
    p = p * q + np.float32(-64.83467864990234)
    p = p * q + np.float32(25.13273048400879)
    return r * (np.float32(0.25) - q) * p  # the zeros are exact


@_fused
def _wave(s: Number, t: Number, a: Number, b: Number, c: Number) -> Number:
    return _sin_turns(s * a + (t * b + c))


@_fused
def _log(x: Number) -> Number:
    """Of normal numbers above 0."""
    bits = _as(x, numba.int32)
    e = (bits - np.int32(0x3F3504F3)) >> np.int32(23)  # x is 2^e times a number from sqrt(1/2) to sqrt(2)
    f = _as(np.int32(bits - (e << np.int32(23))), numba.float32) - np.float32(1)
    p = np.float32(-0.1037859320640564)
    p = p * f + np.float32(0.16338108479976654)
    p = p * f + np.float32(-0.1721244901418686)
    p = p * f + np.float32(0.19884240627288818)
    p = p * f + np.float32(-0.24971559643745422)
    p = p * f + np.float32(0.3333560824394226)
    p = p * f + np.float32(-0.500003457069397)
    p = p * f + np.float32(0.9999999403953552)
    return p * f + np.float32(e) * np.float32(math.log(2))


@_fused
def _exp(x: Number) -> Number:
    x = min(max(x, np.float32(-60)), np.float32(60))  # far from numbers that a processor is slow at
    k = np.rint(x * np.float32(1 / math.log(2)))
    x = x - k * np.float32(0.693359375) - k * np.float32(math.log(2) - 0.693359375)
    p = np.float32(0.008297652006149292)
    p = p * x + np.float32(0.04191538318991661)
    p = p * x + np.float32(0.16667574644088745)
    p = p * x + np.float32(0.49998894333839417)
    p = p * x + np.float32(0.9999997019767761)
    p = p * x + np.float32(1.0000001192092896)
    return p * _as(np.int32((np.int32(k) + np.int32(127)) << np.int32(23)), numba.float32)


@_compiled
def _mix(h: Number) -> Number:
    h = np.uint32(h ^ (h >> np.uint32(16)))  # Numba's products of 32 bits have 64
    h = np.uint32(h * np.uint32(0x7FEB352D))
    h = np.uint32(h ^ (h >> np.uint32(15)))
    h = np.uint32(h * np.uint32(0x846CA68B))
    return np.uint32(h ^ (h >> np.uint32(16)))


@_compiled
def _unit(h: Number) -> Number:
    return (np.float32(h >> np.uint32(9)) + np.float32(0.5)) * np.float32(2.0**-23)


@_compiled
def _normal_to_uniform(z: Number) -> Number:
    w = (z * z * np.float32(-0.07056) - np.float32(1.5976)) * z
    return np.float32(1) / (_exp(min(max(w, np.float32(-13)), np.float32(13))) + np.float32(1))


@_compiled
def _from_light(light: Number) -> Number:
    """Linear light -> sRGB in 8-bit steps, not rounded."""
    bent = np.float32(1.055) * _exp(_log(max(light, np.float32(1e-9))) * np.float32(1 / 2.4)) - np.float32(0.055)
    return np.float32(255) * (bent if light > np.float32(0.0031308) else np.float32(12.92) * light)


@_compiled
def _read_field(table: Number, side: Number, s: Number, t: Number) -> Number:
    """`clavilux.painter.marks.learnt.read_field`."""
    n = np.float32(side)
    column, row = (s - np.floor(s)) * n, (t - np.floor(t)) * n
    whole_column, whole_row = min(np.floor(column), n - np.float32(1)), min(np.floor(row), n - np.float32(1))
    right, down = column - whole_column, row - whole_row
    at = np.uint64(np.int32(whole_row * (n + np.float32(1)) + whole_column))
    below = at + np.uint64(side) + np.uint64(1)
    upper = table[at] + (table[at + np.uint64(1)] - table[at]) * right
    lower = table[below] + (table[below + np.uint64(1)] - table[below]) * right
    return upper + (lower - upper) * down


# Programs -----------------------------------------------------------------------------------------------------------


@_compiled
def _run(marks: Marks, f: Float32, u: NDArray[np.uint32], n: np.uint64) -> None:
    """Carry out a program on n places; f and u are the same rows of numbers, as floats and as whole numbers."""
    steps, waves = marks.steps, marks.waves
    for number in range(len(steps)):
        op, c = steps[number, 0], steps[number, 5]
        k = _as(c, numba.float32)
        d, a, b, e = steps[number, 1] * _B, steps[number, 2] * _B, steps[number, 3] * _B, steps[number, 4] * _B
        if op == Op.ADD:
            for i in range(n):
                f[d + i] = f[a + i] + f[b + i]
        elif op == Op.ADD_C:
            for i in range(n):
                f[d + i] = f[a + i] + k
        elif op == Op.SUB:
            for i in range(n):
                f[d + i] = f[a + i] - f[b + i]
        elif op == Op.C_SUB:
            for i in range(n):
                f[d + i] = k - f[a + i]
        elif op == Op.MUL:
            for i in range(n):
                f[d + i] = f[a + i] * f[b + i]
        elif op == Op.MUL_C:
            for i in range(n):
                f[d + i] = f[a + i] * k
        elif op == Op.DIV:
            for i in range(n):
                f[d + i] = f[a + i] / f[b + i]
        elif op == Op.DIV_C:
            for i in range(n):
                f[d + i] = f[a + i] / k
        elif op == Op.C_DIV:
            for i in range(n):
                f[d + i] = k / f[a + i]
        elif op == Op.MIN:
            for i in range(n):
                f[d + i] = min(f[a + i], f[b + i])
        elif op == Op.MIN_C:
            for i in range(n):
                f[d + i] = min(f[a + i], k)
        elif op == Op.MAX:
            for i in range(n):
                f[d + i] = max(f[a + i], f[b + i])
        elif op == Op.MAX_C:
            for i in range(n):
                f[d + i] = max(f[a + i], k)
        elif op == Op.FLOOR:
            for i in range(n):
                f[d + i] = np.floor(f[a + i])
        elif op == Op.SQRT:
            for i in range(n):
                f[d + i] = np.sqrt(f[a + i])
        elif op == Op.ABS:
            for i in range(n):
                f[d + i] = abs(f[a + i])
        elif op == Op.SIN:
            for i in range(n):
                f[d + i] = _sin_turns(f[a + i] * np.float32(1 / math.tau))
        elif op == Op.COS:
            for i in range(n):
                f[d + i] = _sin_turns(f[a + i] * np.float32(1 / math.tau) + np.float32(0.25))
        elif op == Op.LOG:
            for i in range(n):
                f[d + i] = _log(f[a + i])
        elif op == Op.EXP:
            for i in range(n):
                f[d + i] = _exp(f[a + i])
        elif op == Op.LESS:
            for i in range(n):
                u[d + i] = f[a + i] < f[b + i]
        elif op == Op.LESS_C:
            for i in range(n):
                u[d + i] = f[a + i] < k
        elif op == Op.MORE_C:
            for i in range(n):
                u[d + i] = f[a + i] > k
        elif op == Op.AT_LEAST_C:
            for i in range(n):
                u[d + i] = f[a + i] >= k
        elif op == Op.U_ADD:
            for i in range(n):
                u[d + i] = u[a + i] + u[b + i]
        elif op == Op.U_ADD_C:
            for i in range(n):
                u[d + i] = u[a + i] + c
        elif op == Op.U_MUL:
            for i in range(n):
                u[d + i] = u[a + i] * u[b + i]
        elif op == Op.U_MUL_C:
            for i in range(n):
                u[d + i] = u[a + i] * c
        elif op == Op.U_XOR:
            for i in range(n):
                u[d + i] = u[a + i] ^ u[b + i]
        elif op == Op.U_XOR_C:
            for i in range(n):
                u[d + i] = u[a + i] ^ c
        elif op == Op.U_AND:
            for i in range(n):
                u[d + i] = u[a + i] & u[b + i]
        elif op == Op.U_AND_C:
            for i in range(n):
                u[d + i] = u[a + i] & c
        elif op == Op.U_OR:
            for i in range(n):
                u[d + i] = u[a + i] | u[b + i]
        elif op == Op.U_OR_C:
            for i in range(n):
                u[d + i] = u[a + i] | c
        elif op == Op.U_SHIFT_C:
            for i in range(n):
                u[d + i] = u[a + i] >> c
        elif op == Op.U_MIN:
            for i in range(n):
                u[d + i] = min(u[a + i], u[b + i])
        elif op == Op.U_MAX:
            for i in range(n):
                u[d + i] = max(u[a + i], u[b + i])
        elif op == Op.U_LESS_C:
            for i in range(n):
                u[d + i] = u[a + i] < c
        elif op == Op.U_MORE_C:
            for i in range(n):
                u[d + i] = u[a + i] > c
        elif op == Op.TO_WHOLE:
            for i in range(n):
                u[d + i] = np.int32(f[a + i])
        elif op == Op.TO_FLOAT:
            for i in range(n):
                f[d + i] = np.float32(np.int32(u[a + i]))
        elif op == Op.FILL:
            for i in range(n):
                u[d + i] = c
        elif op == Op.MIX:
            for i in range(n):
                u[d + i] = _mix(np.uint32(u[a + i] + c))
        elif op == Op.UNIT:
            for i in range(n):
                f[d + i] = _unit(u[a + i])
        elif op == Op.MIX_UNIT:
            for i in range(n):
                f[d + i] = _unit(_mix(np.uint32(u[a + i] + c)))
        elif op == Op.CHOOSE:
            for i in range(n):
                u[d + i] = ((u[b + i] ^ u[e + i]) & -u[a + i]) ^ u[e + i]
        elif op == Op.NORMAL_TO_UNIFORM:
            for i in range(n):
                f[d + i] = _normal_to_uniform(f[a + i])
        elif op == Op.WAVES:
            for i in range(n):
                f[d + i] = np.float32(0)
            first = np.int64(c >> np.uint32(8))
            last = first + np.int64(c & np.uint32(255))
            for wave in range(first, last - 1, 2):  # two at a time: half as many sums to fetch and to put back
                s, t, shift = waves[wave, 0], waves[wave, 1], waves[wave, 2]
                s_2, t_2, shift_2 = waves[wave + 1, 0], waves[wave + 1, 1], waves[wave + 1, 2]
                for i in range(n):
                    v, w = f[a + i], f[b + i]
                    f[d + i] += _wave(v, w, s, t, shift) + _wave(v, w, s_2, t_2, shift_2)
            if (last - first) % 2:
                s, t, shift = waves[last - 1, 0], waves[last - 1, 1], waves[last - 1, 2]
                for i in range(n):
                    f[d + i] += _wave(f[a + i], f[b + i], s, t, shift)
        elif op == Op.READ_FIELD:
            table, side = marks.tables[np.int64(c)], marks.table_side
            for i in range(n):
                f[d + i] = _read_field(table, side, f[a + i], f[b + i])


# A block of pixels --------------------------------------------------------------------------------------------------


@_compiled
def _row() -> Float32:
    """A row of numbers; unpacked from an array of several, Numba would not know that they lie side by side."""
    return np.empty(_BLOCK, np.float32)


@_compiled
def _paint_pixels(scene: Scene, pixels: NDArray[np.intp], samples: int, picture: UInt8, slots: UInt8) -> None:
    """Paint some pixels of a picture, (pixels, 3), as the mean of samples x samples places in linear light.

    Where `slots` is not empty, the slot at the middle of each of them is written into it, (n,); where the picture is
    empty, nothing else.
    """
    n_samples = samples * samples
    per_block = _BLOCK // n_samples
    n_rows = max(scene.region.rows, max(scene.kinds[0].rows, scene.kinds[1].rows))
    f = np.empty(n_rows * _BLOCK, np.float32)
    rows, columns = np.empty(_BLOCK, np.int32), np.empty(_BLOCK, np.int32)
    u = f.view(np.uint32)
    p = np.empty(SLOTS * _BLOCK, np.float32)
    x, y, slot, best, total = _row(), _row(), _row(), _row(), _row()
    light = np.empty((3, _BLOCK), np.float32)
    all_slots, all_light = np.empty(_BLOCK, np.uint8), np.empty((3, _BLOCK), np.float32)
    where = np.empty((2, _BLOCK), np.uint32)
    plan_scratch = PlanScratch(np.empty(_BLOCK, np.uint32), _row(), _row(), np.empty(SLOTS * _BLOCK, np.float32))
    for start in range(0, pixels.size, per_block):
        some = pixels[start : start + per_block]
        n = some.size * n_samples
        _find_places(scene, some, samples, rows, columns, x, y)
        counts = _part(scene, x, y, n, f, u, where)
        for number in range(2):
            m, at, marks = counts[number], where[number], scene.kinds[number]
            if m == 0:
                continue
            for i in range(m):
                f[i], f[_BLOCK + i] = x[at[i]], y[at[i]]
            _run(marks, f, u, np.uint64(m))
            read_x, read_y = marks.outputs[-2] * _B, marks.outputs[-1] * _B
            _read_plan(scene, f, read_x, read_y, p, np.uint64(m), plan_scratch)
            if marks.outputs.size == 3:
                _stack(scene, f, marks.outputs[0] * _B, p, np.uint64(m), slot, best, total, light)
            else:
                for k in range(marks.outputs.size - 2):
                    _bid(scene.chaos, f, marks.outputs[k] * _B, p, np.uint64(k) * _B, np.uint64(m))
                _settle(scene, p, np.uint64(m), slot, best, total, light)
            for i in range(m):
                all_slots[at[i]] = np.uint8(slot[i])
            if scene.soft:
                for channel in range(3):
                    for i in range(m):
                        all_light[channel, at[i]] = light[channel, i]
        if slots.size:
            slots[start : start + n] = all_slots[:n]
        if picture.size == 0:
            continue
        if samples == 1 and not scene.soft:
            for i in range(n):
                for channel in range(3):
                    picture[some[i], channel] = scene.colours[all_slots[i], channel]
        else:
            for channel in range(3):
                if not scene.soft:
                    for i in range(n):
                        all_light[channel, i] = scene.light[all_slots[i], channel]
                _average(scene, all_light[channel], some, rows, columns, n_samples, total, picture, channel)


@_compiled
def _average(
    scene: Scene,
    light: Float32,
    pixels: NDArray[np.intp],
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    n_samples: int,
    mean: Float32,
    picture: UInt8,
    channel: int,
) -> None:
    """Mean of the samples of some pixels in one channel, as sRGB."""
    n = pixels.size
    for i in range(n):
        mean[i] = light[i]
    for sample in range(1, n_samples):
        for i in range(n):
            mean[i] += light[sample * n + i]
    for i in range(n):
        mean[i] = _from_light(mean[i] / np.float32(n_samples))
    if scene.soft:  # `clavilux.painter.dither`
        other = np.uint32(channel * ROW + 0x7F4A7C15) if channel else np.uint32(0)
        for i in range(n):
            h = _mix(np.uint32(np.uint32(columns[i]) * ROW + np.uint32(rows[i]) * COLUMN + scene.dither_key))
            h = _mix(np.uint32(h + other)) if channel else h
            mean[i] = min(np.floor(mean[i] + _unit(h)), np.float32(255))
    else:
        for i in range(n):
            mean[i] = np.rint(mean[i])
    for i in range(n):
        picture[pixels[i], channel] = np.uint8(mean[i])


@_compiled
def _find_places(
    scene: Scene,
    pixels: NDArray[np.intp],
    samples: int,
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    x: Float32,
    y: Float32,
) -> None:
    """Places of the samples of some pixels in short sides from the middle; all pixels' first samples first."""
    short, n = np.float64(min(scene.width, scene.height)), pixels.size
    for j in range(n):
        row = pixels[j] // scene.width
        rows[j], columns[j] = row, pixels[j] - row * scene.width
    for down in range(samples):
        for right in range(samples):
            start = (down * samples + right) * n
            to_x, to_y = x[start : start + n], y[start : start + n]
            for j in range(n):
                to_x[j] = (columns[j] - scene.width / 2 + (right + 0.5) / samples) / short
                to_y[j] = (rows[j] - scene.height / 2 + (down + 0.5) / samples) / short


@_compiled
def _part(
    scene: Scene, x: Float32, y: Float32, n: int, f: Float32, u: NDArray[np.uint32], where: NDArray[np.uint32]
) -> tuple[int, int]:
    """Sort n places by the kind that draws there: how many are each one's, and which."""
    if scene.n_kinds == 1:
        for i in range(n):
            where[0, i] = i
        return n, 0
    for i in range(n):
        f[i], f[_BLOCK + i] = x[i], y[i]
    _run(scene.region, f, u, np.uint64(n))
    first = np.int64(scene.region.outputs[0] * _B)
    n_second: Number = 0
    for i in range(n):  # both are written, one of them is written over: no guess of the processor can fail
        where[0, i - n_second] = i
        where[1, n_second] = i
        n_second += np.int64(u[first + i])
    return n - n_second, n_second


@_intrinsic
def _blend_corners(context: Any, plan: Any, at: Any, below: Any, right: Any, down: Any, out: Any, to: Any) -> Any:
    """Blend the plan between four points, all slots at once, into out[to : to + SLOTS].

    By hand, as LLVM's loops run on whole vectors along places, for which the plan would have to be gathered.
    """

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = context.get_value_type(numba.float32)
        vector = ir.VectorType(number, SLOTS)
        arrays = [
            context.make_array(kind)(context, builder, value).data
            for kind, value in zip(signature.args, arguments, strict=True)
            if isinstance(kind, numba.types.Array)
        ]

        def point(array: Any, index: Any) -> Any:
            return builder.bitcast(builder.gep(array, [index]), vector.as_pointer())

        def corner(index: Any) -> Any:
            return builder.load(point(arrays[0], index), align=4)

        def all_slots(value: Any) -> Any:
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), SLOTS), [0] * SLOTS)
            return builder.shuffle_vector(one, one, zeros)

        def blend(first: Any, second: Any, share: Any) -> Any:
            return builder.fadd(builder.fmul(builder.fsub(second, first), share), first)

        _, at, below, right, down, _, to = arguments
        right, down = all_slots(right), all_slots(down)
        slots = ir.Constant(at.type, SLOTS)
        rows = [blend(corner(index), corner(builder.add(index, slots)), right) for index in (at, below)]
        builder.store(blend(rows[0], rows[1], down), point(arrays[1], to), align=4)
        return context.get_dummy_value()

    return numba.types.void(plan, at, below, right, down, out, to), build


@_compiled
def _read_plan(
    scene: Scene, f: Float32, x: np.uint64, y: np.uint64, p: Float32, n: np.uint64, scratch: PlanScratch
) -> None:
    """(SLOTS, n) log-probabilities at places."""
    at, right, down, read = scratch
    short, side = min(scene.width, scene.height), np.float32(scene.plan_side)
    to_column, to_row = np.float32(short / scene.width), np.float32(short / scene.height)
    last = np.float32(scene.plan_side - 0.01)
    line = np.int32(scene.plan_side + 1)
    for i in range(n):
        column = min(max((f[x + i] * to_column + np.float32(0.5)) * side, np.float32(0)), last)
        row = min(max((f[y + i] * to_row + np.float32(0.5)) * side, np.float32(0)), last)
        whole_column, whole_row = np.floor(column), np.floor(row)
        right[i], down[i] = column - whole_column, row - whole_row
        at[i] = np.int32(SLOTS) * (np.int32(whole_row) * line + np.int32(whole_column))
    next_line = np.uint64(SLOTS * line)
    for i in range(n):
        first = np.uint64(at[i])
        _blend_corners(scene.plan, first, first + next_line, right[i], down[i], read, i * np.uint64(SLOTS))
    for i in range(n):
        for k in range(np.uint64(SLOTS)):
            p[k * _B + i] = read[i * np.uint64(SLOTS) + k]


@_compiled
def _bid(chaos: np.float32, f: Float32, field: np.uint64, p: Float32, slot: np.uint64, n: np.uint64) -> None:
    """Add what the marks bid to the logarithms of the plan."""
    for i in range(n):
        p[slot + i] += _log(-_log(f[field + i])) * -chaos


@_compiled
def _settle(
    scene: Scene, p: Float32, n: np.uint64, slot: Float32, best: Float32, total: Float32, light: Float32
) -> None:
    """The largest bid; with softness also the mixture by the softmax of all."""
    for i in range(n):
        slot[i], best[i], total[i] = np.float32(0), p[i], np.float32(0)
    for k in range(np.uint64(1), np.uint64(SLOTS)):
        number = np.float32(k)
        for i in range(n):
            bid = p[k * _B + i]
            wins = bid > best[i]
            slot[i] = number if wins else slot[i]
            best[i] = bid if wins else best[i]
    if scene.soft:
        by = np.float32(1) / scene.soft_bids
        light[:] = 0
        for k in range(np.uint64(SLOTS)):
            for i in range(n):
                weight = _exp((p[k * _B + i] - best[i]) * by)
                total[i] += weight
                p[k * _B + i] = weight
            for channel in range(3):
                _add_scaled(light[channel], scene.light[k, channel], p, k * _B, n)
        for channel in range(3):
            for i in range(n):
                light[channel, i] /= total[i]


@_compiled
def _add_scaled(to: Float32, by: np.float32, p: Float32, start: np.uint64, n: np.uint64) -> None:
    for i in range(n):
        to[i] += p[start + i] * by


@_compiled
def _stack(
    scene: Scene,
    f: Float32,
    field: np.uint64,
    p: Float32,
    n: np.uint64,
    slot: Float32,
    top: Float32,
    total: Float32,
    light: Float32,
) -> None:
    """Slot whose share of the stack, from dark to light, holds the height; with softness also the light there."""
    for i in range(n):
        top[i], total[i] = p[i], np.float32(0)
    for k in range(np.uint64(1), np.uint64(SLOTS)):
        for i in range(n):
            top[i] = max(top[i], p[k * _B + i])
    by = np.float32(1) / scene.stack_chaos
    for k in range(np.uint64(SLOTS)):
        for i in range(n):
            share = _exp((p[k * _B + i] - top[i]) * by)
            total[i] += share
            p[k * _B + i] = share
    for i in range(n):
        slot[i], top[i] = np.float32(0), np.float32(0)
    if scene.soft:
        for channel in range(3):
            light[channel] = scene.light[0, channel]
    harder = np.float32(1) / scene.soft_height if scene.soft else np.float32(1)
    for k in range(np.uint64(SLOTS - 1)):
        for i in range(n):
            top[i] += p[k * _B + i] / total[i]
            passed = f[field + i] - top[i]
            slot[i] += np.float32(1) if passed > 0 else np.float32(0)
            p[k * _B + i] = min(max(passed * harder + np.float32(0.5), np.float32(0)), np.float32(1))
        if scene.soft:
            for channel in range(3):
                step = scene.light[k + np.uint64(1), channel] - scene.light[k, channel]
                _add_scaled(light[channel], step, p, k * _B, n)


# Borders and surfaces -------------------------------------------------------------------------------------------------


@_compiled
def find_borders(picture: UInt8, top: int, bottom: int, seen: np.uint8, differs: NDArray[np.bool_]) -> None:
    """Pixels of some rows that differ from one beside them by more than `seen` in a channel."""
    height, width = picture.shape[:2]
    apart = np.zeros(3 * width, np.uint8)
    for row in range(max(0, top - 1), bottom):
        here = picture[row].reshape(-1)
        if row < height - 1:
            below = picture[row + 1].reshape(-1)
            for x in range(3 * width):
                apart[x] = max(here[x], below[x]) - min(here[x], below[x]) > seen
            if row >= top:
                _or_channels(apart, differs[row])
            if row + 1 < bottom:
                _or_channels(apart, differs[row + 1])
        if row >= top:
            beside = here[3:]
            for x in range(3 * width - 3):
                apart[x] = max(here[x], beside[x]) - min(here[x], beside[x]) > seen
            _or_channels(apart, differs[row, : width - 1])
            _or_channels(apart, differs[row, 1:])


@_compiled
def _or_channels(apart: UInt8, differs: NDArray[np.bool_]) -> None:
    for x in range(differs.size):
        differs[x] |= (apart[3 * x] | apart[3 * x + 1] | apart[3 * x + 2]) != 0


@_compiled
def add_paper(
    noise: Float32,
    i: NDArray[np.uint32],
    columns: NDArray[np.intp],
    right: Float32,
    j: NDArray[np.uint32],
    rows: NDArray[np.intp],
    down: Float32,
    scale: np.float32,
) -> None:
    """Add value noise to some rows of pixels: see `clavilux.painter.surface.Paper`.

    i, j: halves of the hashes of the columns and rows of the lattice; columns, rows: which of them lie left of and
    above pixels; right, down: how far the next ones weigh.
    """
    line = np.empty(i.size, np.float32)
    for row in range(len(noise)):
        above, below, f = j[rows[row]], j[rows[row] + 1], down[row]
        for c in range(i.size):
            a = (_unit(_mix(np.uint32(i[c] + above))) - np.float32(0.5)) * scale
            b = (_unit(_mix(np.uint32(i[c] + below))) - np.float32(0.5)) * scale
            line[c] = a + (b - a) * f
        out = noise[row]
        for x in range(out.size):
            c = columns[x]
            out[x] += (line[c + 1] - line[c]) * right[x] + line[c]


@_compiled
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
    """Add bristles to some rows: see `clavilux.painter.surface._Bristles`.

    cos, sin: of the angle; flow and thickness: plane waves; scales: cells across and along the strokes, and
    weight, of each; table: (side, side).
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
                right, down = _ease(u - column), _ease(v - line)
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
            noise[row, i] += total[i] * _exp(np.float32(0.2) * wave[i])


@_compiled
def _ease(f: Number) -> Number:
    return f * f * (np.float32(3) - np.float32(2) * f)


@_compiled
def _sum_waves(waves: Float32, s: Float32, t: Float32, out: Float32) -> None:
    """`clavilux.painter.marks.place.waves`."""
    out[:] = 0
    for wave in range(len(waves)):
        a, b, c = waves[wave]
        for i in range(out.size):
            out[i] += _wave(s[i], t[i], a, b, c)
    out *= np.float32(math.sqrt(2.0 / len(waves)))


@_compiled
def add_noise(block: UInt8, noise: Float32, tints: Float32) -> None:
    """Add noise (n, width), and where there is such also tints (3, n, width), to the colours of some rows, in place."""
    for row in range(len(block)):
        for x in range(block.shape[1]):
            for channel in range(3):
                toned = np.float32(block[row, x, channel]) + noise[row, x]
                if len(tints):
                    toned += tints[channel, row, x]
                block[row, x, channel] = np.uint8(min(max(np.rint(toned), np.float32(0)), np.float32(255)))


@_compiled
def draw_lines(
    block: UInt8, slots: UInt8, top: int, reach: int, half_width: Float32, to_light: Float32, light: Float32
) -> None:
    """Draw lines along the borders of slots on some rows of a picture, in place: see `clavilux.painter.outline`.

    Parameters
    ----------
    block : (h, W, 3) uint8
        Rows of the picture.
    slots : (H, w) uint8
        All of its slots, at one or more places of a pixel each way; `top` is the row of the block's first.
    reach : int
        How many places away a border can be.
    half_width : (n, w) float32
        Of the lines, in places, for each row of slots of the block.
    to_light : (256,) float32
        Linear light of 8-bit steps.
    light : (3,) float32
        Colour of the lines.
    """
    n, width = half_width.shape
    first, last = max(0, top - reach), min(len(slots), top + n + reach)
    far = np.int32(reach + 1)
    along = np.empty((last - first, width), np.int32)  # distance to a border in the column, then its square
    for row in range(first, last):
        _mark_borders(slots, row, far, along[row - first])
    for row in range(1, last - first):
        _come_nearer(along[row], along[row - 1])
    for row in range(last - first - 2, -1, -1):
        _come_nearer(along[row], along[row + 1])
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
                    block[line, x, channel] = np.uint8(np.rint(_from_light(here)))


@_compiled
def _mark_borders(slots: UInt8, row: int, far: np.int32, out: NDArray[np.int32]) -> None:
    """0 where the slot differs from that to the left, right, above or below, elsewhere `far`."""
    here = slots[row]
    above, below = slots[max(0, row - 1)], slots[min(len(slots) - 1, row + 1)]
    for x in range(here.size):
        out[x] = 0 if (here[x] != above[x]) | (here[x] != below[x]) else far
    for x in range(here.size - 1):
        out[x] = 0 if here[x] != here[x + 1] else out[x]
    for x in range(1, here.size):
        out[x] = 0 if here[x] != here[x - 1] else out[x]


@_compiled
def _come_nearer(row: NDArray[np.int32], beside: NDArray[np.int32]) -> None:
    for x in range(row.size):
        row[x] = min(row[x], beside[x] + np.int32(1))
