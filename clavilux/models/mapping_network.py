"""MappingNetwork: song code -> z_image.

A song code is the mean of z_audio over a song with the song's descriptors behind it.

Legend: B batch, S numbers of a song code (64 + descriptors), P components, C centres, D latent dimensions (64).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clavilux.constants import LATENT_DIM

LIMIT = 3.5  # deviations: a song far outside the corpus is held at its border instead of being flung off the canvas


class MappingNetwork(nn.Module):
    """Standardise over the songs of the corpus; then a straight path, and beside it a bent one through radial bases.

    The straight path alone holds every linear mapping (such as the PCA match). The bent one holds a kernel regression:
    C songs as centres in the space of the P leading components, each with its pull. Standardising by the spread of
    *songs* undoes the shrinking that averaging over windows brings. Recolouring to the cloud of real art is linear, and
    folded into both paths.

    Parameters
    ----------
    song_dim : int
        S.
    n_components : int
        P.
    n_centres : int
        C; 0 for a straight mapping.
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
        """Song codes (B, S) -> leading components (B, P) of the standardised codes."""
        standard = ((songs - self.song_mean) / self.song_deviation).clamp(-LIMIT, LIMIT)
        components: Tensor = self.components(standard)
        return components

    def kernel(self, components: Tensor) -> Tensor:
        """Gaussian radial bases: (B, P) -> (B, C), exp(-|x - c|^2 / (2 scale^2))."""
        # Differences first: |x|^2 + |c|^2 - 2 x.c loses digits where x is near c, and then the exported graph differs.
        square = (components[:, None] - self.centres[None]).square().sum(dim=2)
        return torch.exp(-0.5 * square * torch.exp(-2.0 * self.log_scale))

    def forward(self, songs: Tensor) -> Tensor:
        """z_image (B, D) of song codes (B, S)."""
        components = self.to_components(songs)
        z_image: Tensor = self.straight(components)
        if len(self.centres):
            z_image = z_image + self.kernel(components) @ self.pull
        return z_image


class PerceptronMapping(nn.Module):
    """Three layers from a song code to z_image: the mapping of the classic recipe, fitted by descent.

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
        """z_image (B, D) of song codes (B, S)."""
        z_image: Tensor = self.layers(songs)
        return z_image
