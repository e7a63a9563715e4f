"""Studies: our own paintings with known controls, from which the eye learns to read marks.

Plan and palette come from real pictures, blurred to a random degree, so that the composition is real and the marks fill
in what the blur took away; kinds, frequency, angle, chaos and surface are drawn, and known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import FREQUENCY_RANGE, PLAN_SIDE, SURFACE
from clavilux.painter.controls import Controls
from clavilux.painter.marks import KINDS
from clavilux.painter.paint import LINE_TO_MARK, paint
from clavilux.system.jobs import run_calls
from clavilux.training.analysis import WINDOW_PX, Windows

_CHAOS = (0.3, 1.25)  # below, no marks are seen; above, no plan
_FREQUENCY = (3.5, FREQUENCY_RANGE[1])  # fewer marks than this are no texture, and nobody could name them
_TWO_KINDS, _SECOND_SHARE = 0.5, (0.15, 0.5)  # pictures with two kinds, and the area of the second
_WORKED = 0.6  # pictures that have softness, glaze, brush or outlines, each
_BARE = 1.5  # little of these is commoner than much
_BLUR_CELLS = (1.0, 7.0)  # deviation of the blur, drawn evenly in the logarithm

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class PaintedExamples:
    """n paintings with known marks.

    pictures : (n, 128, 128, 3) uint8.
    kind : (n, n_kinds) float32, the area of each kind. log_frequency, angle (turns), chaos : (n,) float32.
    surface : (n, 4) float32 in [0, 1], softness, glaze, brush and outline within their ranges.
    """

    pictures: NDArray[np.uint8]
    kind: Float32
    log_frequency: Float32
    angle: Float32
    chaos: Float32
    surface: Float32


def paint_examples(windows: Windows, n: int, *, seed: int, jobs: int) -> PaintedExamples:
    """Paint n studies over the plans and palettes of these windows."""
    drawn = [_draw(windows, seed, index) for index in range(n)]
    calls = (partial(_paint_study, controls, seed + index) for index, controls in enumerate(drawn))
    pictures = run_calls(calls, jobs=jobs)
    return PaintedExamples(
        np.stack(pictures),
        np.stack([_areas(c) for c in drawn]),
        np.array([math.log(c.frequency) for c in drawn], np.float32),
        np.array([c.angle for c in drawn], np.float32),
        np.array([c.chaos for c in drawn], np.float32),
        np.array(
            [[(getattr(c, name) - low) / (high - low) for name, (low, high) in SURFACE.items()] for c in drawn],
            np.float32,
        ),
    )


def blur_plan(shares: Float32, sigma_cells: float) -> Float32:
    """Gaussian blur of shares (8, 32, 32) by a deviation in cells, edges held; still sums to 1."""
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
    surface = {name: _worked(rng, *bounds) for name, bounds in SURFACE.items()}
    widest = 100 * LINE_TO_MARK / frequency  # what is not painted cannot be read
    surface["outline"] = min(max(surface["outline"], -widest), widest)
    shares = blur_plan(windows.shares[which].astype(np.float32) / 255, sigma)
    return Controls(
        palette=windows.palettes[which],
        plan=np.log(np.maximum(shares, 1e-3)),
        kind=KINDS[index % len(KINDS)],
        frequency=frequency,
        angle=rng.uniform(0.0, 0.5),
        chaos=rng.uniform(*_CHAOS),
        second_kind=KINDS[int(rng.integers(len(KINDS)))],
        second_share=rng.uniform(*_SECOND_SHARE) if rng.random() < _TWO_KINDS else 0.0,
        **surface,
    )


def _worked(rng: np.random.Generator, low: float, high: float) -> float:
    """None of a property of the surface, or some."""
    amount = high * rng.random() ** _BARE if rng.random() < _WORKED else 0.0
    return -amount if low < 0 and rng.random() < 0.5 else amount


def _areas(controls: Controls) -> Float32:
    """Share of the picture that each kind of marks covers, (n_kinds,)."""
    areas = np.zeros(len(KINDS), np.float32)
    for kind, area in zip(controls.kinds, (1 - controls.second_area, controls.second_area), strict=False):
        areas[KINDS.index(kind)] += area
    return areas


def _paint_study(controls: Controls, seed: int) -> NDArray[np.uint8]:
    return paint(controls, width=WINDOW_PX, height=WINDOW_PX, seed=seed)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))
