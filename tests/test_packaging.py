"""The wheel: what a user gets by `pip install`, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import clavilux

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of this working tree, built by the build back-end of this environment: nothing is downloaded."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "-w", str(folder), str(ROOT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def contents(wheel: zipfile.ZipFile) -> set[str]:
    return {name for name in wheel.namelist() if ".dist-info/" not in name}


def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def test_wheel_holds_exactly_the_package(wheel):
    package = ROOT / "clavilux"
    kept = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert contents(wheel) == kept


@pytest.mark.parametrize(
    "pattern",
    [
        "clavilux/py.typed",
        "clavilux/bundles/default/bundle.json",
        "clavilux/bundles/default/*.onnx",
        "clavilux/corpus/*.tsv*",
        "clavilux/training/recipes/default.toml",
        "clavilux/training/recipes/debug.toml",
    ],
)
def test_wheel_carries_the_data_of_the_package(wheel, pattern):
    assert any(Path(name).match(pattern) for name in contents(wheel))


def test_wheel_carries_no_tests_caches_or_checkpoints(wheel):
    unwanted = {".pyc", ".ckpt", ".pt", ".pth", ".mp3", ".flac", ".wav"}
    assert not [name for name in wheel.namelist() if Path(name).suffix in unwanted or "test" in Path(name).name]


def test_wheel_stays_small(wheel):
    assert sum(entry.compress_size for entry in wheel.infolist()) < 45e6  # the bundle may take 40 MB


def test_version_has_one_source(wheel):
    assert metadata(wheel)["Version"] == clavilux.__version__
    assert "version" in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dynamic"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {clavilux.__version__}\n" in citation


def test_core_requires_nothing_of_training(wheel):
    core = [line for line in metadata(wheel).get_all("Requires-Dist") if "extra ==" not in line]
    names = {line.split(">")[0].split("<")[0].strip() for line in core}
    assert names == {"numpy", "av", "onnxruntime", "pillow", "click", "threadpoolctl", "rich", "joblib"}


def test_every_pin_is_an_exact_public_version():
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    lines = [line for line in constraints.splitlines() if line and not line.startswith("#")]
    for line in lines:
        name, _, version = line.partition(";")[0].strip().partition("==")
        assert name == name.lower(), f"{line!r}: names are written in lower case"
        assert version, f"{line!r}: a pin is an exact version"
        assert "+" not in version, f"{line!r}: no local build"
        assert "/" not in line, f"{line!r}: no path"


def test_every_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = {line.split("==")[0] for line in constraints.splitlines() if "==" in line}
    extras = project["optional-dependencies"]
    for requirement in project["dependencies"] + extras["train"] + extras["cluster"] + extras["dev"]:
        name = requirement.split(">")[0].split("<")[0].split("[")[0].strip().lower()
        assert name in pinned, f"{name} is required by pyproject.toml but not pinned in constraints.txt"


def test_wheel_works_unpacked_alone(wheel, tmp_path):
    wheel.extractall(tmp_path)
    code = "import clavilux; print(clavilux.__file__, clavilux.__version__)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == [str(tmp_path / "clavilux" / "__init__.py"), clavilux.__version__]
