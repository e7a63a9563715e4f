"""Sizes of pictures as text: pixels, or millimetres, centimetres and inches with a resolution."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from typing import NamedTuple

from clavilux.constants import DENSITY_DPI, DPI_RANGE, MAX_ASPECT, MM_PER_INCH, SIZE_RANGE_PX
from clavilux.errors import PictureError
from clavilux.system.arguments import check_size, show

_UNITS_PER_INCH = {"mm": MM_PER_INCH, "cm": MM_PER_INCH / 10, "in": 1.0}
_NUMBER, _UNIT = r"(\d{1,9}(?:\.\d{1,9})?)", r"(px|mm|cm|in|inch|inches)?"
_SIZE = re.compile(rf"{_NUMBER}{_UNIT}(?:[x×*]{_NUMBER}{_UNIT})?(?:@{_NUMBER}(?:dpi)?)?")
_SEVERAL_NUMBERS = re.compile(r"\d\s+\d")  # with only a space between them
_EXAMPLES = "write 1024, 3000x2000 or, with a unit (mm, cm or in), 600x600mm@300"


class Size(NamedTuple):
    """A size of a picture as the user gave it."""

    text: str  # what the user wrote, such as "600x600mm@300"
    width: float  # in `unit`
    height: float  # in `unit`
    unit: str  # "px" or a key of `_UNITS_PER_INCH`
    dpi: float | None  # resolution that was given with the size; None if none was given

    def to_pixels(self, dpi: float) -> tuple[int, int]:
        """Return width and height in pixels at a resolution; raise `PictureError` if a side is out of range."""
        width, height = self._sides(dpi)
        try:
            return check_size(width if width == height else (width, height))
        except PictureError as error:
            fault = str(error)
            if self.unit != "px":
                low, high = SIZE_RANGE_PX
                fault = f"{self.text} at {dpi:g} dpi has {width} x {height} pixels; {self._advise(dpi)}"
                fault += f" (each side has {low} to {high} pixels, the longer at most {MAX_ASPECT} times the shorter)"
            elif 0 < max(width, height) < SIZE_RANGE_PX[0] and "@" not in self.text and self.text[-1].isdigit():
                fault += f"; if a unit is missing, write {self.text}cm (or mm, in)"
            raise PictureError(fault) from error

    def resolve(self, dpi: float | None) -> tuple[tuple[int, int], float]:
        """Return ``((width, height), dpi)``, width and height in pixels; ``dpi`` is None if it is not given apart.

        Without any resolution, it is `DENSITY_DPI`. A `PictureError` is raised if two different resolutions are given,
        or if a side is out of range.
        """
        if self.dpi is not None and dpi is not None and self.dpi != dpi:
            raise PictureError(f"size {self.text} and dpi {dpi:g} give two resolutions; give one")
        resolved = self.dpi or dpi or DENSITY_DPI
        return self.to_pixels(resolved), resolved

    def _sides(self, dpi: float) -> tuple[int, int]:
        per_unit = 1.0 if self.unit == "px" else dpi / _UNITS_PER_INCH[self.unit]
        return round(self.width * per_unit), round(self.height * per_unit)

    def _advise(self, dpi: float) -> str:
        """Return the highest resolution that works, if it is lower than ``dpi``, as an advice."""
        longest_in = max(self.width, self.height) / _UNITS_PER_INCH[self.unit]
        highest = math.floor(min(SIZE_RANGE_PX[1] / max(longest_in, 1e-9), dpi))
        with suppress(PictureError):
            check_size(self._sides(highest))
            return f"give at most {highest} dpi"
        return "give another size"


def read_size(text: str) -> Size:
    """Return the size that a text such as ``1024``, ``3000 x 2000``, ``600x600mm`` or ``60cm@300`` describes.

    A `PictureError` is raised if the text is not a size, or if a number is out of range.
    """
    match = _SIZE.fullmatch("".join(text.lower().split()) if _SEVERAL_NUMBERS.search(text) is None else text)
    if match is None:
        raise PictureError(f"size is {show(text)}; {_EXAMPLES}")
    width, first, height, last, dpi = match.groups()
    unit = (last or first or "px").removesuffix("es").removesuffix("ch")
    if height and first and first != last:
        raise PictureError(f"size is {show(text)} with two units; {_EXAMPLES}")
    if unit == "px" and "." in width + (height or ""):
        raise PictureError(f"size is {show(text)}; pixels are whole numbers")
    size = Size(text, float(width), float(height or width), unit, float(dpi) if dpi else None)
    if size.dpi is not None and not DPI_RANGE[0] <= size.dpi <= DPI_RANGE[1]:
        raise PictureError(
            f"size is {show(text)} with {dpi} dpi; it must be a number from {DPI_RANGE[0]:g} to {DPI_RANGE[1]:g}"
        )
    if size.unit == "px":
        size.to_pixels(1.0)
    return size
