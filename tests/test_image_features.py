"""Image features of pictures with known values, and the correspondences that use them."""

import numpy as np
import pytest

from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.measures.crossmodal import CORRESPONDENCES, correspondence_values
from clavilux.measures.image_features import IMAGE_FEATURES, measure_image_features


def _flat(colour):
    return np.full((128, 128, 3), colour, np.uint8)


def _stripes(period):
    dark = (np.arange(256) // (period // 2)) % 2 == 0
    return np.where(dark[None, :, None], 20, 230).astype(np.uint8).repeat(256, axis=0).repeat(3, axis=2)


def test_every_feature_is_measured():
    assert list(measure_image_features(_flat(90))) == list(IMAGE_FEATURES)


def test_grey_has_no_chroma_and_red_is_warm():
    grey, red, blue = (measure_image_features(_flat(c)) for c in ((120, 120, 120), (220, 40, 20), (20, 60, 220)))
    assert grey["chroma"] < 0.1 < 50 < red["chroma"]
    assert red["warmth"] > 40 > 0 > blue["warmth"]
    assert grey["contrast"] == pytest.approx(0, abs=1e-3)


def test_lightness_is_that_of_the_colour():
    assert measure_image_features(_flat(255))["lightness"] == pytest.approx(100, abs=0.1)
    assert measure_image_features(_flat(0))["lightness"] == pytest.approx(0, abs=0.1)


def test_finer_stripes_have_a_higher_frequency_and_more_edges():
    coarse, fine = measure_image_features(_stripes(64)), measure_image_features(_stripes(16))
    assert coarse["spatial_frequency"] == pytest.approx(4, rel=0.5)
    assert fine["spatial_frequency"] == pytest.approx(16, rel=0.5)
    assert fine["edge_density"] > 2 * coarse["edge_density"]


def test_straight_lines_are_more_angular_than_noise():
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    assert measure_image_features(_stripes(32))["angularity"] > 0.95
    assert measure_image_features(noise)["angularity"] < 0.6


def test_contrast_in_one_corner_raises_contrast_spread():
    picture = _flat(128)
    picture[:32, :32] = np.random.default_rng(0).integers(0, 255, (32, 32, 1), np.uint8)
    assert (
        measure_image_features(picture)["contrast_spread"]
        > 4 * measure_image_features(_flat(128))["contrast_spread"] + 1
    )


def test_features_hardly_depend_on_the_size():
    small, large = measure_image_features(_stripes(32)), measure_image_features(_stripes(32).repeat(3, 0).repeat(3, 1))
    for name in IMAGE_FEATURES:
        assert small[name] == pytest.approx(large[name], rel=0.02, abs=0.02)


def test_a_picture_that_is_too_small_raises_an_error():
    with pytest.raises(ValueError, match="at least 128"):
        measure_image_features(np.zeros((64, 64, 3), np.uint8))


def test_correspondences_use_existing_descriptors_and_features():
    for correspondence in CORRESPONDENCES:
        assert set(correspondence.image_features) <= set(IMAGE_FEATURES)
        assert set(correspondence.descriptors) <= set(DESCRIPTORS)
        assert correspondence.source


def test_correspondence_scores_are_weighted_standard_scores():
    rng = np.random.default_rng(0)
    columns = {name: rng.random(50) * 10 for name in IMAGE_FEATURES}
    values = correspondence_values(columns, "image_features")
    assert values.shape == (50, len(CORRESPONDENCES))
    z = {name: (c - c.mean()) / c.std() for name, c in columns.items()}
    np.testing.assert_allclose(values[:, 0], 0.7 * z["chroma"] + 0.3 * z["contrast"], atol=1e-6)
