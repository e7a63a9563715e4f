"""Sound files that are broken in ways that can be repeated: what `test_fuzz.py` and `benchmarks/fuzz_listen.py` share.

sound -> a whole file of each format -> mutation number i of seed s -> `try_file` in a process of its own
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import sounds

from clavilux.audio.song import Song, listen
from clavilux.errors import ClaviluxError

FORMATS = (".wav", ".aiff", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".mkv", ".webm", ".wma")
SOUND_S = 2.0  # long enough for several packets and pages of every format
MAX_S = 30.0  # of what is decoded; ten times what the whole files hold
TIMEOUT_S = 20.0
LIMIT_MB = 500.0  # of memory in use, with the interpreter and all libraries (some 80 MB)
ADDRESS_SPACE_GB = 8  # beyond, the system refuses memory: what was asked for by mistake does not harm the machine
HEAD_BYTES = 1_024  # where most formats keep what they say of themselves; some keep it at the end

Content = bytes
Wholes = Mapping[str, Content]


def whole_files() -> dict[str, Content]:
    """A sound file of each format, by suffix."""
    sound = sounds.song(SOUND_S)
    with tempfile.TemporaryDirectory() as folder:
        return {suffix: sounds.write_sound(Path(folder, f"a{suffix}"), sound).read_bytes() for suffix in FORMATS}


# Mutations ---------------------------------------------------------------------------------------------------------


def flip(content: bytearray, wholes: Wholes, rng: np.random.Generator) -> bytearray:
    """Up to 64 bytes become others."""
    for _ in range(2 ** rng.integers(0, 7)):
        content[_place(content, rng)] ^= int(rng.integers(1, 256))
    return content


def cut(content: bytearray, wholes: Wholes, rng: np.random.Generator) -> bytearray:
    """The end is missing, one time in four the start."""
    at = _place(content, rng)
    return content[at:] if rng.random() < 0.25 else content[:at]


def swap_head(content: bytearray, wholes: Wholes, rng: np.random.Generator) -> bytearray:
    """The head of another format, over this one's or before it."""
    other = wholes[FORMATS[rng.integers(len(FORMATS))]]
    head = other[: 2 ** int(rng.integers(2, 13))]
    return bytearray(head) + (content if rng.random() < 0.5 else content[len(head) :])


def repeat(content: bytearray, wholes: Wholes, rng: np.random.Generator) -> bytearray:
    """A range comes twice, or many times."""
    start, end = _range(content, rng)
    piece = content[start:end]
    times = min(int(rng.choice([1, 1, 1, 50, 1_000])), 1_000_000 // max(1, len(piece)) + 1)
    return content[:end] + piece * times + content[end:]


def zero(content: bytearray, wholes: Wholes, rng: np.random.Generator) -> bytearray:
    """A range is zeroed."""
    start, end = _range(content, rng)
    content[start:end] = bytes(end - start)
    return content


def exaggerate(content: bytearray, wholes: Wholes, rng: np.random.Generator) -> bytearray:
    """A number in the head, or at the end, of 1 to 8 bytes is as large as can be, or about a sign's turn, or 0."""
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


@dataclass(frozen=True)
class Mutated:
    """A broken file: number `number` of seed `seed`."""

    seed: int
    number: int
    suffix: str
    mutation: str
    content: Content


def mutate(wholes: Wholes, seed: int, number: int) -> Mutated:
    """File `number` of a seed: the formats take turns, and each format goes through the mutations."""
    suffix = FORMATS[number % len(FORMATS)]
    name = list(MUTATIONS)[number // len(FORMATS) % len(MUTATIONS)]
    rng = np.random.default_rng([seed, number])
    content = MUTATIONS[name](bytearray(wholes[suffix]), wholes, rng)
    return Mutated(seed, number, suffix, name, bytes(content))


def _place(content: bytearray, rng: np.random.Generator) -> int:
    """A place in a file: anywhere, one time in four in the first kilobyte, one time in four in the last."""
    size = len(content)
    near, where = int(rng.integers(0, min(HEAD_BYTES, size))), rng.random()
    if where < 0.25:
        return near
    return size - 1 - near if where < 0.5 else int(rng.integers(0, size))


def _range(content: bytearray, rng: np.random.Generator) -> tuple[int, int]:
    start = _place(content, rng)
    return start, min(len(content), start + 2 ** int(rng.integers(0, 15)))


# Trials ------------------------------------------------------------------------------------------------------------


EXPECTED = ("song", "song with warnings", "refused")


@dataclass(frozen=True)
class Trial:
    """What became of a file.

    Attributes
    ----------
    outcome : str
        ``song``, ``song with warnings`` or ``refused``; all else is a finding: ``not finite``, ``crash``, ``hang``,
        ``memory``, ``noise`` (something was written to stderr) or the name of an exception.
    message : str
        What was said.
    peak_mb : float
        Largest memory in use; 0 if the process ended before it could say.
    """

    outcome: str
    message: str
    peak_mb: float

    @property
    def is_finding(self) -> bool:
        return self.outcome not in EXPECTED


def try_file(path: Path) -> Trial:
    """Listen to a file in a process of its own, forked from this one, which had better have no other threads."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_listen_and_tell, args=(path, theirs))
    process.start()
    theirs.close()
    # A process that dies closes its end: `poll` returns and `recv` finds the end of the file.
    told = ours.poll(TIMEOUT_S)
    try:
        trial = ours.recv() if told else Trial("hang", f"no answer in {TIMEOUT_S:g} s", 0.0)
    except EOFError:
        process.join()
        trial = Trial("crash", f"exit code {process.exitcode}", 0.0)
    process.kill()
    process.join()
    ours.close()
    return trial


def _listen_and_tell(path: Path, answer: Connection) -> None:
    import resource  # not on Windows, where nothing forks either

    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_GB * 2**30,) * 2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)  # libraries in C write there too
        try:
            song = listen(path, max_s=MAX_S)
            outcome = "song with warnings" if song.warnings else "song"
            if not is_finite(song):
                outcome = "not finite"
            message = "; ".join(song.warnings)
        except ClaviluxError as error:
            outcome, message = "refused", str(error)
        except BaseException as error:  # all that is left is what we look for
            outcome, message = type(error).__name__, str(error)
        sys.stderr.flush()
        said.seek(0)
        noise = said.read().decode(errors="replace").strip()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_mb = peak / (1e6 if sys.platform == "darwin" else 1e6 / 1024)
    if outcome in EXPECTED and peak_mb > LIMIT_MB:
        outcome, message = "memory", f"{peak_mb:.0f} MB, {message}"
    if outcome in EXPECTED and noise:
        outcome, message = "noise", noise.splitlines()[-1]
    answer.send(Trial(outcome, message, peak_mb))


def is_finite(song: Song) -> bool:
    numbers = (song.windows, song.window_db, [song.duration_s], list(song.descriptors.values()))
    return all(bool(np.isfinite(values).all()) for values in numbers)
