"""The generated reference of commands and of the Python package."""

import re
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the commands of training import PyTorch")

from write_reference import PAGE, markdown_of, signature_of, write_page

import clavilux
from clavilux.audio.descriptors import DESCRIPTORS

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


def test_lists_in_notes_stay_lists():
    notes = "Things:\n\n* one: more\n  of it;\n* two.\n\nAfterwards."
    assert markdown_of(f"Do it.\n\nNotes\n-----\n{notes}") == f"Do it.\n\n**Notes**\n\n{notes}\n"
    assert "- `A picture depends" not in PAGE.read_text("utf-8")


def test_every_descriptor_is_on_the_page_with_unit_and_range():
    rows = re.findall(
        r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \| .+ \| (yes|no) \|$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    assert [row[0] for row in rows] == list(DESCRIPTORS)
    found = {name: (about, unit, limits, used) for name, about, unit, limits, used in rows}
    assert found["pulse_clarity"][1:] == ("none", "0 to 1", "yes")
    assert found["loudness"][2:] == ("-70 and more", "no")
    assert found["valence"] == (DESCRIPTORS["valence"].about, "standard deviations", "any number", "yes")


def test_a_signature_has_defaults_and_no_annotations():
    def add(a: int, *, b: "int | None" = 2) -> int:
        return a

    assert signature_of("add", add) == "add(a, *, b=2)"
