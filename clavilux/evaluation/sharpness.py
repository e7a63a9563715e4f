"""Sharpness and tone of pictures, relative to real art.

Sharpness is measured on pictures of 512 x 512 pixels, because the evaluators only see 128 x 128.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clavilux.colour import srgb_to_lab
from clavilux.errors import PictureError
from clavilux.evaluation.painting import SHARP_PX, Float32, Pixels, open_clavilux
from clavilux.images import middle_square, read_picture, resize
from clavilux.measures.diversity import Floats
from clavilux.system.jobs import run_calls


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


def fine_energy_of_latents(bundle: str, latents: Float32, *, jobs: int) -> NDArray[np.float64]:
    """Return the `fine_energy` (n,) of the paintings of latents (n, 64) at 512 x 512 pixels.

    ``jobs`` is the number of worker processes, -1 for one per core.
    """
    return np.array(run_calls((partial(_of_latent, bundle, z) for z in latents), jobs=jobs))


def fine_energy_of_files(files: Sequence[Path], *, jobs: int) -> NDArray[np.float64]:
    """Return the `fine_energy` (n,) of the n picture files that can be read and have sides of at least 512 pixels.

    The centred square of each is resized to 512 x 512. ``jobs`` is the number of worker processes, -1 for one per core.
    """
    energies = run_calls((partial(_of_file, file) for file in files), jobs=jobs)
    return np.array([value for value in energies if value is not None])


def sharpness(made: Floats, real: Floats) -> float:
    """Return the median of fine energies (n,) of pictures, divided by the median of those of real art (m,)."""
    return float(np.median(made) / np.median(real))


def tone_spread(made: Floats, real: Floats) -> tuple[float, float]:
    """Return how much mean L* and mean chroma vary between pictures, relative to real art.

    The two results are the standard deviations of the columns of ``made`` (n, 2), divided by those of ``real`` (m, 2).
    """
    ratio = np.std(made, axis=0) / np.std(real, axis=0)
    return float(ratio[0]), float(ratio[1])


def _of_latent(bundle: str, z_image: Float32) -> float:
    with threadpool_limits(1):
        return fine_energy(open_clavilux(bundle).paint_latent(z_image, size=SHARP_PX, seed=0))


def _of_file(file: Path) -> float | None:
    with threadpool_limits(1):
        try:
            square = middle_square(read_picture(file))
        except PictureError:
            return None
        return fine_energy(resize(square, SHARP_PX)) if len(square) >= SHARP_PX else None
