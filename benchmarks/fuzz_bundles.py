"""Use thousands of damaged bundles: each must give a picture or a `ClaviluxError` of one line.

    python benchmarks/fuzz_bundles.py                              2 000 bundles of seed 0
    python benchmarks/fuzz_bundles.py --first 1000 --bundles 500   bundles 1 000 to 1 499 of the same 2 000

A tiny bundle is damaged in seven ways (tests/bundle_mutations.py): fields and bytes of bundle.json, bytes of networks
and palettes, edits of ONNX graphs, headers of NumPy and safetensors files, and files that are pipes, links or devices.
Hashes are updated, so that they do not hide the damage. Each bundle is used to paint, shown, verified, copied and, if
PyTorch is installed, loaded for training. Findings are any other exception, a warning, output on stderr, a crash, more
than 20 s, and more than 2.5 GB of memory. They are printed, and the exit code is 1. Bundle i of a seed does not depend
on the range. Needs a system with `fork` (Linux, macOS).
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

os.environ.setdefault(
    "OPENBLAS_NUM_THREADS", "1"
)  # set before NumPy is imported: a process with threads cannot be forked safely
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from bundle_mutations import Outcome, make_song, mutate, try_bundle, write_base

LIMIT_S = 20.0
LIMIT_MB = 2_500.0
ADDRESS_SPACE_GB = 16


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first bundle")
    parser.add_argument("--bundles", type=int, default=2_000, help="how many")
    given = parser.parse_args()
    with_weights = importlib.util.find_spec("torch") is not None and importlib.util.find_spec("safetensors") is not None
    counts: Counter[tuple[str, str]] = Counter()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        base = write_base(Path(folder, "base"), with_weights=with_weights)
        for outcome in run(
            base, given.seed, range(given.first, given.first + given.bundles), with_weights=with_weights
        ):
            counts[outcome.mutation, "finding" if outcome.is_finding else outcome.result] += 1
            if outcome.is_finding:
                print(f"bundle {outcome.number} ({outcome.mutation}): {outcome.result}: {outcome.message}", flush=True)
    for mutation in dict.fromkeys(name for name, _ in counts):
        cells = (f"{counts[mutation, result]:5} {result}" for result in ("picture", "refused", "finding"))
        print(f"{mutation:12}" + ",".join(cells))
    n_findings = sum(n for (_, result), n in counts.items() if result == "finding")
    print(
        f"{counts.total()} bundles of seed {given.seed} from number {given.first} in {time.monotonic() - began:.0f} s; "
        f"{n_findings} findings"
    )
    return int(n_findings > 0)


def run(base: Path, seed: int, numbers: range, *, with_weights: bool) -> Iterator[Outcome]:
    """Yield the outcome of each bundle; a process that hangs or dies is replaced."""
    context = multiprocessing.get_context("fork")
    left = list(numbers)
    while left:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_try_all, args=(base, seed, left, with_weights, theirs))
        process.start()
        theirs.close()
        name = "unknown"
        try:
            while left:
                # The process sends the name of the mutation first, so that a crash can be reported with it.
                if not ours.poll(LIMIT_S):
                    yield Outcome(left.pop(0), name, "hang", f"no answer in {LIMIT_S:g} s")
                    break
                message = ours.recv()
                if isinstance(message, str):
                    name = message
                else:
                    left.pop(0)
                    yield message
                    if message.result == "memory":  # then the process ends; see below
                        break
        except EOFError:
            process.join()
            yield Outcome(left.pop(0), name, "crash", f"exit code {process.exitcode}")
        finally:
            process.kill()
            process.join()
            ours.close()


def _try_all(base: Path, seed: int, numbers: list[int], with_weights: bool, answer: Connection) -> None:
    import resource  # does not exist on Windows

    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_GB * 2**30,) * 2)
    warnings.simplefilter("error")
    song = make_song()
    for number in numbers:
        folder = base.parent / f"b{number}"
        with tempfile.TemporaryFile() as errors:
            os.dup2(errors.fileno(), 2)  # also for C libraries
            name = mutate(base, folder, seed, number, with_weights=with_weights)
            answer.send(name)
            try:
                result, message = try_bundle(folder, song, with_weights=with_weights)
            except Exception as error:  # a finding
                where = traceback.extract_tb(error.__traceback__)[-1]
                result, message = (
                    type(error).__name__,
                    f"{str(error)[:300]} ({Path(where.filename).name}:{where.lineno})",
                )
            sys.stderr.flush()
            errors.seek(0)
            noise = errors.read().decode(errors="replace").strip()
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e6 / 1024)
        if result in ("picture", "refused") and noise:
            result, message = "noise", noise.splitlines()[-1]
        if result in ("picture", "refused") and peak_mb > LIMIT_MB:
            result, message = "memory", f"{peak_mb:.0f} MB, {message}"
        shutil.rmtree(folder)
        answer.send(Outcome(number, name, result, message))
        if result == "memory":  # the peak of a process never goes down
            return


if __name__ == "__main__":
    sys.exit(main())
