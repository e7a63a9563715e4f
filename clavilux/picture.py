"""Painted pictures and their files: PNG, JPEG and WebP with a record inside.

The record is stored in the Exif block of the file: as JSON in ``UserComment``, with a description of the picture for
blind people in ``ImageDescription`` and the program in ``Software``.
"""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import srgb_to_lab
from clavilux.constants import DENSITY_DPI, SIZE_RANGE_PX
from clavilux.errors import PictureError
from clavilux.painter.controls import Controls
from clavilux.painter.marks import MARKS
from clavilux.painter.surfaces import SURFACES
from clavilux.system.arguments import FileName, Number, file_path, whole_number
from clavilux.system.files import replacing
from clavilux.version import __version__

if TYPE_CHECKING:
    from clavilux.audio.song import Song

UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
MAX_WEBP_PIXELS = 4096 * 4096  # lossless WebP of that size takes 13 s and 0.5 GB; of 8192 x 8192, 54 s and 2.3 GB

# Exif tags and the mark of an ASCII comment (Exif 2.32, tables 3 to 6)
_IMAGE_DESCRIPTION, _SOFTWARE, _EXIF_BLOCK, _USER_COMMENT, _COLOUR_SPACE = 0x010E, 0x0131, 0x8769, 0x9286, 0xA001
_X_DENSITY, _Y_DENSITY, _DENSITY_UNIT, _INCH = 0x011A, 0x011B, 0x0128, 2
_ASCII = b"ASCII\0\0\0"
_ZLIB_RLE = 3


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture and the data that it was painted from.

    Attributes
    ----------
    pixels : (H, W, 3) uint8
        sRGB, first row at the top.
    record : dict
        Data to paint it again: ``clavilux`` (version), ``song`` (name, sha256), ``bundle`` (name, sha256 of
        bundle.json) and the options, see `clavilux.record.PaintOptions`.
    controls : Controls or None
        Input of the painter; None if the bundle decodes latents to pixels.
    z_image : (64,) float32
        The latent that the picture was decoded from.
    song : Song
    """

    pixels: UInt8
    record: dict[str, Any]
    controls: Controls | None
    z_image: Float32
    song: Song

    @cached_property
    def description(self) -> str:
        """One sentence that describes the picture to blind people.

        It names up to three colours by the area that they cover, from the largest, each of at least 2 %. Every eighth
        row and column is counted.
        """
        sample = self.pixels[::8, ::8].reshape(-1, 1, 3).astype(np.float32) / 255
        palette = sample.mean(axis=0) if self.controls is None else self.controls.palette
        nearest = ((sample - palette) ** 2).sum(axis=2).argmin(axis=1)
        shares = np.bincount(nearest, minlength=len(palette))
        seen = [k for k in np.argsort(-shares, kind="stable") if shares[k] >= len(sample) / 50]
        colours = list(dict.fromkeys(name_colour(palette[k]) for k in seen))[:3]
        colour_text = colours[0] if len(colours) == 1 else f"{', '.join(colours[:-1])} and {colours[-1]}"
        if self.controls is None:
            return f"Blurred abstract picture, {colour_text} on average."
        controls = self.controls
        marks = " and ".join(dict.fromkeys(MARKS[k].description for k in (controls.kind, controls.second_kind) if k))
        return f"Abstract picture, {SURFACES[controls.surface].words}, in {colour_text}: {marks}."

    def save(self, path: FileName, *, quality: Number = 95, exclusive: bool = False) -> None:
        """Write the picture and its record as PNG, JPEG or WebP, by the extension.

        The file is written under a temporary name and then renamed, so it is never incomplete. It has an sRGB profile,
        for correct colours on wide-gamut screens, and a resolution of 300 pixels per inch.

        Parameters
        ----------
        path : path-like
            Name with the extension .png, .jpg, .jpeg or .webp. An existing file is replaced. PNG and WebP are
            lossless. WebP has a third to a half of the size of PNG, is slow, and is limited to `MAX_WEBP_PIXELS`.
        quality : int
            Quality of JPEG, 1 to 100. Chroma is not subsampled, because marks have sharp edges.
        exclusive : bool
            Never replace a file, also not one that another process creates meanwhile.

        Raises
        ------
        FileExistsError
            With ``exclusive``, if a file of that name exists.
        PictureError
            If the format is unknown or does not allow so many pixels, an argument has a wrong type or is out of range,
            or the file cannot be written.
        """
        path = file_path("path", path)
        height, width, _ = self.pixels.shape
        kind = picture_format(path, (width, height))
        content = self._encode(kind, whole_number("quality", quality, 1, 100))
        try:
            with replacing(path, exclusive=exclusive) as temporary:
                temporary.write_bytes(content)
        except FileExistsError:
            raise
        except OSError as error:
            raise PictureError(f"{path}: cannot be written ({error.strerror or error})") from error

    def _encode(self, kind: str, quality: int) -> memoryview:
        """Return the content of the file: pixels, record and colour profile."""
        from PIL import Image

        exif = Image.Exif()
        exif[_IMAGE_DESCRIPTION] = self.description
        exif[_SOFTWARE] = f"clavilux {__version__}"
        exif[_X_DENSITY] = exif[_Y_DENSITY] = float(DENSITY_DPI)
        exif[_DENSITY_UNIT] = _INCH
        comment = _ASCII + json.dumps(self.record).encode("ascii")
        exif[_EXIF_BLOCK] = {_USER_COMMENT: comment, _COLOUR_SPACE: 1}  # sRGB
        options: dict[str, dict[str, Any]] = {
            # Strategy RLE of zlib: as fast as level 1, and smaller for few colours with fine texture.
            "PNG": {"compress_type": _ZLIB_RLE, "dpi": (DENSITY_DPI, DENSITY_DPI)},
            "JPEG": {"quality": quality, "subsampling": 0, "dpi": (DENSITY_DPI, DENSITY_DPI)},
            "WEBP": {"lossless": True},
        }
        # With a file name instead of a format, Pillow imports one plugin instead of five, which saves 0.01 s.
        buffer = _NamedBuffer(f"picture.{kind.lower()}")
        Image.fromarray(self.pixels).save(buffer, exif=exif, icc_profile=_srgb_profile(), **options[kind])
        return buffer.getbuffer()  # not a copy


class _NamedBuffer(io.BytesIO):
    """A file in memory with a name, whose extension determines the format."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


def picture_format(path: str | Path, size: tuple[int, int] | None = None) -> str:
    """Return Pillow's name of the format of a file name.

    Raises
    ------
    PictureError
        If the extension is not in `FORMATS`, or the format does not allow ``size`` (width, height).
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise PictureError(
            f"{path}: pictures are written as {', '.join(FORMATS)}, not as {suffix or 'a file without extension'}"
        )
    if size is not None and FORMATS[suffix] == "WEBP" and size[0] * size[1] > MAX_WEBP_PIXELS:
        raise PictureError(
            f"{path}: {size[0]} x {size[1]} pixels are too many for WebP, which is written up to 4096 x 4096; "
            "give a name that ends in .png or .jpg"
        )
    return FORMATS[suffix]


def read_record(path: FileName) -> dict[str, Any]:
    """Return the record of a picture that Clavilux painted.

    Raises
    ------
    PictureError
        If the file is not PNG, JPEG or WebP, is damaged, or has no record: other programs and websites often remove
        the record when they save a picture.

    Examples
    --------
    >>> read_record("nocturne.png")["seed"]  # doctest: +SKIP
    0
    """
    from clavilux.images import open_picture

    path = file_path("path", path)
    with open_picture(path, tuple(dict.fromkeys(FORMATS.values()))) as image:
        if image.width * image.height > SIZE_RANGE_PX[1] ** 2:
            raise PictureError(
                f"has {image.width} x {image.height} pixels, more than any picture of Clavilux; it carries no record"
            )
        comment = image.getexif().get_ifd(_EXIF_BLOCK).get(_USER_COMMENT)
    if not isinstance(comment, bytes) or not comment.startswith(_ASCII):
        raise PictureError(
            f"{path}: carries no record of Clavilux; it was not painted by it, or was saved anew without it"
        )
    try:
        record: Any = json.loads(comment.removeprefix(_ASCII))
    except (ValueError, RecursionError) as error:
        raise PictureError(f"{path}: carries a damaged record: {error}") from error
    if not isinstance(record, dict) or "clavilux" not in record:
        raise PictureError(f"{path}: carries a comment that is not a record of Clavilux")
    return record


def name_colour(rgb: Float32) -> str:
    """Return the English name of an sRGB colour (3,) in [0, 1], by its lightness, chroma and hue in CIELAB.

    Examples
    --------
    >>> name_colour(np.asarray([0.1, 0.2, 0.6], np.float32))
    'dark blue'
    """
    lightness, a, b = (float(value) for value in srgb_to_lab(rgb))
    chroma, hue = math.hypot(a, b), math.degrees(math.atan2(b, a)) % 360
    if chroma < 10:  # perceived as grey
        return next(name for limit, name in _GREYS if lightness < limit)
    name = next(name for limit, name in _HUES if hue < limit)
    if name in ("orange", "yellow"):
        if lightness < 60:
            name = "brown" if name == "orange" else "olive"
        elif chroma < 35:
            name = "beige"
    tone = "dark " if lightness < 30 else "light " if lightness > 80 and name != "yellow" else ""
    return tone + name


_GREYS = ((12.0, "black"), (40.0, "dark grey"), (70.0, "grey"), (92.0, "light grey"), (math.inf, "white"))
_HUES = (  # upper limit in degrees; the hues of sRGB are red 40, yellow 103, green 136, cyan 196, blue 306, magenta 328
    (12.0, "pink"),
    (50.0, "red"),
    (82.0, "orange"),
    (112.0, "yellow"),
    (170.0, "green"),
    (230.0, "turquoise"),
    (307.0, "blue"),
    (322.0, "violet"),
    (345.0, "magenta"),
    (math.inf, "pink"),
)


def _srgb_profile() -> bytes:
    """Return the sRGB profile of Little CMS without its creation date, so that files are reproducible."""
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + bytes(12) + profile[36:]  # ICC.1:2010, table 17: bytes 24 to 35 are the date of creation
