"""Compute the columns of the table in the report; each column describes one set of pictures.

In most columns, each picture belongs to a song. Most `measure_` functions return figures: a dict from the keys of
measures (`goals.py`) to numbers. If a measure depends on an evaluator (a feature space for pictures), its key ends in
the name of the evaluator: ``_A``, ``_B`` or ``_C``. For a measure with the key KEY, figures may also contain
``KEY_p`` (p-value of a permutation test), ``KEY_low`` and ``KEY_high`` (ends of the 95 % interval over songs), and
``KEY_ceiling`` (upper bound from `measure_ceilings`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clavilux.evaluation.evaluators import Spaces
from clavilux.evaluation.painting import Arrays, Float32, MeasuredPictures
from clavilux.evaluation.point_measures import (
    compare_with_art,
    indistinguishable,
    measure_variations,
    memorisation,
    relative_distance,
    relative_to_degraded,
)
from clavilux.measures.crossmodal import CORRESPONDENCES, correspondence_values
from clavilux.measures.diversity import kernel_width
from clavilux.measures.intervals import Z_95, Index, half_sample_errors
from clavilux.measures.similarity import correlation_with_p, geometry, neighbours_kept, same_genre, same_song

Float64 = NDArray[np.float64]
Figures = dict[str, float]
Table = dict[str, Figures]
Pair = tuple[MeasuredPictures, MeasuredPictures]

# Keys of values within [0, 1] begin with one of these.
_SHARES = ("coverage", "recall", "precision", "same_song", "nearest", "same_genre", "steadiness_moved")
_LEAST_COPIED = 4  # the intervals of figures about FLAC and MP3 need twice as many songs


@dataclass(frozen=True)
class Reference:
    """The real pictures (art) and the songs with which every column is compared."""

    spaces: Spaces  # standardised on training art
    art: Arrays  # evaluator -> points of n held-out pictures, with which all columns are compared
    training: Arrays  # evaluator -> points of all training pictures
    tone: Float32  # mean lightness and mean chroma of each held-out picture, (m, 2)
    n: int  # a comparison has n generated and n real pictures
    # Audio embedding -> points of the s whole songs (s, F), and points of their halves (s, 2, F).
    embeddings: dict[str, tuple[Float64, Float64]]
    scores: Float64  # scores of the songs in the C cross-modal correspondences, from their descriptors, (s, C)
    genres: Sequence[str]  # genre of each song; "" if unknown
    rng: np.random.Generator
    # Whether the songs are a random half, drawn to estimate a standard error. If so, KID and p-values are left out.
    is_sample: bool = False

    def take(self, index: Index, *, is_sample: bool) -> Reference:
        """Return a copy with only the songs at the indices `index`, and with the given `is_sample`."""
        return replace(
            self,
            n=min(self.n, len(index)),
            embeddings={name: (whole[index], halves[index]) for name, (whole, halves) in self.embeddings.items()},
            scores=self.scores[index],
            genres=[self.genres[i] for i in index],
            is_sample=is_sample,
        )


@dataclass(frozen=True)
class Result:
    """The result of an evaluation, with the data that its report shows."""

    table: Table  # column -> measure key -> value
    embeddings: Table  # audio embedding -> measure -> value, from `measure_embeddings`
    counts: dict[str, int]  # description of what was counted -> number
    remarks: list[str]  # limits of this evaluation, one sentence each
    faults: list[str]  # one line for each file that could not be read
    names: list[str]  # names of the n songs
    pictures: dict[str, MeasuredPictures]  # column -> pictures; if they belong to songs, picture i belongs to song i
    latents: Arrays  # column -> latents (n, 64) that were painted
    art_latents: Float32  # posterior means of m training pictures, (m, 64)
    kl_nats: NDArray[np.floating]  # KL divergence of each latent dimension, mean over these pictures, (64,)
    reference: Reference


def measure_distribution(pictures: MeasuredPictures, reference: Reference) -> Figures:
    """Return numbers that compare the first `reference.n` of ``pictures`` with real art.

    It does not matter which song a picture belongs to.
    """
    points = reference.spaces.place(pictures.features)
    figures: Figures = {}
    rng = None if reference.is_sample else reference.rng
    for evaluator in points:
        made, art = points[evaluator][: reference.n], reference.art[evaluator]
        compared = compare_with_art(art, made, width=kernel_width(art), rng=rng)
        figures |= {f"{name}_{evaluator}": value for name, value in compared.items()}
        figures[f"memorisation_{evaluator}"] = memorisation(made, reference.training[evaluator])
    lightness, chroma = np.std(pictures.tone[: reference.n], axis=0) / np.std(reference.tone, axis=0)
    return figures | {"lightness_spread": float(lightness), "chroma_spread": float(chroma)}


def measure_similarity(pictures: MeasuredPictures, reference: Reference) -> Figures:
    """Return figures that say how well pictures reflect the descriptors, genres and pairwise distances of songs.

    Picture i belongs to song i.
    """
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
    """Return numbers that say how well the two halves of a song can be matched by their pictures.

    For each evaluator, these are the AUC and the top-1 accuracy of matching, and `half_distance`: the mean distance of
    the pictures of the two halves of a song, divided by the mean distance of the pictures of two whole songs.

    ``halves`` has the pictures of the first halves of all songs, then those of the second halves. ``whole`` has the
    pictures of the whole songs.
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
    """Return the upper bounds (ceilings) that the randomness of the painter sets for the measures of similarity.

    ``whole`` and ``again`` are pictures of the same latents, painted with two different seeds. The figure
    ``reliability`` is the rank correlation between the pairwise distances within ``whole`` and those within ``again``.
    No correlation with pairwise distances exceeds the square root of their reliability (Spearman 1904), so this square
    root is the ceiling of ``geometry``. The ceiling of ``nearest`` is the fraction of nearest neighbours that are the
    same with both seeds.
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
    """Return the figures of a column whose pictures belong to songs, with 95 % intervals over the songs.

    ``whole`` has the pictures of whole songs. ``halves`` has the pictures of their first halves, then those of their
    second halves. Intervals need at least 2 * ``least`` songs; with fewer songs, they are left out. If
    ``with_distribution`` is false, the figures of `measure_distribution` are left out.
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
    """Return ``figures``, which were measured of n songs, with the ends of their 95 % intervals added.

    Nothing is added if n is less than 2 * ``least``, where ``least`` is the smallest number of songs that ``measure``
    accepts. An interval reaches 1.96 standard errors to each side of a figure. `half_sample_errors` estimates the
    standard errors from figures of random halves of the songs; `measure` returns the figures of the songs at given
    indices.
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
    """Return figures that say how much pictures differ between codecs, between variations, and between songs.

    Most of these figures are ratios: a difference, divided by the difference between a picture and its degraded copy.

    Parameters
    ----------
    whole : MeasuredPictures
        Pictures of all songs; `degraded` must not be None.
    codecs : (MeasuredPictures, MeasuredPictures)
        Pictures of the FLAC copies and of the MP3 copies of the first songs.
    variations : MeasuredPictures
        For the first songs (their number may be another), the main picture followed by `n_variations` variations.
    """
    assert whole.degraded is not None, "measured without degraded copies"
    points, degraded = reference.spaces.place(whole.features), reference.spaces.place(whole.degraded)
    flac, mp3, varied = (reference.spaces.place(part.features) for part in (*codecs, variations))
    n = len(codecs[0])

    def measure_codecs(index: Index) -> Figures:
        found: Figures = {}
        for e in points:
            ratio, moved = relative_to_degraded(
                flac[e][index], mp3[e][index], points[e][:n][index], degraded[e][:n][index]
            )
            found |= {f"steadiness_{e}": ratio, f"steadiness_moved_{e}": moved}
            found[f"codec_distance_{e}"] = relative_distance(flac[e][index], mp3[e][index], points[e])
        return found

    figures = with_intervals(measure_codecs(np.arange(n)), measure_codecs, n, least=_LEAST_COPIED, rng=reference.rng)
    for evaluator in points:
        figures[f"indistinguishable_{evaluator}"] = indistinguishable(points[evaluator], degraded[evaluator])
        groups = varied[evaluator].reshape(-1, n_variations + 1, varied[evaluator].shape[1])
        near, changed = measure_variations(groups, degraded[evaluator][: len(groups)])
        figures |= {f"variation_auc_{evaluator}": near, f"variation_change_{evaluator}": changed}
    return figures


def measure_embeddings(reference: Reference) -> dict[str, Figures]:
    """Return measures of how well each audio embedding tells songs apart: embedding -> measure -> value.

    Pictures that are painted from an embedding cannot tell songs apart better than the embedding does.
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
