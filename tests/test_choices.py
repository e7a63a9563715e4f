"""Choices come as often as they should."""

import numpy as np
import torch

from clavilux.models.image_vae import ImageVAE
from clavilux.training.choices import balance_choices, choice_shift


def test_a_shift_gives_every_code_its_share():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((4000, 6)) + np.array([2.0, 1.0, 0, 0, 0, -1.0])
    shares = np.array([0.3, 0.1, 0.2, 0.2, 0.15, 0.05])
    counts = np.bincount((logits + choice_shift(logits, shares)).argmax(1), minlength=6) / 4000
    np.testing.assert_allclose(counts, shares, atol=0.01)


def test_choices_that_are_right_already_stay():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((4000, 4))
    shift = choice_shift(logits, np.bincount(logits.argmax(1), minlength=4) / 4000)
    np.testing.assert_allclose(shift, 0, atol=0.02)


def test_a_decoder_is_balanced_in_place():
    torch.manual_seed(0)
    network = ImageVAE(n_palettes=10, n_kinds=4, width=16, decoder_width=32).eval()
    with torch.no_grad():
        network.to_kind.bias[0] += 1.0
    latents = np.random.default_rng(0).standard_normal((300, 64))
    report = balance_choices(network, latents, np.full(4, 0.25), np.full(10, 0.1), rng=np.random.default_rng(1))
    assert report["kind_distance_after"] < 0.5 * report["kind_distance_before"]
    assert report["palette_codes_after"] == 10
    with torch.no_grad():
        chosen = network.decode(torch.randn(2000, 64)).kind.argmax(1)
    assert torch.bincount(chosen, minlength=4).min() > 0.1 * 2000
