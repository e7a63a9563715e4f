"""Picture files as pixels: the one reader of training, the picture encoder, the measures and the corpus.

picture file -> **here** -> (H, W, 3) uint8 sRGB as a viewer shows it, and squares of one size cut out of it
"""

from __future__ import annotations

import logging
import os
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from clavilux.errors import PictureError

if TYPE_CHECKING:
    from PIL import Image  # imported where it is used: 0.03 s that painting a song does not need
    from PIL.ImageFile import ImageFile

PICTURE_SUFFIXES = frozenset({
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif",
})  # fmt: skip
"""Extensions of the picture files that are read, lower case."""

UNSUPPORTED_PICTURE_SUFFIXES = frozenset({
    ".heic", ".heif", ".hif", ".jxl", ".jp2", ".j2k", ".jpx", ".psd", ".psb", ".xcf", ".kra", ".svg", ".svgz", ".eps",
    ".ai", ".pdf", ".tga", ".dds", ".exr", ".hdr", ".ico", ".icns", ".pcx", ".ppm", ".pgm", ".pbm", ".pnm", ".raw",
    ".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw",
})  # fmt: skip
"""Extensions of picture files that a user may expect to be read and that are not, lower case."""

MAX_PIXELS = 2**27
"""Pixels of the largest picture that is read: a photograph of 108 million passes, in less than 1 GB of memory."""

_MAX_PIXELS_WEBP = 2**26  # its decoder holds three copies: as much memory as for the others

_READERS = {  # Pillow's module for each format; the format is found by what a file contains, whatever its name
    "JPEG": "JpegImagePlugin",
    "PNG": "PngImagePlugin",
    "WEBP": "WebPImagePlugin",
    "GIF": "GifImagePlugin",
    "TIFF": "TiffImagePlugin",
    "BMP": "BmpImagePlugin",
    "AVIF": "AvifImagePlugin",
}
_STRIP_PIXELS = 2**21  # converted at a time, so that only the result is as large as the picture
_WHITE = (255, 255, 255, 255)
_HIGHLIGHTS = 16.0  # the largest number in a file of floats whose white is still taken to be 1


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Return the pixels (H, W, 3) uint8 sRGB of a picture file as a viewer shows it.

    The picture is turned as its Exif orientation says. Its colours are converted from its colour profile, or from the
    gamma and primaries of a PNG; without them, or if the profile is damaged, they are taken to be sRGB. Transparent
    parts lie on white. Of an animation or of several pages, the first counts.

    Samples of 16 bits are scaled to 8. Integers of 32 bits are divided by the smallest of 255, 65 535 and their type's
    maximum that none exceeds; floats are taken as they are if none exceeds 16 (1 is white), else as integers are.

    Parameters
    ----------
    path : Path
        A PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF file with any extension, of at most `MAX_PIXELS` pixels.

    Raises
    ------
    PictureError
        The file is missing, in another format, damaged, cut off or too large.
    """
    with _faults_named(f"{path}: "), _regular_file(path) as file:
        return _read(file)


def decode_picture(content: bytes) -> NDArray[np.uint8]:
    """Return the pixels of a picture file that is in memory, as `read_picture` does; its errors name no file."""
    import io

    with _faults_named(""):
        return _read(io.BytesIO(content))


@contextmanager
def open_picture(path: Path, formats: tuple[str, ...]) -> Iterator[ImageFile]:
    """Open a picture file whose format is one of some that Pillow names, without decoding it.

    Raises
    ------
    PictureError
        Whatever is wrong with the file, also if it is found out inside the block.
    """
    with _faults_named(f"{path}: "), _regular_file(path) as file, _opened(file, formats) as image:
        yield image


def middle_square(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the largest square in the middle of a picture (H, W, 3)."""
    height, width = rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return rgb[top : top + side, left : left + side]


def resize(rgb: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return a picture as (side, side, 3) pixels, by area averaging (box) if it shrinks by 2 or more, else bicubic."""
    from PIL import Image

    method = Image.Resampling.BOX if min(rgb.shape[:2]) >= 2 * side else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(rgb).resize((side, side), method), np.uint8)


def enlarge(rgb: NDArray[np.float32], width: int, height: int) -> NDArray[np.uint8]:
    """Return square pixels (S, S, 3) in [0, 1] as (height, width, 3) uint8, bicubic; the longer side is filled."""
    from PIL import Image

    side = max(width, height)
    square = Image.fromarray(np.rint(255 * np.clip(rgb, 0, 1)).astype(np.uint8))
    left, top = (side - width) / 2 * len(rgb) / side, (side - height) / 2 * len(rgb) / side
    box = (left, top, len(rgb) - left, len(rgb) - top)
    return np.asarray(square.resize((width, height), Image.Resampling.BICUBIC, box), np.uint8)


@contextmanager
def _faults_named(prefix: str) -> Iterator[None]:
    """Turn everything that reading a picture raises into one `PictureError`.

    Pillow's decoders raise whatever the damage leads to: OSError, SyntaxError, ValueError, TypeError, KeyError,
    IndexError, EOFError, RuntimeError, NotImplementedError, OverflowError, MemoryError, struct.error, zlib.error.
    """
    from PIL import Image

    try:
        yield
    except PictureError as error:
        raise PictureError(f"{prefix}{error}") from error
    except Image.DecompressionBombError as error:
        raise PictureError(
            f"{prefix}has far more than {MAX_PIXELS / 1e6:.0f} million pixels, the most that are read; make it smaller"
        ) from error
    except MemoryError as error:
        raise PictureError(f"{prefix}reading it takes more memory than there is") from error
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else f"damaged: {error}".rstrip(": ")
        raise PictureError(f"{prefix}cannot be read ({' '.join(reason.split())})") from error


@contextmanager
def _regular_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading; refuse a pipe, which might never answer, before it is opened."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise PictureError("is not a regular file")
    with open(path, "rb") as file:
        yield file


class _PillowSilenced:
    """Context in which Pillow does not warn of odd headers, odd Exif and large pictures.

    Filters of warnings belong to the process and threads read side by side: the first to enter sets the filter, the
    last to leave takes it away.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)


_pillow_silenced = _PillowSilenced()


_libtiff_lock = threading.Lock()
logging.getLogger("PIL").addHandler(logging.NullHandler())  # else Python prints what Pillow logs of damaged files


@contextmanager
def _libtiff_silenced() -> Iterator[None]:
    """Send stderr of the process to nowhere: libtiff prints what it finds damaged, and Pillow has no switch for it."""
    with _libtiff_lock, ExitStack() as stack:
        with suppress(OSError):  # stderr is closed, so nothing can be printed
            kept = os.dup(2)
            stack.callback(os.close, kept)
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            stack.callback(os.dup2, kept, 2)
        yield


@contextmanager
def _opened(file: BinaryIO, formats: tuple[str, ...]) -> Iterator[ImageFile]:
    """Read the header of a picture with some of Pillow's readers only: others start programs (EPS) or take anything."""
    from PIL import Image, UnidentifiedImageError

    for name in formats:
        with suppress(ModuleNotFoundError):  # Pillow reads AVIF since 11.3
            import_module(f"PIL.{_READERS[name]}")
    here = [name for name in formats if name in Image.OPEN]
    with _pillow_silenced:
        try:
            image = Image.open(file, formats=here)
        except UnidentifiedImageError as error:
            raise PictureError(f"is not a picture in a format that is read here ({', '.join(here)})") from error
        with image:
            yield image


def _read(file: BinaryIO) -> NDArray[np.uint8]:
    with _opened(file, tuple(_READERS)) as image:
        limit = _MAX_PIXELS_WEBP if image.format == "WEBP" else MAX_PIXELS
        if max(image.width * image.height, _tile_pixels(image)) > limit:
            raise PictureError(
                f"has {image.width} x {image.height} pixels; at most {limit / 1e6:.0f} million are read in "
                f"{image.format}: make it smaller"
            )
        if image.format == "TIFF":
            ends = [tile[1][2:] for tile in image.tile if tile[1]] or [(0, 0)]
            if max(x for x, _ in ends) * max(y for _, y in ends) < image.width * image.height:
                raise PictureError("cannot be read (damaged: rows are missing)")  # Pillow would leave them black
        samples = str(image.tile[0].args) if image.tile else ""  # loading forgets how samples are stored
        with _libtiff_silenced() if image.format == "TIFF" else nullcontext():
            image.load()
        to_rgb = _conversion(image, samples)
        width, height = image.size
        orientation = _orientation(image)
        upright = np.empty((width, height, 3) if orientation > 4 else (height, width, 3), np.uint8)
        stored = _as_stored(upright, orientation)
        rows = max(1, _STRIP_PIXELS // width)
        for top in range(0, height, rows):
            bottom = min(height, top + rows)
            stored[top:bottom] = to_rgb(image.crop((0, top, width, bottom)))
        return upright


def _tile_pixels(image: Image.Image) -> int:
    """Return the size of a tile of a TIFF, for which memory is taken however small the picture is; 0 without tiles."""
    tags = getattr(image, "tag_v2", {})
    return int(tags.get(322, 0)) * int(tags.get(323, 0))


def _orientation(image: Image.Image) -> int:
    """Return the Exif orientation, 1 to 8 (Exif 2.32, 4.6.4); 1 if there is none or, as viewers do, if it is damaged.

    A TIFF was turned when it was loaded and has none any more.
    """
    try:
        value: Any = image.getexif().get(0x0112)
        return int(value) if value in range(1, 9) else 1
    except Exception:  # the parser of Exif raises as much as the decoders do; the pixels are sound
        return 1


def _as_stored(upright: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return a view of upright pixels whose rows are those of the file."""
    views = {
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }
    return views.get(orientation, upright)


def _conversion(image: Image.Image, samples: str) -> Callable[[Image.Image], NDArray[np.uint8]]:
    """Return the function from a strip of a picture in Pillow's mode to pixels (h, w, 3) uint8 sRGB."""
    from PIL import Image

    from clavilux.profiles import to_srgb

    key = _transparent_colour(image, samples)
    grey = _grey_scale(image) if image.mode[0] in "IF" else None
    convert = to_srgb(image)

    def to_rgb(strip: Image.Image) -> NDArray[np.uint8]:
        opacity: Image.Image | None = None
        if key is not None:
            opaque = np.asarray(strip) != key
            opaque = opaque.any(axis=2) if opaque.ndim == 3 else opaque
            opacity = Image.fromarray(opaque.astype(np.uint8) * np.uint8(255))
            strip.info.pop("transparency")
        if grey is not None:
            strip = Image.fromarray(grey(np.asarray(strip)))
        elif strip.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in strip.info:
            strip = strip.convert("RGBA")
            opacity = strip.getchannel("A")
            # A profile of greys needs the greys back; they are equal in all three.
            strip = strip.getchannel("R") if image.mode in ("LA", "La") else strip.convert("RGB")
        rgb = convert(strip)
        if opacity is None:
            return np.asarray(rgb)
        rgb.putalpha(opacity)
        return np.asarray(Image.alpha_composite(Image.new("RGBA", rgb.size, _WHITE), rgb).convert("RGB"))

    return to_rgb


def _transparent_colour(image: Image.Image, samples: str) -> NDArray[np.generic] | None:
    """Return the colour that is transparent in a picture without palette, as its pixels are in memory, or None.

    A PNG gives it in the file's own bits (PNG specification, third edition, 11.3.1.1), which Pillow has scaled to 8.
    """
    if "transparency" not in image.info or not (image.mode in ("1", "L", "RGB") or image.mode.startswith("I")):
        return None
    colour = np.atleast_1d(np.asarray(image.info["transparency"]))
    if "RGB;16" in samples:
        return colour >> 8
    if image.mode == "L":
        return colour * (85 if "L;2" in samples else 17 if "L;4" in samples else 1)
    return colour.astype(bool) if image.mode == "1" else colour


def _grey_scale(image: Image.Image) -> Callable[[NDArray[Any]], NDArray[np.uint8]]:
    """Return the function from greys of 16 bits, of 32 bits or of floats to 8 bits."""
    tags = getattr(image, "tag_v2", {})
    bits = int(tags.get(258, (16,))[0])
    is_signed = tags.get(339, (1,))[0] == 2
    is_inverted = tags.get(262, 1) == 0  # 0 is white
    top = float(2 ** (bits - is_signed) - 1)

    def plain(values: NDArray[Any]) -> NDArray[Any]:
        """Samples as the file means them: Pillow keeps those of 32 bits without sign as such with sign."""
        return values.view(np.uint32) if image.mode == "I" and bits == 32 and not is_signed else values

    if bits == 32:
        rows = max(1, _STRIP_PIXELS // image.width)
        strips = (image.crop((0, y, image.width, min(y + rows, image.height))) for y in range(0, image.height, rows))
        largest = float(np.max([plain(np.asarray(strip)).max() for strip in strips]))
        if not np.isfinite(largest):
            raise PictureError("holds samples that are not finite numbers")
        limits = (255.0, 65_535.0, max(top, largest))
        top = 1.0 if image.mode == "F" and largest <= _HIGHLIGHTS else next(v for v in limits if largest <= v)

    def scale(values: NDArray[Any]) -> NDArray[np.uint8]:
        share = np.clip(plain(values).astype(np.float32) / np.float32(top), 0, 1)
        return np.asarray(np.rint(255 * (1 - share if is_inverted else share)), np.uint8)

    return scale
