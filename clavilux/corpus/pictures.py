"""Decode a picture, and compute what the build of a corpus needs: size, perceptual hash and mean colours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clavilux.colour import srgb_to_lab
from clavilux.errors import PictureError
from clavilux.images import decode_picture

MIN_SIDE_PX = 160  # smaller pictures have too little detail to recognise marks
HASH_SIDE_PX = 32  # side of the picture of which the cosine transform is computed
HASH_TERMS = 8  # number of lowest frequencies per axis that are kept; 8 x 8 give 64 bits


@dataclass(frozen=True)
class PictureMeasure:
    """Size, perceptual hash and mean colours of a picture."""

    width: int  # px, after rotation by the orientation tag
    height: int  # px
    phash: int  # 64 bits, see `perceptual_hash`
    colours: tuple[float, ...]  # 12 numbers: mean CIELAB of the four quadrants


class Unusable(Exception):
    """A file cannot be part of the corpus; the message gives the reason."""


def measure_picture(content: bytes) -> PictureMeasure:
    """Return the size in pixels, the perceptual hash and the mean colour of each quadrant (CIELAB) of a picture.

    Hash and colours are computed after resizing to a square, so that they do not depend on the aspect ratio.

    Parameters
    ----------
    content : bytes
        A picture file in a format that `clavilux.images` reads.

    Raises
    ------
    Unusable
        If the picture does not decode, has too many pixels, or has a side shorter than `MIN_SIDE_PX`.
    """
    try:
        rgb = decode_picture(content)
    except PictureError as error:
        raise Unusable(f"does not decode: {error}") from error
    height, width, _ = rgb.shape
    if min(width, height) < MIN_SIDE_PX:
        raise Unusable(f"too small: {width} x {height} px, the short side must have {MIN_SIDE_PX}")
    square = Image.fromarray(rgb).resize((HASH_SIDE_PX, HASH_SIDE_PX), Image.Resampling.BOX)
    lab = srgb_to_lab(np.asarray(square, dtype=np.float64) / 255).astype(np.float64)
    half = HASH_SIDE_PX // 2
    quadrants = lab.reshape(2, half, 2, half, 3).mean(axis=(1, 3))
    colours = tuple(round(float(value), 2) for value in quadrants.ravel())
    return PictureMeasure(width, height, perceptual_hash(lab[..., 0]), colours)


def perceptual_hash(lightness: NDArray[np.float64]) -> int:
    """Return the 64-bit perceptual hash (pHash) of the L* values (32, 32) of a picture.

    Each bit says whether one of the 8 x 8 DCT coefficients of lowest frequency is above their median, which is computed
    without the DC coefficient.
    """
    angles = np.pi * np.outer(np.arange(HASH_TERMS), np.arange(HASH_SIDE_PX) + 0.5) / HASH_SIDE_PX
    basis = np.cos(angles)
    terms = (basis @ lightness @ basis.T).ravel()
    return int.from_bytes(np.packbits(terms > np.median(terms[1:])).tobytes())
