"""What a build has found out about each file, kept so that a build that was stopped goes on where it was."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clavilux.corpus.pictures import PictureMeasure
from clavilux.corpus.recordings import PRINT_ROWS, RecordingMeasure
from clavilux.corpus.table import Kind, Source, write_bytes
from clavilux.errors import CorpusError

STATE_FOLDER = ".state"
# A number of each kind of measure: when the way of measuring changes, it is raised and files are measured again.
STATE_VERSIONS: dict[Kind, int] = {"art": 2, "music": 1}


@dataclass(frozen=True)
class Record:
    """What is known of one file: its hash and measures, or why it is of no use."""

    sha256: str
    n_bytes: int
    reason: str = ""  # "" for a file of use
    picture: PictureMeasure | None = None
    recording: RecordingMeasure | None = None


class SourceState:
    """The records of one source by path: one JSON file, written whole or not at all."""

    def __init__(self, directory: Path, source: Source) -> None:
        self._path = directory / STATE_FOLDER / f"{source.slug}.json"
        self._version = STATE_VERSIONS[source.kind]
        self.records: dict[str, Record] = {}
        if self._path.is_file():
            try:
                stored = json.loads(self._path.read_text())
                if stored["version"] == self._version:
                    self.records = {path: _from_json(entry) for path, entry in stored["records"].items()}
            except (ValueError, KeyError, TypeError) as error:
                raise CorpusError(f"{self._path} is damaged ({error}). Remove it and build again.") from error

    def save(self) -> None:
        stored = {path: _to_json(record) for path, record in self.records.items()}
        write_bytes(self._path, json.dumps({"version": self._version, "records": stored}).encode())


def claim_folder(directory: Path, kind: Kind) -> None:
    """Mark a folder as a corpus of this kind, or refuse one that holds something else.

    A build removes from `files` what is not in its table, so it must not be let loose on a folder of the user's own.

    Raises
    ------
    CorpusError
        If the folder is a file, holds a corpus of the other kind, or is not empty and holds none.
    """
    mark = directory / STATE_FOLDER / "kind"
    if mark.is_file():
        found = mark.read_text().strip()
        if found != kind:
            raise CorpusError(f"{directory} holds a corpus of {found}. Give another folder for {kind}.")
        return
    if directory.exists() and not directory.is_dir():
        raise CorpusError(f"{directory} is a file. Give a folder.")
    if directory.is_dir() and any(directory.iterdir()):
        raise CorpusError(f"{directory} is not empty and holds no corpus. Give a new folder.")
    mark.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(mark, f"{kind}\n".encode())


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
        picture = PictureMeasure(width, height, int(phash, 16), tuple(colours))
    if "recording" in entry:
        seconds, sound = entry["recording"]
        values = np.frombuffer(base64.b64decode(sound), dtype="<f2").astype(np.float32)
        recording = RecordingMeasure(seconds, values.reshape(-1, PRINT_ROWS))
    return Record(entry["sha256"], entry["bytes"], entry["reason"], picture, recording)
