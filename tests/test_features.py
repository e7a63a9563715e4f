"""Features equal librosa's, whatever the cut into blocks, and have the right answers on sounds that are known."""

from __future__ import annotations

import numpy as np
import pytest
import sounds
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clavilux.audio.features import (
    LONG_HOP_SAMPLES,
    ONSET_FMAX_HZ,
    ONSET_RANGE_DB,
    PEAKS,
    Features,
    measure_features,
)
from clavilux.audio.filters import k_weighting
from clavilux.audio.mfcc import LIBROSA, FeatureSettings, mfcc
from clavilux.constants import FFT_SAMPLES, HOP_SAMPLES, MFCC_ROWS, SAMPLE_RATE, WINDOW_FRAMES, WINDOW_SAMPLES

Float32 = NDArray[np.float32]

SOUNDS = {
    "song": sounds.song(17.3),
    "sine": sounds.sine_a4(6.0),
    "noise": sounds.noise(11.0),
    "clicks": sounds.clicks(90, 13.0),
    "quiet song": 1e-3 * sounds.song(12.0),
    "short": sounds.song(1.7),
    "silence": sounds.silence(6.0),
}


@pytest.fixture(scope="module", params=SOUNDS)
def heard(request: pytest.FixtureRequest) -> tuple[Float32, Features]:
    sound = np.asarray(SOUNDS[request.param], np.float32)
    return sound, measure_features([sound])


def windows_of(sound: Float32) -> list[Float32]:
    """The windows as the contract words them, cut the plain way."""
    if sound.size < WINDOW_SAMPLES:
        return [np.pad(sound, (0, WINDOW_SAMPLES - sound.size))]
    n_whole, rest = divmod(sound.size, WINDOW_SAMPLES)
    windows = [sound[i * WINDOW_SAMPLES : (i + 1) * WINDOW_SAMPLES] for i in range(n_whole)]
    return [*windows, sound[-WINDOW_SAMPLES:]] if rest >= SAMPLE_RATE else windows


SETTINGS = {
    "librosa": LIBROSA,
    "band limit": FeatureSettings(fmax_hz=7_000.0),
    "small range": FeatureSettings(range_db=40.0),
    "default recipe": FeatureSettings(7_000.0, 40.0, "relative"),
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_mfcc_equal_librosa_with_the_same_arguments(heard: tuple[Float32, Features], settings: FeatureSettings) -> None:
    librosa = pytest.importorskip("librosa")
    relative = settings.level == "relative"
    expected = []
    for window in windows_of(heard[0]):
        power = librosa.feature.melspectrogram(y=window, sr=SAMPLE_RATE, fmax=settings.fmax_hz)
        # A window of zeros has no maximum to relate to: its level is 0 dB.
        reference, floor = (np.max, 1e-30) if relative else (1.0, 1e-10)
        bands_db = librosa.power_to_db(power, ref=reference, amin=floor, top_db=settings.range_db)
        expected.append(librosa.feature.mfcc(S=bands_db, n_mfcc=MFCC_ROWS))
    measured = measure_features([heard[0]], settings).mfcc
    np.testing.assert_allclose(measured, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("gain_db", [-30.0, -6.0, 3.0, 6.0])
@pytest.mark.parametrize("name", ["song", "quiet song"])
def test_with_relative_level_a_gain_changes_nothing(name: str, gain_db: float) -> None:
    settings = FeatureSettings(7_000.0, 40.0, "relative")
    sound = np.asarray(SOUNDS[name], np.float32)
    before, after = (measure_features([part], settings) for part in (sound, sound * np.float32(10 ** (gain_db / 20))))
    np.testing.assert_allclose(after.mfcc, before.mfcc, atol=0.01)
    np.testing.assert_allclose(after.onset, before.onset, atol=1e-3)


def test_the_mark_of_a_feature_file_states_its_settings() -> None:
    for each in SETTINGS.values():
        assert FeatureSettings.of_mark(b"the array" + each.mark()) == each
    assert LIBROSA.mark() == b""
    relative = SETTINGS["default recipe"].mark()
    for end in (relative[:-1], relative + b"x", relative.replace(b"7000", b"70"), relative.replace(b"rel", b"Rel")):
        assert FeatureSettings.of_mark(end) == LIBROSA


def test_mfcc_equal_librosa(heard: tuple[Float32, Features]) -> None:
    librosa = pytest.importorskip("librosa")
    sound, features = heard
    expected = [librosa.feature.mfcc(y=window, sr=SAMPLE_RATE, n_mfcc=MFCC_ROWS) for window in windows_of(sound)]
    assert features.mfcc.shape == (len(expected), MFCC_ROWS, WINDOW_FRAMES)
    assert features.mfcc.dtype == np.float32
    np.testing.assert_allclose(features.mfcc, expected, atol=1e-3, rtol=0)


def test_onset_strength_equals_librosa(heard: tuple[Float32, Features]) -> None:
    librosa = pytest.importorskip("librosa")
    sound, features = heard
    power = librosa.feature.melspectrogram(y=sound, sr=SAMPLE_RATE, fmax=ONSET_FMAX_HZ)
    bands_db = librosa.power_to_db(power, amin=1e-30, top_db=ONSET_RANGE_DB)
    expected = librosa.onset.onset_strength(S=bands_db, sr=SAMPLE_RATE)
    np.testing.assert_allclose(features.onset, expected, atol=1e-3, rtol=0)


def test_centroid_and_bandwidth_equal_librosa() -> None:
    librosa = pytest.importorskip("librosa")
    sound = SOUNDS["song"][: 8 * SAMPLE_RATE]  # before the pause, where librosa divides nothing by nothing
    features = measure_features([sound])
    centroid = librosa.feature.spectral_centroid(y=sound, sr=SAMPLE_RATE)[0]
    bandwidth = librosa.feature.spectral_bandwidth(y=sound, sr=SAMPLE_RATE)[0]
    np.testing.assert_allclose(features.centroid_hz, centroid, rtol=1e-3)
    np.testing.assert_allclose(features.bandwidth_hz, bandwidth, rtol=2e-3)


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, 7 * SAMPLE_RATE), max_size=8))
def test_the_cut_into_blocks_does_not_matter(cuts: list[int]) -> None:
    sound = SOUNDS["song"][: 7 * SAMPLE_RATE]
    whole = measure_features([sound])
    cut = measure_features(np.split(sound, sorted(cuts)))
    for name, value in vars(whole).items():
        np.testing.assert_array_equal(getattr(cut, name), value, err_msg=name)


@pytest.mark.parametrize(
    ("seconds", "n_windows"),
    [(0.01, 1), (4.99, 1), (5.0, 1), (5.99, 1), (6.01, 2), (9.99, 2), (10.0, 2), (10.5, 2), (11.5, 3)],
)
def test_the_whole_song_is_cut_into_windows(seconds: float, n_windows: int) -> None:
    features = measure_features([sounds.noise(seconds)])
    assert features.mfcc.shape == (n_windows, MFCC_ROWS, WINDOW_FRAMES)
    assert features.window_db.shape == (n_windows,)
    assert features.duration_s == pytest.approx(seconds, abs=1e-4)


def test_the_last_window_ends_on_the_last_sample() -> None:
    sound = sounds.song(12.0)
    features = measure_features([sound])
    np.testing.assert_array_equal(features.mfcc[-1], mfcc(sound[-WINDOW_SAMPLES:]))


def test_frames_and_long_frames_cover_the_song(heard: tuple[Float32, Features]) -> None:
    sound, features = heard
    n_frames, n_long = 1 + sound.size // HOP_SAMPLES, 1 + sound.size // LONG_HOP_SAMPLES
    for name in ("onset", "power", "k_power", "centroid_hz", "bandwidth_hz", "flatness_db", "flux"):
        assert getattr(features, name).shape == (n_frames,), name
    assert features.peak_hz.shape == features.peak_amplitude.shape == (n_long, PEAKS)


def test_all_is_finite_float32(heard: tuple[Float32, Features]) -> None:
    for name, value in vars(heard[1]).items():
        if isinstance(value, np.ndarray):
            assert value.dtype == np.float32, name
            assert np.isfinite(value).all(), name


def test_a_sine_has_its_level_frequency_and_amplitude() -> None:
    features = measure_features([sounds.sine(441.3, 6.0, peak=0.25)])
    middle, long_middle = slice(20, -20), slice(3, -3)
    np.testing.assert_allclose(features.power[middle], 0.25**2 / 2, rtol=1e-3)
    np.testing.assert_allclose(features.window_db, 20 * np.log10(0.25 / np.sqrt(2)), atol=0.01)
    strongest = features.peak_amplitude[long_middle].argmax(axis=1)
    rows = np.arange(len(strongest))
    np.testing.assert_allclose(features.peak_hz[long_middle][rows, strongest], 441.3, atol=0.1)
    np.testing.assert_allclose(features.peak_amplitude[long_middle][rows, strongest], 0.25, rtol=0.01)
    np.testing.assert_allclose(features.centroid_hz[middle], 441.3, atol=5)
    assert np.abs(features.flux[middle]).max() < 1e-2


def test_two_tones_a_semitone_apart_in_the_bass_are_two_peaks() -> None:
    features = measure_features([sounds.sine(110.0, 3.0) + sounds.sine(116.54, 3.0)])
    hz, amplitude = features.peak_hz[8], features.peak_amplitude[8]
    strongest = np.sort(hz[np.argsort(amplitude)[-2:]])
    np.testing.assert_allclose(strongest, [110.0, 116.54], atol=0.5)


def test_white_noise_is_flat_and_a_tone_is_not() -> None:
    # The mean of the logarithm of an exponential variable is -0.577: -2.51 dB.
    assert measure_features([sounds.noise(5.0)]).flatness_db[10:-10].mean() == pytest.approx(-2.51, abs=0.1)
    assert measure_features([sounds.sine_a4(5.0)]).flatness_db[10:-10].mean() < -50


def test_a_click_is_one_onset() -> None:
    sound = sounds.silence(4.0)
    sound[2 * SAMPLE_RATE] = 1.0
    onset = measure_features([sound]).onset
    frame = 2 * SAMPLE_RATE / HOP_SAMPLES
    # librosa's delay of half a frame lays the onset on the frame whose middle the click is near.
    assert abs(int(onset.argmax()) - frame) <= FFT_SAMPLES / 2 / HOP_SAMPLES
    assert np.ptp(np.flatnonzero(onset > 1)) <= 4


@pytest.mark.parametrize(("hz", "gain_db"), [(38.135, -6.02), (997, 0.691), (10_000, 4.0)])
def test_k_weighting_has_the_published_response(hz: float, gain_db: float) -> None:
    # The high-pass has its corner at 38.135 Hz with Q 0.5003; the constant -0.691 of BS.1770 makes a sine of 997 Hz
    # read its level; the shelf of the head adds 4 dB.
    assert 10 * np.log10(k_weighting(np.array([hz]))[0]) == pytest.approx(gain_db, abs=0.05)


def test_k_weighting_falls_by_12_db_an_octave_in_the_deep() -> None:
    low, high = k_weighting(np.array([2.0, 4.0]))
    assert 10 * np.log10(high / low) == pytest.approx(12.0, abs=0.1)
    assert k_weighting(np.array([0.0]))[0] == pytest.approx(0, abs=1e-12)
