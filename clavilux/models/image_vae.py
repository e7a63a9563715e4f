"""ImageVAE: encodes a picture as a latent, z_image, and decodes the latent to the controls of the painter.

The decoder does not predict pixels. It predicts what 64 numbers can describe: a palette, a plan (the probability of
each colour of the palette in each cell of a grid), a surface (how the picture is painted), and properties of the marks
(the shapes of the areas). Palette, plan, surface and kind of marks are predicted as probabilities of classes: a
regression would average possible colours to brown.

Letters in shapes: B pictures of a batch, D dimensions of the latent (64), K colours of a palette (8), S side of the
plan (32).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from clavilux.constants import CHAOS_RANGE, ENCODER_SIDE_PX, FINISH, FREQUENCY_RANGE, LATENT_DIM, SLOTS, SURFACE_NAMES
from clavilux.errors import BundleError, PictureError
from clavilux.models.weights import BundledNetwork, Weights, check_tensor


class RawControls(NamedTuple):
    """Outputs of the decoder of an `ImageVAE` for a batch of latents."""

    plan: Tensor  # (B, K, S, S), logits of the colours of the palette in each cell
    palette: Tensor  # (B, n_palettes), logits of the palettes of the codebook
    kind: Tensor  # (B, n_kinds), logits of the kinds of marks
    surface: Tensor  # (B, n_surfaces), logits of the surfaces
    frequency: Tensor  # (B,), number of marks along the short side of the picture
    direction: Tensor  # (B, 2), cosine and sine of twice the angle of the marks, times the confidence in the angle
    chaos: Tensor  # (B,), how far marks may deviate from the plan, in `CHAOS_RANGE`
    finish: Tensor  # (B, 6), the properties that `FINISH` lists, each scaled from its range to [0, 1]


class ImageVAE(BundledNetwork):
    """Variational autoencoder that encodes pictures, and decodes latents to controls of the painter.

    Parameters
    ----------
    n_palettes : int
        Number of palettes of the codebook.
    n_kinds : int
        Number of kinds of marks.
    width : int
        Number of channels at the finest scale of the encoder.
    decoder_width : int
        Number of channels of the decoder.
    """

    part = "image_vae"

    def __init__(self, *, n_palettes: int, n_kinds: int, width: int = 48, decoder_width: int = 96) -> None:
        super().__init__()
        self.encoder = nn.Sequential(  # 64 px -> 4 px
            nn.Conv2d(3, width, 3, stride=2, padding=1),
            *_block(width, 2 * width, stride=2),
            *_block(2 * width, 2 * width, stride=1),
            *_block(2 * width, 4 * width, stride=2),
            *_block(4 * width, 4 * width, stride=2),
            nn.GroupNorm(8, 4 * width),
            nn.SiLU(),
            nn.Flatten(),
            nn.Dropout(0.1),  # in a VAE, the encoder overfits first
        )
        self.to_posterior = nn.Linear(4 * width * 16, 2 * LATENT_DIM)
        self.to_plan = nn.Sequential(  # 4 -> 32 cells
            nn.Linear(LATENT_DIM, decoder_width * 16),
            nn.Unflatten(1, (decoder_width, 4, 4)),
            *_grow(decoder_width),
            *_grow(decoder_width),
            *_grow(decoder_width),
            nn.GroupNorm(8, decoder_width),
            nn.SiLU(),
            nn.Conv2d(decoder_width, SLOTS, 3, padding=1),
        )
        # Linear, so that the latents of each class form a convex region and similar latents get the same class.
        # Perceptrons memorised the training pictures, and their regions were irregular.
        self.to_palette = nn.Linear(LATENT_DIM, n_palettes)
        self.to_kind = nn.Linear(LATENT_DIM, n_kinds)
        self.to_surface = nn.Linear(LATENT_DIM, len(SURFACE_NAMES))
        self.to_marks = nn.Linear(LATENT_DIM, 4 + len(FINISH))  # frequency, direction (2), chaos, finish

    @classmethod
    def sizes_of(cls, weights: Weights) -> dict[str, int]:
        """Return the constructor arguments that fit stored weights."""
        if weights.bundle.decoder != "painter":
            raise BundleError(f"bundle {weights.bundle.name} decodes latents to pixels; load it with ConvImageVAE")
        return {
            "n_palettes": weights.size("to_palette.weight"),
            "n_kinds": weights.size("to_kind.weight"),
            "width": weights.size("encoder.0.weight"),
            "decoder_width": weights.size("to_plan.0.weight") // 16,
        }

    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the log-variance of the posterior, each (B, D), for pictures (B, 3, 64, 64) in [0, 1].

        The means are in (-4, 4), the log-variances in [-10, 4].
        """
        check_tensor("pictures", pictures, 3, ENCODER_SIDE_PX, ENCODER_SIDE_PX, fault=PictureError)
        mean, logvar = self.to_posterior(self.encoder(2.0 * pictures - 1.0)).float().chunk(2, dim=1)
        return 4.0 * torch.tanh(mean / 4.0), logvar.clamp(-10.0, 4.0)

    forward = encode  # the graph that is exported

    def decode(self, z_image: Tensor) -> RawControls:
        """Return the raw controls that are decoded from latents (B, D)."""
        check_tensor("z_image", z_image, LATENT_DIM, fault=PictureError)
        marks = self.to_marks(z_image).float()
        low, high = (math.log(v) for v in FREQUENCY_RANGE)
        return RawControls(
            plan=self.to_plan(z_image).float(),
            palette=self.to_palette(z_image).float(),
            kind=self.to_kind(z_image).float(),
            surface=self.to_surface(z_image).float(),
            frequency=torch.exp(low + (high - low) * torch.sigmoid(marks[:, 0])),
            direction=marks[:, 1:3],
            chaos=CHAOS_RANGE[1] * torch.sigmoid(marks[:, 3]),
            finish=torch.sigmoid(marks[:, 4:]),
        )


def _block(fan_in: int, fan_out: int, *, stride: int) -> list[nn.Module]:
    return [nn.GroupNorm(8, fan_in), nn.SiLU(), nn.Conv2d(fan_in, fan_out, 3, stride=stride, padding=1)]


def _grow(width: int) -> list[nn.Module]:
    return [nn.GroupNorm(8, width), nn.SiLU(), nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1)]
