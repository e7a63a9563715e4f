"""Files on disk: which files of a folder are read, and how files are written.

Every command walks folders, names files and writes results through this module, so that all of them treat hidden files,
links, odd names and a full disk alike.
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
"""Error numbers that mean: there is no room left for the file."""

SHORTAGES = {
    errno.EMFILE: "this process may open no more files; raise the limit (`ulimit -n 4096`) or lower --jobs",
    errno.ENFILE: "the system can open no more files; close other programs",
    errno.ENOMEM: "there is no memory left; close other programs or lower --jobs",
}
"""Error numbers that say nothing about the file, and what to do."""

Identity = tuple[int, int]

_TEMPORARY_PREFIX = ".clavilux-"
_FOREIGN_AGE_S = 86_400.0


@dataclass(frozen=True)
class FolderListing:
    """Files of a folder tree.

    Attributes
    ----------
    files : tuple of Path
        Files with a wanted extension, sorted by path.
    skipped : dict of Path to str
        What was left out although a user may expect it to be read, with the reason: an unreadable folder, a link to
        a folder, a broken link, a file in a related format that is not supported.
    unreadable : frozenset of Path
        Those of `skipped` that could not be read, so that wanted files may be missing.
    """

    files: tuple[Path, ...]
    skipped: dict[Path, str] = field(default_factory=dict)
    unreadable: frozenset[Path] = frozenset()

    def faults(self) -> list[str]:
        """Return a line for each reason why something could not be read: the first few names and the reason."""
        return _notes({path: reason for path, reason in self.skipped.items() if path in self.unreadable})

    def hints(self) -> list[str]:
        """Return a line for each reason why something else was passed over."""
        return _notes({path: reason for path, reason in self.skipped.items() if path not in self.unreadable})


def _notes(skipped: dict[Path, str]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for path, reason in skipped.items():
        by_reason.setdefault(reason, []).append(str(path))
    return [f"{first_names(names)}: passed over, {reason}" for reason, names in by_reason.items()]


def first_names(names: Sequence[str], shown: int = 3) -> str:
    """Return the first names of a list and how many more there are.

    Examples
    --------
    >>> first_names(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")


def check_shortage(error: OSError) -> None:
    """Raise a `ClaviluxError` if the system lacks something, so that no file is called damaged for it.

    For clauses that catch `OSError` and go on to say that a file cannot be read.
    """
    if error.errno in SHORTAGES:
        where = f"{error.filename}: " if error.filename else ""
        raise ClaviluxError(f"{where}{SHORTAGES[error.errno]} ({error.strerror})") from error


def list_folder(
    folder: Path, suffixes: frozenset[str] | None, *, unsupported: frozenset[str] = frozenset()
) -> FolderListing:
    """List the files of a folder tree that have one of the given extensions.

    Left out silently: files and folders whose names begin with a dot (macOS writes a ``._song.mp3`` beside each song,
    Jupyter keeps copies in ``.ipynb_checkpoints``). Left out and reported: folders that cannot be read, links to
    folders (they may lead in a circle or out of the tree), links that lead nowhere, anything that is not a regular
    file, and files with an extension of ``unsupported``.

    Parameters
    ----------
    folder : Path
        An existing folder.
    suffixes : frozenset of str or None
        Wanted extensions, lower case, with their dot; None for all files.
    unsupported : frozenset of str
        Extensions that a user may expect to be read, to be reported instead.

    Raises
    ------
    ClaviluxError
        The system lacks memory or may open no more files.
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
            if path.is_symlink():  # os.walk does not follow it
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
                    skipped[path] = "a link to nowhere"
                else:
                    cannot_read(error)
                continue
            if stat.S_ISREG(mode):
                files.append(path)
            else:
                skipped[path] = "not a regular file"
    return FolderListing(tuple(sorted(files)), dict(sorted(skipped.items())), frozenset(unreadable))


def normalise_name(name: str) -> str:
    """Return a relative file name in the one form in which names from tables and from disks are compared.

    Slashes separate folders, Unicode is composed (NFC; macOS stores names decomposed), ``.`` and empty parts are gone.
    Case is kept.

    Examples
    --------
    >>> normalise_name("sub\\\\a.png")
    'sub/a.png'
    """
    parts = unicodedata.normalize("NFC", name).replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", "."))


def is_text(name: str) -> bool:
    """Return whether a file's name is text: Linux allows any bytes, which Python keeps as lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def path_inside(folder: Path, name: str) -> Path | None:
    """Return the path of a relative name inside a folder, or None if it leads outside.

    Names come from tables and notes that anybody may have written. Absolute names, ``..``, drive letters and names
    that pass through a link out of the folder lead outside.
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
    """Return whether two paths name one file, through links and other spellings too; False if either is missing."""
    try:
        return os.path.samefile(first, second)
    except (OSError, ValueError):
        return False


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise `OutputError` if a file that is to be written is one that is read, under whatever name.

    Links, hard links, other spellings and disks that do not tell cases apart are seen through, as files are compared
    by their number on the disk.
    """
    present = {identity(path): path for path in outputs}
    present.pop(None, None)
    for path in inputs if present else ():
        output = present.get(identity(path))
        if output is not None:
            name = f"{output}" if output == path else f"{output} (the same file as {path})"
            raise OutputError(f"{name} is read and would be overwritten; give another output")


def identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def write_whole(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file so that it is there as a whole or not at all, and make its folder if it is missing.

    With ``durable`` it also survives a loss of power, which costs a wait for the disk.

    Raises
    ------
    OSError
        As raised by the system; the old file, if there was one, is unchanged, and nothing temporary stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, durable=durable) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path, *, durable: bool = False, exclusive: bool = False) -> Iterator[Path]:
    """Give a temporary path in the same folder, and move what was written there into place at the end of the block.

    The temporary name is short, so a name of any length that the file system allows can be written. If the block
    raises, the temporary file is removed and the old file stays. With ``durable`` the data reach the disk before the
    rename, so that a loss of power leaves no empty file. With ``exclusive`` nothing is replaced: if a file of that name
    is there by then, `FileExistsError` is raised, and of two processes that write at once one gets the name.
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
            error.filename = str(path)  # what the user knows
        raise
    finally:
        with suppress(OSError):  # the folder is a file, or has become read-only; what is raised already says so
            temporary.unlink(missing_ok=True)
        _own_temporaries.discard(temporary)


def _rename_to_free_name(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: an empty file takes the name for the moment
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        try:
            os.replace(source, target)
        except OSError:
            target.unlink(missing_ok=True)
            raise


_own_temporaries: set[Path] = set()


def remove_own_temporaries() -> None:
    """Remove the temporary files of this process, which is to end in the middle of its work."""
    for path in tuple(_own_temporaries):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _machine() -> str:
    """Return eight letters for this machine; on a shared disk the same number is another process elsewhere."""
    name = os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
    return f"{zlib.crc32(os.fsencode(name)):08x}"


def remove_leftovers(folder: Path, *, is_running: Callable[[int], bool] | None = None) -> int:
    """Remove temporary files that a killed run of Clavilux left directly in a folder; return how many.

    A temporary file carries the number of the process that wrote it and its machine. Those of running processes stay,
    and those of other machines, whose processes cannot be seen from here, for a day.
    """
    is_running = is_running or process_is_running
    removed = 0
    try:
        names = [name for name in os.listdir(folder) if name.startswith(_TEMPORARY_PREFIX) and name.endswith(".tmp")]
    except OSError:  # not there, or not to be read: what follows says so
        return 0
    for path in (folder / name for name in names):
        number, _, rest = path.name.removeprefix(_TEMPORARY_PREFIX).partition("-")
        with suppress(OSError):  # another run removes it too, or the folder cannot be written to
            is_local = rest.startswith(_machine())
            is_old = time.time() - path.lstat().st_mtime > _FOREIGN_AGE_S
            if number.isdigit() and path.is_file() and (not is_running(int(number)) if is_local else is_old):
                path.unlink()
                removed += 1
    return removed


def process_is_running(number: int) -> bool:
    """Return whether a process of this machine has this number."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
