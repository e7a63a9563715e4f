"""Controlled pairs: a synthesised tune is played in two versions that differ in one property; both are painted.

The evaluation counts how often the paintings change as listeners expect. For example, the painting of the fast version
should have finer detail than the painting of the slow version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clavilux.constants import SAMPLE_RATE
from clavilux.evaluation.instruments import Instrument, highpass, lowpass, piano, pluck, pulse, strings
from clavilux.evaluation.songs import Float32, measure_sound
from clavilux.evaluation.synth import (
    Note,
    Signal,
    drive,
    fit,
    melody,
    pitch_number,
    render,
    reverb,
    set_loudness,
    set_peak,
    shift,
)
from clavilux.measures.crossmodal import CORRESPONDENCES
from clavilux.measures.intervals import wilson
from clavilux.system.jobs import run_calls

TUNES = 2  # number of tunes that are drawn for an evaluation
PAIR_S = 15.0  # seconds of each signal
VOICES: dict[str, Instrument] = {"piano": piano, "pluck": pluck, "strings": strings, "pulse": pulse}
EXPECTED: dict[str, tuple[str, ...]] = {
    "tempo": ("onset_rate",),
    "mode": ("valence",),
    "register": ("register",),
    "harshness": ("harshness",),
    "loudness": ("arousal",),
    "density": ("onset_rate",),
    "together": ("arousal", "valence", "onset_rate", "register", "harshness"),
}
"""Axis of `ControlledPair` -> correspondences whose image features should rise from the picture of `low` to `high`."""

_TEMPO_BPM, _SLOW_BPM, _FAST_BPM = 96.0, 60.0, 150.0
# LUFS of all signals on the axes on which loudness should not change, so that loudness does not reveal the axis.
_LOUDNESS_DB = -30.0
_LOUDNESS_STEP_DB = 9.0  # on the other axes, `low` is quieter and `high` is louder by this much
# Tunes are drawn from the scale of C major, from chords of C major, and from rhythms of one bar (lengths in beats).
_SCALE = tuple(f"{step}{octave}" for octave in (4, 5) for step in "CDEFGAB")
_CHORDS = ("C3 G3 C4 E4", "D3 A3 D4 F4", "E3 B3 E4 G4", "F3 A3 C4 F4", "G3 B3 D4 G4", "A3 C4 E4 A4")
_RHYTHMS = ((1, 1, 1, 1), (1, 0.5, 0.5, 1, 1), (0.5, 0.5, 1, 0.5, 0.5, 1), (1.5, 0.5, 1, 1), (2, 1, 1))


class Tune(NamedTuple):
    """Four bars of four beats: one chord per bar, and a melody, written as for `clavilux.evaluation.synth.melody`."""

    melody: str
    chords: tuple[str, ...]


class ControlledPair(NamedTuple):
    """Two mono signals (n,) float32 at `SAMPLE_RATE` that differ in one property.

    The property is called the axis. It is tempo (`low` is slow, `high` is fast), mode (minor, major), register (low,
    high), harshness (soft, harsh), loudness (quiet, loud) or density (sparse, dense). On the axis ``together``, all six
    properties differ.
    """

    axis: str
    low: Signal
    high: Signal


def measure_pairs(bundles: Sequence[str], *, seed: int, jobs: int) -> tuple[list[str], dict[str, Float32]]:
    """Synthesise controlled pairs from `TUNES` random tunes, and return the axis and the song codes of each pair.

    The axes are a list of n names. The song codes are bundle -> (n, 2, S): for each pair, the code of `low`, then the
    code of `high`. ``bundles`` are names or folders. ``seed`` is the random seed of the tunes. ``jobs`` is the number
    of worker processes, -1 for one per core.
    """
    rng = np.random.default_rng([seed, 24])  # 24 makes these draws independent of others with the same seed
    tunes = [draw_tune(rng) for _ in range(TUNES)]
    calls = (partial(_measure_tune, tune, voice, tuple(bundles)) for tune in tunes for voice in VOICES)
    parts = run_calls(calls, jobs=jobs)
    axes = [axis for part in parts for axis in part[0]]
    return axes, {bundle: np.concatenate([part[1][bundle] for part in parts]) for bundle in bundles}


def right_signs(
    axes: Sequence[str],
    low: Mapping[str, NDArray[np.floating]],
    high: Mapping[str, NDArray[np.floating]],
    spread: Mapping[str, NDArray[np.floating]],
) -> dict[str, float]:
    """Return, for each axis, the fraction of the expected changes that occur: axis -> fraction.

    `EXPECTED` lists the correspondences of each axis. A change occurs if the image features of a correspondence, summed
    with its weights, rise from `low` to `high`. The key ``alone`` has the fraction over all axes except ``together``.
    For each key KEY, KEY_low and KEY_high are the ends of the 95 % Wilson interval. The interval of ``together`` is too
    narrow, because the correspondences of one pair are not independent.

    Parameters
    ----------
    axes : sequence of str
        Axis of each of n pairs.
    low, high : mapping of str to (n,)
        Image features of the paintings of the two signals of each pair.
    spread : mapping of str to (m,)
        Image features of m paintings; each feature is divided by its standard deviation over them.
    """
    correspondences = {correspondence.name: correspondence for correspondence in CORRESPONDENCES}
    is_right: dict[str, list[bool]] = {}
    for i, axis in enumerate(axes):
        for name in EXPECTED[axis]:
            rise = sum(
                weight * (high[feature][i] - low[feature][i]) / (np.std(spread[feature]) + 1e-9)
                for feature, weight in correspondences[name].image_features.items()
            )
            is_right.setdefault(axis, []).append(bool(rise > 0))
    alone = [right for axis, each in is_right.items() if axis != "together" for right in each]
    figures: dict[str, float] = {}
    for key, each in {"alone": alone, **is_right}.items():
        figures[key] = float(np.mean(each))
        figures[f"{key}_low"], figures[f"{key}_high"] = wilson(sum(each), len(each))
    return figures


def draw_tune(rng: np.random.Generator) -> Tune:
    """Return a random tune of four bars in C major: small steps up and down; the first and last chords are C major."""
    inner = rng.choice(_CHORDS[1:], size=2, replace=False)
    chords = (_CHORDS[0], *(str(chord) for chord in inner), _CHORDS[0])
    degree, bars = int(rng.integers(4, 10)), []
    for _ in chords:
        words = []
        for beats in _RHYTHMS[int(rng.integers(len(_RHYTHMS)))]:
            degree = int(np.clip(degree + rng.integers(-2, 3), 2, len(_SCALE) - 1))
            words.append(f"{_SCALE[degree]}:{beats:g}")
        bars.append(" ".join(words))
    return Tune(" | ".join(bars), chords)


def play_pairs(tune: Tune, voice: str) -> list[ControlledPair]:
    """Return a pair for each axis of `EXPECTED`, played on one instrument.

    The same arguments always give the same samples. All signals last `PAIR_S` seconds. All are equally loud, except on
    the axes ``loudness`` and ``together``. ``voice`` is a key of `VOICES`.
    """
    play = partial(_play, tune, VOICES[voice])
    plain = play()
    all_low = play(tempo_bpm=_SLOW_BPM, minor=True, semitones=-12, notes=_thin(tune))
    all_high = play(tempo_bpm=_FAST_BPM, semitones=12, notes=_thicken(tune))
    signals = {
        "tempo": (play(tempo_bpm=_SLOW_BPM), play(tempo_bpm=_FAST_BPM)),
        "mode": (play(minor=True), plain),
        "register": (play(semitones=-12), play(semitones=12)),
        "harshness": (_soften(plain), _roughen(plain)),
        "loudness": (plain, plain),
        "density": (play(notes=_thin(tune)), play(notes=_thicken(tune))),
        "together": (_soften(all_low), _roughen(all_high)),
    }
    pairs = []
    for axis, (low, high) in signals.items():
        step_db = _LOUDNESS_STEP_DB if axis in ("loudness", "together") else 0.0
        quiet = set_loudness(low.mean(axis=0), _LOUDNESS_DB - step_db, SAMPLE_RATE)
        loud = set_loudness(high.mean(axis=0), _LOUDNESS_DB + step_db, SAMPLE_RATE)
        pairs.append(ControlledPair(axis, quiet, loud))
    return pairs


def _measure_tune(tune: Tune, voice: str, bundles: tuple[str, ...]) -> tuple[list[str], dict[str, Float32]]:
    """Return the axes and the song codes of the pairs of one tune and one instrument."""
    with threadpool_limits(1):
        pairs = play_pairs(tune, voice)
        measured = [(measure_sound(pair.low, bundles), measure_sound(pair.high, bundles)) for pair in pairs]
        codes = {b: np.stack([np.stack([low[b], high[b]]) for low, high in measured]) for b in bundles}
        return [pair.axis for pair in pairs], codes


def _play(
    tune: Tune,
    instrument: Instrument,
    *,
    tempo_bpm: float = _TEMPO_BPM,
    minor: bool = False,
    semitones: float = 0.0,
    notes: list[Note] | None = None,
) -> Signal:
    """Return `PAIR_S` seconds of a tune, repeated, with the reverb of a small room.

    ``notes``, if given, are played instead of the notes of the tune.
    """
    bars = _bars(tune) if notes is None else notes
    if minor:  # harmonic minor: third and sixth lowered, the seventh kept
        bars = [replace(note, pitch=note.pitch - (note.pitch % 12 in (4, 9))) for note in bars]
    rounds = int(np.ceil(PAIR_S * tempo_bpm / 60 / 16))
    played = [note for i in range(rounds) for note in shift(bars, beats=16 * i, semitones=semitones)]
    track = render(played, instrument, tempo_bpm=tempo_bpm, rate=SAMPLE_RATE, seed=3)
    return fit(reverb(track, decay_s=0.8, wet=0.15, rate=SAMPLE_RATE), PAIR_S, fade_s=0.5, rate=SAMPLE_RATE)


def _bars(tune: Tune) -> list[Note]:
    """Return the notes of a tune: its melody, and in each bar the chord as two half notes."""
    notes = melody(tune.melody, velocity=0.8)
    for bar, names in enumerate(tune.chords):
        notes += melody("{0}:2 {0}:2".format(names.replace(" ", "+")), start=4 * bar, velocity=0.45)
    return notes


def _thin(tune: Tune) -> list[Note]:
    """Return a sparse version of a tune: in each bar, the chord and the first melody note, both as whole notes."""
    notes = [replace(note, length=4.0) for note in melody(tune.melody, velocity=0.8) if note.start % 4 == 0]
    for bar, names in enumerate(tune.chords):
        notes += melody(f"{names.replace(' ', '+')}:4", start=4 * bar, velocity=0.45)
    return notes


def _thicken(tune: Tune) -> list[Note]:
    """Return a dense version of a tune: the melody and arpeggios of the chords, both in sixteenth notes."""
    notes = [
        Note(note.start + 0.25 * i, 0.25, note.pitch, 0.8)
        for note in melody(tune.melody)
        for i in range(round(note.length / 0.25))
    ]
    for bar, names in enumerate(tune.chords):
        notes += [Note(4 * bar + 0.25 * i, 0.25, pitch_number(names.split()[i % 4]), 0.45) for i in range(16)]
    return notes


def _soften(signal: Signal) -> Signal:
    return np.asarray(lowpass(signal, 700, SAMPLE_RATE), np.float32)


def _roughen(signal: Signal) -> Signal:
    """Return the signal with overdrive, 70 Hz tremolo and noise, which make it rough and bright."""
    tremolo = 1 + 0.8 * np.sin(2 * np.pi * 70 * np.arange(signal.shape[1]) / SAMPLE_RATE)
    bent = drive(set_peak(signal, 0.0), 12.0) * tremolo
    noise = highpass(np.random.default_rng(5).standard_normal(signal.shape), 1_500, SAMPLE_RATE)
    return np.asarray(bent + 0.15 * noise * np.sqrt(np.abs(bent)), np.float32)
