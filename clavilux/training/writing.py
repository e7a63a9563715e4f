"""Faults of the disk while a training writes become one line that names the folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clavilux.errors import TrainingError


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Raise a `TrainingError` that names the folder where the block raises an `OSError`.

    For blocks that only write: what they wrote before stays whole and can be used.
    """
    try:
        yield
    except OSError as error:
        raise cannot_write(folder, error.strerror or str(error)) from error


def prepare_folder(folder: Path) -> None:
    """Make a folder if it is missing, and raise a `TrainingError` if nothing can be written there."""
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def cannot_write(folder: Path, reason: str) -> TrainingError:
    """Return the error that says that a folder of a training cannot be written to."""
    return TrainingError(
        f"{folder}: cannot be written to ({reason}); make room or give another folder. What was written whole is kept"
    )
