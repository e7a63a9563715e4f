"""Painting from Python: arrays, open files and lists."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import sounds
from conftest import MakeSong

import clavilux
from clavilux.errors import AudioError, PictureError
from clavilux.pipeline import Clavilux

STEREO = np.stack([sounds.song(7.0, seed=1), 0.5 * sounds.song(7.0, seed=2)])


@pytest.fixture(scope="module")
def bundle(fake_bundle: Path) -> Clavilux:
    return Clavilux(fake_bundle)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stereo FLAC of 16 bits at 44 100 Hz."""
    path = tmp_path_factory.mktemp("songs") / "stereo.flac"
    soundfile.write(path, STEREO.T, 44_100, subtype="PCM_16")
    return path


def test_the_same_sound_from_a_file_a_buffer_or_an_array_gives_the_same_picture(bundle: Clavilux, file: Path) -> None:
    of_file = bundle.paint(file, size=64, variation=1)
    floats, rate = soundfile.read(file, dtype="float32")
    integers, _ = soundfile.read(file, dtype="int16")
    doubles, _ = soundfile.read(file, dtype="float64")
    wide, _ = soundfile.read(file, dtype="int32")
    sources: list[tuple[Any, dict[str, int]]] = [
        (io.BytesIO(file.read_bytes()), {}),
        (floats, {"sr": rate}),
        (floats.T, {"sr": rate}),
        (np.ascontiguousarray(doubles.T), {"sr": rate}),
        (integers.T, {"sr": rate}),
        (wide.T.astype(">i4"), {"sr": rate}),
    ]
    for source, options in sources:
        picture = bundle.paint(source, size=64, variation=1, **options)
        np.testing.assert_array_equal(picture.z_image, of_file.z_image)
        np.testing.assert_array_equal(picture.pixels, of_file.pixels)
        assert picture.song.descriptors == of_file.song.descriptors
        assert picture.song.sound_sha256 == of_file.song.sound_sha256


def test_an_open_file_is_read_from_its_start_and_left_where_it_was(bundle: Clavilux, file: Path) -> None:
    expected = bundle.z_image(file)
    with file.open("rb") as opened:
        opened.seek(100)
        song = bundle.read_song(opened)
        assert opened.tell() == 100
    assert song.name == "stereo" and song.sha256 == bundle.read_song(file).sha256
    np.testing.assert_array_equal(bundle.z_image(song), expected)
    written = io.BytesIO()
    written.write(file.read_bytes())  # at its end
    np.testing.assert_array_equal(bundle.z_image(written), expected)


def test_mono_and_a_single_channel_are_the_same(bundle: Clavilux) -> None:
    mono = STEREO[0]
    np.testing.assert_array_equal(
        bundle.paint(mono, sr=22_050, size=64).pixels, bundle.paint(mono[None], sr=22_050, size=64).pixels
    )


def test_floats_on_the_scale_of_integers_are_scaled_with_a_warning(bundle: Clavilux) -> None:
    loud = bundle.read_song(STEREO * 32_768, sr=22_050)
    assert loud.warnings == ("its samples are far above full scale: they are read as integers of 16 bits and scaled",)
    np.testing.assert_allclose(loud.windows, bundle.read_song(STEREO, sr=22_050).windows, atol=1e-3)


def test_a_tensor_is_an_array(bundle: Clavilux) -> None:
    torch = pytest.importorskip("torch")
    y = STEREO.astype(np.float32)
    np.testing.assert_array_equal(
        bundle.read_song(torch.from_numpy(y), sr=22_050).windows, bundle.read_song(y, sr=22_050).windows
    )


@pytest.mark.parametrize(
    ("y", "options", "reason"),
    [
        (STEREO, {}, "an array has no sample rate; give it in Hz, for example sr=44100"),
        (STEREO, {"sr": 44.1}, "sr is 44.1; it must be a number from 4000 to 768000"),
        (STEREO, {"sr": "44100"}, "sr is '44100'"),
        (STEREO, {"sr": 44_100.5}, "it must be a whole number of Hz"),
        (np.zeros((100, 100)), {"sr": 44_100}, r"y has shape \(100, 100\); at most 64 channels are mixed"),
        (np.zeros((5, 5)), {"sr": 44_100}, "y has 5 samples; it must have at least 0.01 seconds"),
        (STEREO[None], {"sr": 44_100}, r"it must have the shape \(n,\) or \(channels, n\)"),
        (np.zeros(0), {"sr": 44_100}, "and not be empty"),
        (np.float32(1), {"sr": 44_100}, "it must have the shape"),
        (np.append(STEREO[0], np.nan), {"sr": 44_100}, "y has 1 value that is not finite"),
        (np.append(STEREO[0], [np.inf, -np.inf]), {"sr": 44_100}, "y has 2 values that are not finite"),
        ((STEREO * 9e3).astype(np.int64), {"sr": 44_100}, "the type int64, whose full scale is not defined"),
        (STEREO.astype(complex), {"sr": 44_100}, "the type complex128"),
        (STEREO > 0, {"sr": 44_100}, "the type bool"),
        (np.full(1_000, "a"), {"sr": 44_100}, "the type <U1"),
        (np.full(44_100, 1e30), {"sr": 44_100}, "of its samples are invalid"),
        (STEREO, {"sr": 44_100, "clip": 0}, "is not a feature file"),
        ("song.mp3", {"sr": 44_100}, "sr is 44100; only an array needs it"),
        (5, {}, "song is 5; it must be a path, a file that is open in binary mode, or an array with sr="),
        (None, {}, "song is None"),
        (io.StringIO("text"), {}, r'is open as text; open it with mode "rb"'),
        (np.zeros((20, 216)), {}, r"y has shape \(20, 216\), which looks like MFCC; give the path of the \.npy file"),
        (np.zeros((7, 20, 216)), {"sr": 44_100}, "which looks like MFCC"),
        (io.BytesIO(), {}, "sound: is empty"),
        (io.BytesIO(b"no sound" * 99), {}, "sound: not readable as sound"),
    ],
)
def test_what_cannot_be_painted_is_refused_in_one_line(
    bundle: Clavilux, y: Any, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(AudioError, match=reason) as error:
        bundle.paint(y, size=64, **options)
    assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("song", "reason"),
    [
        ([0.1, 0.2, 0.3], r"song is a list of numbers; give samples as paint\(np\.array\(y\), sr=44100\)"),
        ([[0.1, 0.2], [0.3, 0.4]], "song is a list of numbers"),
        ((STEREO, 22_050), r"song is \(y, sr\); give paint\(y, sr=sr\)"),
        ((22_050, STEREO.T), r"song is \(sr, y\), as scipy"),
        ([(22_050, STEREO.T)], r"song is \(sr, y\), as scipy"),
        ({"y": STEREO}, r"song is a dict; give its array as paint\(y, sr=sr\)"),
        ('{"palette": []}', r"song is JSON text; for controls, Controls\.from_json\(text\) reads it"),
        ({"palette": [], "plan": []}, r"song is a dict of controls; Controls\.from_json\(json\.dumps\(controls\)\)"),
        ({"z_image": [0.0]}, r"song is the record of a picture; Clavilux\(\)\.repaint\(record\) paints it again"),
        ([{"controls": {}}], "song is the record of a picture"),
    ],
)
def test_a_song_in_a_mistaken_form_is_refused_at_once(fake_bundle: Path, song: Any, reason: str) -> None:
    with pytest.raises(AudioError, match=reason):
        clavilux.paint(song, size=64, bundle=fake_bundle)


def test_a_picture_is_no_song(bundle: Clavilux, file: Path) -> None:
    picture = bundle.paint(file, size=64)
    for function in (bundle.paint, bundle.z_image, clavilux.paint):
        with pytest.raises(AudioError, match=r"a Picture; Clavilux\(\)\.repaint\(picture\.record\) paints it again"):
            function(picture)


def test_a_file_of_sound_that_is_open_as_text_is_named(bundle: Clavilux, file: Path) -> None:
    with file.open(encoding="utf-8") as text, pytest.raises(AudioError, match=r'flac: is open as text; .* mode "rb"'):
        bundle.paint(text, size=64)


def test_progress_is_a_function(file: Path) -> None:
    with pytest.raises(clavilux.ClaviluxError, match="progress is True; it must be a function"):
        clavilux.paint(file, progress=True)  # type: ignore[call-overload]


def test_a_closed_file_is_refused(bundle: Clavilux, file: Path) -> None:
    with file.open("rb") as closed:
        pass
    with pytest.raises(AudioError, match="give a file that is open for reading"):
        bundle.paint(closed, size=64)


def test_max_s_holds_for_arrays(bundle: Clavilux) -> None:
    song = bundle.read_song(STEREO, sr=22_050, max_s=5.5)
    assert song.duration_s == 5.5
    np.testing.assert_array_equal(song.windows, bundle.read_song(STEREO[:, : int(5.5 * 22_050)], sr=22_050).windows)


def test_a_list_is_painted_one_by_one_with_progress(fake_bundle: Path, file: Path, make_song: MakeSong) -> None:
    calls: list[tuple[int, int]] = []
    songs = [file, (STEREO, 22_050), make_song()]
    pictures = clavilux.paint(
        songs, size=64, bundle=fake_bundle, progress=lambda n_done, n_songs: calls.append((n_done, n_songs))
    )
    assert isinstance(pictures, clavilux.Pictures) and len(pictures) == 3
    assert calls == [(0, 3)]
    assert next(pictures).song.name == "stereo"
    assert calls == [(0, 3), (1, 3)]
    assert [picture.song.name for picture in pictures] == ["array", "song0"]
    assert calls[-1] == (3, 3)
    assert [picture.song.name for picture in pictures] == ["stereo", "array", "song0"], "a new loop begins again"


def test_a_bad_song_of_a_list_raises_and_the_next_one_follows(fake_bundle: Path, make_song: MakeSong) -> None:
    pictures = clavilux.paint(["missing.mp3", make_song()], size=64, bundle=fake_bundle)
    with pytest.raises(AudioError, match=r"missing\.mp3"):
        next(pictures)
    assert next(pictures).song.name == "song0"


def test_a_bad_song_of_a_list_is_skipped_if_that_is_wanted(
    fake_bundle: Path, make_song: MakeSong, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []
    songs = ["missing.mp3", make_song(), "lost.mp3"]
    pictures = clavilux.paint(
        songs, size=64, bundle=fake_bundle, on_error="skip", progress=lambda n_done, n_songs: calls.append(n_done)
    )
    assert [picture.song.name for picture in pictures] == ["song0"]
    assert calls == [0, 1, 2, 3]
    assert all(
        record.getMessage().startswith(name) for record, name in zip(caplog.records, (songs[0], songs[2]), strict=True)
    )
    with pytest.raises(PictureError, match="on_error is 'ignore'; it is one of raise, skip"):
        clavilux.paint(songs, on_error="ignore")


def test_the_options_of_a_list_are_checked_at_once(fake_bundle: Path) -> None:
    with pytest.raises(PictureError, match="size is 3"):
        clavilux.paint(["missing.mp3"], size=3, bundle=fake_bundle)
    with pytest.raises(AudioError, match=r"give each array as \(y, sr\)"):
        clavilux.paint([STEREO], 44_100, bundle=fake_bundle)


def test_one_song_reports_progress_too(fake_bundle: Path, make_song: MakeSong) -> None:
    calls: list[int] = []
    clavilux.paint(make_song(), size=64, bundle=fake_bundle, progress=lambda n_done, n_songs: calls.append(n_done))
    assert calls == [0, 1]


def test_a_picture_has_what_it_was_painted_from(bundle: Clavilux, make_song: MakeSong) -> None:
    song = make_song()
    picture = bundle.paint(song, size=64)
    assert picture.song.descriptors == song.descriptors
    assert picture.z_audio.shape == picture.z_image.shape == (64,)
    np.testing.assert_array_equal(picture.z_audio, bundle.engine.encode_song(song)[:64])
    assert picture.controls.palette.shape == (8, 3)


def test_warnings_are_logged_and_nothing_is_printed(
    bundle: Clavilux, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.WARNING, "clavilux"):
        bundle.paint(np.zeros(44_100, np.float32), sr=22_050, size=64)
    assert [record.getMessage() for record in caplog.records] == [
        "array: it is silent: no window reaches -60 dB of full scale"
    ]
    assert {record.name for record in caplog.records} == {"clavilux"}
    assert capfd.readouterr().out == ""


def test_importing_clavilux_imports_no_numpy() -> None:
    code = "import sys, clavilux; print([m for m in ('numpy', 'PIL', 'av', 'json', 'mutagen') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_an_array_or_a_column_of_paths_is_several_songs(fake_bundle: Path, file: Path) -> None:
    class Column(list[str]):  # as in pandas, which is not installed
        dtype = np.dtype(object)

        def __array__(self, *_: Any, **__: Any) -> np.ndarray[Any, Any]:
            return np.array(list(self), object)

    for paths in (np.array([str(file)] * 2), np.array([file, file]), Column([str(file)] * 2)):
        pictures = clavilux.paint(paths, size=64, bundle=fake_bundle)
        assert [picture.song.name for picture in pictures] == ["stereo"] * 2


@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
def test_a_hundredth_of_a_second_can_be_painted(bundle: Clavilux, rate: int) -> None:
    assert bundle.read_song(STEREO[:, : rate // 100], sr=rate).duration_s == pytest.approx(0.01, abs=2e-3)
