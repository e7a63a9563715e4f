"""How a training runs fastest on this machine, found by trial: the number format, and the number of threads."""

from __future__ import annotations

import copy
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
_LEAST_GAIN = 1.15  # twice the threads must be faster by this, else they only wait for each other


def choose_precision(task: Task, settings: LoopSettings, log: Callable[[str], None]) -> Precision:
    """Return the number format that is faster on this machine, unless the settings say one.

    With AMX bfloat16 convolutions are several times faster than float32; on processors that emulate them they are many
    times slower. No list of processors says it as well as half a second of each.
    """
    if settings.precision != "auto":
        return settings.precision
    if torch.cuda.is_available():
        log(f"{task.name}: number format bf16-mixed (GPU)")
        return "bf16-mixed"
    formats: tuple[Precision, ...] = ("32-true", "bf16-mixed")
    with using_threads(1 if _may_choose_threads() else None):
        seconds = {name: _time_step(task, settings, name) for name in formats}
    chosen = min(formats, key=lambda name: seconds[name])
    log(f"{task.name}: number format {chosen} ({_list_times(seconds)})")
    return chosen


def choose_threads(
    task: Task, settings: LoopSettings, precision: Precision, log: Callable[[str], None], *, before: int | None = None
) -> int | None:
    """Return the number of threads with which a step is fastest, or None to leave PyTorch's number as it is.

    It is left where OMP_NUM_THREADS or MKL_NUM_THREADS says it, which several processes set for each other too, and on
    a GPU. Else it is doubled as long as that makes steps clearly faster: small networks are fastest with few threads,
    and with one for each core they become many times slower where another program needs a core too.

    Parameters
    ----------
    task, settings, precision
        What is trained.
    log : callable
        Takes a line with the times.
    before : int, optional
        Number with which this training began. It is taken again, as other numbers round sums in other ways.
    """
    if not _may_choose_threads():
        return None
    limit = count_cores()
    if before is not None:
        return min(before, limit)
    seconds: dict[int, float] = {}
    threads = best = 1
    while threads <= limit:
        with (
            using_threads(threads),
            torch.random.fork_rng(devices=[]),
        ):  # training draws the same with and without trial
            seconds[threads] = _time_step(task, settings, precision)
        if seconds[threads] * _LEAST_GAIN > seconds[best] and threads > 1:
            break
        best, threads = threads, threads * 2
    log(f"{task.name}: threads {best} ({_list_times(seconds)})")
    return best


@contextmanager
def using_threads(number: int | None) -> Iterator[None]:
    """Let PyTorch compute with this many threads in a block; None changes nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _may_choose_threads() -> bool:
    said = any(os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"))
    return not said and not torch.cuda.is_available()


def _time_step(task: Task, settings: LoopSettings, precision: Precision) -> float:
    """Return the seconds of a forward and a backward pass on a batch, the least of several."""
    from clavilux.training.loop import seeded_generator

    batch = task.batch(torch.arange(settings.batch) % task.n_items(), seeded_generator(settings.seed, 0, 0))
    trial = copy.deepcopy(task)
    times = []
    for _ in range(_REPETITIONS):
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16-mixed"):
            trial(batch, seeded_generator(0, 0, 0), 0.0)["loss"].backward()
        times.append(time.perf_counter() - start)
    return min(times)


def _list_times(seconds: dict[Precision, float] | dict[int, float]) -> str:
    return ", ".join(f"{name} {value * 1e3:.0f} ms" for name, value in seconds.items())
