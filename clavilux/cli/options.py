"""Options that several commands share, and help texts with options in sections."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clavilux.cli.progress import turn_off
from clavilux.errors import PictureError
from clavilux.sizes import Size, read_size

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

OTHERS, ADVANCED = "Options", "Advanced"
# parameters whose second value would silently replace the first
_ONCE = ("output", "near", "again", "palette", "palette_from")
_FILE_SUFFIXES = frozenset({".csv", ".html", ".json", ".npy", ".tsv", ".txt", ".zip"})


class _Path(click.Path):
    """A path that is not empty: as a path, "" would be the current folder, which nobody means."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if value == "":
            self.fail("the name is empty.", param, ctx)
        return super().convert(value, param, ctx)


PATH = _Path(path_type=Path)
FILE = _Path(path_type=Path, dir_okay=False)
FOLDER = _Path(path_type=Path, file_okay=False)
EXISTING_FOLDER = _Path(path_type=Path, file_okay=False, exists=True)

AnyCommand = Callable[..., Any]
Decorator = Callable[[AnyCommand], AnyCommand]


class SectionOption(click.Option):
    """An option that is listed in a section of `--help`, together with its default."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **{"show_default": True, **kwargs})
        self.section = section


class CommandWithSections(click.Command):
    """A command whose `--help` shows options in sections.

    Sections are in the order of their first options, except that "Options" and "Advanced" come last.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; raise a `UsageError` if an option of `_ONCE` is given more than once."""
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        for parameter in self.params:
            if parameter.name in _ONCE and given.count(parameter) > 1 and not ctx.resilient_parsing:
                raise click.UsageError(f"{parameter.opts[0]} is given twice; give it once.", ctx)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in sections."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                section = parameter.section if isinstance(parameter, SectionOption) else OTHERS
                sections.setdefault(section, []).append(record)
        for title in sorted(sections, key=lambda title: (title == ADVANCED, title == OTHERS)):
            with formatter.section(title):
                formatter.write_dl(sections[title])


class Real(click.types.FloatParamType):
    """The type of an option whose value is a number; messages call it a number, not a "float"."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; raise `BadParameter` if it is none."""
        try:
            return float(super().convert(value, param, ctx))
        except click.BadParameter:
            hint = "; write a point instead of the comma" if "," in str(value) else ""
            self.fail(f"{value!r} is not a number, such as 0.5{hint}", param, ctx)


@contextmanager
def _wrong_size() -> Iterator[None]:
    try:
        yield
    except PictureError as error:
        raise click.BadParameter(str(error), param_hint="'--size'") from error


def parse_size(text: str) -> Size:
    """Return the value of ``--size`` (see `clavilux.sizes.read_size`); raise `BadParameter` if it is wrong."""
    # Not a subclass of `click.ParamType`, which is generic only from click 8.4 on.
    with _wrong_size():
        return read_size(text)


def resolve_size(size: Size, dpi: float | None) -> tuple[tuple[int, int], float]:
    """Return `Size.resolve` for the values of ``--size`` and ``--dpi``; raise `BadParameter` if it fails."""
    with _wrong_size():
        return size.resolve(dpi)


class WholeRange(click.IntRange):
    """The type of an option whose value is a whole number in a range; messages do not call it an "integer range"."""

    name = "whole number"


class FiniteRange(click.FloatRange):
    """The type of an option whose value is a finite number in a range; `click.FloatRange` would accept ``nan``."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; raise `BadParameter` if it is not finite or out of range."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


def option_in(section: str) -> Callable[..., Decorator]:
    """Return a function like `click.option` for options in a section of `--help`."""
    return partial(click.option, cls=SectionOption, section=section)


option, advanced_option = option_in(OTHERS), option_in(ADVANCED)


def names_or_path(*names: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return the completion of a value that is one of some names or the path of a file or folder.

    Shells complete paths of options whose type is a path by themselves.
    """

    def complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
        return found or [CompletionItem(incomplete, type="file")]

    return complete


bundle_names = names_or_path("default", "classic")


def combine(*options: Decorator) -> Decorator:
    """Return a decorator that adds several options to a command, in this order."""

    def add(command: AnyCommand) -> AnyCommand:
        for decorate in reversed(options):
            command = decorate(command)
        return command

    return add


def bundle_option(name: str = "bundle", *, section: str = ADVANCED, use: str = "", note: str = "") -> Decorator:
    """Return the option ``--bundle``, whose value is passed as the parameter ``name``.

    In the help text, ``use`` follows the words "Trained networks", and the sentence ``note`` comes at the end.
    """
    about = (
        f"Trained networks{use}: `default`, `classic` (a baseline that paints nearly the same grey-brown picture for "
        "every song and cannot be steered), or a folder that `clavilux train` wrote."
    )
    text = f"{about} {note}".strip()
    return option_in(section)(
        "--bundle", name, default="default", metavar="NAME|DIR", shell_complete=bundle_names, help=text
    )


SEED_MOVES = "moves single marks and strokes, changes figures and accent colour, and shifts other colours slightly"
"""What another seed changes in a picture, for the help of ``--seed``."""


def seed_option(help: str, *, section: str = OTHERS) -> Decorator:
    """Return the option ``--seed``, a whole number of 0 or more; ``help`` says what changes with another seed."""
    return option_in(section)("--seed", type=WholeRange(0), default=0, metavar="N", help=f"Random seed: {help}")


def jobs_option(*, section: str = OTHERS, use: str = "", default: str = "one per core") -> Decorator:
    """Return the option ``--jobs``: a number of processes, or None; ``default`` says what None means."""
    text = f"Number of worker processes{use}; more processes are faster and need more memory."
    return option_in(section)("--jobs", type=WholeRange(1), show_default=default, metavar="N", help=text)


def no_progress_option(*, section: str = OTHERS) -> Decorator:
    """Return the option ``--no-progress``, which turns progress off; the function of the command gets no value."""
    return option_in(section)(
        "--no-progress",
        is_flag=True,
        expose_value=False,
        callback=turn_off,
        help="Do not show progress, for example if you use a screen reader.",
    )


def file_option(help: str, *, default: Path | None = None) -> Decorator:
    """Return the option ``--output``, also ``-o``, for the file that a command writes."""
    return option("-o", "--output", type=FILE, default=default, metavar="FILE", help=help)


def folder_option(help: str) -> Decorator:
    """Return the required option ``--output``, also ``-o``, for the folder that a command writes."""
    return option("-o", "--output", required=True, type=FOLDER, metavar="DIR", callback=_refuse_file_name, help=help)


def _refuse_file_name(ctx: click.Context, parameter: click.Parameter, folder: Path) -> Path:
    """Return the value of ``-o``; raise a `BadParameter` if it names a new folder like a file, such as ``x.csv``."""
    if folder.suffix.lower() in _FILE_SUFFIXES and not os.path.isdir(folder):
        raise click.BadParameter(
            f"{folder} is the name of a file, and a folder is written; give a folder, such as "
            f"{folder.with_suffix('')}{os.sep}",
            param_hint="-o",
        )
    return folder


def is_given(ctx: click.Context, name: str) -> bool:
    """Return whether the user gave a value for a parameter of the command."""
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def check_jobs(ctx: click.Context) -> None:
    """Raise a `UsageError` if the user gave both ``--jobs`` and ``--scheduler``."""
    if ctx.params["jobs"] is not None and ctx.params["scheduler"] is not None:
        raise click.UsageError(
            "--jobs sets processes of this machine; a cluster uses the workers it has. Give --jobs or --scheduler."
        )


def check_suffix(output: Path | None, *suffixes: str) -> None:
    """Raise a `BadParameter` if the value of ``-o`` has none of these extensions; case does not matter."""
    if output is not None and output.suffix.lower() not in suffixes:
        raise click.BadParameter(f"{output} does not end in {' or '.join(suffixes)}", param_hint="-o")
