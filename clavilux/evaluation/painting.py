"""Paint latents or read picture files, and keep only what the measures need.

Thousands of pictures are painted, so pixels are measured and not kept. Batches of pictures are processed by worker
processes. Each process opens a bundle and loads the network of evaluator A once.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from threadpoolctl import threadpool_limits

from clavilux.colour import srgb_to_lab
from clavilux.errors import PictureError
from clavilux.evaluation.evaluator_b import SIDE
from clavilux.evaluation.evaluators import measure_features
from clavilux.images import middle_square, read_picture, resize
from clavilux.measures.image_features import average_down, measure_image_features
from clavilux.pipeline import Clavilux
from clavilux.system.jobs import run_calls

Pixels = NDArray[np.uint8]
Float32 = NDArray[np.float32]
Arrays = dict[str, Float32]

PAINTED_PX = 256  # side at which paintings are measured; the evaluators average it down
SHARP_PX = 512  # side at which sharpness is measured
THUMBNAIL_PX = 96
_BATCH = 8


@dataclass(frozen=True)
class MeasuredPictures:
    """Measurements of n pictures.

    Attributes
    ----------
    features : dict
        Unscaled features (n, F) of each evaluator.
    image_features : dict
        Values (n,) of each image feature.
    tone : (n, 2) float32
        Mean L* and mean chroma in CIELAB.
    thumbnails : (n, 96, 96, 3) uint8
        sRGB.
    copies : dict or None
        Unscaled features (n, F) of a degraded copy of each picture, by evaluator; None if they were not measured.
    """

    features: Arrays
    image_features: Arrays
    tone: Float32
    thumbnails: Pixels
    copies: Arrays | None = None

    def __len__(self) -> int:
        return len(self.tone)

    def take(self, index: NDArray[np.intp] | Sequence[int]) -> MeasuredPictures:
        """Return the pictures at these indices, in this order; indices may repeat."""
        order = np.asarray(index, np.intp)
        return MeasuredPictures(
            {name: values[order] for name, values in self.features.items()},
            {name: values[order] for name, values in self.image_features.items()},
            self.tone[order],
            self.thumbnails[order],
            None if self.copies is None else {name: values[order] for name, values in self.copies.items()},
        )

    @classmethod
    def join(cls, parts: Sequence[MeasuredPictures]) -> MeasuredPictures:
        """Return the measurements of all parts, in their order; without `copies` unless all parts have them."""
        copies = [part.copies for part in parts if part.copies is not None]
        return cls(
            _concatenate([part.features for part in parts]),
            _concatenate([part.image_features for part in parts]),
            np.concatenate([part.tone for part in parts]),
            np.concatenate([part.thumbnails for part in parts]),
            _concatenate(copies) if len(copies) == len(parts) else None,
        )


def measure_pictures(pictures: Sequence[Pixels], *, copies: bool = False) -> MeasuredPictures:
    """Return the measurements of square pictures (S, S, 3) uint8 sRGB, with S of at least 128.

    With `copies`, a degraded copy of each picture is measured too.
    """
    image_features = [measure_image_features(rgb) for rgb in pictures]
    lab = np.stack([srgb_to_lab(average_down(rgb, 32) / 255.0) for rgb in pictures])
    tone = np.stack([lab[..., 0].mean(axis=(1, 2)), np.hypot(lab[..., 1], lab[..., 2]).mean(axis=(1, 2))], axis=1)
    return MeasuredPictures(
        measure_features(pictures),
        {name: np.array([each[name] for each in image_features], np.float32) for name in image_features[0]},
        tone.astype(np.float32),
        np.stack([resize(rgb, THUMBNAIL_PX) for rgb in pictures]),
        measure_features([degrade(rgb) for rgb in pictures]) if copies else None,
    )


def measure_latents(
    bundle: str, latents: Float32, *, jobs: int, seeds: Sequence[int] | None = None, copies: bool = False
) -> MeasuredPictures:
    """Return the measurements of the paintings of latents.

    Parameters
    ----------
    bundle : str
        Name or folder.
    latents : (n, 64) float32
    jobs : int
        Number of worker processes; -1 for one per core.
    seeds : sequence of int, optional
        Random seed of each painting; 0 by default.
    copies : bool
        Also measure a degraded copy of each painting.
    """
    chosen = [0] * len(latents) if seeds is None else list(seeds)
    calls = (
        partial(_paint_batch, bundle, latents[i : i + _BATCH], chosen[i : i + _BATCH], copies)
        for i in range(0, len(latents), _BATCH)
    )
    return MeasuredPictures.join(run_calls(calls, jobs=jobs))


def measure_files(
    files: Sequence[Path], bundles: Sequence[str], *, jobs: int
) -> tuple[MeasuredPictures, dict[str, Float32], list[str]]:
    """Return the measurements of the centred squares of picture files, and their posteriors.

    Parameters
    ----------
    files : sequence of Path
    bundles : sequence of str
        Names or folders of bundles whose picture encoders are used.
    jobs : int
        Number of worker processes; -1 for one per core.

    Returns
    -------
    pictures : MeasuredPictures
        Measurements of the n files that can be read.
    posteriors : dict
        Bundle -> (n, 2, 64) float32: mean and log-variance of z_image by its picture encoder.
    faults : list of str
        One line for each file that cannot be read.

    Raises
    ------
    PictureError
        If none of the files can be read.
    """
    calls = (partial(_read_batch, files[i : i + _BATCH], tuple(bundles)) for i in range(0, len(files), _BATCH))
    parts = run_calls(calls, jobs=jobs)
    good = [(pictures, posteriors) for pictures, posteriors, _ in parts if pictures is not None]
    if not good:
        raise PictureError(f"none of {len(files)} pictures can be read; give a folder of PNG, JPEG or WebP files")
    joined = {bundle: np.concatenate([posteriors[bundle] for _, posteriors in good]) for bundle in bundles}
    faults = [line for *_, lines in parts for line in lines]
    return MeasuredPictures.join([pictures for pictures, _ in good]), joined, faults


def encode_files(files: Sequence[Path], bundle: str, *, jobs: int) -> Float32:
    """Return the posterior means (n, 64) of z_image for the n picture files that can be read.

    ``bundle`` is a name or a folder, ``jobs`` the number of worker processes, -1 for one per core.
    """
    parts = run_calls((partial(_encode, file, bundle) for file in files), jobs=jobs)
    return np.stack([z for z in parts if z is not None])


@lru_cache(maxsize=4)
def open_clavilux(bundle: str) -> Clavilux:
    """Return a `Clavilux` with a bundle (name or folder); cached, so that each process opens a bundle once."""
    return Clavilux(bundle)


def degrade(rgb: Pixels) -> Pixels:
    """Return a degraded copy (h, w, 3) uint8 of a picture (H, W, 3) uint8, as messengers send them.

    The copy is cropped by 2.5 % of the side at each edge, and compressed as JPEG with quality 50.
    """
    height, width = rgb.shape[:2]
    top, left = round(0.025 * height), round(0.025 * width)
    buffer = io.BytesIO()
    Image.fromarray(rgb[top : height - top, left : width - left]).save(buffer, "JPEG", quality=50)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"), np.uint8)


def lay_out(pictures: Pixels, columns: int, gap: int = 2) -> Pixels:
    """Return pictures (n, H, W, 3) uint8 on one white sheet (h, w, 3) uint8, `columns` in a row, `gap` pixels apart."""
    height, width = pictures.shape[1:3]
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for index, picture in enumerate(pictures):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def _concatenate(parts: Sequence[Arrays]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _paint_batch(bundle: str, latents: Float32, seeds: Sequence[int], copies: bool) -> MeasuredPictures:
    with threadpool_limits(1):
        clavilux = open_clavilux(bundle)
        pictures = [
            clavilux.paint_latent(z, size=PAINTED_PX, seed=seed) for z, seed in zip(latents, seeds, strict=True)
        ]
        return measure_pictures(pictures, copies=copies)


def _read_batch(
    files: Sequence[Path], bundles: tuple[str, ...]
) -> tuple[MeasuredPictures | None, dict[str, Float32], list[str]]:
    """Return what `measure_files` does for one batch, with None if no file of it can be read."""
    with threadpool_limits(1):
        pictures, faults = [], []
        for file in files:
            try:
                square = middle_square(read_picture(file))
            except PictureError as error:
                faults.append(str(error))
                continue
            pictures.append(resize(square, max(SIDE, min(PAINTED_PX, len(square)))))
        if not pictures:
            return None, {}, faults
        posteriors = {
            b: np.stack([np.stack(open_clavilux(b).engine.encode_picture(rgb)) for rgb in pictures]) for b in bundles
        }
        return measure_pictures(pictures), posteriors, faults


def _encode(file: Path, bundle: str) -> Float32 | None:
    try:
        return open_clavilux(bundle).engine.encode_picture(read_picture(file))[0]
    except PictureError:
        return None
