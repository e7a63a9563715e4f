"""Compositions: the shares of the plan, the layers of marks, the focus, the direction of the brush and the palette."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from test_painter import half_plan, make_controls, smooth_plan

from clavilux.colour import lab_to_srgb, srgb_to_lab
from clavilux.constants import PLAN_SIDE, SLOTS
from clavilux.painter.composition import REACH, SIDE, Composition, compose
from clavilux.painter.marks import KINDS
from clavilux.painter.paint import composition_of
from clavilux.painter.palette import compose_palette
from clavilux.painter.raster import Float32, find_areas, find_edges

_SMALLEST = 0.011**2 * SIDE**2  # cells
_CALM = 0.4  # the focus below which there are no small marks
_MOSTLY_SLOW = [kind if kind in ("facets", "strokes") else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]


@cache
def composed(
    kind: str = "facets", plan: str = "smooth", *, aspect: float = 1.0, seed: int = 0, **changes: Any
) -> Composition:
    plans = {"smooth": None, "half": half_plan(), "even": np.zeros((SLOTS, PLAN_SIDE, PLAN_SIDE), np.float32)}
    return compose(make_controls(kind, plan=plans[plan], **changes), aspect=aspect, seed=seed)


def sizes(composition: Composition, where: np.ndarray | bool = True) -> np.ndarray:
    """Cells of each area that has a cell in a region."""
    area = find_areas(composition.slots)
    cells = np.bincount(area.ravel())
    return cells[np.unique(area[np.broadcast_to(where, area.shape)])]


def shares_of(composition: Composition) -> np.ndarray:
    return np.bincount(composition.slots.ravel(), minlength=SLOTS) / composition.slots.size


@pytest.mark.parametrize("kind", _MOSTLY_SLOW)
def test_slots_have_about_the_shares_of_the_plan(kind: str) -> None:
    expected = np.exp(smooth_plan(1)).mean(axis=(1, 2))
    assert np.ptp(expected) > 0.15
    # These stack all slots on one field, so that no bias keeps their shares.
    atol = 0.15 if kind in ("bands", "marble", "hatching") else 0.11
    np.testing.assert_allclose(shares_of(composed(kind)), expected, atol=atol)


def test_the_size_of_the_picture_does_not_change_the_composition() -> None:
    controls = make_controls("dabs")
    small, large = (composition_of(controls, width=w, height=h, seed=3) for w, h in ((96, 64), (3072, 2048)))
    assert small.slots.shape == (SIDE, 1.5 * SIDE)
    np.testing.assert_array_equal(small.slots, large.slots)
    np.testing.assert_array_equal(small.palette, large.palette)
    other = composition_of(controls, width=96, height=64, seed=4)
    assert np.mean(other.slots != small.slots) > 0.2


@pytest.mark.parametrize("kind", ["dabs", "tiles", "rings"])
def test_a_picture_has_the_same_colours_at_every_aspect(kind: str) -> None:
    controls = make_controls(kind)
    square, wide, tall = (composition_of(controls, width=w, height=h) for w, h in ((64, 64), (160, 64), (64, 96)))
    np.testing.assert_array_equal(wide.palette, square.palette)
    np.testing.assert_array_equal(tall.palette, square.palette)


@pytest.mark.parametrize("aspect", [2.0, 0.5])
def test_the_plan_covers_the_whole_picture_at_every_aspect(aspect: float) -> None:
    slots = composed("blobs", "half", aspect=aspect, chaos=0.0).slots
    assert slots.shape == (SIDE, 2 * SIDE) if aspect > 1 else (2 * SIDE, SIDE)
    middle = slots.shape[1] // 2
    assert (slots[:, : middle - 4] == 1).all()
    assert (slots[:, middle + 4 :] == 6).all()


@pytest.mark.parametrize("kind", ["tiles", "dots", "rings"])
def test_marks_do_not_change_a_certain_plan(kind: str) -> None:
    slots = composed(kind, "half", chaos=1.0).slots
    assert (slots[:, : SIDE // 3] == 1).mean() > 0.99
    assert (slots[:, -SIDE // 3 :] == 6).mean() > 0.99


def test_without_chaos_the_plan_decides_and_not_the_seed() -> None:
    """Borders follow the marks, and slots that are nowhere the most probable keep their share somewhere."""
    plan, alike = smooth_plan(1).argmax(axis=0), []
    for chaos in (0.0, 1.0):
        a, b = (composed(chaos=chaos, seed=seed).slots for seed in (0, 1))
        alike.append(np.mean(a == b))
        assert np.mean(a.reshape(PLAN_SIDE, 16, PLAN_SIDE, 16)[:, 8, :, 8] == plan) > 0.55
    assert alike[0] > alike[1] + 0.1
    assert alike[0] > 0.65


def test_more_chaos_gives_more_borders() -> None:
    borders = [find_edges(composed(chaos=chaos).slots).mean() for chaos in (0.0, 0.3, 1.0)]
    assert borders[0] < 0.95 * borders[1]
    assert borders[1] < 0.95 * borders[2]


@pytest.mark.parametrize("kind", ["facets", "dabs"])
def test_more_shapes_are_more_and_smaller_areas(kind: str) -> None:
    """With an even plan; of a decided one, marks only shape the borders. With so little chaos, no area is filled."""
    found = [sizes(composed(kind, "even", shapes=shapes, chaos=0.14)) for shapes in (1.6, 4.0, 7.0)]
    assert len(found[0]) < len(found[1])
    assert len(found[2]) > 1.5 * len(found[0])
    assert found[2].mean() < 0.7 * found[0].mean()


@pytest.mark.parametrize("kind", ["facets", "dabs"])
def test_more_detail_gives_more_borders_near_the_focus_only(kind: str) -> None:
    plain, half, full = (composed(kind, detail=detail) for detail in (0.0, 0.5, 1.0))
    borders = [find_edges(c.slots).mean() for c in (plain, half, full)]
    assert borders[0] < borders[1] < borders[2]
    assert borders[2] > 1.15 * borders[0]
    changed = full.slots != plain.slots
    assert changed[full.focus < _CALM].mean() < 0.05
    assert changed[full.focus > 0.7].mean() > 0.15


def test_a_higher_frequency_gives_smaller_marks_near_the_focus() -> None:
    found = [composed(frequency=frequency) for frequency in (2.0, 12.0, 20.0)]
    count = [len(sizes(c, c.focus > 0.8)) for c in found]
    assert count[0] < count[1] < count[2]
    far = found[0].focus < _CALM
    assert np.mean(found[0].slots[far] != found[2].slots[far]) < 0.05


def test_the_second_kind_is_used_near_the_focus_only() -> None:
    one, two = composed("facets"), composed("facets", second_kind="rings")
    differs = one.slots != two.slots
    assert differs[one.focus < _CALM].mean() < 0.05
    assert differs[one.focus > 0.8].mean() > 0.15


@pytest.mark.parametrize("kind", ["scribble", "dots"])
def test_no_area_is_too_small_to_be_seen(kind: str) -> None:
    assert sizes(composed(kind, "even", frequency=48.0, chaos=1.5)).min() >= _SMALLEST


def test_the_focus_is_a_rank_that_is_low_at_the_edges() -> None:
    focus = composed(plan="even").focus
    assert focus.shape == (SIDE, SIDE)
    np.testing.assert_allclose(np.quantile(focus, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.02)
    corners, middles = [], []
    for seed in range(3):
        focus = composed(plan="even", seed=seed, chaos=0.0).focus
        corners += [focus[a, b].mean() for a in (slice(40), slice(-40, None)) for b in (slice(40), slice(-40, None))]
        middles.append(focus[200:300, 200:300].mean())
    assert np.mean(corners) < 0.25 < 0.45 < min(middles)


def test_the_focus_is_where_the_plan_is_undecided() -> None:
    plan = half_plan()
    plan[:, :, : PLAN_SIDE // 2] = 0.0
    means = []
    for seed in range(3):
        focus = compose(make_controls(plan=plan), aspect=1.0, seed=seed).focus
        means.append(focus[:, : SIDE // 2].mean() - focus[:, SIDE // 2 :].mean())
    assert min(means) > 0.1


def test_distances_to_borders_are_in_short_sides() -> None:
    composition = composed("facets", "even", aspect=1.5, shapes=2.0, detail=0.0)
    exact = ndimage.distance_transform_edt(~find_edges(composition.slots)) / SIDE
    near = exact <= int(REACH * SIDE) / SIDE
    np.testing.assert_allclose(composition.distance[near], exact[near], atol=1e-5)
    assert (composition.distance[~near] >= int(REACH * SIDE) / SIDE).all()


def test_the_brush_follows_a_border_near_it() -> None:
    """The border between the halves is vertical."""
    for angle in (0.0, 0.25):
        composition = composed("blobs", "half", chaos=0.0, angle=angle)
        near = composition.distance < 0.008
        assert np.abs(np.sin(composition.direction[near])).mean() > 0.97


def test_the_brush_turns_with_the_angle_far_from_borders() -> None:
    a, b = (composed("blobs", "half", chaos=0.0, angle=angle) for angle in (0.0, 0.15))
    far = a.distance >= int(REACH * SIDE) / SIDE
    twice = 2 * (b.direction[far] - a.direction[far])
    found = np.arctan2(np.sin(twice).mean(), np.cos(twice).mean()) / 2
    assert found == pytest.approx(-0.15 * 2 * np.pi, abs=0.03)  # rows count downwards, angles counter-clockwise


# The palette -------------------------------------------------------------------------------------------------------

_EVEN = np.full(SLOTS, 1 / SLOTS)
_SMALL_TWO = np.array([0.3, 0.05, 0.2, 0.2, 0.1999, 0.04, 0.01, 0.0001])


def greys(low: float, high: float) -> Float32:
    return np.repeat(np.linspace(low, high, SLOTS, dtype=np.float32)[:, None], 3, axis=1)


def chroma(lab: Float32) -> np.ndarray:
    return np.hypot(lab[:, 1], lab[:, 2])


@pytest.mark.parametrize(("low", "high"), [(0.4, 0.6), (0.0, 0.2), (0.8, 1.0), (0.45, 0.5)])
def test_a_narrow_palette_gets_a_range_of_lightness(low: float, high: float) -> None:
    lab, _ = compose_palette(greys(low, high), _SMALL_TWO, np.zeros(SLOTS))
    assert np.ptp(lab[:, 0]) > 55
    assert lab[:, 0].min() > 3 and lab[:, 0].max() < 99
    rest = chroma(lab) < 10
    assert (np.diff(lab[rest, 0]) > 0).all(), "the order is kept"


def test_colours_of_a_wide_palette_become_clearly_dark_or_clearly_light() -> None:
    lightness = srgb_to_lab(greys(0.05, 0.95))[:, 0]
    found, _ = compose_palette(greys(0.05, 0.95), _EVEN, np.zeros(SLOTS))
    rest = chroma(found) < 10
    assert rest.sum() == SLOTS - 1
    before, after = lightness[rest], found[rest, 0]
    assert (np.diff(after) > 0).all(), "the order is kept"
    assert after.max() == pytest.approx(before.max(), abs=1) and after.min() > 4, "the range is kept"
    off = np.abs(before - lightness.mean())
    moved = np.sign(before - lightness.mean()) * (after - before)
    assert (moved > -1).all() and (moved[off < 20] > 3).all(), "what is near the middle moves away from it"


def test_one_small_slot_becomes_a_saturated_accent() -> None:
    for at_focus, accent in ((1, 1), (5, 5), (6, 6)):
        weight = np.zeros(SLOTS)
        weight[at_focus] = 1.0
        lab, found = compose_palette(greys(0.1, 0.9), _SMALL_TWO, weight)
        assert found == accent == chroma(lab).argmax()
        assert chroma(lab)[accent] > 35
        assert 37 < lab[accent, 0] < 81
        assert np.delete(chroma(lab), accent).max() < 5


def test_the_accent_of_a_palette_of_one_hue_is_nearly_complementary() -> None:
    blues = np.stack([[0.1, 0.2, 0.3 + 0.08 * k] for k in range(SLOTS)]).astype(np.float32)
    lab, _ = compose_palette(blues, _SMALL_TWO, np.eye(SLOTS)[5])
    rest = np.delete(lab, 5, axis=0)[:, 1:].mean(axis=0)
    cosine = rest @ lab[5, 1:] / np.linalg.norm(rest) / np.linalg.norm(lab[5, 1:])
    assert cosine < -0.6


def test_all_colours_can_be_shown() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        palette = np.sort(rng.random((SLOTS, 3)), axis=0).astype(np.float32) ** rng.uniform(0.3, 3)
        lab, _ = compose_palette(palette, rng.dirichlet(np.ones(SLOTS)), rng.random(SLOTS))
        assert np.isfinite(lab).all()
        np.testing.assert_allclose(srgb_to_lab(lab_to_srgb(lab)), lab, atol=0.05)


def test_the_least_mean_lightness_of_a_dark_palette() -> None:
    lab, _ = compose_palette(greys(0.0, 0.1), _EVEN, np.zeros(SLOTS))
    assert 25 < _EVEN @ lab[:, 0] < 40
