"""Measures on points: features of pictures in the space of one evaluator, or latents.

Points are arrays (n, F) with one row per picture, and distances are Euclidean. `real` are points of real art, `made`
are points of generated pictures. In docstrings, "expected" is the value if `real` and `made` are drawn from the same
distribution. Values can only be compared if they were measured with equal numbers of points. A degraded copy of a
picture is what `clavilux.evaluation.painting.degrade` returns. Two pictures that differ less than a picture and its
degraded copy count as the same picture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clavilux.measures.diversity import Floats, distances, mean_pairwise_distance, pairwise, validate, vendi_score
from clavilux.measures.similarity import auc

_ACTIVE_VARIANCE = 0.01  # Burda et al. 2016

# Generated pictures and real art -----------------------------------------------------------------------------------


def precision_recall(real: Floats, made: Floats, k: int = 3) -> tuple[float, float]:
    """Return precision and recall (Kynkaanniemi et al. 2019) of made points (m, F) against real points (n, F).

    The ball of a point reaches to its k-th nearest neighbour among the points of its own set. Precision is the fraction
    of made points that lie in the ball of a real point. Recall is the fraction of real points that lie in the ball of a
    made point. Both are in [0, 1] and fall as F grows.
    """
    real, made = validate(real, k + 1), validate(made, k + 1)
    between = distances(real, made)
    precision = (between < _neighbour_radii(real, k)[:, None]).any(axis=0).mean()
    recall = (between < _neighbour_radii(made, k)[None]).any(axis=1).mean()
    return float(precision), float(recall)


def density_coverage(real: Floats, made: Floats, k: int = 5) -> tuple[float, float]:
    """Return density and coverage (Naeem et al. 2020) of made points (m, F) against real points (n, F).

    The ball of a real point reaches to its k-th nearest real neighbour. Density is the number of balls that contain a
    made point, divided by k and averaged over the made points; expected: 1. Coverage is the fraction of balls that
    contain at least one made point; expected: 1 - 2^-k for n = m.
    """
    real, made = validate(real, k + 1), validate(made, k + 1)
    between, radii = distances(real, made), _neighbour_radii(real, k)
    density = (between < radii[:, None]).sum(axis=0).mean() / k
    coverage = (between.min(axis=1) < radii).mean()
    return float(density), float(coverage)


def kid(real: Floats, made: Floats, *, rng: np.random.Generator, subset: int = 100, rounds: int = 50) -> float:
    """Return the mean kernel inception distance (KID) of random subsets; 0 is expected for equal distributions.

    KID is the unbiased squared maximum mean discrepancy with the kernel (x . y / F + 1)^3 (Binkowski et al. 2018). The
    points (n, F) and (m, F) must be standardised on real art. ``rounds`` random pairs of subsets are
    drawn, with ``subset`` points each.
    """
    real, made = validate(real), validate(made)
    size = min(subset, len(real), len(made))
    values = []
    for _ in range(rounds):
        x = real[rng.choice(len(real), size, replace=False)]
        y = made[rng.choice(len(made), size, replace=False)]
        kxx, kyy, kxy = (((a @ b.T) / a.shape[1] + 1.0) ** 3 for a, b in ((x, x), (y, y), (x, y)))
        off = size * (size - 1)
        values.append((kxx.sum() - np.trace(kxx)) / off + (kyy.sum() - np.trace(kyy)) / off - 2.0 * kxy.mean())
    return float(np.mean(values))


def compare_with_art(real: Floats, made: Floats, *, width: float, rng: np.random.Generator | None) -> dict[str, float]:
    """Return the diversity of made points (m, F), and how well their distribution matches real points (n, F).

    The keys are "distance" (mean pairwise distance), "effective" (Vendi score), "diversity" and "vendi" (the same two,
    divided by their values for the real points), "coverage", "recall", "precision", "density" and "kid". ``width`` is
    the `kernel_width` of the real points, for the Vendi score. ``rng`` is the random generator for the subsets of KID;
    if it is None, KID is left out.
    """
    precision, recall = precision_recall(real, made)
    density, coverage = density_coverage(real, made)
    distance, effective = mean_pairwise_distance(made), vendi_score(made, width)
    figures = {
        "distance": distance,
        "effective": effective,
        "diversity": distance / mean_pairwise_distance(real),
        "vendi": effective / vendi_score(real, width),
        "coverage": coverage,
        "recall": recall,
        "precision": precision,
        "density": density,
    }
    return figures if rng is None else figures | {"kid": kid(real, made, rng=rng)}


def memorisation(made: Floats, training: Floats) -> float:
    """Return the fraction of made points (n, F) that are suspiciously near to one of the points (m, F) of training art.

    A made point counts if its distance to the nearest training point is below the first percentile of the distances
    between a training point and the nearest other training point. Expected: 0.01.
    """
    training = validate(training)
    limit = np.percentile(_neighbour_radii(training, 1), 1)
    return float((distances(validate(made), training).min(axis=1) < limit).mean())


def _neighbour_radii(points: Floats, k: int) -> NDArray[np.float64]:
    """Return the distance (n,) of each point to its k-th nearest other point."""
    return np.asarray(np.partition(distances(points, points), k, axis=1)[:, k])  # the nearest is the point itself


# Pictures of songs; row i of each array belongs to song i ----------------------------------------------------------


def indistinguishable(points: Floats, degraded: Floats) -> int:
    """Return the number of pairs of pictures that cannot be told apart; 0 is ideal.

    ``points`` and ``degraded`` (n, F) are n pictures and their degraded copies. A pair of pictures counts if they
    are nearer to each other than each of them is to its degraded copy.
    """
    points = validate(points)
    to_copy = _row_distances(points, degraded)
    rows, columns = np.triu_indices(len(points), 1)
    return int((pairwise(points) < np.minimum(to_copy[rows], to_copy[columns])).sum())


def relative_distance(first: Floats, second: Floats, songs: Floats) -> float:
    """Return the mean distance between two pictures of a song, divided by that between pictures of different songs.

    ``first`` and ``second`` (n, F) are two pictures of each song; ``songs`` (m, F) is one picture of each of m songs.
    """
    return _ratio(_row_distances(first, second).mean(), pairwise(songs).mean())


def relative_to_degraded(first: Floats, second: Floats, points: Floats, degraded: Floats) -> tuple[float, float]:
    """Return how different two pictures of a song are, relative to a picture and its degraded copy.

    ``first`` and ``second`` (n, F) are two pictures of each song, such as those from FLAC and from MP3. ``points``
    (n, F) are the main pictures of the songs, ``degraded`` (n, F) the degraded copies of the main pictures.

    Returns
    -------
    ratio : float
        Mean distance between the two pictures, divided by that between the main picture and its degraded copy.
    moved : float
        Fraction of songs whose two pictures differ more than the main picture and its degraded copy.
    """
    apart, to_copy = _row_distances(first, second), _row_distances(points, degraded)
    return _ratio(apart.mean(), to_copy.mean()), float((apart > to_copy).mean())


def measure_variations(groups: NDArray[np.floating], degraded: Floats) -> tuple[float, float]:
    """Return how reliably variations of a song are near to each other, and how often they differ visibly.

    ``groups`` (n, k, F) are k pictures of each of n songs: the main one, then its variations. ``degraded`` (n, F) are
    degraded copies of the main pictures.

    Returns
    -------
    auc : float
        Probability that two pictures of one song are nearer to each other than two of different songs; 1 is ideal.
    changed : float
        Fraction of the pairs of pictures of one song that differ more than the main picture and its degraded copy; 1
        is ideal.
    """
    n, k, f = np.shape(groups)
    flat = validate(np.reshape(groups, (n * k, f)))
    rows, columns = np.triu_indices(n * k, 1)
    between, is_same_song = pairwise(flat), rows // k == columns // k
    to_copy = _row_distances(flat[::k], degraded)
    changed = between[is_same_song] > to_copy[rows[is_same_song] // k]
    return auc(between, is_same_song), float(changed.mean())


def _ratio(distance: float, unit: float) -> float:
    return float(distance / unit) if unit > 0 else 0.0


def _row_distances(a: Floats, b: Floats) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(validate(a) - validate(b), axis=1))


# Posteriors of the picture encoder ---------------------------------------------------------------------------------


def active_units(means: Floats) -> int:
    """Return the number of latent dimensions whose posterior mean varies between pictures.

    ``means`` (n, D) are the posterior means of n pictures. A dimension counts if their variance over the pictures is
    above 0.01 (the active units of Burda et al. 2016).
    """
    return int((np.var(means, axis=0) > _ACTIVE_VARIANCE).sum())


def kl_of_latents(means: Floats, logvars: Floats) -> NDArray[np.float64]:
    """Return the KL divergence (D,) of each latent dimension from N(0, 1), in nats, averaged over pictures.

    ``means`` and ``logvars`` (n, D) are the means and log-variances of the posteriors.
    """
    means, logvars = np.asarray(means, np.float64), np.asarray(logvars, np.float64)
    return np.asarray(0.5 * (means**2 + np.exp(logvars) - 1.0 - logvars).mean(axis=0))
