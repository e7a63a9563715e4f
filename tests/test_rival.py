"""The rival of the painter: a function of place that learns, is the same twice, and is exported as it is."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from clavilux.bundle import open_bundle
from clavilux.errors import TrainingError
from clavilux.models.implicit_decoder import ImplicitImageVAE
from clavilux.training import run as runs
from clavilux.training import stage_pictures as stages
from clavilux.training.export import PARITY_TOLERANCE, PixelsGraph, compare_graph, export_graph
from clavilux.training.loop import LoopSettings, train
from clavilux.training.recipe import load_recipe
from clavilux.training.train_implicit_vae import CROP_PX, ImplicitImageVAETask
from clavilux.training.weights import load_image_vae
from tests.test_second_look import write_package

RECIPE = dataclasses.replace(load_recipe("rival").image_vae, width=16, decoder_width=48)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return write_package(tmp_path_factory.mktemp("package"))[0]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return ImplicitImageVAE(width=16, decoder_width=48).eval()


def made_up_windows(n):
    """A ground and a disc, each of one dark colour: that it is dark is learnt in few steps."""
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:128, :128]
    windows = np.empty((n, 128, 128, 3), np.uint8)
    for window in windows:
        x, y, radius = *rng.integers(30, 98, 2), rng.integers(15, 45)
        disc = np.hypot(row - y, column - x) < radius
        window[:] = np.where(disc[..., None], rng.integers(0, 90, 3), rng.integers(0, 90, 3))
    return windows


def make_task(package, **changes):
    torch.manual_seed(1)
    windows = made_up_windows(16)
    recipe = dataclasses.replace(RECIPE, **changes)
    return ImplicitImageVAETask(windows[:12], windows[12:], torch.ones(12), recipe, package)


def test_the_same_place_has_the_same_colour_at_every_size(network):
    latents = torch.randn(2, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        small, large = network.decode(latents, 80), network.decode(latents, 240)
    assert small.shape == (2, 3, 80, 80) and large.shape == (2, 3, 240, 240)
    assert small.min() >= 0 and small.max() <= 1
    # The middle of a pixel is the middle of the middle one of nine.
    torch.testing.assert_close(large[..., 1::3, 1::3], small, rtol=0, atol=1e-6)
    assert (small[0] - small[1]).abs().mean() > 1e-3  # and another latent is another picture


def test_waves_and_noise_are_no_matter_of_chance():
    torch.manual_seed(5)
    one = dict(ImplicitImageVAE(width=16, decoder_width=48).named_buffers())
    torch.manual_seed(6)
    other = dict(ImplicitImageVAE(width=16, decoder_width=48).named_buffers())
    assert {"waves", "phases", "layers.0.noise"} <= set(one)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_short_training_learns_and_is_the_same_twice(package, tmp_path):
    settings = LoopSettings(
        steps=8, batch=3, learning_rate=2e-3, warmup=1, ema=0.5, seed=3, precision="32-true", log_every=1
    )
    figures, pictures = [], []
    for name in ("one", "two"):
        task = make_task(package, adversary_weight=1.0)
        network = train(task, settings, tmp_path / name, resume=False, log=lambda line: None)
        lines = (tmp_path / name / "image-vae.csv").read_text().splitlines()
        figures.append([dict(zip(lines[0].split(","), map(float, line.split(",")), strict=True)) for line in lines[1:]])
        with torch.no_grad():
            pictures.append(network.decode(torch.zeros(1, 64)))
    assert torch.equal(*pictures)
    begin, end = figures[0][:3], figures[0][-3:]
    before, after = ({key: np.mean([row[key] for row in rows]) for key in rows[0]} for rows in (begin, end))
    assert after["pixels"] < before["pixels"] - 20.0  # nats
    assert after["critics"] < before["critics"]
    assert (tmp_path / "one" / "image-vae-validation.csv").is_file()


def test_one_backward_pass_keeps_the_players_apart(package):
    """Critics are not moved by what the decoder wants, nor is the teacher by anything; the decoder is moved by it."""
    found = {}
    for weight in (0.0, 50.0):
        task = make_task(package, adversary_weight=weight)
        batch = task.batch(torch.arange(4), torch.Generator().manual_seed(0))
        assert batch["pictures"].shape == (4, 3, 128, 128) and CROP_PX < 128
        task(batch, torch.Generator().manual_seed(0), 0.1)["loss"].backward()
        found[weight] = task
    for one, other in zip(*(task.critics.parameters() for task in found.values()), strict=True):
        assert torch.equal(one.grad, other.grad)
    assert all(sum(p.grad.abs().sum() for p in critic.parameters()) > 0 for critic in found[0.0].critics)
    one, other = (task.network.head[0].weight.grad for task in found.values())
    assert (one - other).abs().max() > 1e-3 * one.abs().max()
    assert all(p.grad is None for task in found.values() for p in task.teacher.parameters())


def test_the_graph_renders_what_the_network_renders(network, tmp_path):
    path = tmp_path / "pixels.onnx"
    latents = torch.randn(2, 64, generator=torch.Generator().manual_seed(0))
    graph = PixelsGraph(network).eval()
    export_graph(graph, latents, path, "z_image", ["picture"])
    assert graph(latents).shape == (2, 3, 512, 512)
    assert compare_graph(graph, latents, path, ["picture"])["difference"] < PARITY_TOLERANCE


def test_from_a_painter_it_takes_the_encoder_and_leaves_it():
    bundle = open_bundle("default")
    torch.manual_seed(0)
    network = ImplicitImageVAE()
    grid = network.to_grid[0].weight.clone()
    runs.start_from(SimpleNamespace(start=bundle, log=lambda line: None), network, "image_vae")
    painter = load_image_vae(bundle)
    pictures = torch.rand(2, 3, 64, 64)
    assert torch.equal(network.eval().encode(pictures)[0], painter.encode(pictures)[0])
    assert torch.equal(network.to_grid[0].weight, grid)
    learns = {name.partition(".")[0] for name, weight in network.named_parameters() if weight.requires_grad}
    assert learns == {"to_grid", "layers", "to_amplitudes", "head"}


def test_without_a_teacher_it_is_not_trained(monkeypatch):
    windows = SimpleNamespace(names=["a"] * 20, windows=made_up_windows(2), source=[0, 0], roles=["abstract"])
    monkeypatch.setattr(stages, "prepare_windows", lambda run, split: windows)
    run = SimpleNamespace(recipe=load_recipe("rival"), teacher=None)
    with pytest.raises(TrainingError, match=r"--teacher nsfwjs-4\.4\.0\.tgz"):
        stages.train_image_vae(run)
