"""Ask viewers what pictures are worth: sheets of paintings and real art in a random order, and the scores read back.

    python benchmarks/viewers.py sheets CORPUS/music CORPUS/art FOLDER [--songs 24] [--skip 0] [--seed 0]
    python benchmarks/viewers.py read FOLDER/key.json SCORES SCORES

`sheets` paints validation songs (never held-out ones) and mixes in as many works of the training side of the art,
half by painters and half by creative coders, brought to the same sharpness. Give the sheets, and nothing else, to two
viewers; ask for a score from 0 to 10 for "would I hang this or use it as a cover". A file of scores has pairs of number
and score. `read` prints the mean of both viewers for each group with its standard error, and the shares of at least 6
and at most 4.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from clavilux.corpus.table import load_table
from clavilux.images import middle_square, read_picture, resize
from clavilux.pipeline import Clavilux

UInt8 = NDArray[np.uint8]

_PX, _SHARP_PX, _GAP_PX = 316, 224, 8
_COLUMNS, _ROWS = 4, 3
_ROLES = {"abstract": "painters", "generative": "coders"}


def main() -> None:
    """Write sheets, or read scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    sheets = commands.add_parser("sheets")
    for name in ("music", "art", "folder"):
        sheets.add_argument(name, type=Path)
    for name, default in (("--songs", 24), ("--skip", 0), ("--seed", 0)):
        sheets.add_argument(name, type=int, default=default)
    read = commands.add_parser("read")
    read.add_argument("key", type=Path)
    read.add_argument("scores", type=Path, nargs="+")
    arguments = parser.parse_args()
    if arguments.command == "read":
        print(read_scores(json.loads(arguments.key.read_text("utf-8")), [_load(path) for path in arguments.scores]))
        return
    rng = np.random.default_rng(arguments.seed)
    pictures = [("songs", rgb) for rgb in _paint(arguments.music, arguments.songs, arguments.skip, rng)]
    pictures += _choose_art(arguments.art, arguments.songs, rng)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    order = rng.permutation(len(pictures))
    per_sheet = _COLUMNS * _ROWS
    for first in range(0, len(order), per_sheet):
        shown = [pictures[index][1] for index in order[first : first + per_sheet]]
        _draw_sheet(shown, first + 1).save(arguments.folder / f"sheet-{first // per_sheet + 1}.png")
    key = {str(number): pictures[index][0] for number, index in enumerate(order, start=1)}
    (arguments.folder / "key.json").write_text(json.dumps(key) + "\n", "utf-8")


def read_scores(key: dict[str, str], viewers: list[dict[str, float]]) -> str:
    """Return a table of the scores of each group of pictures, as Markdown."""
    numbers = [number for number in key if all(number in scores for scores in viewers)]
    if len(numbers) < len(key):
        raise SystemExit(f"{len(key) - len(numbers)} pictures have no score from every viewer")
    table = np.array([[scores[number] for number in numbers] for scores in viewers])
    mean = table.mean(axis=0)
    lines = ["| pictures | n | mean | standard error | 6 or more | 4 or less |", "|---|--:|--:|--:|--:|--:|"]
    for group in dict.fromkeys(key.values()):
        part = mean[[key[number] == group for number in numbers]]
        error = part.std(ddof=1) / np.sqrt(len(part))
        shares = f"{(part >= 6).mean():.2f} | {(part <= 4).mean():.2f}"
        lines.append(f"| {group} | {len(part)} | {part.mean():.2f} | {error:.2f} | {shares} |")
    if len(viewers) == 2:
        lines.append(f"\nThe two viewers correlate by {np.corrcoef(table)[0, 1]:.2f}.")
    return "\n".join(lines)


def _load(path: Path) -> dict[str, float]:
    words = path.read_text("utf-8").split()
    return {number: float(score) for number, score in zip(words[::2], words[1::2], strict=True)}


def _paint(folder: Path, count: int, skip: int, rng: np.random.Generator) -> list[UInt8]:
    rows = [row for row in load_table(folder) if row.split == "validation"]
    chosen = rng.permutation(len(rows))[skip : skip + count]
    clavilux = Clavilux()
    return [clavilux.paint(folder / rows[index].file, size=_PX).pixels for index in chosen]


def _choose_art(folder: Path, count: int, rng: np.random.Generator) -> list[tuple[str, UInt8]]:
    found = []
    for role, group in _ROLES.items():
        rows = [row for row in load_table(folder) if (row.split, row.tier, row.role) == ("training", "free", role)]
        for index in rng.permutation(len(rows))[: count // 2]:
            small = resize(middle_square(read_picture(folder / rows[index].file)), _SHARP_PX)
            found.append((group, np.array(Image.fromarray(small).resize((_PX, _PX), Image.Resampling.LANCZOS))))
    return found


def _draw_sheet(pictures: list[UInt8], first: int) -> Image.Image:
    step = _PX + _GAP_PX
    sheet = Image.new("RGB", (_COLUMNS * step, _ROWS * step), "white")
    pen = ImageDraw.Draw(sheet)
    for place, rgb in enumerate(pictures):
        x, y = place % _COLUMNS * step + _GAP_PX // 2, place // _COLUMNS * step + _GAP_PX // 2
        sheet.paste(Image.fromarray(rgb), (x, y))
        pen.rectangle((x, y, x + 24, y + 12), fill="white")
        pen.text((x + 2, y), str(first + place), fill="black")
    return sheet


if __name__ == "__main__":
    main()
