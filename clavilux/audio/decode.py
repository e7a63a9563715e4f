"""Sound files become blocks of mono sound: file -> **here** -> features.

Every container and codec that FFmpeg reads is read, the sound of a video too. Three rules hold throughout:

* The mix-down is the plain mean of the channels, computed here. FFmpeg's own mix in floating point adds 3 dB.
* The file is never in memory as a whole: a block of about three seconds is, whatever the length.
* A file from a stranger is opened as what it claims to be and as nothing else: regular files only, containers of
  sound and film only (FFmpeg would follow playlists to other files), no protocol but the bytes of the file itself.
"""

from __future__ import annotations

import errno
import io
import math
import os
import re
import stat
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import MAX_AUDIO_S, SAMPLE_RATE
from clavilux.errors import AudioError

if TYPE_CHECKING:
    from av import Packet
    from av.audio.stream import AudioStream as EncodedStream
    from av.container import InputContainer

Float32 = NDArray[np.float32]

AUDIO_SUFFIXES = frozenset({
    ".3gp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".alac", ".amr", ".ape", ".au", ".avi", ".caf", ".dsf", ".dts",
    ".eac3", ".flac", ".flv", ".m4a", ".m4b", ".m4v", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpc", ".mpeg",
    ".mpg", ".oga", ".ogg", ".ogv", ".opus", ".snd", ".spx", ".tak", ".tta", ".voc", ".w64", ".wav", ".webm", ".wma",
    ".wmv", ".wv",
})  # fmt: skip
"""Endings, in small letters, of the files that are taken for sound when a folder is searched."""

BLOCK_SAMPLES = 65_536  # at the rate of the file; large enough that Python's share of the work vanishes
SOURCE_RATES_HZ = (4_000, 768_000)  # below and above, a header is more likely broken than meant
LOUDEST_SAMPLE = 1e5  # of full scale; files of floats scaled as 16-bit integers stay below, garbage does not
SHORTFALL_S = (
    1.0  # a file is called cut off when this much, and 5 %, of what its header promises is missing; FLAC is exact
)

# Demuxers of sound and of film with sound. Playlists (hls, concat, dash), pictures, devices and subtitles are not here.
_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,ast,au,avi,caf,dsf,dts,dtshd,eac3,flac,flv,g722,gsm,ircam,iff,lc3,matroska,mlp,mov,mp3,mpc,mpc8,"
    "mpeg,mpegts,mxf,nut,ogg,oma,osq,qcp,qoa,rm,shn,sox,tak,truehd,tta,voc,w64,wav,wv,xwma"
)
# aresample at a longer filter and a higher cut-off than its default: 11.5 kHz folds back at -53 dB instead of -20 dB.
_RESAMPLER = f"{SAMPLE_RATE}:filter_size=64:phase_shift=10:cutoff=0.97"


def read_blocks(path: Path | str, *, max_s: float = MAX_AUDIO_S) -> AudioStream:
    """Mono sound of a file at 22 050 Hz, block by block.

    Parameters
    ----------
    path : Path or str
        A file of sound or a film with sound, in any format that FFmpeg reads.
    max_s : float
        Seconds that are decoded at most, counted while decoding and not taken from the header; above 0.

    Returns
    -------
    AudioStream
        Iterate over it for blocks of (n,) float32. Reading starts with the iteration.

    Raises
    ------
    AudioError
        If there is no such file, it is no regular file (a folder, a pipe, a device), it is empty, or `max_s` is not
        positive. The iteration raises it if the file holds no sound that can be decoded.

    Examples
    --------
    >>> stream = read_blocks("nocturne.flac")  # doctest: +SKIP
    >>> seconds = sum(block.size for block in stream) / SAMPLE_RATE  # doctest: +SKIP
    """
    if not (math.isfinite(max_s) and max_s > 0):
        raise AudioError(f"max_s is {max_s}; it is a number of seconds above 0")
    path = Path(path)
    check_file(path)
    return AudioStream(path, max_s)


class AudioStream:
    """Blocks of mono sound of one file; made by `read_blocks`.

    Attributes
    ----------
    path : Path
        The file.
    warnings : list of str
        What went wrong without stopping the reading: damaged places, an early end, samples that are no numbers.
        Complete when the iteration has ended; a second iteration reads the file again.
    """

    def __init__(self, path: Path, max_s: float) -> None:
        self.path = path
        self.warnings: list[str] = []
        self._max_samples = max(1, round(max_s * SAMPLE_RATE))
        self._n_broken_samples = 0

    def __iter__(self) -> Iterator[Float32]:
        """Yield float32 blocks (n,), n > 0, at 22 050 Hz; full scale is 1."""
        self.warnings.clear()
        n_samples = 0
        for block in self._resampled():
            room = self._max_samples - n_samples
            n_samples += min(block.size, room)
            yield block[:room]
            if block.size > room:
                self.warnings.append(f"only the first {self._max_samples / SAMPLE_RATE:g} s were listened to")
                return
        if n_samples == 0:
            reasons = f" ({'; '.join(self.warnings)})" if self.warnings else ""
            raise AudioError(f"{self.path}: no sound could be decoded{reasons}; give a file that plays")

    def _resampled(self) -> Iterator[Float32]:
        """Blocks at 22 050 Hz, without cap; a file whose rate changes midway gets a new resampler there."""
        resampler = None
        for rate, block in self._decoded():
            if resampler is None or resampler.rate != rate:
                if resampler is not None:
                    yield from resampler.flush()
                resampler = _Resampler(rate)
            yield from resampler.push(block)
        if resampler is not None:
            yield from resampler.flush()

    def _decoded(self) -> Iterator[tuple[int, Float32]]:
        """Pairs of rate in Hz and mono samples at that rate, about `BLOCK_SAMPLES` at a time."""
        import av

        n_broken_packets = self._n_broken_samples = 0
        decoded_s = 0.0
        gathered: list[NDArray[Any]] = []  # of one kind: several frames are mixed at once
        n_gathered = 0
        kind: _Kind | None = None
        with self._open_file() as file, self._open_container(file) as container:
            encoded = _sound_of(container, self.path)
            promised_s = _promised_s(container, encoded)
            spare_s = 0.0 if container.format.name == "flac" else max(SHORTFALL_S, 0.05 * promised_s)
            for packet in self._packets(container, encoded):
                if container.format.name.startswith("mov"):
                    _keep_end(packet)
                try:
                    frames = encoded.decode(packet)
                except av.FFmpegError:
                    n_broken_packets += 1
                    continue
                for frame in frames:
                    frame_kind = _Kind(
                        frame.sample_rate, frame.format.name, frame.format.is_planar, frame.layout.nb_channels
                    )
                    if kind is not None and n_gathered and (n_gathered >= BLOCK_SAMPLES or frame_kind != kind):
                        yield kind.rate, self._mono(gathered, kind)
                        gathered, n_gathered = [], 0
                    kind = frame_kind
                    if not SOURCE_RATES_HZ[0] <= kind.rate <= SOURCE_RATES_HZ[1]:
                        raise AudioError(_rate_fault(self.path, kind.rate))
                    gathered.append(frame.to_ndarray())
                    n_gathered += frame.samples
                    decoded_s += frame.samples / kind.rate
        if kind is not None and n_gathered:
            yield kind.rate, self._mono(gathered, kind)
        if n_broken_packets:
            self.warnings.append(f"{n_broken_packets} damaged packets were left out")
        if self._n_broken_samples:
            self.warnings.append(
                f"{self._n_broken_samples} samples that are no numbers or far beyond full scale were silenced"
            )
        if promised_s - decoded_s > spare_s + 1e-3:
            self.warnings.append(f"{decoded_s:.1f} s could be decoded, the header says {promised_s:.1f} s")

    def _mono(self, frames: list[NDArray[Any]], kind: _Kind) -> Float32:
        mono, n_broken = _mono(np.concatenate(frames, axis=1), kind)
        self._n_broken_samples += n_broken
        return mono

    def _open_file(self) -> BinaryIO:
        try:
            file = _File(io.FileIO(self.path))
        except OSError as error:
            raise AudioError(
                f"{self.path}: cannot be opened ({_reason(error)}); give a file that may be read"
            ) from error
        missing = _missing_bytes(file)
        if missing:
            self.warnings.append(f"the file is cut off: {missing} bytes that its header promises are missing")
        return file

    def _open_container(self, file: BinaryIO) -> InputContainer:
        import av

        # Tags that are not UTF-8 raise in PyAV 18 unless this is given; PyAV 19 escapes them and has no such choice.
        tags: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
        options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"}
        try:
            container: InputContainer = av.open(file, mode="r", options=options, **tags)
            return container
        except (av.FFmpegError, ValueError, OSError) as error:
            raise AudioError(
                f"{self.path}: not readable as sound ({_reason(error)}); give a file that plays elsewhere"
            ) from error

    def _packets(self, container: InputContainer, encoded: EncodedStream) -> Iterator[Packet[EncodedStream]]:
        """The packets that can be had; a damaged container ends early with a warning."""
        import av

        packets = container.demux(encoded)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError) as error:
                self.warnings.append(f"the file is damaged, reading stopped there ({_reason(error)})")
                return
            yield packet


class _Resampler:
    """Mono float32 at one rate -> mono float32 at 22 050 Hz, by FFmpeg's resampler with the filter of `_RESAMPLER`."""

    def __init__(self, rate: int) -> None:
        import av.filter

        self.rate = rate
        self._graph = av.filter.Graph()
        source = self._graph.add_abuffer(sample_rate=rate, format="fltp", layout="mono", time_base=_time_base(rate))
        resample = self._graph.add("aresample", _RESAMPLER)
        sink = self._graph.add("abuffersink")
        source.link_to(resample)
        resample.link_to(sink)
        self._graph.configure()
        self._n_pushed = 0

    def push(self, block: Float32) -> Iterator[Float32]:
        import av

        frame = av.AudioFrame.from_ndarray(block[None], format="fltp", layout="mono")
        frame.sample_rate = self.rate
        frame.time_base = _time_base(self.rate)
        frame.pts = self._n_pushed
        self._n_pushed += block.size
        self._graph.push(frame)
        yield from self._pull()

    def flush(self) -> Iterator[Float32]:
        self._graph.push(None)
        yield from self._pull()

    def _pull(self) -> Iterator[Float32]:
        import av

        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(frame, av.AudioFrame)  # the graph holds filters of sound only
            if frame.samples:
                yield np.array(frame.to_ndarray()[0], np.float32)


class _File(io.BufferedReader):
    """A file whose `seek` answers with an error number, where a damaged header sends FFmpeg to where no file reaches.

    PyAV would print the traceback of an exception on stderr; what FFmpeg is told is the same.
    """

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except OSError as error:
            return -(error.errno or errno.EINVAL)


def check_file(path: Path) -> None:
    """Refuse what is no regular file with something in it: to open a pipe or a device may take forever.

    Raises
    ------
    AudioError
        The path does not exist, is a folder, a pipe, a socket or a device, or is empty.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):  # a path has lost the second slash
            raise AudioError(f"{path}: is an address; download it and give the file") from error
        raise AudioError(f"{path}: cannot be opened ({_reason(error)}); give the path of a file of sound") from error
    if stat.S_ISDIR(status.st_mode):
        raise AudioError(f"{path}: is a folder; give a file of sound")
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(f"{path}: is a pipe, a socket or a device; give a regular file of sound")
    if status.st_size == 0:
        raise AudioError(f"{path}: is empty (0 bytes); give a file of sound")


def _missing_bytes(file: BinaryIO) -> int:
    """Bytes that a WAV or AIFF file lacks; FFmpeg takes its length from the size of the file and does not say."""
    head = file.read(8)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if head[:4] not in (b"RIFF", b"FORM"):
        return 0
    promised = 8 + int.from_bytes(head[4:], "little" if head[:4] == b"RIFF" else "big")
    # A program that could not know the length, as in a pipe, writes a number near the largest; some count a padding
    # byte that they do not write.
    return promised - size if size + 64 < promised < 0xFFFF_0000 else 0


def _sound_of(container: InputContainer, path: Path) -> EncodedStream:
    import av

    if not container.streams.audio:
        raise AudioError(f"{path}: holds no sound; give a file of sound or a film with sound")
    # The best one is chosen by what the header says; whether FFmpeg knows its codec shows here.
    choice = (container.streams.best("audio"), *container.streams.audio)
    encoded = next((s for s in choice if isinstance(s, av.AudioStream) and s.codec_context is not None), None)
    if encoded is None:
        raise AudioError(f"{path}: its sound is of a kind that cannot be decoded; save it again, as FLAC for instance")
    if encoded.rate and not SOURCE_RATES_HZ[0] <= encoded.rate <= SOURCE_RATES_HZ[1]:
        raise AudioError(_rate_fault(path, encoded.rate))
    encoded.codec_context.thread_count = 1  # songs run in parallel, not the packets of one song
    return encoded


def _keep_end(packet: Packet[EncodedStream]) -> None:
    """Cancel the cut at the end of a packet of MP4 or MOV, which FFmpeg makes from version 9 on.

    FFmpeg 8 leaves what the encoder filled up the last packet with (0.02 s). Pictures are the same with both.
    """
    if packet.has_sidedata("skip_samples"):  # samples to cut at the start, at the end (uint32 each), and the reasons
        cut = packet.get_sidedata("skip_samples")
        cut.update(bytes(cut)[:4] + bytes(4) + bytes(cut)[8:])
        packet.set_sidedata(cut)


def _promised_s(container: InputContainer, encoded: EncodedStream) -> float:
    """Seconds of sound that the header promises; 0 if it says nothing."""
    if encoded.duration and encoded.time_base:
        return float(encoded.duration * encoded.time_base)
    return container.duration / 1e6 if container.duration else 0.0  # AV_TIME_BASE is a microsecond


class _Kind(NamedTuple):
    """What frames have in common that are mixed at once."""

    rate: int
    sample_format: str
    is_planar: bool
    n_channels: int


def _mono(samples: NDArray[Any], layout: _Kind) -> tuple[Float32, int]:
    """Mean of the channels (n,), full scale 1, and how many of its samples were broken and silenced.

    Samples are (channels, n) if planar, else (1, n * channels).
    """
    if not layout.is_planar:
        samples = samples.reshape(-1, layout.n_channels).T
    kind = samples.dtype.kind
    # One channel goes through untouched; the sum is in float64 only where integers of 32 bits and more need it.
    mono = samples[0] if len(samples) == 1 else samples.mean(axis=0, dtype=np.float64 if kind in "iu" else None)
    if kind == "u":  # 8-bit sound is unsigned, 128 is silence
        return np.asarray((mono.astype(np.float32) - 128) / 128, np.float32), 0
    if kind == "i":
        return np.asarray(mono / 2.0 ** (8 * samples.itemsize - 1), np.float32), 0
    broken = ~(np.abs(mono) <= LOUDEST_SAMPLE)  # NaN compares false
    n_broken = int(broken.sum())
    mono = np.where(broken, 0, mono) if n_broken else mono
    return np.asarray(mono, np.float32), n_broken


def _rate_fault(path: Path, rate: int) -> str:
    low, high = SOURCE_RATES_HZ
    return f"{path}: says it has {rate} samples a second; {low} to {high} are read: save it again at 44100"


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return str(text)


def _time_base(rate: int) -> Fraction:
    return Fraction(1, rate)
