"""A whole training: two folders in, a bundle out. Each stage keeps its result in the run's folder; none is done twice.

features -> `stage_audio`: AudioVAE ------------------------------------------\\
pictures -> `stage_pictures`: windows -> eye -> marks -> lessons -> ImageVAE ---> `stage_mapping` -> bundle
                                  \\-> (decoder = "pixels") ------/

Here is what the stages share: the settings of a run, checks of its two folders, and weights of the bundle that it
starts from.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from clavilux.bundle import Bundle, open_bundle
from clavilux.errors import CorpusError, TrainingError
from clavilux.models.image_vae import ImageVAE
from clavilux.models.implicit_decoder import ImplicitImageVAE
from clavilux.training.datasets import PICTURE_SUFFIXES, TRAINING, VALIDATION, list_entries
from clavilux.training.loop import ONE_PROCESS, LoopSettings, Processes
from clavilux.training.readout import READ_OUT
from clavilux.training.recipe import AudioVAERecipe, ImageVAERecipe, Recipe
from clavilux.training.train_mapping import check_descriptors
from clavilux.training.weights import load_weights, read_weights

_ENCODES = ("encoder", "to_posterior")  # parts of an ImageVAE
_MINIMUM_PICTURES = 20
_MINIMUM_TRACKS = 10
_BETA_OF_TRAINED = 0.5  # where the shipped ImageVAE ended; from 0.05 a short training lets its rate run to the double


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
    start, eye_from : Bundle or None
        Shipped weights to go on from; the eye to take, which need not be trained anew for every ImageVAE.
    jobs : int
        Processes for painting and reading; -1 for all cores.
    log : callable
        Takes lines.
    processes : Processes
        Those that train; all of them read the same folders.
    teacher : Path or None
        Package of the network that says which kinds of marks look most like a picture; without it, the eye says it.
    command : sequence of str
        Words of the command line after `clavilux`, for the card of the bundle; none where Python called.
    """

    recipe: Recipe
    folder: Path
    art: Path
    features: Path
    resume: bool
    start: Bundle | None
    eye_from: Bundle | None
    jobs: int
    log: Callable[[str], None]
    processes: Processes = ONE_PROCESS
    teacher: Path | None = None
    command: Sequence[str] = ()


def check_folders(run: Run) -> None:
    """Refuse before the first stage what a later one would refuse after hours.

    Raises
    ------
    TrainingError, CorpusError
        Too few pictures or tracks for training; no table of descriptors; a folder that is not there.
    """
    check_pictures(run, sum(entry.split == TRAINING for entry in list_entries(run.art, PICTURE_SUFFIXES)))
    check_tracks(run, sum(entry.split == TRAINING for entry in list_entries(run.features, frozenset({".npy"}))))
    check_descriptors(run.features)


def check_pictures(run: Run, n: int) -> None:
    """Raise a `TrainingError` if there are too few pictures for training."""
    if n < _MINIMUM_PICTURES:
        raise TrainingError(
            f"{run.art} has {n} pictures for training; fewer than {_MINIMUM_PICTURES} cannot tell what they share from "
            "what one of them is. Add pictures"
        )


def check_tracks(run: Run, n: int) -> None:
    """Raise a `TrainingError` if there are too few tracks for training."""
    if n < _MINIMUM_TRACKS:
        raise TrainingError(
            f"{run.features} has {n} tracks for training; a song code is standardised over songs and takes at least "
            f"{_MINIMUM_TRACKS}. Add music"
        )


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
    """Return the bundle that a training goes on from, with its weights checked; None without a name.

    Raises
    ------
    BundleError
        If the bundle or weights that it lists are damaged: before the training, not after its first stage.
    """
    if name is None:
        return None
    bundle = open_bundle(name)
    for file in bundle.card["files"]:
        if file.endswith(".safetensors"):
            read_weights(bundle, file.removesuffix(".safetensors"))
    return bundle


def loop_settings(
    run: Run, recipe: AudioVAERecipe | ImageVAERecipe, seed: int, n_items: int, target_nats: float, data: str
) -> LoopSettings:
    """Return what the loop takes from a recipe; `data` is a hash of what is learnt from."""
    steps = recipe.epochs * max(1, n_items // recipe.batch) if recipe.epochs else recipe.steps
    by_rate = recipe.objective == "rate"
    return LoopSettings(
        steps=steps,
        batch=recipe.batch,
        learning_rate=recipe.learning_rate,
        warmup=recipe.warmup,
        final_rate=recipe.final_rate,
        ema=recipe.ema,
        seed=seed,
        precision=run.recipe.precision,
        target_nats=target_nats if by_rate else None,
        first_beta=_BETA_OF_TRAINED if run.start is not None else LoopSettings.first_beta,
        max_beta=None if by_rate else recipe.max_beta,
        data=data,
    )


def start_from(run: Run, network: torch.nn.Module, file: str) -> None:
    """Load the weights of the bundle that the run starts from into a network; do nothing if it starts from none."""
    start = run.start
    if start is None:
        return
    weights = read_weights(start, file)
    if isinstance(network, ImplicitImageVAE) and start.decoder == "painter":
        # Its posterior is kept as it is, but for the dropout of training: the two decoders answer to the same latents.
        weights = {name: value for name, value in weights.items() if name.partition(".")[0] in _ENCODES}
        weights |= {name: value for name, value in network.state_dict().items() if name not in weights}
        for part in _ENCODES:
            network.get_submodule(part).requires_grad_(False)
    if isinstance(network, ImageVAE):
        # Layers of the readout say what to paint, not how probable it is, and are fitted anew at the end; their losses
        # would tear at the encoder.
        fresh = network.state_dict()
        weights |= {name: fresh[name] for name in fresh if name.partition(".")[0] in READ_OUT}
    load_weights(network, weights, start, file)
    run.log(f"{file}: going on from the bundle {start.name}")
