"""The measures on cases whose value is known: a collapse must score low, and real art high."""

import numpy as np
import pytest
import torch
from fake_bundle import write_fake_bundle
from prdc import compute_prdc
from vendi_score import vendi

from clavilux.bundle import open_bundle
from clavilux.evaluation.baselines import fit_linear_map
from clavilux.evaluation.controlled_pairs import right_signs
from clavilux.evaluation.evaluate import _stated_kl
from clavilux.evaluation.evaluator_b import BLOCKS, measure_evaluator_b
from clavilux.evaluation.evaluators import Space, Spaces, measure_features
from clavilux.evaluation.painting import degrade, fine_energy
from clavilux.evaluation.point_measures import (
    active_units,
    compare_with_art,
    density_coverage,
    indistinguishable,
    kid,
    kl_of_latents,
    measure_variations,
    memorisation,
    precision_recall,
    relative_distance,
    relative_to_degraded,
)
from clavilux.evaluation.songs import Scale
from clavilux.measures.diversity import distances, kernel_width, mean_pairwise_distance, vendi_score
from clavilux.measures.similarity import (
    correlation_with_p,
    geometry,
    hubs,
    neighbours_kept,
    same_genre,
    same_song,
    spearman,
)


@pytest.fixture
def art():
    return np.random.default_rng(0).standard_normal((200, 16))


@pytest.fixture
def more_art():
    return np.random.default_rng(1).standard_normal((200, 16))


def _collapsed(n=200):
    """Return n points that are nearly the same."""
    return 0.3 + 1e-3 * np.random.default_rng(2).standard_normal((n, 16))


@pytest.mark.filterwarnings("ignore:.*csr.*:DeprecationWarning")
def test_vendi_equals_the_reference(art):
    width = kernel_width(art)
    kernel = np.exp(-0.5 * (distances(art, art) / width) ** 2)
    assert vendi_score(art, width) == pytest.approx(float(vendi.score_K(kernel, q=2)), rel=1e-6)


def test_vendi_counts_different_pictures():
    five = np.repeat(100.0 * np.eye(5), 20, axis=0)
    assert vendi_score(five, 1.0) == pytest.approx(5.0, rel=1e-6)
    assert vendi_score(_collapsed(), 1.0) == pytest.approx(1.0, abs=1e-3)


def test_precision_recall_density_coverage_equal_the_reference(art, more_art):
    made = 0.8 * more_art[:150] + 0.2
    three, five = (compute_prdc(art, made, nearest_k=k) for k in (3, 5))
    assert precision_recall(art, made) == pytest.approx((three["precision"], three["recall"]))
    assert density_coverage(art, made) == pytest.approx((five["density"], five["coverage"]))


def test_two_samples_of_real_art_give_the_expected_values(art, more_art):
    density, coverage = density_coverage(art, more_art)
    assert density == pytest.approx(1.0, abs=0.25)
    assert coverage == pytest.approx(1 - 2**-5, abs=0.06)
    values = [kid(art, more_art, rng=np.random.default_rng(seed), rounds=1) for seed in range(50)]
    assert abs(np.mean(values)) < 2 * np.std(values)


def test_a_collapse_scores_low_on_every_measure(art):
    made, width = _collapsed(), kernel_width(art)
    assert mean_pairwise_distance(made) < 0.01 * mean_pairwise_distance(art)
    assert vendi_score(made, width) < 1.01
    assert precision_recall(art, made)[1] < 0.05
    # One point in the middle of a round cloud lies in many balls: coverage alone would let much of a collapse pass.
    assert density_coverage(art, made)[1] < 0.5
    assert kid(art, made, rng=np.random.default_rng(0)) > 0.3


def test_geometry_is_one_for_a_rotation_and_near_zero_for_shuffled_rows(art):
    rng = np.random.default_rng(0)
    turned = art @ np.linalg.qr(rng.standard_normal((16, 16)))[0]
    found, p = geometry(art, turned, rng=rng, permutations=99)
    assert found == pytest.approx(1.0, abs=1e-6)
    assert p == pytest.approx(0.01)
    assert neighbours_kept(art, turned) == pytest.approx(1.0)
    shuffled = turned[rng.permutation(len(turned))]
    found, p = geometry(art, shuffled, rng=rng, permutations=99)
    assert abs(found) < 0.1
    assert p > 0.02
    assert neighbours_kept(art, shuffled) == pytest.approx(10 / 199, abs=0.03)


def test_same_song_is_one_for_equal_halves_and_at_chance_for_unrelated_ones(art, more_art):
    assert same_song(art, art + 0.01 * more_art) == (1.0, 1.0)
    auc, top1 = same_song(art, more_art)
    assert auc == pytest.approx(0.5, abs=0.07)
    assert top1 < 0.05


def test_hubs_is_the_share_of_songs_with_one_nearest_picture(art):
    assert hubs(_collapsed(), art) > 0.95
    assert hubs(art + 1e-3, art) == pytest.approx(1 / 200)


def test_correspondence_has_the_right_sign_and_p():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(100)
    assert correlation_with_p(x, x**3, rng=rng, permutations=99) == (pytest.approx(1.0), pytest.approx(0.01))
    assert correlation_with_p(x, -x, rng=rng, permutations=99)[1] == pytest.approx(1.0)
    assert spearman(x, np.zeros(100)) == 0.0


def test_invalid_points_raise_an_error():
    with pytest.raises(ValueError, match="n of at least"):
        mean_pairwise_distance(np.zeros((1, 4)))
    with pytest.raises(ValueError, match="not finite"):
        mean_pairwise_distance(np.full((3, 4), np.nan))


def test_evaluator_b_has_its_blocks_and_separates_noise_from_flat_pictures():
    rng = np.random.default_rng(0)
    flat = [np.full((160, 130, 3), c, np.uint8) for c in (30, 120, 220)]
    noise = [rng.integers(0, 255, (160, 130, 3), np.uint8) for _ in range(3)]
    measured = np.stack([measure_evaluator_b(p) for p in (*flat, *noise)])
    assert measured.shape == (6, sum(BLOCKS.values()))
    assert np.isfinite(measured).all()
    points = Space.of_blocks(measured).place(measured)
    within = distances(points, points)
    assert within[3:, 3:].max() < within[:3, 3:].min()


def test_every_block_weighs_the_same():
    rng = np.random.default_rng(0)
    measured = rng.standard_normal((500, sum(BLOCKS.values()))).astype(np.float32)
    points = Space.of_blocks(measured).place(measured)
    first = 0
    for n in BLOCKS.values():
        assert (points[:, first : first + n] ** 2).sum(1).mean() == pytest.approx(1.0, rel=0.05)
        first += n


def _stripes(seed):
    """Stripes of a colour, a width and a direction of their own."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:256, :256]
    angle, period = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(8), np.log(120)))
    first, second = rng.integers(0, 255, (2, 3))
    inside = ((x * np.cos(angle) + y * np.sin(angle)) / period) % 1 < rng.uniform(0.2, 0.8)
    return np.where(inside[..., None], first, second).astype(np.uint8)


@pytest.fixture(scope="module")
def striped():
    """Points for both evaluators of a picture, a nearly equal one and eleven others, and of their degraded copies."""
    base = _stripes(0)
    nearly = base.copy()
    nearly[:4, :4] ^= 1
    pictures = [base, nearly, *(_stripes(seed) for seed in range(1, 12))]
    features = measure_features(pictures)
    spaces = Spaces.of(features)
    return spaces.place(features), spaces.place(measure_features([degrade(rgb) for rgb in pictures]))


@pytest.mark.parametrize("evaluator", ["A", "B"])
def test_indistinguishable_counts_pairs_nearer_than_a_degraded_copy(striped, evaluator):
    points, copies = (side[evaluator] for side in striped)
    assert indistinguishable(points, copies) == 1
    assert indistinguishable(points[1:], copies[1:]) == 0


def test_network_features_do_not_depend_on_the_batch():
    pictures = [_stripes(seed) for seed in range(3)]
    together, alone = measure_features(pictures)["A"], measure_features(pictures[1:2])["A"]
    assert together.shape == (3, 1280)
    np.testing.assert_allclose(together[1], alone[0], atol=1e-4)
    assert np.abs(together[0] - together[1]).max() > 0.1


def test_same_genre_is_one_for_separate_genres_and_at_chance_for_mixed_ones(art):
    genres = ["rock", "jazz"] * 100
    apart = art.copy()
    apart[::2] += 10
    assert same_genre(apart, genres) == pytest.approx(1.0)
    assert same_genre(art, genres) == pytest.approx(0.5, abs=0.03)
    assert same_genre(art, ["rock"] * 197 + ["jazz"] * 3) is None  # a genre of three songs is ignored
    assert same_genre(apart, ["rock", ""] * 100) is None


def test_memorisation_is_low_for_new_art_and_one_for_training_art(art, more_art):
    assert memorisation(more_art, art) < 0.05
    assert memorisation(art + 1e-4, art) == 1.0


def test_relative_distance_is_in_units_of_the_distance_of_two_songs(art):
    usual = np.mean(distances(art, art)[np.triu_indices(200, 1)])
    assert relative_distance(art, art, art) == 0
    moved = art.copy()
    moved[:, 0] += 0.1 * usual
    assert relative_distance(art, moved, art) == pytest.approx(0.1)


def test_relative_to_degraded_is_in_units_of_the_distance_to_a_degraded_copy(art):
    copies, moved = art.copy(), art.copy()
    copies[:, 0] += 1.0
    moved[:50, 1] += 2.0  # a quarter of the pictures move by two units
    assert relative_to_degraded(art, art, art, copies) == (0.0, 0.0)
    assert relative_to_degraded(art, moved, art, copies) == (pytest.approx(0.5), 0.25)


def test_variations_are_near_and_visibly_different(art, more_art):
    groups = np.stack([art, art + 0.1 * more_art, art - 0.1 * more_art], axis=1)[:50]
    assert measure_variations(groups, art[:50] + 0.001) == (pytest.approx(1.0, abs=1e-6), 1.0)
    assert measure_variations(groups, art[:50] + 1.0)[1] == 0.0  # no variation differs more than a distant copy
    unrelated = np.random.default_rng(3).standard_normal((50, 3, 16))
    assert measure_variations(unrelated, unrelated[:, 0] + 0.001)[0] == pytest.approx(0.5, abs=0.07)


def test_fine_energy_is_high_for_fine_stripes_only():
    x = np.arange(512)
    fine, coarse = (
        np.repeat(np.uint8(128 + 60 * np.sin(2 * np.pi * cycles * x / 512))[None, :, None], 3, axis=2).repeat(
            512, axis=0
        )
        for cycles in (150, 10)
    )
    assert fine_energy(fine) > 100
    assert fine_energy(coarse) < 0.1


def test_active_units_and_stated_kl():
    rng = np.random.default_rng(0)
    means = rng.standard_normal((500, 64)) * np.where(np.arange(64) < 10, 0.05, 1.0)
    assert active_units(means) == 54
    card = {"measures": {"image_vae": {"kl_nats": 80.0}}, "config": {"image_vae": {"target_nats": 100.0}}}
    assert _stated_kl(card) == pytest.approx(0.8)
    assert _stated_kl({"measures": {}}) is None


def test_kl_of_latents_equals_torch_distributions():
    means, logvars = np.zeros((5, 3)), np.zeros((5, 3))
    means[:, 1], logvars[:, 2] = 2.0, np.log(0.25)
    normal = torch.distributions.Normal
    expected = [
        float(torch.distributions.kl_divergence(normal(mean, deviation), normal(0.0, 1.0)))
        for mean, deviation in ((0.0, 1.0), (2.0, 1.0), (0.0, 0.5))
    ]
    np.testing.assert_allclose(kl_of_latents(means, logvars), expected, atol=1e-6)
    assert expected[0] == 0


def test_right_signs_is_the_share_of_correspondences_that_rise():
    image_features = ("chroma", "contrast", "warmth", "lightness", "edge_density", "spatial_frequency", "angularity")
    low = {name: np.zeros(3) for name in image_features}
    high = {name: np.zeros(3) for name in image_features}
    high["lightness"] = np.array([1.0, 1.0, -1.0])
    spread = {name: np.array([-1.0, 1.0]) for name in image_features}
    found = right_signs(["register", "mode", "mode"], low, high, spread)
    shares = {key: value for key, value in found.items() if not key.endswith(("_low", "_high"))}
    assert shares == {"alone": pytest.approx(2 / 3), "register": 1.0, "mode": 0.5}
    assert (found["alone_low"], found["alone_high"]) == pytest.approx((0.2077, 0.9385), abs=1e-4)  # Wilson, 2 of 3


def test_blocks_have_equal_weight_and_nearly_constant_latents_a_small_one(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.standard_normal((300, 110)).astype(np.float32) * 5
    points = Scale.of_blocks(values, (10, 100)).place(values)
    for block in (points[:, :10], points[:, 10:]):
        assert (block**2).sum(axis=1).mean() == pytest.approx(1.0, rel=0.05)
    codes = rng.standard_normal((300, 64)).astype(np.float32)
    codes[:, 0] *= 1e-3
    bundle = open_bundle(write_fake_bundle(tmp_path / "without-scale"))
    assert Scale.of_bundle(bundle, codes).place(codes)[:, 0].std() == pytest.approx(4e-3, rel=0.3)


def test_song_codes_are_scaled_as_the_card_of_the_bundle_states(tmp_path):
    stated = {
        "descriptor_mean": [110.0, -20.0],
        "song_mean": [1.0] * 66,
        "song_deviation": [2.0] * 66,
        "song_weights": [1.0] * 32 + [0.0] * 32 + [0.5] * 2,
    }
    bundle = open_bundle(write_fake_bundle(tmp_path / "with-scale", normalisation=stated))
    codes = np.tile(np.array([5.0, 1.0, 101.0], np.float32), 22)[None]
    placed = Scale.of_bundle(bundle, codes).place(codes)[0]
    assert placed[:3].tolist() == [2.0, 0.0, 3.5]  # the third is clipped
    assert not placed[32:64].any()
    assert placed[64:].tolist() == [0.0, 1.75]


def test_the_linear_map_has_the_mean_of_art_and_follows_the_correspondences():
    rng = np.random.default_rng(0)
    songs, pictures = rng.standard_normal((300, 30)), 0.5 + 2 * rng.standard_normal((400, 64))
    song_scores, picture_scores = songs[:, :6], pictures[:, :6]
    mapped = fit_linear_map(songs, song_scores, pictures, picture_scores)(songs)
    assert mapped.shape == (300, 64)
    assert np.allclose(mapped.mean(axis=0), pictures.mean(axis=0), atol=0.05)
    assert all(spearman(song_scores[:, i], mapped[:, i]) > 0.5 for i in range(6))


def test_compare_with_art_of_a_set_with_itself_and_with_one_point():
    rng = np.random.default_rng(0)
    real = rng.standard_normal((60, 8))
    same = compare_with_art(real, real, width=kernel_width(real), rng=rng)
    assert same["diversity"] == pytest.approx(1) and same["vendi"] == pytest.approx(1)
    assert same["precision"] == same["recall"] == same["coverage"] == 1
    one = compare_with_art(real, np.repeat(real[:1], 60, axis=0), width=kernel_width(real), rng=rng)
    assert one["diversity"] == pytest.approx(0) and one["recall"] < 0.1 and one["coverage"] < 0.3
    assert one["kid"] > same["kid"] + 0.1
