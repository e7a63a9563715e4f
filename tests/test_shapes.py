"""Figures: the large deliberate shapes of a composition."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from steered import random_controls
from test_painter import make_controls

from clavilux.constants import FIGURE_NAMES, SLOTS
from clavilux.errors import ControlsError
from clavilux.painter.composition import SIDE, Composition, compose
from clavilux.painter.figures import _describe_arc
from clavilux.painter.marks import MARKS
from clavilux.painter.paint import paint
from clavilux.painter.shapes import Canvas, Frame
from clavilux.steering import Steering

NAMES = [name for name in FIGURE_NAMES if name not in ("auto", "none")]


def composed(figure: str, *, seed: int = 0, aspect: float = 1.0, **changes: object) -> Composition:
    return compose(make_controls(figure=figure, **changes), aspect=aspect, seed=seed)


@pytest.mark.parametrize("figure", NAMES)
def test_a_figure_is_large_and_leaves_a_part_of_the_picture(figure: str) -> None:
    bare, drawn = composed("none"), composed(figure)
    assert not bare.figures.cells.any()
    assert 0.06 < drawn.figures.cells.mean() < 0.96, "with the shapes behind the subject"
    far = ~drawn.figures.cells
    assert np.mean(bare.slots[far] == drawn.slots[far]) > 0.85, "only small areas and the accent differ outside"
    assert np.mean(bare.slots[~far] == drawn.slots[~far]) < 0.35


def test_large_arcs_are_told_only_where_they_are_drawn() -> None:
    arc = "a wide arc across the picture"
    told = {arc in composed("sun", seed=seed, shapes=7.0).figures.also for seed in range(8)}
    assert told == {True, False}
    assert all(arc not in composed("sun", seed=seed, shapes=3.0).figures.also for seed in range(8)), "calm pictures"
    corner = np.zeros((60, 60), bool)
    corner[50:, :20] = True
    assert _describe_arc(corner) == "a part of a wide arc at the bottom left"
    assert _describe_arc(np.ones((60, 60), bool)) == arc
    canvas = Canvas(np.zeros((64, 64), np.uint8), *np.meshgrid(*[np.linspace(-0.5, 0.5, 64, dtype=np.float32)] * 2))
    frame = Frame(np.zeros(2), 0.0, 1.0)
    canvas.exchange(frame.ring(0, 0, 0.3, 0.4), words="seen")
    canvas.exchange(frame.disc(0, 0, 0.02), words="too small")
    canvas.exchange(frame.ring(9, 9, 0.1, 0.2), words="outside")
    assert canvas.result().also == ("seen",)


def test_figures_differ_by_name_and_seed() -> None:
    slots = [composed(figure).figures.slots for figure in NAMES] + [composed("sun", seed=1).figures.slots]
    for k, one in enumerate(slots):
        for other in slots[k + 1 :]:
            assert np.mean(one != other) > 0.15


def test_similar_plans_have_similar_figures() -> None:
    alike, apart = [], []
    for number in range(12):
        controls = dataclasses.replace(random_controls(number), figure="shell")
        noise = np.random.default_rng(number).normal(0, 0.05, controls.plan.shape).astype(np.float32)
        near = dataclasses.replace(controls, plan=controls.plan + noise)
        other = dataclasses.replace(random_controls(number + 40), figure="shell")
        a, b, c = (compose(k, aspect=1.0, seed=0).figures.cells for k in (controls, near, other))
        alike.append(np.mean(a & b) / np.mean(a | b))
        apart.append(np.mean(a & c) / np.mean(a | c))
    assert np.median(alike) > 0.9
    assert np.median(apart) < 0.5


def test_other_colours_keep_the_figures() -> None:
    controls = random_controls(3)
    steered = Steering(palette=["#112233", "#e63946", "#f1faee"], warmth=0.5).steer(controls)
    a, b = (compose(c, aspect=1.0, seed=0).figures.cells for c in (controls, steered))
    np.testing.assert_array_equal(a, b)


def test_auto_takes_the_figures_of_the_kinds() -> None:
    for kind in ("dots", "stripes", "rays"):
        auto, named = (composed(f, kind=kind).figures.cells for f in ("auto", MARKS[kind].figure))
        np.testing.assert_array_equal(auto, named)
    assert {kind.figure for kind in MARKS.values()} == set(NAMES)


@pytest.mark.parametrize("aspect", [0.5, 2.0])
def test_a_figure_keeps_its_shape_at_every_aspect(aspect: float) -> None:
    figures = composed("sun", aspect=aspect).figures
    assert figures.cells.shape == (SIDE, 2 * SIDE) if aspect > 1 else (2 * SIDE, SIDE)
    assert 0.02 < figures.cells.mean() < 0.5


def test_borders_of_figures_are_shared_between_slots() -> None:
    composition = composed("sun")
    shares = composition.shares()
    np.testing.assert_allclose(shares.sum(axis=2), 1, atol=1e-6)
    mixed = (shares.max(axis=2) < 1).mean()
    assert 0.002 < mixed < 0.1
    plain = shares.max(axis=2) == 1
    np.testing.assert_array_equal(shares.argmax(axis=2)[plain], composition.slots[plain])


def test_a_border_of_a_figure_is_smooth() -> None:
    """Flat colour: the lightness along a slightly sloping edge rises evenly, without stairs of the raster."""
    plan = np.full((SLOTS, 32, 32), -12.0, np.float32)
    plan[6] = 0.0
    controls = make_controls("blobs", plan=plan, chaos=0.0, figure="boat", surface="flat", texture=0.0)
    small, large = (paint(controls, width=n, height=n).astype(float) for n in (512, 2048))
    means = large.reshape(512, 4, 512, 4, 3).mean(axis=(1, 3))
    assert np.abs(small - means).mean() < 1.5


def test_an_unknown_figure_is_refused_in_one_line() -> None:
    with pytest.raises(ControlsError, match="figure is 'square'; it is one of auto, none, face"):
        make_controls(figure="square")
