"""Two processes train together: their gradients are averaged, and the first one reports and saves."""

import subprocess
import sys

import pytest
import torch
from test_training import write_features

from clavilux.training.processes import Processes

RECIPE = """
precision = "32-true"
[track_embedding]
steps = 10
warmup = 2
tracks = 8
copies = 0
[audio_vae]
steps = 12
warmup = 2
width = 16
batch = 8
"""


def _train(folder, run, *options):
    command = [sys.executable, "-m", "clavilux", "train", "audio-vae", "--recipe", str(folder / "small.toml")]
    command += ["--audio", str(folder / "features"), "--run", str(folder / run), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout, torch.load(folder / run / "audio-vae.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    write_features(folder / "features")
    (folder / "small.toml").write_text(RECIPE)
    return folder


@pytest.mark.slow
def test_two_processes_train_one_network(folder):
    said, two = _train(folder, "two", "--devices", "2")
    assert said.count("step 12/12") == 1  # only the first process reports
    assert two["step"] == 12
    _, one = _train(folder, "one")
    # Each saw half of every batch with noise of its own: the same data, so nearly the same network, but not the same.
    for key, value in one["averaged"].items():
        other = two["averaged"][key]
        assert torch.isfinite(other).all()
        assert torch.allclose(value, other, atol=0.03 + 0.03 * float(value.abs().max())), key
    assert any(not torch.equal(value, two["averaged"][key]) for key, value in one["averaged"].items())
    _, again = _train(folder, "again", "--devices", "2")
    for key, value in two["averaged"].items():
        assert torch.equal(value, again["averaged"][key]), key


@pytest.mark.slow
def test_a_batch_that_does_not_divide_evenly_is_refused(folder, tmp_path):
    (tmp_path / "odd.toml").write_text(RECIPE.replace("batch = 8", "batch = 7"))
    command = [sys.executable, "-m", "clavilux", "train", "audio-vae", "--recipe", str(tmp_path / "odd.toml")]
    command += ["--audio", str(folder / "features"), "--run", str(tmp_path / "run"), "--devices", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert "a batch of 7 cannot be divided evenly among 2 processes" in done.stderr


def test_one_process_is_the_default():
    assert Processes().join().world_size == 1
