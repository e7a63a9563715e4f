"""MarkClassifier: predicts the marks of a picture (the shapes of its areas) and its surface (how it is painted).

It is trained on pictures that the painter has painted with known marks, and then applied to real pictures.

Letters in shapes: B pictures of a batch.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from clavilux.constants import CHAOS_RANGE, FREQUENCY_RANGE, PAINT, SURFACE_NAMES
from clavilux.models.weights import BundledNetwork, Weights
from clavilux.painter.marks import KINDS

_LINE_RADII = (1, 2, 3)  # px; a radius finds lines that are at most 2 * radius pixels wide
_N_LINE_FEATURES = 12 * len(_LINE_RADII)  # two transforms with six features each
_NEAR = 0.4  # in standard deviations of grey; a smaller difference counts as none
_STRIDE = 7  # every seventh pixel is enough for quantiles; 7 does not divide the side, 128, so all columns are sampled
_GREY = (0.25, 0.6, 0.15)  # weights of red, green and blue
_EDGE_SCALES = (1, 2, 4)  # px; sides of the squares whose means are taken before edges are measured
N_EDGE_FEATURES = 5 * len(_EDGE_SCALES)  # see `edge_features`


class MarkPredictions(NamedTuple):
    """Marks and surfaces that the classifier predicts for a batch of pictures."""

    kind: Tensor  # (B, n_kinds), logits of the kinds of marks; the softmax estimates which fraction each kind covers
    frequency: Tensor  # (B,), natural logarithm of the number of marks along the short side of the picture
    direction: Tensor  # (B, 2), cosine and sine of twice the angle of the marks, times a confidence from 0 to about 1
    chaos: Tensor  # (B,), how far marks deviate from the plan, in `CHAOS_RANGE`
    paint: Tensor  # (B, 4), softness, glaze, brush and outline, each scaled from its range to [0, 1]
    surface: Tensor  # (B, n_surfaces), logits of the surfaces


class MarkClassifier(BundledNetwork):
    """Small convolutional network for pictures of 128 x 128 pixels, with a perceptron on pooled features.

    Parameters
    ----------
    n_kinds : int
        Number of kinds of marks.
    width : int
        Number of channels at the finest scale.
    """

    part = "mark_classifier"

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
            nn.Linear(8 * width + 1 + _N_LINE_FEATURES + N_EDGE_FEATURES, 256),
            nn.SiLU(),
            nn.Dropout(0.1),
            nn.Linear(256, n_kinds + 4 + len(PAINT) + len(SURFACE_NAMES)),
        )
        self.n_kinds = n_kinds

    @classmethod
    def sizes_of(cls, weights: Weights) -> dict[str, int]:
        """Return the constructor arguments that fit stored weights; ``n_kinds`` is always the length of `KINDS`."""
        return {"n_kinds": len(KINDS), "width": weights.size("features.0.weight")}

    def pool(self, pictures: Tensor) -> Tensor:
        """Return the pooled features (B, 8 width + 52) of sRGB pictures (B, 3, 128, 128) in [0, 1].

        They are the mean and the standard deviation of each feature map, the logarithm of the contrast of the picture,
        the `line_features` and the `edge_features`. The feature maps are computed after all pictures are scaled to the
        same contrast, because marks do not depend on contrast. The contrast is a feature of its own because two of the
        predicted controls, ``glaze`` and ``brush``, are strengths in L*, which the scaled pictures no longer show.
        """
        centred = pictures - pictures.mean(dim=(2, 3), keepdim=True)
        contrast = centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() + 0.02
        maps = self.features(centred / contrast).float().flatten(2)
        grey = to_grey(pictures)
        pooled = [
            maps.mean(dim=2),
            maps.std(dim=2),
            contrast.log().flatten(1),
            line_features(grey),
            edge_features(grey),
        ]
        return torch.cat(pooled, dim=1)

    def forward(self, pictures: Tensor) -> MarkPredictions:
        """Return the predictions for sRGB pictures (B, 3, 128, 128) in [0, 1]."""
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


def to_grey(pictures: Tensor) -> Tensor:
    """Return grey pictures (B, 1, S, S), with a standard deviation of about 1, of sRGB pictures (B, 3, S, S)."""
    grey = (pictures.float() * pictures.new_tensor(_GREY)[:, None, None]).sum(dim=1, keepdim=True)
    return grey / (grey.std(dim=(2, 3), keepdim=True) + 0.02)


def line_features(grey: Tensor) -> Tensor:
    """Return features (B, 36) of thin dark and thin light lines in grey pictures (B, 1, S, S), see `to_grey`.

    The features come from top-hat transforms in greyscale morphology (Meyer 1979; Serra 1982): the closing minus the
    picture shows dark lines, the picture minus the opening shows light lines. There are two transforms for each of
    three line widths. In each transform, extreme pixels are those about as dark as the darkest colour of the picture
    (for dark lines) or about as light as the lightest (for light lines); outlines have these colours.

    Each transform gives six features: its mean, the fractions of pixels above 0.5 and above 1, the mean after all but
    the extreme pixels are set to 0, the standard deviation, and among the extreme pixels the fraction that is above
    0.4. The square roots of the features are returned.
    """
    # The convolutional network would learn these features very slowly.
    sample = grey.flatten(1)[:, ::_STRIDE]
    darkest, lightest = torch.quantile(sample, grey.new_tensor([0.03, 0.97]), dim=1)[:, :, None, None, None]
    dark, light = (grey - darkest < _NEAR).float(), (lightest - grey < _NEAR).float()
    features = []
    for radius in _LINE_RADII:
        for hat, extreme in (
            (_erode(_dilate(grey, radius), radius) - grey, dark),
            (grey - _dilate(_erode(grey, radius), radius), light),
        ):
            large = (hat > _NEAR).float()
            features += [hat, (hat > 0.5).float(), (hat > 1.0).float(), hat * extreme]
            share = extreme.mean(dim=(2, 3), keepdim=True) + 0.01
            features += [hat.std(dim=(2, 3), keepdim=True), extreme * large / share]
    # Square roots, because most features are small.
    return torch.stack([feature.mean(dim=(1, 2, 3)).clamp(min=0).sqrt() for feature in features], dim=1)


def edge_features(grey: Tensor) -> Tensor:
    """Return features (B, 15) of the directions of edges in grey pictures (B, 1, S, S), five for each of three scales.

    For each scale, they are (cos 2a, sin 2a) of the counter-clockwise angle a of lines, the logarithm of the mean
    squared gradient, and (cos 4a, sin 4a), which grids have too. Cosines and sines are means over all pixels, weighted
    by the squared gradient: the structure tensor (Bigün & Granlund 1987).
    """
    # Without these features, no directions were learned in 600 steps (research/diary/small-networks.md).
    features = []
    for scale in _EDGE_SCALES:
        small = functional.avg_pool2d(grey, scale)
        gx = small[:, :, 1:-1, 2:] - small[:, :, 1:-1, :-2]
        gy = small[:, :, :-2, 1:-1] - small[:, :, 2:, 1:-1]
        cosine, sine, energy = gx * gx - gy * gy, 2 * gx * gy, gx * gx + gy * gy + 1e-6
        four = (cosine * cosine - sine * sine) / energy, 2 * cosine * sine / energy
        total = energy.mean(dim=(1, 2, 3))
        features += [-cosine.mean(dim=(1, 2, 3)) / total, -sine.mean(dim=(1, 2, 3)) / total, total.log()]
        features += [part.mean(dim=(1, 2, 3)) / total for part in four]
    return torch.stack(features, dim=1)


def _dilate(grey: Tensor, radius: int) -> Tensor:
    """Return pictures (B, 1, S, S) in which each pixel is the maximum over a square around it.

    The square reaches ``radius`` pixels in each direction. This function is five times as fast as `max_pool2d`.
    """
    for axis in (2, 3):
        padding = (0, 0, radius, radius) if axis == 2 else (radius, radius, 0, 0)
        padded = functional.pad(grey, padding, mode="replicate")
        grey = reduce(torch.maximum, [padded.narrow(axis, i, grey.shape[axis]) for i in range(2 * radius + 1)])
    return grey


def _erode(grey: Tensor, radius: int) -> Tensor:
    return -_dilate(-grey, radius)


class _Residual(nn.Module):
    """Residual block for feature maps (B, width, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.change = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1))

    def forward(self, maps: Tensor) -> Tensor:
        changed: Tensor = maps + self.change(maps)
        return changed


def _block(fan_in: int, fan_out: int) -> list[nn.Module]:
    """Return layers that halve the side of feature maps; the number of channels goes from ``fan_in`` to ``fan_out``."""
    return [nn.GroupNorm(8, fan_in), nn.SiLU(), nn.Conv2d(fan_in, fan_out, 3, stride=2, padding=1)]
