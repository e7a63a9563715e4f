"""The command ``clavilux``.

Sub-commands are imported when they are called. Their one-line descriptions are kept here, so that ``clavilux --help``
is fast.
"""

from __future__ import annotations

import atexit
import errno
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
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
class _Home:
    """Module and name of a sub-command, and its description in ``clavilux --help``."""

    module: str
    name: str
    help: str
    is_watched: bool = True  # computes in this process, where libraries may delay Ctrl-C
    section: str = "Train and measure"  # of the help text


COMMANDS = {
    "paint": _Home("clavilux.cli.paint", "paint", "Paint songs: one abstract picture per song.", False, "Paint"),
    "controls": _Home(
        "clavilux.cli.controls",
        "controls",
        "Write the colours, marks and layout of a picture as a file to edit.",
        False,
        "Paint",
    ),
    "explain": _Home(
        "clavilux.cli.explain",
        "explain",
        "Describe what was measured in a song and what was painted.",
        section="Paint",
    ),
    "features": _Home(
        "clavilux.cli.features",
        "features",
        "Measure tempo, key, loudness and more of all songs in a folder, as a table.",
        False,
        "Paint",
    ),
    "corpus": _Home(
        "clavilux.cli.corpus", "corpus", "Download the public pictures and music that the networks were trained on."
    ),
    "train": _Home(
        "clavilux.cli.train", "train", "Train the networks on your own pictures and music. Needs the extra `train`."
    ),
    "evaluate": _Home(
        "clavilux.cli.evaluate",
        "evaluate_command",
        "Measure trained networks on unseen music and art. Needs the extra `eval`.",
    ),
    "study": _Home("clavilux.cli.study", "study", "Ask listeners whether pictures belong to their music."),
    "bundle": _Home("clavilux.cli.bundle", "bundle", "Show or check a bundle (a folder of trained networks)."),
    "marks": _Home("clavilux.cli.marks", "marks", "Write a picture that shows all kinds of marks and all surfaces."),
}

# System errors that the user can fix: disk space, permissions, open files, memory.
FAULTS_OF_THE_SYSTEM = (
    *(*NO_ROOM, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO),
)


MOST_WANTED = """\
clavilux paint song.mp3                            paint a song: writes song.png
clavilux paint album/ -o pictures/                 paint every song of a folder
clavilux paint song.mp3 -o cover.jpg --size 3000   a cover for music shops

`clavilux --help` lists all commands, `clavilux paint --help` all options."""

INTERRUPTED = 130  # exit code after Ctrl-C


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
        """Return the sub-command of this name, which is imported now; None if there is none."""
        home = COMMANDS.get(cmd_name)
        if home is None:
            return None
        if home.is_watched or sys.platform != "linux":
            signals.watch()
        with _one_line():
            command = getattr(import_module(home.module), home.name)
        assert isinstance(command, click.Command), f"{home.module}.{home.name} is no click command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names and descriptions of the sub-commands into the help text, in sections."""
        for section in dict.fromkeys(home.section for home in COMMANDS.values()):
            with formatter.section(section):
                formatter.write_dl([(name, home.help) for name, home in COMMANDS.items() if home.section == section])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the sub-commands and options that begin with ``incomplete``."""
        # From `COMMANDS`, because importing all sub-commands takes seconds.
        from click.shell_completion import CompletionItem

        names = [CompletionItem(name, help=home.help) for name, home in COMMANDS.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the sub-command."""
        with _one_line():
            return super().invoke(ctx)


@contextmanager
def _one_line() -> Iterator[None]:
    """Turn errors that the user can fix, such as a missing extra, into a `Fault`; others keep their traceback."""
    try:
        yield
    except ClaviluxError as error:
        raise Fault(str(error)) from error
    except KeyboardInterrupt:
        raise click.exceptions.Exit(signals.exit_code() or INTERRUPTED) from None
    except click.ClickException as error:  # wrong usage: the message quotes the arguments
        error.message = output.visible(error.message, keep="\n\t")  # type: ignore[misc]
        raise
    except OSError as error:
        if error.filename is None or error.errno not in FAULTS_OF_THE_SYSTEM:
            raise
        raise Fault(f"{os.fsdecode(error.filename)}: {error.strerror}") from error
    except ModuleNotFoundError as error:
        from clavilux.cli.extras import find_extra, install_command

        package = (error.name or "").partition(".")[0]
        context = click.get_current_context(silent=True)
        extra = find_extra(package, context.invoked_subcommand if context else None)
        if extra is None:
            raise
        fault = "not installed" if error.name == package else "too old"  # the package lacks a module
        raise Fault(f"this needs {package}, which is {fault}: {install_command(extra)}") from error


def _show_version(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from clavilux.painter.compiled import name_painter

        output.say(f"clavilux {__version__}, painting by {name_painter()}")
        context.exit()


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 success; 1 something failed (stderr says what, one line each); 2 wrong usage; "
    "130 interrupted by Ctrl-C, 143 ended by SIGTERM.",
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
        output.say(MOST_WANTED)


def main() -> None:
    """Run the command ``clavilux``, and exit with its exit code."""
    # Read when NumPy is first imported, here and in worker processes. More threads do not help small matrices.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Fewer garbage collections during imports save 0.01 s, none at exit 0.02 s; imported modules are never freed.
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
        return signals.exit_code() or INTERRUPTED
    except OSError as error:
        if error.errno not in NO_ROOM or error.filename is not None:
            raise
        output.cannot_write(error)  # click prints the text of --help itself
        return 1
    except BaseException:
        if signals.exit_code():  # an interrupt during an import may raise any error
            return signals.exit_code()
        raise
