"""PNG: Pillow reads what was written, whatever its size and its number of strips."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from clavilux.png import STRIP_BYTES, _join_adler, encode_png


@pytest.mark.parametrize(("width", "height"), [(64, 64), (1, 700), (900, 333), (300, STRIP_BYTES // 901 * 2)])
def test_pixels_and_what_is_beside_them_come_back(width: int, height: int) -> None:
    rng = np.random.default_rng(width)
    pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0131] = "a program"
    content = encode_png(
        pixels, exif=exif.tobytes().removeprefix(b"Exif\0\0"), icc_profile=b"a profile", density_dpi=150
    )
    with Image.open(io.BytesIO(content)) as image:
        image.verify()  # the sums of all chunks
    with Image.open(io.BytesIO(content)) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)
        assert image.getexif()[0x0131] == "a program"
        assert image.info["icc_profile"] == b"a profile"
        assert image.info["dpi"] == pytest.approx((150, 150), abs=0.02)  # it is kept in whole pixels a metre


def test_the_stream_is_whole_and_its_sum_is_right() -> None:
    pixels = np.random.default_rng(0).integers(0, 4, (700, 800, 3), np.uint8)
    content = encode_png(pixels, exif=b"", icc_profile=b"")
    start = content.index(b"IDAT") + 4
    size = int.from_bytes(content[start - 8 : start - 4], "big")
    stream = zlib.decompressobj()
    plain = stream.decompress(content[start : start + size])  # raises if the sum is wrong
    assert stream.eof and not stream.unused_data
    assert len(plain) == 700 * 2401 > 2 * STRIP_BYTES  # three strips and more


def test_bytes_are_the_same_for_any_number_of_threads() -> None:
    pixels = np.random.default_rng(0).integers(0, 9, (1000, 800, 3), np.uint8)
    one, *more = (encode_png(pixels, exif=b"e", icc_profile=b"p", threads=threads) for threads in (1, 2, 5))
    assert all(content == one for content in more)


@pytest.mark.parametrize("cut", [0, 1, 70_000, 199_999])
def test_sums_of_pieces_are_joined(cut: int) -> None:
    content = np.random.default_rng(1).integers(0, 256, 200_000, np.uint8).tobytes()
    first, second = content[:cut], content[cut:]
    assert _join_adler(zlib.adler32(first), zlib.adler32(second), len(second)) == zlib.adler32(content)
