"""Match the files of a folder with the rows of its table.

Tables are written by hand, by spreadsheets and on other systems, so names are compared in one normalised form (see
`clavilux.system.files.normalise_name`), and with their extension.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable


def match_names(files: Collection[str], rows: Collection[str]) -> dict[str, str]:
    """Return a dict from the names of files to the names in rows that match them; all names are normalised.

    Names are compared in three rounds: as they are; without the folder `files/` of a built corpus; and ignoring case as
    well. In each round, a name that matches several names is skipped.
    """
    found: dict[str, str] = {}
    for key in (str, _inside_files, lambda name: _inside_files(name).casefold()):
        files_left = _by_key(key, set(files) - found.keys())
        rows_left = _by_key(key, set(rows) - set(found.values()))
        found |= {files_left[name]: rows_left[name] for name in files_left.keys() & rows_left.keys()}
    return found


def match_features(features: Collection[str], rows: Collection[str]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the row of each feature file, and the ambiguous feature files with all rows that match them.

    Both results are dicts by the name of the feature file.

    `song.wav.npy` matches only `song.wav`. `song.npy` matches the row whose name is `song` with any extension, if
    there is only one.
    """
    found = match_names(features, rows)  # a table may list feature files
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
    """Return the names by key, without the keys that several names share."""
    grouped: dict[str, list[str]] = {}
    for name in names:
        grouped.setdefault(key(name), []).append(name)
    return {key: names[0] for key, names in grouped.items() if len(names) == 1}
