"""Use thousands of damaged bundles: each must give a picture or be refused in one line.

    python benchmarks/fuzz_bundles.py                             2 000 bundles of seed 0
    python benchmarks/fuzz_bundles.py --first 1000 --cases 500    bundles 1 000 to 1 499 of the same 2 000

A tiny bundle is damaged in seven ways (tests/bundle_mutations.py): fields and bytes of bundle.json, bytes of networks
and palettes, edits of ONNX graphs, headers of NumPy and safetensors files, and files that are pipes, links or devices.
Hashes are updated, so that they do not hide the damage. Each bundle is used to paint, shown, verified, copied and, if
PyTorch is installed, loaded for training. Warnings are errors. Findings are defined in benchmarks/fuzzing.py.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import fuzzing
from bundle_mutations import make_song, mutate, mutation_of, try_bundle, write_base

LIMIT_MB = 2_500.0
# Painting imports these when it needs them; here they are imported once, not in the process of each case.
IMPORTED = ("numpy.testing", "onnxruntime", "clavilux.graphs.bounds", "clavilux.images", "clavilux.painter.paint")


@dataclass(frozen=True)
class DamagedBundle:
    """A case of `fuzzing.run_fuzzer`; the bundle is copied and damaged where the case is written."""

    base: Path
    seed: int
    number: int
    with_weights: bool
    row: str = "bundle"

    @property
    def column(self) -> str:
        """Return the name of the mutation."""
        return mutation_of(self.number, with_weights=self.with_weights).__name__

    def write(self, folder: Path) -> None:
        """Write the damaged bundle to a folder, which is created."""
        mutate(self.base, folder, self.seed, self.number, with_weights=self.with_weights)


def main() -> int:
    with_weights = all(importlib.util.find_spec(name) for name in ("torch", "safetensors"))
    for name in IMPORTED:
        importlib.import_module(name)
    song = make_song()

    def use(folder: Path) -> tuple[str, str]:
        warnings.simplefilter("error")
        return try_bundle(folder, song, with_weights=with_weights)

    with tempfile.TemporaryDirectory() as folder:
        base = write_base(Path(folder, "base"), with_weights=with_weights)
        return fuzzing.run_fuzzer(
            __doc__,
            lambda seed, number: DamagedBundle(base, seed, number, with_weights),
            use,
            ("picture",),
            limit_mb=LIMIT_MB,
        )


if __name__ == "__main__":
    sys.exit(main())
