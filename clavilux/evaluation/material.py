"""What a bundle is judged on: the held-out side of a corpus, or any two folders.

Songs and pictures are drawn by the hash of their file's name, so that the same folder gives the same ones.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from clavilux.audio import AUDIO_SUFFIXES
from clavilux.corpus import CorpusRow, load_table
from clavilux.errors import CorpusError

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
_TABLE = "corpus.csv"


def find_songs(folder: Path, n: int) -> list[Path]:
    """At most n songs: of a corpus the held-out ones, half of them free and half labelled; of a folder any."""
    if (folder / _TABLE).is_file():
        by_role: dict[str, list[CorpusRow]] = defaultdict(list)
        for row in load_table(folder):
            if row.split == "held-out":
                by_role[row.role].append(row)
        share = -(-n // max(1, len(by_role)))
        chosen = [folder / row.file for rows in by_role.values() for row in _drawn_rows(rows)[:share]]
        return chosen[:n]
    return _drawn(_files(folder, AUDIO_SUFFIXES))[:n]


def find_art(folder: Path, n: int) -> tuple[list[Path], list[Path]]:
    """At most n held-out pictures, and at most n that were learnt from.

    Of a corpus: abstract and generative pictures of the held-out and of the training split. Of a folder, which nobody
    has learnt from: one half and the other.
    """
    if (folder / _TABLE).is_file():
        rows = [row for row in load_table(folder) if row.role in ("abstract", "generative")]
        sides = [[row for row in rows if row.split == split] for split in ("held-out", "training")]
        held_out, training = ([folder / row.file for row in _drawn_rows(side)[:n]] for side in sides)
        return held_out, training
    files = _drawn(_files(folder, PICTURE_SUFFIXES))
    middle = len(files) // 2
    return files[:middle][:n], files[middle:][:n]


def _files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    if not folder.is_dir():
        raise CorpusError(f"{folder} is no folder")
    return [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in suffixes and path.is_file()]


def _drawn(files: Sequence[Path]) -> list[Path]:
    return sorted(files, key=lambda path: _hash(path.name))


def _drawn_rows(rows: Sequence[CorpusRow]) -> list[CorpusRow]:
    return sorted(rows, key=lambda row: _hash(row.file))


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
