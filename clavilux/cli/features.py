"""``clavilux features``: measure a folder of songs."""

from __future__ import annotations

from pathlib import Path

import click

from clavilux.audio.feature_files import write_features
from clavilux.audio.feature_table import TABLE
from clavilux.bundle import open_bundle
from clavilux.cli.hints import HintedCommand
from clavilux.cli.options import (
    PATH,
    advanced_option,
    bundle_option,
    check_jobs,
    folder_option,
    jobs_option,
    no_progress_option,
    option,
)
from clavilux.cli.output import say, set_up_log, visible
from clavilux.cli.progress import FileProgress, turn_off
from clavilux.errors import AudioError
from clavilux.system.arguments import counted


@click.command(cls=HintedCommand)
@click.argument("audio_dir", type=PATH)
@folder_option("Folder to write descriptors.csv and the feature files to.")
@jobs_option()
@bundle_option(
    use=" for which the feature files are made", note="Networks with the same MFCC settings can read the files too."
)
@advanced_option(
    "--scheduler",
    metavar="ADDRESS",
    help="Measure on the Dask cluster whose scheduler has this address, such as tcp://10.0.0.1:8786.",
)
@option("-q", "--quiet", is_flag=True, callback=turn_off, help="Print only warnings and errors.")
@no_progress_option()
@advanced_option("-v", "--verbose", is_flag=True, help="Print the traceback of internal errors.")
@click.pass_context
def features(
    ctx: click.Context,
    /,
    audio_dir: Path,
    output: Path,
    bundle: str,
    jobs: int | None,
    scheduler: str | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Measure tempo, key, loudness and other properties of all songs in the folder AUDIO_DIR and its subfolders.

    The measurements are written to a table, descriptors.csv. For each song, a feature file (.npy) is written too;
    `clavilux paint` and `clavilux train` can read it. It has the MFCC, 20 x 216 numbers, of each window of 5 s that is
    not silent.

    If the command is interrupted, run it again to continue. A file that cannot be read is reported and skipped, and
    the exit code is then 1.

    \b
    clavilux features music/ -o features/
    """  # noqa: D301  (click: \b keeps line breaks)
    set_up_log(verbose)
    check_jobs(ctx)
    settings = open_bundle(bundle).feature_settings
    progress = FileProgress("measuring")
    with progress.shown():
        summary = write_features(
            audio_dir, output, settings=settings, jobs=jobs or -1, scheduler=scheduler, progress=progress
        )
    n_songs, n_faults = summary.measured + summary.kept, len(summary.faults)
    if n_songs == 0:
        raise AudioError(f"{audio_dir}: none of its {counted(n_faults, 'file')} could be measured")
    kept = f", {summary.kept} of them measured earlier" if summary.kept else ""
    if not quiet:
        say(f"{visible(str(output / TABLE))}: {counted(n_songs, 'song')} of {_length(summary.seconds)}{kept}")
        if n_faults:
            say(f"{counted(n_faults, 'file')} skipped, named above")
    ctx.exit(1 if n_faults else 0)


def _length(seconds: float) -> str:
    if seconds < 600:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 36_000 else f"{seconds / 3600:.1f} hours"
