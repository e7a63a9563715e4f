"""Measures of whether pictures are distinct from each other and from training art, and of what changes them.

Points (n, F) are of one space of pictures, and row i of all arguments belongs to song i. A degraded copy is what
`clavilux.evaluation.painting.degrade` returns: two pictures that differ less than a picture and its degraded copy count
as the same picture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clavilux.evaluation.manifold import neighbour_radii
from clavilux.measures.diversity import Floats, distances, pairwise, validate
from clavilux.measures.similarity import auc


def indistinguishable(points: Floats, copies: Floats) -> int:
    """Return the number of pairs that are nearer than both pictures are to their degraded copies (n, F); ideal: 0."""
    points = validate(points)
    to_copy = _row_distances(points, copies)
    rows, columns = np.triu_indices(len(points), 1)
    return int((pairwise(points) < np.minimum(to_copy[rows], to_copy[columns])).sum())


def memorisation(points: Floats, training: Floats) -> float:
    """Return the share of pictures that are suspiciously near to a training picture (m, F).

    Near means below the first percentile of the nearest-neighbour distances within the training pictures. New pictures
    of the same distribution reach 0.01.
    """
    training = validate(training)
    near = np.percentile(neighbour_radii(training, 1), 1)
    return float((distances(validate(points), training).min(axis=1) < near).mean())


def relative_distance(first: Floats, second: Floats, songs: Floats) -> float:
    """Return the mean distance of two pictures of each song over the mean distance of two songs; 0 if the same."""
    return _over(_row_distances(first, second).mean(), pairwise(songs).mean())


def relative_to_copies(first: Floats, second: Floats, points: Floats, copies: Floats) -> tuple[float, float]:
    """Return how far two pictures of each song are apart, in units of a difference that everybody can see.

    Parameters
    ----------
    first, second : (n, F)
        Two pictures of each song, such as those from FLAC and from MP3.
    points, copies : (n, F)
        The picture of each song, and its degraded copy.

    Returns
    -------
    ratio : float
        Mean distance of the two pictures over the mean distance of a picture and its degraded copy; 0 if the same.
    moved : float
        Share of songs whose two pictures differ more than the picture and its degraded copy.
    """
    apart, to_copy = _row_distances(first, second), _row_distances(points, copies)
    return _over(apart.mean(), to_copy.mean()), float((apart > to_copy).mean())


def measure_variations(groups: NDArray[np.floating], copies: Floats) -> tuple[float, float]:
    """Return how near and how visibly different the variations of a song are.

    Parameters
    ----------
    groups : (n, k, F)
        k pictures of each of n songs: the main one, then its variations.
    copies : (n, F)
        Degraded copies of the main pictures.

    Returns
    -------
    auc : float
        Probability that two pictures of one song are nearer than pictures of two songs; ideal: 1.
    changed : float
        Share of pairs of one song that differ more than the main picture and its degraded copy; ideal: 1.
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
