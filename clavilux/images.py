"""Pictures from files, as pixels: what training, the picture encoder and the measures read alike.

picture file -> **here** -> (H, W, 3) uint8 sRGB, and squares of one size cut out of it
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clavilux.errors import PictureError

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
"""Endings, in small letters, of the files that are taken for pictures when a folder is searched."""

UNSUPPORTED_PICTURE_SUFFIXES = frozenset({
    ".avif", ".bmp", ".dng", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jxl", ".psd", ".svg", ".tif", ".tiff",
})  # fmt: skip
"""Endings of other pictures, which are named when they are passed over."""


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) uint8 of a picture of any mode; what is transparent lies on white.

    Raises
    ------
    PictureError
        The file is no picture, is cut off, or is unreasonably large.
    """
    from PIL import Image  # 0.03 s; only those who read pictures pay it

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                image: Image.Image = file
                if image.mode == "P" or "transparency" in image.info:
                    image = image.convert("RGBA")
                if image.mode in ("RGBA", "LA"):
                    rgba = image.convert("RGBA")
                    ground = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
                    image = Image.alpha_composite(ground, rgba)
                return np.asarray(image.convert("RGB"), np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise PictureError(f"{path}: not a picture that can be read ({error})") from error


def middle_square(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The largest square in the middle."""
    height, width = rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return rgb[top : top + side, left : left + side]


def resize(rgb: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Square pixels (side, side, 3) by area averaging (box) when it shrinks."""
    from PIL import Image

    method = Image.Resampling.BOX if min(rgb.shape[:2]) >= 2 * side else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(rgb).resize((side, side), method), np.uint8)


def enlarge(rgb: NDArray[np.float32], width: int, height: int) -> NDArray[np.uint8]:
    """Square pixels (S, S, 3) in [0, 1] -> (height, width, 3) uint8, bicubic; the longer side is filled."""
    from PIL import Image

    side = max(width, height)
    square = Image.fromarray(np.rint(255 * np.clip(rgb, 0, 1)).astype(np.uint8))
    left, top = (side - width) / 2 * len(rgb) / side, (side - height) / 2 * len(rgb) / side
    box = (left, top, len(rgb) - left, len(rgb) - top)
    return np.asarray(square.resize((width, height), Image.Resampling.BICUBIC, box), np.uint8)
