"""Find the fastest number format and number of threads for a training, by trials on this machine."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import torch

from clavilux.system.threads import count_cores

if TYPE_CHECKING:
    from clavilux.training.loop import LoopSettings, Task

Precision = Literal["32-true", "bf16-mixed"]

_REPETITIONS = 3
_LEAST_GAIN = 1.15  # smallest speed-up for which twice as many threads are used


def choose_precision(task: Task, settings: LoopSettings, log: Callable[[str], None]) -> Precision:
    """Return the number format that the settings name or, if they say "auto", the faster one on this machine.

    With a GPU, "auto" means "bf16-mixed". Without a GPU, steps in float32 and bfloat16 are timed, for about half
    a second in all.
    """
    # On processors with AMX, bfloat16 convolutions are several times faster than float32; on processors that emulate
    # bfloat16, they are many times slower. A trial is more reliable than a list of processors.
    if settings.precision != "auto":
        return settings.precision
    if torch.cuda.is_available():
        log(f"{task.name}: number format bf16-mixed (GPU)")
        return "bf16-mixed"
    formats: tuple[Precision, ...] = ("32-true", "bf16-mixed")
    seconds: dict[Precision, float] = {}
    with using_threads(1 if _may_choose_threads() else None):
        for name in formats:
            seconds[name] = _time_step(task, settings, name, at_most=2 * min(seconds.values(), default=math.inf))
    chosen = min(formats, key=lambda name: seconds[name])
    log(f"{task.name}: number format {chosen} ({_list_times(seconds)})")
    return chosen


def choose_threads(
    task: Task, settings: LoopSettings, precision: Precision, log: Callable[[str], None], *, before: int | None = None
) -> int | None:
    """Return the number of threads with which a step is fastest, or None to keep the setting of PyTorch.

    The setting of PyTorch is kept with a GPU, and if OMP_NUM_THREADS or MKL_NUM_THREADS is set. Otherwise 1, 2, 4, ...
    threads are tried, as long as the last doubling made a step at least 15 % faster.

    ``before`` is the number of threads that an interrupted training used. It is used again, as far as there are enough
    cores, because the last digits of sums depend on the number of threads. ``log`` receives a line with the times.
    """
    # Small networks are fastest with few threads. With one thread per core, they become many times slower if another
    # program uses a core.
    if not _may_choose_threads():
        return None
    limit = count_cores()
    if before is not None:
        return min(before, limit)
    seconds: dict[int, float] = {}
    threads = best = 1
    while threads <= limit:
        with using_threads(threads), torch.random.fork_rng(devices=[]):  # the trial must not change the training
            seconds[threads] = _time_step(task, settings, precision)
        if seconds[threads] * _LEAST_GAIN > seconds[best] and threads > 1:
            break
        best, threads = threads, threads * 2
    log(f"{task.name}: threads {best} ({_list_times(seconds)})")
    return best


@contextmanager
def using_threads(number: int | None) -> Iterator[None]:
    """Set the number of threads of PyTorch inside a ``with`` block; None changes nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _may_choose_threads() -> bool:
    is_set = any(os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"))
    return not is_set and not torch.cuda.is_available()


def _time_step(task: Task, settings: LoopSettings, precision: Precision, *, at_most: float = math.inf) -> float:
    """Return the time in seconds of the fastest of three trials, each a forward and backward pass of one batch.

    If a trial takes longer than ``at_most`` seconds, it is the last one.
    """
    generator = torch.Generator().manual_seed(0)
    batch = task.batch(torch.arange(settings.batch) % task.n_items, generator)
    trial = copy.deepcopy(task)
    times = []
    for _ in range(_REPETITIONS):
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16-mixed"):
            trial(batch, generator, 0.0)["loss"].backward()
        times.append(time.perf_counter() - start)
        if times[-1] > at_most:
            break
    return min(times)


def _list_times(seconds: dict[Precision, float] | dict[int, float]) -> str:
    return ", ".join(f"{name} {value * 1e3:.0f} ms" for name, value in seconds.items())
