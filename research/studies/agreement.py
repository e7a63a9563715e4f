"""How far those who compare pictures agree: distances between the same pictures, as one and as another sees them.

    python benchmarks/agreement.py CORPUS/art [--bundle NAME|DIR] [--pictures 400] [--teacher nsfwjs-4.4.0.tgz]

The goals of geometry ask that songs that sound alike have pictures that look alike to the judges A and B. A mapping can
be fitted to what *some* eye sees, never to A or B themselves: they would be no judges then. So what another eye, which
looks at the very same pictures, agrees with them is what a mapping that is perfect in its own eyes would reach.

    rank correlation of all pairs of pictures, and the share of the 10 nearest that are the same
    of real training art, and of what the bundle paints of its latents
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from ladder import Pixels, look, read_small
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from clavilux.evaluation.judges import Spaces
from clavilux.evaluation.material import find_pictures
from clavilux.evaluation.painting import open_engine
from clavilux.measures.image_features import TRAITS, measure_traits
from clavilux.measures.likeness import neighbours_kept, spearman
from clavilux.painter.paint import paint
from clavilux.training.analysis import WINDOW_PX
from clavilux.training.teacher import Teacher

Points = NDArray[np.floating]


def main() -> None:
    """Read, paint, look with all eyes, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("art", type=Path)
    parser.add_argument("--bundle", default="default")
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--teacher", type=Path, help="package of MobileNetV2, to ask it too")
    parser.add_argument("--jobs", type=int, default=-1)
    arguments = parser.parse_args()
    do = Parallel(n_jobs=arguments.jobs, batch_size=8)
    files = find_pictures(arguments.art, arguments.pictures)[1]
    real = do(delayed(read_small)(file) for file in files)
    painted, latents = zip(*do(delayed(_repaint)(arguments.bundle, rgb) for rgb in real), strict=True)
    teacher = None if arguments.teacher is None else Teacher(arguments.teacher).eval()
    spaces = Spaces.of(look(real, arguments.jobs))
    print(
        f"{len(real)} pictures of training art, bundle {arguments.bundle}; rank correlation / 10 nearest that agree\n"
    )
    print("| eye | real art, with A | with B | paintings, with A | with B |")
    print("|---|--:|--:|--:|--:|")
    sets = []
    for pictures in (real, list(painted)):
        judged = spaces.place(look(pictures, arguments.jobs))
        sets.append((judged, see(pictures, np.stack(latents), teacher) | {"B": judged["B"]}))
    for eye in sets[0][1]:
        cells = [
            "" if eye == judge else agree(points[eye], judged[judge]) for judged, points in sets for judge in ("A", "B")
        ]
        print(f"| {eye} | " + " | ".join(cells) + " |")


def see(pictures: list[Pixels], latents: Points, teacher: Teacher | None) -> dict[str, Points]:
    """Where pictures lie by their latents, by their traits, and to each depth of another network, centred."""
    traits = [measure_traits(rgb) for rgb in pictures]
    values = np.array([[trait[name] for name in TRAITS] for trait in traits], float)
    seen: dict[str, Points] = {"latents": latents, "traits": (values - values.mean(axis=0)) / values.std(axis=0)}
    if teacher is not None:
        for depth, signs in zip(("textures", "parts", "things"), teacher.signs(np.stack(pictures)), strict=True):
            seen[f"MobileNetV2, {depth}"] = signs[:, : signs.shape[1] // 2]  # means, as A has them
    return seen


def agree(a: Points, b: Points) -> str:
    """Rank correlation of distances, and share of the 10 nearest that are the same."""
    return f"{spearman(pdist(a), pdist(b)):.2f} / {neighbours_kept(np.asarray(a, float), np.asarray(b, float)):.2f}"


def _repaint(bundle: str, rgb: Pixels) -> tuple[Pixels, Points]:
    """What the bundle paints of the picture's latent, and that latent."""
    engine = open_engine(bundle).engine
    latent = engine.encode_picture(rgb)
    return paint(engine.controls(latent), width=WINDOW_PX, height=WINDOW_PX), latent


if __name__ == "__main__":
    main()
