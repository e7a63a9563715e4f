"""All measures with their meanings and goals, grouped into families as in the report.

The report compares many values with a reference value, the ceiling, and shows the ratio of the value to its ceiling. If
`has_ceiling` is true, the ceiling of a measure is its value for other real art (the column `CEILING`). Measures of
similarity with the key KEY have their ceiling in the same column, with the key ``KEY_ceiling``
(`clavilux.evaluation.columns.measure_ceilings`). Some goals apply to the ratio instead of the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from clavilux.evaluation.evaluators import ALL_EVALUATORS
from clavilux.measures.crossmodal import CORRESPONDENCES

CEILING = "real art"  # name of a column

Columns = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Goal:
    """The range in which a value, or the ratio of a value to its ceiling, should be."""

    least: float | None = None  # None: no lower limit
    most: float | None = None  # None: no upper limit
    of: Literal["value", "ratio"] = "value"  # what is compared with the limits

    def is_met(self, figure: float) -> bool:
        """Return whether `figure` is in the range; give a value or a ratio, whichever `of` names."""
        return (self.least is None or figure >= self.least) and (self.most is None or figure <= self.most)

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            text = f"{self.least:g} to {self.most:g}"
        else:
            text = f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}"
        return f"{text} of real art" if self.of == "ratio" else text


@dataclass(frozen=True)
class Measure:
    """A row of the report's table."""

    key: str  # key of its value in the figures of a column
    title: str
    meaning: str  # a few words
    goal: Goal | None = None
    has_ceiling: bool = False  # whether the ceiling is the value in the column `CEILING`
    is_count: bool = False  # whether values are whole numbers


@dataclass(frozen=True)
class Verdict:
    """A value compared with its ceiling and its goal."""

    value: float
    ceiling: float | None  # None if the measure has no ceiling, or if the ceiling was not measured
    ratio: float | None  # value over ceiling; None unless the ceiling is above 0
    met: bool | None  # None if there is no goal, or if the goal needs a ratio and there is none


def check_goal(measure: Measure, columns: Columns, column: str) -> Verdict | None:
    """Return the verdict on a measure in a column; None if the column has no value of this measure.

    ``columns`` is column -> measure key -> value.
    """
    value = columns.get(column, {}).get(measure.key)
    if value is None:
        return None
    ceiling = columns[column].get(f"{measure.key}_ceiling")
    if measure.has_ceiling:
        ceiling = columns.get(CEILING, {}).get(measure.key)
    # The ceiling of an unbiased estimate such as KID can be 0 or negative; then there is no ratio.
    ratio = value / ceiling if ceiling is not None and ceiling > 0 else None
    if measure.goal is None:
        return Verdict(value, ceiling, ratio, None)
    figure = ratio if measure.goal.of == "ratio" else value
    return Verdict(value, ceiling, ratio, None if figure is None else measure.goal.is_met(figure))


def _for_each(
    key: str, title: str, meaning: str, goal: Goal | None = None, *, has_ceiling: bool = False, is_count: bool = False
) -> list[Measure]:
    """Return one measure for each evaluator, with the same meaning and goal."""
    return [Measure(f"{key}_{e}", f"{title}, {e}", meaning, goal, has_ceiling, is_count) for e in ALL_EVALUATORS]


def _of_art(key: str, title: str, meaning: str, goal: float) -> list[Measure]:
    """Return one measure for each evaluator; `goal` is the least ratio of value to ceiling that meets the goal."""
    return _for_each(key, title, meaning, Goal(goal, of="ratio"), has_ceiling=True)


def _correspondence_measures() -> list[Measure]:
    """Return a measure for each cross-modal correspondence."""
    measures = []
    for each in CORRESPONDENCES:
        meaning = f"rank correlation of {' + '.join(each.descriptors)} and {' + '.join(each.image_features)}"
        title = each.name.replace("_", " ")
        measures.append(Measure(f"correspondence_{each.name}", title, meaning.replace("_", " "), Goal(0.5)))
    return measures


FAMILIES: dict[str, list[Measure]] = {
    "Are the pictures different from each other, and like real art?": [
        *_for_each("distance", "mean distance", "mean distance between two pictures, in the units of the evaluator"),
        *_for_each("effective", "effective number", "effective number of different pictures (Vendi score of order 2)"),
        *_of_art("diversity", "diversity", "mean distance between two pictures; held-out art = 1", 0.90),
        *_of_art("vendi", "Vendi score", "effective number of different pictures (order 2); held-out art = 1", 0.70),
        *_of_art("coverage", "coverage", "share of held-out pictures with a painting in their 5-neighbour ball", 0.80),
        *_of_art("recall", "recall", "share of held-out pictures in the 3-neighbour ball of a painting", 0.80),
        *_of_art("precision", "precision", "share of paintings in the 3-neighbour ball of a held-out picture", 0.90),
        *_of_art(
            "density", "density", "number of 5-neighbour balls of held-out pictures that contain a painting, over 5",
            0.80,
        ),
        *_for_each(
            "kid", "KID", "kernel inception distance, unbiased, subsets of 100", Goal(most=2.0, of="ratio"),
            has_ceiling=True,
        ),
        Measure(
            "sharpness", "sharpness", "energy above a quarter of Nyquist at 512 px; held-out art = 1", Goal(0.7, 1.3)
        ),
        Measure("lightness_spread", "spread of lightness", "standard deviation of mean lightness; held-out art = 1"),
        Measure("chroma_spread", "spread of chroma", "standard deviation of mean chroma; held-out art = 1"),
    ],
    "Do songs use the range of the painter?": [
        *_for_each("used_diversity", "diversity used", "diversity over that of the column decoder", Goal(0.95)),
        *_for_each("used_vendi", "Vendi score used", "Vendi score over that of the column decoder", Goal(0.90)),
        *_for_each("used_coverage", "coverage used", "coverage over that of the column decoder", Goal(0.90)),
        *_for_each("used_recall", "recall used", "recall over that of the column decoder", Goal(0.90)),
    ],
    "Does every song have its own picture?": [
        *_for_each(
            "indistinguishable", "indistinguishable pairs",
            "pairs that differ less than a picture and its degraded copy", Goal(most=0), is_count=True,
        ),
        *_for_each(
            "same_song_auc", "same song",
            "probability that the two halves of a song are nearer than halves of two songs",
            Goal(0.85),
        ),
        *_for_each(
            "same_song_top1", "same song, top 1", "share of first halves whose nearest second half is of the same song"
        ),
        *_for_each("half_distance", "distance of halves", "mean distance between halves of a song; two songs = 1"),
        *_for_each(
            "steadiness", "steadiness",
            "mean distance between pictures from FLAC and MP3 (128 kbit/s); a picture and its degraded copy = 1",
            Goal(most=1.0),
        ),
        *_for_each(
            "steadiness_moved", "visibly moved",
            "share of songs whose pictures from FLAC and MP3 differ more than a picture and its degraded copy",
        ),
        *_for_each(
            "codec_distance", "distance of FLAC and MP3",
            "mean distance between pictures from FLAC and MP3; two songs = 1",
        ),
        *_for_each(
            "variation_auc", "variations near",
            "probability that two pictures of a song are nearer than pictures of two songs",
        ),
        *_for_each(
            "variation_change", "variations differ",
            "share of pairs of pictures of a song that differ more than a picture and its degraded copy",
        ),
        *_for_each(
            "memorisation", "memorisation",
            "share of paintings nearer to a training picture than 99 % of training pictures are to another one",
            Goal(most=0.05),
        ),
        Measure("hubs", "hubs", "largest share of songs with the same nearest real picture", Goal(most=0.01)),
    ],
    "Do songs that sound similar look similar?": [
        *_for_each(
            "reliability", "reliability", "rank correlation of picture distances between two seeds of the painter"
        ),
        *_for_each("geometry_code", "geometry", "rank correlation of song and picture distances", Goal(0.60)),
        *_for_each(
            "geometry_musicnn", "geometry, musicnn", "the same, with song distances from musicnn", Goal(0.60)
        ),
        *_for_each(
            "nearest_code", "10 nearest", "share of the 10 nearest songs whose pictures are the 10 nearest pictures",
            Goal(0.40),
        ),
        *_for_each(
            "nearest_musicnn", "10 nearest, musicnn", "the same, with song distances from musicnn", Goal(0.40)
        ),
        Measure("geometry_latent", "geometry, latent", "rank correlation of song distances and latent distances"),
        *_for_each(
            "same_genre", "same genre", "probability that songs of one genre are nearer than songs of two genres"
        ),
    ],
    "Do pictures change with the music as listeners expect?": [
        Measure("signs_alone", "right signs", "share of controlled pairs that change as expected", Goal(0.90)),
        Measure(
            "signs_together", "right signs, together", "the same, for pairs that differ in six properties at once",
            Goal(0.90),
        ),
        *_correspondence_measures(),
    ],
    "Is the latent used?": [
        Measure(
            "kl_nats", "KL divergence", "KL divergence of the picture latent in training, over its target",
            Goal(0.95, 1.05),
        ),
        Measure(
            "active_units", "active units", "latent dimensions whose posterior mean varies over real art", Goal(60),
            is_count=True,
        ),
        Measure("variance_ratio", "variance kept", "variance of the songs' latents; real art = 1"),
    ],
}  # fmt: skip

MEASURES: tuple[Measure, ...] = tuple(measure for family in FAMILIES.values() for measure in family)
