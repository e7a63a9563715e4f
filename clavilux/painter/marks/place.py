"""The ground that all mark fields stand on: places, smooth waves, clans of pieces, and what a kind gives back.

positions (short side = 1) -> Place (bent, turned, counted in marks) -> a kind's function -> Marks -> painter
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import SLOTS
from clavilux.painter.marks.chance import Float32, Mask, Uint32, cell_hash, choose, draws, happens, rehash, unit
from clavilux.painter.marks.trace import Traced, one_step

# Frequencies of the plane waves of a field: half a cycle a unit, give or take this share. Narrower shows a lattice,
# wider mixes large shapes with crumbs.
_SPREAD = 0.45

# Numbers of the hashes that slots draw with; those below are for shapes, so that no shape has a favourite colour.
_SLOT_NUMBERS = 100


@dataclass(frozen=True)
class Place:
    """n positions as a kind sees them.

    Attributes
    ----------
    s, t : (n,) float32
        Position in marks (the short side of the picture is `frequency` marks), from the centre of the picture: s along
        the angle of the marks, t across it.
    frequency : float
        Marks along the short side.
    seed : int
        What chance hangs on.
    """

    s: Float32
    t: Float32
    frequency: float
    seed: int

    def hash(self, i: Float32, j: Float32 | int, name: str) -> Uint32:
        """Hash of lattice cell (i, j)."""
        return cell_hash(i, j, self.seed, name)

    def waves(self, s: Float32, t: Float32, name: str, *, n: int = 12) -> Float32:
        """Smooth field over (s, t), see `waves`."""
        return waves(s, t, self.seed, name, n=n)

    def draw(self, name: str, n: int) -> NDArray[np.float64]:
        """n numbers on (0, 1) for the whole picture."""
        return draws(self.seed, name, n)


@dataclass(frozen=True)
class Marks:
    """What a kind gives back for n positions.

    Attributes
    ----------
    u : (SLOTS, n) or (1, n) float32
        Mark field, uniform on (0, 1). One row for each slot: the slots bid against each other. One row for all: the
        slots are stacked from dark to light, and u is the height in the stack.
    to_s, to_t : (n,) float32 or None
        Way from the position to where its piece reads the plan, in marks; None where each position reads for itself.
    """

    u: Float32
    to_s: Float32 | None = None
    to_t: Float32 | None = None


@lru_cache(maxsize=4096)
def plane_waves(seed: int, name: str, n: int) -> tuple[tuple[np.float32, np.float32, np.float32], ...]:
    """Frequencies along s and t, in radians, and phases of n waves of about half a cycle a unit."""
    u = draws(seed, name, 3 * n)
    turns = (np.arange(n) + u[:n]) / n  # one in each of n sectors: no field leans one way by chance
    cycles = 0.5 * (1.0 + _SPREAD * (2.0 * u[n : 2 * n] - 1.0))
    return tuple(
        (
            np.float32(math.tau * f * math.cos(math.tau * a)),
            np.float32(math.tau * f * math.sin(math.tau * a)),
            np.float32(math.tau * p),
        )
        for a, f, p in zip(turns, cycles, u[2 * n :], strict=True)
    )


def waves(s: Float32, t: Float32, seed: int, name: str, *, n: int = 12) -> Float32:
    """Smooth field over (s, t), nearly normal with mean 0 and deviation 1: n plane waves of about half a cycle a unit.

    A sum of n sines of random phase has an excess kurtosis of -1.5 / n, so that its distribution function is within
    0.03 / n of the normal one.
    """
    made = plane_waves(seed, name, n)
    if isinstance(s, Traced):
        return s.sum_waves(t, made) * np.float32(math.sqrt(2.0 / n))
    total = np.zeros_like(s)
    phase, part = np.empty_like(s), np.empty_like(s)
    for a, b, c in made:
        np.multiply(s, a, out=phase)
        np.multiply(t, b, out=part)
        phase += part
        phase += c
        np.sin(phase, out=phase)
        total += phase
    total *= np.float32(math.sqrt(2.0 / n))
    return total


@one_step
def normal_to_uniform(z: Float32) -> Float32:
    """Normal distribution function, within 2e-4: the logistic function of a cubic (Bowling et al. 2009)."""
    w = z * z
    w *= np.float32(-0.07056)
    w -= np.float32(1.5976)
    w *= z
    np.clip(w, -13.0, 13.0, out=w)  # keeps the result off 0 and 1
    np.exp(w, out=w)
    w += np.float32(1.0)
    np.reciprocal(w, out=w)
    return w


def sawtooth(v: Float32) -> Float32:
    """v - floor(v), kept off 0 and 1: uniform where v runs on."""
    v = v - np.floor(v)
    return np.clip(v, np.float32(1e-6), np.float32(1 - 1e-6), out=v)


def triangle_wave(v: Float32) -> Float32:
    """0 to 1 and back, once for each unit of v: uniform where v runs on."""
    v = v - np.floor(v)
    v *= np.float32(2.0)
    v -= np.float32(1.0)
    np.abs(v, out=v)
    return np.clip(v, np.float32(1e-6), np.float32(1 - 1e-6), out=v)


def odd(j: Float32) -> Float32:
    """1 for odd whole numbers, 0 for even ones."""
    parity: Float32 = j - np.float32(2.0) * np.floor(j * np.float32(0.5))
    return parity


def slot_fields(place: Place, s: Float32, t: Float32, name: str, *, n: int = 12) -> Float32:
    """(SLOTS, n) smooth fields, uniform on (0, 1), one for each slot."""
    u = np.empty_like(s, shape=(SLOTS, s.size))
    for k in range(SLOTS):
        u[k] = normal_to_uniform(waves(s, t, place.seed, f"{name} {k}", n=n))
    return u


def calm(place: Place, name: str, size: float) -> Float32:
    """(SLOTS, n) slow fields: soft grounds, about `size` marks large, on which other marks stand."""
    scale = np.float32(1.0 / size)
    return slot_fields(place, place.s * scale, place.t * scale, name, n=6)


def slot_draws(h: Uint32) -> Float32:
    """(SLOTS, n) numbers, uniform on (0, 1) and independent, for each piece h."""
    u = np.empty_like(h, np.float32, shape=(SLOTS, h.size))
    for k in range(SLOTS):
        u[k] = unit(rehash(h, _SLOT_NUMBERS + k))
    return u


def clan(place: Place, s: Float32, t: Float32, name: str, size: float) -> Uint32:
    """Hash of the clan that a piece at (s, t) belongs to: one patch of about `size` marks across.

    The patches are the squares of a lattice that stands askew and is bent so far that nobody sees squares.
    """
    p = s * np.float32(0.88 / size) + t * np.float32(0.47 / size)
    q = t * np.float32(0.88 / size) - s * np.float32(0.47 / size)
    i = np.floor(p + np.float32(0.35) * place.waves(p, q, name + " i", n=4))
    j = np.floor(q + np.float32(0.35) * place.waves(p, q, name + " j", n=4))
    return place.hash(i, j, name)


def with_clans(place: Place, h: Uint32, s: Float32, t: Float32, loyalty: float, size: float) -> Uint32:
    """Let a share `loyalty` of the pieces h at (s, t) take the colours of their clan.

    Pieces that choose alone are confetti; when neighbours agree often enough, the eye finds shapes.
    """
    return choose(happens(h, 99, loyalty), clan(place, s, t, "clan", size), h)


def pieces(place: Place, h: Uint32, s: Float32, t: Float32, *, loyalty: float = 0.5, clan_size: float = 4.0) -> Marks:
    """Marks of a partition of the plane: h is the hash of the piece at each position, (s, t) its middle.

    Exactly uniform, and independent between the slots, whatever the shapes: each piece draws one number for each slot.
    """
    return Marks(slot_draws(with_clans(place, h, s, t, loyalty, clan_size)), s - place.s, t - place.t)


def on_ground(mask: Mask, marks: Marks, ground: Float32) -> Marks:
    """Marks where the mask is set; elsewhere the (SLOTS, n) field `ground`, where each position reads for itself."""
    to_s = None if marks.to_s is None else marks.to_s * mask
    to_t = None if marks.to_t is None else marks.to_t * mask
    return Marks(lay_over(mask, marks.u, ground), to_s, to_t)


def lay_over(mask: Mask, upper: Float32, lower: Float32) -> Float32:
    """(SLOTS, n) field that is `upper` where the mask is set and `lower` elsewhere."""
    return choose(mask, upper.view(np.uint32), lower.view(np.uint32)).view(np.float32)
