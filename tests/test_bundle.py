from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_bundle import DESCRIPTOR_MEAN, DESCRIPTORS, KINDS, N_PALETTES, VARIATION_SCALE, write_fake_bundle

from clavilux.bundle import ENCODERS, SHIPPED, find_bundle, open_bundle, shipped_bundles
from clavilux.errors import BundleError


def test_an_opened_bundle_tells_what_it_is(fake_bundle: Path) -> None:
    bundle = open_bundle(fake_bundle)
    assert bundle.name == "fake"
    assert bundle.kinds == tuple(KINDS)
    assert bundle.descriptors == tuple(DESCRIPTORS)
    assert bundle.variation_scale == VARIATION_SCALE
    np.testing.assert_array_equal(bundle.descriptor_mean, np.float32(DESCRIPTOR_MEAN))
    assert bundle.palettes.shape == (N_PALETTES, 8, 3)
    assert bundle.sha256 == hashlib.sha256((fake_bundle / "bundle.json").read_bytes()).hexdigest()


def test_a_bundle_is_found_by_folder_by_its_json_and_by_text(fake_bundle: Path) -> None:
    assert (
        find_bundle(fake_bundle)
        == find_bundle(fake_bundle / "bundle.json")
        == find_bundle(str(fake_bundle))
        == fake_bundle
    )


def test_a_shipped_name_wins_over_a_folder_of_that_name(
    fake_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clavilux.bundle.SHIPPED", fake_bundle.parent)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fake").mkdir()
    assert shipped_bundles() == ["fake"]
    assert find_bundle("fake") == fake_bundle
    assert find_bundle("./fake") == Path("fake")


def test_an_unknown_name_lists_the_shipped_ones(fake_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clavilux.bundle.SHIPPED", fake_bundle.parent)
    with pytest.raises(BundleError, match=r"no bundle 'nix'; .* a shipped one \(fake\)"):
        find_bundle("nix")


def test_the_default_bundle_ships_whole_and_within_40_mb() -> None:
    assert "default" in shipped_bundles()
    bundle = open_bundle("default")
    assert bundle.verify() + len((SHIPPED / "default" / "bundle.json").read_bytes()) <= 40_000_000
    listed = {*bundle.card["files"], "bundle.json"}
    assert {path.name for path in (SHIPPED / "default").iterdir()} == listed


def test_reading_gives_the_bytes_of_the_file(fake_bundle: Path) -> None:
    bundle = open_bundle(fake_bundle)
    for file in (*ENCODERS, "controls.onnx"):
        assert bundle.read(file) == (fake_bundle / file).read_bytes()


def test_verifying_reads_every_listed_file(fake_bundle: Path) -> None:
    sizes = [path.stat().st_size for path in fake_bundle.iterdir() if path.name != "bundle.json"]
    assert open_bundle(fake_bundle).verify() == sum(sizes)


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    folder = write_fake_bundle(tmp_path / "b")
    content = bytearray((folder / "mapping.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "mapping.onnx").write_bytes(content)
    bundle = open_bundle(folder)
    bundle.read("controls.onnx")
    with pytest.raises(BundleError, match=r"damaged: mapping\.onnx .* install or export it again"):
        bundle.read("mapping.onnx")


def test_damaged_weights_for_training_stop_verify_and_not_painting(tmp_path: Path) -> None:
    folder = write_fake_bundle(tmp_path / "b")
    (folder / "image_vae.safetensors").write_bytes(b"cut")
    bundle = open_bundle(folder)
    for file in (*ENCODERS, "controls.onnx"):
        bundle.read(file)
    with pytest.raises(BundleError, match=r"damaged: image_vae\.safetensors \(3 bytes\)"):
        bundle.verify()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = write_fake_bundle(tmp_path / "b")
    (folder / "palettes.npy").unlink()
    with pytest.raises(BundleError, match=r"no readable palettes\.npy \(No such file"):
        _ = open_bundle(folder).palettes


def test_an_unlisted_file_is_not_read(fake_bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"does not list extra\.bin"):
        open_bundle(fake_bundle).read("extra.bin")


def test_a_folder_without_description_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"is no bundle: bundle\.json cannot be read"):
        open_bundle(tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"{", "is no JSON"),
        (b"\xff\xfe\xfd", "is no JSON"),
        (b"[1, 2]", "gives no schema"),
        (b"{}", "gives no schema"),
        (
            b'{"schema": 6, "clavilux": "9.0"}',
            r"has schema 6 .* reads schema 5; install the version that wrote it \(9\.0\)",
        ),
        (b'{"schema": 5}', "gives no name"),
    ],
)
def test_a_description_that_cannot_be_used_is_refused(tmp_path: Path, text: bytes, reason: str) -> None:
    (tmp_path / "bundle.json").write_bytes(text)
    with pytest.raises(BundleError, match=reason):
        open_bundle(tmp_path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": None}, "gives no name"),
        ({"kinds": None}, "gives no kinds"),
        ({"kinds": []}, "at least one for a painter"),
        ({"kinds": [1]}, r"gives the kinds \[1\]; it is a list of different names"),
        (
            {"kinds": ["blobs", "unicorns"]},
            r"marks that this version of Clavilux does not have \(unicorns\); update it",
        ),
        ({"descriptors": "tempo"}, "gives the descriptors tempo; it is a list"),
        ({"variation": {}}, "gives no variation.scale; it is a number from"),
        ({"variation": {"scale": 0}}, "gives the variation.scale 0; it is a number from 1e-09"),
        ({"variation": {"scale": float("nan")}}, "gives the variation.scale nan"),
        ({"normalisation": {}}, "gives no normalisation.descriptor_mean"),
        ({"normalisation": None}, "gives no normalisation"),
        ({"normalisation": {"descriptor_mean": [1.0]}}, "it is a list of D numbers"),
        ({"files": None}, "gives no files"),
        ({"files": {"mapping.onnx": "0" * 64}}, "does not list audio_encoder.onnx, picture_encoder.onnx"),
        ({"files": {"../secret": "0" * 64}}, "plain file names with their sha256"),
    ],
)
def test_each_field_that_painting_uses_is_checked(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    folder = write_fake_bundle(tmp_path / "b", **changes)
    with pytest.raises(BundleError, match=reason):
        open_bundle(folder)


@pytest.mark.parametrize(
    ("palettes", "reason"),
    [
        (
            np.zeros((4, 7, 3), np.float32),
            r"has shape \(4, 7, 3\) and type '<f4'; it is a NumPy file of shape \(n, 8, 3\)",
        ),
        (None, "has another format; it is a NumPy file"),
    ],
)
def test_palettes_of_another_shape_are_refused(tmp_path: Path, palettes: np.ndarray | None, reason: str) -> None:
    folder = write_fake_bundle(tmp_path / "b")
    buffer = io.BytesIO(b"no array")
    if palettes is not None:
        np.save(buffer, palettes)
    replace_file(folder, "palettes.npy", buffer.getvalue())
    with pytest.raises(BundleError, match=reason):
        _ = open_bundle(folder).palettes


def replace_file(folder: Path, file: str, content: bytes) -> None:
    """Put another file into a bundle together with its hash: whole, but of the wrong contents."""
    (folder / file).write_bytes(content)
    card = json.loads((folder / "bundle.json").read_text())
    card["files"][file] = hashlib.sha256(content).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(card))
