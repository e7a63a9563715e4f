"""Learnt marks: the shipped fields, how they are read, and that they can be learnt again."""

import numpy as np
import pytest
import torch

from clavilux.painter.marks.learnt import FAMILIES, SIDE, VARIANTS, load_ranks, load_table, read_field
from clavilux.training.analysis import Windows
from clavilux.training.learn_fields import _correlations, choose_exemplars, learn_fields, make_relief
from clavilux.training.teacher import Teacher
from tests.test_second_look import write_package


def test_shipped_fields_are_uniform_and_differ():
    ranks = load_ranks()
    assert tuple(ranks) == FAMILIES
    fields = [field for family in FAMILIES for field in ranks[family]]
    assert len(fields) == len({field.tobytes() for field in fields}) == len(FAMILIES) * VARIANTS
    for field in fields:
        assert field.shape == (SIDE, SIDE) and field.dtype == np.uint8
        counts = np.bincount(field.ravel(), minlength=256)
        assert counts.min() == counts.max() == SIDE * SIDE // 256


def test_a_table_is_normal_and_passes_through_its_field():
    table = load_table("planes", 1)
    inside = table[:-1, :-1]
    assert abs(float(inside.mean())) < 1e-3 and float(inside.std()) == pytest.approx(1, abs=2e-3)
    np.testing.assert_array_equal(table[-1], table[0])
    np.testing.assert_array_equal(table[:, -1], table[:, 0])
    field = load_ranks()["planes"][1].ravel().astype(int)
    read = inside[::3, ::3].ravel()  # at the samples of the field, the order is unchanged
    assert np.corrcoef(field.argsort(kind="stable").argsort(), read.argsort().argsort())[0, 1] > 0.99


def test_a_field_is_interpolated_and_periodic():
    table = np.pad(np.arange(16, dtype=np.float32).reshape(4, 4), (0, 1), mode="wrap")
    at = np.float32
    s, t = np.array([0, 0.25, 0.125, -0.75, 2.5, 0.875], at), np.array([0, 0.25, 0.25, 1.25, 0.5, 0], at)
    np.testing.assert_allclose(read_field(s, t, table), [0, 5, 4.5, 5, 10, 1.5])


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return Teacher(write_package(tmp_path_factory.mktemp("package"))[0]).eval()


def test_a_relief_has_no_layout():
    _, x = np.mgrid[:128, :128].astype(np.float32)
    fine = 20 * np.sin(x)
    relief = make_relief(fine + 200 * (x > 64))
    assert relief.min() > 0 and relief.max() < 1 and relief.mean() == pytest.approx(0.5)
    away = np.abs(x - 64) > 40
    assert np.corrcoef(relief[away], fine[away])[0, 1] > 0.9


def _blobs(sigma, n, rng):
    noise = np.fft.rfft2(rng.standard_normal((n, 128, 128)))
    f = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.rfftfreq(128)[None])
    smooth = np.fft.irfft2(noise * np.exp(-2 * (np.pi * sigma * f) ** 2))
    ranks = smooth.reshape(n, -1).argsort(axis=1).argsort(axis=1).reshape(n, 128, 128)
    return (ranks / ranks[0].size).astype(np.float32)


@pytest.mark.slow
def test_learnt_fields_approach_their_exemplar_and_stay_uniform(teacher):
    exemplars = _blobs(3.0, 1, np.random.default_rng(0))
    torch.manual_seed(0)
    begun, learnt = (learn_fields(exemplars, teacher, seed=1, steps=steps)[0] for steps in (1, 60))
    for field in (begun, learnt):
        assert set(np.bincount(field.ravel(), minlength=256)) == {SIDE * SIDE // 256}

    def gap(field):
        values = torch.from_numpy((field.astype(np.float32) + 0.5) / 256)[None]
        found, wanted = (_correlations(teacher, reliefs) for reliefs in (values, torch.from_numpy(exemplars)))
        return sum(float((a - b).norm() / b.norm()) for a, b in zip(found, wanted, strict=True))

    assert gap(learnt) < 0.97 * gap(begun)
    again = learn_fields(exemplars, teacher, seed=1, steps=60)[0]
    np.testing.assert_array_equal(again, learnt)


@pytest.mark.slow
def test_exemplars_come_from_different_abstract_pictures(teacher):
    rng = np.random.default_rng(0)
    fine, coarse = _blobs(0.7, 40, rng), _blobs(4.0, 40, rng)
    grey = np.concatenate([fine, coarse, _blobs(2.0, 20, rng)])
    windows = Windows(
        windows=np.repeat((255 * grey).astype(np.uint8)[..., None], 3, axis=3),
        palettes=np.zeros((100, 8, 3), np.float32),
        shares=np.zeros((100, 8, 32, 32), np.uint8),
        source=np.arange(100) // 2,
        names=[str(i) for i in range(50)],
        roles=["abstract"] * 40 + ["painting"] * 10,
    )
    exemplars = choose_exemplars(windows, teacher, seed=0)
    greys = windows.windows.astype(np.float32) @ np.array([0.25, 0.6, 0.15], np.float32)
    reliefs = [make_relief(picture) for picture in greys]
    found = [next(i for i, relief in enumerate(reliefs) if np.allclose(relief, exemplar)) for exemplar in exemplars]
    assert max(found) < 80
    for family in np.split(windows.source[found], len(FAMILIES)):
        assert len(set(family)) == VARIANTS
