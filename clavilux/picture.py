"""A painted picture: its pixels, the record that repaints it, and how both lie in one file.

controls -> painter -> pixels -> **here** -> PNG, JPEG or WebP

The record travels in the Exif block, which all three formats carry: the JSON text in ``UserComment``, a sentence for
those who cannot see the picture in ``ImageDescription``, the program in ``Software``.
"""

from __future__ import annotations

import io
import json
import math
import os
import secrets
import stat
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import srgb_to_lab
from clavilux.constants import DENSITY_DPI
from clavilux.errors import PictureError
from clavilux.painter.controls import Controls
from clavilux.painter.marks import MARKS
from clavilux.system.arguments import MAX_THREADS, FileName, Number, file_path, whole_number
from clavilux.version import __version__

if TYPE_CHECKING:
    from clavilux.audio.song import Song

UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}

# Exif tags and the mark of an ASCII comment (Exif 2.32, tables 3 to 6)
_IMAGE_DESCRIPTION, _SOFTWARE, _EXIF_BLOCK, _USER_COMMENT, _COLOUR_SPACE = 0x010E, 0x0131, 0x8769, 0x9286, 0xA001
_X_DENSITY, _Y_DENSITY, _DENSITY_UNIT, _INCH = 0x011A, 0x011B, 0x0128, 2
_ASCII = b"ASCII\0\0\0"


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

    def save(self, path: FileName, *, quality: Number = 95, threads: Number = 1) -> None:
        """Write the picture with its record, as PNG, JPEG or WebP by the extension.

        The file appears whole or not at all: it is written beside its place and then renamed. Its colours are tagged as
        sRGB, so that wide-gamut screens show the same picture, and its density is 300 pixels an inch.

        Parameters
        ----------
        path : path-like
            Ends in .png, .jpg, .jpeg or .webp. A file that is there is replaced. PNG and WebP keep every pixel: with
            so few colours lossless WebP is half as large as WebP of quality 95, and a third of PNG.
        quality : int
            1 to 100, of JPEG, which keeps its colour at full resolution for the crisp borders of the marks.
        threads : int
            Threads that compress a PNG side by side; the file is the same for any number of them.

        Raises
        ------
        PictureError
            If the format is unknown, an argument is of another type or out of range, or the file cannot be written.
        """
        path = file_path("path", path)
        kind = picture_format(path)
        quality = whole_number("quality", quality, 1, 100)
        content = self._encode(kind, quality, whole_number("threads", threads, 1, MAX_THREADS))
        temporary = path.with_name(f".clavilux-{os.getpid()}-{secrets.token_hex(4)}.tmp")
        try:
            try:
                temporary.write_bytes(content)
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            raise PictureError(f"{path}: cannot be written ({error.strerror or error})") from error

    def _encode(self, kind: str, quality: int, threads: int) -> bytes:
        """Compress the picture with its record and its colour profile."""
        from PIL import Image

        exif = Image.Exif()
        exif[_IMAGE_DESCRIPTION] = self.description
        exif[_SOFTWARE] = f"clavilux {__version__}"
        exif[_X_DENSITY] = exif[_Y_DENSITY] = float(DENSITY_DPI)
        exif[_DENSITY_UNIT] = _INCH
        block = exif.get_ifd(_EXIF_BLOCK)
        block[_USER_COMMENT] = _ASCII + json.dumps(self.record).encode("ascii")
        block[_COLOUR_SPACE] = 1  # sRGB
        if kind == "PNG" and self.controls is not None:
            from clavilux.png import encode_png

            block_bytes = exif.tobytes().removeprefix(b"Exif\0\0")
            return encode_png(self.pixels, exif=block_bytes, icc_profile=_srgb_profile(), threads=threads)
        options: dict[str, dict[str, Any]] = {
            # Of a decoder that gives pixels: soft, and smaller if filtered.
            "PNG": {"compress_level": 3, "dpi": (DENSITY_DPI, DENSITY_DPI)},
            "JPEG": {"quality": quality, "subsampling": 0, "dpi": (DENSITY_DPI, DENSITY_DPI)},
            "WEBP": {"lossless": True},
        }
        # By the name, not told the format, Pillow loads one format's code in place of five: 0.01 s.
        buffer = _NamedBuffer(f"picture.{kind.lower()}")
        Image.fromarray(self.pixels).save(buffer, exif=exif, icc_profile=_srgb_profile(), **options[kind])
        return buffer.getvalue()


class _NamedBuffer(io.BytesIO):
    """A file in memory with a name, whose extension says the format."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


def picture_format(path: str | Path) -> str:
    """Return Pillow's name of the format that the extension of a path asks for, or raise `PictureError`."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise PictureError(
            f"{path}: pictures are written as {', '.join(FORMATS)}, not as {suffix or 'a file without extension'}"
        )
    return FORMATS[suffix]


def read_record(path: FileName) -> dict[str, Any]:
    """Return the record of a picture that Clavilux painted.

    Raises
    ------
    PictureError
        If the file is no picture, or carries no record: programs and websites that save a picture anew often drop it.

    Examples
    --------
    >>> read_record("nocturne.png")["seed"]  # doctest: +SKIP
    0
    """
    from PIL import Image, UnidentifiedImageError

    path = file_path("path", path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # to open a pipe may take forever
            raise PictureError(f"{path}: is no file; give a picture that Clavilux painted")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow finds odd in the Exif of any picture
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                comment = image.getexif().get_ifd(_EXIF_BLOCK).get(_USER_COMMENT)
    except UnidentifiedImageError as error:
        raise PictureError(f"{path}: is no picture that can be read") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise PictureError(f"{path}: says that it is larger than any picture of Clavilux") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # SyntaxError is what Pillow raises for a broken PNG
        raise PictureError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if not isinstance(comment, bytes) or not comment.startswith(_ASCII):
        raise PictureError(
            f"{path}: carries no record of Clavilux; it was not painted by it, or was saved anew without it"
        )
    try:
        record: Any = json.loads(comment.removeprefix(_ASCII))
    except (ValueError, RecursionError) as error:
        raise PictureError(f"{path}: carries a damaged record: {error}") from error
    if not isinstance(record, dict) or "clavilux" not in record:
        raise PictureError(f"{path}: carries a comment that is no record of Clavilux")
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
