"""Steering: every option does what it says, contradictions are named, and without any nothing changes."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MakeSong
from fake_bundle import write_fake_bundle
from numpy.typing import NDArray
from PIL import Image
from steered import count_areas, edge_density, grain_of, mean_colour, random_controls

import clavilux
from clavilux.alt_text import MainColour
from clavilux.bundle import open_bundle
from clavilux.colour import read_hex, srgb_to_lab
from clavilux.constants import LATENT_DIM, SHIFTS, SURFACE_NAMES
from clavilux.controls_file import parse_controls_record
from clavilux.errors import BundleError, ControlsError, PictureError
from clavilux.options import PaintOptions
from clavilux.painter.paint import composition_of, paint
from clavilux.painter.palette import place_colours, shift_colours
from clavilux.painter.surfaces import SURFACES
from clavilux.pipeline import Clavilux
from clavilux.steering import NearPicture, Steering

N_SONGS = 40
MOODY = ["tempo", "valence", "arousal"]
EVERYTHING = Steering(
    palette=["#112233", "#E63946"],
    lightness=0.2,
    saturation=-0.3,
    warmth=1,
    texture=0.1,
    scale=-1,
    complexity=0.5,
    outline=0.4,
    surface="flat",
    figure="boat",
    marks="rings, dots",
    mood=(0.5, -1),
    near=NearPicture("sea", "ab" * 32),
)


@pytest.fixture(scope="module")
def moody(tmp_path_factory: pytest.TempPathFactory) -> Clavilux:
    """A bundle that knows valence and arousal."""
    n = LATENT_DIM + len(MOODY)
    song = {"song_mean": [0.0] * n, "song_deviation": [*[1.0] * (n - 2), 0.5, 0.25], "song_weights": [1.0] * n}
    mean = [110.0, 0.0, 0.0]
    folder = tmp_path_factory.mktemp("moody") / "moody"
    card = {"normalisation": {"descriptor_mean": mean, **song}}
    return Clavilux(write_fake_bundle(folder, descriptors=MOODY, descriptor_mean=mean, **card))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture of four colours, half of it green."""
    pixels = np.zeros((120, 160, 3), np.uint8)
    pixels[:60], pixels[60:], pixels[90:, :80], pixels[90:, 80:] = (20, 120, 60), (230, 40, 30), 255, 0
    Image.fromarray(pixels).save(tmp_path / "four.png")
    return tmp_path / "four.png"


MOOD_OF_SONG = {"tempo": 120.0, "valence": 0.0, "arousal": 0.0}

# Values and faults ---------------------------------------------------------------------------------------------------


def test_nothing_is_asked_for_by_default() -> None:
    assert not Steering()
    assert Steering().to_record() == {}
    controls = random_controls(0)
    assert Steering().steer(controls) is controls
    assert "steering" not in PaintOptions().to_record()


def test_a_record_holds_all_of_it() -> None:
    entry = json.loads(json.dumps(EVERYTHING.to_record()))
    assert set(entry) == {f.name for f in dataclasses.fields(Steering)} - {"palette_from"}
    assert Steering.from_record(entry) == EVERYTHING
    options = PaintOptions(noise_std=0, logvar_scale=0, steering=EVERYTHING)
    assert PaintOptions.from_record(options.to_record()) == options


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        (["warmth"], "is a JSON object"),
        ({"palette_from": "/etc/hostname"}, "list of colours"),
        ({"near": "/etc/hostname"}, "a name and a sha256"),
        ({"near": {"name": "sea"}}, "a name and a sha256"),
        ({"warmth": "hot"}, "warmth is 'hot'"),
        ({"palette": ["#112233", 7]}, "the colour 7"),
    ],
)
def test_the_steering_of_a_record_is_untrusted(entry: Any, match: str) -> None:
    with pytest.raises(PictureError, match=match):
        Steering.from_record(entry)


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"palette": "#112233"}, "has 1 colour; it must have 2 to 8"),
        ({"palette": ["#112233"] * 9}, "has 9 colours; it must have 2 to 8"),
        ({"palette": "#112233,reddish"}, "colour 'reddish'; write colours as #1a2b3c, #1ab, red or light blue"),
        ({"palette": 7}, "palette is 7"),
        ({"palette": [(0, 0, 256), "#000000"]}, r"the colour \(0, 0, 256\); .* three whole numbers from 0 to 255"),
        ({"palette": np.full((2, 3), 1.5)}, "three floats from 0 to 1"),
        ({"palette": [(0, 0), (0, 0, 0)]}, r"the colour \(0, 0\)"),
        ({"palette": [(0, [0], 0), (0, 0, 0)]}, "the colour"),
        ({"palette": np.zeros(())}, "palette is"),
        ({"palette": "#112233,#445566", "palette_from": ["#000000"] * 8}, "both give the colours"),
        ({"lightness": 1.5}, "lightness is 1.5; it must be a number from -1 to 1"),
        ({"saturation": -2}, "saturation is -2"),
        ({"warmth": "very"}, "warmth is 'very'"),
        ({"texture": -0.1}, "texture is -0.1; it must be a number from 0 to 1"),
        ({"scale": float("nan")}, "scale is nan"),
        ({"complexity": True}, "complexity is True"),
        ({"outline": 2}, "outline is 2"),
        ({"outline": 0.5, "surface": "gouache"}, "gouache has no lines; give the surface flat"),
        ({"surface": "oil"}, "surface is 'oil'; it must be one of gouache"),
        ({"surface": ["flat"]}, "surface is"),
        ({"figure": "square"}, "figure is 'square'; it must be one of auto, none, face"),
        ({"marks": "circles"}, "the kind 'circles'; kinds are blobs"),
        ({"marks": "rings,dots,tiles"}, "one kind of marks or two"),
        ({"marks": 3}, "one kind of marks or two"),
        ({"mood": 0.5}, "valence and arousal"),
        ({"mood": (0, 2)}, "arousal is 2"),
        ({"near": "no such.png"}, "no such.png: cannot be read"),
        ({"near": io.BytesIO()}, "near is an open file; give its path, or the picture as PIL.Image.open"),
        ({"palette_from": io.BytesIO()}, "palette_from is an open file"),
        ({"palette_from": "no such.png"}, "no such.png: cannot be read"),
    ],
)
def test_faults_are_named(asked: dict[str, Any], match: str) -> None:
    with pytest.raises(PictureError, match=match) as caught:
        Steering(**asked)
    assert "\n" not in str(caught.value)


def test_a_bundle_of_pixels_cannot_be_steered(fake_bundle: Path) -> None:
    with pytest.raises(BundleError, match="decodes latents to pixels and cannot be steered"):
        Steering(warmth=1).check_bundle(open_bundle("classic"))
    with pytest.raises(BundleError, match="without valence and arousal"):
        Steering(mood=(1, 0)).check_bundle(open_bundle(fake_bundle))
    Steering(warmth=1).check_bundle(open_bundle(fake_bundle))


@pytest.mark.parametrize("asked", [{"mood": (1, 0)}, {"near": NearPicture("sea", "")}])
def test_controls_have_no_mood(asked: dict[str, Any]) -> None:
    with pytest.raises(ControlsError, match="needs a song"):
        clavilux.paint(random_controls(0), size=64, **asked)


# Colours -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(2, 9))
def test_given_colours_appear_as_given(n: int) -> None:
    rng = np.random.default_rng(n)
    colours = [f"#{bytes(colour).hex()}" for colour in rng.integers(0, 256, (n, 3), np.uint8)]
    controls = Steering(palette=colours).steer(random_controls(n))
    given = srgb_to_lab(np.array([list(bytes.fromhex(colour[1:])) for colour in colours]) / 255)
    painted = composition_of(controls, width=64, height=64).palette
    assert np.abs(painted[:, None] - given[None]).max(axis=2).min(axis=1).max() < 0.01  # each slot has a given colour
    assert np.abs(painted[:, None] - given[None]).max(axis=2).min(axis=0).max() < 0.01  # each colour has a slot
    assert (np.diff(painted[:, 0]) >= 0).all()


def test_colours_are_placed_by_lightness_and_area() -> None:
    palette = np.linspace(0, 1, 8, dtype=np.float32)[:, None] * np.ones(3, np.float32)
    colours = np.array([[1, 1, 1], [0, 0, 0]], np.float32)
    even = place_colours(colours, palette, np.full(8, 1 / 8))
    np.testing.assert_array_equal(even[:, 0], [0, 0, 0, 0, 1, 1, 1, 1])
    # Dark slots cover nearly all: black gets the darkest alone, so that white is seen.
    dark = place_colours(colours, palette, np.array([0.5, 0.44, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01]))
    np.testing.assert_array_equal(dark[:, 0], [0, 1, 1, 1, 1, 1, 1, 1])


def test_flat_colour_is_painted_in_the_given_colours() -> None:
    asked = Steering(palette=["#112233", "#e63946", "#f1faee"], surface="flat", texture=0)
    lab = srgb_to_lab(paint(asked.steer(random_controls(4)), width=96, height=96).reshape(-1, 3) / 255)
    given = srgb_to_lab(np.array([[0x11, 0x22, 0x33], [0xE6, 0x39, 0x46], [0xF1, 0xFA, 0xEE]]) / 255)
    nearest = np.linalg.norm(lab[:, None] - given, axis=2).min(axis=1)
    assert np.median(nearest) < 6  # light and shade within an area


def test_a_palette_may_be_numbers() -> None:
    expected = Steering(palette=["#ff0000", "#0080ff"])
    assert Steering(palette=[(255, 0, 0), "#0080ff"]) == expected
    assert Steering(palette=np.array([[255, 0, 0], [0, 128, 255]], np.uint8)) == expected
    assert Steering(palette=np.array([[1, 0, 0], [0, 0.5019608, 1]])) == expected
    assert Steering(palette=([255, 0, 0], (0.0, 0.5019608, 1.0))) == expected
    assert Steering(palette=[MainColour("red", "#ff0000", 0.7), MainColour("blue", "#0080ff", 0.2)]) == expected


def test_the_palette_of_a_picture_is_read(picture: Path) -> None:
    asked = Steering(palette_from=picture)
    assert asked.palette_from is not None and len(asked.palette_from) == 8
    assert {"#14783c", "#e6281e", "#ffffff", "#000000"} <= set(asked.palette_from)
    assert Steering.from_record(json.loads(json.dumps(asked.to_record()))) == asked
    controls = asked.steer(dataclasses.replace(random_controls(1), exact_palette=True))
    assert not controls.exact_palette  # the range of lightness and the accent of `compose_palette`


def test_one_colour_is_a_palette_too(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), (90, 90, 200)).save(tmp_path / "blue.png")
    controls = Steering(palette_from=tmp_path / "blue.png").steer(random_controls(1))
    assert np.ptp(composition_of(controls, width=64, height=64).palette[:, 0]) > 55


def test_shifts_of_nothing_change_nothing() -> None:
    lab = np.array([[50, 20, -30], [97, 1, 2]], np.float32)
    assert shift_colours(lab, 0, 0, 0) is lab


def test_shifts_have_known_results() -> None:
    lab = np.array([[50, 20, -30], [97, 1, 2]], np.float32)
    np.testing.assert_allclose(shift_colours(lab, 0, -1, 0)[:, 1:], 0, atol=0.1)  # grey
    np.testing.assert_allclose(shift_colours(lab, 0, 0.5, 0)[0], [50, 30, -45], atol=0.5)
    np.testing.assert_allclose(shift_colours(lab, -1, 0, 0)[0, 0], 18.75, atol=0.5)
    np.testing.assert_allclose(shift_colours(lab, 1, 0, 0)[0, 0], 81.25, atol=0.5)
    vivid = shift_colours(np.array([[50, 70, 50]], np.float32), 0, 1, 0)[0]  # outside the gamut
    assert vivid[0] == pytest.approx(50, abs=1)  # neither lightness nor hue are lost
    assert np.arctan2(vivid[2], vivid[1]) == pytest.approx(np.arctan2(50, 70), abs=0.03)


def test_grey_is_grey_even_with_an_accent() -> None:
    controls = Steering(saturation=-1).steer(random_controls(2))
    assert np.abs(composition_of(controls, width=64, height=64).palette[:, 1:]).max() < 0.1


def test_grey_pictures_are_described_as_grey() -> None:
    controls = dataclasses.replace(random_controls(2), surface="flat")
    words = clavilux.paint(controls, size=64, saturation=-1).description
    assert sorted(re.split(", | and ", re.search(" in (.*?):", words)[1])) == ["black", "dark grey", "light grey"]


# Shapes --------------------------------------------------------------------------------------------------------------


def test_surface_and_marks_are_as_given() -> None:
    controls = Steering(surface="print", marks=["rings"], figure="none").steer(random_controls(0))
    assert controls.figure == "none" != Steering(surface="print").steer(random_controls(0)).figure
    assert (controls.surface, controls.kind, controls.second_kind) == ("print", "rings", None)
    assert Steering(marks="rings,dots").steer(controls).second_kind == "dots"


def test_outlines_get_wider() -> None:
    controls = dataclasses.replace(random_controls(3), surface="flat")
    covered = []
    for width in (0.0, 0.3, 1.0):
        steered = Steering(outline=width).steer(controls)
        line = SURFACES["flat"](composition_of(steered, width=64, height=64)).line
        covered.append(0.0 if line is None else float((line > 0).mean()))
    assert covered[0] == 0 and covered[0] < covered[1] < covered[2]


@pytest.mark.parametrize("surface", SURFACE_NAMES)
def test_a_surface_without_lines_is_named(surface: str) -> None:
    complaint = Steering(outline=0.5).complaint_about(dataclasses.replace(random_controls(3), surface=surface))
    if surface == "flat":
        assert complaint is None
    else:
        assert f"painted as {surface}, which has no lines" in complaint


def test_the_complaint_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    clavilux.paint(dataclasses.replace(random_controls(3), surface="print"), size=64, outline=1)
    assert "controls: painted as print" in caplog.text


def test_without_texture_strokes_have_no_bristles() -> None:
    controls = dataclasses.replace(random_controls(0), surface="gouache")
    none, usual = (
        SURFACES["gouache"](composition_of(dataclasses.replace(controls, texture=texture), width=64, height=64))
        for texture in (0.0, 0.5)
    )
    assert np.ptp(none.strokes.bristles) == 0 and not none.strokes.paint[:, 3:5].any()
    np.testing.assert_array_equal(none.strokes.shape, usual.strokes.shape)


# Forty songs ---------------------------------------------------------------------------------------------------------


@cache
def pictures_of(name: str, value: float) -> NDArray[np.uint8]:
    """Pictures of forty songs with one option, (40, 64, 64, 3)."""
    asked = Steering(**{name: value}) if name else Steering()
    return np.stack([paint(asked.steer(random_controls(n)), width=64, height=64) for n in range(N_SONGS)])


MEASURES = {
    "lightness": lambda pixels: mean_colour(pixels)[0],
    "saturation": lambda pixels: mean_colour(pixels)[3],
    "warmth": lambda pixels: mean_colour(pixels)[1:3].sum(),
    "texture": grain_of,
}


@pytest.mark.slow
@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("name", MEASURES)
def test_colours_and_texture_move_in_the_stated_direction(name: str) -> None:
    low, high = (0.0, 1.0) if name == "texture" else (-0.5, 0.5)
    less, more = (np.array([MEASURES[name](p) for p in pictures_of(name, value)]) for value in (low, high))
    assert (less < more).mean() >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "measure", "figure", "value", "share"),
    [
        ("scale", edge_density, "none", 0.5, 0.95),
        ("complexity", count_areas, "none", 0.5, 0.95),
        # Figures are larger where shapes are, and large figures have long borders, which hides a part of the change. Of
        # these random controls, 35 of 40 move as stated; of the controls of 40 training songs, 38 do.
        ("scale", edge_density, "auto", 1.0, 0.85),
        ("complexity", count_areas, "auto", 1.0, 0.95),
    ],
)
def test_shapes_move_in_the_stated_direction(name: str, measure: Any, figure: str, value: float, share: float) -> None:
    songs = [dataclasses.replace(random_controls(n), figure=figure) for n in range(N_SONGS)]
    less, more = ([measure(Steering(**{name: v}).steer(song)) for song in songs] for v in (-value, value))
    assert np.less(less, more).mean() >= share


@cache
def busyness(complexity: float) -> NDArray[np.float64]:
    """How busy the pictures of forty songs are, by their borders and areas, (40,)."""
    steered = [Steering(complexity=complexity).steer(random_controls(n)) for n in range(N_SONGS)]
    looks = [clavilux.paint(controls, size=128).look for controls in steered]
    return np.array([look.borders * (look.areas or 0) for look in looks])


@pytest.mark.slow
@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize(("value", "share"), [(-1.0, 0.95), (-0.5, 0.8), (0.5, 0.8), (1.0, 0.9)])
def test_complexity_makes_a_picture_calmer_or_busier_than_it_was(value: float, share: float) -> None:
    assert (np.sign(busyness(value) - busyness(0.0)) == np.sign(value)).mean() >= share


@pytest.mark.parametrize("surface", SURFACE_NAMES)
def test_without_saturation_a_picture_is_grey(surface: str) -> None:
    controls = dataclasses.replace(random_controls(1), surface=surface)
    pixels = paint(Steering(saturation=-1).steer(controls), width=64, height=64).astype(int)
    assert np.ptp(pixels, axis=-1).max() <= 3


@pytest.mark.parametrize("surface", ["gouache", "impasto", "drawing", "collage"])
def test_strokes_of_an_exact_palette_have_its_hues(surface: str) -> None:
    asked = Steering(palette=("#000080", "#ee6633", "#ffffff"))
    controls = asked.steer(dataclasses.replace(random_controls(1), surface=surface))
    strokes = SURFACES[surface](composition_of(controls)).strokes
    given = srgb_to_lab(read_hex(asked.palette))
    apart = np.linalg.norm(strokes.paint[:, None, 1:3] - given[None, :, 1:], axis=-1).min(axis=1)
    assert len(apart) > 100 and apart.max() < 1, "strokes differ from the palette in lightness only"


@pytest.mark.slow
@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize(("name", "value"), [("warmth", 0.5), ("texture", 0.0), ("saturation", 0.5)])
def test_songs_stay_as_different_as_before(name: str, value: float) -> None:
    def difference(pictures: NDArray[np.uint8]) -> float:
        lab = srgb_to_lab(pictures.astype(np.float32) / 255).reshape(N_SONGS, -1)
        return float(np.mean([np.linalg.norm(lab[n] - lab[n + 1 :], axis=1).sum() for n in range(N_SONGS - 1)]))

    assert difference(pictures_of(name, value)) > 0.9 * difference(pictures_of("", 0))


# Songs ---------------------------------------------------------------------------------------------------------------


def test_the_mood_moves_two_numbers_of_the_song(moody: Clavilux) -> None:
    code = np.arange(LATENT_DIM + 3, dtype=np.float32)
    moved = Steering(mood=(0.5, -1)).move_code(code, moody.bundle) - code
    np.testing.assert_allclose(moved, [0] * (LATENT_DIM + 1) + [0.5, -0.5])  # two deviations of 0.5 and 0.25


def test_a_happier_mood_moves_the_latent_like_a_happier_song(moody: Clavilux, make_song: MakeSong) -> None:
    happier = make_song(descriptors=MOOD_OF_SONG | {"valence": 1.0})
    expected = moody.z_image(happier)
    moved = moody.z_image(make_song(descriptors=MOOD_OF_SONG), mood=(1, 0))
    np.testing.assert_allclose(moved, expected, atol=1e-5)
    assert not np.allclose(moved, moody.z_image(make_song(descriptors=MOOD_OF_SONG)), atol=1e-3)


def test_near_goes_half_of_the_way_to_a_picture(moody: Clavilux, make_song: MakeSong, picture: Path) -> None:
    song = make_song(descriptors=MOOD_OF_SONG)
    with Image.open(picture) as image:
        target = moody.engine.encode_picture(np.asarray(image))[0]
    moved = moody.z_image(song, near=picture)
    np.testing.assert_allclose(moved, (moody.z_image(song) + target) / 2, atol=1e-5)


def test_near_a_picture_of_clavilux_leads_to_the_latent_in_its_record(
    moody: Clavilux, make_song: MakeSong, tmp_path: Path
) -> None:
    song, happier = (make_song(descriptors=MOOD_OF_SONG | {"valence": valence}) for valence in (0.2, 1.0))
    painted, target = moody.paint(song, size=64), moody.paint(happier, size=64)
    target.save(file := tmp_path / "target.jpg")
    for near in (target, file):
        moved = moody.z_image(song, near=near)
        np.testing.assert_allclose(moved, (painted.z_image + target.z_image) / 2, atol=1e-6)
    np.testing.assert_array_equal(moody.paint(song, size=64, near=painted).pixels, painted.pixels)
    warm = moody.paint(happier, size=64, warmth=1)  # its latent does not tell its colours, so that it is encoded
    for near in (warm, np.asarray(target), clavilux.paint(random_controls(5), size=64)):
        expected = (painted.z_image + moody.engine.encode_picture(np.asarray(near))[0]) / 2
        np.testing.assert_allclose(moody.z_image(song, near=near), expected, atol=1e-5)
    other = Clavilux(write_fake_bundle(tmp_path / "other", descriptors=MOODY, descriptor_mean=[0.0] * 3))
    expected = (other.z_image(song) + other.engine.encode_picture(target.pixels)[0]) / 2
    np.testing.assert_allclose(other.z_image(song, near=target), expected, atol=1e-5)


def test_a_steered_picture_is_painted_again(moody: Clavilux, make_song: MakeSong, picture: Path) -> None:
    song = make_song(descriptors=MOOD_OF_SONG)
    asked: dict[str, Any] = {"palette": "#112233,#e63946", "mood": (1, -1), "near": picture, "warmth": 0.3}
    painted = moody.paint(song, size=64, variation=1, **asked)
    record = json.loads(json.dumps(painted.record))
    assert record["steering"]["warmth"] == 0.3 and record["steering"]["near"]["name"] == "four"
    np.testing.assert_array_equal(moody.repaint(record).pixels, painted.pixels)
    assert moody.repaint(record, song).z_audio is not None  # the picture of `near` is not needed again
    assert moody.has_painted(record, song.sha256, size=64, variation=1, **asked)
    assert not moody.has_painted(record, song.sha256, size=64, variation=1)
    plain = moody.paint(song, size=64, variation=1).record
    assert "steering" not in plain
    assert not moody.has_painted(plain, song.sha256, size=64, variation=1, warmth=0.3)
    assert painted.controls is not None
    assert painted.controls.to_json() == moody.controls(song, variation=1, **asked).to_json()


def test_steered_controls_are_painted_again() -> None:
    controls = random_controls(5)
    painted = clavilux.paint(controls, size=64, warmth=0.5, surface="flat", scale=0.3)
    assert painted.controls is not None and painted.controls.surface == "flat"
    file, options = parse_controls_record(json.loads(json.dumps(painted.record)))
    assert {file.controls.warmth, file.fields["surface"]} == {0.5, "flat"}
    again = clavilux.paint(file.controls, size=64)
    np.testing.assert_array_equal(again.pixels, painted.pixels)
    assert options.size == (64, 64)


def test_options_accept_fields_of_steering() -> None:
    options = PaintOptions().changed({"size": 128, "warmth": 0.5})
    assert options.changed({"lightness": 0.1}).steering == Steering(warmth=0.5, lightness=0.1)
    with pytest.raises(PictureError, match="must be a Steering"):
        PaintOptions(steering={"warmth": 1})  # type: ignore[arg-type]


def test_shifts_are_options() -> None:
    assert set(SHIFTS) <= {field.name for field in dataclasses.fields(Steering)}


def test_a_mood_may_be_text_and_a_picture_need_not_be_a_file(fake_bundle: Path, tmp_path: Path) -> None:
    assert Steering(mood="0.5, -1") == Steering(mood=(0.5, -1))
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 90, 3), np.uint8))
    image.save(tmp_path / "sea.png")
    for picture in (image, np.asarray(image)):
        assert Steering(palette_from=picture) == Steering(palette_from=tmp_path / "sea.png")
        near, file = Steering(near=picture).near, Steering(near=tmp_path / "sea.png").near
        assert near is not None and file is not None
        assert (near.name, near.sha256, near.pixels) == ("picture", file.sha256, file.pixels)
    with pytest.raises(PictureError, match=r"near is an array .*; it must be a path, a picture, or sRGB pixels"):
        Steering(near=np.zeros((8, 8)))
