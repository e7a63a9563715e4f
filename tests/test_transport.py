"""Mappings between clouds, on clouds whose answer is known."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from clavilux.measures.transport import (
    fused_gromov_wasserstein,
    fused_plan,
    normal_scores,
    pca_match,
    principal_components,
    recolouring,
    ridge,
)


@pytest.fixture
def clouds():
    """Songs and pictures with two guides that both can tell, and no pairs."""
    rng = np.random.default_rng(0)
    songs = rng.standard_normal((150, 12)) * np.linspace(2, 0.5, 12)
    pictures = rng.standard_normal((300, 16))
    heard = normal_scores(songs[:, :2] + 0.1 * rng.standard_normal((150, 2)))
    seen = normal_scores(pictures[:, 3:5] + 0.3 * rng.standard_normal((300, 2)))
    return songs, heard, pictures, seen


def _told(placed, pictures, seen):
    """How far the guides of pictures, told by a regression, follow for the placed songs."""
    weights, offset = ridge(pictures, seen, 1e-3)
    return placed @ weights + offset


def test_normal_scores_are_ranks():
    scores = normal_scores(np.array([[1.0], [100.0], [2.0]]))
    assert scores[:, 0].tolist() == pytest.approx([-0.967, 0.967, 0.0], abs=1e-3)


def test_recolouring_gives_a_cloud_the_mean_and_covariance_of_another():
    rng = np.random.default_rng(0)
    cloud = rng.standard_normal((500, 5)) @ rng.standard_normal((5, 5)) * 0.1 + 3
    target = rng.standard_normal((700, 5)) @ rng.standard_normal((5, 5)) - 1
    matrix, offset = recolouring(cloud, target)
    moved = cloud @ matrix + offset
    np.testing.assert_allclose(moved.mean(0), target.mean(0), atol=1e-6)
    np.testing.assert_allclose(np.cov(moved.T), np.cov(target.T), atol=2e-3)


def test_recolouring_a_cloud_to_itself_changes_nothing():
    cloud = np.random.default_rng(0).standard_normal((400, 4))
    matrix, offset = recolouring(cloud, cloud)
    np.testing.assert_allclose(cloud @ matrix + offset, cloud, atol=1e-4)


def test_principal_components_have_a_fixed_sign():
    cloud = np.random.default_rng(0).standard_normal((50, 6)) * np.arange(1, 7)
    a, b = principal_components(cloud, 3), principal_components(cloud[::-1], 3)
    np.testing.assert_allclose(a, b, atol=1e-8)
    np.testing.assert_allclose(a.T @ a, np.eye(3), atol=1e-10)


@pytest.mark.parametrize("method", ["pca-match", "fused-gromov-wasserstein"])
def test_guides_that_can_be_heard_can_be_seen(clouds, method):
    songs, heard, pictures, seen = clouds
    if method == "pca-match":
        placed = pca_match(songs, heard, pictures, seen)
    else:
        placed = fused_gromov_wasserstein(songs, heard, pictures, seen, pictures, structure=0.5)
    told = _told(placed, pictures, seen)
    for correspondence in range(2):
        assert spearmanr(told[:, correspondence], heard[:, correspondence]).statistic > 0.7


def test_pca_match_fills_the_cloud(clouds):
    songs, heard, pictures, seen = clouds
    placed = pca_match(songs, heard, pictures, seen)
    assert np.trace(np.cov(placed.T)) > 0.7 * np.trace(np.cov(pictures.T))


@pytest.mark.parametrize("method", ["pca-match", "fused-gromov-wasserstein"])
def test_without_guides_the_shapes_alone_decide(clouds, method):
    """Guides of the two sides then agree by chance alone, and distances are kept."""
    songs, heard, pictures, seen = clouds
    nothing, nothing_seen = heard[:, :0], seen[:, :0]
    if method == "pca-match":
        placed = pca_match(songs, nothing, pictures, nothing_seen)
    else:
        placed = fused_gromov_wasserstein(songs, nothing, pictures, nothing_seen, pictures, structure=1.0)
    told = _told(placed, pictures, seen)
    assert all(
        abs(spearmanr(told[:, correspondence], heard[:, correspondence]).statistic) < 0.6 for correspondence in range(2)
    )
    assert spearmanr(pdist(songs), pdist(placed)).statistic > 0.3


def test_a_plan_gives_each_song_its_share_and_leaves_no_picture_out(clouds):
    songs, heard, pictures, seen = clouds
    plan = fused_plan(songs, heard, pictures, seen, pictures, structure=0.6)
    np.testing.assert_allclose(plan.sum(axis=1), 1 / 150)
    np.testing.assert_allclose(plan.sum(axis=0), 1 / 300)


def test_fused_plan_keeps_geometry(clouds):
    songs, heard, pictures, seen = clouds
    placed = fused_gromov_wasserstein(songs, heard, pictures, seen, pictures, structure=0.9)
    assert spearmanr(pdist(songs), pdist(placed)).statistic > 0.3


def test_regression_on_shuffled_pairs_collapses_and_is_seen_to():
    """What the first version did: the variance of the mapped songs tells."""
    rng = np.random.default_rng(0)
    songs, pictures = rng.standard_normal((500, 20)), rng.standard_normal((500, 64))
    weights, offset = ridge(songs, pictures, 1e-3)
    new = rng.standard_normal((200, 20)) @ weights + offset
    assert np.trace(np.cov(new.T)) < 0.1 * np.trace(np.cov(pictures.T))
