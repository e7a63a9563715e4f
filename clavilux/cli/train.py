"""`clavilux train`: from two folders to a bundle."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from clavilux.cli.output import say
from clavilux.system.files import list_folder


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """Options that all trainings share."""
    options = [
        click.option("--recipe", default="default", show_default=True, help="Name of a recipe, or a .toml file."),
        click.option(
            "--art",
            type=click.Path(path_type=Path),
            default=Path("datasets/abstract_art"),
            show_default=True,
            help="Folder of pictures.",
        ),
        click.option(
            "--audio",
            type=click.Path(path_type=Path),
            default=Path("datasets/audio_features"),
            show_default=True,
            help="Folder of feature files, or of music.",
        ),
        click.option(
            "--run",
            "run_dir",
            type=click.Path(path_type=Path),
            default=Path("runs/default"),
            show_default=True,
            help="Takes checkpoints, logs and contact sheets.",
        ),
        click.option("--resume", is_flag=True, help="Go on from the checkpoints in --run."),
        click.option("--from", "start", default=None, metavar="BUNDLE", help="Go on from the weights of a bundle."),
        click.option("--classifier-from", default=None, metavar="BUNDLE", help="Take the eye of a bundle; train none."),
        click.option(
            "--teacher",
            type=click.Path(path_type=Path, dir_okay=False),
            default=None,
            help="nsfwjs-4.4.0.tgz: kinds of marks are then found by trial, which takes a quarter of an hour.",
        ),
        click.option(
            "--devices", type=click.IntRange(1), default=1, show_default=True, help="Processes, or GPUs, a node."
        ),
        click.option("--num-nodes", type=click.IntRange(1), default=1, show_default=True, help="Machines."),
        click.option("--jobs", type=int, default=-1, help="Processes for reading and painting.  [default: all cores]"),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def train() -> None:
    """Train the three networks and write a bundle. Needs the extra `train`."""


@train.command("audio-vae")
@_options
def audio_vae(**options: Any) -> None:
    """Train the AudioVAE on features."""
    run = _run(**options, pictures=False)
    from clavilux.training.stage_audio import train_audio_vae

    train_audio_vae(run)


@train.command("image-vae")
@_options
def image_vae(**options: Any) -> None:
    """Train the eye and the ImageVAE on pictures."""
    run = _run(**options, songs=False)
    from clavilux.training.stage_pictures import train_image_vae

    train_image_vae(run)


@train.command("mapping")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("bundle"),
    show_default=True,
    help="Bundle to write.",
)
@_options
def mapping(output: Path, **options: Any) -> None:
    """Fit the MappingNetwork on the two trained networks of --run, and write the bundle."""
    from clavilux.errors import TrainingError

    folder = options["run_dir"]
    missing = [name for name in ("audio-vae", "image-vae") if not (folder / f"{name}.ckpt").is_file()]
    if missing:
        raise TrainingError(f"{folder} has no {missing[0]}.ckpt; run `clavilux train {missing[0]}` first")
    _train_all(_run(**options | {"resume": True}, output=output), output)


@train.command("all")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("bundle"),
    show_default=True,
    help="Bundle to write.",
)
@_options
def everything(output: Path, **options: Any) -> None:
    """Train all three and write the bundle."""
    _train_all(_run(**options, output=output), output)


def _run(
    recipe: str,
    art: Path,
    audio: Path,
    run_dir: Path,
    resume: bool,
    start: str | None,
    classifier_from: str | None,
    teacher: Path | None,
    jobs: int,
    devices: int,
    num_nodes: int,
    *,
    songs: bool = True,
    pictures: bool = True,
    output: Path | None = None,
) -> Any:
    """Return what a training is to do, after refusing all that can be refused before it."""
    # Read when PyTorch is first imported: threads that wait for each other sleep. By default they keep their core, and
    # where another program needs a core too, a training with two threads took five times as long for it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import dataclasses

    from clavilux.training.checks import check_pictures, check_recipe, check_songs
    from clavilux.training.loop import Processes
    from clavilux.training.recipe import load_recipe
    from clavilux.training.run import Run, start_bundle

    started = time.monotonic()
    if teacher is not None:
        from clavilux.training.teacher import Teacher

        Teacher(teacher)  # that it can be read is known before hours of training
    loaded = load_recipe(recipe)
    processes = Processes(devices, num_nodes)
    fabric = processes.join()

    def log(line: str) -> None:
        if fabric.is_global_zero:
            say(f"[{time.monotonic() - started:7.1f} s] {line}")

    run = Run(
        loaded,
        run_dir,
        art,
        audio,
        resume,
        start_bundle(start),
        start_bundle(classifier_from or start),
        jobs,
        log,
        processes,
        teacher,
        sys.argv[1:],
    )
    check_recipe(run, output, songs=songs, pictures=pictures)
    if pictures:
        check_pictures(run)
    if songs:
        with fabric.rank_zero_first():
            run = dataclasses.replace(run, features=_features_of(audio, run_dir, jobs, log))
        check_songs(run, descriptors=output is not None)
    return run


def _train_all(run: Any, output: Path) -> None:
    """Train the two networks, unless their checkpoints are finished, then fit the mapping and write the bundle."""
    from clavilux.training.export import check_output
    from clavilux.training.stage_audio import train_audio_vae
    from clavilux.training.stage_mapping import finish
    from clavilux.training.stage_pictures import train_image_vae

    check_output(output)
    heard, pictures = train_audio_vae(run), train_image_vae(run)
    if run.processes.join().is_global_zero:  # the mapping is not fitted by gradients of several processes
        finish(run, heard, pictures, output)


def _features_of(audio: Path, run_dir: Path, jobs: int, log: Callable[[str], None]) -> Path:
    """The folder itself if it holds features; else its music is listened to first."""
    from clavilux.audio.clips import CLIP_SUFFIX
    from clavilux.audio.feature_files import write_features

    if not os.path.isdir(audio) or list_folder(audio, frozenset({CLIP_SUFFIX})).files:
        return audio
    log(f"{audio} holds no features; listening to its music")
    summary = write_features(audio, run_dir / "features", jobs=jobs)
    for fault in summary.faults:
        log(f"{fault}; left out")
    log(f"{run_dir / 'features'}: {summary.measured} songs measured, {summary.kept} measured earlier")
    return run_dir / "features"
