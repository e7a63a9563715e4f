"""``clavilux marks``: write one picture that shows samples of all kinds of marks and all surfaces."""

from __future__ import annotations

from pathlib import Path

import click

from clavilux.cli.output import say
from clavilux.errors import OutputError
from clavilux.picture_file import picture_format
from clavilux.system.files import replacing

_QUALITY = 84  # of JPEG and WebP


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("marks.png"),
    show_default=True,
    metavar="FILE",
    help="Picture to write: PNG, JPEG, WebP, TIFF or AVIF. An existing file is not replaced.",
)
def marks(output: Path) -> None:
    """Write one picture that shows two samples of each kind of marks and of each surface, with their names.

    The names are values of the options --marks and --surface of `clavilux paint`.
    """
    kind = picture_format(output)
    exists = OutputError(f"{output} exists; remove it, or give another name with -o")
    if output.exists():
        raise exists
    from clavilux.painter.marks.sheet import make_sheet

    sheet = make_sheet()
    try:
        with replacing(output, exclusive=True) as temporary:
            sheet.save(temporary, format=kind, quality=_QUALITY)
    except FileExistsError as error:
        raise exists from error
    say(str(output))
