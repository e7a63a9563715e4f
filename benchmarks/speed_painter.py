"""Time the painter alone, compiled by Numba and with NumPy, at several sizes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from timing import Row, Run, alternate, alternate_calls, python

from clavilux.constants import LATENT_DIM

if TYPE_CHECKING:
    from clavilux.painter.controls import Controls

SIZES_PX = {1024: 12, 2048: 6, 4096: 3}  # size -> number of pictures that are painted

PAINT = """
import sys
from pathlib import Path
from clavilux.painter.controls import Controls
from clavilux.system.memory import reuse_memory
from clavilux.painter.paint import paint
reuse_memory()
size = int(sys.argv[2])
paint(Controls.from_json(Path(sys.argv[1]).read_text()), width=size, height=size, threads=int(sys.argv[3]))
"""


def controls_of_latents(n: int) -> list[Controls]:
    """Return the controls of the default bundle for ``n`` random latents of a fixed seed."""
    from clavilux.pipeline import Clavilux

    engine = Clavilux().engine
    rng = np.random.default_rng(0)
    return [engine.decode_controls(rng.standard_normal(LATENT_DIM).astype(np.float32)) for _ in range(n)]


def paint_all(pictures: list[Controls], size: int, threads: int, compiled: bool) -> None:
    """Paint pictures, compiled by Numba or with NumPy."""
    from clavilux.painter.compiled import SWITCH
    from clavilux.painter.paint import paint

    os.environ[SWITCH] = "1" if compiled else "0"
    for controls in pictures:
        paint(controls, width=size, height=size, threads=threads)


def measure_painter(folder: Path, n: int) -> Iterator[Row]:
    """Measure the painter with Numba and with NumPy: warm for the time, in a new process for the memory."""
    from clavilux.painter.compiled import SWITCH, name_painter
    from clavilux.system.threads import count_cores

    threads = count_cores()
    os.environ[SWITCH] = "1"
    numba = name_painter()
    for size, n_pictures in SIZES_PX.items():
        pictures = controls_of_latents(n_pictures)
        compiled, plain = (partial(paint_all, pictures, size, threads, compiled) for compiled in (True, False))
        runs = [
            [Run(run.wall_s / n_pictures, run.cpu_s / n_pictures, run.peak_mb) for run in some]
            for some in alternate_calls(n if size < 4096 else min(n, 2), compiled, plain)
        ]
        what = f"{size} x {size}, warm, {threads} threads, a picture (mean of {n_pictures})"
        yield Row("painter", what, numba, runs[0], "NumPy", runs[1])
    (folder / "controls.json").write_text(controls_of_latents(1)[0].to_json())
    for size in (*SIZES_PX, 8192):
        peaks = []
        for switch in ("1", "0"):
            os.environ[SWITCH] = switch
            peaks += alternate(1, python(PAINT, folder / "controls.json", size, threads))
        what = f"{size} x {size}: peak memory of the process"
        yield Row("painter", what, numba, peaks[0], "NumPy", peaks[1], by="peak_mb")
