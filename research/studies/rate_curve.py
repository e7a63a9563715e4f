"""What a picture's 64 numbers should be allowed to know: the rate curve of the ImageVAE, and the controls beside it.

    python benchmarks/rate_curve.py train --art CORPUS/art --run runs/rate [--only painter-45] [--steps 2000]
    python benchmarks/rate_curve.py judge --art CORPUS/art --audio CORPUS/features --run runs/rate [--only painter-45]
    python benchmarks/rate_curve.py table --run runs/rate

`train` gives each network the same windows, batch and number of steps, and measures it on validation windows. `judge`
paints the posterior means of real art and looks at the paintings; it is a stage of its own because it depends on the
painter, as `train` does not. Each run has a folder with its checkpoint, `trained.json` and `judged.json`; what is there
is not done again. All commands end by printing the tables.

    painter-R       the painter's ImageVAE with its rate held at R nats
    pixels-R        a plain convolutional decoder by sigma-VAE with its rate held at R nats
    classic         the same decoder by the loss of the classic recipe
    conditioned-R   a trial: the painter's decoder is given the six guides of the picture beside its latent
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import math
import os
import pickle
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray
from safetensors.torch import load_file
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

import clavilux
from clavilux.bundle import Bundle
from clavilux.colour import srgb_to_lab
from clavilux.constants import ENCODER_SIDE_PX, LATENT_DIM, PLAN_SIDE, SLOTS
from clavilux.evaluation.judges import JUDGES, Spaces
from clavilux.evaluation.manifold import compare_clouds
from clavilux.evaluation.material import find_pictures
from clavilux.evaluation.painting import PAINTED_PX, Sight, look, look_at_files
from clavilux.evaluation.songs import Scale
from clavilux.images import middle_square, read_picture, resize
from clavilux.measures.crossmodal import GUIDES, guide_values
from clavilux.measures.diversity import distances, kernel_width, mean_pairwise_distance
from clavilux.measures.image_features import TRAITS, measure_traits
from clavilux.measures.likeness import geometry, neighbours_kept, spearman
from clavilux.measures.transport import normal_scores, ridge
from clavilux.models.audio_vae import AudioVAE
from clavilux.models.conv_image_vae import ConvImageVAE
from clavilux.models.image_vae import ImageVAE, RawControls
from clavilux.models.losses import rate_per_dimension, sample_posterior, water_filling_kept
from clavilux.painter.controls import Controls
from clavilux.painter.marks import KINDS
from clavilux.painter.paint import paint
from clavilux.training.analysis import Windows, palette_codebook
from clavilux.training.datasets import TRAINING, VALIDATION, AudioFeatureDataset
from clavilux.training.loop import Batch, LoopSettings, Precision, train
from clavilux.training.readout import Readings, fit_readout
from clavilux.training.recipe import ImageVAERecipe, Recipe, load_recipe
from clavilux.training.run import Run, start_bundle
from clavilux.training.stage_mapping import MAPPED_DESCRIPTORS
from clavilux.training.stage_pictures import prepare_windows, train_eye
from clavilux.training.train_conv_vae import ConvImageVAETask, as_tensor, shrink
from clavilux.training.train_image_vae import (
    ACTIVE_VARIANCE,
    ImageVAETask,
    Lessons,
    make_lessons,
    picture_weights,
    windows_of_paintings,
)
from clavilux.training.train_mapping import (
    controls_of_latents,
    decode_pixels,
    encode_songs,
    fit_mapping,
    look_at_art,
    map_songs,
    paint_controls,
)
from clavilux.training.train_mark_classifier import MarksRead, kind_likeness, kind_weights, read_marks, weigh_kinds

RUNS = (
    "painter-20", "painter-45", "painter-90", "painter-130", "conditioned-45", "pixels-45", "pixels-90", "classic",
)  # fmt: skip
_READ_OUT = ("to_palette.", "to_kind.", "to_marks.")
_SAID_BY_THEM = {f"{key}{suffix}" for key in ("palette", "kind", "marks") for suffix in ("", "_draw")}
_CLOUD = 3_000  # latents of real art that a readout is fitted to
_PAINTED_CLOUD = 1_000  # of them, those that a mapping is fitted to: each is painted
_PICTURE_MEASURES = ("diversity", "vendi", "coverage", "recall", "precision", "density")
# Where beta starts, times the set point: about where it ends at 45 nats (for pixels: what a linear code asks for). From
# the loop's 0.05 a short training ends before its rate has settled.
_FIRST_BETA_NATS = {"painter": 0.5 * 45, "pixels": 150.0 * 45}
_COMPONENTS = 64
_BINS = 15  # of the reliability diagram (Guo et al. 2017)
_SOFT = {"plan": "shares", "palette": "palette", "kind": "kind"}  # what is said with probabilities, and its truth
_RIDGE = 1e-2  # as in clavilux/training/readout.py

Float64 = NDArray[np.float64]
Floats = NDArray[np.floating]
Traits = dict[str, Float64]
Figures = dict[str, Any]


# Data -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Data:
    """What all runs learn from: windows of both splits, the marks that the eye read off them, the palettes, and how
    alike kinds look to the eye."""

    training: Windows
    validation: Windows
    training_marks: MarksRead
    validation_marks: MarksRead
    palettes: NDArray[np.float32]
    likeness: Float64

    def lessons(self, recipe: Recipe) -> tuple[Lessons, Lessons]:
        """As the training of the shipped bundle makes them."""
        return (
            make_lessons(self.training, self.training_marks, self.palettes, recipe.analysis),
            make_lessons(self.validation, self.validation_marks, self.palettes, recipe.analysis),
        )

    def key(self) -> str:
        """Of the pixels that are learnt from."""
        return hashlib.sha256(self.training.windows.tobytes()).hexdigest()

    def weights(self, recipe: ImageVAERecipe) -> Tensor:
        """How often each training window is shown, (n,)."""
        return picture_weights(windows_of_paintings(self.training), recipe.painting_share)


def load_data(run: Run) -> Data:
    """Windows, marks and palettes, as `clavilux train image-vae --eye-from` has them; kept in the run's folder."""
    windows, seen = prepare_windows(run, TRAINING), prepare_windows(run, VALIDATION)
    assert run.eye_from is not None, "the eye is taken, not trained"

    def read() -> tuple[MarksRead, MarksRead, NDArray[np.float32], Float64]:
        eye = train_eye(run, windows)
        marks, seen_marks = read_marks(eye, windows.windows), read_marks(eye, seen.windows)
        weights = kind_weights(marks, run.recipe.analysis.kind_evenness)
        rng = np.random.default_rng(run.recipe.seed)
        palettes = palette_codebook(windows.palettes, run.recipe.analysis.palettes, rng)
        return weigh_kinds(marks, weights), weigh_kinds(seen_marks, weights), palettes, kind_likeness(eye)

    eye_sha256 = hashlib.sha256((run.eye_from.folder / "eye.safetensors").read_bytes()).hexdigest()
    pixels_sha256 = hashlib.sha256(windows.windows.tobytes()).hexdigest()
    marks, seen_marks, palettes, likeness = kept(run.folder / "marks.pickle", (eye_sha256, pixels_sha256, KINDS), read)
    return Data(windows, seen, marks, seen_marks, palettes, likeness)


def window_traits(data: Data, jobs: int) -> dict[str, Traits]:
    """Traits of the windows of both splits."""
    found = {}
    for split, windows in ((TRAINING, data.training.windows), (VALIDATION, data.validation.windows)):
        measured = Parallel(n_jobs=jobs, batch_size=64)(delayed(measure_traits)(rgb) for rgb in windows)
        found[split] = {name: np.array([m[name] for m in measured]) for name in TRAITS}
    return found


def guide_scores(columns: Mapping[str, Floats], among: Mapping[str, Floats], side: str) -> NDArray[np.float32]:
    """Normal scores of the guides of m songs or pictures among those of n others, the training's: (m, G).

    A value beyond all of the others has the score of their last.
    """
    n = len(next(iter(among.values())))
    both = {name: np.concatenate([among[name], columns[name]]) for name in among}
    values = guide_values(both, side)
    scores = normal_scores(values[:n])
    places = [np.interp(values[n:, g], np.sort(values[:n, g]), np.sort(scores[:, g])) for g in range(values.shape[1])]
    return np.stack(places, axis=1).astype(np.float32)


# Networks -------------------------------------------------------------------------------------------------------------


class ConditionedImageVAE(ImageVAE):
    """The painter's ImageVAE whose decoder takes the guides of the picture behind the latent: (B, 64 + G)."""

    def __init__(self, *, n_palettes: int, n_kinds: int, width: int, decoder_width: int, n_guides: int) -> None:
        super().__init__(n_palettes=n_palettes, n_kinds=n_kinds, width=width, decoder_width=decoder_width)
        inputs = LATENT_DIM + n_guides
        self.to_plan[0] = nn.Linear(inputs, decoder_width * 16)
        self.to_palette = nn.Linear(inputs, n_palettes)
        self.to_kind = nn.Linear(inputs, n_kinds)
        self.to_marks = nn.Linear(inputs, self.to_marks.out_features)


class GuidedReadout(ImageVAE):
    """A trained ImageVAE whose readout of palette, kind and marks takes the guides behind the latent.

    Its plan does not. Nothing is trained anew: the readout is fitted in closed form.
    """

    def __init__(self, plain: ImageVAE, n_guides: int) -> None:
        super().__init__(n_palettes=plain.to_palette.out_features, n_kinds=plain.to_kind.out_features)
        self.encoder, self.to_posterior = plain.encoder, plain.to_posterior
        self.to_plan = nn.Sequential(_Leading(LATENT_DIM), *plain.to_plan)
        inputs = LATENT_DIM + n_guides
        self.to_palette = nn.Linear(inputs, plain.to_palette.out_features)
        self.to_kind = nn.Linear(inputs, plain.to_kind.out_features)
        self.to_marks = nn.Linear(inputs, plain.to_marks.out_features)


class _Leading(nn.Module):
    """The first n numbers: (B, m) -> (B, n)."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, values: Tensor) -> Tensor:
        return values[:, : self.n]


class ConditionedTask(ImageVAETask):
    """Plan, palette and marks by classification, with the guides given to the decoder."""

    def __init__(
        self,
        training: Lessons,
        validation: Lessons,
        recipe: ImageVAERecipe,
        scores: NDArray[np.float32],
        seen_scores: NDArray[np.float32],
    ) -> None:
        super().__init__(training, validation, recipe)
        self.network = ConditionedImageVAE(
            n_palettes=training.palette.shape[1],
            n_kinds=len(KINDS),
            width=recipe.width,
            decoder_width=recipe.decoder_width,
            n_guides=scores.shape[1],
        )
        self.scores, self.seen_scores = torch.from_numpy(scores), torch.from_numpy(seen_scores)

    def batch(self, items: Tensor, generator: torch.Generator) -> Batch:
        # The guides are the same however a picture is turned.
        return super().batch(items, generator) | {"guides": self.scores[items]}

    def forward(self, batch: Batch, noise: torch.Generator, beta: float) -> dict[str, Tensor]:
        mean, logvar = self.network.encode(batch["pictures"])
        raw = self.network.decode(torch.cat([sample_posterior(mean, logvar, noise), batch["guides"]], dim=1))
        rate = rate_per_dimension(mean, logvar).sum()
        parts = self.parts(raw, batch)
        return {"loss": self.weigh(parts) + beta * rate, "rate": rate, **parts}

    def validate(self) -> dict[str, float]:
        return tell_painter(self.network, self.validation_lessons, self.seen_scores)


# Training -------------------------------------------------------------------------------------------------------------


def recipe_of(name: str, steps: int) -> ImageVAERecipe:
    """Numbers of a run: those of its recipe, with the budget of all and the schedule scaled to it."""
    default, classic = load_recipe("default").image_vae, load_recipe("classic").image_vae
    if name == "classic":
        # Its learning rate is constant and its last weights are kept: nothing to scale.
        return dataclasses.replace(classic, steps=steps, epochs=0, batch=default.batch)
    family, nats = name.split("-")
    return dataclasses.replace(
        default,
        decoder="pixels" if family == "pixels" else "painter",
        width=classic.width if family == "pixels" else default.width,  # the same network as the classic recipe's
        steps=steps,
        warmup=default.warmup * steps // default.steps,
        ema=1 - (1 - default.ema) * default.steps / steps,
        target_nats=float(nats),
    )


def train_run(run: Run, name: str, recipe: ImageVAERecipe, start: Path | None) -> None:
    """Train one network, or go on, and measure it on validation windows."""
    folder = run.folder / name
    seed = run.recipe.seed + 2
    torch.manual_seed(seed)
    data = load_data(run)
    task = make_task(run, data, name, recipe)
    if start is not None and isinstance(task, ImageVAETask):
        start_from(start, task.network)
        run.log(f"{name}: going on from {start.name}")
    by_rate = recipe.objective == "rate"
    settings = LoopSettings(
        steps=recipe.steps,
        batch=recipe.batch,
        learning_rate=recipe.learning_rate,
        warmup=recipe.warmup,
        final_rate=recipe.final_rate,
        ema=recipe.ema,
        seed=seed,
        precision=run.recipe.precision,
        target_nats=recipe.target_nats if by_rate else None,
        first_beta=_FIRST_BETA_NATS[recipe.decoder] / recipe.target_nats if by_rate else LoopSettings.first_beta,
        max_beta=None if by_rate else recipe.max_beta,
    )
    started = time.monotonic()
    train(task, settings, folder, resume=True, log=run.log)
    seconds = time.monotonic() - started
    figures = tell(run, data, task, recipe)
    write_json(folder / "trained.json", {"key": key_of(recipe, start), "seconds": seconds, "figures": figures})


def key_of(recipe: ImageVAERecipe, start: Path | None) -> dict[str, Any]:
    """What must be the same for a finished run not to be done again."""
    sha256 = None
    if start is not None and recipe.decoder == "painter":
        sha256 = hashlib.sha256(start.read_bytes()).hexdigest()
    return {"recipe": dataclasses.asdict(recipe), "start_sha256": sha256}


def start_from(checkpoint: Path, network: ImageVAE) -> None:
    """Take the weights that a training of the same folders has left; guides that they do not know say nothing yet."""
    weights = torch.load(checkpoint, weights_only=True)["averaged"]
    for key, value in network.state_dict().items():
        missing = value.shape[-1] - weights[key].shape[-1]
        if value.ndim == 2 and missing > 0:
            weights[key] = torch.cat([weights[key], torch.zeros(len(value), missing)], dim=1)
    network.load_state_dict(weights)


def make_task(run: Run, data: Data, name: str, recipe: ImageVAERecipe) -> ImageVAETask | ConvImageVAETask:
    """Network and lessons of a run."""
    if recipe.decoder == "pixels":
        return ConvImageVAETask(data.training.windows, data.validation.windows, data.weights(recipe), recipe)
    lessons, seen_lessons = data.lessons(run.recipe)
    if name.startswith("conditioned"):
        traits = kept(run.folder / "traits.pickle", data.key(), lambda: window_traits(data, run.jobs))
        scores, seen_scores = (guide_scores(traits[s], traits[TRAINING], "seen") for s in (TRAINING, VALIDATION))
        return ConditionedTask(lessons, seen_lessons, recipe, scores, seen_scores)
    return ImageVAETask(lessons, seen_lessons, recipe)


def make_beside(run: Run, data: Data, file: Path) -> tuple[ImageVAETask | ConvImageVAETask, ImageVAERecipe]:
    """The network of a checkpoint, or of a bundle.

    What a bundle says of palette, kind and marks is its readout, and an older network may have said them in another
    way: then these layers are left as they are drawn, and what they say is not measured.
    """
    checkpoint = file.suffix == ".ckpt"
    weights = torch.load(file, weights_only=True)["averaged"] if checkpoint else load_file(str(file))
    pixels = "decoder.0.weight" in weights
    recipe = dataclasses.replace(
        run.recipe.image_vae,
        decoder="pixels" if pixels else "painter",
        width=len(weights["encoder.0.weight"]),
        decoder_width=run.recipe.image_vae.decoder_width if pixels else len(weights["to_plan.0.bias"]) // 16,
    )
    task = make_task(run, data, file.stem, recipe)
    if pixels or (checkpoint and fits(weights, task.network)):
        task.network.load_state_dict(weights)
    else:
        kept_weights = {k: v for k, v in weights.items() if k.startswith(("encoder.", "to_posterior.", "to_plan."))}
        missing, unexpected = task.network.load_state_dict(kept_weights, strict=False)
        assert not unexpected and all(key.startswith(_READ_OUT) for key in missing), (missing, unexpected)
    task.network.eval()
    return task, recipe


def fits(weights: Mapping[str, Tensor], network: nn.Module) -> bool:
    """Have these weights the names and shapes of the network's?"""
    return {k: v.shape for k, v in weights.items()} == {k: v.shape for k, v in network.state_dict().items()}


def measure_beside(run: Run, name: str, file: Path) -> None:
    """Measure a network that was trained elsewhere on the same pictures."""
    key = {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    done = read_json(run.folder / name / "trained.json")
    if done and done["key"] == key:
        run.log(f"{name}: measured earlier")
        return
    run.log(f"{name}: {file.name}, trained elsewhere")
    data = load_data(run)
    task, recipe = make_beside(run, data, file)
    figures = tell(run, data, task, recipe)
    if file.suffix != ".ckpt" or not fits(torch.load(file, weights_only=True)["averaged"], task.network):
        figures = {key: value for key, value in figures.items() if key not in _SAID_BY_THEM}
    (run.folder / name).mkdir(exist_ok=True)
    write_json(run.folder / name / "trained.json", {"key": key, "figures": figures})


# Figures on validation windows ----------------------------------------------------------------------------------------


@torch.no_grad()
def tell(run: Run, data: Data, task: ImageVAETask | ConvImageVAETask, recipe: ImageVAERecipe) -> Figures:
    """All figures of a trained network."""
    if isinstance(task, ConvImageVAETask):
        figures = tell_pixels(task.network, task)
        return figures | foretell_pixels(run, data, recipe, figures["rate"])
    scores = seen_scores = None
    if isinstance(task, ConditionedTask):
        scores, seen_scores = task.scores, task.seen_scores
    lessons, seen_lessons = task.training_lessons, task.validation_lessons
    return tell_painter(task.network, seen_lessons, seen_scores) | tell_readout(
        task.network, data, lessons, seen_lessons, scores, seen_scores, recipe
    )


@torch.no_grad()
def tell_painter(network: ImageVAE, lessons: Lessons, scores: Tensor | None) -> dict[str, float]:
    """Cross-entropies in nats, by the mean of the posterior and by a draw of it; rate; active units; reliability.

    `marks` is the squared error of the training. Reliability: the likeliest slot of each cell is said with a
    probability, and has a share of the cell's pixels; the expected calibration error (Guo et al. 2017) is their mean
    difference over bins of the probability, `overconfidence` the same with its sign.
    """
    noise = torch.Generator().manual_seed(0)
    n = len(lessons.pictures)
    sums: dict[str, float] = {}
    means, rates = [], []
    said, right = np.zeros(_BINS), np.zeros(_BINS)
    counts = np.zeros(_BINS)
    for items in torch.split(torch.arange(n), 128):
        batch = answers(lessons, items)
        mean, logvar = network.encode(lessons.pictures[items].float() / 255.0)
        for suffix, latent in (("", mean), ("_draw", sample_posterior(mean, logvar, noise))):
            raw = network.decode(latent if scores is None else torch.cat([latent, scores[items]], dim=1))
            for key, value in ImageVAETask.parts(raw, batch).items():
                sums[key + suffix] = sums.get(key + suffix, 0.0) + float(value) * len(items) / n
            if not suffix:
                probability, slot = torch.softmax(raw.plan, dim=1).max(dim=1)
                share = batch["shares"].gather(1, slot[:, None])[:, 0]
                place = (probability.flatten() * _BINS).long().clamp(max=_BINS - 1).numpy()
                counts += np.bincount(place, minlength=_BINS)
                said += np.bincount(place, probability.flatten().double().numpy(), _BINS)
                right += np.bincount(place, share.flatten().double().numpy(), _BINS)
        means.append(mean)
        rates.append(rate_per_dimension(mean, logvar) * len(items) / n)
    for key in ("plan", "plan_draw"):
        sums[key] /= lessons.shares[0, 0].numel()
    variance = torch.cat(means).var(dim=0)
    return {
        **sums,
        "rate": float(torch.stack(rates).sum()),
        "active_units": float((variance > ACTIVE_VARIANCE).sum()),
        "calibration_error": float(np.abs(said - right).sum() / counts.sum()),
        "overconfidence": float((said - right).sum() / counts.sum()),
    }


def answers(lessons: Lessons, items: Tensor) -> Batch:
    """What a decoder should say of these windows."""
    return {
        "shares": lessons.shares[items].float() / 255.0,
        "palette": lessons.palette[items].float(),
        "kind": lessons.kind[items],
        "log_frequency": lessons.log_frequency[items],
        "direction": lessons.direction[items],
        "chaos": lessons.chaos[items],
        "finish": lessons.finish[items],
    }


@torch.no_grad()
def tell_readout(
    network: ImageVAE,
    data: Data,
    lessons: Lessons,
    seen_lessons: Lessons,
    scores: Tensor | None,
    seen_scores: Tensor | None,
    recipe: ImageVAERecipe,
) -> dict[str, float]:
    """How much of the variance of what was read off validation windows a straight line through the latents foretells.

    The line is fitted to training windows, drawn as the training draws them: it is what the painter's readout starts
    from (`clavilux/training/readout.py`), which takes the place of the trained layers of palette, kind and marks.
    """
    inputs = latents_of(network, lessons.pictures, scores)
    unseen = latents_of(network, seen_lessons.pictures, seen_scores)
    chosen = choose_windows(data, recipe, np.random.default_rng(0))
    sides = [
        {
            "palette": srgb_to_lab(windows.palettes).reshape(len(windows.palettes), -1),
            "kind": marks.kind,
            "frequency": marks.log_frequency[:, None],
            "direction": marks.direction,
            "chaos": marks.chaos[:, None],
            "finish": marks.finish,
        }
        for windows, marks in ((data.training, data.training_marks), (data.validation, data.validation_marks))
    ]
    told = {}
    for key in sides[0]:
        taught, truth = (np.asarray(side[key], np.float64) for side in sides)
        slope, offset = ridge(inputs[chosen], taught[chosen], _RIDGE)
        missed = ((unseen @ slope + offset - truth) ** 2).sum()
        told[f"{key}_told"] = float(1 - missed / ((truth - truth.mean(axis=0)) ** 2).sum())
    return told


@torch.no_grad()
def latents_of(network: ImageVAE | ConvImageVAE, pictures: Tensor, scores: Tensor | None = None) -> Float64:
    """Posterior means (n, 64) of pictures (n, 3, 64, 64) uint8, with the guides behind them where there are any."""
    parts = torch.cat([network.encode(part.float() / 255.0)[0] for part in torch.split(pictures, 256)])
    if scores is not None:
        parts = torch.cat([parts, scores], dim=1)
    return np.asarray(parts.double().numpy())


@torch.no_grad()
def tell_pixels(network: ConvImageVAE, task: ConvImageVAETask) -> dict[str, float]:
    """Rate, active units, and explained variance of validation pixels by the posterior's mean and by a draw of it."""
    task.network = network
    figures = task.validate()
    noise = torch.Generator().manual_seed(0)
    centre = as_tensor(task.validation_pictures).mean(dim=0)
    error = total = 0.0
    for part in torch.split(task.validation_pictures, 128):
        pictures = as_tensor(part)
        mean, logvar = network.encode(shrink(pictures))
        error += float((pictures - network.decode(sample_posterior(mean, logvar, noise))).square().sum())
        total += float((pictures - centre).square().sum())
    return figures | {"explained_variance_draw": 1 - error / total}


def foretell_pixels(run: Run, data: Data, recipe: ImageVAERecipe, rate: float) -> dict[str, float]:
    """What 64 principal components of the training pixels keep of validation pixels: all of it, and at this rate."""
    variances, total, ceiling = kept(
        run.folder / "spectrum.pickle",
        (data.key(), recipe.painting_share),
        lambda: pixel_spectrum(data, data.weights(recipe)),
    )
    draw, mean = water_filling_kept(torch.from_numpy(variances), rate)
    return {"ceiling": ceiling, "foretold_draw": draw / total, "foretold": mean / total}


def pixel_spectrum(data: Data, weights: Tensor) -> tuple[Float64, float, float]:
    """Principal components of the pixels of training windows, weighted as they are shown, held against validation.

    Returns
    -------
    variances (64,) of validation windows along the components, their total variance, and the share of it that the
    components keep (centred on the mean of training).
    """
    flat = torch.from_numpy(data.training.windows).flatten(1).float() / 255.0
    share = (weights / weights.sum()).float()
    mean = share @ flat
    flat -= mean
    flat *= (share * len(share)).sqrt()[:, None]
    torch.manual_seed(0)
    _, _, components = torch.svd_lowrank(flat, q=_COMPONENTS + 16, niter=4)
    components = components[:, :_COMPONENTS]
    del flat
    unseen = torch.from_numpy(data.validation.windows).flatten(1).float() / 255.0
    total = float(unseen.var(dim=0, correction=0).double().sum())
    scores = (unseen - mean) @ components
    missed = float((unseen - mean).square().sum().double() - scores.square().sum().double()) / len(unseen)
    variances = scores.double().var(dim=0, correction=0).numpy()
    return variances, total, 1 - missed / total


def tell_ignorance(data: Data, recipe: Recipe) -> dict[str, dict[str, float]]:
    """Cross-entropies on validation windows at rate 0, where the mean of training is all there is to say, and of the
    readings themselves, below which no decoder gets: shares and labels are soft.
    """
    lessons, seen = data.lessons(recipe)
    weights = data.weights(recipe.image_vae)
    share = (weights / weights.sum()).float()
    n = len(seen.chaos)
    # Pictures are shown any way round: one share of each slot for all cells, no direction.
    slots = torch.cat([part.float().mean(dim=(2, 3)) for part in torch.split(lessons.shares, 256)]) / 255.0
    always = RawControls(
        plan=(share @ slots).log()[None, :, None, None].expand(n, SLOTS, PLAN_SIDE, PLAN_SIDE),
        palette=(share @ lessons.palette.float()).log().expand(n, -1),
        kind=(share @ lessons.kind).log().expand(n, -1),
        frequency=(share @ lessons.log_frequency).exp().expand(n),
        direction=torch.zeros(n, 2),
        chaos=(share @ lessons.chaos).expand(n),
        finish=(share @ lessons.finish).expand(n, -1),
    )
    truth = answers(seen, torch.arange(n))
    themselves = always._replace(**{key: (truth[f] + 1e-12).log() for key, f in _SOFT.items()})
    nothing, floor = (
        {key: float(value) for key, value in ImageVAETask.parts(raw, truth).items()} for raw in (always, themselves)
    )
    for figures in (nothing, floor):
        figures["plan"] /= PLAN_SIDE**2
    del floor["marks"]  # errors of numbers can vanish
    return {"rate 0": nothing, "floor": floor}


# Paintings of real art ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ground:
    """What paintings are held against: n held-out pictures, n training pictures, and windows of unseen art.

    held_out, training : looked at. small : (n, 64, 64, 3) of the training pictures, as the encoder sees them. unseen :
    the windows of validation art, looked at; `chosen` says which windows of the split they are.
    """

    held_out: Sight
    training: Sight
    small: NDArray[np.uint8]
    unseen: Sight
    chosen: NDArray[np.int64]


def load_ground(run: Run, data: Data, n: int) -> Ground:
    """Draw and look at real art; kept in the run's folder. Paintings of other subjects do not judge."""

    def look_at() -> Ground:
        held_out, training, _, _ = find_pictures(run.art, n)
        small = np.stack([resize(middle_square(read_picture(file)), ENCODER_SIDE_PX) for file in training])
        art = ~windows_of_paintings(data.validation).numpy()
        named = np.isin([data.validation.roles[i] for i in data.validation.source], ("abstract", "generative"))
        chosen = np.flatnonzero(art & named)
        return Ground(
            look_at_files(held_out, (), jobs=run.jobs)[0],
            look_at_files(training, (), jobs=run.jobs)[0],
            small,
            look_at_pictures(list(data.validation.windows[chosen]), run.jobs),
            chosen,
        )

    ground = kept(run.folder / "ground.pickle", (data.key(), n), look_at)
    assert isinstance(ground, Ground)
    return ground


def judge_run(run: Run, name: str, steps: int, n: int, beside: Path | None) -> Figures:
    """Paint the posterior means of training pictures and of unseen windows, and look at the paintings."""
    data = load_data(run)
    ground = load_ground(run, data, n)
    painter = load_painter(run, data, name, steps, beside)
    seen = as_tensor_of_bytes(ground.small)
    unseen = as_tensor_of_bytes(data.validation.small()[ground.chosen])
    scores = painter.scores_of(ground.training.traits), painter.scores_of(ground.unseen.traits)
    spaces = Spaces.of(ground.training.features)
    rng = np.random.default_rng(0)
    sight = painter.look(latents_of(painter.network, seen, scores[0]), run.jobs)
    figures: Figures = {
        "paintings": measure_pictures(sight, ground.held_out, spaces, rng),
        "real": measure_pictures(ground.training, ground.held_out, spaces, rng),
        "likeness": likeness(sight, ground.training, spaces),
    }
    sight = painter.look(latents_of(painter.network, unseen, scores[1]), run.jobs)
    figures["unseen"] = measure_pictures(sight, ground.held_out, spaces, rng)
    figures["unseen_real"] = measure_pictures(ground.unseen, ground.held_out, spaces, rng)
    figures["unseen_likeness"] = likeness(sight, ground.unseen, spaces)
    figures["n"], figures["n_unseen"] = len(seen), len(unseen)
    return figures


@dataclass(frozen=True)
class Painter:
    """A trained network and what it takes to see its pictures; traits of training windows if it is conditioned."""

    network: ImageVAE | ConvImageVAE
    palettes: NDArray[np.float32]
    traits: Traits | None = None

    def scores_of(self, traits: Mapping[str, Floats]) -> Tensor | None:
        """Guides of pictures as the decoder takes them, if it takes them."""
        if self.traits is None:
            return None
        return torch.from_numpy(guide_scores(traits, self.traits, "seen"))

    def look(self, latents: Float64, jobs: int) -> Sight:
        """Paint latents, each with its guides behind it where the decoder takes them, and look at the paintings."""
        if isinstance(self.network, ConvImageVAE):
            return look_at_pictures(list(decode_pixels(self.network, latents)), jobs)
        controls = controls_of_latents(self.network, self.palettes, KINDS, latents)
        batches = [controls[i : i + 8] for i in range(0, len(controls), 8)]
        return Sight.join(Parallel(n_jobs=jobs)(delayed(paint_and_look)(batch) for batch in batches))


def load_painter(
    run: Run, data: Data, name: str, steps: int, beside: Path | None = None, *, guided: bool = False
) -> Painter:
    """The network of a finished run, or one beside, with its readout fitted as `clavilux train` fits it, and `guided`
    if it is to take the guides."""
    if beside is not None:
        task, recipe = make_beside(run, data, beside)
    else:
        recipe = recipe_of(name, steps)
        task = make_task(run, data, name, recipe)
        weights = torch.load(run.folder / name / "image-vae.ckpt", weights_only=True)["averaged"]
        task.network.load_state_dict(weights)
        task.network.eval()
    if isinstance(task, ConvImageVAETask):
        return Painter(task.network, data.palettes)
    network, scores, traits = task.network, None, None
    if isinstance(task, ConditionedTask) or guided:
        traits = kept(run.folder / "traits.pickle", data.key(), lambda: window_traits(data, run.jobs))[TRAINING]
        scores = torch.from_numpy(guide_scores(traits, traits, "seen"))
    if guided:
        network = GuidedReadout(task.network, len(GUIDES)).eval()
    rng = np.random.default_rng(run.recipe.seed)
    chosen = choose_windows(data, recipe, rng)
    marks = data.training_marks
    readings = Readings(
        palette=data.training.palettes[chosen],
        kind=marks.kind[chosen],
        log_frequency=marks.log_frequency[chosen],
        direction=marks.direction[chosen],
        chaos=marks.chaos[chosen],
        finish=marks.finish[chosen],
    )
    pictures = task.training_lessons.pictures[chosen]
    latents = latents_of(network, pictures, None if scores is None else scores[chosen])
    blend = recipe.palette_blend
    fit_readout(network, latents, readings, data.palettes, data.likeness, palette_blend=blend, rng=rng)
    return Painter(network, data.palettes, traits)


def choose_windows(data: Data, recipe: ImageVAERecipe, rng: np.random.Generator) -> NDArray[np.int64]:
    """Training windows as the training shows them, none twice."""
    weights = data.weights(recipe).numpy()
    n = min(_CLOUD, int((weights > 0).sum()))
    return np.asarray(rng.choice(len(weights), n, replace=False, p=weights / weights.sum()))


def measure_pictures(made: Sight, art: Sight, spaces: Spaces, rng: np.random.Generator) -> dict[str, float]:
    """Measures that know nothing of songs, with equal numbers on both sides."""
    n = min(len(made), len(art))
    figures: dict[str, float] = {}
    for judge in JUDGES:
        found, real = spaces.place(made.features)[judge][:n], spaces.place(art.features)[judge][:n]
        compared = compare_clouds(real, found, width=kernel_width(real), rng=rng)
        figures |= {f"{name}_{judge}": value for name, value in compared.items()}
    return figures


def likeness(made: Sight, real: Sight, spaces: Spaces) -> dict[str, float]:
    """Probability that a painting is nearer to the picture that it was made from than to another: 0.5 by chance."""
    found = {}
    for judge in JUDGES:
        between = distances(spaces.place(made.features)[judge], spaces.place(real.features)[judge])
        nearer = (np.diag(between)[:, None] < between).sum() / (len(between) * (len(between) - 1))
        found[judge] = float(nearer)
    return found


def look_at_pictures(pictures: Sequence[NDArray[np.uint8]], jobs: int) -> Sight:
    """Look at pictures in memory."""
    batches = [pictures[i : i + 8] for i in range(0, len(pictures), 8)]
    return Sight.join(Parallel(n_jobs=jobs)(delayed(look_alone)(batch) for batch in batches))


def look_alone(pictures: Sequence[NDArray[np.uint8]]) -> Sight:
    """Look at pictures with one thread: work is spread over processes."""
    with threadpool_limits(1):
        return look(pictures)


def paint_and_look(controls: Sequence[Controls]) -> Sight:
    """Paint with seed 0, as a song is painted, and look."""
    return look_alone([paint(c, width=PAINTED_PX, height=PAINTED_PX, seed=0) for c in controls])


def as_tensor_of_bytes(pictures: NDArray[np.uint8]) -> Tensor:
    """(n, H, W, 3) uint8 -> (n, 3, H, W) uint8."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)


# Conditioning: paintings of songs -------------------------------------------------------------------------------------


def judge_songs(run: Run, steps: int, n: int, names: Sequence[str], beside: Mapping[str, Path]) -> Figures:
    """Paint validation songs by several ways of telling the painter what was heard.

    Decoders that take the guides and that do not, with either mapping: one that takes the descriptors and is drawn
    towards the guides, as shipped, and one that takes z_audio alone and is drawn by the shapes of the two clouds only
    (its guides are those of other songs, and weigh nothing in the cost).
    """
    data = load_data(run)
    ground = load_ground(run, data, n)
    assert run.eye_from is not None, "the bundle that has the eye has ears too"
    weights = load_file(str(run.eye_from.folder / "audio_vae.safetensors"))
    identity = weights.get("identity.last.bias")
    ear = AudioVAE(width=len(weights["encoder.0.weight"]), identity_dims=0 if identity is None else len(identity))
    ear.load_state_dict(weights)
    songs = {
        split: encode_songs(
            ear.eval(), AudioFeatureDataset(run.features, split, skip=run.log), run.features, MAPPED_DESCRIPTORS
        )
        for split in (TRAINING, VALIDATION)
    }
    order = np.random.default_rng(1).permutation(len(songs[TRAINING].names))
    deaf = {
        split: dataclasses.replace(
            s,
            codes=s.codes[:, :LATENT_DIM],
            descriptors={k: v[order] if split == TRAINING else v for k, v in s.descriptors.items()},
        )
        for split, s in songs.items()
    }
    heard = guide_values(songs[VALIDATION].descriptors, "heard")
    given = torch.from_numpy(guide_scores(songs[VALIDATION].descriptors, songs[TRAINING].descriptors, "heard"))
    told, asked = (songs[split].codes.astype(np.float32) for split in (TRAINING, VALIDATION))
    places = Scale.of_bundle(run.eye_from, told).place(asked)
    spaces = Spaces.of(ground.training.features)
    recipes = {"descriptors": run.recipe.mapping, "z_audio": dataclasses.replace(run.recipe.mapping, structure=1.0)}
    painters = {
        f"{name}{', guided readout' if guided else ''}": load_painter(
            run, data, name, steps, beside.get(name), guided=guided
        )
        for name in names
        for guided in ((False,) if name.startswith("conditioned") else (False, True))
    }
    figures: Figures = {"n": len(heard)}
    for name, painter in painters.items():
        assert isinstance(painter.network, ImageVAE)
        chosen = choose_windows(data, run.recipe.image_vae, np.random.default_rng(run.recipe.seed))[:_PAINTED_CLOUD]
        pictures = as_tensor_of_bytes(data.training.small()[chosen])
        taken = None
        if painter.traits is not None:
            taken = painter.scores_of({key: values[chosen] for key, values in painter.traits.items()})
        latents = latents_of(painter.network, pictures, taken)
        painted = paint_controls(controls_of_latents(painter.network, painter.palettes, KINDS, latents), jobs=run.jobs)
        art = look_at_art(latents[:, :LATENT_DIM], painted, jobs=run.jobs)
        for way, side in (("descriptors", songs), ("z_audio", deaf)):
            mapping = fit_mapping(side[TRAINING], art, recipes[way], seed=run.recipe.seed, log=run.log)
            z = map_songs(mapping, side[VALIDATION])
            if painter.traits is not None:
                z = np.concatenate([z, given.double().numpy()], axis=1)
            sight = painter.look(z, run.jobs)
            points, real = spaces.place(sight.features), spaces.place(ground.held_out.features)
            shown = guide_values(sight.traits, "seen")
            column = {guide.name: spearman(heard[:, g], shown[:, g]) for g, guide in enumerate(GUIDES)}
            column["mean guide"] = float(np.mean(list(column.values())))
            for judge in JUDGES:
                found, p = geometry(places, points[judge], rng=np.random.default_rng(0))
                column |= {f"geometry_{judge}": found, f"geometry_{judge}_p": p}
                column[f"nearest_{judge}"] = neighbours_kept(places, points[judge])
                column[f"diversity_{judge}"] = mean_pairwise_distance(points[judge]) / mean_pairwise_distance(
                    real[judge]
                )
            figures[f"{name}, {way}"] = column
            run.log(f"{name}, {way}: " + ", ".join(f"{key} {value:.3f}" for key, value in column.items()))
    return figures


# Tables ---------------------------------------------------------------------------------------------------------------


def print_tables(folder: Path, bundle: Bundle) -> None:
    """Everything that the runs of this folder have measured, as Markdown."""
    there = sorted(path.parent.name for path in folder.glob("*/trained.json"))
    names = [name for name in RUNS if name in there] + [name for name in there if name not in RUNS]
    trained = {name: read_json(folder / name / "trained.json") for name in names}
    judged = {name: read_json(folder / name / "judged.json") for name in names}
    ignorance = read_json(folder / "ignorance.json") or {}
    shipped = bundle.card["measures"]["image_vae"]
    rows: dict[str, Mapping[str, float]] = {"nothing but means": ignorance.get("rate 0", {}) | {"rate": 0.0}}
    rows |= {name: run["figures"] for name, run in trained.items() if run and "plan" in run["figures"]}
    rows |= {"the readings themselves": ignorance.get("floor", {}), f"shipped, {shipped['step']:.0f} steps": shipped}
    columns = {
        "rate, nats": ("rate", 1),
        "active units": ("active_units", 0),
        "plan, a cell": ("plan", 3),
        "palette": ("palette", 3),
        "kind": ("kind", 3),
        "marks": ("marks", 3),
        "calibration error": ("calibration_error", 3),
        "overconfidence": ("overconfidence", 3),
    }
    print_table("validation windows", columns, rows)
    columns = {
        "plan by a draw": ("plan_draw", 3),
        "palette by a draw": ("palette_draw", 3),
        "kind by a draw": ("kind_draw", 3),
        "marks by a draw": ("marks_draw", 3),
        "palette told": ("palette_told", 3),
        "kind told": ("kind_told", 3),
        "frequency told": ("frequency_told", 3),
        "direction told": ("direction_told", 3),
        "chaos told": ("chaos_told", 3),
        "finish told": ("finish_told", 3),
    }
    print_table("validation windows", columns, {key: row for key, row in rows.items() if "plan_draw" in row})
    columns = {
        "rate, nats": ("rate", 1),
        "active units": ("active_units", 0),
        "explained variance": ("explained_variance", 3),
        "water-filling": ("foretold", 3),
        "by a draw": ("explained_variance_draw", 3),
        "water-filling, by a draw": ("foretold_draw", 3),
        "64 principal components": ("ceiling", 3),
    }
    pixels = {name: run["figures"] for name, run in trained.items() if run and "ceiling" in run["figures"]}
    print_table("pixels of validation windows", columns, pixels)
    for made, real, like, measures, title in (
        ("paintings", "real", "likeness", _PICTURE_MEASURES, "paintings of training art, real training art = 1, A / B"),
        # Windows of a few pictures cannot fill the ground of held-out art: no recall, no coverage.
        (
            "unseen",
            "unseen_real",
            "unseen_likeness",
            ("diversity", "vendi", "precision"),
            "paintings of windows of validation art, the windows = 1, A / B",
        ),
    ):
        pairs: dict[str, dict[str, str]] = {}
        absolute: dict[str, float] = {}
        for name, run in judged.items():
            if run:
                figures, absolute = run["figures"], run["figures"][real]
                over = {
                    key: value / absolute[key] if absolute[key] else math.nan for key, value in figures[made].items()
                }
                pairs[name] = {m: both(over, m, 2) for m in measures} | {
                    "KID, absolute": both(figures[made], "kid", 3),
                    "own picture nearer": " / ".join(f"{figures[like][judge]:.2f}" for judge in JUDGES),
                }
        if absolute:
            pairs["(real art, absolute)"] = {m: both(absolute, m, 2) for m in measures} | {
                "KID, absolute": both(absolute, "kid", 3)
            }
        print_strings(title, [*measures, "KID, absolute", "own picture nearer"], pairs)
    songs = read_json(folder / "songs.json")
    if songs:
        figures = songs["figures"]
        ways = [key for key in figures if key != "n"]
        print_strings(
            f"{figures['n']} validation songs",
            ways,
            {measure: {way: f"{figures[way][measure]:.2f}" for way in ways} for measure in figures[ways[0]]},
        )


def both(figures: Mapping[str, float], measure: str, digits: int) -> str:
    """A measure by both judges."""
    return " / ".join(f"{figures[f'{measure}_{judge}']:.{digits}f}" for judge in JUDGES)


def print_table(title: str, columns: Mapping[str, tuple[str, int]], rows: Mapping[str, Mapping[str, float]]) -> None:
    """Numbers as a table; what was not measured stays empty."""
    texts = {
        name: {head: f"{row[key]:.{digits}f}" for head, (key, digits) in columns.items() if key in row}
        for name, row in rows.items()
    }
    print_strings(title, list(columns), texts)


def print_strings(title: str, heads: Sequence[str], rows: Mapping[str, Mapping[str, str]]) -> None:
    """One table in Markdown."""
    if not rows:
        return
    print(f"\n| {title} | " + " | ".join(heads) + " |\n|---|" + "--:|" * len(heads))
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(row.get(head, "") for head in heads) + " |")


# Files ----------------------------------------------------------------------------------------------------------------


def kept(path: Path, key: object, make: Callable[[], Any]) -> Any:
    """What was made under this key and kept; else make it and keep it."""
    if path.is_file():
        with path.open("rb") as file:
            saved_key, content = pickle.load(file)
        if saved_key == key:
            return content
    content = make()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        pickle.dump((key, content), file, protocol=pickle.HIGHEST_PROTOCOL)
    os.replace(temporary, path)
    return content


def write_json(path: Path, content: Any) -> None:
    """Whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    os.replace(temporary, path)


def read_json(path: Path) -> dict[str, Any] | None:
    """What was written, or None."""
    if not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content


def painter_sha256() -> str:
    """Of the code that paints: paintings by another painter are judged anew."""
    package = Path(clavilux.__file__).parent
    digest = hashlib.sha256()
    for path in [package / "controls.py", package / "painter.py", *sorted((package / "marks").glob("*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def main() -> None:
    """Read the command line, do what is not done, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("train", "judge", "table"):
        options = commands.add_parser(command)
        options.add_argument("--run", type=Path, required=True)
        options.add_argument("--eye-from", default="default", metavar="BUNDLE")
        if command == "table":
            continue
        options.add_argument("--art", type=Path, required=True)
        options.add_argument("--only", action="append", choices=(*RUNS, "none"), default=[], help="these runs alone")
        options.add_argument("--steps", type=int, default=2_000)
        options.add_argument("--jobs", type=int, default=-1)
        options.add_argument(
            "--beside",
            action="append",
            default=[],
            metavar="NAME=FILE",
            help="measure a network that was trained elsewhere: a checkpoint, or image_vae.safetensors of a bundle",
        )
        if command == "train":
            options.add_argument("--precision", choices=get_args(Precision), default="bf16-mixed")
            options.add_argument("--from", dest="start", type=Path, metavar="CKPT", help="painters go on from it")
        else:
            options.add_argument("--audio", type=Path, help="features of songs, for --songs")
            options.add_argument(
                "--songs", action="append", default=[], metavar="NAME", help="paint validation songs by these networks"
            )
            options.add_argument("--pictures", type=int, default=200, help="a side")
    arguments = parser.parse_args()
    started = time.monotonic()

    def log(line: str) -> None:
        print(f"[{time.monotonic() - started:7.1f} s] {line}", file=sys.stderr, flush=True)

    bundle = start_bundle(arguments.eye_from)
    assert bundle is not None, "a name was given"
    if arguments.command != "table":
        arguments.run.mkdir(parents=True, exist_ok=True)
        run = Run(
            recipe=dataclasses.replace(load_recipe("default"), precision=getattr(arguments, "precision", "bf16-mixed")),
            folder=arguments.run,
            art=arguments.art,
            features=getattr(arguments, "audio", None) or arguments.art,
            resume=True,
            start=None,
            eye_from=bundle,
            jobs=arguments.jobs,
            log=log,
        )
        beside = {name: Path(file) for name, _, file in (text.partition("=") for text in arguments.beside)}
        if arguments.command == "train":
            train_all(run, arguments.only or RUNS, arguments.steps, arguments.start)
            for name, file in beside.items():
                measure_beside(run, name, file)
        else:
            judge_all(run, arguments.only, beside, arguments.steps, arguments.pictures, arguments.songs)
    print_tables(arguments.run, bundle)


def train_all(run: Run, names: Sequence[str], steps: int, start: Path | None) -> None:
    """Train what is not trained."""
    for name in names:
        if name == "none":
            continue
        recipe = recipe_of(name, steps)
        done = read_json(run.folder / name / "trained.json")
        if done and done["key"] == key_of(recipe, start):
            run.log(f"{name}: done earlier")
            continue
        run.log(f"{name}: {recipe.steps} steps of {recipe.batch}")
        train_run(run, name, recipe, start)
    if not (run.folder / "ignorance.json").is_file():
        write_json(run.folder / "ignorance.json", tell_ignorance(load_data(run), run.recipe))


def judge_all(
    run: Run, only: Sequence[str], beside: Mapping[str, Path], steps: int, n: int, songs: Sequence[str]
) -> None:
    """Judge what is trained and not judged, all of it with one painter."""
    trained = [name for name in RUNS if (run.folder / name / "trained.json").is_file()]
    wanted = [*(only or trained), *beside, *(["songs"] if songs else [])]
    for name in wanted:
        if name == "none":
            continue
        key: dict[str, Any] = {"painter": painter_sha256(), "pictures": n, "steps": steps}
        if name == "songs":
            key["networks"] = list(songs)
        path = run.folder / "songs.json" if name == "songs" else run.folder / name / "judged.json"
        done = read_json(path)
        if done and done["key"] == key:
            run.log(f"{name}: judged earlier")
            continue
        run.log(f"{name}: painting and looking")
        if name == "songs":
            figures = judge_songs(run, steps, n, songs, beside)
        else:
            figures = judge_run(run, name, steps, n, beside.get(name))
        path.parent.mkdir(exist_ok=True)
        write_json(path, {"key": key, "figures": figures})


if __name__ == "__main__":
    main()
