"""Paint a song with PyTorch and librosa, as a typical user would write it; `speed.py` times this script.

    python benchmarks/peers/paint_with_torch.py SONG PICTURE.png [--size 1024] [--descriptors]

It uses the same three networks as ``clavilux paint``, with the weights of the shipped bundle. Nothing is slowed down on
purpose. It does less than ``clavilux paint``:

* With ``--descriptors``, it measures the descriptors that librosa has functions for, and takes the means of the
  training songs for the others. Without this option, it takes the means for all.
* The picture is the enlarged plan, each pixel in the most probable colour: no marks, no smooth edges, no grain, no
  record, no colour profile.
* Damaged files are not reported, and the song and the weights are not hashed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import librosa
import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from clavilux.models.audio_vae import AudioVAE
from clavilux.models.image_vae import ImageVAE
from clavilux.models.mapping_network import MappingNetwork

SAMPLE_RATE = 22_050
WINDOW_FRAMES = 216
BUNDLE = Path(__file__).resolve().parents[2] / "clavilux" / "bundles" / "default"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("song", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--descriptors", action="store_true", help="measure the descriptors that librosa has")
    given = parser.parse_args()

    card = json.loads((BUNDLE / "bundle.json").read_text("utf-8"))
    audio_vae, mapping, image_vae = load_networks(card)
    sound, _ = librosa.load(given.song, sr=SAMPLE_RATE)
    windows = cut_windows(sound)
    described = dict(zip(card["descriptors"], card["normalisation"]["descriptor_mean"], strict=True))
    if given.descriptors:
        measured = measure_descriptors(sound)
        described |= {name: value for name, value in measured.items() if name in described}
    with torch.inference_mode():
        code = audio_vae(windows)[0].mean(dim=0)  # mean over windows of the posterior means
        song = torch.cat([code, torch.tensor(list(described.values()))])
        controls = image_vae.decode(mapping(song[None]))
        plan = torch.nn.functional.interpolate(controls.plan, size=(given.size, given.size), mode="bicubic")
        slots = plan[0].argmax(dim=0).numpy()
    palette = np.load(BUNDLE / "palettes.npy")[int(controls.palette.argmax())]
    Image.fromarray(np.rint(palette * 255).astype(np.uint8)[slots]).save(given.picture)


def load_networks(card: dict) -> tuple[AudioVAE, MappingNetwork, ImageVAE]:
    """Return the three networks with their weights, in evaluation mode."""
    recipe = card["config"]
    weights = {
        name: load_file(BUNDLE / f"{name}.safetensors") for name in ("audio_vae", "mapping_network", "image_vae")
    }
    n_components, song_dim = weights["mapping_network"]["components.weight"].shape
    audio_vae = AudioVAE(
        width=recipe["audio_vae"]["width"], track_dims=recipe.get("track_embedding", {"dims": 0})["dims"]
    )
    mapping = MappingNetwork(
        song_dim=song_dim, n_components=n_components, n_centres=len(weights["mapping_network"]["centres"])
    )
    image_vae = ImageVAE(
        n_palettes=len(weights["image_vae"]["to_palette.bias"]),
        n_kinds=len(card["kinds"]),
        width=recipe["image_vae"]["width"],
        decoder_width=recipe["image_vae"]["decoder_width"],
    )
    for network, name in ((audio_vae, "audio_vae"), (mapping, "mapping_network"), (image_vae, "image_vae")):
        network.load_state_dict(weights[name])  # copies half precision into single precision
        network.eval()
    return audio_vae, mapping, image_vae


def cut_windows(sound: np.ndarray) -> torch.Tensor:
    """Return the MFCC of the windows of 5 s, (n, 20, 216)."""
    mfcc = librosa.feature.mfcc(y=sound, sr=SAMPLE_RATE, n_mfcc=20)
    n_windows = max(1, mfcc.shape[1] // WINDOW_FRAMES)
    mfcc = librosa.util.fix_length(mfcc, size=n_windows * WINDOW_FRAMES, axis=1)
    return torch.from_numpy(mfcc.reshape(20, n_windows, WINDOW_FRAMES).transpose(1, 0, 2).copy())


def measure_descriptors(sound: np.ndarray) -> dict[str, float]:
    """Return the descriptors that librosa has functions for, in the units of the bundle."""
    onsets = librosa.onset.onset_strength(y=sound, sr=SAMPLE_RATE)
    tempo, _ = librosa.beat.beat_track(onset_envelope=onsets, sr=SAMPLE_RATE)
    found = librosa.onset.onset_detect(onset_envelope=onsets, sr=SAMPLE_RATE)
    return {
        "tempo": float(np.atleast_1d(tempo)[0]),
        "onset_rate": len(found) / (len(sound) / SAMPLE_RATE),
        "centroid": float(librosa.feature.spectral_centroid(y=sound, sr=SAMPLE_RATE).mean()),
        "bandwidth": float(librosa.feature.spectral_bandwidth(y=sound, sr=SAMPLE_RATE).mean()),
        "flatness": float(10 * np.log10(librosa.feature.spectral_flatness(y=sound).mean())),
    }


if __name__ == "__main__":
    main()
