"""Damaged input gives a result or a `ClaviluxError`; the fuzzers in `benchmarks/` run thousands of cases."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sounds
from fuzzing import Case
from mutations import FORMATS, MUTATIONS, make_case, mutate, whole_files

from clavilux.audio.clips import song_of_clips
from clavilux.audio.decode import read_blocks
from clavilux.audio.song import read_song
from clavilux.errors import AudioError, PictureError
from clavilux.picture_file import read_record

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="trials need a system that forks")

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fuzzer", "n_cases", "n_columns"),
    [
        ("fuzz_listen", 38, len(MUTATIONS)),
        ("fuzz_records", 30, len(MUTATIONS) + 4),
        pytest.param("fuzz_tables", 36, len(MUTATIONS) + 5, marks=pytest.mark.torch),
        pytest.param("fuzz_bundles", 32, 7, marks=pytest.mark.torch),
    ],
)
def test_a_short_run_finds_nothing(tmp_path: Path, fuzzer: str, n_cases: int, n_columns: int) -> None:
    command = [sys.executable, str(BENCHMARKS / f"{fuzzer}.py"), "--cases", str(n_cases)]
    done = subprocess.run(
        [*command, "--keep", str(tmp_path / "kept")], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    *_, total, last = done.stdout.splitlines()
    *cells, all_of_them = total.split()[1:]
    outcomes = [int(number) for number in all_of_them.split("/")]
    assert len(cells) == n_columns
    assert sum(outcomes) == n_cases and min(outcomes) > 0  # every outcome happens, refusal too
    assert last.startswith(f"{n_cases} cases of seed 0 from number 0") and last.endswith("; 0 findings")
    assert not (tmp_path / "kept").exists()


def test_a_number_and_a_seed_give_the_same_file_in_any_run() -> None:
    wholes = whole_files()
    assert list(wholes) == list(FORMATS)
    n = len(FORMATS) * len(MUTATIONS)
    cases = [mutate(wholes, 3, number) for number in range(n)]
    assert {(case.row, case.column) for case in cases} == {(suffix, name) for suffix in FORMATS for name in MUTATIONS}
    again = whole_files()
    for number in range(0, n, 7):
        assert mutate(again, 3, number) == cases[number]
    assert all(case.files[f"a{case.row}"] != wholes[case.row] for case in cases if case.column in ("flip", "cut"))
    assert mutate(wholes, 4, 0).files != cases[0].files


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("os.abort()", "crash"),
        ("time.sleep(60)", "hang"),
        ("raise ValueError('no')", "ValueError"),
        ("raise SystemExit", "SystemExit"),
        ("raise ClaviluxError('two\\nlines')", "lines"),
        ("raise ClaviluxError('')", "lines"),
        ("raise ClaviluxError('one line')", "refused"),
        ("bytes(range(256)) * 2_500_000", "memory"),
        ("os.write(2, b'Traceback')", "noise"),
        ("os.write(1, b'printed')", "fine"),
        ("return 'not finite', ''", "not finite"),
    ],
)
def test_each_kind_of_finding_is_found(tmp_path: Path, fault: str, outcome: str) -> None:
    script = f"""
        import os, sys, time
        from pathlib import Path
        sys.path.insert(0, {str(BENCHMARKS)!r})
        from fuzzing import ClaviluxError, try_case
        def work(folder):
            {fault}
            return "fine", ""
        print(try_case(work, Path({str(tmp_path)!r}), ["fine"], timeout_s={1.0 if outcome == "hang" else 60.0}).outcome)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert done.stdout == f"{outcome}\n", done.stderr


def test_the_fuzzer_of_tables_finds_wrong_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fuzz_tables

    wholes = fuzz_tables.whole_folders()
    for row, files in wholes.items():
        Case(row, "", {**files, "row": row.encode()}).write(tmp_path / row / "case")
        assert fuzz_tables.read(tmp_path / row / "case") == ("read", "")
    other = [replace(entry, split="exam") for entry in fuzz_tables.list_entries(tmp_path / "splits" / "case", {".png"})]
    monkeypatch.setattr(fuzz_tables, "list_entries", lambda *_, **__: other)
    assert fuzz_tables.read(tmp_path / "splits" / "case")[0] == "another split"


def test_the_fuzzer_of_records_writes_the_given_record(tmp_path: Path) -> None:
    import fuzz_records

    wholes = fuzz_records.paint_wholes(tmp_path)
    for files in wholes.values():
        picture = next(iter(files.values()))
        whole = fuzz_records.record_of(picture)
        again = fuzz_records.replace_comment(picture, b'{"clavilux": "x"}')
        assert whole["variation"] == 1 and fuzz_records.record_of(again) == {"clavilux": "x"}
    outcomes = {make_case(wholes, 0, number, fuzz_records.RECORD_MUTATIONS).column for number in range(60)}
    assert outcomes == {*fuzz_records.RECORD_MUTATIONS, *MUTATIONS}


def test_the_media_fuzzer_finds_numbers_that_are_not_finite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fuzz_listen

    sounds.write_sound(tmp_path / "good.wav", sounds.song(1.0))
    assert fuzz_listen.work(tmp_path)[0] == "song"
    whole_listen = fuzz_listen.read_song

    def broken(*args: object, **options: object) -> object:
        song = whole_listen(*args, **options)
        song.descriptors["tempo"] = float("nan")
        return song

    monkeypatch.setattr(fuzz_listen, "read_song", broken)
    assert fuzz_listen.work(tmp_path)[0] == "not finite"


# Findings of earlier runs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "tag"),
    [(".webm", b"A_OPUS"), (".mkv", b"A_AAC"), (".wav", b"fmt \x10\x00\x00\x00\x01")],
)
def test_an_unknown_codec_is_refused(tmp_path: Path, suffix: str, tag: bytes) -> None:
    """One changed byte in the name of the codec; PyAV gives such a stream no rate, which was an AttributeError."""
    path = sounds.write_sound(tmp_path / f"a{suffix}", sounds.song(1.0))
    content = path.read_bytes()
    assert content.count(tag) == 1
    path.write_bytes(content.replace(tag, tag[:-1] + b"\x89"))
    with pytest.raises(AudioError, match="of a kind that cannot be decoded"):
        read_song(path)


def test_a_seek_beyond_the_end_gives_no_traceback(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The head of a WMA file that sends FFmpeg 3e18 bytes away; PyAV printed the traceback of the file's `seek`."""
    asf_header = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
    size_of_chunk = (3 * 10**18).to_bytes(8, "little")
    path = tmp_path / "a.wma"
    path.write_bytes(asf_header + bytes(14) + bytes(range(16)) + size_of_chunk)
    with pytest.raises(AudioError):
        list(read_blocks(path))
    assert capfd.readouterr() == ("", "")


def test_broken_feature_files_are_refused(tmp_path: Path) -> None:
    """A quarter of those with a damaged header ended in a `TokenError` of Python's own parser."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "whole.npy", np.zeros((2, 20, 216), np.float32))
    whole, n_refused = (tmp_path / "whole.npy").read_bytes(), 0
    for _ in range(300):
        content = bytearray(whole)
        for place in rng.integers(0, 128, rng.integers(1, 6)):
            content[place] = rng.choice(list(b"0123456789(),'L{}[]<>fi\x00\xff"))
        (tmp_path / "broken.npy").write_bytes(content)
        try:
            assert np.isfinite(song_of_clips(tmp_path / "broken.npy").windows).all()
        except AudioError:
            n_refused += 1
    assert n_refused > 200


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_broken_pictures_are_refused_without_a_warning(tmp_path: Path, suffix: str) -> None:
    """Pillow warned of odd Exif blocks and of huge pictures; in the tests a warning is an error."""
    from PIL import Image

    rng = np.random.default_rng(0)
    path = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    exif[0x0131] = "a program"
    exif.get_ifd(0x8769)[0x9286] = b'ASCII\0\0\0{"clavilux": "0"}'
    Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(path, exif=exif)
    assert read_record(path) == {"clavilux": "0"}
    whole, n_refused = path.read_bytes(), 0
    for _ in range(300):
        content = bytearray(whole)
        for place in rng.integers(0, min(300, len(whole)), rng.integers(1, 8)):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content[: rng.integers(1, len(content))] if rng.random() < 0.2 else content)
        try:
            assert "clavilux" in read_record(path)
        except PictureError:
            n_refused += 1
    assert n_refused > 50
