"""MappingNetwork: song code -> z_image.

A song code is the mean of z_audio over a song, with the descriptors of the song appended.

Legend: B batch, S numbers of a song code (64 + descriptors), P components, C centres, D latent dimensions (64).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clavilux.constants import LATENT_DIM

LIMIT = 3.5  # standard deviations at which song codes are clipped, so that unusual songs stay near the corpus


class MappingNetwork(nn.Module):
    """Standardisation and principal components of song codes, a linear path, and optionally radial basis functions.

    The linear path holds a linear mapping. The radial basis functions hold a kernel regression: C songs are centres in
    the space of the P components, each with a weight. Codes are standardised by their deviation over *songs*, which is
    smaller than that over windows. The recolouring to the distribution of art is linear and part of the weights.

    Parameters
    ----------
    song_dim : int
        S.
    n_components : int
        P.
    n_centres : int
        C; 0 for a linear mapping.
    """

    song_mean: Tensor
    song_deviation: Tensor
    centres: Tensor
    log_scale: Tensor

    def __init__(self, *, song_dim: int, n_components: int, n_centres: int, latent_dim: int = LATENT_DIM) -> None:
        super().__init__()
        self.register_buffer("song_mean", torch.zeros(song_dim))
        self.register_buffer("song_deviation", torch.ones(song_dim))
        self.components = nn.Linear(song_dim, n_components, bias=False)
        self.straight = nn.Linear(n_components, latent_dim)
        self.register_buffer("centres", torch.zeros(n_centres, n_components))
        self.register_buffer("log_scale", torch.zeros(()))
        self.pull = nn.Parameter(torch.zeros(n_centres, latent_dim))

    def to_components(self, songs: Tensor) -> Tensor:
        """Return the principal components (B, P) of song codes (B, S)."""
        standard = ((songs - self.song_mean) / self.song_deviation).clamp(-LIMIT, LIMIT)
        components: Tensor = self.components(standard)
        return components

    def kernel(self, components: Tensor) -> Tensor:
        """Return Gaussian radial basis functions: (B, P) -> (B, C), exp(-|x - c|^2 / (2 scale^2))."""
        # |x|^2 + |c|^2 - 2 x.c would lose digits where x is near c, and the exported graph would differ.
        square = (components[:, None] - self.centres[None]).square().sum(dim=2)
        return torch.exp(-0.5 * square * torch.exp(-2.0 * self.log_scale))

    def forward(self, songs: Tensor) -> Tensor:
        """Return z_image (B, D) of song codes (B, S)."""
        components = self.to_components(songs)
        z_image: Tensor = self.straight(components)
        if len(self.centres):
            z_image = z_image + self.kernel(components) @ self.pull
        return z_image


class PerceptronMapping(nn.Module):
    """Perceptron with two hidden layers from song codes to z_image: the mapping of the classic recipe.

    Parameters
    ----------
    song_dim : int
        S.
    hidden : int
        Width of the two hidden layers.
    """

    def __init__(self, *, song_dim: int, hidden: int = 128, latent_dim: int = LATENT_DIM) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(song_dim, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, latent_dim),
        )

    def forward(self, songs: Tensor) -> Tensor:
        """Return z_image (B, D) of song codes (B, S)."""
        z_image: Tensor = self.layers(songs)
        return z_image
