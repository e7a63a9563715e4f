"""Load the PyTorch networks of a bundle, for `AudioVAE.from_bundle` and similar methods.

bundle -> verified bytes of a `.safetensors` file -> weights -> network

Bundles may come from untrusted sources: hashes are verified before use, and shapes are compared before a network of
their size is created.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from clavilux.bundle import Bundle, open_bundle
from clavilux.errors import BundleError, TrainingError
from clavilux.models.mark_classifier import MarkClassifier
from clavilux.painter.marks import KINDS

MAX_WIDTH = 1_000_000  # of any layer

Network = TypeVar("Network", bound=nn.Module)


def read_weights(bundle: Bundle, part: str) -> dict[str, Tensor]:
    """Return the weights of one network of a bundle by name; all are floating-point and finite.

    Parameters
    ----------
    bundle : Bundle
    part : str
        "audio_vae", "image_vae", "mapping_network" or "mark_classifier".

    Raises
    ------
    BundleError
        If the file is missing or damaged, or does not contain weights of a network.
    """
    content = bundle.read(f"{part}.safetensors")
    fault = f"bundle {bundle.folder}: {part}.safetensors"
    try:
        weights = load(content)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BundleError(f"{fault} contains no weights ({reason[:200]}); write the bundle again") from error
    for name, values in weights.items():
        if not values.is_floating_point() or not torch.isfinite(values.float()).all():
            raise BundleError(f"{fault} contains a {name[:60]!r} that is not finite numbers; write the bundle again")
    return weights


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], bundle: Bundle, part: str) -> None:
    """Load weights into a network, in place; ``bundle`` and ``part`` are for error messages.

    Raises
    ------
    TrainingError
        If names or shapes differ from those of the network.
    """
    check_shapes(weights, {name: value.shape for name, value in network.state_dict().items()}, bundle, part)
    network.load_state_dict(weights)


def check_shapes(weights: Mapping[str, Tensor], expected: Mapping[str, torch.Size], bundle: Bundle, part: str) -> None:
    """Raise a `TrainingError` if names or shapes of weights differ from the expected ones."""
    if {name: value.shape for name, value in weights.items()} != dict(expected):
        raise TrainingError(
            f"the {part} of bundle {bundle.name} has other shapes than this recipe; train with the recipe that made "
            "it (`clavilux bundle show`), or without --from"
        )


def load_mark_classifier(bundle: Bundle) -> MarkClassifier:
    """Return the mark classifier of a bundle; the bundle must have the kinds of marks of this version.

    Raises
    ------
    BundleError
        If the bundle has no valid mark classifier.
    TrainingError
        If the shapes of the weights do not fit the network.
    """
    weights = read_weights(bundle, "mark_classifier")
    width = side(weights, "features.0.weight", bundle, "mark_classifier")
    return make_network(lambda: MarkClassifier(n_kinds=len(KINDS), width=width), weights, bundle, "mark_classifier")


def open_weights(bundle: Bundle | Path | str, part: str) -> tuple[Bundle, dict[str, Tensor]]:
    """Return an opened bundle and the weights of one of its networks; ``bundle`` may be a name or a folder.

    Raises
    ------
    BundleError
        If there is no such bundle, or it has no weights for training.
    """
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    return opened, read_weights(opened, part)


def side(weights: Mapping[str, Tensor], name: str, bundle: Bundle, part: str, *, least: int = 1) -> int:
    """Return the first dimension of the weight ``name``, which is the width of its layer.

    Raises
    ------
    BundleError
        If there is no such weight, or the dimension is not from ``least`` to `MAX_WIDTH`.
    """
    shape = weights[name].shape if name in weights else ()
    if not shape or not least <= shape[0] <= MAX_WIDTH:
        raise BundleError(f"bundle {bundle.folder}: {part}.safetensors has no usable {name}; write the bundle again")
    return shape[0]


def make_network(make: Callable[[], Network], weights: Mapping[str, Tensor], bundle: Bundle, part: str) -> Network:
    """Return the network that ``make`` creates, with these weights, in evaluation mode.

    It is created only after the shapes have been checked.

    Raises
    ------
    BundleError
        If no network can have these widths.
    TrainingError
        If names or shapes differ from those of the network.
    """
    try:
        with torch.device("meta"):  # no memory is allocated
            expected = {name: value.shape for name, value in make().state_dict().items()}
    except (ValueError, RuntimeError) as error:
        raise BundleError(
            f"bundle {bundle.folder}: {part}.safetensors has impossible widths; write the bundle again"
        ) from error
    check_shapes(weights, expected, bundle, part)
    network = make()
    network.load_state_dict(weights)
    return network.eval()
