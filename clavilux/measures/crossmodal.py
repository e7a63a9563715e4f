"""Guides: what people hear and see together, as pairs of a descriptor of a song and a trait of a picture.

The transport from songs to pictures is drawn towards them; the measures ask how far it came. Each has the sign that
studies found; they are averages over listeners, carried by emotion, and differ between people and cultures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Correspondence:
    """Weighted sums of standardised descriptors and of standardised traits that should rise together."""

    name: str
    heard: Mapping[str, float]
    seen: Mapping[str, float]
    source: str


CORRESPONDENCES: tuple[Correspondence, ...] = (
    Correspondence(
        "arousal",
        {"arousal": 1.0},
        {"chroma": 0.7, "contrast": 0.3},
        "Valdez & Mehrabian 1994; Wilms & Oberfeld 2018; Palmer et al. 2013; Whiteford et al. 2018",
    ),
    Correspondence(
        "valence",
        {"valence": 1.0},
        {"warmth": 0.7, "lightness": 0.3},
        "Palmer et al. 2013; Lindborg & Friberg 2015",
    ),
    Correspondence(
        "onset_rate",
        {"onset_rate": 1.0},
        {"spatial_frequency": 0.6, "edge_density": 0.4},
        "Guzman-Martinez et al. 2012; Sherman, Grabowecky & Suzuki 2013",
    ),
    Correspondence(
        "register",
        {"register": 1.0},
        {"lightness": 0.7, "spatial_frequency": 0.3},
        "Hubbard 1996; Evans & Treisman 2010",
    ),
    Correspondence(
        "harshness",
        {"flatness": 0.5, "roughness": 0.5},
        {"angularity": 1.0},
        "Adeli, Rouat & Molotchnikoff 2014",
    ),
    Correspondence(
        "loudness_range",
        {"loudness_range": 1.0},
        {"contrast_spread": 1.0},
        "our own choice, without a study behind it",
    ),
)


def correspondence_values(columns: Mapping[str, NDArray[np.floating]], side: str) -> NDArray[np.float64]:
    """Values of all guides: {descriptor or trait: (n,)} -> (n, G).

    Parameters
    ----------
    columns : mapping
        Descriptors of n songs, or traits of n pictures.
    side : {"heard", "seen"}
        Which of the two.
    """
    values = []
    for correspondence in CORRESPONDENCES:
        total = 0.0
        for name, weight in getattr(correspondence, side).items():
            column = np.asarray(columns[name], np.float64)
            total = total + weight * (column - column.mean()) / (column.std() + 1e-9)
        values.append(total)
    return np.stack(np.broadcast_arrays(*values), axis=1)
