"""The options of a painting, and the record of them that a picture carries.

arguments of a call, or the record of a picture -> **here** -> checked `Choices` -> pipeline
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clavilux.errors import AudioError, PictureError
from clavilux.system.arguments import MAX_SEED, check_size, real_number, show, whole_number

MAX_STEPS = 100.0  # of spread and noise; latents of real art have a deviation of 1
MIN_SOUND_S = 1e-3
MAX_CLIP = 10**9


@dataclass(frozen=True)
class Choices:
    """Options of a painting; each is checked, and converted to a plain Python number.

    Attributes
    ----------
    size : (int, int)
        Width and height in pixels.
    seed, variation : int
        From 0 to ``MAX_SEED``.
    spread, noise_std, logvar_scale : float
        From 0 to ``MAX_STEPS``.
    max_s : float
        Seconds, ``MIN_SOUND_S`` or more.
    clip : int or None
        From 0 to ``MAX_CLIP``.

    Raises
    ------
    PictureError, AudioError
        If one of them is of another type or out of range; `AudioError` for ``max_s`` and ``clip``.
    """

    size: tuple[int, int]
    seed: int
    variation: int
    spread: float
    noise_std: float
    logvar_scale: float
    max_s: float
    clip: int | None

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {"size": check_size(self.size)}
        for name in ("seed", "variation"):
            checked[name] = whole_number(name, getattr(self, name), 0, MAX_SEED)
        for name in ("spread", "noise_std", "logvar_scale"):
            checked[name] = real_number(name, getattr(self, name), 0.0, MAX_STEPS)
        checked["max_s"] = real_number("max_s", self.max_s, MIN_SOUND_S, fault=AudioError)
        if self.clip is not None:
            checked["clip"] = whole_number("clip", self.clip, 0, MAX_CLIP, fault=AudioError)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def entries(self) -> dict[str, Any]:
        """Return what the record of a picture holds of the options, as JSON values."""
        return {
            "size": list(self.size),
            "seed": self.seed,
            "variation": self.variation,
            "spread": self.spread,
            "options": {
                "noise_std": self.noise_std,
                "logvar_scale": self.logvar_scale,
                "max_s": self.max_s,
                "clip": self.clip,
            },
        }


@dataclass(frozen=True)
class Recorded:
    """What the record of a picture says of its song, its bundle and its options."""

    song_name: str
    song_sha256: str
    bundle_name: str
    bundle_sha256: str
    choices: Choices


def parse_record(record: Any) -> Recorded:
    """Return what a record says.

    Parameters
    ----------
    record : Any
        From `clavilux.picture.read_record`, or any other value: pictures come from strangers.

    Raises
    ------
    PictureError
        If it lacks something, or holds something of another type or out of range. Other entries are passed over.
    """
    try:
        song, bundle, options = (_entry(record, name, dict) for name in ("song", "bundle", "options"))
        given = {name: _entry(record, name, object) for name in ("size", "seed", "variation", "spread")}
        given |= {name: _entry(options, name, object) for name in ("noise_std", "logvar_scale", "max_s", "clip")}
        return Recorded(
            song_name=_entry(song, "name", str),
            song_sha256=_entry(song, "sha256", str),
            bundle_name=_entry(bundle, "name", str),
            bundle_sha256=_entry(bundle, "sha256", str),
            choices=Choices(**given),
        )
    except (PictureError, AudioError) as error:
        raise PictureError(f"the record of the picture is incomplete ({error}); it cannot be painted again") from error


def _entry(holder: Any, name: str, kind: type) -> Any:
    if not isinstance(holder, dict):
        raise PictureError(f"it is {show(holder)}; it is a JSON object")
    if name not in holder:
        raise PictureError(f"it has no {name}")
    if not isinstance(holder[name], kind):
        raise PictureError(f"{name} is {show(holder[name])}; it is {'text' if kind is str else 'a JSON object'}")
    return holder[name]
