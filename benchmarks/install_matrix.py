"""Install the wheel in empty environments, paint the examples there, and compare the pictures.

    python benchmarks/install_matrix.py     in an environment of `constraints.txt` with the extra `dev` (make matrix)

There is a job with the newest releases for every Python that pyproject.toml names and this machine has. One more job
installs the lowest versions that pyproject.toml allows; it uses the newest Python, for which old wheels are most likely
missing. Each job installs without `constraints.txt`, paints, repaints one picture from its record, and checks that
PyTorch is not installed. Its pictures must be nearly equal to those of the environment that runs this script. Other
versions of NumPy and ONNX Runtime round differently, and a stroke whose middle lies on a border may then take another
colour; so the mean difference is limited. The exit code is 1 if a job fails. Needs a package index.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
TOLERANCE = 1.0  # mean difference of a picture, in steps of 255; two songs differ by 40 and more
LIMIT_S = 400  # of one command; an installation without pip's cache takes about 25 s
UNREACHABLE = re.compile(r"Connection|Max retries|timed out|Temporary failure|Name or service|ProxyError|SSLError")
# Variables that would change the environment of a job.
UNWANTED = [
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "PIP_CONSTRAINT",
    "PIP_REQUIRE_VIRTUALENV",
    "PYTHONDONTWRITEBYTECODE",
]

# Runs in the environment of a job.
CHECK = """
import importlib.util, importlib.metadata, sys
if importlib.util.find_spec("torch"):
    sys.exit("PyTorch is installed, which painting must not need")
print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in sys.argv[1:]))
"""


class Job(NamedTuple):
    """One environment: its interpreter and pinned versions (none: the newest)."""

    name: str
    python: Path
    pins: list[str]


class JobError(Exception):
    """A job failed; the message has one line."""


def read_project() -> dict[str, object]:
    """Return the table ``project`` of pyproject.toml."""
    project: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def python_versions(project: dict[str, object]) -> list[str]:
    """Return the versions of Python that the classifiers name, such as ``3.11``, oldest first."""
    prefix = "Programming Language :: Python :: "
    found = [str(line).removeprefix(prefix) for line in project["classifiers"] if str(line).startswith(prefix)]
    return sorted(found, key=lambda version: [int(part) for part in version.split(".")])


def lowest_versions(project: dict[str, object]) -> list[str]:
    """Return what painting requires, each pinned to its lowest version: ``numpy>=2.2`` gives ``numpy==2.2``."""
    pins = []
    for requirement in project["dependencies"]:
        match = re.fullmatch(r"([A-Za-z0-9_.-]+)>=([0-9.]+)(,.*)?", str(requirement))
        if match is None:
            raise ValueError(f"pyproject.toml: {requirement!r} has no lower bound of the form name>=version")
        pins.append(f"{match[1]}=={match[2]}")
    return pins


def find_python(version: str) -> Path | None:
    """Return an interpreter of this version that can make environments, from PATH or pyenv; None if there is none."""
    on_path = shutil.which(f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for python in [on_path, *sorted(pyenv.glob(f"{version}.*/bin/python"))]:
        # A shim of pyenv is on PATH even if its version is not active; it then ends with an error.
        command = [str(python), "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])"]
        if python and subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() == version:
            return Path(python)
    return None


def run(*command: str | Path, cwd: Path) -> str:
    """Return the stdout of a command, or raise `JobError` with its last line of stderr."""
    environment = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired as error:
        raise JobError(f"{Path(words[0]).name} {words[1]} took more than {LIMIT_S} s") from error
    if done.returncode:
        if "pip" in words and UNREACHABLE.search(done.stderr):
            raise JobError("the package index cannot be reached; connect this machine, or set PIP_INDEX_URL")
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise JobError(next((line for line in lines if line.startswith("ERROR: No matching")), lines[-1]))
    return done.stdout


def paint(python: Path | str, folder: Path, cwd: Path) -> None:
    """Paint the examples into a folder, and the first picture once more from its record."""
    command = (python, "-m", "clavilux", "paint")
    run(*command, EXAMPLES, "-o", f"{folder}/", "--size", "256", cwd=cwd)
    run(*command, "--again", folder / "parade.png", EXAMPLES / "parade.wav", "-o", folder / "again.png", cwd=cwd)


def mean_difference(one: Path, other: Path) -> float:
    """Return the mean difference of two folders of pictures with the same names, in steps of 255, for the worst one."""
    import numpy as np
    from PIL import Image

    names = sorted(path.name for path in one.iterdir())
    if names != sorted(path.name for path in other.iterdir()):
        raise JobError(f"other pictures were painted: {', '.join(sorted(path.name for path in other.iterdir()))}")
    pairs = [[np.asarray(Image.open(folder / name), np.int16) for folder in (one, other)] for name in names]
    return max(float(np.abs(a - b).mean()) for a, b in pairs)


def install_and_paint(job: Job, wheel: Path, reference: Path, folder: Path) -> str:
    """Run a job in an empty folder and return a line with the installed versions; raise `JobError` if it failed."""
    started = time.monotonic()
    folder.mkdir()
    run(job.python, "-m", "venv", "--without-pip", "env", cwd=folder)
    python = folder / "env" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile", "--retries", "1")
    run(*pip, "--only-binary", ":all:", wheel, *job.pins, cwd=folder)
    packages = [pin.partition("==")[0] for pin in lowest_versions(read_project())]
    versions = run(python, "-c", CHECK, *packages, cwd=folder).strip()
    paint(python, folder / "pictures", folder)
    difference = mean_difference(reference, folder / "pictures")
    if difference > TOLERANCE:
        raise JobError(f"a picture differs by {difference:.2f} of 255 from that of constraints.txt ({versions})")
    same = "pictures identical" if difference == 0 else f"pictures differ by {difference:.3f} of 255 on average"
    return f"{same}, {time.monotonic() - started:.0f} s: {versions}"


def list_jobs(project: dict[str, object]) -> Iterator[Job]:
    """Yield the jobs of this machine; print which Python is missing."""
    newest_found = None
    for version in python_versions(project):
        python = find_python(version)
        if python is None:
            print(f"matrix: Python {version}: skipped, there is no python{version} on PATH or in pyenv", flush=True)
            continue
        newest_found = version, python
        yield Job(f"Python {version}, newest versions", python, [])
    if newest_found:
        yield Job(f"Python {newest_found[0]}, lowest versions", newest_found[1], lowest_versions(project))


def main() -> int:
    jobs = list(list_jobs(read_project()))
    failed = not jobs
    with tempfile.TemporaryDirectory(prefix="clavilux matrix ") as name:  # a path with a space, to test quoting
        folder = Path(name)
        build = ("pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, ROOT)
        try:
            run(sys.executable, "-m", *build, cwd=ROOT)
            paint(sys.executable, folder / "reference", ROOT)
        except JobError as error:
            sys.exit(f"matrix: the wheel and the pictures to compare with could not be made: {error}")
        (wheel,) = folder.glob("*.whl")

        def attempt(job: Job) -> tuple[bool, str]:
            try:
                return True, install_and_paint(job, wheel, folder / "reference", folder / job.name)
            except JobError as error:
                return False, f"FAILED: {error}"

        with ThreadPoolExecutor(2) as pool:
            for job, (passed, line) in zip(jobs, pool.map(attempt, jobs), strict=True):
                print(f"matrix: {job.name}: {line}", flush=True)
                failed |= not passed
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
