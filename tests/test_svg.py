"""The plots of the report: well-formed, escaped, and with everything at its position."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from clavilux.evaluation.svg import bars, picture_map, scatter

SVG = "{http://www.w3.org/2000/svg}"


def _parse(text):
    return ET.fromstring(text.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def _points(root):
    return np.array([[float(dot.get("cx")), float(dot.get("cy"))] for dot in root.iter(f"{SVG}circle")])


def test_a_scatter_plots_ranks_within_its_box():
    x = np.array([1.0, 2.0, 1000.0, -5.0])
    root = _parse(scatter(x, x**3, title="a < b & c", x_label="loudness", y_label="contrast"))
    points = _points(root)
    across = points[np.argsort(x), 0]
    np.testing.assert_allclose(np.diff(across), np.diff(across)[0], atol=0.11)  # ranks are evenly spread
    np.testing.assert_allclose(np.diff(points[np.argsort(x), 1]), -np.diff(across), atol=0.11)  # up is more
    (box,) = root.iter(f"{SVG}rect")
    left, top, wide, tall = (float(box.get(name)) for name in ("x", "y", "width", "height"))
    assert (points > [left, top]).all() and (points < [left + wide, top + tall]).all()
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts == ["a < b & c", "loudness", "contrast"]
    assert root.get("aria-label") == "a < b & c"


@pytest.mark.parametrize("marks", [None, np.array([4.0, 0.0, 1.0])])
def test_bars_are_as_high_as_their_values(marks):
    values = np.array([2.0, 1.0, 0.0])
    plot = bars(values, marks, title="t", value_name="nats", mark_name="songs", x_label="latents")
    root = _parse(plot)
    *columns, key = root.iter(f"{SVG}rect")
    heights = np.array([float(column.get("height")) for column in columns])
    assert key.get("height") == "10"
    np.testing.assert_allclose(heights / heights[0], [1, 0.5, 0], atol=0.01)
    bottom = [float(column.get("y")) + float(column.get("height")) for column in columns]
    np.testing.assert_allclose(bottom, bottom[0], atol=0.11)
    assert ("songs" in plot) == (marks is not None)
    assert plot.count("<line") == 3 + (0 if marks is None else 3 + 1)  # a grid, marks and their key
    if marks is not None:  # the tallest mark reaches the top, so that the tallest bar is half as tall
        assert float(columns[0].get("y")) == pytest.approx((float(bottom[0]) + 10) / 2, abs=0.2)


def test_a_map_has_all_points_and_the_first_pictures():
    rng = np.random.default_rng(0)
    ground, places = 5 * rng.standard_normal((30, 2)), rng.standard_normal((7, 2)) + np.array([20, 0])
    pictures = [rng.integers(0, 255, (8, 8, 3)).astype(np.uint8) for _ in range(4)]
    names = {"x_label": "first", "y_label": "second", "ground_name": "art", "place_name": "songs"}
    root = _parse(picture_map(ground, places, pictures, title="map", **names))
    box = next(root.iter(f"{SVG}rect"))
    left, top, wide, tall = (float(box.get(name)) for name in ("x", "y", "width", "height"))
    *points, _, _ = _points(root)  # the last two are the key's
    assert len(points) == 30 + 7 - 4
    assert (np.array(points) > [left, top]).all() and (np.array(points) < [left + wide, top + tall]).all()
    images = list(root.iter(f"{SVG}image"))
    assert len(images) == 4
    for image in images:
        assert left <= float(image.get("x")) and float(image.get("x")) + 34 <= left + wide
        assert top <= float(image.get("y")) and float(image.get("y")) + 34 <= top + tall
    # Songs are to the right of art, on the same scale.
    assert min(float(image.get("x")) for image in images) > np.median(np.array(points)[:30, 0])
    assert [text.text for text in root.iter(f"{SVG}text")] == ["first", "second", "art", "songs"]


def test_every_colour_variable_has_a_default():
    plot = scatter(np.arange(3.0), np.arange(3.0), title="t", x_label="x", y_label="y")
    plot += bars(np.ones(2), np.ones(2), title="t", value_name="v", mark_name="m", x_label="x")
    used = re.findall(r"var\(([^)]*)\)", plot)
    assert len(used) > 10
    assert all(re.fullmatch(r"--[a-z]+, #[0-9a-f]{6}", colour) for colour in used)
