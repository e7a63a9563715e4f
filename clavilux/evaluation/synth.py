"""A small synthesizer for the example pieces, the controlled pairs and tests.

A piece is written as text (`melody`, `pattern`), played on instruments (`render`), then mixed and processed. Notes are
timed in beats; signals are stereo, float32 of shape (2, samples). The same seed gives the same samples.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.filters import k_weighting
from clavilux.evaluation.instruments import Instrument, Tone, highpass, lowpass, sample_times

Signal = NDArray[np.float32]

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}  # semitones above C


# Notes -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Note:
    """A note; times are in beats."""

    start: float  # beats
    length: float  # beats
    pitch: float  # MIDI number; 69 is 440 Hz
    velocity: float = 0.8  # in (0, 1]


def pitch_number(name: str) -> int:
    """Return the MIDI number of a pitch such as ``A4`` (69), ``F#3`` or ``Bb2``; raise `ValueError` for other text."""
    step, sign, octave = name[:1], name[1:-1], name[-1:]
    if step not in _STEPS or sign not in ("", "#", "b") or not octave.isdigit():
        raise ValueError(f"{name!r} is not a pitch; write a letter from A to G, # or b, and an octave, as in F#3")
    return 12 * (int(octave) + 1) + _STEPS[step] + {"": 0, "#": 1, "b": -1}[sign]


def melody(text: str, *, start: float = 0.0, velocity: float = 0.8) -> list[Note]:
    """Return the notes of a melody that is written as text, such as ``C5:1 -:.5 A3+C4:2``.

    Each word is ``pitch:beats``. ``-`` is a rest, ``+`` joins the notes of a chord, ``|`` is ignored. ``start`` is the
    beat of the first note.

    Examples
    --------
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
    """Return the notes of a drum pattern that is written as text, such as ``X-x- X-xo``.

    Each character lasts `step` beats. ``X`` is a loud stroke, ``x`` a normal stroke, ``o`` a soft stroke, ``-`` a rest;
    spaces are ignored. All strokes have the same `pitch`, a MIDI number.
    """
    loudness = {"X": 1.0, "x": 0.7, "o": 0.4}
    return [
        Note(start + i * step, step, pitch, loudness[mark])
        for i, mark in enumerate(text.replace(" ", ""))
        if mark != "-"
    ]


def shift(notes: Iterable[Note], *, beats: float = 0.0, semitones: float = 0.0) -> list[Note]:
    """Return the notes, moved in time by `beats` and in pitch by `semitones`."""
    return [replace(note, start=note.start + beats, pitch=note.pitch + semitones) for note in notes]


def loosen(notes: Iterable[Note], *, beats: float, velocity: float, seed: int) -> list[Note]:
    """Return the notes with normal noise added to their starts and velocities.

    ``beats`` and ``velocity`` are the standard deviations of the noise.
    """
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
    """Play notes on one instrument, and return the signal (2, samples) float32; it may exceed [-1, 1].

    Parameters
    ----------
    notes : iterable of Note
    instrument : Instrument
    tempo_bpm : float
        Beats per minute.
    rate : int
        Sample rate in Hz.
    swing : float
        Position of the off-beat within its beat: 0.5 is straight, 0.67 a full triplet swing.
    gain : float
        Factor on the samples.
    pan : float
        From -1 (left) to 1 (right), at constant power.
    spread : float
        Change of the pan per octave above middle C.
    seed : int
        Random seed of the noise of the instrument.
    """
    tones: dict[tuple[float, float, float], Tone] = {}  # repeated notes are synthesised once
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
    """Return the time in beats at which a note written at `beat` is played; off-beats move to the position `swing`."""
    whole, part = divmod(beat, 1.0)
    return whole + (2 * part * swing if part < 0.5 else swing + (2 * part - 1) * (1 - swing))


# Effects -----------------------------------------------------------------------------------------------------------


def mix(*tracks: Signal) -> Signal:
    """Return the sum of signals (2, n); shorter signals are padded with silence at the end."""
    total = np.zeros((2, max(track.shape[1] for track in tracks)), np.float32)
    for track in tracks:
        total[:, : track.shape[1]] += track
    return total


def reverb(signal: Signal, *, decay_s: float, wet: float, rate: int = 44_100, seed: int = 0) -> Signal:
    """Return a signal (2, n) with reverb: a mix of the signal and of its convolution with decaying noise.

    Below 2.5 kHz, the noise falls by 60 dB in `decay_s` seconds; above 2.5 kHz, it falls twice as fast. `wet` is the
    fraction of the reverb in the mix.
    """
    rng = np.random.default_rng([seed, 7])
    time = sample_times(1.2 * decay_s, rate)
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
    """Return a signal (2, n) with five echoes, `delay_s` seconds apart.

    The first, third and fifth echo have left and right swapped. `wet` is the level of the first echo; each further echo
    has `feedback` times the level of the echo before it.
    """
    delay = round(delay_s * rate)
    tracks, level = [signal], wet
    for repeat in range(1, 6):
        sides = signal[::-1] if repeat % 2 else signal
        tracks.append(np.pad(np.float32(level) * sides, ((0, 0), (repeat * delay, 0))))
        level *= feedback
    return mix(*tracks)


def drive(signal: Signal, gain: float) -> Signal:
    """Return the signal (2, n) with overdrive: tanh(gain * signal)."""
    return np.asarray(np.tanh(gain * signal), np.float32)


def duck(signal: Signal, *, tempo_bpm: float, depth: float, rate: int = 44_100) -> Signal:
    """Return the signal (2, n) with its amplitude lowered by the fraction `depth` at the start of each beat.

    This imitates sidechain compression by a bass drum.
    """
    beat = np.arange(signal.shape[1]) / rate * tempo_bpm / 60 % 1.0
    return np.asarray(signal * (1 - depth * (1 - np.clip(beat / 0.6, 0, 1)) ** 2), np.float32)


def fit(signal: Signal, duration_s: float, *, fade_s: float, rate: int = 44_100) -> Signal:
    """Return the signal (2, n), cut or padded to a duration, with a fade-out over the last `fade_s` seconds."""
    samples = round(duration_s * rate)
    signal = np.pad(signal, ((0, 0), (0, max(0, samples - signal.shape[1]))))[:, :samples]
    fade = np.clip((samples - 1 - np.arange(samples)) / (fade_s * rate), 0, 1)
    return np.asarray(signal * np.sin(np.pi / 2 * fade) ** 2, np.float32)


def set_peak(signal: Signal, peak_db: float) -> Signal:
    """Return the signal (2, n), scaled so that its peak is `peak_db` dBFS."""
    return np.asarray(signal * (10 ** (peak_db / 20) / np.abs(signal).max()), np.float32)


def set_loudness(signal: NDArray[np.floating], level_db: float, rate: int) -> Signal:
    """Return the signal (n,) or (channels, n), scaled so that its `loudness_db` is `level_db`."""
    return np.asarray(signal * 10 ** ((level_db - loudness_db(signal, rate)) / 20), np.float32)


def loudness_db(signal: NDArray[np.floating], rate: int) -> float:
    """Return the loudness in LUFS of a signal (n,) or (channels, n), K-weighted as in ITU-R BS.1770 but not gated."""
    hz = np.asarray(np.fft.rfftfreq(signal.shape[-1], 1 / rate), np.float64)
    power = np.abs(np.fft.rfft(np.atleast_2d(signal))) ** 2 * k_weighting(hz)
    mean_square = 2 * power.sum() / signal.shape[-1] ** 2  # Parseval; 2 for the negative frequencies
    return float(-0.691 + 10 * np.log10(mean_square))
