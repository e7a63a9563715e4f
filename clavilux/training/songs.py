"""Compute song codes, the inputs of the mapping, and the weights for distances between song codes.

A song code is the mean latent of the windows of a song, with the descriptors of the song appended.
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

_BATCH = 64  # largest number of windows in a forward pass
_LEAST_GAIN = 0.05  # smallest gain; with few songs, every number may vary as much within songs as between songs


@dataclass(frozen=True)
class SongCodes:
    """Codes of n songs and of their halves; a code has 64 latent dimensions, then D descriptors."""

    names: list[str]  # names of the feature files
    codes: Float64  # (n, 64 + D), codes of whole songs
    halves: Float64  # (n, 2, 64 + D), codes of the first and of the second half of each song
    descriptors: dict[str, Float64]  # name -> (n,), all descriptors of whole songs; the codes have only D of them
    track_dims: int = 0  # size of the track embedding, the first numbers of a code; 0 without one
    copies: Float64 | None = None  # (n, 1 + C, 64 + D), codes of an excerpt of each song and of C degraded copies of it


def encode_songs(
    network: AudioVAE, dataset: AudioFeatureDataset, folder: Path, mapped_descriptors: tuple[str, ...]
) -> SongCodes:
    """Return the song codes of the tracks of a dataset.

    ``folder`` is the folder with `descriptors.csv`. ``mapped_descriptors`` names the D descriptors of a code, in the
    order in which they are appended.

    Raises
    ------
    CorpusError
        If `descriptors.csv` is missing or lacks a track or a descriptor, or if a value in it is not a number.
    """
    rows = read_descriptors(folder)
    z_audio, described = [], []
    for entry, file in zip(dataset.entries, dataset.files, strict=True):
        described.append(descriptors_of(entry, rows, folder))
        windows = file.windows()
        n_parts = 1 + len(windows) // _BATCH
        with torch.no_grad():
            parts = [network(torch.from_numpy(np.array(part)))[0] for part in np.array_split(windows, n_parts)]
        z = torch.cat(parts).double().numpy()
        middle = len(z) // 2
        z_audio.append([part.mean(axis=0) for part in (z, z[: max(middle, 1)], z[middle:])])
    all_descriptors = np.array(described)  # (n, 3, descriptors): the song, its first half, its second half
    codes = np.concatenate([np.array(z_audio), _select(all_descriptors, mapped_descriptors)], axis=2)
    descriptors = dict(zip(DESCRIPTORS, all_descriptors[:, 0].T, strict=True))
    track_dims = network.track_embedding.dims if network.track_embedding is not None else 0
    names = [entry.name for entry in dataset.entries]
    return SongCodes(names, codes[:, 0], codes[:, 1:], descriptors, track_dims)


def encode_copies(network: AudioVAE, copies: TrackCopies, mapped_descriptors: tuple[str, ...]) -> Float64:
    """Return the codes (n, 1 + C, 64 + D) of n excerpts, one per track, and of C degraded copies of each excerpt.

    The latent dimensions after the track embedding are set to 0. The encoder needs windows to compute them, but
    `TrackCopies` has only statistics of windows.
    """
    embedding = network.track_embedding
    assert embedding is not None, "copies are made for the track embedding"
    means = copies.means(lambda rows: embedding.embed(embedding.standardise(rows)))
    detail = np.zeros((*means.shape[:2], LATENT_DIM - means.shape[2]))
    return np.concatenate([means, detail, _select(copies.descriptors, mapped_descriptors)], axis=2)


def song_weights(songs: SongCodes, recipe: MappingRecipe) -> Float64:
    """Return the weights (64 + D,) by which standardised song codes are multiplied before distances are measured.

    The weight of an element of the code is its Wiener gain to the power of `steadiness`. For a descriptor, it is
    multiplied by `descriptor_weight`. For a latent dimension after the track embedding, it is multiplied by
    `detail_weight`.
    """
    weights = wiener_gains(songs) ** recipe.steadiness
    if songs.track_dims:
        weights[songs.track_dims : LATENT_DIM] *= recipe.detail_weight
    weights[LATENT_DIM:] *= recipe.descriptor_weight
    return weights


def wiener_gains(songs: SongCodes) -> Float64:
    """Return the gain of a Wiener filter for each element of a song code: (64 + D,), in [0.05, 1].

    A gain is 1 - (variance within songs) / (variance between songs) (Wiener 1949). The variance within songs is the
    variance between the halves of a song; if there are copies, the variance between an excerpt and its copies is added.
    """
    between = np.maximum(songs.codes.var(axis=0), 1e-12)
    within = 0.5 * np.square(songs.halves[:, 0] - songs.halves[:, 1]).mean(axis=0)
    if songs.copies is not None:
        within += 0.5 * np.square(songs.copies[:, 1:] - songs.copies[:, :1]).mean(axis=(0, 1))
    return np.asarray(np.clip(1 - within / between, _LEAST_GAIN, 1))


def _select(descriptors: Float64, names: tuple[str, ...]) -> Float64:
    """Return the descriptors with these D names, (n, k, D), from all descriptors (n, k, n_descriptors)."""
    return descriptors[:, :, [list(DESCRIPTORS).index(name) for name in names]]
