"""Do songs that sound alike look alike, and does each song have a picture of its own?

Conventions: row i of `songs` (n, S) and row i of `pictures` (n, F) belong to one song; distances are Euclidean.

Measures, each with its value for pictures that have nothing to do with the songs
    geometry        Spearman correlation of song distances and picture distances, -1 to 1; 0. With a p by permutation of
                    songs, because pairs that share a song are not independent (Mantel 1967)
    neighbours_kept share of the k nearest songs that are among the k nearest pictures; k / (n - 1)
    same_song_auc   probability that two halves of one track are nearer than halves of two tracks; 0.5
    same_song_top1  share of first halves whose nearest second half is their own; 1 / n
    hubs            largest share of songs that have one and the same nearest real picture; about 1 / n and up
    correspondence  Spearman correlation of a descriptor and a trait, with p by permutation; 0
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from clavilux.evaluation.diversity import Floats, distances, validate

NEIGHBOURS = 10


def spearman(a: Floats, b: Floats) -> float:
    """Rank correlation of two rows of numbers; 0 where one of them is constant."""
    x, y = rankdata(a), rankdata(b)
    x, y = x - x.mean(), y - y.mean()
    norm = np.sqrt((x**2).sum() * (y**2).sum())
    return float((x * y).sum() / norm) if norm > 0 else 0.0


def geometry(
    songs: Floats, pictures: Floats, *, rng: np.random.Generator, permutations: int = 199
) -> tuple[float, float]:
    """Correlation of the distances of songs and of pictures, and its one-sided p."""
    songs, pictures = validate(songs, 4), validate(pictures, 4)
    upper = np.triu_indices(len(songs), 1)
    of_songs = rankdata(distances(songs, songs)[upper])
    of_pictures = np.zeros((len(songs), len(songs)))
    of_pictures[upper] = rankdata(distances(pictures, pictures)[upper])
    of_pictures += of_pictures.T
    found = spearman(of_songs, of_pictures[upper])
    beaten = 0
    for _ in range(permutations):
        order = rng.permutation(len(songs))
        beaten += spearman(of_songs, of_pictures[np.ix_(order, order)][upper]) >= found
    return found, (1 + beaten) / (1 + permutations)


def neighbours_kept(songs: Floats, pictures: Floats, k: int = NEIGHBOURS) -> float:
    """Mean overlap of the k nearest songs and the k nearest pictures."""
    near = [_nearest(validate(points, k + 2), k) for points in (songs, pictures)]
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(*near, strict=True)]))


def same_song(first: Floats, second: Floats) -> tuple[float, float]:
    """AUC and top-1 of two disjoint halves of n tracks, (n, F) each."""
    between = distances(validate(first), validate(second))
    own = np.diag(between)
    others = between[~np.eye(len(between), dtype=bool)]
    ranks = rankdata(np.concatenate([own, others]))
    auc = 1.0 - (ranks[: len(own)].sum() - len(own) * (len(own) + 1) / 2) / (len(own) * len(others))
    return float(auc), float((between.argmin(axis=1) == np.arange(len(between))).mean())


def hubs(latents: Floats, art: Floats) -> float:
    """Largest share of songs that share one nearest real picture."""
    nearest = distances(validate(latents), validate(art)).argmin(axis=1)
    return float(np.bincount(nearest).max() / len(nearest))


def correspondence(
    heard: Floats, seen: Floats, *, rng: np.random.Generator, permutations: int = 999
) -> tuple[float, float]:
    """Rank correlation of what is heard (n,) and what is seen (n,), and its one-sided p."""
    found = spearman(heard, seen)
    beaten = sum(spearman(heard, rng.permutation(seen)) >= found for _ in range(permutations))
    return found, (1 + beaten) / (1 + permutations)


def _nearest(points: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    within = distances(points, points)
    np.fill_diagonal(within, np.inf)
    return np.argpartition(within, k, axis=1)[:, :k]
