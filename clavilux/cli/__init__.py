"""The command ``clavilux``: its sub-commands, each imported when it is called.

``clavilux --help`` imports nothing of them: their one-line descriptions stand here.
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
from typing import IO, Any

import click

from clavilux.cli import output
from clavilux.errors import ClaviluxError
from clavilux.system import signals
from clavilux.system.files import NO_ROOM
from clavilux.version import __version__


@dataclass(frozen=True)
class _Home:
    """Where a sub-command lives, and what ``clavilux --help`` says of it."""

    module: str
    name: str
    help: str
    is_watched: bool = True  # whether it works in this process itself, and so may be deaf to Ctrl-C for a while


COMMANDS = {
    "paint": _Home(
        "clavilux.cli.paint", "paint", "Paint songs: one picture a song, the same at every size.", is_watched=False
    ),
    "features": _Home(
        "clavilux.cli.features",
        "features",
        "Measure a folder of songs: feature files and descriptors.csv.",
        is_watched=False,
    ),
    "corpus": _Home("clavilux.cli.corpus", "corpus", "Rebuild the training data from its public sources."),
    "train": _Home("clavilux.cli.train", "train", "Train the networks. Needs more packages, which it names."),
    "evaluate": _Home(
        "clavilux.cli.evaluate",
        "evaluate_command",
        "Measure a bundle on held-out songs and art. Needs more packages, which it names.",
    ),
    "bundle": _Home("clavilux.cli.bundle", "bundle", "Show or verify a bundle of trained networks."),
}

# Errors of the system that the user can mend: no room, no right, no more open files or memory.
FAULTS_OF_THE_SYSTEM = (
    *(*NO_ROOM, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO),
)


INTERRUPTED = 130  # exit code, of a command that Ctrl-C ended


class Fault(click.ClickException):
    """A fault of the user's making: one line, exit code 1."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        output.complain(self.message)


class Commands(click.Group):
    """A group that imports a sub-command when it is called, and turns the user's faults into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
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
        with formatter.section("Commands"):
            formatter.write_dl([(name, home.help) for name, home in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        with _one_line():
            return super().invoke(ctx)


@contextmanager
def _one_line() -> Iterator[None]:
    """Turn what the user can mend, a missing extra too, into a `Fault`; all else keeps its traceback."""
    try:
        yield
    except ClaviluxError as error:
        raise Fault(str(error)) from error
    except KeyboardInterrupt:
        raise click.exceptions.Exit(signals.exit_code() or INTERRUPTED) from None
    except click.ClickException as error:  # of wrong usage, which quotes what was given
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
        fault = "not installed" if error.name == package else "too old"  # a module of it is missing
        raise Fault(f"this needs {package}, which is {fault}: {install_command(extra)}") from error


def _show_version(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from clavilux.painter.compiled import name_painter

        output.say(f"clavilux {__version__}, painting by {name_painter()}")
        context.exit()


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 something could not be done (one line on stderr says what), 2 wrong usage, "
    "130 ended by Ctrl-C.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """A song in, an abstract picture out.

    \b
    clavilux paint nocturne.flac               nocturne.png
    clavilux paint album/ -o pictures/         one picture a song
    clavilux paint nocturne.flac --size 4096   the same picture, larger
    """


def main() -> None:
    """Run the command line; the entry point of the package."""
    # Read when NumPy is first imported, here and in worker processes: matrices are small, more threads only wait.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # The objects of imported modules stay to the end: 0.01 s are saved where they are not looked through again and
    # again while they come, and 0.02 s where they are not looked through once more before the process ends.
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
        with suppress(OSError):  # nobody reads stderr
            error.show()
        return error.exit_code
    except click.Abort:
        return signals.exit_code() or INTERRUPTED
    except OSError as error:
        if error.errno not in NO_ROOM or error.filename is not None:
            raise
        output.cannot_write(error)  # the text of --help, which click prints
        return 1
    except BaseException:
        if signals.exit_code():  # an interrupt in the middle of an import may come out as any error
            return signals.exit_code()
        raise
