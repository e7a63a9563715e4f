"""Looking at a picture once: does it decode, how large is it, and what does its near duplicate look like?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clavilux.errors import PictureError
from clavilux.images import decode_picture

MIN_SIDE_PX = 160  # shorter sides hold no detail that marks could be read from
HASH_SIDE_PX = 32  # the cosine transform sees this many samples a side
HASH_TERMS = 8  # lowest frequencies kept a side: 64 bits


@dataclass(frozen=True)
class PictureMeasure:
    """What the build needs to know of a picture."""

    width: int  # px, as a viewer shows it
    height: int  # px
    phash: int  # 64 bits of the lowest cosine frequencies of lightness
    colours: tuple[float, ...]  # mean Lab of the four quadrants, 12 numbers


class Unusable(Exception):
    """Why a file stays out of the corpus."""


def measure_picture(content: bytes) -> PictureMeasure:
    """Decode a picture and measure it.

    Parameters
    ----------
    content : bytes
        A picture file of a format that `clavilux.images` reads.

    Returns
    -------
    PictureMeasure
        Hash and colours do not see the proportions: the picture is squeezed into a square first.

    Raises
    ------
    Unusable
        If it does not decode, is too large, or its short side is under `MIN_SIDE_PX`.
    """
    try:
        rgb = decode_picture(content)
    except PictureError as error:
        raise Unusable(f"does not decode: {error}") from error
    height, width, _ = rgb.shape
    if min(width, height) < MIN_SIDE_PX:
        raise Unusable(f"too small: {width} x {height} px, the short side must have {MIN_SIDE_PX}")
    squeezed = Image.fromarray(rgb).resize((HASH_SIDE_PX, HASH_SIDE_PX), Image.Resampling.BOX)
    small = np.asarray(squeezed, dtype=np.float64) / 255
    lab = _lab_from_srgb(small)
    half = HASH_SIDE_PX // 2
    quadrants = lab.reshape(2, half, 2, half, 3).mean(axis=(1, 3))
    return PictureMeasure(
        width, height, perceptual_hash(lab[..., 0]), tuple(round(float(v), 2) for v in quadrants.ravel())
    )


def perceptual_hash(lightness: NDArray[np.float64]) -> int:
    """64 bits: which of the lowest cosine coefficients of a 32 x 32 picture are above their median.

    The constant term is left out of the median but keeps its bit, as in the common `pHash`.
    """
    n = HASH_SIDE_PX
    angles = np.pi * np.outer(np.arange(HASH_TERMS), np.arange(n) + 0.5) / n
    basis = np.cos(angles)
    terms = (basis @ lightness @ basis.T).ravel()
    bits = terms > np.median(terms[1:])
    return int.from_bytes(np.packbits(bits).tobytes())


def _lab_from_srgb(srgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE 1976 L*a*b* (D65) of sRGB in [0, 1], last axis the channels (IEC 61966-2-1 and CIE 15)."""
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    xyz = linear @ to_xyz.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)
