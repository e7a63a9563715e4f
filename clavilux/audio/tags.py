"""Read the tags of a song, such as title and artist, for the names of pictures.

Tags are untrusted text.
"""

from __future__ import annotations

import re
from pathlib import Path

from clavilux.audio.open_audio import av_errors, check_file, open_container, open_file
from clavilux.errors import AudioError

TAGS = {
    "title": ("title",),
    "artist": ("artist", "album_artist", "albumartist", "performer"),
    "album": ("album",),
    "album_artist": ("album_artist", "albumartist", "artist"),
    "track": ("track", "tracknumber"),
    "disc": ("disc", "discnumber"),
    "year": ("year", "date", "originaldate"),
    "genre": ("genre",),
}
"""Tag -> names that containers use for it; the first one that is present is used."""

_LONGEST = 1_000  # characters of a tag that are used; tags may have megabytes


def read_tags(path: Path) -> dict[str, str]:
    """Return the tags of a song: key of `TAGS` -> text.

    Missing tags are left out; the result is empty if the file cannot be read. Track and disc are numbers with at least
    two digits, such as "03"; the year has four digits.

    Examples
    --------
    >>> read_tags(Path("nothing.mp3"))
    {}
    """
    try:
        check_file(path)
        with open_file(path) as file, open_container(file, path) as container:
            found = dict(container.metadata)
            for stream in container.streams.audio:
                found |= stream.metadata
    except AudioError:
        return {}  # painting the song reports the fault
    except av_errors():
        return {}
    given = {name.lower(): " ".join(str(value)[:_LONGEST].split()) for name, value in found.items()}
    tags = {}
    for tag, names in TAGS.items():
        value = next((given[name] for name in names if given.get(name)), "")
        if tag in ("track", "disc", "year"):
            value = _number(value, 4 if tag == "year" else 2)
        if value:
            tags[tag] = value
    return tags


def _number(text: str, n_digits: int) -> str:
    """Return the first number in a text such as ``3/12``, padded with zeros to ``n_digits``; "" if there is none."""
    match = re.search(r"\d{1,4}", text)
    return match[0].zfill(n_digits) if match else ""
