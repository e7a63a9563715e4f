r"""Last stage of a training: fit the linear heads and the mapping, and write the bundle.

feature files -> AudioVAE -> song codes -----------------------------\
windows -> ImageVAE -> latents -> linear heads -> paintings of art ---> mapping -> bundle
"""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.models.audio_vae import AudioVAE
from clavilux.models.image_vae import ImageVAE
from clavilux.models.mapping_network import MappingNetwork, PerceptronMapping
from clavilux.training.analysis import Windows
from clavilux.training.checkpoint import precision_of
from clavilux.training.datasets import TRAINING, VALIDATION, AudioFeatureDataset, describe_folder
from clavilux.training.export import Trained, export_bundle
from clavilux.training.fit_by_surrogate import PredictorInputs
from clavilux.training.linear_heads import balance_classes, fit_linear_heads
from clavilux.training.logs import last_validation, log_counts
from clavilux.training.neighbours import find_neighbours
from clavilux.training.run import Run
from clavilux.training.shuffled_pairs import fit_on_shuffled_pairs
from clavilux.training.songs import SongCodes, encode_copies, encode_songs, song_weights
from clavilux.training.stage_pictures import PictureSide, encode_windows, paint_art, prepare_windows
from clavilux.training.track_copies import copy_tracks
from clavilux.training.train_image_vae import window_weights
from clavilux.training.train_mapping import (
    check_variety,
    fit_mapping,
    local_spread,
    map_songs,
    mapping_figures,
    refuse_degenerate,
)
from clavilux.training.train_mark_classifier import kind_similarity, wanted_shares
from clavilux.training.visual_features import Art, Float64, measure_art, paint_latents

MAPPED_DESCRIPTORS = tuple(name for name, descriptor in DESCRIPTORS.items() if descriptor.plain)
_LATENTS = 1_500  # largest number of latents of art; more take longer and change little


@refuse_degenerate()
def finish(run: Run, audio_vae: AudioVAE, pictures: PictureSide, output: Path) -> None:
    """Fit the linear heads and the mapping, and write the bundle.

    ``audio_vae`` and ``pictures`` are the results of the first two stages. ``output`` is the folder of the bundle, new
    or empty.

    Raises
    ------
    TrainingError
        If all songs or all pictures are equal, an ONNX graph gives other outputs than its network, or a folder cannot
        be written to.
    """
    descriptors = () if run.recipe.mapping.method == "shuffled-pairs" else MAPPED_DESCRIPTORS
    songs = {split: _encode(run, audio_vae, split, descriptors) for split in (TRAINING, VALIDATION)}
    measures = {name: _measures_of(run, name) for name in ("audio_vae", "image_vae")}
    windows = prepare_windows(run, TRAINING)
    rng = np.random.default_rng(run.recipe.seed)
    all_latents = encode_windows(pictures.network, windows)
    chosen = _choose_windows(run, windows, rng)
    latents = all_latents[chosen]
    if pictures.mark_classifier is not None:
        measures["mark_classifier"] = _measures_of(run, "mark_classifier")
        measures["linear_heads"] = _fit_heads(run, pictures, windows.palettes[chosen], chosen, latents, rng)
    check_variety(songs[TRAINING], latents)
    mapping, art = _fit(run, pictures, songs[TRAINING], latents, rng)
    if isinstance(pictures.network, ImageVAE):
        shares = wanted_shares(run.recipe.analysis)
        balanced = balance_classes(pictures.network, map_songs(mapping, songs[TRAINING]), *shares)
        run.log("classes of songs: " + ", ".join(f"{name} {value:.3f}" for name, value in balanced.items()))
    mapped = map_songs(mapping, songs[VALIDATION])
    paintings = paint_latents(pictures.network, pictures.palettes, mapped, jobs=run.jobs)
    painted = measure_art(mapped, paintings, jobs=run.jobs)
    measures["mapping"] = mapping_figures(mapping, songs[VALIDATION], art, painted)
    run.log("mapping: validation songs, " + ", ".join(f"{k} {v:.3f}" for k, v in measures["mapping"].items()))
    normalisation = _normalisation(run, audio_vae, mapping, songs[TRAINING], descriptors)
    parity = export_bundle(
        Trained(audio_vae, pictures.network, mapping, pictures.mark_classifier, pictures.palettes),
        output,
        descriptors=descriptors,
        variation_scale=local_spread(latents),
        config=dataclasses.asdict(run.recipe),
        normalisation=normalisation,
        corpus={"art": describe_folder(run.art), "music": describe_folder(run.features)},
        measures=measures,
        # Only the names of folders, because their paths are private to this machine.
        command="clavilux " + " ".join(Path(word).name for word in run.command),
        neighbours=find_neighbours(run, songs[TRAINING], windows, all_latents, normalisation),
    )
    run.log(f"bundle: {output}, parity " + ", ".join(f"{stage} {value:.1e}" for stage, value in parity.items()))


def _measures_of(run: Run, name: str) -> dict[str, Any]:
    """Return the last validation metrics of "audio_vae", "image_vae" or "mark_classifier", as ``name`` says.

    They include "precision", the number format of the training. If the network is from the bundle `run.audio_from` or
    `run.pictures_from`, they are read from this bundle.
    """
    source = run.audio_from if name == "audio_vae" else run.pictures_from
    if source is not None:
        return dict(source.card.get("measures", {}).get(name, {}))
    task = name.replace("_vae", "-vae")
    measures: dict[str, Any] = dict(last_validation(run.folder, task))
    checkpoint = run.folder / f"{task}.ckpt"
    return measures | ({"precision": precision_of(checkpoint)} if checkpoint.exists() else {})


def _encode(run: Run, audio_vae: AudioVAE, split: str, descriptors: tuple[str, ...]) -> SongCodes:
    """Return the song codes of a split; of training songs, also those of degraded copies if the run has such copies."""
    dataset = AudioFeatureDataset(run.features, split, run.note)
    songs = encode_songs(audio_vae, dataset, run.features, descriptors)
    if split != TRAINING or not run.learns_from_copies:
        return songs
    return dataclasses.replace(songs, copies=encode_copies(audio_vae, copy_tracks(run, dataset, split), descriptors))


def _choose_windows(run: Run, windows: Windows, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the indices (n,) of random training windows that represent art.

    The key `painting_share` in the table [mapping] of the recipe is the approximate fraction of windows from paintings
    that show a subject. The other windows are from abstract or generative pictures.
    """
    weights = window_weights(windows, run.recipe.mapping.painting_share).numpy()
    n = min(_LATENTS, int((weights > 0).sum()))
    return rng.choice(len(weights), n, replace=False, p=weights / weights.sum())


def _fit_heads(
    run: Run,
    pictures: PictureSide,
    palettes: NDArray[np.float32],
    chosen: NDArray[np.int64],
    latents: Float64,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Fit the linear heads of the ImageVAE to the palettes and marks of the chosen windows."""
    assert isinstance(pictures.network, ImageVAE)
    assert pictures.marks is not None and pictures.palettes is not None and pictures.mark_classifier is not None
    figures = fit_linear_heads(
        pictures.network,
        latents,
        palettes,
        pictures.marks.take(chosen),
        pictures.palettes,
        kind_similarity(pictures.mark_classifier),
        wanted_shares(run.recipe.analysis),
        palette_blend=run.recipe.image_vae.palette_blend,
        rng=rng,
    )
    run.log("linear heads: " + ", ".join(f"{key} {value:.3g}" for key, value in figures.items()))
    return figures


def _fit(
    run: Run, pictures: PictureSide, songs: SongCodes, latents: Float64, rng: np.random.Generator
) -> tuple[MappingNetwork | PerceptronMapping, Art]:
    """Fit the mapping with the method of the recipe, and return it with the art that it was fitted to."""
    recipe, seed, n = run.recipe.mapping, run.recipe.seed, len(latents)
    measure = partial(measure_art, jobs=run.jobs)
    if recipe.method == "look-preserving":
        # As many latents again, from a normal distribution: the predictor must be right between the latents of art too.
        latents = np.concatenate([latents, rng.multivariate_normal(latents.mean(axis=0), np.cov(latents.T), n)])
    both = measure(latents, list(paint_art(run, pictures, latents)))
    art, more_art = both.take(slice(None, n)), both.take(slice(n, None))
    if recipe.method == "shuffled-pairs":
        return fit_on_shuffled_pairs(songs, art, recipe, seed=seed, log=run.log), art
    inputs = None
    if isinstance(pictures.network, ImageVAE) and pictures.palettes is not None:
        inputs = PredictorInputs(pictures.network, pictures.palettes)

    def paint_and_measure(latents: Float64) -> Art:
        counted = log_counts(run.log, "mapping: painted latents of songs", len(latents))
        painted = paint_latents(pictures.network, pictures.palettes, latents, jobs=run.jobs, counted=counted)
        return measure(latents, painted, scale=both.scale)

    mapping = fit_mapping(
        songs,
        art,
        recipe,
        seed=seed,
        log=run.log,
        more_art=more_art,
        inputs=inputs,
        measure=paint_and_measure,
    )
    return mapping, art


def _normalisation(
    run: Run,
    audio_vae: AudioVAE,
    mapping: MappingNetwork | PerceptronMapping,
    songs: SongCodes,
    descriptors: tuple[str, ...],
) -> dict[str, Any]:
    """Return the field "normalisation" of `bundle.json`: means, standard deviations and weights of training data."""
    normalisation: dict[str, Any] = {
        "feature_mean": audio_vae.row_mean.flatten().tolist(),
        "feature_deviation": audio_vae.row_deviation.flatten().tolist(),
        "descriptor_mean": [float(songs.descriptors[name].mean()) for name in descriptors],
    }
    if isinstance(mapping, MappingNetwork):
        normalisation |= {
            "song_mean": mapping.song_mean.tolist(),
            "song_deviation": mapping.song_deviation.tolist(),
            "song_weights": song_weights(songs, run.recipe.mapping).tolist(),
        }
    return normalisation
