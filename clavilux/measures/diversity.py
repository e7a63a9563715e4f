"""Measures of how different the pictures of a set are from each other.

Each picture is a point, a row of an array (n, F), as in the spaces of `clavilux.evaluation.evaluators`. The Euclidean
distance between two points says how different the two pictures look. Values can only be compared between sets of the
same size n.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def validate(points: Floats, least: int = 2) -> NDArray[np.float64]:
    """Return points (n, F) as float64, after checks.

    Raises
    ------
    ValueError
        If the array does not have two dimensions, n is below `least`, or a value is not finite.
    """
    checked = np.asarray(points, np.float64)
    if checked.ndim != 2 or len(checked) < least:
        raise ValueError(f"points have shape {checked.shape}; they are (n, F) with n of at least {least}")
    if not np.isfinite(checked).all():
        raise ValueError("points are not finite everywhere")
    return checked


def distances(a: Floats, b: Floats) -> NDArray[np.float64]:
    """Return the Euclidean distances (n, m) between points `a` (n, F) and points `b` (m, F)."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    square = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2.0 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))


def pairwise(points: Floats) -> NDArray[np.float64]:
    """Return the distances (n (n - 1) / 2,) of all pairs of points (n, F), as `triu_indices(n, 1)` orders them."""
    return distances(validate(points), points)[np.triu_indices(len(points), 1)]


def mean_pairwise_distance(points: Floats) -> float:
    """Return the mean Euclidean distance over all pairs of points (n, F)."""
    return float(pairwise(points).mean())


def kernel_width(reference: Floats) -> float:
    """Return the kernel width for `vendi_score`: the median distance over all pairs of points (n, F) of real art."""
    return float(np.median(pairwise(reference)))


def vendi_score(points: Floats, width: float) -> float:
    """Return the Vendi score of order 2 of points (n, F): the effective number of different pictures, from 1 to n.

    It is 1 / sum_k(l_k^2), where l_k are the eigenvalues of K / n with K_ij = exp(-|x_i - x_j|^2 / (2 width^2))
    (Friedman & Dieng 2023; order 2: Pasarkar & Dieng 2024). As n grows, the score of order 2 converges, unlike the
    score of order 1.
    """
    points = validate(points)
    kernel = np.exp(-0.5 * (distances(points, points) / width) ** 2)
    # The sum of squared eigenvalues of a symmetric matrix is its squared Frobenius norm.
    return float(len(points) ** 2 / (kernel**2).sum())
