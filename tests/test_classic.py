"""The classic recipe, the baseline: it trains and paints, nearly the same picture for every song."""

import json
import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from test_training import write_art, write_features

from clavilux.audio.mfcc import LIBROSA
from clavilux.bundle import SHIPPED, open_bundle
from clavilux.cli import cli
from clavilux.errors import BundleError
from clavilux.images import enlarge
from clavilux.models.conv_image_vae import ConvImageVAE
from clavilux.models.losses import RisingBeta, mean_squared_loss
from clavilux.pipeline import Clavilux
from clavilux.training.recipe import RECIPES, load_recipe


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classic")
    write_art(folder / "art")
    write_features(folder / "features", settings=LIBROSA)
    # The recipe itself, but for the number of epochs.
    recipe = folder / "short.toml"
    recipe.write_text(re.sub(r"epochs = \d+", "epochs = 2", (RECIPES / "classic.toml").read_text()))
    command = [
        "train",
        "all",
        "--recipe",
        str(recipe),
        "--art",
        str(folder / "art"),
        "--audio",
        str(folder / "features"),
    ]
    command += ["--run", str(folder / "run"), "-o", str(folder / "bundle"), "--jobs", "1"]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return folder, result.output


@pytest.mark.slow
def test_it_trains_by_epochs_without_mark_classifier_and_painter(trained):
    folder, output = trained
    assert "beta up to 3" in output
    assert "shuffled-pairs, epoch 2/2" in output
    bundle = open_bundle(folder / "bundle")
    bundle.verify()
    assert bundle.decoder == "pixels"
    assert bundle.descriptors == ()
    assert (bundle.noise_std, bundle.logvar_scale) == (0.1, 2.0)
    assert {"pixels.onnx", "image_vae.safetensors"} <= set(bundle.card["files"])
    assert not {"controls.onnx", "palettes.npy", "mark_classifier.safetensors"} & set(bundle.card["files"])
    parity = json.loads((folder / "bundle" / "parity.json").read_text())
    assert set(parity) == {"audio_encoder", "mapping", "picture_encoder", "pixels"}


@pytest.mark.slow
def test_it_paints_with_its_own_noise(trained):
    folder, _ = trained
    song, picture = folder / "features" / "track 03.npy", folder / "picture.png"
    result = CliRunner().invoke(
        cli,
        ["paint", str(song), "--bundle", str(folder / "bundle"), "--size", "96x64", "-o", str(picture), "--explain"],
    )
    assert result.exit_code == 0, result.output
    with Image.open(picture) as image:
        assert image.size == (96, 64)
    assert "decoded as pixels and enlarged" in result.output
    assert "Random noise was added, so another seed gives another picture." in result.output


@pytest.mark.slow
def test_it_has_no_controls(trained):
    folder, _ = trained
    with pytest.raises(BundleError, match="decodes latents to pixels and has no controls"):
        Clavilux(folder / "bundle").controls(folder / "features" / "track 03.npy")


def test_the_shipped_bundle_has_collapsed():
    bundle = open_bundle("classic")
    assert bundle.decoder == "pixels"
    size = sum(path.stat().st_size for path in (SHIPPED / "classic").iterdir())
    assert size < 10e6
    assert bundle.card["measures"]["image_vae"]["active_units"] == 0
    assert bundle.card["measures"]["mapping"]["variance_ratio"] < 0.05
    engine = Clavilux("classic")
    rng = np.random.default_rng(0)
    one, other = (engine.paint_latent(rng.standard_normal(64).astype(np.float32), size=64) for _ in range(2))
    assert np.abs(one.astype(int) - other).max() <= 4


def test_the_convolutional_network_encodes_and_decodes():
    torch.manual_seed(0)
    network = ConvImageVAE(width=8)
    mean, logvar = network(torch.rand(2, 3, 64, 64))
    assert mean.shape == logvar.shape == (2, 64)
    pictures = network.decode(mean)
    assert pictures.shape == (2, 3, 128, 128)
    assert pictures.min() >= 0 and pictures.max() <= 1


def test_the_recipe_is_the_first_version():
    recipe = load_recipe("classic")
    assert (recipe.audio_vae.epochs, recipe.image_vae.epochs, recipe.mapping.epochs) == (100, 75, 100)
    assert recipe.audio_vae.batch == recipe.image_vae.batch == recipe.mapping.batch == 16
    assert recipe.audio_vae.learning_rate == recipe.image_vae.learning_rate == recipe.mapping.learning_rate == 1e-4
    assert (recipe.audio_vae.max_beta, recipe.image_vae.max_beta, recipe.image_vae.kld_weight) == (3.0, 4.0, 1.5)
    assert (recipe.painting.noise_std, recipe.painting.logvar_scale) == (0.1, 2.0)


def test_the_recipe_for_a_gpu_is_wider_and_longer():
    ours, gpu = load_recipe("default"), load_recipe("gpu")
    for stage in ("audio_vae", "mark_classifier", "image_vae"):
        assert getattr(gpu, stage).steps > getattr(ours, stage).steps
        assert getattr(gpu, stage).width > getattr(ours, stage).width
        assert getattr(gpu, stage).batch > getattr(ours, stage).batch


def test_beta_rises_linearly_and_is_restored():
    schedule = RisingBeta(max_beta=4.0, steps=8)
    seen = []
    for _ in range(8):
        seen.append(schedule.beta)
        schedule.update(5.0)
    assert seen == [0.5 * step for step in range(8)]
    other = RisingBeta(max_beta=4.0, steps=8)
    other.load_state_dict(schedule.state_dict())
    assert other.beta == schedule.beta == 4.0


def test_the_loss_is_the_mean_squared_error_plus_the_weighted_kl_divergence():
    target = torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    assert mean_squared_loss(target, torch.zeros(2, 2), torch.tensor(3.0), 0.5).item() == pytest.approx(1.0 + 1.5)


def test_pixels_are_enlarged_from_the_middle():
    rgb = np.zeros((8, 8, 3), np.float32)
    rgb[:, 4:, 0] = 1.0
    wide = enlarge(rgb, 64, 32)
    assert wide.shape == (32, 64, 3)
    assert wide[16, 4, 0] == 0 and wide[16, 60, 0] == 255
    tall = enlarge(rgb, 32, 64)
    assert tall[4, 4, 0] == 0 and tall[60, 30, 0] == 255
