"""Ways from songs to pictures, side by side: fitted on training songs and training art, judged on validation songs.

    python benchmarks/mapping_methods.py CORPUS/music CORPUS/features CORPUS/art --run RUN [--bundle NAME|DIR]
        [--only TEXT] [--markdown docs/mapping.md]

Hears and paints with the networks of a bundle; only its mapping is left aside. Windows of the art are those of a
training's folder RUN, cut there if it has none. What is measured once is kept in RUN/mapping-methods: halves of the
validation songs, paintings of the art, and each line until anything changes that it depends on, so that a run that was
ended goes on. Held-out songs and pictures are never read.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import hashlib
import math
import os
import pickle
import platform
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import torch
from joblib import Parallel, delayed
from pages import marks_of, put_text
from torch import Tensor, nn

from clavilux.audio.decode import read_blocks
from clavilux.audio.feature_files import VERSION, write_features
from clavilux.constants import LATENT_DIM, SAMPLE_RATE
from clavilux.engine import Engine
from clavilux.evaluation.judges import JUDGES, Spaces
from clavilux.evaluation.material import find_pictures
from clavilux.evaluation.painting import Sight, look_at_files, look_at_latents, open_engine
from clavilux.evaluation.songs import Scale
from clavilux.measures.crossmodal import GUIDES, guide_values
from clavilux.measures.diversity import kernel_width, mean_pairwise_distance, vendi_score
from clavilux.measures.likeness import NEIGHBOURS, geometry, hubs, neighbours_kept, same_song, spearman
from clavilux.measures.transport import Float64, fused_plan, normal_scores, ridge
from clavilux.training import train_mapping
from clavilux.training.datasets import TRAINING, VALIDATION, AudioFeatureDataset, list_entries
from clavilux.training.preserve import Told
from clavilux.training.recipe import MappingRecipe, load_recipe
from clavilux.training.run import Run
from clavilux.training.stage_mapping import MAPPED_DESCRIPTORS
from clavilux.training.stage_pictures import load_eye, load_image_vae, prepare_windows
from clavilux.training.train_image_vae import picture_weights, windows_of_paintings
from clavilux.training.train_mapping import (
    Art,
    SongCodes,
    encode_songs,
    fit_mapping,
    fit_on_shuffled_pairs,
    look_at_art,
    map_songs,
    weights_to_looks,
)

ART_WINDOWS, PRACTICE = 3_000, 3_000  # as a training takes
PLAN_PICTURES = 2_000
HEARD_S = 120.0  # of a song, from its start, of which the halves are made: as `clavilux evaluate` hears it
REAL_PICTURES = 400
BOOTSTRAPS = 200
MARKERS = marks_of("mapping_methods")

MapSongs = Callable[[SongCodes], Float64]


@dataclass(frozen=True)
class Material:
    """Songs of both splits, halves of the validation songs, art, latents drawn beside it, and real pictures to measure
    diversity by."""

    training: SongCodes
    validation: SongCodes
    halves: tuple[SongCodes, SongCodes]
    art: Art
    practice: Art
    told: Told | None
    real: Sight


@dataclass(frozen=True)
class Method:
    """A line of the table: `fit` is given the material and returns a map from songs to latents."""

    name: str
    guides: str
    fit: Callable[[Material], MapSongs]

    def __str__(self) -> str:
        return f"{self.name}, guides {self.guides or '-'}"


# The methods ----------------------------------------------------------------------------------------------------------


def all_methods(recipe: MappingRecipe, seed: int) -> list[Method]:
    """The lines of the table; a structure weight of 1 leaves the guides out."""
    fgw = dataclasses.replace(recipe, method="fused-gromov-wasserstein")
    pca = dataclasses.replace(recipe, method="pca-match")
    unguided, unguided_pca = (dataclasses.replace(guided, structure=1.0) for guided in (fgw, pca))
    shipped = f"{recipe.structure:g}"
    lines = [
        Method("squared error on random pairs", "", partial(_classic, seed=seed)),
        Method("PCA match, recoloured", "yes", partial(_shipped, recipe=pca, seed=seed)),
        Method("PCA match, recoloured", "no", partial(_shipped, recipe=unguided_pca, seed=seed)),
    ]
    for structure in sorted({0.3, 0.6, 0.9, recipe.structure}):
        name = f"fused GW {structure:g}, kernel regression, recoloured"
        changed = dataclasses.replace(fgw, structure=structure)
        lines.append(Method(name, "yes", partial(_shipped, recipe=changed, seed=seed)))
    lines.append(Method("GW, kernel regression, recoloured", "no", partial(_shipped, recipe=unguided, seed=seed)))
    few = dataclasses.replace(fgw, recoloured=16)
    name = f"fused GW {shipped}, kernel regression, recoloured in 16 directions"
    lines.append(Method(name, "yes", partial(_shipped, recipe=few, seed=seed)))
    lines.append(
        Method(f"fused GW {shipped}, kernel regression alone", "yes", partial(_uncoloured, recipe=fgw, seed=seed))
    )
    lines.append(Method("GW, kernel regression alone", "no", partial(_uncoloured, recipe=unguided, seed=seed)))
    for guides, chosen, plan in (("yes", fgw, f"fused GW {shipped}"), ("no", unguided, "GW")):
        for start in ("middle", "PCA match"):
            fit = partial(_flow, recipe=chosen, start=start, seed=seed)
            lines.append(Method(f"OT-CFM over the {plan} plan, from the {start}", guides, fit))
    for guides, chosen in (("yes", fgw), ("no", unguided)):
        for recoloured in (True, False):
            name = f"sliced Wasserstein + distances{', recoloured' if recoloured else ''}"
            lines.append(Method(name, guides, partial(_sliced, recipe=chosen, recoloured=recoloured, seed=seed)))
    kept = dataclasses.replace(recipe, method="look-preserving")
    for name, guides, changes in (
        ("look-preserving", "yes", {}),
        ("look-preserving", "no", {"structure": 1.0}),
        ("look-preserving, looks not filled", "yes", {"fill_looks": 0.0}),
        ("look-preserving, no jitter", "yes", {"jitter": 0.0}),
    ):
        fit = partial(_shipped, recipe=dataclasses.replace(kept, **changes), seed=seed)
        lines.append(Method(name, guides, fit))
    return lines


def _quiet(line: str) -> None:
    """Fitting says one line a method, which the table says too."""


def _classic(material: Material, *, seed: int) -> MapSongs:
    """As the classic recipe: the perceptron, on z_audio alone, which is all that it knows of a song."""
    bare = _without_descriptors(material.training)
    network = fit_on_shuffled_pairs(bare, material.art, load_recipe("classic").mapping, seed=seed, log=_quiet)
    return lambda songs: map_songs(network, _without_descriptors(songs))


def _without_descriptors(songs: SongCodes) -> SongCodes:
    return dataclasses.replace(songs, codes=songs.codes[:, :LATENT_DIM], halves=songs.halves[:, :, :LATENT_DIM])


def _shipped(material: Material, *, recipe: MappingRecipe, seed: int) -> MapSongs:
    network = fit_mapping(
        material.training, material.art, recipe, seed=seed, log=_quiet, practice=material.practice, told=material.told
    )
    return partial(map_songs, network)


def _uncoloured(material: Material, *, recipe: MappingRecipe, seed: int) -> MapSongs:
    unchanged = (np.eye(LATENT_DIM), np.zeros(LATENT_DIM))
    with mock.patch.object(train_mapping, "recolouring", lambda cloud, target: unchanged):
        return _shipped(material, recipe=recipe, seed=seed)


@dataclass(frozen=True)
class _Places:
    """What the networks below learn from.

    into : songs -> components (k, P), scaled to a mean square of 1. components : (n, P) of the training songs.
    matched : songs -> latents (k, 64) by the PCA match. heard, seen : guides of songs (n, G) and pictures (m, G), as
    normal scores.
    """

    into: Callable[[SongCodes], Float64]
    components: Float64
    matched: MapSongs
    heard: Float64
    seen: Float64


def _places(material: Material, recipe: MappingRecipe, seed: int) -> _Places:
    straight = dataclasses.replace(recipe, method="pca-match")
    network = fit_mapping(material.training, material.art, straight, seed=seed, log=_quiet)

    def components(songs: SongCodes) -> Float64:
        with torch.no_grad():
            return np.asarray(network.to_components(torch.from_numpy(songs.codes).float()).double().numpy())

    unit = math.sqrt(float((components(material.training) ** 2).mean()))
    n_guides = len(GUIDES) if recipe.structure < 1 else 0
    return _Places(
        lambda songs: components(songs) / unit,
        components(material.training) / unit,
        partial(map_songs, network),
        normal_scores(guide_values(material.training.descriptors, "heard")[:, :n_guides]),
        normal_scores(material.art.guides[:, :n_guides]),
    )


def _perceptron(inputs: int, outputs: int, width: int = 256) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
        nn.Linear(width, outputs),
    )  # fmt: skip


FLOW_STEPS, FLOW_BATCH, FLOW_JITTER = 2_000, 256, 0.3
_EULER_STEPS = 20


def _flow(material: Material, *, recipe: MappingRecipe, start: str, seed: int) -> MapSongs:
    """Conditional flow matching (Lipman et al. 2023; Tong et al. 2024) on pairs drawn from the whole plan.

    The plan is solved once between all training songs and 2 000 pictures, not within batches. A pair's path is the
    straight line from where the song starts to the picture; the network, told the song, learns its direction. In use
    each song starts where it always starts, without noise, so that it has one picture: in the middle of the art (in
    training: normal noise of the art's spread), or where the PCA match lays it (in training: with noise of a third).
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    places = _places(material, recipe, seed)
    chosen = rng.permutation(len(material.art.latents))[:PLAN_PICTURES]
    latents = material.art.latents[chosen]
    plan = fused_plan(
        places.components, places.heard, latents, places.seen[chosen], latents @ weights_to_looks(material.art),
        recipe.structure,
    )  # fmt: skip
    middle, spread = latents.mean(axis=0), latents.std(axis=0)
    songs, pictures = _tensor(places.components), _tensor((latents - middle) / spread)
    matched = _tensor((places.matched(material.training) - middle) / spread)
    from_middle = start == "middle"
    noise_of_start = 1.0 if from_middle else 0.3
    network = _perceptron(LATENT_DIM + songs.shape[1] + 1, LATENT_DIM)
    drawn = rng.choice(plan.size, (FLOW_STEPS, FLOW_BATCH), p=plan.ravel() / plan.sum())
    song_of, picture_of = (torch.from_numpy(index) for index in np.unravel_index(drawn, plan.shape))

    def loss(step: int) -> Tensor:
        song, picture = song_of[step], picture_of[step]
        begin = noise_of_start * torch.randn(FLOW_BATCH, LATENT_DIM)
        begin = begin if from_middle else begin + matched[song]
        told = songs[song] + FLOW_JITTER * torch.randn(FLOW_BATCH, songs.shape[1])
        time_of = torch.rand(FLOW_BATCH, 1)
        place = (1 - time_of) * begin + time_of * pictures[picture]
        found = network(torch.cat([place, told, time_of], dim=1))
        return (found - (pictures[picture] - begin)).square().mean()

    _descend(network, loss, FLOW_STEPS)

    @torch.no_grad()
    def carry(new: SongCodes) -> Float64:
        told = _tensor(places.into(new))
        place = torch.zeros(len(told), LATENT_DIM) if from_middle else _tensor((places.matched(new) - middle) / spread)
        for step in range(_EULER_STEPS):
            moment = torch.full((len(told), 1), (step + 0.5) / _EULER_STEPS)
            place = place + network(torch.cat([place, told, moment], dim=1)) / _EULER_STEPS
        return np.asarray(place.double().numpy() * spread + middle)

    return carry


SLICED_STEPS, SLICES, SLICED_JITTER = 600, 64, 0.3
DISTANCE_WEIGHT, GUIDE_WEIGHT = 0.5, 0.5


def _sliced(material: Material, *, recipe: MappingRecipe, recoloured: bool, seed: int) -> MapSongs:
    """A perceptron that lays the songs' cloud on the art's, keeps distances, and follows the guides.

    Sliced Wasserstein distance of order 2 to all pictures; distances kept as by Benaim & Wolf (2017), each side less
    its mean and over its deviation, pictures by their looks; guides as a straight line reads them off latents. All
    songs and all pictures take part in every step: a few would not show that a cloud is too small.
    """
    places = _places(material, recipe, seed)
    art = material.art
    middle, spread = art.latents.mean(axis=0), art.latents.std(axis=0)
    pictures = _tensor((art.latents - middle) / spread)
    looks = spread[:, None] * weights_to_looks(art)
    readout, offset = ridge((art.latents - middle) / spread, places.seen, 1e-2)
    songs, heard = _tensor(places.components), _tensor(places.heard)
    to_looks, to_guides, guide_offset = _tensor(looks), _tensor(readout), _tensor(offset)
    quantiles = torch.from_numpy(np.linspace(0, len(pictures) - 1, len(songs)).round().astype(int))

    def learn(chosen: Tensor) -> nn.Sequential:
        torch.manual_seed(seed)
        network = _perceptron(songs.shape[1], LATENT_DIM)
        place = torch.linspace(0, len(quantiles) - 1, len(chosen)).round().long()

        def loss(step: int) -> Tensor:
            given = songs[chosen] + SLICED_JITTER * torch.randn(len(chosen), songs.shape[1])
            placed = network(given)
            directions = nn.functional.normalize(torch.randn(LATENT_DIM, SLICES), dim=0)
            wanted = (pictures @ directions).sort(dim=0).values[quantiles[place]]
            sliced = ((placed @ directions).sort(dim=0).values - wanted).square().mean()
            apart = _standard(torch.pdist(given)) - _standard(torch.pdist(placed @ to_looks))
            total = sliced + DISTANCE_WEIGHT * apart.abs().mean()
            if heard.shape[1]:
                told = placed @ to_guides + guide_offset
                told = (told - told.mean(dim=0)) / (told.std(dim=0) + 1e-6)
                total = total + GUIDE_WEIGHT * (told - heard[chosen]).square().mean()
            return total

        _descend(network, loss, SLICED_STEPS)
        return network

    @torch.no_grad()
    def place_by(network: nn.Sequential, components: Tensor) -> Float64:
        return np.asarray(network(components).double().numpy() * spread + middle)

    order = np.arange(len(songs))
    network = learn(torch.from_numpy(order))
    matrix, shift = np.eye(LATENT_DIM), np.zeros(LATENT_DIM)
    if recoloured:  # as in `fit_mapping`, read off songs that the network had not seen
        folds = np.random.default_rng(seed).permutation(len(songs)) % 5
        unseen = np.empty((len(songs), LATENT_DIM))
        for fold in range(5):
            unseen[folds == fold] = place_by(learn(torch.from_numpy(order[folds != fold])), songs[folds == fold])
        matrix, shift = train_mapping.recolouring(unseen, art.latents)
    return lambda new: place_by(network, _tensor(places.into(new))) @ matrix + shift


def _descend(network: nn.Module, loss: Callable[[int], Tensor], steps: int) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        optimizer.zero_grad()
        loss(step).backward()
        optimizer.step()
        rate.step()
    network.eval()


def _standard(values: Tensor) -> Tensor:
    return (values - values.mean()) / (values.std() + 1e-6)


def _tensor(values: Float64) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).float()


# Judging --------------------------------------------------------------------------------------------------------------


def judge(bundle: str, material: Material, latents: list[Float64], jobs: int) -> dict[str, float]:
    """Figures of a method, from its latents of whole songs, and of first and second halves if there are any."""
    spaces = Spaces.of(material.real.features)
    real = spaces.place(material.real.features)
    songs = _ear(bundle, material).place(material.validation.codes)
    heard = guide_values(material.validation.descriptors, "heard")
    n, whole = len(songs), latents[0]
    sight = look_at_latents(bundle, np.concatenate(latents).astype(np.float32), jobs=jobs)
    seen = [sight.take(range(i * n, (i + 1) * n)) for i in range(len(latents))]
    pictures, *halves = (spaces.place(part.features) for part in seen)
    row = {
        "variance kept": float(np.trace(np.cov(whole.T)) / np.trace(np.cov(material.art.latents.T))),
        "hubs": hubs(whole, material.art.latents),
        "geometry, latent": _geometry(songs, whole),
    }
    for name in JUDGES:
        points = pictures[name]
        row[f"geometry, {name}"] = _geometry(songs, points)
        row[f"{NEIGHBOURS} nearest, {name}"] = neighbours_kept(songs, points)
        width = kernel_width(real[name])
        row[f"diversity, {name}"] = mean_pairwise_distance(points) / _of_real(mean_pairwise_distance, real[name], n)
        row[f"Vendi, {name}"] = vendi_score(points, width) / _of_real(partial(vendi_score, width=width), real[name], n)
        if halves:
            first, second = (half[name] for half in halves)
            row[f"same song, {name}"] = same_song(first, second)[0]
            row[f"same song, {name}, +-"] = _noise(first, second)
    shown = guide_values(seen[0].traits, "seen")
    for i, guide in enumerate(GUIDES):
        row[guide.name.replace("_", " ")] = spearman(heard[:, i], shown[:, i])
    return row


def _ear(bundle: str, material: Material) -> Scale:
    return Scale.of_bundle(open_engine(bundle).bundle, material.validation.codes)


def _geometry(songs: Float64, points: Float64) -> float:
    return geometry(songs, points, rng=np.random.default_rng(0), permutations=0)[0]


def _of_real(measure: Callable[[np.ndarray], float], points: np.ndarray, n: int) -> float:
    """A measure of n real pictures, the mean of many draws."""
    rng = np.random.default_rng(0)
    return float(np.mean([measure(points[rng.permutation(len(points))[:n]]) for _ in range(20)]))


def _noise(first: np.ndarray, second: np.ndarray) -> float:
    """Standard error of `same_song` over which songs there are, by drawing them again without the same one twice."""
    rng, n = np.random.default_rng(0), len(first)
    few = [rng.permutation(n)[: n // 2] for _ in range(BOOTSTRAPS)]
    # Half the songs, drawn without return, spread as the mean of all of them does.
    return float(np.std([same_song(first[chosen], second[chosen])[0] for chosen in few]))


# The material ---------------------------------------------------------------------------------------------------------


def gather(
    music: Path, features: Path, art: Path, run_dir: Path, bundle: str, jobs: int, log: Callable[[str], None]
) -> Material:
    """Songs, halves and art as the networks of the bundle know them."""
    engine = open_engine(bundle).engine
    kept = run_dir / "mapping-methods"
    kept.mkdir(parents=True, exist_ok=True)
    halves = _measure_halves(music, features, kept, jobs, log)
    training, validation = (_encode(engine, features, split) for split in (TRAINING, VALIDATION))
    first, second = (_in_order(_encode(engine, folder, VALIDATION), validation.names) for folder in halves)
    key = (bundle, open_engine(bundle).bundle.sha256)
    pictures = _kept(kept / "art.pickle", key, lambda: _encode_art(bundle, art, features, run_dir, jobs, log))
    files = find_pictures(art, REAL_PICTURES)[1]
    log(f"{len(training.names)} training songs, {len(validation.names)} validation songs, {len(files)} real pictures")
    real = _kept(kept / "real.pickle", [path.name for path in files], lambda: look_at_files(files, (), jobs=jobs)[0])
    shown, practice = pictures
    told = Told(load_image_vae(open_engine(bundle).bundle), open_engine(bundle).bundle.palettes)
    return Material(training, validation, (first, second), shown, practice, told, real)


def _encode(engine: Engine, folder: Path, split: str) -> SongCodes:
    """Codes by the audio encoder of the bundle, which stands in for the network that `encode_songs` knows."""
    dims = engine.bundle.card["config"].get("identity", {}).get("dims", 0)

    class Network:
        identity = SimpleNamespace(dims=dims) if dims else None

        def __call__(self, windows: Tensor) -> tuple[Tensor]:
            return (torch.from_numpy(engine.window_codes(windows.numpy())),)

    return encode_songs(Network(), AudioFeatureDataset(folder, split), folder, MAPPED_DESCRIPTORS)


def _in_order(songs: SongCodes, names: list[str]) -> SongCodes:
    place = {Path(name).as_posix(): i for i, name in enumerate(songs.names)}
    order = [place[name] for name in names]
    descriptors = {key: values[order] for key, values in songs.descriptors.items()}
    return dataclasses.replace(songs, names=names, codes=songs.codes[order], descriptors=descriptors)


def _measure_halves(
    music: Path, features: Path, kept: Path, jobs: int, log: Callable[[str], None]
) -> tuple[Path, Path]:
    """Features and descriptors of both halves of each validation song, in two folders; measured once a version."""
    folders = (kept / "first-halves", kept / "second-halves")
    names = [entry.name for entry in list_entries(features, frozenset({".npy"})) if entry.split == VALIDATION]
    if all(_is_measured(folder, names) for folder in folders):
        return folders
    with (features / "descriptors.csv").open(newline="", encoding="utf-8") as file:
        sound = {row["npy"]: music / row["file"] for row in csv.DictReader(file)}
    log(f"listening to halves of {len(names)} validation songs")
    with tempfile.TemporaryDirectory(dir=kept) as cut:
        Parallel(n_jobs=jobs)(delayed(_cut)(sound[name], Path(cut), name) for name in names)
        for place, folder in enumerate(folders):
            write_features(Path(cut) / str(place), folder, jobs=jobs)
            lines = ["file,split,role", *(f'"{Path(name).with_suffix(".wav")}",{VALIDATION},music' for name in names)]
            (folder / "corpus.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return folders


def _is_measured(folder: Path, names: list[str]) -> bool:
    try:
        with (folder / "descriptors.csv").open(newline="", encoding="utf-8") as file:
            found = {row["npy"] for row in csv.DictReader(file) if row["version"] == VERSION}
    except FileNotFoundError:
        return False
    return found == set(names) and (folder / "corpus.csv").is_file()


def _cut(song: Path, folder: Path, name: str) -> None:
    """Write both halves of the first seconds of a song, mono, 16 bits."""
    sound = np.concatenate(list(read_blocks(song, max_s=HEARD_S)))
    middle = len(sound) // 2
    for place, half in enumerate((sound[:middle], sound[middle:])):
        path = (folder / str(place) / name).with_suffix(".wav")
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as out:
            out.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            out.writeframes(np.rint(32_767 * np.clip(half, -1, 1)).astype("<i2").tobytes())


def _encode_art(
    bundle: str, art: Path, features: Path, run_dir: Path, jobs: int, log: Callable[[str], None]
) -> tuple[Art, Art]:
    """Latents of windows of training art, chosen as a training chooses them, and what the painter makes of them; and of
    latents drawn from their normal distribution."""
    recipe = load_recipe("default")
    run = Run(recipe, run_dir, art, features, True, None, None, jobs, log)
    windows = prepare_windows(run, TRAINING)
    weights = picture_weights(windows_of_paintings(windows), recipe.image_vae.painting_share).numpy()
    rng = np.random.default_rng(recipe.seed)
    n = min(ART_WINDOWS, int((weights > 0).sum()))
    chosen = rng.choice(len(windows.windows), n, replace=False, p=weights / weights.sum())
    log(f"encoding and painting {n} windows of training art")
    latents = np.stack([open_engine(bundle).engine.encode_picture(windows.windows[i]) for i in chosen])
    drawn = rng.multivariate_normal(latents.mean(axis=0), np.cov(latents.T), PRACTICE)
    shown = np.concatenate([latents, drawn]).astype(np.float64)
    pictures = Parallel(n_jobs=jobs, batch_size=16)(delayed(_paint)(bundle, z.astype(np.float32)) for z in shown)
    both = look_at_art(
        shown, pictures, jobs=jobs, eye=load_eye(open_engine(bundle).bundle), eye_weight=recipe.mapping.eye_weight
    )
    return both.take(slice(None, n)), both.take(slice(n, None))


def _paint(bundle: str, z_image: np.ndarray) -> np.ndarray:
    return open_engine(bundle).paint_latent(z_image, size=128)


def _kept(path: Path, key: object, make: Callable[[], object]):  # type: ignore[no-untyped-def]
    if path.is_file():
        saved, content = pickle.loads(path.read_bytes())
        if saved == key:
            return content
    content = make()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(pickle.dumps((key, content)))
    os.replace(temporary, path)
    return content


# The table ------------------------------------------------------------------------------------------------------------

SONG_COLUMNS = (
    "variance kept", "geometry, latent", "geometry, A", "geometry, B", f"{NEIGHBOURS} nearest, A",
    f"{NEIGHBOURS} nearest, B", "same song, A", "same song, B", "diversity, A", "diversity, B", "Vendi, A", "Vendi, B",
    "hubs", "seconds",
)  # fmt: skip
GUIDE_COLUMNS = tuple(guide.name.replace("_", " ") for guide in GUIDES)


def to_markdown(rows: list[tuple[str, str, dict[str, float]]], material: Material, bundle: str) -> str:
    """Two tables: what becomes of the songs, and the guides."""
    n = len(material.validation.names)
    noise = max((row.get(f"same song, {name}, +-", 0.0) for _, _, row in rows for name in JUDGES), default=0.0)
    ear = _ear(bundle, material)
    own, _ = same_song(*(ear.place(half.codes) for half in material.halves))
    lines = [
        f"Bundle {open_engine(bundle).bundle.name} ({open_engine(bundle).bundle.sha256[:12]}); "
        f"{len(material.training.names)} training songs, {len(material.art.latents)} windows of training art, "
        f"{n} validation songs; {os.cpu_count()} cores, {platform.machine()}. By chance: geometry 0, "
        f"{NEIGHBOURS} nearest {NEIGHBOURS / (n - 1):.2f}, same song 0.50. The song codes alone tell halves of one "
        f"song with {own:.2f}. Standard error of *same song* over the choice of songs: up to {noise:.2f}.",
    ]
    for columns in (SONG_COLUMNS, GUIDE_COLUMNS):
        lines += ["", f"| method | guides | {' | '.join(columns)} |", f"|---|---|{'--:|' * len(columns)}"]
        for name, guides, row in rows:
            cells = [_cell(column, row.get(column)) for column in columns]
            lines.append(f"| {name} | {guides} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(column: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if column == "seconds" else f"{value:.2f}"


def _measure(method: Method, bundle: str, material: Material, jobs: int) -> dict[str, float]:
    began = time.process_time()
    carry = method.fit(material)
    seconds = time.process_time() - began
    latents = [carry(songs) for songs in (material.validation, *material.halves)]
    return judge(bundle, material, latents, jobs) | {"seconds": seconds}


def _state(material: Material, bundle: str, seed: int) -> str:
    """All that a line depends on, so that a run that was ended goes on and none takes a line of another state."""
    digest = hashlib.sha256(f"{open_engine(bundle).bundle.sha256} {seed}".encode())
    for songs in (material.training, material.validation, *material.halves):
        for values in (songs.codes, *songs.descriptors.values()):
            digest.update(np.ascontiguousarray(values).tobytes())
    digest.update(pickle.dumps((material.art, material.real.features, load_recipe("default").mapping)))
    package = Path(train_mapping.__file__).parents[1]
    parts = [package / "painter.py", package / "controls.py"]
    parts += [source for part in ("marks", "models", "training") for source in sorted((package / part).rglob("*.py"))]
    for source in (Path(__file__), *parts):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def main() -> None:
    """Fit, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("music", type=Path)
    parser.add_argument("features", type=Path)
    parser.add_argument("art", type=Path)
    parser.add_argument("--run", type=Path, required=True, help="folder of a training")
    parser.add_argument("--bundle", default="default")
    parser.add_argument("--only", help="only lines that have this in them, such as 'fused GW 0.6' or 'guides no'")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=-1)
    parser.add_argument("--markdown", type=Path, help="put the table into the marked place of this page")
    given = parser.parse_args()

    started = time.perf_counter()

    def log(line: str) -> None:
        print(f"[{time.perf_counter() - started:5.0f} s] {line}", file=sys.stderr)

    material = gather(given.music, given.features, given.art, given.run, given.bundle, given.jobs, log)
    methods = all_methods(load_recipe("default").mapping, given.seed)
    methods = [method for method in methods if not given.only or given.only in str(method)]
    kept, state = given.run / "mapping-methods", _state(material, given.bundle, given.seed)
    rows = []
    for method in methods:
        key = hashlib.sha256(f"{state} {method}".encode()).hexdigest()
        measure = partial(_measure, method, given.bundle, material, given.jobs)
        rows.append((method.name, method.guides, _kept(kept / f"line-{key[:16]}.pickle", key, measure)))
        log(f"{method}: {rows[-1][2]['seconds']:.0f} s to fit")
    rng, n = np.random.default_rng(given.seed), len(material.validation.names)
    if given.only is None:
        rows.append(
            ("random latents", "", judge(given.bundle, material, [rng.standard_normal((n, LATENT_DIM))], given.jobs))
        )
        some = material.art.latents[rng.permutation(len(material.art.latents))[:n]]
        of_art = judge(given.bundle, material, [some], given.jobs)
        columns = ("variance kept", *(f"{measure}, {name}" for measure in ("diversity", "Vendi") for name in JUDGES))
        rows.append(("latents of training art", "", {column: of_art[column] for column in columns}))
    table = to_markdown(rows, material, given.bundle)
    print(table, end="")
    if given.markdown:
        put_text(given.markdown, table, MARKERS)
    log("done")


if __name__ == "__main__":
    main()
