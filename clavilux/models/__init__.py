"""The networks in PyTorch, for training.

Painting does not use this package; it runs the exported ONNX graphs with `clavilux.engine.Engine`, which needs no
PyTorch. The classes are imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from clavilux.system.extras import require

require("torch", "train")

if TYPE_CHECKING:
    from clavilux.models.audio_vae import AudioVAE
    from clavilux.models.conv_image_vae import ConvImageVAE
    from clavilux.models.image_vae import ImageVAE
    from clavilux.models.mapping_network import MappingNetwork, PerceptronMapping

__all__ = ["AudioVAE", "ConvImageVAE", "ImageVAE", "MappingNetwork", "PerceptronMapping"]

_HOMES = {
    "AudioVAE": "audio_vae",
    "ConvImageVAE": "conv_image_vae",
    "ImageVAE": "image_vae",
    "MappingNetwork": "mapping_network",
    "PerceptronMapping": "mapping_network",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'clavilux.models' has no attribute {name!r}")
    return getattr(import_module(f"clavilux.models.{_HOMES[name]}"), name)
