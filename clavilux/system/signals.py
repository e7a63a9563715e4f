"""End a command on a signal: Ctrl-C, SIGTERM, or SIGHUP when the terminal is closed.

The first signal raises `KeyboardInterrupt` in the main thread, so that temporary files are removed and workers end. But
compiled code, such as networks and decoders, may delay the exception for seconds. So commands that run compiled code in
the main thread call `watch`, which starts a thread that ends the process `GRACE_S` seconds after the signal.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

GRACE_S = 1.0  # seconds
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
SHOW_CURSOR = b"\x1b[?25h"  # a progress bar hides it

_received: list[int] = []
_watching: list[int] = []  # write end of the pipe through which the thread of `watch` receives signal numbers
_blocks: list[None] = []  # one entry for each active `interruptible` block


def exit_code() -> int:
    """Return the exit code after a signal, such as 130 for Ctrl-C; 0 without a signal."""
    return 128 + _received[0] if _received else 0


@contextmanager
def held_back() -> Iterator[None]:
    """Block `SIGNALS` during the ``with`` block; a process that is started in the block begins with them blocked."""
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
    """During the ``with`` block, the first signal raises `KeyboardInterrupt`, and a second signal ends the process."""
    _received.clear()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if _received:
            _end_now(_received[0])
        _received.append(number)
        raise KeyboardInterrupt

    before = {}
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # ignored by nohup or a background shell
            with suppress(ValueError):  # not in the main thread
                before[number] = signal.signal(number, interrupt)
    hook = sys.unraisablehook

    def without_interrupts(unraisable: Any) -> None:
        if not (_received and issubclass(unraisable.exc_type, KeyboardInterrupt)):
            hook(unraisable)
        elif hasattr(signal, "setitimer"):  # it was lost in a destructor or a callback: raise it again
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
    """Start a thread that ends this process if it is still running `GRACE_S` seconds after a signal.

    This function does nothing outside an `interruptible` block, outside the main thread, or on Windows. A process with
    this thread can no longer be forked; see `clavilux.system.workers.can_fork`.
    """
    if os.name != "posix" or not _blocks or _watching:
        return
    from threading import Thread

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    except ValueError:  # not in the main thread, which alone receives signals
        os.close(reader)
        os.close(writer)
        return
    _watching.append(writer)
    Thread(target=_end_soon, args=(reader,), name="clavilux signals", daemon=True).start()


def _end_soon(reader: int) -> None:
    number = -1
    while number not in SIGNALS:
        content = os.read(reader, 1)
        if not content:  # the command has ended
            os.close(reader)
            return
        number = content[0]
    time.sleep(GRACE_S)
    _end_now(number)


def _end_now(number: int) -> NoReturn:
    from clavilux.system.files import remove_own_temporaries
    from clavilux.system.terminal import can_repaint

    remove_own_temporaries()
    with suppress(OSError, ValueError):  # stderr is closed
        if can_repaint():
            os.write(2, SHOW_CURSOR)
    os._exit(128 + number)
