"""Does the right thing change when one thing of the music changes?

controlled pairs (`clavilux.evaluation.synth`) -> codes -> latents -> paintings -> **share of right signs**

Each axis names the correspondences (`clavilux.measures.crossmodal`) whose visual side must rise from the first signal
to the second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clavilux.evaluation.songs import Float32, measure_sound
from clavilux.evaluation.synth import VOICES, combined_pairs, controlled_pairs
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
    """Axes of the pairs, and the codes (pairs, 2, S) of each bundle: ``low`` and ``high``."""
    parts = run_calls((partial(_measure_voice, voice, tuple(bundles)) for voice in VOICES), jobs=jobs)
    axes = [axis for part in parts for axis in part[0]]
    return axes, {bundle: np.concatenate([part[1][bundle] for part in parts]) for bundle in bundles}


def right_signs(
    axes: Sequence[str],
    low: Mapping[str, NDArray[np.floating]],
    high: Mapping[str, NDArray[np.floating]],
    spread: Mapping[str, NDArray[np.floating]],
) -> dict[str, float]:
    """Share of guides that rise, for each axis; ``alone`` is the mean of the six axes on which one thing changes.

    Parameters
    ----------
    axes : (n,) names.
    low, high : traits (n,) of the paintings of the pairs.
    spread : traits of many paintings, whose deviations are the units of each trait.
    """
    correspondences = {correspondence.name: correspondence for correspondence in CORRESPONDENCES}
    right: dict[str, list[bool]] = {}
    for i, axis in enumerate(axes):
        for name in EXPECTED[axis]:
            rise = sum(
                weight * (high[image_feature][i] - low[image_feature][i]) / (np.std(spread[image_feature]) + 1e-9)
                for image_feature, weight in correspondences[name].seen.items()
            )
            right.setdefault(axis, []).append(bool(rise > 0))
    shares = {axis: float(np.mean(found)) for axis, found in right.items()}
    return {"alone": float(np.mean([share for axis, share in shares.items() if axis != "together"])), **shares}


def _measure_voice(voice: str, bundles: tuple[str, ...]) -> tuple[list[str], dict[str, Float32]]:
    with threadpool_limits(1):
        pairs = [*controlled_pairs([voice]), *combined_pairs([voice])]
        heard = [(measure_sound(pair.low, bundles), measure_sound(pair.high, bundles)) for pair in pairs]
        codes = {b: np.stack([np.stack([low[b], high[b]]) for low, high in heard]) for b in bundles}
        return [pair.axis for pair in pairs], codes
