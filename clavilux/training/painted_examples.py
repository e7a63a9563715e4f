"""Paint the training data of the mark classifier: examples with known controls.

Palettes and plans (the shares of the palette colours in each cell) come from real pictures, so that compositions are
realistic. Each plan is blurred by a random amount, so that all fine detail in the picture comes from the marks. The
first kind of marks is each kind in turn; all other controls are random.

There are two sorts of examples. Paintings have figures, calm areas and brushwork, which show surfaces; each painting
gives five examples: the whole at half its size, and its four quarters. In bare pictures, marks of one kind cover
everything in flat colours, because in paintings they are hard to see; they are also much faster to paint.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import DETAIL_RANGE, FREQUENCY_RANGE, PAINT, PLAN_SIDE, SHAPES_RANGE, SURFACE_NAMES
from clavilux.painter.composition import mark_everywhere
from clavilux.painter.controls import Controls
from clavilux.painter.marks import KINDS
from clavilux.painter.paint import paint
from clavilux.system.jobs import run_calls
from clavilux.training.analysis import WINDOW_PX, Windows

_CHAOS = (0.3, 1.25)  # below this range, the marks are invisible; above it, the plan is invisible
_FREQUENCY = (3.5, FREQUENCY_RANGE[1])  # with fewer marks, there is no texture that could be recognised
_VIEWS = 5  # examples of a painting
_BARE = 3  # bare pictures for each painting
_TWO_KINDS = 0.5  # share of pictures with two kinds of marks
_SECOND_WEIGHT = 0.4  # weight of the second kind in the target of the classifier
_WITH_PROPERTY = 0.6  # share of pictures with softness above 0; the same for glaze, brush and outline
_EXPONENT = 1.5  # makes small amounts of these properties more frequent
_BLUR_CELLS = (1.0, 7.0)  # range of the random standard deviation of the blur, which is log-uniform

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class PaintedExamples:
    """n paintings with known marks."""

    pictures: NDArray[np.uint8]  # (n, 128, 128, 3), sRGB
    kind: Float32  # (n, n_kinds), weight of each kind of marks; the weights of a picture sum to 1
    log_frequency: Float32  # (n,), natural logarithm of the number of marks along the short side
    angle: Float32  # (n,), angle of the marks in turns, in [0, 0.5)
    chaos: Float32  # (n,), how far marks deviate from the plan, in `CHAOS_RANGE`
    paint: Float32  # (n, 4), softness, glaze, brush and outline, each scaled from its range to [0, 1]
    surface: NDArray[np.int64]  # (n,), index in `SURFACE_NAMES`


def paint_examples(
    windows: Windows, n: int, *, seed: int, jobs: int, counted: Callable[[int], None] | None = None
) -> PaintedExamples:
    """Return n examples with random marks, and with palettes and plans of random windows.

    In turn, there are five views of a painting and three bare pictures. ``jobs`` is the number of worker processes, -1
    for one per core. ``counted`` is called with the number of examples that are finished.
    """
    n_paintings, each = -(-n // (_VIEWS + _BARE)), _VIEWS + _BARE
    calls, controls_list = [], []
    for index in range(n_paintings):
        controls = _draw(windows, seed, index)
        bare = [_bare(_draw(windows, seed, n_paintings + _BARE * index + k)) for k in range(_BARE)]
        calls.append(partial(_paint_views, controls, bare, seed=seed + index))
        controls_list += [controls] + [_enlarge(controls)] * (_VIEWS - 1) + bare
    report = None if counted is None else lambda done: counted(min(n, each * done))
    pictures = run_calls(calls, jobs=jobs, counted=report)
    controls_list = controls_list[:n]
    return PaintedExamples(
        np.concatenate(pictures)[:n],
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
    """Return a plan, the shares (8, 32, 32) of 8 colours in each cell, after a Gaussian blur.

    `sigma_cells` is the standard deviation of the blur. The plan is padded with copies of its edge cells. If the shares
    of each cell sum to 1, so do the blurred shares.
    """
    at = np.arange(PLAN_SIDE)
    # Row i has the weights of all cells in the blurred cell i.
    weights = np.zeros((PLAN_SIDE, PLAN_SIDE), np.float32)
    reach = int(4 * sigma_cells) + 1
    for offset in range(-reach, reach + 1):
        weight = math.exp(-0.5 * (offset / sigma_cells) ** 2)
        np.add.at(weights, (at, np.clip(at + offset, 0, PLAN_SIDE - 1)), weight)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(weights @ shares @ weights.T, np.float32)


def _draw(windows: Windows, seed: int, index: int) -> Controls:
    """Return the random controls of an example, with the palette and the blurred plan of a random window."""
    rng = np.random.default_rng([seed, index])
    which = int(rng.integers(len(windows.palettes)))
    sigma = _log_uniform(rng, *_BLUR_CELLS)
    frequency = _log_uniform(rng, *_FREQUENCY)
    amounts: dict[str, Any] = {name: _random_amount(rng, *bounds) for name, bounds in PAINT.items()}
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
        **amounts,
    )


def _random_amount(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a random amount of a property of paint: 0 in 40 % of the cases, otherwise between `low` and `high`."""
    amount = high * rng.random() ** _EXPONENT if rng.random() < _WITH_PROPERTY else 0.0
    return -amount if low < 0 and rng.random() < 0.5 else amount


def _paint_views(controls: Controls, bare: list[Controls], *, seed: int) -> NDArray[np.uint8]:
    """Return the five views of a painting and bare pictures, (5 + len(bare), 128, 128, 3)."""
    side = 2 * WINDOW_PX
    painting = paint(controls, width=side, height=side, seed=seed)
    flat = [np.rint(255 * c.palette)[mark_everywhere(c, side=side, seed=seed + k)] for k, c in enumerate(bare)]
    quarters = painting.reshape(2, WINDOW_PX, 2, WINDOW_PX, 3).swapaxes(1, 2).reshape(4, WINDOW_PX, WINDOW_PX, 3)
    blocks = np.stack([painting, *flat]).reshape(-1, WINDOW_PX, 2, WINDOW_PX, 2, 3)
    small = np.rint(blocks.mean(axis=(2, 4))).astype(np.uint8)
    return np.concatenate([small[:1], quarters, small[1:]])


def _bare(controls: Controls) -> Controls:
    """Return controls with one kind of marks, in flat colours without brushwork."""
    paint: dict[str, Any] = dict.fromkeys(PAINT, 0.0)
    return dataclasses.replace(controls, second_kind=None, surface="flat", **paint)


def _enlarge(controls: Controls) -> Controls:
    """Return the controls of a quarter: half as many marks along the side, and lines that are twice as wide."""
    low, high = PAINT["outline"]
    frequency = max(controls.frequency / 2, FREQUENCY_RANGE[0])
    return dataclasses.replace(controls, frequency=frequency, outline=min(max(2 * controls.outline, low), high))


def _areas(controls: Controls) -> Float32:
    """Return the target (n_kinds,) of the mark classifier: a weight for each kind of marks in the controls."""
    areas = np.zeros(len(KINDS), np.float32)
    areas[KINDS.index(controls.kind)] += 1 - _SECOND_WEIGHT
    areas[KINDS.index(controls.second_kind or controls.kind)] += _SECOND_WEIGHT
    return areas


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))
