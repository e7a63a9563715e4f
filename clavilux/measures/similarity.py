"""Measures of whether similar songs have similar pictures, and of whether pictures of different songs differ.

Row i of `songs` (n, S) and row i of `pictures` (n, F) belong to song i. Distances are Euclidean. In docstrings,
"chance" is the expected value if the pictures are independent of the songs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from clavilux.measures.diversity import Floats, distances, pairwise, validate

NEIGHBOURS = 10  # default of `neighbours_kept`


def spearman(a: Floats, b: Floats) -> float:
    """Return the Spearman correlation of two arrays (n,); 0 if one of them is constant."""
    return float(_unit_ranks(a) @ _unit_ranks(b))


def geometry(
    songs: Floats, pictures: Floats, *, rng: np.random.Generator, permutations: int = 199
) -> tuple[float, float]:
    """Return the Spearman correlation of song distances and picture distances, and its one-sided p-value.

    ``songs`` is (n, S) and ``pictures`` is (n, F). Chance is a correlation of 0. The p-value comes from random
    permutations of the songs (Mantel 1967), because pairs that share a song are not independent. With 0 permutations,
    the p-value is 1.
    """
    songs, pictures = validate(songs, 4), validate(pictures, 4)
    upper = np.triu_indices(len(songs), 1)
    song_ranks = _unit_ranks(pairwise(songs))
    picture_ranks = np.zeros((len(songs), len(songs)))
    picture_ranks[upper] = _unit_ranks(pairwise(pictures))
    picture_ranks += picture_ranks.T
    correlation = float(song_ranks @ picture_ranks[upper])
    at_least = 0
    for _ in range(permutations):
        order = rng.permutation(len(songs))
        at_least += float(song_ranks @ picture_ranks[np.ix_(order, order)][upper]) >= correlation
    return correlation, (1 + at_least) / (1 + permutations)


def neighbours_kept(songs: Floats, pictures: Floats, k: int = NEIGHBOURS) -> float:
    """Return the mean fraction of a song's k nearest songs that are also among the k songs with the nearest pictures.

    The mean is over all songs. ``songs`` is (n, S) and ``pictures`` is (n, F). Chance is k / (n - 1).
    """
    near = [_nearest(validate(points, k + 2), k) for points in (songs, pictures)]
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(*near, strict=True)]))


def same_song(first: Floats, second: Floats) -> tuple[float, float]:
    """Return the AUC and the top-1 accuracy with which distances match the two halves of each song.

    The AUC is the probability that two halves of one song are nearer than halves of two songs (chance: 0.5). The top-1
    accuracy is the fraction of first halves whose nearest second half is of the same song (chance: 1 / n). Row i of
    ``first`` (n, F) and row i of ``second`` (n, F) are the points (pictures or embeddings) of the halves of song i.
    """
    between = distances(validate(first), validate(second))
    own = auc(between.ravel(), np.eye(len(between), dtype=bool).ravel())
    return own, float((between.argmin(axis=1) == np.arange(len(between))).mean())


def hubs(latents: Floats, art: Floats) -> float:
    """Return the largest fraction of n songs that have the same nearest real picture; at least 1 / n.

    ``latents`` (n, D) are the picture latents (z_image) of the songs, and ``art`` (m, D) those of the real pictures.
    """
    nearest = distances(validate(latents), validate(art)).argmin(axis=1)
    return float(np.bincount(nearest).max() / len(nearest))


def same_genre(points: Floats, genres: Sequence[str], least: int = 5) -> float | None:
    """Return the probability that two songs of one genre are nearer than two songs of two genres; chance is 0.5.

    Row i of ``points`` (n, F) and ``genres[i]`` belong to song i. Songs without a genre ("") and songs of a genre with
    fewer than ``least`` songs are ignored. The result is None if fewer than two genres are left.
    """
    labels = np.asarray(genres)
    counted = [g for g in sorted(set(genres)) if g and (labels == g).sum() >= least]
    if len(counted) < 2:
        return None
    chosen = np.isin(labels, counted)
    labels = labels[chosen]
    rows, columns = np.triu_indices(len(labels), 1)
    return auc(pairwise(validate(points)[chosen]), labels[rows] == labels[columns])


def auc(values: Floats, is_own: NDArray[np.bool_]) -> float:
    """Return the probability that a value where ``is_own`` is True is smaller than a value where it is False.

    ``values`` and ``is_own`` have the shape (n,). A tie counts as 1/2.
    """
    ranks = rankdata(values)
    own, others = int(is_own.sum()), int((~is_own).sum())
    return float(1.0 - (ranks[is_own].sum() - own * (own + 1) / 2) / (own * others))


def correlation_with_p(
    a: Floats, b: Floats, *, rng: np.random.Generator, permutations: int = 999
) -> tuple[float, float]:
    """Return the Spearman correlation of two arrays (n,), and its one-sided p-value from random permutations."""
    x, y = _unit_ranks(a), _unit_ranks(b)
    correlation = float(x @ y)
    at_least = int((rng.permuted(np.tile(y, (permutations, 1)), axis=1) @ x >= correlation - 1e-12).sum())
    return correlation, (1 + at_least) / (1 + permutations)


def _unit_ranks(values: Floats) -> NDArray[np.float64]:
    """Return centred ranks of norm 1, so that a dot product is a rank correlation; zeros if all values are equal."""
    ranks = rankdata(values)
    ranks = ranks - ranks.mean()
    norm = np.sqrt((ranks**2).sum())
    return np.asarray(ranks / norm if norm > 0 else ranks, np.float64)


def _nearest(points: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Return the indices (n, k) of the k nearest other points of each point."""
    within = distances(points, points)
    np.fill_diagonal(within, np.inf)
    return np.argpartition(within, k, axis=1)[:, :k]
