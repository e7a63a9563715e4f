"""Decode a sound file to blocks of mono sound: open_audio, completeness, mix, resample -> **decode** -> features.

FFmpeg decodes the sound of sound and video files. `clavilux.audio.mix` mixes the channels, because FFmpeg's mono mix of
floating-point stereo is 3 dB louder than the mean of the channels. Only about three seconds of sound are in memory at a
time.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clavilux.audio import Float32
from clavilux.audio.completeness import LENGTH_IN_HEADER, count_mp3_seconds, find_cut, frame_bytes
from clavilux.audio.mix import AUDIBLE_POWER, FrameFormat, Mix, Mixer, frame_format, loudest_channel_power, read_samples
from clavilux.audio.open_audio import (
    av_errors,
    best_track,
    check_file,
    check_sample_rate,
    encrypted_tracks,
    keep_end,
    open_container,
    open_file,
    reason,
    sound_tracks,
)
from clavilux.audio.resample import resample
from clavilux.constants import MAX_AUDIO_S, SAMPLE_RATE, WINDOW_S
from clavilux.errors import AudioError
from clavilux.system.arguments import counted, real_number

if TYPE_CHECKING:
    from av import AudioFrame, Packet
    from av.audio.stream import AudioStream as EncodedStream
    from av.container import InputContainer

AUDIO_SUFFIXES = frozenset({
    ".3gp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".alac", ".amr", ".ape", ".au", ".avi", ".caf", ".dsf", ".dts",
    ".eac3", ".flac", ".flv", ".m4a", ".m4b", ".m4v", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpc", ".mpeg",
    ".mpg", ".oga", ".ogg", ".ogv", ".opus", ".snd", ".spx", ".tak", ".tta", ".voc", ".w64", ".wav", ".webm", ".wma",
    ".wmv", ".wv",
})  # fmt: skip
"""Extensions in lower case; the files of a folder that have one of them are read as sound."""

BLOCK_SAMPLES = 65_536  # samples per block, at the sample rate of the file; large, so that Python adds little overhead
SHORTFALL_S = 1.0  # a warning is given if more than 1 s and more than 5 % of the duration in the header are missing
MAX_INVALID_SHARE = 0.5  # a file with a larger share of invalid samples is refused
MAX_DAMAGED_SHARE = 0.9  # a file with a larger share of damaged packets is refused

_LONGEST_S = 1e9  # 30 years; a longer limit could overflow


def read_blocks(path: Path | str, *, max_s: float = MAX_AUDIO_S) -> AudioStream:
    """Return the mono sound of a file at 22 050 Hz, block by block.

    Parameters
    ----------
    path : Path or str
        A sound file, or a video with sound, in any format that FFmpeg reads.
    max_s : float
        Decode at most this many seconds; 0.001 or more.

    Returns
    -------
    AudioStream
        An iterable of blocks (n,) float32. It decodes the file during the iteration.

    Raises
    ------
    AudioError
        If the file does not exist, is empty, or is a folder, a pipe or a device; or if `max_s` is not a finite number
        of 0.001 or more. The iteration raises `AudioError` if the file cannot be opened, or if little or none of its
        sound can be decoded.

    Examples
    --------
    >>> stream = read_blocks("nocturne.flac")  # doctest: +SKIP
    >>> seconds = sum(block.size for block in stream) / SAMPLE_RATE  # doctest: +SKIP
    """
    max_s = real_number("max_s", max_s, 1e-3, fault=AudioError)
    path = Path(path)
    check_file(path)
    return AudioStream(path, path, max_s=max_s)


class AudioStream:
    """Iterable over the mono sound of a file, in blocks (n,) float32.

    Each iteration decodes the whole file. The first iteration mixes the channels to their mean. After each iteration,
    call `correct`. It returns True if the mix was wrong for this file; the next iteration then uses a corrected mix.

    Parameters
    ----------
    source : Path or bytes
        Path of the file, or its content.
    name : object
        Name of the file in error messages.
    max_s : float
        Decode at most this many seconds.
    sample_rate : int
        Sample rate of the blocks in Hz.

    Attributes
    ----------
    warnings : list of str
        Problems that did not stop the decoding: damaged packets, an early end, invalid samples, corrections of the
        mix. The list is complete after an iteration, and the next iteration starts a new one.
    n_packets, n_damaged_packets : int
        Number of packets in the last iteration, and how many of them could not be decoded.
    """

    def __init__(
        self, source: Path | bytes, name: object, *, max_s: float = MAX_AUDIO_S, sample_rate: int = SAMPLE_RATE
    ) -> None:
        self.warnings: list[str] = []
        self.n_packets = self.n_damaged_packets = 0
        self._source, self._name, self._sample_rate = source, name, sample_rate
        self._max_samples = max(1, round(min(max_s, _LONGEST_S) * sample_rate))
        self._corrections: list[str] = []  # warnings of `correct`
        self._mixer = Mixer(Mix())
        self._track: int | None = None  # index of the stream; None for FFmpeg's default
        self._n_tracks = 0
        self._cut: str | None = None  # warning that the file is cut off

    def __iter__(self) -> Iterator[Float32]:
        """Yield blocks (n,) float32 with n > 0; full scale is 1."""
        import av

        self.warnings[:] = self._corrections
        self._mixer = Mixer(self._mixer.mix)
        n_samples = 0
        try:
            for block in self._resampled():
                room = self._max_samples - n_samples
                n_samples += min(block.size, room)
                yield block[:room]
                if block.size > room:
                    self.warnings.append(f"only the first {self._max_samples / self._sample_rate:g} s were used")
                    break
        except av.FFmpegError as error:  # from an unexpected place
            raise AudioError(f"{self._name}: cannot be decoded ({reason(error)}); give a file that plays") from error
        self._check_sound(n_samples)

    def correct(self, *, is_silent: bool) -> bool:
        """Return whether the mix of the last iteration was wrong; if so, iterate again.

        The next iteration then corrects the mix and adds a warning. Five faults are corrected: channels that cancel
        each other, silent channels that make the mean inaudible, a constant offset, floats in the range of integers
        (such as +-32768 instead of +-1), and a silent default track if another track of the file is audible.
        ``is_silent`` says whether all windows of the last iteration were inaudible.
        """
        correction = self._mixer.find_correction(is_silent=is_silent)
        if correction is not None:
            mix, warning = correction
            self._corrections.append(warning)
            self._mixer = Mixer(mix)
        elif is_silent and self._track is None and self._n_tracks > 1 and (other := self._find_audible()) is not None:
            self._track = other  # `_choose_track` adds the warning
            self._mixer = Mixer(Mix())
            self._corrections.clear()
        else:
            return False
        return True

    def _check_sound(self, n_samples: int) -> None:
        """Raise `AudioError` if most of the file could not be decoded to valid sound; `n_samples` were decoded."""
        reasons = f" ({'; '.join(self.warnings)})" if self.warnings else ""
        if n_samples == 0:
            raise AudioError(f"{self._name}: no sound could be decoded{reasons}; give a file that plays")
        # Floats in the range of integers count as invalid until they are scaled.
        if self._mixer.invalid_share > MAX_INVALID_SHARE and not self._mixer.is_scaled_as_integers():
            raise AudioError(
                f"{self._name}: {self._mixer.invalid_share:.0%} of its samples are invalid (not a number, or far "
                "above full scale); export it again"
            )
        if self.n_damaged_packets > MAX_DAMAGED_SHARE * self.n_packets:
            raise AudioError(
                f"{self._name}: {self.n_damaged_packets} of {self.n_packets} packets are damaged or encrypted; "
                "give a file that plays"
            )

    def _resampled(self) -> Iterator[Float32]:
        """Yield all blocks at the target sample rate, even if the sample rate changes within the file."""
        for rate, pairs in groupby(self._decoded(), key=itemgetter(0)):
            yield from resample((block for _, block in pairs), rate, self._sample_rate)

    def _decoded(self) -> Iterator[tuple[int, Float32]]:
        """Yield blocks (n,) of mono sound, each as (sample rate in Hz, block); n is about `BLOCK_SAMPLES`."""
        self.n_packets = self.n_damaged_packets = 0
        decoded_s = 0.0
        pending: list[NDArray[Any]] = []  # samples of one format, to be mixed together
        n_pending = 0
        layout: FrameFormat | None = None
        with open_file(self._source) as file:
            self._cut = find_cut(file)
            encrypted = encrypted_tracks(file)
            mp3_s = count_mp3_seconds(file)
            with open_container(file, self._name) as container:
                encoded = self._choose_track(container, encrypted)
                header_s = _header_seconds(container, encoded, mp3_s)
                tolerance_s = 0.0 if container.format.name == "flac" else max(SHORTFALL_S, 0.05 * header_s)
                for frame in self._frames(container, encoded):
                    frame_layout = frame_format(frame)
                    if layout is not None and n_pending and (n_pending >= BLOCK_SAMPLES or frame_layout != layout):
                        yield layout.sample_rate, self._mixer.mix_down(np.concatenate(pending, axis=1), layout)
                        pending, n_pending = [], 0
                    layout = frame_layout
                    check_sample_rate(layout.sample_rate, self._name)
                    try:
                        pending.append(read_samples(frame, layout))
                    except av_errors() as error:
                        raise AudioError(
                            f"{self._name}: cannot be decoded ({reason(error)}); save it again, for example as FLAC"
                        ) from error
                    n_pending += frame.samples
                    decoded_s += frame.samples / layout.sample_rate
        if layout is not None and n_pending:
            yield layout.sample_rate, self._mixer.mix_down(np.concatenate(pending, axis=1), layout)
        self._warn(decoded_s, header_s, tolerance_s)

    def _warn(self, decoded_s: float, header_s: float, tolerance_s: float) -> None:
        """Add the warnings about a whole iteration: damaged packets, invalid samples, an early end.

        ``decoded_s`` is the decoded duration, ``header_s`` the duration in the header. A warning is given if more than
        ``tolerance_s`` seconds are missing.
        """
        if self.n_damaged_packets:
            self.warnings.append(f"skipped {counted(self.n_damaged_packets, 'damaged packet')}")
        if self._mixer.n_invalid:
            what = counted(self._mixer.n_invalid, "invalid sample")
            self.warnings.append(f"set {what} to 0 (not a number, or far above full scale)")
        if self._cut:
            self.warnings.append(self._cut)
        if header_s - decoded_s > tolerance_s + 1e-3:
            self.warnings.append(f"only {decoded_s:.1f} s of {header_s:.1f} s could be decoded")

    def _choose_track(self, container: InputContainer, encrypted: set[int | None]) -> EncodedStream:
        """Return the track to decode, and add a warning if the file has several tracks."""
        tracks = sound_tracks(container, encrypted, self._name)
        chosen = best_track(container, tracks)
        if self._track is not None:
            chosen = next(track for track in tracks if track.index == self._track)
        self._n_tracks = len(tracks)
        if len(tracks) > 1:
            language = f" ({chosen.language})" if chosen.language else ""
            silent = "" if self._track is None else "; the default track is silent"
            self.warnings.append(
                f"it has {len(tracks)} sound tracks: number {tracks.index(chosen) + 1}{language} was used{silent}"
            )
        if chosen.rate:
            check_sample_rate(chosen.rate, self._name)
        return chosen

    def _frames(self, container: InputContainer, track: EncodedStream) -> Iterator[AudioFrame]:
        """Yield the decoded frames of a track; count damaged packets and skip them."""
        last: Packet[EncodedStream] | None = None
        for packet in self._packets(container, track):
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
        """Yield the packets of the given tracks; where the container is damaged, add a warning and stop."""
        packets: Iterator[Any] = container.demux(*tracks)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av_errors() as error:
                self.warnings.append(f"the file is damaged: the rest could not be read ({reason(error)})")
                return
            yield packet

    def _find_audible(self) -> int | None:
        """Return the index of the first non-default track with an audible window of 5 s.

        The result is None if no such window is found within ``max_s``.
        """
        # Index of the track -> seconds of the track so far, then seconds and energy of the current window.
        state: dict[int, tuple[float, float, float]] = {}
        with open_file(self._source) as file:
            encrypted = encrypted_tracks(file)
            with open_container(file, self._name) as container:
                tracks = sound_tracks(container, encrypted, self._name)
                default = best_track(container, tracks).index
                others = [track for track in tracks if track.index != default]
                for packet in self._packets(container, *others):
                    index = packet.stream.index  # `packet.stream_index` is not set in the last packet
                    total_s, window_s, energy = state.get(index, (0.0, 0.0, 0.0))
                    try:
                        frames = packet.decode()
                        parts = [(read_samples(frame, layout := frame_format(frame)), layout) for frame in frames]
                    except av_errors():
                        continue
                    for samples, layout in parts:
                        seconds = samples.size / layout.n_channels / max(1, layout.sample_rate)
                        total_s, window_s = total_s + seconds, window_s + seconds
                        energy += seconds * loudest_channel_power(samples, layout)
                    if window_s >= WINDOW_S or packet.size == 0:  # an empty packet ends the track
                        if energy >= AUDIBLE_POWER * window_s > 0:
                            return index
                        window_s = energy = 0.0
                    state[index] = (total_s, window_s, energy)
                    if total_s * self._sample_rate > self._max_samples:
                        return None
        return None


def _header_seconds(container: InputContainer, encoded: EncodedStream, mp3_s: float) -> float:
    """Return the duration in seconds that the header of a file states; 0 if it states none.

    ``mp3_s`` is the result of `count_mp3_seconds`, used for MP3 files.
    """
    if container.format.name == "mp3":
        return mp3_s
    if container.format.name in LENGTH_IN_HEADER and encoded.duration and encoded.time_base:
        return float(encoded.duration * encoded.time_base)
    return 0.0
