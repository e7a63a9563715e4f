"""Picture files are read as a viewer shows them: depth, orientation, colour profile, opacity, damage, size."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import picture_files as made
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, features

from clavilux import images
from clavilux.colour import srgb_to_lab
from clavilux.errors import PictureError
from clavilux.images import (
    MAX_PIXELS,
    PICTURE_SUFFIXES,
    UNSUPPORTED_PICTURE_SUFFIXES,
    decode_picture,
    open_picture,
    read_picture,
)

HAS_AVIF = features.check("avif")
FORMATS: dict[str, dict[str, Any]] = {  # with what keeps the pixels, or nearly
    "PNG": {},
    "JPEG": {"quality": 100, "subsampling": 0},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "BMP": {},
    "GIF": {},
}
if HAS_AVIF:
    FORMATS["AVIF"] = {"quality": 100, "subsampling": "4:4:4"}


def reference(height: int = 40, width: int = 56) -> NDArray[np.uint8]:
    """Smooth colours of many hues, another in each corner."""
    y, x = np.mgrid[0:height, 0:width] / [[[height - 1]], [[width - 1]]]
    return np.rint(255 * np.stack([x, (1 - x) * y, 0.2 + 0.6 * (1 - y)], axis=-1)).astype(np.uint8)


REFERENCE = reference()
RAMP = np.repeat(np.linspace(0, 255, 56)[None], 40, axis=0).round().astype(np.uint8)
GREY = np.repeat(RAMP[..., None], 3, axis=2)
OPACITY = np.zeros((40, 56), np.uint8) + np.linspace(0, 255, 40).round().astype(np.uint8)[:, None]


def on_white(rgb: NDArray[np.uint8], opacity: NDArray[np.uint8]) -> NDArray[np.uint8]:
    share = opacity[..., None] / 255
    return np.rint(rgb * share + 255 * (1 - share)).astype(np.uint8)


def saved(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **(FORMATS.get(format, {}) | options))
    return buffer.getvalue()


def assert_seen(content: bytes, expected: NDArray[np.uint8], *, lab: float = 1.0) -> None:
    """The picture has the expected colours, to a mean distance and five times it at most, in CIELAB."""
    found = decode_picture(content)
    assert (found.dtype, found.shape) == (np.uint8, expected.shape)
    apart = np.linalg.norm(srgb_to_lab(found / np.float32(255)) - srgb_to_lab(expected / np.float32(255)), axis=-1)
    assert apart.mean() <= lab
    assert apart.max() <= 8 * lab


# Modes and depths ----------------------------------------------------------------------------------------------------

RGB, L = Image.fromarray(REFERENCE), Image.fromarray(RAMP)
WIDE = RAMP.astype(np.uint16) * 257
PALETTED = RGB.quantize(256)
PALETTED_RGB = np.asarray(PALETTED.convert("RGB"))
BLACK_WHITE = np.where(GREY >= 128, 255, 0).astype(np.uint8)
FEW = (np.arange(56) % 4 * np.ones((40, 1), int)).astype(np.uint8)

MODES: dict[str, tuple[bytes, NDArray[np.uint8]]] = {
    **{f"rgb {name}": (saved(RGB, name), REFERENCE) for name in FORMATS if name != "GIF"},
    **{f"grey {name}": (saved(L, name), GREY) for name in FORMATS if name != "GIF"},
    **{f"palette {name}": (saved(PALETTED, name), PALETTED_RGB) for name in ("PNG", "GIF", "TIFF", "BMP")},
    **{
        f"1 bit {name}": (saved(Image.fromarray(RAMP >= 128), name), BLACK_WHITE)
        for name in ("PNG", "GIF", "TIFF", "BMP")
    },
    "grey 16 PNG": (made.png_file(WIDE, 16), GREY),
    "grey 16 TIFF": (made.tiff_file(WIDE, 1), GREY),
    "grey 16 TIFF big-endian": (made.tiff_file(WIDE.astype(">u2"), 1), GREY),
    "grey 16 TIFF, 0 is white": (made.tiff_file(65_535 - WIDE, 0), GREY),
    "grey 16 TIFF with sign": (made.tiff_file((WIDE >> 1).astype("<i2"), 1), GREY),
    "grey 12 TIFF": (made.tiff_file(WIDE >> 4, 1, bits=12), GREY),
    "grey 2 PNG": (made.png_file(FEW, 2), np.repeat(FEW[..., None] * np.uint8(85), 3, axis=2)),
    "grey 4 PNG": (made.png_file(RAMP >> 4, 4), np.repeat((RAMP >> 4)[..., None] * np.uint8(17), 3, axis=2)),
    "rgb 16 PNG": (made.png_file(REFERENCE.astype(np.uint16) * 257, 16), REFERENCE),
    "rgb 16 TIFF": (made.tiff_file(REFERENCE.astype("<u2") * np.uint16(257), 2), REFERENCE),
    "rgb 16 TIFF big-endian": (made.tiff_file((REFERENCE.astype("<u2") * np.uint16(257)).astype(">u2"), 2), REFERENCE),
    "float of 1 TIFF": (made.tiff_file((RAMP / 255).astype("<f4"), 1), GREY),
    "float of 1 with highlights TIFF": (
        made.tiff_file(np.where(RAMP == 255, 4, RAMP / 255).astype("<f4"), 1),
        GREY,
    ),
    "float of 255 TIFF": (made.tiff_file(RAMP.astype(">f4"), 1), GREY),
    "float of 65535 TIFF": (made.tiff_file(WIDE.astype("<f4"), 1), GREY),
    "integer 32 of 255 TIFF": (saved(L.convert("I"), "TIFF"), GREY),
    "integer 32 of 65535 TIFF": (made.tiff_file(WIDE.astype("<i4"), 1), GREY),
    "integer 32 with sign TIFF": (made.tiff_file((RAMP / 255 * (2**31 - 1)).astype("<i4"), 1), GREY),
    "integer 32 without sign TIFF": (made.tiff_file((RAMP / 255 * (2**32 - 1)).astype("<u4"), 1), GREY),
    "cmyk JPEG": (saved(RGB.convert("CMYK"), "JPEG"), REFERENCE),
    "cmyk TIFF": (saved(RGB.convert("CMYK"), "TIFF"), REFERENCE),
    "ycbcr JPEG": (saved(RGB.convert("YCbCr"), "JPEG"), REFERENCE),
    "ycbcr TIFF": (saved(RGB.convert("YCbCr"), "TIFF"), REFERENCE),
    "lab TIFF": (made.tiff_file(made.lab_samples(REFERENCE), 8), REFERENCE),
    "progressive JPEG": (saved(RGB, "JPEG", progressive=True), REFERENCE),
    "compressed TIFF": (saved(RGB, "TIFF", compression="tiff_lzw"), REFERENCE),
    "JPEG in TIFF": (saved(RGB, "TIFF", compression="jpeg", quality=100), REFERENCE),
}


@pytest.mark.parametrize("name", MODES)
def test_every_mode_and_depth_is_seen(name: str) -> None:
    content, expected = MODES[name]
    assert_seen(content, expected)


@pytest.mark.parametrize("values", [[np.nan, 0.5], [np.inf, 0.5]])
def test_samples_that_are_not_finite_are_refused(values: list[float]) -> None:
    with pytest.raises(PictureError, match="not finite numbers"):
        decode_picture(made.tiff_file(np.array([values], "<f4"), 1))


def test_ordinary_pictures_keep_every_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what training learns from nothing changes: Pillow's own conversion, in strips of any height."""
    photograph = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for strip_pixels in (1, 500, 2**21):
        monkeypatch.setattr(images, "_STRIP_PIXELS", strip_pixels)
        for mode, format in [("RGB", "JPEG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("P", "PNG"), ("RGB", "WEBP")]:
            for options in ({}, {"icc_profile": srgb}):
                content = saved(photograph.convert(mode), format, **options)
                with Image.open(io.BytesIO(content)) as image:
                    np.testing.assert_array_equal(decode_picture(content), np.asarray(image.convert("RGB")))


# Orientation ---------------------------------------------------------------------------------------------------------

TO_STORED = {  # what turns an upright picture into the stored one of an orientation
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("format", [name for name in FORMATS if name not in ("BMP", "GIF")])
@pytest.mark.parametrize("orientation", TO_STORED)
def test_pictures_are_turned_upright(format: str, orientation: int) -> None:
    turn = TO_STORED[orientation]
    stored = RGB if turn is None else RGB.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_seen(saved(stored, format, exif=exif), REFERENCE)
    upright = saved(stored.transpose(Image.Transpose.TRANSPOSE), format, exif=exif)  # a tall one, of whatever sense
    assert sorted(decode_picture(upright).shape) == sorted(REFERENCE.shape)


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_seen(saved(RGB, "JPEG", exif=exif), REFERENCE)


def test_damaged_exif_turns_nothing() -> None:
    for block in (
        b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12\0\x02",
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"x" * 9,
    ):
        assert_seen(saved(RGB, "JPEG", exif=block), REFERENCE)


# Colour --------------------------------------------------------------------------------------------------------------

ADOBE = made.adobe_profile()
ADOBE_RGB = Image.fromarray(made.to_adobe(REFERENCE))
PALE = (REFERENCE // 2 + 64).astype(np.uint8)  # within both gamuts, so that nothing is clipped


@pytest.mark.parametrize("format", [name for name in FORMATS if name not in ("BMP", "GIF")])
def test_a_profile_is_converted_from(format: str) -> None:
    content = saved(Image.fromarray(made.to_adobe(PALE)), format, icc_profile=ADOBE)
    assert_seen(content, PALE, lab=1.5)
    with pytest.raises(AssertionError):  # the test can fail: without the profile it is another picture
        assert_seen(saved(Image.fromarray(made.to_adobe(PALE)), format), PALE, lab=1.5)


def test_a_profile_is_converted_from_in_every_mode() -> None:
    adobe = Image.fromarray(made.to_adobe(PALE))
    quantized = adobe.quantize(256)
    back = np.asarray(quantized.convert("RGB"))
    with_opacity = adobe.copy()
    with_opacity.putalpha(Image.fromarray(OPACITY))
    assert_seen(saved(with_opacity, "PNG", icc_profile=ADOBE), on_white(PALE, OPACITY))
    assert_seen(
        saved(quantized, "PNG", icc_profile=ADOBE), decode_picture(saved(Image.fromarray(back), icc_profile=ADOBE))
    )
    # Greys with a profile of colours: gamma 2.2 and sRGB's curve are alike.
    assert_seen(saved(L, "PNG", icc_profile=ADOBE), GREY, lab=1.5)


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_a_profile_of_greys_is_converted_from(mode: str) -> None:
    light = (np.where(RAMP / 255 > 0.04045, ((RAMP / 255 + 0.055) / 1.055) ** 2.4, RAMP / 255 / 12.92) * 65_535).round()
    profile = made.grey_profile(1.0)
    if mode == "I;16":
        content = made.png_file(light.astype(int), 16, made.png_chunk(b"iCCP", b"grey\0\0" + zlib.compress(profile)))
    else:
        image = Image.fromarray((light / 257).round().astype(np.uint8))
        content = saved(image.convert(mode), "PNG", icc_profile=profile)
    found, bright = decode_picture(content), RAMP > 100  # 8 bits of light hold no dark greys
    assert np.abs(found.astype(int) - GREY)[bright].max() <= 3


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_a_profile_of_a_printer_is_converted_from(format: str) -> None:
    corners = np.array([[100 - 12 * bin(k).count("1"), 20 * (k & 1), -20 * (k >> 3)] for k in range(16)], float)
    corners[15] = 0  # the black point is scaled to that of the screen
    ink = Image.new("CMYK", (32, 32), (255, 0, 0, 0))
    found = decode_picture(saved(ink, format, icc_profile=made.cmyk_profile(corners)))
    lab = srgb_to_lab(found / np.float32(255)).mean(axis=(0, 1))
    assert lab == pytest.approx([88, 0, -20], abs=2.5)  # cyan is the highest of the four inks in the table
    assert srgb_to_lab(decode_picture(saved(ink, format)) / np.float32(255)).mean(axis=(0, 1))[1] < -10


BROKEN_PROFILES = {
    "noise": bytes(range(256)),
    "empty tags": made.icc_profile(b"RGB ", {}),
    "cut": ADOBE[:200],
    "zeros": ADOBE[:140] + bytes(len(ADOBE) - 140),
    "of another space": made.cmyk_profile(np.zeros((16, 3))),
    "of greys": made.grey_profile(2.2),
}


@pytest.mark.parametrize("name", BROKEN_PROFILES)
@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF"])
def test_a_profile_that_cannot_be_used_leaves_srgb(name: str, format: str) -> None:
    content = saved(RGB, format, icc_profile=BROKEN_PROFILES[name])
    np.testing.assert_array_equal(decode_picture(content), decode_picture(saved(RGB, format)))


SRGB_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)


def gamma_chunk(value: float) -> bytes:
    return made.png_chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


def primaries_chunk(values: tuple[float, ...]) -> bytes:
    return made.png_chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in values)))


def test_gamma_and_primaries_of_a_png_are_converted_from() -> None:
    adobe = made.to_adobe(PALE)
    chunks = gamma_chunk(1 / made.ADOBE_GAMMA), primaries_chunk(made.ADOBE_PRIMARIES)
    assert_seen(made.png_file(adobe, 8, *chunks), PALE)
    linear = np.rint(255 * np.where(PALE / 255 > 0.04045, ((PALE / 255 + 0.055) / 1.055) ** 2.4, 0)).astype(int)
    assert_seen(made.png_file(linear, 8, gamma_chunk(1.0)), PALE)


@pytest.mark.parametrize(
    "chunks",
    [
        [gamma_chunk(1.0), made.png_chunk(b"sRGB", b"\0")],  # which goes before gamma
        [gamma_chunk(0.45455), primaries_chunk(SRGB_PRIMARIES)],
        [gamma_chunk(0.45455)],
        [gamma_chunk(0.0)],
        [primaries_chunk(SRGB_PRIMARIES)],
        [gamma_chunk(0.45455), primaries_chunk((0.0,) * 8)],
        [gamma_chunk(0.45455), primaries_chunk((0.3,) * 8)],
    ],
)
def test_gamma_that_is_that_of_srgb_or_senseless_changes_nothing(chunks: list[bytes]) -> None:
    np.testing.assert_array_equal(decode_picture(made.png_file(REFERENCE, 8, *chunks)), REFERENCE)


# Opacity -------------------------------------------------------------------------------------------------------------


def key_chunk(*values: int) -> bytes:
    return made.png_chunk(b"tRNS", struct.pack(f">{len(values)}H", *values))


def keyed(rgb: NDArray[np.uint8], transparent: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.where(transparent[..., None], 255, rgb).astype(np.uint8)


def with_opacity(mode: str) -> Image.Image:
    image = Image.fromarray(REFERENCE if mode == "RGBA" else RAMP)
    image.putalpha(Image.fromarray(OPACITY))
    return image


def palette_with_opacities() -> tuple[bytes, NDArray[np.uint8]]:
    few = RGB.quantize(8)
    opacities = bytes(range(0, 256, 32))
    expected = on_white(np.asarray(few.convert("RGB")), np.frombuffer(opacities, np.uint8)[np.asarray(few)])
    return saved(few, transparency=opacities), expected


BLOCK = REFERENCE.copy()
BLOCK[5:20, 7:30] = (10, 20, 30)
BLOCKED = np.all(BLOCK == (10, 20, 30), axis=2)
PREMULTIPLIED = np.dstack([np.rint(REFERENCE * (OPACITY / 255)[..., None]).astype(np.uint8), OPACITY])

OPACITIES: dict[str, tuple[bytes, NDArray[np.uint8]]] = {
    **{
        f"rgba {name}": (saved(with_opacity("RGBA"), name), on_white(REFERENCE, OPACITY))
        for name in FORMATS
        if name in ("PNG", "WEBP", "TIFF", "AVIF")
    },
    "la PNG": (saved(with_opacity("LA")), on_white(GREY, OPACITY)),
    "la TIFF": (saved(with_opacity("LA"), "TIFF"), on_white(GREY, OPACITY)),
    "rgba 16 PNG": (
        made.png_file(np.dstack([REFERENCE, OPACITY]).astype(np.uint16) * 257, 16),
        on_white(REFERENCE, OPACITY),
    ),
    "la 16 PNG": (made.png_file(np.dstack([RAMP, OPACITY]).astype(np.uint16) * 257, 16), on_white(GREY, OPACITY)),
    "premultiplied TIFF": (made.tiff_file(PREMULTIPLIED, 2, extra=1), on_white(REFERENCE, OPACITY)),
    "fourth channel without meaning TIFF": (made.tiff_file(np.dstack([REFERENCE, OPACITY]), 2, extra=0), REFERENCE),
    "opacities of a palette": palette_with_opacities(),
    "one colour of a palette, GIF": (
        saved(RGB.quantize(8), "GIF", transparency=3),
        keyed(np.asarray(RGB.quantize(8).convert("RGB")), np.asarray(RGB.quantize(8)) == 3),
    ),
    "one colour PNG": (made.png_file(BLOCK, 8, key_chunk(10, 20, 30)), keyed(BLOCK, BLOCKED)),
    "one colour of 16 bits PNG": (
        made.png_file(BLOCK.astype(np.uint16) * 257, 16, key_chunk(10 * 257, 20 * 257, 30 * 257)),
        keyed(BLOCK, BLOCKED),
    ),
    "one grey PNG": (made.png_file(RAMP, 8, key_chunk(int(RAMP[0, 9]))), keyed(GREY, RAMP[0, 9] == RAMP)),
    "one grey of 16 bits PNG": (
        made.png_file(WIDE, 16, key_chunk(int(WIDE[0, 9]))),
        keyed(GREY, WIDE[0, 9] == WIDE),
    ),
    "one grey of 2 bits PNG": (
        made.png_file(FEW, 2, key_chunk(1)),
        keyed(np.repeat(FEW[..., None] * np.uint8(85), 3, axis=2), FEW == 1),
    ),
    "one grey of 4 bits PNG": (
        made.png_file(RAMP >> 4, 4, key_chunk(6)),
        keyed(np.repeat((RAMP >> 4)[..., None] * np.uint8(17), 3, axis=2), RAMP >> 4 == 6),
    ),
    "black of 1 bit PNG": (made.png_file((RAMP >= 128).astype(int), 1, key_chunk(0)), np.full_like(GREY, 255)),
}


@pytest.mark.parametrize("name", OPACITIES)
def test_what_is_transparent_lies_on_white(name: str) -> None:
    content, expected = OPACITIES[name]
    assert_seen(content, expected, lab=1.2)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF", *(["AVIF"] if HAS_AVIF else [])])
def test_the_first_of_several_pictures_counts(format: str) -> None:
    others = [Image.new("RGB", RGB.size, colour) for colour in ("red", "green")]
    content = saved(PALETTED if format == "GIF" else RGB, format, save_all=True, append_images=others)
    assert_seen(content, PALETTED_RGB if format == "GIF" else REFERENCE)


# Damage --------------------------------------------------------------------------------------------------------------

NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 56, 3), np.uint8))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_picture_that_is_cut_off_is_refused(format: str, share: float) -> None:
    content = saved(NOISE, format)
    with pytest.raises(PictureError):
        decode_picture(content[: int(share * len(content))])


def test_a_tiff_whose_rows_are_missing_is_refused() -> None:
    rows = [struct.pack("<HHII", 257, 4, 1, height) for height in (40, 4000)]
    content = made.tiff_file(WIDE, 1).replace(*rows)
    with pytest.raises(PictureError, match="rows are missing"):
        decode_picture(content)


def test_what_pillow_logs_is_not_printed(tmp_path: Path) -> None:
    samples = [struct.pack("<HHIH", 277, 3, 1, count) for count in (1, 127)]
    (tmp_path / "a.tif").write_bytes(made.tiff_file(WIDE, 1).replace(*samples))
    script = (
        "import sys; from clavilux.errors import PictureError; from clavilux.images import read_picture\n"
        "try: read_picture(sys.argv[1])\nexcept PictureError: print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "a.tif"], check=True, capture_output=True)
    assert (done.stdout.strip(), done.stderr) == (b"refused", b"")


def break_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Change some bytes, most of them in the head; sometimes cut the end off."""
    broken = bytearray(content)
    for _ in range(rng.integers(1, 9)):
        end = min(len(broken), int(rng.choice([40, 200, len(broken)])))
        broken[int(rng.integers(4, end))] = int(rng.choice([0, 1, 127, 128, 255, rng.integers(256)]))
    return bytes(broken[: int(rng.integers(len(broken) // 2, len(broken)))] if rng.random() < 0.2 else broken)


@pytest.mark.parametrize("format", FORMATS)
def test_damage_gives_a_picture_or_one_error(format: str, capfd: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(len(format))
    exif = Image.Exif()
    exif[0x0112] = 6
    metadata = {} if format in ("BMP", "GIF") else {"exif": exif, "icc_profile": ADOBE}
    wholes = [saved(RGB, format, **metadata)]
    if format == "TIFF":
        wholes += [content for name, (content, _) in (MODES | OPACITIES).items() if "TIFF" in name]
    elif format == "PNG":
        wholes += [content for name, (content, _) in (MODES | OPACITIES).items() if "PNG" in name]
    outcomes = set()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for number in range(160):
            try:
                found = decode_picture(break_bytes(wholes[number % len(wholes)], rng))
            except PictureError as error:
                assert "\n" not in str(error)
                outcomes.add("refused")
            else:
                assert found.ndim == 3
                outcomes.add("read")
    assert "refused" in outcomes
    assert not warned
    assert capfd.readouterr() == ("", "")


FOREIGN = {
    "text": b"not a picture\n" * 20,
    "empty": b"",
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200),
    "PSD": b"8BPS\0\x01" + bytes(200),
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n",
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    "DDS": b"DDS |\0\0\0" + struct.pack("<29I", *range(29)),
    "damaged AVIF": b"\0\0\0\x1cftypavif\0\0\0\0mif1avif" + bytes(64),
    "ICO": saved(RGB.resize((32, 32)), "ICO"),
}


def open_only(path: Path) -> None:
    with open_picture(path, ("PNG", "JPEG", "WEBP")):
        pass


@pytest.mark.parametrize("name", FOREIGN)
def test_other_files_under_the_name_of_a_picture_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "good.png"
    path.write_bytes(FOREIGN[name])
    for read in (read_picture, open_only):
        with pytest.raises(PictureError, match=r"good\.png: "):
            read(path)


def test_what_is_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for name, reason in {
        "pipe.png": "not a regular file",
        ".": "is a folder; give a picture",
        "gone.png": "No such file",
    }.items():
        with pytest.raises(PictureError, match=reason):
            read_picture(tmp_path / name)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError,
        NotImplementedError,
        KeyError,
        IndexError,
        OverflowError,
        MemoryError,
        struct.error,
        zlib.error,
        TypeError,
    ],
)
def test_whatever_a_decoder_raises_is_one_error(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error("of a decoder\nin two lines")

    RGB.save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(PictureError, match=r"a\.png: ") as caught:
        read_picture(tmp_path / "a.png")
    assert "\n" not in str(caught.value)


def test_threads_that_read_side_by_side_leave_the_filters_of_warnings() -> None:
    before = list(warnings.filters)
    odd = saved(RGB, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x0e\0\x02")
    with ThreadPoolExecutor(4) as pool:
        shapes = {found.shape for found in pool.map(decode_picture, 40 * [odd])}
    assert shapes == {(40, 56, 3)}
    assert warnings.filters == before


# Size ----------------------------------------------------------------------------------------------------------------


def test_a_photograph_of_108_million_pixels_is_within_the_limit() -> None:
    assert 12_000 * 9_000 < MAX_PIXELS < 13_000 * 13_000


@pytest.mark.parametrize("side", [13_000, 50_000, 2**31 - 1])
def test_a_picture_that_is_too_large_is_refused_before_it_is_decoded(side: int) -> None:
    head = struct.pack(">IIBBBBB", side, side, 16, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + made.png_chunk(b"IHDR", head) + made.png_chunk(b"IDAT", zlib.compress(b""))
    with pytest.raises(PictureError, match=r"134 million"):
        decode_picture(content)


@pytest.mark.parametrize("format", FORMATS)
def test_the_limit_holds_in_every_format(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 40 * 56 - 1)
    monkeypatch.setattr(images, "_MAX_PIXELS_WEBP", 40 * 56 - 1)
    with pytest.raises(PictureError, match=rf"has 56 x 40 pixels.*{format}"):
        decode_picture(saved(RGB, format))


@pytest.mark.parametrize("side", [1, 2])
def test_tiny_pictures_are_read(side: int) -> None:
    for format in FORMATS:
        assert decode_picture(saved(Image.new("RGB", (side, 1), "white"), format)).shape == (1, side, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in kB on Linux only")
@pytest.mark.parametrize("kind", ["rgb", "grey 16", "rgba"])
def test_memory_grows_by_eight_bytes_a_pixel_at_most(kind: str, tmp_path: Path) -> None:
    """108 million pixels then stay below 1 GB."""
    side = 3000
    if kind == "grey 16":
        (tmp_path / "a.png").write_bytes(made.png_file(np.full((side, side), 30_000, np.uint16), 16))
    else:
        Image.new("RGB" if kind == "rgb" else "RGBA", (side, side)).save(tmp_path / "a.png", compress_level=1)
    Image.new("RGBA", (8, 8)).save(tmp_path / "small.png")
    script = (
        "import resource, sys; from clavilux.images import read_picture; read_picture(sys.argv[1]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    taken = [
        1024
        * int(subprocess.run([sys.executable, "-c", script, tmp_path / name], check=True, capture_output=True).stdout)
        for name in ("small.png", "a.png")
    ]
    assert taken[1] - taken[0] < 8 * side**2 + 50e6


# Names ---------------------------------------------------------------------------------------------------------------


def test_every_extension_is_read_or_named() -> None:
    assert not PICTURE_SUFFIXES & UNSUPPORTED_PICTURE_SUFFIXES
    known = Image.registered_extensions()
    formats = {known.get(suffix, "AVIF") for suffix in PICTURE_SUFFIXES}
    assert formats == {"PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"}
    assert all(
        suffix == suffix.lower() and suffix[0] == "." for suffix in PICTURE_SUFFIXES | UNSUPPORTED_PICTURE_SUFFIXES
    )
