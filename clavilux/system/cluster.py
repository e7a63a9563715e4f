"""Songs on a Dask cluster, in shards; the part of `clavilux.system.jobs` that needs the extra ``cluster``.

songs, a function of one song -> **here** -> the scheduler, its workers -> what became of each song

joblib's Dask backend is the seam. A worker does the songs of its shard one after another, and the function writes each
result at once, under a temporary name that it then renames. If a worker dies, the scheduler gives its shard to another
one; so the function must be one that finds what is there already and leaves it. Workers see the same files as the
caller, under the same paths.
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
from clavilux.system.outcomes import Outcome, attempt
from clavilux.version import __version__

if TYPE_CHECKING:
    import distributed

CONNECT_S = 10.0  # to reach a scheduler
WORKERS_S = 10.0  # for its first worker to be there
AHEAD_SHARDS = 1_000  # sent before the first comes back: bounds the scheduler's memory, and how many workers are busy

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
    """Yield each song with its outcome; parameters and errors are those of `clavilux.system.jobs.run_songs`."""
    from joblib import Parallel, delayed, parallel_config

    work = partial(_run_shard, function, folders, __version__)
    return_as = "generator" if ordered else "generator_unordered"
    lost: list[_Lost] = []
    with connected(scheduler) as client, parallel_config(backend=_dask_backend(client)):
        # A tuple goes with its task. What joblib takes for large data would be left on one worker, and die with it.
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
                f"the scheduler at {scheduler} was lost; what is done is kept, run this again when it is back"
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
            f"{len(lost)} of the shards ended worker after worker, most likely for want of memory; what they had done "
            f"is kept, run the rest with more memory: {'; '.join(shard.songs for shard in lost)}"
        )


@dataclass(frozen=True)
class _Lost:
    """A shard that the scheduler gave up, as its workers died one after another; its songs in words."""

    songs: str


def _run_shard(
    function: Callable[[T], Any], folders: tuple[Path, ...], version: str, songs: tuple[T, ...]
) -> list[tuple[T, Outcome]]:
    """Work on the songs of a shard. Runs on a worker of a cluster."""
    from threadpoolctl import threadpool_limits

    if version != __version__:
        raise ClusterError(
            f"the worker {platform.node()} has clavilux {__version__} and the caller {version}; install one version"
        )
    for folder in folders:
        if not folder.is_dir():
            raise ClusterError(
                f"the worker {platform.node()} does not see {folder}; caller and workers share a file system, under "
                "the same paths"
            )
    with threadpool_limits(1, user_api="blas"):  # whatever the worker was started with: the same bits as elsewhere
        return [(song, attempt(function, song)) for song in songs]


def _cut(songs: Iterable[T], n: int) -> Iterator[tuple[T, ...]]:
    """Shards of n songs, the last one shorter."""
    rest = iter(songs)
    while shard := tuple(islice(rest, n)):
        yield shard


@contextmanager
def connected(scheduler: str) -> Iterator[distributed.Client]:
    """Give a client of the scheduler at an address, or raise `ClusterError` if none answers there."""
    import asyncio  # 0.02 s, which only a cluster is worth

    from distributed import Client

    with _silent_dask():
        try:
            with ThreadPoolExecutor(1) as thread:  # a notebook has an event loop of its own
                kind = thread.submit(asyncio.run, _ask_kind(scheduler)).result()
            if kind != "Scheduler":
                raise ValueError(f"it answers as {kind}")
            client = Client(scheduler, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:  # refused, silent or cut off; malformed or no scheduler
            raise ClusterError(
                f"no Dask scheduler can be reached at {scheduler!a} ({str(error) or 'no answer'}); give the address "
                "that `dask scheduler` prints, such as tcp://10.0.0.1:8786"
            ) from error
        with client:
            yield client


@contextmanager
def _silent_dask() -> Iterator[None]:
    """Keep Dask from logging its tries and tracebacks: what goes wrong becomes one line of ours."""
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
    """Ask what listens there, a "Scheduler" or a "Worker"; for what is silent Dask's own client waits for ever."""
    import asyncio

    from distributed import Security, rpc

    secrets = Security().get_connection_args("client")  # of Dask's configuration, for tls:// addresses
    async with asyncio.timeout(CONNECT_S), rpc(address, timeout=CONNECT_S, connection_args=secrets) as there:
        return str((await there.identity())["type"])


def _dask_backend(client: distributed.Client) -> Any:
    """joblib's Dask backend, with three of its gaps closed; the class is made here, as it needs the extra."""
    from distributed import KilledWorker
    from joblib._dask import DaskDistributedBackend

    class Backend(DaskDistributedBackend):  # type: ignore[misc]  # joblib has no types
        def effective_n_jobs(self, n_jobs: int) -> int:
            # With one worker of one thread joblib would do all the work on the caller.
            return max(2, int(super().effective_n_jobs(n_jobs)))

        def submit(self, func: Any, callback: Any = None) -> Any:
            # joblib passes on what a task returns or raises, but waits for ever for one that Dask itself gives up.
            future = super().submit(func, callback)

            def tell(future: Any) -> None:
                error = future.exception()
                if isinstance(error, KilledWorker):
                    ((_, (shard,), _),) = func.items
                    callback([_Lost(f"{shard[0]} to {shard[-1]}")])
                elif error is not None:
                    callback(error)

            future.add_done_callback(tell)
            return future

    return Backend(client=client, wait_for_workers_timeout=WORKERS_S)
