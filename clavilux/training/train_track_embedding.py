"""Train the track embedding of an AudioVAE with a contrastive loss.

windows of 5 s -> statistics (S,) -> track embedding (K,)

The training moves embeddings of windows of the same track towards each other, and embeddings of windows of different
tracks apart. Windows of degraded copies of a track count as windows of the track, so that the embedding learns to
ignore codec and level. The only label of a window is its track, but the embedding also describes voices, instruments,
rooms and styles.
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
    """Task that trains the track embedding with a contrastive loss over pairs of windows of the same track.

    In a fraction `copy_share` of the pairs, the second window is from a degraded copy of the track. As augmentation,
    the statistics of each window are changed as by a random gain, whose standard deviation is ``level_jitter_db``, and
    random noise is added.

    ``network`` is trained in place. The constructor sets its mean and deviation, which standardise statistics, from the
    training tracks. ``copies`` and ``validation_copies`` are measurements of degraded copies of the training tracks and
    of the validation tracks; with None, there are no copies.
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
        # A window has a hundred statistics, so those of all windows fit into memory.
        self.training_tracks, self.validation_tracks = (_statistics_of_tracks(side) for side in (training, validation))
        self.n_items = len(training.entries)
        self.copies = None if copies is None else copies.of_tracks()
        self.validation_copies = validation_copies
        everything = torch.cat(self.training_tracks)
        network.mean.copy_(everything.mean(dim=0))
        network.deviation.copy_(everything.std(dim=0).clamp(min=1e-3))
        # A gain changes only the first MFCC, and of the statistics only the first one, the mean of that MFCC.
        self.level_jitter = level_jitter_db * math.sqrt(MEL_BANDS)

    def batch(self, items: Tensor, generator: torch.Generator) -> Batch:
        """Return "standard" (2 B, S), the standardised statistics of two windows of each of B tracks.

        `items` (B,) are the indices of the tracks. Rows i and B + i belong to the same track.
        """
        length = torch.tensor([len(self.training_tracks[i]) for i in items])
        first = (torch.rand(len(items), generator=generator) * length).long()
        step = (
            1 + (torch.rand(len(items), generator=generator) * (length - 1)).long()
        )  # another window, if there is one
        sides = [
            [self.training_tracks[track][row] for track, row in zip(items, side, strict=True)]
            for side in (first, (first + step) % length)
        ]
        if self.copies is not None:
            chosen = torch.rand(2, len(items), generator=generator)
            for place, (track, draw, row) in enumerate(zip(items, *chosen, strict=True)):
                if draw < self.recipe.copy_share:
                    sides[1][place] = self.copies[track][int(row * len(self.copies[track]))]
        statistics = torch.stack([row for side in sides for row in side])
        statistics[:, 0] += self.level_jitter * torch.randn(len(statistics), generator=generator)
        standard = self.network.standardise(statistics)
        return {"standard": standard + self.recipe.jitter * torch.randn(standard.shape, generator=generator)}

    def forward(self, batch: Batch, noise: torch.Generator, beta: float) -> dict[str, Tensor]:
        """Return the contrastive loss of a batch as the scalar "loss", in nats."""

        def drop(hidden: Tensor) -> Tensor:
            mask = torch.rand(hidden.shape, generator=noise) >= self.recipe.dropout
            return hidden * mask.to(hidden.device) / (1 - self.recipe.dropout)

        return {"loss": same_track_loss(self.network.embed(batch["standard"], drop), self.recipe.temperature)}

    def validate(self) -> dict[str, float]:
        """Return metrics by name: how well the halves of validation tracks are matched by their mean embeddings.

        The metrics are "same_song_auc" and "same_song_top1" (`same_song`). With copies, there are two more: "copy_top1"
        is the fraction of copies for which the nearest excerpt is the one that was copied. "copy_distance" is the mean
        distance between a copy and its excerpt, divided by the mean distance between two excerpts. The result is empty
        if fewer than two tracks have at least two windows.
        """
        tracks = [track for track in self.validation_tracks if len(track) > 1]
        if len(tracks) < 2:
            return {}
        halves = [
            [self.network.embed(self.network.standardise(part)).mean(dim=0) for part in torch.tensor_split(track, 2)]
            for track in tracks
        ]
        first, second = (torch.stack(side).numpy() for side in zip(*halves, strict=True))
        figures = dict(zip(("same_song_auc", "same_song_top1"), same_song(first, second), strict=True))
        if self.validation_copies is not None:
            means = self.validation_copies.means(lambda rows: self.network.embed(self.network.standardise(rows)))
            original, copies = means[:, 0], means[:, 1:]
            figures["copy_top1"] = float(np.mean([same_song(copy, original)[1] for copy in copies.swapaxes(0, 1)]))
            moved = np.linalg.norm(copies - original[:, None], axis=2)
            figures["copy_distance"] = float(moved.mean() / pdist(original).mean())
        return figures


def _statistics_of_tracks(dataset: AudioFeatureDataset) -> list[Tensor]:
    """Return for each track the statistics (n, S) of its n windows."""
    return [window_statistics(torch.from_numpy(np.array(file.windows()))) for file in dataset.files]
