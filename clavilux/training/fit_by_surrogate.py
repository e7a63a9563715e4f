"""Songs that sound alike look alike: a straight map from songs to latents, fitted through the looks of paintings.

    latents and the looks of their paintings -> `LookPredictor`, a network that foretells looks
    components of songs, foresight           -> **here** -> weights of the straight path of a `MappingNetwork`

A transport plan lays songs on single pictures, and what regression then makes of it keeps distances in the latent. But
painters are rough: two latents that are near each other may be painted with other marks. Here the map is fitted by
descent on what is seen, and goes where the painter is smooth: directions of the latent in which pictures change
reliably are given to what differs most between songs.

What the painter is told in choices (which kinds of marks, which palette) can be told it by what is steadiest in a
song, where the recipe asks for it (`steady_kinds`, `steady_palettes`). Some of what is heard differs between two halves
of a song as much as between songs, and some hardly at all; where the former picks the marks, each half gets others.

Legend: n songs, P components, m pictures, D latent dimensions, T numbers that the painter is told, F numbers of looks,
G guides.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from clavilux.colour import srgb_to_lab
from clavilux.constants import LATENT_DIM
from clavilux.models.image_vae import ImageVAE
from clavilux.training.recipe import MappingRecipe

Float64 = NDArray[np.float64]

_WIDTH = 512
_DROPOUT = 0.3
_PREDICTOR_BATCH = 256
_PREDICTOR_CHECK = 100
_PREDICTOR_DECAY = 1e-2
_LEARNING_RATE = 1e-2
_DIRECTIONS = 128  # of a sliced distance, drawn anew in each step
_ENOUGH = 0.8  # correlation of a guide beyond which it pulls no more
_LAB_CENTRE, _LAB_SCALE = 50.0, 25.0
_NO_LEAD = 1e-6


class PredictorInputs(nn.Module):
    """Latents (B, D) -> what the painter is told of them, but for the plan (B, T): the latents themselves, areas of
    kinds, palette in CIELAB, logits of the marks.

    The areas are those of `clavilux.painter.controls.share_of_second`, with a slope.

    Parameters
    ----------
    network : ImageVAE
        Its straight layers are taken, and are not changed.
    palettes : (n_palettes, 8, 3)
        The codebook, sRGB.
    """

    palettes: Tensor

    def __init__(self, network: ImageVAE, palettes: NDArray[np.float32]) -> None:
        super().__init__()
        self.to_kind, self.to_palette, self.to_marks = (
            copy.deepcopy(layer).requires_grad_(False)
            for layer in (network.to_kind, network.to_palette, network.to_marks)
        )
        lab = srgb_to_lab(palettes).reshape(len(palettes), -1)
        self.register_buffer("palettes", _tensor((lab - _LAB_CENTRE) / _LAB_SCALE))

    @property
    def size(self) -> int:
        """T."""
        return LATENT_DIM + self.to_kind.out_features + self.palettes.shape[1] + self.to_marks.out_features

    def forward(self, latents: Tensor) -> Tensor:
        palettes = torch.softmax(self.to_palette(latents), dim=1) @ self.palettes
        return torch.cat([latents, areas_of_kinds(self.to_kind(latents)), palettes, self.to_marks(latents)], dim=1)

    def kind_scores(self) -> Tensor:
        """Return the matrix (D, n_kinds) from latents to scores of kinds, without what all kinds share."""
        weight = self.to_kind.weight
        return (weight - weight.mean(dim=0)).T


def areas_of_kinds(scores: Tensor) -> Tensor:
    """Area of each kind, (B, n_kinds), by its score."""
    if scores.shape[1] < 3:
        return functional.one_hot(scores.argmax(dim=1), scores.shape[1]).float()
    top = scores.topk(3, dim=1)
    first, second, third = top.values.T
    share = 0.5 * (1.0 - (first - second) / (first - third).clamp(min=_NO_LEAD))
    return torch.zeros_like(scores).scatter(1, top.indices[:, :2], torch.stack([1.0 - share, share], dim=1))


class LookPredictor(nn.Module):
    """Latents (B, D) -> looks (B, F) that their pictures are expected to have; by way of what the painter is told,
    where a painter makes them."""

    def __init__(self, n_features: int, told: PredictorInputs | None) -> None:
        super().__init__()
        self.told = told
        size = LATENT_DIM if told is None else told.size
        self.straight = nn.Linear(size, n_features)
        self.bent = nn.Sequential(
            nn.Linear(size, _WIDTH),
            nn.SiLU(),
            nn.Dropout(_DROPOUT),
            nn.Linear(_WIDTH, _WIDTH),
            nn.SiLU(),
            nn.Linear(_WIDTH, n_features),
        )

    def forward(self, latents: Tensor) -> Tensor:
        known = latents if self.told is None else self.told(latents)
        looks: Tensor = self.straight(known) + self.bent(known)
        return looks


def predict(
    latents: Float64, looks: Float64, told: PredictorInputs | None, *, steps: int, seed: int
) -> tuple[LookPredictor, float]:
    """Learn to foretell looks (m, F) of latents (m, D), in so many steps.

    Returns
    -------
    network as it was when it foretold most of an eighth that it does not learn from, and that share of variance.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    z, y = _tensor(latents), _tensor(looks)
    order = torch.randperm(len(z), generator=generator)
    unseen, learnt = order[: len(z) // 8], order[len(z) // 8 :]
    network = LookPredictor(y.shape[1], told)
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1e-3, weight_decay=_PREDICTOR_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    scatter = (y[unseen] - y[unseen].mean(dim=0)).square().sum()
    best, kept = -math.inf, network.state_dict()
    for step in range(1, steps + 1):
        some = learnt[torch.randint(len(learnt), (_PREDICTOR_BATCH,), generator=generator)]
        loss = (network(z[some]) - y[some]).square().sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % _PREDICTOR_CHECK == 0:
            network.eval()
            with torch.no_grad():
                share = 1 - float((network(z[unseen]) - y[unseen]).square().sum() / scatter)
            network.train()
            if share > best:
                best, kept = share, {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(kept)
    return network.eval().requires_grad_(False), best


def fit_by_surrogate(
    components: Float64,
    halves: Float64,
    song_scores: Float64,
    start: Float64,
    latents: Float64,
    looks: Float64,
    correspondences_of_features: Float64,
    predictor: LookPredictor,
    recipe: MappingRecipe,
    *,
    seed: int,
) -> tuple[Float64, Float64, dict[str, float]]:
    """Weights (P, D) and offset (D,) that carry songs to latents.

    What is climbed, with what the recipe calls the terms: the correlation of distances between songs and between
    their foretold looks; the correlations of guides, each up to `_ENOUGH`; less the squared sliced Wasserstein
    distances (Bonneel et al. 2015) of songs and art, in the latent (`fill`), in looks (`fill_features`) and in what
    guides read off looks (`fill_correspondences`), without which all songs would gather where the painter is smoothest; less
    what two halves of a song differ in the scores of kinds and of palettes, of what all songs differ in them
    (`steady_kinds`, `steady_palettes`; Fisher's ratio, 1936). Latents are jittered (`jitter`): what holds only at
    one point of the latent does not hold for the next song.

    Parameters
    ----------
    components : (n, P)
    halves : (n, 2, P)
        Components of the first and of the second half of each song.
    song_guides : (n, G)
        Normal scores; G may be 0.
    start : (n, D)
        Where songs go at first.
    latents, looks : (m, D), (m, F)
        Of real art, as the painter paints it. The foretold looks of songs should vary as much as these do, though what
        is foretold of art varies less: held to that, songs were painted a fifth less different.
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
    songs, heard, reader = _tensor(components), _tensor(song_scores), _tensor(correspondences_of_features)
    art, seen = _tensor(latents), _tensor(looks)
    n_correspondences = heard.shape[1]
    # In double precision: in single, the same call gives other last digits each time, and the descent other mappings.
    solution = np.linalg.lstsq(np.column_stack([components, np.ones(len(components))]), start, rcond=None)[0]
    weights, offset = (_tensor(part).requires_grad_() for part in (solution[:-1], solution[-1]))
    optimizer = torch.optim.Adam([weights, offset], lr=_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.descent_steps)
    between_songs = torch.pdist(songs)
    within = _tensor(halves[:, 0] - halves[:, 1])
    noise, total = within.T @ within / (2 * len(within)), torch.cov(songs.T)
    kinds = None if predictor.told is None else predictor.told.kind_scores()
    spread = seen.var(dim=0).mean()
    terms: dict[str, Tensor] = {}
    for _ in range(recipe.descent_steps):
        placed = songs @ weights + offset
        some = torch.randint(len(art), (len(songs),), generator=generator)
        shown = predictor(placed + recipe.jitter * torch.randn(placed.shape, generator=generator))
        geometry = _correlation(between_songs, torch.pdist(shown))
        pairs = zip(heard.T, (shown @ reader).T, strict=True)
        correspondences = torch.stack([_correlation(a, b) for a, b in pairs]) if n_correspondences else torch.zeros(1)
        gap = sliced_distance(placed, art[some], generator)
        gap_features = sliced_distance(shown, seen[some], generator) / spread
        gap_correspondences = _gap(shown @ reader, seen[some] @ reader) if n_correspondences else torch.zeros(())
        unsteady_kinds = torch.zeros(()) if kinds is None else _fisher_ratio(weights @ kinds, noise, total)
        gain = geometry + recipe.correspondence_weight * correspondences.clamp(max=_ENOUGH).mean()
        filled = (
            recipe.fill * gap + recipe.fill_features * gap_features + recipe.fill_correspondences * gap_correspondences
        )
        loss = filled + recipe.steady_kinds * unsteady_kinds - gain
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        terms = {"geometry": geometry, "correspondences": correspondences.mean(), "gap": gap, "gap_looks": gap_features}
        terms |= {
            "gap_guides": gap_correspondences,
            "unsteady_kinds": unsteady_kinds,
        }
    told = {name: value.item() for name, value in terms.items()}
    return weights.detach().double().numpy(), offset.detach().double().numpy(), told


def sliced_distance(a: Tensor, b: Tensor, generator: torch.Generator) -> Tensor:
    """Squared sliced Wasserstein distance of two clouds of n points, (n, F) each, over random directions."""
    directions = torch.randn(a.shape[1], _DIRECTIONS, generator=generator)
    directions = directions / directions.norm(dim=0)
    gaps: Tensor = (a @ directions).sort(dim=0).values - (b @ directions).sort(dim=0).values
    return gaps.square().mean()


def _gap(a: Tensor, b: Tensor) -> Tensor:
    """Squared Wasserstein distances of the columns of two samples (n, G), over the variance of the second; the mean."""
    apart: Tensor = (a.sort(dim=0).values - b.sort(dim=0).values).square().mean(dim=0) / b.var(dim=0)
    return apart.mean()


def _fisher_ratio(scores: Tensor, noise: Tensor, total: Tensor) -> Tensor:
    """Variance within songs of scores (P, K) of components, of that over songs; covariances (P, P) of components."""
    ratio: Tensor = (scores * (noise @ scores)).sum() / (scores * (total @ scores)).sum()
    return ratio


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    a, b = a - a.mean(), b - b.mean()
    found: Tensor = (a * b).sum() / (a.norm() * b.norm() + 1e-9)
    return found


def _tensor(values: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).float()
