"""Find the inputs of ``clavilux paint``: songs at given paths and in folders or, with ``--random``, random clips."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from clavilux.audio.clips import CLIP_SUFFIX, pick_clips
from clavilux.audio.decode import AUDIO_SUFFIXES
from clavilux.audio.mfcc import read_settings
from clavilux.audio.tags import read_tags
from clavilux.bundle import Bundle
from clavilux.cli.templates import FoundSong
from clavilux.engine import check_features
from clavilux.system.files import FIRST_VERSION, list_folder

_PLAYLISTS = frozenset({".m3u", ".m3u8", ".pls", ".xspf", ".asx", ".wpl"})

logger = logging.getLogger("clavilux")


def find_songs(
    paths: Iterable[Path], faults: list[str], hint: Callable[[str], None], *, by_track: bool = False
) -> Iterator[FoundSong]:
    """Yield each song at the given paths once; the songs of a folder are sorted by name, "2 b.mp3" before "10 a.mp3".

    If ``by_track`` is true, a folder all of whose songs have a track number in their tags is sorted by disc and track.
    The folder of a song is relative to the path that was given, or begins with the name of this path if several paths
    were given, so that songs of two albums stay apart; it is "" if the path is the song itself.

    A path is a song, a feature file, a file of controls, or a folder that is searched for songs and feature files.
    Messages about faults, such as a folder without songs, are appended to ``faults``. If files of a folder are skipped,
    ``hint`` is called with one message per reason.
    """
    seen: set[str] = set()
    paths = list(paths)
    for path in paths:
        # os.path, because Path raises if a name is too long or a link is circular; reading the song reports that.
        songs: list[FoundSong] = [FoundSong(path)]
        if path.suffix.lower() in _PLAYLISTS:
            faults.append(f"{path}: is a playlist; give the songs or their folder")
            continue
        if str(path) == "-":
            faults.append("-: sound is not read from a pipe; give the name of a file")
            continue
        if not (os.path.lexists(path) or re.fullmatch(r"\.\w{1,5}", path.suffix)):
            faults.append(f"{path}: there is no such folder; check its name, and put a name with spaces in quotes")
            continue
        if os.path.isdir(path):
            listing = list_folder(path, AUDIO_SUFFIXES | {CLIP_SUFFIX})
            files = sorted(listing.files, key=lambda file: _by_number(str(file)))
            if by_track:
                files = [file for album in _split(files) for file in _by_track(album)]
            own = [Path(os.path.abspath(path)).name] if len(paths) > 1 else []
            songs = [FoundSong(file, "/".join([*own, *file.relative_to(path).parts[:-1]])) for file in files]
            faults += listing.faults()
            for line in listing.hints():
                hint(line)
            if path in listing.unreadable:
                continue
        if not songs and any(path.glob("*.pth")):
            faults.append(f"{path}: {FIRST_VERSION}")
        elif not songs:
            faults.append(
                f"{path}: holds no songs (files with an extension of sound, such as .mp3) and no feature files (.npy)"
            )
        for song in songs:
            real = os.path.realpath(song.path)
            if real not in seen:
                seen.add(real)
                yield song


def _by_number(name: str) -> list[tuple[bool, int, str]]:
    """Return a sort key with which "2 b.mp3" comes before "10 a.mp3"."""
    parts = re.split(r"([0-9]{1,15})", name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def _split(files: list[Path]) -> list[list[Path]]:
    """Return the files of each folder, in their order."""
    albums: dict[Path, list[Path]] = {}
    for file in files:
        albums.setdefault(file.parent, []).append(file)
    return list(albums.values())


def _by_track(files: list[Path]) -> list[Path]:
    """Return the songs of a folder, sorted by disc and track if all have a track in their tags."""
    places = []
    for file in files:
        tags = read_tags(file)
        if "track" not in tags:
            return files
        places.append((int(tags.get("disc", "1")), int(tags["track"])))
    return [files[index] for index in sorted(range(len(files)), key=places.__getitem__)]


def find_clips(folder: Path, count: int, seed: int, faults: list[str], bundle: Bundle) -> list[tuple[Path, int]]:
    """Return the feature file and the index of ``count`` random clips (windows of 5 s) in a folder of feature files.

    Messages about files that cannot be read are appended to ``faults``. An `AudioError` is raised if the folder has
    fewer than ``count`` clips, or if all of them have features that do not fit the bundle.
    """
    clips = pick_clips(folder, count, np.random.default_rng(seed), skip=faults.append)
    found = [read_settings(file) for file, _ in clips]
    if bundle.feature_settings not in found:  # one message, not one for each clip
        check_features(folder, found[0], bundle)
    logger.info("chosen: %s", ", ".join(f"{file.relative_to(folder)}[{clip}]" for file, clip in clips))
    return clips
