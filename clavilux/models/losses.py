"""Loss terms of the networks, and controllers for the weight of the KL divergence in the loss of a VAE.

The modules `clavilux.training.train_*` combine the terms into the loss of each network.

Unless a docstring says otherwise, a loss is summed over positions and dimensions, and averaged over the batch. An
average over pixels would multiply the effective weight of the KL divergence by the number of pixels, and the latent
would carry no information.

Letters in shapes: B examples of a batch, D dimensions of the latent, K classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def kl_per_dimension(mean: Tensor, logvar: Tensor) -> Tensor:
    """Return the KL divergence of N(mean, exp(logvar)) from N(0, 1) in nats for each dimension, (D,).

    ``mean`` and ``logvar`` are (B, D). The result is averaged over the batch.
    """
    return 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar).mean(dim=0)


def sample_posterior(mean: Tensor, logvar: Tensor, generator: torch.Generator) -> Tensor:
    """Return a sample (B, D) of N(mean, exp(logvar)), with the reparameterisation trick, for arguments (B, D)."""
    noise = torch.randn(mean.shape, generator=generator, dtype=torch.float32).to(mean.device)
    return mean + (0.5 * logvar).exp() * noise


def optimal_sigma_nll(target: Tensor, reconstruction: Tensor) -> Tensor:
    """Return the Gaussian negative log-likelihood of ``target`` in nats per example, without its constant.

    Both arguments are (B, ...). All numbers of the batch share one standard deviation, the one with the largest
    likelihood, so the loss of an example of N numbers is (N / 2) ln MSE (sigma-VAE, Rybkin, Daniilidis & Levine 2021,
    equation 5). The gradient with respect to the reconstruction therefore grows as the error falls.
    """
    mse = (target - reconstruction).square().mean()
    return 0.5 * target[0].numel() * torch.log(mse + 1e-6)


def mean_squared_loss(target: Tensor, reconstruction: Tensor, kl_nats: Tensor, weight: float) -> Tensor:
    """Return the loss of the classic recipe: the mean squared error, plus ``weight`` times the KL divergence.

    ``target`` and ``reconstruction`` are (B, ...), and the error is averaged over all numbers. ``kl_nats``, a scalar,
    is summed over dimensions and averaged over the batch. With a ``weight`` of 2 / N for examples of N numbers, the
    loss would be equivalent to the evidence lower bound with a Gaussian likelihood of unit variance. For pictures, the
    classic recipe has N = 49 152 and a ``weight`` of up to 6, which is 147 000 times 2 / N, so the KL divergence
    collapses to zero.
    """
    return (target - reconstruction).square().mean() + weight * kl_nats


def soft_cross_entropy(logits: Tensor, shares: Tensor) -> Tensor:
    """Return the cross-entropy in nats between class probabilities ``shares`` (B, K, ...) and logits (B, K, ...).

    It is summed over positions and averaged over the batch.
    """
    return -(shares * functional.log_softmax(logits, dim=1)).flatten(1).sum(dim=1).mean()


def same_track_loss(points: Tensor, temperature: float) -> Tensor:
    """Return the contrastive loss of pairs of embeddings from the same track, in nats, averaged over the batch.

    Row i of the first half of the embeddings ``points`` (B, D) and row i of the second half are a positive pair. For
    both, all other rows are negatives. The loss is InfoNCE (van den Oord, Li & Vinyals 2018) as in SimCLR (Chen et al.
    2020): the cross-entropy of cosine similarities divided by ``temperature``.
    """
    unit = functional.normalize(points, dim=1)
    own = torch.arange(len(points), device=points.device)
    similarity = (unit @ unit.T / temperature).masked_fill(own[:, None] == own, -math.inf)
    return functional.cross_entropy(similarity, (own + len(points) // 2) % len(points))


@dataclass
class KLController:
    """Integral controller of beta, the weight of the KL divergence, that holds the KL divergence of a VAE at a target.

    Each step changes ln(beta) in proportion to the relative difference between a running mean of the KL divergence and
    its target. This is the rule of GECO (Rezende & Viola 2018). GECO applies the rule to the reconstruction error; here
    it is applied to the KL divergence, as in ControlVAE (Shao et al. 2020). Beta is clamped to `BETA_RANGE`, to prevent
    integral wind-up.
    """

    target_nats: float  # target of the KL divergence, summed over dimensions
    gain: float = 0.01  # change of ln(beta) for a relative difference of 1; larger differences count as 1
    decay: float = 0.95  # decay of the running mean, per step
    log_beta: float = math.log(0.05)  # current ln(beta)
    kl_mean: float | None = None  # current running mean of the KL divergence in nats; None before the first step

    BETA_RANGE = (1e-4, 1e3)

    @property
    def beta(self) -> float:
        """Current weight of the KL divergence in the loss."""
        return math.exp(self.log_beta)

    def update(self, kl_nats: float) -> None:
        """Adjust beta after a training step; ``kl_nats`` is the KL divergence of the batch, summed over dimensions."""
        mean = kl_nats if self.kl_mean is None else self.decay * self.kl_mean + (1 - self.decay) * kl_nats
        self.kl_mean = mean
        error = max(-1.0, min(1.0, mean / self.target_nats - 1.0))
        low, high = self.BETA_RANGE
        self.log_beta = max(math.log(low), min(math.log(high), self.log_beta + self.gain * error))

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"log_beta": self.log_beta, "kl_mean": self.kl_mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        self.log_beta, self.kl_mean = state["log_beta"], state["kl_mean"]


@dataclass
class RisingBeta:
    """Weight of the KL divergence, beta, that rises linearly from 0 to ``max_beta``, as in the classic recipe."""

    max_beta: float  # beta after `steps` steps
    steps: int  # number of steps of the training
    step: int = 0  # number of steps that are done

    @property
    def beta(self) -> float:
        """Current weight of the KL divergence in the loss."""
        return self.max_beta * self.step / self.steps

    def update(self, kl_nats: float) -> None:
        """Advance by one training step. The KL divergence is ignored."""
        self.step += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        self.step = int(state["step"])


def water_filling_nats(variances: Tensor, keep: float = 0.95) -> float:
    """Return the rate in nats at which a linear code keeps the fraction ``keep`` of the variance of data.

    The method is reverse water-filling (Cover & Thomas, section 10.3.3): at water level t, a direction of variance v
    keeps a variance of max(0, v - t) and costs max(0, ln(v / t) / 2) nats. The level is found by bisection.

    Parameters
    ----------
    variances : (n,) tensor
        Variances of the data along n directions, such as principal components.
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
