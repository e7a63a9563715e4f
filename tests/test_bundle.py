from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from fake_bundle import DESCRIPTOR_MEAN, DESCRIPTORS, KINDS, N_PALETTES, VARIATION_SCALE, write_fake_bundle

from clavilux.bundle import ENCODERS, SHIPPED, _find_bundle, open_bundle, shipped_bundles
from clavilux.card import FIELDS, NETWORKS
from clavilux.cli import cli
from clavilux.constants import FINISH
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
        _find_bundle(fake_bundle)
        == _find_bundle(fake_bundle / "bundle.json")
        == _find_bundle(str(fake_bundle))
        == fake_bundle
    )


def test_a_shipped_name_wins_over_a_folder_of_that_name(
    fake_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clavilux.bundle.SHIPPED", fake_bundle.parent)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fake").mkdir()
    assert shipped_bundles() == ["fake"]
    assert _find_bundle("fake") == fake_bundle
    assert _find_bundle("./fake") == Path("fake")


def test_an_unknown_name_lists_the_shipped_ones(fake_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clavilux.bundle.SHIPPED", fake_bundle.parent)
    with pytest.raises(BundleError, match=r"no bundle 'nix'; .* a shipped one \(fake\)"):
        _find_bundle("nix")


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
    with pytest.raises(BundleError, match=r"is not a bundle: bundle\.json cannot be read"):
        open_bundle(tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"{", "is not JSON"),
        (b"\xff\xfe\xfd", "is not JSON"),
        (b"[1, 2]", "gives no schema"),
        (b"{}", "gives no schema"),
        (
            b'{"schema": 8, "clavilux": "9.0"}',
            r"has schema 8 .* reads schema 7; install the version that wrote it \(9\.0\)",
        ),
        (b'{"schema": 7}', "gives no name"),
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
        ({"kinds": []}, "at least one if the decoder is painter"),
        ({"kinds": [1]}, r"gives the kinds \[1\]; it is a list of different names"),
        (
            {"kinds": ["blobs", "unicorns"]},
            r"paints with kinds that this version of Clavilux does not have \(unicorns\); update it",
        ),
        ({"surfaces": None}, "gives no surfaces"),
        ({"surfaces": []}, "at least one if the decoder is painter"),
        ({"surfaces": ["flat", "oil"]}, r"paints with surfaces that this version .* have \(oil\); update it"),
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


@pytest.mark.parametrize(
    "changes",
    [
        *({"schema": value} for value in (True, 5.0, "5", [5], None)),
        *({"name": value} for value in ("", "a\nb", "\x1b[2J", "\ud800", "x" * 201, 3, ["b"])),
        *({"clavilux": value} for value in (1, ["0.1.0"])),
        *({key: value} for key in ("config", "corpus", "measures", "parity") for value in (1, [], "x")),
        *({"decoder": value} for value in (["painter"], {}, "paint", True)),
        *({"kinds": value} for value in (["blobs", "blobs"], [["blobs"]], {"blobs": 1}, [""], "blobs")),
        *({"surfaces": value} for value in (["flat", "flat"], [["flat"]], {"flat": 1}, [""], "flat")),
        *({"descriptors": value} for value in (["tempo", "tempo"], [None, "a"], ["tempo", "a\x00"])),
        *({"variation": {"scale": value}} for value in (True, "1", -1, 1e400, 10**20, [1], 1e308)),
        *({"painting": value} for value in ({}, [], {"noise_std": 0.0}, {"noise_std": -1, "logvar_scale": 0})),
        *(
            {"finish_corrections": value}
            for value in ([], {}, {"softness": [0.3, 0.7]}, {name: [1.0, 1.0] for name in FINISH})
        ),
        *({"painting": {"noise_std": value, "logvar_scale": 0}} for value in (1e9, float("inf"), "0", True)),
        *(
            {"normalisation": {"descriptor_mean": value}}
            for value in ([float("nan"), 0], [1e300, 0], [True, 0], ["1", 0], [0] * 3)
        ),
        {"normalisation": {"descriptor_mean": [0, 0], "song_mean": [0.0] * 66}},
        *(
            {
                "normalisation": {
                    "descriptor_mean": [0, 0],
                    "song_mean": [0.0] * n,
                    "song_deviation": [deviation] * 66,
                    "song_weights": [1.0] * 66,
                }
            }
            for n, deviation in ((65, 1.0), (66, 0.0), (66, float("nan")))
        ),
        {"normalisation": {"descriptor_mean": [0, 0], "feature_mean": [0.0] * 19}},
        *({"config": {"image_vae": value}} for value in (1, {"target_nats": "45"}, {"target_nats": -1})),
        *(
            {"config": {"features": {"fmax_hz": 7_000, "range_db": 40, "level": "relative"} | change}}
            for change in (
                {"fmax_hz": 20_000},
                {"fmax_hz": float("nan")},
                {"range_db": "40"},
                {"range_db": True},
                {"level": "loud"},
                {"level": ["relative"]},
                {"fmin_hz": 40},
            )
        ),
        {"measures": {"image_vae": {"kl_nats": [1]}}},
        *({"files": {name: "0" * 64}} for name in ("", ".", "..", "a/b", "a\\b", "c:x", "bundle.json", "a\nb", ".x")),
        *({"files": {"mapping.onnx": value}} for value in ("", "0" * 63, "G" * 64, "A" * 64, None, ["0" * 64])),
        {"files": {f"f{n}": "0" * 64 for n in range(65)}},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_a_field_that_holds_anything_else_is_named_in_one_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = write_fake_bundle(tmp_path / "b", **changes)
    with pytest.raises(BundleError) as caught:
        open_bundle(folder)
    assert next(iter(changes)) in str(caught.value)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


def test_what_is_not_known_is_kept_and_figures_may_be_anything(tmp_path: Path) -> None:
    folder = write_fake_bundle(tmp_path / "b", corpus={"n": float("nan"), "x": [None, {}]}, later={"a": 1})
    bundle = open_bundle(folder)
    assert bundle.card["later"] == {"a": 1}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text[:-1] + b', "name": "again"}', "a name is given twice"),
        (lambda text: text.replace(b'"config": {}', b'"config": ' + b"[" * 200 + b"]" * 200), "levels deep"),
        (lambda text: text.replace(b'"config": {}', b'"config": ' + b"[" * 10**6), "is not JSON"),
        (lambda text: text.replace(b'"songs": 0', b'"songs": ' + b"9" * 5_000), "a number has 5000 digits"),
        (lambda text: text + b" " * 4_000_000, "at most 4000000 are read"),
        (lambda text: b"", "is not JSON"),
        (lambda text: bytes(100), "is not JSON"),
        (lambda text: text.replace(b"fake_bundle", b"\xff\xfe"), "is not JSON"),
    ],
)
def test_other_bytes_than_a_description_are_refused(
    tmp_path: Path, change: Callable[[bytes], bytes], reason: str
) -> None:
    path = write_fake_bundle(tmp_path / "b") / "bundle.json"
    before = path.read_bytes()
    path.write_bytes(change(before))
    assert path.read_bytes() != before
    with pytest.raises(BundleError, match=reason):
        open_bundle(path.parent)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_description_in_another_encoding_of_unicode_is_read(tmp_path: Path, encoding: str) -> None:
    path = write_fake_bundle(tmp_path / "b") / "bundle.json"
    path.write_bytes(path.read_text().encode(encoding))
    assert open_bundle(path.parent).name == "b"


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _link_out(path: Path) -> None:
    outside = path.parent.parent / "outside"
    outside.write_bytes(b"secret")
    path.symlink_to(outside)


def _large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**12)  # sparse


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and links")
@pytest.mark.parametrize("file", ["bundle.json", "palettes.npy", "mapping.onnx", "image_vae.safetensors"])
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_fifo, "not a regular file"),
        (Path.mkdir, "not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "link out of the folder"),
        (lambda path: path.symlink_to("nowhere"), "No such file"),
        (lambda path: path.symlink_to(path.name), "symbolic links"),
        (_link_out, "link out of the folder"),
        (_large, r"1000000000000 bytes, at most \d+ are read"),
    ],
    ids=["pipe", "folder", "device", "nowhere", "itself", "outside", "large"],
)
def test_only_regular_files_of_the_folder_are_read(
    tmp_path: Path, file: str, make: Callable[[Path], None], reason: str
) -> None:
    folder = write_fake_bundle(tmp_path / "b")
    (folder / file).unlink()
    make(folder / file)
    with pytest.raises(BundleError, match=rf"{re.escape(file)} .*{reason}"):
        open_bundle(folder).verify()


def test_files_of_the_package_may_be_links(fake_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installers link to stores of their own."""
    (tmp_path / "bundles" / "fake").mkdir(parents=True)
    for path in fake_bundle.iterdir():
        (tmp_path / "bundles" / "fake" / path.name).symlink_to(path)
    monkeypatch.setattr("clavilux.bundle.SHIPPED", tmp_path / "bundles")
    assert open_bundle("fake").verify() > 0


@pytest.mark.parametrize("given", [None, 3, ["default"], "", "a\0b", "x" * 10_000, "\ud800"])
def test_what_names_no_bundle_is_refused(given: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError):
        open_bundle(given)


def _saved(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


_WHOLE = np.linspace(0, 1, 144, dtype=np.float32).reshape(6, 8, 3)


@pytest.mark.parametrize(
    "content",
    [
        *(_saved(_WHOLE.astype(kind)) for kind in (">f4", "<f8", "<f2", "<i4", "<c8", "|b1", "<U3")),
        *(_saved(array) for array in (np.asfortranarray(_WHOLE), _WHOLE[:0], _WHOLE[0], _WHOLE[None], _WHOLE.ravel())),
        *(_saved(array) for array in (_WHOLE[:, :7], _WHOLE[..., :2], np.float32(0), _WHOLE + 1, _WHOLE - 1)),
        *(_saved(np.where(_WHOLE == 1, odd, _WHOLE).astype(np.float32)) for odd in (np.nan, np.inf, -np.inf)),
        *(
            _saved(_WHOLE).replace(b"(6, 8, 3)", shape)
            for shape in (b"(1000000000, 8, 3)", b"(-6, 8, 3)", b"(True, 8, 3)")
        ),
        *(_saved(_WHOLE).replace(b"'<f4'", kind) for kind in (b"'|O'", b"[('a', '<f4')]", b"'<f4'+x")),
        *(_saved(_WHOLE)[:end] for end in (0, 5, 80, -1)),
        _saved(_WHOLE) + b"\0",
        b"PK\x03\x04" + bytes(100),
        pickle.dumps(_WHOLE),
    ],
)
def test_palettes_of_any_other_kind_are_refused(tmp_path: Path, content: bytes) -> None:
    folder = write_fake_bundle(tmp_path / "b")
    replace_file(folder, "palettes.npy", content)
    with pytest.raises(BundleError, match=r"palettes\.npy (has|holds)"):
        _ = open_bundle(folder).palettes


def test_palettes_are_what_was_saved(tmp_path: Path) -> None:
    folder = write_fake_bundle(tmp_path / "b")
    replace_file(folder, "palettes.npy", _saved(_WHOLE))
    np.testing.assert_array_equal(open_bundle(folder).palettes, _WHOLE)


def test_the_documentation_lists_the_fields_and_networks_that_the_code_checks() -> None:
    text = (Path(__file__).parent.parent / "docs" / "bundle.md").read_text("utf-8")
    assert f"<!-- fields -->\n{field_table()}\n<!-- end of fields -->" in text
    assert f"<!-- networks -->\n{network_table()}\n<!-- end of networks -->" in text


def field_table() -> str:
    rows = [f"| `{f.path}` | {f.kind.words}{'' if f.required else ', optional'} | {f.meaning} |" for f in FIELDS]
    return "\n".join(["| field | value | meaning |", "|---|---|---|", *rows])


def network_table() -> str:
    def shape(sides: tuple[int | str, ...]) -> str:
        return f"({', '.join(str(side) for side in ('B', *sides))}{',' if not sides else ''})"

    rows = [
        f"| `{file}` | {network.takes} {shape(network.shape)} | "
        f"{', '.join(f'{name} {shape(sides)}' for name, sides in network.gives.items())} |"
        for file, network in NETWORKS.items()
    ]
    return "\n".join(["| file | input | outputs |", "|---|---|---|", *rows])


def test_a_bundle_can_be_copied_and_pickled(fake_bundle: Path) -> None:
    bundle = open_bundle(fake_bundle)
    palettes = bundle.palettes
    for copied in (copy.deepcopy(bundle), pickle.loads(pickle.dumps(bundle))):
        assert copied.sha256 == bundle.sha256
        np.testing.assert_array_equal(copied.palettes, palettes)


def replace_file(folder: Path, file: str, content: bytes) -> None:
    """Put another file into a bundle together with its hash: whole, but of the wrong contents."""
    (folder / file).write_bytes(content)
    card = json.loads((folder / "bundle.json").read_text())
    card["files"][file] = hashlib.sha256(content).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(card))


def test_files_of_the_first_version_are_named(tmp_path: Path) -> None:
    (tmp_path / "audio_vae.pth").write_bytes(b"x")
    for path in (tmp_path, tmp_path / "audio_vae.pth"):
        with pytest.raises(BundleError, match=r"files of the first version .* cannot be loaded; train again"):
            open_bundle(path)
        done = CliRunner().invoke(cli, ["paint", str(path)])
        assert done.exit_code == 1 and "files of the first version (.pth)" in done.stderr


def test_a_bundle_is_shown_by_its_name() -> None:
    named = CliRunner().invoke(cli, ["bundle", "show", "classic"])
    assert named.exit_code == 0 and named.stdout.startswith("classic  (")
    assert named.stdout == CliRunner().invoke(cli, ["bundle", "show", "--bundle", "classic"]).stdout
    twice = CliRunner().invoke(cli, ["bundle", "show", "classic", "--bundle", "default"])
    assert twice.exit_code == 2 and "given twice" in twice.stderr
    assert not re.search(r"sources\..*\.(files|licence) = ", CliRunner().invoke(cli, ["bundle", "show"]).stdout)


def test_a_stage_under_its_former_name_is_named() -> None:
    done = CliRunner().invoke(cli, ["train", "mapping_network"])
    assert done.exit_code == 2 and "clavilux train mapping" in done.stderr
