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

_SAMPLE = 4_000  # windows from which normalisation and spectrum are estimated
_ACTIVE_VARIANCE = 0.01  # of posterior means over the data: more is an active unit (Burda, Grosse & Salakhutdinov 2016)


class AudioVAETask(Task):
    """Training of the AudioVAE.

    The loss is that of a sigma-VAE whose KL divergence is held at a target; in the classic recipe, it is the mean
    squared error with linear KL annealing. The input has a random gain that the target does not have, so that the
    latent does not depend on loudness. The first ``track_dims`` numbers of the latent are the track embedding, which is
    trained earlier (`TrackEmbeddingTask`) and not changed here; 0 means none.
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
        self.clips = training.clips(recipe.clips_per_track) if recipe.clips_per_track else None
        self.weights = training.track_weights()
        # A gain changes only the first MFCC: by the gain in dB times the square root of the number of bands.
        self.level_jitter = recipe.gain_jitter_db * math.sqrt(MEL_BANDS)
        sample = self._sample(training, _SAMPLE)
        flat = sample.transpose(0, 1).flatten(1)
        self.network.row_mean.copy_(flat.mean(dim=1, keepdim=True))
        self.network.row_deviation.copy_(flat.std(dim=1, keepdim=True).clamp(min=1e-3))

    def spectrum(self) -> Tensor:
        """Return the variances (64,) of the leading principal components of standardised training windows."""
        windows = self.network.normalise(self._sample(self.training_windows, _SAMPLE)).flatten(1)
        rank = min(64, *windows.shape)
        generator_state = torch.get_rng_state()
        torch.manual_seed(0)  # pca_lowrank uses the global generator
        _, singular, _ = torch.pca_lowrank(windows, q=rank, center=True)
        torch.set_rng_state(generator_state)
        return singular.square() / (len(windows) - 1)

    def target_nats(self) -> float:
        """Return the KL divergence in nats at which 64 principal components keep 95 % of their variance."""
        return water_filling_nats(self.spectrum())

    def n_items(self) -> int:
        """Return the number of training items."""
        return len(self.training_windows) if self.clips is None else len(self.clips)

    def order(self, epoch_generator: torch.Generator) -> Tensor:
        """Return the indices (n,) of the windows of one epoch, drawn by their weights, or the chosen clips shuffled."""
        if self.clips is not None:
            return self.clips[torch.randperm(len(self.clips), generator=epoch_generator)]
        return torch.multinomial(self.weights, self.n_items(), replacement=True, generator=epoch_generator)

    def batch(self, items: Tensor, generator: torch.Generator) -> Batch:
        """Return "inputs" and "features" (B, 20, 216) of the windows with these indices (B,).

        Inputs have a random gain; features are the targets.
        """
        features = torch.stack([self.training_windows[int(i)] for i in items])
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
        windows = self._sample(self.validation_windows, 1_500)
        means, kl_parts, error, total = [], [], 0.0, 0.0
        for part in torch.split(windows, 128):
            mean, logvar = self.network.encode(part)
            target = self.network.normalise(part)
            error += float((target - self.network.decode(mean)).square().sum())
            total += float(target.square().sum())
            means.append(mean)
            kl_parts.append(kl_per_dimension(mean, logvar) * len(part))
        variance = torch.cat(means).var(dim=0)
        return {
            "explained_variance": 1.0 - error / total,
            "kl_nats": float(torch.stack(kl_parts).sum() / len(windows)),
            "active_units": float((variance > _ACTIVE_VARIANCE).sum()),
        }

    @staticmethod
    def _sample(dataset: AudioFeatureDataset, n: int) -> Tensor:
        """Return at most n windows, evenly spaced over the data."""
        places = torch.linspace(0, len(dataset) - 1, min(n, len(dataset))).round().long()
        return torch.stack([dataset[int(i)] for i in places])
