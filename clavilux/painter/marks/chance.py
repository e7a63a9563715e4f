"""Chance without a generator: every random choice of the painter is a hash of (seed, name, lattice cell).

So a place has the same marks at every size, on every machine, in every tile and with every version of NumPy. Hashes are
of 32-bit integers; the usual ``frac(sin(x) * 43758)`` loses its digits in float32.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from clavilux.painter.marks.trace import one_step

Float32 = NDArray[np.float32]
Uint32 = NDArray[np.uint32]
Mask = NDArray[np.bool_]

_ALL_BITS = 0xFFFFFFFF
ROW = np.uint32(0x9E3779B1)  # odd constants of xxHash32: multiples of lattice coordinates spread over all 32 bits
COLUMN = np.uint32(0x85EBCA77)
_MIX_1 = np.uint32(0x7FEB352D)  # "lowbias32" of C. Wellons' hash prospector: two rounds of xorshift and multiply
_MIX_2 = np.uint32(0x846CA68B)
_SHIFT_1 = np.uint32(16)
_SHIFT_2 = np.uint32(15)


@one_step
def mix(h: Uint32) -> Uint32:
    """Scramble 32-bit integers in place: each input bit changes each output bit about half of the time."""
    h ^= h >> _SHIFT_1
    h *= _MIX_1
    h ^= h >> _SHIFT_2
    h *= _MIX_2
    h ^= h >> _SHIFT_1
    return h


@lru_cache(maxsize=4096)
def key(seed: int, name: str) -> int:
    """32-bit key of a seed and a name: FNV-1a over both as text, mixed."""
    h = 0x811C9DC5
    for byte in f"{seed}/{name}".encode():
        h = ((h ^ byte) * 0x01000193) & _ALL_BITS
    return int(mix(np.array([h], np.uint32))[0])


@lru_cache(maxsize=4096)
def draws(seed: int, name: str, n: int) -> NDArray[np.float64]:
    """Return n numbers, uniform on (0, 1), that depend on seed and name alone."""
    u = (mix(np.arange(n, dtype=np.uint32) * ROW + np.uint32(key(seed, name))).astype(np.float64) + 0.5) / 2.0**32
    u.flags.writeable = False  # the cache hands the same array to everyone
    return u


def whole_bits(v: Float32) -> Uint32:
    """Whole numbers that are stored as float32, as 32-bit integers (two's complement)."""
    return v.astype(np.int32).view(np.uint32)


def cell_hash(i: Float32, j: Float32 | int, seed: int, name: str) -> Uint32:
    """Hash of lattice cell (i, j); i and j are whole numbers of any sign."""
    h = whole_bits(i) * ROW
    h += np.uint32((j * int(COLUMN)) & _ALL_BITS) if isinstance(j, int) else whole_bits(j) * COLUMN
    h += np.uint32(key(seed, name))
    return mix(h)


def rehash(h: Uint32, n: int) -> Uint32:
    """The n-th other hash of the same thing."""
    return mix(h + np.uint32((n * int(ROW) + 0x7F4A7C15) & _ALL_BITS))


@one_step
def unit(h: Uint32) -> Float32:
    """Numbers on (0, 1) from hashes: 23 bits and a half, so that float32 reaches neither end."""
    u = (h >> np.uint32(9)).astype(np.float32)
    u += np.float32(0.5)
    u *= np.float32(2.0**-23)
    return u


def happens(h: Uint32, n: int, probability: float) -> Mask:
    """True for a share `probability` of the hashes; another share for another n."""
    return rehash(h, n) < np.uint32(min(probability * 2.0**32, _ALL_BITS))


@one_step
def choose(mask: Mask, a: Uint32, b: Uint32) -> Uint32:
    """``where(mask, a, b)`` by bits: 4 times as fast as np.where on masks that a processor cannot foresee."""
    bits = mask.astype(np.int32)
    np.negative(bits, out=bits)
    picked = a ^ b
    picked &= bits.view(np.uint32)
    picked ^= b
    return picked
