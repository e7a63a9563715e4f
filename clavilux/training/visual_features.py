"""Paint latents, and measure the visual features of the paintings.

latents -> controls -> paintings (128 x 128 pixels) -> image features, layout
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
from clavilux.painter.controls import choose_controls
from clavilux.painter.marks import KINDS
from clavilux.painter.paint import paint
from clavilux.system.jobs import run_calls

_LAYOUT_CELLS = 8  # cells per side of the grid whose mean colours describe the layout
_PICTURE_PX = 128

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class FeatureScale:
    """Means and divisors that standardise the two blocks of visual features (see `Art`)."""

    image_features: tuple[Float64, Float64]  # mean and standard deviation of each feature
    layout: tuple[Float64, float]  # mean of each feature, and the square root of the sum of all variances


@dataclass(frozen=True)
class Art:
    """Latents (m, 64), and measurements of their m paintings.

    The F visual features consist of two blocks: the image features, and the layout (mean CIELAB colours of the cells of
    a grid). Each block is standardised to a total variance of 1 over the pictures from which `scale` was computed.
    """

    latents: Float64  # (m, 64)
    correspondences: Float64  # (m, G), scores of the paintings in the G cross-modal correspondences
    visual_features: Float64  # (m, F)
    scale: FeatureScale  # means and divisors of the visual features

    def take(self, part: slice) -> Art:
        """Return the latents and the measurements of the paintings in this slice."""
        return Art(self.latents[part], self.correspondences[part], self.visual_features[part], self.scale)


def measure_art(
    latents: Float64,
    pictures: Sequence[NDArray[np.uint8]],
    *,
    jobs: int,
    scale: FeatureScale | None = None,
) -> Art:
    """Return latents (m, 64) with measurements of their paintings ``pictures``, each (128, 128, 3) uint8 sRGB.

    Parameters
    ----------
    jobs : int
        Number of worker processes; -1 for one per core.
    scale : FeatureScale, optional
        Means and divisors of the visual features; by default, those of these pictures.
    """
    measured = run_calls((partial(measure_image_features, rgb) for rgb in pictures), jobs=jobs)
    image_features = {name: np.array([m[name] for m in measured]) for name in IMAGE_FEATURES}
    values = np.stack(list(image_features.values()), axis=1).astype(np.float64)
    layout = np.stack([srgb_to_lab(average_down(rgb, _LAYOUT_CELLS) / 255.0).reshape(-1) for rgb in pictures])
    if scale is None:
        scale = FeatureScale(
            (values.mean(axis=0), values.std(axis=0) + 1e-9),
            (layout.mean(axis=0), float(np.sqrt(layout.var(axis=0).sum())) + 1e-9),
        )
    blocks = [
        (values - scale.image_features[0]) / scale.image_features[1] / np.sqrt(len(image_features)),
        (layout - scale.layout[0]) / scale.layout[1],
    ]
    visual_features = np.concatenate(blocks, axis=1).astype(np.float64)
    return Art(latents, correspondence_values(image_features, "image_features"), visual_features, scale)


def correspondences_of_features(n_features: int) -> Float64:
    """Return the matrix (F, G) that maps visual features to correspondence scores, each up to a constant factor.

    A score is a linear combination of the standardised image features, which are the first block of the F visual
    features.
    """
    matrix = np.zeros((n_features, len(CORRESPONDENCES)))
    for column, correspondence in enumerate(CORRESPONDENCES):
        for name, weight in correspondence.image_features.items():
            matrix[list(IMAGE_FEATURES).index(name), column] = weight
    return matrix


@torch.no_grad()
def paint_latents(
    network: ImageVAE | ConvImageVAE,
    palettes: Float32 | None,
    latents: Float64,
    *,
    jobs: int,
    counted: Callable[[int], None] | None = None,
) -> Sequence[NDArray[np.uint8]]:
    """Return the paintings (128, 128, 3) uint8 sRGB of latents (m, 64), as a bundle with this network paints them.

    ``palettes`` is the codebook (P, 8, 3), sRGB in [0, 1], or None for a ConvImageVAE, which decodes pixels without the
    painter. ``jobs`` is the number of worker processes, -1 for one per core. ``counted`` is called with the number of
    paintings that are done.
    """
    if isinstance(network, ConvImageVAE):
        parts = [network.decode(torch.from_numpy(p).float()) for p in np.array_split(latents, 1 + len(latents) // 64)]
        return list((255 * torch.cat(parts)).round().permute(0, 2, 3, 1).numpy().astype(np.uint8))
    assert palettes is not None, "an ImageVAE has a codebook"
    calls = []
    for part in np.array_split(latents, 1 + len(latents) // 256):
        raw = network.decode(torch.from_numpy(part).float())
        angle = (torch.atan2(raw.direction[:, 1], raw.direction[:, 0]) / (4 * math.pi)) % 0.5
        batch = raw._asdict() | {"angle": angle}
        for i in range(len(part)):
            outputs = {name: values[i].numpy() for name, values in batch.items()}
            controls = choose_controls(outputs, palettes=palettes, kinds=KINDS)
            calls.append(partial(paint, controls, width=_PICTURE_PX, height=_PICTURE_PX, seed=0))
    return run_calls(calls, jobs=jobs, counted=counted)
