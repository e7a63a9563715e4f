"""Measure a song in parts: file -> parts of equal length -> descriptors of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.decode import read_blocks
from clavilux.audio.descriptors import describe
from clavilux.audio.features import measure_features
from clavilux.audio.mix import AUDIBLE_DB
from clavilux.constants import SAMPLE_RATE

Float32 = NDArray[np.float32]

SHORTEST_S = 10.0  # of a part; tempo and key need some seconds
MOST_PARTS = 32


class Part(NamedTuple):
    """Descriptors of a part of a song."""

    start_s: float  # seconds from the start of the song
    descriptors: dict[str, float]  # by the names of `clavilux.audio.descriptors.DESCRIPTORS`


def measure_parts(path: Path, duration_s: float, *, max_s: float) -> list[Part]:
    """Return the descriptors of at most `MOST_PARTS` parts of a song; all but the last have the same length.

    Parameters
    ----------
    path : Path
        A sound file.
    duration_s : float
        Duration in seconds of the sound that is used.
    max_s : float
        As in `clavilux.audio.song.read_song`.

    Raises
    ------
    AudioError
        If the file cannot be decoded.
    """
    part_s = max(SHORTEST_S, duration_s / MOST_PARTS)
    stream = read_blocks(path, max_s=max_s)
    while True:
        parts, is_silent = [], True
        for number, blocks in enumerate(split_blocks(stream, round(part_s * SAMPLE_RATE))):
            features = measure_features(blocks)
            is_silent = is_silent and not bool((features.window_db >= AUDIBLE_DB).any())
            parts.append(Part(number * part_s, describe(features)))
        if not stream.correct(is_silent=is_silent):  # as in `read_song`
            return parts


def split_blocks(blocks: Iterable[Float32], n_samples: int) -> Iterator[list[Float32]]:
    """Yield a list of blocks (n,) for each part of ``n_samples`` samples.

    A remainder of less than half a part is added to the last part.
    """
    part: list[Float32] = []
    waiting: list[Float32] | None = None  # the part before, until it is known whether a rest follows
    missing = n_samples
    for given in blocks:
        block = given
        while block.size >= missing:
            part.append(block[:missing])
            block = block[missing:]
            if waiting is not None:
                yield waiting
            waiting, part, missing = part, [], n_samples
        if block.size:
            part.append(block)
            missing -= block.size
    is_short = 2 * missing > n_samples
    if waiting is None:
        yield part
    elif is_short:
        yield [*waiting, *part]
    else:
        yield waiting
        yield part
