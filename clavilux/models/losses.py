"""Losses of the variational autoencoders, and the controller that holds their rate.

Everything is summed over places and dimensions and averaged over the batch only. Averaging over pixels is what makes a
VAE forget: it multiplies the effective weight of the rate by the number of pixels.

Legend: B batch, D latent dimensions, K classes, H W places.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


def kl_per_dimension(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp logvar) || N(0, 1)) in nats per dimension, averaged over the batch: (B, D), (B, D) -> (D,)."""
    return 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar).mean(dim=0)


def sample_posterior(mean: Tensor, logvar: Tensor, generator: torch.Generator) -> Tensor:
    """One draw of N(mean, exp logvar) by the reparameterisation trick: (B, D)."""
    noise = torch.randn(mean.shape, generator=generator, dtype=torch.float32).to(mean.device)
    return mean + (0.5 * logvar).exp() * noise


def optimal_sigma_nll(target: Tensor, reconstruction: Tensor) -> Tensor:
    """Gaussian negative log-likelihood with the best common deviation, in nats a sample, up to a constant.

    (N / 2) ln MSE for N numbers a sample (sigma-VAE, Rybkin, Daniilidis & Levine 2021, equation 5): the weight of the
    reconstruction grows by itself as it gets better.
    """
    numbers = target[0].numel()
    mse = (target - reconstruction).square().mean()
    return 0.5 * numbers * torch.log(mse + 1e-6)


def mean_squared_loss(target: Tensor, reconstruction: Tensor, kl_nats: Tensor, weight: float) -> Tensor:
    """Squared error averaged over the numbers of a sample, plus `weight` times the rate, which is summed: classic.

    For N numbers a sample and unit variance the evidence lower bound asks for a weight of 2 / N. At N = 49 152 pixel
    values and a weight that rises to 6 the rate is held 147 000 times too dear, and what little it could tell is gone.
    """
    return (target - reconstruction).square().mean() + weight * kl_nats


def soft_cross_entropy(logits: Tensor, shares: Tensor) -> Tensor:
    """Cross-entropy against shares (sum 1 over dimension 1), summed over places, mean over B: (B, K, ...) -> ()."""
    return -(shares * functional.log_softmax(logits, dim=1)).flatten(1).sum(dim=1).mean()


def same_track_loss(points: Tensor, temperature: float) -> Tensor:
    """Which of all others is of the same track, by cosine? Cross-entropy in nats, mean over B.

    InfoNCE (van den Oord, Li & Vinyals 2018) in the form of SimCLR (Chen et al. 2020): row i of the first half of
    `points` (B, D) and row i of the second half belong together.
    """
    unit = functional.normalize(points, dim=1)
    own = torch.arange(len(points), device=points.device)
    similarity = (unit @ unit.T / temperature).masked_fill(own[:, None] == own, -math.inf)
    return functional.cross_entropy(similarity, (own + len(points) // 2) % len(points))


@dataclass
class KLController:
    """Holds the rate of a VAE at a target by steering beta.

    Integral control in the logarithm of beta on a running mean of the rate, the multiplicative rule of GECO (Rezende &
    Viola 2018) with the rate in the place of the reconstruction, as in ControlVAE (Shao et al. 2020). Because beta is
    clamped after each step, the integral cannot wind up.

    Attributes
    ----------
    target_nats : float
        Rate to hold, summed over dimensions.
    gain : float
        Step in ln(beta) for a rate that is wrong by 100 %.
    """

    target_nats: float
    gain: float = 0.01
    decay: float = 0.95
    log_beta: float = math.log(0.05)
    kl_mean: float | None = None

    BETA_RANGE = (1e-4, 1e3)

    @property
    def beta(self) -> float:
        """Present weight of the rate in the loss."""
        return math.exp(self.log_beta)

    def update(self, kl_nats: float) -> None:
        """Take in the rate of one step."""
        mean = kl_nats if self.kl_mean is None else self.decay * self.kl_mean + (1 - self.decay) * kl_nats
        self.kl_mean = mean
        error = max(-1.0, min(1.0, mean / self.target_nats - 1.0))
        low, high = self.BETA_RANGE
        self.log_beta = max(math.log(low), min(math.log(high), self.log_beta + self.gain * error))

    def state_dict(self) -> dict[str, float | None]:
        """What a resumed run needs."""
        return {"log_beta": self.log_beta, "rate_mean": self.kl_mean}

    def load_state_dict(self, state: dict[str, float | None]) -> None:
        """Go on from a saved state."""
        log_beta = state["log_beta"]
        assert log_beta is not None, "a saved controller always has a beta"
        self.log_beta, self.kl_mean = log_beta, state["rate_mean"]


@dataclass
class RisingBeta:
    """Beta that rises in a straight line from 0 to its maximum over a training, as in the classic recipe."""

    max_beta: float
    steps: int
    step: int = 0

    @property
    def beta(self) -> float:
        """Present weight of the rate in the loss."""
        return self.max_beta * self.step / self.steps

    def update(self, kl_nats: float) -> None:
        """Go one step on; the rate has no say."""
        self.step += 1

    def state_dict(self) -> dict[str, float | None]:
        """What a resumed run needs."""
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, float | None]) -> None:
        """Go on from a saved state."""
        step = state["step"]
        assert step is not None, "a saved schedule always has a step"
        self.step = int(step)


def water_filling_nats(variances: Tensor, keep: float = 0.95) -> float:
    """Rate in nats at which a linear code keeps `keep` of the variance that these directions carry.

    Reverse water-filling (Cover & Thomas, section 10.3.3): at water level t, direction k keeps max(0, v_k - t) of its
    variance v_k and costs max(0, ln(v_k / t) / 2) nats.

    Parameters
    ----------
    variances : (D,) tensor
        Variances of the data along the D directions that the latent has room for, such as its leading principal
        components.
    keep : float
        Share of their sum to keep, in (0, 1).
    """
    spectrum = variances[variances > 0].double()
    low, high = 0.0, float(spectrum.max())
    for _ in range(200):
        level = 0.5 * (low + high)
        kept = float((spectrum - level).clamp(min=0).sum() / spectrum.sum())
        low, high = (level, high) if kept > keep else (low, level)
    return float(0.5 * torch.log(spectrum / low).clamp(min=0).sum()) if low > 0 else math.inf
