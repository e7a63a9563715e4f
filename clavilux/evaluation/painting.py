"""Paint latents or read picture files, and keep only what the measures need.

Thousands of pictures are painted, so pixels are measured and dropped. Work goes in batches to processes, each of which
opens a bundle and loads the network of evaluator A once.
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
    tone : (n, 2)
        Mean lightness and mean chroma, CIELAB.
    thumbnails : (n, 96, 96, 3) uint8
    copies : dict or None
        Unscaled features of a degraded copy of each picture, if they were asked for.
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
        """Return the pictures of all parts, one after the other."""
        copies = [part.copies for part in parts if part.copies is not None]
        return cls(
            _concatenate([part.features for part in parts]),
            _concatenate([part.image_features for part in parts]),
            np.concatenate([part.tone for part in parts]),
            np.concatenate([part.thumbnails for part in parts]),
            _concatenate(copies) if len(copies) == len(parts) else None,
        )


def measure_pictures(pictures: Sequence[Pixels], *, copies: bool = False) -> MeasuredPictures:
    """Measure square pictures of at least 128 x 128 pixels, and degraded copies of them if `copies`."""
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
    """Paint latents (n, 64), each with its seed (default 0), and measure the paintings."""
    chosen = [0] * len(latents) if seeds is None else list(seeds)
    calls = (
        partial(_paint_batch, bundle, latents[i : i + _BATCH], chosen[i : i + _BATCH], copies)
        for i in range(0, len(latents), _BATCH)
    )
    return MeasuredPictures.join(run_calls(calls, jobs=jobs))


def measure_files(
    files: Sequence[Path], bundles: Sequence[str], *, jobs: int
) -> tuple[MeasuredPictures, dict[str, Float32], list[str]]:
    """Measure the middle squares of picture files.

    Returns
    -------
    pictures : MeasuredPictures
        Of the n files that can be read.
    posteriors : dict
        Bundle -> (n, 2, 64), mean and log-variance by its picture encoder.
    faults : list of str
        One line for each file that cannot be read.

    Raises
    ------
    PictureError
        None of the files can be read.
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
    """Return the latents (n, 64) of those picture files that can be read."""
    parts = run_calls((partial(_encode, file, bundle) for file in files), jobs=jobs)
    return np.stack([z for z in parts if z is not None])


@lru_cache(maxsize=4)
def open_clavilux(bundle: str) -> Clavilux:
    """Open a bundle, once per process."""
    return Clavilux(bundle)


def degrade(rgb: Pixels) -> Pixels:
    """Return a copy as a messenger might pass it on: cropped by 5 % and compressed as JPEG of quality 50."""
    height, width = rgb.shape[:2]
    top, left = round(0.025 * height), round(0.025 * width)
    buffer = io.BytesIO()
    Image.fromarray(rgb[top : height - top, left : width - left]).save(buffer, "JPEG", quality=50)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"), np.uint8)


def lay_out(pictures: Pixels, columns: int, gap: int = 2) -> Pixels:
    """Return a white sheet with the pictures (n, H, W, 3) in rows, `gap` pixels apart."""
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
