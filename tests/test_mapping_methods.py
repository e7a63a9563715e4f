"""The table of mapping methods: the methods that live in the benchmark alone, and its figures, on made-up clouds."""

import dataclasses
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.measures.crossmodal import GUIDES, guide_values
from clavilux.training.recipe import load_recipe
from clavilux.training.train_mapping import Art, LooksScale, SongCodes

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def methods():
    spec = importlib.util.spec_from_file_location("mapping_methods", ROOT / "benchmarks" / "mapping_methods.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["mapping_methods"] = module
    spec.loader.exec_module(module)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FLOW_STEPS", 200)
        patch.setattr(module, "SLICED_STEPS", 150)
        yield module


def _halves(codes, rng):
    """Two halves that are what the song is, and a little else."""
    return codes[:, None] + 0.1 * rng.standard_normal((len(codes), 2, codes.shape[1]))


def _songs(n, rng):
    """Codes of which the first few numbers carry most, the descriptors among them."""
    codes = rng.standard_normal((n, 64)) * np.geomspace(3, 0.05, 64)
    descriptors = {name: codes[:, i % 8] + 0.1 * rng.standard_normal(n) for i, name in enumerate(DESCRIPTORS)}
    return SongCodes([str(i) for i in range(n)], codes, _halves(codes, rng), descriptors)


@pytest.fixture(scope="module")
def material(methods):
    """Songs, and art whose guides are told by its latents and whose looks are these."""
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((400, 64)) * np.geomspace(1.5, 0.5, 64)
    guides = latents[:, : len(GUIDES)] + 0.2 * rng.standard_normal((400, len(GUIDES)))
    none = np.zeros(0)
    art = Art(latents, guides, {}, latents, LooksScale((none, none), (none, 1.0), None))
    return methods.Material(_songs(150, rng), _songs(60, rng), (_songs(60, rng), _songs(60, rng)), art, art, None, None)


def _fit(methods, material, name, guides="yes"):
    recipe = dataclasses.replace(load_recipe("default").mapping, structure=0.6)
    (method,) = [m for m in methods.all_methods(recipe, 0) if m.name == name and m.guides == guides]
    return method.fit(material)


def _kept(latents, art):
    return np.trace(np.cov(latents.T)) / np.trace(np.cov(art.latents.T))


@pytest.mark.parametrize(
    "name",
    [
        "OT-CFM over the fused GW 0.6 plan, from the middle",
        "OT-CFM over the fused GW 0.6 plan, from the PCA match",
        "sliced Wasserstein + distances",
    ],
)
def test_new_songs_keep_distances_and_guides_and_get_one_picture(methods, material, name):
    carry = _fit(methods, material, name)
    placed = carry(material.validation)
    assert placed.shape == (60, 64)
    np.testing.assert_array_equal(placed, carry(material.validation))
    assert spearmanr(pdist(material.validation.codes), pdist(placed)).statistic > 0.12  # by chance within 0.08
    assert 0.05 < _kept(placed, material.art) < 1.5
    heard = guide_values(material.validation.descriptors, "heard")
    told = [spearmanr(heard[:, i], placed[:, i]).statistic for i in range(len(GUIDES))]
    assert np.mean(told) > 0.3


def test_squared_error_on_random_pairs_collapses(methods, material):
    assert _kept(_fit(methods, material, "squared error on random pairs", "")(material.validation), material.art) < 0.05


def test_recolouring_is_what_fills_the_cloud(methods, material):
    alone = _fit(methods, material, "fused GW 0.6, kernel regression alone")(material.validation)
    whole = _fit(methods, material, "fused GW 0.6, kernel regression, recoloured")(material.validation)
    assert _kept(alone, material.art) < 0.7 * _kept(whole, material.art)


def test_the_error_of_an_auc_falls_with_the_number_of_songs(methods):
    rng = np.random.default_rng(0)
    points = rng.standard_normal((240, 10))
    halves = [points + 0.8 * rng.standard_normal(points.shape) for _ in range(2)]
    many = methods._noise(*halves)
    few = np.mean([methods._noise(*(half[i : i + 30] for half in halves)) for i in range(0, 240, 30)])
    assert 0 < many < 0.7 * few
