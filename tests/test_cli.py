from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import write_wave
from fake_bundle import write_fake_bundle
from PIL import Image

from clavilux.audio.clips import NO_DESCRIPTORS
from clavilux.cli import COMMANDS, cli
from clavilux.cli.names import numbered
from clavilux.cli.options import SEED_MOVES
from clavilux.constants import FINISH
from clavilux.picture_file import read_description, read_record
from clavilux.system.extras import install_command
from clavilux.system.outcomes import Raised, attempt
from clavilux.version import __version__


@pytest.fixture
def songs(tmp_path: Path, tone_file: Path, other_tone_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a folder ``songs`` of two songs and what else lies about."""
    folder = tmp_path / "songs"
    (folder / "live").mkdir(parents=True)
    shutil.copy(tone_file, folder / "chord.wav")
    shutil.copy(other_tone_file, folder / "live" / "high.WAV")
    (folder / "notes.txt").write_text("no song")
    monkeypatch.chdir(tmp_path)
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="clavilux")


def paint(*arguments: object, bundle: Path) -> Result:
    return run("paint", *arguments, "--bundle", bundle, "--size", "96", "--jobs", "1")


def pixels(path: Path | str) -> Any:
    with Image.open(path) as image:
        return np.asarray(image)


# The command itself --------------------------------------------------------------------------------------------------


def test_help_names_every_command_and_the_extra_that_training_needs() -> None:
    done = run("--help")
    assert done.exit_code == 0
    for name in COMMANDS:
        assert f"  {name} " in done.output
    text = " ".join(done.output.split())
    assert "Needs the extra `train`." in text and "Needs the extra `eval`." in text


@pytest.mark.parametrize("name", ["paint", "bundle", "corpus", "features", "marks"])
def test_each_command_is_where_the_table_says(name: str) -> None:
    done = run(name, "--help")
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"Usage: clavilux {name}")


@pytest.mark.torch
@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_each_command_with_extras_is_where_the_table_says(name: str) -> None:
    done = run(name, "--help")
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"Usage: clavilux {name}")


def test_help_is_quick_and_imports_no_numpy() -> None:
    code = (
        "import sys; from clavilux.cli import cli; cli(['--help'], standalone_mode=False);"
        "print([m for m in ('numpy', 'av', 'PIL', 'onnxruntime', 'joblib') if m in sys.modules])"
    )
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = os.times()
    assert done.stdout.splitlines()[-1] == "[]"
    cpu_s = after.children_user - before.children_user + after.children_system - before.children_system
    assert cpu_s < 0.3  # of the processor, as other processes may be busy; 0.05 s where this was written


def test_help_of_paint_has_a_section_for_advanced_options() -> None:
    help_text = run("paint", "--help").output
    simple, advanced = help_text.split("\nAdvanced:\n")
    assert "With 2 or more, song-1.png is the main picture" in " ".join(simple.split())
    assert "--logvar-scale" in advanced and "latent" not in simple


def test_the_options_of_paint_are_these() -> None:
    command = cli.get_command(click.Context(cli), "paint")
    assert command is not None
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    names = {option.removeprefix("--") for option in options}
    assert names == {
        *("output", "size", "seed", "count", "spread", "noise-std", "logvar-scale", "bundle", "explain", "json"),
        *("again", "random", "max-seconds", "jobs", "resume", "scheduler", "verbose", "quiet", "no-progress"),
        *("format", "plot", "quality", "dpi", "alt-file", "embed", "folder-image", "sheet"),
        *("palette", "palette-from", "lightness", "saturation", "warmth", "texture", "scale", "complexity"),
        *("outline", "surface", "figure", "marks", "mood", "near", "background", "describe"),
    }


def test_the_version_and_what_paints(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("--version").output.startswith(f"clavilux {__version__}, painting by Num")
    monkeypatch.setenv("CLAVILUX_FAST", "0")
    assert run("--version").output == f"clavilux {__version__}, painting by NumPy (CLAVILUX_FAST=0)\n"


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("pant", "Did you mean 'paint'?"),
        ("song 1.wav", "To paint it: clavilux paint 'song 1.wav'"),
        ("songs", "To paint it: clavilux paint songs"),
        ("a.png", "To paint it: clavilux paint --again a.png"),
        ("describe", "clavilux explain SONG"),
        ("help", "clavilux --help"),
        ("version", "clavilux -V"),
        ("record", "clavilux explain PICTURE"),
        ("repaint", "To paint a picture again: clavilux paint --again PICTURE"),
        ("xylophone", "No such command 'xylophone'."),
        ("generate_image", "Its successor: clavilux paint SONG"),
        ("train-audio-vae", "Its successor: clavilux train audio-vae"),
        ("train train_image_vae.py", "Its successor: clavilux train image-vae"),
        ("train --art", "It belongs to what is trained: clavilux train all --art ..."),
    ],
)
def test_an_unknown_command_is_wrong_usage(songs: Path, word: str, hint: str) -> None:
    shutil.copy(songs / "chord.wav", "song 1.wav")
    Image.new("RGB", (8, 8)).save("a.png")
    done = run(*([word] if word.startswith("song") else word.split()))
    assert done.exit_code == 2
    assert hint in done.stderr.splitlines()[-1]


def run_without(modules: list[str], *words: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, where these modules are not installed."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({modules})); sys.argv = {['clavilux', *words]};"
        "from clavilux.cli import main; main()"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "missing", "extra"),
    [
        (["train", "all"], "torch", "train"),
        (["evaluate", "--music", "songs", "--art", "pictures"], "torch", "eval"),
        (["evaluate", "--music", "songs", "--art", "pictures"], "efficientnet_lite_pytorch", "eval"),
        (["explain", "song.flac", "-o", "a.html"], "jinja2", "card"),
        (["paint", "song.flac", "-o", "a.svg"], "contourpy", "vector"),
        (["paint", "songs/", "--format", "pdf", "--plot"], "contourpy", "vector"),
        (["paint", "--again", "a.png", "-o", "a.svg"], "contourpy", "vector"),
        (["paint", "song.flac", "--embed"], "mutagen", "tags"),
        (["paint", "song.flac", "--scheduler", "tcp://127.0.0.1:1"], "distributed", "cluster"),
    ],
)
def test_a_missing_extra_is_named_before_any_work(words: list[str], missing: str, extra: str) -> None:
    done = run_without([missing], *words)
    assert done.returncode == 1
    assert done.stderr == f"clavilux: this needs {missing}, which is not installed: {install_command(extra)}\n"


def test_a_vector_picture_is_painted_again_as_pixels_without_the_extra(fake_bundle: Path, songs: Path) -> None:
    pytest.importorskip("contourpy", reason="needs the extra vector")
    paint(songs / "chord.wav", "-o", "a.svg", bundle=fake_bundle)
    done = run_without(["contourpy"], "paint", "--again", "a.svg", "-o", "a.png", "--bundle", str(fake_bundle))
    assert (done.returncode, done.stderr) == (0, "") and Path("a.png").exists()


def test_python_names_a_missing_extra_too(fake_bundle: Path, tone_file: Path, tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules.update(dict.fromkeys(["torch", "contourpy"]))
import clavilux
for wanted in ("vector", "train"):
    try:
        if wanted == "train":
            import clavilux.models.audio_vae
        picture = clavilux.paint({str(tone_file)!r}, size=96, bundle={str(fake_bundle)!r})
        picture.save({str(tmp_path / "a.svg")!r})
    except clavilux.ClaviluxError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        f"this needs {missing}, which is not installed: {install_command(extra)}"
        for missing, extra in (("contourpy", "vector"), ("torch", "train"))
    ]


def test_a_module_of_an_extra_that_a_worker_lacks_is_no_bug() -> None:
    def function(song: str) -> None:
        raise ModuleNotFoundError("No module named 'contourpy'", name="contourpy")

    outcome = attempt(function, "song")
    assert isinstance(outcome, Raised) and install_command("vector") in str(pickle.loads(pickle.dumps(outcome.error)))


@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_help_needs_no_extra(name: str) -> None:
    done = run_without(["torch", "efficientnet_lite_pytorch"], name, "--help")
    assert done.returncode == 0, done.stderr
    assert f"clavilux {name}" in done.stdout


def test_other_missing_modules_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "clavilux.cli.bundle", None)
    done = run("bundle", "show")
    assert isinstance(done.exception, ModuleNotFoundError)


# Songs and folders ---------------------------------------------------------------------------------------------------


def test_a_song_is_painted_beside_us(songs: Path, fake_bundle: Path) -> None:
    done = paint(songs / "chord.wav", bundle=fake_bundle)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"{songs / 'chord.wav'} -> chord.png\n"
    assert pixels("chord.png").shape == (96, 96, 3)
    assert read_record("chord.png")["song"]["name"] == "chord"


def test_the_same_song_gives_the_same_bytes(songs: Path, fake_bundle: Path) -> None:
    for name in ("a.png", "b.png"):
        assert paint(songs / "chord.wav", "-o", name, bundle=fake_bundle).exit_code == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_another_process_gives_the_same_bytes(songs: Path, fake_bundle: Path) -> None:
    paint(songs / "chord.wav", "-o", "a.png", bundle=fake_bundle)
    command = [sys.executable, "-m", "clavilux", "paint", str(songs / "chord.wav"), "-o", "b.png"]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "PYTHONHASHSEED": "7"}
    subprocess.run(
        [*command, "--bundle", str(fake_bundle), "--size", "96"], check=True, env=environment, capture_output=True
    )
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_a_folder_is_searched_and_other_files_are_passed_over(songs: Path, fake_bundle: Path) -> None:
    done = paint(songs, "-o", "pictures/", bundle=fake_bundle)
    assert (done.exit_code, done.stderr) == (0, "")
    assert sorted(path.name for path in Path("pictures").iterdir()) == ["chord.png", "high.png"]
    assert (pixels("pictures/chord.png") != pixels("pictures/high.png")).any()


def test_a_song_that_is_named_twice_is_painted_once(songs: Path, fake_bundle: Path) -> None:
    done = paint(songs, songs / "chord.wav", songs / "live" / ".." / "chord.wav", bundle=fake_bundle)
    assert len(done.stdout.splitlines()) == 2


def test_bad_songs_get_one_line_each_and_the_others_are_painted(songs: Path, fake_bundle: Path) -> None:
    (songs / "a.mp3").write_bytes(b"no sound at all" * 100)
    (songs / "empty.flac").touch()
    (songs / "nothing").mkdir()
    done = paint(songs, "missing.ogg", songs / "nothing", bundle=fake_bundle)
    assert done.exit_code == 1
    assert len(done.stdout.splitlines()) == 2
    assert Path("chord.png").exists() and Path("high.png").exists()
    lines = done.stderr.splitlines()
    assert len(lines) == 4
    for name, reason in (
        ("a.mp3", "not readable as sound"),
        ("empty.flac", "is empty"),
        ("missing.ogg", "No such file"),
        ("nothing", "holds no songs"),
    ):
        (line,) = [line for line in lines if f"{name}: " in line]
        assert line.startswith("clavilux: ") and reason in line
    assert not Path("a.png").exists()


def test_several_processes_paint_what_one_paints(songs: Path, fake_bundle: Path) -> None:
    (songs / "bad.mp3").write_bytes(b"x")
    alone = paint(songs, "-o", "one", bundle=fake_bundle)
    together = run("paint", songs, "-o", "two", "--bundle", fake_bundle, "--size", "96", "--jobs", "2")
    assert (alone.exit_code, together.exit_code) == (1, 1)
    assert together.stderr == alone.stderr
    assert together.stdout == alone.stdout.replace("one/", "two/")
    for path in Path("one").iterdir():
        assert path.read_bytes() == (Path("two") / path.name).read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such file names")
def test_a_name_that_is_no_utf8_is_painted(songs: Path, fake_bundle: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    (songs / "chord.wav").rename(songs / f"{name}.wav")
    done = paint(songs / f"{name}.wav", bundle=fake_bundle)
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith(" -> caf\\udce9.png\n")
    assert read_record(f"{name}.png")["song"]["name"] == name


def test_an_edge_of_the_size_and_another_format(songs: Path, fake_bundle: Path) -> None:
    done = run("paint", songs / "chord.wav", "-o", "new/a.JPG", "--size", "128x64", "--bundle", fake_bundle)
    assert done.exit_code == 0, done.output
    with Image.open("new/a.JPG") as image:
        assert (image.format, image.size) == ("JPEG", (128, 64))


# Names ---------------------------------------------------------------------------------------------------------------


def test_songs_of_one_name_get_pictures_of_different_names(songs: Path, fake_bundle: Path) -> None:
    shutil.copy(songs / "live" / "high.WAV", songs / "live" / "chord.wav")
    shutil.copy(songs / "live" / "high.WAV", songs / "Chord.oga")
    done = paint(songs, bundle=fake_bundle)
    assert done.exit_code == 0, done.output
    names = [line.rsplit(" -> ")[1] for line in done.stdout.splitlines()]
    assert names == ["Chord.png", "chord_2.png", "chord_3.png", "high.png"]


def test_a_picture_of_the_same_song_is_replaced(songs: Path, fake_bundle: Path) -> None:
    for seed in (0, 1):
        paint(songs / "chord.wav", "--seed", seed, bundle=fake_bundle)
    assert sorted(path.name for path in Path.cwd().glob("*.png")) == ["chord.png"]
    assert read_record("chord.png")["seed"] == 1


@pytest.mark.slow
def test_a_run_is_resumed(songs: Path, fake_bundle: Path, tmp_path: Path) -> None:
    def resume(*options: object, bundle: Path = fake_bundle) -> tuple[Result, dict[str, int]]:
        done = paint(songs, "-o", "out/", "--count", 2, "--resume", *options, bundle=bundle)
        assert done.exit_code == 0, done.output
        assert len(done.stdout.splitlines()) == 4
        return done, {path.name: path.stat().st_ino for path in Path("out").iterdir()}

    first, before = resume()
    assert first.stderr == ""
    Path("out/chord-1.png").unlink()
    again, after = resume()
    assert again.stderr == "clavilux: skipped 3 pictures that exist already\n"
    assert again.stdout.replace(" (kept)", "") == first.stdout and again.stdout.count(" (kept)") == 3
    assert {name for name in before if after[name] == before[name]} >= {"chord-2.png", "high-1.png", "high-2.png"}
    whole = paint(songs, "-o", "whole/", "--count", 2, bundle=fake_bundle)
    assert whole.exit_code == 0
    for name in before:
        assert (Path("out") / name).read_bytes() == (Path("whole") / name).read_bytes()
    kept, _ = resume("--json")
    assert {json.loads(line)["status"] for line in kept.stdout.splitlines()} == {"kept"}
    assert [json.loads(line)["record"] for line in kept.stdout.splitlines()] == [
        read_record(Path("out") / name) for name in sorted(before)
    ]
    # A picture of anything else is painted again.
    changes = (["--seed", 1], ["--size", "64"], ["--spread", 2], ["--max-seconds", 7])
    for options in changes:
        done, _ = resume(*options)
        assert "skipped" not in done.stderr, options
    assert resume(bundle=write_fake_bundle(tmp_path / "other", seed=1))[0].stderr == ""
    shutil.copy(songs / "live" / "high.WAV", songs / "chord.wav")  # another song of the same name
    done, _ = resume(bundle=tmp_path / "other")
    *kept, skipped = done.stderr.splitlines()
    assert skipped == "clavilux: skipped 2 pictures that exist already"
    assert [line.partition(", because the file shows another sound")[0] for line in kept] == [
        f"clavilux: out/chord-{k}.png: was kept, and the picture is out/chord-{k}_2.png" for k in (1, 2)
    ]


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_picture_that_was_cut_off_is_painted_again_in_its_place(songs: Path, fake_bundle: Path, suffix: str) -> None:
    paint(songs / "chord.wav", "--format", suffix, bundle=fake_bundle)
    picture = Path(f"chord.{suffix}")
    before = picture.read_bytes()
    os.truncate(picture, len(before) * 3 // 4)
    done = paint(songs / "chord.wav", "--format", suffix, "--resume", bundle=fake_bundle)
    assert (done.exit_code, done.stderr, done.stdout) == (
        0,
        "",
        f"{songs / 'chord.wav'} -> {picture} (replaced)\n",
    )
    assert picture.read_bytes() == before


def test_a_picture_as_a_song_is_named_as_such(songs: Path, fake_bundle: Path) -> None:
    paint(songs / "chord.wav", bundle=fake_bundle)
    done = run("paint", "chord.png", "--bundle", fake_bundle)
    assert done.exit_code == 1
    assert done.stderr.startswith("clavilux: chord.png: is a picture, not sound;") and "--again" in done.stderr
    assert json.loads(run("explain", "chord.png", "--record").stdout) == read_record("chord.png")
    told = run("explain", "chord.png").stdout.splitlines()
    assert told[1].startswith("Abstract picture, ") and "seed: 0" in told
    assert not any(line.startswith("marks: ") for line in told), "a record must not choose the bundle"
    known = run("explain", "chord.png", "--bundle", fake_bundle)
    assert known.stderr == "" and [line for line in known.stdout.splitlines() if line.startswith("marks: ")]
    report = json.loads(paint(songs / "chord.wav", "--json", bundle=fake_bundle).stdout)
    assert all(colour["hex"] in known.stdout for colour in report["colours"])
    assert "is not a picture" in run("explain", songs / "chord.wav", "--record").stderr
    for arguments, reason in (
        (("chord.png", "--seed", "1"), "is a picture, which stores its seed"),
        (("chord.png", "-o", "card.html"), "explain chord.png SONG -o card.html"),
        ((songs / "chord.wav", songs / "chord.wav"), "is not a picture"),
    ):
        refused = run("explain", *arguments)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert reason in " ".join(refused.stderr.split())


def test_a_variation_that_was_chosen_is_kept(songs: Path, fake_bundle: Path) -> None:
    song, bundle = songs / "chord.wav", fake_bundle
    paint(song, "--count", 2, "-o", "var/", bundle=bundle)
    paint(song, "-o", "all/", "--folder-image", bundle=bundle)
    for target in ("all/chord.png", songs / "cover.jpg"):
        assert run("paint", "--again", "var/chord-2.png", "-o", target, "--bundle", bundle).exit_code == 0
    chosen = [Path("all/chord.png").read_bytes(), (songs / "cover.jpg").read_bytes()]
    for options in ((), ("--resume",), ("--warmth", "1")):
        done = paint(song, "-o", "all/", "--folder-image", *options, bundle=bundle)
        assert done.exit_code == 0, done.output
        assert "all/chord.png: shows variation 1 (picture 2 of --count), which was kept" in done.stderr
        assert [Path("all/chord.png").read_bytes(), (songs / "cover.jpg").read_bytes()] == chosen
    done = paint(song, "-o", "new/", "--folder-image", bundle=bundle)
    assert done.exit_code == 0 and "cover.jpg: shows variation 1 (picture 2 of --count), which was kept" in done.stderr
    assert (songs / "cover.jpg").read_bytes() == chosen[1] and read_record("new/chord.png")["variation"] == 0
    again = paint(song, "--count", 2, "-o", "var/", bundle=bundle)
    assert again.stdout.count(" (replaced)") == 2, "a variation under its own name is not one that was chosen"


def test_a_picture_that_was_edited_is_noticed(songs: Path, fake_bundle: Path) -> None:
    for name in ("a.png", "a.jpg", "a.webp"):
        quality = ("--quality", 5) if name == "a.jpg" else ()
        assert paint(songs / "chord.wav", "-o", name, *quality, bundle=fake_bundle).exit_code == 0
        kept = run("explain", name, "--bundle", fake_bundle)
        assert (kept.exit_code, kept.stderr) == (0, ""), name
    with Image.open("a.png") as image:
        exif = image.getexif()
        for name, edited in (("hole.png", image.copy()), ("cut.png", image.crop((0, 0, 96, 60)))):
            if name == "hole.png":
                edited.paste("lime", (10, 10, 40, 40))
            edited.save(name, exif=exif)
            told = run("explain", name, "--bundle", fake_bundle)
            assert told.exit_code == 0 and f"{name}: was edited after Clavilux painted it" in told.stderr


@pytest.mark.parametrize("change", [("--size", "128"), ("--warmth", "1"), ("--background", "transparent")])
def test_a_changed_main_picture_is_kept(songs: Path, fake_bundle: Path, change: tuple[str, str]) -> None:
    song, bundle = songs / "chord.wav", fake_bundle
    paint(song, "-o", "all/", bundle=bundle)
    for changes in (change, ()):  # a picture of a picture of --again counts too
        again = run("paint", "--again", "all/chord.png", *changes, "-o", "new.png", "--bundle", bundle)
        assert again.exit_code == 0, again.output
        Path("new.png").replace("all/chord.png")
    chosen = Path("all/chord.png").read_bytes()
    for options in ((), ("--resume",), ("--warmth", "-1")):
        done = paint(song, "-o", "all/", *options, bundle=bundle)
        assert (done.exit_code, Path("all/chord.png").read_bytes()) == (0, chosen)
        assert "all/chord.png: shows a picture of --again, which was kept; -o all/chord.png replaces it" in done.stderr
    assert paint(song, "-o", "all/chord.png", bundle=bundle).exit_code == 0
    assert Path("all/chord.png").read_bytes() != chosen, "the user gave its name"


def test_songs_of_several_folders_stay_apart(songs: Path, fake_bundle: Path) -> None:
    for disc in ("disc 1", "disc 2"):
        (songs / disc / "live").mkdir(parents=True)
        for folder in (songs / disc, songs / disc / "live"):
            Path(folder, "01.wav").write_bytes((songs / "chord.wav").read_bytes())
    done = paint(songs / "disc 1", songs / "disc 2", "-o", "art/{folder}/{name}.png", bundle=fake_bundle)
    assert done.exit_code == 0, done.output
    found = sorted(str(path) for path in Path("art").rglob("*.png"))
    assert found == [f"art/disc {disc}/{name}.png" for disc in (1, 2) for name in ("01", "live/01")]


def test_a_picture_by_another_painter_is_kept(songs: Path, fake_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as earlier:
        for module in ("record", "options", "pipeline"):
            earlier.setattr(f"clavilux.{module}.__version__", "0.1.0", raising=False)
        paint(songs / "chord.wav", bundle=fake_bundle)
    assert read_record("chord.png")["clavilux"] == "0.1.0"
    before = Path("chord.png").read_bytes()
    assert paint(songs / "chord.wav", bundle=fake_bundle).stdout.endswith(" -> chord_2.png\n")
    assert Path("chord.png").read_bytes() == before
    told = run("explain", "chord.png")
    assert told.exit_code == 0 and "Clavilux 0.1.0" in told.stdout


def test_what_is_not_a_picture_of_the_song_is_not_overwritten(songs: Path, fake_bundle: Path) -> None:
    Image.new("RGB", (8, 8)).save("chord.png")  # the cover of the album
    paint(songs / "live" / "high.WAV", "-o", "chord_2.png", bundle=fake_bundle)
    before = {name: Path(name).read_bytes() for name in ("chord.png", "chord_2.png")}
    done = paint(songs / "chord.wav", bundle=fake_bundle)
    assert done.stdout.endswith(" -> chord_3.png\n")
    assert {name: Path(name).read_bytes() for name in before} == before


def test_variations_are_numbered_and_the_first_is_the_songs_own(songs: Path, fake_bundle: Path) -> None:
    paint(songs / "chord.wav", bundle=fake_bundle)
    done = paint(songs / "chord.wav", "--count", 3, "-o", "pictures/", bundle=fake_bundle)
    assert done.exit_code == 0
    assert sorted(path.name for path in Path("pictures").iterdir()) == ["chord-1.png", "chord-2.png", "chord-3.png"]
    first, second, third = (pixels(f"pictures/chord-{number}.png") for number in (1, 2, 3))
    np.testing.assert_array_equal(first, pixels("chord.png"))
    assert (first != second).any() and (second != third).any()
    assert [read_record(f"pictures/chord-{number}.png")["variation"] for number in (1, 2, 3)] == [0, 1, 2]


def test_variations_of_a_named_picture_are_numbered() -> None:
    assert numbered(Path("a/b.jpg"), 1) == (Path("a/b.jpg"),)
    assert numbered(Path("a/b.jpg"), 2) == (Path("a/b-1.jpg"), Path("a/b-2.jpg"))


def test_a_folder_that_cannot_be_made_is_said(songs: Path, fake_bundle: Path) -> None:
    Path("file").touch()
    done = paint(songs, "-o", "file/below", bundle=fake_bundle)
    assert done.exit_code == 1
    assert done.stderr.startswith("clavilux: file/below: cannot be made a folder")


# What it says --------------------------------------------------------------------------------------------------------


def test_json_is_one_line_a_picture(songs: Path, fake_bundle: Path) -> None:
    done = paint(songs / "chord.wav", "--count", 2, "--json", bundle=fake_bundle)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert [report["picture"] for report in reports] == ["chord-1.png", "chord-2.png"]
    report = reports[0]
    assert report["record"] == read_record("chord-1.png")
    assert report["measured"]["duration_s"] == pytest.approx(12, abs=0.1)
    assert report["descriptors"]["tempo"] > 0
    assert len(report["controls"]["palette"]) == 8 and report["controls"]["palette"][0].startswith("#")
    marks = {"kind", "frequency", "angle", "chaos", "second_kind", "figure", "surface"}
    assert set(report["controls"]) == {"palette", *marks, *FINISH}
    assert report["z_image_norm"] > 0


def test_explain_says_what_was_heard_and_what_was_painted(songs: Path, fake_bundle: Path) -> None:
    done = paint(songs / "chord.wav", "--explain", bundle=fake_bundle)
    report = json.loads(paint(songs / "chord.wav", "--json", bundle=fake_bundle).stdout)
    assert "measured:\n0:12" in done.stdout
    text = " ".join(done.stdout.split())
    for colour in report["colours"]:
        assert colour["hex"] in text
    assert f"marks: {report['controls']['kind']}" in text
    assert report["description"] in text
    assert report["mapped_descriptors"] == ["tempo", "loudness"]
    assert " tempo: about " in text and " loudness: " in text and "not used for the picture: key " in text
    assert len(report["descriptors"]) > 10 and "flux" in report["descriptors"]  # the values are in the JSON


def test_descriptions_are_printed_also_of_pictures_that_are_kept(songs: Path, fake_bundle: Path) -> None:
    for options, status in (((), ""), (("--resume",), " (kept)")):
        done = paint(songs / "chord.wav", "--describe", *options, bundle=fake_bundle)
        line, description = done.stdout.splitlines()
        assert line.endswith(f"-> chord.png{status}") and description == read_description(Path("chord.png"))
    done = paint(songs / "chord.wav", "--describe", "--json", bundle=fake_bundle)
    assert done.exit_code == 2 and "Give --describe or --json, not both" in done.output
    done = run("explain", songs)
    assert done.exit_code == 2 and f"clavilux paint {songs} --describe" in done.output


def test_variations_are_explained_without_repeating_the_song(songs: Path, fake_bundle: Path) -> None:
    done = paint(songs / "chord.wav", "--explain", "--count", 3, bundle=fake_bundle)
    assert [done.stdout.count(title) for title in ("measured:", "painted:", "Variation 2 (picture 3")] == [1, 3, 1]


def test_a_chosen_picture_that_is_kept_is_explained(songs: Path, fake_bundle: Path) -> None:
    assert paint(songs / "chord.wav", bundle=fake_bundle).exit_code == 0
    again = ("--again", "chord.png", "-o", "chord.png", "--warmth", 1)
    assert run("paint", *again, "--bundle", fake_bundle).exit_code == 0
    done = paint(songs / "chord.wav", "--explain", bundle=fake_bundle)
    assert done.exit_code == 0 and "Steered: warmth 1" in done.stdout
    assert read_description(Path("chord.png")) in done.stdout


def test_a_failed_song_has_a_line_of_json(songs: Path, fake_bundle: Path) -> None:
    (songs / "broken.mp3").write_bytes(b"no sound")
    done = paint(songs / "broken.mp3", songs / "chord.wav", "--json", bundle=fake_bundle)
    failed, painted = map(json.loads, done.stdout.splitlines())
    assert failed["song"].endswith("broken.mp3") and failed["status"] == "failed"
    assert done.stderr == f"clavilux: {failed['error']}\n" and painted["status"] == "painted"


def test_a_silent_song_says_so(songs: Path, fake_bundle: Path) -> None:
    write_wave(songs / "silence.wav", np.zeros(22_050 * 6, np.float32))
    done = paint(songs / "silence.wav", "--explain", bundle=fake_bundle)
    assert done.exit_code == 0
    assert "silent throughout" in done.stdout


def test_verbose_logs_the_ranges_of_features_and_latents(songs: Path, fake_bundle: Path) -> None:
    quiet, verbose = (paint(songs / "chord.wav", *options, bundle=fake_bundle) for options in ([], ["-v"]))
    assert "z_image" not in quiet.stderr
    assert "chord.wav: 3 windows, 3 audible" in verbose.stderr
    for name in ("window means", "window deviations", "z_audio", "z_image"):
        assert f"range of {name} [" in verbose.stderr
    assert verbose.stdout.replace(" (replaced)", "") == quiet.stdout


# Feature files -------------------------------------------------------------------------------------------------------


@pytest.fixture
def features(songs: Path) -> Path:
    folder = songs.parent / "features"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        np.save(folder / f"track{number}.npy", rng.normal(0, 20 + number, (4, 20, 216)).astype(np.float32))
    return folder


def test_ten_clips_at_random_as_the_first_version_did(features: Path, fake_bundle: Path) -> None:
    done = paint("--random", 10, features, "-v", bundle=fake_bundle)
    assert done.exit_code == 0, done.output
    names = {path.name for path in Path("generated_images").iterdir()}
    assert names == {f"generated_image_{number}.png" for number in range(1, 11)}
    assert "chosen: track" in done.stderr
    assert done.stderr.count("range of z_image [") == 10
    clips = {
        (record["song"]["sha256"], record["options"]["clip"])
        for record in (read_record(Path("generated_images") / name) for name in names)
    }
    assert len(clips) == 10


@pytest.mark.parametrize("command", ["paint", "explain", "controls"])
def test_every_command_says_the_same_of_another_seed(command: str) -> None:
    text = " ".join(run(command, "--help").stdout.split())
    assert f"Random seed: another number {SEED_MOVES}" in text


def test_the_seed_chooses_the_clips(features: Path, fake_bundle: Path) -> None:
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert paint("--random", 3, features, "--seed", seed, "-o", folder, bundle=fake_bundle).exit_code == 0
    records = {
        folder: [read_record(Path(folder) / f"generated_image_{number}.png")["song"] for number in (1, 2, 3)]
        for folder in "abc"
    }
    assert records["a"] == records["b"] != records["c"]


def test_a_broken_feature_file_is_named_and_the_rest_is_painted(features: Path, fake_bundle: Path) -> None:
    (features / "broken.npy").write_bytes(b"x")
    done = paint("--random", 2, features, bundle=fake_bundle)
    assert done.exit_code == 1
    assert "broken.npy: is not a feature file" in done.stderr
    assert len(list(Path("generated_images").iterdir())) == 2


def test_more_clips_than_there_are_is_said(features: Path, fake_bundle: Path) -> None:
    done = paint("--random", 17, features, bundle=fake_bundle)
    assert done.exit_code == 1
    assert f"{features}: has 16 clips in 4 feature files (.npy); 17 were asked for: ask for fewer" in done.stderr


def test_a_folder_of_songs_for_random_clips_gets_a_hint(songs: Path, fake_bundle: Path) -> None:
    done = paint("--random", 2, songs, bundle=fake_bundle)
    assert done.exit_code == 1
    assert "has no feature files (.npy)" in done.stderr and "`clavilux features SONGS -o DIR`" in done.stderr


def test_the_clip_of_a_picture_is_printed(features: Path, fake_bundle: Path) -> None:
    done = paint("--random", 2, features, bundle=fake_bundle)
    for number, line in enumerate(done.stdout.splitlines(), 1):
        record = read_record(Path(f"generated_images/generated_image_{number}.png"))
        name = record["song"]["name"].replace(",", ".npy,")
        assert line == f"{features}/{name} -> generated_images/generated_image_{number}.png"
    assert number == 2


def test_feature_files_are_painted_and_the_lack_of_descriptors_is_said_once(features: Path, fake_bundle: Path) -> None:
    done = paint(features, bundle=fake_bundle)
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 4
    assert done.stderr.startswith(f"clavilux: {features}/") and done.stderr.endswith(f".npy: {NO_DESCRIPTORS}\n")
    assert done.stderr.count("\n") == 1


def test_a_clip_is_painted_again(features: Path, fake_bundle: Path) -> None:
    paint("--random", 1, features, bundle=fake_bundle)
    picture = Path("generated_images/generated_image_1.png")
    name = read_record(picture)["song"]["name"].partition(",")[0]
    done = run("paint", "--again", picture, features / f"{name}.npy", "--bundle", fake_bundle)
    assert done.exit_code == 0, done.output
    assert Path("generated_image_1-again.png").read_bytes() == picture.read_bytes()


# Again ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "webp", "jpg"])
def test_a_picture_is_painted_again_to_the_byte(songs: Path, fake_bundle: Path, suffix: str) -> None:
    paint(songs / "chord.wav", "-o", f"a.{suffix}", "--seed", 4, "--max-seconds", 7, bundle=fake_bundle)
    done = run("paint", "--again", f"a.{suffix}", songs / "chord.wav", "--bundle", fake_bundle)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"a.{suffix} -> a-again.{suffix}\n"
    assert Path(f"a-again.{suffix}").read_bytes() == Path(f"a.{suffix}").read_bytes()


def test_a_variation_is_painted_again_larger(songs: Path, fake_bundle: Path) -> None:
    paint(songs / "chord.wav", "--count", 2, "--spread", 0.5, bundle=fake_bundle)
    arguments = [
        "--again",
        "chord-2.png",
        songs / "chord.wav",
        "--bundle",
        fake_bundle,
        "--size",
        "200x100",
        "-o",
        "b.webp",
    ]
    assert run("paint", *arguments).exit_code == 0
    assert pixels("b.webp").shape == (100, 200, 3)
    assert {**read_record("b.webp"), "size": [96, 96]} == {**read_record("chord-2.png"), "again": True}


def test_the_wrong_song_and_the_wrong_bundle_are_refused(songs: Path, fake_bundle: Path, tmp_path: Path) -> None:
    paint(songs / "chord.wav", bundle=fake_bundle)
    other = write_fake_bundle(tmp_path / "other", seed=1)
    wrong_song = run("paint", "--again", "chord.png", songs / "live" / "high.WAV", "--bundle", fake_bundle)
    wrong_bundle = run("paint", "--again", "chord.png", songs / "chord.wav", "--bundle", other)
    unknown_bundle = run("paint", "--again", "chord.png", songs / "chord.wav")
    for done, reason in (
        (wrong_song, "is not the song of the picture"),
        (wrong_bundle, "was painted with bundle 'fake'"),
        (
            unknown_bundle,
            "chord.png: was painted with bundle 'fake', which does not ship; give its folder with --bundle",
        ),
    ):
        assert done.exit_code == 1
        assert len(done.stderr.splitlines()) == 1 and reason in done.stderr
    assert not Path("chord-again.png").exists()


def test_a_picture_without_record_is_refused(songs: Path, fake_bundle: Path) -> None:
    Image.new("RGB", (8, 8)).save("plain.png")
    done = run("paint", "--again", "plain.png", songs / "chord.wav", "--bundle", fake_bundle)
    assert done.exit_code == 1
    assert done.stderr.startswith("clavilux: plain.png: carries no record of Clavilux")


# Wrong usage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "Give songs or folders: clavilux paint song.mp3 clavilux paint album/"),
        (["SONG", "--alt-file", "alt.txt"], "--alt-file takes no name"),
        (
            ["SONG", "--size", "big"],
            "size is 'big'; write 1024, 3000x2000 or, with a unit (mm, cm or in), 600x600mm@300",
        ),
        (["SONG", "--size", "20"], "each side between 64 and 8192"),
        (["SONG", "--size", "100x9000"], "each side between 64 and 8192"),
        (["SONG", "--seed", "-1"], "--seed"),
        (["SONG", "--count", "0"], "--count"),
        (
            ["SONG", "-o", "a.gif"],
            ".png, .jpg, .jpeg, .webp, .tif, .tiff, .avif, .svg, .pdf; add a /",
        ),
        (["FOLDER", "-o", "a.png"], "is one picture, and there are 2 songs"),
        (["SONG", "--json", "--explain"], "not both"),
        (["FOLDER", "--random", "2", "--count", "2"], "--random needs exactly one folder"),
        (["SONG", "SONG", "--random", "2"], "--random needs exactly one folder"),
        (["SONG", "--again", "a.png", "--seed", "1"], "--seed cannot be given with --again"),
        (["--again", "a.png", "--count", "2", "--jobs", "2"], "--count and --jobs cannot be given with --again"),
        (["SONG", "--lightnes", "1"], "Did you mean '--lightness'?"),
        (["SONG", "SONG", "--again", "a.png"], "at most one SONG"),
        (["SONG", "--again", "a.png", "-o", "again.mp3"], "a picture ends in"),
        (["--again", "a.png", "-o", "{name}.png"], "without fields in braces"),
        (["--again", "a.png", "--folder-image"], "-o ALBUM/cover.jpg"),
        (["SONG", "--unknown"], "No such option"),
    ],
)
def test_wrong_usage_ends_with_2(songs: Path, fake_bundle: Path, arguments: list[str], reason: str) -> None:
    places = {"SONG": str(songs / "chord.wav"), "FOLDER": str(songs)}
    done = run("paint", *(places.get(argument, argument) for argument in arguments), "--bundle", fake_bundle)
    assert done.exit_code == 2, done.output
    assert reason in " ".join(done.stderr.split())


@pytest.mark.torch
@pytest.mark.parametrize("jobs", ["0", "-1"])
@pytest.mark.parametrize(
    "command",
    [
        ["paint", "SONG"],
        ["features", "FOLDER", "-o", "out"],
        ["study", "make", "FOLDER", "-o", "out"],
        ["evaluate", "--music", "FOLDER", "--art", "FOLDER"],
        ["train", "all"],
        ["train", "mapping"],
    ],
)
def test_jobs_below_1_are_wrong_usage(songs: Path, command: list[str], jobs: str) -> None:
    places = {"SONG": str(songs / "chord.wav"), "FOLDER": str(songs)}
    done = run(*(places.get(word, word) for word in command), "--jobs", jobs)
    assert (done.exit_code, "--jobs" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("albums/", "albums: there is no such folder"),
        ("Vol. 2 live", "Vol. 2 live: there is no such folder"),
        ("list.m3u", "list.m3u: is a playlist; give the songs or their folder"),
        ("song.mp3", "song.mp3: cannot be opened (No such file or directory); give the path of a sound file"),
    ],
)
def test_what_is_missing_is_called_what_it_is(fake_bundle: Path, path: str, fault: str) -> None:
    done = run("paint", path, "--bundle", fake_bundle)
    assert done.exit_code == 1 and done.stderr.startswith(f"clavilux: {fault}")


# Bundles -------------------------------------------------------------------------------------------------------------


def test_bundle_show(fake_bundle: Path) -> None:
    done = run("bundle", "show", "--bundle", fake_bundle)
    assert done.exit_code == 0
    for text in ("fake", "facets, stripes", "tempo, loudness", "corpus.songs = 0", "audio_encoder.onnx"):
        assert text in done.stdout
    card = json.loads(run("bundle", "show", "--json", "--bundle", fake_bundle).stdout)
    assert card == json.loads((fake_bundle / "bundle.json").read_text())


def test_bundle_verify(fake_bundle: Path, tmp_path: Path) -> None:
    done = run("bundle", "verify", "--bundle", fake_bundle)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "fake: 6 files" in done.stdout
    damaged = write_fake_bundle(tmp_path / "damaged")
    (damaged / "image_vae.safetensors").write_bytes(b"")
    done = run("bundle", "verify", "--bundle", damaged)
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert "is damaged: image_vae.safetensors (0 bytes)" in done.stderr


def test_a_damaged_network_is_said_once_for_all_songs(songs: Path, tmp_path: Path) -> None:
    damaged = write_fake_bundle(tmp_path / "damaged")
    (damaged / "controls.onnx").write_bytes(b"")
    done = paint(songs, bundle=damaged)
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert "is damaged: controls.onnx" in done.stderr


def test_a_bundle_of_another_schema_is_said_once_for_all_songs(songs: Path, tmp_path: Path) -> None:
    damaged = write_fake_bundle(tmp_path / "damaged", schema=9)
    done = paint(songs, bundle=damaged)
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert "has schema 9" in done.stderr


# marks -------------------------------------------------------------------------------------------------------------


def test_a_sheet_of_marks_has_two_tiles_of_each_kind_figure_and_surface(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clavilux.constants import FIGURE_NAMES, SURFACE_NAMES
    from clavilux.painter.marks import KINDS, sheet

    asked = []

    def quick(controls: Any, *, width: int, height: int, seed: int) -> Any:
        asked.append(controls)
        return np.full((height, width, 3), 100, np.uint8)

    monkeypatch.setattr(sheet, "paint", quick)
    done = run("marks", "-o", tmp_path / "sheet.jpg")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == f"-> {tmp_path / 'sheet.jpg'}"
    names = run("marks", "--list").stdout
    assert done.stdout.startswith(names) and not Path("marks.png").exists()
    assert f"--marks: {', '.join(KINDS)}\n" in names and "--surface: gouache" in names and "pharaoh" in names
    with Image.open(tmp_path / "sheet.jpg") as image:
        assert image.format == "JPEG"
        assert image.width > 1_000
    assert [controls.kind for controls in asked[: 2 * len(KINDS) : 2]] == list(KINDS)
    rest = asked[2 * len(KINDS) :: 2]
    assert [controls.figure for controls in rest if controls.figure != "auto"] == list(FIGURE_NAMES[2:])
    assert [controls.surface for controls in rest[len(FIGURE_NAMES) - 2 :]] == list(SURFACE_NAMES)


@pytest.mark.parametrize(("name", "message"), [("a.gif", "pictures are written as .png"), ("a.png", "exists; remove")])
def test_a_sheet_of_marks_is_not_painted_for_nothing(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "a.png").write_text("mine")
    done = run("marks", "-o", tmp_path / name)
    assert done.exit_code == 1
    assert message in done.stderr and len(done.stderr.splitlines()) == 1
    assert (tmp_path / "a.png").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("command", "option"), [("paint", "--noise-std"), ("paint", "--logvar-scale"), ("evaluate", "--max-seconds")]
)
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_numbers_of_options_are_finite(command: str, option: str, value: str) -> None:
    done = run(command, option, value, *(["song.wav"] if command == "paint" else []))
    assert done.exit_code == 2
    assert "not a finite number" in done.stderr
