"""Threads for painting blocks of a picture in parallel, and for decoding sound in advance.

NumPy, FFmpeg and zlib release the global interpreter lock, so threads do run in parallel. All functions use one thread
by default, because many songs are painted with one process per core. Results are identical for any number of threads.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from queue import Full, Queue
from threading import Event, RLock, Thread
from typing import TypeVar

T = TypeVar("T")

CONTROL_GROUP = Path("/sys/fs/cgroup")
AHEAD = 4  # largest number of items that `read_ahead` keeps ready; 4 blocks of sound are about six seconds

_blas_lock = RLock()


@lru_cache(maxsize=1)
def count_cores() -> int:
    """Return the number of CPU cores that this process and its container may use, at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for name in ("cpu.max", "cpu/cpu.cfs_quota_us"):  # Linux control groups, version 2 and 1
        try:
            quota, *period = (CONTROL_GROUP / name).read_text().split()
            period = period or (CONTROL_GROUP / "cpu/cpu.cfs_period_us").read_text().split()
            if float(quota) > 0:  # -1, or "max" in version 2, means no limit
                return max(1, min(cores, math.ceil(float(quota) / float(period[0]))))
        except (OSError, ValueError):
            continue
    return cores


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS, the library of matrix products, to one thread, for one thread of this process at a time.

    The last bits of a product depend on the number of threads. The limit is that of the process, and only the thread
    that set it can lift it, so that two threads at once would undo each other's limits.
    """
    from threadpoolctl import threadpool_limits

    with _blas_lock, threadpool_limits(1, user_api="blas"):
        yield


def run_each(work: Callable[[T], object], parts: Iterable[T], threads: int) -> None:
    """Call ``work`` with each part, in ``threads`` threads; the calls must not write to the same memory.

    If a call raises an exception, this function raises it, and parts that have not started are skipped.
    """
    if threads == 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, parts))


def read_ahead(items: Iterable[T]) -> Iterator[T]:
    """Yield the items in their order, while a thread iterates over them and keeps at most `AHEAD` items ready.

    If the iteration raises an exception, this generator first yields the earlier items, then raises the exception. The
    thread ends when the generator ends or is closed.
    """
    queue: Queue[tuple[T] | BaseException | None] = Queue(AHEAD)  # items in 1-tuples; None: the end
    closed = Event()

    def put(entry: tuple[T] | BaseException | None) -> None:
        while not closed.is_set():
            try:
                queue.put(entry, timeout=0.1)
                return
            except Full:
                continue

    def produce() -> None:
        try:
            for item in items:
                put((item,))
                if closed.is_set():
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = Thread(target=produce, name="clavilux read ahead", daemon=True)
    thread.start()
    try:
        while (entry := queue.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            yield entry[0]
    finally:
        closed.set()
        thread.join()
