"""`clavilux features`: a folder tree of sound becomes .npy files and descriptors.csv, and can be interrupted."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import sounds
from click.testing import CliRunner

from clavilux.audio import feature_table
from clavilux.audio.clips import read_clips
from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.audio.feature_files import CORPUS_TABLE, FeatureSummary, name_features, write_features
from clavilux.audio.feature_table import NOTES, TABLE, FeatureTable, note_path
from clavilux.audio.mfcc import LIBROSA, FeatureSettings, read_settings
from clavilux.audio.song import read_song
from clavilux.cli import cli
from clavilux.errors import AudioError


class Log:
    """Progress that is kept."""

    def __init__(self) -> None:
        self.n_files = self.n_done = 0
        self.warnings: list[str] = []

    def begin(self, n_files: int) -> None:
        self.n_files = n_files

    def advance(self) -> None:
        self.n_done += 1

    def warn(self, message: str) -> None:
        self.warnings.append(message)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A tree of three songs, a text and a picture's name."""
    folder = tmp_path / "music"
    (folder / "album" / "disc 1").mkdir(parents=True)
    sounds.write_sound(folder / "one.wav", sounds.song(6.5))
    sounds.write_sound(folder / "album" / "two.flac", sounds.clicks(120, 5.0))
    sounds.write_sound(folder / "album" / "disc 1" / "three.V2.OGG".lower(), sounds.sine_a4(3.0))
    (folder / "notes.txt").write_text("no sound")
    return folder


def table(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / TABLE).open(newline="", encoding="utf-8") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_every_song_gets_its_windows_and_its_line(music: Path, tmp_path: Path) -> None:
    out, log = tmp_path / "features", Log()
    summary = write_features(music, out, jobs=1, progress=log)
    assert summary == FeatureSummary(3, 0, (), pytest.approx(14.5, abs=0.1))
    assert (log.n_files, log.n_done, log.warnings) == (3, 3, [])
    assert files_in(out) == ["album/disc 1/three.v2.npy", "album/two.npy", TABLE, "one.npy"]
    rows = table(out)
    assert list(rows) == ["album/disc 1/three.v2.ogg", "album/two.flac", "one.wav"]
    for file, row in rows.items():
        song = read_song(music / file)
        windows = np.load(out / row["npy"])
        assert windows.dtype == np.float32
        np.testing.assert_array_equal(windows, song.windows)
        assert row["sha256"] == song.sha256
        assert float(row["seconds"]) == pytest.approx(song.duration_s, abs=1e-3)
        for name in DESCRIPTORS:
            assert float(row[name]) == pytest.approx(song.descriptors[name], rel=1e-5)


def test_two_processes_give_what_one_gives(music: Path, tmp_path: Path) -> None:
    write_features(music, tmp_path / "one", jobs=1)
    write_features(music, tmp_path / "two", jobs=2)
    assert files_in(tmp_path / "one") == files_in(tmp_path / "two")
    for name in files_in(tmp_path / "one"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_only_audible_windows_are_kept_unless_all_are_silent(tmp_path: Path) -> None:
    music, out = tmp_path / "music", tmp_path / "out"
    music.mkdir()
    sounds.write_sound(music / "pause.wav", np.concatenate([sounds.silence(5.0), sounds.sine_a4(5.0)]))
    sounds.write_sound(music / "silent.wav", sounds.silence(10.0))
    log = Log()
    write_features(music, out, jobs=1, progress=log)
    assert np.load(out / "pause.npy").shape == (1, 20, 216)
    assert np.load(out / "silent.npy").shape == (2, 20, 216)
    assert log.warnings == [f"{music / 'silent.wav'}: it is silent: no window reaches -60 dB of full scale"]


def test_a_second_run_listens_only_to_what_is_new(music: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_features(music, out, jobs=1)
    before = (out / "one.npy").stat().st_mtime_ns
    sounds.write_sound(music / "four.wav", sounds.noise(1.0))
    sounds.write_sound(music / "album" / "two.flac", sounds.clicks(90, 5.0))  # other sound under the same name
    (out / "album" / "disc 1" / "three.v2.npy").unlink()
    summary = write_features(music, out, jobs=1)
    assert (summary.measured, summary.kept) == (3, 1)
    assert (out / "one.npy").stat().st_mtime_ns == before
    assert float(table(out)["album/two.flac"]["tempo"]) == pytest.approx(90, abs=2)
    assert (out / "album" / "disc 1" / "three.v2.npy").is_file()


def test_another_version_measures_all_again(music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_features(music, tmp_path / "out", jobs=1)
    monkeypatch.setattr(feature_table, "FEATURES_VERSION", 99)
    assert write_features(music, tmp_path / "out", jobs=1).measured == 3
    (tmp_path / "out" / TABLE).write_text("file,npy,seconds\none.wav,one.npy,1\n")
    assert write_features(music, tmp_path / "out", jobs=1).measured == 3


@pytest.mark.parametrize("text", ["file,something\none.wav,else\n", "mine", "\n\n"])
def test_a_table_of_the_user_is_not_replaced(music: Path, tmp_path: Path, text: str) -> None:
    (mine := tmp_path / TABLE).write_text(text)
    with pytest.raises(AudioError, match=r"descriptors\.csv: exists already and is no table of features; remove it"):
        write_features(music, tmp_path, jobs=1)
    assert mine.read_text() == text and not list(tmp_path.glob("*.npy"))


@pytest.mark.parametrize("shape", [(12,), (1, 20, 216)])  # the second is that of a feature file
def test_an_array_of_the_user_is_not_replaced(music: Path, tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(mine := tmp_path / "one.npy", np.zeros(shape, np.float32))
    before = mine.read_bytes()
    summary = write_features(music, tmp_path, jobs=1)
    assert summary.measured == 2 and mine.read_bytes() == before
    fault = f"{mine} exists already and is not in descriptors.csv; remove it, or give another folder"
    assert summary.faults == (f"{music / 'one.wav'}: {fault}",)
    mine.unlink()
    assert write_features(music, tmp_path, jobs=1).measured == 1
    (tmp_path / TABLE).unlink()  # then the arrays are those that a run would write
    assert write_features(music, tmp_path, jobs=1).measured == 3


def test_a_file_in_an_outdated_row_is_replaced_but_never_lost(music: Path, tmp_path: Path) -> None:
    write_features(music, out := tmp_path / "out", jobs=1)
    text = (out / TABLE).read_text()
    (out / TABLE).write_text(text.replace("one.wav,one.npy", "one.wav,other.npy"))  # the table does not list one.npy
    (out / "one.npy").write_text("mine")
    summary = write_features(music, out, jobs=1)
    assert len(summary.faults) == 1 and "one.npy exists already and is not in descriptors.csv" in summary.faults[0]
    assert (out / "one.npy").read_text() == "mine"
    (out / "one.npy").unlink()
    write_features(music, out, jobs=1)
    (out / "one.npy").write_bytes((out / "one.npy").read_bytes()[:500])  # cut off, and listed
    (out / TABLE).write_text((out / TABLE).read_text().replace(feature_table.version_of(LIBROSA), "earlier"))
    assert write_features(music, out, jobs=1).measured == 3
    (out / TABLE).chmod(0o400)
    with pytest.raises(AudioError, match=r"descriptors\.csv: is read-only; allow writing"):
        write_features(music, out, jobs=1)


def test_other_settings_measure_all_again_and_are_stated_in_the_files(music: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    relative = FeatureSettings(7_000.0, 40.0, "relative")
    for settings in (LIBROSA, relative):
        assert write_features(music, out, settings=settings, jobs=1).measured == 3
        assert write_features(music, out, settings=settings, jobs=1).kept == 3
        assert read_settings(out / "one.npy") == settings
        windows = read_song(music / "one.wav", settings=settings).windows
        np.testing.assert_array_equal(read_clips(out / "one.npy"), windows)
        np.testing.assert_array_equal(np.load(out / "one.npy"), windows)
        assert {row["version"].partition(" ")[2] for row in table(out).values()} == {str(settings).replace(",", "")}


def test_an_interrupted_run_keeps_what_it_had(music: Path, tmp_path: Path) -> None:
    class Stop(Log):
        def advance(self) -> None:
            super().advance()
            if self.n_done == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_features(music, tmp_path / "out", jobs=1, progress=Stop())
    assert len(table(tmp_path / "out")) == 2
    summary = write_features(music, tmp_path / "out", jobs=1)
    assert (summary.measured, summary.kept) == (1, 2)
    assert not [name for name in files_in(tmp_path / "out") if name.rsplit("/", 1)[-1].startswith(".")]


def test_a_killed_run_loses_nothing(music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(Log):
        def advance(self) -> None:
            super().advance()
            if self.n_done == 2:
                raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(FeatureTable, "save", lambda table: None)  # a process that is killed does not save
        write_features(music, out, jobs=1, progress=Stop())
    assert not (out / TABLE).exists()
    done = {name: (out / name).stat().st_ino for name in files_in(out) if name.endswith(".npy")}
    assert len(done) == 2
    summary = write_features(music, out, jobs=1)
    assert (summary.measured, summary.kept) == (1, 2)
    assert {name: (out / name).stat().st_ino for name in done} == done
    write_features(music, tmp_path / "whole", jobs=1)
    assert (out / TABLE).read_bytes() == (tmp_path / "whole" / TABLE).read_bytes()
    assert files_in(out) == files_in(tmp_path / "whole")


@pytest.mark.parametrize("change", ["song", "version", "windows", "cut off"])
def test_a_note_that_no_longer_holds_is_not_believed(
    change: str, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as killed:
        killed.setattr(FeatureTable, "save", lambda table: None)
        killed.setattr(FeatureTable, "clear_notes", lambda table: None)
        write_features(music, out, jobs=1)
    notes = sorted((out / NOTES).iterdir())
    assert len(notes) == 3
    if change == "song":
        sounds.write_sound(music / "one.wav", sounds.noise(1.0))
    elif change == "version":
        monkeypatch.setattr(feature_table, "FEATURES_VERSION", 99)
    elif change == "windows":
        (out / "one.npy").unlink()
    else:
        notes[0].write_bytes(notes[0].read_bytes()[:100])
    summary = write_features(music, out, jobs=1)
    assert (summary.measured, summary.kept) == ((3, 0) if change == "version" else (1, 2))
    assert not (out / NOTES).exists()


def test_files_that_cannot_be_read_are_named_and_left_out(music: Path, tmp_path: Path) -> None:
    (music / "broken.mp3").write_text("no sound")
    (music / "empty.wav").touch()
    log = Log()
    summary = write_features(music, tmp_path / "out", jobs=1, progress=log)
    assert summary.measured == 3
    assert [fault.split(":")[0] for fault in summary.faults] == [str(music / "broken.mp3"), str(music / "empty.wav")]
    assert sorted(log.warnings) == list(summary.faults)
    assert len(table(tmp_path / "out")) == 3
    # A file that breaks later is forgotten, its windows too.
    (music / "one.wav").write_text("no sound")
    write_features(music, tmp_path / "out", jobs=1)
    assert "one.wav" not in table(tmp_path / "out")
    assert not (tmp_path / "out" / "one.npy").exists()


def test_several_folders_fill_one(music: Path, tmp_path: Path) -> None:
    write_features(music / "album", tmp_path / "out", jobs=1)
    shutil.move(music / "album", tmp_path / "elsewhere")
    write_features(music, tmp_path / "out", jobs=1)
    assert list(table(tmp_path / "out")) == ["disc 1/three.v2.ogg", "one.wav", "two.flac"]


def test_songs_of_one_stem_keep_apart() -> None:
    assert name_features(["a/x.mp3", "a/x.flac", "b/x.mp3", "a/X.ogg", "a/y.z.mp3"]) == {
        "a/x.mp3": "a/x.mp3.npy",
        "a/x.flac": "a/x.flac.npy",
        "a/X.ogg": "a/X.ogg.npy",
        "b/x.mp3": "b/x.npy",
        "a/y.z.mp3": "a/y.z.npy",
    }


def test_a_new_song_of_the_same_stem_renames_the_windows_of_the_first(music: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_features(music, out, jobs=1)
    sounds.write_sound(music / "one.flac", sounds.noise(1.0))
    write_features(music, out, jobs=1)
    assert [name for name in files_in(out) if name.startswith("one")] == ["one.flac.npy", "one.wav.npy"]
    assert table(out)["one.wav"]["npy"] == "one.wav.npy"


def test_a_song_saved_in_another_format_takes_the_place_of_the_first(music: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_features(music, out, jobs=1)
    (music / "one.wav").unlink()
    sounds.write_sound(music / "one.flac", sounds.noise(1.0))
    write_features(music, out, jobs=1)
    assert [row["npy"] for row in table(out).values()] == ["album/disc 1/three.v2.npy", "album/two.npy", "one.npy"]
    assert table(out)["one.flac"]["npy"] == "one.npy"


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_a_name_that_is_no_text_is_a_fault_of_its_file(music: Path, tmp_path: Path) -> None:
    (music / os.fsdecode(b"caf\xe9.wav")).write_bytes((music / "one.wav").read_bytes())
    summary = write_features(music, tmp_path / "out", jobs=1)
    assert summary.measured == 3
    assert len(summary.faults) == 1 and r"caf\udce9.wav': its name is not valid UTF-8" in summary.faults[0]


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is of file systems of Linux")
def test_names_up_to_the_limit_are_measured(music: Path, tmp_path: Path) -> None:
    sound = (music / "one.wav").read_bytes()
    for name in ("a" * 251 + ".wav", "b" * 251 + ".wav", "b" * 251 + ".MP3", "c" * 252 + ".au"):
        (music / name).write_bytes(sound)
    summary = write_features(music, tmp_path / "out", jobs=1)
    assert "a" * 251 + ".npy" in files_in(tmp_path / "out")
    assert summary.measured == 4
    assert len(summary.faults) == 3
    assert all("its feature file cannot have the name" in fault for fault in summary.faults)
    assert (write_features(music, tmp_path / "out", jobs=1).kept, len(summary.faults)) == (4, 3)


@pytest.mark.parametrize("first", ["folder", "file"])
def test_a_name_that_is_taken_is_a_fault_of_its_song(music: Path, tmp_path: Path, first: str) -> None:
    out = tmp_path / "out"
    if first == "folder":
        (out / "one.npy").mkdir(parents=True)
    else:
        (music / "one.npy").mkdir()
        (music / "one.npy" / "four.wav").write_bytes((music / "one.wav").read_bytes())
        out.mkdir()
        (out / "one.npy").write_text("mine")
        (music / "one.wav").unlink()
    summary = write_features(music, out, jobs=1)
    assert (summary.measured, len(summary.faults)) == (2, 1)
    assert "its feature file cannot have the name one.npy" in summary.faults[0]


def test_hidden_files_and_links_are_no_songs(music: Path, tmp_path: Path) -> None:
    for name in ("._one.wav", ".ipynb_checkpoints/one.wav"):
        (music / name).parent.mkdir(exist_ok=True)
        (music / name).write_text("no sound")
    (music / "again").symlink_to("album")
    (music / "gone.wav").symlink_to("nowhere")
    log = Log()
    summary = write_features(music, tmp_path / "out", jobs=1, progress=log)
    assert (summary.measured, summary.faults) == (3, ())
    assert log.warnings == [
        f"{music / 'again'}: skipped, a link to a folder; name that folder itself",
        f"{music / 'gone.wav'}: skipped, a broken link",
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_table_that_a_spreadsheet_saved_is_taken(music: Path, tmp_path: Path, encoding: str) -> None:
    out = tmp_path / "out"
    write_features(music, out, jobs=1)
    whole = (out / TABLE).read_bytes()
    (out / TABLE).write_text(whole.decode().replace(",", ";").replace("\n", "\r\n"), encoding, newline="")
    assert write_features(music, out, jobs=1).kept == 3
    assert (out / TABLE).read_bytes() == whole


def test_a_table_that_cannot_be_read_is_said_and_measured_again(music: Path, tmp_path: Path) -> None:
    out, log = tmp_path / "out", Log()
    write_features(music, out, jobs=1)
    (out / TABLE).write_bytes((out / TABLE).read_bytes() + "ä\n".encode("latin-1"))
    assert write_features(music, out, jobs=1, progress=log).measured == 3
    assert len(log.warnings) == 1 and log.warnings[0].endswith("the features of its songs are computed again")
    (out / TABLE).write_bytes((out / TABLE).read_bytes()[:-30])  # the last row alone
    assert write_features(music, out, jobs=1, progress=log).kept == 2
    assert len(log.warnings) == 2 and log.warnings[1].endswith("its features are computed again")
    (out / TABLE).unlink()
    (out / TABLE).mkdir()
    with pytest.raises(AudioError, match=r"descriptors\.csv: is not a file"):
        write_features(music, out, jobs=1)


@pytest.mark.parametrize("inside", [False, True])
def test_the_table_of_a_corpus_goes_along(music: Path, tmp_path: Path, inside: bool) -> None:
    corpus = tmp_path / "corpus"
    shutil.copytree(music, corpus / "files")
    (corpus / CORPUS_TABLE).write_text("file,split,role\nfiles/one.wav,training,music\n")
    write_features(corpus / "files" if inside else corpus, tmp_path / "out", jobs=1)
    assert (tmp_path / "out" / CORPUS_TABLE).read_text() == (corpus / CORPUS_TABLE).read_text()
    names = [name for name in files_in(tmp_path / "out") if name.endswith("one.npy")]
    assert names == ["one.npy" if inside else "files/one.npy"]


@pytest.mark.slow
def test_another_folder_takes_no_table_from_its_parent(music: Path, tmp_path: Path) -> None:
    (tmp_path / CORPUS_TABLE).write_text("somebody else's")
    write_features(music, tmp_path / "out", jobs=1)
    assert not (tmp_path / "out" / CORPUS_TABLE).exists()


def test_splits_of_training_find_the_features(music: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("clavilux.training.datasets", reason="needs the train extra")
    shutil.copytree(music, tmp_path / "corpus" / "files")
    lines = ["file,split,role", "files/one.wav,training,music", "files/album/two.flac,held-out,music"]
    (tmp_path / "corpus" / CORPUS_TABLE).write_text("\n".join(lines))
    write_features(tmp_path / "corpus" / "files", tmp_path / "out", jobs=1)
    for split, name, n_windows in (("training", "one.npy", 2), ("held-out", "album/two.npy", 1)):
        dataset = datasets.AudioFeatureDataset(tmp_path / "out", split)
        assert [entry.name for entry in dataset.entries] == [name]
        assert len(dataset) == n_windows


def test_folders_without_sound_are_refused(music: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(AudioError, match="holds no sound"):
        write_features(tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(AudioError, match="is not a folder"):
        write_features(tmp_path / "missing", tmp_path / "out")
    with pytest.raises(AudioError, match="cannot be written to"):
        write_features(music, music / "notes.txt")


def test_a_table_that_points_elsewhere_removes_nothing_there(music: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other.npy"
    write_features(music, out, jobs=1)
    other.write_bytes(b"mine")
    table = out / TABLE
    table.write_text(table.read_text().replace("one.npy", "../other.npy"))
    (music / "one.wav").write_text("no sound any more")
    assert len(write_features(music, out, jobs=1).faults) == 1
    assert other.read_bytes() == b"mine"


@pytest.mark.parametrize(
    "npy", ["../victim.npy", "ABSOLUTE/victim.npy", "link/victim.npy", "album/../../victim.npy", "victim.csv", ""]
)
@pytest.mark.parametrize("where", ["note", "table"])
def test_names_from_notes_and_tables_never_lead_outside(where: str, npy: str, music: Path, tmp_path: Path) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside"
    write_features(music, out, jobs=1)
    outside.mkdir()
    victims = [tmp_path / "victim.npy", outside / "victim.npy", out / "victim.csv"]
    for victim in victims:
        victim.write_bytes(b"mine")
    (out / "link").symlink_to(outside)
    row = table(out)["one.wav"] | {"npy": npy.replace("ABSOLUTE", str(outside))}
    if where == "note":
        (out / NOTES).mkdir()
        note = {"file": "one.wav", "row": row, "fault": "", "warnings": []}
        note_path(out, "one.wav").write_text(json.dumps(note))
    else:
        text = (out / TABLE).read_text()
        (out / TABLE).write_text(text.replace("one.npy", row["npy"]))
    (music / "one.wav").write_text("no sound any more")  # its windows are to be removed
    assert len(write_features(music, out, jobs=1).faults) == 1
    assert [victim.read_bytes() for victim in victims] == [b"mine"] * 3


@pytest.mark.parametrize(
    "note",
    [
        *(
            "",
            "[]",
            "null",
            "1",
            '{"row": 3}',
            '{"row": {}, "warnings": 5}',
            '{"row": null, "warnings": []}',
            "[" * 9_999,
        ),
        '{"row": {"npy": ["a.npy"]}, "warnings": []}',
        "\udcff",
    ],
)
def test_a_note_of_any_content_ends_nothing(note: str, music: Path, tmp_path: Path) -> None:
    path = note_path(tmp_path / "out", "one.wav")
    path.parent.mkdir(parents=True)
    path.write_text(note, errors="surrogateescape")
    assert write_features(music, tmp_path / "out", jobs=1).measured == 3
    assert not (tmp_path / "out" / NOTES).exists()


def test_links_in_the_output_are_not_written_through(music: Path, tmp_path: Path) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside"
    out.mkdir()
    outside.mkdir()
    (outside / "two.npy").write_bytes(b"mine")
    (out / "album").symlink_to(outside)
    assert write_features(music, out, jobs=1).measured == 1
    assert files_in(outside) == ["two.npy"]
    (out / NOTES).symlink_to(outside)
    with pytest.raises(AudioError, match="is a link"):
        write_features(music, out, jobs=1)
    assert (outside / "two.npy").read_bytes() == b"mine"


def test_the_command_prints_what_it_did(music: Path, tmp_path: Path) -> None:
    (music / "broken.mp3").write_text("no sound")
    out = tmp_path / "out"
    result = CliRunner().invoke(cli, ["features", str(music), "-o", str(out), "--jobs", "1"])
    assert result.exit_code == 1, result.output
    assert result.stdout == f"{out / TABLE}: 3 songs of 15 seconds\n1 file skipped, named above\n"
    assert f"{music / 'broken.mp3'}: not readable as sound" in result.stderr
    result = CliRunner().invoke(cli, ["features", str(music), "-o", str(out), "--jobs", "1"])
    assert result.stdout.startswith(f"{out / TABLE}: 3 songs of 15 seconds, 3 of them measured earlier\n")


@pytest.mark.parametrize("value", ["abc", "", "nan", None])
@pytest.mark.parametrize("column", ["tempo", "loudness_2"])
def test_a_damaged_row_is_measured_again(music: Path, tmp_path: Path, column: str, value: str | None) -> None:
    out = tmp_path / "out"
    write_features(music, out, jobs=1)
    before = (out / TABLE).read_text()
    header, first, *others = before.splitlines()
    at, cells = header.split(",").index(column), first.split(",")
    cells[at : at + 1] = [] if value is None else [value]  # None: the row is too short
    (out / TABLE).write_text("\n".join([header, ",".join(cells), *others]) + "\n")
    summary = write_features(music, out, jobs=1)
    assert (summary.measured, (out / TABLE).read_text()) == (1, before)


def test_the_command_fails_if_nothing_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "broken.mp3").write_text("no sound")
    result = CliRunner().invoke(cli, ["features", str(tmp_path), "-o", str(tmp_path / "out"), "--jobs", "1"])
    assert result.exit_code == 1
    assert "none of its 1 file could be measured" in result.stderr


def test_a_folder_with_the_name_of_a_table_is_refused_with_a_hint(music: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["features", str(music), "-o", str(tmp_path / "feat.csv")])
    assert result.exit_code == 2
    assert "feat.csv is the name of a file" in result.stderr and not (tmp_path / "feat.csv").exists()
    (tmp_path / "feat.csv").mkdir()
    assert CliRunner().invoke(cli, ["features", str(music), "-o", str(tmp_path / "feat.csv")]).exit_code != 2


def test_quiet_prints_faults_alone(music: Path, tmp_path: Path) -> None:
    command = ["features", str(music), "-o", str(tmp_path / "out"), "--jobs", "1", "-q"]
    assert CliRunner().invoke(cli, command).output == ""
    (music / "bad.wav").write_bytes(b"no sound")
    result = CliRunner().invoke(cli, command)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "bad.wav" in result.stderr and len(result.stderr.splitlines()) == 1
