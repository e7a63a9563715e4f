"""The fit through the surrogate model: similar songs get similar visual features, and songs cover the art."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from clavilux.measures.crossmodal import CORRESPONDENCES
from clavilux.measures.image_features import IMAGE_FEATURES
from clavilux.models.image_vae import ImageVAE
from clavilux.training.fit_by_surrogate import (
    PredictorInputs,
    SongsToFit,
    fit_by_surrogate,
    fit_predictor,
    sliced_distance,
    weigh_kinds,
)
from clavilux.training.recipe import load_recipe
from clavilux.training.visual_features import correspondences_of_features

RECIPE = dataclasses.replace(load_recipe("default").mapping, descent_steps=150)


@pytest.fixture(scope="module")
def world():
    """Half of the latent dimensions change the features smoothly, the other half unpredictably."""
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((3_000, 64))
    smooth = np.tanh(latents[:, :20]) / np.sqrt(20)
    rough = np.sin(40 * latents[:, 32:44] + 3 * latents[:, 44:56]) / np.sqrt(12)
    features = np.concatenate([smooth, rough], axis=1)
    songs = rng.standard_normal((220, 12)) * np.linspace(2, 0.7, 12)
    return latents, features, songs


@pytest.fixture(scope="module")
def predictor(world):
    latents, features, _ = world
    return fit_predictor(latents, features, None, steps=700, seed=0)


@pytest.mark.slow
def test_the_predictor_learns_the_predictable_half(world, predictor):
    latents, features, _ = world
    network, predicted = predictor
    assert 0.2 < predicted < 0.55  # of the smooth half of the variance, and no more
    output = network(torch.from_numpy(latents).float()).numpy()
    assert np.corrcoef(output[:, 0], features[:, 0])[0, 1] > 0.8


@pytest.mark.slow
def test_similar_songs_get_similar_features_and_songs_cover_the_art(world, predictor):
    latents, features, songs = world
    rng = np.random.default_rng(1)
    start = songs @ rng.standard_normal((12, 64)) / 6
    correspondences = np.sign(songs[:, :1]) * np.sqrt(np.abs(songs[:, :1]))
    to_scores = np.zeros((features.shape[1], 1))
    to_scores[3] = 1.0
    halves = songs[:, None] + 0.2 * rng.standard_normal((len(songs), 2, 12))
    given = SongsToFit(songs, halves, correspondences, start), latents, features, to_scores, predictor[0], RECIPE
    weights, offset, terms = fit_by_surrogate(*given, seed=0)
    fresh = rng.standard_normal((150, 12)) * np.linspace(2, 0.7, 12)

    def features_of(placed):
        return np.tanh(placed[:, :20]) / np.sqrt(20)

    before = spearmanr(
        pdist(fresh), pdist(features_of(fresh @ (np.linalg.lstsq(songs, start, rcond=None)[0])))
    ).statistic
    after = spearmanr(pdist(fresh), pdist(features_of(fresh @ weights + offset))).statistic
    assert after > max(0.75, before)
    assert 0.6 < (fresh @ weights).var(axis=0).sum() / 64 < 1.3
    assert terms["correspondences"] > 0.7
    again = fit_by_surrogate(*given, seed=0)
    np.testing.assert_allclose(again[0], weights, atol=0.05)  # the order of sums varies with threads


def test_sliced_distance_is_zero_between_equal_samples_and_grows_with_a_shift():
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(400, 5, generator=generator)
    b = torch.randn(400, 5, generator=generator)
    near, far = (float(sliced_distance(a, b + shift, generator)) for shift in (0.0, 1.0))
    assert float(sliced_distance(a, a, generator)) == 0
    assert near < 0.05
    # The mean over directions of the squared projection of (1, 1, 1, 1, 1) is 1.
    assert far == pytest.approx(1.0, abs=0.3)


def test_correspondence_scores_are_linear_in_image_features():
    matrix = correspondences_of_features(len(IMAGE_FEATURES) + 5)
    assert matrix.shape == (len(IMAGE_FEATURES) + 5, len(CORRESPONDENCES))
    assert not matrix[len(IMAGE_FEATURES) :].any()
    for column, correspondence in enumerate(CORRESPONDENCES):
        assert {list(IMAGE_FEATURES)[i]: matrix[i, column] for i in np.flatnonzero(matrix[:, column])} == dict(
            correspondence.image_features
        )


def test_kinds_have_the_weights_of_the_best_two():
    scores = torch.tensor([[2.0, 2.0, 0.0, -1.0], [2.0, 1.0, 1.0, 0.0], [2.0, 1.5, 0.0, 0.0]])
    weights = weigh_kinds(scores).numpy()
    np.testing.assert_allclose(weights, [[0.5, 0.5, 0, 0], [1, 0, 0, 0], [0.625, 0.375, 0, 0]], atol=1e-6)
    many = weigh_kinds(torch.randn(200, 9, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(many.sum(dim=1), torch.ones(200))
    assert ((many > 0).sum(dim=1) <= 2).all()


def test_weights_of_kinds_are_continuous():
    """A third kind that overtakes the second changes nothing at once."""
    way = torch.tensor([[1.0, 0.6, 0.59 + step, -2.0] for step in np.linspace(0, 0.02, 21)])
    assert weigh_kinds(way).diff(dim=0).abs().max() < 0.02


@pytest.mark.slow
def test_kinds_depend_on_what_two_halves_of_a_song_share(world):
    """Six of twelve components are noise that differs between halves: with `steady_kinds`, kinds depend on the rest."""
    _, _, songs = world
    rng = np.random.default_rng(2)
    latents = rng.standard_normal((2_000, 64))
    torch.manual_seed(0)
    network = ImageVAE(n_palettes=6, n_kinds=5, width=8, decoder_width=8)
    palettes = np.sort(rng.random((6, 8, 3)), axis=1).astype(np.float32)
    inputs = PredictorInputs(network, palettes)
    targets = inputs(torch.from_numpy(latents).float()).numpy()[:, 64:]
    predictor, _ = fit_predictor(latents, targets, inputs, steps=200, seed=0)
    features = predictor(torch.from_numpy(latents).float()).double().numpy()
    noise = rng.standard_normal((len(songs), 2, 12)) * np.repeat([0.05, 2.0], 6)
    start = songs @ rng.standard_normal((12, 64)) / 6
    unsteady = {}
    for weight in (0.0, 4.0):
        recipe = dataclasses.replace(RECIPE, descent_steps=60, steady_kinds=weight)
        given = SongsToFit(songs, songs[:, None] + noise, np.zeros((len(songs), 0)), start)
        to_scores = np.zeros((features.shape[1], 0))
        terms = fit_by_surrogate(given, latents, features, to_scores, predictor, recipe, seed=0)[2]
        unsteady[weight] = terms["unsteady_kinds"]
    assert unsteady[4.0] < 0.3 * unsteady[0.0]
