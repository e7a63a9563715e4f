"""Two things at once in one process: tiles of a picture side by side, and blocks of sound decoded ahead.

NumPy, FFmpeg and zlib let go of Python's lock while they work, so that threads do run side by side. One thread is the
default everywhere: where many songs are painted, each core has a process of its own, and threads would only wait. What
comes out is the same to the last bit for any number of threads.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")

CONTROL_GROUP = Path("/sys/fs/cgroup")
AHEAD = 4  # blocks that wait at most: about six seconds of sound


@lru_cache(maxsize=1)
def count_cores() -> int:
    """Return the number of cores that this process may use, 1 or more; a container may get less than there are."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for name in ("cpu.max", "cpu/cpu.cfs_quota_us"):  # control groups of Linux, version 2 and 1
        try:
            quota, *period = (CONTROL_GROUP / name).read_text().split()
            period = period or (CONTROL_GROUP / "cpu/cpu.cfs_period_us").read_text().split()
            if float(quota) > 0:  # -1: no limit; "max" is the same in version 2 and no number
                return max(1, min(cores, math.ceil(float(quota) / float(period[0]))))
        except (OSError, ValueError):
            continue
    return cores


def run_each(work: Callable[[T], object], parts: Iterable[T], threads: int) -> None:
    """Call a function with each part, in so many threads; parts must not write to the same place.

    What a call raises is raised here, and parts that have not begun are left out.
    """
    if threads == 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, parts):
            pass


def read_ahead(items: Iterable[T], *, ahead: int = AHEAD) -> Iterator[T]:
    """Yield the same items in the same order, made in a thread that is at most `ahead` items in front.

    What making them raises is raised here, after the items before it. The thread ends with this iterator, also where
    that is closed early.
    """
    waiting: Queue[tuple[T] | BaseException | None] = Queue(ahead)  # None: that was all
    unwanted = Event()

    def put(entry: tuple[T] | BaseException | None) -> None:
        while not unwanted.is_set():
            try:
                waiting.put(entry, timeout=0.1)
                return
            except Full:
                continue

    def make() -> None:
        try:
            for item in items:
                put((item,))
                if unwanted.is_set():
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = Thread(target=make, name="clavilux read ahead", daemon=True)
    thread.start()
    try:
        while (entry := waiting.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            yield entry[0]
    finally:
        unwanted.set()
        thread.join()
