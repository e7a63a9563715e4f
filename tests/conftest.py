"""Sounds, songs and a bundle that the tests share; all synthesised, all seeded."""

from __future__ import annotations

import os
from pathlib import Path

# Before NumPy and PyTorch: more threads are slower here, and a process with threads of PyTorch cannot be forked.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Two processes that write the same cache of Numba (that of librosa, for example) can damage it, which ends in a crash.
os.environ.setdefault(
    "NUMBA_CACHE_DIR",
    str(Path(__file__).parents[1] / ".pytest_cache" / "numba" / os.environ.get("PYTEST_XDIST_WORKER", "main")),
)

import sys
import wave
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fake_bundle import write_fake_bundle
from numpy.typing import NDArray

from clavilux.constants import MFCC_ROWS, SAMPLE_RATE, WINDOW_FRAMES
from clavilux.painter.compiled import SWITCH

if TYPE_CHECKING:
    from clavilux.audio.song import Song

MakeSong = Callable[..., "Song"]


# A process of pytest-xdist has a second thread, which only waits for messages.
BESIDE_XDIST = "PYTEST_XDIST_WORKER" in os.environ and sys.platform == "linux"


def pytest_configure(config: pytest.Config) -> None:
    if BESIDE_XDIST:  # Python 3.12 and later warn of any second thread
        config.addinivalue_line("filterwarnings", "ignore:.*is multi-threaded, use of fork:DeprecationWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that the processes of pytest-xdist end at nearly the same time."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def _forks_beside_xdist() -> Iterator[None]:
    """Workers of Clavilux are forked as without pytest-xdist."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("workers", "jobs") if BESIDE_XDIST else ():
            patch.setattr(f"clavilux.system.{module}.can_fork", lambda: len(os.listdir("/proc/self/task")) == 2)
        yield


@pytest.fixture(autouse=True)
def _choice_of_the_painter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training in this process chooses the compiled painter for good; no other test shall notice."""
    monkeypatch.delenv(SWITCH, raising=False)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures too are painted by the compiled painter, which is faster for a series of them."""
    monkeypatch.setenv(SWITCH, "1")


@pytest.fixture(scope="session")
def fake_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny bundle; tests that damage one write their own."""
    return write_fake_bundle(tmp_path_factory.mktemp("bundles") / "fake")


@pytest.fixture(scope="session")
def tone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 s of a chord that beats twice a second."""
    return write_wave(tmp_path_factory.mktemp("songs") / "chord.wav", chord(220.0, 12.0))


@pytest.fixture(scope="session")
def other_tone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, two octaves higher."""
    return write_wave(tmp_path_factory.mktemp("songs") / "high.wav", chord(880.0, 12.0))


@pytest.fixture
def make_song() -> MakeSong:
    """Make a Song without sound: seeded windows and the descriptors of the fake bundle."""
    from clavilux.audio.song import Song

    def make(
        *, seed: int = 0, n: int = 6, audible: list[bool] | None = None, descriptors: dict[str, float] | None = None
    ) -> Song:
        rng = np.random.default_rng(seed)
        windows = 30 * rng.standard_normal((n, MFCC_ROWS, 1)) + 10 * rng.standard_normal((n, MFCC_ROWS, WINDOW_FRAMES))
        heard = np.ones(n, bool) if audible is None else np.array(audible)
        return Song(
            path=Path(f"song{seed}.flac"),
            name=f"song{seed}",
            sha256=f"{seed:064x}",
            duration_s=5.0 * n,
            windows=windows.astype(np.float32),
            window_db=np.full(n, -20.0, np.float32),
            audible=heard,
            is_silent=not heard.any(),
            descriptors={"tempo": 120.0, "loudness": -14.0} if descriptors is None else descriptors,
            warnings=(),
        )

    return make


def chord(hz: float, seconds: float) -> NDArray[np.float32]:
    """A major triad on ``hz`` with a pulse of 2 Hz, peak 0.6, at 22 050 Hz."""
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tones = sum(np.sin(2 * np.pi * hz * ratio * t) for ratio in (1, 5 / 4, 3 / 2))
    return np.asarray(0.2 * tones * np.exp(-3 * (t % 0.5)), np.float32)


def write_wave(path: Path, samples: NDArray[np.float32]) -> Path:
    """Write 16-bit mono sound at 22 050 Hz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path
