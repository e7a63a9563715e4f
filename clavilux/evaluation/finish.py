"""How the pictures are made: as sharp as real art, as light and colourful, and by a latent that is all used.

Measures, each with its value for real art
    sharpness       energy of lightness above a quarter of the Nyquist frequency at 512 px, over that of real art; 1
    lightness_spread, chroma_spread   standard deviation of the pictures' means over that of real art; 1
    active_units    latents whose posterior mean has a variance above 0.01 over real pictures
    rate            nats of a picture's latent, as the bundle states it, over its set point; 1
    rate_of_latents nats of each latent, over real pictures; 0 for one that says nothing
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clavilux.colour import srgb_to_lab
from clavilux.errors import PictureError
from clavilux.evaluation.painting import SHARP_PX, Float32, Pixels, open_engine, paint_latent
from clavilux.images import middle_square, read_picture, resize
from clavilux.measures.diversity import Floats
from clavilux.system.jobs import run_calls

ACTIVE_VARIANCE = 0.01  # Burda et al. 2016


def fine_energy(rgb: Pixels) -> float:
    """Energy of lightness above a quarter of the Nyquist frequency, in squared L* a pixel."""
    lightness = srgb_to_lab(rgb / 255.0)[..., 0].astype(np.float64)
    side = len(lightness)
    window = np.hanning(side)[:, None] * np.hanning(side)[None]
    power = np.abs(np.fft.fft2((lightness - lightness.mean()) * window)) ** 2
    cycles = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    return float(power[cycles > 0.125].sum() / ((window**2).sum() * side**2))


def sharpness(made: Floats, real: Floats) -> float:
    """Median fine energy of pictures over that of real art."""
    return float(np.median(made) / np.median(real))


def fine_energy_of_latents(bundle: str, latents: Float32, *, jobs: int) -> NDArray[np.float64]:
    """Fine energy (n,) of paintings of 512 pixels."""
    return np.array(run_calls((partial(_of_latent, bundle, z) for z in latents), jobs=jobs))


def fine_energy_of_files(files: Sequence[Path], *, jobs: int) -> NDArray[np.float64]:
    """Fine energy of those pictures that have 512 pixels a side or more; the others cannot tell."""
    found = run_calls((partial(_of_file, file) for file in files), jobs=jobs)
    return np.array([value for value in found if value is not None])


def tone_spread(made: Floats, real: Floats) -> tuple[float, float]:
    """Spread of mean lightness and of mean chroma, (n, 2) each, over that of real art."""
    ratio = np.std(made, axis=0) / np.std(real, axis=0)
    return float(ratio[0]), float(ratio[1])


def active_units(means: Floats) -> int:
    """Latents that say something, from posterior means (n, D) of real pictures."""
    return int((np.var(means, axis=0) > ACTIVE_VARIANCE).sum())


def kl_of_latents(means: Floats, logvars: Floats) -> NDArray[np.float64]:
    """Nats (D,) of each latent: mean divergence of the posterior from N(0, 1), from posteriors (n, D) of pictures."""
    means, logvars = np.asarray(means, np.float64), np.asarray(logvars, np.float64)
    return np.asarray(0.5 * (means**2 + np.exp(logvars) - 1.0 - logvars).mean(axis=0))


def stated_kl(card: Mapping[str, Any]) -> float | None:
    """Rate that the training measured over its set point; None where the bundle states none."""
    rate = card.get("measures", {}).get("image_vae", {}).get("kl_nats")
    target = card.get("config", {}).get("image_vae", {}).get("target_nats")
    return float(rate) / float(target) if rate and target else None


def _of_latent(bundle: str, z_image: Float32) -> float:
    with threadpool_limits(1):
        return fine_energy(paint_latent(open_engine(bundle), z_image, size=SHARP_PX, seed=0))


def _of_file(file: Path) -> float | None:
    with threadpool_limits(1):
        try:
            square = middle_square(read_picture(file))
        except PictureError:
            return None
        return fine_energy(resize(square, SHARP_PX)) if len(square) >= SHARP_PX else None
