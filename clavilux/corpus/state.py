"""Measurements of each file, kept on disk so that an interrupted build continues where it stopped."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clavilux.corpus.pictures import PictureMeasure
from clavilux.corpus.recordings import PRINT_ROWS, PRINT_SEGMENTS, RecordingMeasure
from clavilux.corpus.table import KINDS, Kind, Source
from clavilux.errors import CorpusError
from clavilux.system.files import write_whole

STATE_FOLDER = ".state"
CACHE_FOLDER = ".cache"
FILES_FOLDER = "files"
OWN_FOLDERS = (STATE_FOLDER, CACHE_FOLDER, FILES_FOLDER)
STATE_VERSIONS: dict[Kind, int] = {"art": 2, "music": 1}  # raise a number to measure all its files again
N_COLOURS = 12  # L*, a* and b* of the mean colour of four quadrants


@dataclass(frozen=True)
class Record:
    """Hash and measurements of a file, or the reason why it is not used."""

    sha256: str
    n_bytes: int  # size of the file
    reason: str = ""  # why the file is not used; "" if it is used
    picture: PictureMeasure | None = None  # None unless the file is a picture that is used
    recording: RecordingMeasure | None = None  # None unless it is a recording that is used


class SourceState:
    """What a build knows about each file of one source, kept in a JSON file so that a build can be continued."""

    def __init__(self, directory: Path, source: Source) -> None:
        self._path = directory / STATE_FOLDER / f"{source.slug}.json"
        self._version = STATE_VERSIONS[source.kind]
        self.records: dict[str, Record] = {}  # by the path in the source
        if self._path.is_file():
            try:
                stored = json.loads(self._path.read_text())
                if stored["version"] == self._version:
                    self.records = {path: _from_json(entry) for path, entry in stored["records"].items()}
            except OSError as error:
                raise CorpusError(f"{self._path} cannot be read ({error.strerror}).") from error
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
                raise CorpusError(f"{self._path} is damaged ({error}). Remove it and build again.") from error

    def save(self) -> None:
        """Write the records to disk."""
        stored = {path: _to_json(record) for path, record in self.records.items()}
        write_whole(self._path, json.dumps({"version": self._version, "records": stored}).encode())


def claim_folder(directory: Path, kind: Kind) -> None:
    """Mark a folder as a corpus of this kind.

    A build removes files that are not in its table, so it must not run in a folder of other files.

    Raises
    ------
    CorpusError
        If ``directory`` is a file, a corpus of the other kind, or a folder of other files, or if one of its subfolders
        is a link, through which a build would write and remove files elsewhere.
    """
    for name in OWN_FOLDERS:
        if (directory / name).is_symlink():
            raise CorpusError(f"{directory / name} is a link. Put the folder itself there, or give another folder.")
    mark = directory / STATE_FOLDER / "kind"
    if mark.is_file():
        found = mark.read_bytes()[:20].decode(errors="replace").strip()
        if found not in KINDS:
            raise CorpusError(
                f"{mark} is damaged: it says {found!a}. Write {kind} into it if it is a corpus of {kind}."
            )
        if found != kind:
            raise CorpusError(f"{directory} holds a corpus of {found}. Give another folder for {kind}.")
        return
    if directory.exists() and not directory.is_dir():
        raise CorpusError(f"{directory} is a file. Give a folder.")
    if directory.is_dir() and any(directory.iterdir()):
        raise CorpusError(f"{directory} is not empty and is not a corpus. Give a new folder.")
    write_whole(mark, f"{kind}\n".encode())


def _to_json(record: Record) -> dict[str, Any]:
    entry: dict[str, Any] = {"sha256": record.sha256, "bytes": record.n_bytes, "reason": record.reason}
    if record.picture:
        picture = record.picture
        entry["picture"] = [picture.width, picture.height, f"{picture.phash:016x}", list(picture.colours)]
    if record.recording:
        sound = base64.b64encode(record.recording.print.astype("<f2").tobytes()).decode()
        entry["recording"] = [record.recording.seconds, sound]
    return entry


def _from_json(entry: dict[str, Any]) -> Record:
    picture = recording = None
    if "picture" in entry:
        width, height, phash, colours = entry["picture"]
        picture = PictureMeasure(int(width), int(height), int(phash, 16), tuple(float(value) for value in colours))
        if len(picture.colours) != N_COLOURS:
            raise ValueError(f"{len(picture.colours)} colours")
    if "recording" in entry:
        seconds, sound = entry["recording"]
        values = np.frombuffer(base64.b64decode(sound), dtype="<f2").astype(np.float32)
        recording = RecordingMeasure(float(seconds), values.reshape(PRINT_SEGMENTS, PRINT_ROWS))
    return Record(str(entry["sha256"]), int(entry["bytes"]), str(entry["reason"]), picture, recording)
