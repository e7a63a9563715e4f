"""Operations on rasters, against SciPy and known answers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from clavilux.painter.raster import (
    absorb_small,
    blur,
    enlarge,
    find_areas,
    find_distances,
    find_edges,
    read_at,
    smooth,
    widen,
)

RNG = np.random.default_rng(0)
CROSS = ndimage.generate_binary_structure(2, 1)


def random_slots(h: int, w: int, scale: float = 3.0, n: int = 4) -> np.ndarray:
    """Slots whose areas have all sizes from a single cell on."""
    noise = ndimage.gaussian_filter(RNG.standard_normal((n, h, w)), (0, scale, scale)) * scale
    return (noise + 0.25 * RNG.standard_normal((n, h, w))).argmax(axis=0).astype(np.uint8)


@pytest.mark.parametrize(("sigma", "radius"), [(0.86, 0), (1.0, 1), (2.5, 2), (15.0, 15)])
def test_blur_is_three_boxes_that_are_nearly_gaussian(sigma: float, radius: int) -> None:
    values = np.zeros((130, 110), np.float32)
    values[:70, 50:] = 1.0
    blurred = blur(values, sigma)
    assert blurred.dtype == np.float32
    boxes = values.astype(np.float64)
    for _ in range(3):
        boxes = ndimage.uniform_filter(boxes, 2 * radius + 1, mode="nearest")
    np.testing.assert_allclose(blurred, boxes, atol=1e-6)
    if radius > 1:
        gaussian = ndimage.gaussian_filter(values.astype(np.float64), sigma, mode="nearest")
        assert np.abs(blurred - gaussian).max() < 0.03


def test_blur_has_its_deviation_and_treats_channels_alone() -> None:
    point = np.zeros((101, 101, 2), np.float32)
    point[50, 50, 0] = 1.0
    blurred = blur(point, 4.0)
    assert blurred[..., 0].sum() == pytest.approx(1, abs=1e-5)
    assert not blurred[..., 1].any()
    at = np.arange(101) - 50.0
    for axis in (0, 1):
        assert np.sqrt(blurred[..., 0].sum(axis=axis) @ at**2) == pytest.approx(20**0.5, rel=1e-3)
    np.testing.assert_allclose(blur(np.full((20, 30), 0.7, np.float32), 5.0), 0.7, atol=1e-6)


@pytest.mark.parametrize("shape", [(12, 9), (12, 9, 3)])
def test_smooth_is_a_filter_of_three(shape: tuple[int, ...]) -> None:
    values = RNG.random(shape).astype(np.float32)
    wanted = values.astype(np.float64)
    for axis in (0, 1):
        wanted = ndimage.convolve1d(wanted, [0.25, 0.5, 0.25], axis=axis, mode="nearest")
    np.testing.assert_allclose(smooth(values), wanted, atol=1e-6)


@pytest.mark.parametrize(("rows", "columns"), [(40, 27), (8, 6), (5, 50), (3, 2)])
def test_enlarge_is_linear_between_centres(rows: int, columns: int) -> None:
    values = RNG.random((8, 6, 2)).astype(np.float32)
    grown = enlarge(values, rows, columns)
    assert grown.shape == (rows, columns, 2)
    at = np.meshgrid((np.arange(rows) + 0.5) / rows * 8 - 0.5, (np.arange(columns) + 0.5) / columns * 6 - 0.5,
                     indexing="ij")  # fmt: skip
    for c in range(2):
        wanted = ndimage.map_coordinates(values[..., c], at, order=1, mode="nearest")
        np.testing.assert_allclose(grown[..., c], wanted, atol=2e-3)
    np.testing.assert_array_equal(enlarge(values, rows, columns, top=1, bottom=3), grown[1:3])


def test_enlarging_to_the_same_size_changes_nothing() -> None:
    values = RNG.random((8, 6)).astype(np.float32)
    np.testing.assert_allclose(enlarge(values, 8, 6), values, atol=2e-3)


@pytest.mark.parametrize("shape", [(11, 7), (11, 7, 3)])
def test_read_at_interpolates_and_repeats_the_edge(shape: tuple[int, ...]) -> None:
    values = RNG.random(shape).astype(np.float32)
    row, column = RNG.uniform(-3, 14, (2, 500)).astype(np.float32)
    read = read_at(values, row, column)
    planes = values.reshape(11, 7, -1)
    wanted = np.stack(
        [
            ndimage.map_coordinates(planes[..., c], [row, column], order=1, mode="nearest")
            for c in range(planes.shape[2])
        ],
        axis=-1,
    )
    np.testing.assert_allclose(read.reshape(500, -1), wanted, atol=2e-3)
    corner = read_at(values, np.array([4.0], np.float32), np.array([2.0], np.float32))[0]
    np.testing.assert_array_equal(corner, values[4, 2])


def test_edges_are_cells_with_another_neighbour() -> None:
    slots = np.zeros((5, 6), np.uint8)
    slots[2:4, 3:5] = 1
    wanted = np.zeros((5, 6), bool)
    wanted[2:4, 3:5] = True
    for row, column in ((1, 3), (1, 4), (4, 3), (4, 4), (2, 2), (3, 2), (2, 5), (3, 5)):
        wanted[row, column] = True
    np.testing.assert_array_equal(find_edges(slots), wanted)
    assert not find_edges(np.full((4, 4), 3, np.uint8)).any()


def test_widen_grows_by_a_square() -> None:
    mask = RNG.random((30, 40)) < 0.02
    for cells in (1, 3):
        wanted = ndimage.binary_dilation(mask, np.ones((2 * cells + 1, 2 * cells + 1)))
        np.testing.assert_array_equal(widen(mask, cells), wanted)


@pytest.mark.parametrize("reach", [3, 12, 61])
def test_distances_are_exact_within_reach(reach: int) -> None:
    mask = np.random.default_rng(reach).random((150, 120)) < 0.2 / reach**2
    mask[20, 30] = True
    exact = ndimage.distance_transform_edt(~mask)
    near = exact <= reach
    assert 0.01 < near.mean() < 1
    found = find_distances(mask, reach)
    np.testing.assert_allclose(found[near], exact[near], atol=1e-4)
    assert (found[~near] > reach).all()


def test_areas_are_connected_cells_of_one_slot() -> None:
    slots = random_slots(60, 80)
    found = find_areas(slots)
    for slot in range(4):
        labels, n = ndimage.label(slots == slot, CROSS)
        for label in range(1, n + 1):
            cells = np.flatnonzero((labels == label).ravel())
            assert (found.ravel()[cells] == cells.min()).all()
    total = sum(ndimage.label(slots == slot, CROSS)[1] for slot in range(4))
    assert len(np.unique(found)) == total


def test_a_spiral_is_one_area() -> None:
    """The longest chain of cells: each round of the search only shortens it by a factor."""
    slots = np.zeros((41, 41), np.uint8)
    row, column, step = 0, 0, (0, 1)
    slots[0, 0] = 1
    for length in (40, 40, 40, 38, 38, 36, 36, 34, 34, 32, 32):
        for _ in range(length):
            row, column = row + step[0], column + step[1]
            slots[row, column] = 1
        step = (step[1], -step[0])
    assert ndimage.label(slots, CROSS)[1] == 1
    assert set(np.unique(find_areas(slots)[slots == 1])) == {0}


def test_small_areas_take_the_slot_of_a_neighbour() -> None:
    slots = random_slots(90, 70)
    kept = absorb_small(slots, 30)
    before, after = find_areas(slots).ravel(), find_areas(kept).ravel()
    assert np.bincount(before)[before].min() < 5, "there are small areas"
    assert np.bincount(after)[after].min() >= 30
    large = np.bincount(before)[before].reshape(slots.shape) >= 30
    np.testing.assert_array_equal(kept[large], slots[large])
    assert 0.02 < (kept != slots).mean() < 0.5


def test_absorbing_of_known_cases() -> None:
    slots = np.zeros((7, 7), np.uint8)
    slots[3, 3] = 5
    assert not absorb_small(slots, 2).any()
    np.testing.assert_array_equal(absorb_small(slots, 1), slots)
    speckled = np.indices((6, 6)).sum(axis=0).astype(np.uint8) % 2
    np.testing.assert_array_equal(absorb_small(speckled, 9), speckled)  # there is no large area
