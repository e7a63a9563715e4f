"""How a command ends when it is told to: Ctrl-C, SIGTERM, or a terminal that is closed.

The first signal raises `KeyboardInterrupt` where the main thread is, so that open files are removed and workers end.
Code that is compiled, a network that runs or a sound that is decoded does not come back to Python for seconds; commands
that do such work themselves are watched by a thread, which ends the process `GRACE_S` after the signal.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

GRACE_S = 1.0
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
SHOW_CURSOR = b"\x1b[?25h"  # a progress bar hides it

_received: list[int] = []
_watching: list[int] = []  # the end of a pipe that signals are written to
_blocks: list[None] = []  # as many as `interruptible` blocks have been entered


def exit_code() -> int:
    """Return the exit code of a command that a signal has ended: 130 for Ctrl-C; 0 if none has come."""
    return 128 + _received[0] if _received else 0


@contextmanager
def held_back() -> Iterator[None]:
    """Let a signal that comes in this block take effect at its end; a process that is started in it gets none."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def interruptible() -> Iterator[None]:
    """Have the first signal raise `KeyboardInterrupt` in this block, and a second one end the process at once."""
    _received.clear()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if _received:
            _end_now(_received[0])
        _received.append(number)
        raise KeyboardInterrupt

    before = {}
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup, or a shell that runs this in the background
            with suppress(ValueError):  # not in the main thread
                before[number] = signal.signal(number, interrupt)
    hook = sys.unraisablehook

    def without_interrupts(unraisable: Any) -> None:
        if not (_received and issubclass(unraisable.exc_type, KeyboardInterrupt)):
            hook(unraisable)
        elif hasattr(signal, "setitimer"):  # in a destructor or a callback, where it was lost: once more, soon
            number = _received.pop()
            signal.signal(signal.SIGALRM, lambda _, frame: interrupt(number, frame))
            signal.setitimer(signal.ITIMER_REAL, 0.05)

    sys.unraisablehook = without_interrupts
    _blocks.append(None)
    try:
        yield
    finally:
        _blocks.pop()
        if _watching:
            signal.set_wakeup_fd(-1)
            os.close(_watching.pop())
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def watch() -> None:
    """Watch for the signals in a thread, which ends this process if it has not ended `GRACE_S` after one.

    It does nothing outside of `interruptible`, and on Windows, where Python wakes by a socket only. The thread
    keeps this process from being forked later, see `clavilux.system.workers.can_fork`.
    """
    if os.name != "posix" or not _blocks or _watching:
        return
    from threading import Thread

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    except ValueError:  # not in the main thread, where no signal comes either
        os.close(reader)
        os.close(writer)
        return
    _watching.append(writer)
    Thread(target=_end_soon, args=(reader,), name="clavilux signals", daemon=True).start()


def _end_soon(reader: int) -> None:
    import time

    number = -1
    while number not in SIGNALS:
        content = os.read(reader, 1)
        if not content:  # the command is done
            os.close(reader)
            return
        number = content[0]
    time.sleep(GRACE_S)
    _end_now(number)


def _end_now(number: int) -> NoReturn:
    from clavilux.system.files import remove_own_temporaries

    remove_own_temporaries()
    with suppress(OSError):
        if os.isatty(2):
            os.write(2, SHOW_CURSOR)
    os._exit(128 + number)
