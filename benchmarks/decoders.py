"""Lay what two decoders make of the same latents on one sheet, to be looked at.

    python benchmarks/decoders.py CORPUS/art docs/images/rival.jpg --bundle default --bundle runs/rival/bundle

First row: held-out abstract and generative pictures that may be shown, chosen by the hash of their name. Below, for each
bundle, what it paints of their latents, as its own picture encoder tells them; then, for each bundle, random latents, the
same for all. Prints the pictures in the order of the sheet.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np

import clavilux
from clavilux.constants import LATENT_DIM
from clavilux.corpus import load_table
from clavilux.pixels import middle_square, read_picture, resize
from clavilux.training.sheets import save_sheet


def main() -> None:
    """Choose, encode, paint, lay out, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--bundle", action="append", required=True, help="may come again")
    parser.add_argument("--pictures", type=int, default=9)
    parser.add_argument("--size", type=int, default=160)
    arguments = parser.parse_args()

    n, size = arguments.pictures, arguments.size
    shown = [
        row
        for row in load_table(arguments.corpus)
        if row.split == "held-out" and row.tier == "free" and row.role in ("abstract", "generative")
    ]
    shown = sorted(shown, key=lambda row: hashlib.sha256(row.file.encode()).hexdigest())[:n]
    pictures = [read_picture(arguments.corpus / row.file) for row in shown]
    random = np.random.default_rng(0).standard_normal((n, LATENT_DIM)).astype(np.float32)
    engines = [clavilux.Clavilux(bundle=bundle) for bundle in arguments.bundle]
    rows = [resize(middle_square(picture), size) for picture in pictures]
    for engine in engines:
        rows += [engine.paint_latent(engine.engine.encode_picture(picture), size=size) for picture in pictures]
    for engine in engines:
        rows += [engine.paint_latent(latent, size=size) for latent in random]
    save_sheet(arguments.sheet, rows, columns=n)
    for number, row in enumerate(shown):
        print(f"{number + 1:3d}  {row.role:10s} {row.artist or '-':28.28s} {Path(row.file).name:50.50s} {row.source}")


if __name__ == "__main__":
    main()
