"""Open sound files safely: file -> **here** -> decode.

A file may come from an untrusted source. So only regular files are opened, only containers of sound and video (FFmpeg
would open the files in a playlist), and no protocols such as HTTP. All code that reads sound uses this module.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from clavilux.errors import AudioError

if TYPE_CHECKING:
    from av import Packet
    from av.audio.stream import AudioStream as EncodedStream
    from av.container import InputContainer

SOURCE_RATES_HZ = (4_000, 768_000)  # outside this range the header is probably damaged

# FFmpeg's demuxers of sound and video, without playlists (hls, concat, dash), pictures, devices and subtitles.
_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,ast,au,avi,caf,dsf,dts,dtshd,eac3,flac,flv,g722,gsm,ircam,iff,lc3,matroska,mlp,mov,mp3,mpc,mpc8,"
    "mpeg,mpegts,mxf,nut,ogg,oma,osq,qcp,qoa,rm,shn,sox,tak,truehd,tta,voc,w64,wav,wv,xwma"
)
# Encrypted entries in the sample description table of an MP4 file: Common Encryption, FairPlay, Audible.
_ENCRYPTED_ENTRIES = (b"enca", b"drms", b"aavd")
# First bytes of a Windows Media file, and objects in its header: content encryption, extended, advanced.
ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_ENCRYPTED = (
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
    bytes.fromhex("338505438169e6499b74ad12cb86d58c"),
)
MAX_PARTS = 10_000  # at one level; only files with many fragments have about as many


def av_errors() -> tuple[type[Exception], ...]:
    """Return the exception classes that PyAV raises for damaged files, for an ``except`` clause."""
    # A function and not a constant, because importing PyAV is slow.
    import av

    return (av.FFmpegError, ValueError, OSError, ArithmeticError, LookupError, MemoryError, NotImplementedError)


class SafeFile(io.BufferedReader):
    """A file whose `seek` returns a negative error number instead of raising, as FFmpeg expects.

    A damaged header can make FFmpeg seek to impossible positions. PyAV would print the exception on stderr.
    """

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Return the new position, or a negative error number."""
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError, OverflowError) as error:
            return -(getattr(error, "errno", None) or errno.EINVAL)


def open_file(source: Path | bytes) -> SafeFile:
    """Return an open file: ``source`` is the path of a file, or bytes that are the content of one.

    Raises
    ------
    AudioError
        If the file cannot be opened.
    """
    if isinstance(source, bytes):
        return SafeFile(io.BytesIO(source))
    try:
        return SafeFile(io.FileIO(source))
    except OSError as error:
        raise AudioError(
            f"{source}: cannot be opened ({reason(error)}); check that you have permission to read it"
        ) from error


def open_container(file: BinaryIO, name: object) -> InputContainer:
    """Return the container in a file, opened by FFmpeg.

    Parameters
    ----------
    file : file
        Open in binary mode, at its start.
    name : object
        Name of the file in error messages.

    Raises
    ------
    AudioError
        If it is not a container of sound or video.
    """
    import av

    # PyAV up to 18 needs this for tags that are not UTF-8; PyAV 19 always escapes them and has no such argument.
    tags: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
    try:
        container: InputContainer = av.open(
            file,
            mode="r",
            # Not `options`: PyAV up to 15 copies them for each stream and crashes if a stream appears later (FLV).
            container_options={"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"},
            **tags,
        )
    except av_errors() as error:
        raise AudioError(
            f"{name}: not readable as sound ({reason(error)}); check that the file plays in a music player"
        ) from error
    return container


def sound_tracks(container: InputContainer, encrypted: set[int | None], name: object) -> list[EncodedStream]:
    """Return the sound tracks of a container that can be decoded, in the order of the file, with open decoders.

    Parameters
    ----------
    container : InputContainer
    encrypted : set
        Result of `encrypted_tracks`.
    name : object
        Name of the file in error messages.

    Raises
    ------
    AudioError
        If there is none: no sound at all, only encrypted sound, or only unknown codecs.
    """
    import av

    if not container.streams.audio:
        raise AudioError(f"{name}: holds no sound; give a sound file, or a video with sound")
    # Only the context shows whether FFmpeg knows the codec of a track.
    known = [track for track in container.streams.audio if isinstance(track, av.AudioStream) and track.codec_context]
    if not known:
        raise AudioError(f"{name}: its sound is of a kind that cannot be decoded; save it again, as FLAC for instance")
    tracks = [track for track in known if track.id not in encrypted and None not in encrypted]
    if not tracks:
        raise AudioError(f"{name}: its sound is encrypted (DRM); give a file without copy protection")
    opened = []
    for track in tracks:
        context = track.codec_context
        context.thread_count = 1  # songs are processed in parallel instead
        # PyAV 18 and 19 do not copy a custom channel layout, as in CAF and MOV: each access frees it, and the process
        # crashes. So the layout is replaced: the mix needs only the number of channels, and decoders that know their
        # layout set it again.
        n_channels = context.channels
        if n_channels > 0:
            context.layout = f"{n_channels} channels"
        try:
            context.open(strict=False)  # if opening fails later, PyAV 19 crashes at the second packet
        except av_errors():
            continue
        opened.append(track)
    if not opened:
        raise AudioError(f"{name}: its sound is of a kind that cannot be decoded; save it again, as FLAC for instance")
    return opened


def best_track(container: InputContainer, tracks: list[EncodedStream]) -> EncodedStream:
    """Return the track that FFmpeg chooses by default, or the first of ``tracks`` if the default is not among them."""
    best = container.streams.best("audio")
    return next((track for track in tracks if best is not None and track.index == best.index), tracks[0])


def keep_end(packet: Packet[EncodedStream]) -> None:
    """Change a packet in place so that FFmpeg 9 keeps the padding at the end of an MP4 or MOV file (0.02 s).

    FFmpeg 8 keeps this padding and FFmpeg 9 removes it; with this change, pictures are the same with both versions.
    """
    if packet.has_sidedata("skip_samples"):  # samples to skip at the start and at the end (uint32), and the reasons
        skip = packet.get_sidedata("skip_samples")
        skip.update(bytes(skip)[:4] + bytes(4) + bytes(skip)[8:])
        packet.set_sidedata(skip)


def check_sample_rate(sample_rate: int, name: object) -> None:
    """Raise `AudioError` if a sample rate is outside `SOURCE_RATES_HZ`."""
    low, high = SOURCE_RATES_HZ
    if not low <= sample_rate <= high:
        raise AudioError(
            f"{name}: its sample rate is {sample_rate} Hz; {low} to {high} Hz can be read: save it again at 44100 Hz"
        )


def check_file(path: Path) -> None:
    """Raise `AudioError` unless a path is a non-empty regular file.

    It only calls `stat`: opening a pipe or a device could block.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):  # Path removes the second slash
            raise AudioError(f"{path}: is a web address; download it and give the file") from error
        raise AudioError(f"{path}: cannot be opened ({reason(error)}); give the path of a sound file") from error
    if stat.S_ISDIR(status.st_mode):
        raise AudioError(f"{path}: is a folder; give a sound file")
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(f"{path}: is a pipe, a socket or a device; give a sound file")
    if status.st_size == 0:
        raise AudioError(f"{path}: is empty (0 bytes); give a sound file")


def reason(error: Exception) -> str:
    """Return the message of an error without its number."""
    return str(getattr(error, "strerror", None) or error)


def mp4_boxes(file: BinaryIO, start: int, end: int) -> list[tuple[bytes, int, int]]:
    """Return ``(name, start, end)`` of each MP4 box between two positions of a file, in bytes.

    ``start`` is where the content of the box begins. If the file is cut off, the last box ends after ``end``.
    """
    boxes: list[tuple[bytes, int, int]] = []
    while start + 8 <= end and len(boxes) < MAX_PARTS:
        file.seek(start)
        head = file.read(16)
        size, name, content = int.from_bytes(head[:4], "big"), head[4:8], start + 8
        if size == 1:
            size, content = int.from_bytes(head[8:16], "big"), start + 16
        elif size == 0:  # to the end of the file
            size = end - start
        if size < content - start:
            break
        boxes.append((name, content, start + size))
        start += size
    return boxes


def encrypted_tracks(file: BinaryIO) -> set[int | None]:
    """Return the numbers of the encrypted tracks of an MP4 file, or {None} for an encrypted Windows Media file.

    For other files, the set is empty.

    FFmpeg decodes encrypted tracks to noise or to nothing, without an error. The position in the file is unchanged.
    """
    position = file.tell()
    try:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(30)
        if head.startswith(ASF_HEADER):
            header = head + file.read(min(int.from_bytes(head[16:24], "little"), 1 << 20))
            return {None} if any(guid in header for guid in _ASF_ENCRYPTED) else set()
        if head[4:8] not in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp"):
            return set()
        return {
            _track_number(file, trak)
            for moov in _nested(file, (0, size), b"moov")
            for trak in _nested(file, moov, b"trak")
            if any(entry in _ENCRYPTED_ENTRIES for entry in _sample_entries(file, trak))
        }
    finally:
        file.seek(position)


def _nested(file: BinaryIO, part: tuple[int, int], *names: bytes) -> list[tuple[int, int]]:
    """Return start and end of the contents of all boxes at a path of nested box names."""
    parts = [part]
    for name in names:
        parts = [
            (first, min(end, last))
            for start, last in parts
            for box, first, end in mp4_boxes(file, start, last)
            if box == name
        ]
    return parts


def _sample_entries(file: BinaryIO, trak: tuple[int, int]) -> list[bytes]:
    tables = _nested(file, trak, b"mdia", b"minf", b"stbl", b"stsd")
    return [name for start, end in tables for name, _, _ in mp4_boxes(file, start + 8, end)]


def _track_number(file: BinaryIO, trak: tuple[int, int]) -> int:
    for start, _ in _nested(file, trak, b"tkhd"):
        file.seek(start)
        head = file.read(24)
        return int.from_bytes(head[20:24] if head[:1] == b"\x01" else head[12:16], "big")
    return 0
