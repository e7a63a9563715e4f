from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import MakeSong
from fake_bundle import DESCRIPTOR_MEAN, KINDS, write_fake_bundle
from numpy.typing import NDArray
from onnx import numpy_helper
from test_bundle import replace_file

from clavilux.bundle import open_bundle
from clavilux.colour import srgb_to_lab
from clavilux.constants import CHAOS_RANGE, FREQUENCY_RANGE
from clavilux.engine import BATCH_WINDOWS, Engine
from clavilux.errors import BundleError, PictureError

Float32 = NDArray[np.float32]


@pytest.fixture(scope="module")
def engine(fake_bundle: Path) -> Engine:
    return Engine(open_bundle(fake_bundle))


def constants(folder: Path, file: str) -> dict[str, Float32]:
    return {value.name: numpy_helper.to_array(value) for value in onnx.load(folder / file).graph.initializer}


def test_window_codes_are_what_the_network_says(engine: Engine, fake_bundle: Path, make_song: MakeSong) -> None:
    windows = make_song().windows
    weights = constants(fake_bundle, "audio_encoder.onnx")
    expected = (windows.mean(axis=2) * weights["scale"]) @ weights["weight"]
    np.testing.assert_allclose(engine.window_codes(windows), expected, atol=1e-5)


def test_a_long_song_is_encoded_in_batches_with_the_same_codes(engine: Engine, make_song: MakeSong) -> None:
    windows = make_song(n=2 * BATCH_WINDOWS + 3).windows
    together = engine.window_codes(windows)
    alone = np.concatenate([engine.window_codes(window[None]) for window in windows])
    assert together.shape == (2 * BATCH_WINDOWS + 3, 64)
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_song_code_is_the_mean_over_audible_windows_and_the_descriptors(engine: Engine, make_song: MakeSong) -> None:
    song = make_song(audible=[False, True, True, False, True, False])
    code = engine.song_code(song)
    assert code.shape == (66,) and code.dtype == np.float32
    np.testing.assert_allclose(code[:64], engine.window_codes(song.windows[[1, 2, 4]]).mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(code[64:], np.float32([120.0, -14.0]))  # in the order of the bundle, raw


def test_the_last_window_counts_as_much_as_the_first(engine: Engine, make_song: MakeSong) -> None:
    song = make_song()
    backwards = dataclasses.replace(song, windows=song.windows[::-1])
    np.testing.assert_allclose(engine.song_code(backwards), engine.song_code(song), atol=1e-6)
    changed = dataclasses.replace(song, windows=np.concatenate([song.windows[:-1], song.windows[:1]]))
    assert np.abs(engine.song_code(changed) - engine.song_code(song)).max() > 0.01


def test_all_windows_of_a_silent_song_count(engine: Engine, make_song: MakeSong) -> None:
    silent = engine.song_code(make_song(audible=[False] * 6))
    np.testing.assert_array_equal(silent, engine.song_code(make_song(audible=[True] * 6)))


def test_a_song_without_descriptors_gets_the_means_of_the_corpus(engine: Engine, make_song: MakeSong) -> None:
    np.testing.assert_array_equal(engine.song_code(make_song(descriptors={}))[64:], np.float32(DESCRIPTOR_MEAN))


def test_a_descriptor_that_is_not_measured_is_named(engine: Engine, make_song: MakeSong) -> None:
    with pytest.raises(BundleError, match=r"does not measure \(loudness\); update it"):
        engine.song_code(make_song(descriptors={"tempo": 120.0}))


def test_z_image_is_what_the_mapping_says(engine: Engine, fake_bundle: Path, make_song: MakeSong) -> None:
    code = engine.song_code(make_song())
    weights = constants(fake_bundle, "mapping.onnx")
    np.testing.assert_allclose(engine.z_image(code), (code - weights["centre"]) @ weights["weight"], atol=1e-4)


def test_the_kind_is_the_likeliest_and_palettes_are_blended_by_their_probability(
    engine: Engine, fake_bundle: Path
) -> None:
    weights = constants(fake_bundle, "controls.onnx")
    kinds = set()
    for seed in range(20):
        z = np.random.default_rng(seed).standard_normal(64).astype(np.float32)
        controls = engine.controls(z)
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
    controls = engine.controls((direction * 20 * weight).astype(np.float32))
    assert controls.frequency == FREQUENCY_RANGE[(direction + 1) // 2]
    assert CHAOS_RANGE[0] <= controls.chaos <= CHAOS_RANGE[1]


def test_a_picture_is_encoded_from_its_middle_square(engine: Engine, fake_bundle: Path) -> None:
    square = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    wide = np.full((256, 400, 3), 7, np.uint8)
    wide[:, 72:328] = square
    np.testing.assert_array_equal(engine.encode_picture(wide), engine.encode_picture(square))
    areas = square.reshape(4, 64, 4, 64, 3).mean(axis=(1, 3)).transpose(2, 0, 1).ravel() / 255
    expected = areas @ constants(fake_bundle, "picture_encoder.onnx")["weight"]
    np.testing.assert_allclose(engine.encode_picture(square), expected, atol=4e-3)  # the 64 x 64 picture has 8 bits


def test_a_small_picture_is_enlarged(engine: Engine) -> None:
    grey = engine.encode_picture(np.full((16, 16, 3), 128, np.uint8))
    np.testing.assert_allclose(grey, engine.encode_picture(np.full((300, 200, 3), 128, np.uint8)), atol=1e-6)


@pytest.mark.parametrize(
    "picture",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3)), np.zeros((0, 8, 3), np.uint8)],
)
def test_what_is_no_picture_is_not_encoded(engine: Engine, picture: NDArray[np.uint8]) -> None:
    with pytest.raises(PictureError, match=r"it is \(H, W, 3\) uint8"):
        engine.encode_picture(picture)


def test_two_engines_give_the_same_bits(fake_bundle: Path, make_song: MakeSong) -> None:
    first, second = (Engine(open_bundle(fake_bundle)) for _ in range(2))
    z_first, z_second = (engine.z_image(engine.song_code(make_song())) for engine in (first, second))
    np.testing.assert_array_equal(z_first, z_second)
    assert first.controls(z_first).to_json() == second.controls(z_second).to_json()


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
    engine.controls(engine.z_image(engine.song_code(make_song())))
    with pytest.raises(BundleError, match=r"no readable picture_encoder\.onnx"):
        engine.check()


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
        Engine(open_bundle(folder)).controls(np.zeros(64, np.float32))


def test_numbers_that_are_not_finite_are_named(engine: Engine) -> None:
    with pytest.raises(BundleError, match=r"mapping\.onnx gives a z_image that is not finite"):
        engine.z_image(np.full(66, np.inf, np.float32))
