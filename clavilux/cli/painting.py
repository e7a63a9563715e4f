"""One song of ``clavilux paint``, from its file to its pictures, in whatever process it is worked on.

task -> `paint_song` -> outcome
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.clips import NO_DESCRIPTORS
from clavilux.audio.song import Song, hash_file
from clavilux.bundle import shipped_bundles
from clavilux.cli.names import save_picture
from clavilux.cli.output import set_up_log
from clavilux.constants import LATENT_DIM
from clavilux.errors import ClaviluxError, PictureError
from clavilux.explain import report_picture
from clavilux.picture import picture_format, read_record
from clavilux.pipeline import Clavilux
from clavilux.system.jobs import run_songs
from clavilux.system.threads import count_cores

Float32 = NDArray[np.float32]

logger = logging.getLogger("clavilux")

PARALLEL_FROM_SONGS = 4  # below, one song after another on all cores is as fast as one song a core
MOST_THREADS = 4  # of a song that is painted alone; more wait for each other


@dataclass(frozen=True)
class Task:
    """One song and the files that its pictures go to: its own picture first, then siblings."""

    path: Path
    pictures: tuple[Path, ...]
    bundle: str
    size: tuple[int, int]
    seed: int
    variation: float
    noise_std: float | None
    logvar_scale: float | None
    max_s: float
    clip: int | None
    verbose: bool
    is_named: bool  # whether the user chose the name, where anything but an input is replaced
    resume: bool  # whether pictures that are there already are left
    threads: int = 1  # of the process that paints it

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class Outcome:
    """What became of a task: one report a picture, and what to tell the user on stderr."""

    reports: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    fault: str | None = None
    n_kept: int = 0  # pictures that were there already; their reports are short


@dataclass(frozen=True)
class Again:
    """A picture that is painted again from its record."""

    song: Path
    record: dict[str, Any]
    picture: Path
    bundle: str
    size: tuple[int, int] | None  # the record's if None
    is_named: bool  # whether the user chose the name, where anything but an input is replaced

    def __str__(self) -> str:
        return str(self.song)


def paint_songs(
    tasks: Sequence[Task], jobs: int | None, scheduler: str | None, paths: Sequence[Path]
) -> Iterator[Outcome]:
    """Paint songs, in several processes if it pays, and yield what became of each in their order."""
    if scheduler is not None:
        tasks = [_for_workers(task) for task in tasks]
        places = {path if path.is_dir() else path.parent for path in (path.absolute() for path in paths)}
        places |= {task.pictures[0].parent for task in tasks}
        # A song that is missing here too is a fault of its own.
        folders = sorted(place for place in places if place.is_dir())
        return run_songs(paint_song, tasks, jobs=1, failed=_failed, scheduler=scheduler, folders=folders)
    if jobs is None and len(tasks) < PARALLEL_FROM_SONGS:
        tasks = [replace(task, threads=min(count_cores(), MOST_THREADS)) for task in tasks]
        jobs = 1
    elif jobs is None:
        jobs = count_cores()
    return run_songs(paint_song, tasks, jobs=max(1, min(jobs, len(tasks))), failed=_failed)


def paint_again(task: Again) -> Outcome:
    """Repaint one picture from its record; runs in a process of its own, as painting does.

    Raises
    ------
    ClaviluxError
        It cannot be painted or written.
    """
    return next(run_songs(_repaint, [task], jobs=1, failed=_failed))


def _failed(task: Task | Again, reason: str) -> Outcome:
    return Outcome(fault=f"{task}: {reason}")


def _repaint(task: Again) -> Outcome:
    engine = open_engine(task.bundle)
    engine.threads = min(count_cores(), MOST_THREADS)
    picture = engine.repaint(task.record, task.song, size=task.size)
    if task.is_named:
        picture.save(task.picture)
        place = task.picture
    else:
        place = save_picture(picture, task.picture, clip=picture.record["options"]["clip"])
    return Outcome((report_picture(picture, place, engine.bundle.descriptors),), _warnings(picture.song))


def _for_workers(task: Task) -> Task:
    """The same task for a process that was started in another folder."""
    bundle = task.bundle if task.bundle in shipped_bundles() else str(Path(task.bundle).absolute())
    pictures = tuple(picture.absolute() for picture in task.pictures)
    return replace(task, path=task.path.absolute(), pictures=pictures, bundle=bundle)


def paint_song(task: Task) -> Outcome:
    """Listen to one song and paint its pictures; a fault of the song is part of the outcome and ends no other song."""
    if not logger.handlers:  # on a worker of a cluster; elsewhere the log goes to the caller
        set_up_log(task.verbose)
    try:
        engine = open_engine(task.bundle)
        engine.threads = task.threads
        kept = _kept(task, engine) if task.resume else {}
        if len(kept) == len(task.pictures):
            return Outcome(tuple(kept.values()), n_kept=len(kept))
        for target in task.pictures:
            picture_format(target, task.size)  # before the work: a format may not hold so many pixels
        song = engine.read_song(task.path, max_s=task.max_s, clip=task.clip)
        if task.verbose:
            _log_ranges(task.path, song, engine.engine.song_code(song))
        reports = dict(kept)
        pictures = engine.siblings(
            song,
            count=len(task.pictures),
            size=task.size,
            seed=task.seed,
            variation=task.variation,
            noise_std=task.noise_std,
            logvar_scale=task.logvar_scale,
            max_s=task.max_s,
            clip=task.clip,
            skip=kept,
        )
        for picture in pictures:
            sibling = picture.record["sibling"]
            target, z = task.pictures[sibling], picture.z_image
            logger.info("%s: z_image lies in [%.3g, %.3g], length %.3g", target, z.min(), z.max(), np.linalg.norm(z))
            if task.is_named:
                picture.save(target)
            else:
                target = save_picture(picture, target, clip=task.clip)
            reports[sibling] = report_picture(picture, target, engine.bundle.descriptors)
    except ClaviluxError as error:
        return Outcome(fault=str(error))
    return Outcome(tuple(reports[sibling] for sibling in sorted(reports)), _warnings(song), n_kept=len(kept))


_REMEMBERED = ("size", "seed", "variation", "noise_std", "logvar_scale", "max_s", "clip")


def _kept(task: Task, engine: Clavilux) -> dict[int, dict[str, Any]]:
    """Short reports, by sibling, of the pictures that are there and would be painted the same."""
    kept: dict[int, dict[str, Any]] = {}
    sha256 = None
    for sibling, target in enumerate(task.pictures):
        if not target.exists():
            continue
        sha256 = sha256 or hash_file(task.path)
        try:
            record = read_record(target)
        except PictureError:
            continue  # named with -o, where anything is replaced
        choices = {name: getattr(task, name) for name in _REMEMBERED}
        if engine.has_painted(record, sha256, sibling=sibling, **choices):
            kept[sibling] = {"song": str(task.path), "picture": str(target), "record": record}
    return kept


def _log_ranges(path: Path, song: Song, song_code: Float32) -> None:
    """Log what a look at the numbers needs to find a broken song or a collapsed network."""
    means, deviations = song.windows.mean(axis=(1, 2)), song.windows.std(axis=(1, 2))
    z_audio = song_code[:LATENT_DIM]
    logger.info("%s: %d windows, %d audible", path, len(song.windows), song.audible.sum())
    logger.info("%s: means of the windows lie in [%.3g, %.3g]", path, means.min(), means.max())
    logger.info("%s: deviations of the windows lie in [%.3g, %.3g]", path, deviations.min(), deviations.max())
    logger.info("%s: z_audio lies in [%.3g, %.3g]", path, z_audio.min(), z_audio.max())


def _warnings(song: Song) -> tuple[str, ...]:
    """Return what is to be said of a song; that a feature file has no descriptors is said once for all."""
    return tuple(f"{song.path}: {warning}" for warning in song.warnings if warning != NO_DESCRIPTORS)


@lru_cache(maxsize=1)
def open_engine(bundle: str) -> Clavilux:
    """Return the networks of this process, opened for its first song."""
    return Clavilux(bundle)
