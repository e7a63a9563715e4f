"""Paint latents or read picture files, and measure the pictures.

Thousands of pictures are painted, so only their measurements are kept, not their pixels. Worker processes handle
batches of pictures. Each process opens each bundle only once, and loads the network of evaluator A only once.
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

PAINTED_PX = 256  # side of the paintings that are measured; the evaluators average them down
SHARP_PX = 512  # side at which fine detail is measured
THUMBNAIL_PX = 96
_BATCH = 8


@dataclass(frozen=True)
class MeasuredPictures:
    """Measurements of n pictures."""

    features: Arrays  # evaluator -> unscaled features (n, F)
    image_features: Arrays  # image feature -> values (n,)
    tone: Float32  # mean L* and mean chroma in CIELAB, (n, 2)
    thumbnails: Pixels  # sRGB, (n, 96, 96, 3)
    degraded: Arrays | None = None  # features of a degraded copy of each picture; None if not measured

    def __len__(self) -> int:
        return len(self.tone)

    def take(self, index: NDArray[np.intp] | Sequence[int]) -> MeasuredPictures:
        """Return the measurements of the pictures at these indices, in this order; indices may repeat."""
        order = np.asarray(index, np.intp)

        def chosen(arrays: Arrays) -> Arrays:
            return {name: values[order] for name, values in arrays.items()}

        return MeasuredPictures(
            chosen(self.features),
            chosen(self.image_features),
            self.tone[order],
            self.thumbnails[order],
            None if self.degraded is None else chosen(self.degraded),
        )

    @classmethod
    def join(cls, parts: Sequence[MeasuredPictures]) -> MeasuredPictures:
        """Return the measurements of all parts, in their order; `degraded` is None unless all parts have it."""
        degraded = [part.degraded for part in parts if part.degraded is not None]
        return cls(
            _concatenate([part.features for part in parts]),
            _concatenate([part.image_features for part in parts]),
            np.concatenate([part.tone for part in parts]),
            np.concatenate([part.thumbnails for part in parts]),
            _concatenate(degraded) if len(degraded) == len(parts) else None,
        )


def _measure_pictures(pictures: Sequence[Pixels], *, degraded: bool = False) -> MeasuredPictures:
    """Return the measurements of square pictures (S, S, 3) uint8 sRGB, with S of at least 128."""
    image_features = [measure_image_features(rgb) for rgb in pictures]
    lab = np.stack([srgb_to_lab(average_down(rgb, 32) / 255.0) for rgb in pictures])
    tone = np.stack([lab[..., 0].mean(axis=(1, 2)), np.hypot(lab[..., 1], lab[..., 2]).mean(axis=(1, 2))], axis=1)
    return MeasuredPictures(
        measure_features(pictures),
        {name: np.array([each[name] for each in image_features], np.float32) for name in image_features[0]},
        tone.astype(np.float32),
        np.stack([resize(rgb, THUMBNAIL_PX) for rgb in pictures]),
        measure_features([degrade(rgb) for rgb in pictures]) if degraded else None,
    )


def measure_latents(
    bundle: str, latents: Float32, *, jobs: int, seeds: Sequence[int] | None = None, degraded: bool = False
) -> MeasuredPictures:
    """Paint latents (n, 64) of an ImageVAE, and return what the evaluators measure in the paintings.

    ``bundle`` is a name or a folder, ``jobs`` the number of worker processes, -1 for one per core. ``seeds`` has a
    random seed for each latent; without it, each seed is 0. If ``degraded`` is true, a cropped and compressed copy of
    each painting is measured too.
    """
    chosen = [0] * len(latents) if seeds is None else list(seeds)
    calls = (
        partial(_paint_batch, bundle, latents[i : i + _BATCH], chosen[i : i + _BATCH], degraded)
        for i in range(0, len(latents), _BATCH)
    )
    return MeasuredPictures.join(run_calls(calls, jobs=jobs))


def measure_files(
    files: Sequence[Path], bundles: Sequence[str], *, jobs: int
) -> tuple[MeasuredPictures, dict[str, Float32], list[str]]:
    """Read picture files, and return the measurements and the latents of their centred squares.

    ``bundles`` are names or folders of bundles whose picture encoders are used. ``jobs`` is the number of worker
    processes, -1 for one per core.

    Returns
    -------
    pictures : MeasuredPictures
        Measurements of the n files that can be read.
    posteriors : dict
        Bundle -> (n, 2, 64) float32: mean and log-variance of the latent, from the picture encoder of the bundle.
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
    """Return the posterior means (n, 64) of the latents of the n picture files that can be read.

    ``bundle`` is a name or a folder, ``jobs`` the number of worker processes, -1 for one per core.
    """
    parts = run_calls((partial(_encode, file, bundle) for file in files), jobs=jobs)
    return np.stack([z for z in parts if z is not None])


def fine_energy_of_latents(bundle: str, latents: Float32, *, jobs: int) -> NDArray[np.float64]:
    """Paint latents (n, 64) at 512 x 512 pixels, and return the `fine_energy` (n,) of the paintings.

    ``jobs`` is the number of worker processes, -1 for one per core.
    """
    return np.array(run_calls((partial(_fine_energy_of_latent, bundle, z) for z in latents), jobs=jobs))


def fine_energy_of_files(files: Sequence[Path], *, jobs: int) -> NDArray[np.float64]:
    """Return the `fine_energy` (n,) of the n picture files that can be read and have sides of at least 512 pixels.

    The centred square of each picture is resized to 512 x 512. ``jobs`` is the number of worker processes, -1 for one
    per core.
    """
    energies = run_calls((partial(_fine_energy_of_file, file) for file in files), jobs=jobs)
    return np.array([value for value in energies if value is not None])


def fine_energy(rgb: Pixels) -> float:
    """Return the energy of L* above a quarter of the Nyquist frequency, in squared L* per pixel.

    The picture is square, (S, S, 3) uint8 sRGB.
    """
    lightness = srgb_to_lab(rgb / 255.0)[..., 0].astype(np.float64)
    side = len(lightness)
    window = np.hanning(side)[:, None] * np.hanning(side)[None]
    power = np.abs(np.fft.fft2((lightness - lightness.mean()) * window)) ** 2
    cycles = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    return float(power[cycles > 0.125].sum() / ((window**2).sum() * side**2))


@lru_cache(maxsize=4)
def open_clavilux(bundle: str) -> Clavilux:
    """Return a `Clavilux` with this bundle (name or folder); each process opens a bundle once."""
    return Clavilux(bundle)


def degrade(rgb: Pixels) -> Pixels:
    """Return a degraded copy (h, w, 3) uint8 of a picture (H, W, 3) uint8.

    Like a picture sent by a chat app, it is cropped by 2.5 % of the side at each edge, and saved as JPEG of quality 50.
    """
    height, width = rgb.shape[:2]
    top, left = round(0.025 * height), round(0.025 * width)
    buffer = io.BytesIO()
    Image.fromarray(rgb[top : height - top, left : width - left]).save(buffer, "JPEG", quality=50)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"), np.uint8)


def _concatenate(parts: Sequence[Arrays]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _paint_batch(bundle: str, latents: Float32, seeds: Sequence[int], degraded: bool) -> MeasuredPictures:
    with threadpool_limits(1):
        clavilux = open_clavilux(bundle)
        pictures = [
            clavilux.paint_latent(z, size=PAINTED_PX, seed=seed) for z, seed in zip(latents, seeds, strict=True)
        ]
        return _measure_pictures(pictures, degraded=degraded)


def _read_batch(
    files: Sequence[Path], bundles: tuple[str, ...]
) -> tuple[MeasuredPictures | None, dict[str, Float32], list[str]]:
    """Return measurements, posteriors and faults of a batch; the measurements are None if no file can be read."""
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
        return _measure_pictures(pictures), posteriors, faults


def _encode(file: Path, bundle: str) -> Float32 | None:
    try:
        return open_clavilux(bundle).engine.encode_picture(read_picture(file))[0]
    except PictureError:
        return None


def _fine_energy_of_latent(bundle: str, latent: Float32) -> float:
    with threadpool_limits(1):
        return fine_energy(open_clavilux(bundle).paint_latent(latent, size=SHARP_PX, seed=0))


def _fine_energy_of_file(file: Path) -> float | None:
    with threadpool_limits(1):
        try:
            square = middle_square(read_picture(file))
        except PictureError:
            return None
        return fine_energy(resize(square, SHARP_PX)) if len(square) >= SHARP_PX else None
