"""Convert the colours of picture files to sRGB, with an ICC profile or with the gamma and primaries of a PNG."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import from_light, to_bytes

if TYPE_CHECKING:
    from PIL import Image

Conversion = Callable[["Image.Image"], "Image.Image"]

_MAX_SRGB_LEVELS = 2  # a profile that changes no 8-bit sample by more than this counts as sRGB
_MAX_SRGB_GAMMA = 0.05  # largest relative difference to the gamma of sRGB that counts as equal, as in libpng
_SRGB_GAMMA = 1 / 2.2
_SRGB_PRIMARIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)  # x, y of white, red, green, blue
_MAX_SRGB_PRIMARIES = 0.005  # primaries that differ from those of sRGB by less than this count as equal
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def to_srgb(image: Image.Image) -> Conversion:
    """Return a function that converts parts of a Pillow image to sRGB images of mode RGB.

    The mode and the metadata of the image determine the conversion. The parts that are converted must have 8 bits per
    sample and no alpha channel.
    """
    if image.mode == "LAB":
        convert = _by_profile(None, "LAB")
    elif profile := image.info.get("icc_profile"):
        convert = _by_profile(profile, image.mode)
    elif image.format == "PNG" and "srgb" not in image.info:
        convert = _by_gamma(image.info.get("gamma"), image.info.get("chromaticity"))
    else:
        convert = None
    return convert or (lambda strip: strip.convert("RGB"))


def _by_profile(content: bytes | None, mode: str) -> Conversion | None:
    """Return the conversion to sRGB with an ICC profile, or from CIELAB if ``content`` is None.

    The result is None if the profile is damaged, describes sRGB, or is not for pictures of this mode.
    """
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
        return None  # the profile is damaged

    def convert(strip: Image.Image) -> Image.Image:
        converted = ImageCms.applyTransform(strip if strip.mode == source else strip.convert(source), transform)
        assert converted is not None  # it is None only for conversions in place
        return converted

    return None if source in ("RGB", "L") and _is_identity(convert, source) else convert


def _strip_mode(space: str, mode: str) -> str | None:
    """Return the Pillow mode to which a picture of a given mode is converted before a profile is applied.

    ``space`` is the colour space of the profile. The result is None if the profile does not fit the mode.
    """
    if space == "RGB" and mode not in ("CMYK", "LAB"):
        return "RGB"
    if space == "GRAY" and mode[0] in "1LIF" and mode != "LAB":
        return "L"
    return {("CMYK", "CMYK"): "CMYK", ("Lab", "LAB"): "LAB"}.get((space, mode))


def _is_identity(convert: Conversion, mode: str) -> bool:
    """Return whether a conversion changes colours only by rounding errors, tested on a grid of colours."""
    from PIL import Image

    steps = np.linspace(0, 255, 18).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(18, -1, 3)
    grid = Image.fromarray(colours).convert(mode)
    difference = np.asarray(convert(grid)).astype(int) - np.asarray(grid.convert("RGB"))
    return bool(np.abs(difference).max() <= _MAX_SRGB_LEVELS)


def _by_gamma(gamma: Any, chromaticity: Any) -> Conversion | None:
    """Return the conversion to sRGB with the values in the gAMA and cHRM chunks of a PNG.

    The result is None if gAMA is missing or invalid, or if the two chunks describe sRGB. gAMA is the exponent that
    turns linear light into samples (PNG specification, third edition, 11.3.2).
    """
    from PIL import Image

    if not isinstance(gamma, float) or not 0.01 < gamma < 100:
        return None
    matrix = None if chromaticity is None else _primaries_to_srgb(chromaticity)
    if matrix is None and abs(gamma / _SRGB_GAMMA - 1) < _MAX_SRGB_GAMMA:
        return None
    light = (np.arange(256) / 255) ** (1 / gamma)

    def convert(strip: Image.Image) -> Image.Image:
        pixels = light.astype(np.float32)[np.asarray(strip.convert("RGB"))]
        if matrix is not None:
            pixels = np.clip(pixels @ matrix.T, 0, 1)
        return Image.fromarray(to_bytes(from_light(pixels)))

    return convert


def _primaries_to_srgb(chromaticity: Any) -> NDArray[np.float32] | None:
    """Return the matrix (3, 3) that converts linear RGB with other primaries to linear sRGB.

    The result is None if the primaries are invalid or those of sRGB. The white point is converted
    with the Bradford adaptation, as in ICC profiles.
    """
    given = np.asarray(chromaticity, np.float64)
    if given.shape != (8,) or np.abs(given - _SRGB_PRIMARIES).max() < _MAX_SRGB_PRIMARIES or (given[1::2] <= 0).any():
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
    """Return the white point (3,) in XYZ and the matrix (3, 3) from linear RGB to XYZ.

    The chromaticities (8,) are x and y of white, red, green and blue.
    """
    x, y = chromaticity[::2], chromaticity[1::2]
    white, *primaries = np.stack([x / y, np.ones(4), (1 - x - y) / y], axis=1)
    matrix = np.stack(primaries, axis=1)
    return white, matrix * np.linalg.solve(matrix, white)
