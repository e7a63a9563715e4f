"""Read NumPy files (``.npy``) of untrusted bundles."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.system.arguments import show


def read_npy(content: bytes, dtype: str) -> tuple[str, NDArray[Any] | None]:
    """Return a description of a NumPy file for messages, and the array in the file.

    ``content`` is the content of the file, ``dtype`` the required type, such as "<f4". The array is None if the file is
    damaged, or if the array has another type or is in Fortran order. `np.load` is not used, because it would allocate
    memory for any shape that an untrusted header states.
    """
    file = io.BytesIO(content)
    try:
        np.lib.format.read_magic(file)
        shape, in_columns, found_dtype = np.lib.format.read_array_header_1_0(file)
    except Exception:  # a damaged header raises many types of exceptions
        return "another format", None
    found = f"shape {show(shape)} and type {found_dtype.str!r}{', in columns' if in_columns else ''}"
    n_bytes = np.dtype(dtype).itemsize * math.prod(shape)
    if found_dtype != dtype or in_columns or len(content) - file.tell() != n_bytes:
        return f"{found}, in {len(content)} bytes", None
    return found, np.frombuffer(content, dtype, offset=file.tell()).reshape(shape)
