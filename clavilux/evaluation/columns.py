"""Measures on one column of the report's table. A column is a set of pictures; in most columns they belong to songs.

Each function returns a dict from measure keys (`goals.py`) to values. Keys of measures that depend on an evaluator end
in ``_A``, ``_B`` or ``_C``. Beside a value there may be ``KEY_p`` (p-value of a permutation test), ``KEY_low`` and
``KEY_high`` (95 % interval over songs) and ``KEY_ceiling`` (upper bound because of the painter's randomness).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clavilux.evaluation.distinctness import (
    indistinguishable,
    measure_variations,
    memorisation,
    relative_distance,
    relative_to_copies,
)
from clavilux.evaluation.evaluators import Spaces
from clavilux.evaluation.manifold import compare_clouds
from clavilux.evaluation.painting import Arrays, Float32, MeasuredPictures
from clavilux.evaluation.sharpness import tone_spread
from clavilux.measures.crossmodal import CORRESPONDENCES, correspondence_values
from clavilux.measures.diversity import kernel_width
from clavilux.measures.intervals import Z_95, Index, half_sample_errors
from clavilux.measures.similarity import correlation_with_p, geometry, neighbours_kept, same_genre, same_song

Float64 = NDArray[np.float64]
Figures = dict[str, float]
Pair = tuple[MeasuredPictures, MeasuredPictures]

_SHARES = ("coverage", "recall", "precision", "same_song", "nearest", "same_genre", "steadiness_moved")  # within [0, 1]
_LEAST_COPIED = 4  # songs, for the spread of steadiness over halves of them


@dataclass(frozen=True)
class Reference:
    """What every column is compared with.

    Attributes
    ----------
    spaces : Spaces
        Standardised on training art.
    art, training : dict
        Evaluator -> points of `n` held-out pictures, and of all training pictures.
    tone : (m, 2)
        Mean lightness and chroma of all held-out pictures.
    n : int
        Number of pictures per side of a comparison.
    embeddings : dict
        Audio embedding -> points of s whole songs (s, F), and of their halves (s, 2, F).
    scores : (s, C)
        Scores of the songs in the C cross-modal correspondences, from their descriptors.
    genres : sequence of str
        Genre of each of the s songs, "" if unknown.
    rng : numpy Generator
    is_sample : bool
        Whether the songs are a sample for a standard error; KID and permutation tests are then left out.
    """

    spaces: Spaces
    art: Arrays
    training: Arrays
    tone: Float32
    n: int
    embeddings: dict[str, tuple[Float64, Float64]]
    scores: Float64
    genres: Sequence[str]
    rng: np.random.Generator
    is_sample: bool = False

    def take(self, index: Index, *, is_sample: bool) -> Reference:
        """Return the reference for the songs at these indices."""
        return replace(
            self,
            n=min(self.n, len(index)),
            embeddings={name: (whole[index], halves[index]) for name, (whole, halves) in self.embeddings.items()},
            scores=self.scores[index],
            genres=[self.genres[i] for i in index],
            is_sample=is_sample,
        )


def measure_distribution(pictures: MeasuredPictures, reference: Reference) -> Figures:
    """Return the measures of the first `reference.n` pictures of a column against real art, without regard to songs."""
    points = reference.spaces.place(pictures.features)
    figures: Figures = {}
    for evaluator in points:
        made, art = points[evaluator][: reference.n], reference.art[evaluator]
        compared = compare_clouds(
            art, made, width=kernel_width(art), rng=None if reference.is_sample else reference.rng
        )
        figures |= {f"{name}_{evaluator}": value for name, value in compared.items()}
        figures[f"memorisation_{evaluator}"] = memorisation(made, reference.training[evaluator])
    spread = tone_spread(pictures.tone[: reference.n], reference.tone)
    figures["lightness_spread"], figures["chroma_spread"] = spread
    return figures


def measure_similarity(pictures: MeasuredPictures, reference: Reference) -> Figures:
    """Return measures of how pictures follow the similarity and the descriptors of songs; picture i is of song i."""
    points = reference.spaces.place(pictures.features)
    figures: Figures = {}
    for evaluator in points:
        for embedding in ("code", "musicnn"):
            songs, key = reference.embeddings[embedding][0], f"{embedding}_{evaluator}"
            correlation, p = geometry(
                songs, points[evaluator], rng=reference.rng, permutations=0 if reference.is_sample else 199
            )
            figures |= {f"geometry_{key}": correlation, f"geometry_{key}_p": p}
            figures[f"nearest_{key}"] = neighbours_kept(songs, points[evaluator])
        genre = same_genre(points[evaluator], reference.genres)
        if genre is not None:
            figures[f"same_genre_{evaluator}"] = genre
    scores = correspondence_values(pictures.image_features, "image_features")
    for i, correspondence in enumerate(CORRESPONDENCES):
        key = f"correspondence_{correspondence.name}"
        correlation, p = correlation_with_p(
            reference.scores[:, i], scores[:, i], rng=reference.rng, permutations=0 if reference.is_sample else 999
        )
        figures |= {key: correlation, f"{key}_p": p}
    return figures


def measure_halves(halves: Pair, whole: MeasuredPictures, reference: Reference) -> Figures:
    """Return how well the two halves of a song can be matched by their pictures, over all songs, for each evaluator.

    Parameters
    ----------
    halves : (MeasuredPictures, MeasuredPictures)
        Pictures of the first and of the second halves of the songs.
    whole : MeasuredPictures
        Pictures of the whole songs; the mean distance of two of them is the unit of distance.
    reference : Reference
    """
    first, second, songs = (reference.spaces.place(part.features) for part in (*halves, whole))
    figures: Figures = {}
    for evaluator in first:
        auc, top1 = same_song(first[evaluator], second[evaluator])
        figures |= {f"same_song_auc_{evaluator}": auc, f"same_song_top1_{evaluator}": top1}
        distance = relative_distance(first[evaluator], second[evaluator], songs[evaluator])
        figures[f"half_distance_{evaluator}"] = distance
    return figures


def measure_ceilings(whole: MeasuredPictures, again: MeasuredPictures, reference: Reference) -> Figures:
    """Return upper bounds of the measures of similarity, which follow from the painter's randomness.

    ``whole`` and ``again`` are pictures of the same latents with two seeds. ``reliability`` is the rank correlation of
    their two sets of distances. The square root of the reliability bounds a correlation with such distances (Spearman
    1904), so it is the ceiling of ``geometry``.
    """
    first, second = (reference.spaces.place(part.features) for part in (whole, again))
    figures: Figures = {}
    for evaluator in first:
        correlation, _ = geometry(first[evaluator], second[evaluator], rng=reference.rng, permutations=0)
        kept = neighbours_kept(first[evaluator], second[evaluator])
        figures[f"reliability_{evaluator}"] = correlation
        for embedding in ("code", "musicnn"):
            figures[f"geometry_{embedding}_{evaluator}_ceiling"] = float(np.sqrt(max(correlation, 0.0)))
            figures[f"nearest_{embedding}_{evaluator}_ceiling"] = kept
    return figures


def measure_column(
    whole: MeasuredPictures, halves: Pair, reference: Reference, *, least: int, with_distribution: bool = True
) -> Figures:
    """Return all measures of a column whose pictures belong to songs, with 95 % intervals over the songs.

    Parameters
    ----------
    whole : MeasuredPictures
        Pictures of whole songs.
    halves : (MeasuredPictures, MeasuredPictures)
        Pictures of the first and of the second halves of the songs.
    reference : Reference
    least : int
        Intervals are computed if there are at least twice as many songs.
    with_distribution : bool
        Include the measures of `measure_distribution`.
    """

    def measure(part: MeasuredPictures, sides: Pair, of: Reference) -> Figures:
        figures = measure_similarity(part, of) | measure_halves(sides, part, of)
        return (measure_distribution(part, of) | figures) if with_distribution else figures

    def measure_sample(index: Index) -> Figures:
        sides = halves[0].take(index), halves[1].take(index)
        return measure(whole.take(index), sides, reference.take(index, is_sample=True))

    figures = measure(whole, halves, reference)
    return with_intervals(figures, measure_sample, len(whole), least=least, rng=reference.rng)


def with_intervals(
    figures: Figures, measure: Callable[[Index], Figures], n: int, *, least: int, rng: np.random.Generator
) -> Figures:
    """Return figures, and the ends of their 95 % intervals over n songs if n is at least twice `least`.

    An interval is 1.96 standard errors on each side of a figure; `half_sample_errors` estimates the standard errors
    with the function `measure`.
    """
    if n < 2 * least:
        return figures
    found = dict(figures)
    for key, error in half_sample_errors(measure, n, rng=rng).items():
        if key in figures and not key.endswith("_p"):
            low, high = figures[key] - Z_95 * error, figures[key] + Z_95 * error
            if key.startswith(_SHARES):
                low, high = max(low, 0.0), min(high, 1.0)
            found |= {f"{key}_low": low, f"{key}_high": high}
    return found


def measure_changes(
    whole: MeasuredPictures, codecs: Pair, variations: MeasuredPictures, n_variations: int, reference: Reference
) -> Figures:
    """Return measures of how pictures change with the codec of the song, and in variations.

    Parameters
    ----------
    whole : MeasuredPictures
        Pictures of the songs, with degraded copies.
    codecs : (MeasuredPictures, MeasuredPictures)
        Pictures of the first songs when they are read from FLAC and from MP3.
    variations : MeasuredPictures
        For each of the first songs, the main picture followed by `n_variations` variations.
    n_variations : int
    reference : Reference
    """
    assert whole.copies is not None, "measured without copies"
    points, copies = reference.spaces.place(whole.features), reference.spaces.place(whole.copies)
    flac, mp3, varied = (reference.spaces.place(part.features) for part in (*codecs, variations))
    n = len(codecs[0])

    def measure_codecs(index: Index) -> Figures:
        found: Figures = {}
        for e in points:
            ratio, moved = relative_to_copies(flac[e][index], mp3[e][index], points[e][:n][index], copies[e][:n][index])
            found |= {f"steadiness_{e}": ratio, f"steadiness_moved_{e}": moved}
            found[f"codec_distance_{e}"] = relative_distance(flac[e][index], mp3[e][index], points[e])
        return found

    figures = with_intervals(measure_codecs(np.arange(n)), measure_codecs, n, least=_LEAST_COPIED, rng=reference.rng)
    for evaluator in points:
        figures[f"indistinguishable_{evaluator}"] = indistinguishable(points[evaluator], copies[evaluator])
        groups = varied[evaluator].reshape(-1, n_variations + 1, varied[evaluator].shape[1])
        near, changed = measure_variations(groups, copies[evaluator][: len(groups)])
        figures |= {f"variation_auc_{evaluator}": near, f"variation_change_{evaluator}": changed}
    return figures


def measure_embeddings(reference: Reference) -> dict[str, Figures]:
    """Return measures of the audio embeddings themselves: embedding -> name -> value.

    They are upper bounds for pictures that are made from these embeddings.
    """
    table: dict[str, Figures] = {}
    code = reference.embeddings["code"][0]
    for embedding, (whole, halves) in reference.embeddings.items():
        auc, top1 = same_song(halves[:, 0], halves[:, 1])
        table[embedding] = {"same song": auc, "same song, top 1": top1}
        genre = same_genre(whole, reference.genres)
        if genre is not None:
            table[embedding]["same genre"] = genre
        table[embedding]["geometry of halves"] = geometry(
            halves[:, 0], halves[:, 1], rng=reference.rng, permutations=0
        )[0]
        table[embedding]["geometry, against the song code"] = geometry(code, whole, rng=reference.rng)[0]
        table[embedding]["10 nearest, against the song code"] = neighbours_kept(code, whole)
    return table
