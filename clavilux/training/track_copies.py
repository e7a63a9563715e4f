"""Measure degraded copies of recordings, from which the track embedding learns to ignore codec, level and noise.

recordings -> excerpts -> degraded copies (`clavilux.measures.copies`) -> statistics of windows, descriptors
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clavilux.audio.descriptors import DESCRIPTORS, describe
from clavilux.audio.feature_table import version_of
from clavilux.audio.features import measure_features
from clavilux.audio.mfcc import FeatureSettings
from clavilux.errors import TrainingError
from clavilux.measures.copies import random_copy, read_stereo, through
from clavilux.models.audio_vae import window_statistics
from clavilux.system.jobs import run_calls
from clavilux.system.tables import read_number
from clavilux.training.datasets import TRAINING, AudioFeatureDataset, read_descriptors
from clavilux.training.logs import log_counts
from clavilux.training.run import Run, cached

Float32 = NDArray[np.float32]

EXCERPT_S = 10.0


@dataclass(frozen=True)
class TrackCopies:
    """Measurements of sound: n excerpts, one per track, and C degraded copies of each excerpt (such as MP3, or noise).

    W is the number of windows of all excerpts and all copies.
    """

    names: list[str]  # names of the feature files of the tracks, in the order of the dataset
    track: NDArray[np.int64]  # (W,), index of the track of each window
    copy: NDArray[np.int64]  # (W,), number of the copy that a window is from, 1 to C; 0 for the excerpt itself
    statistics: Float32  # (W, S), statistics of the windows (`clavilux.models.audio_vae.window_statistics`)
    descriptors: NDArray[np.float64]  # (n, 1 + C, n_descriptors), in the order of `DESCRIPTORS`

    def of_tracks(self) -> list[torch.Tensor]:
        """Return the statistics (w, S) of the windows of each track's degraded copies, without the excerpt itself."""
        copied = self.copy > 0
        return [torch.from_numpy(self.statistics[copied & (self.track == index)]) for index in range(len(self.names))]

    def means(self, embed: Callable[[torch.Tensor], torch.Tensor]) -> NDArray[np.float64]:
        """Return the mean embeddings (n, 1 + C, K) of the windows of each excerpt and of each of its C copies.

        ``embed`` is a function from statistics (W, S) to embeddings (W, K).
        """
        with torch.no_grad():
            values = embed(torch.from_numpy(self.statistics)).double().numpy()
        means = np.zeros((*self.descriptors.shape[:2], values.shape[1]))
        np.add.at(means, (self.track, self.copy), values)
        counts = np.zeros(self.descriptors.shape[:2])
        np.add.at(counts, (self.track, self.copy), 1)
        return means / counts[..., None]


_NO_RECORDINGS = (
    "the track embedding and the gains of the mapping are learnt from degraded copies of recordings, and there are "
    "only feature files; give --audio the folder of music, or set copies = 0 below [track_embedding] in the recipe"
)


def check_recordings(run: Run) -> None:
    """Raise a `TrainingError` if a run needs copies of recordings, and has neither recordings nor copies."""
    if run.learns_from_copies and run.music is None and not (run.folder / f"copies-{TRAINING}.npz").exists():
        raise TrainingError(_NO_RECORDINGS)


def copy_tracks(run: Run, dataset: AudioFeatureDataset, split: str) -> TrackCopies:
    """Return measurements of degraded copies of the recordings of a dataset; they are cached in the run folder.

    Raises
    ------
    TrainingError
        If the run has feature files but no recordings, or one recording is missing.
    AudioError
        If a recording cannot be decoded.
    """
    recipe, settings = run.recipe.track_embedding, run.recipe.features
    key = [dataset.digest(), recipe.copies, EXCERPT_S, run.recipe.seed, version_of(settings)]

    def make() -> TrackCopies:
        if run.music is None:
            raise TrainingError(_NO_RECORDINGS)
        run.log(f"track copies: {recipe.copies} of {EXCERPT_S:.0f} s of each of {len(dataset.entries)} recordings")
        rows = read_descriptors(run.features)
        calls = []
        for entry in dataset.entries:
            row = rows[entry.name]
            path = run.music / row["file"]
            if not path.is_file():
                raise TrainingError(f"{path}: is missing; its features were measured in {run.features}")
            seconds = read_number(row, "seconds", TrainingError)
            calls.append(partial(_measure_copies, path, seconds, recipe.copies, run.recipe.seed, settings))
        counted = log_counts(run.log, "track copies: recordings done", len(calls))
        results = run_calls(calls, jobs=run.jobs, counted=counted)
        windows = [(index, number, part) for index, (parts, _) in enumerate(results) for number, part in parts]
        return TrackCopies(
            [entry.name for entry in dataset.entries],
            np.concatenate([np.full(len(part), index) for index, _, part in windows]),
            np.concatenate([np.full(len(part), number) for _, number, part in windows]),
            np.concatenate([part for *_, part in windows]),
            np.array([descriptors for _, descriptors in results]),
        )

    return cached(run, f"copies-{split}.npz", key, TrackCopies, make)


def _measure_copies(
    path: Path, seconds: float, copies: int, seed: int, settings: FeatureSettings
) -> tuple[list[tuple[int, Float32]], list[list[float]]]:
    """Return the statistics and the descriptors of a random excerpt of a recording and of degraded copies of it.

    The first list has pairs: the number of a copy (0 for the excerpt itself), and the statistics (w, S) of its windows.
    The second list has the descriptors of the excerpt and of each copy, in the order of `DESCRIPTORS`.
    """
    name = hashlib.sha256(path.name.encode()).digest()
    rng = np.random.default_rng([seed, int.from_bytes(name[:8], "big")])
    start_s = rng.uniform(0, max(0.0, seconds - EXCERPT_S))
    sound = read_stereo(path, start_s=start_s, max_s=EXCERPT_S)
    parts, descriptors = [], []
    with threadpool_limits(1):
        for number in range(1 + copies):
            mono = random_copy(sound, rng) if number else through(sound, "flac")
            features = measure_features([mono], settings)
            parts.append((number, window_statistics(torch.from_numpy(features.audible_mfcc)).numpy()))
            measured = describe(features)
            descriptors.append([measured[name] for name in DESCRIPTORS])
    return parts, descriptors
