"""Cross-modal correspondences: descriptors of a song that people match with features of a picture.

The training of the mapping aligns songs and pictures with these correspondences, and the evaluation measures how well
they hold. Their signs are those that studies found: averages over listeners, which are mediated by emotion and differ
between people and cultures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Correspondence:
    """Two weighted sums that should rise together: of standardised descriptors, and of standardised image features."""

    name: str
    descriptors: Mapping[str, float]  # name -> weight
    image_features: Mapping[str, float]  # name -> weight
    source: str  # studies that found it


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
    """Return the scores (n, C) of n songs or n pictures in the C correspondences, in the order of `CORRESPONDENCES`.

    Parameters
    ----------
    columns : mapping
        Descriptors of n songs or image features of n pictures: name -> (n,). They are standardised over the n.
    side : {"descriptors", "image_features"}
        Which of the two `columns` contains.
    """
    scores = []
    for correspondence in CORRESPONDENCES:
        total = 0.0
        for name, weight in getattr(correspondence, side).items():
            column = np.asarray(columns[name], np.float64)
            total = total + weight * (column - column.mean()) / (column.std() + 1e-9)
        scores.append(total)
    return np.stack(np.broadcast_arrays(*scores), axis=1)
