"""Visual features of the paintings of latents.

latents of art -> controls -> paintings, 128 x 128 -> image features, layout, features of the mark classifier
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from clavilux.colour import srgb_to_lab
from clavilux.measures.crossmodal import CORRESPONDENCES, correspondence_values
from clavilux.measures.image_features import IMAGE_FEATURES, average_down, measure_image_features
from clavilux.models.conv_image_vae import ConvImageVAE
from clavilux.models.image_vae import ImageVAE
from clavilux.models.mark_classifier import MarkClassifier
from clavilux.painter.controls import Controls, choose_controls
from clavilux.painter.paint import paint
from clavilux.system.jobs import run_calls
from clavilux.training.train_mark_classifier import mark_statistics

_LAYOUT_CELLS = 8  # per side, of the mean colours that describe the layout
_PICTURE_PX = 128

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class FeatureScale:
    """For each block of visual features, the means (one for each feature) and the divisors that standardise it."""

    image_features: tuple[Float64, Float64]  # divisors: the standard deviation of each feature
    layout: tuple[Float64, float]  # one divisor: square root of the sum of the variances of all numbers
    marks: tuple[Float64, Float64] | None  # None without a mark classifier


@dataclass(frozen=True)
class Art:
    """m latents, and measurements of the paintings of these latents.

    Attributes
    ----------
    latents : (m, 64)
        z_image.
    correspondences : (m, G)
        Scores of the paintings in the G cross-modal correspondences.
    visual_features : (m, F)
        Three blocks: image features, layout in CIELAB and, with a mark classifier, its features. Each block has a total
        variance of 1 over the pictures of `scale`; the last block is then multiplied by a weight.
    scale : FeatureScale
        Standardisation of the blocks.
    """

    latents: Float64
    correspondences: Float64
    visual_features: Float64
    scale: FeatureScale

    def take(self, part: slice) -> Art:
        """Return the latents and measurements of the pictures in a slice."""
        return Art(self.latents[part], self.correspondences[part], self.visual_features[part], self.scale)


def measure_art(
    latents: Float64,
    pictures: Sequence[NDArray[np.uint8]],
    *,
    jobs: int,
    mark_classifier: MarkClassifier | None = None,
    mark_weight: float = 1.0,
    scale: FeatureScale | None = None,
) -> Art:
    """Return the measurements of the paintings of latents.

    Parameters
    ----------
    latents : (m, 64)
    pictures : sequence of (128, 128, 3) uint8
        Paintings of the latents, sRGB.
    jobs : int
        Number of worker processes; -1 for one per core.
    mark_classifier : MarkClassifier, optional
        Its pooled feature maps are the last block of the visual features.
    mark_weight : float
        Factor of this block.
    scale : FeatureScale, optional
        Standardisation of the visual features; by default, that of these pictures.
    """
    measured = run_calls((partial(measure_image_features, rgb) for rgb in pictures), jobs=jobs)
    image_features = {name: np.array([m[name] for m in measured]) for name in IMAGE_FEATURES}
    values = np.stack(list(image_features.values()), axis=1).astype(np.float64)
    layout = np.stack([srgb_to_lab(average_down(rgb, _LAYOUT_CELLS) / 255.0).reshape(-1) for rgb in pictures])
    marks = None if mark_classifier is None else mark_statistics(mark_classifier, np.stack(pictures))
    if scale is None:
        scale = FeatureScale(
            (values.mean(axis=0), values.std(axis=0) + 1e-9),
            (layout.mean(axis=0), float(np.sqrt(layout.var(axis=0).sum())) + 1e-9),
            None if marks is None else (marks.mean(axis=0), marks.std(axis=0) + 1e-6),
        )
    blocks = [
        (values - scale.image_features[0]) / scale.image_features[1] / np.sqrt(len(image_features)),
        (layout - scale.layout[0]) / scale.layout[1],
    ]
    if marks is not None:
        assert scale.marks is not None, "the scale was made without a mark classifier"
        blocks.append(mark_weight * (marks - scale.marks[0]) / scale.marks[1] / np.sqrt(marks.shape[1]))
    visual_features = np.concatenate(blocks, axis=1).astype(np.float64)
    return Art(latents, correspondence_values(image_features, "image_features"), visual_features, scale)


def correspondences_of_features(n_features: int) -> Float64:
    """Return the matrix (F, G) from visual features to the scores of correspondences, up to the scale of each score.

    Scores are linear combinations of the standardised image features, which are the first visual features.
    """
    matrix = np.zeros((n_features, len(CORRESPONDENCES)))
    for column, correspondence in enumerate(CORRESPONDENCES):
        for name, weight in correspondence.image_features.items():
            matrix[list(IMAGE_FEATURES).index(name), column] = weight
    return matrix


def controls_of_latents(
    network: ImageVAE, palettes: Float32, kinds: tuple[str, ...], latents: Float64
) -> list[Controls]:
    """Return the controls of m latents (m, 64), from the decoder of a network.

    ``palettes`` is the codebook (P, 8, 3), sRGB in [0, 1]; ``kinds`` are the names of the kinds of marks.
    """
    controls = []
    for part in np.array_split(latents, 1 + len(latents) // 256):
        with torch.no_grad():
            raw = network.decode(torch.from_numpy(part).float())
        angle = (torch.atan2(raw.direction[:, 1], raw.direction[:, 0]) / (4 * math.pi)) % 0.5
        batch = raw._asdict() | {"angle": angle}
        for i in range(len(part)):
            outputs = {name: values[i].numpy() for name, values in batch.items()}
            controls.append(choose_controls(outputs, palettes=palettes, kinds=kinds))
    return controls


def paint_controls(controls: Sequence[Controls], *, jobs: int) -> list[NDArray[np.uint8]]:
    """Return the paintings (128, 128, 3) uint8 sRGB of controls, with seed 0.

    ``jobs`` is the number of worker processes, -1 for one per core.
    """
    calls = (partial(paint, c, width=_PICTURE_PX, height=_PICTURE_PX, seed=0) for c in controls)
    return run_calls(calls, jobs=jobs)


@torch.no_grad()
def decode_pixels(network: ConvImageVAE, latents: Float64) -> NDArray[np.uint8]:
    """Return the pictures (m, 128, 128, 3) uint8 sRGB of latents (m, 64), from a decoder of pixels."""
    parts = [network.decode(torch.from_numpy(p).float()) for p in np.array_split(latents, 1 + len(latents) // 64)]
    return np.asarray((255 * torch.cat(parts)).round().permute(0, 2, 3, 1).numpy(), np.uint8)
