"""From the cloud of songs to the cloud of pictures, without pairs.

Legend: n songs, m pictures, S numbers of a song, D latent dimensions, G guides.

A guide is something that can be heard and seen: arousal and chroma, valence and warmth, ... `songs` and `pictures` come
standardised; guides are ranked to normal scores on both sides, so that a guide of one side can be laid on the other's.
Without guides (G = 0) the shapes of the clouds decide alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

Float64 = NDArray[np.float64]


def normal_scores(values: NDArray[np.floating]) -> Float64:
    """Each column ranked and spread to a standard normal: (n, G) -> (n, G)."""
    ranks = rankdata(values, axis=0)
    return np.asarray(norm.ppf((ranks - 0.5) / len(values)), np.float64)


def ridge(inputs: Float64, outputs: Float64, strength: float) -> tuple[Float64, Float64]:
    """Ridge regression: weights (S, D) and offset (D,). `strength` is in units of the inputs' mean variance."""
    mean_in, mean_out = inputs.mean(0), outputs.mean(0)
    centred = inputs - mean_in
    gram = centred.T @ centred / len(inputs)
    gram += strength * np.trace(gram) / len(gram) * np.eye(len(gram))
    weights = np.linalg.solve(gram, centred.T @ (outputs - mean_out) / len(inputs))
    return weights, mean_out - mean_in @ weights


def recolouring(cloud: Float64, target: Float64) -> tuple[Float64, Float64]:
    """The affine map of least cost between two Gaussians: gives `cloud` the mean and covariance of `target`.

    A = Sc^-1/2 (Sc^1/2 St Sc^1/2)^1/2 Sc^-1/2 (Bures; Peyre & Cuturi 2019, remark 2.31). Every regression shrinks on
    new songs; this undoes it.

    Returns
    -------
    matrix : (D, D), offset : (D,)
        y = x @ matrix + offset.
    """
    return recolouring_to(cloud, target.mean(0), np.cov(target.T))


def recolouring_to(cloud: Float64, mean: Float64, covariance: Float64) -> tuple[Float64, Float64]:
    """`recolouring` to a Gaussian of this mean (D,) and covariance (D, D)."""
    present = np.cov(cloud.T) + 1e-6 * np.eye(cloud.shape[1])
    root, inverse_root = _power(present, 0.5), _power(present, -0.5)
    matrix = inverse_root @ _power(root @ covariance @ root, 0.5) @ inverse_root
    return matrix, mean - cloud.mean(0) @ matrix


def _power(symmetric: Float64, exponent: float) -> Float64:
    values, vectors = np.linalg.eigh(symmetric)
    return np.asarray((vectors * np.maximum(values, 1e-9) ** exponent) @ vectors.T)


def principal_components(cloud: Float64, n: int) -> Float64:
    """Leading directions of a centred cloud, (S, n), with a fixed sign (the largest weight is positive)."""
    _, _, rows = np.linalg.svd(cloud - cloud.mean(0), full_matrices=False)
    rows = rows[:n]
    signs = np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)])
    return np.asarray((rows * signs[:, None]).T)


def pca_match(songs: Float64, song_scores: Float64, pictures: Float64, picture_scores: Float64) -> Float64:
    """Closed-form match of two clouds: where songs go, (n, D), given by a linear map of `songs`.

    The optimal map between Gaussians in the Gromov-Wasserstein sense lays principal components on principal components
    in the order of their variance (Delon, Desolneux & Salmona 2022); it leaves their signs open, and the picture cloud
    of a VAE is nearly round, so that its components mean little. Here the guides choose: the directions of the picture
    cloud that best foretell the guides of pictures come first and carry the guides of songs; the rest of the songs is
    laid on the rest of the pictures, component by component.
    """
    white = _whitener(pictures)
    round_pictures = (pictures - pictures.mean(0)) @ white
    directions, _ = ridge(round_pictures, picture_scores, 0.05)
    seen = _orthonormal(directions)  # (D, G)
    heard = _uncorrelated(song_scores)  # (n, G)
    rest = songs - song_scores @ np.linalg.lstsq(song_scores, songs, rcond=None)[0]
    room = pictures.shape[1] - seen.shape[1]
    others = principal_components(rest, min(room, np.linalg.matrix_rank(rest)))
    scores = (rest - rest.mean(0)) @ others
    scores = scores / np.maximum(scores.std(axis=0), 1e-6)
    complement = np.linalg.svd(np.eye(len(seen)) - seen @ seen.T)[0][:, : scores.shape[1]]
    placed = heard @ seen.T + scores @ complement.T
    return np.asarray(pictures.mean(0) + placed @ np.linalg.pinv(white))


def fused_gromov_wasserstein(
    songs: Float64,
    song_scores: Float64,
    pictures: Float64,
    picture_scores: Float64,
    picture_features: Float64,
    structure: float,
) -> Float64:
    """Where songs go, (n, D): the mean picture of each song under `fused_plan`."""
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
    """The fused Gromov-Wasserstein plan, (n, m): how much of each song goes to each picture; 1 in all.

    Distances between songs, those between the looks (m, F) of pictures, and the squared difference of guides between
    songs and pictures, all scaled to mean 1; structure and guides are weighted `structure` to 1 - `structure` (Vayer et
    al. 2020; solver: POT). Several starts, because the structure alone has many good plans; the best by its own cost is
    kept.
    """
    import ot  # the extra `train`; slow to import

    within_songs, within_pictures = (
        ot.dist(songs, songs, "euclidean"),
        ot.dist(picture_features, picture_features, "euclidean"),
    )
    between = ot.dist(song_scores, picture_scores, "sqeuclidean")
    within_songs /= within_songs.mean()
    within_pictures /= within_pictures.mean()
    between /= max(between.mean(), 1e-9)  # 0 everywhere without guides
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
    return _power(np.cov(cloud.T) + 1e-6 * np.eye(cloud.shape[1]), -0.5)


def _orthonormal(directions: Float64) -> Float64:
    """The nearest orthonormal columns (Loewdin 1950): no guide comes before another."""
    unit = directions / np.linalg.norm(directions, axis=0)
    left, _, right = np.linalg.svd(unit, full_matrices=False)
    return np.asarray(left @ right)


def _uncorrelated(scores: Float64) -> Float64:
    """The nearest uncorrelated columns of unit variance."""
    centred = scores - scores.mean(0)
    return np.asarray(centred @ _power(np.cov(centred.T), -0.5))
