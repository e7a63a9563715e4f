"""A small synthesizer: music of our own, whose every property is known, for examples, controlled pairs and tests.

melody text -> notes -> **render** with an instrument -> tracks -> mix -> effects -> (2, samples)

Times of notes are in beats, sounds are float32 of shape (2, samples). The same seed gives the same sound.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.filters import k_weighting
from clavilux.constants import SAMPLE_RATE
from clavilux.evaluation.instruments import Instrument, Tone, highpass, lowpass, piano, pluck, pulse, seconds, strings

Signal = NDArray[np.float32]

STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}  # semitones above C


# Notes -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Note:
    """One note: start and length in beats, pitch as a MIDI number (69 is 440 Hz), velocity in (0, 1]."""

    start: float
    length: float
    pitch: float
    velocity: float = 0.8


def pitch_number(name: str) -> int:
    """MIDI number of a pitch such as ``A4`` (69), ``F#3`` or ``Bb2``; anything else is a `ValueError`."""
    step, sign, octave = name[:1], name[1:-1], name[-1:]
    if step not in STEPS or sign not in ("", "#", "b") or not octave.isdigit():
        raise ValueError(f"{name!r} is no pitch; write a letter from A to G, # or b, and an octave, as in F#3")
    return 12 * (int(octave) + 1) + STEPS[step] + {"": 0, "#": 1, "b": -1}[sign]


def melody(text: str, *, start: float = 0.0, velocity: float = 0.8) -> list[Note]:
    """Notes of a line such as ``C5:1 -:.5 A3+C4:2``: pitch:beats, ``-`` is a rest, ``+`` a chord, ``|`` nothing.

    >>> [(note.start, note.pitch) for note in melody("A4:1 -:1 | C5+E5:2")]
    [(0.0, 69), (2.0, 72), (2.0, 76)]
    """
    notes = []
    for word in text.replace("|", " ").split():
        names, _, beats = word.partition(":")
        length = float(beats)
        if names != "-":
            notes += [Note(start, length, pitch_number(name), velocity) for name in names.split("+")]
        start += length
    return notes


def pattern(text: str, *, step: float = 0.25, start: float = 0.0, pitch: float = 60.0) -> list[Note]:
    """Strokes of a drum: ``X`` loud, ``x`` normal, ``o`` soft, ``-`` none, one character a step of that many beats."""
    loudness = {"X": 1.0, "x": 0.7, "o": 0.4}
    return [
        Note(start + i * step, step, pitch, loudness[mark])
        for i, mark in enumerate(text.replace(" ", ""))
        if mark != "-"
    ]


def shift(notes: Iterable[Note], *, beats: float = 0.0, semitones: float = 0.0) -> list[Note]:
    """The same notes later and higher."""
    return [replace(note, start=note.start + beats, pitch=note.pitch + semitones) for note in notes]


def loosen(notes: Iterable[Note], *, beats: float, velocity: float, seed: int) -> list[Note]:
    """Notes as a hand plays them: starts and velocities scattered by these standard deviations."""
    rng = np.random.default_rng(seed)
    return [
        replace(
            note,
            start=max(0.0, note.start + beats * rng.standard_normal()),
            velocity=float(np.clip(note.velocity + velocity * rng.standard_normal(), 0.05, 1.0)),
        )
        for note in notes
    ]


def render(
    notes: Iterable[Note],
    instrument: Instrument,
    *,
    tempo_bpm: float,
    rate: int = 44_100,
    swing: float = 0.5,
    gain: float = 1.0,
    pan: float = 0.0,
    spread: float = 0.0,
    seed: int = 0,
) -> Signal:
    """Play notes on one instrument.

    Parameters
    ----------
    swing : place of the off-beat in its beat; 0.5 is straight, 0.67 a full triplet swing.
    gain : factor on the samples.
    pan : -1 is left, 0 the middle, 1 right, at constant power.
    spread : how much an octave above or below middle C moves to the right or left, as on a keyboard.

    Returns
    -------
    (2, samples) float32, ending where the last note has rung out; not limited to [-1, 1].
    """
    tones: dict[tuple[float, float, float], Tone] = {}  # a note that comes again sounds the same and costs nothing
    placed = []
    for note in notes:
        start_s = _swung(note.start, swing) * 60 / tempo_bpm
        duration_s = _swung(note.start + note.length, swing) * 60 / tempo_bpm - start_s
        key = (note.pitch, round(duration_s, 3), round(note.velocity, 2))
        if key not in tones:
            rng = np.random.default_rng([seed, len(tones)])
            frequency_hz = 440.0 * 2 ** ((note.pitch - 69) / 12)
            tones[key] = note.velocity * instrument(frequency_hz, duration_s, note.velocity, rate, rng)
        place = np.clip(pan + spread * (note.pitch - 60) / 12, -1, 1)
        placed.append((round(start_s * rate), tones[key], (place + 1) * np.pi / 4))
    track = np.zeros((2, max((first + len(tone) for first, tone, _ in placed), default=0)))
    for first, tone, angle in placed:
        track[0, first : first + len(tone)] += gain * np.cos(angle) * tone
        track[1, first : first + len(tone)] += gain * np.sin(angle) * tone
    return track.astype(np.float32)


def _swung(beat: float, swing: float) -> float:
    whole, part = divmod(beat, 1.0)
    return whole + (2 * part * swing if part < 0.5 else swing + (2 * part - 1) * (1 - swing))


# Effects -----------------------------------------------------------------------------------------------------------


def mix(*tracks: Signal) -> Signal:
    """The sum of tracks, the shorter ones followed by silence."""
    total = np.zeros((2, max(track.shape[1] for track in tracks)), np.float32)
    for track in tracks:
        total[:, : track.shape[1]] += track
    return total


def reverb(signal: Signal, *, decay_s: float, wet: float, rate: int = 44_100, seed: int = 0) -> Signal:
    """A room: convolution with noise of each ear that falls by 60 dB in ``decay_s``, its treble twice as fast."""
    rng = np.random.default_rng([seed, 7])
    time = seconds(1.2 * decay_s, rate)
    noise = rng.standard_normal((2, len(time)))
    low = lowpass(noise, 2_500, rate)
    tail = low * 10 ** (-3 * time / decay_s) + 0.6 * (noise - low) * 10 ** (-6 * time / decay_s)
    tail = highpass(tail * np.clip(time / 0.02, 0, 1), 120, rate)
    tail /= np.sqrt((tail**2).sum(axis=1, keepdims=True))
    samples = signal.shape[1] + len(time) - 1
    padded = 1 << samples.bit_length()
    echoes = np.fft.irfft(np.fft.rfft(signal, padded) * np.fft.rfft(tail, padded), padded)[:, :samples]
    dry = np.pad(signal, ((0, 0), (0, samples - signal.shape[1])))
    return np.asarray((1 - wet) * dry + wet * echoes, np.float32)


def echo(signal: Signal, *, delay_s: float, feedback: float, wet: float, rate: int = 44_100) -> Signal:
    """Repeats that change sides."""
    delay = round(delay_s * rate)
    tracks, level = [signal], wet
    for repeat in range(1, 6):
        sides = signal[::-1] if repeat % 2 else signal
        tracks.append(np.pad(np.float32(level) * sides, ((0, 0), (repeat * delay, 0))))
        level *= feedback
    return mix(*tracks)


def drive(signal: Signal, gain: float) -> Signal:
    """Overdrive: the signal times ``gain``, bent into (-1, 1)."""
    return np.asarray(np.tanh(gain * signal), np.float32)


def duck(signal: Signal, *, tempo_bpm: float, depth: float, rate: int = 44_100) -> Signal:
    """Make room for a bass drum: the level falls by ``depth`` on every beat and comes back before the next one."""
    beat = np.arange(signal.shape[1]) / rate * tempo_bpm / 60 % 1.0
    return np.asarray(signal * (1 - depth * (1 - np.clip(beat / 0.6, 0, 1)) ** 2), np.float32)


def fit(signal: Signal, duration_s: float, *, fade_s: float, rate: int = 44_100) -> Signal:
    """Cut, or fill with silence, to a duration; the last ``fade_s`` seconds die away."""
    samples = round(duration_s * rate)
    signal = np.pad(signal, ((0, 0), (0, max(0, samples - signal.shape[1]))))[:, :samples]
    fade = np.clip((samples - 1 - np.arange(samples)) / (fade_s * rate), 0, 1)
    return np.asarray(signal * np.sin(np.pi / 2 * fade) ** 2, np.float32)


def set_peak(signal: Signal, peak_db: float) -> Signal:
    """The largest sample at this level in dB of full scale."""
    return np.asarray(signal * (10 ** (peak_db / 20) / np.abs(signal).max()), np.float32)


def loudness_db(signal: NDArray[np.floating], rate: int) -> float:
    """Loudness in LUFS of the whole signal: K-weighted as in ITU-R BS.1770, but not gated."""
    hz = np.asarray(np.fft.rfftfreq(signal.shape[-1], 1 / rate), np.float64)
    power = np.abs(np.fft.rfft(np.atleast_2d(signal))) ** 2 * k_weighting(hz)
    mean_square = 2 * power.sum() / signal.shape[-1] ** 2  # Parseval; the spectrum is the half of two
    return float(-0.691 + 10 * np.log10(mean_square))


# Controlled pairs --------------------------------------------------------------------------------------------------

PAIR_S = 15.0  # seconds of each signal
PAIR_TEMPO_BPM = 96.0
PAIR_LOUDNESS_DB = -30.0  # LUFS of all signals but those of the loudness axis, so that loudness gives nothing away
VOICES: dict[str, Instrument] = {"piano": piano, "pluck": pluck, "strings": strings, "pulse": pulse}

TUNE = "E5:1 G5:.5 E5:.5 C5:1 E5:1 | A5:.5 G5:.5 F5:1 D5:1 F5:1 | E5:.5 D5:.5 C5:1 A4:1 C5:1 | B4:.5 C5:.5 D5:1 G4:2"
CHORDS = ("C3 G3 C4 E4", "F3 A3 C4 F4", "A3 C4 E4 A4", "G3 B3 D4 G4")  # one a bar


class ControlledPair(NamedTuple):
    """One tune played twice, different in one thing only; both signals mono float32 at ``SAMPLE_RATE``.

    The axis is one of tempo (slow, fast), mode (minor, major), register (low, high), harshness (soft, harsh), loudness
    (quiet, loud) and density (sparse, dense); ``low`` is the first of the two.
    """

    name: str
    axis: str
    low: Signal
    high: Signal


AXES = ("tempo", "mode", "register", "harshness", "loudness", "density")


def controlled_pairs(voices: Iterable[str] = VOICES) -> list[ControlledPair]:
    """Our own tune on each of four instruments along each of six axes: 24 pairs, always the same samples.

    All signals last ``PAIR_S`` seconds and, but for the axis of loudness, are equally loud.
    """
    pairs = []
    for voice in voices:
        instrument = VOICES[voice]
        plain = _play(instrument)
        for axis, low, high in (
            ("tempo", _play(instrument, tempo_bpm=60), _play(instrument, tempo_bpm=150)),
            ("mode", _play(instrument, minor=True), plain),
            ("register", _play(instrument, semitones=-12), _play(instrument, semitones=12)),
            ("harshness", np.asarray(lowpass(plain, 700, SAMPLE_RATE), np.float32), _roughen(plain)),
            ("loudness", plain, plain),
            ("density", _play(instrument, notes=_thin()), _play(instrument, notes=_thicken())),
        ):
            pairs.append(_pair(voice, axis, low, high, louder=axis == "loudness"))
    return pairs


def combined_pairs(voices: Iterable[str] = VOICES) -> list[ControlledPair]:
    """The same tune with all six changed at once, one pair for each instrument; the axis is ``together``."""
    pairs = []
    for voice in voices:
        instrument = VOICES[voice]
        low = _play(instrument, tempo_bpm=60, minor=True, semitones=-12, notes=_thin())
        high = _play(instrument, tempo_bpm=150, semitones=12, notes=_thicken())
        soft = np.asarray(lowpass(low, 700, SAMPLE_RATE), np.float32)
        pairs.append(_pair(voice, "together", soft, _roughen(high), louder=True))
    return pairs


def _pair(voice: str, axis: str, low: Signal, high: Signal, *, louder: bool) -> ControlledPair:
    step_db = 9.0 if louder else 0.0
    levels = (PAIR_LOUDNESS_DB - step_db, PAIR_LOUDNESS_DB + step_db)
    signals = [_level(signal, level) for signal, level in zip((low, high), levels, strict=True)]
    return ControlledPair(f"{axis}-{voice}", axis, signals[0], signals[1])


def _tune() -> list[Note]:
    """Four bars: the tune, and its chords as two half notes a bar."""
    notes = melody(TUNE, velocity=0.8)
    for bar, names in enumerate(CHORDS):
        notes += melody("{0}:2 {0}:2".format(names.replace(" ", "+")), start=4 * bar, velocity=0.45)
    return notes


def _thin() -> list[Note]:
    """Four bars: the first note of the tune and the chord, held through each bar."""
    notes = [replace(note, length=4.0) for note in melody(TUNE, velocity=0.8) if note.start % 4 == 0]
    for bar, names in enumerate(CHORDS):
        notes += melody(f"{names.replace(' ', '+')}:4", start=4 * bar, velocity=0.45)
    return notes


def _thicken() -> list[Note]:
    """Four bars: the tune in repeated semiquavers over semiquaver arpeggios of its chords."""
    notes = [
        Note(note.start + 0.25 * i, 0.25, note.pitch, 0.8)
        for note in melody(TUNE)
        for i in range(round(note.length / 0.25))
    ]
    for bar, names in enumerate(CHORDS):
        notes += [Note(4 * bar + 0.25 * i, 0.25, pitch_number(names.split()[i % 4]), 0.45) for i in range(16)]
    return notes


def _play(
    instrument: Instrument,
    *,
    tempo_bpm: float = PAIR_TEMPO_BPM,
    minor: bool = False,
    semitones: float = 0.0,
    notes: list[Note] | None = None,
) -> Signal:
    """The four bars again and again for ``PAIR_S`` seconds, in a small room."""
    bars = _tune() if notes is None else notes
    if minor:  # the harmonic minor: third and sixth lowered, the leading note kept
        bars = [replace(note, pitch=note.pitch - (note.pitch % 12 in (4, 9))) for note in bars]
    rounds = int(np.ceil(PAIR_S * tempo_bpm / 60 / 16))
    played = [note for i in range(rounds) for note in shift(bars, beats=16 * i, semitones=semitones)]
    track = render(played, instrument, tempo_bpm=tempo_bpm, rate=SAMPLE_RATE, seed=3)
    return fit(reverb(track, decay_s=0.8, wet=0.15, rate=SAMPLE_RATE), PAIR_S, fade_s=0.5, rate=SAMPLE_RATE)


def _roughen(signal: Signal) -> Signal:
    """Overdriven, shaken 70 times a second, and breathed on: rough, bright and noisy at the same notes."""
    shake = 1 + 0.8 * np.sin(2 * np.pi * 70 * np.arange(signal.shape[1]) / SAMPLE_RATE)
    bent = drive(set_peak(signal, 0.0), 12.0) * shake
    noise = highpass(np.random.default_rng(5).standard_normal(signal.shape), 1_500, SAMPLE_RATE)
    return np.asarray(bent + 0.15 * noise * np.sqrt(np.abs(bent)), np.float32)


def _level(signal: Signal, level_db: float) -> Signal:
    mono = signal.mean(axis=0)
    return np.asarray(mono * 10 ** ((level_db - loudness_db(mono, SAMPLE_RATE)) / 20), np.float32)
