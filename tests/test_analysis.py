"""Palettes and plans of pictures with a known answer."""

import numpy as np
import pytest

from clavilux.colour import lab_to_srgb, srgb_to_lab
from clavilux.training.analysis import palette_codebook, palette_distance, read_layout, read_plan, trim_margins
from clavilux.training.painted_examples import blur_plan

EIGHT = np.array(
    [
        *([10, 10, 10], [120, 20, 20], [20, 90, 30], [30, 30, 180]),
        *([200, 120, 30], [230, 90, 160], [120, 220, 220], [250, 250, 240]),
    ],
    np.uint8,
)


def _bands() -> np.ndarray:
    """Eight vertical bands of 16 px."""
    return np.repeat(EIGHT, 16, axis=0)[None].repeat(128, axis=0)


def test_lab_of_known_colours():
    # CIE values of the sRGB primaries under D65.
    lab = srgb_to_lab(np.array([[1.0, 1, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1]]))
    wanted = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86]]
    np.testing.assert_allclose(lab, wanted, atol=0.05)


def test_lab_is_inverted():
    rgb = np.random.default_rng(0).random((500, 3))
    np.testing.assert_allclose(lab_to_srgb(srgb_to_lab(rgb)), rgb, atol=2e-4)


def test_palette_and_plan_of_eight_bands_are_exact():
    palette, shares = read_plan(_bands(), np.random.default_rng(0))
    found = np.rint(palette * 255).astype(int)
    assert sorted(map(tuple, found)) == sorted(map(tuple, EIGHT.astype(int)))
    lightness = srgb_to_lab(palette)[:, 0]
    assert (np.diff(lightness) > 0).all(), "dark to light"
    np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(shares.mean(axis=(1, 2)), 1 / 8, atol=0.01)
    # Each band is four cells wide; its inner cells belong to one slot alone.
    assert shares[:, :, 1::4].max(axis=0).min() > 0.89


def test_a_rare_colour_keeps_a_slot():
    rgb = np.full((128, 128, 3), 200, np.uint8) + np.random.default_rng(1).integers(0, 30, (128, 128, 1), np.uint8)
    rgb[40:52, 40:52] = (220, 20, 20)
    palette, _ = read_plan(rgb, np.random.default_rng(0))
    assert np.abs(palette * 255 - [220, 20, 20]).max(axis=1).min() < 3


def test_a_picture_of_one_colour_has_a_plan():
    palette, shares = read_plan(np.full((128, 128, 3), 77, np.uint8), np.random.default_rng(0))
    np.testing.assert_allclose(palette, 77 / 255, atol=1e-6)
    np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-5)


def test_margins_of_paper_are_cut_and_uniform_parts_are_not():
    rng = np.random.default_rng(0)
    painting = rng.integers(0, 255, (100, 80, 3), np.uint8)
    framed = np.full((120, 100, 3), 250, np.uint8)
    framed[10:110, 10:90] = painting
    assert np.array_equal(trim_margins(framed), painting)
    calm = np.full((100, 100, 3), 250, np.uint8)
    calm[40:60, 40:60] = painting[:20, :20]
    assert trim_margins(calm).shape == calm.shape


def test_codebook_holds_real_palettes_and_finds_each_near_itself():
    rng = np.random.default_rng(0)
    palettes = rng.random((200, 8, 3)).astype(np.float32)
    codebook = palette_codebook(palettes, 20, rng)
    assert 10 <= len(codebook) <= 20
    distance = palette_distance(palettes, codebook)
    assert ((distance < 0.05).sum(axis=0) >= 1).all(), "every code is one of the palettes"
    assert palette_distance(palettes[:5], palettes[:5]).diagonal().max() < 0.05


def test_palette_distance_is_the_root_mean_square_of_the_slots():
    a = np.zeros((1, 8, 3), np.float32)
    b = np.ones((1, 8, 3), np.float32)
    assert palette_distance(a, b)[0, 0] == pytest.approx(100, abs=0.1)


def _shares(slots):
    """Shares of windows (n, 8, 32, 32) that have one slot in each cell."""
    return (255 * (np.asarray(slots)[:, None] == np.arange(8)[:, None, None])).astype(np.uint8)


def test_layouts_are_ranked_by_the_size_of_areas_and_by_how_borders_are_spread():
    halves, quarters = np.zeros((32, 32), int), np.indices((32, 32)).sum(axis=0) * 0
    halves[:, 16:] = 1
    quarters += 2 * (np.arange(32) >= 16)[:, None] + (np.arange(32) >= 16)
    checks = np.indices((32, 32)).sum(axis=0) % 2
    corner = np.where(np.indices((32, 32)).max(axis=0) < 8, checks, 0)
    layout = read_layout(_shares([checks, quarters, halves, corner]))
    assert layout[:3, 0].tolist() == sorted(layout[:3, 0], reverse=True), "smaller areas, more shapes"
    assert layout[:, 1].argmin() == 0, "borders everywhere"
    assert layout[3, 1] > layout[0, 1], "borders in one corner"
    np.testing.assert_allclose(np.sort(layout, axis=0)[:, 0], (np.arange(4) + 0.5) / 4)


def test_blurring_a_plan_keeps_its_shares():
    shares = np.zeros((8, 32, 32), np.float32)
    shares[3, :, :16], shares[5, :, 16:] = 1, 1
    blurred = blur_plan(shares, 3.0)
    np.testing.assert_allclose(blurred.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(blurred.mean(axis=(1, 2)), shares.mean(axis=(1, 2)), atol=1e-4)
    assert 0.2 < blurred[3, 10, 15] < 0.8
