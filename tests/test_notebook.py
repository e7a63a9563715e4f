"""The notebook and the examples of the reference run as written."""

from __future__ import annotations

import doctest
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clavilux

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with the example pieces that are used."""
    for name in ("nocturne.flac", "drift.opus"):
        shutil.copy(ROOT / "examples" / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_notebook_has_ten_cells_without_output() -> None:
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    assert (notebook["nbformat"], len(notebook["cells"])) == (4, 10)
    for cell in notebook["cells"]:
        assert cell["cell_type"] == "markdown" or (cell["outputs"], cell["execution_count"]) == ([], None)


def test_the_notebook_runs(examples: Path) -> None:
    namespace: dict[str, Any] = {}
    for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), namespace)
    assert namespace["larger"].pixels.shape == (512, 512, 3)
    assert namespace["steps"] == [0, 1, 2]
    assert sorted(path.name for path in examples.iterdir()) == ["drift.opus", "nocturne.flac"]  # nothing is left


def test_the_examples_of_the_reference_give_what_they_say(examples: Path) -> None:
    page = (ROOT / "docs" / "reference.md").read_text("utf-8")
    names = {name: getattr(clavilux, name) for name in clavilux.__all__} | {"np": np}
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for number, block in enumerate(blocks):
        assert "SKIP" not in block
        runner.run(doctest.DocTestParser().get_doctest(block, dict(names), f"example {number}", "reference.md", 0))
    assert runner.failures == 0
    assert len(blocks) >= 8 and runner.tries >= 20
