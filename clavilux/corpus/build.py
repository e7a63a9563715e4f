"""Build a corpus: fetch the files that the shipped tables name, measure them, drop unusable ones, write the table.

DIR/files/SOURCE/PATH   the original files, byte for byte
DIR/corpus.csv          files that are part of the corpus, with artist, licence, hash, size and split
DIR/dropped.csv         files that are not, with the reason
DIR/.state/             measurements of each file
DIR/.cache/             downloads; can be removed after the build
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clavilux.corpus.duplicates import find_duplicate_pictures, find_duplicate_recordings
from clavilux.corpus.fetch import Places
from clavilux.corpus.split import assign_splits, group_of
from clavilux.corpus.state import CACHE_FOLDER, FILES_FOLDER, Record, claim_folder
from clavilux.corpus.store import FileStore, Progress
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


@dataclass(frozen=True)
class BuildSummary:
    """Result of a build."""

    rows: list[CorpusRow]  # files of the corpus
    dropped: list[tuple[Item, str]]  # files that are not used, and the reason
    skipped_sources: dict[str, str]  # name of a source that could not be fetched -> reason
    seconds: float  # duration of the build


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
        Folder of the corpus: a new or empty folder, or one of an earlier build of the same kind, which is continued.
        Files under `files` that are not part of this corpus are removed.
    progress : Progress
        Receives the state of the build.
    mirror : Path, optional
        Folder of git clones to use instead of downloads: `owner+name/repo`, `owner+name`, `owner/name` or `name`.
    debs : Path, optional
        Folder of `.deb` files to use instead of downloads.
    core : bool
        Use only the core sources, about a third of the downloads.
    research : bool
        Include files that may be used to measure but not to train. They are always held out.
    workers : int
        Number of worker processes that decode and measure files.
    sources, items : sequence of Source, of Item, optional
        Tables to build from; the shipped ones by default.

    Returns
    -------
    BuildSummary
        Kept and dropped files, and the sources that could not be fetched, which are not an error.

    Raises
    ------
    CorpusError
        If no file could be fetched, or the folder holds something else or cannot be written to.
    """
    started = time.monotonic()
    directory = Path(directory)
    with _write_faults(directory):
        claim_folder(directory, kind)
        all_items = load_items(kind) if items is None else items
        splits = assign_splits(all_items)
        used = {s.name: s for s in (load_sources(kind) if sources is None else sources) if s.core or not core}
        wanted = [item for item in all_items if item.source in used and (research or item.tier == "free")]

        store = FileStore(directory, used, Places(directory / CACHE_FOLDER, mirror, debs), progress, workers)
        store.fetch([item for item in wanted if store.record(item) is None])
        records = {item: record for item in wanted if (record := store.record(item))}
        kept, dropped = _choose(records)
        # Files of an earlier build may be missing: a user removed them, or they were duplicates of files that are no
        # longer wanted.
        store.fetch([item for item in kept if not store.holds(item)])
        kept = [item for item in kept if store.holds(item)]

        explained = {*kept, *(item for item, _ in dropped)}
        dropped += [(item, store.absent.get(item, "its source is skipped")) for item in wanted if item not in explained]
        order = {item: i for i, item in enumerate(wanted)}
        dropped.sort(key=lambda pair: order[pair[0]])
        if not kept:
            reasons = [*store.skipped.values(), *(reason for _, reason in dropped), "the tables name no such file"]
            raise CorpusError(f"Nothing could be built in {directory}: {reasons[0]}")
        rows = [_row(item, records[item], splits[group_of(item)]) for item in kept]
        write_csv(
            directory / DROPPED_NAME,
            ["source", "path", "tier", "role", "reason"],
            [(item.source, item.path, item.tier, item.role, reason) for item, reason in dropped],
        )
        write_table(directory, rows)
        _remove_others(directory, {row.file for row in rows})
    return BuildSummary(rows, dropped, store.skipped, time.monotonic() - started)


@contextmanager
def _write_faults(directory: Path) -> Iterator[None]:
    """Turn an `OSError` of the folder into a `CorpusError`."""
    try:
        yield
    except OSError as error:
        raise CorpusError(
            f"{directory}: cannot be written to ({error.strerror or error}). Make room or give another folder; the "
            "files that are there are kept."
        ) from error


def _choose(records: dict[Item, Record]) -> tuple[list[Item], list[tuple[Item, str]]]:
    """Divide files into those that stay and those that are dropped, with the reason.

    Of duplicates, free files are preferred to files for research, then pictures with more pixels, then the first one in
    the table.
    """

    def rank(item: Item) -> tuple[bool, int]:
        picture = records[item].picture
        return item.tier != "free", -(picture.width * picture.height) if picture else 0

    dropped = [(item, record.reason) for item, record in records.items() if record.reason]
    pictures = sorted((item for item, record in records.items() if record.picture), key=rank)
    recordings = sorted((item for item, record in records.items() if record.recording), key=rank)
    repeats: dict[Item, Item] = {}
    found = find_duplicate_pictures([p for item in pictures if (p := records[item].picture)])
    repeats |= {pictures[copy]: pictures[first] for copy, first in found.items()}
    found = find_duplicate_recordings([r for item in recordings if (r := records[item].recording)])
    repeats |= {recordings[copy]: recordings[first] for copy, first in found.items()}
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
    """Remove files under `files` that are not in the table, so that no training reads them.

    Links are removed and never followed.
    """
    for parent, folders, names in os.walk(directory / FILES_FOLDER, topdown=False):
        for name in [*names, *(name for name in folders if Path(parent, name).is_symlink())]:
            path = Path(parent, name)
            if path.is_symlink() or path.relative_to(directory).as_posix() not in files:
                path.unlink()
        if not os.listdir(parent):
            os.rmdir(parent)
