"""Compare a Dask cluster with local processes: the cost for the same songs on the same two cores.

    python benchmarks/cluster_overhead.py [--songs 100] [--repeats 3]

Two local processes and a cluster of two workers compute the features of copies of the example pieces, in turn. Prints
wall time and processor time; for the cluster, processor time is that of caller, scheduler and workers together.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from distributed import Client

from clavilux.audio.decode import AUDIO_SUFFIXES
from clavilux.system.files import list_folder

EXAMPLES = Path(__file__).parent.parent / "examples"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--songs", type=int, default=100, help="two shards of 50 keep two workers equally busy")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pieces = list_folder(EXAMPLES, AUDIO_SUFFIXES).files
        (folder / "music").mkdir()
        for number in range(arguments.songs):
            piece = pieces[number % len(pieces)]
            shutil.copy(piece, folder / "music" / f"{number:04}{piece.suffix}")
        processes = start_cluster(folder)
        try:
            address = json.loads((folder / "scheduler.json").read_text())["address"]
            measure(folder, ["--scheduler", address], processes)  # not counted: the workers import everything
            for _ in range(arguments.repeats):
                for title, options in (("local", ["--jobs", "2"]), ("cluster", ["--scheduler", address])):
                    clock_s, cpu_s = measure(folder, options, processes)
                    print(f"{title:8} {arguments.songs} songs: wall time {clock_s:.1f} s, processor time {cpu_s:.1f} s")
        finally:
            for process in processes:
                process.kill()
                process.wait()


def start_cluster(folder: Path) -> list[psutil.Popen]:
    """Start a scheduler and two workers with one thread on this machine."""
    card = ["--scheduler-file", str(folder / "scheduler.json"), "--host", "127.0.0.1", "--no-dashboard"]
    worker = ["worker", *card, "--nthreads", "1", "--no-nanny", "--local-directory", str(folder)]
    commands = [["scheduler", "--port", "0", *card], worker, worker]
    processes = [
        psutil.Popen([sys.executable, "-m", "dask", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command in commands
    ]
    while not (folder / "scheduler.json").is_file():
        time.sleep(0.1)
    with Client(scheduler_file=str(folder / "scheduler.json")) as client:
        client.wait_for_workers(2)
    return processes


def measure(folder: Path, options: list[str], cluster: list[psutil.Popen]) -> tuple[float, float]:
    """Return wall time and processor time of one run into an empty folder, in seconds."""
    out = folder / "out"
    command = [sys.executable, "-m", "clavilux", "features", str(folder / "music"), "-o", str(out), *options]
    cpu_before, start = cpu_s(cluster), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    clock_s = time.perf_counter() - start
    spent_s = cpu_s(cluster) - cpu_before
    shutil.rmtree(out)
    return clock_s, spent_s


def cpu_s(cluster: list[psutil.Popen]) -> float:
    """Return the processor time of the cluster and of all ended children of this process, in seconds."""
    own = psutil.Process().cpu_times()
    times = [process.cpu_times() for process in cluster]
    return own.children_user + own.children_system + sum(entry.user + entry.system for entry in times)


if __name__ == "__main__":
    main()
