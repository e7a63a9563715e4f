"""Train the mark classifier on painted examples, and read the marks of real pictures with it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from clavilux.constants import PAINT
from clavilux.models.mark_classifier import MarkClassifier, MarkPredictions
from clavilux.painter.marks import KINDS
from clavilux.training.analysis import Windows, read_layout
from clavilux.training.loop import Batch, Task
from clavilux.training.painted_examples import PaintedExamples
from clavilux.training.recipe import MarkClassifierRecipe
from clavilux.training.symmetry import N_SYMMETRIES, turn_direction, turn_pictures

_VALIDATION_SHARE = 0.1
_SMOOTHING = 0.1  # of the labels of surfaces: real pictures have none of them exactly


class MarkClassifierTask(Task):
    """Training of the mark classifier.

    The loss is the cross-entropy of kinds and of surfaces, plus squared errors of the other marks. The frequency is
    compared as a logarithm, the direction as a unit vector.
    """

    name = "mark_classifier"
    items = "pictures"
    network: MarkClassifier

    def __init__(self, examples: PaintedExamples, recipe: MarkClassifierRecipe) -> None:
        super().__init__()
        self.network = MarkClassifier(n_kinds=len(KINDS), width=recipe.width)
        self.pictures = torch.from_numpy(examples.pictures).permute(0, 3, 1, 2).contiguous()
        self.kind = torch.from_numpy(examples.kind)
        self.log_frequency = torch.from_numpy(examples.log_frequency)
        self.angle = torch.from_numpy(examples.angle)
        self.chaos = torch.from_numpy(examples.chaos)
        self.paint = torch.from_numpy(examples.paint)
        self.surface = torch.from_numpy(examples.surface).long()
        self.n_training = len(self.pictures) - max(1, int(_VALIDATION_SHARE * len(self.pictures)))

    def n_items(self) -> int:
        """Return the number of training items."""
        return self.n_training

    def batch(self, items: Tensor, generator: torch.Generator) -> Batch:
        """Return "pictures" (B, 3, 128, 128), sRGB in [0, 1], and the true marks of examples with these indices (B,).

        Pictures have random noise, blur, gains of the channels and one random symmetry.
        """
        symmetry = int(torch.randint(N_SYMMETRIES, (1,), generator=generator))
        pictures = self.pictures[items].float() / 255.0
        # Scans and JPEG files have noise and soft edges; the painted examples have neither.
        noise = 0.03 * torch.rand(len(items), 1, 1, 1, generator=generator)
        pictures = pictures + noise * torch.randn(pictures.shape, generator=generator)
        if torch.rand(1, generator=generator) < 0.5:
            pictures = functional.avg_pool2d(functional.pad(pictures, (0, 1, 0, 1), mode="replicate"), 2, stride=1)
        gain = 1.0 + 0.3 * (torch.rand(len(items), 3, 1, 1, generator=generator) - 0.5)
        return {
            "pictures": turn_pictures((pictures * gain).clamp(0, 1), symmetry),
            "kind": self.kind[items],
            "log_frequency": self.log_frequency[items],
            "direction": turn_direction(direction_of(self.angle[items]), symmetry),
            "chaos": self.chaos[items],
            "paint": self.paint[items],
            "surface": self.surface[items],
        }

    def forward(self, batch: Batch, noise: torch.Generator, beta: float) -> dict[str, Tensor]:
        """Return the scalar "loss" of a batch, and its parts by the name of the predicted property."""
        predicted: MarkPredictions = self.network(batch["pictures"])
        kind = functional.cross_entropy(predicted.kind, batch["kind"])
        frequency = (predicted.frequency - batch["log_frequency"]).square().mean()
        # For kinds without a direction, the best prediction is the zero vector, so no table of them is needed.
        direction = (predicted.direction - batch["direction"]).square().sum(dim=1).mean()
        chaos = (predicted.chaos - batch["chaos"]).square().mean()
        paint = (predicted.paint - batch["paint"]).square().sum(dim=1).mean()
        surface = functional.cross_entropy(predicted.surface, batch["surface"], label_smoothing=_SMOOTHING)
        loss = kind + frequency + direction + 4.0 * chaos + 6.0 * paint + surface
        parts = {"kind": kind, "frequency": frequency, "direction": direction, "chaos": chaos}
        parts |= {"paint": paint, "surface": surface}
        return {"loss": loss, **parts}

    def validate(self) -> dict[str, float]:
        """Return the accuracy or the correlation of each predicted property on the validation examples."""
        predicted, truth = self.read_validation()
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

    def read_validation(self) -> tuple[MarkPredictions, dict[str, Tensor]]:
        """Return the predictions for the n validation examples, and their true marks: name -> (n, ...)."""
        rest = slice(self.n_training, None)
        predicted = _predict(self.network, self.pictures[rest])
        truth = {"kind": self.kind[rest], "log_frequency": self.log_frequency[rest]}
        truth |= {"angle": self.angle[rest], "chaos": self.chaos[rest], "paint": self.paint[rest]}
        return predicted, truth | {"surface": self.surface[rest]}


@dataclass(frozen=True)
class MarksRead:
    """Marks that the classifier found in n windows.

    Attributes
    ----------
    kind : (n, n_kinds)
        Fraction of the window that each kind covers; sums to 1.
    log_frequency : (n,)
        Natural logarithm of the number of marks along the side.
    chaos : (n,)
        Weight of the marks, in ``CHAOS_RANGE``.
    direction : (n, 2)
        Cosine and sine of twice the angle, times the confidence.
    surface : (n, n_surfaces)
        Probability of each surface.
    paint : (n, 4)
        Softness, glaze, brush and outline, each scaled so that its range is [0, 1].
    layout : (n, 2)
        Shapes and detail, see `read_layout`.
    """

    kind: NDArray[np.float32]
    log_frequency: NDArray[np.float32]
    direction: NDArray[np.float32]
    chaos: NDArray[np.float32]
    surface: NDArray[np.float32]
    paint: NDArray[np.float32]
    layout: NDArray[np.float32]

    @property
    def finish(self) -> NDArray[np.float32]:
        """Paint and layout, (n, 6) in [0, 1], in the order of ``clavilux.constants.FINISH``."""
        return np.concatenate([self.paint, self.layout], axis=1)


def read_marks(mark_classifier: MarkClassifier, windows: Windows) -> MarksRead:
    """Return the marks that the classifier finds in windows, and the layout of the windows."""
    predicted = _predict(mark_classifier, torch.from_numpy(windows.windows).permute(0, 3, 1, 2))
    return MarksRead(
        torch.softmax(predicted.kind, dim=1).numpy(),
        predicted.frequency.numpy(),
        predicted.direction.numpy(),
        predicted.chaos.numpy(),
        torch.softmax(predicted.surface, dim=1).numpy(),
        predicted.paint.numpy(),
        read_layout(windows.shares),
    )


@torch.no_grad()
def mark_statistics(
    mark_classifier: MarkClassifier, windows: NDArray[np.uint8], batch: int = 128
) -> NDArray[np.float64]:
    """Return the pooled feature maps (n, 8 width) float64 of windows (n, 128, 128, 3) uint8 sRGB."""
    size = mark_classifier.n_map_features
    pictures = torch.from_numpy(windows).permute(0, 3, 1, 2)
    parts = [
        mark_classifier.pool(pictures[i : i + batch].float() / 255.0)[:, :size] for i in range(0, len(pictures), batch)
    ]
    return np.asarray(torch.cat(parts).double().numpy())


def class_weights(probabilities: NDArray[np.float32], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights (k,) of classes, with mean 1, with which the mean of the weighted probabilities is `target` (k,).

    `probabilities` is (n, k). Weighted probabilities are normalised to sum to 1.
    """
    # The classifier has learned from paintings with sharp marks. Real pictures have gradients and details that belong
    # to none of its classes; the classifier assigns most of these to the same one or two.
    weight = np.ones_like(target)
    for _ in range(200):  # iterative proportional fitting (Deming & Stephan 1940)
        weighted = probabilities * weight
        weighted /= weighted.sum(axis=1, keepdims=True)
        weight *= target / (weighted.mean(axis=0) + 1e-9)
    return np.asarray(weight / weight.mean(), np.float64)


def even_shares(probabilities: NDArray[np.float32], evenness: float) -> NDArray[np.float64]:
    """Return the mean probabilities p (k,) of classes, made more even: p^(1 - evenness), normalised to sum 1.

    `probabilities` is (n, k). An evenness of 0 changes nothing; with 1, all classes have the same probability.
    """
    target = (probabilities.mean(axis=0, dtype=np.float64) + 1e-4) ** (1.0 - evenness)
    return np.asarray(target / target.sum(), np.float64)


def kind_similarity(mark_classifier: MarkClassifier) -> NDArray[np.float64]:
    """Return coordinates (n_kinds, n_kinds - 1) of the kinds of marks, in which similar kinds are near each other.

    They are the principal components of the rows of the last layer, so that kinds that depend on the same features are
    near each other. Columns are in the order of their variance, the largest first.
    """
    layer = mark_classifier.head[-1]
    assert isinstance(layer, torch.nn.Linear)
    rows = layer.weight[: mark_classifier.n_kinds].detach().double().numpy()
    left, values, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    left = left * np.sign(left[np.abs(left).argmax(axis=0), np.arange(left.shape[1])])
    return np.asarray((left * values)[:, : mark_classifier.n_kinds - 1])


def weigh_classes(marks: MarksRead, kinds: NDArray[np.float64], surfaces: NDArray[np.float64]) -> MarksRead:
    """Return the marks with probabilities of kinds and surfaces that are multiplied by weights and normalised.

    `kinds` (n_kinds,) and `surfaces` (n_surfaces,) are the weights.
    """
    weighted = {"kind": marks.kind * kinds, "surface": marks.surface * surfaces}
    return dataclasses.replace(
        marks, **{name: (p / p.sum(axis=1, keepdims=True)).astype(np.float32) for name, p in weighted.items()}
    )


def direction_of(angle_turns: Tensor) -> Tensor:
    """Return the cosine and sine of twice the angle, (B, 2), for angles (B,) in turns in [0, 0.5)."""
    twice = 4.0 * math.pi * angle_turns
    return torch.stack([twice.cos(), twice.sin()], dim=1)


@torch.no_grad()
def _predict(mark_classifier: MarkClassifier, pictures: Tensor, batch: int = 128) -> MarkPredictions:
    mark_classifier.eval()
    parts = [mark_classifier(pictures[i : i + batch].float() / 255.0) for i in range(0, len(pictures), batch)]
    return MarkPredictions(*(torch.cat(values) for values in zip(*parts, strict=True)))


def _correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])
