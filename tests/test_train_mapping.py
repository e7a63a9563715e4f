"""The mapping as a whole, on made-up songs and pictures."""

from dataclasses import replace

import numpy as np
import pytest

from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.training.recipe import load_recipe
from clavilux.training.train_mapping import SongCodes, fit_mapping, map_songs, measure_art


def _halves(codes, rng):
    """Two halves that are what the song is, and a little else."""
    return codes[:, None] + 0.1 * rng.standard_normal((len(codes), 2, codes.shape[1]))


def _songs(n, rng):
    """Codes whose leading directions carry nearly all, as those of real songs do."""
    codes = rng.standard_normal((n, 64)) * np.geomspace(3, 0.05, 64)
    return SongCodes(
        [str(i) for i in range(n)], codes, _halves(codes, rng), {name: rng.random(n) for name in DESCRIPTORS}
    )


@pytest.mark.parametrize("method", ["pca-match", "fused-gromov-wasserstein"])
def test_few_songs_do_not_fling_new_ones_off_the_canvas(method):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (128, 128, 3)).astype(np.uint8) for _ in range(60)]
    art = measure_art(rng.standard_normal((60, 64)), pictures, jobs=1)
    recipe = load_recipe("default").mapping
    recipe = type(recipe)(**{**vars(recipe), "method": method})
    network = fit_mapping(_songs(11, rng), art, recipe, seed=0, log=lambda line: None)
    assert network.components.out_features == 3
    placed = map_songs(network, _songs(40, rng))
    ratio = np.trace(np.cov(placed.T)) / np.trace(np.cov(art.latents.T))
    assert 0.01 < ratio < 10  # was a thousand when there were as many components as songs


@pytest.mark.parametrize("method", ["pca-match", "fused-gromov-wasserstein"])
def test_at_a_structure_of_1_guides_do_not_count(method):
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


def test_looks_in_the_scale_of_others_are_those_that_were_measured_together():
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (128, 128, 3)).astype(np.uint8) for _ in range(30)]
    latents = rng.standard_normal((30, 64))
    together = measure_art(latents, pictures, jobs=1)
    apart = measure_art(latents[20:], pictures[20:], jobs=1, scale=together.scale)
    np.testing.assert_allclose(apart.looks, together.looks[20:], atol=1e-12)
    assert np.abs(measure_art(latents[20:], pictures[20:], jobs=1).looks - together.looks[20:]).max() > 0.01


def test_after_each_round_but_the_last_made_up_songs_are_painted_where_songs_have_gone():
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((64, 3)) / 8

    def paint(latents):
        """Noise of a colour and a strength that the latent says."""
        gains = 1 / (1 + np.exp(-latents @ directions))
        return [(gain * rng.integers(0, 256, (128, 128, 3))).astype(np.uint8) for gain in gains]

    latents = rng.standard_normal((150, 64))
    art = measure_art(latents, paint(latents), jobs=1)
    shown = []

    def show(latents):
        shown.append(latents)
        return measure_art(latents, paint(latents), jobs=1, scale=art.scale)

    recipe = replace(load_recipe("default").mapping, rounds=3, descent_steps=30, predictor_steps=200)
    lines = []
    songs = _songs(60, rng)
    network = fit_mapping(songs, art, recipe, seed=0, log=lines.append, show=show)
    assert len(shown) == 2
    assert sum("looks foretold" in line for line in lines) == 3
    placed = map_songs(network, songs)
    gap = np.abs(shown[1].mean(axis=0) - placed.mean(axis=0)).mean()
    assert gap < 0.3
    assert 0.5 < shown[1].var(axis=0).sum() / placed.var(axis=0).sum() < 2
