"""A training that is killed with SIGKILL at any moment and resumed equals an unbroken one, bit for bit.

The training runs in a process of its own, started for each life with `fork` from one that has imported everything, so
that twenty deaths cost seconds.
"""

import csv
import multiprocessing
import os
import signal
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from clavilux.training.datasets import AudioFeatureDataset
from clavilux.training.loop import LoopSettings, train
from clavilux.training.recipe import load_recipe
from clavilux.training.train_audio_vae import AudioVAETask

DEATHS = 20
SETTINGS = LoopSettings(
    steps=105,
    batch=8,
    learning_rate=1e-3,
    warmup=10,
    ema=0.99,
    seed=11,
    target_nats=12.0,
    checkpoint_s=0.0,
    log_every=3,
    validate_every=35,
)


def _quiet(line: str) -> None:
    pass


def _live(features: Path, folder: Path) -> None:
    """One life: train the AudioVAE until the end or until killed."""
    torch.set_num_threads(1)
    recipe = load_recipe("debug").audio_vae
    torch.manual_seed(0)
    training, validation = (AudioFeatureDataset(features, split) for split in ("training", "validation"))
    task = AudioVAETask(training, validation, recipe)
    train(task, SETTINGS, folder, resume=True, log=_quiet)


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    for index in range(24):
        rng = np.random.default_rng(index)
        np.save(folder / f"{index}.npy", (rng.standard_normal((2, 20, 216)) * 10 + index).astype(np.float32))
    return folder


@pytest.fixture(autouse=True)
def _float32(monkeypatch):
    """One number format, whatever this machine would choose."""
    monkeypatch.setattr("clavilux.training.loop.choose_precision", lambda *_: "32-true")


def _steps_done(folder: Path) -> int:
    """The step of the checkpoint, which is read again only if it was replaced."""
    path = folder / "audio-vae.ckpt"
    return _step_of(path, path.stat().st_mtime_ns) if path.exists() else 0


@cache
def _step_of(path: Path, mtime_ns: int) -> int:
    return int(torch.load(path, weights_only=True, mmap=True)["step"])


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_training_killed_at_twenty_moments_equals_an_unbroken_one(features, tmp_path):
    context = multiprocessing.get_context("fork")
    unbroken = context.Process(target=_live, args=(features, tmp_path / "unbroken"))
    started = time.monotonic()
    unbroken.start()
    unbroken.join()
    seconds = time.monotonic() - started
    assert unbroken.exitcode == 0

    rng = np.random.default_rng(3)
    deaths, furthest = 0, 0
    while deaths < DEATHS:
        life = context.Process(target=_live, args=(features, tmp_path / "killed"))
        life.start()
        # Start-up takes time too; on average a life gets on by a fortieth of the way.
        target = furthest + int(rng.integers(0, 6))
        patience = time.monotonic() + 20 * seconds + 20
        while life.is_alive() and _steps_done(tmp_path / "killed") < target and time.monotonic() < patience:
            time.sleep(0.002)
        time.sleep(float(rng.uniform(0, 0.02)))  # in the middle of a step, of a checkpoint, of a line of the log
        assert life.is_alive(), "the training ended before it had died often enough"
        os.kill(life.pid, signal.SIGKILL)
        life.join()
        assert life.exitcode == -signal.SIGKILL
        deaths += 1
        furthest = _steps_done(tmp_path / "killed")
    assert 0 < furthest < SETTINGS.steps
    last = context.Process(target=_live, args=(features, tmp_path / "killed"))
    last.start()
    last.join()
    assert last.exitcode == 0

    one, other = (torch.load(tmp_path / side / "audio-vae.ckpt", weights_only=True) for side in ("unbroken", "killed"))
    assert one["controller"] == other["controller"]
    assert one["step"] == other["step"] == SETTINGS.steps
    for part in ("task", "averaged"):
        for key, value in one[part].items():
            assert torch.equal(value, other[part][key]), (part, key)
    for file in ("audio-vae.csv", "audio-vae-validation.csv"):
        assert (tmp_path / "unbroken" / file).read_text() == (tmp_path / "killed" / file).read_text()
    with (tmp_path / "killed" / "audio-vae.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == list(range(3, SETTINGS.steps + 1, 3))
    left = {path.name for path in (tmp_path / "killed").iterdir() if path.name.endswith(".ckpt")}
    assert left == {"audio-vae.ckpt"}
