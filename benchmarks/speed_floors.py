"""Time the parts of the work that no other arrangement of the same steps could avoid on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import av
import numpy as np
from speed_commands import SONG_S
from speed_songs import write_song
from timing import Row, alternate, alternate_calls, python

from clavilux.constants import DEFAULT_SIZE_PX

SESSIONS = """
from clavilux.bundle import open_bundle
from clavilux.engine import Engine
Engine(open_bundle()).check(painting_only=True)
"""


Call = tuple[str, str, Callable[[], object]]  # what it does, library, function


def measure_floors(folder: Path, n: int) -> Iterator[Row]:
    """Measure imports, decoding, transforms, matrix products, encoding and the formula of the painter, each alone."""
    from threadpoolctl import threadpool_limits

    from clavilux.system.memory import reuse_memory

    reuse_memory()
    song = write_song(folder / "song.mp3", SONG_S, seed=1)
    for what, code in (
        ("interpreter alone, cold", "pass"),
        ("import numpy, cold", "import numpy"),
        ("import onnxruntime, hash and load three networks, cold", SESSIONS),
        ("import librosa and what its MFCC needs, cold", "import librosa; librosa.load, librosa.feature.mfcc"),
        ("import torch, cold", "import torch"),
    ):
        (runs,) = alternate(n, python(code))
        yield Row("floors", what, "python -c", runs)
    calls = [("decode three minutes of mp3, no mixing, no resampling, warm", "PyAV", lambda: decode(song))]
    with threadpool_limits(1, user_api="blas"):
        for what, library, call in [*calls, *array_calls(), encoding_call(song), formula_call()]:
            (runs,) = alternate_calls(n, call)
            yield Row("floors", what, library, runs)


def array_calls() -> list[Call]:
    """Return the transforms and the matrix products of as many frames as three minutes have."""
    rng = np.random.default_rng(0)
    # Frames of the windows, of the whole song, and long frames.
    n_windows, n_frames, n_long = 36 * 216, round(SONG_S * 22_050 / 512), round(SONG_S * 22_050 / 4096)
    frames, long_frames = rng.standard_normal((216, 2048)), rng.standard_normal((27, 8192))
    power = rng.random((216, 1025), np.float32)
    filters = [rng.random((1025, columns), np.float32) for columns in (128, 12, 3, 3)]

    def transforms() -> None:
        for _ in range((n_windows + n_frames) // 216):
            np.fft.rfft(frames, axis=1)
        for _ in range(n_long // 27):
            np.fft.rfft(long_frames, axis=1)

    def products() -> None:
        for _ in range((n_windows + n_frames) // 216):
            power @ filters[0]
        for _ in range(n_frames // 216):
            for weights in filters[1:]:
                power @ weights

    return [
        ("Fourier transforms of three minutes alone, warm", "numpy.fft", transforms),
        ("matrix products of three minutes alone, warm", "numpy", products),
    ]


def encoding_call(song: Path) -> Call:
    """Return the encoding of the windows of a song."""
    from clavilux.bundle import open_bundle
    from clavilux.engine import Engine
    from clavilux.pipeline import Clavilux

    windows, engine = Clavilux().read_song(song).windows, Engine(open_bundle())
    return (
        f"encode the {len(windows)} windows of three minutes, warm",
        "onnxruntime",
        partial(engine.encode_windows, windows),
    )


def formula_call() -> Call:
    """Return the formula of the painter alone: eight scores per sample, and the highest of them."""
    from clavilux.painter.paint import SLOTS

    scores = np.random.default_rng(0).random((SLOTS, 16_384), np.float32)
    scratch = np.empty_like(scores)

    def formula() -> None:
        for _ in range(DEFAULT_SIZE_PX**2 // 16_384):
            np.log(scores, out=scratch)
            np.negative(scratch, out=scratch)
            np.log(scratch, out=scratch)
            np.maximum.reduce(scratch, axis=0)

    what = f"arithmetic of the formula of the painter at {DEFAULT_SIZE_PX}, one sample a pixel"
    return what, "numpy", formula


def decode(song: Path) -> int:
    """Decode a song in one thread and return its samples."""
    n_samples = 0
    with av.open(str(song)) as container:
        stream = container.streams.audio[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            n_samples += frame.samples
    return n_samples
