"""The command ``clavilux``.

Sub-commands are imported when they are called. Their one-line descriptions are kept here, so that ``clavilux --help``
is fast.
"""

from __future__ import annotations

import atexit
import errno
import gc
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from clavilux.cli import output
from clavilux.errors import ClaviluxError
from clavilux.system import signals
from clavilux.system.files import NO_ROOM
from clavilux.version import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


@dataclass(frozen=True)
class _Entry:
    """A sub-command in ``clavilux --help``: the function ``NAME`` in the module ``clavilux.cli.NAME``."""

    help: str
    section: str
    is_watched: bool = True  # whether it computes in this process, where libraries may delay Ctrl-C


_PAINT, _TRAIN = "Paint", "Train and measure"  # sections

COMMANDS = {
    "paint": _Entry("Paint songs: one abstract picture per song.", _PAINT, is_watched=False),
    "controls": _Entry(
        "Write the colours, marks and layout of a picture to a file for you to edit.", _PAINT, is_watched=False
    ),
    "explain": _Entry("Describe what was measured in a song and what was painted.", _PAINT),
    "marks": _Entry("Write a picture that shows all kinds of marks, figures and surfaces.", _PAINT),
    "features": _Entry(
        "Measure tempo, key, loudness and more of all songs in a folder, and write a table.", _PAINT, is_watched=False
    ),
    "corpus": _Entry("Download the public pictures and music that the networks were trained on.", _TRAIN),
    "train": _Entry("Train the networks on your own pictures and music. Needs the extra `train`.", _TRAIN),
    "evaluate": _Entry("Measure trained networks on unseen music and art. Needs the extra `eval`.", _TRAIN),
    "study": _Entry("Test whether listeners can tell which picture belongs to which music.", _TRAIN),
    "bundle": _Entry("Show or check a bundle (a folder of trained networks).", _TRAIN),
}

# System errors that the user can fix: disk space, permissions, open files, memory.
_FAULTS_OF_THE_SYSTEM = (
    *(*NO_ROOM, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO),
)

_MOST_WANTED = """\
clavilux paint song.mp3                            paint a song: writes song.png
clavilux paint album/ -o pictures/                 paint every song of a folder
clavilux paint song.mp3 -o cover.jpg --size 3000   a cover for music shops

`clavilux --help` lists all commands, `clavilux paint --help` all options."""

_COMMAND_HINTS = {
    "describe": "To describe a song and its picture: clavilux explain SONG",
    "help": "For help: clavilux --help, or clavilux paint --help",
    "version": "For the version: clavilux -V",
    "generate_image": "Its successor: clavilux paint SONG",
    "train_audio_vae": "Its successor: clavilux train audio-vae",
    "train_image_vae": "Its successor: clavilux train image-vae",
    "train_mapping_network": "Its successor: clavilux train mapping",
    **dict.fromkeys(("repaint", "again"), "To paint a picture again: clavilux paint --again PICTURE"),
    "embed": "To make a picture the cover in a song's tags: clavilux paint SONG --again PICTURE --embed",
    **dict.fromkeys(("alt", "alt_text"), "To write a description beside a picture: clavilux paint SONG --alt-file"),
    "info": "To print how a picture was painted: clavilux explain PICTURE",
    "record": "To print the record in a picture: clavilux explain PICTURE --record",
}  # word that users tried as a command -> what to type

_INTERRUPTED = 130  # exit code after Ctrl-C
_LEAST_LIKENESS = 0.75  # of names in "Did you mean"; 1 for equal names


class Fault(click.ClickException):
    """An error that the user can fix: one line on stderr, exit code 1."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message on stderr."""
        output.complain(self.message)


class Commands(click.Group):
    """A group that imports a sub-command only when it is called.

    Errors that the user can fix are printed as one line, without a traceback.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the sub-commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the sub-command with this name; return None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        if COMMANDS[cmd_name].is_watched or sys.platform != "linux":
            signals.watch()
        with _one_line():
            command: click.Command = getattr(import_module(f"clavilux.cli.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the name, the sub-command and the rest of the arguments; a `UsageError` for no command has a hint."""
        name = args[0]
        if name not in COMMANDS:
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, 1, _LEAST_LIKENESS)
            hint = _COMMAND_HINTS.get(name.removesuffix(".py").replace("-", "_")) or (
                f"Did you mean '{near[0]}'?" if near else None
            )
            if os.path.exists(name):
                from clavilux.images import is_picture

                hint = f"To paint it: clavilux paint {'--again ' * is_picture(Path(name))}{shlex.quote(name)}"
            if hint is not None:
                raise click.UsageError(f"No such command '{name}'. {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names and descriptions of the sub-commands into the help text, in sections."""
        for section in (_PAINT, _TRAIN):
            with formatter.section(section):
                formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items() if entry.section == section])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the sub-commands and options that begin with ``incomplete``."""
        # From `COMMANDS`, because importing all sub-commands takes seconds.
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=entry.help) for name, entry in COMMANDS.items() if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the sub-command."""
        with _one_line():
            return super().invoke(ctx)


@contextmanager
def _one_line() -> Iterator[None]:
    """Turn errors that the user can fix, such as a missing extra, into a `Fault`; other errors pass unchanged."""
    try:
        yield
    except ClaviluxError as error:
        raise Fault(str(error)) from error
    except KeyboardInterrupt:
        raise click.exceptions.Exit(signals.exit_code() or _INTERRUPTED) from None
    except click.ClickException as error:  # wrong usage: the message quotes the arguments
        if getattr(error, "possibilities", None):
            _drop_unlike(error)
        error.message = output.visible(error.message, keep="\n\t")  # type: ignore[misc]
        raise
    except OSError as error:
        if error.filename is None or error.errno not in _FAULTS_OF_THE_SYSTEM:
            raise
        raise Fault(f"{os.fsdecode(error.filename)}: {error.strerror}") from error
    except ModuleNotFoundError as error:
        from clavilux.system.extras import find_extra, missing_extra

        context = click.get_current_context(silent=True)
        package = (error.name or "").partition(".")[0]
        missing = missing_extra(error, find_extra(package, context.invoked_subcommand if context else None))
        if missing is None:
            raise
        raise Fault(str(missing)) from error


def _drop_unlike(error: Any) -> None:
    """Remove names from "Did you mean" that share only a few letters with the name that the user gave.

    Click compares names with their dashes, so that any two short options are alike.
    """
    from difflib import get_close_matches

    name = str(getattr(error, "option_name", None) or getattr(error, "command_name", ""))
    by_word = {possibility.strip("-"): possibility for possibility in error.possibilities}
    error.possibilities = [
        by_word[word] for word in get_close_matches(name.strip("-"), by_word, cutoff=_LEAST_LIKENESS)
    ]


def _show_version(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from clavilux.painter.compiled import name_painter

        output.say(f"clavilux {__version__}, painting by {name_painter()}")
        context.exit()


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 success; 1 something failed (stderr has a line for each failure); 2 wrong usage; "
    "129 ended because the terminal was closed, 130 interrupted by Ctrl-C, 143 ended by SIGTERM.",
)
@click.option(
    "-V",
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Paint music: a song in, an abstract picture out.

    \b
    clavilux paint nocturne.flac               writes nocturne.png
    clavilux paint album/ -o pictures/         one picture per song
    clavilux paint nocturne.flac --size 4096   the same picture, larger
    """  # noqa: D301  (click: \b keeps line breaks)
    if ctx.invoked_subcommand is None:
        output.say(_MOST_WANTED)


def main() -> None:
    """Run the command ``clavilux``, and exit with its exit code."""
    # NumPy reads this when it is first imported, here and in worker processes. More threads do not help small matrices.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Fewer garbage collections during imports save 0.01 s, and no collection at exit saves 0.02 s. Imported modules are
    # never freed.
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    output.set_up()
    with signals.interruptible():
        code = _run()
    sys.exit(code or output.exit_code())


def _run() -> int:
    """Run the command and return its exit code."""
    try:
        return cli.main(prog_name="clavilux", standalone_mode=False) or 0
    except click.ClickException as error:
        with suppress(OSError):  # stderr is closed
            error.show()
        return error.exit_code
    except click.Abort:
        return signals.exit_code() or _INTERRUPTED
    except OSError as error:
        if error.errno not in NO_ROOM or error.filename is not None:
            raise
        output.cannot_write(error)  # click prints the text of --help itself
        return 1
    except BaseException:
        if signals.exit_code():  # an interrupt during an import may raise any error
            return signals.exit_code()
        raise
