"""Names, formats and sizes of pictures: templates from tags, millimetres, and what is written beside pictures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import av
import click
import numpy as np
import pytest
import soundfile
import sounds
from click.testing import CliRunner, Result
from PIL import Image

from clavilux.audio.tags import read_tags
from clavilux.cli import cli
from clavilux.cli.beside import described
from clavilux.cli.find import find_songs
from clavilux.cli.options import parse_size, resolve_size
from clavilux.cli.templates import FoundSong, check_template, clean_name, fill_template
from clavilux.errors import PictureError
from clavilux.picture_file import read_description, read_record


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_tagged(path: Path, seed: int = 0, **tags: str) -> Path:
    """Write 5.5 s of sound with tags."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".ogg":  # PyAV encodes no Vorbis
        with soundfile.SoundFile(path, "w", 22_050, 1, format="OGG", subtype="VORBIS") as file:
            for name, value in tags.items():
                setattr(file, {"track": "tracknumber"}.get(name, name), value)
            file.write(sounds.song(5.5, seed=seed))
        return path
    codec = {".mp3": "libmp3lame", ".flac": "flac", ".m4a": "aac", ".opus": "libopus"}[path.suffix]
    rate = 48_000 if path.suffix == ".opus" else 44_100
    with av.open(str(path), "w") as container:
        container.metadata.update(tags)
        stream = container.add_stream(codec, rate=rate, layout="mono")
        sound = np.interp(np.arange(int(5.5 * rate)) * 22_050 / rate, np.arange(121_275), sounds.song(5.5, seed=seed))
        frame = av.AudioFrame.from_ndarray(sound.astype(np.float32)[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(
            stream.codec_context.format, "mono", rate, stream.codec_context.frame_size or 4096
        )
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="clavilux")


def paint(*arguments: object, bundle: Path) -> Result:
    return run("paint", *arguments, "--bundle", bundle, "--size", "64", "--jobs", "1")


def files_below(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


# Tags and templates --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["mp3", "flac", "ogg", "m4a", "opus"])
def test_tags_are_read_from_every_container(suffix: str) -> None:
    song = write_tagged(
        Path(f"a.{suffix}"), title="Title  two", artist="Artist", album="Album", track="3/12", date="1997"
    )
    assert read_tags(song) == {
        "title": "Title two",
        "artist": "Artist",
        "album": "Album",
        "album_artist": "Artist",
        "track": "03",
        "year": "1997",
    }


def test_what_is_no_song_has_no_tags() -> None:
    Path("a.mp3").write_bytes(b"no sound" * 100)
    assert read_tags(Path("a.mp3")) == read_tags(Path("missing.mp3")) == {}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("AC/DC", "AC-DC"),
        ('a\\b:c*d?e"f<g>h|i', "a-b-c-d-e-f-g-h-i"),
        ("..", "unknown"),
        ("../../etc/passwd", "-..-etc-passwd"),
        (" . hidden. ", "hidden"),
        ("line\nbreak\x1b[31m", "line-break-[31m"),
        ("CON", "CON_"),
        ("com1.txt", "com1.txt_"),
        ("", "unknown"),
        ("ü" * 300, "ü" * 45),
        ("夜想曲", "夜想曲"),
    ],
)
def test_a_tag_becomes_a_part_of_a_name(text: str, name: str) -> None:
    assert clean_name(text) == name


def test_templates_are_filled(capsys: pytest.CaptureFixture[str]) -> None:
    tagged = FoundSong(write_tagged(Path("one.flac"), title="Op. 9/2", artist="A: B"), "live/1999")
    plain = FoundSong(write_tagged(Path("two.flac")), "")
    for template, first, second in (
        ("{artist} - {title}.jpg", "A- B - Op. 9-2.jpg", "unknown - two.jpg"),
        ("x/{folder}/{name}.png", "x/live/1999/one.png", "x/two.png"),
        ("{folder}/{name}.png", "live/1999/one.png", "two.png"),
        ("{number} {name}", "1 one.webp", "2 two.webp"),
        ("out {year}/", "out unknown/one.webp", "out unknown/two.webp"),
        ("{title}", "Op. 9-2.webp", "two.webp"),
    ):
        assert fill_template(template, [tagged, plain], ".webp") == [Path(first), Path(second)], template
    assert capsys.readouterr().err.splitlines() == [
        "clavilux: two.flac: no title in the tags; the name of the picture has the name of the file instead",
        'clavilux: two.flac: no artist in the tags; the name of the picture has "unknown" instead',
        'clavilux: one.flac, two.flac: no year in the tags; the name of the picture has "unknown" instead',
        "clavilux: two.flac: no title in the tags; the name of the picture has the name of the file instead",
    ]
    assert fill_template("{number}.png", [plain] * 12, ".png")[8:10] == [Path("09.png"), Path("10.png")]


def test_a_long_name_is_cut_before_its_extension() -> None:
    song = FoundSong(write_tagged(Path("a.flac"), title="t" * 180, artist="é" * 180))
    (path,) = fill_template("{artist} - {title}.jpg", [song], ".png")
    assert path.stem == f"{45 * 'é'} - {90 * 't'}" and path.suffix == ".jpg"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{titel}.png", "there is no {titel}; fields are name, number, folder, title"),
        ("{title.__class__}.png", "there is no {title.__class__}"),
        ("{}.png", "there is no {}"),
        ("{title.png", "a brace is not closed"),
        ("{title}}.png", "a brace is not closed"),
        ("{title}.gif", "a picture ends in .png"),
    ],
)
def test_a_wrong_template_is_wrong_usage(template: str, reason: str) -> None:
    with pytest.raises(click.UsageError) as error:
        check_template(template)
    assert reason in str(error.value)
    done = run("paint", "a.mp3", "-o", template)
    assert done.exit_code == 2 and reason in " ".join(done.stderr.split())


def test_an_album_keeps_its_order_and_names(fake_bundle: Path) -> None:
    for number in (1, 2, 10):
        write_tagged(Path(f"album/{number} song.flac"), seed=number, title=f"T{number}")
    done = paint("album", "-o", "out", "--format", "jpg", bundle=fake_bundle)
    assert (done.exit_code, done.stderr) == (0, "")
    assert [line.partition(" -> ")[2] for line in done.stdout.splitlines()] == [
        "out/1 song.jpg",
        "out/2 song.jpg",
        "out/10 song.jpg",
    ]
    done = paint("album", "-o", "named/{number} {title}.webp", bundle=fake_bundle)
    assert files_below("named") == ["1 T1.webp", "2 T2.webp", "3 T10.webp"]


def test_equal_names_are_numbered_and_the_same_song_is_replaced(fake_bundle: Path) -> None:
    for number in (1, 2):
        write_tagged(Path(f"album/{number}.flac"), seed=number, title="Same", artist="A/B")
    for _ in range(2):
        done = paint("album", "-o", "out/{artist}/{title}.png", "--count", 2, bundle=fake_bundle)
        assert done.exit_code == 0, done.output
        assert files_below("out") == [f"A-B/{name}.png" for name in ("Same-1", "Same-2", "Same_2-1", "Same_2-2")]


def test_folders_are_kept_by_a_template(fake_bundle: Path) -> None:
    write_tagged(Path("music/one/1.flac"), seed=1)
    write_tagged(Path("music/two/1.flac"), seed=2)
    assert paint("music", "-o", "out/{folder}/{name}.png", bundle=fake_bundle).exit_code == 0
    assert files_below("out") == ["one/1.png", "two/1.png"]


def test_songs_are_found_in_the_order_of_their_numbers() -> None:
    for name in ("10.mp3", "9.mp3", "b/1.mp3", "a 2.mp3", "a 10.mp3"):
        Path("music", name).parent.mkdir(parents=True, exist_ok=True)
        Path("music", name).touch()
    found = list(find_songs([Path("music")], [], pytest.fail))
    assert [str(song.path) for song in found] == [
        f"music/{name}" for name in ("9.mp3", "10.mp3", "a 2.mp3", "a 10.mp3", "b/1.mp3")
    ]
    assert [song.folder for song in found] == ["", "", "", "", "b"]


# Formats and sizes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "dpi", "pixels", "density"),
    [
        ("1024", None, (1024, 1024), 300),
        ("3000x2000", 72, (3000, 2000), 72),
        ("600x600mm@300", None, (7087, 7087), 300),
        ("600mm", None, (7087, 7087), 300),
        ("60x40cm@150", None, (3543, 2362), 150),
        ("12in", 240, (2880, 2880), 240),
        ("8.5x11in@100dpi", None, (850, 1100), 100),
        ("300@72", None, (300, 300), 72),
        ("3000px", None, (3000, 3000), 300),
        ("3000 x 2000", None, (3000, 2000), 300),
        ("300*200", None, (300, 200), 300),
        ("600mmx300mm@100 dpi", None, (2362, 1181), 100),
        ("24IN", 100, (2400, 2400), 100),
        ("12inch", 100, (1200, 1200), 100),
        ("25.4mm@300", 300, (300, 300), 300),
    ],
)
def test_sizes(text: str, dpi: float | None, pixels: tuple[int, int], density: float) -> None:
    assert resolve_size(parse_size(text), dpi) == (pixels, density)


@pytest.mark.parametrize(
    ("text", "dpi", "reason"),
    [
        ("600x600mm@400", None, "600x600mm@400 at 400 dpi has 9449 x 9449 pixels; give at most 346 dpi"),
        ("600mm@400", None, "give at most 346 dpi"),
        ("3000x10cm", None, "pixels; give another size"),
        ("0in", None, "give another size"),
        ("60x60", None, r"if a unit is missing, write 60x60cm \(or mm, in\)"),
        ("60mmx20in", None, "with two units"),
        ("300 200", None, "size is '300 200'; write 1024"),
        ("1mm", None, "1mm at 300 dpi has 12 x 12 pixels"),
        ("600mm@300", 150, "size 600mm@300 and dpi 150 give two resolutions"),
        ("12.5", None, "pixels are whole numbers"),
        ("10km", None, r"size is '10km'; write 1024, 3000x2000 or, with a unit \(mm, cm or in\)"),
        ("600mm@0", None, "it must be a number from 1 to 10000"),
        ("1e3", None, "size is '1e3'; write"),
        ("9" * 12, None, "size is '9{12}'; write"),
    ],
)
def test_wrong_sizes(text: str, dpi: float | None, reason: str) -> None:
    with pytest.raises(click.UsageError, match=reason):
        resolve_size(parse_size(text), dpi)


def test_the_resolution_goes_into_the_file_and_its_record(fake_bundle: Path) -> None:
    song = write_tagged(Path("a.flac"))
    done = run("paint", song, "--size", "1x2in@100", "-o", "a.tif", "--bundle", fake_bundle)
    assert done.exit_code == 0, done.output
    with Image.open("a.tif") as image:
        assert (image.size, image.info["dpi"]) == ((100, 200), (100, 100))
    assert read_record("a.tif")["dpi"] == 100
    kept = run("paint", song, "--size", "1x2in@100", "-o", "a.tif", "--bundle", fake_bundle, "--resume")
    assert kept.stderr == "clavilux: skipped 1 picture that exists already\n"
    other = run("paint", song, "--size", "100x200", "--dpi", 90, "-o", "a.tif", "--bundle", fake_bundle, "--resume")
    assert other.stderr == "" and read_record("a.tif")["dpi"] == 90
    again = run("paint", "--again", "a.tif", "--bundle", fake_bundle, "--format", "png", "--dpi", 50)
    assert again.stdout == "a.tif -> a-again.png\n"
    with Image.open("a-again.png") as image:
        assert (image.size, round(image.info["dpi"][0])) == ((100, 200), 50)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["a.mp3", "-o", "a.png", "--format", "jpg"], "-o a.png and --format jpg give two formats; give one"),
        (["a.mp3", "-o", "{title}.png", "--format", "jpg"], "give two formats"),
        (["a.mp3", "--format", "gif"], "'gif' is not one of"),
        (["a.mp3", "--dpi", "0"], "--dpi"),
        (["a.mp3", "--dpi", "nan"], "--dpi"),
        (["a.mp3", "-q", "--json"], "--quiet prints nothing"),
        (["a.mp3", "--random", "3", "--embed"], "without --embed and --folder-image"),
        (["--again", "a.png", "--embed"], "clavilux paint SONG --again a.png --embed"),
    ],
)
def test_wrong_usage(arguments: list[str], reason: str) -> None:
    done = run("paint", *arguments)
    assert done.exit_code == 2, done.output
    assert reason in " ".join(done.stderr.split())


def test_jpeg_may_be_named_by_both_extensions(fake_bundle: Path) -> None:
    song = write_tagged(Path("a.flac"))
    assert paint(song, "-o", "a.jpeg", "--format", "jpg", bundle=fake_bundle).exit_code == 0
    assert paint(song, "--format", "tif", bundle=fake_bundle).stdout == "a.flac -> a.tif\n"


# Beside the picture --------------------------------------------------------------------------------------------------


def test_the_description_is_written_beside_each_picture(fake_bundle: Path) -> None:
    song = write_tagged(Path("a.flac"))
    done = paint(song, "--alt-file", "--json", "--count", 2, bundle=fake_bundle)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    for number, report in enumerate(reports, 1):
        assert Path(f"a-{number}.txt").read_text() == report["description"] + "\n"
    assert paint(song, "--alt-file", "--count", 2, bundle=fake_bundle).stderr == ""  # ours are replaced
    Path("a-2.txt").write_text("the lyrics")
    done = paint(song, "--alt-file", "--count", 2, bundle=fake_bundle)
    kept = "exists already and was kept, because it has another text than the description of the picture"
    assert done.stderr == f"clavilux: a-2.txt: {kept}; to get a new one, remove it\n"
    assert done.exit_code == 1 and Path("a-2.txt").read_text() == "the lyrics"
    again = run("paint", "--again", "a-1.png", "--bundle", fake_bundle, "--alt-file")
    assert again.exit_code == 0
    assert Path("a-1-again.txt").read_text() == Path("a-1.txt").read_text()


@pytest.mark.parametrize("suffix", ["svg", "pdf"])
def test_the_description_beside_a_plot_says_that_it_has_only_lines(suffix: str, fake_bundle: Path) -> None:
    options = ("-o", f"x.{suffix}", "--plot", "--surface", "flat", "--alt-file")
    for more in ((), (), ("--resume",)):
        assert paint(write_tagged(Path("a.flac")), *options, *more, bundle=fake_bundle).exit_code == 0
    assert Path("x.txt").read_text().startswith("Lines for a pen plotter")


def test_a_description_that_was_edited_or_is_of_another_picture_is_kept(fake_bundle: Path) -> None:
    first, second = write_tagged(Path("a.flac")), write_tagged(Path("b.flac"), seed=1)
    assert paint(first, "-o", "x.png", "--alt-file", bundle=fake_bundle).exit_code == 0
    text = Path("x.txt").read_text()
    done = paint(second, "-o", "x.jpg", "--alt-file", bundle=fake_bundle)
    assert done.exit_code == 1 and "x.txt: exists already and was kept" in done.stderr
    assert Path("x.txt").read_text() == text
    Path("x.txt").write_text(edited := text.replace(" picture", " picture, like a flag"))
    for options in ((), ("--resume",), ("--lightness", "-0.5")):
        assert paint(first, "-o", "x.png", "--alt-file", *options, bundle=fake_bundle).exit_code == 1
        assert Path("x.txt").read_text() == edited


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_picture_that_is_not_there_yet_has_no_description(suffix: str) -> None:
    assert described(Path(f"new.{suffix}")) == ""
    with pytest.raises(PictureError, match=rf"new\.{suffix}"):
        read_description(Path(f"new.{suffix}"))


def test_a_description_that_cannot_be_written_is_a_fault_and_the_picture_is_there(fake_bundle: Path) -> None:
    song = write_tagged(Path("a.flac"))
    Path("a.txt").mkdir()
    done = paint(song, "--alt-file", bundle=fake_bundle)
    assert done.exit_code == 1 and Path("a.png").exists()
    assert len(done.stderr.splitlines()) == 1 and "a.txt: cannot be written" in done.stderr


def test_an_album_is_in_the_order_of_its_tracks(fake_bundle: Path) -> None:
    for number, (name, tags) in enumerate({"zz": "1/3", "a": "2/3", "10 b": "3"}.items()):
        disc = {"discnumber": "1"} if name == "zz" else {}  # others without a disc are on the first
        write_tagged(Path("music", "album", f"{name}.flac"), seed=number, track=tags, **disc)
    write_tagged(Path("music", "b.flac"), seed=8, track="9")
    write_tagged(Path("music", "a.flac"), seed=9)  # without a track, so its folder is in the order of names
    done = paint("music", "-o", "out/{number} {name}.png", "--folder-image", bundle=fake_bundle)
    assert done.exit_code == 0, done.output
    order = [path.stem.partition(" ")[2] for path in sorted(Path("out").iterdir())]
    assert order == ["a", "b", "zz", "a", "10 b"]
    assert read_record("music/album/cover.jpg")["song"]["name"] == "zz"
    assert read_record("music/cover.jpg")["song"]["name"] == "a"
    # Where the order is not seen, tags are not read.
    assert "zz.flac" in paint("music/album", "-o", "plain/", bundle=fake_bundle).stdout.splitlines()[-1]


def test_each_folder_gets_a_cover_once(fake_bundle: Path) -> None:
    for number, place in enumerate(("one/1.flac", "one/2.flac", "two/1.flac", "three/1.flac")):
        write_tagged(Path("music", place), seed=number)
    Image.new("RGB", (8, 8)).save("music/two/cover.jpg")
    before = Path("music/two/cover.jpg").read_bytes()
    done = paint("music", "-o", "out/", "--folder-image", bundle=fake_bundle)
    assert done.exit_code == 1
    assert done.stderr.startswith(
        "clavilux: music/two/cover.jpg: exists already and was kept, because it is no picture of this song"
    )
    assert done.stderr.count("\n") == 1
    assert Path("music/two/cover.jpg").read_bytes() == before
    assert files_below("music/three") == ["1.flac", "cover.jpg"]
    record: dict[str, Any] = read_record("music/one/cover.jpg")
    assert record == next(
        read_record(path) for path in Path("out").iterdir() if read_record(path)["song"] == record["song"]
    )
    assert record["song"]["name"] == "1"
    shutil.rmtree("out")
    assert paint("music/one", "-o", "out/", "--folder-image", bundle=fake_bundle).stderr == ""  # our own is replaced


# Messages ------------------------------------------------------------------------------------------------------------


def test_quiet_prints_only_what_went_wrong(fake_bundle: Path) -> None:
    write_tagged(Path("music/a.flac"))
    Path("music/b.mp3").write_bytes(b"x")
    done = paint("music", "-q", bundle=fake_bundle)
    assert (done.exit_code, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1 and "b.mp3" in done.stderr
    assert Path("a.png").exists()
