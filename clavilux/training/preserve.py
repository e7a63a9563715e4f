"""Songs that sound alike look alike: a straight map from songs to latents, fitted through the looks of paintings.

    latents and the looks of their paintings -> `Foresight`, a network that foretells looks
    components of songs, foresight           -> **here** -> weights of the straight path of a `MappingNetwork`

A transport plan lays songs on single pictures, and what regression then makes of it keeps distances in the latent. But
painters are rough: two latents that are near each other may be painted with other marks. Here the map is fitted by
descent on what is seen, and goes where the painter is smooth: directions of the latent in which pictures change
reliably are given to what differs most between songs.

Legend: n songs, P components, m pictures, D latent dimensions, F numbers of looks, G guides.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clavilux.constants import LATENT_DIM
from clavilux.training.recipe import MappingRecipe

Float64 = NDArray[np.float64]

_WIDTH = 256
_FORESIGHT_STEPS = 2_500
_FORESIGHT_BATCH = 256
_FORESIGHT_CHECK = 100
_FORESIGHT_NOISE = 0.1  # on latents, of their deviation: what is foretold is meant to be smooth
_FORESIGHT_DECAY = 1e-2
_LEARNING_RATE = 1e-2
_DIRECTIONS = 128  # of a sliced distance, drawn anew in each step
_ENOUGH = 0.8  # correlation of a guide beyond which it pulls no more


class Foresight(nn.Module):
    """Latents (B, D) -> looks (B, F) that their paintings are expected to have."""

    def __init__(self, n_looks: int) -> None:
        super().__init__()
        self.straight = nn.Linear(LATENT_DIM, n_looks)
        self.bent = nn.Sequential(
            nn.Linear(LATENT_DIM, _WIDTH), nn.SiLU(), nn.Linear(_WIDTH, _WIDTH), nn.SiLU(), nn.Linear(_WIDTH, n_looks)
        )

    def forward(self, latents: Tensor) -> Tensor:
        looks: Tensor = self.straight(latents) + self.bent(latents)
        return looks


def foresee(latents: Float64, looks: Float64, *, seed: int) -> tuple[Foresight, float]:
    """Learn to foretell looks (m, F) of latents (m, D).

    Returns
    -------
    network as it was when it foretold most of an eighth that it does not learn from, and that share of variance.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    z, y = _tensor(latents), _tensor(looks)
    order = torch.randperm(len(z), generator=generator)
    unseen, learnt = order[: len(z) // 8], order[len(z) // 8 :]
    network = Foresight(y.shape[1])
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=_FORESIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _FORESIGHT_STEPS)
    scatter = (y[unseen] - y[unseen].mean(dim=0)).square().sum()
    best, kept = -math.inf, network.state_dict()
    for step in range(1, _FORESIGHT_STEPS + 1):
        some = learnt[torch.randint(len(learnt), (_FORESIGHT_BATCH,), generator=generator)]
        moved = z[some] + _FORESIGHT_NOISE * torch.randn(len(some), LATENT_DIM, generator=generator)
        loss = (network(moved) - y[some]).square().sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % _FORESIGHT_CHECK == 0:
            with torch.no_grad():
                told = 1 - float((network(z[unseen]) - y[unseen]).square().sum() / scatter)
            if told > best:
                best, kept = told, {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(kept)
    return network.eval().requires_grad_(False), best


def preserve_looks(
    components: Float64,
    song_guides: Float64,
    start: Float64,
    latents: Float64,
    looks: Float64,
    guides_of_looks: Float64,
    foresight: Foresight,
    recipe: MappingRecipe,
    *,
    seed: int,
) -> tuple[Float64, Float64, dict[str, float]]:
    """Weights (P, D) and offset (D,) that carry songs to latents.

    What is climbed, with what the recipe calls the terms: the correlation of distances between songs and between their
    foretold looks; the correlations of guides, each up to `_ENOUGH`; less the squared sliced Wasserstein distances
    (Bonneel et al. 2015) of songs and art, in the latent (`fill`) and in looks (`fill_looks`), without which all songs
    would gather where the painter is smoothest. Latents are jittered (`jitter`): what holds only at one point of the
    latent does not hold for the next song.

    Parameters
    ----------
    components : (n, P)
    song_guides : (n, G)
        Normal scores; G may be 0.
    start : (n, D)
        Where songs go at first.
    latents, looks : (m, D), (m, F)
        Of real art, as the painter paints it.
    guides_of_looks : (F, G)
        Reads guides off looks.
    foresight : Foresight
    recipe : MappingRecipe
    seed : int

    Returns
    -------
    weights, offset, and the terms at the end.
    """
    generator = torch.Generator().manual_seed(seed)
    songs, heard, reader = _tensor(components), _tensor(song_guides), _tensor(guides_of_looks)
    art, seen = _tensor(latents), _tensor(looks)
    n_guides = heard.shape[1]
    # In double precision: in single, the same call gives other last digits each time, and the descent other mappings.
    solution = np.linalg.lstsq(np.column_stack([components, np.ones(len(components))]), start, rcond=None)[0]
    weights, offset = (_tensor(part).requires_grad_() for part in (solution[:-1], solution[-1]))
    optimizer = torch.optim.Adam([weights, offset], lr=_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.descent_steps)
    between_songs = torch.pdist(songs)
    spread = seen.var(dim=0).sum() / seen.shape[1]
    told: dict[str, float] = {}
    for _ in range(recipe.descent_steps):
        placed = songs @ weights + offset
        shown = foresight(placed + recipe.jitter * torch.randn(placed.shape, generator=generator))
        geometry = _correlation(between_songs, torch.pdist(shown))
        pairs = zip(heard.T, (shown @ reader).T, strict=True)
        guides = torch.stack([_correlation(a, b) for a, b in pairs]) if n_guides else torch.zeros(1)
        some = torch.randint(len(art), (len(songs),), generator=generator)
        gap = sliced_distance(placed, art[some], generator)
        gap_looks = sliced_distance(shown, seen[some], generator) / spread
        gain = geometry + recipe.guide_weight * guides.clamp(max=_ENOUGH).mean()
        loss = recipe.fill * gap + recipe.fill_looks * gap_looks - gain
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        told = {"geometry": geometry.item(), "guides": guides.mean().item(), "gap": gap.item()}
        told["gap_looks"] = gap_looks.item()
    return weights.detach().double().numpy(), offset.detach().double().numpy(), told


def sliced_distance(a: Tensor, b: Tensor, generator: torch.Generator) -> Tensor:
    """Squared sliced Wasserstein distance of two clouds of n points, (n, F) each, over random directions."""
    directions = torch.randn(a.shape[1], _DIRECTIONS, generator=generator)
    directions = directions / directions.norm(dim=0)
    gaps: Tensor = (a @ directions).sort(dim=0).values - (b @ directions).sort(dim=0).values
    return gaps.square().mean()


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    a, b = a - a.mean(), b - b.mean()
    found: Tensor = (a * b).sum() / (a.norm() * b.norm() + 1e-9)
    return found


def _tensor(values: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).float()
