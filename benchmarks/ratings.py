"""Measure whether paintings show what listeners felt: predict the ratings of songs from their pictures.

    python benchmarks/ratings.py EMOTIFY/emotifymusic EMOTIFY/data.csv [--bundle NAME|DIR] [--songs N]

The data are Emotify (Aljanaki, Wiering & Veltkamp 2016), in data/ of the source `sergi-andreu/ProjectMusicInformatics`.
The folder has the songs, such as `classical/1.mp3`; the table has one line for each listener and song. The rating of a
song is the share of its listeners who felt something. Arousal and valence are sums of these shares
(`clavilux.training.calibrate_mood`).

Each song is painted, and a ridge regression predicts the ratings from features of the picture, in ten folds; songs of
an artist are in the same fold. Arousal and valence are descriptors of Clavilux whose weights come from these very
ratings, so their weights are fitted again for each fold, without its songs, before these are painted.

Each line is the Pearson correlation of ratings and predictions with its 95 % interval (bootstrap over artists), the
same within genres, and R2:

    8 image features   colour, contrast, edges (`clavilux.measures.image_features`)
    evaluator B        84 features, none of which a training uses
    descriptors        of the sound, from which the picture is painted: the most that it could show
    genre              the mean of the genre: what a picture that shows only the genre would reach
    shuffled           8 image features of the wrong songs: chance
    listeners          agreement of two halves of the listeners, corrected for their number: the ceiling
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clavilux.audio.decode import read_blocks
from clavilux.audio.descriptors import describe
from clavilux.audio.features import measure_features
from clavilux.bundle import open_bundle
from clavilux.corpus.split import group_of
from clavilux.corpus.table import load_items
from clavilux.errors import ClaviluxError, CorpusError
from clavilux.evaluation.evaluator_b import measure_evaluator_b
from clavilux.evaluation.painting import PAINTED_PX, open_clavilux
from clavilux.evaluation.songs import song_code
from clavilux.measures.image_features import IMAGE_FEATURES, measure_image_features
from clavilux.measures.transport import ridge
from clavilux.system.jobs import run_calls
from clavilux.training.calibrate_mood import AXES, FEELINGS, FOLDS, INPUTS, fit_ridge, folds_of, read_votes

Float64 = NDArray[np.float64]

SOURCE = "sergi-andreu/ProjectMusicInformatics"
_STRENGTH = 0.3  # of the ridge, in units of the mean variance of standardised features
_CLIP = 3.0  # standard deviations of the inputs of arousal and valence, as in `clavilux.audio.descriptors.mood`
_ROUNDS = 1000  # of the bootstrap
_LEAST = 20  # songs


class Heard(NamedTuple):
    """Song code and descriptors of a song."""

    code: Float64
    descriptors: dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs_folder", type=Path, metavar="FOLDER")
    parser.add_argument("labels", type=Path)
    parser.add_argument("--bundle", default="default")
    parser.add_argument("--songs", type=int, help="number of songs, spread over the genres (all)")
    parser.add_argument("--jobs", type=int, default=-1)
    arguments = parser.parse_args()
    try:
        names, votes = find_songs(arguments.songs_folder, arguments.labels, arguments.songs)
        measure(arguments.songs_folder, names, votes, bundle=arguments.bundle, jobs=arguments.jobs)
    except ClaviluxError as error:
        sys.exit(str(error))


def find_songs(folder: Path, labels: Path, limit: int | None) -> tuple[list[str], list[Float64]]:
    """Return the names (``classical/1``) of songs that are there and have ratings, and the votes (J, 9) of each."""
    votes = read_votes(labels)
    names = sorted(name for name in votes if (folder / f"{name}.mp3").is_file())
    if limit is not None:
        names = names[:: max(1, len(names) // limit)][:limit]
    if len(names) < _LEAST:
        raise CorpusError(f"{folder} has {len(names)} songs with ratings in {labels}; give {_LEAST} or more")
    return names, [votes[name] for name in names]


def measure(folder: Path, names: Sequence[str], votes: Sequence[Float64], *, bundle: str, jobs: int) -> None:
    """Paint the songs and print how well their pictures predict the ratings."""
    artist_of = {item.path: group_of(item) for item in load_items("music") if item.source == SOURCE}
    groups = [artist_of.get(f"data/emotifymusic/{name}.mp3", name) for name in names]
    genres = [name.split("/")[0] for name in names]
    fold_of = folds_of(groups, FOLDS)
    heard = run_calls((partial(_hear, bundle, folder / f"{name}.mp3") for name in names), jobs=jobs)
    ratings = rate(votes)
    inputs = np.array([[each.descriptors[name] for name in INPUTS] for each in heard])
    codes = np.stack([each.code for each in heard])
    opened = open_bundle(bundle)
    for axis in AXES:
        if axis in opened.descriptors:
            column = codes.shape[1] - len(opened.descriptors) + opened.descriptors.index(axis)
            codes[:, column] = refit_mood(inputs, ratings[axis], fold_of)
    painted = run_calls((partial(_paint, bundle, code) for code in codes), jobs=jobs)
    image_features, evaluator_b = (np.array([each[part] for each in painted]) for part in range(2))
    order = np.random.default_rng(0).permutation(len(names))
    sources = {
        "8 image features": image_features,
        "evaluator B": evaluator_b,
        "descriptors": inputs,
        "genre": np.array([[genre == other for other in sorted(set(genres))] for genre in genres], float),
        "shuffled": image_features[order],
    }
    n_listeners = np.mean([len(each) for each in votes])
    print(f"{len(names)} songs, {len(set(groups))} artists, {n_listeners:.0f} listeners a song")
    print(f"bundle {opened.name} ({opened.sha256[:12]})\n")
    print("| rating | predicted from | r | 95 % | within genres | R2 |\n|---|---|--:|---|--:|--:|")
    for target, values in ratings.items():
        for source, features in sources.items():
            if target in AXES or source in ("8 image features", "evaluator B"):
                predicted = predict(features, values, fold_of)
                print(_line(target, source, predicted, values, groups, genres))
        if target in AXES:
            print(f"| {target} | listeners | {agreement(votes, target):.2f} | | | |")


def rate(votes: Sequence[Float64]) -> dict[str, Float64]:
    """Return the ratings (n,) of the songs: the two axes, then each feeling, as shares of the listeners."""
    shares = np.stack([listeners.mean(axis=0) for listeners in votes])
    axes = {axis: shares @ np.array([float(signs.get(each, 0)) for each in FEELINGS]) for axis, signs in AXES.items()}
    return axes | {feeling: shares[:, i] for i, feeling in enumerate(FEELINGS)}


def agreement(votes: Sequence[Float64], target: str) -> float:
    """Return the expected correlation of all listeners with as many others: two halves, Spearman-Brown formula."""
    rng, found = np.random.default_rng(0), []
    for _ in range(50):
        shuffled = [listeners[rng.permutation(len(listeners))] for listeners in votes]
        one, other = (rate([listeners[side::2] for listeners in shuffled])[target] for side in (0, 1))
        found.append(np.corrcoef(one, other)[0, 1])
    half = float(np.mean(found))
    return 2 * half / (1 + half)


def refit_mood(inputs: Float64, ratings: Float64, fold_of: NDArray[np.int64]) -> Float64:
    """Return the mood (n,) of the songs on the scale of the descriptor; its weights are fitted on the other folds."""
    mood = np.zeros(len(inputs))
    for fold in np.unique(fold_of):
        others = fold_of != fold
        mean, deviation = inputs[others].mean(axis=0), inputs[others].std(axis=0)
        scaled = (inputs - mean) / deviation
        weights = fit_ridge(scaled[others], ratings[others] - ratings[others].mean())
        weights = weights / (scaled[others] @ weights).std()
        mood[~others] = np.clip(scaled[~others], -_CLIP, _CLIP) @ weights
    return mood


def predict(features: Float64, ratings: Float64, fold_of: NDArray[np.int64]) -> Float64:
    """Return the predictions (n,) of a ridge regression that is fitted on the other folds."""
    predicted = np.zeros(len(ratings))
    for fold in np.unique(fold_of):
        others = fold_of != fold
        mean, deviation = features[others].mean(axis=0), np.maximum(features[others].std(axis=0), 1e-6)
        scaled = (features - mean) / deviation
        weights, offset = ridge(scaled[others], ratings[others, None], _STRENGTH)
        predicted[~others] = (scaled[~others] @ weights + offset)[:, 0]
    return predicted


def interval(predicted: Float64, ratings: Float64, groups: Sequence[str]) -> tuple[float, float]:
    """Return the 95 % interval of the correlation over samples of artists, drawn with replacement."""
    rng, names = np.random.default_rng(0), sorted(set(groups))
    members = [np.flatnonzero(np.array(groups) == name) for name in names]
    found = []
    for _ in range(_ROUNDS):
        songs = np.concatenate([members[i] for i in rng.integers(len(names), size=len(names))])
        found.append(np.corrcoef(predicted[songs], ratings[songs])[0, 1])
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def within_genres(values: Float64, genres: Sequence[str]) -> Float64:
    """Return values minus the mean of their genre."""
    labels = np.array(genres)
    return values - np.array([values[labels == genre].mean() for genre in genres])


def _line(
    target: str, source: str, predicted: Float64, ratings: Float64, groups: Sequence[str], genres: Sequence[str]
) -> str:
    r = np.corrcoef(predicted, ratings)[0, 1]
    low, high = interval(predicted, ratings, groups)
    inside = np.corrcoef(within_genres(predicted, genres), within_genres(ratings, genres))[0, 1]
    within = "" if source == "genre" else f"{inside:.2f}"
    r2 = 1 - ((ratings - predicted) ** 2).sum() / ((ratings - ratings.mean()) ** 2).sum()
    return f"| {target.replace('_', ' ')} | {source} | {r:.2f} | {low:.2f} to {high:.2f} | {within} | {r2:.2f} |"


def _hear(bundle: str, song: Path) -> Heard:
    with threadpool_limits(1):
        features = measure_features([np.concatenate(list(read_blocks(song)))])
        descriptors = describe(features)
        return Heard(np.asarray(song_code(open_clavilux(bundle).engine, features, descriptors), float), descriptors)


def _paint(bundle: str, code: Float64) -> tuple[list[float], NDArray[np.float32]]:
    """Return the image features and the features of evaluator B of the picture of a song code."""
    with threadpool_limits(1):
        clavilux = open_clavilux(bundle)
        rgb = clavilux.paint_latent(clavilux.engine.map_song(code.astype(np.float32)), size=PAINTED_PX)
        found = measure_image_features(rgb)
        return [found[name] for name in IMAGE_FEATURES], measure_evaluator_b(rgb)


if __name__ == "__main__":
    main()
