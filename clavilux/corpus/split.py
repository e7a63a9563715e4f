"""Assign each artist to one split of the corpus: training, validation or held-out.

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

# Salts of the hash, chosen once from numbers of files alone, before anything was trained.
# Art: a salt from 0 to 59999. There are three free generative authors; the one with the most files had to be in
# training, the next one in held-out, and the one with the fewest files in validation. Of the salts that do this, it is
# the one whose splits are nearest to the shares above, in each role of the tier "free".
# Music: of the salts from 0 to 39999, the one whose splits are nearest to the shares above, over all files and in each
# of nine coarse genres, both for the core sources and for all sources.
SALTS: dict[Kind, str] = {"art": "52651", "music": "2902"}

# Artists who have several names or work together: name -> name of the group.
SAME_ARTIST = {
    "max-freeman": "chris-leutwyler",
    "max-freeman-chris-leutwyler": "chris-leutwyler",
    "chris-leutwyler-max-freeman": "chris-leutwyler",
    "utagawa-kunisada-ii": "utagawa-kunisada",
    "utagawa-toyokuni-ii": "utagawa-toyokuni",
    # Most pictures in this folder are by this artist, but the package names the artist for few of them.
    "jakub-steiner": "debian:gnome-backgrounds:usr/share/backgrounds/gnome",
}


def assign_splits(items: Iterable[Item]) -> dict[str, Split]:
    """Return a dict from the name of each group of files (see `group_of`) to its split.

    A group with any file of the tier "research", which may not be used for training, is held out. Give all items of the
    shipped table, not only those of one build.
    """
    groups: dict[str, Split] = {}
    for item in items:
        group = group_of(item)
        if item.tier == "research":
            groups[group] = "held-out"
        elif group not in groups:
            groups[group] = split_of(group, item.kind)
    return groups


def split_of(group: str, kind: Kind) -> Split:
    """Return the split of the files of a group (see `group_of`), chosen by a hash of the name of the group.

    Do not call it for a group with files of the tier "research", which are always held-out; this is not checked here.
    """
    digest = hashlib.sha256(f"{SALTS[kind]}/{group}".encode()).digest()
    uniform = int.from_bytes(digest[:8]) / 2**64  # on (0, 1)
    if uniform < TRAINING_SHARE:
        return "training"
    return "validation" if uniform < TRAINING_SHARE + VALIDATION_SHARE else "held-out"


def group_of(item: Item) -> str:
    """Return the name of the group of a file; all files of a group are in one split.

    The group is the artist or, if the artist is unknown, the folder of the file in its source.
    """
    artist = normalise_artist(item.artist)
    return SAME_ARTIST.get(artist, artist) if artist else f"{item.source}:{item.path.rpartition('/')[0]}"


def normalise_artist(name: str) -> str:
    """Return a name in lower case, without accents, with hyphens between words: `Àlex  Almarza` -> `alex-almarza`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
