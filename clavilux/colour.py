"""Conversions between sRGB, linear light and CIELAB (CIE 1976, D65, 2 degree observer), for arrays (..., 3)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

# IEC 61966-2-1: linear sRGB -> XYZ, each row divided by the white point D65.
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
) / np.array([[0.95047], [1.0], [1.08883]])
_FROM_XYZ = np.linalg.inv(_TO_XYZ).T
_EPSILON, _KAPPA = 216 / 24389, 24389 / 27  # CIE 15:2004, the exact fractions


def srgb_to_lab(rgb: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return sRGB colours (..., 3) in [0, 1] as CIELAB (..., 3): L* in [0, 100], a* and b*."""
    xyz = _decode(rgb) @ _TO_XYZ.T
    f = np.where(xyz > _EPSILON, np.cbrt(xyz), (_KAPPA * xyz + 16) / 116)
    lab = np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)
    return lab.astype(np.float32)


def lab_to_srgb(lab: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return CIELAB colours (..., 3) as sRGB (..., 3), clipped to [0, 1]."""
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], axis=-1)
    cube = f * f * f
    xyz = np.where(cube > _EPSILON, cube, (116 * f - 16) / _KAPPA)
    linear = np.clip(xyz @ _FROM_XYZ.astype(xyz.dtype), 0.0, 1.0)
    return np.asarray(np.clip(_encode(linear), 0.0, 1.0), np.float32)


def to_light(rgb: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return sRGB values in [0, 1] as linear light in [0, 1], elementwise (IEC 61966-2-1)."""
    return _decode(rgb).astype(np.float32)


def from_light(light: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return linear light in [0, 1] as sRGB values in [0, 1], elementwise (IEC 61966-2-1)."""
    return _encode(light).astype(np.float32)


def to_bytes(rgb: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Scale values from [0, 1] to [0, 255], and return them rounded to uint8, elementwise."""
    scaled: NDArray[np.uint8] = np.rint(rgb * 255.0).astype(np.uint8)
    return scaled


def write_hex(rgb: NDArray[np.floating]) -> list[str]:
    """Return sRGB colours (n, 3) in [0, 1], rounded to 8 bits, as text such as "#1a2b3c"."""
    return ["#" + bytes(colour).hex() for colour in to_bytes(rgb)]


def read_hex(colours: Iterable[str]) -> NDArray[np.float32]:
    """Return sRGB colours (n, 3) in [0, 1], given n texts such as "#1a2b3c"."""
    return np.array([list(bytes.fromhex(colour[1:])) for colour in colours], np.float32) / np.float32(255)


def _decode(rgb: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)


def _encode(light: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)
