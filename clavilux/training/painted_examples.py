"""Painted examples: paintings with known controls, the training data of the mark classifier.

Plans and palettes come from real pictures. Plans are blurred at random, so that the composition is realistic and all
detail comes from the marks. Kinds, frequency, angle, chaos, paint and surface are random and known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import DETAIL_RANGE, FREQUENCY_RANGE, PAINT, PLAN_SIDE, SHAPES_RANGE, SURFACE_NAMES
from clavilux.painter.controls import Controls
from clavilux.painter.marks import KINDS
from clavilux.painter.paint import paint
from clavilux.system.jobs import run_calls
from clavilux.training.analysis import WINDOW_PX, Windows

_CHAOS = (0.3, 1.25)  # below, marks are invisible; above, the plan is
_FREQUENCY = (3.5, FREQUENCY_RANGE[1])  # fewer marks do not make a texture that could be recognised
_TWO_KINDS = 0.5  # share of pictures with two kinds
_SECOND_WEIGHT = 0.4  # weight of the smaller marks in what is to be recognised
_WITH_PROPERTY = 0.6  # share of pictures with softness, glaze, brush or outlines, each
_EXPONENT = 1.5  # small amounts of these are more frequent
_BLUR_CELLS = (1.0, 7.0)  # standard deviation of the blur, log-uniform

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class PaintedExamples:
    """n paintings with known marks.

    Attributes
    ----------
    pictures : (n, 128, 128, 3) uint8
        sRGB.
    kind : (n, n_kinds)
        Weight of each kind of marks, in the order of ``KINDS``; the weights of a picture sum to 1.
    log_frequency : (n,)
        Natural logarithm of the number of marks along the short side.
    angle : (n,)
        In turns, in [0, 0.5), as in `Controls`.
    chaos : (n,)
        In ``CHAOS_RANGE``.
    paint : (n, 4)
        Softness, glaze, brush and outline, each scaled so that its range is [0, 1].
    surface : (n,)
        Index in ``SURFACE_NAMES``.
    """

    pictures: NDArray[np.uint8]
    kind: Float32
    log_frequency: Float32
    angle: Float32
    chaos: Float32
    paint: Float32
    surface: NDArray[np.int64]


def paint_examples(windows: Windows, n: int, *, seed: int, jobs: int) -> PaintedExamples:
    """Return n painted examples with random marks, and the plans and palettes of random windows.

    ``jobs`` is the number of worker processes, -1 for one per core.
    """
    controls_list = [_draw(windows, seed, index) for index in range(n)]
    calls = (partial(_paint_example, controls, seed + index) for index, controls in enumerate(controls_list))
    pictures = run_calls(calls, jobs=jobs)
    return PaintedExamples(
        np.stack(pictures),
        np.stack([_areas(c) for c in controls_list]),
        np.array([math.log(c.frequency) for c in controls_list], np.float32),
        np.array([c.angle for c in controls_list], np.float32),
        np.array([c.chaos for c in controls_list], np.float32),
        np.array(
            [[(getattr(c, name) - low) / (high - low) for name, (low, high) in PAINT.items()] for c in controls_list],
            np.float32,
        ),
        np.array([SURFACE_NAMES.index(c.surface) for c in controls_list]),
    )


def blur_plan(shares: Float32, sigma_cells: float) -> Float32:
    """Return shares (8, 32, 32) after a Gaussian blur with a standard deviation in cells; edges are repeated.

    If the eight shares of each cell sum to 1, so do the results.
    """
    at = np.arange(PLAN_SIDE)
    # Each row holds the weights of one cell's neighbours; beyond the edge the last cell is repeated.
    weights = np.zeros((PLAN_SIDE, PLAN_SIDE), np.float32)
    reach = int(4 * sigma_cells) + 1
    for offset in range(-reach, reach + 1):
        weight = math.exp(-0.5 * (offset / sigma_cells) ** 2)
        np.add.at(weights, (at, np.clip(at + offset, 0, PLAN_SIDE - 1)), weight)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(np.einsum("ij,kjl,ml->kim", weights, shares, weights), np.float32)


def _draw(windows: Windows, seed: int, index: int) -> Controls:
    rng = np.random.default_rng([seed, index])
    which = int(rng.integers(len(windows.palettes)))
    sigma = _log_uniform(rng, *_BLUR_CELLS)
    frequency = _log_uniform(rng, *_FREQUENCY)
    paint: dict[str, Any] = {name: _random_amount(rng, *bounds) for name, bounds in PAINT.items()}
    shares = blur_plan(windows.shares[which].astype(np.float32) / 255, sigma)
    return Controls(
        palette=windows.palettes[which],
        plan=np.log(np.maximum(shares, 1e-3)),
        kind=KINDS[index % len(KINDS)],
        frequency=frequency,
        angle=rng.uniform(0.0, 0.5),
        chaos=rng.uniform(*_CHAOS),
        second_kind=KINDS[int(rng.integers(len(KINDS)))] if rng.random() < _TWO_KINDS else None,
        surface=SURFACE_NAMES[int(rng.integers(len(SURFACE_NAMES)))],
        shapes=_log_uniform(rng, *SHAPES_RANGE),
        detail=rng.uniform(*DETAIL_RANGE),
        **paint,
    )


def _random_amount(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a random amount of a property of the surface, often none."""
    amount = high * rng.random() ** _EXPONENT if rng.random() < _WITH_PROPERTY else 0.0
    return -amount if low < 0 and rng.random() < 0.5 else amount


def _areas(controls: Controls) -> Float32:
    """Return the weight of each kind of marks, (n_kinds,)."""
    areas = np.zeros(len(KINDS), np.float32)
    areas[KINDS.index(controls.kind)] += 1 - _SECOND_WEIGHT
    areas[KINDS.index(controls.second_kind or controls.kind)] += _SECOND_WEIGHT
    return areas


def _paint_example(controls: Controls, seed: int) -> NDArray[np.uint8]:
    return paint(controls, width=WINDOW_PX, height=WINDOW_PX, seed=seed)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))
