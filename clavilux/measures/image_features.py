"""Image features that people match with music, computed from pixels.

The training of the mapping network aligns image features with descriptors of songs (`clavilux.measures.crossmodal`),
and the evaluation measures how well they agree.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import srgb_to_lab

# Name -> unit or range, and meaning; in the order of `measure_image_features`.
IMAGE_FEATURES: dict[str, str] = {
    "chroma": "CIELAB, mean distance from grey",
    "contrast": "CIELAB, standard deviation of lightness",
    "warmth": "CIELAB, mean of (a* + b*) / sqrt 2: red and yellow against green and blue",
    "lightness": "CIELAB, mean L*",
    "edge_density": "0 to 1, fraction of 128 x 128 pixels that differ from the next ones by more than 12 in CIELAB",
    "spatial_frequency": "cycles per side, centroid of the lightness spectrum on a logarithmic axis",
    "angularity": "0 to 1, straightness of edges: coherence of the structure tensor, weighted by its energy",
    "contrast_spread": "CIELAB, standard deviation of the contrasts within 8 x 8 tiles",
}
_SIDE = 128  # pixels; pictures are averaged down to this side
_EDGE = 12.0  # CIELAB; there is an edge where neighbouring pixels differ by more than this
_BOX = 7  # side in pixels of the windows over which the structure tensor is averaged


def measure_image_features(rgb: NDArray[np.uint8]) -> dict[str, float]:
    """Return the image features of a picture.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
        sRGB, at least 128 x 128. The picture is averaged down to 128 x 128, so features do not depend on its size.

    Returns
    -------
    dict of str to float
        The features by name, in the order of `IMAGE_FEATURES`.
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
    tiles = lightness.reshape(8, _SIDE // 8, 8, _SIDE // 8)
    return {
        "chroma": float(chroma.mean()),
        "contrast": float(lightness.std()),
        "warmth": float((lab[..., 1] + lab[..., 2]).mean() / np.sqrt(2)),
        "lightness": float(lightness.mean()),
        "edge_density": float((step > _EDGE).mean()),
        "spatial_frequency": float(centroid),
        "angularity": float((coherence * energy).sum() / (energy.sum() + 1e-6)),
        "contrast_spread": float(tiles.std(axis=(1, 3)).std()),
    }


def average_down(rgb: NDArray[np.uint8], side: int) -> NDArray[np.float64]:
    """Return the means (side, side, 3) float64 of a picture (H, W, 3) over a grid of side x side tiles.

    The means are in the units of the picture. Borders of tiles are rounded to whole pixels.

    Raises
    ------
    ValueError
        If a side of the picture is shorter than ``side``.
    """
    height, width = rgb.shape[:2]
    if min(height, width) < side:
        raise ValueError(f"the picture is {width} x {height}; image features need at least {side} x {side}")
    rows, columns = (np.arange(side) * height) // side, (np.arange(side) * width) // side
    sums = np.add.reduceat(np.add.reduceat(rgb.astype(np.float64), rows, axis=0), columns, axis=1)
    counts = np.diff(np.append(rows, height))[:, None] * np.diff(np.append(columns, width))[None]
    return np.asarray(sums / counts[..., None])


def _box(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the mean of each window of `_BOX` x `_BOX` values that lies within the array (h, w)."""
    total = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    n = _BOX
    return np.asarray((total[n:, n:] - total[:-n, n:] - total[n:, :-n] + total[:-n, :-n]) / (n * n))
