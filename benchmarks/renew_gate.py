"""Write the reference figures of the regression gate again, for the shipped bundle.

    python benchmarks/renew_gate.py [--art CORPUS/art]

Writes tests/regression.json and prints the figures. Run it when a new bundle is shipped, and read what it prints before
committing: it makes the present the standard. `--art` also renews the space that distances are taken in (space B of the
training art of a corpus); without it the space stays as it is in the file.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np

from clavilux.bundle import open_bundle
from clavilux.evaluation.gate import measure_gate
from clavilux.evaluation.looks import Looks
from clavilux.evaluation.material import find_pictures
from clavilux.evaluation.painting import look_at_files

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "tests" / "regression.json"


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--art", type=Path)
    arguments = parser.parse_args()
    if arguments.art is None:
        kept = json.loads(REFERENCE.read_text("utf-8"))["space"]
        looks = Looks(np.array(kept["mean"], np.float32), np.array(kept["scale"], np.float32))
    else:
        seen, _, _ = look_at_files(find_pictures(arguments.art, 400)[1], (), jobs=-1)
        looks = Looks.of(seen.features["B"])
    files = sorted(path for path in (ROOT / "examples").iterdir() if path.suffix != ".py" and path.is_file())
    figures = measure_gate("default", files, looks)
    for name, figure in figures.items():
        print(f"{name:12s} {figure.value:8.3f}  +- {figure.noise:.3f}")
    reference = {
        "bundle": open_bundle("default").sha256,
        "figures": {name: asdict(figure) for name, figure in figures.items()},
        "space": {name: [float(f"{v:.6g}") for v in values] for name, values in asdict(looks).items()},
    }
    temporary = REFERENCE.with_name(f".{os.getpid()}.{REFERENCE.name}")
    temporary.write_text(json.dumps(reference, indent=1) + "\n", "utf-8")
    os.replace(temporary, REFERENCE)


if __name__ == "__main__":
    main()
