"""Calibrate arousal and valence: fit the weights of `clavilux.audio.descriptors.mood` to songs with labels.

    python -m clavilux.training.calibrate_mood features/descriptors.csv data.csv --corpus corpus.csv

The labels come from Emotify (Aljanaki, Wiering & Veltkamp 2016): about twenty listeners per song selected up to three
of the nine feelings of the Geneva Emotional Music Scale. The value of a feeling is the fraction of listeners who
selected it. Arousal and valence are sums and differences of these values, by the position of each feeling in Russell's
circumplex (1980); feelings without a clear position are not used:

=========  =====================================  =================================
           plus                                   minus
=========  =====================================  =================================
arousal    power, joyful activation, tension      calmness, tenderness, sadness
valence    joyful activation, tenderness,         tension, sadness
           calmness, amazement
=========  =====================================  =================================

The weights are those of a ridge regression on standardised descriptors. Loudness is not used, so that a quiet copy of a
song has the same mood. The labels are used for these weights only; no network is trained on them. The script prints
the weights, and correlations of the labels with

- predictions by cross-validation (ten folds; all songs of an artist are in the same fold),
- a rule from the literature, which was not fitted to labels,
- labels by other listeners (one half of the listeners compared with the other half).
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.descriptors.mood import MOOD
from clavilux.corpus.table import read_rows
from clavilux.errors import CorpusError
from clavilux.system.files import normalise_name
from clavilux.system.tables import read_number, read_table

Float64 = NDArray[np.float64]

FEELINGS = (
    "amazement",
    "solemnity",
    "tenderness",
    "nostalgia",
    "calmness",
    "power",
    "joyful_activation",
    "tension",
    "sadness",
)
AXES = {
    "arousal": {"power": 1, "joyful_activation": 1, "tension": 1, "calmness": -1, "tenderness": -1, "sadness": -1},
    "valence": {"joyful_activation": 1, "tenderness": 1, "calmness": 1, "amazement": 1, "tension": -1, "sadness": -1},
}
INPUTS = tuple(MOOD)
# Weights that follow the order of cues in the literature (Eerola, Friberg & Bresin 2013; Palmer et al. 2013).
PROXY = {
    "arousal": {"loudness": 0.35, "onset_rate": 0.25, "flux": 0.20, "centroid": 0.10, "tempo": 0.10},
    "valence": {"mode_strength": 0.45, "tempo": 0.20, "pulse_clarity": 0.15, "register": 0.10, "roughness": -0.10},
}
# Penalty of the ridge regression, in units of the variance of the inputs. Held-out correlations differ by less than
# 0.02 between 0.01 and 0.3. With a small penalty, correlated descriptors of the spectrum have large weights that cancel
# each other, but need not do so on other music.
STRENGTH = 0.1
FOLDS = 10


@dataclass(frozen=True)
class Labelled:
    """n songs with the labels of up to J listeners."""

    inputs: dict[str, Float64]  # name of a descriptor -> (n,)
    votes: list[Float64]  # n arrays (J, 9); 1 if a listener selected a feeling, else 0
    groups: list[str]  # artist of each song, or file name of the song if the artist is unknown
    genres: list[str]  # genre of each song


def read_votes(labels_csv: Path) -> dict[str, Float64]:
    """Return which feelings each listener selected for each song: genre and number, such as `classical/17` -> array.

    The array (J, 9) of a song has a row for each of its J listeners, with 1 for each selected feeling and 0 for the
    others. Columns are in the order of `FEELINGS`.

    Raises
    ------
    CorpusError
        If the table is missing or damaged.
    """
    votes: dict[str, list[list[float]]] = defaultdict(list)
    for row in read_table(labels_csv, CorpusError, required=("track id", "genre", *FEELINGS))[1]:
        number = int(read_number(row, "track id", CorpusError))
        # Track ids are consecutive; file names start at 1 in each genre of a hundred songs.
        felt = [read_number(row, name, CorpusError) for name in FEELINGS]
        votes[f"{row['genre']}/{(number - 1) % 100 + 1}"].append(felt)
    return {name: np.array(listeners) for name, listeners in votes.items()}


def read_labelled(descriptors_csv: Path, labels_csv: Path, corpus_csv: Path | None) -> Labelled:
    """Return the songs of Emotify, a data set with listeners' labels of emotions, that have descriptors and labels.

    ``descriptors_csv`` is a table of `clavilux features`, ``labels_csv`` the table of labels that Emotify publishes. A
    row counts as a song of Emotify if its path contains `emotify`, and ends with the genre and the number of the song
    in this genre, such as `classical/17.mp3`. ``corpus_csv`` is the table of `clavilux corpus build`, from which
    the artists are read; with None, each song is treated as if it had its own artist.

    Raises
    ------
    CorpusError
        If a table is missing, or fewer than a hundred songs have labels.
    """
    votes = read_votes(labels_csv)
    known = read_rows(corpus_csv, required=("artist",)) if corpus_csv else []
    artists = {_key(row["file"]): row["artist"] for row in known}
    names = (*INPUTS, "loudness")
    rows, song_votes, groups, genres = [], [], [], []
    for row in read_table(descriptors_csv, CorpusError, required=("file", *names))[1]:
        # `.../emotifymusic/classical/17.mp3`
        name = "/".join(row["file"].rsplit(".", 1)[0].rsplit("/", 2)[-2:])
        if name not in votes or "emotify" not in row["file"]:
            continue
        rows.append(row)
        song_votes.append(votes[name])
        groups.append(artists.get(_key(row["file"])) or row["file"])
        genres.append(name.split("/")[0])
    if len(rows) < 100:
        raise CorpusError(f"{descriptors_csv} has {len(rows)} songs with labels in {labels_csv}; 100 are needed")
    inputs = {name: np.array([read_number(row, name, CorpusError) for row in rows]) for name in names}
    return Labelled(inputs, song_votes, groups, genres)


def labels_of(votes: list[Float64], axis: str) -> Float64:
    """Return the labels (n,) of n songs on an axis, "arousal" or "valence", standardised over the songs.

    ``votes`` is as in `Labelled`.
    """
    weights = np.array([AXES[axis].get(feeling, 0) for feeling in FEELINGS], np.float64)
    return _standardise(np.array([listeners.mean(axis=0) @ weights for listeners in votes]))


def agreement(votes: list[Float64], axis: str, rng: np.random.Generator, *, times: int = 50) -> float:
    """Return the split-half reliability of the labels on an axis, "arousal" or "valence".

    It is the correlation between the labels by two random halves of the listeners, averaged over ``times`` splits and
    corrected by the Spearman-Brown formula. ``votes`` is as in `Labelled`.
    """
    halves = []
    for _ in range(times):
        shuffled = [listeners[rng.permutation(len(listeners))] for listeners in votes]
        one, other = (labels_of([v[part::2] for v in shuffled], axis) for part in (0, 1))
        halves.append(np.corrcoef(one, other)[0, 1])
    half = float(np.mean(halves))
    return 2 * half / (1 + half)


def fit_ridge(inputs: Float64, labels: Float64) -> Float64:
    """Return ridge weights (D,) for standardised inputs (n, D) and centred labels (n,)."""
    n, width = inputs.shape
    return np.asarray(np.linalg.solve(inputs.T @ inputs / n + STRENGTH * np.eye(width), inputs.T @ labels / n))


def folds_of(groups: list[str], n_folds: int) -> NDArray[np.int64]:
    """Return the cross-validation fold of each song, (n,); all songs of a group are in the same fold."""
    sizes = Counter(groups)
    filled = [0] * n_folds
    fold_of: dict[str, int] = {}
    for group in sorted(sizes, key=lambda name: (-sizes[name], name)):
        fold_of[group] = int(np.argmin(filled))
        filled[fold_of[group]] += sizes[group]
    return np.array([fold_of[group] for group in groups])


def predict_held_out(inputs: Float64, labels: Float64, groups: list[str]) -> Float64:
    """Return predictions (n,) of labels (n,) from inputs (n, D); each song is predicted from the other folds.

    ``groups`` has the artist of each song; all songs of an artist are in the same fold.
    """
    fold_of = folds_of(groups, FOLDS)
    predicted = np.zeros(len(labels))
    for fold in range(FOLDS):
        training, test = fold_of != fold, fold_of == fold
        mean, sd = inputs[training].mean(axis=0), inputs[training].std(axis=0)
        weights = fit_ridge((inputs[training] - mean) / sd, labels[training] - labels[training].mean())
        predicted[test] = (inputs[test] - mean) / sd @ weights + labels[training].mean()
    return predicted


def correlations(predicted: Float64, labels: Float64, genres: list[str]) -> tuple[float, float]:
    """Return the Pearson correlation of predictions with labels, and that after both are centred within each genre."""
    one, other = predicted.copy(), labels.copy()
    for genre in set(genres):
        inside = np.array([g == genre for g in genres])
        one[inside] -= one[inside].mean()
        other[inside] -= other[inside].mean()
    return float(np.corrcoef(predicted, labels)[0, 1]), float(np.corrcoef(one, other)[0, 1])


def main() -> None:
    """Print correlations and weights for the tables that are given on the command line."""
    parser = argparse.ArgumentParser(description="Calibrate arousal and valence on labelled songs.")
    parser.add_argument("descriptors", type=Path, help="descriptors.csv that `clavilux features` wrote")
    parser.add_argument("labels", type=Path, help="data.csv of Emotify, with a line for each song of each listener")
    parser.add_argument("--corpus", type=Path, help="corpus.csv that `clavilux corpus build` wrote, with the artists")
    given = parser.parse_args()
    data = read_labelled(given.descriptors, given.labels, given.corpus)
    inputs = np.stack([data.inputs[name] for name in INPUTS], axis=1)
    with_loudness = np.column_stack([inputs, data.inputs["loudness"]])
    listeners = np.mean([len(votes) for votes in data.votes])
    print(f"{len(inputs)} songs, {len(set(data.groups))} artists, {listeners:.0f} listeners a song")
    print(f"{'correlation with listeners, over all songs / within genres':60} arousal       valence")
    rows: dict[str, list[tuple[float, float]]] = defaultdict(list)
    ceiling = []
    for axis in AXES:
        labels = labels_of(data.votes, axis)
        ceiling.append(agreement(data.votes, axis, np.random.default_rng(0)))
        quiet_proxy = {name: weight for name, weight in PROXY[axis].items() if name != "loudness"}
        for name, predicted in {
            "ridge, held-out artists (shipped)": predict_held_out(inputs, labels, data.groups),
            "ridge with loudness, held-out artists": predict_held_out(with_loudness, labels, data.groups),
            "rule from the literature": _apply_rule(PROXY[axis], data),
            "rule from the literature, without loudness": _apply_rule(quiet_proxy, data),
        }.items():
            rows[name].append(correlations(predicted, labels, data.genres))
    for name, pairs in rows.items():
        print(f"  {name:58} " + "   ".join(f"{over_all:5.2f} / {within:.2f}" for over_all, within in pairs))
    print(f"  {'one group of listeners by another':58} " + "   ".join(f"{value:5.2f}       " for value in ceiling))
    print()
    mean, sd = inputs.mean(axis=0), inputs.std(axis=0)
    scaled = (inputs - mean) / sd
    fitted = [fit_ridge(scaled, labels_of(data.votes, axis)) for axis in ("arousal", "valence")]
    # The labelled songs get a standard deviation of 1.
    arousal, valence = (weights / (scaled @ weights).std() for weights in fitted)
    print("MOOD: dict[str, tuple[float, float, float, float]] = {")
    for name, m, s, a, v in zip(INPUTS, mean, sd, arousal, valence, strict=True):
        print(f'    "{name}": ({_digits(m)}, {_digits(s)}, {a:.3f}, {v:.3f}),')
    print("}")


def _apply_rule(weights: dict[str, float], data: Labelled) -> Float64:
    """Return the weighted sum (n,) of standardised descriptors; ``weights`` has the weight of each descriptor."""
    return np.asarray(sum(weight * _standardise(data.inputs[name]) for name, weight in weights.items()))


def _standardise(values: Float64) -> Float64:
    return np.asarray((values - values.mean()) / values.std())


def _digits(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1_000 else f"{value:.1f}"


def _key(name: str) -> str:
    return normalise_name(name).removeprefix("files/")


if __name__ == "__main__":
    try:
        main()
    except CorpusError as error:
        raise SystemExit(str(error)) from error
