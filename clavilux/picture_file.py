"""Picture files with a record inside: pixels, record and description -> **here** -> PNG, JPEG, WebP, TIFF or AVIF.

The record is stored in the Exif block of the file: as JSON in ``UserComment``, with a description of the picture for
people who do not see it in ``ImageDescription`` and the program in ``Software``. The description is also in the XMP
block, as ``dc:description`` and as the alternative text of the IPTC standard. In a TIFF, ``UserComment`` is a tag of
the picture itself, because libtiff cannot write an Exif block.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import SIZE_RANGE_PX
from clavilux.errors import PictureError
from clavilux.system.arguments import FileName, file_path, show
from clavilux.version import __version__

if TYPE_CHECKING:
    pass

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".avif": "AVIF",
}
"""Extensions of the pictures of pixels that are written, and Pillow's names of their formats."""

VECTOR_FORMATS = {".svg": "SVG", ".pdf": "PDF"}
"""Extensions of vector pictures, see `clavilux.vector`."""

ALL_FORMATS = FORMATS | VECTOR_FORMATS

MAX_WEBP_PIXELS = 4096 * 4096  # lossless WebP of that size takes 13 s and 0.5 GB; of 8192 x 8192, 54 s and 2.3 GB

# Exif tags and the mark of an ASCII comment (Exif 2.32, tables 3 to 6)
_IMAGE_DESCRIPTION, _SOFTWARE, _EXIF_BLOCK, _USER_COMMENT, _COLOUR_SPACE = 0x010E, 0x0131, 0x8769, 0x9286, 0xA001
_X_DENSITY, _Y_DENSITY, _DENSITY_UNIT, _INCH = 0x011A, 0x011B, 0x0128, 2
_XMP_TAG = 700  # of TIFF
_ASCII = b"ASCII\0\0\0"
_ZLIB_RLE = 3
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
    pixels : (H, W, 3) uint8
        sRGB.
    kind : str
        Pillow's name of the format, from `picture_format`.
    quality : int
        Quality of JPEG and AVIF, 1 to 100. Chroma is not subsampled, because marks have sharp edges.
    dpi : float
        Pixels per inch, for printers and layout programs.
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
    xmp = _xmp(description)
    options = _options_of(kind, quality, dpi, xmp)
    if kind == "TIFF":
        options["tiffinfo"] = {**tags, _USER_COMMENT: comment, _XMP_TAG: xmp}
    else:
        options["exif"] = exif = Image.Exif()
        for tag, value in {**tags, _X_DENSITY: float(dpi), _Y_DENSITY: float(dpi), _DENSITY_UNIT: _INCH}.items():
            exif[tag] = value
        exif[_EXIF_BLOCK] = {_USER_COMMENT: comment, _COLOUR_SPACE: 1}  # sRGB
    # With a file name instead of a format, Pillow imports one plugin instead of five, which saves 0.01 s.
    buffer = _NamedBuffer(f"picture.{kind.lower()}")
    try:
        Image.fromarray(pixels).save(buffer, icc_profile=_srgb_profile(), **options)
    except ValueError as error:
        if kind != "AVIF" or "unknown file extension" not in str(error):
            raise
        raise PictureError("this version of Pillow writes no AVIF; install Pillow 11.3 or later") from error
    return buffer.getbuffer()  # not a copy


def _options_of(kind: str, quality: int, dpi: float, xmp: bytes) -> dict[str, Any]:
    """Return the arguments of Pillow for a format."""
    density = (dpi, dpi)
    if kind == "PNG":
        from PIL.PngImagePlugin import PngInfo

        chunks = PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", xmp.decode())
        # Strategy RLE of zlib: as fast as level 1, and smaller for few colours with fine texture.
        return {"compress_type": _ZLIB_RLE, "dpi": density, "pnginfo": chunks}
    if kind == "TIFF":
        return {"compression": "tiff_lzw", "dpi": density}
    if kind == "WEBP":
        return {"lossless": True, "xmp": xmp}
    options: dict[str, Any] = {"quality": quality, "xmp": xmp}
    return options | ({"subsampling": 0, "dpi": density} if kind == "JPEG" else {"subsampling": "4:4:4"})


class _NamedBuffer(io.BytesIO):
    """A file in memory with a name, whose extension determines the format."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


def picture_format(path: str | Path, size: tuple[int, int] | None = None, *, vector: bool = False) -> str:
    """Return Pillow's name of the format that the extension of a file name stands for, such as "JPEG".

    With ``vector``, the extension may also be one of `VECTOR_FORMATS`.

    Raises
    ------
    PictureError
        If the extension is not allowed, or the format does not allow ``size`` (width, height).
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
    return formats[suffix]


def suffix_of(name: object) -> str:
    """Return the file extension for the name of a format, such as ".jpg" for "JPG".

    Raises
    ------
    PictureError
        If there is no such format.
    """
    suffix = f".{name.lower().removeprefix('.')}" if isinstance(name, str) else ""
    if suffix not in ALL_FORMATS:
        names = ", ".join(known.removeprefix(".") for known in ALL_FORMATS)
        raise PictureError(f"format is {show(name)}; it must be one of {names}")
    return suffix


def read_record(path: FileName) -> dict[str, Any]:
    """Return the record of a picture that Clavilux painted.

    Raises
    ------
    PictureError
        If the file has another format than those that Clavilux writes, is damaged, or has no record. Other programs
        and websites often remove the record when they save a picture.

    Examples
    --------
    >>> paint("nocturne.flac", size=128, seed=7).save("nocturne.png")
    >>> record = read_record("nocturne.png")
    >>> record["seed"], len(record["z_image"])
    (7, 64)
    """
    from clavilux.images import open_picture

    path = file_path("path", path)
    if path.suffix.lower() in VECTOR_FORMATS:
        from clavilux.vector import read_vector_record

        return read_vector_record(path)
    with open_picture(path, tuple(dict.fromkeys(FORMATS.values()))) as image:
        if image.width * image.height > SIZE_RANGE_PX[1] ** 2:
            raise PictureError(
                f"has {image.width} x {image.height} pixels, more than any picture of Clavilux; it carries no record"
            )
        exif = image.getexif()
        comment = exif.get(_USER_COMMENT) if image.format == "TIFF" else exif.get_ifd(_EXIF_BLOCK).get(_USER_COMMENT)
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


def _xmp(description: str) -> bytes:
    """Return the XMP packet of a picture."""
    text = description.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _XMP.format(text=text).encode()


def _srgb_profile() -> bytes:
    """Return the sRGB profile of Little CMS without its creation date, so that files are reproducible."""
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + bytes(12) + profile[36:]  # ICC.1:2010, table 17: bytes 24 to 35 are the date of creation
