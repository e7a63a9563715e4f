"""Eye: a picture -> what its marks are like. Learns on our own paintings with known marks, then reads real pictures.

Legend: B batch.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from clavilux.constants import CHAOS_RANGE, FREQUENCY_RANGE, SURFACE


class MarksSeen(NamedTuple):
    """What the eye sees in a batch of pictures.

    kind : (B, n_kinds) logits of the areas that kinds cover.
    frequency : (B,) natural logarithm of the marks along the short side.
    direction : (B, 2) cosine and sine of twice the angle, shorter than 1 where the eye is unsure.
    chaos : (B,) weight of the marks.
    surface : (B, 3) softness, glaze and brush, each in [0, 1] of its range.
    """

    kind: Tensor
    frequency: Tensor
    direction: Tensor
    chaos: Tensor
    surface: Tensor


class Eye(nn.Module):
    """Small convolutional classifier of 128 px pictures with a global mean and deviation at its end.

    Parameters
    ----------
    n_kinds : int
        Number of kinds of marks.
    width : int
        Channels at the finest scale.
    """

    def __init__(self, *, n_kinds: int, width: int = 48) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 5, stride=2, padding=2),
            *_block(width, 2 * width),
            _Residual(2 * width),
            *_block(2 * width, 4 * width),
            _Residual(4 * width),
            *_block(4 * width, 4 * width),
            _Residual(4 * width),
            nn.GroupNorm(8, 4 * width),
            nn.SiLU(),
        )
        self.head = nn.Sequential(
            nn.Linear(8 * width + 1, 256), nn.SiLU(), nn.Dropout(0.1), nn.Linear(256, n_kinds + 4 + len(SURFACE))
        )
        self.n_kinds = n_kinds

    def signs(self, pictures: Tensor) -> Tensor:
        """What is found in sRGB pictures (B, 3, 128, 128) in [0, 1], (B, 8 width + 1): means and deviations of the maps
        over the picture, and the logarithm of its contrast.

        Marks are the same in a pale and in a glaring picture: each is brought to one contrast first. The surface is
        not: its deviations are in L*, so the contrast is told beside it.
        """
        centred = pictures - pictures.mean(dim=(2, 3), keepdim=True)
        contrast = centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() + 0.02
        maps = self.features(centred / contrast).float().flatten(2)
        return torch.cat([maps.mean(dim=2), maps.std(dim=2), contrast.log().flatten(1)], dim=1)

    def forward(self, pictures: Tensor) -> MarksSeen:
        """Marks of sRGB pictures (B, 3, 128, 128) in [0, 1]."""
        seen = self.head(self.signs(pictures)).float()
        kind, rest = seen[:, : self.n_kinds], seen[:, self.n_kinds :]
        low, high = (math.log(v) for v in FREQUENCY_RANGE)
        return MarksSeen(
            kind=kind,
            frequency=low + (high - low) * torch.sigmoid(rest[:, 0]),
            direction=rest[:, 1:3],
            chaos=CHAOS_RANGE[1] * torch.sigmoid(rest[:, 3]),
            surface=torch.sigmoid(rest[:, 4:]),
        )


class _Residual(nn.Module):
    """Maps (B, width, H, W) and what a convolution adds to them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.change = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1))

    def forward(self, maps: Tensor) -> Tensor:
        changed: Tensor = maps + self.change(maps)
        return changed


def _block(fan_in: int, fan_out: int) -> list[nn.Module]:
    """Half the side, other channels."""
    return [nn.GroupNorm(8, fan_in), nn.SiLU(), nn.Conv2d(fan_in, fan_out, 3, stride=2, padding=1)]
