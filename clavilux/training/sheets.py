"""Contact sheets, to inspect a training by eye."""

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
    """Write pictures of the same size, arranged in rows, to one picture file atomically.

    Parameters
    ----------
    path : Path
        PNG, JPEG or WebP, by the suffix.
    pictures : sequence of (H, W, 3) uint8
        sRGB, in reading order.
    columns : int
        Pictures per row.
    gap : int
        White pixels between pictures.

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


def features_as_pictures(features: NDArray[np.float32], *, scale: int = 3) -> list[NDArray[np.uint8]]:
    """Return standardised features (n, rows, frames) as n grey pictures (rows * scale, frames, 3) uint8.

    Black is -3 and white 3 standard deviations; the first row is at the bottom.
    """
    grey = np.clip(127.5 + features * (127.5 / 3.0), 0, 255).astype(np.uint8)
    tall = np.repeat(grey[:, ::-1], scale, axis=1)
    return [np.repeat(picture[..., None], 3, axis=2) for picture in tall]
