"""First stage of a training: train the track embedding on feature files, then the AudioVAE that contains it."""

from __future__ import annotations

import numpy as np
import torch

from clavilux.bundle import Bundle
from clavilux.models.audio_vae import AudioVAE, TrackEmbedding
from clavilux.models.weights import load_weights, read_weights
from clavilux.training.datasets import TRAINING, VALIDATION, AudioFeatureDataset
from clavilux.training.loop import LoopSettings, train
from clavilux.training.run import Run, loop_settings, start_from, train_network
from clavilux.training.sheets import features_as_pictures, save_sheet
from clavilux.training.track_copies import copy_tracks
from clavilux.training.train_audio_vae import AudioVAETask
from clavilux.training.train_track_embedding import TrackEmbeddingTask


def train_audio_vae(run: Run) -> AudioVAE:
    """Return the AudioVAE, trained on the feature files of a run; a finished training is read from its checkpoint.

    If the run has a bundle `run.audio_from`, the AudioVAE is taken from this bundle instead.
    """
    if run.audio_from is not None:
        run.log(f"audio-vae: taken from the bundle {run.audio_from.name}")
        return load_audio_vae(run, run.audio_from)
    recipe = run.recipe.audio_vae
    torch.manual_seed(run.recipe.seed)
    training, validation = (AudioFeatureDataset(run.features, split, run.note) for split in (TRAINING, VALIDATION))
    task = AudioVAETask(training, validation, recipe, track_dims=run.recipe.track_embedding.dims)
    start_from(run, task.network, "audio_vae")
    # A track embedding from a bundle is kept, because it has learned from many songs.
    if task.network.track_embedding is not None and run.start is None:
        _train_track_embedding(run, task.network.track_embedding, training, validation)
    # Rounded, because the last digits depend on the number of threads, and a resumed run must have the same target.
    target = recipe.target_nats or round(task.target_nats(), 1)
    goal = f"target {target:.1f} nats" if recipe.objective == "kl_target" else f"beta up to {recipe.max_beta:g}"
    run.log(f"audio-vae: {len(training.entries)} tracks, {task.n_items} windows, {goal}")
    settings = loop_settings(run, recipe, run.recipe.seed, task.n_items, target, training.digest())

    def save_reconstructions(step: int) -> None:
        windows = torch.stack([validation[i] for i in np.linspace(0, len(validation) - 1, 6).astype(int)])
        with torch.no_grad():
            reconstructed = task.network.decode(task.network(windows)[0])
        pictures = features_as_pictures(torch.cat([task.network.normalise(windows), reconstructed]).numpy())
        save_sheet(run.folder / "sheets" / f"audio-vae-{step:06d}.png", pictures, columns=6)

    train_network(run, task, settings, after_validation=save_reconstructions)
    return task.network


def load_audio_vae(run: Run, bundle: Bundle) -> AudioVAE:
    """Return the AudioVAE of a bundle, without training.

    Raises
    ------
    TrainingError
        If the sizes of the network are not those of the recipe.
    BundleError
        If the weights cannot be read.
    """
    network = AudioVAE(width=run.recipe.audio_vae.width, track_dims=run.recipe.track_embedding.dims)
    load_weights(network, read_weights(bundle, "audio_vae"), bundle, "audio_vae")
    return network.eval()


def _train_track_embedding(
    run: Run, network: TrackEmbedding, training: AudioFeatureDataset, validation: AudioFeatureDataset
) -> None:
    """Train the track embedding in place, and freeze it."""
    recipe = run.recipe.track_embedding
    task = TrackEmbeddingTask(
        network,
        training,
        validation,
        recipe,
        level_jitter_db=run.recipe.audio_vae.gain_jitter_db,
        copies=copy_tracks(run, training, TRAINING) if run.learns_from_copies else None,
        validation_copies=copy_tracks(run, validation, VALIDATION) if run.learns_from_copies else None,
    )
    settings = LoopSettings(
        steps=recipe.steps,
        batch=recipe.tracks,
        learning_rate=recipe.learning_rate,
        warmup=recipe.warmup,
        ema=recipe.ema,
        seed=run.recipe.seed,
        precision="32-true",  # the network is too small to be faster with another one
        data=training.digest(),
    )
    # The first process trains, which takes seconds, and the others load its checkpoint. The contrastive loss compares
    # all tracks of a batch, so processes that have a part of the batch each would optimise another loss.
    fabric = run.processes.join()
    with fabric.rank_zero_first():
        train(task, settings, run.folder, resume=run.resume or not fabric.is_global_zero, log=run.log)
    network.requires_grad_(False)
