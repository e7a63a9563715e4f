"""The corpus: shipped tables, split, fetching, measures, duplicates, the build as a whole, and its commands.

Repositories and packages are made here, a few kilobytes each; nothing comes from the net.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import clavilux.corpus.build as build_module
from clavilux.cli import cli
from clavilux.corpus import CorpusRow, load_table, summarise
from clavilux.corpus.build import BuildSummary, build_corpus
from clavilux.corpus.duplicates import MAX_COLOUR_DISTANCE, find_duplicate_pictures, find_duplicate_recordings
from clavilux.corpus.fetch import Places, blob_id, read_items
from clavilux.corpus.pictures import PictureMeasure, Unusable, measure_picture, perceptual_hash
from clavilux.corpus.recordings import (
    PRINT_RATE,
    PRINT_ROWS,
    PRINT_SEGMENTS,
    RecordingMeasure,
    compute_fingerprint,
    measure_recording,
)
from clavilux.corpus.split import assign_splits, group_of, normalise_artist, split_of
from clavilux.corpus.summary import to_markdown
from clavilux.corpus.table import KINDS, SPLITS, Item, Kind, Source, Tier, load_items, load_sources
from clavilux.errors import CorpusError

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="Debian packages are opened with dpkg-deb")


@pytest.fixture(autouse=True)
def plain_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of whoever runs the tests: signing and hooks would get in the way."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


# Material ------------------------------------------------------------------------------------------------------------


def make_picture(seed: int, *, side: int = 200, format: str = "PNG") -> bytes:
    """Smooth colours without symmetry, other ones for each seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, size=(6, 6, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((side + 40, side), Image.Resampling.BICUBIC)
    return encode_picture(picture, format)


def encode_picture(picture: Image.Image, format: str = "PNG") -> bytes:
    content = io.BytesIO()
    picture.save(content, format, **({"quality": 80} if format in {"JPEG", "WEBP"} else {}))
    return content.getvalue()


def make_melody(seed: int, *, seconds: float = 24.0, rate: int = 22_050) -> np.ndarray:
    """Notes of a quarter of a second at random, each with two overtones: (n,) float32."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(0.25 * rate)) / rate
    notes = []
    for semitone in rng.integers(-12, 13, size=int(seconds * 4)):
        pitch = 440.0 * 2 ** (semitone / 12)
        tone = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in (1, 2, 3))
        notes.append(tone * np.exp(-6 * time) * rng.uniform(0.05, 0.3))
    return np.concatenate(notes).astype(np.float32)


def encode_sound(waveform: np.ndarray, container: str, codec: str, *, rate: int = 22_050) -> bytes:
    """A file of two equal channels at 44.1 kHz."""
    content = io.BytesIO()
    with av.open(content, "w", format=container) as output:
        # FFmpeg's own Vorbis encoder is called experimental, and the only one in PyAV's wheels.
        stream = output.add_stream(codec, rate=44_100, layout="stereo", options={"strict": "experimental"})
        stream.codec_context.open()
        frame_samples = stream.codec_context.frame_size or 1_024
        resampler = av.AudioResampler(stream.format.name, "stereo", 44_100, frame_samples)
        frame = av.AudioFrame.from_ndarray(waveform[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate = rate
        for out in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(out))
        output.mux(stream.encode(None))
    return content.getvalue()


@pytest.fixture(scope="module")
def melody_mp3() -> bytes:
    return encode_sound(make_melody(1), "mp3", "libmp3lame")


@pytest.fixture(scope="module")
def melody_ogg() -> bytes:
    # 0.3 s of silence in front and another level, as another encoder of another publisher would have it
    return encode_sound(np.concatenate([np.zeros(6_615, np.float32), 0.3 * make_melody(1)]), "ogg", "vorbis")


def make_repository(folder: Path, files: dict[str, bytes], *, bare: bool = False) -> Path:
    work = folder if not bare else folder.with_name(f"{folder.name}-work")
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    for path, content in files.items():
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_bytes(content)
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "files"]):
        subprocess.run([*git, "-C", str(work), *command], check=True)
    if bare:
        folder.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "--quiet", "--bare", str(work), str(folder)], check=True)
    return folder


def make_package(folder: Path, name: str, version: str, files: dict[str, bytes], links: dict[str, str]) -> Path:
    root = folder / f"{name}-root"
    control = (
        f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: files\n"
    )
    for path, content in {**files, "DEBIAN/control": control.encode()}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    for path, target in links.items():
        (root / path).symlink_to(target)
    deb = folder / f"{name}_{version.replace(':', '%3a')}_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(root), str(deb)], check=True, capture_output=True)
    shutil.rmtree(root)
    return deb


def make_source(name: str, *, kind: Kind = "art", core: bool = True, version: str = "") -> Source:
    return Source(kind, core, name, version, 1.0, "CC0")


def make_item(
    source: str,
    path: str,
    content: bytes | None,
    *,
    kind: Kind = "art",
    tier: Tier = "free",
    role: str = "abstract",
    artist: str = "",
) -> Item:
    blob = "" if content is None else blob_id(content)
    return Item(kind, source, path, blob, tier, role, "", artist, "CC0")


class Log:
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, int]] = []
        self.warnings: list[str] = []
        self.n_begun = self.n_done = 0

    def begin(self, n_files: int) -> None:
        self.n_begun += n_files

    def open_source(self, name: str, n_files: int, size_mb: float) -> None:
        self.opened.append((name, n_files))

    def advance(self, n_files: int) -> None:
        self.n_done += n_files

    def warn(self, message: str) -> None:
        self.warnings.append(message)


# Shipped tables ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_shipped_tables_are_sound(kind: Kind) -> None:
    sources, items = load_sources(kind), load_items(kind)
    names = [source.name for source in sources]
    assert len(set(names)) == len(names)
    assert {item.source for item in items} == set(names)
    assert len({item.file for item in items}) == len(items), "two items would be written to one file"
    assert all(source.licence and source.size_mb >= 0 for source in sources)
    assert all(item.licence for item in items)
    roles = {"art": {"abstract", "generative", "wallpaper", "painting"}, "music": {"music", "labelled"}}[kind]
    assert {item.role for item in items} == roles
    assert all(item.tier == "research" for item in items if item.role == "labelled")
    assert all(bool(item.genre) == (kind == "music") for item in items)
    core = {source.name for source in sources if source.core}
    # Git objects are found by their ids; files of packages are checked by them where the package was opened.
    assert all(
        re.fullmatch("[0-9a-f]{40}", item.blob)
        for item in items
        if item.source in core or not item.source.startswith("debian:")
    )
    assert not any(".." in item.path.split("/") or item.path.startswith("/") for item in items)


@pytest.mark.parametrize("name", ["art.tsv.gz", "music.tsv.gz"])
def test_shipped_tables_are_compressed_without_a_date(name: str) -> None:
    content = resources.files("clavilux.corpus").joinpath(name).read_bytes()
    assert content[4:8] == bytes(4), "the header of a gzip file holds the time of writing here"
    assert gzip.decompress(content)


def test_free_paintings_carry_the_reason_for_being_free() -> None:
    paintings = [item for item in load_items("art") if item.role == "painting"]
    assert paintings
    assert all(item.tier == "free" and "painter died by 1955" in item.licence for item in paintings)


def test_slug_and_file_of_both_kinds_of_source() -> None:
    assert make_source("owner/name").slug == "owner+name"
    assert make_source("owner/name").package == ""
    assert make_source("debian:abe-data").slug == "debian+abe-data"
    assert make_source("debian:abe-data").package == "abe-data"
    item = make_item("debian:nexuiz-music", "usr/data/music.pk3!/sound/a.ogg", None)
    assert item.file == "files/debian+nexuiz-music/usr/data/music.pk3/sound/a.ogg"


# Split ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Àlex  Almarza", "alex-almarza"),
        ("paul-klee", "paul-klee"),
        ("  Paul_KLEE ", "paul-klee"),
        ("Bach, J.S.", "bach-j-s"),
        ("", ""),
        ("???", ""),
    ],
)
def test_names_are_normalised(name: str, plain: str) -> None:
    assert normalise_artist(name) == plain


def test_group_is_the_artist_across_sources_or_else_source_and_folder() -> None:
    one = make_item("a/b", "x/1.png", None, artist="Paul Klee")
    other = make_item("c/d", "y/2.png", None, artist="paul-klee")
    assert group_of(one) == group_of(other) == "paul-klee"
    assert group_of(make_item("a/b", "x/y/1.png", None)) == "a/b:x/y"
    assert group_of(make_item("a/b", "1.png", None)) == "a/b:"
    together = make_item("a/b", "1.ogg", None, artist="Max Freeman & Chris Leutwyler")
    assert group_of(together) == group_of(replace(together, artist="Chris Leutwyler"))


def test_split_is_a_known_function_of_the_name() -> None:
    digest = hashlib.sha256(b"52651/paul-klee").digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    expected = "training" if place < 0.72 else "validation" if place < 0.82 else "held-out"
    assert split_of("paul-klee", "art") == expected
    counts = Counter(split_of(f"group-{i}", "music") for i in range(4_000))
    shares = [counts[split] / 4_000 for split in SPLITS]
    assert shares == pytest.approx([0.72, 0.10, 0.18], abs=0.025)  # 3.5 deviations of a share of 0.72


@pytest.mark.parametrize("kind", KINDS)
def test_no_artist_is_on_two_sides_and_research_is_held_out(kind: Kind) -> None:
    items = load_items(kind)
    splits = assign_splits(items)
    sides = defaultdict(set)
    for item in items:
        sides[normalise_artist(item.artist)].add(splits[group_of(item)])
        if item.tier == "research":
            assert splits[group_of(item)] == "held-out"
    del sides[""]
    assert len(sides) > 100
    assert all(len(side) == 1 for side in sides.values())


def test_group_with_one_research_item_is_held_out_as_a_whole() -> None:
    name = next(f"artist-{i}" for i in range(99) if split_of(f"artist-{i}", "art") == "training")
    free = make_item("a/b", "1.png", None, artist=name)
    assert assign_splits([free]) == {name: "training"}
    assert assign_splits([free, replace(free, source="c/d", tier="research")]) == {name: "held-out"}


@pytest.mark.parametrize("kind", KINDS)
def test_split_stays_when_sources_come_and_go(kind: Kind) -> None:
    free = [item for item in load_items(kind) if item.tier == "free"]
    whole = assign_splits(free)
    for start in range(3):
        assert assign_splits(free[start::3]).items() <= whole.items()


@pytest.mark.parametrize("core", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_shares_of_the_free_tier_are_near_the_plan(kind: Kind, core: bool) -> None:
    items = load_items(kind)
    splits = assign_splits(items)
    taken = {source.name for source in load_sources(kind) if source.core or not core}
    free = [item for item in items if item.tier == "free" and item.source in taken]
    counts = Counter(splits[group_of(item)] for item in free)
    assert [counts[split] / len(free) for split in SPLITS] == pytest.approx([0.72, 0.10, 0.18], abs=0.03)


def test_every_side_has_every_role_of_free_art() -> None:
    items = load_items("art")
    splits = assign_splits(items)
    seen = {(splits[group_of(item)], item.role) for item in items if item.tier == "free"}
    assert seen == {(split, role) for split in SPLITS for role in ("abstract", "generative", "wallpaper", "painting")}


# Pictures ------------------------------------------------------------------------------------------------------------


def bits_apart(a: PictureMeasure, b: PictureMeasure) -> int:
    return (a.phash ^ b.phash).bit_count()


def colours_apart(a: PictureMeasure, b: PictureMeasure) -> float:
    return float(np.linalg.norm(np.subtract(a.colours, b.colours).reshape(4, 3), axis=1).max())


def test_hash_of_one_cosine_has_one_bit_more_than_the_median() -> None:
    # A pure cosine of the second vertical frequency: that coefficient alone is above the median of zeros.
    wave = np.cos(np.pi * 2 * (np.arange(32) + 0.5) / 32)
    lightness = np.round(np.tile(wave[:, None], (1, 32)), 12)
    expected = 1 << (63 - 2 * 8)  # row 2, column 0 of 8 x 8, the first bit highest
    noise_free = perceptual_hash(lightness) & expected
    assert noise_free == expected
    assert not perceptual_hash(-lightness) & expected


def test_colours_are_lab_of_the_quadrants() -> None:
    pixels = np.zeros((200, 200, 3), dtype=np.uint8)
    pixels[:100, :100] = 255  # white
    pixels[:100, 100:] = (255, 0, 0)
    pixels[100:, :100] = 119  # L* = 50.03
    colours = np.reshape(measure_picture(encode_picture(Image.fromarray(pixels))).colours, (4, 3))
    # Lab of sRGB white, red, grey 119 and black under D65, as in Bruce Lindbloom's calculator
    expected = [[100, 0, 0], [53.24, 80.09, 67.20], [50.03, 0, 0], [0, 0, 0]]
    assert colours == pytest.approx(np.array(expected), abs=0.05)


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_same_picture_saved_again_is_a_duplicate(format: str) -> None:
    first = Image.open(io.BytesIO(make_picture(1, side=400)))
    again = first.resize((224, 224), Image.Resampling.LANCZOS)  # squashed, as copies of collections are
    measures = [measure_picture(encode_picture(p, f)) for p, f in ((first, "PNG"), (again, format))]
    assert measures[0].width == 440
    assert measures[0].height == 400
    assert bits_apart(*measures) <= 4
    assert find_duplicate_pictures(measures) == {1: 0}


def test_recolouring_is_no_duplicate() -> None:
    first = Image.open(io.BytesIO(make_picture(2)))
    red, green, blue = first.split()
    lightness = first.convert("L")
    tinted = Image.merge("RGB", [lightness.point(lambda v: v // 2), lightness, lightness.point(lambda v: 255 - v // 4)])
    measures = [measure_picture(encode_picture(p)) for p in (first, Image.merge("RGB", (green, red, blue)), tinted)]
    assert min(colours_apart(measures[0], m) for m in measures[1:]) > MAX_COLOUR_DISTANCE
    assert find_duplicate_pictures(measures) == {}


def test_other_pictures_are_no_duplicates() -> None:
    measures = [measure_picture(make_picture(seed)) for seed in range(12)]
    assert find_duplicate_pictures(measures) == {}
    assert find_duplicate_pictures([]) == {}


def test_every_duplicate_points_at_the_one_that_stays() -> None:
    measures = [measure_picture(make_picture(seed)) for seed in (1, 2, 1, 2, 1)]
    assert find_duplicate_pictures(measures) == {2: 0, 3: 1, 4: 0}


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGBA", "CMYK", "I;16", "F"])
def test_every_mode_is_read(mode: str) -> None:
    rgb = Image.open(io.BytesIO(make_picture(3)))
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257)
    else:
        picture = rgb.convert(mode)
    measure = measure_picture(encode_picture(picture, "TIFF" if mode in {"CMYK", "F"} else "PNG"))
    grey = measure_picture(encode_picture(rgb.convert("L")))
    assert bits_apart(measure, grey) <= 10
    assert (measure.width, measure.height) == (240, 200)


def test_transparent_pictures_stand_on_white() -> None:
    clear = Image.new("RGBA", (200, 200), (0, 0, 0, 0))
    assert measure_picture(encode_picture(clear)).colours[::3] == pytest.approx([100] * 4)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "does not decode"),
        (b"GIF89a and no more", "does not decode"),
        (b"DDS |\0\0\0" + bytes(range(120)), "does not decode: is not a picture in a supported format"),
        (make_picture(1)[:3_000], "does not decode"),
        (make_picture(1, format="JPEG")[:2_000], "does not decode"),
        (make_picture(1, side=159), "too small: 199 x 159 px, the short side must have 160"),
    ],
)
def test_unusable_pictures_say_why(content: bytes, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        measure_picture(content)


# Recordings ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_same_recording_as_mp3_and_ogg_is_a_duplicate(melody_mp3: bytes, melody_ogg: bytes) -> None:
    mp3, ogg = measure_recording(melody_mp3), measure_recording(melody_ogg)
    assert mp3.seconds == pytest.approx(24.0, abs=0.1)
    assert ogg.seconds == pytest.approx(24.3, abs=0.1)
    assert find_duplicate_recordings([mp3, ogg]) == {1: 0}


def test_other_music_is_no_duplicate() -> None:
    melodies = [make_melody(seed, rate=PRINT_RATE) for seed in (1, 2, 3)]
    half = len(melodies[0]) // 2
    melodies.append(np.concatenate([melodies[0][:half], melodies[1][half:]]))
    measures = [RecordingMeasure(24.0, compute_fingerprint(melody)) for melody in melodies]
    longer = RecordingMeasure(26.0, measures[0].print)  # another length: another cut of the same piece
    assert find_duplicate_recordings([*measures, longer]) == {}
    assert find_duplicate_recordings([]) == {}


def test_print_has_no_mean_and_no_level() -> None:
    melody = make_melody(5, rate=PRINT_RATE)
    first = compute_fingerprint(melody)
    assert first.shape == (PRINT_SEGMENTS, PRINT_ROWS)
    assert first.dtype == np.float32
    assert np.abs(first.mean(axis=0)).max() < 1e-3
    assert np.abs(first.mean(axis=1)).max() < 1e-3
    assert compute_fingerprint(np.float32(0.01) * melody) == pytest.approx(first, abs=0.01)


def test_print_hears_the_pitch_class() -> None:
    half = np.arange(12 * PRINT_RATE) / PRINT_RATE
    a_then_c = np.concatenate([np.sin(2 * np.pi * 440.0 * half), np.sin(2 * np.pi * 523.25 * half)]).astype(np.float32)
    rows = compute_fingerprint(a_then_c)[:, :12]
    assert np.argmax(rows[:20].mean(axis=0)) == 0  # rows count semitones from A
    assert np.argmax(rows[-20:].mean(axis=0)) == 3


@pytest.mark.parametrize("seconds", [0.0, 19.0])
def test_short_recordings_say_how_long_they_are(seconds: float) -> None:
    with pytest.raises(Unusable, match=rf"too short: {max(seconds, 0.0):.0f}.\d s, at least 20"):
        measure_recording(encode_sound(make_melody(1, seconds=max(seconds, 0.25)), "wav", "pcm_s16le"))


def test_silent_recording_is_refused() -> None:
    with pytest.raises(Unusable, match="silent throughout"):
        measure_recording(encode_sound(np.zeros(22_050 * 21, np.float32), "wav", "pcm_s16le"))


@pytest.mark.parametrize("content", [b"", b"no sound at all" * 100, make_picture(1)], ids=["empty", "text", "picture"])
def test_broken_recordings_say_so(content: bytes) -> None:
    with pytest.raises(Unusable, match="does not decode"):
        measure_recording(content)


def test_one_broken_packet_is_passed_over_many_are_not(melody_mp3: bytes) -> None:
    def broken(n_places: int) -> bytes:
        content, rng = bytearray(melody_mp3), np.random.default_rng(0)
        for place in np.linspace(len(content) / 3, len(content) - 2_000, n_places).astype(int):
            content[place : place + 150] = rng.bytes(150)
        return bytes(content)

    assert measure_recording(broken(1)).seconds == pytest.approx(24.0, abs=0.3)
    with pytest.raises(Unusable, match="packets are broken"):
        measure_recording(broken(40))


# Fetching ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "bare"),
    [
        ("owner+name/repo", True),
        ("owner+name/repo", False),
        ("owner+name", True),
        ("owner/name", False),
        ("owner/name.git", True),
        ("name", False),
        ("name.git", True),
    ],
)
def test_repository_is_found_in_every_layout_of_a_mirror(tmp_path: Path, folder: str, bare: bool) -> None:
    files = {"a b/é.bin": b"one\nline", "b.bin": bytes(range(256)) * 300, "empty": b""}
    make_repository(tmp_path / "mirror" / folder, files, bare=bare)
    items = [make_item("owner/name", path, content) for path, content in files.items()]
    items.insert(1, make_item("owner/name", "c.bin", b"was never committed"))
    places = Places(tmp_path / "cache", mirror=tmp_path / "mirror")
    got = {item.path: content for item, content in read_items(make_source("owner/name"), items, places)}
    assert got == files


def test_file_is_found_by_its_content_after_it_was_changed(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "mirror" / "owner" / "name", {"a.txt": b"old"})
    make_repository(repository, {"a.txt": b"new"})
    item = make_item("owner/name", "a.txt", b"old")
    places = Places(tmp_path / "cache", mirror=tmp_path / "mirror")
    assert list(read_items(make_source("owner/name"), [item], places)) == [(item, b"old")]


@pytest.mark.parametrize("commit", ["the one of the table", "gone", "none"])
def test_repository_is_cloned_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commit: str) -> None:
    upstream = make_repository(tmp_path / "hub" / "owner" / "name", {"a.txt": b"content"})
    head = subprocess.run(["git", "-C", str(upstream), "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    version = {"the one of the table": head.stdout.strip(), "gone": "1" * 40, "none": ""}[commit]
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.file://{tmp_path}/hub/.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://github.com/")
    item = make_item("owner/name", "a.txt", b"content")
    source, places = make_source("owner/name", version=version), Places(tmp_path / "cache")
    assert list(read_items(source, [item], places)) == [(item, b"content")]
    shutil.rmtree(tmp_path / "hub")
    assert list(read_items(source, [item], places)) == [(item, b"content")], "the clone is used again"


def test_repository_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.file://{tmp_path}/hub/.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://github.com/")
    with pytest.raises(CorpusError, match="owner/name cannot be fetched: git says"):
        list(read_items(make_source("owner/name"), [make_item("owner/name", "a", b"")], Places(tmp_path / "cache")))
    assert not list((tmp_path / "cache").rglob("*.git")), "nothing half done stays behind"


def test_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CorpusError, match="git is not installed"):
        list(read_items(make_source("owner/name"), [make_item("owner/name", "a", b"")], Places(tmp_path / "cache")))
    with pytest.raises(CorpusError, match="apt-get is not installed"):
        list(read_items(make_source("debian:p"), [make_item("debian:p", "a", b"")], Places(tmp_path / "cache")))


def make_zip(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return content.getvalue()


@pytest.fixture
def debs(tmp_path: Path) -> Path:
    """A folder with a package `tiny` of version 2:1.0-1: a file, an archive, a link."""
    folder = tmp_path / "debs"
    folder.mkdir()
    files = {"usr/share/a.txt": b"plain", "usr/share/m.pk3": make_zip({"sound/b.txt": b"packed", "c.txt": b"unwanted"})}
    make_package(folder, "tiny", "2:1.0-1", files, {"usr/share/link.txt": "a.txt"})
    return folder


TINY_ITEMS = [
    make_item("debian:tiny", "usr/share/a.txt", b"plain"),
    make_item("debian:tiny", "usr/share/m.pk3!/sound/b.txt", b"packed"),
    make_item("debian:tiny", "usr/share/m.pk3!/absent.txt", None),
    make_item("debian:tiny", "usr/share/link.txt", b"plain"),
    make_item("debian:tiny", "usr/share/absent.txt", None),
]


@needs_dpkg
@pytest.mark.parametrize("version", ["2:1.0-1", "3.0", ""])
def test_package_is_read_without_installing(tmp_path: Path, debs: Path, version: str) -> None:
    places = Places(tmp_path / "cache", debs=debs)
    got = {
        item.path: data for item, data in read_items(make_source("debian:tiny", version=version), TINY_ITEMS, places)
    }
    assert got == {"usr/share/a.txt": b"plain", "usr/share/m.pk3!/sound/b.txt": b"packed"}


@needs_dpkg
def test_package_of_the_right_version_goes_before_a_newer_one(tmp_path: Path, debs: Path) -> None:
    make_package(debs, "tiny", "9:1.0-1", {"usr/share/a.txt": b"newer"}, {})
    make_package(debs, "tiny-data", "2:1.0-1", {"usr/share/a.txt": b"another package"}, {})
    places = Places(tmp_path / "cache", debs=debs)
    for version, content in (("2:1.0-1", b"plain"), ("9:1.0-1", b"newer")):
        source = make_source("debian:tiny", version=version)
        assert list(read_items(source, TINY_ITEMS[:1], places)) == [(TINY_ITEMS[0], content)]


@needs_dpkg
@pytest.mark.parametrize("offered", ["2:1.0-1", "another version"])
def test_package_is_downloaded_with_apt_once(
    tmp_path: Path, debs: Path, monkeypatch: pytest.MonkeyPatch, offered: str
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    wanted = "tiny=2:1.0-1" if offered == "2:1.0-1" else "tiny"
    script = f'#!/bin/sh\n[ "$3" = "{wanted}" ] || {{ echo "E: no such version" >&2; exit 100; }}\ncp {debs}/*.deb .\n'
    (programs / "apt-get").write_text(script)
    (programs / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    source, places = make_source("debian:tiny", version="2:1.0-1"), Places(tmp_path / "cache")
    assert dict(read_items(source, TINY_ITEMS, places)) == {TINY_ITEMS[0]: b"plain", TINY_ITEMS[1]: b"packed"}
    (programs / "apt-get").write_text("#!/bin/sh\nexit 1\n")
    assert dict(read_items(source, TINY_ITEMS[:1], places)) == {TINY_ITEMS[0]: b"plain"}
    with pytest.raises(CorpusError, match="debian:other cannot be fetched: apt-get says: exit code 1"):
        list(read_items(make_source("debian:other"), TINY_ITEMS[:1], places))


@needs_dpkg
def test_damaged_package_and_archive_are_named(tmp_path: Path, debs: Path) -> None:
    places = Places(tmp_path / "cache", debs=debs)
    make_package(debs, "bad", "1", {"usr/share/m.pk3": b"no archive"}, {})
    refused: dict[Item, str] = {}
    assert not list(read_items(make_source("debian:bad"), TINY_ITEMS[1:2], places, refuse=refused.__setitem__))
    assert "usr/share/m.pk3 is not a readable archive" in refused[TINY_ITEMS[1]]
    deb = next(debs.glob("tiny_*.deb"))
    deb.write_bytes(deb.read_bytes()[:200])
    with pytest.raises(CorpusError, match="tiny"):
        list(read_items(make_source("debian:tiny"), TINY_ITEMS, places))


def test_blob_id_is_that_of_git() -> None:
    assert blob_id(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert blob_id(b"test content\n") == "d670460b4b4aece5915caf5c68d12f560a9fe3e4"  # Pro Git, section 10.2


# The build -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def tables(tmp_path: Path) -> tuple[list[Source], list[Item]]:
    """Three repositories under `tmp_path / mirror`, one of them not core, and one that cannot be fetched."""
    good, small, other, large = make_picture(1), make_picture(2, side=100), make_picture(3), make_picture(1, side=500)
    studied, gone, changed = make_picture(4), make_picture(5), make_picture(6)
    mirror = tmp_path / "mirror"
    make_repository(
        mirror / "a" / "one", {"x/good.png": good, "small.png": small, "broken.png": b"broken", "other.png": other}
    )
    make_repository(mirror / "b" / "two", {"large.png": large})
    make_repository(mirror / "c" / "three", {"studied.jpg": studied})
    sources = [make_source("a/one"), make_source("b/two", core=False), make_source("c/three"), make_source("d/gone")]
    items = [
        make_item("a/one", "x/good.png", good, artist="Ann"),
        make_item("a/one", "small.png", small),
        make_item("a/one", "broken.png", b"broken"),
        make_item("a/one", "other.png", other),
        make_item("a/one", "changed.png", changed),
        make_item("b/two", "large.png", large, artist="Bob"),
        make_item("c/three", "studied.jpg", studied, tier="research"),
        make_item("d/gone", "gone.png", gone),
    ]
    return sources, items


@pytest.fixture
def build(
    tmp_path: Path, tables: tuple[list[Source], list[Item]], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[BuildSummary, Log]]:
    """Build the little tables into `tmp_path / out`; the net is a folder that is not there."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.file://{tmp_path}/hub/.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://github.com/")

    def run(*, items: Sequence[Item] = tables[1], **options: bool) -> tuple[BuildSummary, Log]:
        log = Log()
        summary = build_corpus(
            "art",
            tmp_path / "out",
            progress=log,
            mirror=tmp_path / "mirror",
            sources=tables[0],
            items=items,
            **options,
        )
        return summary, log

    return run


def test_build_keeps_the_files_and_says_what_it_left_out(
    tmp_path: Path, tables: tuple[list[Source], list[Item]], build: Callable[..., tuple[BuildSummary, Log]]
) -> None:
    summary, log = build(research=True)
    out, mirror = tmp_path / "out", tmp_path / "mirror"
    rows = load_table(out)
    assert rows == summary.rows
    assert [row.file for row in rows] == [
        "files/a+one/other.png",
        "files/b+two/large.png",
        "files/c+three/studied.jpg",
    ]
    for row in rows:
        content = (out / row.file).read_bytes()
        assert content == (mirror / row.source / row.path).read_bytes()
        assert row.sha256 == hashlib.sha256(content).hexdigest()
        assert row.split == ("held-out" if row.tier == "research" else split_of(row.artist.lower() or "a/one:", "art"))
    assert (rows[1].artist, rows[1].width, rows[1].height, rows[1].seconds) == ("Bob", 540, 500, 0.0)

    with (out / "dropped.csv").open(newline="") as file:
        dropped = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert list(dropped) == ["x/good.png", "small.png", "broken.png", "changed.png", "gone.png"]
    assert dropped["x/good.png"] == "near duplicate of b/two: large.png"
    assert dropped["small.png"].startswith("too small: 140 x 100 px")
    assert dropped["broken.png"].startswith("does not decode")
    assert dropped["changed.png"] == "not in the source"
    assert dropped["gone.png"] == "its source is skipped"
    assert list(summary.skipped_sources) == ["d/gone"]
    assert {path.relative_to(out).as_posix() for path in (out / "files").rglob("*.*g")} == {row.file for row in rows}
    assert log.n_begun == 8
    assert log.n_done == 7  # all but the one of the source that could not be had
    assert any("1 of 5 files are left out, the first is changed.png: " in warning for warning in log.warnings)


def test_build_is_free_and_whole_by_default(build: Callable[..., tuple[BuildSummary, Log]]) -> None:
    summary, log = build()
    assert {row.tier for row in summary.rows} == {"free"}
    assert {name for name, _ in log.opened} == {"a/one", "b/two", "d/gone"}


def test_second_build_reads_only_what_is_missing(
    tmp_path: Path, tables: tuple[list[Source], list[Item]], build: Callable[..., tuple[BuildSummary, Log]]
) -> None:
    first, _ = build()
    table = (tmp_path / "out" / "corpus.csv").read_bytes()
    second, log = build()
    # What was not there is asked for again, as another mirror may have it.
    assert log.opened == [("a/one", 1), ("d/gone", 1)]
    assert second.rows == first.rows
    assert (tmp_path / "out" / "corpus.csv").read_bytes() == table
    make_repository(tmp_path / "mirror" / "d" / "gone", {"gone.png": make_picture(5)})
    third, log = build()
    assert [row.path for row in third.rows] == ["other.png", "large.png", "gone.png"]
    assert not third.skipped_sources


def test_core_build_after_a_whole_one_takes_back_the_duplicate(
    tmp_path: Path, build: Callable[..., tuple[BuildSummary, Log]]
) -> None:
    build()
    assert not (tmp_path / "out/files/a+one/x/good.png").exists()
    summary, _ = build(core=True)
    assert [row.path for row in summary.rows] == ["x/good.png", "other.png"]
    assert (tmp_path / "out/files/a+one/x/good.png").read_bytes() == make_picture(1)
    assert not (tmp_path / "out/files/b+two").exists(), "what is not in the table is not in the folder"


def test_lost_and_shortened_files_are_fetched_again(
    tmp_path: Path, build: Callable[..., tuple[BuildSummary, Log]]
) -> None:
    build()
    (tmp_path / "out/files/a+one/other.png").unlink()
    (tmp_path / "out/files/b+two/large.png").write_bytes(b"cut")
    build()
    assert (tmp_path / "out/files/a+one/other.png").read_bytes() == make_picture(3)
    assert (tmp_path / "out/files/b+two/large.png").read_bytes() == make_picture(1, side=500)


def test_an_interrupted_build_continues(
    tmp_path: Path,
    tables: tuple[list[Source], list[Item]],
    build: Callable[..., tuple[BuildSummary, Log]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def advance(log: Log, n_files: int) -> None:
        log.n_done += n_files
        if log.n_done == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setattr(Log, "advance", advance)
        with pytest.raises(KeyboardInterrupt):
            build(workers=1)
    assert not (tmp_path / "out" / "corpus.csv").exists()
    summary, log = build(workers=1)
    assert [row.path for row in summary.rows] == ["other.png", "large.png"]
    n_free = sum(item.tier == "free" for item in tables[1])
    assert log.n_begun == n_free - 2, "stored files are not measured again"


@needs_dpkg
def test_changed_content_is_left_out(tmp_path: Path, debs: Path) -> None:
    item = make_item("debian:tiny", "usr/share/a.txt", b"what the table was made from")
    with pytest.raises(CorpusError, match="not the file that the table names"):
        build_corpus(
            "art",
            tmp_path / "other",
            progress=Log(),
            debs=debs,
            sources=[make_source("debian:tiny")],
            items=[item],
        )


def test_build_of_nothing_is_an_error(tmp_path: Path, build: Callable[..., tuple[BuildSummary, Log]]) -> None:
    with pytest.raises(CorpusError, match=r"Nothing could be built in .*: the tables name no such file"):
        build(items=[])
    assert not (tmp_path / "out" / "corpus.csv").exists()


@pytest.mark.slow
def test_build_of_music_drops_the_copy(tmp_path: Path, melody_mp3: bytes, melody_ogg: bytes) -> None:
    short = encode_sound(make_melody(2, seconds=5), "mp3", "libmp3lame")
    other = encode_sound(make_melody(2), "mp3", "libmp3lame")
    files = {"a.ogg": melody_ogg, "b.mp3": melody_mp3, "c.mp3": short, "d.mp3": other}
    make_repository(tmp_path / "mirror" / "a" / "songs", files)
    items = [make_item("a/songs", path, data, kind="music", role="music") for path, data in files.items()]
    items[0] = replace(items[0], tier="research")
    summary = build_corpus(
        "music",
        tmp_path / "out",
        progress=Log(),
        mirror=tmp_path / "mirror",
        sources=[make_source("a/songs", kind="music")],
        items=items,
        research=True,
    )
    assert [(row.path, round(row.seconds)) for row in summary.rows] == [("b.mp3", 24), ("d.mp3", 24)]
    reasons = {item.path: reason for item, reason in summary.dropped}
    assert reasons["a.ogg"] == "near duplicate of a/songs: b.mp3", "the free one stays"
    assert reasons["c.mp3"].startswith("too short: 5.0 s")
    sources = [make_source("a/songs", kind="music")]
    again = build_corpus("music", tmp_path / "out", progress=Log(), sources=sources, items=items)
    assert [row.path for row in again.rows] == ["b.mp3", "d.mp3"], "measures are read back from the state"


def test_foreign_folders_are_refused(tmp_path: Path, build: Callable[..., tuple[BuildSummary, Log]]) -> None:
    build()
    with pytest.raises(CorpusError, match=r"holds a corpus of art\. Give another folder for music"):
        build_corpus("music", tmp_path / "out", progress=Log())
    (tmp_path / "mine" / "files").mkdir(parents=True)
    (tmp_path / "mine" / "files" / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(CorpusError, match="not empty and is not a corpus"):
        build_corpus("art", tmp_path / "mine", progress=Log())
    assert (tmp_path / "mine" / "files" / "holiday.jpg").exists()
    with pytest.raises(CorpusError, match=r"is a file\. Give a folder"):
        build_corpus("art", tmp_path / "mine" / "files" / "holiday.jpg", progress=Log())


def test_damaged_state_is_named(tmp_path: Path, build: Callable[..., tuple[BuildSummary, Log]]) -> None:
    build()
    (tmp_path / "out" / ".state" / "a+one.json").write_text("{")
    with pytest.raises(CorpusError, match=r"a\+one\.json is damaged .* Remove it and build again"):
        build()


# The table of a corpus, and counting it ------------------------------------------------------------------------------


def test_table_faults_are_named(tmp_path: Path, build: Callable[..., tuple[BuildSummary, Log]]) -> None:
    with pytest.raises(CorpusError, match=r"corpus\.csv does not exist. Give the folder of a corpus"):
        load_table(tmp_path)
    build()
    table = tmp_path / "out" / "corpus.csv"
    text = table.read_text()
    for old, new, message in (
        ("file,source", "datei,source", "has the columns datei, source"),
        (",free,", ",cheap,", r"line 2: tier is 'cheap'; allowed are free, research"),
        (
            ",abstract,",
            ",abstrakt,",
            "line 2: role is 'abstrakt'; allowed are abstract, generative, wallpaper, painting",
        ),
        (",240,200,", ",wide,200,", "line 2 is damaged"),
    ):
        assert old in text
        table.write_text(text.replace(old, new))
        with pytest.raises(CorpusError, match=message):
            load_table(tmp_path / "out")
    table.write_text(re.sub(r",(training|validation|held-out)\n", ",hidden\n", text))
    with pytest.raises(CorpusError, match="split is 'hidden'; allowed are training, validation, held-out"):
        load_table(tmp_path / "out")
    table.write_text("file,split,role,source,tier,licence\na.png,held-out,abstract,mine,free,mine\n")  # of a user
    (row,) = load_table(tmp_path / "out")
    assert (row.split, row.role, row.artist, row.width, row.seconds) == ("held-out", "abstract", "", 0, 0.0)
    table.write_text(text[: text.rindex(",") - 4] + "\n")
    with pytest.raises(CorpusError, match="damaged"):
        load_table(tmp_path / "out")


ROWS = [
    CorpusRow("files/a", "s|1", "a", "", "music", "rock", "free", "CC0", "0", 0, 0, 1800.0, "training"),
    CorpusRow("files/b", "s|1", "b", "", "music", "rock", "free", "CC0", "0", 0, 0, 1800.0, "held-out"),
    CorpusRow("files/c", "s2", "c", "", "labelled", "rock", "research", "a|b", "0", 0, 0, 3600.0, "held-out"),
]


def test_summary_counts_by_source_licence_and_split() -> None:
    first, second = summarise(reversed(ROWS))
    assert (first.source, first.tier, first.licence, first.hours) == ("s|1", "free", "CC0", 1.0)
    assert first.splits == {"training": 1, "validation": 0, "held-out": 1}
    assert sum(first.splits.values()) == 2
    assert (second.tier, second.role, sum(second.splits.values())) == ("research", "labelled", 1)
    assert summarise([]) == []


def test_summary_as_markdown() -> None:
    lines = to_markdown(summarise(ROWS)).splitlines()
    assert lines[2] == r"| s\|1 | free | music | 1 | 0 | 1 | 1.0 | CC0 |"
    assert lines[3] == r"| s2 | research | labelled | 0 | 0 | 1 | 1.0 | a\|b |"
    assert lines[4] == "| **all** | free | music | 1 | 0 | 1 | 1.0 |  |"
    assert len(lines) == 6


# Commands ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_tables(
    tables: tuple[list[Source], list[Item]],
    build: Callable[..., tuple[BuildSummary, Log]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(build_module, "load_sources", lambda kind: tables[0])
    monkeypatch.setattr(build_module, "load_items", lambda kind: tables[1])


@pytest.mark.usefixtures("small_tables")
def test_command_builds_and_shows(tmp_path: Path) -> None:
    arguments = ["corpus", "build", "--art", "-o", str(tmp_path / "out"), "--mirror", str(tmp_path / "mirror")]
    result = CliRunner().invoke(cli, [*arguments, "--include", "research"])
    assert result.exit_code == 1, "a source is missing"
    assert "3 files in" in result.stdout
    assert "5 files left out" in result.stdout
    assert "1 near duplicate" in result.stdout
    assert "1 source skipped" in result.stdout
    assert "d/gone cannot be fetched" in result.stdout
    assert "a/one: 5 files (1 MB)" in result.stderr
    assert "\x1b" not in result.output, "no bar where nobody watches"
    assert "research" not in CliRunner().invoke(cli, [*arguments, "--core"]).stdout
    shown = CliRunner().invoke(cli, ["corpus", "show", str(tmp_path / "out")])
    assert shown.exit_code == 0
    assert shown.stdout.startswith("| source | tier | role | training |")
    assert "| a/one | free | abstract |" in shown.stdout
    gone = next((tmp_path / "out" / "files").rglob("*.png"))
    gone.rename(gone.with_suffix(".jpg"))
    shown = CliRunner().invoke(cli, ["corpus", "show", str(tmp_path / "out")])
    assert (shown.exit_code, shown.stdout[:9]) == (1, "| source ")
    assert shown.stderr.endswith(f"corpus.csv cannot be found in this folder: files/a+one/{gone.name}\n")


@pytest.mark.usefixtures("small_tables")
def test_the_progress_of_a_build_counts_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from clavilux.cli.progress import FileProgress

    progress = FileProgress("reading")
    assert progress.text(3.0) == "reading, 3 s so far"
    build_corpus("art", tmp_path / "out", progress=progress, mirror=tmp_path / "mirror")
    assert progress.done == "6/7 files"  # the file of the skipped source is never done
    printed = capsys.readouterr().err
    assert "a/one: " in printed
    assert "clavilux: skipped: d/gone cannot be fetched" in printed


def test_command_keeps_to_the_cores_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from clavilux.cli import corpus as command
    from clavilux.system import threads

    monkeypatch.setattr(threads, "CONTROL_GROUP", tmp_path)
    (tmp_path / "cpu.max").write_text("100000 100000")
    threads.count_cores.cache_clear()
    given: dict[str, object] = {}
    monkeypatch.setattr(
        command, "build_corpus", lambda *_, **options: given.update(options) or BuildSummary([], [], {}, 0.0)
    )
    CliRunner().invoke(cli, ["corpus", "build", "--art", "-o", str(tmp_path / "out")])
    threads.count_cores.cache_clear()
    assert given["workers"] == 1


def test_command_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = str(tmp_path / "out")
    result = CliRunner().invoke(cli, ["corpus", "build", "-o", out])
    assert (result.exit_code, "Give --art or --music" in result.output) == (2, True)
    result = CliRunner().invoke(cli, ["corpus", "build", "--art", "-o", out, "--include", "everything"])
    assert result.exit_code == 2
    monkeypatch.setattr(build_module, "load_items", lambda kind: [])
    result = CliRunner().invoke(cli, ["corpus", "build", "--music", "-o", out])
    assert result.exit_code == 1
    assert result.stderr.startswith("clavilux: Nothing could be built in")
    result = CliRunner().invoke(cli, ["corpus", "show", str(tmp_path)])
    assert result.exit_code == 1
    assert "does not exist" in result.stderr
