"""`clavilux evaluate` on two small folders."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from sounds import song, write_sound

from clavilux.cli import cli
from clavilux.evaluation.evaluate import identity
from clavilux.evaluation.looks import Looks, measure_looks
from clavilux.evaluation.material import find_art, find_songs


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judged")
    (folder / "songs").mkdir()
    (folder / "art").mkdir()
    for index in range(13):
        write_sound(folder / "songs" / f"{index}.wav", song(11.0, seed=index))
    (folder / "songs" / "broken.mp3").write_text("no sound")
    for index in range(28):
        rng = np.random.default_rng(index)
        rgb = rng.integers(0, 255, (8, 8, 3), np.uint8).repeat(20, axis=0).repeat(20, axis=1)
        Image.fromarray(rgb).save(folder / "art" / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def report(folders, fake_bundle):
    command = ["evaluate", "--music", str(folders / "songs"), "--art", str(folders / "art"), "--jobs", "1"]
    command += ["--bundle", str(fake_bundle), "-o", str(folders / "report.json")]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output, json.loads((folders / "report.json").read_text())


def test_the_table_has_the_songs_and_what_they_are_read_against(report):
    output, found = report
    assert set(found["table"]) >= {"songs", "training art", "decoder", "random latents", "shuffled songs", "mean song"}
    assert found["counts"] == {"songs": 13, "held-out pictures": 14, "training pictures": 14, "n": 13}
    assert "| diversity |" in output


def test_a_collapse_is_seen(report):
    _, found = report
    collapse = found["table"]["mean song"]
    assert collapse["diversity"] < 0.01
    assert found["table"]["training art"]["diversity"] == pytest.approx(1, abs=0.3)


def test_a_broken_song_is_named_and_left_out(report):
    output, _ = report
    assert "broken.mp3" in output
    assert "left out" in output


def test_the_same_folders_give_the_same_material(folders):
    assert find_songs(folders / "songs", 5) == find_songs(folders / "songs", 5)
    held_out, training = find_art(folders / "art", 100)
    assert not set(held_out) & set(training)
    assert len(held_out) + len(training) == 28


def _stripes(seed):
    """Stripes of a colour, a width and a direction of their own."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:256, :256]
    angle, period = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(8), np.log(120)))
    first, second = rng.integers(0, 255, (2, 3))
    inside = ((x * np.cos(angle) + y * np.sin(angle)) / period) % 1 < rng.uniform(0.2, 0.8)
    return np.where(inside[..., None], first, second).astype(np.uint8)


def test_identity_counts_pairs_nearer_than_a_bad_copy():
    base = _stripes(0)
    nearly = base.copy()
    nearly[:4, :4] ^= 1
    pictures = [base, nearly, *(_stripes(seed) for seed in range(1, 12))]
    measured = np.stack([measure_looks(rgb) for rgb in pictures])
    space = Looks.of(measured)
    assert identity(pictures, space, space.place(measured), 1) == 1
    assert identity(pictures[1:], space, space.place(measured[1:]), 1) == 0
