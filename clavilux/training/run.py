r"""Functions and settings that all stages of a training use: `Run`, the initial bundle, training in parts, a cache.

features -> `stage_audio` (AudioVAE) -----------\
pictures -> `stage_pictures` (ImageVAE) ---------> `stage_mapping` -> bundle

Each stage stores its results in the folder of the run and does not repeat finished work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from torch import Tensor, nn

from clavilux.bundle import Bundle, open_bundle
from clavilux.models.image_vae import ImageVAE
from clavilux.models.weights import load_weights, read_weights
from clavilux.training.cache import load_or_make
from clavilux.training.linear_heads import LINEAR_HEADS
from clavilux.training.loop import LoopSettings, Task, train
from clavilux.training.processes import ONE_PROCESS, Processes
from clavilux.training.recipe import AudioVAERecipe, ImageVAERecipe, Recipe

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

# First beta of a network that is trained already: where the shipped ImageVAE ended. From 0.05, the KL divergence of a
# short training doubles before it is under control.
_BETA_OF_TRAINED = 0.5


@dataclass(frozen=True)
class Run:
    """The settings of a training: recipe, folders, bundles and processes.

    Attributes
    ----------
    recipe : Recipe
    folder : Path
        Folder for checkpoints, logs and contact sheets.
    art, features : Path
        Folders of pictures and of feature files.
    music : Path or None
        Folder of the recordings of the features, if this run computed the features; else None.
    resume : bool
        Continue from checkpoints.
    start : Bundle or None
        Bundle from whose weights the training starts; its palettes are kept.
    classifier_from : Bundle or None
        Bundle whose mark classifier is used instead of training one, if its kinds of marks are those of this version.
    pictures_from : Bundle or None
        Bundle whose ImageVAE and palettes are used without training; the linear heads are fitted again.
    jobs : int
        Number of worker processes that paint and read files; -1 for one per core.
    log : callable
        Receives lines about progress.
    processes : Processes
        Processes that train; all of them read the same folders.
    command : sequence of str
        Command line after `clavilux`, for `bundle.json`; empty when called from Python.
    notes : set of str
        Lines that `note` has logged.
    """

    recipe: Recipe
    folder: Path
    art: Path
    features: Path
    resume: bool
    start: Bundle | None
    classifier_from: Bundle | None
    jobs: int
    log: Callable[[str], None]
    processes: Processes = ONE_PROCESS
    command: Sequence[str] = ()
    music: Path | None = None
    pictures_from: Bundle | None = None
    notes: set[str] = field(default_factory=set, repr=False)

    @property
    def learns_from_copies(self) -> bool:
        """Whether the track embedding is trained in this run, with copies of recordings."""
        return self.start is None and self.recipe.track_embedding.copies > 0 and self.recipe.track_embedding.dims > 0

    def note(self, line: str) -> None:
        """Log a line about the data, unless it has been logged before by another stage."""
        if line not in self.notes:
            self.notes.add(line)
            self.log(line)


def start_bundle(name: str | None) -> Bundle | None:
    """Return the bundle with this name or folder, after a check of its weights; None if the name is None.

    Raises
    ------
    BundleError
        If the bundle or one of its weight files is damaged.
    """
    if name is None:
        return None
    bundle = open_bundle(name)
    for file in bundle.card["files"]:
        if file.endswith(".safetensors"):
            read_weights(bundle, file.removesuffix(".safetensors"))
    return bundle


def start_from(run: Run, network: nn.Module, file: str) -> None:
    """Load the weights ``file`` of the bundle `run.start` into a network, in place; do nothing if there is no bundle.

    The linear heads of an ImageVAE keep their initial weights.

    Raises
    ------
    BundleError
        If the weights cannot be read.
    TrainingError
        If their shapes do not fit the network.
    """
    # The linear heads in a bundle were fitted in closed form at the end of its training; their large losses would
    # disturb the encoder.
    if run.start is None:
        return
    weights = read_weights(run.start, file)
    if isinstance(network, ImageVAE):
        weights |= _linear_heads(network)
    load_weights(network, weights, run.start, file)
    run.log(f"{file}: starting from the bundle {run.start.name}")


def loop_settings(
    run: Run, recipe: AudioVAERecipe | ImageVAERecipe, seed: int, n_items: int, target_nats: float, data: str
) -> LoopSettings:
    """Return the settings of the training loop for a VAE.

    Parameters
    ----------
    run : Run
    recipe : AudioVAERecipe or ImageVAERecipe
    seed : int
    n_items : int
        Number of training items, which gives the number of steps of an epoch.
    target_nats : float
        Target of the KL divergence, used if the objective of the recipe is "kl_target".
    data : str
        Hash of the training data.
    """
    steps = recipe.epochs * max(1, n_items // recipe.batch) if recipe.epochs else recipe.steps
    holds_kl = recipe.objective == "kl_target"
    return LoopSettings(
        steps=steps,
        batch=recipe.batch,
        learning_rate=recipe.learning_rate,
        warmup=recipe.warmup,
        final_learning_rate=recipe.final_learning_rate,
        ema=recipe.ema,
        seed=seed,
        precision=run.recipe.precision,
        target_nats=target_nats if holds_kl else None,
        first_beta=_BETA_OF_TRAINED if run.start is not None else LoopSettings.first_beta,
        max_beta=None if holds_kl else recipe.max_beta,
        data=data,
    )


def train_network(
    run: Run, task: Task, settings: LoopSettings, *, after_validation: Callable[[int], None] | None = None
) -> nn.Module:
    """Train a network in the folder of a run, from its checkpoint if the run is resumed, and return it."""
    return train(
        task,
        settings,
        run.folder,
        resume=run.resume,
        log=run.log,
        processes=run.processes,
        after_validation=after_validation,
    )


def cached(run: Run, file: str, key: object, kind: type[T], make: Callable[[], T]) -> T:
    """Return the record in a file of the run folder if it has this key, else make it and write it to the file.

    The parameters are those of `clavilux.training.cache.load_or_make`. With several processes, only the first one of a
    machine makes the record.
    """
    with run.processes.join().rank_zero_first():
        return load_or_make(run.folder / file, key, kind, make, log=run.log)


def _linear_heads(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the weights of the linear heads; empty for networks without them."""
    return {
        name: value.clone() for name, value in network.state_dict().items() if name.partition(".")[0] in LINEAR_HEADS
    }
