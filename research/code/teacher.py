"""A network that knows pictures, to compare a painting with what it was painted from.

npm package `nsfwjs` 4.4.0 (MIT; `npm pack nsfwjs@4.4.0`) -> **here** -> MobileNetV2 (Sandler et al. 2018) -> signs

It has learnt photographs (ImageNet) and drawings. Its weights are whole numbers with a scale; batch normalisation is
folded into the convolutions. No judge of `clavilux evaluate` is it, and nothing that paints needs it.
"""

from __future__ import annotations

import base64
import json
import math
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from clavilux.errors import TrainingError

TAPS = (9, 12)  # blocks that are looked at, and the head: textures, parts, things; earlier ones see edges and colours
_MODEL = "package/dist/models/mobilenet_v2/"
_STRIDES = {1: 2, 3: 2, 6: 2, 13: 2}
_BLOCKS = 17
_FOLD = 1e-3  # added to variances by the batch normalisation of that network

Float32 = NDArray[np.float32]


class Teacher(nn.Module):
    """MobileNetV2 of an `nsfwjs` tarball.

    Raises
    ------
    TrainingError
        The file is not such a tarball.
    """

    def __init__(self, tarball: Path) -> None:
        super().__init__()
        try:
            weights = _read_weights(tarball)
            self.stem = _convolution(weights, "Conv1", "bn_Conv1", stride=2)
            self.blocks = nn.ModuleList(_Block(weights, index) for index in range(_BLOCKS))
            self.head = _convolution(weights, "Conv_1", "Conv_1_bn")
        except (OSError, KeyError, ValueError, tarfile.TarError) as error:
            raise TrainingError(
                f"{tarball} cannot be read as the npm package nsfwjs 4.4.0 ({error}); "
                "`npm pack nsfwjs@4.4.0` fetches nsfwjs-4.4.0.tgz"
            ) from error
        self.requires_grad_(False)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Activations at `TAPS` and at the head, (B, C, H, W) each, of sRGB pictures (B, 3, S, S) in [0, 1]."""
        *seen, last = self.taps(pictures, (*TAPS, _BLOCKS - 1))
        return [*seen, functional.relu6(self.head(last))]

    def taps(self, pictures: Tensor, blocks: tuple[int, ...]) -> list[Tensor]:
        """Activations after these blocks, in rising order, of sRGB pictures; nothing beyond the last is computed."""
        x = functional.relu6(self.stem(functional.pad(pictures, (0, 1, 0, 1))))
        seen = []
        for index, block in enumerate(self.blocks[: blocks[-1] + 1]):
            x = block(x)
            if index in blocks:
                seen.append(x)
        return seen

    @torch.no_grad()
    def signs(self, pictures: NDArray[np.uint8]) -> list[Float32]:
        """Mean and deviation over the picture of each channel at each tap, (n, 2 C), of pictures (n, S, S, 3)."""
        x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255.0
        return [
            np.asarray(torch.cat([seen.mean(dim=(2, 3)), seen.std(dim=(2, 3))], dim=1).numpy(), np.float32)
            for seen in self(x)
        ]


class _Block(nn.Module):
    """An inverted residual: wide, depthwise, narrow."""

    def __init__(self, weights: dict[str, Tensor], index: int) -> None:
        super().__init__()
        name = f"block_{index}" if index else "expanded_conv"
        self.stride = _STRIDES.get(index, 1)
        self.expand = _convolution(weights, f"{name}_expand", f"{name}_expand_BN") if index else nn.Identity()
        self.deep = _convolution(weights, f"{name}_depthwise", f"{name}_depthwise_BN", stride=self.stride, deep=True)
        self.project = _convolution(weights, f"{name}_project", f"{name}_project_BN")

    def forward(self, x: Tensor) -> Tensor:
        wide = x if isinstance(self.expand, nn.Identity) else functional.relu6(self.expand(x))
        if self.stride == 2:
            wide = functional.pad(wide, (0, 1, 0, 1))
        narrow: Tensor = self.project(functional.relu6(self.deep(wide)))
        return x + narrow if self.stride == 1 and x.shape == narrow.shape else narrow


def _convolution(
    weights: dict[str, Tensor], layer: str, norm: str, *, stride: int = 1, deep: bool = False
) -> nn.Conv2d:
    """A convolution with its batch normalisation folded in; strided ones are padded by the caller, below and right."""
    kernel = weights[f"{layer}/{'depthwise_kernel' if deep else 'kernel'}"]
    kernel = kernel.permute(2, 3, 0, 1).flatten(0, 1)[:, None] if deep else kernel.permute(3, 2, 0, 1)
    gamma, beta, mean, variance = (
        weights[f"{norm}/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    scale = gamma / (variance + _FOLD).sqrt()
    size = kernel.shape[2]
    convolution = nn.Conv2d(
        len(kernel) if deep else kernel.shape[1],
        len(kernel),
        size,
        stride,
        padding=0 if stride == 2 else size // 2,
        groups=len(kernel) if deep else 1,
    )
    convolution.weight.data = (kernel * scale[:, None, None, None]).contiguous()
    convolution.bias.data = beta - mean * scale  # type: ignore[union-attr]
    return convolution


def _read_weights(tarball: Path) -> dict[str, Tensor]:
    """All arrays of the network by name. The package holds them as base64 in scripts, beside a manifest of shapes."""
    with tarfile.open(tarball) as tar:

        def read(name: str) -> str:
            member = tar.extractfile(name)
            if member is None:
                raise ValueError(f"it has no {name}")
            return member.read().decode()

        manifest = _manifest(read(f"{_MODEL}model.min.js"))
        scripts = sorted(name for name in tar.getnames() if name.startswith(f"{_MODEL}group"))
        content = b"".join(
            base64.b64decode(max(re.findall(r"[A-Za-z0-9+/=]{1000,}", read(script)), key=len)) for script in scripts
        )
    weights, at = {}, 0
    for entry in (entry for group in manifest for entry in group["weights"]):
        coding = entry["quantization"]
        whole = np.frombuffer(content, coding["dtype"], math.prod(entry["shape"]), at)
        at += whole.nbytes
        values = whole.astype(np.float32) * coding["scale"] + coding["min"]
        weights[entry["name"]] = torch.from_numpy(values.reshape(entry["shape"]))
    if at != len(content):
        raise ValueError(f"its weights have {len(content)} bytes, its manifest tells of {at}")
    return weights


def _manifest(script: str) -> Any:
    """The list after `weightsManifest:` in a script: JSON but for quotes around keys and zeros before points."""
    begin = script.index("weightsManifest:") + len("weightsManifest:")
    depth = 0
    for end in range(begin, len(script)):
        depth += (script[end] == "[") - (script[end] == "]")
        if depth == 0:
            break
    text = re.sub(r"([{,])([A-Za-z_]\w*):", r'\1"\2":', script[begin : end + 1])
    return json.loads(re.sub(r"(?<=[:,\[])(-?)\.(\d)", r"\g<1>0.\2", text))
