"""Painting: determinism, the same picture at every size, no seams, extreme controls, and errors."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clavilux.colour import srgb_to_lab
from clavilux.constants import (
    CHAOS_RANGE,
    FINISH,
    FREQUENCY_RANGE,
    PLAN_SIDE,
    SLOTS,
    SURFACE_NAMES,
)
from clavilux.errors import PictureError
from clavilux.painter import paint as painting
from clavilux.painter.areas import View
from clavilux.painter.composition import Composition, compose
from clavilux.painter.controls import Controls, log_softmax
from clavilux.painter.paint import composition_of, paint
from clavilux.painter.surfaces import SURFACES

Float32 = NDArray[np.float32]

_PALETTE = np.array(
    [
        [0.05, 0.05, 0.12],
        [0.45, 0.08, 0.10],
        [0.10, 0.30, 0.42],
        [0.80, 0.25, 0.12],
        [0.30, 0.55, 0.45],
        [0.90, 0.62, 0.20],
        [0.85, 0.80, 0.62],
        [0.97, 0.95, 0.90],
    ],
    np.float32,
)
WORKED = {"softness": 0.4, "glaze": 5.0, "brush": 4.0, "outline": -0.8, "second_kind": "dots"}


def smooth_plan(seed: int, strength: float = 2.0) -> Float32:
    """Log-probabilities with a constant and a few random waves for each slot."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:PLAN_SIDE, 0:PLAN_SIDE] / PLAN_SIDE
    logits = np.zeros((SLOTS, PLAN_SIDE, PLAN_SIDE))
    for slot in range(SLOTS):
        logits[slot] = rng.normal(0, 0.8)
        for _ in range(3):
            fx, fy, phase = rng.normal(0, 1.2), rng.normal(0, 1.2), rng.uniform(0, 2 * np.pi)
            logits[slot] += strength / 2 * np.cos(2 * np.pi * (fx * x + fy * y) + phase)
    return log_softmax(logits.astype(np.float32))


def make_controls(kind: str = "facets", *, plan: Float32 | None = None, **changes: Any) -> Controls:
    options = {"frequency": 10.0, "angle": 0.1, "chaos": 1.0, "figure": "none", **changes}
    return Controls(_PALETTE, smooth_plan(1) if plan is None else plan, kind, **options)


def half_plan() -> Float32:
    """Slot 1 on the left half and slot 6 on the right half, with almost no uncertainty."""
    logits = np.full((SLOTS, PLAN_SIDE, PLAN_SIDE), -12.0, np.float32)
    logits[1, :, : PLAN_SIDE // 2] = 0.0
    logits[6, :, PLAN_SIDE // 2 :] = 0.0
    return logits


def block_means(picture: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.float64]:
    """Return the mean colour of rows x columns equal blocks."""
    h, w = picture.shape[:2]
    return picture.reshape(rows, h // rows, columns, w // columns, 3).mean(axis=(1, 3))


@pytest.mark.parametrize(
    "surface", [s if s in ("gouache", "print") else pytest.param(s, marks=pytest.mark.slow) for s in SURFACE_NAMES]
)
def test_blocks_and_threads_give_the_same_bytes(surface: str, monkeypatch: pytest.MonkeyPatch) -> None:
    controls = make_controls(surface=surface, **WORKED)
    whole = paint(controls, width=280, height=256, seed=2)
    monkeypatch.setattr(painting, "_BLOCK", 280 * 23)
    np.testing.assert_array_equal(paint(controls, width=280, height=256, seed=2, threads=3), whole)


def test_the_threads_of_libraries_change_nothing() -> None:
    controls = make_controls("dabs", surface="layers")
    pictures = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            pictures.append(paint(controls, width=300, height=256, seed=3).tobytes())
    assert pictures[0] == pictures[1]


@pytest.mark.slow
@pytest.mark.parametrize("threads", [2, 3, 8])
def test_any_number_of_threads_gives_the_same_bytes(threads: int) -> None:
    controls = make_controls("strokes", **WORKED)
    for width, height in ((450, 700), (64, 80)):
        one, more = (paint(controls, width=width, height=height, threads=n) for n in (1, threads))
        np.testing.assert_array_equal(more, one)


_FAST_SIZES = [("gouache", 256, 256), ("flat", 384, 256), ("print", 256, 256)]
_SLOW_SIZES = [(surface, 512, 512) for surface in SURFACE_NAMES] + [
    (surface, w, h) for surface in ("impasto", "drawing", "collage", "layers") for w, h in ((256, 512), (576, 256))
]


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize(
    ("surface", "width", "height"),
    [*_FAST_SIZES, *(pytest.param(*size, marks=pytest.mark.slow) for size in _SLOW_SIZES)],
)
def test_the_same_place_has_the_same_colour_at_two_sizes(surface: str, width: int, height: int) -> None:
    """Means of blocks of 16 pixels, and of 32 at twice the size. Borders, bristles and grain are finer than pixels."""
    controls = make_controls(surface=surface, **WORKED)
    small, large = (paint(controls, width=n * width, height=n * height, seed=4) for n in (1, 2))
    rows, columns = height // 16, width // 16
    means = block_means(small, rows, columns)
    differs = np.abs(means - block_means(large, rows, columns)).max(axis=2)
    lightness = small.astype(int).sum(axis=2).reshape(rows, 16, columns, 16)
    calm = lightness.std(axis=(1, 3)) < np.median(lightness.std(axis=(1, 3)))
    assert differs[calm].mean() < 4
    assert np.quantile(differs, 0.9) < 13
    other = paint(controls, width=width, height=height, seed=5)
    assert np.abs(means - block_means(other, rows, columns)).max(axis=2).mean() > 5 * differs.mean()


def test_a_small_picture_is_the_mean_of_a_larger_one() -> None:
    controls = make_controls(surface="flat", **WORKED)
    small, large = paint(controls, width=64, height=64, seed=1), paint(controls, width=256, height=256, seed=1)
    assert np.abs(small - block_means(large, 64, 64)).mean() < 2.5


def test_the_picture_has_the_areas_and_the_palette_of_its_composition() -> None:
    """Where the composition has no border near, up to modelling and grain."""
    controls = make_controls(surface="flat")
    composition = composition_of(controls, width=512, height=512, seed=2)
    picture = paint(controls, width=512, height=512, seed=2)
    far = composition.distance > 0.02
    lab = srgb_to_lab(picture[far] / 255)
    exact = composition.palette[composition.slots[far]]
    assert np.median(np.abs(lab - exact).max(axis=1)) < 9
    nearest = np.linalg.norm(lab[:, None] - composition.palette, axis=2).argmin(axis=1)
    assert np.mean(nearest == composition.slots[far]) > 0.8


def test_different_seeds_give_different_pictures() -> None:
    pictures = [paint(make_controls(), width=64, height=64, seed=seed) for seed in (0, 1, 2**64 + 1)]
    for n, a in enumerate(pictures):
        for b in pictures[n + 1 :]:
            assert np.abs(a.astype(int) - b).mean() > 15


def test_controls_that_were_saved_paint_the_same() -> None:
    controls = make_controls("glass", surface="collage")
    again = Controls.from_json(controls.to_json())
    a, b = (composition_of(c, width=128, height=128).slots for c in (controls, again))
    assert np.mean(a == b) > 0.99, "plans are saved with three digits"


# Extreme controls --------------------------------------------------------------------------------------------------


def _one_colour() -> Float32:
    plan = np.full((SLOTS, PLAN_SIDE, PLAN_SIDE), -50.0, np.float32)
    plan[4] = 0.0
    return plan


def _ends(at: int) -> dict[str, float]:
    """Every property of the finish at the lower or upper end of its range."""
    return {name: span[at] for name, span in FINISH.items()}


EXTREMES: dict[str, dict[str, Any]] = {
    "one colour": {"plan": _one_colour(), **_ends(1)},
    "no chaos": {"chaos": CHAOS_RANGE[0], "frequency": FREQUENCY_RANGE[0], **_ends(0)},
    "most chaos": {"chaos": CHAOS_RANGE[1], "frequency": FREQUENCY_RANGE[1], "kind": "scribble", **_ends(1)},
    "even plan": {"plan": np.zeros((SLOTS, PLAN_SIDE, PLAN_SIDE), np.float32), **_ends(0)},
    "white": {"palette": np.ones((SLOTS, 3), np.float32), **_ends(1)},
    "black": {"palette": np.zeros((SLOTS, 3), np.float32), **_ends(1)},
}


@cache
def extreme(name: str, aspect: float = 1.0) -> Composition:
    changes = dict(EXTREMES[name])
    palette = changes.pop("palette", _PALETTE)
    return compose(dataclasses.replace(make_controls(**changes), palette=palette), aspect=aspect, seed=0)


@pytest.mark.parametrize("surface", SURFACE_NAMES)
@pytest.mark.parametrize("name", EXTREMES)
def test_extreme_controls_give_colours(name: str, surface: str) -> None:
    lab = SURFACES[surface](extreme(name)).paint(View(96, 160, 256, 256))
    assert lab.shape == (64, 256, 3)
    assert np.isfinite(lab).all()
    assert lab[..., 0].min() > -40 and lab[..., 0].max() < 140


@pytest.mark.parametrize(("width", "height"), [(64, 64), (65, 100), (256, 256)])
@pytest.mark.parametrize("surface", ["gouache", "print"])
def test_small_pictures_have_their_size_and_contrast(surface: str, width: int, height: int) -> None:
    picture = paint(make_controls("rings", surface=surface), width=width, height=height)
    assert picture.shape == (height, width, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 15


@pytest.mark.slow
@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("surface", SURFACE_NAMES)
@pytest.mark.parametrize(("width", "height"), [(65, 300), (1000, 130)])
def test_long_pictures(surface: str, width: int, height: int) -> None:
    picture = paint(make_controls("rings", surface=surface), width=width, height=height)
    assert picture.shape == (height, width, 3)
    assert picture.std() > 15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 63}, "width is 63; it must be a whole number from 64 to 8192"),
        ({"height": 8193}, "height is 8193"),
        ({"seed": -1}, "seed is -1"),
        ({"threads": 0}, "threads is 0; it must be a whole number from 1"),
    ],
)
def test_arguments_out_of_range_are_errors(options: dict[str, int], message: str) -> None:
    with pytest.raises(PictureError, match=message):
        paint(make_controls(), **options)


def test_what_is_not_controls_is_an_error() -> None:
    for function in (paint, composition_of):
        with pytest.raises(PictureError, match=r"controls are \{\}; make them with"):
            function({})  # type: ignore[operator]
