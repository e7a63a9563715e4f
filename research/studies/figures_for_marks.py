"""Which figure suits the songs of each kind of marks: what figures do to image features, and what songs are like.

    python research/studies/figures_for_marks.py CORPUS/music [--songs 150]

Prints, for training songs, the mean of the six image features of `clavilux/measures/crossmodal.py` over pictures with
each figure (in standard deviations over songs, from the mean of all figures), and the mean rank of the six descriptors
over the songs of each kind of marks. Then the assignment of figures to kinds that maximises the sum of their products;
research/diary/figures.md says what was made of it.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from clavilux.corpus.table import load_table
from clavilux.measures.crossmodal import CORRESPONDENCES, correspondence_values
from clavilux.measures.image_features import measure_image_features
from clavilux.painter.figures import FIGURES
from clavilux.painter.marks import MARKS
from clavilux.painter.paint import paint
from clavilux.pipeline import Clavilux

WEIGHTS = {"arousal": 0.3, "valence": 0.3, "onset_rate": 1, "register": 1, "harshness": 2, "loudness_range": 2}
PER_KIND = 2  # largest number of kinds with the same figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("music", type=Path)
    parser.add_argument("--songs", type=int, default=150)
    arguments = parser.parse_args()
    rows = [row for row in load_table(arguments.music) if row.split == "training"]
    chosen = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[: arguments.songs]]
    clavilux = Clavilux()
    songs = [clavilux.read_song(arguments.music / row.file) for row in chosen]
    controls = [clavilux.paint(song, size=64).controls for song in songs]
    names = [c.name for c in CORRESPONDENCES]
    weights = np.array([WEIGHTS[name] for name in names])

    features = [
        measure_image_features(paint(dataclasses.replace(c, figure=figure), width=128, height=128, seed=0))
        for figure in FIGURES
        for c in controls[::5]
    ]
    columns = {name: np.array([one[name] for one in features]) for name in features[0]}
    values = correspondence_values(columns, "image_features").reshape(len(FIGURES), -1, len(names))
    effects = (values.mean(axis=1) - values.mean(axis=(0, 1))) / values.std(axis=1).mean(axis=0)
    print("figure", *names)
    for figure, effect in zip(FIGURES, effects, strict=True):
        print(figure, *effect.round(2))

    columns = {name: np.array([song.descriptors[name] for song in songs]) for name in songs[0].descriptors}
    ranks = np.apply_along_axis(rankdata, 0, correspondence_values(columns, "descriptors")) / len(songs) - 0.5
    kinds, means = np.array([c.kind for c in controls]), []
    print("\nkind songs", *names)
    for kind in MARKS:
        n = int((own := kinds == kind).sum())
        means.append(ranks[own].sum(axis=0) / (n + 3))
        print(kind, n, *means[-1].round(2))

    gain = np.array([[(mean * effect * weights).sum() for effect in effects] for mean in means])
    gain = np.hstack([gain + 100] + [gain] * (PER_KIND - 1))  # every figure is used
    print()
    for kind, column in zip(MARKS, linear_sum_assignment(-gain)[1], strict=True):
        print(f"{kind}: {list(FIGURES)[column % len(FIGURES)]}, now {MARKS[kind].figure}")


if __name__ == "__main__":
    main()
