"""ImageVAE: a picture <-> z_image, and z_image -> the controls of the painter.

The decoder does not predict pixels, but properties that 64 numbers can describe: a palette, the probability of each
colour at each place, and properties of the marks. Palette, plan and kind are classified, because a regression would
average them to brown.

Legend: B batch, D latent dimensions (64), K palette slots (8), S side of the plan (32).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from clavilux.bundle import Bundle
from clavilux.constants import CHAOS_RANGE, FINISH, FREQUENCY_RANGE, LATENT_DIM, SLOTS, SURFACE_NAMES
from clavilux.errors import BundleError
from clavilux.models.weights import make_network, open_weights, side


class RawControls(NamedTuple):
    """Outputs of the decoder for a batch of latents.

    Attributes
    ----------
    plan : (B, K, S, S)
        Logits of the palette slots.
    palette : (B, n_palettes)
        Logits of the palettes of the codebook.
    kind : (B, n_kinds)
        Logits of the kinds of marks.
    surface : (B, n_surfaces)
        Logits of the surfaces.
    frequency : (B,)
        Number of marks along the short side.
    direction : (B, 2)
        Cosine and sine of twice the angle, times the confidence.
    chaos : (B,)
        Weight of the marks, in ``CHAOS_RANGE``.
    finish : (B, 6)
        The properties of ``FINISH``, each scaled so that its range is [0, 1].
    """

    plan: Tensor
    palette: Tensor
    kind: Tensor
    surface: Tensor
    frequency: Tensor
    direction: Tensor
    chaos: Tensor
    finish: Tensor


class ImageVAE(nn.Module):
    """Picture encoder, and decoder from latents to controls of the painter.

    Parameters
    ----------
    n_palettes : int
        Number of palettes of the codebook.
    n_kinds : int
        Number of kinds of marks.
    width : int
        Channels at the finest scale of the encoder.
    decoder_width : int
        Channels of the decoder.
    latent_dim : int
        D, size of the latent.
    """

    def __init__(
        self,
        *,
        n_palettes: int,
        n_kinds: int,
        width: int = 48,
        decoder_width: int = 96,
        latent_dim: int = LATENT_DIM,
    ) -> None:
        super().__init__()
        self.encoder = picture_encoder(width)
        self.to_posterior = nn.Linear(4 * width * 16, 2 * latent_dim)
        self.to_plan = nn.Sequential(  # 4 -> 32 cells
            nn.Linear(latent_dim, decoder_width * 16),
            nn.Unflatten(1, (decoder_width, 4, 4)),
            *_grow(decoder_width),
            *_grow(decoder_width),
            *_grow(decoder_width),
            nn.GroupNorm(8, decoder_width),
            nn.SiLU(),
            nn.Conv2d(decoder_width, SLOTS, 3, padding=1),
        )
        # Linear, so that each class has a convex region and similar latents get the same class. A perceptron memorised
        # the training pictures and had irregular regions.
        self.to_palette = nn.Linear(latent_dim, n_palettes)
        self.to_kind = nn.Linear(latent_dim, n_kinds)
        self.to_surface = nn.Linear(latent_dim, len(SURFACE_NAMES))
        self.to_marks = nn.Linear(latent_dim, 4 + len(FINISH))

    @classmethod
    def from_bundle(cls, bundle: Bundle | Path | str = "default") -> ImageVAE:
        """Return the network of a bundle, for evaluation; widths are read from its weights.

        Parameters
        ----------
        bundle : Bundle, Path or str
            A bundle, its folder, or the name of a shipped one.

        Raises
        ------
        BundleError
            If there is no such bundle, or its decoder predicts pixels.
        TrainingError
            If the shapes of its weights do not fit together.
        """
        opened, weights = open_weights(bundle, "image_vae")
        if opened.decoder != "painter":
            raise BundleError(f"bundle {opened.name} decodes latents to pixels; load it with ConvImageVAE.from_bundle")
        names = ("to_palette.weight", "to_kind.weight", "encoder.0.weight", "to_plan.0.weight")
        n_palettes, n_kinds, width, plan_width = (side(weights, name, opened, "image_vae") for name in names)
        return make_network(
            lambda: cls(n_palettes=n_palettes, n_kinds=n_kinds, width=width, decoder_width=plan_width // 16),
            weights,
            opened,
            "image_vae",
        )

    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of the posterior, each (B, D), of sRGB pictures (B, 3, 64, 64) in [0, 1]."""
        return encode_pictures(self.encoder, self.to_posterior, pictures)

    def decode(self, z_image: Tensor) -> RawControls:
        """Return the raw controls for latents (B, D)."""
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

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of the posterior, as `encode`; exported to ONNX as the picture encoder."""
        return self.encode(pictures)


def picture_encoder(width: int) -> nn.Sequential:
    """Return a network from pictures (B, 3, 64, 64) in [-1, 1] to features (B, 64 * width)."""
    return nn.Sequential(  # 64 px -> 4 px
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


def encode_pictures(encoder: nn.Module, to_posterior: nn.Module, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean, in (-4, 4), and log-variance, in [-10, 4], of the posterior, each (B, D).

    Pictures are (B, 3, 64, 64), sRGB in [0, 1]. ``to_posterior`` is the linear head after the encoder.
    """
    mean, logvar = to_posterior(encoder(2.0 * pictures - 1.0)).float().chunk(2, dim=1)
    return 4.0 * torch.tanh(mean / 4.0), logvar.clamp(-10.0, 4.0)


def _block(fan_in: int, fan_out: int, *, stride: int) -> list[nn.Module]:
    return [nn.GroupNorm(8, fan_in), nn.SiLU(), nn.Conv2d(fan_in, fan_out, 3, stride=stride, padding=1)]


def _grow(width: int) -> list[nn.Module]:
    return [nn.GroupNorm(8, width), nn.SiLU(), nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1)]
