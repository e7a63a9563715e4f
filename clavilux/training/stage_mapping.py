"""Last stage of a training: the mapping is fitted on the two trained networks, and the bundle is written."""

from __future__ import annotations

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
from clavilux.training.linear_heads import HeadTargets, fit_linear_heads
from clavilux.training.logs import last_validation
from clavilux.training.run import Run
from clavilux.training.stage_pictures import (
    PictureSide,
    encode_windows,
    paint_latents,
    prepare_windows,
)
from clavilux.training.train_image_vae import picture_weights, windows_of_paintings
from clavilux.training.train_mapping import (
    Art,
    check_variety,
    encode_songs,
    fit_mapping,
    fit_on_shuffled_pairs,
    local_spread,
    map_songs,
    mapping_figures,
    measure_art,
    refuse_degenerate,
    song_weights,
)

MAPPED_DESCRIPTORS = tuple(name for name, descriptor in DESCRIPTORS.items() if descriptor.plain)


@refuse_degenerate()
def finish(run: Run, audio_vae: AudioVAE, pictures: PictureSide, output: Path) -> dict[str, Any]:
    """Fit the mapping on trained networks, write the bundle and return its measures."""
    recipe = run.recipe.mapping
    mapped_descriptors = () if recipe.method == "shuffled-pairs" else MAPPED_DESCRIPTORS
    songs = {
        split: encode_songs(
            audio_vae,
            AudioFeatureDataset(run.features, split, skip=run.note, report=run.note),
            run.features,
            mapped_descriptors,
        )
        for split in (TRAINING, VALIDATION)
    }
    windows = prepare_windows(run, TRAINING)
    latents = encode_windows(pictures.network, windows)
    # As in the training of the ImageVAE: paintings of other subjects are a part of the cloud, not all of it.
    rng = np.random.default_rng(run.recipe.seed)
    weights = picture_weights(windows_of_paintings(windows), run.recipe.image_vae.painting_share).numpy()
    n = min(3_000, int((weights > 0).sum()))
    chosen = rng.choice(len(latents), n, replace=False, p=weights / weights.sum())
    measures: dict[str, Any] = {
        "audio_vae": last_validation(run.folder, "audio-vae"),
        "image_vae": last_validation(run.folder, "image-vae"),
    }
    if pictures.mark_classifier is not None:
        measures["mark_classifier"] = last_validation(run.folder, "mark_classifier")
        measures["linear_heads"] = _fit_linear_heads(run, pictures, windows, latents[chosen], chosen, rng)
    shown = latents[chosen]
    check_variety(songs[TRAINING], shown)
    if recipe.method == "look-preserving":
        # As many again, drawn from their normal distribution: looks are learnt to be foretold where songs may lie.
        drawn = rng.multivariate_normal(shown.mean(axis=0), np.cov(shown.T), n)
        shown = np.concatenate([shown, drawn])
    painted = paint_latents(run, pictures.network, pictures.palettes, shown)
    both = measure_art(
        shown, painted, jobs=run.jobs, mark_classifier=pictures.mark_classifier, mark_weight=recipe.mark_weight
    )
    art, practice = both.take(slice(None, n)), both.take(slice(n, None))
    if recipe.method == "shuffled-pairs":
        mapping: MappingNetwork | PerceptronMapping = fit_on_shuffled_pairs(
            songs[TRAINING], art, recipe, seed=run.recipe.seed, log=run.log
        )
    else:
        told = None
        if isinstance(pictures.network, ImageVAE) and pictures.palettes is not None:
            told = PredictorInputs(pictures.network, pictures.palettes)

        def show(latents: NDArray[np.float64]) -> Art:
            made = paint_latents(run, pictures.network, pictures.palettes, latents)
            return measure_art(
                latents,
                made,
                jobs=run.jobs,
                mark_classifier=pictures.mark_classifier,
                mark_weight=recipe.mark_weight,
                scale=both.scale,
            )

        mapping = fit_mapping(
            songs[TRAINING], art, recipe, seed=run.recipe.seed, log=run.log, practice=practice, told=told, show=show
        )
    mapped_latents = map_songs(mapping, songs[VALIDATION])
    painted = paint_latents(run, pictures.network, pictures.palettes, mapped_latents)
    mapped = measure_art(mapped_latents, painted, jobs=run.jobs)
    measures["mapping"] = mapping_figures(mapping, songs[VALIDATION], art, mapped)
    run.log("mapping: validation songs, " + ", ".join(f"{k} {v:.3f}" for k, v in measures["mapping"].items()))
    normalisation: dict[str, Any] = {
        "feature_mean": audio_vae.row_mean.flatten().tolist(),
        "feature_deviation": audio_vae.row_deviation.flatten().tolist(),
        "descriptor_mean": [float(songs[TRAINING].descriptors[name].mean()) for name in mapped_descriptors],
    }
    if isinstance(mapping, MappingNetwork):
        normalisation |= {
            "song_mean": mapping.song_mean.tolist(),
            "song_deviation": mapping.song_deviation.tolist(),
            "song_weights": song_weights(songs[TRAINING], recipe).tolist(),
        }
    parity = export_bundle(
        Trained(audio_vae, pictures.network, mapping, pictures.mark_classifier, pictures.palettes),
        output,
        name=output.name,
        kinds=KINDS if pictures.mark_classifier is not None else (),
        descriptors=mapped_descriptors,
        variation_scale=local_spread(latents[chosen]),
        painting=run.recipe.as_dict()["painting"],
        config=run.recipe.as_dict(),
        normalisation=normalisation,
        corpus={"art": describe_folder(run.art), "music": describe_folder(run.features)},
        measures=measures,
        # Folders by their own name alone: where they lay on this machine is nobody's business.
        command="clavilux " + " ".join(Path(word).name for word in run.command),
    )
    run.log(f"bundle: {output}, parity " + ", ".join(f"{stage} {value:.1e}" for stage, value in parity.items()))
    return measures


def _fit_linear_heads(
    run: Run,
    pictures: PictureSide,
    windows: Windows,
    latents: NDArray[np.float64],
    chosen: NDArray[np.int64],
    rng: np.random.Generator,
) -> dict[str, float]:
    """Fit what the painter reads off a latent to what was read off the chosen windows."""
    marks = pictures.marks
    assert marks is not None and pictures.similarity is not None and pictures.palettes is not None
    assert isinstance(pictures.network, ImageVAE)
    readings = HeadTargets(
        palette=windows.palettes[chosen],
        kind=marks.kind[chosen],
        log_frequency=marks.log_frequency[chosen],
        direction=marks.direction[chosen],
        chaos=marks.chaos[chosen],
        finish=marks.finish[chosen],
    )
    blend = run.recipe.image_vae.palette_blend
    figures = fit_linear_heads(
        pictures.network, latents, readings, pictures.palettes, pictures.similarity, palette_blend=blend, rng=rng
    )
    run.log("readout: " + ", ".join(f"{key} {value:.3g}" for key, value in figures.items()))
    return figures
