"""Networks that map the code of a song to z_image, the latent of a picture.

A song code is the mean of the latents z_audio of the windows of a song, followed by the descriptors of the song.

Letters in shapes: B songs of a batch, S length of a song code (64 + number of descriptors), P principal components,
C centres of radial basis functions, D dimensions of z_image (64).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clavilux.constants import LATENT_DIM, SONG_LIMIT
from clavilux.errors import AudioError, BundleError
from clavilux.models.weights import BundledNetwork, Weights, check_tensor


class MappingNetwork(BundledNetwork):
    """Linear map from song codes to z_image, optionally with a weighted sum of radial basis functions.

    Song codes are standardised with the mean and the standard deviation of the training songs, and reduced to P
    principal components. A linear map of the components gives z_image. If there are centres, a weighted sum of Gaussian
    functions is added, one around each centre in the space of the components.

    Parameters
    ----------
    song_dim : int
        S, length of a song code.
    n_components : int
        P, number of principal components.
    n_centres : int
        C, number of centres of radial basis functions; 0 for a linear map alone.
    """

    part = "mapping_network"
    song_mean: Tensor
    song_deviation: Tensor
    centres: Tensor
    log_scale: Tensor

    def __init__(self, *, song_dim: int, n_components: int, n_centres: int) -> None:
        super().__init__()
        self.register_buffer("song_mean", torch.zeros(song_dim))
        self.register_buffer("song_deviation", torch.ones(song_dim))
        self.components = nn.Linear(song_dim, n_components, bias=False)
        self.straight = nn.Linear(n_components, LATENT_DIM)  # linear map of the components
        self.register_buffer("centres", torch.zeros(n_centres, n_components))
        self.register_buffer("log_scale", torch.zeros(()))
        self.pull = nn.Parameter(torch.zeros(n_centres, LATENT_DIM))  # weights of the basis functions

    @classmethod
    def sizes_of(cls, weights: Weights) -> dict[str, int]:
        """Return the constructor arguments that fit stored weights."""
        if "layers.0.weight" in weights.values:
            raise BundleError(f"bundle {weights.bundle.name} maps with a perceptron; load it with PerceptronMapping")
        return {
            "song_dim": weights.size("song_mean"),
            "n_components": weights.size("components.weight"),
            "n_centres": weights.size("centres", at_least=0),
        }

    def to_components(self, songs: Tensor) -> Tensor:
        """Return the principal components (B, P) of song codes (B, S)."""
        standard = ((songs - self.song_mean) / self.song_deviation).clamp(-SONG_LIMIT, SONG_LIMIT)
        components: Tensor = self.components(standard)
        return components

    def forward(self, songs: Tensor) -> Tensor:
        """Return z_image (B, D) for song codes (B, S)."""
        check_tensor("songs", songs, len(self.song_mean), fault=AudioError)
        components = self.to_components(songs)
        z_image: Tensor = self.straight(components)
        if len(self.centres):
            # |x|^2 + |c|^2 - 2 x.c would lose digits where x is near c, and the exported graph would differ.
            square = (components[:, None] - self.centres[None]).square().sum(dim=2)
            kernel = torch.exp(
                -0.5 * square * torch.exp(-2.0 * self.log_scale)
            )  # exp(-|x - c|^2 / (2 scale^2)), (B, C)
            z_image = z_image + kernel @ self.pull
        return z_image


class PerceptronMapping(BundledNetwork):
    """Perceptron with two hidden layers that maps song codes to z_image, for the classic recipe.

    Parameters
    ----------
    song_dim : int
        S, length of a song code.
    hidden : int
        Width of the two hidden layers.
    """

    part = "mapping_network"

    def __init__(self, *, song_dim: int, hidden: int = 128) -> None:
        super().__init__()
        self.song_dim = song_dim
        self.layers = nn.Sequential(
            nn.Linear(song_dim, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, LATENT_DIM),
        )

    @classmethod
    def sizes_of(cls, weights: Weights) -> dict[str, int]:
        """Return the constructor arguments that fit stored weights."""
        if "layers.0.weight" not in weights.values:
            raise BundleError(f"bundle {weights.bundle.name} maps without a perceptron; load it with MappingNetwork")
        return {
            "song_dim": weights.size("layers.0.weight", axis=-1),
            "hidden": weights.size("layers.0.weight"),
        }

    def forward(self, songs: Tensor) -> Tensor:
        """Return z_image (B, D) for song codes (B, S)."""
        check_tensor("songs", songs, self.song_dim, fault=AudioError)
        z_image: Tensor = self.layers(songs)
        return z_image
