"""The wheel: what a user gets by `pip install`, and nothing else."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from importlib import metadata as installed
from pathlib import Path

import install_matrix
import pytest
from click.testing import CliRunner

import clavilux
from clavilux.cli import cli
from clavilux.system.extras import EXTRAS, find_extra, install_command

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
    assert names == {"numpy", "av", "onnxruntime", "pillow", "click", "threadpoolctl"}


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
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=600)
    assert done.stdout.split() == [str(tmp_path / "clavilux" / "__init__.py"), clavilux.__version__]


# Extras, and the advice to install them ------------------------------------------------------------------------------

PROJECT = install_matrix.read_project()
DISTRIBUTIONS = {"ot": "pot", "distributed": "dask"}  # where the names differ


def requirement_name(requirement: str) -> str:
    return re.match(r"[A-Za-z0-9_.-]+", requirement)[0].lower().replace("_", "-")


@pytest.mark.parametrize("extra", [*EXTRAS])
def test_extras_of_the_command_line_are_those_of_the_project(extra):
    required = {requirement_name(line) for line in PROJECT["optional-dependencies"][extra]}
    assert {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in EXTRAS[extra]} == required


def test_every_extra_has_code_behind_it():
    assert set(PROJECT["optional-dependencies"]) == {*EXTRAS, "dev"}
    imported = set()
    for source in (ROOT / "clavilux").rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])
    for extra, modules in EXTRAS.items():
        assert imported & set(modules), f"nothing imports what {extra} brings"


@pytest.mark.parametrize("extra", [*EXTRAS])
def test_advice_names_packages_with_their_bounds_and_never_clavilux(extra, monkeypatch, wheel):
    required = metadata(wheel).get_all("Requires-Dist")
    monkeypatch.setattr(installed, "requires", lambda name: required)
    words = shlex.split(install_command(extra))
    assert words[:4] == [sys.executable, "-m", "pip", "install"], "a plain pip may belong to another Python"
    named = {requirement_name(word) for word in words[4:]}
    assert named == {requirement_name(line) for line in PROJECT["optional-dependencies"][extra]}
    assert all(">=" in word for word in words[4:])


def test_advice_without_an_installed_clavilux_names_the_checkout(monkeypatch):
    def requires(name):
        raise installed.PackageNotFoundError(name)

    monkeypatch.setattr(installed, "requires", requires)
    assert shlex.split(install_command("train")) == [sys.executable, "-m", "pip", "install", f"{ROOT}[train]"]


@pytest.mark.parametrize(
    ("module", "command", "extra"),
    [
        ("torch", "train", "train"),
        ("torch", "evaluate", "eval"),
        ("scipy", "evaluate", "eval"),
        ("ot", "train", "train"),
        ("dask", "paint", "cluster"),
        ("numpy", "paint", None),
        ("", None, None),
    ],
)
def test_a_missing_module_leads_to_the_extra_of_the_command(module, command, extra):
    assert find_extra(module, command) == extra


def test_an_extra_that_is_too_old_is_called_so(monkeypatch):
    """PyTorch's exporter asks for a module that an older onnxscript lacks."""

    def command(name, *_):
        raise ModuleNotFoundError("No module named 'onnxscript.new'", name="onnxscript.new")

    monkeypatch.setattr("clavilux.cli.import_module", command)
    done = CliRunner().invoke(cli, ["train", "all"])
    assert done.exit_code == 1
    assert f"this needs onnxscript, which is too old: {sys.executable} -m pip install " in done.output


def test_no_text_advises_a_package_that_no_index_has():
    """Clavilux is installed from a checkout or a wheel; by its name pip would find nothing, or another."""
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "clavilux").rglob("*.py"), ROOT / "Makefile"]
    advice = re.compile(r"pip install[^\n`]*[ \"]clavilux(\[|\b(?!\S))")
    for path in texts:
        found = advice.search(path.read_text(encoding="utf-8"))
        assert found is None or path.name == "extras.py", f"{path}: {found[0]}"


def test_every_extra_that_a_text_names_exists():
    extras = set(PROJECT["optional-dependencies"])
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "Makefile", ROOT / "constraints.txt"]
    named = {
        path: re.findall(r'pip install[^\n]*"\.\[([a-z,]+)\]"', path.read_text(encoding="utf-8")) for path in texts
    }
    assert sum(map(len, named.values())) >= 5  # the pattern finds them
    for path, lists in named.items():
        assert {extra for line in lists for extra in line.split(",")} <= extras, path


# The matrix of installations -----------------------------------------------------------------------------------------


def test_the_lowest_versions_are_those_of_the_project():
    pins = install_matrix.lowest_versions(PROJECT)
    assert [pin.replace("==", ">=") for pin in pins] == [line.partition(",")[0] for line in PROJECT["dependencies"]]


@pytest.mark.parametrize("requirement", ["numpy", "numpy<3", "numpy==2.2", "numpy>2"])
def test_a_requirement_without_a_lower_bound_is_refused(requirement):
    with pytest.raises(ValueError, match="has no lower bound"):
        install_matrix.lowest_versions({"dependencies": [requirement]})


def test_pythons_of_the_matrix_are_those_of_the_project_and_of_make():
    versions = install_matrix.python_versions(PROJECT)
    assert PROJECT["requires-python"] == f">={versions[0]}"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"({versions[0].replace('.', ', ')}) <= v <= ({versions[-1].replace('.', ', ')})" in makefile


def test_a_python_that_is_not_here_is_skipped_by_name(capsys, monkeypatch):
    monkeypatch.setattr(install_matrix, "find_python", lambda version: Path("python") if version == "3.12" else None)
    names = [job.name for job in install_matrix.list_jobs(PROJECT)]
    assert names == ["Python 3.12, newest versions", "Python 3.12, lowest versions"]
    said = capsys.readouterr().out
    assert "Python 3.11: skipped" in said
    assert "Python 3.13: skipped" in said


def test_only_a_python_that_runs_and_is_what_it_says_is_found(tmp_path, monkeypatch):
    """A shim of pyenv on PATH ends with an error where its version is switched off."""
    shims, versions = tmp_path / "shims", tmp_path / "versions" / "9.9.1" / "bin"
    for folder, text in ((shims, "#!/bin/sh\nexit 127\n"), (versions, "#!/bin/sh\necho 9.9\n")):
        folder.mkdir(parents=True)
        program = folder / ("python9.9" if folder == shims else "python")
        program.write_text(text)
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(shims), prepend=":")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert install_matrix.find_python("9.9") == versions / "python"
    assert install_matrix.find_python("9.8") is None


@pytest.mark.parametrize(
    ("stderr", "says"),
    [
        ("WARNING: Retrying\nERROR: HTTPSConnectionPool: Max retries exceeded\n", "package index cannot be reached"),
        (
            "ERROR: Could not find\nERROR: No matching distribution found for av==1\nhint\n",
            "No matching distribution found",
        ),
    ],
)
def test_a_failed_installation_is_one_line(tmp_path, stderr, says):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nprintf '%s' '{stderr}' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(install_matrix.JobError, match=says) as caught:
        install_matrix.run(program, "-m", "pip", cwd=tmp_path)
    assert "\n" not in str(caught.value)
