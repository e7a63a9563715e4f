"""Call a function with songs on a Dask cluster, for `clavilux.system.jobs`; needs the extra ``cluster``.

Songs are sent in shards (groups of songs) through joblib's Dask backend. A worker processes the songs of a shard one
after another. If a worker dies, the scheduler gives its shard to another worker. So the function must write each result
atomically, and skip songs whose results exist. Workers must have access to the same files as the caller, under the same
paths.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from clavilux.errors import ClusterError
from clavilux.system.extras import require
from clavilux.system.outcomes import Outcome, attempt
from clavilux.version import __version__

if TYPE_CHECKING:
    import distributed

CONNECT_S = 10.0  # timeout for the connection to a scheduler
WORKERS_S = 10.0  # timeout for the first worker of the scheduler
AHEAD_SHARDS = 1_000  # shards that are sent in advance; limits the memory of the scheduler and the busy workers

T = TypeVar("T")


def run_on_cluster(
    function: Callable[[T], Any],
    songs: Iterable[T],
    scheduler: str,
    shard_songs: int,
    folders: tuple[Path, ...],
    *,
    ordered: bool,
) -> Generator[tuple[T, Outcome], None, None]:
    """Yield each song with its `Outcome`; parameters and errors are those of `clavilux.system.jobs.run_songs`."""
    require("joblib", "cluster")
    from joblib import Parallel, delayed, parallel_config

    work = partial(_run_shard, function, folders, __version__)
    return_as = "generator" if ordered else "generator_unordered"
    lost: list[_Lost] = []
    with connected(scheduler) as client, parallel_config(backend=_dask_backend(client)):
        # A tuple is sent with its task. Larger data would be stored on one worker, and lost if this worker dies.
        calls = (delayed(work)(shard) for shard in _cut(songs, shard_songs))
        try:
            outcomes = Parallel(batch_size=1, pre_dispatch=AHEAD_SHARDS, return_as=return_as)(calls)
        except TimeoutError as error:
            raise ClusterError(
                f"the scheduler at {scheduler} has no workers; start some: dask worker {scheduler}"
            ) from error
        try:
            for done in outcomes:
                if isinstance(done, _Lost):
                    lost.append(done)
                else:
                    yield from done
        except CancelledError as error:
            raise ClusterError(
                f"the scheduler at {scheduler} was lost; finished songs are kept, run this again when it is back"
            ) from error
        except (ModuleNotFoundError, RuntimeError) as error:
            # Raised on a worker, or on the scheduler.
            missing = error if isinstance(error, ModuleNotFoundError) else error.__cause__
            if not isinstance(missing, ModuleNotFoundError):
                raise
            raise ClusterError(
                f"the cluster at {scheduler} has no module {missing.name}; install clavilux {__version__} for its "
                "scheduler and all its workers"
            ) from error
    if lost:
        raise ClusterError(
            f"{len(lost)} of the shards ended several workers, probably because memory ran out; finished songs are "
            f"kept, run the rest with more memory: {'; '.join(shard.songs for shard in lost)}"
        )


@dataclass(frozen=True)
class _Lost:
    """A shard that the scheduler has given up, because several workers died while they processed it."""

    songs: str  # first and last song of the shard, for messages


def _run_shard(
    function: Callable[[T], Any], folders: tuple[Path, ...], version: str, songs: tuple[T, ...]
) -> list[tuple[T, Outcome]]:
    """Return the songs of a shard with their outcomes; called on a worker of the cluster.

    A `ClusterError` is raised if the worker cannot access one of ``folders``, or has another ``version`` of Clavilux.
    """
    from threadpoolctl import threadpool_limits

    if version != __version__:
        raise ClusterError(
            f"the worker {platform.node()} has clavilux {__version__} and the caller {version}; install one version"
        )
    for folder in folders:
        if not folder.is_dir():
            raise ClusterError(
                f"the worker {platform.node()} cannot access {folder}; all machines need a shared file "
                "system with the same paths"
            )
    with threadpool_limits(1, user_api="blas"):  # for identical results on every worker
        return [(song, attempt(function, song)) for song in songs]


def _cut(songs: Iterable[T], n: int) -> Iterator[tuple[T, ...]]:
    """Yield shards of n songs; the last one may be shorter."""
    rest = iter(songs)
    while shard := tuple(islice(rest, n)):
        yield shard


@contextmanager
def connected(scheduler: str) -> Iterator[distributed.Client]:
    """Yield a client of the Dask scheduler at an address.

    Raises
    ------
    ClusterError
        If no scheduler answers at the address.
    MissingExtraError
        If Dask, which is in the extra ``cluster``, is not installed.
    """
    import asyncio  # takes 0.02 s

    require("distributed", "cluster")
    from distributed import Client

    with _silent_dask():
        try:
            with ThreadPoolExecutor(1) as thread:  # a notebook already runs an event loop
                kind = thread.submit(asyncio.run, _ask_kind(scheduler)).result()
            if kind != "Scheduler":
                raise ValueError(f"it answers as {kind}")
            client = Client(scheduler, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:  # refused, no answer, disconnected; invalid, not a scheduler
            raise ClusterError(
                f"no Dask scheduler can be reached at {scheduler!a} ({str(error) or 'no answer'}); give the address "
                "that `dask scheduler` prints, such as tcp://10.0.0.1:8786"
            ) from error
        with client:
            yield client


@contextmanager
def _silent_dask() -> Iterator[None]:
    """Disable the log messages of Dask during the ``with`` block; the caller reports errors as `ClusterError`."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


async def _ask_kind(address: str) -> str:
    """Return the type of the server at an address, such as "Scheduler"; Dask's client has no timeout for this."""
    import asyncio

    from distributed import Security, rpc

    secrets = Security().get_connection_args("client")  # from Dask's configuration, for tls:// addresses
    async with asyncio.timeout(CONNECT_S), rpc(address, timeout=CONNECT_S, connection_args=secrets) as there:
        return str((await there.identity())["type"])


def _dask_backend(client: distributed.Client) -> Any:
    """Return joblib's Dask backend, changed to use a single worker too, and to report tasks that Dask gives up."""
    from distributed import KilledWorker  # the base class below also needs the extra
    from joblib._dask import DaskDistributedBackend

    class Backend(DaskDistributedBackend):  # type: ignore[misc]  # joblib has no types
        def effective_n_jobs(self, n_jobs: int) -> int:
            # With one worker of one thread, joblib would run all calls in this process.
            return max(2, int(super().effective_n_jobs(n_jobs)))

        def submit(self, func: Any, callback: Any = None) -> Any:
            # joblib waits forever for a task that Dask gives up.
            future = super().submit(func, callback)

            def report(future: Any) -> None:
                error = future.exception()
                if isinstance(error, KilledWorker):
                    ((_, (shard,), _),) = func.items
                    callback([_Lost(f"{shard[0]} to {shard[-1]}")])
                elif error is not None:
                    callback(error)

            future.add_done_callback(report)
            return future

    return Backend(client=client, wait_for_workers_timeout=WORKERS_S)
