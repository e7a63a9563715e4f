"""``clavilux paint``: paint songs, folders of songs and feature files.

Paths and options become one `Task` per song. `paint_songs` paints the tasks, and one line per picture is printed.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from clavilux.cli.again import paint_from_record
from clavilux.cli.beside import Extras, list_extras, refuse_sheet, write_sheet
from clavilux.cli.find import find_clips, find_songs
from clavilux.cli.hints import PAINT_HINTS, HintedCommand, Word
from clavilux.cli.names import is_picture_name, make_folder, name_pictures
from clavilux.cli.options import (
    PATH,
    SEED_MOVES,
    FiniteRange,
    WholeRange,
    advanced_option,
    bundle_option,
    is_given,
    jobs_option,
    names_or_path,
    no_progress_option,
    option_in,
    parse_size,
    resolve_size,
    seed_option,
)
from clavilux.cli.output import complain, say, set_up_log, visible
from clavilux.cli.painting import open_clavilux, paint_songs
from clavilux.cli.progress import StatusLine, told_of_interruption, turn_off
from clavilux.cli.results import Printed
from clavilux.cli.steering import CUT_PALETTE, read_steering, steering_options
from clavilux.cli.tasks import Task, saving_of
from clavilux.cli.usage import check_usage
from clavilux.constants import BACKGROUNDS, DEFAULT_SIZE_PX, DPI_RANGE, MAX_AUDIO_S
from clavilux.options import CONTROLS_SUFFIX, PaintOptions
from clavilux.picture_file import ALL_FORMATS
from clavilux.sizes import Size
from clavilux.system.files import first_names, identity, refuse_inputs
from clavilux.system.jobs import check_scheduler

_RANDOM_FOLDER = "generated_images"

_picture, _files, _messages = option_in("What is painted"), option_in("Files"), option_in("Messages")


@click.command(cls=HintedCommand, hints=PAINT_HINTS, without_value={"--palette": CUT_PALETTE})
@click.argument("paths", nargs=-1, type=PATH, metavar="SONG|FOLDER|FEATURES|CONTROLS...")
@_picture(
    "--size",
    type=parse_size,
    default=str(DEFAULT_SIZE_PX),
    metavar="SIZE",
    help="Width x height in pixels, such as 1920x1080, or 3000 for a square. For a print, give a unit (mm, cm, in) and "
    "a resolution in dpi, such as 600x600mm@300; without the part @300, the resolution is that of --dpi. Each side has "
    "64 to 8192 pixels, and the longer side is at most 8 times as long as the shorter one. A larger picture shows the "
    "same, only finer.",
)
@_picture(
    "--background",
    type=Word(BACKGROUNDS),
    default=BACKGROUNDS[0],
    help="`transparent` leaves out the ground of the picture. With the surface `drawing`, this is the bare paper. "
    "With other surfaces, it is one colour, the commonest along the edge of the picture, and all areas of this colour "
    "are left out. JPEG files cannot be transparent. The covers of --embed and --folder-image are always opaque.",
)
@seed_option(
    f"another number {SEED_MOVES}. With --count, it gives other variations. The layout and the kinds of marks stay "
    "nearly the same.",
    section="What is painted",
)
@_picture(
    "--count",
    type=WholeRange(1),
    default=1,
    metavar="N",
    help="Number of pictures per song. With 2 or more, song-1.png is the main picture, and song-2.png, song-3.png, "
    "... are variations of it.",
)
@_picture(
    "--spread",
    type=FiniteRange(0),
    default=1.0,
    metavar="X",
    help="How much variations differ from the main picture: 1 is usual, 0.5 is half as much, 2 twice as much.",
)
@_picture(
    "--max-seconds",
    "max_s",
    type=FiniteRange(1),
    default=MAX_AUDIO_S,
    metavar="S",
    show_default=False,
    help="Use only the first S seconds of each song.  [default: 14400, which is 4 hours]",
)
@_picture(
    "--again",
    type=PATH,
    metavar="PICTURE",
    help="Paint PICTURE again, for example at another --size or with other colours (see Steering). It needs no SONG, "
    "because every picture file stores how it was painted. To make PICTURE the cover of the song that it was painted "
    "from, also give this SONG and --embed.",
)
@steering_options
@_files(
    "-o",
    "--output",
    metavar="FILE|DIR|TEMPLATE",
    shell_complete=names_or_path(),
    help="Picture to write, such as cover.jpg; a folder, such as pictures/; or a template that is filled with the "
    'tags of the song, such as "{artist} - {title}.jpg", or with the folder and the name of its file: '
    '"pictures/{folder}/{name}.jpg" keeps subfolders, which are else left out; if you give several folders, {folder} '
    "begins with their names. An earlier picture of the same song is replaced, unless you chose it with --again. Any "
    "other file is replaced only if you give its name as FILE; else it is kept, and the picture is named "
    "SONG_2.png.  "
    "[default: SONG.png in the current folder]",
)
@_files(
    "--format",
    "suffix",
    type=click.Choice([name.removeprefix(".") for name in ALL_FORMATS], case_sensitive=False),
    help="Format of pictures if -o has no extension. svg and pdf need the extra `vector`: "
    'run `pip install ".[vector]"` in the source folder.  [default: png]',
)
@_files(
    "--plot",
    is_flag=True,
    help="Write only lines, for a pen plotter: borders of areas and centre lines of strokes, with one layer for each "
    "colour of pen. Figures are clearest with --surface flat, which has no strokes. Only for svg and pdf.",
)
@_files(
    "--quality",
    type=WholeRange(1, 100),
    metavar="N",
    help="Quality of JPEG and AVIF pictures: the lower, the smaller the file. It has no effect on --sheet "
    "and on the covers of --embed and --folder-image.  [default: 95]",
)
@_files(
    "--dpi",
    type=FiniteRange(*DPI_RANGE),
    metavar="N",
    help="Pixels per inch, for printers. This number is written into the file. It also converts a --size in "
    "millimetres, centimetres or inches to pixels. Give it either here or with @ in --size.  [default: 300]",
)
@_files(
    "--alt-file",
    is_flag=True,
    help="Also write a text file beside each picture, such as song.txt, that describes the picture for blind people. A "
    "text of your own with this name is kept; the exit code is then 1.",
)
@_files(
    "--embed",
    is_flag=True,
    help="Change the audio file: write the picture into its tags as front cover (MP3, FLAC, M4A, Ogg Vorbis, Opus), "
    "without transparency. "
    "A song whose front cover is not from Clavilux is left unchanged; the exit code is then 1. With --count, "
    "the cover is the main picture; to choose another one, give --again PICTURE and its SONG. Needs "
    'the extra `tags`: run `pip install ".[tags]"` in the source folder.',
)
@_files(
    "--folder-image",
    is_flag=True,
    help="Also write a cover.jpg into each folder of songs: the picture of the first song, by track number if all have "
    "one in their tags, else by name. An existing cover.jpg "
    "is replaced only if Clavilux painted it from the same song. Another one is kept; the exit code is then 1.",
)
@_files(
    "--sheet",
    type=PATH,
    metavar="FILE",
    help="Also write one picture, such as sheet.jpg, that shows all pictures of the run with their numbers and names. "
    "An existing file is replaced only if it is such a sheet.",
)
@_files("--resume", is_flag=True, help="Skip pictures that exist already and would not change.")
@_messages("--describe", is_flag=True, help="Print the description of each picture in words.")
@_messages("--explain", is_flag=True, help="Print what was measured in each song and what was painted.")
@_messages("--json", "as_json", is_flag=True, help="Print one line of JSON per picture or failed song.")
@_messages("-q", "--quiet", is_flag=True, callback=turn_off, help="Print only warnings and errors.")
@no_progress_option(section="Messages")
@jobs_option(default="one per core for 4 songs or more, else 1")
@bundle_option()
@advanced_option(
    "--noise-std",
    type=FiniteRange(0),
    metavar="X",
    help="Add normal noise with standard deviation X to the latent, the 64 numbers that the picture is decoded from; 0 "
    "adds no noise.  [default: the value in the bundle]",
)
@advanced_option(
    "--logvar-scale",
    type=FiniteRange(0),
    metavar="X",
    help="Sample the 64-dimensional audio latent of each 5 s window from its posterior, with the variance multiplied "
    "by X; 0 uses the posterior mean.  [default: the value in the bundle]",
)
@advanced_option(
    "--random",
    "n_random",
    type=WholeRange(1),
    metavar="N",
    help="Paint N random excerpts of 5 s, one picture each, from a folder of feature files, which `clavilux features` "
    "makes from songs. Give this folder as the only argument; another --seed chooses other excerpts. Pictures are "
    "written to the folder given with -o, or to generated_images.",
)
@advanced_option(
    "--scheduler",
    metavar="ADDRESS",
    help="Paint on the Dask cluster whose scheduler has this address, such as tcp://10.0.0.1:8786. As with "
    "--resume, pictures that exist already and would be painted the same are skipped.",
)
@advanced_option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Also print to stderr the ranges of the features and latents of each song, and tracebacks of internal errors.",
)
@click.pass_context
def paint(
    ctx: click.Context,
    /,
    paths: tuple[Path, ...],
    output: str | None,
    suffix: str | None,
    plot: bool,
    quality: int | None,
    size: Size,
    background: str,
    dpi: float | None,
    seed: int,
    count: int,
    spread: float,
    noise_std: float | None,
    logvar_scale: float | None,
    bundle: str,
    explain: bool,
    describe: bool,
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
    """Paint one abstract picture for each SONG, and for each song in a FOLDER.

    FEATURES is a .npy file that `clavilux features` wrote. CONTROLS is a .json file that `clavilux controls` wrote.

    The picture depends on the whole song. The same song and the same options always give the same picture.

    \b
    clavilux paint nocturne.flac                            writes nocturne.png
    clavilux paint nocturne.flac -o cover.jpg --size 3000   a square cover
    clavilux paint album/ -o "art/{track} {title}.jpg"      named after the tags
    clavilux paint album/ --embed --folder-image            covers for music players
    clavilux paint album/ -o pictures/ --count 4            four pictures per song
    clavilux paint nocturne.flac --warmth 0.5 --texture 0   warmer, without brush traces or grain
    clavilux paint nocturne.flac --palette "#112233,#e63946,#f1faee" --surface flat --outline 0.5
    clavilux paint nocturne.flac --background transparent   without its ground
    clavilux paint nocturne.flac --size 600x600mm@300       for a print of 60 cm
    clavilux paint --again nocturne.png --size 4096         nocturne-again.png, larger
    clavilux paint song.mp3 --again song-3.png --embed      a chosen picture as the cover
    """  # noqa: D301  (click: \b keeps line breaks)
    set_up_log(verbose)
    check_usage(ctx)
    printed = Printed(explain=explain, describe=describe, as_json=as_json, quiet=quiet)
    if again is not None:
        with StatusLine(1, "painting").shown():
            outcome = paint_from_record(ctx)
        printed.show(outcome)
        ctx.exit(1 if outcome.faults else 0)

    faults: list[str] = []
    notes: list[str] = []
    if scheduler is not None:
        check_scheduler(scheduler)  # before a large folder is searched
    pixels, density = resolve_size(size, dpi)
    asked = read_steering(steering)
    networks = open_clavilux(bundle).engine
    options = PaintOptions(
        size=pixels,
        seed=seed,
        spread=spread,
        dpi=density,
        background=background,
        noise_std=noise_std,
        logvar_scale=logvar_scale,
        max_s=max_s,
        steering=asked,
    )
    options.check_bundle(networks.bundle)
    guides = [steering[name] for name in ("palette_from", "near") if steering[name]]
    new_task = partial(
        Task,
        bundle=bundle,
        options=options,
        verbose=verbose,
        is_named=n_random is None and is_picture_name(output),
        resume=resume or scheduler is not None,
        saving=saving_of(plot, quality),
        is_compared=explain or as_json,
        has_seed=is_given(ctx, "seed"),
        protected=frozenset(map(identity, guides)),
    )
    extension = f".{suffix or 'png'}"
    if n_random is not None:
        networks.check(painting_only=True)
        folder = Path(output or _RANDOM_FOLDER)
        clips = find_clips(paths[0], n_random, seed, faults, networks.bundle)
        make_folder(folder)
        tasks = [
            new_task(
                file,
                (folder / f"generated_image_{number}{extension}",),
                options=replace(options, clip=clip),
                extras=Extras(alt_file=alt_file),
            )
            for number, (file, clip) in enumerate(clips, 1)
        ]
    else:
        is_ordered = sheet is not None or folder_image or "{number}" in (output or "")
        songs = list(find_songs(paths, faults, complain, by_track=is_ordered))
        if len(songs) != 1:  # a single song is read while the networks are loaded
            networks.check(painting_only=True)  # report a damaged bundle once, not for every song
        if count > 1 and any(song.path.suffix.lower() == CONTROLS_SUFFIX for song in songs):
            raise click.UsageError("Controls have no variations; give them without --count.")
        files = name_pictures(songs, output, count, extension, notes)
        extras = list_extras(songs, alt_file=alt_file, embed=embed, folder_image=folder_image)
        tasks = [
            new_task(song.path, pictures, extras=extra)
            for song, pictures, extra in zip(songs, files, extras, strict=True)
        ]
    pictures = [picture for task in tasks for picture in task.pictures]
    refuse_inputs(pictures, guides)
    for message in faults + notes:
        complain(message)
    n_faults, n_skipped = len(faults), 0
    if sheet is not None:
        refuse_sheet(sheet, [task.path for task in tasks], pictures)
    painted: list[Path] = []
    line = StatusLine(len(tasks), "painting")
    with line.shown(), told_of_interruption(line, len(tasks)):
        for outcome in paint_songs(tasks, jobs, scheduler, paths):
            n_faults += len(outcome.faults)
            n_skipped += outcome.n_skipped
            painted += [Path(report["picture"]) for report in outcome.reports if "picture" in report]
            line.advance(is_kept=0 < outcome.n_skipped == len(outcome.reports))
            printed.show(outcome)
    if n_skipped and not quiet:
        complain(f"skipped {n_skipped} picture{' that exists' if n_skipped == 1 else 's that exist'} already")
    if sheet is not None and painted:
        if lacking := write_sheet(sheet, painted):
            complain(
                f"{sheet}: letters of {first_names(lacking)} are shown as ?, because no font on this machine has them; "
                "install one, such as Noto Sans CJK"
            )
        if not quiet and not as_json:
            say(f"{len(painted)} picture{'s' * (len(painted) > 1)} -> {visible(str(sheet))}")
    ctx.exit(1 if n_faults else 0)
