"""The trial of conditioning and the budgets of `benchmarks/rate_curve.py`."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("efficientnet_lite_pytorch")
pytestmark = pytest.mark.torch

from clavilux.audio.descriptors import DESCRIPTORS  # noqa: E402
from clavilux.models.image_vae import ImageVAE  # noqa: E402


@pytest.fixture(scope="module")
def rate_curve():
    path = Path(__file__).parents[1] / "benchmarks" / "rate_curve.py"
    spec = importlib.util.spec_from_file_location("rate_curve", path)
    module = sys.modules["rate_curve"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def small(width=8):
    torch.manual_seed(0)
    return ImageVAE(n_palettes=5, n_kinds=4, width=width, decoder_width=8).eval()


def test_schedule_of_a_short_training_is_that_of_the_recipe_in_small(rate_curve):
    full, half = rate_curve.recipe_of("painter-90", 5_000), rate_curve.recipe_of("painter-90", 2_500)
    assert (full.warmup, half.warmup) == (500, 250)
    assert (1 - half.ema) == pytest.approx(2 * (1 - full.ema))
    assert full.target_nats == half.target_nats == 90
    assert rate_curve.recipe_of("classic", 10).batch == full.batch


def test_guides_that_a_trained_network_does_not_know_say_nothing_at_first(rate_curve, tmp_path):
    plain = small()
    torch.save({"averaged": plain.state_dict()}, tmp_path / "image-vae.ckpt")
    conditioned = rate_curve.ConditionedImageVAE(n_palettes=5, n_kinds=4, width=8, decoder_width=8, n_guides=6)
    rate_curve.start_from(tmp_path / "image-vae.ckpt", conditioned)
    latents, guides = torch.randn(3, 64), torch.randn(3, 6)
    for said, told in zip(plain.decode(latents), conditioned.decode(torch.cat([latents, guides], dim=1)), strict=True):
        assert torch.allclose(said, told, atol=1e-5)


def test_guided_readout_keeps_the_plan_and_hears_the_guides(rate_curve):
    plain = small()
    guided = rate_curve.GuidedReadout(plain, 6)
    latents = torch.randn(3, 64)
    quiet, loud = (guided.decode(torch.cat([latents, torch.full((3, 6), g)], dim=1)) for g in (0.0, 2.0))
    assert torch.equal(quiet.plan, loud.plan)
    assert torch.allclose(quiet.plan, plain.decode(latents).plan, atol=1e-5)
    assert not torch.allclose(quiet.palette, loud.palette)


def test_scores_place_a_song_among_the_others(rate_curve):
    rng = np.random.default_rng(0)
    others = {name: rng.standard_normal(999) for name in DESCRIPTORS}
    middle = {name: np.array([np.median(values)] * 2) for name, values in others.items()}
    far = {name: np.array([-99.0, 99.0]) for name in others}
    assert np.abs(rate_curve.guide_scores(middle, others, "heard")).max() < 0.1
    ends = rate_curve.guide_scores(far, others, "heard")
    assert (ends[0] < -3).all() and (ends[1] > 3).all()
