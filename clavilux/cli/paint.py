"""``clavilux paint``: songs, folders of songs and feature files become pictures.

paths and options -> tasks (one song each) -> `painting.paint_song` in other processes -> one line a picture
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from clavilux.audio.clips import CLIP_SUFFIX, NO_DESCRIPTORS, pick_clips
from clavilux.audio.decode import AUDIO_SUFFIXES
from clavilux.bundle import shipped_bundles
from clavilux.cli.names import is_picture_name, make_folder, name_pictures
from clavilux.cli.output import complain, say, set_up_log, visible
from clavilux.cli.painting import Again, Outcome, Task, open_engine, paint_again, paint_songs
from clavilux.constants import DEFAULT_SIZE_PX, MAX_AUDIO_S
from clavilux.errors import BundleError, PictureError
from clavilux.explain import explain_report
from clavilux.picture import FORMATS, read_record
from clavilux.system.arguments import check_size, show
from clavilux.system.files import list_folder, refuse_inputs
from clavilux.system.jobs import check_scheduler

logger = logging.getLogger("clavilux")

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
    set_up_log(verbose)
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
        "is_named": n_random is None and is_picture_name(output),
        "resume": resume or scheduler is not None,
    }
    if scheduler is not None:
        check_scheduler(scheduler)  # before a large tree is looked through
    networks = open_engine(bundle).engine
    if n_random is not None:
        if len(paths) != 1 or count != 1:
            raise click.UsageError("--random takes one folder of feature files and no --count.")
        networks.check(painting_only=True)
        tasks = _random_tasks(paths[0], n_random, Path(output or RANDOM_FOLDER), faults, options)
    else:
        songs = list(_find_songs(paths, faults))
        if len(songs) != 1:  # one song is listened to while they are loaded
            networks.check(painting_only=True)  # a damaged bundle is said once, not for every song
        files = name_pictures(songs, output, count)
        tasks = [Task(song, pictures, clip=None, **options) for song, pictures in zip(songs, files, strict=True)]
    for fault in faults:
        complain(fault)
    n_faults = len(faults)
    if any(task.path.suffix.lower() == CLIP_SUFFIX for task in tasks):
        complain(NO_DESCRIPTORS)
    n_kept = 0
    for outcome in paint_songs(tasks, jobs, scheduler, paths):
        n_faults += outcome.fault is not None
        n_kept += outcome.n_kept
        _tell(outcome, explain=explain, as_json=as_json)
    if n_kept:
        complain(f"{n_kept} of the pictures were there already and are left as they are")
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
                complain(line)
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


def _random_tasks(
    features: Path, n_random: int, folder: Path, faults: list[str], options: dict[str, Any]
) -> list[Task]:
    """Choose clips at random, keyed by the seed, and name their pictures."""
    clips = pick_clips(features, n_random, np.random.default_rng(options["seed"]), skip=faults.append)
    logger.info("chosen: %s", ", ".join(f"{file.relative_to(features)}[{clip}]" for file, clip in clips))
    make_folder(folder)
    return [
        Task(file, (folder / f"generated_image_{number}.png",), clip=clip, **options)
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
    bundle = params["bundle"] if explicit_bundle else _shipped_bundle_of(record, again)
    open_engine(bundle)
    target = Path(output) if output is not None else Path(f"{again.stem}-again{again.suffix}")
    make_folder(target.parent)
    if output is not None:
        refuse_inputs([target], [again, paths[0]])
    outcome = paint_again(
        Again(paths[0], record, target, bundle, params["size"] if explicit_size else None, output is not None)
    )
    _tell(outcome, explain=explain, as_json=as_json)
    ctx.exit(1 if outcome.fault else 0)


def _shipped_bundle_of(record: dict[str, Any], again: Path) -> str:
    """Return the name of the bundle in a record; only shipped ones are looked up, never a path that a picture names."""
    bundle = record.get("bundle")
    name = bundle.get("name") if isinstance(bundle, dict) else None
    if name not in shipped_bundles():
        raise BundleError(
            f"{again}: was painted with bundle {show(name)}, which does not ship; give its folder with --bundle"
        )
    return str(name)


def _tell(outcome: Outcome, *, explain: bool, as_json: bool) -> None:
    """Print what became of a song: its pictures on stdout, warnings and faults on stderr."""
    if outcome.fault is not None:
        complain(outcome.fault)
    for warning in outcome.warnings:
        complain(warning)
    for report in outcome.reports:
        say(json.dumps(report) if as_json else " -> ".join(visible(report[name]) for name in ("song", "picture")))
        if explain:
            say(explain_report(report))
