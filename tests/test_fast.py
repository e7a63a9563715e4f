"""The compiled painter: the same pictures as NumPy, its cache, and painting without Numba."""

import inspect
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from clavilux.painter.marks.trace import Op, record

import clavilux
from clavilux.painter import borders, canvas, compiled
from clavilux.painter.marks import KINDS
from clavilux.painter.paint import paint, paint_slots
from tests.test_painter import make_controls

needs_numba = pytest.mark.skipif(not compiled.name_painter().startswith("Numba"), reason="needs the extra fast")


@pytest.fixture(autouse=True)
def every_picture(monkeypatch):
    """Use the compiled painter for small pictures too."""
    monkeypatch.setenv(compiled.SWITCH, "1")


@pytest.fixture
def by_numpy(monkeypatch):
    """Call a function while NumPy paints."""

    def call(function, *args, **options):
        with monkeypatch.context() as patch:
            patch.setenv(compiled.SWITCH, "0")
            return function(*args, **options)

    return call


def share_that_differs(a, b):
    """Share of the pixels that differ by more than 1 of 255."""
    return float(np.mean(np.abs(a.astype(int) - b).max(axis=2) > 1))


@needs_numba
@pytest.mark.parametrize(
    "kind", [kind if kind in ("tiles", "marble") else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_compiled_code_paints_the_same_picture(kind, by_numpy):
    """Sines that differ in the last bit change fewer than 1 of 2 000 pixels by more than 1 of 255."""
    crisp = make_controls(kind, frequency=9.0, chaos=0.8)
    second = KINDS[(KINDS.index(kind) + 7) % len(KINDS)]
    rich = {"second_kind": second, "second_share": 0.4, "softness": 0.5, "glaze": 6.0, "brush": 6.0}
    for controls in (crisp, make_controls(kind, frequency=9.0, chaos=0.8, **rich)):
        size = {"width": 200, "height": 128, "seed": 3}
        assert share_that_differs(paint(controls, **size), by_numpy(paint, controls, **size)) < 5e-4
    differs = paint_slots(crisp, **size) != by_numpy(paint_slots, crisp, **size)
    assert differs.mean() < 5e-4


@needs_numba
@pytest.mark.slow
@pytest.mark.parametrize("options", [{"supersample": 1}, {"supersample": 2}, {"chaos": 0.0}, {"chaos": 0.05}])
def test_supersampling_and_little_chaos_give_the_same_picture_too(options, by_numpy):
    controls = {"frequency": 9.0, "chaos": options.pop("chaos", 0.8)}
    for surface in ({}, {"softness": 0.7}, {"outline": -0.8}):
        for kind in ("tiles", "marble"):
            made = make_controls(kind, **controls, **surface)
            size = {"width": 96, "height": 130, "seed": 3, **options}
            assert share_that_differs(paint(made, **size), by_numpy(paint, made, **size)) < 1e-3


@needs_numba
def test_the_comparison_can_fail(by_numpy):
    a, b = make_controls("tiles", frequency=9.0), make_controls("tiles", frequency=9.001)
    assert share_that_differs(paint(a, width=128, height=128), by_numpy(paint, b, width=128, height=128)) > 1e-3


@pytest.mark.parametrize("compile_", [pytest.param(True, marks=needs_numba), False])
def test_tiles_and_threads_change_nothing(compile_, by_numpy, monkeypatch):
    controls = make_controls("glass", second_kind="bands", second_share=0.5, softness=0.3, glaze=4.0, brush=4.0)
    size = {"width": 300, "height": 210, "seed": 3}

    def call(**options):
        return paint(controls, **size, **options) if compile_ else by_numpy(paint, controls, **size, **options)

    whole = call()
    for tile in (1_000, 7_001):
        monkeypatch.setattr(canvas, "_TILE", tile)
        monkeypatch.setattr(borders, "_BLOCK", tile)
        np.testing.assert_array_equal(call(threads=3), whole)


@needs_numba
@pytest.mark.slow
def test_a_second_start_compiles_nothing():
    code = (
        "from clavilux.painter.compiled import compiled_painter\n"
        "from clavilux.painter.paint import paint\n"
        "from tests.test_painter import make_controls\n"
        "paint(make_controls('facets', second_kind='marble', second_share=0.5, glaze=2.0, brush=2.0),"
        " width=128, height=128)\n"
        "fast = compiled_painter(1)\n"
        "used = (fast.paint_pixels, fast.find_steps, fast.add_value_noise, fast.add_bristles, fast.add_noise)\n"
        "print([len(f.stats.cache_misses) for f in used], [sum(f.stats.cache_hits.values()) for f in used])\n"
    )
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[0, 0, 0, 0, 0] [1, 1, 1, 1, 1]"


@needs_numba
@pytest.mark.slow
def test_a_change_in_another_module_compiles_its_callers_again(tmp_path):
    """Without the digest of all sources, the stored code of a caller would still contain the old function."""
    ignored = shutil.ignore_patterns("__pycache__", "bundles", "corpus", "training", "evaluation", "models")
    shutil.copytree(Path(clavilux.__file__).parent, tmp_path / "clavilux", ignore=ignored)
    code = (
        "import numpy as np\n"
        "from clavilux.painter.surface import ValueNoise\n"
        "from clavilux.painter.compiled import fast\n"
        "noise = np.zeros((1, 64), np.float32)\n"
        "ValueNoise(64, 64, 8, 0, 1.0, fast).add_to(noise, 0)\n"
        "print(noise.sum(), len(fast.add_value_noise.stats.cache_misses))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "HOME": "/dev/null"}  # the cache is beside the modules

    def run():
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, cwd=tmp_path
        )
        return done.stdout.split()

    first, again = run(), run()
    assert first == [again[0], "1"] and again[1] == "0"
    arithmetic = tmp_path / "clavilux" / "painter" / "compiled" / "arithmetic.py"
    source = arithmetic.read_text()
    assert source.count("np.uint32(0x846CA68B)") == 1
    arithmetic.write_text(source.replace("np.uint32(0x846CA68B)", "np.uint32(0x846CA68D)"))
    changed = run()
    assert changed[0] != first[0] and changed[1] == "1"


@needs_numba
def test_every_operation_can_be_run():
    from clavilux.painter.compiled.programs import run

    source = inspect.getsource(run.py_func)
    assert [op.name for op in Op if f"op == Op.{op.name}:" not in source] == []


@pytest.fixture
def fresh_choice():
    compiled._load.cache_clear()
    yield
    compiled._load.cache_clear()


def test_without_numba_numpy_paints(monkeypatch, fresh_choice):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(compiled.metadata, "version", missing)
    assert compiled.name_painter() == "NumPy"
    assert compiled.compiled_painter(10**9) is None
    assert paint(make_controls("dots"), width=64, height=64).std() > 10


def test_the_compiled_painter_can_be_switched_off(monkeypatch, fresh_choice):
    monkeypatch.setenv("CLAVILUX_FAST", "0")
    assert compiled.compiled_painter(10**9) is None


@needs_numba
def test_the_compiled_painter_is_for_large_pictures_by_default(monkeypatch):
    monkeypatch.delenv(compiled.SWITCH)
    assert compiled.compiled_painter(compiled.WORTH_PX - 1) is None
    assert compiled.compiled_painter(compiled.WORTH_PX) is not None


def test_a_numba_that_does_not_work_gives_a_warning(monkeypatch, fresh_choice):
    monkeypatch.setattr(compiled.metadata, "version", lambda name: "0.1")
    monkeypatch.setitem(sys.modules, "clavilux.painter.compiled.fast", None)  # importing it raises ImportError
    monkeypatch.delattr("clavilux.painter.compiled.fast", raising=False)
    with pytest.warns(RuntimeWarning, match="Numba is installed but cannot be used, NumPy paints: "):
        assert compiled.compiled_painter(10**9) is None


def test_a_program_contains_only_what_the_outputs_need():
    def function(x, y):
        unused = np.sin(x)
        assert unused.size == -1
        total = x * np.float32(2)
        total += y
        total *= total > 1
        return [total]

    program = record(function)
    assert [Op(step) for step in program.steps[:, 0]] == [Op.MUL_C, Op.ADD, Op.MORE_C, Op.TO_FLOAT, Op.MUL]
    assert program.rows == 5, "rows are reused, but never for the result of the operation that reads them"
    assert all(step[1] not in step[2:4] for step in program.steps)


def test_operations_that_cannot_be_recorded_are_errors():
    for function in (
        lambda x, y: [np.add.reduce(x)],
        lambda x, y: [x.astype(np.float64) + y],
        lambda x, y: [np.sum(x)],
    ):
        with pytest.raises(NotImplementedError):
            record(function)
    with pytest.raises(KeyError):
        record(lambda x, y: [np.tan(x)])
