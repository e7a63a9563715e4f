"""Painted examples, symmetries of the square, weights of kinds and surfaces, and features of lines and of edges."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clavilux.constants import FINISH, PAINT, SURFACE_NAMES
from clavilux.models.mark_classifier import MarkClassifier, edge_features, line_features, to_grey
from clavilux.painter.controls import Controls
from clavilux.painter.marks import KINDS
from clavilux.painter.paint import paint
from clavilux.training.analysis import Windows, read_layout
from clavilux.training.painted_examples import paint_examples
from clavilux.training.recipe import load_recipe
from clavilux.training.stage_pictures import start_classifier_from
from clavilux.training.symmetry import N_SYMMETRIES, turn_direction, turn_pictures
from clavilux.training.train_mark_classifier import (
    MarksRead,
    class_weights,
    direction_of,
    read_marks,
    wanted_shares,
    weigh_classes,
)


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
@pytest.mark.usefixtures("compiled")
def test_painted_examples_have_every_kind_and_known_marks():
    n = len(KINDS)
    examples = paint_examples(_windows(), 8 * n, seed=3, jobs=1)
    assert examples.pictures.shape == (8 * n, 128, 128, 3)
    assert len({picture.tobytes() for picture in examples.pictures}) == 8 * n
    assert ((examples.angle >= 0) & (examples.angle < 0.5)).all()
    np.testing.assert_allclose(examples.kind.sum(axis=1), 1, atol=1e-6)
    whole, quarters, bare = np.split(np.arange(8 * n).reshape(n, 8), [1, 5], axis=1)
    first = examples.kind.argmax(axis=1)
    assert np.bincount(first[whole[:, 0]]).tolist() == [1] * n
    assert np.bincount(first[bare.ravel()]).tolist() == [3] * n
    assert 0.2 < (examples.kind.max(axis=1)[whole] < 1).mean() < 0.8 and (examples.kind[bare].max(axis=-1) == 1).all()
    assert set(examples.surface[whole[:, 0]]) == set(range(len(SURFACE_NAMES)))
    assert (examples.surface[bare] == SURFACE_NAMES.index("flat")).all()
    assert examples.paint.shape == (8 * n, len(PAINT)) and 0.5 < examples.paint.max() <= 1
    assert (examples.paint[bare] == [0, 0, 0, 0.5]).all(), "no outline is the middle of the range"
    ratio = np.exp(examples.log_frequency[whole] - examples.log_frequency[quarters])
    assert ((ratio > 1.7) & (ratio < 2.001)).all(), "a quarter has half as many marks, but not fewer than two"


def test_quarters_are_pieces_of_the_whole_picture():
    pictures, again = (paint_examples(_windows(), 7, seed=3, jobs=1).pictures.astype(int) for _ in range(2))
    assert np.array_equal(pictures, again) and len(pictures) == 7
    top, bottom = np.hstack(pictures[1:3]), np.hstack(pictures[3:5])
    small = np.vstack([top, bottom]).reshape(128, 2, 128, 2, 3).mean(axis=(1, 3))
    assert np.abs(small - pictures[0]).max() <= 0.5


def _stripes(angle):
    plan = np.zeros((8, 32, 32), np.float32)
    palette = np.repeat(np.linspace(0, 1, 8, dtype=np.float32)[:, None], 3, axis=1)
    controls = Controls(palette, plan, "stripes", frequency=10, angle=angle, chaos=1.0, surface="flat", figure="none")
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
    # Chaos decides near the focus only; elsewhere borders follow the plan, which is even here.
    assert float(_measured_direction(_stripes(angle)) @ expected) > 0.7


@pytest.mark.parametrize("symmetry", range(N_SYMMETRIES))
def test_pictures_and_directions_turn_together(symmetry):
    rgb = _stripes(0.07)
    turned = turn_pictures(torch.from_numpy(rgb).permute(2, 0, 1), symmetry).permute(1, 2, 0).numpy()
    direction = torch.tensor([[math.cos(4 * math.pi * 0.07), math.sin(4 * math.pi * 0.07)]])
    assert float(_measured_direction(turned) @ turn_direction(direction, symmetry)[0].numpy()) > 0.97


def test_the_eight_symmetries_differ():
    square = torch.arange(9).reshape(3, 3)
    assert len({tuple(turn_pictures(square, s).flatten().tolist()) for s in range(N_SYMMETRIES)}) == N_SYMMETRIES


def _uneven_marks():
    rng = np.random.default_rng(0)

    def probabilities(n):
        logits = rng.standard_normal((400, n)) + np.array([4.0, 2.0, *[0] * (n - 2)])
        return (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)

    empty = np.zeros(400, np.float32)
    kind, surface = probabilities(5), probabilities(len(SURFACE_NAMES))
    return MarksRead(
        kind, surface, empty, np.zeros((400, 2), np.float32), empty, np.zeros((400, len(FINISH)), np.float32)
    )


def test_kinds_get_wanted_shares_and_the_order_within_a_kind_is_kept():
    marks = _uneven_marks()
    shares = np.array([0.1, 0.3, 0.2, 0.15, 0.25])
    weighted = weigh_classes(marks, class_weights(marks.kind, shares), np.ones(len(SURFACE_NAMES)))
    np.testing.assert_allclose(weighted.kind.mean(axis=0), shares, atol=0.01)
    np.testing.assert_allclose(weighted.kind.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(weighted.surface, marks.surface, atol=1e-6)
    ratio = np.log(marks.kind[:, 0] / marks.kind[:, 2])
    assert np.corrcoef(ratio, np.log(weighted.kind[:, 0] / weighted.kind[:, 2]))[0, 1] > 0.999


def test_every_kind_and_surface_has_its_share():
    analysis = load_recipe("default").analysis
    assert [field.name for field in dataclasses.fields(analysis.kind_shares)] == list(KINDS)
    kinds, surfaces = wanted_shares(analysis)
    assert sum(kinds) == pytest.approx(1) and min(kinds) > 0
    assert kinds[KINDS.index("weave")] / kinds[KINDS.index("dots")] == pytest.approx(
        analysis.kind_shares.weave / analysis.kind_shares.dots
    )
    assert sum(surfaces) == pytest.approx(1)
    assert surfaces[SURFACE_NAMES.index("gouache")] == max(surfaces)


def test_surfaces_get_the_shares_of_the_recipe():
    marks = _uneven_marks()
    shares = np.array([0.3, 0.1, 0.2, 0.1, 0.1, 0.15, 0.05])
    weighted = weigh_classes(marks, np.ones(5), class_weights(marks.surface, shares))
    np.testing.assert_allclose(weighted.surface.mean(axis=0), shares, atol=0.01)
    np.testing.assert_allclose(weighted.kind, marks.kind, atol=1e-6)


def test_marks_of_windows_have_their_shapes_and_the_finish_its_order():
    windows = _windows()
    marks = read_marks(MarkClassifier(n_kinds=len(KINDS), width=8), windows)
    np.testing.assert_allclose(marks.kind.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(marks.surface.sum(axis=1), 1, atol=1e-5)
    assert marks.surface.shape == (2, len(SURFACE_NAMES))
    assert marks.finish.shape == (2, len(FINISH))
    np.testing.assert_array_equal(marks.finish[:, list(FINISH).index("shapes") :], read_layout(windows.shares))


def test_line_features_distinguish_dark_lines_light_lines_and_none():
    rng = np.random.default_rng(0)
    palette = np.sort(rng.random((8, 3)), axis=0).astype(np.float32)
    plan = np.log(rng.dirichlet(np.full(8, 0.5), 1024).T.reshape(8, 32, 32) + 1e-3).astype(np.float32)
    features = {}
    for outline in (-1.2, 0.0, 1.2):
        controls = Controls(
            palette, plan, "facets", 8.0, 0.0, 1.0, surface="flat", outline=outline, figure="none", exact_palette=True
        )
        picture = torch.from_numpy(paint(controls, width=128, height=128)).permute(2, 0, 1)[None] / 255
        features[outline] = line_features(to_grey(picture))[0].reshape(-1, 2, 6)  # reaches, dark and light, features
    extreme = 3  # the part that is as dark as the darkest, or as light as the lightest
    dark, light = (np.array([float(features[o][0, side, extreme]) for o in (-1.2, 0.0, 1.2)]) for side in (0, 1))
    assert dark[0] > 1.15 * dark[1:].max()
    assert light[2] > 1.15 * light[:2].max()


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 120])
def test_edge_features_have_the_direction_of_lines(degrees):
    """Lines at a counter-clockwise angle a give (cos 2a, sin 2a); a grid gives zero there, and four times its angle."""
    angle = np.deg2rad(degrees)
    y, x = np.mgrid[:128, :128] / 128.0
    across, along = x * np.sin(angle) + y * np.cos(angle), x * np.cos(angle) - y * np.sin(angle)

    def features_of(grey):
        return edge_features(to_grey(torch.from_numpy(np.repeat(grey[None, None], 3, axis=1))))[0].numpy()

    lines = features_of(0.5 + 0.4 * np.sin(2 * np.pi * 8 * across)).reshape(3, 5)
    grid = features_of(0.5 + 0.4 * np.maximum(np.sin(50 * across), np.sin(50 * along))).reshape(3, 5)
    double, four = ([np.cos(k * angle), np.sin(k * angle)] for k in (2, 4))
    np.testing.assert_allclose(lines[0, :2], double, atol=0.1)
    np.testing.assert_allclose(lines[1, :2], double, atol=0.1)
    np.testing.assert_allclose(lines[2, :2], double, atol=0.2)  # few pixels for each line at this scale
    np.testing.assert_allclose(lines[0, 3:], four, atol=0.2)
    assert np.abs(grid[0, :2]).max() < 0.2
    assert np.dot(grid[0, 3:], four) > 0.5


def test_a_picture_of_one_colour_has_no_direction():
    features = edge_features(to_grey(torch.full((1, 3, 128, 128), 0.4)))[0].numpy().reshape(3, 5)
    assert np.isfinite(features).all()
    np.testing.assert_allclose(features[:, [0, 1, 3, 4]], 0, atol=1e-6)


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
