"""A whole training: two folders in, a bundle out. Each stage keeps its result in the run's folder; none is done twice.

features -> `stage_audio`: AudioVAE ------------------------------------------\\
pictures -> `stage_pictures`: windows -> eye -> marks -> lessons -> ImageVAE ---> `stage_mapping` -> bundle
                                  \\-> (decoder = "pixels") ------/

Here is what the stages share: the settings of a run, checks of its two folders, and weights of the bundle that it
starts from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from clavilux.bundle import Bundle, open_bundle
from clavilux.models.image_vae import ImageVAE
from clavilux.training.linear_heads import LINEAR_HEADS
from clavilux.training.loop import ONE_PROCESS, LoopSettings, Processes
from clavilux.training.recipe import AudioVAERecipe, ImageVAERecipe, Recipe
from clavilux.training.weights import load_weights, read_weights

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
    command : sequence of str
        Words of the command line after `clavilux`, for the card of the bundle; none where Python called.
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
    said: set[str] = field(default_factory=set, repr=False)

    def note(self, line: str) -> None:
        """Log a line about the data, once: several stages find the same."""
        if line not in self.said:
            self.said.add(line)
            self.log(line)


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


def start_from(run: Run, network: torch.nn.Module, file: str) -> None:
    """Load the weights of the bundle that the run starts from into a network; do nothing if it starts from none."""
    start = run.start
    if start is None:
        return
    weights = read_weights(start, file)
    if isinstance(network, ImageVAE):
        # Layers of the readout say what to paint, not how probable it is, and are fitted anew at the end; their losses
        # would tear at the encoder.
        fresh = network.state_dict()
        weights |= {name: fresh[name] for name in fresh if name.partition(".")[0] in LINEAR_HEADS}
    load_weights(network, weights, start, file)
    run.log(f"{file}: going on from the bundle {start.name}")
