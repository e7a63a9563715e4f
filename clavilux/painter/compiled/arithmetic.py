"""Scalar arithmetic of the compiled painter. LLVM vectorises the loops that call these functions.

The operations are those of the painter in NumPy, in the same order and with the same rounding, except sine, logarithm
and exponential: these are polynomials after Cephes (Moshier 1992), within 2e-7 of NumPy's results.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from clavilux.painter.compiled.jit import Float32, Scalar, compiled, fused, intrinsic


@intrinsic
def bit_cast(context: Any, number: Any, kind: Any) -> Any:
    """Return the bits of a scalar as another type of the same size; Numba's ``view`` accepts integers only."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return kind.instance_type(number, kind), build


@fused
def sin_turns(v: Scalar) -> Scalar:
    """Return the sine of an angle in turns."""
    r = v - np.rint(v)
    q = r * r
    p = np.float32(12.232246398925781)
    p = p * q + np.float32(-38.122798919677734)
    p = p * q + np.float32(67.04385375976562)
    p = p * q + np.float32(-64.83467864990234)
    p = p * q + np.float32(25.13273048400879)
    return r * (np.float32(0.25) - q) * p  # this form is exact at the zeros


@fused
def plane_wave(s: Scalar, t: Scalar, a: Scalar, b: Scalar, c: Scalar) -> Scalar:
    """Return a plane wave at (s, t): the sine of ``a s + b t + c`` turns."""
    return sin_turns(s * a + (t * b + c))


@fused
def log(x: Scalar) -> Scalar:
    """Return the natural logarithm of a positive, normal float32."""
    bits = bit_cast(x, numba.int32)
    e = (bits - np.int32(0x3F3504F3)) >> np.int32(23)  # x is 2^e times a number from sqrt(1/2) to sqrt(2)
    f = bit_cast(np.int32(bits - (e << np.int32(23))), numba.float32) - np.float32(1)
    p = np.float32(-0.1037859320640564)
    p = p * f + np.float32(0.16338108479976654)
    p = p * f + np.float32(-0.1721244901418686)
    p = p * f + np.float32(0.19884240627288818)
    p = p * f + np.float32(-0.24971559643745422)
    p = p * f + np.float32(0.3333560824394226)
    p = p * f + np.float32(-0.500003457069397)
    p = p * f + np.float32(0.9999999403953552)
    return p * f + np.float32(e) * np.float32(math.log(2))


@fused
def exp(x: Scalar) -> Scalar:
    """Return the exponential function."""
    x = min(max(x, np.float32(-60)), np.float32(60))  # avoids subnormal numbers, which are slow
    k = np.rint(x * np.float32(1 / math.log(2)))
    x = x - k * np.float32(0.693359375) - k * np.float32(math.log(2) - 0.693359375)
    p = np.float32(0.008297652006149292)
    p = p * x + np.float32(0.04191538318991661)
    p = p * x + np.float32(0.16667574644088745)
    p = p * x + np.float32(0.49998894333839417)
    p = p * x + np.float32(0.9999997019767761)
    p = p * x + np.float32(1.0000001192092896)
    return p * bit_cast(np.int32((np.int32(k) + np.int32(127)) << np.int32(23)), numba.float32)


@compiled
def mix(h: Scalar) -> Scalar:
    """Scramble a uint32: `clavilux.painter.marks.hashing.mix`."""
    h = np.uint32(h ^ (h >> np.uint32(16)))  # Numba widens products of uint32 to 64 bits
    h = np.uint32(h * np.uint32(0x7FEB352D))
    h = np.uint32(h ^ (h >> np.uint32(15)))
    h = np.uint32(h * np.uint32(0x846CA68B))
    return np.uint32(h ^ (h >> np.uint32(16)))


@compiled
def unit(h: Scalar) -> Scalar:
    """Convert a hash to a float32 on (0, 1): `clavilux.painter.marks.hashing.unit`."""
    return (np.float32(h >> np.uint32(9)) + np.float32(0.5)) * np.float32(2.0**-23)


@compiled
def normal_to_uniform(z: Scalar) -> Scalar:
    """Return the normal distribution function: `clavilux.painter.marks.place.normal_to_uniform`."""
    w = (z * z * np.float32(-0.07056) - np.float32(1.5976)) * z
    return np.float32(1) / (exp(min(max(w, np.float32(-13)), np.float32(13))) + np.float32(1))


@compiled
def encode_srgb(light: Scalar) -> Scalar:
    """Convert linear light in [0, 1] to sRGB in [0, 255], not rounded."""
    bent = np.float32(1.055) * exp(log(max(light, np.float32(1e-9))) * np.float32(1 / 2.4)) - np.float32(0.055)
    return np.float32(255) * (bent if light > np.float32(0.0031308) else np.float32(12.92) * light)


@compiled
def read_field(table: Float32, side: Scalar, s: Scalar, t: Scalar) -> Scalar:
    """Interpolate a periodic table at (s, t): `clavilux.painter.marks.learnt.read_field`."""
    n = np.float32(side)
    column, row = (s - np.floor(s)) * n, (t - np.floor(t)) * n
    whole_column, whole_row = min(np.floor(column), n - np.float32(1)), min(np.floor(row), n - np.float32(1))
    right, down = column - whole_column, row - whole_row
    at = np.uint64(np.int32(whole_row * (n + np.float32(1)) + whole_column))
    below = at + np.uint64(side) + np.uint64(1)
    upper = table[at] + (table[at + np.uint64(1)] - table[at]) * right
    lower = table[below] + (table[below + np.uint64(1)] - table[below]) * right
    return upper + (lower - upper) * down


@compiled
def ease(f: Scalar) -> Scalar:
    """Return the smoothstep polynomial: 0 to 1 with zero slope at both ends."""
    return f * f * (np.float32(3) - np.float32(2) * f)
