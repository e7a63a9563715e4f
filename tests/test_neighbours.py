"""The nearest training songs and pictures: `neighbours.npz`, and what the explanation says of it."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sounds
from click.testing import CliRunner
from conftest import write_wave
from fake_bundle import DESCRIPTOR_MEAN, write_fake_bundle

from clavilux.bundle import open_bundle
from clavilux.cli import cli
from clavilux.errors import BundleError
from clavilux.explain import explain_report, report_picture
from clavilux.neighbours import Neighbours, Origin, neighbours_content, place_songs
from clavilux.pipeline import Clavilux

N_CODE = 66
CONSTANTS = {
    "descriptor_mean": DESCRIPTOR_MEAN,
    "song_mean": [0.0] * 64 + DESCRIPTOR_MEAN,
    "song_deviation": [1.0] * 64 + [10.0, 5.0],
    "song_weights": [1.0] * 32 + [0.0] * 32 + [0.5, 0.5],
}
CARD = {"descriptors": ["tempo", "loudness"], "normalisation": CONSTANTS}
SONGS = [
    Origin("music/<dawn>.ogg", "Sebastian Ahlen", "debian:ufoai-music"),
    Origin("track_07.mp3", "", ""),
    Origin("a/b/noon.ogg", "", "alemart/opensurge"),
    Origin("a/b/far.ogg", "", "alemart/opensurge"),
]
PICTURES = [
    Origin("Cubism/paul-klee_the-sea_2.jpg", "paul-klee", "jalpv1/wiki-art"),
    Origin("25_one_line.png", "nrennie", "nrennie/genuary"),
    Origin("Franz Marc - x.png", "Franz Marc", "jalpv1/wiki-art"),
]


def codes_at(*places: float) -> np.ndarray:
    """Song codes on a line: the first number is the place, the descriptors are average."""
    codes = np.tile(np.array([0.0] * 64 + DESCRIPTOR_MEAN), (len(places), 1))
    codes[:, 0] = places
    return codes


def content() -> bytes:
    points = place_songs(codes_at(0.0, 1.0, 1.5, 3.0), CONSTANTS)
    return neighbours_content(SONGS, points, PICTURES, np.diag([1.0, 2.0, 4.0]) @ np.eye(3, 64))


def write_bundle(folder: Path, file: bytes | None) -> Path:
    write_fake_bundle(folder, normalisation=CONSTANTS)
    if file is not None:
        (folder / "neighbours.npz").write_bytes(file)
        card = json.loads((folder / "bundle.json").read_text())
        card["files"]["neighbours.npz"] = hashlib.sha256(file).hexdigest()
        (folder / "bundle.json").write_text(json.dumps(card))
    return folder


def test_songs_are_placed_as_the_mapping_compares_them() -> None:
    code = np.array([2.0] * 64 + [130.0, -120.0])
    placed = place_songs(code, CONSTANTS)
    np.testing.assert_array_equal(placed, [*[2.0] * 32, *[0.0] * 32, 1.0, -1.75])  # 20 deviations are clipped at 3.5


def test_the_nearest_songs_and_the_share_of_pairs_that_are_further_apart() -> None:
    found = Neighbours(content(), CARD).songs(codes_at(1.3)[0, :64], {})
    assert [near.title for near in found] == ["noon", "track 07", "<dawn>"]
    assert [near.source for near in found] == ["alemart/opensurge", "", "debian:ufoai-music"]
    # The pairs are 0.5, 1, 1.5, 1.5, 2 and 3 apart, and the song 0.2, 0.3 and 1.3 from these.
    assert [near.share for near in found] == pytest.approx([1.0, 1.0, 4 / 6])


def test_descriptors_are_compared_too() -> None:
    neighbours = Neighbours(content(), CARD)
    loud = neighbours.songs(codes_at(1.3)[0, :64], {"loudness": DESCRIPTOR_MEAN[1] + 12.5})
    assert loud[0].title == "noon" and loud[0].share == pytest.approx(4 / 6)  # 1.25 in another direction


@pytest.mark.parametrize("difference", [0.0, 0.01])
def test_a_training_song_is_not_its_own_neighbour_but_a_picture_may_be_painted_again(difference: float) -> None:
    neighbours = Neighbours(content(), CARD)
    assert [near.title for near in neighbours.songs(codes_at(1.0 + difference)[0, :64], {})] == [
        "noon",
        "<dawn>",
        "far",
    ]
    first, second, third = neighbours.pictures(np.eye(3, 64)[0])
    assert (first.title, first.artist, first.share) == ("the sea 2", "Paul Klee", 1.0)
    assert (second.title, second.artist, third.title, third.artist) == ("25 one line", "nrennie", "x", "Franz Marc")


def test_the_same_data_give_the_same_file_and_names_are_printable() -> None:
    assert content() == content()
    points = place_songs(codes_at(0.0, 1.0), CONSTANTS)
    odd = neighbours_content([Origin("a\x1b[2J\n.ogg", "", ""), SONGS[1]], points, PICTURES, np.eye(3, 64))
    assert Neighbours(odd, CARD).songs(np.zeros(64), {})[0].title == "track 07"
    assert Neighbours(odd, CARD).songs(codes_at(0.9)[0, :64], {})[1].path == "a_[2J_.ogg"


def repacked(compression: int = zipfile.ZIP_STORED, **changes: Any) -> bytes:
    """The file with other arrays; None leaves one out."""
    with np.load(io.BytesIO(content())) as arrays:
        members = {**arrays, **changes}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, array in members.items():
            if array is not None:
                buffer = io.BytesIO()
                np.save(buffer, array)
                archive.writestr(f"{name}.npy", buffer.getvalue())
    return file.getvalue()


def names(value: Any) -> np.ndarray:
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


HALF = np.zeros((4, N_CODE), np.float16)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", "no .npz file"),
        (content()[:-40], "no .npz file"),
        (content() + bytes(16_000_000), "at most 16000000 are read"),
        (repacked(songs=None), "no .npz file"),
        (repacked(zipfile.ZIP_DEFLATED, songs=np.zeros((4, 10_000), np.float16)), "it is compressed"),
        (repacked(songs=HALF.astype(np.float32)), "'<f4'"),
        (repacked(songs=HALF[:3]), r"instead of finite '<f2' of shape \(4, 66\)"),
        (repacked(songs=HALF + np.float16(np.nan)), "instead of finite"),
        (repacked(pictures=HALF[:3]), r"shape \(3, 64\)"),
        (repacked(names=names({"songs": []})), "not lists of path"),
        (repacked(names=names({"songs": [["a", "b"]] * 4, "pictures": []})), "not lists of path"),
        (repacked(names=names({"songs": [["\x1b", "", ""]] * 4, "pictures": []})), "not printable"),
        (repacked(names=names({"songs": [[1, "", ""]] * 4, "pictures": []})), "not printable"),
        (repacked(names=names({"songs": [["a", "", ""]], "pictures": []}), songs=HALF[:1]), "two rows or more"),
        (repacked(names=np.frombuffer(b"[" * 100_000, np.uint8)), "not lists of path"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, file: bytes, reason: str) -> None:
    bundle = open_bundle(write_bundle(tmp_path / "b", file))
    with pytest.raises(BundleError, match=reason) as caught:
        _ = bundle.neighbours
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500 + len(str(tmp_path))
    done = CliRunner().invoke(cli, ["bundle", "verify", "--bundle", str(tmp_path / "b")])
    assert done.exit_code == 1


def test_a_bundle_that_does_not_say_how_songs_are_compared_is_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b", content())
    card = json.loads((folder / "bundle.json").read_text())
    card["normalisation"] = {"descriptor_mean": DESCRIPTOR_MEAN}
    (folder / "bundle.json").write_text(json.dumps(card))
    with pytest.raises(BundleError, match="has no song_weights"):
        _ = open_bundle(folder).neighbours


def test_the_explanation_names_three_songs_and_three_pictures(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b", content())
    song = write_wave(tmp_path / "song.wav", sounds.song(6.0))
    clavilux = Clavilux(folder)
    picture = clavilux.paint(song, size=64)
    report = report_picture(picture, Path("a.png"), (), clavilux.bundle.card, clavilux.bundle.neighbours)
    assert len(report["nearest_songs"]) == len(report["nearest_pictures"]) == 3
    assert set(report["nearest_songs"][0]) == {"title", "artist", "source", "path", "share"}
    json.dumps(report)
    text = " ".join(explain_report(report).split())
    assert text.count("further apart") == 6 and "nearest: song " in text
    assert "picture the sea 2 by Paul Klee (jalpv1/wiki-art); " in text
    silent = dataclasses.replace(picture, song=dataclasses.replace(picture.song, is_silent=True))
    report = report_picture(silent, Path("a.png"), (), clavilux.bundle.card, clavilux.bundle.neighbours)
    assert (report["nearest_songs"], report["nearest_pictures"]) == ([], [])


def test_the_page_and_paint_say_it_and_a_bundle_without_the_file_does_not(tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="needs the extra card")
    song = write_wave(tmp_path / "song.wav", sounds.song(6.0))
    for name, file in (("with", content()), ("without", None)):
        bundle = ["--bundle", str(write_bundle(tmp_path / name, file))]
        page, picture = tmp_path / f"{name}.html", tmp_path / f"{name}.png"
        done = CliRunner().invoke(cli, ["explain", str(song), "-o", str(page), *bundle])
        assert done.exit_code == 0, done.output
        text = page.read_text("utf-8")
        assert ("Which music and which pictures are nearest?" in text) == (file is not None)
        assert ("&lt;dawn&gt;</th><td>Sebastian Ahlen</td><td>debian:ufoai-music</td>" in text) == (file is not None)
        done = CliRunner().invoke(cli, ["paint", str(song), "-o", str(picture), "--size", "64", "--explain", *bundle])
        assert done.exit_code == 0 and ("nearest:\nsong " in done.output) == (file is not None)
        again = ["paint", "--again", str(picture), "-o", str(tmp_path / "again.png"), "--json", *bundle]
        report = json.loads(CliRunner().invoke(cli, again).output)
        assert (len(report["nearest_songs"]), len(report["nearest_pictures"])) == (0, 3 if file else 0)
