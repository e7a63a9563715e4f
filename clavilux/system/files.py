"""List the files of a folder, check file names, and write files atomically.

All commands use this module, so that they treat hidden files, links, unusual names and a full disk in the same way.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import time
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
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
"""Error number of a shortage in the system -> advice for the user; nothing is wrong with the file then."""

FIRST_VERSION = "files of the first version (.pth) cannot be loaded; train again (docs/training.md)"
DOWNLOAD_IT = "is a web address; download it and give the file"

Identity = tuple[int, int]
"""Device and inode, which identify a file under all its names."""

_TEMPORARY_PREFIX = ".clavilux-"
_WRITE_BITS = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_CAN_PROBE = os.name == "posix"  # on Windows, `os.kill` with the signal 0 sends Ctrl-C instead of probing a process
_FOREIGN_AGE_S = 86_400.0  # age from which temporary files of other machines are removed


@dataclass(frozen=True)
class FolderListing:
    """The files in a folder and its subfolders, as `list_folder` found them.

    Attributes
    ----------
    files : tuple of Path
        Files with a wanted extension, sorted by path.
    skipped : dict of Path to str
        Path -> reason, for paths that were skipped although a user may expect their files here: unreadable folders,
        links to folders, broken links, and files in formats that are not supported.
    unreadable : frozenset of Path
        Members of `skipped` that could not be read, so that `files` may be incomplete.
    """

    files: tuple[Path, ...]
    skipped: dict[Path, str] = field(default_factory=dict)
    unreadable: frozenset[Path] = frozenset()

    def faults(self) -> list[str]:
        """Return messages about the paths in `unreadable`: one line per reason, with the first three paths."""
        return self._messages(unreadable=True)

    def hints(self) -> list[str]:
        """Return messages about the skipped paths that are not in `unreadable`, in the same form as `faults`."""
        return self._messages(unreadable=False)

    def _messages(self, *, unreadable: bool) -> list[str]:
        by_reason: dict[str, list[str]] = {}
        for path, reason in self.skipped.items():
            if (path in self.unreadable) == unreadable:
                by_reason.setdefault(reason, []).append(str(path))
        return [f"{first_names(names)}: skipped, {reason}" for reason, names in by_reason.items()]


def first_names(names: Sequence[str]) -> str:
    """Return the first three names of a list and the number of further names, as text.

    Examples
    --------
    >>> first_names(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    rest = len(names) - 3
    return ", ".join(names[:3]) + (f" and {rest} more" if rest > 0 else "")


def check_shortage(error: OSError) -> None:
    """Raise a `ClaviluxError` if the error number of an `OSError` is one of `SHORTAGES`.

    Call this function in an ``except OSError`` clause, before the clause reports that a file cannot be read: if memory
    or file handles have run out, nothing is wrong with the file.
    """
    if error.errno in SHORTAGES:
        where = f"{error.filename}: " if error.filename else ""
        raise ClaviluxError(f"{where}{SHORTAGES[error.errno]} ({error.strerror})") from error


def list_folder(
    folder: Path, suffixes: frozenset[str] | None, *, unsupported: frozenset[str] = frozenset()
) -> FolderListing:
    """Return the files of a folder and its subfolders that have one of the given extensions.

    Names that begin with a dot are ignored: macOS writes a ``._song.mp3`` beside each song, and Jupyter keeps copies in
    ``.ipynb_checkpoints``. The result also names the paths that are skipped: folders that cannot be read, links to
    folders (they may form a cycle or point outside the folder), broken links, paths that are not regular files, and
    files with an extension in ``unsupported``. A lack of memory or of file handles raises a `ClaviluxError`.

    Parameters
    ----------
    folder : Path
        An existing folder.
    suffixes : frozenset of str or None
        Extensions in lower case, with the dot; None for all files.
    unsupported : frozenset of str
        Extensions in lower case, with the dot; files with these extensions are reported as skipped, because a user may
        expect that they are read.
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
    r"""Return a relative file name in a normal form, so that names in tables and names on disk can be compared.

    Backslashes become slashes, Unicode is composed (NFC; macOS stores names decomposed), and ``.`` and empty parts are
    removed. Upper and lower case stay as they are.

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
    """Return the path of a file in a folder; None if its untrusted relative name leads out of the folder.

    The result is None for absolute names, for names with ``..`` or a drive letter, and for names that lead out of the
    folder through a link.
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


def web_address(path: object) -> str | None:
    """Return the web address from which a path was made, with the slash that `Path` removes; None for other paths.

    Examples
    --------
    >>> web_address("https:/example.com/a.mp3")
    'https://example.com/a.mp3'
    """
    found = re.match(r"(?!file:)([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", str(path))
    return f"{found[1]}://{found[2]}" if found else None


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise `OutputError` if an output file is also an input file.

    Files are compared by device and inode, so that a file is also recognised through a link or a hard link, or by a
    name in another case on a case-insensitive disk.
    """
    present = {identity(path): path for path in outputs}
    present.pop(None, None)
    for path in inputs if present else ():
        output = present.get(identity(path))
        if output is not None:
            name = f"{output}" if output == path else f"{output} (the same file as {path})"
            raise OutputError(f"{name} is read and would be overwritten; give another output")


def identity(path: Path) -> Identity | None:
    """Return device and inode of a file; None if the file does not exist."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def write_whole(path: Path, content: bytes | memoryview, *, durable: bool = False) -> None:
    """Write a file atomically, and create its folder if it is missing.

    With ``durable``, the function waits until the content is on the disk, so that the content survives a loss of power.
    If the file cannot be written, an `OSError` is raised, the previous file is unchanged, and no temporary file
    remains.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, durable=durable) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path, *, durable: bool = False, exclusive: bool = False) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; at the end of the ``with`` block, rename it to ``path``.

    If the block raises an exception, the temporary file is removed and the previous file is unchanged. With
    ``durable``, the content is on the disk before the rename, so that a loss of power does not leave an empty file.
    With ``exclusive``, an existing file is not replaced, and `FileExistsError` is raised, even if two processes write
    at the same time. A pipe, a device or a file without permission to write is never replaced.
    """
    mode = stat.S_IFREG
    with suppress(OSError, ValueError):  # it does not exist yet
        mode = stat.S_IFMT(path.stat().st_mode)
    if mode not in (stat.S_IFREG, stat.S_IFDIR):
        raise OSError(errno.EINVAL, "it is a pipe or a device", str(path))
    if is_read_only(path):  # a rename would replace it
        raise OSError(errno.EACCES, "the file is read-only", str(path))
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


def is_read_only(path: Path) -> bool:
    """Return whether a path is a file that nobody may write, by its mode; root could write it nevertheless."""
    with suppress(OSError, ValueError):
        mode = path.stat().st_mode
        return stat.S_ISREG(mode) and not mode & _WRITE_BITS
    return False


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
    """Remove the temporary files of this process; called before the process ends without cleaning up."""
    for path in tuple(_own_temporaries):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _machine() -> str:
    """Return a hash of the name of this machine.

    On a shared disk, it tells apart processes that have the same ID but run on different machines.
    """
    name = os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
    return f"{zlib.crc32(os.fsencode(name)):08x}"


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of killed processes from a folder, but not from its subfolders.

    The name of a temporary file contains the ID of the process that wrote it, and a hash of the name of its machine. A
    file of this machine is removed if its process is not running. A file of another machine, and on Windows any file,
    is removed if it is older than a day, because its process cannot be checked.
    """
    try:
        names = [name for name in os.listdir(folder) if name.startswith(_TEMPORARY_PREFIX) and name.endswith(".tmp")]
    except OSError:  # missing or unreadable; later steps report it
        return
    for name in names:
        process_id, _, rest = name.removeprefix(_TEMPORARY_PREFIX).partition("-")
        path = folder / name
        with suppress(OSError):  # removed by another run, or the folder is read-only
            if not process_id.isdecimal() or not path.is_file():
                continue
            if _CAN_PROBE and rest.startswith(_machine()):
                is_leftover = not process_is_running(int(process_id))
            else:
                is_leftover = time.time() - path.lstat().st_mtime > _FOREIGN_AGE_S
            if is_leftover:
                path.unlink()


def process_is_running(process_id: int) -> bool:
    """Return whether a process with this ID is running on this machine; True also if this is unknown."""
    if not _CAN_PROBE:
        return True
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return True
