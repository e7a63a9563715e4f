"""Write the output of a benchmark between two marks of a page of the documentation."""

from __future__ import annotations

import os
from pathlib import Path


def marks_of(script: str) -> tuple[str, str]:
    """Return the marks before and after the output of a script of this folder."""
    return f"<!-- written by benchmarks/{script}.py from here -->", "<!-- to here -->"


def put_text(path: Path, text: str, marks: tuple[str, str]) -> None:
    """Replace the text between the marks of a page.

    Raises
    ------
    SystemExit
        The page does not have the marks.
    """
    page = path.read_text("utf-8")
    begin, end = marks
    if begin not in page or end not in page:
        raise SystemExit(f"{path} has no place for the text: it needs the lines {begin} and {end}")
    before, after = page.partition(begin)[0], page.partition(end)[2]
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    temporary.write_text(f"{before}{begin}\n\n{text}\n{end}{after}", "utf-8")
    os.replace(temporary, path)
