"""Surfaces: strokes that follow the areas, paper, lost edges, modelling, and the controls that each surface uses."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from test_painter import half_plan, make_controls, smooth_plan

from clavilux.constants import FINISH, SLOTS, SURFACE_NAMES
from clavilux.errors import ControlsError
from clavilux.painter.areas import View, drift_colours, model_areas
from clavilux.painter.composition import SIDE, Composition, compose
from clavilux.painter.controls import Controls, choose_controls
from clavilux.painter.marks import KINDS
from clavilux.painter.raster import Float32, find_areas
from clavilux.painter.strokes import BRISTLES, Brush, Edges, Strokes, paint_strokes, place_strokes
from clavilux.painter.surfaces import SURFACES, Gouache

PX = 256
SLOT = 3  # of the stroke of `one_stroke`
WHOLE = View(0, PX, PX, PX)


@cache
def composition() -> Composition:
    return compose(make_controls(), aspect=1.0, seed=0)


@cache
def halves() -> Composition:
    """Slot 1 on the left and slot 6 on the right."""
    return compose(make_controls("blobs", plan=half_plan(), chaos=0.0), aspect=1.0, seed=0)


def worked(base: Composition, surface: str, view: View = WHOLE, **changes: Any) -> Float32:
    """Paint a composition with other properties of the paint, which do not change it."""
    made = dataclasses.replace(base, controls=dataclasses.replace(base.controls, **changes))
    return SURFACES[surface](made).colours(view)


def no_change() -> Float32:
    return np.zeros((SIDE, SIDE, 3), np.float32)


def flat_rows(n: int = PX, lightness: float = 50.0) -> Float32:
    rows = np.zeros((n, PX, 3), np.float32)
    rows[..., 0] = lightness
    return rows


def test_every_surface_of_the_controls_can_be_painted() -> None:
    assert tuple(SURFACES) == SURFACE_NAMES
    assert len({surface.words for surface in SURFACES.values()}) == len(SURFACE_NAMES)


@pytest.mark.slow
def test_surfaces_look_different() -> None:
    pictures = [worked(composition(), surface) for surface in SURFACE_NAMES]
    for n, a in enumerate(pictures):
        for b in pictures[n + 1 :]:
            assert np.abs(a - b).mean() > 0.5


@pytest.mark.parametrize("surface", SURFACE_NAMES)
def test_a_view_is_a_part_of_the_picture(surface: str) -> None:
    painted = SURFACES[surface](composition())
    np.testing.assert_array_equal(painted.paint(View(100, 117, PX, PX)), painted.paint(View(60, 160, PX, PX))[40:57])


# Strokes -----------------------------------------------------------------------------------------------------------


def test_strokes_follow_a_border_and_have_the_colour_of_their_area() -> None:
    strokes = place_strokes(halves(), Brush("near", 0.02, 0.08, 0.02, far=0.03), no_change())
    x, _, cos, sin = strokes.shape.T[:4]
    assert len(x) > 50
    assert np.abs(x).max() < 0.06, "the border is at x = 0"
    assert np.abs(sin).mean() > 0.95 > 0.3 > np.abs(cos).mean()
    for left, slot in ((True, 1), (False, 6)):
        colour = np.median(strokes.paint[(x < 0) == left, :3], axis=0)
        np.testing.assert_allclose(colour, halves().palette[slot], atol=3)


def test_strokes_lie_where_their_brush_wants_them() -> None:
    base, brush = composition(), Brush("test", 0.03, 0.1, 0.01)

    def cells(**limits: float) -> NDArray[np.intp]:
        placed = place_strokes(base, dataclasses.replace(brush, **limits), no_change())
        row, column = (np.clip(placed.shape[:, k] * SIDE + SIDE / 2, 0, SIDE - 1).astype(int) for k in (1, 0))
        return row * SIDE + column

    everywhere = cells()
    assert len(everywhere) == pytest.approx(10_000, rel=0.06)  # one for each square of the spacing
    assert base.distance.ravel()[cells(near=0.03)].min() >= 0.03 - 2 / SIDE
    assert base.distance.ravel()[cells(far=0.01)].max() <= 0.01 + 2 / SIDE
    assert base.focus.ravel()[cells(focus=0.7)].min() > 0.69
    assert len(cells(share=0.25)) == pytest.approx(len(everywhere) / 4, rel=0.1)
    only = place_strokes(base, brush, no_change()).of_slots(np.arange(SLOTS) == 3)
    assert 0 < len(only.paint) < len(everywhere) / 2


def one_stroke(**changes: float) -> Strokes:
    """A horizontal stroke in the middle, 0.5 short sides long and 0.1 wide."""
    bristles = np.full((1, 2, BRISTLES), 0.5, np.float32)
    values = {"x": 0, "y": 0, "cos": 1, "sin": 0, "half_width": 0.05, "half_length": 0.25, "curve": 0, **changes}
    paint = {"L": 80, "a": 20, "b": -10, "dry": 0, "relief": 0, "opacity": 1, "held": 0}
    paint |= {name: changes[name] for name in paint if name in changes}
    shape = np.array([[value for name, value in values.items() if name not in paint]], np.float32)
    return Strokes(shape, np.array([list(paint.values())], np.float32), bristles, np.array([SLOT], np.uint8))


def test_a_stroke_is_a_band_of_its_size_and_colour() -> None:
    rows = flat_rows()
    paint_strokes(rows, 0, PX, one_stroke(), None)
    np.testing.assert_allclose(rows[PX // 2, PX // 2], [80, 20, -10], atol=0.01)
    painted = np.abs(rows[..., 0] - 50) > 15
    assert painted.any(axis=1).sum() == pytest.approx(0.1 * PX, abs=3)
    assert 0.4 * PX < painted.any(axis=0).sum() < 0.5 * PX
    assert not np.abs(rows[:100] - flat_rows(100)).any()


def test_a_curved_stroke_bends() -> None:
    rows = flat_rows()
    paint_strokes(rows, 0, PX, one_stroke(curve=4.0), None)
    row, column = np.nonzero(rows[..., 0] > 65)
    middle = [row[np.abs(column - at) < 3].mean() for at in (PX // 2, PX // 2 - 50, PX // 2 + 50)]
    wanted = 4.0 / 2 * (50 / PX) ** 2 * PX  # y = curvature x^2 / 2
    for end in middle[1:]:
        assert end - middle[0] == pytest.approx(wanted, abs=2.5)


def test_ridges_are_lit_from_the_upper_left() -> None:
    """The sides of a stroke are raised, so that the inner side of the lower ridge faces the light."""
    rows = flat_rows()
    paint_strokes(rows, 0, PX, one_stroke(relief=6.0, L=50, a=0, b=0), None)
    upper, lower = (rows[PX // 2 + step, 100:150, 0].mean() for step in (-11, 11))
    assert upper < 49 < 51 < lower


def test_dry_bristles_and_opacity_leave_the_ground() -> None:
    def covered(**changes: float) -> float:
        rows = flat_rows()
        paint_strokes(rows, 0, PX, one_stroke(**changes), None)
        return float((rows[..., 0] - 50).sum())

    assert covered(dry=1.0) < 0.9 * covered()
    assert covered(opacity=0.5) == pytest.approx(covered() / 2, rel=0.01)


def test_later_strokes_cover_earlier_ones() -> None:
    rows = flat_rows()
    paint_strokes(rows, 0, PX, one_stroke(L=20) + one_stroke(L=90), None)
    assert rows[PX // 2, PX // 2, 0] == pytest.approx(90, abs=0.1)


def test_a_hard_border_holds_a_stroke_back_and_a_lost_one_does_not() -> None:
    """The right half has another slot; the border is hard in the upper half of the stroke."""
    slot = np.full((PX, PX), SLOT, np.uint8)
    slot[:, PX // 2 :] = SLOT + 1
    hard = np.zeros((PX, PX), np.float32)
    hard[: PX // 2] = 1
    rows = flat_rows()
    paint_strokes(rows, 0, PX, one_stroke(), None, Edges(slot, slot, np.zeros((PX, PX), np.float32), hard))
    upper, lower = rows[PX // 2 - 5, :, 0], rows[PX // 2 + 5, :, 0]
    np.testing.assert_allclose([upper[PX // 2 - 10], lower[PX // 2 - 10]], 80, atol=0.01)
    assert upper[PX // 2 + 10] == 50
    assert lower[PX // 2 + 10] == pytest.approx(80, abs=0.01)


def test_gouache_covers_the_picture_with_strokes_of_its_areas() -> None:
    lab = worked(halves(), "gouache")
    for columns, slot in ((slice(10, 100), 1), (slice(156, 246), 6)):
        colour = np.median(lab[:, columns].reshape(-1, 3), axis=0)
        assert np.abs(colour - halves().palette[slot]).max() < 16  # colours drift


def test_thicker_paint_has_more_relief() -> None:
    def relief(**changes: Any) -> float:
        lab = worked(halves(), changes.pop("surface", "gouache"), **changes)[..., 0]
        return float(np.abs(np.diff(lab, axis=0)).mean())

    assert relief(brush=0.0) < 0.9 * relief(brush=16.0)
    assert relief() < 0.9 * relief(surface="impasto")


# Areas -------------------------------------------------------------------------------------------------------------


def test_softness_loses_borders() -> None:
    painted = [worked(halves(), "flat", softness=s)[..., 0] for s in (0.0, 1.0)]
    crisp, soft = (np.abs(np.diff(lab[:, 100:156], axis=1)).max(axis=1) for lab in painted)
    assert np.median(soft) < 0.85 * np.median(crisp)
    assert np.quantile(soft, 0.1) < 0.6 * np.quantile(crisp, 0.1)
    assert soft.max() > 0.75 * crisp.max(), "some borders are kept"


@pytest.mark.parametrize("surface", ["layers", "collage"])
def test_glaze_makes_light_and_shade_within_areas(surface: str) -> None:
    inside = np.s_[20:-20, 20:100]
    weak, strong = (
        worked(halves(), surface, glaze=glaze, exact_palette=True)[inside][..., 0].std() for glaze in (0.0, 16.0)
    )
    assert strong > 1.2 * weak > 0


def test_modelling_turns_each_large_area_from_dark_to_light() -> None:
    base = composition()
    change = model_areas(base, 12.0)
    area = find_areas(base.slots)
    cells = np.bincount(area.ravel())
    large = np.flatnonzero(cells > 0.05**2 * SIDE**2 * 1.5)
    assert len(large) > 3
    for index in large:
        lightness = change[..., 0][area == index]
        assert 2 < np.ptp(lightness) < 60
    tiny = np.isin(area, np.flatnonzero((cells > 0) & (cells < 0.01**2 * SIDE**2 * 4)))
    changes = [np.abs(model_areas(dataclasses.replace(base, seed=seed), 12.0)) for seed in range(6)]
    assert np.mean([change[tiny].mean() / change.mean() for change in changes]) < 0.5


def test_a_cell_more_or_less_does_not_turn_the_shading_of_an_area() -> None:
    base = dataclasses.replace(composition(), slots=composition().slots.copy())
    before = model_areas(base, 12.0)
    for label in np.flatnonzero(np.bincount(find_areas(base.slots).ravel()) > 0.1**2 * SIDE**2):
        row, column = divmod(int(label), SIDE)  # the first cells of an area
        base.slots[row : row + 2, column : column + 2] = (base.slots[row, column] + 1) % 8
    assert (base.slots != composition().slots).any()
    assert np.abs(model_areas(base, 12.0) - before).mean() < 0.1 * np.abs(before).mean()


def test_areas_that_are_all_small_have_no_shading() -> None:
    row, column = np.indices((SIDE, SIDE)) // 8
    small = (3 * row + column) % 8
    assert not model_areas(dataclasses.replace(composition(), slots=small.astype(np.uint8)), 12.0).any()


def test_colours_drift_by_the_plan_and_less_where_they_are_pale() -> None:
    base = composition()
    change = drift_colours(base)
    spread = change.std(axis=(0, 1))
    assert (spread > 2).all() and (spread < 16).all()
    step = np.abs(np.diff(change, axis=1)).max()
    assert step < 0.2 * np.ptp(change) or step < 20, "slow, but for borders between pale and dark areas"
    pale = dataclasses.replace(base, palette=base.palette + np.float32([100, 0, 0]))
    assert np.abs(drift_colours(pale)).max() < 0.5 * np.abs(change).max()
    controls = dataclasses.replace(base.controls, plan=base.controls.plan[:, ::-1].copy())
    assert np.abs(drift_colours(dataclasses.replace(base, controls=controls)) - change).mean() > 1
    controls = dataclasses.replace(base.controls, exact_palette=True)
    assert not drift_colours(dataclasses.replace(base, controls=controls)).any()


def test_a_paper_throws_a_shadow_to_the_lower_right() -> None:
    """Only one half lies lower; it is dark beside the border if it is the right one."""
    shadows = {True: [], False: []}
    for seed in range(5):
        surface = SURFACES["collage"](dataclasses.replace(halves(), seed=seed))
        view = View(400, 432, 1024, 1024)
        shadow = (surface.colours(view) - Gouache.colours(surface, view))[..., 0]
        left_is_higher = bool(surface.height[1] > surface.height[6])
        shadows[left_is_higher].append(np.median(shadow[:, 513:515]))
        assert not shadow[:, :507].any(), "none to the left"
    assert max(shadows[True]) < -1.5
    assert min(shadows[False]) == 0


def test_a_drawing_leaves_paper_that_is_light_unless_the_picture_is_dark() -> None:
    """The largest slot is 6, or 1, which is dark."""
    plan = np.full((8, 32, 32), -12.0, np.float32)
    plan[6], plan[1, :, :8], plan[6, :, :8] = 0.0, 0.0, -12.0
    dark_plan = plan[[0, 6, 2, 3, 4, 5, 1, 7]]
    grounds = []
    for of in (plan, dark_plan):
        surface = SURFACES["drawing"](compose(make_controls("blobs", plan=of, chaos=0.0), aspect=1.0, seed=0))
        assert surface.paper()[0] >= 91
        grounds.append(surface.colours(View(0, 1, PX, PX))[..., 0].mean())
        bare = surface.colours(WHOLE) - surface.bare
        assert 0.05 < np.mean(np.abs(bare).max(axis=2) < 1) < 0.95, "some paper, some paint"
    assert grounds[0] > 75 > 60 > grounds[1]
    darker = make_controls("blobs", plan=plan, chaos=0.0, lightness=-1.0)
    surface = SURFACES["drawing"](compose(darker, aspect=1.0, seed=0))
    assert surface.bare[0] == surface.paper()[0], "lightness makes the paper darker, but keeps it the lightest colour"


def test_inks_of_a_print_have_grain_and_a_dark_seam() -> None:
    lab = worked(halves(), "print", exact_palette=True)
    middle = lab[20:-20, 120:136, 0].min(axis=1)
    assert np.median(middle) < halves().palette[1, 0] + 1 < halves().palette[6, 0]
    grain = np.abs(np.diff(lab[:, 20:100, 0], axis=1)).mean()
    assert grain > 3 * np.abs(np.diff(worked(halves(), "flat")[:, 20:100, 0], axis=1)).mean()


def test_layers_show_a_second_composition_through() -> None:
    flat, layers = (worked(composition(), surface, softness=0.0) for surface in ("flat", "layers"))
    changed = np.abs(flat - layers).max(axis=2) > 6
    assert 0.2 < changed.mean() < 0.95
    assert layers[..., 0].mean() < flat[..., 0].mean(), "the upper layer never lightens much"


def test_paper_has_grain_that_fades_in_small_pictures() -> None:
    surface = SURFACES["flat"](halves())
    spread = []
    for px in (256, 1280):
        view = View(0, 64, px, px)
        spread.append((surface.paint(view) - surface.colours(view))[..., 0].std())
    assert 0.1 < spread[0] < 0.6 * spread[1] < 1.5


# Controls ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"second_kind": "clouds"}, "second_kind is 'clouds'; it is null or one of"),
        ({"surface": "oil"}, "surface is 'oil'; it is one of gouache, impasto"),
        ({"surface": None}, "surface is None"),
        ({"shapes": 1.0}, r"shapes is 1.0; it must be a number from 1.6 to 7"),
        ({"detail": 1.5}, "detail is 1.5; it must be a number from 0 to 1"),
        ({"softness": -0.1}, "softness is -0.1; it must be a number from 0 to 1"),
        ({"glaze": 99.0}, "glaze is 99.0; it must be a number from 0 to 16"),
        ({"brush": float("nan")}, "brush is nan"),
    ],
)
def test_values_out_of_range_are_errors(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ControlsError, match=message):
        make_controls("tiles", **changes)


def test_controls_survive_json() -> None:
    paint = {"softness": 0.5, "glaze": 3.0, "brush": 2.0, "outline": -0.7, "shapes": 2.5, "detail": 0.25}
    controls = make_controls("tiles", plan=smooth_plan(2), second_kind="dots", surface="layers", **paint)
    again = Controls.from_json(controls.to_json())
    assert again.to_json() == controls.to_json()
    assert (again.second_kind, again.surface, again.softness) == ("dots", "layers", 0.5)
    assert {name: getattr(again, name) for name in paint} == paint


def test_estimates_below_the_threshold_paint_nothing_and_others_are_scaled() -> None:
    raw = {
        "plan": np.zeros((8, 32, 32), np.float32), "palette": np.zeros(1, np.float32),
        "kind": np.arange(len(KINDS), dtype=np.float32), "surface": np.array([0.0, 0.5, 2.0, 1.0], np.float32),
        "frequency": np.float32(10), "angle": np.float32(0.1), "chaos": np.float32(0.8),
    }  # fmt: skip

    def choose(finish: Any, **options: Any) -> Controls:
        outputs = raw | {"finish": np.array(finish, np.float32)}
        names = ("flat", "print", "drawing", "layers")
        return choose_controls(
            outputs, palettes=np.full((1, 8, 3), 0.5, np.float32), kinds=KINDS, surfaces=names, **options
        )

    bare = choose([0.1, 0.1, 0.04, 0.51, 0.0, 0.0])
    assert [getattr(bare, name) for name in FINISH] == [0, 0, 0, 0, 1.6, 0]
    assert (bare.kind, bare.second_kind, bare.surface) == (KINDS[-1], KINDS[-2], "drawing")
    barely_dark = choose([0.1, 0.1, 0.04, 0.495, 0.4, 0.4])
    assert "-0.0" not in barely_dark.to_json().partition('"plan"')[0]
    full = choose(np.ones(6))
    assert full.softness == pytest.approx(0.7)
    assert full.glaze == pytest.approx(0.8 * 16)
    assert full.brush == pytest.approx(0.7 * 16)
    assert full.outline == 0  # songs have no lines
    assert (full.shapes, full.detail) == pytest.approx((7.0, 1.0))
    lined = dict.fromkeys(FINISH, (0.0, 1.0)) | {"outline": (0.05, 2.5)}
    assert choose(np.zeros(6), corrections=lined).outline == pytest.approx(-1.6)
    as_estimated = choose(np.full(6, 0.5), corrections=dict.fromkeys(FINISH, (0.0, 1.0)))
    assert (as_estimated.softness, as_estimated.glaze, as_estimated.detail) == (0.5, 8.0, 0.5)
    assert as_estimated.shapes == pytest.approx((1.6 * 7.0) ** 0.5), "in the middle by ratios"
