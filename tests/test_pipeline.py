from __future__ import annotations

import copy
import dataclasses
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import MakeSong, chord, write_wave
from fake_bundle import VARIATION_SCALE, write_fake_bundle

import clavilux
from clavilux.audio.clips import NO_DESCRIPTORS, pick_clips, read_clips
from clavilux.audio.feature_files import write_features
from clavilux.audio.mfcc import FeatureSettings
from clavilux.audio.song import read_song
from clavilux.errors import AudioError, BundleError, ClaviluxError, PictureError
from clavilux.painting import paint
from clavilux.pipeline import Clavilux
from clavilux.system.arguments import check_size


@pytest.fixture(scope="module")
def engine(fake_bundle: Path) -> Clavilux:
    return Clavilux(fake_bundle)


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three feature files: one window, four windows, and three in a folder below."""
    folder = tmp_path_factory.mktemp("features")
    rng = np.random.default_rng(0)
    (folder / "below").mkdir()
    np.save(folder / "a.npy", rng.normal(0, 20, (20, 216)).astype(np.float32))
    np.save(folder / "b.npy", rng.normal(0, 20, (4, 20, 216)).astype(np.float32))
    np.save(folder / "below" / "c.npy", rng.normal(0, 20, (3, 20, 216)).astype(np.float32))
    return folder


def test_a_song_becomes_a_picture(fake_bundle: Path, tone_file: Path) -> None:
    picture = clavilux.paint(tone_file, size=(128, 96), seed=3, bundle=fake_bundle)
    assert isinstance(picture, clavilux.Picture)
    assert picture.pixels.shape == (96, 128, 3) and picture.pixels.dtype == np.uint8
    assert picture.z_image.shape == (64,)
    assert picture.song.name == "chord"
    assert picture.record == {
        "clavilux": clavilux.__version__,
        "song": {
            "name": "chord",
            "sha256": picture.song.sha256,
            "sound_sha256": picture.song.sound_sha256,
            "silent": False,
            "duration_s": 12.0,
        },
        "bundle": {"name": "fake", "sha256": Clavilux(fake_bundle).bundle.sha256},
        "size": [128, 96],
        "seed": 3,
        "variation": 0,
        "spread": 1.0,
        "dpi": 300.0,
        "options": {"noise_std": 0.0, "logvar_scale": 0.0, "max_s": 14_400.0, "clip": None},
        "z_image": [float(str(value)) for value in picture.z_image],
    }


def test_the_path_in_steps_gives_the_same_picture(engine: Clavilux, tone_file: Path) -> None:
    from clavilux.painter.paint import paint as paint_controls

    song = engine.read_song(tone_file)
    expected = engine.paint(tone_file, size=96).pixels
    np.testing.assert_array_equal(engine.paint(song, size=96).pixels, expected)
    np.testing.assert_array_equal(paint_controls(engine.controls(song), width=96, height=96, seed=0), expected)


def test_a_second_engine_paints_the_same_pixels(engine: Clavilux, fake_bundle: Path, tone_file: Path) -> None:
    np.testing.assert_array_equal(
        paint(tone_file, size=96, bundle=fake_bundle).pixels, engine.paint(tone_file, size=96).pixels
    )


def test_two_songs_differ(engine: Clavilux, tone_file: Path, other_tone_file: Path) -> None:
    first, second = engine.paint(tone_file, size=96), engine.paint(other_tone_file, size=96)
    assert np.linalg.norm(first.z_image - second.z_image) > 0.1
    assert (first.pixels != second.pixels).any(axis=2).mean() > 0.1


def test_the_picture_comes_from_the_sound_and_not_from_the_file(
    engine: Clavilux, tone_file: Path, tmp_path: Path
) -> None:
    sound, rate = soundfile.read(tone_file, dtype="int16")
    soundfile.write(tmp_path / "other name.flac", sound, rate)
    wave, flac = engine.paint(tone_file, size=96), engine.paint(tmp_path / "other name.flac", size=96)
    assert wave.song.sha256 != flac.song.sha256
    np.testing.assert_array_equal(wave.pixels, flac.pixels)


def test_the_seed_draws_other_marks_of_the_same_plan(engine: Clavilux, make_song: MakeSong) -> None:
    first, second = (engine.paint(make_song(), size=96, seed=seed) for seed in (0, 1))
    assert first.controls.to_json() == second.controls.to_json()
    assert (first.pixels != second.pixels).any()


def test_the_first_variation_is_the_song_itself(engine: Clavilux, make_song: MakeSong) -> None:
    song = make_song()
    own = engine.paint(song, size=96, spread=3.0)
    np.testing.assert_array_equal(own.pixels, engine.paint(song, size=96).pixels)
    variations = list(engine.variations(song, count=3, size=96))
    np.testing.assert_array_equal(variations[0].pixels, own.pixels)
    assert [variation.record["variation"] for variation in variations] == [0, 1, 2]


@pytest.mark.parametrize("spread", [0.0, 1.0, 2.5])
def test_a_variation_lies_one_step_away(engine: Clavilux, make_song: MakeSong, spread: float) -> None:
    song = make_song()
    own = engine.z_image(song)
    for variation in (1, 2, 9):
        step = np.linalg.norm(engine.z_image(song, variation=variation, spread=spread) - own)
        assert step == pytest.approx(spread * VARIATION_SCALE, rel=1e-4, abs=1e-6)


def test_the_direction_depends_on_song_seed_and_number(engine: Clavilux, make_song: MakeSong) -> None:
    song = make_song()
    twin = dataclasses.replace(song, windows=song.windows + np.float32(1e-3))  # other sound
    own = engine.z_image(song)
    choices: list[tuple[Any, dict[str, int]]] = [
        (song, {"variation": 1}),
        (song, {"variation": 2}),
        (song, {"variation": 1, "seed": 1}),
        (twin, {"variation": 1}),
    ]
    steps = np.array([engine.z_image(of, **choice) - own for of, choice in choices])
    again = np.array([engine.z_image(of, **choice) - own for of, choice in choices])
    np.testing.assert_array_equal(steps, again)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    cosines = steps @ steps.T
    assert np.abs(cosines[~np.eye(4, dtype=bool)]).max() < 0.6  # 64 dimensions: chance has a deviation of 1/8


@pytest.mark.parametrize("size", [63, 8193, (64, 9000), (0, 64), -5])
def test_a_size_out_of_range_is_refused(size: int | tuple[int, int]) -> None:
    with pytest.raises(PictureError, match="each side between 64 and 8192 pixels"):
        check_size(size)


@pytest.mark.parametrize(
    "choice",
    [{"seed": -1}, {"variation": -1}, {"spread": -0.1}, {"spread": float("nan")}, {"spread": float("inf")}],
)
def test_a_choice_out_of_range_is_refused(engine: Clavilux, make_song: MakeSong, choice: dict[str, Any]) -> None:
    with pytest.raises(PictureError, match=f"{next(iter(choice))} is .*; it must be a (whole )?number from 0 to"):
        engine.paint(make_song(), **choice)


def test_a_missing_song_is_said(engine: Clavilux) -> None:
    with pytest.raises(AudioError, match=r"nowhere\.mp3"):
        engine.paint("nowhere.mp3")


def test_a_silent_song_is_painted_and_recorded_as_silent(engine: Clavilux, tmp_path: Path) -> None:
    picture = engine.paint(write_wave(tmp_path / "silence.wav", np.zeros(22_050 * 8, np.float32)), size=96)
    assert picture.record["song"]["silent"] is True
    assert np.isfinite(picture.z_image).all()


def test_less_of_a_song_gives_another_picture(engine: Clavilux, tmp_path: Path) -> None:
    two_parts = np.concatenate([chord(220, 6), chord(1760, 6)])
    path = write_wave(tmp_path / "two parts.wav", two_parts)
    whole, part = engine.paint(path, size=96), engine.paint(path, size=96, max_s=5)
    assert part.record["options"]["max_s"] == 5
    assert np.linalg.norm(whole.z_image - part.z_image) > 0.05
    np.testing.assert_array_equal(engine.repaint(part.record, path).pixels, part.pixels)


def test_songs_that_are_read_in_threads_are_the_same_to_the_bit(engine: Clavilux, tmp_path: Path) -> None:
    files = [write_wave(tmp_path / f"{k}.wav", chord(110 * 2**k, 12)) for k in range(3)]
    expected = [engine.read_song(file).sound_sha256 for file in files]
    with ThreadPoolExecutor(4) as pool:
        songs = list(pool.map(engine.read_song, files * 4))
    assert [song.sound_sha256 for song in songs] == expected * 4


# From the record -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg"])
def test_a_picture_is_painted_again_from_its_file(
    engine: Clavilux, tone_file: Path, tmp_path: Path, suffix: str
) -> None:
    picture = engine.paint(tone_file, size=(160, 96), seed=5, variation=2, spread=0.7)
    picture.save(tmp_path / f"a{suffix}")
    again = engine.repaint(clavilux.read_record(tmp_path / f"a{suffix}"), tone_file)
    np.testing.assert_array_equal(again.pixels, picture.pixels)
    assert again.record == picture.record


def test_a_picture_is_painted_again_larger(engine: Clavilux, tone_file: Path) -> None:
    picture = engine.paint(tone_file, size=96)
    larger = engine.repaint(picture.record, tone_file, size=192)
    np.testing.assert_array_equal(larger.pixels, engine.paint(tone_file, size=192).pixels)


def test_another_song_is_refused(engine: Clavilux, tone_file: Path, other_tone_file: Path) -> None:
    record = engine.paint(tone_file, size=96).record
    with pytest.raises(
        PictureError, match=r"high\.wav: is not the song of the picture, which was painted from 'chord', which sounds"
    ):
        engine.repaint(record, other_tone_file)


def test_another_bundle_is_refused(engine: Clavilux, tone_file: Path, tmp_path: Path) -> None:
    record = engine.paint(tone_file, size=96).record
    other = Clavilux(write_fake_bundle(tmp_path / "other", seed=1))
    with pytest.raises(BundleError, match=r"painted with bundle 'fake' \(sha256 .*\), not with other"):
        other.repaint(record, tone_file)


ODD_JSON = [None, "x", {}, [1], True, -1, 1.5, 1e300, 10**4000, float("nan"), float("inf"), [[]], {"name": 1}]
PLACES = [
    ("song",),
    ("song", "name"),
    ("song", "sha256"),
    ("bundle",),
    ("bundle", "name"),
    ("bundle", "sha256"),
    ("size",),
    ("size", 0),
    ("z_image",),
    ("z_image", 3),
    ("dpi",),
    ("seed",),
    ("variation",),
    ("spread",),
    ("options",),
    ("options", "noise_std"),
    ("options", "logvar_scale"),
    ("options", "max_s"),
    ("options", "clip"),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_a_damaged_record_is_refused_or_painted(engine: Clavilux, tone_file: Path, place: tuple[Any, ...]) -> None:
    whole = engine.paint(tone_file, size=64).record
    *outer, last = place
    refused = 0
    for value in [*ODD_JSON, "nothing"]:
        record = copy.deepcopy(whole)
        holder: Any = record
        for key in outer:
            holder = holder[key]
        if value == "nothing":
            del holder[last]
        else:
            holder[last] = value
        try:
            assert engine.repaint(record, tone_file).pixels.shape == (64, 64, 3)
        except ClaviluxError as error:
            assert len(str(error).splitlines()) == 1 and len(str(error)) < 500
            refused += 1
    assert refused >= 8


@pytest.mark.parametrize("record", [None, 5, "record", [], {}, {"clavilux": clavilux.__version__}])
def test_what_is_no_record_is_refused(engine: Clavilux, tone_file: Path, record: Any) -> None:
    with pytest.raises(PictureError, match=r"record of the picture is incomplete|record is .*; it must be a dict"):
        engine.repaint(record, tone_file)
    assert not engine.has_painted(record, "ab", size=64)


def test_unknown_entries_of_a_record_are_passed_over(engine: Clavilux, tone_file: Path) -> None:
    picture = engine.paint(tone_file, size=64)
    record = {**picture.record, "more": [1]}
    np.testing.assert_array_equal(engine.repaint(record, tone_file).pixels, picture.pixels)
    assert engine.has_painted(picture.record, picture.song.sha256, size=(64, 64))


@pytest.mark.parametrize("version", ["0.1.0", "0.1.7", "1.0.0", "9.9.9"])
def test_a_version_with_another_painter_is_named(engine: Clavilux, tone_file: Path, version: str) -> None:
    picture = engine.paint(tone_file, size=64)
    record = {**picture.record, "clavilux": version}
    with pytest.raises(PictureError, match=f"painted by Clavilux {version}, .*; install that version") as error:
        engine.repaint(record)
    assert ("CHANGELOG.md in the source folder says how" in str(error.value)) == version.startswith("0.1.")
    assert not engine.has_painted(record, picture.song.sha256, size=(64, 64))


def test_a_version_that_is_no_version_is_shown_as_text(engine: Clavilux) -> None:
    with pytest.raises(PictureError, match=r"painted by Clavilux '0\.1 or so'"):
        engine.repaint({"clavilux": "0.1 or so"})


def test_records_with_the_earlier_names_of_variation_and_spread_are_read(engine: Clavilux, tone_file: Path) -> None:
    picture = engine.paint(tone_file, size=64, variation=2, spread=0.5)
    earlier = {**picture.record, "sibling": 2, "variation": 0.5}
    del earlier["spread"]
    np.testing.assert_array_equal(engine.repaint(earlier, tone_file).pixels, picture.pixels)


def test_variations_start_at_the_number_that_is_given(engine: Clavilux, tone_file: Path) -> None:
    pictures = engine.variations(tone_file, count=2, size=64, variation=3)
    assert [picture.record["variation"] for picture in pictures] == [3, 4]


# Feature files -------------------------------------------------------------------------------------------------------


def test_a_feature_file_is_painted_with_a_warning(engine: Clavilux, features: Path) -> None:
    song = engine.read_song(features / "b.npy")
    assert song.windows.shape == (4, 20, 216)
    assert song.descriptors == {}
    assert song.warnings == (NO_DESCRIPTORS,)
    assert engine.paint(song, size=96).record["song"]["name"] == "b"


RELATIVE = {"fmax_hz": 7_000, "range_db": 40, "level": "relative"}


def test_a_bundle_measures_songs_with_its_own_settings(tone_file: Path, tmp_path: Path) -> None:
    relative = Clavilux(write_fake_bundle(tmp_path / "relative", config={"features": RELATIVE}))
    assert relative.bundle.feature_settings == FeatureSettings(7_000.0, 40.0, "relative")
    song = relative.read_song(tone_file)
    np.testing.assert_array_equal(song.windows, read_song(tone_file, settings=relative.bundle.feature_settings).windows)
    assert relative.paint(tone_file, size=64).pixels.any()


def test_features_of_other_settings_are_refused(engine: Clavilux, tone_file: Path, tmp_path: Path) -> None:
    relative = Clavilux(write_fake_bundle(tmp_path / "relative", config={"features": RELATIVE}))
    (tmp_path / "music").mkdir()
    shutil.copy(tone_file, tmp_path / "music" / "tone.wav")
    for painter, other in ((engine, relative), (relative, engine)):
        folder = tmp_path / painter.bundle.name
        write_features(tmp_path / "music", folder / "features", settings=painter.bundle.feature_settings, jobs=1)
        assert painter.paint(folder / "features" / "tone.npy", size=64).pixels.any()
        message = f"loses their settings ({painter.bundle.feature_settings}; bundle {other.bundle.name} needs"
        with pytest.raises(AudioError, match=re.escape(message)):
            other.paint(folder / "features" / "tone.npy", size=64)


def test_one_clip_of_a_feature_file(engine: Clavilux, features: Path) -> None:
    song = engine.read_song(features / "b.npy", clip=2)
    np.testing.assert_array_equal(song.windows, read_clips(features / "b.npy")[2:3])
    picture = engine.paint(features / "b.npy", size=96, clip=2)
    assert picture.record["options"]["clip"] == 2
    np.testing.assert_array_equal(engine.repaint(picture.record, features / "b.npy").pixels, picture.pixels)


def test_a_feature_file_of_one_window_has_one_clip(engine: Clavilux, features: Path) -> None:
    np.testing.assert_array_equal(
        engine.z_image(engine.read_song(features / "a.npy")),
        engine.z_image(engine.read_song(features / "a.npy", clip=0)),
    )
    with pytest.raises(AudioError, match=r"a\.npy: has no clip 1; it has 0 to 0"):
        engine.read_song(features / "a.npy", clip=1)


def test_only_feature_files_have_clips(engine: Clavilux, tone_file: Path) -> None:
    with pytest.raises(AudioError, match="is not a feature file"):
        engine.read_song(tone_file, clip=0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (np.zeros((20, 215), np.float32), r"has shape \(20, 215\); a feature file has \(20, 216\) or \(n, 20, 216\)"),
        (np.zeros((1, 1, 20, 216), np.float32), r"has shape \(1, 1, 20, 216\)"),
        (np.float32(1), r"has shape \(\)"),
        (np.zeros((0, 20, 216), np.float32), r"has shape \(0, 20, 216\).*with n of 1 or more"),
        (np.zeros((2, 20, 216), np.int16), "of type <i2; a feature file has floats"),
        (np.full((20, 216), np.nan, np.float32), "numbers that are not finite"),
        (b"", "is empty"),
        (b"no array at all", "is not a feature file"),
        (np.array([{"a": 1}], object), r"of type \|O"),
    ],
)
def test_what_is_no_feature_file_is_refused(engine: Clavilux, tmp_path: Path, content: Any, reason: str) -> None:
    path = tmp_path / "a.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(AudioError, match=reason):
        engine.read_song(path)


@pytest.mark.parametrize("kind", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_floats_of_every_width_and_order_are_the_same_windows(
    engine: Clavilux, tmp_path: Path, kind: str, order: Any
) -> None:
    windows = np.random.default_rng(0).integers(-500, 500, (3, 20, 216)) / 4
    np.save(tmp_path / "a.npy", np.asarray(windows, kind, order=order))
    np.testing.assert_array_equal(engine.read_song(tmp_path / "a.npy").windows, windows.astype(np.float32))
    np.save(tmp_path / "b.npy", np.asarray(windows[1], kind, order=order))
    np.testing.assert_array_equal(engine.read_song(tmp_path / "b.npy").windows, windows[1:2].astype(np.float32))


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e6, 1e300])
def test_windows_that_no_sound_has_are_refused(engine: Clavilux, tmp_path: Path, value: float) -> None:
    windows = np.zeros((3, 20, 216))
    windows[1, 3, 7] = value
    np.save(tmp_path / "a.npy", windows)
    with pytest.raises(AudioError, match="not finite or beyond 100000"):
        engine.read_song(tmp_path / "a.npy")


def test_clips_are_picked_by_the_generator_each_once(features: Path) -> None:
    def pick(seed: int, count: int = 8) -> list[tuple[Path, int]]:
        return pick_clips(features, count, np.random.default_rng(seed), skip=pytest.fail)

    everything = {("a.npy", 0), *(("b.npy", k) for k in range(4)), *(("c.npy", k) for k in range(3))}
    assert {(path.name, clip) for path, clip in pick(0)} == everything
    assert pick(0, 5) == pick(0, 5)
    assert pick(0) != pick(1)


def test_every_clip_has_the_same_chance(features: Path) -> None:
    rng = np.random.default_rng(0)
    picked = [pick_clips(features, 1, rng, skip=pytest.fail)[0] for _ in range(800)]
    counts = [picked.count(clip) for clip in set(picked)]
    assert len(counts) == 8
    assert min(counts) > 60 and max(counts) < 145  # 100 each, deviation 9.4


def test_too_few_clips_is_said(features: Path) -> None:
    with pytest.raises(AudioError, match=r"has 8 clips in 3 feature files .*; 9 were asked for"):
        pick_clips(features, 9, np.random.default_rng(0), skip=pytest.fail)


def test_broken_feature_files_are_named_and_passed_over(features: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.npy").write_bytes(b"x")
    np.save(tmp_path / "good.npy", np.zeros((20, 216), np.float32))
    skipped: list[str] = []
    assert pick_clips(tmp_path, 1, np.random.default_rng(0), skip=skipped.append) == [(tmp_path / "good.npy", 0)]
    assert len(skipped) == 1 and "bad.npy: is not a feature file" in skipped[0]


@pytest.mark.parametrize("option", ["noise_std", "logvar_scale"])
def test_noise_is_asked_for_recorded_and_the_same_each_time(
    fake_bundle: Path, make_song: MakeSong, option: str
) -> None:
    engine = Clavilux(fake_bundle)
    plain, song = engine.z_image(make_song()), make_song()
    noisy = [engine.z_image(song, **{option: value}) for value in (0.5, 0.5, 1.0)]
    np.testing.assert_array_equal(noisy[0], noisy[1])
    steps = [float(np.linalg.norm(z - plain)) for z in noisy]
    assert 0 < steps[0] < steps[2]
    other = engine.z_image(song, seed=1, **{option: 0.5})
    assert not np.array_equal(other, noisy[0])
    picture = engine.paint(song, size=64, **{option: 0.5})
    assert picture.record["options"][option] == 0.5
    np.testing.assert_array_equal(picture.z_image, noisy[0])


def test_noise_of_the_latent_has_the_deviation_that_was_asked_for(fake_bundle: Path, make_song: MakeSong) -> None:
    engine = Clavilux(fake_bundle)
    moves = [engine.z_image(make_song(), seed=s, noise_std=0.3) - engine.z_image(make_song()) for s in range(40)]
    assert np.std(moves) == pytest.approx(0.3, rel=0.1)


def test_a_bundle_may_paint_with_noise_of_its_own(tmp_path: Path, make_song: MakeSong) -> None:
    noisy = write_fake_bundle(tmp_path / "noisy", painting={"noise_std": 0.1, "logvar_scale": 2.0})
    engine, song = Clavilux(noisy), make_song()
    assert engine.paint(song, size=64).record["options"]["logvar_scale"] == 2.0
    own = engine.z_image(song, noise_std=0, logvar_scale=0)
    assert not np.array_equal(engine.z_image(song), own)
    repainted = engine.engine.map_song(engine.engine.encode_song(song))
    np.testing.assert_array_equal(own, repainted)


@pytest.mark.parametrize("option", ["noise_std", "logvar_scale"])
def test_noise_below_zero_is_refused(fake_bundle: Path, make_song: MakeSong, option: str) -> None:
    with pytest.raises(PictureError, match=f"{option} is -1"):
        Clavilux(fake_bundle).paint(make_song(), size=64, **{option: -1.0})


def test_a_latent_of_any_origin_is_painted(fake_bundle: Path, make_song: MakeSong) -> None:
    engine, song = Clavilux(fake_bundle), make_song()
    picture = engine.paint(song, size=(96, 64), seed=3)
    np.testing.assert_array_equal(engine.paint_latent(picture.z_image, size=(96, 64), seed=3), picture.pixels)
