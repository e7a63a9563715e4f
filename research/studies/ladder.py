"""What a picture loses on the way through the painter: real art, made poorer step by step, in the spaces of the judges.

    python benchmarks/ladder.py CORPUS/art [--bundle NAME|DIR] [--pictures 400] [--splits 6]

    the pictures themselves
    their 8 colours            each pixel the nearest of the palette that is read off the picture
    128, 64, 32 cells, alone   shares of the 8 colours in so many cells each way, the likeliest colour painted: no marks
    32 x 32 means              each cell of the plan its mean colour, passing smoothly into the next
    full plan                  painted with the plan and the palette that were read, and the marks of the latent
    the latent                 what the bundle paints of the posterior mean
    without outlines           the same without lines where colours meet

Each step is judged against one half of the pictures, as made from the other half, over that half itself: 1 is what real
art reaches. So the lines say which of the goals a plan of 32 x 32 cells can reach at all. Pictures are of the training
split, because the painter was made with a look at them; the table of `clavilux evaluate` is of held-out ones.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.ndimage import zoom

from clavilux.colour import from_light, srgb_to_lab, to_light
from clavilux.evaluation.judges import JUDGES, Spaces, measure_features
from clavilux.evaluation.manifold import compare_clouds
from clavilux.evaluation.material import find_pictures
from clavilux.evaluation.painting import open_engine
from clavilux.images import middle_square, read_picture, resize
from clavilux.measures.diversity import kernel_width
from clavilux.painter.paint import paint
from clavilux.training.analysis import WINDOW_PX, nearest_of, read_plan

Pixels = NDArray[np.uint8]
MEASURES = ("diversity", "vendi", "coverage", "recall", "precision", "density")
_LEAST_SHARE = 1e-3
_PLACES = 4  # of a pixel each way, where a plan alone is painted


def main() -> None:
    """Read, make poorer, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("art", type=Path)
    parser.add_argument("--bundle", default="default")
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--splits", type=int, default=6)
    parser.add_argument("--jobs", type=int, default=-1)
    arguments = parser.parse_args()
    do = Parallel(n_jobs=arguments.jobs, batch_size=8)
    files = find_pictures(arguments.art, arguments.pictures)[1]
    real = do(delayed(read_small)(file) for file in files)
    steps: dict[str, Callable[[Pixels], Pixels]] = {
        "the pictures themselves": _same,
        "their 8 colours": eight_colours,
        **{f"{cells} cells, alone": partial(plan_alone, cells) for cells in (128, 64, 32)},
        "32 x 32 means": plan_means,
        "full plan": partial(repaint, arguments.bundle, full=True),
        "the latent": partial(repaint, arguments.bundle),
        "without outlines": partial(repaint, arguments.bundle, bare=True),
    }
    seen = {name: look(do(delayed(step)(rgb) for rgb in real), arguments.jobs) for name, step in steps.items()}
    spaces = Spaces.of(seen["the pictures themselves"])
    placed = {name: spaces.place(features) for name, features in seen.items()}
    print(f"{len(real)} pictures of training art, {arguments.splits} splits, bundle {arguments.bundle}\n")
    print(f"| pictures | {' | '.join(MEASURES)} | KID |")
    print("|---|" + "--:|" * (len(MEASURES) + 1))
    for name, points in placed.items():
        rows = [judge(placed["the pictures themselves"][j], points[j], arguments.splits) for j in JUDGES]
        print(f"| {name} | " + " | ".join(f"{a:.2f} / {b:.2f}" for a, b in zip(*rows, strict=True)) + " |")


def judge(real: NDArray[np.float32], made: NDArray[np.float32], splits: int) -> NDArray[np.float64]:
    """`MEASURES` of what was made of one half of the pictures against the other half, that half itself = 1; and KID."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(splits):
        first, second = np.array_split(rng.permutation(len(real)), 2)
        second = second[: len(first)]
        width = kernel_width(real[first])
        reached, reachable = (
            compare_clouds(real[first], points[second], width=width, rng=rng) for points in (made, real)
        )
        found.append([*(reached[name] / reachable[name] for name in MEASURES), reached["kid"]])
    return np.asarray(np.mean(found, axis=0))


def _same(rgb: Pixels) -> Pixels:
    return rgb


def eight_colours(rgb: Pixels) -> Pixels:
    """Each pixel (128, 128, 3) as the nearest colour of the palette that is read off the picture."""
    palette, slots = _slots(rgb)
    return np.rint(255 * palette[slots]).astype(np.uint8)


def plan_alone(cells: int, rgb: Pixels) -> Pixels:
    """The likeliest of the 8 colours everywhere, by the logarithms of their shares in cells, read between these."""
    palette, slots = _slots(rgb)
    step = WINDOW_PX // cells
    one_hot = slots.reshape(cells, step, cells, step) == np.arange(len(palette))[:, None, None, None, None]
    plan = np.log(np.maximum(one_hot.mean(axis=(2, 4)), _LEAST_SHARE))
    fine = _PLACES * WINDOW_PX
    likeliest = zoom(plan, (1, fine // cells, fine // cells), order=1, mode="nearest", grid_mode=True).argmax(axis=0)
    light = to_light(palette)[likeliest].reshape(WINDOW_PX, _PLACES, WINDOW_PX, _PLACES, 3).mean(axis=(1, 3))
    return np.rint(255 * from_light(light)).astype(np.uint8)


def _slots(rgb: Pixels) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Palette (8, 3) that is read off a picture, and the nearest of its colours for each pixel (128, 128)."""
    palette, _ = read_plan(rgb, np.random.default_rng(0))
    lab = srgb_to_lab(rgb.reshape(-1, 3) / np.float32(255))
    return palette, nearest_of(lab, srgb_to_lab(palette)).reshape(rgb.shape[:2])


def plan_means(rgb: Pixels) -> Pixels:
    """The picture as the means of the cells of the plan, enlarged."""
    cells = rgb.reshape(32, WINDOW_PX // 32, 32, WINDOW_PX // 32, 3).mean(axis=(1, 3))
    return resize(np.rint(cells).astype(np.uint8), WINDOW_PX)


def repaint(bundle: str, rgb: Pixels, *, full: bool = False, bare: bool = False) -> Pixels:
    """What the bundle paints of the picture's latent; with the plan and the palette of the picture itself, if full;
    without outlines, if bare."""
    engine = open_engine(bundle).engine
    controls = engine.controls(engine.encode_picture(rgb))
    if full:
        palette, shares = read_plan(rgb, np.random.default_rng(0))
        controls = dataclasses.replace(controls, palette=palette, plan=np.log(np.maximum(shares, _LEAST_SHARE)))
    if bare:
        controls = dataclasses.replace(controls, outline=0.0)
    return paint(controls, width=WINDOW_PX, height=WINDOW_PX)


def read_small(file: Path) -> Pixels:
    """The middle square of a picture, as large as a window."""
    return resize(middle_square(read_picture(file)), WINDOW_PX)


def look(pictures: list[Pixels], jobs: int) -> dict[str, NDArray[np.float32]]:
    """What the judges see in pictures."""
    parts = Parallel(n_jobs=jobs)(delayed(measure_features)(pictures[i : i + 16]) for i in range(0, len(pictures), 16))
    return {judge_: np.concatenate([part[judge_] for part in parts]) for judge_ in JUDGES}


if __name__ == "__main__":
    main()
