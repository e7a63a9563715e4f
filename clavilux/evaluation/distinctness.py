"""Measures of whether pictures differ from each other and from training art, and of how much copies of a song change.

Pictures are points (n, F) in the space of one evaluator. Row i of every argument belongs to song i. A degraded copy is
what `clavilux.evaluation.painting.degrade` returns; two pictures that differ less than a picture and its degraded copy
count as the same picture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clavilux.evaluation.manifold import neighbour_radii
from clavilux.measures.diversity import Floats, distances, pairwise, validate
from clavilux.measures.similarity import auc


def indistinguishable(points: Floats, copies: Floats) -> int:
    """Return the number of pairs of pictures that cannot be told apart; 0 is ideal.

    These are pairs of points (n, F) that are nearer to each other than either is to its degraded copy, of (n, F).
    """
    points = validate(points)
    to_copy = _row_distances(points, copies)
    rows, columns = np.triu_indices(len(points), 1)
    return int((pairwise(points) < np.minimum(to_copy[rows], to_copy[columns])).sum())


def memorisation(points: Floats, training: Floats) -> float:
    """Return the fraction of pictures (n, F) that are suspiciously near to a training picture, of (m, F).

    A picture is near if its distance is below the first percentile of the nearest-neighbour distances within the
    training pictures. New pictures from the distribution of the training pictures have about 0.01.
    """
    training = validate(training)
    near = np.percentile(neighbour_radii(training, 1), 1)
    return float((distances(validate(points), training).min(axis=1) < near).mean())


def relative_distance(first: Floats, second: Floats, songs: Floats) -> float:
    """Return the mean distance of two pictures of one song, divided by the mean distance of two songs.

    ``first`` and ``second`` (n, F) are two pictures of each song. ``songs`` (n, F) is one picture of each song, for the
    unit. The result is 0 if the two pictures of each song are equal.
    """
    return _over(_row_distances(first, second).mean(), pairwise(songs).mean())


def relative_to_copies(first: Floats, second: Floats, points: Floats, copies: Floats) -> tuple[float, float]:
    """Return how different two pictures of each song are, compared with a picture and its degraded copy.

    Parameters
    ----------
    first, second : (n, F)
        Two pictures of each song, such as those from FLAC and from MP3.
    points, copies : (n, F)
        The picture of each song, and its degraded copy.

    Returns
    -------
    ratio : float
        Mean distance of the two pictures, divided by the mean distance of a picture and its degraded copy.
    moved : float
        Fraction of songs whose two pictures differ more than the picture and its degraded copy.
    """
    apart, to_copy = _row_distances(first, second), _row_distances(points, copies)
    return _over(apart.mean(), to_copy.mean()), float((apart > to_copy).mean())


def measure_variations(groups: NDArray[np.floating], copies: Floats) -> tuple[float, float]:
    """Return whether variations of a song are near to each other, and whether they differ visibly.

    Parameters
    ----------
    groups : (n, k, F)
        k pictures of each of n songs: the main one, then its variations.
    copies : (n, F)
        Degraded copies of the main pictures.

    Returns
    -------
    auc : float
        Probability that two pictures of one song are nearer than pictures of two songs; 1 is ideal.
    changed : float
        Fraction of the pairs of pictures of one song that differ more than the main picture and its degraded copy; 1
        is ideal.
    """
    n, k, f = np.shape(groups)
    flat = validate(np.reshape(groups, (n * k, f)))
    rows, columns = np.triu_indices(n * k, 1)
    between, is_same_song = pairwise(flat), rows // k == columns // k
    to_copy = _row_distances(flat[::k], copies)
    changed = between[is_same_song] > to_copy[rows[is_same_song] // k]
    return auc(between, is_same_song), float(changed.mean())


def _over(distance: float, unit: float) -> float:
    return float(distance / unit) if unit > 0 else 0.0


def _row_distances(a: Floats, b: Floats) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(validate(a) - validate(b), axis=1))
