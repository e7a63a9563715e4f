"""Write what accompanies pictures: descriptions as text, covers of songs and of folders, and contact sheets."""

from __future__ import annotations

import io
import math
import os
import shlex
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from clavilux.audio.song import hash_file
from clavilux.cli.names import is_chosen, is_of_same_source, is_of_this_painter, is_same_picture, name_chosen
from clavilux.cli.output import write_output
from clavilux.cli.templates import FIELDS, FoundSong
from clavilux.errors import ClaviluxError, OutputError
from clavilux.picture import Picture
from clavilux.picture_file import FORMATS, encode_sheet, is_sheet, read_description, read_record
from clavilux.system.files import refuse_inputs, write_whole

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

_THUMB_PX, _LEAST_THUMB_PX = 400, 32  # largest and smallest side of a thumbnail
_MOST_PX = 8_192  # width of a contact sheet from which thumbnails become smaller
_GAP, _LABEL_PX, _TEXT_PX = 8, 20, 14
_LETTERS = str.maketrans("øØłŁđĐıð–—‘’“”", "oOlLdDid--''\"\"") | {ord("ß"): "ss", ord("æ"): "ae", ord("œ"): "oe"}
_FONTS = ("NotoSansCJK-Regular.ttc", "DejaVuSans.ttf", "Arial Unicode.ttf", "Arial.ttf", "arial.ttf")  # for sheets
_FOLDER_IMAGE = "cover.jpg"
_OPAQUE = ("background",)  # entries of a record that a cover lacks, because it is never transparent
_KEPT = "exists already and was kept"
_REPLACE = "to replace it, give --again PICTURE"


class ChosenError(OutputError):
    """A picture that the user chose is not replaced by the main picture."""


@dataclass(frozen=True)
class Extras:
    """What to write beside the pictures of a song."""

    alt_file: bool = False  # write the description of each picture to a text file
    embed: bool = False  # write the main picture into the tags of the song
    folder_image: Path | None = None  # write the main picture to this file, unless an unrelated file has this name


def list_extras(songs: Sequence[FoundSong], *, alt_file: bool, embed: bool, folder_image: bool) -> list[Extras]:
    """Return what to write beside the pictures of each song.

    With ``folder_image``, the picture of the first song in each folder becomes the cover of the folder.
    """
    seen: set[Path] = set()
    extras = []
    for song in songs:
        folder = song.path.parent
        has_cover = folder_image and folder not in seen
        seen.add(folder)
        extras.append(Extras(alt_file, embed, folder / _FOLDER_IMAGE if has_cover else None))
    return extras


def embed_picture(picture: Picture, song: Path) -> Picture:
    """Write a picture into the tags of its song, and return the picture with the new hash of the song in its record.

    The cover is opaque, even if the picture has a transparent ground. The function raises the errors of
    `clavilux.audio.covers.embed_cover`.
    """
    from clavilux.audio.covers import embed_cover

    buffer = io.BytesIO()
    cover = picture.on_ground
    cover.save(buffer, format="jpg")
    height, width, _ = cover.pixels.shape
    embed_cover(song, buffer.getvalue(), description=cover.description, size=(width, height))
    return with_hash(picture, hash_file(song)) if "song" in picture.record else picture


def check_cover(song: Path, record: dict[str, Any]) -> None:
    """Raise a `ChosenError` if the cover of a song is to be kept, and it is not the picture with this record.

    That is a cover that the user chose, or that a version painted that paints differently, so that it would be lost.
    """
    from clavilux.audio.covers import read_cover_record

    before = read_cover_record(song)
    if before is not None and not is_of_this_painter(before):
        raise ChosenError(f"{song}: its cover is of another version of Clavilux and was kept; {_REPLACE} --embed")
    if before is not None and not is_same_picture(before, record, *_OPAQUE) and is_chosen(before, record):
        raise ChosenError(f"{song}: its cover is {name_chosen(before)}, which was kept; {_REPLACE} --embed")


def with_hash(picture: Picture, sha256: str) -> Picture:
    """Return a copy of a picture whose record gives this SHA-256 for the bytes of the song file."""
    return replace(picture, record={**picture.record, "song": {**picture.record["song"], "sha256": sha256}})


def write_folder_image(picture: Picture, path: Path) -> None:
    """Write a picture as the cover of an album to ``path``, without transparency.

    A file at ``path`` that is not an earlier picture of the same song is kept, and an `OutputError` is raised.
    """
    is_new = not os.path.lexists(path)
    check_folder_image(path, picture.record)
    try:
        picture.on_ground.save(path, exclusive=is_new)
    except FileExistsError as error:  # created meanwhile
        raise OutputError(f"{path}: {_KEPT}") from error


def check_folder_image(path: Path, record: dict[str, Any]) -> None:
    """Raise an `OutputError` if the file at ``path`` may not be replaced by the picture with this record."""
    if not os.path.lexists(path):
        return
    before: dict[str, Any] = {}
    with suppress(ClaviluxError):  # another file
        before = read_record(path)
    if not is_same_picture(before, record, *_OPAQUE) and is_chosen(before, record):
        raise ChosenError(
            f"{path}: shows {name_chosen(before)}, which was kept; {_REPLACE} -o {shlex.quote(str(path))}"
        )
    if not is_of_same_source(before, record):
        reason = "it is no picture of this song by this version of Clavilux; to get a new one, remove it"
        raise OutputError(f"{path}: {_KEPT}, because {reason}")


def write_description(place: Path, before: str) -> None:
    """Write the description in a picture file to a text file beside it.

    The text file has the same name with the extension .txt. An existing file is replaced only if its text is
    ``before``, the description of the picture that was at ``place`` earlier; otherwise an `OutputError` is raised.
    """
    path, description = place.with_suffix(".txt"), described(place)
    check_text(place, before, description)
    with _as_error(path):
        write_whole(path, f"{description}\n".encode())


def check_text(place: Path, *descriptions: str) -> None:
    """Raise an `OutputError` if the text file beside a picture exists and is none of these descriptions."""
    path = place.with_suffix(".txt")
    with _as_error(path):
        if os.path.lexists(path) and path.read_bytes().strip() not in {text.encode() for text in descriptions if text}:
            raise OutputError(
                f"{path}: {_KEPT}, because it has another text than the description of the picture; to get a new one, "
                "remove it"
            )


def described(place: Path) -> str:
    """Return the description in a picture file, "" if there is none or no file."""
    with suppress(ClaviluxError):
        return read_description(place)
    return ""


@contextmanager
def _as_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ClaviluxError(f"{path}: cannot be written ({error.strerror or error})") from error


def has_description(place: Path) -> bool:
    """Return whether the text file beside a picture exists and was written after the picture."""
    path = place.with_suffix(".txt")
    return path.exists() and path.stat().st_mtime >= place.stat().st_mtime


def has_folder_image(path: Path, record: dict[str, Any]) -> bool:
    """Return whether the cover of a folder shows the picture with this record."""
    with suppress(ClaviluxError):
        return is_same_picture(read_record(path), record, *_OPAQUE)
    return False


def has_cover(song: Path, record: dict[str, Any]) -> bool:
    """Return whether the cover in the tags of a song shows the picture with this record.

    An `AudioError` is raised if no cover can be embedded into this song.
    """
    from clavilux.audio.covers import read_cover_record

    return is_same_picture(read_cover_record(song) or {}, record, *_OPAQUE)


def refuse_sheet(sheet: Path, songs: Sequence[Path], pictures: Sequence[Path]) -> None:
    """Raise an `OutputError` if the contact sheet would replace any file but an earlier sheet."""
    if fields := [field for field in FIELDS if f"{{{field}}}" in sheet.name]:
        raise OutputError(f"{sheet} has the field {{{fields[0]}}}; there is one sheet for all songs: give a plain name")
    if sheet.absolute() in {picture.absolute() for picture in pictures}:
        raise OutputError(f"{sheet} is one of the pictures of the run; give the sheet another name")
    refuse_inputs([sheet], [*songs, *pictures])
    if os.path.lexists(sheet) and not is_sheet(sheet):
        raise OutputError(f"{sheet}: exists already and is no sheet of Clavilux; remove it, or give another name")


def write_sheet(sheet: Path, pictures: Sequence[Path]) -> list[str]:
    """Write a contact sheet of picture files to ``sheet``: a grid of thumbnails with numbers (from 1) and names.

    The extension of ``sheet``, which is a key of `FORMATS`, gives the format. Returned are the names with letters that
    no font on this machine has, which are drawn as "?".
    """
    from PIL import Image, ImageDraw

    from clavilux.images import read_picture

    columns = math.ceil(math.sqrt(len(pictures)))
    side = max(_LEAST_THUMB_PX, min(_THUMB_PX, _MOST_PX // columns - _GAP))
    width, height = side + _GAP, side + _LABEL_PX + _GAP
    rows = math.ceil(len(pictures) / columns)
    page = Image.new("RGB", (columns * width + _GAP, rows * height + _GAP), "white")
    draw, font = ImageDraw.Draw(page), _open_font()
    for index, picture in enumerate(pictures):
        left, top = _GAP + index % columns * width, _GAP + index // columns * height
        thumb = Image.fromarray(read_picture(picture))
        thumb.thumbnail((side, side))
        page.paste(thumb, (left + (side - thumb.width) // 2, top + (side - thumb.height) // 2))
        label = f"{index + 1}  {_drawable(picture.stem, font)}"
        while font.getlength(label) > side and len(label) > 1:
            label = label[:-1]
        draw.text((left, top + side + 2), label, "black", font)
    names = [picture.stem for picture in pictures]
    write_output(sheet, encode_sheet(np.asarray(page), FORMATS[sheet.suffix.lower()], names))
    return [name for name in names if _drawable(name, font).count("?") > name.count("?")]


def _open_font() -> FreeTypeFont:
    """Return the first font of `_FONTS` that this machine has, otherwise Pillow's own font, which has only ASCII."""
    from PIL import ImageFont

    for name in _FONTS:
        with suppress(OSError):
            return ImageFont.truetype(name, _TEXT_PX)
    return cast("FreeTypeFont", ImageFont.load_default(_TEXT_PX))


def _drawable(text: str, font: FreeTypeFont) -> str:
    """Return a text whose letters a font has: a letter that it lacks is written in ASCII, or else as "?"."""
    missing = bytes(font.getmask("\uffff"))

    def draw(letter: str) -> str:
        if letter.isprintable() and bytes(font.getmask(letter)) != missing:
            return letter
        plain = unicodedata.normalize("NFKD", letter.translate(_LETTERS))
        return "".join(part if " " <= part <= "~" else "?" for part in plain if not unicodedata.combining(part))

    return "".join(map(draw, unicodedata.normalize("NFC", text)))
