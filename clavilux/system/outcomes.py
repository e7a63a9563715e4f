"""Apply a function to one song; the outcome is a result, an error that ends the run, or a failure of this song."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clavilux.errors import ClaviluxError

LONGEST_REASON = 300  # characters of the message of an exception

logger = logging.getLogger("clavilux")


@dataclass(frozen=True)
class Done:
    """The outcome of a function that returned a value."""

    value: Any


@dataclass(frozen=True)
class Raised:
    """The outcome of a function that raised an error which ends the run, such as a full disk."""

    error: ClaviluxError


@dataclass(frozen=True)
class Failed:
    """The outcome for a song that could not be processed."""

    reason: str  # text for the user


Outcome = Done | Raised | Failed


def attempt(function: Callable[[Any], Any], song: Any) -> Outcome:
    """Return the outcome of calling a function with one song; only `KeyboardInterrupt` is raised.

    A `ClaviluxError` gives `Raised`. Any other exception gives `Failed`, and its traceback is logged.
    """
    try:
        return Done(function(song))
    except ClaviluxError as error:
        return Raised(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Failed(describe_failure(error))


def describe_failure(error: BaseException) -> str:
    """Return one line about an exception for the user, and log its traceback.

    Errors of the system are described by their cause. Any other exception is called a bug of Clavilux, with the file
    and the line.
    """
    import traceback  # takes 2 ms

    logger.info("%s", "".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, MemoryError):
        return "there is not enough memory; free some, or lower --jobs"
    text = " ".join(str(error).split())
    text = text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON] + " ..."
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename is not None else ""
        return f"{place}{error.strerror}"
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" in {Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}" if trace is not None else ""
    name = type(error).__name__
    return f"{name}{': ' if text else ''}{text}{place}; this is a bug of Clavilux, please report it"
