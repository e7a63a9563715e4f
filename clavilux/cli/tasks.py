"""What ``clavilux paint`` paints, and what comes of it: the data that the command and its workers exchange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clavilux.cli.beside import Extras
from clavilux.options import PaintOptions
from clavilux.system.files import Identity


@dataclass(frozen=True)
class Task:
    """One song and the files of its pictures."""

    path: Path  # song, feature file or file of controls
    pictures: tuple[Path, ...]  # files to write: the main picture, then its variations
    bundle: str  # name or folder
    options: PaintOptions
    verbose: bool  # whether to log the ranges of features and latents
    is_named: bool  # whether the user chose the file name, so that any file but an input may be overwritten
    resume: bool  # whether to skip pictures that exist already and would not change
    extras: Extras = field(default_factory=Extras)  # what is written beside the pictures
    protected: frozenset[Identity | None] = frozenset()  # pictures that steer, which are never overwritten
    has_seed: bool = False  # whether the user gave --seed, which replaces the seed in a file of controls
    threads: int = 1  # number of threads that paint this song
    saving: Mapping[str, Any] = field(default_factory=dict)  # arguments of `Picture.save`, such as ``quality``
    is_compared: bool = False  # whether reports name the nearest training songs and pictures

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class Outcome:
    """Result of a task: one report per picture, and messages for stderr."""

    # From `clavilux.explain.report_picture`, with a "status": "painted", "replaced" (an earlier file) or "kept"; or
    # "failed", with the entries "song" and "error" only.
    reports: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()  # messages of errors, and about files that were kept; empty if everything was written
    covers: tuple[tuple[Path, Path], ...] = ()  # (picture, file): covers that were written into songs and folders
    lacks_descriptors: bool = False  # whether the song is a feature file without a table of descriptors
    n_skipped: int = 0  # pictures that existed already; their reports have no measurements
    names: tuple[str, str] | None = None  # what to print as "A -> B" instead of the song and the picture of a report

    @classmethod
    def failed(cls, song: str, fault: str) -> Outcome:
        """Return the outcome of a song that could not be painted."""
        return cls(({"song": song, "status": "failed", "error": fault},), faults=(fault,))


def source_of(report: dict[str, Any]) -> str:
    """Return what a picture was painted from, for a line of output: the song, and the window if only one was used."""
    song, clip = str(report["song"]), report["record"].get("options", {}).get("clip")
    return song if clip is None or song.endswith(f", clip {clip}") else f"{song}, clip {clip}"


@dataclass(frozen=True)
class Again:
    """A picture to paint again from its record."""

    source: Path  # the picture file with the record
    song: Path | None  # None: the picture is painted from the latent in the record
    record: dict[str, Any]
    picture: Path | None  # file to write; None: the picture is only embedded
    bundle: str | None  # None for a picture of controls
    changes: Mapping[str, Any]  # arguments of `Clavilux.repaint`; None: the value in the record
    alt_file: bool  # whether to also write the description to a text file
    embed: bool  # whether to write the picture into the tags of the song
    is_named: bool  # whether the user chose the file name, so that any file but the song may be overwritten
    saving: Mapping[str, Any] = field(default_factory=dict)  # arguments of `Picture.save`, such as ``quality``
    is_compared: bool = False  # whether the report names the nearest training songs and pictures

    def __str__(self) -> str:
        return str(self.source)


def saving_of(plot: bool, quality: int | None) -> dict[str, Any]:
    """Return the arguments of `Picture.save` for ``--plot`` and ``--quality``."""
    return {"plot": plot} | ({} if quality is None else {"quality": quality})
