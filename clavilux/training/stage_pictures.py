r"""Second stage of a training: the ImageVAE is trained on pictures.

pictures -> windows -> mark classifier -> targets -> ImageVAE
                \-> (decoder = "pixels") ----------/
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
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
from clavilux.models.weights import check_shapes, load_mark_classifier, load_weights, read_weights
from clavilux.painter.marks import KINDS
from clavilux.system.files import list_folder
from clavilux.training.analysis import Windows, analyse_folder, palette_codebook
from clavilux.training.datasets import TRAINING, VALIDATION
from clavilux.training.loop import LoopSettings
from clavilux.training.painted_examples import PaintedExamples, paint_examples
from clavilux.training.run import Run, cached, loop_settings, start_from, train_network
from clavilux.training.sheets import save_sheet
from clavilux.training.train_conv_vae import ConvImageVAETask
from clavilux.training.train_image_vae import ImageVAETask, make_targets, picture_weights, windows_of_paintings
from clavilux.training.train_mark_classifier import (
    MarkClassifierTask,
    MarksRead,
    class_weights,
    even_shares,
    kind_similarity,
    read_marks,
    weigh_classes,
)
from clavilux.training.visual_features import Float64, controls_of_latents, decode_pixels, paint_controls
from clavilux.version import __version__

_DROPOUT_EXCESS = 1.07  # KL divergence with the encoder's dropout, as in a training step, over that without
_SHEET_COLUMNS = 12


@dataclass(frozen=True)
class PictureSide:
    """A trained ImageVAE, and the data for its training; all but `network` are None for a decoder of pixels."""

    network: ImageVAE | ConvImageVAE
    mark_classifier: MarkClassifier | None = None
    palettes: NDArray[np.float32] | None = None  # codebook (P, 8, 3), sRGB in [0, 1]
    marks: MarksRead | None = None  # of the training windows
    similarity: Float64 | None = None  # (n_kinds, n_kinds - 1), see `kind_similarity`


def train_image_vae(run: Run) -> PictureSide:
    """Return the ImageVAE of a run, trained on its pictures, with the mark classifier and the data of the training.

    With `run.pictures_from`, the ImageVAE and the palettes are those of this bundle.
    """
    windows = prepare_windows(run, TRAINING)
    validation = prepare_windows(run, VALIDATION)
    if run.recipe.image_vae.decoder == "pixels":
        return PictureSide(_train_pixel_decoder(run, windows, validation))
    mark_classifier = train_mark_classifier(run, windows)
    marks = read_marks(mark_classifier, windows)
    surfaces = np.array([getattr(run.recipe.analysis.surface_shares, name) for name in SURFACE_NAMES])
    weights = (
        class_weights(marks.kind, even_shares(marks.kind, run.recipe.analysis.kind_evenness)),
        class_weights(marks.surface, surfaces / surfaces.sum()),
    )
    marks = weigh_classes(marks, *weights)
    validation_marks = weigh_classes(read_marks(mark_classifier, validation), *weights)
    counts = np.bincount(marks.kind.argmax(1), minlength=len(KINDS))
    run.log("mark classifier: kinds found " + ", ".join(f"{kind} {n}" for kind, n in zip(KINDS, counts, strict=True)))
    shares = zip(SURFACE_NAMES, marks.surface.mean(axis=0), strict=True)
    run.log("mark classifier: shares of surfaces " + ", ".join(f"{name} {share:.2f}" for name, share in shares))
    if run.pictures_from is not None:
        taken = load_image_vae(run, run.pictures_from)
        run.log(f"image-vae: taken from the bundle {run.pictures_from.name}")
        return PictureSide(taken, mark_classifier, run.pictures_from.palettes, marks, kind_similarity(mark_classifier))
    if run.start is not None:
        palettes = run.start.palettes
    else:
        rng = np.random.default_rng(run.recipe.seed)
        palettes = palette_codebook(windows.palettes, run.recipe.analysis.palettes, rng)
    targets = make_targets(windows, marks, palettes, run.recipe.analysis)
    validation_targets = make_targets(validation, validation_marks, palettes, run.recipe.analysis)
    torch.manual_seed(run.recipe.seed + 2)
    task = ImageVAETask(targets, validation_targets, run.recipe.image_vae)
    network = _train_on_windows(run, task, _hash_pictures(windows.windows, palettes), validation, palettes)
    assert isinstance(network, ImageVAE)
    return PictureSide(network, mark_classifier, palettes, marks, kind_similarity(mark_classifier))


def load_image_vae(run: Run, bundle: Bundle) -> ImageVAE:
    """Return the ImageVAE of a bundle.

    Raises
    ------
    TrainingError
        If the bundle or the recipe has no painter, the bundle has other kinds of marks than this version, or the sizes
        of the network are not those of the recipe.
    BundleError
        If the weights cannot be read.
    """
    recipe = run.recipe.image_vae
    if recipe.decoder != "painter" or bundle.decoder != "painter" or tuple(bundle.kinds) != KINDS:
        raise TrainingError(
            f"the pictures of bundle {bundle.name} cannot be taken as they are: it or the recipe has no painter, or it "
            "has other kinds of marks; train the ImageVAE, with or without --from"
        )
    sizes = {"width": recipe.width, "decoder_width": recipe.decoder_width}
    network = ImageVAE(n_palettes=len(bundle.palettes), n_kinds=len(KINDS), **sizes)
    load_weights(network, read_weights(bundle, "image_vae"), bundle, "image_vae")
    return network.eval()


def prepare_windows(run: Run, split: str) -> Windows:
    """Return the analysed windows of the pictures of a split; they are cached in the folder of the run."""

    def analyse() -> Windows:
        windows = analyse_folder(run.art, split, run.recipe.analysis, seed=run.recipe.seed, jobs=run.jobs, log=run.note)
        run.log(f"pictures: {len(windows.names)} for {split}, {len(windows.windows)} windows")
        return windows

    return cached(run, f"windows-{split}.npz", _hash_folder(run), Windows, analyse)


def train_mark_classifier(run: Run, windows: Windows) -> MarkClassifier:
    """Return a mark classifier that is trained on painted examples, or that of the bundle `run.classifier_from`.

    The classifier of the bundle is used if its kinds of marks are those of this version.
    """
    recipe = run.recipe.mark_classifier
    torch.manual_seed(run.recipe.seed + 1)
    if run.classifier_from is not None and tuple(run.classifier_from.kinds) == KINDS:
        run.log(f"mark classifier: taken from the bundle {run.classifier_from.name}")
        return load_mark_classifier(run.classifier_from)

    def paint() -> PaintedExamples:
        run.log(f"mark classifier: painting {recipe.paintings} examples")
        return paint_examples(windows, recipe.paintings, seed=run.recipe.seed, jobs=run.jobs)

    key = [_hash_folder(run), recipe.paintings, *KINDS]
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
    network = train_network(run, task, settings)
    assert isinstance(network, MarkClassifier)
    return network


def start_classifier_from(run: Run, network: MarkClassifier) -> None:
    """Load the weights of the mark classifier of the bundle `run.start` into a network, in place, if there is one.

    If the bundle has fewer kinds of marks, or another order of kinds, the rows of the last layer are moved. Kinds that
    the bundle does not have keep their initial weights.
    """
    start = run.start
    if start is None or "mark_classifier.safetensors" not in start.card["files"]:
        return
    weights = read_weights(start, "mark_classifier")
    known = [KINDS.index(kind) for kind in start.kinds]
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    heads = [f"head.{len(network.head) - 1}.{part}" for part in ("weight", "bias")]
    for name in heads:
        n_rows, *sides = shapes[name]
        shapes[name] = torch.Size([n_rows - len(KINDS) + len(known), *sides])
    check_shapes(weights, shapes, start, "mark_classifier")
    for name in heads:
        rows = network.state_dict()[name].clone()
        rows[known] = weights[name][: len(known)].to(rows.dtype)
        rows[len(KINDS) :] = weights[name][len(known) :].to(rows.dtype)
        weights[name] = rows
    network.load_state_dict(weights)
    run.log(f"mark classifier: starting from the bundle {start.name}")


def _train_pixel_decoder(run: Run, windows: Windows, validation: Windows) -> ConvImageVAE:
    recipe = run.recipe.image_vae
    torch.manual_seed(run.recipe.seed + 2)
    weights = picture_weights(windows_of_paintings(windows), recipe.painting_share)
    task = ConvImageVAETask(windows.windows, validation.windows, weights, recipe)
    network = _train_on_windows(run, task, _hash_pictures(windows.windows), validation, None)
    assert isinstance(network, ConvImageVAE)
    return network


def _train_on_windows(
    run: Run,
    task: ImageVAETask | ConvImageVAETask,
    data: str,
    validation: Windows,
    palettes: NDArray[np.float32] | None,
) -> torch.nn.Module:
    """Train an ImageVAE of either kind.

    The contact sheets show validation windows, pictures of their latents, and pictures of random latents.
    """
    recipe = run.recipe.image_vae
    start_from(run, task.network, "image_vae")
    target = recipe.target_nats * _DROPOUT_EXCESS
    settings = loop_settings(run, recipe, run.recipe.seed + 2, task.n_items(), target, data)

    def save_pictures(step: int) -> None:
        shown = np.linspace(0, len(validation.windows) - 1, _SHEET_COLUMNS).astype(int)
        latents = encode_windows(task.network, validation)[shown]
        random = np.random.default_rng(0).standard_normal((_SHEET_COLUMNS, latents.shape[1]))
        painted = paint_latents(run, task.network, palettes, np.concatenate([latents, random]))
        path = run.folder / "sheets" / f"{task.name}-{step:06d}.png"
        save_sheet(path, [*validation.windows[shown], *painted], columns=_SHEET_COLUMNS)

    return train_network(run, task, settings, after_validation=save_pictures)


@torch.no_grad()
def encode_windows(network: ImageVAE | ConvImageVAE, windows: Windows) -> Float64:
    """Return the posterior means (n, 64) float64 of n windows."""
    pictures = torch.from_numpy(windows.small()).permute(0, 3, 1, 2)
    parts = [network.encode(part.float() / 255.0)[0] for part in torch.split(pictures, 256)]
    return np.asarray(torch.cat(parts).double().numpy())


@dataclass(frozen=True)
class Paintings:
    """Cached paintings."""

    pictures: NDArray[np.uint8]  # (n, 128, 128, 3), sRGB


def paint_art(run: Run, side: PictureSide, latents: Float64) -> NDArray[np.uint8]:
    """Return the paintings (n, 128, 128, 3) uint8 sRGB of latents (n, 64); they are cached in the folder of the run."""

    def paint() -> Paintings:
        return Paintings(np.stack(paint_latents(run, side.network, side.palettes, latents)))

    digest = hashlib.sha256(np.round(latents, 4).tobytes())
    for weights in side.network.state_dict().values():
        digest.update(weights.numpy().tobytes())
    return cached(run, "paintings-of-art.npz", [digest.hexdigest(), __version__], Paintings, paint).pictures


def paint_latents(
    run: Run, network: ImageVAE | ConvImageVAE, palettes: NDArray[np.float32] | None, latents: Float64
) -> Sequence[NDArray[np.uint8]]:
    """Return n paintings (128, 128, 3) uint8 sRGB of latents (n, 64), as a bundle with this network paints them.

    ``palettes`` is the codebook (P, 8, 3); None for a decoder of pixels.
    """
    if not isinstance(network, ImageVAE):
        return list(decode_pixels(network, latents))
    assert palettes is not None, "a painter has palettes"
    return paint_controls(controls_of_latents(network, palettes, KINDS, latents), jobs=run.jobs)


def _hash_folder(run: Run) -> str:
    """Return a hash of names, sizes and times of the pictures and their table, and of how they are cut."""
    analysis = run.recipe.analysis
    cut = [analysis.abstract_windows, analysis.painting_windows, run.recipe.seed]
    digest = hashlib.sha256(json.dumps(cut).encode())
    for path in list_folder(run.art, PICTURE_SUFFIXES | {".csv"}).files:  # the table of a corpus has the splits
        stat = path.stat()
        digest.update(json.dumps([str(path.relative_to(run.art)), stat.st_size, stat.st_mtime_ns]).encode())
    return digest.hexdigest()


def _hash_pictures(pictures: NDArray[np.uint8], palettes: NDArray[np.float32] | None = None) -> str:
    """Return a hash of some pixels of each picture and of the palettes; a resumed run must have the same."""
    digest = hashlib.sha256(pictures[:, ::8, ::8].tobytes())
    if palettes is not None:
        digest.update(palettes.round(3).tobytes())  # the last digits may depend on the processor
    return digest.hexdigest()
