"""Write contact sheets: pictures that show the progress of a training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clavilux.system.files import replacing
from clavilux.training.writing import writing_to


def save_sheet(path: Path, pictures: Sequence[NDArray[np.uint8]], *, columns: int, gap: int = 4) -> None:
    """Write pictures (H, W, 3) uint8 sRGB of the same size to one image file, as a grid with ``columns`` columns.

    The extension of ``path`` selects PNG, JPEG or WebP. ``gap`` is the width in pixels of the white space between
    pictures. The file is written atomically.

    Raises
    ------
    TrainingError
        If the folder cannot be written to.
    """
    height, width = pictures[0].shape[:2]
    rows = math.ceil(len(pictures) / columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for index, picture in enumerate(pictures):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            Image.fromarray(sheet).save(temporary, Image.registered_extensions()[path.suffix.lower()], quality=90)


def features_as_pictures(features: NDArray[np.float32]) -> list[NDArray[np.uint8]]:
    """Return standardised features (n, rows, frames) as n grey pictures (3 * rows, frames, 3) uint8.

    A row of features is 3 pixels high, and the first row is at the bottom. Values of at most -3 are black, values of at
    least 3 are white.
    """
    grey = np.clip(127.5 + features * (127.5 / 3.0), 0, 255).astype(np.uint8)
    tall = np.repeat(grey[:, ::-1], 3, axis=1)
    return [np.repeat(picture[..., None], 3, axis=2) for picture in tall]
