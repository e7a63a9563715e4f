"""Threads: the same results in the same order, faults passed on, and nothing left running."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from clavilux.system.threads import AHEAD, count_cores, one_blas_thread, read_ahead, run_each


def running() -> int:
    return threading.active_count()


def test_every_part_is_done_once_by_any_number_of_threads() -> None:
    for threads in (1, 2, 5):
        done = np.zeros(100, int)

        def work(part: int, done: np.ndarray = done) -> None:
            done[part] += 1

        run_each(work, range(100), threads)
        assert (done == 1).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_fault_of_a_part_is_raised(threads: int) -> None:
    def work(part: int) -> None:
        if part == 3:
            raise ValueError("part 3")

    before = running()
    with pytest.raises(ValueError, match="part 3"):
        run_each(work, range(10), threads)
    assert running() == before


def test_items_come_in_their_order_from_another_thread() -> None:
    makers = set()

    def items() -> Iterator[int]:
        for number in range(50):
            makers.add(threading.get_ident())
            yield number

    before = running()
    assert list(read_ahead(items())) == list(range(50))
    assert len(makers) == 1 and threading.get_ident() not in makers
    assert running() == before


def test_a_fault_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise ValueError("the fourth")

    got = []
    with pytest.raises(ValueError, match="the fourth"):
        for item in read_ahead(items()):
            got.append(item)
    assert got == [0, 1, 2]


def test_the_maker_is_no_further_ahead_than_allowed_and_ends_with_the_taker() -> None:
    made = []
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            for number in range(1000):
                made.append(number)
                yield number
        finally:
            closed.set()

    before = running()
    taker = read_ahead(items())
    for _ in range(10):
        next(taker)
    taker.close()
    assert len(made) <= 10 + AHEAD + 2  # those that wait, one in the hand, and one that found a place at the end
    assert closed.wait(5)
    assert running() == before


def test_there_is_a_core() -> None:
    assert count_cores() >= 1


def test_a_song_is_the_same_for_any_number_of_threads(fake_bundle: Path, tone_file: Path, tmp_path: Path) -> None:
    from clavilux.pipeline import Clavilux

    before = running()
    pictures = [Clavilux(fake_bundle, threads=threads).paint(tone_file, size=(300, 400)) for threads in (1, 2, 3)]
    assert running() == before
    for picture in pictures[1:]:
        assert picture.song.descriptors == pictures[0].song.descriptors
        assert (picture.song.windows == pictures[0].song.windows).all()
        assert (picture.pixels == pictures[0].pixels).all()
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for picture, file in zip(pictures, files, strict=True):
        picture.save(file)
    assert files[0].read_bytes() == files[1].read_bytes() == files[2].read_bytes()


def test_blas_has_one_thread_in_each_thread_and_its_own_number_afterwards() -> None:
    def count(_: int = 0) -> set[int]:
        return {int(library["num_threads"]) for library in threadpool_info() if library["user_api"] == "blas"}

    def limited(_: int) -> set[int]:
        with one_blas_thread():
            threading.Event().wait(0.02)
            return count()

    before = count()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(limited, range(12))) == [{1}] * 12
    assert limited(0) == {1}
    assert count() == before
