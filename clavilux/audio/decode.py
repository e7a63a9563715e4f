"""Sound files become blocks of mono sound: file -> containers, completeness, mix -> **here** -> features.

Every container and codec that FFmpeg reads is read, the sound of a video too. Two rules hold throughout:

* The mix-down is the plain mean of the channels, computed here. FFmpeg's own mix in floating point adds 3 dB.
* The file is never in memory as a whole: a block of about three seconds is, whatever the length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.completeness import LENGTH_IN_HEADER, count_mp3_seconds, find_cut, frame_bytes
from clavilux.audio.containers import (
    av_errors,
    best_track,
    check_file,
    check_rate,
    encrypted_tracks,
    keep_end,
    open_container,
    open_file,
    reason,
    sound_tracks,
)
from clavilux.audio.mix import AUDIBLE_POWER, Kind, Mix, Survey, kind_of, loudest_power, read_samples
from clavilux.constants import MAX_AUDIO_S, SAMPLE_RATE, WINDOW_S
from clavilux.errors import AudioError

if TYPE_CHECKING:
    from av import AudioFrame, Packet
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
SHORTFALL_S = 1.0  # a file is called cut off when this much, and 5 %, of what its header promises is missing
BROKEN_SHARE = 0.5  # of the samples; a file with more of them that are no numbers is refused
DAMAGED_SHARE = 0.9  # of the packets; a file with more of them that do not decode is refused

# aresample at a longer filter and a higher cut-off than its default: 11.5 kHz folds back at -53 dB instead of -20 dB.
_RESAMPLER = "filter_size=64:phase_shift=10:cutoff=0.97"
_LONGEST_S = 1e9  # 30 years: more makes no difference


def read_blocks(path: Path | str, *, max_s: float = MAX_AUDIO_S) -> AudioStream:
    """Return the mono sound of a file at 22 050 Hz, block by block.

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
    try:
        max_s = float(max_s)
    except (TypeError, ValueError, OverflowError):
        max_s = math.nan
    if not (math.isfinite(max_s) and max_s > 0):
        raise AudioError(f"max_s is {max_s}; it is a number of seconds above 0, and not infinite")
    path = Path(path)
    check_file(path)
    return AudioStream(path, path, max_s=max_s)


class AudioStream:
    """Blocks of mono sound of one file; made by `read_blocks`.

    An iteration reads the file once and mixes its channels to their plain mean. `mend` then says whether the sound was
    odd, so that it is better read again: the next iteration mixes as it should be.

    Parameters
    ----------
    source : Path or bytes
        The file, or its content.
    name : object
        What errors call it.
    max_s : float
        Seconds that are decoded at most.
    rate : int
        Samples a second of the blocks.

    Attributes
    ----------
    warnings : list of str
        What went wrong without stopping the reading: damaged places, an early end, samples that are no numbers, what
        `mend` found. Complete when the iteration has ended; a second iteration reads the file again.
    n_packets, n_damaged_packets : int
        Packets of the last iteration, and those of them that did not decode.
    """

    def __init__(
        self, source: Path | bytes, name: object, *, max_s: float = MAX_AUDIO_S, rate: int = SAMPLE_RATE
    ) -> None:
        self.warnings: list[str] = []
        self.n_packets = self.n_damaged_packets = 0
        self._source, self._name, self._rate = source, name, rate
        self._max_samples = max(1, round(min(max_s, _LONGEST_S) * rate))
        self._mended: list[str] = []
        self._survey = Survey(Mix())
        self._track: int | None = None  # index of the stream; the one that FFmpeg would play if None
        self._n_tracks = 0
        self._cut: str | None = None  # where the file is cut off, for the listener

    def __iter__(self) -> Iterator[Float32]:
        """Yield float32 blocks (n,), n > 0; full scale is 1."""
        import av

        self.warnings[:] = self._mended
        self._survey = Survey(self._survey.mix)
        n_samples = 0
        try:
            for block in self._resampled():
                room = self._max_samples - n_samples
                n_samples += min(block.size, room)
                yield block[:room]
                if block.size > room:
                    self.warnings.append(f"only the first {self._max_samples / self._rate:g} s were listened to")
                    break
        except av.FFmpegError as error:  # whatever FFmpeg refuses where nobody expects it
            raise AudioError(f"{self._name}: cannot be decoded ({reason(error)}); give a file that plays") from error
        self._judge(n_samples)

    def mend(self, *, is_silent: bool) -> bool:
        """Return whether the sound of the last iteration was odd and should be read again, which now corrects it.

        Channels that cancel each other, a constant offset, floats scaled as integers, and a silent track beside one
        with sound are mended. `warnings` of the next iteration say so.

        Parameters
        ----------
        is_silent : bool
            Whether nothing of it is audible.
        """
        found = self._survey.mend(is_silent=is_silent)
        if found is not None:
            mix, said = found
            self._survey = Survey(mix)
        elif is_silent and self._track is None and self._n_tracks > 1 and (other := self._find_audible()) is not None:
            self._track, said = other, ""  # `_choose_track` says which one it is
            self._survey = Survey(Mix())
            self._mended.clear()
        else:
            return False
        self._mended += [said] if said else []
        return True

    def _judge(self, n_samples: int) -> None:
        """Refuse what is no sound as a whole."""
        reasons = f" ({'; '.join(self.warnings)})" if self.warnings else ""
        if n_samples == 0:
            raise AudioError(f"{self._name}: no sound could be decoded{reasons}; give a file that plays")
        # Floats on the scale of integers look broken until they are scaled.
        if self._survey.broken_share > BROKEN_SHARE and not self._survey.is_scaled_as_integers():
            raise AudioError(
                f"{self._name}: {self._survey.broken_share:.0%} of its samples are no numbers or far beyond full "
                "scale; export it again"
            )
        if self.n_damaged_packets > DAMAGED_SHARE * self.n_packets:
            raise AudioError(
                f"{self._name}: {self.n_damaged_packets} of {self.n_packets} packets are damaged or encrypted; "
                "give a file that plays"
            )

    def _resampled(self) -> Iterator[Float32]:
        """Yield blocks at the wanted rate, without cap; a file whose rate changes midway gets a new resampler there."""
        resampler = None
        for rate, block in self._decoded():
            if resampler is None or resampler.rate != rate:
                if resampler is not None:
                    yield from resampler.flush()
                resampler = _Resampler(rate, self._rate)
            yield from resampler.push(block)
        if resampler is not None:
            yield from resampler.flush()

    def _decoded(self) -> Iterator[tuple[int, Float32]]:
        """Yield pairs of rate in Hz and mono samples at that rate, about `BLOCK_SAMPLES` at a time."""
        self.n_packets = self.n_damaged_packets = 0
        decoded_s = 0.0
        gathered: list[NDArray[Any]] = []  # of one kind: several frames are mixed at once
        n_gathered = 0
        kind: Kind | None = None
        with open_file(self._source) as file:
            self._cut = find_cut(file)
            encrypted = encrypted_tracks(file)
            mp3_s = count_mp3_seconds(file)
            with open_container(file, self._name) as container:
                encoded = self._choose_track(container, encrypted)
                promised_s = _promised_s(container, encoded, mp3_s)
                spare_s = 0.0 if container.format.name == "flac" else max(SHORTFALL_S, 0.05 * promised_s)
                for frame in self._frames(container, encoded):
                    frame_kind = kind_of(frame)
                    if kind is not None and n_gathered and (n_gathered >= BLOCK_SAMPLES or frame_kind != kind):
                        yield kind.rate, self._survey.mix_down(np.concatenate(gathered, axis=1), kind)
                        gathered, n_gathered = [], 0
                    kind = frame_kind
                    check_rate(kind.rate, self._name)
                    try:
                        gathered.append(read_samples(frame, kind))
                    except av_errors() as error:
                        raise AudioError(
                            f"{self._name}: cannot be decoded ({reason(error)}); save it again, as FLAC for instance"
                        ) from error
                    n_gathered += frame.samples
                    decoded_s += frame.samples / kind.rate
        if kind is not None and n_gathered:
            yield kind.rate, self._survey.mix_down(np.concatenate(gathered, axis=1), kind)
        self._warn(decoded_s, promised_s, spare_s)

    def _warn(self, decoded_s: float, promised_s: float, spare_s: float) -> None:
        if self.n_damaged_packets:
            self.warnings.append(f"{self.n_damaged_packets} damaged packets were left out")
        if self._survey.n_broken:
            self.warnings.append(
                f"{self._survey.n_broken} samples that are no numbers or far beyond full scale were silenced"
            )
        if self._cut:
            self.warnings.append(self._cut)
        if promised_s - decoded_s > spare_s + 1e-3:
            self.warnings.append(f"{decoded_s:.1f} s could be decoded, the header says {promised_s:.1f} s")

    def _choose_track(self, container: InputContainer, encrypted: set[int | None]) -> EncodedStream:
        tracks = sound_tracks(container, encrypted, self._name)
        chosen = best_track(container, tracks)
        if self._track is not None:
            chosen = next(track for track in tracks if track.index == self._track)
        self._n_tracks = len(tracks)
        if len(tracks) > 1:
            named = f" ({chosen.language})" if chosen.language else ""
            silent = "" if self._track is None else "; the one that plays by default is silent"
            self.warnings.append(
                f"it has {len(tracks)} sound tracks: number {tracks.index(chosen) + 1}{named} was listened to{silent}"
            )
        if chosen.rate:
            check_rate(chosen.rate, self._name)
        return chosen

    def _frames(self, container: InputContainer, *tracks: EncodedStream) -> Iterator[AudioFrame]:
        """Yield the frames that can be had; damaged packets are counted and left out."""
        last: Packet[EncodedStream] | None = None
        for packet in self._packets(container, *tracks):
            if container.format.name.startswith("mov"):
                keep_end(packet)
            if packet.size:
                last = packet
                self.n_packets += 1
            try:
                frames = packet.decode()
            except av_errors():
                self.n_damaged_packets += 1
                continue
            yield from frames
        if self._cut is None and last is not None:
            n_bytes = frame_bytes(last.stream.codec_context.name, bytes(last))
            self._cut = "the file is cut off in the middle of a frame" if n_bytes > last.size else None

    def _packets(self, container: InputContainer, *tracks: EncodedStream) -> Iterator[Packet[EncodedStream]]:
        """Yield the packets that can be had; a damaged container ends early with a warning."""
        packets: Iterator[Any] = container.demux(*tracks)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av_errors() as error:
                self.warnings.append(f"the file is damaged, reading stopped there ({reason(error)})")
                return
            yield packet

    def _find_audible(self) -> int | None:
        """Return the index of the other track that is the first to be audible for a window of 5 s, or None."""
        heard: dict[int, tuple[float, float, float]] = {}  # index -> seconds in all, seconds and energy of the window
        with open_file(self._source) as file:
            encrypted = encrypted_tracks(file)
            with open_container(file, self._name) as container:
                tracks = sound_tracks(container, encrypted, self._name)
                default = best_track(container, tracks).index
                others = [track for track in tracks if track.index != default]
                for packet in self._packets(container, *others):
                    index = packet.stream.index  # that of the packet itself is not set in the one that ends a track
                    total_s, window_s, energy = heard.get(index, (0.0, 0.0, 0.0))
                    try:
                        frames = packet.decode()
                        parts = [(read_samples(frame, kind), kind) for frame in frames for kind in [kind_of(frame)]]
                    except av_errors():
                        continue
                    for samples, kind in parts:
                        seconds = samples.size / kind.n_channels / max(1, kind.rate)
                        total_s, window_s = total_s + seconds, window_s + seconds
                        energy += seconds * loudest_power(samples, kind)
                    if window_s >= WINDOW_S or packet.size == 0:  # an empty packet ends the track
                        if energy >= AUDIBLE_POWER * window_s > 0:
                            return index
                        window_s = energy = 0.0
                    heard[index] = (total_s, window_s, energy)
                    if total_s * self._rate > self._max_samples:
                        return None
        return None


class _Resampler:
    """Mono float32 at one rate -> mono float32 at another, by FFmpeg's resampler with the filter of `_RESAMPLER`."""

    def __init__(self, rate: int, target: int) -> None:
        import av.filter

        self.rate = rate
        self._graph = av.filter.Graph()
        source = self._graph.add_abuffer(sample_rate=rate, format="fltp", layout="mono", time_base=_time_base(rate))
        resample = self._graph.add("aresample", f"{target}:{_RESAMPLER}")
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


def _promised_s(container: InputContainer, encoded: EncodedStream, mp3_s: float) -> float:
    """Return the seconds of sound that the header promises; 0 if it says nothing, and FFmpeg could only estimate."""
    if container.format.name == "mp3":
        return mp3_s
    if container.format.name in LENGTH_IN_HEADER and encoded.duration and encoded.time_base:
        return float(encoded.duration * encoded.time_base)
    return 0.0


def _time_base(rate: int) -> Fraction:
    return Fraction(1, rate)
