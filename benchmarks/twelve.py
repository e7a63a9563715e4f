"""Paint twelve held-out songs of twelve genres at 1024 px, and show a crop of each at 4096 px.

    python benchmarks/twelve.py CORPUS/music twelve.jpg twelve-crops.jpg [--bundle NAME|DIR] [--markdown PAGE.md]

The songs are chosen before anything is painted. First come the genres of the labelled recordings, by name, then those
of the other held-out songs, the largest first, until there are twelve. A genre that shares a word with a chosen one
(rock/metal with rock) is skipped. Of each genre, the song with the least hash of its file name is taken, if possible
by an artist who is not yet on the list. The same hash gives the position of the crop of 512 pixels. Prints the list.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from pages import marks_of, put_text
from PIL import Image

import clavilux
from clavilux.bundle import open_bundle
from clavilux.constants import PAINT
from clavilux.corpus import CorpusRow, load_table
from clavilux.evaluation.painting import lay_out
from clavilux.painter.controls import Controls

SONGS, COLUMNS = 12, 4
SHEET_PX, PRINT_PX, CROP_PX = 1024, 4096, 512
MOST_BYTES = 1_500_000  # per sheet
QUALITIES = range(92, 30, -4)  # of JPEG; the first that fits is used
MARKERS = marks_of("twelve")

Pixels = NDArray[np.uint8]


def main() -> None:
    """Choose and paint the songs, write the sheets and print the list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("crops", type=Path)
    parser.add_argument("--bundle", default="default")
    parser.add_argument("--jobs", type=int, default=-1)
    parser.add_argument("--markdown", type=Path, help="page into which the list is written, between its markers")
    arguments = parser.parse_args()

    rows = choose(load_table(arguments.corpus), SONGS)
    painted = Parallel(n_jobs=arguments.jobs)(
        delayed(paint)(arguments.corpus / row.file, crop_place(row), arguments.bundle) for row in rows
    )
    pictures, crops, controls = zip(*painted, strict=True)
    bundle = open_bundle(arguments.bundle)
    lines = [f"Bundle `{bundle.name}` (sha256 {bundle.sha256[:12]}).", ""]
    lines += ["| | genre | song | marks | crop at |", "|--:|---|---|---|---|"]
    for number, (row, chosen) in enumerate(zip(rows, controls, strict=True), 1):
        left, top = crop_place(row)
        lines.append(f"| {number} | {row.genre} | {name_song(row)} | {name_marks(chosen)} | {left}, {top} |")
    for path, tiles in ((arguments.sheet, pictures), (arguments.crops, crops)):
        quality, size = save_sheet(path, np.stack(tiles))
        lines += ["", f"{path.name}: JPEG of quality {quality}, {size / 1e6:.2f} MB."]
    text = "\n".join([*lines, ""])
    print(text, end="")
    if arguments.markdown:
        put_text(arguments.markdown, text, MARKERS)


def choose(table: list[CorpusRow], n: int) -> list[CorpusRow]:
    """Return n held-out songs of n genres, or fewer if there are not enough genres; see the module docstring."""
    groups: dict[tuple[bool, str], list[CorpusRow]] = defaultdict(list)
    for row in table:
        if row.split == "held-out" and row.genre:
            groups[row.role != "labelled", row.genre].append(row)
    order = sorted(groups, key=lambda key: (key[0], -len(groups[key]) if key[0] else 0, key[1]))
    taken: set[str] = set()
    chosen: list[CorpusRow] = []
    for key in order:
        names = set(key[1].split("/"))
        if len(chosen) < n and not names & taken:
            taken |= names
            artists = {row.artist for row in chosen} - {""}
            others = [row for row in groups[key] if row.artist not in artists]
            chosen.append(min(others or groups[key], key=lambda row: _hash(row.file)))
    return chosen


def crop_place(row: CorpusRow) -> tuple[int, int]:
    """Return left and top of the crop in the large picture, in pixels."""
    number = int.from_bytes(_hash(row.file)[:8], "big")
    steps = PRINT_PX // CROP_PX
    return CROP_PX * (number % steps), CROP_PX * (number // steps % steps)


def paint(song: Path, place: tuple[int, int], bundle: str) -> tuple[Pixels, Pixels, Controls]:
    """Return the picture, the crop of the large one, and their controls."""
    engine = clavilux.Clavilux(bundle=bundle)
    measured = engine.read_song(song)
    picture, large = (engine.paint(measured, size=side) for side in (SHEET_PX, PRINT_PX))
    left, top = place
    assert picture.controls is not None, "a bundle with a pixel decoder has no controls"
    return picture.pixels, large.pixels[top : top + CROP_PX, left : left + CROP_PX].copy(), picture.controls


def save_sheet(path: Path, tiles: Pixels) -> tuple[int, int]:
    """Write tiles (n, H, W, 3) as JPEG of at most `MOST_BYTES`; return the quality and the number of bytes."""
    sheet = Image.fromarray(lay_out(tiles, COLUMNS, gap=len(tiles[0]) // 64))
    for quality in QUALITIES:
        buffer = io.BytesIO()
        sheet.save(buffer, "JPEG", quality=quality, optimize=True, progressive=True)
        if buffer.tell() <= MOST_BYTES:
            break
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_bytes(buffer.getvalue())
    os.replace(unfinished, path)
    return quality, buffer.tell()


def name_song(row: CorpusRow) -> str:
    """Return artist and title from the table and the file name, without characters that Markdown interprets."""
    title = Path(row.file).stem.replace("_", " ").strip()
    text = f"{row.artist}: {title}" if row.artist else title
    return text.replace("|", "/").replace("*", "").replace("`", "'")


def name_marks(controls: Controls) -> str:
    """Return the surface, the kinds of marks, and the properties of the paint that are used."""
    kinds = dict.fromkeys(kind for kind in (controls.kind, controls.second_kind) if kind)
    used = [name for name in PAINT if getattr(controls, name)]
    return f"{controls.surface}: {', '.join(kinds)}" + (f"; {', '.join(used)}" if used else "")


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


if __name__ == "__main__":
    main()
