"""The table `descriptors.csv` of a folder of feature files, and notes: rows that are not in the table yet.

==========================  ===========================================================================
column                      content
==========================  ===========================================================================
``file``                    name of the sound file, relative to the folder of sound files
``npy``                     name of the feature file, relative to the folder of the table
``seconds``                 duration of the song
``sha256``                  hash of the sound file
``version``                 result of `version_of`; rows with another version are not used
``tempo``, ``pace``, ...    descriptors of the song; `clavilux.audio.descriptors.DESCRIPTORS` has their names
``tempo_1``, ...            descriptors of the first half of the song
``tempo_2``, ...            descriptors of the second half of the song
==========================  ===========================================================================

The process that computes the features of a song, on this machine or on a cluster, writes the row of the song as a note:
a JSON file in the hidden folder `.measured`. The calling process removes a note when its row is in the table. So no row
is lost if the calling process is killed: the next run reads the remaining notes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from clavilux.audio.descriptors import DESCRIPTORS, DESCRIPTORS_VERSION
from clavilux.audio.features import FEATURES_VERSION
from clavilux.audio.mfcc import FeatureSettings
from clavilux.audio.song import Song
from clavilux.errors import AudioError
from clavilux.system.arguments import counted
from clavilux.system.files import check_shortage, is_read_only, write_whole
from clavilux.system.tables import read_table, table_text

TABLE = "descriptors.csv"
HALVES = tuple(tuple(f"{name}_{half}" for name in DESCRIPTORS) for half in (1, 2))  # column names of each half
COLUMNS = ("file", "npy", "seconds", "sha256", "version", *DESCRIPTORS, *HALVES[0], *HALVES[1])

NOTES = ".measured"  # folder of the notes
SAVE_EVERY_S = 30.0  # each save writes the whole table, which takes seconds for a million songs

Row = dict[str, str]


@dataclass(frozen=True)
class FileResult:
    """Result for one sound file.

    If there is neither a row nor a fault, the features of an earlier run are still valid.
    """

    file: str  # name of the sound file, relative to the folder of sound files
    row: Row | None = None  # new row of `descriptors.csv`
    fault: str = ""  # why the file could not be read
    warnings: tuple[str, ...] = ()


def version_of(settings: FeatureSettings) -> str:
    """Return a text with the versions of features and descriptors and the MFCC settings.

    An example is "2.2 7000 Hz 40 dB relative".
    """
    return f"{FEATURES_VERSION}.{DESCRIPTORS_VERSION} {settings}".replace(",", "")  # commas may separate columns


def make_row(file: str, npy: str, song: Song, halves: tuple[dict[str, float], dict[str, float]]) -> Row:
    """Return the row of `descriptors.csv` for a song.

    Parameters
    ----------
    file, npy : str
        Name of the sound file, relative to the folder of sound files, and name of its feature file, relative to the
        folder of the table.
    song : Song
        The song in the sound file.
    halves : (dict, dict)
        Descriptors of the first and of the second half of the song.
    """
    row = {"file": file, "npy": npy, "seconds": f"{song.duration_s:.3f}", "sha256": song.sha256}
    row["version"] = version_of(song.settings)
    # `repr` keeps all digits, so that a feature file with its row gives the same picture as the song.
    row |= {name: repr(float(value)) for name, value in song.descriptors.items()}
    for columns, half in zip(HALVES, halves, strict=True):
        row |= {column: f"{value:.7g}" for column, value in zip(columns, half.values(), strict=True)}
    return row


def note_path(out_dir: Path, file: str) -> Path:
    """Return the path of the note (a row in a JSON file) of the sound file with the relative name ``file``."""
    return out_dir / NOTES / f"{hashlib.sha256(file.encode()).hexdigest()[:32]}.json"


def read_note(path: Path, out_dir: Path, version: str) -> FileResult | None:
    """Return the `FileResult` in the note at ``path``, or None if the note is not valid.

    A note is valid if it is complete, if its row has the version ``version``, and if the feature file that the row
    names exists in ``out_dir``.
    """
    try:
        note = json.loads(path.read_bytes())
        row, warnings = note["row"], tuple(map(str, note["warnings"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # it may be empty after a loss of power
        return None
    if not isinstance(row, dict) or set(row) != set(COLUMNS) or not all(isinstance(v, str) for v in row.values()):
        return None
    if row["version"] != version or not _is_valid(row, out_dir) or not (out_dir / row["npy"]).is_file():
        return None
    return FileResult(row["file"], row, warnings=warnings)


def _has_descriptors(row: Row) -> bool:
    try:
        return all(math.isfinite(float(row[name])) for name in (*DESCRIPTORS, *HALVES[0], *HALVES[1]))
    except (KeyError, ValueError):
        return False


class FeatureTable:
    """The rows of `descriptors.csv` and of the valid notes."""

    def __init__(self, folder: Path, warn: Callable[[str], None], settings: FeatureSettings) -> None:
        self._folder, self._version = folder, version_of(settings)
        self._rows = _read_table(folder / TABLE, warn)
        others = sum(row["version"] != self._version for row in self._rows.values())
        if others:
            warn(
                f"{folder / TABLE}: {counted(others, 'song')} of another version or other settings; those in this run "
                "are measured again, and their feature files are replaced"
            )
        self._file_of = {row["npy"]: file for file, row in self._rows.items()}
        self._saved_at = time.monotonic()
        self._unsaved: list[str] = []
        for path in sorted((folder / NOTES).glob("*.json"), key=lambda path: path.stat().st_mtime_ns):
            note = read_note(path, folder, self._version)
            if note is not None and note.row is not None:
                self.put(note.row)

    def seconds(self, file: str) -> float:
        """Return the duration of a song in seconds."""
        return float(self._rows[file]["seconds"])

    def known_sha256(self, file: str, npy: str) -> str | None:
        """Return the hash in the row of a sound file; None if the row or the feature file must be made again.

        It must be if one is missing, if the row is outdated, or if a descriptor in it is no number.
        """
        row = self._rows.get(file)
        if row is None or (row["version"], row["npy"]) != (self._version, npy) or not _has_descriptors(row):
            return None
        if not os.path.isfile(self._folder / npy):  # Path.is_file raises if a name is too long
            return None
        return row["sha256"]

    def lists(self, npy: str) -> bool:
        """Return whether a row, also an outdated one, has the feature file with this name."""
        return npy in self._file_of

    def put(self, row: Row) -> None:
        """Add or replace a row, and save the table if the last save is more than `SAVE_EVERY_S` seconds ago."""
        before = self._rows.get(row["file"])
        if before is not None and before["npy"] != row["npy"]:
            self.forget(row["file"])  # another file with the same stem was added, see `name_features`
        owner = self._file_of.get(row["npy"], row["file"])
        if owner != row["file"]:
            del self._rows[owner]  # the song was saved in another format; its feature file is overwritten
        self._rows[row["file"]] = row
        self._file_of[row["npy"]] = row["file"]
        self._unsaved.append(row["file"])
        if time.monotonic() - self._saved_at > SAVE_EVERY_S:
            self.save()

    def forget(self, file: str) -> None:
        """Remove the row and the feature file of a sound file, if they exist."""
        row = self._rows.pop(file, None)
        if row is not None:
            del self._file_of[row["npy"]]
            (self._folder / row["npy"]).unlink(missing_ok=True)

    def save(self) -> None:
        """Write the table, and remove the notes whose rows are in it."""
        rows = (self._rows[file] for file in sorted(self._rows))
        text = table_text(COLUMNS, ([row[column] for column in COLUMNS] for row in rows))
        try:
            write_whole(self._folder / TABLE, text.encode())
            for file in self._unsaved:
                note_path(self._folder, file).unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self._folder, error) from error
        self._unsaved.clear()
        self._saved_at = time.monotonic()

    def clear_notes(self) -> None:
        """Remove the folder of notes at the end of a run, with the remaining notes, which are not valid."""
        for path in (self._folder / NOTES).glob("*"):
            if not path.is_dir():
                path.unlink(missing_ok=True)
        with suppress(OSError):  # it does not exist, or has a folder in it
            (self._folder / NOTES).rmdir()


def _read_table(path: Path, warn: Callable[[str], None]) -> dict[str, Row]:
    """Return the valid rows of a table, keyed by sound file.

    The result is empty if the table is missing, is not valid CSV, or is of another version, with other columns than
    `COLUMNS`. The features of songs without a row are computed again. An `AudioError` is raised if the file cannot be
    read, or is not a table of features, so that no other file is replaced.
    """
    if not os.path.lexists(path):
        return {}
    if not (path.is_file() and os.access(path, os.R_OK)):
        raise AudioError(f"{path}: is not a file that can be read; remove it, or give another folder")
    if is_read_only(path):
        raise AudioError(f"{path}: is read-only; allow writing, or give another folder")
    with path.open("rb") as file:
        first = file.readline(10_000).replace(b"\0", b"")  # also in UTF-16
        if first and b"npy" not in first:  # a column of the tables of all versions
            raise AudioError(f"{path}: exists already and is no table of features; remove it, or give another folder")
    try:
        columns, rows = read_table(path, AudioError, skip=lambda line: warn(f"{line}; its features are computed again"))
    except AudioError as error:
        warn(f"{error}; the features of its songs are computed again")
        return {}
    if set(columns) != set(COLUMNS):
        if path.stat().st_size:
            warn(f"{path}: has other columns; the features of its songs are computed again")
        return {}
    return {row["file"]: row for row in rows if _is_valid(row, path.parent)}


def _is_valid(row: Row, folder: Path) -> bool:
    """Return whether a row has a finite duration and names a feature file inside the folder.

    `FeatureTable.forget` deletes the file that a row names, so the name must not lead out of the folder.
    """
    if not is_inside(folder, row["npy"]):
        return False
    try:
        return math.isfinite(float(row["seconds"]))
    except ValueError:
        return False


def is_inside(folder: Path, npy: str) -> bool:
    """Return whether ``npy`` is the relative name of a .npy file that is inside a folder after links are resolved."""
    name = PurePosixPath(npy)
    if not npy.endswith(".npy") or "\0" in npy or name.is_absolute() or ".." in name.parts or Path(npy).drive:
        return False
    return Path(os.path.realpath((folder / name).parent)).is_relative_to(os.path.realpath(folder))


def cannot_write(folder: Path, error: OSError) -> AudioError:
    """Return an `AudioError` that says that a folder cannot be written to, and why."""
    check_shortage(error)
    return AudioError(f"{folder}: cannot be written to ({error.strerror}); give another folder or make room")
