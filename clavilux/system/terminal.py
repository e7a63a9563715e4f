"""Say what the terminal can do at which text is printed."""

from __future__ import annotations

import os
import sys
from shutil import get_terminal_size


def can_repaint() -> bool:
    """Return whether stderr is a terminal on which lines may be repainted with escape codes.

    This is not so if ``TERM`` is "dumb" or ``NO_COLOR`` (https://no-color.org) is set, as screen readers and some
    editors need it.
    """
    is_plain = os.environ.get("TERM") == "dumb" or bool(os.environ.get("NO_COLOR"))
    return not is_plain and sys.stderr is not None and sys.stderr.isatty()


def text_width() -> int | None:
    """Return the number of columns of the terminal at stdout, for which text is laid out; None if it is no terminal.

    A terminal with ``TERM=dumb``, as screen readers and some editors need it, gives None too.
    """
    if os.environ.get("TERM") == "dumb" or sys.stdout is None or not sys.stdout.isatty():
        return None
    return get_terminal_size().columns
