"""musicnn as a second audio embedding: its spectrogram and its tags."""

import json
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from safetensors import safe_open
from scipy.signal import resample_poly
from sounds import noise, sine

from clavilux.audio.decode import read_blocks
from clavilux.evaluation import musicnn


@pytest.mark.parametrize("sound", [noise(3.0, seed=1), sine(440.0), sine(3000.0, peak=1e-3)])
def test_the_spectrogram_equals_librosa(sound):
    mel = librosa.feature.melspectrogram(y=sound, sr=16_000, n_fft=512, hop_length=256, n_mels=96).T
    expected = np.log10(10_000 * mel.astype(np.float16).astype(np.float32) + 1)
    np.testing.assert_allclose(musicnn.log_mel(sound), expected, atol=2e-3)


def test_its_tags_fit_the_example_pieces():
    with safe_open(musicnn.WEIGHTS, "pt") as file:
        labels = json.loads(file.metadata()["tags"])
    examples = Path(__file__).parents[1] / "examples"
    for file, tag in (("drift.opus", "ambient"), ("carnival.mp3", "electronic"), ("nocturne.flac", "instrumental")):
        sound = resample_poly(np.concatenate(list(read_blocks(examples / file))), 16_000, 22_050).astype(np.float32)
        patches = np.stack([musicnn.log_mel(sound[i : i + musicnn.PATCH_SAMPLES]) for i in (80_000, 200_000)])
        with torch.no_grad():
            network = musicnn.load_network()
            hidden = network.embed(torch.from_numpy(patches))[:, : musicnn.BLOCKS[0]]
            tags = torch.sigmoid(network._dense(hidden, 1)).mean(dim=0).numpy()
        assert tag in [labels[i] for i in np.argsort(-tags)[:3]]


def test_sounds_of_any_length_have_an_embedding_of_all_blocks():
    for seconds in (0.5, 4.0):
        embedding = musicnn.measure_sound(noise(seconds))
        assert embedding.shape == (sum(musicnn.BLOCKS),)
        assert np.isfinite(embedding).all()
