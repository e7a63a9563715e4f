"""``clavilux paint``: songs, folders of songs and feature files become pictures.

paths and options -> tasks (one song each) -> `_paint_song` here or in other processes -> one line a picture
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from clavilux.audio.clips import CLIP_SUFFIX, NO_DESCRIPTORS, pick_clips
from clavilux.audio.decode import AUDIO_SUFFIXES
from clavilux.audio.song import Song, hash_file
from clavilux.bundle import shipped_bundles
from clavilux.constants import DEFAULT_SIZE_PX, LATENT_DIM, MAX_AUDIO_S
from clavilux.errors import BundleError, ClaviluxError, PictureError
from clavilux.explain import explain_report, report_picture
from clavilux.picture import FORMATS, picture_format, read_record
from clavilux.pipeline import Clavilux
from clavilux.system.arguments import check_size, show
from clavilux.system.files import list_folder
from clavilux.system.jobs import check_scheduler, run_songs
from clavilux.system.threads import count_cores

Float32 = NDArray[np.float32]

logger = logging.getLogger("clavilux")

PARALLEL_FROM_SONGS = 4  # below, starting other processes (0.4 s, and the imports in each) takes longer than it saves
MOST_THREADS = 4  # of a song that is painted alone; more wait for each other
RANDOM_FOLDER = "generated_images"


def _read_size(text: str) -> tuple[int, int]:
    """Width and height in pixels of ``1024`` or ``3000x2000``; a `click.BadParameter` if it is neither.

    A function and not a `click.ParamType`, which click types by brackets from 8.4 on only.
    """
    match = re.fullmatch(r"(\d{1,9})(?:[xX×](\d{1,9}))?", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no size; write 1024 or 3000x2000")
    try:
        return check_size((int(match[1]), int(match[2] or match[1])))
    except PictureError as error:
        raise click.BadParameter(str(error)) from error


class FiniteRange(click.FloatRange):
    """A number of `low` or more; ``nan`` and ``inf``, which are numbers to click, are none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number", param, ctx)
        return number


@dataclass(frozen=True)
class _Task:
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
    resume: bool  # whether pictures that are there already are left
    threads: int = 1  # of the process that paints it

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class _Outcome:
    """What became of a task: one report a picture, and what to tell the user on stderr."""

    reports: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    fault: str | None = None
    n_kept: int = 0  # pictures that were there already; their reports are short


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SONG|FOLDER|FEATURES...")
@click.option("-o", "--output", metavar="FILE|DIR", help="Picture (.png .jpg .webp), or folder.  [default: ./SONG.png]")
@click.option(
    "--size", type=_read_size, default=str(DEFAULT_SIZE_PX), metavar="N|WxH", show_default=True, help="Pixels."
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    show_default=True,
    help="Another drawing of the same plan.",
)
@click.option(
    "--count",
    type=click.IntRange(1),
    default=1,
    metavar="N",
    show_default=True,
    help="Pictures a song: its own, then siblings.",
)
@click.option(
    "--variation",
    type=FiniteRange(0),
    default=1.0,
    metavar="X",
    show_default=True,
    help="How far siblings differ.",
)
@click.option("--noise-std", type=click.FloatRange(0), metavar="X", help="Noise in the latent, keyed by song and seed.")
@click.option(
    "--logvar-scale", type=click.FloatRange(0), metavar="X", help="Draw window codes with X times their variance."
)
@click.option("--bundle", default="default", metavar="NAME|DIR", show_default=True, help="Trained networks.")
@click.option("--explain", is_flag=True, help="Say what was heard and what was painted.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON a picture.")
@click.option(
    "--again", type=click.Path(path_type=Path), metavar="PICTURE", help="Repaint PICTURE from its record and SONG."
)
@click.option("--random", "n_random", type=click.IntRange(1), metavar="N", help="Paint N clips of FEATURES at random.")
@click.option(
    "--max-seconds", "max_s", type=FiniteRange(1), default=MAX_AUDIO_S, metavar="S", help="Listen to no more."
)
@click.option("--jobs", type=click.IntRange(1), metavar="N", help="Processes.  [default: all cores from 4 songs on]")
@click.option("--resume", is_flag=True, help="Leave pictures that are there and would be painted the same.")
@click.option(
    "--scheduler", metavar="ADDRESS", help="Dask scheduler whose workers paint, such as tcp://10.0.0.1:8786; resumes."
)
@click.option("-v", "--verbose", is_flag=True, help="Log the ranges of features and latents.")
@click.pass_context
def paint(
    ctx: click.Context,
    paths: tuple[Path, ...],
    output: str | None,
    size: tuple[int, int],
    seed: int,
    count: int,
    variation: float,
    noise_std: float | None,
    logvar_scale: float | None,
    bundle: str,
    explain: bool,
    as_json: bool,
    again: Path | None,
    n_random: int | None,
    max_s: float,
    jobs: int | None,
    resume: bool,
    scheduler: str | None,
    verbose: bool,
) -> None:
    """Paint songs, folders of songs, or feature files: one picture a song.

    The whole song decides the picture; the same song, seed and bundle give the same picture, at every size.

    \b
    clavilux paint nocturne.flac                       nocturne.png
    clavilux paint nocturne.flac -o n.jpg --size 3000x2000
    clavilux paint album/ -o pictures/ --count 4       four siblings a song
    clavilux paint --again nocturne.png nocturne.flac  from the record in the picture
    clavilux paint --random 10 features/               ten clips into generated_images/
    """
    _set_up_log(verbose)
    if explain and as_json:
        raise click.UsageError("Give --explain or --json, not both.")
    if explain and (resume or scheduler is not None):
        raise click.UsageError("--explain needs every song to be heard again, which --resume and --scheduler do not.")
    if scheduler is not None and jobs is not None:
        raise click.UsageError("--jobs is of this machine; a cluster has the workers that were started.")
    if again is not None:
        _paint_again(ctx, again, paths, output, explain=explain, as_json=as_json)
        return

    faults: list[str] = []
    options: dict[str, Any] = {
        "bundle": bundle,
        "size": size,
        "seed": seed,
        "variation": variation,
        "noise_std": noise_std,
        "logvar_scale": logvar_scale,
        "max_s": max_s,
        "verbose": verbose,
        "resume": resume or scheduler is not None,
    }
    if scheduler is not None:
        check_scheduler(scheduler)  # before a large tree is looked through
    networks = _engine(bundle).engine
    if n_random is not None:
        if len(paths) != 1 or count != 1:
            raise click.UsageError("--random takes one folder of feature files and no --count.")
        networks.check(painting_only=True)
        tasks = _random_tasks(paths[0], n_random, Path(output or RANDOM_FOLDER), faults, options)
    else:
        songs = list(_find_songs(paths, faults))
        if len(songs) != 1:  # one song is listened to while they are loaded
            networks.check(painting_only=True)  # a damaged bundle is said once, not for every song
        files = _name_pictures(songs, output, count)
        tasks = [_Task(song, pictures, clip=None, **options) for song, pictures in zip(songs, files, strict=True)]
    for fault in faults:
        _complain(fault)
    n_faults = len(faults)
    if any(task.path.suffix.lower() == CLIP_SUFFIX for task in tasks):
        _complain(NO_DESCRIPTORS)
    n_kept = 0
    for outcome in _run(tasks, jobs, scheduler, paths):
        n_faults += outcome.fault is not None
        n_kept += outcome.n_kept
        _tell(outcome, explain=explain, as_json=as_json)
    if n_kept:
        _complain(f"{n_kept} of the pictures were there already and are left as they are")
    ctx.exit(1 if n_faults else 0)


def _find_songs(paths: Iterable[Path], faults: list[str]) -> Iterator[Path]:
    """Yield the songs that were named, and those in named folders, each once; a folder without any is a fault."""
    seen: set[str] = set()
    for path in paths:
        # os.path, as Path raises where a name is too long or a link leads to itself; listening says what is wrong then.
        songs: tuple[Path, ...] = (path,)
        if os.path.isdir(path):
            listing = list_folder(path, AUDIO_SUFFIXES | {CLIP_SUFFIX})
            songs = listing.files
            faults += listing.faults()
            for line in listing.hints():
                _complain(line)
            if path in listing.unreadable:
                continue
        if not songs:
            faults.append(
                f"{path}: holds no songs (files with an extension of sound, such as .mp3) and no feature files (.npy)"
            )
        for song in songs:
            real = os.path.realpath(song)
            if real not in seen:
                seen.add(real)
                yield song


def _name_pictures(songs: list[Path], output: str | None, count: int) -> list[tuple[Path, ...]]:
    """Name the pictures of each song, no name twice.

    ``-o FILE`` is taken as it is. In a folder, a song's pictures are called after it; a name that is taken, by
    another song of this run or by a file that is not a picture of this very song, is passed over for ``NAME_2``,
    ``NAME_3`` and so on.
    """
    if output is not None and Path(output).suffix and not output.endswith("/") and not os.path.isdir(output):
        if Path(output).suffix.lower() not in FORMATS:
            raise click.UsageError(
                f"-o {output}: a picture ends in {', '.join(FORMATS)}; add a / for a folder of that name."
            )
        if len(songs) > 1:
            raise click.UsageError(f"-o {output} is one picture, and there are {len(songs)} songs; give a folder.")
        _make_folder(Path(output).parent)
        return [_numbered(Path(output), count) for _ in songs]
    folder = Path(output or ".")
    _make_folder(folder)
    taken: set[str] = set()
    named: list[tuple[Path, ...]] = []
    for song in songs:
        attempt = 1
        while True:
            stem = song.stem if attempt == 1 else f"{song.stem}_{attempt}"
            pictures = _numbered(folder / f"{stem}.png", count)
            names = {picture.name.casefold() for picture in pictures}  # some file systems take A.png for a.png
            if not names & taken and all(_may_be_replaced(picture, song) for picture in pictures):
                break
            attempt += 1
        taken |= names
        named.append(pictures)
    return named


def _numbered(picture: Path, count: int) -> tuple[Path, ...]:
    """``song.png`` for one picture, ``song-1.png``, ``song-2.png`` ... for more."""
    if count == 1:
        return (picture,)
    return tuple(picture.with_name(f"{picture.stem}-{number}{picture.suffix}") for number in range(1, count + 1))


def _may_be_replaced(picture: Path, song: Path) -> bool:
    """Whether a picture may go there: nothing is there, or an earlier picture of the same song."""
    if not os.path.exists(picture):
        return True
    try:
        painted_from = read_record(picture).get("song")
        return isinstance(painted_from, dict) and painted_from.get("sha256") == hash_file(song)
    except ClaviluxError:
        return False


def _random_tasks(
    features: Path, n_random: int, folder: Path, faults: list[str], options: dict[str, Any]
) -> list[_Task]:
    """Choose clips at random, keyed by the seed, and name their pictures."""
    clips = pick_clips(features, n_random, np.random.default_rng(options["seed"]), skip=faults.append)
    logger.info("chosen: %s", ", ".join(f"{file.relative_to(features)}[{clip}]" for file, clip in clips))
    _make_folder(folder)
    return [
        _Task(file, (folder / f"generated_image_{number}.png",), clip=clip, **options)
        for number, (file, clip) in enumerate(clips, 1)
    ]


def _paint_again(
    ctx: click.Context, again: Path, paths: tuple[Path, ...], output: str | None, *, explain: bool, as_json: bool
) -> None:
    """Repaint one picture from its record; the size may be another, everything else is the record's."""
    given = {
        name
        for name in (
            *("seed", "count", "variation", "noise_std", "logvar_scale", "n_random", "max_s"),
            *("jobs", "resume", "scheduler"),
        )
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }
    if given:
        raise click.UsageError("--again takes seed, variation and the rest from the record; only --size may be given.")
    if len(paths) != 1:
        raise click.UsageError("--again repaints one picture: give one SONG.")
    if output is not None and Path(output).suffix.lower() not in FORMATS:
        raise click.UsageError(f"-o {output}: a picture ends in {', '.join(FORMATS)}.")
    record = read_record(again)
    params = ctx.params
    explicit_size = ctx.get_parameter_source("size") is click.core.ParameterSource.COMMANDLINE
    explicit_bundle = ctx.get_parameter_source("bundle") is click.core.ParameterSource.COMMANDLINE
    engine = _engine(params["bundle"] if explicit_bundle else _shipped_bundle_of(record, again))
    picture = engine.repaint(record, paths[0], size=params["size"] if explicit_size else None)
    target = Path(output) if output is not None else Path(f"{again.stem}-again{again.suffix}")
    _make_folder(target.parent)
    picture.save(target)
    _tell(
        _Outcome((report_picture(picture, target, engine.bundle.descriptors),), _warnings(picture.song)),
        explain=explain,
        as_json=as_json,
    )


def _shipped_bundle_of(record: dict[str, Any], again: Path) -> str:
    """Return the name of the bundle in a record; only shipped ones are looked up, never a path that a picture names."""
    bundle = record.get("bundle")
    name = bundle.get("name") if isinstance(bundle, dict) else None
    if name not in shipped_bundles():
        raise BundleError(
            f"{again}: was painted with bundle {show(name)}, which does not ship; give its folder with --bundle"
        )
    return str(name)


def _run(tasks: list[_Task], jobs: int | None, scheduler: str | None, paths: tuple[Path, ...]) -> Iterator[_Outcome]:
    """Paint the songs, in several processes if it pays, and return what became of each in their order."""
    if scheduler is not None:
        tasks = [_for_workers(task) for task in tasks]
        places = {path if path.is_dir() else path.parent for path in (path.absolute() for path in paths)}
        places |= {task.pictures[0].parent for task in tasks}
        # A song that is missing here too is a fault of its own.
        folders = sorted(place for place in places if place.is_dir())
        return run_songs(_paint_song, tasks, jobs=1, scheduler=scheduler, folders=folders)
    if jobs is None and len(tasks) < PARALLEL_FROM_SONGS:
        tasks = [replace(task, threads=min(count_cores(), MOST_THREADS)) for task in tasks]
        jobs = 1
    elif jobs is None:
        from joblib import cpu_count  # 0.04 s

        jobs = cpu_count()
    return run_songs(_paint_song, tasks, jobs=max(1, min(jobs, len(tasks))))


def _for_workers(task: _Task) -> _Task:
    """The same task for a process that was started in another folder."""
    bundle = task.bundle if task.bundle in shipped_bundles() else str(Path(task.bundle).absolute())
    pictures = tuple(picture.absolute() for picture in task.pictures)
    return replace(task, path=task.path.absolute(), pictures=pictures, bundle=bundle)


def _paint_song(task: _Task) -> _Outcome:
    """Listen to one song and paint its pictures; a fault of the song is part of the outcome and ends no other song."""
    _set_up_log(task.verbose)
    try:
        engine = _engine(task.bundle)
        engine.threads = task.threads
        kept = _kept(task, engine) if task.resume else {}
        if len(kept) == len(task.pictures):
            return _Outcome(tuple(kept.values()), n_kept=len(kept))
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
            picture.save(target)
            reports[sibling] = report_picture(picture, target, engine.bundle.descriptors)
    except ClaviluxError as error:
        return _Outcome(fault=str(error))
    return _Outcome(tuple(reports[sibling] for sibling in sorted(reports)), _warnings(song), n_kept=len(kept))


_REMEMBERED = ("size", "seed", "variation", "noise_std", "logvar_scale", "max_s", "clip")


def _kept(task: _Task, engine: Clavilux) -> dict[int, dict[str, Any]]:
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
def _engine(bundle: str) -> Clavilux:
    """The networks of this process, loaded for its first song."""
    return Clavilux(bundle)


def _tell(outcome: _Outcome, *, explain: bool, as_json: bool) -> None:
    """Print what became of a song: its pictures on stdout, warnings and faults on stderr."""
    if outcome.fault is not None:
        _complain(outcome.fault)
    for warning in outcome.warnings:
        _complain(warning)
    for report in outcome.reports:
        names = (click.format_filename(report[name]) for name in ("song", "picture"))  # names that are no UTF-8 too
        click.echo(json.dumps(report) if as_json else " -> ".join(names))
        if explain:
            click.echo(explain_report(report))


def _complain(line: str) -> None:
    click.echo(f"clavilux: {line}", err=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PictureError(f"{folder}: cannot be made a folder for pictures ({error.strerror})") from error


def _set_up_log(verbose: bool) -> None:
    """Send the log of Clavilux to stderr, in this process: with ``-v`` what was measured, else warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.handlers = [handler]
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
