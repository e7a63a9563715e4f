"""The generated reference of commands and of the Python package."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the commands of training import PyTorch")

from write_reference import PAGE, markdown_of, signature_of, write_page

import clavilux

pytestmark = pytest.mark.torch


def test_the_page_is_current():
    message = "docs/reference.md is out of date; run: python benchmarks/write_reference.py"
    assert Path(PAGE).read_text("utf-8") == write_page(), message


def test_every_public_name_and_every_command_is_on_the_page():
    page = PAGE.read_text("utf-8")
    for name in set(clavilux.__all__) - {"__version__"}:
        assert f"### clavilux.{name}\n" in page
    for command in ("paint", "features", "corpus build", "corpus show", "train all", "evaluate", "bundle show"):
        assert f"### clavilux {command}\n" in page


def test_a_numpy_docstring_becomes_markdown():
    docstring = "Return a sum.\n\nParameters\n----------\na, b : int\n    What is\n    added.\nc\n\nNotes\n-----\nNone."
    wanted = "Return a sum.\n\n**Parameters**\n\n- `a, b` (int): What is added.\n- `c`\n\n**Notes**\n\nNone.\n"
    assert markdown_of(docstring) == wanted


def test_a_signature_has_defaults_and_no_annotations():
    def add(a: int, *, b: "int | None" = 2) -> int:
        return a

    assert signature_of("add", add) == "add(a, *, b=2)"
