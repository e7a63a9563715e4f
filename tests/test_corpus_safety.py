"""A corpus is built from what strangers made: none of it runs, leads out of the folder, fills the memory or waits."""

from __future__ import annotations

import errno
import faulthandler
import io
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from test_corpus import (
    Log,
    make_item,
    make_package,
    make_picture,
    make_repository,
    make_source,
    make_zip,
    needs_dpkg,
    plain_git,  # noqa: F401  (a fixture)
)

import clavilux.corpus.store as store_module
from clavilux.corpus import fetch, programs
from clavilux.corpus.build import BuildSummary, build_corpus
from clavilux.corpus.fetch import Places, read_items
from clavilux.corpus.state import STATE_VERSIONS
from clavilux.corpus.table import Item
from clavilux.errors import CorpusError

GOOD = make_picture(1)


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    make_repository(tmp_path / "mirror" / "a" / "one", {"good.png": GOOD, "other.png": make_picture(2)})
    return tmp_path / "mirror"


def build(tmp_path: Path, *items: Item) -> BuildSummary:
    known = (make_item("a/one", "good.png", GOOD), *items)
    source = make_source("a/one")
    mirror = tmp_path / "mirror"
    return build_corpus("art", tmp_path / "out", progress=Log(), mirror=mirror, sources=[source], items=known)


def read(
    source_path: Path, *items: Item, name: str = "a/one", **places: Path
) -> tuple[dict[str, bytes], dict[str, str]]:
    refused: dict[str, str] = {}
    found = read_items(
        make_source(name),
        items,
        Places(source_path / "cache", **places),
        refuse=lambda item, reason: refused.__setitem__(item.path, reason),
    )
    return {item.path: content for item, content in found}, refused


# Names and links -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        *("../../../victim.png", "../../victim.png", "sub/../../../../victim.png"),
        *("..", "x/..", "a\0b.png", "link/victim.png"),
    ],
)
def test_a_name_that_leads_out_is_dropped_and_the_build_goes_on(mirror: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "out" / "files" / "a+one").mkdir(parents=True)
    (tmp_path / "out" / ".state").mkdir()
    (tmp_path / "out" / ".state" / "kind").write_text("art")
    (tmp_path / "outside").mkdir()
    (tmp_path / "out" / "files" / "a+one" / "link").symlink_to(tmp_path / "outside")
    summary = build(tmp_path, replace(make_item("a/one", "other.png", make_picture(2)), path=path))
    assert [row.path for row in summary.rows] == ["good.png"]
    assert [reason for _, reason in summary.dropped] == ["its name leads out of the corpus"]
    assert not list(tmp_path.rglob("victim.png"))
    assert (tmp_path / "outside").is_dir()


@pytest.mark.parametrize("name", ["files", ".state", ".cache"])
def test_a_folder_of_the_corpus_that_is_a_link_is_refused(mirror: Path, tmp_path: Path, name: str) -> None:
    build(tmp_path)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "holiday.jpg").write_bytes(b"mine")
    folder = tmp_path / "out" / name
    if folder.exists():
        folder.rename(tmp_path / "old")
    folder.symlink_to(mine)
    with pytest.raises(CorpusError, match="is a link"):
        build(tmp_path)
    assert [path.name for path in mine.iterdir()] == ["holiday.jpg"]


def test_links_in_the_folder_are_removed_and_what_they_point_at_stays(mirror: Path, tmp_path: Path) -> None:
    build(tmp_path)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "holiday.jpg").write_bytes(b"mine")
    (tmp_path / "out" / "files" / "folder").symlink_to(mine)
    (tmp_path / "out" / "files" / "a+one" / "file.jpg").symlink_to(mine / "holiday.jpg")
    good = tmp_path / "out" / "files" / "a+one" / "good.png"
    good.unlink()
    good.symlink_to(mine / "holiday.jpg")
    build(tmp_path)
    assert (mine / "holiday.jpg").read_bytes() == b"mine"
    assert good.read_bytes() == GOOD
    assert not any(path.is_symlink() for path in (tmp_path / "out" / "files").rglob("*"))


# Git -----------------------------------------------------------------------------------------------------------------


def test_a_repository_has_no_say_in_how_it_is_read(mirror: Path, tmp_path: Path) -> None:
    git_dir = mirror / "a" / "one" / ".git"
    command = f"touch {tmp_path}/pwned; false"
    (git_dir / "config").write_text(
        "[core]\n\trepositoryformatversion = 1\n"
        f"\tfsmonitor = {command}\n\tsshCommand = {command}\n\tpager = {command}\n\thooksPath = {tmp_path}\n"
        "[extensions]\n\tpartialClone = origin\n"
        f'[remote "origin"]\n\turl = {tmp_path}\n\tpromisor = true\n\tuploadpack = {command}\n'
        f"[include]\n\tpath = {tmp_path}/no such file\n"
    )
    missing = make_item("a/one", "missing.png", b"never committed")
    found, refused = read(tmp_path, make_item("a/one", "good.png", GOOD), missing, mirror=mirror)
    assert found == {"good.png": GOOD}
    assert not refused
    assert not (tmp_path / "pwned").exists()


def test_the_environment_of_git_leads_nowhere_else(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = make_repository(tmp_path / "private", {"secret.png": b"secret"})
    monkeypatch.setenv("GIT_DIR", str(private / ".git"))
    monkeypatch.setenv("GIT_ALTERNATE_OBJECT_DIRECTORIES", str(private / ".git" / "objects"))
    items = make_item("a/one", "good.png", GOOD), make_item("a/one", "secret.png", b"secret")
    assert read(tmp_path, *items, mirror=mirror)[0] == {"good.png": GOOD}


def borrow(git_dir: Path, private: Path) -> None:
    (git_dir / "objects" / "info").mkdir(exist_ok=True)
    (git_dir / "objects" / "info" / "alternates").write_text(f"{private}\n")


def link_all(git_dir: Path, private: Path) -> None:
    (git_dir / "objects").rename(git_dir / "old")
    (git_dir / "objects").symlink_to(private)


def link_some(git_dir: Path, private: Path) -> None:
    for folder in private.iterdir():
        if len(folder.name) == 2 and not (git_dir / "objects" / folder.name).exists():
            (git_dir / "objects" / folder.name).symlink_to(folder)


def link_pack(git_dir: Path, private: Path) -> None:
    subprocess.run(["git", "-C", str(private.parents[1]), "gc", "--quiet"], check=True)
    for pack in (private / "pack").iterdir():
        (git_dir / "objects" / "pack" / pack.name).symlink_to(pack)


def pipe(git_dir: Path, private: Path) -> None:
    os.mkfifo(git_dir / "objects" / "pack" / "pack-1.pack")


@pytest.mark.parametrize("trick", [borrow, link_all, link_some, link_pack, pipe])
@pytest.mark.parametrize("empty", [False, True])
def test_objects_of_other_repositories_are_not_read(
    mirror: Path, tmp_path: Path, trick: Callable[[Path, Path], None], empty: bool
) -> None:
    private = make_repository(tmp_path / "private", {"secret.png": b"secret", "more.png": b"more"}) / ".git" / "objects"
    git_dir = mirror / "a" / "one" / ".git"
    if empty:
        git_dir = mirror / "a" / "two.git"
        subprocess.run(["git", "init", "--quiet", "--bare", str(git_dir)], check=True)
    trick(git_dir, private)
    name = "a/two" if empty else "a/one"
    with pytest.raises(CorpusError, match=r"borrows objects|is a link"):
        read(tmp_path, make_item(name, "secret.png", b"secret"), name=name, mirror=mirror)


@pytest.mark.parametrize("blob", ["HEAD:good.png", "", "HEAD\nHEAD", "--help", "f" * 41])
def test_an_id_that_is_none_is_not_asked_for(mirror: Path, tmp_path: Path, blob: str) -> None:
    items = replace(make_item("a/one", "x.png", b""), blob=blob), make_item("a/one", "good.png", GOOD)
    assert read(tmp_path, *items, mirror=mirror)[0] == {"good.png": GOOD}


def test_an_id_of_a_folder_gives_no_file(mirror: Path, tmp_path: Path) -> None:
    tree = subprocess.run(
        ["git", "-C", str(mirror / "a" / "one"), "rev-parse", "HEAD^{tree}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    items = replace(make_item("a/one", "x.png", b""), blob=tree), make_item("a/one", "good.png", GOOD)
    found, refused = read(tmp_path, *items, mirror=mirror)
    assert (found, list(refused)) == ({"good.png": GOOD}, ["x.png"])


@pytest.mark.parametrize(
    "change",
    [
        *({"name": name} for name in ("../x", "a/../../b", "-u/x", "a b/c", "debian:../x", "debian:-x", "a/b\nc", "")),
        *({"version": version} for version in ("--upload-pack=touch pwned", "a b", "HEAD\n")),
    ],
)
def test_names_of_sources_are_checked_before_a_program_gets_them(tmp_path: Path, change: dict[str, str]) -> None:
    with pytest.raises(CorpusError, match="a source is owner/name or debian:package"):
        list(read_items(replace(make_source("a/one"), **change), [], Places(tmp_path)))


# Sizes, times and faults of single files -----------------------------------------------------------------------------


def test_a_large_file_of_a_repository_is_left_out(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_repository(mirror / "a" / "one", {"large.png": bytes(10**7)})
    monkeypatch.setattr(fetch, "MAX_FILE_BYTES", 10**6)
    items = make_item("a/one", "large.png", bytes(10**7)), make_item("a/one", "good.png", GOOD)
    found, refused = read(tmp_path, *items, mirror=mirror)
    assert found == {"good.png": GOOD}
    assert refused["large.png"].startswith("too large: 10 MB")


def make_odd_zip() -> bytes:
    """An archive with a file that is good, one that is large, one that is damaged, and two of one name."""
    content = io.BytesIO(make_zip({"good": b"good", "large": bytes(10**7), "damaged": b"\1" * 999}))
    with zipfile.ZipFile(content, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("good", b"good")
    whole = content.getvalue()
    at = whole.index(b"damaged") + len("damaged")
    return whole[:at] + b"\xff\xff" + whole[at + 2 :]


@needs_dpkg
def test_each_file_of_a_package_stands_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "debs").mkdir()
    files = {"m.pk3": make_odd_zip(), "large": bytes(10**7), "good": b"good", "no.zip": b"no archive"}
    make_package(tmp_path / "debs", "odd", "1", files, {"link": "/etc/passwd"})
    monkeypatch.setattr(fetch, "MAX_FILE_BYTES", 10**6)
    paths = ["m.pk3!/good", "m.pk3!/large", "m.pk3!/damaged", "large", "good", "no.zip!/x", "link", "m.pk3!/../good"]
    items = [make_item("debian:odd", path, None) for path in paths]
    found, refused = read(tmp_path, *items, name="debian:odd", debs=tmp_path / "debs")
    assert found == {"m.pk3!/good": b"good", "good": b"good"}
    assert set(refused) == {"m.pk3!/large", "m.pk3!/damaged", "large", "no.zip!/x"}
    assert refused["large"] == refused["m.pk3!/large"] == "too large: 10 MB, at most 1 are read"
    monkeypatch.setattr(fetch, "MAX_ARCHIVE_BYTES", 100)
    assert read(tmp_path, items[0], name="debian:odd", debs=tmp_path / "debs")[1]["m.pk3!/good"].startswith("too large")
    monkeypatch.setattr(fetch, "MAX_PACKAGE_BYTES", 10**5)
    with pytest.raises(CorpusError, match="unpacks to more than is allowed"):
        read(tmp_path, make_item("debian:odd", "absent", None), name="debian:odd", debs=tmp_path / "debs")


def fake_dpkg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    programs_folder = tmp_path / "bin"
    programs_folder.mkdir()
    (programs_folder / "dpkg-deb").write_text(f"#!/bin/sh\n{script}\n")
    (programs_folder / "dpkg-deb").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs_folder}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "p_1_all.deb").touch()


def test_a_program_that_gives_nothing_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_dpkg(tmp_path, monkeypatch, "exec sleep 60")
    monkeypatch.setattr(programs, "SILENT_S", 0.2)
    started = time.monotonic()
    with pytest.raises(CorpusError, match="gave no output"):
        read(tmp_path, make_item("debian:p", "x", None), name="debian:p", debs=tmp_path)
    assert time.monotonic() - started < 10


def test_a_file_that_comes_twice_is_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tarfile.open(tmp_path / "twice.tar", "w") as tar:
        for content in (b"first", b"second"):
            member = tarfile.TarInfo("./x")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    fake_dpkg(tmp_path, monkeypatch, f"cat {tmp_path}/twice.tar")
    items = make_item("debian:p", "x", None), make_item("debian:p", "absent", None)
    assert read(tmp_path, *items, name="debian:p", debs=tmp_path)[0] == {"x": b"first"}


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are forks, so that patches reach them, also if a test before has left a thread in this process."""
    if sys.platform != "linux":
        pytest.skip("workers are not forked")
    for module in ("workers", "jobs"):
        monkeypatch.setattr(f"clavilux.system.{module}.can_fork", lambda: True)


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize(
    "error",
    [RuntimeError("two\nlines"), MemoryError(), RecursionError(), AssertionError(), OSError(5, "I/O"), KeyError("x")],
)
def test_whatever_a_file_does_the_others_are_measured(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    whole = store_module.measure_picture

    def measure(content: bytes) -> object:
        if content != GOOD:
            raise error
        return whole(content)

    monkeypatch.setattr(store_module, "measure_picture", measure)
    summary = build(tmp_path, make_item("a/one", "other.png", make_picture(2)))
    assert [row.path for row in summary.rows] == ["good.png"]
    ((item, reason),) = summary.dropped
    assert item.path == "other.png"
    assert reason.startswith(f"does not decode: {type(error).__name__}, ") and "\n" not in reason


@pytest.mark.usefixtures("forked")
def test_a_file_that_crashes_the_decoder_is_dropped_with_the_reason(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = store_module.measure_picture

    def measure(content: bytes) -> object:
        if content != GOOD:
            faulthandler.disable()  # pytest's, which would print a traceback
            os.abort()
        return whole(content)

    monkeypatch.setattr(store_module, "measure_picture", measure)
    summary = build(tmp_path, make_item("a/one", "other.png", make_picture(2)))
    assert [row.path for row in summary.rows] == ["good.png"]
    ((item, reason),) = summary.dropped
    assert item.path == "other.png"
    assert reason.startswith("does not decode: ") and "SIGABRT" in reason
    assert not any((tmp_path / "out" / ".cache").iterdir())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_full_disk_ends_the_build_with_one_line_and_the_next_goes_on(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    whole = os.replace

    def full(source: Path, target: Path) -> None:
        if "files" in Path(target).parts:
            raise OSError(code, os.strerror(code), str(target))
        whole(source, target)

    with monkeypatch.context() as no_room:
        no_room.setattr(os, "replace", full)
        with pytest.raises(CorpusError, match=rf"out: cannot be written to \({os.strerror(code)}\)"):
            build(tmp_path)
    assert [row.path for row in build(tmp_path).rows] == ["good.png"]


@pytest.mark.parametrize(
    "content",
    [*("[]", "null", "\0", "[" * 9_999), '{"version": N, "records": []}', '{"version": N, "records": {"good.png": 3}}'],
)
def test_damaged_state_of_any_kind_is_named(mirror: Path, tmp_path: Path, content: str) -> None:
    build(tmp_path)
    (tmp_path / "out" / ".state" / "a+one.json").write_text(content.replace("N", str(STATE_VERSIONS["art"])))
    with pytest.raises(CorpusError, match=r"a\+one\.json is damaged .*Remove it and build again"):
        build(tmp_path)
    (tmp_path / "out" / ".state" / "kind").write_text("\0")
    with pytest.raises(CorpusError, match="kind is damaged"):
        build(tmp_path)
