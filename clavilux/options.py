"""Options for painting: checked, changed, and converted to and from the record of a picture (`clavilux.record`)."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from inspect import signature
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import (
    BACKGROUNDS,
    DEFAULT_SIZE_PX,
    DENSITY_DPI,
    DPI_RANGE,
    MAX_AUDIO_S,
)
from clavilux.errors import AudioError, BundleError, PictureError
from clavilux.sizes import read_size
from clavilux.steering import NO_STEERING, Steering, SteeringArguments
from clavilux.system.arguments import MAX_SEED, Number, Size, check_size, real_number, show, whole_number

if TYPE_CHECKING:
    from clavilux.bundle import Bundle

Float32 = NDArray[np.float32]

CONTROLS_SUFFIX = ".json"  # extension of files of controls (`clavilux.controls_file`)
MAX_STEPS = 100.0  # largest spread and noise; latents of real art have a standard deviation of about 1
MIN_SOUND_S = 1e-3
MAX_CLIP = 10**9
_NESTED = ("noise_std", "logvar_scale", "max_s", "clip")  # options that are in the entry "options" of a record

_WORDS = {
    "palette": "color colour colors colours",
    "surface": "style technique medium",
    "marks": "kind kinds mark",
    "figure": "figures motif",
    "near": "image like reference",
    "lightness": "brightness bright dark darker darkness light lighter",
    "saturation": "chroma colourfulness vivid gray grey",
    "complexity": "calm calmer busy busier detail details density",
    "variation": "sibling",
    "size": "width height resolution dimensions pixels",
    "seed": "random_state rng",
    "background": "transparent",
    "max_s": "duration seconds max_seconds",
    "noise_std": "noise",
    "sr": "rate sample_rate samplerate fs",
    "Clavilux": "threads workers jobs",
    "bundle": "model network weights",
    "Clavilux().variations": "count variations n_variations",
    "Picture.save": "format output out file filename path quality",
}
_MEANT = {word: name for name, words in _WORDS.items() for word in words.split()}
"""Word that is given as the name of an argument -> the argument that is meant, or the function that has it."""


_GONE = {
    "supersample": "every picture has smooth edges",
    **dict.fromkeys(("mirror", "flip"), "pictures have no mirror symmetry"),
}  # argument of version 0.1 -> what is so without it


class OptionArguments(TypedDict, total=False):
    """The fields of `PaintOptions` as keyword arguments, before they are converted."""

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


class PaintArguments(SteeringArguments, OptionArguments, total=False):
    """Keyword arguments of methods that paint: the fields of `PaintOptions` and `Steering`."""


@dataclass(frozen=True)
class PaintOptions:
    """Options for painting; the values are validated and converted to plain Python numbers.

    Attributes
    ----------
    size : (int, int)
        Width and height in pixels, each from 64 to 8192. The longer side is at most 8 times the shorter side. A single
        number stands for a square. Text such as "300x200" is also accepted, and with a unit (mm, cm or in) such as
        "60x40cm". The part @150 of "60x40cm@150" is the ``dpi``.
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
        Pixels per inch that the picture file states, from 1 to 10 000. It changes pixels only if ``size`` has a unit.
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

    if TYPE_CHECKING:  # values are accepted that `__post_init__` converts

        def __init__(self, **given: Unpack[OptionArguments]) -> None: ...

    def __post_init__(self) -> None:
        if isinstance(self.variation, float | np.floating):
            raise PictureError(
                f"variation is {self.variation}; since version 0.2 it is the number of a variation, such as 1; how far "
                "variations are from the main picture is called spread"
            )
        checked: dict[str, Any] = {}
        size, dpi = self.size, real_number("dpi", self.dpi, *DPI_RANGE)
        if isinstance(size, str):
            size, dpi = read_size(size).resolve(None if dpi == DENSITY_DPI else dpi)
        checked["size"], checked["dpi"] = check_size(size), dpi
        for name in ("seed", "variation"):
            checked[name] = whole_number(name, getattr(self, name), 0, MAX_SEED)
        for name in ("spread", "noise_std", "logvar_scale"):
            value = getattr(self, name)
            if value is not None or name == "spread":
                checked[name] = real_number(name, value, 0.0, MAX_STEPS)
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
        if isinstance(size := changes.get("size"), str) and (dpi := read_size(size).dpi) is not None:
            changes.setdefault("dpi", dpi)
        known = [field.name for kind in (PaintOptions, Steering) for field in fields(kind)]
        for name in changes.keys() - set(known):
            _refuse_argument(name, known, function)
        wishes = {field.name: changes.pop(field.name) for field in fields(Steering) if field.name in changes}
        if wishes:
            changes["steering"] = replace(changes.get("steering", self.steering), **wishes)
        return replace(self, **changes)

    def painted_again(self, changes: Mapping[str, Any], function: Callable[..., Any]) -> PaintOptions:
        """Return the options of a picture for painting it again with changes.

        ``changes`` are the size, the dpi, the background and fields of `Steering`; None stands for no change.
        ``function`` is the function that was called with them, for messages.

        Raises
        ------
        PictureError
            If a change is unknown, wrong, or needs the song of the picture.
        """
        given: PaintArguments = {name: value for name, value in changes.items() if value is not None}  # type: ignore[assignment]
        known = ["size", "dpi", "background", *(f.name for f in fields(Steering) if f.name not in ("mood", "near"))]
        for name in ("mood", "near"):
            if name in given:
                raise PictureError(f"{name} cannot be changed in a picture; paint the song with it")
        for name in given.keys() - set(known):
            _refuse_argument(name, known, function)
        for name, other in (("palette", "palette_from"), ("palette_from", "palette")):
            if name in given and other not in given:
                given[other] = None  # type: ignore[literal-required]
        return self.changed(given)

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
        options = entry_of(record, "options", dict)
        given = {name: entry_of(record, name, object) for name in ("size", "seed", "variation", "spread")}
        given |= {name: entry_of(options, name, object) for name in _NESTED}
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
        parameter.name
        for parameter in kinds
        if parameter.kind != parameter.VAR_KEYWORD and parameter.name not in ("self", *known)
    ]
    if name in _GONE:
        raise PictureError(f"{name} is gone since version 0.2: {_GONE[name]}; leave it out")
    near = difflib.get_close_matches(name, [*own, *known], n=1)
    meant = _MEANT.get(name.lower()) or (near[0] if near else None)
    if meant is None:
        hint = f"its arguments are {', '.join([*own, *known])}"
    else:
        hint = f"did you mean {meant}?" if meant in (*own, *known) else f"give it to {meant}"
    raise PictureError(f"{function.__qualname__ if function else 'PaintOptions'} has no argument {show(name)}; {hint}")


def entry_of(holder: Any, name: str, kind: type) -> Any:
    """Return an entry of a JSON object; raise `PictureError` if it is missing or not an instance of ``kind``."""
    if not isinstance(holder, dict):
        raise PictureError(f"it is {show(holder)}; it is a JSON object")
    if name not in holder:
        raise PictureError(f"it has no {name}")
    if not isinstance(holder[name], kind):
        raise PictureError(f"{name} is {show(holder[name])}; it is {'text' if kind is str else 'a JSON object'}")
    return holder[name]
