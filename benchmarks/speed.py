"""How long Clavilux takes and how much memory, beside what a user of librosa and PyTorch would write, and the floors.

    python benchmarks/speed.py                                      the whole table
    python benchmarks/speed.py --only paint --only floors           some parts of it
    python benchmarks/speed.py --markdown docs/benchmarks.md        and put it into the documentation

Needs the extras `train`, `fast` and `dev`. Songs are synthesised, seeded, and encoded as mp3 (192 kbit/s, stereo,
44.1 kHz) in a temporary folder; nothing is downloaded. What is compared runs in turn, A B A B, after one run of each
that is not counted; a ratio is the median of the ratios of neighbouring runs, so that a machine whose speed drifts
tells the same. *Cold* is a new process for each run, *warm* a process that has done the same before. Times are the
median and the least of the clock, and the median of the processor's time, user and system, that the process and its
children took.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import av
import numpy as np
from pages import marks_of, put_text

from clavilux.constants import DEFAULT_SIZE_PX, LATENT_DIM

if TYPE_CHECKING:
    from clavilux.painter.controls import Controls

ROOT = Path(__file__).resolve().parent.parent
PEER = ROOT / "benchmarks" / "peers" / "paint_with_torch.py"
RATE = 44_100  # Hz, of the songs
SONG_S, HOUR_S = 180.0, 3600.0
FOLDER_SONGS, FOLDER_S = 40, (30.0, 60.0)
SIZES_PX = {1024: 12, 2048: 6, 4096: 3}  # and how many pictures are painted
PRINT_SIZES = ("3000x3000", "8192x8192")
MARKERS = marks_of("speed")


class Run(NamedTuple):
    """One run: seconds of the clock, seconds of the processor, peak memory in MB of the largest process."""

    wall_s: float
    cpu_s: float
    peak_mb: float


@dataclass(frozen=True)
class Row:
    """A line of the table; `ratio` says how many times faster (or smaller) the first is than the second."""

    part: str
    what: str
    first: str
    first_runs: list[Run]
    second: str = ""
    second_runs: list[Run] | None = None
    by: str = "wall_s"
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Second over first, the median over neighbouring runs."""
        return self._ratio(self.by)

    @property
    def cpu_ratio(self) -> float | None:
        """The same for the processor's time."""
        return self._ratio("cpu_s")

    def _ratio(self, by: str) -> float | None:
        if not self.second_runs:
            return None
        pairs = zip(self.first_runs, self.second_runs, strict=True)
        return median(getattr(b, by) / getattr(a, by) for a, b in pairs)


# Runs --------------------------------------------------------------------------------------------------------------


# Runs a command and prints its figures. A process of its own: the system counts what the parent has in memory when it
# starts a child as memory of the child, and this one has next to nothing.
LAUNCH = """
import os, subprocess, sys, time
began = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, os.waitstatus_to_exitcode(status))
"""


def run_process(command: list[str]) -> Run:
    """One process from start to end; its output is thrown away, its failure ends the benchmark."""
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    launched = [sys.executable, "-S", "-c", LAUNCH, *command]
    done = subprocess.run(launched, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    wall_s, cpu_s, peak, status = done.stdout.split()
    if status != "0":
        raise SystemExit(f"{' '.join(command)} ended with {status}")
    return Run(float(wall_s), float(cpu_s), float(peak) * (1024 if sys.platform == "linux" else 1) / 1e6)


def alternate(n: int, *commands: list[str]) -> list[list[Run]]:
    """`n` counted runs of each command in turn, after one of each that is not counted."""
    for command in commands:
        run_process(command)
    rounds = [[run_process(command) for command in commands] for _ in range(n)]
    return [list(runs) for runs in zip(*rounds, strict=True)]


def alternate_calls(n: int, *calls: Callable[[], object]) -> list[list[Run]]:
    """The same for calls inside this process, whose peak memory says nothing of one call."""
    for call in calls:
        call()
    rounds = [[_time(call) for call in calls] for _ in range(n)]
    return [list(runs) for runs in zip(*rounds, strict=True)]


def _time(call: Callable[[], object]) -> Run:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    call()
    return Run(time.perf_counter() - wall_s, time.process_time() - cpu_s, float("nan"))


def python(code: str, *arguments: object) -> list[str]:
    """Command that runs code in a new interpreter."""
    return [sys.executable, "-c", code, *map(str, arguments)]


def clavilux(*arguments: object) -> list[str]:
    """Command line of Clavilux."""
    return [sys.executable, "-m", "clavilux", *map(str, arguments)]


# What is compared --------------------------------------------------------------------------------------------------

OUR_MFCC = """
import sys
from benchmarks.speed import our_mfcc
our_mfcc(sys.argv[1])
"""
OUR_LISTEN = """
import sys
from clavilux.pipeline import Clavilux
Clavilux().listen(sys.argv[1])
"""
THEIR_MFCC = """
import sys
import librosa
sound, rate = librosa.load(sys.argv[1], sr=22050)
librosa.feature.mfcc(y=sound, sr=rate, n_mfcc=20)
"""
THEIR_MORE = """
import sys
from benchmarks.speed import their_more
their_more(sys.argv[1])
"""
THEIR_LOAD = """
import sys
import librosa
librosa.load(sys.argv[1], sr=22050)
"""
SESSIONS = """
from clavilux.bundle import open_bundle
from clavilux.engine import Engine
Engine(open_bundle()).check(painting_only=True)
"""
PAINT = """
import sys
from pathlib import Path
from clavilux.painter.controls import Controls
from clavilux.system.memory import reuse_memory
from clavilux.painter.paint import paint
reuse_memory()
size = int(sys.argv[2])
paint(Controls.from_json(Path(sys.argv[1]).read_text()), width=size, height=size, threads=int(sys.argv[3]))
"""


def our_mfcc(song: Path | str) -> list[np.ndarray]:
    """Decode a song and measure the MFCC of its windows, nothing else."""
    from threadpoolctl import threadpool_limits

    from clavilux.audio.decode import read_blocks
    from clavilux.audio.features import mfcc
    from clavilux.constants import WINDOW_SAMPLES
    from clavilux.system.memory import reuse_memory

    reuse_memory()
    with threadpool_limits(1, user_api="blas"):
        sound = np.concatenate(list(read_blocks(song)))
        return [
            mfcc(sound[start : start + WINDOW_SAMPLES])
            for start in range(0, sound.size - WINDOW_SAMPLES + 1, WINDOW_SAMPLES)
        ]


def their_more(song: Path | str) -> None:
    """What librosa offers of that which `clavilux.audio.song` measures; it has no loudness, key, mode or roughness."""
    import librosa

    sound, rate = librosa.load(song, sr=22_050)
    librosa.feature.mfcc(y=sound, sr=rate, n_mfcc=20)
    librosa.feature.chroma_stft(y=sound, sr=rate)
    onset = librosa.onset.onset_strength(y=sound, sr=rate)
    librosa.beat.beat_track(onset_envelope=onset, sr=rate)
    librosa.feature.spectral_centroid(y=sound, sr=rate)
    librosa.feature.spectral_bandwidth(y=sound, sr=rate)
    librosa.feature.spectral_flatness(y=sound)


def measure_features(folder: Path, n: int) -> Iterator[Row]:
    """Decoding and features of a song of three minutes, cold and warm."""
    import librosa

    from clavilux.pipeline import Clavilux

    song = write_song(folder / "song.mp3", SONG_S, seed=1)
    engine = Clavilux()
    librosa_mfcc = "librosa: load, MFCC"

    def their_mfcc() -> object:
        sound, rate = librosa.load(song, sr=22_050)
        return librosa.feature.mfcc(y=sound, sr=rate, n_mfcc=20)

    ours, theirs = alternate(n, python(OUR_MFCC, song), python(THEIR_MFCC, song))
    yield Row("features", "three minutes of mp3, cold", "decode, MFCC", ours, librosa_mfcc, theirs)
    ours, theirs = alternate_calls(n, lambda: our_mfcc(song), their_mfcc)
    yield Row("features", "three minutes of mp3, warm", "decode, MFCC", ours, librosa_mfcc, theirs)
    librosa_more = "librosa: load, MFCC, chroma, onsets, beats, centroid, bandwidth, flatness"
    everything = "decode, MFCC, chroma, onsets, peaks, 16 descriptors, hash"
    ours, theirs = alternate(n, python(OUR_LISTEN, song), python(THEIR_MFCC, song))
    yield Row("features", "three minutes of mp3, cold", everything, ours, librosa_mfcc, theirs)
    ours, theirs = alternate_calls(n, lambda: engine.read_song(song), their_mfcc)
    yield Row("features", "three minutes of mp3, warm", everything, ours, librosa_mfcc, theirs)
    ours, theirs = alternate(n, python(OUR_LISTEN, song), python(THEIR_MORE, song))
    yield Row("features", "three minutes of mp3, cold", everything, ours, librosa_more, theirs)
    ours, theirs = alternate_calls(n, lambda: engine.read_song(song), lambda: their_more(song))
    yield Row("features", "three minutes of mp3, warm", everything, ours, librosa_more, theirs)


def measure_paint(folder: Path, n: int) -> Iterator[Row]:
    """From a song of three minutes to a picture of 1024 x 1024, cold."""
    song = write_song(folder / "song.mp3", SONG_S, seed=1)
    picture = folder / "song.png"
    ours, theirs = alternate(
        n, clavilux("paint", song, "-o", picture), [sys.executable, str(PEER), str(song), str(folder / "peer.png")]
    )
    what = f"mp3 of three minutes to a picture of {DEFAULT_SIZE_PX}, cold"
    yield Row("paint", what, "clavilux paint", ours, "paint_with_torch.py", theirs)
    described = [sys.executable, str(PEER), str(song), str(folder / "described.png"), "--descriptors"]
    ours_again, theirs_described = alternate(n, clavilux("paint", song, "-o", picture), described)
    yield Row("paint", what, "clavilux paint", ours_again, "paint_with_torch.py --descriptors", theirs_described)
    yield Row("paint", f"{what}: peak memory", "clavilux paint", ours, "paint_with_torch.py", theirs, by="peak_mb")
    ours, alone = alternate(
        n, clavilux("paint", song, "-o", picture), clavilux("paint", song, "-o", folder / "alone.png", "--jobs", 1)
    )
    yield Row("paint", f"{what}: threads", "clavilux paint", ours, "--jobs 1, one thread", alone)


def measure_folder(folder: Path, n: int) -> Iterator[Row]:
    """Forty short songs by one process and by two."""
    album = folder / "album"
    album.mkdir()
    lengths = np.random.default_rng(2).uniform(*FOLDER_S, FOLDER_SONGS)
    for number, length_s in enumerate(lengths):
        write_song(album / f"{number:02d}.mp3", float(length_s), seed=100 + number)
    one, two = (clavilux("paint", album, "-o", folder / f"jobs{jobs}", "--jobs", jobs) for jobs in (1, 2))
    two_runs, one_runs = alternate(n, two, one)
    what = f"{FOLDER_SONGS} songs, {lengths.sum() / 60:.0f} minutes in all"
    yield Row("folder", what, "--jobs 2", two_runs, "--jobs 1", one_runs)


def measure_hour(folder: Path, n: int) -> Iterator[Row]:
    """Peak memory for an hour of sound."""
    hour = write_song(folder / "hour.mp3", HOUR_S, seed=3)
    ours, theirs = alternate(n, clavilux("paint", hour, "-o", folder / "hour.png"), python(THEIR_LOAD, hour))
    note = "librosa has only loaded it then"
    yield Row("hour", "an hour of mp3: peak memory", "clavilux paint", ours, "librosa.load", theirs, "peak_mb", note)
    yield Row("hour", "an hour of mp3", "clavilux paint", ours, "librosa.load", theirs, note=note)


def controls_of_latents(n: int) -> list[Controls]:
    """What the default bundle paints for latents of chance, always the same ones."""
    from clavilux.pipeline import Clavilux

    engine = Clavilux().engine
    rng = np.random.default_rng(0)
    return [engine.controls(rng.standard_normal(LATENT_DIM).astype(np.float32)) for _ in range(n)]


def paint_all(pictures: list[Controls], size: int, threads: int, compiled: bool) -> None:
    """Paint all of them, by Numba or by NumPy."""
    from clavilux.painter.compiled import SWITCH
    from clavilux.painter.paint import paint

    os.environ[SWITCH] = "1" if compiled else "0"
    for controls in pictures:
        paint(controls, width=size, height=size, threads=threads)


def measure_painter(folder: Path, n: int) -> Iterator[Row]:
    """The painter alone, compiled and by NumPy: warm for the time, and a new process for the memory."""
    from clavilux.painter.compiled import SWITCH, name_painter
    from clavilux.system.threads import count_cores

    threads = count_cores()
    os.environ[SWITCH] = "1"
    numba = name_painter()
    for size, n_pictures in SIZES_PX.items():
        pictures = controls_of_latents(n_pictures)
        compiled, plain = (partial(paint_all, pictures, size, threads, compiled) for compiled in (True, False))
        runs = [
            [Run(run.wall_s / n_pictures, run.cpu_s / n_pictures, run.peak_mb) for run in some]
            for some in alternate_calls(n if size < 4096 else min(n, 2), compiled, plain)
        ]
        what = f"{size} x {size}, warm, {threads} threads, a picture (mean of {n_pictures})"
        note = ""
        if size == min(SIZES_PX):
            operations, rate = (
                sum(count_operations(controls, size) for controls in pictures) / n_pictures,
                measure_rate(n),
            )
            floor = operations / rate
            times = [median(run.cpu_s for run in some) / floor for some in runs]
            note = (
                f"the floor of a picture of {size} is {operations / 1e9:.2f} G operations at {rate / 1e9:.0f} G a "
                f"second on one core, {floor:.4f} s; compiled code takes {times[0]:.1f} times as long, NumPy "
                f"{times[1]:.1f} times (processor time)"
            )
        yield Row("painter", what, numba, runs[0], "NumPy", runs[1], note=note)
    (folder / "controls.json").write_text(controls_of_latents(1)[0].to_json())
    for size in (*SIZES_PX, 8192):
        peaks = []
        for switch in ("1", "0"):
            os.environ[SWITCH] = switch
            peaks += alternate(1, python(PAINT, folder / "controls.json", size, threads))
        what = f"{size} x {size}: peak memory of the process"
        yield Row("painter", what, numba, peaks[0], "NumPy", peaks[1], by="peak_mb")


def measure_kinds(folder: Path, n: int) -> Iterator[Row]:
    """Each kind of marks alone, with an even plan, which has about twice as many borders as one that was learnt."""
    from clavilux.painter.compiled import SWITCH, name_painter
    from clavilux.painter.controls import Controls
    from clavilux.painter.marks import KINDS

    os.environ[SWITCH] = "1"
    numba = name_painter()
    palette, plan = np.linspace(0, 1, 24).reshape(8, 3), np.zeros((8, 32, 32))
    for kind in KINDS:
        pictures = [Controls(palette, plan, kind, 12.0, 0.1, 0.8)]
        calls = (partial(paint_all, pictures, DEFAULT_SIZE_PX, 1, compiled) for compiled in (True, False))
        compiled, plain = alternate_calls(n, *calls)
        yield Row(
            "kinds", f"{kind}, {DEFAULT_SIZE_PX} x {DEFAULT_SIZE_PX}, one thread", numba, compiled, "NumPy", plain
        )


# Additions, products, comparisons and changes of bits in the steps that are more than one of them.
OPERATIONS = {"SIN": 13, "COS": 14, "LOG": 23, "EXP": 19, "NORMAL_TO_UNIFORM": 26, "MIX": 9, "UNIT": 4, "MIX_UNIT": 13}
WAVE_OPERATIONS, READ_OPERATIONS, BID_OPERATIONS, SOFT_OPERATIONS = 17, 16 + 8 * 9, 8 * (2 * 23 + 6), 8 * 27
NOISE_OPERATIONS, BRISTLE_OPERATIONS = 30, 8 * 17 + 3 * 28


def count_operations(controls: Controls, size: int) -> float:
    """Arithmetic that a picture needs: that of its marks, plan and colours at each sample, and of its surface. What
    outlines take, mostly comparisons, is left out."""
    from clavilux.painter.borders import find_steps
    from clavilux.painter.canvas import Canvas
    from clavilux.painter.marks.trace import Op, Program, record

    canvas = Canvas(controls, size, size, 0, None)
    picture = np.empty((size, size, 3), np.uint8)
    canvas.mix(picture, None, 1)
    n_samples = size * size + 9 * np.count_nonzero(find_steps(picture, None, 1))

    def count(program: Program) -> int:
        steps = [(Op(int(step[0])).name, int(step[5])) for step in program.steps]
        return sum(WAVE_OPERATIONS * (c & 255) if op == "WAVES" else OPERATIONS.get(op, 1) for op, c in steps)

    def marks(kind: str) -> int:
        def draw(x: Any, y: Any) -> list[Any]:
            field = canvas.mark_field(kind, x, y)
            return [field.u, field.x, field.y]

        return count(record(draw))

    a_sample = READ_OPERATIONS + BID_OPERATIONS + (SOFT_OPERATIONS if controls.softness else 0)
    kinds = [marks(kind) for kind in controls.kinds]
    a_sample += kinds[0] + controls.second_area * (kinds[-1] - kinds[0])
    if len(kinds) == 2:
        a_sample += count(record(lambda x, y: [canvas.is_second(x, y)]))
    a_pixel = NOISE_OPERATIONS * (10 if controls.glaze else 2) + (BRISTLE_OPERATIONS if controls.brush else 0)
    return float(n_samples * a_sample + size * size * a_pixel)


def measure_rate(n: int) -> float:
    """Operations a second that one core reaches without a wait for memory: polynomials of numbers that stay."""
    import numba

    @numba.njit(fastmath={"contract"})
    def polynomials(x: np.ndarray, out: np.ndarray) -> None:
        half = np.float32(0.5)
        for turn in range(1000):
            for i in range(x.size):
                v = x[i]
                p, q, r, s = v, v + half, v - half, v + np.float32(turn)  # four, so that none waits for itself
                for _ in range(16):
                    p, q, r, s = p * v + half, q * v + half, r * v + half, s * v + half
                out[i] = p + q + r + s

    x = np.linspace(0, 0.5, 1024, dtype=np.float32)
    (runs,) = alternate_calls(n, lambda: polynomials(x, np.empty_like(x)))
    return float(1000 * x.size * 128 / min(run.cpu_s for run in runs))


def measure_print(folder: Path, n: int) -> Iterator[Row]:
    """The whole command at print sizes, cold; one run of each, which takes long enough."""
    song = write_song(folder / "song.mp3", SONG_S, seed=1)
    for size in PRINT_SIZES:
        for suffix in (".png", ".jpg"):
            picture = folder / f"print{suffix}"
            runs = [run_process(clavilux("paint", song, "-o", picture, "--size", size))]
            what = f"mp3 of three minutes to {size}, {suffix[1:]} of {picture.stat().st_size / 1e6:.1f} MB"
            yield Row("print", what, "clavilux paint", runs, note="one run of each")
            yield Row("print", f"{size}, {suffix[1:]}: peak memory", "clavilux paint", runs, by="peak_mb")


def measure_floors(folder: Path, n: int) -> Iterator[Row]:
    """What no other arrangement of the same steps could go below on this machine."""
    from threadpoolctl import threadpool_limits

    from clavilux.constants import SLOTS
    from clavilux.pipeline import Clavilux
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

    (runs,) = alternate_calls(n, lambda: _decode(song))
    yield Row("floors", "decode three minutes of mp3, no mixing, no resampling, warm", "PyAV", runs)

    # As many frames as three minutes have: those of the windows, those of the song, and the long ones.
    rng = np.random.default_rng(0)
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

    with threadpool_limits(1, user_api="blas"):
        (runs,) = alternate_calls(n, transforms)
        yield Row("floors", "Fourier transforms of three minutes alone, warm", "numpy.fft", runs)
        (runs,) = alternate_calls(n, products)
        yield Row("floors", "matrix products of three minutes alone, warm", "numpy", runs)

    engine = Clavilux()
    windows = engine.read_song(song).windows
    (runs,) = alternate_calls(n, lambda: engine.engine.window_codes(windows))
    yield Row("floors", f"encode the {len(windows)} windows of three minutes, warm", "onnxruntime", runs)

    # Eight bids a sample, and the highest of them: the formula of the painter without marks, plan, edges and grain.
    bids, scratch = rng.random((SLOTS, 16_384), np.float32), np.empty((SLOTS, 16_384), np.float32)

    def formula() -> None:
        for _ in range(DEFAULT_SIZE_PX**2 // 16_384):
            np.log(bids, out=scratch)
            np.negative(scratch, out=scratch)
            np.log(scratch, out=scratch)
            np.maximum.reduce(scratch, axis=0)

    (runs,) = alternate_calls(n, formula)
    yield Row(
        "floors", f"arithmetic of the formula of the painter at {DEFAULT_SIZE_PX}, one sample a pixel", "numpy", runs
    )


PARTS: dict[str, tuple[str, Callable[[Path, int], Iterator[Row]]]] = {
    "features": ("Decoding and features", measure_features),
    "paint": ("A song to a picture", measure_paint),
    "folder": ("A folder on two cores", measure_folder),
    "hour": ("An hour of sound", measure_hour),
    "painter": ("The painter", measure_painter),
    "kinds": ("Kinds of marks", measure_kinds),
    "print": ("Print sizes", measure_print),
    "floors": ("Floors", measure_floors),
}


def _decode(song: Path) -> int:
    n_samples = 0
    with av.open(str(song)) as container:
        stream = container.streams.audio[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            n_samples += frame.samples
    return n_samples


# Songs -------------------------------------------------------------------------------------------------------------


def write_song(path: Path, length_s: float, *, seed: int) -> Path:
    """Synthesise a song and encode it as mp3; a song that is there is left as it is.

    A piano over a bass and drums; two minutes of it at most are composed, and then repeated.
    """
    if not path.exists():
        sound = compose(min(length_s, 120.0), seed)
        n_samples = round(length_s * RATE)
        with av.open(str(path), "w", format="mp3") as container:
            stream = container.add_stream("libmp3lame", rate=RATE, layout="stereo")
            stream.bit_rate = 192_000
            for start in range(0, n_samples, RATE):
                places = np.arange(start, min(start + RATE, n_samples)) % sound.shape[1]
                block = np.ascontiguousarray(sound[:, places])
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
                frame.sample_rate, frame.pts = RATE, start
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def compose(length_s: float, seed: int) -> np.ndarray:
    """(2, samples) float32: chance melodies over chords of a minor or a major scale, at a tempo of chance."""
    from clavilux.evaluation import instruments as play
    from clavilux.evaluation.synth import Note, fit, mix, render, set_peak

    rng = np.random.default_rng(seed)
    tempo_bpm = float(rng.uniform(70, 150))
    scale = (0, 2, 3, 5, 7, 8, 10) if rng.random() < 0.5 else (0, 2, 4, 5, 7, 9, 11)
    root = 45 + int(rng.integers(12))
    melody, bass, kick, snare = [], [], [], []
    for beat in range(int(length_s * tempo_bpm / 60)):
        degree = (0, 5, 3, 4)[beat // 4 % 4]
        bass.append(Note(beat, 0.9, root - 12 + scale[degree], 0.7))
        melody += [
            Note(beat + half, 0.5, root + 12 + scale[int(rng.integers(7))], float(rng.uniform(0.4, 0.9)))
            for half in (0, 0.5)
            if rng.random() < 0.7
        ]
        (kick if beat % 2 == 0 else snare).append(Note(beat, 0.25, 60, 0.7))
    tracks = ((melody, play.piano), (bass, play.bass), (kick, play.kick), (snare, play.snare))
    sound = mix(*(render(notes, player, tempo_bpm=tempo_bpm, seed=seed, spread=0.1) for notes, player in tracks))
    return set_peak(fit(sound, length_s, fade_s=0.5), -3.0)


# The table ---------------------------------------------------------------------------------------------------------


def describe_machine() -> str:
    """Processor, cores and versions in a line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = models[0] if models else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    from importlib.metadata import version

    packages = ("numpy", "numba", "av", "onnxruntime", "librosa", "torch")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{cores} cores of {model}; Python {platform.python_version()}, {versions}"


def show_value(runs: list[Run], by: str) -> str:
    """Median and least of the clock and median of the processor's time, or the median peak memory."""
    if by == "peak_mb":
        return f"{median(run.peak_mb for run in runs):.0f} MB"
    wall, cpu = [run.wall_s for run in runs], median(run.cpu_s for run in runs)
    digits = 2 if median(wall) >= 1 else 3
    return f"{median(wall):.{digits}f} s (least {min(wall):.{digits}f}, processor {cpu:.{digits}f})"


def to_markdown(rows: list[Row], machine: str, n: int) -> str:
    """The table of each part, as it is printed and as the documentation keeps it."""
    lines = [f"{machine}. Medians of {n} runs."]
    for part, (title, _) in PARTS.items():
        own = [row for row in rows if row.part == part]
        if not own:
            continue
        lines += ["", f"### {title}", ""]
        if any(row.second_runs for row in own):
            lines += ["| | ours | beside it | ratio | of processor time |", "|---|---|---|---|---|"]
        else:
            lines += ["| | |", "|---|---|"]
        for row in own:
            cells = [row.what, f"{row.first}: {show_value(row.first_runs, row.by)}"]
            if row.second_runs:
                cpu = "" if row.by == "peak_mb" else f"{row.cpu_ratio:.2f}"
                cells += [f"{row.second}: {show_value(row.second_runs, row.by)}", f"{row.ratio:.2f}", cpu]
            lines.append(f"| {' | '.join(cells)} |")
        lines += [f"\n{note[0].upper()}{note[1:]}." for note in dict.fromkeys(row.note for row in own if row.note)]
    return "\n".join(lines) + "\n"


def put_table(path: Path, table: str) -> None:
    """Write the table to a file, or only between `MARKERS` where the file has them."""
    if path.exists() and all(mark in path.read_text("utf-8") for mark in MARKERS):
        put_text(path, table, MARKERS)
    else:
        path.write_text(table, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; may be given several times")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each (a folder and an hour: at most 3)")
    parser.add_argument("--json", type=Path, help="write every run")
    parser.add_argument("--markdown", type=Path, help="write the table, into the marked place of a file that has one")
    given = parser.parse_args()

    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for part in given.only or PARTS:
            n = min(given.runs, 3) if part in ("folder", "hour") else given.runs
            for row in PARTS[part][1](Path(folder), n):
                rows.append(row)
                ratio = "" if row.ratio is None else f"; {row.second} {show_value(row.second_runs, row.by)}"
                print(f"{row.what}: {row.first} {show_value(row.first_runs, row.by)}{ratio}", file=sys.stderr)
    machine = describe_machine()
    table = to_markdown(rows, machine, given.runs)
    print(table, end="")
    if given.markdown:
        put_table(given.markdown, table)
    if given.json:
        content = {
            "machine": machine,
            "rows": [asdict(row) | {"ratio": row.ratio, "cpu_ratio": row.cpu_ratio} for row in rows],
        }
        given.json.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
