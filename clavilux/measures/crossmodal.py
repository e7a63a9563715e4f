"""Cross-modal correspondences: descriptors of a song that people match with features of a picture.

The training of the mapping network uses the correspondences to align songs with pictures, and the evaluation measures
how well they hold. The signs of their weights are those that studies found, as averages over listeners. Correspondences
are mediated by emotion, and differ between people and cultures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Correspondence:
    """A weighted sum of standardised descriptors and one of image features; the two sums should rise together."""

    name: str
    descriptors: Mapping[str, float]  # name -> weight
    image_features: Mapping[str, float]  # name -> weight
    source: str  # studies that found the correspondence


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
        "our own choice; no study",
    ),
)


def correspondence_values(
    columns: Mapping[str, NDArray[np.floating]], side: Literal["descriptors", "image_features"]
) -> NDArray[np.float64]:
    """Return the scores (n, C) of n songs or n pictures: their weighted sums in the C `CORRESPONDENCES`.

    Parameters
    ----------
    columns : mapping
        Descriptors of n songs or image features of n pictures: name -> (n,). This function standardises them.
    side : {"descriptors", "image_features"}
        What `columns` contains.
    """
    scores = []
    for correspondence in CORRESPONDENCES:
        total = 0.0
        for name, weight in getattr(correspondence, side).items():
            column = np.asarray(columns[name], np.float64)
            total = total + weight * (column - column.mean()) / (column.std() + 1e-9)
        scores.append(total)
    return np.stack(np.broadcast_arrays(*scores), axis=1)
