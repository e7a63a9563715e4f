"""The losses and the KL controller, on cases with a known answer."""

import math

import pytest
import torch
from torch import nn

from clavilux.models.losses import (
    KLController,
    kl_per_dimension,
    optimal_sigma_nll,
    same_track_loss,
    sample_posterior,
    soft_cross_entropy,
    water_filling_nats,
)


def test_kl_of_the_prior_is_zero_and_of_a_shifted_posterior_half_its_square():
    mean, logvar = torch.tensor([[0.0, 3.0]]), torch.zeros(1, 2)
    assert torch.allclose(kl_per_dimension(mean, logvar), torch.tensor([0.0, 4.5]))


def test_kl_grows_as_the_posterior_narrows():
    rate = kl_per_dimension(torch.zeros(1, 1), torch.full((1, 1), -4.0))
    assert rate.item() == pytest.approx(0.5 * (math.exp(-4) - 1 + 4))


def test_posterior_sample_repeats_with_its_generator():
    mean, logvar = torch.zeros(4, 8), torch.zeros(4, 8)
    first, again = (sample_posterior(mean, logvar, torch.Generator().manual_seed(3)) for _ in range(2))
    other = sample_posterior(mean, logvar, torch.Generator().manual_seed(4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_likelihood_is_summed_over_numbers_not_averaged():
    target, guess = torch.zeros(2, 10), torch.ones(2, 10)
    halved = optimal_sigma_nll(target, 0.5 * guess)
    assert (optimal_sigma_nll(target, guess) - halved).item() == pytest.approx(10 / 2 * math.log(4), rel=1e-4)


def test_soft_cross_entropy_is_summed_over_positions_and_minimal_at_the_shares():
    shares = torch.tensor([0.7, 0.3]).reshape(1, 2, 1, 1).expand(5, 2, 4, 4)
    entropy = -(0.7 * math.log(0.7) + 0.3 * math.log(0.3))
    assert soft_cross_entropy(shares.log(), shares).item() == pytest.approx(16 * entropy, rel=1e-5)
    assert soft_cross_entropy(torch.zeros(5, 2, 4, 4), shares) > soft_cross_entropy(shares.log(), shares)


def test_water_filling_of_equal_variances_is_known():
    # Keeping 3/4 of n equal variances puts the water at 1/4: n ln(4) / 2 nats.
    assert water_filling_nats(torch.ones(6), keep=0.75) == pytest.approx(6 * math.log(4) / 2, rel=1e-6)


def test_water_filling_spends_nothing_on_directions_below_the_level():
    with_dust = torch.cat([torch.ones(3), torch.full((20,), 1e-6)])
    assert water_filling_nats(with_dust, 0.75) == pytest.approx(water_filling_nats(torch.ones(3), 0.75), rel=1e-3)


@pytest.mark.slow
def test_controller_holds_a_linear_vae_at_its_target():
    """A VAE of independent normals: the rate that the controller asks for is the rate that training ends with."""
    generator = torch.Generator().manual_seed(0)
    scale = torch.linspace(2.0, 0.5, 8)
    encoder, decoder = nn.Linear(8, 16), nn.Linear(8, 8)
    controller = KLController(target_nats=6.0, gain=0.05)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-2)
    rates = []
    for _ in range(1500):
        x = torch.randn(128, 8, generator=generator) * scale
        mean, logvar = encoder(x).chunk(2, dim=1)
        reconstruction = decoder(sample_posterior(mean, logvar, generator))
        rate = kl_per_dimension(mean, logvar).sum()
        loss = (x - reconstruction).square().sum(dim=1).mean() + controller.beta * rate
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        controller.update(rate.item())
        rates.append(rate.item())
    assert sum(rates[-200:]) / 200 == pytest.approx(6.0, rel=0.05)


def test_controller_has_no_integral_windup():
    controller = KLController(target_nats=10.0, gain=0.1)
    for _ in range(10_000):
        controller.update(1e6)
    assert controller.beta == pytest.approx(KLController.BETA_RANGE[1])
    for _ in range(400):
        controller.update(0.0)
    assert controller.beta < 1.0


def test_controller_is_restored_from_its_state():
    one, two = KLController(5.0), KLController(5.0)
    for rate in (3.0, 9.0, 4.0):
        one.update(rate)
    two.load_state_dict(one.state_dict())
    one.update(7.0)
    two.update(7.0)
    assert one.beta == two.beta


def test_same_track_loss_is_that_of_chance_for_equal_points_and_zero_for_separate_tracks():
    alike = same_track_loss(torch.ones(8, 3), temperature=0.1)
    assert alike.item() == pytest.approx(math.log(7), rel=1e-5)
    apart = same_track_loss(torch.eye(4).repeat(2, 1), temperature=0.1)
    assert apart.item() < 1e-3
    swapped = same_track_loss(torch.cat([torch.eye(4), torch.eye(4).flip(0)]), temperature=0.1)
    assert swapped.item() > 9
