"""The record of a picture: JSON values from which the picture can be painted again.

This module makes and parses records; `clavilux.picture_file` writes them into picture files and reads them.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import LATENT_DIM
from clavilux.errors import AudioError, PictureError
from clavilux.options import PaintOptions, entry_of
from clavilux.system.arguments import float_array, real_number, show
from clavilux.version import __version__

if TYPE_CHECKING:
    from clavilux.audio.song import Song
    from clavilux.bundle import Bundle

Float32 = NDArray[np.float32]

MAX_LATENT = 1e6  # largest absolute value in the latent of a record; usual values are about 1


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


def find_latent(record: Any, bundle: Bundle) -> Float32 | None:
    """Return the latent (64,) in an untrusted record, if it alone says what a bundle painted; otherwise None.

    It does not if a wish other than ``mood`` and ``near`` changed the picture afterwards, if another bundle painted the
    picture, or if the picture was painted from controls.
    """
    with suppress(PictureError):
        recorded = parse_record(record, any_version=True)
        if recorded.bundle_sha256 == bundle.sha256 and recorded.options.steering.to_record().keys() <= {"mood", "near"}:
            return recorded.z_image
    return None


def check_version(record: Any, name: str = "the picture") -> None:
    """Raise a `PictureError` if another major or minor version of Clavilux wrote a record: it paints differently.

    ``name`` stands for the picture at the beginning of the message.
    """
    written = record.get("clavilux") if isinstance(record, dict) else None
    if isinstance(written, str) and written.split(".")[:2] != __version__.split(".")[:2]:
        shown = written if re.fullmatch(r"[0-9A-Za-z.+-]{1,20}", written) else show(written)
        raise PictureError(
            f"{name} was painted by Clavilux {shown}, whose painter differs from that of this version "
            f"({__version__}); install that version to paint it again"
            + (": CHANGELOG.md in the source folder says how" if shown.startswith("0.1.") else "")
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
        song, bundle = (entry_of(record, name, dict) for name in ("song", "bundle"))
        known: dict[str, Any] = {name: entry_of(song, name, str) for name in ("name", "sha256")}
        if "sound_sha256" in song:
            known["sound_sha256"] = entry_of(song, "sound_sha256", str)
        known["silent"] = song.get("silent") is True
        if "duration_s" in song:
            known["duration_s"] = real_number("duration_s", song["duration_s"])
        latent = float_array("z_image", record.get("z_image"), (LATENT_DIM,))
        if np.abs(latent).max() > MAX_LATENT:
            raise PictureError(f"z_image has numbers beyond {MAX_LATENT:g}")
        return ParsedRecord(
            song=known,
            bundle_name=entry_of(bundle, "name", str),
            bundle_sha256=entry_of(bundle, "sha256", str),
            options=PaintOptions.from_record(record),
            z_image=latent,
        )
    except (PictureError, AudioError) as error:
        raise PictureError(f"the record of the picture is incomplete ({error}); it cannot be painted again") from error
