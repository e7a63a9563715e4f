"""``clavilux explain``: say what was measured in a song and what was painted, in words or as a page."""

from __future__ import annotations

from pathlib import Path

import click

from clavilux.audio.clips import CLIP_SUFFIX
from clavilux.cli.output import complain, say, visible
from clavilux.cli.progress import StatusLine
from clavilux.cli.sections import AdvancedOption, CommandWithSections
from clavilux.constants import MAX_AUDIO_S
from clavilux.errors import OutputError
from clavilux.explain import explain_report, report_picture
from clavilux.pipeline import Clavilux
from clavilux.system.files import refuse_inputs, write_whole

PAGE_SUFFIXES = (".html", ".htm")
_SIDE_PX = 768  # of the picture on the page


@click.command(cls=CommandWithSections)
@click.argument("song", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Page to write, such as card.html; it needs no network.  [default: print the words]",
)
@click.option("--seed", type=click.IntRange(0), default=0, metavar="N", show_default=True, help="Random seed.")
@click.option(
    "--bundle",
    cls=AdvancedOption,
    default="default",
    metavar="NAME|DIR",
    show_default=True,
    help="Trained networks: default, classic, or a folder that `clavilux train` wrote.",
)
def explain(song: Path, output: Path | None, seed: int, bundle: str) -> None:
    """Say what was measured in SONG, what is painted, and what corresponds to what.

    The page has the picture with its description, the colours with their shares, how the song compares with others,
    how it develops, and how strongly sound and picture correspond.

    \b
    clavilux explain nocturne.flac -o card.html
    """  # noqa: D301  (click: \b keeps line breaks)
    if output is not None:
        if output.suffix.lower() not in PAGE_SUFFIXES:
            raise click.BadParameter(f"{output} does not end in {PAGE_SUFFIXES[0]}", param_hint="-o")
        refuse_inputs([output], [song])
        import jinja2  # noqa: F401  (an extra: its absence is reported before any work)
    clavilux = Clavilux(bundle)
    opened = clavilux.bundle
    with StatusLine(1, "measuring").shown():
        read = clavilux.read_song(song)
        for warning in read.warnings:
            complain(f"{song}: {warning}")
        picture = clavilux.paint(read, size=_SIDE_PX, seed=seed)
        if output is None:
            say(explain_report(report_picture(picture, Path(), opened.descriptors, opened.card)))
            return
        from clavilux.audio.timeline import measure_parts
        from clavilux.song_page import song_page

        is_clips = song.suffix.lower() == CLIP_SUFFIX
        parts = [] if is_clips else measure_parts(song, read.duration_s, max_s=MAX_AUDIO_S)
        page = song_page(picture, parts, opened.descriptors, opened.card)
    try:
        write_whole(output, page.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise OutputError(f"{output}: cannot be written ({error.strerror or error}); give another name") from error
    say(f"{visible(str(song))} -> {visible(str(output))}")
