"""Songs for the measures: whole, as two halves that share no sample, and as FLAC and MP3 of one sound.

files -> listen -> **codes** of each bundle, descriptors, and what the other ears hear

Ears, which tell how alike two songs sound: `code` (the song code of the bundle that is judged, mean z_audio and
descriptors, in the space that its mapping takes), `musicnn` (a network of others, where it is installed) and `mfcc`
(means and deviations of the MFCC rows, the plain yardstick).
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clavilux.audio.decode import read_blocks
from clavilux.audio.descriptors import describe
from clavilux.audio.features import Features, measure_features
from clavilux.audio.mix import AUDIBLE_DB
from clavilux.bundle import Bundle
from clavilux.constants import LATENT_DIM
from clavilux.engine import Engine
from clavilux.errors import AudioError
from clavilux.evaluation import musicnn
from clavilux.evaluation.painting import open_engine
from clavilux.models.mapping_network import LIMIT
from clavilux.system.jobs import run_calls

Float32 = NDArray[np.float32]

_CODE_FLOOR = 0.25  # of the median deviation of z_audio: a number that hardly differs between songs is noise
_COPY_RATE = 44_100  # Hz, of the FLAC and the MP3
_COPY_BIT_RATE = 128_000


@dataclass(frozen=True)
class MeasuredSongs:
    """n songs that could be listened to.

    chosen : (n,) places of the songs among the files that were given. codes : (n, S) of each bundle, the whole songs.
    halves : (n, 2, S) of each bundle. descriptors : (n,) each, of whole songs. other_ears : (n, 2, F) of each ear, the
    halves. faults : lines about files that could not be listened to.
    """

    chosen: NDArray[np.intp]
    codes: dict[str, Float32]
    halves: dict[str, Float32]
    descriptors: dict[str, Float32]
    other_embeddings: dict[str, Float32]
    faults: list[str]


def measure_songs(files: Sequence[Path], bundles: Sequence[str], *, max_s: float, jobs: int) -> MeasuredSongs:
    """Listen to all files, each to `max_s` seconds at most; every bundle hears the same features.

    Raises
    ------
    AudioError
        Fewer than two can be listened to.
    """
    results = run_calls(
        (partial(_measure_one, file, tuple(bundles), max_s) for file in files),
        jobs=jobs,
        failed=lambda call, reason: f"{call.args[0]}: {reason}",
    )
    chosen = [i for i, result in enumerate(results) if not isinstance(result, str)]
    if len(chosen) < 2:
        raise AudioError("fewer than two of these songs can be listened to; measures compare songs")
    good = [result for result in results if not isinstance(result, str)]
    return MeasuredSongs(
        chosen=np.array(chosen),
        codes={b: np.stack([r.codes[b][0] for r in good]) for b in bundles},
        halves={b: np.stack([r.codes[b][1:] for r in good]) for b in bundles},
        descriptors={name: np.array([r.descriptors[name] for r in good], np.float32) for name in good[0].descriptors},
        other_embeddings={
            embedding: np.stack([r.other_embeddings[embedding] for r in good]) for embedding in good[0].other_embeddings
        },
        faults=[result for result in results if isinstance(result, str)],
    )


def measure_copies(files: Sequence[Path], bundles: Sequence[str], *, max_s: float, jobs: int) -> dict[str, Float32]:
    """Codes (n, 2, S) of each bundle: each song as FLAC and as MP3 of 128 kbit/s, both written from one sound."""
    results = run_calls((partial(_measure_copies, file, tuple(bundles), max_s) for file in files), jobs=jobs)
    return {b: np.stack([result[b] for result in results]) for b in bundles}


def measure_sound(sound: Float32, bundles: Sequence[str]) -> dict[str, Float32]:
    """Codes (S,) of each bundle of mono sound at 22 050 Hz."""
    features = measure_features([sound])
    described = describe(features)
    return {bundle: song_code(open_engine(bundle).engine, features, described) for bundle in bundles}


def song_code(engine: Engine, features: Features, described: dict[str, float]) -> Float32:
    """Code (S,) of features that were measured of a sound."""
    windows = _audible(features)
    z_audio = engine.window_codes(windows).mean(axis=0, dtype=np.float64)
    return np.array([*z_audio, *(described[name] for name in engine.bundle.descriptors)], np.float32)


@dataclass(frozen=True)
class Scale:
    """Where numbers about songs become points: centred, divided by `deviation`, held within `limit`, weighted."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    weights: NDArray[np.float64]
    limit: float = math.inf

    @classmethod
    def of_bundle(cls, bundle: Bundle, codes: Float32) -> Scale:
        """For song codes (n, S): where the mapping of a bundle takes them, up to its last components.

        A bundle that does not say it (the classic recipe does not standardise, older ones did not write it down) is
        given the spread of these codes. A latent that hardly differs between songs is noise, and is not blown up.
        """
        said = bundle.card["normalisation"]
        if "song_weights" in said:
            mean, deviation, weights = (
                np.array(said[f"song_{part}"], np.float64) for part in ("mean", "deviation", "weights")
            )
            return cls(mean, deviation, weights, LIMIT)
        values = np.asarray(codes, np.float64)
        deviation = values.std(axis=0)
        latents = deviation[:LATENT_DIM]
        deviation[:LATENT_DIM] = np.maximum(latents, _CODE_FLOOR * np.median(latents))
        return cls(values.mean(axis=0), np.maximum(deviation, 1e-9), np.ones(len(deviation)))

    @classmethod
    def of_blocks(cls, values: Float32, blocks: Sequence[int]) -> Scale:
        """For (n, F) numbers in blocks of these lengths: each by its spread over songs, blocks weighing alike."""
        deviation = np.maximum(np.std(values, axis=0, dtype=np.float64), 1e-6)
        weights = np.concatenate([np.full(n, n**-0.5) for n in blocks])
        return cls(np.mean(values, axis=0, dtype=np.float64), deviation, weights)

    def place(self, values: Float32) -> NDArray[np.float64]:
        """(..., F) -> points (..., F)."""
        return np.asarray(np.clip((values - self.mean) / self.deviation, -self.limit, self.limit) * self.weights)


def place_embeddings(heard: MeasuredSongs, bundle: str) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """What each ear hears as points: whole songs (n, F), and halves (n, 2, F)."""
    scale = Scale.of_bundle(open_engine(bundle).bundle, heard.codes[bundle])
    placed = {"code": (scale.place(heard.codes[bundle]), scale.place(heard.halves[bundle]))}
    for embedding, halves in heard.other_embeddings.items():
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
    with threadpool_limits(1):
        try:
            sound = np.concatenate(list(read_blocks(file, max_s=max_s)))
        except AudioError as error:
            return str(error)
        middle = len(sound) // 2
        halves = (sound[:middle], sound[middle:])
        measured = [measure_features([part]) for part in (sound, *halves)]
        described = [describe(features) for features in measured]
        codes = {
            bundle: np.stack(
                [song_code(open_engine(bundle).engine, f, d) for f, d in zip(measured, described, strict=True)]
            )
            for bundle in bundles
        }
        embeddings = {"mfcc": np.stack([_mfcc_statistics(features) for features in measured[1:]])}
        embeddings["musicnn"] = np.stack([musicnn.measure_sound(part) for part in halves])
        return _MeasuredSong(codes, described[0], embeddings)


def _audible(features: Features) -> Float32:
    audible = features.window_db >= AUDIBLE_DB
    return features.mfcc[audible] if audible.any() else features.mfcc


def _mfcc_statistics(features: Features) -> Float32:
    windows = _audible(features)
    rows = windows.transpose(1, 0, 2).reshape(windows.shape[1], -1)
    return np.concatenate([rows.mean(axis=1), rows.std(axis=1)])


def _measure_copies(file: Path, bundles: tuple[str, ...], max_s: float) -> dict[str, Float32]:
    with threadpool_limits(1), tempfile.TemporaryDirectory() as folder:
        codes: dict[str, list[Float32]] = {bundle: [] for bundle in bundles}
        copies = (Path(folder) / "song.flac", Path(folder) / "song.mp3")
        _copy(file, copies[0], "flac", max_s)
        _copy(file, copies[1], "libmp3lame", max_s)
        for copy in copies:
            heard = measure_sound(np.concatenate(list(read_blocks(copy))), bundles)
            for bundle in bundles:
                codes[bundle].append(heard[bundle])
        return {bundle: np.stack(found) for bundle, found in codes.items()}


def _copy(source: Path, target: Path, codec: Literal["flac", "libmp3lame"], max_s: float) -> None:
    """Write the first `max_s` seconds of a song again, stereo, at 44.1 kHz."""
    with av.open(str(source)) as container, av.open(str(target), "w") as out:
        stream = out.add_stream(codec, rate=_COPY_RATE)
        stream.layout = "stereo"
        if codec == "libmp3lame":
            stream.bit_rate = _COPY_BIT_RATE
        resampler = av.AudioResampler(
            format="s16p" if codec == "libmp3lame" else "s16", layout="stereo", rate=_COPY_RATE
        )
        written = 0
        try:
            for frame in container.decode(audio=0):
                frame.pts = None
                for part in resampler.resample(frame):
                    out.mux(stream.encode(part))
                    written += part.samples
                if written >= max_s * _COPY_RATE:
                    break
        except av.error.FFmpegError:
            pass  # a damaged place ends both copies alike
        out.mux(stream.encode(None))
