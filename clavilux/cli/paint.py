"""``clavilux paint``: paint songs, folders of songs and feature files.

paths and options -> one `Task` per song -> `painting.paint_songs` -> one printed line per picture
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from clavilux.audio.clips import CLIP_SUFFIX, NO_DESCRIPTORS, pick_clips
from clavilux.audio.decode import AUDIO_SUFFIXES
from clavilux.bundle import shipped_bundles
from clavilux.cli.advanced import AdvancedOption, CommandWithAdvanced
from clavilux.cli.names import is_picture_name, make_folder, name_pictures
from clavilux.cli.output import complain, say, set_up_log, visible
from clavilux.cli.painting import Again, Outcome, Task, open_clavilux, paint_again, paint_songs
from clavilux.constants import DEFAULT_SIZE_PX, MAX_AUDIO_S
from clavilux.errors import BundleError, PictureError
from clavilux.explain import explain_report
from clavilux.picture_file import FORMATS, read_record
from clavilux.record import CONTROLS_SUFFIX, PaintOptions
from clavilux.system.arguments import check_size, show
from clavilux.system.files import list_folder, refuse_inputs
from clavilux.system.jobs import check_scheduler

logger = logging.getLogger("clavilux")

RANDOM_FOLDER = "generated_images"


def _read_size(text: str) -> tuple[int, int]:
    """Return width and height in pixels of ``1024`` or ``3000x2000``.

    A function, because `click.ParamType` is generic only from click 8.4 on.
    """
    match = re.fullmatch(r"(\d{1,9})(?:[xX×](\d{1,9}))?", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a size; write 1024 or 3000x2000")
    try:
        return check_size((int(match[1]), int(match[2] or match[1])))
    except PictureError as error:
        raise click.BadParameter(str(error)) from error


class FiniteRange(click.FloatRange):
    """A finite number of `min` or more; `click.FloatRange` accepts ``nan`` and ``inf``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number, or fail with a message of one line."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


@click.command(cls=CommandWithAdvanced)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="SONG|FOLDER|FEATURES|CONTROLS...")
@click.option(
    "-o",
    "--output",
    metavar="FILE|DIR",
    help="Picture to write (.png, .jpg or .webp), such as cover.jpg, or a folder.  [default: SONG.png, here]",
)
@click.option(
    "--size",
    type=_read_size,
    default=str(DEFAULT_SIZE_PX),
    metavar="N|WxH",
    show_default=True,
    help="Size in pixels, such as 3000 or 1920x1080; the same picture at every size.",
)
@click.option("--seed", type=click.IntRange(0), default=0, metavar="N", show_default=True, help="Random seed.")
@click.option(
    "--count",
    type=click.IntRange(1),
    default=1,
    metavar="N",
    show_default=True,
    help="Pictures per song: the main one, then variations (song-1.png, song-2.png, ...).",
)
@click.option(
    "--spread",
    type=FiniteRange(0),
    default=1.0,
    metavar="X",
    show_default=True,
    help="How far variations differ from the main picture: 0.5 is half as far.",
)
@click.option(
    "--max-seconds",
    "max_s",
    type=FiniteRange(1),
    default=MAX_AUDIO_S,
    metavar="S",
    help=f"Use only the first S seconds of each song.  [default: {MAX_AUDIO_S:g}, 4 hours]",
)
@click.option("--explain", is_flag=True, help="Print what was measured in each song and what was painted.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON per picture, for scripts.")
@click.option(
    "--again",
    type=click.Path(path_type=Path),
    metavar="PICTURE",
    help="Paint PICTURE again from what is stored in it, at any --size; its SONG is not needed.",
)
@click.option("--resume", is_flag=True, help="Skip pictures that exist already and would come out the same.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    help="Songs painted at once.  [default: one per core for 4 songs or more, else 1]",
)
@click.option(
    "--bundle",
    cls=AdvancedOption,
    default="default",
    metavar="NAME|DIR",
    show_default=True,
    help="Trained networks: default, classic, or a folder that `clavilux train` wrote.",
)
@click.option(
    "--noise-std",
    cls=AdvancedOption,
    type=click.FloatRange(0),
    metavar="X",
    help="Vary at random the 64 numbers that the picture is decoded from, with standard deviation X; 0 turns it off.  "
    "[default: that of the bundle]",
)
@click.option(
    "--logvar-scale",
    cls=AdvancedOption,
    type=click.FloatRange(0),
    metavar="X",
    help="Vary at random the numbers that describe the song, by X times the network's variance; 0 turns it off.  "
    "[default: that of the bundle]",
)
@click.option(
    "--random",
    "n_random",
    cls=AdvancedOption,
    type=click.IntRange(1),
    metavar="N",
    help="Paint N random excerpts of 5 s from a folder that `clavilux features` wrote.",
)
@click.option(
    "--scheduler",
    cls=AdvancedOption,
    metavar="ADDRESS",
    help="Paint on a Dask cluster, such as tcp://10.0.0.1:8786; includes --resume.",
)
@click.option(
    "-v", "--verbose", cls=AdvancedOption, is_flag=True, help="Print the ranges of all intermediate numbers to stderr."
)
@click.pass_context
def paint(
    ctx: click.Context,
    paths: tuple[Path, ...],
    output: str | None,
    size: tuple[int, int],
    seed: int,
    count: int,
    spread: float,
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
    """Paint songs: one abstract picture per song, or per song of a folder.

    FEATURES is a file that `clavilux features` wrote, CONTROLS one that `clavilux controls` wrote.

    The whole song determines the picture. The same song, seed and bundle always give the same picture.

    \b
    clavilux paint nocturne.flac                            writes nocturne.png
    clavilux paint nocturne.flac -o cover.jpg --size 3000   a square cover
    clavilux paint album/ -o pictures/ --count 4            four pictures per song
    clavilux paint nocturne.flac --explain                  also says what was measured
    clavilux paint --again nocturne.png --size 4096         the same picture again, larger
    """  # noqa: D301  (click: \b keeps line breaks)
    set_up_log(verbose)
    if explain and as_json:
        raise click.UsageError("Give --explain or --json, not both.")
    if explain and (resume or scheduler is not None):
        raise click.UsageError("--explain needs to measure every song again; give it without --resume and --scheduler.")
    if scheduler is not None and jobs is not None:
        raise click.UsageError(
            "--jobs sets processes of this machine; a cluster uses the workers it has. Give --jobs or --scheduler."
        )
    if not paths and again is None:
        raise click.UsageError("Missing argument 'SONG|FOLDER|FEATURES|CONTROLS...'.")
    if again is not None:
        _paint_again(ctx, again, paths, output, explain=explain, as_json=as_json)
        return

    faults: list[str] = []
    if scheduler is not None:
        check_scheduler(scheduler)  # before a large folder is searched
    networks = open_clavilux(bundle).engine
    options = PaintOptions(
        size=size, seed=seed, spread=spread, noise_std=noise_std, logvar_scale=logvar_scale, max_s=max_s
    )
    run: dict[str, Any] = {
        "bundle": bundle,
        "verbose": verbose,
        "is_named": n_random is None and is_picture_name(output),
        "resume": resume or scheduler is not None,
        "has_seed": ctx.get_parameter_source("seed") is click.core.ParameterSource.COMMANDLINE,
    }
    if n_random is not None:
        if len(paths) != 1 or count != 1:
            raise click.UsageError("--random needs exactly one folder of feature files, and no --count.")
        networks.check(painting_only=True)
        tasks = _random_tasks(paths[0], n_random, Path(output or RANDOM_FOLDER), faults, options, run)
    else:
        songs = list(_find_songs(paths, faults))
        if len(songs) != 1:  # a single song is read while the networks are loaded
            networks.check(painting_only=True)  # report a damaged bundle once, not for every song
        if count > 1 and any(song.suffix.lower() == CONTROLS_SUFFIX for song in songs):
            raise click.UsageError("Controls have no variations; give them without --count.")
        files = name_pictures(songs, output, count)
        tasks = [Task(song, pictures, options=options, **run) for song, pictures in zip(songs, files, strict=True)]
    for fault in faults:
        complain(fault)
    n_faults = len(faults)
    if any(task.path.suffix.lower() == CLIP_SUFFIX for task in tasks):
        complain(NO_DESCRIPTORS)
    n_skipped = 0
    for outcome in paint_songs(tasks, jobs, scheduler, paths):
        n_faults += outcome.fault is not None
        n_skipped += outcome.n_skipped
        _print_outcome(outcome, explain=explain, as_json=as_json)
    if n_skipped:
        complain(f"skipped {n_skipped} pictures that exist already")
    ctx.exit(1 if n_faults else 0)


def _find_songs(paths: Iterable[Path], faults: list[str]) -> Iterator[Path]:
    """Yield named songs and the songs of named folders, each once; add faults such as folders without songs."""
    seen: set[str] = set()
    for path in paths:
        # os.path, because Path raises if a name is too long or a link is circular; reading the song reports that.
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
    features: Path, n_random: int, folder: Path, faults: list[str], options: PaintOptions, run: dict[str, Any]
) -> list[Task]:
    """Return tasks for clips drawn at random with the seed."""
    clips = pick_clips(features, n_random, np.random.default_rng(options.seed), skip=faults.append)
    logger.info("chosen: %s", ", ".join(f"{file.relative_to(features)}[{clip}]" for file, clip in clips))
    make_folder(folder)
    return [
        Task(file, (folder / f"generated_image_{number}.png",), options=replace(options, clip=clip), **run)
        for number, (file, clip) in enumerate(clips, 1)
    ]


def _paint_again(
    ctx: click.Context, again: Path, paths: tuple[Path, ...], output: str | None, *, explain: bool, as_json: bool
) -> None:
    """Paint one picture again from its record; only the size may differ."""
    given = {
        name
        for name in (
            *("seed", "count", "spread", "noise_std", "logvar_scale", "n_random", "max_s"),
            *("jobs", "resume", "scheduler"),
        )
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }
    if given:
        raise click.UsageError(
            "--again uses the settings stored in the picture; only --size, --bundle and -o may be given with it."
        )
    if len(paths) > 1:
        raise click.UsageError("--again paints one picture: give one SONG, or none.")
    if output is not None and Path(output).suffix.lower() not in FORMATS:
        raise click.UsageError(f"-o {output}: a picture ends in {', '.join(FORMATS)}.")
    record = read_record(again)
    params = ctx.params
    explicit_size = ctx.get_parameter_source("size") is click.core.ParameterSource.COMMANDLINE
    explicit_bundle = ctx.get_parameter_source("bundle") is click.core.ParameterSource.COMMANDLINE
    bundle = None
    if "controls" not in record:
        bundle = params["bundle"] if explicit_bundle else _shipped_bundle_of(record, again)
        open_clavilux(bundle)
    elif paths:
        raise click.UsageError(f"{again} was painted from controls: give no SONG.")
    target = Path(output) if output is not None else Path(f"{again.stem}-again{again.suffix}")
    make_folder(target.parent)
    if output is not None:
        refuse_inputs([target], [again, *paths])
    outcome = paint_again(
        Again(
            paths[0] if paths else None,
            record,
            target,
            bundle,
            params["size"] if explicit_size else None,
            output is not None,
        )
    )
    _print_outcome(outcome, explain=explain, as_json=as_json)
    ctx.exit(1 if outcome.fault else 0)


def _shipped_bundle_of(record: dict[str, Any], again: Path) -> str:
    """Return the bundle in a record if it is a shipped one; a path in an untrusted picture is never opened."""
    bundle = record.get("bundle")
    name = bundle.get("name") if isinstance(bundle, dict) else None
    if name not in shipped_bundles():
        raise BundleError(
            f"{again}: was painted with bundle {show(name)}, which does not ship; give its folder with --bundle"
        )
    return str(name)


def _print_outcome(outcome: Outcome, *, explain: bool, as_json: bool) -> None:
    """Print the pictures of an outcome on stdout, its warnings and its fault on stderr."""
    if outcome.fault is not None:
        complain(outcome.fault)
    for warning in outcome.warnings:
        complain(warning)
    for report in outcome.reports:
        say(json.dumps(report) if as_json else " -> ".join(visible(report[name]) for name in ("song", "picture")))
        if explain:
            say(explain_report(report))
