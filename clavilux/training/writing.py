"""Report files that cannot be written during a training, with the name of the folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clavilux.errors import TrainingError


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Turn an `OSError` of the ``with`` block into a `TrainingError` that names the folder.

    The block must only write files: an error of reading is an `OSError` too, and would be reported as one of writing.
    """
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"{folder}: cannot be written to ({error.strerror or error}); make room or give another folder. Files that "
            "are complete are kept"
        ) from error
