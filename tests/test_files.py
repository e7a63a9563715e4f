"""Which files of a folder are read, what their names mean elsewhere, and how files are written."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from pathlib import Path

import pytest

from clavilux.errors import AudioError, ClaviluxError
from clavilux.system import files
from clavilux.system.files import (
    check_shortage,
    first_names,
    identity,
    is_text,
    list_folder,
    normalise_name,
    path_inside,
    process_is_running,
    remove_leftovers,
    replacing,
    write_whole,
)

SOUND = frozenset({".wav", ".mp3"})


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_files_are_listed_in_order_without_hidden_ones(tmp_path: Path) -> None:
    touch(tmp_path, "b.MP3", "a/z.mp3", ".hidden.mp3", ".git/c.mp3", "cover.png", "._b.mp3")
    touch(tmp_path, "a/.ipynb_checkpoints/z.mp3", "no suffix")
    listing = list_folder(tmp_path, SOUND)
    assert listing.files == (tmp_path / "a" / "z.mp3", tmp_path / "b.MP3")
    assert listing.hints() == listing.faults() == []
    assert [path.name for path in list_folder(tmp_path, None).files] == ["z.mp3", "b.MP3", "cover.png", "no suffix"]


def test_what_is_passed_over_is_named_with_its_reason(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp3", "b.mid", "c.mid", "d.MID", "e.mid", "f.mid")
    (tmp_path / "folder.mp3").mkdir()
    (tmp_path / "to file.mp3").symlink_to("a.mp3")
    (tmp_path / "to folder").symlink_to(".")
    (tmp_path / "to nowhere.mp3").symlink_to("nowhere")
    (tmp_path / "to itself.wav").symlink_to("to itself.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    listing = list_folder(tmp_path, SOUND, unsupported=frozenset({".mid"}))
    assert [path.name for path in listing.files] == ["a.mp3", "to file.mp3"]
    lines = [line.replace(f"{tmp_path}/", "") for line in listing.hints()]
    assert lines == [
        "b.mid, c.mid, d.MID and 2 more: skipped, .mid is not supported",
        "pipe.wav: skipped, not a regular file",
        "to folder: skipped, a link to a folder; name that folder itself",
        "to itself.wav, to nowhere.mp3: skipped, a broken link",
    ]
    assert listing.faults() == []


def test_a_folder_that_cannot_be_read_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "closed/a.mp3", "open/b.mp3")
    scan = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    listing = list_folder(tmp_path, SOUND)
    assert [path.name for path in listing.files] == ["b.mp3"]
    assert listing.faults() == [f"{tmp_path / 'closed'}: skipped, cannot be read (Permission denied)"]
    assert listing.unreadable == {tmp_path / "closed"}


@pytest.mark.parametrize("number", sorted(files.SHORTAGES))
def test_a_shortage_of_the_system_is_no_fault_of_the_folder(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> object:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ClaviluxError, match=r"; (raise the limit|close other programs)") as refused:
        list_folder(tmp_path, SOUND)
    assert not isinstance(refused.value, AudioError)
    check_shortage(PermissionError(errno.EACCES, "Permission denied"))  # is something else, and passes


def test_first_names_says_how_many_more_there_are() -> None:
    assert [first_names("abcd"[:n]) for n in range(5)] == ["", "a", "a, b", "a, b, c", "a, b, c and 1 more"]


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("a.png", "a.png"),
        ("./a.png", "a.png"),
        ("sub\\a.png", "sub/a.png"),
        ("sub//./a.png", "sub/a.png"),
        ("cafe\N{COMBINING ACUTE ACCENT}.png", "caf\N{LATIN SMALL LETTER E WITH ACUTE}.png"),
        ("A.png", "A.png"),
    ],
)
def test_names_have_one_form(name: str, normal: str) -> None:
    assert normalise_name(name) == normalise_name(normal) == normal


def test_names_of_bytes_are_not_text() -> None:
    assert is_text("caf\N{LATIN SMALL LETTER E WITH ACUTE}")
    assert not is_text(os.fsdecode(b"caf\xe9"))


@pytest.mark.parametrize("name", ["a.png", "sub/a.png", "sub\\a.png", "./a.png", "Act 1: 10:30.png", "..a", "link in"])
def test_names_inside_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link in").symlink_to("a.png")
    found = path_inside(tmp_path / "in", name)
    assert found is not None and found.is_relative_to(tmp_path / "in")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../a", "a/../../b", "/etc/passwd", "C:\\a", "c:a", "\\\\host\\a", "a\0b", "link out", "out/a"],
)
def test_names_that_lead_out_of_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link out").symlink_to(tmp_path / "victim")
    (tmp_path / "in" / "out").symlink_to(tmp_path)
    assert path_inside(tmp_path / "in", name) is None


def test_one_file_has_many_paths(tmp_path: Path) -> None:
    touch(tmp_path, "a", "b", "sub/c")
    (tmp_path / "soft").symlink_to("a")
    (tmp_path / "hard").hardlink_to(tmp_path / "a")
    a = identity(tmp_path / "a")
    assert a is not None
    assert all(identity(tmp_path / other) == a for other in ("a", "soft", "hard", "sub/../a"))
    assert not any(identity(tmp_path / other) == a for other in ("b", "missing", "a/b", "x\0"))


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_whole(path, b"one", durable=True)
    write_whole(path, b"two")
    with pytest.raises(RuntimeError, match="in the middle"), replacing(path) as temporary:
        temporary.write_bytes(b"thr")
        raise RuntimeError("in the middle")
    assert [(p.name, p.read_bytes()) for p in path.parent.iterdir()] == [("a.txt", b"two")]
    (path.parent / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_whole(path.parent / "folder", b"")
    assert sorted(p.name for p in path.parent.iterdir()) == ["a.txt", "folder"]


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is of file systems of Linux")
def test_names_up_to_the_limit_can_be_written(tmp_path: Path) -> None:
    write_whole(tmp_path / ("x" * 255), b"whole")
    with pytest.raises(OSError, match="name too long"):
        write_whole(tmp_path / ("x" * 256), b"")
    assert [len(p.name) for p in tmp_path.iterdir()] == [255]


def test_leftovers_of_dead_processes_alone_are_removed(tmp_path: Path) -> None:
    with replacing(tmp_path / "a") as mine:
        mine.touch()
        dead = mine.with_name(mine.name.replace(f"-{os.getpid()}-", "-4000000-"))
        touch(tmp_path, dead.name, ".clavilux-x-1.tmp", ".clavilux-\N{SUPERSCRIPT TWO}-1.tmp", "song.tmp")
        remove_leftovers(tmp_path)
        assert mine.exists() and not dead.exists()
    assert len(list(tmp_path.iterdir())) == 4
    assert process_is_running(os.getpid()) and not process_is_running(4_000_000)


def test_no_process_gets_a_signal_where_probing_would_interrupt_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_CAN_PROBE", False)  # as on Windows
    monkeypatch.setattr(os, "kill", None)
    assert process_is_running(4_000_000)
    with replacing(tmp_path / "a") as mine:
        mine.touch()
        for name, age_s in (("-4000000-", 10), ("-4000001-", 100_000)):
            leftover = mine.with_name(mine.name.replace(f"-{os.getpid()}-", name))
            leftover.touch()
            os.utime(leftover, (time.time() - age_s,) * 2)
        remove_leftovers(tmp_path)
        assert {path.name.split("-")[1] for path in tmp_path.iterdir()} == {"4000000", str(os.getpid())}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in the file system")
def test_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(OSError, match="pipe or a device"), replacing(tmp_path / "a.png") as temporary:
        temporary.touch()
    assert stat.S_ISFIFO((tmp_path / "a.png").stat().st_mode)
