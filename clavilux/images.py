"""Read picture files as pixels (H, W, 3) uint8 sRGB, as a viewer shows them, and crop and resize pictures.

Training, the picture encoder, the measures and the corpus all read pictures with this module.
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
    from PIL import Image  # imported in functions: it takes 0.03 s, which painting a song does not need
    from PIL.ImageFile import ImageFile

PICTURE_SUFFIXES = frozenset({
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif",
})  # fmt: skip
"""Extensions of the picture files that are read, in lower case."""

UNSUPPORTED_PICTURE_SUFFIXES = frozenset({
    ".heic", ".heif", ".hif", ".jxl", ".jp2", ".j2k", ".jpx", ".psd", ".psb", ".xcf", ".kra", ".svg", ".svgz", ".eps",
    ".ai", ".pdf", ".tga", ".dds", ".exr", ".hdr", ".ico", ".icns", ".pcx", ".ppm", ".pgm", ".pbm", ".pnm", ".raw",
    ".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw",
})  # fmt: skip
"""Extensions of picture files that are not read although a user may expect it, in lower case."""

MAX_PIXELS = 2**27
"""Largest number of pixels: enough for a photograph of 108 megapixels, read in less than 1 GB of memory."""

_MAX_PIXELS_WEBP = 2**26  # its decoder needs three copies, so the memory is the same

_READERS = {  # Pillow's module for each format; the content of a file decides its format, not its name
    "JPEG": "JpegImagePlugin",
    "PNG": "PngImagePlugin",
    "WEBP": "WebPImagePlugin",
    "GIF": "GifImagePlugin",
    "TIFF": "TiffImagePlugin",
    "BMP": "BmpImagePlugin",
    "AVIF": "AvifImagePlugin",
}
_STRIP_PIXELS = 2**21  # converted at a time, to limit the memory
_WHITE = (255, 255, 255, 255)
_HIGHLIGHTS = 16.0  # largest value in a file of floats that is still read with white = 1


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Return the pixels (H, W, 3) uint8 sRGB of a picture file as a viewer shows it.

    The picture is rotated according to its Exif orientation. Its colours are converted from its colour profile, or from
    the gamma and primaries of a PNG; without them, or if the profile is damaged, they are read as sRGB. The background
    of transparent parts is white. Of an animation or a file with several pages, the first picture is read.

    Samples of 16 bits are scaled to 8 bits. For integers of 32 bits, white is the smallest of 255, 65 535 and the
    maximum of their type that no sample exceeds. For floats, white is 1 if no sample exceeds 16, else as for integers.

    Parameters
    ----------
    path : Path
        A PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF file of at most `MAX_PIXELS` pixels, with any extension.

    Raises
    ------
    PictureError
        If the file is missing, in another format, damaged, cut off or too large.
    """
    with _as_picture_error(f"{path}: "), _regular_file(path) as file:
        return _read(file)


def decode_picture(content: bytes) -> NDArray[np.uint8]:
    """Return the pixels (H, W, 3) uint8 sRGB of the content of a picture file, like `read_picture`.

    Error messages do not name a file.
    """
    import io

    with _as_picture_error(""):
        return _read(io.BytesIO(content))


@contextmanager
def open_picture(path: Path, formats: tuple[str, ...]) -> Iterator[ImageFile]:
    """Yield a picture file as an image of Pillow whose pixels are not decoded yet.

    Parameters
    ----------
    path : Path
    formats : tuple of str
        Pillow's names of the allowed formats.

    Raises
    ------
    PictureError
        If the file cannot be read, or the ``with`` block raises any exception.
    """
    with _as_picture_error(f"{path}: "), _regular_file(path) as file, _opened(file, formats) as image:
        yield image


def middle_square(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the largest centred square (S, S, 3) of a picture (H, W, 3); S is the shorter side."""
    height, width = rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return rgb[top : top + side, left : left + side]


def resize(rgb: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) uint8, resized to (side, side, 3) uint8.

    A box filter is used if both sides shrink by a factor of 2 or more, else bicubic interpolation.
    """
    from PIL import Image

    method = Image.Resampling.BOX if min(rgb.shape[:2]) >= 2 * side else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(rgb).resize((side, side), method), np.uint8)


def enlarge(rgb: NDArray[np.float32], width: int, height: int) -> NDArray[np.uint8]:
    """Return a square picture (S, S, 3) in [0, 1], enlarged to (height, width, 3) uint8 by bicubic interpolation.

    The picture fills the longer side and is cropped symmetrically along the shorter side.
    """
    from PIL import Image

    side = max(width, height)
    square = Image.fromarray(np.rint(255 * np.clip(rgb, 0, 1)).astype(np.uint8))
    left, top = (side - width) / 2 * len(rgb) / side, (side - height) / 2 * len(rgb) / side
    box = (left, top, len(rgb) - left, len(rgb) - top)
    return np.asarray(square.resize((width, height), Image.Resampling.BICUBIC, box), np.uint8)


@contextmanager
def _as_picture_error(prefix: str) -> Iterator[None]:
    """Raise every exception of the block as a `PictureError` whose message begins with ``prefix``.

    For damaged files, Pillow's decoders raise OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError,
    EOFError, RuntimeError, NotImplementedError, OverflowError, MemoryError, struct.error and zlib.error.
    """
    from PIL import Image

    try:
        yield
    except PictureError as error:
        raise PictureError(f"{prefix}{error}") from error
    except Image.DecompressionBombError as error:
        raise PictureError(
            f"{prefix}has far more than {MAX_PIXELS / 1e6:.0f} million pixels, which is the limit; make it smaller"
        ) from error
    except MemoryError as error:
        raise PictureError(f"{prefix}reading it takes more memory than there is") from error
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else f"damaged: {error}".rstrip(": ")
        raise PictureError(f"{prefix}cannot be read ({' '.join(reason.split())})") from error


@contextmanager
def _regular_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading; raise `PictureError` if it is not a regular file, since opening a pipe may block."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise PictureError("is not a regular file")
    with open(path, "rb") as file:
        yield file


class _PillowSilenced:
    """Context without Pillow's warnings about unusual headers, Exif data and large pictures.

    Warning filters are global and several threads may read pictures, so the first thread to enter sets the filter and
    the last one to leave removes it.
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
logging.getLogger("PIL").addHandler(logging.NullHandler())  # else Python prints Pillow's log messages


@contextmanager
def _libtiff_silenced() -> Iterator[None]:
    """Redirect stderr of the process to null: libtiff prints errors there, which Pillow cannot disable."""
    with _libtiff_lock, ExitStack() as stack:
        with suppress(OSError):  # stderr is closed
            saved = os.dup(2)
            stack.callback(os.close, saved)
            with open(os.devnull, "wb") as null:
                os.dup2(null.fileno(), 2)
            stack.callback(os.dup2, saved, 2)
        yield


@contextmanager
def _opened(file: BinaryIO, formats: tuple[str, ...]) -> Iterator[ImageFile]:
    """Read the header of a picture with some of Pillow's readers; others start programs (EPS) or accept anything."""
    from PIL import Image, UnidentifiedImageError

    for name in formats:
        with suppress(ModuleNotFoundError):  # Pillow reads AVIF since 11.3
            import_module(f"PIL.{_READERS[name]}")
    available = [name for name in formats if name in Image.OPEN]
    with _pillow_silenced:
        try:
            image = Image.open(file, formats=available)
        except UnidentifiedImageError as error:
            raise PictureError(f"is not a picture in a supported format ({', '.join(available)})") from error
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
                raise PictureError("cannot be read (damaged: rows are missing)")  # Pillow would make them black
        samples = str(image.tile[0].args) if image.tile else ""  # read before `load`, which discards it
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
    """Return the size of a TIFF tile in pixels, 0 without tiles; a tile may be larger than the picture."""
    tags = getattr(image, "tag_v2", {})
    return int(tags.get(322, 0)) * int(tags.get(323, 0))


def _orientation(image: Image.Image) -> int:
    """Return the Exif orientation, 1 to 8 (Exif 2.32, 4.6.4); 1 if it is missing or damaged, as in viewers.

    Pillow has already rotated a TIFF and removed its orientation.
    """
    try:
        value: Any = image.getexif().get(0x0112)
        return int(value) if value in range(1, 9) else 1
    except Exception:  # Pillow's Exif parser raises any exception; the pixels are valid
        return 1


def _as_stored(upright: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return a view of upright pixels that has the orientation of the file."""
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
    """Return a function that converts a strip of the picture to pixels (h, w, 3) uint8 sRGB."""
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
            # A greyscale profile needs one channel; the three channels of grey are equal.
            strip = strip.getchannel("R") if image.mode in ("LA", "La") else strip.convert("RGB")
        rgb = convert(strip)
        if opacity is None:
            return np.asarray(rgb)
        rgb.putalpha(opacity)
        return np.asarray(Image.alpha_composite(Image.new("RGBA", rgb.size, _WHITE), rgb).convert("RGB"))

    return to_rgb


def _transparent_colour(image: Image.Image, samples: str) -> NDArray[np.generic] | None:
    """Return the transparent colour of a picture without a palette, in the units of Pillow's pixels, or None.

    A PNG stores it with the bit depth of the file (PNG specification, third edition, 11.3.1.1); Pillow scales the
    pixels to 8 bits but not this colour.
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
    """Return a function that converts greyscale samples of 16 bits, 32 bits or floats to 8 bits."""
    tags = getattr(image, "tag_v2", {})
    bits = int(tags.get(258, (16,))[0])
    is_signed = tags.get(339, (1,))[0] == 2
    is_inverted = tags.get(262, 1) == 0  # a sample of 0 is white
    top = float(2 ** (bits - is_signed) - 1)

    def with_file_type(values: NDArray[Any]) -> NDArray[Any]:
        """Return samples with the type of the file: Pillow stores unsigned 32-bit samples as signed."""
        return values.view(np.uint32) if image.mode == "I" and bits == 32 and not is_signed else values

    if bits == 32:
        rows = max(1, _STRIP_PIXELS // image.width)
        strips = (image.crop((0, y, image.width, min(y + rows, image.height))) for y in range(0, image.height, rows))
        largest = float(np.max([with_file_type(np.asarray(strip)).max() for strip in strips]))
        if not np.isfinite(largest):
            raise PictureError("holds samples that are not finite numbers")
        limits = (255.0, 65_535.0, max(top, largest))
        top = 1.0 if image.mode == "F" and largest <= _HIGHLIGHTS else next(v for v in limits if largest <= v)

    def scale(values: NDArray[Any]) -> NDArray[np.uint8]:
        share = np.clip(with_file_type(values).astype(np.float32) / np.float32(top), 0, 1)
        return np.asarray(np.rint(255 * (1 - share if is_inverted else share)), np.uint8)

    return scale
