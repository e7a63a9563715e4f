"""Paint the songs of ``clavilux paint``, in this process, in workers or on a cluster: `Task` -> `Outcome`."""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from clavilux.audio.clips import NO_DESCRIPTORS
from clavilux.audio.song import Song, hash_file
from clavilux.bundle import shipped_bundles
from clavilux.cli.beside import (
    ChosenError,
    check_cover,
    check_folder_image,
    check_text,
    described,
    embed_picture,
    has_cover,
    has_description,
    has_folder_image,
    with_hash,
    write_description,
    write_folder_image,
)
from clavilux.cli.names import (
    AGAIN,
    find_chosen,
    find_own,
    is_chosen,
    is_same_picture,
    name_chosen,
    save_picture,
    tell_kept,
)
from clavilux.cli.output import set_up_log
from clavilux.cli.tasks import Again, Outcome, Task
from clavilux.constants import LATENT_DIM
from clavilux.errors import ClaviluxError, PictureError
from clavilux.explain import report_picture
from clavilux.options import CONTROLS_SUFFIX
from clavilux.picture import Picture
from clavilux.picture_file import is_whole, picture_format, read_record
from clavilux.pipeline import Clavilux
from clavilux.record import record_song
from clavilux.system.jobs import run_songs
from clavilux.system.threads import count_cores

_ONLY_COVER = "the new cover is only in the song; to keep it as a picture too, give -o FILE"

logger = logging.getLogger("clavilux")

PARALLEL_FROM_SONGS = 4  # fewer songs are painted one after another on several cores, which is as fast
MOST_THREADS = 4  # per song; more threads only wait for each other


def paint_songs(
    tasks: Sequence[Task], jobs: int | None, scheduler: str | None, paths: Sequence[Path]
) -> Iterator[Outcome]:
    """Yield the outcome of each task, in the order of the tasks.

    Parameters
    ----------
    tasks : sequence of Task
    jobs : int or None
        Number of worker processes; None for one per core, or for 1 if there are fewer than `PARALLEL_FROM_SONGS` tasks.
    scheduler : str or None
        Address of a Dask scheduler to use instead of processes of this machine.
    paths : sequence of Path
        Songs and folders that the user named. The workers of a cluster must be able to read them.
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
    return run_songs(paint_song, tasks, jobs=max(1, min(jobs or count_cores(), len(tasks))), failed=_failed)


def paint_again(task: Again) -> Outcome:
    """Paint one picture again from its record, in a worker process, and return the outcome.

    A `ClaviluxError` is raised if the picture cannot be painted or written.
    """
    return next(run_songs(_repaint, [task], jobs=1, failed=_failed))


def _failed(task: Task | Again, reason: str) -> Outcome:
    return Outcome.failed(str(task), f"{task}: {reason}")


def _repaint(task: Again) -> Outcome:
    threads = min(count_cores(), MOST_THREADS)
    mapped: tuple[str, ...] = ()
    card = neighbours = None
    if task.bundle is None:
        from clavilux.controls_file import repaint_controls

        picture = repaint_controls(task.record, task.changes, threads=threads)
    else:
        clavilux = open_clavilux(task.bundle)
        clavilux.threads = threads
        picture = clavilux.repaint(task.record, task.song, **task.changes)
        mapped, card = clavilux.bundle.descriptors, clavilux.bundle.card
        neighbours = clavilux.bundle.neighbours if task.is_compared else None
    if task.record.get(AGAIN) is True or not is_same_picture(picture.record, task.record):
        picture = replace(picture, record={**picture.record, AGAIN: True})  # later runs keep it
    if task.embed:
        assert task.song is not None, "checked with the options"
        picture = embed_picture(picture, task.song)
    before = described(task.picture or task.source) if task.alt_file else ""
    place, is_replaced = (task.source, False) if task.picture is None else _save(picture, task.picture, task)
    faults = []
    if task.alt_file:
        try:
            write_description(place, before)
        except ClaviluxError as error:
            faults.append(str(error))
    is_only_cover = task.picture is None and not is_same_picture(picture.record, task.record)
    report = report_picture(picture, place, mapped, card, neighbours) | {"status": _status(is_replaced)}
    return Outcome(
        (report,),
        (*_warnings(picture.song), *([_ONLY_COVER] if is_only_cover else [])),
        tuple(faults),
        covers=((place, task.song),) if task.embed and task.song and task.picture else (),
        names=(str(task.source), str(task.song if task.picture is None else place)),
    )


def _for_workers(task: Task) -> Task:
    """Return a task with absolute paths, for a process with another working directory."""
    bundle = task.bundle if task.bundle in shipped_bundles() else str(Path(task.bundle).absolute())
    pictures = tuple(picture.absolute() for picture in task.pictures)
    image = task.extras.folder_image
    extras = replace(task.extras, folder_image=None if image is None else image.absolute())
    return replace(task, path=task.path.absolute(), pictures=pictures, bundle=bundle, extras=extras)


def paint_song(task: Task) -> Outcome:
    """Paint the pictures of one song, and return the outcome; a `ClaviluxError` becomes one of its ``faults``."""
    if not logger.handlers:  # on a worker of a cluster; other processes send their log to the caller
        set_up_log(task.verbose)
    try:
        if task.path.suffix.lower() == CONTROLS_SUFFIX:
            return _paint_controls(task)
        clavilux = open_clavilux(task.bundle)
        clavilux.threads = task.threads
        clip = task.options.clip
        if task.resume and not task.is_named and task.path.is_file() and any(map(os.path.lexists, task.pictures)):
            song_entry = {"name": task.path.stem, "sha256": hash_file(task.path)}
            task = replace(task, pictures=find_own(task.pictures, song_entry, clip, task.protected))
        beside = _Beside(task)
        skipped = _find_painted(task, clavilux, beside) if task.resume else {}
        if len(skipped) == len(task.pictures):
            return Outcome(tuple(skipped.values()), tuple(beside.notes), tuple(beside.faults), n_skipped=len(skipped))
        for target in task.pictures:  # before the work, because a format may not allow so many pixels
            picture_format(target, task.options.size, vector=True)
        song = clavilux.read_song(task.path, max_s=task.options.max_s, clip=clip)
        if task.verbose:
            _log_ranges(task.path, song, clavilux)
        chosen: dict[int, dict[str, Any]] = {}
        if not task.is_named:
            task = replace(task, pictures=find_own(task.pictures, record_song(song), clip, task.protected))
            chosen = find_chosen(task.pictures, record_song(song), clip)
        for number, record in chosen.items():
            skipped[number] = beside.keep(task.pictures[number], record, is_chosen=True)
        bundle, reports = clavilux.bundle, dict(skipped)
        neighbours = bundle.neighbours if task.is_compared else None
        for picture in clavilux.variations(song, count=len(task.pictures), skip=skipped, options=task.options):
            variation = picture.record["variation"]
            target, z = task.pictures[variation], picture.z_image
            assert z is not None, "songs are painted from latents"
            logger.info("%s: range of z_image [%.3g, %.3g], norm %.3g", target, z.min(), z.max(), np.linalg.norm(z))
            picture, target, status = beside.save(picture, target, is_main=variation == 0)
            reports[variation] = report_picture(picture, target, bundle.descriptors, bundle.card, neighbours) | status
    except ClaviluxError as error:
        return Outcome.failed(str(task), str(error))
    return Outcome(
        tuple(reports[number] for number in sorted(reports)),
        (*_warnings(song), *beside.notes),
        tuple(beside.faults),
        tuple(beside.covers),
        lacks_descriptors=NO_DESCRIPTORS in song.warnings,
        n_skipped=len(skipped),
    )


class _Beside:
    """Saves the pictures of a task with the files and covers that accompany them, and collects messages.

    Attributes
    ----------
    faults : list of str
        Messages about accompanying files that could not be written, or that are the user's own and were kept. The
        pictures themselves are saved.
    covers : list of (Path, Path)
        Picture and file of each cover that was written.
    """

    def __init__(self, task: Task) -> None:
        self._task, self._sha256 = task, ""
        self.faults: list[str] = []
        self.notes: list[str] = []  # about chosen pictures that were kept
        self.covers: list[tuple[Path, Path]] = []

    def keep(self, place: Path, record: dict[str, Any], *, is_chosen: bool = False) -> dict[str, Any]:
        """Return the report of a picture that is kept; a note says so if it is kept because the user chose it."""
        if is_chosen:
            self.notes.append(
                f"{place}: shows {name_chosen(record)}, which was kept; -o {shlex.quote(str(place))} replaces it"
            )
        return {"song": str(self._task.path), "picture": str(place), "record": record, "status": "kept"}

    def is_done(self, record: dict[str, Any], place: Path, *, is_main: bool) -> bool:
        """Return whether a picture is whole, and all that `save` writes with it exists.

        What cannot be written does not count as missing; it is added to `faults`.
        """
        extras, image = self._task.extras, self._task.extras.folder_image
        seen = _Beside(self._task)
        is_done = is_whole(place)
        if extras.alt_file:
            with seen._noted():
                check_text(place, described(place))
                is_done &= has_description(place)
        if is_main and image is not None:
            with seen._noted():
                check_folder_image(image, record)
                is_done &= has_folder_image(image, record)
        if is_main and extras.embed:
            with seen._noted():
                check_cover(self._task.path, record)
                is_done &= has_cover(self._task.path, record)
        if is_done:  # else `save` reports the same
            self.faults += seen.faults
            self.notes += seen.notes
        return is_done

    def save(self, picture: Picture, target: Path, *, is_main: bool) -> tuple[Picture, Path, dict[str, str]]:
        """Save a picture with its accompanying files; return the picture, its path, and the status for its report.

        The cover in the song file and the folder image are written only if ``is_main`` is True. The cover changes the
        song file, so the record of the returned picture has the new hash of the song file.
        """
        extras, covers = self._task.extras, []
        if is_main and extras.embed:
            with self._noted():
                check_cover(self._task.path, picture.record)
                if not has_cover(self._task.path, picture.record):  # else the song would change with each run
                    picture = embed_picture(picture, self._task.path)
                    self._sha256 = picture.record["song"]["sha256"]
                covers.append(self._task.path)
        elif self._sha256:
            picture = with_hash(picture, self._sha256)  # embedding has changed the file
        before = described(target) if extras.alt_file else ""
        place, is_replaced = _save(picture, target, self._task)
        if place != target:
            self.notes.append(tell_kept(target, place))
        if extras.alt_file:
            with self._noted():
                write_description(place, before)
        if is_main and extras.folder_image is not None:
            with self._noted():
                write_folder_image(picture, extras.folder_image)
                covers.append(extras.folder_image)
        self.covers += [(place, cover) for cover in covers]
        return picture, place, {"status": _status(is_replaced)}

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except ChosenError as error:
            self.notes.append(str(error))
        except ClaviluxError as error:
            self.faults.append(str(error))


def _paint_controls(task: Task) -> Outcome:
    """Paint the picture that a file of controls describes, and return the outcome."""
    from clavilux.controls_file import check_options, controls_record, paint_controls, read_controls

    (target,) = task.pictures
    beside = _Beside(task)
    picture_format(target, task.options.size, vector=True)
    file = read_controls(task.path)
    check_options(file.name, task.options, task.bundle)
    seed = task.options.seed if task.has_seed else None
    if task.resume and target.exists():
        with suppress(PictureError):  # another file
            record = read_record(target)
            same = record == controls_record(file, task.options, seed=seed)
            if same and beside.is_done(record, target, is_main=True):
                return Outcome((beside.keep(target, record),), tuple(beside.notes), tuple(beside.faults), n_skipped=1)
    picture = paint_controls(file, task.options, seed=seed, threads=task.threads)
    picture, target, status = beside.save(picture, target, is_main=True)
    report = report_picture(picture, target, ()) | {"song": str(task.path)} | status
    return Outcome((report,), tuple(beside.notes), tuple(beside.faults), tuple(beside.covers))


def _status(is_replaced: bool) -> str:
    return "replaced" if is_replaced else "painted"


def _save(picture: Picture, target: Path, task: Task | Again) -> tuple[Path, bool]:
    """Save a picture, and return its path and whether it replaced a file.

    An unrelated file is overwritten only if the user chose its name.
    """
    if not task.is_named:
        return save_picture(picture, target, task.protected if isinstance(task, Task) else (), **task.saving)
    is_replaced = os.path.lexists(target)
    picture.save(target, **task.saving)
    return target, is_replaced


def _find_painted(task: Task, clavilux: Clavilux, beside: _Beside) -> dict[int, dict[str, Any]]:
    """Return a dict from variation to report, for the pictures that exist and would not change."""
    found: dict[int, dict[str, Any]] = {}
    sha256 = None
    for variation, target in enumerate(task.pictures):
        record = {}
        if target.exists():
            sha256 = sha256 or hash_file(task.path)
            with suppress(PictureError):  # named with -o, where any file may be overwritten
                record = read_record(target)
        is_painted = clavilux.has_painted(record, sha256 or "", options=task.options, variation=variation)
        new = {"song": {"sha256": sha256}, "variation": variation, "options": {"clip": task.options.clip}}
        if is_painted and beside.is_done(record, target, is_main=variation == 0):
            found[variation] = beside.keep(target, record)
        elif not task.is_named and not is_painted and is_chosen(record, new):
            found[variation] = beside.keep(target, record, is_chosen=True)
        elif variation == 0 and task.extras.embed:
            return {}  # the new cover changes the hash of the song, which is in the record of every variation
    return found


def _log_ranges(path: Path, song: Song, clavilux: Clavilux) -> None:
    """Log the ranges of features and latents, which reveal a broken song or a collapsed network."""
    means, deviations = song.windows.mean(axis=(1, 2)), song.windows.std(axis=(1, 2))
    z_audio = clavilux.engine.encode_song(song)[:LATENT_DIM]
    logger.info("%s: %d windows, %d audible", path, len(song.windows), song.audible.sum())
    for name, values in (("window means", means), ("window deviations", deviations), ("z_audio", z_audio)):
        logger.info("%s: range of %s [%.3g, %.3g]", path, name, values.min(), values.max())


def _warnings(song: Song | None) -> list[str]:
    """Return the warnings about a song, except missing descriptors, which are reported once per run."""
    return [] if song is None else [f"{song.path}: {text}" for text in song.warnings if text != NO_DESCRIPTORS]


@lru_cache(maxsize=1)
def open_clavilux(bundle: str) -> Clavilux:
    """Return a `Clavilux` for a bundle (name or folder); it is cached until another bundle is opened."""
    return Clavilux(bundle)
