"""Painted examples, symmetries of the square, weights of kinds, and line features."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clavilux.models.mark_classifier import MarkClassifier, line_features
from clavilux.painter.controls import Controls
from clavilux.painter.marks import KINDS
from clavilux.painter.paint import paint
from clavilux.training.analysis import Windows, read_symmetries
from clavilux.training.painted_examples import paint_examples
from clavilux.training.stage_pictures import start_classifier_from
from clavilux.training.symmetry import N_SYMMETRIES, turn_direction, turn_finish, turn_pictures
from clavilux.training.train_mark_classifier import MarksRead, direction_of, kind_weights, weigh_kinds


def _windows():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(8), size=(2, 32, 32)).transpose(0, 3, 1, 2)
    palettes = np.sort(rng.random((2, 8, 3)), axis=1).astype(np.float32)
    return Windows(
        windows=rng.integers(0, 255, (2, 128, 128, 3), np.uint8),
        palettes=palettes,
        shares=np.rint(shares * 255).astype(np.uint8),
        source=np.array([0, 1]),
        names=["a", "b"],
        roles=["abstract", "painting"],
    )


@pytest.mark.slow
def test_painted_examples_have_every_kind_and_known_marks():
    examples = paint_examples(_windows(), 2 * len(KINDS), seed=3, jobs=1)
    np.testing.assert_allclose(examples.kind.sum(axis=1), 1, atol=1e-6)
    assert np.bincount(examples.kind.argmax(axis=1)).tolist() == [2] * len(KINDS)  # each is the larger one twice
    assert 0.2 < (examples.kind.max(axis=1) < 1).mean() < 0.8
    assert (examples.surface[:, :3].min(axis=0) == 0).all()
    assert 0.2 < np.mean(examples.surface[:, 3] == 0.5) < 0.7, "no outline is the middle of the range"
    assert 0.5 < examples.surface.max() <= 1
    assert ((examples.angle >= 0) & (examples.angle < 0.5)).all()
    assert len({picture.tobytes() for picture in examples.pictures}) == len(examples.pictures)
    again = paint_examples(_windows(), 2 * len(KINDS), seed=3, jobs=1)
    assert np.array_equal(again.pictures, examples.pictures)


def _stripes(angle):
    plan = np.zeros((8, 32, 32), np.float32)
    palette = np.repeat(np.linspace(0, 1, 8, dtype=np.float32)[:, None], 3, axis=1)
    controls = Controls(palette=palette, plan=plan, kind="stripes", frequency=10, angle=angle, chaos=1.0)
    return paint(controls, width=128, height=128, seed=0)


def _measured_direction(rgb):
    """Cosine and sine of twice the direction of the lines, by the structure tensor of the grey picture."""
    grey = rgb.mean(axis=2)
    gy, gx = np.gradient(grey)
    # The gradient is across the lines, and rows count downwards.
    xx, yy, xy = (gx * gx).sum(), (gy * gy).sum(), -(gx * gy).sum()
    vector = np.array([yy - xx, -2 * xy])
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("angle", [0.0, 0.07, 0.18, 0.25, 0.4])
def test_the_painter_angle_is_the_direction_in_the_picture(angle):
    expected = direction_of(torch.tensor([angle]))[0].numpy()
    assert float(_measured_direction(_stripes(angle)) @ expected) > 0.97


@pytest.mark.parametrize("symmetry", range(N_SYMMETRIES))
def test_pictures_and_directions_turn_together(symmetry):
    rgb = _stripes(0.07)
    turned = turn_pictures(torch.from_numpy(rgb).permute(2, 0, 1), symmetry).permute(1, 2, 0).numpy()
    direction = torch.tensor([[math.cos(4 * math.pi * 0.07), math.sin(4 * math.pi * 0.07)]])
    assert float(_measured_direction(turned) @ turn_direction(direction, symmetry)[0].numpy()) > 0.97


def test_the_eight_symmetries_differ():
    square = torch.arange(9).reshape(3, 3)
    assert len({tuple(turn_pictures(square, s).flatten().tolist()) for s in range(N_SYMMETRIES)}) == N_SYMMETRIES


def test_symmetries_of_a_window_are_measured():
    rng = np.random.default_rng(0)
    window = np.repeat(rng.integers(0, 255, (32, 32, 3), np.uint8), 4, axis=0).repeat(4, axis=1)
    half = window[:, :64]
    mirrored = np.concatenate([half, half[:, ::-1]], axis=1)
    flipped = mirrored.transpose(1, 0, 2)
    read = read_symmetries(np.stack([window, mirrored, flipped, np.full_like(window, 90)]))
    assert read[0].max() < 0.15
    np.testing.assert_allclose(read[1:3], [[1, read[1, 1]], [read[2, 0], 1]], atol=1e-3)
    assert read[1, 1] < 0.3 > read[2, 0]
    assert read[3].max() < 1e-3  # one colour has no shapes to be symmetric


@pytest.mark.parametrize("symmetry", range(N_SYMMETRIES))
def test_symmetries_of_a_picture_turn_with_it(symmetry):
    rng = np.random.default_rng(1)
    half = np.repeat(rng.integers(0, 255, (32, 16, 3), np.uint8), 4, axis=0).repeat(4, axis=1)
    window = np.concatenate([half, half[:, ::-1]], axis=1)
    turned = turn_pictures(torch.from_numpy(window).permute(2, 0, 1), symmetry).permute(1, 2, 0).numpy()
    read, after = (torch.from_numpy(read_symmetries(w[None])[0]) for w in (window, np.ascontiguousarray(turned)))
    said = turn_finish(torch.cat([torch.arange(4.0), read]), symmetry)
    torch.testing.assert_close(said, torch.cat([torch.arange(4.0), after]), atol=1e-4, rtol=0)


def _uneven_marks():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((400, 5)) + np.array([4.0, 2.0, 0, 0, 0])
    kind = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    empty = np.zeros(400, np.float32)
    pair = np.zeros((400, 2), np.float32)
    return MarksRead(kind.astype(np.float32), empty, pair, empty, np.zeros((400, 4), np.float32), pair)


def test_full_evenness_makes_all_kinds_equally_frequent_and_keeps_the_order_within_a_kind():
    marks = _uneven_marks()
    even = weigh_kinds(marks, kind_weights(marks, 1.0))
    np.testing.assert_allclose(even.kind.mean(axis=0), 0.2, atol=0.01)
    np.testing.assert_allclose(even.kind.sum(axis=1), 1, atol=1e-5)
    ratio = np.log(marks.kind[:, 0] / marks.kind[:, 2])
    assert np.corrcoef(ratio, np.log(even.kind[:, 0] / even.kind[:, 2]))[0, 1] > 0.999


def test_zero_evenness_changes_nothing():
    marks = _uneven_marks()
    np.testing.assert_allclose(weigh_kinds(marks, kind_weights(marks, 0.0)).kind, marks.kind, atol=2e-3)


def test_line_features_distinguish_dark_lines_light_lines_and_none():
    rng = np.random.default_rng(0)
    palette = np.sort(rng.random((8, 3)), axis=0).astype(np.float32)
    plan = np.log(rng.dirichlet(np.full(8, 0.5), 1024).T.reshape(8, 32, 32) + 1e-3).astype(np.float32)
    features = {}
    for outline in (-1.2, 0.0, 1.2):
        controls = Controls(palette, plan, "facets", frequency=8.0, angle=0.0, chaos=1.0, outline=outline)
        picture = torch.from_numpy(paint(controls, width=128, height=128)).permute(2, 0, 1)[None] / 255
        features[outline] = line_features(picture)[0].reshape(-1, 2, 6)  # reaches, dark and light, features
    extreme = 3  # the part that is as dark as the darkest, or as light as the lightest
    dark, light = (np.array([float(features[o][1, side, extreme]) for o in (-1.2, 0.0, 1.2)]) for side in (0, 1))
    assert dark[0] > 1.3 * dark[1:].max()
    assert light[2] > 1.3 * light[:2].max()


def test_a_classifier_with_fewer_kinds_is_a_start(tmp_path):
    """Rows of known kinds move to their new places, other rows stay, and new kinds keep their initial weights."""
    known = ("tiles", "blobs", "dots")
    old, new = MarkClassifier(n_kinds=len(known), width=8), MarkClassifier(n_kinds=len(KINDS), width=8)
    save_file(old.half().state_dict(), tmp_path / "mark_classifier.safetensors")
    fresh = new.state_dict()["head.3.weight"].clone()
    start = SimpleNamespace(
        folder=tmp_path,
        name="old",
        kinds=known,
        card={"files": {"mark_classifier.safetensors": ""}},
        read=lambda file: (tmp_path / file).read_bytes(),
    )
    run = SimpleNamespace(start=start, log=lambda line: None)
    start_classifier_from(run, new)
    before, after = old.float().state_dict(), new.state_dict()
    at = [KINDS.index(kind) for kind in known]
    assert torch.equal(after["head.3.weight"][at], before["head.3.weight"][: len(known)])
    assert torch.equal(after["head.3.weight"][len(KINDS) :], before["head.3.weight"][len(known) :])
    assert torch.equal(after["features.0.weight"], before["features.0.weight"])
    others = [n for n in range(len(KINDS)) if n not in at]
    assert torch.equal(after["head.3.weight"][others], fresh[others])
