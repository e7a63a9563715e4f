"""Measures of how well the distribution of generated pictures matches that of real art.

`real` (n, F) and `made` (m, F) are points of real and of generated pictures in one space. Compare values only at equal
n and m. "Expected" is the value if both are drawn from the same distribution.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clavilux.measures.diversity import Floats, distances, mean_pairwise_distance, validate, vendi_score

RECALL_NEIGHBOURS = 3
COVERAGE_NEIGHBOURS = 5


def neighbour_radii(points: Floats, k: int) -> NDArray[np.float64]:
    """Return the Euclidean distance (n,) of each point, of (n, F), to its k-th nearest other point."""
    within = distances(points, points)
    return np.asarray(np.partition(within, k, axis=1)[:, k])  # the nearest is the point itself


def precision_recall(real: Floats, made: Floats, k: int = RECALL_NEIGHBOURS) -> tuple[float, float]:
    """Return precision and recall (Kynkaanniemi et al. 2019) of made points (m, F) against real points (n, F).

    Precision is the fraction of made points within the k-th-neighbour ball of a real point. Recall is the fraction of
    real points within the k-th-neighbour ball of a made point. Both are in [0, 1] and fall as F grows.
    """
    real, made = validate(real, k + 1), validate(made, k + 1)
    between = distances(real, made)
    precision = (between < neighbour_radii(real, k)[:, None]).any(axis=0).mean()
    recall = (between < neighbour_radii(made, k)[None]).any(axis=1).mean()
    return float(precision), float(recall)


def density_coverage(real: Floats, made: Floats, k: int = COVERAGE_NEIGHBOURS) -> tuple[float, float]:
    """Return density and coverage (Naeem et al. 2020) of made points (m, F) against real points (n, F).

    Density is the mean number of k-th-neighbour balls of real points that a made point is in, divided by k; expected:
    1. Coverage is the fraction of real points that have a made point within their ball; expected: 1 - 2^-k for n = m.
    """
    real, made = validate(real, k + 1), validate(made, k + 1)
    between, radii = distances(real, made), neighbour_radii(real, k)
    density = (between < radii[:, None]).sum(axis=0).mean() / k
    coverage = (between.min(axis=1) < radii).mean()
    return float(density), float(coverage)


def kid(
    real: Floats, made: Floats, *, rng: np.random.Generator, subset: int = 100, rounds: int = 50
) -> tuple[float, float]:
    """Return mean and standard deviation of the kernel inception distance (KID) over random subsets; expected mean: 0.

    KID is the unbiased squared maximum mean discrepancy with the kernel (x . y / F + 1)^3 (Binkowski et al. 2018). The
    points (n, F) and (m, F) must be standardised on real art. ``rounds`` pairs of subsets of ``subset`` points are
    drawn.
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
    return float(np.mean(values)), float(np.std(values))


def compare_clouds(real: Floats, made: Floats, *, width: float, rng: np.random.Generator | None) -> dict[str, float]:
    """Return all measures of this module for made points against real points, and measures of their diversity.

    Parameters
    ----------
    real, made : (n, F), (m, F)
    width : float
        Kernel width of the Vendi score: `kernel_width` of the real points.
    rng : numpy Generator or None
        Random generator for the subsets of KID; with None, KID is left out.

    Returns
    -------
    dict
        "distance": mean pairwise distance; "effective": Vendi score; "diversity" and "vendi": these two, divided by
        the values of the real points; "coverage", "recall", "precision", "density", "kid".
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
    return figures if rng is None else figures | {"kid": kid(real, made, rng=rng)[0]}
