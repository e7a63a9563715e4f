"""Detect sound files that are cut off, from the sizes in their containers: file -> **completeness** -> a warning.

FFmpeg reads a truncated file to its end without an error. If a container does not have a length, FFmpeg estimates it
from the bit rate, which is wrong for variable bit rates. So only information in the file itself is used: the size of
an outer chunk, an end marker, a number of samples, or the size of the last frame.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import BinaryIO

from clavilux.audio.open_audio import ASF_HEADER, MAX_PARTS, mp4_boxes

# FFmpeg's names of containers whose header has the exact number of samples of each track.
LENGTH_IN_HEADER = frozenset(
    {"flac", "wv", "tta", "ape", "tak", "dsf", "mpc", "mpc8", "rm", "osq", "qoa", "mov,mp4,m4a,3gp,3g2,mj2"}
)

_TAIL_BYTES = 70_000  # more than the largest page of an Ogg file, 65 307 bytes
_SPARE_BYTES = 64  # some programs count padding bytes that they do not write
_UNKNOWN_32 = 0xFFFF_0000  # sizes from here on mean unknown, as when the file was written to a pipe
_MP3_KBITS = {  # bit rates by version (1: MPEG-1, 2: MPEG-2 and 2.5) and layer
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}  # fmt: skip
_AC3_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)


def find_cut(file: BinaryIO) -> str | None:
    """Return a warning if the container shows that a sound file is cut off.

    None means no sign of it: the file is complete, or its container is not one of `_CONTAINERS`.
    The position in the file is set to its start.

    Only the headers of the outer chunks and at most 70 kB of the end are read.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(400)
    try:
        end = next(
            (end for matches, find_end in _CONTAINERS if matches(head) and (end := find_end(file, head, size))), 0
        )
    finally:
        file.seek(0)
    if end == _NO_END:
        return "the file is cut off: its end is missing"
    if end > size + _SPARE_BYTES:
        return f"the file is cut off: the last {end - size} bytes are missing"
    return None


def count_mp3_seconds(file: BinaryIO) -> float:
    """Return the duration of an MP3 file in seconds, from the header of its encoder (Xing, Info or VBRI).

    Without such a header, the result is 0. The position in the file is set to its start.
    """
    start = 0
    for _ in range(8):  # ID3 tags at the start, one after the other
        file.seek(start)
        tag = file.read(10)
        if tag[:3] != b"ID3" or len(tag) < 10:
            break
        start += 10 + sum((byte & 127) << shift for byte, shift in zip(tag[6:10], (21, 14, 7, 0), strict=True))
    file.seek(start)
    head = file.read(4_096)
    file.seek(0)
    found = re.search(rb"\xff[\xe2-\xff].{2}", head, re.DOTALL)
    mark = re.search(rb"Xing|Info|VBRI", head)
    if not found or not mark or (frame := _mp3_frame(found[0])) is None:
        return 0.0
    _, samples, sample_rate = frame
    at = mark.start()
    if mark[0] == b"VBRI":
        count = head[at + 14 : at + 18]
    else:  # the lowest flag means that the number of frames follows
        count = head[at + 8 : at + 12] if head[at + 7 : at + 8] and head[at + 7] & 1 else b""
    return int.from_bytes(count, "big") * samples / sample_rate


def frame_bytes(codec: str, packet: bytes) -> int:
    """Return the size in bytes that the header of a packet states for its frame; 0 if the codec states none.

    ``codec`` is FFmpeg's name. MPEG audio, AC-3, E-AC-3, TrueHD and MLP state a size.
    """
    if codec.startswith(("mp1", "mp2", "mp3")) and (frame := _mp3_frame(packet[:4])) is not None:
        return frame[0]
    if codec in ("ac3", "eac3") and packet[:2] == b"\x0b\x77" and len(packet) > 5:
        if packet[5] >> 3 > 10:  # bit stream identification: E-AC-3
            return 2 * ((packet[2] & 7) << 8 | packet[3]) + 2
        rate, code = packet[4] >> 6, packet[4] & 63
        if rate < 3 and code // 2 < len(_AC3_KBITS):
            words = _AC3_KBITS[code // 2] * 96_000 // (48_000, 44_100, 32_000)[rate]
            return 2 * (words + (code & 1 if rate == 1 else 0))
    if codec in ("truehd", "mlp") and len(packet) > 1:
        return 2 * (int.from_bytes(packet[:2], "big") & 0xFFF)
    return 0


def _mp3_frame(head: bytes) -> tuple[int, int, int] | None:
    """Return size in bytes, number of samples and sample rate of an MPEG audio frame; None if the header is invalid."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = (2.5, 0, 2, 1)[head[1] >> 3 & 3], 4 - (head[1] >> 1 & 3)
    kbits, rate = head[2] >> 4, head[2] >> 2 & 3
    if not version or layer == 4 or not 0 < kbits < 15 or rate == 3:
        return None
    hz = int((44_100, 48_000, 32_000)[rate] / {1: 1, 2: 2, 2.5: 4}[version])
    bits = 1_000 * _MP3_KBITS[1 if version == 1 else 2, layer][kbits - 1]
    padding = head[2] >> 1 & 1
    if layer == 1:
        return (12 * bits // hz + padding) * 4, 384, hz
    samples = 576 if layer == 3 and version != 1 else 1_152
    return samples // 8 * bits // hz + padding, samples, hz


# Each of these functions returns the position at which the file should end, 0 if unknown, `_NO_END` if it is missing.

_NO_END = -1  # the end marker is missing


def _riff_end(file: BinaryIO, head: bytes, size: int) -> int:
    """Return the end of WAV, AVI and AIFF."""
    if head[:4] in (b"RF64", b"BW64"):  # the size is in the first chunk, in 64 bits
        return 8 + int.from_bytes(head[20:28], "little") if head[12:16] == b"ds64" else 0
    size_in_header = int.from_bytes(head[4:8], "little" if head[:4] == b"RIFF" else "big")
    return 8 + size_in_header if size_in_header < _UNKNOWN_32 else 0


def _w64_end(file: BinaryIO, head: bytes, size: int) -> int:
    return int.from_bytes(head[16:24], "little")


def _au_end(file: BinaryIO, head: bytes, size: int) -> int:
    data = int.from_bytes(head[8:12], "big")
    return int.from_bytes(head[4:8], "big") + data if data < _UNKNOWN_32 else 0


def _dsf_end(file: BinaryIO, head: bytes, size: int) -> int:
    return int.from_bytes(head[12:20], "little")


def _voc_end(file: BinaryIO, head: bytes, size: int) -> int:
    return _last_end(_voc_blocks(file, int.from_bytes(head[20:22], "little"), size))


def _voc_blocks(file: BinaryIO, start: int, size: int) -> Iterator[int]:
    while start < size:
        file.seek(start)
        block = file.read(4)
        if block[:1] == b"\0":
            return
        start += 4 + int.from_bytes(block[1:4], "little")
        yield start


def _caf_end(file: BinaryIO, head: bytes, size: int) -> int:
    return _last_end(_chunks(file, 8, size, 4, "big", 12))


def _asf_end(file: BinaryIO, head: bytes, size: int) -> int:
    return _last_end(_chunks(file, 0, size, 16, "little", 0))


def _chunks(file: BinaryIO, start: int, size: int, name_bytes: int, order: str, extra: int) -> Iterator[int]:
    """Yield the ends of chunks with a name and a 64-bit size that does not include `extra` bytes of the header."""
    while start < size:
        file.seek(start)
        chunk = file.read(name_bytes + 8)
        length = int.from_bytes(chunk[name_bytes:], "little" if order == "little" else "big", signed=True) + extra
        if length < name_bytes + 8:  # unknown
            return
        start += length
        yield start


def _mp4_end(file: BinaryIO, head: bytes, size: int) -> int:
    return _last_end(end for _, _, end in mp4_boxes(file, 0, size))


def _matroska_end(file: BinaryIO, head: bytes, size: int) -> int:
    """Return the end of the segment, or of the last cluster if the size of the segment is unknown (live streams)."""
    start = 0
    for _ in range(MAX_PARTS):
        file.seek(start)
        element = file.read(12)
        id_bytes = 9 - (element[0].bit_length() if element else 0)
        size_bytes = 9 - (element[id_bytes].bit_length() if id_bytes < len(element) else 0)
        content = start + id_bytes + size_bytes
        if id_bytes > 4 or size_bytes > 8 or content > size:
            return 0
        bits = 7 * size_bytes
        length = int.from_bytes(element[id_bytes : id_bytes + size_bytes], "big") & ((1 << bits) - 1)
        is_segment = element[:4] == b"\x18\x53\x80\x67"
        if length == (1 << bits) - 1:
            if not is_segment:
                return 0
            start = content
        elif is_segment or content + length > size:
            return content + length
        else:
            start = content + length
    return 0


def _ogg_end(file: BinaryIO, head: bytes, size: int) -> int:
    """Return the end of the last page, which must have the end-of-stream flag."""
    start = max(0, size - _TAIL_BYTES)
    file.seek(start)
    tail = file.read(_TAIL_BYTES)
    page = tail.rfind(b"OggS\0")
    if page < 0 or page + 27 > len(tail):
        return _NO_END
    n_segments = tail[page + 26]
    lengths = tail[page + 27 : page + 27 + n_segments]
    end = page + 27 + n_segments + sum(lengths)
    return start + end if len(lengths) == n_segments and tail[page + 5] & 4 else _NO_END


def _flv_end(file: BinaryIO, head: bytes, size: int) -> int:
    """Return 0 if the last four bytes are the size of the tag before them, else `_NO_END`."""
    file.seek(max(0, size - 4))
    length = int.from_bytes(file.read(4), "big")
    file.seek(max(0, size - 4 - length))
    tag = file.read(4)
    return 0 if length > 10 and int.from_bytes(tag[1:4], "big") == length - 11 else _NO_END


def _transport_end(file: BinaryIO, head: bytes, size: int) -> int:
    """Check that an MPEG transport stream has only complete packets of 188 bytes, or of 192 with a time code."""
    packet = 192 if head[4:5] == b"G" == head[196:197] else 188
    return _NO_END if size % packet else size


def _last_end(ends: Iterator[int]) -> int:
    """Return the last of at most `MAX_PARTS` positions, 0 without any."""
    return max(islice(ends, MAX_PARTS), default=0)


# How to recognise a container from its first bytes, and the function that returns its end.
_CONTAINERS: tuple[tuple[Callable[[bytes], bool], Callable[[BinaryIO, bytes, int], int]], ...] = (
    (lambda head: head[:4] in (b"RIFF", b"RIFX", b"FORM", b"RF64", b"BW64"), _riff_end),
    (lambda head: head[:4] == b"riff" and head[24:28] == b"wave", _w64_end),
    (lambda head: head[:4] == b".snd", _au_end),
    (lambda head: head[:4] == b"DSD ", _dsf_end),
    (lambda head: head[:19] == b"Creative Voice File", _voc_end),
    (lambda head: head[:4] == b"caff", _caf_end),
    (lambda head: head[:16] == ASF_HEADER, _asf_end),
    (lambda head: head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp"), _mp4_end),
    (lambda head: head[:4] == b"\x1a\x45\xdf\xa3", _matroska_end),
    (lambda head: head[:4] == b"OggS", _ogg_end),
    (lambda head: head[:3] == b"FLV", _flv_end),
    (lambda head: head[:1] == b"G" == head[188:189] or head[4:5] == b"G" == head[196:197], _transport_end),
)
