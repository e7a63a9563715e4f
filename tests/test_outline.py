"""Outlines where two colours meet."""

import dataclasses

import numpy as np
import pytest
from clavilux.painter.outline import add_outlines, find_distances
from scipy.ndimage import distance_transform_edt

from clavilux.constants import OUTLINE_RANGE
from clavilux.images import resize
from clavilux.painter.paint import paint, paint_slots
from tests.test_painter import make_controls, smooth_plan


def _draw(slots, width, colour=(255, 0, 0), threads=1):
    picture = np.full((*slots.shape, 3), 128, np.uint8)
    add_outlines(picture, slots, width=width, colour=np.array(colour, np.uint8), seed=5, threads=threads)
    return picture


@pytest.mark.parametrize("reach", [6, 145])
def test_distances_are_exact_within_reach(reach):
    """The widest line of the largest picture reaches 145 places."""
    rng = np.random.default_rng(1)
    borders = rng.random((400, 320)) < 0.02 / reach**2
    exact = distance_transform_edt(~borders)
    near = exact <= reach
    assert 0.01 < near.mean() < 0.99
    found = find_distances(borders, reach)
    np.testing.assert_allclose(found[near], exact[near], atol=1e-4)
    assert (found[~near] > reach).all()


def test_lines_have_the_given_mean_width_and_vary():
    side, width = 1_000, 0.01
    slots = np.zeros((side, side), np.uint8)
    slots[:, side // 2 :] = 3
    red = _draw(slots, width)[:, :, 1].astype(float)
    light = ((red / 255 + 0.055) / 1.055) ** 2.4
    covered = (1 - light / light.max()).sum(axis=1)  # pixels of a row
    assert covered.mean() == pytest.approx(width * side, rel=0.25)
    assert covered.std() > 0.15 * covered.mean()
    assert np.abs(np.diff(covered)).max() < 1.0, "it swells slowly"
    assert (red[:, : side // 2 - 12] == 128).all()


def test_lines_of_both_signs_are_at_borders_only():
    plan = smooth_plan(4)
    bare = make_controls("tiles", plan=plan, frequency=8.0)
    pictures = {o: paint(dataclasses.replace(bare, outline=o), width=256, height=256) for o in (-1.0, 0.0, 1.0)}
    slots = paint_slots(bare, width=256, height=256)
    differs = np.zeros(slots.shape, bool)
    differs[:, 1:] |= slots[:, 1:] != slots[:, :-1]
    differs[1:] |= slots[1:] != slots[:-1]
    far = distance_transform_edt(~differs) > 1 + 0.5 * 2.2 * 0.01 * 256
    for outline, picture in pictures.items():
        # Slivers between the middles of pixels have lines too.
        assert (picture[far] != pictures[0.0][far]).mean() < 2e-3
        changed = np.abs(picture.astype(int) - pictures[0.0]).max(axis=2) > 8
        assert changed.mean() > 0.02 or outline == 0
    assert pictures[-1.0].mean() < pictures[0.0].mean() < pictures[1.0].mean()


def test_wider_lines_change_more_and_thin_ones_little():
    def painted(outline):
        return paint(make_controls("blobs", outline=outline), width=192, height=192).astype(float)

    steps = [np.abs(painted(o) - painted(0.0)).mean() for o in (0.002, 0.2, 0.6, OUTLINE_RANGE[1])]
    assert steps == sorted(steps)
    assert steps[0] < 0.5 < 4 < steps[-1]


def test_small_marks_limit_the_width_of_lines():
    """At 40 marks a side, the widest line is 0.3 / 40 = 0.75 % of it, so 1 % and 1.6 % are the same."""
    painted = [paint(make_controls("tiles", frequency=40.0, outline=o), width=128, height=128) for o in (0.5, 1.0, 1.6)]
    assert np.array_equal(painted[1], painted[2])
    assert not np.array_equal(painted[0], painted[1])


@pytest.mark.parametrize(
    ("width", "height", "frequency", "supersample"),
    [(64, 4_200, 9.0, 1), (8_192, 64, 4.0, None), (5_000, 70, 40.0, None), (64, 64, 48.0, 2)],
)
@pytest.mark.slow
def test_every_size_has_lines(width, height, frequency, supersample):
    size = {"width": width, "height": height, "supersample": supersample, "threads": 2}
    bare, lined = (paint(make_controls("tiles", frequency=frequency, outline=o), **size) for o in (0.0, -1.0))
    assert 0.01 < (bare != lined).any(axis=2).mean() < 0.9


@pytest.mark.parametrize("kind", ["facets", "marble"])
def test_the_same_lines_at_two_sizes(kind):
    controls = make_controls(kind, frequency=6.0, outline=-1.0)
    small, large = (paint(controls, width=side, height=side) for side in (256, 768))
    assert np.abs(resize(large, 256).astype(int) - small).mean() < 8


def test_threads_and_block_sizes_change_nothing(monkeypatch):
    slots = paint_slots(make_controls("dots", frequency=9.0), width=300, height=400)
    whole = _draw(slots, 0.012)
    assert np.array_equal(whole, _draw(slots, 0.012, threads=2))
    monkeypatch.setattr("clavilux.painter.outline._BLOCK", 300 * 7)
    assert np.array_equal(whole, _draw(slots, 0.012))
