"""Train the plain convolutional ImageVAE of the classic recipe, the baseline of the painter."""

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
from clavilux.training.train_image_vae import ACTIVE_VARIANCE


class ConvImageVAETask(Task):
    """Training of the ConvImageVAE on pixels.

    The loss is the mean squared error with linear KL annealing, as in the classic recipe, or that of a sigma-VAE whose
    KL divergence is held at a target.

    Parameters
    ----------
    training, validation : (n, 128, 128, 3) uint8
        Windows of pictures, sRGB.
    weights : (n,) tensor
        Sampling weight of each training window.
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
        self.recipe, self.weights = recipe, weights
        self.training_pictures, self.validation_pictures = (torch.from_numpy(p) for p in (training, validation))

    def n_items(self) -> int:
        """Return the number of training items."""
        return len(self.training_pictures)

    def order(self, epoch_generator: torch.Generator) -> Tensor:
        """Return the indices (n,) of the windows of one epoch, drawn with replacement by their weights."""
        return torch.multinomial(self.weights, self.n_items(), replacement=True, generator=epoch_generator)

    def batch(self, items: Tensor, generator: torch.Generator) -> Batch:
        """Return "pictures" (B, 3, 128, 128), sRGB in [0, 1], of the windows with these indices (B,)."""
        return {"pictures": as_tensor(self.training_pictures[items])}

    def forward(self, batch: Batch, noise: torch.Generator, beta: float) -> dict[str, Tensor]:
        """Return the scalars "loss", "kl_nats" and "mse" of a batch."""
        pictures = batch["pictures"]
        mean, logvar = self.network.encode(shrink(pictures))
        reconstruction = self.network.decode(sample_posterior(mean, logvar, noise))
        kl_nats = kl_per_dimension(mean, logvar).sum()
        if self.recipe.objective == "beta":
            loss = mean_squared_loss(pictures, reconstruction, kl_nats, beta * self.recipe.kld_weight)
        else:
            loss = optimal_sigma_nll(pictures, reconstruction) + beta * kl_nats
        return {"loss": loss, "kl_nats": kl_nats, "mse": (pictures - reconstruction).square().mean()}

    def validate(self) -> dict[str, float]:
        """Return explained variance, KL divergence in nats and number of active units on the validation split."""
        means, kl_parts, error, total = [], [], 0.0, 0.0
        centre = as_tensor(self.validation_pictures).mean(dim=0)
        n = len(self.validation_pictures)
        for part in torch.split(self.validation_pictures, 128):
            pictures = as_tensor(part)
            mean, logvar = self.network.encode(shrink(pictures))
            error += float((pictures - self.network.decode(mean)).square().sum())
            total += float((pictures - centre).square().sum())
            means.append(mean)
            kl_parts.append(kl_per_dimension(mean, logvar) * len(part) / n)
        variance = torch.cat(means).var(dim=0)
        return {
            "explained_variance": 1.0 - error / total,
            "kl_nats": float(torch.stack(kl_parts).sum()),
            "active_units": float((variance > ACTIVE_VARIANCE).sum()),
        }


def as_tensor(pictures: Tensor) -> Tensor:
    """Return pictures (n, H, W, 3) uint8 as (n, 3, H, W) float32 in [0, 1]."""
    return pictures.permute(0, 3, 1, 2).float() / 255.0


def shrink(pictures: Tensor) -> Tensor:
    """Return pictures (n, 3, H, W) at half the size, (n, 3, H / 2, W / 2): means of 2 x 2 pixels."""
    return functional.avg_pool2d(pictures, 2)
