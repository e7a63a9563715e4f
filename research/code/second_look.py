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

from clavilux.painter.controls import Controls
from clavilux.painter.marks import KINDS
from clavilux.painter.paint import paint
from clavilux.training.analysis import WINDOW_PX
from clavilux.training.teacher import Teacher

_BATCH = 26
_CHUNK = 8  # pictures a job
_FLOOR = 1e-3  # deviation of a sign that no picture shows

Pixels = NDArray[np.uint8]
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Trials:
    """How far paintings of n pictures with each kind are from the pictures.

    distance : (n, n_kinds), in units of the mean over all.
    """

    distance: Float32

    def kinds(self, temperature: float) -> Float32:
        """Probability of each kind, (n, n_kinds): softmax of minus the distances."""
        return np.asarray(softmax(-self.distance / temperature, axis=1), np.float32)

    def similarity(self) -> NDArray[np.float64]:
        """Where kinds lie by how alike they look, (n_kinds, n_kinds - 1), the leading coordinates first.

        Principal components of the distances, less what a picture is far from all kinds and a kind from all pictures:
        kinds that come near the same pictures are kin.
        """
        near = -np.asarray(self.distance, np.float64)
        near -= near.mean(axis=1, keepdims=True)
        near = (near - near.mean(axis=0)) / near.std(axis=0)
        _, values, rows = np.linalg.svd(near, full_matrices=False)
        rows *= np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)])[:, None]
        places = rows.T * values / np.sqrt(len(near))
        return np.asarray(places[:, : near.shape[1] - 1])


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
    return Trials(np.asarray((by_tap / by_tap.mean(axis=(0, 1))).mean(axis=2), np.float32))


def _try_some(
    controls: Sequence[Controls], signs: list[Float32], scales: list[Float32], tarball: Path
) -> NDArray[np.float64]:
    """Distances (m, n_kinds, n_taps) of some pictures."""
    torch.set_num_threads(1)
    teacher = _teacher(tarball)
    found = np.empty((len(controls), len(KINDS), len(signs)))
    for which, told in enumerate(controls):
        seen = teacher.signs(np.stack([_paint(told, kind) for kind in KINDS]))
        for tap, (there, sign, scale) in enumerate(zip(seen, signs, scales, strict=True)):
            found[which, :, tap] = (((there - sign[which]) / scale) ** 2).mean(axis=1)
    return found


def _paint(controls: Controls, kind: str) -> Pixels:
    alone = dataclasses.replace(controls, kind=kind, second_kind=None, second_share=0.0)
    return paint(alone, width=WINDOW_PX, height=WINDOW_PX)


@lru_cache(maxsize=1)
def _teacher(tarball: Path) -> Teacher:
    return Teacher(tarball).eval()
