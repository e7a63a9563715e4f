"""Song codes and audio embeddings of whole songs, of their halves, and of copies in other formats.

A song code is the vector that a bundle computes from a song: the mean audio latent of its windows, and descriptors. The
distance between two songs is measured in one of three audio embeddings:

    code      the song code of the evaluated bundle, scaled as its mapping network scales it
    musicnn   the features of musicnn, a music tagger with published weights (`musicnn.py`)
    mfcc      mean and standard deviation of each MFCC coefficient over time, as a simple baseline
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clavilux.audio.decode import read_blocks
from clavilux.audio.descriptors import describe
from clavilux.audio.features import Features, measure_features
from clavilux.audio.mfcc import LIBROSA, FeatureSettings
from clavilux.bundle import Bundle
from clavilux.constants import LATENT_DIM, SONG_LIMIT
from clavilux.engine import Engine
from clavilux.errors import AudioError
from clavilux.evaluation import musicnn
from clavilux.evaluation.painting import open_clavilux
from clavilux.measures.copies import COPIES, read_stereo
from clavilux.system.jobs import run_calls

Float32 = NDArray[np.float32]

# Dimensions of the audio latent are noise if their standard deviation over songs is below this fraction of the median.
_CODE_FLOOR = 0.25


@dataclass(frozen=True)
class MeasuredSongs:
    """Measurements of the n songs that could be decoded."""

    chosen: list[int]  # indices of these songs in the list of files
    codes: dict[str, Float32]  # bundle -> song codes (n, S) of whole songs
    halves: dict[str, Float32]  # bundle -> song codes (n, 2, S) of the two halves
    descriptors: dict[str, Float32]  # name -> values (n,) of whole songs
    other_embeddings: dict[str, Float32]  # "mfcc" and "musicnn" -> embeddings (n, 2, F) of the two halves
    faults: list[str]  # one line for each file that could not be decoded


def measure_songs(files: Sequence[Path], bundles: Sequence[str], *, max_s: float, jobs: int) -> MeasuredSongs:
    """Measure the first `max_s` seconds of each song file.

    ``bundles`` are names or folders. ``jobs`` is the number of worker processes, -1 for one per core.

    Raises
    ------
    AudioError
        If fewer than two files can be decoded.
    """
    results = run_calls(
        (partial(_measure_one, file, tuple(bundles), max_s) for file in files),
        jobs=jobs,
        failed=lambda call, reason: f"{call.args[0]}: {reason}",
    )
    chosen = [i for i, result in enumerate(results) if not isinstance(result, str)]
    if len(chosen) < 2:
        raise AudioError("fewer than two of these songs can be decoded; the measures compare songs")
    good = [result for result in results if not isinstance(result, str)]
    return MeasuredSongs(
        chosen=chosen,
        codes={b: np.stack([r.codes[b][0] for r in good]) for b in bundles},
        halves={b: np.stack([r.codes[b][1:] for r in good]) for b in bundles},
        descriptors={name: np.array([r.descriptors[name] for r in good], np.float32) for name in good[0].descriptors},
        other_embeddings={
            embedding: np.stack([r.other_embeddings[embedding] for r in good]) for embedding in good[0].other_embeddings
        },
        faults=[result for result in results if isinstance(result, str)],
    )


def measure_copies(
    files: Sequence[Path],
    bundles: Sequence[str],
    *,
    max_s: float,
    jobs: int,
    copies: Sequence[str] = ("FLAC", "MP3 128"),
) -> dict[str, Float32]:
    """Return the song codes of compressed or otherwise changed copies: bundle -> (n, C, S) for C copies of n songs.

    ``copies`` are C keys of `clavilux.measures.copies.COPIES`. The other parameters are as in `measure_songs`.
    """
    results = run_calls((partial(_measure_copies, file, tuple(bundles), max_s, copies) for file in files), jobs=jobs)
    return {b: np.stack([result[b] for result in results]) for b in bundles}


def measure_sound(sound: Float32, bundles: Sequence[str]) -> dict[str, Float32]:
    """Return the song code of mono sound (n,) at 22 050 Hz for each bundle (name or folder): bundle -> (S,)."""
    return _measure_part(sound, bundles)[0]


def _measure_part(
    sound: Float32, bundles: Sequence[str]
) -> tuple[dict[str, Float32], dict[str, float], dict[FeatureSettings, Features]]:
    """Return for mono sound (n,): bundle -> song code (S,), the descriptors, and MFCC settings -> features.

    The MFCC settings are the defaults of librosa, and those of each bundle.
    """
    engines = {bundle: open_clavilux(bundle).engine for bundle in bundles}
    settings = {LIBROSA, *(engine.bundle.feature_settings for engine in engines.values())}
    features = {each: measure_features([sound], each) for each in settings}
    descriptors = describe(features[LIBROSA])
    codes = {
        bundle: song_code(engine, features[engine.bundle.feature_settings], descriptors)
        for bundle, engine in engines.items()
    }
    return codes, descriptors, features


def song_code(engine: Engine, features: Features, descriptors: dict[str, float]) -> Float32:
    """Return the song code (S,) float32 for the features and the descriptors of a sound."""
    z_audio = engine.encode_windows(features.audible_mfcc).mean(axis=0, dtype=np.float64)
    return np.array([*z_audio, *(descriptors[name] for name in engine.bundle.descriptors)], np.float32)


@dataclass(frozen=True)
class Scale:
    """The scale of an audio embedding x: clip((x - mean) / deviation, -limit, limit) * weights."""

    mean: NDArray[np.float64]  # (F,)
    deviation: NDArray[np.float64]  # (F,), standard deviations
    weights: NDArray[np.float64]  # (F,)
    limit: float = math.inf  # in standard deviations

    @classmethod
    def of_bundle(cls, bundle: Bundle, codes: Float32) -> Scale:
        """Return the scale that the mapping network of a bundle applies to song codes.

        If the card of the bundle does not state a scale, the result standardises `codes` (n, S). In this case,
        dimensions of the audio latent that hardly vary between songs are treated as noise: they are not scaled up to
        unit variance.
        """
        stated = bundle.card["normalisation"]
        if "song_weights" in stated:
            mean, deviation, weights = (
                np.array(stated[f"song_{part}"], np.float64) for part in ("mean", "deviation", "weights")
            )
            return cls(mean, deviation, weights, SONG_LIMIT)
        values = np.asarray(codes, np.float64)
        deviation = values.std(axis=0)
        latents = deviation[:LATENT_DIM]
        deviation[:LATENT_DIM] = np.maximum(latents, _CODE_FLOOR * np.median(latents))
        return cls(values.mean(axis=0), np.maximum(deviation, 1e-9), np.ones(len(deviation)))

    @classmethod
    def of_blocks(cls, values: Float32, blocks: Sequence[int]) -> Scale:
        """Return the scale that standardises the columns of values (n, F), with the same weight for each block.

        ``blocks`` are the numbers of columns of consecutive blocks.
        """
        deviation = np.maximum(np.std(values, axis=0, dtype=np.float64), 1e-6)
        weights = np.concatenate([np.full(n, n**-0.5) for n in blocks])
        return cls(np.mean(values, axis=0, dtype=np.float64), deviation, weights)

    def place(self, values: Float32) -> NDArray[np.float64]:
        """Return the scaled points (..., F) of values (..., F)."""
        return np.asarray(np.clip((values - self.mean) / self.deviation, -self.limit, self.limit) * self.weights)


def place_embeddings(songs: MeasuredSongs, bundle: str) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return the scaled points of each audio embedding: name -> (whole songs (n, F), halves (n, 2, F)).

    The embedding "code" consists of the song codes of ``bundle``, a name or folder. In the other embeddings, the point
    of a whole song is the mean of the points of its halves.
    """
    scale = Scale.of_bundle(open_clavilux(bundle).bundle, songs.codes[bundle])
    placed = {"code": (scale.place(songs.codes[bundle]), scale.place(songs.halves[bundle]))}
    for embedding, halves in songs.other_embeddings.items():
        whole = halves.mean(axis=1)
        blocks = musicnn.BLOCKS if embedding == "musicnn" else (whole.shape[1],)
        scale = Scale.of_blocks(whole, blocks)
        placed[embedding] = (scale.place(whole), scale.place(halves))
    return placed


@dataclass(frozen=True)
class _MeasuredSong:
    codes: dict[str, Float32]  # (3, S): whole, first half, second half
    descriptors: dict[str, float]
    other_embeddings: dict[str, Float32]  # (2, F): the halves


def _measure_one(file: Path, bundles: tuple[str, ...], max_s: float) -> _MeasuredSong | str:
    """Return the measurements of a song, or an error message if the song cannot be decoded."""
    with threadpool_limits(1):
        try:
            sound = np.concatenate(list(read_blocks(file, max_s=max_s)))
        except AudioError as error:
            return str(error)
        middle = len(sound) // 2
        halves = (sound[:middle], sound[middle:])
        measured = [_measure_part(part, bundles) for part in (sound, *halves)]
        codes = {bundle: np.stack([codes[bundle] for codes, *_ in measured]) for bundle in bundles}
        embeddings = {
            "mfcc": np.stack([_mfcc_statistics(features[LIBROSA]) for *_, features in measured[1:]]),
            "musicnn": np.stack([musicnn.measure_sound(part) for part in halves]),
        }
        return _MeasuredSong(codes, measured[0][1], embeddings)


def _mfcc_statistics(features: Features) -> Float32:
    """Return the mean and the standard deviation of each MFCC coefficient over the audible windows."""
    windows = features.audible_mfcc
    rows = windows.transpose(1, 0, 2).reshape(windows.shape[1], -1)
    return np.concatenate([rows.mean(axis=1), rows.std(axis=1)])


def _measure_copies(file: Path, bundles: tuple[str, ...], max_s: float, copies: Sequence[str]) -> dict[str, Float32]:
    """Return the song codes (C, S) of each bundle for C copies of a song."""
    with threadpool_limits(1):
        sound = read_stereo(file, max_s=max_s)
        codes = [measure_sound(COPIES[name](sound), bundles) for name in copies]
        return {bundle: np.stack([each[bundle] for each in codes]) for bundle in bundles}
