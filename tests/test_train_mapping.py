"""The mapping as a whole, on made-up songs and pictures."""

import numpy as np
import pytest

from clavilux.descriptors import DESCRIPTORS
from clavilux.training.recipe import load_recipe
from clavilux.training.train_mapping import SongCodes, fit_mapping, look_at_art, map_songs


def _songs(n, rng):
    """Codes whose leading directions carry nearly all, as those of real songs do."""
    codes = rng.standard_normal((n, 64)) * np.geomspace(3, 0.05, 64)
    return SongCodes([str(i) for i in range(n)], codes, {name: rng.random(n) for name in DESCRIPTORS})


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
