"""Kinds of marks by trial: paint a picture with each kind, and keep those that look most like it.

    windows of real pictures, controls of their latents -> paintings with every kind -> `Teacher` -> **here** -> kinds

The eye has learnt on our own paintings, where one of the kinds is always right. A real picture has none of them, and
what the eye then names is what happens to trigger it. Here the question is put the other way: which of the kinds,
painted over the same plan in the same colours, comes nearest to the picture, to a network that knows pictures?
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.special import softmax

from clavilux.constants import FREQUENCY_RANGE
from clavilux.controls import Controls
from clavilux.marks import KINDS
from clavilux.painter import paint
from clavilux.training.analysis import WINDOW_PX
from clavilux.training.teacher import Teacher

FACTORS = (0.6, 1.0, 1.6)  # of the frequency that was read
_TRIED = 3  # kinds that are tried at other frequencies: the best ones at the frequency that was read
_BATCH = 26
_CHUNK = 8  # pictures a job
_FLOOR = 1e-3  # deviation of a sign that no picture shows

Pixels = NDArray[np.uint8]
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Trials:
    """How far paintings of n pictures with each kind, at each of `FACTORS`, are from the pictures.

    distance : (n, n_kinds, 3), in units of the mean over all that was tried; infinite where it was not tried.
    """

    distance: Float32

    def kinds(self, temperature: float) -> Float32:
        """Probability of each kind, (n, n_kinds): softmax of minus the distances at the best frequency."""
        return np.asarray(softmax(-self.distance.min(axis=2) / temperature, axis=1), np.float32)

    def factors(self) -> Float32:
        """Factor of the frequency that goes with the nearest painting, (n,)."""
        best = self.distance.reshape(len(self.distance), -1).argmin(axis=1)
        return np.asarray(np.array(FACTORS, np.float32)[best % len(FACTORS)], np.float32)


def try_kinds(windows: Pixels, controls: Sequence[Controls], tarball: Path, *, jobs: int) -> Trials:
    """Paint windows (n, 128, 128, 3) by their controls with each kind, and compare.

    Raises
    ------
    TrainingError
        `tarball` is not the teacher's.
    """
    teacher = _teacher(tarball)
    parts = [teacher.signs(windows[i : i + _BATCH]) for i in range(0, len(windows), _BATCH)]
    signs = [np.concatenate(part) for part in zip(*parts, strict=True)]
    scales = [np.maximum(sign.std(axis=0), _FLOOR) for sign in signs]
    chunks = [slice(i, i + _CHUNK) for i in range(0, len(windows), _CHUNK)]
    found = Parallel(n_jobs=jobs)(
        delayed(_try_some)(controls[chunk], [sign[chunk] for sign in signs], scales, tarball) for chunk in chunks
    )
    by_tap = np.concatenate(found)
    # Each tap counts alike, however many channels it has and however far it tells pictures apart.
    tried = np.isfinite(by_tap)
    units = [by_tap[..., tap][tried[..., tap]].mean() for tap in range(by_tap.shape[-1])]
    return Trials(np.asarray((by_tap / np.array(units)).mean(axis=-1), np.float32))


def _try_some(
    controls: Sequence[Controls], signs: list[Float32], scales: list[Float32], tarball: Path
) -> NDArray[np.float64]:
    """Distances (m, n_kinds, n_factors, n_taps) of some pictures."""
    torch.set_num_threads(1)
    teacher = _teacher(tarball)
    found = np.full((len(controls), len(KINDS), len(FACTORS), len(signs)), np.inf)

    def distances(which: int, paintings: list[Pixels]) -> NDArray[np.float64]:
        seen = teacher.signs(np.stack(paintings))
        return np.stack(
            [
                (((there - sign[which]) / scale) ** 2).mean(axis=1)
                for there, sign, scale in zip(seen, signs, scales, strict=True)
            ],
            axis=1,
        )

    middle = FACTORS.index(1.0)
    for which, told in enumerate(controls):
        found[which, :, middle] = distances(which, [_paint(told, kind, 1.0) for kind in KINDS])
        best = np.argsort(found[which, :, middle].sum(axis=1))[:_TRIED]
        pairs = [(kind, factor) for kind in best for factor in range(len(FACTORS)) if factor != middle]
        again = distances(which, [_paint(told, KINDS[kind], FACTORS[factor]) for kind, factor in pairs])
        for (kind, factor), distance in zip(pairs, again, strict=True):
            found[which, kind, factor] = distance
    return found


def _paint(controls: Controls, kind: str, factor: float) -> Pixels:
    low, high = FREQUENCY_RANGE
    changed = dataclasses.replace(
        controls,
        kind=kind,
        second_kind=None,
        second_share=0.0,
        frequency=min(max(controls.frequency * factor, low), high),
    )
    return paint(changed, width=WINDOW_PX, height=WINDOW_PX)


@lru_cache(maxsize=1)
def _teacher(tarball: Path) -> Teacher:
    return Teacher(tarball).eval()
