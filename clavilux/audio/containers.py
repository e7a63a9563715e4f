"""Files of sound are opened as what they claim to be and as nothing else: file -> **here** -> decode.

A file may come from a stranger. Regular files only; containers of sound and film only (FFmpeg would follow playlists to
other files); no protocol but the bytes of the file itself. Everything that reads sound opens it here.
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

SOURCE_RATES_HZ = (4_000, 768_000)  # below and above, a header is more likely broken than meant

# Demuxers of sound and of film with sound. Playlists (hls, concat, dash), pictures, devices and subtitles are not here.
_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,ast,au,avi,caf,dsf,dts,dtshd,eac3,flac,flv,g722,gsm,ircam,iff,lc3,matroska,mlp,mov,mp3,mpc,mpc8,"
    "mpeg,mpegts,mxf,nut,ogg,oma,osq,qcp,qoa,rm,shn,sox,tak,truehd,tta,voc,w64,wav,wv,xwma"
)
# Entries in the table of sample descriptions of an MP4 file: common encryption, FairPlay, Audible.
_ENCRYPTED_ENTRIES = (b"enca", b"drms", b"aavd")
# Objects in the header of a Windows Media file: content encryption, extended, advanced.
ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_ENCRYPTED = (
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
    bytes.fromhex("338505438169e6499b74ad12cb86d58c"),
)
MAX_PARTS = 10_000  # a whole file has far fewer at one level, but for one that is cut into many fragments


def av_errors() -> tuple[type[Exception], ...]:
    """Return what PyAV and the codecs raise for an odd file; a function, since importing PyAV takes time."""
    import av

    return (av.FFmpegError, ValueError, OSError, ArithmeticError, LookupError, MemoryError, NotImplementedError)


class SafeFile(io.BufferedReader):
    """A file whose `seek` answers with an error number, where a damaged header sends FFmpeg to where no file reaches.

    PyAV would print the traceback of an exception on stderr; what FFmpeg gets is the same.
    """

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError, OverflowError) as error:
            return -(getattr(error, "errno", None) or errno.EINVAL)


def open_file(source: Path | bytes) -> SafeFile:
    """Open a file on disk, or the content of one.

    Raises
    ------
    AudioError
        The file cannot be opened.
    """
    if isinstance(source, bytes):
        return SafeFile(io.BytesIO(source))
    try:
        return SafeFile(io.FileIO(source))
    except OSError as error:
        raise AudioError(f"{source}: cannot be opened ({reason(error)}); give a file that may be read") from error


def open_container(file: BinaryIO, name: object) -> InputContainer:
    """Open the container in a file with FFmpeg.

    Parameters
    ----------
    file : file
        Open for reading bytes, at its start.
    name : object
        What errors call it.

    Raises
    ------
    AudioError
        It is no container of sound or film.
    """
    import av

    # Tags that are not UTF-8 raise in PyAV up to 18 unless this is given; PyAV 19 escapes them and has no such choice.
    tags: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
    try:
        container: InputContainer = av.open(
            file,
            mode="r",
            # Not `options`: PyAV up to 15 copies those for each stream, and dies of a stream that is found later (FLV).
            container_options={"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"},
            **tags,
        )
    except av_errors() as error:
        raise AudioError(
            f"{name}: not readable as sound ({reason(error)}); give a file that plays elsewhere"
        ) from error
    return container


def sound_tracks(container: InputContainer, encrypted: set[int | None], name: object) -> list[EncodedStream]:
    """Return the sound tracks that can be decoded, in their order in the file, ready to be decoded.

    Parameters
    ----------
    container : InputContainer
    encrypted : set
        Of `encrypted_tracks`.
    name : object
        What errors call the file.

    Raises
    ------
    AudioError
        There is none: no sound at all, all of it encrypted, or in a codec that FFmpeg does not know.
    """
    import av

    if not container.streams.audio:
        raise AudioError(f"{name}: holds no sound; give a file of sound or a film with sound")
    # Whether FFmpeg knows the codec of a track shows by its context alone.
    known = [track for track in container.streams.audio if isinstance(track, av.AudioStream) and track.codec_context]
    if not known:
        raise AudioError(f"{name}: its sound is of a kind that cannot be decoded; save it again, as FLAC for instance")
    tracks = [track for track in known if track.id not in encrypted and None not in encrypted]
    if not tracks:
        raise AudioError(f"{name}: its sound is encrypted (DRM); give a copy without protection")
    opened = []
    for track in tracks:
        context = track.codec_context
        context.thread_count = 1  # songs run in parallel, not the packets of one song
        # PyAV 18 and 19 do not copy a layout of channels in an order of its own, as CAF and MOV can hold: whoever reads
        # it frees it, each frame too, and the process dies. So it is read once and replaced. The mix needs the number
        # of channels only; decoders that know their layout set it again.
        n_channels = context.channels
        if n_channels > 0:
            context.layout = f"{n_channels} channels"
        try:
            context.open(strict=False)  # PyAV 19 dies at the second packet for a decoder that could not be opened
        except av_errors():
            continue
        opened.append(track)
    if not opened:
        raise AudioError(f"{name}: its sound is of a kind that cannot be decoded; save it again, as FLAC for instance")
    return opened


def best_track(container: InputContainer, tracks: list[EncodedStream]) -> EncodedStream:
    """Return the track that FFmpeg would play, or the first if that one cannot be decoded."""
    best = container.streams.best("audio")
    return next((track for track in tracks if best is not None and track.index == best.index), tracks[0])


def keep_end(packet: Packet[EncodedStream]) -> None:
    """Keep the end of a packet of MP4 or MOV, which FFmpeg from version 9 on cuts off.

    FFmpeg 8 keeps what the encoder added to fill its last packet (0.02 s). So pictures are the same with both.
    """
    if packet.has_sidedata("skip_samples"):  # samples to cut at the start, at the end (uint32 each), and the reasons
        cut = packet.get_sidedata("skip_samples")
        cut.update(bytes(cut)[:4] + bytes(4) + bytes(cut)[8:])
        packet.set_sidedata(cut)


def check_rate(rate: int, name: object) -> None:
    """Refuse a rate that no recording has.

    Raises
    ------
    AudioError
        It lies outside `SOURCE_RATES_HZ`.
    """
    low, high = SOURCE_RATES_HZ
    if not low <= rate <= high:
        raise AudioError(
            f"{name}: says it has {rate} samples a second; {low} to {high} are read: save it again at 44100"
        )


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
        raise AudioError(f"{path}: cannot be opened ({reason(error)}); give the path of a file of sound") from error
    if stat.S_ISDIR(status.st_mode):
        raise AudioError(f"{path}: is a folder; give a file of sound")
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(f"{path}: is a pipe, a socket or a device; give a regular file of sound")
    if status.st_size == 0:
        raise AudioError(f"{path}: is empty (0 bytes); give a file of sound")


def reason(error: Exception) -> str:
    """Return the text of an error without its number."""
    return str(getattr(error, "strerror", None) or error)


def mp4_boxes(file: BinaryIO, start: int, end: int) -> list[tuple[bytes, int, int]]:
    """Return name, start of the content and end of the boxes of an MP4 file at one level.

    The last one may end beyond `end`: then the file is cut off.
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
    """Return the numbers of the encrypted tracks of an MP4 file; None stands for all tracks of a Windows Media file.

    FFmpeg decodes such tracks to noise or to nothing, and does not say so. The position in the file is kept.
    """
    here = file.tell()
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
            for moov in _inside(file, (0, size), b"moov")
            for trak in _inside(file, moov, b"trak")
            if any(entry in _ENCRYPTED_ENTRIES for entry in _sample_entries(file, trak))
        }
    finally:
        file.seek(here)


def _inside(file: BinaryIO, part: tuple[int, int], *names: bytes) -> list[tuple[int, int]]:
    """Return the parts of a file that the boxes of these names, one within the other, take up."""
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
    tables = _inside(file, trak, b"mdia", b"minf", b"stbl", b"stsd")
    return [name for start, end in tables for name, _, _ in mp4_boxes(file, start + 8, end)]


def _track_number(file: BinaryIO, trak: tuple[int, int]) -> int:
    for start, _ in _inside(file, trak, b"tkhd"):
        file.seek(start)
        head = file.read(24)
        return int.from_bytes(head[20:24] if head[:1] == b"\x01" else head[12:16], "big")
    return 0
