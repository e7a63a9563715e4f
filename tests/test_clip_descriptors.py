"""Feature files find their descriptors in the table beside them, so that they give the picture of their song."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import sounds
from click.testing import CliRunner, Result

from clavilux.audio.clips import NO_DESCRIPTORS
from clavilux.audio.feature_files import write_features
from clavilux.cli import cli
from clavilux.pipeline import Clavilux


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two songs, one in a folder below, and the features of both."""
    place = tmp_path_factory.mktemp("place")
    (place / "music" / "live").mkdir(parents=True)
    quiet = np.concatenate([sounds.silence(6.0), sounds.song(7.0, seed=1)])
    sounds.write_sound(place / "music" / "one.flac", quiet)
    sounds.write_sound(place / "music" / "live" / "two.flac", sounds.song(12.0, seed=2))
    write_features(place / "music", place / "features", jobs=1)
    return place


@pytest.fixture
def features(measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the features, in the current directory."""
    shutil.copytree(measured / "features", tmp_path / "features")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "features"


@pytest.fixture(scope="module")
def clavilux(fake_bundle: Path) -> Clavilux:
    return Clavilux(fake_bundle)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="clavilux")


@pytest.mark.parametrize("name", ["one", "live/two"])
def test_a_song_and_its_features_give_the_same_picture(
    clavilux: Clavilux, measured: Path, features: Path, name: str
) -> None:
    own = clavilux.paint(measured / "music" / f"{name}.flac", size=64, variation=1)
    again = clavilux.paint(features / f"{name}.npy", size=64, variation=1)
    assert again.song.warnings == ()
    assert again.song.descriptors == own.song.descriptors  # all digits
    assert again.song.duration_s == pytest.approx(own.song.duration_s, abs=1e-3)
    np.testing.assert_array_equal(again.z_image, own.z_image)
    np.testing.assert_array_equal(again.pixels, own.pixels)
    repainted = clavilux.repaint(own.record, features / f"{name}.npy")
    np.testing.assert_array_equal(repainted.pixels, own.pixels)


def test_with_the_shipped_bundle_too(measured: Path, tmp_path: Path) -> None:
    clavilux = Clavilux()
    features = tmp_path / "features"
    assert run("features", measured / "music", "-o", features, "--jobs", 1).exit_code == 0
    np.testing.assert_array_equal(
        clavilux.z_image(features / "one.npy"), clavilux.z_image(measured / "music" / "one.flac")
    )


def test_a_clip_has_the_descriptors_of_its_song(clavilux: Clavilux, features: Path) -> None:
    song = clavilux.read_song(features / "live" / "two.npy", clip=1)
    assert song.descriptors == clavilux.read_song(features / "live" / "two.npy").descriptors
    assert song.duration_s == 5.0


def test_a_relative_path_finds_the_table(clavilux: Clavilux, features: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(features / "live")
    assert clavilux.read_song("two.npy").descriptors
    assert clavilux.read_song("../one.npy").descriptors


@pytest.mark.parametrize("damage", ["missing", "no row", "other columns", "binary", "folder"])
def test_without_a_row_the_means_are_used_with_a_warning(clavilux: Clavilux, features: Path, damage: str) -> None:
    table = features / "descriptors.csv"
    header, *rows = table.read_text().splitlines()
    table.unlink()
    if damage == "no row":
        table.write_text("\n".join([header, *(row for row in rows if "one" not in row)]))
    elif damage == "other columns":
        table.write_text("a,b\n1,2\n")
    elif damage == "binary":
        table.write_bytes(bytes(range(256)))
    elif damage == "folder":
        table.mkdir()
    song = clavilux.read_song(features / "one.npy")
    assert (song.descriptors, song.warnings) == ({}, (NO_DESCRIPTORS,))


@pytest.mark.parametrize(
    ("old", "new", "reason"), [("version", "0.0", "of another version"), ("tempo", "x", "incomplete")]
)
def test_a_row_that_does_not_fit_is_named(clavilux: Clavilux, features: Path, old: str, new: str, reason: str) -> None:
    table = features / "descriptors.csv"
    header, *rows = [line.split(",") for line in table.read_text().splitlines()]
    for row in rows:
        row[header.index(old)] = new
    table.write_text("\n".join(",".join(line) for line in [header, *rows]))
    song = clavilux.read_song(features / "one.npy")
    assert song.descriptors == {} and song.warnings[0] == NO_DESCRIPTORS
    assert reason in song.warnings[1] and "run `clavilux features` again for the bundle" in song.warnings[1]


def test_the_command_warns_once_and_only_where_descriptors_are_missing(features: Path, fake_bundle: Path) -> None:
    options = ("--bundle", fake_bundle, "--size", "64", "--jobs", "1")
    assert run("paint", features, "-o", "a/", *options).stderr == ""
    (features / "descriptors.csv").unlink()
    done = run("paint", features, "-o", "b/", *options)
    assert done.exit_code == 0 and done.stderr.startswith(f"clavilux: {features}/")
    assert done.stderr.endswith(f".npy: {NO_DESCRIPTORS}\n") and done.stderr.count("\n") == 1


def test_a_bundle_without_descriptors_misses_none(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((1, 20, 216), np.float32))
    assert NO_DESCRIPTORS not in Clavilux("classic").read_song(tmp_path / "a.npy").warnings


def test_random_clips_of_another_bundle_are_refused_once(tmp_path: Path) -> None:
    np.save(tmp_path / "old.npy", np.zeros((5, 20, 216), np.float32))  # as librosa makes them by default
    done = run("paint", "--random", 3, tmp_path)
    assert done.exit_code == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(
        f"clavilux: {tmp_path}: its features do not fit bundle default; they are of Clavilux 0.1"
    )
    assert "(11025 Hz" in done.stderr
    assert "--bundle classic" in done.stderr and "clavilux features MUSIC -o DIR --bundle default" in done.stderr
