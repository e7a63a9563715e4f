"""Conversions between sRGB, linear light and CIELAB (CIE 1976, D65, 2 degree observer), for arrays (..., 3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# IEC 61966-2-1: linear sRGB -> XYZ, each row divided by the white point D65.
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
) / np.array([[0.95047], [1.0], [1.08883]])
_EPSILON, _KAPPA = 216 / 24389, 24389 / 27  # CIE 15:2004, the exact fractions


def srgb_to_lab(rgb: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the CIELAB values (..., 3) of sRGB colours (..., 3) in [0, 1]: L* in [0, 100], a*, b*."""
    linear = _decode(rgb)
    xyz = linear @ _TO_XYZ.T
    f = np.where(xyz > _EPSILON, np.cbrt(xyz), (_KAPPA * xyz + 16) / 116)
    lab = np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)
    return lab.astype(np.float32)


def lab_to_srgb(lab: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the sRGB values (..., 3) of CIELAB colours (..., 3), clipped to [0, 1]."""
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f**3 > _EPSILON, f**3, (116 * f - 16) / _KAPPA)
    linear = np.clip(xyz @ np.linalg.inv(_TO_XYZ).T, 0.0, 1.0)
    return np.asarray(np.clip(_encode(linear), 0.0, 1.0), np.float32)


def to_light(rgb: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the linear light in [0, 1] of sRGB values in [0, 1], elementwise (IEC 61966-2-1)."""
    return _decode(rgb).astype(np.float32)


def from_light(light: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the sRGB values in [0, 1] of linear light in [0, 1], elementwise (IEC 61966-2-1)."""
    return _encode(light).astype(np.float32)


def to_bytes(rgb: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return values in [0, 1] as uint8 from 0 to 255, rounded to the nearest, elementwise."""
    scaled: NDArray[np.uint8] = np.rint(rgb * 255.0).astype(np.uint8)
    return scaled


def _decode(rgb: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)


def _encode(light: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)
