"""Cache intermediate results in .npz files of the run folder, so that later stages and resumed runs can read them.

Each file has one record: a dataclass whose fields are arrays or lists of strings. The files contain no pickles, so
that a run folder from an untrusted source cannot execute code.
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from clavilux.errors import TrainingError
from clavilux.system.files import replacing
from clavilux.training.writing import writing_to
from clavilux.version import __version__

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

_KEY = "__key__"
_FORMAT = 1
# Raised by NumPy and zipfile for truncated or damaged files and files of another format.
_DAMAGE = (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error, MemoryError)


def load_or_make(path: Path, key: object, kind: type[T], make: Callable[[], T], *, log: Callable[[str], None]) -> T:
    """Return the record in a file if the file has this key; otherwise make the record and write it to the file.

    ``key`` has the inputs from which the record is made, as JSON values. ``kind`` is the type of the record, a
    dataclass whose fields are arrays or lists of strings. A file that is damaged, has another key or was written by
    another version of Clavilux is replaced; ``log`` receives a line if the file is damaged.

    Raises
    ------
    TrainingError
        If the file cannot be written.
    """
    record = None
    if path.is_file():
        try:
            record = _load(path, key, kind)
        except TrainingError as error:
            log(f"{error}; it is made again")
    if record is None:
        record = make()
        _save(path, key, record)
    return record


def _save(path: Path, key: object, record: DataclassInstance) -> None:
    """Write a record and its key to an .npz file atomically."""
    arrays: dict[str, Any] = {_KEY: np.array(_key_text(key))}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        arrays[field.name] = np.array(value, dtype=np.str_) if isinstance(value, list) else value
    assert not any(array.dtype.hasobject for array in arrays.values()), "object arrays would need pickles"
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)


def _load(path: Path, key: object, kind: type[T]) -> T | None:
    """Return the record in an .npz file, or None if the file has another key; a damaged file raises `TrainingError`."""
    try:
        with zipfile.ZipFile(path) as archive:
            # Clavilux never compresses these files. A small file could otherwise expand to more than the memory.
            if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
                raise ValueError("it is compressed")
        with np.load(path, allow_pickle=False) as arrays:
            if str(arrays[_KEY]) != _key_text(key):
                return None
            return kind(**{field.name: _read_field(arrays, field) for field in dataclasses.fields(kind)})
    except _DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise TrainingError(f"{path}: is not a valid {kind.__name__} file ({reason.splitlines()[0]})") from error


def _read_field(arrays: Any, field: dataclasses.Field[Any]) -> NDArray[Any] | list[str]:
    array = arrays[field.name]
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biufU":  # NumPy returns other members as bytes
        raise ValueError(f"{field.name} is not an array of numbers or text")
    if str(field.type).startswith("list"):
        return [str(value) for value in array]
    return array


def _key_text(key: object) -> str:
    return json.dumps([_FORMAT, __version__, key])
