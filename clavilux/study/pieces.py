"""Make the pictures and sounds of a study: the picture and an excerpt of each song, and the pictures of its halves."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clavilux.audio.decode import AudioStream, read_blocks
from clavilux.audio.open_audio import check_file
from clavilux.constants import SAMPLE_RATE
from clavilux.evaluation.synth import loudness_db
from clavilux.pipeline import Clavilux

Float32 = NDArray[np.float32]

PICTURE_PX = 512
EXCERPT_S = 20.0
_EXCERPT_RATE = 44_100  # Hz
_MAX_S = 1200.0  # the excerpt is cut from at most this much of the song, to limit the memory
_EXCERPT_BIT_RATE = 112_000
_EXCERPT_LUFS = -20.0  # all excerpts are equally loud, so that visitors need not change the level
_MAX_PEAK = 0.89
_FADE_S = 0.5


def make_whole(bundle: str, song: Path) -> tuple[bytes, bytes]:
    """Return the picture of a song as a JPEG file, and an excerpt of the song as an MP3 file, both as bytes.

    ``bundle`` is the name or the folder of a bundle.
    """
    picture = _open_clavilux(bundle).paint(song, size=PICTURE_PX).pixels
    check_file(song)
    sound = np.concatenate(list(AudioStream(song, song, max_s=_MAX_S, sample_rate=_EXCERPT_RATE)))
    return _to_jpeg(picture), _encode(cut_excerpt(sound, _EXCERPT_RATE), _EXCERPT_RATE, "mp3", "libmp3lame")


def make_halves(bundle: str, song: Path) -> tuple[bytes, bytes]:
    """Return the pictures of the first and of the second half of a song, each as the bytes of a JPEG file.

    ``bundle`` is the name or the folder of a bundle.
    """
    sound = np.concatenate(list(read_blocks(song)))
    middle = len(sound) // 2
    clavilux = _open_clavilux(bundle)
    halves = (clavilux.read_song(half, sr=SAMPLE_RATE) for half in (sound[:middle], sound[middle:]))
    first, second = (_to_jpeg(clavilux.paint(half, size=PICTURE_PX).pixels) for half in halves)
    return first, second


def cut_excerpt(sound: Float32, rate: int) -> Float32:
    """Return an excerpt (m,) float32 of at most `EXCERPT_S` seconds, from the middle of mono sound (n,).

    ``rate`` is the sample rate in Hz. The excerpt is faded in and out, and scaled to -20 LUFS, or to a peak of 0.89 if
    that is quieter.
    """
    n_samples = min(len(sound), round(EXCERPT_S * rate))
    first = (len(sound) - n_samples) // 2
    cut = sound[first : first + n_samples].astype(np.float64)
    fade = np.clip(np.arange(n_samples) / (_FADE_S * rate), 0, 1)
    cut *= np.sin(np.pi / 2 * np.minimum(fade, fade[::-1])) ** 2
    peak = np.abs(cut).max()
    if peak == 0:
        return cut.astype(np.float32)
    gain = 10 ** ((_EXCERPT_LUFS - loudness_db(cut, rate)) / 20)
    return np.asarray(min(gain, _MAX_PEAK / peak) * cut, np.float32)


def _to_jpeg(rgb: NDArray[np.uint8]) -> bytes:
    """Return a picture as the bytes of a JPEG file without metadata.

    `Picture.save` is not used, because it would write the name of the song into the metadata.
    """
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def _encode(sound: Float32, rate: int, container: str, codec: str) -> bytes:
    """Return mono sound (n,) as the bytes of a sound file without tags; ``rate`` is in Hz."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        if codec == "libmp3lame":
            stream.bit_rate = _EXCERPT_BIT_RATE
        frame = av.AudioFrame.from_ndarray(sound[None], format="flt", layout="mono")
        frame.sample_rate = rate
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return buffer.getvalue()


@lru_cache(maxsize=1)
def _open_clavilux(bundle: str) -> Clavilux:
    """Return a `Clavilux` with a bundle; reuse that of the previous call if the bundle is the same."""
    return Clavilux(bundle)
