"""Write picture files (PNG, JPEG, WebP, TIFF, AVIF) that contain a record, and read records from picture files.

The record is JSON from which Clavilux can paint the picture again. It is stored in the Exif block, in ``UserComment``.
``ImageDescription`` has the description of the picture for people who cannot see it, and ``Software`` the version of
Clavilux. The XMP block also has the description, as ``dc:description`` and as the alternative text of the IPTC
standard. In a TIFF, ``UserComment`` is a tag of the picture itself, because libtiff cannot write an Exif block.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import DENSITY_DPI, SIZE_RANGE_PX
from clavilux.errors import PictureError
from clavilux.system.arguments import FileName, counted, file_path, show
from clavilux.version import __version__

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".avif": "AVIF",
}
"""Extensions of the raster pictures that are written -> Pillow's names of their formats."""

VECTOR_FORMATS = {".svg": "SVG", ".pdf": "PDF"}
"""Extensions of the vector pictures that are written (`clavilux.vector_files`) -> names of their formats."""

ALL_FORMATS = FORMATS | VECTOR_FORMATS

JPEG_IS_OPAQUE = "JPEG has no transparency; give " + ", ".join(name for name in ALL_FORMATS if "jp" not in name)
"""Error message for a transparent picture as JPEG; it names the extensions that can be given instead."""

MAX_WEBP_PIXELS = 4096 * 4096  # writing this as lossless WebP takes 13 s and 0.5 GB; 8192 x 8192 takes 54 s, 2.3 GB

# Exif tags, values of tags, and the prefix of an ASCII comment (Exif 2.32, tables 3 to 6)
_IMAGE_DESCRIPTION, _SOFTWARE, _EXIF_BLOCK, _USER_COMMENT, _COLOUR_SPACE = 0x010E, 0x0131, 0x8769, 0x9286, 0xA001
_X_DENSITY, _Y_DENSITY, _DENSITY_UNIT, _INCH = 0x011A, 0x011B, 0x0128, 2
_SHEET = "clavilux_sheet"  # key in the JSON object of a sheet: its number of pictures
_XMP_TAG = 700  # of TIFF
_ASCII = b"ASCII\0\0\0"
_XMP = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"\
 xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/">\
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt></dc:description>\
<Iptc4xmpCore:AltTextAccessibility><rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt>\
</Iptc4xmpCore:AltTextAccessibility></rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


def encode_picture(
    pixels: NDArray[np.uint8], kind: str, *, quality: int, dpi: float, description: str, record: dict[str, Any]
) -> memoryview:
    """Return the bytes of a picture file.

    Parameters
    ----------
    pixels : (H, W, 3) or (H, W, 4) uint8
        sRGB, or sRGB with alpha.
    kind : str
        Pillow's name of the format, from `picture_format`.
    quality : int
        Quality of JPEG and AVIF, 1 to 100; other formats ignore it.
    dpi : float
        Pixels per inch that the file states.
    description : str
        Description of the picture in words.
    record : dict
        JSON values from which the picture can be painted again.

    Raises
    ------
    PictureError
        If this version of Pillow cannot write AVIF.
    """
    from PIL import Image

    tags = {_IMAGE_DESCRIPTION: description, _SOFTWARE: f"clavilux {__version__}"}
    comment = _ASCII + json.dumps(record).encode("ascii")
    xmp = _XMP.format(text=escape(description)).encode()
    options = _options_of(kind, quality, dpi, xmp)
    if kind == "TIFF":
        options["tiffinfo"] = {**tags, _USER_COMMENT: comment, _XMP_TAG: xmp}
    else:
        options["exif"] = exif = Image.Exif()
        for tag, value in {**tags, _X_DENSITY: float(dpi), _Y_DENSITY: float(dpi), _DENSITY_UNIT: _INCH}.items():
            exif[tag] = value
        exif[_EXIF_BLOCK] = {_USER_COMMENT: comment, _COLOUR_SPACE: 1}  # sRGB
    buffer = _NamedBuffer()
    buffer.name = f"picture.{kind.lower()}"
    try:
        Image.fromarray(pixels).save(buffer, icc_profile=_srgb_profile(), **options)
    except ValueError as error:
        if kind != "AVIF" or "unknown file extension" not in str(error):
            raise
        raise PictureError("this version of Pillow writes no AVIF; install Pillow 11.3 or later") from error
    return buffer.getbuffer()  # not a copy


def encode_sheet(pixels: NDArray[np.uint8], kind: str, names: Sequence[str]) -> memoryview:
    """Return the bytes of a picture file with a finished sheet, marked so that `is_sheet` recognises it.

    ``pixels`` is the whole sheet and ``kind`` the format, both as in `encode_picture`. ``names`` are those of the
    pictures on it, which are written into the file.
    """
    numbered = ", ".join(f"{k} {name}" for k, name in enumerate(names, 1))
    described = f"Sheet of {counted(len(names), 'abstract picture')} with numbers and names: {numbered}."
    return encode_picture(pixels, kind, quality=90, dpi=DENSITY_DPI, description=described, record={_SHEET: len(names)})


def _options_of(kind: str, quality: int, dpi: float, xmp: bytes) -> dict[str, Any]:
    """Return the arguments of Pillow's ``save`` that differ between formats."""
    density = (dpi, dpi)
    if kind == "PNG":
        from PIL.PngImagePlugin import PngInfo

        chunks = PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", xmp.decode())
        # The strategy RLE of zlib is as fast as level 1, and compresses pictures with few colours and fine texture
        # better.
        return {"compress_type": zlib.Z_RLE, "dpi": density, "pnginfo": chunks}
    if kind == "TIFF":
        return {"compression": "tiff_lzw", "dpi": density}
    if kind == "WEBP":
        return {"lossless": True, "xmp": xmp}
    # Without subsampling of the chroma, the edges of marks stay sharp.
    if kind == "JPEG":
        return {"quality": quality, "xmp": xmp, "subsampling": 0, "dpi": density}
    return {"quality": quality, "xmp": xmp, "subsampling": "4:4:4"}


class _NamedBuffer(io.BytesIO):
    """A file in memory with a name, from which Pillow finds the format, so that it imports only one plugin."""

    name: str


def picture_format(
    path: str | Path, size: tuple[int, int] | None = None, *, vector: bool = False, transparent: bool = False
) -> str:
    """Return the name of the format for the extension of a file name, such as "JPEG" for "cover.jpg".

    With ``vector``, the formats of `VECTOR_FORMATS` are allowed too.

    Raises
    ------
    PictureError
        If the extension is not allowed, the format does not allow a picture of ``size`` (width, height), or
        ``transparent`` is true and the format is JPEG, which has no transparency.
    """
    suffix = Path(path).suffix.lower()
    formats = ALL_FORMATS if vector else FORMATS
    if suffix not in formats:
        raise PictureError(
            f"{path}: pictures are written as {', '.join(formats)}, not as {suffix or 'a file without extension'}"
        )
    if size is not None and formats[suffix] == "WEBP" and size[0] * size[1] > MAX_WEBP_PIXELS:
        raise PictureError(
            f"{path}: {size[0]} x {size[1]} pixels are too many for WebP, which is written up to 4096 x 4096; "
            "give a name that ends in .png or .jpg"
        )
    if transparent and formats[suffix] == "JPEG":
        raise PictureError(f"{path}: {JPEG_IS_OPAQUE}")
    return formats[suffix]


def suffix_of(name: object) -> str:
    """Return the file extension for the name of a format, such as ".jpg" for "JPG".

    Raises
    ------
    PictureError
        If pictures are not written in this format.
    """
    suffix = f".{name.lower().removeprefix('.')}" if isinstance(name, str) else ""
    if suffix not in ALL_FORMATS:
        names = ", ".join(known.removeprefix(".") for known in ALL_FORMATS)
        raise PictureError(f"format is {show(name)}; it must be one of {names}")
    return suffix


def read_record(path: FileName) -> dict[str, Any]:
    """Return the record in a picture file: JSON values from which Clavilux can paint the picture again.

    Raises
    ------
    PictureError
        If Clavilux does not write pictures in the format of the file, or the file is damaged or has no record. Other
        programs and websites often remove the record when they save a picture.

    Examples
    --------
    >>> paint("nocturne.flac", size=128, seed=7).save("nocturne.png")
    >>> record = read_record("nocturne.png")
    >>> record["seed"], len(record["z_image"])
    (7, 64)
    """
    if hasattr(path, "read"):
        raise PictureError("path is an open file; give the path of a picture file")
    path = file_path("path", path)
    record = _read_comment(path)
    if "clavilux" not in record:
        raise PictureError(
            f"{path}: is a sheet of pictures, which has no record; give one of these pictures"
            if _SHEET in record
            else f"{path}: carries data that is not a record of Clavilux"
        )
    return record


def read_description(path: Path) -> str:
    """Return the description in words in a picture file of Clavilux, or "" if the file has none.

    Raises
    ------
    PictureError
        If the file cannot be read.
    """
    if path.suffix.lower() in VECTOR_FORMATS:
        from clavilux.vector_files import find_description

        return find_description(path)
    from clavilux.images import open_picture

    with open_picture(path, tuple(dict.fromkeys(FORMATS.values()))) as image:
        return str(image.getexif().get(_IMAGE_DESCRIPTION, ""))


def is_sheet(path: Path) -> bool:
    """Return whether a file is a sheet of pictures (see `encode_sheet`)."""
    with suppress(PictureError):
        return _SHEET in _read_comment(path)
    return False


def is_whole(path: Path) -> bool:
    """Return whether a picture file can be decoded to its end; a file that was cut off cannot."""
    if path.suffix.lower() in VECTOR_FORMATS:
        from clavilux.vector_files import has_end

        return has_end(path)
    from clavilux.images import read_picture

    with suppress(PictureError):
        read_picture(path)
        return True
    return False


def _read_comment(path: Path) -> dict[str, Any]:
    """Return the JSON object that Clavilux wrote into a picture file; raise `PictureError` if there is none."""
    text: str | bytes | None
    if path.suffix.lower() in VECTOR_FORMATS:
        from clavilux.vector_files import find_record

        text = find_record(path)
    else:
        text = _find_comment(path)
    if text is None:
        raise PictureError(
            f"{path}: carries no record of Clavilux; give a picture as Clavilux saved it, because many programs and "
            "websites remove the record"
        )
    try:
        record: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PictureError(f"{path}: carries a damaged record: {error}") from error
    if not isinstance(record, dict):
        raise PictureError(f"{path}: carries data that is not a record of Clavilux")
    return record


def _find_comment(path: Path) -> bytes | None:
    """Return the ASCII comment in the Exif tags of a raster picture, or None if there is no such comment."""
    from clavilux.images import open_picture

    with open_picture(path, tuple(dict.fromkeys(FORMATS.values()))) as image:
        if image.width * image.height > SIZE_RANGE_PX[1] ** 2:
            raise PictureError(
                f"has {image.width} x {image.height} pixels, more than any picture of Clavilux; it carries no record"
            )
        exif = image.getexif()
        comment = exif.get(_USER_COMMENT) if image.format == "TIFF" else exif.get_ifd(_EXIF_BLOCK).get(_USER_COMMENT)
    return comment.removeprefix(_ASCII) if isinstance(comment, bytes) and comment.startswith(_ASCII) else None


def _srgb_profile() -> bytes:
    """Return the sRGB profile of Little CMS without its creation date, so that files are reproducible."""
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + bytes(12) + profile[36:]  # ICC.1:2010, table 17: bytes 24 to 35 are the date of creation
