"""Painting for the measures, and what is kept of a picture: features, traits, a thumbnail.

latents or files -> paint or read -> look -> **Sight**

Pictures themselves are not kept: thousands are painted. Work goes in batches to processes, each of which opens a bundle
and loads the judge once.
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
from clavilux.evaluation.evaluators import EVALUATORS, measure_features
from clavilux.images import middle_square, read_picture, resize
from clavilux.measures.image_features import average_down, measure_image_features
from clavilux.pipeline import Clavilux
from clavilux.system.jobs import run_calls

Pixels = NDArray[np.uint8]
Float32 = NDArray[np.float32]

PAINTED_PX = 256  # paintings are measured at this side, averaged down by the judges
SHARP_PX = 512  # and at this one for their sharpness
THUMBNAIL_PX = 96
_BATCH = 8


def paint_latent(clavilux: Clavilux, z_image: Float32, *, size: int, seed: int) -> Pixels:
    """Paint one latent (64,) as the product does: (size, size, 3) uint8. The only place of the measures that paints."""
    return clavilux.paint_latent(z_image, size=size, seed=seed)


@dataclass(frozen=True)
class Sight:
    """What is kept of n pictures.

    features : of each judge, (n, F), unscaled. traits : (n,) each. tone : (n, 2) mean lightness and mean chroma in
    CIELAB. thumbnails : (n, 96, 96, 3) uint8. copies : features of a bad copy of each picture, where asked for.
    """

    features: dict[str, Float32]
    image_features: dict[str, Float32]
    tone: Float32
    thumbnails: Pixels
    copies: dict[str, Float32] | None = None

    def __len__(self) -> int:
        return len(self.tone)

    def take(self, index: NDArray[np.intp] | Sequence[int]) -> Sight:
        """Some of the pictures, in this order; one may come twice."""
        order = np.asarray(index, np.intp)
        return Sight(
            {name: values[order] for name, values in self.features.items()},
            {name: values[order] for name, values in self.image_features.items()},
            self.tone[order],
            self.thumbnails[order],
            None if self.copies is None else {name: values[order] for name, values in self.copies.items()},
        )

    @classmethod
    def join(cls, parts: Sequence[Sight]) -> Sight:
        """One after the other."""
        copies = [part.copies for part in parts]
        return cls(
            {name: np.concatenate([p.features[name] for p in parts]) for name in EVALUATORS},
            {name: np.concatenate([p.image_features[name] for p in parts]) for name in parts[0].image_features},
            np.concatenate([p.tone for p in parts]),
            np.concatenate([p.thumbnails for p in parts]),
            {name: np.concatenate([c[name] for c in copies if c is not None]) for name in EVALUATORS}
            if all(c is not None for c in copies)
            else None,
        )


def look(pictures: Sequence[Pixels], *, copies: bool = False) -> Sight:
    """Look at square pictures of at least 128 x 128 pixels."""
    image_features = [measure_image_features(rgb) for rgb in pictures]
    lab = np.stack([srgb_to_lab(average_down(rgb, 32) / 255.0) for rgb in pictures])
    tone = np.stack([lab[..., 0].mean(axis=(1, 2)), np.hypot(lab[..., 1], lab[..., 2]).mean(axis=(1, 2))], axis=1)
    return Sight(
        measure_features(pictures),
        {name: np.array([t[name] for t in image_features], np.float32) for name in image_features[0]},
        tone.astype(np.float32),
        np.stack([resize(rgb, THUMBNAIL_PX) for rgb in pictures]),
        measure_features([bad_copy(rgb) for rgb in pictures]) if copies else None,
    )


def measure_latents(
    bundle: str, latents: Float32, *, jobs: int, seeds: Sequence[int] | None = None, copies: bool = False
) -> Sight:
    """Paint latents (n, 64), each with its seed (0 unless given), and look at them."""
    chosen = [0] * len(latents) if seeds is None else list(seeds)
    calls = (
        partial(_paint_and_look, bundle, latents[i : i + _BATCH], chosen[i : i + _BATCH], copies)
        for i in range(0, len(latents), _BATCH)
    )
    parts = run_calls(calls, jobs=jobs)
    return Sight.join(parts)


def measure_files(
    files: Sequence[Path], bundles: Sequence[str], *, jobs: int
) -> tuple[Sight, dict[str, Float32], list[str]]:
    """Look at the middle squares of picture files.

    Returns
    -------
    Sight, posteriors {bundle: (n, 2, 64)} by the picture encoder of each bundle, mean and log-variance, and lines about
    files that cannot be read.

    Raises
    ------
    PictureError
        None of them can be read.
    """
    calls = (partial(_read_and_look, files[i : i + _BATCH], tuple(bundles)) for i in range(0, len(files), _BATCH))
    parts = run_calls(calls, jobs=jobs)
    faults = [line for part in parts for line in part[2]]
    good = [(sight, codes) for sight, codes, _ in parts if sight is not None]
    if not good:
        raise PictureError(f"none of {len(files)} pictures can be read; give a folder of PNG, JPEG or WebP files")
    posteriors = {bundle: np.concatenate([codes[bundle] for _, codes in good]) for bundle in bundles}
    return Sight.join([sight for sight, _ in good]), posteriors, faults


def encode_files(files: Sequence[Path], bundle: str, *, jobs: int) -> Float32:
    """Latents (n, 64) of those of the pictures that can be read."""
    parts = run_calls((partial(_encode, file, bundle) for file in files), jobs=jobs)
    return np.stack([z for z in parts if z is not None])


@lru_cache(maxsize=4)
def open_engine(bundle: str) -> Clavilux:
    """A bundle, opened once in each process."""
    return Clavilux(bundle)


def bad_copy(rgb: Pixels) -> Pixels:
    """A picture as a bad phone passes it on: cropped by 5 % and saved as JPEG of quality 50."""
    height, width = rgb.shape[:2]
    top, left = round(0.025 * height), round(0.025 * width)
    buffer = io.BytesIO()
    Image.fromarray(rgb[top : height - top, left : width - left]).save(buffer, "JPEG", quality=50)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"), np.uint8)


def lay_out(pictures: Pixels, columns: int, gap: int = 2) -> Pixels:
    """Lay (n, H, W, 3) pictures in rows on white."""
    height, width = pictures.shape[1:3]
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for index, picture in enumerate(pictures):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def _paint_and_look(bundle: str, latents: Float32, seeds: Sequence[int], copies: bool) -> Sight:
    with threadpool_limits(1):
        clavilux = open_engine(bundle)
        pictures = [
            paint_latent(clavilux, z, size=PAINTED_PX, seed=seed) for z, seed in zip(latents, seeds, strict=True)
        ]
        return look(pictures, copies=copies)


def _read_and_look(
    files: Sequence[Path], bundles: tuple[str, ...]
) -> tuple[Sight | None, dict[str, Float32], list[str]]:
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
            b: np.stack([np.stack(open_engine(b).engine.picture_posterior(rgb)) for rgb in pictures]) for b in bundles
        }
        return look(pictures), posteriors, faults


def _encode(file: Path, bundle: str) -> Float32 | None:
    try:
        return open_engine(bundle).engine.encode_picture(read_picture(file))
    except PictureError:
        return None
