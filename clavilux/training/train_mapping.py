"""Fit the MappingNetwork, which maps song codes to latents of the ImageVAE.

There are no pairs of songs and pictures. The fit compares the distribution of songs with the distribution of real art,
and uses the cross-modal correspondences of `clavilux.measures.crossmodal`:

song codes -> principal components -> transport to latents of art -> regression -> recolouring

The transport assigns latents to the training songs only; the regression predicts latents for new songs. Recolouring
gives its predictions the mean and the covariance of the latents of art. The method "look-preserving" then improves the
mapping by gradient descent (`clavilux.training.fit_by_surrogate`).

Legend: n songs, P components, m pictures, D latent dimensions (64), G correspondences.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.distance import pdist

from clavilux.constants import LATENT_DIM, SONG_LIMIT
from clavilux.errors import TrainingError
from clavilux.measures.crossmodal import CORRESPONDENCES, correspondence_values
from clavilux.measures.diversity import distances
from clavilux.measures.similarity import spearman
from clavilux.measures.transport import (
    Float64,
    fused_plan,
    normal_scores,
    pca_match,
    principal_components,
    recolouring,
    ridge,
)
from clavilux.models.mapping_network import MappingNetwork, PerceptronMapping
from clavilux.training.fit_by_surrogate import PredictorInputs, SongsToFit, fit_by_surrogate, fit_predictor
from clavilux.training.pace import using_threads
from clavilux.training.recipe import MappingRecipe
from clavilux.training.songs import SongCodes, song_weights
from clavilux.training.visual_features import Art, correspondences_of_features

_DEVIATION_FLOOR = 0.25  # times the median deviation: a latent dimension that differs less between songs is noise
_KERNEL_STRENGTH = 0.3  # ridge of the kernel regression, in units of the kernel's mean eigenvalue
_FOLDS = 5
_FEATURES_RIDGE = 1e-2
_TRANSPORT_PICTURES = 2_000  # the cost of the transport grows with the square of their number
_SONGS_PER_COMPONENT = 3
_NEIGHBOUR = 10
_NO_VARIETY = 1e-9  # standard deviation
_TOO_SIMILAR = "mapping: the songs are too similar to each other, or the pictures are; add different ones"
_SIMULATED_SONGS = 1_500  # painted after each round of the method "look-preserving"

Log = Callable[[str], None]
Measure = Callable[[Float64], Art]


def fit_mapping(
    songs: SongCodes,
    art: Art,
    recipe: MappingRecipe,
    *,
    seed: int,
    log: Log,
    more_art: Art | None = None,
    inputs: PredictorInputs | None = None,
    measure: Measure | None = None,
) -> MappingNetwork:
    """Return a mapping that is fitted on training songs and training art.

    The method "pca-match" assigns a latent to each training song (`pca_match`), fits a linear regression to these
    latents, and transforms its predictions to the mean and the covariance of the latents of art (`recolouring`). The
    method "fused-gromov-wasserstein" differs in two steps: it assigns latents by a transport plan (`fused_plan`), and
    its regression has Gaussian kernels. The method "look-preserving" starts from the result of
    "fused-gromov-wasserstein" and continues with `fit_by_surrogate`.

    Parameters
    ----------
    more_art : Art, optional
        Additional training data of the look predictor of "look-preserving", with visual features in the scale of `art`.
    inputs : PredictorInputs, optional
        Computes the inputs of the look predictor; by default, its inputs are the latents themselves.
    measure : callable, optional
        Function that paints latents and returns them as `Art`, with visual features in the scale of `art`. After each
        round of "look-preserving" except the last, it is called with latents of simulated songs, and the result is
        added to the training data of the look predictor. Without this function, there is only one round.
    """
    space = _fit_song_space(songs, recipe)
    components = space.components(songs.codes)
    n_correspondences = len(CORRESPONDENCES) if recipe.structure < 1 else 0
    song_scores = normal_scores(correspondence_values(songs.descriptors, "descriptors")[:, :n_correspondences])
    placed = _place_songs(components, song_scores, art, recipe, seed=seed)
    scale = None if recipe.method == "pca-match" else float(np.median(pdist(components)))
    weights, offset = _fit_recoloured_regression(components, placed, art.latents, scale, seed=seed)
    if recipe.method == "look-preserving":
        fit = SongsToFit(
            components=components,
            halves=space.components(songs.halves),
            scores=song_scores,
            start=_basis(components, components, scale) @ weights + offset,
        )
        paintings = [art] if more_art is None else [art, more_art]
        with using_threads(1):  # several add numbers in varying order, and hundreds of steps amplify the difference
            weights, offset = _fit_in_rounds(fit, paintings, recipe, seed=seed, log=log, inputs=inputs, measure=measure)
        scale = None
    network = _build_network(space, weights, offset, components, scale)
    n_components = components.shape[1]
    log(f"mapping: {recipe.method}, {len(components)} songs, {len(art.latents)} pictures, {n_components} components")
    return network


@dataclass(frozen=True)
class _SongSpace:
    """Projection of song codes (n, S) to principal components (n, P).

    ``mean`` and ``deviation`` (S,) standardise song codes. The columns of ``directions`` (S, P) are the principal
    directions of codes that are also weighted. The weights (`song_weights`) are multiplied into ``directions``, so
    codes need only be standardised.
    """

    mean: Float64
    deviation: Float64
    directions: Float64

    def components(self, codes: Float64) -> Float64:
        return np.asarray(_standardise(codes, self.mean, self.deviation) @ self.directions)


def _fit_song_space(songs: SongCodes, recipe: MappingRecipe) -> _SongSpace:
    # At least three songs for each component, because the last components of few songs are noise: with ten components
    # of eleven songs, new songs were mapped a thousand times too far.
    n_components = min(recipe.components, len(songs.codes) // _SONGS_PER_COMPONENT, songs.codes.shape[1])
    mean, deviation = songs.codes.mean(0), songs.codes.std(0)
    floor = np.full_like(deviation, 1e-9)  # descriptors have different units, so no common floor fits them
    floor[:LATENT_DIM] = _DEVIATION_FLOOR * np.median(deviation[:LATENT_DIM])
    deviation = np.maximum(deviation, floor)
    weights = song_weights(songs, recipe)
    directions = principal_components(_standardise(songs.codes, mean, deviation) * weights, n_components)
    return _SongSpace(mean, deviation, weights[:, None] * directions)


def _standardise(codes: Float64, mean: Float64, deviation: Float64) -> Float64:
    return np.clip((codes - mean) / deviation, -SONG_LIMIT, SONG_LIMIT)


def _place_songs(components: Float64, song_scores: Float64, art: Art, recipe: MappingRecipe, *, seed: int) -> Float64:
    """Return the latents (n, D) to which the method of the recipe assigns the training songs."""
    picture_scores = normal_scores(art.correspondences[:, : song_scores.shape[1]])
    if recipe.method == "pca-match":
        return pca_match(components, song_scores, art.latents, picture_scores)
    chosen = np.random.default_rng(seed).permutation(len(art.latents))[:_TRANSPORT_PICTURES]
    latents = art.latents[chosen]
    # Distances between pictures are those of the visual features that a linear model predicts from their latents.
    to_features = ridge(art.latents, art.visual_features, _FEATURES_RIDGE)[0]
    plan = fused_plan(components, song_scores, latents, picture_scores[chosen], latents @ to_features, recipe.structure)
    return np.asarray(plan @ latents / plan.sum(axis=1, keepdims=True))


def _fit_recoloured_regression(
    components: Float64, placed: Float64, art: Float64, scale: float | None, *, seed: int
) -> tuple[Float64, Float64]:
    """Return weights and offset of a regression from components to latents, transformed by `recolouring`.

    The regression has Gaussian kernels of width `scale`; if `scale` is None, it is linear. The transformation is
    estimated on predictions for held-out songs (five folds). Like predictions for new songs, they vary less than
    predictions for the songs to which the regression was fitted.
    """
    held_out = np.empty_like(placed)
    folds = np.random.default_rng(seed).permutation(len(components)) % _FOLDS
    for fold in range(_FOLDS):
        rest = folds != fold
        weights, offset = _regress(components[rest], placed[rest], scale)
        held_out[~rest] = _basis(components[~rest], components[rest], scale) @ weights + offset
    weights, offset = _regress(components, placed, scale)
    matrix, shift = recolouring(held_out, art)
    return weights @ matrix, offset @ matrix + shift


def _regress(inputs: Float64, outputs: Float64, scale: float | None) -> tuple[Float64, Float64]:
    """Return weights and offset of a ridge regression from inputs to outputs, with the functions of `_basis`."""
    if scale is None:
        return ridge(inputs, outputs, 1e-6)
    offset = outputs.mean(0)
    kernel = _basis(inputs, inputs, scale)
    strength = _KERNEL_STRENGTH * np.trace(kernel) / len(kernel)
    return np.linalg.solve(kernel + strength * np.eye(len(kernel)), outputs - offset), offset


def _basis(inputs: Float64, centres: Float64, scale: float | None) -> Float64:
    """Return the basis functions of a regression, evaluated at inputs: Gaussians of width `scale` around centres.

    If `scale` is None, return the inputs themselves.
    """
    if scale is None:
        return inputs
    square = (inputs**2).sum(1)[:, None] + (centres**2).sum(1)[None] - 2 * inputs @ centres.T
    return np.asarray(np.exp(-0.5 * np.maximum(square, 0) / scale**2))


def _fit_in_rounds(
    songs: SongsToFit,
    paintings: list[Art],
    recipe: MappingRecipe,
    *,
    seed: int,
    log: Log,
    inputs: PredictorInputs | None,
    measure: Measure | None,
) -> tuple[Float64, Float64]:
    """Return weights (P, D) and offset (D,) of a linear map, fitted by one or more rounds of `fit_by_surrogate`.

    The look predictor is trained on all items of `paintings`. The latents of songs are fitted to the distribution of
    the first item. After each round except the last, latents of simulated songs are painted and added to the training
    data. Otherwise, the predictor would have little data near the latents of songs, and the fit would exploit its
    errors there.
    """
    art, rng = paintings[0], np.random.default_rng(seed)
    to_scores = correspondences_of_features(art.visual_features.shape[1])[:, : songs.scores.shape[1]]
    components = songs.components
    for number in range(1, recipe.rounds + 1):
        latents = np.concatenate([p.latents for p in paintings])
        features = np.concatenate([p.visual_features for p in paintings])
        predictor, predicted = fit_predictor(latents, features, inputs, steps=recipe.predictor_steps, seed=seed)
        weights, offset, terms = fit_by_surrogate(
            songs, art.latents, art.visual_features, to_scores, predictor, recipe, seed=seed
        )
        figures = ", ".join(f"{name} {value:.3f}" for name, value in terms.items())
        log(f"mapping: round {number}, visual features predicted {predicted:.3f}; training songs: {figures}")
        if measure is None or number == recipe.rounds:
            break
        songs = dataclasses.replace(songs, start=components @ weights + offset)
        simulated = rng.multivariate_normal(components.mean(axis=0), np.cov(components.T), _SIMULATED_SONGS)
        placed = simulated @ weights + offset
        paintings = [*paintings, measure(placed + recipe.jitter * rng.standard_normal(placed.shape))]
    return weights, offset


def _build_network(
    space: _SongSpace, weights: Float64, offset: Float64, centres: Float64, scale: float | None
) -> MappingNetwork:
    """Return a `MappingNetwork` with the weights and the offset of a fitted regression.

    The regression has Gaussian kernels of width `scale` around `centres`; if `scale` is None, it is linear.
    """
    n_songs, n_components = space.directions.shape
    n_centres = 0 if scale is None else len(centres)
    network = MappingNetwork(song_dim=n_songs, n_components=n_components, n_centres=n_centres)
    with torch.no_grad():
        network.song_mean.copy_(torch.from_numpy(space.mean))
        network.song_deviation.copy_(torch.from_numpy(space.deviation))
        network.components.weight.copy_(torch.from_numpy(space.directions.T.copy()))
        if scale is None:
            network.straight.weight.copy_(torch.from_numpy(weights.T.copy()))
        else:
            network.straight.weight.zero_()
            network.centres.copy_(torch.from_numpy(centres))
            network.log_scale.fill_(math.log(scale))
            network.pull.copy_(torch.from_numpy(weights))
        network.straight.bias.copy_(torch.from_numpy(offset))
    return network.eval()


@contextmanager
def refuse_degenerate() -> Iterator[None]:
    """Turn a `LinAlgError` of the ``with`` block into a `TrainingError`; data without variety cause such errors."""
    try:
        yield
    except np.linalg.LinAlgError as error:
        raise TrainingError(f"{_TOO_SIMILAR} ({error})") from error


def check_variety(songs: SongCodes, latents: Float64) -> None:
    """Raise an error if song codes or latents (n, 64) of pictures cannot be used for a mapping.

    Raises
    ------
    TrainingError
        If all song codes are equal, all latents are equal, or a value is not finite.
    """
    for what, values in (("songs", songs.codes), ("pictures", latents)):
        if not np.isfinite(values).all():
            raise TrainingError(f"mapping: codes of {what} are not finite; train the networks again in another --run")
        if values.std(axis=0).max() < _NO_VARIETY:
            raise TrainingError(f"{_TOO_SIMILAR} (all {what} have the same code)")


def map_songs(network: MappingNetwork | PerceptronMapping, songs: SongCodes) -> Float64:
    """Return the latents (n, 64) float64 to which a network maps n songs."""
    with torch.no_grad():
        return np.asarray(network(torch.from_numpy(songs.codes).float()).double().numpy())


def mapping_figures(
    network: MappingNetwork | PerceptronMapping, songs: SongCodes, art: Art, painted: Art
) -> dict[str, float]:
    """Return measures of a mapping on validation songs.

    ``painted`` has the latents to which the network maps these songs, and measurements of their paintings. ``art`` is
    the art to which the network was fitted. The measures are

    - "variance_ratio", the total variance of the latents of songs, divided by that of the latents of art; 1 is ideal,
      and 0 means that all songs have the same latent,
    - "geometry", the Spearman correlation of distances between songs and distances between their latents,
    - for each cross-modal correspondence, by its name, the Spearman correlation of the scores of songs and paintings.
    """
    components = songs.codes
    if isinstance(network, MappingNetwork):
        with torch.no_grad():
            components = network.to_components(torch.from_numpy(songs.codes).float()).double().numpy()
    figures = {
        "variance_ratio": float(np.trace(np.cov(painted.latents.T)) / np.trace(np.cov(art.latents.T))),
        "geometry": spearman(pdist(components), pdist(painted.latents)),
    }
    song_scores = correspondence_values(songs.descriptors, "descriptors")
    for i, correspondence in enumerate(CORRESPONDENCES):
        figures[correspondence.name] = spearman(song_scores[:, i], painted.correspondences[:, i])
    return figures


def local_spread(latents: Float64) -> float:
    """Return the length of the step in the latent space from the picture of a song to a variation of the picture.

    The length is a third of the median distance between latents of art (n, 64) and their tenth nearest neighbours.
    """
    place = min(_NEIGHBOUR, len(latents) - 1)
    tenth = np.partition(distances(latents, latents), place, axis=1)[:, place]
    return float(np.median(tenth) / 3)
