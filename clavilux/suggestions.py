"""Names that a user may mean by a word that is none: for an error message that ends in "did you mean veil?"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

_CLOSE = {
    **dict.fromkeys(
        ("disc", "circle", "circles", "ball", "round", "dot", "moon", "ray", "rays", "star", "stars"), "sun"
    ),
    **dict.fromkeys(("arc", "arch", "bow", "gate", "hills", "mountain", "mountains", "landscape", "horizon"), "hill"),
    **dict.fromkeys(("violin", "cello", "bass", "lute", "horn", "trumpet", "instrument"), "guitar"),
    **dict.fromkeys(("portrait", "head", "person", "woman", "man", "profile"), "face"),
    **dict.fromkeys(("two", "lovers", "kiss", "faces"), "couple"),
    **dict.fromkeys(("three", "family", "band", "people"), "trio"),
    **dict.fromkeys(("saint", "madonna", "nun", "ring", "halo"), "veil"),
    **dict.fromkeys(("crown", "queen"), "king"),
    **dict.fromkeys(("warrior", "knight", "soldier"), "helmet"),
    **dict.fromkeys(("wings", "bird"), "angel"),
    **dict.fromkeys(("stone", "rock", "pebble", "moai"), "statue"),
    **dict.fromkeys(("snail", "nautilus", "spiral"), "shell"),
    **dict.fromkeys(("ship", "sail", "sea"), "boat"),
    **dict.fromkeys(("off", "no"), "none"),
    **dict.fromkeys(("watercolour", "watercolor", "aquarelle", "glaze"), "layers"),
    **dict.fromkeys(("oil", "acrylic", "canvas"), "impasto"),
    **dict.fromkeys(("pencil", "charcoal", "sketch", "ink"), "drawing"),
    **dict.fromkeys(("paper", "cutout"), "collage"),
    **dict.fromkeys(("poster", "vector"), "flat"),
    **dict.fromkeys(("linocut", "woodcut", "screenprint", "riso"), "print"),
    **dict.fromkeys(("none", "clear", "alpha"), "transparent"),
    **dict.fromkeys(("opaque", "solid", "full"), "painted"),
}  # value that users tried -> a value of the options `figure`, `surface` or `background` that is close in meaning

_ALIKE = 0.7  # least likeness of two words, from 0 to 1, to be a slip of the keyboard
_PLAIN = frozenset(("a", "an", "the", "of", "on", "in", "with", "like", "shape", "shapes"))  # tell nothing of a name


def did_you_mean(near: str | None) -> str:
    """Return the end of an error message that names what a user may mean; "" if there is no such name."""
    return f"; did you mean {near}?" if near else ""


def find_close(word: str, names: Iterable[str]) -> str | None:
    """Return the one of some names that is closest to a word in meaning or in spelling, or None.

    The word may also be a part of what descriptions of pictures say of a figure, a surface or a kind of marks, such as
    "veiled face" or "thick paint".
    """
    known, word = list(names), word.strip().lower()
    if word in known or _CLOSE.get(word) in known:
        return word if word in known else _CLOSE[word]
    return _find_described(word, known) or next(iter(get_close_matches(word, known, 1, _ALIKE)), None)


def _find_described(word: str, names: list[str]) -> str | None:
    """Return the name whose words in descriptions are the fewest that contain all words of a text, or None."""
    from clavilux.painter.figures import FIGURES
    from clavilux.painter.marks import MARKS
    from clavilux.painter.surfaces import SURFACES

    texts = {name: kind.description for name, kind in MARKS.items()}
    texts |= {name: thing.words for table in (FIGURES, SURFACES) for name, thing in table.items()}
    given = _words_of(word)
    fit = [(len(_words_of(texts[name])), name) for name in names if given and given <= _words_of(texts.get(name, ""))]
    return min(fit)[1] if fit else None


def _words_of(text: str) -> frozenset[str]:
    return frozenset(re.findall("[a-z]+", text.lower())) - _PLAIN
