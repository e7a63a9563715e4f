from __future__ import annotations

import copy
import dataclasses
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import MakeSong
from fake_bundle import DESCRIPTOR_MEAN, KINDS, write_fake_bundle
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from test_bundle import replace_file

from clavilux.bundle import open_bundle
from clavilux.colour import srgb_to_lab
from clavilux.constants import CHAOS_RANGE, FINISH, FREQUENCY_RANGE
from clavilux.engine import BATCH_WINDOWS, Engine
from clavilux.errors import AudioError, BundleError, PictureError
from clavilux.pipeline import Clavilux

Float32 = NDArray[np.float32]


@pytest.fixture(scope="module")
def engine(fake_bundle: Path) -> Engine:
    return Engine(open_bundle(fake_bundle))


def constants(folder: Path, file: str) -> dict[str, Float32]:
    return {value.name: numpy_helper.to_array(value) for value in onnx.load(folder / file).graph.initializer}


def test_encoded_windows_match_the_network(engine: Engine, fake_bundle: Path, make_song: MakeSong) -> None:
    windows = make_song().windows
    weights = constants(fake_bundle, "audio_encoder.onnx")
    expected = (windows.mean(axis=2) * weights["scale"]) @ weights["weight"]
    np.testing.assert_allclose(engine.encode_windows(windows), expected, atol=1e-5)


def test_a_long_song_is_encoded_in_batches_with_the_same_codes(engine: Engine, make_song: MakeSong) -> None:
    windows = make_song(n=2 * BATCH_WINDOWS + 3).windows
    together = engine.encode_windows(windows)
    alone = np.concatenate([engine.encode_windows(window[None]) for window in windows])
    assert together.shape == (2 * BATCH_WINDOWS + 3, 64)
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_song_code_is_the_mean_over_audible_windows_and_the_descriptors(engine: Engine, make_song: MakeSong) -> None:
    song = make_song(audible=[False, True, True, False, True, False])
    code = engine.encode_song(song)
    assert code.shape == (66,) and code.dtype == np.float32
    np.testing.assert_allclose(code[:64], engine.encode_windows(song.windows[[1, 2, 4]]).mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(code[64:], np.float32([120.0, -14.0]))  # in the order of the bundle, raw


def test_a_path_is_no_song(engine: Engine) -> None:
    with pytest.raises(AudioError, match=r"song is 'a\.wav'; give the Song that"):
        engine.encode_song("a.wav")  # type: ignore[arg-type]


def test_the_last_window_counts_as_much_as_the_first(engine: Engine, make_song: MakeSong) -> None:
    song = make_song()
    backwards = dataclasses.replace(song, windows=song.windows[::-1])
    np.testing.assert_allclose(engine.encode_song(backwards), engine.encode_song(song), atol=1e-6)
    changed = dataclasses.replace(song, windows=np.concatenate([song.windows[:-1], song.windows[:1]]))
    assert np.abs(engine.encode_song(changed) - engine.encode_song(song)).max() > 0.01


def test_all_windows_of_a_silent_song_count(engine: Engine, make_song: MakeSong) -> None:
    silent = engine.encode_song(make_song(audible=[False] * 6))
    np.testing.assert_array_equal(silent, engine.encode_song(make_song(audible=[True] * 6)))


def test_a_song_without_descriptors_gets_the_means_of_the_corpus(engine: Engine, make_song: MakeSong) -> None:
    np.testing.assert_array_equal(engine.encode_song(make_song(descriptors={}))[64:], np.float32(DESCRIPTOR_MEAN))


def test_a_descriptor_that_is_not_measured_is_named(engine: Engine, make_song: MakeSong) -> None:
    with pytest.raises(BundleError, match=r"does not measure \(loudness\); update it"):
        engine.encode_song(make_song(descriptors={"tempo": 120.0}))


def test_map_song_matches_the_mapping_network(engine: Engine, fake_bundle: Path, make_song: MakeSong) -> None:
    code = engine.encode_song(make_song())
    weights = constants(fake_bundle, "mapping.onnx")
    np.testing.assert_allclose(engine.map_song(code), (code - weights["centre"]) @ weights["weight"], atol=1e-4)


def test_the_kind_is_the_likeliest_and_palettes_are_blended_by_their_probability(
    engine: Engine, fake_bundle: Path
) -> None:
    weights = constants(fake_bundle, "controls.onnx")
    kinds = set()
    for seed in range(20):
        z = np.random.default_rng(seed).standard_normal(64).astype(np.float32)
        controls = engine.decode_controls(z)
        logits = z @ weights["palette_weight"]
        share = np.exp(logits) / np.exp(logits).sum()
        lab = (share[:, None, None] * srgb_to_lab(engine.bundle.palettes)).sum(axis=0)
        np.testing.assert_allclose(srgb_to_lab(controls.palette), lab, atol=0.1)
        assert controls.kind == KINDS[(z @ weights["kind_weight"]).argmax()]
        assert controls.angle == pytest.approx(float(z @ weights["angle_weight"]) % 0.5, abs=1e-5)
        np.testing.assert_allclose(np.exp(controls.plan).sum(axis=0), 1, atol=1e-5)
        kinds.add(controls.kind)
    assert len(kinds) > 1


@pytest.mark.parametrize("direction", [-1, 1])
def test_frequency_and_chaos_stay_in_their_ranges(engine: Engine, fake_bundle: Path, direction: int) -> None:
    weight = constants(fake_bundle, "controls.onnx")["frequency_weight"]
    controls = engine.decode_controls((direction * 20 * weight).astype(np.float32))
    assert controls.frequency == FREQUENCY_RANGE[(direction + 1) // 2]
    assert CHAOS_RANGE[0] <= controls.chaos <= CHAOS_RANGE[1]


def test_a_picture_is_encoded_from_its_middle_square(engine: Engine, fake_bundle: Path) -> None:
    square = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    wide = np.full((256, 400, 3), 7, np.uint8)
    wide[:, 72:328] = square
    np.testing.assert_array_equal(engine.encode_picture(wide)[0], engine.encode_picture(square)[0])
    areas = square.reshape(4, 64, 4, 64, 3).mean(axis=(1, 3)).transpose(2, 0, 1).ravel() / 255
    expected = areas @ constants(fake_bundle, "picture_encoder.onnx")["weight"]
    np.testing.assert_allclose(engine.encode_picture(square)[0], expected, atol=4e-3)  # the 64 x 64 picture has 8 bits


def test_a_small_picture_is_enlarged(engine: Engine) -> None:
    grey = engine.encode_picture(np.full((16, 16, 3), 128, np.uint8))[0]
    np.testing.assert_allclose(grey, engine.encode_picture(np.full((300, 200, 3), 128, np.uint8))[0], atol=1e-6)


@pytest.mark.parametrize(
    "picture",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3)), np.zeros((0, 8, 3), np.uint8)],
)
def test_what_is_no_picture_is_not_encoded(engine: Engine, picture: NDArray[np.uint8]) -> None:
    with pytest.raises(PictureError, match=r"it is \(H, W, 3\) uint8"):
        engine.encode_picture(picture)


def test_two_engines_give_the_same_bits(fake_bundle: Path, make_song: MakeSong) -> None:
    first, second = (Engine(open_bundle(fake_bundle)) for _ in range(2))
    z_first, z_second = (engine.map_song(engine.encode_song(make_song())) for engine in (first, second))
    np.testing.assert_array_equal(z_first, z_second)
    assert first.decode_controls(z_first).to_json() == second.decode_controls(z_second).to_json()


def test_networks_run_on_one_thread_of_the_processor(engine: Engine) -> None:
    for file in engine.bundle.networks:
        session = engine._network(file).session
        options = session.get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
        assert options.use_deterministic_compute
        assert session.get_providers() == ["CPUExecutionProvider"]


def test_only_the_networks_that_are_used_are_read(tmp_path: Path, make_song: MakeSong) -> None:
    folder = write_fake_bundle(tmp_path / "b")
    (folder / "picture_encoder.onnx").unlink()
    engine = Engine(open_bundle(folder))
    engine.decode_controls(engine.map_song(engine.encode_song(make_song())))
    with pytest.raises(BundleError, match=r"no readable picture_encoder\.onnx"):
        engine.check()


def test_a_bundle_corrects_the_estimates_of_its_decoder(tmp_path: Path) -> None:
    none, all_of_it = (
        write_fake_bundle(tmp_path / name, finish_corrections={key: [threshold, 100.0] for key in FINISH})
        for name, threshold in (("a", 0.999), ("b", 0.0))
    )
    z_image = np.random.default_rng(0).standard_normal(64).astype(np.float32)
    assert Engine(open_bundle(none)).decode_controls(z_image).softness == 0.0
    assert Engine(open_bundle(all_of_it)).decode_controls(z_image).softness == 1.0


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    folder = write_fake_bundle(tmp_path / "b")
    replace_file(folder, "mapping.onnx", b"no network")
    with pytest.raises(BundleError, match=r"mapping\.onnx is no ONNX file"):
        Engine(open_bundle(folder)).check()


def test_a_network_with_other_inputs_is_refused(tmp_path: Path) -> None:
    folder = write_fake_bundle(tmp_path / "b")
    replace_file(folder, "mapping.onnx", (folder / "picture_encoder.onnx").read_bytes())
    with pytest.raises(BundleError, match=r"mapping\.onnx takes .*picture.* it should take song"):
        Engine(open_bundle(folder)).check()


def test_a_mapping_for_another_number_of_descriptors_is_refused(tmp_path: Path) -> None:
    folder = write_fake_bundle(tmp_path / "b")
    other = write_fake_bundle(tmp_path / "c", descriptors=["tempo"], descriptor_mean=[110.0])
    replace_file(folder, "mapping.onnx", (other / "mapping.onnx").read_bytes())
    with pytest.raises(BundleError, match=r"mapping\.onnx takes song \('B', 65\); it should take song \(B, 66\)"):
        Engine(open_bundle(folder)).check()


def test_a_network_with_other_outputs_is_refused(tmp_path: Path) -> None:
    folder = write_fake_bundle(tmp_path / "b")
    network = onnx.load(folder / "controls.onnx")
    del network.graph.output[-1]
    replace_file(folder, "controls.onnx", network.SerializeToString())
    with pytest.raises(BundleError, match=r"controls\.onnx gives .* it should give .*chaos"):
        Engine(open_bundle(folder)).check()


def test_controls_for_another_number_of_kinds_are_refused(tmp_path: Path) -> None:
    folder = write_fake_bundle(tmp_path / "b", kinds=["blobs", "strokes"])
    with pytest.raises(
        BundleError, match=r"controls\.onnx gives kind of shape \(1, 5\) for 1 inputs; it should give \(1, 2\)"
    ):
        Engine(open_bundle(folder)).decode_controls(np.zeros(64, np.float32))


def test_numbers_that_are_not_finite_are_named(engine: Engine) -> None:
    with pytest.raises(BundleError, match=r"mapping\.onnx got an input with values that are not finite"):
        engine.map_song(np.full(66, np.inf, np.float32))


# A stranger's networks ---------------------------------------------------------------------------------------------


def changed(folder: Path, file: str, change: Callable[[onnx.ModelProto], object]) -> Path:
    """Edit a network of a new bundle; its hash fits."""
    write_fake_bundle(folder)
    model = onnx.load(folder / file)
    change(model)
    replace_file(folder, file, model.SerializeToString())
    return folder


def output_of(model: onnx.ModelProto, name: str, op: str, *more: str, **attributes: object) -> None:
    """Put one more operator before an output."""
    for node in model.graph.node:
        node.output[:] = [f"{name}_before" if output == name else output for output in node.output]
        node.input[:] = [f"{name}_before" if entry == name else entry for entry in node.input]
    model.graph.node.append(helper.make_node(op, [f"{name}_before", *more], [name], **attributes))


def constant(model: onnx.ModelProto, name: str, value: object) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))


def set_constant(model: onnx.ModelProto, name: str, value: float) -> None:
    (found,) = (entry for entry in model.graph.initializer if entry.name == name)
    found.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(found), value), name))


def paint_with(folder: Path, make_song: MakeSong) -> object:
    return Clavilux(folder).paint(make_song(), size=64).pixels


CHANGES: list[tuple[str, Callable[[onnx.ModelProto], object], str]] = [
    ("mapping.onnx", lambda m: set_constant(m, "weight", np.nan), "gives a z_image that is not finite"),
    ("audio_encoder.onnx", lambda m: set_constant(m, "weight", np.inf), "gives a z_audio that is not finite"),
    ("mapping.onnx", lambda m: set_constant(m, "weight", 1e30), "gives a z_image beyond 1e"),
    (
        "controls.onnx",
        lambda m: set_constant(m, "frequency_weight", 1e3),
        "gives a frequency that is not finite|picture",
    ),
    ("controls.onnx", lambda m: output_of(m, "frequency", "Neg"), "picture"),
    ("controls.onnx", lambda m: set_constant(m, "angle_weight", 1e8), "picture"),
    ("controls.onnx", lambda m: set_constant(m, "chaos_weight", -1e6), "picture"),
    ("controls.onnx", lambda m: set_constant(m, "palette_weight", 1e6), "picture"),
    ("controls.onnx", lambda m: set_constant(m, "kind_weight", -1e6), "picture"),
    ("controls.onnx", lambda m: set_constant(m, "plan_weight", 1e6), "picture"),
    ("controls.onnx", lambda m: output_of(m, "plan", "Exp"), "picture"),
    ("controls.onnx", lambda m: output_of(m, "finish", "Neg"), "picture"),
    ("controls.onnx", lambda m: output_of(m, "plan", "Cast", to=7), "float32|load"),
    (
        "mapping.onnx",
        lambda m: (constant(m, "two", np.array([2, 64])), output_of(m, "z_image", "Expand", "two")),
        r"z_image' than \(2, 64\)|z_image of shape \(2, 64\)",
    ),
    (
        "mapping.onnx",
        lambda m: (constant(m, "axes", np.array([1])), output_of(m, "z_image", "ReduceMean", "axes")),
        r"z_image' than \(1, 1\)|z_image of shape \(1, 1\)",
    ),
    (
        "controls.onnx",
        lambda m: (constant(m, "axes", np.array([1])), output_of(m, "chaos", "Unsqueeze", "axes")),
        "chaos",
    ),
    ("controls.onnx", lambda m: m.graph.output[0].type.tensor_type.ClearField("shape"), "picture"),
    ("audio_encoder.onnx", lambda m: output_of(m, "z_audio", "Loop"), "operator 'Loop'"),
    ("mapping.onnx", lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 7), "than float32"),
    ("mapping.onnx", lambda m: setattr(m, "ir_version", 99), "ONNX Runtime cannot load it"),
    (
        "mapping.onnx",
        lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[0], "dim_value", 7),
        "another shape",
    ),
    (
        "mapping.onnx",
        lambda m: (constant(m, "at", np.array([99])), output_of(m, "z_image", "Gather", "at", axis=1)),
        r"z_image",
    ),
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("file", "change", "outcome"), CHANGES)
def test_a_strangers_network_ends_in_a_picture_or_in_one_line(
    tmp_path: Path,
    make_song: MakeSong,
    capfd: pytest.CaptureFixture[str],
    file: str,
    change: Callable[[onnx.ModelProto], object],
    outcome: str,
) -> None:
    folder = changed(tmp_path / "b", file, change)
    try:
        paint_with(folder, make_song)
    except BundleError as error:
        assert re.search(outcome, str(error)), str(error)
        assert str(folder) in str(error) and file in str(error) and "\n" not in str(error)
    else:
        assert "picture" in outcome
    assert capfd.readouterr() == ("", "")


def test_weights_in_another_file_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_song: MakeSong
) -> None:
    """ONNX Runtime would read them, unhashed, from the current directory."""

    def move_out(model: onnx.ModelProto) -> None:
        (weight,) = (entry for entry in model.graph.initializer if entry.name == "weight")
        (tmp_path / "weight.bin").write_bytes(weight.raw_data)
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        entry = weight.external_data.add()
        entry.key, entry.value = "location", "weight.bin"

    folder = changed(tmp_path / "b", "mapping.onnx", move_out)
    monkeypatch.chdir(tmp_path)
    onnxruntime.InferenceSession((folder / "mapping.onnx").read_bytes())  # it does
    with pytest.raises(BundleError, match=r"mapping\.onnx has a field external_data"):
        paint_with(folder, make_song)


def test_a_huge_variance_of_windows_is_no_warning(tmp_path: Path, make_song: MakeSong) -> None:
    folder = changed(
        tmp_path / "b",
        "audio_encoder.onnx",
        lambda m: (constant(m, "large", np.float32(1e9)), output_of(m, "logvar", "Add", "large")),
    )
    with pytest.raises(BundleError, match=r"z_image (beyond|that is not finite)"):
        Clavilux(folder).paint(make_song(), size=64, logvar_scale=1.0)


@pytest.mark.parametrize("shape", [(65,), (0,), (66, 2), ()])
def test_an_input_of_another_shape_is_refused(engine: Engine, shape: tuple[int, ...]) -> None:
    with pytest.raises(BundleError, match=r"mapping\.onnx got an input of shape"):
        engine.map_song(np.zeros(shape, np.float32))


def test_no_windows_are_refused(engine: Engine) -> None:
    with pytest.raises(BundleError, match=r"audio_encoder\.onnx got an input of shape \(0, 20, 216\)"):
        engine.encode_windows(np.zeros((0, 20, 216), np.float32))


def test_a_used_engine_can_be_copied_and_pickled(fake_bundle: Path, make_song: MakeSong) -> None:
    engine = Clavilux(fake_bundle)
    pixels = engine.paint(make_song(), size=64).pixels
    for again in (copy.copy(engine), copy.deepcopy(engine), pickle.loads(pickle.dumps(engine))):
        np.testing.assert_array_equal(again.paint(make_song(), size=64).pixels, pixels)
    np.testing.assert_array_equal(engine.paint(make_song(), size=64).pixels, pixels)


def test_pixels_beyond_their_range_are_clipped(tmp_path: Path) -> None:
    folder = write_fake_bundle(tmp_path / "b", decoder="pixels")
    nodes = [
        helper.make_node("MatMul", ["z_image", "weight"], ["flat"]),
        helper.make_node("Reshape", ["flat", "sides"], ["picture"]),
    ]
    values = (("z_image", ["B", 64]), ("picture", ["B", 3, 8, 8]))
    put_in, out = (helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name, sides in values)
    graph = helper.make_graph(nodes, "pixels", [put_in], [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    constant(model, "weight", np.full((64, 192), 5.0, np.float32))
    constant(model, "sides", np.array([-1, 3, 8, 8]))
    replace_file(folder, "pixels.onnx", model.SerializeToString())
    engine = Clavilux(folder)
    for sign, value in ((1, 255), (-1, 0)):
        assert (engine.paint_latent(np.full(64, sign, np.float32), size=64) == value).all()


def test_painting_writes_nothing_into_the_home_folder_and_reports_nothing(tone_file: Path, tmp_path: Path) -> None:
    """Newer versions of onnxruntime write an identity of the machine, unless a variable forbids it."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    code = "import os, sys, clavilux; clavilux.paint(sys.argv[1], size=64); print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tone_file)],
        env=environment | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1\n"
    assert list(home.rglob("*")) == []
