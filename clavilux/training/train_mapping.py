"""Fit the MappingNetwork: from song codes to the latents of real art, in closed form.

Nothing here is a pair of a song and a picture: there are none. Songs and pictures meet by the shape of their clouds and
by the guides of `clavilux.measures.crossmodal`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.colour import srgb_to_lab
from clavilux.constants import LATENT_DIM
from clavilux.errors import TrainingError
from clavilux.measures.crossmodal import CORRESPONDENCES, correspondence_values
from clavilux.measures.image_features import IMAGE_FEATURES, average_down, measure_image_features
from clavilux.measures.transport import (
    Float64,
    fused_gromov_wasserstein,
    normal_scores,
    pca_match,
    principal_components,
    recolouring,
    recolouring_where_seen,
    ridge,
)
from clavilux.models.audio_vae import AudioVAE
from clavilux.models.conv_image_vae import ConvImageVAE
from clavilux.models.image_vae import ImageVAE
from clavilux.models.implicit_decoder import ImplicitImageVAE
from clavilux.models.mapping_network import LIMIT, MappingNetwork, PerceptronMapping
from clavilux.models.mark_classifier import MarkClassifier
from clavilux.painter.controls import Controls, choose_controls
from clavilux.painter.paint import paint
from clavilux.training.datasets import AudioFeatureDataset, descriptors_of, read_descriptors
from clavilux.training.fit_by_surrogate import PredictorInputs, fit_by_surrogate, predict
from clavilux.training.recipe import MappingRecipe
from clavilux.training.train_mark_classifier import mark_statistics

_DEVIATION_FLOOR = 0.25  # of the median deviation: a latent that hardly differs between songs is noise
_KERNEL_STRENGTH = 0.3  # ridge of the kernel regression, in units of the kernel's mean eigenvalue
_FOLDS = 5
_FEATURES_RIDGE = 1e-2
_LAYOUT_FIELDS = 8  # a side, of the layout by which pictures are told apart
_PICTURES = 2_000  # latents of real art that the transport takes; its cost grows with their square
_NEIGHBOUR = 10
_TELL_EVERY = 10  # epochs
_SONGS_A_COMPONENT = 3
_NO_VARIETY = 1e-9  # deviation of what is meant to differ
_TOO_MUCH_ALIKE = "mapping: the songs or the pictures are too much alike to be told apart; add ones that differ"
_REHEARSED = 1_500  # latents of made-up songs that are painted after each round

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class SongCodes:
    """Codes (n, 64 + D) of n songs and (n, 2, 64 + D) of their two halves, names, and descriptors by name, (n,) each.

    `track_dims` of the 64, the first ones, tell the song; 0 where z_audio is not divided so.
    """

    names: list[str]
    codes: Float64
    halves: Float64
    descriptors: dict[str, Float64]
    track_dims: int = 0


@dataclass(frozen=True)
class FeatureScale:
    """Means and deviations of traits, layout and signs of the eye, in which looks are measured; (F,) each, the signs
    None where there is no eye. The layout has one deviation for all.
    """

    image_features: tuple[Float64, Float64]
    layout: tuple[Float64, float]
    signs: tuple[Float64, Float64] | None


@dataclass(frozen=True)
class Art:
    """Latents (m, 64) of real pictures, and what was measured on what the painter makes of them.

    guides : (m, G). traits : (m,) each. looks : (m, F) traits, layout in CIELAB and, where there is an eye, what it
    sees; each of the blocks of unit variance in all, the last one weighted, over the pictures of `scale`.
    """

    latents: Float64
    correspondences: Float64
    image_features: dict[str, Float64]
    looks: Float64
    scale: FeatureScale

    def take(self, some: slice) -> Art:
        """Some of the pictures."""
        image_features = {name: values[some] for name, values in self.image_features.items()}
        return Art(self.latents[some], self.correspondences[some], image_features, self.looks[some], self.scale)


def encode_songs(
    network: AudioVAE, dataset: AudioFeatureDataset, folder: Path, mapped_descriptors: tuple[str, ...]
) -> SongCodes:
    """Mean z_audio of each track of a dataset and of its halves, with the mapped descriptors of `descriptors.csv`
    behind it.

    Raises
    ------
    CorpusError
        `descriptors.csv` is missing, or lacks a track or a descriptor, or holds something that is no number.
    """
    rows = read_descriptors(folder)
    names, z_audio, described = [], [], []
    for entry, windows in zip(dataset.entries, dataset.arrays, strict=True):
        values = descriptors_of(entry, rows, folder)
        with torch.no_grad():
            parts = [network(torch.from_numpy(np.array(p)))[0] for p in np.array_split(windows, 1 + len(windows) // 64)]
        z = torch.cat(parts).double().numpy()
        middle = len(z) // 2
        names.append(entry.name)
        z_audio.append([part.mean(axis=0) for part in (z, z[: max(middle, 1)], z[middle:])])
        described.append(values)
    whole = np.array(described)  # (n, 3, descriptors): the song, its first half, its second half
    mapped = whole[:, :, [list(DESCRIPTORS).index(name) for name in mapped_descriptors]]
    codes = np.concatenate([np.array(z_audio), mapped], axis=2)
    descriptors = dict(zip(DESCRIPTORS, whole[:, 0].T, strict=True))
    dims = network.track_embedding.dims if network.track_embedding is not None else 0
    return SongCodes(names, codes[:, 0], codes[:, 1:], descriptors, dims)


def song_weights(songs: SongCodes, recipe: MappingRecipe) -> Float64:
    """How much each standardised number of a song code counts when songs are compared: (64 + D,)."""
    weights = np.ones(songs.codes.shape[1])
    if songs.track_dims:
        weights[songs.track_dims : LATENT_DIM] = recipe.detail_weight
    weights[LATENT_DIM:] = recipe.descriptor_weight
    return weights


def measure_art(
    latents: Float64,
    pictures: Sequence[NDArray[np.uint8]],
    *,
    jobs: int,
    mark_classifier: MarkClassifier | None = None,
    mark_weight: float = 1.0,
    scale: FeatureScale | None = None,
) -> Art:
    """Measure guides and looks on the pictures of these latents, looks in a given scale or in their own."""
    measured = Parallel(n_jobs=jobs, batch_size=16)(delayed(measure_image_features)(rgb) for rgb in pictures)
    image_features = {name: np.array([m[name] for m in measured]) for name in IMAGE_FEATURES}
    layout = np.stack([srgb_to_lab(average_down(rgb, _LAYOUT_FIELDS) / 255.0).reshape(-1) for rgb in pictures])
    values = np.stack(list(image_features.values()), axis=1).astype(np.float64)
    signs = None if mark_classifier is None else mark_statistics(mark_classifier, np.stack(pictures))
    if scale is None:
        scale = FeatureScale(
            (values.mean(axis=0), values.std(axis=0) + 1e-9),
            (layout.mean(axis=0), float(np.sqrt(layout.var(axis=0).sum())) + 1e-9),
            None if signs is None else (signs.mean(axis=0), signs.std(axis=0) + 1e-6),
        )
    looks = [
        (values - scale.image_features[0]) / scale.image_features[1] / np.sqrt(len(image_features)),
        (layout - scale.layout[0]) / scale.layout[1],
    ]
    if signs is not None:
        assert scale.signs is not None, "the scale is of looks without an eye"
        looks.append(mark_weight * (signs - scale.signs[0]) / scale.signs[1] / np.sqrt(signs.shape[1]))
    return Art(
        latents,
        correspondence_values(image_features, "seen"),
        image_features,
        np.concatenate(looks, axis=1).astype(np.float64),
        scale,
    )


def correspondences_of_features(n_features: int) -> Float64:
    """Matrix (F, G) that reads guides off looks, up to their scale: traits come first in looks, standardised."""
    reader = np.zeros((n_features, len(CORRESPONDENCES)))
    for column, correspondence in enumerate(CORRESPONDENCES):
        for name, weight in correspondence.seen.items():
            reader[list(IMAGE_FEATURES).index(name), column] = weight
    return reader


def paint_controls(controls: Sequence[Controls], *, jobs: int) -> list[NDArray[np.uint8]]:
    """Paint controls, 128 x 128, seed 0."""
    return list(Parallel(n_jobs=jobs, batch_size=16)(delayed(_paint_small)(c) for c in controls))


@torch.no_grad()
def decode_pixels(network: ConvImageVAE | ImplicitImageVAE, latents: Float64) -> NDArray[np.uint8]:
    """Pictures (m, S, S, 3) that a decoder of pixels gives for latents (m, 64)."""
    # 64 at a time: of 512 pixels a side they are 0.2 GB.
    parts = [network.decode(torch.from_numpy(p).float()) for p in np.array_split(latents, 1 + len(latents) // 64)]
    return np.asarray((255 * torch.cat(parts)).round().permute(0, 2, 3, 1).numpy(), np.uint8)


def controls_of_latents(
    network: ImageVAE, palettes: Float32, kinds: tuple[str, ...], latents: Float64
) -> list[Controls]:
    """Controls that the decoder gives for latents (m, 64)."""
    found = []
    for part in np.array_split(latents, 1 + len(latents) // 256):
        with torch.no_grad():
            raw = network.decode(torch.from_numpy(part).float())
        angle = (torch.atan2(raw.direction[:, 1], raw.direction[:, 0]) / (4 * math.pi)) % 0.5
        batch = raw._asdict() | {"angle": angle}
        for i in range(len(part)):
            outputs = {name: values[i].numpy() for name, values in batch.items()}
            found.append(choose_controls(outputs, palettes=palettes, kinds=kinds))
    return found


def weights_to_features(art: Art) -> Float64:
    """Weights (64, F) that tell looks from latents in a straight line: how far apart two latents look."""
    return ridge(art.latents, art.looks, _FEATURES_RIDGE)[0]


def fit_mapping(
    songs: SongCodes,
    art: Art,
    recipe: MappingRecipe,
    *,
    seed: int,
    log: Callable[[str], None],
    practice: Art | None = None,
    told: PredictorInputs | None = None,
    show: Callable[[Float64], Art] | None = None,
) -> MappingNetwork:
    """Fit the mapping on training songs and latents of training art.

    Standardise; take the leading components; let the method of the recipe say where each training song goes; put a
    regression through it that new songs can use; recolour, so that new songs fill the cloud of art. The recolouring is
    read off songs that the regression had not seen (five folds), because those shrink more than the ones that it had.
    "look-preserving" begins there and goes on by descent (`clavilux.training.fit_by_surrogate`).

    The last method alone takes `told`, what the painter is told of a latent, and `practice`: more latents and what the
    painter makes of them, measured in the scale of `art`, from which it learns to foretell looks. With `show`, which
    paints latents and measures them in that scale, it does so again in each round of the recipe: where songs have gone
    there was little to learn from, and what is climbed there are the mistakes of the foresight as well.
    """
    # The last of n - 1 components tells the n songs it was read off apart and is noise on others: from eleven songs in
    # ten components, new ones were flung a thousand times too far. Three songs for a component hold them in.
    n_components = min(recipe.components, len(songs.codes) // _SONGS_A_COMPONENT, songs.codes.shape[1])
    mean, deviation = songs.codes.mean(0), songs.codes.std(0)
    floor = np.full_like(deviation, 1e-9)  # the units of descriptors differ, no floor fits all
    floor[:LATENT_DIM] = _DEVIATION_FLOOR * np.median(deviation[:LATENT_DIM])
    deviation = np.maximum(deviation, floor)
    standard = np.clip((songs.codes - mean) / deviation, -LIMIT, LIMIT)
    weights_of_numbers = song_weights(songs, recipe)
    directions = weights_of_numbers[:, None] * principal_components(standard * weights_of_numbers, n_components)
    components = standard @ directions
    n_correspondences = len(CORRESPONDENCES) if recipe.structure < 1 else 0
    song_scores = normal_scores(correspondence_values(songs.descriptors, "heard")[:, :n_correspondences])
    picture_scores = normal_scores(art.correspondences[:, :n_correspondences])
    if recipe.method == "pca-match":
        wanted = pca_match(components, song_scores, art.latents, picture_scores)
    else:
        chosen = np.random.default_rng(seed).permutation(len(art.latents))[:_PICTURES]
        wanted = fused_gromov_wasserstein(
            components, song_scores, art.latents[chosen], picture_scores[chosen],
            art.latents[chosen] @ weights_to_features(art), recipe.structure,
        )  # fmt: skip

    bent = recipe.method != "pca-match"
    network = _bare_network(songs, mean, deviation, directions, len(components) if bent else 0)
    scale = float(np.median(pdist(components)))
    regress = _kernel_ridge(scale) if bent else _straight
    unseen = np.empty_like(wanted)
    folds = np.random.default_rng(seed).permutation(len(components)) % _FOLDS
    for fold in range(_FOLDS):
        rest = folds != fold
        unseen[~rest] = regress(components[rest], wanted[rest])[0](components[~rest])
    _, (weights, offset) = regress(components, wanted)
    if recipe.recoloured < LATENT_DIM:
        matrix, shift = recolouring_where_seen(unseen, art.latents, weights_to_features(art), recipe.recoloured)
    else:
        matrix, shift = recolouring(unseen, art.latents)
    weights, offset = weights @ matrix, offset @ matrix + shift
    if recipe.method == "look-preserving":
        bent = False
        start = _kernel(components, components, scale) @ weights + offset
        halves = np.clip((songs.halves - mean) / deviation, -LIMIT, LIMIT) @ directions
        paintings = [art] if practice is None else [art, practice]
        with _one_thread():
            weights, offset = _descend(
                components, halves, song_scores, start, paintings, recipe, seed=seed, log=log, told=told, show=show
            )
        network = _bare_network(songs, mean, deviation, directions, 0)
    with torch.no_grad():
        if bent:
            network.straight.weight.zero_()
            network.centres.copy_(torch.from_numpy(components))
            network.log_scale.fill_(math.log(scale))
            network.pull.copy_(torch.from_numpy(weights))
        else:
            network.straight.weight.copy_(torch.from_numpy(weights.T.copy()))
        network.straight.bias.copy_(torch.from_numpy(offset))
    log(f"mapping: {recipe.method}, {len(components)} songs, {len(art.latents)} pictures, {n_components} components")
    return network.eval()


def _descend(
    components: Float64,
    halves: Float64,
    song_scores: Float64,
    start: Float64,
    paintings: list[Art],
    recipe: MappingRecipe,
    *,
    seed: int,
    log: Callable[[str], None],
    told: PredictorInputs | None,
    show: Callable[[Float64], Art] | None,
) -> tuple[Float64, Float64]:
    """Weights and offset by `fit_by_surrogate`, in rounds; the first of the paintings are of the art that is filled."""
    art, rng = paintings[0], np.random.default_rng(seed)
    reader = correspondences_of_features(art.looks.shape[1])[:, : song_scores.shape[1]]
    for rounds_left in reversed(range(recipe.rounds)):
        latents, looks = (np.concatenate(p) for p in zip(*((p.latents, p.looks) for p in paintings), strict=True))
        predictor, predicted = predict(latents, looks, told, steps=recipe.predictor_steps, seed=seed)
        weights, offset, terms = fit_by_surrogate(
            components, halves, song_scores, start, art.latents, art.looks, reader, predictor, recipe, seed=seed
        )
        figures = ", ".join(f"{name} {value:.3f}" for name, value in terms.items())
        log(f"mapping: round {recipe.rounds - rounds_left}, looks foretold {predicted:.3f}; training songs {figures}")
        if show is None or rounds_left == 0:
            break
        start = components @ weights + offset
        made_up = rng.multivariate_normal(components.mean(axis=0), np.cov(components.T), _REHEARSED)
        placed = made_up @ weights + offset
        paintings = [*paintings, show(placed + recipe.jitter * rng.standard_normal(placed.shape))]
    return weights, offset


@contextmanager
def refuse_degenerate() -> Iterator[None]:
    """Raise a `TrainingError` where statistics of the block fail, as they do for data without variety."""
    try:
        yield
    except np.linalg.LinAlgError as error:
        raise TrainingError(f"{_TOO_MUCH_ALIKE} ({error})") from error


def check_variety(songs: SongCodes, latents: Float64) -> None:
    """Refuse songs or pictures that are too much alike to be told apart.

    Raises
    ------
    TrainingError
        All codes of songs or all latents of pictures are the same, or one of them is not finite.
    """
    for what, values in (("songs", songs.codes), ("pictures", latents)):
        if not np.isfinite(values).all():
            raise TrainingError(f"mapping: codes of {what} are not finite; train the networks anew in another --run")
        if values.std(axis=0).max() < _NO_VARIETY:
            raise TrainingError(f"{_TOO_MUCH_ALIKE} (all {what} have one code)")


@contextmanager
def _one_thread() -> Iterator[None]:
    """Several threads add in any order, and hundreds of steps make of that another mapping."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _bare_network(
    songs: SongCodes, mean: Float64, deviation: Float64, directions: Float64, n_centres: int
) -> MappingNetwork:
    """A mapping that takes songs to their components, and no further yet."""
    network = MappingNetwork(song_dim=songs.codes.shape[1], n_components=directions.shape[1], n_centres=n_centres)
    with torch.no_grad():
        network.song_mean.copy_(torch.from_numpy(mean))
        network.song_deviation.copy_(torch.from_numpy(deviation))
        network.components.weight.copy_(torch.from_numpy(directions.T.copy()))
    return network


def fit_on_shuffled_pairs(
    songs: SongCodes, art: Art, recipe: MappingRecipe, *, seed: int, log: Callable[[str], None]
) -> PerceptronMapping:
    """The mapping of the classic recipe: squared error between songs and pictures that have nothing to do with each
    other, paired anew by chance in each epoch. What is learnt is the mean picture, and a little of the last pairs.
    """
    torch.manual_seed(seed)
    network = PerceptronMapping(song_dim=songs.codes.shape[1])
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    patience = (
        torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=recipe.patience)
        if recipe.patience
        else None
    )
    generator = torch.Generator().manual_seed(seed)
    heard, seen = torch.from_numpy(songs.codes).float(), torch.from_numpy(art.latents).float()
    n = min(len(heard), len(seen))
    loss_of_epoch = math.nan
    for epoch in range(1, recipe.epochs + 1):
        total = 0.0
        order, partner = (torch.randperm(len(side), generator=generator)[:n] for side in (heard, seen))
        for start in range(0, n, recipe.batch):
            items, partners = order[start : start + recipe.batch], partner[start : start + recipe.batch]
            loss = (network(heard[items]) - seen[partners]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(items)
        loss_of_epoch = total / n
        if patience:
            patience.step(loss_of_epoch)
        if epoch % _TELL_EVERY == 0 or epoch == recipe.epochs:
            log(f"mapping: shuffled-pairs, epoch {epoch}/{recipe.epochs}, loss {loss_of_epoch:.3f}")
    return network.eval()


def mapping_figures(
    network: MappingNetwork | PerceptronMapping, songs: SongCodes, art: Art, seen: Art
) -> dict[str, float]:
    """Figures of a mapping on songs that it was not fitted on.

    Parameters
    ----------
    network : MappingNetwork
    songs : SongCodes
        Validation songs.
    art : Art
        The art that the mapping was fitted to.
    seen : Art
        What the painter makes of the mapped songs, by `measure_art`.

    Returns
    -------
    dict
        variance_ratio: total variance of mapped songs over that of art (1 is right, 0 the collapse); geometry: Spearman
        correlation of distances between songs and between their latents; one correlation for each guide.
    """
    components = _components(network, songs)
    figures = {
        "variance_ratio": float(np.trace(np.cov(seen.latents.T)) / np.trace(np.cov(art.latents.T))),
        "geometry": _rank_correlation(pdist(components), pdist(seen.latents)),
    }
    heard = correspondence_values(songs.descriptors, "heard")
    for i, correspondence in enumerate(CORRESPONDENCES):
        figures[correspondence.name] = _rank_correlation(heard[:, i], seen.correspondences[:, i])
    return figures


def map_songs(network: MappingNetwork | PerceptronMapping, songs: SongCodes) -> Float64:
    """z_image (n, 64) of songs."""
    with torch.no_grad():
        return np.asarray(network(torch.from_numpy(songs.codes).float()).double().numpy())


def local_spread(latents: Float64) -> float:
    """Step of a sibling: a third of the median distance to the tenth nearest latent."""
    square = (latents**2).sum(1)[:, None] + (latents**2).sum(1)[None] - 2 * latents @ latents.T
    place = min(_NEIGHBOUR, len(latents) - 1)
    tenth = np.sqrt(np.maximum(np.partition(square, place, axis=1)[:, place], 0))
    return float(np.median(tenth) / 3)


def _rank_correlation(a: Float64, b: Float64) -> float:
    """Spearman's; 0 where one side is constant, as all pictures of a collapsed mapping are."""
    return float(spearmanr(a, b).statistic) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0


Predict = Callable[[Float64], Float64]
Fitted = tuple[Predict, tuple[Float64, Float64]]


def _straight(inputs: Float64, outputs: Float64) -> Fitted:
    weights, offset = ridge(inputs, outputs, 1e-6)
    return lambda x: x @ weights + offset, (weights, offset)


def _kernel_ridge(scale: float) -> Callable[[Float64, Float64], Fitted]:
    def fit(inputs: Float64, outputs: Float64) -> Fitted:
        offset = outputs.mean(0)
        kernel = _kernel(inputs, inputs, scale)
        strength = _KERNEL_STRENGTH * np.trace(kernel) / len(kernel)
        weights = np.linalg.solve(kernel + strength * np.eye(len(kernel)), outputs - offset)
        return lambda x: _kernel(x, inputs, scale) @ weights + offset, (weights, offset)

    return fit


def _kernel(a: Float64, b: Float64, scale: float) -> Float64:
    square = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.asarray(np.exp(-0.5 * np.maximum(square, 0) / scale**2))


def _components(network: MappingNetwork | PerceptronMapping, songs: SongCodes) -> Float64:
    if isinstance(network, PerceptronMapping):
        return songs.codes
    with torch.no_grad():
        return np.asarray(network.to_components(torch.from_numpy(songs.codes).float()).double().numpy())


def _paint_small(controls: Controls) -> NDArray[np.uint8]:
    return paint(controls, width=128, height=128, seed=0)
