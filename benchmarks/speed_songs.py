"""Synthesised songs for the benchmarks of speed."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

RATE = 44_100  # Hz


def write_song(path: Path, length_s: float, *, seed: int) -> Path:
    """Synthesise a song, write it as MP3 (192 kbit/s, stereo) and return its path; an existing file is kept.

    At most two minutes are composed; longer songs repeat them.
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
    """Return stereo sound (2, samples) float32: a piano plays a random melody over bass and drums, in a random key."""
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
