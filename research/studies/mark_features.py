"""How well do mark classifiers read the examples of a run, and do features of edges help to learn directions?

    python research/studies/mark_features.py RUNS/painted-examples.npz [--steps 600] [--bundle default]

The examples are those that `clavilux train image-vae` keeps in its run folder; the last tenth is for validation. The
table has the shipped mark classifier on whole paintings, on their quarters and on bare pictures, and then two small
classifiers that learn from the bare pictures alone: one without the features of the structure tensor, and one with them.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from clavilux.bundle import open_bundle
from clavilux.models.mark_classifier import N_EDGE_FEATURES, MarkClassifier
from clavilux.training.symmetry import N_SYMMETRIES, turn_direction, turn_pictures
from clavilux.training.train_mark_classifier import direction_of

_VIEWS, _BARE = {"whole paintings": (0,), "quarters": (1, 2, 3, 4), "bare pictures": (5, 6, 7)}, (5, 6, 7)
_BATCH, _RATE, _WARMUP, _WIDTH = 48, 2e-3, 100, 24

Examples = dict[str, Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--bundle", default="default")
    arguments = parser.parse_args()
    with np.load(arguments.examples) as file:
        names = ("pictures", "kind", "angle", "log_frequency", "surface")
        examples = {name: torch.from_numpy(file[name]) for name in names}
    n, view = len(examples["angle"]), torch.arange(len(examples["angle"])) % 8
    training = torch.arange(n) < n - n // 10
    shipped = MarkClassifier.from_bundle(open_bundle(arguments.bundle)).eval()
    print("| classifier | examples | kinds right | frequency, correlation | sure of direction | cosine | surface right |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for name, views in _VIEWS.items():
        chosen = ~training & torch.isin(view, torch.tensor(views))
        print(f"| {arguments.bundle} | {name} | {_measure(shipped, _take(examples, chosen))} |")
    bare = torch.isin(view, torch.tensor(_BARE))
    for name, kind in (("without edges", _Plain), ("with edges", MarkClassifier)):
        torch.manual_seed(0)
        network = kind(n_kinds=examples["kind"].shape[1], width=_WIDTH)
        _train(network, _take(examples, bare & training), arguments.steps)
        print(f"| {name}, {arguments.steps} steps | bare pictures | {_measure(network, _take(examples, bare & ~training))} |")


class _Plain(MarkClassifier):
    """A mark classifier that does not see the directions of edges."""

    def pool(self, pictures: Tensor) -> Tensor:
        pooled = super().pool(pictures)
        pooled[:, -N_EDGE_FEATURES:] = 0
        return pooled


def _take(examples: Examples, chosen: Tensor) -> Examples:
    return {name: values[chosen] for name, values in examples.items()}


def _train(network: MarkClassifier, examples: Examples, steps: int) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=1e-4, betas=(0.9, 0.99))
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = _RATE * min(1, (step + 1) / _WARMUP) * 0.5 * (1 + math.cos(math.pi * step / steps))
        batch = _take(examples, torch.randint(len(examples["angle"]), (_BATCH,), generator=generator))
        symmetry = int(torch.randint(N_SYMMETRIES, (1,), generator=generator))
        predicted = network(turn_pictures(_to_floats(batch["pictures"]), symmetry))
        loss = functional.cross_entropy(predicted.kind, batch["kind"])
        loss = loss + (predicted.frequency - batch["log_frequency"]).square().mean()
        direction = turn_direction(direction_of(batch["angle"]), symmetry)
        loss = loss + (predicted.direction - direction).square().sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()


@torch.no_grad()
def _measure(network: MarkClassifier, examples: Examples) -> str:
    parts = [network(_to_floats(part)) for part in examples["pictures"].split(128)]
    kind, frequency, direction, surface = (
        torch.cat([getattr(part, name) for part in parts]) for name in ("kind", "frequency", "direction", "surface")
    )
    right = (kind.argmax(1) == examples["kind"].argmax(1)).float().mean()
    correlation = torch.corrcoef(torch.stack([frequency, examples["log_frequency"]]))[0, 1]
    sure = direction.norm(dim=1) > 0.5
    cosine = functional.cosine_similarity(direction, direction_of(examples["angle"]))[sure]
    cosines = f"{cosine.mean():.2f}" if len(cosine) else "-"
    surfaces = (surface.argmax(1) == examples["surface"]).float().mean()
    return f"{right:.2f} | {correlation:.2f} | {sure.float().mean():.2f} | {cosines} | {surfaces:.2f}"


def _to_floats(pictures: Tensor) -> Tensor:
    return pictures.permute(0, 3, 1, 2).float() / 255


if __name__ == "__main__":
    main()
