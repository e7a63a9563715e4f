"""A real Dask cluster of two worker processes: what a killed worker leaves behind, and addresses that are none.

The tests run in the order of the file: a worker that one of them kills is replaced by the next one.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import chord, write_wave

from clavilux.audio.feature_files import write_features
from clavilux.audio.feature_table import NOTES
from clavilux.cli import cli, painting
from clavilux.errors import ClusterError
from clavilux.system import cluster
from clavilux.system.jobs import check_scheduler, run_songs

distributed = pytest.importorskip("distributed", reason="needs the cluster extra")

N_SONGS = 12
SHARD = 6
WAIT_S = 60.0  # for what takes a second or two where nothing else runs


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.005)


class Cluster:
    """A scheduler and workers of one thread each, all processes of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []
        card = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(card))
        wait_for(lambda: card.is_file() and card.read_text().endswith("}"))
        self.address = json.loads(card.read_text())["address"]

    def fill(self, n_workers: int) -> None:
        """Start workers until there are as many as asked for."""
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < n_workers:
            options = ["--nthreads", "1", "--no-nanny", "--local-directory", str(self._folder)]
            self.workers.append(self._start("worker", self.address, *options))
        with distributed.Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(n_workers, timeout=WAIT_S)

    def _start(self, command: str, *options: str) -> subprocess.Popen[bytes]:
        arguments = [command, *options, "--host", "127.0.0.1", "--no-dashboard"]
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments], cwd=self._folder, stdout=log, stderr=log
            )

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer than a user would, because other work may share the cores."""
    monkeypatch.setattr(cluster, "CONNECT_S", WAIT_S)
    monkeypatch.setattr(cluster, "WORKERS_S", WAIT_S)


@pytest.fixture(scope="module")
def dask_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    running = Cluster(tmp_path_factory.mktemp("cluster"))
    yield running
    running.stop()


@pytest.fixture
def two_workers(dask_cluster: Cluster) -> Cluster:
    dask_cluster.fill(2)
    return dask_cluster


@pytest.fixture
def one_worker(dask_cluster: Cluster) -> Cluster:
    """The worker that the tests before left, or, if they were not run, a new one."""
    dask_cluster.fill(1)
    return dask_cluster


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("music")
    for number in range(N_SONGS):
        write_wave(folder / f"{number:02}.wav", chord(220.0 + 20 * number, 8.0))
    return folder


class Killer(threading.Thread):
    """Kills a worker as soon as two songs of each of the two shards are done, and keeps what was done by then."""

    def __init__(self, worker: subprocess.Popen[bytes], folder: Path, suffix: str) -> None:
        super().__init__()
        self.worker, self.folder, self.suffix = worker, folder, suffix
        self.done: dict[str, tuple[int, int]] = {}

    def run(self) -> None:
        wait_for(lambda: all(len(shard) >= 2 for shard in shards(done_in(self.folder, self.suffix))))
        self.worker.kill()
        self.worker.wait()
        self.done = done_in(self.folder, self.suffix)


def done_in(folder: Path, suffix: str) -> dict[str, tuple[int, int]]:
    """Identity and time of each finished file: a file that is written again has others."""
    paths = [path for path in folder.glob(f"*{suffix}") if not path.name.startswith(".")]
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}


def shards(names: dict[str, tuple[int, int]]) -> list[list[str]]:
    return [[name for name in names if int(name[:2]) // SHARD == shard] for shard in range(N_SONGS // SHARD)]


def paint(*arguments: object, bundle: Path) -> Result:
    options = ["--bundle", bundle, "--size", "96"]
    return CliRunner().invoke(cli, ["paint", *(str(argument) for argument in (*arguments, *options))])


# Addresses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", ["nonsense", "", "foo://1.2.3.4:5", "127.0.0.1:port", "127.0.0.1:99999", "NOBODY", "SILENT"]
)
def test_where_no_scheduler_is_said_in_one_line(
    address: str, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as left:
        ports = {"SILENT": silent.getsockname()[1], "NOBODY": left.getsockname()[1]}
        left.close()
        address = f"tcp://127.0.0.1:{ports[address]}" if address in ports else address
        start = time.monotonic()
        done = CliRunner().invoke(cli, ["features", str(music), "-o", str(tmp_path / "out"), "--scheduler", address])
    assert time.monotonic() - start < 10
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"clavilux: no Dask scheduler can be reached at {address!r} (")
    assert not (tmp_path / "out").exists()


def test_without_the_option_nothing_of_dask_is_imported() -> None:
    code = (
        "import sys, clavilux.cli.paint, clavilux.cli.features;"
        "print([name for name in ('dask', 'distributed', 'joblib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["features", ".", "-o", "out", "--jobs", "2"], "--jobs sets processes of this machine"),
        (["paint", ".", "--jobs", "2"], "--jobs sets processes of this machine"),
        (["paint", ".", "--explain"], "--explain needs to measure every song"),
        (["paint", ".", "--again", "a.png"], "--scheduler cannot be given with --again"),
    ],
)
def test_options_of_one_machine_are_wrong_usage(arguments: list[str], reason: str) -> None:
    done = CliRunner().invoke(cli, [*arguments, "--scheduler", "tcp://127.0.0.1:1"])
    assert done.exit_code == 2
    assert reason in " ".join(done.stderr.split())


def test_a_scheduler_without_workers_is_said(dask_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "WORKERS_S", 0.5)
    check_scheduler(dask_cluster.address)
    with pytest.raises(ClusterError, match="has no workers; start some: dask worker tcp://"):
        list(run_songs(abs, [1], jobs=1, scheduler=dask_cluster.address))


# A worker dies -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_features_survive_a_killed_worker_and_nothing_is_measured_twice(
    two_workers: Cluster, music: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    killer = Killer(two_workers.workers[0], out, ".npy")
    killer.start()
    summary = write_features(music, out, scheduler=two_workers.address, shard_songs=SHARD)
    killer.join()
    assert killer.worker.returncode == -signal.SIGKILL
    assert any(0 < len(shard) < SHARD for shard in shards(killer.done)), "it was to be half-way"
    assert (summary.measured, summary.kept, summary.faults) == (N_SONGS, 0, ())
    after = done_in(out, ".npy")
    assert len(after) == N_SONGS
    assert {name: after[name] for name in killer.done} == killer.done
    write_features(music, tmp_path / "local", jobs=1)
    for path in (tmp_path / "local").iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes(), path.name
    assert not (out / NOTES).exists()
    again = write_features(music, out, scheduler=two_workers.address, shard_songs=SHARD)
    assert (again.measured, again.kept) == (0, N_SONGS)
    assert done_in(out, ".npy") == after


@pytest.mark.slow
def test_pictures_survive_a_killed_worker_and_nothing_is_painted_twice(
    two_workers: Cluster, music: Path, fake_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(painting, "run_songs", partial(run_songs, shard_songs=SHARD))
    monkeypatch.chdir(tmp_path)  # the workers are elsewhere
    Path("songs").mkdir()
    for song in music.iterdir():
        shutil.copy(song, "songs")
    broken = Path("songs") / "12.mp3"
    broken.write_text("no sound")
    os.symlink(fake_bundle, "bundle")
    Path("out").mkdir()
    killer = Killer(two_workers.workers[0], Path("out").absolute(), ".png")
    killer.start()
    done = paint("songs", "-o", "out/", "--scheduler", two_workers.address, bundle=Path("bundle"))
    killer.join()
    assert any(0 < len(shard) < SHARD for shard in shards(killer.done)), "it was to be half-way"
    assert done.exit_code == 1
    assert f"{broken.absolute()}: not readable as sound" in done.stderr
    painted = [line.rpartition("/")[2].removesuffix(" (kept)") for line in done.stdout.splitlines()]
    assert painted == [f"{n:02}.png" for n in range(N_SONGS)]
    after = done_in(Path("out"), ".png")
    assert len(after) == N_SONGS
    assert {name: after[name] for name in killer.done} == killer.done
    assert paint(music, "-o", "local/", "--jobs", "1", bundle=fake_bundle).exit_code == 0
    for path in Path("local").iterdir():
        assert (Path("out") / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.slow
def test_a_shard_that_ends_its_workers_is_named_and_the_others_are_done(two_workers: Cluster) -> None:
    with distributed.Client(two_workers.address, set_as_default=False) as client:
        client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0))
    results = []
    deadly = "__import__('time').sleep(1) or __import__('os')._exit(1)"  # when nothing else waits for that worker
    with pytest.raises(ClusterError, match=r"1 of the shards ended several workers.*: __import__\('time'\)"):
        for result in run_songs(eval, ["1 + 1", "3", deadly], jobs=1, scheduler=two_workers.address, shard_songs=1):
            results.append(result)
    assert results == [2, 3]
    assert [worker.wait(WAIT_S) for worker in two_workers.workers if worker.poll() is not None] == [1]


# What else a cluster can lack ----------------------------------------------------------------------------------------


def test_one_worker_alone_works_and_not_the_caller(one_worker: Cluster) -> None:
    (pid,) = run_songs(eval, ["__import__('os').getpid()"], jobs=1, scheduler=one_worker.address)
    (worker,) = (worker for worker in one_worker.workers if worker.poll() is None)
    assert pid == worker.pid


def test_a_folder_that_workers_do_not_see_is_said(one_worker: Cluster, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"cannot access .*nowhere; all machines need a shared file system"):
        list(run_songs(abs, [1], jobs=1, scheduler=one_worker.address, folders=[tmp_path, tmp_path / "nowhere"]))


def test_another_version_on_a_worker_is_said(one_worker: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "__version__", "0.0.1")
    with pytest.raises(ClusterError, match=r"and the caller 0\.0\.1; install one version"):
        list(run_songs(abs, [1], jobs=1, scheduler=one_worker.address))


def test_a_module_that_the_cluster_lacks_is_said(one_worker: Cluster) -> None:
    with pytest.raises(ClusterError, match=f"has no module {__name__}; install clavilux"):
        list(run_songs(function_of_this_file, [1], jobs=1, scheduler=one_worker.address))


def function_of_this_file(song: int) -> int:
    return song


def test_a_worker_is_no_scheduler(one_worker: Cluster) -> None:
    with distributed.Client(one_worker.address, set_as_default=False) as client:
        (worker,) = client.scheduler_info()["workers"]
    with pytest.raises(ClusterError, match="it answers as Worker"):
        check_scheduler(worker)


def test_a_scheduler_that_is_lost_ends_the_run(one_worker: Cluster) -> None:
    songs = run_songs(time.sleep, [0.1] * 50, jobs=1, scheduler=one_worker.address, shard_songs=1)
    next(songs)
    one_worker.scheduler.kill()
    with pytest.raises(ClusterError, match="was lost; finished songs are kept"):
        list(songs)
