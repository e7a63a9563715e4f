"""Show the progress of a long command on stderr: a bar or a status line on a terminal, else a line every 30 s."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Self

from clavilux.cli.output import clear_status, complain, visible

SHOW_AFTER_S = 2.0  # commands that are faster show nothing
_EVERY_S = 0.5  # on a terminal
_LINE_EVERY_S = 30.0  # elsewhere
_CLEAR = b"\r\x1b[K"


class ProgressReporter:
    """A progress bar on stderr, as a context manager; there is no bar if stderr is not a terminal.

    Parameters
    ----------
    description : str
        Text beside the bar.
    prefix : str
        Start of each warning.
    """

    def __init__(self, description: str, *, prefix: str) -> None:
        self._prefix = prefix
        self._bar = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task(description, total=None)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def begin(self, n_files: int) -> None:
        """Set the number of files."""
        if self._bar:
            self._bar.reset(self._task, total=n_files)

    def warn(self, message: str) -> None:
        """Print a message, above the bar if there is one."""
        if self._bar:
            self._bar.console.print(self._prefix + visible(message), markup=False, highlight=False)
        else:
            complain(message, prefix=self._prefix)


class StatusLine:
    """A status line such as ``12/30 songs, 40 s left``, always below other output.

    A timer signal refreshes the line while other processes work. Windows has no timer signal, so the line is refreshed
    only when a song is done. Unlike `ProgressReporter`, this class imports no package, so that painting starts fast.

    Parameters
    ----------
    n_songs : int
        Total number of songs.
    verb : str
        What is done with a single song, such as "painting".
    """

    def __init__(self, n_songs: int, verb: str) -> None:
        self._n_songs, self._verb, self._n_done = n_songs, verb, 0
        self._started = self._line_at = time.monotonic()
        self._is_shown = False

    def text(self, elapsed_s: float) -> str:
        """Return the text of the line, ``elapsed_s`` seconds after the start."""
        if self._n_songs == 1:
            return f"{self._verb}, {_duration(elapsed_s)}"
        done = f"{self._n_done}/{self._n_songs} songs"
        if self._n_done == 0:
            return f"{done}, {_duration(elapsed_s)}"
        return f"{done}, {_duration(elapsed_s / self._n_done * (self._n_songs - self._n_done))} left"

    def advance(self) -> None:
        """Count one more song; if stderr is not a terminal, print a line at most every 30 s."""
        self._n_done += 1
        now = time.monotonic()
        if self._n_done < self._n_songs and not sys.stderr.isatty() and now - self._line_at > _LINE_EVERY_S:
            self._line_at = now
            complain(self.text(now - self._started), prefix="")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the line on a terminal during the ``with`` block, from `SHOW_AFTER_S` seconds after its start."""
        if not sys.stderr.isatty():
            yield
            return
        before = None
        if hasattr(signal, "setitimer"):
            with suppress(ValueError):  # not in the main thread
                before = signal.signal(signal.SIGALRM, self._show)
                signal.setitimer(signal.ITIMER_REAL, SHOW_AFTER_S, _EVERY_S)
        clear_status.append(self._clear)
        try:
            yield
        finally:
            if before is not None:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
            self._clear()
            clear_status.remove(self._clear)

    def _show(self, number: int, frame: FrameType | None) -> None:
        """Print the line, unbuffered, because the signal may come while a stream is being written."""
        line = self.text(time.monotonic() - self._started)
        with suppress(OSError):
            os.write(2, _CLEAR + line.encode())
        self._is_shown = True

    def _clear(self) -> None:
        if self._is_shown:
            self._is_shown = False
            with suppress(OSError):
                os.write(2, _CLEAR)


def _duration(seconds: float) -> str:
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_970 else f"{seconds / 3600:.1f} h"
