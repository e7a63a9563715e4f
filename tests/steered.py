"""Random controls that stand for the pictures of songs, and what is measured of a painted picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import lab_to_srgb, srgb_to_lab
from clavilux.constants import CHAOS_RANGE, LAYOUT, SLOTS, SURFACE_NAMES
from clavilux.painter.controls import Controls
from clavilux.painter.marks import KINDS
from clavilux.painter.paint import composition_of
from clavilux.painter.raster import enlarge, find_areas, find_edges


def random_controls(number: int) -> Controls:
    """Return controls with a smooth plan, a palette of a random hue and contrast, and random marks."""
    rng = np.random.default_rng([7, number])
    plan = np.stack([enlarge(rng.normal(0, 2.5, (5, 5)).astype(np.float32), 32, 32) for _ in range(SLOTS)])
    lightness = np.sort(rng.uniform(5, 95, SLOTS))
    hue = rng.uniform(0, 2 * np.pi) + rng.normal(0, rng.uniform(0.2, 2), SLOTS)
    chroma = rng.uniform(0, rng.uniform(10, 60), SLOTS)
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=1)
    first, second = rng.choice(len(KINDS), 2)
    return Controls(
        lab_to_srgb(lab.astype(np.float32)),
        plan,
        KINDS[first],
        second_kind=KINDS[second],
        frequency=float(np.exp(rng.uniform(np.log(4), np.log(30)))),
        angle=rng.uniform(0, 0.5),
        chaos=rng.uniform(0.1, 1.2) * CHAOS_RANGE[1] / 1.5,
        surface=SURFACE_NAMES[number % len(SURFACE_NAMES)],
        shapes=float(np.exp(rng.uniform(*np.log(LAYOUT["shapes"])))),
        detail=rng.uniform(0, 1),
        brush=rng.uniform(0, 6),
        glaze=rng.uniform(0, 6),
        outline=rng.uniform(-0.8, 0.8),
    )


def mean_colour(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return mean L*, a*, b* and chroma of a picture, (4,)."""
    lab = srgb_to_lab(pixels.astype(np.float32) / 255).reshape(-1, 3).astype(np.float64)
    return np.append(lab.mean(axis=0), np.hypot(lab[:, 1], lab[:, 2]).mean())


def grain_of(pixels: NDArray[np.uint8]) -> float:
    """Return the mean difference of L* between neighbours that differ little, which is texture and no border."""
    lightness = srgb_to_lab(pixels.astype(np.float32) / 255)[..., 0]
    apart = np.abs(np.diff(lightness, axis=1))
    return float(apart[apart < 12].mean())


def count_areas(controls: Controls) -> int:
    """Return the number of areas of the composition."""
    return len(np.unique(find_areas(composition_of(controls).slots)))


def edge_density(controls: Controls) -> float:
    """Return the share of the cells of the composition that lie at a border."""
    return float(find_edges(composition_of(controls).slots).mean())
