"""Match the files of a folder with the rows of its table.

Tables are written by hand, by spreadsheets and on other systems. All names are therefore normalised with
`clavilux.system.files.normalise_name` before they are given to these functions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from clavilux.system.files import normalise_name


def find_missing(folder: Path, names: Sequence[str]) -> list[str]:
    """Return the names of a table that match no file in a folder and its subfolders, in the order of the table."""
    files = {normalise_name(path.relative_to(folder).as_posix()) for path in folder.rglob("*") if path.is_file()}
    found, ambiguous = match_features(files, {normalise_name(name) for name in names})
    present = {*found.values(), *(row for rows in ambiguous.values() for row in rows)}
    return [name for name in names if normalise_name(name) not in present]


def match_names(files: Collection[str], rows: Collection[str]) -> dict[str, str]:
    """Return a dict from file name to row name, for the files that have a matching row.

    Names are compared in three rounds: first as they are, then without the folder ``files/`` of a built corpus, then
    also without regard to case. Names that matched in one round take no part in later rounds. Names that are ambiguous
    in a round are skipped in this round.
    """
    found: dict[str, str] = {}
    for key in (str, _inside_files, lambda name: _inside_files(name).casefold()):
        files_left = _by_key(key, set(files) - found.keys())
        rows_left = _by_key(key, set(rows) - set(found.values()))
        found |= {files_left[name]: rows_left[name] for name in files_left.keys() & rows_left.keys()}
    return found


def match_features(features: Collection[str], rows: Collection[str]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return two dicts: feature file -> its only matching row, and ambiguous feature file -> all its matching rows.

    ``song.wav.npy`` matches only ``song.wav``. ``song.npy`` matches ``song`` with any extension; it is ambiguous if
    several rows match.
    """
    found = match_names(features, rows)  # a table may list the feature files themselves
    whole = {name.removesuffix(".npy"): name for name in features if name not in found}
    rows_left = set(rows) - set(found.values())
    found |= {whole[name]: row for name, row in match_names(whole, rows_left).items()}
    rows_left -= set(found.values())
    by_stem: dict[str, list[str]] = {}
    for row in sorted(rows_left):
        by_stem.setdefault(_inside_files(_stem(row)), []).append(row)
    stems = match_names([name for name, feature in whole.items() if feature not in found], by_stem)
    candidates = {whole[name]: by_stem[stem] for name, stem in stems.items()}
    found |= {feature: rows[0] for feature, rows in candidates.items() if len(rows) == 1}
    return found, {feature: rows for feature, rows in candidates.items() if len(rows) > 1}


def _inside_files(name: str) -> str:
    return name.removeprefix("files/")


def _stem(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return folder + slash + (last.rpartition(".")[0] or last)


def _by_key(key: Callable[[str], str], names: Iterable[str]) -> dict[str, str]:
    """Return a dict from key to name, without the keys that several names share."""
    grouped: dict[str, list[str]] = {}
    for name in names:
        grouped.setdefault(key(name), []).append(name)
    return {key: names[0] for key, names in grouped.items() if len(names) == 1}
