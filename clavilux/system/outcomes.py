"""Call a function with one song; the outcome is a value, an error that ends the run, or a failure of this song."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clavilux.errors import ClaviluxError
from clavilux.system.extras import missing_extra

LONGEST_REASON = 300  # largest number of characters that are shown of the message of an exception

logger = logging.getLogger("clavilux")


@dataclass(frozen=True)
class Done:
    """The function returned a value."""

    value: Any


@dataclass(frozen=True)
class Raised:
    """The function raised an error that ends the run, such as a full disk."""

    error: ClaviluxError


@dataclass(frozen=True)
class Failed:
    """The song could not be processed; other songs can."""

    reason: str  # text for the user


Outcome = Done | Raised | Failed


def attempt(function: Callable[[Any], Any], song: Any) -> Outcome:
    """Return the outcome of calling a function with one song.

    A `ClaviluxError`, or a module of an extra that is missing, gives `Raised`. A `KeyboardInterrupt` is not caught. Any
    other exception gives `Failed`, and its traceback is logged.
    """
    try:
        return Done(function(song))
    except ClaviluxError as error:
        return Raised(error)
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        missing = missing_extra(error)
        return Failed(describe_failure(error)) if missing is None else Raised(missing)
    except BaseException as error:
        return Failed(describe_failure(error))


def describe_failure(error: BaseException) -> str:
    """Return one line about an exception for the user, and log its traceback.

    For an `OSError`, a `MemoryError` or a missing package, the line states the cause. For any other exception, it says
    that this is a bug of Clavilux, and names the file and the line where the exception was raised.
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
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("clavilux"):
        return (
            f"the package {error.name} is missing, so the installation is damaged; install Clavilux again (README.md)"
        )
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    name = type(error).__name__
    return f"{name}{': ' if text else ''}{text}{place}; this is a bug of Clavilux, please report it"
