"""Read thousands of damaged audio files: each must give a song with finite numbers or a `ClaviluxError`.

    python benchmarks/fuzz_listen.py                             2 000 files of seed 0
    python benchmarks/fuzz_listen.py --first 1000 --cases 500    files 1 000 to 1 499 of the same 2 000
    python benchmarks/fuzz_listen.py --keep findings             keep the files of findings

Short synthesised sounds in 19 formats are damaged in six ways (tests/mutations.py) and read, each in its own process.
Findings are defined in benchmarks/fuzzing.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import fuzzing
import numpy as np
from mutations import mutate, whole_files

from clavilux.audio.song import Song, read_song

MAX_S = 30.0  # of decoded audio; more than ten times the length of the whole files
OUTCOMES = ("song", "song with warnings")


def work(folder: Path) -> tuple[str, str]:
    """Read the only file of the folder, and return the outcome and the warnings of the song."""
    song = read_song(next(folder.iterdir()), max_s=MAX_S)
    outcome = "song with warnings" if song.warnings else "song"
    return outcome if is_finite(song) else "not finite", "; ".join(song.warnings)


def is_finite(song: Song) -> bool:
    numbers = (song.windows, song.window_db, [song.duration_s], list(song.descriptors.values()))
    return all(bool(np.isfinite(values).all()) for values in numbers)


if __name__ == "__main__":
    wholes = whole_files()
    sys.exit(fuzzing.run_fuzzer(__doc__, lambda seed, number: mutate(wholes, seed, number), work, OUTCOMES))
