"""Open sound files safely: file -> **open_audio** -> decode.

A file may come from an untrusted source. So this module opens only regular files in container formats of sound and
video, and no network addresses. (FFmpeg alone would also open the files and addresses that a playlist names.) All code
that reads sound uses this module.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from clavilux.errors import AudioError
from clavilux.images import PICTURE_SUFFIXES, starts_as_picture
from clavilux.system.files import DOWNLOAD_IT, FIRST_VERSION, web_address

if TYPE_CHECKING:
    from av import Packet
    from av.audio.stream import AudioStream as EncodedStream
    from av.container import InputContainer

SOURCE_RATES_HZ = (4_000, 768_000)  # allowed sample rates; a header with any other is probably damaged

# FFmpeg's demuxers of sound and video. Playlists (hls, concat, dash), pictures, devices and subtitles are left out.
_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,ast,au,avi,caf,dsf,dts,dtshd,eac3,flac,flv,g722,gsm,ircam,iff,lc3,matroska,mlp,mov,mp3,mpc,mpc8,"
    "mpeg,mpegts,mxf,nut,ogg,oma,osq,qcp,qoa,rm,shn,sox,tak,truehd,tta,voc,w64,wav,wv,xwma"
)
# Names of the first box of an MP4 file.
MP4_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp")
# Names of encrypted entries in the sample description table of an MP4 file: Common Encryption, FairPlay, Audible.
_ENCRYPTED_ENTRIES = (b"enca", b"drms", b"aavd")
# First bytes of a Windows Media file (ASF), and the identifiers of header objects that only encrypted files have.
ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_ENCRYPTED = (
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
    bytes.fromhex("338505438169e6499b74ad12cb86d58c"),
)
MAX_PARTS = 10_000  # largest number of chunks or boxes that are read at one level; fragmented files have fewer


def av_errors() -> tuple[type[Exception], ...]:
    """Return the classes of the exceptions that PyAV raises for damaged files, for an ``except`` clause."""
    # This is not a constant, because importing PyAV is slow.
    import av

    return (av.FFmpegError, ValueError, OSError, ArithmeticError, LookupError, MemoryError, NotImplementedError)


class SafeFile(io.BufferedReader):
    """A file whose `seek` returns a negative error number instead of raising an exception.

    A damaged header can make FFmpeg seek to an impossible position. FFmpeg treats a negative result as a failed seek;
    PyAV would print an exception on stderr.
    """

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a position; return the position, or a negative error number if this fails."""
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError, OverflowError) as error:
            return -(getattr(error, "errno", None) or errno.EINVAL)


def open_file(source: Path | bytes) -> SafeFile:
    """Open a file for reading, given its path or its content.

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
            f"{source}: cannot be read ({reason(error)}); check that you have permission to read it"
        ) from error


def open_container(file: BinaryIO, name: object) -> InputContainer:
    """Open a file as a container of FFmpeg, and return the container.

    ``file`` is open in binary mode, and its position is 0. Error messages call the file ``name``.

    Raises
    ------
    AudioError
        If the file is not a container of sound or video, such as a picture.
    """
    import av

    # PyAV up to 18 needs this argument for tags that are not UTF-8. PyAV 19 has no such argument and escapes them.
    tags: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
    try:
        if starts_as_picture(file.read(12)):
            raise AudioError(
                f"{name}: is a picture, not sound; give a song (`clavilux paint --again PICTURE` repaints a picture)"
            )
        file.seek(0)
        container: InputContainer = av.open(
            file,
            mode="r",
            # PyAV up to 15 copies `options` for each stream, and crashes if a stream appears later (FLV).
            container_options={"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"},
            **tags,
        )
    except av_errors() as error:
        raise AudioError(
            f"{name}: not readable as sound ({reason(error)}); check that the file plays in a music player"
        ) from error
    return container


def sound_tracks(container: InputContainer, encrypted: set[int | None], name: object) -> list[EncodedStream]:
    """Return the sound tracks that can be decoded, in the order of the file, with open decoders.

    ``encrypted`` is the result of `encrypted_tracks`. Error messages call the file ``name``.

    Raises
    ------
    AudioError
        If no track can be decoded: the file has no sound, or all its sound is encrypted or has unknown codecs.
    """
    import av

    if not container.streams.audio:
        raise AudioError(f"{name}: holds no sound; give a sound file, or a video with sound")
    # A track without a context has a codec that FFmpeg does not know.
    known = [track for track in container.streams.audio if isinstance(track, av.AudioStream) and track.codec_context]
    tracks = [track for track in known if track.id not in encrypted and None not in encrypted]
    if known and not tracks:
        raise AudioError(f"{name}: its sound is encrypted (DRM); give a file without copy protection")
    opened = []
    for track in tracks:
        context = track.codec_context
        context.thread_count = 1  # songs are processed in parallel instead
        # PyAV 18 and 19 do not copy a custom channel layout, as in CAF and MOV. Each access frees it, and after the
        # second one the process crashes. So the layout is replaced after one access. The mix needs only the number of
        # channels, and decoders that know their layout set it again.
        n_channels = context.channels
        if n_channels > 0:
            context.layout = f"{n_channels} channels"
        with suppress(*av_errors()):
            context.open(strict=False)  # if the first packet opened it and failed, PyAV 19 would crash at the second
            opened.append(track)
    if not opened:
        raise AudioError(f"{name}: its sound is of a kind that cannot be decoded; save it again, as FLAC for instance")
    return opened


def best_track(container: InputContainer, tracks: list[EncodedStream]) -> EncodedStream:
    """Return the track that FFmpeg plays by default if it is one of ``tracks``, else the first of ``tracks``."""
    best = container.streams.best("audio")
    return next((track for track in tracks if best is not None and track.index == best.index), tracks[0])


def keep_end(packet: Packet[EncodedStream]) -> None:
    """Change a packet in place, so that FFmpeg 9 keeps the padding (about 0.02 s) at the end of an MP4 or MOV file.

    FFmpeg 8 always keeps the padding; the picture must not depend on the version of FFmpeg.
    """
    if packet.has_sidedata("skip_samples"):  # uint32: samples to skip at the start, at the end, and the reasons
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
    """Raise `AudioError` unless a path names a regular file that is not empty.

    The path is not opened, because opening a pipe or a device can block.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        if address := web_address(path):
            raise AudioError(f"{address}: {DOWNLOAD_IT}") from error
        is_named_picture = Path(path).suffix.lower() in PICTURE_SUFFIXES
        advice = f"; a picture of this name is written with -o {path}" if is_named_picture else ""
        raise AudioError(
            f"{path}: cannot be opened ({reason(error)}); give the path of a sound file{advice}"
        ) from error
    if stat.S_ISDIR(status.st_mode):
        raise AudioError(f"{path}: is a folder; give a sound file")
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(f"{path}: is a pipe, a socket or a device; give a sound file")
    if path.suffix.lower() == ".pth":
        raise AudioError(f"{path}: {FIRST_VERSION}")
    if status.st_size == 0:
        raise AudioError(f"{path}: is empty (0 bytes); give a sound file")


def reason(error: Exception) -> str:
    """Return the message of an error, without an error number."""
    return str(getattr(error, "strerror", None) or error)


def mp4_boxes(file: BinaryIO, start: int, end: int) -> list[tuple[bytes, int, int]]:
    """Return the name, start and end of each MP4 box between two positions of a file, in bytes.

    The start of a box is the position of its content, after its header. If the file is cut off, the end of the last box
    is greater than ``end``.
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
    """Return the IDs of the encrypted tracks of an MP4 file, or {None} for an encrypted Windows Media file.

    For any other file, the set is empty. The position in the file is unchanged.

    FFmpeg decodes encrypted tracks to noise or to nothing, without an error.
    """
    position = file.tell()
    try:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(30)
        if head.startswith(ASF_HEADER):
            header = head + file.read(min(int.from_bytes(head[16:24], "little"), 1 << 20))
            return {None} if any(guid in header for guid in _ASF_ENCRYPTED) else set()
        if head[4:8] not in MP4_FIRST_BOXES:
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
    """Return the start and end of all MP4 boxes at a path of nested box names, inside the box ``part`` (start, end).

    For example, the names b"mdia", b"minf" find all boxes minf in all boxes mdia in ``part``.
    """
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
    """Return the names of the entries in the sample description table of a track, the box ``trak`` (start, end)."""
    tables = _nested(file, trak, b"mdia", b"minf", b"stbl", b"stsd")
    return [name for start, end in tables for name, _, _ in mp4_boxes(file, start + 8, end)]


def _track_number(file: BinaryIO, trak: tuple[int, int]) -> int:
    for start, _ in _nested(file, trak, b"tkhd"):
        file.seek(start)
        head = file.read(24)
        return int.from_bytes(head[20:24] if head[:1] == b"\x01" else head[12:16], "big")
    return 0
