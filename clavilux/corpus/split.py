"""Assign each artist to training, validation or held-out.

All works of an artist are in the same split, in all sources. The split depends only on a hash of the artist's name, so
it stays the same when sources are added, files are missing, or the corpus is built on another machine.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable

from clavilux.corpus.table import Item, Kind, Split

TRAINING_SHARE = 0.72
VALIDATION_SHARE = 0.10  # the remaining 0.18 are held out

# Chosen once, by counts only and before anything was trained. Art: of 0 to 59999, the salt whose shares are nearest to
# the three above in each role of the free tier, among those that put the largest of the three free generative authors
# into training, the next into held-out and the smallest into validation. Music: of 0 to 39999, the salt whose shares
# are nearest over all files and in each of nine coarse genres, for the core sources and for all sources.
SALTS: dict[Kind, str] = {"art": "52651", "music": "2902"}

# Artists with several names, or who work together: the name on the left belongs to the group on the right.
SAME_ARTIST = {
    "max-freeman": "chris-leutwyler",
    "max-freeman-chris-leutwyler": "chris-leutwyler",
    "chris-leutwyler-max-freeman": "chris-leutwyler",
    "utagawa-kunisada-ii": "utagawa-kunisada",
    "utagawa-toyokuni-ii": "utagawa-toyokuni",
    # Most pictures of this folder are his; few of them carry his name in the package.
    "jakub-steiner": "debian:gnome-backgrounds:usr/share/backgrounds/gnome",
}


def assign_splits(items: Iterable[Item]) -> dict[str, Split]:
    """Return the split of each artist.

    Parameters
    ----------
    items : iterable of Item
        The whole shipped table, not only the files of one build: an artist with any item of the tier research is
        held out.

    Returns
    -------
    dict of str to Split
        Split by the group name that `group_of` returns. Files of the tier research are never used in training.
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
    """Return the split of a group, from a hash of the salt and the name of the group.

    `assign_splits` holds out groups with research items whatever this function returns. ``salt`` is by default that of
    `SALTS`.
    """
    digest = hashlib.sha256(f"{SALTS[kind] if salt is None else salt}/{group}".encode()).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    if place < TRAINING_SHARE:
        return "training"
    return "validation" if place < TRAINING_SHARE + VALIDATION_SHARE else "held-out"


def group_of(item: Item) -> str:
    """Return the name of the group of an item; all items of a group are in one split.

    It is the artist, or the source and the folder if the artist is unknown.
    """
    artist = normalise_artist(item.artist)
    if artist:
        return SAME_ARTIST.get(artist, artist)
    folder = item.path.rpartition("/")[0]
    return f"{item.source}:{folder}"


def normalise_artist(name: str) -> str:
    """Return a name in lower case without accents, with hyphens between words: `Àlex  Almarza` -> `alex-almarza`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
