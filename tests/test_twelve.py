"""`benchmarks/twelve.py`: the choice of songs and crops, and the size of its sheets."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("efficientnet_lite_pytorch")
pytestmark = pytest.mark.torch

from clavilux.corpus import CorpusRow  # noqa: E402

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def twelve():
    spec = importlib.util.spec_from_file_location("twelve", ROOT / "benchmarks" / "twelve.py")
    module = sys.modules["twelve"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _row(name, genre, role="music", split="held-out", artist=""):
    values = dict.fromkeys(CorpusRow.__dataclass_fields__, "")
    return CorpusRow(**values | {"file": name, "genre": genre, "role": role, "split": split, "artist": artist})


def test_each_genre_is_used_once_and_labelled_ones_come_first(twelve):
    table = [
        *(_row(f"a{i}", "ambient") for i in range(3)),
        *(_row(f"m{i}", "rock/metal") for i in range(9)),
        *(_row(f"c{i}", "chiptune") for i in range(5)),
        _row("g", "game/chiptune"),
        _row("j", "jazz"),
        _row("trained", "folk", split="training"),
        _row("r1", "rock", role="labelled"),
        _row("r2", "rock", role="labelled"),
        _row("p", "pop", role="labelled"),
    ]
    chosen = twelve.choose(table, 12)
    assert [row.genre for row in chosen] == ["pop", "rock", "chiptune", "ambient", "jazz"]
    assert twelve.choose(table[::-1], 12) == chosen
    assert twelve.choose(table, 3) == chosen[:3]


def test_artists_are_not_repeated_if_there_is_another(twelve):
    table = [_row(f"p{i}", "pop", artist="A") for i in range(3)]
    table += [_row(f"j{i}", "jazz", artist="A") for i in range(9)] + [_row("j", "jazz", artist="B")]
    table += [_row(f"f{i}", "folk", artist="A") for i in range(20)]
    assert [(row.genre, row.artist) for row in twelve.choose(table, 2)] == [("folk", "A"), ("jazz", "B")]
    alone = [_row("p", "pop", artist="A"), _row("j", "jazz", artist="A")]
    assert len(twelve.choose(alone, 2)) == 2


def test_crops_are_within_the_picture_and_differ(twelve):
    places = {twelve.crop_place(_row(f"song {i}.mp3", "pop")) for i in range(300)}
    assert len(places) > 50
    assert all(0 <= left <= 4096 - 512 and 0 <= top <= 4096 - 512 for left, top in places)


def test_sheets_have_the_best_quality_within_the_size_limit(twelve, tmp_path, monkeypatch):
    monkeypatch.setattr(twelve, "MOST_BYTES", 30_000)
    noisy = np.random.default_rng(0).integers(0, 256, (12, 64, 64, 3), np.uint8)
    quality, size = twelve.save_sheet(tmp_path / "noisy.jpg", noisy)
    assert size == (tmp_path / "noisy.jpg").stat().st_size <= 30_000
    assert quality < twelve.QUALITIES[0]
    assert twelve.save_sheet(tmp_path / "flat.jpg", noisy // 255)[0] == twelve.QUALITIES[0]
    with Image.open(tmp_path / "noisy.jpg") as image:
        assert image.size == (4 * 65 - 1, 3 * 65 - 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flat.jpg", "noisy.jpg"]


def test_names_have_no_markdown_characters(twelve):
    assert twelve.name_song(_row("files/a|b_c*.ogg", "pop", artist="X")) == "X: a/b c"


def test_the_page_has_the_markers(twelve):
    text = (ROOT / "research" / "diary" / "twelve-songs.md").read_text("utf-8")
    assert all(text.count(marker) == 1 for marker in twelve.MARKERS)
