"""Check the arguments of public functions and convert them to plain Python or NumPy values.

Integers may be given as NumPy integers or as floats without a fraction, because both are common results of
calculations. Booleans and text are not accepted as numbers, because they are usually mistakes.
"""

from __future__ import annotations

import math
import os
import reprlib
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import MAX_ASPECT, SIZE_RANGE_PX
from clavilux.errors import ClaviluxError, PictureError

Number = SupportsIndex | float | np.floating[Any]
Size = Number | Sequence[Number] | NDArray[Any] | str
FileName = str | bytes | os.PathLike[str] | os.PathLike[bytes]

MAX_SEED = 10**100 - 1  # Python prints integers of at most 4300 digits, and the record of a picture contains the seed
MAX_THREADS = 1_024

_LONG = 10**15  # messages do not print integers from here on


class _Shortener(reprlib.Repr):
    """Formats values of any size and type as short text."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 80

    def repr_int(self, x: int, level: int) -> str:
        return str(x) if abs(x) < _LONG else f"a whole number of {x.bit_length()} bits"

    def repr_instance(self, x: object, level: int) -> str:
        if isinstance(x, np.ndarray):
            return f"an array of type {x.dtype} and shape {x.shape}"
        if isinstance(x, np.generic):
            return self.repr1(x.item(), level)
        if x is None or isinstance(x, bool | float | complex | bytes):
            return super().repr_instance(x, level)
        return f"an object of type {type(x).__name__}"


def show(value: object) -> str:
    """Return a short description of a value, on one line, for error messages."""
    return " ".join(_Shortener().repr(value).split())


def counted(n: int, noun: str) -> str:
    """Return a number with a noun in the singular or the plural, for messages.

    Examples
    --------
    >>> counted(1, "file"), counted(2, "feature file")
    ('1 file', '2 feature files')
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def whole_number(
    name: str, value: Any, low: int = 0, high: int | None = None, *, fault: type[ClaviluxError] = PictureError
) -> int:
    """Return a whole number in a range as an int.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : Any
        A Python or NumPy integer, or a float without a fraction.
    low : int
        Smallest allowed value.
    high : int, optional
        Largest allowed value; unlimited by default.
    fault : type of ClaviluxError
        Raised for any other value.
    """
    plain = _scalar(value)
    is_whole = isinstance(plain, Integral) or (isinstance(plain, float | np.floating) and float(plain).is_integer())
    number = int(plain) if is_whole else low - 1
    if number < low or (high is not None and number > high):
        allowed = f"of {low} or more" if high is None else f"from {low} to {_format_limit(high)}"
        raise fault(f"{name} is {show(value)}; it must be a whole number {allowed}")
    return number


def real_number(
    name: str,
    value: Any,
    low: float = 0.0,
    high: float | None = None,
    *,
    fault: type[ClaviluxError] = PictureError,
) -> float:
    """Return a finite real number from ``low`` to ``high`` as a float.

    The other parameters are those of `whole_number`.
    """
    plain = _scalar(value)
    number = math.nan
    if isinstance(plain, Real):
        try:
            number = float(plain)
        except OverflowError:
            number = math.inf
    if not (math.isfinite(number) and low <= number and (high is None or number <= high)):
        if high is not None:
            allowed = f"a number from {_format_limit(low)} to {_format_limit(high)}"
        else:
            allowed = "a finite number" if math.isinf(low) else f"a finite number of {low:g} or more"
        raise fault(f"{name} is {show(value)}; it must be {allowed}")
    return number + 0.0  # no -0.0


def check_size(size: Any) -> tuple[int, int]:
    """Return ``(width, height)`` in pixels, each in `SIZE_RANGE_PX`, with an aspect ratio of at most `MAX_ASPECT`.

    ``size`` is one number for both sides, or width and height as a tuple, a list or an array. Any other value raises a
    `PictureError`.
    """
    low, high = SIZE_RANGE_PX
    is_pair = isinstance(size, tuple | list) or (isinstance(size, np.ndarray) and size.ndim == 1)
    sides = size if is_pair else (size, size)
    try:
        width, height = (whole_number("side", side, low, high) for side in sides)
    except (PictureError, ValueError) as error:  # ValueError: not two values
        raise PictureError(
            f"size is {show(size)}; give a side or (width, height) in whole numbers, each side between {low} and "
            f"{high} pixels"
        ) from error
    check_aspect(width, height)
    return width, height


def check_aspect(width: int, height: int) -> None:
    """Raise a `PictureError` if one side is more than `MAX_ASPECT` times as long as the other."""
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise PictureError(
            f"the picture is {width} x {height} pixels; one side may be at most {MAX_ASPECT} times as long as the other"
        )


def file_path(name: str, value: Any, *, fault: type[ClaviluxError] = PictureError) -> Path:
    """Return a path as a `Path`; ``value`` is text, bytes or any `os.PathLike`.

    The other parameters are those of `whole_number`.
    """
    try:
        text = os.fsdecode(value)
        raw = os.fsencode(text)
    except (TypeError, UnicodeError) as error:
        raise fault(f"{name} is {show(value)}; it must be a path: text or a pathlib.Path") from error
    if not raw or b"\0" in raw:
        raise fault(f"{name} is {show(text)}; it must be a path of one or more characters without zero bytes")
    return Path(text)


def is_array(value: object) -> bool:
    """Return whether a value is an array, or converts itself to one, such as a picture or an image of Pillow."""
    return hasattr(value, "__array__") or hasattr(value, "__array_interface__")


def to_array(name: str, value: Any, *, fault: type[ClaviluxError] = PictureError) -> NDArray[Any]:
    """Return a value as an array, also a tensor that requires gradients; the parameters are those of `whole_number`.

    ``fault`` is raised if it cannot be converted, or if it is a masked array with masked values.
    """
    if np.ma.is_masked(value):
        raise fault(f"{name} is a masked array; give the values to use instead, such as {name}.filled(0)")
    try:
        return np.asarray(value.detach() if hasattr(value, "detach") else value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise fault(f"{name} is {show(value)}, which NumPy cannot read ({str(error).splitlines()[0]})") from error


def float_array(
    name: str, value: Any, shape: tuple[int | None, ...], *, fault: type[ClaviluxError] = PictureError
) -> NDArray[np.float32]:
    """Return a float32 array of the given shape; all numbers in ``value`` must be finite.

    In ``shape``, None stands for any length of at least 1. The other parameters are those of `whole_number`.
    """
    array = None
    try:
        given = to_array(name, value, fault=fault)
    except fault:
        if is_array(value):
            raise
        given = np.asarray(None)  # lists of different lengths
    if given.dtype.kind in "iuf" and given.ndim == len(shape):
        with np.errstate(over="ignore"):
            array = given.astype(np.float32)
    if (
        array is None
        or not all(n == m if m is not None else n > 0 for n, m in zip(array.shape, shape, strict=True))
        or not np.isfinite(array).all()
    ):
        expected = ", ".join("n" if side is None else str(side) for side in shape)
        bad = 0 if array is None else int(np.count_nonzero(~np.isfinite(array)))
        found = f"{show(value)} with {counted(bad, 'value')} that are NaN or infinite" if bad else show(value)
        raise fault(f"{name} is {found}; it must be an array of finite numbers of shape ({expected})")
    return array


def _scalar(value: Any) -> Any:
    """Return a value, or the entry of a 0-dimensional array; None for booleans, which Python treats as integers."""
    plain = value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value
    return None if isinstance(plain, bool | np.bool_) else plain


def _format_limit(limit: float) -> str:
    """Return a limit as text; those of many digits, which are powers of ten or one less, as 10^N."""
    if abs(limit) < _LONG:
        return f"{limit:g}" if isinstance(limit, float) else str(limit)
    return f"{'-' if limit < 0 else ''}10^{len(str(abs(int(limit)) + 1)) - 1}"
