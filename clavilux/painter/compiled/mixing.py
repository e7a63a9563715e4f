"""From programs to colours: the compiled loop over pixels.

pixels -> places -> marks (`programs.run`) -> plan -> slot and light at each place -> mean of a pixel -> sRGB

The formulas are those of `clavilux.painter.canvas`, for blocks of ``BLOCK`` places.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from clavilux.constants import SLOTS
from clavilux.painter.compiled.arithmetic import encode_srgb, exp, log, mix, unit
from clavilux.painter.compiled.jit import Float32, Scalar, UInt8, UInt32, compiled, intrinsic
from clavilux.painter.compiled.programs import BLOCK, STRIDE, CompiledProgram, run
from clavilux.painter.marks.hashing import COLUMN, ROW


class Scene(NamedTuple):
    """The inputs of a picture: a `clavilux.painter.canvas.Canvas` in the types of compiled code."""

    width: int
    height: int
    plan: Float32  # (points * SLOTS,), all slots of a point are adjacent
    plan_side: int  # intervals of the plan along a side
    light: Float32  # (SLOTS, 3) linear light
    colours: UInt8  # (SLOTS, 3) sRGB
    dither_key: np.uint32  # key of the hash of `clavilux.painter.dither`
    chaos: np.float32
    stack_chaos: np.float32  # the same, above 0
    soft: bool
    soft_scores: np.float32  # temperature of the softmax that mixes colours
    soft_height: np.float32  # width of the transition between stacked slots, as a share of the stack
    region: CompiledProgram  # gives 1 where the second kind draws
    kinds: tuple[CompiledProgram, CompiledProgram]
    n_kinds: int


class PlanScratch(NamedTuple):
    """Work arrays of `_read_plan`: index of a grid point, fractions to the right and down, values (n, SLOTS)."""

    point: UInt32
    right: Float32
    down: Float32
    values: Float32


@compiled
def _row() -> Float32:
    """Return an empty row of numbers; Numba does not know that a row of a larger array is contiguous."""
    return np.empty(BLOCK, np.float32)


@compiled
def paint_pixels(scene: Scene, pixels: NDArray[np.intp], samples: int, picture: UInt8, slots: UInt8) -> None:
    """Paint pixels as the mean of samples x samples places in linear light.

    Parameters
    ----------
    pixels : (n,) int
        Row times width plus column.
    picture : (width * height, 3) uint8
        Receives the colours, unless it is empty.
    slots : (n,) uint8
        Receives the slot at the centre of each pixel if samples is 1, unless it is empty.
    """
    n_samples = samples * samples
    per_block = BLOCK // n_samples
    n_rows = max(scene.region.rows, max(scene.kinds[0].rows, scene.kinds[1].rows))
    f = np.empty(n_rows * BLOCK, np.float32)
    rows, columns = np.empty(BLOCK, np.int32), np.empty(BLOCK, np.int32)
    u = f.view(np.uint32)
    p = np.empty(SLOTS * BLOCK, np.float32)
    x, y, slot, best, total = _row(), _row(), _row(), _row(), _row()
    light = np.empty((3, BLOCK), np.float32)
    all_slots, all_light = np.empty(BLOCK, np.uint8), np.empty((3, BLOCK), np.float32)
    where = np.empty((2, BLOCK), np.uint32)
    plan_scratch = PlanScratch(np.empty(BLOCK, np.uint32), _row(), _row(), np.empty(SLOTS * BLOCK, np.float32))
    for start in range(0, pixels.size, per_block):
        some = pixels[start : start + per_block]
        n = some.size * n_samples
        _find_places(scene, some, samples, rows, columns, x, y)
        counts = _sort_by_kind(scene, x, y, n, f, u, where)
        for number in range(2):
            m, at, kind = counts[number], where[number], scene.kinds[number]
            if m == 0:
                continue
            for i in range(m):
                f[i], f[BLOCK + i] = x[at[i]], y[at[i]]
            run(kind, f, u, np.uint64(m))
            read_x, read_y = kind.outputs[-2] * STRIDE, kind.outputs[-1] * STRIDE
            _read_plan(scene, f, read_x, read_y, p, np.uint64(m), plan_scratch)
            if kind.outputs.size == 3:
                _take_from_stack(scene, f, kind.outputs[0] * STRIDE, p, np.uint64(m), slot, best, total, light)
            else:
                for k in range(kind.outputs.size - 2):
                    _add_noise(scene.chaos, f, kind.outputs[k] * STRIDE, p, np.uint64(k) * STRIDE, np.uint64(m))
                _take_highest(scene, p, np.uint64(m), slot, best, total, light)
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


@compiled
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
    """Write the mean of the samples of each pixel in one channel, as sRGB."""
    n = pixels.size
    for i in range(n):
        mean[i] = light[i]
    for sample in range(1, n_samples):
        for i in range(n):
            mean[i] += light[sample * n + i]
    for i in range(n):
        mean[i] = encode_srgb(mean[i] / np.float32(n_samples))
    if scene.soft:  # `clavilux.painter.dither`
        other = np.uint32(channel * ROW + 0x7F4A7C15) if channel else np.uint32(0)
        for i in range(n):
            h = mix(np.uint32(np.uint32(columns[i]) * ROW + np.uint32(rows[i]) * COLUMN + scene.dither_key))
            h = mix(np.uint32(h + other)) if channel else h
            mean[i] = min(np.floor(mean[i] + unit(h)), np.float32(255))
    else:
        for i in range(n):
            mean[i] = np.rint(mean[i])
    for i in range(n):
        picture[pixels[i], channel] = np.uint8(mean[i])


@compiled
def _find_places(
    scene: Scene,
    pixels: NDArray[np.intp],
    samples: int,
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    x: Float32,
    y: Float32,
) -> None:
    """Write the places of all samples, in short sides from the centre; the first samples of all pixels come first."""
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


@compiled
def _sort_by_kind(
    scene: Scene, x: Float32, y: Float32, n: int, f: Float32, u: UInt32, where: UInt32
) -> tuple[int, int]:
    """Write the indices of the places of each kind into the rows of `where`; return how many each kind has."""
    if scene.n_kinds == 1:
        for i in range(n):
            where[0, i] = i
        return n, 0
    for i in range(n):
        f[i], f[BLOCK + i] = x[i], y[i]
    run(scene.region, f, u, np.uint64(n))
    first = np.int64(scene.region.outputs[0] * STRIDE)
    n_second: Scalar = 0
    for i in range(n):  # writes to both rows, without a branch to mispredict; the next place overwrites one
        where[0, i - n_second] = i
        where[1, n_second] = i
        n_second += np.int64(u[first + i])
    return n - n_second, n_second


@intrinsic
def _blend_corners(context: Any, plan: Any, at: Any, below: Any, right: Any, down: Any, out: Any, to: Any) -> Any:
    """Interpolate the plan between four grid points into out[to : to + SLOTS], all slots in one vector.

    Written in LLVM's intermediate representation: its own vectorisation along places would have to gather the plan.
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


@compiled
def _read_plan(
    scene: Scene, f: Float32, x: np.uint64, y: np.uint64, p: Float32, n: np.uint64, scratch: PlanScratch
) -> None:
    """Write the log-probabilities at places into p, SLOTS rows. x and y are the offsets of their rows in f."""
    point, right, down, values = scratch
    short, side = min(scene.width, scene.height), np.float32(scene.plan_side)
    to_column, to_row = np.float32(short / scene.width), np.float32(short / scene.height)
    last = np.float32(scene.plan_side - 0.01)
    line = np.int32(scene.plan_side + 1)
    for i in range(n):
        column = min(max((f[x + i] * to_column + np.float32(0.5)) * side, np.float32(0)), last)
        row = min(max((f[y + i] * to_row + np.float32(0.5)) * side, np.float32(0)), last)
        whole_column, whole_row = np.floor(column), np.floor(row)
        right[i], down[i] = column - whole_column, row - whole_row
        point[i] = np.int32(SLOTS) * (np.int32(whole_row) * line + np.int32(whole_column))
    next_line = np.uint64(SLOTS * line)
    for i in range(n):
        first = np.uint64(point[i])
        _blend_corners(scene.plan, first, first + next_line, right[i], down[i], values, i * np.uint64(SLOTS))
    for i in range(n):
        for k in range(np.uint64(SLOTS)):
            p[k * STRIDE + i] = values[i * np.uint64(SLOTS) + k]


@compiled
def _add_noise(chaos: np.float32, f: Float32, field: np.uint64, p: Float32, slot: np.uint64, n: np.uint64) -> None:
    """Add Gumbel noise, from the uniform mark field of a slot, to the log-probabilities of the slot."""
    for i in range(n):
        p[slot + i] += log(-log(f[field + i])) * -chaos


@compiled
def _take_highest(
    scene: Scene, p: Float32, n: np.uint64, slot: Float32, best: Float32, total: Float32, light: Float32
) -> None:
    """Write the slot with the highest score; with softness also the light, mixed by the softmax of the scores."""
    for i in range(n):
        slot[i], best[i], total[i] = np.float32(0), p[i], np.float32(0)
    for k in range(np.uint64(1), np.uint64(SLOTS)):
        number = np.float32(k)
        for i in range(n):
            score = p[k * STRIDE + i]
            wins = score > best[i]
            slot[i] = number if wins else slot[i]
            best[i] = score if wins else best[i]
    if scene.soft:
        by = np.float32(1) / scene.soft_scores
        light[:] = 0
        for k in range(np.uint64(SLOTS)):
            for i in range(n):
                weight = exp((p[k * STRIDE + i] - best[i]) * by)
                total[i] += weight
                p[k * STRIDE + i] = weight
            for channel in range(3):
                _add_scaled(light[channel], scene.light[k, channel], p, k * STRIDE, n)
        for channel in range(3):
            for i in range(n):
                light[channel, i] /= total[i]


@compiled
def _add_scaled(to: Float32, by: np.float32, p: Float32, start: np.uint64, n: np.uint64) -> None:
    """Add a row of p, times a factor."""
    for i in range(n):
        to[i] += p[start + i] * by


@compiled
def _take_from_stack(
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
    """Write the slot whose share of the stack contains the height; with softness also the light.

    The shares are softmax(p / chaos), stacked from the first slot to the last. Heights are the row of f at offset
    `field`.
    """
    for i in range(n):
        top[i], total[i] = p[i], np.float32(0)
    for k in range(np.uint64(1), np.uint64(SLOTS)):
        for i in range(n):
            top[i] = max(top[i], p[k * STRIDE + i])
    by = np.float32(1) / scene.stack_chaos
    for k in range(np.uint64(SLOTS)):
        for i in range(n):
            share = exp((p[k * STRIDE + i] - top[i]) * by)
            total[i] += share
            p[k * STRIDE + i] = share
    for i in range(n):
        slot[i], top[i] = np.float32(0), np.float32(0)
    if scene.soft:
        for channel in range(3):
            light[channel] = scene.light[0, channel]
    harder = np.float32(1) / scene.soft_height if scene.soft else np.float32(1)
    for k in range(np.uint64(SLOTS - 1)):
        for i in range(n):
            top[i] += p[k * STRIDE + i] / total[i]
            passed = f[field + i] - top[i]
            slot[i] += np.float32(1) if passed > 0 else np.float32(0)
            p[k * STRIDE + i] = min(max(passed * harder + np.float32(0.5), np.float32(0)), np.float32(1))
        if scene.soft:
            for channel in range(3):
                step = scene.light[k + np.uint64(1), channel] - scene.light[k, channel]
                _add_scaled(light[channel], step, p, k * STRIDE, n)
