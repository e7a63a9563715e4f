"""Damaged bundles give a picture or a `ClaviluxError`; `benchmarks/fuzz_bundles.py` runs thousands of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import bundle_mutations
import pytest

from clavilux.bundle import open_bundle

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="trials need a system that forks")

HERE = Path(__file__).parent
SCRIPT = HERE.parent / "benchmarks" / "fuzz_bundles.py"


@pytest.mark.slow
def test_sixty_broken_bundles_of_every_mutation() -> None:
    command = [sys.executable, str(SCRIPT), "--seed", "0", "--bundles", "60"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    *rows, last = done.stdout.splitlines()
    assert last.startswith("60 bundles of seed 0 from number 0") and last.endswith("; 0 findings")
    n_pictures, n_refused = (sum(int(row.split()[place]) for row in rows) for place in (1, 3))
    assert n_pictures + n_refused == 60 and min(n_pictures, n_refused) > 0


def test_a_number_and_a_seed_give_the_same_bundle(tmp_path: Path) -> None:
    base = bundle_mutations.write_base(tmp_path / "base", with_weights=False)
    turns = len(bundle_mutations.TURNS)
    for number in range(turns - 1):
        if bundle_mutations.mutate(base, tmp_path / f"a{number}", 3, number, with_weights=False) == "files":
            continue  # pipes and devices cannot be compared
        bundle_mutations.mutate(base, tmp_path / f"b{number}", 3, number, with_weights=False)
        contents = [
            {path.name: path.read_bytes() for path in (tmp_path / f"{letter}{number}").iterdir()} for letter in "ab"
        ]
        assert contents[0] == contents[1]


def test_the_whole_bundle_is_painted_from(tmp_path: Path) -> None:
    base = bundle_mutations.write_base(tmp_path / "base", with_weights=False)
    outcome = bundle_mutations.try_bundle(base, bundle_mutations.make_song(), with_weights=False)
    assert outcome == ("picture", "")
    assert open_bundle(base).name == "base"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("os.abort()", "crash"),
        ("time.sleep(60)", "hang"),
        ("raise ValueError('no')", "ValueError"),
        ("raise bundle_mutations.ClaviluxError('two\\nlines')", "AssertionError"),
        ("os.write(2, b'Traceback')", "noise"),
        ("warnings.warn('odd')", "UserWarning"),
        ("numpy.ones(50_000_000)", "memory"),
    ],
)
def test_each_kind_of_finding_is_found(fault: str, outcome: str) -> None:
    """The trial itself, with a fault put into the opening of the bundle."""
    script = f"""
import os, sys, time, warnings, numpy
from pathlib import Path
sys.path[:0] = [{str(HERE)!r}, {str(SCRIPT.parent)!r}]
import bundle_mutations, fuzz_bundles, tempfile
def describe(*arguments, **options):
    {fault}
bundle_mutations.show.main = describe
bundle_mutations.TURNS = (lambda folder, rng: None,) * 2
fuzz_bundles.LIMIT_MB = 400.0
fuzz_bundles.LIMIT_S = {2.0 if outcome == "hang" else 60.0}
with tempfile.TemporaryDirectory() as folder:
    base = bundle_mutations.write_base(Path(folder, "base"), with_weights=False)
    found = list(fuzz_bundles.run(base, 0, range(2), with_weights=False))
    assert [each.number for each in found] == [0, 1] and all(each.is_finding for each in found)
    print(*{{each.result for each in found}})
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == f"{outcome}\n", done.stderr
