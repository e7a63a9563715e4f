"""Fitting the mapping, on synthetic songs and pictures."""

from dataclasses import replace

import numpy as np
import pytest

from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.training import train_mapping
from clavilux.training.recipe import load_recipe
from clavilux.training.songs import SongCodes
from clavilux.training.train_mapping import fit_mapping, map_songs
from clavilux.training.visual_features import measure_art


def _halves(codes, rng):
    """Return two halves of each song: its code with a little noise."""
    return codes[:, None] + 0.1 * rng.standard_normal((len(codes), 2, codes.shape[1]))


def _songs(n, rng):
    """Return codes with a few strong directions, like those of real songs."""
    codes = rng.standard_normal((n, 64)) * np.geomspace(3, 0.05, 64)
    return SongCodes(
        [str(i) for i in range(n)], codes, _halves(codes, rng), {name: rng.random(n) for name in DESCRIPTORS}
    )


@pytest.mark.parametrize("method", ["pca-match", "fused-gromov-wasserstein"])
def test_few_songs_do_not_map_new_ones_far_away(method):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (128, 128, 3)).astype(np.uint8) for _ in range(60)]
    art = measure_art(rng.standard_normal((60, 64)), pictures, jobs=1)
    recipe = load_recipe("default").mapping
    recipe = type(recipe)(**{**vars(recipe), "method": method})
    network = fit_mapping(_songs(11, rng), art, recipe, seed=0, log=lambda line: None)
    assert network.components.out_features == 3
    placed = map_songs(network, _songs(40, rng))
    ratio = np.trace(np.cov(placed.T)) / np.trace(np.cov(art.latents.T))
    assert 0.01 < ratio < 10


@pytest.mark.parametrize("method", ["pca-match", "fused-gromov-wasserstein"])
def test_at_a_structure_of_1_correspondences_have_no_weight(method):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (128, 128, 3)).astype(np.uint8) for _ in range(60)]
    art = measure_art(rng.standard_normal((60, 64)), pictures, jobs=1)
    songs = _songs(40, rng)
    others = replace(songs, descriptors={name: values[::-1] for name, values in songs.descriptors.items()})
    placed = {}
    for structure in (0.5, 1.0):
        recipe = replace(load_recipe("default").mapping, method=method, structure=structure)
        networks = [fit_mapping(given, art, recipe, seed=0, log=lambda line: None) for given in (songs, others)]
        placed[structure] = [map_songs(network, songs) for network in networks]
    np.testing.assert_array_equal(*placed[1.0])
    assert np.abs(placed[0.5][0] - placed[0.5][1]).max() > 0.1


def test_visual_features_in_a_given_scale_equal_those_measured_together():
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (128, 128, 3)).astype(np.uint8) for _ in range(30)]
    latents = rng.standard_normal((30, 64))
    together = measure_art(latents, pictures, jobs=1)
    apart = measure_art(latents[20:], pictures[20:], jobs=1, scale=together.scale)
    np.testing.assert_allclose(apart.visual_features, together.visual_features[20:], atol=1e-12)
    assert (
        np.abs(measure_art(latents[20:], pictures[20:], jobs=1).visual_features - together.visual_features[20:]).max()
        > 0.01
    )


@pytest.mark.slow
def test_after_each_round_but_the_last_simulated_songs_are_painted(monkeypatch):
    monkeypatch.setattr(train_mapping, "_SIMULATED_SONGS", 200)
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((64, 3)) / 8

    def paint(latents):
        """Return noise whose colour depends on the latent."""
        gains = 1 / (1 + np.exp(-latents @ directions))
        return [(gain * rng.integers(0, 256, (128, 128, 3))).astype(np.uint8) for gain in gains]

    latents = rng.standard_normal((150, 64))
    art = measure_art(latents, paint(latents), jobs=1)
    measured = []

    def measure(latents):
        measured.append(latents)
        return measure_art(latents, paint(latents), jobs=1, scale=art.scale)

    recipe = replace(load_recipe("default").mapping, rounds=3, descent_steps=30, predictor_steps=100)
    lines = []
    songs = _songs(60, rng)
    network = fit_mapping(songs, art, recipe, seed=0, log=lines.append, measure=measure)
    assert len(measured) == 2
    assert sum("visual features predicted" in line for line in lines) == 3
    placed = map_songs(network, songs)
    gap = np.abs(measured[1].mean(axis=0) - placed.mean(axis=0)).mean()
    assert gap < 0.3
    assert 0.5 < measured[1].var(axis=0).sum() / placed.var(axis=0).sum() < 2
