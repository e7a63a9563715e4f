"""Paint held-out songs of many genres on one contact sheet.

    python benchmarks/held_out_sheet.py CORPUS/music docs/images/held-out.jpg [--songs 40] [--beside classic]

The songs are chosen before anything is painted: one per genre in turn, within a genre by the hash of the file name.
Prints the songs in the order of the sheet, and the distance of the two most similar pictures beside the median of all
pairs: the mean difference in CIELAB of their 16 x 16 averages.
"""

from __future__ import annotations

import argparse
import hashlib
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from PIL import Image

import clavilux
from clavilux.colour import srgb_to_lab
from clavilux.corpus import CorpusRow, load_table
from clavilux.training.sheets import save_sheet


def main() -> None:
    """Choose and paint the songs, write the sheet and print the list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--songs", type=int, default=40)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--bundle", default="default")
    parser.add_argument("--beside", action="append", default=[], help="another bundle, in the rows below; repeatable")
    parser.add_argument("--jobs", type=int, default=-1)
    arguments = parser.parse_args()

    rows = choose(arguments.corpus, arguments.songs)
    bundles = [arguments.bundle, *arguments.beside]
    painted = Parallel(n_jobs=arguments.jobs)(
        delayed(paint)(arguments.corpus / row.file, arguments.size, bundle) for bundle in bundles for row in rows
    )
    save_sheet(arguments.sheet, painted, columns=arguments.columns, gap=6)
    for number, row in enumerate(rows):
        print(f"{number + 1:3d}  {row.genre:22s} {row.artist or '-':28.28s} {Path(row.file).stem:50.50s} {row.source}")
    small = [srgb_to_lab(np.asarray(Image.fromarray(p).resize((16, 16), Image.Resampling.BOX)) / 255) for p in painted]
    for place, bundle in enumerate(bundles):
        of_bundle = small[place * len(rows) : (place + 1) * len(rows)]
        distances = {
            (i, j): float(np.sqrt(((of_bundle[i] - of_bundle[j]) ** 2).sum(-1)).mean())
            for i, j in combinations(range(len(rows)), 2)
        }
        (i, j), least = min(distances.items(), key=lambda item: item[1])
        middle = np.median(list(distances.values()))
        print(f"{bundle}: most similar {i + 1} and {j + 1}, {least:.1f}; median of all pairs {middle:.1f}")


def choose(corpus: Path, n: int) -> list[CorpusRow]:
    """Return held-out songs, one per genre in turn; within a genre, one per artist in turn."""
    genres: dict[str, list[CorpusRow]] = defaultdict(list)
    for row in load_table(corpus):
        if row.split == "held-out":
            genres[row.genre].append(row)
    queues = []
    for genre in sorted(genres):
        ordered = sorted(genres[genre], key=lambda row: hashlib.sha256(row.file.encode()).hexdigest())
        counts: dict[str, int] = defaultdict(int)
        turns = []
        for row in ordered:
            turns.append((counts[row.artist], row))
            counts[row.artist] += 1
        queues.append([row for _, row in sorted(turns, key=lambda turn: turn[0])])
    chosen = []
    while len(chosen) < n and any(queues):
        for queue in queues:
            if queue and len(chosen) < n:
                chosen.append(queue.pop(0))
    return chosen


def paint(song: Path, size: int, bundle: str) -> np.ndarray:
    """Return the pixels of the picture of a song."""
    return clavilux.Clavilux(bundle=bundle).paint(song, size=size).pixels


if __name__ == "__main__":
    main()
