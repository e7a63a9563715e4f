"""The eight symmetries of the square, for pictures, plans and directions together.

Symmetry s in 0..7: a mirror across the vertical axis if s >= 4, then s % 4 quarter turns counter-clockwise. They are a
data augmentation: an abstract picture has no fixed orientation.
"""

from __future__ import annotations

import torch
from torch import Tensor

N_SYMMETRIES = 8


def turn_pictures(maps: Tensor, symmetry: int) -> Tensor:
    """Return maps (..., H, W) after symmetry number ``symmetry``, 0 to 7."""
    if symmetry >= 4:
        maps = maps.flip(-1)
    return torch.rot90(maps, symmetry % 4, dims=(-2, -1))


def turn_direction(direction: Tensor, symmetry: int) -> Tensor:
    """Return directions (..., 2) after symmetry number ``symmetry``, 0 to 7.

    A direction is the cosine and sine of twice the counter-clockwise angle. A mirror changes the sign of the angle; a
    quarter turn adds half a turn to twice the angle.
    """
    cosine, sine = direction[..., 0], direction[..., 1]
    if symmetry >= 4:
        sine = -sine
    sign = -1.0 if symmetry % 2 else 1.0
    return torch.stack([sign * cosine, sign * sine], dim=-1)
