"""Descriptors have the right answers on sounds whose answers are known, and stay finite, in range and free of level."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import sounds
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clavilux.audio.decode import read_blocks
from clavilux.audio.descriptors import DESCRIPTORS, describe
from clavilux.audio.descriptors.harmony import MAJOR_PROFILE, MINOR_PROFILE, measure_key, measure_roughness
from clavilux.audio.descriptors.mood import MOOD, estimate_mood
from clavilux.audio.features import measure_features
from clavilux.constants import SAMPLE_RATE

Float32 = NDArray[np.float32]


def heard(sound: Float32) -> dict[str, float]:
    return describe(measure_features([np.asarray(sound, np.float32)]))


# Time --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bpm", [60, 75, 90, 110, 128, 140, 165])
def test_clicks_have_their_tempo(bpm: int) -> None:
    values = heard(sounds.clicks(bpm, 25.0))
    assert values["tempo"] == pytest.approx(bpm, abs=2)
    assert values["pulse_clarity"] > 0.6
    assert values["onset_rate"] == pytest.approx(bpm / 60, rel=0.1)


def test_the_pace_does_not_jump_where_the_tempo_does() -> None:
    beats = sounds.clicks(80, 25.0)
    between = np.pad(beats, (round(30 / 80 * SAMPLE_RATE), 0))[: beats.size]
    values = [heard(beats + strength * between) for strength in (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)]
    tempo, pace = (np.array([value[name] for value in values]) for name in ("tempo", "pace"))
    assert (tempo[1:] / tempo[:-1]).max() > 1.9
    assert (pace[1:] > pace[:-1]).all()
    assert (pace[1:] / pace[:-1]).max() < 1.2


def test_the_pace_follows_the_tempo_and_is_usual_without_a_pulse() -> None:
    slow, fast = (heard(sounds.clicks(bpm, 25.0))["pace"] for bpm in (75, 140))
    assert slow < 90 < 120 < fast
    assert heard(sounds.noise(20.0))["pace"] == pytest.approx(120, abs=10)


def test_noise_has_no_pulse() -> None:
    assert heard(sounds.noise(20.0))["pulse_clarity"] < 0.1


def test_irregular_clicks_have_less_of_a_pulse() -> None:
    rng = np.random.default_rng(3)
    sound = sounds.silence(25.0)
    for first in np.cumsum(rng.uniform(0.2, 0.8, 48)):
        place = round(first * SAMPLE_RATE)
        sound[place : place + 2_000] += sounds.clicks(60, 0.2, seed=1)[:2_000]
    assert heard(sound)["pulse_clarity"] < 0.5 * heard(sounds.clicks(120, 25.0))["pulse_clarity"]


def test_a_held_tone_has_no_attacks_after_its_first() -> None:
    assert heard(sounds.sine_a4(10.0))["onset_rate"] <= 0.2


# Harmony -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transposed", [0, 1, 5, 7])
@pytest.mark.parametrize(("mode", "tonic", "sign"), [("major", 0, 1), ("minor", 9, -1)])
def test_cadences_have_their_key_and_mode(mode: str, tonic: int, sign: int, transposed: int) -> None:
    values = heard(sounds.cadence(mode, transposed=transposed))
    assert values["key"] == (tonic + transposed) % 12
    assert sign * values["mode_strength"] > 0.05


@pytest.mark.parametrize("cents", [-40, -20, 30])
def test_the_key_does_not_depend_on_the_tuning(cents: int) -> None:
    in_tune = sounds.cadence("major")
    place = np.arange(0, in_tune.size - 1, 2 ** (cents / 1200))
    values = heard(np.interp(place, np.arange(in_tune.size), in_tune))
    assert values["key"] == 0 and values["mode_strength"] > 0.05


def test_every_key_profile_recognises_itself() -> None:
    for tonic in range(12):
        key, mode = measure_key(np.roll(MAJOR_PROFILE, tonic)[None])
        assert key == tonic and mode > 0
        key, mode = measure_key(np.roll(MINOR_PROFILE, tonic)[None])
        assert key == tonic and mode < 0


def test_an_octave_is_twelve() -> None:
    low, high = heard(sounds.sine(220.0, 5.0)), heard(sounds.sine(440.0, 5.0))
    assert low["register"] == pytest.approx(57, abs=0.1)
    assert high["register"] == pytest.approx(69, abs=0.1)
    low, high = heard(sounds.cadence("major", transposed=-12)), heard(sounds.cadence("major"))
    assert high["register"] - low["register"] == pytest.approx(12, abs=1)
    assert high["centroid"] > low["centroid"]
    assert high["key"] == low["key"]


def test_chords_that_change_change_more_than_one_that_stays() -> None:
    held = np.tile(sounds.chord((60, 64, 67)), 12)
    assert heard(sounds.cadence("major"))["harmonic_change"] > 2 * heard(held)["harmonic_change"]


def test_a_semitone_is_rough_and_a_fifth_is_not() -> None:
    def roughness(ratio: float) -> float:
        hz = np.array([[440.0, 440.0 * ratio]], np.float32)
        return measure_roughness(hz, np.ones_like(hz))

    # Hutchinson & Knopoff: a quarter of the critical band of 1.72 f^0.65 Hz, 23 Hz here, beats most.
    ratios = np.arange(1.0, 1.6, 0.005)
    assert ratios[np.argmax([roughness(ratio) for ratio in ratios])] * 440 - 440 == pytest.approx(23, abs=2)
    assert roughness(23 / 440 + 1) == pytest.approx(math.sqrt(0.5), abs=0.01)  # a b g / (a^2 + b^2)
    assert roughness(2 ** (7 / 12)) == 0
    assert heard(sounds.chord((60, 61), 5.0))["roughness"] > 1.5 * heard(sounds.chord((60, 67), 5.0))["roughness"]


# Spectrum ----------------------------------------------------------------------------------------------------------


def test_noise_against_a_tone() -> None:
    tone, noise = heard(sounds.sine_a4(5.0)), heard(sounds.noise(5.0))
    assert noise["flatness"] == pytest.approx(-2.5, abs=0.3) and tone["flatness"] < -50
    assert noise["flux"] > 10 * tone["flux"]
    assert noise["bandwidth"] == pytest.approx(SAMPLE_RATE / 2 / math.sqrt(12), rel=0.02)  # of a uniform distribution
    assert noise["centroid"] == pytest.approx(SAMPLE_RATE / 4, rel=0.02)
    assert tone["centroid"] == pytest.approx(440, abs=10)


# Level -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("peak", [0.5, 0.05])
def test_a_sine_of_997_hz_reads_its_level(peak: float) -> None:
    level = 20 * math.log10(peak / math.sqrt(2))
    assert heard(sounds.sine(997.0, 10.0, peak=peak))["loudness"] == pytest.approx(level, abs=0.05)


def test_loudness_leaves_pauses_out() -> None:
    tone = sounds.sine(997.0, 10.0)
    with_pause = np.concatenate([tone, sounds.silence(10.0), tone])
    assert heard(with_pause)["loudness"] == pytest.approx(heard(tone)["loudness"], abs=0.1)


def test_loudness_range_is_the_distance_of_loud_and_quiet() -> None:
    tone = sounds.sine(997.0, 20.0)
    assert heard(tone)["loudness_range"] == pytest.approx(0, abs=0.1)
    # EBU Tech 3342, minimum requirements 1: 20 s at -20 LUFS, 20 s at -30: 10 LU.
    assert heard(np.concatenate([tone, 10 ** (-10 / 20) * tone]))["loudness_range"] == pytest.approx(10, abs=0.2)


@pytest.mark.parametrize("gain_db", [-30.0, -15.0])
@pytest.mark.parametrize("name", ["song", "major", "minor", "clicks"])
def test_only_loudness_depends_on_the_level(name: str, gain_db: float) -> None:
    sound = {
        "song": sounds.song(15.0),
        "major": sounds.cadence("major"),
        "minor": sounds.cadence("minor"),
        "clicks": sounds.clicks(100, 15.0),
    }[name]
    loud, quiet = heard(sound), heard(10 ** (gain_db / 20) * sound)
    assert quiet.pop("loudness") - loud.pop("loudness") == pytest.approx(gain_db, abs=0.1)  # the gate at -70 LUFS
    for key, value in loud.items():
        assert quiet[key] == pytest.approx(value, rel=2e-3, abs=2e-3), key


# All ---------------------------------------------------------------------------------------------------------------


def check_in_range(values: dict[str, float]) -> None:
    assert list(values) == list(DESCRIPTORS)
    for name, value in values.items():
        assert type(value) is float and math.isfinite(value), name
        low, high = DESCRIPTORS[name].limits
        assert low <= value <= high, name


@pytest.mark.parametrize(
    "sound",
    [
        sounds.silence(0.001),
        sounds.silence(8.0),
        np.ones(30_000),
        1e-7 * sounds.song(6.0),
        1e-20 * sounds.noise(1.0),
        100 * sounds.song(6.0),
        np.eye(1, 100_000, 50_000)[0],
        sounds.sine(1.0, 6.0),
        sounds.sine(10_990.0, 6.0),
        np.concatenate([sounds.silence(8.0), sounds.song(1.0)]),
    ],
    ids=["1 ms", "silence", "constant", "faint", "fainter", "too loud", "click", "1 Hz", "high", "late"],
)
def test_odd_sounds_stay_finite_and_in_range(sound: NDArray[np.floating]) -> None:
    check_in_range(heard(np.asarray(sound, np.float32)))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    seconds=st.floats(0.001, 4.0),
    gain_db=st.floats(-200, 20),
    shape=st.floats(0.1, 8),
)
def test_any_sound_stays_finite_and_in_range(seed: int, seconds: float, gain_db: float, shape: float) -> None:
    rng = np.random.default_rng(seed)
    sound = rng.standard_normal(max(1, round(seconds * SAMPLE_RATE)))
    sound = np.sign(sound) * np.abs(sound) ** shape * 10 ** (gain_db / 20)  # from square waves to lonely clicks
    check_in_range(heard(np.clip(sound, -1e5, 1e5).astype(np.float32)))


def test_the_table_is_complete() -> None:
    for descriptor in DESCRIPTORS.values():
        assert descriptor.unit and descriptor.about.endswith(".") and descriptor.source
        assert descriptor.limits[0] < descriptor.limits[1]
    assert [name for name, descriptor in DESCRIPTORS.items() if not descriptor.plain] == ["tempo", "loudness", "key"]


def test_mood_uses_nothing_that_depends_on_the_level() -> None:
    assert not set(MOOD) & {"loudness", "key", "arousal", "valence"}


def test_mood_is_a_weighted_sum_of_standardised_descriptors() -> None:
    average = {name: mean for name, (mean, *_) in MOOD.items()}
    assert estimate_mood(average) == {"arousal": 0.0, "valence": 0.0}
    for name, (mean, sd, arousal, valence) in MOOD.items():
        one_up = estimate_mood(average | {name: mean + sd})
        assert one_up["arousal"] == pytest.approx(arousal)
        assert one_up["valence"] == pytest.approx(valence)
        far, farther = (estimate_mood(average | {name: mean + k * sd}) for k in (3, 30))
        assert far == pytest.approx(farther)


def test_mood_has_the_signs_that_listeners_give() -> None:
    def quick_cadence(mode: str) -> Float32:
        return np.repeat(sounds.cadence(mode, times=1).reshape(4, -1)[:, : SAMPLE_RATE // 4], 6, axis=0).ravel()

    excited = quick_cadence("major")
    excited += sounds.clicks(240, 7.0)[: excited.size]
    assert heard(excited)["arousal"] > heard(np.tile(sounds.chord((57, 60, 64), 4.0), 4))["arousal"]
    assert heard(sounds.cadence("major"))["valence"] > heard(sounds.cadence("minor"))["valence"]


def test_the_examples_have_the_moods_that_they_were_written_in() -> None:
    folder = Path(__file__).parents[1] / "examples"
    names = ("nocturne.flac", "drift.opus", "carnival.mp3", "foundry.ogg", "parade.wav", "corner.m4a")
    mood = {name.split(".")[0]: describe(measure_features(read_blocks(folder / name))) for name in names}
    for calm in ("nocturne", "drift"):
        for other in ("carnival", "foundry", "parade", "corner"):
            assert mood[calm]["arousal"] < mood[other]["arousal"], (calm, other)
            assert mood[calm]["valence"] < mood[other]["valence"], (calm, other)
    for merry in ("carnival", "parade", "corner"):
        assert mood["foundry"]["valence"] < mood[merry]["valence"], merry  # harsh
