"""Whether the painter runs compiled: the one place that chooses.

The extra `fast` brings Numba, and `clavilux.painter.compiled.fast` is what it compiles. It begins half a second later
in each process, so pictures of fewer than `WORTH_PX` pixels are painted by NumPy all the same. ``CLAVILUX_FAST=1`` has
every picture painted by it, which is worth it for a series; ``CLAVILUX_FAST=0`` has none painted by it. Where Numba is
not installed or cannot work, NumPy paints: the same picture, but for a few pixels on borders.
"""

from __future__ import annotations

import os
import warnings
from functools import lru_cache
from importlib import metadata
from types import ModuleType

SWITCH = "CLAVILUX_FAST"
WORTH_PX = 2_048**2


def name_painter() -> str:
    """What paints, for people: says what is installed, without the time that importing it takes."""
    if os.environ.get(SWITCH) == "0":
        return f"NumPy ({SWITCH}=0)"
    try:
        return f"Numba {metadata.version('numba')}"
    except metadata.PackageNotFoundError:
        return "NumPy"


def compiled_painter(n_pixels: int) -> ModuleType | None:
    """`clavilux.painter.compiled.fast`, or None where NumPy paints a picture of so many pixels."""
    if n_pixels < WORTH_PX and os.environ.get(SWITCH) != "1":
        return None
    return _load() if name_painter().startswith("Numba") else None


@lru_cache(maxsize=1)
def _load() -> ModuleType | None:
    """Import it; a Numba that is there and cannot work is warned of."""
    try:
        from clavilux.painter.compiled import fast
    except (ImportError, RuntimeError) as error:  # it refuses this NumPy, or finds no folder for compiled code
        warnings.warn(f"Numba is installed but cannot be used, NumPy paints: {error}", RuntimeWarning, stacklevel=3)
        return None
    return fast
