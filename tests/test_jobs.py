"""Processes that work on songs: whatever one song does, the others are done and that one is named."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from clavilux.errors import AudioError, ClaviluxError
from clavilux.system import jobs as jobs_module
from clavilux.system import workers
from clavilux.system.jobs import count_jobs, run_calls, run_songs

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc")


@pytest.fixture(params=["forked", "spawned"])
def start(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How workers are started."""
    if request.param == "forked" and not jobs_module.can_fork():
        pytest.skip("this process has threads; tests/test_shell.py forks")
    for module in (workers, jobs_module):
        monkeypatch.setattr(module, "can_fork", lambda: request.param == "forked")
    return str(request.param)


class Unpicklable(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def misbehave(song: str) -> str:
    """Work on one song, whose name says what happens."""
    faulthandler.disable()  # pytest has it print where a process crashed
    match song.partition(" ")[0]:
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "abort":
            os.abort()
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "leave":
            os._exit(3)
        case "leave-well":
            os._exit(0)
        case "exit":
            sys.exit("no\nmore")
        case "interrupt":
            raise KeyboardInterrupt
        case "value":
            raise ValueError("a\nb\x1b[31m")
        case "memory":
            raise MemoryError
        case "group":
            raise BaseExceptionGroup("many", [SystemExit(1)])
        case "odd":
            raise Unpicklable("one", "two")
        case "deep":
            return misbehave(song)
        case "disk":
            raise OSError(28, "No space left on device", "/full/a.png")
        case "lambda":
            return lambda: song  # type: ignore[return-value]  # cannot be sent
        case "print":
            os.write(1, b"not a result")
            print("nor this", flush=True)
        case "brief":
            time.sleep(0.05)
        case "wait":
            until = time.monotonic() + 60
            while not Path(song.partition(" ")[2]).exists():
                assert time.monotonic() < until
                time.sleep(0.005)
        case "touch":
            Path(song.partition(" ")[2]).touch()
        case "slow":
            time.sleep(0.3)
    return song.upper()


FATES = {
    "crash": "its process crashed (SIGSEGV)",
    "abort": "its process crashed (SIGABRT)",
    "killed": "the system ended its process (SIGKILL), probably because memory ran out",
    "leave": "its process ended before it was done (exit code 3)",
    "leave-well": "its process ended before it was done (exit code 0)",
    "exit": "SystemExit: no more in test_jobs.py, line ",
    "interrupt": "KeyboardInterrupt in test_jobs.py, line ",
    "value": "ValueError: a b\x1b[31m in test_jobs.py, line ",
    "memory": "there is not enough memory",
    "group": "BaseExceptionGroup: many (1 sub-exception)",
    "odd": "Unpicklable: one two in test_jobs.py",
    "deep": "RecursionError: maximum recursion depth exceeded",
    "disk": "/full/a.png: No space left on device",
    "lambda": "this is a bug of Clavilux, please report it",
}


def run(songs: list[str], jobs: int, **options: Any) -> list[str]:
    return list(run_songs(misbehave, songs, jobs=jobs, failed=lambda song, reason: f"{song}: {reason}", **options))


@pytest.mark.parametrize("jobs", [1, 3])
def test_whatever_a_song_does_the_others_are_done_and_it_is_named(start: str, jobs: int) -> None:
    if start == "spawned" and jobs == 1:
        pytest.skip("one job that cannot be forked runs in this process")
    # To start a new Python takes half a second, twice for each that dies.
    fates = FATES if start == "forked" else ("crash", "leave-well", "interrupt", "value", "lambda")
    songs = [name for fate in fates for name in (f"{fate} x", f"good after {fate}", "brief one")]
    results = run(songs, jobs)
    assert len(results) == len(songs)
    for song, result in zip(songs, results, strict=True):
        fate = song.partition(" ")[0]
        if fate in FATES:
            assert result.startswith(f"{song}: ") and FATES[fate] in result, result
            assert "\n" not in result
        else:
            assert result == song.upper()


def test_the_only_song_of_several_jobs_may_crash(start: str) -> None:
    assert "SIGSEGV" in run(["crash"], 2)[0]


def test_what_a_song_prints_is_no_result(start: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["print a", "b"], 2) == ["PRINT A", "B"]
    assert capfd.readouterr().out == ""


def test_results_come_as_they_are_done_if_that_is_wanted(start: str, tmp_path: Path) -> None:
    songs = [f"wait {tmp_path}/end", *"abcdef", f"touch {tmp_path}/end"]
    assert run(songs, 2) == [song.upper() for song in songs]
    (tmp_path / "end").unlink()
    results = run(songs, 2, ordered=False)
    assert results[:6] == [*"ABCDEF"] and sorted(results) == sorted(song.upper() for song in songs)


def test_songs_are_taken_as_processes_become_free(start: str) -> None:
    taken = []

    def songs() -> Iterator[str]:
        for number in range(1_000_000):
            taken.append(number)
            yield "song"

    results = run_songs(misbehave, songs(), jobs=2)
    next(results)
    assert len(taken) <= 2 * jobs_module.AHEAD_SONGS
    results.close()  # type: ignore[attr-defined]


def complain(song: str) -> str:
    if song == "full":
        raise AudioError("the disk is full")
    return song


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_ours_ends_the_run(jobs: int) -> None:
    with pytest.raises(AudioError, match=r"^the disk is full$"):
        list(run_songs(complain, ["a", "full", *"bcdefgh"], jobs=jobs, failed=lambda song, reason: song))


def test_without_a_way_to_go_on_a_failure_ends_the_run(start: str) -> None:
    with pytest.raises(ClaviluxError, match=r"^crash: its process crashed \(SIGSEGV\)"):
        list(run_songs(misbehave, ["a", "crash", "b"], jobs=2))


def test_calls_are_named_by_their_file_or_their_function(start: str) -> None:
    calls, counts = [partial(abs, -number) for number in range(20)], []
    assert run_calls(calls, jobs=2, counted=counts.append) == list(range(20))
    assert run_calls(calls, jobs=1, counted=counts.append) == list(range(20))
    assert counts == 2 * list(range(1, 21))
    with pytest.raises(ClaviluxError, match=r"^crash now: its process crashed"):
        run_calls([partial(misbehave, "crash now")], jobs=2)
    with pytest.raises(ValueError, match="a\nb"):
        run_calls([partial(misbehave, "value")], jobs=1)


def need_memory(song: str) -> int:
    return len(bytearray(2**40 if song == "large" else 10))


def test_a_song_that_needs_too_much_memory_is_named(start: str) -> None:
    def failed(song: str, reason: str) -> int:
        assert "not enough memory" in reason
        return -1

    assert list(run_songs(need_memory, ["a", "large", "b"], jobs=2, failed=failed)) == [10, -1, 10]


@linux_only
@pytest.mark.parametrize("jobs", [1, 2])
def test_where_no_process_can_be_started_the_work_is_done_here(
    jobs: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none() -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(jobs_module, "start_worker", none)
    jobs_module._end_reusable()
    monkeypatch.setattr(jobs_module, "can_fork", lambda: True)
    assert run(["a", "value", "b"], jobs)[::2] == ["A", "B"]
    assert caplog.messages[0] == (
        "clavilux: no more processes can be started (Resource temporarily unavailable): working in this process"
    )
    assert len([message for message in caplog.messages if "processes" in message]) == 1


def test_fewer_processes_than_wanted_do_the_work(start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    real = workers.start_worker

    def one() -> workers.Worker:
        if begun:
            raise OSError(11, "Resource temporarily unavailable")
        begun.append(1)
        return real()

    monkeypatch.setattr(jobs_module, "start_worker", one)
    jobs_module._end_reusable()
    assert run(["slow a", "slow b", "c"], 3) == ["SLOW A", "SLOW B", "C"]


def test_minus_one_job_is_one_per_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "count_cores", lambda: 4)
    assert [count_jobs(jobs) for jobs in (3, -1)] == [3, 4]


def look_around(song: str) -> dict[str, int]:
    return {"pid": os.getpid(), "parent": os.getppid(), "fds": len(os.listdir("/proc/self/fd"))}


@linux_only
def test_workers_are_other_processes_and_leave_nothing_open(start: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    children = {result["pid"] for result in run_songs(look_around, [*"abcdefgh"], jobs=2)}
    assert os.getpid() not in children
    kept = len(jobs_module._reusable)
    assert len(os.listdir("/proc/self/fd")) <= before + 2 * kept
    if start == "forked":
        until = time.monotonic() + 5
        while any(is_alive(pid) for pid in children):
            assert time.monotonic() < until
            time.sleep(0.01)
    else:  # the next run finds them
        assert {result["pid"] for result in run_songs(look_around, [*"abcdefgh"], jobs=2)} <= children


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


KILLED = """
import os, signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup ignores
sys.path.insert(0, {tests!r})
from clavilux.system import jobs, workers
if {start!r} == "spawned":
    workers.can_fork = jobs.can_fork = lambda: False
import test_jobs
print(*next(jobs.run_songs(test_jobs.sleep_after_telling, [{folder!r}] * 3, jobs=3)))
"""


def sleep_after_telling(folder: str) -> None:
    Path(folder, f"{os.getpid()}.pid").touch()
    from clavilux.system.files import replacing

    with replacing(Path(folder, "result")) as temporary:
        temporary.touch()
        time.sleep(60)


@linux_only
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("start_by", ["forked", "spawned"])
def test_workers_end_with_their_caller_and_remove_what_they_were_writing(
    start_by: str, end: signal.Signals, tmp_path: Path
) -> None:
    code = KILLED.format(tests=str(Path(__file__).parent), start=start_by, folder=str(tmp_path))
    caller = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    until = time.monotonic() + 30
    while len(list(tmp_path.glob("*.pid"))) < 3 or len(list(tmp_path.glob(".clavilux*"))) < 3:
        assert time.monotonic() < until and caller.poll() is None
        time.sleep(0.01)
    caller.send_signal(end)
    assert caller.wait(5) == -end
    until = time.monotonic() + 2
    while any(is_alive(int(path.stem)) for path in tmp_path.glob("*.pid")):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert not list(tmp_path.glob(".clavilux*"))


def test_the_limit_of_open_files_holds(start: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 12, hard))
    try:
        for _ in range(10 if start == "forked" else 3):  # nothing leaks
            assert run(["a", "crash", "b"], 2)[::2] == ["A", "B"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_many_songs_of_a_megabyte_pass(start: str) -> None:
    songs = [bytes([number]) * 2**20 for number in range(12)]
    assert list(run_songs(bytes.swapcase, songs, jobs=2)) == [song.swapcase() for song in songs]
