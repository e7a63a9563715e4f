"""A picture is painted again from the record inside it, without its song; a song is compared by its sound."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import sounds
from click.testing import CliRunner, Result
from PIL import Image, features

import clavilux as clavilux_package
from clavilux.cli import cli
from clavilux.errors import PictureError
from clavilux.options import PaintOptions
from clavilux.picture_file import read_record
from clavilux.pipeline import Clavilux
from clavilux.record import make_record, parse_record

SUFFIXES = ["png", "jpg", "webp", "tif", *(["avif"] if features.check("avif") else [])]


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sounds.write_sound(tmp_path_factory.mktemp("songs") / "song.flac", sounds.song(8.0))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="clavilux")


def with_tags(song: Path, target: Path) -> Path:
    """The same sound in a file with other bytes."""
    sound, rate = soundfile.read(song, dtype="int16")
    with soundfile.SoundFile(target, "w", rate, 1, "PCM_16") as file:
        file.title = "Another title"
        file.write(sound)
    assert target.read_bytes() != song.read_bytes()
    return target


def without_latent(record: dict[str, Any]) -> dict[str, Any]:
    """The record as earlier versions wrote it."""
    song = {key: record["song"][key] for key in ("name", "sha256", "silent")}
    return {**{key: value for key, value in record.items() if key not in ("z_image", "dpi")}, "song": song}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_picture_is_painted_again_without_its_song(
    fake_bundle: Path, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("--bundle", fake_bundle, "--size", "96x64", "--seed", "3", "--count", "2", "--noise-std", "0.2")
    assert run("paint", song, "-o", f"a.{suffix}", *options).exit_code == 0
    again = run("paint", "--again", f"a-2.{suffix}", "--bundle", fake_bundle)
    assert (again.exit_code, again.stderr, again.stdout) == (0, "", f"a-2.{suffix} -> a-2-again.{suffix}\n")
    assert Path(f"a-2-again.{suffix}").read_bytes() == Path(f"a-2.{suffix}").read_bytes()
    larger = run("paint", "--again", f"a-2.{suffix}", "--bundle", fake_bundle, "--size", "300", "-o", "b.png")
    assert larger.exit_code == 0
    assert {**read_record("b.png"), "size": [96, 64]} == {**read_record(f"a-2.{suffix}"), "again": True}
    with Image.open("b.png") as image:
        assert image.size == (300, 300)
    for _ in range(2):  # into a folder, it has the same name, and replaces only a picture of the same song
        done = run("paint", "--again", f"a-2.{suffix}", "--bundle", fake_bundle, "-o", "large/")
        assert done.exit_code == 0 and [path.name for path in Path("large").iterdir()] == [f"a-2.{suffix}"], done.output


def test_a_latent_in_a_record_is_the_same_float32(fake_bundle: Path) -> None:
    latent = np.random.default_rng(0).standard_normal(64).astype(np.float32)
    latent[:4] = [1e-30, -0.1, 1 / 3, 12345.678]
    record = make_record(Clavilux(fake_bundle).bundle, PaintOptions(noise_std=0.0, logvar_scale=0.0), {}, latent)
    read = np.asarray(json.loads(json.dumps(record["z_image"])), np.float32)
    np.testing.assert_array_equal(read, latent)


def test_a_song_with_other_tags_is_the_song(fake_bundle: Path, song: Path, tmp_path: Path) -> None:
    clavilux = Clavilux(fake_bundle)
    picture = clavilux.paint(song, size=64, variation=1)
    tagged = with_tags(song, tmp_path / "tagged.flac")
    again = clavilux.repaint(picture.record, tagged)
    np.testing.assert_array_equal(again.pixels, picture.pixels)
    assert again.record["song"]["sha256"] == hashlib.sha256(tagged.read_bytes()).hexdigest()
    assert again.record["song"]["sound_sha256"] == picture.record["song"]["sound_sha256"]
    np.testing.assert_array_equal(clavilux.paint(tagged, size=64, variation=1).pixels, picture.pixels)


def test_a_song_that_sounds_different_is_not(fake_bundle: Path, song: Path, tmp_path: Path) -> None:
    clavilux = Clavilux(fake_bundle)
    record = clavilux.paint(song, size=64).record
    other = sounds.write_sound(tmp_path / "song.flac", sounds.song(8.0, seed=5))
    with pytest.raises(PictureError, match=r"sounds different; give that song, or none, because the record has all"):
        clavilux.repaint(record, other)


def test_a_record_without_a_latent_is_incomplete(fake_bundle: Path, song: Path) -> None:
    clavilux = Clavilux(fake_bundle)
    record = without_latent(clavilux.paint(song, size=64).record)
    with pytest.raises(PictureError, match=r"record of the picture is incomplete.*z_image"):
        clavilux.repaint(record, song)


def test_pictures_of_the_version_before_are_named_in_one_line(fake_bundle: Path, song: Path, tmp_path: Path) -> None:
    clavilux = Clavilux(fake_bundle)
    picture = clavilux.paint(song, size=64)
    for number, of in enumerate((picture, clavilux_package.paint(picture.controls, size=64))):
        old = dataclasses.replace(of, record={**of.record, "clavilux": "0.1.0"})
        old.save(tmp_path / f"{number}.png")
        done = run("paint", "--again", tmp_path / f"{number}.png", "-o", tmp_path / "new.png")
        assert done.exit_code == 1 and len(done.stderr.splitlines()) == 1
        assert "painted by Clavilux 0.1.0, whose painter differs" in done.stderr
        assert "install that version" in done.stderr and "CHANGELOG.md" in done.stderr
        assert run("controls", tmp_path / f"{number}.png").stderr == done.stderr


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([1.0] * 63, r"shape \(64\)"),
        ("x", "z_image is 'x'"),
        ([float("nan")] * 64, "must be an array of finite numbers"),
        ([1e7] * 64, r"z_image has numbers beyond 1e\+06"),
    ],
)
def test_a_latent_that_is_none_is_refused(fake_bundle: Path, song: Path, value: Any, reason: str) -> None:
    clavilux = Clavilux(fake_bundle)
    record = {**clavilux.paint(song, size=64).record, "z_image": value}
    with pytest.raises(PictureError, match=f"record of the picture is incomplete.*{reason}"):
        clavilux.repaint(record)


def test_only_known_entries_of_a_song_are_kept(fake_bundle: Path, song: Path) -> None:
    clavilux = Clavilux(fake_bundle)
    record = clavilux.paint(song, size=64).record
    record["song"] |= {"more": "x" * 100_000, "silent": 1}
    assert set(parse_record(record).song) == {"name", "sha256", "sound_sha256", "silent", "duration_s"}
    assert "more" not in clavilux.repaint(record).record["song"]


def test_the_hash_of_the_sound_is_that_of_the_audible_windows(fake_bundle: Path, song: Path, tmp_path: Path) -> None:
    clavilux = Clavilux(fake_bundle)
    read = clavilux.read_song(song)
    np.save(tmp_path / "song.npy", read.windows)
    of_features = clavilux.read_song(tmp_path / "song.npy")
    assert read.sound_sha256 == of_features.sound_sha256 != read.sha256
    half = dataclasses.replace(read, audible=np.array([True, *[False] * (len(read.windows) - 1)]))
    assert half.sound_sha256 == clavilux.read_song(tmp_path / "song.npy", clip=0).sound_sha256


def test_a_picture_of_a_song_whose_tags_changed_is_replaced(
    fake_bundle: Path, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(song, "song.flac")
    options = ("--bundle", fake_bundle, "--size", "64")
    assert run("paint", "song.flac", *options).stdout == "song.flac -> song.png\n"
    with_tags(song, Path("song.flac"))
    assert run("paint", "song.flac", *options).stdout == "song.flac -> song.png (replaced)\n"
    sounds.write_sound(Path("song.flac"), sounds.song(8.0, seed=5))  # another song
    assert run("paint", "song.flac", *options).stdout == "song.flac -> song_2.png\n"


def test_warnings_about_the_song_are_printed_once(
    fake_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sounds.write_sound(Path("song.flac"), sounds.silence(6.0))
    options = ("--bundle", fake_bundle)
    lines = [run("paint", "song.flac", "--size", "64", *options).stderr]
    lines.append(run("paint", "--again", "song.png", "song.flac", *options).stderr)
    assert lines == ["clavilux: song.flac: it is silent: no window reaches -60 dB of full scale\n"] * 2


def test_explain_and_json_work_without_the_song(
    fake_bundle: Path, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("paint", song, "-o", "a.png", "--bundle", fake_bundle, "--size", "64").exit_code == 0
    explained = run("paint", "--again", "a.png", "--bundle", fake_bundle, "--explain")
    assert "nothing: painted from the record of a picture" in explained.stdout
    report = json.loads(run("paint", "--again", "a.png", "--bundle", fake_bundle, "--json").stdout)
    assert report["measured"] is None and report["descriptors"] == {} and report["song"] == "song"
