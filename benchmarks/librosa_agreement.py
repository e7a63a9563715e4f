"""Compare the features of Clavilux with those of librosa on real recordings, and measure their cost.

    python benchmarks/librosa_agreement.py AUDIO_DIR [--songs 20] [--seconds 60]

Songs are chosen at equal distances from the sorted folder tree. Both measure the samples of `clavilux.audio.decode`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import librosa
import numpy as np

from clavilux.audio.decode import read_blocks
from clavilux.audio.descriptors import describe
from clavilux.audio.feature_files import find_sound
from clavilux.audio.features import measure_features
from clavilux.constants import MFCC_ROWS, SAMPLE_RATE, WINDOW_SAMPLES
from clavilux.errors import AudioError


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare features with librosa's on real recordings.")
    parser.add_argument("audio_dir", type=Path)
    parser.add_argument("--songs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0, help="seconds of each song, from its start")
    given = parser.parse_args()
    files = find_sound(given.audio_dir)
    chosen = [files[i] for i in np.unique(np.linspace(0, len(files) - 1, given.songs).round().astype(int))]
    print(f"largest deviation from librosa {librosa.__version__}; CPU seconds of decoding, features and descriptors")
    columns = ("windows", "mfcc", "chroma", "onset", "of max", "s", "decode", "features", "descr.")
    print(f"{'song':42}" + "".join(f"{column:>10}" for column in columns))
    worst = np.zeros(3)
    totals = np.zeros(4)
    for file in chosen:
        try:
            began = time.process_time()
            blocks = list(read_blocks(given.audio_dir / file, max_s=given.seconds))
            decoded = time.process_time()
        except AudioError as error:
            print(error)
            continue
        features = measure_features(blocks)
        measured = time.process_time()
        describe(features)
        described = time.process_time()
        costs = np.array([features.duration_s, decoded - began, measured - decoded, described - measured])
        sound = np.concatenate(blocks)
        n_whole = sound.size // WINDOW_SAMPLES
        windows = [sound[i * WINDOW_SAMPLES : (i + 1) * WINDOW_SAMPLES] for i in range(n_whole)]
        mfcc = max(
            (
                float(np.abs(librosa.feature.mfcc(y=y, sr=SAMPLE_RATE, n_mfcc=MFCC_ROWS) - ours).max())
                for y, ours in zip(windows, features.mfcc, strict=False)
            ),
            default=0.0,
        )
        onset = librosa.onset.onset_strength(y=sound, sr=SAMPLE_RATE)
        chroma = librosa.feature.chroma_stft(y=sound, sr=SAMPLE_RATE, tuning=0.0)
        deviations = [mfcc, float(np.abs(chroma - features.chroma).max()), float(np.abs(onset - features.onset).max())]
        worst = np.maximum(worst, deviations)
        totals += costs
        print(
            f"{file[-40:]:42}{n_whole:10}"
            + "".join(f"{value:10.1e}" for value in deviations)
            + f"{onset.max():10.1f}{costs[0]:10.0f}"
            + "".join(f"{value:10.2f}" for value in costs[1:])
        )
    print(f"{'worst':52}" + "".join(f"{value:10.1e}" for value in worst))
    per_3_minutes = totals[1:] * 180 / totals[0]
    print(f"CPU seconds for 3 minutes: decode {per_3_minutes[0]:.2f}, features {per_3_minutes[1]:.2f}, ", end="")
    print(f"descriptors {per_3_minutes[2]:.3f}")


if __name__ == "__main__":
    main()
