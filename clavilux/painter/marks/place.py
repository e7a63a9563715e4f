"""What all kinds of marks share: places, smooth random fields, clusters of pieces, and the result of a kind.

positions (short side = 1) -> Place (bent, rotated, in marks) -> the function of a kind -> Marks -> painter
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import SLOTS
from clavilux.painter.marks.hashing import Float32, Mask, Uint32, cell_hash, choose, draws, happens, rehash, unit

# Relative spread of the frequencies of a field's plane waves, around half a cycle per unit. A smaller spread shows a
# lattice, a larger one mixes large and very small shapes.
_SPREAD = 0.45

# First number of the hashes that give slots their values. Shapes use smaller numbers, so that shape and colour are
# independent.
_SLOT_NUMBERS = 100


@dataclass(frozen=True)
class Place:
    """N positions in the coordinates of a kind.

    Attributes
    ----------
    s, t : (n,) float32
        Position from the centre of the picture, in marks (the short side has `frequency` marks): s along the angle of
        the marks, t across it.
    frequency : float
        Marks along the short side.
    seed : int
        Random seed.
    """

    s: Float32
    t: Float32
    frequency: float
    seed: int

    def hash(self, i: Float32, j: Float32 | int, name: str) -> Uint32:
        """Return the hash of lattice cell (i, j)."""
        return cell_hash(i, j, self.seed, name)

    def smooth_field(self, s: Float32, t: Float32, name: str, *, n: int = 12) -> Float32:
        """Return a smooth random field over (s, t), see `sum_waves`."""
        return sum_waves(s, t, self.seed, name, n=n)

    def draw(self, name: str, n: int) -> NDArray[np.float64]:
        """Return n random numbers on (0, 1) that hold for the whole picture."""
        return draws(self.seed, name, n)


@dataclass(frozen=True)
class Marks:
    """The marks of a kind at n positions.

    Attributes
    ----------
    u : (SLOTS, n) or (1, n) float32
        Mark field, uniform on (0, 1). With one row per slot, the slot with the highest score is painted. With one row,
        the slots are stacked from dark to light, and u is the height in the stack.
    to_s, to_t : (n,) float32 or None
        Offset from the position to the place at which its piece reads the plan, in marks; None where each position
        reads the plan itself.
    """

    u: Float32
    to_s: Float32 | None = None
    to_t: Float32 | None = None


@lru_cache(maxsize=4096)
def plane_waves(seed: int, name: str, n: int) -> tuple[tuple[np.float32, np.float32, np.float32], ...]:
    """Return n random plane waves of about half a cycle per unit: frequencies along s and t, and phase, in radians."""
    u = draws(seed, name, 3 * n)
    turns = (np.arange(n) + u[:n]) / n  # one direction in each of n sectors, so that no direction dominates
    cycles = 0.5 * (1.0 + _SPREAD * (2.0 * u[n : 2 * n] - 1.0))
    return tuple(
        (
            np.float32(math.tau * f * math.cos(math.tau * a)),
            np.float32(math.tau * f * math.sin(math.tau * a)),
            np.float32(math.tau * p),
        )
        for a, f, p in zip(turns, cycles, u[2 * n :], strict=True)
    )


def sum_waves(s: Float32, t: Float32, seed: int, name: str, *, n: int = 12) -> Float32:
    """Return a smooth random field over (s, t), nearly normal with mean 0 and deviation 1: a sum of n plane waves.

    The waves have about half a cycle per unit. A sum of n sines of random phase has an excess kurtosis of -1.5 / n, so
    its distribution function is within 0.03 / n of the normal one.
    """
    plane = plane_waves(seed, name, n)
    total = np.zeros_like(s)
    phase, part = np.empty_like(s), np.empty_like(s)
    for a, b, c in plane:
        np.multiply(s, a, out=phase)
        np.multiply(t, b, out=part)
        phase += part
        phase += c
        np.sin(phase, out=phase)
        total += phase
    total *= np.float32(math.sqrt(2.0 / n))
    return total


def normal_to_uniform(z: Float32) -> Float32:
    """Return the normal distribution function within 2e-4: the logistic function of a cubic (Bowling et al. 2009)."""
    w = z * z
    w *= np.float32(-0.07056)
    w -= np.float32(1.5976)
    w *= z
    np.clip(w, -13.0, 13.0, out=w)  # the result stays between 0 and 1, exclusive
    np.exp(w, out=w)
    w += np.float32(1.0)
    np.reciprocal(w, out=w)
    return w


def sawtooth(v: Float32) -> Float32:
    """Return the fractional part of v, clipped to (0, 1): uniform if v covers whole periods."""
    v = v - np.floor(v)
    return np.clip(v, np.float32(1e-6), np.float32(1 - 1e-6), out=v)


def triangle_wave(v: Float32) -> Float32:
    """Return a wave that rises from 0 to 1 and falls back once per unit of v: uniform if v covers whole periods."""
    v = v - np.floor(v)
    v *= np.float32(2.0)
    v -= np.float32(1.0)
    np.abs(v, out=v)
    return np.clip(v, np.float32(1e-6), np.float32(1 - 1e-6), out=v)


def odd(j: Float32) -> Float32:
    """Return 1 for odd and 0 for even whole numbers."""
    parity: Float32 = j - np.float32(2.0) * np.floor(j * np.float32(0.5))
    return parity


def slot_fields(place: Place, s: Float32, t: Float32, name: str, *, n: int = 12) -> Float32:
    """Return one smooth random field for each slot, (SLOTS, n), uniform on (0, 1)."""
    u = np.empty_like(s, shape=(SLOTS, s.size))
    for k in range(SLOTS):
        u[k] = normal_to_uniform(sum_waves(s, t, place.seed, f"{name} {k}", n=n))
    return u


def slow_fields(place: Place, name: str, size: float) -> Float32:
    """Return slowly varying `slot_fields` with shapes of about `size` marks: a background for other marks."""
    scale = np.float32(1.0 / size)
    return slot_fields(place, place.s * scale, place.t * scale, name, n=6)


def slot_draws(h: Uint32) -> Float32:
    """Return independent numbers for each piece and slot, (SLOTS, n), uniform on (0, 1); h are hashes of pieces."""
    u = np.empty_like(h, np.float32, shape=(SLOTS, h.size))
    for k in range(SLOTS):
        u[k] = unit(rehash(h, _SLOT_NUMBERS + k))
    return u


def cluster(place: Place, s: Float32, t: Float32, name: str, size: float) -> Uint32:
    """Return the hash of the cluster of pieces at (s, t): a patch of about `size` marks.

    The patches are the squares of a rotated lattice, bent so far that no squares are visible.
    """
    p = s * np.float32(0.88 / size) + t * np.float32(0.47 / size)
    q = t * np.float32(0.88 / size) - s * np.float32(0.47 / size)
    i = np.floor(p + np.float32(0.35) * place.smooth_field(p, q, name + " i", n=4))
    j = np.floor(q + np.float32(0.35) * place.smooth_field(p, q, name + " j", n=4))
    return place.hash(i, j, name)


def with_clusters(place: Place, h: Uint32, s: Float32, t: Float32, cluster_share: float, size: float) -> Uint32:
    """Replace the hash of a share of the pieces by that of their cluster, so that they have the same colour.

    Colours that are independent from piece to piece look like confetti; clusters form larger shapes. h is the hash of
    the piece at each position, (s, t) its centre.
    """
    return choose(happens(h, 99, cluster_share), cluster(place, s, t, "clan", size), h)


def pieces(
    place: Place, h: Uint32, s: Float32, t: Float32, *, cluster_share: float = 0.5, cluster_size: float = 4.0
) -> Marks:
    """Return the marks of a partition of the plane; h is the hash of the piece at each position, (s, t) its centre.

    The field is uniform, and independent between slots, for any shapes: each piece has one random number per slot.
    """
    return Marks(slot_draws(with_clusters(place, h, s, t, cluster_share, cluster_size)), s - place.s, t - place.t)


def on_ground(mask: Mask, marks: Marks, ground: Float32) -> Marks:
    """Return marks where the mask is set and the field `ground`, (SLOTS, n), elsewhere.

    Positions on the ground read the plan themselves.
    """
    to_s = None if marks.to_s is None else marks.to_s * mask
    to_t = None if marks.to_t is None else marks.to_t * mask
    return Marks(overlay(mask, marks.u, ground), to_s, to_t)


def overlay(mask: Mask, upper: Float32, lower: Float32) -> Float32:
    """Return the field `upper` where the mask is set and `lower` elsewhere."""
    return choose(mask, upper.view(np.uint32), lower.view(np.uint32)).view(np.float32)
