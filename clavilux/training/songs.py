"""Song codes, the inputs of the mapping.

feature files -> AudioVAE -> mean z_audio of a song, with its descriptors appended -> song code
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.constants import LATENT_DIM
from clavilux.models.audio_vae import AudioVAE
from clavilux.training.datasets import AudioFeatureDataset, descriptors_of, read_descriptors
from clavilux.training.recipe import MappingRecipe
from clavilux.training.track_copies import TrackCopies

Float64 = NDArray[np.float64]

_BATCH = 64  # windows
_LEAST_GAIN = 0.05  # with few songs, all numbers may vary as much within songs as between them


@dataclass(frozen=True)
class SongCodes:
    """Codes of n songs and of their halves, with D descriptors in each code.

    Attributes
    ----------
    names : list of str
        Names of the feature files.
    codes : (n, 64 + D)
        Codes of whole songs.
    halves : (n, 2, 64 + D)
        Codes of the first and the second half of each song.
    descriptors : dict of str to (n,)
        All descriptors of whole songs by name, including those that are not in the codes.
    track_dims : int
        How many numbers at the start of a code are the track embedding; 0 without one.
    copies : (n, 1 + C, 64 + D), optional
        Codes of an excerpt of each song and of C degraded copies of it.
    """

    names: list[str]
    codes: Float64
    halves: Float64
    descriptors: dict[str, Float64]
    track_dims: int = 0
    copies: Float64 | None = None


def encode_songs(
    network: AudioVAE, dataset: AudioFeatureDataset, folder: Path, mapped_descriptors: tuple[str, ...]
) -> SongCodes:
    """Return the song codes of the tracks of a dataset.

    ``folder`` has `descriptors.csv`; ``mapped_descriptors`` are the names of the descriptors in a code, in order.

    Raises
    ------
    CorpusError
        If `descriptors.csv` in `folder` is missing, lacks a track or a descriptor, or a value is not a number.
    """
    rows = read_descriptors(folder)
    names, z_audio, described = [], [], []
    for entry, windows in zip(dataset.entries, dataset.arrays, strict=True):
        values = descriptors_of(entry, rows, folder)
        n_parts = 1 + len(windows) // _BATCH
        with torch.no_grad():
            parts = [network(torch.from_numpy(np.array(part)))[0] for part in np.array_split(windows, n_parts)]
        z = torch.cat(parts).double().numpy()
        middle = len(z) // 2
        names.append(entry.name)
        z_audio.append([part.mean(axis=0) for part in (z, z[: max(middle, 1)], z[middle:])])
        described.append(values)
    all_descriptors = np.array(described)  # (n, 3, descriptors): the song, its first half, its second half
    mapped = all_descriptors[:, :, [list(DESCRIPTORS).index(name) for name in mapped_descriptors]]
    codes = np.concatenate([np.array(z_audio), mapped], axis=2)
    descriptors = dict(zip(DESCRIPTORS, all_descriptors[:, 0].T, strict=True))
    track_dims = network.track_embedding.dims if network.track_embedding is not None else 0
    return SongCodes(names, codes[:, 0], codes[:, 1:], descriptors, track_dims)


def encode_copies(network: AudioVAE, copies: TrackCopies, mapped_descriptors: tuple[str, ...]) -> Float64:
    """Return the codes (n, 1 + C, 64 + D) of an excerpt of each of n tracks and of its C copies.

    The numbers of a code after the track embedding, up to number 64, are 0, because `TrackCopies` has statistics of
    windows and not the windows.
    """
    embedding = network.track_embedding
    assert embedding is not None, "copies are made for the track embedding"
    means = copies.means(lambda rows: embedding.direct(embedding.standardise(rows)))
    detail = np.zeros((*means.shape[:2], LATENT_DIM - means.shape[2]))
    mapped = copies.descriptors[:, :, [list(DESCRIPTORS).index(name) for name in mapped_descriptors]]
    return np.concatenate([means, detail, mapped], axis=2)


def song_weights(songs: SongCodes, recipe: MappingRecipe) -> Float64:
    """Return the weights (64 + D,) of the standardised numbers of a song code in distances between songs.

    A weight is that of the recipe for this part of the code, times the Wiener gain to the power of `steadiness`.
    """
    weights = wiener_gains(songs) ** recipe.steadiness
    if songs.track_dims:
        weights[songs.track_dims : LATENT_DIM] *= recipe.detail_weight
    weights[LATENT_DIM:] *= recipe.descriptor_weight
    return weights


def wiener_gains(songs: SongCodes) -> Float64:
    """Return the Wiener gain (1949) of each number of a song code: (64 + D,), in [0.05, 1].

    It is 1 - (variance within songs) / (variance between songs). The variance within songs is that between the halves
    of a song, plus that between an excerpt and its copies if there are copies.
    """
    between = np.maximum(songs.codes.var(axis=0), 1e-12)
    within = 0.5 * np.square(songs.halves[:, 0] - songs.halves[:, 1]).mean(axis=0)
    if songs.copies is not None:
        within += 0.5 * np.square(songs.copies[:, 1:] - songs.copies[:, :1]).mean(axis=(0, 1))
    return np.asarray(np.clip(1 - within / between, _LEAST_GAIN, 1))
