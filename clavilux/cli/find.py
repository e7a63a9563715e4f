"""Find the songs of ``clavilux paint``: paths and folders -> songs in order. With ``--random``: folder -> clips."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from clavilux.audio.clips import CLIP_SUFFIX, pick_clips
from clavilux.audio.decode import AUDIO_SUFFIXES
from clavilux.cli.templates import FoundSong
from clavilux.system.files import list_folder

logger = logging.getLogger("clavilux")


def find_songs(paths: Iterable[Path], faults: list[str], hint: Callable[[str], None]) -> Iterator[FoundSong]:
    """Yield the songs at some paths, each once; the songs of a folder are in the order of their names.

    Parameters
    ----------
    paths : iterable of Path
        Songs, feature files, files of controls, and folders that are searched for songs and feature files.
    faults : list of str
        Messages about faults, such as a folder without songs, are appended.
    hint : callable
        Called with a message for each reason why files are skipped.
    """
    seen: set[str] = set()
    for path in paths:
        # os.path, because Path raises if a name is too long or a link is circular; reading the song reports that.
        songs: list[FoundSong] = [FoundSong(path)]
        if os.path.isdir(path):
            listing = list_folder(path, AUDIO_SUFFIXES | {CLIP_SUFFIX})
            files = sorted(listing.files, key=lambda file: _by_number(str(file)))
            songs = [FoundSong(file, _relative_folder(file, path)) for file in files]
            faults += listing.faults()
            for line in listing.hints():
                hint(line)
            if path in listing.unreadable:
                continue
        if not songs:
            faults.append(
                f"{path}: holds no songs (files with an extension of sound, such as .mp3) and no feature files (.npy)"
            )
        for song in songs:
            real = os.path.realpath(song.path)
            if real not in seen:
                seen.add(real)
                yield song


def _relative_folder(file: Path, folder: Path) -> str:
    below = file.parent.relative_to(folder).as_posix()
    return "" if below == "." else below


def _by_number(name: str) -> list[tuple[bool, int, str]]:
    """Return a key that sorts "2 b.mp3" before "10 a.mp3"."""
    parts = re.split(r"([0-9]{1,15})", name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def find_clips(folder: Path, count: int, seed: int, faults: list[str]) -> list[tuple[Path, int]]:
    """Return ``count`` random clips of the feature files in a folder: file, and index of the window in it.

    Messages about files that cannot be read are appended to ``faults``.

    Raises
    ------
    AudioError
        If the folder has fewer than ``count`` clips.
    """
    clips = pick_clips(folder, count, np.random.default_rng(seed), skip=faults.append)
    logger.info("chosen: %s", ", ".join(f"{file.relative_to(folder)}[{clip}]" for file, clip in clips))
    return clips
