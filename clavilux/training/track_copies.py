"""Degraded copies of the recordings that the track embedding learns from.

recordings -> excerpts and `clavilux.measures.copies` -> statistics of windows, descriptors -> cache of the run
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
from clavilux.audio.mix import AUDIBLE_DB
from clavilux.errors import TrainingError
from clavilux.measures.copies import random_copy, read_stereo, through
from clavilux.models.audio_vae import window_statistics
from clavilux.system.jobs import run_calls
from clavilux.system.tables import read_number
from clavilux.training.datasets import AudioFeatureDataset, read_descriptors
from clavilux.training.run import Run, cached

Float32 = NDArray[np.float32]

EXCERPT_S = 10.0


@dataclass(frozen=True)
class TrackCopies:
    """Windows of an excerpt of each of n tracks and of C copies of it, W windows in all.

    Attributes
    ----------
    names : list of str
        Feature files of the tracks, in the order of the dataset.
    track, copy : (W,) int
        Index of the track of each window, and number of the copy; 0 is the excerpt itself.
    statistics : (W, S)
        Statistics of the windows, `clavilux.models.audio_vae.window_statistics`.
    descriptors : (n, 1 + C, descriptors)
        Descriptors of the excerpt and of the copies of each track, in the order of ``DESCRIPTORS``.
    """

    names: list[str]
    track: NDArray[np.int64]
    copy: NDArray[np.int64]
    statistics: Float32
    descriptors: NDArray[np.float64]

    def of_tracks(self) -> list[torch.Tensor]:
        """Return, for each track, the statistics (w, S) of the windows of its copies, without the excerpt itself."""
        return [
            torch.from_numpy(self.statistics[(self.track == index) & (self.copy > 0)])
            for index in range(len(self.names))
        ]

    def means(self, embed: Callable[[torch.Tensor], torch.Tensor]) -> NDArray[np.float64]:
        """Return the mean embedding over the windows of each excerpt and each copy, (n, 1 + C, K).

        ``embed`` is a function from statistics (W, S) to embeddings (W, K).
        """
        with torch.no_grad():
            values = embed(torch.from_numpy(self.statistics)).double().numpy()
        means = np.zeros((*self.descriptors.shape[:2], values.shape[1]))
        np.add.at(means, (self.track, self.copy), values)
        counts = np.zeros(self.descriptors.shape[:2])
        np.add.at(counts, (self.track, self.copy), 1)
        return means / counts[..., None]


def copy_tracks(run: Run, dataset: AudioFeatureDataset, split: str) -> TrackCopies:
    """Return degraded copies of the recordings of a dataset; they are cached in the folder of the run.

    Raises
    ------
    TrainingError
        If the run has feature files and no recordings, or a recording is missing.
    AudioError
        If a recording cannot be decoded.
    """
    recipe, settings = run.recipe.track_embedding, run.recipe.features
    digest = hashlib.sha256()
    for index in dataset.clips(1):
        digest.update(dataset[int(index)].numpy().tobytes())
    key = [digest.hexdigest(), recipe.copies, EXCERPT_S, run.recipe.seed, version_of(settings)]

    def make() -> TrackCopies:
        if run.music is None:
            raise TrainingError(
                "the track embedding learns from degraded copies of recordings, and there are only feature files; give "
                "--audio the folder of music, or set copies = 0 below [track_embedding] in the recipe"
            )
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
        results = run_calls(calls, jobs=run.jobs)
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
    """Return the statistics of the windows, and the descriptors, of an excerpt of a recording and of its copies."""
    name = hashlib.sha256(path.name.encode()).digest()
    rng = np.random.default_rng([seed, int.from_bytes(name[:8], "big")])
    start_s = rng.uniform(0, max(0.0, seconds - EXCERPT_S))
    sound = read_stereo(path, start_s=start_s, max_s=EXCERPT_S)
    parts, descriptors = [], []
    with threadpool_limits(1):
        for number in range(1 + copies):
            mono = random_copy(sound, rng) if number else through(sound, "flac")
            features = measure_features([mono], settings)
            audible = features.window_db >= AUDIBLE_DB
            windows = features.mfcc[audible] if audible.any() else features.mfcc
            parts.append((number, window_statistics(torch.from_numpy(windows)).numpy()))
            measured = describe(features)
            descriptors.append([measured[name] for name in DESCRIPTORS])
    return parts, descriptors
