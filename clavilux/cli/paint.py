"""``clavilux paint``: paint songs, folders of songs and feature files.

paths and options -> one `Task` per song -> `painting.paint_songs` -> one printed line per picture
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from clavilux.audio.clips import NO_DESCRIPTORS
from clavilux.cli.again import paint_from_record
from clavilux.cli.beside import FOLDER_IMAGE, Extras
from clavilux.cli.find import find_clips, find_songs
from clavilux.cli.names import is_picture_name, make_folder, name_pictures
from clavilux.cli.output import complain, say, set_up_log, visible
from clavilux.cli.painting import Outcome, Task, open_clavilux, paint_songs
from clavilux.cli.progress import StatusLine
from clavilux.cli.sections import BUNDLE_HELP, AdvancedOption, SectionOption
from clavilux.cli.sheet import check_sheet, refuse_sheet, write_sheet
from clavilux.cli.sizes import Size, read_size, resolve_size
from clavilux.cli.steering import SteeredCommand, read_steering, steering_options
from clavilux.cli.templates import FoundSong, check_template, is_template
from clavilux.constants import DEFAULT_SIZE_PX, DENSITY_DPI, DPI_RANGE, MAX_AUDIO_S
from clavilux.explain import explain_report
from clavilux.picture_file import ALL_FORMATS, VECTOR_FORMATS
from clavilux.record import CONTROLS_SUFFIX, PaintOptions
from clavilux.system.jobs import check_scheduler

RANDOM_FOLDER = "generated_images"


class FiniteRange(click.FloatRange):
    """A type of click: a finite number in a range. `click.FloatRange` itself accepts ``nan`` and ``inf``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; raise `BadParameter` if it is not finite or out of range."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


def _in(section: str) -> Callable[..., Callable[[Callable[..., None]], Callable[..., None]]]:
    """Return `click.option` for a section of the help text."""
    return partial(click.option, cls=SectionOption, section=section)


_picture, _files, _messages = _in("What is painted"), _in("Files"), _in("Messages")


@click.command(cls=SteeredCommand)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="SONG|FOLDER|FEATURES|CONTROLS...")
@_picture(
    "--size",
    type=read_size,
    default=str(DEFAULT_SIZE_PX),
    metavar="SIZE",
    show_default=True,
    help="Width x height in pixels, such as 1920x1080; one number is a square. Or with a unit (mm, cm, in) and, after "
    "@, a resolution in dpi: 600x600mm@300. 64 to 8192 pixels a side, at most 8:1. The size does not change the "
    "composition.",
)
@_picture(
    "--seed",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    show_default=True,
    help="Random seed: moves single marks and brush strokes. The palette, the layout and the kinds of marks of the "
    "main picture do not depend on it; variations (--count) do.",
)
@_picture(
    "--count",
    type=click.IntRange(1),
    default=1,
    metavar="N",
    show_default=True,
    help="Number of pictures per song. With 2 or more, song-1.png is the main picture, and song-2.png, song-3.png, "
    "... are variations.",
)
@_picture(
    "--spread",
    type=FiniteRange(0),
    default=1.0,
    metavar="X",
    show_default=True,
    help="How much variations differ from the main picture: 0.5 is half as much as usual.",
)
@_picture(
    "--max-seconds",
    "max_s",
    type=FiniteRange(1),
    default=MAX_AUDIO_S,
    metavar="S",
    help=f"Use only the first S seconds of each song.  [default: {MAX_AUDIO_S:g}, 4 hours]",
)
@_picture(
    "--again",
    type=click.Path(path_type=Path),
    metavar="PICTURE",
    help="Paint PICTURE again from the data stored in its file, for example at another --size; no SONG is needed.",
)
@steering_options
@_files(
    "-o",
    "--output",
    metavar="FILE|DIR|TEMPLATE",
    help="Picture to write, such as cover.jpg; a folder; or a template that is filled with the tags of each song, such "
    'as "{artist} - {title}.jpg".  [default: SONG.png in the current folder]',
)
@_files(
    "--format",
    "suffix",
    type=click.Choice([name.removeprefix(".") for name in ALL_FORMATS], case_sensitive=False),
    help="Format of pictures if -o has no extension. svg and pdf need the extra `vector`.  [default: png]",
)
@_files(
    "--plot",
    is_flag=True,
    help="Write lines only, for a plotter: borders of areas and centre lines of strokes; only for .svg and .pdf.",
)
@_files(
    "--dpi",
    type=FiniteRange(*DPI_RANGE),
    metavar="N",
    help="Resolution in pixels per inch that is written into the file, for printers. It also converts a --size given "
    "in millimetres, centimetres or inches to pixels.  [default: 300]",
)
@_files(
    "--alt-file",
    is_flag=True,
    help="Also write a text file for each picture, such as song.txt, that describes the picture for blind people.",
)
@_files(
    "--embed",
    is_flag=True,
    help="Modify the audio file: write the picture into its tags as front cover (MP3, FLAC, M4A, Ogg Vorbis, Opus). "
    "A cover that Clavilux did not write is kept. Needs the extra `tags`.",
)
@_files(
    "--folder-image",
    is_flag=True,
    help="Write cover.jpg into each folder of songs: the picture of the first song of the folder. A "
    "cover.jpg is replaced only if it is a picture of the same song by Clavilux.",
)
@_files(
    "--sheet",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write a contact sheet: FILE shows all pictures of the run with their numbers and names.",
)
@_files("--resume", is_flag=True, help="Skip pictures that exist already and would be painted the same.")
@_messages("--explain", is_flag=True, help="Print what was measured in each song and what was painted.")
@_messages("--json", "as_json", is_flag=True, help="Print one line of JSON per picture, for scripts.")
@_messages("-q", "--quiet", is_flag=True, help="Print only warnings and errors.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    help="Number of worker processes.  [default: one per core for 4 songs or more, else 1]",
)
@click.option(
    "--bundle",
    cls=AdvancedOption,
    default="default",
    metavar="NAME|DIR",
    show_default=True,
    help=BUNDLE_HELP,
)
@click.option(
    "--noise-std",
    cls=AdvancedOption,
    type=click.FloatRange(0),
    metavar="X",
    help="Add normal noise with standard deviation X to the 64 numbers (latent) that the picture is decoded from; 0 "
    "adds none.  [default: that of the bundle]",
)
@click.option(
    "--logvar-scale",
    cls=AdvancedOption,
    type=click.FloatRange(0),
    metavar="X",
    help="Sample the 64-dimensional audio latent of each 5 s window from its posterior, with the variance multiplied "
    "by X; 0 uses the posterior mean.  [default: that of the bundle]",
)
@click.option(
    "--random",
    "n_random",
    cls=AdvancedOption,
    type=click.IntRange(1),
    metavar="N",
    help="Paint N random 5 s excerpts of the songs in the one folder of feature files that is given as argument; "
    "--seed chooses them. Pictures are written to the folder -o, or to generated_images without -o.",
)
@click.option(
    "--scheduler",
    cls=AdvancedOption,
    metavar="ADDRESS",
    help="Paint on a Dask cluster, such as tcp://10.0.0.1:8786; includes --resume.",
)
@click.option(
    "-v",
    "--verbose",
    cls=AdvancedOption,
    is_flag=True,
    help="Print the ranges of the features and latents of each song, and tracebacks of internal errors, to stderr.",
)
@click.pass_context
def paint(
    ctx: click.Context,
    /,
    paths: tuple[Path, ...],
    output: str | None,
    suffix: str | None,
    plot: bool,
    size: Size,
    dpi: float | None,
    seed: int,
    count: int,
    spread: float,
    noise_std: float | None,
    logvar_scale: float | None,
    bundle: str,
    explain: bool,
    as_json: bool,
    quiet: bool,
    alt_file: bool,
    embed: bool,
    folder_image: bool,
    sheet: Path | None,
    again: Path | None,
    n_random: int | None,
    max_s: float,
    jobs: int | None,
    resume: bool,
    scheduler: str | None,
    verbose: bool,
    **steering: Any,
) -> None:
    """Paint one abstract picture for each song, and for each song in a folder.

    FEATURES is a file that `clavilux features` wrote. CONTROLS is a file that `clavilux controls` wrote.

    The picture depends on the whole song. The same song, options and bundle always give the same picture.

    \b
    clavilux paint nocturne.flac                            writes nocturne.png
    clavilux paint nocturne.flac -o cover.jpg --size 3000   a square cover
    clavilux paint album/ -o "art/{track} {title}.jpg"      named after the tags
    clavilux paint album/ --embed --folder-image            covers for music players
    clavilux paint album/ -o pictures/ --count 4            four pictures per song
    clavilux paint nocturne.flac --warmth 0.5 --texture 0   warmer, without traces of a brush
    clavilux paint nocturne.flac --palette "#112233,#e63946,#f1faee" --surface flat --outline 0.5
    clavilux paint nocturne.flac --size 600x600mm@300       for a print of 60 cm
    clavilux paint --again nocturne.png --size 4096         the same picture, larger
    """  # noqa: D301  (click: \b keeps line breaks)
    set_up_log(verbose)
    _check_usage(ctx)
    printed = _Printed(explain, as_json, quiet)
    if again is not None:
        has_size = ctx.get_parameter_source("size") is click.core.ParameterSource.COMMANDLINE
        pixels, density = resolve_size(size, dpi, DENSITY_DPI)
        line = StatusLine(1, "painting")
        with line.shown():
            outcome = paint_from_record(
                ctx,
                again,
                paths,
                output,
                size=pixels if has_size else None,
                dpi=density if dpi is not None or size.dpi is not None else None,
                alt_file=alt_file,
            )
        printed.show(outcome)
        ctx.exit(1 if outcome.fault else 0)

    faults: list[str] = []
    if scheduler is not None:
        check_scheduler(scheduler)  # before a large folder is searched
    pixels, density = resolve_size(size, dpi, DENSITY_DPI)
    asked = read_steering(steering)
    networks = open_clavilux(bundle).engine
    asked.check_bundle(networks.bundle)
    options = PaintOptions(
        size=pixels,
        seed=seed,
        spread=spread,
        dpi=density,
        noise_std=noise_std,
        logvar_scale=logvar_scale,
        max_s=max_s,
        steering=asked,
    )
    run: dict[str, Any] = {
        "bundle": bundle,
        "verbose": verbose,
        "is_named": n_random is None and is_picture_name(output),
        "resume": resume or scheduler is not None,
        "plot": plot,
        "has_seed": ctx.get_parameter_source("seed") is click.core.ParameterSource.COMMANDLINE,
    }
    if n_random is not None:
        networks.check(painting_only=True)
        folder = Path(output or RANDOM_FOLDER)
        clips = find_clips(paths[0], n_random, seed, faults)
        make_folder(folder)
        tasks = [
            Task(
                file,
                (folder / f"generated_image_{number}.{suffix or 'png'}",),
                options=replace(options, clip=clip),
                extras=Extras(alt_file=alt_file),
                **run,
            )
            for number, (file, clip) in enumerate(clips, 1)
        ]
    else:
        songs = list(find_songs(paths, faults, complain))
        if len(songs) != 1:  # a single song is read while the networks are loaded
            networks.check(painting_only=True)  # report a damaged bundle once, not for every song
        if count > 1 and any(song.path.suffix.lower() == CONTROLS_SUFFIX for song in songs):
            raise click.UsageError("Controls have no variations; give them without --count.")
        files = name_pictures(songs, output, count, f".{suffix or 'png'}")
        extras = _extras_of(songs, alt_file=alt_file, embed=embed, folder_image=folder_image)
        tasks = [
            Task(song.path, pictures, options=options, extras=extra, **run)
            for song, pictures, extra in zip(songs, files, extras, strict=True)
        ]
    for fault in faults:
        complain(fault)
    n_faults = len(faults)
    n_skipped = 0
    if sheet is not None:
        refuse_sheet(sheet, [task.path for task in tasks], [picture for task in tasks for picture in task.pictures])
    painted: list[Path] = []
    line = StatusLine(len(tasks), "painting")
    with line.shown():
        for outcome in paint_songs(tasks, jobs, scheduler, paths):
            n_faults += outcome.fault is not None
            n_skipped += outcome.n_skipped
            painted += [Path(report["picture"]) for report in outcome.reports]
            line.advance()
            printed.show(outcome)
    if n_skipped and not quiet:
        complain(f"skipped {n_skipped} pictures that exist already")
    if sheet is not None and painted:
        write_sheet(sheet, painted)
    ctx.exit(1 if n_faults else 0)


def _check_usage(ctx: click.Context) -> None:
    """Raise a `UsageError` for options that do not go together."""
    given = ctx.params
    paths, output, suffix = given["paths"], given["output"], given["suffix"]
    if not paths and given["again"] is None:
        raise click.UsageError("Missing argument 'SONG|FOLDER|FEATURES|CONTROLS...'.")
    if given["explain"] and given["as_json"]:
        raise click.UsageError("Give --explain or --json, not both.")
    if given["quiet"] and (given["explain"] or given["as_json"]):
        raise click.UsageError("--quiet prints nothing; give it without --explain and --json.")
    if given["explain"] and (given["resume"] or given["scheduler"] is not None):
        raise click.UsageError("--explain needs to measure every song again; give it without --resume and --scheduler.")
    if given["scheduler"] is not None and given["jobs"] is not None:
        raise click.UsageError(
            "--jobs sets processes of this machine; a cluster uses the workers it has. Give --jobs or --scheduler."
        )
    if given["n_random"] is not None:
        if len(paths) != 1 or given["count"] != 1:
            raise click.UsageError("--random needs exactly one folder of feature files, and no --count.")
        if given["embed"] or given["folder_image"]:
            raise click.UsageError("--random paints excerpts; give it without --embed and --folder-image.")
    if is_template(output):
        check_template(output)
    own = Path(output or "").suffix.lower()
    if suffix and own in ALL_FORMATS and ALL_FORMATS[own] != ALL_FORMATS[f".{suffix}"] and not output.endswith("/"):
        raise click.UsageError(f"-o {output} and --format {suffix} give two formats; give one.")
    kinds = {f".{suffix}" if suffix else "", own, given["again"].suffix.lower() if given["again"] else ""}
    is_vector = bool(kinds & VECTOR_FORMATS.keys())
    if given["plot"] and not is_vector:
        raise click.UsageError("--plot draws lines; give -o NAME.svg or NAME.pdf, or --format svg or pdf.")
    if given["sheet"] is not None and is_vector:
        raise click.UsageError("--sheet shows pictures of pixels; give it without SVG and PDF.")
    check_sheet(given["sheet"])
    if given["embed"] and given["again"] is None:
        import mutagen  # noqa: F401  (an extra: its absence is reported before any work)


def _extras_of(songs: Sequence[FoundSong], *, alt_file: bool, embed: bool, folder_image: bool) -> list[Extras]:
    """Return what to write beside the pictures of each song; the first song of a folder gives its cover."""
    seen: set[Path] = set()
    extras = []
    for song in songs:
        folder = song.path.parent
        is_first = folder_image and folder not in seen
        seen.add(folder)
        extras.append(Extras(alt_file, embed, folder / FOLDER_IMAGE if is_first else None))
    return extras


@dataclass
class _Printed:
    """What is printed of each outcome: pictures on stdout, warnings and faults on stderr."""

    explain: bool
    as_json: bool
    quiet: bool
    has_named_descriptors: bool = False  # their lack is reported once per run

    def show(self, outcome: Outcome) -> None:
        """Print an outcome."""
        if outcome.fault is not None:
            complain(outcome.fault)
        if outcome.lacks_descriptors and not self.has_named_descriptors:
            self.has_named_descriptors = True
            complain(NO_DESCRIPTORS)
        for warning in outcome.warnings:
            complain(warning)
        for report in () if self.quiet else outcome.reports:
            names = (visible(report[name]) for name in ("song", "picture"))
            say(json.dumps(report) if self.as_json else " -> ".join(names))
            if self.explain:
                say(explain_report(report))
