"""Measure time and memory of Clavilux, compared with librosa and PyTorch, and the floors of the machine.

    python benchmarks/speed.py                                      all parts
    python benchmarks/speed.py --only paint --only floors           some parts
    python benchmarks/speed.py --markdown docs/benchmarks.md        write the tables into the documentation

Needs the extras `train`, `fast` and `dev`. Songs are synthesised from a seed and encoded as MP3 in a temporary folder;
nothing is downloaded. *Cold* is a new process for each run, *warm* a process that has done the same before. Times are
the median and the minimum of the wall time, and the median of the processor time. How runs are compared: timing.py.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from statistics import median

from pages import marks_of, put_text
from speed_commands import measure_features, measure_folder, measure_hour, measure_paint, measure_print
from speed_floors import measure_floors
from speed_painter import measure_kinds, measure_painter
from timing import Row, Run

MARKERS = marks_of("speed")
PACKAGES = ("numpy", "numba", "av", "onnxruntime", "librosa", "torch")
PARTS: dict[str, tuple[str, Callable[[Path, int], Iterator[Row]]]] = {
    "features": ("Decoding and features", measure_features),
    "paint": ("A song to a picture", measure_paint),
    "folder": ("A folder on two cores", measure_folder),
    "hour": ("An hour of sound", measure_hour),
    "painter": ("The painter", measure_painter),
    "kinds": ("Kinds of marks", measure_kinds),
    "print": ("Print sizes", measure_print),
    "floors": ("Floors", measure_floors),
}


def describe_machine() -> str:
    """Return processor, cores and versions in one line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = models[0] if models else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{cores} cores of {model}; Python {platform.python_version()}, {versions}"


def show_value(runs: list[Run], by: str) -> str:
    """Return median and minimum of the wall time and median of the processor time, or the median peak memory."""
    if by == "peak_mb":
        return f"{median(run.peak_mb for run in runs):.0f} MB"
    wall, cpu = [run.wall_s for run in runs], median(run.cpu_s for run in runs)
    digits = 2 if median(wall) >= 1 else 3
    return f"{median(wall):.{digits}f} s (minimum {min(wall):.{digits}f}, processor {cpu:.{digits}f})"


def to_markdown(rows: list[Row], machine: str, n: int) -> str:
    """Return the table of each part."""
    lines = [f"{machine}. Medians of {n} runs."]
    for part, (title, _) in PARTS.items():
        own = [row for row in rows if row.part == part]
        if not own:
            continue
        lines += ["", f"### {title}", ""]
        if any(row.second_runs for row in own):
            lines += ["| | Clavilux | compared with | ratio | ratio of processor time |", "|---|---|---|---|---|"]
        else:
            lines += ["| | |", "|---|---|"]
        for row in own:
            cells = [row.what, f"{row.first}: {show_value(row.first_runs, row.by)}"]
            if row.second_runs:
                cpu = "" if row.by == "peak_mb" else f"{row.cpu_ratio:.2f}"
                cells += [f"{row.second}: {show_value(row.second_runs, row.by)}", f"{row.ratio:.2f}", cpu]
            lines.append(f"| {' | '.join(cells)} |")
        lines += [f"\n{note[0].upper()}{note[1:]}." for note in dict.fromkeys(row.note for row in own if row.note)]
    return "\n".join(lines) + "\n"


def put_table(path: Path, table: str) -> None:
    """Write the table to a file, or only between `MARKERS` if the file has them."""
    if path.exists() and all(mark in path.read_text("utf-8") for mark in MARKERS):
        put_text(path, table, MARKERS)
    else:
        path.write_text(table, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; may be given several times")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each (a folder and an hour: at most 3)")
    parser.add_argument("--json", type=Path, help="write every run")
    parser.add_argument("--markdown", type=Path, help="write the table, into the marked place of a file that has one")
    given = parser.parse_args()

    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for part in given.only or PARTS:
            n = min(given.runs, 3) if part in ("folder", "hour") else given.runs
            for row in PARTS[part][1](Path(folder), n):
                rows.append(row)
                ratio = "" if row.ratio is None else f"; {row.second} {show_value(row.second_runs, row.by)}"
                print(f"{row.what}: {row.first} {show_value(row.first_runs, row.by)}{ratio}", file=sys.stderr)
    machine = describe_machine()
    table = to_markdown(rows, machine, given.runs)
    print(table, end="")
    if given.markdown:
        put_table(given.markdown, table)
    if given.json:
        content = {
            "machine": machine,
            "rows": [asdict(row) | {"ratio": row.ratio, "cpu_ratio": row.cpu_ratio} for row in rows],
        }
        given.json.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
