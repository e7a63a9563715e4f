"""Lightness and chroma of paintings of songs that nobody has learnt from, beside those of real art.

    python benchmarks/colours.py CORPUS/music CORPUS/features CORPUS/art [--bundle NAME|DIR] [--songs 200]
        [--pictures 300] [--markdown docs/colour.md] [--figure docs/images/colours.png]

Songs and pictures are those of `clavilux evaluate`: held-out, drawn by the hash of their file. Of a song the features
are taken that `clavilux features` has measured. Real art is the held-out abstract and generative pictures; real art of
the training split is the ceiling, and two halves of the held-out art, drawn twenty times, say how near two samples of
the same pictures come. All are looked at as squares of 128 x 128 pixels, averaged down, as the judges of `clavilux
evaluate` do.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from pages import marks_of, put_text
from PIL import Image, ImageDraw
from threadpoolctl import threadpool_limits

from clavilux.audio.clips import song_of_clips
from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.bundle import open_bundle
from clavilux.colour import srgb_to_lab
from clavilux.errors import PictureError
from clavilux.evaluation.material import find_material
from clavilux.evaluation.painting import PAINTED_PX, open_engine
from clavilux.images import middle_square, read_picture, resize

SIDE = 128  # px at which all pictures are looked at
KEPT = 1024  # pixels that are kept of each
SPLITS = 20  # of the held-out art into halves
GREY = 10.0  # chroma below which a pixel has no hue to speak of
VIVID = 50.0
HUES = ("red", "orange", "yellow", "green", "turquoise", "blue", "violet", "pink")  # eighths of the circle, see `_hues`
MARKERS = marks_of("colours")

Float32 = NDArray[np.float32]


def main() -> None:
    """Paint, read, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("music", type=Path)
    parser.add_argument("features", type=Path)
    parser.add_argument("art", type=Path)
    parser.add_argument("--bundle", default="default")
    parser.add_argument("--songs", type=int, default=200)
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=-1)
    parser.add_argument("--markdown", type=Path, help="page whose marked place gets the tables")
    parser.add_argument("--figure", type=Path, help="PNG of the distributions")
    arguments = parser.parse_args()

    material = find_material(arguments.music, arguments.art, songs=arguments.songs, pictures=arguments.pictures)
    rows = {row["file"]: row for row in _read_table(arguments.features / "descriptors.csv")}
    songs = [rows[song.path.relative_to(arguments.music).as_posix()] for song in material.songs]
    do = Parallel(n_jobs=arguments.jobs, batch_size=8)
    sources = {
        "songs": _join(do(delayed(_paint)(arguments.features, row, arguments.bundle) for row in songs)),
        "held-out art": _join(do(delayed(_read)(file) for file in material.held_out_art)),
        "training art": _join(do(delayed(_read)(file) for file in material.training_art)),
    }
    bundle = open_bundle(arguments.bundle)
    counts = ", ".join(f"{len(lab)} {name}" for name, lab in sources.items())
    text = f"Bundle `{bundle.name}` (sha256 {bundle.sha256[:12]}); {counts}.\n\n{make_tables(sources)}"
    print(text, end="")
    if arguments.figure:
        draw_figure(sources).save(arguments.figure, optimize=True)
    if arguments.markdown:
        put_text(arguments.markdown, text, MARKERS)


def _read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _paint(features: Path, row: dict[str, str], bundle: str) -> Float32:
    """Pixels of the painting of a song that was measured, see `_look`."""
    song = song_of_clips(features / row["npy"])
    song = replace(song, descriptors={name: float(row[name]) for name in DESCRIPTORS})
    with threadpool_limits(1):
        return _look(open_engine(bundle).paint(song, size=PAINTED_PX).pixels)


def _read(path: Path) -> Float32 | None:
    try:
        return _look(middle_square(read_picture(path)))
    except PictureError:
        return None


def _look(square: NDArray[np.uint8]) -> Float32:
    """CIELAB of pixels of a square picture, (KEPT, 3): every fourth of every fourth row at 128 x 128."""
    step = SIDE // int(KEPT**0.5)
    return srgb_to_lab(resize(square, SIDE)[step // 2 :: step, step // 2 :: step].reshape(-1, 3) / np.float32(255))


def _join(found: Sequence[Float32 | None]) -> Float32:
    return np.stack([lab for lab in found if lab is not None])


@dataclass(frozen=True)
class Quantity:
    """A number of each pixel (n, KEPT) or of each picture (n,), its unit, and how it is called."""

    name: str
    values: Float32


def quantities(lab: Float32) -> list[Quantity]:
    """What is compared of n pictures (n, KEPT, 3)."""
    lightness, chroma = lab[..., 0], np.hypot(lab[..., 1], lab[..., 2])
    return [
        Quantity("lightness of pixels", lightness),
        Quantity("chroma of pixels", chroma),
        Quantity("mean lightness of a picture", lightness.mean(axis=1)),
        Quantity("spread of lightness in a picture", lightness.std(axis=1)),
        Quantity("mean chroma of a picture", chroma.mean(axis=1)),
        Quantity("spread of chroma in a picture", chroma.std(axis=1)),
        Quantity("most vivid twentieth of a picture: chroma from", np.quantile(chroma, 0.95, axis=1)),
    ]


def wasserstein(a: Float32, b: Float32) -> float:
    """Wasserstein-1 distance of two samples of any shape: the mean distance of their quantiles (Vallender 1974)."""
    at = (np.arange(2000) + 0.5) / 2000
    return float(np.abs(np.quantile(a, at) - np.quantile(b, at)).mean())


def make_tables(sources: dict[str, Float32]) -> str:
    """Deciles, distances and hues as Markdown; the sources are songs, held-out art, training art, (n, KEPT, 3)."""
    measured = {name: quantities(lab) for name, lab in sources.items()}
    lines = ["### Deciles", ""]
    tenths = [0.05, *np.arange(1, 10) / 10, 0.95]
    for place, unit in ((0, "Lightness, L* from 0 to 100"), (1, "Chroma, C*ab")):
        lines += [f"{unit}: the value below which so many of the pixels lie.", ""]
        lines += [f"| | {' | '.join(f'{100 * t:.0f} %' for t in tenths)} |", f"|---|{'--:|' * len(tenths)}"]
        for name, found in measured.items():
            values = np.quantile(found[place].values, tenths)
            lines.append(f"| {name} | {' | '.join(f'{value:.0f}' for value in values)} |")
        lines.append("")

    rng = np.random.default_rng(0)
    n = len(list(sources.values())[1])
    halves = [np.array_split(rng.permutation(n), 2) for _ in range(SPLITS)]
    lines += ["### Distances from held-out art", ""]
    lines += ["Wasserstein-1: how far a value is moved, on average, to make one distribution of the other.", ""]
    lines.append("| | songs: 10, 50, 90 % | held-out art: 10, 50, 90 % | distance | training art | two halves |")
    lines.append("|---|--:|--:|--:|--:|--:|")
    for ours, real, learnt in zip(*measured.values(), strict=True):
        between = [wasserstein(real.values[a], real.values[b]) for a, b in halves]
        spans = [", ".join(f"{value:.0f}" for value in np.quantile(q.values, [0.1, 0.5, 0.9])) for q in (ours, real)]
        lines.append(
            f"| {ours.name} | {spans[0]} | {spans[1]} | **{wasserstein(ours.values, real.values):.1f}** "
            f"| {wasserstein(learnt.values, real.values):.1f} | {np.mean(between):.1f} |"
        )

    lines += ["", "### Hues", ""]
    lines.append(
        f"Share of pixels, percent; grey below a chroma of {GREY:.0f}. Vivid: a chroma of {VIVID:.0f} and more. "
        "Colours: hues that cover a fiftieth of a picture or more, on average."
    )
    lines += ["", f"| | grey | {' | '.join(HUES)} | vivid | colours |", f"|---|{'--:|' * (len(HUES) + 3)}"]
    for name, lab in sources.items():
        shares = hue_shares(lab)
        vivid = (np.hypot(lab[..., 1], lab[..., 2]) >= VIVID).mean()
        cells = [*(100 * shares.mean(axis=0)), 100 * vivid]
        colours = (shares[:, 1:] >= 0.02).sum(axis=1).mean()
        lines.append(f"| {name} | {' | '.join(f'{cell:.0f}' for cell in cells)} | {colours:.1f} |")
    return "\n".join([*lines, ""])


def hue_shares(lab: Float32) -> Float32:
    """Share of grey and of each of `HUES` in n pictures (n, KEPT, 3): (n, 1 + 8)."""
    chroma, hue = np.hypot(lab[..., 1], lab[..., 2]), np.degrees(np.arctan2(lab[..., 2], lab[..., 1])) % 360
    # Red of sRGB lies at 40 degrees, yellow at 103, green at 136, cyan at 196, blue at 306, magenta at 328.
    edges = np.array([15.0, 50.0, 80.0, 112.0, 170.0, 230.0, 290.0, 325.0])
    place = np.where(chroma < GREY, 0, 1 + (np.searchsorted(edges, hue, side="right") - 1) % len(HUES))
    return np.stack([(place == k).mean(axis=1) for k in range(1 + len(HUES))], axis=1).astype(np.float32)


def draw_figure(sources: dict[str, Float32]) -> Image.Image:
    """Distributions of lightness and of chroma over the pixels, a line for each source."""
    colours = {"songs": "#2563a8", "held-out art": "#c2571a", "training art": "#b9bcc2"}
    zoom, width, height, gap, left, bottom = 2, 380, 190, 24, 10, 34  # drawn twice as large, then shrunk: smooth lines
    sheet = Image.new("RGB", (zoom * (2 * width + gap), zoom * height), "white")
    pen = ImageDraw.Draw(sheet)
    for panel, (name, high) in enumerate((("lightness L*", 100.0), ("chroma C*ab", 100.0))):
        x0, y0 = zoom * (panel * (width + gap) + left), zoom * (height - bottom)
        inner, tall = zoom * (width - 2 * left), zoom * (height - bottom - 24)
        curves = {key: _density(quantities(lab)[panel].values, high) for key, lab in sources.items()}
        top = max(curve.max() for curve in curves.values())
        pen.line([(x0, y0), (x0 + inner, y0)], fill="#33363b", width=zoom)
        for tick in range(0, 101, 20):
            x = x0 + inner * tick / 100
            pen.line([(x, y0), (x, y0 + 4 * zoom)], fill="#33363b", width=zoom)
            pen.text((x, y0 + 6 * zoom), str(tick), fill="#33363b", anchor="mt", font_size=11 * zoom)
        pen.text((x0, 4 * zoom), f"{name}, share of pixels", fill="#33363b", font_size=12 * zoom)
        for number, (key, curve) in enumerate(reversed(curves.items())):
            points = [(x0 + inner * (i + 0.5) / len(curve), y0 - tall * v / top) for i, v in enumerate(curve)]
            pen.line(points, fill=colours[key], width=2 * zoom, joint="curve")
            if panel == 1:
                y = (30 + 16 * (2 - number)) * zoom
                pen.line([(x0 + inner - 112 * zoom, y), (x0 + inner - 92 * zoom, y)], fill=colours[key], width=2 * zoom)
                pen.text((x0 + inner - 86 * zoom, y), key, fill="#33363b", anchor="lm", font_size=12 * zoom)
    return sheet.resize((sheet.width // zoom, sheet.height // zoom), Image.Resampling.BOX).quantize(64)


def _density(values: Float32, high: float) -> Float32:
    """Share of values in each of 50 equal steps from 0 to `high`, smoothed over three; what is above is in the last."""
    counts = np.histogram(np.clip(values, 0, high - 1e-3), bins=50, range=(0, high))[0] / values.size
    padded = np.pad(counts, 1, mode="edge")
    return (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4


if __name__ == "__main__":
    main()
