"""Train the rival of the painter: pixels at places, judged by a projected discriminator (Sauer et al. 2021).

pictures -> encoder -> latent -> decoder -> fakes -> crop -> frozen teacher -> features at taps -> critics
                                                 \\-> 8 px, by sigma-VAE          \\-> distance from the real ones

Critics see no pixel but through the features of a network that was trained before and stays as it is, and one that sees
the pixels themselves, because those features are blind to the finest dirt. Crop and symmetry are drawn anew for every
step and are the same for real pictures and fakes, so that the critics cannot learn few pictures by heart; colours are
not touched, because a critic that takes any colour for real lets them drift.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from clavilux.models.implicit_decoder import ImplicitImageVAE
from clavilux.models.losses import kl_per_dimension, optimal_sigma_nll, sample_posterior
from clavilux.training.loop import Batch
from clavilux.training.recipe import ImageVAERecipe
from clavilux.training.symmetry import N_SYMMETRIES, turn_pictures
from clavilux.training.teacher import Teacher
from clavilux.training.train_conv_vae import ConvImageVAETask, as_tensor, shrink

BLOCKS = (0, 2, 5, 12)  # of the teacher: a half, a quarter, an eighth and a sixteenth of the side
CROP_PX = 96
_POOL = 16  # colours are compared at 8 px: where exactly a border lies is not known, and at 32 px all of it was fog
_CRITIC_WIDTH = 48
_MEASURED = 256  # windows over which the spread of each feature is measured


class ImplicitImageVAETask(ConvImageVAETask):
    """Colours at 8 px by sigma-VAE, features by their distance, and a hinge loss against critics of features.

    Parameters
    ----------
    training, validation : (n, 128, 128, 3) uint8
        Windows of pictures.
    weights : (n,) tensor
        How often each training window is shown.
    tarball : Path
        Package of the teacher.

    Raises
    ------
    TrainingError
        The tarball holds no teacher.
    """

    network: ImplicitImageVAE
    betas = (0.5, 0.99)  # a gradient that is remembered for long points to where the other player was

    def __init__(
        self,
        training: NDArray[np.uint8],
        validation: NDArray[np.uint8],
        weights: Tensor,
        recipe: ImageVAERecipe,
        tarball: Path,
    ) -> None:
        super().__init__(training, validation, weights, recipe)
        self.teacher = Teacher(tarball).eval()
        some = torch.linspace(0, len(training) - 1, min(_MEASURED, len(training))).long()
        spreads = feature_spreads(self.teacher, as_tensor(self.training_pictures[some]))
        self.critics = nn.ModuleList(
            [_critic(3, 2, 2), *(_critic(len(s), 2 if s.shape[0] < 32 else 1, 1) for s in spreads)]
        )
        for index, spread in enumerate(spreads):
            self.register_buffer(f"spread_{index}", spread[:, None, None])

    @staticmethod
    def make_network(recipe: ImageVAERecipe) -> ImplicitImageVAE:
        return ImplicitImageVAE(width=recipe.width, decoder_width=recipe.decoder_width)

    def batch(self, items: Tensor, generator: torch.Generator) -> Batch:
        symmetry = int(torch.randint(N_SYMMETRIES, (1,), generator=generator))
        return {"pictures": turn_pictures(as_tensor(self.training_pictures[items]), symmetry)}

    def forward(self, batch: Batch, noise: torch.Generator, beta: float) -> dict[str, Tensor]:
        pictures = batch["pictures"]
        n = len(pictures)
        mean, logvar = self.network.encode(shrink(pictures))
        rate = kl_per_dimension(mean, logvar).sum()
        latents = sample_posterior(mean, logvar, noise)
        # Songs lie between pictures: half as many latents are drawn from the prior, for the critics alone.
        drawn = torch.randn((n // 2, latents.shape[1]), generator=noise).to(latents.device)
        fakes = self.network.decode(torch.cat([latents, drawn]))
        pixels = optimal_sigma_nll(coarse_colours(pictures), coarse_colours(fakes[:n]))

        top, left = torch.randint(pictures.shape[-1] - CROP_PX + 1, (2,), generator=noise).tolist()
        with torch.no_grad():
            real = self.features(pictures[..., top : top + CROP_PX, left : left + CROP_PX])
        fake = self.features(fakes[..., top : top + CROP_PX, left : left + CROP_PX])
        pairs = list(zip(real, fake, strict=True))[1:]
        distances = torch.stack([(a.float() - b[:n].float()).square().mean() for a, b in pairs])
        features = 0.5 * torch.log(distances + 1e-6).sum()

        # The decoder's loss must not move the critics, nor theirs the decoder: one backward pass serves both.
        self.critics.requires_grad_(False)
        adversary = -sum_of_means(self.evaluator(fake))
        self.critics.requires_grad_(True)
        on_real, on_fake = self.evaluator(real), self.evaluator([f.detach() for f in fake])
        critics = sum_of_means([functional.relu(1.0 - r) for r in on_real])
        critics = critics + sum_of_means([functional.relu(1.0 + f) for f in on_fake])
        right = torch.stack(
            [0.5 * ((r > 0).float().mean() + (f < 0).float().mean()) for r, f in zip(on_real, on_fake, strict=True)]
        )
        loss = pixels + self.recipe.feature_weight * features + self.recipe.adversary_weight * adversary
        return {
            "loss": loss + critics + beta * rate,
            "kl_nats": rate,
            "pixels": pixels,
            "features": features,
            "adversary": adversary,
            "critics": critics,
            "critics_right": right.mean(),
        }

    def features(self, pictures: Tensor) -> list[Tensor]:
        """What the critics see: pixels, and the teacher's features over their spread."""
        seen = self.teacher.taps(pictures, BLOCKS)
        return [4.0 * pictures - 2.0, *(x / self.get_buffer(f"spread_{i}") for i, x in enumerate(seen))]

    def evaluator(self, features: list[Tensor]) -> list[Tensor]:
        """How real each critic finds each place: above 0, real."""
        return [critic(x).float() for critic, x in zip(self.critics, features, strict=True)]


def coarse_colours(pictures: Tensor) -> Tensor:
    """Lightness, red against green and yellow against blue at 8 px: (B, 3, 128, 128) -> (B, 3, 8, 8).

    Opponent axes of the encoded values are near enough to Lab for a loss, and have no cube root of infinite slope.
    """
    red, green, blue = functional.avg_pool2d(pictures, _POOL).unbind(1)
    return torch.stack([(red + green + blue) / 3.0, red - green, 0.5 * (red + green) - blue], dim=1)


@torch.no_grad()
def feature_spreads(teacher: Teacher, pictures: Tensor) -> list[Tensor]:
    """Standard deviation of each channel at each tap, (C,), over places and pictures."""
    parts = [teacher.taps(part, BLOCKS) for part in torch.split(pictures, 64)]
    return [torch.cat(tap).transpose(0, 1).flatten(1).std(dim=1).clamp(min=1e-3) for tap in zip(*parts, strict=True)]


def sum_of_means(values: list[Tensor]) -> Tensor:
    """Sum over critics of the mean over pictures and places."""
    return torch.stack([value.mean() for value in values]).sum()


def _critic(channels: int, first_stride: int, second_stride: int) -> nn.Sequential:
    width = _CRITIC_WIDTH
    return nn.Sequential(
        spectral_norm(nn.Conv2d(channels, width, 3, first_stride, padding=1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(width, width, 3, second_stride, padding=1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(width, 1, 1)),
    )
