"""Measure which controls of a picture change when the song is compressed to MP3.

    python benchmarks/steadiness.py CORPUS/music [--bundle NAME|DIR] [--songs 24]

Songs of the validation split are written as FLAC and as MP3 of 128 kbit/s. Each line paints the FLAC version with one
group of controls of the MP3 version, and prints how far the picture moves for each evaluator, relative to the distance
between two songs (means; the latents: medians).
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from clavilux.constants import SURFACE, SYMMETRIES
from clavilux.corpus.table import load_table
from clavilux.evaluation.distinctness import relative_distance
from clavilux.evaluation.evaluators import EVALUATORS, Spaces, measure_features
from clavilux.evaluation.painting import PAINTED_PX, open_clavilux
from clavilux.evaluation.songs import measure_copies
from clavilux.painter.controls import Controls
from clavilux.painter.paint import paint

GROUPS = {
    "plan": ("plan",),
    "palette": ("palette",),
    "kinds": ("kind", "second_kind", "second_share"),
    "frequency": ("frequency",),
    "angle": ("angle",),
    "chaos": ("chaos",),
    "surface": tuple(SURFACE),
    "symmetry": tuple(SYMMETRIES),
}
GROUPS["all but frequency and angle"] = tuple(
    field for name, fields in GROUPS.items() if name not in ("frequency", "angle") for field in fields
)
_MAX_S = 60.0


def main() -> None:
    """Measure the songs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("music", type=Path)
    parser.add_argument("--bundle", default="default")
    parser.add_argument("--songs", type=int, default=24)
    parser.add_argument("--jobs", type=int, default=-1)
    arguments = parser.parse_args()
    rows = [row for row in load_table(arguments.music) if row.split == "validation"]
    step = max(1, len(rows) // arguments.songs)
    files = [arguments.music / row.file for row in rows[::step][: arguments.songs]]
    codes = measure_copies(files, [arguments.bundle], max_s=_MAX_S, jobs=arguments.jobs)[arguments.bundle]
    engine = open_clavilux(arguments.bundle).engine
    latents = np.array([[engine.map_song(code) for code in pair] for pair in codes])
    controls = [[engine.decode_controls(latent) for latent in pair] for pair in latents]

    def measure(changed: list[Controls]) -> dict[str, NDArray[np.float32]]:
        return measure_features(Parallel(n_jobs=arguments.jobs)(delayed(_paint)(c) for c in changed))

    own = measure([flac for flac, _ in controls])
    spaces = Spaces.of(own)
    points = spaces.place(own)
    moved = np.linalg.norm(latents[:, 0] - latents[:, 1], axis=1)
    print(f"{len(files)} validation songs, bundle {arguments.bundle}; relative to the distance between two songs\n")
    print("| taken from the MP3 version | A | B |\n|---|--:|--:|")
    print(f"| distance of the latents | {np.median(moved) / np.median(pdist(latents[:, 0])):.3f} | |")
    lines = {"everything": [mp3 for _, mp3 in controls]}
    for name, group in GROUPS.items():
        lines[name] = [dataclasses.replace(flac, **{f: getattr(mp3, f) for f in group}) for flac, mp3 in controls]
    for name, changed in lines.items():
        changed_points = spaces.place(measure(changed))
        shares = [relative_distance(points[e], changed_points[e], points[e]) for e in EVALUATORS]
        print(f"| {name} | " + " | ".join(f"{share:.3f}" for share in shares) + " |")


def _paint(controls: Controls) -> NDArray[np.uint8]:
    return paint(controls, width=PAINTED_PX, height=PAINTED_PX)


if __name__ == "__main__":
    main()
