"""``clavilux explain``: describe what was measured in a song and what was painted, as text or as an HTML page."""

from __future__ import annotations

from pathlib import Path

import click

from clavilux.audio.clips import CLIP_SUFFIX
from clavilux.cli.output import complain, say, visible
from clavilux.cli.progress import StatusLine
from clavilux.cli.sections import BUNDLE_HELP, AdvancedOption, CommandWithSections
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
    help="HTML page to write, such as card.html. The page is self-contained and works offline. Needs the extra `card` "
    "(jinja2).  [default: print text]",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    show_default=True,
    help="Random seed of the picture: moves single marks and brush strokes. The palette, the layout and the kinds of "
    "marks do not depend on it.",
)
@click.option(
    "--bundle",
    cls=AdvancedOption,
    default="default",
    metavar="NAME|DIR",
    show_default=True,
    help=BUNDLE_HELP,
)
def explain(song: Path, output: Path | None, seed: int, bundle: str) -> None:
    """Describe what was measured in SONG, what is painted, and which properties of sound and picture correspond.

    The page shows the picture with its description, the colours and the fraction of the picture that each covers, a
    comparison of the song with the training songs, its course over time, and the strength of the correspondences
    between sound and picture.

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
