"""Steering: wishes of a user about the picture of a song, such as its colours or its mood.

song code -> `Steering.move_code` -> mapping -> `Steering.move_latent` -> decoder -> controls -> `Steering.steer`

The wishes `mood` and `near` change the input of a network, so that everything in the picture changes together. Each of
the other wishes changes only a few controls of the painter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clavilux.bundle import Bundle
from clavilux.colour import read_hex
from clavilux.colour_names import close_colour_name, parse_colour
from clavilux.constants import (
    CHAOS_RANGE,
    FIGURE_NAMES,
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
from clavilux.painter.palette import place_colours, write_colours
from clavilux.painter.plan import blur_plan
from clavilux.painter.surfaces import SURFACES
from clavilux.reference_pictures import NearPicture, read_main_colours
from clavilux.suggestions import did_you_mean, find_close
from clavilux.system.arguments import FileName, Number, counted, real_number, show

if TYPE_CHECKING:
    from PIL import Image

Float32 = NDArray[np.float32]

MOOD = ("valence", "arousal")  # descriptors that the mood moves
_MOOD_STEP = 2.0  # a mood of 1 adds so many standard deviations over the training songs
_NEAR_SHARE = 0.5  # share of the way from the latent of a song to that of the picture `near`
_FURTHEST = 0.75  # share of the way to the end of the range of a control, for a wish of -1 or 1
_CALM_BLUR = 5.0  # cells: blur of the plan for a complexity of -1, so that it has fewer areas
_SIGNED = ("scale", "complexity")


class SteeringArguments(TypedDict, total=False):
    """The fields of `Steering` as keyword arguments of the Python interface."""

    palette: str | Sequence[str | ArrayLike] | ArrayLike | None
    palette_from: FileName | ArrayLike | Image.Image | Sequence[str] | None
    lightness: Number
    saturation: Number
    warmth: Number
    texture: Number | None
    scale: Number
    complexity: Number
    outline: Number | None
    surface: str | None
    figure: str | None
    marks: str | Sequence[str] | None
    mood: str | Sequence[Number] | None
    near: FileName | ArrayLike | Image.Image | NearPicture | None


@dataclass(frozen=True)
class Steering:
    """Wishes about a picture, by default none; the values are validated and converted.

    Attributes
    ----------
    palette : tuple of str or None
        2 to 8 colours such as "#1a2b3c", "#1ab" or "red", with which the picture is painted. The palette has 8
        positions (slots), from dark to light; if there are fewer than 8 colours, each fills one or more neighbouring
        slots. Also accepted are text with commas, tuples of whole numbers from 0 to 255 such as (26, 43, 60), and
        arrays (n, 3) of floats from 0 to 1.
    palette_from : tuple of str or None
        Give a picture: its path, a `clavilux.Picture`, or an image of Pillow. It is replaced by its 8 main colours.
        Unlike with `palette`, the painter first widens their range of lightness, and makes one of them an accent.
    lightness, saturation, warmth : float
        From -1 to 1; 0 changes nothing: from darker to lighter, grey to more colourful, bluer to more orange.
    texture : float or None
        From 0 to 1: strength of grain and brushwork; 0.5 is the default. None keeps the texture of the controls.
    scale : float
        From -1 (fewer, larger shapes and marks) to 1 (more, smaller ones); 0 changes nothing.
    complexity : float
        From -1 (fewer shapes, less detail) to 1 (more shapes, more detail); 0 changes nothing.
    outline : float or None
        From 0 to 1: width of the lines between areas. 0 is no lines, 1 is about 0.5 % of the short side of the picture.
        Only the surface "flat" has lines. None keeps the outline of the controls.
    surface : str or None
        Technique of the painting, one of ``SURFACE_NAMES``. None keeps the surface of the controls.
    figure : str or None
        Large shapes that hold the picture together, one of ``FIGURE_NAMES``: "auto" paints the figures that belong to
        the kinds of marks, "none" paints no figures. None keeps the value in the controls; for a song, this is "auto".
    marks : tuple of str or None
        One or two kinds of marks from ``KINDS``. The first is for the large marks. The second, by default the same, is
        for the small marks near the focus. None keeps the kinds of the controls.
    mood : (float, float) or None
        Changes of valence (sad to happy) and of arousal (calm to excited), each from -1 to 1, or text. 1 raises the
        descriptor of the song by two standard deviations of the training songs. More valence gives, as a
        rule, warmer and lighter colours; more arousal often, but not for every song, stronger colours.
    near : NearPicture or None
        A picture, as for `palette_from`. The latent of the song is moved halfway to the latent of this picture. A
        picture that the same bundle painted from a song, unchanged by other wishes, has its latent in its record;
        pixels of any other picture are encoded.

    Raises
    ------
    PictureError
        If a value has a wrong type or is out of range, two values contradict each other, or a picture cannot be read.
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
    figure: str | None = None
    marks: tuple[str, ...] | None = None
    mood: tuple[float, float] | None = None
    near: NearPicture | None = None

    if TYPE_CHECKING:  # values are accepted that `__post_init__` converts

        def __init__(self, **given: Unpack[SteeringArguments]) -> None: ...

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {name: _signed(name, getattr(self, name)) for name in (*SHIFTS, *_SIGNED)}
        for name, span in (("texture", TEXTURE_RANGE), ("outline", (0.0, 1.0))):
            if getattr(self, name) is not None:
                checked[name] = real_number(name, getattr(self, name), *span)
        if self.palette is not None:
            checked["palette"] = _colours("palette", write_colours(self.palette), 2)
        if self.marks is not None:
            checked["marks"] = _marks(self.marks)
        if self.mood is not None:
            checked["mood"] = _mood(self.mood)
        for name, allowed in (("surface", SURFACE_NAMES), ("figure", FIGURE_NAMES)):
            value = getattr(self, name)
            value = checked[name] = value.lower() if isinstance(value, str) else value
            if value is not None and value not in allowed:
                raise PictureError(
                    f"{name} is {show(value)}; it must be one of {', '.join(allowed)}{_meant(value, allowed)}"
                )
        if self.palette is not None and self.palette_from is not None:
            raise PictureError("palette and palette_from both give the colours; give one of them")
        if self.outline and self.surface is not None and not SURFACES[checked["surface"]].has_lines:
            raise PictureError(
                f"outline is {checked['outline']:g}, and the surface {checked['surface']} has no lines; give the "
                f"surface {' or '.join(name for name in SURFACE_NAMES if SURFACES[name].has_lines)}"
            )
        if self.palette_from is not None:
            is_read = isinstance(self.palette_from, list | tuple)
            colours = self.palette_from if is_read else read_main_colours(self.palette_from)
            checked["palette_from"] = _colours("palette_from", colours, SLOTS)
        if self.near is not None and not isinstance(self.near, NearPicture):
            checked["near"] = NearPicture.read(self.near)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __bool__(self) -> bool:
        """Return whether any wish differs from its default."""
        return self != NO_STEERING

    def to_record(self) -> dict[str, Any]:
        """Return the wishes that differ from their defaults: name -> JSON value."""
        changed = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        if self.near is not None:
            changed["near"] = {"name": self.near.name, "sha256": self.near.sha256}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in changed.items()}

    @classmethod
    def from_record(cls, entry: Any) -> Steering:
        """Return the steering for a result of `to_record` that was read from the untrusted record of a picture.

        Paths are not accepted, so no file is read. Unknown names are ignored.

        Raises
        ------
        PictureError
            If a value has a wrong type or is out of range.
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
        """Raise a `BundleError` if a bundle lacks what a wish needs: a painter or, for `mood`, valence and arousal."""
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
        """Return a song code (64 + D,) float32 whose descriptors valence and arousal are changed by `mood`.

        Call `check_bundle` first; it raises an error if the bundle lacks these descriptors.
        """
        if self.mood is None or bundle.song_deviation is None:
            return song_code
        moved = song_code.copy()
        for name, amount in zip(MOOD, self.mood, strict=True):
            at = LATENT_DIM + bundle.descriptors.index(name)
            moved[at] += np.float32(_MOOD_STEP * amount) * bundle.song_deviation[at]
        return moved

    def move_latent(self, z_image: Float32, latent_of: Callable[[NearPicture], Float32]) -> Float32:
        """Return a latent (64,), moved halfway to the latent of the picture `near`; unchanged if `near` is None.

        ``latent_of`` is a function that returns the latent (64,) of a picture whose pixels are known.

        Raises
        ------
        PictureError
            If `near` was read from a record, which has only the name and the hash of the picture.
        """
        if self.near is None:
            return z_image
        if self.near.pixels is None:
            raise PictureError(
                f"near is a picture named {show(self.near.name)} of which a record has only the name and the hash"
            )
        return np.asarray(z_image + np.float32(_NEAR_SHARE) * (latent_of(self.near) - z_image), np.float32)

    def steer(self, controls: Controls) -> Controls:
        """Return controls that are changed by the wishes; the same object if no wish changes controls."""
        changes: dict[str, Any] = {name: getattr(self, name) for name in SHIFTS if getattr(self, name)}
        if self.palette is not None:
            share = np.exp(controls.plan.astype(np.float64)).mean(axis=(1, 2))
            changes["palette"] = place_colours(read_hex(self.palette), controls.palette, share)
            changes["exact_palette"] = True
        if self.palette_from is not None:
            changes |= {"palette": read_hex(self.palette_from), "exact_palette": False}
        if self.texture is not None:
            changes["texture"] = self.texture
        shapes = controls.shapes
        if self.scale:
            shapes = _towards(shapes, LAYOUT["shapes"], self.scale)
            changes["frequency"] = _towards(controls.frequency, FREQUENCY_RANGE, self.scale)
            changes["detail"] = _towards(controls.detail, LAYOUT["detail"], self.scale)
        if self.complexity:
            shapes = _towards(shapes, LAYOUT["shapes"], self.complexity)
            changes["chaos"] = _towards(controls.chaos, CHAOS_RANGE, self.complexity)
            if self.complexity < 0:
                changes["plan"] = blur_plan(controls.plan, -_CALM_BLUR * self.complexity)
            changes["detail"] = _towards(changes.get("detail", controls.detail), LAYOUT["detail"], self.complexity)
        if self.scale or self.complexity:
            changes["shapes"] = shapes
        if self.outline is not None:
            changes["outline"] = WIDEST_OUTLINE * self.outline * (1 if controls.outline > 0 else -1)
        changes |= {name: value for name in ("surface", "figure") if (value := getattr(self, name)) is not None}
        if self.marks is not None:
            changes |= {"kind": self.marks[0], "second_kind": self.marks[1] if len(self.marks) > 1 else None}
        return replace(controls, **changes) if changes else controls

    def complaint_about(self, controls: Controls) -> str | None:
        """Return a warning if `outline` has no effect because the surface of the controls has no lines, else None."""
        if not self.outline or SURFACES[controls.surface].has_lines:
            return None
        return f"painted as {controls.surface}, which has no lines: outline changes nothing; give the surface flat too"


def _signed(name: str, value: Any) -> float:
    return real_number(name, value, -1.0, 1.0)


def _towards(value: float, span: tuple[float, float], amount: float) -> float:
    """Return a value, moved towards the upper end of its range, or towards the lower end if ``amount`` is negative.

    An ``amount`` of 1 or -1 moves the value by 3/4 of the way to the end. The move is linear in the logarithm
    of the value if the whole range is above 0, else linear in the value.
    """
    end = span[1] if amount > 0 else span[0]
    share = _FURTHEST * abs(amount)
    return float(value * (end / value) ** share if span[0] > 0 else value + share * (end - value))


def _colours(name: str, value: Any, least: int) -> tuple[str, ...]:
    """Return colours as "#1a2b3c"; raise a `PictureError` unless ``value`` holds ``least`` to 8 valid colours."""
    given = value.split(",") if isinstance(value, str) else value
    number = f"it must have {least} to {SLOTS} colours, such as #1a2b3c,#e63946"
    if not isinstance(given, list | tuple):
        raise PictureError(f"{name} is {show(value)}; {number}")
    for colour in given[: SLOTS + 1]:
        if parse_colour(colour) is None:
            hint = "write colours as #1a2b3c, #1ab, red or light blue, with commas between them"
            raise PictureError(f"{name} has the colour {show(colour)}; {hint}{did_you_mean(close_colour_name(colour))}")
    if not least <= len(given) <= SLOTS:
        raise PictureError(f"{name} has {counted(len(given), 'colour')}; {number}")
    return tuple(filter(None, map(parse_colour, given)))


def _marks(value: Any) -> tuple[str, ...]:
    given = value.split(",") if isinstance(value, str) else value
    kinds = tuple(kind.strip().lower() if isinstance(kind, str) else kind for kind in given) if _is_list(given) else ()
    if not 1 <= len(kinds) <= 2:
        raise PictureError(f"marks is {show(value)}; it must be one kind of marks or two, such as rings,dots")
    for kind in kinds:
        if kind not in KINDS:
            raise PictureError(f"marks has the kind {show(kind)}; kinds are {', '.join(KINDS)}{_meant(kind, KINDS)}")
    return kinds


def _mood(value: Any) -> tuple[float, float]:
    given = value
    with suppress(ValueError):
        given = [float(number) for number in value.split(",")] if isinstance(value, str) else value
    if not _is_list(given) or len(given) != 2:
        raise PictureError(f"mood is {show(value)}; it must be valence and arousal, each from -1 to 1, such as 0.5,-1")
    return _signed("valence", given[0]), _signed("arousal", given[1])


def _meant(value: Any, names: Sequence[str]) -> str:
    """Return the end of an error message that says which of some names a text may mean, or ""."""
    return did_you_mean(find_close(value, names) if isinstance(value, str) else None)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


NO_STEERING = Steering()
