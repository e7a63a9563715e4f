"""Caches of a training: arrays without pickles, made again if they are damaged or belong to something else."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from clavilux.errors import TrainingError
from clavilux.training import cache
from clavilux.training.analysis import Windows
from clavilux.training.cache import load_or_make
from clavilux.training.painted_examples import PaintedExamples


def save_record(path, key, record):
    load_or_make(path, key, type(record), lambda: record, log=pytest.fail)


def windows(n=3):
    rng = np.random.default_rng(0)
    return Windows(
        rng.integers(0, 255, (n, 128, 128, 3), np.uint8),
        rng.random((n, 8, 3), np.float32),
        rng.integers(0, 255, (n, 8, 32, 32), np.uint8),
        np.arange(n),
        ["é.png", "b/c.png", " "][:n],
        ["abstract"] * n,
    )


def examples():
    ones = np.ones(2, np.float32)
    pictures = np.zeros((2, 128, 128, 3), np.uint8)
    return PaintedExamples(
        pictures, np.ones((2, 32), np.float32), ones, ones, ones, np.ones((2, 4), np.float32), np.arange(2)
    )


@pytest.mark.parametrize("record", [windows(), windows(0), examples()])
def test_a_record_is_read_as_written(tmp_path, record):
    save_record(tmp_path / "kept.npz", ["key", 1], record)
    unused = lambda: pytest.fail("it was kept")  # noqa: E731
    again = load_or_make(tmp_path / "kept.npz", ["key", 1], type(record), unused, log=pytest.fail)
    for name, value in vars(record).items():
        assert type(getattr(again, name)) is type(value)
        np.testing.assert_array_equal(getattr(again, name), value)
        assert np.asarray(getattr(again, name)).dtype.kind == np.asarray(value).dtype.kind or not len(value)


class _Evil:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def _with_member(whole, name, content, compression=zipfile.ZIP_STORED):
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(packed, "w", compression) as new:
        for member in old.namelist():
            new.writestr(member, content if member == name else old.read(member))
    return packed.getvalue()


def _npy(array, **options):
    content = io.BytesIO()
    np.lib.format.write_array(content, array, **options)
    return content.getvalue()


def _header(shape):
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return content.getvalue()


def _change(whole):
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    return bytes(changed)


DAMAGE = {
    "empty": lambda whole: b"",
    "cut": lambda whole: whole[:-1000],
    "text": lambda whole: b"no cache" * 99,
    "one byte changed": _change,
    "a pickle": lambda whole: pickle.dumps(_Evil()),
    "objects": lambda whole: _with_member(whole, "palettes.npy", _npy(np.array([_Evil()], object), allow_pickle=True)),
    "an array larger than memory": lambda whole: _with_member(whole, "windows.npy", _header((2**50, 128, 128, 3))),
    "an array of no text": lambda whole: _with_member(whole, "windows.npy", b"x"),
    "compressed": lambda whole: _with_member(whole, "windows.npy", bytes(10**7), zipfile.ZIP_DEFLATED),
    "an array is missing": lambda whole: whole.replace(b"shares.npy", b"shared.npy"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_made_again_with_a_message(tmp_path, monkeypatch, damage):
    monkeypatch.chdir(tmp_path)
    path, lines = tmp_path / "windows.npz", []
    save_record(path, "key", windows())
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    made = load_or_make(path, "key", Windows, lambda: windows(2), log=lines.append)
    assert len(made.names) == 2
    assert len(lines) == 1
    assert lines[0].endswith("; it is made again") and "\n" not in lines[0]
    assert not (tmp_path / "pwned").exists()
    again = load_or_make(path, "key", Windows, lambda: pytest.fail("it was kept"), log=lines.append)
    assert again.names == made.names
    assert len(lines) == 1


def test_a_cache_with_another_key_is_replaced_without_a_message(tmp_path, monkeypatch):
    path, lines = tmp_path / "windows.npz", []
    save_record(path, "key", windows())
    assert len(load_or_make(path, "other", Windows, lambda: windows(2), log=lines.append).names) == 2
    monkeypatch.setattr(cache, "__version__", "next")
    assert len(load_or_make(path, "other", Windows, lambda: windows(1), log=lines.append).names) == 1
    assert not lines


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(TrainingError, match="file: cannot be written to"):
        save_record(tmp_path / "file" / "windows.npz", "key", windows())
    (tmp_path / "windows.npz").mkdir()
    with pytest.raises(TrainingError, match="cannot be written to"):
        save_record(tmp_path / "windows.npz", "key", windows())
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []
