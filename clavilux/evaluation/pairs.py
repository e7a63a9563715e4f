"""Share of controlled pairs whose paintings change in the expected direction.

The two signals of a pair differ in one property, such as tempo (`controlled_pairs.py`). `EXPECTED` names the
correspondences (`clavilux.measures.crossmodal`) whose image features must rise from the first signal to the second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clavilux.evaluation.controlled_pairs import VOICES, combined_pairs, controlled_pairs
from clavilux.evaluation.songs import Float32, measure_sound
from clavilux.measures.crossmodal import CORRESPONDENCES
from clavilux.system.jobs import run_calls

EXPECTED: dict[str, tuple[str, ...]] = {
    "tempo": ("onset_rate",),
    "mode": ("valence",),
    "register": ("register",),
    "harshness": ("harshness",),
    "loudness": ("arousal",),
    "density": ("onset_rate",),
    "together": ("arousal", "valence", "onset_rate", "register", "harshness"),
}


def measure_pairs(bundles: Sequence[str], *, jobs: int) -> tuple[list[str], dict[str, Float32]]:
    """Return the axis of each of n pairs, and the song codes (n, 2, S) of each bundle, `low` and `high` of a pair."""
    parts = run_calls((partial(_measure_voice, voice, tuple(bundles)) for voice in VOICES), jobs=jobs)
    axes = [axis for part in parts for axis in part[0]]
    return axes, {bundle: np.concatenate([part[1][bundle] for part in parts]) for bundle in bundles}


def right_signs(
    axes: Sequence[str],
    low: Mapping[str, NDArray[np.floating]],
    high: Mapping[str, NDArray[np.floating]],
    spread: Mapping[str, NDArray[np.floating]],
) -> dict[str, float]:
    """Return the share of expected correspondences that rise, for each axis.

    The key ``alone`` is the mean of the axes on which one property changes.

    Parameters
    ----------
    axes : (n,) names
    low, high : dict
        Image features (n,) of the paintings of the two signals of each pair.
    spread : dict
        Image features (m,) of many paintings, whose standard deviations are the units of each feature.
    """
    correspondences = {correspondence.name: correspondence for correspondence in CORRESPONDENCES}
    is_right: dict[str, list[bool]] = {}
    for i, axis in enumerate(axes):
        for name in EXPECTED[axis]:
            rise = sum(
                weight * (high[feature][i] - low[feature][i]) / (np.std(spread[feature]) + 1e-9)
                for feature, weight in correspondences[name].image_features.items()
            )
            is_right.setdefault(axis, []).append(bool(rise > 0))
    shares = {axis: float(np.mean(each)) for axis, each in is_right.items()}
    return {"alone": float(np.mean([share for axis, share in shares.items() if axis != "together"])), **shares}


def _measure_voice(voice: str, bundles: tuple[str, ...]) -> tuple[list[str], dict[str, Float32]]:
    with threadpool_limits(1):
        pairs = [*controlled_pairs([voice]), *combined_pairs([voice])]
        measured = [(measure_sound(pair.low, bundles), measure_sound(pair.high, bundles)) for pair in pairs]
        codes = {b: np.stack([np.stack([low[b], high[b]]) for low, high in measured]) for b in bundles}
        return [pair.axis for pair in pairs], codes
