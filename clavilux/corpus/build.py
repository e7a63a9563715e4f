"""Building a corpus: fetch what the shipped tables name, check it, drop what is of no use, write the table.

DIR/files/SOURCE/PATH   the original files, byte for byte
DIR/corpus.csv          what was kept, with artist, licence, hash, size and split
DIR/dropped.csv         what was not, with the reason
DIR/.state/             what is known of each file
DIR/.cache/             downloads; may be removed when the build is done
"""

import hashlib
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Protocol

from clavilux.corpus.duplicates import find_duplicate_pictures, find_duplicate_recordings
from clavilux.corpus.fetch import Places, blob_id, read_items
from clavilux.corpus.pictures import Unusable, measure_picture
from clavilux.corpus.recordings import measure_recording
from clavilux.corpus.split import assign_splits, group_of
from clavilux.corpus.state import CACHE_FOLDER, FILES_FOLDER, Record, SourceState, claim_folder
from clavilux.corpus.table import (
    DROPPED_NAME,
    CorpusRow,
    Item,
    Kind,
    Source,
    Split,
    load_items,
    load_sources,
    write_csv,
    write_table,
)
from clavilux.errors import CorpusError
from clavilux.system.files import path_inside, write_whole

SAVE_EVERY = 25  # files after which the state of a source is saved: less than a minute of decoding music


class Progress(Protocol):
    """What a build tells its caller while it works."""

    def begin(self, n_files: int) -> None:
        """So many files are to be looked at in all."""

    def open_source(self, name: str, n_files: int, size_mb: float) -> None:
        """A source is opened, of which so many files are wanted."""

    def advance(self, n_files: int) -> None:
        """So many more files are done."""

    def warn(self, message: str) -> None:
        """A source or some files are left out."""


@dataclass(frozen=True)
class BuildSummary:
    """What a build came to."""

    rows: list[CorpusRow]
    dropped: list[tuple[Item, str]]  # with the reason
    skipped_sources: dict[str, str]  # name and reason
    seconds: float  # the build took


def build_corpus(
    kind: Kind,
    directory: Path | str,
    *,
    progress: Progress,
    mirror: Path | None = None,
    debs: Path | None = None,
    core: bool = False,
    research: bool = False,
    workers: int = 2,
    sources: Sequence[Source] | None = None,
    items: Sequence[Item] | None = None,
) -> BuildSummary:
    """Build the corpus of pictures or of recordings.

    Parameters
    ----------
    kind : {"art", "music"}
    directory : Path or str
        Where the corpus goes: a new or empty folder, or one of an earlier build of the same kind, which then goes on.
        What lies under `files` in it and does not belong to this corpus is removed.
    progress : Progress
    mirror : Path, optional
        Folder of git clones to use in place of downloads: `owner+name/repo`, `owner+name`, `owner/name` or `name`.
    debs : Path, optional
        Folder of `.deb` files to use in place of downloads.
    core : bool
        Only the sources marked core, about a third of the downloads.
    research : bool
        Also what may be measured with but not learnt from. It is always held out.
    workers : int
        Threads that decode.
    sources, items : sequence of Source, of Item, optional
        Tables to build from; the shipped ones by default.

    Returns
    -------
    BuildSummary
        What was kept, dropped and skipped. A source that cannot be had is skipped, not an error.

    Raises
    ------
    CorpusError
        If nothing at all could be built, or the folder holds something else or cannot be written to.
    """
    directory = Path(directory)
    try:
        return _build(
            kind,
            directory,
            progress,
            mirror,
            debs,
            core=core,
            research=research,
            workers=workers,
            tables=(sources, items),
        )
    except OSError as error:
        raise CorpusError(
            f"{directory}: cannot be written to ({error.strerror or error}). Make room or give another folder; what is "
            "done is kept."
        ) from error


def _build(
    kind: Kind,
    directory: Path,
    progress: Progress,
    mirror: Path | None,
    debs: Path | None,
    *,
    core: bool,
    research: bool,
    workers: int,
    tables: tuple[Sequence[Source] | None, Sequence[Item] | None],
) -> BuildSummary:
    """Build the corpus; see `build_corpus`."""
    started = time.monotonic()
    sources, items = tables
    claim_folder(directory, kind)
    all_items = load_items(kind) if items is None else items
    splits = assign_splits(all_items)
    taken = {s.name: s for s in (load_sources(kind) if sources is None else sources) if s.core or not core}
    wanted = [item for item in all_items if item.source in taken and (research or item.tier == "free")]

    files = _Files(directory, taken, Places(directory / CACHE_FOLDER, mirror, debs), progress, workers)
    files.fetch([item for item in wanted if files.record(item) is None])
    records = {item: record for item in wanted if (record := files.record(item))}
    kept, dropped = _choose(records)
    # What an earlier build measured may not be there: removed by hand, or as the duplicate of what is now unwanted.
    files.fetch([item for item in kept if not files.holds(item)])
    kept = [item for item in kept if files.holds(item)]

    rows = [_row(item, records[item], splits[group_of(item)]) for item in kept]
    told = dict.fromkeys(kept, "") | dict(dropped)
    dropped += [(item, files.absent.get(item, "its source is skipped")) for item in wanted if item not in told]
    place = {item: i for i, item in enumerate(wanted)}
    dropped.sort(key=lambda pair: place[pair[0]])
    if not rows:
        reasons = [*files.skipped.values(), *(reason for _, reason in dropped), "the tables name no such file"]
        raise CorpusError(f"Nothing could be built in {directory}: {reasons[0]}")
    write_csv(
        directory / DROPPED_NAME,
        ["source", "path", "tier", "role", "reason"],
        [(item.source, item.path, item.tier, item.role, reason) for item, reason in dropped],
    )
    write_table(directory, rows)
    _remove_others(directory, {row.file for row in rows})
    return BuildSummary(rows, dropped, files.skipped, time.monotonic() - started)


class _Files:
    """The files of the corpus on disk, and what is known of them."""

    def __init__(
        self, directory: Path, sources: dict[str, Source], places: Places, progress: Progress, workers: int
    ) -> None:
        self.skipped: dict[str, str] = {}  # sources that could not be had, with the reason
        self.absent: dict[Item, str] = {}  # what the table names and the source does not have, with the reason
        self._directory = directory
        self._sources = sources
        self._places = places
        self._progress = progress
        self._workers = workers
        self._states = {name: SourceState(directory, source) for name, source in sources.items()}

    def record(self, item: Item) -> Record | None:
        """What is known of a file, if it was ever read."""
        return self._states[item.source].records.get(item.path)

    def holds(self, item: Item) -> bool:
        """Whether the file is there as it was read."""
        path, record = self._place(item), self.record(item)
        if path is None or record is None or path.is_symlink():
            return False
        return path.is_file() and path.stat().st_size == record.n_bytes

    def _place(self, item: Item) -> Path | None:
        """Return where a file goes, or None if its name, or a link on the way there, leads out of the corpus."""
        name = PurePosixPath(item.file)
        if "\0" in item.file or name.name == ".." or path_inside(self._directory, str(name.parent)) is None:
            return None
        return self._directory / name

    def fetch(self, items: Sequence[Item]) -> None:
        """Read, check, measure and store files, source by source; name what cannot be had and go on."""
        batches: dict[str, list[Item]] = {}
        for item in items:
            batches.setdefault(item.source, []).append(item)
        if batches:
            self._progress.begin(len(items))
        for name, batch in batches.items():
            self._progress.open_source(name, len(batch), self._sources[name].size_mb)
            state = self._states[name]
            try:
                with closing(self._jobs(name, batch)) as jobs:  # ends git where this ends early
                    for n_done, (item, record) in enumerate(_run_ahead(jobs, self._workers), start=1):
                        state.records[item.path] = record
                        self._progress.advance(1)
                        if n_done % SAVE_EVERY == 0:
                            state.save()
            except CorpusError as error:
                self.skipped[name] = str(error)
                self._progress.warn(f"skipped: {error}")
            except PermissionError as error:  # of a local copy
                if error.filename and Path(error.filename).is_relative_to(self._directory):
                    raise
                self.skipped[name] = f"{error.filename}: cannot be read ({error.strerror})"
                self._progress.warn(f"skipped: {self.skipped[name]}")
            finally:
                state.save()

    def _jobs(self, name: str, batch: Sequence[Item]) -> Generator[tuple[Item, Callable[[], Record]], None, None]:
        """Read files one after the other; what is to be done with each can run in a thread."""
        missing = {
            item: "not in the source" if self._place(item) else "its name leads out of the corpus" for item in batch
        }
        wanted = [item for item in batch if self._place(item)]
        with closing(read_items(self._sources[name], wanted, self._places, refuse=missing.__setitem__)) as read:
            for item, content in read:
                if item.blob and blob_id(content) != item.blob:
                    missing[item] = "not the file that the table names"
                    continue
                del missing[item]
                yield item, partial(self._measure_and_store, item, content)
        if missing:
            self.absent |= missing
            first, reason = next(iter(missing.items()))
            self._progress.advance(len(missing))
            self._progress.warn(
                f"{name}: {len(missing)} of {len(batch)} files left out, the first: {first.path}, {reason}"
            )

    def _measure_and_store(self, item: Item, content: bytes) -> Record:
        record = _measure(item.kind, content)
        path = self._place(item)
        if path is not None and not record.reason:
            write_whole(path, content)
        return record


def _run_ahead(jobs: Iterable[tuple[Item, Callable[[], Record]]], workers: int) -> Iterator[tuple[Item, Record]]:
    """Run jobs in threads, in order, and never hold more than two files a thread in memory."""
    with ThreadPoolExecutor(workers) as pool:
        running: list[tuple[Item, Future[Record]]] = []
        for item, job in jobs:
            running.append((item, pool.submit(job)))
            if len(running) >= 2 * workers:
                first, future = running.pop(0)
                yield first, future.result()
        for item, future in running:
            yield item, future.result()


def _measure(kind: Kind, content: bytes) -> Record:
    sha256, n_bytes = hashlib.sha256(content).hexdigest(), len(content)
    try:
        if kind == "art":
            return Record(sha256, n_bytes, picture=measure_picture(content))
        return Record(sha256, n_bytes, recording=measure_recording(content))
    except Unusable as reason:
        return Record(sha256, n_bytes, reason=str(reason))
    except Exception as error:  # of decoders, on damaged files; whatever it is, it is of this file alone
        said = " ".join(str(error).split())[:200] or "no more is known"
        return Record(sha256, n_bytes, reason=f"does not decode: {type(error).__name__}, {said}")


def _choose(records: dict[Item, Record]) -> tuple[list[Item], list[tuple[Item, str]]]:
    """Part what was read into what stays and what is dropped, with the reason.

    Of duplicates the free one stays before the one for research, then the one with more pixels, then the first in the
    table.
    """

    def rank(item: Item) -> tuple[bool, int]:
        picture = records[item].picture
        return item.tier != "free", -(picture.width * picture.height) if picture else 0

    dropped = [(item, record.reason) for item, record in records.items() if record.reason]
    pictures = sorted((item for item, record in records.items() if record.picture), key=rank)
    recordings = sorted((item for item, record in records.items() if record.recording), key=rank)
    repeats: dict[Item, Item] = {}
    found = find_duplicate_pictures([p for item in pictures if (p := records[item].picture)])
    repeats |= {pictures[again]: pictures[first] for again, first in found.items()}
    found = find_duplicate_recordings([r for item in recordings if (r := records[item].recording)])
    repeats |= {recordings[again]: recordings[first] for again, first in found.items()}
    dropped += [(item, f"near duplicate of {first.source}: {first.path}") for item, first in repeats.items()]
    return [item for item, record in records.items() if not record.reason and item not in repeats], dropped


def _row(item: Item, record: Record, split: Split) -> CorpusRow:
    picture, recording = record.picture, record.recording
    return CorpusRow(
        file=item.file,
        source=item.source,
        path=item.path,
        artist=item.artist,
        role=item.role,
        genre=item.genre,
        tier=item.tier,
        licence=item.licence,
        sha256=record.sha256,
        width=picture.width if picture else 0,
        height=picture.height if picture else 0,
        seconds=recording.seconds if recording else 0.0,
        split=split,
    )


def _remove_others(directory: Path, files: set[str]) -> None:
    """Remove what lies under `files` and is not in the table: whoever reads the folder must not learn from it.

    Links are removed themselves, and never followed.
    """
    for parent, folders, names in os.walk(directory / FILES_FOLDER, topdown=False):
        for name in [*names, *(name for name in folders if Path(parent, name).is_symlink())]:
            path = Path(parent, name)
            if path.is_symlink() or path.relative_to(directory).as_posix() not in files:
                path.unlink()
        if not os.listdir(parent):
            os.rmdir(parent)
