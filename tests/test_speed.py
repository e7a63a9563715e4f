"""The benchmark of speed: ratios, measuring of processes, and the table. Times are not tested."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import speed
from speed_songs import write_song
from timing import Row, Run, python, run_process

from clavilux.audio.decode import read_blocks
from clavilux.constants import SAMPLE_RATE

ROOT = Path(__file__).parent.parent


def test_a_ratio_is_the_median_over_neighbouring_runs() -> None:
    ours = [Run(1, 1, 100), Run(2, 1, 100), Run(10, 1, 100)]  # the machine slows down
    theirs = [Run(3, 4, 200), Run(6, 4, 200), Run(20, 4, 250)]
    row = Row("paint", "a song", "ours", ours, "theirs", theirs)
    assert row.ratio == 3
    assert row.cpu_ratio == 4
    assert "| 3.00 | 4.00 |" in speed.to_markdown([row], "machine", 3)
    assert Row("hour", "an hour", "ours", ours, "theirs", theirs, by="peak_mb").ratio == 2


def test_a_process_is_measured_and_not_its_parent() -> None:
    ballast = np.ones(60_000_000, np.uint8)
    small, large = (run_process(python(f"b'x' * {n}")) for n in (1, 80_000_000))
    assert small.peak_mb < 40 < ballast.nbytes / 1e6
    assert 75 < large.peak_mb - small.peak_mb < 90
    assert small.wall_s > 0 and small.cpu_s > 0


def test_a_command_that_fails_ends_the_benchmark() -> None:
    with pytest.raises(SystemExit, match="ended with 3"):
        run_process(python("raise SystemExit(3)"))


def test_songs_have_their_length_and_their_seed(tmp_path: Path) -> None:
    one, two = (write_song(tmp_path / f"{seed}.mp3", 3.0, seed=seed) for seed in (1, 2))
    again = write_song(tmp_path / "again.mp3", 3.0, seed=1)
    assert one.read_bytes() == again.read_bytes() != two.read_bytes()
    sound = np.concatenate(list(read_blocks(one)))
    assert abs(sound.size / SAMPLE_RATE - 3) < 0.1
    assert 0.1 < np.abs(sound).max() <= 1


def test_the_table_goes_into_its_marked_place(tmp_path: Path) -> None:
    begin, end = speed.MARKERS
    page = tmp_path / "page.md"
    page.write_text(f"# Before\n\n{begin}\nold\n{end}\n\nAfter\n", "utf-8")
    for _ in range(2):
        speed.put_table(page, "new\n")
        assert page.read_text("utf-8") == f"# Before\n\n{begin}\n\nnew\n\n{end}\n\nAfter\n"
    speed.put_table(tmp_path / "alone.md", "new\n")
    assert (tmp_path / "alone.md").read_text("utf-8") == "new\n"


def test_the_documentation_has_the_marked_place() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    assert all(text.count(marker) == 1 for marker in speed.MARKERS)
