"""Read a song from a path, an open file or an array -> **sources** -> `Song`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any

from numpy.typing import NDArray

from clavilux.audio.clips import CLIP_SUFFIX, song_of_clips
from clavilux.audio.mfcc import LIBROSA, FeatureSettings
from clavilux.audio.song import Song, read_song, read_song_content, read_song_samples
from clavilux.errors import AudioError
from clavilux.system.arguments import FileName, Number, file_path, show

Source = FileName | IO[bytes] | NDArray[Any]
"""A sound or feature file by its path, a sound file that is open in binary mode, or sound as an array."""


def read_source(
    source: Source,
    *,
    sr: Number | None = None,
    max_s: float,
    clip: int | None = None,
    threads: int = 1,
    settings: FeatureSettings = LIBROSA,
) -> Song:
    """Return the song in a file, in an open file or in an array.

    Parameters
    ----------
    source : path-like, file or array
        A sound file or a feature file (``.npy``), a sound file that is open in binary mode (such as `io.BytesIO`), or
        samples of shape (n,) or (channels, n).
    sr : int, optional
        Sample rate of an array in Hz.
    max_s, threads, settings
        As in `clavilux.audio.song.read_song`.
    clip : int, optional
        Use only this window of a feature file.

    Raises
    ------
    AudioError
        If the source cannot be read as sound, `sr` is missing for an array or given for a file, or `clip` is given for
        anything but a feature file.
    """
    is_path = isinstance(source, str | bytes | os.PathLike)
    is_array = not is_path and hasattr(source, "__array__")
    if not is_array and sr is not None:
        raise AudioError(f"sr is {show(sr)}; only an array needs it, a file gives its own sample rate")
    path = file_path("song", source, fault=AudioError) if is_path else None
    is_clips = path is not None and path.suffix.lower() == CLIP_SUFFIX
    if clip is not None and not is_clips:
        raise AudioError(f"{path or show(source)}: is not a feature file ({CLIP_SUFFIX}); only those have single clips")
    if path is not None:
        return (
            song_of_clips(path, clip) if is_clips else read_song(path, max_s=max_s, threads=threads, settings=settings)
        )
    if is_array:
        return read_song_samples(source, sr, max_s=max_s, threads=threads, settings=settings)
    if hasattr(source, "read"):
        content, name = _read_whole(source)
        return read_song_content(content, name, max_s=max_s, threads=threads, settings=settings)
    raise AudioError(
        f"song is {show(source)}; it must be a path, a file that is open in binary mode, an array with sr=, or a list "
        "of these"
    )


def _read_whole(file: Any) -> tuple[bytes, Path]:
    """Return the content of an open file from its start, and its name; the position in the file is unchanged."""
    name = getattr(file, "name", None)
    path = Path(name if isinstance(name, str) and name else "sound")
    try:
        if hasattr(file, "getbuffer"):
            return bytes(file.getbuffer()), path
        position = file.tell() if file.seekable() else None
        if position is not None:
            file.seek(0)
        content = file.read()
        if position is not None:
            file.seek(position)
    except (OSError, ValueError, AttributeError) as error:
        raise AudioError(f"{path}: cannot be read ({error}); give a file that is open for reading") from error
    if not isinstance(content, bytes | bytearray):
        raise AudioError(f'{path}: is open as text; open it in binary mode, open(path, "rb")')
    return bytes(content), path
