"""Find the songs and pictures that a bundle is evaluated on: the held-out split of a corpus, or any two folders.

If there are more files than needed, the first ones in the order of the hashes of their names are used. So the same
folder always gives the same sample.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clavilux.audio.decode import AUDIO_SUFFIXES
from clavilux.corpus import CorpusRow, load_table
from clavilux.corpus.match import match_names
from clavilux.corpus.table import TABLE_NAME
from clavilux.errors import CorpusError
from clavilux.images import PICTURE_SUFFIXES, UNSUPPORTED_PICTURE_SUFFIXES
from clavilux.system.files import first_names, list_folder, normalise_name, path_inside

logger = logging.getLogger("clavilux")

MAX_TRAINED_PICTURES = 2_000  # pictures of the training split that the measure `hubs` uses

Report = Callable[[str], None]


@dataclass(frozen=True)
class SongFile:
    """A song file of an evaluation."""

    path: Path
    name: str  # name in the report
    genre: str  # "" if unknown
    group: str = ""  # in a corpus: "labelled" if the genre is known, otherwise "free" or "research"


@dataclass(frozen=True)
class Material:
    """Songs and pictures for an evaluation."""

    songs: Sequence[SongFile]  # not used in training
    held_out_art: Sequence[Path]  # abstract and generative pictures not used in training
    training_art: Sequence[Path]  # such pictures from the training split; for a plain folder, its second half
    trained: Sequence[Path]  # pictures of any kind from the training split, at most `MAX_TRAINED_PICTURES`
    counts: dict[str, int]  # number of files by kind, for the report
    has_held_out_songs: bool = False  # whether the songs are the held-out split of a corpus
    has_held_out_art: bool = False  # whether the pictures are the held-out split of a corpus


def find_material(music: Path, art: Path, *, songs: int, pictures: int, report: Report = logger.warning) -> Material:
    """Return at most `songs` songs, at most `pictures` held-out pictures, and at most `pictures` training pictures.

    Each of the folders ``music`` and ``art`` is a built corpus or any other folder. ``report`` is called with one line
    for each kind of skipped file, and with one line if rows of a corpus table have no file.

    Raises
    ------
    CorpusError
        If `music` or `art` is not a folder, or the table of a corpus is damaged.
    """
    chosen, song_counts = _find_songs(music, songs, report)
    held_out, training, trained, art_counts = find_pictures(art, pictures, report=report)
    are_corpora = (os.path.lexists(folder / TABLE_NAME) for folder in (music, art))
    return Material(chosen, held_out, training, trained, song_counts | art_counts, *are_corpora)


def _find_songs(folder: Path, n: int, report: Report) -> tuple[list[SongFile], dict[str, int]]:
    """Return at most n songs, and the number of songs of each kind.

    From a corpus, only held-out songs are returned; half of them have a genre label, if the corpus has enough songs
    with and without one. In any other folder, the genre of a song is the name of its subfolder.
    """
    files = _files(folder, AUDIO_SUFFIXES, report)
    if not os.path.lexists(folder / TABLE_NAME):
        files = _sampled(files)[:n]
        songs = [SongFile(f, f.stem, f.parent.name if f.parent != folder else "") for f in files]
        return songs, {"songs": len(songs)}
    path_of = _match_rows(folder, files, report)
    rows = [row for row in path_of if row.split == "held-out"]
    labelled = _sampled_rows([row for row in rows if row.role == "labelled"])
    others = _sampled_rows([row for row in rows if row.role != "labelled"])
    n_labelled = min(len(labelled), max(n // 2, n - len(others)))
    taken = others[: n - n_labelled] + labelled[:n_labelled]
    songs = []
    for row in taken:
        genre, group = (row.genre, "labelled") if row.role == "labelled" else ("", row.tier)
        songs.append(SongFile(path_of[row], Path(row.file).stem, genre, group))
    counts = Counter(f"songs, {row.role}, {row.tier}" for row in taken)
    return songs, dict(sorted(counts.items()))


def find_pictures(
    folder: Path, n: int, *, report: Report = logger.warning
) -> tuple[list[Path], list[Path], list[Path], dict[str, int]]:
    """Return the fields `held_out_art`, `training_art`, `trained` and `counts` of `Material` for a folder of pictures.

    `held_out_art` and `training_art` have at most n pictures each. If the folder is no corpus, `held_out_art` is from
    the first half of its pictures; `training_art` is from the second half, and `trained` is the same list.
    """
    files = _files(folder, PICTURE_SUFFIXES, report)
    if not os.path.lexists(folder / TABLE_NAME):
        files = _sampled(files)
        held_out, training = files[: len(files) // 2][:n], files[len(files) // 2 :][:n]
        return held_out, training, training, {"held-out pictures": len(held_out), "training pictures": len(training)}
    path_of = _match_rows(folder, files, report)
    art = [row for row in path_of if row.role in ("abstract", "generative")]
    sides = {split: _sampled_rows([row for row in art if row.split == split])[:n] for split in ("held-out", "training")}
    trained = _sampled_rows([row for row in path_of if row.split == "training"])[:MAX_TRAINED_PICTURES]
    counts = Counter(f"{split} art, {row.role}, {row.tier}" for split, rows in sides.items() for row in rows)
    held_out, training = ([path_of[row] for row in rows] for rows in sides.values())
    return held_out, training, [path_of[row] for row in trained], dict(sorted(counts.items()))


def _files(folder: Path, suffixes: frozenset[str], report: Report) -> list[Path]:
    """Return the files with these suffixes in a folder, and report files that were skipped."""
    if not os.path.isdir(folder):  # Path.is_dir raises where a name is too long
        raise CorpusError(f"{folder} is not a folder")
    unsupported = UNSUPPORTED_PICTURE_SUFFIXES if suffixes == PICTURE_SUFFIXES else frozenset()
    listing = list_folder(folder, suffixes, unsupported=unsupported)
    for line in (*listing.hints(), *listing.faults()):
        report(line)
    return list(listing.files)


def _match_rows(folder: Path, files: Sequence[Path], report: Report) -> dict[CorpusRow, Path]:
    """Return the file of each row of a corpus table, in the order of the rows, and report which files are missing."""
    paths = {normalise_name(path.relative_to(folder).as_posix()): path for path in files}
    rows = {normalise_name(row.file): row for row in load_table(folder)}
    found = {row: paths[file] for file, row in match_names(paths, rows).items()}
    missing = [name for name in rows if name not in found]
    if missing:
        names = f"{first_names(missing)} ({len(missing)} in all)"
        report(f"{folder}: missing, though they have a row in {TABLE_NAME}: {names}")
    paths_of_rows = {row: found.get(name) or path_inside(folder, name) for name, row in rows.items()}
    return {row: path for row, path in paths_of_rows.items() if path is not None}


def _sampled(files: Sequence[Path]) -> list[Path]:
    return sorted(files, key=lambda path: _hash(path.name))


def _sampled_rows(rows: Sequence[CorpusRow]) -> list[CorpusRow]:
    return sorted(rows, key=lambda row: _hash(row.file))


def _hash(name: str) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()
