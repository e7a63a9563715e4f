"""Picture files that Pillow does not write, made byte by byte: ICC profiles, PNG of any depth, TIFF of any layout."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import to_light

D50 = np.array([0.9642, 1.0, 0.8249])
SRGB_TO_XYZ = np.array(  # IEC 61966-2-1 adapted to D50 by Bradford's matrix, as in ICC profiles of sRGB
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
ADOBE_TO_XYZ = np.array(  # Adobe RGB (1998), adapted likewise
    [[0.6097559, 0.2052401, 0.1492240], [0.3111242, 0.6256560, 0.0632197], [0.0194811, 0.0608902, 0.7448387]]
)
ADOBE_GAMMA = 563 / 256
ADOBE_PRIMARIES = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)  # white, red, green, blue


def to_adobe(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return sRGB pixels as Adobe RGB (1998)."""
    light = to_light(rgb / np.float32(255)) @ (np.linalg.inv(ADOBE_TO_XYZ) @ SRGB_TO_XYZ).T
    return np.rint(255 * np.clip(light, 0, 1) ** (1 / ADOBE_GAMMA)).astype(np.uint8)


def icc_profile(space: bytes, tags: dict[bytes, bytes], pcs: bytes = b"XYZ ", kind: bytes = b"mntr") -> bytes:
    """Return an ICC profile of version 2.1 (ICC.1:2001-04, 6)."""
    body, table = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content
    head = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x02100000, kind, space, pcs) + bytes(12) + b"acsp"
    head = head.ljust(68, b"\0") + struct.pack(">iii", *_fixed(D50))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def adobe_profile() -> bytes:
    """Return the profile of Adobe RGB (1998)."""
    columns = {name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), ADOBE_TO_XYZ.T, strict=True)}
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(ADOBE_GAMMA))
    return icc_profile(b"RGB ", {b"wtpt": _xyz(D50), **columns, **curves})


def grey_profile(gamma: float) -> bytes:
    """Return the profile of greys that are light to the power of 1 / gamma."""
    return icc_profile(b"GRAY", {b"wtpt": _xyz(D50), b"kTRC": _curve(gamma)})


def cmyk_profile(corners: NDArray[np.float64]) -> bytes:
    """Return a printer's profile from the CIELAB colours (16, 3) of all combinations of inks, black fastest."""
    identity = bytes(range(256))
    grid = np.rint(corners * [255 / 100, 1, 1] + [0, 128, 128]).clip(0, 255).astype(np.uint8).tobytes()
    matrix = struct.pack(">9i", *_fixed(np.eye(3).ravel()))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + 4 * identity + grid + 3 * identity
    return icc_profile(b"CMYK", {b"wtpt": _xyz(D50), b"A2B0": table}, pcs=b"Lab ", kind=b"prtr")


def _fixed(values: NDArray[np.float64]) -> list[int]:
    return [round(float(value) * 65_536) for value in values]


def _xyz(values: NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">iii", *_fixed(values))


def _curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))


def png_chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_file(samples: NDArray[np.integer], depth: int, *chunks: bytes) -> bytes:
    """Return a PNG of samples (h, w) or (h, w, 1 to 4) of 1, 2, 4, 8 or 16 bits, with chunks before the pixels."""
    height, width = samples.shape[:2]
    channels = samples.reshape(height, width, -1).shape[2]
    rows = samples.reshape(height, -1)
    if depth == 16:
        packed = rows.astype(">u2").view(np.uint8).reshape(height, -1)
    else:
        bits = (rows[:, :, None] >> np.arange(depth - 1, -1, -1)) & 1
        packed = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    plain = np.concatenate([np.zeros((height, 1), np.uint8), packed], axis=1).tobytes()
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    parts = [png_chunk(b"IHDR", head), *chunks, png_chunk(b"IDAT", zlib.compress(plain, 1)), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff_file(samples: NDArray[np.generic], photometric: int, *, bits: int = 0, extra: int | None = None) -> bytes:
    """Return an uncompressed TIFF of samples (h, w) or (h, w, n), in the byte order and the type of the array.

    Parameters
    ----------
    bits : int
        Bits that a sample has in the file if they are fewer than in the array: 12, packed.
    extra : int, optional
        What the last channel is: 0 unknown, 1 premultiplied opacity, 2 opacity.
    """
    height, width = samples.shape[:2]
    channels = samples.reshape(height, width, -1).shape[2]
    is_big = samples.dtype.byteorder == ">"
    order = ">" if is_big else "<"
    content = samples.tobytes()
    if bits == 12:
        unpacked = (samples[:, :, None] >> np.arange(11, -1, -1)) & 1
        content = np.packbits(unpacked.reshape(height, -1).astype(np.uint8), axis=1).tobytes()
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    depth = bits or samples.dtype.itemsize * 8
    entries: list[tuple[int, list[int]]] = [
        (256, [width]), (257, [height]), (258, [depth] * channels), (259, [1]), (262, [photometric]), (273, [0]),
        (277, [channels]), (278, [height]), (279, [len(content)]), (339, [kind] * channels),
    ]  # fmt: skip
    if extra is not None:
        entries = sorted([*entries, (338, [extra])])
    start = 8 + 2 + 12 * len(entries) + 4
    tail = b""
    directory = struct.pack(f"{order}H", len(entries))
    room = sum(2 * len(values) for tag, values in entries if tag in (258, 339) and len(values) > 2)
    for tag, values in entries:
        if tag in (258, 339, 338, 262, 259, 277):
            packed = struct.pack(f"{order}{len(values)}H", *values)
            if len(packed) > 4:
                field = struct.pack(f"{order}I", start + len(tail))
                tail += packed
            else:
                field = packed.ljust(4, b"\0")
            directory += struct.pack(f"{order}HHI", tag, 3, len(values)) + field
        else:
            value = start + room if tag == 273 else values[0]
            directory += struct.pack(f"{order}HHII", tag, 4, 1, value)
    head = (b"MM\0*" if is_big else b"II*\0") + struct.pack(f"{order}I", 8)
    return head + directory + bytes(4) + tail + content


def lab_samples(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return sRGB pixels as CIELAB for D50 in the bytes of a TIFF: L* of 255, a* and b* with sign."""
    xyz = to_light(rgb / np.float32(255)) @ SRGB_TO_XYZ.T / D50
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    lab = np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)
    return np.rint(lab * [255 / 100, 1, 1]).astype(int).astype(np.uint8)
