"""Options of a painting, and the record of a picture: what it holds, made and parsed.

`clavilux.picture_file` stores the record in a file and reads it back.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import DEFAULT_SIZE_PX, DENSITY_DPI, DPI_RANGE, LATENT_DIM, MAX_AUDIO_S
from clavilux.errors import AudioError, PictureError
from clavilux.steering import NO_STEERING, Steering, SteeringArguments
from clavilux.system.arguments import MAX_SEED, Number, Size, check_size, float_array, real_number, show, whole_number
from clavilux.version import __version__

if TYPE_CHECKING:
    from clavilux.audio.song import Song
    from clavilux.bundle import Bundle

Float32 = NDArray[np.float32]

CONTROLS_SUFFIX = ".json"  # of files of controls, see `clavilux.controls_file`
MAX_STEPS = 100.0  # of spread and noise; latents of real art have a standard deviation of 1
MIN_SOUND_S = 1e-3
MAX_CLIP = 10**9
MAX_LATENT = 1e6  # absolute; the numbers of z_image are of the order of 1


class PaintArguments(SteeringArguments, total=False):
    """The fields of `PaintOptions` and of `Steering` as keyword arguments of the Python interface."""

    size: Size
    seed: Number
    variation: Number
    spread: Number
    dpi: Number
    noise_std: Number | None
    logvar_scale: Number | None
    max_s: Number
    clip: Number | None
    steering: Steering


@dataclass(frozen=True)
class PaintOptions:
    """Options of a painting, validated and converted to plain Python numbers.

    Attributes
    ----------
    size : (int, int)
        Width and height in pixels, each from 64 to 8192, at most 8:1. One number stands for a square.
    seed : int
        Random seed of single marks and brush strokes, from 0 to ``MAX_SEED``. It also chooses the directions of
        variations. The default, 0, is the same for all songs.
    variation : int
        0 is the main picture of the song; other numbers are variations of it, whose marks use the seed
        ``seed + variation``.
    spread : float
        Distance in z_image of a variation from the main picture, in units of the `variation_scale` of the bundle, from
        0 to ``MAX_STEPS``.
    dpi : float
        Pixels per inch that are written into the picture file, from 1 to 10 000. The pixels do not depend on it.
    noise_std : float or None
        Standard deviation of normal noise that is added to z_image, from 0 to ``MAX_STEPS``. The latents of real art
        have a standard deviation of about 1. None is the default of the bundle, which is 0 except in the classic
        recipe.
    logvar_scale : float or None
        With 0, the audio latent of each window is its posterior mean. Otherwise the latent is drawn from the posterior,
        with this factor times its variance, up to ``MAX_STEPS``. None is the default of the bundle, which is 0 except
        in the classic recipe.
    max_s : float
        Use only the first ``max_s`` seconds of the sound, ``MIN_SOUND_S`` or more.
    clip : int or None
        Use only the window with this index of a feature file, from 0 to ``MAX_CLIP``. None uses all windows.
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
        if not isinstance(self.steering, Steering):
            raise PictureError(f"steering is {show(self.steering)}; it must be a Steering")
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def changed(self, arguments: PaintArguments) -> PaintOptions:
        """Return a copy of these options with other values; ``arguments`` may also have fields of `Steering`.

        Raises
        ------
        PictureError, AudioError
            If a value has a wrong type or is out of range.
        """
        given: dict[str, Any] = {**arguments}
        asked = {field.name: given.pop(field.name) for field in fields(Steering) if field.name in given}
        if asked:
            given["steering"] = replace(given.get("steering", self.steering), **asked)
        return replace(self, **given)

    def with_noise_of(self, bundle: Bundle) -> PaintOptions:
        """Return a copy of these options in which `noise_std` and `logvar_scale` of None are those of a bundle."""
        return replace(
            self,
            noise_std=bundle.noise_std if self.noise_std is None else self.noise_std,
            logvar_scale=bundle.logvar_scale if self.logvar_scale is None else self.logvar_scale,
        )

    def to_record(self) -> dict[str, Any]:
        """Return the entries of a record for these options, as JSON values."""
        entries = asdict(self) | {"size": list(self.size)}
        entries |= {"steering": self.steering.to_record()}
        if not self.steering:
            del entries["steering"]  # as in records of earlier versions
        options = {name: entries.pop(name) for name in _NESTED}
        return {**entries, "options": options}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> PaintOptions:
        """Return the options of a record; the inverse of `to_record`.

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
        for name in ("noise_std", "logvar_scale"):
            real_number(name, given[name])  # None would mean the default of a bundle
        return cls(**given)


_NESTED = ("noise_std", "logvar_scale", "max_s", "clip")


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
        The latent that was decoded. Each number is written as the shortest decimal that reads back as the same float32.
    """
    entries = record_options(bundle, options)
    latent = [float(str(value)) for value in z_image]
    return {"clavilux": entries["clavilux"], "song": song, **entries, "z_image": latent}


@dataclass(frozen=True, eq=False)
class ParsedRecord:
    """The validated content of the record of a picture.

    Attributes
    ----------
    song : dict
        The known entries about the song; ``name`` and ``sha256`` are text.
    bundle_name, bundle_sha256 : str
    options : PaintOptions
    z_image : (64,) float32
        The latent that was decoded.
    """

    song: dict[str, Any]
    bundle_name: str
    bundle_sha256: str
    options: PaintOptions
    z_image: Float32

    def is_of(self, song: Song) -> bool:
        """Return whether the picture was painted from a song with the same bytes or the same sound as ``song``."""
        return self.song["sha256"] == song.sha256 or self.song.get("sound_sha256") == song.sound_sha256


def parse_record(record: Any) -> ParsedRecord:
    """Return the validated content of a record.

    Parameters
    ----------
    record : Any
        From `clavilux.picture_file.read_record`, or any other value: pictures are untrusted input.

    Raises
    ------
    PictureError
        If an entry is missing, has a wrong type or is out of range, or if a version with another painter wrote it.
        Additional entries are ignored.
    """
    _check_version(record)
    try:
        song, bundle = (_entry(record, name, dict) for name in ("song", "bundle"))
        known: dict[str, Any] = {name: _entry(song, name, str) for name in ("name", "sha256")}
        if "sound_sha256" in song:
            known["sound_sha256"] = _entry(song, "sound_sha256", str)
        known["silent"] = song.get("silent") is True
        if "duration_s" in song:
            known["duration_s"] = real_number("duration_s", song["duration_s"])
        return ParsedRecord(
            song=known,
            bundle_name=_entry(bundle, "name", str),
            bundle_sha256=_entry(bundle, "sha256", str),
            options=PaintOptions.from_record(record),
            z_image=_parse_latent(record),
        )
    except (PictureError, AudioError) as error:
        raise PictureError(f"the record of the picture is incomplete ({error}); it cannot be painted again") from error


def _check_version(record: Any) -> None:
    """Raise a `PictureError` if the record names a version of Clavilux with another painter: another major or minor."""
    written = record.get("clavilux") if isinstance(record, dict) else None
    if isinstance(written, str) and written.split(".")[:2] != __version__.split(".")[:2]:
        raise PictureError(
            f"the picture was painted by Clavilux {show(written)}, whose painter differs from that of this "
            f"version ({__version__}); install that version to paint it again"
        )


def _parse_latent(record: Any) -> Float32:
    latent = float_array("z_image", record.get("z_image"), (LATENT_DIM,))
    if np.abs(latent).max() > MAX_LATENT:
        raise PictureError(f"z_image has numbers beyond {MAX_LATENT:g}")
    return latent


def _entry(holder: Any, name: str, kind: type) -> Any:
    """Return an entry of a JSON object; raise `PictureError` if it is missing or not an instance of ``kind``."""
    if not isinstance(holder, dict):
        raise PictureError(f"it is {show(holder)}; it is a JSON object")
    if name not in holder:
        raise PictureError(f"it has no {name}")
    if not isinstance(holder[name], kind):
        raise PictureError(f"{name} is {show(holder[name])}; it is {'text' if kind is str else 'a JSON object'}")
    return holder[name]
