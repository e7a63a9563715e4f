"""The measures by name: what each means, which way is better, and the goal it is held against.

Figures of a column are absolute. A measure with a ceiling is also divided by what as many real training pictures reach
against the same held-out art; where the goal is set on that ratio, it says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from clavilux.evaluation.evaluators import EVALUATORS
from clavilux.measures.crossmodal import CORRESPONDENCES

CEILING = "real art"  # the column that ratios are taken to

Columns = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Goal:
    """`least`, `most`, or both, of the value or of its ratio to the ceiling."""

    least: float | None = None
    most: float | None = None
    of: Literal["value", "ratio"] = "value"

    def is_met(self, figure: float) -> bool:
        """Whether a figure, a ratio if `of` says so, reaches the goal."""
        return (self.least is None or figure >= self.least) and (self.most is None or figure <= self.most)

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            text = f"{self.least:g} to {self.most:g}"
        else:
            text = f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}"
        return f"{text} of real art" if self.of == "ratio" else text


@dataclass(frozen=True)
class Measure:
    """A line of the table; `has_ceiling` says that it is also divided by that of real art."""

    key: str
    title: str
    meaning: str
    goal: Goal | None = None
    has_ceiling: bool = False
    is_count: bool = False


@dataclass(frozen=True)
class Verdict:
    """A figure against its goal; ratio is None where there is no ceiling to divide by."""

    value: float
    ratio: float | None
    met: bool | None


def evaluator(measure: Measure, columns: Columns, column: str) -> Verdict | None:
    """Hold a figure of a column against the goal; None where it was not measured."""
    value = columns.get(column, {}).get(measure.key)
    if value is None:
        return None
    ceiling = columns.get(CEILING, {}).get(measure.key)
    # An unbiased estimate can be 0 or less, and nothing can be divided by that.
    ratio = value / ceiling if measure.has_ceiling and ceiling is not None and ceiling > 0 else None
    if measure.goal is None:
        return Verdict(value, ratio, None)
    figure = ratio if measure.goal.of == "ratio" else value
    return Verdict(value, ratio, None if figure is None else measure.goal.is_met(figure))


def _by_evaluator(
    key: str, title: str, meaning: str, goal: Goal | None = None, *, has_ceiling: bool = False, is_count: bool = False
) -> list[Measure]:
    return [Measure(f"{key}_{j}", f"{title}, {j}", meaning, goal, has_ceiling, is_count) for j in EVALUATORS]


def _ratio(key: str, title: str, meaning: str, least: float) -> list[Measure]:
    return _by_evaluator(key, title, meaning, Goal(least=least, of="ratio"), has_ceiling=True)


FAMILIES: dict[str, list[Measure]] = {
    "Are the pictures different, and like art?": [
        *_ratio("diversity", "diversity", "mean distance of two pictures, held-out art = 1", 0.90),
        *_ratio("vendi", "Vendi score", "effective number of different pictures (order 2), held-out art = 1", 0.70),
        *_ratio("coverage", "coverage", "share of held-out pictures with a painting among their 5 nearest", 0.80),
        *_ratio("recall", "recall", "share of held-out pictures within a ball of 3 paintings", 0.80),
        *_ratio("precision", "precision", "share of paintings within a ball of 3 held-out pictures", 0.90),
        *_ratio("density", "density", "how many balls of 5 held-out pictures a painting lies in, over 5", 0.80),
        *_by_evaluator(
            "kid",
            "KID",
            "squared distance of the two laws, unbiased, subsets of 100",
            Goal(most=2.0, of="ratio"),
            has_ceiling=True,
        ),
        Measure("sharpness", "sharpness", "energy above a quarter of Nyquist at 512 px, held-out = 1", Goal(0.7, 1.3)),
        Measure("lightness_spread", "spread of lightness", "deviation of the pictures' means, held-out art = 1"),
        Measure("chroma_spread", "spread of chroma", "deviation of the pictures' means, held-out art = 1"),
    ],
    "Do songs use what the painter can paint?": [
        *_by_evaluator(
            "used_diversity", "diversity used", "diversity over that of the column decoder", Goal(least=0.95)
        ),
        *_by_evaluator("used_vendi", "Vendi score used", "likewise", Goal(least=0.90)),
        *_by_evaluator("used_coverage", "coverage used", "likewise", Goal(least=0.90)),
        *_by_evaluator("used_recall", "recall used", "likewise", Goal(least=0.90)),
    ],
    "Has every song its own picture?": [
        *_by_evaluator(
            "indistinguishable",
            "indistinguishable",
            "pairs of songs nearer than a picture and its bad copy",
            Goal(most=0),
            is_count=True,
        ),
        *_by_evaluator(
            "same_song_auc", "same song", "two halves of one song nearer than halves of two", Goal(least=0.85)
        ),
        *_by_evaluator("same_song_top1", "same song, first", "share of halves whose nearest other half is their own"),
        *_by_evaluator("half_distance", "halves apart", "median distance of two halves, median of two songs = 1"),
        *_by_evaluator(
            "steadiness", "steadiness", "FLAC against MP3 of 128 kbit/s, median of two songs = 1", Goal(most=0.05)
        ),
        *_by_evaluator("variation_auc", "variations near", "two variations of a song nearer than two songs"),
        *_by_evaluator(
            "variation_change", "variations differ", "share that differ more than a picture and its bad copy"
        ),
        *_by_evaluator(
            "recitation",
            "recitation",
            "paintings nearer to a training picture than 99 % of those are to their nearest; real art: held-out",
            Goal(most=0.05),
        ),
        Measure("hubs", "hubs", "largest share of songs with one and the same nearest real picture", Goal(most=0.01)),
    ],
    "Do songs that sound alike look alike?": [
        *_by_evaluator("geometry_code", "geometry", "rank correlation of song and picture distances", Goal(least=0.60)),
        *_by_evaluator("geometry_musicnn", "geometry, musicnn", "the same, songs heard by musicnn", Goal(least=0.60)),
        *_by_evaluator(
            "nearest_code", "10 nearest", "share of the 10 nearest songs among the 10 nearest pictures", Goal(0.40)
        ),
        *_by_evaluator("nearest_musicnn", "10 nearest, musicnn", "the same, songs heard by musicnn", Goal(0.40)),
        Measure("geometry_latent", "geometry, latent", "rank correlation of song distances and latent distances"),
        *_by_evaluator(
            "same_genre", "same genre", "labelled songs: two of one genre nearer than two of different ones"
        ),
    ],
    "Does what is heard show?": [
        Measure("signs_alone", "right signs", "controlled pairs in which one thing changes", Goal(least=0.90)),
        Measure(
            "signs_together", "right signs, together", "pairs in which six things change at once", Goal(least=0.90)
        ),
        *[
            Measure(
                f"guide_{correspondence.name}",
                correspondence.name.replace("_", " "),
                f"rank correlation of {' + '.join(correspondence.heard)} and {' + '.join(correspondence.seen)}".replace(
                    "_", " "
                ),
                Goal(least=0.5),
            )
            for correspondence in CORRESPONDENCES
        ],
    ],
    "Is the latent used?": [
        Measure(
            "kl_nats",
            "kl_nats",
            "nats of a picture's latent over the set point, as the training measured",
            Goal(0.95, 1.05),
        ),
        Measure(
            "active_units",
            "active units",
            "latents whose posterior mean varies over real art",
            Goal(least=60),
            is_count=True,
        ),
        Measure("variance_ratio", "variance kept", "variance of the songs' latents, real art = 1"),
    ],
}

MEASURES: tuple[Measure, ...] = tuple(measure for family in FAMILIES.values() for measure in family)
