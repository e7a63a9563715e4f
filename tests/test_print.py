"""Print sizes: memory, tiles without seams, the same picture at every size, covers."""

from __future__ import annotations

import io
import itertools
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from conftest import MakeSong
from PIL import Image, ImageCms
from PIL.JpegImagePlugin import JpegImageFile
from test_painter import make_controls

from clavilux.painter.controls import Controls
from clavilux.painter.paint import paint
from clavilux.picture import Picture

MOST_BYTES = 2e9  # of the whole command at 8192 x 8192
LARGEST_BYTES = 3 * 8192**2  # of its pixels
OTHERWISE_BYTES = 200e6  # of what does not grow: the interpreter, networks, tiles

PLAIN = make_controls("facets", surface="flat")
WORKED = make_controls("strokes", surface="gouache", second_kind="dots", softness=0.5, glaze=6.0, brush=4.0)

MEASURE = """
import sys
from clavilux.cli import main
status = None
try:
    main()
except SystemExit as end:
    status = end.code
with open("/proc/self/status") as file:
    peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
print(status, peak)
"""


def peak_of_command(song: Path, bundle: Path, picture: Path, size: str) -> int:
    """Peak memory in bytes of `clavilux paint` in a new process."""
    arguments = ["paint", song, "-o", picture, "--size", size, "--bundle", bundle]
    command = [sys.executable, "-c", MEASURE, *map(str, arguments)]
    core = os.environ | {"CLAVILUX_FAST": "0"}  # Numba adds 100 MB, at any size
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=core)
    status, peak = done.stdout.split()[-2:]
    assert status == "0", done.stderr
    return 1024 * int(peak)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_the_largest_picture_needs_less_than_two_gigabytes(
    tone_file: Path, fake_bundle: Path, tmp_path: Path, name: str
) -> None:
    small, large = (peak_of_command(tone_file, fake_bundle, tmp_path / name, size) for size in ("64", "1600x1200"))
    assert small < OTHERWISE_BYTES
    assert (large - small) / (3 * 1600 * 1200) < (MOST_BYTES - OTHERWISE_BYTES) / LARGEST_BYTES


def peak_of_painting(controls: Controls, width: int, height: int) -> int:
    """Peak memory of arrays in bytes while a picture is painted."""
    tracemalloc.start()
    try:
        paint(controls, width=width, height=height)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize("controls", [PLAIN, WORKED])
def test_memory_grows_no_faster_than_the_picture(controls: Controls) -> None:
    sides = (512, 1024, 2048)
    peaks = [peak_of_painting(controls, side, side) for side in sides]
    for before, after in itertools.pairwise(peaks):
        assert after < 4.1 * before
    # The raster of the composition and a block of pixels need about 200 MB, whatever the size.
    assert peaks[-1] < 250e6 + 6 * 3 * sides[-1] ** 2


def test_a_print_is_the_same_picture_as_on_a_screen() -> None:
    small = paint(WORKED, width=192, height=256, seed=1)
    large = paint(WORKED, width=768, height=1024, seed=1)
    light = (large / 255.0) ** 2.2  # means are taken in linear light
    shrunk = 255 * light.reshape(256, 4, 192, 4, 3).mean(axis=(1, 3)) ** (1 / 2.2)
    assert np.abs(shrunk - small).mean() < 5
    assert np.abs(shrunk[::-1] - small).mean() > 20


@pytest.mark.slow
def test_a_cover_fulfils_the_requirements_of_shops(make_song: MakeSong, tmp_path: Path) -> None:
    """Square, 3000 pixels, baseline JPEG of quality 95, RGB in sRGB, colour at full resolution, 300 dpi, below 4 MB."""
    pixels = paint(WORKED, width=3000, height=3000, threads=2)
    Picture(pixels, {}, WORKED, np.zeros(64, np.float32), make_song()).save(tmp_path / "cover.jpg")
    assert (tmp_path / "cover.jpg").stat().st_size < 4e6
    with Image.open(tmp_path / "cover.jpg") as image:
        assert isinstance(image, JpegImageFile)
        assert (image.format, image.mode, image.size, image.bits) == ("JPEG", "RGB", (3000, 3000), 8)
        assert not {"progressive", "transparency", "adobe"} & set(image.info)
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3  # 4:4:4
        assert image.quantization == quantization_of_quality(95)
        assert image.info["dpi"] == (300, 300)
        assert 0x0112 not in image.getexif()  # no orientation, which some shops refuse
        assert_is_srgb(image)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_every_format_contains_a_profile_and_the_density(make_song: MakeSong, tmp_path: Path, name: str) -> None:
    pixels = paint(PLAIN, width=64, height=64)
    Picture(pixels, {}, PLAIN, np.zeros(64, np.float32), make_song()).save(tmp_path / name)
    with Image.open(tmp_path / name) as image:
        exif = image.getexif()
        assert (exif[0x011A], exif[0x011B], exif[0x0128]) == (300, 300, 2)
        if name != "a.webp":  # which stores it in Exif only
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.02)
        assert_is_srgb(image)


def quantization_of_quality(quality: int) -> dict[int, list[int]]:
    """Quantization tables of a JPEG of a quality by Pillow."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as image:
        assert isinstance(image, JpegImageFile)
        return image.quantization


def assert_is_srgb(image: Image.Image) -> None:
    """Converting from the embedded profile to sRGB changes nothing."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    colours = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    to_srgb, to_lab = (
        np.asarray(ImageCms.profileToProfile(colours, profile, ImageCms.createProfile(target), outputMode=mode))
        for target, mode in (("sRGB", "RGB"), ("LAB", "LAB"))
    )
    assert np.abs(to_srgb.astype(int) - np.asarray(colours)).max() <= 1
    assert np.ptp(to_lab[:, :, 0]) > 200
