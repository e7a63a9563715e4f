"""Convert mono sound from one sample rate to another, block by block: mix -> **resample** -> decode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from clavilux.audio import Float32

if TYPE_CHECKING:
    from av.filter import Graph

# The filter is longer and has a higher cut-off than FFmpeg's default filter. The alias of a tone of 11.5 kHz has
# -53 dB; with the default filter, it has -20 dB.
_OPTIONS = "filter_size=64:phase_shift=10:cutoff=0.97"


def resample(blocks: Iterable[Float32], rate_hz: int, target_hz: int) -> Iterator[Float32]:
    """Convert mono sound, given in blocks (n,), to another sample rate, and yield it in blocks (m,).

    FFmpeg's filter aresample does the conversion. It delays some samples, so m does not follow from n.
    """
    import av
    import av.filter

    time_base = Fraction(1, rate_hz)
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate_hz, format="fltp", layout="mono", time_base=time_base)
    filter_ = graph.add("aresample", f"{target_hz}:{_OPTIONS}")
    sink = graph.add("abuffersink")
    source.link_to(filter_)
    filter_.link_to(sink)
    graph.configure()
    n_pushed = 0
    for block in blocks:
        samples = np.ascontiguousarray(block)[None]  # PyAV takes no other; arrays of a caller can be views
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = rate_hz, time_base, n_pushed
        n_pushed += block.size
        graph.push(frame)
        yield from _pull(graph)
    graph.push(None)
    yield from _pull(graph)


def _pull(graph: Graph) -> Iterator[Float32]:
    """Yield the blocks that a filter graph has ready."""
    import av

    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert isinstance(frame, av.AudioFrame)  # the graph has audio filters only
        if frame.samples:
            yield np.array(frame.to_ndarray()[0], np.float32)
