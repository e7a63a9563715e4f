"""Confidence intervals and standard errors of fractions, means and other statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959964  # 95 % of a normal distribution are within this many standard deviations of its mean

Index = NDArray[np.intp]


def wilson(k: int, n: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a fraction, from k successes in n independent trials (Wilson 1927).

    It is (0, 1) if n is 0.

    Raises
    ------
    ValueError
        If k is below 0 or above n.
    """
    if not 0 <= k <= n:
        raise ValueError(f"{k} of {n} is no share")
    if n == 0:
        return 0.0, 1.0
    share, square = k / n, Z_95**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    reach = Z_95 / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n**2))
    return max(0.0, middle - reach) if k else 0.0, min(1.0, middle + reach) if k < n else 1.0


def bootstrap_mean(
    values: NDArray[np.floating], *, rng: np.random.Generator, rounds: int = 2000
) -> tuple[float, float]:
    """Return the 95 % confidence interval of the mean of values (n,), from the means of `rounds` bootstrap samples."""
    values = np.asarray(values, np.float64)
    means = values[rng.integers(len(values), size=(rounds, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def half_sample_errors(
    measure: Callable[[Index], Mapping[str, float]], n: int, *, rng: np.random.Generator, rounds: int = 60
) -> dict[str, float]:
    """Return the standard errors, by name, of statistics of n songs.

    The standard error of a statistic is its standard deviation over random halves of the songs, drawn without
    replacement (the delete-half jackknife, Shao & Wu 1989). Statistics that are missing in any of the halves are
    left out.

    Parameters
    ----------
    measure : callable
        Function from an array of song indices to the statistics of these songs, name -> value.
    n : int
        Number of songs.
    rng : numpy Generator
        Source of the random halves.
    rounds : int
        Number of random halves.
    """
    # A bootstrap sample would have several copies of a song. Their pictures have distance 0, which would bias all
    # measures of pairs.
    found = [measure(np.sort(rng.permutation(n)[: n // 2])) for _ in range(rounds)]
    names = [name for name in found[0] if all(name in figures for figures in found)]
    return {name: float(np.std([figures[name] for figures in found], ddof=1)) for name in names}
