"""Pictures with a transparent ground: alpha, colours at borders, formats, records."""

from __future__ import annotations

import dataclasses
import io
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import sounds
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image, features
from test_painter import make_controls

import clavilux
from clavilux.cli import cli
from clavilux.constants import SURFACE_NAMES
from clavilux.errors import BundleError, PictureError
from clavilux.painter.ground import ground_slots
from clavilux.painter.paint import composition_of, paint
from clavilux.picture import Picture
from clavilux.picture_file import read_record

WITH_ALPHA = ["png", "webp", "tif", *(["avif"] if features.check("avif") else [])]


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sounds.write_sound(tmp_path_factory.mktemp("songs") / "song.flac", sounds.song(8.0))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def cut(surface: str, *, size: int = 320, **changes: Any) -> Picture:
    controls = make_controls("blobs", surface=surface, **changes)
    return clavilux.paint(controls, size=size, seed=3, background="transparent")


def on(picture: Picture, colour: NDArray[Any]) -> NDArray[Any]:
    assert picture.rgba is not None
    share = picture.rgba[..., 3:] / 255
    return picture.rgba[..., :3] * share + (1 - share) * colour


@pytest.mark.parametrize("surface", SURFACE_NAMES)
def test_alpha_is_0_on_the_ground_and_255_inside(surface: str) -> None:
    """A dark field on a light ground, which is nearly the paper of a drawing too."""
    plan = np.full((8, 32, 32), -12.0, np.float32)
    field = np.zeros((32, 32), bool)
    field[8:24, 8:24] = True
    plan[0][field], plan[7][~field] = 0, 0
    controls = make_controls("blobs", surface=surface, plan=plan, chaos=0.0)
    alpha = clavilux.paint(controls, size=256, background="transparent").alpha
    assert alpha is not None
    assert alpha.shape == (256, 256)
    rim = np.concatenate([alpha[:24].ravel(), alpha[:, -24:].ravel()])
    assert (rim == 0).mean() > (0.98 if surface == "drawing" else 0.999)
    assert (alpha[96:160, 96:160] == 255).mean() > (0.8 if surface == "drawing" else 0.999)


def test_the_ground_is_the_colour_on_most_of_the_rim() -> None:
    composition = composition_of(make_controls("blobs"), width=64, height=64)
    slots = composition.slots.copy()
    slots[:] = 3
    slots[0], slots[-1], slots[:, 0], slots[:300, -1] = 5, 5, 5, 2
    framed = dataclasses.replace(composition, slots=slots)
    assert np.flatnonzero(ground_slots(framed)).tolist() == [5]
    framed.palette[6] = framed.palette[5]
    assert np.flatnonzero(ground_slots(framed)).tolist() == [5, 6]


@pytest.mark.parametrize("surface", SURFACE_NAMES)
def test_on_its_ground_the_picture_is_the_painted_one(surface: str) -> None:
    size = 512 if surface == "drawing" else 320
    picture = cut(surface, size=size, texture=0.0, glaze=0.0, outline=-0.8)
    assert picture.alpha is not None
    assert 0.005 < (picture.alpha == 0).mean() < 0.5
    ground = np.median(picture.pixels[picture.alpha == 0], axis=0)
    apart = np.abs(on(picture, ground) - picture.pixels).max(axis=2)
    assert (apart[picture.alpha == 255] > 1).mean() < 0.02
    if surface in ("flat", "drawing"):  # others have a ground of many colours
        assert (apart > 8).mean() < 0.002


@pytest.mark.parametrize("surface", ["flat", "print", "layers", "drawing"])
def test_pixels_at_borders_have_no_colour_of_the_ground(surface: str) -> None:
    """A blue ground below brown and red: no pixel that is seen is blue."""
    palette = [[0.3, 0.1, 0.05]] * 4 + [[0.9, 0.2, 0.1]] * 3 + [[0.2, 0.4, 1.0]]
    plan = np.full((8, 32, 32), -12.0, np.float32)
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    for slot, inside in ((7, x**2 + y**2 > 0.5), (1, x**2 + y**2 <= 0.2)):
        plan[slot][inside] = 0
    plan[5][(x**2 + y**2 > 0.2) & (x**2 + y**2 <= 0.5)] = 0
    controls = dataclasses.replace(
        make_controls("blobs", surface=surface, plan=plan, chaos=0.2, exact_palette=True, softness=1.0, texture=0.0),
        palette=np.asarray(palette, np.float32),
    )
    picture = clavilux.paint(controls, size=256, background="transparent")
    assert picture.rgba is not None
    seen = picture.rgba[picture.rgba[..., 3] > 3].astype(int)
    assert len(seen) > 5000
    assert (seen[:, 2] > seen[:, 0]).mean() < 0.001


def test_the_default_is_painted_and_changes_nothing(fake_bundle: Path, song: Path) -> None:
    default = clavilux.paint(song, size=96, bundle=fake_bundle)
    painted, cut = (
        clavilux.paint(song, size=96, bundle=fake_bundle, background=name) for name in ("painted", "transparent")
    )
    assert default.record == painted.record
    assert "background" not in default.record
    assert (default.alpha, default.rgba, default.image.mode) == (None, None, "RGB")
    np.testing.assert_array_equal(default.pixels, painted.pixels)
    np.testing.assert_array_equal(default.pixels, cut.pixels)
    assert (cut.record["background"], cut.image.mode, cut.pixels.shape) == ("transparent", "RGBA", (96, 96, 3))
    assert cut.description.endswith("; the ground is transparent.") and "transparent" not in default.description
    np.testing.assert_array_equal(np.asarray(cut.image)[..., 3], cut.alpha)


def test_threads_and_blocks_do_not_change_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    controls = make_controls("shards", surface="gouache")
    once = paint(controls, width=320, height=280, transparent=True)
    monkeypatch.setattr("clavilux.painter.paint._BLOCK", 320 * 50)
    np.testing.assert_array_equal(paint(controls, width=320, height=280, threads=2, transparent=True), once)


@pytest.mark.parametrize("suffix", WITH_ALPHA)
def test_formats_keep_alpha_and_the_record_repaints_it(
    fake_bundle: Path, song: Path, tmp_path: Path, suffix: str
) -> None:
    first, again = tmp_path / f"a.{suffix}", tmp_path / f"again.{suffix}"
    options = ("--bundle", fake_bundle, "--size", "80x64")
    done = run("paint", song, *options, "--background", "transparent", "-o", first)
    assert done.exit_code == 0 and re.fullmatch(r".* -> .* \(\d+ % transparent\)\n", done.stdout)
    assert read_record(first)["background"] == "transparent"
    with Image.open(first) as image:
        assert image.mode == "RGBA"
        assert image.getchannel("A").getextrema()[0] < 10
    assert run("paint", "--again", first, "--bundle", fake_bundle, "-o", again).exit_code == 0
    assert again.read_bytes() == first.read_bytes()
    done = run("paint", song, *options, "--background", "transparent", "--resume", "-o", first)
    assert "skipped 1 picture that exists" in done.stderr
    done = run("paint", song, *options, "--resume", "-o", first)
    assert "skipped" not in done.stderr
    with Image.open(first) as image:
        assert image.mode == "RGB"


def test_controls_are_painted_without_ground_again(tmp_path: Path) -> None:
    picture = cut("print")
    picture.save(tmp_path / "a.png")
    done = run("paint", "--again", tmp_path / "a.png", "-o", tmp_path / "b.png")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    done = run("paint", "--again", tmp_path / "a.png", "--background", "painted", "-o", tmp_path / "b.jpg")
    assert done.exit_code == 0, done.output
    assert "background" not in read_record(tmp_path / "b.jpg")


@pytest.mark.parametrize("name", ["a.jpg", "{name}.jpeg", "a/"])
def test_jpeg_is_refused_before_anything_is_painted(fake_bundle: Path, song: Path, tmp_path: Path, name: str) -> None:
    options = ["--format", "jpg"] if name == "a/" else []
    target = f"{tmp_path}/{name}"
    done = run("paint", song, "--bundle", fake_bundle, "--background", "transparent", "-o", target, *options)
    assert done.exit_code == 2
    assert "JPEG has no transparency; give .png, .webp, .tif, .tiff, .avif, .svg, .pdf." in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_repainted_jpeg_is_refused(tmp_path: Path) -> None:
    picture = cut("flat")
    picture.save(tmp_path / "a.png")
    done = run("paint", "--again", tmp_path / "a.png", "-o", tmp_path / "a.jpg")
    assert done.exit_code == 2
    assert "JPEG has no transparency" in done.stderr
    with pytest.raises(PictureError, match=r"a\.jpg: JPEG has no transparency; give \.png"):
        picture.save(tmp_path / "a.jpg")


def test_other_values_and_bundles_of_pixels_are_refused(song: Path) -> None:
    with pytest.raises(PictureError, match="background is 'white'; it must be painted or transparent"):
        clavilux.paint(song, background="white")
    with pytest.raises(BundleError, match="decodes latents to pixels, which have no ground"):
        clavilux.paint(song, bundle="classic", background="transparent")


def test_covers_have_their_ground_and_the_sheet_is_white(fake_bundle: Path, song: Path, tmp_path: Path) -> None:
    copied = tmp_path / "song.flac"
    copied.write_bytes(song.read_bytes())
    done = run(
        "paint", copied, "--bundle", fake_bundle, "--size", 96, "--count", 2, "--background", "transparent",
        "--folder-image", "--sheet", tmp_path / "sheet.png", "-o", tmp_path / "a.png",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "background" not in read_record(tmp_path / "cover.jpg")
    pixels = clavilux.paint(copied, size=96, bundle=fake_bundle).pixels
    with Image.open(tmp_path / "cover.jpg") as image:
        assert np.abs(np.asarray(image).astype(int) - pixels).mean() < 6
    with Image.open(tmp_path / "a-2.png") as image:
        assert image.mode == "RGBA"
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.mode == "RGB"


@pytest.mark.parametrize("surface", ["flat", "gouache", "layers", "drawing"])
def test_vector_pictures_have_no_ground(surface: str) -> None:
    pytest.importorskip("contourpy", reason="needs the extra vector")
    resvg = pytest.importorskip("resvg_py", reason="needs the extra dev")
    picture = cut(surface)
    buffer = io.BytesIO()
    picture.save(buffer, format="svg")
    assert picture.alpha is not None
    assert ElementTree.fromstring(buffer.getvalue()).get("viewBox") == "0 0 320 320"
    png = resvg.svg_to_bytes(svg_string=buffer.getvalue().decode(), width=320, dpi=96.0)
    alpha = np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGBA"))[..., 3].astype(int)
    apart = np.abs(alpha - picture.alpha)
    assert apart.mean() < (12 if surface in ("flat", "layers") else 30), "bristles are missing"
    assert (alpha == 0).mean() > 0.002
