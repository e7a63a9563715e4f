"""What the commands print: text that any terminal can take, and that stops nothing where nobody can take it.

Results go to stdout, everything else to stderr. Names of files may hold anything: what would move the cursor, change
the colour or start a new line is written as an escape, and so is what the encoding of the terminal lacks.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import unicodedata
from typing import IO, Any

# Control characters, marks that turn the direction of text (U+202E shows exe.mp3 as 3pm.exe), and ends of lines.
_HARMFUL = {"Cc", "Cs", "Zl", "Zp"}
_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_cannot_write: list[str] = []  # why stdout took no more


def visible(text: str, *, keep: str = "") -> str:
    """Return a text in which control characters are escapes, such as ``\\\\x1b``, but for those to keep.

    Examples
    --------
    >>> visible("a\\x1b[31m\\nb")
    'a\\\\x1b[31m\\\\nb'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        ascii(character)[1:-1] if _is_harmful(character) and character not in keep else character for character in text
    )


def _is_harmful(character: str) -> bool:
    return unicodedata.category(character) in _HARMFUL or character in _DIRECTION


def say(text: str) -> None:
    """Print a result, of one line or more, on stdout.

    Where stdout is a pipe that nobody reads any more (``| head -1``) nothing is said and the work goes on. What else
    keeps it from being written is reported once, on stderr; `exit_code` then is 1.
    """
    if _cannot_write:
        return
    try:
        _write(sys.stdout, visible(text, keep="\n\t"))
    except OSError as error:
        cannot_write(error)


def cannot_write(error: OSError) -> None:
    """Take note of an error of stdout, and say it unless it is that nobody reads any more."""
    is_broken_pipe = isinstance(error, BrokenPipeError) or error.errno == errno.EPIPE
    _cannot_write.append("" if is_broken_pipe else error.strerror or str(error))
    _open_nothing(sys.stdout)
    if _cannot_write[0]:
        complain(f"what is printed cannot be written ({_cannot_write[0]}); make room")


def complain(text: str, *, prefix: str = "clavilux: ") -> None:
    """Print one line on stderr, if anybody reads it."""
    try:
        _write(sys.stderr, visible(f"{prefix}{text}"))
    except OSError:
        _open_nothing(sys.stderr)


def set_up_log(verbose: bool) -> None:
    """Send the log of Clavilux to stderr: what was measured, and tracebacks, if wanted; else warnings alone."""
    logger = logging.getLogger("clavilux")
    logger.handlers = [_ToStderr()]
    logger.setLevel(logging.INFO if verbose else logging.WARNING)


class _ToStderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        for line in self.format(record).splitlines():  # a traceback has more than one
            complain(line, prefix="")


def exit_code() -> int:
    """Return 1 if something could not be printed although somebody wanted it, else 0."""
    return 1 if any(_cannot_write) else 0


def set_up() -> None:
    """Prepare the standard streams of this process, whatever the caller has closed.

    A number of 0, 1 or 2 that is free would be given to the next file that is opened, and what a library then prints
    as an error would go into a picture.
    """
    _cannot_write.clear()
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  (as long as the process)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _write(stream: IO[str] | None, text: str) -> None:
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(f"{text}\n".encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _open_nothing(stream: Any) -> None:
    """Send what still waits in the buffer of a stream, and all that comes, nowhere."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)
