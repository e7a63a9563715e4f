"""Read a song from any kind of source: path, open file or array -> **sources** -> `Song`."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from numbers import Real
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from clavilux.audio import Float32
from clavilux.audio.clips import CLIP_SUFFIX, song_of_clips
from clavilux.audio.decode import BLOCK_SAMPLES, AudioStream
from clavilux.audio.mfcc import LIBROSA, FeatureSettings
from clavilux.audio.mix import FrameFormat
from clavilux.audio.open_audio import SOURCE_RATES_HZ
from clavilux.audio.song import Song, measure_song, read_song
from clavilux.constants import MFCC_ROWS, WINDOW_FRAMES
from clavilux.errors import AudioError
from clavilux.system.arguments import FileName, Number, counted, file_path, real_number, show, to_array

Source = FileName | IO[bytes] | NDArray[Any]
"""Path of a sound file or a feature file, a sound file that is open in binary mode, or an array of samples."""

MAX_CHANNELS = 64
_SHORTEST_S = 0.01  # seconds of an array; resampling needs some samples
_LONGEST_PATH = 4_096  # bytes; longer bytes are no path, but the content of a file
INTEGERS = ("uint8", "int8", "int16", "int32")  # integer types of samples; full scale is the range of the type


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
        samples of shape (n,), (channels, n) or (n, channels): floats with full scale 1, or integers of 8, 16 or 32
        bits.
    sr : int, optional
        Sample rate of an array in Hz.
    max_s, threads, settings
        As in `clavilux.audio.song.read_song`.
    clip : int, optional
        Use only this window of a feature file.

    Raises
    ------
    AudioError
        If the source cannot be read as sound, if `sr` is missing for an array or given for a file, or if `clip` is
        given for a source other than a feature file.
    """
    refuse_mistaken(source)
    if isinstance(source, bytes | bytearray | memoryview) and (len(source) > _LONGEST_PATH or b"\0" in bytes(source)):
        raise AudioError(f"song is {len(source)} bytes; give the content of a sound file as io.BytesIO(content)")
    is_path = isinstance(source, str | bytes | os.PathLike)
    is_array = not is_path and hasattr(source, "__array__")
    if not is_array and sr is not None:
        raise AudioError(f"sr is {show(sr)}; only an array needs it, a file gives its own sample rate")
    path = file_path("song", source, fault=AudioError) if is_path else None
    is_clips = path is not None and path.suffix.lower() == CLIP_SUFFIX
    if clip is not None and not is_clips:
        raise AudioError(f"{path or show(source)}: is not a feature file ({CLIP_SUFFIX}); only those have single clips")
    if path is not None and is_clips:
        return song_of_clips(path, clip)
    if path is not None:
        return read_song(path, max_s=max_s, threads=threads, settings=settings)
    if is_array:
        samples, rate = _check_samples(source, sr)
        digest = hashlib.sha256(f"{samples.dtype.str} {samples.shape} {rate}".encode())
        digest.update(np.ascontiguousarray(samples).data)
        stream: AudioStream = _SampleStream(samples, rate, max_s)
        path = Path(_SampleStream.NAME)
    elif hasattr(source, "read"):
        content, path = _read_whole(source)
        digest = hashlib.sha256(content)
        stream = AudioStream(content, path, max_s=max_s)
    else:
        raise AudioError(
            f"song is {show(source)}; it must be a path, a file that is open in binary mode, or an array with sr="
            + ("; give several songs to clavilux.paint" if isinstance(source, Iterable) else "")
        )
    return measure_song(stream, path, sha256=digest.hexdigest(), threads=threads, settings=settings)[0]


def refuse_mistaken(source: Any) -> None:
    """Raise an `AudioError` that names the right form if a song is given in a form that is no song, but often tried."""
    fault = None
    if isinstance(source, str) and source.lstrip().startswith("{"):
        fault = "JSON text; for controls, Controls.from_json(text) reads it"
    elif isinstance(source, Mapping):
        fault = "a dict; give its array as paint(y, sr=sr)"
        if "palette" in source and "plan" in source:
            fault = "a dict of controls; Controls.from_json(json.dumps(controls)) reads it"
        elif "controls" in source or "z_image" in source:
            fault = "the record of a picture; Clavilux().repaint(record) paints it again"
    elif isinstance(getattr(source, "record", None), Mapping):
        fault = "a Picture; Clavilux().repaint(picture.record) paints it again"
    elif isinstance(source, list | tuple) and source:
        forms = [_form_of(part) for part in source]
        if forms == ["array", "number"]:
            fault = "(y, sr); give paint(y, sr=sr)"
        elif forms == ["number", "array"]:
            fault = "(sr, y), as scipy.io.wavfile.read returns it; give paint(y, sr=sr)"
        elif forms[0] == "number":
            fault = f"a {type(source).__name__} of numbers; give samples as paint(np.array(y), sr=44100)"
    if fault is not None:
        raise AudioError(f"song is {fault}")


def _form_of(part: Any) -> str:
    is_number = isinstance(part, Real) and not isinstance(part, bool)
    return "number" if is_number else "array" if hasattr(part, "__array__") else "other"


class _SampleStream(AudioStream):
    """Stream of the sound in an array (channels, n), which is mixed and resampled like a file."""

    NAME = "array"

    def __init__(self, samples: NDArray[Any], sample_rate_hz: int, max_s: float) -> None:
        super().__init__(b"", self.NAME, max_s=max_s)
        self._samples = samples
        self._layout = FrameFormat(sample_rate_hz, str(samples.dtype), True, len(samples))

    def _decoded(self) -> Iterator[tuple[int, Float32]]:
        for start in range(0, self._samples.shape[1], BLOCK_SAMPLES):
            block = self._mixer.mix_down(self._samples[:, start : start + BLOCK_SAMPLES], self._layout)
            yield self._layout.sample_rate, block
        self._warn(0.0, 0.0, 0.0)


def _check_samples(y: Any, sr: Number | None) -> tuple[NDArray[Any], int]:
    """Check an array and its sample rate; return the samples (channels, n) and the sample rate in Hz.

    Samples in float16 are converted to float32.
    """
    samples = to_array("y", y, fault=AudioError)
    if samples.shape[-2:] == (MFCC_ROWS, WINDOW_FRAMES):
        raise AudioError(f"y has shape {samples.shape}, which looks like MFCC; give the path of the .npy file")
    low, high = SOURCE_RATES_HZ
    if sr is None:
        raise AudioError("an array has no sample rate; give it in Hz, for example sr=44100")
    rate = real_number("sr", sr, low, high, fault=AudioError)
    if not rate.is_integer():
        raise AudioError(f"sr is {show(sr)}; it must be a whole number of Hz")
    if samples.ndim not in (1, 2) or samples.size == 0:
        raise AudioError(f"y is {show(samples)}; it must have the shape (n,) or (channels, n), and not be empty")
    samples = np.atleast_2d(samples)
    if len(samples) > MAX_CHANNELS >= samples.shape[1]:  # (n, channels), as soundfile reads
        samples = samples.T
    if len(samples) > MAX_CHANNELS:
        raise AudioError(f"y has shape {samples.shape}; at most {MAX_CHANNELS} channels are mixed")
    if samples.shape[1] < _SHORTEST_S * rate:
        raise AudioError(f"y has {counted(samples.shape[1], 'sample')}; it must have at least {_SHORTEST_S:g} seconds")
    if samples.dtype.kind == "f":
        n_bad = int(np.count_nonzero(~np.isfinite(samples)))
        if n_bad:
            raise AudioError(
                f"y has {counted(n_bad, 'value')} that {'is' if n_bad == 1 else 'are'} not finite (NaN or infinite); "
                "np.nan_to_num(y, posinf=0, neginf=0) sets such values to 0"
            )
        return samples.astype(np.float32 if samples.dtype.itemsize < 4 else samples.dtype, copy=False), int(rate)
    if samples.dtype.name not in INTEGERS:
        raise AudioError(
            f"y has the type {samples.dtype}, whose full scale is not defined; give floats with full scale 1, or one "
            f"of {', '.join(INTEGERS)}"
        )
    return samples, int(rate)


def _read_whole(file: Any) -> tuple[bytes, Path]:
    """Return the whole content of an open file, and its name.

    The position in a seekable file is unchanged. From any other file, the rest is read.
    """
    name = getattr(file, "name", None)
    path = Path(name if isinstance(name, str) and name else "sound")
    if isinstance(file, io.TextIOBase):
        raise AudioError(f'{path}: is open as text; open it with mode "rb"')
    try:
        if hasattr(file, "getbuffer"):
            content = bytes(file.getbuffer())
        elif file.seekable():
            position = file.tell()
            file.seek(0)
            content = file.read()
            file.seek(position)
        else:
            content = file.read()
    except (OSError, ValueError, AttributeError) as error:
        raise AudioError(f"{path}: cannot be read ({error}); give a file that is open for reading") from error
    if not isinstance(content, bytes | bytearray):
        raise AudioError(f'{path}: gives text; open it with mode "rb"')
    if not content:
        raise AudioError(f"{path}: is empty (0 bytes); give a sound file")
    return bytes(content), path
