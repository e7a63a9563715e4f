from __future__ import annotations

import dataclasses
import errno
import io
import json
import os
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import MakeSong
from numpy.typing import NDArray
from PIL import Image, features

import clavilux
from clavilux.alt_text import average_cells, main_colours
from clavilux.colour_names import name_colour
from clavilux.constants import FIGURE_NAMES
from clavilux.errors import ClaviluxError, PictureError
from clavilux.painter.controls import Controls
from clavilux.picture import Picture
from clavilux.picture_file import picture_format, read_record
from clavilux.pipeline import Clavilux

RECORD: dict[str, Any] = {
    "clavilux": "0.1.0",
    "song": {"name": "Näcken – 夜想曲 \U0001f319", "sha256": "ab" * 32, "silent": False},
    "bundle": {"name": "fake", "sha256": "cd" * 32},
    "size": [160, 96],
    "seed": 7,
    "variation": 0,
    "spread": 1.0,
    "options": {"max_s": 14400.0, "clip": None},
}
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
HAS_AVIF = features.check("avif")  # Pillow 11.3 and later
FORMATS = [".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", *([".avif"] if HAS_AVIF else [])]
PALETTE = np.array(
    [[0, 0, 0], [0.1, 0.2, 0.6], [0.5, 0, 0], [0, 0.5, 0], [0.9, 0.1, 0.1], [0.2, 0.8, 0.2], [1, 1, 0], [1, 1, 1]],
    np.float32,
)


@pytest.fixture
def picture(make_song: MakeSong) -> Picture:
    """Three vertical fields of white (1/2), dark blue (3/8) and red (1/8)."""
    slots = np.full((96, 160), 7)
    slots[:, 80:140] = 1
    slots[:, 140:] = 4
    controls = Controls(PALETTE, np.zeros((8, 32, 32), np.float32), "facets", frequency=11.6, angle=0.1, chaos=1.0)
    pixels = np.round(255 * PALETTE).astype(np.uint8)[slots]
    return Picture(pixels, RECORD, controls, np.zeros(64, np.float32), make_song())


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_record_comes_back_from_every_format(picture: Picture, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    picture.save(path)
    assert read_record(path) == RECORD
    with Image.open(path) as image:
        assert image.size == (160, 96)
        assert image.mode == "RGB"
        exif = image.getexif()
        assert exif[0x010E] == picture.description
        assert exif[0x0131].startswith("clavilux ")


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_lossless_formats_keep_every_pixel(picture: Picture, tmp_path: Path, name: str) -> None:
    picture.save(tmp_path / name, quality=1)
    np.testing.assert_array_equal(load(tmp_path / name), picture.pixels)


def test_the_quality_of_jpeg_trades_size_for_faithfulness(picture: Picture, tmp_path: Path) -> None:
    noisy = dataclasses.replace(picture, pixels=np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8))
    sizes, faults = [], []
    for quality in (20, 95):
        noisy.save(tmp_path / "a.jpg", quality=quality)
        sizes.append((tmp_path / "a.jpg").stat().st_size)
        faults.append(np.abs(load(tmp_path / "a.jpg").astype(int) - noisy.pixels).mean())
    assert sizes[1] > 2 * sizes[0]
    assert faults[1] < faults[0] / 2


def test_jpeg_keeps_crisp_colour(picture: Picture, tmp_path: Path) -> None:
    picture.save(tmp_path / "a.jpg")
    fault = np.abs(load(tmp_path / "a.jpg").astype(int) - picture.pixels)
    assert fault.max() <= 12  # with the usual half resolution of colour it is above 60 at the borders


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_same_picture_gives_the_same_bytes(
    picture: Picture, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture.save(tmp_path / f"a{suffix}")
    monkeypatch.setenv(
        "TZ", "Asia/Tokyo"
    )  # the colour profile holds the date of its making, which must not get through
    picture.save(tmp_path / f"b{suffix}")
    content = (tmp_path / f"a{suffix}").read_bytes()
    assert content == (tmp_path / f"b{suffix}").read_bytes()
    with Image.open(tmp_path / f"a{suffix}") as image:
        profile = image.info["icc_profile"]
        assert profile[36:40] == b"acsp"
        assert profile[24:36] == bytes(12)
        if image.format != "TIFF":
            assert image.getexif().get_ifd(0x8769)[0xA001] == 1


def test_a_picture_is_replaced_and_nothing_else_is_left(picture: Picture, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"old")
    picture.save(tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert read_record(tmp_path / "a.png") == RECORD


def test_a_write_that_fails_leaves_the_old_file(
    picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "a.png").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(PictureError, match=r"a\.png: cannot be written \(No space left on device\)"):
        picture.save(tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"old"


def test_a_missing_folder_is_said(picture: Picture, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="cannot be written"):
        picture.save(tmp_path / "nowhere" / "a.png")


@pytest.mark.parametrize("name", ["a.gif", "a", "a.png.txt"])
def test_other_formats_are_refused(picture: Picture, tmp_path: Path, name: str) -> None:
    with pytest.raises(PictureError, match=r"written as \.png, .*, \.avif, \.svg, \.pdf, not as"):
        picture.save(tmp_path / name)


def test_the_extension_may_be_in_capitals() -> None:
    assert [picture_format(f"a{suffix.upper()}") for suffix in FORMATS[:5]] == ["PNG", "JPEG", "JPEG", "WEBP", "TIFF"]


@pytest.mark.parametrize("quality", [0, 101])
def test_quality_out_of_range_is_refused(picture: Picture, tmp_path: Path, quality: int) -> None:
    with pytest.raises(PictureError, match="from 1 to 100"):
        picture.save(tmp_path / "a.jpg", quality=quality)


def test_webp_is_refused_where_it_takes_too_much(picture: Picture, tmp_path: Path) -> None:
    assert picture_format("a.webp", (4096, 4096)) == "WEBP"
    assert picture_format("a.png", (8192, 8192)) == "PNG"
    large = dataclasses.replace(picture, pixels=np.broadcast_to(np.uint8(0), (4097, 4096, 3)))
    with pytest.raises(PictureError, match=r"4096 x 4097 pixels are too many for WebP.*\.png or \.jpg"):
        large.save(tmp_path / "a.webp")
    assert not list(tmp_path.iterdir())


def test_a_record_is_looked_for_in_the_formats_that_are_written_only(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", "GIF")
    gif = (tmp_path / "a.png").read_bytes()
    for content in (gif, b"DDS |\0\0\0" + bytes(range(120)), b"\0\0\0\x1cftypheic" + bytes(40)):
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(PictureError, match="is not a picture in a supported format"):
            read_record(tmp_path / "a.png")


def test_what_is_no_picture_has_no_record(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(PictureError, match=r"a\.png: is not a picture in a supported format"):
        read_record(tmp_path / "a.png")
    with pytest.raises(PictureError, match=r"b\.png: cannot be read \(No such file"):
        read_record(tmp_path / "b.png")


def test_a_cut_picture_has_no_record(picture: Picture, tmp_path: Path) -> None:
    picture.save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    for length in range(0, len(content), 40):
        (tmp_path / "cut.png").write_bytes(content[:length])
        try:
            record = read_record(tmp_path / "cut.png")
        except PictureError:
            continue
        assert record == RECORD


def test_a_picture_of_others_has_no_record(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(PictureError, match="carries no record of Clavilux"):
        read_record(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("comment", "reason"),
    [
        (b"ASCII\0\0\0{", "damaged record"),
        (b"ASCII\0\0\0[1]", "is not a record of Clavilux"),
        (b'ASCII\0\0\0{"a": 1}', "is not a record of Clavilux"),
        (b"UNICODE\0a", "carries no record of Clavilux"),
    ],
)
def test_a_comment_of_others_is_no_record(tmp_path: Path, comment: bytes, reason: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif)
    with pytest.raises(PictureError, match=reason):
        read_record(tmp_path / "a.jpg")


def test_the_record_is_plain_json(picture: Picture) -> None:
    assert json.loads(json.dumps(picture.record)) == picture.record


def test_the_description_names_the_colours_by_their_area(picture: Picture) -> None:
    kind = "a shape like a head of stone from top to bottom, and a small oval."
    painted = "Abstract picture, brush strokes in gouache, in"
    looks = "Light overall, lighter on the left; high contrast, vivid colours, calm."
    assert picture.description == f"{painted} white, dark blue and red: {kind} {looks}"
    plain = dataclasses.replace(picture, pixels=np.full((96, 160, 3), 255, np.uint8))
    assert plain.description.startswith(f"{painted} white: {kind} Light overall, evenly filled; low contrast")


def test_a_small_but_loud_colour_is_named(picture: Picture) -> None:
    pixels = np.full((96, 160, 3), (200, 195, 185), np.uint8)
    assert "accent" not in dataclasses.replace(picture, pixels=pixels).description
    pixels[40:50, 70:80] = (220, 20, 20)  # 0.65 % of the picture, far below a main colour
    assert ", in light grey with a red accent: " in dataclasses.replace(picture, pixels=pixels).description
    pixels[40:50, 70:80] = (150, 150, 150)
    assert "accent" not in dataclasses.replace(picture, pixels=pixels).description


def test_mixtures_at_borders_are_not_named(picture: Picture) -> None:
    pixels = np.full((300, 500, 3), (230, 20, 20), np.uint8)
    pixels[:, 163:331] = (20, 20, 230)
    pixels[:, 331:] = 255
    pixels[101:203] = (250, 250, 250)
    described = dataclasses.replace(picture, pixels=pixels).description
    assert ", in white, blue and red: " in described or ", in white, red and blue: " in described
    pixels[10:40, 20:60] = (255, 120, 90)
    louder = dataclasses.replace(picture, pixels=pixels).description
    assert "accent" not in described and "accent" not in louder


def test_an_accent_is_told_from_a_main_colour_of_the_same_name(picture: Picture) -> None:
    pixels = np.full((96, 160, 3), (160, 70, 65), np.uint8)
    pixels[10:20, 20:40] = (250, 10, 10)
    assert ", in red with a stronger red accent: " in dataclasses.replace(picture, pixels=pixels).description


def test_a_light_middle_is_told_rather_than_a_lighter_end(picture: Picture) -> None:
    pixels = np.full((96, 160, 3), 40, np.uint8)
    pixels[:32] = 80
    pixels[32:64] = 220
    assert "lighter in the middle" in dataclasses.replace(picture, pixels=pixels).description


def test_only_what_is_opaque_is_described(picture: Picture) -> None:
    pixels = np.zeros((96, 160, 3), np.uint8)
    pixels[:48] = (255, 0, 0)
    alpha = np.zeros((96, 160, 1), np.uint8)
    alpha[:48] = 255
    cut = dataclasses.replace(picture, pixels=pixels, rgba=np.dstack([pixels, alpha]))
    assert ", in red: " in cut.description and cut.description.endswith(
        "Of medium lightness; low contrast, vivid colours, calm; the ground is transparent."
    )
    assert ", in black and red: " in cut.on_ground.description
    nothing = dataclasses.replace(cut, rgba=np.zeros((96, 160, 4), np.uint8))
    assert nothing.description.endswith("; the ground is transparent.")


@pytest.mark.parametrize("surface", ["flat", "impasto", "drawing"])
def test_the_size_does_not_change_the_description(picture: Picture, surface: str) -> None:
    assert picture.controls is not None
    controls = dataclasses.replace(picture.controls, surface=surface, figure="guitar")
    found = {clavilux.paint(controls, size=side).description for side in (256, 400, 900)}
    assert len(found) == 1, found


@pytest.mark.parametrize("figure", FIGURE_NAMES)
def test_descriptions_are_short(picture: Picture, figure: str) -> None:
    assert picture.controls is not None
    controls = dataclasses.replace(picture.controls, figure=figure, shapes=7.0)
    assert len(dataclasses.replace(picture, controls=controls).description) <= 280


def test_the_description_is_in_the_xmp_block_of_every_format(picture: Picture, tmp_path: Path) -> None:
    for suffix in FORMATS:
        picture.save(tmp_path / f"a{suffix}")
        with Image.open(tmp_path / f"a{suffix}") as image:
            packet = image.info.get("xmp") or image.tag_v2[700]
        (description,) = ElementTree.fromstring(packet.decode().strip("\ufeff")).iter(f"{RDF}Description")
        texts = {block.tag.rpartition("}")[2]: item.text for block in description for item in block.iter(f"{RDF}li")}
        assert texts == {"description": picture.description, "AltTextAccessibility": picture.description}


def test_the_description_names_layout_contrast_and_both_figures(picture: Picture) -> None:
    assert picture.controls is not None
    rows = np.arange(96)[:, None, None] * np.ones((1, 160, 3))
    top = dataclasses.replace(picture, pixels=(200 - rows).astype(np.uint8))
    assert top.description.endswith("Light overall, lighter at the top; low contrast, muted colours, calm.")
    x, y = np.meshgrid(np.linspace(-1, 1, 160), np.linspace(-1, 1, 96))

    def look_of(light: NDArray[np.bool_]) -> str:
        pixels = np.repeat(np.where(light, 255, 0)[..., None], 3, axis=2).astype(np.uint8)
        return dataclasses.replace(picture, pixels=pixels).description.partition(": ")[2].partition(". ")[2]

    assert look_of(np.hypot(x, y) < 0.5) == "Dark overall, lighter in the middle; high contrast, muted colours, calm."
    corner = look_of(np.hypot(x - 0.5, y + 0.5) < 0.4)
    assert corner == "Dark overall, lighter at the top and on the right; high contrast, muted colours, calm."
    noise = look_of(np.random.default_rng(0).random((96, 160)) < 0.5)
    assert noise == "Of medium lightness, evenly filled; high contrast, muted colours, busy."
    two = dataclasses.replace(picture.controls, second_kind="blobs", surface="collage")
    described = dataclasses.replace(picture, controls=two).description
    assert described.startswith("Abstract picture, a collage of painted papers, in ")
    assert ": a shape like a head of stone from top to bottom, and a small oval. " in described
    bare = dataclasses.replace(picture, controls=dataclasses.replace(two, figure="none")).description
    assert ": no large figure. " in bare


def test_a_large_picture_is_described_from_a_sample(picture: Picture) -> None:
    large = dataclasses.replace(picture, pixels=np.repeat(np.repeat(picture.pixels, 20, axis=0), 20, axis=1))
    assert large.description == picture.description


def test_a_picture_as_an_array_is_read_only(picture: Picture) -> None:
    array = np.asarray(picture)
    np.testing.assert_array_equal(array, picture.pixels)
    with pytest.raises(ValueError, match="read-only"):
        array[:] = 0
    assert np.array(picture).flags.writeable


# In Python and notebooks ---------------------------------------------------------------------------------------------


def test_a_picture_is_an_image_and_an_array(picture: Picture) -> None:
    assert picture.image.mode == "RGB" and picture.image.size == (160, 96)
    np.testing.assert_array_equal(np.asarray(picture.image), picture.pixels)
    np.testing.assert_array_equal(np.asarray(picture), picture.pixels)
    assert np.asarray(picture, np.float32).dtype == np.float32


def test_a_notebook_shows_a_picture_small(picture: Picture) -> None:
    with Image.open(io.BytesIO(picture._repr_png_())) as image:
        np.testing.assert_array_equal(np.asarray(image), picture.pixels)
    large = dataclasses.replace(picture, pixels=np.zeros((1500, 3000, 3), np.uint8))
    with Image.open(io.BytesIO(large._repr_png_())) as image:
        assert image.size == (1024, 512)


def test_the_repr_is_one_short_line(picture: Picture) -> None:
    assert repr(picture).startswith(
        "<Picture of 'song0', 160 x 96: Abstract picture, brush strokes in gouache, in white"
    )
    assert len(repr(picture)) < 400 and "\n" not in repr(picture)


@pytest.mark.parametrize("name", ["png", "JPG", ".webp", "tif"])
def test_a_picture_is_saved_into_a_buffer(picture: Picture, tmp_path: Path, name: str) -> None:
    buffer = io.BytesIO()
    picture.save(buffer, format=name)
    path = tmp_path / f"a.{name.lower().removeprefix('.')}"
    picture.save(path)
    assert buffer.getvalue() == path.read_bytes()


def test_the_format_of_an_open_file_is_that_of_its_name(picture: Picture, tmp_path: Path) -> None:
    with (tmp_path / "a.webp").open("wb") as file:
        picture.save(file)
    assert read_record(tmp_path / "a.webp") == RECORD
    picture.save(tmp_path / "cover", format="jpg")  # the name is kept
    with Image.open(tmp_path / "cover") as image:
        assert image.format == "JPEG"


class FullDisk(io.BytesIO):
    """A file on a disk without space."""

    def write(self, content: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("target", "options", "reason"),
    [
        (io.BytesIO(), {}, 'give one, such as format="png"'),
        (io.BytesIO(), {"format": "gif"}, "format is 'gif'; it must be one of png, jpg"),
        (io.BytesIO(), {"format": 3}, "format is 3; it must be one of png"),
        (io.StringIO(), {"format": "png"}, "cannot be written .*open it with mode 'wb'"),
        (FullDisk(), {"format": "png"}, "cannot be written .No space left on device"),
        (5, {}, "target is 5; it must be a path, or a file"),
        ("a.png", {"dpi": 0}, "dpi is 0; it must be a number from 1 to 10000"),
    ],
)
def test_a_target_that_cannot_be_written_to_is_refused(
    picture: Picture, tmp_path: Path, target: Any, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(PictureError, match=reason):
        picture.save(tmp_path / target if isinstance(target, str) else target, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_the_density_is_written_into_the_file(picture: Picture, tmp_path: Path, suffix: str) -> None:
    for dpi, given in ((72, {"dpi": 72}), (300, {})):
        picture.save(tmp_path / f"a{suffix}", **given)
        with Image.open(tmp_path / f"a{suffix}") as image:
            assert image.info["dpi"] == pytest.approx((dpi, dpi), rel=1e-3)
    recorded = dataclasses.replace(picture, record={**RECORD, "dpi": 600.0})
    recorded.save(tmp_path / f"a{suffix}")
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert image.info["dpi"] == pytest.approx((600, 600), rel=1e-3)


def test_avif_needs_a_pillow_that_writes_it(picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def save(self: Image.Image, file: Any, **options: Any) -> None:
        raise ValueError("unknown file extension: .avif")

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(PictureError, match=r"writes no AVIF; install Pillow 11\.3 or later"):
        picture.save(tmp_path / "a.avif")


def load(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_a_colour_between_two_names_is_one_main_colour() -> None:
    between = np.full((64, 64, 3), (255, 223, 160), np.uint8)
    between[:24] = (255, 222, 160)  # nearly the same colour, with another name
    assert name_colour(between[0, 0] / np.float32(255)) != name_colour(between[-1, 0] / np.float32(255))
    (only,) = main_colours(average_cells(between))
    assert (only.share, only.hex) == (1, "#ffdfa0")


def test_colours_are_those_of_the_description(fake_bundle: Path, tone_file: Path) -> None:
    picture = Clavilux(fake_bundle).paint(tone_file, size=64)
    named = picture.description.partition(", in ")[2].partition(":")[0]
    assert named.startswith(picture.colours[0].name)
    assert set(re.split(", | and ", named.partition(" with ")[0])) <= {c.name for c in picture.colours}
    assert 0.5 < sum(colour.share for colour in picture.colours) <= 1.001
    assert [colour.hex[0] for colour in picture.colours] == ["#"] * len(picture.colours)


def test_arrays_of_a_picture_are_read_only(fake_bundle: Path, tone_file: Path) -> None:
    picture = Clavilux(fake_bundle).paint(tone_file, size=64, background="transparent")
    for array in (picture.pixels, picture.rgba, picture.z_image, picture.z_audio, np.asarray(picture)):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_picture_from_its_record_names_its_song(fake_bundle: Path, tone_file: Path) -> None:
    record = Clavilux(fake_bundle).paint(tone_file, size=64).record
    assert repr(Clavilux(fake_bundle).repaint(record)).startswith("<Picture of 'chord', 64 x 64: ")


def test_an_existing_file_is_kept_if_asked(fake_bundle: Path, tone_file: Path, tmp_path: Path) -> None:
    picture = Clavilux(fake_bundle).paint(tone_file, size=64)
    (tmp_path / "a.png").write_bytes(b"mine")
    for kind in (ClaviluxError, FileExistsError):
        with pytest.raises(kind, match=r"a\.png: exists already; give another name"):
            picture.save(tmp_path / "a.png", exclusive=True)
    assert (tmp_path / "a.png").read_bytes() == b"mine"
