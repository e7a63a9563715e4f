"""Do songs that sound alike look alike, and does each song have a picture of its own?

Conventions: row i of `songs` (n, S) and row i of `pictures` (n, F) belong to one song; distances are Euclidean.

Measures, each with its value for pictures that have nothing to do with the songs
    geometry        Spearman correlation of song distances and picture distances, -1 to 1; 0. With a p by permutation of
                    songs, because pairs that share a song are not independent (Mantel 1967)
    neighbours_kept share of the k nearest songs that are among the k nearest pictures; k / (n - 1)
    same_song_auc   probability that two halves of one track are nearer than halves of two tracks; 0.5
    same_song_top1  share of first halves whose nearest second half is their own; 1 / n
    same_genre      probability that two songs of one genre are nearer than two of different genres; 0.5
    hubs            largest share of songs that have one and the same nearest real picture; about 1 / n and up
    correspondence  Spearman correlation of a descriptor and a trait, with p by permutation; 0
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from clavilux.measures.diversity import Floats, distances, validate

NEIGHBOURS = 10


def spearman(a: Floats, b: Floats) -> float:
    """Rank correlation of two rows of numbers; 0 where one of them is constant."""
    return float(_unit_ranks(a) @ _unit_ranks(b))


def geometry(
    songs: Floats, pictures: Floats, *, rng: np.random.Generator, permutations: int = 199
) -> tuple[float, float]:
    """Correlation of the distances of songs and of pictures, and its one-sided p."""
    songs, pictures = validate(songs, 4), validate(pictures, 4)
    upper = np.triu_indices(len(songs), 1)
    of_songs = _unit_ranks(distances(songs, songs)[upper])
    of_pictures = np.zeros((len(songs), len(songs)))
    of_pictures[upper] = _unit_ranks(distances(pictures, pictures)[upper])
    of_pictures += of_pictures.T
    found = float(of_songs @ of_pictures[upper])
    beaten = 0
    for _ in range(permutations):
        order = rng.permutation(len(songs))
        beaten += float(of_songs @ of_pictures[np.ix_(order, order)][upper]) >= found
    return found, (1 + beaten) / (1 + permutations)


def neighbours_kept(songs: Floats, pictures: Floats, k: int = NEIGHBOURS) -> float:
    """Mean overlap of the k nearest songs and the k nearest pictures."""
    near = [_nearest(validate(points, k + 2), k) for points in (songs, pictures)]
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(*near, strict=True)]))


def same_song(first: Floats, second: Floats) -> tuple[float, float]:
    """AUC and top-1 of two disjoint halves of n tracks, (n, F) each."""
    between = distances(validate(first), validate(second))
    own = auc(between.ravel(), np.eye(len(between), dtype=bool).ravel())
    return own, float((between.argmin(axis=1) == np.arange(len(between))).mean())


def hubs(latents: Floats, art: Floats) -> float:
    """Largest share of songs that share one nearest real picture."""
    nearest = distances(validate(latents), validate(art)).argmin(axis=1)
    return float(np.bincount(nearest).max() / len(nearest))


def same_genre(points: Floats, genres: Sequence[str], least: int = 5) -> float | None:
    """Probability that two songs of one genre are nearer than two of different genres.

    Songs without genre, and genres of fewer than `least` songs, do not count; None where fewer than two genres are
    left.
    """
    labels = np.asarray(genres)
    counted = [g for g in sorted(set(genres)) if g and (labels == g).sum() >= least]
    if len(counted) < 2:
        return None
    kept = np.isin(labels, counted)
    labels = labels[kept]
    chosen = validate(points)[kept]
    rows, columns = np.triu_indices(len(chosen), 1)
    return auc(distances(chosen, chosen)[rows, columns], labels[rows] == labels[columns])


def auc(values: Floats, is_own: NDArray[np.bool_]) -> float:
    """Probability that a value of the own kind is below one of the other kind; ties count half."""
    ranks = rankdata(values)
    own, others = int(is_own.sum()), int((~is_own).sum())
    return float(1.0 - (ranks[is_own].sum() - own * (own + 1) / 2) / (own * others))


def correlation_with_p(
    heard: Floats, seen: Floats, *, rng: np.random.Generator, permutations: int = 999
) -> tuple[float, float]:
    """Rank correlation of what is heard (n,) and what is seen (n,), and its one-sided p."""
    x, y = _unit_ranks(heard), _unit_ranks(seen)
    found = float(x @ y)
    beaten = int((rng.permuted(np.tile(y, (permutations, 1)), axis=1) @ x >= found - 1e-12).sum())
    return found, (1 + beaten) / (1 + permutations)


def _unit_ranks(values: Floats) -> NDArray[np.float64]:
    """Ranks, centred and of length 1, so that a product of two is a rank correlation; zeros where all are equal."""
    ranks = rankdata(values)
    ranks = ranks - ranks.mean()
    norm = np.sqrt((ranks**2).sum())
    return np.asarray(ranks / norm if norm > 0 else ranks, np.float64)


def _nearest(points: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    within = distances(points, points)
    np.fill_diagonal(within, np.inf)
    return np.argpartition(within, k, axis=1)[:, :k]
