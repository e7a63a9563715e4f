"""The fraction of controlled pairs whose paintings change in the expected direction.

The two signals of a pair differ in one property, such as tempo (`controlled_pairs.py`). `EXPECTED` names the
correspondences (`clavilux.measures.crossmodal`) whose image features must rise from the signal `low` to `high`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clavilux.evaluation.controlled_pairs import VOICES, Tune, combined_pairs, controlled_pairs, draw_tune
from clavilux.evaluation.songs import Float32, measure_sound
from clavilux.measures.crossmodal import CORRESPONDENCES
from clavilux.measures.intervals import wilson
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


TUNES = 2  # drawn for an evaluation


def measure_pairs(bundles: Sequence[str], *, seed: int, jobs: int) -> tuple[list[str], dict[str, Float32]]:
    """Return the axes of n controlled pairs, and their song codes.

    Parameters
    ----------
    bundles : sequence of str
        Names or folders.
    seed : int
        Random seed of the `TUNES` tunes.
    jobs : int
        Number of worker processes; -1 for one per core.

    Returns
    -------
    axes : list of str
        Axis of each pair.
    codes : dict
        Bundle -> song codes (n, 2, S) of the signals `low` and `high` of each pair.
    """
    rng = np.random.default_rng([seed, 24])  # 24: a stream of its own
    tunes = [draw_tune(rng) for _ in range(TUNES)]
    calls = (partial(_measure_voice, voice, tune, tuple(bundles)) for tune in tunes for voice in VOICES)
    parts = run_calls(calls, jobs=jobs)
    axes = [axis for part in parts for axis in part[0]]
    return axes, {bundle: np.concatenate([part[1][bundle] for part in parts]) for bundle in bundles}


def right_signs(
    axes: Sequence[str],
    low: Mapping[str, NDArray[np.floating]],
    high: Mapping[str, NDArray[np.floating]],
    spread: Mapping[str, NDArray[np.floating]],
) -> dict[str, float]:
    """Return the fraction of the expected correspondences that rise, by axis, with 95 % Wilson intervals.

    The key ``alone`` has the fraction over all axes on which one property changes. KEY_low and KEY_high are the ends of
    the interval of KEY. On the axis ``together``, several correspondences belong to one pair, so its interval is too
    narrow.

    Parameters
    ----------
    axes : sequence of str
        Axis of each of n pairs.
    low, high : mapping of str to (n,)
        Image features of the paintings of the two signals of each pair.
    spread : mapping of str to (m,)
        Image features of many paintings; the standard deviation of each feature is its unit.
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
    alone = [right for axis, each in is_right.items() if axis != "together" for right in each]
    figures: dict[str, float] = {}
    for key, each in {"alone": alone, **is_right}.items():
        figures[key] = float(np.mean(each))
        figures[f"{key}_low"], figures[f"{key}_high"] = wilson(sum(each), len(each))
    return figures


def _measure_voice(voice: str, tune: Tune, bundles: tuple[str, ...]) -> tuple[list[str], dict[str, Float32]]:
    with threadpool_limits(1):
        pairs = [*controlled_pairs([voice], tune), *combined_pairs([voice], tune)]
        measured = [(measure_sound(pair.low, bundles), measure_sound(pair.high, bundles)) for pair in pairs]
        codes = {b: np.stack([np.stack([low[b], high[b]]) for low, high in measured]) for b in bundles}
        return [pair.axis for pair in pairs], codes
