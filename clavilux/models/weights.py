"""Load PyTorch networks from the weights in a bundle.

A bundle is a folder of trained networks. It may come from an untrusted source, so the hash of a file is verified before
the file is used, and the shapes of weights are checked before memory for a network is allocated.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from clavilux.bundle import Bundle, open_bundle
from clavilux.errors import BundleError, ClaviluxError, TrainingError
from clavilux.system.arguments import show

MAX_WIDTH = 1_000_000  # largest width of a layer


class Weights:
    """The weights of one network of a bundle.

    Parameters
    ----------
    bundle : Bundle, Path or str
        A bundle, its folder, or the name of a shipped bundle.
    part : str
        Name of the network, as in `read_weights`.

    Raises
    ------
    BundleError
        If there is no such bundle, or it has no valid weights of this network.
    """

    def __init__(self, bundle: Bundle | Path | str, part: str) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
        self.values = read_weights(self.bundle, part)
        self.where = f"bundle {self.bundle.folder}: {part}.safetensors"  # for messages

    def size(self, name: str, *, axis: int = 0, at_least: int = 1) -> int:
        """Return the size of the weight ``name`` along an axis.

        Raises
        ------
        BundleError
            If there is no such weight, or its size is below ``at_least`` or above `MAX_WIDTH`.
        """
        shape = self.values[name].shape if name in self.values else ()
        if not shape or not at_least <= shape[axis] <= MAX_WIDTH:
            raise BundleError(f"{self.where} has no usable {name}; write the bundle again")
        return shape[axis]


class BundledNetwork(nn.Module):
    """Base class of networks whose weights a bundle contains."""

    part: ClassVar[str]  # name of the network, as in `read_weights`

    @classmethod
    def from_bundle(cls, bundle: Bundle | Path | str = "default") -> Self:
        """Return the network of a bundle, in evaluation mode.

        Parameters
        ----------
        bundle : Bundle, Path or str
            A bundle, its folder, or the name of a shipped bundle.

        Raises
        ------
        BundleError
            If there is no such bundle, or its weights are missing, invalid, or for a network of another class.
        TrainingError
            If the names or the shapes of the weights contradict each other.
        """
        weights = Weights(bundle, cls.part)
        sizes = cls.sizes_of(weights)
        try:
            with torch.device("meta"):  # allocates no memory
                expected = {name: value.shape for name, value in cls(**sizes).state_dict().items()}
        except (ValueError, RuntimeError) as error:
            raise BundleError(f"{weights.where} has impossible widths; write the bundle again") from error
        check_shapes(weights.values, expected, weights.bundle, cls.part)
        network = cls(**sizes)
        network.load_state_dict(weights.values)
        return network.eval()

    @classmethod
    def sizes_of(cls, weights: Weights) -> dict[str, int]:
        """Return the constructor arguments that fit stored weights; each subclass must define this method."""
        raise NotImplementedError


def check_tensor(name: str, value: object, *sides: int, fault: type[ClaviluxError]) -> None:
    """Raise ``fault`` if a value is not a float tensor (n, *sides)."""
    if not isinstance(value, Tensor) or not value.is_floating_point() or tuple(value.shape[1:]) != sides:
        found = f"a tensor {tuple(value.shape)} of {value.dtype}" if isinstance(value, Tensor) else show(value)
        expected = ", ".join(map(str, ("n", *sides)))
        raise fault(f"{name} is {found}; it must be a float tensor of shape ({expected})")


def read_weights(bundle: Bundle, part: str) -> dict[str, Tensor]:
    """Return the weights of one network of a bundle, name of a weight -> tensor of finite floating-point numbers.

    Parameters
    ----------
    bundle : Bundle
    part : str
        Name of the network: "audio_vae", "image_vae", "mapping_network" or "mark_classifier".

    Raises
    ------
    BundleError
        If the file is missing or damaged, or contains values that are not finite floating-point numbers.
    """
    content = bundle.read(f"{part}.safetensors")
    where = f"bundle {bundle.folder}: {part}.safetensors"
    try:
        weights = load(content)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BundleError(f"{where} contains no weights ({reason[:200]}); write the bundle again") from error
    for name, values in weights.items():
        if not values.is_floating_point() or not torch.isfinite(values.float()).all():
            raise BundleError(f"{where} contains a {name[:60]!r} that is not finite numbers; write the bundle again")
    return weights


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], bundle: Bundle, part: str) -> None:
    """Load weights into a network, in place.

    ``bundle`` and ``part`` (the name of the network) are only used in the error message.

    Raises
    ------
    TrainingError
        If names or shapes of the weights differ from those of the network.
    """
    check_shapes(weights, {name: value.shape for name, value in network.state_dict().items()}, bundle, part)
    network.load_state_dict(weights)


def check_shapes(weights: Mapping[str, Tensor], expected: Mapping[str, torch.Size], bundle: Bundle, part: str) -> None:
    """Raise a `TrainingError` that names the bundle and ``part`` if names or shapes of weights are not as expected."""
    if {name: value.shape for name, value in weights.items()} != dict(expected):
        raise TrainingError(
            f"the {part} of bundle {bundle.name} has other shapes than the network of this recipe; give the recipe "
            "that made it (`clavilux bundle show`), or train without this bundle if another version made it"
        )
