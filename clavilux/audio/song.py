"""A sound file becomes a song: file -> audio -> features -> descriptors -> **Song** -> engine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.decode import read_blocks
from clavilux.audio.descriptors import describe
from clavilux.audio.features import Features, halve, measure_features
from clavilux.audio.mix import AUDIBLE_DB
from clavilux.constants import MAX_AUDIO_S, MFCC_ROWS, WINDOW_FRAMES
from clavilux.errors import AudioError
from clavilux.system.arguments import float_array, real_number, show
from clavilux.system.memory import reuse_memory
from clavilux.system.threads import read_ahead


@dataclass(frozen=True, eq=False)
class Song:
    """What was heard in a file; n windows of 5 s.

    Attributes
    ----------
    path : Path
        The file.
    name : str
        Its name without suffix.
    sha256 : str
        Hash of the file's bytes, 64 hexadecimal digits.
    duration_s : float
        Seconds of sound that were listened to.
    windows : (n, 20, 216) float32
        MFCC of the windows, n >= 1; see `clavilux.audio.features.Features`.
    window_db : (n,) float32
        RMS level of the windows in dB of full scale, -120 at the lowest.
    audible : (n,) bool
        Windows of -60 dB and more.
    is_silent : bool
        Whether no window is audible.
    descriptors : dict of str to float
        Named numbers of the whole song; see `clavilux.audio.descriptors.DESCRIPTORS`.
    warnings : tuple of str
        What went wrong without stopping the listening, each a clause without the file's name.
    """

    path: Path
    name: str
    sha256: str
    duration_s: float
    windows: NDArray[np.float32]
    window_db: NDArray[np.float32]
    audible: NDArray[np.bool_]
    is_silent: bool
    descriptors: dict[str, float]
    warnings: tuple[str, ...]


def read_song(path: Path | str, *, max_s: float = MAX_AUDIO_S, threads: int = 1) -> Song:
    """Listen to a file of sound, or to the sound of a film.

    Parameters
    ----------
    path : Path or str
        Any format that FFmpeg reads.
    max_s : float
        Seconds of sound that are listened to at most.
    threads : int
        With more than one, the file is decoded in a thread of its own while what was decoded is measured.

    Returns
    -------
    Song
        See there. The same bytes give the same numbers.

    Raises
    ------
    AudioError
        If there is nothing to hear in the file: missing, no regular file, empty, or without sound that can be decoded.

    Examples
    --------
    >>> listen("nocturne.flac").descriptors["tempo"]  # doctest: +SKIP
    71.8
    """
    return _listen(path, max_s, threads)[0]


def read_song_halves(path: Path | str) -> tuple[Song, tuple[dict[str, float], dict[str, float]]]:
    """A song as `read_song` hears it, and the descriptors of its first and second half."""
    song, features = _listen(path, MAX_AUDIO_S, 1)
    first, second = (describe(half) for half in halve(features))
    return song, (first, second)


def _listen(path: Path | str, max_s: float, threads: int) -> tuple[Song, Features]:
    path = Path(path)
    reuse_memory()
    stream = read_blocks(path, max_s=max_s)
    while True:
        features = measure_features(stream if threads == 1 else read_ahead(stream))
        audible = features.window_db >= AUDIBLE_DB
        if not stream.mend(is_silent=not audible.any()):  # an ordinary song is read once
            break
    warnings = list(stream.warnings)
    if not audible.any():
        warnings.append(f"it is silent: nothing reaches {AUDIBLE_DB:g} dB of full scale")
    song = Song(
        path=path,
        name=path.stem,
        sha256=hash_file(path),
        duration_s=features.duration_s,
        windows=features.mfcc,
        window_db=features.window_db,
        audible=audible,
        is_silent=not audible.any(),
        descriptors=describe(features),
        warnings=tuple(warnings),
    )
    return song, features


_LONGEST_NAME = 1_024  # the record of a JPEG has room for 64 kB, and a character may take 12 bytes


def check_song(song: Song) -> None:
    """Raise `AudioError` if a Song, which anyone can make, holds something that no picture can be painted from."""
    windows = float_array("windows of the song", song.windows, (None, MFCC_ROWS, WINDOW_FRAMES), fault=AudioError)
    audible = np.asarray(song.audible)
    if audible.shape != windows.shape[:1] or audible.dtype != np.bool_:
        raise AudioError(f"audible of the song is {show(song.audible)}; it is one truth value for each of its windows")
    if not isinstance(song.descriptors, dict):
        raise AudioError(f"descriptors of the song are {show(song.descriptors)}; they are numbers by name")
    for name, value in song.descriptors.items():
        real_number(f"{name} of the song", value, -np.inf, fault=AudioError)
    for name, text in (("name", song.name), ("sha256", song.sha256)):
        if not isinstance(text, str) or len(text) > _LONGEST_NAME or (name == "sha256" and not text.isascii()):
            raise AudioError(f"{name} of the song is {show(text)}; it is text of at most {_LONGEST_NAME} characters")


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits, read in pieces.

    Raises
    ------
    AudioError
        The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror}); give a file that may be read") from error
