"""``clavilux paint`` and ``clavilux controls`` with options that steer, and the sheet of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sounds
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image, ImageFont

from clavilux.cli import cli
from clavilux.cli.beside import _drawable, _open_font
from clavilux.picture_file import read_description, read_record


@pytest.fixture(autouse=True)
def song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return sounds.write_sound(tmp_path / "song.flac", sounds.song(6.0))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="clavilux")


def pixels(path: str) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_what_is_asked_for_is_painted_and_painted_again(fake_bundle: Path) -> None:
    asked = ["--warmth", "-0.5", "--palette", "#123,#E63946", "--surface", "Flat", "--outline", 0.5]
    result = run("paint", "song.flac", "--bundle", fake_bundle, "--size", 64, *asked, "-o", "p.png", "--explain")
    assert result.exit_code == 0, result.output
    told = " ".join(result.output.split())
    assert "Steered: palette #112233 #e63946, warmth -0.5, outline 0.5, surface flat;" in told
    expected = {"palette": ["#112233", "#e63946"], "warmth": -0.5, "outline": 0.5, "surface": "flat"}
    assert read_record("p.png")["steering"] == expected
    assert run("paint", "--again", "p.png", "--bundle", fake_bundle, "-o", "q.png").exit_code == 0
    np.testing.assert_array_equal(pixels("q.png"), pixels("p.png"))


def test_a_picture_is_steered_again_without_its_song(fake_bundle: Path) -> None:
    bundle = ("--bundle", fake_bundle, "--size", 64)
    assert run("paint", "song.flac", *bundle, "--palette", "#123,#E63946", "--warmth", 1, "-o", "p.png").exit_code == 0
    changed = ("--palette-from", "p.png", "--warmth", 0, "--surface", "flat")
    assert run("paint", "--again", "p.png", "--bundle", fake_bundle, *changed, "-o", "again.png").exit_code == 0
    assert run("paint", "song.flac", *bundle, *changed, "-o", "direct.png").exit_code == 0
    np.testing.assert_array_equal(pixels("again.png"), pixels("direct.png"))
    expected = {**read_record("direct.png"), "again": True}
    assert read_record("again.png") == expected, "the palette is no longer asked for"


def test_controls_are_steered_again(fake_bundle: Path) -> None:
    assert run("controls", "song.flac", "--bundle", fake_bundle, "-o", "c.json").exit_code == 0
    assert run("paint", "c.json", "--size", 64).exit_code == 0
    assert run("paint", "--again", "c.png", "--lightness", 0.5, "-o", "again.png").exit_code == 0
    assert run("paint", "c.json", "--size", 64, "--lightness", 0.5, "-o", "direct.png").exit_code == 0
    np.testing.assert_array_equal(pixels("again.png"), pixels("direct.png"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--mood", "1,1"), "--mood cannot be given with --again"),
        (("--near", "p.png", "--seed", 3), "--seed and --near cannot be given with --again"),
        (("--surface", "gouache", "--outline", 1), "the surface gouache has no lines"),
    ],
)
def test_what_the_record_cannot_change_is_refused(fake_bundle: Path, change: tuple[object, ...], message: str) -> None:
    assert run("paint", "song.flac", "--bundle", fake_bundle, "--size", 64, "-o", "p.png").exit_code == 0
    refused = run("paint", "--again", "p.png", "--bundle", fake_bundle, *change, "-o", "q.png")
    assert refused.exit_code == 2 and message in refused.output
    assert not Path("q.png").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--palette", "#112233"], 2, "palette has 1 colour;"),
        (["--palette", "#112233,#445566", "--palette-from", "no.png"], 2, "both give the colours"),
        (["--marks", "circles"], 2, "the kind 'circles'"),
        (["--surface", "oil"], 2, "'oil' is not one of 'gouache'"),
        (["--surface", "print", "--outline", "1"], 2, "the surface print has no lines"),
        (["--lightness", "2"], 2, "lightness is 2.0; it must be a number from -1 to 1."),
        (["--warmth", "nan"], 2, "warmth is nan"),
        (["--mood", "happy"], 2, "mood is 'happy'; it must be valence and arousal"),
        (["--mood", "1,2"], 2, "arousal is 2.0"),
        (["--palette-from", "no.png"], 1, "no.png: cannot be read"),
        (["--near", "song.flac"], 1, "song.flac: "),
        (["--darker"], 2, "No such option: --darker. Give --lightness -0.5."),
        (["--no-texture"], 2, "No such option: --no-texture. Give --texture 0."),
        (["--brightness", "-0.5"], 2, "Give --lightness -0.5."),
        (["--darkness=0.3"], 2, "Give --lightness -0.3."),
        (["--variations", "6"], 2, "Give --count 6."),
        (["--style", "photo.jpg"], 2, "Give --palette-from photo.jpg for its colours, or --near photo.jpg"),
        (["--style", "classic"], 2, "Give --bundle classic."),
        (["--style", "impasto"], 2, "Give --surface impasto."),
        (["--like", "a.png"], 2, "Give --palette-from PICTURE for its colours, or --near PICTURE"),
        (["--transparent"], 2, "Give --background transparent."),
        (["--skip-existing"], 2, "Give --resume."),
        (["--face"], 2, "Give --figure face or --figure none."),
        (["--colors-from", "a.png"], 2, "Give --palette-from"),
        (["--vector"], 2, "Give --format svg."),
        (["--temperature", "-0.3"], 2, "Give --warmth -0.3."),
        (["--calmness"], 2, "--saturation -0.5 for paler colours."),
        (["--siblings"], 2, "Since version 0.2, --count N paints variations"),
        (["--shapes", "-1"], 2, "No such option: --shapes. Give --complexity -1."),
        (["--shapes", "circle"], 2, "Give --figure sun."),
        (["--shapes", "large"], 2, "Give --scale -0.5."),
        (["--calm"], 2, "Give --complexity -0.5 for fewer shapes"),
        (["--no-brush"], 2, "Give --surface flat --texture 0."),
        (["--plotter"], 2, "Give --plot -o song.svg."),
        (["--palette", "navy,"], 2, "red or light blue, with commas between them"),
        (["--width", "300"], 2, "Give --size 1920x1080"),
        (["-s", "300"], 2, "Give --size 3000 for the size, or --seed 7"),
        (["--max-size", "1MB"], 2, "Give --quality 80"),
        (["--quality", "80"], 2, "--quality is for JPEG and AVIF"),
        (["--keep-folders"], 2, 'give -o "pictures/{folder}/{name}.jpg"'),
        (["-o", ""], 2, "-o: the name is empty."),
        (["--symmetry", "auto"], 2, "No such option: --symmetry. Pictures have no mirror symmetry."),
        (["--prompt", "sea"], 2, "No such option: --prompt. The song decides, not words"),
        (["--near", ""], 2, "the name is empty."),
        ([""], 2, "the name is empty."),
        (["--busier"], 2, "Give --complexity 0.5."),
        (["--silent"], 2, "Give -q."),
        (["-r"], 2, "Subfolders are always searched"),
        (["--palette"], 2, "requires an argument. Put colours in quotes"),
        (["--palette", "#112233;red"], 2, '--palette separates colours by commas: --palette "#112233,red".'),
        (["--palette", "photo.jpg"], 2, "give --palette-from photo.jpg."),
        (["--palette-from", "#123,red"], 2, '--palette-from takes a picture. For colours, give --palette "#123,red".'),
        (["--figure", "circle"], 2, "did you mean sun?"),
        (["--background", "none"], 2, "did you mean transparent?"),
        (["--surface", "watercolor"], 2, "did you mean layers?"),
        (["--texture", "none"], 2, "'none' is not a number, such as 0.5"),
        (["--dpi", "300dpi"], 2, "'300dpi' is not a valid number."),
        (["-o", "a.png", "--output", "b.png"], 2, "-o is given twice; give it once."),
        (["--near", "a.png", "--near", "b.png"], 2, "--near is given twice"),
        (["--again", "a.png", "--again", "b.png"], 2, "--again is given twice"),
        (["--palette", "red", "--palette", "blue"], 2, "--palette is given twice"),
        (["--kerning", "a"], 2, "Error: No such option '--kerning'."),
        (["--sheet", "song.flac"], 2, "--sheet song.flac: a picture ends in .png"),
        (["--mood", "1,1"], 1, "was trained without valence and arousal"),
        (["--bundle", "classic", "--warmth", "1"], 1, "bundle classic decodes latents to pixels"),
        (["--sheet", "sheet.txt"], 2, "--sheet sheet.txt: a picture ends in .png"),
        (["--sheet", "song.png"], 1, "song.png is one of the pictures of the run"),
        (["--sheet", "./song.flac.png", "-o", "song.flac.png"], 1, "is one of the pictures of the run"),
    ],
)
def test_faults_are_one_line_before_any_work(arguments: list[str], code: int, message: str, fake_bundle: Path) -> None:
    bundle = [] if "--bundle" in arguments else ["--bundle", fake_bundle]
    result = run("paint", "song.flac", *bundle, *arguments)
    assert result.exit_code == code, result.output
    (line,) = [line for line in result.output.splitlines() if message in line]
    assert line.startswith("Error: " if code == 2 else "clavilux: ")
    assert not list(Path().glob("*.png"))


def test_a_file_whose_name_begins_with_a_dash_is_explained() -> None:
    Path("song.flac").rename("-3 minus.flac")
    for arguments in (["-3 minus.flac"], ["--size", "64", "-3 minus.flac"]):
        result = run("paint", *arguments)
        assert result.exit_code == 2 and "For the file of this name: ./-3 minus.flac, or -- before" in result.output


def test_help_has_a_section() -> None:
    text = run("paint", "--help").output
    section = text[text.index("\nSteering:") : text.index("\nFiles:")]
    for name in ("palette", "palette-from", "warmth", "texture", "scale", "mood", "near", "surface", "figure"):
        assert f"--{name} " in section


def test_controls_are_steered(fake_bundle: Path) -> None:
    asked: list[Any] = ["--marks", "rings", "--lightness", 0.25]
    result = run("controls", "song.flac", "--bundle", fake_bundle, *asked, "-o", "song.json")
    assert result.exit_code == 0, result.output
    fields = json.loads(Path("song.json").read_text())
    assert (fields["kind"], fields["second_kind"], fields["lightness"]) == ("rings", None, 0.25)
    result = run("paint", "song.json", "--texture", 0, "--size", 64)
    assert result.exit_code == 0, result.output
    assert read_record("song.png")["controls"]["texture"] == 0
    again = run("paint", "song.json", "--texture", 0, "--size", 64, "--resume")
    assert again.output.endswith("skipped 1 picture that exists already\n")
    near = run("paint", "song.json", "--near", "song.png", "-o", "near.png")
    assert near.exit_code == 1 and "song: near needs a song, and these are controls" in near.output


def test_hints_name_only_options_of_the_command() -> None:
    result = run("controls", "song.flac", "--transparent")
    assert result.exit_code == 2 and "--background" not in result.output
    assert "Give --variation N, as it is called since" in run("controls", "song.flac", "--sibling", "1").output
    for stage in ("all", "audio-vae", "image-vae", "mapping"):
        assert "It is gone since version 0.2" in run("train", stage, "--teacher", "rival").output


def test_only_a_sheet_is_replaced_by_a_sheet(fake_bundle: Path, song: Path) -> None:
    arguments = ("--bundle", fake_bundle, "--size", 64, "--sheet", "sheet.jpg")
    song.rename("Björk – 夜.flac")  # Pillow's font lacks these characters
    Image.new("RGB", (8, 8)).save("sheet.jpg")
    before = Path("sheet.jpg").read_bytes()
    refused = run("paint", "Björk – 夜.flac", *arguments)
    assert refused.exit_code == 1 and "sheet.jpg: exists already and is no sheet of Clavilux" in refused.output
    assert Path("sheet.jpg").read_bytes() == before and not list(Path().glob("*.png"))
    field = run("paint", "Björk – 夜.flac", *arguments[:-1], "{album}.jpg")
    assert field.exit_code == 1 and "{album}.jpg has the field {album}; there is one sheet" in field.output
    assert not list(Path().glob("*.png"))
    Path("sheet.jpg").unlink()
    for _ in range(2):
        result = run("paint", "Björk – 夜.flac", *arguments)
        assert (result.exit_code, result.output.splitlines()[-1]) == (0, "1 picture -> sheet.jpg")
    own = ImageFont.load_default(14)
    assert _drawable("1 Björk – 夜Ø", own) == "1 Bjork - ?O"
    assert _drawable("1 Bjo\u0308rk\n", _open_font()) in ("1 Björk?", "1 Bjork?")
    again = run("paint", "--again", "sheet.jpg")
    assert (
        again.output == "clavilux: sheet.jpg: is a sheet of pictures, which has no record; give one of these pictures\n"
    )


def test_letters_that_no_font_has_are_named(fake_bundle: Path, song: Path) -> None:
    song.rename("a\ue000.flac")
    done = run("paint", "a\ue000.flac", "--bundle", fake_bundle, "--size", 64, "--sheet", "sheet.jpg")
    assert "sheet.jpg: letters of a\ue000 are shown as ?, because no font on this machine has them" in done.stderr


def test_a_sheet_shows_all_pictures_of_a_run(fake_bundle: Path) -> None:
    result = run("paint", "song.flac", "--bundle", fake_bundle, "--size", 64, "--count", 3, "--sheet", "all/sheet.png")
    assert result.exit_code == 0, result.output
    sheet = pixels("all/sheet.png")
    assert read_description(Path("all/sheet.png")).endswith("names: 1 song-1, 2 song-2, 3 song-3.")
    assert sheet.shape == (2 * 428 + 8, 2 * 408 + 8, 3)
    for number, (top, left) in enumerate([(8, 8), (8, 416), (436, 8)], 1):
        middle = sheet[top + 168 : top + 232, left + 168 : left + 232]
        np.testing.assert_array_equal(middle, pixels(f"song-{number}.png"))
        assert sheet[top + 400 : top + 420, left : left + 400].min() < 100  # number and name
    assert sheet[436:, 416:].min() == 255


@pytest.mark.parametrize(
    ("option", "value", "meant"),
    [
        ("--figure", "veiled face", "veil"),
        ("--figure", "head of stone", "statue"),
        ("--figure", "gutiar", "guitar"),
        ("--surface", "thick paint", "impasto"),
        ("--surface", "watercolour", "layers"),
        ("--marks", "ring", "rings"),
        ("--marks", "honeycomb", "hexagons"),
        ("--palette", "lihgt blue,red", "light blue"),
        ("--palette", "red,greyish gren", "greyish green"),
        ("--palette", "navvy,red", "navy"),
    ],
)
def test_a_word_of_a_description_or_a_slip_is_answered_with_the_name_that_is_meant(
    option: str, value: str, meant: str
) -> None:
    refused = CliRunner().invoke(cli, ["paint", "song.wav", option, value])
    assert refused.exit_code == 2
    assert " ".join(refused.stderr.split()).endswith(f"did you mean {meant}?")
    other = CliRunner().invoke(cli, ["paint", "song.wav", option, "qqqq,red" if option == "--palette" else "qqqq"])
    assert other.exit_code == 2 and "did you mean" not in other.stderr


@pytest.mark.parametrize("option", ["--palette-from", "--near"])
def test_a_picture_that_steers_is_not_overwritten(
    option: str, fake_bundle: Path, tone_file: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (64, 64), (200, 30, 30)).save(photo)
    before = photo.read_bytes()
    arguments = ["paint", str(tone_file), option, str(photo), "-o", str(photo), "--bundle", str(fake_bundle)]
    refused = CliRunner().invoke(cli, arguments)
    assert refused.exit_code == 1 and "photo.png is read and would be overwritten" in refused.stderr
    assert photo.read_bytes() == before
