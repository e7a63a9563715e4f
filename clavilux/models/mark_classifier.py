"""Eye: a picture -> what its marks are like. Learns on our own paintings with known marks, then reads real pictures.

Legend: B batch.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from clavilux.constants import CHAOS_RANGE, FREQUENCY_RANGE, SURFACE

_LINE_REACHES = (1, 2, 3)  # pixels: lines up to twice as wide, and one more, are told from shapes
_LINE_SIGNS = 12  # for each of them
_NEAR = 0.4  # deviations of grey: what is as far from the lightest or the darkest, or stands out as far
_EACH = 7  # pixel is enough for quantiles; no divisor of the side, which would read some columns alone
_GREY = (0.25, 0.6, 0.15)


class MarksSeen(NamedTuple):
    """What the eye sees in a batch of pictures.

    kind : (B, n_kinds) logits of the areas that kinds cover.
    frequency : (B,) natural logarithm of the marks along the short side.
    direction : (B, 2) cosine and sine of twice the angle, shorter than 1 where the eye is unsure.
    chaos : (B,) weight of the marks.
    surface : (B, 4) softness, glaze, brush and outline, each in [0, 1] of its range.
    """

    kind: Tensor
    frequency: Tensor
    direction: Tensor
    chaos: Tensor
    surface: Tensor


class MarkClassifier(nn.Module):
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
            nn.Linear(8 * width + 1 + len(_LINE_REACHES) * _LINE_SIGNS, 256),
            nn.SiLU(),
            nn.Dropout(0.1),
            nn.Linear(256, n_kinds + 4 + len(SURFACE)),
        )
        self.n_kinds = n_kinds
        self.map_signs = 8 * width

    def signs(self, pictures: Tensor) -> Tensor:
        """What is found in sRGB pictures (B, 3, 128, 128) in [0, 1], (B, 8 width + 37): means and deviations of the
        maps over the picture, the logarithm of its contrast, and `line_signs`.

        Marks are the same in a pale and in a glaring picture: each is brought to one contrast first. The surface is
        not: its deviations are in L*, so the contrast is told beside it.
        """
        centred = pictures - pictures.mean(dim=(2, 3), keepdim=True)
        contrast = centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() + 0.02
        maps = self.features(centred / contrast).float().flatten(2)
        return torch.cat([maps.mean(dim=2), maps.std(dim=2), contrast.log().flatten(1), line_signs(pictures)], dim=1)

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


def line_signs(pictures: Tensor) -> Tensor:
    """Thin dark and thin light things in sRGB pictures (B, 3, S, S), (B, 36).

    Top hats of grey morphology (Meyer 1979; Serra 1982): what a closing fills is dark and thin, what an opening takes
    away is light and thin. Of each, the mean, the deviation and the shares that stand out; and what of it is as dark as
    the darkest or as light as the lightest of the picture, where outlines are. Maps of convolutions learn to see that
    very slowly.
    """
    grey = (pictures.float() * pictures.new_tensor(_GREY)[:, None, None]).sum(dim=1, keepdim=True)
    grey = grey / (grey.std(dim=(2, 3), keepdim=True) + 0.02)
    some = grey.flatten(1)[:, ::_EACH]
    darkest, lightest = torch.quantile(some, grey.new_tensor([0.03, 0.97]), dim=1)[:, :, None, None, None]
    dark, light = (grey - darkest < _NEAR).float(), (lightest - grey < _NEAR).float()
    found = []
    for reach in _LINE_REACHES:
        for hat, extreme in (
            (_erode(_dilate(grey, reach), reach) - grey, dark),
            (grey - _dilate(_erode(grey, reach), reach), light),
        ):
            stands_out = (hat > _NEAR).float()
            found += [hat, (hat > 0.5).float(), (hat > 1.0).float(), hat * extreme]
            share = extreme.mean(dim=(2, 3), keepdim=True) + 0.01
            found += [hat.std(dim=(2, 3), keepdim=True), extreme * stands_out / share]
    # Roots: most of these are small.
    return torch.stack([sign.mean(dim=(1, 2, 3)).clamp(min=0).sqrt() for sign in found], dim=1)


def _dilate(grey: Tensor, reach: int) -> Tensor:
    """Largest in a square around each pixel of (B, 1, S, S), along one axis after the other: fast without a GPU."""
    for axis in (2, 3):
        wide = functional.pad(grey, (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0), mode="replicate")
        shifted = [wide.narrow(axis, step, grey.shape[axis]) for step in range(2 * reach + 1)]
        grey = reduce(torch.maximum, shifted)
    return grey


def _erode(grey: Tensor, reach: int) -> Tensor:
    return -_dilate(-grey, reach)


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
