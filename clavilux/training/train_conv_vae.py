"""Train the ConvImageVAE, which decodes latents to pixels and is the baseline for the painter."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from clavilux.models.conv_image_vae import DECODED_SIDE_PX, ConvImageVAE
from clavilux.models.losses import kl_per_dimension, mean_squared_loss, optimal_sigma_nll, sample_posterior
from clavilux.training.loop import Batch, Task
from clavilux.training.recipe import ImageVAERecipe
from clavilux.training.train_audio_vae import latent_figures


class ConvImageVAETask(Task):
    """Task that trains the ConvImageVAE on pixels.

    With the objective "beta" of the classic recipe, the loss is the mean squared error with linear KL annealing. With
    the objective "kl_target", it is the loss of a sigma-VAE whose KL divergence is held at a target. ``training`` and
    ``validation`` are windows (n, 128, 128, 3) uint8 sRGB. ``weights`` (n,) are the sampling weights of the training
    windows.
    """

    name = "image-vae"
    items = "pictures"
    network: ConvImageVAE

    def __init__(
        self, training: NDArray[np.uint8], validation: NDArray[np.uint8], weights: Tensor, recipe: ImageVAERecipe
    ) -> None:
        super().__init__()
        assert training.shape[1] == DECODED_SIDE_PX, "windows have the size of decoded pictures"
        self.network = ConvImageVAE(width=recipe.width)
        self.recipe, self.weights, self.n_items = recipe, weights, len(training)
        self.training_pictures, self.validation_pictures = (torch.from_numpy(p) for p in (training, validation))

    def batch(self, items: Tensor, generator: torch.Generator) -> Batch:
        """Return "pictures" (B, 3, 128, 128), sRGB in [0, 1], of the windows with these indices (B,)."""
        return {"pictures": _as_tensor(self.training_pictures[items])}

    def forward(self, batch: Batch, noise: torch.Generator, beta: float) -> dict[str, Tensor]:
        """Return the scalars "loss", "kl_nats" and "mse" of a batch."""
        pictures = batch["pictures"]
        mean, logvar = self.network.encode(functional.avg_pool2d(pictures, 2))  # the encoder reads 64 x 64 pixels
        reconstruction = self.network.decode(sample_posterior(mean, logvar, noise))
        kl_nats = kl_per_dimension(mean, logvar).sum()
        if self.recipe.objective == "beta":
            loss = mean_squared_loss(pictures, reconstruction, kl_nats, beta * self.recipe.kld_weight)
        else:
            loss = optimal_sigma_nll(pictures, reconstruction) + beta * kl_nats
        return {"loss": loss, "kl_nats": kl_nats, "mse": (pictures - reconstruction).square().mean()}

    def validate(self) -> dict[str, float]:
        """Return explained variance, KL divergence in nats and number of active units on the validation split."""
        posteriors, error, total = [], 0.0, 0.0
        centre = _as_tensor(self.validation_pictures).mean(dim=0)
        for part in torch.split(self.validation_pictures, 128):
            pictures = _as_tensor(part)
            mean, logvar = self.network.encode(functional.avg_pool2d(pictures, 2))
            error += float((pictures - self.network.decode(mean)).square().sum())
            total += float((pictures - centre).square().sum())
            posteriors.append((mean, logvar))
        return {"explained_variance": 1.0 - error / total, **latent_figures(posteriors)}


def _as_tensor(pictures: Tensor) -> Tensor:
    """Return pictures (n, H, W, 3) uint8 as (n, 3, H, W) float32 in [0, 1]."""
    return pictures.permute(0, 3, 1, 2).float() / 255.0
