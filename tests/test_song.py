"""A file becomes a Song: windows, descriptors, hash, silence and warnings."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
import textwrap
import wave
from pathlib import Path

import numpy as np
import pytest
import sounds

from clavilux.audio.decode import read_blocks
from clavilux.audio.descriptors import DESCRIPTORS, describe
from clavilux.audio.features import measure_features
from clavilux.audio.song import hash_file, read_song
from clavilux.errors import AudioError


def test_a_song_holds_what_was_measured(tmp_path: Path) -> None:
    path = sounds.write_sound(tmp_path / "my song.v2.flac", sounds.song(12.0), channels=2)
    song = read_song(path)
    features = measure_features(read_blocks(path))
    np.testing.assert_array_equal(song.windows, features.mfcc)
    np.testing.assert_array_equal(song.window_db, features.window_db)
    assert song.descriptors == describe(features)
    assert list(song.descriptors) == list(DESCRIPTORS)
    assert (song.path, song.name) == (path, "my song.v2")
    assert song.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert song.duration_s == pytest.approx(12.0, abs=1e-3)
    assert song.audible.all() and not song.is_silent
    assert song.warnings == ()


def test_a_song_cannot_be_changed_and_is_the_same_again(tmp_path: Path) -> None:
    path = sounds.write_sound(tmp_path / "song.ogg", sounds.song(6.0))
    song, again = read_song(str(path)), read_song(path)
    np.testing.assert_array_equal(song.windows, again.windows)
    assert song.descriptors == again.descriptors
    with pytest.raises(dataclasses.FrozenInstanceError):
        song.name = "other"  # type: ignore[misc]


def test_silent_windows_are_not_audible(tmp_path: Path) -> None:
    sound = np.concatenate([sounds.silence(5.0), sounds.song(5.0), 1e-4 * sounds.noise(5.0), 1e-2 * sounds.noise(5.0)])
    song = read_song(sounds.write_float_wave(tmp_path / "song.wav", sound[None], 22_050))
    assert song.audible.tolist() == [False, True, False, True]
    assert song.window_db[0] == -120
    assert not song.is_silent


def test_a_silent_file_is_a_song_with_a_warning(tmp_path: Path) -> None:
    song = read_song(sounds.write_sound(tmp_path / "silence.wav", sounds.silence(7.0)))
    assert song.is_silent and not song.audible.any()
    assert song.windows.shape == (2, 20, 216)
    assert np.isfinite(song.windows).all() and np.isfinite(list(song.descriptors.values())).all()
    assert song.warnings == ("it is silent: no window reaches -60 dB of full scale",)


def test_warnings_of_reading_go_with_the_song(tmp_path: Path) -> None:
    path = sounds.write_sound(tmp_path / "long.wav", sounds.sine_a4(9.0))
    song = read_song(path, max_s=6.5)
    assert song.duration_s == 6.5
    assert song.warnings == ("only the first 6.5 s were used",)
    path.write_bytes(path.read_bytes()[:200_000])
    assert "cut off" in read_song(path).warnings[0]


def test_what_is_no_sound_is_an_audio_error(tmp_path: Path) -> None:
    (tmp_path / "text.mp3").write_text("no sound")
    with pytest.raises(AudioError, match=r"text\.mp3"):
        read_song(tmp_path / "text.mp3")
    with pytest.raises(AudioError, match=r"missing\.mp3: cannot be opened"):
        read_song(tmp_path / "missing.mp3")


def test_the_hash_is_of_the_whole_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    (tmp_path / "bytes").write_bytes(content)
    assert hash_file(tmp_path / "bytes") == hashlib.sha256(content).hexdigest()
    with pytest.raises(AudioError, match="cannot be read"):
        hash_file(tmp_path / "missing")


@pytest.mark.slow
def test_an_hour_needs_less_than_400_mb(tmp_path: Path) -> None:
    """Peak memory of a process that listens to an hour, with all that it imports."""
    minute = np.random.default_rng(0).integers(64, 192, 60 * 8_000, np.uint8).tobytes()
    with wave.open(str(tmp_path / "hour.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8_000)
        for _ in range(60):
            file.writeframes(minute)
    script = """
        import resource, sys
        from pathlib import Path
        from clavilux.audio.song import read_song
        song = read_song(sys.argv[1])
        assert song.duration_s == 3600 and song.windows.shape == (720, 20, 216)
        if sys.platform == "linux":
            # ru_maxrss begins with the peak of the process that started this one; VmHWM begins anew.
            status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            print(float(status["VmHWM"].split()[0]) / 1e3)
        else:
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "hour.wav")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 400
