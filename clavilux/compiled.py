"""Whether the painter runs compiled: the one place that chooses.

The extra `fast` brings Numba, and `clavilux.fast` is what it compiles. Where it is not installed, cannot work, or is
switched off (``CLAVILUX_FAST=0``), NumPy paints: the same picture, but for a few pixels on borders.
"""

from __future__ import annotations

import os
import warnings
from functools import lru_cache
from importlib import metadata
from types import ModuleType

SWITCH = "CLAVILUX_FAST"


def name_painter() -> str:
    """What paints, for people: says what is installed, without the time that importing it takes."""
    if os.environ.get(SWITCH) == "0":
        return f"NumPy ({SWITCH}=0)"
    try:
        return f"Numba {metadata.version('numba')}"
    except metadata.PackageNotFoundError:
        return "NumPy"


@lru_cache(maxsize=1)
def compiled_painter() -> ModuleType | None:
    """`clavilux.fast`, or None where NumPy paints; a Numba that is there and cannot work is warned of."""
    if not name_painter().startswith("Numba"):
        return None
    try:
        from clavilux import fast
    except (ImportError, RuntimeError) as error:  # it refuses this NumPy, or finds no folder for compiled code
        warnings.warn(f"Numba is installed but cannot be used, NumPy paints: {error}", RuntimeWarning, stacklevel=2)
        return None
    return fast
