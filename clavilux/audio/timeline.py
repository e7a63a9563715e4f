"""Measure the parts of a song: file -> parts of equal length -> descriptors of each part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from clavilux.audio import Float32
from clavilux.audio.decode import read_blocks
from clavilux.audio.descriptors import describe
from clavilux.audio.features import measure_features
from clavilux.audio.mix import AUDIBLE_DB
from clavilux.constants import SAMPLE_RATE

SHORTEST_S = 10.0  # smallest length of a part, except the last; tempo and key need some seconds
MOST_PARTS = 32


class Part(NamedTuple):
    """Descriptors of a part of a song."""

    start_s: float  # seconds from the start of the song
    descriptors: dict[str, float]  # by the names of `clavilux.audio.descriptors.DESCRIPTORS`


def measure_parts(path: Path, duration_s: float) -> list[Part]:
    """Divide a song into at most `MOST_PARTS` parts, and return the descriptors of each part.

    All parts except the last have the same length, at least `SHORTEST_S`; the last may be shorter or longer.

    Parameters
    ----------
    path : Path
        A sound file.
    duration_s : float
        Duration of the song in seconds; it determines the length of the parts.

    Raises
    ------
    AudioError
        If the file cannot be decoded.
    """
    part_s = max(SHORTEST_S, duration_s / MOST_PARTS)
    stream = read_blocks(path)
    while True:
        parts, is_silent = [], True
        for number, sound in enumerate(split_blocks(stream, round(part_s * SAMPLE_RATE))):
            features = measure_features([sound])
            is_silent = is_silent and not bool((features.window_db >= AUDIBLE_DB).any())
            parts.append(Part(number * part_s, describe(features)))
        if not stream.correct(is_silent=is_silent):  # as in `read_song`
            return parts


def split_blocks(blocks: Iterable[Float32], n_samples: int) -> Iterator[Float32]:
    """Divide sound, given in blocks (n,), into parts of ``n_samples`` samples, and yield the parts.

    A remainder of less than half a part is added to the last part.
    """
    part: list[Float32] = []
    size = 0
    for block in blocks:
        part.append(block)
        size += block.size
        while size >= 1.5 * n_samples:
            sound = np.concatenate(part)
            yield sound[:n_samples]
            part, size = [sound[n_samples:]], size - n_samples
    yield np.concatenate(part)
