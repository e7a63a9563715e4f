"""Judge decoders by what they make of pictures, without songs, and lay them side by side on a sheet to be looked at.

    python benchmarks/decoders.py judge CORPUS/art --bundle default --bundle runs/rival/bundle
    python benchmarks/decoders.py sheet CORPUS/art docs/images/rival.jpg --bundle default --bundle runs/rival/bundle

`judge` prints the measures of `clavilux evaluate` that know nothing of songs, in its columns "real art", "decoder"
(paintings of the latents of training pictures) and "random latents", for each bundle, against the same held-out art.

`sheet`: first row, held-out abstract and generative pictures that may be shown, chosen by the hash of their name.
Below, for each bundle, what it paints of their latents, as its own picture encoder tells them; then, for each bundle,
random latents, the same for all. Prints the pictures in the order of the sheet.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np

import clavilux
from clavilux.constants import LATENT_DIM
from clavilux.corpus import load_table
from clavilux.evaluation.finish import fine_energy_of_files, fine_energy_of_latents, sharpness, tone_spread
from clavilux.evaluation.judges import JUDGES, Spaces
from clavilux.evaluation.manifold import compare_clouds
from clavilux.evaluation.material import find_pictures
from clavilux.evaluation.painting import Sight, look_at_files, look_at_latents
from clavilux.images import middle_square, read_picture, resize
from clavilux.measures.diversity import kernel_width
from clavilux.training.sheets import save_sheet

_SHARP = 48  # paintings at 512 px, as in `clavilux evaluate`


def main() -> None:
    """Judge, or lay out a sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = parser.add_subparsers(required=True)
    for name, work in (("judge", judge), ("sheet", lay_side_by_side)):
        task = tasks.add_parser(name)
        task.set_defaults(work=work)
        task.add_argument("corpus", type=Path)
        if name == "sheet":
            task.add_argument("sheet", type=Path)
        task.add_argument("--bundle", action="append", required=True, help="may come again")
        task.add_argument("--pictures", type=int, default=200 if name == "judge" else 9)
        task.add_argument("--size", type=int, default=144, help="of a picture on the sheet")
        task.add_argument("--jobs", type=int, default=-1)
    arguments = parser.parse_args()
    arguments.work(arguments)


def judge(arguments: argparse.Namespace) -> None:
    """Print the table."""
    n, jobs, rng = arguments.pictures, arguments.jobs, np.random.default_rng(0)
    held_out_files, training_files, _, _ = find_pictures(arguments.corpus, 2 * n)
    held_out, _, _ = look_at_files(held_out_files, (), jobs=jobs)
    training, posteriors, _ = look_at_files(training_files, arguments.bundle, jobs=jobs)
    n = min(n, len(held_out), len(training))
    spaces, real_energy = Spaces.of(training.features), fine_energy_of_files(held_out_files, jobs=jobs)
    art, some = held_out.take(rng.permutation(len(held_out))[:n]), rng.permutation(len(training))[:n]
    drawn = rng.standard_normal((n, LATENT_DIM)).astype(np.float32)
    table = {"real art": measure(training.take(some), art, spaces)}
    for bundle in arguments.bundle:
        for column, latents in (("decoder", posteriors[bundle][some, 0]), ("random latents", drawn)):
            name = f"{Path(bundle).name}, {column}"
            table[name] = measure(look_at_latents(bundle, latents, jobs=jobs), art, spaces)
            energy = fine_energy_of_latents(bundle, latents[:_SHARP], jobs=jobs)
            table[name]["sharpness"] = f"{sharpness(energy, real_energy):.2f}"
    print(f"{n} pictures a side; A / B\n\n| | " + " | ".join(table) + " |\n|---" + "|--:" * len(table) + "|")
    for key in next(reversed(table.values())):
        print(f"| {key} | " + " | ".join(figures.get(key, "") for figures in table.values()) + " |")


def measure(made: Sight, art: Sight, spaces: Spaces) -> dict[str, str]:
    """All measures of some pictures against as many of held-out art, by both judges."""
    both: dict[str, list[float]] = {}
    places, real = spaces.place(made.features), spaces.place(art.features)
    for space in JUDGES:
        found, held_out = places[space], real[space]
        compared = compare_clouds(held_out, found, width=kernel_width(held_out), rng=np.random.default_rng(0))
        for key, value in compared.items():
            both.setdefault(key, []).append(value)
    figures = {key: " / ".join(f"{v:.3f}" if key == "kid" else f"{v:.2f}" for v in pair) for key, pair in both.items()}
    lightness, chroma = tone_spread(made.tone, art.tone)
    return figures | {"spread of lightness, chroma": f"{lightness:.2f}, {chroma:.2f}"}


def lay_side_by_side(arguments: argparse.Namespace) -> None:
    """Choose, encode, paint, lay out, print."""
    n, size = arguments.pictures, arguments.size
    shown = [
        row
        for row in load_table(arguments.corpus)
        if row.split == "held-out" and row.tier == "free" and row.role in ("abstract", "generative")
    ]
    shown = sorted(shown, key=lambda row: hashlib.sha256(row.file.encode()).hexdigest())[:n]
    pictures = [read_picture(arguments.corpus / row.file) for row in shown]
    drawn = np.random.default_rng(0).standard_normal((n, LATENT_DIM)).astype(np.float32)
    engines = [clavilux.Clavilux(bundle=bundle) for bundle in arguments.bundle]
    rows = [resize(middle_square(picture), size) for picture in pictures]
    for engine in engines:
        rows += [engine.paint_latent(engine.engine.encode_picture(picture), size=size) for picture in pictures]
    for engine in engines:
        rows += [engine.paint_latent(latent, size=size) for latent in drawn]
    save_sheet(arguments.sheet, rows, columns=n)
    for number, row in enumerate(shown):
        print(f"{number + 1:3d}  {row.role:10s} {row.artist or '-':28.28s} {Path(row.file).name:50.50s} {row.source}")


if __name__ == "__main__":
    main()
