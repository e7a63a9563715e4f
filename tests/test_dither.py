"""Dithering: correct means, exact integers, and the same rounding of the same pixel."""

import numpy as np
import pytest

from clavilux.painter.dither import dither

N, WIDTH = 100_000, 400


@pytest.mark.parametrize("steps", [0.0, 0.3, 12.5, 99.9, 254.7, 255.0])
def test_the_mean_is_the_value(steps):
    rgb = np.full((N, 3), steps / 255, np.float32)
    rounded = dither(rgb, np.arange(N), width=WIDTH, seed=0)
    assert rounded.dtype == np.uint8
    assert set(np.unique(rounded)) <= {int(np.floor(steps)), int(np.ceil(steps))}
    np.testing.assert_allclose(rounded.mean(axis=0), steps, atol=0.01)


def test_rounding_errors_of_neighbours_and_channels_are_uncorrelated():
    rgb = np.full((N, 3), 100.5 / 255, np.float32)
    noise = dither(rgb, np.arange(N), width=WIDTH, seed=0).astype(float).reshape(-1, WIDTH, 3) - 100.5
    for shifted in (noise[:, 1:] * noise[:, :-1], noise[1:] * noise[:-1], noise[..., 1:] * noise[..., :-1]):
        assert abs(shifted.mean()) < 0.003  # of a variance of 1/4


def test_the_rounding_of_a_pixel_does_not_depend_on_others():
    rgb = np.random.default_rng(0).random((N, 3), np.float32)
    whole = dither(rgb, np.arange(N), width=WIDTH, seed=3)
    some = np.array([5, 70_000, 12_345])
    assert np.array_equal(dither(rgb[some], some, width=WIDTH, seed=3), whole[some])
    assert not np.array_equal(dither(rgb, np.arange(N), width=WIDTH, seed=4), whole)
