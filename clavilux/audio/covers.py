"""Write a picture as front cover into the tags of a song.

The sound is not changed, and the file is replaced as a whole.

This is the only module that imports mutagen (the extra ``tags``), which is under the GPL; see ``docs/decisions.md``.
"""

from __future__ import annotations

import base64
import os
import shutil
import stat
from pathlib import Path
from typing import Any

from clavilux.errors import AudioError
from clavilux.system.files import replacing

FORMATS = "MP3, FLAC, M4A, Ogg Vorbis and Opus"
MAX_BYTES = 16_000_000  # a block of a FLAC file has at most 16 MiB

_FRONT_COVER = 3  # ID3v2.4, 4.14
_OUR_MARK = b'{"clavilux"'  # the record in a picture of Clavilux
_TAG = "metadata_block_picture"  # of Ogg


def embed_cover(path: Path, jpeg: bytes, *, description: str, size: tuple[int, int]) -> None:
    """Write a JPEG as front cover into the tags of a song; an earlier cover of Clavilux is replaced.

    Parameters
    ----------
    path : Path
        A song in one of `FORMATS`. A link is followed.
    jpeg : bytes
        Content of a JPEG file.
    description : str
        Text for the description field of the cover.
    size : (int, int)
        Width and height in pixels.

    Raises
    ------
    AudioError
        If the JPEG is larger than `MAX_BYTES`, or the song has another format, is read-only, has tags that cannot be
        read or a front cover that is not by Clavilux, or cannot be written. The file is then unchanged.
    """
    from mutagen import MutagenError

    real = Path(os.path.realpath(path))
    if len(jpeg) > MAX_BYTES:
        raise AudioError(f"{path}: the cover has {len(jpeg) / 1e6:.0f} MB; tags have room for 16: give a lower --size")
    try:
        if not (os.stat(real).st_mode & stat.S_IWUSR and os.access(real, os.W_OK)):
            raise AudioError(f"{path}: is read-only, so no cover was embedded; make it writable")
        with replacing(real, durable=True) as temporary:
            shutil.copyfile(real, temporary)
            shutil.copystat(real, temporary)
            _write_cover(temporary, path, jpeg, description, size)
    except MutagenError as error:
        raise AudioError(f"{path}: its tags cannot be changed ({error}), so no cover was embedded") from error
    except OSError as error:
        raise AudioError(f"{path}: cannot be written ({error.strerror or error}), so no cover was embedded") from error


def _write_cover(file: Path, name: Path, jpeg: bytes, description: str, size: tuple[int, int]) -> None:
    """Write a cover into a file; ``name`` is that of the song in messages."""
    import mutagen
    from mutagen.flac import FLAC
    from mutagen.mp3 import MP3
    from mutagen.mp4 import MP4
    from mutagen.oggopus import OggOpus
    from mutagen.oggvorbis import OggVorbis

    song: Any = mutagen.File(file)
    if isinstance(song, MP3):
        _write_id3(song, name, jpeg, description)
    elif isinstance(song, FLAC):
        kept = [picture for picture in song.pictures if not _is_ours(name, picture.type, picture.data)]
        song.clear_pictures()
        for picture in [*kept, _flac_picture(jpeg, description, size)]:
            song.add_picture(picture)
        song.save()
    elif isinstance(song, MP4):
        _write_mp4(song, name, jpeg)
    elif isinstance(song, OggVorbis | OggOpus):
        _write_ogg(song, name, _flac_picture(jpeg, description, size))
    else:
        kind = type(song).__name__ if song is not None else name.suffix or "this file"
        raise AudioError(f"{name}: covers are embedded into {FORMATS}, not into {kind}")


def _is_ours(name: Path, kind: int, data: bytes) -> bool:
    """Return whether a picture is a cover by Clavilux; raise `AudioError` if it is another front cover."""
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


def _write_id3(song: Any, name: Path, jpeg: bytes, description: str) -> None:
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
    for text in song.get(_TAG, []):
        try:
            picture = Picture(base64.b64decode(text))
        except (ValueError, TypeError, error):  # damaged; players ignore it too
            kept.append(text)
            continue
        if not _is_ours(name, picture.type, picture.data):
            kept.append(text)
    song[_TAG] = [*kept, base64.b64encode(cover.write()).decode("ascii")]
    song.save()
