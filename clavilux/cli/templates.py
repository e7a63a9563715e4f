"""Names of pictures from a template such as ``{artist} - {title}.jpg``, filled with the tags of each song."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from clavilux.audio.tags import TAGS, read_tags
from clavilux.cli.output import complain
from clavilux.picture_file import ALL_FORMATS
from clavilux.system.files import first_names

FIELDS = ("name", "number", "folder", *TAGS)
"""Fields of a template: the name of the song file, its number in the run, its folder, and its tags."""

_UNKNOWN = "unknown"  # stands for a tag that a song lacks; a missing title is replaced by the name of the file
_MAX_PART_BYTES = 90  # largest part for one field, so that a long one leaves room for others
_MAX_BYTES = 200  # largest name in UTF-8 without extension; file systems allow 255, and numbers may be added
_FIELD = re.compile(r"\{([^{}]*)\}")
# Characters that are forbidden in names on Windows; the slash is forbidden everywhere.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f]')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # names of devices on Windows


class FoundSong(NamedTuple):
    """A song file, and its folder relative to the folder that the user gave; see `clavilux.cli.find.find_songs`."""

    path: Path
    folder: str = ""


def is_template(output: str | None) -> bool:
    """Return whether the value of ``-o`` has fields in braces."""
    return output is not None and "{" in output


def check_template(output: str) -> None:
    """Raise a `UsageError` if a template has an unknown field, an unclosed brace or an unknown extension."""
    for field in _FIELD.findall(output):
        if field not in FIELDS:
            raise click.UsageError(f"-o {output}: there is no {{{field}}}; fields are {', '.join(FIELDS)}.")
    if "{" in _FIELD.sub("", output) or "}" in _FIELD.sub("", output):
        raise click.UsageError(f"-o {output}: a brace is not closed; write fields as {{title}}.")
    suffix = Path(_FIELD.sub("x", output)).suffix.lower()
    if suffix and suffix not in ALL_FORMATS and not output.endswith("/"):
        raise click.UsageError(f"-o {output}: a picture ends in {', '.join(ALL_FORMATS)}; add a / for a folder.")


def fill_template(output: str, songs: Sequence[FoundSong], suffix: str) -> list[Path]:
    """Return the path of the picture of each song, in the order of the songs; paths of two songs may be equal.

    A template that ends with a slash is a folder, in which pictures have the names of their songs. ``suffix``, such as
    ".png", is added to a template without an extension of a picture format. For each tag of the template that songs
    lack, a line on stderr names these songs.
    """
    template = f"{output}{{name}}" if output.endswith("/") else output
    if Path(_FIELD.sub("x", template)).suffix.lower() not in ALL_FORMATS:
        template += suffix
    used = [tag for tag in TAGS if f"{{{tag}}}" in template]
    tags = [_read_usable_tags(song.path) if used else {} for song in songs]
    for tag in used:
        lacking = [str(song.path) for song, own in zip(songs, tags, strict=True) if tag not in own]
        if lacking:
            instead = "the name of the file" if tag == "title" else f'"{_UNKNOWN}"'
            complain(f"{first_names(lacking)}: no {tag} in the tags; the name of the picture has {instead} instead")
    n_digits = len(str(len(songs)))
    return [
        _fill(template, song, f"{number:0{n_digits}d}", own)
        for number, (song, own) in enumerate(zip(songs, tags, strict=True), 1)
    ]


def _read_usable_tags(song: Path) -> dict[str, str]:
    """Return the tags of a song that leave something for a file name."""
    return {tag: value for tag, value in read_tags(song).items() if _clean(value)}


def _fill(template: str, song: FoundSong, number: str, tags: Mapping[str, str]) -> Path:
    own = {"name": song.path.stem, "number": number}
    values = {**dict.fromkeys(TAGS, _UNKNOWN), "title": song.path.stem, **tags, **own}
    parts = {name: clean_name(value) for name, value in values.items()}
    # A folder keeps its slashes. Its names need no cleaning, because they exist on this disk.
    path = _FIELD.sub(lambda match: song.folder if match[1] == "folder" else parts[match[1]], template)
    if path.startswith("/") and not template.startswith("/"):
        path = path.lstrip("/")  # an empty folder
    filled = Path(path)
    return filled.with_name(f"{_shorten(filled.name.removesuffix(filled.suffix), _MAX_BYTES)}{filled.suffix}")


def clean_name(text: str) -> str:
    """Return a text, changed where necessary so that every system accepts it as a part of a file name.

    Examples
    --------
    >>> clean_name("AC/DC: ..."), clean_name("../etc"), clean_name("nul")
    ('AC-DC-', '-etc', 'nul_')
    """
    return _clean(text) or _UNKNOWN


def _clean(text: str) -> str:
    name = _FORBIDDEN.sub("-", text).strip().strip(".").strip()
    return _shorten(f"{name}_" if _RESERVED.fullmatch(name) else name, _MAX_PART_BYTES)


def _shorten(name: str, n_bytes: int) -> str:
    """Return a name of at most ``n_bytes`` bytes, cut between characters."""
    encoded = name.encode("utf-8", "surrogateescape")
    if len(encoded) <= n_bytes:
        return name
    return encoded[:n_bytes].decode("utf-8", "ignore").rstrip()
