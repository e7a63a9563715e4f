"""The synthesizer, the controlled pairs and the six example pieces."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path
from types import ModuleType

import av
import librosa
import numpy as np
import pytest

from clavilux.constants import SAMPLE_RATE
from clavilux.evaluation import controlled_pairs, instruments, synth
from clavilux.evaluation.synth import Note, melody, pattern, pitch_number, render

EXAMPLES = Path(__file__).parent.parent / "examples"
RATE = 22_050
PITCHED = ("piano", "pluck", "strings", "pad", "supersaw", "bass", "pulse", "triangle", "bell")
UNPITCHED = ("siren", "kick", "snare", "clap", "hat", "ride", "metal")


def click(frequency_hz, duration_s, velocity, rate, rng):
    """One sample: shows where a note starts."""
    return np.ones(1)


def tone(name: str, pitch: float, *, velocity: float = 0.8, seed: int = 0) -> np.ndarray:
    note = Note(0, 1.5, pitch, velocity)
    return render([note], getattr(instruments, name), tempo_bpm=60, rate=RATE, seed=seed)


def sine(frequency_hz: float, seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    wave = np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * rate)) / rate)
    return np.stack([wave, wave]).astype(np.float32)


def level_db(signal: np.ndarray) -> float:
    return float(10 * np.log10((signal**2).mean()))


# Notes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "number"), [("A4", 69), ("C4", 60), ("F#3", 54), ("Bb2", 46), ("C0", 12), ("B8", 119)]
)
def test_pitch_number(name, number):
    assert pitch_number(name) == number


@pytest.mark.parametrize("name", ["H4", "A", "", "a4", "Cx4", "C#"])
def test_pitch_number_raises_for_other_text(name):
    with pytest.raises(ValueError, match="is not a pitch; write a letter from A to G"):
        pitch_number(name)


def test_melody_reads_pitches_rests_chords_and_bars():
    notes = melody("A4:1 -:.5 | C4+E4:2 G4:.5", start=4, velocity=0.5)
    assert [(n.start, n.length, n.pitch, n.velocity) for n in notes] == [
        (4, 1, 69, 0.5),
        (5.5, 2, 60, 0.5),
        (5.5, 2, 64, 0.5),
        (7.5, 0.5, 67, 0.5),
    ]


def test_pattern_reads_strokes():
    assert [(n.start, n.velocity) for n in pattern("X-xo x", step=0.5)] == [(0, 1.0), (1, 0.7), (1.5, 0.4), (2, 0.7)]


def test_shift_moves_time_and_pitch():
    assert synth.shift([Note(1, 2, 60)], beats=4, semitones=-12) == [Note(5, 2, 48)]


def test_loosen_scatters_by_the_given_deviation_and_never_before_the_start():
    loose = synth.loosen([Note(i, 1, 60, 0.5) for i in range(2000)], beats=0.02, velocity=0.05, seed=1)
    assert np.std([n.start - i for i, n in enumerate(loose)]) == pytest.approx(0.02, rel=0.1)
    assert np.std([n.velocity for n in loose]) == pytest.approx(0.05, rel=0.1)
    assert min(n.start for n in loose) >= 0


# Rendering ---------------------------------------------------------------------------------------------------------


def test_notes_start_at_their_beat():
    track = render([Note(0, 1, 60), Note(1, 1, 60), Note(3, 1, 60)], click, tempo_bpm=120, rate=RATE)
    assert np.flatnonzero(track[0]).tolist() == [0, RATE // 2, 3 * RATE // 2]


def test_swing_moves_only_the_off_beat():
    notes = [Note(i / 2, 0.5, 60) for i in range(4)]
    track = render(notes, click, tempo_bpm=60, rate=30_000, swing=2 / 3)
    assert np.flatnonzero(track[0]).tolist() == [0, 20_000, 30_000, 50_000]


def test_pan_keeps_the_power():
    power = []
    for pan in (-1.0, -0.3, 0.0, 0.7, 1.0):
        track = render([Note(0, 1, 60, 1.0)], click, tempo_bpm=60, pan=pan)
        power.append((track**2).sum())
    assert power == pytest.approx([1.0] * 5)
    left = render([Note(0, 1, 60)], click, tempo_bpm=60, pan=-1.0)
    assert np.abs(left[1]).max() < 1e-6 < np.abs(left[0]).max()


def test_spread_puts_low_notes_left_and_high_notes_right():
    low, high = (render([Note(0, 1, pitch)], click, tempo_bpm=60, spread=0.5) for pitch in (48, 72))
    assert low[0].max() > 2 * low[1].max()
    assert high[1].max() > 2 * high[0].max()


def test_rendering_no_notes_gives_no_samples():
    assert render([], instruments.piano, tempo_bpm=60).shape == (2, 0)


@pytest.mark.parametrize("name", PITCHED)
@pytest.mark.parametrize("pitch", [57, 69, 81])
def test_pitched_instruments_are_in_tune(name, pitch):
    wave = tone(name, pitch)[0]
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 1 << 18))
    hz = np.fft.rfftfreq(1 << 18, 1 / RATE)
    expected_hz = 440 * 2 ** ((pitch - 69) / 12)
    near = (hz > 0.95 * expected_hz) & (hz < 1.05 * expected_hz)
    cents = 1200 * np.log2(hz[near][spectrum[near].argmax()] / expected_hz)
    assert abs(cents) < 17, "the outermost string of a detuned section is 16 cents off"


@pytest.mark.parametrize("name", PITCHED + UNPITCHED)
def test_instruments_start_and_end_silent_and_repeat_themselves(name):
    wave = tone(name, 60)[0]
    assert np.isfinite(wave).all()
    assert 0.05 < np.abs(wave).max() < 1.5
    assert abs(wave[-1]) < 1e-3
    assert np.array_equal(wave, tone(name, 60)[0])


@pytest.mark.parametrize("name", ["piano", "pluck", "strings", "supersaw"])
def test_a_harder_touch_is_louder_and_brighter(name):
    soft, hard = tone(name, 60, velocity=0.3)[0], tone(name, 60, velocity=1.0)[0]
    assert level_db(hard) > level_db(soft) + 6
    assert librosa.feature.spectral_centroid(y=hard).mean() > librosa.feature.spectral_centroid(y=soft).mean()


# Effects -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lowpass", "highpass"])
def test_filters_halve_the_power_at_the_cutoff(name):
    filtered = getattr(instruments, name)
    middle = slice(RATE // 4, -RATE // 4)  # away from the ends
    wave = sine(1000)
    assert level_db(filtered(wave, 1000, RATE)[:, middle]) - level_db(wave[:, middle]) == pytest.approx(-3.0, abs=0.1)


def test_filters_fall_by_12_db_an_octave():
    middle = slice(RATE // 4, -RATE // 4)
    low = level_db(instruments.highpass(sine(100), 800, RATE)[:, middle]) - level_db(sine(100))
    high = level_db(instruments.lowpass(sine(8000), 1000, RATE)[:, middle]) - level_db(sine(8000))
    assert (low, high) == pytest.approx((-36, -36), abs=0.3)


def test_reverb_falls_by_60_db_in_its_decay_time():
    impulse = np.zeros((2, 100), np.float32)
    impulse[:, 0] = 1
    tail = synth.reverb(impulse, decay_s=1.0, wet=1.0, rate=RATE)
    early, late = (level_db(tail[:, int(at * RATE) : int((at + 0.1) * RATE)]) for at in (0.2, 0.7))
    assert late - early == pytest.approx(-30, abs=4)  # half the time, half the decibels; the treble dies faster


def test_echo_changes_sides_and_fades():
    impulse = np.zeros((2, 10), np.float32)
    impulse[0, 0] = 1
    signal = synth.echo(impulse, delay_s=0.1, feedback=0.5, wet=0.4, rate=1000)
    assert [float(signal[i % 2, 100 * i]) for i in range(4)] == pytest.approx([1, 0.4, 0.2, 0.1])
    assert [float(signal[1 - i % 2, 100 * i]) for i in range(4)] == [0, 0, 0, 0]


def test_duck_is_lowest_on_the_beat():
    steady = np.ones((2, 2000), np.float32)
    ducked = synth.duck(steady, tempo_bpm=60, depth=0.7, rate=1000)
    assert ducked[0, [0, 1000]] == pytest.approx([0.3, 0.3])
    assert ducked[0, [700, 1700]] == pytest.approx([1, 1])


def test_drive_stays_within_full_scale():
    assert np.abs(synth.drive(5 * sine(100), 10.0)).max() <= 1.0


def test_fit_gives_the_duration_and_ends_silent():
    for seconds in (0.5, 1.0, 3.0):
        fitted = synth.fit(sine(100), seconds, fade_s=0.1, rate=RATE)
        assert fitted.shape == (2, round(seconds * RATE))
        assert np.abs(fitted[:, -1]).max() < 1e-4


def test_loudness_of_the_standard_s_own_tone():
    """BS.1770: a sine of 997 Hz at full scale in one channel reads -3.01 LUFS."""
    one_channel = sine(997, 2.0, 48_000)[:1]
    assert synth.loudness_db(one_channel, 48_000) == pytest.approx(-3.01, abs=0.02)
    assert synth.loudness_db(sine(997, 2.0)[:1], RATE) == pytest.approx(-3.01, abs=0.02)
    assert synth.loudness_db(0.1 * one_channel, 48_000) == pytest.approx(-23.01, abs=0.02)


# Controlled pairs --------------------------------------------------------------------------------------------------

AXES = ("tempo", "mode", "register", "harshness", "loudness", "density")


TUNE = controlled_pairs.Tune(
    "E5:1 G5:.5 E5:.5 C5:1 E5:1 | A5:.5 G5:.5 F5:1 D5:1 F5:1 | E5:.5 D5:.5 C5:1 A4:1 C5:1 | B4:.5 C5:.5 D5:1 G4:2",
    ("C3 G3 C4 E4", "F3 A3 C4 F4", "A3 C4 E4 A4", "G3 B3 D4 G4"),
)


@pytest.fixture(scope="module")
def pairs() -> dict[str, list[controlled_pairs.ControlledPair]]:
    """The pairs of each instrument."""
    return {voice: controlled_pairs.play_pairs(TUNE, voice) for voice in controlled_pairs.VOICES}


def along(pairs, axis: str) -> dict[str, controlled_pairs.ControlledPair]:
    return {f"{axis}-{voice}": pair for voice, each in pairs.items() for pair in each if pair.axis == axis}


def onsets(signal: np.ndarray) -> int:
    return len(librosa.onset.onset_detect(y=signal, sr=SAMPLE_RATE))


def test_every_axis_is_played_on_every_instrument(pairs):
    assert [[pair.axis for pair in each] for each in pairs.values()] == [[*AXES, "together"]] * 4


def test_pairs_have_their_length_and_do_not_clip(pairs):
    for pair in itertools.chain(*pairs.values()):
        for signal in (pair.low, pair.high):
            assert signal.shape == (round(controlled_pairs.PAIR_S * SAMPLE_RATE),)
            assert signal.dtype == np.float32
            assert 0.01 < np.abs(signal).max() < 1.0, pair.axis


def test_only_loudness_and_all_properties_together_change_the_loudness(pairs):
    for pair in itertools.chain(*pairs.values()):
        gap = synth.loudness_db(pair.high, SAMPLE_RATE) - synth.loudness_db(pair.low, SAMPLE_RATE)
        assert gap == pytest.approx(18.0 if pair.axis in ("loudness", "together") else 0.0, abs=0.01), pair.axis


def test_quiet_and_loud_are_the_same_samples_but_for_the_gain(pairs):
    for name, pair in along(pairs, "loudness").items():
        np.testing.assert_allclose(pair.low * 10 ** (18 / 20), pair.high, atol=1e-5, err_msg=name)


def test_fast_has_more_onsets_than_slow(pairs):
    for name, pair in along(pairs, "tempo").items():
        assert onsets(pair.high) > 1.4 * onsets(pair.low), name


def test_dense_has_more_onsets_than_sparse(pairs):
    for name, pair in along(pairs, "density").items():
        assert onsets(pair.high) > 2.5 * onsets(pair.low), name


def test_high_sounds_higher_than_low(pairs):
    for name, pair in along(pairs, "register").items():
        low, high = (librosa.feature.spectral_centroid(y=signal).mean() for signal in (pair.low, pair.high))
        assert high > 1.25 * low, name


def test_harsh_is_noisier_than_soft(pairs):
    for name, pair in along(pairs, "harshness").items():
        soft, harsh = (librosa.feature.spectral_flatness(y=signal).mean() for signal in (pair.low, pair.high))
        assert harsh > 100 * soft, name


def test_minor_has_e_flat_where_major_has_e(pairs):
    for name, pair in along(pairs, "mode").items():
        minor, major = (
            librosa.feature.chroma_stft(y=signal, sr=SAMPLE_RATE, tuning=0.0).mean(axis=1)[[3, 4]]
            for signal in (pair.low, pair.high)
        )
        assert minor[0] > 2 * minor[1], name
        assert major[1] > 2 * major[0], name


# The six pieces ----------------------------------------------------------------------------------------------------

FILES = {
    "nocturne.flac": "flac",
    "carnival.mp3": "mp3float",
    "foundry.ogg": "vorbis",
    "drift.opus": "opus",
    "parade.wav": "pcm_u8",
    "corner.m4a": "aac",
}


@pytest.fixture(scope="module")
def compose() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compose", EXAMPLES / "compose.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["compose"] = module  # where its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


def decode(path: Path) -> tuple[np.ndarray, int, str]:
    """(2, samples) sound, its rate and the name of its decoder."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp", layout=stream.layout.name, rate=stream.rate)
        frames = [part.to_ndarray() for frame in container.decode(stream) for part in resampler.resample(frame)]
        sound = np.concatenate(frames, axis=1)
        return np.broadcast_to(sound, (2, sound.shape[1])), stream.rate, stream.codec_context.name


def test_the_folder_holds_the_six_pieces_and_is_small(compose):
    files = [path for path in EXAMPLES.iterdir() if path.is_file() and path.suffix not in (".py", ".md", ".ipynb")]
    assert {path.name for path in files} == set(FILES)
    assert {path.stem for path in files} == set(compose.PIECES)
    assert max(path.stat().st_size for path in files) < 900e3
    assert sum(path.stat().st_size for path in files) < 3e6


@pytest.mark.parametrize("file", FILES)
def test_a_piece_lasts_20_to_40_seconds_and_does_not_clip(file):
    sound, rate, decoder = decode(EXAMPLES / file)
    assert decoder == FILES[file]
    assert 20 <= sound.shape[1] / rate <= 40
    assert 0.1 < np.abs(sound).max() < 1.0
    assert np.abs(sound.mean(axis=1)).max() < 0.01, "no constant offset"


@pytest.mark.parametrize("file", FILES)
def test_a_file_holds_what_the_script_composes(compose, file):
    piece = compose.PIECES[Path(file).stem]()
    sound, rate, _ = decode(EXAMPLES / file)
    assert (piece.file, piece.rate) == (file, rate)
    length = min(sound.shape[1], piece.sound.shape[1])
    assert abs(sound.shape[1] - piece.sound.shape[1]) < 0.05 * rate
    kept = np.corrcoef(sound[:, :length].mean(axis=0), piece.sound[:, :length].mean(axis=0))[0, 1]
    assert kept > 0.9, "encoders lose detail, most of all in noise, but neither the music nor its place in time"


def test_the_moods_contrast():
    measured = {}
    for file in FILES:
        sound, rate, _ = decode(EXAMPLES / file)
        mono = librosa.resample(sound.mean(axis=0), orig_sr=rate, target_sr=SAMPLE_RATE)
        flatness = librosa.feature.spectral_flatness(y=mono).mean()
        measured[Path(file).stem] = level_db(mono), flatness, onsets(mono) / (len(mono) / SAMPLE_RATE)
    loudness, flatness, onset_rate = ({name: values[i] for name, values in measured.items()} for i in range(3))
    assert min(loudness, key=loudness.get) == "drift"
    assert max(loudness, key=loudness.get) == "foundry"
    assert max(flatness, key=flatness.get) == "foundry"
    assert onset_rate["nocturne"] < 0.6 * onset_rate["carnival"]


def test_an_unknown_piece_is_named(compose, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["compose.py", "fugue"])
    with pytest.raises(SystemExit, match=r"no such piece: fugue; there are nocturne, carnival"):
        compose.main()


def test_encoding_leaves_no_unfinished_file(compose, tmp_path):
    piece = compose.Piece(sine(440, 0.5), RATE, "a.flac", "flac", {})
    compose.encode(piece, tmp_path / "a.flac")
    assert [path.name for path in tmp_path.iterdir()] == ["a.flac"]
    sound, rate, _ = decode(tmp_path / "a.flac")
    assert rate == RATE
    np.testing.assert_allclose(sound, sine(440, 0.5), atol=1e-4)
