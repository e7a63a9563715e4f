"""The mapping as a whole, on made-up songs and pictures."""

from dataclasses import replace

import numpy as np
import pytest

from clavilux.descriptors import DESCRIPTORS
from clavilux.training.recipe import load_recipe
from clavilux.training.train_mapping import SongCodes, fit_mapping, look_at_art, map_songs


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
    art = look_at_art(rng.standard_normal((60, 64)), pictures, jobs=1)
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
    art = look_at_art(rng.standard_normal((60, 64)), pictures, jobs=1)
    songs = _songs(40, rng)
    others = replace(songs, descriptors={name: values[::-1] for name, values in songs.descriptors.items()})
    placed = {}
    for structure in (0.5, 1.0):
        recipe = replace(load_recipe("default").mapping, method=method, structure=structure)
        networks = [fit_mapping(given, art, recipe, seed=0, log=lambda line: None) for given in (songs, others)]
        placed[structure] = [map_songs(network, songs) for network in networks]
    np.testing.assert_array_equal(*placed[1.0])
    assert np.abs(placed[0.5][0] - placed[0.5][1]).max() > 0.1


def test_fewer_recoloured_directions_leave_the_rest_small():
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (128, 128, 3)).astype(np.uint8) for _ in range(100)]
    art = look_at_art(rng.standard_normal((100, 64)), pictures, jobs=1)
    songs, new = _songs(60, rng), _songs(60, rng)
    kept = []
    for recoloured in (64, 8, 4):
        recipe = replace(load_recipe("default").mapping, method="fused-gromov-wasserstein", recoloured=recoloured)
        placed = map_songs(fit_mapping(songs, art, recipe, seed=0, log=lambda line: None), new)
        kept.append(np.trace(np.cov(placed.T)) / np.trace(np.cov(art.latents.T)))
    assert kept[0] > kept[1] > kept[2] > 0
