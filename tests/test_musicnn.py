"""The second ear: its spectrogram, its checkpoint, its tags."""

from pathlib import Path

import librosa
import numpy as np
import pytest
from sounds import noise, sine

from clavilux.audio.decode import read_blocks
from clavilux.evaluation import musicnn


def _varint(value):
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _field(number, value):
    if isinstance(value, bytes):
        return _varint(number << 3 | 2) + _varint(len(value)) + value
    return _varint(number << 3) + _varint(value)


def _block(entries):
    """A block of a string table: keys share their beginnings, one restart, no compression."""
    content, before = b"", b""
    for key, value in entries:
        shared = 0
        while shared < min(len(key), len(before)) and key[shared] == before[shared]:
            shared += 1
        content += _varint(shared) + _varint(len(key) - shared) + _varint(len(value)) + key[shared:] + value
        before = key
    return content + (0).to_bytes(4, "little") + (1).to_bytes(4, "little")


def _write_checkpoint(folder, arrays):
    entries, data = [(b"", _field(1, 1))], b""
    for name, array in sorted(arrays.items()):
        shape = b"".join(_field(2, _field(1, n)) for n in array.shape)
        entry = _field(1, 1) + _field(2, shape) + _field(4, len(data)) + _field(5, array.nbytes)
        entries.append((name.encode(), entry + b"\x35" + b"CRC!"))  # field 6: four bytes
        data += array.tobytes()
    body = _block(entries)
    index = _block([(b"\xff", _varint(0) + _varint(len(body)))])
    table = body + b"\0CRC!" + index + b"\0CRC!"
    handles = _varint(0) + _varint(0) + _varint(len(body) + 5) + _varint(len(index))
    table += handles.ljust(40, b"\0") + musicnn._TABLE_MAGIC.to_bytes(8, "little")
    folder.mkdir()
    (folder / ".index").write_bytes(table)
    (folder / ".data-00000-of-00001").write_bytes(data)


def test_a_checkpoint_is_read_as_it_was_written(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "conv2d/kernel": rng.standard_normal((7, 38, 1, 20)).astype("<f4"),
        "conv2d/bias": rng.standard_normal(20).astype("<f4"),
        "conv2d_1/bias": rng.standard_normal(200).astype("<f4"),
        "power": np.array(0.5, "<f4"),
    }
    _write_checkpoint(tmp_path / "model", arrays)
    found = musicnn.read_checkpoint(tmp_path / "model")
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_another_file_is_no_checkpoint(tmp_path):
    _write_checkpoint(tmp_path / "model", {"a": np.zeros(3, "<f4")})
    (tmp_path / "model" / ".index").write_bytes(b"something else altogether")
    with pytest.raises(musicnn.BundleError, match="no TensorFlow checkpoint"):
        musicnn.read_checkpoint(tmp_path / "model")


@pytest.mark.parametrize("sound", [noise(3.0, seed=1), sine(440.0), sine(3000.0, peak=1e-3)])
def test_the_spectrogram_is_that_of_librosa(sound):
    mel = librosa.feature.melspectrogram(y=sound, sr=16_000, n_fft=512, hop_length=256, n_mels=96).T
    wanted = np.log10(10_000 * mel.astype(np.float16).astype(np.float32) + 1)
    np.testing.assert_allclose(musicnn.log_mel(sound), wanted, atol=2e-3)


@pytest.mark.skipif(not musicnn.is_installed(), reason="the package that holds the weights is not installed")
def test_it_hears_what_the_examples_are():
    """Its tags, through our forward pass, fit pieces of which we know what they are."""
    import torch
    from musicnn.configuration import MSD_LABELS
    from scipy.signal import resample_poly

    examples = Path(__file__).parents[1] / "examples"
    for file, tag in (("drift.opus", "ambient"), ("carnival.mp3", "electronic"), ("nocturne.flac", "instrumental")):
        sound = resample_poly(np.concatenate(list(read_blocks(examples / file))), 16_000, 22_050).astype(np.float32)
        patches = np.stack([musicnn.log_mel(sound[i : i + musicnn._PATCH_SAMPLES]) for i in (80_000, 200_000)])
        with torch.no_grad():
            tags = musicnn._load().tags(torch.from_numpy(patches)).mean(dim=0).numpy()
        assert tag in [MSD_LABELS[i] for i in np.argsort(-tags)[:3]]


@pytest.mark.skipif(not musicnn.is_installed(), reason="the package that holds the weights is not installed")
def test_sounds_of_any_length_give_numbers_of_the_blocks():
    for seconds in (0.5, 4.0):
        heard = musicnn.measure_sound(noise(seconds))
        assert heard.shape == (sum(musicnn.BLOCKS),)
        assert np.isfinite(heard).all()
