"""Any file is read as the mean of its channels at 22 050 Hz, in blocks; what is broken gives what can be had."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sounds
from numpy.typing import NDArray

from clavilux.audio.decode import AUDIO_SUFFIXES, BLOCK_SAMPLES, read_blocks
from clavilux.audio.features import measure_features
from clavilux.audio.song import read_song
from clavilux.constants import SAMPLE_RATE
from clavilux.errors import AudioError
from clavilux.system.jobs import run_calls

Float32 = NDArray[np.float32]


def read(path: Path, *, max_s: float = 60.0) -> Float32:
    return np.concatenate(list(read_blocks(path, max_s=max_s)))


def amplitude(sound: Float32, hz: float) -> float:
    """Amplitude of a sine in the middle of a sound."""
    middle = sound[sound.size // 4 : sound.size * 3 // 4].astype(np.float64)
    window = np.hanning(middle.size)
    turn = np.exp(-2j * np.pi * hz / SAMPLE_RATE * np.arange(middle.size))
    return float(2 * np.abs(np.sum(middle * window * turn)) / window.sum())


@pytest.mark.parametrize("suffix", sounds.CODECS)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format_gives_the_same_sound(tmp_path: Path, suffix: str, channels: int) -> None:
    path = sounds.write_sound(tmp_path / f"a4{suffix}", sounds.sine_a4(3.0), channels=channels)
    sound = read(path)
    assert sound.dtype == np.float32
    assert sound.size == pytest.approx(3 * SAMPLE_RATE, abs=1_500)  # encoders add up to a frame
    # Encoders lose up to 3 %. Two equal channels stay at their level; FFmpeg's own mix-down would give 0.707.
    assert amplitude(sound, 440.0) == pytest.approx(0.5, rel=0.04)


def test_sound_passes_unchanged_at_its_own_rate(tmp_path: Path) -> None:
    sound = sounds.noise(4.0)
    path = sounds.write_float_wave(tmp_path / "noise.wav", sound[None], SAMPLE_RATE)
    np.testing.assert_allclose(read(path), sound, atol=1e-7)


def test_the_mix_is_the_mean_of_the_channels(tmp_path: Path) -> None:
    left, right = sounds.noise(1.0, seed=1), sounds.noise(1.0, seed=2)
    path = sounds.write_float_wave(tmp_path / "stereo.wav", np.stack([left, right]), SAMPLE_RATE)
    np.testing.assert_allclose(read(path), (left + right) / 2, atol=1e-6)


@pytest.mark.parametrize("channels", [3, 6, 32])
def test_any_number_of_channels_is_read(tmp_path: Path, channels: int) -> None:
    one = sounds.sine_a4(1.0)
    path = sounds.write_float_wave(tmp_path / "many.wav", np.stack([one] + [0 * one] * (channels - 1)), SAMPLE_RATE)
    np.testing.assert_allclose(read(path), one / channels, atol=1e-6)


@pytest.mark.parametrize(("kind", "atol"), [("u8", 1 / 128), ("s16", 1e-4), ("s32", 1e-6)])
def test_integers_of_every_width_have_the_same_full_scale(tmp_path: Path, kind: str, atol: float) -> None:
    import wave

    sound = sounds.sine_a4(1.0)
    width = {"u8": 1, "s16": 2, "s32": 4}[kind]
    steps = np.round(sound.astype(np.float64) * (2.0 ** (8 * width - 1) - 1)) + (128 if width == 1 else 0)
    path = tmp_path / f"{kind}.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(steps.astype({1: "u1", 2: "<i2", 4: "<i4"}[width]).tobytes())
    np.testing.assert_allclose(read(path), sound, atol=atol)


@pytest.mark.parametrize("rate", [4_000, 8_000, 16_000, 44_100, 48_000, 96_000, 192_000])
def test_every_rate_becomes_22050(tmp_path: Path, rate: int) -> None:
    tone = sounds.sine(1_000.0, 2.0, rate=rate)
    sound = read(sounds.write_float_wave(tmp_path / "tone.wav", tone[None], rate))
    assert sound.size == pytest.approx(2 * SAMPLE_RATE, abs=2)
    assert amplitude(sound, 1_000.0) == pytest.approx(0.5, rel=2e-3)


@pytest.mark.parametrize("hz", [12_500, 14_000, 18_000])
def test_what_lies_above_half_the_rate_does_not_fold_back(tmp_path: Path, hz: int) -> None:
    tone = sounds.sine(hz, 2.0, rate=44_100)
    sound = read(sounds.write_float_wave(tmp_path / "high.wav", tone[None], 44_100))
    assert amplitude(sound, SAMPLE_RATE - hz) < 0.5 * 10 ** (-90 / 20)


def test_blocks_stay_small(tmp_path: Path) -> None:
    path = sounds.write_float_wave(tmp_path / "long.wav", np.tile(sounds.sine_a4(1.0), (1, 60)), SAMPLE_RATE)
    sizes = [block.size for block in read_blocks(path)]
    assert sum(sizes) == 60 * SAMPLE_RATE
    assert max(sizes) <= 2 * BLOCK_SAMPLES


def test_a_stream_can_be_read_twice(tmp_path: Path) -> None:
    stream = read_blocks(sounds.write_sound(tmp_path / "a4.ogg", sounds.sine_a4(1.0)))
    np.testing.assert_array_equal(np.concatenate(list(stream)), np.concatenate(list(stream)))


def test_the_sound_of_a_film_is_read(tmp_path: Path) -> None:
    import av

    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=10)
        picture.width = picture.height = 64
        picture.pix_fmt = "yuv420p"
        voice = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        for i in range(10):
            still = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 25 * i, np.uint8), format="rgb24")
            container.mux(picture.encode(still))
        frame = av.AudioFrame.from_ndarray(sounds.sine_a4(2.0)[None], format="fltp", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux(voice.encode(frame))
        container.mux(voice.encode(None))
        container.mux(picture.encode(None))
    assert amplitude(read(path), 440.0) == pytest.approx(0.5, rel=0.02)


def test_a_cap_counts_decoded_sound(tmp_path: Path) -> None:
    path = sounds.write_sound(tmp_path / "a4.mp3", sounds.sine_a4(5.0))
    stream = read_blocks(path, max_s=2.5)
    assert sum(block.size for block in stream) == round(2.5 * SAMPLE_RATE)
    assert stream.warnings == ["only the first 2.5 s were used"]


def test_a_cap_of_the_very_length_warns_of_nothing(tmp_path: Path) -> None:
    path = sounds.write_float_wave(tmp_path / "a4.wav", sounds.sine_a4(2.0)[None], SAMPLE_RATE)
    stream = read_blocks(path, max_s=2.0)
    assert sum(block.size for block in stream) == 2 * SAMPLE_RATE
    assert stream.warnings == []


@pytest.mark.parametrize("max_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_cap_is_a_positive_number(tmp_path: Path, max_s: float) -> None:
    with pytest.raises(AudioError, match="max_s is"):
        read_blocks(tmp_path / "a.wav", max_s=max_s)


# Many channels -----------------------------------------------------------------------------------------------------

MANY_CHANNELS = [
    *((suffix, codec, form, layout) for suffix, codec, form in [
        (".m4a", "aac", "fltp"), (".mka", "aac", "fltp"), (".flac", "flac", "s16"), (".opus", "libopus", "flt"),
        (".wv", "wavpack", "fltp"), (".wv", "wavpack", "s16p"), (".tta", "tta", "s16"), (".caf", "pcm_f32le", "flt"),
        (".mov", "pcm_s16le", "s16"), (".wav", "pcm_s64le", "s64"), (".wav", "pcm_f64le", "dbl"),
    ] for layout in ["stereo", "7.1"]),
    *((suffix, codec, form, layout) for suffix, codec, form in [
        (".wv", "wavpack", "fltp"), (".wv", "wavpack", "s32p"), (".mka", "pcm_s16le", "s16"),
        (".caf", "pcm_f32le", "flt"),
    ] for layout in ["hexadecagonal", "22.2"]),
]  # fmt: skip


@pytest.mark.parametrize(("suffix", "codec", "form", "layout"), MANY_CHANNELS)
def test_planar_samples_and_odd_layouts_of_any_number_of_channels_are_read(
    tmp_path: Path, suffix: str, codec: str, form: str, layout: str
) -> None:
    """PyAV reads beyond the planes of 8 and more channels, and frees layouts in an order of their own twice."""
    import av

    n = av.AudioLayout(layout).nb_channels
    tone, rest = sounds.sine(440.0, 1.0, rate=48_000), sounds.sine(330.0, 1.0, rate=48_000, peak=0.2)
    path = sounds.write_layout(
        tmp_path / f"a{suffix}", np.stack([tone, *[rest] * (n - 1)]), codec, form, layout, 48_000
    )
    ((low, high),) = run_calls([partial(measure_tones, path)], jobs=2)  # a crash here would take the tests with it
    assert high == pytest.approx(0.5 / n, rel=0.1)
    assert low == pytest.approx(0.2 * (n - 1) / n, rel=0.2)  # AAC cuts the channel of low frequencies


def measure_tones(path: Path) -> tuple[float, float]:
    sound = read(path)
    return amplitude(sound, 330.0), amplitude(sound, 440.0)


def test_floats_and_integers_that_numpy_has_no_name_for_are_refused(tmp_path: Path, monkeypatch: Any) -> None:
    path = sounds.write_sound(tmp_path / "a.wav", sounds.sine_a4(1.0))
    monkeypatch.setattr("clavilux.audio.mix._DTYPES", {})
    with pytest.raises(AudioError, match=r"a\.wav: cannot be decoded \(samples of format s16"):
        read(path)


@pytest.mark.parametrize("max_s", [1e9, 1e308, np.float64(1e300), 10**300])
def test_a_cap_may_be_huge(tmp_path: Path, max_s: float) -> None:
    path = sounds.write_sound(tmp_path / "a4.wav", sounds.sine_a4(1.0))
    assert read(path, max_s=max_s).size == SAMPLE_RATE


# Whole and cut off -------------------------------------------------------------------------------------------------

CONTAINERS = [
    ("wav", "pcm_s16le", {}), ("aiff", "pcm_s16be", {}), ("au", "pcm_s16be", {}), ("w64", "pcm_s16le", {}),
    ("caf", "pcm_s16le", {}), ("flac", "flac", {}), ("ogg", "vorbis", {}), ("ogg", "flac", {}),
    ("opus", "libopus", {}),
    ("mp3", "libmp3lame", {}), ("mp3", "libmp3lame", {"write_xing": "0"}), ("mp2", "mp2", {}),
    ("mp4", "aac", {"movflags": "faststart"}), ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov"}),
    ("matroska", "flac", {}), ("matroska", "libopus", {"live": "1"}), ("webm", "libopus", {}), ("avi", "mp2", {}),
    ("flv", "aac", {}), ("asf", "wmav2", {}), ("adts", "aac", {}), ("mpegts", "aac", {}), ("mpegts", "mp2", {}),
    ("mpeg", "mp2", {}), ("tta", "tta", {}), ("wv", "wavpack", {}), ("voc", "pcm_s16le", {}),
    ("rm", "ac3", {}), ("ac3", "ac3", {}), ("eac3", "eac3", {}),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("form", "codec", "options"), CONTAINERS, ids=[f"{f}-{c}-{len(o)}" for f, c, o in CONTAINERS])
def test_a_whole_file_warns_of_nothing_and_one_that_is_cut_off_does(
    tmp_path: Path, form: str, codec: str, options: dict[str, str]
) -> None:
    music = np.concatenate([sounds.silence(7.0), sounds.song(9.0), sounds.noise(4.0)])  # the bit rate varies
    whole = sounds.write_container(tmp_path / "whole", music, form, codec, options)
    stream = read_blocks(whole)
    assert sum(block.size for block in stream) / SAMPLE_RATE == pytest.approx(20.0, abs=0.3)
    assert stream.warnings == []
    cut = tmp_path / "cut"
    n_bytes = whole.stat().st_size * 6 // 10 - 101  # nobody can see a cut between two frames of AC-3
    cut.write_bytes(whole.read_bytes()[:n_bytes])
    stream = read_blocks(cut)
    assert 2 < sum(block.size for block in stream) / SAMPLE_RATE < 18
    assert any("cut off" in w or "damaged" in w or "could be decoded" in w for w in stream.warnings)


def test_a_film_that_is_longer_than_its_sound_is_whole(tmp_path: Path) -> None:
    import av

    for form in ("matroska", "mp4", "avi", "flv", "mpegts"):
        path = tmp_path / form
        with av.open(str(path), "w", format=form) as container:
            picture = container.add_stream("flv" if form == "flv" else "mpeg4", rate=10)
            picture.width = picture.height = 64
            picture.pix_fmt = "yuv420p"
            voice = container.add_stream("libmp3lame", rate=44_100, layout="mono", format="fltp")
            for packet in sounds.encode(voice, sounds.upsample(sounds.song(3.0), 44_100)[None], 44_100):
                container.mux(packet)
            for i in range(100):
                still = av.VideoFrame.from_ndarray(np.full((64, 64, 3), i, np.uint8), format="rgb24")
                container.mux(picture.encode(still))
            container.mux(picture.encode(None))
        stream = read_blocks(path)
        assert sum(block.size for block in stream) / SAMPLE_RATE == pytest.approx(3.0, abs=0.2)
        assert stream.warnings == []


# Damage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".ogg", ".wav"])
def test_a_truncated_file_gives_what_is_there_and_says_so(tmp_path: Path, suffix: str) -> None:
    whole = sounds.write_sound(tmp_path / f"whole{suffix}", sounds.noise(10.0))
    part = tmp_path / f"part{suffix}"
    part.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    stream = read_blocks(part)
    seconds = sum(block.size for block in stream) / SAMPLE_RATE
    assert 4.5 < seconds < 6.6
    assert any("cut off" in warning or "could be decoded" in warning for warning in stream.warnings)


@pytest.mark.parametrize("suffix", [".mp3", ".flac"])
def test_damage_in_the_middle_loses_only_its_surroundings(tmp_path: Path, suffix: str) -> None:
    path = sounds.write_sound(tmp_path / f"damaged{suffix}", sounds.noise(10.0))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3_000] = bytes(np.random.default_rng(0).integers(0, 256, 3_000, np.uint8))
    path.write_bytes(content)
    stream = read_blocks(path)
    assert sum(block.size for block in stream) > 8.5 * SAMPLE_RATE
    assert any("damaged" in warning or "could be decoded" in warning for warning in stream.warnings)


def test_a_film_without_its_index_is_no_sound(tmp_path: Path) -> None:
    whole = sounds.write_sound(tmp_path / "whole.m4a", sounds.noise(5.0))
    part = tmp_path / "part.m4a"
    part.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(AudioError, match=r"part\.m4a: not readable as sound"):
        read(part)


def test_samples_that_are_no_numbers_are_silenced(tmp_path: Path) -> None:
    tone = sounds.sine_a4(1.0)
    tone[1_000:1_003] = [np.nan, np.inf, 1e30]
    stream = read_blocks(sounds.write_float_wave(tmp_path / "nan.wav", tone[None], SAMPLE_RATE))
    sound = np.concatenate(list(stream))
    np.testing.assert_array_equal(sound[1_000:1_003], 0)
    assert np.isfinite(sound).all() and np.abs(sound).max() <= 0.5
    assert stream.warnings == ["set 3 invalid samples to 0 (not a number, or far above full scale)"]


def test_a_header_that_promises_too_much_is_read_to_its_end(tmp_path: Path) -> None:
    path = sounds.write_float_wave(tmp_path / "huge.wav", sounds.sine_a4(2.0)[None], SAMPLE_RATE)
    content = bytearray(path.read_bytes())
    content[40:44] = np.uint32(4_000_000_000).tobytes()
    path.write_bytes(content)
    stream = read_blocks(path)
    assert sum(block.size for block in stream) == 2 * SAMPLE_RATE


# Sound that is not as it seems -------------------------------------------------------------------------------------


def write_wave(path: Path, *channels: Float32) -> Path:
    return sounds.write_float_wave(path, np.stack(channels), SAMPLE_RATE)


def write_encrypted(path: Path) -> Path:
    """An M4A whose sample description says that it is encrypted, as a shop or a broadcaster delivers it."""
    sounds.write_sound(path, sounds.song(3.0))
    content = path.read_bytes()
    assert content.count(b"mp4a") == 1
    path.write_bytes(content.replace(b"mp4a", path.stem.encode()))
    return path


SONG, NOISE = sounds.song(12.0), sounds.noise(12.0, peak=0.3)
MENDED = {
    "right is minus left": ([SONG, -SONG], "cancel each other"),
    "nearly": ([SONG, -0.9 * SONG], "cancel each other"),
    "cancelling beside an offset": ([SONG + 0.5, -SONG - 0.4], "cancel each other"),
    "5.1": ([SONG, SONG, -2 * SONG, 0 * SONG, 1e-4 * NOISE, 1e-4 * NOISE], "cancel each other"),
    "two pairs": ([SONG, -SONG, SONG, -SONG], "cancel each other"),
    "offset": ([SONG + 0.3], "constant offset (DC) of 0.3"),
    "small offset": ([SONG - 0.01] * 2, "constant offset (DC) of -0.01"),
    "8 bits": ([SONG * 2**7], "integers of 8 bits"),
    "16 bits": ([SONG * 2**15], "integers of 16 bits"),
    "24 bits": ([SONG * 2**23] * 2, "integers of 24 bits"),
    "32 bits": ([SONG * 2**31], "integers of 32 bits"),
    "16 bits that cancel": ([SONG * 2**15, -SONG * 2**15], "integers of 16 bits"),
    "one quiet channel of 32": ([0.02 * SONG, *[0 * SONG] * 31], "only the others are mixed"),
}


@pytest.mark.parametrize("name", MENDED)
def test_odd_sound_is_the_music_that_a_listener_hears(tmp_path: Path, name: str) -> None:
    channels, said = MENDED[name]
    song, plain = (
        read_song(write_wave(tmp_path / "odd.wav", *channels)),
        read_song(write_wave(tmp_path / "a.wav", SONG)),
    )
    assert said in " ".join(song.warnings)
    assert not song.is_silent
    spread = plain.windows[:, 1:].std(axis=(0, 2)).mean()  # without the row of the level
    assert np.abs(song.windows - plain.windows)[:, 1:].mean() < 0.1 * spread
    again = read_blocks(tmp_path / "odd.wav")
    assert len(list(again)) > 0 and again.correct(is_silent=False) is (name != "one quiet channel of 32")


ORDINARY = {
    "mono": [SONG],
    "two channels that differ": [SONG + 0.5 * NOISE, SONG - 0.5 * NOISE],
    "uncorrelated": [SONG, NOISE],
    "one channel filled": [SONG, 0 * SONG],
    "more side than middle": [SONG + NOISE, SONG - NOISE],
    "no offset in the mean": [SONG + 0.5, SONG - 0.5],
    "clipped": [np.clip(50 * SONG, -1, 1)],
    "above full scale": [SONG * 16],
    "after minutes of silence": [np.concatenate([sounds.silence(130.0), SONG])],
    "a click in silence": [np.eye(1, 60_000, 999, dtype=np.float32)[0]],
    "a bass note that breaks off": [sounds.sine(50.0, 0.31)],
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_sound_is_the_mean_of_its_channels_and_read_once(tmp_path: Path, name: str) -> None:
    song = read_song(write_wave(tmp_path / "a.wav", *ORDINARY[name]))
    assert song.warnings == () and not song.is_silent
    mean = np.mean(ORDINARY[name], axis=0, dtype=np.float32)
    np.testing.assert_allclose(song.windows, measure_features([mean]).mfcc, atol=0.05)


@pytest.mark.parametrize("level", [1e-3, 0.03, -0.9, 1.0])
def test_a_constant_is_silence(tmp_path: Path, level: float) -> None:
    song = read_song(write_wave(tmp_path / "dc.wav", *[np.full(5 * SAMPLE_RATE, level, np.float32)] * 2))
    assert song.is_silent and "it is silent" in song.warnings[-1]


@pytest.mark.parametrize(
    ("sound", "share"),
    [
        (np.full(30_000, np.nan), "100%"),
        (np.full(30_000, np.inf), "100%"),
        (np.where(np.arange(SONG.size) % 5 < 3, np.nan, SONG), "60%"),
        (SONG * 1e30, "9.%"),
    ],
    ids=["nan", "inf", "mostly nan", "huge"],
)
def test_what_is_mostly_no_numbers_is_refused(tmp_path: Path, sound: NDArray[np.floating], share: str) -> None:
    with pytest.raises(AudioError, match=f"{share} of its samples are invalid"):
        read(write_wave(tmp_path / "nan.wav", np.asarray(sound, np.float32)))


def test_a_broken_channel_leaves_the_other(tmp_path: Path) -> None:
    sound = read(write_wave(tmp_path / "half.wav", SONG, np.full_like(SONG, np.nan)))
    np.testing.assert_allclose(sound, SONG / 2, atol=1e-6)


def test_a_short_track_beside_a_silent_one_is_found(tmp_path: Path) -> None:
    path = sounds.write_tracks(tmp_path / "short.mkv", [0 * SONG, sounds.song(2.0)])
    assert not read_song(path).is_silent


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
@pytest.mark.parametrize(
    ("levels", "number", "said"),
    [
        ((1, 0.5), 1, "has 2 sound tracks: number 1 (eng) was used"),
        ((0, 1), 2, "number 2 (fre) was used; the default track is silent"),
        ((0, 0, 1), 3, "number 3 (ger) was used"),
        ((0, 0), 1, "number 1 (eng) was used"),
    ],
)
def test_the_track_that_is_heard_is_chosen_and_named(
    tmp_path: Path, suffix: str, levels: tuple[float, ...], number: int, said: str
) -> None:
    path = sounds.write_tracks(tmp_path / f"film{suffix}", [v * SONG for v in levels], ("eng", "fre", "ger"))
    song = read_song(path)
    assert any(said in warning for warning in song.warnings)
    assert song.is_silent == (max(levels) == 0)
    if not song.is_silent:
        assert song.window_db.max() == pytest.approx(-23.0, abs=0.5)


@pytest.mark.parametrize("entry", ["enca", "drms", "aavd"])
def test_encrypted_sound_is_refused(tmp_path: Path, entry: str) -> None:
    with pytest.raises(AudioError, match=r"its sound is encrypted \(DRM\)"):
        read(write_encrypted(tmp_path / f"{entry}.m4a"))


def test_encrypted_windows_media_is_refused(tmp_path: Path) -> None:
    path = sounds.write_sound(tmp_path / "a.wma", sounds.song(2.0))
    content = bytearray(path.read_bytes())
    content[24:24] = bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e") + (32).to_bytes(8, "little") + bytes(8)
    content[16:24] = (int.from_bytes(content[16:24], "little") + 32).to_bytes(8, "little")
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"encrypted|not readable"):
        read(path)


# What is no sound --------------------------------------------------------------------------------------------------


def write_text(path: Path) -> None:
    path.write_text("All work and no play makes Jack a dull boy.\n" * 50)


def write_picture(path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64), "red").save(path, format="PNG")


def write_playlist(path: Path) -> None:
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\na4.wav\n#EXT-X-ENDLIST\n")


def write_concatenation(path: Path) -> None:
    path.write_text("ffconcat version 1.0\nfile a4.wav\n")


@pytest.mark.parametrize("write", [write_text, write_picture, write_playlist, write_concatenation])
@pytest.mark.parametrize("name", ["song.mp3", "song.m3u8", "song.ffconcat", "song.png"])
def test_only_sound_is_opened(tmp_path: Path, write: object, name: str) -> None:
    sounds.write_sound(tmp_path / "a4.wav", sounds.sine_a4(3.0))  # what the lists point at
    assert callable(write)
    write(tmp_path / name)
    with pytest.raises(AudioError, match=r"not readable|is a picture|holds no sound|no sound could be decoded"):
        read(tmp_path / name)


def test_a_film_without_sound_is_refused(tmp_path: Path) -> None:
    import av

    path = tmp_path / "mute.mp4"
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=10)
        picture.width = picture.height = 64
        picture.pix_fmt = "yuv420p"
        for _ in range(3):
            container.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        container.mux(picture.encode(None))
    with pytest.raises(AudioError, match="holds no sound"):
        read(path)


def test_a_sound_without_samples_is_refused(tmp_path: Path) -> None:
    path = sounds.write_float_wave(tmp_path / "none.wav", np.zeros((1, 0)), SAMPLE_RATE)
    with pytest.raises(AudioError, match="no sound could be decoded"):
        read(path)


@pytest.mark.parametrize("rate", [1, 1_000, 1_000_000])
def test_an_absurd_rate_is_refused(tmp_path: Path, rate: int) -> None:
    path = sounds.write_float_wave(tmp_path / "rate.wav", sounds.sine_a4(0.1)[None], rate)
    with pytest.raises(AudioError, match=f"its sample rate is {rate} Hz"):
        read(path)


def test_missing_empty_and_folder_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty.mp3").touch()
    with pytest.raises(AudioError, match=r"nothing\.mp3: cannot be opened"):
        read_blocks(tmp_path / "nothing.mp3")
    with pytest.raises(AudioError, match=r"a picture of this name is written with -o .*out\.png"):
        read_blocks(tmp_path / "out.png")
    with pytest.raises(AudioError, match=r"empty\.mp3: is empty"):
        read_blocks(tmp_path / "empty.mp3")
    with pytest.raises(AudioError, match="is a folder"):
        read_blocks(tmp_path)
    with pytest.raises(AudioError, match="cannot be opened"):
        read_blocks("bad\0name.mp3")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in the file system")
def test_pipes_devices_and_sockets_never_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp3")
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(tmp_path / "s.mp3"))
    try:
        for path in (tmp_path / "pipe.mp3", tmp_path / "s.mp3", Path("/dev/zero")):
            with pytest.raises(AudioError, match="is a pipe, a socket or a device"):
                read_blocks(path)
    finally:
        bound.close()


def test_addresses_and_protocols_are_file_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_error(404)

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sounds.write_sound(tmp_path / "a4.wav", sounds.sine_a4(1.0))
    monkeypatch.chdir(tmp_path)
    try:
        for name in (f"http://127.0.0.1:{server.server_port}/a4.wav", "file:a4.wav", "concat:a4.wav|a4.wav"):
            with pytest.raises(AudioError, match=r"cannot be opened|is a web address"):
                read_blocks(name)
    finally:
        server.shutdown()
        server.server_close()
    assert requests == []


def test_names_in_any_script_are_read(tmp_path: Path) -> None:
    path = sounds.write_sound(tmp_path / "a4.wav", sounds.sine_a4(1.0))
    other = tmp_path / "夜想曲 – Ночь №1 'é' %d.wav"
    shutil.copy(path, other)
    np.testing.assert_array_equal(read(other), read(path))


def test_suffixes_cover_what_the_tests_write() -> None:
    assert set(sounds.CODECS) <= AUDIO_SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in AUDIO_SUFFIXES)


# Versions of PyAV ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("title", ["Café".encode("latin-1"), b"\xff\xfe\x80", "夜想曲".encode("shift-jis")])
def test_tags_in_any_encoding_change_nothing(tmp_path, title):
    """PyAV 18 and 19 treat tags that are not UTF-8 by different means."""
    path = sounds.write_float_wave(tmp_path / "plain.wav", sounds.sine_a4(1.0)[None], SAMPLE_RATE)
    title += b"\0" * (-len(title) % 2)
    tags = b"INFOINAM" + len(title).to_bytes(4, "little") + title
    plain = path.read_bytes()
    chunks = plain[8:] + b"LIST" + len(tags).to_bytes(4, "little") + tags
    tagged = tmp_path / "tagged.wav"
    tagged.write_bytes(b"RIFF" + len(chunks).to_bytes(4, "little") + chunks)
    np.testing.assert_array_equal(read(tagged), read(path))


def test_mp4_is_decoded_to_the_end_of_its_last_packet(tmp_path):
    """FFmpeg 9 would cut the padding that FFmpeg 8 leaves: one song, two pictures."""
    import av

    path = tmp_path / "tone.m4a"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        for start in range(0, 22_000, 1000):  # no whole number of packets of 1024
            frame = av.AudioFrame.from_ndarray(sounds.sine_a4(1.0)[None, :1000], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    assert read(path).size % 1024 == 0
