"""Choices that come as often as in real art.

The painter paints the most probable palette and the most probable kind of marks. Where a decoder is unsure, the most
probable one is nearly always one of the common ones, and what was read off one picture in fifty is never painted. A
constant for each code, added to its logit, gives every code the share of choices that it has among the readings.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from clavilux.models.image_vae import ImageVAE

_DRAWS = 8_000
_ROUNDS = 400
_LIMIT = 3.0  # nats: a code that is wrong by more than this is wrong for a reason


def balance_choices(
    network: ImageVAE,
    latents: NDArray[np.float64],
    kind_shares: NDArray[np.float64],
    palette_shares: NDArray[np.float64],
    *,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Shift the biases of a trained decoder, in place.

    Parameters
    ----------
    network : ImageVAE
    latents : (n, 64)
        Posterior means of the art that songs are mapped to. Choices are counted on draws from the normal distribution
        with their mean and covariance: what mapped songs look like, and nothing that the decoder knows by heart.
    kind_shares, palette_shares : (n_kinds,), (n_palettes,)
        Mean of the labels over the same art.

    Returns
    -------
    dict
        For each choice, before and after: the distance of the shares of choices from the shares of readings (half the
        sum of absolute differences, 0 to 1), and the number of codes that are chosen at all.
    """
    drawn = rng.multivariate_normal(latents.mean(0), np.cov(latents.T), _DRAWS)
    with torch.no_grad():
        raw = network.decode(torch.from_numpy(drawn).float())
    report = {}
    for name, logits, shares, layer in (
        ("kind", raw.kind, kind_shares, network.to_kind),
        ("palette", raw.palette, palette_shares, network.to_palette),
    ):
        values = logits.double().numpy()
        shift = choice_shift(values, shares)
        for when, found in (("before", values), ("after", values + shift)):
            counts = np.bincount(found.argmax(axis=1), minlength=len(shares))
            report[f"{name}_distance_{when}"] = float(0.5 * np.abs(counts / len(found) - shares).sum())
            report[f"{name}_codes_{when}"] = float((counts > 0).sum())
        with torch.no_grad():
            layer.bias.add_(torch.from_numpy(shift).float())
    return report


def choice_shift(logits: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Constants (K,) such that argmax over logits (n, K) + constants picks code k in a share `shares[k]` of rows.

    This is the dual of a transport from rows to codes with these masses; it is climbed by steps in the logarithm that
    shrink.
    """
    n = len(logits)
    shift = np.zeros(len(shares))
    floor = 0.5 / n
    for step in range(_ROUNDS):
        counts = np.bincount((logits + shift).argmax(axis=1), minlength=len(shares)) / n
        shift += (np.log(shares + floor) - np.log(counts + floor)) * 0.5 / (1 + 0.05 * step)
        shift = np.clip(shift - shift.mean(), -_LIMIT, _LIMIT)
    return shift
