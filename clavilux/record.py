"""Options for painting, and the record of a picture: JSON values from which the picture can be painted again.

This module makes and parses records; `clavilux.picture_file` writes them into picture files and reads them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from inspect import signature
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import BACKGROUNDS, DEFAULT_SIZE_PX, DENSITY_DPI, DPI_RANGE, LATENT_DIM, MAX_AUDIO_S
from clavilux.errors import AudioError, BundleError, PictureError
from clavilux.steering import NO_STEERING, Steering, SteeringArguments
from clavilux.system.arguments import MAX_SEED, Number, Size, check_size, float_array, real_number, show, whole_number
from clavilux.version import __version__

if TYPE_CHECKING:
    from clavilux.audio.song import Song
    from clavilux.bundle import Bundle

Float32 = NDArray[np.float32]

CONTROLS_SUFFIX = ".json"  # extension of files of controls (`clavilux.controls_file`)
MAX_STEPS = 100.0  # largest spread and noise; latents of real art have a standard deviation of about 1
MIN_SOUND_S = 1e-3
MAX_CLIP = 10**9
MAX_LATENT = 1e6  # largest absolute value in the latent of a record; usual values are about 1
_NESTED = ("noise_std", "logvar_scale", "max_s", "clip")  # options that are in the entry "options" of a record

_WORDS = {
    "palette": "color colour colors colours",
    "surface": "style technique medium",
    "marks": "kind kinds mark",
    "figure": "figures motif",
    "near": "image like reference",
    "lightness": "brightness",
    "complexity": "detail details density",
    "size": "width height resolution dimensions pixels",
    "seed": "random_state rng",
    "background": "transparent",
    "max_s": "duration seconds max_seconds",
    "noise_std": "noise",
    "sr": "rate sample_rate samplerate fs",
    "bundle": "model network weights",
    "Clavilux().variations": "count variations n_variations",
    "Picture.save": "format output out file filename path quality",
}
_MEANT = {word: name for name, words in _WORDS.items() for word in words.split()}
"""Word that is given as the name of an argument -> the argument that is meant, or the function that has it."""


class PaintArguments(SteeringArguments, total=False):
    """Keyword arguments of methods that paint: the fields of `PaintOptions` and `Steering`."""

    size: Size
    seed: Number
    variation: Number
    spread: Number
    dpi: Number
    background: str
    noise_std: Number | None
    logvar_scale: Number | None
    max_s: Number
    clip: Number | None
    steering: Steering


@dataclass(frozen=True)
class PaintOptions:
    """Options for painting; the values are validated and converted to plain Python numbers.

    Attributes
    ----------
    size : (int, int)
        Width and height in pixels, each from 64 to 8192. The longer side is at most 8 times the shorter side. A single
        number stands for a square. Text such as "300x200" is also accepted.
    seed : int
        Random seed, from 0 to ``MAX_SEED``. It determines the positions of the marks and brush strokes, the
        figures, the accent colour, and the directions of variations.
    variation : int
        Number of the picture: 0 is the main picture of the song, other numbers are variations of it. The marks of a
        variation use the seed ``seed + variation``.
    spread : float
        Distance between the latent of a variation and that of the main picture, from 0 to ``MAX_STEPS``, in units of
        the ``variation_scale`` of the bundle.
    dpi : float
        Pixels per inch that the picture file states, from 1 to 10 000. It does not change the pixels.
    background : str
        "painted" or "transparent". With "transparent", the picture has the attributes ``rgba`` and ``alpha``, and is
        saved without its ground. On the surface "drawing", the ground is the bare paper. On all other surfaces, the
        ground is all areas of one colour: the one that covers most of the edge of the picture.
    noise_std : float or None
        Standard deviation of normal noise that is added to the latent of the picture, from 0 to ``MAX_STEPS``. The
        latents of real art have a standard deviation of about 1. None stands for the default of the bundle, which is 0
        unless the bundle was trained with the recipe `classic`.
    logvar_scale : float or None
        Factor of the posterior variance of audio latents, from 0 to ``MAX_STEPS``. With 0, the audio latent of each
        window is the posterior mean. Otherwise it is drawn from a normal distribution with the posterior mean and with
        the posterior variance times this factor. None stands for the default of the bundle, as for ``noise_std``.
    max_s : float
        Use only the first ``max_s`` seconds of the sound; at least ``MIN_SOUND_S``.
    clip : int or None
        Index, from 0 to ``MAX_CLIP``, of a window (5 s of sound) in a feature file. Only this window is used; None uses
        all windows.
    steering : Steering
        Wishes about the picture. Methods that paint also accept its fields, such as ``warmth``, as arguments.

    Raises
    ------
    PictureError, AudioError
        If a value has a wrong type or is out of range; `AudioError` for ``max_s`` and ``clip``.

    Examples
    --------
    >>> options = PaintOptions(size=128, seed=7)
    >>> options.size
    (128, 128)
    >>> Clavilux().paint("nocturne.flac", options=options).record["seed"]
    7
    """

    size: tuple[int, int] = (DEFAULT_SIZE_PX, DEFAULT_SIZE_PX)
    seed: int = 0
    variation: int = 0
    spread: float = 1.0
    dpi: float = DENSITY_DPI
    background: str = BACKGROUNDS[0]
    noise_std: float | None = None
    logvar_scale: float | None = None
    max_s: float = MAX_AUDIO_S
    clip: int | None = None
    steering: Steering = NO_STEERING

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {"size": check_size(self.size)}
        for name in ("seed", "variation"):
            checked[name] = whole_number(name, getattr(self, name), 0, MAX_SEED)
        for name in ("spread", "noise_std", "logvar_scale"):
            value = getattr(self, name)
            if value is not None or name == "spread":
                checked[name] = real_number(name, value, 0.0, MAX_STEPS)
        checked["dpi"] = real_number("dpi", self.dpi, *DPI_RANGE)
        checked["max_s"] = real_number("max_s", self.max_s, MIN_SOUND_S, fault=AudioError)
        if self.clip is not None:
            checked["clip"] = whole_number("clip", self.clip, 0, MAX_CLIP, fault=AudioError)
        if self.background not in BACKGROUNDS:
            raise PictureError(f"background is {show(self.background)}; it must be {' or '.join(BACKGROUNDS)}")
        if not isinstance(self.steering, Steering):
            raise PictureError(f"steering is {show(self.steering)}; it must be a Steering")
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def is_transparent(self) -> bool:
        """Whether the picture is saved without its ground."""
        return self.background == BACKGROUNDS[1]

    def check_bundle(self, bundle: Bundle) -> None:
        """Raise a `BundleError` if a bundle cannot paint with these options."""
        self.steering.check_bundle(bundle)
        if self.is_transparent and bundle.decoder != "painter":
            raise BundleError(
                f"bundle {bundle.name} decodes latents to pixels, which have no ground; give a bundle with a painter, "
                f"or background {BACKGROUNDS[0]}"
            )

    def changed(self, arguments: PaintArguments, function: Callable[..., Any] | None = None) -> PaintOptions:
        """Return a copy of these options with the given fields of `PaintOptions` and `Steering` replaced.

        ``function`` is the function that was called with these arguments, for messages.

        Raises
        ------
        PictureError, AudioError
            If an argument is unknown, or a value has a wrong type or is out of range.
        """
        changes: dict[str, Any] = {**arguments}
        known = [field.name for kind in (PaintOptions, Steering) for field in fields(kind)]
        for name in changes.keys() - set(known):
            _refuse_argument(name, known, function)
        wishes = {field.name: changes.pop(field.name) for field in fields(Steering) if field.name in changes}
        if wishes:
            changes["steering"] = replace(changes.get("steering", self.steering), **wishes)
        return replace(self, **changes)

    def with_given(self, **values: Any) -> PaintOptions:
        """Return a copy of these options with the given fields replaced, except by values that are None."""
        return replace(self, **{name: value for name, value in values.items() if value is not None})

    def with_noise_of(self, bundle: Bundle) -> PaintOptions:
        """Return a copy of these options with the values of a bundle for ``noise_std`` and ``logvar_scale`` of None."""
        return replace(
            self,
            noise_std=bundle.noise_std if self.noise_std is None else self.noise_std,
            logvar_scale=bundle.logvar_scale if self.logvar_scale is None else self.logvar_scale,
        )

    def to_record(self) -> dict[str, Any]:
        """Return the entries of a record for these options, as JSON values."""
        entries = asdict(self) | {"size": list(self.size), "steering": self.steering.to_record()}
        if not self.steering:
            del entries["steering"]  # as in records of earlier versions
        if not self.is_transparent:
            del entries["background"]  # likewise
        options = {name: entries.pop(name) for name in _NESTED}
        return {**entries, "options": options}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> PaintOptions:
        """Return the options in an untrusted record; the inverse of `to_record`.

        Raises
        ------
        PictureError, AudioError
            If an entry is missing, has a wrong type or is out of range.
        """
        if "sibling" in record:  # earlier names of variation and spread
            record = {**record, "variation": record["sibling"], "spread": record.get("variation")}
        options = _entry(record, "options", dict)
        given = {name: _entry(record, name, object) for name in ("size", "seed", "variation", "spread")}
        given |= {name: _entry(options, name, object) for name in _NESTED}
        given["steering"] = Steering.from_record(record.get("steering", {}))
        given["dpi"] = record.get("dpi", DENSITY_DPI)  # records of earlier versions have none
        given["background"] = record.get("background", BACKGROUNDS[0])
        for name in ("noise_std", "logvar_scale"):
            real_number(name, given[name])  # None would mean the default of a bundle
        return cls(**given)


def _refuse_argument(name: str, known: list[str], function: Callable[..., Any] | None) -> NoReturn:
    """Raise a `PictureError` about an argument that neither a function nor the options have."""
    kinds = signature(function).parameters.values() if function else ()
    own = [
        parameter.name for parameter in kinds if parameter.kind != parameter.VAR_KEYWORD and parameter.name != "self"
    ]
    near = difflib.get_close_matches(name, [*own, *known], n=1)
    meant = _MEANT.get(name.lower()) or (near[0] if near else None)
    if meant is None:
        hint = f"its arguments are {', '.join([*own, *known])}"
    else:
        hint = f"did you mean {meant}?" if meant in (*own, *known) else f"give it to {meant}"
    raise PictureError(f"{function.__qualname__ if function else 'PaintOptions'} has no argument {show(name)}; {hint}")


def record_song(song: Song) -> dict[str, Any]:
    """Return the entry of a record that identifies a song, as JSON values."""
    return {
        "name": song.name,
        "sha256": song.sha256,
        "sound_sha256": song.sound_sha256,
        "silent": bool(song.is_silent),
        "duration_s": round(float(song.duration_s), 3),
    }


def record_options(bundle: Bundle, options: PaintOptions) -> dict[str, Any]:
    """Return the entries of a record that do not depend on the song, as JSON values: version, bundle and options."""
    return {
        "clavilux": __version__,
        "bundle": {"name": bundle.name, "sha256": bundle.sha256},
        **options.to_record(),
    }


def make_record(bundle: Bundle, options: PaintOptions, song: dict[str, Any], z_image: Float32) -> dict[str, Any]:
    """Return the record of a picture as JSON values.

    Parameters
    ----------
    bundle : Bundle
    options : PaintOptions
    song : dict
        From `record_song`.
    z_image : (64,) float32
        The latent that was decoded. Each number becomes the shortest decimal that is read as the same float32.
    """
    entries = record_options(bundle, options)
    latent = [float(str(value)) for value in z_image]
    return {"clavilux": entries["clavilux"], "song": song, **entries, "z_image": latent}


def is_record_of(record: Any, song_sha256: str, bundle: Bundle, options: PaintOptions) -> bool:
    """Return whether an untrusted record is of a song with this SHA-256, a bundle and options."""
    song = record.get("song") if isinstance(record, dict) else None
    expected = {"steering": None, "background": None, **record_options(bundle, options)}
    return (
        isinstance(song, dict)
        and song.get("sha256") == song_sha256
        and all(record.get(key) == value for key, value in expected.items())
    )


def check_version(record: Any) -> None:
    """Raise a `PictureError` if another major or minor version of Clavilux wrote a record: it paints differently."""
    written = record.get("clavilux") if isinstance(record, dict) else None
    if isinstance(written, str) and written.split(".")[:2] != __version__.split(".")[:2]:
        shown = written if re.fullmatch(r"[0-9A-Za-z.+-]{1,20}", written) else show(written)
        raise PictureError(
            f"the picture was painted by Clavilux {shown}, whose painter differs from that of this version "
            f"({__version__}); install that version to paint it again: CHANGELOG.md in the source folder says how"
        )


class ParsedRecord(NamedTuple):
    """The validated content of the record of a picture."""

    song: dict[str, Any]  # entries of `record_song`; sound_sha256 and duration_s may be missing
    bundle_name: str
    bundle_sha256: str
    options: PaintOptions
    z_image: Float32  # (64,): the latent that was decoded

    def is_of(self, song: Song) -> bool:
        """Return whether the picture was painted from a song with the same bytes or the same sound as ``song``."""
        return self.song["sha256"] == song.sha256 or self.song.get("sound_sha256") == song.sound_sha256


def parse_record(record: Any, *, any_version: bool = False) -> ParsedRecord:
    """Return the validated content of a record, the text in a picture file that says how to paint the picture again.

    Parameters
    ----------
    record : Any
        Result of `clavilux.picture_file.read_record`. Pictures are untrusted, so it may have any type and content.
        Unknown entries are ignored.
    any_version : bool
        Also accept a record that another major or minor version of Clavilux wrote. The installed version does not
        paint the same picture from such a record.

    Raises
    ------
    PictureError
        If an entry is missing, has a wrong type or is out of range, or, unless ``any_version`` is true, if another
        major or minor version of Clavilux wrote the record.
    """
    if not isinstance(record, dict):
        raise PictureError(
            f"record is {show(record)}; it must be a dict: the result of read_record, or the record of a Picture"
        )
    if not any_version:
        check_version(record)
    try:
        song, bundle = (_entry(record, name, dict) for name in ("song", "bundle"))
        known: dict[str, Any] = {name: _entry(song, name, str) for name in ("name", "sha256")}
        if "sound_sha256" in song:
            known["sound_sha256"] = _entry(song, "sound_sha256", str)
        known["silent"] = song.get("silent") is True
        if "duration_s" in song:
            known["duration_s"] = real_number("duration_s", song["duration_s"])
        latent = float_array("z_image", record.get("z_image"), (LATENT_DIM,))
        if np.abs(latent).max() > MAX_LATENT:
            raise PictureError(f"z_image has numbers beyond {MAX_LATENT:g}")
        return ParsedRecord(
            song=known,
            bundle_name=_entry(bundle, "name", str),
            bundle_sha256=_entry(bundle, "sha256", str),
            options=PaintOptions.from_record(record),
            z_image=latent,
        )
    except (PictureError, AudioError) as error:
        raise PictureError(f"the record of the picture is incomplete ({error}); it cannot be painted again") from error


def _entry(holder: Any, name: str, kind: type) -> Any:
    """Return an entry of a JSON object; raise `PictureError` if it is missing or not an instance of ``kind``."""
    if not isinstance(holder, dict):
        raise PictureError(f"it is {show(holder)}; it is a JSON object")
    if name not in holder:
        raise PictureError(f"it has no {name}")
    if not isinstance(holder[name], kind):
        raise PictureError(f"{name} is {show(holder[name])}; it is {'text' if kind is str else 'a JSON object'}")
    return holder[name]
