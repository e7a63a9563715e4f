"""Measures on one column of the report's table: a set of pictures, most of which belong to songs.

Each function returns values by measure key (`goals.py`). Keys that depend on the evaluator end in ``_A`` or ``_B``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clavilux.evaluation.distinctness import indistinguishable, measure_variations, memorisation, relative_distance
from clavilux.evaluation.evaluators import EVALUATORS, Spaces
from clavilux.evaluation.manifold import compare_clouds
from clavilux.evaluation.painting import Arrays, Float32, MeasuredPictures
from clavilux.evaluation.sharpness import tone_spread
from clavilux.measures.crossmodal import CORRESPONDENCES, correspondence_values
from clavilux.measures.diversity import kernel_width
from clavilux.measures.similarity import correlation_with_p, geometry, neighbours_kept, same_genre, same_song

Float64 = NDArray[np.float64]
Figures = dict[str, float]
Pair = tuple[MeasuredPictures, MeasuredPictures]


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
        Pictures that are compared per side.
    embeddings : dict
        Audio embedding -> points of whole songs (s, F), and of their halves (s, 2, F).
    scores : (s, C)
        Correspondence scores of the songs' descriptors.
    genres : sequence of str
        Of the s songs, "" if unknown.
    rng : numpy Generator
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


def measure_distribution(pictures: MeasuredPictures, reference: Reference) -> Figures:
    """Compare the first n pictures with real art; songs play no part."""
    points = reference.spaces.place(pictures.features)
    figures: Figures = {}
    for evaluator in EVALUATORS:
        made, art = points[evaluator][: reference.n], reference.art[evaluator]
        compared = compare_clouds(art, made, width=kernel_width(art), rng=reference.rng)
        figures |= {f"{name}_{evaluator}": value for name, value in compared.items()}
        figures[f"memorisation_{evaluator}"] = memorisation(made, reference.training[evaluator])
    spread = tone_spread(pictures.tone[: reference.n], reference.tone)
    figures["lightness_spread"], figures["chroma_spread"] = spread
    return figures


def measure_similarity(pictures: MeasuredPictures, reference: Reference) -> Figures:
    """Measure how pictures, row i of song i, follow the similarity and the descriptors of songs."""
    points = reference.spaces.place(pictures.features)
    figures: Figures = {}
    for evaluator in EVALUATORS:
        for embedding in ("code", "musicnn"):
            songs, key = reference.embeddings[embedding][0], f"{embedding}_{evaluator}"
            correlation, p = geometry(songs, points[evaluator], rng=reference.rng)
            figures |= {f"geometry_{key}": correlation, f"geometry_{key}_p": p}
            figures[f"nearest_{key}"] = neighbours_kept(songs, points[evaluator])
        genre = same_genre(points[evaluator], reference.genres)
        if genre is not None:
            figures[f"same_genre_{evaluator}"] = genre
    scores = correspondence_values(pictures.image_features, "image_features")
    for i, correspondence in enumerate(CORRESPONDENCES):
        key = f"correspondence_{correspondence.name}"
        correlation, p = correlation_with_p(reference.scores[:, i], scores[:, i], rng=reference.rng)
        figures |= {key: correlation, f"{key}_p": p}
    return figures


def measure_halves(halves: Pair, whole: MeasuredPictures, reference: Reference) -> Figures:
    """Compare the pictures of the two halves of each song; `whole` gives the usual distance of two songs."""
    first, second, songs = (reference.spaces.place(part.features) for part in (*halves, whole))
    figures: Figures = {}
    for evaluator in EVALUATORS:
        auc, top1 = same_song(first[evaluator], second[evaluator])
        figures |= {f"same_song_auc_{evaluator}": auc, f"same_song_top1_{evaluator}": top1}
        distance = relative_distance(first[evaluator], second[evaluator], songs[evaluator])
        figures[f"half_distance_{evaluator}"] = distance
    return figures


def measure_changes(
    whole: MeasuredPictures, codecs: Pair, variations: MeasuredPictures, n_variations: int, reference: Reference
) -> Figures:
    """Compare the picture of each song with its degraded copy, its versions from FLAC and MP3, and its variations.

    Parameters
    ----------
    whole : MeasuredPictures
        With copies.
    codecs : tuple
        Pictures of the same songs from FLAC and from MP3.
    variations : MeasuredPictures
        For each of the first songs, the main picture and then `n_variations` variations.
    """
    assert whole.copies is not None, "measured without copies"
    points, copies = reference.spaces.place(whole.features), reference.spaces.place(whole.copies)
    flac, mp3, varied = (reference.spaces.place(part.features) for part in (*codecs, variations))
    figures: Figures = {}
    for evaluator in EVALUATORS:
        figures[f"indistinguishable_{evaluator}"] = indistinguishable(points[evaluator], copies[evaluator])
        figures[f"steadiness_{evaluator}"] = relative_distance(flac[evaluator], mp3[evaluator], points[evaluator])
        groups = varied[evaluator].reshape(-1, n_variations + 1, varied[evaluator].shape[1])
        near, changed = measure_variations(groups, copies[evaluator][: len(groups)])
        figures |= {f"variation_auc_{evaluator}": near, f"variation_change_{evaluator}": changed}
    return figures


def measure_embeddings(reference: Reference) -> dict[str, Figures]:
    """Measure the audio embeddings themselves: the upper bound of what pictures made from them can show."""
    table: dict[str, Figures] = {}
    code = reference.embeddings["code"][0]
    for embedding, (whole, halves) in reference.embeddings.items():
        auc, top1 = same_song(halves[:, 0], halves[:, 1])
        table[embedding] = {"same song": auc, "same song, top 1": top1}
        genre = same_genre(whole, reference.genres)
        if genre is not None:
            table[embedding]["same genre"] = genre
        table[embedding]["geometry, against the song code"] = geometry(code, whole, rng=reference.rng)[0]
        table[embedding]["10 nearest, against the song code"] = neighbours_kept(code, whole)
    return table
