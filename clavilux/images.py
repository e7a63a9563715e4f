"""Read picture files as pixels (H, W, 3) uint8 sRGB, as a viewer shows them, and crop and resize pictures."""

from __future__ import annotations

import io
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

from clavilux.colour import to_bytes
from clavilux.errors import PictureError
from clavilux.system.files import DOWNLOAD_IT, web_address

if TYPE_CHECKING:
    from PIL import Image  # imported in functions, because it takes 0.03 s and painting a song does not need it
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
"""Extensions, in lower case, of picture files that are not read although users may expect it."""

MAX_PIXELS = 2**27
"""Largest number of pixels of a picture that is read; one of 108 megapixels takes less than 1 GB of memory."""

_MAX_PIXELS_WEBP = 2**26  # half, because the WebP decoder holds three copies of the pixels: the memory is the same

# Format -> Pillow's module. The content of a file, not its name, determines the format.
_READERS = {
    "JPEG": "JpegImagePlugin", "PNG": "PngImagePlugin", "WEBP": "WebPImagePlugin", "GIF": "GifImagePlugin",
    "TIFF": "TiffImagePlugin", "BMP": "BmpImagePlugin", "AVIF": "AvifImagePlugin",
}  # fmt: skip
_FIRST_BYTES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*", b"<svg", b"%PDF-", b"8BPS\0\1")
_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1")  # of pictures in boxes like those of MP4
_STRIP_PIXELS = 2**21  # number of pixels that are converted at a time, to limit the memory
_WHITE = (255, 255, 255, 255)
_HIGHLIGHTS = 16.0  # a picture of floats up to this value is read with white = 1


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Return the pixels (H, W, 3) uint8 sRGB of a picture file, as a viewer shows it.

    The picture is rotated according to its Exif orientation. Colours are converted to sRGB with the colour profile of
    the file, or with the gamma and the primaries of a PNG. If the file has none of these, or a damaged profile, its
    colours are read as sRGB. Transparent parts are shown on white. Of an animation or a file with several pages, the
    first picture is returned.

    Samples of 16 bits are scaled to 8 bits. In a picture of 32-bit integers, white is 255, 65 535 or the maximum of
    the integer type: the smallest of these that no sample exceeds. In a picture of floats, white is 1 if no sample
    exceeds 16; otherwise it is chosen as for integers.

    Parameters
    ----------
    path : Path
        A PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF file of at most `MAX_PIXELS` pixels; its extension does not matter.

    Raises
    ------
    PictureError
        If the file is missing, in another format, damaged, cut off or too large.
    """
    with _as_picture_error(f"{web_address(path) or path}: "), _regular_file(path) as file:
        return _read(file)


def starts_as_picture(head: bytes) -> bool:
    """Return whether the first bytes of a file, 12 or more, are those of a picture (also AVIF, HEIC, SVG and PDF)."""
    in_boxes = head[4:8] == b"ftyp" and head[8:12] in _BRANDS
    return head.startswith(_FIRST_BYTES) or in_boxes or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def is_picture(path: Path) -> bool:
    """Return whether a file is a picture by its first bytes, or has the name of one and cannot be read."""
    try:
        with _regular_file(path) as file:
            return starts_as_picture(file.read(12))
    except (OSError, PictureError):
        return path.suffix.lower() in PICTURE_SUFFIXES | {".svg", ".pdf"}


def decode_picture(content: bytes) -> NDArray[np.uint8]:
    """Return the pixels (H, W, 3) uint8 sRGB of a picture file, given its bytes; otherwise like `read_picture`."""
    with _as_picture_error(""):
        return _read(io.BytesIO(content))


@contextmanager
def open_picture(path: Path, formats: tuple[str, ...]) -> Iterator[ImageFile]:
    """Open a picture file as a Pillow image for a ``with`` block; its pixels are decoded when they are needed.

    Parameters
    ----------
    path : Path
    formats : tuple of str
        Pillow's names of the allowed formats.

    Raises
    ------
    PictureError
        If the file cannot be read, or if the ``with`` block raises any exception.
    """
    with (
        _as_picture_error(f"{web_address(path) or path}: "),
        _regular_file(path) as file,
        _opened(file, formats) as image,
    ):
        yield image


def middle_square(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the largest centred square (S, S, 3) of a picture (H, W, 3); S is the shorter side."""
    height, width = rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return rgb[top : top + side, left : left + side]


def resize(rgb: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) uint8, resized to (side, side, 3) uint8.

    The filter is a box if both sides shrink by a factor of 2 or more, and bicubic otherwise.
    """
    from PIL import Image

    method = Image.Resampling.BOX if min(rgb.shape[:2]) >= 2 * side else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(rgb).resize((side, side), method), np.uint8)


def enlarge(rgb: NDArray[np.float32], width: int, height: int) -> NDArray[np.uint8]:
    """Return a square picture (S, S, 3) in [0, 1], enlarged to (height, width, 3) uint8 by bicubic interpolation.

    The square is scaled to the longer side of the result, and then cropped to the shorter side, equally at both ends.
    """
    from PIL import Image

    side = max(width, height)
    square = Image.fromarray(to_bytes(np.clip(rgb, 0, 1)))
    left, top = (side - width) / 2 * len(rgb) / side, (side - height) / 2 * len(rgb) / side
    box = (left, top, len(rgb) - left, len(rgb) - top)
    return np.asarray(square.resize((width, height), Image.Resampling.BICUBIC, box), np.uint8)


@contextmanager
def _as_picture_error(prefix: str) -> Iterator[None]:
    """Convert every exception of the ``with`` block to a `PictureError` whose message begins with ``prefix``.

    For damaged files, Pillow's decoders raise exceptions of many types, even SyntaxError, struct.error and zlib.error.
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
    """Open a file for reading; raise `PictureError` if it is no regular file, because opening a pipe may block."""
    try:
        status = os.stat(path)
    except OSError as error:
        if web_address(path):
            raise PictureError(DOWNLOAD_IT) from error
        raise
    if not stat.S_ISREG(status.st_mode):
        raise PictureError("is a folder; give a picture" if stat.S_ISDIR(status.st_mode) else "is not a regular file")
    with open(path, "rb") as file:
        yield file


class _PillowSilenced:
    """Context manager that disables Pillow's warnings about unusual headers, Exif data and large pictures.

    Warning filters are global, and several threads may read pictures. Therefore the first thread that enters sets the
    filter, and the last one that leaves removes it.
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
    """Discard what the process writes to stderr, because libtiff prints errors there and Pillow cannot disable that."""
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
    """Open a picture as a Pillow image, with Pillow's readers of the given formats only.

    The formats are limited because Pillow has readers that run other programs (EPS), and readers that accept any file.
    """
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
    """Return the pixels (H, W, 3) uint8 sRGB of an open picture file."""
    with _opened(file, tuple(_READERS)) as image:
        limit = _MAX_PIXELS_WEBP if image.format == "WEBP" else MAX_PIXELS
        tags = getattr(image, "tag_v2", {})
        tile_pixels = int(tags.get(322, 0)) * int(tags.get(323, 0))  # a tile of a TIFF may be larger than the picture
        if max(image.width * image.height, tile_pixels) > limit:
            raise PictureError(
                f"has {image.width} x {image.height} pixels; at most {limit / 1e6:.0f} million are read in "
                f"{image.format}: make it smaller"
            )
        if image.format == "TIFF":
            ends = [tile[1][2:] for tile in image.tile if tile[1]] or [(0, 0)]
            if max(x for x, _ in ends) * max(y for _, y in ends) < image.width * image.height:
                raise PictureError("cannot be read (damaged: rows are missing)")  # Pillow would make them black
        raw_mode = str(image.tile[0].args) if image.tile else ""  # read before `load`, which discards it
        with _libtiff_silenced() if image.format == "TIFF" else nullcontext():
            image.load()
        to_rgb = _conversion(image, raw_mode)
        width, height = image.size
        orientation = _orientation(image)
        upright = np.empty((width, height, 3) if orientation > 4 else (height, width, 3), np.uint8)
        stored = _as_stored(upright, orientation)
        rows = max(1, _STRIP_PIXELS // width)
        for top in range(0, height, rows):
            bottom = min(height, top + rows)
            stored[top:bottom] = to_rgb(image.crop((0, top, width, bottom)))
        return upright


def _orientation(image: Image.Image) -> int:
    """Return the Exif orientation, from 1 to 8 (Exif 2.32, 4.6.4), or 1 if it is missing or damaged.

    For a TIFF, the result is 1, because Pillow has already rotated the picture and removed the orientation.
    """
    try:
        value: Any = image.getexif().get(0x0112)
        return int(value) if value in range(1, 9) else 1
    except Exception:  # Pillow's Exif parser raises any exception; the pixels are valid
        return 1


def _as_stored(upright: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return a view of upright pixels whose rows and columns are in the order of a file with this Exif orientation."""
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


def _conversion(image: Image.Image, raw_mode: str) -> Callable[[Image.Image], NDArray[np.uint8]]:
    """Return a function that converts a strip of `image`, cropped with Pillow, to pixels (h, w, 3) uint8 sRGB.

    ``raw_mode`` is Pillow's name of the sample format in the file.
    """
    from PIL import Image

    from clavilux.profiles import to_srgb

    transparent = _transparent_colour(image, raw_mode)
    grey = _grey_scale(image) if image.mode[0] in "IF" else None
    convert = to_srgb(image)

    def to_rgb(strip: Image.Image) -> NDArray[np.uint8]:
        opacity: Image.Image | None = None
        if transparent is not None:
            opaque = np.asarray(strip) != transparent
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


def _transparent_colour(image: Image.Image, raw_mode: str) -> NDArray[np.generic] | None:
    """Return the transparent colour of a picture without a palette, scaled like Pillow's pixels, or None.

    In a PNG, this colour has the bit depth of the file (PNG specification, third edition, 11.3.1.1). Pillow scales the
    pixels to 8 bits, but not this colour.
    """
    if "transparency" not in image.info or not (image.mode in ("1", "L", "RGB") or image.mode.startswith("I")):
        return None
    colour = np.atleast_1d(np.asarray(image.info["transparency"]))
    if "RGB;16" in raw_mode:
        return colour >> 8
    if image.mode == "L":
        return colour * (85 if "L;2" in raw_mode else 17 if "L;4" in raw_mode else 1)
    return colour.astype(bool) if image.mode == "1" else colour


def _grey_scale(image: Image.Image) -> Callable[[NDArray[Any]], NDArray[np.uint8]]:
    """Return a function that converts greyscale samples (16-bit integers, 32-bit integers or floats) to 8 bits."""
    tags = getattr(image, "tag_v2", {})
    bits = int(tags.get(258, (16,))[0])
    is_signed = tags.get(339, (1,))[0] == 2
    is_inverted = tags.get(262, 1) == 0  # a sample of 0 is white
    white = float(2 ** (bits - is_signed) - 1)

    def with_file_type(values: NDArray[Any]) -> NDArray[Any]:
        """Return samples with the type that they have in the file: Pillow stores unsigned 32-bit samples as signed."""
        return values.view(np.uint32) if image.mode == "I" and bits == 32 and not is_signed else values

    if bits == 32:
        rows = max(1, _STRIP_PIXELS // image.width)
        strips = (image.crop((0, y, image.width, min(y + rows, image.height))) for y in range(0, image.height, rows))
        largest = float(np.max([with_file_type(np.asarray(strip)).max() for strip in strips]))
        if not np.isfinite(largest):
            raise PictureError("holds samples that are not finite numbers")
        limits = (255.0, 65_535.0, max(white, largest))
        white = 1.0 if image.mode == "F" and largest <= _HIGHLIGHTS else next(v for v in limits if largest <= v)

    def scale(values: NDArray[Any]) -> NDArray[np.uint8]:
        share = np.clip(with_file_type(values).astype(np.float32) / np.float32(white), 0, 1)
        return to_bytes(1 - share if is_inverted else share)

    return scale
