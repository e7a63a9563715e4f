"""Shapes and properties of the networks."""

import pytest
import torch

from clavilux.constants import CHAOS_RANGE, FREQUENCY_RANGE
from clavilux.models.audio_vae import AudioVAE, window_statistics
from clavilux.models.image_vae import ImageVAE
from clavilux.models.mapping_network import MappingNetwork
from clavilux.models.mark_classifier import MarkClassifier


def test_audio_vae_encodes_and_decodes():
    network = AudioVAE(width=32).eval()
    features = torch.randn(3, 20, 216)
    mean, logvar = network.encode(features)
    assert mean.shape == logvar.shape == (3, 64)
    assert network.decode(mean).shape == (3, 20, 216)
    assert torch.equal(network(features)[0], mean)


def test_audio_vae_normalises_by_its_own_constants():
    network = AudioVAE(width=32).eval()
    plain = torch.randn(2, 20, 216)
    before, _ = network(plain)
    network.row_mean.fill_(-200.0)
    network.row_deviation.fill_(50.0)
    assert torch.allclose(network(plain * 50.0 - 200.0)[0], before, atol=1e-4)


def test_the_track_embedding_comes_first_in_the_latent_and_has_a_fixed_norm():
    network = AudioVAE(width=32, track_dims=32).eval()
    windows = torch.cat([100.0 * torch.randn(3, 20, 216), torch.zeros(1, 20, 216)])
    mean, logvar = network.encode(windows)
    assert mean.shape == logvar.shape == (4, 64)
    assert network.track_embedding is not None
    assert torch.equal(mean[:, :32], network.track_embedding(windows))
    assert torch.allclose(mean[:, :32].square().sum(dim=1), torch.full((4,), 32.0), rtol=1e-5)


def test_statistics_of_a_window_are_those_of_its_rows():
    rows = torch.tensor([[[1.0, -1.0] * 108, [3.0] * 216]])
    found = window_statistics(rows)[0]
    # Means, deviations, deviations of the change over 1, 4 and 16 frames; only the first row moves, by 2 from one frame
    # to the next and back.
    assert torch.allclose(found, torch.tensor([0.0, 3.0, 1.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0]), atol=1e-4)


def test_image_vae_gives_controls_in_their_ranges():
    network = ImageVAE(n_palettes=11, n_kinds=7, width=16, decoder_width=32).eval()
    mean, _ = network.encode(torch.rand(4, 3, 64, 64))
    assert mean.shape == (4, 64)
    raw = network.decode(10.0 * torch.randn(4, 64))
    assert raw.plan.shape == (4, 8, 32, 32)
    assert raw.palette.shape == (4, 11)
    assert raw.kind.shape == (4, 7)
    assert raw.direction.shape == (4, 2)
    low, high = FREQUENCY_RANGE
    assert ((raw.frequency >= low * 0.999) & (raw.frequency <= high * 1.001)).all()
    assert ((raw.chaos >= CHAOS_RANGE[0]) & (raw.chaos <= CHAOS_RANGE[1])).all()


def test_the_decoder_depends_on_the_latent_alone():
    """Two pictures with one latent have one set of controls: the decoder takes the latent alone."""
    network = ImageVAE(n_palettes=5, n_kinds=3, width=16, decoder_width=32).eval()
    z = torch.randn(1, 64)
    a, b = network.decode(z), network.decode(z.clone())
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_mark_classifier_predicts_every_kind():
    seen = MarkClassifier(n_kinds=9, width=16)(torch.rand(2, 3, 128, 128))
    assert seen.kind.shape == (2, 9)
    assert seen.frequency.shape == seen.chaos.shape == (2,)
    assert seen.direction.shape == (2, 2)


@pytest.mark.parametrize("n_centres", [0, 12])
def test_mapping_computes_a_linear_and_a_kernel_regression(n_centres):
    torch.manual_seed(0)
    network = MappingNetwork(song_dim=10, n_components=4, n_centres=n_centres).eval()
    with torch.no_grad():
        network.centres.copy_(torch.randn(n_centres, 4))
        network.pull.copy_(torch.randn(n_centres, 64))
    songs = torch.randn(6, 10)
    x = network.to_components(songs)
    wanted = network.straight(x)
    for b in range(6):
        for c in range(n_centres):
            square = (x[b] - network.centres[c]).square().sum()
            wanted[b] = wanted[b] + torch.exp(-0.5 * square) * network.pull[c]
    assert torch.allclose(network(songs), wanted, atol=1e-5)


def test_song_codes_are_clipped():
    network = MappingNetwork(song_dim=10, n_components=4, n_centres=0).eval()
    far = torch.full((1, 10), 100.0)
    assert torch.equal(network(far), network(10.0 * far))
