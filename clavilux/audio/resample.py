"""Convert mono sound from one sample rate to another, block by block: mix -> **resample** -> decode."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

# A longer filter and a higher cut-off than the defaults of aresample: the alias of 11.5 kHz has -53 dB instead of -20.
_OPTIONS = "filter_size=64:phase_shift=10:cutoff=0.97"


class Resampler:
    """Converts mono float32 blocks from one sample rate to another with FFmpeg's aresample filter.

    Parameters
    ----------
    rate : int
        Sample rate of the input blocks in Hz.
    target : int
        Sample rate of the output blocks in Hz.
    """

    def __init__(self, rate: int, target: int) -> None:
        import av.filter

        self.rate = rate
        self._graph = av.filter.Graph()
        source = self._graph.add_abuffer(sample_rate=rate, format="fltp", layout="mono", time_base=Fraction(1, rate))
        resample = self._graph.add("aresample", f"{target}:{_OPTIONS}")
        sink = self._graph.add("abuffersink")
        source.link_to(resample)
        resample.link_to(sink)
        self._graph.configure()
        self._n_pushed = 0

    def push(self, block: Float32) -> Iterator[Float32]:
        """Add an input block (n,), and yield the output blocks (m,) that are ready; the filter delays some samples."""
        import av

        frame = av.AudioFrame.from_ndarray(block[None], format="fltp", layout="mono")
        frame.sample_rate = self.rate
        frame.time_base = Fraction(1, self.rate)
        frame.pts = self._n_pushed
        self._n_pushed += block.size
        self._graph.push(frame)
        yield from self._pull()

    def flush(self) -> Iterator[Float32]:
        """Yield the remaining output blocks (m,); no input can be pushed afterwards."""
        self._graph.push(None)
        yield from self._pull()

    def _pull(self) -> Iterator[Float32]:
        import av

        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(frame, av.AudioFrame)  # the graph has audio filters only
            if frame.samples:
                yield np.array(frame.to_ndarray()[0], np.float32)
