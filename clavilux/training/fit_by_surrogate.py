"""Fit a linear map from songs to latents by gradient descent through a surrogate model of the painter.

latents and visual features of their paintings -> `LookPredictor`, the surrogate model
principal components of songs, surrogate model -> **here** -> weights of the linear path of a `MappingNetwork`

A transport plan maps songs to single latents and preserves distances in the latent space. But the painter is not
smooth: two nearby latents may be painted with different marks. This fit preserves distances between the visual features
of the paintings. The largest differences between songs are assigned to directions of the latent space in which
paintings change predictably.

Kinds of marks are discrete choices. With `steady_kinds`, they depend mostly on properties that two halves of a song
have in common, so that both halves are painted with the same marks.

Legend: n songs, P components, m pictures, D latent dimensions, T inputs of the predictor, F visual features,
G cross-modal correspondences.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from dataclasses import dataclass

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

_PREDICTOR_WIDTH = 512
_PREDICTOR_DROPOUT = 0.3
_PREDICTOR_BATCH = 256
_PREDICTOR_LEARNING_RATE = 1e-3
_PREDICTOR_WEIGHT_DECAY = 1e-2
_VALIDATE_EVERY = 100  # steps of the predictor
_LEARNING_RATE = 1e-2
_DIRECTIONS = 128  # of the sliced Wasserstein distance, drawn in each step
_ENOUGH = 0.8  # correlation of a correspondence from which it has no more weight
_LAB_CENTRE, _LAB_SCALE = 50.0, 25.0
_LEAST_LEAD = 1e-6
_SHARP = 4.0  # factor of the logits of surfaces: the painter takes the highest


class PredictorInputs(nn.Module):
    """Computes the inputs (B, T) of the look predictor from latents (B, D), with the linear heads of a decoder.

    The inputs are the latents, the weights of the kinds of marks and of the surfaces, the palette in CIELAB, and the
    logits of the marks. The plan is not used.

    Parameters
    ----------
    network : ImageVAE
        Its linear heads are copied.
    palettes : (n_palettes, 8, 3)
        Codebook, sRGB.
    """

    palettes: Tensor

    def __init__(self, network: ImageVAE, palettes: NDArray[np.float32]) -> None:
        super().__init__()
        self.to_kind, self.to_surface, self.to_palette, self.to_marks = (
            copy.deepcopy(layer).requires_grad_(False)
            for layer in (network.to_kind, network.to_surface, network.to_palette, network.to_marks)
        )
        lab = srgb_to_lab(palettes).reshape(len(palettes), -1)
        self.register_buffer("palettes", _tensor((lab - _LAB_CENTRE) / _LAB_SCALE))

    @property
    def size(self) -> int:
        """Number of inputs, T."""
        classes = self.to_kind.out_features + self.to_surface.out_features
        return LATENT_DIM + classes + self.palettes.shape[1] + self.to_marks.out_features

    def forward(self, latents: Tensor) -> Tensor:
        """Return the inputs (B, T) of latents (B, D)."""
        palettes = torch.softmax(self.to_palette(latents), dim=1) @ self.palettes
        kinds, surfaces = weigh_kinds(self.to_kind(latents)), torch.softmax(_SHARP * self.to_surface(latents), dim=1)
        return torch.cat([latents, kinds, surfaces, palettes, self.to_marks(latents)], dim=1)

    def kind_scores(self) -> Tensor:
        """Return the matrix (D, n_kinds) from latents to scores of kinds; the mean over kinds is subtracted."""
        weight = self.to_kind.weight
        return (weight - weight.mean(dim=0)).T


def weigh_kinds(scores: Tensor) -> Tensor:
    """Return the weight of each kind (B, n_kinds), differentiable, from scores (B, n_kinds).

    Only the two kinds with the highest scores have a weight above 0; the two weights sum to 1. The weight of the second
    kind is 1/2 if its score equals that of the first, and 0 if it equals that of the third, so that weights are
    continuous when kinds change places.
    """
    if scores.shape[1] < 3:
        return functional.one_hot(scores.argmax(dim=1), scores.shape[1]).float()
    top = scores.topk(3, dim=1)
    first, second, third = top.values.T
    share = 0.5 * (1.0 - (first - second) / (first - third).clamp(min=_LEAST_LEAD))
    return torch.zeros_like(scores).scatter(1, top.indices[:, :2], torch.stack([1.0 - share, share], dim=1))


class LookPredictor(nn.Module):
    """Surrogate model of the painter: latents (B, D) -> expected visual features (B, F) of their paintings."""

    def __init__(self, n_features: int, inputs: PredictorInputs | None) -> None:
        super().__init__()
        self.inputs = inputs
        size = LATENT_DIM if inputs is None else inputs.size
        self.linear = nn.Linear(size, n_features)
        self.perceptron = nn.Sequential(
            nn.Linear(size, _PREDICTOR_WIDTH),
            nn.SiLU(),
            nn.Dropout(_PREDICTOR_DROPOUT),
            nn.Linear(_PREDICTOR_WIDTH, _PREDICTOR_WIDTH),
            nn.SiLU(),
            nn.Linear(_PREDICTOR_WIDTH, n_features),
        )

    def forward(self, latents: Tensor) -> Tensor:
        """Return the visual features (B, F) of latents (B, D)."""
        inputs = latents if self.inputs is None else self.inputs(latents)
        features: Tensor = self.linear(inputs) + self.perceptron(inputs)
        return features


def fit_predictor(
    latents: Float64, features: Float64, inputs: PredictorInputs | None, *, steps: int, seed: int
) -> tuple[LookPredictor, float]:
    """Return a predictor of visual features (m, F) that is trained on latents (m, D), and its validation figure.

    Parameters
    ----------
    latents : (m, D)
    features : (m, F)
        Visual features of the paintings of the latents.
    inputs : PredictorInputs or None
        Computes the inputs of the predictor; None uses the latents themselves.
    steps : int
        Number of training steps.
    seed : int

    Returns
    -------
    predictor : LookPredictor
        From the step with the best validation figure.
    explained : float
        Fraction of the variance that it predicts on an eighth of the data, which is only used to choose this step.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    z, y = _tensor(latents), _tensor(features)
    order = torch.randperm(len(z), generator=generator)
    validation, training = order[: len(z) // 8], order[len(z) // 8 :]
    network = LookPredictor(y.shape[1], inputs)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=_PREDICTOR_LEARNING_RATE, weight_decay=_PREDICTOR_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    variance = (y[validation] - y[validation].mean(dim=0)).square().sum()
    best, best_state = -math.inf, network.state_dict()
    for step in range(1, steps + 1):
        batch = training[torch.randint(len(training), (_PREDICTOR_BATCH,), generator=generator)]
        loss = (network(z[batch]) - y[batch]).square().sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % _VALIDATE_EVERY == 0:
            network.eval()
            with torch.no_grad():
                predicted = 1 - float((network(z[validation]) - y[validation]).square().sum() / variance)
            network.train()
            if predicted > best:
                best, best_state = predicted, {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(best_state)
    return network.eval().requires_grad_(False), best


@dataclass(frozen=True)
class SongsToFit:
    """Training songs of `fit_by_surrogate`.

    Attributes
    ----------
    components : (n, P)
        Principal components of the song codes.
    halves : (n, 2, P)
        Principal components of the first and of the second half of each song.
    scores : (n, G)
        Normal scores of the songs in the cross-modal correspondences; G may be 0.
    start : (n, D)
        Latents from which the descent starts.
    """

    components: Float64
    halves: Float64
    scores: Float64
    start: Float64

    def starting_at(self, start: Float64) -> SongsToFit:
        """Return a copy with other latents (n, D) from which the descent starts."""
        return dataclasses.replace(self, start=start)


def fit_by_surrogate(
    songs: SongsToFit,
    latents: Float64,
    features: Float64,
    to_scores: Float64,
    predictor: LookPredictor,
    recipe: MappingRecipe,
    *,
    seed: int,
) -> tuple[Float64, Float64, dict[str, float]]:
    """Return weights (P, D) and offset (D,) of a linear map from songs to latents, and the terms of the objective.

    The objective, which is maximised, is the sum of

    - the correlation of distances between songs and distances between their predicted visual features,
    - the mean correlation of the correspondences, each up to `_ENOUGH`, times `correspondence_weight`,

    minus penalties, each with its weight in the recipe:

    - `fill`, `fill_features`, `fill_correspondences`: squared Wasserstein distances between songs and art (sliced,
      Bonneel et al. 2015) in the latent space, in visual features and in correspondence scores. Without them, songs
      gather where the painter is smoothest.
    - `steady_kinds`: variance of the scores of kinds within songs over their variance between songs (Fisher 1936).

    Normal noise with the standard deviation `jitter` is added to latents, so that the fit generalises to new songs.

    Parameters
    ----------
    songs : SongsToFit
    latents, features : (m, D), (m, F)
        Latents of real art and the visual features of their paintings. The predicted features of songs are compared
        with the measured ones, which vary more than predictions do; compared with predictions, songs differed by a
        fifth less.
    to_scores : (F, G)
        Matrix from visual features to correspondence scores.
    predictor : LookPredictor
    recipe : MappingRecipe
    seed : int
    """
    generator = torch.Generator().manual_seed(seed)
    objective = _Objective(songs, latents, features, to_scores, predictor, recipe, generator)
    # In double precision: in single precision the last digits vary from call to call, and the descent amplifies that.
    inputs = np.column_stack([songs.components, np.ones(len(songs.components))])
    solution = np.linalg.lstsq(inputs, songs.start, rcond=None)[0]
    weights, offset = (_tensor(part).requires_grad_() for part in (solution[:-1], solution[-1]))
    optimizer = torch.optim.Adam([weights, offset], lr=_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.descent_steps)
    terms: dict[str, Tensor] = {}
    for _ in range(recipe.descent_steps):
        loss, terms = objective(weights, offset)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    last = {name: value.item() for name, value in terms.items()}
    return weights.detach().double().numpy(), offset.detach().double().numpy(), last


class _Objective:
    """The objective of `fit_by_surrogate` with a negative sign, and its terms."""

    def __init__(
        self,
        songs: SongsToFit,
        latents: Float64,
        features: Float64,
        to_scores: Float64,
        predictor: LookPredictor,
        recipe: MappingRecipe,
        generator: torch.Generator,
    ) -> None:
        self.songs, self.song_scores, self.to_scores = map(_tensor, (songs.components, songs.scores, to_scores))
        self.latents, self.features = _tensor(latents), _tensor(features)
        self.predictor, self.recipe, self.generator = predictor, recipe, generator
        self.song_distances = torch.pdist(self.songs)
        within = _tensor(songs.halves[:, 0] - songs.halves[:, 1])
        self.within_songs = within.T @ within / (2 * len(within))
        self.between_songs = torch.cov(self.songs.T)
        self.kind_scores = None if predictor.inputs is None else predictor.inputs.kind_scores()
        self.feature_variance = self.features.var(dim=0).mean()

    def __call__(self, weights: Tensor, offset: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        recipe, generator, zero = self.recipe, self.generator, torch.zeros(())
        placed = self.songs @ weights + offset
        art = torch.randint(len(self.latents), (len(self.songs),), generator=generator)
        features = self.predictor(placed + recipe.jitter * torch.randn(placed.shape, generator=generator))
        geometry = _correlation(self.song_distances, torch.pdist(features))
        has_scores = self.song_scores.shape[1] > 0
        pairs = zip(self.song_scores.T, (features @ self.to_scores).T, strict=True)
        correspondences = torch.stack([_correlation(a, b) for a, b in pairs]) if has_scores else torch.zeros(1)
        gap = sliced_distance(placed, self.latents[art], generator)
        gap_features = sliced_distance(features, self.features[art], generator) / self.feature_variance
        gap_scores = zero
        if has_scores:
            gap_scores = _column_distance(features @ self.to_scores, self.features[art] @ self.to_scores)
        unsteady_kinds = zero
        if self.kind_scores is not None:
            unsteady_kinds = _variance_ratio(weights @ self.kind_scores, self.within_songs, self.between_songs)
        gain = geometry + recipe.correspondence_weight * correspondences.clamp(max=_ENOUGH).mean()
        filled = recipe.fill * gap + recipe.fill_features * gap_features + recipe.fill_correspondences * gap_scores
        return filled + recipe.steady_kinds * unsteady_kinds - gain, {
            "geometry": geometry,
            "correspondences": correspondences.mean(),
            "gap": gap,
            "gap_features": gap_features,
            "gap_correspondences": gap_scores,
            "unsteady_kinds": unsteady_kinds,
        }


def sliced_distance(a: Tensor, b: Tensor, generator: torch.Generator) -> Tensor:
    """Return the squared sliced Wasserstein distance of two samples (n, F): the mean over random directions."""
    directions = torch.randn(a.shape[1], _DIRECTIONS, generator=generator)
    directions = directions / directions.norm(dim=0)
    gaps: Tensor = (a @ directions).sort(dim=0).values - (b @ directions).sort(dim=0).values
    return gaps.square().mean()


def _column_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean over columns of the squared Wasserstein distance of samples (n, G), over the variance of b."""
    apart: Tensor = (a.sort(dim=0).values - b.sort(dim=0).values).square().mean(dim=0) / b.var(dim=0)
    return apart.mean()


def _variance_ratio(scores: Tensor, within: Tensor, between: Tensor) -> Tensor:
    """Return the ratio of the variances of linear scores (P, K) under two covariances (P, P) of components."""
    ratio: Tensor = (scores * (within @ scores)).sum() / (scores * (between @ scores)).sum()
    return ratio


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    a, b = a - a.mean(), b - b.mean()
    correlation: Tensor = (a * b).sum() / (a.norm() * b.norm() + 1e-9)
    return correlation


def _tensor(values: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).float()
