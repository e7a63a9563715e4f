"""What is written beside a picture: its description as text, a cover in the tags of the song, a cover of the album."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, replace
from pathlib import Path

from clavilux.audio.song import hash_file
from clavilux.cli.names import is_of_same_source, may_be_replaced
from clavilux.errors import ClaviluxError
from clavilux.picture import Picture
from clavilux.system.files import write_whole

FOLDER_IMAGE = "cover.jpg"
_DESCRIPTIONS = (b"Abstract picture, ", b"Blurred abstract picture, ")  # beginnings of ours


@dataclass(frozen=True)
class Extras:
    """What to write beside a picture.

    Attributes
    ----------
    alt_file : bool
        Write the description of each picture as a text file.
    embed : bool
        Write the main picture into the tags of the song.
    folder_image : Path or None
        Write the main picture to this file, unless an unrelated file has this name.
    """

    alt_file: bool = False
    embed: bool = False
    folder_image: Path | None = None


def embed_picture(picture: Picture, song: Path) -> Picture:
    """Write a picture into the tags of its song, and return the picture with the new hash of the file in its record.

    Raises
    ------
    AudioError
        If the picture cannot be embedded, see `clavilux.audio.covers.embed_cover`.
    """
    from clavilux.audio.covers import embed_cover

    buffer = io.BytesIO()
    picture.save(buffer, format="jpg")
    height, width, _ = picture.pixels.shape
    embed_cover(song, buffer.getvalue(), description=picture.description, size=(width, height))
    return with_hash(picture, hash_file(song))


def with_hash(picture: Picture, sha256: str) -> Picture:
    """Return a copy of a picture whose record gives this SHA-256 for the bytes of the song file."""
    return replace(picture, record={**picture.record, "song": {**picture.record["song"], "sha256": sha256}})


def write_folder_image(picture: Picture, path: Path) -> str | None:
    """Write a picture as the cover of an album.

    Returns
    -------
    str or None
        A warning if an unrelated file has this name; the file is then kept.

    Raises
    ------
    PictureError
        If the file cannot be written.
    """
    if os.path.lexists(path):
        if not may_be_replaced(path, lambda record: is_of_same_source(record, picture.record)):
            return f"{path}: exists already and was kept"
        picture.save(path)
        return None
    try:
        picture.save(path, exclusive=True)
    except FileExistsError:
        return f"{path}: exists already and was kept"
    return None


def write_description(picture: Picture, place: Path) -> str | None:
    """Write the description of a picture as a text file with the name of the picture and the extension .txt.

    Parameters
    ----------
    picture : Picture
    place : Path
        The file of the picture.

    Returns
    -------
    str or None
        A warning if an unrelated text file has this name; the text file is then kept.

    Raises
    ------
    ClaviluxError
        If the text file cannot be written.
    """
    path = place.with_suffix(".txt")
    try:
        if os.path.lexists(path):
            with path.open("rb") as file:
                if not file.read(100).startswith(_DESCRIPTIONS):
                    return f"{path}: exists already and was kept; it is no description of a picture"
        write_whole(path, f"{picture.description}\n".encode())
    except OSError as error:
        raise ClaviluxError(f"{path}: cannot be written ({error.strerror or error})") from error
    return None
