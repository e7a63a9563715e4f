"""The choice of a palette slot at each place, and the mixture of colours at soft borders.

log-probabilities of the plan, mark field -> **here** -> slot, linear light
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import SLOTS

Float32 = NDArray[np.float32]
UInt8 = NDArray[np.uint8]


def add_gumbel_noise(log_p: Float32, u: Float32, chaos: float) -> Float32:
    """Return ``log p - chaos * log(-log u)``, (SLOTS, n); overwrites the uniform mark field u, (SLOTS, n)."""
    np.log(u, out=u)
    np.negative(u, out=u)
    np.log(u, out=u)
    u *= np.float32(-chaos)
    u += log_p
    return u


def take_highest(scores: Float32, light: Float32, temperature: float) -> tuple[UInt8, Float32 | None]:
    """Choose the slot with the highest score; at a temperature above 0 also mix colours.

    Parameters
    ----------
    scores : (SLOTS, n) float32
        Overwritten.
    light : (SLOTS, 3) float32
        Linear light of the palette.
    temperature : float
        Of the softmax of the scores that weighs the colours; 0 for none.

    Returns
    -------
    slot : (n,) uint8
    mixed : (n, 3) float32 or None
        Linear light; None at temperature 0, where it is that of the slot.
    """
    slot, best = _argmax(scores)
    if not temperature:
        return slot, None
    scores -= best
    scores *= np.float32(1.0 / temperature)
    np.exp(scores, out=scores)
    mixed = np.zeros((slot.size, 3), np.float32)
    total = np.zeros(slot.size, np.float32)
    for weight, colour in zip(scores, light, strict=True):
        total += weight
        for c in range(3):
            mixed[:, c] += weight * colour[c]
    mixed /= total[:, None]
    return slot, mixed


def take_from_stack(
    log_p: Float32, height: Float32, light: Float32, *, chaos: float, transition: float
) -> tuple[UInt8, Float32 | None]:
    """Choose the slot at a height of the stack of softmax(log p / chaos).

    The shares of the slots are stacked from the first slot to the last, so that they fill the heights from 0 to 1.

    Parameters
    ----------
    log_p : (SLOTS, n) float32
        Overwritten.
    height : (n,) float32
        In (0, 1).
    light : (SLOTS, 3) float32
        Linear light of the palette.
    chaos : float
        Above 0.
    transition : float
        Height over which the colours of adjacent slots mix; 0 for none.

    Returns
    -------
    slot : (n,) uint8
    mixed : (n, 3) float32 or None
        Linear light; None without a transition, where it is that of the slot.
    """
    p = log_p
    p -= p.max(axis=0)
    p *= np.float32(1.0 / chaos)
    np.exp(p, out=p)
    p /= p.sum(axis=0)
    slot = np.zeros(height.shape, np.uint8)
    mixed = np.empty((height.size, 3), np.float32) if transition else None
    if mixed is not None:
        mixed[:] = light[0]
    top = np.zeros_like(height)
    for k in range(SLOTS - 1):
        top += p[k]
        slot += height > top
        if mixed is not None:
            passed = (height - top) * np.float32(1.0 / transition)
            passed += np.float32(0.5)
            np.clip(passed, 0, 1, out=passed)
            for c in range(3):
                mixed[:, c] += passed * (light[k + 1, c] - light[k, c])
    if mixed is not None:
        np.maximum(mixed, 0, out=mixed)  # the sum of seven differences may round to a value below black
    return slot, mixed


def _argmax(scores: Float32) -> tuple[UInt8, Float32]:
    """Return argmax and maximum over the slots; np.argmax along the first axis takes five times as long."""
    best = scores[0].copy()
    slot = np.zeros(best.shape, np.uint8)
    for k in range(1, SLOTS):
        wins = (scores[k] > best).view(np.uint8)
        np.maximum(best, scores[k], out=best)
        slot += wins * (np.uint8(k) - slot)
    return slot, best
