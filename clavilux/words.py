"""Describe a song in words: its descriptors, how it compares with other songs, and how pictures correspond to songs.

All numbers are measured and come from ``bundle.json``: the mean and the standard deviation of each descriptor over the
training songs, and the rank correlations of the cross-modal correspondences over songs that the mapping network was not
fitted on.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.constants import LATENT_DIM

NOTES = ("C", "C sharp", "D", "D sharp", "E", "F", "F sharp", "G", "G sharp", "A", "A sharp", "B")
MODERATE, CLEAR = 0.5, 0.65  # smallest rank correlations with these names; 0.5 is a goal of the evaluation

LABELS = {  # descriptor -> name in plain words, where they differ
    "pulse_clarity": "beat",
    "onset_rate": "notes",
    "loudness_range": "range of loudness",
    "centroid": "brightness of the sound",
    "bandwidth": "width of the spectrum",
    "flatness": "tone or noise",
    "flux": "change of the sound",
    "mode_strength": "major or minor",
    "register": "pitch",
    "harmonic_change": "change of harmony",
    "arousal": "excitement",
    "valence": "happiness",
}

COMPARATIVES = {  # descriptor -> words for a song in which it is larger, and for one in which it is smaller
    "pace": ("faster", "slower"),
    "pulse_clarity": ("steadier in its beat", "freer in its beat"),
    "onset_rate": ("busier", "calmer in its notes"),
    "loudness_range": ("more varied in loudness", "more even in loudness"),
    "centroid": ("brighter", "darker"),
    "bandwidth": ("wider in its spectrum", "narrower in its spectrum"),
    "flatness": ("noisier", "more tonal"),
    "flux": ("more restless", "more constant in its sound"),
    "roughness": ("rougher", "smoother"),
    "mode_strength": ("more major", "more minor"),
    "register": ("higher", "lower"),
    "harmonic_change": ("richer in changes of harmony", "more constant in its harmony"),
    "arousal": ("more excited", "calmer"),
    "valence": ("happier", "sadder or tenser"),
}

_UNITS = {"tempo": "beats a minute", "onset_rate": "notes a second"}


class Link(NamedTuple):
    """A cross-modal correspondence in words."""

    name: str  # name in `clavilux.measures.crossmodal.CORRESPONDENCES`
    sound: str  # what increases in the sound
    picture: str  # what increases with it in the picture
    strength: float  # rank correlation over songs, from -1 to 1

    @property
    def words(self) -> str:
        """The strength of the correspondence in one word: clear, moderate or weak."""
        return "clear" if self.strength >= CLEAR else "moderate" if self.strength >= MODERATE else "weak"


FEWEST = 0.7  # a song is only called faster, say, in a reason if it is so compared with this fraction of songs

LINKS = {
    "arousal": ("the more excited it sounds", "the more colourful and contrasted"),
    "valence": ("the happier it sounds", "the warmer and lighter the colours"),
    "onset_rate": ("the more notes a second", "the smaller and more numerous the marks"),
    "register": ("the higher it is pitched", "the lighter, with smaller marks"),
    "harshness": ("the noisier and rougher it sounds", "the more angular the shapes"),
    "loudness_range": ("the more its loudness varies", "the more the contrast differs from place to place"),
}
"""Name of a correspondence -> `Link.sound` and `Link.picture`."""

_OVERRIDDEN_BY = {
    "arousal": ("saturation",),
    "valence": ("lightness", "warmth", "saturation"),
    "onset_rate": ("scale", "complexity", "marks"),
    "register": ("lightness", "scale", "complexity", "marks"),
    "loudness_range": ("lightness", "saturation"),
}
"""Name of a correspondence -> wishes (fields of `clavilux.steering.Steering`) after which it need not hold."""
_OVERRIDES_ALL = {"palette", "palette_from", "near", "mood", "surface"}

_EFFECTS = {  # descriptor -> what pictures have if it is larger than in other songs, and if it is smaller
    "arousal": ("more colour and contrast", "less colour and contrast"),
    "valence": ("warmer and lighter colours", "colder and darker colours"),
    "onset_rate": ("smaller and more marks", "larger and fewer marks"),
    "register": ("lighter colours and smaller marks", "darker colours and larger marks"),
    "loudness_range": ("contrast that differs from place to place", "contrast that is the same everywhere"),
}


def say_value(name: str, value: float) -> str:
    """Return the value of a descriptor in words.

    Examples
    --------
    >>> say_value("tempo", 119.8), say_value("key", 6.0), say_value("loudness", -14.21)
    ('about 120 beats a minute', 'F sharp', '-14.2 LUFS')
    """
    unit = DESCRIPTORS[name].unit
    if unit == "pitch class":
        return NOTES[round(value) % 12]
    if unit == "standard deviations":
        degree = "average" if abs(value) < 0.5 else "high" if value > 0 else "low"
        return f"{'very ' if abs(value) >= 1.5 else ''}{degree}"
    if name == "tempo":
        return f"about {value:.0f} {_UNITS[name]}"
    rounded = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return rounded if unit == "1" else f"{rounded} {_UNITS.get(name, unit)}"  # "1" is a number without unit


def share_below(name: str, value: float, card: Mapping[str, Any]) -> float | None:
    """Return the estimated fraction of training songs in which a descriptor is below ``value``, from 0.01 to 0.99.

    The estimate is the CDF of a normal distribution with the mean and the standard deviation over the training songs,
    from ``card``, the content of ``bundle.json``. The result is None if ``card`` does not have them.
    """
    descriptors, constants = card.get("descriptors", []), card.get("normalisation", {})
    if name not in descriptors or name not in COMPARATIVES or "song_deviation" not in constants:
        return None
    index = LATENT_DIM + descriptors.index(name)
    mean, deviation = constants["song_mean"][index], constants["song_deviation"][index]
    share = 0.5 * (1.0 + math.erf((value - mean) / (deviation * math.sqrt(2.0))))
    return min(0.99, max(0.01, share))


def say_share(name: str, share: float) -> str:
    """Return in words how a song compares with the training songs, given the fraction from `share_below`.

    Examples
    --------
    >>> say_share("centroid", 0.8), say_share("pace", 0.08)
    ('brighter than 80 % of songs', 'slower than 92 % of songs')
    """
    more, less = COMPARATIVES[name]
    words, percent = (more, share) if share >= 0.5 else (less, 1.0 - share)
    return f"{words} than {100 * percent:.0f} % of songs"


def say_reasons(links: Sequence[Link], shares: Mapping[str, float], steering: Collection[str] = ()) -> list[str]:
    """Return for a song which of its properties correspond to which properties of its picture, the rarest first.

    Parameters
    ----------
    links : sequence of Link
        From `measured_links`.
    shares : mapping of str to float
        Fractions from `share_below`: name of a descriptor -> fraction of songs below the song.
    steering : collection of str
        Names of the wishes that the picture was painted with. A property that they change has no reason in the song.

    Examples
    --------
    >>> say_reasons([Link("valence", *LINKS["valence"], 0.7)], {"valence": 0.99})
    ['happier than 99 % of songs: as a rule warmer and lighter colours (clear)']
    """
    told = [link for link in links if link.name in _EFFECTS and link.name in shares and link.strength > 0]
    asked = set(steering)
    told = [link for link in told if not asked & {*_OVERRIDDEN_BY[link.name], *_OVERRIDES_ALL}]
    told = [link for link in told if abs(shares[link.name] - 0.5) >= FEWEST - 0.5]
    return [
        f"{say_share(link.name, shares[link.name])}: as a rule {_EFFECTS[link.name][shares[link.name] < 0.5]} "
        f"({link.words})"
        for link in sorted(told, key=lambda link: -abs(shares[link.name] - 0.5))
    ]


def say_further(share: float) -> str:
    """Return the fraction ``share`` of pairs that are further apart than two neighbours, as text in percent.

    Examples
    --------
    >>> say_further(0.984), say_further(0.9968), say_further(1.0)
    ('98 %', '99.6 %', 'more than 99.9 %')
    """
    if share > 0.999:
        return "more than 99.9 %"
    return f"{int(1000 * share) / 10:.1f} %" if share >= 0.99 else f"{100 * share:.0f} %"


def measured_links(card: Mapping[str, Any]) -> list[Link]:
    """Return the correspondences whose strength is in ``card``, the content of ``bundle.json``, strongest first."""
    measures = card.get("measures", {})
    figures = measures.get("mapping") if isinstance(measures, dict) else None
    if not isinstance(figures, dict):
        return []
    links = [
        Link(name, *sides, float(figures[name]))
        for name, sides in LINKS.items()
        if type(figures.get(name)) in (int, float) and -1 <= figures[name] <= 1
    ]
    return sorted(links, key=lambda link: -link.strength)
