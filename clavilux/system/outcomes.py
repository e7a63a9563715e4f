"""What becomes of one song: a result, an error that ends the run, or a failure of that song alone.

a function, a song -> **here** -> outcome
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clavilux.errors import ClaviluxError

LONGEST_REASON = 300  # characters of an exception's text that are shown

logger = logging.getLogger("clavilux")


@dataclass(frozen=True)
class Done:
    """The function returned this."""

    value: Any


@dataclass(frozen=True)
class Raised:
    """The function raised an error that is no fault of the song and ends the run, such as a folder that is full."""

    error: ClaviluxError


@dataclass(frozen=True)
class Failed:
    """The song could not be finished, for a reason in words."""

    reason: str


Outcome = Done | Raised | Failed


def attempt(function: Callable[[Any], Any], song: Any) -> Outcome:
    """Return what became of one song; only an interrupt from the keyboard is raised.

    An exception that is no `ClaviluxError` gives a `Failed` that says where it was raised; its traceback goes to the
    log.
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
    """Log the traceback of an exception that a song raised, and return one line about it.

    It is a fault of the machine, or one of Clavilux, with its place.
    """
    import traceback  # 2 ms, that only a failure is worth

    logger.info("%s", "".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, MemoryError):
        return "needs more memory than there is; free some, or use fewer --jobs"
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
    return f"{name}{': ' if text else ''}{text}{place}; this is a fault of Clavilux, please report it"
