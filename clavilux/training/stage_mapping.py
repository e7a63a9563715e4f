r"""Last stage of a training: fit the mapping between the two trained networks, and write the bundle.

AudioVAE, song features -> song codes --------------\
ImageVAE, windows -> latents -> linear heads -> paintings -> mapping -> bundle
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.models.audio_vae import AudioVAE
from clavilux.models.image_vae import ImageVAE
from clavilux.models.mapping_network import MappingNetwork, PerceptronMapping
from clavilux.painter.marks import KINDS
from clavilux.training.analysis import Windows
from clavilux.training.datasets import TRAINING, VALIDATION, AudioFeatureDataset, describe_folder
from clavilux.training.export import Trained, export_bundle
from clavilux.training.fit_by_surrogate import PredictorInputs
from clavilux.training.linear_heads import HeadTargets, balance_classes, fit_linear_heads
from clavilux.training.logs import last_validation
from clavilux.training.run import Run
from clavilux.training.shuffled_pairs import fit_on_shuffled_pairs
from clavilux.training.songs import SongCodes, encode_copies, encode_songs, song_weights
from clavilux.training.stage_pictures import PictureSide, encode_windows, paint_art, paint_latents, prepare_windows
from clavilux.training.track_copies import copy_tracks
from clavilux.training.train_image_vae import picture_weights, windows_of_paintings
from clavilux.training.train_mapping import (
    check_variety,
    fit_mapping,
    local_spread,
    map_songs,
    mapping_figures,
    refuse_degenerate,
)
from clavilux.training.visual_features import Art, FeatureScale, Float64, measure_art

MAPPED_DESCRIPTORS = tuple(name for name, descriptor in DESCRIPTORS.items() if descriptor.plain)
_LATENTS = 1_500  # of training art; more take longer and change little


@dataclass(frozen=True)
class _ArtLatents:
    """Training windows chosen to represent art: their numbers (n,) and latents (n, 64)."""

    chosen: NDArray[np.int64]
    latents: Float64


@refuse_degenerate()
def finish(run: Run, audio_vae: AudioVAE, pictures: PictureSide, output: Path) -> dict[str, Any]:
    """Fit the linear heads and the mapping, write the bundle, and return its measures: network -> name -> value.

    Parameters
    ----------
    run : Run
    audio_vae : AudioVAE
    pictures : PictureSide
    output : Path
        Folder of the bundle, new or empty.

    Raises
    ------
    TrainingError
        If songs or pictures do not differ, a graph differs from its network, or a folder cannot be written to.
    """
    descriptors = () if run.recipe.mapping.method == "shuffled-pairs" else MAPPED_DESCRIPTORS
    songs = {split: _encode(run, audio_vae, split, descriptors) for split in (TRAINING, VALIDATION)}
    measures = {"audio_vae": last_validation(run.folder, "audio-vae"), "image_vae": _picture_measures(run, "image_vae")}
    windows = prepare_windows(run, TRAINING)
    rng = np.random.default_rng(run.recipe.seed)
    art_latents = _choose_latents(run, pictures, windows, rng)
    if pictures.mark_classifier is not None:
        measures["mark_classifier"] = _picture_measures(run, "mark_classifier")
        measures["linear_heads"] = _fit_heads(run, pictures, windows, art_latents, rng)
    check_variety(songs[TRAINING], art_latents.latents)
    mapping, art = _fit(run, pictures, songs[TRAINING], art_latents.latents, rng)
    if isinstance(pictures.network, ImageVAE):
        balanced = balance_classes(pictures.network, art_latents.latents, map_songs(mapping, songs[TRAINING]))
        run.log("classes of songs: " + ", ".join(f"{name} {value:.3f}" for name, value in balanced.items()))
    mapped = map_songs(mapping, songs[VALIDATION])
    painted = measure_art(mapped, paint_latents(run, pictures.network, pictures.palettes, mapped), jobs=run.jobs)
    measures["mapping"] = mapping_figures(mapping, songs[VALIDATION], art, painted)
    run.log("mapping: validation songs, " + ", ".join(f"{k} {v:.3f}" for k, v in measures["mapping"].items()))
    parity = export_bundle(
        Trained(audio_vae, pictures.network, mapping, pictures.mark_classifier, pictures.palettes),
        output,
        name=output.name,
        kinds=KINDS if pictures.mark_classifier is not None else (),
        descriptors=descriptors,
        variation_scale=local_spread(art_latents.latents),
        painting=run.recipe.as_dict()["painting"],
        config=run.recipe.as_dict(),
        normalisation=_normalisation(run, audio_vae, mapping, songs[TRAINING], descriptors),
        corpus={"art": describe_folder(run.art), "music": describe_folder(run.features)},
        measures=measures,
        # Folders without their path, which is private to this machine.
        command="clavilux " + " ".join(Path(word).name for word in run.command),
    )
    run.log(f"bundle: {output}, parity " + ", ".join(f"{stage} {value:.1e}" for stage, value in parity.items()))
    return measures


def _picture_measures(run: Run, name: str) -> dict[str, Any]:
    """Return the last validation figures of a network of the picture side, or those of the bundle that it is from."""
    if run.pictures_from is not None:
        return dict(run.pictures_from.card.get("measures", {}).get(name, {}))
    return last_validation(run.folder, name.replace("image_vae", "image-vae"))


def _encode(run: Run, audio_vae: AudioVAE, split: str, descriptors: tuple[str, ...]) -> SongCodes:
    dataset = AudioFeatureDataset(run.features, split, skip=run.note, report=run.note)
    songs = encode_songs(audio_vae, dataset, run.features, descriptors)
    if split != TRAINING or not run.learns_from_copies:
        return songs
    return dataclasses.replace(songs, copies=encode_copies(audio_vae, copy_tracks(run, dataset, split), descriptors))


def _choose_latents(run: Run, pictures: PictureSide, windows: Windows, rng: np.random.Generator) -> _ArtLatents:
    """Draw training windows, with the share of paintings of other subjects that the ImageVAE was trained with."""
    latents = encode_windows(pictures.network, windows)
    weights = picture_weights(windows_of_paintings(windows), run.recipe.image_vae.painting_share).numpy()
    n = min(_LATENTS, int((weights > 0).sum()))
    chosen = rng.choice(len(latents), n, replace=False, p=weights / weights.sum())
    return _ArtLatents(chosen, latents[chosen])


def _fit_heads(
    run: Run, pictures: PictureSide, windows: Windows, art: _ArtLatents, rng: np.random.Generator
) -> dict[str, float]:
    """Fit the linear heads of the ImageVAE to what was read off the chosen windows."""
    marks, chosen = pictures.marks, art.chosen
    assert marks is not None and pictures.similarity is not None and pictures.palettes is not None
    assert isinstance(pictures.network, ImageVAE)
    targets = HeadTargets(
        palette=windows.palettes[chosen],
        kind=marks.kind[chosen],
        surface=marks.surface[chosen],
        log_frequency=marks.log_frequency[chosen],
        direction=marks.direction[chosen],
        chaos=marks.chaos[chosen],
        finish=marks.finish[chosen],
    )
    blend = run.recipe.image_vae.palette_blend
    figures = fit_linear_heads(
        pictures.network, art.latents, targets, pictures.palettes, pictures.similarity, palette_blend=blend, rng=rng
    )
    run.log("linear heads: " + ", ".join(f"{key} {value:.3g}" for key, value in figures.items()))
    return figures


def _fit(
    run: Run, pictures: PictureSide, songs: SongCodes, latents: Float64, rng: np.random.Generator
) -> tuple[MappingNetwork | PerceptronMapping, Art]:
    """Return the mapping of the recipe, and the art that it was fitted to."""
    recipe, seed, n = run.recipe.mapping, run.recipe.seed, len(latents)

    def measure(latents: Float64, scale: FeatureScale | None = None) -> Art:
        if scale is None:
            painted = list(paint_art(run, pictures, latents))
        else:  # songs mapped so far, which change from round to round
            painted = list(paint_latents(run, pictures.network, pictures.palettes, latents))
        return measure_art(
            latents,
            painted,
            jobs=run.jobs,
            mark_classifier=pictures.mark_classifier,
            mark_weight=recipe.mark_weight,
            scale=scale,
        )

    if recipe.method == "look-preserving":
        # As many again from a normal distribution: the look predictor must also be right between the latents of art.
        latents = np.concatenate([latents, rng.multivariate_normal(latents.mean(axis=0), np.cov(latents.T), n)])
    both = measure(latents)
    art, more_art = both.take(slice(None, n)), both.take(slice(n, None))
    if recipe.method == "shuffled-pairs":
        return fit_on_shuffled_pairs(songs, art, recipe, seed=seed, log=run.log), art
    inputs = None
    if isinstance(pictures.network, ImageVAE) and pictures.palettes is not None:
        inputs = PredictorInputs(pictures.network, pictures.palettes)
    mapping = fit_mapping(
        songs,
        art,
        recipe,
        seed=seed,
        log=run.log,
        more_art=more_art,
        inputs=inputs,
        measure=lambda latents: measure(latents, both.scale),
    )
    return mapping, art


def _normalisation(
    run: Run,
    audio_vae: AudioVAE,
    mapping: MappingNetwork | PerceptronMapping,
    songs: SongCodes,
    descriptors: tuple[str, ...],
) -> dict[str, Any]:
    """Return the constants of the training corpus for `bundle.json`."""
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
