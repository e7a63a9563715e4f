"""Terms of the losses of the variational autoencoders, and control of their KL divergence.

`clavilux.training.train_audio_vae` and `train_image_vae` add them up to the loss of each network.

Losses are summed over positions and dimensions and averaged over the batch only. An average over pixels would multiply
the effective weight of the KL divergence by the number of pixels, and the latent would carry no information.

Legend: B batch, D latent dimensions, K classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


def kl_per_dimension(mean: Tensor, logvar: Tensor) -> Tensor:
    """Return KL(N(mean, exp logvar) || N(0, 1)) in nats for each dimension, (D,): the mean over a batch (B, D)."""
    return 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar).mean(dim=0)


def sample_posterior(mean: Tensor, logvar: Tensor, generator: torch.Generator) -> Tensor:
    """Return a sample (B, D) of N(mean, exp logvar) by the reparameterisation trick; both arguments are (B, D)."""
    noise = torch.randn(mean.shape, generator=generator, dtype=torch.float32).to(mean.device)
    return mean + (0.5 * logvar).exp() * noise


def optimal_sigma_nll(target: Tensor, reconstruction: Tensor) -> Tensor:
    """Return the Gaussian negative log-likelihood with the optimal common standard deviation, in nats per sample.

    Target and reconstruction are (B, ...). The loss is (N / 2) ln MSE for N numbers per sample, up to a constant
    (sigma-VAE, Rybkin, Daniilidis & Levine 2021, equation 5). The weight of the reconstruction grows as it improves.
    """
    numbers = target[0].numel()
    mse = (target - reconstruction).square().mean()
    return 0.5 * numbers * torch.log(mse + 1e-6)


def mean_squared_loss(target: Tensor, reconstruction: Tensor, kl_nats: Tensor, weight: float) -> Tensor:
    """Return the mean squared error of (B, ...), plus `weight` times `kl_nats`: the loss of the classic recipe.

    `kl_nats` is the KL divergence, summed over dimensions. For N numbers per sample and unit variance, the evidence
    lower bound has a weight of 2 / N. With N = 49 152 pixel values and a weight of 6, the KL divergence has 147 000
    times that weight and collapses to zero.
    """
    return (target - reconstruction).square().mean() + weight * kl_nats


def soft_cross_entropy(logits: Tensor, shares: Tensor) -> Tensor:
    """Return the cross-entropy in nats of logits (B, K, ...) against class probabilities `shares` (B, K, ...).

    It is summed over positions and averaged over B.
    """
    return -(shares * functional.log_softmax(logits, dim=1)).flatten(1).sum(dim=1).mean()


def same_track_loss(points: Tensor, temperature: float) -> Tensor:
    """Return the contrastive loss of pairs from the same track, in nats, mean over B.

    The loss is InfoNCE (van den Oord, Li & Vinyals 2018) in the form of SimCLR (Chen et al. 2020), with cosine
    similarities divided by `temperature`. Row i of the first half of `points` (B, D) and row i of the second half are a
    positive pair; all other rows are negatives.
    """
    unit = functional.normalize(points, dim=1)
    own = torch.arange(len(points), device=points.device)
    similarity = (unit @ unit.T / temperature).masked_fill(own[:, None] == own, -math.inf)
    return functional.cross_entropy(similarity, (own + len(points) // 2) % len(points))


@dataclass
class KLController:
    """Holds the KL divergence of a VAE at a target by adjusting beta.

    Integral control of ln(beta) on a running mean of the KL divergence: the multiplicative rule of GECO (Rezende &
    Viola 2018) with the KL divergence instead of the reconstruction, as in ControlVAE (Shao et al. 2020). Beta is
    clamped to `BETA_RANGE` in each step, which prevents integral wind-up.

    Attributes
    ----------
    target_nats : float
        Target of the KL divergence in nats, summed over dimensions.
    gain : float
        Step in ln(beta) for a relative error of 1.
    decay : float
        Decay of the running mean, per step.
    log_beta : float
        Current ln(beta).
    kl_mean : float or None
        Current running mean in nats; None before the first step.
    """

    target_nats: float
    gain: float = 0.01
    decay: float = 0.95
    log_beta: float = math.log(0.05)
    kl_mean: float | None = None

    BETA_RANGE = (1e-4, 1e3)

    @property
    def beta(self) -> float:
        """Current weight of the KL divergence in the loss."""
        return math.exp(self.log_beta)

    def update(self, kl_nats: float) -> None:
        """Adjust beta after a step, from the KL divergence of its batch in nats."""
        mean = kl_nats if self.kl_mean is None else self.decay * self.kl_mean + (1 - self.decay) * kl_nats
        self.kl_mean = mean
        error = max(-1.0, min(1.0, mean / self.target_nats - 1.0))
        low, high = self.BETA_RANGE
        self.log_beta = max(math.log(low), min(math.log(high), self.log_beta + self.gain * error))

    def state_dict(self) -> dict[str, float | None]:
        """Return the state for a checkpoint."""
        return {"log_beta": self.log_beta, "kl_mean": self.kl_mean}

    def load_state_dict(self, state: dict[str, float | None]) -> None:
        """Restore the state from a checkpoint."""
        log_beta = state["log_beta"]
        assert log_beta is not None, "a saved controller always has a beta"
        self.log_beta, self.kl_mean = log_beta, state["kl_mean"]


@dataclass
class RisingBeta:
    """Linear KL annealing without a clamp: beta = max_beta * step / steps, as in the classic recipe."""

    max_beta: float  # beta at step `steps`
    steps: int  # number of steps of the training
    step: int = 0  # number of steps that are done

    @property
    def beta(self) -> float:
        """Current weight of the KL divergence in the loss."""
        return self.max_beta * self.step / self.steps

    def update(self, kl_nats: float) -> None:
        """Advance by one step; the KL divergence is ignored."""
        self.step += 1

    def state_dict(self) -> dict[str, float | None]:
        """Return the state for a checkpoint."""
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, float | None]) -> None:
        """Restore the state from a checkpoint."""
        step = state["step"]
        assert step is not None, "a saved schedule always has a step"
        self.step = int(step)


def water_filling_nats(variances: Tensor, keep: float = 0.95) -> float:
    """Return the rate in nats at which a linear code keeps the fraction `keep` of the total variance of D directions.

    Reverse water-filling (Cover & Thomas, section 10.3.3): at water level t, direction k keeps max(0, v_k - t) of its
    variance v_k and costs max(0, ln(v_k / t) / 2) nats.

    Parameters
    ----------
    variances : (D,) tensor
        Variances of the data along D directions, such as leading principal components.
    keep : float
        Fraction of the variance, in (0, 1).
    """
    spectrum = variances[variances > 0].double()
    low, high = 0.0, float(spectrum.max())
    for _ in range(200):
        level = 0.5 * (low + high)
        share = float((spectrum - level).clamp(min=0).sum() / spectrum.sum())
        low, high = (level, high) if share > keep else (low, level)
    return float(0.5 * torch.log(spectrum / low).clamp(min=0).sum()) if low > 0 else math.inf
