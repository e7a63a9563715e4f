"""The measures, on cases whose answer is known: a collapse must not pass, and real art must."""

import numpy as np
import pytest
from prdc import compute_prdc
from vendi_score import vendi

from clavilux.evaluation.diversity import distances, kernel_width, mean_pairwise_distance, vendi_score
from clavilux.evaluation.likeness import correspondence, geometry, hubs, neighbours_kept, same_song, spearman
from clavilux.evaluation.looks import BLOCKS, Looks, measure_looks
from clavilux.evaluation.manifold import density_coverage, kid, precision_recall


@pytest.fixture
def art():
    return np.random.default_rng(0).standard_normal((200, 16))


@pytest.fixture
def more_art():
    return np.random.default_rng(1).standard_normal((200, 16))


def _collapsed(n=200):
    """Two hundred times nearly the same picture."""
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


def test_real_art_against_real_art_is_at_the_known_values(art, more_art):
    density, coverage = density_coverage(art, more_art)
    assert density == pytest.approx(1.0, abs=0.25)
    assert coverage == pytest.approx(1 - 2**-5, abs=0.06)
    value, spread = kid(art, more_art, rng=np.random.default_rng(0))
    assert abs(value) < 2 * spread


def test_a_collapse_fails_every_measure(art):
    made, width = _collapsed(), kernel_width(art)
    assert mean_pairwise_distance(made) < 0.01 * mean_pairwise_distance(art)
    assert vendi_score(made, width) < 1.01
    assert precision_recall(art, made)[1] < 0.05
    # One point in the middle of a round cloud lies in many balls: coverage alone would let much of a collapse pass.
    assert density_coverage(art, made)[1] < 0.5
    assert kid(art, made, rng=np.random.default_rng(0))[0] > 0.3


def test_geometry_of_a_mapping_that_keeps_distances_is_one_and_of_a_shuffled_one_is_nothing(art):
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


def test_same_song_of_halves_that_agree_and_of_halves_that_do_not(art, more_art):
    assert same_song(art, art + 0.01 * more_art) == (1.0, 1.0)
    auc, top1 = same_song(art, more_art)
    assert auc == pytest.approx(0.5, abs=0.07)
    assert top1 < 0.05


def test_hubs_see_that_all_songs_have_one_picture(art):
    assert hubs(_collapsed(), art) > 0.95
    assert hubs(art + 1e-3, art) == pytest.approx(1 / 200)


def test_correspondence_has_the_right_sign_and_p():
    rng = np.random.default_rng(0)
    heard = rng.standard_normal(100)
    assert correspondence(heard, heard**3, rng=rng, permutations=99) == (pytest.approx(1.0), pytest.approx(0.01))
    assert correspondence(heard, -heard, rng=rng, permutations=99)[1] == pytest.approx(1.0)
    assert spearman(heard, np.zeros(100)) == 0.0


def test_points_that_cannot_be_measured_are_refused():
    with pytest.raises(ValueError, match="n of at least"):
        mean_pairwise_distance(np.zeros((1, 4)))
    with pytest.raises(ValueError, match="not finite"):
        mean_pairwise_distance(np.full((3, 4), np.nan))


def test_looks_have_their_blocks_and_tell_pictures_apart():
    rng = np.random.default_rng(0)
    flat = [np.full((160, 130, 3), c, np.uint8) for c in (30, 120, 220)]
    noise = [rng.integers(0, 255, (160, 130, 3), np.uint8) for _ in range(3)]
    measured = np.stack([measure_looks(p) for p in (*flat, *noise)])
    assert measured.shape == (6, sum(BLOCKS.values()))
    assert np.isfinite(measured).all()
    points = Looks.of(measured).place(measured)
    within = distances(points, points)
    assert within[3:, 3:].max() < within[:3, 3:].min()


def test_every_block_weighs_the_same():
    rng = np.random.default_rng(0)
    measured = rng.standard_normal((500, sum(BLOCKS.values()))).astype(np.float32)
    points = Looks.of(measured).place(measured)
    first = 0
    for n in BLOCKS.values():
        assert (points[:, first : first + n] ** 2).sum(1).mean() == pytest.approx(1.0, rel=0.05)
        first += n
