"""A painted picture: its pixels, the record that repaints it, and how both lie in one file.

controls -> painter -> pixels -> **here** -> PNG, JPEG or WebP

The record travels in the Exif block, which all three formats carry: the JSON text in ``UserComment``, a sentence for
those who cannot see the picture in ``ImageDescription``, the program in ``Software``.
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
    """A picture and what it was painted from.

    Attributes
    ----------
    pixels : (H, W, 3) uint8
        sRGB, first row at the top.
    record : dict
        What repaints it: ``clavilux`` (version), ``song`` (name, sha256), ``bundle`` (name, sha256 of bundle.json),
        ``size`` [width, height], ``seed``, ``sibling`` (0 is the song's own picture), ``variation``, ``options``.
    controls : Controls or None
        What the painter painted from; None where the decoder of the bundle gives pixels.
    z_image : (64,) float32
        The latent that the picture was decoded from.
    song : Song
        What was heard.
    """

    pixels: UInt8
    record: dict[str, Any]
    controls: Controls | None
    z_image: Float32
    song: Song

    @cached_property
    def description(self) -> str:
        """One sentence that says what is to be seen, for those who cannot see it.

        It names up to three colours, those that cover most of the pixels (every eighth row and column is counted) and
        at least one in fifty, in that order.
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
        marks, across = MARKS[self.controls.kind].description, round(self.controls.frequency)
        return f"Abstract picture in {colour_text}: {marks}, about {across} across its short side."

    def save(self, path: FileName, *, quality: Number = 95, exclusive: bool = False) -> None:
        """Write the picture with its record, as PNG, JPEG or WebP by the extension.

        The file appears whole or not at all: it is written beside its place and then renamed. Its colours are tagged as
        sRGB, so that wide-gamut screens show the same picture, and its density is 300 pixels an inch.

        Parameters
        ----------
        path : path-like
            Ends in .png, .jpg, .jpeg or .webp. A file that is there is replaced. PNG and WebP keep every pixel: with
            so few colours lossless WebP is half as large as WebP of quality 95, and a third to a half of PNG. It is
            slow, and limited to `MAX_WEBP_PIXELS`.
        quality : int
            1 to 100, of JPEG, which keeps its colour at full resolution for the crisp borders of the marks.
        exclusive : bool
            Replace nothing: of two processes that write one name at once, one gets it.

        Raises
        ------
        FileExistsError
            With ``exclusive``, if there is a file of that name.
        PictureError
            If the format is unknown or cannot hold so many pixels, an argument is of another type or out of range, or
            the file cannot be written.
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
        """Compress the picture with its record and its colour profile."""
        from PIL import Image

        exif = Image.Exif()
        exif[_IMAGE_DESCRIPTION] = self.description
        exif[_SOFTWARE] = f"clavilux {__version__}"
        exif[_X_DENSITY] = exif[_Y_DENSITY] = float(DENSITY_DPI)
        exif[_DENSITY_UNIT] = _INCH
        comment = _ASCII + json.dumps(self.record).encode("ascii")
        exif[_EXIF_BLOCK] = {_USER_COMMENT: comment, _COLOUR_SPACE: 1}  # sRGB
        options: dict[str, dict[str, Any]] = {
            # Of the strategies of zlib, runs alone: as fast as level 1 and smaller for few colours with a fine grain.
            "PNG": {"compress_type": _ZLIB_RLE, "dpi": (DENSITY_DPI, DENSITY_DPI)},
            "JPEG": {"quality": quality, "subsampling": 0, "dpi": (DENSITY_DPI, DENSITY_DPI)},
            "WEBP": {"lossless": True},
        }
        # By the name, not told the format, Pillow loads one format's code in place of five: 0.01 s.
        buffer = _NamedBuffer(f"picture.{kind.lower()}")
        Image.fromarray(self.pixels).save(buffer, exif=exif, icc_profile=_srgb_profile(), **options[kind])
        return buffer.getbuffer()  # not a copy


class _NamedBuffer(io.BytesIO):
    """A file in memory with a name, whose extension says the format."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


def picture_format(path: str | Path, size: tuple[int, int] | None = None) -> str:
    """Return Pillow's name of the format that the extension of a path asks for.

    Raises
    ------
    PictureError
        If it is not one of `FORMATS`, or cannot hold a picture of ``size`` (width, height).
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
        If the file is not a PNG, JPEG or WebP file, is damaged, or carries no record: programs and websites that save
        a picture anew often drop it.

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
    """Name an sRGB colour (3,) in [0, 1] in plain words, by its lightness, chroma and hue in CIELAB.

    Examples
    --------
    >>> name_colour(np.asarray([0.1, 0.2, 0.6], np.float32))
    'dark blue'
    """
    lightness, a, b = (float(value) for value in srgb_to_lab(rgb))
    chroma, hue = math.hypot(a, b), math.degrees(math.atan2(b, a)) % 360
    if chroma < 10:  # seen as a grey
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
    """Return the sRGB profile of Little CMS without its date, so that the same picture gives the same bytes."""
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + bytes(12) + profile[36:]  # ICC.1:2010, table 17: bytes 24 to 35 are the date of creation
