"""Convert the colours of picture files to sRGB, from an ICC profile or from the gamma and primaries of a PNG."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import from_light

if TYPE_CHECKING:
    from PIL import Image

Conversion = Callable[["Image.Image"], "Image.Image"]

_NEAR_LEVELS = 2  # of 255; a profile that changes all colours by less is a variant of sRGB
_NEAR_GAMMA = 0.05  # relative difference from the gamma of sRGB that is ignored, as in libpng
_SRGB_GAMMA = 1 / 2.2
_SRGB_PRIMARIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)  # x, y of white, red, green, blue
_NEAR_PRIMARIES = 0.005
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def to_srgb(image: Image.Image) -> Conversion:
    """Return a function that converts parts of an image of Pillow to images of mode RGB in sRGB.

    The parts must have 8 bits per sample and no alpha channel.

    Parameters
    ----------
    image : Image
        The whole picture; its mode and its metadata determine the conversion.
    """
    if image.mode == "LAB":
        return _by_profile(None, "LAB") or _convert_mode
    profile = image.info.get("icc_profile")
    if profile:
        return _by_profile(profile, image.mode) or _convert_mode
    if image.format == "PNG" and "srgb" not in image.info:
        return _by_gamma(image.info.get("gamma"), image.info.get("chromaticity")) or _convert_mode
    return _convert_mode


def _convert_mode(strip: Image.Image) -> Image.Image:
    return strip.convert("RGB")


def _by_profile(content: bytes | None, mode: str) -> Conversion | None:
    """Return the conversion from an ICC profile, or from CIELAB without one; None if it is sRGB or unusable."""
    from PIL import ImageCms

    srgb = ImageCms.createProfile("sRGB")
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content) if content else ImageCms.createProfile("LAB"))
        space = profile.profile.xcolor_space.strip()
        source = _strip_mode(space, mode)
        if source is None:
            return None
        transform = ImageCms.buildTransform(profile, srgb, source, "RGB", ImageCms.Intent.PERCEPTUAL)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return None  # damaged profile: use sRGB, as viewers do

    def convert(strip: Image.Image) -> Image.Image:
        converted = ImageCms.applyTransform(strip if strip.mode == source else strip.convert(source), transform)
        assert converted is not None  # it is None only for conversions in place
        return converted

    return None if source in ("RGB", "L") and _is_identity(convert, source) else convert


def _strip_mode(space: str, mode: str) -> str | None:
    """Return the mode that strips need for a profile in a colour space; None if the picture does not fit it."""
    if space == "RGB" and mode not in ("CMYK", "LAB"):
        return "RGB"
    if space == "GRAY" and mode[0] in "1LIF" and mode != "LAB":
        return "L"
    return {("CMYK", "CMYK"): "CMYK", ("Lab", "LAB"): "LAB"}.get((space, mode))


def _is_identity(convert: Conversion, mode: str) -> bool:
    """Return whether a conversion changes the colours of a grid by rounding errors only."""
    from PIL import Image

    steps = np.linspace(0, 255, 18).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(18, -1, 3)
    grid = Image.fromarray(colours).convert(mode)
    difference = np.asarray(convert(grid)).astype(int) - np.asarray(grid.convert("RGB"))
    return bool(np.abs(difference).max() <= _NEAR_LEVELS)


def _by_gamma(gamma: Any, chromaticity: Any) -> Conversion | None:
    """Return the conversion from the gAMA and cHRM chunks of a PNG; None if they are missing, invalid or sRGB.

    gAMA is the exponent that converts linear light to samples (PNG specification, third edition, 11.3.2).
    """
    from PIL import Image

    if not isinstance(gamma, float) or not 0.01 < gamma < 100:
        return None
    matrix = None if chromaticity is None else _primaries_to_srgb(chromaticity)
    is_srgb_gamma = abs(gamma / _SRGB_GAMMA - 1) < _NEAR_GAMMA
    if matrix is None and is_srgb_gamma:
        return None
    light = (np.arange(256) / 255) ** (1 / gamma)

    def convert(strip: Image.Image) -> Image.Image:
        pixels = light.astype(np.float32)[np.asarray(strip.convert("RGB"))]
        if matrix is not None:
            pixels = np.clip(pixels @ matrix.T, 0, 1)
        return Image.fromarray(np.rint(255 * from_light(pixels)).astype(np.uint8))

    return convert


def _primaries_to_srgb(chromaticity: Any) -> NDArray[np.float32] | None:
    """Return the matrix (3, 3) from linear RGB with other primaries to linear sRGB; None if invalid or sRGB.

    The white point is converted with the Bradford adaptation, as in ICC profiles.
    """
    given = np.asarray(chromaticity, np.float64)
    if given.shape != (8,) or np.abs(given - _SRGB_PRIMARIES).max() < _NEAR_PRIMARIES or (given[1::2] <= 0).any():
        return None
    to_white, to_matrix = _xyz_of(np.asarray(_SRGB_PRIMARIES))
    try:
        from_white, from_matrix = _xyz_of(given)
    except np.linalg.LinAlgError:  # the primaries are collinear
        return None
    adapt = np.linalg.inv(_BRADFORD) @ np.diag(_BRADFORD @ to_white / (_BRADFORD @ from_white)) @ _BRADFORD
    matrix = np.linalg.inv(to_matrix) @ adapt @ from_matrix
    return matrix.astype(np.float32) if np.isfinite(matrix).all() else None


def _xyz_of(chromaticity: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the white point (3,) in XYZ and the matrix (3, 3) from linear RGB to XYZ."""
    x, y = chromaticity[::2], chromaticity[1::2]
    white, *primaries = np.stack([x / y, np.ones(4), (1 - x - y) / y], axis=1)
    matrix = np.stack(primaries, axis=1)
    return white, matrix * np.linalg.solve(matrix, white)
