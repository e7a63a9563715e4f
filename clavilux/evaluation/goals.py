"""All measures by key: title, meaning, goal, and in which family of the report they are listed.

The values of a column are absolute. The value of a measure with `has_ceiling` is also divided by its ceiling: the value
that other real art of the same collection reaches against the same held-out art (the column `CEILING`). The ceiling of
a measure of similarity is the upper bound because of the painter's randomness (`KEY_ceiling` in its column). Some goals
apply to the ratio to the column `CEILING`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from clavilux.evaluation.evaluators import ALL_EVALUATORS
from clavilux.measures.crossmodal import CORRESPONDENCES

CEILING = "real art"

Columns = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Goal:
    """A range in which a value, or its ratio to the ceiling, should be."""

    least: float | None = None  # None: no lower limit
    most: float | None = None  # None: no upper limit
    of: Literal["value", "ratio"] = "value"  # what is compared with the limits

    def is_met(self, figure: float) -> bool:
        """Return whether a value (or a ratio, see `of`) is in the range."""
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

    key: str  # of its values in columns
    title: str
    meaning: str  # in a few words
    goal: Goal | None = None
    has_ceiling: bool = False  # also divided by the value of the column `CEILING`
    is_count: bool = False  # a whole number


@dataclass(frozen=True)
class Verdict:
    """A value compared with its ceiling and its goal."""

    value: float
    ceiling: float | None  # None if the measure has no ceiling, or it was not measured
    ratio: float | None  # value over ceiling; None unless the ceiling is above 0
    met: bool | None  # None if there is no goal, or no ratio to compare with it


def check_goal(measure: Measure, columns: Columns, column: str) -> Verdict | None:
    """Return the verdict on a measure in a column; None if the measure has no value there.

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
    """Return the measure for each evaluator."""
    return [Measure(f"{key}_{e}", f"{title}, {e}", meaning, goal, has_ceiling, is_count) for e in ALL_EVALUATORS]


def _ratio(key: str, title: str, meaning: str, goal: float) -> list[Measure]:
    """Return the measure for each evaluator, with a least ratio to the ceiling as its goal."""
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
        *_for_each("distance", "mean distance", "of two pictures, in the units of the evaluator"),
        *_for_each("effective", "effective number", "of different pictures: Vendi score of order 2"),
        *_ratio("diversity", "diversity", "mean distance of two pictures; held-out art = 1", 0.90),
        *_ratio("vendi", "Vendi score", "effective number of different pictures (order 2); held-out art = 1", 0.70),
        *_ratio("coverage", "coverage", "share of held-out pictures with a painting among their 5 nearest", 0.80),
        *_ratio("recall", "recall", "share of held-out pictures within the 3-neighbour ball of a painting", 0.80),
        *_ratio("precision", "precision", "share of paintings within the 3-neighbour ball of a held-out picture", 0.90),
        *_ratio("density", "density", "5-neighbour balls of held-out pictures around a painting, over 5", 0.80),
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
            "same_song_auc", "same song", "probability that two halves of one song are nearer than halves of two",
            Goal(0.85),
        ),
        *_for_each("same_song_top1", "same song, top 1", "share of halves whose nearest other half is their own"),
        *_for_each("half_distance", "distance of halves", "mean distance of two halves; two songs = 1"),
        *_for_each(
            "steadiness", "steadiness",
            "mean distance of FLAC and MP3 (128 kbit/s); a picture and its degraded copy = 1", Goal(most=1.0),
        ),
        *_for_each(
            "steadiness_moved", "visibly moved", "share of songs whose FLAC and MP3 differ more than a degraded copy"
        ),
        *_for_each("codec_distance", "distance of FLAC and MP3", "mean distance; two songs = 1"),
        *_for_each("variation_auc", "variations near", "probability that variations of a song are nearer than songs"),
        *_for_each(
            "variation_change", "variations differ", "share that differ more than a picture and its degraded copy"
        ),
        *_for_each(
            "memorisation", "memorisation",
            "share of paintings nearer to a training picture than 99 % of those are to each other; real art: held-out",
            Goal(most=0.05),
        ),
        Measure("hubs", "hubs", "largest share of songs with the same nearest real picture", Goal(most=0.01)),
    ],
    "Do songs that sound similar look similar?": [
        *_for_each(
            "reliability", "reliability", "rank correlation of picture distances with those of another seed"
        ),
        *_for_each("geometry_code", "geometry", "rank correlation of song and picture distances", Goal(0.60)),
        *_for_each("geometry_musicnn", "geometry, musicnn", "the same with song distances of musicnn", Goal(0.60)),
        *_for_each(
            "nearest_code", "10 nearest", "share of the 10 nearest songs among the 10 nearest pictures", Goal(0.40)
        ),
        *_for_each("nearest_musicnn", "10 nearest, musicnn", "the same with song distances of musicnn", Goal(0.40)),
        Measure("geometry_latent", "geometry, latent", "rank correlation of song distances and latent distances"),
        *_for_each(
            "same_genre", "same genre", "probability that songs of one genre are nearer than of different genres"
        ),
    ],
    "Do pictures change with the music as listeners expect?": [
        Measure("signs_alone", "right signs", "pairs of unused tunes in which one property changes", Goal(0.90)),
        Measure("signs_together", "right signs, together", "pairs in which six properties change", Goal(0.90)),
        *_correspondence_measures(),
    ],
    "Is the latent used?": [
        Measure("kl_nats", "KL divergence", "of the picture latent over its target, in training", Goal(0.95, 1.05)),
        Measure(
            "active_units", "active units", "latent dimensions whose posterior mean varies over real art", Goal(60),
            is_count=True,
        ),
        Measure("variance_ratio", "variance kept", "variance of the songs' latents; real art = 1"),
    ],
}  # fmt: skip

MEASURES: tuple[Measure, ...] = tuple(measure for family in FAMILIES.values() for measure in family)
