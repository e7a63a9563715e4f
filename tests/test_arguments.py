"""Arguments of the Python functions: numbers of any kind are converted, anything else is refused in one line."""

from __future__ import annotations

import copy
import json
import os
import pickle
import warnings
from collections.abc import Callable
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sounds
from conftest import MakeSong

import clavilux
from clavilux.errors import AudioError, ClaviluxError, ControlsError, PictureError
from clavilux.options import _MEANT, _WORDS, PaintOptions
from clavilux.painter.controls import Controls
from clavilux.painter.paint import composition_of
from clavilux.painter.paint import paint as paint_controls
from clavilux.pipeline import Clavilux
from clavilux.steering import Steering
from clavilux.system.arguments import check_size, counted, file_path, float_array, real_number, show, whole_number

SEVEN = [7, 7.0, np.int8(7), np.uint64(7), np.float32(7), np.float64(7), np.array(7), np.array(7.0)]
NO_NUMBER = [
    "7",
    b"7",
    None,
    True,
    np.True_,
    7j,
    float("nan"),
    np.float32("inf"),
    -1,
    -(10**5000),
    10**5000,
    [],
    [7],
    np.array([7]),
    {"a": 10**5000},
    Decimal(7),
    np.datetime64("2026-01-01"),
    object(),
    int,
]


def is_one_line(error: pytest.ExceptionInfo[ClaviluxError]) -> bool:
    message = str(error.value)
    return len(message.splitlines()) == 1 and len(message) < 400


def names(value: object) -> str:
    return f"{type(value).__name__} {show(value)}"


@pytest.mark.parametrize("value", SEVEN, ids=names)
def test_a_number_of_any_type_is_that_number(value: Any) -> None:
    whole, real = whole_number("n", value, 0, 9), real_number("x", value, 0, 9)
    assert (whole, type(whole)) == (7, int)
    assert (real, type(real)) == (7.0, float)


@pytest.mark.parametrize("value", NO_NUMBER, ids=names)
@pytest.mark.parametrize("convert", [whole_number, real_number])
def test_what_is_no_number_or_out_of_range_is_refused(convert: Callable[..., float], value: Any) -> None:
    with pytest.raises(AudioError, match=r"^n is .*; it must be a (whole )?number from 0 to 9$") as error:
        convert("n", value, 0, 9, fault=AudioError)
    assert is_one_line(error)


def test_a_fraction_is_a_real_number_alone() -> None:
    assert real_number("x", 7.5) == 7.5
    with pytest.raises(PictureError, match=r"n is 7\.5; it must be a whole number of 0 or more"):
        whole_number("n", 7.5)


@pytest.mark.parametrize(
    "size", [96, 96.0, np.int32(96), (96, 96), [96, 96.0], np.array([96, 96], np.uint16), np.array([96.0, 96.0])]
)
def test_a_size_is_a_side_or_a_pair(size: Any) -> None:
    assert check_size(size) == (96, 96)


@pytest.mark.parametrize(
    "size",
    [*NO_NUMBER, 63, 8193, 96.5, (96,), (96, 96, 96), (96, "96"), (96, True), (96, None), np.zeros((2, 2)), {96, 97}],
    ids=names,
)
def test_another_size_is_refused(size: Any) -> None:
    with pytest.raises(PictureError, match=r"^size is .*each side between 64 and 8192 pixels$") as error:
        check_size(size)
    assert is_one_line(error)


def test_a_size_may_be_text_with_a_unit(engine: Clavilux, make_song: MakeSong) -> None:
    assert PaintOptions(size="300x200").size == PaintOptions(size=" 300 X 200 ").size == (300, 200)
    assert (PaintOptions(size="300").size, PaintOptions(size="2in", dpi=100).size) == ((300, 300), (200, 200))
    printed = PaintOptions(size="60x40mm@254")
    assert (printed.size, printed.dpi) == ((600, 400), 254)
    assert PaintOptions(dpi=100).changed({"size": "5x4cm@254"}) == PaintOptions(size=(500, 400), dpi=254)
    again = engine.repaint(engine.paint(make_song(), size=64, dpi=72).record, size="1in@80")
    assert (again.pixels.shape, again.record["dpi"]) == ((80, 80, 3), 80)
    for given, reason in (
        ({"size": "1in@80", "dpi": 90}, "size 1in@80 and dpi 90 give two resolutions; give one"),
        ({"size": "60cm@400"}, "60cm@400 at 400 dpi has 9449 x 9449 pixels; give at most 346 dpi"),
        ({"size": "large"}, "size is 'large'; write 1024, 3000x2000 or, with a unit"),
    ):
        with pytest.raises(PictureError, match=reason):
            PaintOptions().changed(given)


class PathLike:
    def __fspath__(self) -> str:
        return "a.png"


@pytest.mark.parametrize("path", ["a.png", b"a.png", Path("a.png"), PathLike()])
def test_a_path_may_be_of_any_type_of_path(path: Any) -> None:
    assert file_path("path", path) == Path("a.png")


@pytest.mark.parametrize("path", ["", b"", "a\0b", "\ud800", None, 5, 5.0, ["a"], object(), np.zeros(3)], ids=names)
def test_what_is_no_path_is_refused(path: Any) -> None:
    with pytest.raises(AudioError, match=r"^path is .*; it must be a path") as error:
        file_path("path", path, fault=AudioError)
    assert is_one_line(error)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        np.zeros(2),
        np.zeros((1, 3)),
        np.zeros(3, bool),
        np.zeros(3, complex),
        np.array(["a", "b", "c"]),
        [0, 0, float("nan")],
        [0, 0, 1e300],
        [[0], [0, 0]],
        [None, 0, 0],
    ],
    ids=names,
)
def test_what_is_no_array_of_the_shape_is_refused(value: Any) -> None:
    with pytest.raises(PictureError, match=r"shape \(3,\) with 2 values that are NaN or infinite; it must be"):
        float_array("z", np.array([1.0, np.nan, np.inf]), (3,))
    with pytest.raises(PictureError, match=r"^z is .*; it must be an array of finite numbers of shape \(3\)$") as error:
        float_array("z", value, (3,))
    assert is_one_line(error)


def test_an_array_may_be_a_list_of_whole_numbers() -> None:
    np.testing.assert_array_equal(float_array("z", [1, 2, 3], (None,)), np.array([1, 2, 3], np.float32))


# Through the public functions ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine(fake_bundle: Path) -> Clavilux:
    return Clavilux(fake_bundle)


def controls() -> Controls:
    return Controls(np.full((8, 3), 0.5), np.zeros((8, 32, 32)), "facets", 10, 0, 1)


Call = Callable[[Clavilux, Any, Any], Any]
CALLS: dict[str, Call] = {
    "paint size": lambda e, song, v: e.paint(song, size=v),
    "paint width": lambda e, song, v: e.paint(song, size=(v, 64)),
    "paint seed": lambda e, song, v: e.paint(song, size=64, seed=v),
    "paint variation": lambda e, song, v: e.paint(song, size=64, variation=v),
    "paint spread": lambda e, song, v: e.paint(song, size=64, variation=1, spread=v),
    "paint max_s": lambda e, song, v: e.paint(song, size=64, max_s=v),
    "variations count": lambda e, song, v: next(e.variations(song, size=64, count=v)),
    "variations seed": lambda e, song, v: e.variations(song, size=64, count=1, seed=v),
    "z_image seed": lambda e, song, v: e.z_image(song, seed=v),
    "controls variation": lambda e, song, v: e.controls(song, variation=v),
    "paint_latent seed": lambda e, song, v: e.paint_latent(np.zeros(64), size=64, seed=v),
    "paint_latent size": lambda e, song, v: e.paint_latent(np.zeros(64), size=v),
    "threads": lambda e, song, v: Clavilux(e.bundle.folder, threads=v),
    "painter width": lambda e, song, v: paint_controls(controls(), width=v, height=64),
    "painter height": lambda e, song, v: paint_controls(controls(), width=64, height=v),
    "painter seed": lambda e, song, v: composition_of(controls(), width=64, height=64, seed=v),
    "painter threads": lambda e, song, v: paint_controls(controls(), width=64, height=64, threads=v),
    "Controls frequency": lambda e, song, v: Controls(np.zeros((8, 3)), np.zeros((8, 32, 32)), "facets", v, 0, 1),
    "listen max_s": lambda e, song, v: e.read_song(song.path, max_s=v),
    "paint clip": lambda e, song, v: e.paint(song, size=64, clip=v),
    "save quality": lambda e, song, v: e.paint(song, size=64).save(song.path.with_name("a.jpg"), quality=v),
}
NONE_IS_ALLOWED = {"paint clip"}


@pytest.fixture
def song(make_song: MakeSong, tmp_path: Path) -> clavilux.Song:
    from conftest import chord, write_wave

    return replace(make_song(), path=write_wave(tmp_path / "song.wav", chord(220, 1)))


@pytest.mark.parametrize("name", CALLS)
def test_no_argument_ends_in_anything_but_a_fault_of_ours(engine: Clavilux, song: clavilux.Song, name: str) -> None:
    for value in NO_NUMBER:
        if value is None and name in NONE_IS_ALLOWED:
            continue
        with pytest.raises(ClaviluxError) as error:
            CALLS[name](engine, song, value)
        assert is_one_line(error)


@pytest.mark.parametrize("name", CALLS)
def test_numpy_and_whole_floats_are_as_good_as_ints(engine: Clavilux, song: clavilux.Song, name: str) -> None:
    number = 96 if any(word in name for word in ("size", "width", "height")) else 7
    floats = () if "variation" in name else (float, np.float32)  # in version 0.1, floats were something else
    results = [CALLS[name](engine, song, kind(number)) for kind in (int, np.int64, np.uint64, *floats)]
    pixels = [getattr(result, "pixels", result) for result in results]
    if isinstance(pixels[0], np.ndarray):
        for other in pixels[1:]:
            np.testing.assert_array_equal(other, pixels[0])
    if isinstance(results[0], clavilux.Picture):
        assert len({json.dumps(result.record) for result in results}) == 1


@pytest.mark.parametrize("seed", [0, 2**31, 2**64, 2**200, 10**100 - 1])
def test_a_seed_may_be_large(engine: Clavilux, song: clavilux.Song, seed: int, tmp_path: Path) -> None:
    picture = engine.paint(song, size=64, seed=seed, variation=1)
    picture.save(tmp_path / "a.png")
    assert clavilux.read_record(tmp_path / "a.png")["seed"] == seed
    with pytest.raises(PictureError, match=r"seed is a whole number of 333 bits; .* from 0 to 10\^100"):
        engine.paint(song, size=64, seed=10**100)


@pytest.mark.parametrize("name", ["spread", "noise_std", "logvar_scale"])
def test_steps_in_the_latent_are_bounded(engine: Clavilux, song: clavilux.Song, name: str) -> None:
    assert np.isfinite(engine.paint(song, size=64, variation=1, **{name: 10}).z_image).all()
    with pytest.raises(PictureError, match=rf"{name} is 1e\+300; it must be a number from 0 to 100$"):
        engine.paint(song, size=64, variation=1, **{name: 1e300})


@pytest.mark.parametrize(
    "given", [None, 5, 5.0, "", "a\0.wav", "\ud800.wav", ["a.wav"], np.zeros(3), object(), "x" * 5000]
)
def test_what_is_no_song_is_refused(engine: Clavilux, given: Any) -> None:
    for call in (engine.paint, engine.z_image, engine.controls, engine.read_song):
        with pytest.raises(AudioError) as error:
            call(given)
        assert len(str(error.value).splitlines()) == 1
    with pytest.raises(AudioError):
        next(engine.variations(given, count=1))


def test_a_folder_and_a_song_are_no_files(engine: Clavilux, song: clavilux.Song, tmp_path: Path) -> None:
    record = engine.paint(song.path, size=64).record
    with pytest.raises(AudioError):
        engine.repaint(record, tmp_path)
    with pytest.raises(PictureError, match="sounds different"):
        engine.repaint(record, song)  # a Song is taken, but this one has other windows than the file
    for path in (tmp_path, song):
        with pytest.raises(AudioError):
            engine.read_song(path)  # type: ignore[arg-type]


def test_a_song_may_have_any_type_of_path(engine: Clavilux, song: clavilux.Song) -> None:
    pictures = [engine.paint(path, size=64) for path in (song.path, str(song.path), os.fsencode(song.path))]
    for other in pictures[1:]:
        np.testing.assert_array_equal(other.pixels, pictures[0].pixels)


@pytest.mark.parametrize("given", [None, 5, "", "a\0", "\ud800", b"\0", object(), "nowhere", "x" * 5000], ids=show)
def test_what_is_no_bundle_is_refused(given: Any) -> None:
    with pytest.raises(clavilux.ClaviluxError) as error:
        Clavilux(given)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"windows": None},
        {"windows": np.zeros((0, 20, 216), np.float32)},
        {"windows": np.zeros((6, 20, 215), np.float32)},
        {"windows": np.full((6, 20, 216), np.nan)},
        {"windows": "windows"},
        {"audible": np.ones(5, bool)},
        {"audible": None},
        {"audible": np.ones(6)},
        {"descriptors": None},
        {"descriptors": {"tempo": float("nan"), "loudness": 0.0}},
        {"descriptors": {"tempo": "fast", "loudness": 0.0}},
        {"sha256": None},
        {"sha256": "é"},
        {"name": 5},
        {"name": "x" * 100_000},
    ],
    ids=show,
)
def test_a_song_that_cannot_be_painted_is_refused(
    engine: Clavilux, make_song: MakeSong, changes: dict[str, Any]
) -> None:
    with pytest.raises(AudioError, match=r"of the song (is|are)"):
        engine.paint(replace(make_song(), **changes), size=64)


@pytest.mark.parametrize(
    "changes",
    [
        {"palette": None},
        {"palette": np.zeros((8, 4))},
        {"palette": np.full((8, 3), 1.5)},
        {"palette": np.full((8, 3), np.nan)},
        {"palette": [["a"] * 3] * 8},
        {"plan": np.zeros((8, 32))},
        {"plan": np.full((8, 32, 32), np.inf)},
        {"kind": None},
        {"kind": ["facets"]},
        {"kind": np.zeros(3)},
        {"second_kind": 5},
        {"angle": float("nan")},
        {"angle": 1e16},
        {"angle": 10**5000},
        {"chaos": "1"},
        {"outline": None},
        {"surface": None},
        {"surface": "oil"},
        {"shapes": True},
    ],
    ids=show,
)
def test_controls_of_another_type_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ControlsError, match=next(iter(changes))) as error:
        replace(controls(), **changes)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("text", [None, 5, "", "null", "[]", "[" * 100_000, "9" * 5000, b"\xff"], ids=show)
def test_what_is_no_json_of_controls_is_refused(text: Any) -> None:
    with pytest.raises(ControlsError) as error:
        Controls.from_json(text)
    assert is_one_line(error)


@pytest.mark.parametrize("given", [None, 5, "text", {}])
def test_the_painter_takes_controls_alone(given: Any) -> None:
    with pytest.raises(PictureError, match="controls are"):
        paint_controls(given, width=64, height=64)


def test_a_latent_comes_as_any_array(engine: Clavilux) -> None:
    expected = engine.paint_latent(np.ones(64, np.float32), size=64)
    for latent in ([1] * 64, np.ones(64, int), tuple([1.0] * 64)):
        np.testing.assert_array_equal(engine.paint_latent(latent, size=64), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for latent in (None, "z", np.ones(63), np.full(64, np.nan), [1e300] * 64, np.ones(64, complex)):
            with pytest.raises(PictureError, match=r"z_image is .* of shape \(64\)"):
                engine.paint_latent(latent, size=64)


@pytest.mark.parametrize(
    "path", [None, 5, "", "a\0.png", "\ud800.png", ["a.png"], object(), "x" * 5000 + ".png"], ids=show
)
def test_a_picture_is_neither_written_to_nor_read_from_what_is_no_path(
    engine: Clavilux, song: clavilux.Song, path: Any
) -> None:
    picture = engine.paint(song, size=64)
    for call in (picture.save, clavilux.read_record):
        with pytest.raises(PictureError) as error:
            call(path)
        assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_a_picture_may_have_any_type_of_path(
    engine: Clavilux, song: clavilux.Song, tmp_path: Path, kind: Callable[[Any], Any]
) -> None:
    path = kind(tmp_path / "a.png")
    engine.paint(song, size=64).save(path)
    assert clavilux.read_record(path)["seed"] == 0


def test_a_picture_is_not_written_over_a_folder(engine: Clavilux, song: clavilux.Song, tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(PictureError, match="cannot be written"):
        engine.paint(song, size=64).save(tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".wav"] == ["a.png"]


@pytest.mark.parametrize(
    "rgb",
    [None, "a.png", [[[0, 0, 0]]], np.zeros((8, 8, 3)), np.zeros((8, 8), np.uint8), np.zeros((0, 8, 3), np.uint8)],
)
def test_what_is_no_picture_is_not_encoded(engine: Clavilux, rgb: Any) -> None:
    with pytest.raises(PictureError, match=r"\(H, W, 3\)"):
        engine.engine.encode_picture(rgb)


def test_skip_is_a_set_of_variations(engine: Clavilux, song: clavilux.Song) -> None:
    pictures = engine.variations(song, count=3, size=64, skip={np.int64(0), 2})
    assert [picture.record["variation"] for picture in pictures] == [1]
    with pytest.raises(PictureError, match="skip is 5"):
        engine.variations(song, count=3, skip=5)  # type: ignore[arg-type]


def test_songs_controls_and_pictures_can_be_copied_and_pickled(
    engine: Clavilux, song: clavilux.Song, tmp_path: Path
) -> None:
    picture = engine.paint(song, size=64, seed=3)
    assert picture.description
    for copied in (copy.deepcopy(picture), pickle.loads(pickle.dumps(picture))):
        copied.save(tmp_path / "copy.png")
        picture.save(tmp_path / "own.png")
        assert (tmp_path / "copy.png").read_bytes() == (tmp_path / "own.png").read_bytes()
        np.testing.assert_array_equal(engine.paint(copied.song, size=64, seed=3).pixels, picture.pixels)
        assert copied.controls is not None
        for array in (copied.pixels, copied.z_image, copied.controls.palette, copied.controls.plan):
            assert array is not None and not array.flags.writeable


def test_views_of_arrays_are_sound_as_their_copies_are(engine: Clavilux) -> None:
    stereo = np.stack([sounds.song(6.0), sounds.song(6.0, seed=1)], axis=1).astype(np.float32)
    for view in (
        stereo[:, 0],
        stereo[:, :1],
        stereo.T[:1],
        stereo[::-1, 0],
        np.broadcast_to(stereo[:, :1], stereo.shape),
    ):
        copied = engine.paint(np.ascontiguousarray(view), sr=44100, size=64).pixels
        np.testing.assert_array_equal(engine.paint(view, sr=44100, size=64).pixels, copied)


def test_one_thing_is_not_called_many() -> None:
    assert [counted(n, "damaged packet") for n in (0, 1, 2)] == [
        "0 damaged packets",
        "1 damaged packet",
        "2 damaged packets",
    ]


def test_an_unknown_argument_is_refused_with_the_nearest_name(fake_bundle: Path, tone_file: Path) -> None:
    opened = Clavilux(fake_bundle)
    with pytest.raises(PictureError, match=r"^paint has no argument 'pallete'; did you mean palette\?$"):
        clavilux.paint(tone_file, pallete="#000000,#ffffff")
    with pytest.raises(PictureError, match=r"^Clavilux\.paint has no argument 'zzz'; its arguments are song, sr, "):
        opened.paint(tone_file, zzz=3)
    with pytest.raises(PictureError, match=r"^Clavilux\.z_image has no argument 'sr'; its arguments are song, options"):
        opened.z_image(tone_file, sr=44_100)
    with pytest.raises(PictureError, match=r"'count'; give it to Clavilux\(\)\.variations$"):
        opened.paint(tone_file, count=2)


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("style", r"did you mean surface\?"),
        ("colour", r"did you mean palette\?"),
        ("Colors", r"did you mean palette\?"),
        ("variations", r"give it to Clavilux\(\)\.variations"),
        ("format", r"give it to Picture\.save"),
        ("output", r"give it to Picture\.save"),
        ("width", r"did you mean size\?"),
        ("sample_rate", r"did you mean sr\?"),
    ],
)
def test_a_word_for_an_argument_leads_to_it(word: str, hint: str) -> None:
    with pytest.raises(PictureError, match=f"^paint has no argument '{word}'; {hint}$"):
        clavilux.paint("song.flac", **{word: 1})


def test_every_word_leads_to_an_argument_or_to_a_method() -> None:
    arguments = {field.name for kind in (PaintOptions, Steering) for field in fields(kind)} | {"sr", "bundle"}
    methods = {"Clavilux", "Clavilux().variations", "Picture.save"}
    assert set(_WORDS) <= arguments | methods
    assert not arguments & set(_MEANT)
    with pytest.raises(PictureError, match=r"supersample is gone since version 0\.2: every picture has smooth edges"):
        clavilux.paint("song.flac", supersample=2)  # type: ignore[call-overload]


def test_songs_that_are_mistaken_are_explained(fake_bundle: Path, tone_file: Path) -> None:
    opened = Clavilux(fake_bundle)
    for function in (opened.paint, opened.z_image):
        with pytest.raises(AudioError, match=r"with sr=; give several songs to clavilux\.paint"):
            function([tone_file])
    with pytest.raises(AudioError, match="for a size in pixels, give size=512"):
        clavilux.paint(tone_file, 512, bundle=fake_bundle)
    with pytest.raises(AudioError, match=r"song is \d+ bytes; .* as io\.BytesIO\(content\)"):
        clavilux.paint(tone_file.read_bytes(), bundle=fake_bundle)


def test_records_that_are_mistaken_are_explained(fake_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"record is 'a\.png'; it must be a dict"):
        Clavilux(fake_bundle).repaint("a.png")  # type: ignore[arg-type]
    (tmp_path / "a.png").write_bytes(b"x")
    with (tmp_path / "a.png").open("rb") as file, pytest.raises(PictureError, match="open file; give the path"):
        clavilux.read_record(file)  # type: ignore[arg-type]


def test_the_variation_of_version_0_1_is_named() -> None:
    for value in (1.0, 0.5, np.float32(1), np.float64(1)):
        with pytest.raises(PictureError, match=rf"variation is .*{float(value)}.*; since version 0\.2 "):
            PaintOptions(variation=value)  # type: ignore[arg-type]
    assert PaintOptions(variation=np.int64(1)).variation == 1


def test_several_songs_come_from_any_iterable_and_are_painted_again(fake_bundle: Path, tone_file: Path) -> None:
    counts: list[tuple[int, int]] = []
    pictures = clavilux.paint(
        tone_file.parent.glob(tone_file.name), size=64, bundle=fake_bundle, progress=lambda *n: counts.append(n)
    )
    assert repr(pictures) == "<Pictures of 1 song, 0 done>"
    first, second = list(pictures), list(pictures)
    np.testing.assert_array_equal(first[0].pixels, second[0].pixels)
    assert counts == [(0, 1), (1, 1)] * 2
    assert len(list(clavilux.paint((path for path in [tone_file] * 2), size=64, bundle=fake_bundle))) == 2


def test_only_public_names_are_offered_and_a_song_is_shown_in_a_line(make_song: MakeSong) -> None:
    assert dir(clavilux) == sorted(clavilux.__all__)
    assert repr(make_song()) == "<Song 'song0', 0:30>"


def test_guesses_of_the_python_interface_are_answered(fake_bundle: Path, tone_file: Path, tmp_path: Path) -> None:
    engine = Clavilux(fake_bundle)
    song = engine.read_song(tone_file)
    for name, method in (("variations", "variations"), ("repaint", "repaint"), ("listen", "read_song")):
        with pytest.raises(AttributeError, match=rf"no attribute '{name}'; Clavilux\(\)\.{method} does this"):
            getattr(clavilux, name)
    for name in ("AudioVAE", "ImageVAE", "MappingNetwork"):
        with pytest.raises(AttributeError, match=f"no attribute '{name}'; write: from clavilux.models import {name}"):
            getattr(clavilux, name)
    with pytest.raises(AttributeError, match=r"no attribute 'siblings'; since version 0\.2, it is called variations"):
        engine.siblings(song)  # type: ignore[attr-defined]
    assert not hasattr(engine, "listens")
    assert len(list(engine.variations(song, 2, size=64))) == 2
    with pytest.raises(AudioError, match=r"song_code is an object of type Song; it is the array that encode_song"):
        engine.engine.map_song(song)  # type: ignore[arg-type]
    with pytest.raises(PictureError, match=r"progress is .*; it must be a function, which is called with the number"):
        clavilux.paint([tone_file], bundle=fake_bundle, progress=lambda n_done: None)  # type: ignore[call-overload]
    with pytest.raises(ControlsError, match=r"is a path; give the text in it, or paint the file: paint\('c\.json'\)"):
        Controls.from_json("c.json")
    picture = engine.paint(song, size=64)
    with pytest.raises(PictureError, match=r"a\.jpg: is the name of another format than 'png'; give one of them"):
        picture.save(tmp_path / "a.jpg", format="png")
    picture.save(tmp_path / "a.jpg", format="jpeg")
    (tmp_path / "song.flac").write_bytes(b"mine")
    with pytest.raises(PictureError, match=r"song\.flac: exists already and is no picture of Clavilux"):
        picture.save(tmp_path / "song.flac", format="png")
    picture.save(tmp_path / "plain", format="png")
    (tmp_path / "plain").chmod(0o400)
    before = (tmp_path / "plain").read_bytes()
    with pytest.raises(PictureError, match=r"plain: cannot be written .*read-only"):
        engine.paint(song, size=65).save(tmp_path / "plain", format="png")
    assert (tmp_path / "plain").read_bytes() == before
    for _ in range(2):
        picture.save(tmp_path / "cover.v2", format="png")
    (tmp_path / "README").write_text("mine")
    with pytest.raises(PictureError, match="README: exists already and is no picture of Clavilux"):
        picture.save(tmp_path / "README", format="png")
    with pytest.raises(FileExistsError):
        picture.save(tmp_path / "README", format="png", exclusive=True)
    assert Steering(surface="Flat", outline=0.5) == Steering(surface="flat", outline=0.5)
    assert Steering(surface="Flat", figure="GUITAR", marks="Rings,dots") == Steering(
        surface="flat", figure="guitar", marks=("rings", "dots")
    )
