"""Fit the linear heads of a trained ImageVAE (palette, kind, surface and marks) in closed form.

A decoder that is trained by gradient descent predicts the most frequent class where it is uncertain. Its class
boundaries depend on individual training pictures, so similar latents may get different classes. Here, each head is a
linear regression on the posterior means of pictures of art, with two corrections:

- Spread: the predictions of a regression vary less than its targets. Therefore, predicted palettes and classes are
  transformed by the optimal transport map between Gaussians. Predicted scalars are multiplied by the ratio of the
  standard deviations of targets and predictions.
- Class frequencies: biases make the head choose each kind of marks and each surface as often as the recipe wants.

For palettes and classes, the corrections are estimated on samples from the normal distribution with the mean and the
covariance of the latents of art. These samples resemble the latents of songs more than the latents of art do.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import nn

from clavilux.colour import srgb_to_lab
from clavilux.constants import CHAOS_RANGE, FINISH, FREQUENCY_RANGE, SLOTS, SURFACE_NAMES
from clavilux.measures.transport import recolouring, recolouring_to, ridge
from clavilux.models.image_vae import ImageVAE
from clavilux.training.train_mark_classifier import MarksRead

Float64 = NDArray[np.float64]

LINEAR_HEADS = ("to_palette", "to_kind", "to_surface", "to_marks")  # layers of an ImageVAE

_SAMPLES = 8_000
_RIDGE = 1e-2
_ROUNDS = 500
_BLENDS = 1_000
_MAP_DIM = 12  # dimensions of the space of kinds: with fewer, kinds have small regions; with 25, near kinds differ
_STRETCHES = tuple(1.0 + 0.05 * step for step in range(21))
_INSIDE = 0.02  # least distance of a share from 0 and 1, which have no finite logit


def fit_linear_heads(
    network: ImageVAE,
    latents: Float64,
    palettes: NDArray[np.float32],
    marks: MarksRead,
    codebook: NDArray[np.float32],
    similarity: Float64,
    shares: tuple[Float64, Float64],
    *,
    palette_blend: float,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Set the linear heads of a trained network, in place, and return metrics of the fit by name.

    Parameters
    ----------
    latents : (n, 64)
        Posterior means of n windows of art.
    palettes : (n, 8, 3)
        Palettes of the windows: 8 colours, sRGB in [0, 1], dark to light.
    marks : MarksRead
        Marks of the windows.
    codebook : (P, 8, 3)
        All palettes that the network can choose, sRGB in [0, 1].
    similarity : (n_kinds, >= 3)
        Coordinates of the kinds of marks, from `kind_similarity`; similar kinds are near each other.
    shares : pair of (n_kinds,) and (n_surfaces,)
        Wanted shares of kinds and of surfaces.
    palette_blend : float
        Standard deviation of the Gaussian weights with which palettes of the codebook near the prediction are blended,
        as a CIELAB distance (root mean square over the 8 colours).

    Returns
    -------
    dict
        "<target>_predicted": fraction of the variance of a target that is predicted. "palette_reach": factor by which
        predicted palettes were stretched. "palette_spread": variance of the palettes that are blended for samples of
        latents, divided by the variance of the palettes of the windows. "kind_shares_missed" and
        "surface_shares_missed": how much the class frequencies differ from the wanted ones, from 0 to 1
        (`share_biases`).
    """
    samples = rng.multivariate_normal(latents.mean(0), np.cov(latents.T), _SAMPLES)
    # All surfaces are equally far from each other, because similarities of surfaces are not modelled.
    n_surfaces = len(SURFACE_NAMES)
    simplex = np.linalg.svd(np.eye(n_surfaces) - 1 / n_surfaces)[0][:, : n_surfaces - 1]
    return {
        **_fit_palette(network.to_palette, latents, samples, palettes, codebook, palette_blend),
        **_fit_classes("kind", network.to_kind, latents, samples, marks.kind, similarity[:, :_MAP_DIM], shares[0]),
        **_fit_classes("surface", network.to_surface, latents, samples, marks.surface, simplex, shares[1]),
        **_fit_marks(network.to_marks, latents, marks),
    }


def _fit_palette(
    layer: nn.Linear,
    latents: Float64,
    samples: Float64,
    palettes: NDArray[np.floating],
    codebook: NDArray[np.float32],
    blend: float,
) -> dict[str, float]:
    """Set the layer so that the logit of a codebook palette falls with its distance from the predicted palette.

    Up to a constant, the logit is -d^2 / 2, where d is this distance in units of `blend`. The softmax of the logits
    gives the weights with which the palettes are blended. The blend changes continuously with the latent, and consists
    mostly of real palettes near the prediction.
    """
    lab = srgb_to_lab(np.asarray(palettes, np.float32)).reshape(len(palettes), -1).astype(np.float64)
    codes = srgb_to_lab(codebook).reshape(len(codebook), -1).astype(np.float64)
    weights, offset = ridge(latents, lab, _RIDGE)
    predicted = _explained(latents @ weights + offset, lab)
    matrix, shift = recolouring(samples @ weights + offset, lab)
    weights, offset = weights @ matrix, offset @ matrix + shift
    # |t - c|^2 = |t|^2 - 2 t.c + |c|^2, and |t|^2 is the same for all codes.
    scale = 1.0 / (SLOTS * blend**2)
    constants = -0.5 * scale * (codes**2).sum(axis=1)
    # Blends vary less than palettes, so predictions are stretched until blends vary as much as the targets.
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
    name: str,
    layer: nn.Linear,
    latents: Float64,
    samples: Float64,
    classes: NDArray[np.floating],
    places: Float64,
    shares: Float64,
) -> dict[str, float]:
    """Set the layer so that the score of a class falls with the squared distance of its point from a predicted point.

    `classes` (n, K) are class probabilities; `places` (K, d) has one point for each class. Similar kinds of marks have
    nearby points, so that a kind changes to a similar one at a class boundary. The biases of the layer make the
    fraction of samples that get a class equal to `shares` (K,).
    """
    targets = np.asarray(classes, np.float64)
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


def _fit_marks(layer: nn.Linear, latents: Float64, marks: MarksRead) -> dict[str, float]:
    """Set the layer that predicts direction, frequency, chaos and finish of marks.

    All predictions except the direction are stretched to the standard deviation of their targets.
    """
    low, high = (math.log(v) for v in FREQUENCY_RANGE)
    scalars = {
        "frequency": (np.asarray(marks.log_frequency, np.float64) - low) / (high - low),
        "chaos": np.asarray(marks.chaos, np.float64) / CHAOS_RANGE[1],
        **{name: np.asarray(marks.finish[:, i], np.float64) for i, name in enumerate(FINISH)},
    }
    rows, offsets, report = [], [], {}
    for name, share in scalars.items():
        inside = np.clip(share, _INSIDE, 1 - _INSIDE)
        logits = np.log(inside / (1 - inside))[:, None]
        slope, _ = ridge(latents, logits, _RIDGE)
        predicted = latents @ slope
        stretch = logits.std() / max(float(predicted.std()), 1e-9)
        rows.append(stretch * slope[:, 0])
        offsets.append(float(logits.mean() - stretch * predicted.mean()))
        report[f"{name}_predicted"] = _explained(predicted - predicted.mean() + logits.mean(), logits)
    direction, direction_offset = ridge(latents, np.asarray(marks.direction, np.float64), _RIDGE)
    # The layer has the order frequency, direction (two numbers), chaos, finish.
    _set(layer, np.stack([rows[0], *direction.T, *rows[1:]]), np.array([offsets[0], *direction_offset, *offsets[1:]]))
    return report


def balance_classes(network: ImageVAE, songs: Float64, kinds: Float64, surfaces: Float64) -> dict[str, float]:
    """Change the biases of kinds and surfaces, in place, so that songs get each class as often as wanted.

    ``songs`` (m, 64) are the latents to which songs are mapped; ``kinds`` (n_kinds,) and ``surfaces`` (n_surfaces,) are
    the wanted shares. Songs are not quite distributed as the samples to which the biases were fitted, so without this
    they would get some classes too often.

    Return "kind_shares_missed" and "surface_shares_missed": how much the class frequencies of songs still differ from
    the wanted shares, from 0 to 1 (`share_biases`).
    """
    missed = {}
    for name, shares in (("kind", kinds), ("surface", surfaces)):
        layer = getattr(network, f"to_{name}")
        weight, bias = (part.detach().double().numpy() for part in (layer.weight, layer.bias))
        change, missed[f"{name}_shares_missed"] = share_biases(songs @ weight.T + bias, shares)
        _set(layer, weight, bias + change)
    return missed


def share_biases(scores: Float64, shares: Float64) -> tuple[Float64, float]:
    """Return biases that give each of K classes the highest score in a wanted fraction of n rows.

    ``scores`` is (n, K), and ``shares`` (K,) has the wanted fractions. The biases are the dual variables of the optimal
    transport from rows to classes. They are found by iteration: each update is log(wanted fraction / reached fraction),
    multiplied by a step size that decreases over time.

    Returns
    -------
    biases : (K,)
        The argmax of ``scores + biases`` is class k in a fraction ``shares[k]`` of the rows; the mean is 0.
    missed : float
        Total variation distance between the wanted and the reached fractions, from 0 to 1.
    """
    bias, reached = np.zeros(len(shares)), np.zeros(len(shares))
    floor = 0.5 / len(scores)
    for step in range(_ROUNDS):
        reached = np.bincount((scores + bias).argmax(axis=1), minlength=len(shares)) / len(scores)
        bias += 0.3 / (1 + 0.02 * step) * (np.log(shares + floor) - np.log(reached + floor))
    return bias - bias.mean(), float(0.5 * np.abs(reached - shares).sum())


def _explained(predicted: Float64, targets: Float64) -> float:
    """Return the fraction of the variance of the targets that the predictions explain (R squared)."""
    return float(1 - ((predicted - targets) ** 2).sum() / ((targets - targets.mean(axis=0)) ** 2).sum())


def _set(layer: nn.Linear, weight: Float64, bias: Float64) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
        layer.bias.copy_(torch.from_numpy(bias))
