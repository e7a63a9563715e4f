"""Measure the features of a song with Clavilux and with librosa; `speed.py` times these functions."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def measure_with_clavilux(song: Path | str) -> list[np.ndarray]:
    """Decode a song and return the MFCC of its windows, without other features."""
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


def load_with_librosa(song: Path | str) -> np.ndarray:
    """Decode a song with librosa and return its MFCC."""
    import librosa

    sound, rate = librosa.load(song, sr=22_050)
    return librosa.feature.mfcc(y=sound, sr=rate, n_mfcc=20)


def measure_with_librosa(song: Path | str) -> None:
    """Measure what librosa has of the features of `clavilux.audio.song`: no loudness, key, mode and roughness."""
    import librosa

    sound, rate = librosa.load(song, sr=22_050)
    librosa.feature.mfcc(y=sound, sr=rate, n_mfcc=20)
    onset = librosa.onset.onset_strength(y=sound, sr=rate)
    librosa.beat.beat_track(onset_envelope=onset, sr=rate)
    librosa.feature.spectral_centroid(y=sound, sr=rate)
    librosa.feature.spectral_bandwidth(y=sound, sr=rate)
    librosa.feature.spectral_flatness(y=sound)
