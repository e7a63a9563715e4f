"""The two folders of a training: what is taken, what is named and skipped, how they are split."""

import numpy as np
import pytest
import torch
from PIL import Image

from clavilux.errors import CorpusError, PictureError
from clavilux.images import middle_square, read_picture, resize
from clavilux.training.datasets import PICTURE_SUFFIXES, AudioFeatureDataset, ImageDataset, list_entries


def _table(folder, rows):
    lines = ["file,split,role", *(",".join(row) for row in rows)]
    (folder / "corpus.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def features(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "band").mkdir()
    np.save(tmp_path / "band" / "one.npy", rng.standard_normal((3, 20, 216)).astype(np.float32))
    np.save(tmp_path / "two.npy", rng.standard_normal((20, 216)).astype(np.float32))
    np.save(tmp_path / "three.npy", rng.standard_normal((5, 20, 216)).astype(np.float32))
    _table(
        tmp_path,
        [
            ("files/band/one.ogg", "training", "music"),
            ("two.mp3", "training", "music"),
            ("three.wav", "validation", "music"),
        ],
    )
    return tmp_path


def test_windows_of_one_and_of_many_are_counted_by_track(features):
    dataset = AudioFeatureDataset(features, "training")
    assert [entry.name for entry in dataset.entries] == ["band/one.npy", "two.npy"]
    assert len(dataset) == 4
    stored = np.load(features / "band" / "one.npy")
    assert all(np.array_equal(dataset[i].numpy(), stored[i]) for i in range(3))
    assert dataset[3].shape == (20, 216)


def test_a_track_is_on_one_side_only(features):
    sides = [{e.name for e in AudioFeatureDataset(features, split).entries} for split in ("training", "validation")]
    assert not sides[0] & sides[1]


def test_unusable_feature_files_are_named_and_skipped(features):
    np.save(features / "wrong.npy", np.zeros((12, 10), np.float32))
    np.save(features / "double.npy", np.zeros((20, 216)))
    (features / "broken.npy").write_bytes(b"no array")
    (features / "corpus.csv").unlink()
    named = []
    for split in ("training", "validation"):
        AudioFeatureDataset(features, split, skip=named.append)
    assert len(named) == 3
    assert all(any(name in line for line in named) for name in ("wrong.npy", "double.npy", "broken.npy"))


def test_an_empty_folder_says_what_to_do(tmp_path):
    with pytest.raises(CorpusError, match="clavilux features"):
        AudioFeatureDataset(tmp_path)
    with pytest.raises(CorpusError, match="is no folder"):
        ImageDataset(tmp_path / "missing")


def test_long_tracks_weigh_the_root_of_their_length(features):
    weights = AudioFeatureDataset(features, "training").track_weights()
    assert weights[:3].sum().item() == pytest.approx(3**0.5)
    assert weights[3].item() == 1.0


def test_pictures_of_every_mode_are_read(tmp_path):
    grey = Image.new("L", (40, 30), 128)
    for name, picture in {
        "l.png": grey,
        "p.png": grey.convert("P"),
        "rgba.png": Image.new("RGBA", (40, 30), (255, 0, 0, 0)),
        "la.png": Image.new("LA", (40, 30), (0, 255)),
        "cmyk.jpg": grey.convert("CMYK"),
        "i16.png": Image.new("I;16", (40, 30), 30_000),
        "w.webp": grey.convert("RGB"),
    }.items():
        picture.save(tmp_path / name)
        rgb = read_picture(tmp_path / name)
        assert rgb.shape == (30, 40, 3)
        assert rgb.dtype == np.uint8
    assert (read_picture(tmp_path / "rgba.png") == 255).all(), "what is transparent lies on white"


def test_broken_pictures_are_named_and_skipped(tmp_path):
    Image.new("RGB", (80, 60), (200, 10, 10)).save(tmp_path / "good.png")
    (tmp_path / "text.jpg").write_text("no picture")
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "notes.txt").write_text("not looked at")
    _table(tmp_path, [(name, "training", "abstract") for name in ("good.png", "text.jpg", "cut.png")])
    named = []
    dataset = ImageDataset(tmp_path, "training", skip=named.append)
    assert [entry.name for entry in dataset.entries] == ["good.png"]
    assert dataset[0].shape == (3, 64, 64)
    assert torch.allclose(dataset[0].mean(dim=(1, 2)), torch.tensor([200, 10, 10]) / 255)
    assert sorted(line.split(":")[0].rsplit("/", 1)[-1] for line in named) == ["cut.png", "text.jpg"]


def test_a_missing_picture_is_a_picture_error(tmp_path):
    with pytest.raises(PictureError, match=r"gone\.png"):
        read_picture(tmp_path / "gone.png")


def test_without_a_table_the_split_is_stable_when_files_are_added(tmp_path):
    for i in range(40):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{i}.png")
    before = {e.name: e.split for e in list_entries(tmp_path, PICTURE_SUFFIXES)}
    for i in range(40, 80):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{i}.png")
    after = {e.name: e.split for e in list_entries(tmp_path, PICTURE_SUFFIXES)}
    assert {name: after[name] for name in before} == before
    assert set(after.values()) == {"training", "validation"}


def test_the_middle_square_is_in_the_middle():
    rgb = np.zeros((10, 30, 3), np.uint8)
    rgb[:, 10:20] = 255
    assert (middle_square(rgb) == 255).all()
    assert resize(rgb, 5).shape == (5, 5, 3)


@pytest.mark.parametrize("n", [12, 14, 30])
def test_a_small_folder_has_files_for_validation(tmp_path, n):
    for index in range(n):
        (tmp_path / f"{index}.png").touch()
    splits = [entry.split for entry in list_entries(tmp_path, PICTURE_SUFFIXES)]
    assert splits.count("validation") >= 3
    assert splits.count("training") >= 0.6 * n


def test_a_file_stays_on_its_side_when_others_come(tmp_path):
    for index in range(200):
        (tmp_path / f"{index}.png").touch()
    before = {entry.name: entry.split for entry in list_entries(tmp_path, PICTURE_SUFFIXES)}
    for index in range(200, 400):
        (tmp_path / f"{index}.png").touch()
    after = {entry.name: entry.split for entry in list_entries(tmp_path, PICTURE_SUFFIXES)}
    assert before.items() <= after.items()
    assert 0.06 < [*after.values()].count("validation") / 400 < 0.2
