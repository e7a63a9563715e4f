"""Printing: results on stdout, messages and the log on stderr.

File names are untrusted. Control characters, and characters that the encoding of the terminal lacks, are printed as
escapes. A closed pipe does not stop the work.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from clavilux.errors import OutputError
from clavilux.system.files import write_whole

# Unicode categories of control characters and line ends, and marks of text direction (U+202E shows exe.mp3 as 3pm.exe).
_HARMFUL = {"Cc", "Cs", "Zl", "Zp"}
_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

clear_status: list[Callable[[], None]] = []  # functions that remove the progress line before anything is printed
_cannot_write: list[str] = []  # the error of stdout, if any; empty for a closed pipe


def visible(text: str, *, keep: str = "") -> str:
    r"""Return a text with control characters as escapes, such as ``\x1b``, except those in ``keep``.

    Examples
    --------
    >>> visible("a\x1b[31m\nb")
    'a\\x1b[31m\\nb'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        ascii(character)[1:-1] if _is_harmful(character) and character not in keep else character for character in text
    )


def _is_harmful(character: str) -> bool:
    return unicodedata.category(character) in _HARMFUL or character in _DIRECTION


def say(text: str) -> None:
    """Print a result, one or more lines, on stdout.

    If a pipe is closed (``| head -1``), nothing happens. If stdout cannot be written, for example because the disk is
    full, this is reported on stderr once per process, and from then on `exit_code` returns 1.
    """
    if _cannot_write:
        return
    try:
        _write(sys.stdout, visible(text, keep="\n\t"))
    except OSError as error:
        cannot_write(error)


def cannot_write(error: OSError) -> None:
    """Record an error of stdout, and report it unless it is a closed pipe."""
    is_broken_pipe = isinstance(error, BrokenPipeError) or error.errno == errno.EPIPE
    _cannot_write.append("" if is_broken_pipe else error.strerror or str(error))
    _open_nothing(sys.stdout)
    if _cannot_write[0]:
        complain(f"stdout cannot be written ({_cannot_write[0]}); free some disk space")


def complain(text: str, *, prefix: str = "clavilux: ") -> None:
    """Print one line on stderr; errors are ignored."""
    try:
        _write(sys.stderr, visible(f"{prefix}{text}"))
    except OSError:
        _open_nothing(sys.stderr)


def write_output(path: Path, content: bytes | memoryview) -> None:
    """Write the file that the user named with ``-o``, and create its folder if it is missing.

    An `OutputError` is raised if the file cannot be written.
    """
    try:
        write_whole(path, content)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); give another name") from error


def set_up_log(verbose: bool) -> None:
    """Send the log of Clavilux to stderr: messages from INFO on if ``verbose``, else from WARNING on."""
    logger = logging.getLogger("clavilux")
    logger.handlers = [_ToStderr()]
    logger.setLevel(logging.INFO if verbose else logging.WARNING)


class _ToStderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        for line in self.format(record).splitlines():  # a traceback has several
            complain(line, prefix="")


def exit_code() -> int:
    """Return 1 if a result could not be printed for a reason other than a closed pipe, else 0."""
    return 1 if any(_cannot_write) else 0


def set_up() -> None:
    """Prepare the standard streams of this process, even if the caller has closed some.

    Closed descriptors are opened on the null device. Otherwise, a picture could be opened as descriptor 2, and error
    messages of a library would be written into the picture.
    """
    _cannot_write.clear()
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # uses the lowest free descriptor
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  (open until the process ends)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _write(stream: IO[str] | None, text: str) -> None:
    if stream is None:
        return
    for clear in clear_status:
        clear()
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(f"{text}\n".encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _open_nothing(stream: Any) -> None:
    """Redirect a stream, including its buffer, to the null device."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)
