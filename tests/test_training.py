"""A whole training with the recipe `debug`: from two small folders to a bundle that paints."""

import csv
import hashlib
import json
import re
import shutil
from io import BytesIO

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file

from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.audio.feature_table import HALVES
from clavilux.bundle import SHIPPED, open_bundle
from clavilux.cli import cli
from clavilux.engine import Engine
from clavilux.errors import TrainingError
from clavilux.images import PICTURE_SUFFIXES
from clavilux.models.audio_vae import AudioVAE
from clavilux.neighbours import Origin
from clavilux.painter.marks import KINDS
from clavilux.training.datasets import AudioFeatureDataset, list_entries
from clavilux.training.export import check_output
from clavilux.training.linear_heads import LINEAR_HEADS
from clavilux.training.neighbours import find_origins
from clavilux.training.neighbours import main as add_to_bundle
from clavilux.training.recipe import RECIPES, load_recipe
from clavilux.training.songs import encode_songs


def write_art(folder, n=30):
    """Write small abstract pictures: rectangles of a few colours."""
    folder.mkdir(parents=True)
    for index in range(n):
        rng = np.random.default_rng(index)
        rgb = np.full((160, 192, 3), rng.integers(0, 255, 3), np.uint8)
        for _ in range(12):
            top, left = rng.integers(0, 130), rng.integers(0, 160)
            rgb[top : top + rng.integers(8, 60), left : left + rng.integers(8, 60)] = rng.integers(0, 255, 3)
        Image.fromarray(rgb).save(folder / f"{index:02d}.png")


def save_features(path, windows, settings=None):
    """Write a feature file, by default with the settings of the default recipe."""
    content = BytesIO()
    np.save(content, windows.astype(np.float32))
    path.write_bytes(content.getvalue() + (settings or load_recipe("default").features).mark())


def write_features(folder, n=24, settings=None):
    """Write feature files of synthetic tracks, with descriptors."""
    folder.mkdir(parents=True)
    with (folder / "descriptors.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        columns = [*DESCRIPTORS, *HALVES[0], *HALVES[1]]
        writer.writerow(["file", "npy", *columns])
        for index in range(n):
            rng = np.random.default_rng(index)
            level = rng.standard_normal((1, 20, 1)) * 30
            windows = level + 10 * rng.standard_normal((3, 20, 216))
            save_features(folder / f"track {index:02d}.npy", windows, settings)
            writer.writerow([f"track {index:02d}.mp3", f"track {index:02d}.npy", *rng.random(len(columns))])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    write_art(folder / "art")
    write_features(folder / "features")
    (folder / "art" / "broken.png").write_text("no picture")
    # The recipe itself, but for what takes longest.
    text = (RECIPES / "debug.toml").read_text()
    for name, number in (("paintings", 100), ("predictor_steps", 100)):
        text, n_found = re.subn(rf"{name} = \d+", f"{name} = {number}", text)
        assert n_found == 1
    (folder / "short.toml").write_text(text)
    command = ["train", "all", "--recipe", str(folder / "short.toml"), "--art", str(folder / "art")]
    command += ["--audio", str(folder / "features")]
    command += ["--run", str(folder / "run"), "-o", str(folder / "bundle"), "--jobs", "1"]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return folder, result.output, command


@pytest.mark.slow
def test_the_bundle_is_complete_and_describes_itself(trained):
    folder, _, _ = trained
    bundle = open_bundle(folder / "bundle")
    bundle.verify()
    card = json.loads((folder / "bundle" / "bundle.json").read_text())
    assert tuple(card["kinds"]) == KINDS
    assert card["config"]["audio_vae"]["steps"] == 40
    assert card["measures"]["mapping"]["variance_ratio"] > 0
    for network in ("audio_vae", "image_vae", "mark_classifier"):
        assert card["measures"][network]["precision"] in ("32-true", "bf16-mixed")
    assert set(card["corpus"]) == {"art", "music"}
    assert card["variation"]["scale"] > 0
    assert {"audio_vae.safetensors", "image_vae.safetensors", "mapping_network.safetensors"} <= set(card["files"])


@pytest.mark.slow
def test_graphs_equal_the_networks(trained):
    folder, _, _ = trained
    parity = json.loads((folder / "bundle" / "parity.json").read_text())
    assert set(parity) == {"audio_encoder", "mapping", "picture_encoder", "controls"}
    assert all(0 <= stage["difference"] <= 1e-4 for stage in parity.values())


@pytest.mark.slow
def test_a_trained_bundle_paints(trained):
    folder, _, _ = trained
    engine = Engine(open_bundle(folder / "bundle"))
    engine.check()
    result = CliRunner().invoke(
        cli,
        [
            *("paint", str(folder / "features" / "track 03.npy"), "--bundle", str(folder / "bundle")),
            *("--size", "96", "-o", str(folder / "picture.png")),
        ],
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    with Image.open(folder / "picture.png") as picture:
        assert picture.size == (96, 96)


@pytest.mark.slow
def test_broken_pictures_and_the_kl_divergence_are_in_the_log(trained):
    _, output, _ = trained
    assert re.search(r"broken\.png.*skipped", output)
    assert "kl_nats" in output
    assert "number format" in output


@pytest.mark.slow
def test_the_log_file_has_what_was_printed(trained):
    folder, output, _ = trained
    log = (folder / "run" / "train.log").read_text(encoding="utf-8").splitlines()
    printed = [line for line in output.splitlines() if line.startswith("[") and " s] " in line]
    assert printed
    assert [line for line in log if line.startswith("[")] == printed


@pytest.mark.slow
def test_contact_sheets_are_written(trained):
    folder, _, _ = trained
    assert {path.name for path in (folder / "run" / "sheets").iterdir()} >= {
        "audio-vae-000040.png",
        "image-vae-000040.png",
    }


@pytest.mark.slow
def test_a_finished_training_is_not_lost_without_resume(trained):
    _, _, command = trained
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 1
    assert "--resume" in result.output


@pytest.mark.slow
def test_mapping_alone_is_fitted_again_from_the_checkpoints(trained):
    """A damaged cache and a damaged log are made again, and the bundle is the same."""
    folder, _, command = trained
    for damaged in ("windows-validation.npz", "audio-vae-validation.csv"):
        content = (folder / "run" / damaged).read_bytes()
        (folder / "run" / damaged).write_bytes(content[: len(content) // 2])
    again = ["train", "mapping", *command[2:]]
    again[again.index("-o") + 1] = str(folder / "again")
    result = CliRunner().invoke(cli, again, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    for file in ("audio_encoder.onnx", "mapping.onnx", "controls.onnx", "palettes.npy"):
        assert (folder / "again" / file).read_bytes() == (folder / "bundle" / file).read_bytes(), file
    cards = [json.loads((folder / name / "bundle.json").read_text()) for name in ("bundle", "again")]
    assert cards[0]["measures"]["audio_vae"] == pytest.approx(cards[1]["measures"]["audio_vae"])
    assert "windows-validation.npz: is not a valid Windows file" in result.output


@pytest.mark.slow
def test_the_pictures_of_a_bundle_are_taken_as_they_are(trained, tmp_path):
    folder, _, _ = trained
    (tmp_path / "run").mkdir()
    for path in (folder / "run").glob("*"):
        if path.is_file() and not path.name.startswith(("image-vae", "mark_classifier")):
            shutil.copy(path, tmp_path / "run")
    command = ["train", "mapping", "--recipe", str(folder / "short.toml"), "--jobs", "1"]
    command += ["--pictures-from", str(folder / "bundle")]
    command += ["--art", str(folder / "art"), "--audio", str(folder / "features")]
    command += ["--run", str(tmp_path / "run"), "-o", str(tmp_path / "new")]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "image-vae: taken from the bundle bundle" in result.output
    assert not (tmp_path / "run" / "image-vae.ckpt").exists()
    before, after = (load_file(bundle / "image_vae.safetensors") for bundle in (folder / "bundle", tmp_path / "new"))
    for name, value in before.items():
        if not name.startswith(LINEAR_HEADS):  # they are fitted to the art of the run
            assert torch.equal(after[name], value), name
    cards = [open_bundle(bundle).card for bundle in (folder / "bundle", tmp_path / "new")]
    assert cards[0]["measures"]["image_vae"] == cards[1]["measures"]["image_vae"]
    recipe = tmp_path / "wide.toml"
    recipe.write_text((RECIPES / "debug.toml").read_text().replace("decoder_width = 32", "decoder_width = 40"))
    command[3], command[-1] = str(recipe), str(tmp_path / "newer")
    assert "image_vae of bundle bundle has other shapes" in CliRunner().invoke(cli, command).output


@pytest.mark.slow
def test_both_sides_of_a_bundle_are_taken_as_they_are(trained, tmp_path):
    folder, _, _ = trained
    command = ["train", "mapping", "--recipe", str(folder / "short.toml"), "--jobs", "1"]
    command += [
        "--run",
        str(tmp_path / "run"),
        "--audio-from",
        str(folder / "bundle"),
        "--pictures-from",
        str(folder / "bundle"),
    ]
    command += ["--art", str(folder / "art"), "--audio", str(folder / "features"), "-o", str(tmp_path / "new")]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "audio-vae: taken from the bundle bundle" in result.output
    assert not list((tmp_path / "run").glob("*.ckpt"))
    before, after = (load_file(bundle / "audio_vae.safetensors") for bundle in (folder / "bundle", tmp_path / "new"))
    assert before.keys() == after.keys() and all(torch.equal(after[name], value) for name, value in before.items())
    cards = [open_bundle(bundle).card["measures"] for bundle in (folder / "bundle", tmp_path / "new")]
    assert cards[0]["audio_vae"] == cards[1]["audio_vae"]
    other = tmp_path / "other.toml"
    other.write_text('base = "debug"\n[features]\nrange_db = 80\n')
    command[3], command[-1] = str(other), str(tmp_path / "newer")
    refused = CliRunner().invoke(cli, command)
    assert refused.exit_code == 1 and "or without --audio-from" in refused.output


@pytest.mark.slow
def test_training_starts_from_a_bundle(trained, tmp_path):
    folder, _, command = trained
    onward = ["train", "image-vae", *command[2:-4], "--from", str(folder / "bundle"), "--jobs", "1"]
    onward[onward.index("--run") + 1] = str(tmp_path / "run")
    result = CliRunner().invoke(cli, onward, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "starting from the bundle" in result.output
    with (tmp_path / "run" / "image-vae.csv").open(newline="") as file:
        assert float(next(csv.DictReader(file))["beta"]) > 0.3  # not from the low beta of an untrained network


@pytest.mark.slow
def test_an_audio_vae_that_starts_from_a_bundle_keeps_the_track_embedding(trained, tmp_path):
    folder, _, command = trained
    onward = ["train", "audio-vae", *command[2:-4], "--from", str(folder / "bundle"), "--jobs", "1"]
    onward[onward.index("--run") + 1] = str(tmp_path / "run")
    result = CliRunner().invoke(cli, onward, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    before = load_file(str(folder / "bundle" / "audio_vae.safetensors"))
    after = torch.load(tmp_path / "run" / "audio-vae.ckpt", weights_only=True)["averaged"]
    kept = [name for name in before if name.startswith("track_embedding.")]
    assert kept and all(torch.equal(before[name].float(), after[name]) for name in kept)
    assert not torch.equal(before["from_latent.weight"].float(), after["from_latent.weight"])


@pytest.mark.slow
def test_the_bundle_has_the_weights_by_which_songs_are_compared(trained):
    folder, _, _ = trained
    said = open_bundle(folder / "bundle").card["normalisation"]
    assert all(0.05 <= weight <= 1 for weight in said["song_weights"][:32])
    assert said["song_weights"][32:64] == [0.0] * 32
    assert len(said["song_weights"]) == len(said["song_mean"]) == len(said["song_deviation"])


@pytest.mark.slow
def test_the_bundle_has_the_training_songs_and_pictures_to_compare_with(trained, tmp_path):
    folder, _, command = trained
    bundle = open_bundle(folder / "bundle")
    # A track is not its own neighbour, and songs of the validation split are not neighbours.
    dataset = AudioFeatureDataset(folder / "features")
    codes = encode_songs(AudioVAE.from_bundle(bundle), dataset, folder / "features", bundle.descriptors)
    recordings = {entry.name.replace(".npy", ".mp3") for entry in dataset.entries}
    for name, code, values in zip(codes.names, codes.codes, np.transpose([*codes.descriptors.values()]), strict=True):
        near = bundle.neighbours.songs(code[:64], dict(zip(codes.descriptors, values, strict=True)))
        assert len(near) == 3 and {song.path for song in near} <= recordings - {name.replace(".npy", ".mp3")}
    # A picture is nearest to its own latent.
    entries = [entry for entry in list_entries(folder / "art", PICTURE_SUFFIXES) if entry.split == "training"]
    rgb = np.asarray(Image.open(entries[1].path))
    assert bundle.neighbours.pictures(Engine(bundle).encode_picture(rgb)[0])[0].path == entries[1].name
    # The module adds the same to a bundle that has none.
    old = shutil.copytree(folder / "bundle", tmp_path / "old")
    (old / "neighbours.npz").unlink()
    card = json.loads((old / "bundle.json").read_text())
    del card["files"]["neighbours.npz"]
    (old / "bundle.json").write_text(json.dumps(card))
    arguments = ["--bundle", str(old), "--recipe", command[command.index("--recipe") + 1]]
    arguments += ["--art", str(folder / "art"), "--audio", str(folder / "features"), "--run", str(folder / "run")]
    result = CliRunner().invoke(add_to_bundle, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    open_bundle(old).verify()
    with np.load(old / "neighbours.npz") as added, np.load(folder / "bundle" / "neighbours.npz") as before:
        np.testing.assert_array_equal(added["names"], before["names"])
        np.testing.assert_allclose(added["songs"], before["songs"], atol=0.02)
        np.testing.assert_allclose(added["pictures"], before["pictures"], atol=0.02)
    card["files"]["neighbours.npz"] = hashlib.sha256((old / "neighbours.npz").read_bytes()).hexdigest()
    assert json.loads((old / "bundle.json").read_text()) == card
    result = CliRunner().invoke(add_to_bundle, ["--bundle", str(SHIPPED / "classic"), *arguments[2:]])
    assert result.exit_code == 1 and "does not standardise songs" in result.output


def test_only_free_files_of_a_corpus_are_named(tmp_path):
    folder = tmp_path / "art"
    write_art(folder, n=3)
    rows = [
        "00.png,free,training,a/sea.png,Paul Klee,museum",
        "01.png,research,held-out,b.png,,",
        "02.png,free,training,,,",
    ]
    lines = ["file,tier,split,path,artist,source,role", *(f"{row},abstract" for row in rows)]
    (folder / "corpus.csv").write_text("\n".join(lines) + "\n")
    assert find_origins(folder, PICTURE_SUFFIXES, report=print) == {
        "00.png": Origin("a/sea.png", "Paul Klee", "museum"),
        "02.png": Origin("02.png", "", ""),
    }
    (folder / "corpus.csv").unlink()
    (folder / "mine").mkdir()
    (folder / "00.png").rename(folder / "mine" / "00.png")
    assert find_origins(folder, PICTURE_SUFFIXES, report=print)["mine/00.png"] == Origin("00.png", "", "")


def test_three_pictures_are_refused_with_a_reason(tmp_path):
    write_art(tmp_path / "few", n=3)
    result = CliRunner().invoke(
        cli, ["train", "image-vae", "--recipe", "debug", "--art", str(tmp_path / "few"), "--run", str(tmp_path / "run")]
    )
    assert result.exit_code == 1
    assert "Add pictures" in result.output


@pytest.mark.parametrize("what", ["folder", "bundle", "file"])
def test_a_folder_of_the_users_own_is_never_replaced_by_a_bundle(tmp_path, what):
    output = tmp_path / "mine"
    if what == "file":
        output.write_text("mine")
    else:
        output.mkdir()
        (output / "photo.jpg").write_text("mine")
    if what.startswith("bundle"):
        (output / "bundle.json").write_text('{"files": {}}')
    with pytest.raises(TrainingError, match="give another -o"):
        check_output(output)
    (tmp_path / "empty").mkdir()
    check_output(tmp_path / "empty")
    check_output(tmp_path / "new" / "bundle")


def test_a_run_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "run").write_text("mine")
    result = CliRunner().invoke(cli, ["train", "audio-vae", "--run", str(tmp_path / "run")])
    assert result.exit_code == 1
    assert "cannot be written to (Not a directory)" in result.output


def test_a_missing_stage_is_named(tmp_path):
    result = CliRunner().invoke(cli, ["train", "mapping", "--run", str(tmp_path)])
    assert result.exit_code == 1
    assert "clavilux train audio-vae" in result.output


def test_too_few_pictures_are_refused_before_the_first_stage(tmp_path):
    write_art(tmp_path / "few", n=3)
    write_features(tmp_path / "features")
    command = ["train", "all", "--recipe", "debug", "--art", str(tmp_path / "few")]
    command += ["--audio", str(tmp_path / "features"), "--run", str(tmp_path / "run"), "-o", str(tmp_path / "bundle")]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 1
    assert "Add pictures" in result.output
    assert not (tmp_path / "run" / "audio-vae.ckpt").exists()


def test_a_missing_table_of_descriptors_is_reported_before_the_first_stage(tmp_path):
    write_art(tmp_path / "art")
    write_features(tmp_path / "features")
    (tmp_path / "features" / "descriptors.csv").unlink()
    command = ["train", "all", "--recipe", "debug", "--art", str(tmp_path / "art")]
    command += ["--audio", str(tmp_path / "features"), "--run", str(tmp_path / "run"), "-o", str(tmp_path / "bundle")]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 1
    assert "clavilux features" in result.output
    assert not (tmp_path / "run" / "audio-vae.ckpt").exists()


def test_songs_that_cannot_be_decoded_are_reported(tmp_path):
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "broken.mp3").write_text("no sound")
    write_art(tmp_path / "art")
    command = ["train", "all", "--recipe", "debug", "--art", str(tmp_path / "art"), "--audio", str(tmp_path / "music")]
    result = CliRunner().invoke(cli, [*command, "--run", str(tmp_path / "run"), "--jobs", "1"])
    assert result.exit_code == 1
    assert "broken.mp3" in result.output
    assert "0 songs measured" in result.output


def test_after_an_interruption_a_line_says_how_to_continue(monkeypatch):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("clavilux.cli.train._prepare", interrupted)
    for command in (["all", "-o", "bundle"], ["audio-vae"], ["image-vae"]):
        result = CliRunner().invoke(cli, ["train", *command])
        assert result.exit_code == 130
        assert "the same command with --resume continues from the last checkpoint, if any" in result.output
