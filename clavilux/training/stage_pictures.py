"""Stage two of a training: the eye learns to read marks, and the ImageVAE learns from what was read off pictures.

pictures -> windows -> eye -> marks -> lessons -> ImageVAE
                \\-> (decoder = "pixels") ------/
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from clavilux.images import PICTURE_SUFFIXES
from clavilux.models.conv_image_vae import ConvImageVAE
from clavilux.models.image_vae import ImageVAE
from clavilux.models.mark_classifier import MarkClassifier
from clavilux.painter.marks import KINDS
from clavilux.system.files import list_folder
from clavilux.training.analysis import Windows, analyse_folder, palette_codebook
from clavilux.training.cache import load_or_make
from clavilux.training.datasets import TRAINING, VALIDATION
from clavilux.training.loop import LoopSettings, train
from clavilux.training.painted_examples import PaintedExamples, paint_examples
from clavilux.training.run import Run, loop_settings, start_from
from clavilux.training.sheets import save_sheet
from clavilux.training.train_conv_vae import ConvImageVAETask
from clavilux.training.train_image_vae import ImageVAETask, make_targets, picture_weights, windows_of_paintings
from clavilux.training.train_mapping import controls_of_latents, decode_pixels, paint_controls
from clavilux.training.train_mark_classifier import (
    MarkClassifierTask,
    MarksRead,
    kind_similarity,
    kind_weights,
    read_marks,
    weigh_kinds,
)
from clavilux.training.weights import check_shapes, load_mark_classifier, read_weights

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

_DROPOUT_EXCESS = 1.07  # rate of a training step, whose encoder has dropout, over the rate without, which is meant


@dataclass(frozen=True)
class PictureSide:
    """A trained ImageVAE; with a painter's decoder, the eye, the palettes and the marks that it learnt from, and where
    kinds lie by how alike they look."""

    network: ImageVAE | ConvImageVAE
    mark_classifier: MarkClassifier | None = None
    palettes: NDArray[np.float32] | None = None
    marks: MarksRead | None = None
    similarity: NDArray[np.float64] | None = None


def train_image_vae(run: Run) -> PictureSide:
    """Train the ImageVAE on the run's pictures."""
    recipe = run.recipe.image_vae
    windows = prepare_windows(run, TRAINING)
    seen = prepare_windows(run, VALIDATION)
    if recipe.decoder != "painter":
        return PictureSide(_train_on_pixels(run, windows, seen))
    mark_classifier = train_mark_classifier(run, windows)
    marks, seen_marks = read_marks(mark_classifier, windows.windows), read_marks(mark_classifier, seen.windows)
    weights = kind_weights(marks, run.recipe.analysis.kind_evenness)
    marks, seen_marks = weigh_kinds(marks, weights), weigh_kinds(seen_marks, weights)
    counts = np.bincount(marks.kind.argmax(1), minlength=len(KINDS))
    run.log("mark classifier: kinds read " + ", ".join(f"{kind} {n}" for kind, n in zip(KINDS, counts, strict=True)))
    if run.start is not None:
        palettes = run.start.palettes
    else:
        rng = np.random.default_rng(run.recipe.seed)
        palettes = palette_codebook(windows.palettes, run.recipe.analysis.palettes, rng)
    targets = make_targets(windows, marks, palettes, run.recipe.analysis)
    validation_targets = make_targets(seen, seen_marks, palettes, run.recipe.analysis)
    torch.manual_seed(run.recipe.seed + 2)
    task = ImageVAETask(targets, validation_targets, recipe)
    data = _hash_pictures(windows.windows, palettes)
    network = _train_on_windows(
        run, task, data, seen, lambda latents: paint_latents(run, task.network, palettes, latents)
    )
    assert isinstance(network, ImageVAE)
    return PictureSide(network, mark_classifier, palettes, marks, kind_similarity(mark_classifier))


def prepare_windows(run: Run, split: str) -> Windows:
    """Cut and read the pictures of a split, or take what an earlier stage read."""

    def read() -> Windows:
        windows = analyse_folder(run.art, split, run.recipe.analysis, seed=run.recipe.seed, jobs=run.jobs, log=run.note)
        run.log(f"pictures: {len(windows.names)} for {split}, {len(windows.windows)} windows")
        return windows

    return kept(run, f"windows-{split}.npz", folder_key(run), Windows, read)


def folder_key(run: Run) -> str:
    """Return a hash of the names, sizes and times of the pictures and their table, and of how they are cut."""
    analysis = run.recipe.analysis
    cut = [analysis.abstract_windows, analysis.painting_windows, run.recipe.seed]
    digest = hashlib.sha256(json.dumps(cut).encode())
    for path in list_folder(run.art, PICTURE_SUFFIXES | {".csv"}).files:  # the table of a corpus says the splits
        stat = path.stat()
        digest.update(json.dumps([str(path.relative_to(run.art)), stat.st_size, stat.st_mtime_ns]).encode())
    return digest.hexdigest()


def train_mark_classifier(run: Run, windows: Windows) -> MarkClassifier:
    """Train the eye on studies, or take the one of the bundle that the run starts from."""
    recipe = run.recipe.mark_classifier
    torch.manual_seed(run.recipe.seed + 1)
    if run.classifier_from is not None and tuple(run.classifier_from.kinds) == KINDS:
        run.log(f"mark classifier: taken from the bundle {run.classifier_from.name}")
        return load_mark_classifier(run.classifier_from)

    def paint_them() -> PaintedExamples:
        run.log(f"mark classifier: painting {recipe.paintings} studies")
        return paint_examples(windows, recipe.paintings, seed=run.recipe.seed, jobs=run.jobs)

    studies = kept(run, "studies.npz", [folder_key(run), recipe.paintings, *KINDS], PaintedExamples, paint_them)
    settings = LoopSettings(
        steps=recipe.steps,
        batch=recipe.batch,
        learning_rate=recipe.learning_rate,
        warmup=recipe.warmup,
        ema=recipe.ema,
        seed=run.recipe.seed + 1,
        precision=run.recipe.precision,
        data=_hash_pictures(studies.pictures),
    )
    task = MarkClassifierTask(studies, recipe)
    take_eye(run, task.network)
    network = train(task, settings, run.folder, resume=run.resume, log=run.log, processes=run.processes)
    assert isinstance(network, MarkClassifier)
    return network


def take_eye(run: Run, network: MarkClassifier) -> None:
    """Begin with the eye of the bundle that the run starts from: what it knows of a kind goes where that kind is now,
    and kinds that it does not know begin by chance."""
    start = run.start
    if start is None or "mark_classifier.safetensors" not in start.card["files"]:
        return
    weights = read_weights(start, "mark_classifier")
    known = [KINDS.index(kind) for kind in start.kinds]
    wanted = {name: value.shape for name, value in network.state_dict().items()}
    heads = [f"head.{len(network.head) - 1}.{part}" for part in ("weight", "bias")]
    for name in heads:
        n_rows, *sides = wanted[name]
        wanted[name] = torch.Size([n_rows - len(KINDS) + len(known), *sides])
    check_shapes(weights, wanted, start, "mark_classifier")
    for name in heads:
        rows = network.state_dict()[name].clone()
        rows[known] = weights[name][: len(known)].to(rows.dtype)
        rows[len(KINDS) :] = weights[name][len(known) :].to(rows.dtype)
        weights[name] = rows
    network.load_state_dict(weights)
    run.log(f"mark classifier: going on from the bundle {start.name}")


def _train_on_pixels(run: Run, windows: Windows, seen: Windows) -> ConvImageVAE:
    """Train an ImageVAE whose decoder gives pixels on the same windows."""
    recipe = run.recipe.image_vae
    torch.manual_seed(run.recipe.seed + 2)
    weights = picture_weights(windows_of_paintings(windows), recipe.painting_share)
    task = ConvImageVAETask(windows.windows, seen.windows, weights, recipe)
    data = _hash_pictures(windows.windows)
    network = _train_on_windows(run, task, data, seen, lambda latents: paint_latents(run, task.network, None, latents))
    assert isinstance(network, ConvImageVAE)
    return network


def _train_on_windows(
    run: Run,
    task: ImageVAETask | ConvImageVAETask,
    data: str,
    seen: Windows,
    show: Callable[[NDArray[np.float64]], Sequence[NDArray[np.uint8]]],
) -> torch.nn.Module:
    """Train an ImageVAE of either kind, with sheets of validation windows, what is made of them, and random latents."""
    recipe = run.recipe.image_vae
    start_from(run, task.network, "image_vae")
    held = recipe.target_nats * _DROPOUT_EXCESS
    settings = loop_settings(run, recipe, run.recipe.seed + 2, task.n_items(), held, data)

    def sheet(step: int) -> None:
        shown = np.linspace(0, len(seen.windows) - 1, 12).astype(int)
        latents = encode_windows(task.network, seen)[shown]
        random = np.random.default_rng(0).standard_normal((12, latents.shape[1]))
        rows = [*seen.windows[shown], *show(np.concatenate([latents, random]))]
        save_sheet(run.folder / "sheets" / f"image-vae-{step:06d}.png", rows, columns=12)

    return train(
        task, settings, run.folder, resume=run.resume, log=run.log, processes=run.processes, after_validation=sheet
    )


@torch.no_grad()
def encode_windows(network: ImageVAE | ConvImageVAE, windows: Windows) -> NDArray[np.float64]:
    """Posterior means (n, 64) of all windows."""
    pictures = torch.from_numpy(windows.small()).permute(0, 3, 1, 2)
    parts = [network.encode(part.float() / 255.0)[0] for part in torch.split(pictures, 256)]
    return np.asarray(torch.cat(parts).double().numpy())


def paint_latents(
    run: Run, network: ImageVAE | ConvImageVAE, palettes: NDArray[np.float32] | None, latents: NDArray[np.float64]
) -> Sequence[NDArray[np.uint8]]:
    """What a bundle of this network would show of these latents, 128 x 128."""
    if not isinstance(network, ImageVAE):
        return list(decode_pixels(network, latents))
    assert palettes is not None, "a painter has palettes"
    return paint_controls(controls_of_latents(network, palettes, KINDS, latents), jobs=run.jobs)


def kept(run: Run, file: str, key: object, kind: type[T], make: Callable[[], T]) -> T:
    """Return what an earlier stage, or the first process, made under this key; else make it and keep it."""
    with run.processes.join().rank_zero_first():
        return load_or_make(run.folder / file, key, kind, make, log=run.log)


def _hash_pictures(pictures: NDArray[np.uint8], palettes: NDArray[np.float32] | None = None) -> str:
    """Return a hash of some pixels of each picture and of the palettes that they are read with.

    It tells whether a resumed run learns from the same data.
    """
    digest = hashlib.sha256(pictures[:, ::8, ::8].tobytes())
    if palettes is not None:
        digest.update(palettes.round(3).tobytes())  # the last digits may depend on the processor
    return digest.hexdigest()
