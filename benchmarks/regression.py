"""Write the regression figures of the shipped bundle; a test fails if a new bundle is worse.

    python benchmarks/regression.py [--art CORPUS/art]

The script paints synthesised songs and the example pieces with the shipped bundle, measures the paintings with
evaluator B, and writes the figures as the new reference (tests/regression.json). Run it when a new bundle ships, and
read the output before you commit it. It does not compare with real art; `clavilux evaluate` does.

With `--art`, the space of evaluator B is standardised again on the training art of a corpus. Otherwise the space in the
reference is used. A space that is standardised on the paintings themselves would hide a collapse.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.decode import AUDIO_SUFFIXES, read_blocks
from clavilux.audio.descriptors import describe
from clavilux.audio.features import measure_features
from clavilux.bundle import open_bundle
from clavilux.constants import SAMPLE_RATE
from clavilux.evaluation.controlled_pairs import VOICES
from clavilux.evaluation.evaluator_b import measure_evaluator_b
from clavilux.evaluation.evaluators import Space
from clavilux.evaluation.material import find_pictures
from clavilux.evaluation.painting import PAINTED_PX, degrade, measure_files
from clavilux.evaluation.point_measures import indistinguishable
from clavilux.evaluation.songs import song_code
from clavilux.evaluation.synth import Note, fit, render, reverb, set_loudness
from clavilux.measures.diversity import mean_pairwise_distance
from clavilux.measures.similarity import same_song
from clavilux.pipeline import Clavilux
from clavilux.system.files import list_folder, write_whole

Float32 = NDArray[np.float32]
Floats = NDArray[np.floating]

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "tests" / "regression.json"
SONGS = 14  # synthesised songs, beside those from files
_SONG_S = 12.0
_FILE_S = 24.0
_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}


@dataclass(frozen=True)
class Figure:
    """A figure over songs."""

    value: float
    noise: float  # jackknife standard error


def measure_regression(bundle: str, files: Sequence[Path], space: Space) -> dict[str, Figure]:
    """Return the figures of a bundle on sound files and on `SONGS` synthesised songs.

    These are ``diversity`` (mean distance of two pictures), ``indistinguishable`` (pairs of songs whose pictures differ
    less than a picture and its degraded copy) and ``same_song`` (AUC of halves).
    """
    clavilux = Clavilux(bundle)
    sounds = [np.concatenate(list(read_blocks(file, max_s=_FILE_S))) for file in files]
    sounds += [play_song(seed) for seed in range(SONGS)]
    pictures, halves = [], []
    for sound in sounds:
        middle = len(sound) // 2
        pictures.append(_paint(clavilux, sound))
        halves.append([_paint(clavilux, part) for part in (sound[:middle], sound[middle:])])
    points = _place(space, pictures)
    copies = _place(space, [degrade(rgb) for rgb in pictures])
    first, second = (_place(space, [pair[side] for pair in halves]) for side in range(2))
    figures: dict[str, Callable[[NDArray[np.intp]], float]] = {
        "diversity": lambda songs: mean_pairwise_distance(points[songs]),
        "indistinguishable": lambda songs: float(indistinguishable(points[songs], copies[songs])),
        "same_song": lambda songs: same_song(first[songs], second[songs])[0],
    }
    return {name: _jackknife(figure, len(sounds)) for name, figure in figures.items()}


def play_song(seed: int) -> Float32:
    """Return a synthesised song, mono float32 at 22 050 Hz.

    The seed draws instrument, tempo, mode, register, density, loudness and melody, which stay the same within the song.
    """
    rng = np.random.default_rng([seed, 11])
    instrument = list(VOICES.values())[seed % len(VOICES)]
    scale = _SCALES[("major", "minor")[int(rng.integers(2))]]
    tempo_bpm, base = float(rng.uniform(55, 170)), int(rng.integers(43, 73))
    length, chord_share = float(rng.choice([0.25, 0.5, 1.0, 2.0])), float(rng.uniform(0, 0.6))
    notes, degree = [], 0
    for start in np.arange(0, _SONG_S * tempo_bpm / 60, length):
        degree = int(np.clip(degree + rng.integers(-2, 3), -4, 10))
        steps = (degree, degree + 2, degree + 4) if rng.random() < chord_share else (degree,)
        notes += [Note(float(start), length, base + 12 * (d // 7) + scale[d % 7], 0.7) for d in steps]
    track = render(notes, instrument, tempo_bpm=tempo_bpm, rate=SAMPLE_RATE, seed=seed)
    track = reverb(track, decay_s=float(rng.uniform(0.3, 2.0)), wet=0.2, rate=SAMPLE_RATE, seed=seed)
    mono = fit(track, _SONG_S, fade_s=0.3, rate=SAMPLE_RATE).mean(axis=0)
    return set_loudness(mono, float(rng.uniform(-32, -14)), SAMPLE_RATE)


def _paint(clavilux: Clavilux, sound: Float32) -> NDArray[np.uint8]:
    features = measure_features([sound], clavilux.bundle.feature_settings)
    code = song_code(clavilux.engine, features, describe(features))
    return clavilux.paint_latent(clavilux.engine.map_song(code), size=PAINTED_PX, seed=0)


def _place(space: Space, pictures: Sequence[NDArray[np.uint8]]) -> Float32:
    return space.place(np.stack([measure_evaluator_b(rgb) for rgb in pictures]))


def _jackknife(figure: Callable[[NDArray[np.intp]], float], n: int) -> Figure:
    """Return the value on all n songs and its jackknife standard error (Efron 1982)."""
    songs = np.arange(n)
    without = np.array([figure(np.delete(songs, i)) for i in range(n)])
    return Figure(figure(songs), float(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--art", type=Path)
    arguments = parser.parse_args()
    if arguments.art is None:
        stored = json.loads(REFERENCE.read_text("utf-8"))["space"]
        space = Space(np.array(stored["mean"], np.float32), np.array(stored["scale"], np.float32))
    else:
        art, _, _ = measure_files(find_pictures(arguments.art, 400)[1], (), jobs=-1)
        space = Space.of_blocks(art.features["B"])
    files = [ROOT / "examples" / name for name in list_folder(ROOT / "examples", AUDIO_SUFFIXES).files]
    figures = measure_regression("default", files, space)
    for name, figure in figures.items():
        print(f"{name:12s} {figure.value:8.3f}  +- {figure.noise:.3f}")
    reference = {
        "bundle": open_bundle("default").sha256,
        "figures": {name: asdict(figure) for name, figure in figures.items()},
        "space": {name: [float(f"{v:.6g}") for v in values] for name, values in asdict(space).items()},
    }
    write_whole(REFERENCE, (json.dumps(reference, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
