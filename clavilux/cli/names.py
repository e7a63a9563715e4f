"""Choose the file names of pictures.

Inputs are never overwritten. A file that is not an earlier picture of the same song is overwritten only if the user
gave its name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import click

from clavilux.audio.song import hash_file
from clavilux.cli.templates import FoundSong, fill_template, is_template
from clavilux.errors import ClaviluxError, PictureError
from clavilux.options import CONTROLS_SUFFIX
from clavilux.picture import Picture
from clavilux.picture_file import ALL_FORMATS, FORMATS, JPEG_IS_OPAQUE, read_record
from clavilux.record import check_version
from clavilux.system.files import Identity, identity, refuse_inputs, remove_leftovers

AGAIN = "again"  # entry of a record that is true for a picture of ``--again``


def is_folder_name(output: str) -> bool:
    """Return whether the value of ``-o`` names a folder: it ends in a slash, or there is such a folder."""
    return output.endswith("/") or os.path.isdir(output)


def is_picture_name(output: str | None) -> bool:
    """Return whether the value of ``-o`` is the file name of one picture; False for a folder, a template or None.

    A `UsageError` is raised if the value is a file name whose extension belongs to no picture format.
    """
    if output is None or is_template(output) or not Path(output).suffix or is_folder_name(output):
        return False
    if Path(output).suffix.lower() not in ALL_FORMATS:
        raise click.UsageError(
            f"-o {output}: a picture ends in {', '.join(ALL_FORMATS)}; add a / for a folder of that name."
        )
    return True


def refuse_opaque(option: str, suffix: str) -> None:
    """Raise a `UsageError` that names an option if the extension is that of JPEG, which has no transparency."""
    if FORMATS.get(suffix.lower()) == "JPEG":
        raise click.UsageError(f"{option}: {JPEG_IS_OPAQUE}.")


def name_pictures(
    songs: Sequence[FoundSong], output: str | None, n_each: int, suffix: str, notes: list[str]
) -> list[tuple[Path, ...]]:
    """Return unique file names for the pictures of each song, and create their folders.

    ``-o FILE`` is used as it is. In a folder, pictures have the names of their songs. A template is filled with the
    tags of each song. In a folder and with a template, the name becomes ``NAME_2``, ``NAME_3``, ... if another song of
    the run has the same name, or if a file with this name exists and is not a picture of this song.

    Parameters
    ----------
    songs : sequence of FoundSong
    output : str or None
        The value of ``-o``.
    n_each : int
        Number of pictures per song.
    suffix : str
        Extension of the pictures if ``output`` has none.
    notes : list of str
        Gets a message for each file that is kept, so that a picture has another name.

    Raises
    ------
    OutputError
        If ``-o FILE`` is one of the songs.
    PictureError
        If a folder cannot be created.
    UsageError
        If ``output`` is one picture and there are several songs, or if its extension belongs to no picture format.
    """
    paths = [song.path for song in songs]
    if output is not None and is_picture_name(output):
        if len(songs) > 1:
            raise click.UsageError(
                f"-o {output} is one picture, and there are {len(songs)} songs; give a folder, or a template such as "
                f'"{{name}}{Path(output).suffix}"; for a cover.jpg in each folder of songs, give --folder-image.'
            )
        make_folder(Path(output).parent)
        named = [numbered(Path(output), n_each) for _ in songs]
        for pictures in named:
            refuse_inputs(pictures, paths)
        return named
    if output is not None and is_template(output):
        wanted = fill_template(output, songs, suffix)
    else:
        wanted = [Path(output or ".") / f"{path.stem}{suffix}" for path in paths]
    for folder in dict.fromkeys(path.parent for path in wanted):
        make_folder(folder)
    inputs = {identity(path) for path in paths}
    taken: set[str] = set()
    named = []
    for path, target in zip(paths, wanted, strict=True):
        kept: list[Path] = []
        for candidate in _candidates(target):
            pictures = numbered(candidate, n_each)
            names = {str(picture).casefold() for picture in pictures}  # some file systems ignore case
            if names & taken:
                continue
            foreign = [p for p in pictures if not may_be_replaced(p, partial(_may_be_of, file=path), inputs)]
            if not foreign:
                break
            kept += [p for p in foreign[:1] if identity(p) not in inputs]
        notes += [tell_kept(file, pictures[0]) for file in kept]
        taken |= names
        named.append(pictures)
    return named


def _candidates(target: Path, song: str = "") -> Iterator[Path]:
    """Yield ``song.png``, ``song_2.png``, ``song_3.png``, ... without end.

    After ``song_2.png`` comes ``song_3.png``, unless that number belongs to the name of the ``song`` itself.
    """
    yield target
    stem, first = target.stem, 2
    match = re.fullmatch("(.+)_([0-9]{1,9})", stem)
    if match and stem != song and os.path.lexists(target.with_name(f"{match[1]}{target.suffix}")):
        stem, first = match[1], int(match[2]) + 1
    for attempt in count(first):
        yield target.with_name(f"{stem}_{attempt}{target.suffix}")


def find_own(
    pictures: Sequence[Path], song: dict[str, Any], clip: int | None, inputs: Container[Identity | None]
) -> tuple[Path, ...]:
    """Return for each name of a picture the numbered name that an earlier picture of the song has, if there is one.

    ``song`` is from `clavilux.record.record_song`; ``clip`` is the option of this name; ``inputs`` are never replaced.
    """
    new = {"song": song, "options": {"clip": clip}}
    found = []
    for picture in pictures:
        existing = takewhile(os.path.lexists, _candidates(picture, song["name"]))
        is_own = partial(is_of_same_source, new=new)
        found.append(next((p for p in existing if may_be_replaced(p, is_own, inputs)), picture))
    return tuple(found)


def tell_kept(target: Path, place: Path) -> str:
    """Return a message that the file ``target`` was kept, and why, so that the picture has the name ``place``."""
    reason = "is not a picture by Clavilux"
    with suppress(ClaviluxError):
        record = read_record(target)
        if "controls" in record:
            reason = "was painted from controls"
        elif is_of_this_painter(record):
            reason = "shows another sound, or another part of it; if the song has changed, remove the file first"
        else:
            reason = "was painted by another version of Clavilux"
    return f"{target}: was kept, and the picture is {place}, because the file {reason}"


def numbered(picture: Path, n_each: int) -> tuple[Path, ...]:
    """Return ``song.png`` for one picture, or ``song-1.png``, ``song-2.png``, ... for several."""
    if n_each == 1:
        return (picture,)
    return tuple(picture.with_name(f"{picture.stem}-{number}{picture.suffix}") for number in range(1, n_each + 1))


def may_be_replaced(
    picture: Path, has_our_source: Callable[[dict[str, Any]], bool], inputs: Container[Identity | None] = ()
) -> bool:
    """Return whether a picture may be written: its file does not exist, or holds an earlier picture of the same song.

    ``has_our_source`` gets the record of the existing picture (untrusted data that say how it was painted), and returns
    whether the record belongs to the same song. ``inputs`` are the input files of this run, which must not be replaced.
    """
    if not os.path.lexists(picture):
        return True
    if identity(picture) in inputs:
        return False
    try:
        return has_our_source(read_record(picture))
    except ClaviluxError:
        return False


def _may_be_of(record: dict[str, Any], file: Path) -> bool:
    """Return whether a record may belong to a song file or a file of controls, without decoding any sound.

    A record belongs to a song file if it has the hash of the file. It may also belong to the file if it has the name of
    the file and a hash of decoded sound, because new tags change only the hash of the file; `save_picture` then
    compares the sounds. Files of controls are compared by name.
    """
    song = record.get("song")
    if not is_of_this_painter(record):
        return False
    if file.suffix.lower() == CONTROLS_SUFFIX:
        return "controls" in record and record.get("name") == file.stem
    if not isinstance(song, dict) or _clip_of(record) is not None:
        return False
    return ("sound_sha256" in song and song.get("name") == file.stem) or song.get("sha256") == hash_file(file)


def is_of_same_source(record: dict[str, Any], new: dict[str, Any]) -> bool:
    """Return whether two records belong to the same song, or to files of controls with the same name.

    Songs are the same if the hashes of their files or of their sounds are equal, and their excerpts are the same. A
    picture by a version of Clavilux that paints differently counts as another one, because this version cannot paint it
    again.
    """
    before, after = record.get("song"), new.get("song", {})
    if not is_of_this_painter(record):
        return False
    if "controls" in new:
        return "controls" in record and record.get("name") == new["name"]
    return (
        isinstance(before, dict)
        and _clip_of(record) == _clip_of(new)
        and any(name in before and before[name] == after.get(name) for name in ("sha256", "sound_sha256"))
    )


def is_chosen(record: dict[str, Any], new: dict[str, Any]) -> bool:
    """Return whether a record belongs to a picture that the user chose, and ``new`` to another picture of this song.

    A picture was chosen if it was changed with ``--again``, or if it is a variation under another name than its own.
    """
    variation = record.get("variation")
    is_other = isinstance(variation, int) and variation not in (0, new.get("variation", 0))
    return (is_other or record.get(AGAIN) is True) and is_of_same_source(record, new)


def is_same_picture(record: dict[str, Any], other: dict[str, Any], *ignored: str) -> bool:
    """Return whether two records are equal but for the song, whose hash may differ, and the ``ignored`` entries."""
    left_out = {"song", AGAIN, *ignored}
    one, two = ({name: value for name, value in entries.items() if name not in left_out} for entries in (record, other))
    return one == two


def find_chosen(pictures: Sequence[Path], song: dict[str, Any], clip: int | None) -> dict[int, dict[str, Any]]:
    """Return the records of those pictures of a song, by their number, that the user chose; see `is_chosen`.

    ``song`` is from `clavilux.record.record_song`; ``clip`` is the option of this name.
    """
    found = {}
    for variation, picture in enumerate(pictures):
        with suppress(PictureError):  # missing, or another file
            record = read_record(picture)
            if is_chosen(record, {"song": song, "variation": variation, "options": {"clip": clip}}):
                found[variation] = record
    return found


def name_chosen(record: dict[str, Any]) -> str:
    """Return in words which picture of a song the user chose; files of --count are numbered from 1."""
    if not record.get("variation"):
        return "a picture of --again"
    return f"variation {record['variation']} (picture {record['variation'] + 1} of --count)"


def is_of_this_painter(record: dict[str, Any]) -> bool:
    """Return whether a version of Clavilux that paints as this one does wrote an untrusted record."""
    try:
        check_version(record)
    except PictureError:
        return False
    return True


def _clip_of(record: dict[str, Any]) -> Any:
    options = record.get("options")
    return options.get("clip") if isinstance(options, dict) else None


def _is_earlier(record: dict[str, Any], new: dict[str, Any]) -> bool:
    is_other_choice = record.get(AGAIN) is True and not is_same_picture(record, new)
    return is_of_same_source(record, new) and not is_other_choice


def save_picture(
    picture: Picture, target: Path, inputs: Container[Identity | None] = (), **saving: Any
) -> tuple[Path, bool]:
    """Save a picture, and return its path and whether it replaced a file.

    The path is ``target``, or ``target`` with a number if an unrelated file has that name.

    An earlier picture of the same song is overwritten, unless it is another picture of ``--again`` or one of the
    ``inputs``. ``saving`` are arguments of `Picture.save`, such as ``quality``. A `PictureError` is raised if the
    picture cannot be written.
    """
    for path in _candidates(target, picture.record.get("song", picture.record)["name"]):
        if not os.path.lexists(path):
            with suppress(FileExistsError):  # created meanwhile
                picture.save(path, exclusive=True, **saving)
                return path, False
        if may_be_replaced(path, partial(_is_earlier, new=picture.record), inputs):
            picture.save(path, **saving)
            return path, True
    raise AssertionError("unreachable")


def make_folder(folder: Path) -> None:
    """Create a folder for pictures and remove temporary files of killed runs from it, or raise a `PictureError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PictureError(f"{folder}: cannot be made a folder for pictures ({error.strerror})") from error
    remove_leftovers(folder)
