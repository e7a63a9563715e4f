"""The two folders of a training: which files are used or skipped, and how they are split."""

import os
import resource
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from clavilux.corpus.match import match_features, match_names
from clavilux.errors import ClaviluxError, CorpusError, PictureError, TrainingError
from clavilux.images import middle_square, read_picture, resize
from clavilux.training.analysis import analyse_folder
from clavilux.training.datasets import (
    FEATURE_SUFFIXES,
    PICTURE_SUFFIXES,
    AudioFeatureDataset,
    describe_folder,
    descriptors_of,
    list_entries,
    read_descriptors,
)
from clavilux.training.recipe import load_recipe


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


def test_a_track_is_in_one_split_only(features):
    sides = [{e.name for e in AudioFeatureDataset(features, split).entries} for split in ("training", "validation")]
    assert not sides[0] & sides[1]


def test_unusable_feature_files_are_named_and_skipped(features):
    np.save(features / "wrong.npy", np.zeros((12, 10), np.float32))
    np.save(features / "double.npy", np.zeros((20, 216)))
    (features / "broken.npy").write_bytes(b"no array")
    (features / "corpus.csv").unlink()
    named = []
    for split in ("training", "validation"):
        AudioFeatureDataset(features, split, named.append)
    assert len(named) == 3
    assert all(any(name in line for line in named) for name in ("wrong.npy", "double.npy", "broken.npy"))


def test_the_error_for_an_empty_folder_gives_advice(tmp_path):
    with pytest.raises(CorpusError, match="clavilux features"):
        AudioFeatureDataset(tmp_path)
    with pytest.raises(CorpusError, match="is not a folder"):
        AudioFeatureDataset(tmp_path / "missing")


def test_track_weights_are_the_root_of_their_length(features):
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
    lines = []
    recipe = load_recipe("debug").analysis
    windows = analyse_folder(tmp_path, "training", recipe, seed=0, jobs=1, log=lines.append)
    assert windows.names == ["good.png"]
    assert np.abs(windows.windows.mean(axis=(0, 1, 2)) - [200, 10, 10]).max() < 1
    skipped = [line for line in lines if line.endswith("; skipped")]
    assert sorted(line.split(":")[0].rsplit("/", 1)[-1] for line in skipped) == ["cut.png", "text.jpg"]


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


def test_a_file_keeps_its_split_when_others_are_added(tmp_path):
    for index in range(200):
        (tmp_path / f"{index}.png").touch()
    before = {entry.name: entry.split for entry in list_entries(tmp_path, PICTURE_SUFFIXES)}
    for index in range(200, 400):
        (tmp_path / f"{index}.png").touch()
    after = {entry.name: entry.split for entry in list_entries(tmp_path, PICTURE_SUFFIXES)}
    assert before.items() <= after.items()
    assert 0.06 < [*after.values()].count("validation") / 400 < 0.2


E_ACUTE, COMBINED = "caf\N{LATIN SMALL LETTER E WITH ACUTE}.png", "cafe\N{COMBINING ACUTE ACCENT}.png"


@pytest.mark.parametrize(
    ("file", "row"),
    [
        ("a.png", "a.png"),
        ("a.png", "./a.png"),
        ("sub/a.png", "sub\\a.png"),
        ("sub/a.png", "sub//a.png"),
        ("a.png", "files/a.png"),
        ("files/a.png", "a.png"),
        ("A.PNG", "a.png"),
        ("Sub/a.png", "files/sub/A.png"),
        (E_ACUTE, COMBINED),
        (COMBINED, E_ACUTE),
    ],
)
def test_a_row_finds_its_file(tmp_path, file, row):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8)).save(tmp_path / file)
    _table(tmp_path, [(row, "held-out", "painting")])
    said = []
    (entry,) = list_entries(tmp_path, PICTURE_SUFFIXES, report=said.append)
    assert (entry.path, entry.split, entry.role) == (tmp_path / file, "held-out", "painting")
    assert said == []


@pytest.mark.parametrize(
    ("file", "row"),
    [("a.png", "a.jpg"), ("a.png", "b/a.png"), ("a.png", "../a.png"), ("a.png", "a"), ("a.b.png", "a.png")],
)
def test_a_different_name_is_a_different_file_and_both_are_reported(tmp_path, file, row):
    (tmp_path / file).touch()
    (tmp_path / "same.png").touch()
    _table(tmp_path, [(row, "training", "abstract"), ("same.png", "validation", "abstract")])
    said = []
    entries = list_entries(tmp_path, PICTURE_SUFFIXES, report=said.append)
    assert [(entry.name, entry.split) for entry in entries] == [("same.png", "validation")]
    assert said == [
        f"{tmp_path}: left out, because they have no row in corpus.csv: {file} (1 in all)",
        f"{tmp_path}: missing, though they have a row in corpus.csv: {row} (1 in all)",
    ]


def test_names_match_only_if_the_pair_is_unique():
    assert match_names(["a", "A"], ["a", "A"]) == {"a": "a", "A": "A"}
    assert match_names(["a", "files/a"], ["files/a"]) == {"files/a": "files/a"}
    assert match_names(["a", "A"], ["á", "files/a"]) == {"a": "files/a"}
    assert match_names(["b"], ["B", "files/b", "files/B"]) == {"b": "files/b"}
    assert match_names(["b"], ["B", "files/B"]) == {}


def test_features_take_the_row_of_their_own_recording():
    rows = ["one.wav", "one.flac", "two.mp3", "sub/three.ogg"]
    found, several = match_features(["one.wav.npy", "one.flac.npy", "two.npy", "sub/three.npy"], rows)
    assert found == {
        "one.wav.npy": "one.wav", "one.flac.npy": "one.flac", "two.npy": "two.mp3", "sub/three.npy": "sub/three.ogg"
    }  # fmt: skip
    assert several == {}
    assert match_features(["one.wav.npy"], ["one.flac"]) == ({}, {})
    assert match_features(["one.npy", "x.npy"], [*rows, "x.npy"]) == (
        {"x.npy": "x.npy"},
        {"one.npy": ["one.flac", "one.wav"]},
    )


def _features(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        np.save(folder / name, np.zeros((2, 20, 216), np.float32))


def test_descriptors_assign_features_to_recordings(tmp_path):
    _features(tmp_path, "one.npy", "two.npy", "other.npy")
    _table(tmp_path, [("files/one.flac", "validation", "music"), ("one.wav", "training", "music")])
    with pytest.raises(CorpusError, match=r"one\.npy: may be of files/one\.flac or of one\.wav"):
        list_entries(tmp_path, FEATURE_SUFFIXES)
    (tmp_path / "descriptors.csv").write_text("file;npy\n.\\one.flac;one.npy\ntwo.ogg;two.npy\none.wav;other.npy\n")
    said = []
    entries = list_entries(tmp_path, FEATURE_SUFFIXES, report=said.append)
    assert {entry.name: entry.split for entry in entries} == {"one.npy": "validation", "other.npy": "training"}
    assert said == [f"{tmp_path}: left out, because they have no row in corpus.csv: two.npy (1 in all)"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [("a.png", "training", "abstract"), ("./a.png", "held-out", "abstract")],
            r"corpus\.csv, line 3: a\.png is in line 2 already",
        ),
        ([("a.png", "test", "abstract")], "line 2: split is 'test'; allowed are training, validation, held-out"),
        ([("a.png", "", "abstract")], "line 2: split is ''"),
        ([("a.png", "training", "")], "line 2: role is ''; allowed are abstract"),
        ([("", "training", "abstract")], "line 2: names no file"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(tmp_path, rows, message):
    (tmp_path / "a.png").touch()
    _table(tmp_path, rows)
    with pytest.raises(CorpusError, match=message):
        list_entries(tmp_path, PICTURE_SUFFIXES)


def test_an_unreadable_table_is_an_error(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "corpus.csv").symlink_to("nowhere")
    for read in (lambda: list_entries(tmp_path, PICTURE_SUFFIXES), lambda: describe_folder(tmp_path)):
        with pytest.raises(CorpusError, match=r"corpus\.csv: cannot be read"):
            read()


def test_a_folder_is_described_by_its_table(tmp_path):
    for name in ("a.png", "b.png", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    assert describe_folder(tmp_path) == {"files": 2}
    header, rows = (
        "file;Split;role;source;tier;licence\r\n",
        "a.png;Training;abstract;me;FREE;own\r\nb.png;held-out;painting;x;research;\r\n",
    )
    (tmp_path / "corpus.csv").write_bytes((header + rows).encode("utf-16"))
    found = describe_folder(tmp_path)
    assert found["counts"] == {"abstract, training": 1}
    assert found["sources"] == {"me": {"files": 1, "licence": "own"}}
    for old, new, message in (
        ("FREE", "research", "line 2: tier is 'research' in a row for training"),
        ("FREE", "mine", "line 2: tier is 'mine'; allowed are free, research"),
        ("FREE", "", "line 2: tier is ''"),
        (";tier;", ";rank;", "missing: tier"),
    ):
        (tmp_path / "corpus.csv").write_text((header + rows).replace(old, new))
        with pytest.raises(CorpusError, match=message):
            describe_folder(tmp_path)


def test_hidden_files_links_and_other_formats_are_not_used(tmp_path):
    for name in ("a.png", "._a.png", ".ipynb_checkpoints/a.png", "b.heic", "c.xcf", "d.HEIC", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "all").symlink_to(tmp_path)
    (tmp_path / os.fsdecode(b"caf\xe9.png")).touch()
    said = []
    assert [entry.name for entry in list_entries(tmp_path, PICTURE_SUFFIXES, report=said.append)] == ["a.png"]
    assert len([line for line in said if ".heic is not supported" in line and "d.HEIC" in line]) == 1
    assert any("link to a folder" in line for line in said)
    assert any("not UTF-8" in line for line in said)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep one of the two names")
def test_two_files_with_the_same_name_on_other_systems_are_refused(tmp_path):
    for name in (E_ACUTE, COMBINED):
        (tmp_path / name).touch()
    with pytest.raises(CorpusError, match="rename one of them"):
        list_entries(tmp_path, PICTURE_SUFFIXES)


def test_descriptors_are_finite_and_whole(tmp_path):
    from clavilux.audio.descriptors import DESCRIPTORS
    from clavilux.audio.feature_table import HALVES

    _features(tmp_path, "one.npy")
    with pytest.raises(CorpusError, match=r"is missing; `clavilux features MUSIC -o .*` writes it"):
        read_descriptors(tmp_path)
    columns = ["file", "npy", *DESCRIPTORS, *HALVES[0], *HALVES[1]]
    (entry,) = list_entries(tmp_path, FEATURE_SUFFIXES)

    def read(values, columns=columns):
        text = ",".join(columns) + "\n" + ",".join(["one.wav", "one.npy", *values])
        (tmp_path / "descriptors.csv").write_text(text)
        return descriptors_of(entry, read_descriptors(tmp_path), tmp_path)

    values = ["0.5"] * (len(columns) - 2)
    assert np.shape(read(values)) == (3, len(DESCRIPTORS))
    for wrong in ("", "nan", "inf", "much"):
        with pytest.raises(CorpusError, match=rf"line 2: {columns[-1]} is '{wrong}'"):
            read([*values[:-1], wrong])
    with pytest.raises(CorpusError, match=f"has no column {columns[-1]}"):
        read(values[:-1], columns[:-1])
    (tmp_path / "descriptors.csv").write_text("file,npy\nx.wav,x.npy\n")
    with pytest.raises(CorpusError, match=r"no line for one\.npy"):
        descriptors_of(entry, read_descriptors(tmp_path), tmp_path)
    (tmp_path / "descriptors.csv").write_text("file,npy\nx.wav,x.npy\ny.wav,./x.npy\n")
    with pytest.raises(CorpusError, match=r"line 3: .* already has a row"):
        read_descriptors(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts the files that this process has open, in /proc")
@pytest.mark.slow
def test_more_feature_files_than_may_be_open_are_all_read(tmp_path):
    _features(tmp_path, *(f"{index:03d}.npy" for index in range(80)))
    (tmp_path / "corpus.csv").write_text(
        "file,split,role\n" + "".join(f"{index:03d}.wav,training,music\n" for index in range(80))
    )
    code = """
import resource, sys
from pathlib import Path
from clavilux.training.datasets import AudioFeatureDataset
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
skipped = []
dataset = AudioFeatureDataset(Path(sys.argv[1]), report=skipped.append)
print(len(dataset.entries), len(skipped), sum(dataset[i].shape == (20, 216) for i in range(len(dataset))))
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["80", "0", "160"], done.stderr


def test_a_shortage_of_open_files_is_not_reported_as_damage(features):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    dataset = AudioFeatureDataset(features)
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
    try:
        with pytest.raises(OSError, match="Too many"):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for use in (lambda: dataset[0], lambda: dataset.files[0].windows(), lambda: AudioFeatureDataset(features)):
            with pytest.raises(ClaviluxError, match="may open no more files"):
                use()
    finally:
        for number in taken:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_features_that_change_during_a_training_are_named(features):
    dataset = AudioFeatureDataset(features)
    (features / "band" / "one.npy").write_bytes((features / "band" / "one.npy").read_bytes()[:20_000])
    for use in (lambda: dataset[2], lambda: dataset.files[0].windows()):
        with pytest.raises(TrainingError, match=r"one\.npy: has changed since the training began"):
            use()
    with pytest.raises(IndexError):
        dataset[4]
