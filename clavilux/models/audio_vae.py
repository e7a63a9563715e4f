"""AudioVAE: 5 s of MFCC <-> z_audio.

Legend: B batch, R feature rows (20), T frames (216), D latent dimensions (64).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clavilux.constants import LATENT_DIM, MFCC_ROWS, WINDOW_FRAMES

# 216 frames halve three times to 27, whatever the width.
_COARSE_FRAMES = WINDOW_FRAMES // 8


class AudioVAE(nn.Module):
    """Variational autoencoder of feature windows, convolving along time with the rows as channels.

    The normalisation of the rows over the training corpus is part of the network, so that every user of it takes plain
    MFCC.

    Parameters
    ----------
    width : int
        Channels of the convolutions.
    latent_dim : int
        D.
    rows : int
        R.
    """

    row_mean: Tensor
    row_deviation: Tensor

    def __init__(self, *, width: int = 128, latent_dim: int = LATENT_DIM, rows: int = MFCC_ROWS) -> None:
        super().__init__()
        self.register_buffer("row_mean", torch.zeros(rows, 1))
        self.register_buffer("row_deviation", torch.ones(rows, 1))
        self.encoder = nn.Sequential(
            nn.Conv1d(rows, width, 5, padding=2),
            *_down(width),
            *_down(width),
            *_down(width),
            nn.Conv1d(width, 32, 1),
            nn.Flatten(),
        )
        self.to_posterior = nn.Linear(32 * _COARSE_FRAMES, 2 * latent_dim)
        self.from_latent = nn.Linear(latent_dim, 32 * _COARSE_FRAMES)
        self.decoder = nn.Sequential(
            nn.Unflatten(1, (32, _COARSE_FRAMES)),
            nn.Conv1d(32, width, 1),
            *_up(width),
            *_up(width),
            *_up(width),
            nn.Conv1d(width, rows, 5, padding=2),
        )

    def normalise(self, features: Tensor) -> Tensor:
        """Plain MFCC -> zero mean and unit deviation a row over the training corpus: (B, R, T)."""
        return (features - self.row_mean) / self.row_deviation

    def encode(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the posterior, each (B, D), of plain MFCC (B, R, T)."""
        mean, logvar = self.to_posterior(self.encoder(self.normalise(features))).float().chunk(2, dim=1)
        return mean, logvar.clamp(-10.0, 4.0)

    def decode(self, z_audio: Tensor) -> Tensor:
        """Normalised features (B, R, T) of latents (B, D)."""
        features: Tensor = self.decoder(self.from_latent(z_audio))
        return features.float()

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean, which is z_audio, and log-variance of the posterior: what is exported."""
        return self.encode(features)


def _down(width: int) -> list[nn.Module]:
    return [nn.GroupNorm(8, width), nn.SiLU(), nn.Conv1d(width, width, 4, stride=2, padding=1)]


def _up(width: int) -> list[nn.Module]:
    return [nn.GroupNorm(8, width), nn.SiLU(), nn.Upsample(scale_factor=2), nn.Conv1d(width, width, 5, padding=2)]
