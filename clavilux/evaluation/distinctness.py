"""Is a picture its own, and how much may change before it is another one?

Conventions: points (n, F) of a space of pictures, row i of all arguments belongs to one song.

Measures, each with its value where all is right
    indistinguishable       pairs of songs that look more alike than a picture and its own bad copy; 0
    recitation     share of paintings that are nearer to a training picture than 99 of 100 training pictures are to
                   their nearest other; 0.01 for new pictures of the same law
    steadiness     distance of two paintings of one sound, in units of the median distance of two songs; 0
    variation_auc    probability that variations of one song are nearer than two songs; 1
    variation_change share of pairs of variations that differ more than a picture and its bad copy; 1
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clavilux.evaluation.manifold import neighbour_radii
from clavilux.measures.diversity import Floats, distances, pairwise, validate
from clavilux.measures.similarity import auc


def indistinguishable(points: Floats, copies: Floats) -> int:
    """Pairs whose distance is below that between one of the two and its own copy."""
    points = validate(points)
    own = np.sqrt(((points - validate(copies)) ** 2).sum(axis=1))
    rows, columns = np.triu_indices(len(points), 1)
    return int((pairwise(points) < np.minimum(own[rows], own[columns])).sum())


def recitation(points: Floats, training: Floats) -> float:
    """Share of points nearer to training art than the first percentile of its own nearest distances."""
    training = validate(training)
    near = np.percentile(neighbour_radii(training, 1), 1)
    return float((distances(validate(points), training).min(axis=1) < near).mean())


def steadiness(first: Floats, second: Floats, songs: Floats) -> float:
    """Median distance of two paintings of each sound, over the median distance of two songs."""
    apart = np.sqrt(((validate(first) - validate(second)) ** 2).sum(axis=1))
    usual = float(np.median(pairwise(validate(songs))))
    return float(np.median(apart) / usual) if usual > 0 else 0.0


def variations(families: NDArray[np.floating], copies: Floats) -> tuple[float, float]:
    """AUC and share of visible changes.

    Parameters
    ----------
    families : (n, k, F)
        k variations of n songs, each song's own picture first.
    copies : (n, F)
        Bad copies of the own pictures.
    """
    n, k, f = np.shape(families)
    flat = validate(np.reshape(families, (n * k, f)))
    between = distances(flat, flat)
    rows, columns = np.triu_indices(n * k, 1)
    related = rows // k == columns // k
    own = np.sqrt(((flat.reshape(n, k, f)[:, 0] - validate(copies)) ** 2).sum(axis=1))
    changed = between[rows, columns][related] > own[rows[related] // k]
    return auc(between[rows, columns], related), float(changed.mean())
