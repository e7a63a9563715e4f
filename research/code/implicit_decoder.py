"""ImplicitImageVAE: a picture <-> z_image, and z_image -> the colour of any place. The rival of the painter.

z_image -> grid of features (64 x 64) -> read between cells at a place, beside waves -> small perceptron -> colour

The grid says what is where; the head is a function of place, so the same latent is the same picture at every size. As
local implicit image functions (Chen, Liu & Wang 2021) with waves for what is finer than the grid. Waves and noise are
drawn once, from a seed of their own, and saved with the weights: nothing else is random.

Legend: B batch, D latent dimensions (64), C channels of the grid, S side of the picture, W waves.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from clavilux.constants import LATENT_DIM
from clavilux.models.image_vae import encode_pictures, picture_encoder

GRID_SIDE = 64
N_WAVES = 24
WAVE_CYCLES = (3.0, 48.0)  # across the picture: from what the grid knows well to where 128 px end
EXPORTED_SIDE_PX = 512  # of what a bundle renders: the judges of sharpness look at this size
_HEAD_WIDTH = 48
_N_NOISES = 8  # that latents mix their own from


class ImplicitImageVAE(nn.Module):
    """The painter's picture encoder, and a decoder of colours at places.

    Parameters
    ----------
    width : int
        Channels at the finest scale of the encoder.
    decoder_width : int
        Channels of the decoder's coarsest grids; a third of them is C.
    latent_dim : int
        D.
    """

    waves: Tensor
    phases: Tensor

    def __init__(self, *, width: int = 48, decoder_width: int = 96, latent_dim: int = LATENT_DIM) -> None:
        super().__init__()
        self.encoder = picture_encoder(width)
        self.to_posterior = nn.Linear(4 * width * 16, 2 * latent_dim)
        chance = torch.Generator().manual_seed(0)
        widths = [decoder_width, decoder_width, decoder_width, decoder_width // 2, decoder_width // 3]
        self.to_grid = nn.Sequential(nn.Linear(latent_dim, widths[0] * 16), nn.Unflatten(1, (widths[0], 4, 4)))
        self.layers = nn.ModuleList(
            _Grow(fan_in, fan_out, latent_dim, 8 * 2**i, chance) for i, (fan_in, fan_out) in enumerate(pairwise(widths))
        )
        low, high = (math.log(v) for v in WAVE_CYCLES)
        cycles = torch.exp(low + (high - low) * torch.rand(N_WAVES, generator=chance))
        angle = 2.0 * math.pi * torch.rand(N_WAVES, generator=chance)
        self.register_buffer("waves", cycles[:, None] * torch.stack([torch.cos(angle), torch.sin(angle)], dim=1))
        self.register_buffer("phases", 2.0 * math.pi * torch.rand(N_WAVES, generator=chance))
        self.to_amplitudes = nn.Conv2d(widths[-1], N_WAVES, 1)
        self.head = nn.Sequential(  # the same perceptron at every place
            nn.Conv2d(widths[-1] + N_WAVES, _HEAD_WIDTH, 1),
            nn.SiLU(),
            nn.Conv2d(_HEAD_WIDTH, _HEAD_WIDTH, 1),
            nn.SiLU(),
            nn.Conv2d(_HEAD_WIDTH, 3, 1),
        )

    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the posterior, each (B, D), of sRGB pictures (B, 3, 64, 64) in [0, 1]."""
        return encode_pictures(self.encoder, self.to_posterior, pictures)

    def decode(self, z_image: Tensor, side: int = 128) -> Tensor:
        """Pictures (B, 3, S, S) in [0, 1] of latents (B, D): the colour in the middle of each of S x S pixels."""
        grid = self.to_grid(z_image)
        for layer in self.layers:
            grid = layer(grid, z_image)
        # Reading a grid between its cells at the middles of pixels is what enlarging it is.
        at = functional.interpolate(grid, size=(side, side), mode="bilinear", align_corners=False)
        middle = (torch.arange(side, device=grid.device, dtype=torch.float32) + 0.5) / side
        turns = self.waves[:, 0, None, None] * middle + self.waves[:, 1, None, None] * middle[:, None]
        waves = torch.sin(2.0 * math.pi * turns + self.phases[:, None, None])  # (W, S, S)
        told = torch.cat([at, self.to_amplitudes(at) * waves], dim=1)
        return torch.sigmoid(self.head(told).float())

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the posterior: what is exported as the picture encoder."""
        return self.encode(pictures)


class _Grow(nn.Module):
    """Twice the side: modulated by the latent, enlarged, convolved, and given an unevenness of the latent's own."""

    noise: Tensor
    own: Tensor

    def __init__(self, fan_in: int, fan_out: int, latent_dim: int, side: int, chance: torch.Generator) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, fan_in, affine=False)
        self.modulate = nn.Linear(latent_dim, 2 * fan_in)
        self.convolution = nn.Conv2d(fan_in, fan_out, 3, padding=1)
        self.register_buffer("noise", torch.randn(_N_NOISES, side, side, generator=chance))
        self.register_buffer("own", torch.randn(latent_dim, _N_NOISES, generator=chance))
        self.noise_scale = nn.Parameter(torch.full((1, fan_out, 1, 1), 0.1))

    def forward(self, grid: Tensor, z_image: Tensor) -> Tensor:
        scale, shift = self.modulate(z_image)[:, :, None, None].chunk(2, dim=1)
        grid = functional.silu(self.norm(grid) * (1.0 + 0.5 * scale) + shift)
        grid = functional.interpolate(grid, scale_factor=2.0, mode="nearest")
        share = functional.normalize(z_image @ self.own, dim=1)  # one noise for all would lie as dirt on every picture
        noise = torch.einsum("bn,nhw->bhw", share, self.noise)[:, None]
        grown: Tensor = self.convolution(grid) + self.noise_scale * noise
        return grown
