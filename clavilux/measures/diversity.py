"""Are the pictures different from each other?

Conventions: pictures are points (n, F) of a space in which Euclidean distance means how different they look
(`clavilux.evaluation.evaluator_b`). Compare figures at equal n only.

Measures
    mean_pairwise_distance   0 when all pictures are the same; no upper bound; read it over that of real art
    vendi_score              effective number of different pictures, 1 (all the same) to n; order 2
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def validate(points: Floats, least: int = 2) -> NDArray[np.float64]:
    """Points as (n, F) float64; a `ValueError` where they are too few, of another shape or not finite."""
    checked = np.asarray(points, np.float64)
    if checked.ndim != 2 or len(checked) < least:
        raise ValueError(f"points have shape {checked.shape}; they are (n, F) with n of at least {least}")
    if not np.isfinite(checked).all():
        raise ValueError("points are not finite everywhere")
    return checked


def distances(a: Floats, b: Floats) -> NDArray[np.float64]:
    """Euclidean distances of all pairs: (n, F), (m, F) -> (n, m)."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    square = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2.0 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))


def pairwise(points: Floats) -> NDArray[np.float64]:
    """Distances of the n (n - 1) / 2 pairs, in the order of `numpy.triu_indices`."""
    return distances(points, points)[np.triu_indices(len(points), 1)]


def mean_pairwise_distance(points: Floats) -> float:
    """Mean distance of two different pictures."""
    return float(pairwise(validate(points)).mean())


def kernel_width(reference: Floats) -> float:
    """Width of the Gaussian kernel of `vendi_score`: the median distance of real pictures, fixed once for all sides."""
    return float(np.median(pairwise(validate(reference))))


def vendi_score(points: Floats, width: float) -> float:
    """Vendi score of order 2 (Friedman & Dieng 2023; order 2: Pasarkar & Dieng 2024).

    1 / sum of squared eigenvalues of K / n, with K_ij = exp(-|x_i - x_j|^2 / (2 width^2)). Order 2 converges with the
    number of pictures, order 1 does not.
    """
    points = validate(points)
    kernel = np.exp(-0.5 * (distances(points, points) / width) ** 2)
    # The sum of squared eigenvalues of a symmetric matrix is its squared Frobenius norm.
    return float(len(points) ** 2 / (kernel**2).sum())
