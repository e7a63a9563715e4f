"""Pictures that steer the picture of a song: one that it comes nearer to, and one that gives its colours.

path, picture in memory or pixels -> **here** -> `clavilux.steering.Steering.near` and `palette_from`
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import lab_to_srgb, srgb_to_lab, write_hex
from clavilux.constants import ENCODER_SIDE_PX, SLOTS
from clavilux.errors import PictureError
from clavilux.system.arguments import file_path, is_array, show, to_array

_LEAST_RANGE = 8.0  # smallest difference in L* between the darkest and the lightest colour of `palette_from`
_PALETTE_PX = 128  # side to which a picture is resized for its palette


@dataclass(frozen=True)
class NearPicture:
    """A picture towards which the latent of a song is moved.

    Attributes
    ----------
    name : str
        Name of the file without extension; "picture" for a picture in memory.
    sha256 : str
        SHA-256 of `pixels` and, if there is one, of the latent in `record`.
    pixels : bytes or None
        The central square of the picture, resized to 64 x 64 pixels: sRGB, 3 bytes per pixel, row by row. None if
        this object was read from the record in a picture file, which stores only `name` and `sha256`.
    record : dict or None
        The untrusted record of the picture, if Clavilux painted it.
    """

    name: str
    sha256: str
    pixels: bytes | None = field(default=None, repr=False, compare=False)
    record: dict[str, Any] | None = field(default=None, repr=False, compare=False)

    @property
    def square(self) -> NDArray[np.uint8]:
        """`pixels` as an array (64, 64, 3); only if they are known."""
        return np.frombuffer(self.pixels or b"", np.uint8).reshape(ENCODER_SIDE_PX, ENCODER_SIDE_PX, 3)

    @classmethod
    def read(cls, picture: Any) -> NearPicture:
        """Return the central square of a picture as a `NearPicture`.

        ``picture`` is the path of a picture file, a `clavilux.Picture`, an image of Pillow, or pixels (H, W, 3) uint8.

        Raises
        ------
        PictureError
            If the picture cannot be read.
        """
        from clavilux.images import middle_square, resize
        from clavilux.picture_file import read_record

        pixels = resize(middle_square(_read_pixels("near", picture)), ENCODER_SIDE_PX).tobytes()
        name = "picture" if is_array(picture) else file_path("near", picture).stem
        record = None
        with suppress(PictureError):  # a picture that Clavilux did not paint
            record = getattr(picture, "record", None) if is_array(picture) else read_record(picture)
        known = pixels + json.dumps(record["z_image"]).encode() if record and "z_image" in record else pixels
        return cls(name, hashlib.sha256(known).hexdigest(), pixels, record)


def read_main_colours(picture: Any) -> list[str]:
    """Return the 8 main colours of a picture as "#1a2b3c", for the wish `palette_from`.

    ``picture`` is as for `NearPicture.read`, which says what errors are raised.
    """
    from clavilux.images import resize
    from clavilux.painter.quantise import quantise

    rgb = resize(_read_pixels("palette_from", picture), _PALETTE_PX)
    lab = srgb_to_lab(quantise(rgb, np.random.default_rng(0))[0])
    if np.ptp(lab[:, 0]) < _LEAST_RANGE:  # nearly one tone: it is spread a little, so that the painter can widen it
        middle = np.clip(lab[:, 0].mean(), _LEAST_RANGE, 100 - _LEAST_RANGE)
        lab[:, 0] = middle + _LEAST_RANGE * np.linspace(-0.5, 0.5, SLOTS)
    return write_hex(lab_to_srgb(lab))


def _read_pixels(name: str, picture: Any) -> NDArray[np.uint8]:
    """Return the sRGB pixels (H, W, 3) of a picture file, or of a picture in memory."""
    from clavilux.images import read_picture

    if hasattr(picture, "read"):
        raise PictureError(f"{name} is an open file; give its path, or the picture as PIL.Image.open(file)")
    if not is_array(picture):
        return read_picture(file_path(name, picture))
    pixels = to_array(name, picture.convert("RGB") if hasattr(picture, "convert") else picture)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise PictureError(f"{name} is {show(pixels)}; it must be a path, a picture, or sRGB pixels (H, W, 3) in uint8")
    return pixels
