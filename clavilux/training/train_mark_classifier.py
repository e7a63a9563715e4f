"""Train the mark classifier on painted examples, and find the marks of real pictures with it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from clavilux.constants import PAINT, SURFACE_NAMES
from clavilux.models.mark_classifier import MarkClassifier, MarkPredictions
from clavilux.painter.marks import KINDS
from clavilux.training.analysis import Windows, read_layout
from clavilux.training.loop import Batch, Task
from clavilux.training.painted_examples import PaintedExamples
from clavilux.training.recipe import AnalysisRecipe, MarkClassifierRecipe
from clavilux.training.symmetry import N_SYMMETRIES, turn_direction, turn_pictures

_VALIDATION_SHARE = 0.1
_SMOOTHING = 0.1  # label smoothing of surfaces, because the surface of a real picture is none of them exactly
_BATCH = 128  # pictures per forward pass


class MarkClassifierTask(Task):
    """Task that trains the mark classifier.

    The loss is the cross-entropy of kinds of marks, plus the cross-entropy of surfaces, plus weighted squared errors of
    the other controls: the number of marks along the side (its logarithm), their angle (as a direction, see
    `direction_of`), chaos, and the properties of paint.
    """

    name = "mark_classifier"
    items = "pictures"
    network: MarkClassifier

    def __init__(self, examples: PaintedExamples, recipe: MarkClassifierRecipe) -> None:
        super().__init__()
        self.network = MarkClassifier(n_kinds=len(KINDS), width=recipe.width)
        self.examples = {name: torch.from_numpy(values) for name, values in vars(examples).items()}
        self.examples["pictures"] = self.examples["pictures"].permute(0, 3, 1, 2).contiguous()
        n = len(examples.pictures)
        self.n_items = n - max(1, int(_VALIDATION_SHARE * n))

    def batch(self, items: Tensor, generator: torch.Generator) -> Batch:
        """Return the "pictures" (B, 3, 128, 128) and the true marks of the examples with these indices (B,).

        Pictures are sRGB in [0, 1]. They get random noise, random blur and random channel gains. The same random
        symmetry is applied to all of them.
        """
        symmetry = int(torch.randint(N_SYMMETRIES, (1,), generator=generator))
        batch = {name: values[items] for name, values in self.examples.items()}
        pictures = batch["pictures"].float() / 255.0
        # Scans and JPEG files have noise and soft edges; the painted examples have neither.
        noise = 0.03 * torch.rand(len(items), 1, 1, 1, generator=generator)
        pictures = pictures + noise * torch.randn(pictures.shape, generator=generator)
        if torch.rand(1, generator=generator) < 0.5:
            pictures = functional.avg_pool2d(functional.pad(pictures, (0, 1, 0, 1), mode="replicate"), 2, stride=1)
        gain = 1.0 + 0.3 * (torch.rand(len(items), 3, 1, 1, generator=generator) - 0.5)
        return batch | {
            "pictures": turn_pictures((pictures * gain).clamp(0, 1), symmetry),
            "direction": turn_direction(direction_of(batch["angle"]), symmetry),
        }

    def forward(self, batch: Batch, noise: torch.Generator, beta: float) -> dict[str, Tensor]:
        """Return the scalar "loss" of a batch, and the loss of each predicted property by its name."""
        predicted: MarkPredictions = self.network(batch["pictures"])
        kind = functional.cross_entropy(predicted.kind, batch["kind"])
        frequency = (predicted.frequency - batch["log_frequency"]).square().mean()
        # For kinds of marks without a direction, the best prediction is the zero vector, so they need no exception.
        direction = (predicted.direction - batch["direction"]).square().sum(dim=1).mean()
        chaos = (predicted.chaos - batch["chaos"]).square().mean()
        paint = (predicted.paint - batch["paint"]).square().sum(dim=1).mean()
        surface = functional.cross_entropy(predicted.surface, batch["surface"], label_smoothing=_SMOOTHING)
        loss = kind + frequency + direction + 4.0 * chaos + 6.0 * paint + surface
        return {
            "loss": loss,
            "kind": kind,
            "frequency": frequency,
            "direction": direction,
            "chaos": chaos,
            "paint": paint,
            "surface": surface,
        }

    def validate(self) -> dict[str, float]:
        """Return the accuracy or the correlation of each predicted property on the validation examples, by name.

        For directions, "direction_sure" is the fraction of examples with a confidence above 0.5, and "direction_cosine"
        is the mean cosine similarity of predicted and true directions over these examples.
        """
        truth = {name: values[self.n_items :] for name, values in self.examples.items()}
        predicted = _predict(self.network, truth["pictures"])
        correct = predicted.kind.argmax(dim=1) == truth["kind"].argmax(dim=1)
        confident = predicted.direction.norm(dim=1) > 0.5
        cosine = functional.cosine_similarity(predicted.direction, direction_of(truth["angle"]))
        return {
            "kind_accuracy": float(correct.float().mean()),
            "frequency_correlation": _correlation(predicted.frequency, truth["log_frequency"]),
            "direction_sure": float(confident.float().mean()),
            "direction_cosine": float(cosine[confident].mean()) if confident.any() else 0.0,
            "chaos_correlation": _correlation(predicted.chaos, truth["chaos"]),
            "surface_accuracy": float((predicted.surface.argmax(dim=1) == truth["surface"]).float().mean()),
            **{
                f"{name}_correlation": _correlation(predicted.paint[:, i], truth["paint"][:, i])
                for i, name in enumerate(PAINT)
            },
        }


@dataclass(frozen=True)
class MarksRead:
    """Marks, surfaces and layout that were found in n windows of pictures."""

    kind: NDArray[np.float32]  # (n, n_kinds), fraction of the window that each kind covers; the sum is 1
    surface: NDArray[np.float32]  # (n, n_surfaces), probability of each surface
    log_frequency: NDArray[np.float32]  # (n,), natural logarithm of the number of marks along the side
    direction: NDArray[np.float32]  # (n, 2), cosine and sine of twice the angle, times the confidence in the angle
    chaos: NDArray[np.float32]  # (n,), how far marks deviate from the plan, in `CHAOS_RANGE`
    finish: NDArray[np.float32]  # (n, 6), properties of `clavilux.constants.FINISH`, each scaled to [0, 1]

    def take(self, chosen: NDArray[np.int64]) -> MarksRead:
        """Return the marks of the windows with these indices (k,)."""
        return MarksRead(**{name: values[chosen] for name, values in vars(self).items()})


def read_marks(mark_classifier: MarkClassifier, windows: Windows) -> MarksRead:
    """Return the marks and surfaces that the classifier finds in windows, and the layout (`read_layout`)."""
    predicted = _predict(mark_classifier, torch.from_numpy(windows.windows).permute(0, 3, 1, 2))
    return MarksRead(
        kind=torch.softmax(predicted.kind, dim=1).numpy(),
        surface=torch.softmax(predicted.surface, dim=1).numpy(),
        log_frequency=predicted.frequency.numpy(),
        direction=predicted.direction.numpy(),
        chaos=predicted.chaos.numpy(),
        finish=np.concatenate([predicted.paint.numpy(), read_layout(windows.shares)], axis=1),
    )


def class_weights(probabilities: NDArray[np.float32], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights (k,) that give each of k classes a wanted mean probability; the mean of the weights is 1.

    If the rows of `probabilities` (n, k) are multiplied by the weights and then normalised to sum to 1, the mean of the
    rows is `target` (k,).
    """
    # The classifier has learned from paintings with sharp marks. Real pictures have gradients and details that belong
    # to none of its classes, and the classifier assigns most of these to the same one or two classes.
    weight = np.ones_like(target)
    for _ in range(200):  # iterative proportional fitting (Deming & Stephan 1940)
        weighted = probabilities * weight
        weighted /= weighted.sum(axis=1, keepdims=True)
        weight *= target / (weighted.mean(axis=0) + 1e-9)
    return np.asarray(weight / weight.mean(), np.float64)


def wanted_shares(analysis: AnalysisRecipe) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the shares of pictures that a recipe wants for each kind of marks and for each surface.

    They are of shape (n_kinds,) and (n_surfaces,).
    """
    kinds = np.array([getattr(analysis.kind_shares, name) for name in KINDS])
    surfaces = np.array([getattr(analysis.surface_shares, name) for name in SURFACE_NAMES])
    return kinds / kinds.sum(), surfaces / surfaces.sum()


def kind_similarity(mark_classifier: MarkClassifier) -> NDArray[np.float64]:
    """Return coordinates (n_kinds, n_kinds - 1) of the kinds of marks, in which similar kinds are near each other.

    The last layer of the classifier has a row of weights for each kind. The coordinates are the principal components of
    these rows, in descending order of variance. Kinds that depend on the same features are therefore near each other.
    """
    layer = mark_classifier.head[-1]
    assert isinstance(layer, torch.nn.Linear)
    rows = layer.weight[: mark_classifier.n_kinds].detach().double().numpy()
    left, values, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    left = left * np.sign(left[np.abs(left).argmax(axis=0), np.arange(left.shape[1])])
    return np.asarray((left * values)[:, : mark_classifier.n_kinds - 1])


def weigh_classes(marks: MarksRead, kinds: NDArray[np.float64], surfaces: NDArray[np.float64]) -> MarksRead:
    """Return marks whose probabilities of kinds and of surfaces are multiplied by weights and normalised to sum to 1.

    `kinds` (n_kinds,) and `surfaces` (n_surfaces,) are the weights.
    """
    kind, surface = marks.kind * kinds, marks.surface * surfaces
    return dataclasses.replace(
        marks,
        kind=(kind / kind.sum(axis=1, keepdims=True)).astype(np.float32),
        surface=(surface / surface.sum(axis=1, keepdims=True)).astype(np.float32),
    )


def direction_of(angle_turns: Tensor) -> Tensor:
    """Return directions (B, 2), the cosine and the sine of twice the angle, for angles (B,) in turns, in [0, 0.5)."""
    twice = 4.0 * math.pi * angle_turns
    return torch.stack([twice.cos(), twice.sin()], dim=1)


@torch.no_grad()
def _predict(mark_classifier: MarkClassifier, pictures: Tensor) -> MarkPredictions:
    mark_classifier.eval()
    parts = [mark_classifier(part.float() / 255.0) for part in torch.split(pictures, _BATCH)]
    return MarkPredictions(*(torch.cat(values) for values in zip(*parts, strict=True)))


def _correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])
