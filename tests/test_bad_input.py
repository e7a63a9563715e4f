"""Files from anywhere, through the real command line: each fault is one line with its file, the rest goes on.

What is refused lies beside a good song in one call: exit code 1, one line on stderr, the good song is painted, and
nothing else is left in the output folder. Messages are read off the file descriptors, so what a library in C writes
counts too. `test_audio.py`, `test_bundle.py` and `test_picture.py` look at the same faults one level below.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest
import sounds
from fake_bundle import write_fake_bundle
from PIL import Image

from clavilux.cli import main
from clavilux.constants import SAMPLE_RATE

LINUX = sys.platform == "linux"
linux_only = pytest.mark.skipif(not LINUX, reason="other systems have no such files")


class Done(NamedTuple):
    """What a call left: exit code, lines on stdout and lines on stderr."""

    code: int
    out: list[str]
    err: list[str]


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """The entry point of the package, in the folder of the test."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Done:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["clavilux", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capfd.readouterr()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0, said.out.splitlines(), said.err.splitlines())

    return call


@pytest.fixture
def paint(run: Run, fake_bundle: Path) -> Run:
    def call(*arguments: object, bundle: Path = fake_bundle) -> Done:
        return run("paint", *arguments, "--size", 64, "--jobs", 1, "--bundle", bundle)

    return call


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return sounds.write_sound(tmp_path / "good.wav", sounds.song(2.0))


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


# What is refused ---------------------------------------------------------------------------------------------------


def missing(path: Path) -> None:
    """Nothing is there."""


def folder_without_sound(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").write_text("no song")


def empty(path: Path) -> None:
    path.touch()


def text(path: Path) -> None:
    path.write_text("All work and no play makes Jack a dull boy.\n" * 50)


def picture(path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(path, format="PNG")


def mute_film(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))


def no_samples(path: Path) -> None:
    sounds.write_float_wave(path, np.zeros((1, 0)), SAMPLE_RATE)


def one_hertz(path: Path) -> None:
    sounds.write_float_wave(path, sounds.sine_a4(0.1)[None], 1)


def film_without_index(path: Path) -> None:
    sounds.write_sound(path, sounds.song(3.0))
    os.truncate(path, path.stat().st_size // 2)


def unknown_codec(path: Path) -> None:
    """A WAV file of format 0x6789, which is nobody's."""
    no_samples(path)
    content = bytearray(path.read_bytes()) + bytes(4_000)
    content[20:22] = b"\x89\x67"
    path.write_bytes(content)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def bound_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # addresses of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(here)


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def cut_header(path: Path) -> None:
    """A feature file whose header, which NumPy reads as Python source, has lost a bracket."""
    np.save(path, np.zeros((20, 216), np.float32))
    path.write_bytes(path.read_bytes().replace(b"}", b" "))


def archive(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04 and no archive")


def endless(path: Path) -> None:
    np.save(path, np.full((20, 216), np.inf, np.float32))


def nothing_but_nan(path: Path) -> None:
    sounds.write_float_wave(path, np.full((1, SAMPLE_RATE), np.nan), SAMPLE_RATE)


def encrypted(path: Path) -> None:
    sounds.write_sound(path, sounds.song(2.0))
    path.write_bytes(path.read_bytes().replace(b"mp4a", b"enca"))


def header_of(**fields: str) -> Callable[[Path], None]:
    """A feature file with other text in its header."""

    def make(path: Path) -> None:
        told = {"descr": "'<f4'", "fortran_order": "False", "shape": "(1, 20, 216)"} | fields
        header = "{" + ", ".join(f"'{name}': {value}" for name, value in told.items()) + ", }\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(17_280))

    return make


REFUSED = [
    (missing, "missing.mp3", "No such file"),
    (missing, "a" * 300 + ".mp3", "File name too long"),
    (folder_without_sound, "folder", "holds no songs"),
    (folder_without_sound, "folder.mp3", "holds no songs"),
    (empty, "empty.mp3", "is empty (0 bytes)"),
    (text, "text.mp3", "not readable as sound"),
    (picture, "picture.mp3", "is a picture, not sound"),
    (mute_film, "mute.mp4", "holds no sound"),
    (no_samples, "none.wav", "no sound could be decoded"),
    (one_hertz, "slow.wav", "its sample rate is 1 Hz"),
    (film_without_index, "cut.m4a", "not readable as sound"),
    (unknown_codec, "unknown.wav", "of a kind that cannot be decoded"),
    (cut_header, "header.npy", "is not a feature file"),
    (archive, "archive.npy", "is not a feature file"),
    (endless, "endless.npy", "not finite"),
    (nothing_but_nan, "all-nan.wav", "100% of its samples are invalid"),
    (encrypted, "encrypted.m4a", "is encrypted (DRM)"),
    (header_of(shape="(True, 20, 216)"), "true.npy", "is not a feature file"),
    (header_of(shape="(-1, 20, 216)"), "negative.npy", "is not a feature file"),
    (header_of(shape="(9" + "9" * 5_000 + ", 20, 216)"), "digits.npy", "is not a feature file"),
    (header_of(shape="(999999999999999, 20, 216)"), "many.npy", "is cut off"),
    (header_of(shape="(1.0, 20, 216)"), "point.npy", "is not a feature file"),
    (header_of(fortran_order="'\\d'"), "escape.npy", "is not a feature file"),
    (header_of(descr="'<f16'"), "wide.npy", "has values of type <f16"),
    (header_of(descr="'|O'"), "object.npy", "has values of type |O"),
    (header_of(descr="[('a', '<f4')]"), "fields.npy", "is not a feature file"),
    (header_of(descr="(" * 200 + ")" * 200), "nested.npy", "is not a feature file"),
    (empty, "empty.npy", "is empty (0 bytes)"),
]
NO_FILES = [
    (pipe, "pipe.mp3", "is a pipe, a socket or a device"),
    (pipe, "pipe.npy", "is a pipe, a socket or a device"),
    (device, "zero.mp3", "is a pipe, a socket or a device"),
    (bound_socket, "s.mp3", "is a pipe, a socket or a device"),
    (link_to_itself, "loop.mp3", "symbolic links"),
]


@pytest.mark.parametrize(
    ("make", "name", "reason"),
    [*REFUSED, *(pytest.param(*case, marks=linux_only) for case in NO_FILES)],
    ids=[f"{make.__name__}-{name[:20]}" for make, name, _ in [*REFUSED, *NO_FILES]],
)
def test_what_is_refused_gets_one_line_and_the_good_song_is_painted(
    paint: Run, good: Path, tmp_path: Path, make: Callable[[Path], None], name: str, reason: str
) -> None:
    bad = tmp_path / name
    make(bad)
    done = paint(bad, good, "-o", "out/")
    faults = [
        line for line in done.err if "has no row in a descriptors.csv" not in line
    ]  # said of every feature file, good or bad
    assert done.code == 1
    assert len(faults) == 1 and faults[0].startswith(f"clavilux: {bad}: ") and reason in faults[0]
    assert done.out == [f"{good} -> out/good.png"]
    assert files_in(tmp_path / "out") == ["good.png"]


def test_a_bad_song_alone_leaves_an_empty_folder(paint: Run, tmp_path: Path) -> None:
    text(tmp_path / "text.mp3")
    done = paint("text.mp3", "-o", "out/")
    assert (done.code, done.out, len(done.err)) == (1, [], 1)
    assert files_in(tmp_path / "out") == []


def test_features_name_all_that_is_refused_and_measure_the_rest(run: Run, tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    sounds.write_sound(music / "good.wav", sounds.song(2.0))
    # Pipes and links to nowhere in a folder are no faults, as nobody named them; they are skipped with a message.
    cases = [case for case in REFUSED if case[0] not in (missing, folder_without_sound) and ".npy" not in case[1]]
    for make, name, _ in cases:
        make(music / name)
    if LINUX:
        pipe(music / "pipe.mp3")
        link_to_itself(music / "loop.mp3")
    done = run("features", music, "-o", "out", "--jobs", 1)
    assert done.code == 1
    hints = [line for line in done.err if ": skipped, " in line]
    assert len(hints) == (2 if LINUX else 0)
    faults = [line for line in done.err if line.startswith("clavilux: ") and line not in hints]
    for _, name, reason in cases:
        (line,) = [fault for fault in faults if fault.startswith(f"clavilux: {music / name}: ")]
        assert reason in line
    assert len(faults) == len(cases)
    assert [line for line in done.err if line not in faults + hints] == []
    assert files_in(tmp_path / "out") == ["descriptors.csv", "good.npy"]


@pytest.mark.parametrize("damage", [lambda table: table[:-30], lambda table: b"\xff\xfe" + table, lambda table: b""])
def test_features_measure_again_what_a_damaged_table_has_lost(
    run: Run, good: Path, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    assert run("features", ".", "-o", "out", "--jobs", 1).code == 0
    table = tmp_path / "out" / "descriptors.csv"
    whole = table.read_bytes()
    table.write_bytes(damage(whole))
    done = run("features", ".", "-o", "out", "--jobs", 1)
    assert (done.code, done.err[1:]) == (0, [])
    assert re.search(r"descriptors\.csv.*; (its features|the features of its songs) are computed again$", done.err[0])
    assert "measured earlier" not in done.out[0]
    assert table.read_bytes() == whole


# What points elsewhere ---------------------------------------------------------------------------------------------

PLAYLISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{}\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile {}\n",
}
IN_OPEN, IN_NONBLOCK = 0x20, os.O_NONBLOCK  # inotify(7)


@contextmanager
def opened(path: Path) -> Iterator[Callable[[], bool]]:
    """Ask the kernel whether a file was opened, by whomever."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(IN_NONBLOCK)
    assert watch >= 0 and libc.inotify_add_watch(watch, os.fsencode(path), IN_OPEN) >= 0, os.strerror(
        ctypes.get_errno()
    )

    def was_opened() -> bool:
        try:
            return bool(os.read(watch, 4_096))
        except BlockingIOError:
            return False

    try:
        yield was_opened
    finally:
        os.close(watch)


def test_sound_from_a_pipe_is_refused(paint: Run, good: Path) -> None:
    done = paint("-", good, "-o", "out/")
    assert done.code == 1
    assert done.err == ["clavilux: -: sound is not read from a pipe; give the name of a file"]


@linux_only
@pytest.mark.parametrize("disguise", ["{}", "{}.mp3"])
@pytest.mark.parametrize("name", PLAYLISTS)
def test_no_segment_of_a_playlist_is_opened(paint: Run, good: Path, tmp_path: Path, name: str, disguise: str) -> None:
    segment = sounds.write_sound(tmp_path / "segment.wav", sounds.song(2.0))
    playlist = tmp_path / disguise.format(name)
    playlist.write_text(PLAYLISTS[name].format(segment.name))
    with opened(segment) as was_opened:
        done = paint(playlist, good, "-o", "out/")
        assert not was_opened()
        segment.read_bytes()
        assert was_opened()  # so the kernel does tell
    assert done.code == 1
    said = "is a playlist" if playlist.suffix == ".m3u8" else "not readable as sound"
    assert len(done.err) == 1 and done.err[0].startswith(f"clavilux: {playlist}: {said}")
    assert files_in(tmp_path / "out") == ["good.png"]


@linux_only
@pytest.mark.parametrize("name", PLAYLISTS)
def test_ffmpeg_by_itself_would_open_the_segment(tmp_path: Path, name: str) -> None:
    segment = sounds.write_sound(tmp_path / "segment.wav", sounds.song(2.0))
    (tmp_path / name).write_text(PLAYLISTS[name].format(segment.name))
    with opened(segment) as was_opened:
        with suppress(av.FFmpegError):  # it may dislike what it finds there
            av.open(str(tmp_path / name)).close()
        assert was_opened()


@pytest.fixture
def requests() -> Iterator[tuple[str, list[str]]]:
    """Address of a server of this machine, and what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing on stderr."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "command",
    [
        ["paint", "{}/song.json"],
        ["paint", "--again", "{}/a.png"],
        ["paint", "good.wav", "--near", "{}/a.jpg"],
        ["paint", "good.wav", "--palette-from", "{}/a.jpg"],
        ["explain", "{}/a.mp3"],
        ["features", "{}/a.mp3", "-o", "o"],
    ],
)
def test_an_address_is_named_as_it_was_given(run: Run, good: Path, command: list[str]) -> None:
    done = run(*(part.format("https://example.com") for part in command))
    assert done.code == 1 and len(done.err) == 1
    (address,) = (part.format("https://example.com") for part in command if "{}" in part)
    assert done.err[0] == f"clavilux: {address}: is a web address; download it and give the file"


def test_no_address_is_asked(paint: Run, good: Path, tmp_path: Path, requests: tuple[str, list[str]]) -> None:
    address, asked = requests
    (tmp_path / "list.m3u8").write_text(PLAYLISTS["list.m3u8"].format(f"{address}/a.wav"))
    (tmp_path / "list.ffconcat").write_text(PLAYLISTS["list.ffconcat"].format(f"{address}/a.wav"))
    done = paint(f"{address}/a.mp3", "file:good.wav", "concat:good.wav", "list.m3u8", "list.ffconcat", good, "-o", "o/")
    assert done.code == 1
    assert len(done.err) == 5
    assert any(f"{address}/a.mp3: is a web address; download it and give the file" in line for line in done.err)
    assert asked == []
    assert files_in(tmp_path / "o") == ["good.png"]
    with pytest.raises(av.FFmpegError):
        av.open(f"{address}/a.mp3")
    assert asked == ["/a.mp3"]  # so FFmpeg by itself does ask


# What is painted, with a warning or without ------------------------------------------------------------------------


def whole_or_half(path: Path) -> None:
    """A song whose file ends in the middle; of an M4A with its index at the start, as streaming services write it."""
    if path.suffix == ".m4a":
        whole = path.with_name("whole.m4a")
        sounds.write_sound(whole, sounds.song(6.0))
        with av.open(str(whole)) as source, av.open(str(path), "w", options={"movflags": "faststart"}) as target:
            stream = target.add_stream_from_template(source.streams.audio[0])
            for packet in source.demux(source.streams.audio[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
    else:
        sounds.write_sound(path, sounds.song(6.0))
    os.truncate(path, path.stat().st_size // 2)


def no_numbers(path: Path) -> None:
    song = sounds.song(3.0)
    song[100:103] = [np.nan, np.inf, -np.inf]
    sounds.write_float_wave(path, song[None], SAMPLE_RATE)


def cancelling(path: Path) -> None:
    song = sounds.song(3.0)
    sounds.write_float_wave(path, np.stack([song, -song]), SAMPLE_RATE)


def constant(path: Path) -> None:
    sounds.write_float_wave(path, np.full((1, 3 * SAMPLE_RATE), 0.03), SAMPLE_RATE)


def offset(path: Path) -> None:
    sounds.write_float_wave(path, sounds.song(3.0)[None] + 0.2, SAMPLE_RATE)


def scaled_as_integers(path: Path) -> None:
    sounds.write_float_wave(path, sounds.song(3.0)[None] * 32_768, SAMPLE_RATE)


def silent_first_track(path: Path) -> None:
    sounds.write_tracks(path, [sounds.silence(3.0), sounds.song(3.0)])


def surround(path: Path) -> None:
    samples = np.stack([sounds.sine(110.0 * n, 2.0, rate=48_000) for n in range(1, 9)])
    sounds.write_layout(path, samples, "aac", "fltp", "7.1", 48_000)


def integers_of_64_bits(path: Path) -> None:
    sounds.write_layout(path, sounds.song(2.0)[None], "pcm_s64le", "s64", "mono", SAMPLE_RATE)


def impossible_block(path: Path) -> None:
    sounds.write_sound(path, sounds.song(2.0))
    content = bytearray(path.read_bytes())
    content[32:34] = b"\x07\x00"
    path.write_bytes(content)


def many_channels(path: Path) -> None:
    sounds.write_float_wave(path, np.tile(sounds.song(2.0), (32, 1)), SAMPLE_RATE)


def hours_of_silence(path: Path) -> None:
    """An hour and more in half a megabyte."""
    rate, minutes = 11_025, 65
    minute = av.AudioFrame.from_ndarray(np.zeros((1, 60 * rate), np.int16), format="s16", layout="mono")
    minute.sample_rate = rate
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=rate, layout="mono", format="s16")
        resampler = av.AudioResampler(
            format="s16", layout="mono", rate=rate, frame_size=stream.codec_context.frame_size or 4_096
        )
        for number in range(minutes):
            minute.pts = number * 60 * rate
            for frame in resampler.resample(minute):
                container.mux(stream.encode(frame))
        for rest in (*resampler.resample(None), None):
            container.mux(stream.encode(rest))


PAINTED = [
    (whole_or_half, "half.mp3", ["s could be decoded"]),
    (whole_or_half, "half.flac", ["s could be decoded"]),
    (whole_or_half, "half.m4a", ["s could be decoded"]),
    (whole_or_half, "half.wav", ["the file is cut off"]),
    (no_numbers, "nan.wav", ["3 invalid samples"]),
    (cancelling, "cancelling.wav", ["its channels cancel each other"]),
    (constant, "constant.wav", ["constant offset", "it is silent"]),
    (offset, "offset.wav", ["constant offset (DC) of 0.2"]),
    (scaled_as_integers, "scaled.wav", ["read as integers of 16 bits"]),
    (silent_first_track, "tracks.mkv", ["number 2 was used; the default track is silent"]),
    (surround, "surround.m4a", []),
    (integers_of_64_bits, "long.wav", []),
    (whole_or_half, "half.ogg", ["the file is cut off"]),
    (whole_or_half, "half.opus", ["the file is cut off"]),
    (whole_or_half, "half.mkv", ["the file is cut off"]),
    (many_channels, "many.wav", []),
    (hours_of_silence, "silence.flac", ["only the first 90 s were used", "it is silent"]),
]


@pytest.mark.parametrize(("make", "name", "warnings"), PAINTED, ids=[name for _, name, _ in PAINTED])
def test_what_can_be_read_is_painted_and_the_rest_is_said(
    paint: Run, good: Path, tmp_path: Path, make: Callable[[Path], None], name: str, warnings: list[str]
) -> None:
    odd = tmp_path / name
    make(odd)
    assert name != "silence.flac" or odd.stat().st_size < 600_000
    done = paint(odd, good, "-o", "out/", "--max-seconds", 90)
    assert done.code == 0
    assert done.out == [f"{odd} -> out/{odd.stem}.png", f"{good} -> out/good.png"]
    for warning in warnings:
        assert sum(line.startswith(f"clavilux: {odd}: ") and warning in line for line in done.err) == 1, done.err
    for line in done.err:
        assert line.startswith(f"clavilux: {odd}: ")
    if make is not whole_or_half:  # a cut may damage the packet that it goes through, which is said as well
        assert len(done.err) == len(warnings)
    assert files_in(tmp_path / "out") == sorted(["good.png", f"{odd.stem}.png"])


# Where nothing can be written --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("file", "file: cannot be made a folder for pictures (File exists)"),
        ("file/below/", "file/below: cannot be made a folder for pictures (Not a directory)"),
        ("file/a.png", "file: cannot be made a folder for pictures (File exists)"),
        ("a" * 300, "cannot be made a folder for pictures (File name too long)"),
        ("a" * 300 + ".png", "cannot be written (File name too long)"),
        pytest.param("/dev/full/", "/dev/full: cannot be made a folder for pictures", marks=linux_only),
        pytest.param("/proc/new/", "/proc/new: cannot be made a folder for pictures", marks=linux_only),
        pytest.param("/proc", "/proc/good.png: cannot be written", marks=linux_only),  # root may not either
    ],
)
def test_a_place_that_cannot_be_written_is_said_in_one_line(
    paint: Run, good: Path, tmp_path: Path, output: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    done = paint(good, "-o", output)
    assert (done.code, done.out, len(done.err)) == (1, [], 1)
    assert done.err[0].startswith("clavilux: ") and reason in done.err[0]
    assert files_in(tmp_path) == ["file", "good.wav"]


@pytest.mark.parametrize("output", ["file", pytest.param("/proc", marks=linux_only)])
def test_features_that_cannot_be_written_are_said_in_one_line(
    run: Run, good: Path, tmp_path: Path, output: str
) -> None:
    (tmp_path / "file").touch()
    done = run("features", ".", "-o", output, "--jobs", 1)
    if output == "/proc":
        assert done.code == 1 and len(done.err) == 1
        assert done.err[0].startswith("clavilux: /proc: cannot be written to")
    else:  # click sees that it is a file
        assert done.code == 2
    assert files_in(tmp_path) == ["file", "good.wav"]


@contextmanager
def room_for(n_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond `n_bytes`; what is more is refused within a write, as on a full disk."""
    import resource  # not on Windows

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_leaves_no_half_picture_and_keeps_the_old_one(paint: Run, good: Path, tmp_path: Path) -> None:
    assert paint(good, "-o", "out/").code == 0
    before = (tmp_path / "out" / "good.png").read_bytes()
    other = sounds.write_sound(tmp_path / "other.wav", sounds.noise(2.0))
    with room_for(1_024):
        done = paint(good, other, "-o", "out/", "--seed", 1)
    assert (done.code, done.out) == (1, [])
    assert done.err == [f"clavilux: out/{name}.png: cannot be written (File too large)" for name in ("good", "other")]
    assert files_in(tmp_path / "out") == ["good.png"]
    assert (tmp_path / "out" / "good.png").read_bytes() == before


@pytest.mark.parametrize("n_bytes", [1_024, 100])  # too little for the windows; for the table as well
def test_features_on_a_full_disk_leave_nothing_half(run: Run, good: Path, tmp_path: Path, n_bytes: int) -> None:
    with room_for(n_bytes):
        done = run("features", ".", "-o", "out", "--jobs", 1)
    assert (done.code, done.out) == (1, [])
    assert done.err == ["clavilux: out: cannot be written to (File too large); give another folder or make room"]
    assert files_in(tmp_path / "out") in ([], ["descriptors.csv"])


@linux_only
@pytest.mark.parametrize("arguments", [["bundle", "show"], ["--help"]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_list_that_finds_no_room_is_said_in_one_line(
    fake_bundle: Path, arguments: list[str], unbuffered: str
) -> None:
    command = [sys.executable, "-m", "clavilux", *arguments]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert done.returncode == 1
    assert done.stderr == "clavilux: stdout cannot be written (No space left on device); free some disk space\n"


# What already lies there -------------------------------------------------------------------------------------------


def huge_picture(path: Path) -> None:
    """A PNG of a hundred bytes that says it has 50 000 x 50 000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")))


def nested_record(path: Path) -> None:
    """A record of more brackets than Python's parser of JSON follows."""
    exif = Image.Exif()
    exif[0x0131] = "a program"
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + b"[" * 20_000
    Image.new("RGB", (8, 8)).save(path, "PNG", exif=exif)


def odd_exif(path: Path) -> None:
    """An Exif block that ends too early, of which Pillow warns."""
    Image.new("RGB", (8, 8)).save(path, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x0e\0\x02")


OCCUPIED = [
    (huge_picture, "far more than 134 million pixels"),
    (nested_record, "damaged record"),
    (odd_exif, "carries no record"),
    (text, "is not a picture in a supported format"),
    pytest.param(pipe, "is not a regular file", marks=linux_only),
]


@pytest.mark.parametrize(("make", "reason"), OCCUPIED)
def test_a_file_in_the_place_of_the_picture_is_kept_and_not_painted_again(
    run: Run, paint: Run, fake_bundle: Path, good: Path, tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    (tmp_path / "out").mkdir()
    make(tmp_path / "out" / "good.png")
    done = paint(good, "-o", "out/")
    kept = "out/good.png: was kept, and the picture is out/good_2.png, because the file is not a picture by Clavilux"
    assert (done.code, done.err) == (0, [f"clavilux: {kept}"])
    assert files_in(tmp_path / "out") == ["good.png", "good_2.png"]
    done = run("paint", "--again", "out/good.png", good, "-o", "again.png", "--bundle", fake_bundle)
    assert (done.code, done.out, len(done.err)) == (1, [], 1)
    assert done.err[0].startswith("clavilux: out/good.png: ") and reason in done.err[0]
    assert not (tmp_path / "again.png").exists()


# Bundles -----------------------------------------------------------------------------------------------------------


def other_schema(bundle: Path) -> None:
    card = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps({**card, "schema": 9}))


def flipped_byte(bundle: Path) -> None:
    content = bytearray((bundle / "mapping.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / "mapping.onnx").write_bytes(content)


def missing_network(bundle: Path) -> None:
    (bundle / "controls.onnx").unlink()


def missing_card(bundle: Path) -> None:
    (bundle / "bundle.json").unlink()


def nested_card(bundle: Path) -> None:
    (bundle / "bundle.json").write_text("[" * 100_000)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (other_schema, "has schema 9 and this version of Clavilux reads schema 7"),
        (flipped_byte, "is damaged: mapping.onnx"),
        (missing_network, "has no readable controls.onnx (No such file or directory)"),
        (missing_card, "bundle.json cannot be read"),
        (nested_card, "bundle.json is not JSON"),
    ],
)
def test_a_bad_bundle_is_said_once_and_nothing_is_written(
    paint: Run, good: Path, tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    bundle = write_fake_bundle(tmp_path / "bundle")
    damage(bundle)
    other = sounds.write_sound(tmp_path / "other.wav", sounds.song(2.0))
    done = paint(good, other, "-o", "out/", bundle=bundle)
    assert (done.code, done.out, len(done.err)) == (1, [], 1)
    assert str(bundle) in done.err[0] and reason in done.err[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", [flipped_byte, missing_network])
def test_a_bad_bundle_is_said_for_one_song_too(
    paint: Run, good: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    bundle = write_fake_bundle(tmp_path / "bundle")
    damage(bundle)
    done = paint(good, "-o", "one.png", bundle=bundle)
    assert (done.code, done.out, len(done.err)) == (1, [], 1)
    assert str(bundle) in done.err[0]
    assert not list(tmp_path.rglob("one.png"))


# Wrong usage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--max-seconds", "nan"),
        ("--max-seconds", "inf"),
        ("--max-seconds", "0"),
        ("--spread", "nan"),
        ("-o", "a.gif"),
    ],
)
def test_wrong_usage_ends_with_2_and_writes_nothing(
    paint: Run, good: Path, tmp_path: Path, option: str, value: str
) -> None:
    done = paint(good, option, value)
    assert done.code == 2
    assert option in done.err[-1] and value in done.err[-1]
    assert files_in(tmp_path) == ["good.wav"]
