"""Write the six example pieces into this folder: original music in contrasting moods and six file formats.

    python examples/compose.py            all six
    python examples/compose.py drift      one of them

Each piece is a function that returns a `Piece`: its sound, sample rate and encoding. The synthesizer is
`clavilux.evaluation.synth`. Random numbers are seeded, so the same versions of NumPy and PyAV write the same files.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np

from clavilux.evaluation import instruments as play
from clavilux.evaluation.synth import (
    Note,
    Signal,
    drive,
    duck,
    echo,
    fit,
    loosen,
    melody,
    mix,
    pattern,
    pitch_number,
    render,
    reverb,
    set_peak,
    shift,
)

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Piece:
    """A finished piece: sound (2, samples), sample rate in Hz, file name, FFmpeg encoder and its options."""

    sound: Signal
    rate: int
    file: str
    codec: str
    options: dict[str, str]
    layout: str = "stereo"


def nocturne() -> Piece:
    """Slow and sad: a piano alone in A minor, in three-four time at 58 beats a minute."""
    rate, tempo = 22_050, 58
    left = (
        "A2 E3 A3 C4 A3 E3, F2 C3 F3 A3 F3 C3, G2 C3 E3 G3 E3 C3, E2 B2 D3 G#3 D3 B2,"
        "A2 E3 A3 C4 A3 E3, D2 A2 D3 F3 A3 F3, E2 B2 D3 G#3 D3 B2, A2 E3 A3 C4 B3 A3"
    )
    right = (
        "E5:1.5 D5:.5 C5:1 | C5:1.5 B4:.5 A4:1 | G4:1 C5:1 E5:1 | D5:1.5 C5:.5 B4:1 |"
        "A5:2 G5:.5 E5:.5 | F5:1.5 E5:.5 D5:1 | C5:1 B4:1 G#4:1 | A4:3"
    )
    arpeggios: list[Note] = []
    for bar, names in enumerate(left.split(",")):
        for i, name in enumerate(names.split()):  # the pedal holds each note to the end of its bar
            arpeggios.append(Note(3 * bar + i / 2, 3 - i / 2, pitch_number(name), 0.42 if i == 0 else 0.3))
    song = [replace(note, length=note.length + 0.3) for note in melody(right, velocity=0.62)]
    close = [
        Note(24 + 0.12 * i, 4, pitch_number(name), 0.3) for i, name in enumerate(("A2", "E3", "A3", "C4", "E4", "A4"))
    ]
    notes = [
        _slowing(note, from_beat=19) for note in loosen(arpeggios + song + close, beats=0.015, velocity=0.04, seed=1)
    ]
    dry = render(notes, play.piano, tempo_bpm=tempo, rate=rate, spread=0.14, seed=1)
    sound = fit(reverb(dry, decay_s=2.4, wet=0.28, rate=rate, seed=1), 31.0, fade_s=2.0, rate=rate)
    sound = np.asarray(play.lowpass(sound, 5_000, rate), np.float32)  # a soft piano, and a file a quarter smaller
    return Piece(set_peak(sound, -12.0), rate, "nocturne.flac", "flac", {"compression_level": "12"})


def _slowing(note: Note, *, from_beat: float) -> Note:
    """Slow down: after ``from_beat`` each beat is longer than the one before."""
    late = max(0.0, note.start - from_beat)
    return replace(note, start=note.start + 0.028 * late**2, length=note.length * (1 + 0.056 * late))


def carnival() -> Piece:
    """Fast and bright: a dance in D major with four bass drums a bar, at 128 beats a minute."""
    rate, tempo = 44_100, 128
    chords = ("D4+F#4+A4+D5", "C#4+E4+A4+C#5", "D4+F#4+B4+D5", "D4+G4+B4+D5")
    roots = ("D2", "A1", "B1", "G1")
    song = (
        "F#5:.75 A5:.75 F#5:.5 E5:.5 D5:.5 E5:.5 F#5:.5 | E5:.75 C#5:.75 A4:.5 E5:.5 E5:.5 F#5:.5 E5:.5 |"
        "D5:.75 F#5:.75 B5:.5 A5:.5 F#5:.5 E5:.5 D5:.5 | B4:.75 D5:.75 G5:.5 F#5:.5 E5:.5 D5:.5 E5:.5 |"
        "F#5:.75 A5:.75 D6:.5 C#6:.5 A5:.5 F#5:.5 A5:.5 | E5:.75 A5:.75 C#6:.5 B5:.5 A5:.5 F#5:.5 E5:.5 |"
        "D5:.75 F#5:.75 B5:.5 A5:.5 F#5:.5 A5:.5 B5:.5 | G5:.75 F#5:.75 E5:.5 D5:.5 E5:.5 F#5:.5 E5:.5"
    )
    bars = range(12)
    stabs = [note for bar in bars for note in melody(f"-:.5 {chords[bar % 4]}:.4 -:.1 " * 4, start=4 * bar)]
    low = [
        note
        for bar in bars
        for note in melody(
            " ".join(f"{roots[bar % 4]}:.5 {roots[bar % 4][:-1]}{int(roots[bar % 4][-1]) + 1}:.5" for _ in range(4)),
            start=4 * bar,
        )
    ]
    runs = [
        Note(4 * bar + i / 4, 0.25, pitch_number(chords[bar % 4].split("+")[(i * 3) % 4]) + 12, 0.5)
        for bar in bars[4:]
        for i in range(16)
    ]
    tune = melody(song, start=16, velocity=0.8)
    final = melody("D2+D3:1", start=48), melody("D4+F#4+A4+D5+F#5:1.5", start=48, velocity=1.0)
    fill = pattern("x-x-x-xxxxxxXXXX", start=44)

    def part(notes: list[Note], instrument: play.Instrument, gain: float, pan: float = 0.0) -> Signal:
        return render(notes, instrument, tempo_bpm=tempo, rate=rate, gain=gain, pan=pan, seed=2)

    harmony = mix(part(stabs, play.supersaw, 0.6), part(final[1], play.supersaw, 0.7))
    lead = mix(part(tune, play.pulse, 0.9), part(shift(tune, semitones=-12), play.supersaw, 0.6, -0.2))
    lead = echo(lead, delay_s=0.75 * 60 / tempo, feedback=0.35, wet=0.3, rate=rate)
    drums = mix(
        part(pattern("X---X---X---X---" * 12 + "X---"), play.kick, 0.8),
        part(pattern("----x-------x---" * 11, start=0) + fill, play.clap, 0.7),
        part(pattern("--x---x---x---x-" * 12), play.hat, 0.8, 0.25),
        part(pattern("o-oox-oo" * 16, start=16), play.hat, 0.5, -0.3),
    )
    wet = reverb(
        mix(duck(harmony, tempo_bpm=tempo, depth=0.7, rate=rate), lead, part(runs, play.pluck, 0.5, 0.5)),
        decay_s=1.1,
        wet=0.18,
        rate=rate,
        seed=2,
    )
    sound = mix(wet, duck(part(low + final[0], play.bass, 0.45), tempo_bpm=tempo, depth=0.5, rate=rate), drums)
    sound = fit(drive(set_peak(sound, 0.0), 1.8), 25.0, fade_s=0.8, rate=rate)
    return Piece(set_peak(sound, -1.5), rate, "carnival.mp3", "libmp3lame", {"b": "128k"})


def foundry() -> Piece:
    """Harsh: noise rock on E with its tritone, machines and iron, at 100 beats a minute."""
    rate, tempo = 44_100, 100
    riff = (
        "E2+B2+E3:.5 E2+B2:.25 E2+B2:.25 -:.25 F2+C3+F3:.75 E2+B2:.5 E2+B2:.5 A#2+E3+A#3:1 |"
        "E2+B2+E3:.5 E2+B2:.25 E2+B2:.25 -:.25 G2+D3+G3:.75 F2+C3:.5 F2+C3:.25 F2+C3:.25 A#1+F2+A#2:1"
    )
    bars = melody(riff, velocity=0.9)
    guitar = [note for turn in range(5) for note in shift(bars, beats=8 * turn)]
    root = [note for note in guitar if note.pitch < pitch_number("A#2") and note.pitch != pitch_number("B2")]

    def part(notes: list[Note], instrument: play.Instrument, gain: float, pan: float = 0.0, seed: int = 3) -> Signal:
        return render(notes, instrument, tempo_bpm=tempo, rate=rate, gain=gain, pan=pan, seed=seed)

    def amplifier(seed: int, pan: float) -> Signal:  # two takes, one on each side
        take = part(loosen(guitar, beats=0.012, velocity=0.05, seed=seed), play.pluck, 1.0, seed=seed)
        cabinet = play.lowpass(play.highpass(drive(take, 40.0), 90, rate), 5_200, rate)
        return np.asarray(cabinet * np.array([[1 - pan], [1 + pan]]) * 0.4, np.float32)

    drums = mix(
        part(pattern("X--X--X-X-XX--X-" * 10), play.kick, 1.2),
        part(pattern("----X-------X-oo" * 9 + "XXXXXXXXXXXXXXXX"), play.snare, 1.2),
        part(pattern("x-x-x-x-" * 20), play.hat, 0.9, 0.3),
    )
    iron = mix(
        part(pattern("x--x--x--x--x-x-" * 8, start=8, pitch=pitch_number("C5")), play.metal, 0.7, -0.6),
        part(pattern("--X-----X----X--" * 6, start=16, pitch=pitch_number("F#4")), play.metal, 0.9, 0.6),
    )
    howl = part(melody("A#5:6 -:2 B5:6 -:2 E6:7.5", start=16, velocity=0.7), play.siren, 0.5, 0.2)
    rng = np.random.default_rng(3)
    steam = rng.standard_normal((2, round(24.3 * rate)))
    strokes = np.arange(steam.shape[1]) / rate * tempo / 60  # in beats
    gusts = (np.sin(np.pi * np.clip(strokes % 8 - 6, 0, 1)) + 0.25 * (strokes % 0.25 < 0.06)) * np.clip(
        strokes / 8, 0, 1
    )
    steam = np.asarray(0.35 * gusts * play.highpass(steam, 1_800, rate), np.float32)
    low = drive(part(root, play.bass, 1.0), 6.0) * np.float32(0.35)
    sound = reverb(
        mix(amplifier(3, -0.8), amplifier(4, 0.8), low, drums, iron, howl, steam), decay_s=0.7, wet=0.12, rate=rate
    )
    sound = fit(drive(set_peak(sound, 0.0), 3.5), 25.0, fade_s=0.6, rate=rate)
    # FFmpeg calls its own Vorbis encoder experimental; what it writes is an ordinary, if large, Vorbis stream. Its
    # quality 2 (236 / 118) overshoots the peaks of noise by 4 dB.
    options = {"strict": "experimental", "flags": "+qscale", "global_quality": "236"}
    return Piece(set_peak(sound, -6.0), rate, "foundry.ogg", "vorbis", options)


def drift() -> Piece:
    """Quiet: slow chords around D without a beat, and a few far bells."""
    rate, tempo = 48_000, 60
    chords = ("D2+A2+D3+E3+A3", "A#1+F2+C3+D3+A3", "G1+D2+A#2+D3+A3", "D2+A2+D3+E3+B3")
    voices = [note for i, names in enumerate(chords) for note in melody(f"{names}:10", start=8 * i, velocity=0.6)]
    bells = [
        Note(start, 1.0, pitch_number(name), velocity)
        for start, name, velocity in (
            (6, "A5", 0.5),
            (11.5, "D6", 0.35),
            (13, "C6", 0.3),
            (21, "A5", 0.45),
            (27.5, "E6", 0.3),
        )
    ]
    pads = render(voices, play.pad, tempo_bpm=tempo, rate=rate, spread=0.2, seed=4)
    chimes = render(bells, play.bell, tempo_bpm=tempo, rate=rate, gain=0.16, spread=-0.2, seed=4)
    sound = mix(
        reverb(pads, decay_s=3.5, wet=0.5, rate=rate, seed=4), reverb(chimes, decay_s=5.0, wet=0.75, rate=rate, seed=5)
    )
    sound = np.asarray(play.lowpass(sound, 2_400, rate), np.float32)
    return Piece(set_peak(fit(sound, 38.0, fade_s=5.0, rate=rate), -17.0), rate, "drift.opus", "libopus", {"b": "64k"})


def parade() -> Piece:
    """Merry: a march in C major at 144 beats a minute on an early game machine, in its mono and 8 bits."""
    rate, tempo = 22_050, 144
    song = (
        "G4:.5 G4:.25 G4:.25 C5:1 C5:1 D5:1 | E5:1.5 D5:.5 C5:1 G4:1 |"
        "A4:.5 A4:.25 A4:.25 F5:1 E5:1 D5:1 | G5:2 G4:1 -:1 |"
        "G4:.5 G4:.25 G4:.25 C5:1 C5:1 D5:1 | E5:1.5 F5:.5 G5:1 E5:1 | F5:.75 E5:.25 D5:1 E5:.75 D5:.25 C5:1 |"
        "D5:1 B4:1 C5:1 -:1 |"
        "A5:1 F5:.5 A5:.5 G5:1 E5:.5 G5:.5 | F5:1 D5:.5 F5:.5 E5:1 C5:1 | D5:.5 E5:.5 F5:.5 D5:.5 G5:1 B4:1 |"
        "C5:.5 G4:.25 G4:.25 C5:.5 E5:.5 C6:1 -:1"
    )
    triads = {"C": "C4 E4 G4", "F": "C4 F4 A4", "G": "B3 D4 G4", "d": "D4 F4 A4"}
    steps = {"C": ("C3", "G2"), "F": ("F2", "C3"), "G": ("G2", "D3"), "d": ("D3", "A2")}
    halves = "CCCCFdGGCCCCdCGCFCdCdGCC"  # two chords a bar, d for D minor
    tune = melody(song, velocity=0.9)
    second = [
        Note(2 * half + i / 4, 0.22, pitch_number(triads[chord].split()[i % 3]), 0.4)
        for half, chord in enumerate(halves[:-1])
        for i in range(8)
    ]
    low = [
        note
        for half, chord in enumerate(halves[:-1])
        for note in melody("{}:.8 -:.2 {}:.8".format(*steps[chord]), start=2 * half)
    ]
    low += melody("C3:.5 -:.5 C2:1", start=45)
    sound = mix(
        render(tune, play.pulse, tempo_bpm=tempo, rate=rate, gain=0.8, seed=6),
        render(second, play.pulse, tempo_bpm=tempo, rate=rate, gain=0.6, seed=6),
        render(low, play.triangle, tempo_bpm=tempo, rate=rate, gain=0.5, seed=6),
        render(
            pattern("X--xx-xxX-xxX-X-" * 11 + "X--xX-xxX"), play.snare, tempo_bpm=tempo, rate=rate, gain=0.35, seed=6
        ),
        render(pattern("X---x---" * 22 + "X---X---X"), play.kick, tempo_bpm=tempo, rate=rate, gain=0.6, seed=6),
    )
    sound = fit(sound, 20.0, fade_s=0.2, rate=rate)
    return Piece(set_peak(sound, -3.0), rate, "parade.wav", "pcm_u8", {}, layout="mono")


def corner() -> Piece:
    """Easy-going: swung guitar, walking bass and cymbal in F with a piano behind, at 138 beats a minute."""
    rate, tempo, swing = 44_100, 138, 0.64
    song = (
        "-:.5 D5:.5 F5:.5 A5:.5 G5:1 -:.5 D5:.5 | E5:.5 D5:.5 C5:.5 Bb4:.5 A4:1.5 -:.5 |"
        "-:.5 C5:.5 A4:.5 C5:.5 E5:1 -:.5 C5:.5 | F5:.5 E5:.5 D5:.5 C5:.5 A4:1 -:1 |"
        "Bb4:.5 D5:.5 F5:.5 A5:.5 Bb5:1 A5:.5 G5:.5 | E5:1 G5:.5 E5:.5 Db5:.5 Bb4:.5 G4:1 |"
        "C5:.5 E5:.5 G5:.5 E5:.5 C5:1 -:1 | F#5:1 Eb5:.5 C5:.5 A4:.5 F#4:.5 A4:.5 C5:.5 |"
        "Bb4:1.5 A4:.5 G4:1 D5:1 | E5:.5 F5:.5 G5:.5 Bb5:.5 A5:.5 G5:.5 E5:.5 C5:.5 |"
        "A5:1 F5:.5 C5:.5 F#5:1 Eb5:.5 C5:.5 | B4:.5 D5:.5 F5:.5 A5:.5 G5:.5 E5:.5 Bb4:.5 A4:.5 | A4:.5 C5:.5 F5:3"
    )
    walk = (
        "G2 Bb2 D3 Db3, C3 Bb2 G2 E2, F2 A2 C3 E3, D3 C3 A2 Ab2, G2 A2 Bb2 B2, C3 E3 G3 G#3, A3 G3 E3 Eb3,"
        "D3 F#3 A2 Ab2, G2 Bb2 D3 Db3, C3 Bb2 G2 E2, F2 C3 D3 F#3, G3 D3 C3 E2"
    )
    shells = (
        "F3+Bb3+D4, E3+Bb3+D4, E3+A3+C4, F3+C4+E4, F3+Bb3+D4, E3+Bb3+Db4, G3+C4+E4, F#3+C4+Eb4,"
        "F3+Bb3+D4, E3+Bb3+D4, E3+A3+C4, F3+B3+E4"
    )
    guitar = loosen(melody(song, velocity=0.62), beats=0.012, velocity=0.06, seed=7)
    bass = [
        note
        for bar, names in enumerate(walk.split(","))
        for note in melody(" ".join(f"{name}:1" for name in names.split()), start=4 * bar, velocity=0.7)
    ] + melody("F2:3.5", start=48)
    comping = [
        note
        for bar, shell in enumerate(shells.replace(" ", "").split(","))
        for note in melody(
            f"-:1.5 {shell}:.4 -:1.1 {shell}:.7" if bar % 2 else f"{shell}:1 -:.5 {shell}:.4", start=4 * bar
        )
    ]
    comping += melody("A3+D4+G4+C5:3.5", start=48)

    def part(notes: list[Note], instrument: play.Instrument, gain: float, pan: float = 0.0) -> Signal:
        return render(notes, instrument, tempo_bpm=tempo, rate=rate, swing=swing, gain=gain, pan=pan, seed=7)

    drums = mix(
        part(pattern("x-xox-xo" * 12, step=0.5), play.ride, 0.5, 0.35),
        part(pattern("-x-x" * 12, step=1.0), play.hat, 0.7, 0.35),
        part(
            loosen(pattern("---o-----o---o--" * 6, step=0.5), beats=0.01, velocity=0.08, seed=8), play.snare, 0.4, 0.2
        ),
        part(pattern("oooo" * 12 + "x", step=1.0), play.kick, 0.35),
    )
    quiet = [replace(note, velocity=0.4) for note in loosen(comping, beats=0.01, velocity=0.0, seed=9)]
    sound = mix(
        part(guitar, play.pluck, 0.7, -0.25), part(bass, play.pluck, 1.0), part(quiet, play.piano, 0.9, -0.1), drums
    )
    sound = fit(reverb(sound, decay_s=0.9, wet=0.14, rate=rate, seed=7), 23.5, fade_s=0.8, rate=rate)
    return Piece(set_peak(drive(set_peak(sound, 0.0), 1.3), -3.0), rate, "corner.m4a", "aac", {"b": "112k"})


PIECES: dict[str, Callable[[], Piece]] = {
    "nocturne": nocturne,
    "carnival": carnival,
    "foundry": foundry,
    "drift": drift,
    "parade": parade,
    "corner": corner,
}


def encode(piece: Piece, path: Path) -> None:
    """Encode and write a piece, whole or not at all."""
    unfinished = path.with_name(f".{path.name}")
    samples = piece.sound.mean(axis=0, keepdims=True) if piece.layout == "mono" else piece.sound
    form = {".opus": "opus", ".ogg": "ogg", ".m4a": "mp4"}.get(path.suffix, path.suffix[1:])
    with av.open(str(unfinished), "w", format=form) as container:
        stream = container.add_stream(piece.codec, rate=piece.rate, layout=piece.layout, options=piece.options)
        whole = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=piece.layout)
        whole.rate, whole.pts = piece.rate, 0
        resampler = av.AudioResampler(format=stream.codec_context.format or "s16", layout=piece.layout, rate=piece.rate)
        for frame in [*resampler.resample(whole), *resampler.resample(None)]:
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    os.replace(unfinished, path)


def main() -> None:
    unknown = set(sys.argv[1:]) - set(PIECES)
    if unknown:
        sys.exit(f"no such piece: {', '.join(sorted(unknown))}; there are {', '.join(PIECES)}")
    for name in sys.argv[1:] or PIECES:
        piece = PIECES[name]()
        path = FOLDER / piece.file
        encode(piece, path)
        print(f"{path.name}  {piece.sound.shape[1] / piece.rate:.1f} s  {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
