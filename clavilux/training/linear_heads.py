"""Fit the linear heads of the ImageVAE (palette, kind, surface and marks) in closed form.

    posterior means, palettes and marks of training art -> **here** -> four linear layers of the ImageVAE

A decoder that is trained by gradient descent predicts the most frequent class where it is uncertain. Its class
boundaries depend on single training pictures, so that similar latents get different pictures. Here each layer is a
linear regression with two corrections:

- *spread*: predictions of a regression vary less than its targets. They are stretched until they vary as much
  (palettes by the optimal transport map between Gaussians, scalars by their standard deviation);
- *frequencies of classes*: every kind and every surface is chosen as often as it was found in the art.

Both corrections are estimated on samples from the normal distribution with the mean and covariance of the latents,
which resembles the latents of songs more than the training data do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import nn

from clavilux.colour import srgb_to_lab
from clavilux.constants import CHAOS_RANGE, FINISH, FREQUENCY_RANGE, SLOTS, SURFACE_NAMES
from clavilux.measures.transport import recolouring, recolouring_to, ridge
from clavilux.models.image_vae import ImageVAE

Float64 = NDArray[np.float64]

LINEAR_HEADS = ("to_palette", "to_kind", "to_surface", "to_marks")  # layers of an ImageVAE

_SAMPLES = 8_000
_RIDGE = 1e-2
_ROUNDS = 500
_BLENDS = 1_000
_MAP_DIM = 12  # of the space of kinds: with fewer, regions are small; with 25, neighbouring kinds are not similar
_STRETCHES = tuple(1.0 + 0.05 * step for step in range(21))
_INSIDE = 0.02  # of a range: values at its ends have no finite logit


@dataclass(frozen=True)
class HeadTargets:
    """Palettes and marks of n pictures.

    Attributes
    ----------
    palette : (n, 8, 3)
        sRGB in [0, 1], dark to light.
    kind, surface : (n, n_kinds), (n, n_surfaces)
        Probabilities.
    log_frequency : (n,)
        Natural logarithm of the number of marks along the short side.
    direction : (n, 2)
        Cosine and sine of twice the angle.
    chaos : (n,)
        In ``CHAOS_RANGE``.
    finish : (n, 6)
        The properties of ``FINISH``, each scaled so that its range is [0, 1].
    """

    palette: NDArray[np.floating]
    kind: NDArray[np.floating]
    surface: NDArray[np.floating]
    log_frequency: NDArray[np.floating]
    direction: NDArray[np.floating]
    chaos: NDArray[np.floating]
    finish: NDArray[np.floating]


def fit_linear_heads(
    network: ImageVAE,
    latents: Float64,
    targets: HeadTargets,
    palettes: NDArray[np.float32],
    similarity: Float64,
    *,
    palette_blend: float,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Set the linear heads of a trained network, in place, and return figures about the fit.

    Parameters
    ----------
    network : ImageVAE
    latents : (n, 64)
        Posterior means of art.
    targets : HeadTargets
        Palettes and marks of the same n pictures.
    palettes : (n_palettes, 8, 3)
        The codebook, sRGB in [0, 1].
    similarity : (n_kinds, >= 3)
        Coordinates of kinds by visual similarity, from `kind_similarity`.
    palette_blend : float
        CIELAB distance of slots within which palettes of the codebook are blended.
    rng : numpy Generator

    Returns
    -------
    dict
        Fraction of the variance of each target that is predicted; stretch and spread of palettes; difference between
        the frequencies of kinds and surfaces and those of the targets (`share_biases`).
    """
    samples = rng.multivariate_normal(latents.mean(0), np.cov(latents.T), _SAMPLES)
    report = _fit_palette(network.to_palette, latents, samples, targets.palette, palettes, palette_blend)
    report |= _fit_classes("kind", network.to_kind, latents, samples, targets.kind, similarity[:, :_MAP_DIM])
    report |= _fit_classes(
        "surface", network.to_surface, latents, samples, targets.surface, _simplex(len(SURFACE_NAMES))
    )
    report |= _fit_marks(network.to_marks, latents, targets)
    return report


def _fit_palette(
    layer: nn.Linear,
    latents: Float64,
    samples: Float64,
    targets: NDArray[np.floating],
    palettes: NDArray[np.float32],
    blend: float,
) -> dict[str, float]:
    """Set logits that are, up to a constant, minus half the squared distance to the predicted palette.

    The unit of distance is `blend`. The softmax then gives weight to the codes near the prediction, so that palettes
    change continuously and stay among real ones.
    """
    lab = srgb_to_lab(np.asarray(targets, np.float32)).reshape(len(targets), -1).astype(np.float64)
    codes = srgb_to_lab(palettes).reshape(len(palettes), -1).astype(np.float64)
    weights, offset = ridge(latents, lab, _RIDGE)
    predicted = _explained(latents @ weights + offset, lab)
    matrix, shift = recolouring(samples @ weights + offset, lab)
    weights, offset = weights @ matrix, offset @ matrix + shift
    # |t - c|^2 = |t|^2 - 2 t.c + |c|^2, and |t|^2 is the same for all codes.
    scale = 1.0 / (SLOTS * blend**2)
    constants = -0.5 * scale * (codes**2).sum(axis=1)
    # A blend is between its palettes, so predictions are stretched until blends vary as much as the targets.
    centre, variance = lab.mean(axis=0), lab.var(axis=0).sum()
    deviations = samples[:_BLENDS] @ weights + offset - centre
    for stretch in _STRETCHES:
        shares = softmax(scale * (centre + stretch * deviations) @ codes.T + constants, axis=1)
        spread = float((shares @ codes).var(axis=0).sum() / variance)
        if spread >= 1:
            break
    weights, offset = stretch * weights, centre + stretch * (offset - centre)
    _set(layer, scale * codes @ weights.T, scale * codes @ offset + constants)
    return {"palette_predicted": predicted, "palette_reach": stretch, "palette_spread": spread}


def _fit_classes(
    name: str, layer: nn.Linear, latents: Float64, samples: Float64, classes: NDArray[np.floating], places: Float64
) -> dict[str, float]:
    """Set scores of classes from a predicted position among their places, with biases that give each class its share.

    As with palettes, scores are minus half the squared distance, up to a constant. Similar kinds have near places, so
    the kind changes to a similar one at a boundary; with one-hot places it changed to any other.
    """
    targets = np.asarray(classes, np.float64)
    shares = targets.mean(axis=0)
    centre = shares @ places
    spread = np.cov(places.T, aweights=shares, bias=True)
    weights, offset = ridge(latents, targets @ places, _RIDGE)
    predicted = _explained(latents @ weights + offset, targets @ places)
    # Stretch the predictions to the mean and covariance of the classes.
    matrix, shift = recolouring_to(samples @ weights + offset, centre, spread)
    weights, offset = weights @ matrix, offset @ matrix + shift
    scale = len(spread) / np.trace(spread)
    constants = -0.5 * scale * (places**2).sum(axis=1)
    bias, missed = share_biases(scale * (samples @ weights + offset) @ places.T + constants, shares)
    _set(layer, scale * places @ weights.T, scale * places @ offset + constants + bias)
    return {f"{name}_predicted": predicted, f"{name}_shares_missed": missed}


def _simplex(n: int) -> Float64:
    """Return n places that are equally far from each other, (n, n - 1)."""
    return np.asarray(np.linalg.svd(np.eye(n) - 1 / n)[0][:, : n - 1])


def _fit_marks(layer: nn.Linear, latents: Float64, targets: HeadTargets) -> dict[str, float]:
    """Set logits of scalars with the spread of the targets, and directions without a correction."""
    low, high = (math.log(v) for v in FREQUENCY_RANGE)
    scalars = {
        "frequency": (np.asarray(targets.log_frequency, np.float64) - low) / (high - low),
        "chaos": np.asarray(targets.chaos, np.float64) / CHAOS_RANGE[1],
        **{name: np.asarray(targets.finish[:, i], np.float64) for i, name in enumerate(FINISH)},
    }
    weights, offsets, report = {}, {}, {}
    for name, share in scalars.items():
        inside = np.clip(share, _INSIDE, 1 - _INSIDE)
        logits = np.log(inside / (1 - inside))[:, None]
        slope, _ = ridge(latents, logits, _RIDGE)
        predicted = latents @ slope
        stretch = logits.std() / max(float(predicted.std()), 1e-9)
        weights[name], offsets[name] = stretch * slope[:, 0], float(logits.mean() - stretch * predicted.mean())
        report[f"{name}_predicted"] = _explained(predicted - predicted.mean() + logits.mean(), logits)
    directions, offset = ridge(latents, np.asarray(targets.direction, np.float64), _RIDGE)
    rest = ("chaos", *FINISH)
    matrix = np.stack([weights["frequency"], directions[:, 0], directions[:, 1], *(weights[name] for name in rest)])
    _set(layer, matrix, np.array([offsets["frequency"], *offset, *(offsets[name] for name in rest)]))
    return report


def balance_classes(network: ImageVAE, art: Float64, songs: Float64) -> dict[str, float]:
    """Change the biases of kinds and surfaces of a network, in place, so that songs get each class as often as art.

    Without this, rare classes would be too frequent, because songs do not fill the latent space exactly as art does.

    Parameters
    ----------
    network : ImageVAE
    art, songs : (n, 64), (m, 64)
        Latents of art and of songs.

    Returns
    -------
    dict
        For each layer, the remaining total variation distance between the class frequencies of songs and of art.
    """
    missed = {}
    for name in ("kind", "surface"):
        layer = getattr(network, f"to_{name}")
        weight, bias = (part.detach().double().numpy() for part in (layer.weight, layer.bias))
        shares = np.bincount((art @ weight.T + bias).argmax(axis=1), minlength=len(bias)) / len(art)
        change, missed[f"{name}_shares_missed"] = share_biases(songs @ weight.T + bias, shares)
        _set(layer, weight, bias + change)
    return missed


def share_biases(scores: Float64, shares: Float64) -> tuple[Float64, float]:
    """Return biases with which the argmax of `scores` (n, K) + biases is k in a fraction `shares[k]` of the rows.

    This is the dual of the optimal transport from rows to classes of mass `shares` (K,). It is solved by ever smaller
    steps along the logarithm of the wanted fraction over the reached fraction.

    Returns
    -------
    biases : (K,)
        With mean 0.
    missed : float
        Total variation distance between `shares` and the fractions that were reached, from 0 to 1.
    """
    bias, reached = np.zeros(len(shares)), np.zeros(len(shares))
    floor = 0.5 / len(scores)
    for step in range(_ROUNDS):
        reached = np.bincount((scores + bias).argmax(axis=1), minlength=len(shares)) / len(scores)
        bias += 0.3 / (1 + 0.02 * step) * (np.log(shares + floor) - np.log(reached + floor))
    return bias - bias.mean(), float(0.5 * np.abs(reached - shares).sum())


def _explained(predicted: Float64, targets: Float64) -> float:
    """Return the share of the variance of the targets that is predicted."""
    return float(1 - ((predicted - targets) ** 2).sum() / ((targets - targets.mean(axis=0)) ** 2).sum())


def _set(layer: nn.Linear, weight: Float64, bias: Float64) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
        layer.bias.copy_(torch.from_numpy(np.ascontiguousarray(bias)))
