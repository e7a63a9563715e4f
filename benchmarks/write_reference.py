"""Write docs/reference.md: every command with its help text, every public name of the Python package, all descriptors.

    python benchmarks/write_reference.py

Needs the extras `train` and `eval`, which some commands import. `tests/test_reference.py` checks that the page is
current.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import click

import clavilux
from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.cli import cli
from clavilux.measures.crossmodal import CORRESPONDENCES

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference.md"
WIDTH = 100  # columns of the help texts
PROSE = ("Notes", "References", "See Also", "Warnings")  # sections without entries: their text is Markdown already
INTRODUCTION = """\
<!-- Written by benchmarks/write_reference.py; do not edit. -->
# Which commands, options and functions are there?

The text of every `--help`, then the docstrings of everything that `import clavilux` offers, then the
[descriptors](#descriptors) of a song and the [correspondences](#correspondences). `python -m clavilux` is the same as
`clavilux`.
"""
DESCRIPTORS_TEXT = """\
## Descriptors

What is measured in a song, with the names that the columns of `descriptors.csv`, `Song.descriptors` and the entry
`descriptors` of `--json` have. In `descriptors.csv`, columns whose names end in `_1` and `_2`, such as `tempo_1` and
`tempo_2`, are the same measurements of the first and the second half of the song. All are finite for every sound,
including silence.

| descriptor | definition | unit | range | method | used for the picture |
|---|---|---|---|---|---|
"""

CORRESPONDENCES_TEXT = """\
## Correspondences

What the mapping makes correspond in sound and picture: the weighted sum of standardised descriptors, and that of
standardised image features, should rise together. How strongly they do on held-out songs is in
[measures.md](measures.md#what-does-the-bundle-default-reach); on validation songs, `clavilux bundle show` prints it
(Spearman correlations).

| correspondence | in the sound | in the picture | source |
|---|---|---|---|
"""


def write_page() -> str:
    """Return the page as Markdown."""
    parts = [INTRODUCTION, "## Commands\n"]
    for path, text in command_helps(cli, ("clavilux",)):
        parts.append(f"### {path}\n\n```text\n{text.rstrip()}\n```\n")
    parts.append("## Python\n")
    for name in clavilux.__all__:
        if not name.startswith("__"):
            parts += describe(f"clavilux.{name}", getattr(clavilux, name))
    parts.append(DESCRIPTORS_TEXT + "\n".join(descriptor_rows()) + "\n")
    parts.append(CORRESPONDENCES_TEXT + "\n".join(correspondence_rows()) + "\n")
    return "\n".join(parts)


def correspondence_rows() -> Iterator[str]:
    """Yield a row of a Markdown table for each cross-modal correspondence."""
    for pair in CORRESPONDENCES:
        sums = (
            ", ".join(f"{name} ({weight:g})" for name, weight in side.items())
            for side in (pair.descriptors, pair.image_features)
        )
        yield f"| {pair.name.replace('_', ' ')} | {' | '.join(sums)} | {pair.source} |"


def descriptor_rows() -> Iterator[str]:
    """Yield a row of a Markdown table for each descriptor."""
    for name, descriptor in DESCRIPTORS.items():
        low, high = (round(limit, 2) for limit in descriptor.limits)
        if math.isinf(high):
            limits = "any number" if math.isinf(low) else f"{low:g} and more"
        else:
            limits = f"{low:g} to {high:g}"
        unit = "none" if descriptor.unit == "1" else descriptor.unit
        used = "yes" if descriptor.plain else "no"
        yield f"| `{name}` | {descriptor.about} | {unit} | {limits} | {descriptor.source} | {used} |"


def command_helps(command: click.Command, path: tuple[str, ...], parent: click.Context | None = None) -> Iterator:
    """Yield the name and the help text of a command and of all commands below it."""
    context = click.Context(command, parent, path[-1], terminal_width=WIDTH, max_content_width=WIDTH)
    context.help_option_names = ["-h", "--help"]
    yield " ".join(path), command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None, f"{name} is listed by its group"
            if not child.hidden:
                yield from command_helps(child, (*path, name), context)


def describe(name: str, thing: Any) -> list[str]:
    """Return the signature and the docstring of a function or a class, and those of its public methods."""
    parts = [
        f"### {name}\n",
        f"```text\n{signature_of(name, thing)}\n```\n",
        markdown_of(inspect.getdoc(thing) or ""),
    ]
    for member, value in vars(thing).items() if inspect.isclass(thing) else ():
        function = inspect.unwrap(getattr(value, "__func__", value))
        is_value = isinstance(value, property | cached_property)
        if member.startswith("_") or not (inspect.isfunction(function) or is_value):
            continue
        short = f"{name.rpartition('.')[2]}.{member}"
        signature = short if is_value else signature_of(short, function)
        text = value.func.__doc__ if isinstance(value, cached_property) else inspect.getdoc(value)
        parts += [f"#### `{signature}`\n", markdown_of(inspect.cleandoc(text or ""))]
    return parts


def signature_of(name: str, thing: Any) -> str:
    """Return a call such as `paint(song, *, size=1024)`: names and defaults, without annotations."""
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return f"{name}(message)"
    signature = inspect.signature(thing)
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name not in ("self", "cls")
    ]
    return name + str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


def markdown_of(docstring: str) -> str:
    """Return a docstring in the NumPy style as Markdown: sections as bold lines, their entries as lists."""
    sections = re.split(r"^(\w[\w ]*)\n-{3,}\n", docstring, flags=re.MULTILINE)
    parts = [sections[0].strip() + "\n"]
    for title, body in zip(sections[1::2], sections[2::2], strict=True):
        parts.append(f"**{title}**\n")
        if title == "Examples":
            example = body.strip()
            parts.append(f"```python\n{example}\n```\n")
        elif title not in PROSE and re.search(r"^\s", body, flags=re.MULTILINE):
            parts.append("\n".join(list_entries(body)) + "\n")
        else:
            parts.append(body.strip() + "\n")
    return "\n".join(parts)


def list_entries(body: str) -> Iterator[str]:
    """Yield the entries of a section as items of a list: `name` (type): description."""
    for entry in re.split(r"\n(?=\S)", body.strip()):
        head, _, text = entry.partition("\n")
        name, _, kind = head.partition(" : ")
        description = " ".join(text.split())
        yield f"- `{name}`" + (f" ({kind})" if kind else "") + (f": {description}" if description else "")


if __name__ == "__main__":
    PAGE.write_text(write_page(), "utf-8")
