"""The linear heads: regressions with the spread and the shares of their targets."""

import numpy as np
import pytest
import torch

from clavilux.colour import srgb_to_lab
from clavilux.constants import SURFACE_NAMES
from clavilux.models.image_vae import ImageVAE
from clavilux.painter.controls import blend_palettes
from clavilux.training.linear_heads import balance_classes, fit_linear_heads, share_biases
from clavilux.training.train_mark_classifier import MarksRead

N, KINDS = 3_000, 6
SHARES = np.array([0.3, 0.2, 0.2, 0.1, 0.1, 0.1]), np.array([0.4, 0.2, 0.1, 0.1, 0.1, 0.1, 0.0])


@pytest.fixture(scope="module")
def fitted():
    """Return a network fitted to targets that depend on the latent and on noise."""
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((N, 64))
    palette = np.sort(np.clip(0.5 + 0.12 * (latents[:, :24] + rng.standard_normal((N, 24))), 0, 1).reshape(N, 8, 3), 1)
    scores = latents[:, 30 : 30 + KINDS] + 2 * rng.standard_normal((N, KINDS)) + np.linspace(0, 1, KINDS)
    kind = np.eye(KINDS)[scores.argmax(axis=1)]
    log_frequency = 2.5 + 0.3 * (latents[:, 40] + rng.standard_normal(N))
    direction = 0.5 * latents[:, 41:43]
    chaos = np.clip(0.6 + 0.15 * (latents[:, 43] + rng.standard_normal(N)), 0.05, 1.3)
    finish = np.clip(0.2 + 0.05 * (latents[:, 44:50] + rng.standard_normal((N, 6))), 0, 1)
    surface = np.eye(len(SURFACE_NAMES))[
        (latents[:, 50 : 50 + len(SURFACE_NAMES)] + rng.standard_normal((N, len(SURFACE_NAMES)))).argmax(axis=1)
    ]
    marks = MarksRead(kind, surface, log_frequency, direction, chaos, finish)
    network = ImageVAE(n_palettes=200, n_kinds=KINDS, width=16, decoder_width=32).eval()
    codebook = palette[:200].astype(np.float32)
    similarity = np.eye(KINDS)[:, : KINDS - 1] - 1 / KINDS
    figures = fit_linear_heads(
        network, latents, palette, marks, codebook, similarity, SHARES, palette_blend=4.0, rng=np.random.default_rng(1)
    )
    fresh = rng.standard_normal((2_000, 64))
    with torch.no_grad():
        raw = network.decode(torch.from_numpy(fresh).float())
    return palette, marks, codebook, figures, fresh, raw


def test_the_predictable_half_of_the_variance_is_predicted(fitted):
    _, _, _, figures, _, _ = fitted
    assert figures["palette_predicted"] == pytest.approx(0.4, abs=0.15)
    assert figures["chaos_predicted"] == pytest.approx(0.5, abs=0.1)
    assert figures["frequency_predicted"] == pytest.approx(0.5, abs=0.1)


def test_kinds_are_chosen_as_often_as_wanted(fitted):
    _, _, _, figures, _, raw = fitted
    chosen = np.bincount(raw.kind.argmax(1).numpy(), minlength=KINDS) / len(raw.kind)
    np.testing.assert_allclose(chosen, SHARES[0], atol=0.04)
    assert figures["kind_shares_missed"] < 0.02


def test_surfaces_are_chosen_as_often_as_wanted(fitted):
    _, _, _, figures, fresh, raw = fitted
    chosen = np.bincount(raw.surface.argmax(1).numpy(), minlength=len(SURFACE_NAMES)) / len(raw.surface)
    np.testing.assert_allclose(chosen, SHARES[1], atol=0.04)
    assert figures["surface_shares_missed"] < 0.02
    for surface in range(len(SURFACE_NAMES)):
        assert np.corrcoef(raw.surface[:, surface].numpy(), fresh[:, 50 + surface])[0, 1] > 0.6


def test_scores_of_kinds_follow_their_predictors(fitted):
    *_, fresh, raw = fitted
    for kind in range(KINDS):
        assert np.corrcoef(raw.kind[:, kind].numpy(), fresh[:, 30 + kind])[0, 1] > 0.6


def test_scalars_keep_the_spread_of_the_targets(fitted):
    _, marks, _, _, _, raw = fitted
    assert raw.frequency.log().std().item() == pytest.approx(marks.log_frequency.std(), rel=0.1)
    assert raw.chaos.std().item() == pytest.approx(marks.chaos.std(), rel=0.15)
    np.testing.assert_allclose(raw.finish.std(dim=0), marks.finish.std(axis=0), rtol=0.25)


def test_palettes_vary_like_real_ones_and_are_sorted_by_lightness(fitted):
    palette, _, codebook, _, _, raw = fitted
    painted = np.stack([blend_palettes(codebook, logits.numpy()) for logits in raw.palette[:300]])
    spread = [
        srgb_to_lab(p.reshape(-1, 3).astype(np.float32)).reshape(len(p), -1).var(0).sum() for p in (painted, palette)
    ]
    assert 0.25 < spread[0] / spread[1] < 1.1
    assert (np.diff(srgb_to_lab(painted)[..., 0], axis=1) >= -3).mean() > 0.95  # dark to light


def test_similar_kinds_are_neighbours():
    """Four kinds in a row: between two of them, a latent passes all kinds in between."""
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((N, 64))
    at = np.digitize(latents[:, 0] + 0.5 * rng.standard_normal(N), [-0.7, 0.0, 0.7])
    targets = rng.random((N, 8, 3))
    marks = MarksRead(
        np.eye(4)[at], rng.dirichlet(np.ones(len(SURFACE_NAMES)), N),
        np.full(N, 2.5) + 0.1 * latents[:, 1], latents[:, 2:4],
        np.full(N, 0.5) + 0.01 * latents[:, 4], np.full((N, 6), 0.2) + 0.01 * latents[:, 5:11],
    )  # fmt: skip
    network = ImageVAE(n_palettes=20, n_kinds=4, width=16, decoder_width=32).eval()
    similarity = np.array([[0, 0], [1, 0.1], [2, -0.1], [3, 0.0]])
    palettes = rng.random((20, 8, 3)).astype(np.float32)
    shares = np.bincount(at) / N, SHARES[1]
    fit_linear_heads(network, latents, targets, marks, palettes, similarity, shares, palette_blend=4.0, rng=rng)
    way = np.zeros((41, 64), np.float32)
    way[:, 0] = np.linspace(-3, 3, 41)
    with torch.no_grad():
        kinds = network.decode(torch.from_numpy(way)).kind.argmax(1).numpy()
    assert kinds[0] == 0
    assert kinds[-1] == 3
    assert np.diff(kinds).tolist().count(1) == 3
    assert (np.diff(kinds) >= 0).all()


def test_biases_give_every_class_its_share():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((4000, 6)) + np.array([2.0, 1.0, 0, 0, 0, -1.0])
    shares = np.array([0.3, 0.1, 0.2, 0.2, 0.15, 0.05])
    constants, missed = share_biases(scores, shares)
    counts = np.bincount((scores + constants).argmax(1), minlength=6) / 4000
    np.testing.assert_allclose(counts, shares, atol=0.01)
    assert missed < 0.01


def test_songs_get_each_class_as_often_as_wanted():
    """Songs that lie in one corner of the latent space would all get the same kinds and surfaces."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    network = ImageVAE(n_palettes=4, n_kinds=6, width=8, decoder_width=8)
    songs = 0.5 * rng.standard_normal((200, 64)) + 1.0

    def reached(layer):
        scores = songs @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()
        return np.bincount(scores.argmax(axis=1), minlength=layer.out_features) / len(songs)

    layers = (network.to_kind, network.to_surface)
    wanted = [rng.dirichlet(np.full(layer.out_features, 3.0)) for layer in layers]
    before = max(np.abs(reached(layer) - want).max() for layer, want in zip(layers, wanted, strict=True))
    missed = balance_classes(network, songs, *wanted)
    for layer, want in zip(layers, wanted, strict=True):
        np.testing.assert_allclose(reached(layer), want, atol=0.03)
    assert before > 0.2 and max(missed.values()) < 0.05
