"""Evaluator C: weights from a package of the user, on a network of three layers that is packed like the real one."""

import base64
import io
import json
import tarfile

import numpy as np
import pytest
import torch

from clavilux.errors import ClaviluxError
from clavilux.evaluation import inception
from clavilux.evaluation.evaluators import Spaces, measure_features

RNG = np.random.default_rng(0)
SCALE, LEAST = 0.01, -1.25
ARRAYS = {
    "conv/kernel": RNG.integers(0, 255, (3, 3, 3, 4), np.uint8),
    "norm/beta": RNG.integers(0, 255, 4, np.uint8),
    "norm/moving_mean": RNG.integers(0, 255, 4, np.uint8),
    "norm/moving_variance": RNG.integers(150, 255, 4, np.uint8),
    "dense/kernel": RNG.integers(0, 255, (8, 2), np.uint8),
}
LAYERS = [
    ("input", "InputLayer", {}, []),
    ("conv", "Conv2D", {"strides": [2, 2], "padding": "valid", "use_bias": False}, ["input"]),
    ("norm", "BatchNormalization", {"epsilon": 0.001}, ["conv"]),
    ("relu", "Activation", {"activation": "relu"}, ["norm"]),
    ("mean", "AveragePooling2D", {"pool_size": [3, 3], "strides": [1, 1], "padding": "same"}, ["relu"]),
    ("both", "Concatenate", {"axis": 3}, ["relu", "mean"]),
    ("pool", "AveragePooling2D", {"pool_size": [8, 8], "strides": [8, 8], "padding": "valid"}, ["both"]),
    ("flat", "Flatten", {}, ["pool"]),
]


def minify(thing):
    """JavaScript as its minifiers write it: no quotes around keys, !0 and !1, no zero before the point."""
    text = json.dumps(thing, separators=(",", ":")).replace("true", "!0").replace("false", "!1")
    for key in {key for key in text.split('"') if f'"{key}":' in text}:
        text = text.replace(f'"{key}":', f"{key}:")
    return text.replace(":0.", ":.").replace(":-0.", ":-.")


def write_package(path, arrays=ARRAYS, layers=LAYERS):
    keras = [
        {
            "name": name,
            "class_name": kind,
            "config": {"name": name, "trainable": False, **settings},
            "inbound_nodes": [[[each, 0, 0, {}] for each in before]] if before else [],
        }
        for name, kind, settings, before in layers
    ]
    quantization = {"scale": SCALE, "min": LEAST, "dtype": "uint8"}
    weights = [{"name": n, "shape": list(a.shape), "quantization": quantization} for n, a in arrays.items()]
    topology = {"model_config": {"class_name": "Model", "config": {"layers": keras}}}
    model = f"n.exports={{modelTopology:{minify(topology)},weightsManifest:{minify([{'weights': weights}])}}}"
    content = b"".join(array.tobytes() for array in arrays.values())
    files = {"model.min.js": model}
    for number, part in enumerate((content[:100], content[100:]), 1):
        files[f"group1-shard{number}of2.min.js"] = f'x="{base64.b64encode(part).decode()}"'
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"package/dist/models/inception_v3/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


@pytest.fixture
def converted(tmp_path, monkeypatch):
    target = tmp_path / "inception.safetensors"
    inception.convert(write_package(tmp_path / "package.tgz"), target)
    monkeypatch.setattr(inception, "WEIGHTS", target)
    inception.load_network.cache_clear()
    yield target
    inception.load_network.cache_clear()


def test_a_converted_network_computes_what_the_package_describes(converted):
    pictures = torch.from_numpy(RNG.uniform(-1, 1, (2, 3, 11, 11)).astype(np.float32))
    kernel, beta, mean, variance = (
        ARRAYS[name].astype(np.float64) * SCALE + LEAST
        for name in ("conv/kernel", "norm/beta", "norm/moving_mean", "norm/moving_variance")
    )
    expected = np.zeros((2, 8))
    for index, picture in enumerate(pictures.numpy().transpose(0, 2, 3, 1)):
        out = np.zeros((5, 5, 4))
        for row in range(5):
            for column in range(5):
                window = picture[2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
                out[row, column] = np.einsum("hwi,hwio->o", window, kernel)
        out = np.maximum((out - mean) / np.sqrt(variance + 0.001) + beta, 0)
        smooth = np.zeros_like(out)
        for row in range(5):
            for column in range(5):
                near = out[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
                smooth[row, column] = near.mean(axis=(0, 1))  # the border is not part of the mean
        expected[index] = [*out.mean(axis=(0, 1)), *smooth.mean(axis=(0, 1))]
    np.testing.assert_allclose(inception.load_network().embed(pictures).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_evaluator_c_is_there_if_the_file_is(converted, monkeypatch, tmp_path):
    pictures = [RNG.integers(0, 255, (128, 128, 3), np.uint8) for _ in range(3)]
    features = measure_features(pictures)
    assert features["C"].shape == (3, 8)
    points = Spaces.of(features).place(features)
    assert list(points) == ["A", "B", "C"]
    assert (points["C"] ** 2).mean() == pytest.approx(1, rel=1e-3)
    monkeypatch.setattr(inception, "WEIGHTS", tmp_path / "absent")
    assert list(measure_features(pictures)) == ["A", "B"]


def test_another_file_is_refused_and_nothing_is_written(tmp_path):
    target = tmp_path / "out.safetensors"
    (tmp_path / "text.tgz").write_text("no archive")
    write_package(tmp_path / "short.tgz", {name: a for name, a in ARRAYS.items() if name != "norm/beta"})
    with tarfile.open(tmp_path / "empty.tgz", "w:gz"):
        pass
    for name in ("text.tgz", "empty.tgz", "missing.tgz", "short.tgz"):
        with pytest.raises(ClaviluxError, match="no nsfwjs package"):
            inception.convert(tmp_path / name, target)
    assert not target.exists()


def test_a_package_that_is_cut_off_is_refused(tmp_path):
    package = write_package(tmp_path / "package.tgz")
    content = package.read_bytes()
    for n_bytes in (0, 10, 100, len(content) // 2):
        package.write_bytes(content[:n_bytes])
        with pytest.raises(ClaviluxError, match="is no nsfwjs package"):
            inception.convert(package, tmp_path / "weights.safetensors")
    assert not (tmp_path / "weights.safetensors").exists()
