"""Maps from the distribution of songs to that of pictures, fitted without pairs.

Shapes: n songs with S numbers each, m pictures with D latent dimensions, C cross-modal correspondences.

`songs` and `pictures` are standardised by the caller. `song_scores` (n, C) and `picture_scores` (m, C) are the scores
of the correspondences (`clavilux.measures.crossmodal`) as normal scores, so that both sides have one scale. Without
correspondences (C = 0) the shapes of the two distributions decide alone.

Ridge regression, principal components and the map between Gaussians are a few lines of NumPy each, so that `clavilux
evaluate` needs neither scikit-learn nor POT.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

Float64 = NDArray[np.float64]


def normal_scores(values: NDArray[np.floating]) -> Float64:
    """Return the normal scores (n, C) of the columns of values (n, C): ranks mapped to quantiles of N(0, 1)."""
    ranks = rankdata(values, axis=0)
    return np.asarray(norm.ppf((ranks - 0.5) / len(values)), np.float64)


def ridge(inputs: Float64, outputs: Float64, strength: float) -> tuple[Float64, Float64]:
    """Return weights (S, D) and offset (D,) of a ridge regression from inputs (n, S) to outputs (n, D).

    `strength` is the penalty, in units of the mean variance of the inputs.
    """
    mean_in, mean_out = inputs.mean(0), outputs.mean(0)
    centred = inputs - mean_in
    gram = centred.T @ centred / len(inputs)
    gram += strength * np.trace(gram) / len(gram) * np.eye(len(gram))
    weights = np.linalg.solve(gram, centred.T @ (outputs - mean_out) / len(inputs))
    return weights, mean_out - mean_in @ weights


def recolouring(cloud: Float64, target: Float64) -> tuple[Float64, Float64]:
    """Return the optimal transport map from points `cloud` (n, D) to points `target` (m, D), both taken as Gaussian.

    A regression predicts too small a variance for new songs; this map restores the variance of the target.

    Returns
    -------
    matrix : (D, D)
        Sc^-1/2 (Sc^1/2 St Sc^1/2)^1/2 Sc^-1/2 for the covariances Sc of `cloud` and St of `target` (Peyre & Cuturi
        2019, remark 2.31).
    offset : (D,)
        y = x @ matrix + offset has the mean and the covariance of `target` for x in `cloud`.
    """
    return recolouring_to(cloud, target.mean(0), np.cov(target.T))


def recolouring_to(cloud: Float64, mean: Float64, covariance: Float64) -> tuple[Float64, Float64]:
    """Return the map of `recolouring` from points `cloud` (n, D) to a Gaussian with mean (D,) and covariance (D, D)."""
    present = np.cov(cloud.T) + 1e-6 * np.eye(cloud.shape[1])
    root, inverse_root = _power(present, 0.5), _power(present, -0.5)
    matrix = inverse_root @ _power(root @ covariance @ root, 0.5) @ inverse_root
    return matrix, mean - cloud.mean(0) @ matrix


def _power(symmetric: Float64, exponent: float) -> Float64:
    """Return a power of a symmetric positive matrix; eigenvalues below 1e-9 count as 1e-9."""
    values, vectors = np.linalg.eigh(symmetric)
    return np.asarray((vectors * np.maximum(values, 1e-9) ** exponent) @ vectors.T)


def principal_components(cloud: Float64, n: int) -> Float64:
    """Return the n leading principal axes, as columns (S, n), of points (N, S).

    The sign of each axis is chosen so that its entry with the largest absolute value is positive.
    """
    _, _, rows = np.linalg.svd(cloud - cloud.mean(0), full_matrices=False)
    rows = rows[:n]
    signs = np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)])
    return np.asarray((rows * signs[:, None]).T)


def pca_match(songs: Float64, song_scores: Float64, pictures: Float64, picture_scores: Float64) -> Float64:
    """Return latents (n, D) for songs, by a linear map in closed form.

    The Gromov-Wasserstein optimal map between Gaussians matches principal components in the order of their variance
    (Delon, Desolneux & Salmona 2022). It does not determine their signs, and the latents of a VAE are nearly isotropic,
    so their components mean little. Therefore the C directions of the latent space that best predict the scores of
    pictures first get the scores of songs. The remaining principal components of the songs are then mapped to the
    remaining directions, in order. The module docstring describes the arguments.
    """
    white = _whitener(pictures)
    directions, _ = ridge((pictures - pictures.mean(0)) @ white, picture_scores, 0.05)
    leading = _orthonormal(directions)  # (D, C)
    rest = songs - song_scores @ np.linalg.lstsq(song_scores, songs, rcond=None)[0]
    n_others = pictures.shape[1] - leading.shape[1]
    others = principal_components(rest, min(n_others, np.linalg.matrix_rank(rest)))
    scores = (rest - rest.mean(0)) @ others
    scores = scores / np.maximum(scores.std(axis=0), 1e-6)
    complement = np.linalg.svd(np.eye(len(leading)) - leading @ leading.T)[0][:, : scores.shape[1]]
    placed = _uncorrelated(song_scores) @ leading.T + scores @ complement.T
    return np.asarray(pictures.mean(0) + placed @ np.linalg.pinv(white))


def fused_gromov_wasserstein(
    songs: Float64,
    song_scores: Float64,
    pictures: Float64,
    picture_scores: Float64,
    picture_features: Float64,
    structure: float,
) -> Float64:
    """Return a latent for each song, (n, D): the mean of the latents of pictures, weighted by the `fused_plan`.

    The parameters are those of `fused_plan`.
    """
    plan = fused_plan(songs, song_scores, pictures, picture_scores, picture_features, structure)
    return np.asarray(plan @ pictures / plan.sum(axis=1, keepdims=True))


def fused_plan(
    songs: Float64,
    song_scores: Float64,
    pictures: Float64,
    picture_scores: Float64,
    picture_features: Float64,
    structure: float,
) -> Float64:
    """Return the fused Gromov-Wasserstein plan (n, m), whose entries sum to 1 (Vayer et al. 2020).

    There are three costs, each scaled to a mean of 1: the distances between songs, the distances between the visual
    features of pictures, and the squared differences of scores between songs and pictures. Distances have the weight
    `structure`, scores the weight 1 - `structure`. The solver (POT) finds local minima, so it runs from two starts, and
    the better plan is returned.

    Parameters
    ----------
    songs, song_scores, pictures, picture_scores
        (n, S), (n, C), (m, D), (m, C), see the module.
    picture_features : (m, F)
        Visual features of the pictures.
    structure : float
        From 0 to 1.
    """
    import ot  # only the extra `train` has it; slow to import

    within_songs = ot.dist(songs, songs, "euclidean")
    within_pictures = ot.dist(picture_features, picture_features, "euclidean")
    between = ot.dist(song_scores, picture_scores, "sqeuclidean")
    within_songs /= within_songs.mean()
    within_pictures /= within_pictures.mean()
    between /= max(between.mean(), 1e-9)  # 0 everywhere without correspondences
    song_mass, picture_mass = ot.unif(len(songs)), ot.unif(len(pictures))
    matched = pca_match(songs, song_scores, pictures, picture_scores)
    starts = [
        ot.emd(song_mass, picture_mass, between),
        ot.emd(song_mass, picture_mass, ot.dist(matched, pictures)),
    ]
    plans = []
    for start in starts:
        plan, logged = ot.gromov.fused_gromov_wasserstein(
            between, within_songs, within_pictures, song_mass, picture_mass,
            alpha=structure, G0=start, max_iter=200, log=True,
        )  # fmt: skip
        plans.append((float(logged["fgw_dist"]), plan))
    return np.asarray(min(plans, key=lambda found: found[0])[1])


def _whitener(cloud: Float64) -> Float64:
    """Return the symmetric matrix (D, D) that whitens a cloud (N, D)."""
    return _power(np.cov(cloud.T) + 1e-6 * np.eye(cloud.shape[1]), -0.5)


def _orthonormal(directions: Float64) -> Float64:
    """Return the nearest orthonormal columns (Loewdin 1950), which favours no column, unlike Gram-Schmidt."""
    unit = directions / np.linalg.norm(directions, axis=0)
    left, _, right = np.linalg.svd(unit, full_matrices=False)
    return np.asarray(left @ right)


def _uncorrelated(scores: Float64) -> Float64:
    """Return the nearest centred, uncorrelated columns of unit variance."""
    centred = scores - scores.mean(0)
    return np.asarray(centred @ _power(np.cov(centred.T), -0.5))
