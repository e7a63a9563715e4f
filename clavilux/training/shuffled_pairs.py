"""Train the mapping of the classic recipe, a perceptron, on random pairs of songs and pictures."""

from __future__ import annotations

from collections.abc import Callable

import torch

from clavilux.models.mapping_network import PerceptronMapping
from clavilux.training.recipe import MappingRecipe
from clavilux.training.songs import SongCodes
from clavilux.training.visual_features import Art

_LOG_EVERY = 10  # epochs


def fit_on_shuffled_pairs(
    songs: SongCodes, art: Art, recipe: MappingRecipe, *, seed: int, log: Callable[[str], None]
) -> PerceptronMapping:
    """Return a perceptron that is trained on random pairs of songs and pictures; each epoch draws new pairs.

    The loss is the squared error of latents. Random pairs have no relation that could be learned, so every song is
    mapped to nearly the mean latent of pictures.
    """
    torch.manual_seed(seed)
    network = PerceptronMapping(song_dim=songs.codes.shape[1])
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    schedule = (
        torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=recipe.patience)
        if recipe.patience
        else None
    )
    generator = torch.Generator().manual_seed(seed)
    inputs, targets = torch.from_numpy(songs.codes).float(), torch.from_numpy(art.latents).float()
    n = min(len(inputs), len(targets))
    for epoch in range(1, recipe.epochs + 1):
        total = 0.0
        order, partner = (torch.randperm(len(side), generator=generator)[:n] for side in (inputs, targets))
        for start in range(0, n, recipe.batch):
            items, partners = order[start : start + recipe.batch], partner[start : start + recipe.batch]
            loss = (network(inputs[items]) - targets[partners]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(items)
        mean_loss = total / n
        if schedule:
            schedule.step(mean_loss)
        if epoch % _LOG_EVERY == 0 or epoch == recipe.epochs:
            log(f"mapping: shuffled-pairs, epoch {epoch}/{recipe.epochs}, loss {mean_loss:.3f}")
    return network.eval()
