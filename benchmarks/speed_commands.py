"""Time whole commands and the measuring of features, compared with librosa and with a script of PyTorch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from peers.features import load_with_librosa, measure_with_clavilux, measure_with_librosa
from speed_songs import write_song
from timing import BENCHMARKS, Row, alternate, alternate_calls, clavilux, python, run_process

from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.constants import DEFAULT_SIZE_PX

PEER = BENCHMARKS / "peers" / "paint_with_torch.py"
SONG_S, HOUR_S = 180.0, 3600.0
FOLDER_SONGS, FOLDER_S = 40, (30.0, 60.0)
PRINT_SIZES = ("3000x3000", "8192x8192")

READ_SONG = """
import sys
from clavilux.pipeline import Clavilux
Clavilux().read_song(sys.argv[1])
"""
# A function of peers/features.py, in a new process.
MEASURE = "import sys; from peers import features; getattr(features, sys.argv[1])(sys.argv[2])"


def measure_features(folder: Path, n: int) -> Iterator[Row]:
    """Measure decoding and features of a song of three minutes, cold and warm."""
    from clavilux.pipeline import Clavilux

    song = write_song(folder / "song.mp3", SONG_S, seed=1)
    engine = Clavilux()
    ours_mfcc = ("decode, MFCC", python(MEASURE, "measure_with_clavilux", song), lambda: measure_with_clavilux(song))
    ours_all = (
        f"decode, MFCC, onsets, peaks, {len(DESCRIPTORS)} descriptors, hash",
        python(READ_SONG, song),
        lambda: engine.read_song(song),
    )
    librosa_mfcc = ("librosa: load, MFCC", python(MEASURE, "load_with_librosa", song), lambda: load_with_librosa(song))
    librosa_more = (
        "librosa: load, MFCC, onsets, beats, centroid, bandwidth, flatness",
        python(MEASURE, "measure_with_librosa", song),
        lambda: measure_with_librosa(song),
    )
    for ours, theirs in ((ours_mfcc, librosa_mfcc), (ours_all, librosa_mfcc), (ours_all, librosa_more)):
        runs = alternate(n, ours[1], theirs[1])
        yield Row("features", "three minutes of mp3, cold", ours[0], runs[0], theirs[0], runs[1])
        runs = alternate_calls(n, ours[2], theirs[2])
        yield Row("features", "three minutes of mp3, warm", ours[0], runs[0], theirs[0], runs[1])


def measure_paint(folder: Path, n: int) -> Iterator[Row]:
    """Measure painting a song of three minutes at 1024 x 1024, cold."""
    song = write_song(folder / "song.mp3", SONG_S, seed=1)
    picture = folder / "song.png"
    ours, theirs = alternate(
        n, clavilux("paint", song, "-o", picture), [sys.executable, str(PEER), str(song), str(folder / "peer.png")]
    )
    what = f"mp3 of three minutes to a picture of {DEFAULT_SIZE_PX}, cold"
    yield Row("paint", what, "clavilux paint", ours, "paint_with_torch.py", theirs)
    described = [sys.executable, str(PEER), str(song), str(folder / "described.png"), "--descriptors"]
    ours_again, theirs_described = alternate(n, clavilux("paint", song, "-o", picture), described)
    yield Row("paint", what, "clavilux paint", ours_again, "paint_with_torch.py --descriptors", theirs_described)
    yield Row("paint", f"{what}: peak memory", "clavilux paint", ours, "paint_with_torch.py", theirs, by="peak_mb")
    ours, alone = alternate(
        n, clavilux("paint", song, "-o", picture), clavilux("paint", song, "-o", folder / "alone.png", "--jobs", 1)
    )
    yield Row("paint", f"{what}: threads", "clavilux paint", ours, "--jobs 1, one thread", alone)


def measure_folder(folder: Path, n: int) -> Iterator[Row]:
    """Measure painting forty short songs with one process and with two."""
    album = folder / "album"
    album.mkdir()
    lengths = np.random.default_rng(2).uniform(*FOLDER_S, FOLDER_SONGS)
    for number, length_s in enumerate(lengths):
        write_song(album / f"{number:02d}.mp3", float(length_s), seed=100 + number)
    one, two = (clavilux("paint", album, "-o", folder / f"jobs{jobs}", "--jobs", jobs) for jobs in (1, 2))
    two_runs, one_runs = alternate(n, two, one)
    what = f"{FOLDER_SONGS} songs, {lengths.sum() / 60:.0f} minutes in all"
    yield Row("folder", what, "--jobs 2", two_runs, "--jobs 1", one_runs)


def measure_hour(folder: Path, n: int) -> Iterator[Row]:
    """Measure time and peak memory of painting an hour of audio."""
    hour = write_song(folder / "hour.mp3", HOUR_S, seed=3)
    ours, theirs = alternate(
        n,
        clavilux("paint", hour, "-o", folder / "hour.png"),
        python("import sys, librosa; librosa.load(sys.argv[1], sr=22050)", hour),
    )
    note = "librosa only loads the file"
    yield Row("hour", "an hour of mp3: peak memory", "clavilux paint", ours, "librosa.load", theirs, "peak_mb", note)
    yield Row("hour", "an hour of mp3", "clavilux paint", ours, "librosa.load", theirs, note=note)


def measure_print(folder: Path, n: int) -> Iterator[Row]:
    """Measure the whole command at print sizes, cold; one run of each, as each takes long."""
    song = write_song(folder / "song.mp3", SONG_S, seed=1)
    for size in PRINT_SIZES:
        for suffix in (".png", ".jpg"):
            picture = folder / f"print{suffix}"
            runs = [run_process(clavilux("paint", song, "-o", picture, "--size", size))]
            what = f"mp3 of three minutes to {size}, {suffix[1:]} of {picture.stat().st_size / 1e6:.1f} MB"
            yield Row("print", what, "clavilux paint", runs, note="one run of each")
            yield Row("print", f"{size}, {suffix[1:]}: peak memory", "clavilux paint", runs, by="peak_mb")
