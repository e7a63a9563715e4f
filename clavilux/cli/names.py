"""Where the pictures of a run go: no input, no picture of another song and no other file is ever overwritten."""

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
    """Return whether ``-o`` names one picture, not a folder.

    Raises
    ------
    UsageError
        It ends like a file, but not like a picture.
    """
    if output is None or not Path(output).suffix or output.endswith("/") or os.path.isdir(output):
        return False
    if Path(output).suffix.lower() not in FORMATS:
        raise click.UsageError(
            f"-o {output}: a picture ends in {', '.join(FORMATS)}; add a / for a folder of that name."
        )
    return True


def name_pictures(songs: Sequence[Path], output: str | None, n_each: int) -> list[tuple[Path, ...]]:
    """Name the pictures of each song, no name twice, and make their folder.

    ``-o FILE`` is taken as it is, unless it is a song. In a folder, a song's pictures are called after it; a name that
    is taken, by another song of this run or by a file that is not a picture of this very song, is passed over for
    ``NAME_2``, ``NAME_3`` and so on.

    Raises
    ------
    OutputError
        ``-o FILE`` is one of the songs.
    PictureError
        The folder cannot be made.
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
            names = {picture.name.casefold() for picture in pictures}  # some file systems take A.png for a.png
            if not names & taken and all(may_be_replaced(picture, song, inputs) for picture in pictures):
                break
        taken |= names
        named.append(pictures)
    return named


def numbered(picture: Path, n_each: int) -> tuple[Path, ...]:
    """Return ``song.png`` for one picture, ``song-1.png``, ``song-2.png`` ... for more."""
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
    """Return whether a picture may go there: nothing is there, or an earlier picture of the same song.

    Parameters
    ----------
    picture : Path
    song : Path
        What is painted.
    inputs : container of Identity
        Of the files that this run reads; none of them may be replaced.
    sha256 : str, optional
        Hash of the song's bytes, if it is known.
    clip : int, optional
        The window of a feature file that is painted, if it is one alone.
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
    """Save a picture under a name that was free when the run began, or under the next one; return where it is.

    Another run may have taken the name since. Whoever comes first has it, unless both paint the same song.

    Raises
    ------
    PictureError
        It cannot be written.
    """
    song = picture.song
    for attempt in count(1):
        path = target if attempt == 1 else target.with_name(f"{target.stem}_{attempt}{target.suffix}")
        if not os.path.lexists(path):
            try:
                picture.save(path, exclusive=True)
                return path
            except FileExistsError:  # taken just now
                pass
        if may_be_replaced(path, song.path, sha256=song.sha256, clip=clip):
            picture.save(path)
            return path
    raise AssertionError("numbers do not end")


def make_folder(folder: Path) -> None:
    """Make a folder for pictures, and remove from it what a killed run was writing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PictureError(f"{folder}: cannot be made a folder for pictures ({error.strerror})") from error
    remove_leftovers(folder)
