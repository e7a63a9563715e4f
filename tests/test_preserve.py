"""The mapping that is fitted through looks: near songs get near looks, and songs fill the cloud of art."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from clavilux.measures.crossmodal import CORRESPONDENCES
from clavilux.measures.image_features import IMAGE_FEATURES
from clavilux.models.image_vae import ImageVAE
from clavilux.painter.controls import share_of_second
from clavilux.training.fit_by_surrogate import (
    PredictorInputs,
    areas_of_kinds,
    fit_by_surrogate,
    predict,
    sliced_distance,
)
from clavilux.training.recipe import load_recipe
from clavilux.training.train_mapping import correspondences_of_features

RECIPE = dataclasses.replace(load_recipe("default").mapping, descent_steps=150)


@pytest.fixture(scope="module")
def world():
    """Half of the latent paints looks smoothly, the other half as chance would have it."""
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((3_000, 64))
    steady = np.tanh(latents[:, :20]) / np.sqrt(20)
    rough = np.sin(40 * latents[:, 32:44] + 3 * latents[:, 44:56]) / np.sqrt(12)
    looks = np.concatenate([steady, rough], axis=1)
    songs = rng.standard_normal((220, 12)) * np.linspace(2, 0.7, 12)
    return latents, looks, songs


@pytest.fixture(scope="module")
def predictor(world):
    latents, looks, _ = world
    return predict(latents, looks, None, steps=2_500, seed=0)


def test_what_can_be_foretold_is(world, predictor):
    latents, looks, _ = world
    network, told = predictor
    assert 0.2 < told < 0.55  # of the smooth half of the variance, and no more
    found = network(torch.from_numpy(latents).float()).numpy()
    assert np.corrcoef(found[:, 0], looks[:, 0])[0, 1] > 0.8


def test_near_songs_get_near_looks_and_songs_fill_the_cloud(world, predictor):
    latents, looks, songs = world
    rng = np.random.default_rng(1)
    start = songs @ rng.standard_normal((12, 64)) / 6
    correspondences = np.sign(songs[:, :1]) * np.sqrt(np.abs(songs[:, :1]))
    reader = np.zeros((looks.shape[1], 1))
    reader[3] = 1.0
    halves = songs[:, None] + 0.2 * rng.standard_normal((len(songs), 2, 12))
    given = songs, halves, correspondences, start, latents, looks, reader, predictor[0], RECIPE
    weights, offset, told = fit_by_surrogate(*given, seed=0)
    fresh = rng.standard_normal((150, 12)) * np.linspace(2, 0.7, 12)

    def seen(placed):
        return np.tanh(placed[:, :20]) / np.sqrt(20)

    before = spearmanr(pdist(fresh), pdist(seen(fresh @ (np.linalg.lstsq(songs, start, rcond=None)[0])))).statistic
    after = spearmanr(pdist(fresh), pdist(seen(fresh @ weights + offset))).statistic
    assert after > max(0.75, before)
    assert 0.6 < (fresh @ weights).var(axis=0).sum() / 64 < 1.2
    assert told["correspondences"] > 0.7
    again = fit_by_surrogate(*given, seed=0)
    np.testing.assert_allclose(again[0], weights, atol=0.05)  # threads add in any order


def test_sliced_distance_is_none_between_equals_and_grows_with_a_shift():
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(400, 5, generator=generator)
    b = torch.randn(400, 5, generator=generator)
    near, far = (float(sliced_distance(a, b + shift, generator)) for shift in (0.0, 1.0))
    assert float(sliced_distance(a, a, generator)) == 0
    assert near < 0.05
    # The mean over directions of the squared projection of (1, 1, 1, 1, 1) is 1.
    assert far == pytest.approx(1.0, abs=0.3)


def test_guides_are_read_off_looks():
    reader = correspondences_of_features(len(IMAGE_FEATURES) + 5)
    assert reader.shape == (len(IMAGE_FEATURES) + 5, len(CORRESPONDENCES))
    assert not reader[len(IMAGE_FEATURES) :].any()
    for column, correspondence in enumerate(CORRESPONDENCES):
        assert {list(IMAGE_FEATURES)[i]: reader[i, column] for i in np.flatnonzero(reader[:, column])} == dict(
            correspondence.image_features
        )


def test_areas_of_kinds_are_those_that_the_controls_choose():
    scores = torch.randn(200, 9, generator=torch.Generator().manual_seed(0))
    areas = areas_of_kinds(scores)
    for row, area in zip(scores.numpy(), areas.numpy(), strict=True):
        order = np.argsort(-row)
        share = share_of_second(row[order])
        assert area[order[1]] == pytest.approx(share, abs=1e-5)
        assert area[order[0]] == pytest.approx(1 - share, abs=1e-5)
        assert not area[order[2:]].any()


def test_marks_are_told_by_what_two_halves_of_a_song_share(world):
    """Where six of twelve components are noise of a half, kinds are read off the others, unless that does not count."""
    _, _, songs = world
    rng = np.random.default_rng(2)
    latents = rng.standard_normal((2_000, 64))
    torch.manual_seed(0)
    network = ImageVAE(n_palettes=6, n_kinds=5, width=8, decoder_width=8)
    palettes = np.sort(rng.random((6, 8, 3)), axis=1).astype(np.float32)
    told = PredictorInputs(network, palettes)
    predictor, _ = predict(latents, told(torch.from_numpy(latents).float()).numpy()[:, 64:], told, steps=1_000, seed=0)
    looks = predictor(torch.from_numpy(latents).float()).double().numpy()
    noise = rng.standard_normal((len(songs), 2, 12)) * np.repeat([0.05, 2.0], 6)
    start = songs @ rng.standard_normal((12, 64)) / 6
    unsteady = {}
    for weight in (0.0, 4.0):
        recipe = dataclasses.replace(RECIPE, steady_kinds=weight, steady_palettes=0.0)
        nothing = np.zeros((len(songs), 0)), np.zeros((looks.shape[1], 0))
        unsteady[weight] = fit_by_surrogate(
            songs, songs[:, None] + noise, nothing[0], start, latents, looks, nothing[1], predictor, recipe, seed=0
        )[2]["unsteady_kinds"]
    assert unsteady[4.0] < 0.3 * unsteady[0.0]
