"""The track embedding: windows of the same track are near each other after a short training."""

import numpy as np
import pytest
import torch

from clavilux.measures.similarity import same_song
from clavilux.models.audio_vae import TrackEmbedding
from clavilux.training.datasets import VALIDATION, AudioFeatureDataset
from clavilux.training.loop import LoopSettings, train
from clavilux.training.recipe import load_recipe
from clavilux.training.train_track_embedding import TrackEmbeddingTask


def _write_tracks(folder, n=40):
    """Write tracks that differ only in the frequency of row 3, not in mean or deviation of a row."""
    folder.mkdir()
    for index in range(n):
        rng = np.random.default_rng(index)
        windows = rng.standard_normal((6, 20, 216)).astype(np.float32)
        phase = rng.uniform(0, 2 * np.pi, (6, 1))
        windows[:, 3] = 10 * np.sin(2 * np.pi * (2 + index) * np.arange(216) / 216 + phase)
        np.save(folder / f"{index}.npy", windows)
    return AudioFeatureDataset(folder), AudioFeatureDataset(folder, VALIDATION)


@pytest.mark.slow
def test_training_separates_tracks_by_movement_and_not_by_level(tmp_path):
    training, validation = _write_tracks(tmp_path / "features")
    recipe = load_recipe("default").track_embedding
    torch.manual_seed(0)
    task = TrackEmbeddingTask(TrackEmbedding(8), training, validation, recipe, level_jitter_db=8.0)
    settings = LoopSettings(steps=200, batch=32, learning_rate=3e-3, warmup=10, ema=0.9, seed=0, precision="32-true")
    with torch.no_grad():
        before = _auc(task.network, training)
    network = train(task, settings, tmp_path / "run", resume=False, log=lambda line: None)
    with torch.no_grad():
        after = _auc(network, training)
    assert before < 0.75 < 0.9 < after


def _auc(network, dataset):
    """Return the AUC of matching the first and the last windows of all tracks, the last ones with other levels."""
    level = 10 * 128**0.5 * torch.tensor([1.0, -1.0, 1.0])
    halves = []
    for array in (file.windows() for file in dataset.files):
        first, last = torch.from_numpy(np.array(array)).split(3)
        last[:, 0] += level[:, None]
        halves.append([network(part).mean(dim=0).numpy() for part in (first, last)])
    points = np.array(halves)
    return same_song(points[:, 0], points[:, 1])[0]


def test_a_batch_holds_two_different_windows_of_each_track(tmp_path):
    training, validation = _write_tracks(tmp_path / "features", n=12)
    recipe = load_recipe("default").track_embedding
    quiet = type(recipe)(**{**vars(recipe), "jitter": 0.0})
    task = TrackEmbeddingTask(TrackEmbedding(8), training, validation, quiet, level_jitter_db=0.0)
    batch = task.batch(torch.arange(task.n_items), torch.Generator().manual_seed(0))["standard"]
    first, second = batch.chunk(2)
    for track, a, b in zip(task.training_tracks, first, second, strict=True):
        rows = [int((task.network.standardise(track) - row).abs().sum(dim=1).argmin()) for row in (a, b)]
        assert rows[0] != rows[1]
        assert torch.equal(task.network.standardise(track)[rows[1]], b)


def test_validation_measures_how_well_halves_are_matched(tmp_path):
    training, validation = _write_tracks(tmp_path / "features")
    task = TrackEmbeddingTask(
        TrackEmbedding(8), training, validation, load_recipe("default").track_embedding, level_jitter_db=0.0
    )
    with torch.no_grad():
        figures = task.validate()
    assert set(figures) == {"same_song_auc", "same_song_top1"}
    assert 0 <= figures["same_song_auc"] <= 1
    # A constant network has an AUC of a half.
    for parameter in task.network.last.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.ones_(task.network.last.bias)
    with torch.no_grad():
        assert task.validate()["same_song_auc"] == pytest.approx(0.5, abs=0.05)
