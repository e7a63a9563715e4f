"""Train the AudioVAE on a folder of feature files."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clavilux.constants import MEL_BANDS
from clavilux.models.audio_vae import AudioVAE
from clavilux.models.losses import (
    kl_per_dimension,
    mean_squared_loss,
    optimal_sigma_nll,
    sample_posterior,
    water_filling_nats,
)
from clavilux.training.datasets import AudioFeatureDataset
from clavilux.training.loop import Batch, Task
from clavilux.training.recipe import AudioVAERecipe

_SAMPLE = 4_000  # number of windows from which the normalisation and the target of the KL divergence are estimated
_ACTIVE_VARIANCE = 0.01  # least variance of the posterior means of an active unit (Burda, Grosse & Salakhutdinov 2016)


class AudioVAETask(Task):
    """Task that trains the AudioVAE.

    With the objective "kl_target", the loss is that of a sigma-VAE whose KL divergence is held at a target. With the
    objective "beta" of the classic recipe, it is the mean squared error with linear KL annealing. A random gain is
    applied to the input, but not to the target, so that the latent does not depend on loudness.

    The first ``track_dims`` dimensions of the latent are the track embedding; if ``track_dims`` is 0, there is none.
    The track embedding was trained by `TrackEmbeddingTask`, and this task does not change it.
    """

    name = "audio-vae"
    items = "windows"
    network: AudioVAE

    def __init__(
        self,
        training: AudioFeatureDataset,
        validation: AudioFeatureDataset,
        recipe: AudioVAERecipe,
        *,
        track_dims: int = 0,
    ) -> None:
        super().__init__()
        self.network = AudioVAE(width=recipe.width, track_dims=track_dims)
        self.training_windows, self.validation_windows = training, validation
        self.averaged_loss = recipe.objective == "beta"
        self.clips = training.clips(recipe.clips_per_track) if recipe.clips_per_track else torch.arange(len(training))
        self.n_items = len(self.clips)
        self.weights = None if recipe.clips_per_track else training.track_weights()
        # A gain changes only the first MFCC: by the gain in dB times the square root of the number of bands.
        self.level_jitter = recipe.gain_jitter_db * math.sqrt(MEL_BANDS)
        sample = self._sample(training, _SAMPLE)
        flat = sample.transpose(0, 1).flatten(1)
        self.network.row_mean.copy_(flat.mean(dim=1, keepdim=True))
        self.network.row_deviation.copy_(flat.std(dim=1, keepdim=True).clamp(min=1e-3))

    def target_nats(self) -> float:
        """Return the target of the KL divergence in nats, estimated from the training windows.

        It is the rate at which a linear code of the first 64 principal components keeps 95 % of their variance
        (`water_filling_nats`).
        """
        windows = self.network.normalise(self._sample(self.training_windows, _SAMPLE)).flatten(1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # pca_lowrank uses the global generator
            _, singular, _ = torch.pca_lowrank(windows, q=min(64, *windows.shape), center=True)
        return water_filling_nats(singular.square() / (len(windows) - 1))

    def batch(self, items: Tensor, generator: torch.Generator) -> Batch:
        """Return the MFCC of windows as "features", and with a random gain as "inputs", each (B, 20, 216)."""
        features = torch.stack([self.training_windows[int(i)] for i in self.clips[items]])
        inputs = features.clone()
        inputs[:, 0] += self.level_jitter * torch.randn(len(items), 1, generator=generator)
        return {"inputs": inputs, "features": features}

    def forward(self, batch: Batch, noise: torch.Generator, beta: float) -> dict[str, Tensor]:
        """Return the scalars "loss", "kl_nats" and, for a sigma-VAE, "nll" of a batch."""
        mean, logvar = self.network.encode(batch["inputs"])
        reconstruction = self.network.decode(sample_posterior(mean, logvar, noise))
        target = self.network.normalise(batch["features"])
        kl_nats = kl_per_dimension(mean, logvar).sum()
        if self.averaged_loss:
            return {"loss": mean_squared_loss(target, reconstruction, kl_nats, beta), "kl_nats": kl_nats}
        nll = optimal_sigma_nll(target, reconstruction)
        return {"loss": nll + beta * kl_nats, "nll": nll, "kl_nats": kl_nats}

    def validate(self) -> dict[str, float]:
        """Return explained variance, KL divergence in nats and number of active units on the validation split."""
        posteriors, error, total = [], 0.0, 0.0
        for part in torch.split(self._sample(self.validation_windows, 1_500), 128):
            mean, logvar = self.network.encode(part)
            target = self.network.normalise(part)
            error += float((target - self.network.decode(mean)).square().sum())
            total += float(target.square().sum())
            posteriors.append((mean, logvar))
        return {"explained_variance": 1.0 - error / total, **latent_figures(posteriors)}

    @staticmethod
    def _sample(dataset: AudioFeatureDataset, n: int) -> Tensor:
        """Return at most n windows (k, 20, 216) of a dataset, evenly spaced."""
        places = torch.linspace(0, len(dataset) - 1, min(n, len(dataset))).round().long()
        return torch.stack([dataset[int(i)] for i in places])


def latent_figures(posteriors: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Return the KL divergence "kl_nats" and the number of "active_units" of a VAE on a data set.

    Each item of `posteriors` has the mean and the log-variance of the posterior of a batch, each (B, D).
    """
    mean, logvar = (torch.cat(side) for side in zip(*posteriors, strict=True))
    return {
        "kl_nats": float(kl_per_dimension(mean, logvar).sum()),
        "active_units": float((mean.var(dim=0) > _ACTIVE_VARIANCE).sum()),
    }
