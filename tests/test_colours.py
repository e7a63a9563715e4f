"""The figures of `benchmarks/colours.py`, on made-up pictures whose answer is known."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("efficientnet_lite_pytorch")
pytestmark = pytest.mark.torch

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def colours():
    spec = importlib.util.spec_from_file_location("colours", ROOT / "benchmarks" / "colours.py")
    module = sys.modules["colours"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_distance_is_how_far_values_are_moved(colours):
    values = np.random.default_rng(0).normal(50, 10, (20, 100)).astype(np.float32)
    assert colours.wasserstein(values, values[::-1]) == 0
    assert colours.wasserstein(values, values + 7) == pytest.approx(7, rel=1e-3)
    wide = (values - values.mean()) * 2 + values.mean()
    assert colours.wasserstein(values, wide) == pytest.approx(10 * (2 / np.pi) ** 0.5, rel=0.05)  # of half-normals


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((255, 0, 0), "red"),
        ((255, 140, 0), "orange"),
        ((255, 255, 0), "yellow"),
        ((0, 160, 0), "green"),
        ((0, 160, 160), "turquoise"),
        ((40, 110, 200), "blue"),
        ((130, 0, 255), "violet"),
        ((255, 0, 255), "pink"),
        ((128, 128, 128), "grey"),
    ],
)
def test_hues_have_their_usual_names(colours, rgb, name):
    square = np.full((128, 128, 3), rgb, np.uint8)
    shares = colours.hue_shares(colours._look(square)[None])[0]
    assert shares[("grey", *colours.HUES).index(name)] == 1
    assert shares.sum() == 1


def test_tables_tell_pale_paintings_from_vivid_art(colours):
    rng = np.random.default_rng(0)
    vivid = rng.uniform([10, -80, -80], [95, 80, 80], (12, colours.KEPT, 3)).astype(np.float32)
    pale = vivid * np.array([1, 0.2, 0.2], np.float32)
    text = colours.make_tables({"songs": pale, "held-out art": vivid, "training art": vivid})
    (lightness,), (chroma,) = (
        [line for line in text.splitlines() if line.startswith(f"| {name} of pixels")]
        for name in ("lightness", "chroma")
    )
    assert "**0.0** | 0.0 |" in lightness
    assert float(chroma.split("**")[1]) > 40
    figure = colours.draw_figure({"songs": pale, "held-out art": vivid, "training art": vivid})
    assert figure.size[0] > 700


def test_the_page_has_the_marked_place(colours):
    text = (ROOT / "docs" / "colour.md").read_text("utf-8")
    assert all(text.count(marker) == 1 for marker in colours.MARKERS)
