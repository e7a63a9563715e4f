"""``clavilux train``: train the networks on a folder of pictures and a folder of music, and write a bundle."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clavilux.cli.output import say
from clavilux.cli.sections import JOBS_HELP, AdvancedOption, CommandWithSections
from clavilux.system.files import list_folder

if TYPE_CHECKING:
    from clavilux.audio.mfcc import FeatureSettings

_PATH = click.Path(path_type=Path)
_OUTPUT = click.option(
    "-o",
    "--output",
    type=_PATH,
    default=Path("bundle"),
    show_default=True,
    metavar="DIR",
    help="Folder to write the trained networks (a bundle) to.",
)
_OPTIONS = (
    click.option(
        "--recipe",
        default="default",
        show_default=True,
        metavar="NAME|FILE",
        help="Settings of the training: default, gpu (for one GPU), classic (an older baseline), debug (a test of the "
        "installation in a minute), or a .toml file.",
    ),
    click.option(
        "--art",
        type=_PATH,
        default=Path("datasets/abstract_art"),
        show_default=True,
        metavar="DIR",
        help="Folder of pictures.",
    ),
    click.option(
        "--audio",
        type=_PATH,
        default=Path("datasets/audio_features"),
        show_default=True,
        metavar="DIR",
        help="Folder of music, or of feature files that `clavilux features` wrote.",
    ),
    click.option(
        "--run",
        "run_dir",
        type=_PATH,
        default=Path("runs/default"),
        show_default=True,
        metavar="DIR",
        help="Folder of this training, for checkpoints, logs and sheets of sample pictures. A folder with an earlier "
        "training needs --resume.",
    ),
    click.option("--resume", is_flag=True, help="Continue the interrupted training in the folder --run."),
    click.option(
        "--from",
        "start",
        default=None,
        metavar="NAME|DIR",
        help="Start from the weights of a bundle, such as `default`, instead of from random weights. Its mark "
        "classifier is used without training, and its palettes are kept.",
    ),
    click.option(
        "--classifier-from",
        default=None,
        metavar="NAME|DIR",
        cls=AdvancedOption,
        help="Use the mark classifier of a bundle, which recognises kinds of marks (dabs, rings, ...) in pictures, "
        "instead of training one.  [default: that of --pictures-from or --from]",
    ),
    click.option(
        "--pictures-from",
        default=None,
        metavar="NAME|DIR",
        cls=AdvancedOption,
        help="Keep the palettes and the ImageVAE of a bundle; only the linear heads of its decoder are fitted again, "
        "to --art. The audio network and the mapping are trained.",
    ),
    click.option(
        "--devices",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        metavar="N",
        cls=AdvancedOption,
        help="Number of GPUs on each machine; without a GPU, number of training processes.",
    ),
    click.option(
        "--num-nodes",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        metavar="N",
        cls=AdvancedOption,
        help="Number of machines that train together. docs/training.md says how to start each.",
    ),
    click.option(
        "--jobs",
        type=int,
        default=-1,
        metavar="N",
        cls=AdvancedOption,
        help=f"For reading files and painting: {JOBS_HELP[0].lower()}{JOBS_HELP[1:]}",
    ),
)


def _training_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that all trainings share."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group()
def train() -> None:
    """Train the networks on your own music and pictures, and write a bundle. Needs the extra `train`.

    Example: clavilux train all --from default --art PICTURES --audio MUSIC --run runs/mine -o mine
    """


@train.command("audio-vae", cls=CommandWithSections)
@_training_options
def audio_vae(**options: Any) -> None:
    """Train only the audio network (AudioVAE), which encodes music, for `clavilux train mapping`.

    It is written to audio-vae.ckpt in the folder --run. Pictures are not used.
    """
    run = _prepare(**options, pictures=False)
    from clavilux.training.stage_audio import train_audio_vae

    train_audio_vae(run)


@train.command("image-vae", cls=CommandWithSections)
@_training_options
def image_vae(**options: Any) -> None:
    """Train only the picture networks: the mark classifier, and the ImageVAE, which encodes and decodes pictures."""
    run = _prepare(**options, songs=False)
    from clavilux.training.stage_pictures import train_image_vae

    train_image_vae(run)


@train.command("mapping", cls=CommandWithSections)
@_OUTPUT
@_training_options
def mapping(output: Path, **options: Any) -> None:
    """Train the mapping from music to pictures, and write the bundle.

    The folder --run must have the checkpoints of `clavilux train audio-vae` and `clavilux train image-vae`; with
    --pictures-from, only that of audio-vae is needed. Interrupted stages are finished first; --resume has no effect.
    Give --from the same bundle as in the earlier stages, if any: its palettes and mark classifier are used again.
    """
    from clavilux.errors import TrainingError

    folder = options["run_dir"]
    needed = ("audio-vae",) if options["pictures_from"] else ("audio-vae", "image-vae")
    missing = [name for name in needed if not (folder / f"{name}.ckpt").is_file()]
    if missing:
        raise TrainingError(f"{folder} has no {missing[0]}.ckpt; run `clavilux train {missing[0]}` first")
    _train_all(_prepare(**options | {"resume": True}, output=output), output)


@train.command("all", cls=CommandWithSections)
@_OUTPUT
@_training_options
def everything(output: Path, **options: Any) -> None:
    """Train all networks, and write the bundle."""
    _train_all(_prepare(**options, output=output), output)


def _prepare(
    recipe: str,
    art: Path,
    audio: Path,
    run_dir: Path,
    resume: bool,
    start: str | None,
    classifier_from: str | None,
    pictures_from: str | None,
    jobs: int,
    devices: int,
    num_nodes: int,
    *,
    songs: bool = True,
    pictures: bool = True,
    output: Path | None = None,
) -> Any:
    """Return the `Run`, after checking all that can be checked before the training."""
    # PyTorch reads this when it is imported. Waiting threads then sleep instead of occupying their core; where another
    # program needed the core, a training with two threads was five times slower without it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from clavilux.painter.compiled import paint_many

    paint_many()
    from clavilux.training.checks import check_pictures, check_recipe, check_songs
    from clavilux.training.processes import Processes
    from clavilux.training.recipe import load_recipe
    from clavilux.training.run import Run, start_bundle

    started = time.monotonic()
    loaded = load_recipe(recipe)
    processes = Processes(devices, num_nodes)
    fabric = processes.join()

    def log(line: str) -> None:
        if fabric.is_global_zero:
            say(f"[{time.monotonic() - started:7.1f} s] {line}")

    run = Run(
        recipe=loaded,
        folder=run_dir,
        art=art,
        features=audio,
        resume=resume,
        start=start_bundle(start),
        classifier_from=start_bundle(classifier_from or pictures_from or start),
        pictures_from=start_bundle(pictures_from),
        jobs=jobs,
        log=log,
        processes=processes,
        command=sys.argv[1:],
    )
    check_recipe(run, output, songs=songs, pictures=pictures)
    if pictures:
        check_pictures(run)
    if songs:
        with fabric.rank_zero_first():
            if not _has_features(audio):
                features = _measure_music(audio, run_dir, loaded.features, jobs, log)
                run = dataclasses.replace(run, features=features, music=audio)
        check_songs(run, descriptors=output is not None)
    return run


def _train_all(run: Any, output: Path) -> None:
    """Train the networks that are not finished, fit the mapping and write the bundle."""
    from clavilux.training.export import check_output
    from clavilux.training.stage_audio import train_audio_vae
    from clavilux.training.stage_mapping import finish
    from clavilux.training.stage_pictures import train_image_vae

    check_output(output)
    audio_network, pictures = train_audio_vae(run), train_image_vae(run)
    if run.processes.join().is_global_zero:  # fitting the mapping is not distributed
        finish(run, audio_network, pictures, output)


def _has_features(audio: Path) -> bool:
    """Return whether a folder has feature files; true also if it is not a folder, which a later check reports."""
    from clavilux.audio.clips import CLIP_SUFFIX

    return not os.path.isdir(audio) or bool(list_folder(audio, frozenset({CLIP_SUFFIX})).files)


def _measure_music(
    music: Path, run_dir: Path, settings: FeatureSettings, jobs: int, log: Callable[[str], None]
) -> Path:
    """Measure a folder of music, and return the folder of its features."""
    from clavilux.audio.feature_files import write_features

    log(f"{music} has no feature files; measuring its music")
    summary = write_features(music, run_dir / "features", settings=settings, jobs=jobs)
    for fault in summary.faults:
        log(f"{fault}; left out")
    log(f"{run_dir / 'features'}: {summary.measured} songs measured, {summary.kept} measured earlier")
    return run_dir / "features"
