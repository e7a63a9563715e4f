"""The Numba decorator of the compiled painter, and the digest that keeps its cache on disk up to date.

Numba stores machine code next to these modules, or in the user's cache directory. For each function, it checks only the
time stamp of the file that defines the function, so machine code would be out of date after a change in another file.
Therefore the name of every compiled function contains a digest of all sources that compiled code depends on. Numba
names its cache files after the functions, so a change in any of these sources compiles everything again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from clavilux import constants
from clavilux.painter import strokes

Float32 = NDArray[np.float32]
UInt8 = NDArray[np.uint8]
F = TypeVar("F", bound=Callable[..., Any])


def digest_sources() -> str:
    """Return a hash of the sources that compiled code depends on: this folder, the strokes and the constants."""
    files = [*Path(__file__).parent.glob("*.py"), *(Path(str(m.__file__)) for m in (strokes, constants))]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in sorted(files) if file.is_file())).hexdigest()[:16]


_DIGEST = digest_sources()


def compiled(function: F) -> F:
    """Return the function, compiled so that each operation rounds as in NumPy."""
    function.__qualname__ += f"_{_DIGEST}"
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
