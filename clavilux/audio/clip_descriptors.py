"""Find the descriptors of the song of a feature file: .npy file -> `descriptors.csv` in its folder -> descriptors."""

from __future__ import annotations

import math
import os
from functools import lru_cache
from pathlib import Path

from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.audio.feature_table import TABLE, version_of
from clavilux.audio.mfcc import FeatureSettings
from clavilux.errors import AudioError
from clavilux.system.tables import read_table

_LEVELS = 16  # folders above a feature file that are searched for its table

Row = dict[str, float]


def find_descriptors(path: Path, settings: FeatureSettings) -> tuple[Row | None, float, str]:
    """Return the descriptors of the song of a feature file, its duration in seconds, and a warning.

    `descriptors.csv` is searched in the folder of the feature file, then in the folders above it; the first table with
    a row for the file is used.

    Parameters
    ----------
    path : Path
        The feature file.
    settings : FeatureSettings
        Settings that the feature file states; the row must have the same.

    Returns
    -------
    descriptors : dict of str to float, or None
        None if there is no row, or if the row is incomplete or of another version.
    duration_s : float
        0 if there is no row.
    warning : str
        Why a row was not used, else "".
    """
    absolute = Path(os.path.abspath(path))
    for folder in absolute.parents[:_LEVELS]:
        table = folder / TABLE
        try:
            status = os.stat(table)
            rows = _read_rows(table, status.st_mtime_ns, status.st_size)
        except (OSError, AudioError):  # none, or not a table of features
            continue
        found = rows.get(absolute.relative_to(folder).as_posix())
        if found is None:
            continue
        version, seconds, descriptors = found
        if version != version_of(settings):
            return None, seconds, f"its row of {TABLE} is of another version; run `clavilux features` again"
        if len(descriptors) < len(DESCRIPTORS):
            return None, seconds, f"its row of {TABLE} is incomplete; run `clavilux features` again"
        return descriptors, seconds, ""
    return None, 0.0, ""


@lru_cache(maxsize=4)
def _read_rows(table: Path, mtime_ns: int, size: int) -> dict[str, tuple[str, float, Row]]:
    """Return version, duration and descriptors by feature file; time and size are those of the table, for the cache."""
    columns, rows = read_table(table, AudioError, skip=lambda line: None)
    if not {"npy", "version", "seconds"} <= set(columns):
        return {}
    found = {}
    for row in rows:
        values = {name: _number(row.get(name, "")) for name in DESCRIPTORS}
        known = {name: value for name, value in values.items() if value is not None}
        found[row["npy"]] = (row["version"], _number(row["seconds"]) or 0.0, known)
    return found


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
