"""MarkClassifier: a picture -> its marks. Trained on painted examples with known marks, then applied to real pictures.

Legend: B batch.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from clavilux.constants import CHAOS_RANGE, FREQUENCY_RANGE, PAINT, SURFACE_NAMES

_LINE_REACHES = (1, 2, 3)  # pixels: structures up to twice as wide, plus one, count as lines
_FEATURES_PER_REACH = 12
_NEAR = 0.4  # standard deviations of grey
_STRIDE = 7  # pixels; every seventh is enough for quantiles. Not a divisor of the side, to cover all columns
_GREY = (0.25, 0.6, 0.15)


class MarkPredictions(NamedTuple):
    """Marks that the classifier predicts for a batch of pictures.

    Attributes
    ----------
    kind : (B, n_kinds)
        Logits of the kinds of marks; their softmax is the fraction of the picture that each kind covers.
    frequency : (B,)
        Natural logarithm of the number of marks along the short side.
    direction : (B, 2)
        Cosine and sine of twice the angle, times a confidence from 0 to about 1.
    chaos : (B,)
        Weight of the marks, in ``CHAOS_RANGE``.
    paint : (B, 4)
        Softness, glaze, brush and outline, each scaled so that its range is [0, 1].
    surface : (B, n_surfaces)
        Logits of the surfaces.
    """

    kind: Tensor
    frequency: Tensor
    direction: Tensor
    chaos: Tensor
    paint: Tensor
    surface: Tensor


class MarkClassifier(nn.Module):
    """Small convolutional network for pictures of 128 x 128 pixels.

    Feature maps are pooled to their means and standard deviations over the picture.

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
            nn.Linear(8 * width + 1 + len(_LINE_REACHES) * _FEATURES_PER_REACH, 256),
            nn.SiLU(),
            nn.Dropout(0.1),
            nn.Linear(256, n_kinds + 4 + len(PAINT) + len(SURFACE_NAMES)),
        )
        self.n_kinds = n_kinds
        self.n_map_features = 8 * width

    def pool(self, pictures: Tensor) -> Tensor:
        """Return the pooled features (B, 8 width + 37) of sRGB pictures (B, 3, 128, 128) in [0, 1].

        They are the means and standard deviations of the feature maps, the logarithm of the contrast of the picture,
        and `line_features`. Feature maps are computed from pictures that are normalised to the same contrast, because
        marks do not depend on it. The properties of the paint do, because they are measured in L*.
        """
        centred = pictures - pictures.mean(dim=(2, 3), keepdim=True)
        contrast = centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() + 0.02
        maps = self.features(centred / contrast).float().flatten(2)
        return torch.cat([maps.mean(dim=2), maps.std(dim=2), contrast.log().flatten(1), line_features(pictures)], dim=1)

    def forward(self, pictures: Tensor) -> MarkPredictions:
        """Return the marks of sRGB pictures (B, 3, 128, 128) in [0, 1]."""
        output = self.head(self.pool(pictures)).float()
        kind, rest = output[:, : self.n_kinds], output[:, self.n_kinds :]
        low, high = (math.log(v) for v in FREQUENCY_RANGE)
        return MarkPredictions(
            kind=kind,
            frequency=low + (high - low) * torch.sigmoid(rest[:, 0]),
            direction=rest[:, 1:3],
            chaos=CHAOS_RANGE[1] * torch.sigmoid(rest[:, 3]),
            paint=torch.sigmoid(rest[:, 4 : 4 + len(PAINT)]),
            surface=rest[:, 4 + len(PAINT) :],
        )


def line_features(pictures: Tensor) -> Tensor:
    """Return features (B, 36) of thin dark and thin light lines in sRGB pictures (B, 3, S, S) in [0, 1].

    They are computed from top-hat transforms of grey morphology (Meyer 1979; Serra 1982): the closing minus the picture
    contains dark lines, the picture minus the opening contains light lines. The features are the mean, the standard
    deviation and the fractions of large values of each transform. Some of them use only pixels about as dark as the
    darkest or as light as the lightest colour, because outlines have these colours.
    """
    # Convolutions learn these features very slowly.
    grey = (pictures.float() * pictures.new_tensor(_GREY)[:, None, None]).sum(dim=1, keepdim=True)
    grey = grey / (grey.std(dim=(2, 3), keepdim=True) + 0.02)
    sample = grey.flatten(1)[:, ::_STRIDE]
    darkest, lightest = torch.quantile(sample, grey.new_tensor([0.03, 0.97]), dim=1)[:, :, None, None, None]
    dark, light = (grey - darkest < _NEAR).float(), (lightest - grey < _NEAR).float()
    features = []
    for reach in _LINE_REACHES:
        for hat, extreme in (
            (_erode(_dilate(grey, reach), reach) - grey, dark),
            (grey - _dilate(_erode(grey, reach), reach), light),
        ):
            large = (hat > _NEAR).float()
            features += [hat, (hat > 0.5).float(), (hat > 1.0).float(), hat * extreme]
            share = extreme.mean(dim=(2, 3), keepdim=True) + 0.01
            features += [hat.std(dim=(2, 3), keepdim=True), extreme * large / share]
    # Square roots, because most features are small.
    return torch.stack([feature.mean(dim=(1, 2, 3)).clamp(min=0).sqrt() for feature in features], dim=1)


def _dilate(grey: Tensor, reach: int) -> Tensor:
    """Return the maximum in a square around each pixel of (B, 1, S, S), computed one axis at a time."""
    for axis in (2, 3):
        wide = functional.pad(grey, (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0), mode="replicate")
        shifted = [wide.narrow(axis, step, grey.shape[axis]) for step in range(2 * reach + 1)]
        grey = reduce(torch.maximum, shifted)
    return grey


def _erode(grey: Tensor, reach: int) -> Tensor:
    return -_dilate(-grey, reach)


class _Residual(nn.Module):
    """Residual block for maps (B, width, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.change = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1))

    def forward(self, maps: Tensor) -> Tensor:
        changed: Tensor = maps + self.change(maps)
        return changed


def _block(fan_in: int, fan_out: int) -> list[nn.Module]:
    """Return layers that halve the side and change the number of channels."""
    return [nn.GroupNorm(8, fan_in), nn.SiLU(), nn.Conv2d(fan_in, fan_out, 3, stride=2, padding=1)]
