"""Read a sound file as a `Song`: decode -> features -> descriptors -> **song** -> engine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clavilux.audio import Float32
from clavilux.audio.decode import AudioStream, read_blocks
from clavilux.audio.descriptors import describe
from clavilux.audio.features import Features, halve, measure_features
from clavilux.audio.mfcc import LIBROSA, FeatureSettings
from clavilux.audio.mix import AUDIBLE_DB
from clavilux.constants import MAX_AUDIO_S, MFCC_ROWS, WINDOW_FRAMES
from clavilux.errors import AudioError
from clavilux.system.arguments import float_array, real_number, show
from clavilux.system.memory import reuse_memory
from clavilux.system.threads import read_ahead

_MAX_NAME_LENGTH = 1_024  # characters of up to 12 bytes; the record in a JPEG has at most 64 kB


@dataclass(frozen=True, eq=False, repr=False)
class Song:
    """Features and descriptors of a song, whose sound is divided into n windows of 5 s.

    Attributes
    ----------
    path : Path
        Path of the file; for sound from memory, a placeholder such as "array".
    name : str
        Name of the file without extension.
    sha256 : str
        SHA-256 of the bytes of the file or of the array, in 64 hexadecimal digits. It changes if the tags of the file
        change.
    duration_s : float
        Duration of the sound that was read, in seconds.
    windows : (n, 20, 216) float32
        MFCC of the windows, n >= 1, as `clavilux.audio.features.Features` defines them.
    window_db : (n,) float32
        RMS level of each window in dBFS, at least -120; NaN for a feature file, which has no levels.
    audible : (n,) bool
        Whether the level of each window is at least -60 dBFS; all True for a feature file.
    is_silent : bool
        Whether no window is audible.
    descriptors : dict of str to float
        Values of the descriptors of the whole song; `clavilux.audio.descriptors.DESCRIPTORS` defines their names. Empty
        for a feature file without a row in a `descriptors.csv`.
    warnings : tuple of str
        Problems that did not stop the reading, each without the name of the file.
    settings : FeatureSettings
        Settings of the MFCC. A bundle (a folder of trained networks) paints only songs that have its settings.

    Examples
    --------
    >>> song = Clavilux().read_song("nocturne.flac")
    >>> song.windows.shape, round(song.duration_s), song.is_silent
    ((7, 20, 216), 31, False)
    >>> song.descriptors["tempo"] > 40
    True
    """

    path: Path
    name: str
    sha256: str
    duration_s: float
    windows: Float32
    window_db: Float32
    audible: NDArray[np.bool_]
    is_silent: bool
    descriptors: dict[str, float]
    warnings: tuple[str, ...]
    settings: FeatureSettings = LIBROSA

    def __repr__(self) -> str:
        minutes, seconds = divmod(round(self.duration_s), 60)
        return f"<Song {self.name[:40]!r}, {minutes}:{seconds:02d}{', silent' if self.is_silent else ''}>"

    @property
    def audible_windows(self) -> Float32:
        """MFCC of the windows that the picture is made from: the audible windows, or all windows if none is audible."""
        return self.windows[self.audible] if np.any(self.audible) else self.windows

    @cached_property
    def sound_sha256(self) -> str:
        """SHA-256 of `audible_windows`; it is the same for all files, arrays and feature files of the same sound."""
        windows = np.ascontiguousarray(self.audible_windows, "<f4")
        return hashlib.sha256(windows.tobytes()).hexdigest()


def read_song(
    path: Path | str, *, max_s: float = MAX_AUDIO_S, threads: int = 1, settings: FeatureSettings = LIBROSA
) -> Song:
    """Return the song in a sound file, or in a video with sound.

    The same bytes give the same values.

    Parameters
    ----------
    path : Path or str
        A file in any format that FFmpeg reads.
    max_s : float
        Use only the first ``max_s`` seconds.
    threads : int
        With 2 or more, one thread decodes the file while another one computes the features.
    settings : FeatureSettings
        Settings of the MFCC; use those of the bundle that will paint the song.

    Raises
    ------
    AudioError
        If the file is missing, empty, not a regular file, or has no sound that can be decoded.

    Examples
    --------
    >>> read_song("nocturne.flac").descriptors["tempo"]  # doctest: +SKIP
    71.8
    """
    return measure_song(read_blocks(path, max_s=max_s), Path(path), threads=threads, settings=settings)[0]


def read_song_halves(
    path: Path | str, settings: FeatureSettings = LIBROSA
) -> tuple[Song, tuple[dict[str, float], dict[str, float]]]:
    """Return the song in a sound file, and the descriptors of the first and of the second half of the song.

    The parameters and errors are those of `read_song`.
    """
    song, features = measure_song(read_blocks(path), Path(path), settings=settings)
    first, second = (describe(half) for half in halve(features))
    return song, (first, second)


def measure_song(
    stream: AudioStream,
    path: Path,
    *,
    sha256: str | None = None,
    threads: int = 1,
    settings: FeatureSettings = LIBROSA,
) -> tuple[Song, Features]:
    """Return the song in a stream of sound, and its features; the stream is read again if its mix needs a correction.

    ``path`` is the path of the file, or a placeholder. ``sha256`` is the hash of the song; by default, the hash of the
    file. The other parameters are those of `read_song`.
    """
    reuse_memory()
    while True:
        features = measure_features(stream if threads == 1 else read_ahead(stream), settings)
        audible = features.window_db >= AUDIBLE_DB
        is_silent = not audible.any()
        if not stream.correct(is_silent=is_silent):  # most songs are read once
            break
    warnings = list(stream.warnings)
    if is_silent:
        warnings.append(f"it is silent: no window reaches {AUDIBLE_DB:g} dB of full scale")
    song = Song(
        path=path,
        name=path.stem,
        sha256=sha256 or hash_file(path),
        duration_s=features.duration_s,
        windows=features.mfcc,
        window_db=features.window_db,
        audible=audible,
        is_silent=is_silent,
        descriptors=describe(features),
        warnings=tuple(warnings),
        settings=settings,
    )
    return song, features


def check_song(song: Song) -> None:
    """Check a `Song` from a caller; raise `AudioError` if a field has a wrong type, shape or value."""
    windows = float_array("windows of the song", song.windows, (None, MFCC_ROWS, WINDOW_FRAMES), fault=AudioError)
    audible = np.asarray(song.audible)
    if audible.shape != windows.shape[:1] or audible.dtype != np.bool_:
        raise AudioError(f"audible of the song is {show(song.audible)}; it must have one truth value for each window")
    if not isinstance(song.descriptors, dict):
        raise AudioError(
            f"descriptors of the song are {show(song.descriptors)}; they must be a dict of names and numbers"
        )
    for name, value in song.descriptors.items():
        real_number(f"{name} of the song", value, -np.inf, fault=AudioError)
    if not isinstance(song.settings, FeatureSettings):
        raise AudioError(f"settings of the song are {show(song.settings)}; they must be FeatureSettings")
    for name, text in (("name", song.name), ("sha256", song.sha256)):
        if not isinstance(text, str) or len(text) > _MAX_NAME_LENGTH or (name == "sha256" and not text.isascii()):
            raise AudioError(
                f"{name} of the song is {show(text)}; it must be text of at most {_MAX_NAME_LENGTH} characters"
            )


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits.

    Raises
    ------
    AudioError
        If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AudioError(
            f"{path}: cannot be read ({error.strerror}); check that you have permission to read it"
        ) from error
