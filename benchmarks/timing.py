"""Measure processes and calls for the benchmarks of speed.

Commands that are compared run in turn (A B A B), after one run of each that is not counted. A ratio is the median of
the ratios of neighbouring runs, so it does not change if the machine becomes slower meanwhile.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

BENCHMARKS = Path(__file__).resolve().parent
ROOT = BENCHMARKS.parent


class Run(NamedTuple):
    """One run: wall time, processor time (user and system, with children), and peak memory of the largest process."""

    wall_s: float
    cpu_s: float
    peak_mb: float


@dataclass(frozen=True)
class Row:
    """A row of the table: the runs of one program, or of two programs that are compared."""

    part: str  # of the benchmark
    what: str  # was measured
    first: str  # program
    first_runs: list[Run]
    second: str = ""
    second_runs: list[Run] | None = None
    by: str = "wall_s"  # field of `Run` that is compared
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Return how many times faster (or smaller) the first program is than the second; None without a second."""
        return self._ratio(self.by)

    @property
    def cpu_ratio(self) -> float | None:
        """Return the ratio of processor times."""
        return self._ratio("cpu_s")

    def _ratio(self, by: str) -> float | None:
        if not self.second_runs:
            return None
        pairs = zip(self.first_runs, self.second_runs, strict=True)
        return median(getattr(b, by) / getattr(a, by) for a, b in pairs)


# Runs a command and prints its figures. It is a process of its own, because the memory of the parent at the start of a
# child counts as memory of the child, and this process has almost none.
LAUNCH = """
import os, subprocess, sys, time
began = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, os.waitstatus_to_exitcode(status))
"""


def run_process(command: list[str]) -> Run:
    """Run a command and return its measurements; its output is discarded, and a failure ends the benchmark."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join((str(ROOT), str(BENCHMARKS))))
    launched = [sys.executable, "-S", "-c", LAUNCH, *command]
    done = subprocess.run(launched, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    wall_s, cpu_s, peak, status = done.stdout.split()
    if status != "0":
        raise SystemExit(f"{' '.join(command)} ended with {status}")
    return Run(float(wall_s), float(cpu_s), float(peak) * (1024 if sys.platform == "linux" else 1) / 1e6)


def alternate(n: int, *commands: list[str]) -> list[list[Run]]:
    """Return ``n`` runs of each command, run in turn after one run of each that is not counted."""
    for command in commands:
        run_process(command)
    rounds = [[run_process(command) for command in commands] for _ in range(n)]
    return [list(runs) for runs in zip(*rounds, strict=True)]


def alternate_calls(n: int, *calls: Callable[[], object]) -> list[list[Run]]:
    """Return ``n`` runs of each call in this process, run in turn; peak memory is not measured."""
    for call in calls:
        call()
    rounds = [[_time(call) for call in calls] for _ in range(n)]
    return [list(runs) for runs in zip(*rounds, strict=True)]


def _time(call: Callable[[], object]) -> Run:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    call()
    return Run(time.perf_counter() - wall_s, time.process_time() - cpu_s, float("nan"))


def python(code: str, *arguments: object) -> list[str]:
    """Return the command that runs code in a new interpreter."""
    return [sys.executable, "-c", code, *map(str, arguments)]


def clavilux(*arguments: object) -> list[str]:
    """Return a command line of Clavilux."""
    return [sys.executable, "-m", "clavilux", *map(str, arguments)]
