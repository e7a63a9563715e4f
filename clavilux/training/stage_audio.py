"""First stage of a training: the AudioVAE is trained on feature files.

feature files -> track embedding -> AudioVAE, which contains the track embedding
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from clavilux.models.audio_vae import AudioVAE, TrackEmbedding
from clavilux.training.datasets import TRAINING, VALIDATION, AudioFeatureDataset
from clavilux.training.loop import LoopSettings, train
from clavilux.training.run import Run, loop_settings, start_from, train_network
from clavilux.training.sheets import features_as_pictures, save_sheet
from clavilux.training.track_copies import copy_tracks
from clavilux.training.train_audio_vae import AudioVAETask
from clavilux.training.train_track_embedding import TrackEmbeddingTask


def train_audio_vae(run: Run) -> AudioVAE:
    """Return the AudioVAE of a run, trained on its features, or from its checkpoint if the training is finished."""
    recipe = run.recipe.audio_vae
    torch.manual_seed(run.recipe.seed)
    training = AudioFeatureDataset(run.features, TRAINING, skip=run.note, report=run.note)
    validation = AudioFeatureDataset(run.features, VALIDATION, skip=run.note, report=run.note)
    task = AudioVAETask(training, validation, recipe, track_dims=run.recipe.track_embedding.dims)
    start_from(run, task.network, "audio_vae")
    if task.network.track_embedding is not None and run.start is None:  # a loaded one has seen hundreds of songs
        _train_track_embedding(run, task.network.track_embedding, training, validation)
    # Rounded, because the last digits depend on the number of threads, and a resumed run must have the same target.
    target = recipe.target_nats or round(task.target_nats(), 1)
    goal = f"target {target:.1f} nats" if recipe.objective == "kl_target" else f"beta up to {recipe.max_beta:g}"
    run.log(f"audio-vae: {len(training.entries)} tracks, {task.n_items()} windows, {goal}")
    settings = loop_settings(run, recipe, run.recipe.seed, task.n_items(), target, _hash_windows(training))

    def save_reconstructions(step: int) -> None:
        windows = torch.stack([validation[i] for i in np.linspace(0, len(validation) - 1, 6).astype(int)])
        with torch.no_grad():
            reconstructed = task.network.decode(task.network(windows)[0])
        pictures = features_as_pictures(torch.cat([task.network.normalise(windows), reconstructed]).numpy())
        save_sheet(run.folder / "sheets" / f"audio-vae-{step:06d}.png", pictures, columns=6)

    network = train_network(run, task, settings, after_validation=save_reconstructions)
    assert isinstance(network, AudioVAE)
    return network


def _train_track_embedding(
    run: Run, network: TrackEmbedding, training: AudioFeatureDataset, validation: AudioFeatureDataset
) -> None:
    """Train the track embedding in place, and freeze it."""
    recipe = run.recipe.track_embedding
    jitter_db = run.recipe.audio_vae.gain_jitter_db
    copies = validation_copies = None
    if run.learns_from_copies:
        copies, validation_copies = copy_tracks(run, training, TRAINING), copy_tracks(run, validation, VALIDATION)
    task = TrackEmbeddingTask(
        network,
        training,
        validation,
        recipe,
        level_jitter_db=jitter_db,
        copies=copies,
        validation_copies=validation_copies,
    )
    settings = LoopSettings(
        steps=recipe.steps,
        batch=recipe.tracks,
        learning_rate=recipe.learning_rate,
        warmup=recipe.warmup,
        ema=recipe.ema,
        seed=run.recipe.seed,
        precision="32-true",  # the network is too small to gain from another
        data=_hash_windows(training),
    )
    # A contrastive loss is not a mean over items, so several processes with a share of the tracks each would optimise
    # another loss. The first one trains, which takes seconds, and the others load its checkpoint.
    fabric = run.processes.join()
    with fabric.rank_zero_first():
        train(task, settings, run.folder, resume=run.resume or not fabric.is_global_zero, log=run.log)
    network.requires_grad_(False)


def _hash_windows(dataset: AudioFeatureDataset) -> str:
    """Return a hash of one window of each track, which tells whether a resumed run has the same data."""
    digest = hashlib.sha256()
    for index in dataset.clips(1):
        digest.update(dataset[int(index)].numpy().tobytes())
    return digest.hexdigest()
