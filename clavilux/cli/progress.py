"""Show the progress of a long command on stderr: a status line on a terminal, else occasional lines.

``--quiet`` and ``--no-progress`` turn all of it off.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import click

from clavilux.cli.output import clear_status, complain
from clavilux.system.arguments import counted
from clavilux.system.terminal import can_repaint

SHOW_AFTER_S = 2.0  # commands that are faster show nothing
_EVERY_S = 0.5  # seconds between updates on a terminal
_LINE_EVERY_S = 30.0  # least number of seconds between lines elsewhere
_AGAIN_S = 5.0  # a line that has not changed is written again after this time, because something may have erased it
_CLEAR = b"\r\x1b[K"
_OFF = "clavilux.no_progress"  # key of `click.Context.meta`


def turn_off(context: click.Context, option: click.Parameter, is_off: bool) -> bool:
    """Show no progress if ``is_off``; the callback of the options ``--quiet`` and ``--no-progress``."""
    context.meta[_OFF] = context.meta.get(_OFF, False) or is_off
    return is_off


def is_on() -> bool:
    """Return whether the current command shows its progress."""
    context = click.get_current_context(silent=True)
    return context is None or not context.meta.get(_OFF, False)


class StatusLine:
    """A status line such as ``12/30 songs, 40 s left``, always below other output.

    The time left is estimated from the second song on, from the number of songs per second until the last one was done.
    Songs at the start whose pictures were kept do not count.

    A timer signal refreshes the line while other processes work. Windows has no timer signal and shows no line.

    If there is only one song, the line is ``verb``, such as "painting", and the time since the start. ``noun`` is what
    is counted.
    """

    def __init__(self, n_songs: int, verb: str, noun: str = "songs") -> None:
        self._n_songs, self._verb, self._noun, self._n_done = n_songs, verb, noun, 0
        self._started = self._painting_since = self._last_at = self._line_at = time.monotonic()
        self._n_timed = 0  # songs that were painted in this run
        self._shown, self._shown_at = "", 0.0  # the line on the terminal, and when it was written
        self._is_on = is_on()
        self._is_repainted = self._is_on and can_repaint()

    def text(self, elapsed_s: float) -> str:
        """Return the text of the line, ``elapsed_s`` seconds after the start."""
        if self._n_songs == 1:
            return f"{self._verb}, {_duration(elapsed_s)} so far"
        if self._n_timed < 2:
            return f"{self.done}, {_duration(elapsed_s)} so far"
        left_s = (self._last_at - self._painting_since) / self._n_timed * (self._n_songs - self._n_done)
        left_s -= self._started + elapsed_s - self._last_at  # since the last song
        return f"{self.done}, {_duration(max(1.0, left_s))} left"

    @property
    def done(self) -> str:
        """How many songs are done, such as "12/30 songs"."""
        return f"{self._n_done}/{self._n_songs} {self._noun}"

    def advance(self, n_songs: int = 1, *, is_kept: bool = False) -> None:
        """Count more songs, which were painted or, if ``is_kept``, had their pictures already.

        Where no line can be repainted, print one at most every 30 s.
        """
        self._n_done += n_songs
        now = self._last_at = time.monotonic()
        self._n_timed += 0 if is_kept else n_songs
        if self._n_timed == 0:
            self._painting_since = now
        is_plain = self._is_on and not self._is_repainted
        if is_plain and self._n_done < self._n_songs and now - self._line_at > _LINE_EVERY_S:
            self._line_at = now
            complain(self.text(now - self._started), prefix="")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the line on a terminal during the ``with`` block, from `SHOW_AFTER_S` seconds after its start."""
        if not self._is_repainted:
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
        """Print the line without a buffer, because the signal may arrive while a stream is being written."""
        now = time.monotonic()
        line = self.text(now - self._started)
        if line == self._shown and now - self._shown_at < _AGAIN_S:
            return
        with suppress(OSError):
            os.write(2, _CLEAR + line.encode())
        self._shown, self._shown_at = line, now

    def _clear(self) -> None:
        if self._shown:
            self._shown = ""
            with suppress(OSError):
                os.write(2, _CLEAR)


class FileProgress(StatusLine):
    """A status line that counts files, and messages above it, for `write_features` and `build_corpus`."""

    def __init__(self, verb: str) -> None:
        super().__init__(1, verb, "files")

    def begin(self, n_files: int) -> None:
        """Set the number of files; the time left is estimated from now on."""
        self._n_songs, self._n_done, self._n_timed = n_files, 0, 0
        self._painting_since = self._last_at = time.monotonic()

    def open_source(self, name: str, n_files: int, size_mb: float) -> None:
        """Print a line about a source of files, whose download has ``size_mb`` megabytes."""
        if self._is_on:
            complain(f"{name}: {counted(n_files, 'file')} ({size_mb:.0f} MB)", prefix="")

    def warn(self, message: str) -> None:
        """Print a message."""
        complain(message)


@contextmanager
def told_of_interruption(line: StatusLine, n_songs: int) -> Iterator[None]:
    """If the ``with`` block is interrupted, say how many of several songs are done, and how to continue."""
    try:
        yield
    except KeyboardInterrupt:
        if n_songs > 1:
            complain(f"interrupted after {line.done}; the same command with --resume continues")
        raise


def _duration(seconds: float) -> str:
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_970 else f"{seconds / 3600:.1f} h"
