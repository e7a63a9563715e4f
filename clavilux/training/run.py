"""A whole training: two folders in, a bundle out. Each stage keeps its result in the run's folder; none is done twice.

features -> AudioVAE ----------------------------------------\\
pictures -> windows -> eye -> marks -> lessons -> ImageVAE ---> MappingNetwork -> bundle
                   \\-> (decoder = "pixels") ------/
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import os
import pickle
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.bundle import Bundle, open_bundle
from clavilux.errors import TrainingError
from clavilux.models.audio_vae import AudioVAE, WindowIdentity
from clavilux.models.conv_image_vae import ConvImageVAE
from clavilux.models.image_vae import ImageVAE
from clavilux.models.implicit_decoder import ImplicitImageVAE
from clavilux.models.mapping_network import MappingNetwork, PerceptronMapping
from clavilux.models.mark_classifier import Eye
from clavilux.painter.marks import KINDS
from clavilux.system.files import list_folder
from clavilux.training.analysis import Windows, analyse_folder, palette_codebook
from clavilux.training.datasets import TRAINING, VALIDATION, AudioFeatureDataset, describe_folder
from clavilux.training.export import Trained, export_bundle
from clavilux.training.loop import ONE_PROCESS, LoopSettings, Processes, train
from clavilux.training.preserve import Told
from clavilux.training.readout import READ_OUT, Readings, fit_readout
from clavilux.training.recipe import AudioVAERecipe, ImageVAERecipe, Recipe
from clavilux.training.second_look import Trials, try_kinds
from clavilux.training.sheets import features_as_pictures, save_sheet
from clavilux.training.studies import Studies, paint_studies
from clavilux.training.train_audio_vae import AudioVAETask
from clavilux.training.train_conv_vae import ConvImageVAETask
from clavilux.training.train_identity import IdentityTask
from clavilux.training.train_image_vae import ImageVAETask, make_lessons, picture_weights, windows_of_paintings
from clavilux.training.train_implicit_vae import ImplicitImageVAETask
from clavilux.training.train_mapping import (
    Art,
    check_variety,
    controls_of_latents,
    decode_pixels,
    encode_songs,
    fit_mapping,
    fit_on_shuffled_pairs,
    local_spread,
    look_at_art,
    map_songs,
    mapping_figures,
    paint_controls,
    refuse_degenerate,
    song_weights,
)
from clavilux.training.train_mark_classifier import (
    EyeTask,
    MarksRead,
    kind_likeness,
    kind_weights,
    read_marks,
    weigh_kinds,
)

PixelsVAE = ConvImageVAE | ImplicitImageVAE
MAPPED_DESCRIPTORS = tuple(name for name, descriptor in DESCRIPTORS.items() if descriptor.plain)

_ENCODES = ("encoder", "to_posterior")  # parts of an ImageVAE
NEEDS_TEACHER = 'the decoder "implicit" learns from a teacher\'s features; give --teacher nsfwjs-4.4.0.tgz'
_DROPOUT_EXCESS = 1.07  # rate of a training step, whose encoder has dropout, over the rate without, which is meant
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
    said: set[str] = dataclasses.field(default_factory=set, repr=False)

    def note(self, line: str) -> None:
        """Log a line about the data, once: several stages find the same."""
        if line not in self.said:
            self.said.add(line)
            self.log(line)


@dataclass(frozen=True)
class PictureSide:
    """A trained ImageVAE; with a painter's decoder, the eye, the palettes and the marks that it learnt from, and where
    kinds lie by how alike they look."""

    network: ImageVAE | PixelsVAE
    eye: Eye | None = None
    palettes: NDArray[np.float32] | None = None
    marks: MarksRead | None = None
    likeness: NDArray[np.float64] | None = None


def train_audio_vae(run: Run) -> AudioVAE:
    """Train the AudioVAE on the run's features."""
    recipe = run.recipe.audio_vae
    torch.manual_seed(run.recipe.seed)
    training = AudioFeatureDataset(run.features, TRAINING, skip=run.note, report=run.note)
    validation = AudioFeatureDataset(run.features, VALIDATION, skip=run.note, report=run.note)
    task = AudioVAETask(training, validation, recipe, identity_dims=run.recipe.identity.dims)
    start_from(run, task.network, "audio_vae")
    if task.network.identity is not None and run.start is None:  # one that hundreds of songs have taught is kept
        _train_identity(run, task.network.identity, training, validation)
    # Rounded: the last digits depend on how many threads added the numbers up, and a resumed run must agree.
    target = recipe.target_nats or round(task.target_nats(), 1)
    held = f"target {target:.1f} nats" if recipe.objective == "rate" else f"beta up to {recipe.max_beta:g}"
    run.log(f"audio-vae: {len(training.entries)} tracks, {task.n_items()} windows, {held}")
    settings = _settings(run, recipe, run.recipe.seed, task.n_items(), target)

    def sheet(step: int) -> None:
        windows = torch.stack([validation[i] for i in np.linspace(0, len(validation) - 1, 6).astype(int)])
        normal = task.network.normalise(windows)
        with torch.no_grad():
            again = task.network.decode(task.network(windows)[0])
        pictures = features_as_pictures(torch.cat([normal, again]).numpy())
        save_sheet(run.folder / "sheets" / f"audio-vae-{step:06d}.png", pictures, columns=6)

    network = train(
        task, settings, run.folder, resume=run.resume, log=run.log, processes=run.processes, after_validation=sheet
    )
    assert isinstance(network, AudioVAE)
    return network


def _train_identity(
    run: Run, network: WindowIdentity, training: AudioFeatureDataset, validation: AudioFeatureDataset
) -> None:
    """Train the part of z_audio that tells the song, which the rest of the AudioVAE then finds there."""
    recipe = run.recipe.identity
    jitter_db = run.recipe.audio_vae.gain_jitter_db
    task = IdentityTask(network, training, validation, recipe, level_jitter_db=jitter_db)
    settings = LoopSettings(
        steps=recipe.steps,
        batch=recipe.tracks,
        learning_rate=recipe.learning_rate,
        warmup=recipe.warmup,
        ema=recipe.ema,
        seed=run.recipe.seed,
        precision="32-true",  # too small to gain by another
    )
    # Contrast is no mean over items: processes that see a share of the tracks each would learn something else. So the
    # first one trains, which takes seconds, and the others take what it has kept.
    fabric = run.processes.join()
    with fabric.rank_zero_first():
        train(task, settings, run.folder, resume=run.resume or not fabric.is_global_zero, log=run.log)
    network.requires_grad_(False)


def prepare_windows(run: Run, split: str) -> Windows:
    """Cut and read the pictures of a split, or take what an earlier stage read."""

    def read() -> Windows:
        windows = analyse_folder(run.art, split, run.recipe.analysis, seed=run.recipe.seed, jobs=run.jobs, log=run.note)
        run.log(f"pictures: {len(windows.names)} for {split}, {len(windows.windows)} windows")
        return windows

    windows = _kept(run, f"windows-{split}.pickle", _folder_key(run), read)
    assert isinstance(windows, Windows)
    return windows


def load_eye(bundle: Bundle) -> Eye:
    """The eye of a bundle whose kinds are those of today."""
    weights = load_file(str(bundle.folder / "eye.safetensors"))
    eye = Eye(n_kinds=len(KINDS), width=weights["features.0.weight"].shape[0])
    eye.load_state_dict(weights)
    return eye.eval()


def load_image_vae(bundle: Bundle) -> ImageVAE:
    """The ImageVAE of a bundle that paints."""
    weights = load_file(str(bundle.folder / "image_vae.safetensors"))
    network = ImageVAE(
        n_palettes=len(weights["to_palette.weight"]),
        n_kinds=len(weights["to_kind.weight"]),
        width=len(weights["encoder.0.weight"]),
        decoder_width=len(weights["to_plan.2.weight"]),
    )
    network.load_state_dict(weights)
    return network.eval()


def train_eye(run: Run, windows: Windows) -> Eye:
    """Train the eye on studies, or take the one of the bundle that the run starts from."""
    recipe = run.recipe.eye
    torch.manual_seed(run.recipe.seed + 1)
    if run.eye_from is not None and tuple(run.eye_from.kinds) == KINDS:
        run.log(f"eye: taken from the bundle {run.eye_from.name}")
        return load_eye(run.eye_from)

    def paint_them() -> Studies:
        run.log(f"eye: painting {recipe.studies} studies")
        return paint_studies(windows, recipe.studies, seed=run.recipe.seed, jobs=run.jobs)

    studies = _kept(run, "studies.pickle", (_folder_key(run), recipe.studies, KINDS), paint_them)
    assert isinstance(studies, Studies)
    settings = LoopSettings(
        steps=recipe.steps,
        batch=recipe.batch,
        learning_rate=recipe.learning_rate,
        warmup=recipe.warmup,
        ema=recipe.ema,
        seed=run.recipe.seed + 1,
        precision=run.recipe.precision,
    )
    task = EyeTask(studies, recipe)
    take_eye(run, task.network)
    network = train(task, settings, run.folder, resume=run.resume, log=run.log, processes=run.processes)
    assert isinstance(network, Eye)
    return network


def train_image_vae(run: Run) -> PictureSide:
    """Train the ImageVAE on the run's pictures."""
    recipe = run.recipe.image_vae
    windows = prepare_windows(run, TRAINING)
    seen = prepare_windows(run, VALIDATION)
    if recipe.decoder != "painter":
        return PictureSide(_train_on_pixels(run, windows, seen))
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
    network = _train_on_windows(run, task, seen, lambda latents: _paint_all(run, task.network, palettes, latents))
    assert isinstance(network, ImageVAE)
    return PictureSide(network, eye, palettes, marks, kind_likeness(eye))


def _train_on_pixels(run: Run, windows: Windows, seen: Windows) -> PixelsVAE:
    """Train an ImageVAE whose decoder gives pixels on the same windows."""
    recipe = run.recipe.image_vae
    torch.manual_seed(run.recipe.seed + 2)
    weights = picture_weights(windows_of_paintings(windows), recipe.painting_share)
    if recipe.decoder == "pixels":
        task = ConvImageVAETask(windows.windows, seen.windows, weights, recipe)
    elif run.teacher is None:
        raise TrainingError(NEEDS_TEACHER)
    else:
        task = ImplicitImageVAETask(windows.windows, seen.windows, weights, recipe, run.teacher)
    network = _train_on_windows(run, task, seen, lambda latents: _paint_all(run, task.network, None, latents))
    assert isinstance(network, PixelsVAE)
    return network


def _train_on_windows(
    run: Run,
    task: ImageVAETask | ConvImageVAETask,
    seen: Windows,
    show: Callable[[NDArray[np.float64]], Sequence[NDArray[np.uint8]]],
) -> torch.nn.Module:
    """Train an ImageVAE of either kind, with sheets of validation windows, what is made of them, and random latents."""
    recipe = run.recipe.image_vae
    start_from(run, task.network, "image_vae")
    held = recipe.target_nats * _DROPOUT_EXCESS
    settings = _settings(run, recipe, run.recipe.seed + 2, task.n_items(), held)

    def sheet(step: int) -> None:
        shown = np.linspace(0, len(seen.windows) - 1, 12).astype(int)
        latents = _latents(task.network, seen)[shown]
        random = np.random.default_rng(0).standard_normal((12, latents.shape[1]))
        rows = [*seen.windows[shown], *show(np.concatenate([latents, random]))]
        save_sheet(run.folder / "sheets" / f"image-vae-{step:06d}.png", rows, columns=12)

    return train(
        task, settings, run.folder, resume=run.resume, log=run.log, processes=run.processes, after_validation=sheet
    )


@refuse_degenerate()
def finish(run: Run, audio_vae: AudioVAE, pictures: PictureSide, output: Path) -> dict[str, Any]:
    """Fit the mapping on trained networks, write the bundle and return its measures."""
    recipe = run.recipe.mapping
    mapped_descriptors = () if recipe.method == "shuffled-pairs" else MAPPED_DESCRIPTORS
    songs = {
        split: encode_songs(
            audio_vae,
            AudioFeatureDataset(run.features, split, skip=run.note, report=run.note),
            run.features,
            mapped_descriptors,
        )
        for split in (TRAINING, VALIDATION)
    }
    windows = prepare_windows(run, TRAINING)
    latents = _latents(pictures.network, windows)
    # As in the training of the ImageVAE: paintings of other subjects are a part of the cloud, not all of it.
    rng = np.random.default_rng(run.recipe.seed)
    weights = picture_weights(windows_of_paintings(windows), run.recipe.image_vae.painting_share).numpy()
    n = min(3_000, int((weights > 0).sum()))
    chosen = rng.choice(len(latents), n, replace=False, p=weights / weights.sum())
    measures: dict[str, Any] = {
        "audio_vae": _last_validation(run.folder, "audio-vae"),
        "image_vae": _last_validation(run.folder, "image-vae"),
    }
    if pictures.eye is not None:
        measures["eye"] = _last_validation(run.folder, "eye")
        measures["readout"] = _read_out(run, pictures, windows, latents[chosen], chosen, rng)
        if run.teacher is not None:
            learnt = _look_again(run, run.teacher, pictures, windows, latents[chosen], chosen)
            measures["readout"] = _read_out(run, learnt, windows, latents[chosen], chosen, rng)
    shown = latents[chosen]
    check_variety(songs[TRAINING], shown)
    if recipe.method == "look-preserving":
        # As many again, drawn from their normal distribution: looks are learnt to be foretold where songs may lie.
        drawn = rng.multivariate_normal(shown.mean(axis=0), np.cov(shown.T), n)
        shown = np.concatenate([shown, drawn])
    painted = _paint_all(run, pictures.network, pictures.palettes, shown)
    both = look_at_art(shown, painted, jobs=run.jobs, eye=pictures.eye, eye_weight=recipe.eye_weight)
    art, practice = both.take(slice(None, n)), both.take(slice(n, None))
    if recipe.method == "shuffled-pairs":
        mapping: MappingNetwork | PerceptronMapping = fit_on_shuffled_pairs(
            songs[TRAINING], art, recipe, seed=run.recipe.seed, log=run.log
        )
    else:
        told = None
        if isinstance(pictures.network, ImageVAE) and pictures.palettes is not None:
            told = Told(pictures.network, pictures.palettes)

        def show(latents: NDArray[np.float64]) -> Art:
            made = _paint_all(run, pictures.network, pictures.palettes, latents)
            return look_at_art(
                latents, made, jobs=run.jobs, eye=pictures.eye, eye_weight=recipe.eye_weight, scale=both.scale
            )

        mapping = fit_mapping(
            songs[TRAINING], art, recipe, seed=run.recipe.seed, log=run.log, practice=practice, told=told, show=show
        )
    mapped_latents = map_songs(mapping, songs[VALIDATION])
    painted = _paint_all(run, pictures.network, pictures.palettes, mapped_latents)
    mapped = look_at_art(mapped_latents, painted, jobs=run.jobs)
    measures["mapping"] = mapping_figures(mapping, songs[VALIDATION], art, mapped)
    run.log("mapping: validation songs, " + ", ".join(f"{k} {v:.3f}" for k, v in measures["mapping"].items()))
    normalisation: dict[str, Any] = {
        "feature_mean": audio_vae.row_mean.flatten().tolist(),
        "feature_deviation": audio_vae.row_deviation.flatten().tolist(),
        "descriptor_mean": [float(songs[TRAINING].descriptors[name].mean()) for name in mapped_descriptors],
    }
    if isinstance(mapping, MappingNetwork):
        normalisation |= {
            "song_mean": mapping.song_mean.tolist(),
            "song_deviation": mapping.song_deviation.tolist(),
            "song_weights": song_weights(songs[TRAINING], recipe).tolist(),
        }
    parity = export_bundle(
        Trained(audio_vae, pictures.network, mapping, pictures.eye, pictures.palettes),
        output,
        name=output.name,
        kinds=KINDS if pictures.eye is not None else (),
        descriptors=mapped_descriptors,
        variation_scale=local_spread(latents[chosen]),
        painting=run.recipe.as_dict()["painting"],
        config=run.recipe.as_dict(),
        normalisation=normalisation,
        corpus={"art": describe_folder(run.art), "music": describe_folder(run.features)},
        measures=measures,
        # Folders by their own name alone: where they lay on this machine is nobody's business.
        command="clavilux " + " ".join(Path(word).name for word in sys.argv[1:]),
    )
    run.log(f"bundle: {output}, parity " + ", ".join(f"{stage} {value:.1e}" for stage, value in parity.items()))
    return measures


def _read_out(
    run: Run,
    pictures: PictureSide,
    windows: Windows,
    latents: NDArray[np.float64],
    chosen: NDArray[np.int64],
    rng: np.random.Generator,
) -> dict[str, float]:
    """Fit what the painter reads off a latent to what was read off the chosen windows."""
    marks = pictures.marks
    assert marks is not None and pictures.likeness is not None and pictures.palettes is not None
    assert isinstance(pictures.network, ImageVAE)
    readings = Readings(
        palette=windows.palettes[chosen],
        kind=marks.kind[chosen],
        log_frequency=marks.log_frequency[chosen],
        direction=marks.direction[chosen],
        chaos=marks.chaos[chosen],
        finish=marks.finish[chosen],
    )
    blend = run.recipe.image_vae.palette_blend
    figures = fit_readout(
        pictures.network, latents, readings, pictures.palettes, pictures.likeness, palette_blend=blend, rng=rng
    )
    run.log("readout: " + ", ".join(f"{key} {value:.3g}" for key, value in figures.items()))
    return figures


def _look_again(
    run: Run,
    tarball: Path,
    pictures: PictureSide,
    windows: Windows,
    latents: NDArray[np.float64],
    chosen: NDArray[np.int64],
) -> PictureSide:
    """The same with the kinds of the chosen windows, and how alike kinds are, as trials with a teacher tell them."""
    marks = pictures.marks
    assert marks is not None and pictures.palettes is not None and isinstance(pictures.network, ImageVAE)
    network, palettes, analysis = pictures.network, pictures.palettes, run.recipe.analysis

    def try_them() -> Trials:
        run.log(f"teacher: trying {len(KINDS)} kinds on {len(chosen)} windows")
        controls = controls_of_latents(network, palettes, KINDS, latents)
        return try_kinds(windows.windows[chosen], controls, tarball, jobs=run.jobs)

    state = hashlib.sha256(latents.round(2).tobytes()).hexdigest()
    trials = _kept(run, "trials.pickle", (_folder_key(run), state, KINDS), try_them)
    assert isinstance(trials, Trials)
    told = dataclasses.replace(marks, kind=marks.kind.copy())
    told.kind[chosen] = trials.kinds(analysis.trial_temperature)
    seen = dataclasses.replace(told, kind=told.kind[chosen])
    told = weigh_kinds(told, kind_weights(seen, analysis.trial_evenness))
    counts = np.bincount(told.kind[chosen].argmax(1), minlength=len(KINDS))
    run.log("teacher: kinds kept " + ", ".join(f"{kind} {n}" for kind, n in zip(KINDS, counts, strict=True)))
    return dataclasses.replace(pictures, marks=told, likeness=trials.likeness())


def _paint_all(
    run: Run, network: ImageVAE | PixelsVAE, palettes: NDArray[np.float32] | None, latents: NDArray[np.float64]
) -> Sequence[NDArray[np.uint8]]:
    """What a bundle of this network would show of these latents, 128 x 128."""
    if not isinstance(network, ImageVAE):
        return list(decode_pixels(network, latents))
    assert palettes is not None, "a painter has palettes"
    return paint_controls(controls_of_latents(network, palettes, KINDS, latents), jobs=run.jobs)


def _settings(
    run: Run, recipe: AudioVAERecipe | ImageVAERecipe, seed: int, n_items: int, target_nats: float
) -> LoopSettings:
    """What the loop takes from a recipe."""
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
    )


def start_bundle(name: str | None) -> Bundle | None:
    """The bundle that a training goes on from."""
    return None if name is None else open_bundle(name)


@torch.no_grad()
def _latents(network: ImageVAE | PixelsVAE, windows: Windows) -> NDArray[np.float64]:
    """Posterior means (n, 64) of all windows."""
    pictures = torch.from_numpy(windows.small()).permute(0, 3, 1, 2)
    parts = [network.encode(part.float() / 255.0)[0] for part in torch.split(pictures, 256)]
    return np.asarray(torch.cat(parts).double().numpy())


def start_from(run: Run, network: torch.nn.Module, file: str) -> None:
    start = run.start
    if start is None:
        return
    weights = load_file(str(start.folder / f"{file}.safetensors"))
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
    _load(network, weights, start, file)
    run.log(f"{file}: going on from the bundle {start.name}")


def _load(network: torch.nn.Module, weights: dict[str, torch.Tensor], start: Bundle, file: str) -> None:
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise TrainingError(
            f"the {file} of bundle {start.name} has other shapes than this recipe; train with the recipe that made "
            "it (`clavilux bundle show`), or without --from"
        ) from error


def take_eye(run: Run, network: Eye) -> None:
    """Begin with the eye of the bundle that the run starts from: what it knows of a kind goes where that kind is now,
    and kinds that it does not know begin by chance."""
    start = run.start
    if start is None or not (start.folder / "eye.safetensors").is_file():
        return
    weights = load_file(str(start.folder / "eye.safetensors"))
    known = [KINDS.index(kind) for kind in start.kinds]
    for part in ("weight", "bias"):
        name = f"head.{len(network.head) - 1}.{part}"
        rows = network.state_dict()[name].clone()
        rows[known] = weights[name][: len(known)].to(rows.dtype)
        rows[len(KINDS) :] = weights[name][len(known) :].to(rows.dtype)
        weights[name] = rows
    _load(network, weights, start, "eye")
    run.log(f"eye: going on from the bundle {start.name}")


def _folder_key(run: Run) -> str:
    """Names, sizes and times of the pictures, and how they are cut."""
    analysis = run.recipe.analysis
    cut = [analysis.abstract_windows, analysis.painting_windows, run.recipe.seed]
    digest = hashlib.sha256(json.dumps(cut).encode())
    for path in list_folder(run.art, None).files:
        stat = path.stat()
        digest.update(os.fsencode(f"{path.relative_to(run.art)} {stat.st_size} {stat.st_mtime_ns}"))
    return digest.hexdigest()


def _kept(run: Run, file: str, key: object, make: Callable[[], object]) -> object:
    """What an earlier stage, or the first process, made under this key; else make it and keep it."""
    path = run.folder / file
    with run.processes.join().rank_zero_first():
        if path.is_file():
            with path.open("rb") as handle:
                saved_key, content = pickle.load(handle)
            if saved_key == key:
                return content
        content = make()
        _save_pickle(path, (key, content))
        return content


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
