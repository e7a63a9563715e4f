"""Describe a song in words: its descriptors, how they compare with other songs, and their correspondences.

Only measured figures are used, from ``bundle.json``: the mean and the standard deviation of each descriptor over the
training songs, and the rank correlations of the cross-modal correspondences on songs that the mapping was not fitted
on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.constants import LATENT_DIM

NOTES = ("C", "C sharp", "D", "D sharp", "E", "F", "F sharp", "G", "G sharp", "A", "A sharp", "B")
WEAK, CLEAR = 0.5, 0.65  # rank correlations; 0.5 is the goal of `clavilux evaluate`

# Descriptor -> what a song is that has more of it, and one that has less.
COMPARATIVES = {
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
    """A cross-modal correspondence in words.

    Attributes
    ----------
    name : str
        That of `clavilux.measures.crossmodal.CORRESPONDENCES`.
    sound, picture : str
        What rises in the sound, and in the picture.
    strength : float
        Rank correlation over songs, -1 to 1.
    """

    name: str
    sound: str
    picture: str
    strength: float

    @property
    def words(self) -> str:
        """The strength of the correspondence in one word: clear, moderate or weak."""
        return "clear" if self.strength >= CLEAR else "moderate" if self.strength >= WEAK else "weak"


LINKS = {
    "arousal": ("the more excited it sounds", "the more colourful and contrasted"),
    "valence": ("the happier it sounds", "the warmer and lighter the colours"),
    "onset_rate": ("the more notes a second", "the smaller and more numerous the marks"),
    "register": ("the higher it is pitched", "the lighter, with smaller marks"),
    "harshness": ("the noisier and rougher it sounds", "the more angular the shapes"),
    "loudness_range": ("the more its loudness varies", "the more the contrast differs from place to place"),
}
"""Correspondence -> its two sides in words."""


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
        return f"{'very ' if abs(value) >= 1.5 else ''}{degree} ({value:+.1f})"
    if name == "tempo":
        return f"about {value:.0f} {_UNITS[name]}"
    rounded = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return rounded if unit == "1" else f"{rounded} {_UNITS.get(name, unit)}"  # "1" is a number without unit


def share_below(name: str, value: float, card: Mapping[str, Any]) -> float | None:
    """Return the fraction of training songs whose value of a descriptor is below ``value``, from 0.01 to 0.99.

    It is the CDF of a normal distribution with the mean and the standard deviation of the training songs, which are in
    ``card`` (``bundle.json``). The result is None if they are not given for this descriptor.
    """
    descriptors, constants = card.get("descriptors", []), card.get("normalisation", {})
    if name not in descriptors or name not in COMPARATIVES or "song_deviation" not in constants:
        return None
    place = LATENT_DIM + descriptors.index(name)
    mean, deviation = constants["song_mean"][place], constants["song_deviation"][place]
    share = 0.5 * (1.0 + math.erf((value - mean) / (deviation * math.sqrt(2.0))))
    return min(0.99, max(0.01, share))


def say_share(name: str, share: float) -> str:
    """Return how a song compares with the training songs, in words, from the fraction of `share_below`.

    Examples
    --------
    >>> say_share("centroid", 0.8), say_share("pace", 0.08)
    ('brighter than 80 % of the songs we know', 'slower than 92 % of the songs we know')
    """
    more, less = COMPARATIVES[name]
    words, percent = (more, share) if share >= 0.5 else (less, 1.0 - share)
    return f"{words} than {100 * percent:.0f} % of the songs we know"


def measured_links(card: Mapping[str, Any]) -> list[Link]:
    """Return the correspondences whose strengths are in ``card`` (``bundle.json``), the strongest first."""
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
