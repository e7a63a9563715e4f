"""Imports point one way: painting needs neither PyTorch nor anything else that only training and measuring need."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import clavilux

PACKAGE = Path(clavilux.__file__).parent
FOREIGN = {"torch", "scipy", "sklearn", "librosa", "matplotlib", "soundfile", "onnx", "safetensors", "pandas"}
CLUSTER = {"dask", "distributed"}
TRAINING_SIDE = {
    "clavilux.measures",
    "clavilux.models",
    "clavilux.training",
    "clavilux.evaluation",
    "clavilux.study",
    "clavilux.cli.study",
    "clavilux.cli.train",
    "clavilux.cli.evaluate",
}
ROOMS = [  # the path of a song, then what trains and measures; each may import those before it, and itself
    "version",
    "errors",
    "constants",
    "colour",
    "colour_names",
    "system",
    "profiles",
    "images",
    "audio",
    "painter",
    "measures",
    "card",
    "graphs",
    "neighbours",
    "bundle",
    "engine",
    "suggestions",
    "alt_text",
    "vector",
    "vector_files",
    "picture_file",
    "sizes",
    "reference_pictures",
    "steering",
    "options",
    "directions",
    "picture",
    "record",
    "controls_file",
    "pipeline",
    "painting",
    "words",
    "explain",
    "song_page",
    "corpus",
    "models",
    "training",
    "evaluation",
    "study",
    "cli",
    "__main__",
]


def imports_of(source: Path) -> set[str]:
    """Full names of all modules that a file imports, also inside functions and for type checking."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source} imports relatively"
            module = node.module or ""
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def module_name(source: Path) -> str:
    parts = source.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_training_side(name: str) -> bool:
    return any(name == home or name.startswith(f"{home}.") for home in TRAINING_SIDE)


SOURCES = sorted(PACKAGE.rglob("*.py"))
RUNTIME = [source for source in SOURCES if not is_training_side(module_name(source))]


@pytest.mark.parametrize("source", RUNTIME, ids=module_name)
def test_the_runtime_side_imports_neither_torch_nor_training(source: Path) -> None:
    imported = imports_of(source)
    assert not {name for name in imported if name.partition(".")[0] in FOREIGN}
    assert not {name for name in imported if is_training_side(name)}


def test_the_check_sees_what_it_looks_for() -> None:
    training = [imports_of(source) for source in SOURCES if is_training_side(module_name(source))]
    assert any("torch" in imported for imported in training)
    assert any(is_training_side(name) for imported in training for name in imported)


def room_of(name: str) -> str:
    """Folder or top-level module that a full module name lies in."""
    return name.split(".")[1]


@pytest.mark.parametrize("source", [source for source in SOURCES if source != PACKAGE / "__init__.py"], ids=module_name)
def test_a_module_imports_only_from_its_own_room_and_those_before_it(source: Path) -> None:
    place = ROOMS.index(room_of(module_name(source)))
    for imported in imports_of(source):
        if imported.startswith("clavilux."):
            room = room_of(imported)
            if room == "__version__":
                continue
            assert room in ROOMS[: place + 1], f"{module_name(source)} imports {imported}"


def test_evaluation_does_not_import_training() -> None:
    for source in (PACKAGE / "evaluation").rglob("*.py"):
        assert not any(room_of(name) == "training" for name in imports_of(source) if name.startswith("clavilux."))


def test_only_the_engine_imports_onnx_runtime() -> None:
    importers = {
        module_name(source)
        for source in RUNTIME
        if any(name.partition(".")[0] == "onnxruntime" for name in imports_of(source))
    }
    assert importers == {"clavilux.engine"}


def test_painting_a_song_loads_no_torch(fake_bundle: Path, tone_file: Path, tmp_path: Path) -> None:
    code = f"""
import sys
import clavilux
clavilux.paint({str(tone_file)!r}, size=96, bundle={str(fake_bundle)!r}).save({str(tmp_path / "a.png")!r})
print(sorted({{name.partition(".")[0] for name in sys.modules}}))
"""
    core = os.environ | {"CLAVILUX_FAST": "0"}  # Numba, of an extra, imports SciPy where that is installed
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, env=core
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.png").stat().st_size > 0
    loaded = set(ast.literal_eval(done.stdout))
    assert {"av", "onnxruntime", "numpy", "PIL"} <= loaded  # it did paint
    assert not loaded & (FOREIGN | CLUSTER)


@pytest.mark.torch
def test_the_same_look_finds_torch_where_it_is(tmp_path: Path) -> None:
    code = "import sys, clavilux.models.audio_vae; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


@pytest.mark.torch
def test_the_networks_are_imported_from_their_package() -> None:
    from clavilux.models import AudioVAE, ImageVAE, MappingNetwork

    assert [network.__name__ for network in (AudioVAE, ImageVAE, MappingNetwork)] == [
        "AudioVAE",
        "ImageVAE",
        "MappingNetwork",
    ]


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("evaluation.inception", ["-c", "import {}"]),
        ("evaluation.inception", ["-m", "{}"]),
        ("evaluation.evaluate", ["-c", "import {}"]),
        ("training.run", ["-c", "import {}"]),
    ],
)
def test_a_module_without_its_extra_names_it(tmp_path: Path, module: str, arguments: list[str]) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('No module named torch', name='torch')")
    words = [word.format(f"clavilux.{module}") for word in arguments]
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{PACKAGE.parent}"}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert f"this needs torch, which is not installed: {sys.executable} -m pip install" in done.stderr.splitlines()[-1]
    assert arguments[0] == "-c" or done.stderr.count("\n") == 1
