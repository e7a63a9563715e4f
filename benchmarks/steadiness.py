"""Measure how much a picture changes when its song is compressed, made louder, mixed to mono or begins later.

    python benchmarks/steadiness.py CORPUS/music [--bundle NAME|DIR ...] [--songs 200] [--split validation]

Songs of a split, as FLAC, are compared with changed copies. The columns of the table, with 95 % bootstrap intervals
over songs:

    code, median and mean   distance of song and copy in the song code, divided by the mean distance of two songs
    same kind               share of songs whose copy is painted with the same kind of marks
    found                   share of copies whose nearest song is their own
    A, B                    mean distance of the two pictures for an evaluator, divided by that of a picture and its
                            degraded copy (cropped by 5 %, JPEG of quality 50)
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, pdist

from clavilux.corpus.table import load_table
from clavilux.evaluation.evaluators import EVALUATORS, Spaces
from clavilux.evaluation.painting import measure_latents, open_clavilux
from clavilux.evaluation.songs import Float32, Scale, measure_copies
from clavilux.measures.copies import COPIES

_MAX_S = 60.0
_RESAMPLES = 2_000
_ORIGINAL = next(iter(COPIES))

Figure = Callable[[NDArray[np.intp]], float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("music", type=Path)
    parser.add_argument("--bundle", action="append")
    parser.add_argument("--songs", type=int, default=200)
    parser.add_argument("--split", default="validation", choices=("validation", "held-out"))
    parser.add_argument("--jobs", type=int, default=-1)
    arguments = parser.parse_args()
    bundles = arguments.bundle or ["default"]
    rows = [row for row in load_table(arguments.music) if row.split == arguments.split]
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(arguments.songs, len(rows))).round().astype(int))
    files = [arguments.music / rows[index].file for index in chosen]
    codes = measure_copies(files, bundles, max_s=_MAX_S, jobs=arguments.jobs, copies=tuple(COPIES))
    for bundle in bundles:
        print(f"bundle {bundle}, {len(files)} {arguments.split} songs\n")
        print("| copy | code, median | code, mean | same kind | found | A | B |\n|---|--:|--:|--:|--:|--:|--:|")
        for name, figures in _compare(bundle, codes[bundle], arguments.jobs).items():
            print(f"| {name} | " + " | ".join(_interval(figure, len(files)) for figure in figures) + " |")
        print(flush=True)


def _compare(bundle: str, codes: Float32, jobs: int) -> dict[str, list[Figure]]:
    """Return the figures of each copy, as functions of the songs that they are computed over."""
    opened = open_clavilux(bundle)
    engine = opened.engine
    points = Scale.of_bundle(opened.bundle, codes[:, 0]).place(codes)
    apart = float(pdist(points[:, 0]).mean())
    latents = np.array([[engine.map_song(code) for code in copies] for copies in codes])
    kinds = [[engine.decode_controls(latent).kind for latent in copies] for copies in latents]
    pictures = [measure_latents(bundle, latents[:, k], jobs=jobs, degraded=k == 0) for k in range(latents.shape[1])]
    spaces = Spaces.of(pictures[0].features)
    assert pictures[0].degraded is not None, "degraded copies were asked for"
    degraded = spaces.place(pictures[0].degraded)
    seen = [spaces.place(each.features) for each in pictures]
    figures: dict[str, list[Figure]] = {}
    for k, name in enumerate(COPIES):
        if name == _ORIGINAL:
            continue
        moved = np.linalg.norm(points[:, k] - points[:, 0], axis=1) / apart
        same = np.array([copies[k] == copies[0] for copies in kinds])
        found = cdist(points[:, k], points[:, 0]).argmin(axis=1) == np.arange(len(points))
        figures[name] = [_median(moved), _mean(moved), _mean(same), _mean(found)]
        for evaluator in EVALUATORS:
            change, unit = (
                np.linalg.norm(other[evaluator] - seen[0][evaluator], axis=1) for other in (seen[k], degraded)
            )
            figures[name].append(_ratio(change, unit))
    return figures


def _median(values: NDArray[np.floating]) -> Figure:
    return lambda songs: float(np.median(values[songs]))


def _mean(values: NDArray[np.floating] | NDArray[np.bool_]) -> Figure:
    return lambda songs: float(values[songs].mean())


def _ratio(values: NDArray[np.floating], units: NDArray[np.floating]) -> Figure:
    return lambda songs: float(values[songs].mean() / units[songs].mean())


def _interval(figure: Figure, n: int) -> str:
    """Return a figure over all n songs, and its 95 % bootstrap interval."""
    rng = np.random.default_rng(0)
    low, high = np.percentile([figure(rng.integers(0, n, n)) for _ in range(_RESAMPLES)], (2.5, 97.5))
    return f"{figure(np.arange(n)):.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
