"""What a mapping must beat: an affine map of song codes, fitted in closed form.

songs and real pictures, unpaired -> principal components laid on each other, signs by guides -> **affine map**

It is fitted on the very songs that are judged and on training art: it knows what the bundle does not know, and looks at
no painting. It is the method `pca-match` of the training recipes (`clavilux.measures.transport`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from clavilux.measures.transport import normal_scores, pca_match, principal_components, recolouring, ridge

Float64 = NDArray[np.float64]

_COMPONENTS = 24
_REACH = 3.5  # deviations beyond which a number of a song counts no more, as in training


def fit_linear_map(
    songs: Float64, song_scores: Float64, pictures: Float64, picture_scores: Float64
) -> Callable[[Float64], NDArray[np.float32]]:
    """Fit the map.

    Parameters
    ----------
    songs : (n, S) standardised song codes. song_guides : (n, G) heard sides of the guides.
    pictures : (m, 64) latents of real pictures. picture_guides : (m, G) seen sides of the guides.

    Returns
    -------
    callable
        Standardised song codes (k, S) -> latents (k, 64) float32.
    """
    n_components = min(_COMPONENTS, len(songs) - 1, songs.shape[1])
    standard = np.clip(songs, -_REACH, _REACH)
    directions = principal_components(standard, n_components)
    components = standard @ directions
    wanted = pca_match(components, normal_scores(song_scores), pictures, normal_scores(picture_scores))
    weights, offset = ridge(components, wanted, 1e-6)
    matrix, shift = recolouring(components @ weights + offset, pictures)
    return lambda codes: np.asarray(
        (np.clip(codes, -_REACH, _REACH) @ directions @ weights + offset) @ matrix + shift, np.float32
    )
