r"""Second stage of a training: train the mark classifier and the ImageVAE on pictures.

pictures -> windows -> mark classifier -> targets -> ImageVAE
                \-> (decoder = "pixels") -> ConvImageVAE
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from clavilux.bundle import Bundle
from clavilux.constants import SURFACE_NAMES
from clavilux.errors import TrainingError
from clavilux.images import PICTURE_SUFFIXES
from clavilux.models.conv_image_vae import ConvImageVAE
from clavilux.models.image_vae import ImageVAE
from clavilux.models.mark_classifier import MarkClassifier
from clavilux.models.weights import check_shapes, load_weights, read_weights
from clavilux.painter.marks import KINDS, MARKS
from clavilux.system.files import list_folder
from clavilux.training.analysis import Windows, analyse_folder, palette_codebook
from clavilux.training.datasets import TRAINING, VALIDATION
from clavilux.training.logs import log_counts
from clavilux.training.loop import LoopSettings
from clavilux.training.painted_examples import PaintedExamples, paint_examples
from clavilux.training.run import Run, cached, loop_settings, start_from, train_network
from clavilux.training.sheets import save_sheet
from clavilux.training.train_conv_vae import ConvImageVAETask
from clavilux.training.train_image_vae import ImageVAETask, make_targets, window_weights
from clavilux.training.train_mark_classifier import (
    MarkClassifierTask,
    MarksRead,
    class_weights,
    read_marks,
    wanted_shares,
    weigh_classes,
)
from clavilux.training.visual_features import Float64, paint_latents
from clavilux.version import __version__

_DROPOUT_EXCESS = 1.07  # KL divergence with the encoder's dropout, as in training, divided by that without it
_SHEET_COLUMNS = 12  # pictures in a row of a contact sheet


@dataclass(frozen=True)
class PictureSide:
    """A trained ImageVAE and its training data; with the decoder "pixels", all fields but `network` are None."""

    network: ImageVAE | ConvImageVAE
    mark_classifier: MarkClassifier | None = None
    palettes: NDArray[np.float32] | None = None  # codebook (P, 8, 3), sRGB in [0, 1]
    marks: MarksRead | None = None  # marks of the training windows


def train_image_vae(run: Run) -> PictureSide:
    """Train the ImageVAE of a run on its pictures, and return it with the mark classifier and the training data.

    If the run has a bundle `run.pictures_from`, the ImageVAE and the codebook of palettes are taken from this bundle
    instead.
    """
    recipe, analysis = run.recipe.image_vae, run.recipe.analysis
    windows = prepare_windows(run, TRAINING)
    validation = prepare_windows(run, VALIDATION)
    weights = window_weights(windows, recipe.painting_share)
    if recipe.decoder == "pixels":
        torch.manual_seed(run.recipe.seed + 2)
        conv_task = ConvImageVAETask(windows.windows, validation.windows, weights, recipe)
        _train_on_windows(run, conv_task, _hash_pictures(windows.windows), validation, None)
        return PictureSide(conv_task.network)
    mark_classifier = train_mark_classifier(run, windows)
    marks = read_marks(mark_classifier, windows)
    kind_shares, surface_shares = wanted_shares(analysis)
    kind_weights = class_weights(marks.kind, kind_shares)
    surface_weights = class_weights(marks.surface, surface_shares)
    marks = weigh_classes(marks, kind_weights, surface_weights)
    counts = np.bincount(marks.kind.argmax(1), minlength=len(KINDS))
    run.log("mark classifier: kinds found " + ", ".join(f"{kind} {n}" for kind, n in zip(KINDS, counts, strict=True)))
    shares = zip(SURFACE_NAMES, marks.surface.mean(axis=0), strict=True)
    run.log("mark classifier: shares of surfaces " + ", ".join(f"{name} {share:.2f}" for name, share in shares))
    if run.pictures_from is not None:
        network = load_image_vae(run, run.pictures_from)
        run.log(f"image-vae: taken from the bundle {run.pictures_from.name}")
        return PictureSide(network, mark_classifier, run.pictures_from.palettes, marks)
    if run.start is not None:
        palettes = run.start.palettes
    else:
        palettes = palette_codebook(windows.palettes, analysis.palettes, np.random.default_rng(run.recipe.seed))
    validation_marks = weigh_classes(read_marks(mark_classifier, validation), kind_weights, surface_weights)
    targets = make_targets(windows, marks, palettes, analysis)
    validation_targets = make_targets(validation, validation_marks, palettes, analysis)
    torch.manual_seed(run.recipe.seed + 2)
    task = ImageVAETask(targets, validation_targets, weights, recipe)
    _train_on_windows(run, task, _hash_pictures(windows.windows, palettes), validation, palettes)
    return PictureSide(task.network, mark_classifier, palettes, marks)


def load_image_vae(run: Run, bundle: Bundle) -> ImageVAE:
    """Return the ImageVAE of a bundle, without training.

    Raises
    ------
    TrainingError
        If the bundle or the recipe has the decoder "pixels", the kinds of marks of the bundle are not those of this
        version, or the sizes of the network are not those of the recipe.
    BundleError
        If the weights cannot be read.
    """
    recipe = run.recipe.image_vae
    if recipe.decoder != "painter" or bundle.decoder != "painter" or tuple(bundle.kinds) != KINDS:
        raise TrainingError(
            f"the ImageVAE of bundle {bundle.name} cannot be used: the bundle or the recipe has no painter, or the "
            "bundle has other kinds of marks; train the ImageVAE, with or without --from"
        )
    sizes = {"width": recipe.width, "decoder_width": recipe.decoder_width}
    network = ImageVAE(n_palettes=len(bundle.palettes), n_kinds=len(KINDS), **sizes)
    load_weights(network, read_weights(bundle, "image_vae"), bundle, "image_vae")
    return network.eval()


def prepare_windows(run: Run, split: str) -> Windows:
    """Return the windows of the pictures of a split, with palettes and plans; they are cached in the run folder."""

    def analyse() -> Windows:
        windows = analyse_folder(run.art, split, run.recipe.analysis, seed=run.recipe.seed, jobs=run.jobs, log=run.note)
        run.log(f"pictures: {len(windows.names)} for {split}, {len(windows.windows)} windows")
        return windows

    return cached(run, f"windows-{split}.npz", _hash_folder(run), Windows, analyse)


def train_mark_classifier(run: Run, windows: Windows) -> MarkClassifier:
    """Return a mark classifier, trained on painted examples that have the plans and palettes of windows.

    If the run has a bundle `run.classifier_from` with the kinds of marks of this version, return the classifier of this
    bundle instead.
    """
    recipe = run.recipe.mark_classifier
    torch.manual_seed(run.recipe.seed + 1)
    if run.classifier_from is not None and tuple(run.classifier_from.kinds) == KINDS:
        run.log(f"mark classifier: taken from the bundle {run.classifier_from.name}")
        return MarkClassifier.from_bundle(run.classifier_from)

    def paint() -> PaintedExamples:
        run.log(f"mark classifier: painting {recipe.paintings} examples")
        counted = log_counts(run.log, "mark classifier: painted examples", recipe.paintings)
        return paint_examples(windows, recipe.paintings, seed=run.recipe.seed, jobs=run.jobs, counted=counted)

    key = [_hash_folder(run), recipe.paintings, *(f"{kind} {MARKS[kind].figure}" for kind in KINDS)]
    examples = cached(run, "painted-examples.npz", key, PaintedExamples, paint)
    settings = LoopSettings(
        steps=recipe.steps,
        batch=recipe.batch,
        learning_rate=recipe.learning_rate,
        warmup=recipe.warmup,
        ema=recipe.ema,
        seed=run.recipe.seed + 1,
        precision=run.recipe.precision,
        data=_hash_pictures(examples.pictures),
    )
    task = MarkClassifierTask(examples, recipe)
    start_classifier_from(run, task.network)
    train_network(run, task, settings)
    return task.network


def start_classifier_from(run: Run, network: MarkClassifier) -> None:
    """Load the weights of a mark classifier from the bundle `run.start` into a network, in place.

    If there is no such bundle, or if it has no mark classifier, the network is not changed. The last layer of the
    classifier has one row of weights for each kind of marks, and these rows are assigned by the names of the kinds. So
    the bundle may have fewer kinds, or another order; kinds that it does not have keep their initial weights.
    """
    start = run.start
    if start is None or "mark_classifier.safetensors" not in start.card["files"]:
        return
    weights = read_weights(start, "mark_classifier")
    initial = network.state_dict()
    last = [f"head.{len(network.head) - 1}.{part}" for part in ("weight", "bias")]
    # The last layer has one row for each kind, then the rows of the other marks. `places` are the rows of the bundle.
    places = [*(KINDS.index(kind) for kind in start.kinds), *range(len(KINDS), len(initial[last[0]]))]
    shapes = {name: (value[places] if name in last else value).shape for name, value in initial.items()}
    check_shapes(weights, shapes, start, "mark_classifier")
    for name in last:
        rows = initial[name].clone()
        rows[places] = weights[name].to(rows.dtype)
        weights[name] = rows
    network.load_state_dict(weights)
    run.log(f"mark classifier: starting from the bundle {start.name}")


def _train_on_windows(
    run: Run,
    task: ImageVAETask | ConvImageVAETask,
    data: str,
    validation: Windows,
    palettes: NDArray[np.float32] | None,
) -> None:
    """Train an ImageVAE or a ConvImageVAE in place; ``data`` is a hash of its training data.

    The contact sheets show validation windows, pictures decoded from their latents, and pictures decoded from random
    latents.
    """
    recipe = run.recipe.image_vae
    start_from(run, task.network, "image_vae")
    target = recipe.target_nats * _DROPOUT_EXCESS
    settings = loop_settings(run, recipe, run.recipe.seed + 2, task.n_items, target, data)

    def save_pictures(step: int) -> None:
        shown = np.linspace(0, len(validation.windows) - 1, _SHEET_COLUMNS).astype(int)
        latents = encode_windows(task.network, validation)[shown]
        random = np.random.default_rng(0).standard_normal((_SHEET_COLUMNS, latents.shape[1]))
        painted = paint_latents(task.network, palettes, np.concatenate([latents, random]), jobs=run.jobs)
        path = run.folder / "sheets" / f"{task.name}-{step:06d}.png"
        save_sheet(path, [*validation.windows[shown], *painted], columns=_SHEET_COLUMNS)

    train_network(run, task, settings, after_validation=save_pictures)


@torch.no_grad()
def encode_windows(network: ImageVAE | ConvImageVAE, windows: Windows) -> Float64:
    """Return the posterior means (n, 64) float64 of n windows."""
    pictures = torch.from_numpy(windows.small()).permute(0, 3, 1, 2)
    parts = [network.encode(part.float() / 255.0)[0] for part in torch.split(pictures, 256)]
    return np.asarray(torch.cat(parts).double().numpy())


@dataclass(frozen=True)
class Paintings:
    """Paintings of latents, as a record for the cache of a run."""

    pictures: NDArray[np.uint8]  # (n, 128, 128, 3), sRGB


def paint_art(run: Run, side: PictureSide, latents: Float64) -> NDArray[np.uint8]:
    """Return the paintings (n, 128, 128, 3) uint8 sRGB of latents (n, 64); they are cached in the run folder."""

    def paint() -> Paintings:
        counted = log_counts(run.log, "painted latents of art", len(latents))
        painted = paint_latents(side.network, side.palettes, latents, jobs=run.jobs, counted=counted)
        return Paintings(np.stack(painted))

    digest = hashlib.sha256(np.round(latents, 4).tobytes())
    for weights in side.network.state_dict().values():
        digest.update(weights.numpy().tobytes())
    return cached(run, "paintings-of-art.npz", [digest.hexdigest(), __version__], Paintings, paint).pictures


def _hash_folder(run: Run) -> str:
    """Return a hash of the settings for cutting windows and of the picture files, to recognise cached windows.

    Of each picture and of the table of the corpus, if there is one, it depends on path, size and modification time.
    """
    analysis = run.recipe.analysis
    cut = [analysis.abstract_windows, analysis.painting_windows, run.recipe.seed]
    digest = hashlib.sha256(json.dumps(cut).encode())
    for path in list_folder(run.art, PICTURE_SUFFIXES | {".csv"}).files:  # the table of a corpus has the splits
        stat = path.stat()
        digest.update(json.dumps([str(path.relative_to(run.art)), stat.st_size, stat.st_mtime_ns]).encode())
    return digest.hexdigest()


def _hash_pictures(pictures: NDArray[np.uint8], palettes: NDArray[np.float32] | None = None) -> str:
    """Return a hash of palettes and of some pixels of each picture, to check that a resumed run has the same data."""
    digest = hashlib.sha256(pictures[:, ::8, ::8].tobytes())
    if palettes is not None:
        digest.update(palettes.round(3).tobytes())  # the last digits may depend on the processor
    return digest.hexdigest()
