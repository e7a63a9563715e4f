"""The eight symmetries of the square, for pictures, plans and directions together.

A symmetry s in 0..7 is s % 4 quarter turns counter-clockwise after a mirror across the vertical axis where s >= 4. An
abstract picture may be hung any way round.
"""

from __future__ import annotations

import torch
from torch import Tensor

N_SYMMETRIES = 8


def turn_pictures(maps: Tensor, symmetry: int) -> Tensor:
    """Turn maps (..., H, W)."""
    if symmetry >= 4:
        maps = maps.flip(-1)
    return torch.rot90(maps, symmetry % 4, dims=(-2, -1))


def turn_finish(finish: Tensor, symmetry: int) -> Tensor:
    """Turn what ``clavilux.constants.FINISH`` names, (..., 6): after a quarter turn, mirror and flip change places."""
    if symmetry % 2 == 0:
        return finish
    return torch.cat([finish[..., :-2], finish[..., -2:].flip(-1)], dim=-1)


def turn_direction(direction: Tensor, symmetry: int) -> Tensor:
    """Turn directions (..., 2), cosine and sine of twice an angle that counts counter-clockwise.

    A mirror changes the sign of the angle, a quarter turn adds half a turn to its double.
    """
    cosine, sine = direction[..., 0], direction[..., 1]
    if symmetry >= 4:
        sine = -sine
    sign = -1.0 if symmetry % 2 else 1.0
    return torch.stack([sign * cosine, sign * sine], dim=-1)
