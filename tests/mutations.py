"""Damage files reproducibly, for `test_fuzz.py` and the fuzzers in `benchmarks/`.

whole files -> one of `MUTATIONS`, with a random generator -> damaged bytes
sound -> a whole file of each format -> `mutate`: case number i of seed s of `benchmarks/fuzz_listen.py`
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import av
import numpy as np
import sounds
from fuzzing import Case
from numpy.typing import NDArray

# Formats that only the fuzzer writes: codec, sample format, layout, container. "8" stands for eight channels.
OTHERS = {
    ".wv": ("wavpack", "s16p", "stereo", "wv"),
    ".aifc": ("pcm_s16le", "s16", "stereo", "aiff"),
    ".caf": ("alac", "s16p", "stereo", "caf"),
    ".ts": ("mp2", "s16", "stereo", "mpegts"),
    ".avi": ("adpcm_ima_wav", "s16p", "stereo", "avi"),
    ".tta": ("tta", "s16", "stereo", "tta"),
    "8.wv": ("wavpack", "fltp", "7.1", "wv"),
    "8.m4a": ("aac", "fltp", "7.1", "mp4"),
    "8.w64": ("pcm_s24le", "s32", "7.1", "w64"),
}
FORMATS = (".wav", ".aiff", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".mkv", ".webm", ".wma", *OTHERS)
SOUND_S = 2.0  # long enough for several packets and pages of every format
HEAD_BYTES = 1_024  # most formats have their metadata here, some at the end

Content = bytes
Wholes = Mapping[str, Content]


def whole_files() -> dict[str, Content]:
    """Return an audio file of each format by suffix."""
    sound = sounds.song(SOUND_S)
    with tempfile.TemporaryDirectory() as folder:
        whole = {}
        for suffix in FORMATS:
            path = Path(folder, f"a{suffix}")
            write = _write_other if suffix in OTHERS else sounds.write_sound
            write(path, sound)
            whole[suffix] = path.read_bytes()
        return whole


def _write_other(path: Path, sound: NDArray[np.float32], *, rate: int = 44_100) -> None:
    """Write mono sound at 22 050 Hz as one of `OTHERS`, the same in all channels."""
    codec, sample_format, layout, container_format = OTHERS[path.name.removeprefix("a")]
    samples = sounds.upsample(sound, rate)
    with av.open(str(path), "w", format=container_format, options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout, format=sample_format)
        size = stream.codec_context.frame_size or 4_096
        resampler = av.AudioResampler(format=sample_format, layout=layout, rate=rate, frame_size=size)
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(stream.encode(piece))


# Mutations ---------------------------------------------------------------------------------------------------------


def flip(content: bytearray, wholes: Wholes, rng: np.random.Generator) -> bytearray:
    """Change up to 64 bytes."""
    for _ in range(2 ** rng.integers(0, 7)):
        content[_place(content, rng)] ^= int(rng.integers(1, 256))
    return content


def cut(content: bytearray, wholes: Wholes, rng: np.random.Generator) -> bytearray:
    """Remove the end, or with a probability of 1/4 the start."""
    at = _place(content, rng)
    return content[at:] if rng.random() < 0.25 else content[:at]


def swap_head(content: bytearray, wholes: Wholes, rng: np.random.Generator) -> bytearray:
    """Write the head of another format over the head of this one or before it."""
    other = list(wholes.values())[rng.integers(len(wholes))]
    head = other[: 2 ** int(rng.integers(2, 13))]
    return bytearray(head) + (content if rng.random() < 0.5 else content[len(head) :])


def repeat(content: bytearray, wholes: Wholes, rng: np.random.Generator) -> bytearray:
    """Repeat a range once or many times."""
    start, end = _range(content, rng)
    piece = content[start:end]
    times = min(int(rng.choice([1, 1, 1, 50, 1_000])), 1_000_000 // max(1, len(piece)) + 1)
    return content[:end] + piece * times + content[end:]


def zero(content: bytearray, wholes: Wholes, rng: np.random.Generator) -> bytearray:
    """Set a range to zero."""
    start, end = _range(content, rng)
    content[start:end] = bytes(end - start)
    return content


def exaggerate(content: bytearray, wholes: Wholes, rng: np.random.Generator) -> bytearray:
    """Set numbers of 1 to 8 bytes in the head or at the end to extreme values: largest, near the sign bit, 0."""
    for _ in range(int(rng.integers(1, 4))):
        width = int(rng.choice([1, 2, 4, 4, 4, 8]))
        top = 2 ** (8 * width)
        values = (top - 1, top - 2, top // 2, top // 2 - 1, top // 4, top // 256, 0, 1)
        at = int(rng.integers(0, min(HEAD_BYTES, len(content) - width)))
        if rng.random() < 0.5:
            at = len(content) - width - at
        order = "little" if rng.random() < 0.5 else "big"
        content[at : at + width] = values[rng.integers(len(values))].to_bytes(width, order)
    return content


Mutation = Callable[[bytearray, Wholes, np.random.Generator], bytearray]
MUTATIONS: dict[str, Mutation] = {
    mutation.__name__: mutation for mutation in (flip, cut, swap_head, repeat, zero, exaggerate)
}


def make_case(
    wholes: Mapping[str, Mapping[str, Content]],
    seed: int,
    number: int,
    own: Mapping[str, Callable[[Content, np.random.Generator], Content]] = MappingProxyType({}),
) -> Case:
    """Return case `number` of a seed: a folder of `wholes` whose first file is damaged.

    The mutation is one of `own` or of `MUTATIONS`. The first cases cover all folders and all mutations, later ones all
    pairs.
    """
    rows, columns = list(wholes), [*own, *MUTATIONS]
    turn, index = divmod(number, len(rows))
    row, column = rows[index], columns[(turn + index) % len(columns)]
    rng = np.random.default_rng([seed, number])
    first = {name: next(iter(files.values())) for name, files in wholes.items()}
    if column in own:
        content = own[column](first[row], rng)
    else:
        content = bytes(MUTATIONS[column](bytearray(first[row]), first, rng))
    return Case(row, column, {**wholes[row], next(iter(wholes[row])): content})


def mutate(wholes: Wholes, seed: int, number: int) -> Case:
    """Return case `number` of a seed for files by suffix, see `make_case`."""
    return make_case({suffix: {f"a{suffix}": content} for suffix, content in wholes.items()}, seed, number)


def _place(content: bytearray, rng: np.random.Generator) -> int:
    """Return a position: in the first kilobyte (1/4), in the last one (1/4), or anywhere (1/2)."""
    size = len(content)
    near, where = int(rng.integers(0, min(HEAD_BYTES, size))), rng.random()
    if where < 0.25:
        return near
    return size - 1 - near if where < 0.5 else int(rng.integers(0, size))


def _range(content: bytearray, rng: np.random.Generator) -> tuple[int, int]:
    start = _place(content, rng)
    return start, min(len(content), start + 2 ** int(rng.integers(0, 15)))
