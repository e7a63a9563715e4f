"""Mark fields: uniform, independent, functions of place, not periodic, and dependent on their parameters."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from clavilux.constants import SLOTS
from clavilux.errors import ClaviluxError
from clavilux.painter.marks import KINDS, MARKS, Field, mark_field
from clavilux.painter.marks.cells import distance_to_border, nearest_points
from clavilux.painter.marks.hashing import cell_hash, choose, draws, happens, key, unit
from clavilux.painter.marks.place import Place, normal_to_uniform
from clavilux.painter.marks.rings import turns

Float32 = NDArray[np.float32]

# Kinds with few pieces in a picture, for which a mean over more pictures is needed.
_FEW_PIECES = ("stripes", "rings", "spirals", "rays")


def _scatter(n: int, reach: float, seed: int) -> tuple[Float32, Float32]:
    x, y = np.random.default_rng(seed).uniform(-reach, reach, (2, n)).astype(np.float32)
    return x, y


def _draw(kind: str, x: Float32, y: Float32, **changes: float) -> Field:
    options = {"frequency": 12.0, "angle": 0.1, "seed": 5, **changes}
    return mark_field(kind, x, y, frequency=options["frequency"], angle=options["angle"], seed=int(options["seed"]))


def _lattice(side: int) -> tuple[Float32, Float32]:
    x, y = np.meshgrid((np.arange(side) + 0.5) / side - 0.5, (np.arange(side) + 0.5) / side - 0.5)
    return x.ravel().astype(np.float32), y.ravel().astype(np.float32)


def test_table_of_kinds() -> None:
    assert len(KINDS) == len(set(KINDS)) >= 16
    assert tuple(MARKS) == KINDS
    assert len({MARKS[kind].description for kind in KINDS}) == len(KINDS)
    families = {kind.draw.__module__.rpartition(".")[2] for kind in MARKS.values()}
    assert families == {"waves", "cells", "grids", "lines", "rings", "dots", "throws"}


@pytest.mark.parametrize("kind", KINDS)
def test_fields_are_uniform_and_slots_independent(kind: str) -> None:
    pictures = 160 if kind in _FEW_PIECES else 24
    fields = []
    for seed in range(pictures):
        x, y = _scatter(24_000 // pictures, 2.0, seed)
        fields.append(_draw(kind, x, y, frequency=48.0, angle=0.5 * seed / pictures, seed=seed).u)
    u = np.concatenate(fields, axis=1)
    assert u.dtype == np.float32
    assert len(u) == (1 if kind in {"marble", "bands", "hatching"} else SLOTS)
    assert u.min() > 0.0 and u.max() < 1.0
    rank = (np.arange(u.shape[1]) + 0.5) / u.shape[1]
    kolmogorov = max(float(np.abs(np.sort(row) - rank).max()) for row in u)
    assert kolmogorov < 0.02, "0.009 is the 5 % quantile for independent values; those of one piece are equal"
    if len(u) == SLOTS:
        correlation = np.corrcoef(u) - np.eye(SLOTS)
        assert np.abs(correlation).max() < 0.04


@pytest.mark.parametrize("kind", KINDS)
def test_field_is_a_function_of_place(kind: str) -> None:
    x, y = _scatter(3_000, 1.0, 0)
    whole = _draw(kind, x, y)
    order = np.random.default_rng(1).permutation(x.size)
    part = _draw(kind, x[order][:700], y[order][:700])
    np.testing.assert_array_equal(part.u, whole.u[:, order][:, :700])
    np.testing.assert_array_equal(part.x, whole.x[order][:700])


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_change_the_marks(kind: str) -> None:
    x, y = _lattice(64)
    base = _draw(kind, x, y).u
    for change in ({"frequency": 18.0}, {"seed": 6}):
        moved = _draw(kind, x, y, **change).u
        assert np.mean(np.abs(moved - base) > 1e-3) > 0.3, change
    turned = _draw(kind, x, y, angle=0.17).u
    if MARKS[kind].uses_angle:
        assert np.mean(np.abs(turned - base) > 1e-3) > 0.3
    else:
        np.testing.assert_array_equal(turned, base)


@pytest.mark.parametrize("kind", KINDS)
def test_frequency_makes_marks_finer(kind: str) -> None:
    x, y = _lattice(192)

    def changes(frequency: float) -> float:
        u = np.stack([_draw(kind, x, y, frequency=frequency, seed=seed).u[0] for seed in range(3)]).reshape(3, 192, 192)
        return float(np.mean(np.abs(np.diff(u, axis=2))) + np.mean(np.abs(np.diff(u, axis=1))))

    assert 1.5 < changes(24.0) / changes(6.0) < 6.0, "4 if all of the marks scale"


@pytest.mark.parametrize("kind", KINDS)
def test_no_visible_period(kind: str) -> None:
    """A field shifted by a whole number of marks differs from itself."""
    x, y = _lattice(96)
    frequency = 8.0
    here = _draw(kind, x, y, frequency=frequency, angle=0.0).u[:1]
    for steps in (3, 4, 5, 8, 12, 16):
        shift = np.float32(steps / frequency)
        for there in (
            _draw(kind, x + shift, y, frequency=frequency, angle=0.0),
            _draw(kind, x, y + shift, frequency=frequency, angle=0.0),
        ):
            same = float(np.mean(np.abs(there.u[:1] - here) < 1e-4))
            # Stripes are constant along their direction.
            assert same < 0.3 or kind == "stripes", (steps, same)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if MARKS[kind].uses_angle])
def test_angle_turns_the_marks_counterclockwise(kind: str) -> None:
    """The field of a rotated place is the rotated field; the bend, which does not rotate, is left out."""
    x, y = _lattice(64)
    draw = MARKS[kind].draw
    upright = draw(Place(x * 9, y * 9, 9.0, 3)).u
    quarter = draw(Place(-y * 9, x * 9, 9.0, 3)).u  # what mark_field makes of a quarter turn
    np.testing.assert_array_equal(quarter.reshape(-1, 64, 64), np.rot90(upright.reshape(-1, 64, 64), axes=(1, 2)))


def test_strokes_run_along_the_angle() -> None:
    """Strokes are horizontal at angle 0 and vertical at 0.25: the field varies less along a stroke."""
    x, y = _lattice(128)
    for angle, along_axis in ((0.0, 1), (0.25, 0)):
        for kind in ("strokes", "stripes", "drips"):
            u = np.stack([_draw(kind, x, y, angle=angle, seed=seed, frequency=20.0).u[0] for seed in range(4)])
            u = u.reshape(4, 128, 128)
            along = np.mean(np.abs(np.diff(u, axis=1 + along_axis)))
            across = np.mean(np.abs(np.diff(u, axis=2 - along_axis)))
            assert along < 0.6 * across, (kind, angle)


def test_pieces_read_the_plan_at_one_place() -> None:
    x, y = _lattice(128)
    field = _draw("tiles", x, y, frequency=16.0)
    assert len(np.unique(np.round(field.x, 4) + 1j * np.round(field.y, 4))) < 20 * 20
    assert np.hypot(field.x - x, field.y - y).max() < 0.15, "near the place itself"


def test_nearest_point_is_the_nearest() -> None:
    """Against a search of 7 x 7 squares in float64."""
    s, t = _scatter(400, 20.0, 2)
    place = Place(s, t, 10.0, 9)
    h, mid_s, mid_t = nearest_points(place, s, t, "test")
    border = distance_to_border(place, s, t, mid_s, mid_t, "test")
    for n in range(s.size):
        i, j = np.meshgrid(np.arange(-3, 4) + np.floor(s[n]), np.arange(-3, 4) + np.floor(t[n]))
        hashes = cell_hash(i.ravel().astype(np.float32), j.ravel().astype(np.float32), 9, "test")
        point_s = i.ravel() + 0.1 + 0.8 * (hashes >> 16) / 65536
        point_t = j.ravel() + 0.1 + 0.8 * (hashes & 0xFFFF) / 65536
        distance = np.hypot(point_s - s[n], point_t - t[n])
        nearest = int(distance.argmin())
        assert hashes[nearest] == h[n]
        assert mid_s[n] == pytest.approx(point_s[nearest], abs=1e-4)
        to_borders = (distance**2 - distance[nearest] ** 2) / (
            2 * np.hypot(point_s - point_s[nearest], point_t - point_t[nearest]) + 1e-9
        )
        to_borders[nearest] = np.inf
        assert border[n] == pytest.approx(to_borders.min(), abs=2e-3) or to_borders.min() > 0.2


def test_turns_gives_the_direction() -> None:
    angle = np.linspace(-0.4999, 0.4999, 20_001)
    found = turns(np.sin(2 * np.pi * angle).astype(np.float32), np.cos(2 * np.pi * angle).astype(np.float32))
    assert np.abs(found - angle).max() < 3e-6


def test_normal_distribution_function() -> None:
    z = np.array([-8.0, -1.959964, -0.6744898, 0.0, 0.6744898, 1.959964, 8.0], np.float32)
    expected = [0.0, 0.025, 0.25, 0.5, 0.75, 0.975, 1.0]
    np.testing.assert_allclose(normal_to_uniform(z), expected, atol=3e-4)


def test_hashes_are_uniform_and_uncorrelated() -> None:
    i, j = (v.ravel().astype(np.float32) for v in np.meshgrid(np.arange(-200, 200), np.arange(-200, 200)))
    h = cell_hash(i, j, 0, "test")
    assert len(np.unique(h)) > 159_990, "160 000 hashes of 32 bits collide three times on average"
    u = unit(h)
    assert u.min() > 0.0 and u.max() < 1.0
    assert np.abs(np.histogram(u, 20, (0, 1))[0] / u.size - 0.05).max() < 0.002
    for shift in (1, 2, 400, 401):
        assert abs(np.corrcoef(u[:-shift], u[shift:])[0, 1]) < 0.01
    assert happens(h, 3, 0.3).mean() == pytest.approx(0.3, abs=0.005)
    assert happens(h, 3, 1.0).all() and not happens(h, 3, 0.0).any()
    assert unit(np.array([0, 0xFFFFFFFF], np.uint32)).tolist() == [2.0**-24, 1 - 2.0**-24]


def test_keys_do_not_change() -> None:
    """Pictures are painted again from records, so hashes must not change between versions."""
    assert key(0, "facets") == 3717918327
    np.testing.assert_allclose(draws(7, "centre", 2), [0.2362765549911, 0.4746600427898], rtol=1e-10)


def test_choose_equals_where() -> None:
    a, b = np.arange(5, dtype=np.uint32), np.arange(10, 15, dtype=np.uint32)
    mask = np.array([True, False, True, False, False])
    np.testing.assert_array_equal(choose(mask, a, b), np.where(mask, a, b))


def test_unknown_kind_is_refused_by_the_controls() -> None:
    from clavilux.painter.controls import Controls

    with pytest.raises(ClaviluxError, match="kind is 'smudges'"):
        Controls(np.zeros((8, 3)), np.zeros((8, 32, 32)), "smudges", 8.0, 0.0, 1.0)
