"""Compare the features of Clavilux with those of librosa on real recordings.

    python benchmarks/librosa_agreement.py AUDIO_DIR [--songs 20] [--seconds 60]

The songs are spread evenly over the sorted names of the folder. Both libraries measure the samples that
`clavilux.audio.decode` reads. Each row has the largest deviations of a song; "of max" is the largest onset strength.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import librosa
import numpy as np

from clavilux.audio.decode import AUDIO_SUFFIXES, read_blocks
from clavilux.audio.features import ONSET_FMAX_HZ, ONSET_RANGE_DB, measure_features
from clavilux.constants import MFCC_ROWS, SAMPLE_RATE, WINDOW_SAMPLES
from clavilux.errors import AudioError
from clavilux.system.files import list_folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audio_dir", type=Path)
    parser.add_argument("--songs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0, help="seconds of each song, from its start")
    given = parser.parse_args()
    files = list_folder(given.audio_dir, AUDIO_SUFFIXES).files
    chosen = [files[i] for i in np.unique(np.linspace(0, len(files) - 1, given.songs).round().astype(int))]
    print(f"largest deviation from librosa {librosa.__version__}")
    print(f"{'song':42}" + "".join(f"{column:>10}" for column in ("windows", "mfcc", "onset", "of max")))
    worst = np.zeros(2)
    for file in chosen:
        try:
            blocks = list(read_blocks(file, max_s=given.seconds))
        except AudioError as error:
            print(error)
            continue
        features, sound = measure_features(blocks), np.concatenate(blocks)
        windows = sound[: sound.size // WINDOW_SAMPLES * WINDOW_SAMPLES].reshape(-1, WINDOW_SAMPLES)
        mfcc = [librosa.feature.mfcc(y=window, sr=SAMPLE_RATE, n_mfcc=MFCC_ROWS) for window in windows]
        power = librosa.feature.melspectrogram(y=sound, sr=SAMPLE_RATE, fmax=ONSET_FMAX_HZ)
        bands_db = librosa.power_to_db(power, amin=1e-30, top_db=ONSET_RANGE_DB)
        onset = librosa.onset.onset_strength(S=bands_db, sr=SAMPLE_RATE)
        deviations = [
            np.abs(np.array(mfcc) - features.mfcc[: len(mfcc)]).max(initial=0.0),
            np.abs(onset - features.onset).max(),
        ]
        worst = np.maximum(worst, deviations)
        cells = "".join(f"{value:10.1e}" for value in deviations)
        print(f"{file.name[-40:]:42}{len(windows):10}{cells}{onset.max():10.1f}")
    print(f"{'worst':52}" + "".join(f"{value:10.1e}" for value in worst))


if __name__ == "__main__":
    main()
