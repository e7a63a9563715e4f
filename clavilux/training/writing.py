"""Turn errors of writing files during a training into messages that name the folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clavilux.errors import TrainingError


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Raise a `TrainingError` that names the folder for an `OSError` of the ``with`` block.

    The block must only write files, because errors of reading would be reported as errors of this folder.
    """
    try:
        yield
    except OSError as error:
        raise cannot_write(folder, error.strerror or str(error)) from error


def prepare_folder(folder: Path) -> None:
    """Create a folder if it is missing; raise a `TrainingError` if it cannot be written to."""
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def cannot_write(folder: Path, reason: str) -> TrainingError:
    """Return the error for a folder that cannot be written to."""
    return TrainingError(
        f"{folder}: cannot be written to ({reason}); make room or give another folder. Files that are complete are kept"
    )
