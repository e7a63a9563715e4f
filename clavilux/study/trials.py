"""Draw the trials of a study, so that neither the look of a picture nor its side is a hint at the right answer.

Songs are numbered from 0. In a trial of the first part, the visitor hears a song, and sees the pictures of this song
and of another song. The picture of each song is right as often as it is wrong, with a difference of at most one trial,
so that visitors who choose the more beautiful picture gain nothing. In a trial of the second part, the visitor sees the
pictures of two halves, which belong to one song or to two songs. Each half is shown once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

MATCHES = 30  # number of trials of the first part
COMPARISONS = 10  # number of trials of the second part
LEAST_SONGS = 10  # smallest number of songs in a study

Half = tuple[int, int]  # number of the song; 0 for its first half, 1 for its second half


@dataclass(frozen=True)
class Match:
    """A trial of the first part: the visitor hears a song and chooses which of two pictures belongs to it."""

    left: int  # number of the song whose picture is on the left
    right: int  # number of the song whose picture is on the right
    answer: Literal["left", "right"]  # side on which the picture of the heard song is

    @property
    def song(self) -> int:
        """Number of the song that is heard."""
        return self.left if self.answer == "left" else self.right


@dataclass(frozen=True)
class Comparison:
    """A trial of the second part: the visitor says whether two pictures belong to one song or to two songs."""

    left: Half  # half of a song whose picture is on the left
    right: Half  # half of a song whose picture is on the right
    answer: Literal["same", "different"]


def draw_matches(n_songs: int, rng: np.random.Generator) -> list[Match]:
    """Return `MATCHES` trials in random order; ``n_songs`` must be at least `LEAST_SONGS`.

    No pair of songs occurs twice. In half of the trials, the answer is "left".
    """
    assert n_songs >= LEAST_SONGS, "with fewer songs, a pair would occur twice"
    order = rng.permutation(n_songs)
    # In round r = 1, 2, ..., each song is heard once. The wrong picture is that of the song r places further on in
    # ``order``, so the picture of each song is wrong once per round.
    pairs = [(order[t % n_songs], order[(t + t // n_songs + 1) % n_songs]) for t in range(MATCHES)]
    sides = rng.permutation([True, False] * (MATCHES // 2))
    trials = [
        Match(int(song), int(other), "left") if on_left else Match(int(other), int(song), "right")
        for (song, other), on_left in zip(pairs, sides, strict=True)
    ]
    return [trials[i] for i in rng.permutation(MATCHES)]


def draw_comparisons(rng: np.random.Generator) -> list[Comparison]:
    """Return `COMPARISONS` trials in random order, for `COMPARISONS` songs.

    In half of the trials, the answer is "same".
    """
    songs = rng.permutation(COMPARISONS).tolist()
    same, others = songs[: COMPARISONS // 2], songs[COMPARISONS // 2 :]
    pairs = [(song, song) for song in same] + list(zip(others, [*others[1:], others[0]], strict=True))
    trials = []
    for (first, second), is_turned in zip(pairs, rng.permutation(np.arange(COMPARISONS) % 2 == 0), strict=True):
        left, right = ((second, 1), (first, 0)) if is_turned else ((first, 0), (second, 1))
        trials.append(Comparison(left, right, "same" if first == second else "different"))
    return [trials[i] for i in rng.permutation(COMPARISONS)]
