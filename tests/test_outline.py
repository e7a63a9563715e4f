"""Lines of uneven width where two areas of flat colour meet."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
from test_painter import block_means, half_plan, make_controls

from clavilux.constants import OUTLINE_RANGE
from clavilux.painter.areas import View
from clavilux.painter.composition import Composition, compose
from clavilux.painter.paint import paint
from clavilux.painter.raster import Float32
from clavilux.painter.surfaces import SURFACES

PX = 512


@cache
def base(plan: str = "smooth") -> Composition:
    return compose(make_controls("facets", plan=half_plan() if plan == "half" else None), aspect=1.0, seed=0)


@cache
def painted(outline: float, surface: str = "flat", plan: str = "smooth", px: int = PX) -> Float32:
    controls = dataclasses.replace(base(plan).controls, outline=outline)
    return SURFACES[surface](dataclasses.replace(base(plan), controls=controls)).colours(View(0, px, px, px))


def test_lines_are_at_borders_only_and_dark_or_light() -> None:
    far = base().distance > 0.01
    for outline, ink in ((-1.0, base().palette[0]), (1.0, base().palette[-1])):
        lined = painted(outline)
        changed = np.abs(lined - painted(0.0)).max(axis=2) > 5
        assert changed.mean() > 0.01
        assert not changed[far].any()
        assert np.median(np.abs(lined[changed] - ink).max(axis=1)) < 0.6 * np.median(
            np.abs(painted(0.0)[changed] - ink).max(axis=1)
        )


def test_the_width_of_a_line_varies_and_is_bounded() -> None:
    """A vertical border; half of the width is painted on each side of it."""
    changed = np.abs(painted(-1.0, plan="half") - painted(0.0, plan="half")).max(axis=2) > 10
    width = changed.sum(axis=1) / PX
    assert 0.001 < np.median(width) < 0.01
    assert width.max() < 0.03
    assert width.std() > 0.1 * width.mean()


def test_wider_lines_change_more_and_thin_ones_nothing() -> None:
    steps = [np.abs(painted(outline) - painted(0.0)).mean() for outline in (0.1, 0.3, 0.6, 0.9)]
    assert steps[0] == 0
    assert steps == sorted(steps)
    assert steps[-1] > 2 * steps[1] > 0


def test_lines_have_a_largest_width() -> None:
    np.testing.assert_array_equal(painted(0.9), painted(OUTLINE_RANGE[1]))


def test_translucent_layers_have_none() -> None:
    np.testing.assert_array_equal(painted(-0.9, "layers", px=256), painted(0.0, "layers", px=256))


def test_the_same_lines_at_two_sizes() -> None:
    controls = make_controls("facets", surface="flat", outline=-0.9)
    small, large = (paint(controls, width=px, height=px) for px in (256, 768))
    assert np.abs(block_means(small, 32, 32) - block_means(large, 32, 32)).mean() < 1.5
