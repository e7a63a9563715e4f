"""Train the ImageVAE on palettes, plans and marks of pictures."""

from __future__ import annotations

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
from clavilux.training.train_audio_vae import latent_figures
from clavilux.training.train_mark_classifier import MarksRead

# Errors that have a loss of 1:
_FREQUENCY_UNIT = 0.35  # in the natural logarithm of the frequency
_CHAOS_UNIT = 0.25
_FINISH_UNIT = 0.2  # as a fraction of the range of a property


def make_targets(
    windows: Windows, marks: MarksRead, codebook: NDArray[np.float32], recipe: AnalysisRecipe
) -> dict[str, Tensor]:
    """Return the inputs and targets of the ImageVAE for n windows and their marks, by name.

    The tensors are

    - "pictures" (n, 3, 64, 64) uint8, sRGB, the inputs,
    - "shares" (n, 8, 32, 32) uint8, the plans, as in `Windows`,
    - "palette" (n, P) float16, probabilities of the codebook palettes (P, 8, 3); the nearest palette has the highest,
    - "kind", "surface", "log_frequency", "direction", "chaos" and "finish", as in `MarksRead`.
    """
    distance = torch.from_numpy(palette_distance(windows.palettes, codebook))
    # Beyond the distance of the nearest palette: otherwise a window far from all palettes would have only one label.
    excess = distance - distance.min(dim=1, keepdim=True).values
    labels = torch.softmax(-0.5 * (excess / recipe.palette_softness).square() * 4.0, dim=1)
    return {
        "pictures": torch.from_numpy(windows.small()).permute(0, 3, 1, 2).contiguous(),
        "shares": torch.from_numpy(windows.shares),
        "palette": labels.half(),
        **{name: torch.from_numpy(values) for name, values in vars(marks).items()},
    }


def window_weights(windows: Windows, painting_share: float) -> Tensor:
    """Return the sampling weights (n,) of windows; those of paintings sum to ``painting_share``.

    "Paintings" are pictures with the role "painting": they show a subject and are not abstract. The weights sum to 1.
    If all windows are from paintings, or none is, each weight is 1 instead.
    """
    paintings = torch.tensor([windows.roles[i] == "painting" for i in windows.source]).double()
    if not 0 < paintings.sum() < len(paintings):
        return torch.ones(len(paintings), dtype=torch.float64)
    others = 1 - paintings
    return painting_share * paintings / paintings.sum() + (1 - painting_share) * others / others.sum()


class ImageVAETask(Task):
    """Task that trains the ImageVAE.

    The loss is a weighted sum of cross-entropies (of plan, palette, kind and surface), of squared errors (of the other
    marks), and of the KL divergence, which is held at a target. ``training`` and ``validation`` are from
    `make_targets`. ``weights`` (n,) are the sampling weights of the training windows.
    """

    name = "image-vae"
    items = "pictures"
    network: ImageVAE

    def __init__(
        self, training: dict[str, Tensor], validation: dict[str, Tensor], weights: Tensor, recipe: ImageVAERecipe
    ) -> None:
        super().__init__()
        self.network = ImageVAE(
            n_palettes=training["palette"].shape[1],
            n_kinds=len(KINDS),
            width=recipe.width,
            decoder_width=recipe.decoder_width,
        )
        self.recipe, self.weights, self.n_items = recipe, weights, len(weights)
        self.training_targets, self.validation_targets = training, validation

    def batch(self, items: Tensor, generator: torch.Generator) -> Batch:
        """Return inputs and targets of the windows with these indices (B,), after the same random symmetry for all.

        Names and shapes are those of `make_targets`. Values are float32; "pictures" and "shares" are in [0, 1].
        """
        batch = _select(self.training_targets, items)
        symmetry = int(torch.randint(N_SYMMETRIES, (1,), generator=generator))
        return batch | {
            "pictures": turn_pictures(batch["pictures"], symmetry),
            "shares": turn_pictures(batch["shares"], symmetry),
            "direction": turn_direction(batch["direction"], symmetry),
        }

    def forward(self, batch: Batch, noise: torch.Generator, beta: float) -> dict[str, Tensor]:
        """Return the scalar "loss" and its parts "kl_nats", "plan", "palette", "kind", "surface" and "marks".

        "plan" is the loss of the plan per cell; in "loss", this loss is summed over the cells.
        """
        mean, logvar = self.network.encode(batch["pictures"])
        losses = _losses(self.network.decode(sample_posterior(mean, logvar, noise)), batch)
        kl_nats = kl_per_dimension(mean, logvar).sum()
        loss = (
            self.recipe.plan_weight * losses["plan"]
            + self.recipe.palette_weight * losses["palette"]
            + self.recipe.kind_weight * (losses["kind"] + losses["surface"])
            + self.recipe.marks_weight * losses["marks"]
            + beta * kl_nats
        )
        per_cell = losses["plan"] / batch["shares"][0, 0].numel()
        return {"loss": loss, "kl_nats": kl_nats, **losses, "plan": per_cell}

    def validate(self) -> dict[str, float]:
        """Return losses, accuracy of kinds, KL divergence and number of active units on the validation split."""
        targets = self.validation_targets
        n_windows = len(targets["pictures"])
        n = min(2_000, n_windows)
        figures: dict[str, float] = {}
        posteriors, correct = [], 0.0
        for items in torch.split(torch.linspace(0, n_windows - 1, n).round().long(), 128):
            batch = _select(targets, items)
            mean, logvar = self.network.encode(batch["pictures"])
            raw = self.network.decode(mean)
            for key, value in _losses(raw, batch).items():
                figures[key] = figures.get(key, 0.0) + float(value) * len(items) / n
            correct += float((raw.kind.argmax(1) == batch["kind"].argmax(1)).sum()) / n
            posteriors.append((mean, logvar))
        figures["plan"] /= targets["shares"][0, 0].numel()
        return {**figures, "kind_accuracy": correct, **latent_figures(posteriors)}


def _select(targets: dict[str, Tensor], items: Tensor) -> Batch:
    """Return the rows of targets with these indices as float32, with "pictures" and "shares" scaled to [0, 1]."""
    batch = {name: values[items].float() for name, values in targets.items()}
    return batch | {name: batch[name] / 255.0 for name in ("pictures", "shares")}


def _losses(raw: RawControls, batch: Batch) -> dict[str, Tensor]:
    """Return the losses of plan, palette, kind, surface and marks, averaged over the batch.

    The loss of the plan is summed over its cells.
    """
    marks = (
        ((raw.frequency.log() - batch["log_frequency"]) / _FREQUENCY_UNIT).square()
        + (raw.direction - batch["direction"]).square().sum(dim=1)
        + ((raw.chaos - batch["chaos"]) / _CHAOS_UNIT).square()
        + ((raw.finish - batch["finish"]) / _FINISH_UNIT).square().sum(dim=1)
    )
    return {
        "plan": soft_cross_entropy(raw.plan, batch["shares"]),
        "palette": soft_cross_entropy(raw.palette, batch["palette"]),
        "kind": soft_cross_entropy(raw.kind, batch["kind"]),
        "surface": soft_cross_entropy(raw.surface, batch["surface"]),
        "marks": marks.mean(),
    }
