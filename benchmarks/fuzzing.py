"""Run a fuzzer: reproducible cases, each in its own process, and a table of outcomes.

    make(seed, number) -> `Case` (files) -> `try_case` (a process of its own) -> `Trial` -> table, findings, exit code

A fuzzer passes two functions. `make` returns case `number` of a seed. `work` receives the folder with the files of a
case and returns an outcome and a message. A `ClaviluxError` counts as "refused". Findings are any other exception, an
unexpected outcome, a refusal of several lines, output on stderr, a crash, a hang, and too much memory. Findings are
printed, their files are kept, and the exit code is 1. Needs a system with `fork` (Linux, macOS).

Fuzzers import this module before NumPy: it limits NumPy to one thread, because a process with threads cannot be forked
safely. It also makes the modules of `tests/` importable.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from clavilux.errors import ClaviluxError

REFUSED = "refused"
TIMEOUT_S = 60.0
LIMIT_MB = 500.0  # of memory in use, with the interpreter and all libraries
ADDRESS_SPACE_GB = 8  # limit of the system, so that a huge allocation fails instead of harming the machine


@dataclass(frozen=True)
class Case:
    """One case. Row and column of the table say what was damaged, and how."""

    row: str
    column: str
    files: Mapping[str, bytes]  # content of each file, by its path relative to the folder of the case

    def write(self, folder: Path) -> None:
        """Create a folder and write the files into it."""
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


@dataclass(frozen=True)
class Trial:
    """The result of a case.

    The outcome is an expected one or "refused". Otherwise it is the kind of finding: "crash", "hang", "memory", "noise"
    (output on stderr), "lines" (a refusal of several lines), or the name of an exception.
    """

    outcome: str
    message: str  # of the case, or what was found
    peak_mb: float  # memory; 0 if the process ended before it could report it


Make = Callable[[int, int], Case]
Work = Callable[[Path], tuple[str, str]]


def try_case(
    work: Work, folder: Path, expected: Sequence[str], *, timeout_s: float = TIMEOUT_S, limit_mb: float = LIMIT_MB
) -> Trial:
    """Return the result of `work` for the files in a folder, from a forked process.

    ``expected`` are the outcomes that are not findings, in addition to "refused".
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work_and_report, args=(work, folder, expected, limit_mb, theirs))
    process.start()
    theirs.close()
    # A process that dies closes its end of the pipe: `poll` returns and `recv` raises `EOFError`.
    answered = ours.poll(timeout_s)
    try:
        trial: Trial = ours.recv() if answered else Trial("hang", f"no answer in {timeout_s:g} s", 0.0)
    except EOFError:
        process.join()
        trial = Trial("crash", f"exit code {process.exitcode}", 0.0)
    process.kill()
    process.join()
    ours.close()
    return trial


def _work_and_report(work: Work, folder: Path, expected: Sequence[str], limit_mb: float, answer: Connection) -> None:
    import resource  # does not exist on Windows

    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_GB * 2**30,) * 2)
    with tempfile.TemporaryFile() as errors:
        os.dup2(errors.fileno(), 2)  # also for C libraries
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            outcome, message = work(folder)
        except ClaviluxError as error:
            outcome, message = REFUSED, str(error)
            if len(message.splitlines()) != 1:
                outcome = "lines"
        except BaseException as error:  # a finding
            outcome, message = type(error).__name__, str(error)
        sys.stderr.flush()
        errors.seek(0)
        noise = errors.read().decode(errors="replace").strip()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_mb = peak / (1e6 if sys.platform == "darwin" else 1e6 / 1024)
    if outcome in (*expected, REFUSED):
        if peak_mb > limit_mb:
            outcome, message = "memory", f"{peak_mb:.0f} MB, {message}"
        elif noise:
            outcome, message = "noise", noise.splitlines()[-1]
    answer.send(Trial(outcome, message, peak_mb))


def run_fuzzer(description: str, make: Make, work: Work, expected: Sequence[str], *, limit_mb: float = LIMIT_MB) -> int:
    """Run the cases that the command line asks for, print a table of outcomes, and return the exit code.

    Parameters are those of `try_case`; ``description`` is the text of ``--help``. Ctrl-C prints the table of the cases
    so far. Case i of a seed does not depend on the range, so that a run can be split.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--cases", type=int, default=2_000, help="how many")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="folder for the files of findings")
    given = parser.parse_args()
    outcomes = (*expected, REFUSED)
    counts: Counter[tuple[str, str, str]] = Counter()
    n_findings, peak_mb, slowest_s = 0, 0.0, 0.0
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        try:
            for number in range(given.first, given.first + given.cases):
                case = make(given.seed, number)
                name = f"{given.seed}-{number}-{case.column.replace(' ', '-')}"
                folder = Path(temporary, name, "case")  # `work` may write into the folder above it
                case.write(folder)
                started = time.monotonic()
                trial = try_case(work, folder, expected, limit_mb=limit_mb)
                slowest_s = max(slowest_s, time.monotonic() - started)
                peak_mb = max(peak_mb, trial.peak_mb)
                outcome = trial.outcome
                if outcome not in outcomes:
                    outcome = "finding"
                    n_findings += 1
                    if not (given.keep / name).exists():
                        case.write(given.keep / name)
                    print(f"{given.keep / name}: {case.row}: {trial.outcome}: {trial.message}", flush=True)
                counts[case.row, case.column, outcome] += 1
                shutil.rmtree(folder.parent)
        except KeyboardInterrupt:
            print("interrupted; the cases so far:", file=sys.stderr)
    _print_table(counts, outcomes)
    print(
        f"{counts.total()} cases of seed {given.seed} from number {given.first} in {time.monotonic() - began:.0f} s; "
        f"slowest {slowest_s:.1f} s, most memory {peak_mb:.0f} MB; {n_findings} findings"
    )
    return int(n_findings > 0)


def _print_table(counts: Counter[tuple[str, str, str]], outcomes: Sequence[str]) -> None:
    """Print the number of cases by outcome, and of findings: a row per file type, a column per mutation."""
    print(" / ".join(outcomes) + " (+ findings)")
    rows = [*dict.fromkeys(row for row, _, _ in counts), "all"]
    columns = [*dict.fromkeys(column for _, column, _ in counts), "all"]
    left = max(len(row) for row in rows) + 1
    print(f"{'':{left}}" + "".join(f"{name:>18}" for name in columns))
    for row in rows:
        cells = []
        for column in columns:
            n = Counter[str]()
            for (its_row, its_column, outcome), count in counts.items():
                if row in (its_row, "all") and column in (its_column, "all"):
                    n[outcome] += count
            findings = f" (+{n['finding']})" if n["finding"] else ""
            cells.append("/".join(str(n[outcome]) for outcome in outcomes) + findings)
        print(f"{row:{left}}" + "".join(f"{cell:>18}" for cell in cells))
