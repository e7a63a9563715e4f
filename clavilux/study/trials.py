"""The trials of a study, drawn so that no picture and no side is right more often than another.

Songs are numbered from 0. A trial of the first part shows the pictures of two songs, one of which is heard. The picture
of each song is right as often as it is wrong, with a difference of at most one trial, so that the beauty of a picture
is no hint. A trial of the second part shows two pictures of halves of songs; each half is shown once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

MATCHES = 30  # trials of the first part
COMPARISONS = 10  # trials of the second part
LEAST_SONGS = 10

Answer = Literal["left", "right", "same", "different"]
Half = tuple[int, int]  # song, 0 or 1


@dataclass(frozen=True)
class Match:
    """A trial of the first part: the visitor hears a song and chooses which of two pictures belongs to it."""

    left: int  # song of the left picture
    right: int  # song of the right picture
    answer: Literal["left", "right"]  # side of the song that is heard

    @property
    def song(self) -> int:
        """The song that is heard."""
        return self.left if self.answer == "left" else self.right


@dataclass(frozen=True)
class Comparison:
    """A trial of the second part: the visitor says whether two pictures belong to one song or to two songs."""

    left: Half  # of the left picture
    right: Half  # of the right picture
    answer: Literal["same", "different"]


def draw_matches(n_songs: int, rng: np.random.Generator) -> list[Match]:
    """Return `MATCHES` trials on songs 0 to n_songs - 1, in random order; the answer is left in half of them.

    No pair of songs occurs twice.

    Raises
    ------
    ValueError
        If there are fewer than `LEAST_SONGS` songs.
    """
    if n_songs < LEAST_SONGS:
        raise ValueError(f"{n_songs} songs are too few for trials in which no two songs meet twice")
    order = rng.permutation(n_songs)
    # In round r, song i meets the song r + 1 places further on: each is heard once and is wrong once.
    pairs = [(order[i], order[(i + step) % n_songs]) for step in range(1, MATCHES + 1) for i in range(n_songs)][
        :MATCHES
    ]
    sides = rng.permutation([True, False] * (MATCHES // 2))
    trials = [
        Match(int(song), int(other), "left") if on_left else Match(int(other), int(song), "right")
        for (song, other), on_left in zip(pairs, sides, strict=True)
    ]
    return [trials[i] for i in rng.permutation(MATCHES)]


def draw_comparisons(rng: np.random.Generator) -> list[Comparison]:
    """Return `COMPARISONS` trials on songs 0 to `COMPARISONS` - 1, in random order; "same" is right in half of them."""
    songs = rng.permutation(COMPARISONS).tolist()
    same, others = songs[: COMPARISONS // 2], songs[COMPARISONS // 2 :]
    pairs: list[tuple[Half, Half, Literal["same", "different"]]] = [((s, 0), (s, 1), "same") for s in same]
    pairs += [((s, 0), (t, 1), "different") for s, t in zip(others, [*others[1:], others[0]], strict=True)]
    turned = rng.permutation(np.arange(COMPARISONS) % 2 == 0)
    trials = [
        Comparison(b, a, is_same) if turn else Comparison(a, b, is_same)
        for (a, b, is_same), turn in zip(pairs, turned, strict=True)
    ]
    return [trials[i] for i in rng.permutation(COMPARISONS)]
