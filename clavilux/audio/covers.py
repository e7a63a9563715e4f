"""Write a picture as the front cover into the tags of a song.

The sound is not changed. The file is replaced atomically.

Only this module imports mutagen (the extra ``tags``), which is under the GPL; see ``docs/decisions.md``.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from clavilux.errors import AudioError
from clavilux.system.extras import require
from clavilux.system.files import replacing

FORMATS = "MP3, FLAC, M4A, Ogg Vorbis and Opus"
MAX_BYTES = 16_000_000  # largest size of a cover; a block of a FLAC file has at most 16 MiB

_FRONT_COVER = 3  # picture type of a front cover in ID3v2.4, section 4.14
_OUR_MARK = b'{"clavilux"'  # start of the record (JSON) that every picture of Clavilux contains
_OGG_TAG = "metadata_block_picture"
_OLD_OGG_TAG = "coverart"


def embed_cover(path: Path, jpeg: bytes, *, description: str, size: tuple[int, int]) -> None:
    """Write a JPEG as the front cover into the tags of a song.

    An earlier cover by Clavilux is replaced.

    Parameters
    ----------
    path : Path
        A song in one of `FORMATS`. For a symbolic link, the file that it points to is changed.
    jpeg : bytes
        Content of a JPEG file.
    description : str
        Text for the description field of the cover.
    size : (int, int)
        Width and height in pixels.

    Raises
    ------
    AudioError
        If the JPEG is larger than `MAX_BYTES`; or if the song is in none of the `FORMATS`, is read-only, cannot be
        written, has unreadable tags, or has a front cover that is not by Clavilux. The file is then unchanged.
    MissingExtraError
        If Mutagen, which is in the extra ``tags``, is not installed.
    """
    require("mutagen", "tags")
    real = Path(os.path.realpath(path))
    if len(jpeg) > MAX_BYTES:
        raise AudioError(f"{path}: the cover has {len(jpeg) / 1e6:.0f} MB; tags have room for 16: give a lower --size")
    with _as_audio_error(path):
        if not (os.stat(real).st_mode & stat.S_IWUSR and os.access(real, os.W_OK)):
            raise AudioError(f"{path}: is read-only, so no cover was embedded; make it writable")
        with replacing(real, durable=True) as temporary:
            shutil.copyfile(real, temporary)
            shutil.copystat(real, temporary)
            _write_cover(temporary, path, jpeg, description, size)


def read_cover_record(path: Path) -> dict[str, Any] | None:
    """Return the record in the front cover that Clavilux wrote into the tags of a song, or None without such a cover.

    An `AudioError` is raised if the song is in none of the `FORMATS`, has unreadable tags, or has a front cover that is
    not by Clavilux.
    """
    with _as_audio_error(path):
        for kind, data in _read_covers(_open_song(path, path)):
            if _is_ours(path, kind, data):
                text = data[data.index(_OUR_MARK) :].decode("latin-1")
                with suppress(ValueError, RecursionError):  # damaged
                    record: dict[str, Any] = json.JSONDecoder().raw_decode(text)[0]
                    return record
    return None


@contextmanager
def _as_audio_error(path: Path) -> Iterator[None]:
    """Convert errors of mutagen and of the system to an `AudioError` about a song."""
    from mutagen import MutagenError

    try:
        yield
    except MutagenError as error:
        raise AudioError(f"{path}: its tags cannot be changed ({error}), so no cover was embedded") from error
    except OSError as error:
        raise AudioError(f"{path}: cannot be written ({error.strerror or error}), so no cover was embedded") from error


def _open_song(file: Path, name: Path) -> Any:
    """Return the tags of a song as mutagen reads them; raise `AudioError` if it is in none of the `FORMATS`."""
    import mutagen
    from mutagen.flac import FLAC
    from mutagen.mp3 import MP3
    from mutagen.mp4 import MP4
    from mutagen.oggopus import OggOpus
    from mutagen.oggvorbis import OggVorbis

    song: Any = mutagen.File(file)
    if not isinstance(song, MP3 | FLAC | MP4 | OggVorbis | OggOpus):
        kind = type(song).__name__ if song is not None else name.suffix or "this file"
        raise AudioError(f"{name}: covers are embedded into {FORMATS}, not into {kind}")
    return song


def _write_cover(file: Path, name: Path, jpeg: bytes, description: str, size: tuple[int, int]) -> None:
    """Write a cover into the tags of ``file``; error messages call the file ``name``."""
    from mutagen.flac import FLAC
    from mutagen.mp3 import MP3
    from mutagen.mp4 import MP4

    song = _open_song(file, name)
    if isinstance(song, MP3):
        _write_id3(song, name, jpeg)
    elif isinstance(song, FLAC):
        kept = [picture for picture in song.pictures if not _is_ours(name, picture.type, picture.data)]
        song.clear_pictures()
        for picture in [*kept, _flac_picture(jpeg, description, size)]:
            song.add_picture(picture)
        song.save()
    elif isinstance(song, MP4):
        _write_mp4(song, name, jpeg)
    else:
        _write_ogg(song, name, _flac_picture(jpeg, description, size))


def _is_ours(name: Path, kind: int, data: bytes) -> bool:
    """Return True for a front cover by Clavilux, and False for a picture that is not a front cover.

    ``kind`` is the ID3 picture type, and ``data`` the content of the picture. `AudioError` is raised for a front cover
    that is not by Clavilux; its message calls the song ``name``.
    """
    if kind != _FRONT_COVER:
        return False
    if _OUR_MARK not in data:
        raise AudioError(f"{name}: has a cover already, which was kept; remove it from the tags to embed another")
    return True


def _flac_picture(jpeg: bytes, description: str, size: tuple[int, int]) -> Any:
    from mutagen.flac import Picture

    picture = Picture()
    picture.data, picture.type, picture.mime, picture.desc = jpeg, _FRONT_COVER, "image/jpeg", description
    picture.width, picture.height, picture.depth = *size, 24
    return picture


def _read_covers(song: Any) -> list[tuple[int, bytes]]:
    """Return the ID3 picture type and the content of each picture in the tags of a song in one of the `FORMATS`."""
    from mutagen.flac import FLAC, Picture, error
    from mutagen.mp3 import MP3
    from mutagen.mp4 import MP4

    if isinstance(song, FLAC):
        return [(picture.type, picture.data) for picture in song.pictures]
    if song.tags is None:
        return []
    if isinstance(song, MP3):
        return [(frame.type, frame.data) for frame in song.tags.getall("APIC")]
    if isinstance(song, MP4):
        return [(_FRONT_COVER, bytes(cover)) for cover in song.tags.get("covr", [])]
    # Before 2008, covers were in a field of their own, which has no type.
    covers = [(_FRONT_COVER, text.encode()) for text in song.get(_OLD_OGG_TAG, [])]
    for text in song.get(_OGG_TAG, []):
        with suppress(ValueError, TypeError, error):  # damaged
            picture = Picture(base64.b64decode(text))
            covers.append((picture.type, picture.data))
    return covers


def _write_id3(song: Any, name: Path, jpeg: bytes) -> None:
    from mutagen.id3 import APIC, Encoding

    if song.tags is None:
        song.add_tags()
    kept = [frame for frame in song.tags.getall("APIC") if not _is_ours(name, frame.type, frame.data)]
    cover = APIC(encoding=Encoding.LATIN1, mime="image/jpeg", type=_FRONT_COVER, desc="Cover", data=jpeg)
    song.tags.setall("APIC", [*kept, cover])
    # Version 2.3 is read by every player; a tag of version 2.4 keeps its version.
    song.save(v2_version=4 if song.tags.version >= (2, 4, 0) and song.tags.size else 3)


def _write_mp4(song: Any, name: Path, jpeg: bytes) -> None:
    from mutagen.mp4 import MP4Cover

    if song.tags is None:
        song.add_tags()
    for cover in song.tags.get("covr", []):
        _is_ours(name, _FRONT_COVER, bytes(cover))  # all covers of this format are front covers
    song.tags["covr"] = [MP4Cover(jpeg, imageformat=MP4Cover.FORMAT_JPEG)]
    song.save()


def _write_ogg(song: Any, name: Path, cover: Any) -> None:
    from mutagen.flac import Picture, error

    kept = []
    for text in song.get(_OGG_TAG, []):
        try:
            picture = Picture(base64.b64decode(text))
            is_ours = _is_ours(name, picture.type, picture.data)
        except (ValueError, TypeError, error):  # damaged; players ignore it too
            is_ours = False
        if not is_ours:
            kept.append(text)
    song[_OGG_TAG] = [*kept, base64.b64encode(cover.write()).decode("ascii")]
    song.save()
