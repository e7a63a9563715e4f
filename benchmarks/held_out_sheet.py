"""Paint held-out songs of many genres on one contact sheet.

    python benchmarks/held_out_sheet.py CORPUS/music docs/images/held-out.jpg [--songs 40] [--beside classic]

The songs are chosen before anything is painted: one per genre in turn, within a genre one per artist in turn, in the
order of the hashes of their file names. The script prints the songs in the order of the sheet. Then it prints the
distance of the two most similar pictures, and the median distance of all pairs of pictures. The distance is the mean
difference in CIELAB of two pictures that are reduced to 16 x 16 pixels.
"""

from __future__ import annotations

import argparse
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from PIL import Image

import clavilux
from clavilux.colour import srgb_to_lab
from clavilux.corpus import CorpusRow, load_table
from clavilux.training.sheets import save_sheet


def main() -> None:
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
    first, second = np.triu_indices(len(rows), 1)
    for bundle, lab in zip(bundles, np.array(small).reshape(len(bundles), len(rows), 256, 3), strict=True):
        distances = np.linalg.norm(lab[first] - lab[second], axis=-1).mean(axis=-1)
        least = distances.argmin()
        print(
            f"{bundle}: most similar {first[least] + 1} and {second[least] + 1}, {distances[least]:.1f}; "
            f"median of all pairs {np.median(distances):.1f}"
        )


def choose(corpus: Path, n: int) -> list[CorpusRow]:
    """Return held-out songs, one per genre in turn; within a genre, one per artist in turn."""
    rows = [row for row in load_table(corpus) if row.split == "held-out"]
    rows.sort(key=lambda row: hashlib.sha256(row.file.encode()).hexdigest())
    turns: list[tuple[int, str, CorpusRow]] = []  # number of the song within its genre, genre, song
    for genre in sorted({row.genre for row in rows}):
        of_artist: Counter[str] = Counter()
        numbered = []
        for row in (row for row in rows if row.genre == genre):
            numbered.append((of_artist[row.artist], row))
            of_artist[row.artist] += 1
        numbered.sort(key=lambda pair: pair[0])
        turns += [(number, genre, row) for number, (_, row) in enumerate(numbered)]
    return [row for *_, row in sorted(turns, key=lambda turn: turn[:2])[:n]]


def paint(song: Path, size: int, bundle: str) -> np.ndarray:
    """Return the pixels of the picture of a song."""
    return clavilux.Clavilux(bundle=bundle).paint(song, size=size).pixels


if __name__ == "__main__":
    main()
