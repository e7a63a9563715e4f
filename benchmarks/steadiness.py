"""Where a song's picture moves when the song is compressed: FLAC against MP3, one control after the other.

    python benchmarks/steadiness.py CORPUS/music [--bundle NAME|DIR] [--songs 24]

Songs of the validation split are written as FLAC and as MP3 of 128 kbit/s from one sound. Their latents differ a
little. Each line paints the FLAC version with one group of controls taken from the MP3 version, and says how far the
picture has gone, to each judge, as a share of the distance between two songs (medians).
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
from clavilux.evaluation.evaluators import EVALUATORS, Spaces, measure_features
from clavilux.evaluation.painting import PAINTED_PX, open_engine
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
    """Hear, map, paint, measure, print."""
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
    engine = open_engine(arguments.bundle).engine
    latents = np.array([[engine.map_song(code) for code in pair] for pair in codes])
    controls = [[engine.decode_controls(latent) for latent in pair] for pair in latents]

    def look(changed: list[Controls]) -> dict[str, NDArray[np.float32]]:
        pictures = Parallel(n_jobs=arguments.jobs)(delayed(_paint)(c) for c in changed)
        return measure_features(pictures)

    own = look([flac for flac, _ in controls])
    spaces = Spaces.of(own)
    places = spaces.place(own)
    moved = np.linalg.norm(latents[:, 0] - latents[:, 1], axis=1)
    print(f"{len(files)} songs of the validation split, bundle {arguments.bundle}; of the distance between two songs\n")
    print("| from the MP3 version | A | B |\n|---|--:|--:|")
    print(f"| the latent, as a latent | {np.median(moved) / np.median(pdist(latents[:, 0])):.3f} | |")
    lines = {"everything": [mp3 for _, mp3 in controls]}
    for name, group in GROUPS.items():
        lines[name] = [dataclasses.replace(flac, **{f: getattr(mp3, f) for f in group}) for flac, mp3 in controls]
    for name, changed in lines.items():
        seen = spaces.place(look(changed))
        shares = [
            np.median(np.linalg.norm(seen[j] - places[j], axis=1)) / np.median(pdist(places[j].astype(float)))
            for j in EVALUATORS
        ]
        print(f"| {name} | " + " | ".join(f"{share:.3f}" for share in shares) + " |")


def _paint(controls: Controls) -> NDArray[np.uint8]:
    return paint(controls, width=PAINTED_PX, height=PAINTED_PX)


if __name__ == "__main__":
    main()
