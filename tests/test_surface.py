"""Two kinds in one picture, softness, glaze and brush."""

import dataclasses

import numpy as np
import pytest

from clavilux.constants import FINISH
from clavilux.errors import ControlsError
from clavilux.images import resize
from clavilux.painter.controls import Controls, choose_controls, log_softmax, share_of_second
from clavilux.painter.marks import KINDS
from clavilux.painter.paint import paint, paint_slots
from tests.test_painter import half_plan, make_controls, smooth_plan


def _far(a, b):
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


@pytest.mark.parametrize(("first", "second"), [("tiles", "strokes"), ("marble", "rings"), ("dots", "hatching")])
def test_two_kinds_keep_the_shares_of_the_plan(first, second):
    plan = smooth_plan(2)
    found = np.zeros(8)
    pictures = 12
    for seed in range(pictures):
        controls = make_controls(first, plan=plan, second_kind=second, second_share=0.4, frequency=30.0)
        found += np.bincount(paint_slots(controls, width=160, height=160, seed=seed).ravel(), minlength=8)
    expected = np.exp(log_softmax(plan)).mean(axis=(1, 2))
    np.testing.assert_allclose(found / found.sum(), expected, atol=0.015)


def test_the_second_kind_covers_its_share_and_the_first_is_unchanged_elsewhere():
    alone = [paint_slots(make_controls(kind), width=256, height=256) for kind in ("tiles", "spirals")]
    covered = []
    for share in (0.1, 0.3, 0.5, 0.9):
        both = paint_slots(make_controls("tiles", second_kind="spirals", second_share=share), width=256, height=256)
        assert ((both == alone[0]) | (both == alone[1])).all()
        differ = alone[0] != alone[1]
        covered.append(float((both == alone[1])[differ].mean()))
    assert covered == sorted(covered)
    assert covered[0] < 0.3
    assert covered[-1] > 0.7


def test_the_order_of_two_equal_kinds_does_not_matter():
    a = make_controls("tiles", second_kind="strokes", second_share=0.5)
    b = make_controls("strokes", second_kind="tiles", second_share=0.5)
    assert np.array_equal(paint(a, width=96, height=96), paint(b, width=96, height=96))


def test_a_share_of_0_or_1_gives_one_kind():
    plain = paint(make_controls("dots"), width=96, height=96)
    assert np.array_equal(paint(make_controls("dots", second_kind="rays"), width=96, height=96), plain)
    whole = make_controls("rays", second_kind="dots", second_share=1.0)
    assert whole.kinds == ("dots",)
    assert np.array_equal(paint(whole, width=96, height=96), plain)


def test_the_share_of_the_second_kind_is_continuous():
    assert share_of_second(np.array([2.0, 2.0, 0.0])) == 0.5
    assert share_of_second(np.array([2.0, 1.0, 1.0])) == 0.0
    assert share_of_second(np.array([2.0, 1.5, 0.0])) == pytest.approx(0.375)
    assert share_of_second(np.array([2.0])) == 0.0
    scores = np.array([1.0, 0.6, 0.59, -2.0])
    shares = [share_of_second(np.sort([*scores, 0, 0, step, 0])[::-1]) for step in np.linspace(0, 0.02, 21)]
    assert np.abs(np.diff(shares)).max() < 0.02


@pytest.mark.parametrize("kind", ["blobs", "marble", "tiles"])
def test_softness_mixes_colours(kind):
    crisp, soft = (paint(make_controls(kind, softness=s), width=192, height=192, supersample=1) for s in (0.0, 0.6))
    palette = {tuple(c) for c in np.unique(crisp.reshape(-1, 3) // 8, axis=0)}
    mixed = np.mean([tuple(c) not in palette for c in soft.reshape(-1, 3)[::7] // 8])
    assert mixed > 0.3
    near = [np.abs(np.diff(p.astype(int), axis=1)).sum(axis=2) for p in (crisp, soft)]
    assert np.quantile(near[1], 0.98) < np.quantile(near[0], 0.98)


def _slow_ramp(dark, light, side):
    """Return a painted gradient between two greys, and the exact gradient (side,) in 8-bit steps.

    The gradient is a mixture in linear light by the softmax of a plan whose logits are linear in x.
    """
    palette = np.repeat(np.linspace(dark, light, 8, dtype=np.float32)[:, None], 3, axis=1)
    logits = (np.arange(32) + 0.5) / 32 - 0.5
    plan = np.full((8, 32, 32), -40.0, np.float32)
    plan[0], plan[7] = -2 * logits, 2 * logits
    controls = Controls(palette, plan, "tiles", frequency=4.0, angle=0.0, chaos=0.0, softness=1.0)
    x = (np.arange(side) + 0.5) / side - 0.5
    share = 1 / (1 + np.exp(-4 * x / 1.2))
    a, b = (((v + 0.055) / 1.055) ** 2.4 for v in (dark, light))
    return paint(controls, width=side, height=side), 255 * (1.055 * (a + share * (b - a)) ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize(("dark", "light"), [(0.05, 0.065), (0.6, 0.63)])
def test_slow_gradients_have_no_bands(dark, light):
    """Without dithering, means of columns are wrong by up to half a step, which is visible as bands."""
    side, wide = 640, 18
    picture, ramp = _slow_ramp(dark, light, side)
    inner = slice(side // 20, -side // 20)  # where the plan is a straight line
    for c in range(3):
        off = (picture[:, :, c].mean(axis=0) - ramp)[inner].reshape(-1, wide).mean(axis=1)
        assert np.abs(off).max() < 0.1
        assert abs(off.mean()) < 0.03
    assert np.ptp(ramp[inner]) > 2, "the ramp passes several steps"


def test_softness_changes_nothing_where_the_plan_is_certain():
    controls = make_controls("tiles", plan=half_plan(), chaos=0.5)
    crisp, soft = (
        paint(controls, width=96, height=96),
        paint(dataclasses.replace(controls, softness=0.5), width=96, height=96),
    )
    assert np.abs(crisp.astype(int) - soft.astype(int))[:, :40].max() <= 4


@pytest.mark.parametrize("name", ["glaze", "brush"])
def test_glaze_and_brush_have_their_deviation_in_lightness(name):
    """Over a grey picture of one colour; 2.55 steps are one L*."""
    plan = np.full((8, 32, 32), -12.0, np.float32)
    plan[4] = 0
    grey = np.repeat(np.linspace(0.1, 0.9, 8, dtype=np.float32)[:, None], 3, axis=1)
    controls = Controls(grey, plan, "tiles", frequency=8, angle=0.1, chaos=0.1)
    bare = paint(controls, width=512, height=512).astype(float)
    worked = paint(dataclasses.replace(controls, **{name: 6.0}), width=512, height=512).astype(float)
    deviation = (worked - bare).mean(axis=2).std() / 2.55
    assert deviation == pytest.approx(6.0 if name == "brush" else 0.87 * 6.0, rel=0.3)
    assert abs((worked - bare).mean()) < 6


def test_bristles_run_along_the_angle():
    plan = np.full((8, 32, 32), -12.0, np.float32)
    plan[4] = 0
    grey = np.repeat(np.linspace(0.1, 0.9, 8, dtype=np.float32)[:, None], 3, axis=1)
    picture = paint(
        Controls(grey, plan, "tiles", frequency=8, angle=0.25, chaos=0.1, brush=8.0), width=384, height=384
    ).astype(float)
    along, across = (np.abs(np.diff(picture.mean(axis=2), axis=axis)).mean() for axis in (0, 1))
    assert across > 1.8 * along


@pytest.mark.parametrize(
    "changes", [{"softness": 0.4}, {"glaze": 5.0}, {"brush": 5.0}, {"second_kind": "rays", "second_share": 0.4}]
)
def test_the_same_place_at_two_sizes(changes):
    controls = make_controls("facets", **changes)
    large, small = (paint(controls, width=side, height=side, seed=3) for side in (768, 256))
    assert _far(resize(large, 256), small) < 5.0


def test_the_number_of_threads_changes_nothing():
    controls = make_controls("facets", second_kind="dots", second_share=0.3, softness=0.2, glaze=4.0, brush=4.0)
    one, two = (paint(controls, width=300, height=200, threads=threads) for threads in (1, 2))
    assert np.array_equal(one, two)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"second_kind": "clouds"}, "second_kind is 'clouds'"),
        ({"second_share": 1.5}, "second_share is 1.5; it must be a number from 0 to 1"),
        ({"softness": -0.1}, "softness is -0.1; it must be a number from 0 to 1"),
        ({"glaze": 99.0}, "glaze is 99.0; it must be a number from 0 to 16"),
        ({"brush": float("nan")}, "brush is nan"),
    ],
)
def test_values_out_of_range_are_errors(changes, message):
    with pytest.raises(ControlsError, match=message):
        make_controls("tiles", **changes)


def test_controls_with_a_surface_survive_json():
    worked = {"softness": 0.5, "glaze": 3.0, "brush": 2.0, "outline": -0.7}
    controls = make_controls("tiles", second_kind="dots", second_share=0.25, **worked)
    again = Controls.from_json(controls.to_json())
    assert again.to_json() == controls.to_json()
    assert (again.second_kind, again.second_share, again.softness) == ("dots", 0.25, 0.5)


def test_estimates_below_the_threshold_paint_nothing_and_others_are_scaled():
    raw = {
        "plan": np.zeros((8, 32, 32), np.float32), "palette": np.zeros(1, np.float32),
        "kind": np.arange(len(KINDS), dtype=np.float32), "frequency": np.float32(10), "angle": np.float32(0.1),
        "chaos": np.float32(0.8),
    }  # fmt: skip

    def choose(finish, **options):
        outputs = raw | {"finish": np.array(finish, np.float32)}
        return choose_controls(outputs, palettes=np.full((1, 8, 3), 0.5, np.float32), kinds=KINDS, **options)

    bare = choose([0.1, 0.1, 0.04, 0.51, 0.4, 0.4])
    assert [getattr(bare, name) for name in FINISH] == [0] * 6
    barely_dark = choose([0.1, 0.1, 0.04, 0.495, 0.4, 0.4])
    assert "-0.0" not in barely_dark.to_json().partition('"plan"')[0]
    full = choose(np.ones(6))
    assert full.softness == pytest.approx(0.7)
    assert full.glaze == pytest.approx(0.8 * 16)
    assert full.brush == pytest.approx(0.7 * 16)
    assert full.outline == pytest.approx(1.6)
    assert (full.mirror, full.flip) == (1, 1)
    dark = choose(np.zeros(6))
    assert dark.outline == pytest.approx(-1.6)
    as_estimated = choose(np.full(6, 0.75), corrections=dict.fromkeys(FINISH, (0.0, 1.0)))
    assert (as_estimated.softness, as_estimated.glaze, as_estimated.mirror) == (0.75, 12.0, 0.75)


@pytest.mark.parametrize(("kind", "second"), [("glass", None), ("stripes", "impasto")])
@pytest.mark.parametrize("size", [(160, 160), (150, 210)])
def test_a_mirrored_picture_is_its_own_mirror_image(kind, second, size):
    changes = {"frequency": 8.0, "outline": -0.6, "second_kind": second, "second_share": 0.4 if second else 0.0}
    width, height = size

    def slots(**symmetry):
        return paint_slots(make_controls(kind, **changes, **symmetry), width=width, height=height, seed=3)

    mirrored, flipped, both = slots(mirror=1.0), slots(flip=1.0), slots(mirror=1.0, flip=1.0)
    np.testing.assert_array_equal(mirrored, mirrored[:, ::-1])
    np.testing.assert_array_equal(flipped, flipped[::-1])
    np.testing.assert_array_equal(both, both[:, ::-1])
    np.testing.assert_array_equal(both, both[::-1])
    plain = slots()
    np.testing.assert_array_equal(mirrored[:, width // 2 :], plain[:, width // 2 :])  # the right half is as it was
    assert np.mean(plain != plain[:, ::-1]) > 0.3
    assert np.mean(mirrored != mirrored[::-1]) > 0.3


@pytest.mark.slow
def test_the_area_of_symmetry_follows_the_control():
    symmetric = []
    for share in (0.0, 0.3, 0.6, 1.0):
        found = []
        for seed in range(150):
            controls = make_controls("facets", frequency=14.0, mirror=share)
            slots = paint_slots(controls, width=64, height=64, seed=seed)
            found.append(np.mean(slots == slots[:, ::-1]))
        symmetric.append(float(np.mean(found)))
    at_random = symmetric[0]
    expected = [at_random + share * (1 - at_random) for share in (0.0, 0.3, 0.6, 1.0)]
    np.testing.assert_allclose(symmetric, expected, atol=0.06)


@pytest.mark.parametrize("kind", ["marble", "cubist"])
def test_soft_mixtures_with_black_have_no_negative_light(kind):
    """Rounding must not give values below black, for which NumPy would warn of a power of a negative number."""
    for seed in range(6):
        palette = np.random.default_rng(seed).random((8, 3)).astype(np.float32)
        palette[-1] = 0.0
        controls = dataclasses.replace(make_controls(kind, softness=1.0, frequency=20.0), palette=palette)
        paint(controls, width=96, height=96, seed=seed)
