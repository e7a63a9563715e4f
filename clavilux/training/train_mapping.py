"""Fit the MappingNetwork, which maps song codes to latents of the ImageVAE.

There are no pairs of songs and pictures. The fit compares the distribution of songs with the distribution of real art,
and uses the cross-modal correspondences of `clavilux.measures.crossmodal`.

song codes -> principal components -> transport to latents of art -> regression that new songs can use -> recolouring
           -> for "look-preserving": gradient descent from there (`clavilux.training.fit_by_surrogate`)

Legend: n songs, P components, m pictures, D latent dimensions (64), G correspondences.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from clavilux.constants import LATENT_DIM
from clavilux.errors import TrainingError
from clavilux.measures.crossmodal import CORRESPONDENCES, correspondence_values
from clavilux.measures.transport import (
    Float64,
    fused_gromov_wasserstein,
    normal_scores,
    pca_match,
    principal_components,
    recolouring,
    ridge,
)
from clavilux.models.mapping_network import LIMIT, MappingNetwork, PerceptronMapping
from clavilux.training.fit_by_surrogate import PredictorInputs, SongsToFit, fit_by_surrogate, fit_predictor
from clavilux.training.recipe import MappingRecipe
from clavilux.training.songs import SongCodes, song_weights
from clavilux.training.visual_features import Art, correspondences_of_features

_DEVIATION_FLOOR = 0.25  # of the median deviation: a latent that hardly differs between songs is noise
_KERNEL_STRENGTH = 0.3  # ridge of the kernel regression, in units of the kernel's mean eigenvalue
_FOLDS = 5
_FEATURES_RIDGE = 1e-2
_TRANSPORT_PICTURES = 2_000  # the cost of the transport grows with their square
_SONGS_PER_COMPONENT = 3
_NEIGHBOUR = 10
_NO_VARIETY = 1e-9  # standard deviation
_TOO_SIMILAR = "mapping: the songs or the pictures are too similar to each other; add ones that differ"
_SIMULATED_SONGS = 1_500  # painted after each round of a look-preserving fit

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
    """Return a mapping that is fitted on training songs and latents of training art.

    The methods "pca-match" and "fused-gromov-wasserstein" assign a latent to each training song. A linear or a kernel
    regression extends this to new songs, and a recolouring gives their latents the mean and the covariance of art. The
    method "look-preserving" starts from the result of "fused-gromov-wasserstein".

    Parameters
    ----------
    songs : SongCodes
        Training songs.
    art : Art
        Latents and visual features of training art.
    recipe : MappingRecipe
    seed : int
    log : callable
        Receives lines about progress.
    more_art : Art, optional
        More latents with visual features in the scale of `art`, to train the look predictor of "look-preserving".
    inputs : PredictorInputs, optional
        Inputs of the look predictor; the latents themselves without it.
    measure : callable, optional
        Paints latents and measures them in the scale of `art`. With it, each round of "look-preserving" trains the
        predictor also on paintings of latents to which songs are mapped; without it, one round is enough.
    """
    space = _SongSpace.fit(songs, recipe)
    components = space.components(songs.codes)
    n_correspondences = len(CORRESPONDENCES) if recipe.structure < 1 else 0
    song_scores = normal_scores(correspondence_values(songs.descriptors, "descriptors")[:, :n_correspondences])
    placed = _place_songs(components, song_scores, art, recipe, seed=seed)
    linear = recipe.method == "pca-match"
    scale = float(np.median(pdist(components)))
    weights, offset = _fit_recoloured_regression(
        _fit_linear if linear else _kernel_ridge(scale), components, placed, art.latents, seed=seed
    )
    if recipe.method == "look-preserving":
        fit = SongsToFit(
            components=components,
            halves=space.components(songs.halves),
            scores=song_scores,
            start=_kernel(components, components, scale) @ weights + offset,
        )
        paintings = [art] if more_art is None else [art, more_art]
        with _one_thread():
            weights, offset = _fit_in_rounds(fit, paintings, recipe, seed=seed, log=log, inputs=inputs, measure=measure)
        linear = True
    network = _build_network(space, weights, offset, None if linear else components, scale)
    n_components = components.shape[1]
    log(f"mapping: {recipe.method}, {len(components)} songs, {len(art.latents)} pictures, {n_components} components")
    return network


@dataclass(frozen=True)
class _SongSpace:
    """Standardisation of song codes and their weighted principal directions, (S, P)."""

    mean: Float64
    deviation: Float64
    directions: Float64

    @classmethod
    def fit(cls, songs: SongCodes, recipe: MappingRecipe) -> _SongSpace:
        # Three songs for a component, because the last components of few songs are noise: from eleven songs in ten
        # components, new songs were mapped a thousand times too far.
        n_components = min(recipe.components, len(songs.codes) // _SONGS_PER_COMPONENT, songs.codes.shape[1])
        mean, deviation = songs.codes.mean(0), songs.codes.std(0)
        floor = np.full_like(deviation, 1e-9)  # descriptors have different units, so no common floor fits them
        floor[:LATENT_DIM] = _DEVIATION_FLOOR * np.median(deviation[:LATENT_DIM])
        space = cls(mean, np.maximum(deviation, floor), np.eye(len(mean)))
        weights = song_weights(songs, recipe)
        directions = principal_components(space.standardise(songs.codes) * weights, n_components)
        return cls(mean, space.deviation, weights[:, None] * directions)

    def standardise(self, codes: Float64) -> Float64:
        return np.clip((codes - self.mean) / self.deviation, -LIMIT, LIMIT)

    def components(self, codes: Float64) -> Float64:
        return np.asarray(self.standardise(codes) @ self.directions)


def _place_songs(components: Float64, song_scores: Float64, art: Art, recipe: MappingRecipe, *, seed: int) -> Float64:
    """Return a latent for each training song, (n, D)."""
    picture_scores = normal_scores(art.correspondences[:, : song_scores.shape[1]])
    if recipe.method == "pca-match":
        return pca_match(components, song_scores, art.latents, picture_scores)
    chosen = np.random.default_rng(seed).permutation(len(art.latents))[:_TRANSPORT_PICTURES]
    latents = art.latents[chosen]
    # Distances between pictures are those of the visual features that a linear model predicts from their latents.
    to_features = ridge(art.latents, art.visual_features, _FEATURES_RIDGE)[0]
    return fused_gromov_wasserstein(
        components, song_scores, latents, picture_scores[chosen], latents @ to_features, recipe.structure
    )


Predict = Callable[[Float64], Float64]
Fitted = tuple[Predict, tuple[Float64, Float64]]


def _fit_recoloured_regression(
    regress: Callable[[Float64, Float64], Fitted], components: Float64, placed: Float64, art: Float64, *, seed: int
) -> tuple[Float64, Float64]:
    """Return weights and offset of a regression from components to latents, recoloured to the latents of art.

    The recolouring is estimated on predictions for held-out songs (five folds): a regression shrinks them more than the
    songs that it was fitted on.
    """
    held_out = np.empty_like(placed)
    folds = np.random.default_rng(seed).permutation(len(components)) % _FOLDS
    for fold in range(_FOLDS):
        rest = folds != fold
        held_out[~rest] = regress(components[rest], placed[rest])[0](components[~rest])
    _, (weights, offset) = regress(components, placed)
    matrix, shift = recolouring(held_out, art)
    return weights @ matrix, offset @ matrix + shift


def _fit_linear(inputs: Float64, outputs: Float64) -> Fitted:
    weights, offset = ridge(inputs, outputs, 1e-6)
    return lambda x: x @ weights + offset, (weights, offset)


def _kernel_ridge(scale: float) -> Callable[[Float64, Float64], Fitted]:
    def fit(inputs: Float64, outputs: Float64) -> Fitted:
        offset = outputs.mean(0)
        kernel = _kernel(inputs, inputs, scale)
        strength = _KERNEL_STRENGTH * np.trace(kernel) / len(kernel)
        weights = np.linalg.solve(kernel + strength * np.eye(len(kernel)), outputs - offset)
        return lambda x: _kernel(x, inputs, scale) @ weights + offset, (weights, offset)

    return fit


def _kernel(a: Float64, b: Float64, scale: float) -> Float64:
    square = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
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
    """Return weights (P, D) and offset by `fit_by_surrogate`; the first of `paintings` is the art to be covered.

    After each round but the last, simulated songs are mapped, painted and added to the training data of the predictor:
    where the songs go, it had little data, and the fit exploits its errors there.
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
        songs = songs.starting_at(components @ weights + offset)
        simulated = rng.multivariate_normal(components.mean(axis=0), np.cov(components.T), _SIMULATED_SONGS)
        placed = simulated @ weights + offset
        paintings = [*paintings, measure(placed + recipe.jitter * rng.standard_normal(placed.shape))]
    return weights, offset


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread: several add numbers in varying order, and hundreds of steps amplify the difference."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _build_network(
    space: _SongSpace, weights: Float64, offset: Float64, centres: Float64 | None, scale: float
) -> MappingNetwork:
    """Return a network with the fitted weights: of a kernel regression with these centres, else of a linear one."""
    n_songs, n_components = space.directions.shape
    n_centres = 0 if centres is None else len(centres)
    network = MappingNetwork(song_dim=n_songs, n_components=n_components, n_centres=n_centres)
    with torch.no_grad():
        network.song_mean.copy_(torch.from_numpy(space.mean))
        network.song_deviation.copy_(torch.from_numpy(space.deviation))
        network.components.weight.copy_(torch.from_numpy(space.directions.T.copy()))
        if centres is None:
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
    """Raise a `TrainingError` for a `LinAlgError` of the ``with`` block; data without variety cause such errors."""
    try:
        yield
    except np.linalg.LinAlgError as error:
        raise TrainingError(f"{_TOO_SIMILAR} ({error})") from error


def check_variety(songs: SongCodes, latents: Float64) -> None:
    """Raise an error if the songs, or the latents (n, 64) of pictures, do not differ from each other.

    Raises
    ------
    TrainingError
        If all song codes or all latents are equal, or one of them is not finite.
    """
    for what, values in (("songs", songs.codes), ("pictures", latents)):
        if not np.isfinite(values).all():
            raise TrainingError(f"mapping: codes of {what} are not finite; train the networks again in another --run")
        if values.std(axis=0).max() < _NO_VARIETY:
            raise TrainingError(f"{_TOO_SIMILAR} (all {what} have the same code)")


def map_songs(network: MappingNetwork | PerceptronMapping, songs: SongCodes) -> Float64:
    """Return z_image (n, 64) float64 of n songs."""
    with torch.no_grad():
        return np.asarray(network(torch.from_numpy(songs.codes).float()).double().numpy())


def mapping_figures(
    network: MappingNetwork | PerceptronMapping, songs: SongCodes, art: Art, painted: Art
) -> dict[str, float]:
    """Return measures of a mapping on songs that it was not fitted on.

    Parameters
    ----------
    network : MappingNetwork or PerceptronMapping
    songs : SongCodes
        Validation songs.
    art : Art
        The art that the mapping was fitted to.
    painted : Art
        Latents and paintings of the songs.

    Returns
    -------
    dict
        "variance_ratio": total variance of the latents of songs, divided by that of art; 1 is ideal, 0 is a collapse.
        "geometry": Spearman correlation of distances between songs and distances between their latents. For each
        cross-modal correspondence, its name: Spearman correlation of the scores of songs and paintings.
    """
    components = songs.codes
    if isinstance(network, MappingNetwork):
        with torch.no_grad():
            components = network.to_components(torch.from_numpy(songs.codes).float()).double().numpy()
    figures = {
        "variance_ratio": float(np.trace(np.cov(painted.latents.T)) / np.trace(np.cov(art.latents.T))),
        "geometry": _rank_correlation(pdist(components), pdist(painted.latents)),
    }
    song_scores = correspondence_values(songs.descriptors, "descriptors")
    for i, correspondence in enumerate(CORRESPONDENCES):
        figures[correspondence.name] = _rank_correlation(song_scores[:, i], painted.correspondences[:, i])
    return figures


def _rank_correlation(a: Float64, b: Float64) -> float:
    """Return Spearman's correlation; 0 where one side is constant, as after a collapse."""
    return float(spearmanr(a, b).statistic) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0


def local_spread(latents: Float64) -> float:
    """Return the length of the step of a variation, for latents (n, 64) of art.

    It is a third of the median distance of a latent to its tenth nearest neighbour.
    """
    square = (latents**2).sum(1)[:, None] + (latents**2).sum(1)[None] - 2 * latents @ latents.T
    place = min(_NEIGHBOUR, len(latents) - 1)
    tenth = np.sqrt(np.maximum(np.partition(square, place, axis=1)[:, place], 0))
    return float(np.median(tenth) / 3)
