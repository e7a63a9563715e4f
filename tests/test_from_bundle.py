"""The networks of a bundle in PyTorch give what the engine gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the networks are in PyTorch")

import torch
from fake_bundle import write_fake_bundle

from clavilux.audio.sources import read_source
from clavilux.bundle import open_bundle
from clavilux.engine import Engine
from clavilux.errors import AudioError, BundleError, ClaviluxError
from clavilux.models.audio_vae import AudioVAE
from clavilux.models.conv_image_vae import ConvImageVAE
from clavilux.models.image_vae import ImageVAE
from clavilux.models.mapping_network import MappingNetwork, PerceptronMapping
from clavilux.pipeline import Clavilux

EXAMPLE = Path(__file__).parent.parent / "examples" / "nocturne.flac"

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    return Clavilux().read_song(EXAMPLE).windows


@pytest.mark.parametrize("name", ["default", "classic"])
def test_three_lines_encode_and_decode_an_array(windows: np.ndarray, name: str) -> None:
    vae = AudioVAE.from_bundle(name)
    z_audio = vae.encode_mfcc(windows)
    mfcc = vae.decode_mfcc(z_audio)
    assert (z_audio.shape, mfcc.shape) == ((len(windows), 64), windows.shape)
    np.testing.assert_allclose(z_audio, Engine(open_bundle(name)).encode_windows(windows), atol=2e-3)
    # In the units of the input: each is as far from the mean of its row as the input is, or nearer to the input.
    mean, deviation = (rows.numpy() for rows in (vae.row_mean, vae.row_deviation))
    error, spread = np.mean(((mfcc - windows) / deviation) ** 2), np.mean(((windows - mean) / deviation) ** 2)
    assert error < (0.8 if name == "default" else 1.1) * spread  # classic has collapsed to the mean
    assert not vae.training


@pytest.mark.parametrize(("name", "kind"), [("default", MappingNetwork), ("classic", PerceptronMapping)])
def test_the_mapping_is_that_of_the_engine(name: str, kind: type) -> None:
    bundle = open_bundle(name)
    codes = np.random.default_rng(0).normal(0, 1, (4, 64 + len(bundle.descriptors))).astype(np.float32)
    with torch.no_grad():
        z_image = kind.from_bundle(bundle)(torch.from_numpy(codes)).numpy()
    expected = np.stack([Engine(bundle).map_song(code) for code in codes])
    np.testing.assert_allclose(z_image, expected, atol=2e-2, rtol=1e-2)


def test_the_image_vae_is_that_of_the_engine() -> None:
    engine, network = Engine(open_bundle("default")), ImageVAE.from_bundle()
    latent = np.random.default_rng(0).normal(0, 1, 64).astype(np.float32)
    with torch.no_grad():
        raw = network.decode(torch.from_numpy(latent)[None])
    controls = engine.decode_controls(latent)
    assert float(raw.chaos[0]) == pytest.approx(controls.chaos, abs=0.01)
    assert float(raw.frequency[0]) == pytest.approx(controls.frequency, rel=0.01)
    kinds = engine.bundle.kinds
    assert kinds[int(raw.kind[0].argmax())] == controls.kind


def test_the_pixel_decoder_is_that_of_the_engine() -> None:
    engine, network = Engine(open_bundle("classic")), ConvImageVAE.from_bundle("classic")
    latent = np.random.default_rng(0).normal(0, 1, 64).astype(np.float32)
    with torch.no_grad():
        picture = network.decode(torch.from_numpy(latent)[None])[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(picture, engine.decode_pixels(latent), atol=0.01)


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (lambda: ImageVAE.from_bundle("classic"), "load it with ConvImageVAE"),
        (lambda: ConvImageVAE.from_bundle("default"), "load it with ImageVAE"),
        (lambda: MappingNetwork.from_bundle("classic"), "load it with PerceptronMapping"),
        (lambda: PerceptronMapping.from_bundle("default"), "load it with MappingNetwork"),
        (lambda: AudioVAE.from_bundle("nothing"), "there is no bundle 'nothing'"),
    ],
)
def test_the_wrong_network_is_named(load, reason: str) -> None:
    with pytest.raises(BundleError, match=reason):
        load()


def test_a_bundle_without_weights_is_refused(tmp_path: Path) -> None:
    folder = write_fake_bundle(tmp_path / "fake")
    with pytest.raises(BundleError, match=r"does not list audio_vae\.safetensors"):
        AudioVAE.from_bundle(folder)
    with pytest.raises(BundleError, match="contains no weights"):
        ImageVAE.from_bundle(folder)


def test_arrays_of_another_shape_are_refused() -> None:
    vae = AudioVAE.from_bundle("classic")
    with pytest.raises(AudioError, match=r"mfcc is an array .*of shape \(n, 20, 216\)"):
        vae.encode_mfcc(np.zeros((20, 216)))
    with pytest.raises(AudioError, match=r"z_audio is .*of shape \(n, 64\)"):
        vae.decode_mfcc(np.zeros((1, 63)))
    with pytest.raises(AudioError, match="finite"):
        vae.encode_mfcc(np.full((1, 20, 216), np.nan))


@pytest.mark.parametrize("given", [np.zeros((2, 3, 64, 64)), torch.zeros(2, 3), torch.zeros(2, 64, dtype=torch.int64)])
def test_what_a_network_cannot_take_is_named(given: Any) -> None:
    calls = [ImageVAE.from_bundle().encode, ImageVAE.from_bundle().decode, MappingNetwork.from_bundle()]
    for call in (*calls, AudioVAE.from_bundle().encode, AudioVAE.from_bundle().decode):
        with pytest.raises(ClaviluxError, match=r"it must be a float tensor of shape \(n, "):
            call(given)


def test_tensors_are_samples_unless_numpy_cannot_read_them() -> None:
    y = np.random.default_rng(0).normal(0, 0.1, 44_100).astype(np.float32)
    song = read_source(y, sr=44_100, max_s=60)
    learning = read_source(torch.tensor(y, requires_grad=True), sr=44_100, max_s=60)
    np.testing.assert_array_equal(learning.windows, song.windows)
    for bad, reason in (
        (torch.tensor(y, dtype=torch.bfloat16), "which NumPy cannot read"),
        (np.ma.array(y, mask=y > 0.1), r"masked array; .* such as y\.filled\(0\)"),
    ):
        with pytest.raises(AudioError, match=reason):
            read_source(bad, sr=44_100, max_s=60)
