"""The scores of viewers are read back by group, and their answers are counted."""

from __future__ import annotations

import pytest
from viewers import read_answers, read_scores

KEY = {"1": "songs", "2": "painters", "3": "songs", "4": "painters"}


def test_groups_have_mean_error_and_shares() -> None:
    table = read_scores(KEY, [{"1": 4, "2": 8, "3": 6, "4": 7}, {"1": 4, "2": 8, "3": 8, "4": 9}])
    assert "| songs | 2 | 5.50 | 1.50 | 0.50 | 0.50 |" in table
    assert "| painters | 2 | 8.00 | 0.00 | 1.00 | 0.00 |" in table
    assert "correlate by" in table


def test_versions_of_the_same_songs_are_compared_in_pairs() -> None:
    key = {"1": "before:7", "2": "after:7", "3": "painters", "4": "after:9", "5": "before:9", "6": "painters"}
    table = read_scores(key, [{"1": 4, "2": 5, "3": 8, "4": 9, "5": 7, "6": 6}])
    assert "| before | 2 | 5.50 | 1.50 | 0.50 | 0.50 |" in table
    assert "after - before: +1.50, standard error 0.50, 2 songs" in table
    assert "painters - " not in table


def test_a_missing_score_is_named() -> None:
    with pytest.raises(SystemExit, match="1 pictures have no score"):
        read_scores(KEY, [{"1": 4, "2": 8, "3": 6}])


def test_right_answers_are_counted_with_an_interval() -> None:
    key = {"1": "L", "2": "R", "3": "L", "4": "L"}
    assert read_answers(key, ["1", "L", "2", "R", "4", "L", "3", "R"]).startswith(
        "3 of 4 right, 0.75 (95 % interval 0.30 to 0.95)"
    )
    with pytest.raises(SystemExit, match="1 pairs have no answer"):
        read_answers(key, ["1", "L", "2", "R", "4", "L"])
