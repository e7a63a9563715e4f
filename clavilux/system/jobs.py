"""Call a function with each of many songs, in processes on this machine or on a Dask cluster.

If a song fails (an exception, a crash of its process, not enough memory), the failure is reported with the name of the
song, and all other songs are still processed. If a process dies while other processes run, its song is tried again
while no other song is processed, because the processes together may have used too much memory. Results and their order
are the same for any number of processes.
"""

from __future__ import annotations

import atexit
import logging
import operator
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

SHARD_SONGS = 50  # songs per shard: about a minute of work, so overhead and the loss from a dead worker are small
AHEAD_SONGS = 1_000  # largest number of results that wait for an earlier song; limits the memory

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
    """Call a function with each song, and yield the results.

    Parameters
    ----------
    function : callable
        Function with one argument, a song; defined at module level so that workers can import it. A `ClaviluxError`
        ends the run; any other exception is a failure of this song only.
    songs : iterable
        Arguments of the function; they should be small, because they are pickled. The iterable is consumed lazily.
    jobs : int
        Number of worker processes on this machine; -1 for one per core. With 1, songs are processed in a fork of the
        calling process. If the calling process cannot be forked (see `can_fork`), it processes the songs itself, and a
        crash ends the run. ``jobs`` is ignored with ``scheduler``.
    failed : callable, optional
        Called with a song that failed and the reason; its return value is the result for this song. By default, a
        failure ends the run.
    scheduler : str, optional
        Address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``; by default, use this machine.
    shard_songs : int
        Number of songs that are sent to a worker of a cluster at a time.
    folders : iterable of Path
        Folders that the workers of a cluster must be able to access.
    ordered : bool
        True to yield results in the order of the songs, False to yield each result as soon as it is ready.

    Raises
    ------
    ClusterError
        If the scheduler cannot be reached, is lost or has no workers, or if a worker has another version or cannot
        access a folder. If several workers died while they processed the same shard (group of songs), the error is
        raised after all other shards are done.
    ClaviluxError
        If the function raises it, or if a song fails and `failed` is None.
    """
    outcomes: Generator[tuple[T, Outcome], None, None]
    if scheduler is not None:
        from clavilux.system.cluster import run_on_cluster

        outcomes = run_on_cluster(function, songs, scheduler, shard_songs, tuple(folders), ordered=ordered)
    elif jobs == 1 and not can_fork():
        outcomes = ((song, attempt(function, song)) for song in songs)
    else:
        outcomes = _Pool(function, count_jobs(jobs), ordered=ordered).run(songs)
    with closing(outcomes):  # ends the processes if the caller stops early
        for song, outcome in outcomes:
            yield _result(song, outcome, failed)


def run_calls(
    calls: Iterable[partial[R]],
    *,
    jobs: int,
    failed: Callable[[partial[R], str], R] | None = None,
    counted: Callable[[int], None] | None = None,
) -> list[R]:
    """Make calls in worker processes, as `run_songs` does, and return their results in the order of the calls.

    ``jobs`` and ``failed`` are those of `run_songs`. With one job and without ``failed``, the calls are made in this
    process, and their exceptions are raised unchanged. ``counted`` is called after each result with the number of
    results so far.

    Examples
    --------
    >>> run_calls([partial(abs, -1), partial(abs, -2)], jobs=1)
    [1, 2]
    """
    if jobs == 1 and failed is None:
        results: Iterable[R] = (call() for call in calls)
    else:
        results = run_songs(operator.call, calls, jobs=jobs, failed=failed)
    found = []
    for result in results:
        found.append(result)
        if counted:
            counted(len(found))
    return found


def count_jobs(jobs: int) -> int:
    """Return the number of worker processes: ``jobs`` itself, or for -1 one per core."""
    return jobs if jobs > 0 else count_cores()


def check_scheduler(scheduler: str) -> None:
    """Raise `ClusterError` if no scheduler answers at the address."""
    from clavilux.system.cluster import connected

    with connected(scheduler):
        pass


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
    """Return the name of a song for messages.

    If the song is a call (`functools.partial`), the name is its first argument if that is text or a path, else the name
    of its function.
    """
    if isinstance(song, partial):
        first = song.args[0] if song.args else None
        return str(first) if isinstance(first, str | Path) else getattr(song.func, "__name__", "a call")
    return str(song)


_reusable: list[Worker] = []  # idle workers that are not forks; kept, because importing PyTorch takes them seconds


class _Pool(Generic[T]):
    """Processes on this machine; each of them calls a function with one song at a time."""

    def __init__(self, function: Callable[[T], Any], jobs: int, *, ordered: bool) -> None:
        self._function = function
        self._jobs = self._most = jobs  # requested number, and the number that the system allows
        self._ordered = ordered
        self._busy: dict[Worker, tuple[int, T]] = {}
        self._idle: list[Worker] = []
        self._retries: list[tuple[int, T]] = []  # songs whose process died while others were running
        self._is_second_try = False
        self._done: dict[int, tuple[T, Outcome]] = {}  # outcomes that wait for an earlier song

    def run(self, songs: Iterable[T]) -> Generator[tuple[T, Outcome], None, None]:
        """Yield each song with its outcome."""
        remaining: Iterator[tuple[int, T]] = enumerate(songs)
        turn = 0
        try:
            while True:
                remaining = self._distribute(remaining)
                if not self._busy and not self._done and not self._retries:
                    return
                if self._busy:
                    for worker in wait_for(list(self._busy)):
                        self._collect(worker)
                while self._done and (not self._ordered or turn in self._done):
                    yield self._done.pop(turn if self._ordered else next(iter(self._done)))
                    turn += 1
        finally:
            self._close()

    def _distribute(self, remaining: Iterator[tuple[int, T]]) -> Iterator[tuple[int, T]]:
        """Give songs to idle processes; return an iterator over the songs that are left."""
        if self._retries:
            if not self._busy:
                self._is_second_try = True
                end_workers(self._idle)  # to free their memory; the song gets a new process
                self._idle.clear()
                self._give(self._retries.pop())
            return remaining
        self._is_second_try = False
        while len(self._busy) < max(1, self._most) and len(self._done) < AHEAD_SONGS:
            job = next(remaining, None)
            if job is None:
                return iter(())
            if not self._give(job):
                return chain([job], remaining)
        return remaining

    def _give(self, job: tuple[int, T]) -> bool:
        """Give a song to a process; return False if the system allows no more processes.

        If no process can be started at all, the song is processed in the calling process.
        """
        if not self._idle and self._most:
            if not can_fork() and _reusable:
                self._idle.append(_reusable.pop())
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
        """Read a message of a process; if it has died, schedule a second try of its song, or record its failure."""
        number, song = self._busy[worker]
        try:
            outcome = worker.read()
            if outcome is None:  # a log message
                return
            self._idle.append(worker)
        except (EOFError, OSError):
            outcome = Failed(worker.explain_death())
        del self._busy[worker]
        if worker.has_died and self._jobs > 1 and not self._is_second_try:
            self._retries.append((number, song))
        else:
            self._done[number] = (song, outcome)

    def _close(self) -> None:
        _reusable.extend(worker for worker in self._idle if not worker.is_forked)
        end_workers([*self._busy, *(worker for worker in self._idle if worker.is_forked)])


@atexit.register
def _end_reusable() -> None:
    end_workers(_reusable)
    _reusable.clear()
