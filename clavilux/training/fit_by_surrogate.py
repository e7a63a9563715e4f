"""Fit a linear map from songs to latents by gradient descent through a surrogate model of the painter.

latents, visual features of their paintings -> `fit_predictor` -> `LookPredictor`, the surrogate model
principal components of songs, surrogate model -> `fit_by_surrogate` -> linear map of a `MappingNetwork`

The transport plan with which `clavilux.training.train_mapping` begins makes distances between latents agree with
distances between songs. But the painter is not smooth: two nearby latents may be painted with different marks. So this
fit makes distances between visual features of the paintings agree with distances between songs instead. The largest
differences between songs are mapped to directions of the latent space in which paintings change predictably.

Kinds of marks are discrete choices. A penalty, with the weight `steady_kinds` of the recipe, makes them depend mostly
on what the two halves of a song have in common, so that both halves are painted with the same kinds of marks.

Sizes in the shapes below: n songs, P principal components of song codes, m pictures, D latent dimensions, T inputs of
the `LookPredictor`, F visual features, G cross-modal correspondences (pairs of properties of sound and picture).
"""

from __future__ import annotations

import copy
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
_DIRECTIONS = 128  # number of random directions of the sliced Wasserstein distance, drawn anew in each step
_LAB_CENTRE, _LAB_SCALE = 50.0, 25.0
_LEAST_LEAD = 1e-6
_SHARP = 4.0  # factor of the logits of surfaces, because the painter takes only the surface with the highest logit


class PredictorInputs(nn.Module):
    """Computes the inputs (B, T) of a `LookPredictor` from latents (B, D).

    The inputs are the latents, and what the linear heads of a decoder compute from them: the weights of the kinds of
    marks, the weights of the surfaces, the palette in CIELAB, and the raw outputs for frequency, direction, chaos and
    finish, before any sigmoid. The plan is not used. The heads are copied from ``network``. ``palettes`` is the
    codebook of the network, (n_palettes, 8, 3), sRGB in [0, 1].
    """

    palettes: Tensor

    def __init__(self, network: ImageVAE, palettes: NDArray[np.float32]) -> None:
        super().__init__()
        heads = (network.to_kind, network.to_surface, network.to_palette, network.to_marks)
        self.to_kind, self.to_surface, self.to_palette, self.to_marks = copy.deepcopy(heads)
        self.requires_grad_(False)
        lab = srgb_to_lab(palettes).reshape(len(palettes), -1)
        self.register_buffer("palettes", _tensor((lab - _LAB_CENTRE) / _LAB_SCALE))

    def forward(self, latents: Tensor) -> Tensor:
        """Return the inputs (B, T) of the look predictor for latents (B, D)."""
        palettes = torch.softmax(self.to_palette(latents), dim=1) @ self.palettes
        kinds, surfaces = weigh_kinds(self.to_kind(latents)), torch.softmax(_SHARP * self.to_surface(latents), dim=1)
        return torch.cat([latents, kinds, surfaces, palettes, self.to_marks(latents)], dim=1)

    def kind_scores(self) -> Tensor:
        """Return the matrix (D, n_kinds) that maps latents to scores of kinds; each row is centred to a mean of 0."""
        weight = self.to_kind.weight
        return (weight - weight.mean(dim=0)).T


def weigh_kinds(scores: Tensor) -> Tensor:
    """Return a differentiable weight of each kind of marks, (B, n_kinds), from scores (B, n_kinds).

    Only the two kinds with the highest scores have a weight above 0; the two weights sum to 1. The weight of the second
    kind is 1/2 if its score equals that of the first, and 0 if it equals that of the third. Weights are therefore
    continuous when the order of kinds changes.
    """
    if scores.shape[1] < 3:
        return functional.one_hot(scores.argmax(dim=1), scores.shape[1]).float()
    top = scores.topk(3, dim=1)
    first, second, third = top.values.T
    share = 0.5 * (1.0 - (first - second) / (first - third).clamp(min=_LEAST_LEAD))
    return torch.zeros_like(scores).scatter(1, top.indices[:, :2], torch.stack([1.0 - share, share], dim=1))


class LookPredictor(nn.Module):
    """Surrogate model of the painter: predicts the visual features (B, F) of the paintings of latents (B, D)."""

    def __init__(self, n_features: int, inputs: PredictorInputs | None) -> None:
        super().__init__()
        self.inputs = inputs
        size = LATENT_DIM if inputs is None else inputs(torch.zeros(1, LATENT_DIM)).shape[1]
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
        """Return the predicted visual features (B, F) of the paintings of latents (B, D)."""
        inputs = latents if self.inputs is None else self.inputs(latents)
        features: Tensor = self.linear(inputs) + self.perceptron(inputs)
        return features


def fit_predictor(
    latents: Float64, features: Float64, inputs: PredictorInputs | None, *, steps: int, seed: int
) -> tuple[LookPredictor, float]:
    """Train a predictor of visual features, and return it with the fraction of their variance that it explains.

    The training data are latents (m, D) and the visual features (m, F) of their paintings; an eighth of them is used
    for validation. ``inputs`` computes the inputs of the predictor from latents; with None, the inputs are the latents
    themselves.

    Returns
    -------
    predictor : LookPredictor
        The predictor, with the weights of the validated step that had the largest `explained`.
    explained : float
        Fraction of the variance of visual features that the predictor explains, on the validation data.
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
    """The n training songs of `fit_by_surrogate`."""

    components: Float64  # (n, P), principal components of the song codes
    halves: Float64  # (n, 2, P), principal components of the first and of the second half of each song
    scores: Float64  # (n, G), normal scores in the cross-modal correspondences; G may be 0
    start: Float64  # (n, D), latents from which the descent starts


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

    The terms (name -> value) are those of the last step of the fit. The objective, which is maximised, is "geometry",
    the correlation between distances of songs and distances of their predicted visual features, minus five penalties,
    each multiplied by the setting of the recipe with this name:

    - `correspondence_weight`: the mean of (1 - r)^2 over the cross-modal correspondences, where r is the correlation
      between the scores of songs and the scores of their predicted visual features; because of the square, weak
      correspondences count most (the term "correspondences" is the mean of r),
    - `fill`: squared sliced Wasserstein distance (Bonneel et al. 2015) between the latents of songs and of art,
    - `fill_features`: the same distance between visual features,
    - `fill_correspondences`: squared Wasserstein distance between correspondence scores,
    - `steady_kinds`: variance of the scores of kinds of marks within songs, divided by their variance between songs
      (Fisher 1936).

    Without the penalties of `fill`, `fill_features` and `fill_correspondences`, songs gather where the painter is
    smoothest. Before visual features are predicted, normal noise with the standard deviation `jitter` is added to the
    latents of songs, so that the fit generalises to new songs. The dropout of the predictor is on during the fit only.

    Parameters
    ----------
    latents : (m, D)
        Latents of real art.
    features : (m, F)
        Visual features, measured on the paintings of these latents. Predicted features would vary less than measured
        ones, and the pictures of songs would then differ by a fifth less.
    to_scores : (F, G)
        Matrix from visual features to correspondence scores.
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # dropout uses the global generator
    predictor.train()  # with dropout, the fit cannot exploit errors of single units of the predictor
    components, song_scores, art_latents, art_features, to_scores_of = map(
        _tensor, (songs.components, songs.scores, latents, features, to_scores)
    )
    song_distances = torch.pdist(components)
    within = _tensor(songs.halves[:, 0] - songs.halves[:, 1])
    within_songs, between_songs = within.T @ within / (2 * len(within)), torch.cov(components.T)
    kind_scores = None if predictor.inputs is None else predictor.inputs.kind_scores()
    feature_variance = art_features.var(dim=0).mean()
    has_scores = song_scores.shape[1] > 0

    def negative_objective(weights: Tensor, offset: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        placed = components @ weights + offset
        art = torch.randint(len(art_latents), (len(components),), generator=generator)
        features = predictor(placed + recipe.jitter * torch.randn(placed.shape, generator=generator))
        geometry = _correlation(song_distances, torch.pdist(features))
        pairs = zip(song_scores.T, (features @ to_scores_of).T, strict=True)
        correspondences = torch.stack([_correlation(a, b) for a, b in pairs]) if has_scores else torch.zeros(1)
        gap = sliced_distance(placed, art_latents[art], generator)
        gap_features = sliced_distance(features, art_features[art], generator) / feature_variance
        gap_scores = unsteady_kinds = torch.zeros(())
        if has_scores:
            gap_scores = _column_distance(features @ to_scores_of, art_features[art] @ to_scores_of)
        if kind_scores is not None:
            unsteady_kinds = _variance_ratio(weights @ kind_scores, within_songs, between_songs)
        gain = geometry - recipe.correspondence_weight * (1 - correspondences).square().mean()
        filled = recipe.fill * gap + recipe.fill_features * gap_features + recipe.fill_correspondences * gap_scores
        return filled + recipe.steady_kinds * unsteady_kinds - gain, {
            "geometry": geometry,
            "correspondences": correspondences.mean(),
            "gap": gap,
            "gap_features": gap_features,
            "gap_correspondences": gap_scores,
            "unsteady_kinds": unsteady_kinds,
        }

    # Solved in double precision: in single precision, the last digits vary from call to call, and the descent amplifies
    # that.
    inputs = np.column_stack([songs.components, np.ones(len(songs.components))])
    solution = np.linalg.lstsq(inputs, songs.start, rcond=None)[0]
    weights, offset = (_tensor(part).requires_grad_() for part in (solution[:-1], solution[-1]))
    optimizer = torch.optim.Adam([weights, offset], lr=_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.descent_steps)
    terms: dict[str, Tensor] = {}
    for _ in range(recipe.descent_steps):
        loss, terms = negative_objective(weights, offset)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    predictor.eval()
    last = {name: value.item() for name, value in terms.items()}
    return weights.detach().double().numpy(), offset.detach().double().numpy(), last


def sliced_distance(a: Tensor, b: Tensor, generator: torch.Generator) -> Tensor:
    """Return the squared sliced Wasserstein distance of two samples (n, F), averaged over 128 random directions."""
    directions = torch.randn(a.shape[1], _DIRECTIONS, generator=generator)
    directions = directions / directions.norm(dim=0)
    gaps: Tensor = (a @ directions).sort(dim=0).values - (b @ directions).sort(dim=0).values
    return gaps.square().mean()


def _column_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return the squared Wasserstein distance between two samples (n, G) in each column, averaged over the columns.

    In each column, the squared distance is divided by the variance of ``b``.
    """
    apart: Tensor = (a.sort(dim=0).values - b.sort(dim=0).values).square().mean(dim=0) / b.var(dim=0)
    return apart.mean()


def _variance_ratio(scores: Tensor, within: Tensor, between: Tensor) -> Tensor:
    """Return the variance of K scores within songs, divided by their variance between songs.

    Both variances are summed over the scores. Each score is a linear combination of the P components of a song; column
    k of ``scores`` (P, K) has the weights of score k. ``within`` and ``between`` (P, P) are the covariances of the
    components within songs and between songs.
    """
    ratio: Tensor = (scores * (within @ scores)).sum() / (scores * (between @ scores)).sum()
    return ratio


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    a, b = a - a.mean(), b - b.mean()
    correlation: Tensor = (a * b).sum() / (a.norm() * b.norm() + 1e-9)
    return correlation


def _tensor(values: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).float()
