"""Count the arithmetic of a picture and measure how much of it one core does per second; see docs/benchmarks.md.

Frozen: it used private names of the painter and was part of `benchmarks/speed.py` at commit 41ab9fd, which runs it with
`python benchmarks/speed.py --only painter`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from speed import alternate_calls

from clavilux.painter.controls import Controls

# Additions, products, comparisons and changes of bits in the steps that are more than one of them.
OPERATIONS = {"SIN": 13, "COS": 14, "LOG": 23, "EXP": 19, "NORMAL_TO_UNIFORM": 26, "MIX": 9, "UNIT": 4, "MIX_UNIT": 13}
WAVE_OPERATIONS, READ_OPERATIONS, BID_OPERATIONS, SOFT_OPERATIONS = 17, 16 + 8 * 9, 8 * (2 * 23 + 6), 8 * 27
NOISE_OPERATIONS, BRISTLE_OPERATIONS = 30, 8 * 17 + 3 * 28


def count_operations(controls: Controls, size: int) -> float:
    """Arithmetic that a picture needs: that of its marks, plan and colours at each sample, and of its surface. What
    outlines take, mostly comparisons, is left out."""
    from clavilux.painter import paint as painter
    from clavilux.painter.marks.trace import Op, Program, record

    canvas = painter._Canvas(controls, size, size, 0, None)
    picture = np.empty((size, size, 3), np.uint8)
    canvas.mix(picture, None, 1)
    n_samples = size * size + 9 * np.count_nonzero(painter._differs_from_another(picture, None, 1))

    def count(program: Program) -> int:
        steps = [(Op(int(step[0])).name, int(step[5])) for step in program.steps]
        return sum(WAVE_OPERATIONS * (c & 255) if op == "WAVES" else OPERATIONS.get(op, 1) for op, c in steps)

    def marks(kind: str) -> int:
        def draw(x: Any, y: Any) -> list[Any]:
            field = canvas._field(kind, x, y)
            return [field.u, field.x, field.y]

        return count(record(draw))

    a_sample = READ_OPERATIONS + BID_OPERATIONS + (SOFT_OPERATIONS if controls.softness else 0)
    kinds = [marks(kind) for kind in controls.kinds]
    a_sample += kinds[0] + controls.second_area * (kinds[-1] - kinds[0])
    if len(kinds) == 2:
        a_sample += count(record(lambda x, y: [canvas._is_second(x, y)]))
    a_pixel = NOISE_OPERATIONS * (10 if controls.glaze else 2) + (BRISTLE_OPERATIONS if controls.brush else 0)
    return float(n_samples * a_sample + size * size * a_pixel)


def measure_rate(n: int) -> float:
    """Operations a second that one core reaches without a wait for memory: polynomials of numbers that stay."""
    import numba

    @numba.njit(fastmath={"contract"})
    def polynomials(x: np.ndarray, out: np.ndarray) -> None:
        half = np.float32(0.5)
        for turn in range(1000):
            for i in range(x.size):
                v = x[i]
                p, q, r, s = v, v + half, v - half, v + np.float32(turn)  # four, so that none waits for itself
                for _ in range(16):
                    p, q, r, s = p * v + half, q * v + half, r * v + half, s * v + half
                out[i] = p + q + r + s

    x = np.linspace(0, 0.5, 1024, dtype=np.float32)
    (runs,) = alternate_calls(n, lambda: polynomials(x, np.empty_like(x)))
    return float(1000 * x.size * 128 / min(run.cpu_s for run in runs))
