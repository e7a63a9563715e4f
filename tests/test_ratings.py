"""Ratings of listeners, predicted from pictures (`benchmarks/ratings.py`): known relations, and nothing that leaks."""

import numpy as np
import pytest
import ratings
from numpy.testing import assert_allclose

from clavilux.errors import CorpusError
from clavilux.training.calibrate_mood import FEELINGS

N = 120
FOLDS = np.arange(N) % 6
HEADER = f"track id, genre, {', '.join(FEELINGS)}, mood"


@pytest.fixture
def features():
    return np.random.default_rng(0).standard_normal((N, 4))


def test_what_is_in_the_features_is_predicted_and_what_is_not_is_not(features):
    rng = np.random.default_rng(1)
    shown = features @ [1.0, -2.0, 0.5, 0.0] + 0.3 * rng.standard_normal(N)
    predicted = ratings.predict(features, shown, FOLDS)
    assert np.corrcoef(predicted, shown)[0, 1] > 0.95
    hidden = rng.standard_normal(N)
    # Means of the other folds are a little below where a fold is above, so that nothing at all gives a negative value.
    assert -0.5 < np.corrcoef(ratings.predict(features, hidden, FOLDS), hidden)[0, 1] < 0.2


def test_no_song_is_predicted_or_painted_with_its_own_fold(features):
    """Other ratings of the songs of a fold change nothing that is said of them."""
    values = features @ [1.0, 0.0, 1.0, 0.0]
    other = np.where(FOLDS == 2, 10 - values, values)
    for fit in (ratings.predict, ratings.refit_mood):
        first, second = fit(features, values, FOLDS), fit(features, other, FOLDS)
        assert_allclose(first[FOLDS == 2], second[FOLDS == 2])
        assert np.abs(first[FOLDS != 2] - second[FOLDS != 2]).max() > 0.01


def test_a_refitted_mood_is_on_the_scale_of_the_descriptor(features):
    mood = ratings.refit_mood(features, 7 + 0.01 * features[:, 0], FOLDS)
    assert mood.std() == pytest.approx(1, abs=0.1)
    assert np.corrcoef(mood, features[:, 0])[0, 1] > 0.99


def test_ratings_are_shares_of_listeners_and_axes_are_their_sums():
    calm, tense = (np.array([[float(name == feeling) for feeling in FEELINGS]] * 4) for name in ("calmness", "tension"))
    found = ratings.rate([calm, np.concatenate([calm, tense])])
    assert_allclose(found["calmness"], [1, 0.5])
    assert_allclose(found["arousal"], [-1, 0])
    assert_allclose(found["valence"], [1, 0])


def test_listeners_who_agree_have_agreement_one_and_others_none():
    rng = np.random.default_rng(0)
    felt = (rng.random((60, 9)) < 0.5).astype(float)
    assert ratings.agreement([np.repeat(row[None], 20, axis=0) for row in felt], "arousal") == pytest.approx(1)
    random = [(rng.random((20, 9)) < 0.5).astype(float) for _ in range(60)]
    assert abs(ratings.agreement(random, "arousal")) < 0.45


def test_the_interval_holds_the_correlation_and_is_wider_for_few_artists():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(N)
    y = x + rng.standard_normal(N)
    r = np.corrcoef(x, y)[0, 1]
    low, high = ratings.interval(x, y, [str(i) for i in range(N)])
    assert low < r < high
    assert high - low < 0.35
    repeated = np.repeat(np.arange(10), 12)  # ten artists, whose songs are nearly the same
    few = ratings.interval(x[repeated], y[repeated], [str(i) for i in repeated])
    assert few[1] - few[0] > high - low


def test_genre_means_are_removed():
    assert_allclose(ratings.within_genres(np.array([1.0, 3.0, 10.0]), ["a", "a", "b"]), [-1, 1, 0])


def test_songs_are_those_with_a_file_and_ratings(tmp_path):
    lines = [HEADER] + [f"{track},rock,{','.join('0' * 9)},1" for track in range(101, 131) for _ in range(2)]
    (tmp_path / "data.csv").write_text("\n".join(lines))
    (tmp_path / "rock").mkdir()
    for number in [*range(1, 26), 99]:
        (tmp_path / "rock" / f"{number}.mp3").touch()
    names, votes = ratings.find_songs(tmp_path, tmp_path / "data.csv", None)
    assert names == sorted(f"rock/{number}" for number in range(1, 26))
    assert {each.shape for each in votes} == {(2, 9)}
    assert len(ratings.find_songs(tmp_path, tmp_path / "data.csv", 20)[0]) == 20
    with pytest.raises(CorpusError, match="has 5 songs with ratings"):
        ratings.find_songs(tmp_path, tmp_path / "data.csv", 5)
