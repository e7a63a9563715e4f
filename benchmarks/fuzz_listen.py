"""Broken sound files by the thousand: each gives a song with finite numbers, or a `ClaviluxError`, and nothing else.

    python benchmarks/fuzz_listen.py                             2 000 files of seed 0
    python benchmarks/fuzz_listen.py --first 1000 --files 500    files 1 000 to 1 499 of the same 2 000
    python benchmarks/fuzz_listen.py --keep findings             keep the files that broke something

Short synthesised sounds of ten formats are broken in six ways (tests/mutations.py) and listened to, each in a process
of its own. Another exception, a number that is not finite, a word on stderr, a crash, a hang beyond 20 s and more than
500 MB are findings; they are printed, kept as files named by seed and number, and the exit code is 1. File i of a seed
is the same whatever the range, so a run can be done in pieces; one that is interrupted prints what it has. Needs a
system that forks (Linux, macOS).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: a process with threads cannot be forked safely
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from mutations import MUTATIONS, Trial, mutate, try_file, whole_files


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--files", type=int, default=2_000, help="how many")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="folder for what broke something")
    given = parser.parse_args()
    wholes = whole_files()
    counts: Counter[tuple[str, str, str]] = Counter()
    n_findings, peak_mb, slowest_s = 0, 0.0, 0.0
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            for number in range(given.first, given.first + given.files):
                broken = mutate(wholes, given.seed, number)
                name = f"{given.seed}-{number}-{broken.mutation}{broken.suffix}"
                path = Path(folder, name)
                path.write_bytes(broken.content)
                started = time.monotonic()
                trial: Trial = try_file(path)
                slowest_s = max(slowest_s, time.monotonic() - started)
                peak_mb = max(peak_mb, trial.peak_mb)
                path.unlink()
                if trial.is_finding:
                    n_findings += 1
                    given.keep.mkdir(parents=True, exist_ok=True)
                    (given.keep / name).write_bytes(broken.content)
                    print(f"{given.keep / name}: {trial.outcome}: {trial.message}", flush=True)
                outcome = "finding" if trial.is_finding else trial.outcome
                counts[broken.suffix, broken.mutation, outcome] += 1
        except KeyboardInterrupt:
            print("interrupted; what was done so far:", file=sys.stderr)
    print_table(counts)
    print(
        f"{counts.total()} files of seed {given.seed} from number {given.first} in {time.monotonic() - began:.0f} s; "
        f"slowest {slowest_s:.1f} s, most memory {peak_mb:.0f} MB; {n_findings} findings"
    )
    return int(n_findings > 0)


def print_table(counts: Counter[tuple[str, str, str]]) -> None:
    """A row a format, a column a mutation: songs / songs with warnings / refused, and findings if there are any."""
    print("songs / songs with warnings / refused (+ findings)")
    print(f"{'':8}" + "".join(f"{name:>18}" for name in [*MUTATIONS, "all"]))
    formats = list(dict.fromkeys(suffix for suffix, _, _ in counts))
    for row in [*formats, "all"]:
        cells = []
        for column in [*MUTATIONS, "all"]:
            n = Counter[str]()
            for (suffix, mutation, outcome), count in counts.items():
                if row in (suffix, "all") and column in (mutation, "all"):
                    n[outcome] += count
            findings = f" (+{n['finding']})" if n["finding"] else ""
            cells.append(f"{n['song']}/{n['song with warnings']}/{n['refused']}{findings}")
        print(f"{row:8}" + "".join(f"{cell:>18}" for cell in cells))


if __name__ == "__main__":
    sys.exit(main())
