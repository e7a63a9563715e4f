"""Choose between the compiled painter and NumPy; no other module does this.

The extra ``fast`` installs Numba, which compiles the painting of strokes in `clavilux.painter.compiled.fast`. Importing
Numba takes each process half a second, so by default Numba paints only pictures of at least ``WORTH_PX`` pixels. With
``CLAVILUX_FAST=1``, Numba paints every picture, which pays off for many pictures; with ``CLAVILUX_FAST=0``, it paints
none. If Numba is missing or does not work, NumPy paints. Pictures by Numba and by NumPy differ only by rounding.
"""

from __future__ import annotations

import os
import warnings
from functools import lru_cache
from importlib import metadata
from types import ModuleType

SWITCH = "CLAVILUX_FAST"
WORTH_PX = 2_048**2


def paint_many() -> None:
    """Let Numba paint all pictures of this process and its children; a value of ``CLAVILUX_FAST`` takes precedence."""
    os.environ.setdefault(SWITCH, "1")


def name_painter() -> str:
    """Return what paints, for messages: "Numba" with its version, or else "NumPy". It does not import Numba."""
    if os.environ.get(SWITCH) == "0":
        return f"NumPy ({SWITCH}=0)"
    try:
        return f"Numba {metadata.version('numba')}"
    except metadata.PackageNotFoundError:
        return "NumPy"


def compiled_painter(n_pixels: int) -> ModuleType | None:
    """Return `clavilux.painter.compiled.fast`, or None if NumPy paints a picture of `n_pixels` pixels (see above)."""
    if n_pixels < WORTH_PX and os.environ.get(SWITCH) != "1":
        return None
    return _load() if name_painter().startswith("Numba") else None


@lru_cache(maxsize=1)
def _load() -> ModuleType | None:
    """Import the compiled painter, or warn and return None if Numba is installed but does not work."""
    try:
        from clavilux.painter.compiled import fast
    except (
        ImportError,
        RuntimeError,
    ) as error:  # Numba refuses this version of NumPy, or finds no writable folder for compiled code
        warnings.warn(f"Numba is installed but cannot be used, NumPy paints: {error}", RuntimeWarning, stacklevel=3)
        return None
    return fast
