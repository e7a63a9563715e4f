"""Painting: shares of the plan, the same picture at every size, determinism, and errors."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clavilux.constants import PLAN_SIDE, SLOTS
from clavilux.errors import PictureError
from clavilux.painter.controls import Controls, log_softmax
from clavilux.painter.marks import KINDS, MARKS
from clavilux.painter.paint import paint, paint_slots

Float32 = NDArray[np.float32]

_FEW_PIECES = ("stripes", "rings", "spirals", "rays")  # a mean over more pictures is needed
_MOSTLY_SLOW = [kind if kind in ("facets", "marble") else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
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


def make_controls(kind: str = "facets", *, plan: Float32 | None = None, **changes: float) -> Controls:
    options = {"frequency": 10.0, "angle": 0.1, "chaos": 1.0, **changes}
    return Controls(_PALETTE, smooth_plan(1) if plan is None else plan, kind, **options)


def half_plan() -> Float32:
    """Slot 1 on the left half and slot 6 on the right half, with almost no uncertainty."""
    logits = np.full((SLOTS, PLAN_SIDE, PLAN_SIDE), -12.0, np.float32)
    logits[1, :, : PLAN_SIDE // 2] = 0.0
    logits[6, :, PLAN_SIDE // 2 :] = 0.0
    return logits


@pytest.mark.parametrize("kind", _MOSTLY_SLOW)
@pytest.mark.parametrize("chaos", [1.0, 0.6])
def test_slots_cover_the_shares_of_the_plan(kind: str, chaos: float) -> None:
    """Within 1 %, for an even and a skewed plan; at chaos c the shares are softmax(log p / c)."""
    few = kind in _FEW_PIECES
    pictures, width, height = (200, 64, 64) if few else (10, 768, 64)
    for plan in (np.zeros((SLOTS, PLAN_SIDE, PLAN_SIDE), np.float32), smooth_plan(3)):
        if chaos < 1 and not plan.any():
            continue  # an even plan is even at every chaos
        expected = np.exp(log_softmax(plan / chaos)).mean(axis=(1, 2))
        shares = np.zeros(SLOTS)
        for seed in range(pictures):
            controls = make_controls(kind, plan=plan, frequency=48.0, angle=0.5 * seed / pictures, chaos=chaos)
            slots = paint_slots(controls, width=width, height=height, seed=seed)
            shares += np.bincount(slots.ravel(), minlength=SLOTS) / slots.size / pictures
        np.testing.assert_allclose(shares, expected, atol=0.01)


def test_the_skewed_plan_is_far_from_even() -> None:
    """Otherwise the test of shares could not fail."""
    assert np.abs(np.exp(smooth_plan(3)).mean(axis=(1, 2)) - 1 / SLOTS).max() > 0.05


@pytest.mark.parametrize("kind", _MOSTLY_SLOW)
@pytest.mark.parametrize(("width", "height"), [(256, 256), (240, 144)])
def test_same_place_at_two_sizes_is_the_same_picture(kind: str, width: int, height: int) -> None:
    controls = make_controls(kind, frequency=7.0)
    small = paint(controls, width=width, height=height, seed=4)
    large = paint(controls, width=3 * width, height=3 * height, seed=4)
    light = (large / 255.0) ** 2.2  # means are taken in linear light
    shrunk = 255.0 * light.reshape(height, 3, width, 3, 3).mean(axis=(1, 3)) ** (1 / 2.2)
    difference = np.abs(shrunk - small).max(axis=2)
    # Learnt fields have details of less than a pixel in pictures as small as these.
    limit, same = (6.0, 0.75) if MARKS[kind].family == "learnt" else (4.0, 0.8)
    assert difference.mean() < limit, "the grain of paper gives about 1.5"
    assert np.mean(difference < 8.0) > same, "above 0.9 except for lines as thin as pixels"
    other = paint(controls, width=width, height=height, seed=5).astype(np.float64)
    assert np.mean(np.abs(shrunk - other).max(axis=2) < 8.0) < 0.7, "another seed gives another picture"


@pytest.mark.parametrize("kind", KINDS)
def test_slots_at_the_same_places_are_equal(kind: str) -> None:
    """The centre of each pixel is the centre of every third pixel at three times the size."""
    controls = make_controls(kind, frequency=7.0)
    small = paint_slots(controls, width=96, height=80, seed=4)
    large = paint_slots(controls, width=288, height=240, seed=4)
    assert np.mean(large[1::3, 1::3] == small) > 0.998, "except for rounding at borders"


def test_plan_covers_the_whole_picture() -> None:
    """The border between the halves is in the middle, at every aspect."""
    controls = make_controls("blobs", plan=half_plan(), chaos=0.0)
    for width, height in ((128, 64), (64, 128), (100, 100)):
        slots = paint_slots(controls, width=width, height=height)
        assert (slots[:, : width // 2] == 1).all()
        assert (slots[:, width // 2 :] == 6).all()


@pytest.mark.parametrize("kind", KINDS)
def test_marks_do_not_change_a_certain_plan(kind: str) -> None:
    """Only pieces that cross the border of the plan have another slot."""
    slots = paint_slots(make_controls(kind, plan=half_plan(), chaos=0.5, frequency=16.0), width=128, height=128)
    assert (slots[:, :40] == 1).mean() > 0.99
    assert (slots[:, -40:] == 6).mean() > 0.99


@pytest.mark.parametrize("kind", KINDS)
def test_without_chaos_the_most_probable_slot_is_painted(kind: str) -> None:
    plan = smooth_plan(5)
    slots = paint_slots(make_controls(kind, plan=plan, chaos=0.0), width=96, height=96)
    expected = plan.argmax(axis=0)
    assert np.mean(slots[1::3, 1::3] == expected) > 0.99


@pytest.mark.parametrize("kind", ["facets", "bands", "strokes"])
def test_more_chaos_changes_more_places(kind: str) -> None:
    calm = paint_slots(make_controls(kind, chaos=0.0), width=96, height=96)
    changed = [
        np.mean(paint_slots(make_controls(kind, chaos=chaos), width=96, height=96) != calm)
        for chaos in (0.01, 0.3, 1.0)
    ]
    assert changed[0] < 0.1 < changed[1] < changed[2]


def test_colours_are_those_of_the_palette() -> None:
    """Inside slots up to the grain of paper; borders have mixed colours."""
    controls = make_controls("facets", frequency=4.0)
    picture = paint(controls, width=256, height=256, seed=2)
    assert picture.dtype == np.uint8
    assert picture.shape == (256, 256, 3)
    slots = paint_slots(controls, width=256, height=256, seed=2)
    exact = np.abs(picture - 255.0 * _PALETTE[slots]).max(axis=2)
    assert np.mean(exact < 6) > 0.9
    inside = np.abs(np.diff(slots.astype(int), axis=1)).astype(bool)
    assert exact[:, 1:][inside].mean() > 6, "borders are mixed"


def test_borders_are_means_of_light() -> None:
    """A pixel that is half black and half white has the value 188, not 128."""
    palette = np.zeros((SLOTS, 3), np.float32)
    palette[6] = 1.0
    controls = Controls(palette, half_plan(), "blobs", 4.0, 0.0, 0.0)
    middle = paint(controls, width=65, height=65, supersample=8)[:, 32].astype(int)
    assert abs(middle.mean() - 188) < 3


@pytest.mark.parametrize("supersample", [None, 1, 2])
def test_the_same_call_gives_the_same_bytes(supersample: int | None) -> None:
    controls = make_controls("dabs")
    with threadpool_limits(1):
        first = paint(controls, width=200, height=120, seed=3, supersample=supersample)
    with threadpool_limits(2):
        second = paint(controls, width=200, height=120, seed=3, supersample=supersample)
    assert first.tobytes() == second.tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["blobs", "dots", "strokes"])
@pytest.mark.parametrize("supersample", [None, 1, 2])
def test_same_bytes_from_any_number_of_threads(kind: str, supersample: int | None) -> None:
    controls = make_controls(kind)
    one, *more = (
        paint(controls, width=700, height=450, seed=3, supersample=supersample, threads=threads)
        for threads in (1, 2, 3)
    )
    for picture in more:
        np.testing.assert_array_equal(picture, one)


def test_controls_that_were_saved_paint_the_same() -> None:
    controls = make_controls("glass")
    again = Controls.from_json(controls.to_json())
    a, b = paint_slots(controls, width=128, height=128), paint_slots(again, width=128, height=128)
    assert np.mean(a == b) > 0.99, "plans are saved with three digits"


def test_different_seeds_give_different_pictures() -> None:
    controls = make_controls("facets")
    pictures = [paint_slots(controls, width=64, height=64, seed=seed) for seed in (0, 1, 2**32, 2**64 + 1)]
    for n, a in enumerate(pictures):
        for b in pictures[n + 1 :]:
            assert np.mean(a != b) > 0.3


@pytest.mark.slow
def test_sampling_borders_agrees_with_sampling_everywhere() -> None:
    for kind in ("glass", "marble", "scribble", "hatching"):
        controls = make_controls(kind, frequency=12.0)
        quick = paint(controls, width=320, height=320, seed=1).astype(float)
        full = paint(controls, width=320, height=320, seed=1, supersample=3).astype(float)
        assert np.mean(np.abs(quick - full).max(axis=2) > 3) < 0.01, kind


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 63}, "width is 63; it must be a whole number from 64 to 8192"),
        ({"height": 8193}, "height is 8193"),
        ({"seed": -1}, "seed is -1"),
        ({"supersample": 0}, "supersample is 0; it must be a whole number from 1 to 8"),
        ({"supersample": 9}, "supersample is 9"),
    ],
)
def test_arguments_out_of_range_are_errors(options: dict[str, int], message: str) -> None:
    with pytest.raises(PictureError, match=message):
        paint(make_controls(), **options)


@pytest.mark.slow
def test_smallest_and_longest_pictures() -> None:
    for width, height in ((64, 64), (8192, 64), (64, 2000)):
        picture = paint(make_controls("rings"), width=width, height=height)
        assert picture.shape == (height, width, 3)
        assert picture.std() > 10
