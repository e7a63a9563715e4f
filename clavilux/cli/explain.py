"""``clavilux explain``: describe the measurements of a song and its picture, as text or as an HTML page."""

from __future__ import annotations

import json
import os
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import numpy as np

from clavilux.alt_text import average_cells
from clavilux.audio.clips import CLIP_SUFFIX
from clavilux.cli.again import bundle_of
from clavilux.cli.hints import HintedCommand
from clavilux.cli.options import (
    PATH,
    SEED_MOVES,
    bundle_option,
    check_suffix,
    file_option,
    is_given,
    no_progress_option,
    seed_option,
)
from clavilux.cli.output import complain, say, visible, write_output
from clavilux.cli.progress import StatusLine
from clavilux.cli.steering import STEERING
from clavilux.constants import DEFAULT_SIZE_PX
from clavilux.errors import BundleError, ControlsError, OutputError, PictureError
from clavilux.explain import explain_record, explain_report, recorded_size, report_picture
from clavilux.images import is_picture, read_picture
from clavilux.picture import Picture
from clavilux.picture_file import VECTOR_FORMATS, read_description, read_record
from clavilux.pipeline import Clavilux
from clavilux.system.extras import require
from clavilux.system.files import refuse_inputs

_PAGE_MARK = b'<meta name="generator" content="Clavilux">'  # near the start of each page
_SIDE_PX = 768  # side of the picture on the page
_EDITED = 0.3  # of the range of sRGB: difference of a cell that hardly any picture has by its format, even a bad JPEG
_EDITED_SHARE = 0.02  # smallest share of such cells in a picture that was edited

_HINTS = {
    "--json": "For the measured values as JSON: clavilux paint SONG --json",
    **dict.fromkeys(("--text", "--print"), "Without -o, the description is printed as text"),
    **{
        f"--{name.replace('_', '-')}": "To steer a picture and describe it, give this option to `clavilux paint`"
        for name in STEERING
    },
}  # answers to options that do not exist


@click.command(cls=HintedCommand, hints=_HINTS)
@click.argument("source", type=PATH, metavar="SONG|PICTURE")
@click.argument("song", type=PATH, required=False, metavar="[SONG]")
@file_option(
    "HTML page to write, such as card.html. The page is self-contained and works offline. Needs the extra `card`: "
    'run `pip install ".[card]"` in the source folder.  [default: print text]'
)
@seed_option(f"another number {SEED_MOVES}. The layout and the kinds of marks stay nearly the same. Only for a SONG.")
@click.option(
    "--record",
    is_flag=True,
    help="Only for a PICTURE: print, as JSON, the record in the file, from which `clavilux paint --again` paints it "
    "again. No description is printed.",
)
@no_progress_option()
@bundle_option(note="A PICTURE of a bundle that does not ship needs it.")
@click.pass_context
def explain(
    ctx: click.Context, /, source: Path, song: Path | None, output: Path | None, record: bool, seed: int, bundle: str
) -> None:
    """Describe what was measured in SONG, what its picture looks like, and how sound and picture correspond.

    With -o, the description is written to an HTML page. The page also shows:

    \b
    - the picture, and the fraction of it that each colour covers
    - how SONG compares with the training songs, and how it changes over time
    - how strongly properties of sound and picture correlate over many songs
    - the training songs nearest to SONG, and the training pictures nearest to its picture

    For a PICTURE that Clavilux painted, its description, colours, marks and settings are printed. Give its SONG too for
    all the rest, for example for a page about a variation that you chose.

    \b
    clavilux explain nocturne.flac -o card.html
    clavilux explain nocturne.png
    clavilux explain nocturne-3.png nocturne.flac -o card.html
    """  # noqa: D301  (click: \b keeps line breaks)
    check_suffix(output, ".html", ".htm")
    found = None
    if os.path.isdir(source):  # Path.is_dir raises if a name is too long
        raise click.UsageError(
            f"{source} is a folder; give one song or picture. For the descriptions of all songs in it: "
            f"clavilux paint {shlex.quote(str(source))} --describe"
        )
    if song is not None and is_picture(song):
        raise click.UsageError(f"Give one PICTURE, or a PICTURE and then its SONG; {song} is a picture.")
    if is_picture(source):
        if is_given(ctx, "seed"):
            raise click.UsageError(f"{source} is a picture, which stores its seed; give it without --seed.")
        found = read_record(source)
        if record and (song is not None or output is not None):
            raise click.UsageError(f"--record prints the record in one picture; give only {source} with it.")
        if record or (song is None and output is None):
            say(json.dumps(found) if record else _explain_picture(ctx, source, found))
            return
        if "controls" in found:
            raise click.UsageError(f"{source} was painted from controls, so it has no song; give only the picture.")
        if song is None:
            raise click.UsageError(f"A page needs the song too: clavilux explain {source} SONG -o {output}")
        bundle = bundle_of(found, source, ctx)
    elif record:
        raise click.UsageError(f"--record prints the record in a picture, and {source} is not a picture.")
    elif song is not None:
        raise click.UsageError(f"Give one SONG, or a PICTURE and its SONG; {source} is not a picture.")
    song = song or source
    if output is not None:
        refuse_inputs([output], [source, song])
        _refuse_other_page(output)
        require("jinja2", "card")  # before any work
    clavilux = Clavilux(bundle)
    opened = clavilux.bundle
    with StatusLine(1, "measuring").shown():
        read = clavilux.read_song(song)
        for warning in read.warnings:
            complain(f"{song}: {warning}")
        if found is None:
            picture = clavilux.paint(read, size=DEFAULT_SIZE_PX if output is None else _SIDE_PX, seed=seed)
        else:
            picture = clavilux.repaint(found, read, size=_fit(recorded_size(found)))
        if output is None:
            report = report_picture(picture, Path(), opened.descriptors, opened.card, opened.neighbours)
            say(explain_report(report))
            return
        from clavilux.audio.timeline import measure_parts
        from clavilux.song_page import song_page

        is_clips = song.suffix.lower() == CLIP_SUFFIX
        parts = [] if is_clips else measure_parts(song, read.duration_s)
        page = song_page(picture, parts, opened.descriptors, opened.card, opened.neighbours)
    note = " (replaced)" if os.path.lexists(output) else ""
    write_output(output, page.encode("utf-8", "backslashreplace"))
    say(f"{visible(str(source))} -> {visible(str(output))}{note}")


def _explain_picture(ctx: click.Context, source: Path, found: dict[str, Any]) -> str:
    """Return a text about a picture without its song; a line says so if the record does not tell colours and marks."""
    report, fault = None, ""
    try:
        opened = Clavilux(bundle_of(found, source, ctx))
        size = recorded_size(found)
        picture = opened.repaint(found, size=size if max(size) <= DEFAULT_SIZE_PX else _fit(size))
        report = report_picture(picture, source, opened.bundle.descriptors)
        if _is_edited(source, picture):
            complain(f"{source}: was edited after Clavilux painted it; the text is about the picture as it was painted")
    except (BundleError, ControlsError, PictureError) as error:
        fault = str(error)
    text = explain_record(found, read_description(source), report)
    if fault:
        complain(f"colours and marks of {source} are not known: {fault}")
    return text


def _is_edited(source: Path, picture: Picture) -> bool:
    """Return whether a picture file shows something else than the picture that was painted from its record."""
    if source.suffix.lower() in VECTOR_FORMATS or picture.rgba is not None:
        return False
    shown, painted = average_cells(read_picture(source)).rgb, picture.cells.rgb
    if shown.shape != painted.shape:
        return True
    return bool((np.abs(shown - painted).max(axis=2) > _EDITED).mean() >= _EDITED_SHARE)


def _fit(size: tuple[int, int]) -> tuple[int, int]:
    """Return the size of a picture in pixels, made smaller or larger so that the longer side has `_SIDE_PX`."""
    width, height = (round(side * _SIDE_PX / max(size)) for side in size)
    return width, height


def _refuse_other_page(page: Path) -> None:
    """Raise an `OutputError` if the page would replace any file but an earlier page of Clavilux."""
    if not os.path.lexists(page):
        return
    start = b""
    with suppress(OSError), page.open("rb") as file:
        start = file.read(1_000)
    if _PAGE_MARK not in start:
        raise OutputError(f"{page}: exists already and is no page of Clavilux; remove it, or give another name")
