"""The figures of `benchmarks/eye_confusion.py`, on made-up readings whose answer is known."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from clavilux.painter.marks import KINDS  # noqa: E402
from clavilux.training.studies import Studies  # noqa: E402
from clavilux.training.train_mark_classifier import MarksRead  # noqa: E402

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def eye_confusion():
    spec = importlib.util.spec_from_file_location("eye_confusion", ROOT / "benchmarks" / "eye_confusion.py")
    module = sys.modules["eye_confusion"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_areas_are_scored_by_the_larger_kind(eye_confusion):
    truth = np.array([[1, 0, 0, 0], [0.7, 0.3, 0, 0], [0, 0, 0.6, 0.4]], np.float32)
    seen = np.array([[0.9, 0.1, 0, 0], [0.2, 0.3, 0.4, 0.1], [0, 0, 0.6, 0.4]], np.float32)
    scores = eye_confusion.kind_scores(truth, seen)
    assert scores["top-1"] == pytest.approx(2 / 3)
    assert scores["top-3"] == 1
    assert scores["both"] == 1
    assert scores["right"] == pytest.approx((0.9 + 0.5 + 1) / 3)
    assert scores["area"] == pytest.approx((0.1 + 0.5 + 0) / 3)
    wrong = eye_confusion.kind_scores(truth, seen[:, ::-1])
    assert wrong["top-1"] == 0
    counts = eye_confusion.confusion(truth, seen)
    assert counts[0].tolist() == [1, 0, 1, 0]
    assert counts.sum() == 3


def test_directions_a_half_turn_apart_are_one(eye_confusion):
    angle = np.array([0.1, 0.1, 0.1, 0.1], np.float32)
    twice = 4 * np.pi * np.array([0.1, 0.6, 0.35, 0.1])  # the same, half a turn on, across, the same and unsure
    direction = np.stack([np.cos(twice), np.sin(twice)], axis=1) * np.array([0.9, 0.9, 0.9, 0.2])[:, None]
    cosine, sure = eye_confusion.direction_cosine(angle, direction.astype(np.float32))
    np.testing.assert_allclose(cosine, [1, 1, -1, 1], atol=1e-5)
    assert sure.tolist() == [True, True, True, False]


def test_an_eye_that_sees_all_gets_full_marks_and_one_that_guesses_does_not(eye_confusion):
    rng = np.random.default_rng(0)
    n = 4 * len(KINDS)
    kind = np.eye(len(KINDS), dtype=np.float32)[np.arange(n) % len(KINDS)]
    kind[: n // 2] = 0.6 * kind[: n // 2] + 0.4 * np.roll(kind[: n // 2], 3, axis=1)
    angle = rng.uniform(0, 0.5, n).astype(np.float32)
    surface = np.where(rng.random((n, 4)) < 0.3, [0, 0, 0, 0.5], rng.random((n, 4))).astype(np.float32)
    log_frequency = rng.uniform(1.3, 3.8, n).astype(np.float32)
    chaos = rng.uniform(0.3, 1.25, n).astype(np.float32)
    symmetry = np.zeros((n, 2), np.float32)
    truth = Studies(np.zeros((n, 1, 1, 3), np.uint8), kind, log_frequency, angle, chaos, surface)
    direction = np.stack([np.cos(4 * np.pi * angle), np.sin(4 * np.pi * angle)], axis=1)
    perfect = eye_confusion.make_tables(truth, MarksRead(kind, log_frequency, direction, chaos, surface, symmetry))
    assert "| the larger kind is the eye's first | 1.00 | 1.00 | 0.03 |" in perfect
    assert "| chaos | 1.00 | 0.00 | |" in perfect
    assert "| angle | cosine 1.00 | 0 degrees |" in perfect
    assert perfect.count("**100**") == 2 * len(KINDS)
    mixed = rng.permutation(n)
    guessed = MarksRead(kind[mixed], log_frequency[mixed], direction[mixed], chaos[mixed], surface[mixed], symmetry)
    table = eye_confusion.make_tables(truth, guessed)
    assert "**100**" not in table
    assert "1.00 | 1.00" not in table


def test_the_page_has_the_marked_place(eye_confusion):
    text = (ROOT / "docs" / "eye.md").read_text("utf-8")
    assert all(text.count(marker) == 1 for marker in eye_confusion.MARKERS)
