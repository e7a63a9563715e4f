"""AudioVAE: MFCC of a window of 5 s <-> z_audio.

Legend: B batch, R feature rows (20), T frames (216), D latent dimensions (64), K of them the track
embedding, S statistics of a window (5 R).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from clavilux.bundle import Bundle
from clavilux.constants import LATENT_DIM, MFCC_ROWS, WINDOW_FRAMES
from clavilux.errors import AudioError
from clavilux.models.weights import make_network, open_weights, side
from clavilux.system.arguments import float_array

_COARSE_FRAMES = WINDOW_FRAMES // 8  # after three halvings: 27
_LAGS = (1, 4, 16)  # frames: 23 ms, 93 ms, 0.37 s; changes over these describe rhythm and articulation
_STATISTICS = 2 + len(_LAGS)
_TRACK_WIDTH = 256
_LIMIT = 5.0  # standard deviations at which statistics are clipped


class TrackEmbedding(nn.Module):
    """Track embedding: statistics of a window -> K numbers that are similar for windows of the same track.

    It is trained with a contrastive loss (`clavilux.training.train_track_embedding`). Its inputs do not depend on the
    order of frames that are more than 0.4 s apart.

    Parameters
    ----------
    dims : int
        K, size of the embedding.
    rows : int
        R, number of MFCC rows.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, dims: int, *, rows: int = MFCC_ROWS) -> None:
        super().__init__()
        self.dims = dims
        self.register_buffer("mean", torch.zeros(_STATISTICS * rows))
        self.register_buffer("deviation", torch.ones(_STATISTICS * rows))
        self.first = nn.Linear(_STATISTICS * rows, _TRACK_WIDTH)
        self.second = nn.Linear(_TRACK_WIDTH, _TRACK_WIDTH)
        self.last = nn.Linear(_TRACK_WIDTH, dims)

    def standardise(self, statistics: Tensor) -> Tensor:
        """Return standardised statistics (B, S), clipped to 5 standard deviations, for statistics (B, S)."""
        return ((statistics - self.mean) / self.deviation).clamp(-_LIMIT, _LIMIT)

    def direct(self, standard: Tensor, drop: Callable[[Tensor], Tensor] = lambda hidden: hidden) -> Tensor:
        """Return the embedding (B, K) of standardised statistics (B, S).

        The norm of each embedding is sqrt(K), about that of K standard normal numbers. In training, `drop` is applied
        to the outputs of the two hidden layers.
        """
        hidden = drop(functional.silu(self.first(standard)))
        hidden = drop(functional.silu(self.second(hidden)))
        return math.sqrt(self.dims) * functional.normalize(self.last(hidden).float(), dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the track embedding (B, K) of MFCC (B, R, T)."""
        return self.direct(self.standardise(window_statistics(features)))


class AudioVAE(nn.Module):
    """Variational autoencoder of feature windows: convolutions along time with the rows as channels.

    The normalisation of the rows is part of the network, so its input is plain MFCC.

    The first K numbers of a latent are the track embedding. It is trained before the AudioVAE and then frozen, so that
    the reconstruction loss does not change it. The other D - K numbers, the *detail*, are what the reconstruction needs
    in addition.

    Parameters
    ----------
    width : int
        Channels of the convolutions.
    latent_dim : int
        D, size of the latent.
    rows : int
        R, number of MFCC rows.
    track_dims : int
        K, size of the track embedding; 0 for a plain autoencoder.
    """

    row_mean: Tensor
    row_deviation: Tensor

    def __init__(
        self, *, width: int = 128, latent_dim: int = LATENT_DIM, rows: int = MFCC_ROWS, track_dims: int = 0
    ) -> None:
        super().__init__()
        self.sizes = [latent_dim - track_dims, latent_dim]
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
        self.to_posterior = nn.Linear(32 * _COARSE_FRAMES, 2 * latent_dim - track_dims)
        self.track_embedding = TrackEmbedding(track_dims, rows=rows).requires_grad_(False) if track_dims else None
        self.from_latent = nn.Linear(latent_dim, 32 * _COARSE_FRAMES)
        self.decoder = nn.Sequential(
            nn.Unflatten(1, (32, _COARSE_FRAMES)),
            nn.Conv1d(32, width, 1),
            *_up(width),
            *_up(width),
            *_up(width),
            nn.Conv1d(width, rows, 5, padding=2),
        )

    @classmethod
    def from_bundle(cls, bundle: Bundle | Path | str = "default") -> AudioVAE:
        """Return the network of a bundle, for evaluation; widths are read from its weights.

        Parameters
        ----------
        bundle : Bundle, Path or str
            A bundle, its folder, or the name of a shipped one.

        Raises
        ------
        BundleError
            If there is no such bundle, or it has no weights of this network.
        TrainingError
            If the shapes of its weights do not fit together.

        Examples
        --------
        >>> vae = AudioVAE.from_bundle("default")
        >>> z_audio = vae.encode_mfcc(np.zeros((3, 20, 216)))
        >>> vae.decode_mfcc(z_audio).shape
        (3, 20, 216)
        """
        opened, weights = open_weights(bundle, "audio_vae")
        width = side(weights, "encoder.0.weight", opened, "audio_vae")
        has_embedding = "track_embedding.last.weight" in weights
        dims = side(weights, "track_embedding.last.weight", opened, "audio_vae") if has_embedding else 0
        return make_network(lambda: cls(width=width, track_dims=dims), weights, opened, "audio_vae")

    @torch.no_grad()
    def encode_mfcc(self, mfcc: Any) -> NDArray[np.float32]:
        """Return z_audio (n, 64) float32, the posterior means, for the MFCC (n, 20, 216) of n windows.

        `clavilux.Song.windows` has such an array. Normalisation is part of the network.

        Raises
        ------
        AudioError
            If the array has another shape or values that are not finite.
        """
        windows = float_array("mfcc", mfcc, (None, MFCC_ROWS, WINDOW_FRAMES), fault=AudioError)
        return np.asarray(self.encode(torch.from_numpy(windows).to(self.row_mean.device))[0].cpu().numpy())

    @torch.no_grad()
    def decode_mfcc(self, z_audio: Any) -> NDArray[np.float32]:
        """Return the MFCC (n, 20, 216) float32 of latents (n, 64), in the units of the input of `encode_mfcc`.

        Raises
        ------
        AudioError
            If the array has another shape or values that are not finite.
        """
        latents = float_array("z_audio", z_audio, (None, self.from_latent.in_features), fault=AudioError)
        normalised = self.decode(torch.from_numpy(latents).to(self.row_mean.device))
        return np.asarray((normalised * self.row_deviation + self.row_mean).cpu().numpy())

    def normalise(self, features: Tensor) -> Tensor:
        """Return MFCC (B, R, T), standardised by mean and standard deviation of each row over the training corpus."""
        return (features - self.row_mean) / self.row_deviation

    def encode(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of the posterior, each (B, D), of MFCC (B, R, T)."""
        mean, logvar = self.to_posterior(self.encoder(self.normalise(features))).float().split(self.sizes, dim=1)
        if self.track_embedding is not None:
            mean = torch.cat([self.track_embedding(features), mean], dim=1)
        return mean, logvar.clamp(-10.0, 4.0)

    def decode(self, z_audio: Tensor) -> Tensor:
        """Return the normalised MFCC (B, R, T) of latents (B, D)."""
        features: Tensor = self.decoder(self.from_latent(z_audio))
        return features.float()

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean (z_audio) and log-variance of the posterior, each (B, D), of MFCC (B, R, T); exported as ONNX."""
        return self.encode(features)


def window_statistics(features: Tensor) -> Tensor:
    """Return statistics (B, S) of MFCC windows (B, R, T), with S = 5 R.

    They are the mean and the standard deviation of each row over time, and the standard deviations of the differences
    between frames that are 1, 4 and 16 frames apart.
    """
    parts = [features.mean(dim=2), _deviation(features)]
    parts += [_deviation(features[:, :, lag:] - features[:, :, :-lag]) for lag in _LAGS]
    return torch.cat(parts, dim=1)


def _deviation(rows: Tensor) -> Tensor:
    return (rows - rows.mean(dim=2, keepdim=True)).square().mean(dim=2).sqrt()


def _down(width: int) -> list[nn.Module]:
    return [nn.GroupNorm(8, width), nn.SiLU(), nn.Conv1d(width, width, 4, stride=2, padding=1)]


def _up(width: int) -> list[nn.Module]:
    return [nn.GroupNorm(8, width), nn.SiLU(), nn.Upsample(scale_factor=2), nn.Conv1d(width, width, 5, padding=2)]
