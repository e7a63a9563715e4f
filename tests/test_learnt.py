"""Learned kinds of marks: the shipped fields, and how they are read."""

import numpy as np
import pytest
from clavilux.painter.marks.learnt import FAMILIES, SIDE, VARIANTS, load_ranks, load_table, read_field


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
