"""Read files from git repositories and Debian packages, which are downloaded if there is no local copy.

Nothing is installed or checked out: git objects are read by their ids, and packages are streamed through `tarfile`.
Local copies are not trusted: repositories are read without their settings, and the unpacked size is limited.
"""

from __future__ import annotations

import fnmatch
import hashlib
import lzma
import os
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO

from clavilux.corpus.programs import Pipe, run_program
from clavilux.corpus.table import Item, Source
from clavilux.errors import CorpusError

MAX_FILE_BYTES = 2**29  # largest picture or recording; about 50 minutes of CD audio as WAV
MAX_ARCHIVE_BYTES = 2**33  # largest .zip or .pk3 in a package; the largest in the shipped tables has 1 GB
MAX_PACKAGE_BYTES = 2**35  # largest unpacked package

_NAME = re.compile(r"(debian:[a-z0-9][a-z0-9.+-]*|[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*)", re.ASCII)
_VERSION = re.compile(r"([A-Za-z0-9][\w.+:~-]*)?", re.ASCII)
_BLOB = re.compile(r"[0-9a-f]{40}")
# Exceptions that `zipfile` raises for damaged, encrypted or unsupported archives.
_ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError)

Contents = Generator[tuple[Item, bytes], None, None]
Refuse = Callable[[Item, str], None]


@dataclass(frozen=True)
class Places:
    """Folders that are searched for the repositories and packages of a corpus before they are downloaded."""

    cache: Path  # folder of downloads
    mirror: Path | None = None  # folder of git clones
    debs: Path | None = None  # folder of .deb files


def read_items(
    source: Source, items: Sequence[Item], places: Places, *, refuse: Refuse = lambda item, reason: None
) -> Contents:
    """Yield each of the given files that the source has, as a tuple of its `Item` and its content.

    Parameters
    ----------
    source : Source
        A repository or a package.
    items : sequence of Item
        Files of this source. Files that the source does not have are skipped.
    places : Places
        Folders of local copies, and the folder for downloads.
    refuse : callable
        Is called with an item and a reason, for each item that the source has but that cannot be read.

    Yields
    ------
    tuple of Item and bytes
        Each item at most once, in any order. The content is not compared with its git hash, `Item.blob`.

    Raises
    ------
    CorpusError
        If the source cannot be found, downloaded or read.
    """
    if not _NAME.fullmatch(source.name) or not _VERSION.fullmatch(source.version):
        raise CorpusError(f"{source.name!r} {source.version!r}: a source is owner/name or debian:package")
    if source.package:
        yield from _read_package(_find_package(source, places), items, places.cache, refuse)
    else:
        yield from _read_repository(_find_repository(source, places), items, refuse)


def blob_id(content: bytes) -> str:
    """Return the git blob id (SHA-1) of a file, given its content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


# Git ----------------------------------------------------------------------------------------------------------------


def _find_repository(source: Source, places: Places) -> Path:
    cached = places.cache / "git" / f"{source.slug}.git"
    folders = [cached]
    if places.mirror is not None:
        name = source.name.partition("/")[2]
        names = (f"{source.slug}/repo", source.slug, source.name, f"{source.name}.git", name, f"{name}.git")
        folders = [*(places.mirror / each for each in names), cached]
    for folder in folders:
        for git_dir in (folder / ".git", folder):
            if (git_dir / "HEAD").is_file() and (git_dir / "objects").is_dir():
                return git_dir
    _clone(source, cached)
    return cached


def _clone(source: Source, target: Path) -> None:
    """Download the commit that the table names, or the newest one if the server no longer has that commit."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        bare = Path(scratch) / "bare"
        run_program(["git", "init", "--quiet", "--bare", "--template=", str(bare)], source.name)
        stalled = ["-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=120"]
        fetch = ["git", "--git-dir", str(bare), *stalled, "fetch", "--quiet", "--depth", "1", "--"]
        fetch.append(f"https://github.com/{source.name}")
        try:
            run_program([*fetch, source.version or "HEAD"], source.name)
        except CorpusError:
            run_program([*fetch, "HEAD"], source.name)
        os.replace(bare, target)


def _read_repository(git_dir: Path, items: Sequence[Item], refuse: Refuse) -> Contents:
    """Yield the files whose git blobs are in a repository; they need not be in its newest commit.

    The repository is not trusted. Git therefore runs in an empty temporary repository that uses only the objects of the
    given one, whose settings, hooks, remotes and replacements have no effect.
    """
    objects = (git_dir / "objects").absolute()
    _check_objects(git_dir, objects)
    with tempfile.TemporaryDirectory() as scratch:
        own = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
        with Pipe(["git", "init", "--quiet", "--bare", "--template=", scratch], str(git_dir), environment=own) as init:
            init.finish()
        command = ["git", "-c", "protocol.allow=never", "--git-dir", scratch, "cat-file", "--batch"]
        own["GIT_OBJECT_DIRECTORY"] = str(objects)
        with Pipe(command, str(git_dir), environment=own) as git:
            for item in items:
                if not _BLOB.fullmatch(item.blob):
                    continue  # git would read it as the name of something else
                git.write(f"{item.blob}\n")
                answer = git.readline().split()
                if not answer:
                    raise git.failure()
                if len(answer) != 3:  # "missing"
                    continue
                size = int(answer[2])
                if answer[1] == b"blob" and size <= MAX_FILE_BYTES:
                    content = git.read(size)
                    git.skip(1)  # the newline after each object
                    if len(content) < size:
                        raise git.failure()
                    yield item, content
                    continue
                git.skip(size + 1)
                refuse(item, _too_large(size) if answer[1] == b"blob" else "not a file in the source")


def _check_objects(git_dir: Path, objects: Path) -> None:
    """Raise a `CorpusError` if there are links or objects of other repositories, which could expose other files."""
    for name in ("alternates", "http-alternates"):
        if os.path.lexists(objects / "info" / name):
            raise CorpusError(
                f"{git_dir} borrows objects from other repositories (objects/info/{name}). Make it whole with "
                "`git repack -a -d`, remove that file, and build again."
            )
    inside = (Path(parent, name) for parent, folders, files in os.walk(objects) for name in (*folders, *files))
    for path in chain([objects], inside):
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise CorpusError(f"{path} is a link or not a regular file. Give a clone that has its own objects.")


# Debian -------------------------------------------------------------------------------------------------------------


def _find_package(source: Source, places: Places) -> Path:
    cached = places.cache / "debs"
    folders = [cached] if places.debs is None else [places.debs, cached]
    version = source.version.replace(":", "%3a")  # apt escapes the colon of an epoch in file names
    for pattern in (f"{source.package}_{version}_*.deb", f"{source.package}_*.deb"):
        for folder in folders:
            names = sorted(os.listdir(folder)) if folder.is_dir() else []
            found = [name for name in names if fnmatch.fnmatchcase(name, pattern) and (folder / name).is_file()]
            if found:
                return folder / found[-1]
    cached.mkdir(parents=True, exist_ok=True)
    return _download_package(source, cached)


def _download_package(source: Source, folder: Path) -> Path:
    """Download the version that the table names, or the newest one if the server no longer has that version."""
    command = ["apt-get", "--quiet", "download"]
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        try:
            wanted = f"{source.package}={source.version}" if source.version else source.package
            run_program([*command, wanted], source.name, cwd=Path(scratch))
        except CorpusError:
            if not source.version:
                raise
            run_program([*command, source.package], source.name, cwd=Path(scratch))
        found = sorted(Path(scratch).glob("*.deb"))
        if not found:
            raise CorpusError(f"{source.name}: apt-get downloaded nothing. Run apt-get update, or give --debs.")
        target = folder / found[0].name
        os.replace(found[0], target)
        return target


def _read_package(deb: Path, items: Sequence[Item], cache: Path, refuse: Refuse) -> Contents:
    wanted: dict[str, list[Item]] = {}  # path in the package -> the item, or all items in this archive
    for item in items:
        wanted.setdefault(item.path.partition("!/")[0], []).append(item)
    command = ["dpkg-deb", "--fsys-tarfile", str(deb.absolute())]
    with Pipe(command, str(deb), limit_bytes=MAX_PACKAGE_BYTES) as dpkg:
        try:
            with tarfile.open(fileobj=dpkg, mode="r|") as tar:  # type: ignore[call-overload]  # it has `read`, which is enough
                for member in tar:
                    path = str(PurePosixPath(member.name.removeprefix("./")))
                    if not member.isfile() or path not in wanted:
                        continue
                    found = wanted.pop(path)  # so that a second file of this name is skipped
                    is_archive = "!/" in found[0].path
                    if member.size > (MAX_ARCHIVE_BYTES if is_archive else MAX_FILE_BYTES):
                        for item in found:
                            refuse(item, _too_large(member.size))
                        continue
                    file = tar.extractfile(member)
                    assert file is not None  # a regular file has content
                    if is_archive:
                        yield from _read_archive(file, found, cache, refuse)
                    else:
                        yield found[0], file.read()
                    if not wanted:
                        return
        except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
            raise CorpusError(f"{deb} cannot be unpacked ({error}). Remove it and fetch it again.") from error
        dpkg.finish()


def _read_archive(file: IO[bytes], items: Sequence[Item], cache: Path, refuse: Refuse) -> Contents:
    """Yield files of a .zip or .pk3 archive; it is first copied to disk, because it may be larger than memory."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=cache) as copy:
        shutil.copyfileobj(file, copy, 1 << 20)
        try:
            archive = zipfile.ZipFile(copy)
            members = {member.filename: member for member in archive.infolist()}
        except _ZIP_FAULTS as error:
            for item in items:
                refuse(item, f"{item.path.partition('!/')[0]} is not a readable archive ({error})")
            return
        with archive:
            for item in items:
                member = members.get(item.path.partition("!/")[2])
                if member is None:
                    continue
                if member.file_size > MAX_FILE_BYTES:
                    refuse(item, _too_large(member.file_size))
                    continue
                try:
                    content = archive.read(member)
                except _ZIP_FAULTS as error:
                    refuse(item, f"cannot be unpacked ({str(error) or type(error).__name__})")
                    continue
                yield item, content


def _too_large(size: int) -> str:
    return f"too large: {size / 2**20:.0f} MB, at most {MAX_FILE_BYTES / 2**20:.0f} are read"
