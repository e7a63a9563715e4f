"""Pictures as covers in the tags of songs; mutagen is the extra ``tags``."""

from __future__ import annotations

import io
import os
import stat
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image
from test_names import write_tagged

from clavilux.audio.covers import embed_cover
from clavilux.audio.decode import read_blocks
from clavilux.cli import cli
from clavilux.errors import AudioError
from clavilux.picture_file import read_record
from clavilux.system.extras import install_command

mutagen = pytest.importorskip("mutagen", reason="needs the extra tags")

SUFFIXES = ["mp3", "flac", "m4a", "ogg", "opus"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="clavilux")


def paint(*arguments: object, bundle: Path) -> Result:
    return run("paint", *arguments, "--bundle", bundle, "--size", "96", "--jobs", "1")


def sound_of(path: Path) -> NDArray[np.float32]:
    return np.concatenate(list(read_blocks(path)))


def covers_of(path: Path) -> list[bytes]:
    """Front covers as another program reads them."""
    import av

    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size] if container.streams.video else []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_cover_is_in_the_tags_and_the_sound_is_unchanged(fake_bundle: Path, suffix: str) -> None:
    song = write_tagged(Path(f"song.{suffix}"), title="Title", artist="Artist")
    before, inode = sound_of(song), song.stat().st_ino
    done = paint(song, "--embed", "-o", "a.png", bundle=fake_bundle)
    assert (done.exit_code, done.stderr) == (0, "")
    np.testing.assert_array_equal(sound_of(song), before)
    assert song.stat().st_ino != inode  # replaced as a whole
    assert sorted(path.name for path in Path().iterdir()) == ["a.png", song.name]
    (cover,) = covers_of(song)
    Path("cover.jpg").write_bytes(cover)
    with Image.open(io.BytesIO(cover)) as image, Image.open("a.png") as picture:
        assert (image.format, image.size) == ("JPEG", (96, 96))
        assert np.abs(np.asarray(image).astype(int) - np.asarray(picture)).mean() < 4
    assert read_record("cover.jpg")["z_image"] == read_record("a.png")["z_image"]
    tags = mutagen.File(song, easy=True)
    assert (tags["title"], tags["artist"]) == (["Title"], ["Artist"])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_cover_of_ours_is_replaced_and_the_pictures_stay_the_same(fake_bundle: Path, suffix: str) -> None:
    song = write_tagged(Path(f"song.{suffix}"))
    paint(song, "--embed", "-o", "out/", "--count", 2, bundle=fake_bundle)
    first = [Path(f"out/song-{number}.png").read_bytes() for number in (1, 2)]
    with Image.open("out/song-2.png") as image:
        second_pixels = np.asarray(image)
    done = paint(song, "--embed", "-o", "out/", "--count", 2, "--seed", 1, bundle=fake_bundle)
    assert (done.exit_code, done.stderr) == (0, "")
    assert len(covers_of(song)) == 1
    done = paint(song, "-o", "out/", "--count", 2, bundle=fake_bundle)
    assert sorted(path.name for path in Path("out").iterdir()) == ["song-1.png", "song-2.png"]
    with Image.open("out/song-2.png") as image:
        np.testing.assert_array_equal(np.asarray(image), second_pixels)  # variations depend on the sound, not on tags
    assert len(first) == 2
    kept = paint(song, "-o", "out/", "--count", 2, "--resume", bundle=fake_bundle)
    assert kept.stderr == "clavilux: skipped 2 pictures that exist already\n"


def test_the_record_has_the_hash_of_the_file_with_its_cover(fake_bundle: Path) -> None:
    song = write_tagged(Path("song.flac"))
    paint(song, "--embed", "--count", 2, bundle=fake_bundle)
    kept = paint(song, "--count", 2, "--resume", bundle=fake_bundle)
    assert kept.stderr == "clavilux: skipped 2 pictures that exist already\n"


def test_resume_writes_what_is_missing_beside_pictures(fake_bundle: Path) -> None:
    song = write_tagged(Path("song.flac"))
    beside = ("--resume", "--count", 2, "--embed", "--folder-image", "--alt-file")
    paint(song, "--count", 2, bundle=fake_bundle)
    first = paint(song, *beside, bundle=fake_bundle)
    assert (first.exit_code, first.stderr) == (0, "")
    assert len(covers_of(song)) == 1
    names = ("cover.jpg", "song-1.txt", "song-2.txt")
    before = {name: Path(name).read_bytes() for name in names}
    kept = paint(song, *beside, bundle=fake_bundle)
    assert kept.stderr == "clavilux: skipped 2 pictures that exist already\n"
    for name in names:
        Path(name).unlink()
        again = paint(song, *beside, bundle=fake_bundle)
        assert again.exit_code == 0 and {name: Path(name).read_bytes() for name in names}.keys() == before.keys()
    assert Path("song-1.txt").read_bytes() == before["song-1.txt"]
    assert read_record("cover.jpg")["song"] == read_record("song-1.png")["song"]


def test_resume_skips_a_song_that_takes_no_cover_and_says_so(fake_bundle: Path) -> None:
    song = write_tagged(Path("song.flac"), title="T")
    put_cover(song)
    Image.new("RGB", (8, 8)).save("cover.jpg")
    runs = [paint(song, "--resume", "--embed", "--folder-image", bundle=fake_bundle) for _ in range(2)]
    lines = "has a cover already, which was kept", "cover.jpg: exists already and was kept"
    for done in runs:
        assert done.exit_code == 1 and all(line in done.stderr for line in lines)
        assert "(cover)" not in done.stdout
    assert "skipped 1 picture that exists already" in runs[1].stderr


@pytest.mark.parametrize("again", [(), ("--again", "song.png")])
def test_a_text_of_the_user_is_kept_like_a_cover(fake_bundle: Path, again: tuple[str, ...]) -> None:
    song = write_tagged(Path("song.flac"))
    paint(song, bundle=fake_bundle)
    text = Path("song-again.txt" if again else "song.txt")
    text.write_text("mine")
    done = run("paint", *(again or (song,)), "--alt-file", "--bundle", fake_bundle)
    assert (done.exit_code, done.stderr.count("exists already and was kept")) == (1, 1)
    assert text.read_text() == "mine" and done.stdout.startswith("song")


def test_covers_that_were_written_are_printed(fake_bundle: Path) -> None:
    song = write_tagged(Path("song.flac"))
    done = paint(song, "--embed", "--folder-image", bundle=fake_bundle)
    assert done.stdout.splitlines() == [
        f"{song} -> song.png",
        f"song.png -> {song} (cover)",
        "song.png -> cover.jpg (cover)",
    ]
    assert paint(song, "--embed", "-q", bundle=fake_bundle).stdout == ""


def test_a_chosen_picture_becomes_the_cover(fake_bundle: Path) -> None:
    song = write_tagged(Path("song.flac"))
    paint(song, "--count", 3, "--embed", bundle=fake_bundle)
    before = sorted(Path().iterdir())
    done = run("paint", song, "--again", "song-3.png", "--embed", "--bundle", fake_bundle)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "song-3.png -> song.flac\n", "")
    (cover,) = covers_of(song)
    Path("c.jpg").write_bytes(cover)
    assert read_record("c.jpg")["z_image"] == read_record("song-3.png")["z_image"]
    assert sorted(Path().iterdir()) == sorted([*before, Path("c.jpg")])
    done = run("paint", song, "--again", "song-3.png", "--embed", "-o", "d.png", "--bundle", fake_bundle)
    assert done.stdout == f"song-3.png -> d.png\nd.png -> {song} (cover)\n" and Path("d.png").exists()
    steered = run("paint", song, "--again", "song-3.png", "--embed", "--warmth", 1, "--bundle", fake_bundle)
    assert "the new cover is only in the song" in steered.stderr
    missing = run("paint", "--again", "song-3.png", "--embed", "--bundle", fake_bundle)
    assert missing.exit_code == 2 and "clavilux paint SONG --again song-3.png --embed" in missing.stderr


def test_a_cover_of_another_version_is_kept(fake_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    song = write_tagged(Path("a.flac"))
    arguments = ("--bundle", fake_bundle, "--size", 64)
    with monkeypatch.context() as earlier:
        earlier.setattr("clavilux.record.__version__", "0.1.0")
        assert run("paint", song, *arguments, "--embed", "--jobs", 1).exit_code == 0
    before = song.read_bytes()
    done = run("paint", song, *arguments, "--embed", "--jobs", 1)
    assert (
        "its cover is of another version of Clavilux and was kept; to replace it, give --again PICTURE" in done.stderr
    )
    assert song.read_bytes() == before


def test_a_chosen_cover_is_kept(fake_bundle: Path) -> None:
    song = write_tagged(Path("song.ogg"))
    paint(song, "-o", "var/", "--count", 2, bundle=fake_bundle)
    assert run("paint", song, "--again", "var/song-2.png", "--embed", "--bundle", fake_bundle).exit_code == 0
    chosen = covers_of(song)
    done = paint(song, "-o", "new/", "--embed", bundle=fake_bundle)
    assert done.exit_code == 0 and "its cover is variation 1 (picture 2 of --count), which was kept" in done.stderr
    assert covers_of(song) == chosen
    resumed = paint(song, "-o", "new/", "--embed", "--resume", bundle=fake_bundle)
    assert resumed.stdout.endswith(" (kept)\n") and "its cover is variation 1" in resumed.stderr
    assert run("paint", song, "--again", "new/song.png", "--embed", "--bundle", fake_bundle).exit_code == 0
    assert covers_of(song) != chosen
    assert run("paint", song, "--again", "new/song.png", "--embed", "--warmth", 1, "--bundle", fake_bundle).stderr
    run("paint", song, "--again", "new/song.png", "-o", "warm.png", "--warmth", 1, "--bundle", fake_bundle)
    told = run("paint", song, "--again", "warm.png", "--embed", "--warmth", 0.5, "--bundle", fake_bundle)
    assert "the new cover is only in the song" in told.stderr, "a picture of --again was changed again"
    warm = covers_of(song)
    done = paint(song, "-o", "new/", "--embed", bundle=fake_bundle)
    assert done.exit_code == 0 and "its cover is a picture of --again, which was kept" in done.stderr
    assert covers_of(song) == warm not in ([], chosen)


def test_the_same_cover_does_not_change_the_song_again(fake_bundle: Path) -> None:
    song = write_tagged(Path("song.flac"))
    paint(song, "--count", 2, "--embed", bundle=fake_bundle)
    before = {path: path.read_bytes() for path in Path().iterdir()}
    for options in ((), ("--resume",)):
        assert paint(song, "--count", 2, "--embed", *options, bundle=fake_bundle).exit_code == 0
        assert {path: path.read_bytes() for path in Path().iterdir()} == before


@pytest.mark.parametrize("picture", ["chosen.jpg", "missing.png", "chosen.svg"])
def test_with_a_picture_as_a_song_nothing_is_embedded(fake_bundle: Path, picture: str) -> None:
    song = write_tagged(Path("song.flac"))
    Image.new("RGB", (8, 8)).save("chosen.jpg")
    Path("chosen.svg").write_text("<svg/>")
    before = {path: path.read_bytes() for path in Path().iterdir()}
    done = paint(song, "--embed", picture, bundle=fake_bundle)
    assert done.exit_code == 1
    assert f"{picture}: is a picture, not a song; nothing was changed." in done.stderr
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


def put_cover(path: Path, kind: int = 3) -> None:
    """Give a song a picture of its owner."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "JPEG")
    song: Any = mutagen.File(path)
    if path.suffix == ".mp3":
        from mutagen.id3 import APIC

        song.tags.add(APIC(mime="image/jpeg", type=kind, desc="mine", data=buffer.getvalue()))
    elif path.suffix == ".m4a":
        from mutagen.mp4 import MP4Cover

        song.tags["covr"] = [MP4Cover(buffer.getvalue())]
    else:
        import base64

        from mutagen.flac import Picture

        picture = Picture()
        picture.data, picture.type, picture.mime = buffer.getvalue(), kind, "image/jpeg"
        if path.suffix == ".flac":
            song.add_picture(picture)
        else:
            song["metadata_block_picture"] = [base64.b64encode(picture.write()).decode()]
    song.save()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_another_cover_is_kept(fake_bundle: Path, suffix: str) -> None:
    song = write_tagged(Path(f"song.{suffix}"), title="T")
    put_cover(song)
    before = song.read_bytes()
    done = paint(song, "--embed", bundle=fake_bundle)
    assert done.exit_code == 1 and Path("song.png").exists()
    assert done.stderr == (
        f"clavilux: {song}: has a cover already, which was kept; remove it from the tags to embed another\n"
    )
    assert song.read_bytes() == before


@pytest.mark.parametrize("suffix", ["mp3", "flac", "ogg", "opus"])
def test_pictures_that_are_no_front_covers_are_kept(fake_bundle: Path, suffix: str) -> None:
    song = write_tagged(Path(f"song.{suffix}"), title="T")
    put_cover(song, kind=4)
    for seed in (0, 1):
        done = paint(song, "--embed", "--seed", seed, "-o", "a.png", bundle=fake_bundle)
        assert (done.exit_code, done.stderr) == (0, "")
    tags: Any = mutagen.File(song)
    if suffix == "mp3":
        kinds = [frame.type for frame in tags.tags.getall("APIC")]
    elif suffix == "flac":
        kinds = [picture.type for picture in tags.pictures]
    else:
        import base64

        from mutagen.flac import Picture

        kinds = [Picture(base64.b64decode(text)).type for text in tags["metadata_block_picture"]]
    assert sorted(kinds) == [3, 4]


def test_a_song_without_tags_gets_some(fake_bundle: Path) -> None:
    song = write_tagged(Path("song.mp3"))
    mutagen.File(song).delete()
    before = sound_of(song)
    assert paint(song, "--embed", bundle=fake_bundle).exit_code == 0
    assert mutagen.File(song).tags.version == (2, 3, 0)
    np.testing.assert_array_equal(sound_of(song), before)


@pytest.mark.parametrize("version", [3, 4])
def test_the_version_of_id3_tags_is_kept(version: int) -> None:
    song = write_tagged(Path("song.mp3"), title="T")
    mutagen.File(song).save(v2_version=version)
    embed_cover(song, b"jpeg", description="words", size=(8, 8))
    assert mutagen.File(song).tags.version == (2, version, 0)


def test_other_formats_and_read_only_songs_are_refused_in_one_line(fake_bundle: Path, tone_file: Path) -> None:
    song = write_tagged(Path("music/song.flac"))
    song.chmod(stat.S_IRUSR)
    Path("music/tone.wav").write_bytes(tone_file.read_bytes())
    before = song.read_bytes()
    done = paint("music", "--embed", bundle=fake_bundle)
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        "clavilux: music/song.flac: is read-only, so no cover was embedded; make it writable",
        "clavilux: music/tone.wav: covers are embedded into MP3, FLAC, M4A, Ogg Vorbis and Opus, not into WAVE",
    ]
    assert song.read_bytes() == before and Path("song.png").exists() and Path("tone.png").exists()


def test_a_failure_leaves_the_song_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    song = write_tagged(Path("song.flac"))
    before = song.read_bytes()

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(AudioError, match=r"song\.flac: cannot be written \(No space left on device\), so no cover"):
        embed_cover(song, b"jpeg", description="", size=(8, 8))
    assert song.read_bytes() == before
    assert [path.name for path in Path().iterdir()] == ["song.flac"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_songs_are_refused_or_written(suffix: str) -> None:
    whole = write_tagged(Path(f"whole.{suffix}"), title="T").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(40):
        content = bytearray(whole[: rng.integers(1, len(whole))])
        for place in rng.integers(0, min(len(content), 2_000), 8):
            content[place] = rng.integers(256)
        song = Path(f"damaged.{suffix}")
        song.write_bytes(content)
        try:
            embed_cover(song, b"jpeg", description="", size=(8, 8))
        except AudioError as error:
            assert song.read_bytes() == content and "\n" not in str(error)
        assert [path.name for path in Path().iterdir() if path.suffix == ".tmp"] == []


def test_a_link_is_followed_and_stays_one() -> None:
    song = write_tagged(Path("song.flac"))
    Path("link.flac").symlink_to(song)
    embed_cover(Path("link.flac"), b"jpeg", description="", size=(8, 8))
    assert Path("link.flac").is_symlink()
    assert mutagen.File(song).pictures[0].data == b"jpeg"


def test_a_cover_that_is_too_large_is_refused() -> None:
    song = write_tagged(Path("song.flac"))
    with pytest.raises(AudioError, match="the cover has 17 MB; tags have room for 16: give a lower --size"):
        embed_cover(song, bytes(17_000_000), description="", size=(8, 8))


def test_the_extra_is_named_before_any_work(fake_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mutagen", None)
    song = write_tagged(Path("song.flac"))
    done = paint(song, "--embed", bundle=fake_bundle)
    assert done.exit_code == 1 and not Path("song.png").exists()
    assert done.stderr == f"clavilux: this needs mutagen, which is not installed: {install_command('tags')}\n"
