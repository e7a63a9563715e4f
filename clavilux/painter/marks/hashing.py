"""Random numbers by hashing: every random choice of the painter is a hash of (seed, name, lattice cell).

A position therefore has the same marks at every size, on every machine and with every version of NumPy. The names are
part of the hash, so renaming one changes pictures. Hashes are 32-bit integers.
"""
# The common hash ``frac(sin(x) * 43758)`` loses its digits in float32.

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Uint32 = NDArray[np.uint32]
Mask = NDArray[np.bool_]

_ALL_BITS = 0xFFFFFFFF
ROW = np.uint32(0x9E3779B1)  # odd constants of xxHash32: they spread lattice coordinates over all 32 bits
COLUMN = np.uint32(0x85EBCA77)
_MIX_1 = np.uint32(0x7FEB352D)  # "lowbias32" of C. Wellons' hash prospector: two rounds of xorshift and multiply
_MIX_2 = np.uint32(0x846CA68B)
_SHIFT_1 = np.uint32(16)
_SHIFT_2 = np.uint32(15)


def mix(h: Uint32) -> Uint32:
    """Scramble 32-bit integers h (n,) in place, and return them.

    A change of one input bit changes each output bit with a probability of 1/2.
    """
    h ^= h >> _SHIFT_1
    h *= _MIX_1
    h ^= h >> _SHIFT_2
    h *= _MIX_2
    h ^= h >> _SHIFT_1
    return h


@lru_cache(maxsize=4096)
def key(seed: int, name: str) -> int:
    """Return a 32-bit key of a seed and a name: the scrambled FNV-1a hash of the text "seed/name"."""
    h = 0x811C9DC5
    for byte in f"{seed}/{name}".encode():
        h = ((h ^ byte) * 0x01000193) & _ALL_BITS
    return int(mix(np.array([h], np.uint32))[0])


@lru_cache(maxsize=256)
def draws(seed: int, name: str, n: int) -> NDArray[np.float64]:
    """Return n random numbers (n,), uniform on (0, 1), for a seed and a name; the array is read-only and cached."""
    u = (mix(np.arange(n, dtype=np.uint32) * ROW + np.uint32(key(seed, name))).astype(np.float64) + 0.5) / 2.0**32
    u.flags.writeable = False  # all callers share the cached array
    return u


def whole_bits(v: Float32) -> Uint32:
    """Convert whole numbers v (n,) from float32 to 32-bit integers (n,) in two's complement."""
    return v.astype(np.int32).view(np.uint32)


def cell_hash(i: Float32, j: Float32 | int, seed: int, name: str) -> Uint32:
    """Return the hashes (n,) of lattice cells (i, j); i (n,) and j are whole numbers of any sign."""
    h = whole_bits(i) * ROW
    h += np.uint32((j * int(COLUMN)) & _ALL_BITS) if isinstance(j, int) else whole_bits(j) * COLUMN
    h += np.uint32(key(seed, name))
    return mix(h)


def rehash(h: Uint32, n: int) -> Uint32:
    """Return hashes (n,) derived from h (n,); different numbers ``n`` give independent hashes."""
    return mix(h + np.uint32((n * int(ROW) + 0x7F4A7C15) & _ALL_BITS))


def unit(h: Uint32) -> Float32:
    """Convert hashes (n,) to float32 numbers, uniform on (0, 1); neither 0 nor 1 occurs."""
    # The upper 23 bits plus one half, so that neither end is reached.
    u = (h >> np.uint32(9)).astype(np.float32)
    u += np.float32(0.5)
    u *= np.float32(2.0**-23)
    return u


def happens(h: Uint32, n: int, probability: float) -> Mask:
    """Return a random mask (N,), computed from the hashes h (N,): each element is True with the given probability.

    ``n`` selects the mask: the same hashes give independent masks for different ``n``.
    """
    return rehash(h, n) < np.uint32(min(probability * 2.0**32, _ALL_BITS))


def choose(mask: Mask, a: Uint32, b: Uint32) -> Uint32:
    """Return ``np.where(mask, a, b)`` for 32-bit integers."""
    # Bit operations are 4 times as fast as np.where on random masks.
    bits = mask.astype(np.int32)
    np.negative(bits, out=bits)
    picked = a ^ b
    picked &= bits.view(np.uint32)
    picked ^= b
    return picked
