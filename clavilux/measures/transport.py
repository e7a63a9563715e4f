"""Maps from the distribution of songs to that of pictures, fitted without pairs of a song and a picture.

The functions share these arguments:

songs : (n, S)
    Numbers that describe n songs, such as principal components of song codes; standardised by the caller.
pictures : (m, D)
    Latents of m pictures, standardised by the caller.
song_scores : (n, C), picture_scores : (m, C)
    Scores of the songs and of the pictures in C cross-modal correspondences (`clavilux.measures.crossmodal`), converted
    by `normal_scores`, so that both have the same scale. Without correspondences (C = 0), only the shapes of the
    distributions count.

Only `fused_plan` needs POT, and nothing here needs scikit-learn, because `clavilux evaluate` has to work without them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

Float64 = NDArray[np.float64]


def normal_scores(values: NDArray[np.floating]) -> Float64:
    """Return the normal scores (n, C) of values (n, C): ranks within each column, converted to quantiles of N(0, 1)."""
    ranks = rankdata(values, axis=0)
    return np.asarray(norm.ppf((ranks - 0.5) / len(values)), np.float64)


def ridge(inputs: Float64, outputs: Float64, strength: float) -> tuple[Float64, Float64]:
    """Return the weights (S, D) and the offset (D,) of a ridge regression from inputs (n, S) to outputs (n, D).

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

    The predictions of a regression for new songs have too small a variance. This map restores the variance of the
    target: for x in `cloud`, y = x @ matrix + offset has the mean and the covariance of `target`.

    Returns
    -------
    matrix : (D, D)
        Sc^-1/2 (Sc^1/2 St Sc^1/2)^1/2 Sc^-1/2 for the covariances Sc of `cloud` and St of `target` (Peyre & Cuturi
        2019, remark 2.31).
    offset : (D,)
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
    """Return the first n principal axes of points (N, S), as columns (S, n).

    The sign of each axis makes its entry with the largest absolute value positive.
    """
    _, _, rows = np.linalg.svd(cloud - cloud.mean(0), full_matrices=False)
    rows = rows[:n]
    signs = np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)])
    return np.asarray((rows * signs[:, None]).T)


def pca_match(songs: Float64, song_scores: Float64, pictures: Float64, picture_scores: Float64) -> Float64:
    """Return latents (n, D) for songs, by a linear map in closed form; the docstring of the module has the arguments.

    The Gromov-Wasserstein optimal map between Gaussians matches principal components in the order of their variance
    (Delon, Desolneux & Salmona 2022). It does not determine the signs of the components. The latents of a VAE are
    nearly isotropic, so their principal components mean little. Therefore the correspondences come first. A ridge
    regression finds the C directions of the whitened latent space that best predict the scores of pictures, and the
    scores of a song are its position along them. The part of `songs` that the scores do not explain is split into
    principal components. Each of them, the one of largest variance first, gets one of the remaining directions, whose
    order is arbitrary.
    """
    white = _power(np.cov(pictures.T) + 1e-6 * np.eye(pictures.shape[1]), -0.5)  # the matrix that whitens the latents
    directions, _ = ridge((pictures - pictures.mean(0)) @ white, picture_scores, 0.05)
    # The nearest orthonormal columns (Loewdin 1950). This favours no column, unlike Gram-Schmidt.
    left, _, right = np.linalg.svd(directions / np.linalg.norm(directions, axis=0), full_matrices=False)
    leading = left @ right  # (D, C)
    rest = songs - song_scores @ np.linalg.lstsq(song_scores, songs, rcond=None)[0]
    n_others = pictures.shape[1] - leading.shape[1]
    others = principal_components(rest, min(n_others, np.linalg.matrix_rank(rest)))
    scores = (rest - rest.mean(0)) @ others
    scores = scores / np.maximum(scores.std(axis=0), 1e-6)
    complement = np.linalg.svd(np.eye(len(leading)) - leading @ leading.T)[0][:, : scores.shape[1]]
    centred = song_scores - song_scores.mean(0)
    uncorrelated = centred @ _power(np.cov(centred.T), -0.5)
    placed = uncorrelated @ leading.T + scores @ complement.T
    return np.asarray(pictures.mean(0) + placed @ np.linalg.pinv(white))


def fused_plan(
    songs: Float64,
    song_scores: Float64,
    pictures: Float64,
    picture_scores: Float64,
    picture_features: Float64,
    structure: float,
) -> Float64:
    """Return the fused Gromov-Wasserstein transport plan (n, m): the mass that goes from each song to each picture.

    All entries of the plan sum to 1. Similar songs get pictures that look alike, and a song gets pictures with similar
    scores (Vayer et al. 2020). The cost is computed from distances between songs, distances between pictures (in
    ``picture_features``), and squared differences between scores of songs and of pictures; each of the three is scaled
    to a mean of 1. The solver (POT) finds local minima. It runs from two starts, and the better plan is returned.

    Parameters
    ----------
    songs, song_scores, pictures, picture_scores
        See the docstring of the module.
    picture_features : (m, F)
        Visual features of the pictures.
    structure : float
        Weight, from 0 to 1, with which distances are kept. The weight of the scores is 1 - `structure`.
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
    plans = []
    for start_cost in (between, ot.dist(matched, pictures)):
        plan, logged = ot.gromov.fused_gromov_wasserstein(
            between, within_songs, within_pictures, song_mass, picture_mass,
            alpha=structure, G0=ot.emd(song_mass, picture_mass, start_cost), max_iter=200, log=True,
        )  # fmt: skip
        plans.append((float(logged["fgw_dist"]), plan))
    return np.asarray(min(plans, key=lambda found: found[0])[1])
