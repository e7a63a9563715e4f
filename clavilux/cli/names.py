"""File names of pictures. Inputs, pictures of other songs and unrelated files are never overwritten."""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from itertools import count
from pathlib import Path

import click

from clavilux.audio.song import hash_file
from clavilux.errors import ClaviluxError, PictureError
from clavilux.picture import FORMATS, Picture, read_record
from clavilux.system.files import Identity, identity, refuse_inputs, remove_leftovers


def is_picture_name(output: str | None) -> bool:
    """Return whether ``-o`` names a picture and not a folder.

    Raises
    ------
    UsageError
        If it has an extension that is not that of a picture.
    """
    if output is None or not Path(output).suffix or output.endswith("/") or os.path.isdir(output):
        return False
    if Path(output).suffix.lower() not in FORMATS:
        raise click.UsageError(
            f"-o {output}: a picture ends in {', '.join(FORMATS)}; add a / for a folder of that name."
        )
    return True


def name_pictures(songs: Sequence[Path], output: str | None, n_each: int) -> list[tuple[Path, ...]]:
    """Return unique file names for the pictures of each song, and create their folder.

    ``-o FILE`` is used as it is, unless it is a song. In a folder, pictures are named after their song. If another song
    of the run has the name, or a file that is not a picture of this song, the name is ``NAME_2``, ``NAME_3``, ...

    Raises
    ------
    OutputError
        If ``-o FILE`` is one of the songs.
    PictureError
        If the folder cannot be created.
    """
    if output is not None and is_picture_name(output):
        if len(songs) > 1:
            raise click.UsageError(f"-o {output} is one picture, and there are {len(songs)} songs; give a folder.")
        make_folder(Path(output).parent)
        named = [numbered(Path(output), n_each) for _ in songs]
        for pictures in named:
            refuse_inputs(pictures, songs)
        return named
    folder = Path(output or ".")
    make_folder(folder)
    inputs = {identity(song) for song in songs}
    taken: set[str] = set()
    named = []
    for song in songs:
        for attempt in count(1):
            stem = song.stem if attempt == 1 else f"{song.stem}_{attempt}"
            pictures = numbered(folder / f"{stem}.png", n_each)
            names = {picture.name.casefold() for picture in pictures}  # some file systems ignore case
            if not names & taken and all(may_be_replaced(picture, song, inputs) for picture in pictures):
                break
        taken |= names
        named.append(pictures)
    return named


def numbered(picture: Path, n_each: int) -> tuple[Path, ...]:
    """Return ``song.png`` for one picture, or ``song-1.png``, ``song-2.png``, ... for several."""
    if n_each == 1:
        return (picture,)
    return tuple(picture.with_name(f"{picture.stem}-{number}{picture.suffix}") for number in range(1, n_each + 1))


def may_be_replaced(
    picture: Path,
    song: Path,
    inputs: Container[Identity | None] = (),
    *,
    sha256: str | None = None,
    clip: int | None = None,
) -> bool:
    """Return whether a picture may be written: no file has its name, or an earlier picture of the same song.

    Parameters
    ----------
    picture : Path
    song : Path
    inputs : container of Identity
        Identities of the input files of this run, which must not be replaced.
    sha256 : str, optional
        SHA-256 of the bytes of the song, if known.
    clip : int, optional
        Index of the only window of a feature file that is painted.
    """
    if not os.path.lexists(picture):
        return True
    if identity(picture) in inputs:
        return False
    try:
        record = read_record(picture)
        painted_from, options = record.get("song"), record.get("options")
        return (
            isinstance(painted_from, dict)
            and painted_from.get("sha256") == (sha256 or hash_file(song))
            and (options.get("clip") if isinstance(options, dict) else None) == clip
        )
    except ClaviluxError:
        return False


def save_picture(picture: Picture, target: Path, *, clip: int | None = None) -> Path:
    """Save a picture and return its path: ``target``, or the next free name if another run has used it meanwhile.

    Two runs that paint the same song overwrite each other's pictures.

    Raises
    ------
    PictureError
        If it cannot be written.
    """
    song = picture.song
    for attempt in count(1):
        path = target if attempt == 1 else target.with_name(f"{target.stem}_{attempt}{target.suffix}")
        if not os.path.lexists(path):
            try:
                picture.save(path, exclusive=True)
                return path
            except FileExistsError:  # created meanwhile
                pass
        if may_be_replaced(path, song.path, sha256=song.sha256, clip=clip):
            picture.save(path)
            return path
    raise AssertionError("unreachable")


def make_folder(folder: Path) -> None:
    """Create a folder for pictures, and remove temporary files of killed runs from it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PictureError(f"{folder}: cannot be made a folder for pictures ({error.strerror})") from error
    remove_leftovers(folder)
