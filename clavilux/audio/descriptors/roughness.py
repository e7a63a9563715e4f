"""Roughness of a song."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


def measure_roughness(hz: Float32, amplitude: Float32) -> float:
    """Return the roughness of a song: how strongly partials within a critical band beat with each other.

    ``hz`` (L, P) and ``amplitude`` (L, P) are the frequencies and linear amplitudes of P partials in L frames.

    The roughness of a frame is the sum of a_i a_j g(d) over the unordered pairs of partials, divided by the sum of the
    a_i^2. Here, a_i is the amplitude of partial i, and d is the frequency difference of a pair divided by the critical
    bandwidth, 1.72 f^0.65 Hz, at their mean frequency f. g(d) is (4 d exp(1 - 4 d))^2 below 1.2, with its maximum of 1
    at 0.25, and 0 from 1.2 on (Plomp & Levelt 1965; Hutchinson & Knopoff 1978). The result is the square root of the
    mean over frames; 0 without frames.
    """
    # Without the square root, a few songs of dense noise would be outliers.
    if not len(hz):
        return 0.0
    total = 0.0
    for first in range(0, len(hz), 256):  # 24 x 24 pairs per frame: pieces that fit in the cache
        f, a = hz[first : first + 256], amplitude[first : first + 256]
        critical_band = np.float32(1.72) * (np.float32(0.5) * (f[:, :, None] + f[:, None, :])) ** np.float32(0.65)
        distance = np.abs(f[:, :, None] - f[:, None, :]) / critical_band
        quarter = distance * np.float32(4)
        beating = np.where(distance < 1.2, np.square(quarter * np.exp(1 - quarter)), np.float32(0))
        # The matrix contains every pair twice.
        total += float((0.5 * np.einsum("ti,tij,tj->t", a, beating, a) / np.square(a).sum(axis=1)).sum())
    return math.sqrt(total / len(hz))
