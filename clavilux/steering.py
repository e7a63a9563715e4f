"""Steering: wishes of a user about the picture of a song, such as its colours or its mood.

song code -> `Steering.move_code` -> mapping -> `Steering.move_latent` -> decoder -> controls -> `Steering.steer`

The wishes `mood` and `near` change the inputs of networks, so that everything in the picture changes together. All
other wishes change single controls of the painter.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from clavilux.bundle import Bundle
from clavilux.colour import lab_to_srgb, srgb_to_lab, to_bytes
from clavilux.constants import (
    CHAOS_RANGE,
    ENCODER_SIDE_PX,
    FREQUENCY_RANGE,
    LATENT_DIM,
    LAYOUT,
    SHIFTS,
    SLOTS,
    SURFACE_NAMES,
    TEXTURE_RANGE,
    WIDEST_OUTLINE,
)
from clavilux.errors import BundleError, PictureError
from clavilux.painter.controls import Controls
from clavilux.painter.marks import KINDS
from clavilux.painter.palette import place_colours
from clavilux.painter.surfaces import SURFACES
from clavilux.system.arguments import FileName, Number, file_path, real_number, show

Float32 = NDArray[np.float32]

MOOD = ("valence", "arousal")  # descriptors that the mood moves
_MOOD_STEP = 2.0  # standard deviations over songs, at 1
_NEAR_SHARE = 0.5  # of the way to the latent of a picture
_FURTHEST = 0.75  # of the way to the end of the range of a control, at -1 and 1
_COLOUR = re.compile("#?([0-9a-fA-F]{6})")
_SIGNED = ("scale", "complexity")
_LEAST_RANGE = 8.0  # L* between the darkest and the lightest colour of the palette of a picture
_PALETTE_PX = 128  # side to which a picture is resized for its palette


@dataclass(frozen=True)
class NearPicture:
    """A picture towards which the latent of a song is moved.

    Attributes
    ----------
    name : str
        Name of the file without extension.
    sha256 : str
        SHA-256 of `pixels`.
    pixels : bytes or None
        64 x 64 pixels of the central square, sRGB, 3 bytes each, row by row. None for a picture from a record, which
        has only `name` and `sha256`.
    """

    name: str
    sha256: str
    pixels: bytes | None = field(default=None, repr=False, compare=False)

    @classmethod
    def read(cls, path: Path) -> NearPicture:
        """Return the central square of the picture in a file.

        Raises
        ------
        PictureError
            If the file cannot be read.
        """
        from clavilux.images import middle_square, read_picture, resize

        pixels = resize(middle_square(read_picture(path)), ENCODER_SIDE_PX).tobytes()
        return cls(path.stem, hashlib.sha256(pixels).hexdigest(), pixels)


class SteeringArguments(TypedDict, total=False):
    """The fields of `Steering` as keyword arguments of the Python interface."""

    palette: str | Sequence[str] | None
    palette_from: FileName | Sequence[str] | None
    lightness: Number
    saturation: Number
    warmth: Number
    texture: Number | None
    scale: Number
    complexity: Number
    outline: Number | None
    surface: str | None
    marks: str | Sequence[str] | None
    mood: Sequence[Number] | None
    near: FileName | NearPicture | None


@dataclass(frozen=True)
class Steering:
    """Wishes about a picture; by default none. Values are validated and converted.

    Attributes
    ----------
    palette : tuple of str or None
        2 to 8 colours such as "#1a2b3c", which are painted exactly. Fewer than 8 colours are repeated in the eight
        slots of the palette. One text with commas between the colours is accepted.
    palette_from : tuple of str or None
        A picture file; it is replaced by its 8 main colours, whose contrast is adjusted to the layout. Colours of
        `palette` are not adjusted.
    lightness, saturation, warmth : float
        From -1 to 1: darker to lighter, grey to colourful, towards blue to towards orange.
    texture : float or None
        From 0 to 1: traces of the brush and grain. 0 is none, 1 twice the default strength. None is 0.5, the default.
    scale : float
        From -1 to 1: few large shapes to many small shapes.
    complexity : float
        From -1 to 1: few quiet areas to many areas.
    outline : float or None
        From 0 to 1: width of the lines between areas; 0 is none, 1 about 0.5 % of the short side. Only the surface flat
        has lines. None keeps the outline of the song.
    surface : str or None
        Technique of the painting, one of ``SURFACE_NAMES``.
    marks : tuple of str or None
        One or two of ``KINDS``. The first is the kind of the large marks; the second, by default the same, is the kind
        of the small marks near the focus.
    mood : (float, float) or None
        Changes of valence (sad to happy) and of arousal (calm to excited), each from -1 to 1; 1 adds two standard
        deviations over songs to the descriptor of the song.
    near : NearPicture or None
        A picture file; the latent of the song is moved half of the way to the latent of this picture.

    Raises
    ------
    PictureError
        If a value has a wrong type or is out of range, two contradict each other, or a picture cannot be read.
    """

    palette: tuple[str, ...] | None = None
    palette_from: tuple[str, ...] | None = None
    lightness: float = 0.0
    saturation: float = 0.0
    warmth: float = 0.0
    texture: float | None = None
    scale: float = 0.0
    complexity: float = 0.0
    outline: float | None = None
    surface: str | None = None
    marks: tuple[str, ...] | None = None
    mood: tuple[float, float] | None = None
    near: NearPicture | None = None

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {name: _signed(name, getattr(self, name)) for name in (*SHIFTS, *_SIGNED)}
        for name, span in (("texture", TEXTURE_RANGE), ("outline", (0.0, 1.0))):
            if getattr(self, name) is not None:
                checked[name] = real_number(name, getattr(self, name), *span)
        if self.palette is not None:
            checked["palette"] = _colours("palette", self.palette, 2)
        if self.marks is not None:
            checked["marks"] = _marks(self.marks)
        if self.mood is not None:
            checked["mood"] = _mood(self.mood)
        if self.surface is not None and self.surface not in SURFACE_NAMES:
            raise PictureError(f"surface is {show(self.surface)}; it must be one of {', '.join(SURFACE_NAMES)}")
        if self.palette is not None and self.palette_from is not None:
            raise PictureError("palette and palette_from both give the colours; give one of them")
        if self.outline and self.surface is not None and not SURFACES[self.surface].has_lines:
            raise PictureError(
                f"outline is {checked['outline']:g}, and the surface {self.surface} has no lines; give the surface "
                f"{' or '.join(name for name in SURFACE_NAMES if SURFACES[name].has_lines)}"
            )
        if self.palette_from is not None:
            checked["palette_from"] = _palette_from(self.palette_from)
        if self.near is not None and not isinstance(self.near, NearPicture):
            checked["near"] = NearPicture.read(file_path("near", self.near))
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __bool__(self) -> bool:
        """Return whether there is any wish."""
        return self != NO_STEERING

    def to_record(self) -> dict[str, Any]:
        """Return the wishes as JSON values by name, without defaults."""
        changed = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        if self.near is not None:
            changed["near"] = {"name": self.near.name, "sha256": self.near.sha256}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in changed.items()}

    @classmethod
    def from_record(cls, entry: Any) -> Steering:
        """Return the steering in an untrusted record; the inverse of `to_record`. No file is read.

        Raises
        ------
        PictureError
            If an entry has a wrong type or is out of range. Unknown entries are ignored.
        """
        if not isinstance(entry, dict):
            raise PictureError(f"steering is {show(entry)}; it is a JSON object")
        given = {f.name: entry[f.name] for f in fields(cls) if f.name in entry}
        if "palette_from" in given and not isinstance(given["palette_from"], list):
            raise PictureError(f"palette_from is {show(given['palette_from'])}; in a record it is a list of colours")
        if "near" in given:
            near = given["near"]
            if not isinstance(near, dict) or not all(isinstance(near.get(key), str) for key in ("name", "sha256")):
                raise PictureError(f"near is {show(near)}; in a record it has a name and a sha256")
            given["near"] = NearPicture(near["name"][:200], near["sha256"])
        return cls(**given)

    def check_bundle(self, bundle: Bundle) -> None:
        """Raise a `BundleError` if the wishes are impossible with a bundle."""
        if self and bundle.decoder != "painter":
            raise BundleError(
                f"bundle {bundle.name} decodes latents to pixels and cannot be steered; give a bundle with a painter, "
                "such as default"
            )
        if self.mood is not None and (bundle.song_deviation is None or not set(MOOD) <= set(bundle.descriptors)):
            raise BundleError(
                f"bundle {bundle.name} was trained without {' and '.join(MOOD)}, so it has no mood; give another bundle"
            )

    def move_code(self, song_code: Float32, bundle: Bundle) -> Float32:
        """Return a song code (64 + D,) float32, in which `mood` changes two of the D descriptors.

        Call `check_bundle` first.
        """
        if self.mood is None or bundle.song_deviation is None:
            return song_code
        moved = song_code.copy()
        for name, amount in zip(MOOD, self.mood, strict=True):
            at = LATENT_DIM + bundle.descriptors.index(name)
            moved[at] += np.float32(_MOOD_STEP * amount) * bundle.song_deviation[at]
        return moved

    def move_latent(self, z_image: Float32, encode: Callable[[NDArray[np.uint8]], Float32]) -> Float32:
        """Return a latent (64,), moved half of the way to the latent of the picture `near`, if there is one.

        ``encode`` is a function from pixels (64, 64, 3) uint8 sRGB to their latent (64,).

        Raises
        ------
        PictureError
            If `near` comes from a record, which has only its name and hash.
        """
        if self.near is None:
            return z_image
        if self.near.pixels is None:
            raise PictureError(
                f"near is a picture named {show(self.near.name)} of which a record has only the name and the hash"
            )
        pixels = np.frombuffer(self.near.pixels, np.uint8).reshape(ENCODER_SIDE_PX, ENCODER_SIDE_PX, 3)
        return np.asarray(z_image + np.float32(_NEAR_SHARE) * (encode(pixels) - z_image), np.float32)

    def steer(self, controls: Controls) -> Controls:
        """Return controls that are changed by the wishes; the same object if there are none."""
        changes: dict[str, Any] = {name: getattr(self, name) for name in SHIFTS if getattr(self, name)}
        if self.palette is not None:
            share = np.exp(controls.plan.astype(np.float64)).mean(axis=(1, 2))
            changes["palette"] = place_colours(_as_array(self.palette), controls.palette, share)
            changes["exact_palette"] = True
        if self.palette_from is not None:
            changes |= {"palette": _as_array(self.palette_from), "exact_palette": False}
        if self.texture is not None:
            changes["texture"] = self.texture
        shapes = controls.shapes
        if self.scale:
            shapes = _towards(shapes, LAYOUT["shapes"], self.scale)
            changes["frequency"] = _towards(controls.frequency, FREQUENCY_RANGE, self.scale)
            changes["detail"] = _towards(controls.detail, LAYOUT["detail"], self.scale / 2)
        if self.complexity:
            shapes = _towards(shapes, LAYOUT["shapes"], self.complexity)
            changes["chaos"] = _towards(controls.chaos, CHAOS_RANGE, self.complexity)
            changes["detail"] = _towards(changes.get("detail", controls.detail), LAYOUT["detail"], self.complexity)
        if self.scale or self.complexity:
            changes["shapes"] = shapes
        if self.outline is not None:
            changes["outline"] = WIDEST_OUTLINE * self.outline * (1 if controls.outline > 0 else -1)
        if self.surface is not None:
            changes["surface"] = self.surface
        if self.marks is not None:
            changes |= {"kind": self.marks[0], "second_kind": self.marks[1] if len(self.marks) > 1 else None}
        return replace(controls, **changes) if changes else controls

    def complaint_about(self, controls: Controls) -> str | None:
        """Return a warning if `outline` has no effect on steered controls, because their surface has no lines."""
        if not self.outline or SURFACES[controls.surface].has_lines:
            return None
        return f"painted as {controls.surface}, which has no lines, so outline changes nothing; give a surface too"


def _signed(name: str, value: Any) -> float:
    return real_number(name, value, -1.0, 1.0)


def _towards(value: float, span: tuple[float, float], amount: float) -> float:
    """Return a value, moved towards one end of its range: by ratios if the range is above 0, else by differences."""
    end = span[1] if amount > 0 else span[0]
    share = _FURTHEST * abs(amount)
    return float(value * (end / value) ** share if span[0] > 0 else value + share * (end - value))


def _colours(name: str, value: Any, least: int) -> tuple[str, ...]:
    """Return colours as text such as #1a2b3c."""
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or not least <= len(given) <= SLOTS:
        found = f"has {len(given)} colours" if isinstance(given, list | tuple) else f"is {show(value)}"
        raise PictureError(f"{name} {found}; it must have {least} to {SLOTS} colours such as #1a2b3c")
    matches = [_COLOUR.fullmatch(colour.strip()) if isinstance(colour, str) else None for colour in given]
    for colour, match in zip(given, matches, strict=True):
        if match is None:
            raise PictureError(f"{name} has the colour {show(colour)}; a colour is written as #1a2b3c")
    return tuple(f"#{match[1].lower()}" for match in matches if match is not None)


def _palette_from(value: Any) -> tuple[str, ...]:
    """Return the palette of a picture file, or one that was read before."""
    if isinstance(value, list | tuple):
        return _colours("palette_from", value, SLOTS)
    from clavilux.images import read_picture, resize
    from clavilux.painter.quantise import quantise

    rgb = resize(read_picture(file_path("palette_from", value)), _PALETTE_PX)
    lab = srgb_to_lab(quantise(rgb, np.random.default_rng(0))[0])
    if np.ptp(lab[:, 0]) < _LEAST_RANGE:  # a picture of one tone: tones that the painter can spread
        middle = np.clip(lab[:, 0].mean(), _LEAST_RANGE, 100 - _LEAST_RANGE)
        lab[:, 0] = middle + _LEAST_RANGE * np.linspace(-0.5, 0.5, SLOTS)
    return tuple("#" + bytes(colour).hex() for colour in to_bytes(lab_to_srgb(lab)))


def _as_array(colours: tuple[str, ...]) -> Float32:
    return np.array([list(bytes.fromhex(colour[1:])) for colour in colours], np.float32) / np.float32(255)


def _marks(value: Any) -> tuple[str, ...]:
    given = value.split(",") if isinstance(value, str) else value
    kinds = tuple(kind.strip() if isinstance(kind, str) else kind for kind in given) if _is_list(given) else ()
    if not 1 <= len(kinds) <= 2:
        raise PictureError(f"marks is {show(value)}; it must be one kind of marks or two, such as rings,dots")
    for kind in kinds:
        if kind not in KINDS:
            raise PictureError(f"marks has the kind {show(kind)}; kinds are {', '.join(KINDS)}")
    return kinds


def _mood(value: Any) -> tuple[float, float]:
    if not _is_list(value) or len(value) != 2:
        raise PictureError(f"mood is {show(value)}; it must be valence and arousal, each from -1 to 1, such as 0.5,-1")
    return _signed("valence", value[0]), _signed("arousal", value[1])


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


NO_STEERING = Steering()
