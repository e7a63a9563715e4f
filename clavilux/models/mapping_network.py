"""MappingNetwork: song code -> z_image.

A song code is the mean of z_audio over a song, with the descriptors of the song appended.

Legend: B batch, S numbers of a song code (64 + descriptors), P components, C centres, D latent dimensions (64).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from clavilux.bundle import Bundle
from clavilux.constants import LATENT_DIM
from clavilux.errors import BundleError
from clavilux.models.weights import make_network, open_weights, side

LIMIT = 3.5  # standard deviations at which song codes are clipped, so that unusual songs stay near the corpus


class MappingNetwork(nn.Module):
    """Standardisation and principal components of song codes, a linear path, and optionally radial basis functions.

    The linear path is the whole of a linear mapping. The radial basis functions are for a kernel regression: C songs
    are centres in the space of the P components, each with a weight. Codes are standardised by their standard deviation
    over *songs*, which is smaller than that over windows. The recolouring to the distribution of art is linear and part
    of the weights.

    Parameters
    ----------
    song_dim : int
        S, numbers of a song code.
    n_components : int
        P, number of principal components.
    n_centres : int
        C, number of centres; 0 for a linear mapping.
    latent_dim : int
        D, size of the latent.
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

    @classmethod
    def from_bundle(cls, bundle: Bundle | Path | str = "default") -> MappingNetwork:
        """Return the network of a bundle, for evaluation; widths are read from its weights.

        Parameters
        ----------
        bundle : Bundle, Path or str
            A bundle, its folder, or the name of a shipped one.

        Raises
        ------
        BundleError
            If there is no such bundle, or its mapping is a perceptron.
        TrainingError
            If the shapes of its weights do not fit together.
        """
        opened, weights = open_weights(bundle, "mapping_network")
        if "layers.0.weight" in weights:
            raise BundleError(f"the mapping of bundle {opened.name} is a perceptron; load it with PerceptronMapping")
        song_dim, n_components = (
            side(weights, name, opened, "mapping_network") for name in ("song_mean", "components.weight")
        )
        n_centres = side(weights, "centres", opened, "mapping_network", least=0)
        return make_network(
            lambda: cls(song_dim=song_dim, n_components=n_components, n_centres=n_centres),
            weights,
            opened,
            "mapping_network",
        )

    def to_components(self, songs: Tensor) -> Tensor:
        """Return the principal components (B, P) of song codes (B, S)."""
        standard = ((songs - self.song_mean) / self.song_deviation).clamp(-LIMIT, LIMIT)
        components: Tensor = self.components(standard)
        return components

    def kernel(self, components: Tensor) -> Tensor:
        """Return the radial basis functions exp(-|x - c|^2 / (2 scale^2)), (B, C), of components x (B, P)."""
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
        S, numbers of a song code.
    hidden : int
        Width of the two hidden layers.
    latent_dim : int
        D, size of the latent.
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

    @classmethod
    def from_bundle(cls, bundle: Bundle | Path | str = "default") -> PerceptronMapping:
        """Return the network of a bundle, for evaluation; widths are read from its weights.

        Parameters
        ----------
        bundle : Bundle, Path or str
            A bundle, its folder, or the name of a shipped one.

        Raises
        ------
        BundleError
            If there is no such bundle, or its mapping is no perceptron.
        TrainingError
            If the shapes of its weights do not fit together.
        """
        opened, weights = open_weights(bundle, "mapping_network")
        if "layers.0.weight" not in weights:
            raise BundleError(f"the mapping of bundle {opened.name} is no perceptron; load it with MappingNetwork")
        hidden = side(weights, "layers.0.weight", opened, "mapping_network")
        song_dim = int(weights["layers.0.weight"].shape[-1])
        return make_network(lambda: cls(song_dim=song_dim, hidden=hidden), weights, opened, "mapping_network")

    def forward(self, songs: Tensor) -> Tensor:
        """Return z_image (B, D) of song codes (B, S)."""
        z_image: Tensor = self.layers(songs)
        return z_image
