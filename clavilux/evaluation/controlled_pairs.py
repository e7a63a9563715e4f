"""Controlled pairs: one synthesised tune played twice, with one property changed.

Bundles were chosen with `TUNE`, so the evaluation uses random tunes from `draw_tune` instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from clavilux.constants import SAMPLE_RATE
from clavilux.evaluation.instruments import Instrument, highpass, lowpass, piano, pluck, pulse, strings
from clavilux.evaluation.synth import (
    Note,
    Signal,
    drive,
    fit,
    loudness_db,
    melody,
    pitch_number,
    render,
    reverb,
    set_peak,
    shift,
)

PAIR_S = 15.0  # seconds of each signal
PAIR_TEMPO_BPM = 96.0
PAIR_LOUDNESS_DB = -30.0  # LUFS, except on the axis of loudness, so that loudness does not reveal the other axes
VOICES: dict[str, Instrument] = {"piano": piano, "pluck": pluck, "strings": strings, "pulse": pulse}


class Tune(NamedTuple):
    """Four bars of four beats: the melody (`clavilux.evaluation.synth.melody`), and a chord for each bar."""

    melody: str
    chords: tuple[str, ...]


TUNE = Tune(
    "E5:1 G5:.5 E5:.5 C5:1 E5:1 | A5:.5 G5:.5 F5:1 D5:1 F5:1 | E5:.5 D5:.5 C5:1 A4:1 C5:1 | B4:.5 C5:.5 D5:1 G4:2",
    ("C3 G3 C4 E4", "F3 A3 C4 F4", "A3 C4 E4 A4", "G3 B3 D4 G4"),
)

# What tunes are drawn from: the scale of C major, chords of it, and rhythms of a bar in beats.
_SCALE = tuple(f"{step}{octave}" for octave in (4, 5) for step in "CDEFGAB")
_CHORDS = ("C3 G3 C4 E4", "D3 A3 D4 F4", "E3 B3 E4 G4", "F3 A3 C4 F4", "G3 B3 D4 G4", "A3 C4 E4 A4")
_RHYTHMS = ((1, 1, 1, 1), (1, 0.5, 0.5, 1, 1), (0.5, 0.5, 1, 0.5, 0.5, 1), (1.5, 0.5, 1, 1), (2, 1, 1))


class ControlledPair(NamedTuple):
    """Two signals that differ in one property, (n,) float32 mono at `SAMPLE_RATE`.

    Axes, with the values of `low` and `high`: tempo (slow, fast), mode (minor, major), register (low, high), harshness
    (soft, harsh), loudness (quiet, loud), density (sparse, dense). The axis ``together`` changes all six properties.
    """

    name: str  # axis and instrument, such as "tempo-piano"
    axis: str  # property that differs
    low: Signal
    high: Signal


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


def controlled_pairs(voices: Iterable[str] = VOICES, tune: Tune = TUNE) -> list[ControlledPair]:
    """Return a pair for each instrument and each of the six axes: 24 pairs for four instruments.

    The samples are the same in every call. All signals last `PAIR_S` seconds. All are equally loud except those on the
    axis ``loudness``. ``voices`` are keys of `VOICES`.
    """
    pairs = []
    for voice in voices:
        instrument = VOICES[voice]
        plain = _play(tune, instrument)
        for axis, low, high in (
            ("tempo", _play(tune, instrument, tempo_bpm=60), _play(tune, instrument, tempo_bpm=150)),
            ("mode", _play(tune, instrument, minor=True), plain),
            ("register", _play(tune, instrument, semitones=-12), _play(tune, instrument, semitones=12)),
            ("harshness", np.asarray(lowpass(plain, 700, SAMPLE_RATE), np.float32), _roughen(plain)),
            ("loudness", plain, plain),
            ("density", _play(tune, instrument, notes=_thin(tune)), _play(tune, instrument, notes=_thicken(tune))),
        ):
            pairs.append(_pair(voice, axis, low, high, louder=axis == "loudness"))
    return pairs


def combined_pairs(voices: Iterable[str] = VOICES, tune: Tune = TUNE) -> list[ControlledPair]:
    """Return a pair for each instrument, on the axis ``together``: all six properties change at once."""
    pairs = []
    for voice in voices:
        instrument = VOICES[voice]
        low = _play(tune, instrument, tempo_bpm=60, minor=True, semitones=-12, notes=_thin(tune))
        high = _play(tune, instrument, tempo_bpm=150, semitones=12, notes=_thicken(tune))
        soft = np.asarray(lowpass(low, 700, SAMPLE_RATE), np.float32)
        pairs.append(_pair(voice, "together", soft, _roughen(high), louder=True))
    return pairs


def _pair(voice: str, axis: str, low: Signal, high: Signal, *, louder: bool) -> ControlledPair:
    step_db = 9.0 if louder else 0.0
    levels = (PAIR_LOUDNESS_DB - step_db, PAIR_LOUDNESS_DB + step_db)
    signals = [_level(signal, level) for signal, level in zip((low, high), levels, strict=True)]
    return ControlledPair(f"{axis}-{voice}", axis, signals[0], signals[1])


def _bars(tune: Tune) -> list[Note]:
    """Return four bars: the tune, and its chords as two half notes per bar."""
    notes = melody(tune.melody, velocity=0.8)
    for bar, names in enumerate(tune.chords):
        notes += melody("{0}:2 {0}:2".format(names.replace(" ", "+")), start=4 * bar, velocity=0.45)
    return notes


def _thin(tune: Tune) -> list[Note]:
    """Return four bars: in each, the first note of the tune and the chord, both held."""
    notes = [replace(note, length=4.0) for note in melody(tune.melody, velocity=0.8) if note.start % 4 == 0]
    for bar, names in enumerate(tune.chords):
        notes += melody(f"{names.replace(' ', '+')}:4", start=4 * bar, velocity=0.45)
    return notes


def _thicken(tune: Tune) -> list[Note]:
    """Return four bars: the tune in repeated sixteenth notes over sixteenth-note arpeggios of its chords."""
    notes = [
        Note(note.start + 0.25 * i, 0.25, note.pitch, 0.8)
        for note in melody(tune.melody)
        for i in range(round(note.length / 0.25))
    ]
    for bar, names in enumerate(tune.chords):
        notes += [Note(4 * bar + 0.25 * i, 0.25, pitch_number(names.split()[i % 4]), 0.45) for i in range(16)]
    return notes


def _play(
    tune: Tune,
    instrument: Instrument,
    *,
    tempo_bpm: float = PAIR_TEMPO_BPM,
    minor: bool = False,
    semitones: float = 0.0,
    notes: list[Note] | None = None,
) -> Signal:
    """Return the four bars, repeated for `PAIR_S` seconds, in a small room."""
    bars = _bars(tune) if notes is None else notes
    if minor:  # harmonic minor: third and sixth lowered, the seventh kept
        bars = [replace(note, pitch=note.pitch - (note.pitch % 12 in (4, 9))) for note in bars]
    rounds = int(np.ceil(PAIR_S * tempo_bpm / 60 / 16))
    played = [note for i in range(rounds) for note in shift(bars, beats=16 * i, semitones=semitones)]
    track = render(played, instrument, tempo_bpm=tempo_bpm, rate=SAMPLE_RATE, seed=3)
    return fit(reverb(track, decay_s=0.8, wet=0.15, rate=SAMPLE_RATE), PAIR_S, fade_s=0.5, rate=SAMPLE_RATE)


def _roughen(signal: Signal) -> Signal:
    """Return the signal with overdrive, 70 Hz tremolo and noise: rough and bright at the same notes."""
    tremolo = 1 + 0.8 * np.sin(2 * np.pi * 70 * np.arange(signal.shape[1]) / SAMPLE_RATE)
    bent = drive(set_peak(signal, 0.0), 12.0) * tremolo
    noise = highpass(np.random.default_rng(5).standard_normal(signal.shape), 1_500, SAMPLE_RATE)
    return np.asarray(bent + 0.15 * noise * np.sqrt(np.abs(bent)), np.float32)


def _level(signal: Signal, level_db: float) -> Signal:
    """Return the signal as mono at this loudness in LUFS."""
    mono = signal.mean(axis=0)
    return np.asarray(mono * 10 ** ((level_db - loudness_db(mono, SAMPLE_RATE)) / 20), np.float32)
