"""Detect sound files that are cut off, from the sizes that they state: file -> **completeness** -> a warning.

FFmpeg reads a truncated file to its end without an error. If a container does not state the duration of its sound,
FFmpeg estimates the duration from the bit rate; the estimate is wrong for variable bit rates. So this module uses only
what the file states: the sizes of its top-level chunks, an end marker, the number of samples, or the size of the last
frame.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, Literal

from clavilux.audio.open_audio import ASF_HEADER, MAX_PARTS, MP4_FIRST_BOXES, mp4_boxes

# FFmpeg's names of containers whose header has the exact number of samples of each track.
LENGTH_IN_HEADER = frozenset(
    {"flac", "wv", "tta", "ape", "tak", "dsf", "mpc", "mpc8", "rm", "osq", "qoa", "mov,mp4,m4a,3gp,3g2,mj2"}
)

_TAIL_BYTES = 70_000  # more than the largest page of an Ogg file, 65 307 bytes
_SPARE_BYTES = 64  # so many bytes may be missing: some programs count padding bytes that they do not write
_UNKNOWN_32 = 0xFFFF_0000  # sizes from here on mean "unknown": a program that writes to a pipe cannot know the size
_NO_END = -1  # result of `_stated_end` if the end marker is missing
_MP3_KBITS = {  # (version, layer): bit rates in kbit/s; version 1 is MPEG-1, version 2 is MPEG-2 and 2.5
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

    The result is None if the file is complete, or if `_stated_end` does not know its container. Only the headers of the
    top-level chunks and at most 70 kB at the end of the file are read. Afterwards, the position in the file is 0.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    try:
        end = _stated_end(file, file.read(400), size)
    finally:
        file.seek(0)
    if end == _NO_END:
        return "the file is cut off: its end is missing"
    if end > size + _SPARE_BYTES:
        return f"the file is cut off: the last {end - size} bytes are missing"
    return None


def count_mp3_seconds(file: BinaryIO) -> float:
    """Return the duration of an MP3 file in seconds, from the header that its encoder wrote (Xing, Info or VBRI).

    Without such a header, the result is 0. Afterwards, the position in the file is 0.
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
    first_frame = re.search(rb"\xff[\xe2-\xff].{2}", head, re.DOTALL)
    mark = re.search(rb"Xing|Info|VBRI", head)
    if not first_frame or not mark or (frame := _mp3_frame(first_frame[0])) is None:
        return 0.0
    _, samples, sample_rate = frame
    at = mark.start()
    if mark[0] == b"VBRI":
        count = head[at + 14 : at + 18]
    else:  # the lowest flag means that the number of frames follows
        count = head[at + 8 : at + 12] if head[at + 7 : at + 8] and head[at + 7] & 1 else b""
    return int.from_bytes(count, "big") * samples / sample_rate


def frame_bytes(codec: str, packet: bytes) -> int:
    """Return the size of an encoded frame in bytes, as its header states it, or 0 if it is unknown.

    ``codec`` is FFmpeg's name of the codec. ``packet`` begins with the header of the frame. Only the headers of MPEG
    audio, AC-3, E-AC-3, TrueHD and MLP state the size.
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
    """Return the size in bytes, number of samples and sample rate in Hz of an MPEG audio frame, from its header.

    The result is None if the header is invalid.
    """
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


def _stated_end(file: BinaryIO, head: bytes, size: int) -> int:
    """Return the size in bytes that the complete file has, according to its container.

    The result is 0 if the container does not state this size, and `_NO_END` if the end marker is missing. ``head`` is
    the first 400 bytes of the file, ``size`` is the actual size of the file in bytes.
    """
    if head[:4] in (b"RF64", b"BW64"):  # large WAV: the size is in the first chunk, in 64 bits
        return 8 + int.from_bytes(head[20:28], "little") if head[12:16] == b"ds64" else 0
    if head[:4] in (b"RIFF", b"RIFX", b"FORM"):  # WAV, AVI, AIFF
        size_in_header = int.from_bytes(head[4:8], "little" if head[:4] == b"RIFF" else "big")
        return 8 + size_in_header if size_in_header < _UNKNOWN_32 else 0
    if head[:4] == b"riff" and head[24:28] == b"wave":  # W64
        return int.from_bytes(head[16:24], "little")
    if head[:4] == b".snd":  # AU
        data = int.from_bytes(head[8:12], "big")
        return int.from_bytes(head[4:8], "big") + data if data < _UNKNOWN_32 else 0
    if head[:4] == b"DSD ":
        return int.from_bytes(head[12:20], "little")
    if head[:19] == b"Creative Voice File":
        return _last_end(_voc_blocks(file, int.from_bytes(head[20:22], "little"), size))
    if head[:4] == b"caff":
        return _last_end(_chunks(file, 8, size, 4, "big", 12))
    if head[:16] == ASF_HEADER:  # Windows Media
        return _last_end(_chunks(file, 0, size, 16, "little", 0))
    if head[4:8] in MP4_FIRST_BOXES:
        return _last_end(end for _, _, end in mp4_boxes(file, 0, size))
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return _matroska_end(file, size)
    if head[:4] == b"OggS":
        return _ogg_end(file, size)
    if head[:3] == b"FLV":
        return _flv_end(file, size)
    if head[4:5] == b"G" == head[196:197]:  # MPEG transport stream: packets of 188 bytes, or of 192 with a time code
        return _NO_END if size % 192 else size
    if head[:1] == b"G" == head[188:189]:
        return _NO_END if size % 188 else size
    return 0


def _last_end(ends: Iterator[int]) -> int:
    """Return the largest of the first `MAX_PARTS` end positions, or 0 if there are none."""
    return max(islice(ends, MAX_PARTS), default=0)


def _voc_blocks(file: BinaryIO, start: int, size: int) -> Iterator[int]:
    """Yield the position where each block of a VOC file ends, until the end marker or the end of the file."""
    while start < size:
        file.seek(start)
        block = file.read(4)
        if block[:1] == b"\0":
            return
        start += 4 + int.from_bytes(block[1:4], "little")
        yield start


def _chunks(
    file: BinaryIO, start: int, size: int, name_bytes: int, order: Literal["little", "big"], extra: int
) -> Iterator[int]:
    """Yield the position in the file where each chunk ends.

    The first chunk begins at ``start``; ``size`` is the size of the file. The header of a chunk is a name of
    ``name_bytes`` bytes and a 64-bit integer: the size of the chunk minus ``extra``, the number of header bytes that
    the format does not count.
    """
    while start < size:
        file.seek(start)
        chunk = file.read(name_bytes + 8)
        length = int.from_bytes(chunk[name_bytes:], order, signed=True) + extra
        if length < name_bytes + 8:  # unknown
            return
        start += length
        yield start


def _matroska_end(file: BinaryIO, size: int) -> int:
    """Return the position where the segment of a Matroska file ends, or 0 if it is unknown.

    Live streams do not state the size of the segment. For these, the result is 0, unless the last cluster ends beyond
    the end of the file; then it is the position where the cluster ends.
    """
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


def _ogg_end(file: BinaryIO, size: int) -> int:
    """Return where the last page of an Ogg file ends, or `_NO_END` if the page is not marked as the end of stream."""
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


def _flv_end(file: BinaryIO, size: int) -> int:
    """Return 0 if the last four bytes of an FLV file are the size of the tag before them, else `_NO_END`."""
    file.seek(max(0, size - 4))
    length = int.from_bytes(file.read(4), "big")
    file.seek(max(0, size - 4 - length))
    tag = file.read(4)
    return 0 if length > 10 and int.from_bytes(tag[1:4], "big") == length - 11 else _NO_END
