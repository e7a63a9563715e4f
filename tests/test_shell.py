"""`clavilux` in a shell: crashes, signals, closed streams, odd encodings, names, and two runs at once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import chord, write_wave
from PIL import Image

from clavilux.picture_file import read_record
from clavilux.system.files import process_is_running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such signals, names or mounts")

# What a song does when it is listened to, by its name. The worker is forked, so that it does so too.
PREPARED = """
import ctypes, os, signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup ignores
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell ignores in the background
from clavilux.pipeline import Clavilux
from clavilux.cli import main
read_song = Clavilux.read_song
def listen_badly(self, path, **options):
    name = os.path.basename(str(path))
    if name.startswith("crash"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if name.startswith("bug"):
        raise OverflowError("cannot convert\\nfloat infinity")
    if name.startswith("wait"):  # native code that keeps Python's lock, or does not, or writes a file
        open("begun", "w").close()
        if "locked" in name:
            ctypes.PyDLL(None).sleep(60)
        if "write" in name:
            from clavilux.system.files import replacing
            with replacing(options_of_test) as temporary:
                temporary.write_bytes(b"half")
                time.sleep(60)
        ctypes.CDLL(None).sleep(60)
    return read_song(self, path, **options)
from pathlib import Path
options_of_test = Path("pictures/half.png")
Clavilux.read_song = listen_badly
sys.argv[0] = "clavilux"
main()
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("a.wav", "b.wav")):
        write_wave(tmp_path / name, chord(220.0 + 110 * number, 6.0))
    return tmp_path


def command(*arguments: object, prepared: bool = False) -> list[str]:
    start = ["-c", PREPARED] if prepared else ["-m", "clavilux"]
    return [sys.executable, *start, *map(str, arguments)]


def run(*arguments: object, prepared: bool = False, **options: Any) -> subprocess.CompletedProcess[str]:
    options = {"capture_output": True, "text": True, "timeout": 120, "check": False} | options
    return subprocess.run(command(*arguments, prepared=prepared), **options)


def painting(bundle: Path, *arguments: object) -> list[object]:
    return ["paint", *arguments, "--bundle", bundle, "--size", 64]


# Crashes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_songs_that_crash_are_named_and_the_others_are_painted(here: Path, fake_bundle: Path, jobs: int) -> None:
    for name in ("crash.wav", "bug.wav"):
        shutil.copy("a.wav", name)
    done = run(*painting(fake_bundle, ".", "-o", "out/", "--jobs", jobs), prepared=True)
    assert done.returncode == 1
    assert done.stdout.splitlines() == ["a.wav -> out/a.png", "b.wav -> out/b.png"]
    bug, crash = done.stderr.splitlines()
    assert bug.startswith("clavilux: bug.wav: OverflowError: cannot convert float infinity in ")
    assert bug.endswith("; this is a bug of Clavilux, please report it")
    assert crash.startswith("clavilux: crash.wav: its process crashed (SIGSEGV); please report it")
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.png", "b.png"]


def test_the_only_song_may_crash_and_verbose_has_the_traceback(here: Path, fake_bundle: Path) -> None:
    shutil.copy("a.wav", "crash.wav")
    shutil.copy("a.wav", "bug.wav")
    done = run(*painting(fake_bundle, "crash.wav"), prepared=True)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    done = run(*painting(fake_bundle, "bug.wav", "-v"), prepared=True)
    assert done.returncode == 1 and "Traceback (most recent call last)" in done.stderr
    assert "in listen_badly" in done.stderr


# Signals -------------------------------------------------------------------------------------------------------------


LATE_S = 10  # two seconds are promised for a quiet machine; here, other work may take most of the cores


def stop(arguments: list[object], number: signal.Signals, begun: Callable[[], bool]) -> tuple[int, float, str]:
    """Send a signal once something has begun; the exit code, the seconds until all had ended, and stderr."""
    process = subprocess.Popen(
        command(*arguments, prepared=True), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while not begun():
        assert time.monotonic() < until and process.poll() is None, process.communicate()
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    start = time.monotonic()
    process.send_signal(number)
    _, stderr = process.communicate(timeout=120)  # until all that have its stderr open have ended
    while any(process_is_running(int(child)) for child in children) and time.monotonic() < start + LATE_S:
        time.sleep(0.01)
    return process.returncode, time.monotonic() - start, stderr


@pytest.mark.parametrize("song", ["wait.wav", "wait-locked.wav", "wait-write.wav"])
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)]
)
def test_a_signal_ends_all_soon(here: Path, fake_bundle: Path, song: str, number: signal.Signals, code: int) -> None:
    if (song, number) == ("wait-locked.wav", signal.SIGKILL):
        pytest.skip("nobody is left to end a worker that does not come back to Python")
    shutil.copy("a.wav", song)
    Path("pictures").mkdir()
    arguments = painting(fake_bundle, song, "a.wav", "b.wav", "-o", "pictures/", "--jobs", 2)
    returned, seconds, stderr = stop(arguments, number, Path("begun").exists)
    told = "clavilux: interrupted after 0/3 songs; the same command with --resume continues\n"
    assert (returned, stderr) == (code, "" if number == signal.SIGKILL else told)
    assert seconds < LATE_S
    assert {path.name for path in Path("pictures").iterdir()} <= {"a.png", "b.png"}


def test_a_command_that_works_in_this_process_ends_while_native_code_runs(here: Path) -> None:
    code = (
        "import ctypes, click, signal, clavilux.cli as c; from pathlib import Path\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell ignores in the background\n"
        "@click.command()\n"
        "def show():\n"
        "    from clavilux.system.files import replacing\n"
        "    with replacing(Path('half')) as temporary:\n"
        "        temporary.touch(); Path('begun').touch()\n"
        "        while True: ctypes.CDLL(None).sleep(60)  # native code that does not look at signals\n"
        "import clavilux.cli.bundle as module; module.bundle = show\n"
        "import sys; sys.argv = ['clavilux', 'bundle']; c.main()"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    while not Path("begun").exists():
        assert process.poll() is None
        time.sleep(0.01)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert time.monotonic() - start < LATE_S
    assert sorted(path.name for path in here.iterdir()) == ["a.wav", "b.wav", "begun"]


def test_what_a_killed_run_left_is_removed_by_the_next(here: Path, fake_bundle: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    from clavilux.system.files import _machine

    for folder in ("out", "features"):
        Path(folder).mkdir()
        Path(folder, f".clavilux-{ended.pid}-{_machine()}-00000000.tmp").touch()
        Path(folder, f".clavilux-{os.getpid()}-{_machine()}-00000000.tmp").touch()  # of a run that works
        Path(folder, f".clavilux-{ended.pid}-ffffffff-00000000.tmp").touch()  # of another machine
    assert run(*painting(fake_bundle, "a.wav", "-o", "out/")).returncode == 0
    assert run("features", ".", "-o", "features").returncode == 0
    for folder in ("out", "features"):
        left = [path.name for path in Path(folder).iterdir() if path.name.endswith(".tmp")]
        assert len(left) == 2 and not any(f"{ended.pid}-{_machine()}" in name for name in left)


# Machines ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mount", ["ro,size=64k", "size=4k"])
def test_shared_memory_is_not_needed(here: Path, fake_bundle: Path, mount: str) -> None:
    paint = " ".join(command(*painting(fake_bundle, ".", "-o", "out/", "--jobs", 2)))
    script = f"mount -t tmpfs -o {mount} tmpfs /dev/shm && exec {paint}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("only root may mount")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(Path("out").iterdir())) == 2


def test_a_full_disk_is_named_and_nothing_is_left(here: Path, fake_bundle: Path) -> None:
    Path("disk").mkdir()
    paint = " ".join(command(*painting(fake_bundle, ".", "-o", "disk/", "--jobs", 2)))
    script = f"mount -t tmpfs -o size=4k tmpfs disk && ({paint}; echo $?; ls -A disk)"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("only root may mount")
    assert done.stdout == "1\n"
    assert done.stderr.splitlines() == [
        f"clavilux: disk/{name}.png: cannot be written (No space left on device)" for name in "ab"
    ]


# Streams -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", ">&- 2>&- <&-", "| head -0", "2>&1 | head -0", "2>/dev/full"])
def test_closed_streams_stop_nothing(here: Path, fake_bundle: Path, closed: str) -> None:
    Path("c.mp3").write_text("no sound")  # something is said on stderr
    paint = " ".join(command(*painting(fake_bundle, ".", "-o", "out/")))
    done = subprocess.run(
        ["sh", "-c", f"({paint}; echo $? > code) {closed}" if "|" in closed else f"{paint} {closed}; echo $? > code"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert Path("code").read_text() == "1\n"
    for name in ("a", "b"):
        assert read_record(f"out/{name}.png")["song"]["name"] == name
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "utf-8"])
def test_names_are_printed_in_any_encoding(here: Path, fake_bundle: Path, encoding: str) -> None:
    names = ["\u7a7a.wav", "caf\u00e9.wav", os.fsdecode(b"\xff.wav"), "red\x1b[31m\n.wav", "\u202egnp.wav"]
    for name in names:
        shutil.copy("a.wav", name)
    Path("bad\x07.mp3").write_text("no sound")
    done = run(*painting(fake_bundle, "."), text=False, env={**os.environ, "PYTHONIOENCODING": encoding})
    assert done.returncode == 1
    stdout, stderr = done.stdout.decode(encoding), done.stderr.decode(encoding)
    assert len(stdout.splitlines()) == 7 and stdout.count("\n") == 7 and stderr.count("\n") == 1
    for text in (stdout, stderr):
        assert not any(character in text for character in "\x1b\x07\u202e\udcff")
    assert r"red\x1b[31m\n.wav" in stdout and r"\u202egnp.png" in stdout and r"\udcff.wav" in stdout
    assert ("\u7a7a" if encoding == "utf-8" else r"\u7a7a") in stdout
    assert ("caf\xe9.wav" if encoding != "ascii" else r"caf\xe9.wav") in stdout
    done = run(*painting(fake_bundle, names[3], "--json"), env={**os.environ, "PYTHONIOENCODING": encoding})
    assert json.loads(done.stdout)["song"] == names[3]


def test_wrong_usage_is_harmless_too(here: Path) -> None:
    done = run("paint", "a.wav", "-o", "a\x1b[31m.gif")
    assert done.returncode == 2 and r"a\x1b[31m.gif" in done.stderr and "\x1b" not in done.stderr


def test_exit_codes_are_in_the_help() -> None:
    text = " ".join(run("--help").stdout.split())
    assert "Exit codes: 0 success; 1 something failed" in text and "130 interrupted by Ctrl-C" in text


# Names ---------------------------------------------------------------------------------------------------------------


def name_once_more(kind: str) -> str:
    """Another name of the song a.wav, which ends like a picture."""
    match kind:
        case "same":
            Path("a.wav").rename("a.png")
        case "link":
            os.symlink("a.wav", "a.png")
        case "hard link":
            os.link("a.wav", "a.png")
        case "spelling":
            Path("folder").mkdir()
            Path("a.wav").rename("a.png")
            return "folder/../a.png"
    return "a.png"


@pytest.mark.parametrize("kind", ["same", "link", "hard link", "spelling"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_picture_never_replaces_a_song(here: Path, fake_bundle: Path, kind: str, count: int) -> None:
    output = name_once_more(kind)
    song = "a.png" if not Path("a.wav").exists() else "a.wav"
    if count == 2:
        os.rename("a.png", "x-2.png")
        song = "x-2.png" if song == "a.png" else song
        output = output.replace("a.png", "x.png")
    before = Path(song).read_bytes()
    done = run(*painting(fake_bundle, song, "-o", output, "--count", count))
    assert done.returncode == 1 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and "is read and would be overwritten" in done.stderr
    assert Path(song).read_bytes() == before
    assert not list(here.glob(".clavilux*"))


@pytest.mark.slow
def test_in_a_folder_a_song_that_ends_like_a_picture_keeps_its_name(here: Path, fake_bundle: Path) -> None:
    shutil.copy("b.wav", "a.png")
    run(*painting(fake_bundle, "b.wav", "-o", "b.png"))
    before = {name: Path(name).read_bytes() for name in ("a.png", "b.png")}
    done = run(*painting(fake_bundle, "a.wav", "a.png", "b.wav", "b.png"))  # b.png: a picture of b.wav, given as a song
    assert done.stdout.splitlines() == ["a.wav -> a_2.png", "a.png -> a_3.png", "b.wav -> b_2.png"]
    assert {name: Path(name).read_bytes() for name in before} == before


def test_a_picture_is_painted_over_itself_only_with_its_name(here: Path, fake_bundle: Path) -> None:
    assert run(*painting(fake_bundle, "a.wav")).returncode == 0
    Image.new("RGB", (8, 8)).save("a-again.png")  # not ours
    before = {name: Path(name).read_bytes() for name in ("a.wav", "a.png", "a-again.png")}
    os.symlink("a.wav", "link.png")
    for output in ("link.png", "./"):
        done = run("paint", "--again", "a.png", "a.wav", "-o", output, "--bundle", fake_bundle)
        assert done.returncode == 1 and "is read and would be overwritten" in done.stderr
    done = run("paint", "--again", "a.png", "a.wav", "--bundle", fake_bundle)
    assert done.stdout == "a.png -> a-again_2.png\n"
    assert {name: Path(name).read_bytes() for name in before} == before
    done = run("paint", "--again", "a.png", "-o", "a.png", "--warmth", "1", "--bundle", fake_bundle)
    assert done.stdout == "a.png -> a.png (replaced)\n" and read_record("a.png")["steering"] == {"warmth": 1}
    assert run(*painting(fake_bundle, "a.wav")).stdout == "a.wav -> a.png (kept)\n"


def test_another_picture_of_again_does_not_replace_the_one_before(here: Path, fake_bundle: Path) -> None:
    assert run(*painting(fake_bundle, "a.wav")).returncode == 0
    again = ("paint", "--again", "a.png", "--bundle", fake_bundle)
    assert run(*again, "--warmth", "1").stdout == "a.png -> a-again.png\n"
    warm = Path("a-again.png").read_bytes()
    assert run(*again, "--lightness", "-0.5").stdout == "a.png -> a-again_2.png\n"
    assert run(*again, "--warmth", "1").stdout == "a.png -> a-again.png (replaced)\n"
    assert Path("a-again.png").read_bytes() == warm


def test_choices_of_controls_and_pictures_that_steer_are_kept(here: Path, fake_bundle: Path) -> None:
    bundle = ("--bundle", fake_bundle)
    assert run("controls", "a.wav", "-o", "c.json", *bundle).returncode == 0
    assert run("paint", "c.json", "--size", 64).returncode == 0
    assert run("paint", "--again", "c.png", "--warmth", "1").stdout == "c.png -> c-again.png\n"
    assert run("paint", "--again", "c.png", "--warmth", "-1").stdout == "c.png -> c-again_2.png\n"
    assert run(*painting(fake_bundle, "a.wav")).stdout == "a.wav -> a.png\n"
    os.replace("b.wav", "a.wav")  # another sound
    assert run(*painting(fake_bundle, "a.wav")).stdout == "a.wav -> a_2.png\n"
    before = Path("a_2.png").read_bytes()
    done = run(*painting(fake_bundle, "a.wav"), "--near", "a_2.png")
    assert done.stdout == "a.wav -> a_3.png\n" and Path("a_2.png").read_bytes() == before
    done = run("explain", "x" * 300)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "File name too long" in done.stderr


def test_an_older_sound_keeps_its_picture_and_the_new_one_gets_a_number(here: Path, fake_bundle: Path) -> None:
    os.mkdir("album")
    paint = ("paint", "album", "-o", "art", "--size", 64, "--bundle", fake_bundle)
    os.replace("a.wav", "album/a.wav")
    assert run(*paint).stdout == "album/a.wav -> art/a.png\n"
    os.replace("b.wav", "album/a.wav")  # a new mix
    kept = "clavilux: art/a.png: was kept, and the picture is art/a_2.png, because the file shows another sound"
    for options, status in (((), ""), (("--resume",), " (kept)"), ((), " (replaced)")):
        done = run(*paint, *options)
        assert done.stdout == f"album/a.wav -> art/a_2.png{status}\n"
        assert done.stderr.startswith(kept) == (not status)
    os.remove("art/a.png")
    os.remove("art/a_2.png")
    Image.new("RGB", (8, 8)).save("art/a.png")  # not ours
    done = run(*paint)
    assert done.stdout == "album/a.wav -> art/a_2.png\n"
    assert "because the file is not a picture by Clavilux" in done.stderr
    os.replace("album/a.wav", "album/b.wav")
    write_wave(Path("album/a.wav"), chord(110.0, 6.0))
    assert run(*paint).stdout == "album/a.wav -> art/a_3.png\nalbum/b.wav -> art/b.png\n"


def test_features_do_not_replace_a_song(here: Path) -> None:
    Path("music").mkdir()
    os.rename("a.wav", "music/a.wav")
    for name in ("a.npy", "descriptors.csv"):
        os.symlink("a.wav", f"music/{name}")
        done = run("features", "music", "-o", "music")
        assert done.returncode == 1 and "is read and would be overwritten" in done.stderr
        os.unlink(f"music/{name}")
    assert run("features", "music", "-o", "music").returncode == 0


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.parametrize(
    "output", ["bundle/bundle.json", "bundle/bundle.html", "link.json", "bundle/../bundle/bundle.json"]
)
def test_a_report_replaces_neither_a_bundle_nor_a_table(here: Path, fake_bundle: Path, output: str) -> None:
    shutil.copytree(fake_bundle, "bundle")
    os.symlink("bundle/bundle.json", "link.json")
    Path("art").mkdir()
    for number in range(24):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(f"art/{number}.png")
    before = Path("bundle/bundle.json").read_bytes()
    done = run("evaluate", "--bundle", "bundle", "--music", ".", "--art", "art", "-o", output)
    assert done.returncode == 1 and "is read and would be overwritten" in done.stderr
    assert Path("bundle/bundle.json").read_bytes() == before


def test_two_runs_into_one_folder_never_overwrite_each_other(here: Path, fake_bundle: Path) -> None:
    songs = []
    for number in range(4):
        Path(str(number)).mkdir()
        write_wave(Path(str(number), "song.wav"), chord(200.0 + 50 * number, 5.0))
        songs.append(f"{number}/song.wav")
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    runs = [subprocess.Popen(command(*painting(fake_bundle, song, "-o", "out/")), **options) for song in songs]  # type: ignore[call-overload]
    said = [process.communicate(timeout=600) for process in runs]
    assert [process.returncode for process in runs] == [0] * 4, said
    assert sorted(path.name for path in Path("out").iterdir()) == [
        *("song.png", "song_2.png", "song_3.png", "song_4.png")
    ]
    from clavilux.audio.song import hash_file

    for song, (stdout, _) in zip(songs, said, strict=True):
        picture = stdout.strip().rpartition(" -> ")[2]
        assert read_record(picture)["song"]["sha256"] == hash_file(Path(song))


def test_a_name_that_is_taken_while_painting_is_passed_over(
    here: Path, fake_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clavilux.cli.names import save_picture
    from clavilux.pipeline import Clavilux

    engine = Clavilux(fake_bundle)
    picture, other = (engine.paint(f"{name}.wav", size=64) for name in "ab")
    assert save_picture(picture, Path("x.png")) == (Path("x.png"), False)
    assert save_picture(other, Path("x.png")) == (Path("x_2.png"), False)
    assert save_picture(picture, Path("x.png")) == (Path("x.png"), True)  # its own
    os.symlink("nowhere", "y.png")
    assert save_picture(picture, Path("y.png")) == (Path("y_2.png"), False)

    def no_links(*names: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)  # FAT has none
    assert save_picture(picture, Path("z.png")) == (Path("z.png"), False)
    assert save_picture(other, Path("z.png")) == (Path("z_2.png"), False)
    assert read_record("z.png")["song"]["name"] == "a"
