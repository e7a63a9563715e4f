"""Reading files out of git repositories and Debian packages: from local copies where there are any, else from the net.

Nothing is installed and nothing is checked out: git objects are read by their ids, packages are streamed through
`tarfile`.
"""

import fnmatch
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from clavilux.corpus.table import Item, Source
from clavilux.errors import CorpusError


@dataclass(frozen=True)
class Places:
    """Where sources are looked for."""

    cache: Path  # what was downloaded stays here
    mirror: Path | None = None  # folder of git clones
    debs: Path | None = None  # folder of .deb files


def read_items(source: Source, items: Sequence[Item], places: Places) -> Iterator[tuple[Item, bytes]]:
    """Yield the content of each item that the source has; those that it lacks are left out.

    Parameters
    ----------
    source : Source
        The repository or package.
    items : sequence of Item
        Files of this source.
    places : Places
        Local copies, and the folder for downloads.

    Yields
    ------
    tuple of Item and bytes
        In any order, each item at most once. The content is not checked against `Item.blob`.

    Raises
    ------
    CorpusError
        If the source cannot be had, with the reason and what to do.
    """
    if source.package:
        yield from _read_package(_find_package(source, places), items, places.cache)
    else:
        yield from _read_repository(_find_repository(source, places), items)


def blob_id(content: bytes) -> str:
    """The id that git gives to a file of this content (SHA-1)."""
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
    """Fetch the one commit that the table names, or the newest where the server no longer gives that one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        bare = Path(scratch) / "bare"
        _run(["git", "init", "--quiet", "--bare", str(bare)], source)
        url = f"https://github.com/{source.name}"
        git = ["git", "--git-dir", str(bare), "fetch", "--quiet", "--depth", "1", url]
        try:
            _run([*git, source.version or "HEAD"], source)
        except CorpusError:
            _run([*git, "HEAD"], source)
        os.replace(bare, target)


def _read_repository(git_dir: Path, items: Sequence[Item]) -> Iterator[tuple[Item, bytes]]:
    """Ask one `git cat-file --batch` for one object after the other, by id: ids find the file in whatever commit."""
    command = ["git", "--git-dir", str(git_dir), "cat-file", "--batch"]
    with _open_pipe(command, stdin=subprocess.PIPE) as git:
        assert git.stdin is not None and git.stdout is not None  # both were asked for
        for item in items:
            git.stdin.write(f"{item.blob}\n".encode())
            git.stdin.flush()
            answer = git.stdout.readline().split()
            if not answer:
                raise CorpusError(
                    f"{git_dir}: git ended while it read {item.path}. Remove this clone and fetch it again."
                )
            if answer[-1] == b"missing":
                continue
            content = git.stdout.read(int(answer[2]))
            git.stdout.read(1)  # the newline after each object
            yield item, content
        git.stdin.close()


# Debian -------------------------------------------------------------------------------------------------------------


def _find_package(source: Source, places: Places) -> Path:
    cached = places.cache / "debs"
    folders = [cached] if places.debs is None else [places.debs, cached]
    version = source.version.replace(":", "%3a")  # how apt writes the colon of an epoch into a file's name
    for pattern in (f"{source.package}_{version}_*.deb", f"{source.package}_*.deb"):
        for folder in folders:
            names = sorted(os.listdir(folder)) if folder.is_dir() else []
            found = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
            if found:
                return folder / found[-1]
    cached.mkdir(parents=True, exist_ok=True)
    return _download_package(source, cached)


def _download_package(source: Source, folder: Path) -> Path:
    wanted = [f"{source.package}={source.version}"] if source.version else []
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        try:
            _run(["apt-get", "--quiet", "download", *(wanted or [source.package])], source, cwd=Path(scratch))
        except CorpusError:
            if not wanted:
                raise
            _run(["apt-get", "--quiet", "download", source.package], source, cwd=Path(scratch))
        found = sorted(Path(scratch).glob("*.deb"))
        if not found:
            raise CorpusError(f"{source.name}: apt-get downloaded nothing. Run apt-get update, or give --debs.")
        target = folder / found[0].name
        os.replace(found[0], target)
        return target


def _read_package(deb: Path, items: Sequence[Item], cache: Path) -> Iterator[tuple[Item, bytes]]:
    plain = {item.path: item for item in items if "!/" not in item.path}
    packed: dict[str, list[Item]] = {}
    for item in items:
        archive, separator, _ = item.path.partition("!/")
        if separator:
            packed.setdefault(archive, []).append(item)

    with _open_pipe(["dpkg-deb", "--fsys-tarfile", str(deb)]) as dpkg:
        assert dpkg.stdout is not None  # it was asked for
        try:
            with tarfile.open(fileobj=dpkg.stdout, mode="r|") as tar:
                for member in tar:
                    path = str(PurePosixPath(member.name.removeprefix("./")))
                    if not member.isfile() or (path not in plain and path not in packed):
                        continue
                    file = tar.extractfile(member)
                    assert file is not None  # a regular file has content
                    if path in plain:
                        yield plain[path], file.read()
                    else:
                        yield from _read_archive(file, packed[path], cache)
        except tarfile.TarError as error:
            raise CorpusError(f"{deb} cannot be unpacked ({error}). Remove it and fetch it again.") from error


def _read_archive(file: IO[bytes], items: Sequence[Item], cache: Path) -> Iterator[tuple[Item, bytes]]:
    """Files inside a .zip or .pk3 that stands in a package. It may be larger than memory, so it goes to disk first."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=cache) as copy:
        shutil.copyfileobj(file, copy, 1 << 20)
        try:
            with zipfile.ZipFile(copy) as archive:
                names = set(archive.namelist())
                for item in items:
                    inner = item.path.partition("!/")[2]
                    if inner in names:
                        yield item, archive.read(inner)
        except zipfile.BadZipFile as error:
            raise CorpusError(f"{items[0].path.partition('!/')[0]} is no readable archive ({error}).") from error


# Programs -----------------------------------------------------------------------------------------------------------

# Without these git would wait for a password where a repository is gone, or fetch the missing objects one by one.
_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}


def _run(command: list[str], source: Source, *, cwd: Path | None = None) -> None:
    _require(command[0])
    done = subprocess.run(command, cwd=cwd, env=os.environ | _ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise CorpusError(f"{source.name} cannot be had: {command[0]} says: {lines[-1]}")


def _open_pipe(command: list[str], *, stdin: int | None = None) -> "_Pipe":
    _require(command[0])
    return _Pipe(command, stdin)


class _Pipe:
    """A program whose output is read as it comes; one that fails raises, one whose reader leaves early is stopped."""

    def __init__(self, command: list[str], stdin: int | None) -> None:
        self._command = command
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed in __exit__; a pipe could fill up and block)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | _ENVIRONMENT,
        )

    def __enter__(self) -> "subprocess.Popen[bytes]":
        return self._process

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        process = self._process
        if kind is None and process.stdout is not None:
            while process.stdout.read(1 << 20):  # what the reader left, so that the program can end by itself
                pass
        else:
            process.kill()
        code = process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        self._errors.close()
        if kind is None and code != 0:
            raise CorpusError(f"{' '.join(self._command)} failed: {said[-1] if said else f'exit code {code}'}")


def _require(program: str) -> None:
    if shutil.which(program) is None:
        raise CorpusError(f"{program} is not installed. Install it, or give local copies with --mirror and --debs.")
