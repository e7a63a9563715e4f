"""``clavilux controls``: write the controls (the parameters) of the picture of a song to a file that users can edit."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from clavilux.cli.again import bundle_of
from clavilux.cli.hints import HintedCommand
from clavilux.cli.options import (
    PATH,
    SEED_MOVES,
    WholeRange,
    bundle_option,
    check_suffix,
    file_option,
    is_given,
    no_progress_option,
    option,
    seed_option,
)
from clavilux.cli.output import complain, say, visible, write_output
from clavilux.cli.progress import StatusLine
from clavilux.cli.steering import CUT_PALETTE, read_steering, steering_options
from clavilux.constants import SIZE_RANGE_PX
from clavilux.controls_file import parse_controls_record
from clavilux.errors import ClaviluxError, OutputError
from clavilux.images import is_picture
from clavilux.options import CONTROLS_SUFFIX
from clavilux.picture_file import read_record
from clavilux.pipeline import Clavilux
from clavilux.record import check_version, parse_record
from clavilux.steering import Steering
from clavilux.system.files import refuse_inputs


@click.command(cls=HintedCommand, without_value={"--palette": CUT_PALETTE})
@click.argument("song", type=PATH, metavar="SONG|PICTURE")
@file_option(
    "JSON file to write, such as song.json. An existing file with other content is kept, and the exit code is then 1.  "
    "[default: print to stdout; in a terminal, -o is required]"
)
@seed_option(
    f"another number {SEED_MOVES}. It also gives other variations. The entry `seed` of the file is N plus "
    "--variation; a variation differs from the main picture in other entries too. Only for a SONG."
)
@option(
    "--variation",
    type=WholeRange(0),
    default=0,
    metavar="N",
    help="Which picture of the song: 0 is the main picture (song-1.png of `clavilux paint --count`), 1 is the first "
    "variation (song-2.png), and so on. Only for a SONG.",
)
@steering_options
@no_progress_option()
@bundle_option(note="`classic` has no controls, so it is refused here.")
@click.pass_context
def controls(
    ctx: click.Context,
    /,
    song: Path,
    output: Path | None,
    seed: int,
    variation: int,
    bundle: str,
    **steering: Any,
) -> None:
    """Write the parameters of the picture of SONG to a JSON file that you can edit and paint.

    For a PICTURE that Clavilux painted, such as a variation that you chose, the parameters that it was painted with are
    written. Steering options change them, except --mood and --near, which need a SONG.

    The file has the palette, the layout and the surface of the picture, and the kinds, the number and the angle of its
    marks. Change any of these entries, and paint the file with `clavilux paint`. docs/controls.md describes each entry.

    \b
    clavilux controls song.mp3 -o song.json
    clavilux controls song-3.png -o song.json
    clavilux paint song.json -o cover.png
    """  # noqa: D301  (click: \\b keeps line breaks)
    check_suffix(output, CONTROLS_SUFFIX)
    if output is None and sys.stdout.isatty():
        raise click.UsageError(
            f"The parameters are thousands of numbers; give -o {song.stem}{CONTROLS_SUFFIX}, or a pipe."
        )
    asked = read_steering(steering)
    is_painted = is_picture(song)
    if is_painted and (is_given(ctx, "seed") or is_given(ctx, "variation")):
        raise click.UsageError(
            f"{song} is a picture, whose seed is stored in it; give it without --seed and --variation."
        )
    if is_painted and (asked.mood is not None or asked.near is not None):
        raise click.UsageError(
            f"{song} is a picture, and --mood and --near need a song; give a SONG, or leave them out."
        )
    record = read_record(song) if is_painted else {}
    check_version(record, f"{song}:")
    clavilux = Clavilux(bundle_of(record, song, ctx) if is_painted else bundle)
    asked.check_bundle(clavilux.bundle)
    with StatusLine(1, "measuring").shown():
        if is_painted:
            text = _text_of_picture(record, clavilux, asked)
        else:
            read = clavilux.read_song(song)
            for warning in read.warnings:
                complain(f"{song}: {warning}")
            found = clavilux.controls(read, seed=seed, variation=variation, steering=asked)
            text = found.to_json(seed=seed + variation)
    if output is None:
        say(text.rstrip())
        return
    refuse_inputs([output], [song])
    if os.path.lexists(output) and not (output.is_file() and output.read_bytes() == text.encode()):
        raise OutputError(f"{output} exists and has other content, such as your edits; remove it, or give another name")
    write_output(output, text.encode())
    say(f"{visible(str(song))} -> {visible(str(output))}")


def _text_of_picture(record: dict[str, Any], clavilux: Clavilux, asked: Steering) -> str:
    """Return the text of a file with the controls of a picture, given its record, changed by the steering."""
    if "controls" in record:
        file, _ = parse_controls_record(record)
        return asked.steer(file.controls).to_json(seed=file.seed)
    picture = clavilux.repaint(record, size=SIZE_RANGE_PX[0])
    if picture.controls is None:
        raise ClaviluxError(f"bundle {clavilux.bundle.name} paints without controls; give a picture of another bundle")
    options = parse_record(record).options
    return asked.steer(picture.controls).to_json(seed=options.seed + options.variation)
