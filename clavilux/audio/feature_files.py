"""Compute the features of all songs in a folder: sound files -> feature files (.npy) and `descriptors.csv`.

For `album/nocturne.flac`, the output is a feature file `album/nocturne.npy` with an array (windows, 20, 216) float32,
and a row of `descriptors.csv` (`clavilux.audio.feature_table` describes its columns). The end of the feature file
states the settings of the MFCC (`clavilux.audio.mfcc`).
"""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Protocol

import numpy as np

from clavilux.audio.decode import AUDIO_SUFFIXES
from clavilux.audio.feature_table import (
    NOTES,
    TABLE,
    FeatureTable,
    FileResult,
    cannot_write,
    is_inside,
    make_row,
    note_path,
    read_note,
    version_of,
)
from clavilux.audio.mfcc import LIBROSA, FeatureSettings
from clavilux.audio.song import Song, hash_file, read_song_halves
from clavilux.errors import AudioError
from clavilux.system.files import (
    DOWNLOAD_IT,
    is_read_only,
    is_text,
    list_folder,
    refuse_inputs,
    remove_leftovers,
    web_address,
    write_whole,
)
from clavilux.system.jobs import SHARD_SONGS, check_scheduler, run_songs

CORPUS_TABLE = "corpus.csv"
# Errors of writing that concern only one file: its name is too long, invalid on this disk, or the name of an existing
# folder, or the name of its folder is the name of an existing file. All other errors concern the whole output folder
# and end the run.
NAME_ERRORS = (errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EINVAL, errno.EILSEQ)


class Progress(Protocol):
    """Methods that `write_features` calls to report its progress, counted in files."""

    def begin(self, n_files: int) -> None:
        """Receive the number of files; called once, before the first file."""

    def advance(self) -> None:
        """Count one more file as done; called after each file."""

    def warn(self, message: str) -> None:
        """Receive a message about a problem with a file."""


class _NoProgress:
    def begin(self, n_files: int) -> None: ...

    def advance(self) -> None: ...

    def warn(self, message: str) -> None: ...


@dataclass(frozen=True)
class FeatureSummary:
    """Result of `write_features`: numbers of processed files, messages about unreadable files, and total duration."""

    measured: int  # number of files whose features were computed
    kept: int  # number of files whose features an earlier run had computed
    faults: tuple[str, ...]  # a message for each file or folder that could not be read
    seconds: float  # total duration of the songs whose features were computed by this or an earlier run


@dataclass(frozen=True)
class _Job:
    """A sound file whose features are to be computed, unless an earlier run has computed them."""

    path: Path
    file: str  # name of the sound file, relative to the folder of sound files
    out_dir: Path
    npy: str  # name of the feature file, relative to `out_dir`
    known_sha256: str | None  # hash of the sound file in a valid row of the table; None if there is no such row
    is_listed: bool  # whether the table has the feature file, also in an outdated row
    settings: FeatureSettings

    def __str__(self) -> str:
        return str(self.path)


def write_features(
    audio_dir: Path,
    out_dir: Path,
    *,
    settings: FeatureSettings = LIBROSA,
    jobs: int = -1,
    scheduler: str | None = None,
    shard_songs: int = SHARD_SONGS,
    progress: Progress | None = None,
) -> FeatureSummary:
    """Compute the features of all sound files in a folder tree, and write feature files and `descriptors.csv`.

    A feature file has the audible windows of a song, or all windows if none is audible.

    An interrupted run can be continued: a sound file is skipped if the output folder already has its features, computed
    by the same version with the same settings, and the file has not changed. Rows of files that are not in `audio_dir`
    are kept, so features of several folders can be written to one output folder. A file that cannot be read is reported
    and skipped.

    Parameters
    ----------
    audio_dir : Path
        Folder tree with sound files. If it is a built corpus, or the folder `files` of a built corpus, the table
        `corpus.csv` of this corpus is copied to `out_dir`.
    out_dir : Path
        Output folder; created if missing.
    settings : FeatureSettings
        Settings of the MFCC; use those of the bundle that will paint the songs, or those of the training.
    jobs : int
        Number of processes on this machine; -1 for one per core.
    scheduler : str, optional
        Address of a Dask scheduler whose workers can access both folders; see `clavilux.system.jobs`.
    shard_songs : int
        Number of files that are sent to a worker of the cluster at a time.
    progress : Progress, optional
        Receiver of progress reports.

    Returns
    -------
    FeatureSummary

    Raises
    ------
    AudioError
        If `audio_dir` is not a folder or has no sound files, or `out_dir` cannot be written to.
    OutputError
        If the table or a feature file would replace a sound file.
    ClusterError
        As in `clavilux.system.jobs.run_songs`.
    """
    progress = progress or _NoProgress()
    if scheduler is not None:
        check_scheduler(scheduler)  # before listing a large tree
        audio_dir, out_dir = audio_dir.absolute(), out_dir.absolute()
    if not os.path.isdir(audio_dir):  # Path.is_dir raises if a name is too long
        address = web_address(audio_dir)
        why = DOWNLOAD_IT if address else "is not a folder; give a folder of sound files"
        raise AudioError(f"{address or audio_dir}: {why}")
    listing = list_folder(audio_dir, AUDIO_SUFFIXES)
    files, faults = sorted(path.relative_to(audio_dir).as_posix() for path in listing.files), listing.faults()
    for line in (*listing.hints(), *faults):
        progress.warn(line)
    if not files:
        raise AudioError(
            f"{audio_dir}: holds no sound; give a folder with files such as .mp3, .flac, .ogg, .m4a or .wav"
        )
    npy_names = name_features(files)
    _prepare_folder(audio_dir, out_dir, npy_names)
    table = FeatureTable(out_dir, progress.warn, settings)
    progress.begin(len(files))
    results = run_songs(
        _measure,
        (
            _Job(audio_dir / file, file, out_dir, npy, table.known_sha256(file, npy), table.lists(npy), settings)
            for file, npy in npy_names.items()
        ),
        jobs=jobs,
        scheduler=scheduler,
        shard_songs=shard_songs,
        folders=(audio_dir, out_dir),
        ordered=False,
        failed=lambda job, reason: FileResult(job.file, fault=f"{job.path}: {reason}"),
    )
    measured, kept, seconds = 0, 0, 0.0
    try:
        for result in results:
            for warning in result.warnings:
                progress.warn(f"{audio_dir / result.file}: {warning}")
            if result.fault:
                table.forget(result.file)
                faults.append(result.fault)
                progress.warn(result.fault)
            else:
                if result.row is None:
                    kept += 1
                else:
                    table.put(result.row)
                    measured += 1
                seconds += table.seconds(result.file)
            progress.advance()
    finally:
        try:
            table.save()
        finally:
            with suppress(OSError):  # it does not exist, or has notes that are not in the table
                (out_dir / NOTES).rmdir()
    table.clear_notes()
    return FeatureSummary(measured, kept, tuple(sorted(faults)), seconds)


def _prepare_folder(audio_dir: Path, out_dir: Path, npy_names: dict[str, str]) -> None:
    """Create the output folder, check that no sound file would be overwritten, and remove old temporary files.

    ``npy_names`` is the result of `name_features`.
    """
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        if (out_dir / NOTES).is_symlink():  # its content would be deleted
            raise AudioError(f"{out_dir / NOTES}: is a link; remove it, or give another folder")
        _copy_corpus_table(audio_dir, out_dir)
    except OSError as error:
        raise cannot_write(out_dir, error) from error
    refuse_inputs((out_dir / name for name in (TABLE, *npy_names.values())), (audio_dir / file for file in npy_names))
    for folder in {(out_dir / name).parent for name in npy_names.values()} | {out_dir, out_dir / NOTES}:
        remove_leftovers(folder)


def name_features(files: Iterable[str]) -> dict[str, str]:
    """Return the names of feature files: name of the sound file -> name of its feature file.

    The extension is replaced by ``.npy``. If the new names of two files would be equal except for case, ``.npy`` is
    appended to both instead: ``song.mp3`` and ``song.flac`` become ``song.mp3.npy`` and ``song.flac.npy``.
    """
    short = {file: file.rsplit(".", 1)[0] + ".npy" for file in files}
    uses = Counter(name.casefold() for name in short.values())
    return {file: name if uses[name.casefold()] == 1 else f"{file}.npy" for file, name in short.items()}


def _measure(job: _Job) -> FileResult:
    """Compute the features of a sound file in a worker process, and write its feature file and its note.

    A note is a file with the row of the song (`clavilux.audio.feature_table`). A problem with the sound file is not
    raised as an exception, but returned in `FileResult.fault`.
    """
    path, file, features_path = job.path, job.file, job.out_dir / job.npy
    if not is_text(file):
        return FileResult(file, fault=f"{str(path)!a}: its name is not valid UTF-8; give it another name")
    if not is_inside(job.out_dir, job.npy):
        return FileResult(file, fault=f"{path}: {job.npy} is outside {job.out_dir}, through a link; remove the link")
    try:
        os.lstat(features_path)
        if job.known_sha256 is None and is_read_only(features_path):
            return FileResult(
                file, fault=f"{path}: {features_path} is read-only; allow writing, or give another folder"
            )
    except OSError as error:
        if error.errno in NAME_ERRORS:
            return FileResult(file, fault=_cannot_name(path, job.npy, error))
    try:
        note = read_note(note_path(job.out_dir, file), job.out_dir, version_of(job.settings))
        if job.known_sha256 is not None or note is not None:
            sha256 = hash_file(path)
            if sha256 == job.known_sha256:
                return FileResult(file)
            if note is not None and note.row is not None and (sha256, job.npy) == (note.row["sha256"], note.row["npy"]):
                return note  # from a worker that died before its shard was done
        song, halves = read_song_halves(path, job.settings)
    except AudioError as error:
        return FileResult(file, fault=str(error))
    result = FileResult(file, make_row(job.file, job.npy, song, halves), warnings=song.warnings)
    content = _feature_file(song)
    is_listed = job.is_listed or note_path(job.out_dir, file).exists()
    try:
        if not is_listed and features_path.is_file() and not _has_content(features_path, content):
            fault = f"{features_path} exists already and is not in {TABLE}; remove it, or give another folder"
            return FileResult(file, fault=f"{path}: {fault}")
        _write_result(job, content, result)
    except OSError as error:
        note_path(job.out_dir, file).unlink(missing_ok=True)
        if error.errno in NAME_ERRORS:
            return FileResult(file, fault=_cannot_name(path, job.npy, error))
        raise cannot_write(job.out_dir, error) from error
    return result


def _feature_file(song: Song) -> bytes:
    """Return the content of the feature file of a song."""
    content = BytesIO()
    np.save(content, song.audible_windows, allow_pickle=False)
    return content.getvalue() + song.settings.mark()


def _has_content(path: Path, content: bytes) -> bool:
    return path.stat().st_size == len(content) and path.read_bytes() == content


def _write_result(job: _Job, content: bytes, result: FileResult) -> None:
    """Write the feature file of a song, and its note (`clavilux.audio.feature_table` explains notes)."""
    # A note is valid as soon as the feature file exists, so an old feature file is removed before the note is written.
    (job.out_dir / job.npy).unlink(missing_ok=True)
    write_whole(note_path(job.out_dir, job.file), json.dumps(asdict(result)).encode())
    write_whole(job.out_dir / job.npy, content)


def _cannot_name(path: Path, npy: str, error: OSError) -> str:
    return f"{path}: its feature file cannot have the name {npy} ({error.strerror}); give the song another name"


def _copy_corpus_table(audio_dir: Path, out_dir: Path) -> None:
    """Copy the table of a built corpus, if there is one; training uses it to choose the held-out songs."""
    folders = [audio_dir, audio_dir.resolve().parent] if audio_dir.resolve().name == "files" else [audio_dir]
    for folder in folders:
        source = folder / CORPUS_TABLE
        if source.is_file() and source.resolve() != (out_dir / CORPUS_TABLE).resolve():
            write_whole(out_dir / CORPUS_TABLE, source.read_bytes())
            return
