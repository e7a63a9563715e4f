"""A folder of sound becomes a folder of numbers: audio tree -> listen, on all cores -> .npy tree and `descriptors.csv`.

`album/nocturne.flac` becomes `album/nocturne.npy`, (windows, 20, 216) float32, and a line of `descriptors.csv`:

==========================  ==============================================================================
column                      what it holds
==========================  ==============================================================================
``file``, ``npy``           the sound, relative to the folder of sound; its windows, relative to the output
``seconds``                 length of what was listened to
``sha256``                  hash of the sound file's bytes
``version``                 of the methods; lines of another version are measured again
one for each descriptor     see `clavilux.audio.descriptors.DESCRIPTORS`
the same, ``_1``, ``_2``    of the first and of the second half of the song: what of a song is steady shows there
==========================  ==============================================================================

Who measures a song, here or on a cluster, leaves a note beside its windows: its line, in the hidden folder `.measured`.
The caller puts the notes into the table and removes them; what a killed worker or a killed caller had measured is found
by them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np

from clavilux.audio.decode import AUDIO_SUFFIXES
from clavilux.audio.descriptors import DESCRIPTORS, DESCRIPTORS_VERSION
from clavilux.audio.features import FEATURES_VERSION
from clavilux.audio.song import hash_file, read_song_halves
from clavilux.errors import AudioError
from clavilux.system.files import (
    FolderListing,
    check_shortage,
    is_text,
    list_folder,
    refuse_inputs,
    remove_leftovers,
    write_whole,
)
from clavilux.system.jobs import SHARD_SONGS, check_scheduler, run_songs
from clavilux.system.tables import read_table, table_text

TABLE = "descriptors.csv"
CORPUS_TABLE = "corpus.csv"
HALVES = tuple(tuple(f"{name}_{half}" for name in DESCRIPTORS) for half in (1, 2))  # columns of each half
COLUMNS = ("file", "npy", "seconds", "sha256", "version", *DESCRIPTORS, *HALVES[0], *HALVES[1])
VERSION = f"{FEATURES_VERSION}.{DESCRIPTORS_VERSION}"

NOTES = ".measured"  # folder of the lines that are not in the table yet
# Errors of writing that are about one name: too long, not possible on this disk, or taken by a folder (the
# parent, by a file). All others are about the folder, and end the run.
NAME_ERRORS = (errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EINVAL, errno.EILSEQ)
SAVE_EVERY_S = 30.0  # the table is written as a whole, which takes seconds for a million songs

Row = dict[str, str]


class Progress(Protocol):
    """What `write_features` reports to."""

    def begin(self, n_files: int) -> None:
        """Say how many files there are."""

    def advance(self) -> None:
        """Say that one more file is done."""

    def warn(self, message: str) -> None:
        """Say what went wrong with a file."""


class Quiet:
    """Report nothing."""

    def begin(self, n_files: int) -> None: ...

    def advance(self) -> None: ...

    def warn(self, message: str) -> None: ...


@dataclass(frozen=True)
class FeatureSummary:
    """What `write_features` did.

    Attributes
    ----------
    measured, kept : int
        Files listened to now, and files that an earlier run had measured already.
    faults : tuple of str
        One sentence for each file that could not be listened to, and for folders that could not be read.
    seconds : float
        Length of the sound of all measured and kept files.
    """

    measured: int
    kept: int
    faults: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class _Job:
    """One file to measure, and the hash of its bytes if a line of the table has it."""

    path: Path
    file: str
    out_dir: Path
    npy: str
    known_sha256: str | None

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class _Outcome:
    """What became of one file: a fault, a row, or neither if what an earlier run measured is kept."""

    file: str
    row: Row | None = None
    fault: str = ""
    warnings: tuple[str, ...] = ()


def write_features(
    audio_dir: Path,
    out_dir: Path,
    *,
    jobs: int = -1,
    scheduler: str | None = None,
    shard_songs: int = SHARD_SONGS,
    progress: Progress | None = None,
) -> FeatureSummary:
    """Measure all sound in a folder tree.

    An interrupted run goes on where it stopped: a file whose bytes have been measured by this version is not listened
    to again. Lines of files that are not in `audio_dir` stay as they are, so that several folders can fill one. A
    file that cannot be listened to is reported and left out.

    Parameters
    ----------
    audio_dir : Path
        Folder tree with sound files. If it is a built corpus or the folder `files` in one, the table of the corpus goes
        with the features.
    out_dir : Path
        Folder that is filled; made if missing. Windows are those that are audible, or all if none is.
    jobs : int
        Processes on this machine: -1 for one a core.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers see both folders; see `clavilux.system.jobs`.
    shard_songs : int
        Files that are sent to a worker at a time.
    progress : Progress, optional
        Told of every file.

    Returns
    -------
    FeatureSummary
        See there.

    Raises
    ------
    AudioError
        `audio_dir` is no folder or holds no sound, or `out_dir` cannot be written to.
    ClusterError
        See `clavilux.system.jobs.run_songs`.
    """
    progress = progress or Quiet()
    if scheduler is not None:
        check_scheduler(scheduler)  # before a large tree is looked through
        audio_dir, out_dir = audio_dir.absolute(), out_dir.absolute()
    listing = _list_sound(audio_dir)
    files, faults = _names(listing, audio_dir), listing.faults()
    for line in (*listing.hints(), *faults):
        progress.warn(line)
    if not files:
        raise AudioError(
            f"{audio_dir}: holds no sound; give a folder with files such as .mp3, .flac, .ogg, .m4a or .wav"
        )
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        if (out_dir / NOTES).is_symlink():  # notes are removed when they are done with
            raise AudioError(f"{out_dir / NOTES}: is a link; remove it, or give another folder")
        _copy_corpus_table(audio_dir, out_dir)
    except OSError as error:
        raise _cannot_write(out_dir, error) from error
    npy_names = name_features(files)
    refuse_inputs((out_dir / name for name in (TABLE, *npy_names.values())), (audio_dir / file for file in files))
    for folder in {(out_dir / name).parent for name in npy_names.values()} | {out_dir, out_dir / NOTES}:
        remove_leftovers(folder)
    table = _Table(out_dir, progress.warn)
    progress.begin(len(files))
    jobs_to_do = (
        _Job(audio_dir / file, file, out_dir, npy, table.known_sha256(file, npy)) for file, npy in npy_names.items()
    )
    outcomes = run_songs(
        _measure,
        jobs_to_do,
        jobs=jobs,
        scheduler=scheduler,
        shard_songs=shard_songs,
        folders=(audio_dir, out_dir),
        ordered=False,
        failed=_failed,
    )
    measured, kept, seconds = 0, 0, 0.0
    try:
        for outcome in outcomes:
            for warning in outcome.warnings:
                progress.warn(f"{audio_dir / outcome.file}: {warning}")
            if outcome.fault:
                table.forget(outcome.file)
                faults.append(outcome.fault)
                progress.warn(outcome.fault)
            elif outcome.row is None:
                kept += 1
                seconds += table.seconds(outcome.file)
            else:
                table.put(outcome.row)
                measured += 1
                seconds += table.seconds(outcome.file)
            progress.advance()
    finally:
        try:
            table.save()
        finally:
            with suppress(OSError):  # not there, or notes in it that the table has not taken
                (out_dir / NOTES).rmdir()
    table.clear_notes()
    return FeatureSummary(measured, kept, tuple(sorted(faults)), seconds)


def find_sound(folder: Path) -> list[str]:
    """Return the names, relative to a folder, of all files in it that end like sound; sorted.

    Raises
    ------
    AudioError
        It is no folder.
    """
    return _names(_list_sound(folder), folder)


def _list_sound(folder: Path) -> FolderListing:
    if not os.path.isdir(folder):  # Path.is_dir raises where a name is too long
        raise AudioError(f"{folder}: is no folder; give a folder of sound")
    return list_folder(folder, AUDIO_SUFFIXES)


def _names(listing: FolderListing, folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in listing.files)


def name_features(files: Iterable[str]) -> dict[str, str]:
    """Name of the feature file of each sound file: the suffix becomes .npy.

    Where that would give two files one name, on disks that do not tell cases apart too, the suffix of the sound stays:
    `song.mp3` and `song.flac` become `song.mp3.npy` and `song.flac.npy`.
    """
    short = {file: file.rsplit(".", 1)[0] + ".npy" for file in files}
    uses = Counter(name.casefold() for name in short.values())
    return {file: name if uses[name.casefold()] == 1 else f"{file}.npy" for file, name in short.items()}


def _failed(job: _Job, reason: str) -> _Outcome:
    """What became of a file that could not be finished."""
    return _Outcome(job.file, fault=f"{job.path}: {reason}")


def _measure(job: _Job) -> _Outcome:
    """Listen to one file and write its windows. Runs in other processes: what is wrong with a file is handed back."""
    path, file, windows_path = job.path, job.file, job.out_dir / job.npy
    if not is_text(file):
        return _Outcome(file, fault=f"{str(path)!a}: its name is no UTF-8, which a table needs; give it another name")
    if not _is_own(job.out_dir, job.npy):
        return _Outcome(file, fault=f"{path}: {job.npy} lies outside {job.out_dir}, through a link; remove the link")
    try:
        os.lstat(windows_path)
    except OSError as error:
        if error.errno in NAME_ERRORS:
            return _Outcome(file, fault=_cannot_name(path, job.npy, error))
    note_path = _note_path(job.out_dir, file)
    try:
        note = _read_note(note_path, job.out_dir)
        if job.known_sha256 is not None or note is not None:
            sha256 = hash_file(path)
            if sha256 == job.known_sha256:
                return _Outcome(file)
            if note is not None and note.row is not None and (sha256, job.npy) == (note.row["sha256"], note.row["npy"]):
                return note  # of a worker that died before its shard was done
        song, halves = read_song_halves(path)
    except AudioError as error:
        return _Outcome(file, fault=str(error))
    row = {"file": file, "npy": job.npy, "seconds": f"{song.duration_s:.3f}", "sha256": song.sha256, "version": VERSION}
    row |= {name: f"{value:.7g}" for name, value in song.descriptors.items()}
    for columns, half in zip(HALVES, halves, strict=True):
        row |= {column: f"{value:.7g}" for column, value in zip(columns, half.values(), strict=True)}
    outcome = _Outcome(file, row, warnings=song.warnings)
    content = BytesIO()
    np.save(content, song.windows if song.is_silent else song.windows[song.audible], allow_pickle=False)
    try:
        # A note holds from the moment when its windows are there, so older windows have to go before it comes.
        windows_path.unlink(missing_ok=True)
        write_whole(note_path, json.dumps(asdict(outcome)).encode())
        write_whole(windows_path, content.getvalue())
    except OSError as error:
        note_path.unlink(missing_ok=True)
        if error.errno in NAME_ERRORS:
            return _Outcome(file, fault=_cannot_name(path, job.npy, error))
        raise _cannot_write(job.out_dir, error) from error
    return outcome


def _cannot_name(path: Path, npy: str, error: OSError) -> str:
    return f"{path}: its feature file cannot be called {npy} there ({error.strerror}); give the song another name"


def _note_path(out_dir: Path, file: str) -> Path:
    return out_dir / NOTES / f"{hashlib.sha256(file.encode()).hexdigest()[:32]}.json"


def _read_note(path: Path, out_dir: Path) -> _Outcome | None:
    """What became of a file; None if there is no note, or it is of another version, or its windows were not written."""
    try:
        note = json.loads(path.read_bytes())
        row, warnings = note["row"], tuple(map(str, note["warnings"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # a machine that lost its power leaves it empty
        return None
    if not isinstance(row, dict) or set(row) != set(COLUMNS) or not all(isinstance(v, str) for v in row.values()):
        return None
    if row["version"] != VERSION or not _is_whole(row, out_dir) or not (out_dir / row["npy"]).is_file():
        return None
    return _Outcome(row["file"], row, warnings=warnings)


class _Table:
    """`descriptors.csv` and the notes that are to go into it; saved now and then."""

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._rows = _read_table(folder / TABLE, warn)
        self._file_of = {row["npy"]: file for file, row in self._rows.items()}
        self._saved_at = time.monotonic()
        self._noted: list[str] = []
        for path in sorted((folder / NOTES).glob("*.json"), key=lambda path: path.stat().st_mtime_ns):
            note = _read_note(path, folder)
            if note is not None and note.row is not None:
                self.put(note.row)

    def seconds(self, file: str) -> float:
        return float(self._rows[file]["seconds"])

    def known_sha256(self, file: str, npy: str) -> str | None:
        """Hash of the bytes that were measured, if all that they gave is there and of this version."""
        row = self._rows.get(file)
        if row is None or row["version"] != VERSION or row["npy"] != npy or not os.path.isfile(self._folder / npy):
            return None  # Path.is_file raises where a name is too long
        return row["sha256"]

    def put(self, row: Row) -> None:
        before = self._rows.get(row["file"])
        if before is not None and before["npy"] != row["npy"]:
            self.forget(row["file"])  # a song of the same stem has come, see `name_features`
        owner = self._file_of.get(row["npy"], row["file"])
        if owner != row["file"]:
            del self._rows[owner]  # the song was saved in another format, its windows are overwritten
        self._rows[row["file"]] = row
        self._file_of[row["npy"]] = row["file"]
        self._noted.append(row["file"])
        if time.monotonic() - self._saved_at > SAVE_EVERY_S:
            self.save()

    def forget(self, file: str) -> None:
        """Remove the line and the windows of a file, if there are any."""
        row = self._rows.pop(file, None)
        if row is not None:
            del self._file_of[row["npy"]]
            (self._folder / row["npy"]).unlink(missing_ok=True)

    def save(self) -> None:
        rows = (self._rows[file] for file in sorted(self._rows))
        text = table_text(COLUMNS, ([row[column] for column in COLUMNS] for row in rows))
        try:
            write_whole(self._folder / TABLE, text.encode())
            for file in self._noted:
                _note_path(self._folder, file).unlink(missing_ok=True)
        except OSError as error:
            raise _cannot_write(self._folder, error) from error
        self._noted.clear()
        self._saved_at = time.monotonic()

    def clear_notes(self) -> None:
        """Remove the folder of notes, when nobody writes any more; those left in it are of other versions."""
        for path in (self._folder / NOTES).glob("*"):
            if not path.is_dir():
                path.unlink(missing_ok=True)
        with suppress(OSError):  # nothing was measured, or somebody's folder is in it
            (self._folder / NOTES).rmdir()


def _read_table(path: Path, warn: Callable[[str], None]) -> dict[str, Row]:
    """Rows by file, without damaged ones; none if there is no table, or one of other columns or in another encoding.

    Songs without a row are measured again.
    """
    if not os.path.lexists(path):
        return {}
    if not (path.is_file() and os.access(path, os.R_OK)):
        raise AudioError(f"{path}: is not a file that can be read; remove it, or give another folder")
    try:
        columns, rows = read_table(path, AudioError, skip=lambda line: warn(f"{line}; its song is measured again"))
    except AudioError as error:
        warn(f"{error}; its songs are measured again")
        return {}
    return {row["file"]: row for row in rows if _is_whole(row, path.parent)} if set(columns) == set(COLUMNS) else {}


def _is_whole(row: Row, folder: Path) -> bool:
    """Return whether a row of the table in a folder can be used.

    It has a length; and its windows lie in the folder of the table, because they may be overwritten or removed.
    """
    if not _is_own(folder, row["npy"]):
        return False
    try:
        return math.isfinite(float(row["seconds"]))
    except ValueError:
        return False


def _is_own(folder: Path, npy: str) -> bool:
    """Whether a name is that of a feature file in a folder: not one outside, through a link of a folder either."""
    name = PurePosixPath(npy)
    if not npy.endswith(".npy") or "\0" in npy or name.is_absolute() or ".." in name.parts or Path(npy).drive:
        return False
    return Path(os.path.realpath((folder / name).parent)).is_relative_to(os.path.realpath(folder))


def _copy_corpus_table(audio_dir: Path, out_dir: Path) -> None:
    """Take along the table of a built corpus, which says how training splits it."""
    folders = [audio_dir, audio_dir.resolve().parent] if audio_dir.resolve().name == "files" else [audio_dir]
    for folder in folders:
        source = folder / CORPUS_TABLE
        if source.is_file() and source.resolve() != (out_dir / CORPUS_TABLE).resolve():
            write_whole(out_dir / CORPUS_TABLE, source.read_bytes())
            return


def _cannot_write(folder: Path, error: OSError) -> AudioError:
    check_shortage(error)
    return AudioError(f"{folder}: cannot be written to ({error.strerror}); give another folder or make room")
