"""The compiled painter: the same strokes as NumPy, its cache, and painting without Numba."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from test_painter import make_controls

import clavilux
from clavilux.painter import compiled
from clavilux.painter import paint as painting
from clavilux.painter.paint import paint
from clavilux.painter.strokes import BRISTLES, Edges, Strokes, paint_strokes

needs_numba = pytest.mark.skipif(not compiled.name_painter().startswith("Numba"), reason="needs the extra fast")


@pytest.fixture(autouse=True)
def every_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the compiled painter for small pictures too."""
    monkeypatch.setenv(compiled.SWITCH, "1")


def random_strokes(n: int = 400) -> Strokes:
    """Strokes of all sizes, directions and bends, also beyond the edges and smaller than a pixel."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, n)
    shape = np.stack(
        [
            *rng.uniform(-0.9, 0.9, (2, n)),
            np.cos(angle),
            np.sin(angle),
            np.exp(rng.uniform(np.log(5e-4), np.log(0.08), n)),
            np.exp(rng.uniform(np.log(2e-3), np.log(0.4), n)),
            rng.uniform(-4, 4, n),
        ],
        axis=1,
    )
    paint = np.stack(
        [rng.uniform(5, 95, n), *rng.uniform(-50, 50, (2, n)), *rng.uniform(0, 1.5, (1, n)), *rng.uniform(0, 7, (1, n)),
         rng.uniform(0.5, 1, n), rng.choice([0, 0.5, 1], n)],
        axis=1,
    )  # fmt: skip
    bristles = rng.random((n, 2, BRISTLES), np.float32)
    return Strokes(shape.astype(np.float32), paint.astype(np.float32), bristles, rng.integers(0, 8, n).astype(np.uint8))


def random_edges(rows: int, width: int) -> Edges:
    rng = np.random.default_rng(1)
    slot, second = rng.integers(0, 8, (2, rows, width)).astype(np.uint8)
    return Edges(
        slot, second, rng.uniform(0, 0.5, (rows, width)).astype(np.float32), rng.random((rows, width), np.float32)
    )


@needs_numba
@pytest.mark.parametrize(
    ("width", "height", "top", "bottom"), [(150, 90, 0, 90), (90, 200, 33, 120), (400, 64, 60, 64)]
)
@pytest.mark.parametrize("with_edges", [False, True])
def test_compiled_strokes_are_those_of_numpy(width: int, height: int, top: int, bottom: int, with_edges: bool) -> None:
    strokes, fast = random_strokes(), compiled.compiled_painter(1)
    assert fast is not None
    by_numpy = np.full((bottom - top, width, 3), (50, 0, 0), np.float32)
    by_numba = by_numpy.copy()
    edges = random_edges(bottom - top, width) if with_edges else None
    paint_strokes(by_numpy, top, height, strokes, None, edges)
    paint_strokes(by_numba, top, height, strokes, fast, edges)
    assert np.abs(by_numpy - np.float32((50, 0, 0))).mean() > 0.2
    np.testing.assert_allclose(by_numba, by_numpy, atol=0.02)  # 1/255 of the range of lightness is 0.4


@needs_numba
@pytest.mark.parametrize("surface", ["gouache", pytest.param("drawing", marks=pytest.mark.slow)])
def test_compiled_code_paints_the_same_picture(surface: str, monkeypatch: pytest.MonkeyPatch) -> None:
    controls = make_controls("dabs", surface=surface, brush=6.0)
    numba = paint(controls, width=288, height=256, seed=3)
    monkeypatch.setenv(compiled.SWITCH, "0")
    numpy = paint(controls, width=288, height=256, seed=3)
    assert np.mean(np.abs(numba.astype(int) - numpy).max(axis=2) > 1) < 1e-3


@needs_numba
def test_blocks_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    controls = make_controls("glass", surface="impasto")
    whole = paint(controls, width=300, height=256, seed=3)
    monkeypatch.setattr(painting, "_BLOCK", 300 * 19)
    np.testing.assert_array_equal(paint(controls, width=300, height=256, seed=3, threads=3), whole)


@needs_numba
@pytest.mark.slow
def test_a_second_start_compiles_nothing() -> None:
    code = (
        "from clavilux.painter.compiled import compiled_painter\n"
        "from clavilux.painter.paint import paint\n"
        "from test_painter import make_controls\n"
        "paint(make_controls('facets'), width=64, height=64)\n"
        "stats = compiled_painter(1).paint_strokes.stats\n"
        "print(len(stats.cache_misses), sum(stats.cache_hits.values()))\n"
    )
    tests = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=tests)
    assert done.stdout.split() == ["0", "1"]


@needs_numba
@pytest.mark.slow
def test_a_change_in_another_module_compiles_its_callers_again(tmp_path: Path) -> None:
    """Without the digest of all sources, the stored code would still contain the old constants."""
    ignored = shutil.ignore_patterns("__pycache__", "bundles", "corpus", "training", "evaluation", "models")
    shutil.copytree(Path(clavilux.__file__).parent, tmp_path / "clavilux", ignore=ignored)
    code = (
        "import numpy as np\n"
        "from clavilux.painter.compiled import fast\n"
        "from clavilux.painter.strokes import BRISTLES, Strokes, paint_strokes\n"
        "shape = np.array([[0, 0, 1, 0, 0.2, 0.4, 0]], np.float32)\n"
        "paint = np.array([[80, 0, 0, 0, 5, 1, 0]], np.float32)\n"
        "rows = np.zeros((64, 64, 3), np.float32)\n"
        "bristles = np.full((1, 2, BRISTLES), 0.3, np.float32)\n"
        "paint_strokes(rows, 0, 64, Strokes(shape, paint, bristles, np.zeros(1, np.uint8)), fast)\n"
        "print((rows * rows).sum(), len(fast.paint_strokes.stats.cache_misses))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "HOME": "/dev/null"}  # the cache is beside the modules

    def run() -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, cwd=tmp_path
        )
        return done.stdout.split()

    first, again = run(), run()
    assert first == [again[0], "1"] and again[1] == "0"
    strokes = tmp_path / "clavilux" / "painter" / "strokes.py"
    source = strokes.read_text()
    assert source.count("SLOPE = 2.2 ") == 1
    strokes.write_text(source.replace("SLOPE = 2.2 ", "SLOPE = -8.0 "))
    changed = run()
    assert changed[0] != first[0] and changed[1] == "1"


@pytest.fixture
def fresh_choice() -> Iterator[None]:
    compiled._load.cache_clear()
    yield
    compiled._load.cache_clear()


def test_without_numba_numpy_paints(monkeypatch: pytest.MonkeyPatch, fresh_choice: None) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(compiled.metadata, "version", missing)
    assert compiled.name_painter() == "NumPy"
    assert compiled.compiled_painter(10**9) is None
    assert paint(make_controls("dots"), width=64, height=64).std() > 10


def test_the_compiled_painter_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, fresh_choice: None) -> None:
    monkeypatch.setenv("CLAVILUX_FAST", "0")
    assert compiled.compiled_painter(10**9) is None


@needs_numba
def test_the_compiled_painter_is_for_large_pictures_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(compiled.SWITCH)
    assert compiled.compiled_painter(compiled.WORTH_PX - 1) is None
    assert compiled.compiled_painter(compiled.WORTH_PX) is not None


def test_a_numba_that_does_not_work_gives_a_warning(monkeypatch: pytest.MonkeyPatch, fresh_choice: None) -> None:
    monkeypatch.setattr(compiled.metadata, "version", lambda name: "0.1")
    monkeypatch.setitem(sys.modules, "clavilux.painter.compiled.fast", None)  # importing it raises ImportError
    monkeypatch.delattr("clavilux.painter.compiled.fast", raising=False)
    with pytest.warns(RuntimeWarning, match="Numba is installed but cannot be used, NumPy paints: "):
        assert compiled.compiled_painter(10**9) is None
