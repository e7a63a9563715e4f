"""Progress of a long command on stderr: a bar on a terminal; what is printed elsewhere is the command's choice."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from clavilux.cli.output import complain, visible


class ProgressReporter:
    """A bar if stderr is a terminal; else `_bar` is None.

    Parameters
    ----------
    description : str
        Text beside the bar.
    prefix : str
        Start of each warning.
    """

    def __init__(self, description: str, *, prefix: str) -> None:
        self._prefix = prefix
        self._bar = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task(description, total=None)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def begin(self, n_files: int) -> None:
        """Set the number of files."""
        if self._bar:
            self._bar.reset(self._task, total=n_files)

    def warn(self, message: str) -> None:
        """Print a message, above the bar if there is one."""
        if self._bar:
            self._bar.console.print(self._prefix + visible(message), markup=False, highlight=False)
        else:
            complain(message, prefix=self._prefix)
