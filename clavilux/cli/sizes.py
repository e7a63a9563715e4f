"""Sizes of pictures on the command line: pixels, or millimetres, centimetres and inches with a resolution."""

from __future__ import annotations

import re
from typing import NamedTuple

import click

from clavilux.constants import DPI_RANGE
from clavilux.errors import PictureError
from clavilux.system.arguments import check_size

UNITS_PER_INCH = {"mm": 25.4, "cm": 2.54, "in": 1.0}
_NUMBER = r"(\d{1,9}(?:\.\d{1,9})?)"
_SIZE = re.compile(rf"{_NUMBER}(?:[xX×]{_NUMBER})?(mm|cm|in)?(?:@{_NUMBER}(?:dpi)?)?")


class Size(NamedTuple):
    """A size of a picture as the user gave it.

    Attributes
    ----------
    text : str
        What the user wrote, such as "600x600mm@300".
    width, height : float
        In ``unit``.
    unit : str
        "px" or a key of `UNITS_PER_INCH`.
    dpi : float or None
        Resolution that was given with the size.
    """

    text: str
    width: float
    height: float
    unit: str
    dpi: float | None

    def to_pixels(self, dpi: float) -> tuple[int, int]:
        """Return width and height in pixels at a resolution.

        Raises
        ------
        BadParameter
            If a side is out of range.
        """
        per_unit = 1.0 if self.unit == "px" else dpi / UNITS_PER_INCH[self.unit]
        width, height = round(self.width * per_unit), round(self.height * per_unit)
        try:
            return check_size((width, height))
        except PictureError as error:
            if self.unit == "px":
                raise click.BadParameter(str(error)) from error
            raise click.BadParameter(
                f"{self.text} at {dpi:g} dpi has {width} x {height} pixels; {str(error).partition('; ')[2]}: give a "
                "lower resolution"
            ) from error


def read_size(text: str) -> Size:
    """Return the size that a text such as ``1024``, ``3000x2000``, ``600x600mm`` or ``60cm@300`` describes.

    Raises
    ------
    BadParameter
        If the text is not a size, or a number is out of range.
    """
    # Not a subclass of `click.ParamType`, which is generic only from click 8.4 on.
    match = _SIZE.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a size; write 1024, 3000x2000 or 600x600mm@300")
    width, height, unit, dpi = match.groups()
    if unit is None and "." in width + (height or ""):
        raise click.BadParameter(f"{text!r} is not a size; pixels are whole numbers")
    size = Size(text, float(width), float(height or width), unit or "px", float(dpi) if dpi else None)
    if size.dpi is not None and not DPI_RANGE[0] <= size.dpi <= DPI_RANGE[1]:
        raise click.BadParameter(
            f"{text!r} has {dpi} dpi; it must be a number from {DPI_RANGE[0]:g} to {DPI_RANGE[1]:g}"
        )
    if size.unit == "px":
        size.to_pixels(1.0)
    return size


def resolve_size(size: Size, dpi: float | None, default_dpi: float) -> tuple[tuple[int, int], float]:
    """Return ``((width, height), dpi)``, width and height in pixels, from ``--size`` and ``--dpi``.

    Parameters
    ----------
    size : Size
    dpi : float or None
        Value of ``--dpi``.
    default_dpi : float
        Resolution if neither option gives one.

    Raises
    ------
    UsageError
        If both give a resolution and they differ.
    BadParameter
        If a side is out of range.
    """
    if size.dpi is not None and dpi is not None and size.dpi != dpi:
        raise click.UsageError(f"--size {size.text} and --dpi {dpi:g} give two resolutions; give one.")
    resolved = size.dpi or dpi or default_dpi
    try:
        return size.to_pixels(resolved), resolved
    except click.BadParameter as error:
        error.param_hint = "'--size'"
        raise
