"""Common parts of all kinds of marks: coordinates, smooth random fields, clusters of pieces, and the class `Marks`.

positions (short side = 1) -> Place (bent, rotated, in units of 1 mark) -> the function of a kind -> Marks -> painter
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

# First of the numbers that `rehash` gets for the random numbers of palette slots. Shapes use smaller numbers, so that
# shape and colour are independent.
_SLOT_NUMBERS = 100


@dataclass(frozen=True)
class Place:
    """Coordinates of n positions, in marks: the unit is the mean size of a mark.

    Attributes
    ----------
    s, t : (n,) float32
        Coordinates relative to the centre of the picture: s along the direction of the marks, t across it.
    frequency : float
        Number of marks along the short side of the picture.
    seed : int
        Random seed.
    """

    s: Float32
    t: Float32
    frequency: float
    seed: int

    def hash(self, i: Float32, j: Float32 | int, name: str) -> Uint32:
        """Return the hashes (n,) of lattice cells (i, j) for the seed; i (n,) and j are whole numbers."""
        return cell_hash(i, j, self.seed, name)

    def smooth_field(self, s: Float32, t: Float32, name: str, *, n: int = 12) -> Float32:
        """Return a smooth random field (n,) at (s, t), nearly standard normal; see `sum_waves`."""
        return sum_waves(s, t, self.seed, name, n=n)

    def draw(self, name: str, n: int) -> NDArray[np.float64]:
        """Return n random numbers (n,), uniform on (0, 1), for the seed and a name; they do not depend on positions."""
        return draws(self.seed, name, n)


@dataclass(frozen=True)
class Marks:
    """The result of a kind of marks at n positions: numbers by which the painter chooses palette slots.

    Attributes
    ----------
    u : (SLOTS, n) or (1, n) float32
        Mark field, uniform on (0, 1). If there is one row for each palette slot, the slot with the highest score is
        painted; the score is the log-probability of the slot in the plan plus noise computed from u. The plan contains
        the probability of each slot at each place of the picture. If there is only one row,
        (0, 1) is divided into one interval per slot, from dark to light, whose length is the probability of the slot;
        the slot whose interval contains u is painted.
    to_s, to_t : (n,) float32 or None
        Offset from each position to the point at which the plan is read, usually the centre of a piece: along the
        direction of the marks (s) and across it (t). The unit is the mean size of a mark. None if the plan is read at
        the position itself.
    """

    u: Float32
    to_s: Float32 | None = None
    to_t: Float32 | None = None


@lru_cache(maxsize=4096)
def plane_waves(seed: int, name: str, n: int) -> tuple[tuple[np.float32, np.float32, np.float32], ...]:
    """Return n random plane waves sin(a s + b t + c), each as (a, b, c); a and b in radians per unit, c in radians.

    The frequency of each wave is about half a cycle per unit of length.
    """
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
    """Return a smooth random field (N,) at positions s, t (N,): nearly normal, mean 0, standard deviation 1.

    It is a sum of n plane waves of about half a cycle per unit. A sum of n sines of random phase has an excess kurtosis
    of -1.5 / n, so its CDF is within 0.03 / n of the normal CDF.
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
    """Return the standard normal CDF of z (n,), in (0, 1), with an error below 2e-4.

    It is approximated by the logistic function of a cubic polynomial (Bowling et al. 2009).
    """
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
    """Return v (n,) modulo 1, clipped to (0, 1); the result is uniform if v covers whole periods uniformly."""
    v = v - np.floor(v)
    return np.clip(v, np.float32(1e-6), np.float32(1 - 1e-6), out=v)


def triangle_wave(v: Float32) -> Float32:
    """Return a triangle wave of v (n,) with period 1, clipped to (0, 1): it falls from 1 to 0 and rises back to 1."""
    v = v - np.floor(v)
    v *= np.float32(2.0)
    v -= np.float32(1.0)
    np.abs(v, out=v)
    return np.clip(v, np.float32(1e-6), np.float32(1 - 1e-6), out=v)


def odd(j: Float32) -> Float32:
    """Return 1 for odd and 0 for even whole numbers j (n,), as float32."""
    parity: Float32 = j - np.float32(2.0) * np.floor(j * np.float32(0.5))
    return parity


def slot_fields(place: Place, s: Float32, t: Float32, name: str, *, n: int = 12) -> Float32:
    """Return an independent smooth random field (SLOTS, N) for each palette slot, at positions s, t (N,).

    Each field is a sum of n plane waves (`sum_waves`), mapped to values that are uniform on (0, 1).
    """
    u = np.empty_like(s, shape=(SLOTS, s.size))
    for k in range(SLOTS):
        u[k] = normal_to_uniform(sum_waves(s, t, place.seed, f"{name} {k}", n=n))
    return u


def slow_fields(place: Place, name: str, size: float) -> Float32:
    """Return `slot_fields` (SLOTS, n) with shapes about `size` marks wide: a smooth background for other marks."""
    scale = np.float32(1.0 / size)
    return slot_fields(place, place.s * scale, place.t * scale, name, n=6)


def slot_draws(h: Uint32) -> Float32:
    """Return independent random numbers (SLOTS, n), uniform on (0, 1), for each palette slot at n positions.

    h (n,) is the hash of the piece at each position. All positions in a piece get the same numbers.
    """
    u = np.empty_like(h, np.float32, shape=(SLOTS, h.size))
    for k in range(SLOTS):
        u[k] = unit(rehash(h, _SLOT_NUMBERS + k))
    return u


def cluster(place: Place, s: Float32, t: Float32, name: str, size: float) -> Uint32:
    """Return the hash (n,) of the cluster at each position (s, t).

    A cluster is a patch, about `size` marks wide, that contains several pieces. Clusters are the squares of a rotated
    lattice that is bent so strongly that no squares are visible.
    """
    p = s * np.float32(0.88 / size) + t * np.float32(0.47 / size)
    q = t * np.float32(0.88 / size) - s * np.float32(0.47 / size)
    i = np.floor(p + np.float32(0.35) * place.smooth_field(p, q, name + " i", n=4))
    j = np.floor(q + np.float32(0.35) * place.smooth_field(p, q, name + " j", n=4))
    return place.hash(i, j, name)


def with_clusters(place: Place, h: Uint32, s: Float32, t: Float32, cluster_share: float, size: float) -> Uint32:
    """Return hashes (n,) of pieces; a random fraction `cluster_share` of the pieces gets the hash of its cluster.

    Pieces with the same hash have the same colour, so that clusters form larger shapes. h (n,) and (s, t)
    are the hash and the centre of the piece at each position, and `size` is the size of a cluster in marks.
    """
    return choose(happens(h, 99, cluster_share), cluster(place, s, t, "clan", size), h)


def pieces(
    place: Place, h: Uint32, s: Float32, t: Float32, *, cluster_share: float = 0.5, cluster_size: float = 4.0
) -> Marks:
    """Return the marks of pieces that fill the plane: each piece has one random number for each palette slot.

    Parameters
    ----------
    place : Place
    h : (n,) uint32
        Hash of the piece at each position.
    s, t : (n,) float32
        Centre of the piece at each position; the plan (the probabilities of the slots) is read there.
    cluster_share : float
        Fraction of the pieces that have the colour of their cluster.
    cluster_size : float
        Size of a cluster in marks.
    """
    return Marks(slot_draws(with_clusters(place, h, s, t, cluster_share, cluster_size)), s - place.s, t - place.t)


def on_ground(mask: Mask, marks: Marks, ground: Float32) -> Marks:
    """Return `marks` where the mask (n,) is True, and a background elsewhere.

    In the background, the mark field is `ground` (SLOTS, n), and the plan is read at the position itself (offset 0).
    """
    to_s = None if marks.to_s is None else marks.to_s * mask
    to_t = None if marks.to_t is None else marks.to_t * mask
    return Marks(overlay(mask, marks.u, ground), to_s, to_t)


def overlay(mask: Mask, upper: Float32, lower: Float32) -> Float32:
    """Return the values of `upper` where the mask (n,) is True and those of `lower` elsewhere, (SLOTS, n) each."""
    return choose(mask, upper.view(np.uint32), lower.view(np.uint32)).view(np.float32)
