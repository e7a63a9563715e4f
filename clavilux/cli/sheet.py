"""``clavilux paint --sheet``: a contact sheet of all pictures of a run, with their numbers and names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import click

from clavilux.cli.output import visible
from clavilux.errors import OutputError
from clavilux.picture_file import FORMATS
from clavilux.system.files import refuse_inputs, replacing

_THUMB_PX, _LEAST_THUMB_PX = 256, 32
_MOST_PX = 8_192  # of the width; thumbnails are smaller if there are many
_GAP, _LABEL_PX, _TEXT_PX = 8, 20, 14


def check_sheet(sheet: Path | None) -> None:
    """Raise a `UsageError` if the extension of a contact sheet is not one of a picture format."""
    if sheet is not None and sheet.suffix.lower() not in FORMATS:
        raise click.UsageError(f"--sheet {sheet}: a picture ends in {', '.join(FORMATS)}.")


def refuse_sheet(sheet: Path, songs: Sequence[Path], pictures: Sequence[Path]) -> None:
    """Raise an `OutputError` if the contact sheet would replace a song or a picture of the run."""
    refuse_inputs([sheet], [*songs, *pictures])
    if sheet.absolute() in {picture.absolute() for picture in pictures}:
        raise OutputError(f"{sheet} is one of the pictures of the run; give the sheet another name")


def write_sheet(sheet: Path, pictures: Sequence[Path]) -> None:
    """Write a contact sheet of picture files to ``sheet``: rows of thumbnails, numbered from 1.

    The extension of ``sheet``, which `check_sheet` has checked, gives the format.

    Raises
    ------
    PictureError
        If a picture cannot be read.
    OutputError
        If the sheet cannot be written.
    """
    from PIL import Image, ImageDraw, ImageFont

    from clavilux.images import read_picture

    columns = math.ceil(math.sqrt(len(pictures)))
    side = max(_LEAST_THUMB_PX, min(_THUMB_PX, _MOST_PX // columns - _GAP))
    width, height = side + _GAP, side + _LABEL_PX + _GAP
    rows = math.ceil(len(pictures) / columns)
    page = Image.new("RGB", (columns * width + _GAP, rows * height + _GAP), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(_TEXT_PX)
    for index, picture in enumerate(pictures):
        left, top = _GAP + index % columns * width, _GAP + index // columns * height
        thumb = Image.fromarray(read_picture(picture))
        thumb.thumbnail((side, side))
        page.paste(thumb, (left + (side - thumb.width) // 2, top + (side - thumb.height) // 2))
        label = visible(f"{index + 1}  {picture.stem}")
        while font.getlength(label) > side and len(label) > 1:
            label = label[:-1]
        draw.text((left, top + side + 2), label, "black", font)
    try:
        sheet.parent.mkdir(parents=True, exist_ok=True)
        with replacing(sheet) as temporary:
            page.save(temporary, FORMATS[sheet.suffix.lower()], quality=90)
    except OSError as error:
        raise OutputError(f"{sheet}: cannot be written ({error.strerror or error}); give another name") from error
