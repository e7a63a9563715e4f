"""Controls as a file: written, edited, painted, painted again."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sounds
from click.testing import CliRunner, Result
from mutagen.flac import FLAC
from PIL import Image

import clavilux
from clavilux.cli import cli
from clavilux.controls_file import (
    controls_record,
    paint_controls,
    parse_controls_record,
    read_controls,
)
from clavilux.errors import ClaviluxError, ControlsError, PictureError
from clavilux.options import PaintOptions
from clavilux.painter.controls import Controls
from clavilux.painter.controls_json import ControlsFile, parse_fields, to_fields
from clavilux.painter.paint import paint
from clavilux.picture_file import read_description, read_record

ROOT = Path(__file__).parent.parent
OPTIONS = PaintOptions(size=(96, 64))


@pytest.fixture
def controls() -> Controls:
    rng = np.random.default_rng(0)
    palette = np.sort(rng.random((8, 3)).astype(np.float32), axis=0)
    plan = rng.normal(0, 3, (8, 32, 32)).astype(np.float32)
    optional = {"second_kind": "blobs", "softness": 1 / 3, "outline": -0.5}
    return Controls(palette, plan, "facets", 12.34567, 0.61, 0.7, **optional)


@pytest.fixture
def song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return sounds.write_sound(tmp_path / "song.flac", sounds.song(6.0))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="clavilux")


def pixels(path: str) -> Any:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_a_file_has_all_controls_and_paints_nearly_the_same(controls: Controls, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(controls.to_json(seed=5))
    file = read_controls(tmp_path / "c.json")
    assert (file.seed, file.name) == (5, "c")
    for field in dataclasses.fields(Controls):
        value = getattr(controls, field.name)
        if isinstance(value, str):
            assert getattr(file.controls, field.name) == value
        else:
            np.testing.assert_allclose(getattr(file.controls, field.name), value, atol=0.002)
    exact = paint(controls, width=256, height=256, seed=5).astype(int)
    painted = paint_controls(file, PaintOptions(size=256)).pixels
    # A stroke whose middle lies on a border may take the other colour, since numbers are rounded.
    assert np.abs(exact - painted).mean() < 12
    assert file.controls.to_json(seed=5) == (tmp_path / "c.json").read_text()  # rounded once


def test_one_control_is_on_one_line(controls: Controls) -> None:
    lines = controls.to_json().splitlines()
    assert lines[1:4] == ['  "version": 1,', '  "seed": 0,', next(line for line in lines if "palette" in line)]
    assert re.search(r'"palette": \["#[0-9a-f]{6}", ', lines[3])
    assert len([line for line in lines if line.startswith("      [")]) == 8 * 32


def test_a_picture_of_controls_is_painted_again_from_its_record(controls: Controls, tmp_path: Path) -> None:
    picture = paint_controls(ControlsFile.of(controls), OPTIONS, seed=9)
    for suffix in ("png", "jpg", "tif"):
        picture.save(tmp_path / f"a.{suffix}")
        file, options = parse_controls_record(read_record(tmp_path / f"a.{suffix}"))
        assert (options.size, file.seed) == ((96, 64), 9)
        np.testing.assert_array_equal(paint_controls(file, options).pixels, picture.pixels)
    again = clavilux.Clavilux().repaint(picture.record, size=(192, 128))
    np.testing.assert_array_equal(again.pixels, paint_controls(file, PaintOptions(size=(192, 128))).pixels)
    with pytest.raises(PictureError, match="painted from controls, without a song"):
        clavilux.Clavilux().repaint(picture.record, "song.mp3")
    assert repr(picture).startswith("<Picture of controls, 96 x 64: Abstract picture, brush strokes in gouache, in")


def test_the_largest_record_fits_into_a_jpeg(controls: Controls, tmp_path: Path) -> None:
    wild = dataclasses.replace(controls, plan=np.random.default_rng(0).normal(0, 1e4, (8, 32, 32)).astype(np.float32))
    paint_controls(ControlsFile.of(wild), OPTIONS).save(tmp_path / "a.jpg")
    assert read_record(tmp_path / "a.jpg")["controls"]["kind"] == "facets"


def test_optional_controls_may_be_left_out(controls: Controls) -> None:
    fields = to_fields(controls, 0)
    needed = {"version", "palette", "plan", "kind", "frequency", "angle", "chaos"}
    file = parse_fields({name: value for name, value in fields.items() if name in needed}, "c.json")
    optional = [field for field in dataclasses.fields(Controls) if field.default is not dataclasses.MISSING]
    assert len(optional) > 4 and file.seed == 0
    assert all(getattr(file.controls, field.name) == field.default for field in optional)


def test_all_faults_are_in_one_line(controls: Controls) -> None:
    fields = to_fields(controls, 0) | {"palete": 1, "angle": "up", "frequency": 99, "seed": -1, "plan": [[1]]}
    del fields["kind"]
    fields["palette"][2] = "red"
    with pytest.raises(ControlsError) as error:
        parse_fields(fields, "c.json")
    message = str(error.value)
    assert message.startswith("c.json: ") and "\n" not in message
    for part in (
        "'palete' is no control, did you mean palette?",
        "palette has the colour 'red'; a colour is written as #1a2b3c",
        "angle is 'up'",
        "frequency is 99; it must be a number from 2 to 48",
        "seed is -1",
        "plan is ",
        "kind is missing",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": 2}, "its version is 2; this version of Clavilux reads 1"),
        ({"version": True}, "its version is True"),
        ({"version": None}, "its version is None"),
        ({"mirror": 0.0, "flip": 0.0}, r"is of Clavilux 0.1, with controls that are gone \(mirror, flip\)"),
        ({"kind": "nothing"}, "kind is 'nothing'; it is one of blobs"),
        ({"palette": ["#000000"] * 7}, "it must be a list of 8 colours such as #1a2b3c"),
        ({"palette": {}}, r"palette is \{\}"),
        ({"chaos": float("nan")}, "chaos is nan"),
        ({"angle": 90}, "angle is 90; it must be a number from -1 to 1, in turns: 45 degrees are 0.125"),
        ({"plan": "x"}, "plan is 'x'"),
        ({"chaos": 10**400}, "chaos is a whole number of 1329 bits"),
    ],
)
def test_a_fault_is_named(controls: Controls, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ControlsError, match=reason) as error:
        parse_fields(to_fields(controls, 0) | change, "c.json")
    assert len(str(error.value)) < 600


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1]", r"is \[1\]; controls are a JSON object"),
        (
            b'{"second_share": 0.2, "kind": "dots"}',
            "is of Clavilux 0.1, with controls that are gone \\(second_share\\)",
        ),
        (b"{}", "has no version, so it is no file of controls; `clavilux controls SONG` writes one"),
        (b"\xff\xfe\x00", "c.json: "),
        (b" " * 4_000_001, "has 4000001 characters"),
    ],
)
def test_what_is_no_file_of_controls_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(ControlsError, match=reason) as error:
        read_controls(tmp_path / "c.json")
    assert "\n" not in str(error.value)
    with pytest.raises(ControlsError, match=r"nothing\.json: cannot be read"):
        read_controls(tmp_path / "nothing.json")


ODD = [None, "x", {}, [1], True, -1, 1.5, 1e300, float("nan"), [[]]]


@pytest.mark.parametrize("place", ["controls", "size", "dpi", "palette", "plan", "kind", "seed", "frequency"])
def test_a_damaged_record_is_refused_or_painted(controls: Controls, place: str) -> None:
    refused = 0
    for value in ODD:
        record = json.loads(json.dumps(controls_record(ControlsFile.of(controls), OPTIONS)))
        holder = record if place in record else record["controls"]
        holder[place] = value
        try:
            file, options = parse_controls_record(record)
            assert paint_controls(file, replace_size(options)).pixels.shape == (64, 64, 3)
        except ClaviluxError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused >= 7


def replace_size(options: PaintOptions) -> PaintOptions:
    return dataclasses.replace(options, size=(64, 64))


def test_a_plan_that_unpacks_to_more_is_refused(controls: Controls) -> None:
    import base64
    import zlib

    record = controls_record(ControlsFile.of(controls), OPTIONS)
    for size in (100, 10**8):
        record["controls"]["plan"] = base64.b64encode(zlib.compress(bytes(size))).decode()
        if size < 8 * 32 * 32 * 4:
            with pytest.raises(ControlsError, match="has a plan of 100 bytes; it has 32768"):
                parse_controls_record(record)
        else:
            assert parse_controls_record(record)[0].controls.plan.shape == (8, 32, 32)  # the rest is not unpacked


def test_arrays_of_controls_are_read_only(controls: Controls) -> None:
    own = np.full((8, 3), 0.5, np.float32)
    changed = dataclasses.replace(controls, palette=own)
    own[:] = 0.0
    assert (changed.palette == 0.5).all()
    for array in (changed.palette, changed.plan):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


# From Python ---------------------------------------------------------------------------------------------------------


def test_controls_and_their_files_are_painted_from_python(controls: Controls, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(controls.to_json(seed=3))
    own = clavilux.paint(tmp_path / "c.json", size=96)
    np.testing.assert_array_equal(own.pixels, clavilux.paint(controls, size=96, seed=3).pixels)
    assert (own.pixels != clavilux.paint(str(tmp_path / "c.json"), size=96, seed=0).pixels).any()
    assert own.song is None and own.z_image is None and own.record["controls"]["seed"] == 3


def test_the_json_text_of_controls_is_a_file_of_controls(controls: Controls, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(controls.to_json())
    own = clavilux.paint(tmp_path / "c.json", size=96)
    np.testing.assert_array_equal(own.pixels, clavilux.paint(controls, size=96).pixels)
    assert Controls.from_json((tmp_path / "c.json").read_text()).to_json(seed=4) == controls.to_json(seed=4)


def test_a_palette_of_text_says_how_to_give_one(controls: Controls) -> None:
    with pytest.raises(ControlsError, match=r"give clavilux\.paint\(controls, palette=\.\.\.\)"):
        dataclasses.replace(controls, palette=["#000000"] * 8)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given",
    [
        {"variation": 1}, {"spread": 2}, {"noise_std": 0}, {"logvar_scale": 1}, {"max_s": 3}, {"clip": 0},
        {"bundle": "classic"}, {"mood": "1,1"},
    ],
    ids=str,
)  # fmt: skip
def test_what_needs_a_song_is_refused(controls: Controls, tmp_path: Path, given: dict[str, Any]) -> None:
    (tmp_path / "c.json").write_text(controls.to_json())
    for source in (controls, tmp_path / "c.json"):
        with pytest.raises(ControlsError, match=f"{next(iter(given))} needs a song, and these are controls"):
            clavilux.paint(source, size=64, **given)


# The command ---------------------------------------------------------------------------------------------------------


def test_a_song_becomes_a_file_and_the_file_a_picture(song: Path, fake_bundle: Path) -> None:
    done = run("controls", song, "-o", "c.json", "--bundle", fake_bundle)
    assert (done.exit_code, done.stderr, done.stdout) == (0, "", f"{song} -> c.json\n")
    assert run("paint", "c.json", "--size", "96").stdout == "c.json -> c.png\n"
    assert run("paint", song, "--size", "96", "--bundle", fake_bundle).exit_code == 0
    assert np.abs(pixels("c.png").astype(int) - pixels("song.png")).mean() < 3
    assert read_record("c.png")["name"] == "c"


def test_without_o_the_controls_are_printed(song: Path, fake_bundle: Path) -> None:
    done = run("controls", song, "--bundle", fake_bundle, "--seed", 2, "--variation", 3)
    fields = json.loads(done.stdout)
    assert fields["version"] == 1 and fields["seed"] == 5


def test_edits_are_not_overwritten(song: Path, fake_bundle: Path) -> None:
    write = ("controls", song, "-o", "song.json", "--bundle", fake_bundle)
    assert run(*write).exit_code == run(*write).exit_code == 0, "the same content again"
    edited = Path("song.json").read_text().replace('"texture": 0.5', '"texture": 1')
    Path("song.json").write_text(edited)
    refused = run(*write)
    assert refused.exit_code == 1 and "song.json exists and has other content" in refused.stderr
    assert Path("song.json").read_text() == edited


def test_an_edited_file_replaces_its_picture_and_no_other(song: Path, fake_bundle: Path) -> None:
    run("controls", song, "-o", "song.json", "--bundle", fake_bundle)
    run("paint", song, "--size", "96", "--bundle", fake_bundle)  # song.png is a picture of the song
    assert run("paint", "song.json", "--size", "96").stdout == "song.json -> song_2.png\n"
    fields = json.loads(Path("song.json").read_text()) | {"kind": "rings"}
    Path("song.json").write_text(json.dumps(fields))
    assert run("paint", "song.json", "--size", "96").stdout == "song.json -> song_2.png (replaced)\n"
    assert read_record("song_2.png")["controls"]["kind"] == "rings"
    kept = run("paint", "song.json", "-o", "song_2.png", "--size", "96", "--resume")
    assert kept.stderr == "clavilux: skipped 1 picture that exists already\n"
    other = run("paint", "song.json", "-o", "song_2.png", "--size", "96", "--resume", "--seed", "4")
    assert other.stderr == "" and read_record("song_2.png")["controls"]["seed"] == 4


def test_the_controls_of_a_chosen_picture_are_written_and_changed(song: Path, fake_bundle: Path) -> None:
    bundle = ("--bundle", fake_bundle)
    run("paint", song, "--count", 2, "--warmth", "0.5", "--size", "96", "-o", "s.png", *bundle)
    done = run("controls", "s-2.png", "-o", "c.json", *bundle)
    assert (done.exit_code, done.output) == (0, "s-2.png -> c.json\n")
    run("paint", "c.json", "--size", "96")
    # Rounding changes a few areas, because the plan of this bundle is noise; two songs differ by 50 or more.
    assert np.abs(pixels("c.png").astype(int) - pixels("s-2.png")).mean() < 10
    assert run("controls", "c.png", "-o", "again.json").exit_code == 0  # a picture of controls needs no bundle
    assert Path("again.json").read_text() == Path("c.json").read_text()
    darker = json.loads(run("controls", "s-2.png", "--lightness", "-0.5", *bundle).stdout)
    assert (darker["lightness"], darker["warmth"], darker["seed"]) == (-0.5, 0.5, 1)
    for option, value in (("--seed", "3"), ("--mood", "0,1")):
        refused = run("controls", "s-2.png", option, value, *bundle)
        assert refused.exit_code == 2 and "s-2.png is a picture" in refused.stderr


def test_a_picture_of_controls_is_painted_again_by_the_command(song: Path, fake_bundle: Path) -> None:
    run("controls", song, "-o", "c.json", "--bundle", fake_bundle)
    run("paint", "c.json", "-o", "a.jpg", "--size", "96")
    assert run("paint", "--again", "a.jpg").stdout == "a.jpg -> a-again.jpg\n"
    assert Path("a-again.jpg").read_bytes() == Path("a.jpg").read_bytes()
    explained = run("paint", "--again", "a.jpg", "--size", "200", "--explain")
    assert "nothing: painted from controls" in explained.stdout
    with_song = run("paint", "--again", "a.jpg", song)
    assert with_song.exit_code == 2 and "give a SONG only with --embed" in with_song.stderr
    cover = shutil.copy(song, "cover.flac")
    embedded = run("paint", "--again", "a.jpg", cover, "--embed")
    assert embedded.exit_code == 0, embedded.output
    assert FLAC(cover).pictures[0].desc == read_description(Path("a.jpg"))


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["controls", "SONG", "-o", "c.txt"], 2, "c.txt does not end in .json"),
        (["controls", "SONG", "-o", "none/c.json/"], 2, "none/c.json/"),
        (["controls", "missing.mp3"], 1, "missing.mp3: cannot be opened"),
        (["paint", "c.json", "--count", "2"], 2, "Controls have no variations"),
        (["paint", "missing.json"], 1, "missing.json: cannot be read"),
        (["paint", "c.json", "--noise-std", "1", "--max-seconds", "3"], 1, "c: noise_std, max_s, bundle need a song"),
    ],
)
def test_faults_of_the_command(song: Path, fake_bundle: Path, arguments: list[str], code: int, reason: str) -> None:
    run("controls", song, "-o", "c.json", "--bundle", fake_bundle)
    if arguments[2:] == ["-o", "none/c.json/"]:
        Path("none").write_text("")  # a file where a folder is needed
        arguments, code, reason = ["controls", "SONG", "-o", "none/c.json"], 1, "none/c.json: cannot be written"
    words = [str(song) if word == "SONG" else word for word in arguments]
    done = run(*words, "--bundle", fake_bundle)
    assert done.exit_code == code, done.output
    assert reason in " ".join(done.stderr.split())


def test_a_bundle_that_paints_pixels_has_no_controls(song: Path) -> None:
    done = run("controls", song, "--bundle", "classic")
    assert done.exit_code == 1 and "has no controls; give a bundle with a painter" in done.stderr


def test_the_page_has_a_row_for_each_control(controls: Controls) -> None:
    page = (ROOT / "docs" / "controls.md").read_text("utf-8")
    rows = {name for row in re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert rows == set(to_fields(controls, 0))
