"""Dithering: correct means, exact integers, and the same rounding of the same pixel."""

import numpy as np
import pytest

from clavilux.colour import lab_to_srgb, srgb_to_lab
from clavilux.painter.dither import dither_lab

ROWS, WIDTH = 250, 400


def _grey(steps: float) -> np.ndarray:
    return np.broadcast_to(srgb_to_lab(np.full(3, steps / 255)), (ROWS, WIDTH, 3))


@pytest.mark.parametrize("steps", [0.0, 0.3, 12.5, 99.9, 254.7, 255.0])
def test_the_mean_is_the_value(steps):
    rounded = dither_lab(_grey(steps), 0, 0)
    assert rounded.shape == (ROWS, WIDTH, 3)
    assert rounded.dtype == np.uint8
    exact = lab_to_srgb(_grey(steps))[0, 0] * 255
    np.testing.assert_allclose(exact, steps, atol=0.02)
    assert set(np.unique(rounded)) <= {int(np.floor(steps)), int(np.ceil(steps)), round(steps)}
    np.testing.assert_allclose(rounded.mean(axis=(0, 1)), exact, atol=0.01)


def test_rounding_errors_of_neighbours_and_channels_are_uncorrelated():
    noise = dither_lab(_grey(100.5), 0, 0).astype(float) - 100.5
    for shifted in (noise[:, 1:] * noise[:, :-1], noise[1:] * noise[:-1], noise[..., 1:] * noise[..., :-1]):
        assert abs(shifted.mean()) < 0.003  # of a variance of 1/4


def test_the_rounding_of_a_pixel_depends_on_place_and_seed_only():
    lab = srgb_to_lab(np.random.default_rng(0).random((ROWS, WIDTH, 3)))
    whole = dither_lab(lab, 0, 3)
    np.testing.assert_array_equal(dither_lab(lab[70:90], 70, 3), whole[70:90])
    np.testing.assert_array_equal(dither_lab(lab[:, :33], 0, 3), whole[:, :33])
    assert np.mean(dither_lab(lab, 0, 4) != whole) > 0.2
    assert np.mean(dither_lab(lab, 1, 3) != whole) > 0.2


def test_slow_gradients_have_no_bands():
    """Without dithering, means of columns are wrong by up to half a step, which is visible as bands."""
    ramp = np.linspace(100, 103, WIDTH)
    lab = np.broadcast_to(srgb_to_lab(np.repeat(ramp[:, None] / 255, 3, axis=1)), (4 * ROWS, WIDTH, 3))
    columns = dither_lab(lab, 0, 0).mean(axis=0).reshape(-1, 20, 3).mean(axis=1)
    np.testing.assert_allclose(columns, ramp.reshape(-1, 20).mean(axis=1)[:, None].repeat(3, axis=1), atol=0.05)


def test_colours_outside_the_gamut_are_clipped():
    lab = np.array([[[120.0, 0, 0], [-20.0, 0, 0], [50.0, 200, 0]]], np.float32)
    assert dither_lab(lab, 0, 0)[0, :2].tolist() == [[255] * 3, [0] * 3]
