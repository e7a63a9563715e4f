"""What the painter reads off a latent beside the plan: palette, kind and marks, fitted in closed form.

    posterior means of training art, and what was read off that art -> **here** -> three linear layers of the ImageVAE

A decoder that is trained on choices answers, where it is unsure, with the commonest one, and its borders between them
run wherever the training pictures happen to lie: near latents get far pictures. Here each layer follows what a straight
line through the readings foretells, with two things put right:

- *spread*: every regression shrinks. What it foretells is stretched until it varies over the cloud as much as the
  readings do (palettes by the optimal map between Gaussians, scales by their deviation);
- *shares*: every kind is chosen as often as it was read off the art.

Choices are judged on draws from the normal distribution with the mean and covariance of the latents: what mapped songs
look like, and nothing that the network knows by heart.
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
from clavilux.constants import CHAOS_RANGE, FINISH, FREQUENCY_RANGE, SLOTS
from clavilux.measures.transport import recolouring, recolouring_to, ridge
from clavilux.models.image_vae import ImageVAE

Float64 = NDArray[np.float64]

LINEAR_HEADS = ("to_palette", "to_kind", "to_marks")  # layers of an ImageVAE that are set here

_DRAWS = 8_000
_RIDGE = 1e-2
_ROUNDS = 500
_BLENDS = 1_000
_MAP_DIM = 12  # of the map of kinds: in fewer, cells are small and borders many; in 25, neighbours are no kin
_REACHES = tuple(1.0 + 0.05 * step for step in range(21))
_INSIDE = 0.02  # of a range: scales at its very ends have no finite logit


@dataclass(frozen=True)
class HeadTargets:
    """What was read off n pictures.

    palette : (n, 8, 3) sRGB, dark to light. kind : (n, n_kinds) probabilities. log_frequency, chaos : (n,).
    direction : (n, 2) cosine and sine of twice the angle. finish : (n, 6) in [0, 1] of the ranges.
    """

    palette: NDArray[np.floating]
    kind: NDArray[np.floating]
    log_frequency: NDArray[np.floating]
    direction: NDArray[np.floating]
    chaos: NDArray[np.floating]
    finish: NDArray[np.floating]


def fit_linear_heads(
    network: ImageVAE,
    latents: Float64,
    readings: HeadTargets,
    palettes: NDArray[np.float32],
    similarity: Float64,
    *,
    palette_blend: float,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Set `to_palette`, `to_kind` and `to_marks` of a trained network, in place.

    Parameters
    ----------
    network : ImageVAE
    latents : (n, 64)
        Posterior means of the art that songs are mapped to.
    readings : Readings
        Of the same n pictures.
    palettes : (n_palettes, 8, 3)
        The codebook, sRGB.
    likeness : (n_kinds, >= 3)
        Where kinds lie by how alike they look, leading coordinates first.
    palette_blend : float
        CIELAB distance of slots over which palettes of the codebook are blended.

    Returns
    -------
    dict
        How much of the readings' variance the latents foretell, and how far the shares of kinds are from those read.
    """
    drawn = rng.multivariate_normal(latents.mean(0), np.cov(latents.T), _DRAWS)
    report = _fit_palette(network.to_palette, latents, drawn, readings.palette, palettes, palette_blend)
    report |= _fit_kind(network.to_kind, latents, drawn, readings.kind, similarity[:, :_MAP_DIM])
    report |= _fit_marks(network.to_marks, latents, readings)
    return report


def _fit_palette(
    layer: nn.Linear,
    latents: Float64,
    drawn: Float64,
    read: NDArray[np.floating],
    palettes: NDArray[np.float32],
    blend: float,
) -> dict[str, float]:
    """Logits that are, up to a constant, minus half the squared distance from the foretold palette in units of `blend`.

    Their softmax weights the codes that lie around what is foretold, so that palettes pass into each other and stay
    among real ones.
    """
    lab = srgb_to_lab(np.asarray(read, np.float32)).reshape(len(read), -1).astype(np.float64)
    codes = srgb_to_lab(palettes).reshape(len(palettes), -1).astype(np.float64)
    weights, offset = ridge(latents, lab, _RIDGE)
    told = _told(latents @ weights + offset, lab)
    matrix, shift = recolouring(drawn @ weights + offset, lab)
    weights, offset = weights @ matrix, offset @ matrix + shift
    # |t - c|^2 = |t|^2 - 2 t.c + |c|^2, and |t|^2 is the same for all codes.
    scale = 1.0 / (SLOTS * blend**2)
    constants = -0.5 * scale * (codes**2).sum(axis=1)
    # A blend lies between its palettes: what is foretold goes further out, until blends vary as much as what was read.
    centre, wanted = lab.mean(axis=0), lab.var(axis=0).sum()
    some = drawn[:_BLENDS] @ weights + offset - centre
    for reach in _REACHES:
        shares = softmax(scale * (centre + reach * some) @ codes.T + constants, axis=1)
        spread = float((shares @ codes).var(axis=0).sum() / wanted)
        if spread >= 1:
            break
    weights, offset = reach * weights, centre + reach * (offset - centre)
    _set(layer, scale * codes @ weights.T, scale * codes @ offset + constants)
    return {"palette_predicted": told, "palette_reach": reach, "palette_spread": spread}


def _fit_kind(
    layer: nn.Linear, latents: Float64, drawn: Float64, read: NDArray[np.floating], places: Float64
) -> dict[str, float]:
    """A map on which kinds that look alike are neighbours, and a latent's place on it; the nearest kind is chosen, with
    constants that give each its share.

    As with palettes, the scores are minus half the squared distance, up to a constant. Where all kinds were as far from
    each other (directions of their own), a latent at a border passed to a kind that had nothing to do with the last.
    """
    readings = np.asarray(read, np.float64)
    shares = readings.mean(axis=0)
    centre = shares @ places
    spread = np.cov(places.T, aweights=shares, bias=True)
    weights, offset = ridge(latents, readings @ places, _RIDGE)
    told = _told(latents @ weights + offset, readings @ places)
    # A normal cloud with the mean and covariance of the kinds: what is foretold is stretched over the whole map.
    matrix, shift = recolouring_to(drawn @ weights + offset, centre, spread)
    weights, offset = weights @ matrix, offset @ matrix + shift
    scale = len(spread) / np.trace(spread)
    constants = -0.5 * scale * (places**2).sum(axis=1)
    bias, missed = share_biases(scale * (drawn @ weights + offset) @ places.T + constants, shares)
    _set(layer, scale * places @ weights.T, scale * places @ offset + constants + bias)
    return {"kind_predicted": told, "kind_shares_missed": missed}


def _fit_marks(layer: nn.Linear, latents: Float64, readings: HeadTargets) -> dict[str, float]:
    """Scales as logits within their ranges, with the spread of the readings; directions as foretold."""
    low, high = (math.log(v) for v in FREQUENCY_RANGE)
    scales = {
        "frequency": (np.asarray(readings.log_frequency, np.float64) - low) / (high - low),
        "chaos": np.asarray(readings.chaos, np.float64) / CHAOS_RANGE[1],
        **{name: np.asarray(readings.finish[:, i], np.float64) for i, name in enumerate(FINISH)},
    }
    weights, offsets, report = {}, {}, {}
    for name, share in scales.items():
        inside = np.clip(share, _INSIDE, 1 - _INSIDE)
        logits = np.log(inside / (1 - inside))[:, None]
        slope, _ = ridge(latents, logits, _RIDGE)
        predicted = latents @ slope
        stretch = logits.std() / max(float(predicted.std()), 1e-9)
        weights[name], offsets[name] = stretch * slope[:, 0], float(logits.mean() - stretch * predicted.mean())
        report[f"{name}_predicted"] = _told(predicted - predicted.mean() + logits.mean(), logits)
    directions, offset = ridge(latents, np.asarray(readings.direction, np.float64), _RIDGE)
    rest = ("chaos", *FINISH)
    matrix = np.stack([weights["frequency"], directions[:, 0], directions[:, 1], *(weights[name] for name in rest)])
    _set(layer, matrix, np.array([offsets["frequency"], *offset, *(offsets[name] for name in rest)]))
    return report


def share_biases(scores: Float64, shares: Float64) -> tuple[Float64, float]:
    """Constants (K,) such that the argmax over scores (n, K) + constants is code k in a share `shares[k]` of rows.

    The dual of a transport from rows to codes with these masses, climbed by steps in the logarithm that shrink.

    Returns
    -------
    constants, and half the sum of absolute differences between the shares and those that were reached.
    """
    bias, reached = np.zeros(len(shares)), np.zeros(len(shares))
    floor = 0.5 / len(scores)
    for step in range(_ROUNDS):
        reached = np.bincount((scores + bias).argmax(axis=1), minlength=len(shares)) / len(scores)
        bias += 0.3 / (1 + 0.02 * step) * (np.log(shares + floor) - np.log(reached + floor))
    return bias - bias.mean(), float(0.5 * np.abs(reached - shares).sum())


def _told(predicted: Float64, read: Float64) -> float:
    """Share of the variance of the readings that is foretold."""
    return float(1 - ((predicted - read) ** 2).sum() / ((read - read.mean(axis=0)) ** 2).sum())


def _set(layer: nn.Linear, weight: Float64, bias: Float64) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
        layer.bias.copy_(torch.from_numpy(np.ascontiguousarray(bias)))
