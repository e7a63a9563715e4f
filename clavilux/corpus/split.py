"""Which side of the fence: training, validation or held-out, by artist, for good.

A painter or a band is on one side only, in all sources. The side follows from a hash of the group's name, so it does
not move when sources are added, files are missing, or the corpus is built on another machine.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable

from clavilux.corpus.table import Item, Kind, Split

TRAINING_SHARE = 0.72
VALIDATION_SHARE = 0.10  # the remaining 0.18 are held out

# Chosen once, by counts alone and before anything was trained. Art: of 0 to 59999, the salt with the shares nearest to
# the three above in each role of the free tier, among those that put the largest of the three free generative authors
# into training, the next into held-out and the smallest into validation (each is one group, so that a style is on one
# side only). Music: of 0 to 39999, the salt with the shares nearest in all and in each of nine coarse genres, of the
# core sources and of all sources.
SALTS: dict[Kind, str] = {"art": "52651", "music": "2902"}

# One hand under several names, or hands that work together: the names on the left belong to the group on the right.
SAME_HAND = {
    "max-freeman": "chris-leutwyler",
    "max-freeman-chris-leutwyler": "chris-leutwyler",
    "chris-leutwyler-max-freeman": "chris-leutwyler",
    "utagawa-kunisada-ii": "utagawa-kunisada",
    "utagawa-toyokuni-ii": "utagawa-toyokuni",
    # His pictures fill this folder, most of them without his name in the package.
    "jakub-steiner": "debian:gnome-backgrounds:usr/share/backgrounds/gnome",
}


def assign_splits(items: Iterable[Item]) -> dict[str, Split]:
    """Give each group of artists its split.

    Parameters
    ----------
    items : iterable of Item
        The whole shipped table, not only what one build takes: a group with a research item anywhere is held out.

    Returns
    -------
    dict of str to Split
        By the name that `group_of` gives. What is research is never learnt from, so it is always held out.
    """
    groups: dict[str, Kind] = {}
    research: set[str] = set()
    for item in items:
        group = group_of(item)
        groups[group] = item.kind
        if item.tier == "research":
            research.add(group)
    return {group: "held-out" if group in research else split_of(group, kind) for group, kind in groups.items()}


def split_of(group: str, kind: Kind, *, salt: str | None = None) -> Split:
    """The split of a group without research items: a function of its name and of the salt alone."""
    digest = hashlib.sha256(f"{SALTS[kind] if salt is None else salt}/{group}".encode()).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    if place < TRAINING_SHARE:
        return "training"
    return "validation" if place < TRAINING_SHARE + VALIDATION_SHARE else "held-out"


def group_of(item: Item) -> str:
    """What must not be torn apart: the artist, or where nobody is named, the source and the folder in it."""
    artist = normalise_name(item.artist)
    if artist:
        return SAME_HAND.get(artist, artist)
    folder = item.path.rpartition("/")[0]
    return f"{item.source}:{folder}"


def normalise_name(name: str) -> str:
    """A name in lower case, without accents, every other sign a hyphen: `Àlex  Almarza` -> `alex-almarza`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
