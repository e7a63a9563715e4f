"""Make sheets of paintings and real art in a random order for viewers to score, and read their scores.

    python benchmarks/viewers.py sheets CORPUS/music CORPUS/art FOLDER [--songs 24] [--skip 0] [--seed 0]
    python benchmarks/viewers.py read FOLDER/key.json SCORES SCORES
    python benchmarks/viewers.py pairs CORPUS/music FOLDER [--pairs 34] [--seed 0]
    python benchmarks/viewers.py matched FOLDER/key.json ANSWERS

`sheets` paints validation songs (never held-out ones) at the default size, reduces them to the size of the sheets, and
adds as many works of the training art, half by painters and half by creative coders, reduced to the sharpness that all
of them have. Give the sheets, and nothing else, to two viewers; ask for a score from 0 to 10 for "would I hang this or
use it as a cover". A file of scores contains the number of each picture, followed by its score. `read` prints the mean
of both viewers for each group of pictures with its standard error, and the shares of scores of at least 6 and of at
most 4. If the key says which song a picture belongs to ("group:song"), it also prints the mean difference of two
versions of the same songs.

`pairs` shows the paintings of two validation songs side by side, left and right by chance, and writes two descriptions
for each pair: genre and those five of eight descriptors (`_SAID`) in which the songs differ most, from the sound alone.
No song is in two pairs, so that one answer says nothing of another. Ask a viewer which picture belongs to description
A, the left (L) or the right (R) one. `matched` prints how many answers are right, with Wilson's interval.
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
from clavilux.measures.intervals import wilson
from clavilux.pipeline import Clavilux
from clavilux.words import COMPARATIVES, share_below

UInt8 = NDArray[np.uint8]

_PX, _SHARP_PX, _GAP_PX = 316, 224, 8
_COLUMNS, _ROWS = 4, 3
_PAIRS = 8  # on a sheet
_SAID = ("pace", "onset_rate", "loudness_range", "centroid", "roughness", "register", "arousal", "valence")
_ROLES = {"abstract": "painters", "generative": "coders"}


def main() -> None:
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
    pairs = commands.add_parser("pairs")
    for name in ("music", "folder"):
        pairs.add_argument(name, type=Path)
    for name, default in (("--pairs", 34), ("--seed", 0)):
        pairs.add_argument(name, type=int, default=default)
    matched = commands.add_parser("matched")
    for name in ("key", "answers"):
        matched.add_argument(name, type=Path)
    arguments = parser.parse_args()
    if arguments.command == "read":
        print(read_scores(json.loads(arguments.key.read_text("utf-8")), [_load(path) for path in arguments.scores]))
    elif arguments.command == "matched":
        print(read_answers(json.loads(arguments.key.read_text("utf-8")), arguments.answers.read_text("utf-8").split()))
    elif arguments.command == "pairs":
        _write_pairs(arguments)
    else:
        _write_sheets(arguments)


def _write_sheets(arguments: argparse.Namespace) -> None:
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
    groups, songs = zip(*(key[number].partition(":")[::2] for number in numbers), strict=True)
    by_group: dict[str, dict[str, float]] = {group: {} for group in groups}
    for number, group, song, score in zip(numbers, groups, songs, mean, strict=True):
        by_group[group][song or f"picture {number}"] = score
    for group, scores in by_group.items():
        part = np.array(list(scores.values()))
        error = part.std(ddof=1) / np.sqrt(len(part))
        shares = f"{(part >= 6).mean():.2f} | {(part <= 4).mean():.2f}"
        lines.append(f"| {group} | {len(part)} | {part.mean():.2f} | {error:.2f} | {shares} |")
    first, *others = by_group
    for second in others:
        if both := [song for song in by_group[first] if song in by_group[second]]:
            apart = np.array([by_group[second][song] - by_group[first][song] for song in both])
            error = apart.std(ddof=1) / np.sqrt(len(apart))
            lines.append(f"\n{second} - {first}: {apart.mean():+.2f}, standard error {error:.2f}, {len(apart)} songs")
    if len(viewers) == 2:
        lines.append(f"\nThe two viewers correlate by {np.corrcoef(table)[0, 1]:.2f}.")
        if gains := _gains_of_choosing(songs, table):
            lines.append(f"\nIf one viewer chooses the best picture of each song, the other sees a gain of {gains}.")
    return "\n".join(lines)


def _gains_of_choosing(songs: tuple[str, ...], table: NDArray[np.float64]) -> str:
    """Return what each of two viewers gains over the mean if the other chooses a version of each song, or ""."""
    versions = [[i for i, own in enumerate(songs) if own == song] for song in dict.fromkeys(filter(None, songs))]
    if max(map(len, versions), default=0) < 2:
        return ""
    gains = []
    for chooser, other in (table[::-1], table):
        gains.append(np.mean([other[of[chooser[of].argmax()]] - other[of].mean() for of in versions]))
    return " and ".join(f"{gain:+.2f}" for gain in gains)


def read_answers(key: dict[str, str], words: list[str]) -> str:
    """Return how many of the answers, numbers each followed by L or R, agree with the key, with a 95 % interval."""
    answers = dict(zip(words[::2], words[1::2], strict=True))
    if missing := key.keys() - answers.keys():
        raise SystemExit(f"{len(missing)} pairs have no answer")
    right = sum(answers[number] == side for number, side in key.items())
    low, high = wilson(right, len(key))
    return f"{right} of {len(key)} right, {right / len(key):.2f} (95 % interval {low:.2f} to {high:.2f})"


def _write_pairs(arguments: argparse.Namespace) -> None:
    rng, clavilux = np.random.default_rng(arguments.seed), Clavilux()
    rows = [row for row in load_table(arguments.music) if row.split == "validation"]
    songs = [clavilux.read_song(arguments.music / row.file) for row in rows]
    card = clavilux.bundle.card
    shares = np.array([[share_below(name, song.descriptors[name], card) for name in _SAID] for song in songs])
    gap = np.abs(shares[:, None] - shares[None])
    left = np.ones(len(rows), int)
    key, lines, sheets = {}, [], []
    for number in range(1, arguments.pairs + 1):
        first = rng.choice(np.flatnonzero(left))
        left[first] -= 1
        others = np.flatnonzero((left > 0) & (np.arange(len(rows)) != first))
        second = rng.choice(others[gap[first, others].sum(axis=1).argsort()[-8:]])  # one of the most different
        left[second] -= 1
        names = np.array(_SAID)[gap[first, second].argsort()[-5:]]
        texts = []
        for own, other in ((first, second), (second, first)):
            words = (
                COMPARATIVES[name][songs[own].descriptors[name] < songs[other].descriptors[name]] for name in names
            )
            texts.append(f"{rows[own].genre or 'music'}; {', '.join(words)}")
        swapped = bool(rng.integers(2))
        key[str(number)] = "R" if swapped else "L"
        lines.append(f"{number}. A: {texts[0]}  |  B: {texts[1]}")
        shown = [clavilux.paint(songs[k], size=_PX).pixels for k in (first, second)]
        sheets.append(np.hstack([shown[swapped], np.full((_PX, 2 * _GAP_PX, 3), 255, np.uint8), shown[not swapped]]))
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, len(sheets), _PAIRS):
        part = sheets[first : first + _PAIRS]
        step = _PX + 2 * _GAP_PX
        sheet = Image.new("RGB", (2 * (part[0].shape[1] + 4 * _GAP_PX), -(-len(part) // 2) * step), "white")
        pen = ImageDraw.Draw(sheet)
        for place, rgb in enumerate(part):
            x, y = place % 2 * (rgb.shape[1] + 4 * _GAP_PX), place // 2 * step
            sheet.paste(Image.fromarray(rgb), (x + 3 * _GAP_PX, y))
            pen.text((x + 2, y), str(first + place + 1), fill="black")
        sheet.save(arguments.folder / f"sheet-{first // _PAIRS + 1}.png")
    (arguments.folder / "descriptions.txt").write_text("\n".join(lines) + "\n", "utf-8")
    (arguments.folder / "key.json").write_text(json.dumps(key) + "\n", "utf-8")


def _load(path: Path) -> dict[str, float]:
    words = path.read_text("utf-8").split()
    return {number: float(score) for number, score in zip(words[::2], words[1::2], strict=True)}


def _paint(folder: Path, count: int, skip: int, rng: np.random.Generator) -> list[UInt8]:
    rows = [row for row in load_table(folder) if row.split == "validation"]
    chosen = rng.permutation(len(rows))[skip : skip + count]
    clavilux = Clavilux()
    return [_reduce(clavilux.paint(folder / rows[index].file).pixels) for index in chosen]


def _reduce(rgb: UInt8) -> UInt8:
    """Return a picture at the size of the sheets."""
    return np.array(Image.fromarray(rgb).resize((_PX, _PX), Image.Resampling.LANCZOS))


def _choose_art(folder: Path, count: int, rng: np.random.Generator) -> list[tuple[str, UInt8]]:
    found = []
    for role, group in _ROLES.items():
        rows = [row for row in load_table(folder) if (row.split, row.tier, row.role) == ("training", "free", role)]
        for index in rng.permutation(len(rows))[: count // 2]:
            small = resize(middle_square(read_picture(folder / rows[index].file)), _SHARP_PX)
            found.append((group, _reduce(small)))
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
