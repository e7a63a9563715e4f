"""Pages that a benchmark writes a part of: what it printed stands between two marks, and words of people around it."""

from __future__ import annotations

import os
from pathlib import Path


def marks_of(script: str) -> tuple[str, str]:
    """Marks before and behind what a script of this folder writes."""
    return f"<!-- written by benchmarks/{script}.py from here -->", "<!-- to here -->"


def put_text(path: Path, text: str, marks: tuple[str, str]) -> None:
    """Write a text between the marks of a page.

    Raises
    ------
    SystemExit
        The page has no such place.
    """
    page = path.read_text("utf-8")
    begin, end = marks
    if begin not in page or end not in page:
        raise SystemExit(f"{path} has no place for the text; give a page with {begin} and {end}")
    before, after = page.partition(begin)[0], page.partition(end)[2]
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    temporary.write_text(f"{before}{begin}\n\n{text}\n{end}{after}", "utf-8")
    os.replace(temporary, path)
