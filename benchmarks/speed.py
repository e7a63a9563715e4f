"""Measure time and memory of Clavilux, compared with librosa and PyTorch.

    python benchmarks/speed.py                                      all parts
    python benchmarks/speed.py --only paint --only painter          some parts
    python benchmarks/speed.py --markdown docs/benchmarks.md        write the tables into the documentation

Needs the extras `train`, `fast` and `dev`. Songs are synthesised from a seed and encoded as MP3 in a temporary folder;
nothing is downloaded. *Cold* is a new process for each run, *warm* a process that has done the same before. The tables
show median and minimum of the wall time, and the median of the processor time. timing.py says how runs are compared.
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

from speed_commands import measure_features, measure_folder, measure_hour, measure_paint, measure_print
from speed_painter import measure_painter
from timing import Row, Run

from clavilux.system.files import write_whole

MARKERS = ("<!-- written by benchmarks/speed.py from here -->", "<!-- to here -->")  # around the tables of a page
PACKAGES = ("numpy", "numba", "av", "onnxruntime", "librosa", "torch")
PARTS: dict[str, tuple[str, Callable[[Path, int], Iterator[Row]]]] = {
    "features": ("Decoding and features", measure_features),
    "paint": ("A song to a picture", measure_paint),
    "folder": ("A folder on two cores", measure_folder),
    "hour": ("An hour of sound", measure_hour),
    "painter": ("The painter", measure_painter),
    "print": ("Print sizes", measure_print),
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
    """Return the tables of all parts that were measured, as Markdown."""
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
    begin, end = MARKERS
    page = path.read_text("utf-8") if path.exists() else ""
    if begin in page and end in page:
        table = f"{page.partition(begin)[0]}{begin}\n\n{table}\n{end}{page.partition(end)[2]}"
    write_whole(path, table.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", action="append", choices=PARTS, help="measure only this part; may be given several times"
    )
    parser.add_argument(
        "--runs",
        type=int,
        default=5,
        help="runs of each command or call that are counted (at most 3 of the parts folder and hour)",
    )
    parser.add_argument("--json", type=Path, help="file for the figures of every run")
    parser.add_argument(
        "--markdown", type=Path, help="file for the tables; if it has markers, only the text between them is replaced"
    )
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
