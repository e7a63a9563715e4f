"""Memory that was freed is used again: counted in page faults, in processes of their own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PAGES = 8 * 2_000_000 // 4096  # of the eight arrays of a round

CODE = """
import resource
import numpy as np
from clavilux.system.memory import keep_memory, reuse_memory
agreed = {call}
def round():
    return [np.ones(500_000, np.float32) for _ in range(8)]
round()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    round()
print(agreed, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(call: str) -> tuple[str, int]:
    done = subprocess.run([sys.executable, "-c", CODE.format(call=call)], capture_output=True, text=True, check=True)
    agreed, faults = done.stdout.split()
    return agreed, int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a switch of glibc")
@pytest.mark.parametrize("call", ["reuse_memory()", "keep_memory()"])
def test_arrays_get_the_pages_of_those_before_them(call: str) -> None:
    agreed, faults = run(call)
    assert agreed == "True"
    assert faults < PAGES  # in ten rounds fewer than one round has


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a switch of glibc")
def test_by_default_they_do_not() -> None:
    _, faults = run("None")
    assert faults > 5 * PAGES


def test_it_says_so_where_there_is_no_such_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    from clavilux.system import memory

    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory.keep_memory() is False
    memory.reuse_memory.cache_clear()
    assert memory.reuse_memory() is False
    memory.reuse_memory.cache_clear()
