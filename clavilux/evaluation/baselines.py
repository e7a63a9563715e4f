"""A baseline for the mapping network: an affine map from song codes to latents, fitted in closed form.

The map is fitted to training pictures and to the songs of the evaluation. This is an advantage over the bundle, which
was not trained on these songs. Generated pictures are not used. The method is `pca-match` of the training recipes
(`clavilux.measures.transport.pca_match`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import SONG_LIMIT
from clavilux.measures.transport import normal_scores, pca_match, principal_components, recolouring, ridge

Float64 = NDArray[np.float64]

_COMPONENTS = 24


def fit_linear_map(
    songs: Float64, song_scores: Float64, pictures: Float64, picture_scores: Float64
) -> Callable[[Float64], NDArray[np.float32]]:
    """Fit the map, and return it as a function from standardised song codes (k, S) to latents (k, 64) float32.

    Parameters
    ----------
    songs : (n, S)
        Standardised song codes.
    song_scores : (n, C)
        Scores of the songs in the C cross-modal correspondences.
    pictures : (m, 64)
        Latents of real pictures.
    picture_scores : (m, C)
        Scores of the real pictures in the same correspondences.
    """
    standard = np.clip(songs, -SONG_LIMIT, SONG_LIMIT)
    directions = principal_components(standard, min(_COMPONENTS, len(songs) - 1, songs.shape[1]))
    components = standard @ directions
    targets = pca_match(components, normal_scores(song_scores), pictures, normal_scores(picture_scores))
    weights, offset = ridge(components, targets, 1e-6)
    matrix, shift = recolouring(components @ weights + offset, pictures)
    return lambda codes: np.asarray(
        (np.clip(codes, -SONG_LIMIT, SONG_LIMIT) @ directions @ weights + offset) @ matrix + shift, np.float32
    )
