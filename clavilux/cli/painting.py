"""Paint one song for ``clavilux paint``: `Task` -> `Outcome`, in this process, in a worker or on a cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from clavilux.audio.clips import NO_DESCRIPTORS
from clavilux.audio.song import Song, hash_file
from clavilux.bundle import shipped_bundles
from clavilux.cli.beside import Extras, embed_picture, with_hash, write_description, write_folder_image
from clavilux.cli.names import save_picture
from clavilux.cli.output import set_up_log
from clavilux.constants import LATENT_DIM
from clavilux.errors import ClaviluxError, PictureError
from clavilux.explain import report_picture
from clavilux.picture import Picture
from clavilux.picture_file import picture_format, read_record
from clavilux.pipeline import Clavilux
from clavilux.record import CONTROLS_SUFFIX, PaintOptions
from clavilux.system.jobs import run_songs
from clavilux.system.threads import count_cores

logger = logging.getLogger("clavilux")

PARALLEL_FROM_SONGS = 4  # for fewer songs, one song at a time on all cores is as fast as one per core
MOST_THREADS = 4  # per song; more threads only wait for each other


@dataclass(frozen=True)
class Task:
    """One song and the files of its pictures."""

    path: Path  # of the song, feature file or file of controls
    pictures: tuple[Path, ...]  # files to write: the main picture, then its variations
    bundle: str  # name or folder
    options: PaintOptions
    verbose: bool  # log the ranges of features and latents
    is_named: bool  # the user chose the file names: other files than inputs may be overwritten
    resume: bool  # skip pictures that exist already and would be painted the same
    extras: Extras = field(default_factory=Extras)  # what is written beside the pictures
    has_seed: bool = False  # the user chose the seed, which replaces that of a file of controls
    threads: int = 1  # per song
    plot: bool = False  # lines only, in SVG and PDF

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class Outcome:
    """Result of a task: one report per picture, and messages for stderr."""

    reports: tuple[dict[str, Any], ...] = ()  # from `clavilux.explain.report_picture`
    warnings: tuple[str, ...] = ()
    fault: str | None = None  # message of the error; None if everything was painted and written
    lacks_descriptors: bool = False  # the song is a feature file without the table beside it
    n_skipped: int = 0  # pictures that existed already; their reports have no measurements


@dataclass(frozen=True)
class Again:
    """A picture to paint again from its record."""

    song: Path | None  # None paints from the latent in the record
    record: dict[str, Any]
    picture: Path  # file to write
    bundle: str | None  # None for a picture of controls
    size: tuple[int, int] | None  # None uses the recorded size
    dpi: float | None  # None uses the recorded resolution
    alt_file: bool  # also write the description as a text file
    is_named: bool  # the user chose the file name: other files than inputs may be overwritten
    plot: bool = False  # lines only, in SVG and PDF

    def __str__(self) -> str:
        return str(self.picture if self.song is None else self.song)


def paint_songs(
    tasks: Sequence[Task], jobs: int | None, scheduler: str | None, paths: Sequence[Path]
) -> Iterator[Outcome]:
    """Yield the outcome of each task, in the order of the tasks.

    Parameters
    ----------
    tasks : sequence of Task
    jobs : int or None
        Number of worker processes; None chooses one per core for `PARALLEL_FROM_SONGS` tasks or more, else 1.
    scheduler : str or None
        Address of a Dask scheduler to use instead of processes of this machine.
    paths : sequence of Path
        Paths given by the user; the workers of a cluster must be able to read their folders.
    """
    if scheduler is not None:
        tasks = [_for_workers(task) for task in tasks]
        places = {path if path.is_dir() else path.parent for path in (path.absolute() for path in paths)}
        places |= {task.pictures[0].parent for task in tasks}
        # A missing song is reported as a fault of that song.
        folders = sorted(place for place in places if place.is_dir())
        return run_songs(paint_song, tasks, jobs=1, failed=_failed, scheduler=scheduler, folders=folders)
    if jobs is None and len(tasks) < PARALLEL_FROM_SONGS:
        tasks = [replace(task, threads=min(count_cores(), MOST_THREADS)) for task in tasks]
        jobs = 1
    elif jobs is None:
        jobs = count_cores()
    return run_songs(paint_song, tasks, jobs=max(1, min(jobs, len(tasks))), failed=_failed)


def paint_again(task: Again) -> Outcome:
    """Paint one picture again from its record, in a worker process, and return the outcome.

    Raises
    ------
    ClaviluxError
        If the picture cannot be painted or written.
    """
    return next(run_songs(_repaint, [task], jobs=1, failed=_failed))


def _failed(task: Task | Again, reason: str) -> Outcome:
    return Outcome(fault=f"{task}: {reason}")


def _repaint(task: Again) -> Outcome:
    threads = min(count_cores(), MOST_THREADS)
    mapped: tuple[str, ...] = ()
    card = None
    if task.bundle is None:
        from clavilux.controls_file import paint_controls, parse_controls_record

        file, options = parse_controls_record(task.record)
        options = replace(options, size=task.size or options.size, dpi=task.dpi or options.dpi)
        picture = paint_controls(file, options, threads=threads)
    else:
        clavilux = open_clavilux(task.bundle)
        clavilux.threads = threads
        picture = clavilux.repaint(task.record, task.song, size=task.size, dpi=task.dpi)
        mapped, card = clavilux.bundle.descriptors, clavilux.bundle.card
    place = _save(picture, task.picture, task)
    warnings = [] if picture.song is None else _warnings(picture.song)
    if task.alt_file and (warning := write_description(picture, place)):
        warnings.append(warning)
    return Outcome((report_picture(picture, place, mapped, card),), tuple(warnings))


def _for_workers(task: Task) -> Task:
    """Return a task with absolute paths, for a process with another working directory."""
    bundle = task.bundle if task.bundle in shipped_bundles() else str(Path(task.bundle).absolute())
    pictures = tuple(picture.absolute() for picture in task.pictures)
    image = task.extras.folder_image
    extras = replace(task.extras, folder_image=None if image is None else image.absolute())
    return replace(task, path=task.path.absolute(), pictures=pictures, bundle=bundle, extras=extras)


def paint_song(task: Task) -> Outcome:
    """Paint the pictures of one song, and return the outcome; a `ClaviluxError` is part of it and is not raised."""
    if not logger.handlers:  # on a worker of a cluster; other processes send their log to the caller
        set_up_log(task.verbose)
    try:
        if task.path.suffix.lower() == CONTROLS_SUFFIX:
            return _paint_controls(task)
        clavilux = open_clavilux(task.bundle)
        clavilux.threads = task.threads
        skipped = _find_painted(task, clavilux) if task.resume else {}
        if len(skipped) == len(task.pictures):
            return Outcome(tuple(skipped.values()), n_skipped=len(skipped))
        for target in task.pictures:
            picture_format(
                target, task.options.size, vector=True
            )  # before the work: a format may not allow so many pixels
        song = clavilux.read_song(task.path, max_s=task.options.max_s, clip=task.options.clip)
        if task.verbose:
            _log_ranges(task.path, song, clavilux)
        reports = dict(skipped)
        beside = _Beside(task, _warnings(song))
        for picture in clavilux.variations(song, count=len(task.pictures), skip=skipped, options=task.options):
            variation = picture.record["variation"]
            target, z = task.pictures[variation], picture.z_image
            assert z is not None, "songs are painted from latents"
            logger.info("%s: range of z_image [%.3g, %.3g], norm %.3g", target, z.min(), z.max(), np.linalg.norm(z))
            picture, target = beside.save(picture, target, is_main=variation == 0)
            reports[variation] = report_picture(picture, target, clavilux.bundle.descriptors, clavilux.bundle.card)
    except ClaviluxError as error:
        return Outcome(fault=str(error))
    return Outcome(
        tuple(reports[number] for number in sorted(reports)),
        tuple(beside.warnings),
        beside.fault,
        lacks_descriptors=NO_DESCRIPTORS in song.warnings,
        n_skipped=len(skipped),
    )


class _Beside:
    """Saves the pictures of a task with what is written beside them.

    Attributes
    ----------
    warnings : list of str
    fault : str or None
        The first file that could not be written beside a picture; the picture itself is saved.
    """

    def __init__(self, task: Task, warnings: list[str]) -> None:
        self._task, self._sha256 = task, ""
        self.warnings = warnings
        self.fault: str | None = None

    def save(self, picture: Picture, target: Path, *, is_main: bool) -> tuple[Picture, Path]:
        """Save a picture, and return it and its path."""
        extras = self._task.extras
        if is_main and extras.embed:
            with self._noted():
                picture = embed_picture(picture, self._task.path)
                self._sha256 = picture.record["song"]["sha256"]
        elif self._sha256:
            picture = with_hash(picture, self._sha256)  # embedding has changed the file
        place = _save(picture, target, self._task)
        if extras.alt_file:
            with self._noted():
                self._warn(write_description(picture, place))
        if is_main and extras.folder_image is not None:
            with self._noted():
                self._warn(write_folder_image(picture, extras.folder_image))
        return picture, place

    def _warn(self, warning: str | None) -> None:
        if warning is not None:
            self.warnings.append(warning)

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except ClaviluxError as error:
            self.fault = self.fault or str(error)


def _paint_controls(task: Task) -> Outcome:
    """Paint a file of controls."""
    from clavilux.controls_file import controls_record, paint_controls, read_controls

    (target,) = task.pictures
    picture_format(target, task.options.size, vector=True)
    file = read_controls(task.path)
    seed = task.options.seed if task.has_seed else None
    if task.resume and target.exists():
        with suppress(PictureError):  # another file
            record = read_record(target)
            if record == controls_record(file, task.options, seed=seed):
                return Outcome(({"song": str(task.path), "picture": str(target), "record": record},), n_skipped=1)
    picture = paint_controls(file, task.options, seed=seed, threads=task.threads)
    beside = _Beside(task, [])
    picture, target = beside.save(picture, target, is_main=True)
    report = report_picture(picture, target, ()) | {"song": str(task.path)}
    return Outcome((report,), tuple(beside.warnings), beside.fault)


def _save(picture: Picture, target: Path, task: Task | Again) -> Path:
    """Save a picture and return its path; only a name that the user chose may be that of any file."""
    if not task.is_named:
        return save_picture(picture, target, plot=task.plot)
    picture.save(target, plot=task.plot)
    return target


def _find_painted(task: Task, clavilux: Clavilux) -> dict[int, dict[str, Any]]:
    """Return short reports, by variation, of the pictures that exist and would be painted the same."""
    found: dict[int, dict[str, Any]] = {}
    sha256 = None
    for variation, target in enumerate(task.pictures):
        if not target.exists():
            continue
        sha256 = sha256 or hash_file(task.path)
        try:
            record = read_record(target)
        except PictureError:
            continue  # named with -o, where any file may be overwritten
        if clavilux.has_painted(record, sha256, options=task.options, variation=variation):
            found[variation] = {"song": str(task.path), "picture": str(target), "record": record}
    return found


def _log_ranges(path: Path, song: Song, clavilux: Clavilux) -> None:
    """Log the ranges of features and latents, which show a broken song or a collapsed network."""
    means, deviations = song.windows.mean(axis=(1, 2)), song.windows.std(axis=(1, 2))
    z_audio = clavilux.engine.encode_song(song)[:LATENT_DIM]
    logger.info("%s: %d windows, %d audible", path, len(song.windows), song.audible.sum())
    for name, values in (("window means", means), ("window deviations", deviations), ("z_audio", z_audio)):
        logger.info("%s: range of %s [%.3g, %.3g]", path, name, values.min(), values.max())


def _warnings(song: Song) -> list[str]:
    """Return the warnings about a song, except missing descriptors, which are reported once per run."""
    return [f"{song.path}: {warning}" for warning in song.warnings if warning != NO_DESCRIPTORS]


@lru_cache(maxsize=1)
def open_clavilux(bundle: str) -> Clavilux:
    """Return a `Clavilux` with a bundle (name or folder); the last one is cached, so networks are loaded only once."""
    return Clavilux(bundle)
