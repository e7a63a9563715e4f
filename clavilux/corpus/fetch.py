"""Read files from git repositories and Debian packages: from local copies if there are any, else from the network.

Nothing is installed or checked out: git objects are read by their ids, and packages are streamed through `tarfile`.
Local copies are not trusted: repositories are read without their own settings, and the unpacked size is limited.
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
from pathlib import Path, PurePosixPath
from typing import IO

from clavilux.corpus.programs import Pipe, run_program
from clavilux.corpus.table import Item, Source
from clavilux.errors import CorpusError

MAX_FILE_BYTES = 2**29  # of one picture or recording; an hour of CD audio as WAV has 2**29.2
MAX_ARCHIVE_BYTES = 2**33  # of a .zip or .pk3 in a package; the largest of the shipped tables has 1 GB
MAX_PACKAGE_BYTES = 2**35  # unpacked

_NAME = re.compile(r"(debian:[a-z0-9][a-z0-9.+-]*|[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*)", re.ASCII)
_VERSION = re.compile(r"([A-Za-z0-9][\w.+:~-]*)?", re.ASCII)
_BLOB = re.compile(r"[0-9a-f]{40}")
# Exceptions that `zipfile` raises for damaged, encrypted or unsupported archives.
_ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError)

Refuse = Callable[[Item, str], None]


@dataclass(frozen=True)
class Places:
    """Folders in which sources are searched."""

    cache: Path  # folder of downloads
    mirror: Path | None = None  # folder of git clones
    debs: Path | None = None  # folder of .deb files


def read_items(
    source: Source, items: Sequence[Item], places: Places, *, refuse: Refuse = lambda item, reason: None
) -> Generator[tuple[Item, bytes], None, None]:
    """Yield the content of each item that the source has.

    Parameters
    ----------
    source : Source
        The repository or package.
    items : sequence of Item
        Files of this source; those that it does not have are skipped.
    places : Places
        Local copies, and the folder for downloads.
    refuse : callable
        Called with an item and a reason, for each item that the source has but that cannot be read.

    Yields
    ------
    tuple of Item and bytes
        In any order, each item at most once. The content is not checked against its git hash, `Item.blob`.

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
    """Return the git blob id (SHA-1) of a file with this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


# Git ----------------------------------------------------------------------------------------------------------------


def _find_repository(source: Source, places: Places) -> Path:
    owner, _, name = source.name.partition("/")
    cached = places.cache / "git" / f"{source.slug}.git"
    candidates = [cached]
    if places.mirror is not None:
        folders = [
            f"{owner}+{name}/repo",
            f"{owner}+{name}",
            f"{owner}/{name}",
            f"{owner}/{name}.git",
            name,
            f"{name}.git",
        ]
        candidates = [places.mirror / folder for folder in folders] + candidates
    for folder in candidates:
        for git_dir in (folder / ".git", folder):
            if (git_dir / "HEAD").is_file() and (git_dir / "objects").is_dir():
                return git_dir
    _clone(source, cached)
    return cached


def _clone(source: Source, target: Path) -> None:
    """Fetch the commit that the table names, or the newest one if the server no longer has it."""
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


def _read_repository(git_dir: Path, items: Sequence[Item], refuse: Refuse) -> Generator[tuple[Item, bytes], None, None]:
    """Read objects by id from one `git cat-file --batch`; an id finds the file in any commit.

    Git runs in an empty repository that only uses the objects of the other one, so that settings, hooks, remotes and
    replacements of an untrusted repository have no effect.
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
    """Refuse a repository whose objects are links to other places: it could expose files of this machine."""
    for name in ("alternates", "http-alternates"):
        if os.path.lexists(objects / "info" / name):
            raise CorpusError(
                f"{git_dir} borrows objects from other repositories (objects/info/{name}). Make it whole with "
                "`git repack -a -d`, remove that file, and build again."
            )
    if objects.is_symlink():
        raise CorpusError(f"{objects} is a link. Give a clone that has its own objects.")
    for parent, folders, files in os.walk(objects):
        for name in (*folders, *files):
            mode = os.lstat(os.path.join(parent, name)).st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise CorpusError(
                    f"{parent}/{name} is a link or not a regular file. Give a clone that has its own objects."
                )


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
    wanted = [f"{source.package}={source.version}"] if source.version else []
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        try:
            command = ["apt-get", "--quiet", "download", *(wanted or [source.package])]
            run_program(command, source.name, cwd=Path(scratch))
        except CorpusError:
            if not wanted:
                raise
            run_program(["apt-get", "--quiet", "download", source.package], source.name, cwd=Path(scratch))
        found = sorted(Path(scratch).glob("*.deb"))
        if not found:
            raise CorpusError(f"{source.name}: apt-get downloaded nothing. Run apt-get update, or give --debs.")
        target = folder / found[0].name
        os.replace(found[0], target)
        return target


def _read_package(
    deb: Path, items: Sequence[Item], cache: Path, refuse: Refuse
) -> Generator[tuple[Item, bytes], None, None]:
    plain = {item.path: item for item in items if "!/" not in item.path}
    packed: dict[str, list[Item]] = {}
    for item in items:
        archive, separator, _ = item.path.partition("!/")
        if separator:
            packed.setdefault(archive, []).append(item)

    command = ["dpkg-deb", "--fsys-tarfile", str(deb.absolute())]
    with Pipe(command, str(deb), limit_bytes=MAX_PACKAGE_BYTES) as dpkg:
        try:
            with tarfile.open(fileobj=dpkg, mode="r|") as tar:  # type: ignore[call-overload]  # it has `read`, which is enough
                for member in tar:
                    path = str(PurePosixPath(member.name.removeprefix("./")))
                    if not member.isfile() or (path not in plain and path not in packed):
                        continue
                    wanted = [plain.pop(path)] if path in plain else packed.pop(path)  # only the first of this name
                    limit = MAX_ARCHIVE_BYTES if "!/" in wanted[0].path else MAX_FILE_BYTES
                    if member.size > limit:
                        for item in wanted:
                            refuse(item, _too_large(member.size))
                        continue
                    file = tar.extractfile(member)
                    assert file is not None  # a regular file has content
                    if "!/" in wanted[0].path:
                        yield from _read_archive(file, wanted, cache, refuse)
                    else:
                        yield wanted[0], file.read()
                    if not plain and not packed:
                        return
        except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
            raise CorpusError(f"{deb} cannot be unpacked ({error}). Remove it and fetch it again.") from error
        dpkg.finish()


def _read_archive(
    file: IO[bytes], items: Sequence[Item], cache: Path, refuse: Refuse
) -> Generator[tuple[Item, bytes], None, None]:
    """Yield files of a .zip or .pk3 in a package, copied to disk first, as it may be larger than memory."""
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
                    refuse(item, f"cannot be unpacked ({error or type(error).__name__})")
                    continue
                yield item, content


def _too_large(size: int) -> str:
    return f"too large: {size / 2**20:.0f} MB, at most {MAX_FILE_BYTES / 2**20:.0f} are read"
