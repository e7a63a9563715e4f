"""Traits of a picture that people match with music: measured on pixels, each a plain number.

picture (H, W, 3) -> **here** -> chroma, contrast, warmth, lightness, edge density, spatial frequency, angularity and
spread of contrast. The mapping lays songs on pictures by them, and the measures ask whether it did.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import srgb_to_lab

# Name -> unit and meaning, in the order of `measure_image_features`.
IMAGE_FEATURES: dict[str, str] = {
    "chroma": "CIELAB, mean distance from grey",
    "contrast": "CIELAB, standard deviation of lightness",
    "warmth": "CIELAB, mean of (a* + b*) / sqrt 2: red and yellow against green and blue",
    "lightness": "CIELAB, mean L*",
    "edge_density": "share of places where lightness or colour changes by more than 12 within a 1/128 of the side",
    "spatial_frequency": "cycles along the side, logarithmic centroid of the lightness spectrum",
    "angularity": "0 to 1, mean straightness of borders: coherence of the structure tensor where there are borders",
    "contrast_spread": "CIELAB, standard deviation over 8 x 8 fields of the contrast within a field",
}
_SIDE = 128
_EDGE = 12.0


def measure_image_features(rgb: NDArray[np.uint8]) -> dict[str, float]:
    """Measure the traits of a picture of at least 128 x 128 pixels.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
        sRGB. It is averaged down to 128 x 128, so that the traits do not depend on its size.

    Returns
    -------
    dict
        One float for each name in `IMAGE_FEATURES`.
    """
    lab = srgb_to_lab(average_down(rgb, _SIDE) / 255.0)
    lightness, chroma = lab[..., 0], np.sqrt(lab[..., 1] ** 2 + lab[..., 2] ** 2)
    across, down = np.diff(lab, axis=1)[:-1], np.diff(lab, axis=0)[:, :-1]
    step = np.sqrt((across**2).sum(-1) + (down**2).sum(-1))

    window = np.hanning(_SIDE)[:, None] * np.hanning(_SIDE)[None]
    power = np.abs(np.fft.rfft2((lightness - lightness.mean()) * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(_SIDE)[:, None], np.fft.rfftfreq(_SIDE)[None]) * _SIDE
    band = frequency >= 1.0
    weight = power[band] + 1e-9
    centroid = np.exp((np.log(frequency[band]) * weight).sum() / weight.sum())

    gx, gy = across[..., 0], down[..., 0]
    jxx, jyy, jxy = (_box(v) for v in (gx * gx, gy * gy, gx * gy))
    energy = jxx + jyy
    coherence = np.sqrt((jxx - jyy) ** 2 + 4 * jxy**2) / (energy + 1e-6)
    fields = lightness.reshape(8, _SIDE // 8, 8, _SIDE // 8)
    return {
        "chroma": float(chroma.mean()),
        "contrast": float(lightness.std()),
        "warmth": float((lab[..., 1] + lab[..., 2]).mean() / np.sqrt(2)),
        "lightness": float(lightness.mean()),
        "edge_density": float((step > _EDGE).mean()),
        "spatial_frequency": float(centroid),
        "angularity": float((coherence * energy).sum() / (energy.sum() + 1e-6)),
        "contrast_spread": float(fields.std(axis=(1, 3)).std()),
    }


def average_down(rgb: NDArray[np.uint8], side: int) -> NDArray[np.float64]:
    """Mean over the pixels of each of side x side equal fields (their borders rounded to whole pixels)."""
    height, width = rgb.shape[:2]
    if min(height, width) < side:
        raise ValueError(f"the picture is {width} x {height}; traits are measured on at least {side} x {side}")
    rows, columns = (np.arange(side) * height) // side, (np.arange(side) * width) // side
    sums = np.add.reduceat(np.add.reduceat(rgb.astype(np.float64), rows, axis=0), columns, axis=1)
    counts = np.diff(np.append(rows, height))[:, None] * np.diff(np.append(columns, width))[None]
    return np.asarray(sums / counts[..., None])


def _box(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Mean over 7 x 7 places, by running sums; the picture's border is left out."""
    total = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    n = 7
    return np.asarray((total[n:, n:] - total[:-n, n:] - total[n:, :-n] + total[:-n, :-n]) / (n * n))
