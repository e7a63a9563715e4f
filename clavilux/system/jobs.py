"""Where many songs are worked on: in processes of this machine, or on a Dask cluster.

songs, a function of one song -> **here** -> what became of each song

Whatever one song does, the others are done and that one is named: an exception of any type, a crash of its process, too
much memory. A song whose process died beside others is tried once more while nothing else runs, as the memory that all
took together may have been the reason. Results are the same, and in the same order, for any number of processes.
"""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Generic, TypeVar

from clavilux.errors import ClaviluxError
from clavilux.system.outcomes import Failed, Outcome, Raised, attempt
from clavilux.system.threads import count_cores
from clavilux.system.workers import Worker, can_fork, end_workers, start_worker, wait_for

SHARD_SONGS = 50  # about a minute: the sending is nothing beside it, and a worker that dies leaves little to look at
AHEAD_SONGS = 1_000  # done before the one whose turn it is: bounds the memory that results take

T = TypeVar("T")
R = TypeVar("R")
Failure = Callable[[T, str], R]

logger = logging.getLogger("clavilux")


def run_songs(
    function: Callable[[T], R],
    songs: Iterable[T],
    *,
    jobs: int,
    failed: Failure[T, R] | None = None,
    scheduler: str | None = None,
    shard_songs: int = SHARD_SONGS,
    folders: Iterable[Path] = (),
    ordered: bool = True,
) -> Iterator[R]:
    """Yield what a function makes of each song.

    Parameters
    ----------
    function : callable
        Of one song; a function of a module, which a worker can import. A `ClaviluxError` that it raises ends the run;
        what else it raises is a failure of that song alone.
    songs : iterable
        What it takes; small, as it is sent. Songs are taken from it as processes become free.
    jobs : int
        Processes on this machine, -1 for one a core. With 1, songs run in one process beside this one where this one
        can be forked (Linux, no other threads), else in this one, where a crash ends the run. Ignored on a cluster.
    failed : callable, optional
        Makes the result of a song that could not be finished, from the song and the reason in words. If left out, the
        first such song ends the run.
    scheduler : str, optional
        Address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``; this machine if left out.
    shard_songs : int
        Songs that are sent to a worker of a cluster at a time.
    folders : iterable of Path
        Folders that a worker of a cluster must see.
    ordered : bool
        Whether results come in the order of the songs, or as they are done.

    Raises
    ------
    ClusterError
        The scheduler cannot be reached or was lost, has no workers, or a worker is of another version or does not see
        a folder. Shards that ended several workers are named after all others are done.
    ClaviluxError
        As raised by the function, or for a song that could not be finished, if `failed` is left out.
    """
    outcomes: Generator[tuple[T, Outcome], None, None]
    if scheduler is not None:
        from clavilux.system.cluster import run_on_cluster

        outcomes = run_on_cluster(function, songs, scheduler, shard_songs, tuple(folders), ordered=ordered)
    elif jobs == 1 and not can_fork():
        outcomes = ((song, attempt(function, song)) for song in songs)
    else:
        outcomes = _Pool(function, count_jobs(jobs), ordered=ordered).run(songs)
    with closing(outcomes):  # whoever wants no more results lets the processes end
        for song, outcome in outcomes:
            yield _result(song, outcome, failed)


def run_calls(
    calls: Iterable[partial[R]], *, jobs: int, failed: Callable[[partial[R], str], R] | None = None
) -> list[R]:
    """Return the results of calls of functions of modules, made in processes of this machine as in `run_songs`.

    With one job and without `failed` they are made in this process, and what they raise is raised as it is.

    Examples
    --------
    >>> run_calls([partial(abs, -1), partial(abs, -2)], jobs=1)
    [1, 2]
    """
    if jobs == 1 and failed is None:
        return [call() for call in calls]
    return list(run_songs(_call, calls, jobs=jobs, failed=failed))


def count_jobs(jobs: int) -> int:
    """Return a number of processes, 1 or more; -1 means one a core, -2 one less, and so on."""
    return jobs if jobs > 0 else max(1, count_cores() + 1 + (jobs or -1))


def check_scheduler(scheduler: str) -> None:
    """Raise `ClusterError` if no scheduler answers at the address."""
    from clavilux.system.cluster import connected

    with connected(scheduler):
        pass


def _call(call: partial[R]) -> R:
    return call()


def _result(song: T, outcome: Outcome, failed: Failure[T, R] | None) -> R:
    if isinstance(outcome, Raised):
        raise outcome.error
    if isinstance(outcome, Failed):
        if failed is None:
            raise ClaviluxError(f"{_name(song)}: {outcome.reason}")
        return failed(song, outcome.reason)
    value: R = outcome.value
    return value


def _name(song: object) -> str:
    """What was worked on, in words: for a call its first argument where that is a file, else its function."""
    if isinstance(song, partial):
        first = song.args[0] if song.args else None
        return str(first) if isinstance(first, str | Path) else getattr(song.func, "__name__", "a call")
    return str(song)


_kept: list[Worker] = []  # idle workers that are no forks: to start one and to import PyTorch takes seconds


class _Pool(Generic[T]):
    """Processes of this machine that work on songs, one song each at a time."""

    def __init__(self, function: Callable[[T], Any], jobs: int, *, ordered: bool) -> None:
        self._function = function
        self._jobs = self._most = jobs  # processes that are wanted; at most so many can be had
        self._ordered = ordered
        self._busy: dict[Worker, tuple[int, T]] = {}
        self._idle: list[Worker] = []
        self._again: list[tuple[int, T]] = []  # songs whose process died beside others
        self._is_second_try = False
        self._done: dict[int, tuple[T, Outcome]] = {}  # waiting for their turn

    def run(self, songs: Iterable[T]) -> Generator[tuple[T, Outcome], None, None]:
        """Yield each song with its outcome."""
        coming: Iterator[tuple[int, T]] = enumerate(songs)
        turn = 0
        try:
            while True:
                coming = self._hand_out(coming)
                if not self._busy and not self._done and not self._again:
                    return
                if self._busy:
                    for worker in wait_for(list(self._busy)):
                        self._collect(worker)
                while self._done and (not self._ordered or turn in self._done):
                    yield self._done.pop(turn if self._ordered else next(iter(self._done)))
                    turn += 1
        finally:
            self._close()

    def _hand_out(self, coming: Iterator[tuple[int, T]]) -> Iterator[tuple[int, T]]:
        """Give songs to processes that have none; return the songs that are left."""
        if self._again:
            if not self._busy:
                self._is_second_try = True
                self._end_idle()  # for their memory, and because the song gets a process without a past
                self._give(self._again.pop())
            return coming
        self._is_second_try = False
        while len(self._busy) < max(1, self._most) and len(self._done) < AHEAD_SONGS:
            job = next(coming, None)
            if job is None:
                return iter(())
            if not self._give(job):
                return chain([job], coming)
        return coming

    def _give(self, job: tuple[int, T]) -> bool:
        """Give a song to a process; where none can be had, work on it here, but not beside other processes."""
        if not self._idle and self._most:
            if not can_fork() and _kept:
                self._idle.append(_kept.pop())
            else:
                try:
                    self._idle.append(start_worker())
                except OSError as error:
                    self._most = len(self._busy)
                    where = f"{self._most} at a time" if self._most else "this process"
                    reason = error.strerror or error
                    logger.warning("clavilux: no more processes can be started (%s): working in %s", reason, where)
                    if self._most:
                        return False
        if self._idle:
            worker = self._idle.pop()
            self._busy[worker] = job
            worker.give(self._function, job[1])
        else:
            self._done[job[0]] = (job[1], attempt(self._function, job[1]))
        return True

    def _collect(self, worker: Worker) -> None:
        """Take what a process has sent; one that has died leaves its song to a second try or to its fate."""
        number, song = self._busy[worker]
        try:
            outcome = worker.read()
            if outcome is None:  # a line of its log
                return
            self._idle.append(worker)
        except (EOFError, OSError):
            outcome = Failed(worker.explain_death())
        del self._busy[worker]
        if worker.has_died and self._jobs > 1 and not self._is_second_try:
            self._again.append((number, song))
        else:
            self._done[number] = (song, outcome)

    def _end_idle(self) -> None:
        end_workers(self._idle)
        self._idle.clear()

    def _close(self) -> None:
        _kept.extend(worker for worker in self._idle if not worker.is_forked)
        end_workers([*self._busy, *(worker for worker in self._idle if worker.is_forked)])


@atexit.register
def _end_kept() -> None:
    end_workers(_kept)
    _kept.clear()
