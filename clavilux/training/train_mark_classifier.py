"""Train the eye on studies, and let it read the marks of real pictures."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from clavilux.constants import SURFACE
from clavilux.models.mark_classifier import MarkClassifier, MarksSeen
from clavilux.painter.marks import KINDS
from clavilux.training.analysis import read_symmetries
from clavilux.training.loop import Batch, Task
from clavilux.training.painted_examples import PaintedExamples
from clavilux.training.recipe import MarkClassifierRecipe
from clavilux.training.symmetry import N_SYMMETRIES, turn_direction, turn_pictures

_VALIDATION_SHARE = 0.1


class MarkClassifierTask(Task):
    """Areas of kinds by cross-entropy; scales in the logarithm, directions as unit vectors, chaos and surface, by
    squared error."""

    name = "mark_classifier"
    items = "pictures"
    network: MarkClassifier

    def __init__(self, studies: PaintedExamples, recipe: MarkClassifierRecipe) -> None:
        super().__init__()
        self.network = MarkClassifier(n_kinds=len(KINDS), width=recipe.width)
        self.pictures = torch.from_numpy(studies.pictures).permute(0, 3, 1, 2).contiguous()
        self.kind = torch.from_numpy(studies.kind)
        self.log_frequency = torch.from_numpy(studies.log_frequency)
        self.angle = torch.from_numpy(studies.angle)
        self.chaos = torch.from_numpy(studies.chaos)
        self.surface = torch.from_numpy(studies.surface)
        self.n_training = len(self.pictures) - max(1, int(_VALIDATION_SHARE * len(self.pictures)))

    def n_items(self) -> int:
        return self.n_training

    def batch(self, items: Tensor, generator: torch.Generator) -> Batch:
        symmetry = int(torch.randint(N_SYMMETRIES, (1,), generator=generator))
        pictures = self.pictures[items].float() / 255.0
        # Scans and JPEG have noise and are a little soft; the eye must not rely on our clean edges.
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
            "surface": self.surface[items],
        }

    def forward(self, batch: Batch, noise: torch.Generator, beta: float) -> dict[str, Tensor]:
        seen: MarksSeen = self.network(batch["pictures"])
        kind = functional.cross_entropy(seen.kind, batch["kind"])
        frequency = (seen.frequency - batch["log_frequency"]).square().mean()
        # Where a kind has no direction to be seen, the best answer is the shortest: no table of such kinds is needed.
        direction = (seen.direction - batch["direction"]).square().sum(dim=1).mean()
        chaos = (seen.chaos - batch["chaos"]).square().mean()
        surface = (seen.surface - batch["surface"]).square().sum(dim=1).mean()
        loss = kind + frequency + direction + 4.0 * chaos + 6.0 * surface
        parts = {"kind": kind, "frequency": frequency, "direction": direction, "chaos": chaos, "surface": surface}
        return {"loss": loss, **parts}

    def validate(self) -> dict[str, float]:
        seen, truth = self.read_validation()
        right = seen.kind.argmax(dim=1) == truth["kind"].argmax(dim=1)
        sure = seen.direction.norm(dim=1) > 0.5
        cosine = functional.cosine_similarity(seen.direction, direction_of(truth["angle"]))
        return {
            "kind_accuracy": float(right.float().mean()),
            "frequency_correlation": _correlation(seen.frequency, truth["log_frequency"]),
            "direction_sure": float(sure.float().mean()),
            "direction_cosine": float(cosine[sure].mean()) if sure.any() else 0.0,
            "chaos_correlation": _correlation(seen.chaos, truth["chaos"]),
            **{
                f"{name}_correlation": _correlation(seen.surface[:, i], truth["surface"][:, i])
                for i, name in enumerate(SURFACE)
            },
        }

    def read_validation(self) -> tuple[MarksSeen, dict[str, Tensor]]:
        """What the eye sees in the studies that it did not learn from, and the truth."""
        rest = slice(self.n_training, None)
        seen = _look(self.network, self.pictures[rest])
        truth = {"kind": self.kind[rest], "log_frequency": self.log_frequency[rest]}
        return seen, truth | {"angle": self.angle[rest], "chaos": self.chaos[rest], "surface": self.surface[rest]}


@dataclass(frozen=True)
class MarksRead:
    """Marks read off n windows.

    kind : (n, n_kinds) areas. log_frequency, chaos : (n,). direction : (n, 2). surface : (n, 4) in [0, 1] of ranges.
    symmetry : (n, 2) mirror and flip, which no eye is needed for.
    """

    kind: NDArray[np.float32]
    log_frequency: NDArray[np.float32]
    direction: NDArray[np.float32]
    chaos: NDArray[np.float32]
    surface: NDArray[np.float32]
    symmetry: NDArray[np.float32]

    @property
    def finish(self) -> NDArray[np.float32]:
        """Surface and symmetry, (n, 6), in the order of ``clavilux.constants.FINISH``."""
        return np.concatenate([self.surface, self.symmetry], axis=1)


def read_marks(mark_classifier: MarkClassifier, windows: NDArray[np.uint8]) -> MarksRead:
    """Let the eye read windows (n, 128, 128, 3) uint8."""
    seen = _look(mark_classifier, torch.from_numpy(windows).permute(0, 3, 1, 2))
    return MarksRead(
        torch.softmax(seen.kind, dim=1).numpy(),
        seen.frequency.numpy(),
        seen.direction.numpy(),
        seen.chaos.numpy(),
        seen.surface.numpy(),
        read_symmetries(windows),
    )


@torch.no_grad()
def mark_statistics(
    mark_classifier: MarkClassifier, windows: NDArray[np.uint8], batch: int = 128
) -> NDArray[np.float64]:
    """What the maps of the eye find in windows (n, 128, 128, 3) before it names it: (n, 8 width)."""
    size = mark_classifier.map_signs
    pictures = torch.from_numpy(windows).permute(0, 3, 1, 2)
    parts = [
        mark_classifier.signs(pictures[i : i + batch].float() / 255.0)[:, :size] for i in range(0, len(pictures), batch)
    ]
    return np.asarray(torch.cat(parts).double().numpy())


def kind_weights(marks: MarksRead, evenness: float) -> NDArray[np.float64]:
    """Weights (n_kinds,) that take the eye's prejudice for a few kinds out of what it read.

    The eye has learnt on paintings with sharp marks. Real pictures have gradients and brush strokes that are none of
    its kinds, and it names most of them by the one or two kinds that look most like "something else". Each kind gets a
    constant weight, such that over all these windows the mean probability of kind k is p_k^(1 - evenness), normalised,
    where p_k is what the eye said; within a kind the order of the windows stays what the eye saw.

    Parameters
    ----------
    marks : MarksRead
    evenness : float
        0 leaves the eye its prejudice, 1 gives all kinds the same share.
    """
    said = marks.kind.mean(axis=0, dtype=np.float64) + 1e-4
    wanted = said ** (1.0 - evenness)
    wanted /= wanted.sum()
    weight = np.ones_like(wanted)
    for _ in range(200):  # iterative proportional fitting (Deming & Stephan 1940)
        weighted = marks.kind * weight
        weighted /= weighted.sum(axis=1, keepdims=True)
        weight *= wanted / weighted.mean(axis=0)
    return np.asarray(weight / weight.mean(), np.float64)


def kind_similarity(mark_classifier: MarkClassifier) -> NDArray[np.float64]:
    """How alike kinds look to the eye: (n_kinds, n_kinds - 1) coordinates, the leading ones first.

    Principal components of what its last layer looks for in each kind: kinds that are told by the same signs lie near
    each other.
    """
    layer = mark_classifier.head[-1]
    assert isinstance(layer, torch.nn.Linear)
    signs = layer.weight[: mark_classifier.n_kinds].detach().double().numpy()
    left, values, _ = np.linalg.svd(signs - signs.mean(axis=0), full_matrices=False)
    left = left * np.sign(left[np.abs(left).argmax(axis=0), np.arange(left.shape[1])])
    return np.asarray((left * values)[:, : mark_classifier.n_kinds - 1])


def weigh_kinds(marks: MarksRead, weights: NDArray[np.float64]) -> MarksRead:
    """Marks with the probabilities of the kinds weighted, and summing to 1 again."""
    weighted = marks.kind * weights
    weighted /= weighted.sum(axis=1, keepdims=True)
    return dataclasses.replace(marks, kind=weighted.astype(np.float32))


def direction_of(angle_turns: Tensor) -> Tensor:
    """Cosine and sine of twice the angle: (B,) turns in [0, 0.5) -> (B, 2)."""
    twice = 4.0 * math.pi * angle_turns
    return torch.stack([twice.cos(), twice.sin()], dim=1)


@torch.no_grad()
def _look(mark_classifier: MarkClassifier, pictures: Tensor, batch: int = 128) -> MarksSeen:
    mark_classifier.eval()
    parts = [mark_classifier(pictures[i : i + batch].float() / 255.0) for i in range(0, len(pictures), batch)]
    return MarksSeen(*(torch.cat(values) for values in zip(*parts, strict=True)))


def _correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])
