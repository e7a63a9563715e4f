"""Build a corpus: fetch and measure the files in the shipped tables, leave out unusable ones, write the table.

DIR/files/SOURCE/PATH   the original files, unchanged
DIR/corpus.csv          the files of the corpus, with artist, licence, hash, size and split
DIR/dropped.csv         the files that are left out, with the reason
DIR/.state/             the measurements of each file
DIR/.cache/             downloads, which can be removed after the build
"""

import os
import time
from collections.abc import Sequence
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
    dropped: list[tuple[Item, str]]  # files that are left out, with the reason
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
    """Build the corpus of pictures or of recordings, and return its files and those that were left out.

    Parameters
    ----------
    kind : {"art", "music"}
    directory : Path or str
        Folder of the corpus: a new or empty folder, or the folder of an earlier build of the same kind, which is
        continued. Files in its subfolder ``files`` that are not part of this corpus are removed.
    progress : Progress
        Shows the progress of the build.
    mirror : Path, optional
        Folder of git clones to use instead of downloads. Each clone is in ``owner+name/repo``, ``owner+name``,
        ``owner/name`` or ``name``.
    debs : Path, optional
        Folder of ``.deb`` files to use instead of downloads.
    core : bool
        Use only the core sources, which need about a third of the downloads of all sources.
    research : bool
        Include files whose licences allow evaluation but not training. They are always held out.
    workers : int
        Number of worker processes that decode and measure files.
    sources, items : sequence of Source, of Item, optional
        Tables to build from; the shipped ones by default.

    Raises
    ------
    CorpusError
        If no file could be fetched, or if the folder contains anything but a corpus of this kind, or cannot be written
        to. If only some sources could not be fetched, no error is raised.
    """
    started = time.monotonic()
    directory = Path(directory)
    try:
        claim_folder(directory, kind)
        all_items = load_items(kind) if items is None else items
        splits = assign_splits(all_items)
        used = {s.name: s for s in (load_sources(kind) if sources is None else sources) if s.core or not core}
        wanted = [item for item in all_items if item.source in used and (research or item.tier == "free")]

        store = FileStore(directory, used, Places(directory / CACHE_FOLDER, mirror, debs), progress, workers)
        store.fetch([item for item in wanted if store.record(item) is None])
        records = {item: record for item in wanted if (record := store.record(item))}
        kept, reasons = _choose(records)
        # Files of an earlier build may be missing: a user removed them, or they were duplicates of files that are no
        # longer wanted.
        store.fetch([item for item in kept if not store.holds(item)])
        kept = [item for item in kept if store.holds(item)]

        for item in set(wanted) - set(kept) - reasons.keys():
            reasons[item] = store.absent.get(item, "its source is skipped")
        dropped = [(item, reasons[item]) for item in wanted if item in reasons]
        if not kept:
            first = [*store.skipped.values(), *(reason for _, reason in dropped), "the tables name no such file"][0]
            raise CorpusError(f"Nothing could be built in {directory}: {first}")
        rows = [_row(item, records[item], splits[group_of(item)]) for item in kept]
        write_csv(
            directory / DROPPED_NAME,
            ["source", "path", "tier", "role", "reason"],
            [(item.source, item.path, item.tier, item.role, reason) for item, reason in dropped],
        )
        write_table(directory, rows)
        _remove_others(directory, {row.file for row in rows})
    except OSError as error:
        raise CorpusError(
            f"{directory}: cannot be written to ({error.strerror or error}). Make room or give another folder; the "
            "files that are there are kept."
        ) from error
    return BuildSummary(rows, dropped, store.skipped, time.monotonic() - started)


def _choose(records: dict[Item, Record]) -> tuple[list[Item], dict[Item, str]]:
    """Return the files that stay in the corpus, and a dict from each file that is left out to the reason.

    Of near duplicates, only one file stays. Files of the tier "free", whose licences allow training, have precedence,
    then pictures with more pixels, then files that are earlier in the table.
    """

    def rank(item: Item) -> tuple[bool, int]:
        picture = records[item].picture
        return item.tier != "free", -(picture.width * picture.height) if picture else 0

    reasons = {item: record.reason for item, record in records.items() if record.reason}
    ranked = sorted(records, key=rank)
    pictures = {item: picture for item in ranked if (picture := records[item].picture)}
    recordings = {item: recording for item in ranked if (recording := records[item].recording)}
    for items, duplicates in (
        (list(pictures), find_duplicate_pictures(list(pictures.values()))),
        (list(recordings), find_duplicate_recordings(list(recordings.values()))),
    ):
        for copy, first in duplicates.items():
            reasons[items[copy]] = f"near duplicate of {items[first].source}: {items[first].path}"
    return [item for item in records if item not in reasons], reasons


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
    """Remove all links, and all files whose relative paths are not in ``files``, so that no training reads them."""
    for parent, folders, names in os.walk(directory / FILES_FOLDER, topdown=False):
        for name in [*names, *(name for name in folders if Path(parent, name).is_symlink())]:
            path = Path(parent, name)
            if path.is_symlink() or path.relative_to(directory).as_posix() not in files:
                path.unlink()
        if not os.listdir(parent):
            os.rmdir(parent)
