"""The interpreter of recorded mark fields: it runs a `Program` on blocks of places.

Program (`clavilux.painter.marks.trace`) -> load_program -> **run** -> rows of numbers for `mixing`
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from clavilux.painter.compiled.arithmetic import (
    bit_cast,
    exp,
    log,
    mix,
    normal_to_uniform,
    plane_wave,
    read_field,
    sin_turns,
    unit,
)
from clavilux.painter.compiled.jit import Float32, UInt32, compiled
from clavilux.painter.marks.trace import Op, Program

BLOCK = 1024  # places of a block: a row of numbers has 4 kB, so the rows of a program stay in the processor's cache
STRIDE = np.uint64(BLOCK)  # unsigned, as all indices are: Numba then omits the test for negative indices


class CompiledProgram(NamedTuple):
    """A `Program` in the types of compiled code."""

    steps: UInt32
    waves: Float32
    tables: Float32  # (n, (table_side + 1)^2)
    table_side: np.uint32
    rows: int
    outputs: NDArray[np.uint64]


def in_turns(waves: Float32) -> Float32:
    """Convert frequencies and phases from radians to turns."""
    return (waves / math.tau).astype(np.float32)


def load_program(program: Program) -> CompiledProgram:
    """Convert a program to the types of compiled code."""
    side = len(program.tables[0]) - 1 if program.tables else 0
    tables = np.array(program.tables, np.float32).reshape(len(program.tables), (side + 1) ** 2)
    outputs = np.array(program.outputs, np.uint64)
    return CompiledProgram(program.steps, in_turns(program.waves), tables, np.uint32(side), program.rows, outputs)


@compiled
def run(program: CompiledProgram, f: Float32, u: UInt32, n: np.uint64) -> None:
    """Run a program on n places.

    f and u are the same memory as float32 and as uint32: the rows of the program, ``BLOCK`` numbers each. The first
    rows hold the inputs, ``program.outputs`` names those of the results.
    """
    steps, waves = program.steps, program.waves
    for number in range(len(steps)):
        op, c = steps[number, 0], steps[number, 5]
        k = bit_cast(c, numba.float32)
        d, a, b, e = (
            steps[number, 1] * STRIDE,
            steps[number, 2] * STRIDE,
            steps[number, 3] * STRIDE,
            steps[number, 4] * STRIDE,
        )
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
                f[d + i] = sin_turns(f[a + i] * np.float32(1 / math.tau))
        elif op == Op.COS:
            for i in range(n):
                f[d + i] = sin_turns(f[a + i] * np.float32(1 / math.tau) + np.float32(0.25))
        elif op == Op.LOG:
            for i in range(n):
                f[d + i] = log(f[a + i])
        elif op == Op.EXP:
            for i in range(n):
                f[d + i] = exp(f[a + i])
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
                u[d + i] = mix(np.uint32(u[a + i] + c))
        elif op == Op.UNIT:
            for i in range(n):
                f[d + i] = unit(u[a + i])
        elif op == Op.MIX_UNIT:
            for i in range(n):
                f[d + i] = unit(mix(np.uint32(u[a + i] + c)))
        elif op == Op.CHOOSE:
            for i in range(n):
                u[d + i] = ((u[b + i] ^ u[e + i]) & -u[a + i]) ^ u[e + i]
        elif op == Op.NORMAL_TO_UNIFORM:
            for i in range(n):
                f[d + i] = normal_to_uniform(f[a + i])
        elif op == Op.WAVES:
            for i in range(n):
                f[d + i] = np.float32(0)
            first = np.int64(c >> np.uint32(8))
            last = first + np.int64(c & np.uint32(255))
            for wave in range(first, last - 1, 2):  # two waves in each pass halve the loads and stores
                s, t, shift = waves[wave, 0], waves[wave, 1], waves[wave, 2]
                s_2, t_2, shift_2 = waves[wave + 1, 0], waves[wave + 1, 1], waves[wave + 1, 2]
                for i in range(n):
                    v, w = f[a + i], f[b + i]
                    f[d + i] += plane_wave(v, w, s, t, shift) + plane_wave(v, w, s_2, t_2, shift_2)
            if (last - first) % 2:
                s, t, shift = waves[last - 1, 0], waves[last - 1, 1], waves[last - 1, 2]
                for i in range(n):
                    f[d + i] += plane_wave(f[a + i], f[b + i], s, t, shift)
        elif op == Op.READ_FIELD:
            table, side = program.tables[np.int64(c)], program.table_side
            for i in range(n):
                f[d + i] = read_field(table, side, f[a + i], f[b + i])
