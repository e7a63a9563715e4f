"""musicnn (Pons & Serra 2019), a music tagger, as an audio embedding that no training of Clavilux uses.

The weights are from the PyPI package `musicnn` 0.1.0 (ISC licence, `weights/musicnn.LICENSE`), converted to
safetensors. These weights were trained on the Million Song Dataset. The PyPI package also has weights that were trained
on songs of the evaluation; those are not used. The forward pass is written in PyTorch here, because the PyPI package
needs a TensorFlow version from 2019.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clavilux.constants import SAMPLE_RATE
from clavilux.system.extras import imports_of

with imports_of("eval", __name__):
    import torch
    from safetensors.torch import load_file
    from scipy.signal import resample_poly
    from torch import Tensor
    from torch.nn import functional

Float32 = NDArray[np.float32]

WEIGHTS = Path(__file__).parent / "weights" / "musicnn.safetensors"
RATE = 16_000  # Hz
PATCH_FRAMES = 187  # 3 s, as in the training of the network
PATCHES = 4  # number of patches per sound, evenly spaced
BLOCKS = (200, 753, 753)  # lengths of the parts of the embedding, see `measure_sound`
_FFT, _HOP, _MELS = 512, 256, 96
PATCH_SAMPLES = _HOP * (PATCH_FRAMES - 1)
_EPSILON = 1e-3  # epsilon of the batch normalisation


def measure_sound(sound: Float32) -> Float32:
    """Return the musicnn embedding (1706,) float32 of mono sound (n,) at 22 050 Hz: the mean over `PATCHES` patches.

    The embedding has three parts: the last hidden layer (200), then the maxima (753) and the means (753) over time of
    the convolutional layers.
    """
    sound = resample_poly(sound, RATE, SAMPLE_RATE).astype(np.float32)
    if len(sound) < PATCH_SAMPLES:  # a short sound is repeated
        sound = np.resize(sound, PATCH_SAMPLES)
    starts = np.linspace(0, len(sound) - PATCH_SAMPLES, PATCHES).astype(int)
    patches = np.stack([log_mel(sound[start : start + PATCH_SAMPLES]) for start in starts])
    with torch.no_grad(), threadpool_limits(1):  # one thread: work is spread over processes
        return np.asarray(load_network().embed(torch.from_numpy(patches)).mean(dim=0).numpy(), np.float32)


def log_mel(sound: Float32) -> Float32:
    """Return the log-mel spectrogram (frames, 96) of mono sound (n,) at 16 kHz, with the parameters of musicnn."""
    padded = np.pad(sound, _FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FFT) / _FFT)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    # Half precision, as in the training of the network.
    mel = np.minimum(power @ _mel_filters().T, 65_504.0).astype(np.float16).astype(np.float32)
    return np.asarray(np.log10(10_000.0 * mel + 1.0), np.float32)


@lru_cache(maxsize=1)
def _mel_filters() -> NDArray[np.float64]:
    """Return the mel filter bank (96, 257) from 0 to 8 kHz, as `librosa.filters.mel` defines it."""
    step = np.log(6.4) / 27  # linear to 1 kHz, 15 steps; then 27 steps to 6.4 kHz
    steps = np.linspace(0, 15 + np.log(RATE / 2 / 1000) / step, _MELS + 2)
    edges = np.where(steps < 15, steps * 200 / 3, 1000 * np.exp(step * (steps - 15)))
    hz = np.fft.rfftfreq(_FFT, 1 / RATE)
    rising = (hz[None] - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - hz[None]) / np.diff(edges)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return np.asarray(triangles * (2 / (edges[2:] - edges[:-2]))[:, None])


class Network:
    """The network musicnn, which embeds log-mel spectrograms of music; it was trained to predict tags.

    Parameters
    ----------
    arrays : dict of str to Tensor
        Variable name in the published network -> weights.
    """

    def __init__(self, arrays: dict[str, Tensor]) -> None:
        self._arrays = arrays

    def embed(self, patches: Tensor) -> Tensor:
        """Return the embeddings (B, 1706) of patches (B, 187, 96) of log-mel spectrograms, see `measure_sound`."""
        image = self._norm(patches[:, None], 0)  # (B, 1, time, mel)
        timbre = functional.pad(image, (0, 0, 3, 3))
        # TensorFlow pads even kernels with one more value at the end than at the start.
        rhythm = [functional.pad(image, (0, 0, length // 2 - 1, length // 2)) for length in (128, 64, 32)]
        front = [
            self._norm(functional.relu(self._conv(part, index)), index + 1).amax(dim=3)
            for index, part in enumerate([timbre, timbre, *rhythm])
        ]
        layers = [torch.cat(front, dim=1)]  # (B, 561, time)
        for index in (5, 6, 7):
            padded = functional.pad(layers[-1], (3, 3))[:, None].transpose(2, 3)  # (B, 1, time + 6, channels)
            layer = self._norm(functional.relu(self._conv(padded, index)), index + 1).squeeze(3)
            layers.append(layer if index == 5 else layer + layers[-1])
        stacked = torch.cat(layers, dim=1)  # (B, 753, time)
        most, mean = stacked.amax(dim=2), stacked.mean(dim=2)
        pooled = self._norm(torch.stack([most, mean], dim=2).flatten(1), 9)
        hidden = self._norm(functional.relu(self._dense(pooled, 0)), 10)
        return torch.cat([hidden, most, mean], dim=1)

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
def load_network() -> Network:
    """Return the network; it is loaded once per process and cached."""
    return Network(load_file(WEIGHTS))
