"""``clavilux controls``: write the controls of the picture of a song to a file, to edit and then paint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clavilux.cli.output import complain, say, visible
from clavilux.cli.progress import StatusLine
from clavilux.cli.sections import BUNDLE_HELP, AdvancedOption, CommandWithSections
from clavilux.cli.steering import read_steering, steering_options
from clavilux.controls_file import controls_text
from clavilux.errors import OutputError
from clavilux.pipeline import Clavilux
from clavilux.record import CONTROLS_SUFFIX
from clavilux.system.files import refuse_inputs, write_whole


@click.command(cls=CommandWithSections)
@click.argument("song", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="JSON file to write, such as song.json.  [default: print to stdout]",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    show_default=True,
    help="Random seed; it moves single marks and brush strokes when the file is painted. The file gets N plus the "
    "number of the variation. With --variation 1 or more, N also chooses other variations.",
)
@click.option(
    "--variation",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    show_default=True,
    help="Which picture of the song: 0 is the main picture (song-1.png of `clavilux paint --count`), 1 is the first "
    "variation (song-2.png), and so on.",
)
@steering_options
@click.option(
    "--bundle",
    cls=AdvancedOption,
    default="default",
    metavar="NAME|DIR",
    show_default=True,
    help=f"{BUNDLE_HELP} `classic` has no controls.",
)
def controls(song: Path, output: Path | None, seed: int, variation: int, bundle: str, **steering: Any) -> None:
    """Write what would be painted for SONG as a JSON file to edit.

    The file has the palette, the kinds of marks, how many marks there are and at which angle, the surface and the
    layout of the picture. Change any of these entries, and give the file to `clavilux paint`. docs/controls.md
    describes each entry.

    \b
    clavilux controls song.mp3 -o song.json
    clavilux paint song.json -o cover.png
    """  # noqa: D301  (click: \\b keeps line breaks)
    if output is not None and output.suffix.lower() != CONTROLS_SUFFIX:
        raise click.BadParameter(f"{output} does not end in {CONTROLS_SUFFIX}", param_hint="-o")
    asked = read_steering(steering)
    clavilux = Clavilux(bundle)
    asked.check_bundle(clavilux.bundle)
    with StatusLine(1, "measuring").shown():
        read = clavilux.read_song(song)
        for warning in read.warnings:
            complain(f"{song}: {warning}")
        text = controls_text(
            clavilux.controls(read, seed=seed, variation=variation, steering=asked), seed=seed + variation
        )
    if output is None:
        say(text.rstrip())
        return
    refuse_inputs([output], [song])
    try:
        write_whole(output, text.encode())
    except OSError as error:
        raise OutputError(f"{output}: cannot be written ({error.strerror or error}); give another name") from error
    say(f"{visible(str(song))} -> {visible(str(output))}")
