"""A whole training: two folders in, a bundle out. Each stage keeps its result in the run's folder; none is done twice.

features -> AudioVAE ----------------------------------------\\
pictures -> windows -> eye -> marks -> lessons -> ImageVAE ---> MappingNetwork -> bundle
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import pickle
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from clavilux.bundle import Bundle, open_bundle
from clavilux.descriptors import DESCRIPTORS
from clavilux.errors import CorpusError, TrainingError
from clavilux.marks import KINDS
from clavilux.models.audio_vae import AudioVAE
from clavilux.models.eye import Eye
from clavilux.models.image_vae import ImageVAE
from clavilux.painter import paint
from clavilux.training.analysis import Windows, analyse_folder, palette_codebook
from clavilux.training.choices import balance_choices
from clavilux.training.datasets import TRAINING, VALIDATION, AudioFeatureDataset
from clavilux.training.export import Trained, export_bundle
from clavilux.training.loop import LoopSettings, train
from clavilux.training.recipe import Recipe
from clavilux.training.sheets import features_as_pictures, save_sheet
from clavilux.training.studies import paint_studies
from clavilux.training.train_audio_vae import AudioVAETask
from clavilux.training.train_eye import EyeTask, kind_weights, read_marks, weigh_kinds
from clavilux.training.train_image_vae import ImageVAETask, make_lessons, picture_weights, windows_of_paintings
from clavilux.training.train_mapping import (
    controls_of_latents,
    encode_songs,
    fit_mapping,
    local_spread,
    look_at_art,
    map_songs,
    mapping_figures,
)

MAPPED_DESCRIPTORS = tuple(name for name, descriptor in DESCRIPTORS.items() if descriptor.plain)

_MINIMUM_PICTURES = 20
_MINIMUM_TRACKS = 10


@dataclass(frozen=True)
class Run:
    """Where a training reads and writes, and how it talks.

    Attributes
    ----------
    recipe : Recipe
    folder : Path
        Takes checkpoints, logs, sheets.
    art, features : Path
        Folders of pictures and of feature files.
    resume : bool
        Go on from checkpoints.
    start : Bundle or None
        Shipped weights to go on from.
    jobs : int
        Processes for painting and reading; -1 for all cores.
    log : callable
        Takes lines.
    """

    recipe: Recipe
    folder: Path
    art: Path
    features: Path
    resume: bool
    start: Bundle | None
    jobs: int
    log: Callable[[str], None]


def train_audio_vae(run: Run) -> AudioVAE:
    """Train the AudioVAE on the run's features."""
    recipe = run.recipe.audio_vae
    torch.manual_seed(run.recipe.seed)
    training = AudioFeatureDataset(run.features, TRAINING, skip=run.log)
    validation = AudioFeatureDataset(run.features, VALIDATION, skip=run.log)
    if len(training.entries) < _MINIMUM_TRACKS:
        raise TrainingError(
            f"{run.features} has {len(training.entries)} tracks for training; a song code is standardised over songs "
            f"and takes at least {_MINIMUM_TRACKS}. Add music"
        )
    task = AudioVAETask(training, validation, recipe)
    _start_from(run, task.network, "audio_vae")
    # Rounded: the last digits depend on how many threads added the numbers up, and a resumed run must agree.
    target = recipe.target_nats or round(task.target_nats(), 1)
    run.log(f"audio-vae: {len(training.entries)} tracks, {len(training)} windows, target {target:.1f} nats")
    settings = LoopSettings(
        steps=recipe.steps,
        batch=recipe.batch,
        learning_rate=recipe.learning_rate,
        warmup=recipe.warmup,
        ema=recipe.ema,
        seed=run.recipe.seed,
        target_nats=target,
    )

    def sheet(step: int) -> None:
        windows = torch.stack([validation[i] for i in np.linspace(0, len(validation) - 1, 6).astype(int)])
        normal = task.network.normalise(windows)
        with torch.no_grad():
            again = task.network.decode(task.network(windows))
        pictures = features_as_pictures(torch.cat([normal, again]).numpy())
        save_sheet(run.folder / "sheets" / f"audio-vae-{step:06d}.png", pictures, columns=6)

    network = train(task, settings, run.folder, resume=run.resume, log=run.log, after_validation=sheet)
    assert isinstance(network, AudioVAE)
    return network


def prepare_windows(run: Run, split: str) -> Windows:
    """Cut and read the pictures of a split, or take what an earlier stage read."""
    path = run.folder / f"windows-{split}.pickle"
    key = _folder_key(run)
    if path.is_file():
        with path.open("rb") as file:
            saved_key, windows = pickle.load(file)
        if saved_key == key:
            assert isinstance(windows, Windows)
            return windows
    windows = analyse_folder(run.art, split, run.recipe.analysis, seed=run.recipe.seed, jobs=run.jobs, log=run.log)
    run.log(f"pictures: {len(windows.names)} for {split}, {len(windows.windows)} windows")
    _save_pickle(path, (key, windows))
    return windows


def train_eye(run: Run, windows: Windows) -> Eye:
    """Train the eye on studies, or take the one of the bundle that the run starts from."""
    recipe = run.recipe.eye
    torch.manual_seed(run.recipe.seed + 1)
    if run.start is not None and tuple(run.start.kinds) == KINDS:
        weights = load_file(str(run.start.folder / "eye.safetensors"))
        eye = Eye(n_kinds=len(KINDS), width=weights["features.0.weight"].shape[0])
        eye.load_state_dict(weights)
        run.log(f"eye: taken from the bundle {run.start.name}")
        return eye.eval()
    path = run.folder / "studies.pickle"
    key = (_folder_key(run), recipe.studies, KINDS)
    studies = None
    if path.is_file():
        with path.open("rb") as file:
            saved_key, studies = pickle.load(file)
        studies = studies if saved_key == key else None
    if studies is None:
        run.log(f"eye: painting {recipe.studies} studies")
        studies = paint_studies(windows, recipe.studies, seed=run.recipe.seed, jobs=run.jobs)
        _save_pickle(path, (key, studies))
    settings = LoopSettings(
        steps=recipe.steps,
        batch=recipe.batch,
        learning_rate=recipe.learning_rate,
        warmup=recipe.warmup,
        ema=recipe.ema,
        seed=run.recipe.seed + 1,
    )
    task = EyeTask(studies, recipe)
    network = train(task, settings, run.folder, resume=run.resume, log=run.log)
    assert isinstance(network, Eye)
    return network


def train_image_vae(run: Run) -> tuple[ImageVAE, Eye, NDArray[np.float32]]:
    """Train the ImageVAE on the run's pictures; returns it with the eye and the codebook of palettes."""
    recipe = run.recipe.image_vae
    windows = prepare_windows(run, TRAINING)
    if len(windows.names) < _MINIMUM_PICTURES:
        raise TrainingError(
            f"{run.art} has {len(windows.names)} pictures for training; fewer than {_MINIMUM_PICTURES} cannot tell "
            "what they share from what one of them is. Add pictures"
        )
    seen = prepare_windows(run, VALIDATION)
    eye = train_eye(run, windows)
    marks, seen_marks = read_marks(eye, windows.windows), read_marks(eye, seen.windows)
    weights = kind_weights(marks, run.recipe.analysis.kind_evenness)
    marks, seen_marks = weigh_kinds(marks, weights), weigh_kinds(seen_marks, weights)
    counts = np.bincount(marks.kind.argmax(1), minlength=len(KINDS))
    run.log("eye: kinds read " + ", ".join(f"{kind} {n}" for kind, n in zip(KINDS, counts, strict=True)))
    if run.start is not None:
        palettes = run.start.palettes
    else:
        rng = np.random.default_rng(run.recipe.seed)
        palettes = palette_codebook(windows.palettes, run.recipe.analysis.palettes, rng)
    lessons = make_lessons(windows, marks, palettes, run.recipe.analysis)
    seen_lessons = make_lessons(seen, seen_marks, palettes, run.recipe.analysis)
    torch.manual_seed(run.recipe.seed + 2)
    task = ImageVAETask(lessons, seen_lessons, recipe)
    _start_from(run, task.network, "image_vae")
    settings = LoopSettings(
        steps=recipe.steps,
        batch=recipe.batch,
        learning_rate=recipe.learning_rate,
        warmup=recipe.warmup,
        ema=recipe.ema,
        seed=run.recipe.seed + 2,
        target_nats=recipe.target_nats,
    )

    def sheet(step: int) -> None:
        shown = np.linspace(0, len(seen.windows) - 1, 12).astype(int)
        latents = _latents(task.network, seen)[shown]
        random = np.random.default_rng(0).standard_normal((12, latents.shape[1]))
        painted = [
            paint(controls, width=128, height=128, seed=0)
            for controls in controls_of_latents(task.network, palettes, KINDS, np.concatenate([latents, random]))
        ]
        rows = [*seen.windows[shown], *painted]
        save_sheet(run.folder / "sheets" / f"image-vae-{step:06d}.png", rows, columns=12)

    network = train(task, settings, run.folder, resume=run.resume, log=run.log, after_validation=sheet)
    assert isinstance(network, ImageVAE)
    return network, eye, palettes


def finish(
    run: Run, audio_vae: AudioVAE, image_vae: ImageVAE, eye: Eye, palettes: NDArray[np.float32], output: Path
) -> dict[str, Any]:
    """Fit the mapping on trained networks, write the bundle and return its measures."""
    songs = {
        split: encode_songs(
            audio_vae, AudioFeatureDataset(run.features, split, skip=run.log), run.features, MAPPED_DESCRIPTORS
        )
        for split in (TRAINING, VALIDATION)
    }
    windows = prepare_windows(run, TRAINING)
    latents = _latents(image_vae, windows)
    # As in the training of the ImageVAE: paintings of other subjects are a part of the cloud, not all of it.
    rng = np.random.default_rng(run.recipe.seed)
    weights = picture_weights(windows_of_paintings(windows), run.recipe.image_vae.painting_share).numpy()
    n = min(3_000, int((weights > 0).sum()))
    chosen = rng.choice(len(latents), n, replace=False, p=weights / weights.sum())
    marks = read_marks(eye, windows.windows)
    marks = weigh_kinds(marks, kind_weights(marks, run.recipe.analysis.kind_evenness))
    lessons = make_lessons(windows, marks, palettes, run.recipe.analysis)
    choices = balance_choices(
        image_vae,
        latents[chosen],
        lessons.kind[chosen].double().mean(dim=0).numpy(),
        lessons.palette[chosen].double().mean(dim=0).numpy(),
        rng=rng,
    )
    run.log("choices: " + ", ".join(f"{key} {value:.3g}" for key, value in choices.items()))
    art = look_at_art(image_vae, palettes, KINDS, latents[chosen], jobs=run.jobs)
    mapping = fit_mapping(songs[TRAINING], art, run.recipe.mapping, seed=run.recipe.seed, log=run.log)
    mapped = look_at_art(image_vae, palettes, KINDS, map_songs(mapping, songs[VALIDATION]), jobs=run.jobs)
    figures = mapping_figures(mapping, songs[VALIDATION], art, mapped)
    run.log("mapping: validation songs, " + ", ".join(f"{k} {v:.3f}" for k, v in figures.items()))
    measures = {
        "audio_vae": _last_validation(run.folder, "audio-vae"),
        "eye": _last_validation(run.folder, "eye"),
        "image_vae": _last_validation(run.folder, "image-vae"),
        "choices": choices,
        "mapping": figures,
    }
    descriptor_means = [float(songs[TRAINING].descriptors[name].mean()) for name in MAPPED_DESCRIPTORS]
    parity = export_bundle(
        Trained(audio_vae, image_vae, mapping, eye, palettes),
        output,
        name=output.name,
        kinds=KINDS,
        descriptors=MAPPED_DESCRIPTORS,
        variation_scale=local_spread(latents[chosen]),
        config=run.recipe.as_dict(),
        normalisation={
            "feature_mean": audio_vae.row_mean.flatten().tolist(),
            "feature_deviation": audio_vae.row_deviation.flatten().tolist(),
            "descriptor_mean": descriptor_means,
            "song_mean": mapping.song_mean.tolist(),
            "song_deviation": mapping.song_deviation.tolist(),
        },
        corpus={"art": describe_folder(run.art), "music": describe_folder(run.features)},
        measures=measures,
        # Folders by their own name alone: where they lay on this machine is nobody's business.
        command="clavilux " + " ".join(Path(word).name for word in sys.argv[1:]),
    )
    run.log(f"bundle: {output}, parity " + ", ".join(f"{stage} {value:.1e}" for stage, value in parity.items()))
    return measures


def describe_folder(folder: Path) -> dict[str, Any]:
    """What a folder is made of, by its `corpus.csv` if it has one: counts, sources with licence, hash of the table."""
    path = folder / "corpus.csv"
    if not path.is_file():
        return {"files": sum(1 for p in folder.rglob("*") if p.is_file())}
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] in (TRAINING, VALIDATION)]
    if any(row["tier"] != "free" for row in rows):
        raise CorpusError(f"{path} has training rows that are not free; a bundle must not learn from them")
    return {
        "table_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "counts": dict(Counter(f"{row['role']}, {row['split']}" for row in rows)),
        "sources": {
            source: {"files": n, "licence": next(row["licence"] for row in rows if row["source"] == source)}
            for source, n in sorted(Counter(row["source"] for row in rows).items())
        },
    }


def start_bundle(name: str | None) -> Bundle | None:
    """The bundle that a training goes on from."""
    return None if name is None else open_bundle(name)


@torch.no_grad()
def _latents(network: ImageVAE, windows: Windows) -> NDArray[np.float64]:
    """Posterior means (n, 64) of all windows."""
    pictures = torch.from_numpy(windows.small()).permute(0, 3, 1, 2)
    parts = [network(part.float() / 255.0) for part in torch.split(pictures, 256)]
    return np.asarray(torch.cat(parts).double().numpy())


def _start_from(run: Run, network: torch.nn.Module, file: str) -> None:
    if run.start is None:
        return
    weights = load_file(str(run.start.folder / f"{file}.safetensors"))
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise TrainingError(
            f"the {file} of bundle {run.start.name} has other shapes than this recipe; train with the recipe that made "
            "it (`clavilux bundle show`), or without --from"
        ) from error
    run.log(f"{file}: going on from the bundle {run.start.name}")


def _folder_key(run: Run) -> str:
    """Names, sizes and times of the pictures, and how they are cut."""
    analysis = run.recipe.analysis
    cut = [analysis.abstract_windows, analysis.painting_windows, run.recipe.seed]
    digest = hashlib.sha256(json.dumps(cut).encode())
    for path in sorted(run.art.rglob("*")):
        if path.is_file():
            stat = path.stat()
            digest.update(f"{path.relative_to(run.art)} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()


def _save_pickle(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        pickle.dump(content, file, protocol=pickle.HIGHEST_PROTOCOL)
    os.replace(temporary, path)


def _last_validation(folder: Path, name: str) -> dict[str, float]:
    path = folder / f"{name}-validation.csv"
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {key: float(value) for key, value in rows[-1].items()}
