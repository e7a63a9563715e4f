"""Measures of how well the distribution of generated pictures matches that of real art.

`real` (n, F) and `made` (m, F) are points of one space. Compare values only at equal n and m. Each docstring gives the
value that is expected if both are drawn from one distribution.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clavilux.measures.diversity import Floats, distances, mean_pairwise_distance, validate, vendi_score

RECALL_NEIGHBOURS = 3
COVERAGE_NEIGHBOURS = 5


def neighbour_radii(points: Floats, k: int) -> NDArray[np.float64]:
    """Return the distance of each point to its k-th nearest other point: (n,)."""
    within = distances(points, points)
    return np.asarray(np.partition(within, k, axis=1)[:, k])  # the nearest is the point itself


def precision_recall(real: Floats, made: Floats, k: int = RECALL_NEIGHBOURS) -> tuple[float, float]:
    """Return precision and recall (Kynkaanniemi et al. 2019); both fall as the dimension of the space grows.

    Precision is the share of made points within the k-th-neighbour ball of a real point, recall the reverse.
    """
    real, made = validate(real, k + 1), validate(made, k + 1)
    between = distances(real, made)
    precision = (between < neighbour_radii(real, k)[:, None]).any(axis=0).mean()
    recall = (between < neighbour_radii(made, k)[None]).any(axis=1).mean()
    return float(precision), float(recall)


def density_coverage(real: Floats, made: Floats, k: int = COVERAGE_NEIGHBOURS) -> tuple[float, float]:
    """Return density and coverage (Naeem et al. 2020); expected: 1, and 1 - 2^-k for n = m.

    Density is the mean number of k-th-neighbour balls of real points around a made point, over k. Coverage is the share
    of real points with a made point within their ball.
    """
    real, made = validate(real, k + 1), validate(made, k + 1)
    between, radii = distances(real, made), neighbour_radii(real, k)
    density = (between < radii[:, None]).sum(axis=0).mean() / k
    coverage = (between.min(axis=1) < radii).mean()
    return float(density), float(coverage)


def kid(
    real: Floats, made: Floats, *, rng: np.random.Generator, subset: int = 100, rounds: int = 50
) -> tuple[float, float]:
    """Return mean and standard deviation over random subsets of the kernel inception distance; expected: 0.

    The unbiased squared maximum mean discrepancy with the kernel (x . y / F + 1)^3 (Binkowski et al. 2018). The points
    must be standardised on real art, so that the values of one space can be compared.
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
    """Return all measures of made points against real ones.

    Parameters
    ----------
    real, made : (n, F)
    width : float
        Kernel width of the Vendi score: `kernel_width` of the real points.
    rng : numpy Generator or None
        Draws the subsets of KID; without it, KID is left out.

    Returns
    -------
    dict
        distance and effective (mean distance, Vendi score); diversity and vendi, which are the same divided by those of
        the real points; coverage, recall, precision, density, kid.
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
