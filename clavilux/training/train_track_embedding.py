"""Train the track embedding of an AudioVAE with a contrastive loss.

windows of 5 s -> statistics -> track embedding (K,)

Windows of one track become near to each other, and windows of different tracks become far from each other. Windows of
degraded copies of a track are positives too, so that the embedding does not change with codec and level. The only label
of a window is its track. The embedding also captures what songs have in common: voices, instruments, rooms and styles.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.spatial.distance import pdist
from torch import Tensor

from clavilux.constants import MEL_BANDS
from clavilux.measures.similarity import same_song
from clavilux.models.audio_vae import TrackEmbedding, window_statistics
from clavilux.models.losses import same_track_loss
from clavilux.training.datasets import AudioFeatureDataset
from clavilux.training.loop import Batch, Task
from clavilux.training.recipe import TrackEmbeddingRecipe
from clavilux.training.track_copies import TrackCopies


class TrackEmbeddingTask(Task):
    """Training of the track embedding: a contrastive loss over two windows of each of many tracks.

    Windows have a random gain and random noise. In a fraction of the pairs, the second window is from a degraded copy
    of the track.

    Parameters
    ----------
    network : TrackEmbedding
        Trained in place; its standardisation is set here.
    training, validation : AudioFeatureDataset
    recipe : TrackEmbeddingRecipe
    level_jitter_db : float
        Standard deviation of the gain, in dB.
    copies, validation_copies : TrackCopies, optional
        Degraded copies of the training tracks and of the validation tracks.
    """

    name = "track_embedding"
    items = "songs"
    network: TrackEmbedding

    def __init__(
        self,
        network: TrackEmbedding,
        training: AudioFeatureDataset,
        validation: AudioFeatureDataset,
        recipe: TrackEmbeddingRecipe,
        *,
        level_jitter_db: float,
        copies: TrackCopies | None = None,
        validation_copies: TrackCopies | None = None,
    ) -> None:
        super().__init__()
        self.network, self.recipe = network.requires_grad_(), recipe
        # A hundred numbers for each window, so all of them fit into memory.
        self.training_tracks, self.validation_tracks = (_statistics_of_tracks(side) for side in (training, validation))
        self.copies = None if copies is None else copies.of_tracks()
        self.validation_copies = validation_copies
        everything = torch.cat(self.training_tracks)
        network.mean.copy_(everything.mean(dim=0))
        network.deviation.copy_(everything.std(dim=0).clamp(min=1e-3))
        # The level of a window adds to its first MFCC alone, and so to the mean of that row, the first statistic.
        self.level_jitter = level_jitter_db * math.sqrt(MEL_BANDS)

    def n_items(self) -> int:
        """Return the number of training items."""
        return len(self.training_tracks)

    def batch(self, items: Tensor, generator: torch.Generator) -> Batch:
        """Return "standard" (2 B, S): standardised statistics of two windows of each track with these indices (B,).

        Row i and row B + i belong to the same track.
        """
        length = torch.tensor([len(self.training_tracks[i]) for i in items])
        first = (torch.rand(len(items), generator=generator) * length).long()
        step = 1 + (torch.rand(len(items), generator=generator) * (length - 1)).long()  # never 0 but in short tracks
        sides = [
            [self.training_tracks[track][row] for track, row in zip(items, side, strict=True)]
            for side in (first, (first + step) % length)
        ]
        if self.copies is not None:
            chosen = torch.rand(2, len(items), generator=generator)
            for place, (track, draw, row) in enumerate(zip(items, *chosen, strict=True)):
                if draw < self.recipe.copy_share:
                    sides[1][place] = self.copies[track][int(row * len(self.copies[track]))]
        rows = [row for side in sides for row in side]
        statistics = torch.stack(rows)
        statistics[:, 0] += self.level_jitter * torch.randn(len(rows), generator=generator)
        standard = self.network.standardise(statistics)
        return {"standard": standard + self.recipe.jitter * torch.randn(standard.shape, generator=generator)}

    def forward(self, batch: Batch, noise: torch.Generator, beta: float) -> dict[str, Tensor]:
        """Return the contrastive loss of a batch, "loss", a scalar in nats."""

        def drop(hidden: Tensor) -> Tensor:
            mask = torch.rand(hidden.shape, generator=noise) >= self.recipe.dropout
            return hidden * mask.to(hidden.device) / (1 - self.recipe.dropout)

        return {"loss": same_track_loss(self.network.direct(batch["standard"], drop), self.recipe.temperature)}

    def validate(self) -> dict[str, float]:
        """Return AUC and top-1 accuracy of matching the halves of each validation track by their mean embeddings.

        With copies, there are also the top-1 accuracy of finding the excerpt of a copy, and the mean distance of a copy
        and its excerpt, divided by the mean distance of two excerpts.
        """
        tracks = [track for track in self.validation_tracks if len(track) > 1]
        if len(tracks) < 2:
            return {}
        halves = [
            [self.network.direct(self.network.standardise(part)).mean(dim=0) for part in torch.tensor_split(track, 2)]
            for track in tracks
        ]
        first, second = (torch.stack(side).numpy() for side in zip(*halves, strict=True))
        auc, top1 = same_song(first, second)
        figures = {"same_song_auc": auc, "same_song_top1": top1}
        if self.validation_copies is not None:
            means = self.validation_copies.means(lambda rows: self.network.direct(self.network.standardise(rows)))
            original, copies = means[:, 0], means[:, 1:]
            figures["copy_top1"] = float(np.mean([same_song(copy, original)[1] for copy in copies.swapaxes(0, 1)]))
            moved = np.linalg.norm(copies - original[:, None], axis=2)
            figures["copy_distance"] = float(moved.mean() / pdist(original).mean())
        return figures


def _statistics_of_tracks(dataset: AudioFeatureDataset) -> list[Tensor]:
    """Return the statistics (n, S) of the n windows of each track."""
    return [window_statistics(torch.from_numpy(np.array(array))) for array in dataset.arrays]
