"""Broken sound files by the thousand: each gives a song with finite numbers, or a `ClaviluxError`, and nothing else.

    python benchmarks/fuzz_listen.py                             2 000 files of seed 0
    python benchmarks/fuzz_listen.py --first 1000 --cases 500    files 1 000 to 1 499 of the same 2 000
    python benchmarks/fuzz_listen.py --keep findings             keep the files that broke something

Short synthesised sounds of many formats are broken in six ways (tests/mutations.py) and listened to, each in a process
of its own. What a finding is: benchmarks/fuzzing.py.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: a process with threads cannot be forked safely
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import numpy as np
from fuzzing import run_fuzzer
from mutations import mutate, whole_files

from clavilux.audio.song import Song, read_song

MAX_S = 30.0  # of what is decoded; ten times what the whole files hold
OUTCOMES = ("song", "song with warnings")


def work(folder: Path) -> tuple[str, str]:
    """Listen to the one file of the folder."""
    song = read_song(next(folder.iterdir()), max_s=MAX_S)
    outcome = "song with warnings" if song.warnings else "song"
    return outcome if is_finite(song) else "not finite", "; ".join(song.warnings)


def is_finite(song: Song) -> bool:
    numbers = (song.windows, song.window_db, [song.duration_s], list(song.descriptors.values()))
    return all(bool(np.isfinite(values).all()) for values in numbers)


if __name__ == "__main__":
    wholes = whole_files()
    sys.exit(run_fuzzer(__doc__, lambda seed, number: mutate(wholes, seed, number), work, OUTCOMES))
