"""Data that cannot be learned from are refused before a training starts, with the reason in one line."""

from __future__ import annotations

import dataclasses
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")

import torch
from click.testing import CliRunner
from PIL import Image
from test_training import save_features, write_art, write_features

from clavilux.bundle import open_bundle
from clavilux.cli import cli
from clavilux.cli.train import _measure_music as measure_music
from clavilux.errors import ClaviluxError, CorpusError, TrainingError
from clavilux.training import checks
from clavilux.training.checkpoint import save_checkpoint
from clavilux.training.checks import check_pictures, check_recipe, check_songs
from clavilux.training.recipe import load_recipe
from clavilux.training.run import Run
from clavilux.training.songs import SongCodes
from clavilux.training.train_mapping import check_variety, refuse_degenerate


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_art(folder / "art", n=27)
    write_features(folder / "features", n=16)
    return folder


@pytest.fixture
def run(data: Path, tmp_path: Path) -> Run:
    """A run on copies of the two folders, whose notes go nowhere."""
    for name in ("art", "features"):
        shutil.copytree(data / name, tmp_path / name)
    return Run(
        recipe=load_recipe("default"),
        folder=tmp_path / "run",
        art=tmp_path / "art",
        features=tmp_path / "features",
        resume=False,
        start=None,
        classifier_from=None,
        jobs=1,
        log=lambda line: None,
    )


def with_recipe(run: Run, text: str) -> Run:
    path = run.art.parent / "mine.toml"
    path.write_text(text)
    return dataclasses.replace(run, recipe=load_recipe(str(path)))


def test_good_folders_pass_and_leave_nothing(run: Run) -> None:
    check_recipe(run, run.folder.parent / "new" / "bundle", songs=True, pictures=True)
    check_pictures(run)
    check_songs(run, descriptors=True)
    assert sorted(path.name for path in run.art.parent.iterdir()) == ["art", "features"]


def overwrite(run: Run, change: Callable[[np.ndarray], np.ndarray], count: int = 99) -> None:
    for path in sorted(run.features.glob("*.npy"))[:count]:
        save_features(path, change(np.load(path)))


def put(array: np.ndarray, value: float) -> np.ndarray:
    array[-1, 7, 100] = value
    return array


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("track", [0, 15])
def test_numbers_that_are_not_finite_are_named(run: Run, value: float, track: int) -> None:
    path = sorted(run.features.glob("*.npy"))[track]
    np.save(path, put(np.load(path), value))
    with pytest.raises(TrainingError, match=f"{path.name}: contains values that are not finite"):
        check_songs(run, descriptors=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda array: np.full_like(array, -700), "are silent and only 0 differ"),
        (lambda array: np.random.default_rng(0).standard_normal(array.shape), "0 are silent and only 1 differ"),
    ],
    ids=["silent", "one song"],
)
def test_songs_that_are_all_the_same_are_refused(run: Run, change: Callable[..., np.ndarray], message: str) -> None:
    overwrite(run, change)
    with pytest.raises(TrainingError, match=f"{message}.*Add music"):
        check_songs(run, descriptors=False)


def test_a_few_silent_songs_are_accepted(run: Run) -> None:
    (run.features / "corpus.csv").write_text(
        "file,split,role,source,tier,licence\n"
        + "".join(f"track {i:02d}.mp3,{'training' if i < 13 else 'validation'},music,me,free,own\n" for i in range(16))
    )
    overwrite(run, np.zeros_like, count=3)
    check_songs(run, descriptors=True)
    overwrite(run, np.zeros_like, count=4)
    with pytest.raises(TrainingError, match="of its 13 tracks for training, 4 are silent and only 9 differ"):
        check_songs(run, descriptors=True)


def test_too_few_tracks_are_refused_in_both_splits(run: Run) -> None:
    table = "file,split,role,source,tier,licence\n"
    rows = [f"track {i:02d}.mp3,{{}},music,me,free,own\n" for i in range(16)]
    for training, validation, message in (
        (9, 7, "16 songs, 9 of them for training"),
        (14, 2, "16 songs, 2 of them for validation"),
    ):
        splits = ["training"] * training + ["validation"] * validation
        text = "".join(row.format(split) for row, split in zip(rows, splits, strict=True))
        (run.features / "corpus.csv").write_text(table + text)
        with pytest.raises(TrainingError, match=f"{message}.*Add music"):
            check_songs(run, descriptors=False)


def test_features_without_descriptors_are_refused_where_they_are_needed(run: Run) -> None:
    table = run.features / "descriptors.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join(lines[:-1]))
    check_songs(run, descriptors=False)
    with pytest.raises(CorpusError, match=r"no line for track 15\.npy"):
        check_songs(run, descriptors=True)
    table.unlink()
    check_songs(run, descriptors=False)
    with pytest.raises(CorpusError, match="clavilux features"):
        check_songs(run, descriptors=True)


def test_broken_features_are_named_once_and_do_not_count(data: Path, run: Run) -> None:
    said: list[str] = []
    run = dataclasses.replace(run, log=said.append)
    (run.features / "broken.npy").write_bytes(b"no array")
    for _ in range(2):
        check_songs(run, descriptors=False)
    assert [line.endswith("; skipped") and "broken.npy" in line for line in said] == [True]


def equal(index: int) -> Image.Image:
    return Image.new("RGB", (40 + index, 40), (200, 30, 30))  # other bytes, one picture


def two(index: int) -> Image.Image:
    return Image.new("RGB", (64, 64), (200, 30, 30 * (index % 2)))


def dithered(index: int) -> Image.Image:
    noise = np.random.default_rng(index).integers(-2, 3, (64, 64, 3))
    return Image.fromarray((100 + noise).astype(np.uint8))


@pytest.mark.parametrize("paint", [equal, two, dithered])
def test_pictures_that_are_all_the_same_are_refused(run: Run, paint: Callable[[int], Image.Image]) -> None:
    for index, path in enumerate(sorted(run.art.iterdir())):
        paint(index).save(path)
    with pytest.raises(TrainingError, match=r"only [12] can be read and differ from each other.*Add pictures"):
        check_pictures(run)


def test_pictures_that_cannot_be_read_do_not_count(run: Run) -> None:
    check_pictures(run)
    for path in sorted(run.art.iterdir())[:10]:
        path.write_text("no picture")
    with pytest.raises(TrainingError, match="can be read and differ"):
        check_pictures(run)


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("file,split,role", "training,abstract", "missing: source, tier, licence"),
        ("file,split,role,source,tier,licence", "training,abstract,me,mine,own", "tier is 'mine'"),
        ("file,split,role,source,tier,licence", "training,abstract,me,research,own", "may only learn from free files"),
        ("file,split,role,source,tier,licence", "training,abstract,me,free,own", "0 pictures for validation"),
        ("file,split,role,source,tier,licence", "held-out,abstract,me,free,own", "0 pictures for training"),
    ],
)
def test_tables_are_checked_first(run: Run, header: str, row: str, message: str) -> None:
    (run.art / "corpus.csv").write_text(header + "\n" + "".join(f"{i:02d}.png,{row}\n" for i in range(27)))
    with pytest.raises(ClaviluxError, match=message):
        check_pictures(run)


def test_the_table_of_music_is_checked_before_the_music_is_measured(run: Run, tmp_path: Path) -> None:
    music = tmp_path / "songs"
    music.mkdir()
    (music / "corpus.csv").write_text("file,split,role,source,tier,licence\na.flac,training,music,me,research,own\n")
    with pytest.raises(ClaviluxError, match=rf"{re.escape(str(music))}.*line 2.*may only learn from free files"):
        measure_music(dataclasses.replace(run, features=music))
    assert not (run.folder / "features").exists()


def test_output_folders_that_cannot_be_written_are_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "empty").mkdir()
    check_recipe(run, tmp_path / "empty", songs=True, pictures=True)
    for output, message in (
        ("file", "cannot hold a bundle"),
        ("full", "is not empty"),
        ("file/bundle", "cannot be written to"),
        ("x" * 300 + "/bundle", "cannot be written to"),
        ("run", "contains the folder of the run"),
    ):
        with pytest.raises(TrainingError, match=message):
            check_recipe(run, tmp_path / output, songs=True, pictures=True)
    with pytest.raises(TrainingError, match="give another --run"):
        check_recipe(dataclasses.replace(run, folder=tmp_path / "file"), None, songs=True, pictures=True)
    run.folder.mkdir()
    recipe = run.recipe.audio_vae
    names = ("steps", "batch", "learning_rate", "warmup", "final_learning_rate", "ema")
    empty = {"task": {}, "averaged": {}, "optimizer": {}, "controller": None}
    state = {"step": 1, "precision": "32-true", "threads": 1, "random": torch.zeros(1), **empty}
    path, resumed = run.folder / "audio-vae.ckpt", dataclasses.replace(run, resume=True)
    save_checkpoint(path, state | {"settings": {name: getattr(recipe, name) for name in names}})
    check_recipe(run, None, songs=False, pictures=True)
    check_recipe(resumed, None, songs=True, pictures=True)
    other = dataclasses.replace(recipe, batch=recipe.batch + 8)
    for changed in (other, dataclasses.replace(recipe, ema=0.5)):
        with pytest.raises(TrainingError, match=r"audio-vae.ckpt was made with other settings \((batch|ema)\)"):
            new = dataclasses.replace(resumed.recipe, audio_vae=changed)
            check_recipe(dataclasses.replace(resumed, recipe=new), None, songs=True, pictures=True)
    with pytest.raises(TrainingError, match="--resume"):
        check_recipe(run, None, songs=True, pictures=True)


@pytest.mark.parametrize(
    ("text", "bundle", "message"),
    [
        ("[audio_vae]\nwidth = 64", "default", "audio_vae of bundle default has other shapes"),
        ("[track_embedding]\ndims = 16", "default", "audio_vae of bundle default has other shapes"),
        ("[image_vae]\nwidth = 56", "default", "image_vae of bundle default has other shapes"),
        ("[image_vae]\ndecoder = 'pixels'", "default", 'has the decoder "painter" and the recipe "pixels"'),
        (
            "[image_vae]\ndecoder = 'painter'\n[track_embedding]\ndims = 0\n[audio_vae]\nwidth = 32",
            "classic",
            'decoder "pixels"',
        ),
    ],
)
def test_a_bundle_that_does_not_fit_the_recipe_is_refused(run: Run, text: str, bundle: str, message: str) -> None:
    start = open_bundle(bundle)
    run = dataclasses.replace(with_recipe(run, text), start=start, classifier_from=start)
    with pytest.raises(TrainingError, match=message):
        check_recipe(run, None, songs=True, pictures=True)


@pytest.mark.parametrize(("recipe", "bundle"), [("default", "default"), ("classic", "classic")])
def test_a_bundle_fits_the_recipe_that_made_it(run: Run, recipe: str, bundle: str) -> None:
    start = open_bundle(bundle)
    run = dataclasses.replace(run, recipe=load_recipe(recipe), start=start, classifier_from=start)
    check_recipe(run, None, songs=True, pictures=True)


def test_features_of_other_settings_are_refused(run: Run) -> None:
    changed = with_recipe(run, "[features]\nrange_db = 60\n")
    message = r"track 00\.npy: has features of 7000 Hz, 40 dB, relative, and the recipe needs 7000 Hz, 60 dB, relative"
    with pytest.raises(TrainingError, match=message):
        check_songs(changed, descriptors=True)
    start = open_bundle("classic")
    with pytest.raises(TrainingError, match="the bundle classic needs features of 11025 Hz, 80 dB, absolute"):
        check_recipe(
            dataclasses.replace(with_recipe(run, _CLASSIC_SIZES), start=start), None, songs=True, pictures=False
        )


_CLASSIC_SIZES = "[track_embedding]\ndims = 0\n[audio_vae]\nwidth = 32\n"


def test_a_missing_extra_is_named_at_the_start(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="onnxscript"):
        check_recipe(run, tmp_path / "bundle", songs=True, pictures=True)
    command = ["train", "all", "--art", str(run.art), "--audio", str(run.features), "--run", str(run.folder)]
    result = CliRunner().invoke(cli, [*command, "-o", str(tmp_path / "bundle")])
    assert result.exit_code == 1
    assert "onnxscript" in result.output and "Traceback" not in result.output


def test_the_checks_are_quick(run: Run) -> None:
    for index in range(1_000):
        (run.art / f"more {index}.png").hardlink_to(run.art / "00.png")
    started = time.perf_counter()
    check_pictures(run)
    assert time.perf_counter() - started < 2.0


@pytest.mark.parametrize("command", ["audio-vae", "image-vae", "all"])
def test_every_command_refuses_before_it_trains(run: Run, command: str, tmp_path: Path) -> None:
    overwrite(run, lambda array: put(array, np.nan))
    for path in run.art.iterdir():
        equal(0).save(path)
    words = ["train", command, "--recipe", "debug", "--art", str(run.art), "--audio", str(run.features)]
    words += ["--run", str(run.folder), *(["-o", str(tmp_path / "bundle")] if command == "all" else [])]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 1
    assert ("not finite" if command == "audio-vae" else "differ from each other") in result.output
    assert result.output.count("\n") == 1 and not run.folder.exists()


def test_data_without_variety_are_refused() -> None:
    rng = np.random.default_rng(0)
    codes, latents = rng.standard_normal((12, 70)), rng.standard_normal((20, 64))
    songs = SongCodes([], codes, np.zeros((12, 2, 70)), {})
    check_variety(songs, latents)
    for wrong, message in (
        ((dataclasses.replace(songs, codes=np.ones((12, 70))), latents), "all songs have the same code"),
        ((songs, np.ones((20, 64))), "all pictures have the same code"),
        ((songs, latents * np.nan), "not finite"),
    ):
        with pytest.raises(TrainingError, match=message):
            check_variety(*wrong)
    with pytest.raises(TrainingError, match="too similar"), refuse_degenerate():
        np.linalg.solve(np.zeros((3, 3)), np.ones(3))
