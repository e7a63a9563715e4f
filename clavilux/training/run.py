r"""Code that all stages of a training share: settings of the run, weights to start from, cached results.

feature files -> `stage_audio` (AudioVAE) ------\
pictures -> `stage_pictures` (ImageVAE) ---------> `stage_mapping` -> bundle

Each stage stores its results in the run folder and does not repeat finished work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from clavilux.bundle import Bundle, open_bundle
from clavilux.models.image_vae import ImageVAE
from clavilux.models.weights import load_weights, read_weights
from clavilux.system.extras import imports_of
from clavilux.training.cache import load_or_make
from clavilux.training.linear_heads import LINEAR_HEADS
from clavilux.training.loop import LoopSettings, Task, train
from clavilux.training.processes import ONE_PROCESS, Processes
from clavilux.training.recipe import AudioVAERecipe, ImageVAERecipe, Recipe

with imports_of("train", __name__):
    from torch import nn

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

# Initial beta if a training starts from a bundle: the last beta of the shipped ImageVAE. With an initial beta of
# 0.05, the KL divergence of a short training doubles before it is under control.
_BETA_OF_TRAINED = 0.5


@dataclass(frozen=True)
class Run:
    """The settings of a training: recipe, folders, bundles and processes."""

    recipe: Recipe
    folder: Path  # run folder, for checkpoints, logs, caches and contact sheets
    art: Path  # folder of pictures
    features: Path  # folder of feature files
    resume: bool  # whether to continue from checkpoints
    start: Bundle | None  # bundle from whose weights the training starts; its palettes are kept
    classifier_from: Bundle | None  # bundle whose mark classifier is used if its kinds of marks are the present ones
    jobs: int  # number of worker processes that paint and read files; -1 for one per core
    log: Callable[[str], None]  # receives lines about progress
    processes: Processes = ONE_PROCESS  # processes that train together; all of them read the same folders
    command: Sequence[str] = ()  # command line after `clavilux`, for `bundle.json`; empty when called from Python
    music: Path | None = None  # folder of the recordings, if this run computed their features
    audio_from: Bundle | None = None  # bundle whose AudioVAE is used without training
    pictures_from: Bundle | None = None  # bundle whose ImageVAE and palettes are used without training
    notes: set[str] = field(default_factory=set, repr=False)  # lines that `note` has logged

    @property
    def learns_from_copies(self) -> bool:
        """Whether this run trains the track embedding with degraded copies of recordings."""
        return self.start is None and self.recipe.track_embedding.copies > 0 and self.recipe.track_embedding.dims > 0

    def note(self, line: str) -> None:
        """Log a line about the data, unless another stage has logged the same line."""
        if line not in self.notes:
            self.notes.add(line)
            self.log(line)


def start_bundle(name: str | None) -> Bundle | None:
    """Return the bundle with this name or in this folder, after a check of its weights; for None, return None.

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
    """Load weights from the bundle `run.start` into a network, in place; do nothing if there is no such bundle.

    ``file`` is the name of the weight file without extension, such as "audio_vae". The linear heads of an ImageVAE keep
    their initial weights.

    Raises
    ------
    BundleError
        If the weights cannot be read.
    TrainingError
        If the shapes of the weights do not fit the network.
    """
    if run.start is None:
        return
    weights = read_weights(run.start, file)
    if isinstance(network, ImageVAE):
        # The heads in a bundle were fitted after its training. At first, their large losses would disturb the encoder.
        initial = network.state_dict()
        weights |= {name: initial[name] for name in initial if name.partition(".")[0] in LINEAR_HEADS}
    load_weights(network, weights, run.start, file)
    run.log(f"{file}: starting from the bundle {run.start.name}")


def loop_settings(
    run: Run, recipe: AudioVAERecipe | ImageVAERecipe, seed: int, n_items: int, target_nats: float, data: str
) -> LoopSettings:
    """Return the settings of the training loop for a VAE with ``n_items`` training items.

    ``target_nats`` is the target of the KL divergence, used if the objective of the recipe is "kl_target". ``data`` is
    a hash of the training data.
    """
    steps = recipe.epochs * max(1, n_items // recipe.batch) if recipe.epochs else recipe.steps
    if recipe.warmup > steps:
        run.note(f"warmup is {recipe.warmup} of {steps} steps, so that the learning rate never reaches its value")
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
) -> None:
    """Train the network of a task in place; logs and checkpoints are written to the run folder."""
    train(
        task,
        settings,
        run.folder,
        resume=run.resume,
        log=run.log,
        processes=run.processes,
        after_validation=after_validation,
    )


def cached(run: Run, file: str, key: object, kind: type[T], make: Callable[[], T]) -> T:
    """Return the result that a file of the run folder stores for this key; if there is none, compute and store it.

    The parameters are those of `clavilux.training.cache.load_or_make`. With several processes, only the first one on a
    machine computes the result; the others read it.
    """
    with run.processes.join().rank_zero_first():
        return load_or_make(run.folder / file, key, kind, make, log=run.log)
