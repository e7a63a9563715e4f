"""Apply the eight symmetries of the square to pictures, plans and directions, as data augmentation.

Symmetry s, from 0 to 7, first mirrors left and right if s >= 4, and then rotates by s % 4 quarter turns
counter-clockwise. An abstract picture has no fixed orientation, so the result is as good an example as the original.
"""

from __future__ import annotations

import torch
from torch import Tensor

N_SYMMETRIES = 8


def turn_pictures(maps: Tensor, symmetry: int) -> Tensor:
    """Return pictures or plans (..., H, W), mirrored and turned by the symmetry with this number, 0 to 7."""
    if symmetry >= 4:
        maps = maps.flip(-1)
    return torch.rot90(maps, symmetry % 4, dims=(-2, -1))


def turn_direction(direction: Tensor, symmetry: int) -> Tensor:
    """Return directions (..., 2), mirrored and turned by the symmetry with this number, 0 to 7.

    The direction of marks at the counter-clockwise angle a is (cos 2a, sin 2a). Mirroring changes the sign of a, and a
    quarter turn adds 180 degrees to 2a.
    """
    cosine, sine = direction[..., 0], direction[..., 1]
    if symmetry >= 4:
        sine = -sine
    sign = -1.0 if symmetry % 2 else 1.0
    return torch.stack([sign * cosine, sign * sine], dim=-1)
