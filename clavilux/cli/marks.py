"""``clavilux marks``: write one picture with samples of all kinds of marks, all figures and all surfaces."""

from __future__ import annotations

from pathlib import Path

import click

from clavilux.cli.options import file_option, no_progress_option, option
from clavilux.cli.output import say, visible
from clavilux.cli.progress import StatusLine
from clavilux.constants import FIGURE_NAMES, SURFACE_NAMES
from clavilux.errors import OutputError
from clavilux.picture_file import picture_format
from clavilux.system.files import replacing

_QUALITY = 84  # of JPEG and WebP


@click.command()
@file_option(
    "Picture to write: PNG, JPEG, WebP, TIFF or AVIF. An existing file is not replaced.", default=Path("marks.png")
)
@option("--list", "is_list", is_flag=True, help="Print only the names, and write no picture.")
@no_progress_option()
def marks(output: Path, is_list: bool) -> None:
    """Write one picture with two labelled samples of each kind of marks, each figure and each surface.

    Figures are large shapes, and surfaces are techniques of painting. The labels are values of the options --marks,
    --figure and --surface of `clavilux paint`. They are also printed; --list prints them without writing a picture.
    """
    if is_list:
        say(_names())
        return
    kind = picture_format(output)
    exists = OutputError(f"{output} exists; remove it, or give another name with -o")
    if output.exists():
        raise exists
    from clavilux.painter.marks.sheet import make_sheet

    with StatusLine(1, "painting").shown():
        sheet = make_sheet()
    try:
        with replacing(output, exclusive=True) as temporary:
            sheet.save(temporary, format=kind, quality=_QUALITY)
    except FileExistsError as error:
        raise exists from error
    say(f"{_names()}\n-> {visible(str(output))}")


def _names() -> str:
    """Return all values of the options --marks, --figure and --surface, one line each."""
    from clavilux.painter.marks import KINDS

    options = {"marks": KINDS, "figure": FIGURE_NAMES, "surface": SURFACE_NAMES}
    return "\n".join(f"--{name}: {', '.join(values)}" for name, values in options.items())
