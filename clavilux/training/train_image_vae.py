"""Train the ImageVAE on palettes, plans and marks of pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clavilux.models.image_vae import ImageVAE, RawControls
from clavilux.models.losses import kl_per_dimension, sample_posterior, soft_cross_entropy
from clavilux.painter.marks import KINDS
from clavilux.training.analysis import Windows, palette_distance
from clavilux.training.loop import Batch, Task
from clavilux.training.recipe import AnalysisRecipe, ImageVAERecipe
from clavilux.training.symmetry import N_SYMMETRIES, turn_direction, turn_pictures
from clavilux.training.train_mark_classifier import MarksRead

ACTIVE_VARIANCE = 0.01  # of posterior means over the data: more is an active unit
# Errors that have a loss of 1:
_FREQUENCY_UNIT = 0.35  # of the natural logarithm
_CHAOS_UNIT = 0.25
_FINISH_UNIT = 0.2  # of the range


@dataclass(frozen=True)
class PictureTargets:
    """Inputs and targets of the ImageVAE for n windows.

    Attributes
    ----------
    pictures : (n, 3, 64, 64) uint8
        sRGB.
    shares : (n, 8, 32, 32) uint8
        Fraction of each cell that each palette slot covers, times 255.
    palette : (n, n_palettes) float16
        Soft labels.
    kind, surface : (n, n_kinds), (n, n_surfaces)
        Soft labels.
    log_frequency, direction, chaos, finish : (n,), (n, 2), (n,), (n, 6)
        Marks, see `MarksRead`.
    painting : (n,) bool
        Whether the window is from a painting with a subject, which is not abstract.
    """

    pictures: Tensor
    shares: Tensor
    palette: Tensor
    kind: Tensor
    surface: Tensor
    log_frequency: Tensor
    direction: Tensor
    chaos: Tensor
    finish: Tensor
    painting: Tensor


def make_targets(
    windows: Windows, marks: MarksRead, codebook: NDArray[np.float32], recipe: AnalysisRecipe
) -> PictureTargets:
    """Return the inputs and targets of the ImageVAE for n windows.

    The soft label of a palette is spread over similar palettes of the codebook (P, 8, 3), sRGB in [0, 1].
    """
    distance = torch.from_numpy(palette_distance(windows.palettes, codebook))
    # Relative to the nearest code, so that a palette far from all codes still has few correct labels.
    excess = distance - distance.min(dim=1, keepdim=True).values
    labels = torch.softmax(-0.5 * (excess / recipe.palette_softness).square() * 4.0, dim=1)
    return PictureTargets(
        pictures=torch.from_numpy(windows.small()).permute(0, 3, 1, 2).contiguous(),
        shares=torch.from_numpy(windows.shares),
        palette=labels.half(),
        kind=torch.from_numpy(marks.kind),
        surface=torch.from_numpy(marks.surface),
        log_frequency=torch.from_numpy(marks.log_frequency),
        direction=torch.from_numpy(marks.direction),
        chaos=torch.from_numpy(marks.chaos),
        finish=torch.from_numpy(marks.finish),
        painting=windows_of_paintings(windows),
    )


def windows_of_paintings(windows: Windows) -> Tensor:
    """Return a mask (n,) bool that is True for windows of paintings with a subject, which are not abstract."""
    return torch.tensor([windows.roles[i] == "painting" for i in windows.source])


def picture_weights(painting: Tensor, painting_share: float) -> Tensor:
    """Return the sampling weights (n,) of windows; those in the mask `painting` (n,) have the sum `painting_share`.

    All weights together have the sum 1. If all windows or none are in the mask, each weight is 1.
    """
    paintings = painting.double()
    if not 0 < paintings.sum() < len(paintings):
        return torch.ones(len(paintings), dtype=torch.float64)
    others = 1 - paintings
    return painting_share * paintings / paintings.sum() + (1 - painting_share) * others / others.sum()


class ImageVAETask(Task):
    """Training of the ImageVAE.

    The loss is the cross-entropy of plan, palette, kind and surface, plus the squared error of the other marks, plus
    the KL divergence, which is held at a target.
    """

    name = "image-vae"
    items = "pictures"
    network: ImageVAE

    def __init__(self, training: PictureTargets, validation: PictureTargets, recipe: ImageVAERecipe) -> None:
        super().__init__()
        self.network = ImageVAE(
            n_palettes=training.palette.shape[1],
            n_kinds=len(KINDS),
            width=recipe.width,
            decoder_width=recipe.decoder_width,
        )
        self.recipe = recipe
        self.training_targets, self.validation_targets = training, validation
        self.weights = picture_weights(training.painting, recipe.painting_share)

    def n_items(self) -> int:
        """Return the number of training items."""
        return len(self.training_targets.pictures)

    def order(self, epoch_generator: torch.Generator) -> Tensor:
        """Return the indices (n,) of the windows of one epoch, drawn with replacement by their weights."""
        return torch.multinomial(self.weights, self.n_items(), replacement=True, generator=epoch_generator)

    def batch(self, items: Tensor, generator: torch.Generator) -> Batch:
        """Return inputs and targets of the windows with these indices (B,), all with one random symmetry.

        Names and shapes are those of `PictureTargets`, without `painting`; values are float32, pictures and shares in
        [0, 1].
        """
        targets = self.training_targets
        symmetry = int(torch.randint(N_SYMMETRIES, (1,), generator=generator))
        return {
            "pictures": turn_pictures(targets.pictures[items].float() / 255.0, symmetry),
            "shares": turn_pictures(targets.shares[items].float() / 255.0, symmetry),
            "palette": targets.palette[items].float(),
            "kind": targets.kind[items],
            "surface": targets.surface[items],
            "log_frequency": targets.log_frequency[items],
            "direction": turn_direction(targets.direction[items], symmetry),
            "chaos": targets.chaos[items],
            "finish": targets.finish[items],
        }

    def forward(self, batch: Batch, noise: torch.Generator, beta: float) -> dict[str, Tensor]:
        """Return the scalars "loss" and "kl_nats" of a batch, and the losses of `parts`, that of the plan per cell."""
        mean, logvar = self.network.encode(batch["pictures"])
        raw = self.network.decode(sample_posterior(mean, logvar, noise))
        kl_nats = kl_per_dimension(mean, logvar).sum()
        parts = self.parts(raw, batch)
        loss = self.weigh(parts) + beta * kl_nats
        per_cell = parts["plan"] / batch["shares"][0, 0].numel()
        return {"loss": loss, "kl_nats": kl_nats, **parts, "plan": per_cell}

    def weigh(self, parts: dict[str, Tensor]) -> Tensor:
        """Return the weighted sum of the losses of `parts`, a scalar; the recipe has the weights."""
        return (
            self.recipe.plan_weight * parts["plan"]
            + self.recipe.palette_weight * parts["palette"]
            + self.recipe.kind_weight * (parts["kind"] + parts["surface"])
            + self.recipe.marks_weight * parts["marks"]
        )

    @staticmethod
    def parts(raw: RawControls, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of plan, palette, kind, surface and marks: averaged over the batch, summed over cells."""
        marks = (
            ((raw.frequency.log() - batch["log_frequency"]) / _FREQUENCY_UNIT).square()
            + (raw.direction - batch["direction"]).square().sum(dim=1)
            + ((raw.chaos - batch["chaos"]) / _CHAOS_UNIT).square()
            + ((raw.finish - batch["finish"]) / _FINISH_UNIT).square().sum(dim=1)
        ).mean()
        return {
            "plan": soft_cross_entropy(raw.plan, batch["shares"]),
            "palette": soft_cross_entropy(raw.palette, batch["palette"]),
            "kind": soft_cross_entropy(raw.kind, batch["kind"]),
            "surface": soft_cross_entropy(raw.surface, batch["surface"]),
            "marks": marks,
        }

    def validate(self) -> dict[str, float]:
        """Return the losses, the accuracy of kinds, the KL divergence and the active units on the validation split."""
        targets = self.validation_targets
        n = min(2_000, len(targets.pictures))
        sums: dict[str, float] = {}
        means, kl_parts, correct = [], [], 0.0
        for items in torch.split(torch.linspace(0, len(targets.pictures) - 1, n).round().long(), 128):
            batch = {
                "shares": targets.shares[items].float() / 255.0,
                "palette": targets.palette[items].float(),
                "kind": targets.kind[items],
                "surface": targets.surface[items],
                "log_frequency": targets.log_frequency[items],
                "direction": targets.direction[items],
                "chaos": targets.chaos[items],
                "finish": targets.finish[items],
            }
            mean, logvar = self.network.encode(targets.pictures[items].float() / 255.0)
            raw = self.network.decode(mean)
            for key, value in self.parts(raw, batch).items():
                sums[key] = sums.get(key, 0.0) + float(value) * len(items) / n
            correct += float((raw.kind.argmax(1) == batch["kind"].argmax(1)).sum()) / n
            means.append(mean)
            kl_parts.append(kl_per_dimension(mean, logvar) * len(items) / n)
        variance = torch.cat(means).var(dim=0)
        sums["plan"] /= targets.shares[0, 0].numel()
        return {
            **sums,
            "kind_accuracy": correct,
            "kl_nats": float(torch.stack(kl_parts).sum()),
            "active_units": float((variance > ACTIVE_VARIANCE).sum()),
        }
