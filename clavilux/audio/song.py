"""Read sound as a `Song`: decode -> features -> descriptors -> **song** -> engine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.decode import AudioStream, read_blocks
from clavilux.audio.descriptors import describe
from clavilux.audio.features import Features, halve, measure_features
from clavilux.audio.mfcc import LIBROSA, FeatureSettings
from clavilux.audio.mix import AUDIBLE_DB
from clavilux.audio.samples import NAME, SampleStream, check_samples
from clavilux.constants import MAX_AUDIO_S, MFCC_ROWS, WINDOW_FRAMES
from clavilux.errors import AudioError
from clavilux.system.arguments import Number, float_array, real_number, show
from clavilux.system.memory import reuse_memory
from clavilux.system.threads import read_ahead


@dataclass(frozen=True, eq=False)
class Song:
    """Features and descriptors of sound, with n windows of 5 s.

    Attributes
    ----------
    path : Path
        The file; a name without meaning for sound from memory.
    name : str
        Name of the file without extension.
    sha256 : str
        SHA-256 of the bytes of the file or of the array, 64 hexadecimal digits. It changes with the tags of a file.
    duration_s : float
        Duration of the sound that was read, in seconds.
    windows : (n, 20, 216) float32
        MFCC of the windows, n >= 1; defined in `clavilux.audio.features.Features`.
    window_db : (n,) float32
        RMS level of the windows in dBFS, at least -120; NaN for a feature file, which has no levels.
    audible : (n,) bool
        Whether the level of a window is at least -60 dBFS; True for a feature file.
    is_silent : bool
        Whether no window is audible.
    descriptors : dict of str to float
        Descriptors of the whole song, defined in `clavilux.audio.descriptors.DESCRIPTORS`; empty for a feature file
        whose `descriptors.csv` is missing.
    warnings : tuple of str
        Problems that did not stop the reading, each a clause without the name of the file.
    settings : FeatureSettings
        Settings of the MFCC. A bundle paints only songs with its own.

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
    windows: NDArray[np.float32]
    window_db: NDArray[np.float32]
    audible: NDArray[np.bool_]
    is_silent: bool
    descriptors: dict[str, float]
    warnings: tuple[str, ...]
    settings: FeatureSettings = LIBROSA

    @property
    def audible_windows(self) -> NDArray[np.float32]:
        """The windows that the picture depends on: the audible ones, or all if none is audible."""
        return self.windows[self.audible] if np.any(self.audible) else self.windows

    @cached_property
    def sound_sha256(self) -> str:
        """SHA-256 of `audible_windows`: the same for all files, arrays and feature files of the same sound."""
        windows = np.ascontiguousarray(self.audible_windows, "<f4")
        return hashlib.sha256(windows.tobytes()).hexdigest()


def read_song(
    path: Path | str, *, max_s: float = MAX_AUDIO_S, threads: int = 1, settings: FeatureSettings = LIBROSA
) -> Song:
    """Return the song in a sound file, or in a video with sound; the same bytes give the same values.

    Parameters
    ----------
    path : Path or str
        Any format that FFmpeg reads.
    max_s : float
        Use only the first ``max_s`` seconds.
    threads : int
        With 2 or more, one thread decodes the file while another one computes the features.
    settings : FeatureSettings
        Settings of the MFCC; use those of the bundle that will paint the song.

    Returns
    -------
    Song

    Raises
    ------
    AudioError
        If the file is missing, empty, not a regular file, or has no sound that can be decoded.

    Examples
    --------
    >>> read_song("nocturne.flac").descriptors["tempo"]  # doctest: +SKIP
    71.8
    """
    return _read(path, max_s, threads, settings)[0]


def read_song_content(
    content: bytes, path: Path, *, max_s: float = MAX_AUDIO_S, threads: int = 1, settings: FeatureSettings = LIBROSA
) -> Song:
    """Return the song in the bytes of a sound file; the other parameters and errors are those of `read_song`.

    ``path`` is used for the name of the song and for messages; no file is read.
    """
    if not content:
        raise AudioError(f"{path}: is empty (0 bytes); give a sound file")
    stream = AudioStream(content, path, max_s=max_s)
    return _measure(stream, path, hashlib.sha256(content).hexdigest(), threads, settings)[0]


def read_song_samples(
    y: Any, sr: Number | None, *, max_s: float = MAX_AUDIO_S, threads: int = 1, settings: FeatureSettings = LIBROSA
) -> Song:
    """Return the song in an array ``y`` of samples with the sample rate ``sr`` in Hz.

    `clavilux.audio.samples.check_samples` describes both. The other parameters and errors are those of `read_song`.
    """
    samples, rate = check_samples(y, sr)
    sha256 = hashlib.sha256(f"{samples.dtype.str} {samples.shape} {rate}".encode())
    sha256.update(np.ascontiguousarray(samples).data)
    return _measure(SampleStream(samples, rate, max_s=max_s), Path(NAME), sha256.hexdigest(), threads, settings)[0]


def read_song_halves(
    path: Path | str, settings: FeatureSettings = LIBROSA
) -> tuple[Song, tuple[dict[str, float], dict[str, float]]]:
    """Return the song in a sound file, and the descriptors of its first and of its second half.

    The parameters and errors are those of `read_song`.
    """
    song, features = _read(path, MAX_AUDIO_S, 1, settings)
    first, second = (describe(half) for half in halve(features))
    return song, (first, second)


def _read(path: Path | str, max_s: float, threads: int, settings: FeatureSettings) -> tuple[Song, Features]:
    path = Path(path)
    return _measure(read_blocks(path, max_s=max_s), path, None, threads, settings)


def _measure(
    stream: AudioStream, path: Path, sha256: str | None, threads: int, settings: FeatureSettings
) -> tuple[Song, Features]:
    """Return the song in a stream of sound, and its features; without ``sha256``, the file is hashed."""
    reuse_memory()
    while True:
        features = measure_features(stream if threads == 1 else read_ahead(stream), settings)
        audible = features.window_db >= AUDIBLE_DB
        if not stream.correct(is_silent=not audible.any()):  # most songs are read once
            break
    warnings = list(stream.warnings)
    if not audible.any():
        warnings.append(f"it is silent: no window reaches {AUDIBLE_DB:g} dB of full scale")
    song = Song(
        path=path,
        name=path.stem,
        sha256=sha256 or hash_file(path),
        duration_s=features.duration_s,
        windows=features.mfcc,
        window_db=features.window_db,
        audible=audible,
        is_silent=not audible.any(),
        descriptors=describe(features),
        warnings=tuple(warnings),
        settings=settings,
    )
    return song, features


_MAX_NAME_LENGTH = 1_024  # characters of up to 12 bytes; the record in a JPEG has at most 64 kB


def check_song(song: Song) -> None:
    """Raise `AudioError` if a field of a `Song`, which a caller may have created, has a wrong type, shape or value."""
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
    """Return the SHA-256 of a file as hexadecimal digits.

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
