"""The goals of the measures."""

import pytest

from clavilux.evaluation.goals import CEILING, Goal, Measure, check_goal


def test_a_goal_applies_to_the_value_or_to_its_ratio_to_the_ceiling():
    columns = {"songs": {"x": 0.6}, CEILING: {"x": 0.8}}
    ratio = Measure("x", "x", "", Goal(least=0.7, of="ratio"), has_ceiling=True)
    found = check_goal(ratio, columns, "songs")
    assert (found.value, found.ratio, found.met) == (0.6, pytest.approx(0.75), True)
    assert found.ceiling == 0.8
    assert check_goal(Measure("x", "x", "", Goal(least=0.7)), columns, "songs").met is False
    assert check_goal(Measure("x", "x", "", Goal(0.5, 0.7)), columns, "songs").met is True
    assert check_goal(Measure("y", "y", ""), columns, "songs") is None


def test_a_negative_ceiling_gives_no_ratio_and_no_verdict():
    columns = {"songs": {"kid": 0.1}, CEILING: {"kid": -0.001}}
    found = check_goal(Measure("kid", "KID", "", Goal(most=2, of="ratio"), has_ceiling=True), columns, "songs")
    assert found.ratio is None
    assert found.met is None


def test_a_ceiling_of_the_column_gives_a_ratio_without_changing_the_goal():
    columns = {"songs": {"geometry": 0.4, "geometry_ceiling": 0.8}}
    found = check_goal(Measure("geometry", "", "", Goal(least=0.45)), columns, "songs")
    assert (found.value, found.ceiling, found.ratio, found.met) == (0.4, 0.8, 0.5, False)
