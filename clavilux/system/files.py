"""List the files of a folder, check file names, and write files atomically.

All commands use this module, so that they treat hidden files, links, unusual names and a full disk in the same way.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from clavilux.errors import ClaviluxError, OutputError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers for a disk or quota without room for the file."""

SHORTAGES = {
    errno.EMFILE: "this process may open no more files; raise the limit (`ulimit -n 4096`) or lower --jobs",
    errno.ENFILE: "the system can open no more files; close other programs",
    errno.ENOMEM: "there is no memory left; close other programs or lower --jobs",
}
"""Error numbers for a shortage in the system, which are not about the file, with advice for the user."""

Identity = tuple[int, int]  # device and inode

_TEMPORARY_PREFIX = ".clavilux-"
_FOREIGN_AGE_S = 86_400.0  # age from which temporary files of other machines are removed


@dataclass(frozen=True)
class FolderListing:
    """Files of a folder tree.

    Attributes
    ----------
    files : tuple of Path
        Files with a wanted extension, sorted by path.
    skipped : dict of Path to str
        Paths that were skipped although a user may expect them, with the reason: an unreadable folder, a link to a
        folder, a broken link, a file in a format that is not supported.
    unreadable : frozenset of Path
        Members of `skipped` that could not be read, so that files may be missing in `files`.
    """

    files: tuple[Path, ...]
    skipped: dict[Path, str] = field(default_factory=dict)
    unreadable: frozenset[Path] = frozenset()

    def faults(self) -> list[str]:
        """Return messages about the paths that could not be read: one line for each reason, with the first names."""
        return _summarise({path: reason for path, reason in self.skipped.items() if path in self.unreadable})

    def hints(self) -> list[str]:
        """Return messages about all other skipped paths: one line for each reason, with the first names."""
        return _summarise({path: reason for path, reason in self.skipped.items() if path not in self.unreadable})


def _summarise(skipped: dict[Path, str]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for path, reason in skipped.items():
        by_reason.setdefault(reason, []).append(str(path))
    return [f"{first_names(names)}: skipped, {reason}" for reason, names in by_reason.items()]


def first_names(names: Sequence[str], limit: int = 3) -> str:
    """Return a text with the first names of a list, at most ``limit``, and the number of further names.

    Examples
    --------
    >>> first_names(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


def check_shortage(error: OSError) -> None:
    """Raise a `ClaviluxError` if an error is one of `SHORTAGES`, which do not mean that a file is damaged.

    Call it in an ``except OSError`` clause before reporting that a file cannot be read.
    """
    if error.errno in SHORTAGES:
        where = f"{error.filename}: " if error.filename else ""
        raise ClaviluxError(f"{where}{SHORTAGES[error.errno]} ({error.strerror})") from error


def list_folder(
    folder: Path, suffixes: frozenset[str] | None, *, unsupported: frozenset[str] = frozenset()
) -> FolderListing:
    """Return the files of a folder tree that have one of the given extensions.

    Names that begin with a dot are ignored: macOS writes a ``._song.mp3`` beside each song, and Jupyter keeps copies in
    ``.ipynb_checkpoints``. These paths are skipped and reported in the result: folders that cannot be read, links to
    folders (they may form a cycle or point outside the tree), broken links, paths that are not regular files, and files
    with an extension in ``unsupported``.

    Parameters
    ----------
    folder : Path
        An existing folder.
    suffixes : frozenset of str or None
        Extensions in lower case, with the dot; None for all files.
    unsupported : frozenset of str
        Extensions to report, because a user may expect such files to be read.

    Raises
    ------
    ClaviluxError
        If the system has no memory or file handles left.
    """
    files: list[Path] = []
    skipped: dict[Path, str] = {}
    unreadable: set[Path] = set()

    def cannot_read(error: OSError) -> None:
        check_shortage(error)
        skipped[Path(error.filename)] = f"cannot be read ({error.strerror})"
        unreadable.add(Path(error.filename))

    for parent, folders, names in os.walk(folder, onerror=cannot_read):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            path = Path(parent, name)
            if path.is_symlink():  # os.walk does not follow links
                skipped[path] = "a link to a folder; name that folder itself"
        for name in names:
            path = Path(parent, name)
            suffix = path.suffix.lower()
            if name.startswith(".") or not (suffixes is None or suffix in suffixes or suffix in unsupported):
                continue
            if suffix in unsupported:
                skipped[path] = f"{suffix} is not supported"
                continue
            try:
                mode = path.stat().st_mode
            except OSError as error:
                if path.is_symlink():
                    skipped[path] = "a broken link"
                else:
                    cannot_read(error)
                continue
            if stat.S_ISREG(mode):
                files.append(path)
            else:
                skipped[path] = "not a regular file"
    return FolderListing(tuple(sorted(files)), dict(sorted(skipped.items())), frozenset(unreadable))


def normalise_name(name: str) -> str:
    r"""Return a relative file name in a normal form, in which names in tables and names on disk can be compared.

    Backslashes become slashes, Unicode is composed (NFC; macOS stores names decomposed), and ``.`` and empty parts are
    removed. Case is unchanged.

    Examples
    --------
    >>> normalise_name("sub\\a.png")
    'sub/a.png'
    """
    parts = unicodedata.normalize("NFC", name).replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", "."))


def is_text(name: str) -> bool:
    """Return whether a file name is valid Unicode.

    Linux allows any bytes in names; Python stores invalid bytes as lone surrogates.
    """
    return not any("\ud800" <= character <= "\udfff" for character in name)


def path_inside(folder: Path, name: str) -> Path | None:
    """Return the path of a relative name inside a folder, or None if it is outside.

    Names in tables and notes are not trusted. Absolute names, ``..``, drive letters and names that pass through a link
    to another place are outside.
    """
    pure = PurePosixPath(name.replace("\\", "/"))
    if not pure.parts or "\0" in name or pure.is_absolute() or ".." in pure.parts or pure.parts[0][1:2] == ":":
        return None
    path = folder / pure
    try:
        inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    except (OSError, ValueError):
        return None
    return path if inside else None


def same_file(first: Path, second: Path) -> bool:
    """Return whether two paths are the same file, directly or through links; False if either is missing."""
    try:
        return os.path.samefile(first, second)
    except (OSError, ValueError):
        return False


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise `OutputError` if an output file is also an input file.

    Files are compared by device and inode, so links, hard links and case-insensitive disks are handled.
    """
    present = {identity(path): path for path in outputs}
    present.pop(None, None)
    for path in inputs if present else ():
        output = present.get(identity(path))
        if output is not None:
            name = f"{output}" if output == path else f"{output} (the same file as {path})"
            raise OutputError(f"{name} is read and would be overwritten; give another output")


def identity(path: Path) -> Identity | None:
    """Return the numbers of the device and of the inode of a file; None if the file does not exist."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def write_whole(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file atomically, and create its folder if it is missing.

    With ``durable``, the function waits until the content is on the disk, so that it survives a loss of power.

    Raises
    ------
    OSError
        If the file cannot be written. The previous file is then unchanged, and no temporary file remains.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, durable=durable) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path, *, durable: bool = False, exclusive: bool = False) -> Iterator[Path]:
    """Yield a temporary path in the same folder, and rename it to ``path`` at the end of the block.

    If the block raises an exception, the temporary file is removed and the previous file is unchanged. With
    ``durable``, the content is on the disk before the rename, so that a loss of power does not leave an empty file.
    With ``exclusive``, an existing file is not replaced but raises `FileExistsError`; this holds also if two processes
    write at the same time.
    """
    temporary = path.with_name(f"{_TEMPORARY_PREFIX}{os.getpid()}-{_machine()}-{secrets.token_hex(4)}.tmp")
    _own_temporaries.add(temporary)
    try:
        yield temporary
        if durable:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        if exclusive:
            _rename_to_free_name(temporary, path)
        else:
            os.replace(temporary, path)
    except OSError as error:
        if error.filename in (None, str(temporary)):
            error.filename = str(path)  # the name that the user knows
        raise
    finally:
        with suppress(OSError):  # e.g. the folder is read-only; the error above reports it
            temporary.unlink(missing_ok=True)
        _own_temporaries.discard(temporary)


def _rename_to_free_name(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # no hard links here: an empty file reserves the name
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        try:
            os.replace(source, target)
        except OSError:
            target.unlink(missing_ok=True)
            raise


_own_temporaries: set[Path] = set()


def remove_own_temporaries() -> None:
    """Remove the temporary files of this process before it is ended."""
    for path in tuple(_own_temporaries):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _machine() -> str:
    """Return a hash of the name of this machine; on a shared disk, machines may have the same process IDs."""
    name = os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
    return f"{zlib.crc32(os.fsencode(name)):08x}"


def remove_leftovers(folder: Path, *, is_running: Callable[[int], bool] | None = None) -> int:
    """Remove temporary files of killed processes from a folder, without its subfolders, and return their number.

    The name of a temporary file has the ID of the process that wrote it and of its machine. Files of running processes
    are not removed. Files of other machines, whose processes are unknown here, are removed after a day.
    """
    is_running = is_running or process_is_running
    removed = 0
    try:
        names = [name for name in os.listdir(folder) if name.startswith(_TEMPORARY_PREFIX) and name.endswith(".tmp")]
    except OSError:  # missing or unreadable; later steps report it
        return 0
    for path in (folder / name for name in names):
        process_id, _, rest = path.name.removeprefix(_TEMPORARY_PREFIX).partition("-")
        with suppress(OSError):  # removed by another run, or the folder is read-only
            is_local = rest.startswith(_machine())
            is_old = time.time() - path.lstat().st_mtime > _FOREIGN_AGE_S
            if process_id.isdecimal() and path.is_file() and (not is_running(int(process_id)) if is_local else is_old):
                path.unlink()
                removed += 1
    return removed


def process_is_running(process_id: int) -> bool:
    """Return whether a process with this ID is running on this machine; True also if this cannot be determined."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
