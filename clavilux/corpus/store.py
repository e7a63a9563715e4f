"""Fetch the files of a corpus from their sources, measure them, and store the usable ones."""

import hashlib
import os
import tempfile
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Protocol

from clavilux.corpus.fetch import Places, blob_id, read_items
from clavilux.corpus.pictures import Unusable, measure_picture
from clavilux.corpus.recordings import measure_recording
from clavilux.corpus.state import Record, SourceState
from clavilux.corpus.table import Item, Source
from clavilux.errors import CorpusError
from clavilux.system.files import path_inside
from clavilux.system.jobs import run_songs

SAVE_EVERY = 25  # the records of a source are saved after so many files: less than a minute of decoding music


class Progress(Protocol):
    """Shows the progress of a build."""

    def begin(self, n_files: int) -> None:
        """Show that the build begins to read ``n_files`` files."""

    def open_source(self, name: str, n_files: int, size_mb: float) -> None:
        """Show the next source, the number of files that are read from it, and the size of its download."""

    def advance(self, n_files: int) -> None:
        """Show that ``n_files`` more files are done."""

    def warn(self, message: str) -> None:
        """Show a message about a source or files that are skipped."""


class FileStore:
    """Fetches, measures and stores the files of a corpus, and keeps a record of each."""

    def __init__(
        self, directory: Path, sources: dict[str, Source], places: Places, progress: Progress, workers: int
    ) -> None:
        self.skipped: dict[str, str] = {}  # source that could not be fetched -> reason
        self.absent: dict[Item, str] = {}  # file that could not be read from its source -> reason
        self._directory = directory
        self._sources = sources
        self._places = places
        self._progress = progress
        self._workers = workers
        self._states = {name: SourceState(directory, source) for name, source in sources.items()}

    def record(self, item: Item) -> Record | None:
        """Return the record of a file, or None if the file has not been read yet."""
        return self._states[item.source].records.get(item.path)

    def holds(self, item: Item) -> bool:
        """Return whether a file is on disk with the size in its record."""
        path, record = self._place(item), self.record(item)
        if path is None or record is None or path.is_symlink():
            return False
        return path.is_file() and path.stat().st_size == record.n_bytes

    def _place(self, item: Item) -> Path | None:
        """Return the path of a file in the corpus; None if its name, or a link in its path, leads out of the corpus."""
        name = PurePosixPath(item.file)
        if "\0" in item.file or name.name == ".." or path_inside(self._directory, str(name.parent)) is None:
            return None
        return self._directory / name

    def fetch(self, items: Sequence[Item]) -> None:
        """Fetch, measure and store files, source by source; sources that cannot be read are skipped with a warning."""
        batches: dict[str, list[Item]] = {}
        for item in items:
            batches.setdefault(item.source, []).append(item)
        if batches:
            self._progress.begin(len(items))
        for name, batch in batches.items():
            self._progress.open_source(name, len(batch), self._sources[name].size_mb)
            state = self._states[name]
            self._places.cache.mkdir(parents=True, exist_ok=True)
            try:
                with (
                    tempfile.TemporaryDirectory(dir=self._places.cache) as folder,
                    closing(self._read(name, batch, Path(folder))) as files,  # stops git if the loop ends early
                ):
                    done = run_songs(_measure, files, jobs=self._workers, failed=_drop)
                    for n_done, file in enumerate(done, start=1):
                        self._store(file)
                        state.records[file.item.path] = file.record
                        self._progress.advance(1)
                        if n_done % SAVE_EVERY == 0:
                            state.save()
            except CorpusError as error:
                self._skip(name, str(error))
            except PermissionError as error:  # of a local copy of the source
                if error.filename and Path(error.filename).is_relative_to(self._directory):
                    raise
                self._skip(name, f"{error.filename}: cannot be read ({error.strerror})")
            finally:
                state.save()

    def _skip(self, source: str, reason: str) -> None:
        self.skipped[source] = reason
        self._progress.warn(f"skipped: {reason}")

    def _read(self, name: str, batch: Sequence[Item], folder: Path) -> Generator["_File", None, None]:
        """Write each file of a source into a folder, and yield it; add files that cannot be read to ``self.absent``."""
        wanted = [item for item in batch if self._place(item)]
        missing = dict.fromkeys(batch, "its name leads out of the corpus") | dict.fromkeys(wanted, "not in the source")
        with closing(read_items(self._sources[name], wanted, self._places, refuse=missing.__setitem__)) as read:
            for number, (item, content) in enumerate(read):
                if item.blob and blob_id(content) != item.blob:
                    missing[item] = "not the file that the table names"
                    continue
                del missing[item]
                path = folder / str(number)
                path.write_bytes(content)
                yield _File(item, path, Record(hashlib.sha256(content).hexdigest(), len(content)))
        if missing:
            self.absent |= missing
            first, reason = next(iter(missing.items()))
            self._progress.advance(len(missing))
            self._progress.warn(
                f"{name}: {len(missing)} of {len(batch)} files are left out, the first is {first.path}: {reason}"
            )

    def _store(self, file: "_File") -> None:
        """Move a measured file to its place in the corpus, or remove it if it is not used."""
        target = self._place(file.item)
        if target is None or file.record.reason:
            file.path.unlink()
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file.path, target)


@dataclass(frozen=True)
class _File:
    """A file that was read from its source, with its temporary path and its measurements."""

    item: Item
    path: Path
    record: Record


def _measure(file: _File) -> _File:
    """Return a file with its measurements; runs in another process, because a damaged file can crash a decoder."""
    try:
        content = file.path.read_bytes()
        if file.item.kind == "art":
            record = replace(file.record, picture=measure_picture(content))
        else:
            record = replace(file.record, recording=measure_recording(content))
    except Unusable as reason:
        record = replace(file.record, reason=str(reason))
    except Exception as error:  # errors of a decoder must not end the build
        message = " ".join(str(error).split())[:200] or "without a message"
        record = replace(file.record, reason=f"does not decode: {type(error).__name__}, {message}")
    return replace(file, record=record)


def _drop(file: _File, reason: str) -> _File:
    return replace(file, record=replace(file.record, reason=f"does not decode: {reason}"))
