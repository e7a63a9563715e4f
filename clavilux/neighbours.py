"""Find the training songs of a bundle nearest to a song, and its training pictures nearest to the picture of the song.

A bundle is a folder of trained networks. Its file ``neighbours.npz`` has three arrays. ``songs`` (n, 64 + D) float16
are song codes from `place_songs`; D is the number of descriptors in a song code. ``pictures`` (m, 64) float16 are
latents of pictures.
``names`` is a JSON text in UTF-8 as uint8: an object with the lists "songs" and "pictures", which have a path, an
artist and a source for each row of the arrays. Artist and source may be "".
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clavilux.constants import LATENT_DIM, SONG_LIMIT
from clavilux.system.npy import read_npy

Float64 = NDArray[np.float64]

NEAREST = 3  # number of training songs, and of training pictures, that are returned
_LONGEST = 300  # largest number of characters of a path, an artist or a source
_MOST_BYTES = 16_000_000  # largest size of the file; eight times the largest file that a training writes
_PAIRED = 1_000  # pairs are measured among at most so many rows, which are evenly spaced
_SAME_SONG = 0.05  # songs nearer than this share of the median distance count as the same, such as an MP3 of a song


class Origin(NamedTuple):
    """Where a training song or a training picture comes from."""

    path: str  # path inside the source; for a file of a user, the file name
    artist: str  # "" if unknown
    source: str  # name of the source in the tables of `clavilux.corpus`; "" for a file of a user


class Nearby(NamedTuple):
    """A neighbour: a training song near to a song, or a training picture near to a picture."""

    title: str
    artist: str
    source: str
    path: str
    share: float  # fraction of the pairs of training songs (or pictures) that are further apart


@dataclass(frozen=True)
class _Points:
    """Points (n, F) of songs or pictures, with their origins."""

    points: Float64
    origins: list[Origin]

    @cached_property
    def pair_distances(self) -> Float64:
        """Return the distances of all pairs of points (of 1000 of them, if there are more), in ascending order."""
        n = len(self.points)
        points = self.points[np.linspace(0, n - 1, min(n, _PAIRED)).round().astype(int)]
        square = (points**2).sum(axis=1)
        squares = square[:, None] + square[None] - 2 * points @ points.T
        return np.sort(np.sqrt(np.maximum(squares[np.triu_indices(len(points), 1)], 0)))

    def nearest(self, point: Float64, further_than: float = -1.0) -> list[Nearby]:
        """Return the `NEAREST` songs or pictures nearest to a point (F,), but further away than ``further_than``."""
        distances = np.sqrt(np.square(self.points - point).sum(axis=1))
        order = [row for row in np.argsort(distances, kind="stable") if distances[row] > further_than]
        pairs = self.pair_distances
        shares = 1.0 - np.searchsorted(pairs, distances, side="right") / len(pairs)
        return [
            Nearby(_title(origin), _artist(origin), origin.source, origin.path, float(shares[row]))
            for row, origin in ((row, self.origins[row]) for row in order[:NEAREST])
        ]


class Neighbours:
    """Search for the nearest training songs and training pictures of a bundle.

    Parameters
    ----------
    content : bytes
        Content of ``neighbours.npz``.
    card : mapping
        Content of ``bundle.json``.

    Raises
    ------
    ValueError
        If ``content`` is damaged or does not fit ``card``, or ``card`` has no weights for comparing songs.
    """

    def __init__(self, content: bytes, card: Mapping[str, Any]) -> None:
        self._constants = card["normalisation"]
        if "song_weights" not in self._constants:
            raise ValueError("bundle.json has no song_weights")
        self._descriptors = dict(zip(card["descriptors"], self._constants["descriptor_mean"], strict=True))
        members = _read_members(content)
        names = _read_names(members["names"])
        self._songs, self._pictures = (
            _Points(_read_points(members[what], n_columns, len(names[what])), names[what])
            for what, n_columns in (("songs", LATENT_DIM + len(self._descriptors)), ("pictures", LATENT_DIM))
        )

    def songs(self, z_audio: ArrayLike, descriptors: Mapping[str, float]) -> list[Nearby]:
        """Return the training songs that sound most like a song, the nearest first, without the song itself.

        ``z_audio`` (64,) is the mean audio latent of the song. A missing descriptor is replaced by its mean over the
        training songs. A training song at nearly the same point counts as the song itself.
        """
        code = [*np.asarray(z_audio), *(descriptors.get(name, mean) for name, mean in self._descriptors.items())]
        itself = _SAME_SONG * float(np.median(self._songs.pair_distances))
        return self._songs.nearest(place_songs(code, self._constants), itself)

    def pictures(self, z_image: ArrayLike) -> list[Nearby]:
        """Return the training pictures whose latents are nearest to a latent (64,), the nearest first."""
        return self._pictures.nearest(np.asarray(z_image, np.float64))


def place_songs(codes: ArrayLike, constants: Mapping[str, Any]) -> Float64:
    """Return song codes (..., 64 + D) in the form in which they are compared: standardised, clipped and weighted.

    ``constants`` is the object "normalisation" of ``bundle.json``.
    """
    mean, deviation, weights = (np.array(constants[f"song_{part}"]) for part in ("mean", "deviation", "weights"))
    standard = (np.asarray(codes, np.float64) - mean) / deviation
    return np.asarray(np.clip(standard, -SONG_LIMIT, SONG_LIMIT) * weights)


def neighbours_content(
    songs: Sequence[Origin], song_points: ArrayLike, pictures: Sequence[Origin], latents: ArrayLike
) -> bytes:
    """Return the content of ``neighbours.npz``.

    ``song_points`` (n, 64 + D) are from `place_songs`, and ``latents`` (m, 64) are those of the pictures.
    """
    names = {
        what: [[_printable(text) for text in origin] for origin in origins]
        for what, origins in (("songs", songs), ("pictures", pictures))
    }
    text = json.dumps(names, ensure_ascii=False, separators=(",", ":")).encode()
    file = io.BytesIO()
    np.savez(
        file,
        songs=np.ascontiguousarray(song_points, "<f2"),
        pictures=np.ascontiguousarray(latents, "<f2"),
        names=np.frombuffer(text, np.uint8),
    )
    return file.getvalue()


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "_" for letter in text)[:_LONGEST]


def _read_members(content: bytes) -> dict[str, bytes]:
    if len(content) > _MOST_BYTES:
        raise ValueError(f"it has {len(content)} bytes, at most {_MOST_BYTES} are read")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            # The file is never compressed. A small one could otherwise expand to more than the memory.
            if sum(member.file_size for member in archive.infolist()) > len(content):
                raise ValueError("it is compressed")
            return {name: archive.read(f"{name}.npy") for name in ("songs", "pictures", "names")}
    except ValueError:
        raise
    except Exception as error:  # a damaged archive raises many types of exceptions
        raise ValueError(f"it is no .npz file with songs, pictures and names ({type(error).__name__})") from error


def _read_names(content: bytes) -> dict[str, list[Origin]]:
    found, letters = read_npy(content, "|u1")
    if letters is None:
        raise ValueError(f"its names have {found}")
    try:
        names = json.loads(letters.tobytes().decode())
        read = {what: [Origin(*row) for row in names[what]] for what in ("songs", "pictures")}
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise ValueError("its names are not lists of path, artist and source") from error
    texts = [text for origins in read.values() for origin in origins for text in origin]
    if not all(isinstance(text, str) and text.isprintable() and len(text) <= _LONGEST for text in texts):
        raise ValueError(f"its names are not printable texts of at most {_LONGEST} letters")
    return read


def _read_points(content: bytes, n_columns: int, n_rows: int) -> Float64:
    found, points = read_npy(content, "<f2")
    if points is None or points.shape != (n_rows, n_columns) or n_rows < 2 or not np.isfinite(points).all():
        raise ValueError(f"it has {found} instead of finite '<f2' of shape ({n_rows}, {n_columns}), two rows or more")
    return points.astype(np.float64)


def _title(origin: Origin) -> str:
    """Return the title in a file name, without artist and suffix: "the sea" for "a-b_the-sea.jpg" by artist "a-b"."""
    stem = PurePosixPath(origin.path).stem.removeprefix(f"{origin.artist}_").removeprefix(f"{origin.artist} - ")
    return stem if " " in stem else stem.replace("-", " ").replace("_", " ")


def _artist(origin: Origin) -> str:
    """Return the name of an artist; "paul-klee", as some tables write it, becomes "Paul Klee"."""
    is_slug = "-" in origin.artist and origin.artist == origin.artist.lower() and " " not in origin.artist
    return origin.artist.replace("-", " ").title() if is_slug else origin.artist
