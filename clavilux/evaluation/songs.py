"""Songs for the measures: whole, and as two halves that share no sample.

files -> **here** -> song codes (n, S) and codes of halves (n, 2, S), raw, in the order of the bundle
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clavilux.audio import read_blocks
from clavilux.bundle import open_bundle
from clavilux.descriptors import describe
from clavilux.engine import Engine
from clavilux.errors import AudioError
from clavilux.features import measure_features
from clavilux.listen import AUDIBLE_DB

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Heard:
    """n songs that could be listened to.

    files : their files. codes : (n, S), the whole songs. halves : (n, 2, S). descriptors : (n,) each, of whole songs.
    mfcc : (n, 2, 40) means and deviations of the MFCC rows of each half, the plain yardstick.
    faults : lines about files that could not be listened to.
    """

    files: list[Path]
    codes: Float32
    halves: Float32
    descriptors: dict[str, Float32]
    mfcc: Float32
    faults: list[str]


def hear_songs(files: Sequence[Path], bundle: str, *, max_s: float, jobs: int) -> Heard:
    """Listen to all files, on `jobs` processes, each to `max_s` seconds at most."""
    results = Parallel(n_jobs=jobs)(delayed(_hear)(file, bundle, max_s) for file in files)
    good = [(file, result) for file, result in zip(files, results, strict=True) if not isinstance(result, str)]
    if len(good) < 2:
        raise AudioError("fewer than two of these songs can be listened to; measures compare songs")
    names = list(good[0][1][0])
    return Heard(
        files=[file for file, _ in good],
        codes=np.stack([result[1] for _, result in good]),
        halves=np.stack([result[2] for _, result in good]),
        descriptors={name: np.array([result[0][name] for _, result in good], np.float32) for name in names},
        mfcc=np.stack([result[3] for _, result in good]),
        faults=[result for result in results if isinstance(result, str)],
    )


def _hear(file: Path, bundle: str, max_s: float) -> tuple[dict[str, float], Float32, Float32, Float32] | str:
    with threadpool_limits(1):
        try:
            blocks = list(read_blocks(file, max_s=max_s))
        except AudioError as error:
            return str(error)
        sound = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
        middle = len(sound) // 2
        engine = Engine(open_bundle(bundle))
        codes: list[Float32] = []
        mfcc: list[Float32] = []
        descriptors: dict[str, float] = {}
        for part in (sound, sound[:middle], sound[middle:]):
            features = measure_features([part])
            described = describe(features)
            audible = features.window_db >= AUDIBLE_DB
            windows = features.mfcc[audible] if audible.any() else features.mfcc
            z_audio = engine.window_codes(windows).mean(axis=0, dtype=np.float64)
            codes.append(np.array([*z_audio, *(described[name] for name in engine.bundle.descriptors)], np.float32))
            rows = windows.transpose(1, 0, 2).reshape(windows.shape[1], -1)
            mfcc.append(np.concatenate([rows.mean(axis=1), rows.std(axis=1)]))
            descriptors = descriptors or described
        return descriptors, codes[0], np.stack(codes[1:]), np.stack(mfcc[1:])
