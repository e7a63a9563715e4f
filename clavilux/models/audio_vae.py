"""AudioVAE: encodes the MFCC of a 5 s window as a latent, z_audio, and decodes the latent to MFCC.

Letters in shapes: B windows of a batch, R rows of MFCC (20), T frames (216), D dimensions of the latent (64), K
dimensions of the track embedding, S statistics of a window (5 R).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from clavilux.constants import LATENT_DIM, MFCC_ROWS, WINDOW_FRAMES
from clavilux.errors import AudioError
from clavilux.models.weights import BundledNetwork, Weights, check_tensor
from clavilux.system.arguments import float_array

_COARSE_FRAMES = WINDOW_FRAMES // 8  # after three halvings: 27
_LAGS = (1, 4, 16)  # in frames: 23 ms, 93 ms and 0.37 s; changes over these times describe rhythm and articulation
_STATISTICS_PER_ROW = 2 + len(_LAGS)
_TRACK_WIDTH = 256  # width of the hidden layers of the track embedding
_LIMIT = 5.0  # standard deviations at which statistics are clipped


class TrackEmbedding(nn.Module):
    """Perceptron that maps statistics of a window to a track embedding: K numbers, similar for windows of one track.

    `clavilux.training.train_track_embedding` trains it with a contrastive loss. The statistics compare only frames that
    are at most 0.4 s apart, so they hardly depend on how longer sections of a window are ordered.

    Parameters
    ----------
    dims : int
        K, size of the embedding.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.dims = dims
        n_statistics = _STATISTICS_PER_ROW * MFCC_ROWS
        self.register_buffer("mean", torch.zeros(n_statistics))
        self.register_buffer("deviation", torch.ones(n_statistics))
        self.first = nn.Linear(n_statistics, _TRACK_WIDTH)
        self.second = nn.Linear(_TRACK_WIDTH, _TRACK_WIDTH)
        self.last = nn.Linear(_TRACK_WIDTH, dims)

    def standardise(self, statistics: Tensor) -> Tensor:
        """Return statistics (B, S), standardised and clipped to 5 standard deviations."""
        return ((statistics - self.mean) / self.deviation).clamp(-_LIMIT, _LIMIT)

    def embed(self, standard: Tensor, drop: Callable[[Tensor], Tensor] = lambda hidden: hidden) -> Tensor:
        """Return the track embedding (B, K) of standardised statistics (B, S).

        The norm of each embedding is sqrt(K), which is about the norm of K standard normal numbers. ``drop`` is applied
        to the outputs of both hidden layers; during training, it is a dropout function.
        """
        hidden = drop(functional.silu(self.first(standard)))
        hidden = drop(functional.silu(self.second(hidden)))
        return math.sqrt(self.dims) * functional.normalize(self.last(hidden).float(), dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the track embedding (B, K) of MFCC (B, R, T)."""
        return self.embed(self.standardise(window_statistics(features)))


class AudioVAE(BundledNetwork):
    """Variational autoencoder of MFCC windows.

    Its layers are convolutions along time, with the rows of MFCC as channels. The network itself standardises each row
    of the input.

    The first K numbers of a latent are the track embedding. The `TrackEmbedding` is trained before the AudioVAE and
    then frozen, so that the reconstruction loss does not change it. The other D - K numbers contain what else the
    reconstruction needs.

    Parameters
    ----------
    width : int
        Number of channels of the convolutions.
    track_dims : int
        K, size of the track embedding; 0 for an autoencoder without one.

    Examples
    --------
    >>> vae = AudioVAE.from_bundle("default")
    >>> z_audio = vae.encode_mfcc(np.zeros((3, 20, 216)))
    >>> vae.decode_mfcc(z_audio).shape
    (3, 20, 216)
    """

    part = "audio_vae"
    row_mean: Tensor
    row_deviation: Tensor

    def __init__(self, *, width: int = 128, track_dims: int = 0) -> None:
        super().__init__()
        self._posterior_sizes = [LATENT_DIM - track_dims, LATENT_DIM]  # sizes of the mean and of the log-variance
        self.register_buffer("row_mean", torch.zeros(MFCC_ROWS, 1))
        self.register_buffer("row_deviation", torch.ones(MFCC_ROWS, 1))
        self.encoder = nn.Sequential(
            nn.Conv1d(MFCC_ROWS, width, 5, padding=2),
            *_down(width),
            *_down(width),
            *_down(width),
            nn.Conv1d(width, 32, 1),
            nn.Flatten(),
        )
        self.to_posterior = nn.Linear(32 * _COARSE_FRAMES, 2 * LATENT_DIM - track_dims)
        self.track_embedding = TrackEmbedding(track_dims).requires_grad_(False) if track_dims else None
        self.from_latent = nn.Linear(LATENT_DIM, 32 * _COARSE_FRAMES)
        self.decoder = nn.Sequential(
            nn.Unflatten(1, (32, _COARSE_FRAMES)),
            nn.Conv1d(32, width, 1),
            *_up(width),
            *_up(width),
            *_up(width),
            nn.Conv1d(width, MFCC_ROWS, 5, padding=2),
        )

    @classmethod
    def sizes_of(cls, weights: Weights) -> dict[str, int]:
        """Return the constructor arguments that fit stored weights."""
        embedding = "track_embedding.last.weight"
        return {
            "width": weights.size("encoder.0.weight"),
            "track_dims": weights.size(embedding) if embedding in weights.values else 0,
        }

    @torch.no_grad()
    def encode_mfcc(self, mfcc: Any) -> NDArray[np.float32]:
        """Return the posterior means, z_audio (n, 64) float32, of the MFCC (n, 20, 216) of n windows.

        `clavilux.Song.windows` is such an array.

        Raises
        ------
        AudioError
            If the array has another shape or values that are not finite.
        """
        windows = float_array("mfcc", mfcc, (None, MFCC_ROWS, WINDOW_FRAMES), fault=AudioError)
        return np.asarray(self.encode(torch.from_numpy(windows).to(self.row_mean.device))[0].cpu().numpy())

    @torch.no_grad()
    def decode_mfcc(self, z_audio: Any) -> NDArray[np.float32]:
        """Return the MFCC (n, 20, 216) float32 that are decoded from latents (n, 64), on the scale of `encode_mfcc`.

        Raises
        ------
        AudioError
            If the array has another shape or values that are not finite.
        """
        latents = float_array("z_audio", z_audio, (None, LATENT_DIM), fault=AudioError)
        normalised = self.decode(torch.from_numpy(latents).to(self.row_mean.device))
        return np.asarray((normalised * self.row_deviation + self.row_mean).cpu().numpy())

    def normalise(self, features: Tensor) -> Tensor:
        """Return MFCC (B, R, T), standardised by each row's mean and standard deviation over the training windows."""
        return (features - self.row_mean) / self.row_deviation

    def encode(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the log-variance of the posterior, each (B, D), for MFCC (B, R, T)."""
        check_tensor("features", features, MFCC_ROWS, WINDOW_FRAMES, fault=AudioError)
        posterior = self.to_posterior(self.encoder(self.normalise(features))).float()
        mean, logvar = posterior.split(self._posterior_sizes, dim=1)
        if self.track_embedding is not None:
            mean = torch.cat([self.track_embedding(features), mean], dim=1)
        return mean, logvar.clamp(-10.0, 4.0)

    forward = encode  # the graph that is exported

    def decode(self, z_audio: Tensor) -> Tensor:
        """Decode latents (B, D) to MFCC (B, R, T): R coefficients, T frames, standardised as by `normalise`."""
        check_tensor("z_audio", z_audio, LATENT_DIM, fault=AudioError)
        features: Tensor = self.decoder(self.from_latent(z_audio))
        return features.float()


def window_statistics(features: Tensor) -> Tensor:
    """Return the statistics (B, S) of MFCC windows (B, R, T), with S = 5 R.

    There are five statistics of each row: the mean over time, the standard deviation over time, and the standard
    deviations of the differences between frames that are 1 frame, 4 frames and 16 frames apart.
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
