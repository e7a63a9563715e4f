"""The second ear: musicnn (Pons & Serra 2019), a network that tags music and knows nothing of our song codes.

sound at 22 050 Hz -> 16 kHz -> log-mel patches of 3 s -> network -> **(1706,)** per patch, averaged over patches

The PyPI package `musicnn` holds weights that were trained on the Million Song Dataset (and others, on recordings that
are partly those of our labelled songs, so they are not used). Its code asks for a TensorFlow of 2019; here only its
checkpoint is read, and the network is built again in PyTorch. The checkpoint's index is a sorted string table of
protocol buffers (TensorFlow's "tensor bundle"), its data are plain float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import resample_poly
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional

from clavilux.constants import SAMPLE_RATE
from clavilux.errors import BundleError

Float32 = NDArray[np.float32]

INSTALL = "pip install --no-deps musicnn==0.1.0"
RATE = 16_000  # Hz
PATCH_FRAMES = 187  # 3 s, what the network was trained on
PATCHES = 4  # of each half of a song, spread over it
BLOCKS = (200, 753, 753)  # lengths of the last hidden layer, of maxima and of means over time
_FFT, _HOP, _MELS = 512, 256, 96
_PATCH_SAMPLES = _HOP * (PATCH_FRAMES - 1)
_EPSILON = 1e-3  # of all batch normalisations
_MODEL = "MSD_musicnn"
_TABLE_MAGIC = 0xDB4775248B80FB57


def is_installed() -> bool:
    """Whether the package that holds the weights is there."""
    return find_spec("musicnn") is not None


def measure_sound(sound: Float32) -> Float32:
    """What musicnn hears in mono sound at 22 050 Hz: (1706,) float32, the mean over `PATCHES` places.

    The last hidden layer (200), then the maxima and means over time (753 each) of what comes before.
    """
    sound = resample_poly(sound, RATE, SAMPLE_RATE).astype(np.float32)
    if len(sound) < _PATCH_SAMPLES:  # a short sound goes on from its beginning
        sound = np.resize(sound, _PATCH_SAMPLES)
    starts = np.linspace(0, len(sound) - _PATCH_SAMPLES, PATCHES).astype(int)
    patches = np.stack([log_mel(sound[start : start + _PATCH_SAMPLES]) for start in starts])
    with torch.no_grad(), threadpool_limits(1):  # one thread: work is spread over processes
        return np.asarray(_load().hear(torch.from_numpy(patches)).mean(dim=0).numpy(), np.float32)


def log_mel(sound: Float32) -> Float32:
    """Log-mel spectrogram of mono sound at 16 kHz as musicnn takes it: (frames, 96)."""
    padded = np.pad(sound, _FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FFT) / _FFT)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    # Half precision, as in the training of the network.
    mel = np.minimum(power @ _mel_filters().T, 65_504.0).astype(np.float16).astype(np.float32)
    return np.asarray(np.log10(10_000.0 * mel + 1.0), np.float32)


@lru_cache(maxsize=1)
def _mel_filters() -> NDArray[np.float64]:
    """Triangles (96, 257) of equal area, evenly spaced on Slaney's scale from 0 to 8 kHz."""
    step = np.log(6.4) / 27  # linear to 1 kHz, 15 steps; then 27 steps to 6.4 kHz
    steps = np.linspace(0, 15 + np.log(RATE / 2 / 1000) / step, _MELS + 2)
    edges = np.where(steps < 15, steps * 200 / 3, 1000 * np.exp(step * (steps - 15)))
    hz = np.fft.rfftfreq(_FFT, 1 / RATE)
    rising = (hz[None] - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - hz[None]) / np.diff(edges)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return np.asarray(triangles * (2 / (edges[2:] - edges[:-2]))[:, None])


class Network:
    """The forward pass, from the arrays of a checkpoint by their names."""

    def __init__(self, arrays: dict[str, Float32]) -> None:
        self._arrays = {name: torch.from_numpy(array) for name, array in arrays.items()}

    def hear(self, patches: Tensor) -> Tensor:
        """Patches (B, 187, 96) -> (B, 1706): last hidden layer, maxima and means over time."""
        last, most, mean = self._features(patches)
        return torch.cat([last, most, mean], dim=1)

    def tags(self, patches: Tensor) -> Tensor:
        """Probabilities of the 50 tags: (B, 50)."""
        return torch.sigmoid(self._dense(self._features(patches)[0], 1))

    def _features(self, patches: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        image = self._norm(patches[:, None], 0)  # (B, 1, time, mel)
        timbre = functional.pad(image, (0, 0, 3, 3))
        # Even kernels pad one more behind than in front, as TensorFlow does.
        rhythm = [functional.pad(image, (0, 0, length // 2 - 1, length // 2)) for length in (128, 64, 32)]
        front = [
            self._norm(functional.relu(self._conv(part, index)), index + 1).amax(dim=3)
            for index, part in enumerate([timbre, timbre, *rhythm])
        ]
        layers = [torch.cat(front, dim=1)]  # (B, 561, time)
        for index in (5, 6, 7):
            padded = functional.pad(layers[-1], (3, 3))[:, None].transpose(2, 3)  # (B, 1, time + 6, channels)
            found = self._norm(functional.relu(self._conv(padded, index)), index + 1).squeeze(3)
            layers.append(found if index == 5 else found + layers[-1])
        everything = torch.cat(layers, dim=1)  # (B, 753, time)
        most, mean = everything.amax(dim=2), everything.mean(dim=2)
        pooled = self._norm(torch.stack([most, mean], dim=2).flatten(1), 9)
        return self._norm(functional.relu(self._dense(pooled, 0)), 10), most, mean

    def _conv(self, image: Tensor, index: int) -> Tensor:
        name = _numbered("conv2d", index)
        kernel = self._arrays[f"{name}/kernel"].permute(3, 2, 0, 1)  # height, width, in, out -> out, in, height, width
        return functional.conv2d(image, kernel, self._arrays[f"{name}/bias"])

    def _dense(self, rows: Tensor, index: int) -> Tensor:
        name = _numbered("dense", index)
        return rows @ self._arrays[f"{name}/kernel"] + self._arrays[f"{name}/bias"]

    def _norm(self, values: Tensor, index: int) -> Tensor:
        mean, variance, scale, shift = (
            self._arrays[f"{_numbered('batch_normalization', index)}/{part}"]
            for part in ("moving_mean", "moving_variance", "gamma", "beta")
        )
        return functional.batch_norm(values, mean, variance, scale, shift, eps=_EPSILON)


def _numbered(name: str, index: int) -> str:
    return f"{name}_{index}" if index else name


@lru_cache(maxsize=1)
def _load() -> Network:
    spec = find_spec("musicnn")
    assert spec is not None and spec.submodule_search_locations is not None, "asked for before is_installed()"
    return Network(read_checkpoint(Path(spec.submodule_search_locations[0]) / _MODEL))


# The checkpoint ----------------------------------------------------------------------------------------------------


def read_checkpoint(folder: Path) -> dict[str, Float32]:
    """All float32 arrays of a TensorFlow checkpoint (`.index` and `.data-00000-of-00001`), by name."""
    index, data = (folder / ".index").read_bytes(), (folder / ".data-00000-of-00001").read_bytes()
    if int.from_bytes(index[-8:], "little") != _TABLE_MAGIC:
        raise BundleError(f"{folder} holds no TensorFlow checkpoint; install musicnn again: {INSTALL}")
    _, place = _handle(index, len(index) - 48)  # of the block about blocks, which says nothing
    blocks, _ = _handle(index, place)
    arrays = {}
    for _, value in _entries(index, blocks):
        for name, entry in _entries(index, _handle(value, 0)[0]):
            if name:  # the nameless entry describes the whole bundle
                fields = dict(_fields(entry))
                if fields.get(1) == 1:  # float32
                    shape = [dict(_fields(size)).get(1, 0) for size in _dimensions(fields.get(2, b""))]
                    start, size = int(fields.get(4, 0)), int(fields[5])
                    array = np.frombuffer(data[start : start + size], "<f4").astype(np.float32)
                    arrays[name.decode()] = array.reshape([int(n) for n in shape])
    return arrays


def _dimensions(shape: bytes | int) -> list[bytes]:
    assert isinstance(shape, bytes)
    return [value for field, value in _fields(shape) if field == 2 and isinstance(value, bytes)]


def _handle(content: bytes, place: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and where the handle ends."""
    offset, place = _varint(content, place)
    size, place = _varint(content, place)
    return (offset, size), place


def _entries(table: bytes, block: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block; a key shares its beginning with the one before."""
    offset, size = block
    assert table[offset + size] == 0, "blocks of tensor bundles are not compressed"
    content = table[offset : offset + size]
    restarts = int.from_bytes(content[-4:], "little")
    place, key = 0, b""
    while place < size - 4 * (restarts + 1):
        shared, place = _varint(content, place)
        own, place = _varint(content, place)
        length, place = _varint(content, place)
        key = key[:shared] + content[place : place + own]
        place += own
        yield key, content[place : place + length]
        place += length


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of the fields of a protocol buffer."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        if tag & 7 == 0:
            value, place = _varint(message, place)
            yield tag >> 3, value
        elif tag & 7 == 2:
            length, place = _varint(message, place)
            yield tag >> 3, message[place : place + length]
            place += length
        else:  # 5: four bytes, 1: eight
            place += 4 if tag & 7 == 5 else 8


def _varint(content: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[place]
        value |= (byte & 127) << shift
        shift, place = shift + 7, place + 1
        if byte < 128:
            return value, place
