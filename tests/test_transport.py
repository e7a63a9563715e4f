"""Maps between distributions, on cases whose result is known."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from clavilux.measures.transport import (
    fused_plan,
    normal_scores,
    pca_match,
    principal_components,
    recolouring,
    ridge,
)


@pytest.fixture
def clouds():
    """Unpaired songs and pictures with two correspondences that are predictable on both sides."""
    rng = np.random.default_rng(0)
    songs = rng.standard_normal((150, 12)) * np.linspace(2, 0.5, 12)
    pictures = rng.standard_normal((300, 16))
    song_scores = normal_scores(songs[:, :2] + 0.1 * rng.standard_normal((150, 2)))
    picture_scores = normal_scores(pictures[:, 3:5] + 0.3 * rng.standard_normal((300, 2)))
    return songs, song_scores, pictures, picture_scores


def _predict_scores(placed, pictures, picture_scores):
    """Return the scores of placed songs, predicted by a regression on pictures."""
    weights, offset = ridge(pictures, picture_scores, 1e-3)
    return placed @ weights + offset


def test_normal_scores_are_ranks():
    scores = normal_scores(np.array([[1.0], [100.0], [2.0]]))
    assert scores[:, 0].tolist() == pytest.approx([-0.967, 0.967, 0.0], abs=1e-3)


def _place(songs, song_scores, pictures, picture_scores, picture_features, structure):
    plan = fused_plan(songs, song_scores, pictures, picture_scores, picture_features, structure)
    return plan @ pictures / plan.sum(axis=1, keepdims=True)


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
def test_placed_songs_keep_their_correspondence_scores(clouds, method):
    songs, song_scores, pictures, picture_scores = clouds
    if method == "pca-match":
        placed = pca_match(songs, song_scores, pictures, picture_scores)
    else:
        placed = _place(songs, song_scores, pictures, picture_scores, pictures, structure=0.5)
    predicted = _predict_scores(placed, pictures, picture_scores)
    for i in range(2):
        assert spearmanr(predicted[:, i], song_scores[:, i]).statistic > 0.7


def test_pca_match_keeps_the_variance_of_pictures(clouds):
    songs, song_scores, pictures, picture_scores = clouds
    placed = pca_match(songs, song_scores, pictures, picture_scores)
    assert np.trace(np.cov(placed.T)) > 0.7 * np.trace(np.cov(pictures.T))


@pytest.mark.parametrize("method", ["pca-match", "fused-gromov-wasserstein"])
def test_without_correspondences_distances_are_kept(clouds, method):
    songs, song_scores, pictures, picture_scores = clouds
    no_scores, no_picture_scores = song_scores[:, :0], picture_scores[:, :0]
    if method == "pca-match":
        placed = pca_match(songs, no_scores, pictures, no_picture_scores)
    else:
        placed = _place(songs, no_scores, pictures, no_picture_scores, pictures, structure=1.0)
    predicted = _predict_scores(placed, pictures, picture_scores)
    assert all(abs(spearmanr(predicted[:, i], song_scores[:, i]).statistic) < 0.6 for i in range(2))
    assert spearmanr(pdist(songs), pdist(placed)).statistic > 0.3


def test_the_plan_has_uniform_marginals(clouds):
    songs, song_scores, pictures, picture_scores = clouds
    plan = fused_plan(songs, song_scores, pictures, picture_scores, pictures, structure=0.6)
    np.testing.assert_allclose(plan.sum(axis=1), 1 / 150)
    np.testing.assert_allclose(plan.sum(axis=0), 1 / 300)


def test_the_fused_plan_keeps_song_distances(clouds):
    songs, song_scores, pictures, picture_scores = clouds
    placed = _place(songs, song_scores, pictures, picture_scores, pictures, structure=0.9)
    assert spearmanr(pdist(songs), pdist(placed)).statistic > 0.3


def test_regression_on_shuffled_pairs_collapses():
    """The method of the first version, which the variance of the mapped songs reveals."""
    rng = np.random.default_rng(0)
    songs, pictures = rng.standard_normal((500, 20)), rng.standard_normal((500, 64))
    weights, offset = ridge(songs, pictures, 1e-3)
    new = rng.standard_normal((200, 20)) @ weights + offset
    assert np.trace(np.cov(new.T)) < 0.1 * np.trace(np.cov(pictures.T))
