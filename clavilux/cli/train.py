"""``clavilux train``: train the networks on a folder of pictures and a folder of music, and write a bundle."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clavilux.cli.hints import HintedCommand
from clavilux.cli.options import (
    ADVANCED,
    PATH,
    WholeRange,
    advanced_option,
    bundle_names,
    combine,
    jobs_option,
    names_or_path,
    option,
)
from clavilux.cli.output import say
from clavilux.system.files import list_folder

if TYPE_CHECKING:
    from clavilux.training.run import Run

_GONE = {"--teacher": "It is gone since version 0.2, with the recipe rival"}

_output_option = option(
    "-o",
    "--output",
    type=PATH,
    default=Path("bundle"),
    metavar="DIR",
    help="Folder to write the trained networks (a bundle) to.",
)
_training_options = combine(
    option(
        "--recipe",
        default="default",
        metavar="NAME|FILE",
        shell_complete=names_or_path("default", "gpu", "classic", "debug"),
        help="Settings of the training: `default`, `gpu` (for one GPU), `classic` (an older baseline), `debug` (tests "
        "the installation in a few minutes), or a .toml file.",
    ),
    option(
        "--art",
        type=PATH,
        default=Path("datasets/abstract_art"),
        metavar="DIR",
        help="Folder of the pictures to learn from.",
    ),
    option(
        "--audio",
        type=PATH,
        default=Path("datasets/audio_features"),
        metavar="DIR",
        help="Folder of the music to learn from: songs, or feature files that `clavilux features` wrote.",
    ),
    option(
        "--run",
        "run_dir",
        type=PATH,
        default=Path("runs/default"),
        metavar="DIR",
        help="Folder in which this training keeps its progress, its log and sample pictures. Give a new folder for "
        "each training, and the same folder to all commands of one training.",
    ),
    option("--resume", is_flag=True, help="Continue the interrupted training in the folder given with --run."),
    option(
        "--from",
        "start",
        metavar="NAME|DIR",
        shell_complete=bundle_names,
        help="Start from trained networks, such as `default`, and adapt them to your music and pictures. Two "
        "things are kept as they are: the palettes, so pictures get the colours of those networks, not those of --art; "
        "and the mark classifier (the network that recognises kinds of marks).  [default: start from random networks]",
    ),
    advanced_option(
        "--classifier-from",
        metavar="NAME|DIR",
        shell_complete=bundle_names,
        help="Do not train a mark classifier (the network that recognises kinds of marks in pictures); use that of "
        "this bundle.  [default: that of --pictures-from, else that of --from, else a new one is trained]",
    ),
    advanced_option(
        "--audio-from",
        metavar="NAME|DIR",
        shell_complete=bundle_names,
        help="Do not train an AudioVAE (the network for music); use that of this bundle.",
    ),
    advanced_option(
        "--pictures-from",
        metavar="NAME|DIR",
        shell_complete=bundle_names,
        help="Do not train an ImageVAE (the network for pictures); use that of this bundle, and its palettes. Only "
        "the linear layers that predict colours, marks and surface from the latent are fitted again, to the pictures "
        "of --art.",
    ),
    advanced_option(
        "--devices",
        type=WholeRange(1),
        default=1,
        metavar="N",
        help="Number of GPUs to use on each machine; without GPUs, number of training processes on each machine.",
    ),
    advanced_option(
        "--num-nodes",
        type=WholeRange(1),
        default=1,
        metavar="N",
        help="Number of machines that train together. docs/training.md says how to start the training on them.",
    ),
    jobs_option(section=ADVANCED, use=" for reading files and painting"),
)


class _Stages(click.Group):
    """The sub-commands; errors name those that the first version had under other names, or that have an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the options before the name of the sub-command."""
        try:
            return super().parse_args(ctx, list(args))
        except click.NoSuchOption as error:
            if any(error.option_name in option.opts for option in self.commands["all"].params):
                raise click.UsageError(
                    f"No such option: {error.option_name}. It belongs to what is trained: clavilux train all "
                    f"{error.option_name} ...",
                    ctx,
                ) from error
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run the sub-command; after Ctrl-C, a line says how to continue."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo(
                "clavilux: interrupted; the same command with --resume continues from the last checkpoint, if any",
                err=True,
            )
            raise

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the name, the sub-command and the rest of the arguments."""
        stage = args[0].removesuffix(".py").removeprefix("train_").replace("_", "-").removesuffix("-network")
        if args[0] not in self.commands and stage in self.commands:
            raise click.UsageError(f"No such command '{args[0]}'. Its successor: clavilux train {stage}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Stages)
def train() -> None:
    """Train the networks on your own music and pictures.

    Needs the extra `train`: run `pip install ".[train]"` in the source folder. The trained networks are written to a
    folder, called a bundle, which `clavilux paint --bundle` takes.

    \b
    clavilux train all --from default --art PICTURES --audio MUSIC --run runs/mine -o mine
    """  # noqa: D301  (click: \b keeps line breaks)


@train.command("audio-vae", cls=HintedCommand, hints=_GONE)
@_training_options
def audio_vae(**options: Any) -> None:
    """Train only the network for music (AudioVAE). `clavilux train mapping` needs it.

    The network is written to audio-vae.ckpt in the folder given with --run. All commands of one training accept the
    same options; this one ignores those about pictures.
    """
    run = _prepare(options, pictures=False)
    from clavilux.training.stage_audio import train_audio_vae

    train_audio_vae(run)


@train.command("image-vae", cls=HintedCommand, hints=_GONE)
@_training_options
def image_vae(**options: Any) -> None:
    """Train only the networks for pictures (mark classifier and ImageVAE).

    The mark classifier recognises kinds of marks in pictures. The ImageVAE encodes and decodes pictures. `clavilux
    train mapping` needs both networks. All commands of one training accept the same options; this one ignores those
    about music.
    """
    run = _prepare(options, songs=False)
    from clavilux.training.stage_pictures import train_image_vae

    train_image_vae(run)


@train.command("mapping", cls=HintedCommand, hints=_GONE)
@_output_option
@_training_options
def mapping(output: Path, **options: Any) -> None:
    """Train only the mapping from music to pictures.

    It is a network that computes the latent of a picture from a song. With it, the bundle is complete and is written.

    First run `clavilux train audio-vae` and `clavilux train image-vae`, and give the same --run, --recipe, --from,
    --art and --audio to all three commands. The first is not needed with --audio-from, the second not with
    --pictures-from. If an earlier command was interrupted, this command first finishes the training of that command,
    even without --resume.
    """
    from clavilux.errors import TrainingError

    folder = options["run_dir"]
    sources = {"audio-vae": options["audio_from"], "image-vae": options["pictures_from"]}
    missing = [name for name, source in sources.items() if not source and not (folder / f"{name}.ckpt").is_file()]
    if missing:
        raise TrainingError(f"{folder} has no {missing[0]}.ckpt; run `clavilux train {missing[0]}` first")
    _train_all(_prepare(options | {"resume": True}, output=output), output)


@train.command("all", cls=HintedCommand, hints=_GONE)
@_output_option
@_training_options
def everything(output: Path, **options: Any) -> None:
    """Train all networks, and write the bundle.

    \b
    clavilux train all --from default --art PICTURES --audio MUSIC --run runs/mine -o mine
    clavilux paint song.mp3 --bundle mine
    """  # noqa: D301  (click: \b keeps line breaks)
    _train_all(_prepare(options, output=output), output)


def _prepare(given: dict[str, Any], *, songs: bool = True, pictures: bool = True, output: Path | None = None) -> Run:
    """Prepare a training, and return its `Run`, made from the values of `_training_options`.

    All checks that are possible before a training are made. If ``songs`` is true, music without feature files is
    measured. ``output`` is the folder of the bundle, if this command writes one.
    """
    # PyTorch reads this when it is imported. Waiting threads then sleep instead of occupying their core. Without this,
    # a training with two threads was five times slower when another program needed the core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from clavilux.painter.compiled import paint_many

    paint_many()
    from clavilux.training.checks import check_pictures, check_recipe, check_songs
    from clavilux.training.logs import log_to_file
    from clavilux.training.processes import Processes
    from clavilux.training.recipe import load_recipe
    from clavilux.training.run import Run, start_bundle
    from clavilux.training.track_copies import check_recordings

    recipe = load_recipe(given["recipe"])
    processes = Processes(given["devices"], given["num_nodes"])
    fabric = processes.join()
    title = " ".join(["clavilux", *sys.argv[1:]])
    log = log_to_file(given["run_dir"], title, say) if fabric.is_global_zero else _ignore
    run = Run(
        recipe=recipe,
        folder=given["run_dir"],
        art=given["art"],
        features=given["audio"],
        resume=given["resume"],
        start=start_bundle(given["start"]),
        classifier_from=start_bundle(given["classifier_from"] or given["pictures_from"] or given["start"]),
        audio_from=start_bundle(given["audio_from"]),
        pictures_from=start_bundle(given["pictures_from"]),
        jobs=given["jobs"] or -1,
        log=log,
        processes=processes,
        command=sys.argv[1:],
    )
    check_recipe(run, output, songs=songs, pictures=pictures)
    if run.resume and not any(run.folder.glob("*.ckpt")):
        run.log(f"{run.folder} has no checkpoint: nothing to resume, the training begins")
    if pictures:
        check_pictures(run)
    if songs:
        with fabric.rank_zero_first():
            if not _has_features(run.features):
                run = _measure_music(run)
        check_recordings(run)
        check_songs(run, descriptors=output is not None)
    return run


def _ignore(line: str) -> None:
    """Ignore a line about the progress: only the first of several processes logs."""


def _train_all(run: Run, output: Path) -> None:
    """Train the networks that are not finished, fit the mapping, and write the bundle."""
    from clavilux.training.export import check_output
    from clavilux.training.stage_audio import train_audio_vae
    from clavilux.training.stage_mapping import finish
    from clavilux.training.stage_pictures import train_image_vae

    check_output(output)
    audio_network, pictures = train_audio_vae(run), train_image_vae(run)
    if run.processes.join().is_global_zero:  # fitting the mapping is not distributed
        finish(run, audio_network, pictures, output)


def _has_features(audio: Path) -> bool:
    """Return whether a folder has feature files; also True if the path is not a folder, which is reported later."""
    from clavilux.audio.clips import CLIP_SUFFIX

    return not os.path.isdir(audio) or bool(list_folder(audio, frozenset({CLIP_SUFFIX})).files)


def _measure_music(run: Run) -> Run:
    """Compute the features of the music of a run, and return a `Run` that uses the new feature files."""
    from clavilux.audio.feature_files import write_features
    from clavilux.training.datasets import describe_folder

    describe_folder(run.features)  # names the faults in the user's table before the work
    music, features = run.features, run.folder / "features"
    run.log(f"{music} has no feature files; measuring its music")
    summary = write_features(music, features, settings=run.recipe.features, jobs=run.jobs)
    for fault in summary.faults:
        run.log(f"{fault}; left out")
    run.log(f"{features}: {summary.measured} songs measured, {summary.kept} measured earlier")
    return dataclasses.replace(run, features=features, music=music)
